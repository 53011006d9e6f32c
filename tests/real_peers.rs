//! The checks against a real gateway: pptpd, pppd and the kernel's PPP and
//! MPPE in a guest (`tests/testbed`); and a real client, pptp-linux with pppd,
//! against `pptp-lab`.
//!
//! Needs root and the packages of `tests/testbed/packages`; `tests/run` sees
//! to both. Without the feature `peers` none of this is built.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "support/bed.rs"]
mod bed;
#[path = "support/caller.rs"]
mod caller;
#[path = "support/freeradius.rs"]
mod freeradius;
#[path = "support/seen.rs"]
mod seen;

use bed::Bed;
use caller::{GATEWAY, PASSWORD, USER, login, metric};
use freeradius::FreeRadius;
use seen::Seen;

const RADIUS: &str = "10.77.0.1";

const CONTROL: &str = env!("CARGO_BIN_EXE_check_pptp_control");
const GRE: &str = env!("CARGO_BIN_EXE_check_pptp_gre");
const AUTH: &str = env!("CARGO_BIN_EXE_check_pptp_auth");
const TUNNEL: &str = env!("CARGO_BIN_EXE_check_pptp_tunnel");
const ASK_RADIUS: &str = env!("CARGO_BIN_EXE_check_radius");

/// Every method × every encryption that the daemon can do.
#[test]
fn each_method_with_each_encryption() {
    let bed = Bed::up("methods", &[]);
    // PAP and CHAP-MD5 leave no keys for MPPE, and pppd cannot derive 40-bit
    // keys from MS-CHAPv1.
    let rows = [
        ("pap", "none", "pap", "none"),
        ("chap", "none", "chap", "none"),
        ("mschap", "none", "mschapv1", "none"),
        ("mschap", "required", "mschapv1", "128 bit stateless"),
        ("mschap", "stateful", "mschapv1", "128 bit stateful"),
        ("mschap-v2", "none", "mschapv2", "none"),
        ("mschap-v2", "40", "mschapv2", "40 bit stateless"),
        ("mschap-v2", "required", "mschapv2", "128 bit stateless"),
        ("mschap-v2", "stateful", "mschapv2", "128 bit stateful"),
        ("eap", "none", "eap-md5", "none"),
    ];
    for (daemon_auth, daemon_mppe, method, mppe) in rows {
        let row = format!("{daemon_auth} with MPPE {daemon_mppe}");
        bed.must(&["reconfigure", "--auth", daemon_auth, "--mppe", daemon_mppe]);
        let wish = match mppe.split_once(' ') {
            Some((_, rest)) if rest.ends_with("stateful") => "--mppe 128,stateful",
            Some(("40", _)) => "--mppe 40,stateless",
            Some(_) => "--mppe 128,stateless",
            None => "--mppe any",
        };
        let more = format!("--auth-method {method} {wish} --expect-address 192.168.77.0/24");
        let seen = bed.check(AUTH, &login(&more), PASSWORD);
        seen.must_be(&row, "OK done/none");
        assert_eq!(seen.fact("auth_method"), method, "{row}: {}", seen.json);
        assert_eq!(seen.fact("mppe"), mppe, "{row}: {}", seen.json);
        assert_eq!(seen.fact("inner_address"), "192.168.77.1", "{row}: {}", seen.json);
        if mppe != "none" {
            let proved = &seen.json["facts"]["mppe_keys_proved"];
            assert_eq!(proved, &Value::Bool(true), "{row}: {}", seen.json);
        }
        // A wrong password under the same method, in the negative test too.
        let seen = bed.check(AUTH, &login(&format!("--auth-method {method}")), "wrong");
        seen.must_be(&row, "CRITICAL auth/auth_rejected");
        let seen =
            bed.check(AUTH, &login(&format!("--auth-method {method} --expect-reject")), "no");
        seen.must_be(&row, "OK done/none");
        assert_eq!(bed.sessions(), "0", "{row}: something is left in the gateway");
    }
}

/// What the gateway's RADIUS server answers, asked by the gateway for a caller
/// and asked directly: both checks blame the same thing.
#[test]
fn gateway_and_its_radius_server_agree() {
    let bed = Bed::up("radius", &["--radius", RADIUS]);
    let server = Radius::beside(&bed);
    let rows = [
        ("probe", PASSWORD, "OK done/none", "OK done/none"),
        ("probe", "wrong", "CRITICAL auth/auth_rejected", "CRITICAL auth/auth_rejected"),
        ("locked", PASSWORD, "CRITICAL auth/auth_rejected", "CRITICAL auth/auth_rejected"),
        ("nobody", PASSWORD, "CRITICAL auth/auth_rejected", "CRITICAL auth/auth_rejected"),
        // pppd passes no MS-CHAP-Error on.
        ("expired", PASSWORD, "CRITICAL auth/auth_rejected", "CRITICAL auth/auth_expired"),
        ("nokeys", PASSWORD, "CRITICAL ccp/terminated", "CRITICAL ccp/mppe_keys_missing"),
        (
            "wrongkeys",
            PASSWORD,
            "CRITICAL data/mppe_key_mismatch",
            "CRITICAL ccp/mppe_key_mismatch",
        ),
        (
            "wrongproof",
            PASSWORD,
            "CRITICAL auth/mutual_auth_failed",
            "CRITICAL auth/mutual_auth_failed",
        ),
        ("noproof", PASSWORD, "CRITICAL auth/auth_rejected", "CRITICAL auth/mutual_auth_failed"),
    ];
    for (user, password, gateway, direct) in rows {
        let row = format!("{user} with {password}");
        let caller = format!("-H {GATEWAY} -u {user} --password-env PROBE_PASSWORD --mppe 128");
        bed.check(AUTH, &caller, password).must_be(&row, gateway);
        let asker = format!(
            "-H {RADIUS} -u {user} --password-env PROBE_PASSWORD --require-mppe-keys \
             --secret-file {} --unsigned-state ok",
            server.secret.display()
        );
        bed.check(ASK_RADIUS, &asker, password).must_be(&row, direct);
    }
    drop(server);
    // Nobody answers the gateway any more.
    let caller = format!("-H {GATEWAY} -u probe --password-env PROBE_PASSWORD -t 20");
    bed.check(AUTH, &caller, PASSWORD).must_be("no server", "CRITICAL auth/auth_rejected");
    assert_eq!(bed.sessions(), "0", "something is left in the gateway");
}

/// FreeRADIUS in the namespace of a bed, until it is dropped.
struct Radius {
    _process: FreeRadius,
    secret: PathBuf,
}

impl Radius {
    fn beside(bed: &Bed) -> Self {
        let script =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/testbed/freeradius/freeradius-local");
        let mut command = bed.command(&["exec", script, "--addr", RADIUS, "--port", "1812"]);
        let process = FreeRadius::start(&mut command);
        let secret = std::env::temp_dir().join(format!("radius-secret-{}", std::process::id()));
        std::fs::write(&secret, "testing123\n").expect("it can be written");
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("mode");
        Self { _process: process, secret }
    }
}

impl Drop for Radius {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.secret);
    }
}

/// The gateway and the caller want different things.
#[test]
fn disagreements_are_named() {
    let bed = Bed::up("refusals", &[]);
    let rows = [
        ("mschap-v2", "required", "--mppe none", "CRITICAL ccp/mppe_required"),
        ("mschap-v2", "none", "--mppe 128", "CRITICAL ccp/mppe_refused"),
        ("mschap-v2", "40", "--mppe 128", "CRITICAL ccp/mppe_refused"),
        ("mschap", "40", "", "CRITICAL ccp/terminated"),
        ("pap", "none", "", "CRITICAL auth/auth_offered_unacceptable"),
        ("pap", "none", "--auth-method pap --mppe 128", "CRITICAL ccp/mppe_refused"),
        ("mschap-v2", "required", "--auth-method chap", "CRITICAL auth/auth_offered_unacceptable"),
        (
            "mschap-v2",
            "required",
            "--expect-address 192.0.2.0/24",
            "CRITICAL ipcp/address_unexpected",
        ),
        ("mschap-v2", "required", "--expect-dns 192.0.2.53", "CRITICAL ipcp/dns_unexpected"),
        ("mschap-v2", "required", "--expect-dns 192.168.77.1", "OK done/none"),
        ("mschap-v2", "required", "--expect-reject", "CRITICAL auth/auth_accepted"),
    ];
    for (daemon_auth, daemon_mppe, arguments, verdict) in rows {
        let row = format!("{daemon_auth} with MPPE {daemon_mppe}, asked with {arguments}");
        bed.must(&["reconfigure", "--auth", daemon_auth, "--mppe", daemon_mppe]);
        bed.check(AUTH, &login(arguments), PASSWORD).must_be(&row, verdict);
        assert_eq!(bed.sessions(), "0", "{row}: something is left in the gateway");
    }
    let stranger = format!("-H {GATEWAY} -u nobody --password-env PROBE_PASSWORD");
    bed.check(AUTH, &stranger, PASSWORD).must_be("unknown user", "CRITICAL auth/auth_rejected");
}

/// What the path does to TCP and GRE, in each direction.
#[test]
fn a_broken_path_is_told_by_direction() {
    let bed = Bed::up("paths", &[]);
    let target = format!("-H {GATEWAY} -t 6");
    let all = |row: &str, control: &str, gre: &str, auth: &str| {
        bed.check(CONTROL, &target, "").must_be(row, control);
        bed.check(GRE, &target, "").must_be(row, gre);
        bed.check(AUTH, &login("-t 6"), PASSWORD).must_be(row, auth);
    };
    all("free", "OK done/none", "OK done/none", "OK done/none");
    // Directions as the gateway sees them.
    for (what, verdict) in [
        ("in", "CRITICAL gre/gre_outbound_silent"),
        ("out", "CRITICAL gre/gre_inbound_silent"),
        ("both", "CRITICAL gre/gre_inbound_silent"),
    ] {
        bed.must(&["block-gre", what]);
        all(&format!("GRE blocked {what}"), "OK done/none", verdict, verdict);
    }
    bed.must(&["block-gre", "off"]);
    bed.must(&["block-tcp", "in"]);
    let silent = "CRITICAL connect/silent";
    all("TCP blocked", silent, silent, silent);
    bed.must(&["block-tcp", "off"]);
    // 50 ms each way: 100 ms a round trip.
    bed.must(&["delay", "50", "50"]);
    let seen = bed.check(GRE, &target, "");
    seen.must_be("delay", "OK done/none");
    let rtt = metric(&seen, "lcp_rtt");
    assert!((0.1..0.2).contains(&rtt), "lcp_rtt is {rtt}: {}", seen.json);
    bed.check(AUTH, &login("-t 6"), PASSWORD).must_be("delay", "OK done/none");
    bed.must(&["delay", "0", "0"]);
    assert_eq!(bed.sessions(), "0", "something is left in the gateway");
}

/// One slot, and somebody else holds it: pptpd leaves further callers without
/// an answer.
#[test]
fn an_exhausted_pool_is_silence_after_connect() {
    let bed = Bed::up("pool", &["--sessions", "1"]);
    bed.must(&["client-up"]);
    let mut holder = bed
        .command(&["client", "dial --hold 12"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the client dials");
    let started = Instant::now();
    while !bed.must(&["log"]).contains("remote IP address") {
        assert!(started.elapsed() < Duration::from_secs(20), "the client never came up");
        std::thread::yield_now();
    }
    bed.check(CONTROL, &format!("-H {GATEWAY} -t 3"), "")
        .must_be("pool exhausted", "CRITICAL control/silent");
    bed.check(CONTROL, &format!("-H {GATEWAY} -t 3:unknown"), "")
        .must_be("pool exhausted, timeout is unknown", "UNKNOWN control/silent");
    let _ = holder.wait();
    assert_eq!(bed.sessions(), "0", "something is left in the gateway");
    bed.check(AUTH, &login(""), PASSWORD).must_be("free again", "OK done/none");
}

/// Ten at once do not disturb each other. Each stays until all are there: see
/// [`Bed::check`].
#[test]
fn ten_checks_at_once() {
    let bed = Bed::up("ten", &["--sessions", "12"]);
    let children: Vec<_> = (0..10)
        .map(|_| {
            bed.check_command(TUNNEL, &login("-t 30 --count 0 --keep 4"), PASSWORD)
                .stdout(Stdio::piped())
                .spawn()
                .expect("check runs")
        })
        .collect();
    let mut addresses: Vec<String> = children
        .into_iter()
        .map(|child| {
            let seen = Seen::new(&child.wait_with_output().expect("check ends"));
            seen.must_be("one of ten", "OK done/none");
            seen.fact("assigned_address").to_owned()
        })
        .collect();
    assert_eq!(addresses.len(), 10);
    addresses.retain(|address| address.starts_with("192.168.77."));
    assert_eq!(addresses.len(), 10, "{addresses:?}");
    assert_eq!(bed.sessions(), "0", "something is left in the gateway");
}

/// What the gateway would accept, without an account.
#[test]
fn accepted_authentication_is_listed() {
    let bed = Bed::up("list", &[]);
    let rows: [(&str, &[&str]); 3] = [
        ("mschap-v2", &["mschapv2"]),
        ("pap", &["pap"]),
        ("any", &["pap", "chap", "mschapv1", "mschapv2", "eap"]),
    ];
    for (daemon_auth, accepted) in rows {
        bed.must(&["reconfigure", "--auth", daemon_auth, "--mppe", "none"]);
        let seen = bed.check(GRE, &format!("-H {GATEWAY} -t 20 --list-auth"), "");
        seen.must_be(daemon_auth, "OK done/none");
        let expected: Vec<Value> = accepted.iter().map(|word| Value::from(*word)).collect();
        assert_eq!(seen.json["facts"]["auth_accepted"], Value::Array(expected), "{}", seen.json);
    }
    let seen = bed.check(GRE, &format!("-H {GATEWAY} -t 20 --forbid-auth pap,none"), "");
    seen.must_be("any, pap forbidden", "CRITICAL auth/auth_forbidden");
    assert_eq!(bed.sessions(), "0", "something is left in the gateway");
}

/// Whoever is cut off still leaves nothing behind.
#[test]
fn an_interrupted_check_leaves_nothing_behind() {
    let bed = Bed::up("cut", &[]);
    bed.must(&["delay", "100", "100"]);
    let child = bed
        .check_command(AUTH, &login(""), PASSWORD)
        .stdout(Stdio::piped())
        .spawn()
        .expect("check runs");
    // In the middle of the session: 200 ms a round trip, and seven of them.
    let started = Instant::now();
    while !bed.must(&["log", "--last"]).contains("Starting call") {
        assert!(started.elapsed() < Duration::from_secs(10), "no call came");
    }
    // The script became the check by exec, so its process id is the check's.
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
    let output = child.wait_with_output().expect("check ends");
    let seen = Seen::new(&output);
    assert_eq!(seen.word("reason"), "interrupted", "{}", seen.json);
    assert_eq!(seen.exit_code, 3);
    bed.must(&["delay", "0", "0"]);
    assert_eq!(bed.sessions(), "0", "something is left in the gateway");
}

/// The other way: pptp-linux with pppd and the kernel's MPPE brings a session
/// up on the lab, and a ping goes through it.
#[test]
fn a_real_client_comes_up_on_the_lab() {
    let bed = Bed::new("foreign");
    let owner = std::process::id().to_string();
    bed.must(&["network", "--owner", &owner]);
    bed.must(&["client-up", "--owner", &owner]);
    let credentials = ["user", USER, "password", PASSWORD];
    let rows: [(&[&str], &[&str], &str); 4] = [
        (&["--mppe-mode", "128,stateless"], &["require-mppe-128"], "128-bit stateless"),
        (&["--mppe-mode", "40,stateless"], &["require-mppe-40"], "40-bit stateless"),
        (
            &["--mppe-mode", "128,stateful"],
            &["require-mppe-128", "mppe-stateful"],
            "128-bit stateful",
        ),
        (&["--auth", "pap", "--mppe", "none"], &["nomppe"], ""),
    ];
    for (lab, client, encryption) in rows {
        let mut gateway = Lab::serve(&bed, lab);
        let options = [&credentials[..], client].concat().join(" ");
        let dial = format!("dial --gateway 10.77.0.1 --hold 5 --limit 15 -- {options}");
        let dialling =
            bed.command(&["client", &dial]).stdout(Stdio::piped()).spawn().expect("client dials");
        let started = Instant::now();
        while !bed.must(&["client", "ip -4 addr; true"]).contains("peer 192.168.77.1") {
            assert!(
                started.elapsed() < Duration::from_secs(12),
                "{lab:?}: the client never came up"
            );
        }
        let ping = bed.must(&["client", "ping -n -c 5 -i 0.2 -W 2 192.168.77.1; true"]);
        assert!(ping.contains(" 5 received"), "{lab:?}: {ping}");
        let said = dialling.wait_with_output().expect("client ends");
        let said = String::from_utf8_lossy(&said.stdout);
        assert!(said.contains(encryption), "{lab:?}: {said}");
        gateway.end();
    }
}

/// A lab in the network of a bed.
struct Lab(Child);

impl Lab {
    fn serve(bed: &Bed, options: &[&str]) -> Self {
        let lab = env!("CARGO_BIN_EXE_pptp-lab");
        let mut child = bed
            .command(&["exec", lab, "serve", "--listen", "10.77.0.1"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab starts");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("its output is ours");
        BufReader::new(output).read_line(&mut line).expect("it says when it is ready");
        assert!(line.starts_with("listening on 10.77.0.1:1723"), "{line}");
        Self(child)
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.end();
    }
}
