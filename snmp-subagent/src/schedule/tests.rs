use std::net::TcpListener;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::log::tests::Lines;

/// No run of these tests takes longer, unless it does not work.
const PATIENCE: Duration = Duration::from_secs(30);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn first_turns_are_spread_and_then_come_regularly() {
    let began = Instant::now();
    let mut plan = Plan::default();
    for id in 0..4 {
        plan.add(id, seconds(60), id as f64 / 4.0, began);
    }
    let mut turns = Vec::new();
    while turns.len() < 8 {
        let now = plan.poll_timeout().unwrap();
        while let Some(id) = plan.poll(now) {
            turns.push((id, now.duration_since(began).as_secs()));
            plan.finished(id, now + seconds(1));
        }
    }
    let expected = [(0, 0), (1, 15), (2, 30), (3, 45), (0, 60), (1, 75), (2, 90), (3, 105)];
    assert_eq!(turns, expected);
}

#[test]
fn turns_that_went_by_are_left_out() {
    let began = Instant::now();
    let mut plan = Plan::default();
    plan.add(1, seconds(10), 0.0, began);
    assert_eq!(plan.poll(began), Some(1));
    assert_eq!(plan.poll(began + seconds(25)), None, "it runs");
    plan.finished(1, began + seconds(25));
    assert_eq!(plan.poll_timeout(), Some(began + seconds(30)));
    assert_eq!(plan.poll(began + seconds(29)), None);
    assert_eq!(plan.poll(began + seconds(30)), Some(1));
}

proptest! {
    #[test]
    fn no_probe_runs_twice_and_no_more_than_allowed_at_once(
        steps in prop::collection::vec((0..6u8, 0..20u64), 1..300),
    ) {
        let mut now = Instant::now();
        let mut plan = Plan::default();
        let mut running = Vec::new();
        for (step, number) in steps {
            now += seconds(number / 4);
            match step {
                0 if !plan.turns.contains_key(&number) => {
                    plan.add(number, seconds(1 + number), 0.5, now);
                }
                1 => {
                    plan.remove(number);
                    running.retain(|id| *id != number);
                }
                2 => {
                    plan.finished(number, now);
                    running.retain(|id| *id != number);
                }
                _ => while let Some(id) = plan.poll(now) {
                    prop_assert!(!running.contains(&id));
                    running.push(id);
                },
            }
            prop_assert!(running.len() <= MOST_AT_ONCE);
            prop_assert_eq!(running.len(), plan.running);
            let is_waiting = plan.turns.values().any(|turn| !turn.is_running);
            let has_room = plan.running < MOST_AT_ONCE;
            prop_assert_eq!(plan.poll_timeout().is_some(), is_waiting && has_room);
        }
    }
}

fn probes(source: &str) -> Vec<Probe> {
    Config::parse(source).unwrap_or_else(|faults| panic!("{faults:?}")).probes
}

fn control(name: &str, port: u16) -> String {
    format!(
        "[[probe]]\nname = '{name}'\ntype = 'control'\nhostname = '127.0.0.1'\nport = {port}\n\
         interval = '1d'\ntimeout = 600\n"
    )
}

/// A scheduler, its results, and what it said.
fn scheduler(source: &str) -> (Scheduler, mpsc::Receiver<Run>, Lines) {
    let (results, runs) = mpsc::channel();
    let lines = Lines::default();
    let sink = move |run| drop(results.send(run));
    let scheduler = Scheduler::start(probes(source), 0, sink, lines.log()).unwrap();
    (scheduler, runs, lines)
}

#[test]
fn a_run_that_fails_is_what_the_check_would_say() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (scheduler, runs, lines) = scheduler(&control("closed", port));
    let run = runs.recv_timeout(PATIENCE).unwrap();
    scheduler.stop();
    assert_eq!((&*run.probe.name, run.state), ("closed", State::Critical));
    assert_eq!(run.failure, Some((Phase::Connect, Reason::Refused)));
    assert!(run.text.starts_with("PPTP CONTROL CRITICAL - "), "{}", run.text);
    assert!(!run.text.contains('|'), "{}", run.text);
    assert_eq!(run.address.map(|address| address.port()), Some(port));
    assert_eq!(run.time, None);
    assert!(lines.text().starts_with("probe closed: PPTP CONTROL CRITICAL"), "{}", lines.text());
}

#[test]
fn what_is_under_way_is_ended_with_the_scheduler() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (scheduler, runs, _) = scheduler(&control("mute", port));
    // It waits for Start-Control-Connection-Reply, ten minutes.
    let (stream, _) = listener.accept().unwrap();
    scheduler.stop();
    assert!(runs.try_recv().is_err(), "nobody is left to hear of it");
    // It comes to an end, for the run has closed its side.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut &stream, &mut rest).unwrap();
}

#[test]
fn a_probe_that_stays_keeps_its_run_and_one_that_goes_is_ended() {
    let [stays, goes] = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    // Both turns at once: the shares of one day are for other tests.
    let both = control("stays", port(&stays)) + &control("goes", port(&goes));
    let soon = both.replace("'1d'", "'1s'");
    let (scheduler, runs, _) = scheduler(&soon);
    let (stayed, _) = stays.accept().unwrap();
    let (gone, _) = goes.accept().unwrap();
    let first = control("first", 1);
    let kept = control("stays", port(&stays)).replace("'1d'", "'1s'");
    scheduler.configure(probes(&(first + &kept)));
    // The run that was ended says good-bye and closes.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut &gone, &mut rest).unwrap();
    // The other one learns that its gateway is gone, and is itself still.
    drop(stayed);
    let run = runs.iter().find(|run| run.probe.name == "stays").unwrap();
    assert_eq!(run.failure.map(|(phase, _)| phase), Some(Phase::Control));
    scheduler.stop();
}
