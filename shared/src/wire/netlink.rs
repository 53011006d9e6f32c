//! Netlink (RFC 3549; netlink(7), rtnetlink(7), sock_diag(7)), as far as the
//! kernel tells by it of a gateway's sessions: interfaces, IPv4 addresses, TCP
//! sockets and tracked GRE.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------------------------------+
//! |                    Length, this header included               |
//! +-------------------------------+-------------------------------+
//! |              Type             |             Flags             |
//! +-------------------------------+-------------------------------+
//! |                        Sequence Number                        |
//! +---------------------------------------------------------------+
//! |                       Port of the receiver                    |
//! +---------------------------------------------------------------+
//! ```
//!
//! Behind the header stands a structure that goes with the type, then
//! attributes: length, type, value, each filled up to four octets, and nested.
//! Numbers are in the byte order of the host, but for addresses and ports, and
//! for all of connection tracking: those are in network order.
//!
//! Structures grow at their end from kernel to kernel. What is longer than
//! known here is read as far as it is known, and unknown attributes are passed
//! over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::gre::IP_PROTOCOL as GRE;
use super::{Error, Reader, Result};

/// The type of a message that ends a dump, with an error number below zero, or
/// zero.
pub const DONE: u16 = 3;
/// The type of a message that refuses a request, with an error number below
/// zero.
pub const ERROR: u16 = 2;
/// The flag of an answer during which the table changed: something may be
/// missing or there twice.
pub const DUMP_INTERRUPTED: u16 = 0x10;

const HEADER: usize = 16;
const REQUEST_DUMP: u16 = 0x301;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const CONNTRACK_NEW: u16 = 0x100;
const CONNTRACK_GET: u16 = 0x101;
const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is, within its protocol of netlink.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// That of the request.
    pub sequence: u32,
    /// What stands behind the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message of a datagram, and what is behind it.
    ///
    /// # Errors
    /// [`Error::Truncated`], and [`Error::BadLength`] when the length is below
    /// that of the header.
    pub fn parse(octets: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let mut r = Reader::new("netlink message", octets);
        let length = u32_host(&mut r)? as usize;
        let kind = u16_host(&mut r)?;
        let flags = u16_host(&mut r)?;
        let sequence = u32_host(&mut r)?;
        r.skip(4)?;
        let behind = length
            .checked_sub(HEADER)
            .ok_or(Error::BadLength { what: "netlink message", length })?;
        let body = r.take(behind)?;
        r.skip(padding(length).min(r.remaining()))?;
        Ok((Self { kind, flags, sequence, body }, r.rest()))
    }

    /// The error number that a [`DONE`] or [`ERROR`] message carries.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn error_number(&self) -> Result<i32> {
        Reader::new("netlink error", self.body).array().map(i32::from_ne_bytes)
    }

    /// A request for everything of a table, with sequence number 1.
    fn dump(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + body.len());
        out.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(REQUEST_DUMP.to_ne_bytes());
        out.extend(1_u32.to_ne_bytes());
        out.extend([0; 4]);
        out.extend(body);
        out
    }
}

/// An interface (`struct ifinfomsg`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// True when the interface is no more.
    pub gone: bool,
    /// Hardware type, as ARP has it (RFC 826): 512 is ppp.
    pub hardware: u16,
    /// Its number.
    pub index: u32,
    /// IFF_* of netdevice(7).
    pub flags: u32,
    /// Its name.
    pub name: &'a [u8],
    /// Octets of an IP packet at most.
    pub mtu: Option<u32>,
    /// What it has carried.
    pub counters: Option<Counters>,
}

/// The first four of `struct rtnl_link_stats64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Octets sent.
    pub tx_octets: u64,
}

impl<'a> Link<'a> {
    /// Asks for every interface.
    pub fn dump() -> Vec<u8> {
        Message::dump(RTM_GETLINK, &[0; 16])
    }

    /// `None` for messages of other types, and for those that tell of an
    /// interface in its role for one address family or as part of a bridge.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::BadLength`].
    pub fn parse(message: &Message<'a>) -> Result<Option<Self>> {
        let mut r = Reader::new("interface", message.body);
        let gone = message.kind == RTM_DELLINK;
        if !gone && message.kind != RTM_NEWLINK || r.u8()? != AF_UNSPEC {
            return Ok(None);
        }
        r.skip(1)?;
        let hardware = u16_host(&mut r)?;
        let index = u32_host(&mut r)?;
        let flags = u32_host(&mut r)?;
        r.skip(4)?;
        let mut link = Self { gone, hardware, index, flags, name: b"", mtu: None, counters: None };
        while let Some((kind, mut value)) = attribute(&mut r)? {
            match kind {
                3 => link.name = text(value.rest()),
                4 => link.mtu = Some(u32_host(&mut value)?),
                23 => {
                    link.counters = Some(Counters {
                        rx_packets: u64_host(&mut value)?,
                        tx_packets: u64_host(&mut value)?,
                        rx_octets: u64_host(&mut value)?,
                        tx_octets: u64_host(&mut value)?,
                    })
                }
                _ => {}
            }
        }
        Ok(Some(link))
    }
}

/// An IPv4 address of an interface (`struct ifaddrmsg`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Number of the interface.
    pub index: u32,
    /// Our own end.
    pub local: Ipv4Addr,
    /// The other end; our own where there is no single one.
    pub peer: Ipv4Addr,
}

impl Address {
    /// Asks for every IPv4 address.
    pub fn dump() -> Vec<u8> {
        Message::dump(RTM_GETADDR, &[AF_INET, 0, 0, 0, 0, 0, 0, 0])
    }

    /// `None` for messages of other types and families, and for an address
    /// that goes away.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::BadLength`].
    pub fn parse(message: &Message) -> Result<Option<Self>> {
        let mut r = Reader::new("address", message.body);
        if message.kind != RTM_NEWADDR || r.u8()? != AF_INET {
            return Ok(None);
        }
        r.skip(3)?;
        let index = u32_host(&mut r)?;
        let (mut local, mut peer) = (None, None);
        while let Some((kind, mut value)) = attribute(&mut r)? {
            match kind {
                1 => peer = Some(ipv4(&mut value)?),
                2 => local = Some(ipv4(&mut value)?),
                _ => {}
            }
        }
        Ok(local.or(peer).zip(peer.or(local)).map(|(local, peer)| Self { index, local, peer }))
    }
}

/// A TCP socket (`struct inet_diag_msg`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// Our own end.
    pub local: SocketAddr,
    /// The other end; port 0 where there is none.
    pub remote: SocketAddr,
    /// Number of the state in the kernel: 1 established, 10 listening.
    pub state: u8,
    /// Which of its timers runs: 0 none, 1 to send again, 2 keepalive, 4 to
    /// probe a closed window. Of several the kernel tells 1 or 4 before 2.
    pub timer: u8,
    /// Inode, which the owner's descriptors name.
    pub inode: u32,
    /// What TCP has measured.
    pub info: Option<TcpInfo>,
}

/// Of `struct tcp_info` (tcp(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// Since data was sent last, milliseconds.
    pub last_data_sent: u32,
    /// Since data was received last, milliseconds.
    pub last_data_received: u32,
    /// Smoothed round trip, microseconds.
    pub rtt: u32,
    /// Segments sent again.
    pub total_retransmissions: u32,
}

/// TCP over this version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4 = AF_INET as isize,
    /// IPv6, with the connections over IPv4 that its sockets took.
    Ipv6 = AF_INET6 as isize,
}

impl TcpSocket {
    /// Asks for the sockets with this local port that belong to a process,
    /// with [`TcpInfo`].
    pub fn dump(family: Family, local_port: u16) -> Vec<u8> {
        /// `struct inet_diag_req_v2`.
        const LENGTH: usize = 56;
        const TCP: u8 = 6;
        const WITH_INFO: u8 = 1 << 1;
        /// From established to listening, without those that wait for old
        /// segments to die (6) or are closed (7).
        const STATES: u32 = 0x0f3e;

        let mut body = vec![family as u8, TCP, WITH_INFO, 0];
        body.extend(STATES.to_ne_bytes());
        body.extend(local_port.to_be_bytes());
        body.resize(LENGTH, 0);
        Message::dump(SOCK_DIAG_BY_FAMILY, &body)
    }

    /// `None` for messages of other types and families.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::BadLength`].
    pub fn parse(message: &Message) -> Result<Option<Self>> {
        if message.kind != SOCK_DIAG_BY_FAMILY {
            return Ok(None);
        }
        let mut r = Reader::new("TCP socket", message.body);
        let family = r.u8()?;
        let state = r.u8()?;
        let timer = r.u8()?;
        r.skip(1)?;
        let (local_port, remote_port) = (r.u16()?, r.u16()?);
        let (local, remote) = (r.array::<16>()?, r.array::<16>()?);
        // Interface, cookie, expiry, queues, user.
        r.skip(4 + 8 + 4 + 8 + 4)?;
        let inode = u32_host(&mut r)?;
        let mut info = None;
        while let Some((kind, value)) = attribute(&mut r)? {
            if kind == 2 {
                info = tcp_info(value).ok();
            }
        }
        let address = |octets: [u8; 16]| match (family, octets) {
            (AF_INET, [a, b, c, d, ..]) => Some(IpAddr::from([a, b, c, d])),
            (AF_INET6, octets) => Some(Ipv6Addr::from(octets).to_canonical()),
            _ => None,
        };
        Ok(address(local).zip(address(remote)).map(|(local, remote)| Self {
            local: SocketAddr::new(local, local_port),
            remote: SocketAddr::new(remote, remote_port),
            state,
            timer,
            inode,
            info,
        }))
    }
}

/// Kernels from before 2.6.10 end before the last field; they tell nothing.
fn tcp_info(mut value: Reader) -> Result<TcpInfo> {
    value.skip(44)?;
    let last_data_sent = u32_host(&mut value)?;
    value.skip(4)?;
    let last_data_received = u32_host(&mut value)?;
    value.skip(12)?;
    let rtt = u32_host(&mut value)?;
    value.skip(28)?;
    let total_retransmissions = u32_host(&mut value)?;
    Ok(TcpInfo { last_data_sent, last_data_received, rtt, total_retransmissions })
}

/// An IPv4 flow of GRE that connection tracking knows; "original" is the
/// direction of its first packet. The keys of enhanced GRE are Call IDs: of
/// the receiver in the destination key, and in the source key what the PPTP
/// helper of the kernel expects the other way, 0 without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GreEntry {
    /// Sender of the first packet.
    pub source: Ipv4Addr,
    /// Its receiver.
    pub destination: Ipv4Addr,
    /// Key of what the receiver sends.
    pub source_key: u16,
    /// Key of what the sender sends.
    pub destination_key: u16,
    /// IPS_* bits of the kernel.
    pub status: u32,
    /// Until it is forgotten, seconds.
    pub timeout: u32,
    /// Packets of the original direction; `None` where nobody counts.
    pub original_packets: Option<u64>,
    /// Packets of the other direction.
    pub reply_packets: Option<u64>,
}

impl GreEntry {
    /// Bit of [`GreEntry::status`]: packets went both ways.
    pub const SEEN_REPLY: u32 = 1 << 1;
    /// Bit of [`GreEntry::status`]: a full table does not drop it early.
    pub const ASSURED: u32 = 1 << 2;

    /// Asks for every IPv4 flow of GRE. Kernels before 5.8 do not know the
    /// filter and answer with flows of all protocols.
    pub fn dump() -> Vec<u8> {
        const NESTED: u16 = 0x8000;
        const TUPLE_ORIG: u16 = 1;
        const TUPLE_PROTO: u16 = 2;
        const PROTO_NUM: u16 = 1;
        const FILTER: u16 = 25;
        const ORIG_FLAGS: u16 = 1;
        const REPLY_FLAGS: u16 = 2;
        const BY_PROTOCOL: u32 = 1 << 3;

        let protocol = emit_attribute(NESTED | TUPLE_PROTO, &emit_attribute(PROTO_NUM, &[GRE]));
        let mut flags = emit_attribute(ORIG_FLAGS, &BY_PROTOCOL.to_ne_bytes());
        flags.extend(emit_attribute(REPLY_FLAGS, &0_u32.to_ne_bytes()));
        let mut body = vec![AF_INET, 0, 0, 0];
        body.extend(emit_attribute(NESTED | TUPLE_ORIG, &protocol));
        body.extend(emit_attribute(NESTED | FILTER, &flags));
        Message::dump(CONNTRACK_GET, &body)
    }

    /// `None` for messages of other types, and for flows that are not GRE over
    /// IPv4.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::BadLength`].
    pub fn parse(message: &Message) -> Result<Option<Self>> {
        if message.kind != CONNTRACK_NEW {
            return Ok(None);
        }
        let mut r = Reader::new("tracked connection", message.body);
        r.skip(4)?;
        let mut tuple = None;
        let (mut status, mut timeout) = (0, 0);
        let (mut original_packets, mut reply_packets) = (None, None);
        while let Some((kind, mut value)) = attribute(&mut r)? {
            match kind {
                1 => tuple = gre_tuple(value)?,
                3 => status = value.u32()?,
                7 => timeout = value.u32()?,
                9 => original_packets = packets(value)?,
                10 => reply_packets = packets(value)?,
                _ => {}
            }
        }
        Ok(tuple.map(|(source, destination, source_key, destination_key)| Self {
            source,
            destination,
            source_key,
            destination_key,
            status,
            timeout,
            original_packets,
            reply_packets,
        }))
    }
}

fn gre_tuple(mut tuple: Reader) -> Result<Option<(Ipv4Addr, Ipv4Addr, u16, u16)>> {
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut source_key, mut destination_key) = (None, None);
    while let Some((part, mut value)) = attribute(&mut tuple)? {
        while let Some((kind, mut value)) = attribute(&mut value)? {
            match (part, kind) {
                (1, 1) => source = Some(ipv4(&mut value)?),
                (1, 2) => destination = Some(ipv4(&mut value)?),
                (2, 1) => protocol = Some(value.u8()?),
                (2, 2) => source_key = Some(value.u16()?),
                (2, 3) => destination_key = Some(value.u16()?),
                _ => {}
            }
        }
    }
    Ok(match (source, destination, protocol, source_key, destination_key) {
        (Some(source), Some(destination), Some(GRE), Some(source_key), Some(destination_key)) => {
            Some((source, destination, source_key, destination_key))
        }
        _ => None,
    })
}

fn packets(mut counters: Reader) -> Result<Option<u64>> {
    while let Some((kind, mut value)) = attribute(&mut counters)? {
        if kind == 1 {
            return value.array().map(|octets| Some(u64::from_be_bytes(octets)));
        }
    }
    Ok(None)
}

/// The next attribute, without its flags; `None` at the end.
fn attribute<'a>(r: &mut Reader<'a>) -> Result<Option<(u16, Reader<'a>)>> {
    const LENGTH: usize = 4;
    const NUMBER: u16 = 0x3fff;
    if r.is_empty() {
        return Ok(None);
    }
    let length = usize::from(u16_host(r)?);
    let kind = u16_host(r)? & NUMBER;
    let behind =
        length.checked_sub(LENGTH).ok_or(Error::BadLength { what: "netlink attribute", length })?;
    let value = r.part("netlink attribute", behind)?;
    r.skip(padding(length).min(r.remaining()))?;
    Ok(Some((kind, value)))
}

fn emit_attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut out = Vec::with_capacity(length + 3);
    out.extend((length as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(length + padding(length), 0);
    out
}

/// Octets up to the next multiple of four.
fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// Up to the NUL, which may be missing.
fn text(value: &[u8]) -> &[u8] {
    value.split(|octet| *octet == 0).next().unwrap_or(value)
}

fn ipv4(r: &mut Reader) -> Result<Ipv4Addr> {
    r.array::<4>().map(Ipv4Addr::from)
}

fn u16_host(r: &mut Reader) -> Result<u16> {
    r.array().map(u16::from_ne_bytes)
}

fn u32_host(r: &mut Reader) -> Result<u32> {
    r.array().map(u32::from_ne_bytes)
}

fn u64_host(r: &mut Reader) -> Result<u64> {
    r.array().map(u64::from_ne_bytes)
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    macro_rules! recorded {
        ($name:literal) => {
            include_bytes!(concat!(
                "../../../tests/fixtures/gateway/poptop-netlink/net/",
                $name,
                ".netlink"
            ))
        };
    }
    const LINKS: &[u8] = recorded!("links");
    const ADDRESSES: &[u8] = recorded!("addresses");
    const SOCKETS: &[u8] = recorded!("sockets");
    const CONNTRACK: &[u8] = recorded!("conntrack");
    const EVENTS: &[u8] = recorded!("events");

    fn messages(mut octets: &[u8]) -> Vec<Message<'_>> {
        let mut out = Vec::new();
        while !octets.is_empty() {
            let (message, rest) = Message::parse(octets).unwrap();
            out.push(message);
            octets = rest;
        }
        out
    }

    fn all<'a, T>(octets: &'a [u8], parse: impl Fn(&Message<'a>) -> Result<Option<T>>) -> Vec<T> {
        messages(octets).iter().filter_map(|message| parse(message).unwrap()).collect()
    }

    #[test]
    fn recorded_interfaces_are_read() {
        let links = all(LINKS, Link::parse);
        let names: Vec<_> = links.iter().map(|link| (link.name, link.hardware)).collect();
        assert_eq!(names, [(&b"lo"[..], 772), (b"vec0", 1), (b"ppp0", 512)]);
        assert_eq!(
            links[2],
            Link {
                gone: false,
                hardware: 512,
                index: 6,
                flags: 0x110d1,
                name: b"ppp0",
                mtu: Some(1496),
                counters: Some(Counters {
                    rx_packets: 11,
                    tx_packets: 11,
                    rx_octets: 378,
                    tx_octets: 378
                }),
            }
        );
        let gone: Vec<_> = all(EVENTS, Link::parse).iter().map(|link| link.gone).collect();
        assert_eq!(gone, [false, true, false, false, false, false, true]);
    }

    #[test]
    fn interface_as_part_of_a_bridge_is_passed_over() {
        let message = messages(LINKS)[0];
        let mut body = message.body.to_vec();
        body[0] = 7;
        assert_eq!(Link::parse(&Message { body: &body, ..message }), Ok(None));
    }

    #[test]
    fn recorded_addresses_are_read() {
        let ours = Ipv4Addr::new(192, 168, 77, 1);
        assert_eq!(
            all(ADDRESSES, Address::parse)[1..],
            [
                Address { index: 1, local: ours, peer: ours },
                Address {
                    index: 2,
                    local: Ipv4Addr::new(10, 77, 0, 2),
                    peer: Ipv4Addr::new(10, 77, 0, 2)
                },
                Address { index: 6, local: ours, peer: Ipv4Addr::new(192, 168, 77, 10) },
            ]
        );
        let came = all(EVENTS, Address::parse);
        assert_eq!(came.len(), 2, "what goes away is passed over");
    }

    #[test]
    fn recorded_sockets_are_read() {
        let sockets = all(SOCKETS, TcpSocket::parse);
        assert_eq!(sockets.len(), 3);
        assert_eq!(
            sockets[2],
            TcpSocket {
                local: SocketAddr::from(([10, 77, 0, 2], 1723)),
                remote: SocketAddr::from(([10, 77, 0, 3], 43045)),
                state: 1,
                timer: 0,
                inode: 1133,
                info: Some(TcpInfo {
                    last_data_sent: 1960,
                    last_data_received: 1960,
                    rtt: 518,
                    total_retransmissions: 0
                }),
            }
        );
        assert_eq!((sockets[0].state, sockets[0].inode), (10, 819));
    }

    #[test]
    fn socket_of_an_old_kernel_is_not_measured() {
        // Header, then the one attribute: tcp_info, cut before the last field.
        let message = messages(SOCKETS)[2];
        let at = (72..).find(|at| message.body[*at..].starts_with(&[236, 0, 2, 0])).unwrap();
        let mut body = message.body[..at].to_vec();
        body.extend([104, 0, 2, 0]);
        body.extend(&message.body[at + 4..at + 104]);
        let socket = TcpSocket::parse(&Message { body: &body, ..message }).unwrap().unwrap();
        assert_eq!((socket.inode, socket.info), (1133, None));
    }

    #[test]
    fn recorded_flows_are_read_and_those_of_tcp_passed_over() {
        let flows = all(CONNTRACK, GreEntry::parse);
        assert_eq!(flows.len(), 4);
        assert_eq!(
            flows[1],
            GreEntry {
                source: Ipv4Addr::new(10, 77, 0, 2),
                destination: Ipv4Addr::new(10, 77, 0, 3),
                source_key: 0,
                destination_key: 0xc865,
                // IPS_EXPECTED and IPS_CONFIRMED.
                status: 1 | 1 << 3,
                timeout: 24,
                original_packets: Some(2),
                reply_packets: Some(0),
            }
        );
    }

    #[test]
    fn requests_are_what_the_kernel_takes() {
        let header = |length: u8, kind: u16| {
            let [low, high] = kind.to_le_bytes();
            [length, 0, 0, 0, low, high, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0]
        };
        assert_eq!(Link::dump(), [&header(32, 18)[..], &[0; 16]].concat());
        assert_eq!(Address::dump(), [&header(24, 22)[..], &[2, 0, 0, 0, 0, 0, 0, 0]].concat());
        assert_eq!(
            TcpSocket::dump(Family::Ipv6, 1723),
            [&header(72, 20)[..], &[10, 6, 2, 0, 0x3e, 0x0f, 0, 0, 0x06, 0xbb], &[0; 46]].concat()
        );
        let filter = [
            &[2, 0, 0, 0][..],
            &[16, 0, 1, 0x80, 12, 0, 2, 0x80, 5, 0, 1, 0, 47, 0, 0, 0],
            &[20, 0, 25, 0x80, 8, 0, 1, 0, 8, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0],
        ];
        assert_eq!(GreEntry::dump(), [&header(56, 0x101)[..], &filter.concat()].concat());
    }

    #[test]
    fn every_prefix_of_a_message_is_truncated() {
        for file in [LINKS, ADDRESSES, SOCKETS, CONNTRACK, EVENTS] {
            let (message, rest) = Message::parse(file).unwrap();
            for length in 0..file.len() - rest.len() {
                let cut = Message::parse(&file[..length]);
                assert!(matches!(cut, Err(Error::Truncated { .. })), "{length}: {cut:?}");
            }
            for length in 0..message.body.len() {
                parse_all(&Message { body: &message.body[..length], ..message });
            }
        }
        let cut = Message { body: &messages(LINKS)[2].body[..36], ..messages(LINKS)[2] };
        assert!(matches!(Link::parse(&cut), Ok(Some(Link { mtu: None, .. }))));
        let cut = Message { body: &cut.body[..35], ..cut };
        assert!(matches!(Link::parse(&cut), Err(Error::Truncated { .. })));
    }

    #[test]
    fn lengths_below_a_header_are_errors() {
        let mut octets = LINKS[..32].to_vec();
        octets[0..2].copy_from_slice(&15_u16.to_ne_bytes());
        let error = Error::BadLength { what: "netlink message", length: 15 };
        assert_eq!(Message::parse(&octets), Err(error));
        let message = messages(LINKS)[2];
        let mut body = message.body.to_vec();
        body[16..18].copy_from_slice(&3_u16.to_ne_bytes());
        let error = Error::BadLength { what: "netlink attribute", length: 3 };
        assert_eq!(Link::parse(&Message { body: &body, ..message }), Err(error));
    }

    fn parse_all(message: &Message) {
        let _ = message.error_number();
        let _ = Link::parse(message);
        let _ = Address::parse(message);
        let _ = TcpSocket::parse(message);
        let _ = GreEntry::parse(message);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(
            octets: Vec<u8>,
            kind: u16,
            at in 0_usize..1100,
            file in 0_usize..4,
        ) {
            let _ = Message::parse(&octets);
            parse_all(&Message { kind, flags: 0, sequence: 0, body: &octets });
            let mut recorded = [LINKS, SOCKETS, CONNTRACK, EVENTS][file].to_vec();
            for (old, new) in recorded[at..].iter_mut().zip(&octets) {
                *old = *new;
            }
            let mut rest = &recorded[..];
            while let Ok((message, behind)) = Message::parse(rest) {
                parse_all(&message);
                rest = behind;
            }
        }
    }
}
