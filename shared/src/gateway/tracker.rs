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

use super::session::{Key, Session, State, Traffic};
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
    if session.quality.is_none() {
        session.quality = old.quality().map(|quality| Box::new(*quality));
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Watch {
        tracker: Tracker,
        now: Instant,
        wall: SystemTime,
    }

    impl Watch {
        /// One that has had its first look, at nothing.
        fn new() -> Self {
            let now = Instant::now();
            let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_250_600);
            let mut watch = Self { tracker: Tracker::new(now), now, wall };
            watch.look(0, []);
            watch
        }

        fn look(&mut self, after: u64, sessions: impl IntoIterator<Item = Session>) -> Vec<Change> {
            self.now += Duration::from_secs(after);
            self.wall += Duration::from_secs(after);
            self.tracker.update(sessions, self.now, self.wall)
        }

        fn link(&mut self, after: u64, link: LinkChange) -> Vec<Change> {
            self.now += Duration::from_secs(after);
            self.wall += Duration::from_secs(after);
            self.tracker.link(link, self.now, self.wall)
        }

        fn only(&self) -> Record {
            assert_eq!(self.tracker.table().len(), 1);
            self.tracker.table().at_or_behind(0).unwrap().record()
        }
    }

    fn session(pid: u32, state: State) -> Session {
        Session { state, ..Session::new(Key::process(pid, 1)) }
    }

    fn open(pid: u32, octets_in: u64) -> Session {
        Session {
            user: Some(b"alice"[..].into()),
            assigned: Some(Ipv4Addr::new(192, 168, 77, 10)),
            if_index: Some(pid),
            traffic: Some(Traffic { octets_in, octets_out: 5, packets_in: 1, packets_out: 1 }),
            ..session(pid, State::Open)
        }
    }

    fn link(if_index: u32, there: bool, octets_in: u64) -> LinkChange {
        let traffic = Traffic { octets_in, octets_out: 5, packets_in: 1, packets_out: 1 };
        let if_name = b"ppp0"[..].into();
        LinkChange {
            if_index,
            if_name,
            there,
            begins: there,
            assigned: None,
            traffic: Some(traffic),
        }
    }

    fn ended(changes: &[Change]) -> &Ended {
        let [Change::Ended(ended)] = changes else { panic!("{changes:?}") };
        ended
    }

    #[test]
    fn sessions_of_the_first_look_are_no_news() {
        let now = Instant::now();
        let mut tracker = Tracker::new(now);
        let changes = tracker.update([open(1, 7), open(2, 7)], now, SystemTime::now());
        assert_eq!(changes, []);
        let totals = tracker.totals();
        assert_eq!((totals.open, totals.peak, totals.users), (2, 2, 1));
        assert_eq!((totals.calls_up, totals.accepted, totals.octets_in), (0, 0, 0));
    }

    #[test]
    fn index_stays_while_the_session_lives_and_is_not_used_again() {
        let mut watch = Watch::new();
        watch.look(5, [session(1, State::Lcp), session(2, State::Lcp)]);
        watch.look(5, [open(2, 0)]);
        assert_eq!(watch.only().index, 2);
        watch.look(5, [open(1, 0), open(2, 0)]);
        let indices: Vec<_> = watch.tracker.table().iter().map(|row| row.index()).collect();
        assert_eq!(indices, [2, 3]);
    }

    #[test]
    fn index_wraps_around_the_living() {
        let mut watch = Watch::new();
        watch.look(5, [session(1, State::Lcp)]);
        watch.tracker.last_index = u32::MAX;
        watch.look(5, [session(1, State::Lcp), session(2, State::Lcp)]);
        let indices: Vec<_> = watch.tracker.table().iter().map(|row| row.index()).collect();
        assert_eq!(indices, [1, 2]);
        watch.look(5, [session(1, State::Lcp)]);
        assert_eq!(watch.only().session.key, Key::process(1, 1), "each key has its own row still");
    }

    #[test]
    fn opening_is_told_once() {
        let mut watch = Watch::new();
        assert_eq!(watch.look(5, [session(1, State::Lcp)]), []);
        assert_eq!(watch.look(5, [open(1, 0)]), [Change::Opened { index: 1 }]);
        assert_eq!(watch.look(5, [open(1, 9)]), []);
        assert_eq!(watch.tracker.totals().calls_up, 1);
    }

    #[test]
    fn end_still_says_whose_session_it_was() {
        let mut watch = Watch::new();
        watch.look(5, [open(1, 100)]);
        watch.look(5, [session(1, State::Closing)]);
        let changes = watch.look(5, []);
        let ended = ended(&changes);
        assert_eq!(ended.record.session.user.as_deref(), Some(&b"alice"[..]));
        assert_eq!(ended.record.session.traffic.map(|traffic| traffic.octets_in), Some(100));
        assert_eq!((ended.phase, ended.cause), (Phase::Done, TerminateCause::Unknown));
        assert_eq!(watch.tracker.totals().open, 0);
    }

    #[test]
    fn session_that_came_no_further_than_lcp_until_pppd_gave_up() {
        let mut watch = Watch::new();
        watch.look(5, [session(1, State::Lcp)]);
        let changes = watch.look(30, []);
        assert_eq!(ended(&changes).cause, TerminateCause::LcpTimeout);
        watch.look(5, [session(2, State::Lcp)]);
        let changes = watch.look(6, []);
        assert_eq!(ended(&changes).cause, TerminateCause::Unknown);
        assert_eq!(ended(&changes).phase, Phase::Lcp);
    }

    #[test]
    fn control_connection_without_a_call_is_counted() {
        let mut watch = Watch::new();
        watch.look(5, [session(1, State::CtrlEstablished)]);
        assert_eq!(ended(&watch.look(5, [])).phase, Phase::Control);
        let totals = watch.tracker.totals();
        assert_eq!((totals.accepted, totals.failed, totals.starting), (1, 1, 0));
    }

    #[test]
    fn address_that_becomes_known_late_is_no_renegotiation() {
        let mut watch = Watch::new();
        watch.look(5, [Session { assigned: None, ..open(1, 0) }]);
        assert_eq!(watch.look(5, [open(1, 0)]), []);
        assert_eq!(watch.only().watched.renegotiations, 0);
    }

    #[test]
    fn renegotiation_is_counted_when_open_is_left_or_the_address_changes() {
        let mut watch = Watch::new();
        watch.look(5, [open(1, 0)]);
        assert_eq!(watch.look(5, [session(1, State::Lcp)]), [Change::Renegotiated { index: 1 }]);
        assert_eq!(watch.look(5, [open(1, 0)]), []);
        let other = Session { assigned: Some(Ipv4Addr::new(192, 168, 77, 11)), ..open(1, 0) };
        assert_eq!(watch.look(5, [other]), [Change::Renegotiated { index: 1 }]);
        assert_eq!(watch.only().watched.renegotiations, 2);
    }

    #[test]
    fn idle_time_counts_from_the_last_octet() {
        let mut watch = Watch::new();
        watch.look(5, [open(1, 1)]);
        let first = seconds(watch.wall);
        assert_eq!(watch.only().watched.active, None, "one look shows no change");
        watch.look(5, [open(1, 1)]);
        assert_eq!(watch.only().watched.active, Some(first));
        watch.look(5, [open(1, 2)]);
        assert_eq!(watch.only().watched.active, Some(seconds(watch.wall)));
    }

    #[test]
    fn counters_that_begin_anew_do_not_run_backwards() {
        let mut watch = Watch::new();
        watch.look(5, [open(1, 1000)]);
        watch.look(5, [open(1, 10)]);
        assert_eq!(watch.tracker.totals().octets_in, 1010);
        assert_eq!(watch.only().watched.began, 1000);
    }

    #[test]
    fn beginning_of_counters_wraps() {
        let mut watch = Watch::new();
        watch.look(497 * 86_400, [session(1, State::Lcp)]);
        assert_eq!(watch.only().watched.began, 4_294_080_000);
        watch.look(86_400, [session(2, State::Lcp)]);
        assert_eq!(watch.only().watched.began, (4_302_720_000_u64 - (1 << 32)) as u32);
    }

    #[test]
    fn kernel_ends_a_session_with_its_last_counters() {
        let mut watch = Watch::new();
        watch.look(5, [open(1, 100)]);
        assert_eq!(watch.link(1, link(1, false, 900)), []);
        assert_eq!(watch.only().session.state, State::Closing);
        assert_eq!(watch.tracker.totals().open, 0);
        let changes = watch.look(1, []);
        let traffic = ended(&changes).record.session.traffic;
        assert_eq!(traffic.map(|traffic| traffic.octets_in), Some(900));
        assert_eq!(watch.tracker.totals().octets_in, 900);
    }

    #[test]
    fn session_between_two_looks_is_told_from_its_interface() {
        let mut watch = Watch::new();
        assert_eq!(watch.link(1, link(9, true, 0)), []);
        let assigned = Some(Ipv4Addr::new(192, 168, 77, 12));
        watch.link(1, LinkChange { assigned, ..link(9, true, 0) });
        let changes = watch.link(2, link(9, false, 77));
        let ended = ended(&changes);
        assert_eq!((ended.phase, ended.record.index), (Phase::Done, 0));
        assert_eq!(ended.record.session.assigned, assigned);
        let lasted = ended.end.duration_since(ended.record.session.start.unwrap());
        assert_eq!(lasted.ok(), Some(Duration::from_secs(3)));
        assert_eq!(watch.tracker.totals().calls_up, 1);
        assert_eq!(watch.link(1, link(9, false, 77)), [], "and told once");
    }

    #[test]
    fn interface_that_a_look_explains_is_not_told_twice() {
        let mut watch = Watch::new();
        watch.link(1, link(1, true, 0));
        watch.look(1, [open(1, 0)]);
        watch.link(1, link(1, false, 0));
        ended(&watch.look(1, []));
        assert_eq!(watch.tracker.totals().accepted, 1);
    }

    #[test]
    fn word_that_comes_late_begins_nothing() {
        let mut watch = Watch::new();
        watch.look(5, [open(1, 0)]);
        ended(&watch.look(5, []));
        watch.link(0, LinkChange { begins: false, ..link(1, true, 5) });
        assert_eq!(watch.link(0, link(1, false, 5)), [], "it was told once");
    }

    #[test]
    fn interface_of_another_server_is_forgotten() {
        let mut watch = Watch::new();
        let mut other = Watch::new();
        watch.link(1, link(1, true, 0));
        other.look(1, [open(1, 0)]);
        watch.tracker.disown(&other.tracker);
        assert_eq!(watch.link(1, link(1, false, 9)), []);
    }

    #[test]
    fn interfaces_nobody_claims_are_bounded() {
        let mut watch = Watch::new();
        for if_index in 0..10_000 {
            watch.link(0, link(if_index, true, 0));
        }
        assert_eq!(watch.tracker.loose.len(), MOST_LOOSE);
    }

    proptest! {
        #[test]
        fn interfaces_are_a_map(steps in prop::collection::vec((0..30_u32, 0..5_u32), 0..300)) {
            let (mut interfaces, mut model) = (Interfaces::default(), BTreeMap::new());
            for (if_index, session) in steps {
                if session == 0 {
                    interfaces.remove(if_index);
                    model.remove(&if_index);
                } else {
                    interfaces.insert(if_index, session);
                    model.insert(if_index, session);
                }
                for if_index in 0..30 {
                    prop_assert_eq!(interfaces.get(if_index), model.get(&if_index).copied());
                }
            }
        }

        #[test]
        fn any_order_of_sessions_keeps_the_sums_right(
            looks in prop::collection::vec(prop::collection::vec((1..20_u32, 1..12_u8, 0..4_u64), 0..20), 0..20),
            sorted: bool,
        ) {
            let mut watch = Watch::new();
            let states = [State::Unknown, State::CtrlEstablished, State::Lcp, State::Ipcp, State::Open, State::Closing];
            for look in looks {
                let mut sessions: Vec<_> = look
                    .into_iter()
                    .map(|(pid, state, octets)| Session {
                        state: states[usize::from(state) % states.len()],
                        ..open(pid, octets)
                    })
                    .collect();
                if sorted {
                    sessions.sort_by_key(|session| session.key);
                    sessions.dedup_by_key(|session| session.key);
                }
                let keys: Vec<_> = sessions.iter().map(|session| session.key).collect();
                watch.look(5, sessions);
                let table = watch.tracker.table();
                let open = table.iter().filter(|row| row.state() == State::Open).count();
                prop_assert_eq!(watch.tracker.totals().open as usize, open);
                if sorted {
                    let mut there: Vec<_> = table.iter().map(|row| row.key()).collect();
                    there.sort();
                    prop_assert_eq!(there, keys);
                }
            }
        }
    }
}
