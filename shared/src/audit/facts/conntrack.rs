//! Tracked connections: the table's size, how long it keeps what, and GRE.
//!
//! The settings of GRE's times are there only where the kernel has them;
//! `nf_conntrack_helper` is gone since Linux 6.0.

use std::io;
use std::time::Duration;

use super::super::known::{Known, Unread};
use super::kernel::{has_settings, seconds, setting, switch};
use crate::gateway::Root;
use crate::gateway::conntrack::{GreFlow, gre_flows};

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
    /// Packets dropped since boot for want of room in the table, of all
    /// processors together (`drop` in `/proc/net/stat/nf_conntrack`).
    pub dropped: Known<u64>,
}

pub(super) fn gather(root: &Root) -> Known<Conntrack> {
    let count = setting(root, "netfilter/nf_conntrack_count");
    match count {
        Known::Absent => return Known::Absent,
        Known::Unread(unread) if !has_settings(root) => return Known::Unread(unread),
        _ => {}
    }
    Known::Is(Conntrack {
        count,
        max: setting(root, "netfilter/nf_conntrack_max"),
        gre_timeout: seconds(root, "netfilter/nf_conntrack_gre_timeout"),
        gre_timeout_stream: seconds(root, "netfilter/nf_conntrack_gre_timeout_stream"),
        tcp_timeout_established: seconds(root, "netfilter/nf_conntrack_tcp_timeout_established"),
        helper_by_itself: switch(root, "netfilter/nf_conntrack_helper"),
        gre: flows(root),
        dropped: dropped(root),
    })
}

fn flows(root: &Root) -> Known<Vec<GreFlow>> {
    let what = "tracked GRE";
    let mut flows = match gre_flows(root) {
        Ok(flows) => flows,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Known::Unread(Unread {
                what: what.to_owned(),
                why: "there is no /proc/net/nf_conntrack".to_owned(),
                mend: String::new(),
            });
        }
        Err(error) => {
            return Known::Unread(match root.is_live() {
                true => Unread::of(what, &error).or_net_admin(&error),
                false => Unread::of(what, &error),
            });
        }
    };
    flows
        .sort_by_key(|flow| (flow.source, flow.destination, flow.source_key, flow.destination_key));
    Known::Is(flows)
}

/// A line of names, then one of hexadecimal numbers for each processor.
fn dropped(root: &Root) -> Known<u64> {
    let sum = root.read("proc/net/stat/nf_conntrack", 1 << 20).and_then(|text| {
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let names = lines.next().unwrap_or_default();
        let column = names.split_ascii_whitespace().position(|name| name == "drop");
        let of =
            |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(column?)?, 16).ok();
        let sum = lines.try_fold(0_u64, |sum, line| sum.checked_add(of(line)?));
        sum.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not understood"))
    });
    Known::of(sum, "packets dropped by connection tracking")
}
