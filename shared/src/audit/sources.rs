//! Where an audit looks: files and programs, in one table that gathering,
//! collecting and the script that collects share. Paths are from the root.

use std::io;

/// What becomes of a file when it is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    /// It is copied.
    Whole,
    /// Options of pppd; without comments and secrets.
    Pppd,
    /// pptpd.conf; without comments.
    Pptpd,
    /// accel-ppp.conf; without comments and secrets.
    AccelPpp,
    /// Tracked connections; of GRE alone.
    Gre,
}

/// Files; `*` stands for any name, `VERSION` for the release of the kernel.
/// What the daemons' command lines and these files name comes on top.
pub(super) const FILES: &[(&str, Copy)] = &[
    ("etc/hostname", Copy::Whole),
    ("etc/os-release", Copy::Whole),
    ("etc/pptpd.conf", Copy::Pptpd),
    ("etc/ppp/options", Copy::Pppd),
    ("root/.ppprc", Copy::Pppd),
    ("etc/accel-ppp.conf", Copy::AccelPpp),
    ("lib/modules/VERSION/modules.builtin", Copy::Whole),
    ("proc/modules", Copy::Whole),
    ("proc/stat", Copy::Whole),
    ("proc/net/ip_tables_names", Copy::Whole),
    ("proc/net/nf_conntrack", Copy::Gre),
    ("proc/net/route", Copy::Whole),
    ("proc/net/stat/nf_conntrack", Copy::Whole),
    ("proc/net/tcp", Copy::Whole),
    ("proc/net/tcp6", Copy::Whole),
    ("proc/sys/kernel/hostname", Copy::Whole),
    ("proc/sys/kernel/osrelease", Copy::Whole),
    ("proc/sys/net/ipv4/conf/*/rp_filter", Copy::Whole),
    ("proc/sys/net/ipv4/ip_forward", Copy::Whole),
    ("proc/sys/net/ipv4/tcp_keepalive_intvl", Copy::Whole),
    ("proc/sys/net/ipv4/tcp_keepalive_probes", Copy::Whole),
    ("proc/sys/net/ipv4/tcp_keepalive_time", Copy::Whole),
    ("proc/sys/net/netfilter/nf_conntrack_count", Copy::Whole),
    ("proc/sys/net/netfilter/nf_conntrack_gre_timeout", Copy::Whole),
    ("proc/sys/net/netfilter/nf_conntrack_gre_timeout_stream", Copy::Whole),
    ("proc/sys/net/netfilter/nf_conntrack_helper", Copy::Whole),
    ("proc/sys/net/netfilter/nf_conntrack_max", Copy::Whole),
    ("proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", Copy::Whole),
    ("sys/class/net/*/mtu", Copy::Whole),
    ("sys/class/net/*/type", Copy::Whole),
];

/// Programs whose processes are looked at.
pub(super) const DAEMONS: &[&str] = &["accel-pppd", "pppd", "pptpctrl", "pptpd"];
/// What is looked at of them, below `proc/PID`.
pub(super) const OF_PROCESS: &[&str] = &["stat", "status", "cmdline"];

/// A program that tells of rules.
#[derive(Debug)]
pub(super) struct Command {
    /// Names it goes by; the first that is installed is asked.
    pub(super) programs: &'static [&'static str],
    /// Its arguments.
    pub(super) arguments: &'static [&'static str],
    /// File of a collected tree that has its answer.
    pub(super) file: &'static str,
    /// What it tells.
    pub(super) what: &'static str,
    /// Whether it tells of nf_tables; if not, of the older ip_tables.
    pub(super) knows_nft: bool,
}

/// Every program that is asked.
pub(super) const COMMANDS: [Command; 3] = [
    Command {
        programs: &["nft"],
        arguments: &["-j", "list", "ruleset"],
        file: "pptp-monitor/nft.txt",
        what: "rules of nftables",
        knows_nft: true,
    },
    // What nft shows of rules with extensions of iptables is not enough.
    Command {
        programs: &["iptables-nft-save"],
        arguments: &["-c"],
        file: "pptp-monitor/iptables-nft-save.txt",
        what: "rules of iptables in nftables",
        knows_nft: true,
    },
    Command {
        programs: &["iptables-legacy-save", "iptables-save"],
        arguments: &["-c"],
        file: "pptp-monitor/iptables-legacy-save.txt",
        what: "rules of iptables",
        knows_nft: false,
    },
];

/// Files with secrets in them: their mode and owner.
pub(super) const SECRETS_LIST: &str = "pptp-monitor/secrets.txt";
/// What was collected, and what could not be.
pub(super) const MANIFEST: &str = "pptp-monitor/manifest.txt";

/// Why a program could not be asked.
pub(super) fn not_installed(command: &Command) -> io::Error {
    let program = command.programs[0];
    io::Error::other(format!("{program} is not installed"))
}
