//! `check_pptp_log`: what the gateway's daemons wrote in the last minutes,
//! read from log files or the journal, judged, and passed on as JSON lines.
//!
//! Everything happens before the frame has a runtime: there is no socket, and
//! most runs find little that is new, so that a runtime would be the dearest
//! part of them. Reading keeps the deadline itself.

mod events;
mod live;
mod reading;
mod report;
mod state;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use flate2::Crc;
use nix::unistd::geteuid;
use pptp_probe::cli::{Common, seconds};
use pptp_probe::log::entry::Stamp;
use pptp_probe::log::event::What;
use pptp_probe::log::follow::Start;
use pptp_probe::log::join::Joiner;
use pptp_probe::log::source::{Source, Trouble};
use pptp_probe::log::window::Window;
use pptp_probe::net::interrupt;
use pptp_probe::output::Report;
use pptp_probe::plugin::{self, Check, Context};
use pptp_probe::reason::Reason;

use reading::Reading;
use report::{Problem, Seen, report, span_words};

/// The command line.
#[derive(Debug, Args)]
pub struct LogArgs {
    #[command(flatten)]
    common: Common,
    /// Log files, or patterns such as '/var/log/accel-ppp/*.log'; repeatable. Default: of
    /// /var/log/syslog, messages and daemon.log the first that is there, and
    /// /var/log/accel-ppp/*.log; failing those the journal
    #[arg(long = "file", value_name = "FILE", conflicts_with = "journal")]
    files: Vec<PathBuf>,
    /// The same as --file
    #[arg(value_name = "FILE", conflicts_with = "journal")]
    more_files: Vec<PathBuf>,
    /// Read the journal
    #[arg(long)]
    journal: bool,
    /// Keep what the next run needs in FILE [default: a file of its own for each set of logs in
    /// /var/lib/pptp-monitor, for other users than root in $XDG_STATE_HOME/pptp-monitor]
    #[arg(long, value_name = "FILE", conflicts_with = "once")]
    state: Option<PathBuf>,
    /// What is judged: the last 1m to 7d [default: 15m; with --once everything]
    #[arg(long, value_name = "DURATION")]
    window: Option<Span>,
    /// In the first run, read the logs from their beginning
    #[arg(long, conflicts_with = "once")]
    from_start: bool,
    /// Read all of the logs and keep no state
    #[arg(long)]
    once: bool,
    /// With --once: the window ends now, or at the end of the logs [default: end]
    #[arg(long, value_name = "now|end", requires = "once")]
    at: Option<At>,
    /// Stay until SIGTERM and write events as they come, to standard output unless --events
    /// says where; SIGHUP opens that file anew
    #[arg(long, conflicts_with = "once")]
    follow: bool,
    /// Write each event as a JSON line in ECS fields to FILE, - for standard output
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Put digests in the place of user names, and leave messages out of events
    #[arg(long)]
    redact_users: bool,
    /// Warn if no PPTP program wrote anything for so long
    #[arg(long, value_name = "DURATION")]
    max_age: Option<Span>,
    /// Judge no ratio of fewer calls or ends
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    min_calls: u64,
}

/// Metrics beside the counts of events.
const BESIDE_COUNTS: [&str; 7] = [
    "sessions_open",
    "failure_ratio",
    "cause_share",
    "user_failures",
    "source_failures",
    "user_flaps",
    "log_age",
];

/// Each kind of event is counted under its label.
const METRICS: [&str; What::KINDS + BESIDE_COUNTS.len()] = {
    let mut all = [""; What::KINDS + BESIDE_COUNTS.len()];
    let (counts, beside) = all.split_at_mut(What::KINDS);
    counts.copy_from_slice(&What::LABELS);
    beside.copy_from_slice(&BESIDE_COUNTS);
    all
};

impl Check for LogArgs {
    const NAME: &'static str = "LOG";
    const PROGRAM: &'static str = "check_pptp_log";
    const ABOUT: &'static str = "Reads what pptpd, pppd, accel-ppp and the kernel wrote, and says \
        how the sessions of the last minutes went and why they ended. Needs to read the log (group \
        adm), or the journal (group systemd-journal). Alerts when too many calls fail, when too \
        many sessions end by one and the same fault, when one user or address fails again and \
        again, when places or the kernel's table of connections run out, when RADIUS fails, or a \
        count is outside its range.";
    const EXAMPLES: &'static str = "Examples:\n  \
        check_pptp_log --file /var/log/syslog --window 15m -w 20 -c 50 \
        --threshold auth_failures=5/20\n  \
        check_pptp_log --once /tmp/syslog.of.192.0.2.1 -vv";
    const METRICS: &'static [&'static str] = &METRICS;
    const MAIN_METRIC: &'static str = "failure_ratio";

    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        Logs::wanted(self).words().join(" ")
    }

    fn validate(&self) -> Result<(), String> {
        if self.common.pcap.is_some() {
            return Err("--pcap: a log has no packets".to_owned());
        }
        if let Some(Span(window)) = self.window
            && !(MINUTE..=7 * DAY).contains(&window.as_secs())
        {
            return Err("--window takes 1m to 7d".to_owned());
        }
        Ok(())
    }
}

/// Runs the check and leaves the process.
pub fn main(argv: Vec<OsString>) -> ! {
    plugin::main_from(
        argv,
        |args: &LogArgs, deadline| Err::<Infallible, _>(run(args, deadline)),
        async |_: &LogArgs, never, _: &Context| match never {},
    )
}

const MINUTE: u64 = 60;
const DAY: u64 = 86_400;
/// What is judged unless the operator says otherwise.
const WINDOW: Duration = Duration::from_secs(15 * MINUTE);

fn run(args: &LogArgs, deadline: Instant) -> Report {
    let seen = if args.follow {
        live::follow(args, deadline)
    } else if args.once {
        interruptible(|| once(args, deadline))
    } else {
        interruptible(|| live::look(args, deadline))
    };
    let thresholds = args.common.thresholds(LogArgs::METRICS, LogArgs::MAIN_METRIC);
    match (seen, thresholds) {
        (Ok(seen), Ok(thresholds)) if !args.follow => {
            let max_age = args.max_age.map(|Span(age)| age.as_secs());
            report(&seen, &thresholds, max_age, args.min_calls)
        }
        (Ok(seen), _) => report::followed(&seen),
        (Err(problem), _) => problem.report(),
    }
}

/// A signal waits until what was read is also kept, and is told then.
fn interruptible(look: impl FnOnce() -> Result<Seen, Problem>) -> Result<Seen, Problem> {
    let signals = interrupt::block();
    let seen = look();
    match signals.map(|signals| signals.read_signal()) {
        Ok(Ok(Some(_))) => Err(Problem {
            reason: Reason::Interrupted,
            text: "interrupted while the log was read".to_owned(),
            mend: Reason::Interrupted.mend().to_owned(),
        }),
        _ => seen,
    }
}

/// Reads everything, without a state.
fn once(args: &LogArgs, deadline: Instant) -> Result<Seen, Problem> {
    let now = now();
    let logs = Logs::wanted(args);
    let at = args.at.unwrap_or(At::End);
    let window = match args.window {
        Some(Span(window)) => Window::new(window),
        None => Window::over_everything(),
    };
    let key = || pptp_probe::net::entropy::random().map_err(Problem::local);
    let mut reading = Reading::new(args, window, key)?;
    reading.now = (at == At::Now).then_some(now);
    let mut joiner = Joiner::default();
    let mut source = logs.source(Start::Once, 0);
    let progress = source.read(deadline, &mut |entry| {
        reading.entry(entry);
        joiner.take(entry, &mut |event| reading.event(event));
    });
    if !progress.complete {
        let text = format!("only {} octets were read in time", progress.octets);
        let mend = "raise -t".to_owned();
        return Err(Problem { reason: Reason::Local, text, mend });
    }
    joiner.settle(Stamp::MAX, &mut |event| reading.event(event));
    let end = match at {
        At::Now => now,
        At::End => reading.newest.unwrap_or(now),
    };
    reading.window.advance(end);
    let span = match args.window {
        Some(Span(window)) => window.as_micros() as i64,
        None => reading.window.span(),
    };
    let open = open_sessions(&joiner);
    let troubles = progress.troubles.into_iter().map(problem).collect();
    let mut seen = reading.seen(logs.words(), span_words(span), end, open, troubles);
    seen.gaps = progress.gaps.iter().map(ToString::to_string).collect();
    Ok(seen)
}

fn open_sessions(joiner: &Joiner) -> u64 {
    joiner.sessions().filter(|session| session.opened.is_some()).count() as u64
}

fn problem(trouble: Trouble) -> Problem {
    match trouble {
        Trouble::Denied { path, mend } => Problem {
            reason: Reason::Permission,
            text: format!("cannot read {}: permission denied", path.display()),
            mend,
        },
        other => Problem::local(other.to_string()),
    }
}

/// The logs that are read.
#[derive(Debug, PartialEq, Eq)]
enum Logs {
    Files(Vec<PathBuf>),
    Journal,
}

/// The same messages stand in all of those that are there.
const SYSLOGS: [&str; 3] = ["/var/log/syslog", "/var/log/messages", "/var/log/daemon.log"];
const ACCEL_PPP: &str = "/var/log/accel-ppp";

impl Logs {
    fn wanted(args: &LogArgs) -> Self {
        let named: Vec<_> = args.files.iter().chain(&args.more_files).cloned().collect();
        if args.journal {
            return Self::Journal;
        }
        if !named.is_empty() {
            return Self::Files(named);
        }
        let there = |path: &PathBuf| path.exists();
        let mut files: Vec<_> = SYSLOGS.iter().map(PathBuf::from).find(there).into_iter().collect();
        if there(&ACCEL_PPP.into()) {
            files.push(PathBuf::from(ACCEL_PPP).join("*.log"));
        }
        if files.is_empty() { Self::Journal } else { Self::Files(files) }
    }

    fn words(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.iter().map(|file| file.display().to_string()).collect(),
            Self::Journal => vec!["the journal".to_owned()],
        }
    }

    fn names(&self) -> Vec<PathBuf> {
        match self {
            Self::Files(files) => files.clone(),
            Self::Journal => Vec::new(),
        }
    }

    /// To be read for the first time.
    fn source(&self, start: Start, since: Stamp) -> Source {
        match self {
            Self::Files(files) => Source::files(files.clone(), start),
            Self::Journal => Source::journal(since),
        }
    }

    /// Where their state is kept, unless the operator says so.
    fn state(&self) -> Result<PathBuf, Problem> {
        let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let directory = if geteuid().is_root() {
            PathBuf::from("/var/lib")
        } else if let Some(directory) = variable("XDG_STATE_HOME") {
            directory.into()
        } else if let Some(home) = variable("HOME") {
            PathBuf::from(home).join(".local/state")
        } else {
            let text = "there is no place for a state: neither XDG_STATE_HOME nor HOME is set";
            let mend = "say where by --state".to_owned();
            return Err(Problem { reason: Reason::Local, text: text.to_owned(), mend });
        };
        let mut digest = Crc::new();
        for word in self.words() {
            digest.update(word.as_bytes());
            digest.update(b"\0");
        }
        let name = format!("{}-{:08x}.state", LogArgs::PROGRAM, digest.sum());
        Ok(directory.join("pptp-monitor").join(name))
    }
}

/// Where a window over a whole log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Now,
    End,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(Self::Now),
            "end" => Ok(Self::End),
            _ => Err("it is now or end".to_owned()),
        }
    }
}

/// A duration of at least a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span(Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("d", DAY as f64), ("h", 3600.0), ("m", MINUTE as f64), ("s", 1.0)];
        let length = seconds(text, &units).filter(|length| *length >= 1.0);
        let length = length.and_then(|length| Duration::try_from_secs_f64(length).ok());
        // Microseconds of it have to fit a stamp.
        let length = length.filter(|length| length.as_secs() <= 366 * DAY);
        length.map(Self).ok_or_else(|| format!("'{text}' is no duration; write 90s, 15m, 2h or 1d"))
    }
}

/// The clock, as logs have it.
fn now() -> Stamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp::try_from(since.as_micros()).unwrap_or(Stamp::MAX)
}

#[cfg(test)]
mod tests;
