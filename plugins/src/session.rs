//! What the PPTP checks share: what is done before the network is touched,
//! and how facts that they all have become parts of a report.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use pptp_probe::cli::{AuthMethods, Common, Login, Target};
use pptp_probe::method::Method;
use pptp_probe::net::gre::RawGre;
use pptp_probe::net::pcap::Capture;
use pptp_probe::net::privilege::drop_all;
use pptp_probe::net::resolve::Family;
use pptp_probe::output::{Metric, Report, escape};
use pptp_probe::plugin::{Context, setcap_mend};
use pptp_probe::probe::{Allowance, Gateway, Observation};
use pptp_probe::proto::auth::Credentials;
use pptp_probe::proto::mppe::Mode;
use pptp_probe::proto::tunnel::Proof;
use pptp_probe::reason::{Phase, Reason};
use pptp_probe::secret::Unread;

/// Perfdata label of the time that each phase took.
const PHASE_LABELS: [(Phase, &str); 10] = [
    (Phase::Resolve, "resolve_time"),
    (Phase::Connect, "connect_time"),
    (Phase::Control, "control_time"),
    (Phase::Call, "call_time"),
    (Phase::Gre, "gre_time"),
    (Phase::Lcp, "lcp_time"),
    (Phase::Auth, "auth_time"),
    (Phase::Ccp, "ccp_time"),
    (Phase::Ipcp, "ipcp_time"),
    (Phase::Data, "data_time"),
];

/// Whether a label is one of those of [`describe`].
pub(crate) fn is_phase_time(label: &str) -> bool {
    PHASE_LABELS.iter().any(|(_, known)| *known == label)
}

/// Packets lost, repeated or out of order that are still chance.
const CHANCE: u64 = 1;

/// Opens the capture, where one is asked for.
pub(crate) fn capture(common: &Common) -> Result<Option<Capture>, Report> {
    let Some(path) = &common.pcap else { return Ok(None) };
    Capture::create(path).map(Some).map_err(|error| {
        let text = format!("cannot write the capture {}: {error}", path.display());
        Report::failed(Phase::Resolve, Reason::Local, text)
    })
}

pub(crate) fn give_up_rights() -> Result<(), Report> {
    drop_all().map_err(|error| {
        let text = format!("cannot give up privileges: {error}");
        Report::failed(Phase::Resolve, Reason::Local, text)
    })
}

/// The report of a run whose secrets could not be read.
pub(crate) fn unread(unread: Unread) -> Report {
    let report = Report::failed(Phase::Auth, unread.reason, unread.text);
    match unread.reason {
        Reason::Local => report.mend("--help says where secrets may come from"),
        _ => report,
    }
}

/// Opens the raw socket.
pub(crate) fn raw_socket() -> Result<RawGre, Report> {
    RawGre::open().map_err(|error| no_socket(&error))
}

fn no_socket(error: &std::io::Error) -> Report {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        let text = "no right to open a raw socket for GRE";
        return Report::failed(Phase::Gre, Reason::Permission, text).mend(setcap_mend());
    }
    let text = format!("cannot open a raw socket for GRE: {error}");
    Report::failed(Phase::Gre, Reason::Local, text)
}

/// The gateway that the arguments name; GRE of PPTP exists on IPv4 only.
pub(crate) fn gateway(target: &Target, needs_gre: bool) -> Gateway {
    let family = match (target.ipv4 || needs_gre, target.ipv6) {
        (true, _) => Family::V4,
        (false, true) => Family::V6,
        (false, false) => Family::Any,
    };
    Gateway { host: target.hostname.clone(), port: target.port, family }
}

/// Points the arguments at another host, and another port if there is one.
pub(crate) fn aim(target: &mut Target, host: &str, port: Option<u16>) {
    host.clone_into(&mut target.hostname);
    target.port = port.unwrap_or(target.port);
}

/// Validates the target of a check that speaks GRE.
pub(crate) fn validate_ipv4(target: &Target) -> Result<(), String> {
    target.validate()?;
    if target.ipv6 || matches!(target.literal(), Some(IpAddr::V6(_))) {
        let what = if target.ipv6 { "--ipv6" } else { &target.hostname };
        return Err(format!("{what} cannot be used: GRE of PPTP is IPv4 only"));
    }
    Ok(())
}

pub(crate) fn allowance(context: &Context) -> Allowance {
    Allowance { started: context.started, deadline: context.deadline }
}

/// Begins a report: the failure where there was one, else `headline`, if the
/// session got past its `goal`.
pub(crate) fn begin(
    context: &Context,
    seen: &Observation,
    goal: Phase,
    headline: impl FnOnce() -> String,
) -> Report {
    match &seen.seen.failure {
        None if seen.seen.phase(goal).is_some() => Report::ok(headline()),
        None => {
            let text = format!("the session ended before {goal} was done, and nothing says why");
            Report::failed(goal, Reason::Internal, text)
        }
        Some(failure) => {
            let report = Report::failed(failure.phase, failure.reason, failure.detail.clone());
            if seen.seen.timed_out {
                return report.timeout_state(context.timeout.state);
            }
            report
        }
    }
}

/// Adds what every session shows: phases, their times, and how the gateway
/// introduced itself.
pub(crate) fn describe(mut report: Report, context: &Context, seen: &Observation) -> Report {
    for &(phase, time) in &seen.seen.phases {
        report = report.phase(phase, time);
        if let Some(&(_, label)) = PHASE_LABELS.iter().find(|(known, _)| *known == phase) {
            report = report.metric(Metric::seconds(label, time).judged_by(&context.thresholds));
        }
    }
    if context.verbosity > 0 && seen.seen.start_reply.is_some() {
        report = report.detail(1, introduction(seen));
    }
    if !context.shows_facts {
        return report;
    }
    if let Some(address) = seen.address {
        report = report.fact("address", address.to_string());
    }
    if let Some(reply) = &seen.seen.start_reply {
        let version = reply.protocol_version;
        report = report
            .fact("vendor", escape(&reply.vendor_name))
            .fact("host_name", escape(&reply.host_name))
            .fact("firmware", f64::from(reply.firmware_revision))
            .fact("protocol_version", format!("{}.{}", version >> 8, version & 0xFF))
            .fact("framing_capabilities", f64::from(reply.framing_capabilities))
            .fact("bearer_capabilities", f64::from(reply.bearer_capabilities))
            .fact("maximum_channels", f64::from(reply.maximum_channels));
    }
    report
}

/// Adds what the path did to GRE.
pub(crate) fn describe_gre(mut report: Report, context: &Context, seen: &Observation) -> Report {
    let gre = &seen.seen.gre;
    if seen.seen.call_reply.is_none() {
        return report;
    }
    for (label, value) in [
        ("gre_sent", gre.sent + gre.acks_sent),
        ("gre_received", gre.received),
        ("gre_lost", gre.lost),
        ("gre_duplicates", gre.duplicates),
        ("gre_reordered", gre.reordered),
    ] {
        let metric = Metric::number(label, value as f64).min(0.0);
        report = report.metric(metric.judged_by(&context.thresholds));
    }
    if let Some(reply) = &seen.seen.call_reply {
        report = report
            .fact("peer_call_id", f64::from(reply.call_id))
            .fact("peer_window", f64::from(reply.packet_recv_window_size))
            .fact("connect_speed", f64::from(reply.connect_speed));
    }
    report
}

/// Adds how the login went and what it gave.
pub(crate) fn describe_login(mut report: Report, context: &Context, seen: &Observation) -> Report {
    let facts = &seen.seen;
    if let Some(method) = facts.method {
        report = report.fact("auth_method", method.word());
    }
    if let Some(mode) = facts.mppe {
        let bits = mode.map_or(0, |mode| mode.length.bits());
        report = report
            .metric(Metric::number("mppe_bits", bits.into()).judged_by(&context.thresholds))
            .fact("mppe", mode.map_or("none".to_owned(), describe_mode));
        if mode.is_some() {
            report = report.fact("mppe_keys_proved", matches!(facts.proof, Proof::Proved(_)));
        }
    }
    let is_encrypted = facts.mppe.is_some_and(|mode| mode.is_some());
    if facts.proof == Proof::Silent && is_encrypted && facts.link.decrypted == 0 {
        let text = "the gateway's inner address answers no ping, so the MPPE keys are not proved";
        report = report.detail(1, text);
    }
    if let Some(address) = facts.address.filter(|_| facts.phase(Phase::Ipcp).is_some()) {
        report = report.fact("assigned_address", address.to_string());
    }
    if let Some(address) = facts.peer_address {
        report = report.fact("inner_address", address.to_string());
    }
    let list = |list: &[Ipv4Addr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !facts.dns.is_empty() {
        report = report.fact("dns", list(&facts.dns));
    }
    report
}

/// `128 bit stateless`.
pub(crate) fn describe_mode(mode: Mode) -> String {
    let kind = if mode.stateless { "stateless" } else { "stateful" };
    format!("{} bit {kind}", mode.length.bits())
}

/// The login, where one is needed; reading it may wait until `deadline`.
pub(crate) fn credentials(
    login: &Login,
    methods: &AuthMethods,
    deadline: Instant,
) -> Result<Option<Credentials>, Report> {
    if methods.allowed() == [Method::None] {
        return Ok(None);
    }
    let (username, password) = login.resolve(deadline).map_err(unread)?;
    Ok(Some(Credentials { username, password }))
}

/// What the path did to GRE although the session worked: more than chance.
pub(crate) fn gre_complaint(seen: &Observation) -> Option<(Reason, String)> {
    let gre = &seen.seen.gre;
    if gre.reordered > CHANCE {
        let text = format!("{} of {} GRE packets came out of order", gre.reordered, gre.received);
        return Some((Reason::GreReordered, text));
    }
    if gre.duplicates > CHANCE {
        let text = format!("{} of {} GRE packets came twice", gre.duplicates, gre.received);
        return Some((Reason::GreDuplicated, text));
    }
    None
}

/// How the gateway calls itself, in a few words: `linux at 192.0.2.1`.
pub(crate) fn name(seen: &Observation) -> String {
    let vendor = seen.seen.start_reply.as_ref().map(|reply| escape(&reply.vendor_name));
    let address = seen.address.map(|address| address.ip().to_string()).unwrap_or_default();
    match vendor.filter(|vendor| !vendor.is_empty()) {
        Some(vendor) => format!("{vendor} at {address}"),
        None => address,
    }
}

fn introduction(seen: &Observation) -> String {
    let Some(reply) = &seen.seen.start_reply else { return String::new() };
    format!(
        "gateway {} calls itself '{}', vendor '{}', firmware {}, PPTP {}.{}, up to {} channels",
        seen.address.map(|address| address.to_string()).unwrap_or_default(),
        escape(&reply.host_name),
        escape(&reply.vendor_name),
        reply.firmware_revision,
        reply.protocol_version >> 8,
        reply.protocol_version & 0xFF,
        reply.maximum_channels
    )
}

/// A duration for people: `340 us`, `1.3 ms`, `38 ms`, `4.0 s`.
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1_000 => format!("{us} us"),
        us @ 1_000..10_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        us @ 10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Instant;

    use pptp_probe::plugin::{Check, command};
    use pptp_probe::proto::tunnel::Seen;

    use super::*;

    /// A check's command line, read as the frame reads it.
    pub(crate) fn parsed<A: Check>(arguments: &str) -> (A, Context) {
        let given = ["check", "-H", "192.0.2.1"].into_iter().chain(arguments.split_whitespace());
        let matches = command::<A>().try_get_matches_from(given).unwrap();
        let args = A::from_arg_matches(&matches).unwrap();
        let thresholds = args.common().thresholds(A::METRICS, A::MAIN_METRIC).unwrap();
        let context = Context::new(args.common(), Instant::now(), thresholds);
        (args, context)
    }

    /// A session that passed these phases, each in a millisecond, and in which
    /// nothing failed.
    pub(crate) fn passed(phases: &[Phase]) -> Observation {
        let phases = phases.iter().map(|&phase| (phase, Duration::from_millis(1))).collect();
        let seen = Seen { phases, ..Seen::new() };
        Observation { address: None, time: Duration::from_millis(5), seen }
    }

    #[test]
    fn spans_for_people() {
        for (micros, text) in [
            (32, "32 us"),
            (999, "999 us"),
            (1_340, "1.3 ms"),
            (38_900, "38 ms"),
            (999_999, "999 ms"),
            (4_000_000, "4.0 s"),
        ] {
            assert_eq!(span(Duration::from_micros(micros)), text);
        }
    }
}
