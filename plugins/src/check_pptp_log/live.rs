//! A log that grows: read from where the last run stopped, and kept for the
//! next; or followed until a signal comes.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pptp_probe::log::entry::Stamp;
use pptp_probe::log::follow::Start;
use pptp_probe::log::join::Joiner;
use pptp_probe::log::source::{Position, Progress, Source};
use pptp_probe::log::window::Window;
use pptp_probe::net::{entropy, interrupt};

use super::reading::Reading;
use super::report::{Problem, Seen, span_words};
use super::state::{Found, Kept, StateFile};
use super::{LogArgs, Logs, Span, WINDOW, now, open_sessions, problem};

/// Octets before the end of a log with which the first run begins.
const BACK: u64 = 16 << 20;
/// What stays of the time of a run to keep what was read.
const RESERVE: Duration = Duration::from_millis(300);
/// How long a signal waits while a log is followed.
const SLICE: Duration = Duration::from_secs(1);
/// How often what was followed is kept.
const KEEP: Duration = Duration::from_secs(10);

/// Reads what is new since the last run.
pub(super) fn look(args: &LogArgs, deadline: Instant) -> Result<Seen, Problem> {
    let until = deadline.checked_sub(RESERVE).unwrap_or(deadline);
    let mut live = Live::open(args, until)?;
    let progress = live.pass(until);
    if !progress.complete {
        let text = "the log was not read to its end in time, the next run goes on";
        live.reading.remarks.push(text.to_owned());
    }
    let mut troubles: Vec<_> = progress.troubles.into_iter().map(problem).collect();
    troubles.extend(live.keep().err());
    let mut seen = live.seen(troubles);
    seen.gaps = progress.gaps.iter().map(ToString::to_string).collect();
    Ok(seen)
}

/// Passes events on as they come, until a signal ends it.
pub(super) fn follow(args: &LogArgs, deadline: Instant) -> Result<Seen, Problem> {
    let local = |what: &str, error: &dyn std::fmt::Display| {
        Problem::local(format!("cannot {what}: {error}"))
    };
    let signals = interrupt::block().map_err(|error| local("wait for signals", &error))?;
    let mut live = Live::open(args, deadline)?;
    let mut kept = Instant::now();
    let mut told = None;
    loop {
        let progress = live.pass(Instant::now() + KEEP);
        for gap in progress.gaps {
            eprintln!("entries may be lost: {gap}");
        }
        if let Some(trouble) = live.trouble() {
            return Err(Problem::local(trouble.to_owned()));
        }
        // A log that goes may come back; one that never was there will not.
        match (progress.troubles.into_iter().map(problem).next(), &told) {
            (Some(problem), None) => return Err(problem),
            (Some(problem), Some(before)) if problem.text != *before => {
                eprintln!("{}", problem.text);
                told = Some(problem.text);
            }
            (Some(_), Some(_)) => {}
            (None, _) => told = Some(String::new()),
        }
        let signal = signals.read_signal().ok().flatten();
        let signal = signal.and_then(|signal| Signal::try_from(signal.ssi_signo as i32).ok());
        if live.changed && (kept.elapsed() >= KEEP || signal.is_some()) {
            live.keep()?;
            kept = Instant::now();
        }
        match (signal, &mut live.reading.sink) {
            (None, _) => {}
            (Some(Signal::SIGHUP), Some(sink)) => sink.reopen().map_err(Problem::local)?,
            (Some(_), _) => return Ok(live.seen(Vec::new())),
        }
        if progress.complete {
            let waited = live.source.wait(Instant::now() + SLICE);
            waited.map_err(problem)?;
        }
    }
}

/// What a run took over from the one before.
struct Live {
    logs: Logs,
    span: Duration,
    file: StateFile,
    source: Source,
    reading: Reading,
    /// Not there as long as nobody needed it.
    joiner: Option<Joiner>,
    key: [u8; 16],
    began: Stamp,
    open: u64,
    settled: bool,
    /// Whether there is anything to keep.
    changed: bool,
}

impl Live {
    fn open(args: &LogArgs, deadline: Instant) -> Result<Self, Problem> {
        let logs = Logs::wanted(args);
        let path = match &args.state {
            Some(path) => path.clone(),
            None => logs.state()?,
        };
        let local = |text| Problem {
            mend: "see who owns the state, or name another by --state".to_owned(),
            ..Problem::local(text)
        };
        let mut file = StateFile::lock(&path, deadline).map_err(local)?;
        let mut remark = None;
        let kept = match file.read().map_err(local)? {
            Found::Nothing => None,
            Found::Kept(kept) if is_of(&kept.position, &logs) => Some(kept),
            Found::Kept(_) => {
                remark = Some("is that of other logs".to_owned());
                None
            }
            Found::Bad(why) => {
                remark = Some(why);
                None
            }
        };
        let remark = remark.map(|why| match file.put_aside() {
            Ok(aside) => {
                let aside = aside.display();
                format!("the state {why}: counting begins anew, it is now {aside}")
            }
            Err(error) => format!("the state {why}, and cannot be put aside: {error}"),
        });
        let Span(span) = args.window.unwrap_or(Span(WINDOW));
        let mut live = match kept {
            Some(kept) => Self::resume(args, logs, span, file, *kept)?,
            None => Self::begin(args, logs, span, file)?,
        };
        live.reading.remarks.extend(remark);
        Ok(live)
    }

    fn begin(args: &LogArgs, logs: Logs, span: Duration, file: StateFile) -> Result<Self, Problem> {
        let key = entropy::random().map_err(Problem::local)?;
        let began = now();
        let mut reading = Reading::new(args, Window::new(span), || Ok(key))?;
        let since = began.saturating_sub_unsigned(span.as_micros() as u64);
        let source = if args.from_start {
            logs.source(Start::Beginning, 0)
        } else {
            reading.since = Some(since);
            logs.source(Start::Back(BACK), since)
        };
        let joiner = Some(Joiner::default());
        let (open, settled, changed) = (0, true, true);
        Ok(Self { logs, span, file, source, reading, joiner, key, began, open, settled, changed })
    }

    fn resume(
        args: &LogArgs,
        logs: Logs,
        span: Duration,
        file: StateFile,
        kept: Kept,
    ) -> Result<Self, Problem> {
        let Kept { position, window, key, sequence, began, newest, open, settled } = kept;
        let fits = window.spans(span);
        let window = if fits { window } else { Window::new(span) };
        let mut reading = Reading::new(args, window, || Ok(key))?;
        if !fits {
            let text = "the window begins anew, for its length is another one";
            reading.remarks.push(text.to_owned());
        }
        (reading.sequence, reading.newest) = (sequence, newest);
        let source = Source::resume(logs.names(), position);
        let changed = !fits;
        Ok(Self {
            logs,
            span,
            file,
            source,
            reading,
            joiner: None,
            key,
            began,
            open,
            settled,
            changed,
        })
    }

    /// Reads what is new.
    fn pass(&mut self, deadline: Instant) -> Progress {
        let now = now();
        self.reading.now = Some(now);
        let before = (self.source.position(), self.reading.sequence);
        let Self { source, reading, joiner, file, .. } = self;
        let progress = source.read(deadline, &mut |entry| {
            reading.entry(entry);
            let joiner = joined(joiner, file, &mut reading.remarks);
            joiner.take(entry, &mut |event| reading.event(event));
        });
        if joiner.is_some() || !self.settled {
            let joiner = joined(joiner, file, &mut reading.remarks);
            joiner.settle(now, &mut |event| reading.event(event));
            self.open = open_sessions(joiner);
            self.changed |= self.settled == joiner.is_waiting();
            self.settled = !joiner.is_waiting();
        }
        self.changed |= (source.position(), reading.sequence) != before;
        self.reading.window.advance(now);
        if let Some(sink) = &mut self.reading.sink {
            sink.flush();
        }
        progress
    }

    /// Keeps what was read, unless events of it could not be passed on.
    fn keep(&mut self) -> Result<(), Problem> {
        if !self.changed || self.trouble().is_some() {
            return Ok(());
        }
        let joiner = match &self.joiner {
            Some(joiner) => joiner.save(),
            // A damaged one is none.
            None => self.file.joiner().unwrap_or_default(),
        };
        let kept = Kept {
            position: self.source.position(),
            window: self.reading.window.clone(),
            key: self.key,
            sequence: self.reading.sequence,
            began: self.began,
            newest: self.reading.newest,
            open: self.open,
            settled: self.settled,
        };
        let written = self.file.write(&kept, &joiner);
        written.map_err(|text| Problem {
            mend: "let this user write there; until then each run counts the same again".to_owned(),
            ..Problem::local(text)
        })?;
        self.changed = false;
        Ok(())
    }

    /// Why events were not passed on.
    fn trouble(&self) -> Option<&str> {
        self.reading.sink.as_ref()?.trouble()
    }

    fn seen(self, troubles: Vec<Problem>) -> Seen {
        let end = self.reading.now.unwrap_or(self.began);
        let span = span_words(self.span.as_micros() as i64);
        let newest = self.reading.newest.unwrap_or(self.began);
        let mut seen = self.reading.seen(self.logs.words(), span, end, self.open, troubles);
        seen.newest = Some(newest);
        seen
    }
}

/// The sessions that the last run left, once somebody needs them.
fn joined<'a>(
    joiner: &'a mut Option<Joiner>,
    file: &mut StateFile,
    remarks: &mut Vec<String>,
) -> &'a mut Joiner {
    joiner.get_or_insert_with(|| {
        let octets = file.joiner();
        octets.and_then(|octets| Joiner::resume(&octets)).unwrap_or_else(|| {
            remarks.push("the sessions in the state are damaged and begin anew".to_owned());
            Joiner::default()
        })
    })
}

fn is_of(position: &Position, logs: &Logs) -> bool {
    matches!(
        (position, logs),
        (Position::Files(_), Logs::Files(_)) | (Position::Journal(_), Logs::Journal)
    )
}
