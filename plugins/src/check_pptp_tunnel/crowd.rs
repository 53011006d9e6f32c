//! `--sessions`: many at once. Judges what they showed together; touches
//! neither the network nor the clock.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use clap::Args;
use pptp_probe::output::{Metric, Report, State};
use pptp_probe::plugin::Context;
use pptp_probe::probe::Observation;
use pptp_probe::probe::figures::median;
use pptp_probe::probe::tunnel::crowd::Member;
use pptp_probe::probe::tunnel::echoes::Echoes;
use pptp_probe::proto::Failure;
use pptp_probe::reason::{Phase, Reason};

use super::Seconds;
use crate::session::{self, span};

/// Echoes lost that are still chance, where less than a hundredth is lost.
const CHANCE: usize = 1;

/// Time for each echo, of whichever session: the system offers every packet to
/// every raw socket, and a host busy with that would measure itself.
const SPACING: Duration = Duration::from_millis(1);

/// The arguments.
#[derive(Debug, Clone, Args)]
pub(super) struct CrowdArgs {
    /// So many sessions at once, 1 to 250; each sends its echoes while all stand, and no faster
    /// than a thousand a second all together
    #[arg(long, value_name = "N", conflicts_with_all = ["dns", "tcp", "http", "throughput", "mtu", "keep"])]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=250))]
    pub(super) sessions: Option<u16>,
    /// With --sessions: from the start of one to the next
    #[arg(long, value_name = "SECS", default_value = "0.02", requires = "sessions")]
    pub(super) ramp: Seconds,
}

impl CrowdArgs {
    /// The option because of which a metric is not measured.
    pub(super) fn excludes(&self, label: &str) -> Option<&'static str> {
        let is_ours = matches!(label, "sessions" | "sessions_failed" | "time_max");
        let is_shared = matches!(label, "rtt" | "rtt_max" | "loss" | "time");
        match self.sessions {
            Some(_) if is_ours || is_shared || session::is_phase_time(label) => None,
            Some(_) => Some("--sessions"),
            None => is_ours.then_some("no --sessions"),
        }
    }

    /// The least interval between two echoes of one session.
    pub(super) fn spacing(&self) -> Duration {
        SPACING * self.sessions.unwrap_or(0).into()
    }

    /// From the start of the first session to that of the last.
    pub(super) fn spread(&self) -> Duration {
        self.ramp.0 * u32::from(self.sessions.unwrap_or(1)).saturating_sub(1)
    }
}

/// Of all sessions of a run, at least one.
pub(super) fn report(context: &Context, members: &[Member]) -> Report {
    let crowd = Crowd::new(members);
    let first = crowd.up.first().copied().or(members.first());
    let mut report = crowd.verdict(context, first.map(|member| &member.seen));
    let judged = |metric: Metric| metric.judged_by(&context.thresholds);
    if !crowd.is_our_fault() {
        let (all, up) = (members.len() as f64, crowd.up.len() as f64);
        report = report
            .metric(judged(Metric::number("sessions", up).min(0.0).max(all)))
            .metric(judged(Metric::number("sessions_failed", all - up).min(0.0).max(all)));
    }
    let seconds = [
        ("rtt", crowd.rtt()),
        ("rtt_max", crowd.echoes().filter_map(Echoes::max).max()),
        ("time", crowd.up.iter().filter_map(|member| member.up_after).max()),
        ("time_max", crowd.up.iter().filter_map(|member| member.seen.time_to(Phase::Ipcp)).max()),
    ];
    for (label, value) in seconds {
        if let Some(value) = value {
            report = report.metric(judged(Metric::seconds(label, value)));
        }
    }
    let (received, lost) = crowd.settled();
    if received + lost > 0 {
        let loss = lost as f64 * 100.0 / (received + lost) as f64;
        report = report.metric(judged(Metric::percent("loss", loss).min(0.0).max(100.0)));
    }
    if let Some(first) = first {
        report = session::describe(report, context, &first.seen);
    }
    for group in &crowd.failed {
        let Group { failure: Failure { phase, reason, detail }, count, .. } = group;
        report = report.detail(1, format!("{count} failed: {detail} [{phase}/{reason}]"));
    }
    if let Some(text) = crowd.given_twice() {
        report = report.detail(1, text);
    }
    members.iter().zip(1..).fold(report, |report, (member, number)| {
        report.detail(2, format!("#{number} {}", describe(member)))
    })
}

/// Sessions that failed alike.
struct Group<'a> {
    /// Of the first of them.
    failure: &'a Failure,
    timed_out: bool,
    count: usize,
}

impl Group<'_> {
    fn is_our_fault(&self) -> bool {
        self.failure.reason.state() == State::Unknown
    }
}

struct Crowd<'a> {
    members: &'a [Member],
    /// Those that came up and stood until the end.
    up: Vec<&'a Member>,
    /// The others, in the order in which the first of each group began.
    failed: Vec<Group<'a>>,
}

impl<'a> Crowd<'a> {
    fn new(members: &'a [Member]) -> Self {
        let mut crowd = Self { members, up: Vec::new(), failed: Vec::new() };
        for member in members {
            let Some(failure) = &member.seen.seen.failure else {
                crowd.up.push(member);
                continue;
            };
            let is_alike = |group: &&mut Group<'_>| {
                (group.failure.phase, group.failure.reason) == (failure.phase, failure.reason)
            };
            match crowd.failed.iter_mut().find(is_alike) {
                Some(group) => group.count += 1,
                None => {
                    let timed_out = member.seen.seen.timed_out;
                    crowd.failed.push(Group { failure, timed_out, count: 1 });
                }
            }
        }
        crowd
    }

    fn verdict(&self, context: &Context, first: Option<&Observation>) -> Report {
        let all = self.members.len();
        if let Some(text) = self.one_client_only() {
            return Report::failed(Phase::Gre, Reason::SessionsShort, text);
        }
        let Some(group) = self.worst() else { return self.of_all_up(context, first) };
        let Group { failure: Failure { phase, reason, detail }, timed_out, count } = group;
        let up = self.up.len();
        if group.is_our_fault() {
            let text = format!("{detail} ({count} of {all} sessions)");
            return Report::failed(*phase, *reason, text);
        }
        if up > 0 && self.failed.iter().all(|group| means_exhausted(group.failure)) {
            let text = format!("pool or licenses exhausted after {up} of {all} sessions: {detail}");
            return Report::failed(*phase, Reason::SessionsShort, text);
        }
        let report = if up == 0 {
            let text = format!("none of {all} sessions came up: {detail}");
            Report::failed(*phase, *reason, text)
        } else {
            let text =
                format!("only {up} of {all} sessions stood, {count} failed in {phase}: {detail}");
            Report::failed(*phase, Reason::SessionsShort, text)
        };
        if *timed_out { report.timeout_state(context.timeout.state) } else { report }
    }

    /// Something that says nothing about the gateway.
    fn is_our_fault(&self) -> bool {
        self.failed.iter().any(Group::is_our_fault)
    }

    /// Our own fault, else what failed first.
    fn worst(&self) -> Option<&Group<'a>> {
        self.failed.iter().find(|group| group.is_our_fault()).or(self.failed.first())
    }

    /// One session has GRE and no other has, whether it came up before or not.
    fn one_client_only(&self) -> Option<String> {
        let all = self.members.len();
        let (mute, heard): (Vec<&Member>, Vec<_>) =
            self.up.iter().partition(|member| is_mute(member));
        let is_silent = |group: &Group<'_>| {
            matches!(
                group.failure.reason,
                Reason::GreInboundSilent | Reason::GreOutboundSilent | Reason::GreStopped
            )
        };
        let others = mute.len() + self.failed.iter().map(|group| group.count).sum::<usize>();
        if heard.len() != 1 || others == 0 || !self.failed.iter().all(is_silent) {
            return None;
        }
        Some(format!(
            "1 of {all} sessions has GRE, that of the other {others} is silent: a NAT on the way lets only one client through"
        ))
    }

    fn of_all_up(&self, context: &Context, first: Option<&Observation>) -> Report {
        let all = self.members.len();
        if let Some(text) = self.given_twice() {
            return Report::failed(Phase::Ipcp, Reason::AddressUnexpected, text);
        }
        let unasked = self.up.iter().find_map(|member| member.echoes.as_ref().err());
        if let Some((reason, text)) = unasked {
            return Report::failed(Phase::Data, *reason, text.clone());
        }
        let sent: usize = self.echoes().map(|echoes| echoes.sent).sum();
        let (received, lost) = self.settled();
        let mute = self.up.iter().filter(|member| is_mute(member)).count();
        if mute > 0 {
            let text = format!("{mute} of {all} sessions get no echo back while all stand");
            return Report::failed(Phase::Data, Reason::InnerSilent, text);
        }
        if lost > CHANCE && lost * 100 >= received + lost {
            let text =
                format!("{lost} of {sent} echoes inside were lost while {all} sessions stood");
            return Report::failed(Phase::Data, Reason::InnerLossy, text);
        }
        if sent > 0 && received == 0 {
            let text = format!("time was up with {all} sessions before an echo could come back");
            let report = Report::failed(Phase::Data, Reason::Silent, text);
            return report.mend("raise -t").timeout_state(context.timeout.state);
        }
        let name = first.map(session::name).unwrap_or_default();
        let last = self.up.iter().filter_map(|member| member.up_after).max().map(span);
        let mut text = format!(
            "{all} sessions at once through {name}, the last up after {}",
            last.unwrap_or_default()
        );
        if let Some(rtt) = self.rtt() {
            text.push_str(&format!("; echo {}, {lost} of {sent} lost", span(rtt)));
        }
        Report::ok(text)
    }

    fn echoes(&self) -> impl Iterator<Item = &'a Echoes> {
        self.up.iter().filter_map(|member| member.echoes.as_ref().ok())
    }

    /// The median of the sessions' medians.
    fn rtt(&self) -> Option<Duration> {
        let medians: Vec<Duration> = self.echoes().filter_map(Echoes::median).collect();
        median(&medians)
    }

    /// Echoes answered and lost.
    fn settled(&self) -> (usize, usize) {
        let add =
            |(received, lost), echoes: &Echoes| (received + echoes.received, lost + echoes.lost);
        self.echoes().fold((0, 0), add)
    }

    fn given_twice(&self) -> Option<String> {
        let mut given: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
        for address in self.up.iter().filter_map(|member| member.seen.seen.address) {
            *given.entry(address).or_default() += 1;
        }
        let (address, times) = given.iter().max_by_key(|&(_, times)| *times)?;
        let twice = given.values().filter(|times| **times > 1).count();
        match twice {
            0 => None,
            1 => Some(format!("{times} sessions were given the same address {address}")),
            _ => Some(format!("{twice} addresses were given twice, {address} {times} times")),
        }
    }
}

/// The way in which gateways turn away who is too many.
fn means_exhausted(failure: &Failure) -> bool {
    match failure.reason {
        Reason::CallRefused | Reason::ControlRefused | Reason::NoAddress => true,
        // pptpd without a free slot accepts nobody: the kernel lets some callers
        // connect, whom nobody answers, and then ignores the next ones.
        Reason::Silent => {
            matches!(failure.phase, Phase::Connect | Phase::Control | Phase::Ipcp)
        }
        Reason::Terminated | Reason::CallDisconnected | Reason::Stopped | Reason::Closed => {
            failure.phase == Phase::Ipcp
        }
        _ => false,
    }
}

/// Came up, but nothing came back.
fn is_mute(member: &Member) -> bool {
    member.echoes.as_ref().is_ok_and(|echoes| echoes.received == 0 && echoes.lost > 0)
}

fn describe(member: &Member) -> String {
    let facts = &member.seen.seen;
    let up = match (member.up_after, facts.address) {
        (Some(after), Some(address)) => format!("up after {} with {address}", span(after)),
        (Some(after), None) => format!("up after {}", span(after)),
        (None, _) => "not up".to_owned(),
    };
    let end = match (&facts.failure, &member.echoes) {
        (Some(Failure { phase, reason, detail }), _) => format!("{detail} [{phase}/{reason}]"),
        (None, Ok(echoes)) => {
            let times = echoes.median().map(span).unwrap_or_default();
            format!("echo {times}, {} of {} lost", echoes.lost, echoes.sent)
        }
        (None, Err((_, text))) => text.clone(),
    };
    format!("{up}; {end}")
}

#[cfg(test)]
mod tests {
    use pptp_probe::plugin::Check;

    use super::*;
    use crate::check_pptp_tunnel::TunnelArgs;
    use crate::session::tests::{parsed, passed};

    const ALL_PHASES: &[Phase] =
        &[Phase::Control, Phase::Call, Phase::Gre, Phase::Lcp, Phase::Ipcp];

    /// Up after so many milliseconds, with the last octet of its address and
    /// its round trips in milliseconds; 0 is a lost echo.
    fn up(after: u64, address: u8, times: &[u64]) -> Member {
        let mut seen = passed(ALL_PHASES);
        seen.seen.address = Some(Ipv4Addr::new(192, 168, 77, address));
        let times: Vec<Option<Duration>> =
            times.iter().map(|&ms| (ms > 0).then(|| Duration::from_millis(ms))).collect();
        let received = times.iter().flatten().count();
        let (sent, lost) = (times.len(), times.len() - received);
        let echoes = Ok(Echoes { sent, received, lost, times, ..Echoes::default() });
        Member { seen, up_after: Some(Duration::from_millis(after)), echoes }
    }

    fn failed(phase: Phase, reason: Reason, detail: &str) -> Member {
        let mut seen = passed(&[Phase::Control]);
        seen.seen.failure = Some(Failure::new(phase, reason, detail));
        Member { seen, up_after: None, echoes: Ok(Echoes::default()) }
    }

    fn judged(members: &[Member]) -> Report {
        let (_, context) = parsed::<TunnelArgs>("-u probe --sessions 2 -t 10:unknown");
        report(&context, members)
    }

    /// Phase, reason and sentence.
    fn verdict(members: &[Member]) -> (Phase, Reason, String) {
        let report = judged(members);
        let verdict = report.verdict().unwrap();
        (verdict.phase, verdict.reason, report.headline().into_owned())
    }

    fn metric(report: &Report, label: &str) -> Option<f64> {
        report.metrics().iter().find(|metric| metric.label() == label).map(Metric::value)
    }

    #[test]
    fn ok_names_the_last_to_be_up_and_the_median_of_medians() {
        let members = [up(30, 10, &[1, 1, 9]), up(50, 11, &[3, 3, 3]), up(40, 12, &[5, 5, 5])];
        let report = judged(&members);
        assert_eq!(report.state(), State::Ok);
        let headline = report.headline();
        assert!(headline.starts_with("3 sessions at once through "), "{headline}");
        assert!(headline.ends_with(", the last up after 50 ms; echo 3.0 ms, 0 of 9 lost"));
        for (label, value) in [
            ("sessions", 3.0),
            ("sessions_failed", 0.0),
            ("rtt", 0.003),
            ("rtt_max", 0.009),
            ("loss", 0.0),
            ("time", 0.05),
            ("time_max", 0.005),
        ] {
            assert_eq!(metric(&report, label), Some(value), "{label}");
        }
    }

    #[test]
    fn refused_calls_behind_some_that_stand_are_an_exhausted_pool() {
        let refused = || failed(Phase::Call, Reason::CallRefused, "gateway refused the call");
        let quiet = failed(Phase::Control, Reason::Silent, "no Start-Control-Connection-Reply");
        let members = [up(9, 10, &[1]), up(9, 11, &[1]), refused(), refused(), quiet];
        let (phase, reason, text) = verdict(&members);
        assert_eq!((phase, reason), (Phase::Call, Reason::SessionsShort));
        assert_eq!(
            text,
            "pool or licenses exhausted after 2 of 5 sessions: gateway refused the call"
        );
        let report = judged(&members);
        assert_eq!(
            (metric(&report, "sessions"), metric(&report, "sessions_failed")),
            (Some(2.0), Some(3.0))
        );
        let lines: Vec<&str> = report.details().iter().map(|(_, line)| &**line).collect();
        assert!(lines.contains(&"2 failed: gateway refused the call [call/call_refused]"));
        assert!(lines.contains(&"#3 not up; gateway refused the call [call/call_refused]"));
    }

    #[test]
    fn every_way_to_be_turned_away_is_known_and_no_other() {
        for (phase, reason, expected) in [
            (Phase::Control, Reason::ControlRefused, true),
            (Phase::Connect, Reason::Silent, true),
            (Phase::Control, Reason::Silent, true),
            (Phase::Ipcp, Reason::NoAddress, true),
            (Phase::Ipcp, Reason::Terminated, true),
            (Phase::Ipcp, Reason::CallDisconnected, true),
            (Phase::Auth, Reason::Terminated, false),
            (Phase::Auth, Reason::AuthRejected, false),
            (Phase::Call, Reason::Silent, false),
        ] {
            let (_, _, text) = verdict(&[up(9, 10, &[1]), failed(phase, reason, "so")]);
            let expected = match expected {
                true => "pool or licenses exhausted after 1 of 2 sessions: so".to_owned(),
                false => format!("only 1 of 2 sessions stood, 1 failed in {phase}: so"),
            };
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn one_session_with_gre_is_a_nat_for_one_client() {
        let silent = failed(Phase::Gre, Reason::GreInboundSilent, "no GRE came back");
        let text = "1 of 3 sessions has GRE, that of the other 2 is silent: \
                    a NAT on the way lets only one client through";
        let nat = (Phase::Gre, Reason::SessionsShort, text.to_owned());
        // The first, or the last that took it from one that was up already.
        assert_eq!(verdict(&[up(9, 10, &[1]), silent.clone(), silent.clone()]), nat);
        assert_eq!(verdict(&[up(9, 10, &[0]), silent.clone(), up(9, 12, &[1])]), nat);
        let (_, _, text) = verdict(&[up(9, 10, &[1]), up(9, 11, &[1]), silent.clone()]);
        assert_eq!(text, "only 2 of 3 sessions stood, 1 failed in gre: no GRE came back");
        let (_, reason, text) = verdict(&[silent.clone(), silent]);
        assert_eq!(reason, Reason::GreInboundSilent);
        assert_eq!(text, "none of 2 sessions came up: no GRE came back");
    }

    #[test]
    fn timeout_means_what_the_operator_said_unless_others_stand() {
        let mut late = failed(Phase::Control, Reason::Silent, "nothing came");
        late.seen.seen.timed_out = true;
        assert_eq!(judged(&[late.clone(), late.clone()]).state(), State::Unknown);
        assert_eq!(judged(&[up(9, 10, &[1]), late]).state(), State::Critical);
    }

    #[test]
    fn interrupted_run_counts_nothing() {
        let cut = failed(Phase::Data, Reason::Interrupted, "interrupted while using the tunnel");
        let refused = failed(Phase::Call, Reason::CallRefused, "gateway refused the call");
        let report = judged(&[refused, cut.clone(), cut]);
        assert_eq!(report.state(), State::Unknown);
        assert_eq!(report.headline(), "interrupted while using the tunnel (2 of 3 sessions)");
        assert_eq!(metric(&report, "sessions"), None);
    }

    #[test]
    fn address_of_two_sessions_is_told() {
        let (phase, reason, text) = verdict(&[up(9, 10, &[1]), up(9, 11, &[1]), up(9, 10, &[0])]);
        assert_eq!((phase, reason), (Phase::Ipcp, Reason::AddressUnexpected));
        assert_eq!(text, "2 sessions were given the same address 192.168.77.10");
        let two = [10, 11, 10, 11, 11].map(|address| up(9, address, &[1]));
        assert_eq!(verdict(&two).2, "2 addresses were given twice, 192.168.77.11 3 times");
    }

    #[test]
    fn echoes_that_do_not_come_back_are_told_from_chance() {
        let hundred = vec![1; 100];
        let lossy = |lost: usize| [vec![0; lost], vec![1; 100 - lost]].concat();
        assert_eq!(judged(&[up(9, 10, &hundred), up(9, 11, &lossy(1))]).state(), State::Ok);
        let (_, reason, text) = verdict(&[up(9, 10, &hundred), up(9, 11, &lossy(2))]);
        assert_eq!(reason, Reason::InnerLossy);
        assert_eq!(text, "2 of 200 echoes inside were lost while 2 sessions stood");
        let (_, reason, text) = verdict(&[up(9, 10, &[0]), up(9, 11, &[0])]);
        assert_eq!(reason, Reason::InnerSilent);
        assert_eq!(text, "2 of 2 sessions get no echo back while all stand");
        let mut unasked = up(9, 10, &[]);
        unasked.echoes = Err((Reason::DnsFailed, "no such name".into()));
        assert_eq!(verdict(&[unasked]), (Phase::Data, Reason::DnsFailed, "no such name".into()));
    }

    #[test]
    fn time_and_ranges_are_checked_before_the_run() {
        let refusal = |arguments: &str| parsed::<TunnelArgs>(arguments).0.validate();
        assert_eq!(refusal("-u probe --sessions 250"), Ok(()));
        assert_eq!(
            refusal("-u probe --sessions 250 --ramp 0.1"),
            Err("echoes, --throughput, --keep and --ramp alone take 27.4 s; give -t 32 or more"
                .into())
        );
        let (args, _) = parsed::<TunnelArgs>("-u probe --sessions 2");
        for (label, option) in [
            ("sessions", None),
            ("rtt", None),
            ("ipcp_time", None),
            ("jitter", Some("--sessions")),
            ("dns_time", Some("--sessions")),
        ] {
            assert_eq!(args.excludes(label), option, "{label}");
        }
        let (args, _) = parsed::<TunnelArgs>("-u probe");
        assert_eq!(args.excludes("time_max"), Some("no --sessions"));
        let (args, _) = parsed::<TunnelArgs>("-u probe --sessions 2 --count 0");
        assert_eq!(args.excludes("rtt"), Some("--count 0"));
    }
}
