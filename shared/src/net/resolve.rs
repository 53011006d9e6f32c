//! A name to one address, once per run.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::reason::Reason;

/// Which addresses will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Either; the resolver's order decides.
    Any,
    /// IPv4 only: PPTP's GRE.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    fn holds(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Any => "IP",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Resolves `host`; a literal address is taken as it is, without a resolver.
/// Gives up at `deadline`.
///
/// # Errors
/// The reason ([`Reason::NameNotFound`] or [`Reason::ResolverFailed`]) and a
/// sentence.
pub async fn resolve(
    host: &str,
    port: u16,
    family: Family,
    deadline: Instant,
) -> Result<SocketAddr, (Reason, String)> {
    let none =
        || (Reason::NameNotFound, format!("{} has no {} address", printable(host), family.name()));
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return if family.holds(address) { Ok((address, port).into()) } else { Err(none()) };
    }
    let lookup = tokio::time::timeout_at(deadline.into(), tokio::net::lookup_host((host, port)));
    match lookup.await {
        Err(_) => Err((
            Reason::ResolverFailed,
            format!("the resolver gave no answer for {} in time", printable(host)),
        )),
        Ok(Err(error)) => Err(lookup_failure(host, &error)),
        Ok(Ok(mut addresses)) => {
            addresses.find(|address| family.holds(address.ip())).ok_or_else(none)
        }
    }
}

/// glibc says "Temporary failure in name resolution" (EAI_AGAIN) when no
/// server answered; anything else is an answer about the name.
fn lookup_failure(host: &str, error: &std::io::Error) -> (Reason, String) {
    let text = error.to_string();
    let text = text.rsplit(": ").next().unwrap_or_default();
    let reason = if text.starts_with("Temporary") || error.raw_os_error().is_some() {
        Reason::ResolverFailed
    } else {
        Reason::NameNotFound
    };
    (reason, format!("cannot resolve {}: {text}", printable(host)))
}

fn printable(host: &str) -> String {
    crate::output::escape(host.as_bytes())
}
