//! Entries to events, joined into sessions over their process and interface.

use super::entry::{Entry, Stamp};
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

    /// Octets from which [`Joiner::resume`] makes the same joiner again: all
    /// that matters for entries yet to come.
    pub fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The joiner that wrote `octets`; `None` if none of this version did.
    pub fn resume(octets: &[u8]) -> Option<Self> {
        octets.is_empty().then(Self::default)
    }

    /// Tells the ends that wait for the entries of another process, and have
    /// waited long enough by `now`. Entries do the same as they come: this is
    /// for a log in which nothing follows.
    pub fn settle(&mut self, now: Stamp, tell: &mut impl FnMut(&Event<'_>)) {
        let _ = (now, tell);
    }
}
