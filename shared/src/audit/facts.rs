//! All facts about a host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::firewall::Firewall;
use super::known::Known;
use crate::gateway::conntrack::GreFlow;
use crate::gateway::options::Settings;

/// Version of a running kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// 6 of 6.1.0.
    pub major: u16,
    /// 1 of 6.1.0.
    pub minor: u16,
}

/// pptpd and the pppd options that its calls get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poptop {
    /// Whether pptpd runs; a collected tree may tell of one that does not.
    pub runs: bool,
    /// Options of pptpd, under the keywords of pptpd.conf.
    pub pptpd: Settings,
    /// Options of pppd for a call, in the order in which pppd takes them; the
    /// last one wins.
    pub pppd: Settings,
    /// Sessions that pptpd accepts at once.
    pub capacity: Option<u32>,
    /// Options of pppd that differ between running calls, by their process:
    /// only what stands on its command line or in files of its own.
    pub calls: BTreeMap<u32, Settings>,
}

/// One option of accel-ppp.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccelOption {
    /// Section, without brackets.
    pub section: Box<[u8]>,
    /// Name before `=`.
    pub name: Box<[u8]>,
    /// What follows `=`; `None` where there is no `=`.
    pub value: Option<Box<[u8]>>,
    /// File in which it stands.
    pub file: Box<[u8]>,
    /// Line in it, from 1.
    pub line: u32,
}

/// accel-ppp's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccelPpp {
    /// Whether accel-pppd runs.
    pub runs: bool,
    /// All options, in their order.
    pub options: Vec<AccelOption>,
    /// What could not be read of it, in one sentence.
    pub trouble: Option<String>,
}

/// One established control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlSocket {
    /// The caller.
    pub peer: SocketAddr,
    /// Whether the kernel's keepalive timer runs on it (SO_KEEPALIVE).
    pub keepalive: bool,
}

/// Kernel modules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Modules {
    /// Loaded now.
    pub loaded: BTreeSet<String>,
    /// Built into the kernel.
    pub built_in: BTreeSet<String>,
}

/// Tracked connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conntrack {
    /// Entries now.
    pub count: Known<u64>,
    /// Entries at most.
    pub max: Known<u64>,
    /// How long GRE without an answer is kept.
    pub gre_timeout: Known<Duration>,
    /// How long GRE with answers is kept.
    pub gre_timeout_stream: Known<Duration>,
    /// How long an established TCP connection is kept.
    pub tcp_timeout_established: Known<Duration>,
    /// Whether helpers are assigned by themselves (`nf_conntrack_helper`);
    /// absent where the kernel has no such thing any more.
    pub helper_by_itself: Known<bool>,
    /// GRE entries.
    pub gre: Known<Vec<GreFlow>>,
    /// Packets dropped since boot because the table was full, and for want of
    /// an early drop.
    pub dropped: Known<u64>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Octets of an IP packet it sends at most.
    pub mtu: u32,
    /// Whether it is a ppp interface.
    pub is_ppp: bool,
    /// Whether a default route goes out of it.
    pub is_uplink: bool,
    /// Reverse-path filter in force on it: the larger of `all` and its own.
    pub rp_filter: Known<u8>,
}

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
    /// `net.ipv4.tcp_keepalive_time`.
    pub tcp_keepalive_time: Known<Duration>,
    /// `net.ipv4.tcp_keepalive_intvl`.
    pub tcp_keepalive_interval: Known<Duration>,
    /// `net.ipv4.tcp_keepalive_probes`.
    pub tcp_keepalive_probes: Known<u32>,
    /// Established control connections.
    pub control_sockets: Known<Vec<ControlSocket>>,
    /// Kernel modules.
    pub modules: Known<Modules>,
    /// Tracked connections; absent on a host that does not track.
    pub conntrack: Known<Conntrack>,
    /// `net.ipv4.ip_forward`.
    pub ip_forward: Known<bool>,
    /// Interfaces.
    pub interfaces: Known<Vec<Interface>>,
    /// Firewall; absent on a host without netfilter or without any rule.
    pub firewall: Known<Firewall>,
    /// Addresses that callers come from, more than one session each.
    pub shared_addresses: BTreeMap<IpAddr, u32>,
}
