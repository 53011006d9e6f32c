//! One call of a session: its GRE channel, its PPP link and what is behind it.

use std::collections::VecDeque;
use std::time::Instant;

use pptp_probe::proto::gre::GreChannel;
use pptp_probe::wire::cp::{Code, Packet};
use pptp_probe::wire::gre;
use pptp_probe::wire::ppp::{self, Frame};

use super::leaving::Path;
use super::{FLOOD_BURST, GRE_QUEUE};
use crate::lab::faults::{Fault, Faults, SharedFaults};
use crate::lab::inside::Inside;
use crate::lab::link::Link;

/// One call of the session.
pub(super) struct Call {
    pub(super) local_call_id: u16,
    pub(super) peer_call_id: u16,
    pub(super) channel: GreChannel,
    pub(super) link: Link,
    pub(super) inside: Inside,
    /// Frames that are delayed, or wait for the channel.
    pub(super) late: VecDeque<(Instant, Vec<u8>)>,
    /// When the reply has left; no GRE goes before it.
    pub(super) speaks_at: Instant,
    /// GRE packets, both ways.
    pub(super) packets: u32,
    /// The last of them.
    pub(super) gre_moved_at: Instant,
    /// GRE was idle for so long that its way is forgotten: for good, or until
    /// the caller sends some.
    pub(super) idle_for_good: bool,
    pub(super) idle_in: bool,
    pub(super) flood_sequence: u32,
}

impl Call {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        // What waits for the window is not waited for by the clock.
        let room = self.channel.room() > 0;
        let late = self.late.front().filter(|_| room).map(|(at, _)| *at);
        let inside = match room && self.link.carries_datagrams() {
            true => self.inside.poll_timeout(),
            false => self.inside.poll_timer(),
        };
        [self.channel.poll_timeout(), self.link.poll_timeout(), late, inside]
            .into_iter()
            .flatten()
            .min()
    }

    /// Hands the caller's frames to the link, and its datagrams inside.
    pub(super) fn receive_frames(&mut self, now: Instant) {
        while let Some(frame) = self.channel.poll_frame() {
            self.link.handle_frame(&frame, now);
            while let Some(datagram) = self.link.poll_datagram() {
                self.inside.set_mtu(self.link.mtu());
                self.inside.handle_datagram(&datagram, now);
            }
        }
    }

    pub(super) fn fetch_frames(&mut self, faults: &SharedFaults, now: Instant) {
        while let Some((phase, frame)) = self.link.poll_transmit() {
            let delay = faults.borrow().delay(phase);
            let earliest = self.late.back().map_or(self.speaks_at, |(at, _)| *at);
            if self.late.len() < GRE_QUEUE {
                self.late.push_back(((now + delay).max(earliest), frame));
            }
        }
    }

    /// Has a datagram made into a frame, unless one waits for the window
    /// already; false when there is none.
    pub(super) fn fetch_datagram(&mut self, now: Instant) -> bool {
        let waiting = self.late.front().is_some_and(|(at, _)| *at <= now);
        if waiting || self.late.len() >= GRE_QUEUE / 2 || !self.link.carries_datagrams() {
            return false;
        }
        let datagram = self.inside.poll_datagram(now);
        if let Some(datagram) = &datagram {
            self.link.send_datagram(datagram);
        }
        datagram.is_some()
    }

    /// A GRE packet comes or goes: was the way forgotten before it?
    pub(super) fn age(&mut self, faults: &Faults, now: Instant) {
        let idle = now.saturating_duration_since(self.gre_moved_at);
        for fault in faults.iter() {
            match fault {
                Fault::GreIdleDrop(limit) => self.idle_for_good |= idle >= *limit,
                Fault::GreIdleIn(limit) => self.idle_in |= idle >= *limit,
                _ => {}
            }
        }
    }

    /// LCP Discard-Requests under numbers of their own, without regard to the
    /// window.
    pub(super) fn flood(&mut self, path: &mut Path, now: Instant) {
        let packet = Packet { code: Code::DiscardRequest, identifier: 0, data: vec![0; 4] };
        let frame = Frame { protocol: ppp::LCP, information: &packet.emit() }.emit();
        while path.queue.len() < FLOOD_BURST {
            self.flood_sequence = self.flood_sequence.wrapping_add(1);
            let packet = gre::Packet {
                call_id: self.peer_call_id,
                sequence: Some(self.flood_sequence),
                acknowledgment: None,
                payload: &frame,
            };
            path.push(packet.emit(), now);
        }
    }
}
