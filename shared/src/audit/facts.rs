//! All facts about a host: of the live one, or of a tree that
//! [`super::collect`] made of another. What a file tells is read below the
//! root in either case; the kernel and the programs of netfilter are asked on
//! the live host alone, and a collected tree has their answers.

mod accel_ppp;
mod conntrack;
mod interfaces;
mod kernel;
mod poptop;
mod rules;
mod secrets;
mod sockets;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub use accel_ppp::{AccelOption, AccelPpp};
pub use conntrack::Conntrack;
pub use interfaces::Interface;
pub use kernel::{KernelVersion, Modules};
pub use poptop::Poptop;
pub use rules::ParseFirewall;
pub use secrets::SecretsFile;
pub use sockets::ControlSocket;

use super::firewall::Firewall;
use super::known::{Known, Unread};
use super::manifest::Manifest;
use super::sources::DAEMONS;
use crate::gateway::Root;
use crate::gateway::options::Files;
use crate::gateway::proc::{Process, processes};

pub(super) use accel_ppp::{gather as accel_ppp, masked};
pub(super) use kernel::{modules, release};
pub(super) use poptop::gather as poptop;
pub(super) use poptop::{MASK, SECRET, is_secret};
pub(super) use rules::dumps;
pub(super) use secrets::{PLACES as SECRET_PLACES, gather as secrets_files};

/// The port of PPTP's control connection (RFC 2637, section 1).
const PORT: u16 = 1723;

/// Everything that an audit looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Host name; of a collected tree that of where it was gathered.
    pub host: String,
    /// The kernel.
    pub kernel: Known<KernelVersion>,
    /// pptpd; absent where there is none.
    pub poptop: Known<Poptop>,
    /// accel-ppp; absent where there is none.
    pub accel_ppp: Known<AccelPpp>,
    /// Files with secrets in them that are there.
    pub secrets_files: Vec<SecretsFile>,
    /// `net.ipv4.tcp_keepalive_time`.
    pub tcp_keepalive_time: Known<Duration>,
    /// `net.ipv4.tcp_keepalive_intvl`.
    pub tcp_keepalive_interval: Known<Duration>,
    /// `net.ipv4.tcp_keepalive_probes`.
    pub tcp_keepalive_probes: Known<u32>,
    /// Established control connections, by caller.
    pub control_sockets: Known<Vec<ControlSocket>>,
    /// Kernel modules.
    pub modules: Known<Modules>,
    /// Tracked connections; absent on a host that does not track.
    pub conntrack: Known<Conntrack>,
    /// `net.ipv4.ip_forward`.
    pub ip_forward: Known<bool>,
    /// Interfaces, by name.
    pub interfaces: Known<Vec<Interface>>,
    /// Firewall; absent on a host without netfilter or without any rule.
    pub firewall: Known<Firewall>,
    /// Addresses that callers come from, more than one session each.
    pub shared_addresses: BTreeMap<IpAddr, u32>,
}

impl Facts {
    /// Reads everything once. Programs are asked until `deadline`; `parse`
    /// understands their answers.
    pub fn gather<E: Display>(root: &Root, parse: ParseFirewall<E>, deadline: Instant) -> Self {
        let root = &root.without(Manifest::read(root).unread);
        let (poptop, accel_ppp) = match daemons(root) {
            Ok(list) => {
                let poptop = poptop::gather(root, &mut Files::new(root), &list);
                let accel_ppp = accel_ppp::gather(root, &list).map(|(found, _)| found);
                (
                    poptop.map_or(Known::Absent, Known::Is),
                    accel_ppp.map_or(Known::Absent, Known::Is),
                )
            }
            Err(unread) => (Known::Unread(unread.clone()), Known::Unread(unread)),
        };
        let other = accel_ppp.get().and_then(|accel_ppp| accel_ppp.first("pptp", "port"));
        let other = other.and_then(crate::gateway::number);
        let ports: Vec<u16> =
            other.into_iter().filter(|port| *port != PORT).chain([PORT]).collect();
        let (control_sockets, shared_addresses) = sockets::gather(root, &ports);
        let modules = kernel::modules(root);
        Self {
            host: host(root),
            kernel: kernel::version(root),
            secrets_files: secrets::gather(root, accel_ppp.get()),
            poptop,
            accel_ppp,
            tcp_keepalive_time: kernel::seconds(root, "ipv4/tcp_keepalive_time"),
            tcp_keepalive_interval: kernel::seconds(root, "ipv4/tcp_keepalive_intvl"),
            tcp_keepalive_probes: kernel::setting(root, "ipv4/tcp_keepalive_probes"),
            control_sockets,
            conntrack: conntrack::gather(root),
            ip_forward: kernel::switch(root, "ipv4/ip_forward"),
            interfaces: interfaces::gather(root),
            firewall: rules::gather(root, &modules, parse, deadline),
            modules,
            shared_addresses,
        }
    }
}

/// The processes of the daemons and their calls.
pub(super) fn daemons(root: &Root) -> Result<Vec<Process>, Unread> {
    let what = "processes of the daemons";
    let names: Vec<&[u8]> = DAEMONS.iter().map(|name| name.as_bytes()).collect();
    let list = root.open("proc").and_then(|_| processes(root, &names));
    let list = list.map_err(|error| Unread::of(what, &error))?;
    // The first process is always there, unless others' are hidden.
    if root.is_live() && list.is_empty() && !root.exists("proc/1/stat") {
        return Err(Unread {
            what: what.to_owned(),
            why: "/proc shows no processes of others (hidepid)".to_owned(),
            mend: "run as root".to_owned(),
        });
    }
    Ok(list)
}

/// The name that the kernel has, else the one in `/etc/hostname`.
fn host(root: &Root) -> String {
    let name =
        root.read("proc/sys/kernel/hostname", 256).or_else(|_| root.read("etc/hostname", 256));
    String::from_utf8_lossy(&name.unwrap_or_default()).trim().to_owned()
}
