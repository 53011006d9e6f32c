//! What a check concluded, before anything is printed.
//!
//! The state is never set twice: it is the worst of what the verdict's reason
//! means, what the metrics' ranges say and what the sub-results are. If only a
//! metric is outside its range, the report itself words the verdict and the
//! first line.

use std::borrow::Cow;
use std::time::Duration;

use super::{Metric, State};
use crate::reason::{Phase, Reason};

/// Where and why something did not end well, and the first step to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The phase it happened in.
    pub phase: Phase,
    /// Why.
    pub reason: Reason,
    /// The first step, as a sentence without a full stop.
    pub mend: String,
}

impl Verdict {
    fn new(phase: Phase, reason: Reason) -> Self {
        Self { phase, reason, mend: reason.mend().to_owned() }
    }
}

/// Something seen that is not a measurement: a vendor, an address.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A text; from a peer only after [`super::escape`].
    Text(String),
    /// A whole number.
    Integer(u64),
    /// A number with decimals.
    Number(f64),
    /// Yes or no.
    Bool(bool),
    /// Several texts.
    List(Vec<String>),
    /// Several things with the same members, each with its name.
    Rows(Vec<Vec<(&'static str, String)>>),
}

/// What a check concluded.
#[derive(Debug, Clone)]
pub struct Report {
    conclusion: Conclusion,
    // Boxed so that a report can be the error of a `Result`.
    seen: Box<Seen>,
}

/// One part of a check that looks at several things, such as one of several
/// gateways.
#[derive(Debug, Clone)]
pub struct Sub {
    name: String,
    conclusion: Conclusion,
}

impl Report {
    /// Everything that was asked for works. The headline is one ASCII sentence
    /// without a full stop.
    pub fn ok(headline: impl Into<String>) -> Self {
        Self::concluding(Conclusion::new(headline.into(), None))
    }

    /// Something does not; the state is what the reason means.
    pub fn failed(phase: Phase, reason: Reason, headline: impl Into<String>) -> Self {
        Self::concluding(Conclusion::new(headline.into(), Some(Verdict::new(phase, reason))))
    }

    /// Replaces the reason's own first step by a more exact one. Without a
    /// verdict there is nothing to mend, and nothing happens.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        if let Some(verdict) = &mut self.conclusion.verdict {
            verdict.mend = mend.into();
        }
        self
    }

    /// Adds a measurement. Labels are distinct within a report.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.conclusion.metrics.push(metric);
        self
    }

    /// Adds how long a phase took, in the order of the phases.
    #[must_use]
    pub fn phase(mut self, phase: Phase, took: Duration) -> Self {
        self.seen.phases.push((phase, took));
        self
    }

    /// Adds something seen. The key is in `snake_case`.
    #[must_use]
    pub fn fact(mut self, key: &'static str, value: impl Into<Fact>) -> Self {
        self.seen.facts.push((key, value.into()));
        self
    }

    /// Adds a line that is shown from verbosity `level` on, 1 to 3.
    #[must_use]
    pub fn detail(mut self, level: u8, text: impl Into<String>) -> Self {
        self.seen.details.push((level, text.into()));
        self
    }

    /// Prints this text, as it is, in the place of the lines for Nagios. The
    /// other formats and the exit status stay.
    #[must_use]
    pub fn page(mut self, text: impl Into<String>) -> Self {
        self.seen.page = Some(text.into());
        self
    }

    /// Adds a sub-result.
    #[must_use]
    pub fn sub_result(mut self, sub: Sub) -> Self {
        self.seen.subs.push(sub);
        self
    }

    /// For a failure that the run's deadline caused: the state is the one the
    /// operator gave behind `-t SECS:`. A report without a verdict stays.
    #[must_use]
    pub fn timeout_state(self, state: State) -> Self {
        if self.conclusion.verdict.is_some() { self.with_state(state) } else { self }
    }

    /// Replaces the state that the verdict's reason means. Metrics and
    /// sub-results can still make it worse.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.conclusion.state = Some(state);
        self
    }

    /// The worst of the verdict, the metrics and the sub-results.
    pub fn state(&self) -> State {
        self.conclusion.state().worst(self.subs_state())
    }

    /// The sentence of the first line, not yet cleaned of what cannot stand in
    /// a line. A metric of a sub-result that makes the state worse is named in
    /// it like one of the report's own.
    pub fn headline(&self) -> Cow<'_, str> {
        match (self.outside_of_sub(), &self.conclusion.verdict) {
            (None, _) => self.conclusion.headline(),
            (Some(outside), None) if self.conclusion.state() == State::Ok => Cow::Owned(outside),
            (Some(outside), _) => Cow::Owned(format!("{}; {outside}", self.conclusion.headline())),
        }
    }

    /// Where and why, if the state is not OK by itself. Without a verdict of
    /// its own that is the worst metric's, then the worst sub-result's.
    pub fn verdict(&self) -> Option<Cow<'_, Verdict>> {
        self.conclusion.verdict().or_else(|| {
            let worst = self.subs_state();
            self.seen.subs.iter().filter(|sub| sub.state() == worst).find_map(Sub::verdict)
        })
    }

    /// The measurements.
    pub fn metrics(&self) -> &[Metric] {
        &self.conclusion.metrics
    }

    /// How long each phase took.
    pub fn phases(&self) -> &[(Phase, Duration)] {
        &self.seen.phases
    }

    /// What was seen.
    pub fn facts(&self) -> &[(&'static str, Fact)] {
        &self.seen.facts
    }

    /// The lines behind the first, with the verbosity from which each is shown.
    pub fn details(&self) -> &[(u8, String)] {
        &self.seen.details
    }

    /// The sub-results.
    pub fn subs(&self) -> &[Sub] {
        &self.seen.subs
    }

    /// What is printed in the place of the lines for Nagios.
    pub(super) fn page_text(&self) -> Option<&str> {
        self.seen.page.as_deref()
    }

    /// Whether a phase was passed; nothing if the run did not get to it or
    /// could not test it.
    pub(super) fn passed(&self, phase: Phase) -> Option<bool> {
        match &self.conclusion.verdict {
            Some(verdict) if verdict.phase == phase => match verdict.reason {
                Reason::Threshold => Some(true),
                // Read, not tried.
                Reason::SettingHarmful | Reason::SettingInsecure => None,
                reason => match reason.state() {
                    State::Critical => Some(false),
                    State::Unknown => None,
                    State::Ok | State::Warning => Some(true),
                },
            },
            _ => self.seen.phases.iter().any(|(passed, _)| *passed == phase).then_some(true),
        }
    }

    /// The sentence of a good report that the first line has no room for,
    /// because a metric took its place.
    pub(super) fn displaced_headline(&self) -> Option<&str> {
        let by_metric =
            self.conclusion.metrics_state() != State::Ok || self.outside_of_sub().is_some();
        let displaced = self.conclusion.verdict.is_none() && by_metric;
        displaced.then_some(self.conclusion.headline.as_str())
    }

    /// The sentence about the first sub-result's metric that alone makes the
    /// state what it is.
    fn outside_of_sub(&self) -> Option<String> {
        let worst = self.subs_state();
        if worst.worst(self.conclusion.state()) == self.conclusion.state() {
            return None;
        }
        let sub = self.seen.subs.iter().find(|sub| sub.state() == worst)?;
        let by_metric = sub.conclusion.stated() != worst;
        by_metric.then(|| format!("{}: {}", sub.name, sub.conclusion.outside()))
    }

    fn subs_state(&self) -> State {
        self.seen.subs.iter().fold(State::Ok, |worst, sub| worst.worst(sub.state()))
    }

    fn concluding(conclusion: Conclusion) -> Self {
        Self { conclusion, seen: Box::default() }
    }
}

impl Sub {
    /// A part that works; the name tells it from the others.
    pub fn ok(name: impl Into<String>, headline: impl Into<String>) -> Self {
        Self { name: name.into(), conclusion: Conclusion::new(headline.into(), None) }
    }

    /// A part that does not.
    pub fn failed(
        name: impl Into<String>,
        phase: Phase,
        reason: Reason,
        headline: impl Into<String>,
    ) -> Self {
        let verdict = Some(Verdict::new(phase, reason));
        Self { name: name.into(), conclusion: Conclusion::new(headline.into(), verdict) }
    }

    /// A whole report as a part of another one, with its state; what it has
    /// beside its metrics stays behind.
    pub fn of(name: impl Into<String>, report: Report) -> Self {
        let state = report.state();
        Self { name: name.into(), conclusion: report.conclusion }.with_state(state)
    }

    /// Replaces the reason's own first step by a more exact one.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        if let Some(verdict) = &mut self.conclusion.verdict {
            verdict.mend = mend.into();
        }
        self
    }

    /// Adds a measurement. In performance data, of several metrics with one
    /// label and number, the first with the worst state stands; the other formats tell them apart by
    /// the sub-result's name.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.conclusion.metrics.push(metric);
        self
    }

    /// Replaces the state that the verdict's reason means.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.conclusion.state = Some(state);
        self
    }

    /// What tells it from the others.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The worst of the verdict and the metrics.
    pub fn state(&self) -> State {
        self.conclusion.state()
    }

    /// The sentence.
    pub fn headline(&self) -> Cow<'_, str> {
        self.conclusion.headline()
    }

    /// Where and why.
    pub fn verdict(&self) -> Option<Cow<'_, Verdict>> {
        self.conclusion.verdict()
    }

    /// The measurements.
    pub fn metrics(&self) -> &[Metric] {
        &self.conclusion.metrics
    }
}

macro_rules! fact_from {
    ($($given:ty => $variant:ident;)*) => {
        $(impl From<$given> for Fact {
            fn from(value: $given) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

fact_from! {
    &str => Text;
    String => Text;
    u8 => Integer;
    u16 => Integer;
    u32 => Integer;
    u64 => Integer;
    f64 => Number;
    bool => Bool;
    Vec<String> => List;
    Vec<Vec<(&'static str, String)>> => Rows;
}

#[derive(Debug, Clone, Default)]
struct Seen {
    phases: Vec<(Phase, Duration)>,
    facts: Vec<(&'static str, Fact)>,
    details: Vec<(u8, String)>,
    subs: Vec<Sub>,
    page: Option<String>,
}

/// What a report and a sub-result have in common.
#[derive(Debug, Clone)]
struct Conclusion {
    headline: String,
    verdict: Option<Verdict>,
    state: Option<State>,
    metrics: Vec<Metric>,
}

impl Conclusion {
    fn new(headline: String, verdict: Option<Verdict>) -> Self {
        Self { headline, verdict, state: None, metrics: Vec::new() }
    }

    fn state(&self) -> State {
        self.stated().worst(self.metrics_state())
    }

    fn headline(&self) -> Cow<'_, str> {
        if self.metrics_state() == State::Ok {
            Cow::Borrowed(&self.headline)
        } else if self.verdict.is_none() {
            Cow::Owned(self.outside())
        } else if self.stated() != self.state() {
            Cow::Owned(format!("{}; {}", self.headline, self.outside()))
        } else {
            Cow::Borrowed(&self.headline)
        }
    }

    /// The first of the metrics that are farthest outside, and how many more
    /// there are.
    fn outside(&self) -> String {
        let state = self.metrics_state();
        let mut worst = self.metrics.iter().filter(|metric| metric.state() == state);
        let first = worst.next().and_then(Metric::complaint).unwrap_or_default();
        match worst.count() {
            0 => first,
            more => format!("{first} (and {more} more)"),
        }
    }

    fn verdict(&self) -> Option<Cow<'_, Verdict>> {
        if let Some(verdict) = &self.verdict {
            return Some(Cow::Borrowed(verdict));
        }
        let worst = self.metrics_state();
        let reason = match worst {
            State::Ok => return None,
            // A metric that is not a number was computed wrongly.
            State::Unknown => Reason::Internal,
            State::Warning | State::Critical => Reason::Threshold,
        };
        let metric = self.metrics.iter().find(|metric| metric.state() == worst)?;
        Some(Cow::Owned(Verdict::new(metric.phase(), reason)))
    }

    fn stated(&self) -> State {
        match (self.state, &self.verdict) {
            (Some(state), _) => state,
            (None, Some(verdict)) => verdict.reason.state(),
            (None, None) => State::Ok,
        }
    }

    fn metrics_state(&self) -> State {
        self.metrics.iter().fold(State::Ok, |worst, metric| worst.worst(metric.state()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Thresholds;

    fn echo_rtt(millis: u64) -> Metric {
        let mut thresholds = Thresholds::new();
        thresholds.set("echo_rtt", "0.2".parse().ok(), "1".parse().ok());
        Metric::seconds("echo_rtt", Duration::from_millis(millis))
            .judged_by(&thresholds)
            .in_phase(Phase::Control)
    }

    fn key(report: &Report) -> (State, Option<(Phase, Reason)>) {
        (report.state(), report.verdict().map(|verdict| (verdict.phase, verdict.reason)))
    }

    #[test]
    fn ok_while_metrics_are_inside() {
        let report = Report::ok("accepted").metric(echo_rtt(100));
        assert_eq!(key(&report), (State::Ok, None));
        assert_eq!(report.headline(), "accepted");
        assert_eq!(report.displaced_headline(), None);
    }

    #[test]
    fn warning_names_the_metric_its_value_and_the_limit() {
        let report = Report::ok("accepted").metric(echo_rtt(231));
        assert_eq!(key(&report), (State::Warning, Some((Phase::Control, Reason::Threshold))));
        assert_eq!(report.headline(), "echo_rtt is 0.231 s, above 0.2 s");
        assert_eq!(report.displaced_headline(), Some("accepted"));
    }

    #[test]
    fn of_several_metrics_the_worst_is_named() {
        let report =
            Report::ok("").metric(echo_rtt(300)).metric(echo_rtt(2000)).metric(echo_rtt(3000));
        assert_eq!(report.state(), State::Critical);
        assert_eq!(report.headline(), "echo_rtt is 2 s, above 1 s (and 1 more)");
    }

    #[test]
    fn critical_when_the_reason_is_the_gateways_doing() {
        let report = Report::failed(Phase::Connect, Reason::Refused, "no").metric(echo_rtt(231));
        assert_eq!(key(&report), (State::Critical, Some((Phase::Connect, Reason::Refused))));
        assert_eq!(report.headline(), "no");
    }

    #[test]
    fn unknown_when_the_reason_is_our_own_doing() {
        let report = Report::failed(Phase::Gre, Reason::Permission, "no raw socket");
        assert_eq!(report.state(), State::Unknown);
        assert_eq!(report.verdict().unwrap().mend, Reason::Permission.mend());
        let report = report.mend("run: setcap");
        assert_eq!(report.verdict().unwrap().mend, "run: setcap");
    }

    #[test]
    fn a_metric_that_is_worse_than_the_verdict_is_added_to_the_headline() {
        let report =
            Report::failed(Phase::Gre, Reason::GreLossy, "3 of 10 lost").metric(echo_rtt(2000));
        assert_eq!(key(&report), (State::Critical, Some((Phase::Gre, Reason::GreLossy))));
        assert_eq!(report.headline(), "3 of 10 lost; echo_rtt is 2 s, above 1 s");
    }

    #[test]
    fn timeout_takes_the_state_the_operator_chose() {
        let report = Report::failed(Phase::Control, Reason::Silent, "silent");
        assert_eq!(report.clone().timeout_state(State::Warning).state(), State::Warning);
        assert_eq!(report.timeout_state(State::Ok).state(), State::Ok);
        assert_eq!(Report::ok("fine").timeout_state(State::Warning).state(), State::Ok);
    }

    #[test]
    fn a_chosen_state_is_still_worsened_by_a_metric() {
        let report = Report::failed(Phase::Control, Reason::Silent, "silent")
            .timeout_state(State::Ok)
            .metric(echo_rtt(2000));
        assert_eq!(report.state(), State::Critical);
    }

    #[test]
    fn worst_sub_result_gives_state_and_verdict() {
        let report = Report::ok("2 of 3 gateways answer")
            .sub_result(Sub::ok("a", "fine"))
            .sub_result(Sub::failed("b", Phase::Resolve, Reason::ResolverFailed, "no server"))
            .sub_result(Sub::failed("c", Phase::Connect, Reason::Silent, "silent"));
        assert_eq!(key(&report), (State::Critical, Some((Phase::Connect, Reason::Silent))));
        assert_eq!(report.headline(), "2 of 3 gateways answer");
    }

    #[test]
    fn metric_of_a_sub_result_is_named_with_it() {
        let slow = || Sub::ok("b", "fine").metric(echo_rtt(300));
        let report = Report::ok("all well").sub_result(Sub::ok("a", "fine")).sub_result(slow());
        assert_eq!(key(&report), (State::Warning, Some((Phase::Control, Reason::Threshold))));
        assert_eq!(report.headline(), "b: echo_rtt is 0.3 s, above 0.2 s");
        assert_eq!(report.displaced_headline(), Some("all well"));
        let report = Report::failed(Phase::Gre, Reason::GreLossy, "lossy").sub_result(slow());
        assert_eq!(report.headline(), "lossy", "it makes nothing worse");
        let sub = Sub::failed("c", Phase::Gre, Reason::GreLossy, "3 of 10 lost");
        let report = Report::failed(Phase::Gre, Reason::GreLossy, "lossy")
            .sub_result(sub.metric(echo_rtt(2000)));
        assert_eq!(report.headline(), "lossy; c: echo_rtt is 2 s, above 1 s");
        let silent = Sub::failed("c", Phase::Connect, Reason::Silent, "silent");
        let report = Report::ok("some well").sub_result(silent).sub_result(slow());
        assert_eq!(report.headline(), "some well", "another sub-result is worse");
    }

    #[test]
    fn not_a_number_is_our_mistake() {
        let report = Report::ok("").metric(Metric::number("offset", f64::NAN));
        assert_eq!(key(&report), (State::Unknown, Some((Phase::Done, Reason::Internal))));
    }

    #[test]
    fn a_phase_is_passed_failed_or_not_reached() {
        let passed = Report::ok("").phase(Phase::Gre, Duration::ZERO);
        assert_eq!(passed.passed(Phase::Gre), Some(true));
        assert_eq!(passed.passed(Phase::Auth), None);
        let failed = Report::failed(Phase::Gre, Reason::GreInboundSilent, "")
            .phase(Phase::Call, Duration::ZERO)
            .phase(Phase::Gre, Duration::ZERO);
        assert_eq!(failed.passed(Phase::Gre), Some(false));
        assert_eq!(failed.passed(Phase::Call), Some(true));
        assert_eq!(Report::failed(Phase::Gre, Reason::Permission, "").passed(Phase::Gre), None);
        assert_eq!(Report::failed(Phase::Gre, Reason::GreLossy, "").passed(Phase::Gre), Some(true));
    }
}
