//! Sessions of one server over time: what came, went and changed between one
//! [`Snapshot`](super::session::Snapshot) and the next, and between them what
//! the kernel said of ppp interfaces.
//!
//! A session keeps its index while it lives, and what was known of it is kept
//! when its source does not tell any more, so that the end of a session still
//! says whose it was. Sessions that are there at the first look are not news.
//!
//! Why a session ended is told only where the difference shows it; a log
//! knows better.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use super::session::{AuthMethod, Encryption, Key, Quality, Session, State, Traffic};
use super::table::{Record, RowRef, Table, Watched};
use crate::reason::Phase;

/// Interfaces without a session that are remembered at most.
const MOST_LOOSE: usize = 4096;
/// pppd asks for LCP so long.
const LCP_PATIENCE: Duration = Duration::from_secs(29);

/// Why a session ended; the numbers are those of `PptpTerminateCause`, to 100
/// those of RFC 2866, section 5.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TerminateCause {
    /// The caller hung up.
    UserRequest = 1,
    /// The line broke.
    LostCarrier = 2,
    /// The gateway can no longer serve it.
    LostService = 3,
    /// Nothing was sent for too long.
    IdleTimeout = 4,
    /// The time of the session was over.
    SessionTimeout = 5,
    /// An operator ended it.
    AdminReset = 6,
    /// The gateway failed.
    NasError = 9,
    /// The gateway ended it for a reason that is not an error.
    NasRequest = 10,
    /// The gateway ended.
    NasReboot = 11,
    /// Nothing told why.
    Unknown = 101,
    /// LCP was never agreed.
    LcpTimeout = 102,
    /// Echoes stayed unanswered.
    EchoTimeout = 103,
    /// GRE stopped while the control connection stood.
    GreSilent = 104,
    /// Encryption could not be kept up.
    MppeLost = 105,
    /// TCP lost the control connection.
    CtrlReset = 106,
    /// A Stop-Control-Connection-Request.
    CtrlStop = 107,
}

/// What happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is open now.
    Opened {
        /// Its row.
        index: u32,
    },
    /// It was open, and was negotiated again.
    Renegotiated {
        /// Its row.
        index: u32,
    },
    /// It is gone.
    Ended(Box<Ended>),
}

/// A session that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What was known of it; index 0 if it never had a row.
    pub record: Record,
    /// When it was missed.
    pub end: SystemTime,
    /// Why it ended.
    pub cause: TerminateCause,
    /// How far it came; done if it was open.
    pub phase: Phase,
    /// What shows the cause; empty if nothing does.
    pub text: String,
}

/// What the kernel says of a ppp interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkChange {
    /// Its number.
    pub if_index: u32,
    /// Its name.
    pub if_name: Box<[u8]>,
    /// Whether it is there.
    pub there: bool,
    /// Whether it takes packets from now on.
    pub begins: bool,
    /// Address of the other end.
    pub assigned: Option<Ipv4Addr>,
    /// Its counters.
    pub traffic: Option<Traffic>,
}

/// What a log tells of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Learned {
    /// Name the caller proved.
    pub user: Option<Box<[u8]>>,
    /// Address the caller comes from.
    pub peer: Option<Ipv4Addr>,
    /// How the caller proved who it is.
    pub auth_method: Option<AuthMethod>,
    /// How the session is encrypted.
    pub encryption: Option<Encryption>,
    /// Whether MPPE changes its key with each packet.
    pub stateless: Option<bool>,
    /// Times it was negotiated again.
    pub renegotiations: u16,
    /// Times that the caller had to prove itself again.
    pub reauthentications: u32,
}

/// Sums since the tracker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Sessions that are open.
    pub open: u32,
    /// Sessions on their way to open.
    pub starting: u32,
    /// Most that were open at once.
    pub peak: u32,
    /// Different user names among the open sessions, at the last full look.
    pub users: u32,
    /// Control connections that came.
    pub accepted: u32,
    /// Those that ended without a call.
    pub failed: u32,
    /// Sessions that reached open.
    pub calls_up: u32,
    /// Octets from callers, over all sessions.
    pub octets_in: u64,
    /// Octets to callers.
    pub octets_out: u64,
}

/// Interface that no session claims yet.
#[derive(Debug)]
struct Loose {
    since: SystemTime,
    last: LinkChange,
}

/// Sessions by the number of their interface, in order. Linux counts these
/// numbers up, so nearly always a new one goes to the end.
#[derive(Debug, Default)]
struct Interfaces {
    /// Of an interface that is gone the session is 0.
    list: Vec<(u32, u32)>,
    gone: usize,
}

impl Interfaces {
    fn get(&self, if_index: u32) -> Option<u32> {
        let at = self.list.binary_search_by_key(&if_index, |(if_index, _)| *if_index).ok()?;
        Some(self.list[at].1).filter(|session| *session != 0)
    }

    fn insert(&mut self, if_index: u32, session: u32) {
        match self.list.binary_search_by_key(&if_index, |(if_index, _)| *if_index) {
            Ok(at) => {
                let before = std::mem::replace(&mut self.list[at].1, session);
                self.gone -= usize::from(before == 0);
            }
            Err(at) => self.list.insert(at, (if_index, session)),
        }
    }

    fn remove(&mut self, if_index: u32) {
        if let Ok(at) = self.list.binary_search_by_key(&if_index, |(if_index, _)| *if_index) {
            let before = std::mem::replace(&mut self.list[at].1, 0);
            self.gone += usize::from(before != 0);
        }
        if self.gone > self.list.len() / 2 {
            self.list.retain(|(_, session)| *session != 0);
            self.gone = 0;
        }
    }
}

/// The sessions of one server.
#[derive(Debug)]
pub struct Tracker {
    started: Instant,
    table: Table,
    last_index: u32,
    by_interface: Interfaces,
    loose: BTreeMap<u32, Loose>,
    totals: Totals,
    users_changed: bool,
    /// When everything was last looked at.
    looked: Option<SystemTime>,
    changes: Vec<Change>,
}

impl Tracker {
    /// Without any session. Times of [`Watched::began`] count from `started`.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            table: Table::default(),
            last_index: 0,
            by_interface: Interfaces::default(),
            loose: BTreeMap::new(),
            totals: Totals::default(),
            users_changed: false,
            looked: None,
            changes: Vec::new(),
        }
    }

    /// The sessions as they are now. A clone is a snapshot.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Sums.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether a session has the interface with this number.
    pub fn has_interface(&self, if_index: u32) -> bool {
        self.by_interface.get(if_index).is_some()
    }

    /// Forgets interfaces that another server has.
    pub fn disown(&mut self, other: &Self) {
        self.loose.retain(|if_index, _| !other.has_interface(*if_index));
    }

    /// Takes a full look: all sessions that there are, in the order of their
    /// keys, each once. Whatever else is there comes late or not at all, but
    /// does no harm.
    pub fn update(
        &mut self,
        sessions: impl IntoIterator<Item = Session>,
        now: Instant,
        wall: SystemTime,
    ) -> Vec<Change> {
        let mut known = Known::of(&self.table, self.last_index);
        for session in sessions {
            while let Some((_, index)) = known.next_if(&self.table, |key| key < session.key) {
                self.end(index, wall);
            }
            match known.next_if(&self.table, |key| key == session.key) {
                Some((_, index)) => self.go_on(index, session, now, wall),
                None => self.begin(session, now, wall),
            }
        }
        while let Some((_, index)) = known.next_if(&self.table, |_| true) {
            self.end(index, wall);
        }
        let by_interface = &self.by_interface;
        self.loose.retain(|if_index, _| by_interface.get(*if_index).is_none());
        if std::mem::take(&mut self.users_changed) {
            self.totals.users = self.count_users();
        }
        self.looked = Some(wall);
        std::mem::take(&mut self.changes)
    }

    /// Takes what the kernel says of an interface. A session that ended before
    /// any full look saw it is told from this alone.
    pub fn link(&mut self, link: LinkChange, now: Instant, wall: SystemTime) -> Vec<Change> {
        let row = self.by_interface.get(link.if_index).and_then(|index| self.table.get(index));
        match row {
            Some(row) => {
                let mut record = row.record();
                record.session.traffic = link.traffic.or(record.session.traffic);
                record.session.assigned = link.assigned.or(record.session.assigned);
                if !link.there {
                    record.session.state = State::Closing;
                }
                self.go_on(record.index, record.session, now, wall);
            }
            None if link.there => {
                if link.begins && self.loose.len() < MOST_LOOSE {
                    let loose = Loose { since: wall, last: link.clone() };
                    self.loose.entry(link.if_index).or_insert(loose);
                }
                // One that does not begin may be what is left of a session
                // that was told already.
                if let Some(loose) = self.loose.get_mut(&link.if_index) {
                    loose.last.assigned = link.assigned.or(loose.last.assigned);
                    loose.last.traffic = link.traffic.or(loose.last.traffic);
                }
            }
            None => {
                if let Some(loose) = self.loose.remove(&link.if_index) {
                    self.end_loose(loose, link.traffic, wall);
                }
            }
        }
        std::mem::take(&mut self.changes)
    }

    /// Takes what a log tells of the session in a row. What its source tells
    /// stands above that; of renegotiations both see a part, the same ones, so
    /// the larger number is nearer.
    pub fn learn(&mut self, index: u32, learned: &Learned) {
        let Some(row) = self.table.get(index) else { return };
        let mut record = row.record();
        let Record { session, watched, .. } = &mut record;
        self.users_changed |= session.user.is_none() && learned.user.is_some();
        session.user = session.user.take().or_else(|| learned.user.clone());
        session.peer = session.peer.or(learned.peer);
        session.auth_method = session.auth_method.or(learned.auth_method);
        session.encryption = session.encryption.or(learned.encryption);
        session.stateless = session.stateless.or(learned.stateless);
        watched.renegotiations = watched.renegotiations.max(learned.renegotiations);
        if learned.reauthentications > 0 {
            let quality: &mut Quality = session.quality.get_or_insert_default();
            quality.reauthentications =
                quality.reauthentications.max(Some(learned.reauthentications));
        }
        self.table.put(&record);
    }

    fn begin(&mut self, session: Session, now: Instant, wall: SystemTime) {
        loop {
            self.last_index = self.last_index.checked_add(1).unwrap_or(1);
            if self.table.get(self.last_index).is_none() {
                break;
            }
        }
        let first_look = self.looked.is_none();
        let began = self.hundredths(now);
        let watched = Watched { began, active: None, renegotiations: 0, furthest: State::Unknown };
        let index = self.last_index;
        if !first_look {
            self.totals.accepted = self.totals.accepted.wrapping_add(1);
            self.add_traffic(session.traffic, None);
        }
        let record = Record { index, session, watched };
        self.write(None, record, first_look, wall);
    }

    fn go_on(&mut self, index: u32, mut session: Session, now: Instant, wall: SystemTime) {
        let Some(row) = self.table.get(index) else { return };
        keep(&mut session, row);
        let old = Before::of(row);
        let mut watched = row.watched();
        self.users_changed |= session.user.as_deref().unwrap_or_default() != row.user();
        match (session.traffic, old.traffic) {
            (Some(new), Some(before)) if new != before => {
                watched.active = Some(seconds(wall));
                let less = new.octets_in < before.octets_in || new.octets_out < before.octets_out;
                if less {
                    watched.began = self.hundredths(now);
                }
                self.add_traffic(Some(new), Some(before).filter(|_| !less));
            }
            (Some(_), Some(_)) => {
                watched.active = watched.active.or(self.looked.map(seconds));
            }
            (new, _) => self.add_traffic(new, None),
        }
        let again = old.state == State::Open
            && match session.state {
                State::Open => old.assigned.is_some() && session.assigned != old.assigned,
                state => (State::CallWait..State::Open).contains(&state),
            };
        if again {
            watched.renegotiations = watched.renegotiations.saturating_add(1);
            self.changes.push(Change::Renegotiated { index });
        }
        self.write(Some(old), Record { index, session, watched }, false, wall);
    }

    /// Puts a row in, with everything that hangs on it.
    fn write(&mut self, old: Option<Before>, mut record: Record, silent: bool, wall: SystemTime) {
        let Record { index, session, watched } = &mut record;
        if session.start.is_none() {
            // The best that is known: it was not there before.
            session.start = Some(wall).filter(|_| !silent);
        }
        let open_before = watched.furthest == State::Open;
        if session.state <= State::Open {
            watched.furthest = watched.furthest.max(session.state);
        }
        let (state, if_index) = (session.state, session.if_index);
        if old.is_none_or(|old| old.state != state || old.if_index != if_index) {
            if let Some(old) = old {
                self.count(old.state, false);
                self.leave_interface(old.if_index, *index);
            }
            self.count(state, true);
            if let Some(if_index) = if_index {
                self.by_interface.insert(if_index, *index);
            }
            self.users_changed = true;
        }
        if watched.furthest == State::Open && !open_before && !silent {
            self.totals.calls_up = self.totals.calls_up.wrapping_add(1);
            self.changes.push(Change::Opened { index: *index });
        }
        self.table.put(&record);
    }

    fn end(&mut self, index: u32, wall: SystemTime) {
        let Some(row) = self.table.get(index) else { return };
        let record = row.record();
        self.table.remove(index);
        self.users_changed = true;
        self.count(record.session.state, false);
        self.leave_interface(record.session.if_index, index);
        let furthest = record.watched.furthest;
        if furthest <= State::CtrlEstablished {
            self.totals.failed = self.totals.failed.wrapping_add(1);
        }
        let age = record.session.start.and_then(|start| wall.duration_since(start).ok());
        let (cause, text) = match furthest {
            State::CallWait | State::Lcp
                if record.session.user.is_none() && age.is_some_and(|age| age >= LCP_PATIENCE) =>
            {
                let text = "nothing of PPP was agreed until pppd gave up: the caller's GRE did \
                            not arrive, or ours did not reach it";
                (TerminateCause::LcpTimeout, text)
            }
            _ => (TerminateCause::Unknown, ""),
        };
        let phase = phase(furthest);
        let text = text.to_owned();
        self.changes.push(Change::Ended(Box::new(Ended { record, end: wall, cause, phase, text })));
    }

    fn end_loose(&mut self, loose: Loose, traffic: Option<Traffic>, wall: SystemTime) {
        let LinkChange { if_index, if_name, assigned, .. } = loose.last;
        let traffic = traffic.or(loose.last.traffic);
        let furthest = if assigned.is_some() { State::Open } else { State::Lcp };
        let session = Session {
            state: State::Terminated,
            start: Some(loose.since),
            if_index: Some(if_index),
            if_name: Some(if_name),
            assigned,
            traffic,
            ..Session::new(Key::counted(0))
        };
        let watched = Watched { began: 0, active: None, renegotiations: 0, furthest };
        self.totals.accepted = self.totals.accepted.wrapping_add(1);
        if furthest == State::Open {
            self.totals.calls_up = self.totals.calls_up.wrapping_add(1);
        }
        self.add_traffic(traffic, None);
        self.changes.push(Change::Ended(Box::new(Ended {
            record: Record { index: 0, session, watched },
            end: wall,
            cause: TerminateCause::Unknown,
            phase: phase(furthest),
            text: "it was over before anything but its interface could be read".to_owned(),
        })));
    }

    /// It wraps after 497 days, as TimeTicks do.
    fn hundredths(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.started).as_millis() / 10) as u32
    }

    /// Another session may have got the number meanwhile.
    fn leave_interface(&mut self, if_index: Option<u32>, index: u32) {
        if let Some(if_index) = if_index
            && self.by_interface.get(if_index) == Some(index)
        {
            self.by_interface.remove(if_index);
        }
    }

    fn count(&mut self, state: State, there: bool) {
        let counter = match state {
            State::Open => &mut self.totals.open,
            State::Closing | State::Terminated | State::Unknown => return,
            _ => &mut self.totals.starting,
        };
        *counter = if there { *counter + 1 } else { counter.saturating_sub(1) };
        self.totals.peak = self.totals.peak.max(self.totals.open);
    }

    fn add_traffic(&mut self, new: Option<Traffic>, before: Option<Traffic>) {
        let (new, before) = (new.unwrap_or_default(), before.unwrap_or_default());
        let totals = &mut self.totals;
        totals.octets_in = totals.octets_in.wrapping_add(new.octets_in - before.octets_in);
        totals.octets_out = totals.octets_out.wrapping_add(new.octets_out - before.octets_out);
    }

    /// Names are compared by a hash of 64 bits: nothing depends on an error in
    /// 2^-32.
    fn count_users(&self) -> u32 {
        let hasher = std::hash::RandomState::new();
        let open = self.table.iter().filter(|row| row.state() == State::Open);
        let named = open.map(|row| row.user()).filter(|user| !user.is_empty());
        let mut hashes: Vec<u64> =
            named.map(|user| std::hash::BuildHasher::hash_one(&hasher, user)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        u32::try_from(hashes.len()).unwrap_or(u32::MAX)
    }
}

/// The sessions that were there before a look, in the order of their keys.
/// Nearly always that is the order of their numbers, and then nothing is copied.
enum Known {
    InOrder { next: u32, last: u32 },
    Sorted(std::vec::IntoIter<(Key, u32)>),
}

impl Known {
    /// `last_index` is the number given last: near the highest there is, new
    /// sessions may come in front of old ones.
    fn of(table: &Table, last_index: u32) -> Self {
        let keys = || table.iter().map(|row| (row.key(), row.index()));
        let last = keys().last().map_or(0, |(_, index)| index);
        if last <= last_index && last_index < u32::MAX / 2 && keys().is_sorted() {
            return Self::InOrder { next: 1, last };
        }
        let mut sorted: Vec<_> = keys().collect();
        sorted.sort_unstable();
        Self::Sorted(sorted.into_iter())
    }

    fn next_if(&mut self, table: &Table, wanted: impl Fn(Key) -> bool) -> Option<(Key, u32)> {
        match self {
            Self::InOrder { next, last } => {
                let row = table.at_or_behind(*next).filter(|row| row.index() <= *last)?;
                let found = Some((row.key(), row.index())).filter(|(key, _)| wanted(*key))?;
                // Behind the last one there are only those that came since.
                *next = found.1 + 1;
                Some(found)
            }
            Self::Sorted(sorted) => {
                let found = sorted.as_slice().first().copied().filter(|(key, _)| wanted(*key))?;
                sorted.next();
                Some(found)
            }
        }
    }
}

/// What matters of a row before it changes.
#[derive(Clone, Copy)]
struct Before {
    state: State,
    if_index: Option<u32>,
    assigned: Option<Ipv4Addr>,
    traffic: Option<Traffic>,
}

impl Before {
    fn of(row: RowRef<'_>) -> Self {
        let traffic = row.traffic().copied();
        let (if_index, assigned) = (row.if_index(), row.assigned());
        Self { state: row.state(), if_index, assigned, traffic }
    }
}

/// What a source does not tell any more stays known.
fn keep(session: &mut Session, old: RowRef<'_>) {
    macro_rules! keep {
        ($($field:ident)*) => {$(session.$field = session.$field.or(old.$field());)*};
    }
    keep!(
        peer peer_port assigned local_call_id peer_call_id if_index auth_method encryption
        stateless local_mru remote_mru control
    );
    for (string, old) in [
        (&mut session.user, old.user()),
        (&mut session.if_name, old.if_name()),
        (&mut session.accounting_id, old.accounting_id()),
        (&mut session.peer_vendor, old.peer_vendor()),
        (&mut session.peer_host, old.peer_host()),
    ] {
        if string.is_none() && !old.is_empty() {
            *string = Some(old.into());
        }
    }
    session.mtu = session.mtu.or(old.mtu().map(u32::from));
    session.traffic = session.traffic.or(old.traffic().copied());
    if let Some(old) = old.quality() {
        let quality = session.quality.get_or_insert_with(|| Box::new(*old));
        quality.reauthentications = quality.reauthentications.or(old.reauthentications);
    }
    // One computed from an age in seconds is another one each time.
    session.start = old.start().or(session.start);
}

fn phase(furthest: State) -> Phase {
    match furthest {
        State::Unknown | State::CtrlConnecting => Phase::Connect,
        State::CtrlEstablished => Phase::Control,
        State::CallWait => Phase::Call,
        State::Lcp => Phase::Lcp,
        State::Authenticating => Phase::Auth,
        State::Ccp => Phase::Ccp,
        State::Ipcp => Phase::Ipcp,
        State::Open | State::Closing | State::Terminated => Phase::Done,
    }
}

fn seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
