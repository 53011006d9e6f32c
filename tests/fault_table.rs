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
    /// When everything was done that was asked for.
    AsAsked,
}

use End::{AsAsked, AtOnce, Deadline, Patience};

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
    (
        "one-per-address",
        "tunnel --sessions 2 --count 2",
        "CRITICAL",
        "gre",
        "sessions_short",
        Patience,
    ),
    ("gre-idle-drop=2", "tunnel --idle 1,3 -t 13", "CRITICAL", "gre", "mapping_dropped", AsAsked),
    ("gre-idle-in=2", "tunnel --idle 1,3 -t 13", "CRITICAL", "gre", "mapping_dropped", AsAsked),
    (
        "control-idle-drop=2",
        "tunnel --idle 1,3 -t 13",
        "CRITICAL",
        "control",
        "mapping_dropped",
        AsAsked,
    ),
    ("gre-lost-after=40", "tunnel --keep 4", "CRITICAL", "gre", "gre_stopped", AsAsked),
    ("black-hole=1000", "tunnel --mtu", "CRITICAL", "data", "mtu_black_hole", AsAsked),
    ("black-hole-in=1000", "tunnel --mtu", "CRITICAL", "data", "mtu_black_hole", AsAsked),
    ("black-hole-out=1000", "tunnel --mtu", "CRITICAL", "data", "mtu_black_hole", AsAsked),
    ("wrong-mppe-key", "tunnel", "CRITICAL", "data", "mppe_key_mismatch", AtOnce),
    ("mppe-key-after=7", "tunnel", "CRITICAL", "data", "mppe_key_mismatch", AtOnce),
    ("mppe-key-after=25", "tunnel --keep 5", "CRITICAL", "data", "mppe_key_mismatch", AsAsked),
    ("lcp-reopen=0", "tunnel", "OK", "done", "none", AtOnce),
    ("lcp-reopen=1", "tunnel --keep 3", "OK", "done", "none", AsAsked),
    ("ccp-reopen=0", "tunnel", "OK", "done", "none", AtOnce),
    ("ccp-reopen=1", "tunnel --keep 3", "OK", "done", "none", AsAsked),
    ("ipcp-reopen=0", "tunnel", "OK", "done", "none", AtOnce),
    ("ipcp-reopen=1", "tunnel --keep 3", "OK", "done", "none", AsAsked),
    ("ccp-reset-storm", "tunnel --mppe 128,stateful --keep 2", "OK", "done", "none", AsAsked),
    ("too-big=1000", "tunnel --mtu", "OK", "done", "none", AsAsked),
    ("inner-loss=30", "tunnel --count 100", "WARNING", "data", "inner_lossy", AsAsked),
    ("inner-reorder", "tunnel", "WARNING", "data", "inner_reordered", AtOnce),
    ("inner-duplicate", "tunnel", "WARNING", "data", "inner_duplicated", AtOnce),
    ("inner-delay=100", "tunnel -w 0.05", "WARNING", "done", "threshold", AtOnce),
    ("inner-jitter=200", "tunnel", "WARNING", "data", "inner_reordered", AtOnce),
    ("dns-silent", "tunnel --dns www.lab", "CRITICAL", "data", "dns_failed", Deadline),
    ("dns-servfail", "tunnel --dns www.lab", "CRITICAL", "data", "dns_failed", AtOnce),
    ("dns-silent", "tunnel --http http://www.lab/", "CRITICAL", "data", "dns_failed", Deadline),
    ("http-500", "tunnel --http http://www.lab/", "CRITICAL", "data", "http_failed", AtOnce),
    ("http-slow=300", "tunnel --http http://www.lab/", "OK", "done", "none", AtOnce),
    (
        "http-slow=60000",
        "tunnel --http http://www.lab/",
        "CRITICAL",
        "data",
        "http_failed",
        Deadline,
    ),
    ("http-silent", "tunnel --http http://www.lab/", "CRITICAL", "data", "http_failed", Deadline),
    ("inner-flood", "tunnel --keep 2", "OK", "done", "none", AsAsked),
    ("inner-fragments", "tunnel", "CRITICAL", "data", "inner_silent", Patience),
    ("inner-bad-checksum", "tunnel", "CRITICAL", "data", "inner_silent", Patience),
    ("inner-redirects", "tunnel --http http://www.lab/", "OK", "done", "none", AtOnce),
    ("inner-oversized", "tunnel --http http://www.lab/", "OK", "done", "none", AtOnce),
    ("inner-foreign", "tunnel --http http://www.lab/", "OK", "done", "none", AtOnce),
];

/// `-t` of every run here that gives no other; at the default of ten seconds the
/// waits are longer.
const TIMEOUT: Duration = Duration::from_secs(6);
/// The deadline is kept within this.
const LATE: Duration = Duration::from_millis(100);
/// Start of the lab and a loaded machine.
const SLACK: Duration = Duration::from_millis(700);

fn arguments(check: &str) -> (&'static str, String) {
    let (binary, more) = match check {
        CONTROL => (env!("CARGO_BIN_EXE_check_pptp_control"), ""),
        GRE => (env!("CARGO_BIN_EXE_check_pptp_gre"), ""),
        REJECT => {
            (env!("CARGO_BIN_EXE_check_pptp_auth"), "-u probe --password-env WRONG --expect-reject")
        }
        RADIUS => (
            env!("CARGO_BIN_EXE_check_radius"),
            "-u probe --password-env RIGHT --secret-env LAB_RADIUS_SECRET --require-mppe-keys",
        ),
        AUTH => (env!("CARGO_BIN_EXE_check_pptp_auth"), "-u probe --password-env RIGHT --mppe 128"),
        tunnel => {
            let more = tunnel.strip_prefix("tunnel").expect("a check of which there are arguments");
            let login = "-u probe --password-env RIGHT";
            return (env!("CARGO_BIN_EXE_check_pptp_tunnel"), format!("{login}{more}"));
        }
    };
    (binary, more.to_owned())
}

/// Runs one row; gives a complaint.
fn run(row: &Row) -> Result<(), String> {
    let &(fault, check, state, phase, reason, end) = row;
    let (binary, more) = arguments(check);
    let own = more.split_whitespace().skip_while(|word| *word != "-t").nth(1);
    let own = own.map(|seconds| Duration::from_secs(seconds.parse().expect("seconds")));
    let timeout = own.unwrap_or(TIMEOUT);
    let given = own.is_none().then(|| ["-t".to_owned(), timeout.as_secs().to_string()]);
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_pptp-lab"))
        .args(["run", "--dns", "192.168.77.1", "--fault", fault, "--", binary])
        .args(["-H", "127.0.0.1", "-o", "json"])
        .args(given.into_iter().flatten())
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
        Deadline | AsAsked => timeout + LATE,
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
        assert!(TABLE.iter().any(name), "{} has no row", definition.name);
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
            AsAsked => "as asked",
        };
        format!("| `{fault}` | {check} | {state} | `{phase}` | `{reason}` | {end} |")
    };
    let rows: Vec<String> = TABLE.iter().map(line).collect();
    let table = rows.join("\n");
    assert!(readme.contains(&table), "README.md should contain\n{table}");
}
