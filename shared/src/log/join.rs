//! Entries to events, joined into sessions over their process and interface.

use super::entry::Entry;
use super::event::{Event, Session};

/// Sessions that are going on, and what the entries so far told of them.
/// Bounded: the oldest make room.
#[derive(Debug, Default)]
pub struct Joiner {
    sessions: Vec<Session>,
}

impl Joiner {
    /// Takes the next entry, and tells what it means.
    pub fn take(&mut self, entry: &Entry<'_>, tell: &mut impl FnMut(&Event<'_>)) {
        let _ = (entry, tell);
    }

    /// Sessions that are going on.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter()
    }

    /// Goes on with sessions that an earlier reader left.
    pub fn resume(&mut self, sessions: impl IntoIterator<Item = Session>) {
        self.sessions.extend(sessions);
    }
}
