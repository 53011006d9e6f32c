//! What is behind the gateway, for one caller: a router, and a host on the
//! gateway's inner address that answers ICMP echoes, names, HTTP and the small
//! services of TCP and UDP.
//!
//! It owns the way of each datagram that comes out of the tunnel, the answers
//! to them, and the faults of the network behind the gateway. It leaves out
//! the tunnel: MPPE and the loss of GRE are the session's. As Linux does with
//! `ip_forward`: datagrams to another caller's address go on to that caller,
//! one hop older; for addresses that nothing routes to there is ICMP "network
//! unreachable"; what is too large is taken apart or, where that is forbidden,
//! refused with the size that would pass (RFC 1191, section 4). Fragments are
//! not put together and go nowhere.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;

use pptp_probe::wire::Writer;
use pptp_probe::wire::ip::{Datagram, Icmp, PROTOCOL_ICMP, PROTOCOL_UDP, checksum};

use self::line::Line;
use self::stack::Stack;
use super::chance::Chance;
use super::config::Config;
use super::faults::{Fault, SharedFaults};

mod dns;
mod header;
mod http;
mod line;
mod pattern;
mod stack;

/// An address outside (RFC 5737), to which nothing routes.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
/// Datagrams for other callers that wait; what comes then is lost.
const FORWARDS: usize = 64;
/// The smallest datagram that every host takes whole (RFC 791, section 3.1).
const SMALLEST_MTU: usize = 576;
/// Octets of data in a datagram of a flood.
const FLOOD_OCTETS: usize = 100;

const NETWORK_UNREACHABLE: u8 = 0;
const HOST_UNREACHABLE: u8 = 1;

/// What is behind the gateway for one caller.
pub struct Inside {
    config: Rc<Config>,
    faults: SharedFaults,
    caller: Ipv4Addr,
    chance: Chance,
    mtu: usize,
    line: Line,
    stack: Option<Box<Stack>>,
    forwards: VecDeque<(Ipv4Addr, Vec<u8>)>,
    fragments: u16,
    flooded: u64,
}

impl Inside {
    /// For the caller who has the address `caller`. The same `seed` gives the
    /// same losses.
    pub fn new(config: Rc<Config>, faults: SharedFaults, caller: Ipv4Addr, seed: [u8; 8]) -> Self {
        let mut chance = Chance::new(seed);
        let line = Line::new(chance.number().to_be_bytes());
        Self {
            config,
            faults,
            caller,
            chance,
            mtu: 1500,
            line,
            stack: None,
            forwards: VecDeque::new(),
            fragments: 0,
            flooded: 0,
        }
    }

    /// Datagrams to the caller have at most so many octets from now on.
    pub fn set_mtu(&mut self, octets: usize) {
        self.mtu = octets;
    }

    /// Takes a datagram of the caller.
    pub fn handle_datagram(&mut self, octets: &[u8], now: Instant) {
        let Ok(ip) = Datagram::parse(octets) else {
            return;
        };
        let octets = whole(octets, &ip);
        if let Some(limit) = self.limit().filter(|limit| octets.len() > *limit)
            && header::is_whole(octets)
        {
            return self.refuse(octets, too_big(octets, limit), now);
        }
        if self.has(Fault::InnerRedirects) {
            self.redirect(octets, now);
        }
        if ip.destination == self.config.inner {
            return match ip.protocol {
                PROTOCOL_ICMP => self.receive_icmp(octets, &ip, now),
                _ => self.receive(octets.to_vec(), now),
            };
        }
        let pool = self.config.pool;
        match u32::from(ip.destination) {
            to if (pool.first..=pool.last).contains(&to) => {
                let mut datagram = octets.to_vec();
                if header::hop(&mut datagram) {
                    self.forward(ip.destination, datagram);
                }
            }
            // To all, to many, to nobody.
            0 | 0xE000_0000.. => {}
            _ => self.refuse(octets, unreachable(octets, NETWORK_UNREACHABLE), now),
        }
    }

    /// Takes a datagram of another caller for this one.
    pub fn handle_forwarded(&mut self, octets: Vec<u8>, now: Instant) {
        let limit = self.mtu_to_caller();
        if octets.len() > limit && header::is_whole(&octets) {
            if let Some((to, error)) = self.error(&octets, too_big(&octets, limit)) {
                self.forward(to, error);
            }
            return;
        }
        self.send(octets, now);
    }

    /// Takes back a datagram for an address at which there is no caller.
    pub fn handle_no_caller(&mut self, octets: &[u8], now: Instant) {
        self.refuse(octets, unreachable(octets, HOST_UNREACHABLE), now);
    }

    /// A timer ran out, or faults changed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run(now);
    }

    /// The next datagram to the caller that is due.
    pub fn poll_datagram(&mut self, now: Instant) -> Option<Vec<u8>> {
        let starved = self.stack.as_ref().is_some_and(|stack| stack.wants_room());
        // Not for each datagram: it costs about as much to ask as to send a few.
        if starved && self.line.room() > line::FULL / 2 {
            self.run(now);
        }
        if let Some(datagram) = self.line.poll(now) {
            return Some(datagram);
        }
        self.has(Fault::InnerFlood).then(|| self.flood())
    }

    /// The next datagram for another caller, and whose address that is.
    pub fn poll_forward(&mut self) -> Option<(Ipv4Addr, Vec<u8>)> {
        self.forwards.pop_front()
    }

    /// When [`Inside::handle_timeout`] or [`Inside::poll_datagram`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let stack = self.stack.as_ref().and_then(|stack| stack.poll_timeout());
        self.line.poll_timeout().into_iter().chain(stack).min()
    }

    /// Alone the stack's: when [`Inside::handle_timeout`] is due while no
    /// datagram can leave.
    pub fn poll_timer(&self) -> Option<Instant> {
        self.stack.as_ref().and_then(|stack| stack.poll_timeout())
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.borrow().has(fault)
    }

    /// The size beyond which a fault refuses datagrams.
    fn limit(&self) -> Option<usize> {
        self.faults.borrow().find(|fault| match fault {
            Fault::TooBig(octets) => Some(usize::from(*octets)),
            _ => None,
        })
    }

    fn mtu_to_caller(&self) -> usize {
        self.limit().map_or(self.mtu, |limit| limit.min(self.mtu))
    }

    fn receive_icmp(&mut self, octets: &[u8], ip: &Datagram<'_>, now: Instant) {
        let Ok(Icmp::Echo { reply: false, identifier, sequence, data }) = Icmp::parse(ip.payload)
        else {
            return;
        };
        let payload = Icmp::Echo { reply: true, identifier, sequence, data }.emit();
        let mut answer = self.icmp(&payload, ip.source);
        if !header::is_whole(octets) {
            header::allow_fragments(&mut answer);
        }
        self.send(answer, now);
    }

    /// For the services.
    fn receive(&mut self, datagram: Vec<u8>, now: Instant) {
        if self.stack.is_none() {
            let seed = self.chance.number();
            let stack = Stack::new(self.config.inner, self.mtu_of_stack(), seed, now);
            self.stack = Some(Box::new(stack));
        }
        let (mtu, room) = (self.mtu_of_stack(), self.line.room());
        if let Some(stack) = &mut self.stack {
            stack.set_mtu(mtu);
            stack.handle(datagram, room, &self.faults.borrow(), now);
        }
        self.collect(now);
    }

    fn run(&mut self, now: Instant) {
        let room = self.line.room();
        if let Some(stack) = &mut self.stack {
            stack.run(room, &self.faults.borrow(), now);
        }
        self.collect(now);
    }

    fn mtu_of_stack(&self) -> usize {
        self.mtu_to_caller().max(SMALLEST_MTU)
    }

    fn collect(&mut self, now: Instant) {
        while let Some(datagram) = self.stack.as_mut().and_then(|stack| stack.poll_transmit()) {
            self.send(datagram, now);
        }
    }

    fn forward(&mut self, to: Ipv4Addr, datagram: Vec<u8>) {
        if self.forwards.len() < FORWARDS {
            self.forwards.push_back((to, datagram));
        }
    }

    /// Sends a datagram to the caller, with the company that faults give it.
    fn send(&mut self, datagram: Vec<u8>, now: Instant) {
        let (limit, faults) = (self.mtu_to_caller(), self.faults.borrow());
        if faults.has(Fault::InnerForeign) {
            let mut foreign = datagram.clone();
            header::direct(&mut foreign, OUTSIDE);
            self.line.push(foreign, &faults, now);
        }
        if faults.has(Fault::InnerOversized) {
            let large = noise(self.config.inner, self.caller, 2 * self.mtu);
            self.line.push(large, &faults, now);
        }
        let most = match faults.has(Fault::InnerFragments) {
            true => {
                let head = header::length(&datagram);
                head + ((datagram.len() - head) / 2).next_multiple_of(8)
            }
            false if datagram.len() <= limit => return self.line.push(datagram, &faults, now),
            // Larger than the link, and must not be taken apart.
            false if header::is_whole(&datagram) => return,
            false => limit,
        };
        self.fragments = self.fragments.wrapping_add(1);
        for fragment in header::fragments(&datagram, most, self.fragments) {
            self.line.push(fragment, &faults, now);
        }
    }

    /// Tells the caller why its datagram goes nowhere.
    fn refuse(&mut self, octets: &[u8], why: Icmp<'_>, now: Instant) {
        if let Some((_, error)) = self.error(octets, why) {
            self.send(error, now);
        }
    }

    /// ICMP about a datagram, and to whom; never about ICMP other than echoes
    /// (RFC 1122, section 3.2.2).
    fn error(&self, octets: &[u8], why: Icmp<'_>) -> Option<(Ipv4Addr, Vec<u8>)> {
        let ip = Datagram::parse(octets).ok()?;
        if ip.protocol == PROTOCOL_ICMP && !matches!(Icmp::parse(ip.payload), Ok(Icmp::Echo { .. }))
        {
            return None;
        }
        Some((ip.source, self.icmp(&why.emit(), ip.source)))
    }

    /// Tells the caller that another router would be better (RFC 792): one that
    /// does not exist.
    fn redirect(&mut self, octets: &[u8], now: Instant) {
        const REDIRECT_FOR_HOST: [u8; 4] = [5, 1, 0, 0];
        let mut message = [&REDIRECT_FOR_HOST[..], &OUTSIDE.octets(), quoted(octets)].concat();
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let redirect = self.icmp(&message, self.caller);
        self.send(redirect, now);
    }

    fn icmp(&self, payload: &[u8], destination: Ipv4Addr) -> Vec<u8> {
        let (source, protocol) = (self.config.inner, PROTOCOL_ICMP);
        Datagram { source, destination, protocol, payload }.emit()
    }

    /// One datagram of a flood: from the inside and from elsewhere by turns.
    fn flood(&mut self) -> Vec<u8> {
        self.flooded = self.flooded.wrapping_add(1);
        let from = if self.flooded.is_multiple_of(2) { OUTSIDE } else { self.config.inner };
        noise(from, self.caller, 28 + FLOOD_OCTETS)
    }
}

/// The datagram without what pads it.
fn whole<'a>(octets: &'a [u8], ip: &Datagram<'_>) -> &'a [u8] {
    &octets[..(header::length(octets) + ip.payload.len()).min(octets.len())]
}

fn too_big(octets: &[u8], mtu: usize) -> Icmp<'_> {
    Icmp::TooBig { mtu: mtu as u16, original: quoted(octets) }
}

fn unreachable(octets: &[u8], code: u8) -> Icmp<'_> {
    Icmp::Unreachable { code, original: quoted(octets) }
}

/// Header and eight octets: what an ICMP error quotes (RFC 792).
fn quoted(octets: &[u8]) -> &[u8] {
    &octets[..(header::length(octets) + 8).min(octets.len())]
}

/// A UDP datagram of so many octets, at least 28, that nobody waits for.
fn noise(source: Ipv4Addr, destination: Ipv4Addr, octets: usize) -> Vec<u8> {
    const DISCARD: u16 = 9;
    let length = octets.saturating_sub(20).max(8);
    let mut w = Writer::with_capacity(length);
    w.u16(DISCARD);
    w.u16(DISCARD);
    w.u16(length as u16);
    // Without a checksum (RFC 768), and nothing in it.
    w.zeros(2 + length - 8);
    Datagram { source, destination, protocol: PROTOCOL_UDP, payload: &w.finish() }.emit()
}

#[cfg(test)]
mod tests;
