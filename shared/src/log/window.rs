//! What the last minutes of a log come to: how often each kind of event was
//! there, and of sessions that ended or never came up, whose they were.
//!
//! Counts are exact, in a ring of [`BUCKETS`] parts of the window, so the
//! window moves in steps of a part. Whose they were is kept for the last
//! [`MOST`] events that matter; of a window that holds more, counts by user,
//! source, cause and reason are lower bounds ([`Window::is_short`]). All in
//! all that is less than 2 MB, whatever the log.
//!
//! Owns neither clock nor thresholds. What a state file keeps of it is in
//! [`Window::encode`].

mod octets;

use std::collections::VecDeque;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;

use super::entry::Stamp;
use super::event::{Event, What};

/// Parts of a window.
pub const BUCKETS: usize = 120;
/// Events of which is kept whose they were.
pub const MOST: usize = 16_384;

/// Octets of a user name that are kept.
const LONGEST_NAME: usize = 63;

/// An event of which is kept whose it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Stamp,
    /// What.
    pub what: What,
    /// From where.
    pub source: Option<IpAddr>,
    user: Name,
}

impl Record {
    /// Whom it concerns; empty if not known. Of a name that is longer than 63
    /// octets the first 54 and a digest of all.
    pub fn user(&self) -> &[u8] {
        self.user.octets()
    }
}

/// The last minutes of a log, or all of it.
#[derive(Debug, Clone)]
pub struct Window {
    /// Microseconds of a part; of a window over everything none.
    width: Option<i64>,
    /// Number of the last part, counted from 1970 on.
    last: Option<i64>,
    buckets: Vec<[u32; What::KINDS]>,
    records: VecDeque<Record>,
    /// Number of the last part of which a record is missing.
    missing: Option<i64>,
    /// Stamps of the first and the last event.
    noted: Option<(Stamp, Stamp)>,
}

impl Window {
    /// An empty one, over `span`, at least a millisecond.
    pub fn new(span: Duration) -> Self {
        let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let parts = BUCKETS as i64;
        Self::with((span / parts + i64::from(span % parts > 0)).max(1).into())
    }

    /// An empty one, over all that is noted.
    pub fn over_everything() -> Self {
        Self::with(None)
    }

    fn with(width: Option<i64>) -> Self {
        let parts = if width.is_some() { BUCKETS } else { 1 };
        Self {
            width,
            last: None,
            buckets: vec![[0; What::KINDS]; parts],
            records: VecDeque::new(),
            missing: None,
            noted: None,
        }
    }

    /// Microseconds that it covers: its length, and of one over everything the
    /// time from the first event to the last.
    pub fn span(&self) -> i64 {
        match (self.width, self.noted) {
            (Some(width), _) => width.saturating_mul(BUCKETS as i64),
            (None, Some((first, last))) => last.saturating_sub(first),
            (None, None) => 0,
        }
    }

    /// Whether it has the length that [`Window::new`] would give it.
    pub fn spans(&self, span: Duration) -> bool {
        self.width == Self::new(span).width
    }

    /// Lets it end at `to`. It never ends earlier than it did.
    pub fn advance(&mut self, to: Stamp) {
        self.advance_to_part(self.part(to));
    }

    #[inline]
    fn advance_to_part(&mut self, to: i64) {
        if self.last.is_none_or(|last| to > last) {
            self.move_on(to);
        }
    }

    /// To a part behind the last one.
    #[inline(never)]
    fn move_on(&mut self, to: i64) {
        let Some(last) = self.last.replace(to) else { return };
        let parts = self.buckets.len() as i64;
        for part in to.saturating_sub(parts).max(last) + 1..=to {
            let place = self.place(part);
            self.buckets[place] = [0; What::KINDS];
        }
        while self.records.front().is_some_and(|record| !self.covers(self.part(record.at))) {
            self.records.pop_front();
        }
    }

    /// Takes an event, under the name that is to be kept for its user. It is
    /// left out if it happened before the window.
    pub fn note(&mut self, event: &Event<'_>, user: &[u8]) {
        let (first, last) = self.noted.unwrap_or((event.at, event.at));
        self.noted = Some((first.min(event.at), last.max(event.at)));
        let part = self.part(event.at);
        self.advance_to_part(part);
        if !self.covers(part) {
            return;
        }
        let place = self.place(part);
        let count = &mut self.buckets[place][event.what.index()];
        *count = count.saturating_add(1);
        if is_kept(event.what) {
            self.keep(event, user);
        }
    }

    /// Keeps whose it was; of too many the oldest goes.
    #[inline(never)]
    fn keep(&mut self, event: &Event<'_>, user: &[u8]) {
        if self.records.len() == MOST
            && let Some(oldest) = self.records.pop_front()
        {
            self.missing = self.missing.max(Some(self.part(oldest.at)));
        }
        let user = Name::new(user);
        let (at, what, source) = (event.at, event.what, event.peer);
        self.records.push_back(Record { at, what, source, user });
    }

    /// How often each kind of event was there, in the order of
    /// [`What::index`].
    pub fn counts(&self) -> [u64; What::KINDS] {
        let mut sums = [0; What::KINDS];
        for bucket in &self.buckets {
            for (sum, count) in sums.iter_mut().zip(bucket) {
                *sum += u64::from(*count);
            }
        }
        sums
    }

    /// Sessions that opened and ended, calls and logins that failed, and
    /// control connections that were refused, oldest entry first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| self.covers(self.part(record.at)))
    }

    /// Whether records of the window are missing.
    pub fn is_short(&self) -> bool {
        self.missing.is_some_and(|part| self.covers(part))
    }

    fn part(&self, at: Stamp) -> i64 {
        self.width.map_or(0, |width| at.div_euclid(width))
    }

    /// Whether a part that is not behind the last one is in the window.
    fn covers(&self, part: i64) -> bool {
        self.last.is_some_and(|last| part > last.saturating_sub(self.buckets.len() as i64))
    }

    fn place(&self, part: i64) -> usize {
        // Less than the number of parts.
        part.rem_euclid(self.buckets.len() as i64) as usize
    }
}

/// How often each key is there, most frequent first, of equally frequent ones
/// the least.
pub fn ranking<K: Copy + Eq + Hash + Ord>(keys: impl Iterator<Item = K>) -> Vec<(K, u64)> {
    let mut counts = HashMap::<K, u64>::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    let mut ranking: Vec<_> = counts.into_iter().collect();
    ranking.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    ranking
}

fn is_kept(what: What) -> bool {
    matches!(
        what,
        What::SessionUp
            | What::SessionDown { .. }
            | What::CallFailed { .. }
            | What::AuthFailure
            | What::ControlRefused
    )
}

/// A user name where it stands, so that a record needs no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    length: u8,
    octets: [u8; LONGEST_NAME],
}

impl Name {
    fn new(name: &[u8]) -> Self {
        let mut octets = [0; LONGEST_NAME];
        if name.len() <= LONGEST_NAME {
            octets[..name.len()].copy_from_slice(name);
            return Self { length: name.len() as u8, octets };
        }
        // Names that differ far behind stay different.
        let mut digest = flate2::Crc::new();
        digest.update(name);
        let end = format!("~{:08x}", digest.sum());
        let (front, back) = octets.split_at_mut(LONGEST_NAME - end.len());
        front.copy_from_slice(&name[..front.len()]);
        back.copy_from_slice(end.as_bytes());
        Self { length: LONGEST_NAME as u8, octets }
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gateway::tracker::TerminateCause;
    use crate::log::event::Program;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    /// An event without anything but these.
    pub(in crate::log) fn event(at: Stamp, what: What) -> Event<'static> {
        Event {
            at,
            what,
            program: Program::Pppd,
            host: b"",
            pid: None,
            session: None,
            user: b"",
            peer: None,
            message: b"",
        }
    }

    fn count(window: &Window, what: What) -> u64 {
        window.counts()[what.index()]
    }

    #[test]
    fn events_leave_with_their_part_of_the_window() {
        let mut window = Window::new(HOUR);
        assert_eq!(window.span(), 3600 * SECOND);
        for second in [0, 29, 30, 60] {
            window.note(&event(second * SECOND, What::AuthFailure), b"alice");
        }
        assert_eq!(count(&window, What::AuthFailure), 4);
        window.advance(3599 * SECOND);
        assert_eq!(count(&window, What::AuthFailure), 4);
        window.advance(3600 * SECOND);
        assert_eq!((count(&window, What::AuthFailure), window.records().count()), (2, 2));
        window.advance(3630 * SECOND);
        assert_eq!((count(&window, What::AuthFailure), window.records().count()), (1, 1));
        window.advance(i64::MAX);
        assert_eq!((count(&window, What::AuthFailure), window.records().count()), (0, 0));
    }

    #[test]
    fn event_from_before_the_window_is_left_out_and_a_late_one_is_not() {
        let mut window = Window::new(HOUR);
        window.note(&event(7200 * SECOND, What::SessionUp), b"");
        window.note(&event(3600 * SECOND, What::SessionUp), b"");
        window.note(&event(3700 * SECOND, What::SessionUp), b"");
        assert_eq!((count(&window, What::SessionUp), window.records().count()), (2, 2));
        window.advance(7289 * SECOND);
        window.advance(0);
        assert_eq!((count(&window, What::SessionUp), window.records().count()), (2, 2));
        window.advance(7300 * SECOND);
        assert_eq!((count(&window, What::SessionUp), window.records().count()), (1, 1));
    }

    #[test]
    fn window_over_everything_forgets_nothing() {
        let mut window = Window::over_everything();
        for day in [-3_i64, 400, 2] {
            window.note(&event(day * 86_400 * SECOND, What::EchoTimeout), b"");
        }
        assert_eq!(count(&window, What::EchoTimeout), 3);
        assert_eq!(window.span(), 403 * 86_400 * SECOND);
    }

    #[test]
    fn counts_stay_exact_when_records_run_short() {
        let mut window = Window::new(HOUR);
        for number in 0..MOST {
            window.note(&event(0, What::AuthFailure), number.to_string().as_bytes());
        }
        assert!(!window.is_short());
        window.note(&event(40 * SECOND, What::AuthFailure), b"one more");
        assert!(window.is_short());
        assert_eq!(count(&window, What::AuthFailure), MOST as u64 + 1);
        assert_eq!(window.records().count(), MOST);
        window.advance(3600 * SECOND);
        assert!(!window.is_short(), "what is missing has left the window");
    }

    #[test]
    fn memory_stays_below_two_megabytes() {
        let records = MOST * size_of::<Record>();
        let buckets = BUCKETS * size_of::<[u32; What::KINDS]>();
        assert!(records + buckets < 2_000_000, "{records} + {buckets}");
    }

    #[test]
    fn long_names_that_differ_behind_stay_different() {
        let name = |last: u8| [[b'a'; 200].as_slice(), &[last]].concat();
        let [one, two] = [name(b'1'), name(b'2')].map(|name| Name::new(&name));
        assert_ne!(one, two);
        assert_eq!(one, Name::new(&name(b'1')));
        assert_eq!(one.octets()[..54], [b'a'; 54]);
        assert_eq!(Name::new(&[b'a'; 63]).octets(), [b'a'; 63]);
    }

    #[test]
    fn ranking_is_by_frequency_and_stable() {
        let ranking = ranking(["b", "c", "a", "c", "b"].into_iter());
        assert_eq!(ranking, [("b", 2), ("c", 2), ("a", 1)]);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_last_parts(stamps in proptest::collection::vec(0_i64..9000, 1..200)) {
            let mut window = Window::new(HOUR);
            for stamp in &stamps {
                let what = What::SessionDown { cause: TerminateCause::Unknown };
                window.note(&event(stamp * SECOND, what), b"");
            }
            let last = stamps.iter().max().copied().unwrap_or(0) / 30;
            // Those that were already outside when they came are outside at the end.
            let inside = stamps.iter().filter(|stamp| **stamp / 30 > last - 120).count();
            prop_assert_eq!(window.counts().iter().sum::<u64>(), inside as u64);
            prop_assert_eq!(window.records().count(), inside);
        }
    }
}
