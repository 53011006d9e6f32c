//! What a window over a log comes to, judged. Touches neither files nor the
//! clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use pptp_probe::gateway::tracker::TerminateCause;
use pptp_probe::log::ecs::{cause_word, is_regular};
use pptp_probe::log::entry::Stamp;
use pptp_probe::log::event::What;
use pptp_probe::log::window::{Record, Window, ranking};
use pptp_probe::output::{Metric, Range, Report, State, Thresholds, escape};
use pptp_probe::reason::{Phase, Reason};

/// Ranges that hold unless the operator says otherwise.
const DEFAULTS: [(&str, &str, &str); 8] = [
    ("failure_ratio", "50", "80"),
    ("cause_share", "40", "60"),
    ("conntrack_full", "", "0"),
    ("pool_exhausted", "0", ""),
    ("radius_errors", "0", "10"),
    ("source_failures", "20", "100"),
    ("user_failures", "10", ""),
    ("user_flaps", "10", ""),
];

/// Metrics in the order in which the worst one words the first line: a cause
/// stands before what it causes.
const ORDER: [&str; 16] = [
    "conntrack_full",
    "server_stops",
    "pool_exhausted",
    "radius_errors",
    "source_failures",
    "user_failures",
    "cause_share",
    "failure_ratio",
    "auth_failures",
    "lcp_timeouts",
    "mppe_failures",
    "address_failures",
    "echo_timeouts",
    "control_refused",
    "user_flaps",
    "log_age",
];

/// Names in a line of detail.
const NAMED: usize = 3;

/// What a run saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// Events up to [`Seen::end`].
    pub(super) window: Window,
    /// What the operator calls its length: `15 min`.
    pub(super) span: String,
    /// When the window ends.
    pub(super) end: Stamp,
    /// When a PPTP program last wrote something, or reading began.
    pub(super) newest: Option<Stamp>,
    /// Sessions that are open.
    pub(super) open: u64,
    /// Entries with a stamp later than the clock.
    pub(super) future: u64,
    /// What was read.
    pub(super) logs: Vec<String>,
    /// What an operator has to know about the run, in the first line.
    pub(super) remarks: Vec<String>,
    /// Places where entries may have been lost.
    pub(super) gaps: Vec<String>,
    /// What kept the run from its work.
    pub(super) troubles: Vec<Problem>,
    /// Events of this run, in words; only some of many.
    pub(super) listing: Vec<String>,
    /// Those that are not in the listing.
    pub(super) unlisted: u64,
    /// Events so far, in all runs of the same state.
    pub(super) events: u64,
}

/// What kept a run from its work.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) reason: Reason,
    pub(super) text: String,
    pub(super) mend: String,
}

impl Problem {
    pub(super) fn local(text: String) -> Self {
        Self { reason: Reason::Local, text, mend: Reason::Local.mend().to_owned() }
    }

    pub(super) fn report(self) -> Report {
        Report::failed(Phase::Resolve, self.reason, self.text).mend(self.mend)
    }
}

/// Fewer calls or ends than `least` are no ratio.
pub(super) fn report(seen: &Seen, given: &Thresholds, max_age: Option<u64>, least: u64) -> Report {
    let thresholds = thresholds(given, max_age);
    let figures = Figures::of(&seen.window);
    let metrics = metrics(seen, &figures, &thresholds, least);
    let worst = metrics.iter().fold(State::Ok, |worst, metric| worst.worst(metric.state()));
    let is_worst = |label: &&&str| {
        metrics.iter().any(|metric| metric.label() == **label && metric.state() == worst)
    };
    let first = ORDER.iter().find(is_worst).filter(|_| worst != State::Ok);
    let mut headline = match worst {
        State::Ok => figures.summary(seen),
        _ => String::new(),
    };
    let situation = first.and_then(|label| situation(label, seen, &figures));
    if let Some(situation) = &situation {
        headline.clone_from(&situation.headline);
    }
    for remark in &seen.remarks {
        headline = format!("{headline}; {remark}");
    }
    let mut report = match (situation, seen.troubles.first()) {
        (None, Some(trouble)) if worst == State::Ok => {
            Report::failed(Phase::Resolve, trouble.reason, trouble.text.clone())
                .mend(trouble.mend.clone())
        }
        (Some(situation), _) => {
            let report = Report::failed(situation.phase, situation.reason, headline);
            let report = report.with_state(worst);
            if situation.mend.is_empty() { report } else { report.mend(situation.mend) }
        }
        (None, _) => Report::ok(headline),
    };
    report = describe(report, seen, &figures, &metrics);
    if seen.events == 0 && seen.troubles.len() >= seen.logs.len() {
        // Zeros would say that nothing happened.
        return report;
    }
    metrics.into_iter().fold(report, Report::metric)
}

/// The end of a run that followed a log.
pub(super) fn followed(seen: &Seen) -> Report {
    match seen.troubles.first() {
        Some(trouble) => Report::failed(Phase::Resolve, trouble.reason, trouble.text.clone()),
        None => Report::ok(format!("followed {} until a signal", seen.logs.join(" "))),
    }
    .fact("events", seen.events)
}

fn thresholds(given: &Thresholds, max_age: Option<u64>) -> Thresholds {
    let mut thresholds = Thresholds::new();
    for (label, warning, critical) in DEFAULTS {
        thresholds.set(label, warning.parse().ok(), critical.parse().ok());
    }
    if let Some(seconds) = max_age {
        thresholds.set("log_age", seconds.to_string().parse().ok(), None);
    }
    for label in given.labels() {
        let (warning, critical) = given.get(label);
        let of = |range: Option<&Range>| range.cloned();
        thresholds.set(label, of(warning), of(critical));
    }
    thresholds
}

/// A key that is there most often, and how often.
type Top<K> = Option<(K, u64)>;

/// What records of a window come to.
struct Figures<'a> {
    counts: [u64; What::KINDS],
    /// `at least ` where records are missing.
    bound: &'static str,
    records: Vec<&'a Record>,
    /// By cause, most frequent first.
    causes: Vec<(TerminateCause, u64)>,
    /// By phase and reason, likewise.
    failures: Vec<((Phase, Reason), u64)>,
    /// Failures by user and by source, likewise.
    users: Vec<(&'a [u8], u64)>,
    sources: Vec<(IpAddr, u64)>,
    /// Sessions of the user who has most.
    flaps: Top<&'a [u8]>,
}

impl<'a> Figures<'a> {
    fn of(window: &'a Window) -> Self {
        let records: Vec<&Record> = window.records().collect();
        let causes = ranking(records.iter().filter_map(|record| match record.what {
            What::SessionDown { cause } => Some(cause),
            _ => None,
        }));
        let failures = ranking(records.iter().filter_map(|record| failure(record)));
        let opened = records.iter().filter(|record| record.what == What::SessionUp);
        let named = opened.map(|record| record.user()).filter(|user| !user.is_empty());
        Self {
            counts: window.counts(),
            bound: if window.is_short() { "at least " } else { "" },
            causes,
            failures,
            users: worst(&records, |record| Some(record.user()).filter(|user| !user.is_empty())),
            sources: worst(&records, |record| record.source),
            flaps: ranking(named).first().copied(),
            records,
        }
    }

    fn count(&self, label: &str) -> u64 {
        let place = What::LABELS.iter().position(|known| *known == label);
        place.map_or(0, |place| self.counts[place])
    }

    /// Calls that were decided.
    fn calls(&self) -> u64 {
        self.count("sessions_opened") + self.count("calls_failed")
    }

    /// The cause of most ends that were not as they should be, of those that
    /// are known.
    fn dominant(&self) -> Top<TerminateCause> {
        let blamed = |cause| !is_regular(cause) && cause != TerminateCause::Unknown;
        self.causes.iter().copied().find(|(cause, _)| blamed(*cause))
    }

    /// `, 11 of them from 203.0.113.7`, where one source has more than one of
    /// the records that `wanted` lets through.
    fn mostly_from(&self, wanted: impl Fn(&Record) -> bool) -> String {
        let wanted = self.records.iter().filter(|record| wanted(record));
        match ranking(wanted.filter_map(|record| record.source)).first() {
            Some((source, count @ 2..)) => format!(", {count} of them from {source}"),
            _ => String::new(),
        }
    }

    fn summary(&self, seen: &Seen) -> String {
        let (span, open) = (&seen.span, seen.open);
        if self.counts.iter().all(|count| *count == 0) {
            let logs = seen.logs.join(" ");
            return match seen.newest {
                Some(_) => format!("no calls and no events in {span} in {logs}, {open} open"),
                None => format!("no entry of pptpd, pppd or accel-ppp in {logs}"),
            };
        }
        // What most ends and failures are, though they may be few.
        let ends =
            self.dominant().map(|(cause, count)| format!(" ({count} by {})", blame(cause).2));
        let failures = self.failures.first();
        let failures = failures.map(|((_, reason), count)| format!(" ({count} {reason})"));
        format!(
            "{} opened, {} ended{}, {} of {} failed{} in {span}, {open} open",
            quantity(self.count("sessions_opened"), "session"),
            self.count("sessions_ended"),
            ends.unwrap_or_default(),
            self.count("calls_failed"),
            quantity(self.calls(), "call"),
            failures.unwrap_or_default(),
        )
    }
}

fn failure(record: &Record) -> Option<(Phase, Reason)> {
    match record.what {
        What::CallFailed { phase, reason } => Some((phase, reason)),
        _ => None,
    }
}

/// Failures by key. A login that fails is told as such, and again as the call
/// that failed with it: of the two, what is more counts.
fn worst<'a, K: Copy + Eq + Hash + Ord>(
    records: &[&'a Record],
    key: impl Fn(&'a Record) -> Option<K>,
) -> Vec<(K, u64)> {
    let mut tallies = HashMap::<K, [u64; 3]>::new();
    for record in records {
        let place = match record.what {
            What::CallFailed { .. } => 0,
            What::AuthFailure => 1,
            What::ControlRefused => 2,
            _ => continue,
        };
        if let Some(key) = key(record) {
            tallies.entry(key).or_default()[place] += 1;
        }
    }
    let sum = |(key, [calls, logins, refused]): (K, [u64; 3])| (key, calls.max(logins) + refused);
    let mut worst: Vec<_> = tallies.into_iter().map(sum).collect();
    worst.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    worst
}

fn metrics(seen: &Seen, figures: &Figures<'_>, thresholds: &Thresholds, least: u64) -> Vec<Metric> {
    let number = |label, value: u64| Metric::number(label, value as f64).min(0.0);
    let judged = |metric: Metric| metric.judged_by(thresholds);
    let ratio = |label, part: u64, whole: u64| {
        let metric = Metric::percent(label, part as f64 * 100.0 / whole as f64);
        // Of a few calls every ratio is chance.
        let metric = metric.min(0.0).max(100.0);
        (whole > 0).then(|| if whole < least { metric } else { judged(metric) })
    };
    let counts = What::LABELS.iter().zip(figures.counts);
    let mut metrics: Vec<_> = counts.map(|(label, count)| judged(number(label, count))).collect();
    metrics.push(judged(number("sessions_open", seen.open)));
    let failed = figures.count("calls_failed");
    metrics.extend(ratio("failure_ratio", failed, figures.calls()));
    let dominant = figures.dominant().map_or(0, |(_, count)| count);
    metrics.extend(ratio("cause_share", dominant, figures.count("sessions_ended")));
    let first = |count: Option<u64>| count.unwrap_or(0);
    for (label, count) in [
        ("user_failures", first(figures.users.first().map(|(_, count)| *count))),
        ("source_failures", first(figures.sources.first().map(|(_, count)| *count))),
        ("user_flaps", first(figures.flaps.map(|(_, count)| count))),
    ] {
        metrics.push(judged(number(label, count)));
    }
    if let Some(newest) = seen.newest {
        let age = seen.end.saturating_sub(newest).max(0).unsigned_abs();
        metrics.push(judged(Metric::seconds("log_age", Duration::from_micros(age))));
    }
    metrics
}

/// `1 call`, `2 calls`.
fn quantity(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// What the first line says of a metric outside its range.
struct Situation {
    phase: Phase,
    reason: Reason,
    headline: String,
    /// Instead of the reason's own, unless empty.
    mend: &'static str,
}

fn situation(label: &str, seen: &Seen, figures: &Figures<'_>) -> Option<Situation> {
    let count = figures.count(label);
    let (bound, span) = (figures.bound, &seen.span);
    let refused = figures.mostly_from(|record| record.what == What::ControlRefused);
    let (phase, reason, headline) = match label {
        "conntrack_full" => {
            let text = format!(
                "the kernel says {} in {span} that its table of connections is full",
                quantity(count, "time")
            );
            (Phase::Gre, Reason::ConntrackFull, text)
        }
        "server_stops" => {
            let text = format!("the daemon ended {} in {span}", quantity(count, "time"));
            (Phase::Control, Reason::Stopped, text)
        }
        "pool_exhausted" => {
            let callers = quantity(count, "caller");
            let text = format!("{callers} turned away in {span}: all places are taken");
            (Phase::Call, Reason::CallRefused, text)
        }
        "radius_errors" => {
            let of_radius =
                |reason| matches!(reason, Reason::RadiusSilent | Reason::RadiusSecretMismatch);
            let mut reasons = figures.failures.iter().map(|((_, reason), _)| *reason);
            let reason = reasons.find(|reason| of_radius(*reason)).unwrap_or(Reason::RadiusSilent);
            let times = quantity(count, "time");
            (Phase::Auth, reason, format!("RADIUS failed {times} in {span}: {}", reason.meaning()))
        }
        "control_refused" => {
            let text =
                format!("{} refused in {span}{refused}", quantity(count, "control connection"));
            (Phase::Control, Reason::ControlRefused, text)
        }
        "source_failures" => {
            let (source, count) = figures.sources.first()?;
            let users = figures.records.iter().filter(|record| record.source == Some(*source));
            let users = ranking(users.map(|record| record.user()).filter(|user| !user.is_empty()));
            let names = match users.as_slice() {
                [] => String::new(),
                [(user, _)] => format!(", as {}", escape(user)),
                users => format!(", under {} names", users.len()),
            };
            let text =
                format!("{bound}{} from {source} in {span}{names}", quantity(*count, "failure"));
            (Phase::Auth, Reason::RepeatedFailures, text)
        }
        "user_failures" => {
            let (user, count) = figures.users.first()?;
            let from =
                figures.mostly_from(|record| record.user() == *user && (failure(record).is_some()));
            let text = format!(
                "{bound}{} of {} in {span}{from}",
                quantity(*count, "failure"),
                escape(user)
            );
            (Phase::Auth, Reason::RepeatedFailures, text)
        }
        "user_flaps" => {
            let (user, count) = figures.flaps?;
            let text =
                format!("{bound}{} of {} in {span}", quantity(count, "session"), escape(user));
            (Phase::Data, Reason::Flapping, text)
        }
        "cause_share" => {
            let (cause, count) = figures.dominant()?;
            let (phase, reason, words) = blame(cause);
            let from = figures.mostly_from(|record| record.what == What::SessionDown { cause });
            let ended = quantity(figures.count("sessions_ended"), "session");
            let text = format!("{bound}{count} of {ended} ended by {words} in {span}{from}");
            (phase, reason, text)
        }
        "failure_ratio" => {
            let ((phase, reason), most) = *figures.failures.first()?;
            let from = figures.mostly_from(|record| failure(record) == Some((phase, reason)));
            let text = format!(
                "{} of {} failed in {span}, {bound}{most} as {}{from}",
                figures.count("calls_failed"),
                quantity(figures.calls(), "call"),
                reason.meaning()
            );
            (phase, reason, text)
        }
        "auth_failures" => {
            let from = figures.mostly_from(|record| record.what == What::AuthFailure);
            let text = format!("{} failed in {span}{from}", quantity(count, "login"));
            (Phase::Auth, Reason::AuthRejected, text)
        }
        "lcp_timeouts" => {
            let from = figures.mostly_from(|record| {
                failure(record).is_some_and(|(phase, _)| phase == Phase::Lcp)
            });
            let text = format!("{} did not answer LCP in {span}{from}", quantity(count, "caller"));
            (Phase::Lcp, Reason::Silent, text)
        }
        "mppe_failures" => {
            let text = format!("MPPE failed {} in {span}", quantity(count, "time"));
            (Phase::Ccp, Reason::MppeRefused, text)
        }
        "address_failures" => {
            let text = format!("{} got no address in {span}", quantity(count, "caller"));
            (Phase::Ipcp, Reason::NoAddress, text)
        }
        "echo_timeouts" => {
            let cause = TerminateCause::EchoTimeout;
            let from = figures.mostly_from(|record| record.what == What::SessionDown { cause });
            let callers = quantity(count, "caller");
            let text = format!("{callers} stopped answering LCP echoes in {span}{from}");
            (Phase::Lcp, Reason::LcpEchoSilent, text)
        }
        "log_age" => {
            let age = seen.end.saturating_sub(seen.newest?);
            let text = format!("no PPTP program wrote anything for {}", span_words(age));
            (Phase::Control, Reason::Silent, text)
        }
        _ => return None,
    };
    let mend = match label {
        "log_age" => "check that the daemon runs, and that its messages reach this log",
        "lcp_timeouts" => "allow IP protocol 47 between these callers and the gateway",
        _ => "",
    };
    Some(Situation { phase, reason, headline, mend })
}

/// Phase, reason and words for a cause of ends.
fn blame(cause: TerminateCause) -> (Phase, Reason, &'static str) {
    match cause {
        TerminateCause::EchoTimeout => (Phase::Lcp, Reason::LcpEchoSilent, "LCP echo failure"),
        TerminateCause::LostCarrier => {
            (Phase::Control, Reason::ControlLost, "loss of the control connection")
        }
        TerminateCause::CtrlReset => {
            (Phase::Control, Reason::ControlLost, "reset of the control connection")
        }
        TerminateCause::GreSilent => (Phase::Gre, Reason::GreStopped, "silent GRE"),
        TerminateCause::LcpTimeout => (Phase::Lcp, Reason::Silent, "LCP timeout"),
        TerminateCause::MppeLost => (Phase::Ccp, Reason::MppeKeyMismatch, "loss of encryption"),
        TerminateCause::NasReboot => (Phase::Control, Reason::Stopped, "the end of the daemon"),
        TerminateCause::LostService => (Phase::Data, Reason::Terminated, "loss of service"),
        _ => (Phase::Data, Reason::Terminated, "an error of the gateway"),
    }
}

fn describe(mut report: Report, seen: &Seen, figures: &Figures<'_>, metrics: &[Metric]) -> Report {
    let listed = |list: Vec<String>| list.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    let causes =
        figures.causes.iter().map(|(cause, count)| format!("{count} {}", cause_word(*cause)));
    let failures =
        figures.failures.iter().map(|((phase, reason), count)| format!("{count} {phase}/{reason}"));
    let users = figures.users.iter().map(|(user, count)| format!("{} {count}", escape(user)));
    let sources = figures.sources.iter().map(|(source, count)| format!("{source} {count}"));
    for (what, list) in [
        ("ends", causes.collect::<Vec<_>>()),
        ("calls failed", failures.collect()),
        ("failures by user", users.collect()),
        ("failures by source", sources.collect()),
    ] {
        if !list.is_empty() {
            report = report.detail(1, format!("{what}: {}{}", figures.bound, listed(list)));
        }
    }
    if report.state() != State::Ok {
        for complaint in metrics.iter().filter_map(Metric::complaint) {
            report = report.detail(1, complaint);
        }
        report = report.detail(1, figures.summary(seen));
    }
    for trouble in &seen.troubles {
        report = report.detail(1, trouble.text.clone());
    }
    for gap in &seen.gaps {
        report = report.detail(1, format!("entries may be lost: {gap}"));
    }
    if seen.future > 0 {
        let text = format!(
            "{} events have a stamp later than the clock, and count as of now",
            seen.future
        );
        report = report.detail(1, text).fact("future_events", seen.future);
    }
    report = report.detail(1, format!("read {}", seen.logs.join(" ")));
    for line in &seen.listing {
        report = report.detail(2, line.clone());
    }
    if seen.unlisted > 0 {
        report = report.detail(2, format!("and {} events more", seen.unlisted));
    }
    if let Some((cause, _)) = figures.dominant() {
        report = report.fact("dominant_cause", cause_word(cause));
    }
    if let Some((user, _)) = figures.users.first() {
        report = report.fact("worst_user", escape(user));
    }
    if let Some((source, _)) = figures.sources.first() {
        report = report.fact("worst_source", source.to_string());
    }
    if let Some((user, _)) = figures.flaps {
        report = report.fact("most_sessions_of", escape(user));
    }
    report
        .fact("lower_bounds", seen.window.is_short())
        .fact("logs", seen.logs.clone())
        .fact("gaps", seen.gaps.clone())
}

/// Microseconds for people, to a tenth: `90 s`, `15 min`, `2.5 h`, `7 d`.
pub(super) fn span_words(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (length, unit) = match seconds {
        ..120 if seconds != 60 => (1, "s"),
        ..7200 if seconds != 3600 => (60, "min"),
        ..172_800 if seconds != 86_400 => (3600, "h"),
        _ => (86_400, "d"),
    };
    let tenths = seconds * 10 / length;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        rest => format!("{}.{rest} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests;
