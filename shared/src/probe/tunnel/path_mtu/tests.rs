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
        assert!(found.cut_off && !found.black_hole);
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
            assert!(!found.lossy && !found.cut_off, "{name}");
            let trips = delay.as_millis() * 2 * 40;
            assert!(took <= most + trips, "{name}: {took}");
        }
    }
}

/// Acknowledges what is no larger than its limit, late; the first
/// acknowledgement rides on data.
struct Gateway {
    limit: usize,
    acknowledged_at: Vec<Option<Instant>>,
}

impl Gateway {
    fn new(limit: usize) -> Self {
        Self { limit, acknowledged_at: Vec::new() }
    }
}

impl Acknowledged for Gateway {
    fn send(&mut self, length: usize) -> Option<u32> {
        let sequence = self.acknowledged_at.len();
        let delay = if sequence == 0 { 1 } else { 140 };
        self.acknowledged_at.push((length <= self.limit).then(|| in_ms(delay)));
        u32::try_from(sequence).ok()
    }

    async fn acknowledged(&mut self, sequence: u32, until: Instant) -> bool {
        let later = self.acknowledged_at.iter().skip(sequence as usize);
        let at = later.flatten().min().copied().filter(|at| *at <= until);
        tokio::time::sleep_until(at.unwrap_or(until).into()).await;
        at.is_some()
    }
}

#[test]
fn upward_limit_is_found_whatever_was_expected() {
    for (limit, found) in [(1500, at_least(1500)), (SMALL, exact(SMALL)), (1250, exact(1250))] {
        for expected in [SMALL, 1000, 1250, 1499, 9000] {
            let bound = on_virtual_clock(async {
                let mut sizes = Bisection::new(SMALL, 1500);
                sizes.expect(&[expected]);
                let mut gateway = Gateway::new(limit);
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
        let bound = largest_up(&mut Gateway::new(0), sizes, TIMEOUT, in_ms(60_000)).await;
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
