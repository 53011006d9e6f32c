//! Rows of the scheduled probes and of the RADIUS servers they ask.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pptp_probe::gateway::session::OperStatus;
use pptp_probe::output::State;
use pptp_probe::reason::{Phase, Reason};

use crate::alarms::{Alarm, Kind};
use crate::facts::{PhaseRow, ProbeRow, RadiusCounters, RadiusRow, Times};
use crate::people::Now;
use crate::probe::{Probe, RadiusRun, Run};

/// Runs over which the 95th percentile is taken.
const RUNS: usize = 100;

/// All of them.
#[derive(Default)]
pub(super) struct Probes {
    /// In the order of the configuration.
    watched: Vec<Watched>,
    radius: Vec<RadiusRow>,
    last_index: u32,
    last_radius: u32,
}

struct Watched {
    row: ProbeRow,
    /// What tells whether a probe of another configuration is the same.
    probe: Probe,
    times: Series,
    phases: Vec<(Phase, Series)>,
    failed: bool,
}

/// Durations of the last runs.
#[derive(Debug, Default)]
struct Series {
    last: VecDeque<Duration>,
    extremes: Option<(Duration, Duration)>,
}

impl Series {
    fn add(&mut self, time: Duration) -> Times {
        if self.last.len() == RUNS {
            self.last.pop_front();
        }
        self.last.push_back(time);
        let (min, max) = self.extremes.unwrap_or((time, time));
        let (min, max) = (min.min(time), max.max(time));
        self.extremes = Some((min, max));
        let mut sorted: Vec<_> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        let p95 = sorted[(sorted.len() * 95).div_ceil(100) - 1];
        Times { last: time, min, max, p95 }
    }
}

impl Probes {
    /// Which rows there are: those of the probes, then those of the RADIUS
    /// servers.
    pub(super) fn indices(&self) -> [Vec<u32>; 2] {
        let mut probes: Vec<_> = self.watched.iter().map(|watched| watched.row.index).collect();
        probes.sort_unstable();
        [probes, self.radius.iter().map(|row| row.index).collect()]
    }

    pub(super) fn reconfigure(&mut self, configured: &[Probe], now: Now) {
        let mut before = std::mem::take(&mut self.watched);
        for probe in configured {
            let known = before.iter().position(|watched| watched.probe == *probe);
            self.watched.push(match known {
                Some(at) => before.swap_remove(at),
                None => {
                    self.last_index += 1;
                    Watched::new(probe, self.last_index, now)
                }
            });
        }
        let wanted = configured.iter().flat_map(Probe::radius);
        let mut rows: Vec<RadiusRow> = Vec::new();
        for (name, service, port) in wanted {
            let same =
                |row: &RadiusRow| *row.name == *name && row.service == service && row.port == port;
            if rows.iter().any(same) {
                continue;
            }
            let row = match self.radius.iter().find(|row| same(row)) {
                Some(row) => row.clone(),
                None => RadiusRow {
                    index: {
                        self.last_radius += 1;
                        self.last_radius
                    },
                    name: name.into(),
                    service,
                    address: None,
                    port,
                    status: OperStatus::Unknown,
                    reason: None,
                    rtt: None,
                    counters: RadiusCounters::default(),
                    since: now.instant,
                },
            };
            rows.push(row);
        }
        rows.sort_by_key(|row| row.index);
        self.radius = rows;
    }

    /// True when a phase was reached for the first time. Runs of a probe that
    /// is not configured, or not any more, say nothing.
    pub(super) fn take(&mut self, run: &Run, raised: &mut Vec<Alarm>) -> bool {
        let mut all = self.watched.iter_mut();
        let Some(watched) = all.find(|watched| watched.probe == *run.probe) else { return false };
        let phases = watched.row.phases.len();
        watched.take(run, raised);
        let new_phase = watched.row.phases.len() != phases;
        for radius in &run.radius {
            let row = self.radius.iter_mut().find(|row| {
                *row.name == *radius.name
                    && row.service == radius.service
                    && row.port == radius.port
            });
            if let Some(row) = row {
                take_radius(row, radius, raised);
            }
        }
        new_phase
    }

    pub(super) fn rows(&self) -> Arc<[ProbeRow]> {
        let mut rows: Vec<_> = self.watched.iter().map(|watched| watched.row.clone()).collect();
        rows.sort_by_key(|row| row.index);
        rows.into()
    }

    pub(super) fn radius_rows(&self) -> Arc<[RadiusRow]> {
        self.radius.clone().into()
    }
}

impl Watched {
    fn new(probe: &Probe, index: u32, now: Now) -> Self {
        let row = ProbeRow {
            index,
            name: probe.name.as_str().into(),
            target: probe.target().into(),
            address: None,
            last: None,
            interval: probe.interval,
            state: None,
            failure: None,
            text: "".into(),
            time: None,
            lcp_rtt: None,
            lcp_jitter: None,
            loss: None,
            echo_rtt: None,
            successes: 0,
            failures: 0,
            since: now.instant,
            phases: Vec::new(),
        };
        let probe = probe.clone();
        Self { row, probe, times: Series::default(), phases: Vec::new(), failed: false }
    }

    fn take(&mut self, run: &Run, raised: &mut Vec<Alarm>) {
        let row = &mut self.row;
        row.last = Some(run.started);
        row.address = run.address.map(|address| address.ip()).or(row.address);
        row.state = Some(run.state);
        row.failure = run.failure;
        row.text = run.text.as_str().into();
        row.lcp_rtt = run.lcp_rtt;
        row.lcp_jitter = run.lcp_jitter;
        row.echo_rtt = run.echo_rtt;
        row.loss = run.loss.filter(|loss| loss.sent > 0).map(|loss| {
            u32::try_from(u64::from(loss.lost) * 100 / u64::from(loss.sent)).unwrap_or(100)
        });
        match run.state {
            State::Ok | State::Warning => row.successes = row.successes.wrapping_add(1),
            State::Critical => row.failures = row.failures.wrapping_add(1),
            State::Unknown => {}
        }
        if let (State::Ok | State::Warning, Some(time)) = (run.state, run.time) {
            row.time = Some(self.times.add(time));
        }
        for &(phase, time) in &run.phases {
            let (series, row) = self.phase(phase);
            row.time = Some(series.add(time));
            row.successes = row.successes.wrapping_add(1);
            row.reason = None;
        }
        if let Some((phase, reason)) = run.failure.filter(|_| run.state == State::Critical) {
            let (_, row) = self.phase(phase);
            row.failures = row.failures.wrapping_add(1);
            row.reason = Some(reason);
        }
        // A probe that could not run says nothing of the gateway.
        let failed = match run.state {
            State::Ok | State::Warning => false,
            State::Critical => true,
            State::Unknown => self.failed,
        };
        if failed != std::mem::replace(&mut self.failed, failed) {
            let kind = if failed { Kind::ProbeFailed } else { Kind::ProbeRecovered };
            raised.push(Alarm::new(kind, [self.row.index], run.text.as_str()));
        }
    }

    fn phase(&mut self, phase: Phase) -> (&mut Series, &mut PhaseRow) {
        let at = self.row.phases.partition_point(|row| row.phase < phase);
        if self.row.phases.get(at).is_none_or(|row| row.phase != phase) {
            let row = PhaseRow { phase, reason: None, time: None, successes: 0, failures: 0 };
            self.row.phases.insert(at, row);
            self.phases.insert(at, (phase, Series::default()));
        }
        (&mut self.phases[at].1, &mut self.row.phases[at])
    }
}

fn take_radius(row: &mut RadiusRow, run: &RadiusRun, raised: &mut Vec<Alarm>) {
    row.address = run.address.or(row.address);
    row.reason = run.failure.map(|(_, reason)| reason);
    row.rtt = run.round_trip_time.or(row.rtt);
    let counters = &mut row.counters;
    for (counter, more) in [
        (&mut counters.requests, run.requests),
        (&mut counters.retransmissions, run.retransmissions),
        (&mut counters.accepts, run.accepts),
        (&mut counters.rejects, run.rejects),
        (&mut counters.challenges, run.challenges),
        (&mut counters.malformed, run.malformed),
        (&mut counters.bad_authenticators, run.bad_authenticators),
        (&mut counters.unsigned, run.unsigned),
        (&mut counters.timeouts, run.timeouts),
        (&mut counters.unknown_types, run.unknown_types),
        (&mut counters.dropped, run.dropped),
    ] {
        *counter = counter.wrapping_add(more);
    }
    // Whoever rejects a login answers; of whom nobody asked, nothing is known.
    let answered = run.accepts + run.rejects + run.challenges > 0;
    let status = match (answered, run.failure) {
        (true, None) => OperStatus::Up,
        (true, Some(_)) => OperStatus::Degraded,
        (false, Some((_, reason))) if run.requests > 0 && !is_ours(reason) => OperStatus::Down,
        (false, _) => OperStatus::Unknown,
    };
    let before = std::mem::replace(&mut row.status, status);
    let is_down = status == OperStatus::Down;
    if is_down && before != OperStatus::Down {
        let text = run.failure.map_or("", |(_, reason)| reason.mend());
        raised.push(Alarm::new(Kind::RadiusDown, [row.index], text));
    } else if before == OperStatus::Down && !is_down && status != OperStatus::Unknown {
        raised.push(Alarm::new(Kind::RadiusUp, [row.index], "it answers again"));
    }
}

/// Whether a failure is one of this host.
fn is_ours(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ResolverFailed
            | Reason::Permission
            | Reason::Local
            | Reason::Interrupted
            | Reason::Internal
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::config::Config;
    use crate::probe::{Loss, Service};

    const GATEWAY: &str = "[[probe]]\nname = \"gw\"\ntype = \"gre\"\nhostname = \"192.0.2.1\"\n";

    fn configured(text: &str) -> Vec<Probe> {
        Config::parse(text).unwrap_or_else(|faults| panic!("{faults:?}")).probes
    }

    fn probes(text: &str) -> Probes {
        let mut probes = Probes::default();
        probes.reconfigure(&configured(text), now());
        probes
    }

    fn now() -> Now {
        Now { instant: Instant::now(), wall: SystemTime::now() }
    }

    fn run(state: State) -> Run {
        run_of(GATEWAY, state)
    }

    fn run_of(text: &str, state: State) -> Run {
        let failure = (state == State::Critical).then_some((Phase::Gre, Reason::GreInboundSilent));
        let time = Duration::from_millis(38);
        Run {
            probe: configured(text).remove(0).into(),
            started: SystemTime::now(),
            address: Some(SocketAddr::from(([192, 0, 2, 1], 1723))),
            state,
            failure,
            text: "PPTP GRE".to_owned(),
            time: failure.is_none().then_some(time),
            phases: vec![(Phase::Connect, time), (Phase::Control, time)],
            lcp_rtt: None,
            lcp_jitter: None,
            echo_rtt: None,
            loss: Some(Loss { sent: 5, lost: 1 }),
            radius: Vec::new(),
        }
    }

    #[test]
    fn failure_and_recovery_are_told_once() {
        let mut probes = probes(GATEWAY);
        let mut told = Vec::new();
        for state in [State::Ok, State::Critical, State::Critical, State::Unknown, State::Ok] {
            probes.take(&run(state), &mut told);
        }
        let kinds: Vec<_> = told.iter().map(|alarm| alarm.kind).collect();
        assert_eq!(kinds, [Kind::ProbeFailed, Kind::ProbeRecovered]);
        let row = &probes.rows()[0];
        assert_eq!((row.successes, row.failures), (2, 2), "what could not run is in neither");
        assert_eq!(row.loss, Some(20));
    }

    #[test]
    fn phases_say_where_a_probe_fails() {
        let mut probes = probes(GATEWAY);
        let mut told = Vec::new();
        assert!(probes.take(&run(State::Ok), &mut told));
        assert!(probes.take(&run(State::Critical), &mut told), "a phase came");
        assert!(!probes.take(&run(State::Critical), &mut told));
        let row = &probes.rows()[0];
        let phases: Vec<_> =
            row.phases.iter().map(|row| (row.phase, row.successes, row.failures)).collect();
        let expected = [(Phase::Connect, 3, 0), (Phase::Control, 3, 0), (Phase::Gre, 0, 2)];
        assert_eq!(phases, expected);
        assert_eq!(row.phases[2].reason, Some(Reason::GreInboundSilent));
    }

    #[test]
    fn percentile_is_that_of_the_last_hundred() {
        let mut series = Series::default();
        let times = (1..=200).map(Duration::from_millis).map(|time| series.add(time)).last();
        let millis = Duration::from_millis;
        let expected =
            Times { last: millis(200), min: millis(1), max: millis(200), p95: millis(195) };
        assert_eq!(times, Some(expected));
    }

    #[test]
    fn probe_keeps_its_row_through_another_configuration() {
        let other = GATEWAY.replace("gw", "other");
        let mut probes = probes(GATEWAY);
        probes.take(&run(State::Ok), &mut Vec::new());
        probes.reconfigure(&configured(&format!("{other}{GATEWAY}")), now());
        let rows = probes.rows();
        let found: Vec<_> = rows.iter().map(|row| (row.index, &*row.name, row.successes)).collect();
        assert_eq!(found, [(1, "gw", 1), (2, "other", 0)]);
        let elsewhere = GATEWAY.replace("192.0.2.1", "192.0.2.2");
        for text in [GATEWAY, &elsewhere, &other] {
            probes.take(&run_of(text, State::Ok), &mut Vec::new());
        }
        let successes: Vec<_> = probes.rows().iter().map(|row| row.successes).collect();
        assert_eq!(successes, [2, 1], "a run belongs to what was run");
    }

    #[test]
    fn radius_server_is_down_when_it_is_silent_and_up_when_it_rejects() {
        let directory = std::env::temp_dir();
        let secret = directory.join(format!("keeper-probes-{}", std::process::id()));
        let _ = std::fs::remove_file(&secret);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&secret).unwrap();
        file.write_all(b"testing123").unwrap();
        let text = format!(
            "[[probe]]\nname = \"radius\"\ntype = \"radius\"\nhostname = [\"192.0.2.2\"]\n\
             secret_file = {secret:?}\nmode = [\"status\"]\n"
        );
        let mut probes = probes(&text);
        std::fs::remove_file(&secret).unwrap();
        let before = probes.radius_rows();
        assert_eq!(before[0].status, OperStatus::Unknown);
        let radius = |accepts, failure| RadiusRun {
            name: "192.0.2.2".to_owned(),
            service: Service::Status,
            address: None,
            port: before[0].port,
            failure,
            round_trip_time: None,
            requests: 1,
            retransmissions: 2,
            accepts,
            rejects: 0,
            challenges: 0,
            malformed: 0,
            bad_authenticators: 0,
            unsigned: 0,
            timeouts: 3,
            unknown_types: 0,
            dropped: 0,
        };
        let silent = Some((Phase::Control, Reason::RadiusSilent));
        let mut told = Vec::new();
        for (accepts, failure) in [(1, None), (0, silent), (0, silent), (1, None)] {
            let radius = vec![radius(accepts, failure)];
            let probe = probes.watched[0].probe.clone().into();
            probes.take(&Run { probe, radius, ..run(State::Ok) }, &mut told);
        }
        let kinds: Vec<_> = told.iter().map(|alarm| alarm.kind).collect();
        assert_eq!(kinds, [Kind::RadiusDown, Kind::RadiusUp]);
        let row = &probes.radius_rows()[0];
        assert_eq!((row.counters.requests, row.counters.timeouts), (4, 12));
        assert_eq!((row.status, row.reason), (OperStatus::Up, None));
    }
}
