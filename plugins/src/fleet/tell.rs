//! What came of the targets, in the format that was asked for: as they finish
//! where each result stands alone, else together at the end.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pptp_probe::output::{
    Exposition, Format, Identity, Metric, Report, Samples, State, Sub, render, trapper_line,
};
use pptp_probe::plugin::{self, Ending};

use super::plan::Target;
use crate::run::Run;

/// Targets that the first line names.
const NAMED: usize = 5;
/// Octets of the lines of targets that are not well; Nagios reads 8 KiB.
const LONGEST_OUTPUT: usize = 6_000;
/// Samples of a page, unless the operator says otherwise.
const MAX_SERIES: usize = 20_000;
/// Results that wait for a slow reader before nothing new is begun.
const BACKLOG: usize = 1_000;
/// Octets that are written at once, or one result where that is longer.
const LONGEST_WRITE: usize = 64 << 10;
/// How long a reader may take for the last of them after a signal.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How results are worded.
#[derive(Clone, Copy)]
pub(super) struct Voice {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) format: Format,
    pub(super) verbosity: u8,
}

/// What does not change in a run.
pub(super) struct Settings {
    pub(super) voice: Voice,
    pub(super) max_series: Option<usize>,
    /// Something that the operator should know of the run.
    pub(super) remark: Option<String>,
    pub(super) started: Instant,
}

/// Collects the results.
pub(super) struct Teller {
    settings: Settings,
    count: usize,
    /// By exit status.
    states: [usize; 4],
    output: Output,
    has_progress: bool,
}

enum Output {
    /// Those that are not well, or are asked for, by their place in the list.
    Lines(Vec<(usize, Line)>),
    Page(Exposition, Vec<Samples>),
    Stream(Stream),
}

/// The result of one target, worded.
pub(super) struct Told {
    state: State,
    words: Words,
}

enum Words {
    None,
    Line(Line),
    /// Worded together with the others.
    Report(Report),
    Text(String),
}

impl Voice {
    /// Words the result of one target, as far as it stands alone.
    pub(super) fn word<C: Run>(self, target: &Target<C>, report: Report) -> Told {
        let Self { name, program, format, verbosity } = self;
        let identity = Identity { name, program, target: &target.label };
        let state = report.state();
        let words = match format {
            Format::Nagios if state == State::Ok && verbosity < 2 => Words::None,
            Format::Nagios => {
                let verdict = report.verdict();
                let verdict =
                    verdict.map(|verdict| format!("[{}/{}]", verdict.phase, verdict.reason));
                Words::Line(Line {
                    shown: target.shown.clone(),
                    state,
                    verdict: verdict.unwrap_or_default(),
                    text: report.headline().into_owned(),
                })
            }
            Format::Prometheus => Words::Report(report),
            Format::Zabbix => Words::Text(trapper_line(&report, &identity, &target.monitored)),
            Format::Json | Format::Influx => Words::Text(render(&report, &identity, format, 0).0),
        };
        Told { state, words }
    }
}

/// One target in the long output.
struct Line {
    shown: String,
    state: State,
    /// `[connect/refused]`.
    verdict: String,
    text: String,
}

impl Teller {
    pub(super) fn new(settings: Settings, count: usize) -> Self {
        let output = match settings.voice.format {
            Format::Nagios => Output::Lines(Vec::new()),
            Format::Prometheus => {
                let mut samples = Vec::new();
                samples.resize_with(count, Samples::default);
                Output::Page(Exposition::default(), samples)
            }
            Format::Json | Format::Zabbix | Format::Influx => Output::Stream(Stream::new()),
        };
        let has_progress = rustix::termios::isatty(io::stderr());
        if let Some(remark) =
            settings.remark.as_ref().filter(|_| settings.voice.format != Format::Nagios)
        {
            let _ = writeln!(io::stderr(), "{}: {remark}", settings.voice.program);
        }
        Self { settings, count, states: [0; 4], output, has_progress }
    }

    pub(super) fn voice(&self) -> Voice {
        self.settings.voice
    }

    /// Whether there is room for more results.
    pub(super) fn has_room(&self) -> bool {
        match &self.output {
            Output::Stream(stream) => stream.waiting() < BACKLOG,
            Output::Lines(_) | Output::Page(..) => true,
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_broken(&self) -> bool {
        matches!(&self.output, Output::Stream(stream) if stream.is_broken())
    }

    /// The result of one target.
    pub(super) fn tell<C: Run>(&mut self, index: usize, target: &Target<C>, told: Told) {
        self.states[usize::from(told.state.exit_code())] += 1;
        match (&mut self.output, told.words) {
            (Output::Lines(lines), Words::Line(line)) => lines.push((index, line)),
            (Output::Page(exposition, samples), Words::Report(report)) => {
                let Voice { name, program, .. } = self.settings.voice;
                let identity = Identity { name, program, target: &target.label };
                samples[index] = exposition.samples(&report, &identity);
            }
            (Output::Stream(stream), Words::Text(text)) => stream.push(text),
            (Output::Lines(_) | Output::Page(..) | Output::Stream(_), _) => {}
        }
    }

    /// On a terminal: how far it is.
    pub(super) fn show_progress(&self) {
        if self.has_progress {
            let done: usize = self.states.iter().sum();
            let [ok, warning, critical, unknown] = self.states;
            let _ = write!(
                io::stderr(),
                "\r{done} of {}: {ok} ok, {warning} warning, {critical} critical, {unknown} unknown\x1b[K",
                self.count
            );
        }
    }

    /// The end, perhaps in a `hurry`; `lines` are those of the exchange.
    pub(super) fn finish(self, lines: Vec<(u8, String)>, hurry: bool) -> Ending {
        if self.has_progress {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        let code = match self.settings.voice.format {
            Format::Zabbix | Format::Influx => 0,
            Format::Nagios | Format::Json | Format::Prometheus => self.state().exit_code(),
        };
        let (states, count) = (self.states, self.count);
        match self.output {
            Output::Stream(stream) => {
                let code = if stream.finish(hurry) { code } else { State::Unknown.exit_code() };
                Ending { text: String::new(), code }
            }
            Output::Page(exposition, samples) => {
                let text = page(exposition, samples, &self.settings, states);
                Ending { text, code }
            }
            Output::Lines(of_targets) => {
                let text = nagios(of_targets, lines, &self.settings, states, count);
                Ending { text, code }
            }
        }
    }

    fn state(&self) -> State {
        worst(self.states)
    }
}

fn worst([_, warning, critical, unknown]: [usize; 4]) -> State {
    match (critical, warning, unknown) {
        (0, 0, 0) => State::Ok,
        (0, 0, _) => State::Unknown,
        (0, ..) => State::Warning,
        _ => State::Critical,
    }
}

fn page(
    exposition: Exposition,
    mut samples: Vec<Samples>,
    settings: &Settings,
    states: [usize; 4],
) -> String {
    let most = settings.max_series.unwrap_or(MAX_SERIES);
    let check = format!("check=\"{}\"", settings.voice.program);
    let (mut page, left_out) = exposition.render(&samples, most);
    samples.clear();
    let words = ["ok", "warning", "critical", "unknown"];
    let counts = words.into_iter().zip(states);
    let counts: Vec<_> =
        counts.map(|(word, count)| (format!("{check},state=\"{word}\""), count as u64)).collect();
    let mut own = Exposition::default();
    let help = "Targets of the list by the state of their check.";
    samples.push(own.gauges("pptp_fleet_targets", help, &counts));
    let help = "Samples left out of this page, by --max-series.";
    samples.push(own.gauges("pptp_fleet_series_left_out", help, &[(check, left_out as u64)]));
    page.push_str(&own.render(&samples, usize::MAX).0);
    page
}

fn nagios(
    mut lines: Vec<(usize, Line)>,
    exchange: Vec<(u8, String)>,
    settings: &Settings,
    states: [usize; 4],
    count: usize,
) -> String {
    // What is worst first, and else as the list has it.
    let rank = |state: State| match state {
        State::Critical => 0,
        State::Warning => 1,
        State::Unknown => 2,
        State::Ok => 3,
    };
    lines.sort_by_key(|(index, line)| (rank(line.state), *index));
    let [ok, warning, critical, unknown] = states;
    let mut text = format!("{ok} of {count} gateways ok");
    let counts =
        [(critical, State::Critical), (warning, State::Warning), (unknown, State::Unknown)];
    let mut rest = lines.as_slice();
    let mut room = NAMED;
    for (number, state) in counts.into_iter().filter(|(number, _)| *number > 0) {
        let (these, others) =
            rest.split_at(rest.partition_point(|(_, line)| rank(line.state) <= rank(state)));
        rest = others;
        let named: Vec<String> = these
            .iter()
            .take(room)
            .map(|(_, line)| format!("{} {}", line.shown, line.verdict))
            .collect();
        room -= named.len();
        text.push_str(&format!(", {number} {}", state.name().to_lowercase()));
        if !named.is_empty() {
            text.push_str(&format!(": {}", named.join(", ")));
        }
        if !named.is_empty() && named.len() < number {
            text.push_str(&format!(" and {} more", number - named.len()));
        }
    }
    let number = |label, value: usize| Metric::number(label, value as f64).min(0.0);
    let mut report = Report::ok(text)
        .with_state(worst(states))
        .metric(number("targets", count))
        .metric(number("ok", ok).max(count as f64))
        .metric(number("warning", warning))
        .metric(number("critical", critical))
        .metric(number("unknown", unknown))
        .metric(Metric::seconds("time", settings.started.elapsed()));
    if let Some(remark) = &settings.remark {
        report = report.detail(1, remark.clone());
    }
    let mut room = if settings.voice.verbosity == 0 { LONGEST_OUTPUT } else { usize::MAX };
    let total = lines.len();
    for (number, (_, line)) in lines.into_iter().enumerate() {
        let text = format!("{} {}", line.text, line.verdict);
        let length = line.shown.len() + text.len() + 16;
        if length > room {
            report =
                report.detail(1, format!("{} more are not well: -v lists them", total - number));
            break;
        }
        room -= length;
        report = report.sub_result(Sub::ok(line.shown, text.trim_end()).with_state(line.state));
    }
    let report =
        exchange.into_iter().fold(report, |report, (level, line)| report.detail(level, line));
    let identity =
        Identity { name: settings.voice.name, program: settings.voice.program, target: "" };
    // Whoever is not well has a line, asked for or not.
    render(&report, &identity, Format::Nagios, settings.voice.verbosity.max(1)).0
}

/// Standard output, written by a thread of its own: a reader that stops
/// reading holds no session.
struct Stream(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    texts: VecDeque<String>,
    /// Nothing more will come.
    is_closed: bool,
    /// Everything was written.
    is_done: bool,
    /// Nobody reads.
    is_broken: bool,
}

impl Stream {
    fn new() -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        if thread::Builder::new().spawn(move || of_thread.write()).is_err() {
            shared.lock().is_broken = true;
        }
        Self(shared)
    }

    fn push(&self, text: String) {
        self.0.lock().texts.push_back(text);
        self.0.changed.notify_all();
    }

    fn waiting(&self) -> usize {
        self.0.lock().texts.len()
    }

    fn is_broken(&self) -> bool {
        self.0.lock().is_broken
    }

    /// Whether everything was written. In a hurry a reader who is slow is
    /// waited for only so long.
    fn finish(self, hurry: bool) -> bool {
        let mut queue = self.0.lock();
        queue.is_closed = true;
        self.0.changed.notify_all();
        let patience = if hurry { LAST_WORDS } else { Duration::MAX };
        let ends = |queue: &mut Queue| !queue.is_done && !queue.is_broken;
        let waited = self.0.changed.wait_timeout_while(queue, patience, ends);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_done
    }
}

impl Shared {
    /// What another thread left half done is whole enough here.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let mut queue = self.lock();
        loop {
            while let Some(mut text) = queue.texts.pop_front() {
                while let Some(next) = queue.texts.front()
                    && text.len() + next.len() <= LONGEST_WRITE
                {
                    text.push_str(next);
                    queue.texts.pop_front();
                }
                drop(queue);
                let is_written = plugin::say(&text).is_ok();
                queue = self.lock();
                if !is_written {
                    queue.is_broken = true;
                    return self.changed.notify_all();
                }
            }
            if queue.is_closed {
                queue.is_done = true;
                return self.changed.notify_all();
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
