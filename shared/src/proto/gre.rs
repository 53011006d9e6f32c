//! One call's enhanced GRE channel (RFC 2637, section 4): sequence numbers,
//! acknowledgements, the sliding window, and putting frames back in order.
//!
//! It owns both directions of one call and counts what the path does to them.
//! It never retransmits: GRE is unreliable, PPP above it asks again.
//!
//! What real gateways do: pptpd holds back whatever follows a gap until a
//! further packet comes and drops numbers that have passed, so ours have no
//! gaps and are never used twice. Linux' own PPTP (accel-ppp) and pptp-linux
//! begin with 1 instead of 0; the former acknowledges with data only. Some
//! peers never acknowledge; the window then opens again by time.
//!
//! Where this differs from the RFC's advice: the time-out of section 4.4 is
//! half a second and does not adapt, and the window grows with each packet
//! that acknowledges something and not with each whole window (section 4.2.3).
//! A check has no more than a few packets on their way at a time.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::wire::gre::Packet;

/// An acknowledgement waits this long for data to ride on.
const ACK_DELAY: Duration = Duration::from_millis(10);
/// What is not acknowledged by then no longer fills the window.
const ACK_TIMEOUT: Duration = Duration::from_millis(500);
/// A gap in the sequence is waited for this long.
const REORDER_TIME: Duration = Duration::from_millis(100);
/// Frames held behind a gap; one more and the gap is given up.
const REORDER_COUNT: usize = 32;
/// Frames that wait for the window; beyond it the oldest is dropped.
const QUEUE: usize = 256;
/// Frames received that the owner did not take yet; beyond it the newest is
/// dropped.
const INBOX: usize = 1024;
/// Numbers given up that are remembered, to tell a late frame from a duplicate.
const REMEMBERED: usize = 64;
/// Packets of a window that is none.
const WIDE_OPEN: u32 = 1 << 30;
/// A jump of more than this is not a gap but a peer that lost count.
const FAR: u32 = 1 << 16;

/// What happened on the channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets with a frame that were sent.
    pub sent: u64,
    /// Packets with a frame that arrived, duplicates included.
    pub received: u64,
    /// Octets of PPP frames sent.
    pub octets_sent: u64,
    /// Octets of PPP frames received.
    pub octets_received: u64,
    /// Octets of the largest packet that arrived, its GRE header included.
    pub largest_received: usize,
    /// Acknowledgements sent alone.
    pub acks_sent: u64,
    /// Packets that carried an acknowledgement of something we sent.
    pub acks_received: u64,
    /// Acknowledgements of numbers that were never sent.
    pub acks_impossible: u64,
    /// Frames that arrived twice.
    pub duplicates: u64,
    /// Frames that arrived behind a later one.
    pub reordered: u64,
    /// Numbers that never arrived.
    pub lost: u64,
    /// Packets that are not enhanced GRE.
    pub malformed: u64,
    /// Packets under another Call ID.
    pub wrong_call_id: u64,
    /// Frames dropped here because nobody took them or the window stayed shut.
    pub overflowed: u64,
}

/// Both directions of one call.
#[derive(Debug)]
pub struct GreChannel {
    local_call_id: u16,
    peer_call_id: u16,
    counters: Counters,

    /// Frames that wait for the window.
    queue: VecDeque<Vec<u8>>,
    next_sequence: u32,
    /// First number that still fills the window.
    unacknowledged: u32,
    /// Number behind the last that the peer acknowledged.
    acknowledged: u32,
    window: u32,
    window_max: u32,
    /// When the oldest unacknowledged packet stops counting.
    ack_timeout_at: Option<Instant>,

    /// Next number to hand up.
    expected: u32,
    highest: Option<u32>,
    held: BTreeMap<u32, Vec<u8>>,
    gap_until: Option<Instant>,
    given_up: VecDeque<u32>,
    inbox: VecDeque<Vec<u8>>,
    ack_at: Option<Instant>,
    ack_due: bool,
    always_acknowledges: bool,
}

impl GreChannel {
    /// A channel that receives under `local_call_id` and sends under
    /// `peer_call_id`; `peer_window` is the peer's Packet Recv. Window Size.
    /// Half of it is used at first (RFC 2637, section 4.2.1).
    pub fn new(local_call_id: u16, peer_call_id: u16, peer_window: u16, _now: Instant) -> Self {
        let window_max = u32::from(peer_window).max(1);
        Self {
            local_call_id,
            peer_call_id,
            counters: Counters::default(),
            queue: VecDeque::new(),
            next_sequence: 0,
            unacknowledged: 0,
            acknowledged: 0,
            window: window_max.div_ceil(2),
            window_max,
            ack_timeout_at: None,
            expected: 0,
            highest: None,
            held: BTreeMap::new(),
            gap_until: None,
            given_up: VecDeque::new(),
            inbox: VecDeque::new(),
            ack_at: None,
            ack_due: false,
            always_acknowledges: false,
        }
    }

    /// The Call ID of the peer: what our packets carry.
    pub fn peer_call_id(&self) -> u16 {
        self.peer_call_id
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// True when the peer has acknowledged every packet sent, at least one.
    pub fn all_acknowledged(&self) -> bool {
        self.next_sequence != 0 && self.queue.is_empty() && self.acknowledged == self.next_sequence
    }

    /// Frames that could be sent now, the window being what it is; what is
    /// queued beyond them waits.
    pub fn room(&self) -> usize {
        let in_flight = self.next_sequence.wrapping_sub(self.unacknowledged);
        (self.window.saturating_sub(in_flight) as usize).saturating_sub(self.queue.len())
    }

    /// The number that the next frame sent will carry.
    pub fn next_sequence(&self) -> u32 {
        self.next_sequence.wrapping_add(self.queue.len() as u32)
    }

    /// True when the peer has acknowledged a frame with this number or a later
    /// one.
    pub fn is_acknowledged(&self, sequence: u32) -> bool {
        before(sequence, self.acknowledged)
    }

    /// Has every packet carry an acknowledgement, also of what is acknowledged
    /// already, so that all headers are equally long.
    pub fn acknowledge_always(&mut self, always: bool) {
        self.always_acknowledges = always;
    }

    /// What is sent from now on does not wait for the window: there will be no
    /// time for it.
    pub fn open_window(&mut self) {
        (self.window, self.window_max) = (WIDE_OPEN, WIDE_OPEN);
    }

    /// Queues a PPP frame.
    pub fn send(&mut self, frame: Vec<u8>, _now: Instant) {
        if self.queue.len() == QUEUE {
            self.queue.pop_front();
            self.counters.overflowed += 1;
        }
        self.queue.push_back(frame);
    }

    /// Takes the payload of an IP datagram of protocol 47.
    pub fn handle_input(&mut self, octets: &[u8], now: Instant) {
        let Ok(packet) = Packet::parse(octets) else {
            self.counters.malformed += 1;
            return;
        };
        if packet.call_id != self.local_call_id {
            self.counters.wrong_call_id += 1;
            return;
        }
        self.counters.largest_received = self.counters.largest_received.max(octets.len());
        if let Some(acknowledgment) = packet.acknowledgment {
            self.receive_ack(acknowledgment, now);
        }
        if let Some(sequence) = packet.sequence {
            self.receive_frame(sequence, packet.payload, now);
        }
    }

    /// A timer ran out.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
            self.ack_due = true;
        }
        if self.gap_until.is_some_and(|at| at <= now) {
            self.give_up_gap(now);
        }
        if self.ack_timeout_at.is_some_and(|at| at <= now) {
            // Lost, or a peer that does not acknowledge: slow down, go on.
            self.ack_timeout_at = None;
            self.unacknowledged = self.next_sequence;
            self.window = (self.window / 2).max(1);
        }
    }

    /// The next GRE packet to send; `now` starts its acknowledgement timer.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let in_flight = self.next_sequence.wrapping_sub(self.unacknowledged);
        let frame = if in_flight < self.window { self.queue.pop_front() } else { None };
        if frame.is_none() && !self.ack_due {
            return None;
        }
        let acknowledge = self.ack_due || self.ack_at.is_some() || self.always_acknowledges;
        self.ack_due = false;
        self.ack_at = None;
        let sequence = frame.is_some().then_some(self.next_sequence);
        let payload = frame.unwrap_or_default();
        if sequence.is_some() {
            self.next_sequence = self.next_sequence.wrapping_add(1);
            self.ack_timeout_at.get_or_insert(now + ACK_TIMEOUT);
            self.counters.sent += 1;
            self.counters.octets_sent += payload.len() as u64;
        } else {
            self.counters.acks_sent += 1;
        }
        let acknowledgment = self.highest.filter(|_| acknowledge);
        let call_id = self.peer_call_id;
        Some(Packet { call_id, sequence, acknowledgment, payload: &payload }.emit())
    }

    /// The next PPP frame, in order.
    pub fn poll_frame(&mut self) -> Option<Vec<u8>> {
        self.inbox.pop_front()
    }

    /// When [`GreChannel::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.ack_at, self.gap_until, self.ack_timeout_at].into_iter().flatten().min()
    }

    fn receive_ack(&mut self, acknowledgment: u32, now: Instant) {
        let next = acknowledgment.wrapping_add(1);
        let sent_since = self.next_sequence.wrapping_sub(next);
        if u64::from(sent_since) >= self.counters.sent {
            self.counters.acks_impossible += 1;
            return;
        }
        self.counters.acks_received += 1;
        if before(self.acknowledged, next) {
            self.acknowledged = next;
        }
        if !before(self.unacknowledged, next) {
            return;
        }
        self.unacknowledged = next;
        self.window = (self.window + 1).min(self.window_max);
        self.ack_timeout_at = (next != self.next_sequence).then_some(now + ACK_TIMEOUT);
    }

    fn receive_frame(&mut self, sequence: u32, payload: &[u8], now: Instant) {
        self.counters.received += 1;
        self.counters.octets_received += payload.len() as u64;
        self.ack_at.get_or_insert(now + ACK_DELAY);
        let first = self.highest.is_none();
        if first && (sequence == 1 || sequence > FAR) {
            self.expected = sequence;
        }
        let late = self.highest.is_some_and(|highest| before(sequence, highest));
        if before(sequence, self.expected) {
            if let Some(i) = self.given_up.iter().position(|&number| number == sequence) {
                self.given_up.remove(i);
                self.counters.lost -= 1;
                self.counters.reordered += 1;
            } else {
                self.counters.duplicates += 1;
            }
            return;
        }
        if self.held.contains_key(&sequence) {
            self.counters.duplicates += 1;
            return;
        }
        if late {
            self.counters.reordered += 1;
        } else {
            self.highest = Some(sequence);
        }
        if sequence.wrapping_sub(self.expected) > FAR {
            // Not a gap: follow the peer to where it is.
            self.held.clear();
            self.gap_until = None;
            self.expected = sequence;
        }
        if sequence == self.expected && self.held.is_empty() {
            self.expected = self.expected.wrapping_add(1);
            return self.deliver(payload.to_vec());
        }
        self.held.insert(sequence, payload.to_vec());
        self.hand_up(now);
        if self.held.len() > REORDER_COUNT {
            self.give_up_gap(now);
        }
    }

    fn deliver(&mut self, frame: Vec<u8>) {
        if self.inbox.len() < INBOX {
            self.inbox.push_back(frame);
        } else {
            self.counters.overflowed += 1;
        }
    }

    /// Hands up what is in order, and times the gap that remains.
    fn hand_up(&mut self, now: Instant) {
        while let Some(frame) = self.held.remove(&self.expected) {
            self.expected = self.expected.wrapping_add(1);
            self.gap_until = None;
            self.deliver(frame);
        }
        if !self.held.is_empty() {
            self.gap_until.get_or_insert(now + REORDER_TIME);
        }
    }

    /// The missing numbers before the first held frame are lost.
    fn give_up_gap(&mut self, now: Instant) {
        self.gap_until = None;
        let expected = self.expected;
        let Some(next) = self.held.keys().copied().min_by_key(|n| n.wrapping_sub(expected)) else {
            return;
        };
        self.counters.lost += u64::from(next.wrapping_sub(expected));
        for number in (0..next.wrapping_sub(expected)).rev().take(REMEMBERED) {
            self.given_up.push_back(expected.wrapping_add(number));
        }
        while self.given_up.len() > REMEMBERED {
            self.given_up.pop_front();
        }
        self.expected = next;
        self.hand_up(now);
    }
}

/// Serial number order (RFC 1982): `a` comes before `b`.
fn before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(sequence: u32, payload: &[u8]) -> Vec<u8> {
        Packet { call_id: 7, sequence: Some(sequence), acknowledgment: None, payload }.emit()
    }

    fn ack(acknowledgment: u32) -> Vec<u8> {
        let acknowledgment = Some(acknowledgment);
        Packet { call_id: 7, sequence: None, acknowledgment, payload: &[] }.emit()
    }

    fn channel(now: Instant) -> GreChannel {
        GreChannel::new(7, 9, 64, now)
    }

    fn frames(channel: &mut GreChannel) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| channel.poll_frame()).collect()
    }

    #[test]
    fn numbers_begin_at_zero_and_have_no_gaps() {
        let now = Instant::now();
        let mut c = channel(now);
        for n in 0..3u8 {
            c.send(vec![n], now);
            let octets = c.poll_transmit(now).unwrap();
            let packet = Packet::parse(&octets).unwrap();
            assert_eq!((packet.call_id, packet.sequence), (9, Some(n.into())));
            assert_eq!((packet.acknowledgment, packet.payload), (None, &[n][..]));
        }
        assert_eq!(c.poll_transmit(now), None);
    }

    #[test]
    fn an_acknowledgement_rides_on_data_or_goes_alone_after_its_delay() {
        let now = Instant::now();
        let mut c = channel(now);
        c.handle_input(&data(0, &[1]), now);
        assert_eq!(c.poll_transmit(now), None);
        c.send(vec![2], now);
        let octets = c.poll_transmit(now).unwrap();
        assert_eq!(Packet::parse(&octets).unwrap().acknowledgment, Some(0));
        c.handle_input(&data(1, &[1]), now);
        let at = c.poll_timeout().unwrap();
        c.handle_timeout(at);
        let octets = c.poll_transmit(at).unwrap();
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!((packet.sequence, packet.acknowledgment), (None, Some(1)));
        assert_eq!(c.counters().acks_sent, 1);
    }

    #[test]
    fn every_packet_acknowledges_where_all_shall_be_equally_long() {
        let now = Instant::now();
        let mut c = channel(now);
        c.acknowledge_always(true);
        let sent = |c: &mut GreChannel| {
            c.send(vec![2], now);
            let octets = c.poll_transmit(now).unwrap();
            (Packet::parse(&octets).unwrap().acknowledgment, octets.len())
        };
        assert_eq!(sent(&mut c), (None, 13));
        c.handle_input(&data(0, &[1; 40]), now);
        assert_eq!(c.counters().largest_received, 12 + 40);
        assert_eq!((sent(&mut c), sent(&mut c)), ((Some(0), 17), (Some(0), 17)));
        c.acknowledge_always(false);
        assert_eq!(sent(&mut c), (None, 13));
        assert_eq!(c.poll_transmit(now), None);
    }

    #[test]
    fn what_waits_leaves_in_order_when_the_window_is_opened() {
        let now = Instant::now();
        let mut c = GreChannel::new(7, 9, 2, now);
        for n in 0..4 {
            c.send(vec![n], now);
        }
        assert!(c.poll_transmit(now).is_some());
        assert_eq!((c.poll_transmit(now), c.room()), (None, 0));
        c.open_window();
        let left = std::iter::from_fn(|| c.poll_transmit(now));
        let left: Vec<_> =
            left.map(|octets| Packet::parse(&octets).unwrap().payload.to_vec()).collect();
        assert_eq!(left, [[1], [2], [3]]);
        c.handle_input(&ack(3), now);
        assert!(c.room() > 1_000);
    }

    #[test]
    fn the_window_shuts_and_opens_by_acknowledgement_or_time() {
        let now = Instant::now();
        let mut c = GreChannel::new(7, 9, 4, now);
        for n in 0..6 {
            c.send(vec![n], now);
        }
        let mut sent = 0;
        while c.poll_transmit(now).is_some() {
            sent += 1;
        }
        assert_eq!(sent, 2);
        c.handle_input(&ack(1), now);
        while c.poll_transmit(now).is_some() {
            sent += 1;
        }
        assert_eq!(sent, 5);
        assert!(!c.all_acknowledged());
        let later = now + ACK_TIMEOUT;
        c.handle_timeout(later);
        assert!(!c.all_acknowledged());
        assert!(c.poll_transmit(later).is_some());
        c.handle_input(&ack(5), later);
        assert!(c.all_acknowledged());
    }

    #[test]
    fn acknowledgement_of_what_was_never_sent_is_counted_and_ignored() {
        let now = Instant::now();
        let mut c = channel(now);
        c.handle_input(&ack(0), now);
        c.send(vec![0], now);
        c.poll_transmit(now);
        // The one before number 0 says that nothing came.
        for number in [1, 1 << 31, u32::MAX] {
            c.handle_input(&ack(number), now);
        }
        assert_eq!((c.counters().acks_impossible, c.counters().acks_received), (4, 0));
        assert!(!c.all_acknowledged());
        c.handle_input(&ack(0), now);
        assert!(c.all_acknowledged());
    }

    #[test]
    fn a_swapped_pair_is_put_in_order() {
        let now = Instant::now();
        let mut c = channel(now);
        for sequence in [0, 2, 1, 3] {
            c.handle_input(&data(sequence, &[sequence as u8]), now);
        }
        assert_eq!(frames(&mut c), [[0], [1], [2], [3]]);
        assert_eq!((c.counters().reordered, c.counters().lost), (1, 0));
    }

    #[test]
    fn a_gap_is_waited_for_then_given_up_and_a_late_frame_is_no_duplicate() {
        let now = Instant::now();
        let mut c = channel(now);
        c.handle_input(&data(0, &[0]), now);
        c.handle_input(&data(2, &[2]), now);
        assert_eq!(frames(&mut c), [[0]]);
        c.handle_timeout(now + REORDER_TIME);
        assert_eq!(frames(&mut c), [[2]]);
        assert_eq!(c.counters().lost, 1);
        c.handle_input(&data(1, &[1]), now + REORDER_TIME);
        c.handle_input(&data(2, &[2]), now + REORDER_TIME);
        assert_eq!(frames(&mut c), Vec::<Vec<u8>>::new());
        let counters = c.counters();
        assert_eq!((counters.lost, counters.reordered, counters.duplicates), (0, 1, 1));
    }

    #[test]
    fn a_peer_that_begins_with_one_is_not_waited_for() {
        let now = Instant::now();
        let mut c = channel(now);
        c.handle_input(&data(1, &[1]), now);
        assert_eq!(frames(&mut c), [[1]]);
        assert_eq!(c.counters().lost, 0);
    }

    #[test]
    fn held_frames_are_bounded_by_count() {
        let now = Instant::now();
        let mut c = channel(now);
        for sequence in 1000..1000 + 40 {
            c.handle_input(&data(sequence, &[1]), now);
            assert!(c.held.len() <= REORDER_COUNT + 1);
        }
        assert_eq!(frames(&mut c).len(), 40);
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert!(before(u32::MAX, 0));
        assert!(!before(0, u32::MAX));
        let now = Instant::now();
        let mut c = channel(now);
        c.handle_input(&data(u32::MAX, &[1]), now);
        c.handle_input(&data(0, &[2]), now);
        assert_eq!(frames(&mut c), [[1], [2]]);
    }

    proptest! {
        /// Whatever the path does: order is kept, nothing comes twice, memory
        /// stays bounded, and the counters add up.
        #[test]
        fn frames_come_in_order_and_once(
            arrivals in proptest::collection::vec((0u32..60, 0u64..80), 0..300),
        ) {
            let mut now = Instant::now();
            let mut c = channel(now);
            let mut seen = vec![];
            for (sequence, wait) in arrivals {
                now += Duration::from_millis(wait);
                c.handle_timeout(now);
                c.handle_input(&data(sequence, &sequence.to_be_bytes()), now);
                prop_assert!(c.held.len() <= REORDER_COUNT);
                seen.extend(frames(&mut c));
            }
            for _ in 0..60 {
                now += REORDER_TIME;
                c.handle_timeout(now);
            }
            seen.extend(frames(&mut c));
            prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
            let k = c.counters();
            prop_assert!(k.duplicates + k.reordered + seen.len() as u64 >= k.received);
        }

        #[test]
        fn arbitrary_packets_never_panic(
            packets in proptest::collection::vec((any::<u32>(), any::<Option<u32>>()), 0..50),
        ) {
            let now = Instant::now();
            let mut c = channel(now);
            for (sequence, acknowledgment) in packets {
                let p = Packet { call_id: 7, sequence: Some(sequence), acknowledgment, payload: &[1] };
                c.handle_input(&p.emit(), now);
                c.send(vec![0], now);
                while c.poll_transmit(now).is_some() {}
            }
            prop_assert!(c.held.len() <= REORDER_COUNT && c.given_up.len() <= REMEMBERED);
        }
    }
}
