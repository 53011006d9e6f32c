//! What a refresh costs: `cargo bench --package pptp-snmp-subagent`.
//!
//! Each line is the median of several rounds. A row is a session of which all
//! that a gateway tells is known; "same" and "changed" say whether its counters
//! moved.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::{State, Traffic};
use pptp_probe::gateway::tracker::Tracker;
use pptp_snmp_subagent::synthetic;

const ROUNDS: usize = 9;

fn main() {
    println!(
        "{:>8}  {:>12}  {:>12}  {:>14}",
        "rows", "same ns/row", "moved ns/row", "one change us"
    );
    for rows in [1_000, 10_000, 100_000] {
        let now = Instant::now();
        let wall = SystemTime::now();
        let sessions: Vec<_> = (1..=rows).map(|row| synthetic::session(row, rows, wall)).collect();
        let mut tracker = Tracker::new(now);
        tracker.update(sessions.clone(), now, wall);
        let same = median(|| {
            let copy = sessions.clone();
            // A reader holds the version before, as the SNMP side does.
            let held = tracker.table().clone();
            let time = timed(|| tracker.update(copy, now, wall).len());
            drop(held);
            time
        });
        let mut moved = sessions.clone();
        let mut octets = 0;
        let changed = median(|| {
            octets += 1000;
            for session in &mut moved {
                session.traffic = Some(Traffic { octets_in: octets, ..Traffic::default() });
            }
            let copy = moved.clone();
            let held = tracker.table().clone();
            let time = timed(|| tracker.update(copy, now, wall).len());
            drop(held);
            time
        });
        let mut table = tracker.table().clone();
        let mut one = table.get(rows / 2).expect("it is there").record();
        let mut open = false;
        let single = median(|| {
            open = !open;
            one.session.state = if open { State::Ipcp } else { State::Open };
            let held = table.clone();
            let time = timed(|| table.put(&one));
            drop(held);
            time
        });
        let per_row = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(rows);
        let micros = single.as_secs_f64() * 1e6;
        println!("{rows:>8}  {:>12.0}  {:>12.0}  {micros:>14.2}", per_row(same), per_row(changed));
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let from = Instant::now();
    black_box(work());
    from.elapsed()
}

fn median(mut round: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}
