//! When the probes run: [`Plan`] decides, [`Scheduler`] runs them.
//!
//! Each run has a thread with a runtime of its own: a resolver that hangs or a
//! burst of GRE delays nothing else. A probe never runs twice at a time; when a
//! run is not over at its next turn, that turn is left out. First turns are
//! spread over the interval, so that many probes do not begin at once, nor many
//! hosts that were started together.

use std::collections::BTreeMap;
use std::io::{PipeWriter, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use pptp_probe::output::State;
use pptp_probe::reason::{Phase, Reason};

use crate::log::{Level, Log};
use crate::probe::{Probe, Run};

/// Runs at one time.
const MOST_AT_ONCE: usize = 8;
/// How long runs may take to say good-bye when all must end.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// Longest wait of a plan without a turn.
const LONG: Duration = Duration::from_secs(3600);

/// The turns of probes, by identifiers that the owner gives.
#[derive(Debug, Default)]
pub struct Plan {
    turns: BTreeMap<u64, Turn>,
    running: usize,
}

#[derive(Debug)]
struct Turn {
    interval: Duration,
    next: Instant,
    is_running: bool,
}

impl Plan {
    /// Takes a probe in; its first turn is after `share` of its interval, 0 to
    /// 1.
    pub fn add(&mut self, id: u64, interval: Duration, share: f64, now: Instant) {
        let next = now + interval.mul_f64(share.clamp(0.0, 1.0));
        self.turns.insert(id, Turn { interval, next, is_running: false });
    }

    /// Forgets a probe. A run that is under way counts no longer.
    pub fn remove(&mut self, id: u64) {
        if self.turns.remove(&id).is_some_and(|turn| turn.is_running) {
            self.running -= 1;
        }
    }

    /// The probe whose turn it is, the one that waits longest first. It runs
    /// until [`Plan::finished`].
    pub fn poll(&mut self, now: Instant) -> Option<u64> {
        if self.running >= MOST_AT_ONCE {
            return None;
        }
        let due = |turn: &Turn| !turn.is_running && turn.next <= now;
        let (id, turn) = self
            .turns
            .iter_mut()
            .filter(|(_, turn)| due(turn))
            .min_by_key(|(_, turn)| turn.next)?;
        turn.is_running = true;
        turn.next += turn.interval;
        self.running += 1;
        Some(*id)
    }

    /// A run is over; turns that went by meanwhile are left out.
    pub fn finished(&mut self, id: u64, now: Instant) {
        let Some(turn) = self.turns.get_mut(&id).filter(|turn| turn.is_running) else { return };
        turn.is_running = false;
        self.running -= 1;
        let late = now.saturating_duration_since(turn.next).as_nanos();
        let missed = late.div_ceil(turn.interval.as_nanos().max(1));
        turn.next += turn.interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
    }

    /// When [`Plan::poll`] has something next, while no run ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.turns.values().filter(|turn| !turn.is_running);
        waiting.map(|turn| turn.next).min().filter(|_| self.running < MOST_AT_ONCE)
    }
}

enum Order {
    Configure(Vec<Probe>),
    Finished(u64, Option<Run>),
    Stop,
}

/// Runs probes until it is stopped.
pub struct Scheduler {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Scheduler {
    /// Begins with `probes`. `seed` spreads the first turns; each run goes to
    /// `sink`, on a thread of the scheduler.
    ///
    /// # Errors
    /// The system's, when there is no thread to be had.
    pub fn start(
        probes: Vec<Probe>,
        seed: u32,
        sink: impl Fn(Run) + Send + 'static,
        log: Arc<Log>,
    ) -> std::io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let share = f64::from(seed) / f64::from(u32::MAX);
        let mut runner = Runner {
            orders: orders.clone(),
            plan: Plan::default(),
            probes: Vec::new(),
            next_id: 0,
            share,
            sink,
            log,
        };
        runner.configure(probes, Instant::now());
        let thread = Builder::new().name("probes".into()).spawn(move || runner.run(&ordered))?;
        Ok(Self { orders, thread })
    }

    /// Takes other probes. Those that stay as they were keep their turns; a run
    /// of one that goes is ended, and nobody hears of it.
    pub fn configure(&self, probes: Vec<Probe>) {
        // Gone only when it is being stopped.
        let _ = self.orders.send(Order::Configure(probes));
    }

    /// Ends all runs and waits for their good-byes, two seconds at most.
    pub fn stop(self) {
        let _ = self.orders.send(Order::Stop);
        let _ = self.thread.join();
    }
}

/// A probe that is configured.
struct Slot {
    id: u64,
    probe: Arc<Probe>,
    /// Dropping it ends the run.
    running: Option<PipeWriter>,
    last: Option<(State, Option<(Phase, Reason)>)>,
}

struct Runner<S> {
    orders: Sender<Order>,
    plan: Plan,
    /// In the order of the configuration.
    probes: Vec<Slot>,
    next_id: u64,
    /// Of an interval: where the first turn of the first probe lies.
    share: f64,
    sink: S,
    log: Arc<Log>,
}

impl<S: Fn(Run)> Runner<S> {
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            while let Some(id) = self.plan.poll(Instant::now()) {
                self.begin(id);
            }
            let due = self.plan.poll_timeout();
            let left = due.map_or(LONG, |due| due.saturating_duration_since(Instant::now()));
            match orders.recv_timeout(left) {
                Ok(Order::Configure(probes)) => self.configure(probes, Instant::now()),
                Ok(Order::Finished(id, run)) => self.finish(id, run),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let until = Instant::now() + FAREWELL;
        let mut running = 0;
        for slot in &mut self.probes {
            running += usize::from(slot.running.take().is_some());
        }
        while running > 0 {
            let left = until.saturating_duration_since(Instant::now());
            match orders.recv_timeout(left) {
                Ok(Order::Finished(..)) => running -= 1,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    fn configure(&mut self, probes: Vec<Probe>, now: Instant) {
        let mut before = std::mem::take(&mut self.probes);
        let count = probes.len();
        for (place, probe) in probes.into_iter().enumerate() {
            let kept = before.iter().position(|slot| *slot.probe == probe);
            let slot = match kept {
                Some(kept) => before.swap_remove(kept),
                None => {
                    self.next_id += 1;
                    let share = (place as f64 + self.share) / count as f64;
                    self.plan.add(self.next_id, probe.interval, share, now);
                    let probe = Arc::new(probe);
                    Slot { id: self.next_id, probe, running: None, last: None }
                }
            };
            self.probes.push(slot);
        }
        for gone in before {
            self.plan.remove(gone.id);
        }
    }

    fn begin(&mut self, id: u64) {
        let Some(slot) = self.probes.iter_mut().find(|slot| slot.id == id) else { return };
        let begun = pipe().and_then(|(interrupt, running)| {
            let (probe, orders) = (slot.probe.clone(), self.orders.clone());
            let work = move || {
                let run = || probe.run(interrupt.into());
                let run = catch_unwind(AssertUnwindSafe(run)).ok();
                let _ = orders.send(Order::Finished(id, run));
            };
            Builder::new().name("probe".into()).spawn(work)?;
            Ok(running)
        });
        match begun {
            Ok(running) => slot.running = Some(running),
            Err(error) => {
                let text = format!("cannot run: {error}");
                self.log.say(Level::Error, &topic(&slot.probe), &text);
                self.plan.finished(id, Instant::now());
            }
        }
    }

    fn finish(&mut self, id: u64, run: Option<Run>) {
        self.plan.finished(id, Instant::now());
        // The configuration may have taken the probe away.
        let Some(slot) = self.probes.iter_mut().find(|slot| slot.id == id) else { return };
        slot.running = None;
        let Some(run) = run else {
            self.log.say(Level::Error, &topic(&slot.probe), "internal error (please report)");
            return;
        };
        let verdict = Some((run.state, run.failure));
        if slot.last != verdict {
            let level = if run.state == State::Ok { Level::Notice } else { Level::Warning };
            self.log.say(level, &topic(&slot.probe), &run.text);
            slot.last = verdict;
        }
        (self.sink)(run);
    }
}

fn topic(probe: &Probe) -> String {
    format!("probe {}", probe.name)
}

#[cfg(test)]
mod tests;
