//! Lines of a log, split and joined.
//!
//! What must hold beside no panic: one end at most for each session, names are
//! cut, and a joiner that is saved and resumed between any two blocks tells the
//! same as one that goes on.

use std::collections::BTreeSet;

use crate::probe::log::event::{Event, LONGEST, What};
use crate::probe::log::join::Joiner;
use crate::probe::log::line::Lines;

/// 2026-11-21 12:00 UTC.
const NOW: i64 = 1_795_262_400_000_000;

/// The lines of a log.
pub fn log_lines(data: &[u8]) {
    let mut text = data.to_vec();
    text.push(b'\n');
    let half =
        text[..text.len() / 2].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);

    let mut lines = Lines::new(NOW);
    let mut joiner = Joiner::default();
    let mut whole = Told::default();
    for block in [&text[..half], &text[half..]] {
        lines.split(block, &mut |entry| joiner.take(entry, &mut |event| whole.add(event)));
    }
    joiner.settle(i64::MAX, &mut |event| whole.add(event));

    let mut lines = Lines::new(NOW);
    let mut first = Joiner::default();
    let mut parts = Told::default();
    lines.split(&text[..half], &mut |entry| first.take(entry, &mut |event| parts.add(event)));
    let octets = first.save();
    let mut second = Joiner::resume(&octets).expect("octets of save");
    assert_eq!(second.save(), octets);
    lines.split(&text[half..], &mut |entry| second.take(entry, &mut |event| parts.add(event)));
    second.settle(i64::MAX, &mut |event| parts.add(event));
    assert_eq!(whole.words, parts.words);

    // As a state file that somebody wrote.
    if let Some(joiner) = Joiner::resume(data) {
        assert!(joiner.sessions().count() <= 65_536);
    }
}

#[derive(Default)]
struct Told {
    words: Vec<String>,
    ended: BTreeSet<u64>,
}

impl Told {
    fn add(&mut self, event: &Event<'_>) {
        assert!(event.user.len() <= LONGEST);
        if let (What::SessionDown { .. } | What::CallFailed { .. }, Some(session)) =
            (event.what, event.session)
        {
            assert!(self.ended.insert(session.number), "two ends of session {}", session.number);
        }
        let number = event.session.map(|session| session.number);
        self.words.push(format!("{:?} {number:?} {:?} {:?}", event.what, event.user, event.peer));
    }
}
