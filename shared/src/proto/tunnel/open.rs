//! What the owner of an open session does with it: [`Goal::Open`].
//!
//! Nothing here decides: the owner sends, sees what comes back, and ends the
//! session with [`Tunnel::finish`].
//!
//! [`Goal::Open`]: super::Goal::Open

use std::net::Ipv4Addr;
use std::time::Instant;

use super::{Stage, Tunnel};
use crate::proto::gre::GreChannel;
use crate::proto::link::Link;
use crate::wire::ppp;

/// Octets of an outer IPv4 header, and with that of GRE behind it, sequence
/// and acknowledgment number included (RFC 2637, section 4.1).
const IP_HEADER: usize = 20;
const OUTER_HEADERS: usize = IP_HEADER + 16;

impl Tunnel {
    /// True from the moment IP may flow until the farewell, also while the
    /// gateway negotiates again.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// True while datagrams pass; not so while the gateway negotiates again.
    pub fn carries_datagrams(&self) -> bool {
        self.link.as_ref().is_some_and(Link::carries_network)
    }

    /// The inner addresses: ours and the gateway's.
    pub fn addresses(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        self.link.as_ref().and_then(Link::addresses)
    }

    /// DNS servers that the gateway gave.
    pub fn dns(&self) -> Vec<Ipv4Addr> {
        self.link.as_ref().map(|link| link.ipcp().dns()).unwrap_or_default()
    }

    /// Datagrams that can be sent now; more than so many would wait for the
    /// window of the GRE channel.
    pub fn room(&self) -> usize {
        match (&self.link, &self.gre) {
            (Some(link), Some(gre)) if link.carries_network() => gre.room(),
            _ => 0,
        }
    }

    /// Packets that the gateway lets us have on their way at one time.
    pub fn window(&self) -> usize {
        self.seen.call_reply.as_ref().map_or(1, |reply| reply.packet_recv_window_size.into())
    }

    /// Sends an IPv4 datagram, encrypted where that was agreed.
    pub fn send_datagram(&mut self, datagram: &[u8], now: Instant) {
        if let (Stage::Open, Some(link)) = (self.stage, &mut self.link) {
            link.send_network(ppp::IPV4, datagram);
            self.drain(now);
        }
    }

    /// The next IPv4 datagram that arrived.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        loop {
            let (protocol, datagram) = self.link.as_mut()?.poll_network()?;
            if protocol == ppp::IPV4 {
                return Some(datagram);
            }
        }
    }

    /// Sends an LCP Echo-Request of so many octets, at least 8; gives the
    /// identifier that its reply will carry.
    pub fn send_link_echo(&mut self, length: usize, now: Instant) -> Option<u8> {
        let link = self.link.as_mut().filter(|_| self.stage == Stage::Open)?;
        let identifier = link.echo_sized(length);
        self.drain(now);
        Some(identifier)
    }

    /// The next LCP Echo-Reply: identifier, and length of the packet.
    pub fn poll_link_echo(&mut self) -> Option<(u8, usize)> {
        self.link.as_mut()?.poll_echo()
    }

    /// Sends an LCP Discard-Request in a frame as long as that of an IPv4
    /// datagram of so many octets; gives the GRE sequence number that tells
    /// with [`Tunnel::is_acknowledged`] whether it arrived.
    pub fn send_discard_like(&mut self, datagram: usize, now: Instant) -> Option<u32> {
        let (Some(link), Some(gre), Stage::Open) = (&mut self.link, &mut self.gre, self.stage)
        else {
            return None;
        };
        let sequence = gre.next_sequence();
        link.discard_like(datagram);
        self.drain(now);
        Some(sequence)
    }

    /// The largest IPv4 datagram that was negotiated, in octets: what the
    /// gateway takes, less what MPPE adds.
    pub fn negotiated_mtu(&self) -> u16 {
        let link = self.link.as_ref();
        link.map_or(0, |link| link.lcp().peer_mru().saturating_sub(link.mppe_overhead() as u16))
    }

    /// The largest IPv4 datagrams, sent and received, whose GRE packets are no
    /// larger than outer datagrams of `mtu` octets, an acknowledgement of four
    /// octets included: without one a larger datagram may pass now and then.
    pub fn largest_whole(&self, mtu: usize) -> (usize, usize) {
        let room = mtu.saturating_sub(OUTER_HEADERS);
        let (sent, received) = self
            .link
            .as_ref()
            .map_or((0, 0), |link| (link.overhead_sent(), link.overhead_received()));
        (room.saturating_sub(sent), room.saturating_sub(received))
    }

    /// Has every GRE packet carry an acknowledgement.
    pub fn acknowledge_always(&mut self, always: bool) {
        if let Some(gre) = &mut self.gre {
            gre.acknowledge_always(always);
        }
    }

    /// Octets of the largest outer datagram that arrived. What is larger than
    /// the path's MTU came in fragments, which the system has put together.
    pub fn largest_outer(&self) -> usize {
        self.gre.as_ref().map_or(0, |gre| IP_HEADER + gre.counters().largest_received)
    }

    /// Whether the gateway acknowledged the GRE packet with this sequence
    /// number, or a later one.
    pub fn is_acknowledged(&self, sequence: u32) -> bool {
        self.gre.as_ref().is_some_and(|gre| gre.is_acknowledged(sequence))
    }

    /// Packets that arrived over GRE, of whatever kind.
    pub fn gre_packets(&self) -> u64 {
        self.gre_packets
    }

    /// Sends a control Echo-Request, unless one waits for its reply.
    pub fn send_control_echo(&mut self, now: Instant) {
        if self.stage == Stage::Open && !self.control.echo_outstanding() {
            self.control.echo(now);
            self.drain(now);
        }
    }

    /// Control Echo-Replies that came.
    pub fn control_replies(&self) -> usize {
        self.seen.control_echoes.len()
    }

    /// The owner has seen enough: begins the farewell.
    pub fn finish(&mut self, now: Instant) {
        self.succeed(now);
        self.drain(now);
    }

    /// What was sent and received over GRE so far.
    pub fn gre(&self) -> Option<&GreChannel> {
        self.gre.as_ref()
    }
}
