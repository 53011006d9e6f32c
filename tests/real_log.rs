//! `check_pptp_log` on a real gateway (`tests/testbed`): pptpd and pppd fail in
//! every way that the other checks can tell, journald and rsyslog keep what
//! they log, logrotate rotates it, and the check counts what was done.
//!
//! Needs root and the packages of `tests/testbed/packages`; `tests/run` sees
//! to both. Without the feature `peers` none of this is built.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "support/bed.rs"]
mod bed;
#[path = "support/caller.rs"]
mod caller;
#[path = "support/freeradius.rs"]
mod freeradius;
#[path = "support/seen.rs"]
mod seen;

use bed::Bed;
use caller::{GATEWAY, PASSWORD, USER, login};
use freeradius::FreeRadius;
use seen::Seen;

const AUTH: &str = env!("CARGO_BIN_EXE_check_pptp_auth");
const CONTROL: &str = env!("CARGO_BIN_EXE_check_pptp_control");
const TUNNEL: &str = env!("CARGO_BIN_EXE_check_pptp_tunnel");
const GOOD: &str = "OK done/none";
const REJECTED: &str = "CRITICAL auth/auth_rejected";
/// Nothing here takes longer, unless it does not work.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who reads along: name, and what it reads.
const FOLLOWERS: [(&str, &str); 4] = [
    ("rfc3164", "--file /var/log/gateway.log"),
    ("rfc3339", "--file /var/log/gateway.rfc3339.log"),
    ("rfc5424", "--file /var/log/gateway.rfc5424.log"),
    ("journal", "--journal"),
];
/// Names of callers that look like lines of the log.
const HOSTILE_NAMES: [&str; 2] =
    ["x failed CHAP authentication", "pppd[1]: peer from calling number 203.0.113.9 authorized"];
/// How logrotate rotates what may be written meanwhile: rsyslog writes on to
/// the old file until it has heard of the new one.
const ROTATE_BUSY: &str = "\
/var/log/gateway.log {
    rotate 9
    create 0640 root adm
    dateext
    dateformat -%s
    compress
    delaycompress
    postrotate
        kill -HUP $(cat /run/rsyslogd.pid)
    endscript
}
";
/// And how only what is not: a line that comes meanwhile would be lost.
const ROTATE_QUIET: &str = "\
/var/log/gateway.rfc3339.log {
    rotate 9
    copytruncate
    compress
}
/var/log/gateway.rfc5424.log {
    rotate 9
    create 0640 root adm
    compress
    postrotate
        kill -HUP $(cat /run/rsyslogd.pid)
    endscript
}
";

/// How often each kind of event was told; with a reason where it has one, and
/// with the name where somebody was not let in.
type Counts = BTreeMap<String, u64>;

type Act = Box<dyn Fn(&Bed)>;

/// One situation: the gateway's settings, what is done to it, and the events
/// that this is, apart by blanks.
struct Row {
    name: String,
    settings: Vec<String>,
    act: Act,
    expected: String,
}

fn row(name: &str, settings: &[&str], act: Act, expected: &str) -> Row {
    Row {
        name: name.to_owned(),
        settings: settings.iter().map(|&word| word.to_owned()).collect(),
        act,
        expected: expected.to_owned(),
    }
}

/// A login by the check, and what it says of it.
fn logs_in(arguments: &str, password: &'static str, verdict: &'static str) -> Act {
    let arguments = login(arguments);
    Box::new(move |bed| bed.check(AUTH, &arguments, password).must_be(&arguments, verdict))
}

/// A session that is there when something is done to it.
fn during_session(arguments: &str, act: fn(&Bed)) -> Act {
    let arguments = login(&format!("-t 20 {arguments}"));
    Box::new(move |bed| {
        let mut command = bed.check_command(TUNNEL, &arguments, PASSWORD);
        let mut check = command.stdout(Stdio::null()).spawn().expect("check runs");
        bed.wait_for_log("remote IP address");
        act(bed);
        let _ = check.wait();
    })
}

/// A caller who gets the only place when the one before has left it.
fn exhausted_pool(bed: &Bed) {
    let mut command = bed.check_command(TUNNEL, &login("-t 20 --count 0 --keep 3"), PASSWORD);
    let mut holder = command.stdout(Stdio::null()).spawn().expect("check runs");
    bed.wait_for_log("remote IP address");
    bed.check(CONTROL, &format!("-H {GATEWAY} -t 20"), "").must_be("the one who waits", GOOD);
    let _ = holder.wait();
}

/// A session whose caller is gone from one moment to the next.
fn killed_caller(bed: &Bed) {
    let mut command = bed.check_command(TUNNEL, &login("-t 20 --count 0 --keep 15"), PASSWORD);
    let mut check = command.stdout(Stdio::null()).spawn().expect("check runs");
    bed.wait_for_log("remote IP address");
    // The script became the check by exec, so its process id is the check's.
    check.kill().expect("it runs");
    let _ = check.wait();
}

/// Callers that do not speak PPTP: one is silent, one speaks HTTP, one has
/// another magic cookie.
fn garbage(bed: &Bed) {
    let messages = [
        "",
        r"printf 'GET / HTTP/1.0\r\n\r\n' >&3;",
        r"{ printf '\0\234\0\1AAAA\0\1\0\0\1\0'; head -c 142 /dev/zero; } >&3;",
    ];
    for message in messages {
        let line = format!("exec 3<>/dev/tcp/{GATEWAY}/1723; {message} cat <&3 >/dev/null");
        let _ = bed.command(&["exec", "bash", "-c", &line]).output();
    }
}

/// They stay until all are there: see [`Bed::check`].
fn ten_at_once(bed: &Bed) {
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let arguments = login("-t 30 --count 0 --keep 4");
            let mut command = bed.check_command(TUNNEL, &arguments, PASSWORD);
            command.stdout(Stdio::piped()).spawn().expect("check runs")
        })
        .collect();
    // In the middle of it.
    bed.wait_for_log("Starting call");
    bed.rotate("/run/busy");
    for call in calls {
        Seen::new(&call.wait_with_output().expect("check ends")).must_be("one of ten", GOOD);
    }
}

fn hostile_names(bed: &Bed) {
    for name in HOSTILE_NAMES {
        let mut command = bed.command(&["exec", AUTH, "-o", "json", "-H", GATEWAY, "-u", name]);
        command.args(["--password-env", "PROBE_PASSWORD"]).env("PROBE_PASSWORD", PASSWORD);
        let seen = Seen::new(&command.output().expect("check runs"));
        seen.must_be(name, REJECTED);
        // See `Bed::check`.
        assert_eq!(bed.sessions(), "0", "{name}: something is left in the gateway");
    }
}

/// A RADIUS server in the bed's network for one login.
fn with_radius(bed: &Bed, act: impl Fn()) {
    let script =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/testbed/freeradius/freeradius-local");
    let mut command = bed.command(&["exec", script, "--addr", "10.77.0.1", "--port", "1812"]);
    let server = FreeRadius::start(&mut command);
    act();
    drop(server);
}

fn asks_radius(password: &'static str, verdict: &'static str) -> Act {
    let login = logs_in("-t 20", password, verdict);
    Box::new(move |bed| with_radius(bed, || login(bed)))
}

fn rows() -> Vec<Row> {
    const CALL: &str = "control_accepted calls control_closed";
    let session = |reason: &str| {
        format!("{CALL} auth_successes mppe_up sessions_opened sessions_ended:{reason}")
    };
    let plain =
        |reason: &str| format!("{CALL} auth_successes sessions_opened sessions_ended:{reason}");
    let failed = |what: &str| format!("{CALL} {what}");
    let rejected =
        |name: &str| failed(&format!("auth_failures:{name} calls_failed:auth/auth_rejected"));
    let mut rows = vec![
        row("clean", &[], logs_in("", PASSWORD, GOOD), &session("user_request")),
        row(
            "clean, EAP",
            &["--auth", "eap"],
            logs_in("--auth-method eap-md5", PASSWORD, GOOD),
            &plain("user_request"),
        ),
    ];
    for (method, word) in
        [("pap", "pap"), ("chap", "chap"), ("mschap", "mschapv1"), ("mschap-v2", "mschapv2")]
    {
        let settings = ["--auth", method, "--mppe", "none"];
        let arguments = format!("--auth-method {word}");
        rows.push(row(
            &format!("clean, {method}"),
            &settings,
            logs_in(&arguments, PASSWORD, GOOD),
            &plain("user_request"),
        ));
        rows.push(row(
            &format!("wrong password, {method}"),
            &settings,
            logs_in(&arguments, "wrong", REJECTED),
            &rejected(USER),
        ));
    }
    rows.extend([
        row(
            "ten at once",
            &["--sessions", "12"],
            Box::new(ten_at_once),
            &vec![session("user_request"); 10].join(" "),
        ),
        row(
            "unknown user",
            &[],
            Box::new(|bed| {
                let caller = format!("-H {GATEWAY} -u nobody --password-env PROBE_PASSWORD");
                bed.check(AUTH, &caller, PASSWORD).must_be("unknown user", REJECTED);
            }),
            &rejected("nobody"),
        ),
        row(
            "names like lines",
            &[],
            Box::new(hostile_names),
            &HOSTILE_NAMES.map(|name| rejected(&name.replace(' ', "_"))).join(" "),
        ),
        row(
            "MPPE required, caller refuses",
            &[],
            logs_in("--mppe none", PASSWORD, "CRITICAL ccp/mppe_required"),
            &failed("auth_successes mppe_failures calls_failed:ccp/mppe_required"),
        ),
        row(
            "GRE blocked in",
            &["--block-gre=in", "--pppd", "lcp-restart 1", "--pppd", "lcp-max-configure 2"],
            logs_in("-t 8", PASSWORD, "CRITICAL lcp/closed"),
            &failed("lcp_timeouts calls_failed:lcp/silent"),
        ),
        row(
            "GRE blocked out",
            &["--block-gre=out"],
            logs_in("-t 3", PASSWORD, "CRITICAL gre/gre_inbound_silent"),
            &failed("calls_failed:lcp/silent"),
        ),
        // pptpd says so when the last place is taken, whether or not more come.
        row(
            "pool exhausted",
            &["--sessions", "1"],
            Box::new(exhausted_pool),
            &format!(
                "{} control_accepted control_closed pool_exhausted pool_exhausted",
                session("user_request")
            ),
        ),
        row("caller killed", &[], Box::new(killed_caller), &session("ctrl_reset")),
        row(
            "caller vanished",
            &["--pppd", "lcp-echo-interval 1", "--pppd", "lcp-echo-failure 2"],
            during_session("--count 0 --keep 15", |bed| {
                bed.must(&["block-gre", "in"]);
            }),
            &format!("{} echo_timeouts", session("echo_timeout")),
        ),
        row(
            "idle",
            &["--pppd", "idle 2"],
            during_session("--count 2 --interval 6", |_| ()),
            &session("idle_timeout"),
        ),
        row(
            "time limit",
            &["--pppd", "maxconnect 2"],
            during_session("--count 0 --keep 15", |_| ()),
            &session("session_timeout"),
        ),
        row(
            "pppd ended by signal",
            &[],
            during_session("--count 0 --keep 15", |bed| {
                bed.must(&["kill-pppd", "soft"]);
            }),
            &session("admin_reset"),
        ),
        row(
            "pppd killed",
            &[],
            during_session("--count 0 --keep 15", |bed| {
                bed.must(&["kill-pppd", "hard"]);
                // Until nobody waits for its last words any more.
                bed.must(&["vm", "sleep 6"]);
            }),
            &session("unknown"),
        ),
        row(
            "IPCP anew",
            &[],
            during_session("--count 0 --keep 3", |bed| {
                bed.must(&["renegotiate", "ipcp"]);
            }),
            &format!("{} renegotiations", session("user_request")),
        ),
        row(
            "LCP anew",
            &["--mppe", "none"],
            during_session("--count 0 --keep 3", |bed| {
                bed.must(&["renegotiate", "lcp"]);
            }),
            &format!("{} renegotiations", plain("user_request")),
        ),
        row(
            "LCP anew with MPPE",
            &[],
            during_session("--count 0 --keep 15", |bed| {
                bed.must(&["renegotiate", "lcp"]);
            }),
            &format!("{} mppe_failures", session("mppe_lost")),
        ),
        row(
            "garbage",
            &["--stimeout", "1"],
            Box::new(garbage),
            "control_refused control_refused control_refused",
        ),
        row(
            "RADIUS accepts",
            &["--radius", "10.77.0.1"],
            asks_radius(PASSWORD, GOOD),
            &session("user_request"),
        ),
        row(
            "RADIUS rejects",
            &["--radius", "10.77.0.1"],
            asks_radius("wrong", REJECTED),
            &rejected(USER),
        ),
        row(
            "RADIUS with another secret",
            &["--radius", "10.77.0.1", "--radius-secret", "other"],
            asks_radius(PASSWORD, REJECTED),
            &failed("radius_errors auth_failures:probe calls_failed:auth/radius_secret_mismatch"),
        ),
        row(
            "RADIUS silent",
            &["--radius", "10.77.0.1"],
            logs_in("-t 20", PASSWORD, REJECTED),
            &failed("radius_errors auth_failures:probe calls_failed:auth/radius_silent"),
        ),
    ]);
    rows
}

impl Bed {
    fn rotate(&self, rules: &str) {
        self.must(&["vm", &format!("logrotate -f -s /run/rotated {rules}")]);
    }

    fn wait_for_log(&self, text: &str) {
        let started = Instant::now();
        while !self.must(&["log", "--last"]).contains(text) {
            assert!(started.elapsed() < PATIENCE, "the log never said {text:?}");
        }
    }
}

/// The events that a file holds by now.
struct Told(Vec<Value>);

impl Told {
    fn read(path: &std::path::Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // The last line may be under way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Self(whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect())
    }

    fn starts(&self) -> usize {
        self.0.iter().filter(|event| event["event"]["action"] == "server_starts").count()
    }

    /// What was told between two starts of the daemon.
    fn situations(&self) -> Vec<Counts> {
        let mut situations = Vec::new();
        for event in &self.0 {
            let action = event["event"]["action"].as_str().expect("an event is of a kind");
            if action == "server_starts" {
                situations.push(Counts::new());
                continue;
            }
            let detail = match action {
                "auth_failures" => {
                    event["user"]["name"].as_str().map(|name| name.replace(' ', "_"))
                }
                "calls_failed" => {
                    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
                    let phase = word(&event["pptp"]["phase"]);
                    Some(format!("{phase}/{}", word(&event["event"]["reason"])))
                }
                _ => event["event"]["reason"].as_str().map(str::to_owned),
            };
            let key = detail.map_or(action.to_owned(), |detail| format!("{action}:{detail}"));
            let counts = situations.last_mut().expect("the daemon starts first");
            *counts.entry(key).or_default() += 1;
        }
        situations
    }
}

fn counts(expected: &str) -> Counts {
    let mut counts = Counts::new();
    for word in expected.split_whitespace() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// The check in the gateway's guest.
struct Witness {
    bed: Bed,
    state: PathBuf,
}

impl Witness {
    fn up() -> Self {
        let bed = Bed::up("log", &["--journal", "--mem", "192M"]);
        let told = bed.must(&["env"]);
        let state = told.lines().find_map(|line| line.strip_prefix("STATE="));
        let state = PathBuf::from(state.expect("the bed says where"));
        // What the host has in /tmp the guests do not see.
        std::fs::copy(env!("CARGO_BIN_EXE_check_pptp_log"), state.join("check")).expect("room");
        for (name, rules) in [("busy", ROTATE_BUSY), ("quiet", ROTATE_QUIET)] {
            std::fs::write(state.join(name), rules).expect("room");
        }
        // logrotate wants its rules to be nobody else's.
        bed.must(&["vm", "install -m 644 -t /run /run/state/busy /run/state/quiet"]);
        for (name, source) in FOLLOWERS {
            bed.must(&[
                "vm",
                &format!(
                    "setsid /run/state/check {source} --from-start --follow --state /run/{name}.kept \
                     --events /run/state/{name}.json </dev/null >/run/state/{name}.out 2>&1 &
                     echo $! >/run/{name}.pid"
                ),
            ]);
        }
        Self { bed, state }
    }

    /// One run as a monitoring system makes it, which goes on where the one
    /// before ended.
    fn run(&self) -> Seen {
        let line = "/run/state/check --file /var/log/gateway.log --state /run/kept --from-start \
                    --window 1h -o json --events /run/state/runs.json";
        Seen::new(&self.bed.command(&["vm", line]).output().expect("the guest answers"))
    }

    fn told(&self, name: &str) -> Told {
        Told::read(&self.state.join(format!("{name}.json")))
    }

    /// Until everybody has told of so many starts of the daemon.
    fn wait_for_starts(&self, starts: usize) {
        let started = Instant::now();
        for (name, _) in FOLLOWERS {
            while self.told(name).starts() < starts {
                let said = std::fs::read_to_string(self.state.join(format!("{name}.out")));
                assert!(started.elapsed() < PATIENCE, "{name} tells no more: {said:?}");
            }
        }
    }
}

/// Whatever keeps the log and however it is rotated, each failure is told, once.
#[test]
fn each_failure_is_counted_once_by_whoever_reads() {
    let witness = Witness::up();
    let bed = &witness.bed;
    let rows = rows();
    for (number, row) in rows.iter().enumerate() {
        let settings: Vec<&str> = row.settings.iter().map(String::as_str).collect();
        bed.must(&[&["reconfigure"], &settings[..]].concat());
        (row.act)(bed);
        assert_eq!(bed.sessions(), "0", "{}: something is left in the gateway", row.name);
        if number % 9 == 8 {
            bed.rotate("/run/busy /run/quiet");
        }
        let seen = witness.run();
        assert_ne!(seen.word("state"), "UNKNOWN", "{}: {}", row.name, seen.json);
        assert_eq!(seen.json["facts"]["gaps"], json!([]), "{}: {}", row.name, seen.json);
    }
    bed.must(&["reconfigure"]);
    witness.wait_for_starts(rows.len() + 2);
    let seen = witness.run();
    for name in FOLLOWERS.map(|(name, _)| name).into_iter().chain(["runs"]) {
        let situations = witness.told(name).situations();
        // Before the first row and after the last one nothing was done.
        assert_eq!(situations.len(), rows.len() + 2, "{name}");
        for (row, told) in rows.iter().zip(&situations[1..]) {
            assert_eq!(*told, counts(&row.expected), "{name}: {}", row.name);
        }
    }
    assert_eq!(seen.fact("worst_user"), USER, "{}", seen.json);
    for (label, count) in totals(&witness.told("runs")) {
        assert_eq!(caller::metric(&seen, &label), count as f64, "{label}: {}", seen.json);
    }
    for (name, _) in FOLLOWERS {
        let line = "kill -TERM $(cat {}) && timeout 10 tail --pid=$(cat {}) -f /dev/null";
        bed.must(&["vm", &line.replace("{}", &format!("/run/{name}.pid"))]);
    }
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups \
                  /run/state/check --once --file /var/log/gateway.log -o json";
    let seen = Seen::new(&bed.command(&["vm", nobody]).output().expect("the guest answers"));
    seen.must_be("nobody", "UNKNOWN resolve/permission");
    assert!(seen.word("mend").contains("adm"), "{}", seen.json);
}

/// All events by kind alone.
fn totals(told: &Told) -> Counts {
    let mut totals = Counts::new();
    for event in &told.0 {
        let action = event["event"]["action"].as_str().expect("an event is of a kind");
        *totals.entry(action.to_owned()).or_default() += 1;
    }
    totals
}
