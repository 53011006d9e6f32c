//! What `--once` prints: the gateways that were found, their sessions, and how
//! reading went.

use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::{Kind, OperStatus, Session, Snapshot, SourceState, State};
use pptp_probe::output::escape;
use serde_json::{Value, json};

use crate::config::Collect;
use crate::facts::Severity;
use crate::keeper::Found;
use crate::sources::Looks;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads each source once.
pub fn collect(config: &Collect) -> Vec<Snapshot> {
    let deadline = Instant::now() + PATIENCE;
    let looked = Looks::new(config).look(SystemTime::now(), deadline);
    looked.into_iter().map(|(_, snapshot)| snapshot).collect()
}

/// For people; `audit` where there was one.
pub fn table(snapshots: &[Snapshot], audit: Option<&[Found]>, now: SystemTime) -> String {
    let mut text = String::new();
    for snapshot in snapshots {
        match &snapshot.server {
            Some(server) => {
                let told = match server.status_text.as_str() {
                    "" => String::new(),
                    told => format!(" ({})", clean(told.as_bytes())),
                };
                let (kind, status) = (kind(server.kind), status(server.status));
                let count = snapshot.sessions.len();
                text.push_str(&format!("{kind} is {status}{told}, {count} sessions\n"));
            }
            None if snapshot.sessions.is_empty() => {}
            None => text.push_str("sessions without a daemon\n"),
        }
        let mut rows = vec![
            ["USER", "FROM", "ADDRESS", "INTERFACE", "STATE", "UP", "IN", "OUT"].map(str::to_owned),
        ];
        rows.extend(snapshot.sessions.iter().map(|session| row(session, now)));
        if rows.len() > 1 {
            text.push_str(&aligned(&rows));
        }
        for source in &snapshot.sources {
            if let SourceState::Unreadable(why) = &source.state {
                let (name, why) = (clean(source.name.as_bytes()), clean(why.as_bytes()));
                text.push_str(&format!("cannot read {name}: {why}\n"));
            }
        }
    }
    if snapshots.iter().all(|snapshot| snapshot.server.is_none() && snapshot.sessions.is_empty()) {
        text.insert_str(0, "no gateway was found\n");
    }
    for found in audit.unwrap_or_default() {
        let Found { id, severity, found, .. } = found;
        text.push_str(&format!("audit: {}: {id}: {found}\n", severity.word()));
    }
    text
}

/// One JSON object; what is not known is null.
pub fn json(snapshots: &[Snapshot], audit: Option<&[Found]>) -> String {
    let servers: Vec<_> = snapshots.iter().map(server_json).collect();
    format!("{}\n", json!({ "servers": servers, "audit": audit.map(audit_json) }))
}

fn audit_json(audit: &[Found]) -> Value {
    let count = |severity| audit.iter().filter(|found| found.severity == severity).count();
    let findings = audit.iter().map(|found| {
        let Found { id, severity, found, advised, arithmetic, mend } = found;
        json!({
            "id": **id,
            "severity": severity.word(),
            "found": **found,
            "advised": **advised,
            "arithmetic": **arithmetic,
            "mend": **mend,
        })
    });
    json!({
        "critical": count(Severity::Critical),
        "warning": count(Severity::Warning),
        "info": count(Severity::Info),
        "unknown": count(Severity::Unknown),
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn server_json(snapshot: &Snapshot) -> Value {
    let server = snapshot.server.as_ref();
    let sources = snapshot.sources.iter().map(|source| {
        let (state, why) = match &source.state {
            SourceState::Ok => ("ok", None),
            SourceState::Absent => ("absent", None),
            SourceState::Unreadable(why) => ("unreadable", Some(why)),
            SourceState::Stale => ("stale", None),
        };
        json!({ "name": source.name, "state": state, "why": why, "needed": source.needed })
    });
    json!({
        "kind": server.map(|server| kind(server.kind)),
        "status": server.map(|server| status(server.status)),
        "status_text": server.map(|server| &server.status_text),
        "listen": server.and_then(|server| server.listen).map(|listen| listen.to_string()),
        "pid": server.and_then(|server| server.pid),
        "maximum": server.and_then(|server| server.maximum),
        "sessions": snapshot.sessions.iter().map(session_json).collect::<Vec<_>>(),
        "sources": sources.collect::<Vec<_>>(),
    })
}

fn session_json(session: &Session) -> Value {
    let start = session.start.and_then(|start| start.duration_since(SystemTime::UNIX_EPOCH).ok());
    let traffic = session.traffic;
    json!({
        "user": session.user.as_deref().map(name),
        "state": state(session.state),
        "start": start.map(|start| start.as_secs()),
        "peer": session.peer.map(|peer| peer.to_string()),
        "peer_port": session.peer_port,
        "assigned": session.assigned.map(|assigned| assigned.to_string()),
        "interface": session.if_name.as_deref().map(name),
        "mtu": session.mtu,
        "octets_in": traffic.map(|traffic| traffic.octets_in),
        "octets_out": traffic.map(|traffic| traffic.octets_out),
        "packets_in": traffic.map(|traffic| traffic.packets_in),
        "packets_out": traffic.map(|traffic| traffic.packets_out),
    })
}

fn row(session: &Session, now: SystemTime) -> [String; 8] {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let up = session.start.and_then(|start| now.duration_since(start).ok());
    let octets = |octets: fn(_) -> u64| known(session.traffic.map(octets).map(size));
    [
        known(session.user.as_deref().map(clean)),
        known(session.peer.map(|peer| peer.to_string())),
        known(session.assigned.map(|assigned| assigned.to_string())),
        known(session.if_name.as_deref().map(clean)),
        state(session.state).to_owned(),
        known(up.map(age)),
        octets(|traffic: pptp_probe::gateway::session::Traffic| traffic.octets_in),
        octets(|traffic: pptp_probe::gateway::session::Traffic| traffic.octets_out),
    ]
}

/// Text from callers and files, in one word of a line.
fn clean(octets: &[u8]) -> String {
    escape(octets)
}

/// The same where quotes keep it apart: UTF-8 stays.
fn name(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => escape(octets),
    }
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Poptop => "poptop",
        Kind::AccelPpp => "accel-ppp",
        Kind::Pppd => "pppd",
    }
}

fn status(status: OperStatus) -> &'static str {
    match status {
        OperStatus::Up => "up",
        OperStatus::Degraded => "degraded",
        OperStatus::Down => "down",
        OperStatus::Unknown => "unknown",
    }
}

/// The labels of PptpState.
fn state(state: State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::CtrlConnecting => "ctrlConnecting",
        State::CtrlEstablished => "ctrlEstablished",
        State::CallWait => "callWait",
        State::Lcp => "lcp",
        State::Authenticating => "authenticating",
        State::Ccp => "ccp",
        State::Ipcp => "ipcp",
        State::Open => "open",
        State::Closing => "closing",
        State::Terminated => "terminated",
    }
}

/// `5s`, `12m`, `3h07m`, `4d11h`.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m"),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// `999`, `1.2k`, `3.4M`, in steps of 1000.
fn size(octets: u64) -> String {
    let mut value = octets as f64;
    for unit in ["", "k", "M", "G", "T"] {
        if value < 999.95 || unit == "T" {
            return if unit.is_empty() { octets.to_string() } else { format!("{value:.1}{unit}") };
        }
        value /= 1000.0;
    }
    octets.to_string()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn fixture(name: &str) -> Vec<Snapshot> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gateway");
        collect(&Collect { root: root.join(name), ..Collect::default() })
    }

    #[test]
    fn two_sessions_are_two_rows() {
        let snapshots = fixture("poptop-two-sessions");
        let started = snapshots[0].sessions[0].start.unwrap();
        let text = table(&snapshots, None, started + Duration::from_secs(3 * 3600 + 7 * 60));
        let lines: Vec<_> = text.lines().collect();
        assert!(!text.contains("no gateway"), "{text}");
        assert!(lines[0].starts_with("poptop is up") && lines[0].ends_with("2 sessions"), "{text}");
        assert!(lines[1].starts_with("USER "), "{text}");
        assert!(lines[2].contains(" ppp0 ") && lines[2].contains(" 3h07m "), "{text}");
        assert!(lines[3].contains(" ppp1 "), "{text}");
        let value: Value = serde_json::from_str(&json(&snapshots, None)).unwrap();
        let sessions = value["servers"][0]["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 2);
        assert!(sessions[0]["octets_in"].as_u64().is_some(), "{value}");
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let snapshots = fixture("nowhere");
        let text = table(&snapshots, None, SystemTime::now());
        assert!(text.starts_with("no gateway was found\n"), "{text}");
        let value: Value = serde_json::from_str(&json(&snapshots, None)).unwrap();
        assert_eq!(value["servers"][0]["kind"], Value::Null);
    }

    #[test]
    fn hostile_names_stay_in_their_cell() {
        let mut snapshots = fixture("poptop-two-sessions");
        snapshots[0].sessions[0].user = Some(b"a\nb\x1b[2J\xff".as_slice().into());
        let text = table(&snapshots, None, SystemTime::now());
        assert!(
            text.contains(r"a\x0Ab\x1B[2J\xFF") || text.contains(r"a\x0ab\x1b[2J\xff"),
            "{text}"
        );
        assert!(serde_json::from_str::<Value>(&json(&snapshots, None)).is_ok());
    }

    #[test]
    fn findings_are_counted_and_told() {
        let found = Found {
            id: "rp-filter-strict".into(),
            severity: Severity::Warning,
            found: "rp_filter is 1".into(),
            advised: "2".into(),
            arithmetic: "".into(),
            mend: "sysctl -w net.ipv4.conf.all.rp_filter=2".into(),
        };
        let text = table(&[], Some(std::slice::from_ref(&found)), SystemTime::now());
        assert!(text.contains("audit: warning: rp-filter-strict: rp_filter is 1\n"), "{text}");
        let value: Value = serde_json::from_str(&json(&[], Some(&[found]))).unwrap();
        assert_eq!(
            (&value["audit"]["warning"], &value["audit"]["critical"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(value["audit"]["findings"][0]["id"], "rp-filter-strict");
    }

    #[test]
    fn sizes_and_ages_are_short() {
        for (octets, text) in
            [(0, "0"), (999, "999"), (1_250, "1.2k"), (999_960, "1.0M"), (u64::MAX, "18446744.1T")]
        {
            assert_eq!(size(octets), text);
        }
        for (seconds, text) in [(59, "59s"), (60, "1m"), (11_220, "3h07m"), (385_200, "4d11h")] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
