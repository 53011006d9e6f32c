//! The largest packet that passes the tunnel, found with echoes that must not
//! be fragmented (RFC 1191, RFC 8899), and upwards alone with frames that the
//! gateway acknowledges.
//!
//! It owns the search, and what follows from it for MTU and MSS. It leaves the
//! octets to [`Pinger`] and [`Acknowledged`]. All sizes count the octets of the
//! IPv4 datagram inside the tunnel.
//!
//! A round sends five sizes at once, the largest first, and behind them a small
//! packet: a sixth of the range is left after one round trip, and once the
//! small packet is answered, those before it that are not were dropped, so a
//! black hole costs no time-out. An answer proves that a size passes, whenever
//! it comes; silence only makes it unlikely, and the size that ends the search
//! has been tried three times.
//!
//! A GRE packet that carries an acknowledgement is four octets longer (RFC
//! 2637, section 4.1). What counts is the size that passes with one: ours carry
//! one each while a search is on. The gateway's carry one when there is
//! something new to acknowledge, which is not so for all the answers of a round:
//! therefore the size that was found is tried alone in the end.
//!
//! What real gateways do: pptpd holds what follows a gap in the sequence for
//! 0.3 s, and then until a further packet comes. Where large packets are lost on
//! the way up, the small packet is therefore repeated, at such a pace that the
//! fourth ends the hold. Its acknowledgements are cumulative and skip what it
//! gave up; where no data goes back they come after 50 ms. accel-ppp
//! acknowledges with data only. A router with manners names the size that fits;
//! many firewalls drop what it says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::way::{Answer, Heard, Pinger, now};

/// How often a size is tried before it counts as failed.
const TRIES: u8 = 3;
/// Sizes in a round.
const WIDTH: usize = 5;
/// Sizes tried in a search, repetitions included.
const MOST_TRIES: usize = 50;
/// From one small packet to the next while none is answered: the fourth comes
/// when pptpd holds nothing any more.
const NUDGE: Duration = Duration::from_millis(105);
/// Octets that a GRE packet without an acknowledgement is shorter.
const ACKNOWLEDGEMENT: usize = 4;
/// Large packets that a small one overtook are waited for this long; what
/// comes later still counts, and the two tries to come leave time for it.
const GRACE: Duration = Duration::from_millis(10);
/// Headers of IPv4 and TCP without options in octets.
const HEADERS: u16 = 40;

/// A size in octets that is taken to pass.
pub const SMALL: usize = 128;

/// The search for the largest size that passes. It sends nothing and knows no
/// clock; who does says what became of each size.
#[derive(Debug)]
pub struct Bisection {
    /// The largest size that passed.
    passed: usize,
    high: usize,
    /// Larger sizes that did not pass, and how often they were tried.
    failed: BTreeMap<usize, u8>,
    /// Sizes that are likely to be the largest, the likeliest first.
    expected: Vec<usize>,
}

impl Bisection {
    /// A search from `low`, which passes, to `high`.
    pub fn new(low: usize, high: usize) -> Self {
        Self { passed: low, high, failed: BTreeMap::new(), expected: Vec::new() }
    }

    /// What to try next, the largest first: at most `width` sizes, which may
    /// go at once; one that is to end the search comes several times. Nothing
    /// when the search is over.
    pub fn next(&self, width: usize) -> Vec<usize> {
        let suspect = self.failed.first_key_value();
        if let Some((&size, &tries)) = suspect
            && size == self.passed + 1
        {
            return vec![size; width.min(TRIES.saturating_sub(tries).into())];
        }
        let above = suspect.map_or(self.high + 1, |(&size, _)| size);
        let expected = self.expected.iter().flat_map(|size| [size + 1, *size]);
        let whole = suspect.is_none().then_some(self.high);
        let is_open = |size: &usize| self.passed < *size && *size < above;
        let mut sizes: Vec<_> = expected.chain(whole).filter(is_open).take(width).collect();
        let (gap, parts) = (above.saturating_sub(self.passed), width + 1 - sizes.len());
        sizes.extend((1..parts).map(|part| self.passed + gap * part / parts).filter(is_open));
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        sizes.dedup();
        sizes
    }

    /// The largest size that passed.
    pub fn largest(&self) -> usize {
        self.passed
    }

    /// Whether one octet more was tried three times in vain, or refused.
    pub fn is_exact(&self) -> bool {
        self.passed < self.high && self.next(1).is_empty()
    }

    /// Guesses, the likeliest first: a size passes and one octet more does not.
    pub fn expect(&mut self, sizes: &[usize]) {
        self.expected = sizes.to_vec();
    }

    /// A packet of this size came through.
    pub fn passed(&mut self, size: usize) {
        if size > self.passed {
            self.passed = size;
            self.failed = self.failed.split_off(&(size + 1));
        }
    }

    /// A packet of this size did not come through.
    pub fn failed(&mut self, size: usize) {
        if size > self.passed {
            let tries = self.failed.entry(size).or_default();
            *tries = tries.saturating_add(1);
        }
    }

    /// The largest size passes by chance only.
    fn fails_after_all(&mut self) {
        self.failed.insert(self.passed, TRIES);
        self.passed -= 1;
    }

    /// A router refused this size and named the MTU of its next hop, 0 where
    /// it did not.
    pub fn too_big(&mut self, size: usize, mtu: usize) {
        if size > self.passed {
            self.failed.insert(size, TRIES);
            if (self.passed..size).contains(&mtu) {
                self.expect(&[mtu]);
            }
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The largest size that passed; `None` if not even the smallest did.
    pub largest: Option<usize>,
    /// Whether larger ones are known not to pass.
    pub exact: bool,
    /// Who said last that a packet is too big, and the MTU named, 0 where none is.
    pub refused: Option<(Ipv4Addr, u16)>,
    /// Larger ones vanish and nobody says so.
    pub black_hole: bool,
    /// Packets were lost or refused that were no larger than what passed.
    pub lossy: bool,
    /// Packets sent.
    pub tries: usize,
}

/// Finds the largest echo that comes back whole, by a fresh bisection of sizes
/// from 28 octets. A small packet is repeated for `timeout` before the path
/// counts as dead.
pub async fn largest(
    pinger: &mut impl Pinger,
    bisection: Bisection,
    timeout: Duration,
    until: Instant,
) -> Found {
    let lowest = bisection.largest();
    let mut search = Search::new(bisection);
    loop {
        let sizes = search.bisection.next(WIDTH);
        let is_over = sizes.is_empty() && search.is_answered;
        let is_enough = search.sizes_tried + sizes.len() > MOST_TRIES;
        if is_over || is_enough || !search.round(pinger, &sizes, timeout, until).await {
            break;
        }
    }
    if search.bisection.is_exact() {
        search.confirm(pinger, lowest, timeout, until).await;
    }
    search.finish()
}

/// Frames to the gateway of which it is known whether they arrived: a peer
/// acknowledges GRE packets whatever is in them, LCP Discard-Requests for one
/// (RFC 2637, section 4; RFC 1661, section 5.9).
pub trait Acknowledged {
    /// Sends a frame as long as that of an IPv4 datagram of `length` octets;
    /// gives its sequence number, or nothing when the tunnel is gone.
    fn send(&mut self, length: usize) -> Option<u32>;

    /// Whether the frame with this sequence number is acknowledged, waited for
    /// until `until`; false at once when the tunnel is gone. An acknowledgement
    /// of a later packet counts too, so nothing else may be sent meanwhile.
    fn acknowledged(&mut self, sequence: u32, until: Instant) -> impl Future<Output = bool>;
}

/// Finds the largest frame that reaches the gateway by a fresh bisection. One is
/// under way at a time, because acknowledgements are cumulative; after each
/// that is not acknowledged, small ones show that the way is open, at most for
/// `timeout`.
///
/// Nothing where the gateway acknowledges nothing.
pub async fn largest_up(
    path: &mut impl Acknowledged,
    mut bisection: Bisection,
    timeout: Duration,
    until: Instant,
) -> Option<Bound> {
    // An acknowledgement that waits for data takes equally long each time.
    let patience = (open(path, timeout, until).await? * 2 + GRACE).min(timeout);
    for _ in 0..MOST_TRIES {
        let Some(&size) = bisection.next(1).first() else { break };
        let Some(sequence) = path.send(size) else { break };
        if path.acknowledged(sequence, until.min(now() + patience)).await {
            bisection.passed(size);
        } else if open(path, timeout, until).await.is_some() {
            bisection.failed(size);
        } else {
            break;
        }
    }
    Some(Bound { octets: bisection.largest(), exact: bisection.is_exact() })
}

/// A size that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Octets of the IPv4 datagram.
    pub octets: usize,
    /// Whether larger ones are known not to pass; else it is "at least".
    pub exact: bool,
}

/// What passes each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directions {
    /// There and back.
    pub both: Option<Bound>,
    /// To the gateway and beyond.
    pub up: Option<Bound>,
    /// From there to us.
    pub down: Option<Bound>,
}

impl Directions {
    /// What the search there and back and the one upwards say together: the
    /// smaller of the two directions limits what comes back. Neither looked
    /// beyond what fits this host's link whole, `fits_up` and `fits_down`.
    pub fn new(both: &Found, up: Option<Bound>, fits_up: usize, fits_down: usize) -> Self {
        let Some(octets) = both.largest else { return Self { both: None, up, down: None } };
        let up = up.filter(|up| up.octets >= octets).unwrap_or(Bound { octets, exact: false });
        let up = Bound { exact: up.exact || up.octets >= fits_up, ..up };
        let is_down = both.exact && up.octets > octets || octets >= fits_down;
        let down = Bound { octets, exact: is_down };
        let both = Bound { octets, exact: both.exact || octets >= fits_up.min(fits_down) };
        Self { both: Some(both), up: Some(up), down: Some(down) }
    }

    /// What to set on the gateway, if `mtu`, the largest datagram that was
    /// negotiated, is larger than what passes: its MRU, with MPPE four octets
    /// less, which are the header (RFC 3078, section 3) and the protocol number
    /// that is encrypted with the datagram.
    pub fn clamp(&self, mtu: u16) -> Option<Clamp> {
        let known = [self.both, self.up, self.down].into_iter().flatten();
        let limit = known.filter(|bound| bound.exact).map(|bound| bound.octets).min()?;
        let limit = u16::try_from(limit).ok().filter(|limit| *limit < mtu)?;
        Some(Clamp { mtu: limit, mss: limit.saturating_sub(HEADERS) })
    }
}

/// What to set where packets are too large for the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    /// MTU in octets of the IPv4 datagram.
    pub mtu: u16,
    /// Maximum segment size of TCP in octets: the MTU less 40.
    pub mss: u16,
}

/// One echo that was sent.
struct Probe {
    size: usize,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Answered,
    /// By an ICMP error, or cut on the way.
    Refused,
}

struct Search {
    bisection: Bisection,
    /// In order of sending; sequence numbers begin with 1.
    sent: Vec<Probe>,
    sizes_tried: usize,
    /// Whether anything came back.
    is_answered: bool,
    refused: Option<(Ipv4Addr, u16)>,
}

impl Search {
    fn new(bisection: Bisection) -> Self {
        Self { bisection, sent: Vec::new(), sizes_tried: 0, is_answered: false, refused: None }
    }

    /// Sends some sizes and hears what becomes of them. False when the path is
    /// dead or the time is up.
    async fn round(
        &mut self,
        pinger: &mut impl Pinger,
        sizes: &[usize],
        timeout: Duration,
        until: Instant,
    ) -> bool {
        let first = self.sent.len();
        self.sizes_tried += sizes.len();
        let end = until.min(now() + timeout);
        let mut nudge = now();
        if nudge >= end {
            return false;
        }
        for &size in sizes {
            self.send(pinger, size);
        }
        let last = self.sent.len();
        let mut refusals = 0;
        while nudge < end && refusals < TRIES {
            self.send(pinger, SMALL.min(self.bisection.largest()));
            nudge = end.min(nudge + NUDGE);
            if self.hear(pinger, first, last, nudge).await {
                self.settle(first, last);
                return true;
            }
            // Refused, or the tunnel is gone.
            if now() < nudge {
                refusals += 1;
                nudge = now();
            }
        }
        false
    }

    /// Tries what was found alone, so that the answer carries an acknowledgement,
    /// and goes down as far as that matters.
    async fn confirm(
        &mut self,
        pinger: &mut impl Pinger,
        lowest: usize,
        timeout: Duration,
        until: Instant,
    ) {
        let found = self.bisection.largest();
        for size in (found.saturating_sub(ACKNOWLEDGEMENT).max(lowest + 1)..=found).rev() {
            for _ in 0..TRIES {
                let index = self.sent.len();
                if !self.round(pinger, &[size], timeout, until).await
                    || self.sent[index].fate == Fate::Answered
                {
                    return;
                }
            }
            self.bisection.fails_after_all();
        }
    }

    fn send(&mut self, pinger: &mut impl Pinger, size: usize) {
        let sequence = u16::try_from(self.sent.len() + 1).unwrap_or(u16::MAX);
        pinger.send(sequence, size);
        self.sent.push(Probe { size, fate: Fate::Waiting });
    }

    /// Hears what becomes of a round, at the latest until `end`: the sizes
    /// from `first`, and from `last` on small packets. Says whether one of these
    /// came back, or nothing is left to find out.
    async fn hear(
        &mut self,
        pinger: &mut impl Pinger,
        first: usize,
        last: usize,
        mut end: Instant,
    ) -> bool {
        let answered = |probe: &Probe| probe.fate == Fate::Answered;
        let mut is_answered = false;
        loop {
            let (sizes, small) = (&self.sent[first..last], &self.sent[last..]);
            if !is_answered && small.iter().any(answered) {
                is_answered = true;
                end = end.min(now() + GRACE);
            }
            let is_open = |probe: &Probe| {
                probe.fate == Fate::Waiting && probe.size >= self.bisection.largest()
            };
            if (is_answered || sizes.iter().any(answered)) && !sizes.iter().any(is_open) {
                return true;
            }
            if now() > end || small.iter().all(|probe| probe.fate == Fate::Refused) {
                return is_answered;
            }
            match pinger.heard(end).await {
                Some(heard) => self.take(heard),
                None => return is_answered,
            }
        }
    }

    fn take(&mut self, heard: Heard) {
        let index = usize::from(heard.sequence).checked_sub(1);
        let Some(probe) = index.and_then(|index| self.sent.get_mut(index)) else { return };
        match heard.answer {
            Answer::Reply { length } if length == probe.size => {
                probe.fate = Fate::Answered;
                self.is_answered = true;
                self.bisection.passed(probe.size);
            }
            _ if probe.fate == Fate::Answered => {}
            Answer::TooBig { from, mtu } => {
                probe.fate = Fate::Refused;
                self.refused = Some((from, mtu));
                self.bisection.too_big(probe.size, mtu.into());
            }
            Answer::Reply { .. } | Answer::Unreachable { .. } => probe.fate = Fate::Refused,
        }
    }

    /// A later packet came back: what is not answered by now was dropped.
    fn settle(&mut self, first: usize, last: usize) {
        for probe in &self.sent[first..last] {
            if probe.fate != Fate::Answered {
                self.bisection.failed(probe.size);
            }
        }
    }

    fn finish(self) -> Found {
        let passed = self.bisection.largest();
        let is_answered = |probe: &Probe| probe.fate == Fate::Answered;
        let later = self.sent.iter().rposition(is_answered).unwrap_or(0);
        let is_lost = |(index, probe): (usize, &Probe)| match probe.fate {
            Fate::Waiting => probe.size <= passed && index < later,
            Fate::Answered => false,
            Fate::Refused => probe.size <= passed,
        };
        let is_refused = |probe: &Probe| probe.fate == Fate::Refused && probe.size > passed;
        let exact = self.is_answered && self.bisection.is_exact();
        Found {
            largest: self.is_answered.then_some(passed),
            exact,
            refused: self.refused,
            black_hole: exact && !self.sent.iter().any(is_refused),
            lossy: self.sent.iter().enumerate().any(is_lost),
            tries: self.sent.len(),
        }
    }
}

/// Sends small frames until the first of them is acknowledged; gives how long
/// that took.
async fn open(path: &mut impl Acknowledged, timeout: Duration, until: Instant) -> Option<Duration> {
    let begun = now();
    let end = until.min(begun + timeout);
    let mut first = None;
    let mut nudge = begun;
    while nudge < end {
        let sequence = path.send(SMALL)?;
        let first = *first.get_or_insert(sequence);
        nudge = end.min(nudge + NUDGE);
        if path.acknowledged(first, nudge).await {
            return Some(now().duration_since(begun));
        }
        if now() < nudge {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::echoes::tests::{Path, arrival, in_ms, on_virtual_clock};
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const TIMEOUT: Duration = Duration::from_millis(300);

    /// Runs a search from 28 to 1500; also says how many milliseconds it took.
    fn search(mut path: impl FnMut(u16, usize) -> Vec<(u64, Answer)>) -> (Found, u128) {
        on_virtual_clock(async {
            let started = now();
            let mut path = Path::new(&mut path);
            let sizes = Bisection::new(28, 1500);
            let found = largest(&mut path, sizes, TIMEOUT, in_ms(60_000)).await;
            assert_eq!(found.tries, path.sent.len());
            (found, (now() - started).as_millis())
        })
    }

    fn reply(delay: u64, length: usize) -> Vec<(u64, Answer)> {
        vec![(delay, Answer::Reply { length })]
    }

    fn too_big(mtu: u16) -> Vec<(u64, Answer)> {
        vec![(40, Answer::TooBig { from: ROUTER, mtu })]
    }

    fn exact(octets: usize) -> Option<Bound> {
        Some(Bound { octets, exact: true })
    }

    fn at_least(octets: usize) -> Option<Bound> {
        Some(Bound { octets, exact: false })
    }

    #[test]
    fn one_round_trip_where_everything_passes() {
        let (found, took) = search(|_, length| reply(40, length));
        let expected = Found { largest: Some(1500), tries: 6, ..Found::default() };
        assert_eq!((found, took), (expected, 40));
    }

    #[test]
    fn black_hole_is_found_without_a_time_out() {
        for limit in [28, 29, 576, 1280, 1396, 1400, 1498, 1499] {
            let (found, took) =
                search(|_, length| if length <= limit { reply(40, length) } else { vec![] });
            assert_eq!((found.largest, found.exact), (Some(limit), true), "{limit}");
            assert!(found.black_hole && !found.lossy && found.refused.is_none(), "{limit}");
            assert!(found.tries <= 40, "{limit}: {}", found.tries);
            // Six rounds and the last size alone.
            assert!(took <= 7 * (40 + GRACE.as_millis()), "{limit}: {took}");
        }
    }

    #[test]
    fn router_that_names_the_size_saves_the_search() {
        let (found, took) =
            search(|_, length| if length <= 1396 { reply(40, length) } else { too_big(1396) });
        assert_eq!((found.largest, found.exact), (Some(1396), true));
        assert_eq!(found.refused, Some((ROUTER, 1396)));
        assert!(!found.black_hole && !found.lossy);
        assert_eq!(took, 120);
    }

    #[test]
    fn router_that_names_nothing_or_nonsense_is_only_believed_to_have_refused() {
        for mtu in [0, 1, 900, 1500, u16::MAX] {
            let (found, _) =
                search(|_, length| if length <= 1300 { reply(40, length) } else { too_big(mtu) });
            assert_eq!((found.largest, found.exact), (Some(1300), true), "{mtu}");
            assert!(!found.black_hole && !found.lossy, "{mtu}");
        }
    }

    #[test]
    fn sizes_that_small_packets_overtake_do_not_fail() {
        let mut passed = 28;
        let (found, _) = search(|_, length| {
            let delay = if length > passed { 9 } else { 1 };
            if length > 1200 {
                return vec![];
            }
            passed = passed.max(length);
            reply(delay, length)
        });
        assert_eq!((found.largest, found.exact, found.lossy), (Some(1200), true, false));
    }

    #[test]
    fn nothing_passes() {
        let (found, took) = search(|_, _| vec![]);
        assert_eq!(found, Found { tries: 5 + 3, ..Found::default() });
        assert_eq!(took, TIMEOUT.as_millis());
        let unreachable = Answer::Unreachable { from: ROUTER, code: 1 };
        let (found, took) = search(|_, _| vec![(40, unreachable)]);
        assert_eq!((found.largest, found.exact, took), (None, false, 120));
    }

    #[test]
    fn a_shortened_answer_did_not_pass() {
        let (found, _) = search(|_, length| reply(40, length.min(1000)));
        assert_eq!((found.largest, found.exact), (Some(1000), true));
    }

    #[test]
    fn time_that_is_up_leaves_a_lower_bound() {
        on_virtual_clock(async {
            let path = |_, length| if length <= 700 { reply(40, length) } else { vec![] };
            let sizes = Bisection::new(28, 1500);
            let found = largest(&mut Path::new(path), sizes, TIMEOUT, in_ms(50)).await;
            assert_eq!((found.largest, found.exact), (Some(617), false));
            assert!(!found.black_hole);
        });
    }

    #[test]
    fn a_flood_of_answers_does_not_hold_a_round() {
        let (found, took) = search(|sequence, length| {
            if length > 1400 {
                vec![]
            } else if sequence == 6 {
                (0..5_000).map(|at| (40 + at / 10, Answer::Reply { length })).collect()
            } else {
                reply(40, length)
            }
        });
        assert_eq!((found.largest, found.exact), (Some(1400), true));
        assert!(took <= 7 * (40 + GRACE.as_millis()), "{took}");
    }

    /// pptpd behind a path that loses what is too large. Acknowledged echoes
    /// and discards share its sequence.
    #[derive(Default)]
    struct Pptpd {
        /// Largest sizes in packets with an acknowledgement.
        up: usize,
        down: usize,
        delay: Duration,
        /// What is lost for no reason, in order of sending; nothing behind its end.
        losses: Vec<bool>,
        sent: u32,
        expected: u32,
        held: Vec<(u32, Frame, Instant)>,
        coming: Vec<Heard>,
        acknowledgements: Vec<(Instant, u32)>,
        echoes: usize,
    }

    #[derive(Clone, Copy)]
    enum Frame {
        Echo(u16, usize),
        Discard,
    }

    impl Pptpd {
        const HOLD: Duration = Duration::from_millis(300);
        const ACK_DELAY: Duration = Duration::from_millis(50);

        fn is_lost(&mut self) -> bool {
            !self.losses.is_empty() && self.losses.remove(0)
        }

        fn arrive(&mut self, length: usize, frame: Frame) -> u32 {
            let sequence = self.sent;
            self.sent += 1;
            if self.is_lost() || length > self.up {
                return sequence;
            }
            let at = now() + self.delay;
            let mut accepted = Vec::new();
            let mut accept = |expected: &mut u32, sequence, frame| {
                *expected = sequence + 1;
                accepted.push(frame);
            };
            while let Some(&(held, frame, since)) = self.held.first()
                && (held == self.expected || at - since >= Self::HOLD)
            {
                self.held.remove(0);
                accept(&mut self.expected, held, frame);
            }
            if sequence == self.expected {
                accept(&mut self.expected, sequence, frame);
            } else {
                self.held.push((sequence, frame, at));
            }
            self.answer(&accepted, at);
            sequence
        }

        /// One of the answers that go at once acknowledges everything.
        fn answer(&mut self, accepted: &[Frame], at: Instant) {
            let mut pending = (!accepted.is_empty()).then(|| self.expected - 1);
            for frame in accepted {
                let &Frame::Echo(sequence, length) = frame else { continue };
                let acknowledgement = pending.take();
                let shorter = if acknowledgement.is_some() { 0 } else { ACKNOWLEDGEMENT };
                if self.is_lost() || length - shorter > self.down {
                    continue;
                }
                let at = at + self.delay;
                self.acknowledgements.extend(acknowledgement.map(|number| (at, number)));
                self.coming.push(Heard { at, sequence, answer: Answer::Reply { length } });
            }
            if let Some(number) = pending
                && !self.is_lost()
            {
                self.acknowledgements.push((at + Self::ACK_DELAY + self.delay, number));
            }
        }
    }

    impl Pinger for Pptpd {
        fn send(&mut self, sequence: u16, length: usize) -> Instant {
            self.echoes += 1;
            self.arrive(length, Frame::Echo(sequence, length));
            now()
        }

        async fn heard(&mut self, until: Instant) -> Option<Heard> {
            arrival(&mut self.coming, until).await
        }
    }

    impl Acknowledged for Pptpd {
        fn send(&mut self, length: usize) -> Option<u32> {
            Some(self.arrive(length, Frame::Discard))
        }

        async fn acknowledged(&mut self, sequence: u32, until: Instant) -> bool {
            let all = self.acknowledgements.iter();
            let first = all.filter(|(_, number)| *number >= sequence).map(|(at, _)| *at).min();
            let at = first.filter(|at| *at <= until);
            tokio::time::sleep_until(at.unwrap_or(until).into()).await;
            at.is_some()
        }
    }

    const PATIENCE: Duration = Duration::from_millis(1_500);

    /// There and back, then upwards alone, as a check does it; and the
    /// milliseconds that took.
    fn both_searches(mut pptpd: Pptpd, high: usize) -> (Found, Option<Bound>, u128) {
        on_virtual_clock(async {
            let (started, until) = (now(), in_ms(60_000));
            let both = largest(&mut pptpd, Bisection::new(SMALL, high), PATIENCE, until).await;
            assert_eq!(both.tries, pptpd.echoes);
            let mut sizes = Bisection::new(SMALL, high);
            let limit = both.largest.unwrap_or(SMALL);
            sizes.expect(&[limit, limit + 3]);
            let up = largest_up(&mut pptpd, sizes, PATIENCE, until).await;
            (both, up, (now() - started).as_millis())
        })
    }

    #[test]
    fn black_holes_before_pptpd_are_measured_each_way() {
        for delay in [0, 1, 20, 150].map(Duration::from_millis) {
            for (up, down, limit, up_limit, most) in [
                (2000, 2000, 1456, at_least(1456), 200),
                (1259, 2000, 1259, exact(1259), 4_500),
                (1259, 1256, 1256, exact(1259), 3_000),
                (2000, 1256, 1256, at_least(1456), 1_500),
                (2000, 129, 129, at_least(1456), 1_500),
                (1455, 2000, 1455, exact(1455), 4_500),
            ] {
                let pptpd = Pptpd { up, down, delay, ..Pptpd::default() };
                let (found, bound, took) = both_searches(pptpd, 1456);
                let name = format!("{delay:?} {up} {down}");
                assert_eq!((found.largest, bound), (Some(limit), up_limit), "{name}");
                let is_hole = limit < 1456;
                assert_eq!((found.exact, found.black_hole), (is_hole, is_hole), "{name}");
                assert!(!found.lossy, "{name}");
                let trips = delay.as_millis() * 2 * 40;
                assert!(took <= most + trips, "{name}: {took}");
            }
        }
    }

    /// Acknowledges what is no larger than its limit, held or not.
    struct AcceptsOnly(usize, u32);

    impl Acknowledged for AcceptsOnly {
        fn send(&mut self, length: usize) -> Option<u32> {
            self.1 = if length <= self.0 { self.1 + 1 } else { self.1 };
            Some(if length <= self.0 { self.1 } else { u32::MAX })
        }

        async fn acknowledged(&mut self, sequence: u32, until: Instant) -> bool {
            let is_heard = sequence <= self.1;
            let at = if is_heard { until.min(in_ms(40)) } else { until };
            tokio::time::sleep_until(at.into()).await;
            is_heard
        }
    }

    #[test]
    fn upward_limit_is_found_whatever_was_expected() {
        for (limit, found) in [(1500, at_least(1500)), (SMALL, exact(SMALL)), (1250, exact(1250))] {
            for expected in [SMALL, 1000, 1250, 1499, 9000] {
                let bound = on_virtual_clock(async {
                    let mut sizes = Bisection::new(SMALL, 1500);
                    sizes.expect(&[expected]);
                    let mut gateway = AcceptsOnly(limit, 0);
                    largest_up(&mut gateway, sizes, TIMEOUT, in_ms(60_000)).await
                });
                assert_eq!(bound, found, "{limit} {expected}");
            }
        }
    }

    #[test]
    fn gateway_that_acknowledges_nothing_gives_no_upward_limit() {
        let (bound, took) = on_virtual_clock(async {
            let started = now();
            let sizes = Bisection::new(SMALL, 1500);
            let bound = largest_up(&mut AcceptsOnly(0, 0), sizes, TIMEOUT, in_ms(60_000)).await;
            (bound, now() - started)
        });
        assert_eq!((bound, took), (None, TIMEOUT));
    }

    #[test]
    fn the_smaller_direction_limits_what_comes_back() {
        let both = |octets, exact| Found { largest: Some(octets), exact, ..Found::default() };
        for (round, up, expected) in [
            (both(1400, true), exact(1400), (exact(1400), at_least(1400))),
            (both(1400, true), at_least(1500), (at_least(1500), exact(1400))),
            (both(1400, true), exact(1450), (exact(1450), exact(1400))),
            (both(1400, true), None, (at_least(1400), at_least(1400))),
            (both(1500, false), at_least(1500), (at_least(1500), at_least(1500))),
            (both(1400, true), exact(1300), (at_least(1400), at_least(1400))),
            (Found::default(), exact(1300), (exact(1300), None)),
        ] {
            let directions = Directions::new(&round, up, 2000, 2000);
            assert_eq!((directions.up, directions.down), expected, "{round:?} {up:?}");
        }
    }

    #[test]
    fn the_link_of_this_host_is_a_limit_too() {
        let both = |octets, exact| Found { largest: Some(octets), exact, ..Found::default() };
        for (round, up, expected) in [
            (both(1456, false), at_least(1459), [exact(1456), exact(1459), exact(1456)]),
            (both(1456, false), None, [exact(1456), at_least(1456), exact(1456)]),
            (both(1200, false), None, [at_least(1200); 3]),
            (both(1300, true), at_least(1459), [exact(1300), exact(1459), exact(1300)]),
        ] {
            let Directions { both, up, down } = Directions::new(&round, up, 1459, 1456);
            assert_eq!([both, up, down], expected, "{round:?}");
        }
    }

    #[test]
    fn clamp_is_what_is_known_to_be_the_limit() {
        let clamp = |both, up, mtu| Directions { both, up, down: None }.clamp(mtu);
        let expected = Some(Clamp { mtu: 1300, mss: 1260 });
        assert_eq!(clamp(exact(1300), at_least(1200), 1396), expected);
        assert_eq!(clamp(None, exact(1300), 1396), expected);
        assert_eq!(clamp(exact(1396), None, 1396), None);
        assert_eq!(clamp(at_least(1300), at_least(1300), 1396), None);
        assert_eq!(clamp(exact(30), None, 1396), Some(Clamp { mtu: 30, mss: 0 }));
    }

    proptest! {
        #[test]
        fn bisection_finds_any_limit(
            low in 28usize..2_000, range in 0usize..2_000, above in 0usize..2_000,
            width in 1usize..6, expected: Option<u16>,
        ) {
            let limit = low + above;
            let mut bisection = Bisection::new(low, low + range);
            if let Some(expected) = expected {
                bisection.expect(&[expected.into()]);
            }
            let mut rounds = 0;
            loop {
                let sizes = bisection.next(width);
                if sizes.is_empty() {
                    break;
                }
                prop_assert!(sizes.len() <= width);
                prop_assert!(sizes.is_sorted_by(|one, other| one >= other));
                rounds += 1;
                for size in sizes {
                    if size <= limit { bisection.passed(size) } else { bisection.failed(size) }
                }
            }
            prop_assert!(rounds <= 18, "{rounds} rounds");
            prop_assert_eq!(bisection.largest(), limit.min(low + range));
            prop_assert_eq!(bisection.is_exact(), limit < low + range);
        }

        #[test]
        fn loss_never_makes_the_limit_larger_nor_the_search_endless(
            limit in 28usize..1_600,
            lost in vec(prop::bool::weighted(0.2), 150),
            delays in vec(1u64..200, 150),
        ) {
            let (found, took) = search(|sequence, length| {
                let index = usize::from(sequence) - 1;
                if length > limit || lost[index] { vec![] } else { reply(delays[index], length) }
            });
            prop_assert!(found.largest <= Some(limit.min(1_500)));
            prop_assert!(!found.exact || found.largest < Some(1_500));
            prop_assert!(found.tries <= 4 * MOST_TRIES);
            prop_assert!(took <= 60_000);
        }

        #[test]
        fn limits_before_pptpd_are_exact_each_way(
            up in SMALL..1_600, down in SMALL..1_600, delay in 0u64..60,
        ) {
            let delay = Duration::from_millis(delay);
            let (found, bound, _) =
                both_searches(Pptpd { up, down, delay, ..Pptpd::default() }, 1_456);
            let limit = up.min(down).min(1_456);
            prop_assert_eq!((found.largest, found.exact), (Some(limit), limit < 1_456));
            let up = up.min(1_456);
            prop_assert_eq!(bound, Some(Bound { octets: up, exact: up < 1_456 }));
        }

        #[test]
        fn loss_before_pptpd_never_makes_a_limit_larger(
            up in SMALL..1_600, down in SMALL..1_600,
            losses in vec(prop::bool::weighted(0.1), 400),
        ) {
            let (found, bound, took) =
                both_searches(Pptpd { up, down, losses, ..Pptpd::default() }, 1_456);
            // By chance, an answer without an acknowledgement comes last.
            prop_assert!(found.largest <= Some(up.min(down + ACKNOWLEDGEMENT)));
            prop_assert!(bound.is_none_or(|bound| bound.octets <= up));
            prop_assert!(took <= 60_000);
        }

        #[test]
        fn lossless_search_is_exact_whatever_answers_say(
            limit in 28usize..1_500,
            mtus in vec(any::<u16>(), 150),
            told in vec(any::<bool>(), 150),
        ) {
            let (found, _) = search(|sequence, length| {
                let index = usize::from(sequence) - 1;
                if length <= limit {
                    reply(40, length)
                } else if told[index] {
                    too_big(mtus[index])
                } else {
                    vec![]
                }
            });
            prop_assert_eq!((found.largest, found.exact), (Some(limit), true));
        }
    }
}
