//! The targets of a list, spread over a few threads.
//!
//! Each thread has a runtime of its own and places for sessions, and a place
//! takes the next target of the list as soon as it is free: nobody waits for a
//! thread that is busy, and no session changes its thread. The first thread is
//! that of the process; it also hears signals, keeps the time of all and has
//! the last word. It stays alone where there is little to do, and where the
//! exchange is written down in its order.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::output::Report;
use pptp_probe::plugin::Ending;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::crew::{Crew, Equipment, FAREWELL, not_tried, probe};
use super::plan::Target;
use super::tell::{Teller, Voice};
use crate::run::Run;

/// Most threads: the kernel does the larger part of the work, and the host has
/// more to do than this check.
const MOST_THREADS: usize = 4;
/// Targets from which on a thread is worth its start.
const TARGETS_OF_THREAD: usize = 64;
/// Places of a thread to begin with. Gateways that are near are done before
/// more would gain anything, and what a few sessions need stays in the cache.
const FIRST: usize = 16;
/// In such a time a quarter of the places has to end a session, or their
/// number doubles.
const PACE: Duration = Duration::from_millis(5);
/// How often the progress is shown and a slow reader asked for.
const TICK: Duration = Duration::from_millis(200);

/// What the threads share.
struct Shared<C: Run> {
    targets: Vec<Target<C>>,
    voice: Voice,
    progress: Mutex<Progress>,
}

struct Progress {
    /// The target that is begun next.
    next: usize,
    /// Without a result, by its place in the list.
    left: Vec<bool>,
    /// None once the last word is said.
    teller: Option<Teller>,
}

/// What a place does next.
enum Step {
    Probe(usize),
    /// The reader of the results does not keep up.
    Wait,
    End,
}

impl<C: Run> Shared<C> {
    /// What another thread left half done is whole enough here.
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> Step {
        let mut progress = self.lock();
        let next = progress.next;
        match &progress.teller {
            Some(teller) if next < self.targets.len() && teller.has_room() => {
                progress.next += 1;
                Step::Probe(next)
            }
            Some(_) if next < self.targets.len() => Step::Wait,
            _ => Step::End,
        }
    }

    fn has_more(&self) -> bool {
        self.lock().next < self.targets.len()
    }

    /// Nothing more is begun.
    fn stop(&self) {
        self.lock().next = self.targets.len();
    }

    fn tell(&self, index: usize, report: Report) {
        let told = self.voice.word(&self.targets[index], report);
        let Progress { left, teller, .. } = &mut *self.lock();
        if let Some(teller) = teller {
            left[index] = false;
            teller.tell(index, &self.targets[index], told);
        }
    }
}

/// Probes all of them, until `until` at the latest, with `room` sessions at a
/// time.
pub(super) async fn all<C: Run>(
    targets: Vec<Target<C>>,
    crew: Crew,
    room: usize,
    teller: Teller,
    until: Option<Instant>,
    mut interrupt: Interrupt,
    tell_stop: watch::Sender<()>,
) -> Ending {
    let is_alone = crew.is_written_down();
    let threads = if is_alone { 1 } else { threads(targets.len(), room, processors()) };
    let places = room.div_ceil(threads);
    let voice = teller.voice();
    let progress = Progress { next: 0, left: vec![true; targets.len()], teller: Some(teller) };
    let shared = Arc::new(Shared { targets, voice, progress: Mutex::new(progress) });
    let (busy, mut ended) = mpsc::channel(1);
    for _ in 1..threads {
        let (shared, equipment, busy) = (shared.clone(), crew.equipment().clone(), busy.clone());
        // Where there is no thread to be had, the first does it alone.
        let _ = thread::Builder::new().spawn(move || apart(&shared, equipment, places, busy));
    }
    drop(busy);
    let own = spawn_local(work(shared.clone(), crew.clone(), places));
    let mut everything = std::pin::pin!(async {
        let _ = own.await;
        while ended.recv().await.is_some() {}
    });
    // The farewell needs its time.
    let until = until.map(|until| until.checked_sub(FAREWELL).unwrap_or(until));
    let time_is_up = async {
        match until {
            Some(until) => sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    };
    let mut time_is_up = std::pin::pin!(time_is_up);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let why: Option<&str> = loop {
        tokio::select! {
            () = &mut everything => break None,
            () = interrupt.wait() => break Some("interrupted"),
            () = &mut time_is_up => break Some("the time of all targets was up"),
            _ = ticks.tick() => {
                if let Some(teller) = &shared.lock().teller {
                    teller.show_progress();
                    if teller.is_broken() {
                        break Some("nobody reads the results");
                    }
                }
            }
        }
    };
    shared.stop();
    drop(tell_stop);
    if why.is_some() {
        let _ = timeout(FAREWELL, everything).await;
    }
    let (teller, left) = {
        let mut progress = shared.lock();
        (progress.teller.take(), std::mem::take(&mut progress.left))
    };
    let Some(mut teller) = teller else { return Ending { text: String::new(), code: 3 } };
    for (index, target) in shared.targets.iter().enumerate().filter(|(index, _)| left[*index]) {
        let report = not_tried(why.unwrap_or("the run was lost"));
        teller.tell(index, target, voice.word(target, report));
    }
    teller.finish(crew.into_lines(), why.is_some())
}

fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize)
}

/// How many threads so many targets are worth, with `room` sessions at a time.
fn threads(targets: usize, room: usize, processors: usize) -> usize {
    processors.min(MOST_THREADS).min(targets / TARGETS_OF_THREAD).min(room / FIRST).max(1)
}

/// A thread beside the first; `busy` is dropped when it has nothing left to do.
fn apart<C: Run>(
    shared: &Arc<Shared<C>>,
    equipment: Equipment,
    places: usize,
    busy: mpsc::Sender<Infallible>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else { return };
    let crew = Crew::silent(equipment);
    let local_set = LocalSet::new();
    local_set.block_on(&runtime, async {
        let _ = spawn_local(work(shared.clone(), crew, places)).await;
    });
    drop(busy);
    // As in the first thread.
    std::mem::forget(local_set);
    runtime.shutdown_background();
}

/// The work of one thread, with so many places at most.
async fn work<C: Run>(shared: Arc<Shared<C>>, crew: Crew, most: usize) {
    let ended_in_pace = Rc::new(Cell::new(0));
    let mut places = JoinSet::new();
    let mut wanted = most.min(FIRST);
    let mut paces = interval(PACE);
    paces.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        while places.len() < wanted && shared.has_more() {
            places.spawn_local(place(shared.clone(), crew.clone(), ended_in_pace.clone()));
        }
        tokio::select! {
            ended = places.join_next() => {
                if ended.is_none() {
                    return;
                }
            }
            _ = paces.tick(), if wanted < most => {
                if ended_in_pace.take() < wanted / 4 {
                    wanted = most.min(wanted * 2);
                }
            }
        }
    }
}

/// One session after the other.
async fn place<C: Run>(shared: Arc<Shared<C>>, crew: Crew, ended: Rc<Cell<usize>>) {
    loop {
        match shared.step() {
            Step::Probe(index) => {
                let report = probe(&shared.targets[index], &crew, index + 1).await;
                ended.set(ended.get() + 1);
                shared.tell(index, report);
            }
            Step::Wait => sleep(TICK).await,
            Step::End => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_one_are_for_many_targets_and_sessions() {
        for ((targets, room, processors), expected) in [
            ((1_000, 256, 2), 2),
            ((1_000, 256, 64), MOST_THREADS),
            ((1_000, 256, 1), 1),
            ((2 * TARGETS_OF_THREAD - 1, 256, 2), 1),
            ((1_000, 2 * FIRST - 1, 2), 1),
            ((0, 1, 0), 1),
        ] {
            assert_eq!(threads(targets, room, processors), expected);
        }
    }
}
