//! What is behind a tunnel, and what an operator writes of it.
//!
//! The stack, with a TCP peer that may say anything: what leaves is whole, ours
//! and no more than there is room for, what is read is what was sent, in its
//! order, counts add up, and no timer is due for ever. And the texts of the
//! command line: what can be read is read back from what it is shown as.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use pptp_probe::probe::tunnel::url::{Amount, Durations, Host, HostPort, Mistake, Url};
use pptp_probe::proto::stack::Stack;
use pptp_probe::wire::ip::{Datagram, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, checksum};

use crate::gateway::{INNER, POOL};
use crate::script::Cursor;

const MTU: u16 = 1_456;
const PORT: u16 = 80;
const BUFFER: usize = 2_048;
const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;
/// Polls after which a stack with room has nothing to do.
const POLLS: usize = 8;

/// The first octet chooses.
pub fn inside(data: &[u8]) {
    match data.split_first() {
        Some((0..0x80, script)) => stack(script),
        Some((_, text)) => texts(&String::from_utf8_lossy(text)),
        None => {}
    }
}

/// One end of a TCP connection, as far as it can be seen from outside.
#[derive(Default)]
struct Peer {
    /// Its port.
    theirs: u16,
    /// The next number that it expects, and its own of the first octet.
    acknowledgment: u32,
    first: u32,
    /// Octets sent.
    sent: u32,
    /// It said that this was all; what it sends all the same may be anything.
    has_ended: bool,
}

/// The octet at this place of the stream.
fn pattern(at: u32) -> u8 {
    (at.wrapping_mul(31) >> 2) as u8
}

impl Peer {
    /// Learns from what our side sent.
    fn hear(&mut self, datagram: &Datagram<'_>) {
        let (PROTOCOL_TCP, Some(head)) = (datagram.protocol, datagram.payload.first_chunk::<14>())
        else {
            return;
        };
        let port = u16::from_be_bytes([head[0], head[1]]);
        let sequence = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let data = datagram.payload.len() - usize::from(head[12] >> 4) * 4;
        let ends = u32::from(head[13] & SYN != 0) + u32::from(head[13] & FIN != 0);
        if head[13] & SYN != 0 && port != self.theirs {
            *self = Self { theirs: port, first: sequence ^ 0x5A5A_5A5A, ..Self::default() };
        }
        if port == self.theirs {
            self.acknowledgment = sequence.wrapping_add(data as u32).wrapping_add(ends);
        }
    }

    /// A segment; `sequence` and `acknowledgment` are so far from what they
    /// should be.
    fn segment(&mut self, flags: u8, sequence: i8, acknowledgment: i8, length: usize) -> Vec<u8> {
        let length = if flags & SYN != 0 { 0 } else { length };
        // In the stream, whose octets follow the SYN.
        let at = self.sent.wrapping_add_signed(sequence.into());
        let data: Vec<u8> = (0..length as u32).map(|n| pattern(at.wrapping_add(n))).collect();
        let first =
            if flags & SYN != 0 { self.first } else { self.first.wrapping_add(1).wrapping_add(at) };
        let mut segment = PORT.to_be_bytes().to_vec();
        segment.extend(self.theirs.to_be_bytes());
        segment.extend(first.to_be_bytes());
        segment
            .extend(self.acknowledgment.wrapping_add_signed(acknowledgment.into()).to_be_bytes());
        segment.extend([0x50, flags & (SYN | FIN | RST | ACK), 0xFF, 0xFF, 0, 0, 0, 0]);
        segment.extend(data);
        self.has_ended |= flags & FIN != 0;
        if sequence >= 0 {
            self.sent = at.wrapping_add(length as u32);
        }
        segment
    }
}

fn datagram(protocol: u8, mut payload: Vec<u8>) -> Vec<u8> {
    let at = match protocol {
        PROTOCOL_TCP => 16,
        PROTOCOL_UDP => 6,
        _ => 2,
    };
    if let Some(place) = payload.get_mut(at..at + 2) {
        place.fill(0);
        let [high, low] = (payload.len() as u16).to_be_bytes();
        let pseudo = [&INNER.octets()[..], &POOL.octets(), &[0, protocol, high, low]].concat();
        let summed = match protocol {
            PROTOCOL_ICMP => payload.clone(),
            _ => [pseudo, payload.clone()].concat(),
        };
        payload[at..at + 2].copy_from_slice(&checksum(&summed).to_be_bytes());
    }
    Datagram { source: INNER, destination: POOL, protocol, payload: &payload }.emit()
}

fn stack(script: &[u8]) {
    let mut input = Cursor::new(script);
    let seed = u64::from(input.u16());
    let started = Instant::now();
    let mut now = started;
    let mut stack = Stack::new(POOL, MTU, seed, now);
    let mut peer = Peer::default();
    // Of the newest TCP connection: what was read of it.
    let (mut connections, mut ports, mut read) = (Vec::new(), Vec::new(), 0);
    // Datagrams since the last poll, and all.
    let (mut arrived, mut all) = (0, 0);
    while let Some(op) = input.u8() {
        let mut handle = |stack: &mut Stack, octets: Vec<u8>| {
            (arrived, all) = (arrived + 1, all + 1);
            stack.handle_datagram(octets)
        };
        match op % 10 {
            0 => {
                let length = usize::from(input.u8().unwrap_or(0)) * 8;
                handle(&mut stack, input.take(length).to_vec());
            }
            1 | 2 => {
                let flags = input.u8().unwrap_or(ACK);
                let (sequence, acknowledgment) = match op >> 7 {
                    0 => (0, 0),
                    _ => (input.u8().unwrap_or(0) as i8, input.u8().unwrap_or(0) as i8),
                };
                let length = usize::from(input.u8().unwrap_or(0));
                let segment = peer.segment(flags, sequence, acknowledgment, length);
                handle(&mut stack, datagram(PROTOCOL_TCP, segment));
            }
            3 => {
                // To one of our UDP ports, from anywhere.
                let index = usize::from(op >> 4);
                let port = ports.get(index % ports.len().max(1)).map_or(9, |&(_, port)| port);
                let length = usize::from(input.u8().unwrap_or(0));
                let mut udp = input.u16().to_be_bytes().to_vec();
                udp.extend(u16::to_be_bytes(port));
                udp.extend(((8 + length) as u16).to_be_bytes());
                udp.extend([0, 0]);
                udp.resize(8 + length, op);
                handle(&mut stack, datagram(PROTOCOL_UDP, udp));
            }
            4 => {
                let length = usize::from(input.u8().unwrap_or(0)) % 64;
                let message = input.take(length).to_vec();
                let kind = message.first().copied();
                if let Some(echoed) = handle(&mut stack, datagram(PROTOCOL_ICMP, message)) {
                    assert!(echoed.from == INNER && matches!(kind, Some(0 | 3)));
                }
            }
            5 => {
                // ICMP about the newest connection.
                let mut quoted = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, PROTOCOL_TCP, 0, 0];
                quoted.extend(POOL.octets());
                quoted.extend(INNER.octets());
                quoted.extend(peer.theirs.to_be_bytes());
                quoted.extend(PORT.to_be_bytes());
                quoted.extend([0; 4]);
                let head = [3, op >> 4, 0, 0, 0, 0, input.u8().unwrap_or(0), 0];
                handle(&mut stack, datagram(PROTOCOL_ICMP, [&head[..], &quoted].concat()));
            }
            6 => {
                let room = usize::from(op >> 4);
                stack.poll(room, now);
                let mut left = 0;
                while let Some(octets) = stack.poll_transmit() {
                    left += 1;
                    assert!(octets.len() <= MTU.into(), "{} octets", octets.len());
                    let sent = Datagram::parse(&octets).expect("a whole datagram");
                    assert_eq!(sent.source, POOL);
                    peer.hear(&sent);
                }
                // One answer for each datagram goes beyond the room.
                assert!(left <= room + arrived, "{left} left for {room} and {arrived}");
                arrived = 0;
            }
            7 => {
                now += Duration::from_millis(u64::from(input.u8().unwrap_or(0)) * 20);
                for polls in 0.. {
                    stack.poll(64, now);
                    while let Some(octets) = stack.poll_transmit() {
                        peer.hear(&Datagram::parse(&octets).expect("a whole datagram"));
                    }
                    arrived = 0;
                    if stack.poll_timeout(now).is_none_or(|at| at > now) {
                        break;
                    }
                    assert!(polls < POLLS, "due for ever");
                }
            }
            8 => {
                let to = SocketAddrV4::new(INNER, PORT);
                if op & 0x10 == 0 {
                    if let Some(handle) = stack.connect(to, BUFFER) {
                        let local = stack.tcp(handle).local_endpoint();
                        connections.push((handle, local.map_or(0, |local| local.port)));
                        read = 0;
                    }
                } else if let Some(handle) = stack.bind_udp() {
                    ports.push((handle, stack.udp(handle).endpoint().port));
                }
                assert!(connections.len() + ports.len() <= 64);
            }
            _ => {
                let Some(&(handle, port)) = connections.last() else { continue };
                let socket = stack.tcp(handle);
                match op >> 5 {
                    0 => socket.close(),
                    1 => socket.abort(),
                    2 => drop(socket.send_slice(&[op; 100])),
                    3 => {
                        connections.pop();
                        stack.remove(handle, port);
                        // What is left is not the newest.
                        peer.theirs = 0;
                    }
                    4 => stack.abort(),
                    _ => {
                        let mut octets = [0; 512];
                        let length = socket.recv_slice(&mut octets).unwrap_or(0);
                        for octet in &octets[..length] {
                            if port == peer.theirs && !peer.has_ended {
                                assert_eq!(*octet, pattern(read), "octet {read}");
                                read += 1;
                            }
                        }
                    }
                }
            }
        }
        let counted = stack.counters();
        assert_eq!(counted.received, all);
        let ignored = counted.fragments
            + counted.bad_checksum
            + counted.foreign
            + counted.redirects
            + counted.malformed
            + counted.unexpected
            + counted.overflowed;
        assert!(ignored <= counted.received, "{counted:?}");
    }
}

fn texts(text: &str) {
    let within = |mistake: &Mistake| (1..=text.len() + 1).contains(&mistake.at);
    match text.parse::<Host>() {
        Ok(host) => {
            assert!(host.as_str().is_ascii());
            assert_eq!(host.to_string().parse(), Ok(host));
        }
        Err(mistake) => assert!(within(&mistake), "{mistake}"),
    }
    match text.parse::<HostPort>() {
        Ok(place) => {
            assert!(place.port > 0);
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        Err(mistake) => assert!(within(&mistake), "{mistake}"),
    }
    match text.parse::<Url>() {
        Ok(url) => {
            assert!(url.target().starts_with('/') && url.port() > 0);
            assert_eq!(url.to_string().parse().as_ref(), Ok(&url));
        }
        Err(mistake) => assert!(within(&mistake), "{mistake}"),
    }
    // A redirect to it.
    if let Ok(next) = "http://inside.lab/a/b?c".parse::<Url>().map(|url| url.join(text.as_bytes()))
        && let Ok(next) = next
    {
        assert_eq!(next.to_string().parse(), Ok(next));
    }
    match text.parse::<Amount>() {
        Ok(Amount::Time(time)) => assert!(time >= Duration::from_millis(100)),
        Ok(Amount::Octets(octets)) => assert!((1..=1_000_000_000_000).contains(&octets)),
        Err(mistake) => assert!(within(&mistake), "{mistake}"),
    }
    match text.parse::<Durations>() {
        Ok(durations) => {
            assert!(!durations.is_empty() && durations.is_sorted_by(|one, next| one < next));
        }
        Err(mistake) => assert!(within(&mistake), "{mistake}"),
    }
}
