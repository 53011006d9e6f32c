//! The thread that reads gateways: looks at them every so often, and soon after
//! the kernel said that a ppp interface came or went, hears what logs and
//! audits tell meanwhile, and publishes what the [`Keeper`] makes of it.
//!
//! Readers take the facts published last and wait for nobody; the thread waits
//! for no reader. Notifications for which there is no room are counted.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::tracker::LinkChange;
use tokio::sync::mpsc as tokio_mpsc;

use crate::agentx_io::{Notification, Status};
use crate::config::Config;
use crate::daemon::ByClock;
use crate::facts::{Facts, Live};
use crate::http::Exposition;
use crate::keeper::{Found, Keeper};
use crate::log::{Level, Log};
use crate::logs::{self, Batch, Said};
use crate::oid::Oid;
use crate::people::Now;
use crate::probe::Run;
use crate::served::{Clock, Served};
use crate::sources::{Looks, watch_links};
use crate::value::Value;
use crate::view::View;
use crate::{audits, daemon, metrics, own, synthetic};

/// So long after the kernel said something all sources are read again: pppd
/// writes its database a moment later.
const SOON: Duration = Duration::from_millis(100);
/// But not before so many times the length of the last look; one that is due
/// anyway waits once its length.
const PAUSE: u32 = 9;

/// By so many hundredths of a second may two answers of a master differ that
/// was busy.
const SAME_SESSION: u32 = 100;
/// And those of one to which the connection was made anew: it may be another
/// master, and one that differs by less is as good as the same.
const SAME_MASTER: u32 = 5;

/// What is told is taken together, so much at once.
const AT_ONCE: usize = 1000;
/// A moment that readers share lasts so long, if nothing new is published.
const LASTS: Duration = Duration::from_millis(20);

const TOPIC: &str = "collect";

/// What the thread is told.
pub enum Told {
    /// A probe was run.
    Run(Run),
    /// The configuration changed.
    Config(Arc<Config>),
    /// An interface changed.
    Link(LinkChange),
    /// Something about interfaces was lost: look at everything.
    Lost,
    /// A log told something.
    Log(Batch),
    /// An audit was made.
    Audit(Vec<Found>),
}

/// Hands out what the thread published.
pub struct Collector {
    shared: Arc<Shared>,
    told: Sender<Told>,
    /// The last moment by either clock.
    last: [Mutex<Option<Arc<Moment>>>; 2],
}

struct Shared {
    facts: RwLock<Arc<Facts>>,
    live: Arc<Live>,
    root: Oid,
    master: Mutex<MasterClock>,
    status: Arc<Status>,
    own: Arc<own::Status>,
    /// Notifications for which there was no room on the way.
    lost: AtomicU32,
    collected_at: Mutex<Instant>,
    /// Users on the page for Prometheus.
    users: Mutex<usize>,
    /// Whether the facts are made up and never change.
    synthetic: bool,
}

/// What is served at one moment, for as long as a reader wants.
pub struct Moment {
    facts: Arc<Facts>,
    live: Arc<Live>,
    root: Oid,
    now: Instant,
    clock: Clock,
}

impl Moment {
    fn served(&self) -> Served<'_> {
        Served {
            facts: &self.facts,
            live: &self.live,
            root: &self.root,
            now: self.now,
            clock: self.clock,
        }
    }
}

impl View for Moment {
    fn get(&self, name: &Oid) -> Value<'_> {
        self.served().variable(name)
    }

    fn next(&self, start: &Oid, include: bool, end: Option<&Oid>) -> Option<(Oid, Value<'_>)> {
        self.served().variable_behind(start, include, end)
    }

    fn walk<'v>(
        &'v self,
        start: &Oid,
        include: bool,
        end: Option<&Oid>,
        take: &mut dyn FnMut(&Oid, Value<'v>) -> bool,
    ) {
        self.served().variables_behind(start, include, end, take);
    }
}

/// What a collector works with.
pub struct Work {
    /// What is configured.
    pub config: Arc<Config>,
    /// Reads the servers.
    pub looks: Looks,
    /// Where notifications go.
    pub notifications: tokio_mpsc::Sender<Notification>,
    /// How the session with the master stands.
    pub status: Arc<Status>,
    /// What the agent of our own sent.
    pub own: Arc<own::Status>,
    /// What is said in the log.
    pub log: Arc<Log>,
}

impl Collector {
    /// Starts the thread after a first look, one that listens to the kernel,
    /// one for each log, and one that audits.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(work: Work) -> std::io::Result<Self> {
        let now = now();
        let description = format!(
            "PPTP sessions of {}, read from {}",
            names(&work.looks),
            work.config.collect.root.display()
        );
        let mut keeper = Keeper::new(Arc::clone(&work.config), &description, now);
        let shared = Arc::new(Shared::new(&work, keeper.facts(now), false));
        let (told, orders) = mpsc::channel();
        let is_live = work.config.collect.root == Path::new("/");
        let (config, log) = (Arc::clone(&work.config), Arc::clone(&work.log));
        let mut thread = Thread { work, keeper, shared: Arc::clone(&shared) };
        thread.look();
        let builder = std::thread::Builder::new().name("collect".to_owned());
        builder.spawn(move || thread.run(&orders))?;
        if is_live {
            watch_links(told.clone(), Arc::clone(&log))?;
        }
        for (number, one) in config.logs.iter().enumerate() {
            logs::follow(number, one, told.clone(), Arc::clone(&log))?;
        }
        if config.audit.enabled {
            audits::watch(config, told.clone())?;
        }
        Ok(Self { shared, told, last: Default::default() })
    }

    /// Serves made-up sessions, and starts nothing.
    pub fn synthetic(rows: u32, work: &Work) -> Self {
        let now = now();
        let facts = synthetic::facts(rows, now.instant, now.wall);
        let (told, _) = mpsc::channel();
        Self { shared: Arc::new(Shared::new(work, facts, true)), told, last: Default::default() }
    }

    /// The facts published last.
    pub fn facts(&self) -> Arc<Facts> {
        self.shared.facts()
    }
}

impl daemon::Source for Collector {
    type View = Moment;

    fn view(&self, by: ByClock) -> Arc<Moment> {
        let now = Instant::now();
        let clock = self.shared.clock(by, now);
        let mut last = self.last[by as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            // A master that came meanwhile has a clock of its own.
            Some(moment)
                if now.saturating_duration_since(moment.now) < LASTS
                    && moment.clock == clock
                    && Arc::ptr_eq(&moment.facts, &*self.shared.published()) =>
            {
                Arc::clone(moment)
            }
            _ => Arc::clone(last.insert(Arc::new(self.shared.moment(clock, now)))),
        }
    }

    fn metrics(&self, exposition: Exposition) -> String {
        let now = Instant::now();
        let moment = self.shared.moment(self.shared.clock(ByClock::Master, now), now);
        let users = *self.shared.users.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::page(&moment.facts, &moment.live, users, exposition, moment.now)
    }

    fn collected_at(&self) -> Instant {
        if self.shared.synthetic {
            return Instant::now();
        }
        *self.shared.collected_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probed(&self, run: Run) {
        // Nobody listens where the sessions are made up.
        let _ = self.told.send(Told::Run(run));
    }

    fn configure(&self, config: &Config) {
        let _ = self.told.send(Told::Config(Arc::new(config.clone())));
    }

    fn summary(&self) -> String {
        let facts = self.facts();
        let open: u32 = facts.servers.iter().map(|server| server.totals.open).sum();
        let failing = facts.probes.iter().filter(|probe| probe.failure.is_some()).count();
        match (facts.servers.len(), facts.probes.len()) {
            (0, 0) => "no gateway was found here, and no probe is configured".to_owned(),
            (0, probes) => format!("{failing} of {probes} probes fail"),
            (_, 0) => format!("{open} sessions open"),
            (_, probes) => format!("{open} sessions open, {failing} of {probes} probes fail"),
        }
    }
}

impl Shared {
    fn new(work: &Work, facts: Facts, synthetic: bool) -> Self {
        Self {
            master: Mutex::new(MasterClock::new(facts.taken)),
            facts: RwLock::new(Arc::new(facts)),
            live: Arc::default(),
            root: work.config.oid_base.clone(),
            status: Arc::clone(&work.status),
            own: Arc::clone(&work.own),
            lost: AtomicU32::new(0),
            collected_at: Mutex::new(Instant::now()),
            users: Mutex::new(users(&work.config)),
            synthetic,
        }
    }

    fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.published())
    }

    fn published(&self) -> RwLockReadGuard<'_, Arc<Facts>> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is served now.
    fn moment(&self, clock: Clock, now: Instant) -> Moment {
        let (session, own) = (self.status.counters(), self.own.counters());
        let lost = self.lost.load(Ordering::Relaxed);
        let dropped = lost.wrapping_add((session.notifications_dropped + own.dropped) as u32);
        let live = &self.live;
        live.notifications_sent
            .store((session.notifications_sent + own.sent) as u32, Ordering::Relaxed);
        live.notifications_dropped.store(dropped, Ordering::Relaxed);
        let reconnects = session.opened.saturating_sub(1) as u32;
        live.master_reconnects.store(reconnects, Ordering::Relaxed);
        Moment {
            facts: self.facts(),
            live: Arc::clone(&self.live),
            root: self.root.clone(),
            now,
            clock,
        }
    }

    fn clock(&self, by: ByClock, now: Instant) -> Clock {
        if let (ByClock::Own, Some(clock)) = (by, self.own.clock()) {
            return clock;
        }
        let mut master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        let session = self.status.counters().opened;
        if let Some(uptime) = self.status.master_uptime(now) {
            master.hear(session, uptime, now);
        }
        master.clock
    }
}

/// The master's clock, and until one told it, one that began with us. Its word
/// is taken anew only where it contradicts what it said before: it began again.
struct MasterClock {
    clock: Clock,
    /// The session in which it was heard.
    session: u64,
}

impl MasterClock {
    fn new(now: Instant) -> Self {
        Self { clock: Clock { uptime: 0, at: now }, session: 0 }
    }

    fn hear(&mut self, session: u64, uptime: u32, now: Instant) {
        let same = if session == self.session { SAME_SESSION } else { SAME_MASTER };
        self.session = session;
        if uptime.abs_diff(self.clock.uptime(now)) > same {
            self.clock = Clock { uptime, at: now };
        }
    }
}

struct Thread {
    work: Work,
    keeper: Keeper,
    shared: Arc<Shared>,
}

impl Thread {
    fn run(mut self, orders: &Receiver<Told>) {
        let mut next = Instant::now() + self.work.config.collect.interval;
        let mut earliest = Instant::now();
        loop {
            let now = Instant::now();
            if next <= now {
                let began = Instant::now();
                self.look();
                let ended = Instant::now();
                let took = ended - began;
                earliest = ended + took * PAUSE;
                next = (began + self.work.config.collect.interval).max(ended + took);
                continue;
            }
            let due = self.keeper.due();
            let wake = due.map_or(next, |due| next.min(due));
            match orders.recv_timeout(wake.saturating_duration_since(now)) {
                Ok(first) => {
                    // All that waits at once, but not so much that a look waits.
                    for told in std::iter::once(first).chain(orders.try_iter().take(AT_ONCE)) {
                        if self.hear(told) {
                            next = next.min((Instant::now() + SOON).max(earliest));
                        }
                    }
                    self.publish();
                }
                Err(RecvTimeoutError::Timeout) if due.is_some_and(|due| due <= Instant::now()) => {
                    self.publish();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// True when all sources shall be read soon.
    fn hear(&mut self, told: Told) -> bool {
        let now = now();
        match told {
            Told::Run(run) => {
                self.keeper.probe(&run, now);
                false
            }
            Told::Config(config) => {
                *self.shared.users.lock().unwrap_or_else(PoisonError::into_inner) = users(&config);
                self.keeper.reconfigure(Arc::clone(&config), now);
                self.work.config = config;
                false
            }
            Told::Link(link) => {
                self.keeper.link(link, now);
                true
            }
            Told::Lost => true,
            Told::Log(Batch { log, said, .. }) => {
                match said {
                    Said::Reads(reads) => self.keeper.log_reads(log, reads),
                    Said::Resumed(sessions) => self.keeper.resume(log, sessions),
                    Said::Words(words) => {
                        words.into_iter().for_each(|word| self.keeper.hear(log, word, now));
                    }
                }
                false
            }
            Told::Audit(found) => {
                self.keeper.audit(found, now);
                false
            }
        }
    }

    fn look(&mut self) {
        let deadline = Instant::now() + self.work.config.collect.interval;
        for (source, snapshot) in self.work.looks.look(SystemTime::now(), deadline) {
            self.keeper.look(source, snapshot, now());
        }
        self.keeper.count_collect();
        self.publish();
        *self.shared.collected_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn publish(&mut self) {
        let now = now();
        let facts = Arc::new(self.keeper.facts(now));
        for server in &facts.servers {
            let topic = format!("{TOPIC} {}", server.name);
            match &*server.status_text {
                "" => self.work.log.forget(&topic),
                text => self.work.log.say(Level::Warning, &topic, text),
            }
        }
        *self.shared.facts.write().unwrap_or_else(PoisonError::into_inner) = facts;
        let live = &self.shared.live;
        let alarms = self.keeper.alarms(live, now);
        if alarms.is_empty() {
            return;
        }
        let clock = self.shared.clock(ByClock::Master, now.instant);
        let moment = self.shared.moment(clock, now.instant);
        for alarm in alarms {
            let text = format!("{}: {}", alarm.kind.word(), alarm.text);
            self.work.log.say(Level::Notice, &format!("notify {:?}", alarm.row), &text);
            let (trap, objects) = alarm.notification(&moment.served());
            if self.work.notifications.try_send(Notification { trap, objects }).is_err() {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn users(config: &Config) -> usize {
    if config.metrics.users { config.metrics.max_users as usize } else { 0 }
}

fn names(looks: &Looks) -> String {
    let names: Vec<_> = looks.sources().iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Source;
    use crate::log::tests::Lines;

    #[test]
    fn agent_of_our_own_has_a_clock_of_its_own() {
        let config = Config::default();
        let work = Work {
            looks: Looks::new(&config.collect),
            config: Arc::new(config),
            notifications: tokio_mpsc::channel(1).0,
            status: Arc::default(),
            own: Arc::default(),
            log: Lines::default().log(),
        };
        let collector = Collector::synthetic(1, &work);
        let master = collector.view(ByClock::Master).clock;
        assert_eq!(collector.view(ByClock::Own).clock, master, "while it is not there");
        let at = Instant::now() + Duration::from_secs(1000);
        work.own.start(at);
        assert_eq!(collector.view(ByClock::Own).clock, Clock { uptime: 0, at });
        assert_eq!(collector.view(ByClock::Master).clock, master);
    }

    #[test]
    fn clock_of_another_master_is_taken_though_it_differs_little() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let mut master = MasterClock::new(began);
        master.hear(1, 5000, at(0));
        let first = master.clock;
        master.hear(1, 5099, at(10));
        assert_eq!(master.clock, first, "it was busy");
        master.hear(2, 5103, at(1000));
        assert_eq!(master.clock, first, "the same one");
        master.hear(3, 5010, at(1000));
        assert_eq!(master.clock, Clock { uptime: 5010, at: at(1000) }, "another one");
        master.hear(3, 1, at(1000));
        assert_eq!(master.clock.uptime, 1, "it set its clock back");
    }
}
