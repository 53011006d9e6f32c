//! A user's IP stack at our end of the tunnel: TCP and UDP by smoltcp, echoes
//! told apart for whoever sent them.
//!
//! It owns what may come in: whole IPv4 datagrams with right checksums for our
//! address. Everything else is counted and dropped; ICMP redirects change
//! nothing. Time is an argument, and a datagram leaves only when the owner has
//! room for it.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{AnySocket, Socket, tcp, udp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};

use crate::wire::ip::{Datagram, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, checksum};

/// First of the ports of our own (RFC 6335, section 6).
const DYNAMIC_PORTS: u16 = 49_152;
/// Datagrams that wait for the stack, between two polls.
const INBOX: usize = 512;
/// Sockets at one time.
const MAX_SOCKETS: usize = 64;
/// The largest UDP payload that is taken.
const UDP_BUFFER: usize = 8_192;
/// What a TCP peer that says nothing allows (RFC 9293, section 3.7.1).
const DEFAULT_MSS: u16 = 536;

/// What came in beside what was wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that came out of the tunnel.
    pub received: u64,
    /// IP fragments, which are not put together.
    pub fragments: u64,
    /// A wrong checksum of IP, ICMP, TCP or UDP.
    pub bad_checksum: u64,
    /// Datagrams to other addresses.
    pub foreign: u64,
    /// ICMP redirects.
    pub redirects: u64,
    /// What is no IPv4 datagram.
    pub malformed: u64,
    /// UDP to ports that nobody asked from, and protocols that nobody speaks.
    pub unexpected: u64,
    /// Echo-Requests to us.
    pub echo_requests: u64,
    /// Datagrams dropped because too many came at once.
    pub overflowed: u64,
}

/// An ICMP message that answers an echo of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echoed {
    /// Who sent it.
    pub from: Ipv4Addr,
    /// Identifier of the echo.
    pub identifier: u16,
    /// Its sequence number.
    pub sequence: u16,
    /// What it says.
    pub answer: EchoAnswer,
}

/// What an answer to an echo says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoAnswer {
    /// The echo came back, so many octets of IPv4.
    Reply(usize),
    /// Destination unreachable: code, and for code 4 the MTU of the next hop
    /// in octets (RFC 1191, section 4; 0 where it is not told).
    Unreachable(u8, u16),
}

/// What is known of one of our ports.
#[derive(Debug, Clone, Copy, Default)]
struct Port {
    socket: Option<SocketHandle>,
    peer_mss: Option<u16>,
    refused: Option<(u8, Ipv4Addr)>,
}

/// The stack.
pub struct Stack {
    address: Ipv4Addr,
    interface: Interface,
    sockets: SocketSet<'static>,
    queue: Queue,
    epoch: Instant,
    next_port: u16,
    ports: BTreeMap<u16, Port>,
    counters: Counters,
}

impl Stack {
    /// A host of this address, everything else behind the gateway. `mtu` is
    /// in octets of IPv4, at least 68; `seed` is random.
    pub fn new(address: Ipv4Addr, mtu: u16, seed: u64, now: Instant) -> Self {
        let mut queue = Queue { mtu: mtu.max(68).into(), ..Queue::default() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut queue, StackInstant::ZERO);
        interface.update_ip_addrs(|list| {
            let _ = list.push(IpCidr::new(IpAddress::Ipv4(address), 32));
        });
        // Any gateway will do: there is nobody else on a PPP link.
        let _ = interface.routes_mut().add_default_ipv4_route(address);
        Self {
            address,
            interface,
            sockets: SocketSet::new(Vec::new()),
            queue,
            epoch: now,
            next_port: DYNAMIC_PORTS | (seed as u16),
            ports: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    /// What came in so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes a datagram; what answers an echo comes back, the rest is for
    /// [`Stack::poll`].
    pub fn handle_datagram(&mut self, octets: Vec<u8>) -> Option<Echoed> {
        self.counters.received += 1;
        let Some(header) = header_length(&octets) else {
            self.counters.malformed += 1;
            return None;
        };
        if checksum(&octets[..header]) != 0 {
            self.counters.bad_checksum += 1;
            return None;
        }
        let Ok(datagram) = Datagram::parse(&octets) else {
            let fragment = u16::from_be_bytes([octets[6], octets[7]]) & 0x3FFF != 0;
            *if fragment { &mut self.counters.fragments } else { &mut self.counters.malformed } +=
                1;
            return None;
        };
        if datagram.destination != self.address {
            self.counters.foreign += 1;
            return None;
        }
        if !is_intact(&datagram) {
            self.counters.bad_checksum += 1;
            return None;
        }
        match datagram.protocol {
            PROTOCOL_ICMP => {
                let length = header + datagram.payload.len();
                if let Some(echoed) = self.icmp(&datagram, length) {
                    return Some(echoed);
                }
                if datagram.payload.first() != Some(&8) {
                    return None;
                }
                self.counters.echo_requests += 1;
            }
            PROTOCOL_TCP => self.note_mss(datagram.payload),
            PROTOCOL_UDP if self.is_expected(datagram.payload) => {}
            // No ICMP error for each: a flood would be answered packet by packet.
            _ => {
                self.counters.unexpected += 1;
                return None;
            }
        }
        if self.queue.inbox.len() == INBOX {
            self.counters.overflowed += 1;
        } else {
            self.queue.inbox.push_back(octets);
        }
        None
    }

    /// Lets sockets act; at most `room` datagrams leave, and a few answers.
    pub fn poll(&mut self, room: usize, now: Instant) {
        self.queue.room = room;
        let now = self.stack_time(now);
        self.interface.poll(now, &mut self.queue, &mut self.sockets);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.queue.outbox.pop_front()
    }

    /// When [`Stack::poll`] is due although nothing came.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let at = self.stack_time(now);
        let delay = self.interface.poll_delay(at, &self.sockets)?;
        Some(now + Duration::from_micros(delay.total_micros()))
    }

    /// Begins to connect TCP; `buffer` octets each way. `None` when there are
    /// too many sockets.
    pub fn connect(&mut self, to: SocketAddrV4, buffer: usize) -> Option<SocketHandle> {
        let port = self.port()?;
        let ring = || tcp::SocketBuffer::new(vec![0; buffer]);
        let mut socket = tcp::Socket::new(ring(), ring());
        socket.set_nagle_enabled(false);
        let to = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
        socket.connect(self.interface.context(), to, port).ok()?;
        Some(self.add(socket, port))
    }

    /// Opens a UDP socket on a port of its own. `None` when there are too many
    /// sockets.
    pub fn bind_udp(&mut self) -> Option<SocketHandle> {
        let port = self.port()?;
        let ring =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; UDP_BUFFER]);
        let mut socket = udp::Socket::new(ring(), ring());
        socket.bind(port).ok()?;
        Some(self.add(socket, port))
    }

    /// A TCP socket.
    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// A UDP socket.
    pub fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Forgets a socket.
    pub fn remove(&mut self, handle: SocketHandle, port: u16) {
        self.sockets.remove(handle);
        self.ports.remove(&port);
    }

    /// The largest segment that the peer of this port of ours allows.
    pub fn peer_mss(&self, port: u16) -> u16 {
        self.ports.get(&port).and_then(|port| port.peer_mss).unwrap_or(DEFAULT_MSS)
    }

    /// ICMP that says that there is no way for this port of ours: code, sender.
    pub fn refused(&self, port: u16) -> Option<(u8, Ipv4Addr)> {
        self.ports.get(&port)?.refused
    }

    /// Resets all connections, and wakes whoever waits for one.
    pub fn abort(&mut self) {
        for (_, socket) in self.sockets.iter_mut() {
            match socket {
                Socket::Tcp(socket) => socket.abort(),
                Socket::Udp(socket) => socket.close(),
            }
        }
    }

    fn stack_time(&self, now: Instant) -> StackInstant {
        let elapsed = now.saturating_duration_since(self.epoch);
        StackInstant::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }

    /// A port that no socket has; its entry stands as long as the socket.
    fn port(&mut self) -> Option<u16> {
        if self.ports.len() >= MAX_SOCKETS {
            return None;
        }
        loop {
            let port = self.next_port;
            self.next_port = port.wrapping_add(1) | DYNAMIC_PORTS;
            if let Entry::Vacant(vacant) = self.ports.entry(port) {
                vacant.insert(Port::default());
                return Some(port);
            }
        }
    }

    fn add<T: AnySocket<'static>>(&mut self, socket: T, port: u16) -> SocketHandle {
        let handle = self.sockets.add(socket);
        self.ports.entry(port).or_default().socket = Some(handle);
        handle
    }

    /// There is no way: what is not established yet ends.
    fn refuse(&mut self, number: u16, code: u8, from: Ipv4Addr) {
        let Some(port) = self.ports.get_mut(&number) else { return };
        port.refused = Some((code, from));
        let Some(handle) = port.socket else { return };
        for (_, socket) in self.sockets.iter_mut().filter(|(each, _)| *each == handle) {
            match socket {
                Socket::Tcp(socket) if socket.state() == tcp::State::SynSent => socket.abort(),
                Socket::Tcp(_) => {}
                Socket::Udp(socket) => socket.close(),
            }
        }
    }

    fn icmp(&mut self, datagram: &Datagram<'_>, length: usize) -> Option<Echoed> {
        let &[kind, code, _, _, a, b, c, d, ref rest @ ..] = datagram.payload else {
            self.counters.malformed += 1;
            return None;
        };
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let from = datagram.source;
        match kind {
            0 => {
                let answer = EchoAnswer::Reply(length);
                Some(Echoed { from, identifier: high, sequence: low, answer })
            }
            3 => {
                let quoted = Quoted::read(rest).filter(|quoted| quoted.source == self.address)?;
                match quoted.protocol {
                    PROTOCOL_ICMP => {
                        let (identifier, sequence) = quoted.echo?;
                        let answer = EchoAnswer::Unreachable(code, low);
                        return Some(Echoed { from, identifier, sequence, answer });
                    }
                    // TCP finds its own way with smaller segments.
                    _ if code == 4 => {}
                    _ => self.refuse(quoted.port, code, from),
                }
                None
            }
            5 => {
                self.counters.redirects += 1;
                None
            }
            _ => None,
        }
    }

    /// Whether a UDP datagram is for a port of ours.
    fn is_expected(&self, datagram: &[u8]) -> bool {
        let port = datagram.get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]));
        port.is_some_and(|port| self.ports.contains_key(&port))
    }

    /// A SYN tells how large segments may be (RFC 9293, section 3.2).
    fn note_mss(&mut self, segment: &[u8]) {
        const SYN: u8 = 2;
        let &[_, _, high, low, _, _, _, _, _, _, _, _, offset, flags, ..] = segment else { return };
        if flags & SYN == 0 {
            return;
        }
        let Some(port) = self.ports.get_mut(&u16::from_be_bytes([high, low])) else { return };
        let end = usize::from(offset >> 4) * 4;
        let mut options = segment.get(20..end).unwrap_or_default();
        loop {
            options = match *options {
                [2, 4, high, low, ..] => {
                    port.peer_mss = Some(u16::from_be_bytes([high, low]));
                    return;
                }
                [1, ref rest @ ..] => rest,
                [kind, length, ..] if kind != 0 && length >= 2 => {
                    options.get(usize::from(length)..).unwrap_or_default()
                }
                _ => return,
            };
        }
    }
}

/// The start of a datagram of ours, as an ICMP error returns it.
struct Quoted {
    source: Ipv4Addr,
    protocol: u8,
    /// Our port, where the protocol has one.
    port: u16,
    /// Identifier and sequence number of an Echo-Request.
    echo: Option<(u16, u16)>,
}

impl Quoted {
    fn read(octets: &[u8]) -> Option<Self> {
        let header = usize::from(octets.first()? & 0x0F) * 4;
        let source = octets.get(12..16)?;
        let inner = octets.get(header.max(20)..)?.first_chunk::<8>()?;
        let number = |at: usize| u16::from_be_bytes([inner[at], inner[at + 1]]);
        Some(Self {
            source: Ipv4Addr::new(source[0], source[1], source[2], source[3]),
            protocol: octets[9],
            port: number(0),
            echo: (inner[0] == 8).then(|| (number(4), number(6))),
        })
    }
}

/// Length of an IPv4 header that is there in whole.
fn header_length(octets: &[u8]) -> Option<usize> {
    let first = *octets.first()?;
    let length = usize::from(first & 0x0F) * 4;
    (first >> 4 == 4 && length >= 20 && octets.len() >= length).then_some(length)
}

/// Whether the checksum of what a datagram carries is right.
fn is_intact(datagram: &Datagram<'_>) -> bool {
    let payload = datagram.payload;
    match datagram.protocol {
        PROTOCOL_ICMP => checksum(payload) == 0,
        // Zero: the sender made none (RFC 768).
        PROTOCOL_UDP if payload.get(6..8) == Some(&[0, 0]) => true,
        PROTOCOL_TCP | PROTOCOL_UDP => {
            let [a, b, c, d] = datagram.source.octets();
            let [e, f, g, h] = datagram.destination.octets();
            let [high, low] = (payload.len() as u16).to_be_bytes();
            let pseudo = [a, b, c, d, e, f, g, h, 0, datagram.protocol, high, low];
            let (one, other) = (!checksum(&pseudo), !checksum(payload));
            let (sum, carry) = one.overflowing_add(other);
            sum + u16::from(carry) == 0xFFFF
        }
        _ => true,
    }
}

/// The stack's side of the link.
#[derive(Default)]
struct Queue {
    mtu: usize,
    room: usize,
    inbox: VecDeque<Vec<u8>>,
    outbox: VecDeque<Vec<u8>>,
}

impl Device for Queue {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Arrived, Leaving<'_>)> {
        let datagram = self.inbox.pop_front()?;
        Some((Arrived(datagram), Leaving(&mut self.outbox)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Leaving<'_>> {
        (self.outbox.len() < self.room).then_some(Leaving(&mut self.outbox))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // What comes in was checked and counted before.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities.checksum.udp = Checksum::Tx;
        capabilities.checksum.icmpv4 = Checksum::Tx;
        capabilities
    }
}

struct Arrived(Vec<u8>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Leaving<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut datagram = vec![0; length];
        let result = f(&mut datagram);
        self.0.push_back(datagram);
        result
    }
}

#[cfg(test)]
mod tests;
