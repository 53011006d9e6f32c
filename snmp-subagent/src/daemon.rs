//! The daemon: what runs side by side, signals, and systemd.
//!
//! One thread carries the sockets of AgentX, SNMP and Prometheus; probes have
//! threads of their own, and so has whoever collects, behind [`Source`]. SIGTERM
//! and SIGINT end it: the master is told Close, runs under way say good-bye.
//! SIGHUP reads the configuration again; one that is wrong changes nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pptp_probe::net::entropy;
use pptp_probe::net::interrupt::Signals;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::agentx::pdu::Region;
use crate::agentx::session::{self, Session};
use crate::agentx_io::{self, LONGEST_TURN, Notification, Status};
use crate::cli::{Arguments, snmpwalk};
use crate::config::Config;
use crate::http::{self, Asked, Exposition, Pages, Refusal};
use crate::log::{Level, Log};
use crate::own;
use crate::probe::Run;
use crate::probe::module::Modules;
use crate::schedule::{FAREWELL, Scheduler};
use crate::snmp::notifier::Notifier;
use crate::udp::{self, Responder};
use crate::view::View;

const TOPIC: &str = "daemon";

/// Turns of a task that may be late before it counts as standing still.
const PATIENCE: u32 = 3;

/// By whose sysUpTime a TimeStamp is reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByClock {
    /// The master's.
    Master,
    /// That of the agent of our own.
    Own,
}

/// What is served, and who is told what happens here.
pub trait Source: Send + Sync + 'static {
    /// What front ends read.
    type View: View + Send + Sync + 'static;

    /// The view of this moment.
    fn view(&self, clock: ByClock) -> Arc<Self::View>;

    /// The body of `/metrics`.
    fn metrics(&self, exposition: Exposition) -> String;

    /// When collecting last came to an end, well or not.
    fn collected_at(&self) -> Instant;

    /// A probe was run.
    fn probed(&self, run: Run);

    /// The configuration changed: what [`changeable`] lets through.
    fn configure(&self, config: &Config);

    /// One line for `systemctl status`.
    fn summary(&self) -> String;
}

/// What the daemon is given beside its configuration.
pub struct Parts<S, R> {
    /// What is served.
    pub source: Arc<S>,
    /// What [`Responder`] answers SNMP; needed where it is enabled.
    pub responder: Option<R>,
    /// What sends notifications where there is no master, and tells its
    /// counters.
    pub notifier: Option<(Notifier, Arc<own::Status>)>,
    /// What is to be told.
    pub notifications: mpsc::Receiver<Notification>,
    /// How the session with the master stands.
    pub status: Arc<Status>,
    /// Where events are told.
    pub log: Arc<Log>,
}

/// Runs until a signal ends it. `parts` may start threads of its own.
///
/// # Errors
/// One line: what could not even begin.
pub fn run<S: Source, R: Responder>(
    arguments: Arguments,
    config: Config,
    parts: impl FnOnce(&Config) -> Result<Parts<S, R>, String>,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| format!("the event loop did not start: {error}"))?;
    let ended = runtime.block_on(async {
        // Before there is any other thread, which would get the signals.
        let signals = Signals::new().map_err(|error| format!("cannot handle signals: {error}"))?;
        let parts = parts(&config)?;
        Daemon::start(arguments, config, parts).await?.serve(signals).await;
        Ok(())
    });
    // Dropping it would wait for a page that is being made.
    runtime.shutdown_background();
    ended
}

struct Daemon<S> {
    arguments: Arc<Arguments>,
    config: Config,
    source: Arc<S>,
    status: Arc<Status>,
    log: Arc<Log>,
    stop: watch::Sender<bool>,
    agentx: Option<JoinHandle<()>>,
    responders: Vec<JoinHandle<()>>,
    metrics: Option<JoinHandle<()>>,
    probing: Arc<Probing>,
    scheduler: Scheduler,
}

impl<S: Source> Daemon<S> {
    async fn start<R: Responder>(
        arguments: Arguments,
        config: Config,
        parts: Parts<S, R>,
    ) -> Result<Self, String> {
        let Parts { source, responder, notifier, notifications, status, log } = parts;
        let seed = u64::from_ne_bytes(entropy::random()?);
        let responders = match (config.responder.enabled, responder) {
            (false, _) => Vec::new(),
            (true, Some(responder)) => respond(&config, responder, &source, &log).await?,
            (true, None) => return Err("there is no responder in this program".into()),
        };
        let probing = Arc::new(Probing::new(&config));
        let pages = OwnPages::new(&source, &status, &probing, &config);
        let metrics = match config.metrics.listen {
            Some(address) => Some(publish(address, pages, &log).await?),
            None => None,
        };
        let sink = source.clone();
        let sink = move |run| sink.probed(run);
        let scheduler = Scheduler::start(config.probes.clone(), seed as u32, sink, log.clone())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let (stop, stopped) = watch::channel(false);
        let mut notifications = Some(notifications);
        let agentx = notifications.take_if(|_| config.agentx.enabled).map(|notifications| {
            let session = Session::new(session_config(&config, &arguments), seed, Instant::now());
            let (address, source) = (config.agentx.socket.clone(), source.clone());
            let (status, log, stopped) = (status.clone(), log.clone(), stopped.clone());
            tokio::spawn(async move {
                let view = || source.view(ByClock::Master);
                agentx_io::run(&address, session, view, notifications, stopped, &status, &log)
                    .await;
            })
        });
        if let (Some(notifications), Some((notifier, counted))) = (notifications, notifier) {
            tokio::spawn(own::notify(notifier, counted, notifications, stopped, log.clone()));
        }
        if agentx.is_none() && responders.is_empty() && metrics.is_none() {
            log.say(Level::Warning, TOPIC, "nothing is served: all of it is switched off");
        }
        Ok(Self {
            arguments: Arc::new(arguments),
            config,
            source,
            status,
            log,
            stop,
            agentx,
            responders,
            metrics,
            probing,
            scheduler,
        })
    }

    async fn serve(mut self, mut signals: Signals) {
        self.tell(&[NotifyState::Ready]);
        // Twice in the time that systemd gives, and for the status now and then.
        let period = sd_notify::watchdog_enabled().map_or(Duration::from_secs(10), |time| time / 2);
        let mut ticks = interval(period.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::SIGHUP => self.reload().await,
                    signal => {
                        self.log.say(Level::Notice, TOPIC, &format!("{signal}: ending"));
                        break;
                    }
                },
                _ = ticks.tick() => self.tick(),
            }
        }
        self.tell(&[NotifyState::Stopping]);
        self.end().await;
    }

    fn tick(&self) {
        let summary = self.source.summary();
        let mut said = vec![NotifyState::Status(&summary)];
        match health(&*self.source, &self.status, &self.config) {
            Ok(()) => said.push(NotifyState::Watchdog),
            Err(text) => self.log.say(Level::Error, TOPIC, &text),
        }
        self.tell(&said);
    }

    fn tell(&self, said: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(said) {
            self.log.say(Level::Warning, "systemd", &format!("cannot be told: {error}"));
        }
    }

    async fn reload(&mut self) {
        let reloading = NotifyState::monotonic_usec_now();
        if let Ok(since) = reloading {
            self.tell(&[NotifyState::Reloading, since]);
        }
        // Secrets may lie where reading takes its time.
        let arguments = self.arguments.clone();
        let loaded = tokio::task::spawn_blocking(move || arguments.load()).await;
        match loaded {
            Ok(Ok(new)) => self.change(new).await,
            Ok(Err(faults)) => {
                self.log.forget("reload");
                for fault in faults {
                    self.log.say(Level::Error, "reload", &fault);
                }
                self.log.say(Level::Error, TOPIC, "the old configuration stays");
            }
            Err(_) => {
                self.log.say(Level::Error, TOPIC, "internal error while reading (please report)")
            }
        }
        self.tell(&[NotifyState::Ready]);
    }

    async fn change(&mut self, new: Config) {
        let (new, kept) = changeable(&self.config, new);
        for name in &kept {
            let text = format!("{name} changed; that needs a restart");
            self.log.say(Level::Warning, &format!("reload {name}"), &text);
        }
        self.probing.configure(&new);
        if new.metrics != self.config.metrics {
            self.move_metrics(&new).await;
        }
        if new.probes != self.config.probes {
            self.scheduler.configure(new.probes.clone());
        }
        self.source.configure(&new);
        self.config = new;
        self.log.forget(TOPIC);
        self.log.say(Level::Notice, TOPIC, "the configuration was read again");
    }

    /// The old address is given up first: the new one may be the same.
    async fn move_metrics(&mut self, new: &Config) {
        if let Some(task) = self.metrics.take() {
            task.abort();
            let _ = task.await;
        }
        let Some(address) = new.metrics.listen else { return };
        let pages = OwnPages::new(&self.source, &self.status, &self.probing, new);
        match publish(address, pages, &self.log).await {
            Ok(task) => self.metrics = Some(task),
            Err(text) => self.log.say(Level::Error, TOPIC, &text),
        }
    }

    async fn end(self) {
        // The probes' good-byes and the master's last answer at one time.
        let scheduler = self.scheduler;
        let probes = tokio::task::spawn_blocking(move || scheduler.stop());
        let _ = self.stop.send(true);
        for task in self.responders.iter().chain(&self.metrics) {
            task.abort();
        }
        self.probing.end().await;
        if let Some(agentx) = self.agentx {
            let _ = agentx.await;
        }
        let _ = probes.await;
    }
}

/// The new configuration as far as it can be taken without a restart, and the
/// names of what cannot.
pub fn changeable(old: &Config, new: Config) -> (Config, Vec<&'static str>) {
    let differs = [
        ("oid_base", old.oid_base != new.oid_base),
        ("[agentx]", old.agentx != new.agentx),
        ("[responder]", old.responder != new.responder),
        ("[collect]", old.collect != new.collect),
        ("[[log]]", old.logs != new.logs),
        ("[audit]", old.audit != new.audit),
        ("[history]", old.history != new.history),
        ("[users]", old.users != new.users),
        ("[subnets]", old.subnets != new.subnets),
    ];
    let taken = Config {
        notifications: new.notifications,
        metrics: new.metrics,
        probes: new.probes,
        modules: new.modules,
        ..old.clone()
    };
    (taken, differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect())
}

/// Whether collecting and the session with the master go on.
fn health(source: &impl Source, status: &Status, config: &Config) -> Result<(), String> {
    let now = Instant::now();
    let longest = config.collect.interval * PATIENCE + LONGEST_TURN * PATIENCE;
    let late = |since: Instant| now.saturating_duration_since(since);
    if late(source.collected_at()) > longest {
        return Err("collecting stands still".into());
    }
    let turned = status.turned_at().map(late);
    match turned {
        Some(late) if config.agentx.enabled && late > LONGEST_TURN * PATIENCE => {
            Err("the session with the master stands still".into())
        }
        _ => Ok(()),
    }
}

fn session_config(config: &Config, arguments: &Arguments) -> session::Config {
    let agentx = &config.agentx;
    let root = config.oid_base.clone();
    let mut description = "PPTP sessions, by pptp-monitor".to_owned();
    if let Some(rows) = arguments.synthetic_rows {
        description = format!("{description}: {rows} SYNTHETIC ROWS, NO REAL SESSIONS");
    }
    session::Config {
        regions: vec![Region { priority: agentx.priority, subtree: root.clone(), range: None }],
        context: Some(agentx.context.clone().into_bytes()).filter(|context| !context.is_empty()),
        // At most 255, which is what is permitted.
        timeout: u8::try_from(agentx.timeout.as_secs()).unwrap_or(u8::MAX),
        patience: agentx.patience,
        ping_interval: agentx.ping_interval,
        max_notifications: agentx.queue as usize,
        capabilities: Some(own::capability(&root)),
        ..session::Config::new(root, &description)
    }
}

async fn respond<S: Source>(
    config: &Config,
    responder: impl Responder,
    source: &Arc<S>,
    log: &Arc<Log>,
) -> Result<Vec<JoinHandle<()>>, String> {
    let responder = Arc::new(Mutex::new(responder));
    let mut tasks = Vec::new();
    for &address in &config.responder.listen {
        let socket = UdpSocket::bind(address).await;
        let socket = socket.map_err(|error| no_socket("udp", address, &error))?;
        let address = socket.local_addr().unwrap_or(address);
        log.say(Level::Notice, "responder", &format!("try: {}", snmpwalk(config, address)));
        let source = source.clone();
        let view = move || source.view(ByClock::Own);
        tasks.push(tokio::spawn(udp::run(socket, responder.clone(), view, log.clone())));
    }
    Ok(tasks)
}

async fn publish<S: Source>(
    address: SocketAddr,
    pages: OwnPages<S>,
    log: &Arc<Log>,
) -> Result<JoinHandle<()>, String> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| no_socket("tcp", address, &error))?;
    let address = listener.local_addr().unwrap_or(address);
    log.say(Level::Notice, "metrics", &format!("on http://{address}/metrics"));
    let log = log.clone();
    Ok(tokio::spawn(async move { http::serve(listener, Arc::new(pages), &log).await }))
}

fn no_socket(transport: &str, address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {transport} {address}: {error}")
}

/// The runs of `/probe`.
struct Probing {
    /// What may be asked for, and how many runs at one time.
    offer: Mutex<(Arc<Modules>, usize)>,
    under_way: watch::Sender<usize>,
}

impl Probing {
    fn new(config: &Config) -> Self {
        Self { offer: Mutex::new(Self::offer(config)), under_way: watch::Sender::new(0) }
    }

    fn offer(config: &Config) -> (Arc<Modules>, usize) {
        (Arc::new(Modules::of(config)), config.metrics.max_probes.into())
    }

    fn configure(&self, config: &Config) {
        *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = Self::offer(config);
    }

    fn run(self: &Arc<Self>, asked: &Asked<'_>) -> Result<http::Run, Refusal> {
        let (modules, most) = self.offer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = modules.find(&asked.module, &asked.target).map_err(Refusal::Wrong)?;
        let is_room = self.under_way.send_if_modified(|runs| {
            let is_room = *runs < most;
            *runs += usize::from(is_room);
            is_room
        });
        if !is_room {
            let text = format!("{most} runs are under way, which is [metrics] max_probes");
            return Err(Refusal::Busy(text));
        }
        let place = Place(self.clone());
        let (patience, is_debug) = (asked.patience, asked.is_debug);
        Ok(Box::new(move |interrupt| {
            let _place = place;
            found.run(patience, is_debug, interrupt)
        }))
    }

    /// Waits for the good-byes of runs that nobody waits for any longer.
    async fn end(&self) {
        let mut under_way = self.under_way.subscribe();
        let _ = timeout(FAREWELL, under_way.wait_for(|runs| *runs == 0)).await;
    }
}

/// One of the runs.
struct Place(Arc<Probing>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|runs| *runs -= 1);
    }
}

struct OwnPages<S> {
    source: Arc<S>,
    status: Arc<Status>,
    probing: Arc<Probing>,
    config: Config,
}

impl<S: Source> OwnPages<S> {
    fn new(source: &Arc<S>, status: &Arc<Status>, probing: &Arc<Probing>, config: &Config) -> Self {
        let (source, status, probing) = (source.clone(), status.clone(), probing.clone());
        Self { source, status, probing, config: config.clone() }
    }
}

impl<S: Source> Pages for OwnPages<S> {
    fn metrics(&self, exposition: Exposition) -> String {
        self.source.metrics(exposition)
    }

    fn health(&self) -> Result<(), String> {
        health(&*self.source, &self.status, &self.config)
    }

    fn most_runs(&self) -> usize {
        self.config.metrics.max_probes.into()
    }

    fn probe(&self, asked: &Asked<'_>) -> Result<http::Run, Refusal> {
        self.probing.run(asked)
    }
}

#[cfg(test)]
mod tests;
