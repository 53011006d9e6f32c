//! A series of echoes at a fixed pace, inside the tunnel or over LCP, and its
//! figures: round trips, loss, duplicates and order (RFC 4737, section 3).
//!
//! It owns which answer belongs to which echo and what became of each. It
//! leaves the octets to its [`Pinger`], and how much loss is too much to the
//! check.
//!
//! What real paths do: a gateway that puts GRE back in order holds what
//! follows a gap (pptpd 0.3 s), so one lost packet shows as late ones behind
//! it, by seconds where gaps follow each other; these are slow, and not lost.
//! Firewalls answer an echo with ICMP and let the next one pass.

use std::time::{Duration, Instant};

use super::way::{Answer, Heard, Pinger, now};
use crate::probe::figures;

/// Different ICMP errors that are remembered.
const MAX_REFUSALS: usize = 8;

/// How echoes are sent.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many.
    pub count: u16,
    /// From one echo to the next, answered or not.
    pub interval: Duration,
    /// The series waits no longer for an answer; one that comes later, while
    /// it goes on for others, is late.
    pub timeout: Duration,
    /// Octets of each, as in [`Pinger::send`].
    pub length: usize,
}

/// What became of a series: `sent` is the sum of `received`, `lost` and
/// `cut_off`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Echoes {
    /// Echoes sent.
    pub sent: usize,
    /// Echoes answered before the series was over.
    pub received: usize,
    /// Echoes not answered, though they had their time.
    pub lost: usize,
    /// Echoes whose time was not up when the run's was, or the tunnel went.
    pub cut_off: usize,
    /// Of the received: those whose answer took longer than its time.
    pub late: usize,
    /// Of the lost: answered by nothing but an ICMP error.
    pub refused: usize,
    /// Answers to echoes that had been answered.
    pub duplicates: u64,
    /// Echoes answered behind the answer to a later one.
    pub reordered: usize,
    /// Answers to nothing that was sent.
    pub strays: u64,
    /// Round trips in order of sending; `None` is an echo not answered.
    pub times: Vec<Option<Duration>>,
    /// ICMP errors and how often each came, the first eight kinds.
    pub refusals: Vec<(Answer, u64)>,
}

impl Echoes {
    /// The middle round trip.
    pub fn median(&self) -> Option<Duration> {
        figures::median(&self.answered())
    }

    /// The round trip that 95 % of the answers do not exceed.
    pub fn p95(&self) -> Option<Duration> {
        let mut sorted = self.answered();
        sorted.sort_unstable();
        figures::percentile(&sorted, 95)
    }

    /// The longest round trip.
    pub fn max(&self) -> Option<Duration> {
        self.times.iter().copied().flatten().max()
    }

    /// Mean difference between a round trip and the next.
    pub fn jitter(&self) -> Option<Duration> {
        figures::jitter(&self.answered())
    }

    /// Echoes lost of those whose time was up, in percent.
    pub fn loss(&self) -> Option<f64> {
        let settled = self.received + self.lost;
        (settled > 0).then(|| self.lost as f64 * 100.0 / settled as f64)
    }

    /// Echoes lost at the end, one after the other: none was answered any more.
    pub fn lost_at_end(&self) -> usize {
        let settled = self.settled();
        settled.len() - settled.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    /// Echoes lost beside those of the `gaps` longest rows of lost ones.
    pub fn lost_beside(&self, gaps: usize) -> usize {
        let mut rows: Vec<usize> =
            self.settled().split(Option::is_some).map(<[_]>::len).filter(|row| *row > 0).collect();
        rows.sort_unstable();
        rows.iter().rev().skip(gaps).sum()
    }

    /// Round trips without the last ones, whose time was not up.
    fn settled(&self) -> &[Option<Duration>] {
        let open = self.times.iter().rev().take_while(|time| time.is_none()).count();
        &self.times[..self.times.len() - open.min(self.cut_off)]
    }

    fn answered(&self) -> Vec<Duration> {
        self.times.iter().copied().flatten().collect()
    }
}

/// Sends echoes and waits until each is answered or its time is up, at the
/// latest until `until`. They are numbered from 1.
pub async fn series(pinger: &mut impl Pinger, plan: &Plan, until: Instant) -> Echoes {
    let mut track = Track::default();
    let mut due = now();
    loop {
        let at = now();
        if at >= until {
            break;
        }
        let all_sent = track.echoes.len() == usize::from(plan.count);
        if !all_sent && due <= at {
            pinger.ready(until).await;
            let ready = now();
            if ready < until {
                track.send(pinger, plan, until);
            }
            let held = ready.saturating_duration_since(at);
            due = due.checked_add(plan.interval.saturating_add(held)).unwrap_or(until);
            continue;
        }
        let wake = if all_sent { track.open_until() } else { Some(due) };
        // A host that floods must not keep a series open.
        let Some(wake) = wake.filter(|wake| *wake >= at) else { break };
        let wake = wake.min(until);
        match pinger.heard(wake).await {
            Some(heard) => track.take(heard),
            None if all_sent || now() < wake => break,
            None => {}
        }
    }
    track.finish(now())
}

/// One echo that was sent.
struct Echo {
    sent_at: Instant,
    /// Nobody waits for its answer after this.
    until: Instant,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Refused,
    Answered(Duration),
}

#[derive(Default)]
struct Track {
    echoes: Vec<Echo>,
    /// Echoes before the last one that may still be waiting, and it.
    open: usize,
    /// The highest sequence number answered.
    highest: u16,
    seen: Echoes,
}

impl Track {
    fn send(&mut self, pinger: &mut impl Pinger, plan: &Plan, until: Instant) {
        let sequence = u16::try_from(self.echoes.len() + 1).unwrap_or(u16::MAX);
        let sent_at = pinger.send(sequence, plan.length);
        let until = sent_at.checked_add(plan.timeout).unwrap_or(until);
        self.echoes.push(Echo { sent_at, until, fate: Fate::Waiting });
        self.open = self.echoes.len();
    }

    /// When the last echo that waits for its answer is lost.
    fn open_until(&mut self) -> Option<Instant> {
        while self.open > 0 && self.echoes[self.open - 1].fate != Fate::Waiting {
            self.open -= 1;
        }
        Some(self.echoes[self.open.checked_sub(1)?].until)
    }

    fn take(&mut self, heard: Heard) {
        let index = usize::from(heard.sequence).checked_sub(1);
        let Some(echo) = index.and_then(|index| self.echoes.get_mut(index)) else {
            self.seen.strays += 1;
            return;
        };
        if !matches!(heard.answer, Answer::Reply { .. }) {
            if echo.fate == Fate::Waiting {
                echo.fate = Fate::Refused;
            }
            self.seen.note(heard.answer);
            return;
        }
        match echo.fate {
            Fate::Answered(_) => self.seen.duplicates += 1,
            Fate::Waiting | Fate::Refused => {
                self.seen.late += usize::from(heard.at > echo.until);
                echo.fate = Fate::Answered(heard.at.saturating_duration_since(echo.sent_at));
                if heard.sequence < self.highest {
                    self.seen.reordered += 1;
                }
                self.highest = self.highest.max(heard.sequence);
            }
        }
    }

    fn finish(mut self, ended: Instant) -> Echoes {
        let seen = &mut self.seen;
        seen.sent = self.echoes.len();
        for echo in &self.echoes {
            match echo.fate {
                Fate::Answered(_) => seen.received += 1,
                Fate::Waiting if echo.until > ended => seen.cut_off += 1,
                Fate::Waiting => seen.lost += 1,
                Fate::Refused => (seen.lost, seen.refused) = (seen.lost + 1, seen.refused + 1),
            }
            seen.times.push(match echo.fate {
                Fate::Answered(time) => Some(time),
                _ => None,
            });
        }
        self.seen
    }
}

impl Echoes {
    fn note(&mut self, answer: Answer) {
        if let Some((_, count)) = self.refusals.iter_mut().find(|(known, _)| *known == answer) {
            *count += 1;
        } else if self.refusals.len() < MAX_REFUSALS {
            self.refusals.push((answer, 1));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    /// A path that a function of sequence number and length describes: what
    /// comes back, and after how many milliseconds.
    pub(in super::super) struct Path<F> {
        path: F,
        coming: Vec<Heard>,
        /// Sequence number and length of all that was sent.
        pub(in super::super) sent: Vec<(u16, usize)>,
    }

    impl<F: FnMut(u16, usize) -> Vec<(u64, Answer)>> Path<F> {
        pub(in super::super) fn new(path: F) -> Self {
            Self { path, coming: Vec::new(), sent: Vec::new() }
        }
    }

    impl<F: FnMut(u16, usize) -> Vec<(u64, Answer)>> Pinger for Path<F> {
        fn send(&mut self, sequence: u16, length: usize) -> Instant {
            let sent_at = now();
            self.sent.push((sequence, length));
            for (delay, answer) in (self.path)(sequence, length) {
                let at = sent_at + Duration::from_millis(delay);
                self.coming.push(Heard { at, sequence, answer });
            }
            self.coming.sort_by_key(|heard| heard.at);
            sent_at
        }

        async fn heard(&mut self, until: Instant) -> Option<Heard> {
            arrival(&mut self.coming, until).await
        }
    }

    /// Waits for the first of what is coming, in order of time.
    pub(in super::super) async fn arrival(
        coming: &mut Vec<Heard>,
        until: Instant,
    ) -> Option<Heard> {
        if coming.first().is_some_and(|heard| heard.at <= until) {
            let heard = coming.remove(0);
            tokio::time::sleep_until(heard.at.into()).await;
            return Some(heard);
        }
        tokio::time::sleep_until(until.into()).await;
        None
    }

    /// Runs a future on a clock that jumps from timer to timer.
    pub(in super::super) fn on_virtual_clock<T>(future: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    pub(in super::super) fn in_ms(millis: u64) -> Instant {
        now() + Duration::from_millis(millis)
    }

    fn plan(count: u16) -> Plan {
        let (interval, timeout) = (Duration::from_millis(20), Duration::from_millis(100));
        Plan { count, interval, timeout, length: 84 }
    }

    fn reply(delay: u64) -> (u64, Answer) {
        (delay, Answer::Reply { length: 84 })
    }

    fn millis(value: u64) -> Option<Duration> {
        Some(Duration::from_millis(value))
    }

    #[test]
    fn pace_does_not_wait_for_answers() {
        on_virtual_clock(async {
            let started = now();
            let mut path = Path::new(|sequence, _| vec![reply(30 + u64::from(sequence))]);
            let seen = series(&mut path, &plan(5), in_ms(1_000)).await;
            assert_eq!((seen.sent, seen.received, seen.lost), (5, 5, 0));
            assert_eq!(now() - started, Duration::from_millis(4 * 20 + 35));
            assert_eq!(path.sent, [(1, 84), (2, 84), (3, 84), (4, 84), (5, 84)]);
            assert_eq!((seen.median(), seen.p95()), (millis(33), millis(35)));
            assert_eq!((seen.max(), seen.jitter()), (millis(35), millis(1)));
            assert_eq!(seen.loss(), Some(0.0));
        });
    }

    #[test]
    fn lost_repeated_and_overtaken_are_told_apart_and_late_is_not_lost() {
        on_virtual_clock(async {
            let mut path = Path::new(|sequence, _| match sequence {
                2 => vec![],
                3 => vec![reply(101)],
                4 => vec![reply(50)],
                6 => vec![reply(10), reply(11), reply(12)],
                _ => vec![reply(10)],
            });
            let seen = series(&mut path, &plan(9), in_ms(1_000)).await;
            assert_eq!((seen.sent, seen.received, seen.lost, seen.late), (9, 8, 1, 1));
            assert_eq!((seen.duplicates, seen.reordered, seen.strays), (2, 2, 0));
            assert_eq!(seen.times[..5], [millis(10), None, millis(101), millis(50), millis(10)]);
            assert_eq!(seen.loss(), Some(100.0 / 9.0));
        });
    }

    #[test]
    fn series_does_not_wait_for_what_is_late() {
        on_virtual_clock(async {
            let mut path = Path::new(|_, _| vec![reply(101)]);
            let seen = series(&mut path, &plan(9), in_ms(1_000)).await;
            assert_eq!((seen.received, seen.late, seen.lost), (8, 8, 1));
        });
    }

    #[test]
    fn icmp_error_settles_an_echo_and_is_remembered_with_its_sender() {
        on_virtual_clock(async {
            let started = now();
            let error = Answer::Unreachable { from: ROUTER, code: 1 };
            let too_big = Answer::TooBig { from: ROUTER, mtu: 60 };
            let mut path = Path::new(|sequence, _| match sequence {
                1 => vec![(5, error), reply(6)],
                2 => vec![(5, too_big)],
                _ => vec![(5, error)],
            });
            let seen = series(&mut path, &plan(4), in_ms(1_000)).await;
            assert_eq!((seen.received, seen.lost, seen.refused), (1, 3, 3));
            assert_eq!(seen.refusals, [(error, 3), (too_big, 1)]);
            assert_eq!(now() - started, Duration::from_millis(65));
        });
    }

    #[test]
    fn echoes_cut_off_are_not_lost() {
        on_virtual_clock(async {
            let mut path = Path::new(|sequence, _| match sequence {
                4 => vec![reply(90)],
                _ => vec![],
            });
            let seen = series(&mut path, &plan(10), in_ms(110)).await;
            assert_eq!((seen.sent, seen.received, seen.lost, seen.cut_off), (6, 0, 1, 5));
            assert_eq!((seen.median(), seen.loss()), (None, Some(100.0)));
        });
    }

    #[test]
    fn a_tunnel_that_goes_ends_the_series() {
        struct Gone;
        impl Pinger for Gone {
            fn send(&mut self, _: u16, _: usize) -> Instant {
                now()
            }
            async fn heard(&mut self, _: Instant) -> Option<Heard> {
                None
            }
        }
        on_virtual_clock(async {
            let seen = series(&mut Gone, &plan(10), in_ms(1_000)).await;
            assert_eq!((seen.sent, seen.cut_off, seen.loss()), (1, 1, None));
        });
    }

    #[test]
    fn a_flood_of_answers_neither_slows_the_pace_nor_keeps_the_series_open() {
        on_virtual_clock(async {
            let started = now();
            let mut path = Path::new(|sequence, _| match sequence {
                1 => (0..5_000).map(|at| reply(at / 10)).collect(),
                3 => vec![],
                _ => vec![reply(10)],
            });
            let seen = series(&mut path, &plan(3), in_ms(1_000)).await;
            assert_eq!((seen.received, seen.lost), (2, 1));
            assert!(seen.duplicates > 1_000);
            assert!(now() - started <= Duration::from_millis(40 + 100 + 1));
        });
    }

    /// What is lost where, of echoes that are answered (`+`) or not, the last
    /// `cut_off` of them because time was up.
    #[test]
    fn rows_of_lost_echoes_are_told_apart() {
        for (fates, cut_off, at_end, beside) in [
            ("", 0, 0, [0, 0, 0]),
            ("+++", 0, 0, [0, 0, 0]),
            ("---", 0, 3, [3, 0, 0]),
            ("---", 3, 0, [0, 0, 0]),
            ("-+--+---", 0, 3, [6, 3, 1]),
            ("-+--+---", 2, 1, [4, 2, 1]),
            ("-+-+", 0, 0, [2, 1, 0]),
        ] {
            let time = |fate| (fate == b'+').then_some(Duration::ZERO);
            let times = fates.bytes().map(time).collect();
            let seen = Echoes { times, cut_off, ..Echoes::default() };
            assert_eq!(seen.lost_at_end(), at_end, "{fates}");
            assert_eq!([0, 1, 2].map(|gaps| seen.lost_beside(gaps)), beside, "{fates}");
        }
    }

    /// A path that can be used only from some time on.
    struct Shut<P>(P, Instant);

    impl<P: Pinger> Pinger for Shut<P> {
        async fn ready(&mut self, until: Instant) {
            tokio::time::sleep_until(until.min(self.1).into()).await;
        }

        fn send(&mut self, sequence: u16, length: usize) -> Instant {
            assert!(now() >= self.1);
            self.0.send(sequence, length)
        }

        async fn heard(&mut self, until: Instant) -> Option<Heard> {
            self.0.heard(until).await
        }
    }

    #[test]
    fn a_series_waits_while_no_echo_can_be_sent_and_keeps_its_pace() {
        on_virtual_clock(async {
            let started = now();
            let mut path = Shut(Path::new(|_, _| vec![reply(10)]), in_ms(500));
            let seen = series(&mut path, &plan(3), in_ms(1_000)).await;
            assert_eq!((seen.sent, seen.received), (3, 3));
            assert_eq!(now() - started, Duration::from_millis(500 + 2 * 20 + 10));
            let mut path = Shut(Path::new(|_, _| vec![]), in_ms(500));
            let seen = series(&mut path, &plan(3), in_ms(100)).await;
            assert_eq!((seen.sent, seen.lost), (0, 0));
        });
    }

    #[test]
    fn endless_interval_and_timeout_end_with_the_run() {
        on_virtual_clock(async {
            let endless = Plan { interval: Duration::MAX, timeout: Duration::MAX, ..plan(3) };
            let mut path = Path::new(|_, _| vec![]);
            let seen = series(&mut path, &endless, in_ms(1_000)).await;
            assert_eq!((seen.sent, seen.lost, seen.cut_off), (1, 1, 0));
        });
    }

    proptest! {
        #[test]
        fn counts_add_up_whatever_the_path_does(
            fates in vec(vec((0u64..160, 0u8..4), 0..4), 0..40),
            interval in 0u64..30,
            run in 0u64..900,
        ) {
            let count = u16::try_from(fates.len()).unwrap();
            let mut answers = 0;
            let mut path = Path::new(|sequence, _| {
                let fate = &fates[usize::from(sequence) - 1];
                answers += fate.len();
                fate.iter().map(|&(delay, kind)| match kind {
                    0 => (delay, Answer::TooBig { from: ROUTER, mtu: 0 }),
                    1 => (delay, Answer::Unreachable { from: ROUTER, code: 1 }),
                    _ => reply(delay),
                }).collect()
            });
            let plan = Plan { interval: Duration::from_millis(interval), ..plan(count) };
            let seen = on_virtual_clock(async {
                series(&mut path, &plan, in_ms(run)).await
            });
            let unheard = path.coming.len();
            prop_assert_eq!(seen.sent, seen.received + seen.lost + seen.cut_off);
            prop_assert_eq!(seen.times.len(), seen.sent);
            prop_assert_eq!(seen.times.iter().flatten().count(), seen.received);
            prop_assert!(seen.late <= seen.received && seen.refused <= seen.lost);
            prop_assert!(seen.reordered <= seen.received.saturating_sub(1));
            let slow = seen.times.iter().flatten().filter(|time| **time > plan.timeout);
            prop_assert_eq!(slow.count(), seen.late);
            let errors: u64 = seen.refusals.iter().map(|(_, count)| count).sum();
            let replies = seen.received as u64 + seen.duplicates;
            prop_assert_eq!(replies + errors + seen.strays + unheard as u64, answers as u64);
        }
    }
}
