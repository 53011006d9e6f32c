//! Events as JSON lines in the fields of the Elastic Common Schema, version 8,
//! which Elasticsearch takes as they are and Fluentd, Logstash and rsyslog
//! pass on. What the schema has no word for stands under `pptp`.
//!
//! Octets that are not UTF-8 become U+FFFD, and control characters are escaped
//! as JSON does, so whatever a caller puts into its name, a line stays a line.
//! `event.action` is the label that `--threshold` has for the same event.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use serde::Serialize;

use super::event::{Event, Program, Session, What};
use super::redact::Redactor;
use crate::gateway::session::{AuthMethod, Encryption};
use crate::gateway::tracker::TerminateCause;

/// The version of the schema.
const VERSION: &str = "8.17.0";

/// Every cause and its word.
pub const CAUSES: [(TerminateCause, &str); 16] = [
    (TerminateCause::UserRequest, "user_request"),
    (TerminateCause::LostCarrier, "lost_carrier"),
    (TerminateCause::LostService, "lost_service"),
    (TerminateCause::IdleTimeout, "idle_timeout"),
    (TerminateCause::SessionTimeout, "session_timeout"),
    (TerminateCause::AdminReset, "admin_reset"),
    (TerminateCause::NasError, "nas_error"),
    (TerminateCause::NasRequest, "nas_request"),
    (TerminateCause::NasReboot, "nas_reboot"),
    (TerminateCause::Unknown, "unknown"),
    (TerminateCause::LcpTimeout, "lcp_timeout"),
    (TerminateCause::EchoTimeout, "echo_timeout"),
    (TerminateCause::GreSilent, "gre_silent"),
    (TerminateCause::MppeLost, "mppe_lost"),
    (TerminateCause::CtrlReset, "ctrl_reset"),
    (TerminateCause::CtrlStop, "ctrl_stop"),
];

/// The word for a cause, as the MIB has it, in `snake_case`.
pub fn cause_word(cause: TerminateCause) -> &'static str {
    let known = CAUSES.iter().find(|(known, _)| *known == cause);
    known.map_or("unknown", |(_, word)| word)
}

/// Whether a session that ended so ended as it should.
pub fn is_regular(cause: TerminateCause) -> bool {
    matches!(
        cause,
        TerminateCause::UserRequest
            | TerminateCause::IdleTimeout
            | TerminateCause::SessionTimeout
            | TerminateCause::AdminReset
            | TerminateCause::NasRequest
            | TerminateCause::CtrlStop
    )
}

/// Appends the event as one line. `sequence` counts the events of a log; with
/// a redactor names are digests, and the message, which may hold a name in
/// any spelling, is left out.
pub fn push_line(out: &mut Vec<u8>, event: &Event<'_>, sequence: u64, redactor: Option<&Redactor>) {
    let begin = out.len();
    match serde_json::to_writer(&mut *out, &line(event, sequence, redactor)) {
        Ok(()) => out.push(b'\n'),
        // A vector takes everything, and every key is a string.
        Err(_) => out.truncate(begin),
    }
}

fn line<'a>(event: &Event<'a>, sequence: u64, redactor: Option<&Redactor>) -> Line<'a> {
    let session = event.session;
    let (category, types, outcome) = categorized(event.what);
    let user = match redactor {
        Some(redactor) => Cow::Owned(redactor.digest(event.user)),
        None => String::from_utf8_lossy(event.user),
    };
    let began = session.and_then(|session| session.opened.or(session.started));
    let is_end = matches!(event.what, What::SessionDown { .. } | What::CallFailed { .. });
    let duration = began.filter(|_| is_end).map(|began| event.at.saturating_sub(began).max(0));
    let (phase, reason) = match event.what {
        What::CallFailed { phase, reason } => (Some(phase.word()), Some(reason.word())),
        What::SessionDown { cause } => (None, Some(cause_word(cause))),
        _ => (None, None),
    };
    Line {
        timestamp: timestamp(event.at),
        ecs: Ecs { version: VERSION },
        event: EventFields {
            kind: "event",
            category: [category],
            types,
            action: event.what.label(),
            outcome,
            reason,
            duration: duration.map(|micros| micros.saturating_mul(1000)),
            sequence,
            dataset: "pptp.log",
            module: "pptp",
        },
        observer: Observer {
            hostname: text(event.host),
            product: match event.program {
                Program::Pptpd => "pptpd",
                Program::Pppd => "pppd",
                Program::AccelPpp => "accel-ppp",
                Program::Kernel => "linux",
            },
        },
        process: Process {
            name: match event.program {
                Program::Pptpd => "pptpd",
                Program::Pppd => "pppd",
                Program::AccelPpp => "accel-pppd",
                Program::Kernel => "kernel",
            },
            pid: event.pid,
        },
        source: event.peer.map(|ip| Source { ip, bytes: session.and_then(|seen| seen.received) }),
        destination: session.and_then(|seen| seen.sent).map(|bytes| Destination { bytes }),
        user: Some(user).filter(|name| !name.is_empty()).map(|name| User { name }),
        network: transport(event.what).map(|transport| Network { transport }),
        message: text(event.message).filter(|_| redactor.is_none()),
        pptp: session.map(|session| pptp(session, event.what, phase)),
    }
}

fn pptp<'a>(session: &'a Session, what: What, phase: Option<&'static str>) -> Pptp<'a> {
    let cause = match what {
        What::SessionDown { cause } => Some(cause_word(cause)),
        _ => None,
    };
    Pptp {
        session: session.number,
        phase,
        cause,
        control_pid: session.control_pid,
        ppp_pid: session.ppp_pid,
        interface: text(&session.if_name),
        assigned: session.assigned,
        method: session.method.map(|method| match method {
            AuthMethod::None => "none",
            AuthMethod::Pap => "pap",
            AuthMethod::ChapMd5 => "chap",
            AuthMethod::MsChapV1 => "mschapv1",
            AuthMethod::MsChapV2 => "mschapv2",
            AuthMethod::Eap => "eap",
        }),
        mppe: session.encryption.map(|encryption| match encryption {
            Encryption::None => 0,
            Encryption::Mppe40 => 40,
            Encryption::Mppe56 => 56,
            Encryption::Mppe128 => 128,
        }),
        stateless: session.stateless,
        renegotiations: session.renegotiations,
    }
}

/// Category, types that the schema expects with it, and outcome.
fn categorized(what: What) -> (&'static str, &'static [&'static str], Option<&'static str>) {
    const SUCCESS: Option<&str> = Some("success");
    const FAILURE: Option<&str> = Some("failure");
    match what {
        What::ServerUp => ("process", &["start"], None),
        What::ServerDown => ("process", &["end"], None),
        What::ControlUp | What::CallUp => ("network", &["connection", "start"], SUCCESS),
        What::ControlRefused | What::PoolExhausted => {
            ("network", &["connection", "denied"], FAILURE)
        }
        What::ControlDown => ("network", &["connection", "end"], None),
        What::LcpUp | What::MppeUp => ("network", &["protocol"], SUCCESS),
        What::LcpTimeout
        | What::MppeFailure
        | What::AddressFailure
        | What::EchoTimeout
        | What::GreError => ("network", &["protocol"], FAILURE),
        What::AuthSuccess => ("authentication", &["start"], SUCCESS),
        What::AuthFailure => ("authentication", &["start"], FAILURE),
        What::SessionUp => ("session", &["start"], SUCCESS),
        What::Renegotiated => ("session", &["info"], None),
        What::SessionDown { cause } if is_regular(cause) => ("session", &["end"], SUCCESS),
        What::SessionDown { .. } | What::CallFailed { .. } => ("session", &["end"], FAILURE),
        What::RadiusError => ("authentication", &["info"], FAILURE),
        What::ConntrackFull => ("network", &["denied"], FAILURE),
        What::KernelError => ("host", &["info"], FAILURE),
    }
}

/// The transport by its keyword at IANA, where the event belongs to one.
fn transport(what: What) -> Option<&'static str> {
    match what {
        What::ControlUp | What::ControlRefused | What::ControlDown | What::PoolExhausted => {
            Some("tcp")
        }
        What::ServerUp
        | What::ServerDown
        | What::RadiusError
        | What::ConntrackFull
        | What::KernelError => None,
        _ => Some("gre"),
    }
}

fn timestamp(at: i64) -> String {
    // What jiff cannot write is before the year -9999 or after 9999.
    let at = Timestamp::from_microsecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.6}")
}

fn text(octets: &[u8]) -> Option<Cow<'_, str>> {
    Some(octets).filter(|octets| !octets.is_empty()).map(String::from_utf8_lossy)
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    ecs: Ecs,
    event: EventFields,
    observer: Observer<'a>,
    process: Process,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<Destination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pptp: Option<Pptp<'a>>,
}

#[derive(Serialize)]
struct Ecs {
    version: &'static str,
}

#[derive(Serialize)]
struct EventFields {
    kind: &'static str,
    category: [&'static str; 1],
    #[serde(rename = "type")]
    types: &'static [&'static str],
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    sequence: u64,
    dataset: &'static str,
    module: &'static str,
}

#[derive(Serialize)]
struct Observer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<Cow<'a, str>>,
    product: &'static str,
}

#[derive(Serialize)]
struct Process {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
}

#[derive(Serialize)]
struct Source {
    ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct Destination {
    bytes: u64,
}

#[derive(Serialize)]
struct User<'a> {
    name: Cow<'a, str>,
}

#[derive(Serialize)]
struct Network {
    transport: &'static str,
}

#[derive(Serialize)]
struct Pptp<'a> {
    session: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ppp_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    /// Key length in bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    mppe: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stateless: Option<bool>,
    renegotiations: u16,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::window::tests::event;
    use super::*;
    use crate::reason::{Phase, Reason};

    /// 2026-11-21 02:26:41 UTC.
    const AT: i64 = 1_795_228_001_000_000;

    fn parsed(event: &Event<'_>, redactor: Option<&Redactor>) -> Value {
        let mut out = Vec::new();
        push_line(&mut out, event, 7, redactor);
        assert_eq!(out.pop(), Some(b'\n'));
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).expect("JSON")
    }

    fn session() -> Session {
        Session {
            number: 3,
            control_pid: Some(100),
            ppp_pid: Some(101),
            peer: "203.0.113.7".parse().ok(),
            user: b"alice".as_slice().into(),
            if_name: b"ppp0".as_slice().into(),
            assigned: "192.0.2.234".parse().ok(),
            method: Some(AuthMethod::MsChapV2),
            authenticated: true,
            encryption: Some(Encryption::Mppe128),
            stateless: Some(true),
            started: Some(AT - 9_000_000),
            opened: Some(AT - 8_500_000),
            sent: Some(2000),
            received: Some(1000),
            renegotiations: 1,
        }
    }

    fn ended(session: &Session) -> Event<'_> {
        Event {
            host: b"vpn1",
            pid: Some(101),
            session: Some(session),
            user: &session.user,
            peer: session.peer,
            message: b"Connection terminated.",
            ..event(AT, What::SessionDown { cause: TerminateCause::EchoTimeout })
        }
    }

    #[test]
    fn end_of_a_session_has_every_field() {
        let session = session();
        let expected = json!({
            "@timestamp": "2026-11-21T02:26:41.000000Z",
            "ecs": { "version": "8.17.0" },
            "event": {
                "kind": "event",
                "category": ["session"],
                "type": ["end"],
                "action": "sessions_ended",
                "outcome": "failure",
                "reason": "echo_timeout",
                "duration": 8_500_000_000_i64,
                "sequence": 7,
                "dataset": "pptp.log",
                "module": "pptp",
            },
            "observer": { "hostname": "vpn1", "product": "pppd" },
            "process": { "name": "pppd", "pid": 101 },
            "source": { "ip": "203.0.113.7", "bytes": 1000 },
            "destination": { "bytes": 2000 },
            "user": { "name": "alice" },
            "network": { "transport": "gre" },
            "message": "Connection terminated.",
            "pptp": {
                "session": 3,
                "cause": "echo_timeout",
                "control_pid": 100,
                "ppp_pid": 101,
                "interface": "ppp0",
                "assigned": "192.0.2.234",
                "method": "mschapv2",
                "mppe": 128,
                "stateless": true,
                "renegotiations": 1,
            },
        });
        assert_eq!(parsed(&ended(&session), None), expected);
    }

    #[test]
    fn what_is_not_known_has_no_key() {
        let expected = json!({
            "@timestamp": "2026-11-21T02:26:41.000000Z",
            "ecs": { "version": "8.17.0" },
            "event": {
                "kind": "event",
                "category": ["network"],
                "type": ["denied"],
                "action": "conntrack_full",
                "outcome": "failure",
                "sequence": 7,
                "dataset": "pptp.log",
                "module": "pptp",
            },
            "observer": { "product": "linux" },
            "process": { "name": "kernel" },
        });
        let event = Event { program: Program::Kernel, ..event(AT, What::ConntrackFull) };
        assert_eq!(parsed(&event, None), expected);
    }

    #[test]
    fn failed_call_says_where_and_why() {
        let session = Session { number: 4, started: Some(AT - 1), ..Session::default() };
        let what = What::CallFailed { phase: Phase::Auth, reason: Reason::AuthRejected };
        let line = parsed(&Event { session: Some(&session), ..event(AT, what) }, None);
        assert_eq!(line["event"]["reason"], "auth_rejected");
        assert_eq!(line["event"]["duration"], 1000);
        assert_eq!(line["pptp"]["phase"], "auth");
        assert_eq!(line["pptp"]["cause"], Value::Null);
    }

    #[test]
    fn redacted_name_is_nowhere() {
        let session = session();
        let redactor = Redactor::new(&[7; 16]);
        let event = Event { message: b"peer alice (\"alice\") left", ..ended(&session) };
        let line = parsed(&event, Some(&redactor));
        assert_eq!(line["user"]["name"], redactor.digest(b"alice"));
        assert!(!line.to_string().contains("alice"), "{line}");
    }

    #[test]
    fn hostile_name_stays_in_its_string() {
        let name = b"x\"},\n\r\0|\xff\xe2\x80\xa8{\"user\":\\";
        let line = parsed(&Event { user: name, ..event(AT, What::AuthFailure) }, None);
        assert_eq!(line["user"]["name"], String::from_utf8_lossy(name).as_ref());
        assert_eq!(line["event"]["outcome"], "failure");
    }

    #[test]
    fn impossible_stamps_are_written_nevertheless() {
        for at in [i64::MIN, i64::MAX] {
            let line = parsed(&event(at, What::ServerUp), None);
            assert_eq!(line["@timestamp"], "1970-01-01T00:00:00.000000Z");
        }
    }

    #[test]
    fn every_cause_has_a_word_of_its_own() {
        let mut words: Vec<_> = CAUSES.iter().map(|(cause, _)| cause_word(*cause)).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), CAUSES.len());
    }
}
