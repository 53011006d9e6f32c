//! `check_radius` against a real FreeRADIUS (`tests/testbed/freeradius`) on
//! loopback: every method, every account, every rule for the
//! Message-Authenticator, every transport.
//!
//! Needs root and the packages of `tests/testbed/packages`; `tests/run` sees
//! to both. Without the feature `peers` none of this is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

#[path = "support/freeradius.rs"]
mod freeradius;
#[path = "support/seen.rs"]
mod seen;

use freeradius::FreeRadius;
use seen::Seen;

const CHECK: &str = env!("CARGO_BIN_EXE_check_radius");
const SECRET: &str = "testing123";
const PASSWORD: &str = "Pr0be-secret";

/// A FreeRADIUS of its own; it ends with the test.
struct Server {
    _process: FreeRadius,
    port: u16,
    state: PathBuf,
}

impl Server {
    fn start() -> Self {
        Self::at("127.0.0.1")
    }

    fn at(address: &str) -> Self {
        // Apart from those of other tests and of another run beside this one.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let step = NEXT.fetch_add(8, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() % 100) as u16 * 200 + step;
        let state =
            std::env::temp_dir().join(format!("radius-peers-{}-{port}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/testbed/freeradius/freeradius-local");
        let mut command = Command::new(script);
        command.args(["--addr", address, "--port", &port.to_string(), "--state"]).arg(&state);
        Self { _process: FreeRadius::start(&mut command), port, state }
    }

    fn check(&self, arguments: &str) -> Seen {
        self.check_as("probe", PASSWORD, arguments)
    }

    fn check_as(&self, user: &str, password: &str, arguments: &str) -> Seen {
        let arguments = format!(
            "-H 127.0.0.1 -p {} -u {user} --password-env PROBE_PASSWORD {arguments}",
            self.port
        );
        check(&arguments, SECRET, password)
    }

    fn certificates(&self) -> String {
        self.state.join("certificates").display().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

fn command(arguments: &str, secret: &str, password: &str) -> Command {
    let mut command = Command::new(CHECK);
    command
        .args(arguments.split_whitespace())
        .args(["--secret-env", "PROBE_SECRET"])
        .env("PROBE_SECRET", secret)
        .env("PROBE_PASSWORD", password)
        .stdin(Stdio::null());
    command
}

fn check(arguments: &str, secret: &str, password: &str) -> Seen {
    let output = command(arguments, secret, password).args(["-o", "json"]).output();
    Seen::new(&output.expect("the check runs"))
}

/// Replies of this server carry no Message-Authenticator unless it is told to.
const UNSIGNED: &str = "--unsigned-state ok";

#[test]
fn every_method_is_accepted_and_verified() {
    let server = Server::start();
    for (method, proof, keys) in [
        ("pap", "-", "-"),
        ("chap", "-", "-"),
        ("mschapv1", "-", "right"),
        ("mschapv2", "valid", "right"),
    ] {
        let good = format!("--auth-method {method} {UNSIGNED}");
        let seen = server.check(&good);
        seen.must_be(method, "OK done/none");
        assert_eq!((seen.fact("proof"), seen.fact("mppe_keys")), (proof, keys), "{method}");
        let seen = server.check_as("probe", "wrong", &good);
        seen.must_be(method, "CRITICAL auth/auth_rejected");
        let seen = server.check_as("probe", "wrong", &format!("{good} --expect-reject"));
        seen.must_be(method, "OK done/none");
        let seen = server.check(&format!("{good} --expect-reject"));
        seen.must_be(method, "CRITICAL auth/auth_accepted");
    }
    // RFC 2759, section 9.2, and letters of two and three octets.
    server.check_as("User", "clientPass", UNSIGNED).must_be("User", "OK done/none");
    server.check_as("unicode", "pässwörd-€", UNSIGNED).must_be("unicode", "OK done/none");
}

#[test]
fn every_account_has_its_verdict() {
    let server = Server::start();
    let rows = [
        ("nokeys", "", "WARNING ccp/mppe_keys_missing"),
        ("nokeys", "--require-mppe-keys", "CRITICAL ccp/mppe_keys_missing"),
        ("nokeys", "--ignore-mppe-keys", "OK done/none"),
        ("nokeys", "--auth-method mschapv1", "WARNING ccp/mppe_keys_missing"),
        ("wrongkeys", "", "CRITICAL ccp/mppe_key_mismatch"),
        ("noproof", "", "CRITICAL auth/mutual_auth_failed"),
        ("wrongproof", "", "CRITICAL auth/mutual_auth_failed"),
        ("expired", "", "CRITICAL auth/auth_expired"),
        ("expired", "--expect-reject", "CRITICAL auth/auth_expired"),
        ("disabled", "", "CRITICAL auth/auth_disabled"),
        ("locked", "--auth-method pap", "CRITICAL auth/auth_rejected"),
        ("challenge", "--auth-method pap", "CRITICAL auth/radius_challenge"),
        ("nobody", "", "CRITICAL auth/auth_rejected"),
        ("silent", "-t 3", "CRITICAL auth/radius_silent"),
        ("silent", "-t 2:unknown", "UNKNOWN auth/radius_silent"),
    ];
    for (user, options, verdict) in rows {
        let seen = server.check_as(user, PASSWORD, &format!("{options} {UNSIGNED}"));
        seen.must_be(&format!("{user} {options}"), verdict);
    }
    let seen = server.check_as("locked", PASSWORD, "--auth-method pap");
    assert!(seen.word("headline").contains("\"account locked\""), "{}", seen.json);
}

#[test]
fn slow_answer_to_an_earlier_transmission_counts() {
    let server = Server::start();
    let seen = server.check_as("slow", PASSWORD, &format!("--retry 0.5 {UNSIGNED}"));
    seen.must_be("slow", "OK done/none");
    let metrics = seen.json["sub"][0]["metrics"].as_array().expect("an array");
    let value = |label: &str| {
        metrics.iter().find(|metric| metric["label"] == label).map(|found| found["value"].clone())
    };
    assert!(
        value("retransmissions").and_then(|found| found.as_f64()) >= Some(1.0),
        "{}",
        seen.json
    );
    assert!(value("auth_time").and_then(|found| found.as_f64()) >= Some(2.4), "{}", seen.json);
    let output = command(
        &format!(
            "-v -H 127.0.0.1 -p {} -u slow --password-env PROBE_PASSWORD --retry 0.5",
            server.port
        ),
        SECRET,
        PASSWORD,
    )
    .output()
    .expect("the check runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("answered after ") && text.contains(" after the first"), "{text}");
}

/// The address a request comes from selects the server's rules.
#[test]
fn message_authenticator_in_each_setting() {
    let server = Server::start();
    let odd = "another secret, 32 bytes and more";
    let rows = [
        ("127.0.0.1", SECRET, "auto", "WARNING auth/radius_unsigned"),
        ("127.0.0.1", SECRET, "off", "OK done/none"),
        ("127.0.0.1", SECRET, "require", "CRITICAL auth/radius_unsigned"),
        // Ours always carries one, so a server that requires it answers.
        ("127.0.0.2", SECRET, "off", "OK done/none"),
        ("127.0.0.3", odd, "off", "OK done/none"),
        ("127.0.0.4", SECRET, "auto", "OK done/none"),
        ("127.0.0.4", SECRET, "require", "OK done/none"),
        ("127.0.0.5", SECRET, "require", "OK done/none"),
        // A wrong secret and an unknown client are silence.
        ("127.0.0.1", "wrong", "auto", "CRITICAL auth/radius_silent"),
        ("127.0.0.9", SECRET, "auto", "CRITICAL auth/radius_silent"),
    ];
    for (source, secret, rule, verdict) in rows {
        let arguments = format!(
            "-H 127.0.0.1 -p {} -u probe --password-env PROBE_PASSWORD -t 3 --source {source} \
             --message-authenticator {rule}",
            server.port
        );
        let seen = check(&arguments, secret, PASSWORD);
        seen.must_be(&format!("{source} {secret} {rule}"), verdict);
    }
    let arguments = format!(
        "-H 127.0.0.1 -p {} -u probe --password-env PROBE_PASSWORD --unsigned-state critical",
        server.port
    );
    check(&arguments, SECRET, PASSWORD).must_be("state", "CRITICAL auth/radius_unsigned");
}

#[test]
fn accounting_is_written_down_as_one_session() {
    let server = Server::start();
    server.check("--mode acct").must_be("acct", "OK done/none");
    let detail = std::fs::read_to_string(server.state.join("detail")).expect("it wrote");
    let values = |name: &str| -> Vec<String> {
        let lines = detail.lines().filter_map(|line| line.trim().split_once(" = "));
        lines.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect()
    };
    assert_eq!(values("Acct-Status-Type"), ["Start", "Interim-Update", "Stop"], "{detail}");
    let sessions = values("Acct-Session-Id");
    assert!(sessions.iter().all(|session| *session == sessions[0]), "{detail}");
    assert_eq!(values("Tunnel-Type:0"), ["PPTP"; 3], "{detail}");
    assert_eq!(values("NAS-Port-Type"), ["Virtual"; 3], "{detail}");
    assert_eq!(values("Acct-Terminate-Cause"), ["User-Request"], "{detail}");
    let wrong = format!("-H 127.0.0.1 -p {} --mode acct -t 2", server.port);
    check(&wrong, "wrong", "").must_be("wrong secret", "CRITICAL data/radius_silent");
}

#[test]
fn status_and_statistics() {
    let server = Server::start();
    let seen = server.check(&format!("--mode auth,acct,status {UNSIGNED}"));
    seen.must_be("all at once", "OK done/none");
    let names: Vec<_> = seen.json["sub"].as_array().expect("an array").iter().collect();
    assert_eq!(names.len(), 4, "{}", seen.json);
    let status = format!("--mode status --status-port {} {UNSIGNED}", server.port + 2);
    for which in ["auth", "acct", "all"] {
        let seen = server.check(&format!("{status} --statistics {which}"));
        seen.must_be(which, "OK done/none");
        let metrics = seen.json["sub"][0]["metrics"].as_array().expect("an array");
        let has = |label: &str| metrics.iter().any(|metric| metric["label"] == label);
        assert_eq!(has("auth_requests"), which != "acct", "{which}: {}", seen.json);
        assert_eq!(has("acct_requests"), which != "auth", "{which}: {}", seen.json);
        assert_eq!(has("queue_auth"), which == "all", "{which}: {}", seen.json);
    }
    let seen = server.check("--mode status --statistics auth");
    seen.must_be("on the port for logins", "CRITICAL control/attribute_unexpected");
}

#[test]
fn attributes_are_sent_and_expected() {
    let server = Server::start();
    for (options, verdict) in [
        ("--expect Framed-IP-Address=192.168.77.50 --expect Class", "OK done/none"),
        ("--expect framed-protocol=ppp --expect 27=600", "OK done/none"),
        ("--expect Framed-IP-Address=192.0.2.1", "CRITICAL auth/attribute_unexpected"),
        ("--expect Mikrotik-Rate-Limit", "CRITICAL auth/attribute_unexpected"),
    ] {
        server.check(&format!("{options} {UNSIGNED}")).must_be(options, verdict);
    }
    let options = "--attribute NAS-Identifier=vpn1 --attribute Called-Station-Id=42 --mode acct";
    server.check(options).must_be("sent", "OK done/none");
    let detail = std::fs::read_to_string(server.state.join("detail")).expect("it wrote");
    assert!(detail.contains("NAS-Identifier = \"vpn1\""), "{detail}");
    assert!(!detail.contains("pptp-monitor\"\n\tNAS-Identifier"), "{detail}");
    assert!(detail.contains("Called-Station-Id = \"42\""), "{detail}");
}

#[test]
fn several_servers_and_a_quorum() {
    let server = Server::start();
    let other = Server::at("::1");
    // Each on a port of its own, so the second address of ours is dead.
    let both = format!(
        "-p {} -u probe --password-env PROBE_PASSWORD -t 3 {UNSIGNED} -H 127.0.0.1 -H ::1",
        server.port
    );
    let seen = check(&both, SECRET, PASSWORD);
    seen.must_be("all", "CRITICAL auth/refused");
    let seen = check(&format!("{both} --quorum any"), SECRET, PASSWORD);
    seen.must_be("any", "WARNING auth/refused");
    assert!(seen.word("headline").starts_with("1 of 2 servers well, 1 needed; ::1:"));
    let six =
        format!("-6 -p {} -u probe --password-env PROBE_PASSWORD {UNSIGNED} -H ::1", other.port);
    check(&six, SECRET, PASSWORD).must_be("IPv6", "OK done/none");
}

#[test]
fn load_is_verified_reply_by_reply() {
    let server = Server::start();
    for method in ["pap", "chap", "mschapv1", "mschapv2"] {
        let load = format!("--auth-method {method} --count 600 --parallel 64 {UNSIGNED}");
        let seen = server.check(&load);
        seen.must_be(method, "OK done/none");
        assert!(seen.word("headline").contains("600 times"), "{}", seen.json);
    }
    let seen = server.check_as("probe", "wrong", "--count 600 --parallel 2");
    seen.must_be("rejected", "CRITICAL auth/auth_rejected");
    let log = std::fs::read_to_string(server.state.join("radius.log")).expect("a log");
    let refused = log.matches("Login incorrect").count();
    assert!((1..=2).contains(&refused), "the first rejected login ends it: {refused}");
}

#[test]
fn tcp_and_radsec() {
    let server = Server::start();
    server.check(&format!("--transport tcp {UNSIGNED}")).must_be("tcp", "OK done/none");
    let load = format!("--transport tcp --count 300 --parallel 20 {UNSIGNED}");
    server.check(&load).must_be("tcp load", "OK done/none");
    let certificates = server.certificates();
    let tls = |port: u16, ca: &str, identity: &str, more: &str| {
        let identity = match identity {
            "" => String::new(),
            name => {
                let file = format!("{certificates}/{name}");
                format!("--cert-file {file}.pem --key-file {file}.key")
            }
        };
        let arguments = format!(
            "-H 127.0.0.1 -p {port} -u probe --password-env PROBE_PASSWORD --transport tls \
             --ca-file {certificates}/{ca}.pem {identity} {more} -t 4"
        );
        let mut command = Command::new(CHECK);
        command.args(arguments.split_whitespace()).env("PROBE_PASSWORD", PASSWORD);
        Seen::new(&command.args(["-o", "json"]).output().expect("the check runs"))
    };
    let port = server.port + 3;
    let seen = tls(port, "ca", "client", "--mode auth,acct");
    seen.must_be("RadSec", "OK done/none");
    assert!(seen.fact("tls_version").starts_with("TLSv1_"), "{}", seen.json);
    tls(port, "ca", "client", "--tls-name gateway.test").must_be("by name", "OK done/none");
    let load = tls(port, "ca", "client", "--count 200 --parallel 10");
    load.must_be("load by RadSec", "OK done/none");
    for (row, seen) in [
        ("other name", tls(port, "ca", "client", "--tls-name other.test")),
        ("foreign authority", tls(port, "foreign-ca", "client", "")),
        ("expired", tls(port + 1, "ca", "client", "")),
    ] {
        seen.must_be(row, "CRITICAL connect/tls_failed");
    }
    for identity in ["", "foreign-client"] {
        let seen = tls(port, "ca", identity, "");
        assert_eq!(seen.word("state"), "CRITICAL", "{identity}: {}", seen.json);
        let reason = seen.word("reason");
        assert!(["closed", "tls_failed"].contains(&reason), "{identity}: {}", seen.json);
    }
}

#[test]
fn nothing_that_is_written_shows_a_secret() {
    let server = Server::start();
    let capture = server.state.join("out.pcap");
    for method in ["pap", "mschapv2"] {
        let arguments = format!(
            "-vvv --pcap {} --auth-method {method} -H 127.0.0.1 -p {} -u probe \
             --password-env PROBE_PASSWORD --mode auth,acct,status",
            capture.display(),
            server.port
        );
        let output = command(&arguments, SECRET, PASSWORD).output().expect("the check runs");
        let written = std::fs::read(&capture).expect("a capture");
        for octets in [&output.stdout, &output.stderr, &written] {
            for secret in [SECRET.as_bytes(), PASSWORD.as_bytes()] {
                let found = octets.windows(secret.len()).any(|window| window == secret);
                assert!(!found, "{method}: {}", String::from_utf8_lossy(&output.stdout));
            }
        }
        assert!(String::from_utf8_lossy(&output.stdout).contains("Access-Request id"));
        assert!(written.len() > 500, "requests and replies are in it");
    }
}
