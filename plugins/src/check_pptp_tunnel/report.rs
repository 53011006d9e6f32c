//! Judges what the traffic showed; touches neither the network nor the clock.

use std::time::Duration;

use pptp_probe::output::{Metric, Report, State, Sub};
use pptp_probe::plugin::Context;
use pptp_probe::probe::Observation;
use pptp_probe::probe::tunnel::dns::DnsSeen;
use pptp_probe::probe::tunnel::echoes::Echoes;
use pptp_probe::probe::tunnel::path_mtu::{self, Bound, Clamp};
use pptp_probe::probe::tunnel::url::{Host, HostPort, Url};
use pptp_probe::probe::tunnel::way::Answer;
use pptp_probe::probe::tunnel::web::{Step as WebStep, WebSeen};
use pptp_probe::probe::tunnel::{BulkSeen, Found, Limit, PathMtu, Step, StepSeen};
use pptp_probe::proto::tunnel::Proof;
use pptp_probe::reason::{Phase, Reason};
use pptp_probe::wire::ip::unreachable_name;

use super::TunnelArgs;
use crate::session::{self, describe_mode, span};

/// Echoes lost, repeated or out of order that are still chance.
const CHANCE: u64 = 1;

/// Echoes lost one after the other at the end of a series that are an end of
/// everything, and not loss.
const STOPPED: usize = 5;
/// What a step may be shorter than asked for.
const ROUNDING: Duration = Duration::from_millis(50);

/// The first step where keys that agreed do no more.
const OUT_OF_STEP: &str = "update MPPE on the gateway; compare stateful and stateless mode";
/// The first step where there was not time enough.
const TIME_UP: &str = "raise -t, or ask for less";
/// The first step where a service inside does not answer as it should.
const SERVICE: &str = "check the service, and firewall and routes behind the gateway";

/// Octets from which on a rate says something about the path.
const LEAST_BULK: u64 = 64 << 10;

pub(super) const METRICS: &[&str] = &[
    "rtt",
    "rtt_p95",
    "rtt_max",
    "jitter",
    "loss",
    "duplicates",
    "reordered",
    "outer_rtt",
    "outer_rtt_p95",
    "outer_rtt_max",
    "outer_jitter",
    "outer_loss",
    "dns_time",
    "tcp_time",
    "mss",
    "http_time",
    "http_first_byte",
    "http_size",
    "tls_time",
    "cert_days",
    "down",
    "up",
    "mtu_up",
    "mtu_down",
    "mtu_fragmented",
    "mtu_host",
    "mtu_negotiated",
    "kept",
    "renegotiated",
    "time",
    "resolve_time",
    "connect_time",
    "control_time",
    "call_time",
    "gre_time",
    "lcp_time",
    "auth_time",
    "ccp_time",
    "ipcp_time",
    "data_time",
    "mppe_bits",
    "gre_sent",
    "gre_received",
    "gre_lost",
    "gre_duplicates",
    "gre_reordered",
    "sessions",
    "sessions_failed",
    "time_max",
    "idle_kept",
    "idle_dropped",
];

/// What keeps a metric from being measured.
pub(super) fn excluded(args: &TunnelArgs, label: &str) -> Option<&'static str> {
    match label {
        "rtt" | "rtt_p95" | "rtt_max" | "jitter" | "loss" | "duplicates" | "reordered"
        | "outer_rtt" | "outer_rtt_p95" | "outer_rtt_max" | "outer_jitter" | "outer_loss"
            if args.count == 0 =>
        {
            Some("--count 0")
        }
        "dns_time" if args.dns.is_empty() => Some("no --dns"),
        "tcp_time" | "mss" if args.tcp.is_empty() => Some("no --tcp"),
        "mtu_up" | "mtu_down" | "mtu_fragmented" | "mtu_host" | "mtu_negotiated" if !args.mtu => {
            Some("no --mtu")
        }
        "mtu_host" if args.ping.is_none() => Some("no --ping"),
        "http_time" | "http_first_byte" | "http_size" if args.http.is_empty() => Some("no --http"),
        "tls_time" | "cert_days" if !args.http.iter().any(Url::is_secure) => {
            Some("no --http with https")
        }
        "down" | "up" if args.throughput.is_none() => Some("no --throughput"),
        "up" if !args.http.is_empty() && args.throughput_to.is_none() => Some("no --throughput-to"),
        "kept" if args.keep.is_none() => Some("no --keep"),
        _ => None,
    }
}

pub(super) fn report(context: &Context, seen: &Observation, found: &Found) -> Report {
    let judge = Judge { context, seen, found };
    let subs: Vec<Sub> = found.steps.iter().map(|step| judge.sub(step)).collect();
    let mut report = judge.verdict(&subs);
    let time = seen.time_to(Phase::Ipcp).max(seen.time_to(Phase::Ccp));
    let facts = &seen.seen;
    if let Some(time) = time.filter(|_| facts.phase(Phase::Ipcp).is_some()) {
        report = report.metric(Metric::seconds("time", time).judged_by(&context.thresholds));
    }
    report = session::describe(report, context, seen);
    report = session::describe_gre(report, context, seen);
    report = session::describe_login(report, context, seen);
    let again = facts.renegotiated;
    let times = again.lcp + again.ccp + again.ipcp;
    if facts.phase(Phase::Ipcp).is_some() {
        let metric = Metric::number("renegotiated", times.into()).min(0.0);
        report = report.metric(metric.judged_by(&context.thresholds));
    }
    if times > 0 {
        let text = format!(
            "gateway negotiated again while the tunnel was used: {} x LCP, {} x CCP, {} x IPCP",
            again.lcp, again.ccp, again.ipcp
        );
        report = report.detail(1, text);
    }
    if facts.link.resets > CHANCE {
        let text = format!(
            "gateway asked {} times for fresh MPPE tables (CCP Reset-Request): it misses packets",
            facts.link.resets
        );
        report = report.detail(1, text);
    }
    if let Some(text) = strays(found) {
        report = report.detail(1, text);
    }
    subs.into_iter().fold(report, Report::sub_result)
}

struct Judge<'a> {
    context: &'a Context,
    seen: &'a Observation,
    found: &'a Found,
}

impl Judge<'_> {
    /// The session's own failure, else the worst step, else what worked.
    fn verdict(&self, subs: &[Sub]) -> Report {
        let facts = &self.seen.seen;
        if facts.failure.is_some() || facts.phase(Phase::Ipcp).is_none() {
            let report = session::begin(self.context, self.seen, Phase::Ipcp, String::new);
            let reason = facts.failure.as_ref().map(|failure| failure.reason);
            // What RADIUS sent was right.
            return match (reason, facts.proof) {
                (Some(Reason::MppeKeyMismatch), Proof::Proved(_)) => report.mend(OUT_OF_STEP),
                (Some(Reason::Silent), _) if facts.phase(Phase::Ipcp).is_some() => {
                    report.mend(TIME_UP)
                }
                _ => report,
            };
        }
        let order = |state: State| match state {
            State::Ok => 0,
            State::Unknown => 1,
            State::Warning => 2,
            State::Critical => 3,
        };
        let mut worst: Option<&Sub> = None;
        // A metric outside its range is told with the name of its step by the report.
        let failed = |sub: &&Sub| {
            sub.verdict().is_some_and(|verdict| verdict.reason != Reason::Threshold)
                && sub.state() != State::Ok
        };
        for sub in subs.iter().filter(failed) {
            if worst.is_none_or(|worst| order(sub.state()) > order(worst.state())) {
                worst = Some(sub);
            }
        }
        if let Some((sub, verdict)) = worst.and_then(|sub| Some((sub, sub.verdict()?))) {
            let report = Report::failed(verdict.phase, verdict.reason, sub.headline());
            return report.mend(verdict.mend.clone()).with_state(sub.state());
        }
        if self.found.untried > 0 {
            let text = format!("time was up with {} steps inside not begun", self.found.untried);
            let report = Report::failed(Phase::Data, Reason::Silent, text);
            return report.mend(TIME_UP).timeout_state(self.context.timeout.state);
        }
        if let Some((reason, text)) = session::gre_complaint(self.seen) {
            return Report::failed(Phase::Gre, reason, text);
        }
        Report::ok(self.success())
    }

    fn success(&self) -> String {
        let name = session::name(self.seen);
        let mut done: Vec<String> = Vec::new();
        for step in &self.found.steps {
            done.push(match &step.seen {
                StepSeen::Ping { inner, outer, .. } => {
                    let times = inner.median().map(span).unwrap_or_default();
                    let outside = outer.median().map(span).unwrap_or_default();
                    format!("echo {times} (outside {outside}), {} lost", inner.lost)
                }
                StepSeen::Name(name, _) => format!("{name} resolves"),
                StepSeen::Connect(place, _) => format!("{place} connects"),
                StepSeen::Page(seen) => {
                    format!("{} in {}", seen.url, span(seen.time))
                }
                StepSeen::Bulk { down, up } => {
                    let up = up.as_ref().and_then(|up| up.moved.rate());
                    let up = up.map(|up| format!(", {} up", rate_words(up))).unwrap_or_default();
                    let down = down.moved.rate().map(rate_words).unwrap_or_default();
                    format!("{down} down{up}")
                }
                StepSeen::PathMtu(seen) => mtu_words(seen, MTU_UNIT),
                StepSeen::Keep { kept, .. } => format!("kept {}", span(*kept)),
            });
        }
        done.extend(negotiated_again(self.seen));
        let encryption = match self.seen.seen.mppe.flatten() {
            Some(mode) => format!("MPPE {}", describe_mode(mode)),
            None => "no encryption".into(),
        };
        let done = if done.is_empty() { "session up".to_owned() } else { done.join(", ") };
        format!("through {name}: {done}; {encryption}")
    }

    fn sub(&self, step: &Step) -> Sub {
        match &step.seen {
            StepSeen::Ping { host, address, inner, outer } => match address {
                Ok(_) => self.ping(host, inner, outer),
                Err((reason, text)) => Sub::failed("ping", Phase::Data, *reason, text.clone()),
            },
            StepSeen::Name(name, seen) => self.name(name, seen),
            StepSeen::Connect(place, outcome) => self.connect(place, outcome),
            StepSeen::Page(seen) => self.page(seen),
            StepSeen::Bulk { down, up } => self.bulk(down, up.as_ref()),
            StepSeen::PathMtu(seen) => self.path_mtu(seen),
            StepSeen::Keep { wanted, kept, inner, outer } => {
                self.keep(*wanted, *kept, inner, outer)
            }
        }
    }

    fn keep(&self, wanted: Duration, kept: Duration, inner: &Echoes, outer: &Echoes) -> Sub {
        let facts = &self.seen.seen;
        let again = negotiated_again(self.seen).map(|text| format!(", {text}"));
        let again = again.unwrap_or_default();
        let text = format!(
            "kept for {} of {}{again}, {} of {} echoes lost inside, {} of {} outside",
            span(kept),
            span(wanted),
            inner.lost,
            inner.sent,
            outer.lost,
            outer.sent
        );
        let sub = if kept + ROUNDING < wanted {
            match &facts.failure {
                Some(failure) => Sub::failed("keep", failure.phase, failure.reason, text),
                None => Sub::failed("keep", Phase::Data, Reason::Silent, text)
                    .mend(TIME_UP)
                    .with_state(self.context.timeout.state),
            }
        } else {
            let host = facts.peer_address.map(|address| address.to_string());
            let host = host.unwrap_or_else(|| "the gateway".into());
            self.echo_complaint("keep", &host, inner, outer)
                .unwrap_or_else(|| Sub::ok("keep", text))
        };
        sub.metric(self.judged(Metric::seconds("kept", kept)))
    }

    fn judged(&self, metric: Metric) -> Metric {
        metric.judged_by(&self.context.thresholds)
    }

    fn ping(&self, host: &str, inner: &Echoes, outer: &Echoes) -> Sub {
        let mut sub = self.echo_complaint("ping", host, inner, outer).unwrap_or_else(|| {
            let text = |echoes: &Echoes| {
                let time = |time: Option<Duration>| time.map(span).unwrap_or_default();
                format!("{} (p95 {})", time(echoes.median()), time(echoes.p95()))
            };
            Sub::ok("ping", format!("{host} answers in {}, LCP in {}", text(inner), text(outer)))
        });
        let seconds = [
            ("rtt", inner.median()),
            ("rtt_p95", inner.p95()),
            ("rtt_max", inner.max()),
            ("jitter", inner.jitter()),
            ("outer_rtt", outer.median()),
            ("outer_rtt_p95", outer.p95()),
            ("outer_rtt_max", outer.max()),
            ("outer_jitter", outer.jitter()),
        ];
        for (label, value) in seconds {
            if let Some(value) = value {
                sub = sub.metric(self.judged(Metric::seconds(label, value)));
            }
        }
        for (label, value) in [("loss", inner.loss()), ("outer_loss", outer.loss())] {
            if let Some(value) = value {
                let metric = Metric::percent(label, value).min(0.0).max(100.0);
                sub = sub.metric(self.judged(metric));
            }
        }
        for (label, value) in
            [("duplicates", inner.duplicates), ("reordered", inner.reordered as u64)]
        {
            sub = sub.metric(self.judged(Metric::number(label, value as f64).min(0.0)));
        }
        sub
    }

    /// What is wrong with echoes inside and outside, the worst first.
    fn echo_complaint(
        &self,
        name: &str,
        host: &str,
        inner: &Echoes,
        outer: &Echoes,
    ) -> Option<Sub> {
        let failed =
            |phase, reason, text: String| Some(Sub::failed(name.to_owned(), phase, reason, text));
        if inner.sent == 0 && outer.sent == 0 {
            let text = format!("no echo to {host} could be sent in time");
            return failed(Phase::Data, Reason::InnerSilent, text);
        }
        if inner.received == 0 && (inner.sent > 0 || outer.received == 0) {
            return Some(self.nothing_back(name, host, inner, outer));
        }
        let (ended, ended_outside) = (inner.lost_at_end(), outer.lost_at_end());
        // Until then next to nothing was lost.
        let stopped = |echoes: &Echoes, ended: usize| {
            ended >= STOPPED && (echoes.lost_beside(0) - ended) as u64 <= CHANCE
        };
        if stopped(outer, ended_outside) {
            let text = format!(
                "GRE worked and then stopped: the last {ended_outside} of {} LCP echoes and the last {ended} of {} echoes inside were lost",
                outer.sent, inner.sent
            );
            return failed(Phase::Gre, Reason::GreStopped, text);
        }
        if stopped(inner, ended) {
            let text = format!(
                "{host} answered and then stopped: the last {ended} of {} echoes inside were lost, while LCP echoes come back",
                inner.sent
            );
            return failed(Phase::Data, Reason::InnerSilent, text);
        }
        // What is on its way when the gateway negotiates again is lost.
        let again = self.seen.seen.renegotiated;
        let gaps = (again.lcp + again.ccp + again.ipcp) as usize;
        let lost = |echoes: &Echoes| echoes.lost_beside(gaps) as u64;
        if lost(outer) > CHANCE {
            let text = format!(
                "{} of {} echoes inside and {} of {} LCP echoes were lost: the path loses GRE",
                inner.lost, inner.sent, outer.lost, outer.sent
            );
            return failed(Phase::Gre, Reason::GreLossy, text);
        }
        if lost(inner) > CHANCE {
            let text = format!(
                "{} of {} echoes inside were lost, {} of {} outside",
                inner.lost, inner.sent, outer.lost, outer.sent
            );
            return failed(Phase::Data, Reason::InnerLossy, text);
        }
        if inner.duplicates > CHANCE {
            let text =
                format!("{} of {} echoes inside came back twice", inner.duplicates, inner.sent);
            return failed(Phase::Data, Reason::InnerDuplicated, text);
        }
        if inner.reordered as u64 > CHANCE {
            let text =
                format!("{} of {} echoes inside came out of order", inner.reordered, inner.sent);
            return failed(Phase::Data, Reason::InnerReordered, text);
        }
        None
    }

    /// None of the echoes inside came back: which layer is it?
    fn nothing_back(&self, name: &str, host: &str, inner: &Echoes, outer: &Echoes) -> Sub {
        let facts = &self.seen.seen;
        let sent = inner.sent;
        let failed = |reason, text: String| Sub::failed(name.to_owned(), Phase::Data, reason, text);
        if outer.received == 0 && outer.sent > 0 {
            let text =
                "GRE worked and then stopped: neither echoes inside nor LCP echoes came back";
            return Sub::failed(name, Phase::Gre, Reason::GreStopped, text);
        }
        if let Some((from, what)) = inner.refusals.iter().find_map(|(answer, _)| match *answer {
            Answer::Unreachable { from, code } => Some((from, unreachable_name(code))),
            Answer::TooBig { from, .. } => Some((from, "fragmentation needed")),
            Answer::Reply { .. } => None,
        }) {
            let text = format!("{from} says inside the tunnel: {host} {what}");
            return failed(Reason::InnerSilent, text);
        }
        let stray = self.found.stray;
        let unread = [
            (stray.fragments, "IP fragments come", "let whole packets through: check MTU and MRU"),
            (
                stray.bad_checksum,
                "packets with wrong checksums come",
                "look for NAT or checksum offload that spoils packets behind the gateway",
            ),
            (
                stray.foreign,
                "packets for other addresses come",
                "check addresses, NAT and routes on the gateway",
            ),
        ];
        if let Some((_, what, mend)) = unread.iter().find(|(count, ..)| *count >= sent as u64) {
            let text = format!("none of {sent} echoes to {host} came back, instead {what}");
            return failed(Reason::InnerSilent, text).mend(*mend);
        }
        let proved = matches!(facts.proof, Proof::Proved(_)) || facts.link.decrypted > 0;
        if facts.mppe.flatten().is_some() && !proved {
            let text = format!(
                "none of {sent} encrypted echoes to {host} came back, while LCP echoes do: MPPE keys differ, or it answers no ping"
            );
            return failed(Reason::MppeKeyMismatch, text);
        }
        let text = format!("none of {sent} echoes to {host} came back, while LCP echoes do");
        failed(Reason::InnerSilent, text)
    }

    fn page(&self, seen: &WebSeen) -> Sub {
        let name = format!("http {}", seen.url);
        let mut sub = match self.page_complaint(seen) {
            Some((reason, text)) => {
                let sub = Sub::failed(name, Phase::Data, reason, text);
                match (&seen.failure, seen.step) {
                    (Some(_), WebStep::Connect) => sub.mend(SERVICE),
                    (Some((Reason::Silent, _)), _) if self.path_loses() => {
                        sub.mend(Reason::GreLossy.mend())
                    }
                    _ => sub,
                }
            }
            None => {
                let status = seen.status.map(|status| status.to_string()).unwrap_or_default();
                let tls = seen.tls.as_ref().map(|tls| format!(", {}", tls.version));
                let first = seen.first_byte_time.map(span).unwrap_or_default();
                let text = format!(
                    "{} answers {status} with {}{} octets in {}, first byte after {first}{}",
                    seen.url,
                    if seen.is_whole { "" } else { "more than " },
                    seen.body,
                    span(seen.time),
                    tls.unwrap_or_default()
                );
                Sub::ok(name, text)
            }
        };
        if seen.failure.is_none() {
            sub = sub.metric(self.judged(Metric::seconds("http_time", seen.time)));
        }
        if seen.failure.is_none() && seen.is_whole {
            sub = sub.metric(self.judged(Metric::octets("http_size", seen.body)));
        }
        if let Some(time) = seen.first_byte_time {
            sub = sub.metric(self.judged(Metric::seconds("http_first_byte", time)));
        }
        if let Some(time) = seen.tls_time {
            sub = sub.metric(self.judged(Metric::seconds("tls_time", time)));
        }
        if let Some(left) = seen.tls.as_ref().and_then(|tls| tls.expires_in) {
            sub = sub.metric(self.judged(Metric::days("cert_days", left)));
        }
        sub
    }

    /// Echoes of LCP have shown that the path loses more than chance.
    fn path_loses(&self) -> bool {
        self.found.steps.iter().any(|step| match &step.seen {
            StepSeen::Ping { outer, .. } => outer.lost as u64 > CHANCE,
            _ => false,
        })
    }

    fn page_complaint(&self, seen: &WebSeen) -> Option<(Reason, String)> {
        if let Some((reason, text)) = &seen.failure {
            let reason = match (seen.step, reason) {
                (_, Reason::Local) => Reason::Local,
                (WebStep::Dns, _) => Reason::DnsFailed,
                (WebStep::Tls, _) => Reason::TlsFailed,
                (WebStep::Connect, reason) => *reason,
                (WebStep::Request | WebStep::Body, _) => Reason::HttpFailed,
            };
            let text = format!("{} through the tunnel: {text}", seen.url);
            return Some((reason, text));
        }
        let status = seen.status.filter(|status| !(200..400).contains(status));
        let text = if let Some(status) = status {
            format!("{} answers {status}", seen.url)
        } else if seen.string_found == Some(false) {
            format!("{} does not hold the text of --expect-string", seen.url)
        } else if seen.regex_found == Some(false) {
            format!("{} does not match --expect-regex", seen.url)
        } else {
            return None;
        };
        Some((Reason::HttpFailed, text))
    }

    fn bulk(&self, down: &BulkSeen, up: Option<&BulkSeen>) -> Sub {
        let words = |seen: &BulkSeen, way: &str| match seen.moved.rate() {
            Some(rate) => {
                let limit = match seen.limit {
                    Limit::Loss => "loss",
                    Limit::Window => "the window",
                    Limit::Processor => "MPPE on this host",
                    Limit::Path => "path or server",
                };
                format!("{} {way}, limited by {limit}", rate_words(rate))
            }
            None => format!("nothing {way}"),
        };
        let ways = [(Some(down), "down"), (up, "up")];
        let ways = ways.into_iter().filter_map(|(seen, way)| Some((seen?, way)));
        let text: Vec<String> = ways.clone().map(|(seen, way)| words(seen, way)).collect();
        let failure =
            ways.clone().find_map(|(seen, way)| Some((seen.moved.failure.as_ref()?, way)));
        let is_enough = |seen: &BulkSeen| seen.moved.octets >= LEAST_BULK;
        let few = ways.clone().find(|(seen, _)| seen.moved.failure.is_none() && !is_enough(seen));
        let mut sub = match (failure, few) {
            (None, None) => Sub::ok("throughput", text.join("; ")),
            (None, Some((seen, way))) => {
                let octets = seen.moved.octets;
                let text = format!("only {octets} octets came {way}: too few to tell a rate");
                Sub::failed("throughput", Phase::Data, Reason::Local, text)
                    .mend("name a larger object with --http")
            }
            (Some(((reason, text), way)), _) => {
                let text = format!("throughput {way} through the tunnel: {text}");
                let sub = Sub::failed("throughput", Phase::Data, *reason, text);
                match reason {
                    Reason::Silent if ways.clone().any(|(seen, _)| is_enough(seen)) => {
                        sub.mend(TIME_UP).with_state(self.context.timeout.state)
                    }
                    _ => sub.mend(SERVICE),
                }
            }
        };
        for (seen, way) in ways {
            if let Some(rate) = seen.moved.rate().filter(|_| is_enough(seen)) {
                sub = sub.metric(self.judged(Metric::number(way, rate.round()).min(0.0)));
            }
        }
        sub
    }

    /// Something is broken where packets that a client may send vanish; where
    /// they pass in pieces, that is worth a remark.
    fn path_mtu(&self, seen: &PathMtu) -> Sub {
        let negotiated = usize::from(seen.negotiated);
        let hole = |found: path_mtu::Found| {
            found.largest.filter(|limit| found.black_hole && *limit < negotiated)
        };
        let to_host = seen.to_host.and_then(|found| found.largest);
        let limit = match (hole(seen.fragmented), seen.to_host.and_then(hole)) {
            (Some(limit), host) if host.is_none_or(|host| host >= limit) => {
                Some((limit, "", format!(" ({})", mtu_words(seen, " pass"))))
            }
            (_, host) => host.map(|limit| (limit, " to the host", String::new())),
        };
        let mut sub = if seen.whole.both.is_none() && to_host.is_none() {
            let text =
                "no packet of 128 octets and more comes back from the gateway's inner address";
            Sub::failed("mtu", Phase::Data, Reason::InnerSilent, text)
        } else if let Some((limit, whither, ways)) = limit {
            let text = format!(
                "packets above {limit} octets{whither} vanish without a word{ways}, and LCP allows {negotiated}: set MRU {limit}, MSS clamp {}",
                limit.saturating_sub(40)
            );
            Sub::failed("mtu", Phase::Data, Reason::MtuBlackHole, text)
        } else if seen.fragmented.cut_off || seen.to_host.is_some_and(|found| found.cut_off) {
            let words = mtu_words(seen, MTU_UNIT);
            let text = format!("time or loss cut off the search for the largest packet: {words}");
            let state = self.context.timeout.state;
            Sub::failed("mtu", Phase::Data, Reason::Silent, text)
                .mend("raise -t, or see what the path loses")
                .with_state(state)
        } else {
            let host =
                to_host.map(|octets| format!("; {octets} reach the host")).unwrap_or_default();
            let words = mtu_words(seen, MTU_UNIT);
            let text = format!("{words}{}{host}", mtu_advice(seen).unwrap_or_default());
            Sub::ok("mtu", text)
        };
        let octets = [
            ("mtu_up", seen.whole.up.map(|bound| bound.octets)),
            ("mtu_down", seen.whole.down.map(|bound| bound.octets)),
            ("mtu_fragmented", seen.fragmented.largest),
            ("mtu_host", to_host),
            ("mtu_negotiated", Some(negotiated)),
        ];
        for (label, octets) in octets {
            if let Some(octets) = octets {
                sub = sub.metric(self.judged(Metric::octets(label, octets as u64)));
            }
        }
        sub
    }

    fn name(&self, name: &Host, seen: &DnsSeen) -> Sub {
        let sub = match &seen.failure {
            None => {
                let addresses: Vec<String> =
                    seen.addresses.iter().map(ToString::to_string).collect();
                let server = seen.server.map(|server| format!(" by {server}")).unwrap_or_default();
                let text = format!("{name} is {}{server}", addresses.join(" "));
                Sub::ok(format!("dns {name}"), text)
            }
            Some((_, text)) => {
                let name = format!("dns {name}");
                Sub::failed(name, Phase::Data, Reason::DnsFailed, text.clone())
            }
        };
        match seen.failure {
            None => sub.metric(self.judged(Metric::seconds("dns_time", seen.time))),
            Some(_) => sub,
        }
    }

    fn connect(
        &self,
        place: &HostPort,
        outcome: &Result<(Duration, u16), (Reason, String)>,
    ) -> Sub {
        let name = format!("tcp {place}");
        match outcome {
            Ok((time, mss)) => {
                let text = format!("{place} connects in {}, MSS {mss}", span(*time));
                Sub::ok(name, text)
                    .metric(self.judged(Metric::seconds("tcp_time", *time)))
                    .metric(self.judged(Metric::octets("mss", u64::from(*mss))))
            }
            Err((reason, text)) => {
                let text = format!("through the tunnel: {text}");
                Sub::failed(name, Phase::Data, *reason, text).mend(SERVICE)
            }
        }
    }
}

/// How often the gateway negotiated again, whatever it was.
fn negotiated_again(seen: &Observation) -> Option<String> {
    let again = seen.seen.renegotiated;
    match again.lcp + again.ccp + again.ipcp {
        0 => None,
        1 => Some("negotiated again once".to_owned()),
        times => Some(format!("negotiated again {times} times")),
    }
}

/// `12.3 MB/s`.
fn rate_words(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.1} MB/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.0} kB/s", rate / 1e3),
        rate => format!("{rate:.0} B/s"),
    }
}

/// What [`mtu_words`] says of the sizes where nothing is wrong.
const MTU_UNIT: &str = " octets pass whole";

/// `1459 octets pass whole up, 1456 down`.
fn mtu_words(seen: &PathMtu, unit: &str) -> String {
    let words = |bound: Option<Bound>| match bound {
        Some(Bound { octets, exact: true }) => octets.to_string(),
        Some(Bound { octets, exact: false }) => format!("at least {octets}"),
        None => "nothing".to_owned(),
    };
    let (up, down) = (seen.whole.up, seen.whole.down);
    if up == down {
        return format!("{}{unit}", words(up));
    }
    format!("{}{unit} up, {} down", words(up), words(down))
}

/// What becomes of larger packets that LCP allows, and what to set.
fn mtu_advice(seen: &PathMtu) -> Option<String> {
    let Clamp { mtu, mss } = seen.whole.clamp(seen.negotiated)?;
    let larger = match seen.fragmented.largest.filter(|octets| *octets > mtu.into()) {
        Some(octets) => {
            let noticed = if seen.reassembled { " (seen from the gateway)" } else { "" };
            let allowed = if octets < usize::from(seen.negotiated) { "" } else { " as LCP allows" };
            format!("; larger ones, up to {octets}{allowed}, only in fragments{noticed}")
        }
        None => format!(", but LCP allows {}", seen.negotiated),
    };
    Some(format!("{larger}: set MRU {mtu}, MSS clamp {mss}"))
}

/// What came out of the tunnel that nobody wanted.
fn strays(found: &Found) -> Option<String> {
    let stray = found.stray;
    let kinds = [
        (stray.fragments, "IP fragments"),
        (stray.bad_checksum, "with wrong checksums"),
        (stray.foreign, "for other addresses"),
        (stray.redirects, "ICMP redirects"),
        (stray.malformed, "malformed"),
        (stray.unexpected, "nobody asked for"),
        (stray.overflowed, "too many at once"),
    ];
    let some: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!some.is_empty()).then(|| format!("ignored inside: {}", some.join(", ")))
}

#[cfg(test)]
mod tests;
