//! `check_pptp_log` as a process, over logs of real daemons.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

const CHECK: &str = env!("CARGO_BIN_EXE_check_pptp_log");
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/log/pptpd");

/// A directory of its own, gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pptp-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(CHECK).args(arguments).output().expect("the check starts");
    let code = output.status.code().expect("it ends by itself");
    (code, String::from_utf8(output.stdout).expect("ASCII"))
}

fn sample(name: &str) -> String {
    format!("{SAMPLES}/{name}.log")
}

fn append(path: &str, octets: &[u8]) {
    let mut file =
        OpenOptions::new().create(true).append(true).open(path).expect("a log to write to");
    file.write_all(octets).expect("it takes that");
}

/// The value of a metric in performance data.
fn metric(said: &str, label: &str) -> String {
    let (_, rest) = said.split_once(&format!("'{label}'=")).expect(label);
    rest.split([';', ' ', '\n']).next().expect("a value").to_owned()
}

#[test]
fn real_logs_are_summed_up_to_their_end() {
    for (name, opened, ended, failed) in [
        ("success-mschapv2-mppe", "1", "1", "0"),
        ("bad-password-mschap-v2", "0", "0", "1"),
        ("lcp-echo-failure", "1", "1", "0"),
        ("mppe-refused-by-client", "0", "0", "1"),
    ] {
        let (code, said) = run(&["--once", &sample(name)]);
        assert_eq!(code, 0, "{name}: {said}");
        assert!(said.starts_with("LOG OK - "), "{name}: {said}");
        assert_eq!(metric(&said, "sessions_opened"), opened, "{name}: {said}");
        assert_eq!(metric(&said, "sessions_ended"), ended, "{name}: {said}");
        assert_eq!(metric(&said, "calls_failed"), failed, "{name}: {said}");
    }
}

#[test]
fn packed_logs_are_read_once_or_refused() {
    let scratch = Scratch::new("packed");
    let [log, plain, state] = ["syslog.2.gz", "plain", "state"].map(|name| scratch.path(name));
    let text = fs::read(sample("lcp-echo-failure")).expect("a sample");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&text).expect("it takes that");
    append(&log, &encoder.finish().expect("it takes that"));
    let (_, unpacked) = run(&["--once", &sample("lcp-echo-failure")]);
    assert_eq!(run(&["--once", &log]), (0, unpacked));
    let (code, said) = run(&["--file", &log, "--state", &state]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("read it by itself, once [resolve/local]"), "{said}");
    for (name, octets) in [("x.bz2", &b"BZh91AY&SY"[..]), ("x.zst", b"\x28\xb5\x2f\xfd\x24")] {
        let path = scratch.path(name);
        append(&path, octets);
        let (code, said) = run(&["--once", &path]);
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("packed it: unpack it first"), "{said}");
        assert!(!said.contains('|'), "zeros would say that nothing happened: {said}");
    }
    // What ends in the middle of its last line is all there is.
    append(&plain, text.trim_ascii_end());
    let (code, said) = run(&["--once", &plain]);
    assert_eq!((code, metric(&said, "control_closed").as_str()), (0, "1"), "{said}");
}

#[test]
fn single_session_alerts_when_one_call_is_enough() {
    let lowest = ["--once", "--min-calls", "1"];
    let (code, said) = run(&[&lowest[..], &[&sample("lcp-echo-failure")]].concat());
    assert_eq!(code, 2, "{said}");
    assert!(said.starts_with("LOG CRITICAL - 1 of 1 session ended by LCP echo failure in "));
    assert!(said.contains(" [lcp/lcp_echo_silent]: "), "{said}");
    let (code, said) = run(&[&lowest[..], &[&sample("bad-password-mschap-v2")]].concat());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("1 of 1 call failed"), "{said}");
    assert!(said.contains("[auth/auth_rejected]"), "{said}");
}

#[test]
fn what_is_appended_is_counted_once_and_nothing_is_written_for_nothing() {
    let scratch = Scratch::new("append");
    let [log, state, events] = ["syslog", "state", "events"].map(|name| scratch.path(name));
    let text = fs::read(sample("success-mschapv2-mppe")).expect("a sample");
    append(&log, &text);
    let arguments =
        ["--file", &log, "--state", &state, "--events", &events, "--from-start", "--window", "7d"];
    run(&arguments);
    let first = fs::read(&events).expect("events");
    assert!(!first.is_empty());
    run(&arguments);
    let kept = fs::read(&state).expect("a state");
    run(&arguments);
    assert_eq!(fs::read(&events).expect("events"), first, "nothing is new");
    assert_eq!(fs::read(&state).expect("a state"), kept, "nothing is to be kept");
    append(&log, &text);
    run(&arguments);
    let both = fs::read_to_string(&events).expect("events");
    assert_eq!(both.lines().count(), 2 * first.iter().filter(|octet| **octet == b'\n').count());
    for (number, line) in both.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["event"]["sequence"], number + 1);
        assert_eq!(line["event"]["dataset"], "pptp.log");
    }
}

#[test]
fn damaged_state_is_put_aside_once_and_said() {
    let scratch = Scratch::new("damaged");
    let [log, state] = ["syslog", "state"].map(|name| scratch.path(name));
    append(&log, b"");
    fs::write(&state, b"PPTPSTAT\x63").expect("a state");
    let arguments = ["--file", &log, "--state", &state];
    let (code, said) = run(&arguments);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("; the state is of another version: counting begins anew"), "{said}");
    assert!(Path::new(&format!("{state}.bad")).exists());
    let (_, said) = run(&arguments);
    assert!(!said.contains("the state"), "{said}");
}

#[test]
fn state_that_is_a_link_is_refused() {
    let scratch = Scratch::new("link");
    let [log, state, target] = ["syslog", "state", "target"].map(|name| scratch.path(name));
    append(&log, b"");
    fs::write(&target, b"untouched").expect("a file");
    std::os::unix::fs::symlink(&target, &state).expect("a link");
    let (code, said) = run(&["--file", &log, "--state", &state]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("cannot read the state file"), "{said}");
    assert_eq!(fs::read(&target).expect("a file"), b"untouched");
}

#[test]
fn log_that_is_not_there_is_unknown() {
    let scratch = Scratch::new("absent");
    let log = scratch.path("syslog");
    let (code, said) = run(&["--once", &log]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("there is no such log"), "{said}");
}

#[test]
fn names_are_digests_everywhere_when_asked_for() {
    let log = sample("bad-password-mschap-v2");
    let plain = run(&["--once", "-vv", "-o", "json", "--events", "-", &log]).1;
    assert!(plain.contains("probe"), "{plain}");
    for format in ["nagios", "json", "prometheus", "zabbix"] {
        let arguments = ["--once", "-vv", "-o", format, "--redact-users", "--events", "-", &log];
        let said = run(&arguments).1;
        assert!(!said.contains("probe\""), "{said}");
        assert!(said.contains("\"name\":\"user-"), "{said}");
        assert!(!said.contains("\"message\""), "{said}");
    }
}
