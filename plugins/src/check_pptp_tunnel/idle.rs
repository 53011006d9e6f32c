//! `--idle`: how long the path keeps a tunnel in which nothing happens. Plans
//! a run around what earlier ones found out, shows how far it is, and judges.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use clap::Args;
use pptp_probe::net::gre::RawGre;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::tap::Tap;
use pptp_probe::output::{Metric, Report};
use pptp_probe::plugin::Context;
use pptp_probe::probe::Gateway;
use pptp_probe::probe::auth::Wish;
use pptp_probe::probe::tunnel::idle::{self, Found, Idle, OVERHEAD, Progress, Silence};
use pptp_probe::probe::tunnel::spans::{Kept, Span, State, judge, words};
use pptp_probe::probe::tunnel::url::Durations;
use pptp_probe::proto::Failure;
use pptp_probe::proto::tunnel::Seen;
use pptp_probe::reason::{Phase, Reason};

use crate::session::{self, span};

/// Results of earlier runs are good for so long.
const FRESH: Duration = Duration::from_secs(86_400);
/// From one line on the terminal to the next.
const TICK: Duration = Duration::from_secs(1);

/// The arguments.
#[derive(Debug, Clone, Args)]
pub(super) struct IdleArgs {
    /// How long an idle tunnel is kept: a session for each duration such as 30,60s,2m, silent for
    /// so long and then tried. -t must be 10 s longer
    #[arg(long, value_name = "LIST", conflicts_with_all = ["ping", "dns", "tcp", "http", "throughput", "mtu", "keep", "sessions"])]
    pub(super) idle: Option<Durations>,
    /// With --idle: keep results here for a day. What is there is not measured again before the
    /// whole LIST is; a duration too long for -t is taken from a run with a longer -t
    #[arg(long, value_name = "FILE", requires = "idle")]
    state_file: Option<PathBuf>,
}

impl IdleArgs {
    /// The option because of which a metric is not measured.
    pub(super) fn excludes(&self, label: &str) -> Option<&'static str> {
        let is_ours = matches!(label, "idle_kept" | "idle_dropped");
        match &self.idle {
            Some(_) if is_ours || session::is_phase_time(label) => None,
            Some(_) => Some("--idle"),
            None => is_ours.then_some("no --idle"),
        }
    }

    /// Without a file, everything has to fit into `timeout`.
    pub(super) fn validate(&self, timeout: Duration) -> Result<(), String> {
        match (&self.idle, &self.state_file) {
            (Some(list), None) => plan(list, list, timeout).map(drop),
            _ => Ok(()),
        }
    }
}

/// Which of `list` to measure: what is `missing`, or everything that fits
/// where nothing is.
fn plan(
    list: &[Duration],
    missing: &[Duration],
    timeout: Duration,
) -> Result<Vec<Duration>, String> {
    let fits = |idle: &&Duration| **idle + OVERHEAD <= timeout;
    if missing.is_empty() {
        return Ok(list.iter().filter(fits).copied().collect());
    }
    match missing.iter().filter(|idle| !fits(idle)).max() {
        None => Ok(missing.to_vec()),
        Some(&longest) => {
            let advice = (longest + OVERHEAD).as_secs_f64().ceil();
            Err(format!("--idle {} does not fit; give -t {advice} or more", words(longest)))
        }
    }
}

/// What the run needs of the check.
pub(super) struct Setting<'a> {
    /// Where.
    pub(super) gateway: Gateway,
    /// Who.
    pub(super) wish: Wish,
    /// The target as the state file has it.
    pub(super) target: String,
    pub(super) context: &'a Context,
}

/// Measures what is to be measured, and judges all that is known.
pub(super) async fn run(
    args: &IdleArgs,
    list: &[Duration],
    setting: &Setting<'_>,
    sockets: (RawGre, Vec<RawGre>),
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> Report {
    let context = setting.context;
    let mut file = match &args.state_file {
        None => None,
        Some(path) => match open(path.clone(), &setting.target) {
            Ok(file) => Some(file),
            Err(text) => return Report::failed(Phase::Resolve, Reason::Local, text),
        },
    };
    let missing = match &file {
        Some(file) => file.state.missing(list, FRESH, SystemTime::now()),
        None => list.to_vec(),
    };
    let durations = match plan(list, &missing, context.timeout.duration) {
        Ok(durations) => durations,
        Err(text) => {
            let report = Report::failed(Phase::Resolve, Reason::Local, text);
            return report.mend("run it once with a longer -t and the same --state-file");
        }
    };
    let progress = Rc::new(Progress::default());
    let longest = durations.last().copied().unwrap_or_default();
    let found = if durations.is_empty() {
        None
    } else {
        let what = Idle { durations, progress: progress.clone() };
        let Setting { gateway, wish, .. } = setting;
        let allowance = session::allowance(context);
        let measured = idle::probe(gateway, wish, &what, sockets, allowance, interrupt, tap);
        tokio::select! {
            found = measured => Some(found),
            never = show(&progress, longest) => match never {},
        }
    };
    let measured = found.iter().flat_map(|found| &found.silences).map(|silence| silence.span);
    let mut unsaved = None;
    let spans: Vec<Span> = match &mut file {
        None => measured.collect(),
        Some(file) => {
            measured.for_each(|span| file.state.merge(span, SystemTime::now()));
            unsaved = file.state.save(&file.path).err();
            let known = file.state.spans(FRESH, SystemTime::now()).into_iter();
            known.filter(|span| list.contains(&span.idle)).collect()
        }
    };
    let report = report(context, found.as_ref(), &spans);
    unsaved.into_iter().fold(report, |report, text| report.detail(0, text))
}

/// The state file while the run goes on.
struct File {
    path: PathBuf,
    state: State,
}

/// Reads it, and writes it at once: an hour of silence shall not end at a file
/// that cannot be written.
fn open(path: PathBuf, target: &str) -> Result<File, String> {
    let state = State::load(&path, target)?;
    state.save(&path)?;
    Ok(File { path, state })
}

/// Nothing comes of it.
enum Never {}

/// Shows on a terminal how far the run is.
async fn show(progress: &Progress, longest: Duration) -> Never {
    if !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let _cleared = Cleared;
    loop {
        tokio::time::sleep(TICK).await;
        if let Some((silence, sessions)) = progress.silence() {
            let _ = write!(io::stderr(), "\r{}\x1b[K", line(silence, longest, sessions));
        }
    }
}

/// Clears the line at the end.
struct Cleared;

impl Drop for Cleared {
    fn drop(&mut self) {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

fn line(silence: Duration, longest: Duration, sessions: usize) -> String {
    let plural = if sessions == 1 { "" } else { "s" };
    let (silence, longest) = (silence.as_secs(), longest.as_secs());
    format!("idle {silence} of {longest} s, {sessions} session{plural}")
}

fn report(context: &Context, found: Option<&Found>, spans: &[Span]) -> Report {
    let mut report = verdict(context, found, spans);
    let lost = |span: &&Span| [span.outbound, span.inbound, span.control].contains(&Some(false));
    let dropped = spans.iter().filter(lost).map(|span| span.idle).min();
    let is_kept = |span: &&Span| {
        !lost(span)
            && (span.outbound.is_some() || span.control.is_some())
            && dropped.is_none_or(|dropped| span.idle < dropped)
    };
    let kept = spans.iter().filter(is_kept).map(|span| span.idle).max();
    for (label, value) in [("idle_kept", kept), ("idle_dropped", dropped)] {
        if let Some(value) = value {
            let metric = Metric::seconds(label, value);
            report = report.metric(metric.judged_by(&context.thresholds));
        }
    }
    let measured = found.map_or(0, |found| found.silences.len());
    if let Some(found) = found {
        report = session::describe(report, context, &found.helper);
    }
    for span in spans {
        report = report.detail(1, describe(span));
    }
    if let earlier @ 1.. = spans.len().saturating_sub(measured) {
        report = report.detail(1, format!("{earlier} of them from the state file"));
    }
    let silences = found.iter().flat_map(|found| &found.silences);
    for silence in silences.filter(|silence| silence.gateway_packets > 0) {
        report = report.detail(1, disturbance(silence));
    }
    report
}

fn verdict(context: &Context, found: Option<&Found>, spans: &[Span]) -> Report {
    let verdict = judge(spans);
    let mut sentences = verdict.sentences();
    let is_dropped = |kept: &Kept| kept.shortest_dropped.is_some();
    if is_dropped(&verdict.gre) {
        return Report::failed(Phase::Gre, Reason::MappingDropped, sentences.join("; "));
    }
    if is_dropped(&verdict.control) {
        // What is wrong comes first.
        sentences.reverse();
        let report = Report::failed(Phase::Control, Reason::MappingDropped, sentences.join("; "));
        return report.mend("let TCP keepalive on the gateway come more often than that");
    }
    if let Some(report) = found.and_then(|found| failed(context, found)) {
        return report;
    }
    if verdict.gre.longest_kept.is_none() {
        let outbound = spans.iter().filter(|span| span.outbound == Some(true));
        if let Some(idle) = outbound.map(|span| span.idle).max() {
            let text = format!(
                "GRE to the gateway kept for {}, the other way is not known: it does not forward between clients",
                words(idle)
            );
            sentences.insert(0, text);
        }
    }
    sentences.extend(found.and_then(|found| kept_by_gateway(&found.silences)));
    if sentences.is_empty() {
        let text = "nothing could be found out about any duration";
        return Report::failed(Phase::Data, Reason::Silent, text);
    }
    Report::ok(sentences.join("; "))
}

/// What failed without showing anything about the path.
fn failed(context: &Context, found: &Found) -> Option<Report> {
    let timed_out = |report: Report, seen: &Seen| match seen.timed_out {
        true => report.timeout_state(context.timeout.state),
        false => report,
    };
    for silence in &found.silences {
        let facts = &silence.seen.seen;
        let idle = words(silence.span.idle);
        match (&facts.failure, silence.lasted) {
            (Some(Failure { phase, reason, detail }), Some(lasted)) => {
                let text = format!("after {} of {idle} silence: {detail}", span(lasted));
                return Some(timed_out(Report::failed(*phase, *reason, text), facts));
            }
            (Some(Failure { phase, reason, detail }), None) => {
                return Some(timed_out(Report::failed(*phase, *reason, detail.clone()), facts));
            }
            (None, None) => {
                let text = format!("time was up before the silence of {idle} could begin");
                let report = Report::failed(Phase::Data, Reason::Silent, text).mend("raise -t");
                return Some(report.timeout_state(context.timeout.state));
            }
            (None, Some(_)) => {}
        }
    }
    let facts = &found.helper.seen;
    let Failure { phase, reason, detail } = facts.failure.as_ref()?;
    let text = format!("the session that was to ping the silent ones: {detail}");
    Some(timed_out(Report::failed(*phase, *reason, text), facts))
}

/// `60 s: from the gateway yes, to the gateway yes, control yes`.
fn describe(span: &Span) -> String {
    let word = |known: Option<bool>| match known {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    format!(
        "{}: from the gateway {}, to the gateway {}, control {}",
        words(span.idle),
        word(span.inbound),
        word(span.outbound),
        word(span.control)
    )
}

/// Why the path was not idle although we were silent.
fn kept_by_gateway(silences: &[Silence]) -> Option<String> {
    if let Some(interval) = silences.iter().filter_map(echo_interval).max() {
        let interval = words(interval);
        return Some(format!("gateway's own LCP echoes keep it alive every {interval}"));
    }
    let is_broken = silences.iter().any(|silence| silence.gateway_packets > 0);
    is_broken.then(|| "but the gateway sent GRE of its own meanwhile".to_owned())
}

/// The mean time between the gateway's own echoes, to the second.
fn echo_interval(silence: &Silence) -> Option<Duration> {
    let echoes = u32::try_from(silence.gateway_echoes).ok()?;
    let interval = silence.lasted?.checked_div(echoes)?;
    Some(Duration::from_secs(interval.as_secs_f64().round().max(1.0) as u64))
}

fn disturbance(silence: &Silence) -> String {
    let Silence { span, gateway_echoes, gateway_packets, .. } = silence;
    let idle = words(span.idle);
    format!(
        "{idle}: not silent, {gateway_packets} GRE packets of the gateway came, {gateway_echoes} LCP echoes among them"
    )
}

#[cfg(test)]
mod tests {
    use pptp_probe::plugin::Check;

    use super::*;
    use crate::check_pptp_tunnel::TunnelArgs;
    use crate::session::tests::{parsed, passed};

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn span(idle: u64, outbound: Option<bool>, inbound: Option<bool>, control: bool) -> Span {
        Span { idle: secs(idle), outbound, inbound, control: Some(control) }
    }

    fn kept(idle: u64) -> Span {
        span(idle, Some(true), Some(true), true)
    }

    fn unknown(idle: u64) -> Span {
        Span { idle: secs(idle), outbound: None, inbound: None, control: None }
    }

    fn found(spans: &[Span]) -> Found {
        let seen = passed(&[Phase::Control, Phase::Ipcp]);
        let silence = |&span: &Span| Silence {
            span,
            forwarded: Some(true),
            lasted: Some(span.idle),
            gateway_echoes: 0,
            gateway_packets: 0,
            seen: seen.clone(),
        };
        Found { silences: spans.iter().map(silence).collect(), helper: seen.clone() }
    }

    fn judged(found: &Found) -> Report {
        let (_, context) = parsed::<TunnelArgs>("-u probe --idle 60 -t 70:unknown");
        let spans: Vec<Span> = found.silences.iter().map(|silence| silence.span).collect();
        report(&context, Some(found), &spans)
    }

    /// Phase and reason, `None` where all is well, and the sentence.
    fn verdict(found: &Found) -> (Option<(Phase, Reason)>, String) {
        let report = judged(found);
        let verdict = report.verdict().map(|verdict| (verdict.phase, verdict.reason));
        (verdict, report.headline().into_owned())
    }

    fn seconds(report: &Report) -> [Option<f64>; 2] {
        ["idle_kept", "idle_dropped"].map(|label| {
            report.metrics().iter().find(|metric| metric.label() == label).map(Metric::value)
        })
    }

    #[test]
    fn all_kept_is_well() {
        let found = found(&[kept(30), kept(60)]);
        let text = "GRE mapping kept for 60 s; control connection kept for 60 s";
        assert_eq!(verdict(&found), (None, text.into()));
        assert_eq!(seconds(&judged(&found)), [Some(60.0), None]);
    }

    #[test]
    fn dropped_mapping_is_told_with_both_bounds() {
        let found = found(&[kept(30), span(60, Some(true), Some(false), true)]);
        let (verdict, text) = verdict(&found);
        assert_eq!(verdict, Some((Phase::Gre, Reason::MappingDropped)));
        assert!(text.starts_with("GRE mapping dropped between 30 and 60 s; set "), "{text}");
        let report = judged(&found);
        assert_eq!(seconds(&report), [Some(30.0), Some(60.0)]);
        let line = "60 s: from the gateway no, to the gateway yes, control yes";
        assert!(report.details().contains(&(1, line.to_owned())));
    }

    #[test]
    fn dropped_control_connection_comes_first_in_its_sentence() {
        let mut found = found(&[kept(30), span(60, Some(true), Some(true), false)]);
        // That is how the session ended, not why the run failed.
        let closed = Failure::new(Phase::Data, Reason::Closed, "gateway reset the connection");
        found.silences[1].seen.seen.failure = Some(closed);
        let (verdict, text) = verdict(&found);
        assert_eq!(verdict, Some((Phase::Control, Reason::MappingDropped)));
        assert!(text.starts_with("control connection dropped between 30 and 60 s"), "{text}");
        assert_eq!(seconds(&judged(&found)), [Some(30.0), Some(60.0)]);
    }

    #[test]
    fn gateway_that_forwards_nothing_leaves_one_direction_open() {
        let found = found(&[span(60, Some(true), None, true)]);
        let text = "GRE to the gateway kept for 60 s, the other way is not known: \
                    it does not forward between clients; control connection kept for 60 s";
        assert_eq!(verdict(&found), (None, text.into()));
        assert_eq!(seconds(&judged(&found)), [Some(60.0), None]);
    }

    #[test]
    fn echoes_of_the_gateway_are_told_to_keep_the_path() {
        let mut found = found(&[kept(60), kept(120)]);
        for (silence, echoes) in found.silences.iter_mut().zip([2, 4]) {
            (silence.gateway_echoes, silence.gateway_packets) = (echoes, echoes * 2);
        }
        let (verdict, text) = verdict(&found);
        assert_eq!(verdict, None);
        assert!(text.ends_with("; gateway's own LCP echoes keep it alive every 30 s"), "{text}");
        let line = "60 s: not silent, 4 GRE packets of the gateway came, 2 LCP echoes among them";
        assert!(judged(&found).details().contains(&(1, line.to_owned())));
    }

    #[test]
    fn other_packets_of_the_gateway_make_the_silence_doubtful() {
        let mut found = found(&[kept(60)]);
        found.silences[0].gateway_packets = 1;
        let (verdict, text) = verdict(&found);
        assert_eq!(verdict, None);
        assert!(text.ends_with("; but the gateway sent GRE of its own meanwhile"), "{text}");
    }

    #[test]
    fn session_that_ends_in_its_silence_is_the_gateways_doing() {
        let mut found = found(&[kept(30), unknown(60)]);
        let ended = Failure::new(Phase::Data, Reason::Terminated, "gateway ended the link");
        found.silences[1].seen.seen.failure = Some(ended);
        found.silences[1].lasted = Some(secs(45));
        let text = "after 45.0 s of 60 s silence: gateway ended the link";
        let expected = (Some((Phase::Data, Reason::Terminated)), text.to_owned());
        assert_eq!(verdict(&found), expected);
        assert_eq!(seconds(&judged(&found)), [Some(30.0), None]);
    }

    #[test]
    fn what_was_not_tried_is_told() {
        let mut late = found(&[kept(30), unknown(60)]);
        late.silences[1].lasted = None;
        let (reason, text) = verdict(&late);
        assert_eq!(reason, Some((Phase::Data, Reason::Silent)));
        assert_eq!(text, "time was up before the silence of 60 s could begin");
        assert_eq!(judged(&late).state(), pptp_probe::output::State::Unknown);
        let mut alone = found(&[span(60, Some(true), None, true)]);
        let refused = Failure::new(Phase::Call, Reason::CallRefused, "gateway refused the call");
        alone.helper.seen.failure = Some(refused);
        let (reason, text) = verdict(&alone);
        assert_eq!(reason, Some((Phase::Call, Reason::CallRefused)));
        assert_eq!(text, "the session that was to ping the silent ones: gateway refused the call");
    }

    #[test]
    fn results_of_earlier_runs_count_without_a_session() {
        let (_, context) = parsed::<TunnelArgs>("-u probe --idle 60");
        let report = report(&context, None, &[kept(60)]);
        assert_eq!(report.state(), pptp_probe::output::State::Ok);
        assert!(report.details().contains(&(1, "1 of them from the state file".into())));
    }

    #[test]
    fn only_what_is_missing_is_measured_until_everything_is_there() {
        let list = [30, 60, 600].map(secs);
        assert_eq!(plan(&list, &list[1..2], secs(100)), Ok(vec![secs(60)]));
        assert_eq!(plan(&list, &[], secs(100)), Ok(list[..2].to_vec()));
        assert_eq!(plan(&list, &[], secs(9)), Ok(vec![]));
        let refusal = "--idle 10 min does not fit; give -t 610 or more".to_owned();
        assert_eq!(plan(&list, &list, secs(609)), Err(refusal));
        assert_eq!(plan(&list, &list, secs(610)), Ok(list.to_vec()));
    }

    #[test]
    fn list_has_to_fit_unless_a_file_keeps_what_was_measured() {
        let refusal = |arguments: &str| parsed::<TunnelArgs>(arguments).0.validate();
        let text = "--idle 60 s does not fit; give -t 70 or more".to_owned();
        assert_eq!(refusal("-u probe --idle 30,60 -t 69"), Err(text));
        assert_eq!(refusal("-u probe --idle 30,60 -t 70"), Ok(()));
        assert_eq!(refusal("-u probe --idle 30,60 -t 5 --state-file x"), Ok(()));
        let (args, _) = parsed::<TunnelArgs>("-u probe --idle 60");
        assert_eq!(args.excludes("idle_kept"), None);
        assert_eq!(args.excludes("rtt"), Some("--idle"));
        assert_eq!(parsed::<TunnelArgs>("-u probe").0.excludes("idle_kept"), Some("no --idle"));
    }

    #[test]
    fn progress_is_one_short_line() {
        assert_eq!(line(secs(34), secs(120), 3), "idle 34 of 120 s, 3 sessions");
        assert_eq!(line(secs(119), secs(120), 1), "idle 119 of 120 s, 1 session");
    }
}
