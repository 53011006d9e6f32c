//! Runs the targets side by side, so many at a time.
//!
//! It owns the sockets, the room for sessions and the one signal for all.
//! Raw sockets are opened before the rights are dropped and go from one target
//! to the next, emptied in between. When a signal comes or the time of all is
//! up, every session says good-bye at once, and what is left is reported as
//! interrupted.

use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pptp_probe::net::gre::RawGre;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::tap::Tap;
use pptp_probe::output::{Identity, Report, render};
use pptp_probe::plugin::{self, Context, Ending};
use pptp_probe::reason::{Phase, Reason};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::LocalSet;

use super::plan::{Plan, Setting, Target, mistaken};
use super::tell::{Settings, Teller, Voice};
use super::{FleetArgs, addresses, threads};
use crate::run::Run;
use crate::session;

/// Sessions at a time, unless the operator says otherwise.
const CONCURRENCY: usize = 256;
/// Descriptors of the process itself, and of resolvers at work.
const OWN_DESCRIPTORS: u64 = 64;
/// Descriptors of one session without raw sockets: its connection, and one to
/// spare. A raw socket has two: ours, and that of the session.
const DESCRIPTORS: u64 = 2;
/// From the signal to the moment at which nobody is waited for.
pub(super) const FAREWELL: Duration = Duration::from_millis(80);

/// Runs the plan and says what came of it.
pub(super) fn run<C: Run>(plan: Plan<C>, options: &FleetArgs, started: Instant) -> Ending {
    let base = plan.base.clone();
    let common = base.args.common();
    // About one target, or about the run as a whole.
    let label = match (plan.is_list, plan.targets.first()) {
        (false, Some(target)) => target.label.clone(),
        _ => String::new(),
    };
    let (format, verbosity) = (common.output(), common.verbose.min(3));
    let whole = |report: &Report| {
        let identity = Identity { name: C::NAME, program: C::PROGRAM, target: &label };
        let (text, code) = render(report, &identity, format, verbosity);
        Ending { text, code }
    };
    let (room, remark) = room(&plan, options);
    let prepared = sockets(&plan, room).and_then(|idle| {
        let capture = session::capture(common)?;
        session::give_up_rights()?;
        Ok((idle, capture))
    });
    let (idle, capture) = match prepared {
        Ok(prepared) => prepared,
        Err(report) => return whole(&report),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let local = |what: &str, error: &io::Error| {
        Report::failed(Phase::Resolve, Reason::Local, format!("{what}: {error}"))
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return whole(&local("the event loop did not start", &error)),
    };
    let (tell_stop, told) = watch::channel(());
    let equipment = Equipment {
        room: Arc::new(Semaphore::new(room)),
        idle: Arc::new(Mutex::new(idle)),
        told,
        at_least: options.at_least,
        all_addresses: options.all_addresses,
        started,
    };
    let is_written_down = verbosity >= 2 || capture.is_some();
    let tap = Rc::new(Tap::new(started, verbosity, capture));
    let crew = Crew { equipment, tap, is_written_down };
    let local_set = LocalSet::new();
    let ended = local_set.block_on(&runtime, async {
        let interrupt = match Interrupt::new() {
            Ok(interrupt) => interrupt,
            Err(error) => return whole(&local("cannot handle signals", &error)),
        };
        if let (false, [target]) = (plan.is_list, plan.targets.as_slice()) {
            let report = one(target, &crew, interrupt, tell_stop).await;
            let lines = crew.into_lines().into_iter();
            return whole(&lines.fold(report, |report, (level, line)| report.detail(level, line)));
        }
        let settings = Settings {
            voice: Voice { name: C::NAME, program: C::PROGRAM, format, verbosity },
            max_series: options.max_series,
            remark,
            started,
        };
        let teller = Teller::new(settings, plan.targets.len());
        let until = options.total_timeout.map(|whole| started + whole);
        threads::all(plan.targets, crew, room, teller, until, interrupt, tell_stop).await
    });
    // Dropping them would wait for a resolver that hangs, and take apart what
    // the end of the process frees at once.
    std::mem::forget(local_set);
    runtime.shutdown_background();
    ended
}

/// How many sessions there can be at a time, and what the operator should know
/// where that is fewer than wanted.
fn room<C: Run>(plan: &Plan<C>, options: &FleetArgs) -> (usize, Option<String>) {
    let raw = plan.raw_sockets();
    let mut wanted = options.concurrency.map_or(CONCURRENCY, usize::from);
    if !options.all_addresses {
        wanted = wanted.min(plan.targets.len().saturating_mul(raw.max(1)));
    }
    let wanted = wanted.max(raw).max(1);
    let each = if raw > 0 { 2 * DESCRIPTORS } else { DESCRIPTORS };
    let limit = descriptors(OWN_DESCRIPTORS + each * wanted as u64);
    let room = limit.saturating_sub(OWN_DESCRIPTORS) / each;
    let room = usize::try_from(room).unwrap_or(usize::MAX).max(raw).max(1);
    let remark = (room < wanted).then(|| {
        format!("{room} sessions at a time, not {wanted}: file descriptors are short (ulimit -Hn)")
    });
    (room.min(wanted), remark)
}

/// The raw sockets of all.
fn sockets<C: Run>(plan: &Plan<C>, room: usize) -> Result<Vec<RawGre>, Report> {
    if plan.raw_sockets() == 0 {
        return Ok(Vec::new());
    }
    (0..room).map(|_| session::raw_socket()).collect()
}

/// Raises the limit as far as needed and possible; gives what it is then.
fn descriptors(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let have = current.unwrap_or(u64::MAX);
    if have >= needed {
        return have;
    }
    let most = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = Rlimit { current: Some(most), maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() { most } else { have }
}

async fn one<C: Run>(
    target: &Target<C>,
    crew: &Crew,
    mut interrupt: Interrupt,
    tell_stop: watch::Sender<()>,
) -> Report {
    let mut run = std::pin::pin!(probe(target, crew, 0));
    tokio::select! {
        report = &mut run => report,
        () = interrupt.wait() => {
            drop(tell_stop);
            let waited = tokio::time::timeout(FAREWELL, run).await;
            waited.unwrap_or_else(|_| not_tried("interrupted"))
        }
    }
}

/// The result of a target for which there was no time.
pub(super) fn not_tried(why: &str) -> Report {
    let text = format!("not tried to the end: {why}");
    Report::failed(Phase::Resolve, Reason::Interrupted, text)
}

/// One run against one target.
pub(super) async fn probe<C: Run>(target: &Target<C>, crew: &Crew, number: usize) -> Report {
    let aim = match &target.aim {
        Ok(aim) => aim,
        Err(what) => return mistaken(what.clone()),
    };
    let args = aim.args();
    if crew.equipment.all_addresses {
        addresses::probe(aim, crew, number).await
    } else {
        crew.probe(&args, &aim.setting, number).await
    }
}

/// What the sessions of all threads share.
#[derive(Clone)]
pub(super) struct Equipment {
    /// One permit for each session, or raw socket where a target has several.
    room: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<RawGre>>>,
    told: watch::Receiver<()>,
    at_least: Option<NonZeroUsize>,
    all_addresses: bool,
    started: Instant,
}

/// What the sessions of one thread share.
#[derive(Clone)]
pub(super) struct Crew {
    equipment: Equipment,
    tap: Rc<Tap>,
    is_written_down: bool,
}

impl Crew {
    /// A crew whose exchange is written down nowhere.
    pub(super) fn silent(equipment: Equipment) -> Self {
        let tap = Rc::new(Tap::new(equipment.started, 0, None));
        Self { equipment, tap, is_written_down: false }
    }

    pub(super) fn equipment(&self) -> &Equipment {
        &self.equipment
    }

    /// Whether somebody wants to see the exchange, in its order.
    pub(super) fn is_written_down(&self) -> bool {
        self.is_written_down
    }

    /// One run against one host; its clock begins when there is room for it.
    pub(super) async fn probe<C: Run>(
        &self,
        args: &C,
        setting: &Setting<C>,
        number: usize,
    ) -> Report {
        let secrets = match &setting.secrets {
            Ok(secrets) => secrets.clone(),
            Err(report) => return report.clone(),
        };
        let needed = args.raw_sockets();
        let lease = tokio::select! {
            lease = self.lease(needed) => lease,
            () = self.stopped() => return not_tried("interrupted"),
        };
        let mut sockets = lease.taken.iter();
        let socket = args.sockets(|| match sockets.next().map(RawGre::again) {
            Some(Ok(raw)) => Ok(raw),
            Some(Err(error)) => Err(broken(&error)),
            None => Err(broken(&io::ErrorKind::NotFound.into())),
        });
        let socket = match socket {
            Ok(socket) => socket,
            Err(report) => return report,
        };
        let context = Context::new(args.common(), Instant::now(), setting.thresholds.clone());
        let interrupt = Ok(Interrupt::when_told(self.equipment.told.clone()));
        let mut tap = self.tap.beside(number);
        // On the heap, for it is large and would be moved several times.
        let run = Box::pin(args.run(secrets, socket, interrupt, &mut tap, &context));
        match plugin::within(&context, run).await {
            Ok((_, report)) | Err(report) => report,
        }
    }

    /// Waits until all are to stop.
    pub(super) async fn stopped(&self) {
        // An error means that the sender is gone.
        let _ = self.equipment.told.clone().changed().await;
    }

    pub(super) fn at_least(&self) -> Option<NonZeroUsize> {
        self.equipment.at_least
    }

    pub(super) fn into_lines(self) -> Vec<(u8, String)> {
        self.tap.beside(0).into_lines()
    }

    async fn lease(&self, sockets: usize) -> Lease {
        let permits = u32::try_from(sockets.max(1)).unwrap_or(u32::MAX);
        let permit = self.equipment.room.clone().acquire_many_owned(permits).await.ok();
        let mut idle = unpoisoned(&self.equipment.idle);
        let rest = idle.len().saturating_sub(sockets);
        let taken = idle.split_off(rest);
        Lease { taken, idle: self.equipment.idle.clone(), _permit: permit }
    }
}

/// What another thread left half done is whole enough here.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken(error: &io::Error) -> Report {
    let text = format!("cannot use a raw socket again: {error}");
    Report::failed(Phase::Gre, Reason::Local, text)
}

/// Room for one run, and the sockets that it may use.
struct Lease {
    taken: Vec<RawGre>,
    idle: Arc<Mutex<Vec<RawGre>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // From here on the kernel keeps nothing for it.
        for raw in &self.taken {
            let _ = raw.again();
        }
        unpoisoned(&self.idle).append(&mut self.taken);
    }
}
