//! Keeps what is served: takes looks at gateways, what the kernel says of
//! interfaces, what logs tell, audits and the runs of probes, and makes
//! [`Facts`] and alarms of them.
//!
//! Nothing here reads a source or a clock. A look that could not see the
//! sessions leaves those of the look before in place; they grow old, and when
//! they are too old they are not served any more.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::{Kind, OperStatus, Snapshot, SourceState, State};
use pptp_probe::gateway::tracker::{Change, Ended, LinkChange, TerminateCause, Tracker};
use pptp_probe::reason::{Phase, Reason};

use crate::alarms::{self, Alarm, Limiter, Rates};
use crate::config::{Config, Network, Source};
use crate::facts::{
    Agent, Counted, Facts, FailureRow, HistoryRow, Live, Server, SubnetRow, TABLES, UserRow,
};
use crate::people::{Bounds, Now, People};

mod audits;
mod probes;
mod witness;

use audits::Audits;
pub use audits::Found;
use probes::Probes;
use witness::Witness;
pub use witness::{Word, time};

/// Tables in the order of [`Agent::changed`].
#[derive(Clone, Copy)]
enum Table {
    Server,
    Session,
    History,
    User,
    Subnet,
    Failure,
    Probe,
    Radius,
    Audit,
}

/// By so much may the start of one process differ between two looks: some
/// tell it as an age in whole seconds.
const SAME_START: Duration = Duration::from_secs(2);

/// Everything that is known so far.
pub struct Keeper {
    config: Arc<Config>,
    started: Now,
    description: Arc<str>,
    collects: u32,
    collect_errors: u32,
    changed: [Option<Instant>; TABLES],
    servers: Vec<Kept>,
    history: VecDeque<Arc<HistoryRow>>,
    last_history: u32,
    users: People,
    subnets: People,
    /// When sessions of a user ended, and whether that was told.
    flapping: HashMap<Arc<[u8]>, Burst>,
    failures: BTreeMap<(u32, u8), FailureRow>,
    probes: Probes,
    audits: Audits,
    /// Logs that can be read, and why others cannot.
    reading: BTreeSet<usize>,
    log_troubles: BTreeMap<usize, String>,
    raised: Vec<Alarm>,
    limiter: Limiter,
    /// What [`Facts`] share between refreshes.
    shared: Shared,
}

#[derive(Debug, Default)]
struct Shared {
    history: Option<Arc<[Arc<HistoryRow>]>>,
    people: Option<Callers>,
    failures: Option<Arc<[FailureRow]>>,
}

type Callers = (Arc<[UserRow]>, Arc<[SubnetRow]>);

/// One server.
#[derive(Debug)]
struct Kept {
    source: Source,
    shown: Server,
    /// When its process started, the last time that one ran.
    start: Option<SystemTime>,
    tracker: Tracker,
    witness: Witness,
    looked: bool,
    logins: Burst,
    /// GRE packets of the flows that were there when they were last counted.
    gre_sums: (u64, u64),
    /// GRE packets so far.
    gre_packets: (u64, u64),
    is_down: bool,
    is_stale: bool,
    is_full: bool,
}

/// Things that happen too often.
#[derive(Debug, Default)]
struct Burst {
    /// At most one more than the limit.
    times: VecDeque<Instant>,
    told: bool,
}

impl Burst {
    /// How many there were in the window before `now`.
    fn count(&mut self, window: Duration, now: Instant) -> u32 {
        let old = |time: &Instant| now.saturating_duration_since(*time) > window;
        while self.times.front().is_some_and(old) {
            self.times.pop_front();
        }
        self.times.len() as u32
    }

    /// One more; true when it is the first that is above the limit.
    fn add(&mut self, limit: u32, window: Duration, now: Instant) -> bool {
        self.times.push_back(now);
        while self.times.len() > limit as usize + 1 {
            self.times.pop_front();
        }
        let above = self.count(window, now) > limit;
        above && !std::mem::replace(&mut self.told, above)
    }

    /// True when it was told and is over.
    fn is_over(&mut self, limit: u32, window: Duration, now: Instant) -> bool {
        self.told && self.count(window, now) <= limit && std::mem::replace(&mut self.told, false)
    }
}

/// A session that came to nothing or did not last.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// Why.
    pub reason: Reason,
    /// Whose; empty if not known.
    pub user: &'a [u8],
    /// From where.
    pub peer: Option<Ipv4Addr>,
}

impl Keeper {
    /// Knows nothing but the configuration.
    pub fn new(config: Arc<Config>, description: &str, now: Now) -> Self {
        let mut keeper = Self {
            started: now,
            description: description.into(),
            collects: 0,
            collect_errors: 0,
            changed: [None; TABLES],
            servers: Vec::new(),
            history: VecDeque::new(),
            last_history: 0,
            users: People::default(),
            subnets: People::default(),
            flapping: HashMap::new(),
            failures: BTreeMap::new(),
            probes: Probes::default(),
            audits: Audits::default(),
            reading: BTreeSet::new(),
            log_troubles: BTreeMap::new(),
            raised: Vec::new(),
            limiter: Limiter::default(),
            shared: Shared::default(),
            config,
        };
        keeper.reconfigure_probes(now);
        keeper
    }

    /// Goes on with another configuration. Probes that are configured as
    /// before keep their rows.
    pub fn reconfigure(&mut self, config: Arc<Config>, now: Now) {
        self.config = config;
        self.reconfigure_probes(now);
        if self.trim_history() {
            self.touch(Table::History, now);
        }
        self.shared = Shared::default();
    }

    fn reconfigure_probes(&mut self, now: Now) {
        let before = self.probes.indices();
        self.probes.reconfigure(&self.config.probes, now);
        let after = self.probes.indices();
        for (table, (before, after)) in
            [Table::Probe, Table::Radius].into_iter().zip(before.into_iter().zip(after))
        {
            if before != after {
                self.touch(table, now);
            }
        }
    }

    /// All sources were read once more.
    pub fn count_collect(&mut self) {
        self.collects = self.collects.wrapping_add(1);
    }

    /// Takes a look at a server. One of which nothing was ever found has no
    /// row.
    pub fn look(&mut self, source: Source, snapshot: Snapshot, now: Now) {
        let found = snapshot.server.is_some() || !snapshot.sessions.is_empty();
        let at = match self.servers.iter().position(|kept| kept.source == source) {
            Some(at) => at,
            None if found => self.add_server(source, now),
            None => return,
        };
        let mut unreadable = snapshot.sources.iter().filter_map(|source| match &source.state {
            SourceState::Unreadable(why) => Some(format!("{}: {why}", source.name)),
            _ => None,
        });
        let error = unreadable.next();
        let errors = u32::from(error.is_some()) + unreadable.count() as u32;
        self.collect_errors = self.collect_errors.wrapping_add(errors);
        let blind = snapshot
            .sources
            .iter()
            .find(|source| source.needed && source.state != SourceState::Ok)
            .map(|source| format!("{} cannot be read", source.name));
        self.begin_counting(at);
        let log_trouble = self.log_trouble(at);
        let kept = &mut self.servers[at];
        kept.shown.errors = kept.shown.errors.wrapping_add(errors);
        if let Some(error) = &error {
            kept.shown.error_text = error.as_str().into();
        }
        if let Some(blind) = blind {
            // Who does not answer is down; of who cannot be asked nothing is known.
            let down = snapshot.server.filter(|server| server.status == OperStatus::Down);
            kept.shown.status = down.as_ref().map_or(OperStatus::Unknown, |server| server.status);
            if down.is_some() {
                // Who does not answer was asked: that is news, and no old one.
                kept.shown.read = now.instant;
                (kept.shown.start, kept.shown.memory, kept.shown.cpu) = (None, None, None);
            }
            kept.shown.status_text =
                down.map_or(error.unwrap_or(blind), |server| server.status_text).into();
            return self.judge(at);
        }
        kept.shown.read = now.instant;
        // The sessions themselves tell, from now on.
        kept.shown.counted.lcp_timeouts.get_or_insert(0);
        if let Some(server) = &snapshot.server {
            kept.add_gre(server.gre_packets);
        }
        kept.show(snapshot.server, error.or(log_trouble), &self.config, now);
        let before = kept.tracker.table().len();
        let first = !std::mem::replace(&mut kept.looked, true);
        let changes = kept.tracker.update(snapshot.sessions, now.instant, now.wall);
        let went = changes.iter().any(|change| matches!(change, Change::Ended(_)));
        let came_or_went = kept.tracker.table().len() != before || went;
        self.link_told(at);
        let kept = &mut self.servers[at];
        kept.shown.sessions = kept.tracker.table().clone();
        kept.shown.totals = kept.tracker.totals();
        if came_or_went {
            self.touch(Table::Session, now);
        }
        if first {
            self.count_first(at, now);
        }
        self.share_interfaces(at);
        self.take(at, changes, now);
        self.see_people(now);
        self.judge(at);
    }

    /// Takes what the kernel says of an interface; whichever server has it, or
    /// else the first.
    pub fn link(&mut self, link: LinkChange, now: Now) {
        let owner = self.servers.iter().position(|kept| kept.tracker.has_interface(link.if_index));
        let at = owner.unwrap_or(0);
        let Some(kept) = self.servers.get_mut(at) else { return };
        let changes = kept.tracker.link(link, now.instant, now.wall);
        kept.shown.sessions = kept.tracker.table().clone();
        kept.shown.totals = kept.tracker.totals();
        self.take(at, changes, now);
        self.judge(at);
    }

    /// A session of the server with this index came to nothing or did not
    /// last, as a log or the sessions themselves tell.
    fn fail(&mut self, server: u32, failed: Failed<'_>, now: Now) {
        let key = (server, failed.reason.number());
        if !self.failures.contains_key(&key) {
            self.touch(Table::Failure, now);
        }
        let row = self.failures.entry(key).or_insert_with(|| FailureRow {
            server,
            reason: failed.reason,
            count: 0,
            last: now.wall,
            user: failed.user.into(),
            peer: None,
        });
        row.count = row.count.wrapping_add(1);
        row.last = now.wall;
        row.user = failed.user.into();
        row.peer = failed.peer.map(IpAddr::V4);
        self.shared.failures = None;
    }

    /// A login at a server was rejected.
    fn reject(&mut self, at: usize, user: &[u8], peer: Option<Ipv4Addr>, now: Now) {
        self.shared.people = None;
        let (users, subnets) = (self.user_bounds(), self.subnet_bounds());
        if !user.is_empty() {
            self.users.reject(user, now, users);
        }
        if let Some(peer) = peer {
            self.subnets.reject(&subnet(peer, self.config.subnets.prefix_v4), now, subnets);
        }
        let settings = &self.config.notifications;
        let (limit, window) = (settings.auth_failures_count, settings.auth_failures_window);
        let kept = &mut self.servers[at];
        let failures = kept.shown.counted.auth_failures.get_or_insert(0);
        *failures = failures.wrapping_add(1);
        if kept.logins.add(limit, window, now.instant) {
            let text = format!(
                "more than {limit} logins were rejected in {} s, the last one of {}: look \
                 whether a client has an old password, or block the address",
                window.as_secs(),
                caller(user, peer),
            );
            self.raised.push(Alarm {
                count: limit.saturating_add(1),
                limit,
                window,
                ..Alarm::new(alarms::Kind::AuthFailureRateExceeded, [kept.shown.index], text)
            });
        }
    }

    /// Takes the run of a probe.
    pub fn probe(&mut self, run: &crate::probe::Run, now: Now) {
        let new_phase = self.probes.take(run, &mut self.raised);
        if new_phase {
            self.touch(Table::Probe, now);
        }
    }

    /// Takes what an audit found.
    pub fn audit(&mut self, audit: Vec<Found>, now: Now) {
        if self.audits.take(audit, now.wall) {
            self.touch(Table::Audit, now);
        }
    }

    /// What is served now.
    pub fn facts(&mut self, now: Now) -> Facts {
        self.settle(now);
        let settings = &self.config.notifications;
        let (limit, window) = (settings.auth_failures_count, settings.auth_failures_window);
        for kept in &mut self.servers {
            let index = kept.shown.index;
            let age = now.instant.saturating_duration_since(kept.shown.read);
            let is_stale = age > settings.stale_after;
            if is_stale != std::mem::replace(&mut kept.is_stale, is_stale) {
                if !kept.shown.sessions.is_empty() {
                    // Their rows went with it, or came back.
                    self.changed[Table::Session as usize] = Some(now.instant);
                }
                let name = &kept.shown.name;
                self.raised.push(if is_stale {
                    let text = format!("{name} was not read for {} s", age.as_secs());
                    Alarm::new(alarms::Kind::DataStale, [index], text)
                } else {
                    Alarm::new(alarms::Kind::DataFresh, [index], format!("{name} is read again"))
                });
            }
            if kept.logins.is_over(limit, window, now.instant) {
                let count = kept.logins.count(window, now.instant);
                let text = format!("{count} logins were rejected in {} s", window.as_secs());
                let alarm = Alarm::new(alarms::Kind::AuthFailureRateCleared, [index], text);
                self.raised.push(Alarm { count, limit, window, ..alarm });
            }
        }
        let window = settings.flapping_window;
        let limit = settings.flapping_count;
        self.flapping.retain(|_, burst| {
            burst.is_over(limit, window, now.instant);
            burst.count(window, now.instant) > 0
        });
        let (users, subnets) = self.people();
        let history = &self.history;
        let failures = &self.failures;
        Facts {
            taken: now.instant,
            wall: now.wall,
            stale_after: self.config.notifications.stale_after,
            agent: Agent {
                description: Arc::clone(&self.description),
                started: self.started.instant,
                start: self.started.wall,
                collects: self.collects,
                collect_errors: self.collect_errors,
                changed: self.changed,
            },
            servers: self.servers.iter().map(|kept| kept.shown.clone()).collect(),
            history: Arc::clone(
                self.shared.history.get_or_insert_with(|| history.iter().cloned().collect()),
            ),
            users,
            subnets,
            failures: Arc::clone(
                self.shared.failures.get_or_insert_with(|| failures.values().cloned().collect()),
            ),
            probes: self.probes.rows(),
            radius: self.probes.radius_rows(),
            audit: self.audits.rows(),
            audited: self.audits.are_there(),
        }
    }

    /// What happened since this was last asked, as far as the rates let it
    /// pass. Its rows are those of the facts made before.
    pub fn alarms(&mut self, live: &Live, now: Now) -> Vec<Alarm> {
        let settings = &self.config.notifications;
        let off = [
            (settings.server, &[alarms::Kind::ServerDown, alarms::Kind::ServerUp][..]),
            (settings.session_up, &[alarms::Kind::SessionUp]),
            (settings.session_down, &[alarms::Kind::SessionDown]),
            (settings.session_flapping, &[alarms::Kind::SessionFlapping]),
            (
                settings.auth_failure_rate,
                &[alarms::Kind::AuthFailureRateExceeded, alarms::Kind::AuthFailureRateCleared],
            ),
            (settings.capacity, &[alarms::Kind::CapacityExceeded, alarms::Kind::CapacityCleared]),
            (settings.radius, &[alarms::Kind::RadiusDown, alarms::Kind::RadiusUp]),
            (settings.probe, &[alarms::Kind::ProbeFailed, alarms::Kind::ProbeRecovered]),
            (settings.data, &[alarms::Kind::DataStale, alarms::Kind::DataFresh]),
            (settings.suppressed, &[alarms::Kind::NotificationsSuppressed]),
        ];
        let off = off.into_iter().filter(|(on, _)| !on).flat_map(|(_, kinds)| kinds).copied();
        let rates = Rates { limit: settings.rate, window: settings.window, off: off.collect() };
        self.limiter.pass(std::mem::take(&mut self.raised), &rates, live, now.instant)
    }

    fn add_server(&mut self, source: Source, now: Now) -> usize {
        let kind = match source {
            Source::Poptop => Kind::Poptop,
            Source::AccelPpp => Kind::AccelPpp,
            Source::Pppd => Kind::Pppd,
        };
        let name = self.config.collect.names.get(&source).cloned();
        let shown = Server {
            index: self.servers.len() as u32 + 1,
            name: name.unwrap_or_else(|| source.to_string()).into(),
            kind,
            listen: None,
            status: OperStatus::Unknown,
            status_text: "".into(),
            start: None,
            memory: None,
            cpu: None,
            maximum: None,
            gre_packets: None,
            totals: pptp_probe::gateway::tracker::Totals::default(),
            counted: Counted::default(),
            read: now.instant,
            errors: 0,
            error_text: "".into(),
            since: now.instant,
            sessions: pptp_probe::gateway::table::Table::default(),
        };
        self.servers.push(Kept {
            source,
            shown,
            start: None,
            tracker: Tracker::new(self.started.instant),
            witness: Witness::default(),
            looked: false,
            logins: Burst::default(),
            gre_sums: (0, 0),
            gre_packets: (0, 0),
            is_down: false,
            is_stale: false,
            is_full: false,
        });
        self.touch(Table::Server, now);
        self.servers.len() - 1
    }

    /// An interface belongs to whoever has a session on it, though another one
    /// heard of it first.
    fn share_interfaces(&mut self, owner: usize) {
        let (before, rest) = self.servers.split_at_mut(owner);
        let Some((owner, behind)) = rest.split_first_mut() else { return };
        for other in before.iter_mut().chain(behind) {
            other.tracker.disown(&owner.tracker);
        }
    }

    /// Sessions that were there before us count for their users too.
    fn count_first(&mut self, at: usize, now: Now) {
        let (users, subnets) = (self.user_bounds(), self.subnet_bounds());
        let prefix = self.config.subnets.prefix_v4;
        let table = &self.servers[at].shown.sessions;
        for row in table.iter().filter(|row| row.state() == State::Open) {
            if !row.user().is_empty() {
                self.users.count(row.user(), now, users);
            }
            if let Some(peer) = row.peer() {
                self.subnets.count(&subnet(peer, prefix), now, subnets);
            }
        }
    }

    fn take(&mut self, at: usize, changes: Vec<Change>, now: Now) {
        for change in changes {
            match change {
                Change::Opened { index } => self.open(at, index, now),
                Change::Renegotiated { .. } => {}
                Change::Ended(ended) => self.end(at, *ended, now),
            }
        }
    }

    fn open(&mut self, at: usize, index: u32, now: Now) {
        let (users, subnets) = (self.user_bounds(), self.subnet_bounds());
        let server = &self.servers[at].shown;
        let Some(row) = server.sessions.get(index) else { return };
        let subnet = row.peer().map(|peer| subnet(peer, self.config.subnets.prefix_v4));
        let text = caller(row.user(), row.peer());
        self.raised.push(Alarm::new(alarms::Kind::SessionUp, [server.index, index], text));
        if !row.user().is_empty() {
            self.users.count(row.user(), now, users);
        }
        if let Some(subnet) = subnet {
            self.subnets.count(&subnet, now, subnets);
        }
    }

    /// A session is gone: what it sent counts at once, for it is no longer
    /// among those that are there.
    fn end(&mut self, at: usize, ended: Ended, now: Now) {
        let session = &ended.record.session;
        let traffic = session.traffic.unwrap_or_default();
        self.users.end(session.user.as_deref().unwrap_or_default(), traffic, now);
        if let Some(peer) = session.peer {
            self.subnets.end(&subnet(peer, self.config.subnets.prefix_v4), traffic, now);
        }
        self.end_seen(at, ended, now);
    }

    /// All is known of an ended session that will be, from a log or without.
    fn finish(&mut self, at: usize, ended: Ended, told: bool, now: Now) {
        let kept = &mut self.servers[at];
        let server = kept.shown.index;
        let session = &ended.record.session;
        let user: Arc<[u8]> = session.user.as_deref().unwrap_or_default().into();
        if ended.cause == TerminateCause::LcpTimeout
            && !told
            && !kept.witness.counted_lcp_timeout(ended.record.index)
        {
            let timeouts = kept.shown.counted.lcp_timeouts.get_or_insert(0);
            *timeouts = timeouts.wrapping_add(1);
            let failed = Failed { reason: Reason::Silent, user: &user, peer: session.peer };
            self.fail(server, failed, now);
        }
        // Every check of the port is a control connection without a call: the
        // server counts them, and a list of sessions is not made of them.
        if ended.phase <= Phase::Control {
            return;
        }
        if !user.is_empty() {
            self.watch_flapping(&user, now);
        }
        self.last_history = self.last_history.checked_add(1).unwrap_or(1);
        let index = self.last_history;
        let text = caller(&user, session.peer);
        let row = Arc::new(HistoryRow { index, server, ended });
        self.raised.push(Alarm {
            ended: Some(Arc::clone(&row)),
            ..Alarm::new(alarms::Kind::SessionDown, [index], text)
        });
        if self.config.history.rows > 0 {
            if !told {
                self.may_be_late(at, index);
            }
            self.history.push_back(row);
            self.trim_history();
            self.shared.history = None;
            self.touch(Table::History, now);
        }
    }

    /// True when a row went.
    fn trim_history(&mut self) -> bool {
        let surplus = self.history.len().saturating_sub(self.config.history.rows as usize);
        self.history.drain(..surplus).count() > 0
    }

    fn watch_flapping(&mut self, user: &Arc<[u8]>, now: Now) {
        let settings = &self.config.notifications;
        let (limit, window) = (settings.flapping_count, settings.flapping_window);
        let room = self.flapping.len() < self.config.users.rows as usize;
        if !room && !self.flapping.contains_key(user) {
            return;
        }
        let burst = self.flapping.entry(Arc::clone(user)).or_default();
        if burst.add(limit, window, now.instant)
            && let Some(index) = self.users.index(user)
        {
            let text = format!(
                "more than {limit} sessions of {} ended in {} s: look in the history why, and at \
                 the caller's line",
                String::from_utf8_lossy(user).escape_debug(),
                window.as_secs()
            );
            self.raised.push(Alarm {
                count: limit.saturating_add(1),
                limit,
                window,
                ..Alarm::new(alarms::Kind::SessionFlapping, [index], text)
            });
        }
    }

    /// Alarms of a server's own state.
    fn judge(&mut self, at: usize) {
        let kept = &mut self.servers[at];
        let server = &kept.shown;
        let is_down = server.status == OperStatus::Down;
        if is_down != kept.is_down && server.status != OperStatus::Unknown {
            kept.is_down = is_down;
            let (kind, text) = if is_down {
                (alarms::Kind::ServerDown, server.status_text.to_string())
            } else {
                (alarms::Kind::ServerUp, format!("{} takes callers again", server.name))
            };
            self.raised.push(Alarm::new(kind, [server.index], text));
        }
        // Of a server that is down nobody knows what it takes.
        let Some(maximum) = server.maximum else { return };
        let percent = u64::from(self.config.notifications.capacity_percent);
        let limit = (u64::from(maximum) * percent).div_ceil(100);
        let is_full = u64::from(server.totals.open) >= limit.max(1);
        if is_full == std::mem::replace(&mut kept.is_full, is_full) {
            return;
        }
        let text = format!(
            "{} of {maximum} sessions are open: raise connections and the address pool, or end \
             sessions nobody uses",
            server.totals.open
        );
        let kind =
            if is_full { alarms::Kind::CapacityExceeded } else { alarms::Kind::CapacityCleared };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.raised.push(Alarm { limit, ..Alarm::new(kind, [server.index], text) });
    }

    /// Looks who is there, over all servers.
    fn see_people(&mut self, now: Now) {
        let (users, subnets) = (self.user_bounds(), self.subnet_bounds());
        let prefix = self.config.subnets.prefix_v4;
        self.users.begin_look();
        self.subnets.begin_look();
        let stale_after = self.config.notifications.stale_after;
        let is_fresh =
            |kept: &&Kept| now.instant.saturating_duration_since(kept.shown.read) <= stale_after;
        let fresh = self.servers.iter().filter(is_fresh);
        for row in fresh.flat_map(|kept| kept.shown.sessions.iter()) {
            let open = row.state() == State::Open;
            let traffic = row.traffic().copied().unwrap_or_default();
            if !row.user().is_empty() {
                self.users.see(row.user(), open, traffic, now, users);
            }
            if let Some(peer) = row.peer().filter(|_| row.watched().furthest >= State::CallWait) {
                self.subnets.see(&subnet(peer, prefix), open, traffic, now, subnets);
            }
        }
        self.users.end_look(users, now);
        self.subnets.end_look(subnets, now);
        if self.users.take_changed() {
            self.touch(Table::User, now);
        }
        if self.subnets.take_changed() {
            self.touch(Table::Subnet, now);
        }
        self.shared.people = None;
    }

    fn people(&mut self) -> Callers {
        let config = &self.config;
        let (users, subnets) = (&self.users, &self.subnets);
        let made = self.shared.people.get_or_insert_with(|| {
            let users = users.rows().into_iter().map(|(index, name, mut seen)| {
                let text = std::str::from_utf8(name).ok();
                seen.quota = text.and_then(|text| config.users.quota.get(text).copied());
                UserRow { index, name: Arc::clone(name), seen }
            });
            let subnets = subnets.rows().into_iter().filter_map(|(index, key, mut seen)| {
                let (address, prefix) = key.split_first_chunk::<4>()?;
                let (address, prefix) = (IpAddr::from(*address), *prefix.first()?);
                let network = Network::of(address, prefix);
                seen.quota = config.subnets.quota.get(&network).copied();
                Some(SubnetRow { index, address, prefix, seen })
            });
            (users.collect(), subnets.collect())
        });
        made.clone()
    }

    fn user_bounds(&self) -> Bounds {
        let users = &self.config.users;
        Bounds { rows: users.rows as usize, forget: users.forget }
    }

    fn subnet_bounds(&self) -> Bounds {
        let subnets = &self.config.subnets;
        Bounds { rows: subnets.rows as usize, forget: subnets.forget }
    }

    fn touch(&mut self, table: Table, now: Now) {
        self.changed[table as usize] = Some(now.instant);
    }
}

impl Kept {
    /// The kernel counts by flow: when one ends, the sum of the others is less
    /// than before, and what came on them meanwhile is not told.
    fn add_gre(&mut self, sums: Option<(u64, u64)>) {
        self.shown.gre_packets = sums.map(|(received, sent)| {
            let (received_before, sent_before) =
                std::mem::replace(&mut self.gre_sums, (received, sent));
            let (all_received, all_sent) = &mut self.gre_packets;
            *all_received = all_received.wrapping_add(received.saturating_sub(received_before));
            *all_sent = all_sent.wrapping_add(sent.saturating_sub(sent_before));
            self.gre_packets
        });
    }

    fn show(
        &mut self,
        server: Option<pptp_probe::gateway::session::Server>,
        error: Option<String>,
        config: &Config,
        now: Now,
    ) {
        let shown = &mut self.shown;
        let Some(server) = server else {
            shown.status = OperStatus::Down;
            shown.status_text = format!("{} is not running", self.source).into();
            (shown.start, shown.memory, shown.cpu) = (None, None, None);
            return;
        };
        if let Some(start) = server.start
            && let Some(before) = self.start.replace(start)
            && start.duration_since(before).is_ok_and(|later| later > SAME_START)
        {
            shown.since = now.instant;
        }
        shown.listen = server.listen.or(shown.listen);
        if !config.collect.names.contains_key(&self.source)
            && let Some(listen) = shown.listen
        {
            shown.name = format!("{} {listen}", self.source).into();
        }
        (shown.start, shown.memory, shown.cpu) = (server.start, server.memory, server.cpu);
        shown.maximum = server.maximum;
        (shown.status, shown.status_text) = match (server.status, error) {
            (OperStatus::Up, Some(error)) => (OperStatus::Degraded, error.into()),
            (status, _) => (status, server.status_text.into()),
        };
    }
}

/// Who it is, as far as that is known.
fn caller(user: &[u8], peer: Option<Ipv4Addr>) -> String {
    let name = match user {
        [] => "a caller without a name".to_owned(),
        user => String::from_utf8_lossy(user).escape_debug().to_string(),
    };
    peer.map(|peer| format!("{name} from {peer}")).unwrap_or(name)
}

/// A subnet as octets: its first address, then the length of its prefix.
fn subnet(address: Ipv4Addr, prefix: u8) -> [u8; 5] {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let [a, b, c, d] = (address.to_bits() & mask).to_be_bytes();
    [a, b, c, d, prefix]
}

#[cfg(test)]
mod tests;
