//! The largest packet that passes the tunnel, found with echoes that must not
//! be fragmented (RFC 1191, RFC 8899), and upwards alone with frames that the
//! gateway acknowledges.
//!
//! It owns the search, and what follows from it for MTU and MSS. It leaves the
//! octets to [`Pinger`] and [`Acknowledged`]. All sizes count the octets of the
//! IPv4 datagram inside the tunnel.
//!
//! A round sends three sizes at once, the largest first, and behind them a
//! packet that is known to pass: a quarter of the range is left after one
//! round trip, and once that packet is answered, those before it that are not
//! were dropped, so a black hole costs no time-out. An answer proves that a
//! size passes, whenever it comes; silence only makes it unlikely, and the size
//! that ends the search has been tried three times.
//!
//! What real gateways do: pptpd holds what follows a gap in the sequence for
//! 0.3 s and until a further packet comes, so where large packets are lost on
//! the way up, all that follows is late. The packet that is known to pass is
//! therefore repeated, and three time-outs of 0.2 s outlast the hold. A router
//! with manners names the size that fits; many firewalls drop what it says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::way::{Answer, Heard, Pinger, now};

/// How often a size is tried before it counts as failed.
const TRIES: u8 = 3;
/// Sizes in a round.
const WIDTH: usize = 3;
/// Sizes tried in a search, repetitions included.
const MOST_TRIES: usize = 30;
/// Large packets that a small one overtook are waited for this long; what
/// comes later still counts, and the two tries to come leave time for it.
const GRACE: Duration = Duration::from_millis(10);
/// Headers of IPv4 and TCP without options in octets.
const HEADERS: u16 = 40;

/// The search for the largest size that passes. It sends nothing and knows no
/// clock; who does says what became of each size.
#[derive(Debug)]
pub struct Bisection {
    /// The largest size that passed.
    passed: usize,
    high: usize,
    /// Larger sizes that did not pass, and how often they were tried.
    failed: BTreeMap<usize, u8>,
    /// A size that is likely to be the largest.
    expected: Option<usize>,
}

impl Bisection {
    /// A search from `low`, which passes, to `high`.
    pub fn new(low: usize, high: usize) -> Self {
        Self { passed: low, high, failed: BTreeMap::new(), expected: None }
    }

    /// What to try next, the largest first: at most `width` sizes, which may
    /// go at once. Nothing when the search is over.
    pub fn next(&self, width: usize) -> Vec<usize> {
        let suspect = self.failed.first_key_value();
        if let Some((&size, &tries)) = suspect
            && size == self.passed + 1
        {
            return if tries < TRIES { vec![size] } else { Vec::new() };
        }
        let above = suspect.map_or(self.high + 1, |(&size, _)| size);
        let expected = self.expected.into_iter().flat_map(|size| [size + 1, size]);
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

    /// A guess: `size` passes and one octet more does not.
    pub fn expect(&mut self, size: usize) {
        self.expected = Some(size);
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

    /// A router refused this size and named the MTU of its next hop, 0 where
    /// it did not.
    pub fn too_big(&mut self, size: usize, mtu: usize) {
        if size > self.passed {
            self.failed.insert(size, TRIES);
            if (self.passed..size).contains(&mtu) {
                self.expect(mtu);
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

/// Finds the largest echo that comes back whole, of `low` octets, at least 28,
/// to `high`. What did not come back after `timeout` is tried again.
pub async fn largest(
    pinger: &mut impl Pinger,
    low: usize,
    high: usize,
    timeout: Duration,
    until: Instant,
) -> Found {
    let mut search = Search::new(Bisection::new(low, high));
    loop {
        let sizes = search.bisection.next(WIDTH);
        let is_over = sizes.is_empty() && search.is_answered;
        let is_enough = search.sizes_tried + sizes.len() > MOST_TRIES;
        if is_over || is_enough || now() >= until {
            break;
        }
        let first = search.sent.len();
        search.sizes_tried += sizes.len();
        for &size in &sizes {
            search.send(pinger, size);
        }
        let last = search.sent.len();
        let mut is_answered = false;
        for _ in 0..TRIES {
            if is_answered || now() >= until {
                break;
            }
            search.send(pinger, search.bisection.largest());
            let end = now().checked_add(timeout).unwrap_or(until).min(until);
            is_answered = search.hear(pinger, first, last, end).await;
        }
        if !is_answered {
            break;
        }
        search.settle(first, last);
    }
    search.finish()
}

/// Frames to the gateway of which it is known whether they arrived: a peer
/// acknowledges GRE packets whatever is in them, LCP Discard-Requests for one
/// (RFC 2637, section 4; RFC 1661, section 5.9).
pub trait Acknowledged {
    /// Sends a frame as long as that of an IPv4 datagram of `length` octets.
    fn send(&mut self, length: usize);

    /// Whether the frame that was sent last is acknowledged, waited for until
    /// `until`; false at once when the tunnel is gone. An acknowledgement of a
    /// later packet counts too, so nothing else may be sent meanwhile.
    fn acknowledged(&mut self, until: Instant) -> impl Future<Output = bool>;
}

/// Finds the largest frame that reaches the gateway, from `low`, the largest
/// that is known to, to `high`. One is under way at a time, because
/// acknowledgements are cumulative; after each that is not acknowledged within
/// `timeout`, one of `low` octets shows whether the way is open.
///
/// Nothing where the gateway acknowledges nothing.
pub async fn largest_up(
    path: &mut impl Acknowledged,
    low: usize,
    high: usize,
    timeout: Duration,
    until: Instant,
) -> Option<Bound> {
    let mut bisection = Bisection::new(low, high);
    bisection.expect(low);
    if !is_open(path, low, timeout, until).await {
        return None;
    }
    for _ in 0..MOST_TRIES {
        let Some(&size) = bisection.next(1).first() else { break };
        if is_acknowledged(path, size, timeout, until).await {
            bisection.passed(size);
        } else if is_open(path, low, timeout, until).await {
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
    /// smaller of the two directions limits what comes back.
    pub fn new(both: &Found, up: Option<Bound>) -> Self {
        let both = both.largest.map(|octets| Bound { octets, exact: both.exact });
        let Some(round) = both else { return Self { both, up, down: None } };
        let at_least = Some(Bound { exact: false, ..round });
        let (up, down) = match up {
            Some(up) if up.octets > round.octets => (Some(up), both),
            Some(up) if up.octets == round.octets => (Some(up), at_least),
            _ => (at_least, at_least),
        };
        Self { both, up, down }
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

    fn is_over(&self) -> bool {
        self.is_answered && self.bisection.next(1).is_empty()
    }

    fn send(&mut self, pinger: &mut impl Pinger, size: usize) {
        let sequence = u16::try_from(self.sent.len() + 1).unwrap_or(u16::MAX);
        pinger.send(sequence, size);
        self.sent.push(Probe { size, fate: Fate::Waiting });
    }

    /// Hears what becomes of a round, at the latest until `end`: the sizes
    /// from `first`, and from `last` on packets that are known to pass. Says
    /// whether one of these came back, or nothing is left to find out.
    async fn hear(
        &mut self,
        pinger: &mut impl Pinger,
        first: usize,
        last: usize,
        mut end: Instant,
    ) -> bool {
        let mut is_answered = false;
        loop {
            if self.is_over() {
                return true;
            }
            let passing = &self.sent[last..];
            if !is_answered && passing.iter().any(|probe| probe.fate == Fate::Answered) {
                is_answered = true;
                end = end.min(now() + GRACE);
            }
            let is_open = |probe: &Probe| {
                probe.fate == Fate::Waiting && probe.size > self.bisection.largest()
            };
            let is_settled = if is_answered {
                !self.sent[first..last].iter().any(is_open)
            } else {
                passing.iter().all(|probe| probe.fate == Fate::Refused)
            };
            if is_settled || now() > end {
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

/// Whether a size that is known to pass does so now.
async fn is_open(
    path: &mut impl Acknowledged,
    size: usize,
    timeout: Duration,
    until: Instant,
) -> bool {
    for _ in 0..TRIES {
        if is_acknowledged(path, size, timeout, until).await {
            return true;
        }
    }
    false
}

async fn is_acknowledged(
    path: &mut impl Acknowledged,
    size: usize,
    timeout: Duration,
    until: Instant,
) -> bool {
    let at = now();
    if at >= until {
        return false;
    }
    path.send(size);
    path.acknowledged(at.checked_add(timeout).unwrap_or(until).min(until)).await
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
            let found = largest(&mut path, 28, 1500, TIMEOUT, in_ms(60_000)).await;
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
        let expected = Found { largest: Some(1500), tries: 4, ..Found::default() };
        assert_eq!((found, took), (expected, 40));
    }

    #[test]
    fn black_hole_is_found_without_a_time_out() {
        for limit in [28, 29, 576, 1280, 1396, 1400, 1498, 1499] {
            let (found, took) =
                search(|_, length| if length <= limit { reply(40, length) } else { vec![] });
            assert_eq!((found.largest, found.exact), (Some(limit), true), "{limit}");
            assert!(found.black_hole && !found.lossy && found.refused.is_none(), "{limit}");
            assert!(found.tries <= 28, "{limit}: {}", found.tries);
            // Eight rounds.
            assert!(took <= 8 * (40 + GRACE.as_millis()), "{limit}: {took}");
        }
    }

    #[test]
    fn router_that_names_the_size_saves_the_search() {
        let (found, took) =
            search(|_, length| if length <= 1396 { reply(40, length) } else { too_big(1396) });
        assert_eq!((found.largest, found.exact), (Some(1396), true));
        assert_eq!(found.refused, Some((ROUTER, 1396)));
        assert!(!found.black_hole && !found.lossy);
        assert_eq!(took, 80);
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
    fn answers_held_behind_a_gap_are_no_losses() {
        for limit in [28, 600, 1396] {
            on_virtual_clock(async {
                let mut pptpd = Pptpd { limit, ..Pptpd::default() };
                let found = largest(&mut pptpd, 28, 1500, TIMEOUT, in_ms(60_000)).await;
                assert_eq!((found.largest, found.exact), (Some(limit), true), "{limit}");
                assert!(found.black_hole && !found.lossy, "{limit}");
            });
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
        assert_eq!(found, Found { tries: 6, ..Found::default() });
        assert_eq!(took, 900);
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
            let found = largest(&mut Path::new(path), 28, 1500, TIMEOUT, in_ms(50)).await;
            assert_eq!((found.largest, found.exact), (Some(519), false));
            assert!(!found.black_hole);
        });
    }

    #[test]
    fn a_flood_of_answers_does_not_hold_a_round() {
        let (found, took) = search(|sequence, length| {
            if length > 1400 {
                vec![]
            } else if sequence == 4 {
                (0..5_000).map(|at| (40 + at / 10, Answer::Reply { length })).collect()
            } else {
                reply(40, length)
            }
        });
        assert_eq!((found.largest, found.exact), (Some(1400), true));
        assert!(took <= 8 * (40 + GRACE.as_millis()), "{took}");
    }

    /// Large packets are lost on the way to a gateway that waits for them.
    #[derive(Default)]
    struct Pptpd {
        limit: usize,
        accepted: u16,
        held: Vec<(u16, usize, Instant)>,
        coming: Vec<Heard>,
    }

    impl Pptpd {
        fn accept(&mut self, sequence: u16, length: usize) {
            self.accepted = sequence;
            let at = now() + Duration::from_millis(40);
            self.coming.push(Heard { at, sequence, answer: Answer::Reply { length } });
        }
    }

    impl Pinger for Pptpd {
        fn send(&mut self, sequence: u16, length: usize) -> Instant {
            if length > self.limit {
                return now();
            }
            while let Some(&(held, size, since)) = self.held.first()
                && (held == self.accepted + 1 || now() - since >= Duration::from_millis(300))
            {
                self.held.remove(0);
                self.accept(held, size);
            }
            if sequence == self.accepted + 1 {
                self.accept(sequence, length);
            } else {
                self.held.push((sequence, length, now()));
            }
            now()
        }

        async fn heard(&mut self, until: Instant) -> Option<Heard> {
            arrival(&mut self.coming, until).await
        }
    }

    /// A gateway that acknowledges what is no larger than its limit.
    struct Gateway {
        limit: usize,
        last: usize,
        sent: usize,
        /// Acknowledges the packet behind a lost one only with the next.
        holds: bool,
        is_held: bool,
    }

    impl Gateway {
        fn new(limit: usize, holds: bool) -> Self {
            Self { limit, last: 0, sent: 0, holds, is_held: false }
        }
    }

    impl Acknowledged for Gateway {
        fn send(&mut self, length: usize) {
            self.last = length;
            self.sent += 1;
        }

        async fn acknowledged(&mut self, until: Instant) -> bool {
            let passes = self.last <= self.limit;
            if passes && !std::mem::take(&mut self.is_held) {
                tokio::time::sleep(Duration::from_millis(40)).await;
                return true;
            }
            self.is_held = self.holds && !passes;
            tokio::time::sleep_until(until.into()).await;
            false
        }
    }

    fn up(limit: usize, holds: bool) -> (Option<Bound>, usize) {
        on_virtual_clock(async {
            let mut gateway = Gateway::new(limit, holds);
            let bound = largest_up(&mut gateway, 1000, 1500, TIMEOUT, in_ms(60_000)).await;
            (bound, gateway.sent)
        })
    }

    #[test]
    fn upward_limit_is_found_alone() {
        assert_eq!(up(1500, false), (at_least(1500), 3));
        assert_eq!(up(1000, false), (exact(1000), 7));
        for limit in [1001, 1250, 1396, 1499] {
            for holds in [false, true] {
                assert_eq!(up(limit, holds).0, exact(limit), "{limit} {holds}");
            }
        }
    }

    #[test]
    fn gateway_that_acknowledges_nothing_gives_no_upward_limit() {
        assert_eq!(up(0, false), (None, 3));
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
            let directions = Directions::new(&round, up);
            assert_eq!((directions.up, directions.down), expected, "{round:?} {up:?}");
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
                bisection.expect(expected.into());
            }
            let mut rounds = 0;
            loop {
                let sizes = bisection.next(width);
                if sizes.is_empty() {
                    break;
                }
                prop_assert!(sizes.len() <= width);
                prop_assert!(sizes.is_sorted_by(|one, other| one > other));
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
