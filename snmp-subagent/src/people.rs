//! Who calls: users or subnets over all servers, in a bounded number of rows.
//!
//! A row comes with the first session and goes when nothing was seen of it for
//! a while, or when the table was full and it is one of those longest unseen,
//! without a session. Octets are those of all sessions of a row, the ended
//! ones included.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::Traffic;

use crate::facts::Seen;

/// Bounds of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows at most.
    pub rows: usize,
    /// A row that was not seen for so long goes.
    pub forget: Duration,
}

/// Rows by what they are about: a user name, or a subnet as octets.
#[derive(Debug, Default)]
pub struct People {
    rows: HashMap<Arc<[u8]>, Person>,
    last_index: u32,
    wrapped: bool,
    /// Those for whom there was no room since the last look.
    turned_away: usize,
    changed: bool,
}

#[derive(Debug)]
struct Person {
    index: u32,
    seen: Seen,
    /// Octets of sessions that ended, and of those in the look under way.
    ended: Traffic,
    current: Traffic,
    /// The sum of both at the last look.
    last: Traffic,
    /// Whether it has a session.
    there: bool,
}

/// Now, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// By the one that never jumps.
    pub instant: Instant,
    /// By the wall clock.
    pub wall: SystemTime,
}

impl People {
    /// Begins a look at all sessions: [`People::see`] for each, then
    /// [`People::end_look`].
    pub fn begin_look(&mut self) {
        for person in self.rows.values_mut() {
            person.there = false;
            person.seen.active = 0;
            person.current = Traffic::default();
        }
    }

    /// A session that is there.
    pub fn see(&mut self, key: &[u8], open: bool, traffic: Traffic, now: Now, bounds: Bounds) {
        if let Some(person) = self.person(key, now, bounds) {
            person.there = true;
            person.seen.active += u32::from(open);
            person.seen.last = now.wall;
            let current = &mut person.current;
            current.octets_in = current.octets_in.wrapping_add(traffic.octets_in);
            current.octets_out = current.octets_out.wrapping_add(traffic.octets_out);
        }
    }

    /// Whether a row came or went since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Lets rows go that nothing was seen of, and makes room for those who
    /// found none.
    pub fn end_look(&mut self, bounds: Bounds, now: Now) {
        for person in self.rows.values_mut() {
            // A sum falls when an interface begins anew or a session turns out
            // to be somebody else's; a counter does not.
            let Person { ended, current, last, seen, .. } = person;
            let sum = Traffic {
                octets_in: ended.octets_in.wrapping_add(current.octets_in),
                octets_out: ended.octets_out.wrapping_add(current.octets_out),
                ..Traffic::default()
            };
            let more = |sum: u64, last: u64| sum.saturating_sub(last);
            seen.octets_in = seen.octets_in.wrapping_add(more(sum.octets_in, last.octets_in));
            seen.octets_out = seen.octets_out.wrapping_add(more(sum.octets_out, last.octets_out));
            *last = sum;
        }
        let before = self.rows.len();
        self.rows.retain(|_, person| {
            let unseen = now.wall.duration_since(person.seen.last).unwrap_or_default();
            person.there || unseen <= bounds.forget
        });
        self.changed |= self.rows.len() != before;
        let wanted = (self.rows.len() + self.turned_away).saturating_sub(bounds.rows);
        self.turned_away = 0;
        if wanted == 0 {
            return;
        }
        let absent = self.rows.iter().filter(|(_, person)| !person.there);
        let mut absent: Vec<_> =
            absent.map(|(key, person)| (person.seen.last, Arc::clone(key))).collect();
        absent.sort_unstable();
        for (_, key) in absent.into_iter().take(wanted) {
            self.rows.remove(&key);
            self.changed = true;
        }
    }

    /// A session opened.
    pub fn count(&mut self, key: &[u8], now: Now, bounds: Bounds) {
        if let Some(person) = self.person(key, now, bounds) {
            person.seen.total = person.seen.total.wrapping_add(1);
        }
    }

    /// A login was rejected.
    pub fn reject(&mut self, key: &[u8], now: Now, bounds: Bounds) {
        if let Some(person) = self.person(key, now, bounds) {
            let failures = person.seen.auth_failures.get_or_insert(0);
            *failures = failures.wrapping_add(1);
            person.seen.last = now.wall;
        }
    }

    /// A session ended.
    pub fn end(&mut self, key: &[u8], traffic: Traffic, now: Now) {
        if let Some(person) = self.rows.get_mut(key) {
            let ended = &mut person.ended;
            ended.octets_in = ended.octets_in.wrapping_add(traffic.octets_in);
            ended.octets_out = ended.octets_out.wrapping_add(traffic.octets_out);
            person.seen.last = now.wall;
        }
    }

    /// Index of a row.
    pub fn index(&self, key: &[u8]) -> Option<u32> {
        self.rows.get(key).map(|person| person.index)
    }

    /// Rows in the order of their index.
    pub fn rows(&self) -> Vec<(u32, &Arc<[u8]>, Seen)> {
        let rows = self.rows.iter().map(|(key, person)| (person.index, key, person.seen));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable_by_key(|(index, ..)| *index);
        rows
    }

    fn person(&mut self, key: &[u8], now: Now, bounds: Bounds) -> Option<&mut Person> {
        if !self.rows.contains_key(key) {
            if self.rows.len() >= bounds.rows {
                self.turned_away += 1;
                return None;
            }
            let index = self.next_index();
            let seen = Seen {
                active: 0,
                total: 0,
                auth_failures: None,
                octets_in: 0,
                octets_out: 0,
                last: now.wall,
                quota: None,
                since: now.instant,
            };
            let none = Traffic::default();
            let person =
                Person { index, seen, ended: none, current: none, last: none, there: false };
            self.rows.insert(key.into(), person);
            self.changed = true;
        }
        self.rows.get_mut(key)
    }

    fn next_index(&mut self) -> u32 {
        loop {
            self.wrapped |= self.last_index == u32::MAX;
            self.last_index = self.last_index.checked_add(1).unwrap_or(1);
            let used = |person: &Person| person.index == self.last_index;
            if !self.wrapped || !self.rows.values().any(used) {
                return self.last_index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { rows: 2, forget: Duration::from_secs(3600) };

    fn now(seconds: u64) -> Now {
        let since = Duration::from_secs(seconds);
        Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + since }
    }

    fn traffic(octets_in: u64) -> Traffic {
        Traffic { octets_in, ..Traffic::default() }
    }

    fn look(people: &mut People, seconds: u64, there: &[(&str, u64)]) {
        people.begin_look();
        for (name, octets) in there {
            people.see(name.as_bytes(), true, traffic(*octets), now(seconds), BOUNDS);
        }
        people.end_look(BOUNDS, now(seconds));
    }

    fn names(people: &People) -> Vec<String> {
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        people.rows().iter().map(|(_, key, _)| name(key)).collect()
    }

    #[test]
    fn octets_go_on_when_a_session_ends() {
        let mut people = People::default();
        look(&mut people, 0, &[("alice", 10), ("alice", 5)]);
        people.end(b"alice", traffic(5), now(1));
        look(&mut people, 1, &[("alice", 11)]);
        let (index, _, seen) = people.rows()[0];
        assert_eq!((index, seen.active, seen.octets_in), (1, 1, 16));
    }

    #[test]
    fn octets_never_run_backwards() {
        let mut people = People::default();
        look(&mut people, 0, &[("alice", 10), ("bob", 4)]);
        look(&mut people, 1, &[("alice", 3), ("bob", 4)]);
        assert_eq!(people.rows()[0].2.octets_in, 10, "the interface began anew");
        look(&mut people, 2, &[("alice", 5), ("bob", 4)]);
        assert_eq!(people.rows()[0].2.octets_in, 12);
        assert_eq!(people.rows()[1].2.octets_in, 4);
    }

    #[test]
    fn newcomer_takes_the_place_of_the_one_longest_unseen() {
        let mut people = People::default();
        look(&mut people, 0, &[("alice", 0)]);
        look(&mut people, 1, &[("bob", 0)]);
        look(&mut people, 2, &[("bob", 0), ("carol", 0)]);
        assert_eq!(names(&people), ["bob"], "room was made");
        look(&mut people, 3, &[("bob", 0), ("carol", 0)]);
        assert_eq!(names(&people), ["bob", "carol"]);
        assert_eq!(people.index(b"carol"), Some(3), "no index is used twice");
    }

    #[test]
    fn nobody_with_a_session_goes() {
        let mut people = People::default();
        for second in 0..3 {
            look(&mut people, second, &[("alice", 0), ("bob", 0), ("carol", 0)]);
        }
        assert_eq!(names(&people), ["alice", "bob"]);
        look(&mut people, 10_000, &[("alice", 0)]);
        assert_eq!(names(&people), ["alice"], "bob is forgotten");
    }

    #[test]
    fn index_wraps_around_those_in_use() {
        let mut people = People::default();
        look(&mut people, 0, &[("alice", 0)]);
        people.last_index = u32::MAX;
        look(&mut people, 1, &[("alice", 0), ("bob", 0)]);
        assert_eq!(people.index(b"bob"), Some(2));
    }
}
