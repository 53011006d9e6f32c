//! Judges what RADIUS servers showed; touches neither the network nor the
//! clock.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use pptp_probe::output::{Metric, Report, State, Sub, Thresholds};
use pptp_probe::probe::figures::percentile;
use pptp_probe::probe::radius::{Carrier, Mode, Observation, Part, Plan, Server};
use pptp_probe::proto::Failure;
use pptp_probe::proto::radius::access::{KeyPolicy, Keys, Proof};
use pptp_probe::proto::radius::client::Signature;
use pptp_probe::proto::radius::exchange::Outcome;
use pptp_probe::reason::{Phase, Reason};
use pptp_probe::wire::radius::{AttributeId, Code};

use crate::session::span;

/// The labels of all metrics.
pub(super) const METRICS: &[&str] = &[
    "time",
    "servers",
    "servers_ok",
    "resolve_time",
    "connect_time",
    "tls_cert_days",
    "auth_time",
    "auth_p95",
    "auth_max",
    "auth_rate",
    "acct_time",
    "status_time",
    "status_p95",
    "status_max",
    "status_rate",
    "acct_status_time",
    "retransmissions",
    "discarded",
    "auth_requests",
    "auth_accepts",
    "auth_rejects",
    "auth_challenges",
    "auth_responses",
    "auth_duplicates",
    "auth_malformed",
    "auth_invalid",
    "auth_dropped",
    "auth_unknown",
    "acct_requests",
    "acct_responses",
    "acct_duplicates",
    "acct_malformed",
    "acct_invalid",
    "acct_dropped",
    "acct_unknown",
    "queue_internal",
    "queue_proxy",
    "queue_auth",
    "queue_acct",
    "queue_detail",
];

/// The counters of FreeRADIUS, by vendor type.
const STATISTICS: &[(u8, &str)] = &[
    (128, "auth_requests"),
    (129, "auth_accepts"),
    (130, "auth_rejects"),
    (131, "auth_challenges"),
    (132, "auth_responses"),
    (133, "auth_duplicates"),
    (134, "auth_malformed"),
    (135, "auth_invalid"),
    (136, "auth_dropped"),
    (137, "auth_unknown"),
    (148, "acct_requests"),
    (149, "acct_responses"),
    (150, "acct_duplicates"),
    (151, "acct_malformed"),
    (152, "acct_invalid"),
    (153, "acct_dropped"),
    (154, "acct_unknown"),
];

/// Its queue lengths, which are no counters.
const QUEUES: &[(u8, &str)] = &[
    (162, "queue_internal"),
    (163, "queue_proxy"),
    (164, "queue_auth"),
    (165, "queue_acct"),
    (166, "queue_detail"),
];

const FREERADIUS: u32 = 11344;

/// What the operator wants to hear.
pub(super) struct Judge<'a> {
    pub(super) thresholds: &'a Thresholds,
    /// What it means that time ran out.
    pub(super) timeout: State,
    pub(super) plan: &'a Plan,
    /// How many servers have to be well.
    pub(super) quorum: usize,
    /// What replies without Message-Authenticator mean.
    pub(super) unsigned: State,
    /// What it means when enough servers are well, but not all.
    pub(super) degraded: State,
}

/// Something that is wrong with a server, and how bad it is.
struct Complaint {
    failure: Failure,
    state: State,
    /// The first step.
    mend: Cow<'static, str>,
    /// Logins come through all the same. What the operator calls a timeout
    /// does not matter for this.
    is_minor: bool,
}

impl Complaint {
    fn worse(self, other: Self) -> Self {
        if other.outranks(&self) { other } else { self }
    }

    fn outranks(&self, other: &Self) -> bool {
        match (self.is_minor, other.is_minor) {
            (false, true) => true,
            (true, false) => false,
            _ => self.state.worst(other.state) != other.state,
        }
    }
}

impl Judge<'_> {
    pub(super) fn report(&self, servers: &[Server], seen: &[Observation]) -> Report {
        let names: Vec<_> = servers.iter().map(|server| server.host.as_str()).collect();
        if let Some((name, failure)) = interruption(&names, seen) {
            let text = format!("{name}: {}", failure.detail);
            return Report::failed(failure.phase, failure.reason, text);
        }
        let complaints: Vec<_> = seen.iter().map(|seen| self.worst(seen)).collect();
        let is_well = |complaint: &Option<Complaint>| {
            complaint.as_ref().is_none_or(|complaint| complaint.is_minor)
        };
        let well = complaints.iter().filter(|complaint| is_well(complaint)).count();
        let is_enough = well >= self.quorum;
        let mut report = self.headline(&names, seen, &complaints, well);
        for (index, (name, seen)) in names.iter().zip(seen).enumerate() {
            let ordinal = (index + 1) as u8;
            let single = names.len() == 1;
            let excused = is_enough && !is_well(&complaints[index]);
            report = self.describe(report, name, ordinal, single, excused, seen);
        }
        report = self.phases(report, seen);
        let of_server = |seen: &Observation| seen.parts.iter().filter_map(main_time).max();
        let times =
            names.iter().zip(seen).filter_map(|(name, seen)| Some((of_server(seen)?, name)));
        if let Some((slowest, name)) = times.max_by_key(|(time, _)| *time) {
            let time = self.seconds("time", slowest);
            report = report.metric(if names.len() > 1 { time.of(*name) } else { time });
        }
        if names.len() > 1 {
            let count = |label, value: usize| Metric::number(label, value as f64);
            report = report
                .metric(count("servers_ok", well).judged_by(self.thresholds))
                .metric(count("servers", names.len()).judged_by(self.thresholds));
        }
        report
    }

    /// The first line, and the state without metrics and sub-results.
    fn headline(
        &self,
        names: &[&str],
        seen: &[Observation],
        complaints: &[Option<Complaint>],
        well: usize,
    ) -> Report {
        let worst = names
            .iter()
            .zip(complaints)
            .filter_map(|(name, complaint)| complaint.as_ref().map(|complaint| (name, complaint)));
        // The first of the worst.
        let worst = worst.reduce(|first, next| if next.1.outranks(first.1) { next } else { first });
        let unsigned = self.unsigned_remark(names, seen);
        let Some((name, complaint)) = worst else {
            let text = match (seen, names) {
                ([only], [name]) => format!("{name} {}", self.success(only)),
                _ => format!("all {} servers are well", names.len()),
            };
            return Report::ok(text + &unsigned);
        };
        let Failure { phase, reason, detail } = &complaint.failure;
        let is_named = detail.starts_with(name) || detail.contains(&format!(" {name}"));
        let mut text = match *phase == Phase::Resolve && is_named {
            true => detail.clone(),
            false => format!("{name}: {detail}"),
        };
        if names.len() > 1 {
            let needed = match self.quorum {
                needed if needed == names.len() => String::new(),
                needed => format!(", {needed} needed"),
            };
            text = format!("{well} of {} servers well{needed}; {text}", names.len());
        }
        let state = match well >= self.quorum {
            // One that is well with a warning says how bad it is by itself.
            true if well == names.len() => complaint.state,
            true => self.degraded,
            false => complaint.state,
        };
        if !unsigned.is_empty() && self.unsigned.worst(state) == self.unsigned {
            text += &unsigned;
            if self.unsigned != state {
                // What raised the alarm is the signature.
                return Report::failed(Phase::Auth, Reason::RadiusUnsigned, text)
                    .with_state(self.unsigned);
            }
        }
        Report::failed(*phase, *reason, text).mend(complaint.mend.clone()).with_state(state)
    }

    /// Whose replies could be forged, behind a sentence; empty where that does
    /// not matter.
    fn unsigned_remark(&self, names: &[&str], seen: &[Observation]) -> String {
        let exposed = names.iter().zip(seen).filter(|(_, seen)| self.is_unsigned(seen));
        let exposed: Vec<_> = exposed.map(|(name, _)| *name).collect();
        match exposed.len() {
            _ if self.unsigned == State::Ok => String::new(),
            0 => String::new(),
            all if all == names.len() => ", replies unsigned (CVE-2024-3596)".into(),
            _ => format!(", replies of {} unsigned (CVE-2024-3596)", exposed.join(" and ")),
        }
    }

    /// Adds a server's parts as sub-results.
    fn describe(
        &self,
        mut report: Report,
        name: &str,
        ordinal: u8,
        single: bool,
        excused: bool,
        seen: &Observation,
    ) -> Report {
        let complain = |label: &str, complaint: &Complaint| {
            let state = match excused && !complaint.is_minor {
                true => self.degraded,
                false => complaint.state,
            };
            let Failure { phase, reason, detail } = complaint.failure.clone();
            Sub::failed(label, phase, reason, detail).mend(complaint.mend.clone()).with_state(state)
        };
        if let Some(failure) = &seen.failure {
            let complaint = self.complaint(failure, false, None);
            report = report.sub_result(complain(name, &complaint));
        }
        for (index, part) in seen.parts.iter().enumerate() {
            let label = format!("{name}:{} {}", part.port, part.mode.word());
            let sub = match self.part_complaint(part) {
                Some(complaint) => complain(&label, &complaint),
                None => Sub::ok(&label, self.part_success(part)),
            };
            let mut sub = self.metrics(sub, part, ordinal);
            if index == 0 {
                sub = self.totals(sub, seen, ordinal);
            }
            report = report.sub_result(sub);
            let discarded = &part.outcome.discarded;
            if discarded.wrong() > 0 || discarded.duplicate > 0 {
                let text = format!("{label}: thrown away: {}", discarded.describe());
                report = report.detail(1, text);
            }
            if let Some((transmissions, since_first, since_last)) = part.outcome.latest {
                let text = format!(
                    "{label}: answered after {transmissions} transmissions, {} after the first \
                     and {} after the last",
                    span(since_first),
                    span(since_last)
                );
                report = report.detail(1, text);
            }
            report = describe_access(report, &label, single, part);
        }
        if self.is_unsigned(seen) && self.unsigned != State::Ok {
            let text = "replies carry no Message-Authenticator, answers can be forged on the way \
                        (CVE-2024-3596)";
            let sub =
                Sub::failed(format!("{name} signature"), Phase::Auth, Reason::RadiusUnsigned, text);
            report = report.sub_result(sub.with_state(self.unsigned));
        }
        if let Some(address) = seen.address.filter(|_| single) {
            report = report.fact("address", address.to_string());
        }
        let agreed = seen.parts.iter().find_map(|part| part.tls.as_ref());
        if let Some(agreed) = agreed.filter(|_| single) {
            report = report
                .fact("tls_version", agreed.version.clone())
                .fact("tls_cipher", agreed.cipher.clone());
        }
        report
    }

    /// How long each phase took, of the slowest server; and the metrics of the
    /// first two phases.
    fn phases(&self, mut report: Report, seen: &[Observation]) -> Report {
        let parts = || seen.iter().flat_map(|seen| &seen.parts);
        let of = |mode: &dyn Fn(Mode) -> bool| {
            let well = parts().filter(|part| mode(part.mode) && part.outcome.failure.is_none());
            well.filter_map(main_time).max()
        };
        let times = [
            (Phase::Resolve, seen.iter().filter_map(|seen| seen.resolve_time).max()),
            (Phase::Connect, parts().filter_map(|part| part.connect_time).max()),
            (Phase::Control, of(&|mode| matches!(mode, Mode::Status | Mode::AcctStatus))),
            (Phase::Auth, of(&|mode| mode == Mode::Auth)),
            (Phase::Data, of(&|mode| mode == Mode::Acct)),
        ];
        for (phase, time) in times {
            let Some(time) = time else { continue };
            report = report.phase(phase, time);
            match phase {
                Phase::Resolve => report = report.metric(self.seconds("resolve_time", time)),
                Phase::Connect => report = report.metric(self.seconds("connect_time", time)),
                _ => {}
            }
        }
        report
    }

    fn metrics(&self, sub: Sub, part: &Part, ordinal: u8) -> Sub {
        let outcome = &part.outcome;
        let mut metrics = Vec::new();
        let mut add = |metric: Metric| {
            metrics.push(metric.judged_by(self.thresholds).numbered(ordinal));
        };
        let [time, p95, max, rate] = match part.mode {
            Mode::Auth => ["auth_time", "auth_p95", "auth_max", "auth_rate"],
            Mode::Status => ["status_time", "status_p95", "status_max", "status_rate"],
            Mode::Acct => ["acct_time"; 4],
            Mode::AcctStatus => ["acct_status_time"; 4],
        };
        if let Some(main) = main_time(part) {
            add(Metric::seconds(time, main));
        }
        if self.plan.count > 1 && matches!(part.mode, Mode::Auth | Mode::Status) {
            let times = &outcome.times;
            if let (Some(p95_time), Some(&longest)) = (percentile(times, 95), times.last()) {
                add(Metric::seconds(p95, p95_time));
                add(Metric::seconds(max, longest));
                let seconds = part.time.as_secs_f64();
                if seconds > 0.0 {
                    add(Metric::number(rate, times.len() as f64 / seconds));
                }
            }
        }
        let expires_in = part.tls.as_ref().and_then(|agreed| agreed.expires_in);
        if let Some(expires_in) = expires_in {
            add(Metric::days("tls_cert_days", expires_in));
        }
        let counter = |number| {
            let id = AttributeId { vendor: FREERADIUS, number };
            outcome.statistics.get(&id).copied()
        };
        for (number, label) in STATISTICS {
            if let Some(value) = counter(*number) {
                add(Metric::counter(label, value.into()));
            }
        }
        for (number, label) in QUEUES {
            if let Some(value) = counter(*number) {
                add(Metric::number(label, value.into()));
            }
        }
        metrics.into_iter().fold(sub, Sub::metric)
    }

    /// What was counted with a server in all its parts.
    fn totals(&self, sub: Sub, seen: &Observation, ordinal: u8) -> Sub {
        let sum = |count: &dyn Fn(&Outcome) -> u32| -> f64 {
            seen.parts.iter().map(|part| f64::from(count(&part.outcome))).sum()
        };
        let totals = [
            ("retransmissions", sum(&|outcome| outcome.retransmissions)),
            ("discarded", sum(&|outcome| outcome.discarded.wrong())),
        ];
        totals.into_iter().fold(sub, |sub, (label, total)| {
            let metric = Metric::number(label, total).judged_by(self.thresholds);
            sub.metric(metric.numbered(ordinal))
        })
    }

    /// The worst that is wrong with a server.
    fn worst(&self, seen: &Observation) -> Option<Complaint> {
        let own = seen.failure.as_ref().map(|failure| self.complaint(failure, false, None));
        let parts = seen.parts.iter().filter_map(|part| self.part_complaint(part));
        own.into_iter().chain(parts).reduce(Complaint::worse)
    }

    fn part_complaint(&self, part: &Part) -> Option<Complaint> {
        let outcome = &part.outcome;
        if let Some(failure) = &outcome.failure {
            return Some(self.complaint(failure, outcome.timed_out, part.source));
        }
        let asked_in_vain = self.plan.statistics.is_some()
            && part.mode == Mode::Status
            && outcome.statistics.is_empty();
        asked_in_vain.then(|| {
            let detail = "answers, but sends no statistics";
            let failure = Failure::new(Phase::Control, Reason::AttributeUnexpected, detail);
            self.complaint(&failure, false, part.source)
        })
    }

    fn complaint(&self, failure: &Failure, timed_out: bool, source: Option<IpAddr>) -> Complaint {
        let wanted = self.plan.login.as_ref().is_some_and(|login| login.keys == KeyPolicy::Wanted);
        let state = match failure.reason {
            Reason::MppeKeysMissing if wanted => State::Warning,
            // Where a signature is required, its lack is a refusal.
            Reason::RadiusUnsigned => State::Critical,
            reason => reason.state(),
        };
        let is_minor = state == State::Warning;
        let state = match failure.reason {
            // What wrong answers say is no timeout, though it is waited to the end.
            Reason::RadiusSilent | Reason::Silent if timed_out => self.timeout,
            _ => state,
        };
        let mend = self.mend(failure, source);
        Complaint { failure: failure.clone(), state, mend, is_minor }
    }

    /// Whether answers to logins could be forged: accounting is not exposed.
    fn is_unsigned(&self, seen: &Observation) -> bool {
        let exposed =
            seen.parts.iter().filter(|part| matches!(part.mode, Mode::Auth | Mode::Status));
        // What TLS protects cannot be forged on the way.
        let is_open = !matches!(self.plan.carrier, Carrier::Tls(_));
        self.plan.signature == Signature::Checked
            && is_open
            && exposed.map(|part| part.outcome.unsigned).sum::<u32>() > 0
    }

    fn success(&self, seen: &Observation) -> String {
        let parts: Vec<_> = seen.parts.iter().map(|part| self.part_success(part)).collect();
        parts.join(", ")
    }

    fn part_success(&self, part: &Part) -> String {
        let outcome = &part.outcome;
        let count = outcome.times.len();
        let time = main_time(part).map(span).unwrap_or_default();
        let time = if count > 1 && part.mode != Mode::Acct {
            let p95 = percentile(&outcome.times, 95).unwrap_or_default();
            format!("{count} times, median {time}, p95 {}", span(p95))
        } else {
            format!("in {time}")
        };
        match part.mode {
            Mode::Auth => format!("{} {time}{}", self.verdict(part), self.merits(part)),
            Mode::Acct => format!("accounts a session {time}"),
            Mode::Status => format!("says it is alive {time}"),
            Mode::AcctStatus => format!("accounting is alive {time}"),
        }
    }

    fn verdict(&self, part: &Part) -> String {
        let code = part.outcome.access.as_ref().map(|access| access.code);
        let login = self.plan.login.as_ref();
        let user = login.map(|login| pptp_probe::output::escape(&login.credentials.username));
        let user = user.unwrap_or_default();
        let method = login.map_or("", |login| login.method.word());
        match code {
            Some(Code::AccessReject) => format!("rejects {user} by {method} as expected"),
            _ => format!("accepts {user} by {method}"),
        }
    }

    /// What an accepted login came with.
    fn merits(&self, part: &Part) -> &'static str {
        let access = part.outcome.access.as_ref();
        match access.map(|access| (access.proof, access.keys)) {
            Some((Some(Proof::Valid), Some(Keys::Right))) => ", proof and MPPE keys right",
            Some((Some(Proof::Valid), _)) => ", proof right",
            Some((None, Some(Keys::Right))) => ", MPPE keys right",
            _ => "",
        }
    }

    /// The first step, where that of a PPTP gateway would be another one.
    /// `source` is the address of ours that the server saw.
    fn mend(&self, failure: &Failure, source: Option<IpAddr>) -> Cow<'static, str> {
        let is_udp = matches!(self.plan.carrier, Carrier::Udp);
        let source = || source.map_or("this host".into(), |source| source.to_string());
        let mend = match failure.reason {
            Reason::Refused => "start the RADIUS server or correct the port",
            Reason::Unreachable => "check routes and firewalls towards the RADIUS server",
            Reason::Silent => "check port and firewall; does it speak what --transport says?",
            Reason::RadiusSilent if is_udp => {
                let source = source();
                return format!(
                    "check server, port and firewall; is {source} a client with this secret there?"
                )
                .into();
            }
            // The server took the connection, so the way is free.
            Reason::RadiusSilent => "compare the shared secret; read the server's log",
            Reason::Closed => {
                let source = source();
                return format!(
                    "read the RADIUS server's log; it may not know {source} or its certificate"
                )
                .into();
            }
            Reason::Malformed => "capture with --pcap; look for another service on the port",
            Reason::AuthRejected => "check name, password and method of the account on the server",
            Reason::AuthAccepted => "check the server's policy: anyone may get in",
            Reason::MutualAuthFailed => "let the server send MS-CHAP2-Success (FreeRADIUS: mschap)",
            Reason::AttributeUnexpected if failure.phase == Phase::Control => {
                "ask the server's own port for it, with --status-port"
            }
            reason => reason.mend(),
        };
        mend.into()
    }

    fn seconds(&self, label: &'static str, time: Duration) -> Metric {
        Metric::seconds(label, time).judged_by(self.thresholds)
    }
}

/// That the run was ended from outside: then it proves nothing, whatever the
/// other servers showed and however many of them are enough.
fn interruption<'a>(names: &[&'a str], seen: &'a [Observation]) -> Option<(&'a str, &'a Failure)> {
    names.iter().zip(seen).find_map(|(name, seen)| {
        let parts = seen.parts.iter().map(|part| &part.outcome.failure);
        let mut failures = std::iter::once(&seen.failure).chain(parts).flatten();
        let found = failures.find(|failure| failure.reason == Reason::Interrupted)?;
        Some((*name, found))
    })
}

/// What an answer to a login showed.
fn describe_access(mut report: Report, label: &str, single: bool, part: &Part) -> Report {
    let Some(access) = &part.outcome.access else { return report };
    if single {
        report = report.fact("code", access.code.to_string());
        if let Some(proof) = access.proof {
            report = report.fact("proof", proof.word());
        }
        if let Some(keys) = access.keys {
            report = report.fact("mppe_keys", keys.word());
        }
        let attributes = access.attributes.iter().map(|(name, value)| format!("{name}={value}"));
        report = report.fact("attributes", attributes.collect::<Vec<_>>());
    }
    for (name, value) in &access.attributes {
        report = report.detail(2, format!("{label}: {name} = {value}"));
    }
    report
}

/// The time that stands for a part: the median, and for accounting the sum of
/// its three answers.
fn main_time(part: &Part) -> Option<Duration> {
    let times = &part.outcome.times;
    match part.mode {
        Mode::Acct if part.outcome.failure.is_none() => Some(times.iter().sum()),
        Mode::Acct => None,
        _ => percentile(times, 50),
    }
}
