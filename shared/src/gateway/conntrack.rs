//! GRE as the connection tracking of the host sees it: by ctnetlink, else from
//! recorded answers or `/proc/net/nf_conntrack`.
//!
//! The kernel's PPTP helper makes one flow of a call, with a key for each
//! direction. Without it each direction is a flow of its own, which never sees
//! a reply; a call whose GRE is blocked one way leaves one such flow. Packets
//! are counted only where net.netfilter.nf_conntrack_acct is on.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Root;
use crate::net::netlink::{Protocol, dump, recorded};
use crate::wire::netlink::GreEntry;

/// Octets of the table that are read: some 300,000 flows.
const LARGEST: u64 = 64 << 20;

/// A flow of GRE over IPv4. The source sent the first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GreFlow {
    /// Who sent the first packet.
    pub source: Ipv4Addr,
    /// Who received it.
    pub destination: Ipv4Addr,
    /// Call ID that the source receives under; 0 where nobody tells.
    pub source_key: u16,
    /// Call ID that the destination receives under.
    pub destination_key: u16,
    /// Packets from the source.
    pub packets: Option<u64>,
    /// Packets from the destination.
    pub reply_packets: Option<u64>,
    /// Until it is forgotten.
    pub timeout: Duration,
    /// Whether a full table keeps it.
    pub assured: bool,
    /// Whether packets went both ways.
    pub replied: bool,
}

/// Every flow of GRE.
///
/// # Errors
/// `NotFound` where nothing is tracked; else of the kernel, with the mend.
pub fn gre_flows(root: &Root) -> io::Result<Vec<GreFlow>> {
    if !root.is_live() {
        return found(root).or_else(|_| listed(root));
    }
    // Asking would load the module where it is not.
    root.read("proc/sys/net/netfilter/nf_conntrack_count", 32)?;
    asked().or_else(|error| {
        listed(root).map_err(|_| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                io::Error::new(error.kind(), format!("{error}: needs CAP_NET_ADMIN"))
            }
            _ => error,
        })
    })
}

/// Packets by who sent them, who received them, and under which Call ID.
#[derive(Debug, Clone, Default)]
pub struct GrePackets(HashMap<(Ipv4Addr, Ipv4Addr, u16), u64>);

impl GrePackets {
    /// Sums up what `flows` say.
    pub fn of(flows: &[GreFlow]) -> Self {
        let mut ways = HashMap::new();
        for flow in flows {
            let there = (flow.source, flow.destination, flow.destination_key);
            let back = (flow.destination, flow.source, flow.source_key);
            for (way, packets) in [(there, flow.packets), (back, flow.reply_packets)] {
                if let Some(packets) = packets.filter(|packets| *packets > 0) {
                    let sum: &mut u64 = ways.entry(way).or_default();
                    *sum = sum.saturating_add(packets);
                }
            }
        }
        Self(ways)
    }

    /// Packets of the way from `source` to `destination`, which receives under
    /// `call_id`; `None` where none was counted.
    pub fn get(&self, source: Ipv4Addr, destination: Ipv4Addr, call_id: u16) -> Option<u64> {
        self.0.get(&(source, destination, call_id)).copied()
    }
}

/// From the kernel itself.
fn asked() -> io::Result<Vec<GreFlow>> {
    let entries = dump(Protocol::Netfilter, &GreEntry::dump(), GreEntry::parse)?;
    Ok(entries.into_iter().map(flow).collect())
}

/// From recorded answers.
fn found(root: &Root) -> io::Result<Vec<GreFlow>> {
    let entries = recorded(&root.read("net/conntrack.netlink", LARGEST)?, GreEntry::parse)?;
    Ok(entries.into_iter().map(flow).collect())
}

fn flow(entry: GreEntry) -> GreFlow {
    GreFlow {
        source: entry.source,
        destination: entry.destination,
        source_key: entry.source_key,
        destination_key: entry.destination_key,
        packets: entry.original_packets,
        reply_packets: entry.reply_packets,
        timeout: Duration::from_secs(entry.timeout.into()),
        assured: entry.status & GreEntry::ASSURED != 0,
        replied: entry.status & GreEntry::SEEN_REPLY != 0,
    }
}

/// From the table in `/proc`.
fn listed(root: &Root) -> io::Result<Vec<GreFlow>> {
    let table = root.read("proc/net/nf_conntrack", LARGEST)?;
    Ok(table.split(|octet| *octet == b'\n').filter_map(parse_line).collect())
}

/// `ipv4 2 gre 47 178 timeout=30, stream_timeout=180 src=10.77.0.3
/// dst=10.77.0.2 srckey=0x30ea dstkey=0x0 packets=17 bytes=1171 src=10.77.0.2
/// ... [ASSURED] mark=0 use=2`: the first tuple, then the same of the replies.
fn parse_line(line: &[u8]) -> Option<GreFlow> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    if (words.next()?, words.nth(1)?) != ("ipv4", "gre") {
        return None;
    }
    let timeout = Duration::from_secs(words.nth(1)?.parse().ok()?);
    let words: Vec<&str> = words.collect();
    let (original, reply) =
        words.split_at(words.iter().rposition(|word| word.starts_with("src="))?);
    let key = |name| u16::from_str_radix(field(original, name)?.strip_prefix("0x")?, 16).ok();
    let packets = |words| field(words, "packets=")?.parse().ok();
    Some(GreFlow {
        source: field(original, "src=")?.parse().ok()?,
        destination: field(original, "dst=")?.parse().ok()?,
        source_key: key("srckey=")?,
        destination_key: key("dstkey=")?,
        packets: packets(original),
        reply_packets: packets(reply),
        timeout,
        assured: words.contains(&"[ASSURED]"),
        replied: !words.contains(&"[UNREPLIED]"),
    })
}

fn field<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name))
}
