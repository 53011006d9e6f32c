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
    let addresses = resolve_all(host, port, family, deadline).await?;
    addresses.into_iter().next().ok_or_else(|| none(host, family))
}

/// All addresses of `host`, at least one and none of them twice, in the
/// resolver's order.
///
/// # Errors
/// As for [`resolve`].
pub async fn resolve_all(
    host: &str,
    port: u16,
    family: Family,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, (Reason, String)> {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        let wanted = family.holds(address);
        return if wanted { Ok(vec![(address, port).into()]) } else { Err(none(host, family)) };
    }
    let lookup = tokio::time::timeout_at(deadline.into(), tokio::net::lookup_host((host, port)));
    match lookup.await {
        Err(_) => Err((
            Reason::ResolverFailed,
            format!("the resolver gave no answer for {} in time", printable(host)),
        )),
        Ok(Err(error)) => Err(lookup_failure(host, &error)),
        Ok(Ok(found)) => {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found.filter(|address| family.holds(address.ip())) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Err(none(host, family)) } else { Ok(addresses) }
        }
    }
}

fn none(host: &str, family: Family) -> (Reason, String) {
    (Reason::NameNotFound, format!("{} has no {} address", printable(host), family.name()))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn resolved(host: &str, family: Family) -> Result<SocketAddr, (Reason, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        runtime.block_on(resolve(host, 1723, family, deadline))
    }

    #[test]
    fn literal_addresses_need_no_resolver() {
        for (host, expected) in [
            ("192.0.2.1", "192.0.2.1:1723"),
            ("2001:db8::1", "[2001:db8::1]:1723"),
            ("[2001:db8::1]", "[2001:db8::1]:1723"),
        ] {
            assert_eq!(resolved(host, Family::Any), Ok(expected.parse().unwrap()));
        }
        assert!(resolved("192.0.2.1", Family::V4).is_ok());
        assert!(resolved("2001:db8::1", Family::V6).is_ok());
    }

    #[test]
    fn literal_address_of_the_other_family_is_none() {
        for (host, family, words) in [
            ("192.0.2.1", Family::V6, "192.0.2.1 has no IPv6 address"),
            ("[2001:db8::1]", Family::V4, "[2001:db8::1] has no IPv4 address"),
        ] {
            let expected = (Reason::NameNotFound, words.to_owned());
            assert_eq!(resolved(host, family), Err(expected));
        }
    }

    #[test]
    fn families_hold_their_addresses() {
        let v4 = IpAddr::from([192, 0, 2, 1]);
        let v6 = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        for (family, expected) in
            [(Family::Any, (true, true)), (Family::V4, (true, false)), (Family::V6, (false, true))]
        {
            assert_eq!((family.holds(v4), family.holds(v6)), expected);
        }
    }

    /// As the resolver of glibc words them.
    #[test]
    fn resolver_without_an_answer_is_our_own_trouble_and_an_unknown_name_is_not() {
        let error = |text: &str| std::io::Error::other(text.to_owned());
        let answer = "failed to lookup address information: Name or service not known";
        let silence = "failed to lookup address information: Temporary failure in name resolution";
        let words = "cannot resolve vpn.example: ";
        assert_eq!(
            lookup_failure("vpn.example", &error(answer)),
            (Reason::NameNotFound, format!("{words}Name or service not known"))
        );
        assert_eq!(
            lookup_failure("vpn.example", &error(silence)),
            (Reason::ResolverFailed, format!("{words}Temporary failure in name resolution"))
        );
        let (reason, _) = lookup_failure("vpn.example", &std::io::Error::from_raw_os_error(24));
        assert_eq!(reason, Reason::ResolverFailed);
    }

    #[test]
    fn name_cannot_forge_a_line() {
        let (_, text) = lookup_failure("a|b\n", &std::io::Error::other("x: unknown"));
        assert_eq!(text, r"cannot resolve a\x7cb\x0a: unknown");
    }
}
