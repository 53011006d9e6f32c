//! TCP and UDP of the inside, for one caller: smoltcp between two queues, and
//! the services on it.
//!
//! | port | service |
//! | --- | --- |
//! | UDP 7 | echo (RFC 862) |
//! | TCP 9 | discard (RFC 863) |
//! | TCP 19 | character generator (RFC 864), at full speed |
//! | UDP 53 | names, see [`super::dns`] |
//! | TCP 80 | HTTP, see [`super::http`] |
//!
//! A socket is made for each SYN to a port with a service, up to
//! [`MAX_CONNECTIONS`]; further ones are refused. Its buffers are pages of
//! zeros until something is written to them.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use pptp_probe::wire::ip::{Datagram, PROTOCOL_TCP};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::{tcp, udp};
use smoltcp::time;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::super::faults::{Fault, Faults};
use super::http::Http;
use super::{dns, pattern};

/// Connections of one caller at one time, those that are closing included.
const MAX_CONNECTIONS: usize = 32;
/// Octets of the buffer on the side on which much goes.
const BULK: usize = 256 << 10;
/// Octets of the other buffer.
const TRICKLE: usize = 4 << 10;
/// A connection on which nothing moved for so long is reset.
const IDLE: Duration = Duration::from_secs(120);
/// Datagrams, and octets in them, that wait at a UDP port.
const UDP_QUEUE: (usize, usize) = (16, 8 << 10);
/// The stack is not run more often for its own timers.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARACTER_GENERATOR: u16 = 19;
const DNS: u16 = 53;
const HTTP: u16 = 80;

/// The stack.
pub(super) struct Stack {
    address: Ipv4Addr,
    seed: u64,
    epoch: Instant,
    interface: Interface,
    port: Port,
    sockets: SocketSet<'static>,
    echo: SocketHandle,
    names: SocketHandle,
    connections: Vec<Connection>,
    wake_at: Option<Instant>,
}

struct Connection {
    handle: SocketHandle,
    service: Service,
    moved_at: Instant,
}

enum Service {
    Discard,
    /// With the number of octets sent.
    CharacterGenerator(u64),
    Http(Box<Http>),
}

impl Stack {
    /// With the address of the inside and datagrams of at most `mtu` octets.
    pub(super) fn new(address: Ipv4Addr, mtu: usize, seed: u64, now: Instant) -> Self {
        let mut port = Port { incoming: None, outgoing: VecDeque::new(), room: 0, mtu };
        let mut sockets = SocketSet::new(Vec::new());
        let mut listen = |port: u16| {
            let (datagrams, octets) = UDP_QUEUE;
            let queue = || {
                udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; datagrams], vec![0; octets])
            };
            let mut socket = udp::Socket::new(queue(), queue());
            // Fails for port 0 only.
            let _ = socket.bind(port);
            sockets.add(socket)
        };
        let (echo, names) = (listen(ECHO), listen(DNS));
        Self {
            address,
            seed,
            epoch: now,
            interface: interface(address, seed, &mut port),
            port,
            sockets,
            echo,
            names,
            connections: Vec::new(),
            wake_at: None,
        }
    }

    /// Datagrams have at most `mtu` octets from now on.
    pub(super) fn set_mtu(&mut self, mtu: usize) {
        if self.port.mtu != mtu {
            self.port.mtu = mtu;
            // It asks its device but once.
            self.interface = interface(self.address, self.seed, &mut self.port);
        }
    }

    /// Takes a datagram to the address of the inside; the answers are limited
    /// to `room` datagrams, as far as they can wait.
    pub(super) fn handle(&mut self, datagram: Vec<u8>, room: usize, faults: &Faults, now: Instant) {
        self.admit(&datagram, now);
        self.port.incoming = Some(datagram);
        self.run(room, faults, now);
    }

    /// Lets the services and timers do what is due, with room for so many
    /// datagrams.
    pub(super) fn run(&mut self, room: usize, faults: &Faults, now: Instant) {
        self.port.room = room;
        let since = now.saturating_duration_since(self.epoch);
        let clock =
            time::Instant::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        loop {
            self.interface.poll(clock, &mut self.port, &mut self.sockets);
            if !self.serve(faults, now) {
                break;
            }
        }
        self.connections.retain(|connection| {
            let socket = self.sockets.get::<tcp::Socket<'_>>(connection.handle);
            let over = socket.remote_endpoint().is_none();
            if over {
                self.sockets.remove(connection.handle);
            }
            !over
        });
        let timers = self.connections.iter().map(|connection| match &connection.service {
            Service::Http(http) => http.wait_until().unwrap_or(connection.moved_at + IDLE),
            _ => connection.moved_at + IDLE,
        });
        // A stack that wants to send would ask to be run at once.
        let own = match self.port.room {
            0 => None,
            _ => self.interface.poll_at(clock, &self.sockets).map(|at| {
                let since = u64::try_from(at.total_micros()).unwrap_or(0);
                (self.epoch + Duration::from_micros(since)).max(now + SHORTEST_WAIT)
            }),
        };
        self.wake_at = timers.chain(own).min();
    }

    /// The next datagram to the caller.
    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.port.outgoing.pop_front()
    }

    /// True when the last run ended for want of room.
    pub(super) fn wants_room(&self) -> bool {
        self.port.room == 0
    }

    /// When [`Stack::run`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.wake_at
    }

    /// How many connections there are.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Makes a socket for a caller who wants to connect.
    fn admit(&mut self, datagram: &[u8], now: Instant) {
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        let Ok(ip) = Datagram::parse(datagram) else {
            return;
        };
        let (PROTOCOL_TCP, Some(head)) = (ip.protocol, ip.payload.first_chunk::<14>()) else {
            return;
        };
        if head[13] & (SYN | ACK) != SYN {
            return;
        }
        let (from, to) =
            (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
        let (service, receive, send) = match to {
            DISCARD => (Service::Discard, BULK, TRICKLE),
            CHARACTER_GENERATOR => (Service::CharacterGenerator(0), TRICKLE, BULK),
            HTTP => (Service::Http(Box::default()), TRICKLE, BULK),
            _ => return,
        };
        let from = (IpAddress::from(ip.source), from).into();
        let known = |connection: &Connection| {
            let socket = self.sockets.get::<tcp::Socket<'_>>(connection.handle);
            let same_port = socket.local_endpoint().is_some_and(|local| local.port == to);
            socket.remote_endpoint() == Some(from) && same_port
        };
        if self.connections.iter().any(known) || !self.has_place() {
            return;
        }
        let buffer = |octets| tcp::SocketBuffer::new(vec![0; octets]);
        let mut socket = tcp::Socket::new(buffer(receive), buffer(send));
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(IDLE.into()));
        if socket.listen(to).is_ok() {
            let handle = self.sockets.add(socket);
            self.connections.push(Connection { handle, service, moved_at: now });
        }
    }

    /// Whether one more may be; the oldest that only waits out its end goes.
    fn has_place(&mut self) -> bool {
        if self.connections.len() < MAX_CONNECTIONS {
            return true;
        }
        let ended = |connection: &Connection| {
            let socket = self.sockets.get::<tcp::Socket<'_>>(connection.handle);
            socket.state() == tcp::State::TimeWait
        };
        let Some(at) = self.connections.iter().position(ended) else {
            return false;
        };
        self.sockets.remove(self.connections.remove(at).handle);
        true
    }

    /// Lets each service move octets; false when none could.
    fn serve(&mut self, faults: &Faults, now: Instant) -> bool {
        let mut moved = self.answer_datagrams(faults);
        for connection in &mut self.connections {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(connection.handle);
            let mut count = 0;
            loop {
                let step = connection.service.step(socket, faults, now);
                if step == 0 {
                    break;
                }
                count += step;
            }
            if count > 0 {
                connection.moved_at = now;
                moved = true;
            }
            let (busy, done, waits) = match &connection.service {
                Service::Http(http) => {
                    (http.is_busy(), http.is_finished(), http.wait_until().is_some())
                }
                _ => (false, false, false),
            };
            let left = socket.state() == tcp::State::CloseWait && !socket.can_recv();
            if socket.may_send() && (done || left && !busy) {
                socket.close();
                moved = true;
            }
            if connection.moved_at + IDLE <= now && !waits && socket.is_open() {
                socket.abort();
                moved = true;
            }
        }
        moved
    }

    fn answer_datagrams(&mut self, faults: &Faults) -> bool {
        let mut moved = false;
        let echo = self.sockets.get_mut::<udp::Socket<'_>>(self.echo);
        while let Ok((octets, from)) = echo.recv() {
            let octets = octets.to_vec();
            moved |= echo.send_slice(&octets, from.endpoint).is_ok();
        }
        let names = self.sockets.get_mut::<udp::Socket<'_>>(self.names);
        while let Ok((query, from)) = names.recv() {
            if faults.has(Fault::DnsSilent) {
                continue;
            }
            let failing = faults.has(Fault::DnsServfail);
            if let Some(answer) = dns::answer(query, self.address, failing) {
                moved |= names.send_slice(&answer, from.endpoint).is_ok();
            }
        }
        moved
    }
}

impl Service {
    /// Moves what can be moved at once; gives how many octets.
    fn step(&mut self, socket: &mut tcp::Socket<'_>, faults: &Faults, now: Instant) -> usize {
        let mut count = 0;
        match self {
            Self::Discard => {
                count += socket.recv(|octets| (octets.len(), octets.len())).unwrap_or(0);
            }
            Self::CharacterGenerator(at) => {
                count += socket.recv(|octets| (octets.len(), octets.len())).unwrap_or(0);
                let sent = socket.send(|room| {
                    pattern::write(*at, room);
                    (room.len(), room.len())
                });
                let sent = sent.unwrap_or(0);
                *at += sent as u64;
                count += sent;
            }
            Self::Http(http) => {
                let received = socket.recv(|octets| {
                    let taken = http.receive(octets, faults, now);
                    (taken, taken)
                });
                let sent = socket.send(|room| {
                    let filled = http.fill(room, now);
                    (filled, filled)
                });
                count += received.unwrap_or(0) + sent.unwrap_or(0);
            }
        }
        count
    }
}

fn interface(address: Ipv4Addr, seed: u64, port: &mut Port) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, port, time::Instant::ZERO);
    // Both have room for more than one entry.
    interface.update_ip_addrs(|list| {
        let _ = list.push(IpCidr::new(address.into(), 32));
    });
    let _ = interface.routes_mut().add_default_ipv4_route(address);
    interface
}

/// The stack's end of the line to the caller.
struct Port {
    incoming: Option<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
    /// Datagrams that may still go out.
    room: usize,
    mtu: usize,
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    /// An answer goes out in any case: there is at most one for each datagram.
    fn receive(&mut self, _timestamp: time::Instant) -> Option<(Received, Sending<'_>)> {
        let datagram = self.incoming.take()?;
        Some((Received(datagram), Sending(self)))
    }

    fn transmit(&mut self, _timestamp: time::Instant) -> Option<Sending<'_>> {
        (self.room > 0).then_some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Sending<'a>(&'a mut Port);

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut datagram = vec![0; length];
        let result = write(&mut datagram);
        self.0.outgoing.push_back(datagram);
        self.0.room = self.0.room.saturating_sub(1);
        result
    }
}
