//! The fault table: every fault of the lab, the check that shows it, and the
//! verdict; on real sockets, each in a network namespace of its own. The
//! README prints the same table, and the test holds it against this one.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pptp_plugins::lab::faults::DEFINITIONS;
use serde_json::Value;

/// When a run is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// As soon as the fault shows.
    AtOnce,
    /// After the wait for the second request of a slow gateway.
    Patience,
    /// At the deadline.
    Deadline,
}

use End::{AtOnce, Deadline, Patience};

const CONTROL: &str = "control";
const GRE: &str = "gre";
const AUTH: &str = "auth";
const REJECT: &str = "auth --expect-reject";
const RADIUS: &str = "radius";

/// Fault, check, state, phase, reason, end.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, End);

const TABLE: &[Row] = &[
    ("tcp-refused", CONTROL, "CRITICAL", "connect", "refused", AtOnce),
    ("tcp-silent", CONTROL, "CRITICAL", "control", "silent", Deadline),
    ("tcp-close-after=40", CONTROL, "CRITICAL", "control", "closed", AtOnce),
    ("tcp-one-octet", CONTROL, "OK", "done", "none", AtOnce),
    ("tcp-trickle=100", CONTROL, "CRITICAL", "control", "silent", Deadline),
    ("garbage", CONTROL, "CRITICAL", "control", "not_pptp", AtOnce),
    ("banner", CONTROL, "CRITICAL", "control", "not_pptp", AtOnce),
    ("wrong-magic", CONTROL, "CRITICAL", "control", "not_pptp", AtOnce),
    ("wrong-version", CONTROL, "CRITICAL", "control", "wrong_version", AtOnce),
    ("sccrp-result=2:4", CONTROL, "CRITICAL", "control", "control_refused", AtOnce),
    ("sccrp-result=3", CONTROL, "CRITICAL", "control", "control_refused", AtOnce),
    ("sccrp-result=4", CONTROL, "CRITICAL", "control", "control_refused", AtOnce),
    ("sccrp-result=5", CONTROL, "CRITICAL", "control", "wrong_version", AtOnce),
    ("sccrp-flood", CONTROL, "CRITICAL", "control", "flooded", AtOnce),
    ("no-echo-reply", CONTROL, "CRITICAL", "control", "echo_silent", Patience),
    ("echo-wrong-id", CONTROL, "CRITICAL", "control", "echo_silent", Patience),
    ("ocrp-result=2:4", GRE, "CRITICAL", "call", "call_refused", AtOnce),
    ("ocrp-result=3", GRE, "CRITICAL", "call", "call_refused", AtOnce),
    ("ocrp-result=4", GRE, "CRITICAL", "call", "call_refused", AtOnce),
    ("ocrp-result=5", GRE, "CRITICAL", "call", "call_refused", AtOnce),
    ("ocrp-result=6", GRE, "CRITICAL", "call", "call_refused", AtOnce),
    ("ocrp-result=7", GRE, "CRITICAL", "call", "call_refused", AtOnce),
    ("ocrp-silent", GRE, "CRITICAL", "call", "silent", Deadline),
    ("gre-lost-in", GRE, "CRITICAL", "gre", "gre_outbound_silent", Patience),
    ("gre-lost-out", GRE, "CRITICAL", "gre", "gre_inbound_silent", Patience),
    ("gre-lost-both", GRE, "CRITICAL", "gre", "gre_inbound_silent", Patience),
    ("gre-lost-after=6", GRE, "CRITICAL", "gre", "gre_stopped", Patience),
    ("gre-lost-after=9", AUTH, "CRITICAL", "gre", "gre_stopped", Deadline),
    ("gre-wrong-call-id", GRE, "CRITICAL", "gre", "gre_wrong_call_id", Patience),
    ("gre-duplicated", GRE, "WARNING", "gre", "gre_duplicated", AtOnce),
    ("gre-reordered", GRE, "WARNING", "gre", "gre_reordered", AtOnce),
    ("gre-unreachable", GRE, "CRITICAL", "gre", "gre_unreachable", Patience),
    ("gre-flood", GRE, "CRITICAL", "gre", "flooded", Patience),
    ("lcp-silent", GRE, "CRITICAL", "lcp", "silent", Patience),
    ("lcp-never-converging", GRE, "CRITICAL", "lcp", "lcp_not_converging", AtOnce),
    ("lcp-loop", GRE, "CRITICAL", "lcp", "lcp_loop", AtOnce),
    ("lcp-terminate", GRE, "CRITICAL", "lcp", "terminated", AtOnce),
    ("no-auth", AUTH, "CRITICAL", "auth", "auth_not_requested", AtOnce),
    ("auth-silent", AUTH, "CRITICAL", "auth", "silent", Deadline),
    ("auth-failure=646", AUTH, "CRITICAL", "auth", "auth_hours", AtOnce),
    ("auth-failure=647", AUTH, "CRITICAL", "auth", "auth_disabled", AtOnce),
    ("auth-failure=648", AUTH, "CRITICAL", "auth", "auth_expired", AtOnce),
    ("auth-failure=649", AUTH, "CRITICAL", "auth", "auth_no_dialin", AtOnce),
    ("auth-failure=691", AUTH, "CRITICAL", "auth", "auth_rejected", AtOnce),
    ("auth-failure=709", AUTH, "CRITICAL", "auth", "auth_change_failed", AtOnce),
    ("auth-failure=691", REJECT, "OK", "done", "none", AtOnce),
    ("auth-failure=648", REJECT, "CRITICAL", "auth", "auth_expired", AtOnce),
    ("accept-any", REJECT, "CRITICAL", "auth", "auth_accepted", AtOnce),
    ("wrong-proof", AUTH, "CRITICAL", "auth", "mutual_auth_failed", AtOnce),
    ("ccp-refused", AUTH, "CRITICAL", "ccp", "mppe_refused", AtOnce),
    ("ccp-silent", AUTH, "CRITICAL", "ccp", "silent", Deadline),
    ("wrong-mppe-key", AUTH, "CRITICAL", "data", "mppe_key_mismatch", AtOnce),
    ("ipcp-refused", AUTH, "CRITICAL", "ipcp", "ipcp_refused", AtOnce),
    ("ipcp-silent", AUTH, "CRITICAL", "ipcp", "silent", Deadline),
    ("no-address", AUTH, "CRITICAL", "ipcp", "no_address", AtOnce),
    ("stop-at=control", CONTROL, "CRITICAL", "control", "stopped", AtOnce),
    ("stop-at=auth", AUTH, "CRITICAL", "auth", "stopped", AtOnce),
    ("disconnect-at=call", GRE, "CRITICAL", "gre", "call_disconnected", AtOnce),
    ("disconnect-at=auth", AUTH, "CRITICAL", "auth", "call_disconnected", AtOnce),
    ("delay=control:300", CONTROL, "OK", "done", "none", AtOnce),
    ("delay=auth:300", AUTH, "OK", "done", "none", AtOnce),
    ("radius-silent", RADIUS, "CRITICAL", "auth", "radius_silent", Deadline),
    ("radius-lose=1", RADIUS, "OK", "done", "none", Patience),
    ("radius-wrong-port", RADIUS, "CRITICAL", "auth", "radius_wrong_source", Deadline),
    ("radius-wrong-identifier", RADIUS, "CRITICAL", "auth", "malformed", Deadline),
    ("radius-wrong-secret", RADIUS, "CRITICAL", "auth", "radius_secret_mismatch", Deadline),
    ("radius-wrong-authenticator", RADIUS, "CRITICAL", "auth", "radius_secret_mismatch", Deadline),
    ("radius-no-message-authenticator", RADIUS, "WARNING", "auth", "radius_unsigned", AtOnce),
    (
        "radius-wrong-message-authenticator",
        RADIUS,
        "CRITICAL",
        "auth",
        "radius_secret_mismatch",
        Deadline,
    ),
    ("radius-truncated", RADIUS, "CRITICAL", "auth", "malformed", Deadline),
    ("radius-duplicate", RADIUS, "OK", "done", "none", AtOnce),
    ("radius-forged", RADIUS, "OK", "done", "none", AtOnce),
    ("radius-flood", RADIUS, "CRITICAL", "auth", "flooded", Deadline),
    ("radius-reject", RADIUS, "CRITICAL", "auth", "auth_rejected", AtOnce),
    ("radius-expired", RADIUS, "CRITICAL", "auth", "auth_expired", AtOnce),
    ("radius-challenge", RADIUS, "CRITICAL", "auth", "radius_challenge", AtOnce),
    ("radius-no-proof", RADIUS, "CRITICAL", "auth", "mutual_auth_failed", AtOnce),
    ("radius-wrong-proof", RADIUS, "CRITICAL", "auth", "mutual_auth_failed", AtOnce),
    ("radius-no-mppe-keys", RADIUS, "CRITICAL", "ccp", "mppe_keys_missing", AtOnce),
    ("radius-wrong-mppe-keys", RADIUS, "CRITICAL", "ccp", "mppe_key_mismatch", AtOnce),
    ("delay=auth:300", RADIUS, "OK", "done", "none", AtOnce),
];

/// Faults that spoil the traffic in a tunnel, or a tunnel that stays: none of
/// these checks would see them.
const TRAFFIC: &[&str] = &[
    "one-per-address",
    "gre-idle-drop",
    "gre-idle-in",
    "control-idle-drop",
    "black-hole",
    "black-hole-in",
    "black-hole-out",
    "mppe-key-after",
    "lcp-reopen",
    "ccp-reopen",
    "ipcp-reopen",
    "ccp-reset-storm",
    "too-big",
    "inner-loss",
    "inner-reorder",
    "inner-duplicate",
    "inner-delay",
    "inner-jitter",
    "dns-silent",
    "dns-servfail",
    "http-500",
    "http-slow",
    "http-silent",
    "inner-flood",
    "inner-fragments",
    "inner-bad-checksum",
    "inner-redirects",
    "inner-oversized",
    "inner-foreign",
];

/// `-t` of every run here; at the default of ten seconds the waits are longer.
const TIMEOUT: Duration = Duration::from_secs(6);
/// The deadline is kept within this.
const LATE: Duration = Duration::from_millis(100);
/// Start of the lab and a loaded machine.
const SLACK: Duration = Duration::from_millis(700);

fn arguments(check: &str) -> (&'static str, &'static str) {
    match check {
        CONTROL => (env!("CARGO_BIN_EXE_check_pptp_control"), ""),
        GRE => (env!("CARGO_BIN_EXE_check_pptp_gre"), ""),
        REJECT => {
            (env!("CARGO_BIN_EXE_check_pptp_auth"), "-u probe --password-env WRONG --expect-reject")
        }
        RADIUS => (
            env!("CARGO_BIN_EXE_check_radius"),
            "-u probe --password-env RIGHT --secret-env LAB_RADIUS_SECRET --require-mppe-keys",
        ),
        _ => (env!("CARGO_BIN_EXE_check_pptp_auth"), "-u probe --password-env RIGHT --mppe 128"),
    }
}

/// Runs one row; gives a complaint.
fn run(row: &Row) -> Result<(), String> {
    let &(fault, check, state, phase, reason, end) = row;
    let (binary, more) = arguments(check);
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_pptp-lab"))
        .args(["run", "--fault", fault, "--", binary, "-H", "127.0.0.1", "-o", "json", "-t"])
        .arg(TIMEOUT.as_secs().to_string())
        .args(more.split_whitespace())
        .env("RIGHT", "Pr0be-secret")
        .env("WRONG", "not the password")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{fault}: {error}"))?;
    let took = began.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let json: Value = serde_json::from_str(&text)
        .map_err(|error| format!("{fault}: no JSON ({error}): {text}{said}"))?;
    let seen = ["state", "phase", "reason"].map(|key| json[key].as_str().unwrap_or("-"));
    if seen != [state, phase, reason] {
        return Err(format!("{fault}: {seen:?} instead of {:?}: {json}", [state, phase, reason]));
    }
    let limit = match end {
        AtOnce => Duration::from_secs(2),
        // The wait at this deadline is 3.5 s; half a second of it is farewell.
        Patience => Duration::from_millis(4_100),
        Deadline => TIMEOUT + LATE,
    };
    if took > limit + SLACK {
        return Err(format!("{fault}: took {took:?}, at most {limit:?} were due"));
    }
    Ok(())
}

#[test]
fn every_fault_gets_its_verdict_in_time() {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(row) = TABLE.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(complaint) = run(row) {
                        complaints.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn no_fault_is_missing() {
    for definition in DEFINITIONS {
        let name = |row: &Row| row.0.split('=').next() == Some(definition.name);
        let elsewhere = TRAFFIC.contains(&definition.name);
        assert!(TABLE.iter().any(name) != elsewhere, "{} has no row", definition.name);
    }
}

#[test]
fn the_readme_prints_this_table() {
    let readme = include_str!("../README.md");
    let line = |&(fault, check, state, phase, reason, end): &Row| {
        let end = match end {
            AtOnce => "at once",
            Patience => "4.5 s",
            Deadline => "10 s",
        };
        format!("| `{fault}` | {check} | {state} | `{phase}` | `{reason}` | {end} |")
    };
    let rows: Vec<String> = TABLE.iter().map(line).collect();
    let table = rows.join("\n");
    assert!(readme.contains(&table), "README.md should contain\n{table}");
}
