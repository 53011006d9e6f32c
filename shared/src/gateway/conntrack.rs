//! GRE as the connection tracking of the host sees it: by ctnetlink, else from
//! recorded answers or `/proc/net/nf_conntrack`.
//!
//! The kernel's PPTP helper makes one flow of a call, with a key for each
//! direction. Without it each direction is a flow of its own, which never sees
//! a reply; a call whose GRE is blocked one way leaves one such flow. Packets
//! are counted only where net.netfilter.nf_conntrack_acct is on.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Root, number};
use crate::net::netlink::{Protocol, dump, recorded};
use crate::wire::netlink::GreEntry;

/// Octets of the table that are read: some 300,000 flows.
const LARGEST: u64 = 64 << 20;
/// Octets of it that are read at a time.
const BUFFER: usize = 64 << 10;

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

/// As `/proc/net/nf_conntrack` has it, with nothing that is not known here.
impl fmt::Display for GreFlow {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { source, destination, source_key, destination_key, .. } = self;
        let packets = |packets: Option<u64>| packets.map(|n| format!(" packets={n}"));
        let (there, back) = (packets(self.packets), packets(self.reply_packets));
        write!(
            f,
            "ipv4     2 gre      47 {} src={source} dst={destination} srckey={source_key:#x} \
             dstkey={destination_key:#x}{}{} src={destination} dst={source} \
             srckey={destination_key:#x} dstkey={source_key:#x}{}{}",
            self.timeout.as_secs(),
            there.unwrap_or_default(),
            if self.replied { "" } else { " [UNREPLIED]" },
            back.unwrap_or_default(),
            if self.assured { " [ASSURED]" } else { "" },
        )
    }
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
    asked().or_else(|error| listed(root).map_err(|_| error))
}

/// Packets by who sent them, who received them, and under which Call ID.
#[derive(Debug, Clone, Default)]
pub struct GrePackets(HashMap<(Ipv4Addr, Ipv4Addr, u16), u64>);

impl GrePackets {
    /// Sums up what `flows` say; nothing where packets are not counted.
    pub fn of(root: &Root, flows: &[GreFlow]) -> Option<Self> {
        let switch = root.read("proc/sys/net/netfilter/nf_conntrack_acct", 32);
        let is_on = switch.is_ok_and(|text| number::<u8>(&text) == Some(1));
        let is_counted = is_on || flows.iter().any(|flow| flow.packets.is_some());
        is_counted.then(|| Self::sum(flows))
    }

    fn sum(flows: &[GreFlow]) -> Self {
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
    let entries = dump(Protocol::Netfilter, &GreEntry::dump(), GreEntry::parse);
    let entries = entries.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            io::Error::new(error.kind(), format!("{error}: needs CAP_NET_ADMIN"))
        }
        _ => error,
    })?;
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
    let table = root.open("proc/net/nf_conntrack")?.take(LARGEST);
    let mut table = BufReader::with_capacity(BUFFER, table);
    let mut flows = Vec::new();
    let mut line = Vec::new();
    while table.read_until(b'\n', &mut line)? > 0 {
        flows.extend(parse_line(&line));
        line.clear();
    }
    Ok(flows)
}

/// `ipv4 2 gre 47 178 timeout=30, stream_timeout=180 src=10.77.0.3
/// dst=10.77.0.2 srckey=0x30ea dstkey=0x0 packets=17 bytes=1171 src=10.77.0.2
/// ... [ASSURED] mark=0 use=2`: the first tuple, then the same of the replies.
fn parse_line(line: &[u8]) -> Option<GreFlow> {
    // Most lines of a large table are of other protocols.
    if !line.starts_with(b"ipv4") || line.get(4..20)?.trim_ascii().get(2..5)? != b"gre" {
        return None;
    }
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

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::gateway::{fixture, in_namespace, run};
    use crate::net::privilege;

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, last)
    }

    /// A session, one that ended, and GRE that nobody answered.
    fn flows() -> Vec<GreFlow> {
        let flow = |caller, keys: (u16, u16), packets: (u64, u64), timeout| GreFlow {
            source: address(caller),
            destination: address(2),
            source_key: keys.0,
            destination_key: keys.1,
            packets: Some(packets.0),
            reply_packets: Some(packets.1),
            timeout: Duration::from_secs(timeout),
            assured: true,
            replied: true,
        };
        let unanswered = GreFlow {
            source: address(2),
            destination: address(3),
            assured: false,
            replied: false,
            ..flow(3, (0, 0xc865), (2, 0), 24)
        };
        vec![
            flow(3, (0xb838, 0), (21, 19), 167),
            unanswered,
            flow(3, (0xb295, 0x100), (15, 15), 179),
            flow(4, (0xab6f, 0x80), (16, 16), 167),
        ]
    }

    #[test]
    fn recorded_answer_tells_every_flow_of_gre() {
        assert_eq!(gre_flows(&fixture("poptop-netlink")).unwrap(), flows());
    }

    #[test]
    fn table_in_proc_tells_the_same() {
        assert_eq!(listed(&fixture("poptop-netlink")).unwrap(), flows());
    }

    #[test]
    fn flow_is_written_as_it_is_read() {
        let uncounted = GreFlow { packets: None, reply_packets: None, ..flows()[1] };
        for flow in flows().into_iter().chain([uncounted]) {
            assert_eq!(parse_line(flow.to_string().as_bytes()), Some(flow));
        }
    }

    #[test]
    fn flow_that_nobody_counts_has_no_packets() {
        let line = b"ipv4     2 gre      47 27 timeout=30, stream_timeout=180 src=10.77.0.3 \
            dst=10.77.0.2 srckey=0x0 dstkey=0x431b [UNREPLIED] src=10.77.0.2 dst=10.77.0.3 \
            srckey=0x431b dstkey=0x0 mark=0 use=2";
        let flow = parse_line(line).unwrap();
        assert_eq!((flow.packets, flow.reply_packets, flow.replied), (None, None, false));
        assert_eq!(GrePackets::sum(&[flow]).get(flow.source, flow.destination, 0x431b), None);
    }

    #[test]
    fn packets_are_found_by_who_receives_them_and_under_which_call_id() {
        let packets = GrePackets::sum(&flows());
        assert_eq!(packets.get(address(3), address(2), 0), Some(21));
        assert_eq!(packets.get(address(2), address(3), 0xb838), Some(19));
        assert_eq!(packets.get(address(2), address(3), 0xc865), Some(2));
        assert_eq!(packets.get(address(3), address(2), 0x80), None);
        // Without the helper the directions are flows of their own.
        let one_way = flows()[1];
        let twice = GrePackets::sum(&[one_way, one_way]);
        assert_eq!(twice.get(address(2), address(3), 0xc865), Some(4));
    }

    #[test]
    fn kernel_is_asked_for_gre_alone() {
        in_namespace(|| {
            let insert = "conntrack -I -s 192.0.2.1 -d 192.0.2.2 -t 100";
            if !run(&format!("{insert} -p gre --srckey 0x30ea --dstkey 0x80")) {
                return eprintln!("skipped: conntrack(8) is not there, or tracks nothing");
            }
            assert!(run(&format!("{insert} -p udp --sport 5 --dport 1723")));
            let flows = asked().unwrap();
            let seen: Vec<_> =
                flows.iter().map(|flow| (flow.source_key, flow.destination_key)).collect();
            assert_eq!(seen, [(0x30ea, 0x80)]);
            assert_eq!((flows[0].packets, flows[0].replied), (None, false));
        });
    }

    #[test]
    fn missing_right_is_named() {
        in_namespace(|| {
            privilege::drop_all().unwrap();
            let text = asked().unwrap_err().to_string();
            assert!(text.ends_with("needs CAP_NET_ADMIN"), "{text}");
        });
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, at in 0_usize..300) {
            let _ = parse_line(&octets);
            let mut line = include_bytes!(
                "../../../tests/fixtures/gateway/poptop-netlink/proc/net/nf_conntrack"
            )[..300].to_vec();
            for (old, new) in line[at..].iter_mut().zip(&octets) {
                *old = *new;
            }
            let _ = parse_line(&line);
        }
    }
}
