//! The whole daemon, below Debian's snmpd and by itself, asked by Net-SNMP's
//! tools; its gateways are recorded ones and made-up ones.
//!
//! Needs the packages snmpd, snmptrapd and snmp, and erlang-snmp to unpack.
//! Without the feature `peers` none of this is built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Bound;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pptp_snmp_subagent::ROOT;
use pptp_snmp_subagent::mib_text::{Mib, PROBE_TC_MIB, SESSION_MIB};
use pptp_snmp_subagent::oid::Oid;
use pptp_snmp_subagent::snmp::usm::{Boots, EngineId};
use pptp_snmp_subagent::value::{Octets, Value};

#[path = "../../tests/support/net_snmp.rs"]
mod net_snmp;
#[path = "../../tests/support/said.rs"]
mod said;
#[path = "../../tests/support/snmpd.rs"]
mod snmpd;
#[path = "../../tests/support/snmptrapd.rs"]
mod snmptrapd;

use net_snmp::{PATIENCE, State, ask};
use said::Said;
use snmpd::Master;
use snmptrapd::TrapDaemon;

/// The community, version and bounds of every question that needs no more.
const PUBLIC: [&str; 6] = ["-v2c", "-c", "public", "-r", "1", "-Ox"];
/// The user of the test bed's snmpd.
const PROBE: [&str; 12] = [
    "-v3",
    "-l",
    "authPriv",
    "-u",
    "probe",
    "-a",
    "SHA",
    "-A",
    "authpass1",
    "-X",
    "privpass1",
    "-xAES",
];

type Variables = BTreeMap<Oid, Value<'static>>;

/// The daemon; it ends with its value.
struct Daemon {
    child: Child,
    said: Said,
}

impl Daemon {
    fn start(config: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pptp-snmp-subagent"))
            .env_remove("JOURNAL_STREAM")
            .arg("--config")
            .arg(config)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let said = Said::by(child.stderr.take().expect("it is piped"));
        Self { child, said }
    }

    /// One that is served by the master at `address`, and by itself.
    fn below(address: &str, config: &Path, arguments: &[&str]) -> Self {
        let own = ["--agentx", address, "--listen", "127.0.0.1:0"];
        let daemon = Self::start(config, &[&own, arguments].concat());
        daemon.said.wait_for("serving the master", 1, PATIENCE);
        daemon
    }

    /// Where its own agent listens: the walk that it recommends tells.
    fn own_address(&self) -> String {
        let said = self.said.wait_for("responder: try: snmpwalk", 1, PATIENCE);
        let words = said.lines().find_map(|line| line.strip_prefix("responder: try: "));
        let address = words.and_then(|words| words.split(' ').nth_back(1));
        address.expect("the last but one").to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// How it ends, which takes it two seconds at most.
    fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(2);
        self.signal(Signal::SIGTERM);
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(Instant::now() < until, "it goes on");
            std::thread::yield_now();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of a recorded gateway whose files are older than its processes, and
/// a configuration that reads it once.
fn recorded(state: &State, situation: &str) -> PathBuf {
    let root = copy(state, situation);
    configure(state, &format!("root = {root:?}\ninterval = \"1h\""), "stale_after = \"1d\"")
}

fn copy(state: &State, situation: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gateway");
    let root = state.path().join(situation);
    let copied = Command::new("sh")
        .args(["-c", "cp -r \"$0\" \"$1\" && find \"$1\" -type f -exec touch -d @0 {} +"])
        .arg(fixtures.join(situation))
        .arg(&root)
        .status();
    assert!(copied.is_ok_and(|copied| copied.success()), "{situation}");
    root
}

/// A configuration that reads poptop alone and leaves nothing behind. An audit
/// comes when it is ready, which two walks would tell of differently.
fn configure(state: &State, collect: &str, notifications: &str) -> PathBuf {
    let path = state.path().join("subagent.toml");
    let engine = state.path().join("engine");
    let text = format!(
        "[responder]\nstate_file = {engine:?}\n[audit]\nenabled = false\n[collect]\n\
         sources = [\"poptop\"]\n{collect}\n[notifications]\n{notifications}\n"
    );
    std::fs::write(&path, text).expect("a file can be written");
    path
}

fn oid(text: &str) -> Oid {
    text.parse().expect("an identifier")
}

/// What a tool printed: names in numbers, octets in hexadecimal.
fn variables(printed: &str) -> Vec<(Oid, Value<'static>)> {
    let mut whole: Vec<String> = Vec::new();
    for line in printed.lines() {
        match whole.last_mut() {
            // Long octets go on in the next line.
            Some(last) if !line.starts_with('.') => last.push_str(line),
            _ => whole.push(line.to_owned()),
        }
    }
    whole.iter().map(|line| variable(line).unwrap_or_else(|| panic!("{printed}"))).collect()
}

fn variable(line: &str) -> Option<(Oid, Value<'static>)> {
    let (name, value) = line.split_once(" = ")?;
    let value = match value.split_once(": ") {
        None if value == "\"\"" => Value::OctetString(Octets::copy(&[])),
        Some(("Hex-STRING", octets)) => {
            let octets = octets.split_whitespace().map(|octet| u8::from_str_radix(octet, 16));
            Value::OctetString(Octets::copy(&octets.collect::<Result<Vec<_>, _>>().ok()?))
        }
        Some(("INTEGER", number)) => Value::Integer(number.parse().ok()?),
        Some(("Gauge32", number)) => Value::Gauge32(number.parse().ok()?),
        Some(("Counter32", number)) => Value::Counter32(number.parse().ok()?),
        Some(("Counter64", number)) => Value::Counter64(number.parse().ok()?),
        Some(("Timeticks", ticks)) => {
            let (ticks, _) = ticks.strip_prefix('(')?.split_once(')')?;
            Value::TimeTicks(ticks.parse().ok()?)
        }
        _ => return None,
    };
    Some((name.parse().ok()?, value))
}

/// Everything below `root`, which comes in order.
fn walk(state: &State, tool: &str, access: &[&str], address: &str, root: &Oid) -> Variables {
    let root = root.to_string();
    let printed = ask(state, tool, &[access, &["-Ox", address, &root]].concat());
    let variables = variables(&printed);
    assert!(variables.is_sorted_by(|a, b| a.0 < b.0), "{tool}: {printed}");
    variables.into_iter().collect()
}

/// The folders with the modules, and those they import from.
fn modules() -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = Command::new(top.join("tests/mib/base-modules")).output().expect("it runs");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let base = String::from_utf8_lossy(&found.stdout);
    format!("{}:{}", base.trim_end(), top.join("mibs").display())
}

fn mib() -> Mib {
    Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).expect("they are right")
}

/// Without what one agent tells otherwise from one question to the next.
fn lasting(mib: &Mib, variables: &Variables) -> Variables {
    let lasts = |name: &Oid| {
        let object = mib.object_of(name).expect("it is defined");
        !object.name.ends_with("DataAge")
    };
    variables.clone().into_iter().filter(|(name, _)| lasts(name)).collect()
}

/// With the TimeStamps of an agent that began after all that is told.
fn begun_late(variables: &Variables) -> Variables {
    let late = |value| match value {
        Value::TimeTicks(_) => Value::TimeTicks(0),
        value => value,
    };
    variables.clone().into_iter().map(|(name, value)| (name, late(value))).collect()
}

/// Without what another agent tells otherwise: what belongs to the time at
/// which it began. Which variables there are is the same.
fn timeless(mib: &Mib, variables: &Variables) -> BTreeMap<Oid, Option<Value<'static>>> {
    let is_time = |name: &Oid| {
        let object = mib.object_of(name).expect("it is defined");
        let syntax = &*object.syntax.name;
        let unit = object.units.as_deref();
        ["TimeStamp", "DateAndTime"].contains(&syntax)
            || ["seconds", "milliseconds"].map(Some).contains(&unit)
    };
    let kept = |(name, value): (&Oid, &Value<'static>)| {
        (name.clone(), Some(value.clone()).filter(|_| !is_time(name)))
    };
    variables.iter().map(kept).collect()
}

/// Where two walks differ, a line each.
fn differences<V: PartialEq + std::fmt::Debug>(
    a: &BTreeMap<Oid, V>,
    b: &BTreeMap<Oid, V>,
) -> Vec<String> {
    let names: BTreeSet<&Oid> = a.keys().chain(b.keys()).collect();
    let differ = names.into_iter().filter(|name| a.get(name) != b.get(name));
    differ.map(|name| format!("{name}: {:?}, {:?}", a.get(name), b.get(name))).collect()
}

/// Whoever is asked, and however, tells the same.
fn one_tree_is_served(config: &Path, state: &State, arguments: &[&str]) {
    let mib = mib();
    let root = Oid::from(ROOT);
    let standalone =
        Daemon::start(config, &[&["--standalone", "--listen", "127.0.0.1:0"], arguments].concat());
    let alone = walk(state, "snmpbulkwalk", &PUBLIC, &standalone.own_address(), &root);
    assert!(alone.len() > 100, "{alone:?}");
    let master = Master::start(&[]);
    let unix = master.socket().display().to_string();
    let tcp = format!("tcp:127.0.0.1:{}", master.agentx_port);
    for address in [unix, tcp] {
        let daemon = Daemon::below(&address, config, arguments);
        let all = walk(state, "snmpbulkwalk", &PUBLIC, &daemon.own_address(), &root);
        let below = walk(state, "snmpbulkwalk", &PUBLIC, &master.address, &root);
        let told = lasting(&mib, &below);
        let differ = differences(&begun_late(&told), &lasting(&mib, &all));
        assert_eq!(differ, [""; 0], "{address}");
        for (tool, access) in
            [("snmpbulkwalk", &PUBLIC[..]), ("snmpwalk", &PUBLIC), ("snmpbulkwalk", &PROBE)]
        {
            let below = walk(state, tool, access, &master.address, &root);
            let differ = differences(&lasting(&mib, &below), &told);
            assert_eq!(differ, [""; 0], "{tool} {access:?}, {address}");
            let differ = differences(&timeless(&mib, &below), &timeless(&mib, &alone));
            assert_eq!(differ, [""; 0], "{tool} {access:?}, {address}");
        }
        // One by one, and a few at once.
        for names in told.keys().collect::<Vec<_>>().chunks(40) {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let got = variables(&master.ask("snmpget", "public", &[&["-Ox"], &names[..]].concat()));
            let expected = names.iter().map(|name| (oid(name), told[&oid(name)].clone()));
            assert_eq!(got, expected.collect::<Vec<_>>(), "{address}");
            let next =
                variables(&master.ask("snmpgetnext", "public", &[&["-Ox"], &names[..]].concat()));
            for (name, (next, _)) in names.iter().zip(next) {
                let behind = all.range((Bound::Excluded(oid(name)), Bound::Unbounded)).next();
                match behind {
                    Some((behind, _)) => assert_eq!(next, *behind, "{address}"),
                    // Variables of the master itself.
                    None => assert!(!next.starts_with(&root), "{next}"),
                }
            }
        }
    }
}

#[test]
fn a_recorded_gateway_is_the_same_below_a_master_and_without_one() {
    let state = State::new();
    let config = recorded(&state, "poptop-two-sessions");
    one_tree_is_served(&config, &state, &[]);
}

#[test]
fn made_up_sessions_are_the_same_below_a_master_and_without_one() {
    let state = State::new();
    let config = configure(&state, "", "");
    one_tree_is_served(&config, &state, &["--synthetic-rows", "100"]);
}

#[test]
fn what_is_served_is_what_the_mib_defines() {
    let mib = mib();
    let root = Oid::from(ROOT);
    let master = Master::start(&[]);
    let state = State::new();
    let unix = master.socket().display().to_string();
    let made_up = configure(&state, "", "");
    let daemon = Daemon::below(&unix, &made_up, &["--synthetic-rows", "3"]);
    let seen = walk(&state, "snmpbulkwalk", &PUBLIC, &master.address, &root);
    assert_eq!(mib.misfits(&seen), [""; 0]);
    assert_eq!(mib.unserved(&seen.keys().collect::<Vec<_>>()), [""; 0]);
    drop(daemon);
    for situation in ["poptop-two-sessions", "poptop-starting", "poptop-daemon-gone"] {
        let state = State::new();
        let config = recorded(&state, situation);
        let _daemon = Daemon::below(&unix, &config, &[]);
        let seen = walk(&state, "snmpbulkwalk", &PUBLIC, &master.address, &root);
        assert_eq!(mib.misfits(&seen), [""; 0], "{situation}");
        let unserved = mib.unserved(&seen.keys().collect::<Vec<_>>());
        assert!(!unserved.contains(&"pptpServerOperStatus"), "{situation}");
    }
}

#[test]
fn session_table_is_shown_in_words() {
    let master = Master::start(&[]);
    let state = State::new();
    let config = recorded(&state, "poptop-two-sessions");
    let _daemon = Daemon::below(&master.socket().display().to_string(), &config, &[]);
    let modules = modules();
    let table = |name| {
        let words = ["-M", &modules, "-m", "PPTP-SESSION-MIB", "-Os", "-CBi", "-Cf", "|", name];
        let printed = master.ask("snmptable", "public", &words);
        let mut lines = printed.lines().skip_while(|line| !line.starts_with("index|"));
        let columns: Vec<String> = lines
            .next()
            .unwrap_or_else(|| panic!("{printed}"))
            .split('|')
            .map(str::to_owned)
            .collect();
        let row =
            |line: &str| columns.iter().cloned().zip(line.split('|').map(str::to_owned)).collect();
        lines.map(row).collect::<Vec<BTreeMap<String, String>>>()
    };
    let sessions = table("pptpSessionTable");
    for (column, expected) in [
        ("index", ["1.1", "1.2"]),
        ("pptpSessionUser", ["probe", "alice"]),
        ("pptpSessionState", ["open", "open"]),
        ("pptpSessionStart", ["2026-11-21,8:43:22.1,+0:0", "2026-11-21,8:43:23.4,+0:0"]),
        ("pptpSessionPeerAddressType", ["ipv4", "ipv4"]),
        ("pptpSessionPeerAddress", ["\"0A 4D 00 03 \"", "\"0A 4D 00 04 \""]),
        ("pptpSessionPeerPort", ["37461", "33965"]),
        ("pptpSessionAssignedAddress", ["\"C0 A8 4D 0A \"", "\"C0 A8 4D 0B \""]),
        ("pptpSessionIfName", ["ppp0", "ppp1"]),
        ("pptpSessionAuthMethod", ["msChapV2", "msChapV2"]),
        ("pptpSessionEncryption", ["mppe128", "mppe128"]),
        ("pptpSessionStateless", ["true", "true"]),
        ("pptpSessionMtu", ["1496 octets", "1496 octets"]),
        ("pptpSessionInOctets", ["378 octets", "126 octets"]),
        ("pptpSessionLcpRtt", ["?", "?"]),
    ] {
        let told: Vec<_> = sessions.iter().map(|row| &*row[column]).collect();
        assert_eq!(told, expected, "{column}");
    }
    let servers = table("pptpServerTable");
    assert_eq!(servers.len(), 1);
    for (column, expected) in [
        ("pptpServerName", "poptop 0.0.0.0:1723"),
        ("pptpServerKind", "poptop"),
        ("pptpServerOperStatus", "up"),
        ("pptpServerSessionsActive", "2 sessions"),
        ("pptpServerSessionsMaximum", "10 sessions"),
        ("pptpServerGreInPackets", "28 packets"),
    ] {
        assert_eq!(servers[0][column], expected, "{column}");
    }
}

/// A link to one of two recorded gateways, so that a server goes and comes.
struct Switch {
    link: PathBuf,
    next: PathBuf,
    up: PathBuf,
    down: PathBuf,
}

impl Switch {
    fn new(state: &State) -> Self {
        let switch = Self {
            link: state.path().join("root"),
            next: state.path().join("next"),
            up: copy(state, "poptop-two-sessions"),
            down: copy(state, "poptop-daemon-gone"),
        };
        switch.turn(true);
        switch
    }

    /// At one moment, as whoever reads it sees it.
    fn turn(&self, is_up: bool) {
        let root = if is_up { &self.up } else { &self.down };
        symlink(root, &self.next).expect("a link can be made");
        std::fs::rename(&self.next, &self.link).expect("it can be replaced");
    }

    fn collect(&self) -> String {
        format!("root = {:?}\ninterval = \"100ms\"", self.link)
    }
}

/// Walks again and again until it is told to stop; whatever is answered is in
/// order. Tells how often.
fn walk_on(address: &str, stop: &AtomicBool, walked: &AtomicU32) {
    let state = State::new();
    let root = Oid::from(ROOT).to_string();
    while !stop.load(Ordering::Relaxed) {
        let access = ["-v2c", "-c", "public", "-r", "0", "-t", "1", "-Ox"];
        let printed = ask(&state, "snmpbulkwalk", &[&access[..], &[address, &root]].concat());
        // A master that is away, or has nobody who serves this.
        if printed.contains("Timeout") || printed.contains("No Such Object") {
            continue;
        }
        let variables = variables(&printed);
        assert!(variables.is_sorted_by(|a, b| a.0 < b.0), "{printed}");
        walked.fetch_add(1, Ordering::Relaxed);
    }
}

/// One of the agent's own counters.
fn counter(master: &Master, object: &str) -> u32 {
    let mib = mib();
    let name = &mib.object(object).expect("it is defined").oid;
    let name = Oid::try_from(&name[..]).expect("a name").child(0).expect("it is short");
    match variables(&master.ask("snmpget", "public", &[&name.to_string()])).remove(0) {
        (found, Value::Counter32(count)) if found == name => count,
        other => panic!("{object} is {other:?}"),
    }
}

/// Asks until a counter is so high: readers share what it was a moment ago.
fn counted(master: &Master, object: &str, count: usize) {
    let until = Instant::now() + PATIENCE;
    while counter(master, object) != count as u32 {
        assert!(Instant::now() < until, "{object} does not become {count}");
    }
}

#[test]
fn a_killed_master_is_served_again_and_told_what_happened_meanwhile() {
    const ROUNDS: usize = 3;
    let receiver = TrapDaemon::start(
        "authCommunity log public\n",
        &["-M", &modules(), "-m", "PPTP-SESSION-MIB", "-OS"],
    );
    let mut master = Master::start(&["--trap-to", &format!("udp:{}", receiver.address)]);
    let state = State::new();
    let switch = Switch::new(&state);
    let config = configure(&state, &switch.collect(), "[agentx]\nqueue = 2");
    let daemon = Daemon::below(&master.socket().display().to_string(), &config, &[]);
    let wait = |text, times| daemon.said.wait_for(text, times, PATIENCE);
    let stop = AtomicBool::new(false);
    let address = master.address.clone();
    let walked = [const { AtomicU32::new(0) }; 2];
    std::thread::scope(|scope| {
        for walked in &walked {
            scope.spawn(|| walk_on(&address, &stop, walked));
        }
        for round in 1..=ROUNDS {
            master.kill();
            wait("lost the master", round);
            switch.turn(false);
            wait("server_down: pptpd is not running", round);
            switch.turn(true);
            wait("server_up", round);
            master.restart();
            wait("serving the master", round + 1);
            receiver.said.wait_for("PPTP-SESSION-MIB::pptpServerUp", round, PATIENCE);
            counted(&master, "pptpAgentMasterReconnects", round);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(walked.iter().all(|walked| walked.load(Ordering::Relaxed) > 0), "{walked:?}");
    counted(&master, "pptpAgentNotificationsSent", 2 * ROUNDS);
    counted(&master, "pptpAgentNotificationsDropped", 0);

    // Of four only the last two have room.
    master.kill();
    wait("lost the master", ROUNDS + 1);
    for turn in 1..=2 {
        switch.turn(false);
        wait("server_down: pptpd is not running", ROUNDS + turn);
        switch.turn(true);
        wait("server_up", ROUNDS + turn);
    }
    master.restart();
    wait("serving the master", ROUNDS + 2);
    let told = receiver.said.wait_for("PPTP-SESSION-MIB::pptpServerUp", ROUNDS + 1, PATIENCE);
    counted(&master, "pptpAgentNotificationsDropped", 2);
    let objects = [
        "PPTP-SESSION-MIB::pptpServerDown",
        "PPTP-SESSION-MIB::pptpServerName.1 = STRING: poptop 0.0.0.0:1723",
        "PPTP-SESSION-MIB::pptpServerKind.1 = INTEGER: poptop(3)",
        "PPTP-SESSION-MIB::pptpServerOperStatus.1 = INTEGER: down(3)",
        "PPTP-SESSION-MIB::pptpServerStatusText.1 = STRING: pptpd is not running",
    ];
    assert_eq!(told.matches(&objects.join("\t")).count(), ROUNDS + 1, "{told}");
}

#[test]
fn two_roots_are_served_side_by_side() {
    let master = Master::start(&[]);
    let unix = master.socket().display().to_string();
    let [one, other] = [State::new(), State::new()];
    let first = recorded(&one, "poptop-two-sessions");
    let second = recorded(&other, "poptop-starting");
    let moved = "1.3.6.1.4.1.99999.4";
    let _first = Daemon::below(&unix, &first, &[]);
    let second = Daemon::below(&unix, &second, &["--oid-base", moved]);
    let sessions = |mib: &Mib, root: &Oid| {
        let seen = walk(&one, "snmpbulkwalk", &PUBLIC, &master.address, root);
        assert_eq!(mib.misfits(&seen), [""; 0], "{root}");
        let state = mib.object("pptpSessionState").expect("it is defined");
        let states = seen.into_iter().filter(|(name, _)| name.as_slice().starts_with(&state.oid));
        states.map(|(_, state)| state).collect::<Vec<_>>()
    };
    let module = |name| {
        let printed = Command::new(env!("CARGO_BIN_EXE_pptp-snmp-subagent"))
            .args(["--config", "/dev/null", "--oid-base", moved, "--print-mib", name])
            .output();
        String::from_utf8(printed.expect("it runs").stdout).expect("it is text")
    };
    let conventions = module("PPTP-PROBE-TC-MIB");
    let moved_mib = Mib::parse(&[&conventions, &module("PPTP-SESSION-MIB")]).expect("it is right");
    let open = Value::Integer(9);
    assert_eq!(sessions(&mib(), &ROOT.into()), [open.clone(), open.clone()]);
    assert_eq!(sessions(&moved_mib, &oid(moved)), [Value::Integer(5), Value::Integer(3)]);
    drop(second);
    assert_eq!(sessions(&mib(), &ROOT.into()), [open.clone(), open]);
}

#[test]
fn the_second_of_one_root_waits_and_takes_over() {
    let master = Master::start(&[]);
    let unix = master.socket().display().to_string();
    let state = State::new();
    let config = configure(&state, "", "");
    let rows = |master: &Master| {
        let mib = mib();
        let users = mib.object("pptpSessionUser").expect("it is defined");
        let users = Oid::try_from(&users.oid[..]).expect("a name");
        walk(&state, "snmpbulkwalk", &PUBLIC, &master.address, &users).len()
    };
    let first = Daemon::below(&unix, &config, &["--synthetic-rows", "1"]);
    let second = Daemon::start(&config, &["--agentx", &unix, "--synthetic-rows", "2"]);
    let refused = format!("the master refuses the tree {}: DuplicateRegistration", Oid::from(ROOT));
    let said = second.said.wait_for(&refused, 1, PATIENCE);
    assert!(!said.contains("serving the master"), "{said}");
    assert_eq!(rows(&master), 1);
    drop(first);
    second.said.wait_for("serving the master", 1, PATIENCE);
    assert_eq!(rows(&master), 2);

    // With a lower number than the default, 127, it is asked first.
    let urgent = State::new();
    let config = configure(&urgent, "", "[agentx]\npriority = 100");
    let third = Daemon::below(&unix, &config, &["--synthetic-rows", "3"]);
    assert_eq!(rows(&master), 3);
    drop(third);
    assert_eq!(rows(&master), 2);
}

#[test]
fn a_master_is_told_when_the_daemon_ends() {
    let master = Master::start(&["--debug", "agentx/master"]);
    let state = State::new();
    let config = recorded(&state, "poptop-two-sessions");
    let mut daemon = Daemon::below(&master.socket().display().to_string(), &config, &[]);
    let status = daemon.end();
    assert!(status.success(), "{status}");
    let gone = master.ask("snmpgetnext", "public", &[&Oid::from(ROOT).to_string()]);
    assert!(!gone.starts_with(&format!(".{}", Oid::from(ROOT))), "{gone}");
    let log = std::fs::read_to_string(master.state.path().join("snmpd.log")).expect("it is there");
    let closed = log.find("agentx/master: closed ");
    let lost = log.find("agentx/master: transport disconnect").unwrap_or(log.len());
    assert!(closed.is_some_and(|closed| closed < lost), "{log}");
}

#[test]
fn an_agent_of_our_own_tells_its_receivers_and_reads_its_configuration_again() {
    const WAYS: usize = 4;
    let state = State::new();
    let engine = EngineId::new(8072, *b"subagent");
    // Boots that are remembered make the agent known to whoever gets traps.
    let boots = Boots::first(engine.clone()).to_string();
    std::fs::write(state.path().join("engine"), boots).expect("a file can be written");
    let keys = "SHA-256 authpass1 AES privpass1";
    let users = format!("createUser ops {keys}\ncreateUser -e 0x{engine} ops {keys}\n");
    let receiver = TrapDaemon::start(
        &format!("{users}authUser log ops priv\nauthCommunity log public\n"),
        &["-M", &modules(), "-m", "PPTP-SESSION-MIB", "-OS"],
    );
    let mut user = "[[responder.users]]\nname = \"ops\"\n".to_owned();
    for word in ["auth", "priv"] {
        let path = state.path().join(word);
        let options =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written =
            options.and_then(|mut file| file.write_all(format!("{word}pass1").as_bytes()));
        written.expect("a file can be written");
        user += &format!("{word}_password_file = {path:?}\n");
    }
    let receivers = ["", "inform = true", "version = \"3\"\nuser = \"ops\""];
    let both = [receivers[1], receivers[2]].join("\n");
    let receivers = receivers.into_iter().chain([&both[..]]).map(|how| {
        format!("[[notifications.receivers]]\naddress = \"{}\"\n{how}\n", receiver.address)
    });
    let others = [user].into_iter().chain(receivers).collect::<String>();
    let switch = Switch::new(&state);
    let threshold = |line| configure(&state, &switch.collect(), &format!("{line}\n{others}"));
    let config = threshold("");
    let mut daemon = Daemon::start(&config, &["--standalone", "--listen", "127.0.0.1:0"]);
    let address = daemon.own_address();
    let is_told = |notification, times| {
        let text = format!("PPTP-SESSION-MIB::{notification}\t");
        receiver.said.wait_for(&text, times * WAYS, PATIENCE)
    };
    switch.turn(false);
    is_told("pptpServerDown", 1);
    switch.turn(true);
    let told = is_told("pptpServerUp", 1);
    assert!(!told.contains("pptpCapacityExceeded"), "{told}");

    threshold("capacity_percent = 20");
    daemon.signal(Signal::SIGHUP);
    daemon.said.wait_for("the configuration was read again", 1, PATIENCE);
    let told = is_told("pptpCapacityExceeded", 1);
    let objects = [
        "PPTP-SESSION-MIB::pptpServerSessionsActive.1 = Gauge32: 2 sessions",
        "PPTP-SESSION-MIB::pptpServerSessionsMaximum.1 = Gauge32: 10 sessions",
        "PPTP-SESSION-MIB::pptpNotifySessionsLimit.0 = Gauge32: 2 sessions",
    ];
    assert_eq!(told.matches(&objects.join("\t")).count(), WAYS, "{told}");

    threshold("capacity_percnt = 90");
    daemon.signal(Signal::SIGHUP);
    let said = daemon.said.wait_for("the old configuration stays", 1, PATIENCE);
    assert!(said.contains("capacity_percnt") && said.contains("capacity_percent"), "{said}");
    switch.turn(false);
    is_told("pptpServerDown", 2);
    switch.turn(true);
    let told = is_told("pptpServerUp", 2);
    assert!(!told.contains("pptpCapacityCleared"), "{told}");
    assert!(walk(&state, "snmpbulkwalk", &PUBLIC, &address, &ROOT.into()).len() > 100);
    let status = daemon.end();
    assert!(status.success(), "{status}");
}

/// Callers that come and go: a pptpctrl with its pppd each.
struct Churn {
    root: PathBuf,
    away: PathBuf,
    callers: Vec<Caller>,
}

struct Caller {
    control: u32,
    pppd: u32,
    is_there: bool,
}

impl Churn {
    /// The two that were recorded, and copies of one of them.
    fn new(state: &State) -> Self {
        let root = copy(state, "poptop-two-sessions");
        let away = state.path().join("away");
        std::fs::create_dir(&away).expect("a directory can be made");
        let recorded = [(818, 819), (822, 823)];
        let mut callers: Vec<_> =
            recorded.map(|(control, pppd)| Caller { control, pppd, is_there: true }).into();
        for number in 1..=8 {
            let [control, pppd] = [1000 + 2 * number, 1001 + 2 * number];
            for (from, to) in [(818, control), (819, pppd)] {
                let [from, to] = [root.join(format!("proc/{from}")), away.join(to.to_string())];
                std::fs::create_dir(&to).expect("a directory can be made");
                for file in ["stat", "status", "cmdline"] {
                    let text = std::fs::read_to_string(from.join(file)).expect("it is recorded");
                    let text = text.replace("818 (", &format!("{control} ("));
                    let text =
                        text.replace("819 (pppd) S 818", &format!("{pppd} (pppd) S {control}"));
                    let text = text.replace("10.77.0.3", &format!("10.77.1.{number}"));
                    std::fs::write(to.join(file), text).expect("a file can be written");
                }
            }
            callers.push(Caller { control, pppd, is_there: false });
        }
        Self { root, away, callers }
    }

    /// One more comes, or goes: the pppd after its parent or before it.
    fn step(&mut self, number: usize) {
        let many = self.callers.len();
        let caller = &mut self.callers[number * 3 % many];
        let proc = self.root.join("proc");
        let (from, to) = if caller.is_there { (&proc, &self.away) } else { (&self.away, &proc) };
        let mut pids = [caller.control, caller.pppd];
        if number.is_multiple_of(2) {
            pids.reverse();
        }
        for pid in pids.map(|pid| pid.to_string()) {
            std::fs::rename(from.join(&pid), to.join(pid)).expect("it can be moved");
        }
        caller.is_there = !caller.is_there;
    }
}

/// Reads the session table in rows, all columns at once, until it is told to
/// stop; no row is half there. Counts those it saw that have counters.
fn read_rows(address: &str, stop: &AtomicBool, seen: &AtomicU32) {
    /// What a session has however little is known of it.
    const ALWAYS: [u32; 18] = [2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 20, 38, 41];
    /// What a session has altogether or not at all.
    const TOGETHER: [u32; 4] = [25, 26, 27, 28];
    let state = State::new();
    let mib = mib();
    let entry = Oid::try_from(&mib.object("pptpSessionEntry").expect("it is defined").oid[..]);
    let entry = entry.expect("a name");
    let columns: Vec<u32> = (2..=41).collect();
    while !stop.load(Ordering::Relaxed) {
        let mut last: Option<Vec<u32>> = None;
        loop {
            let names = columns.iter().map(|column| {
                let mut name = entry.child(*column).expect("it is short");
                name.append(last.as_deref().unwrap_or_default()).expect("it is short");
                name.to_string()
            });
            let names: Vec<String> = names.collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let printed = ask(
                &state,
                "snmpbulkget",
                &[&PUBLIC[..], &["-Cn0", "-Cr4", address], &names].concat(),
            );
            let variables = variables(&printed);
            let before = last.clone();
            let mut is_over = false;
            for row in variables.chunks_exact(columns.len()) {
                let index = |column: &u32| {
                    let (name, _) = &row[*column as usize - 2];
                    let prefix = entry.child(*column).expect("it is short");
                    name.as_slice().strip_prefix(prefix.as_slice()).map(<[u32]>::to_vec)
                };
                let first = index(&2);
                for column in &ALWAYS {
                    assert_eq!(index(column), first, "column {column} of {printed}");
                }
                for column in &TOGETHER {
                    assert_eq!(index(column), index(&25), "column {column} of {printed}");
                }
                if first.is_none() {
                    is_over = true;
                    break;
                }
                assert!(first > last, "{first:?} behind {last:?}: {printed}");
                last = first;
                seen.fetch_add(u32::from(index(&25) == last), Ordering::Relaxed);
            }
            if is_over {
                break;
            }
            assert!(last > before, "not one whole row: {printed}");
        }
    }
}

#[test]
fn a_walk_while_callers_come_and_go_sees_whole_rows_in_order() {
    let master = Master::start(&[]);
    let state = State::new();
    let mut churn = Churn::new(&state);
    let collect = format!("root = {:?}\ninterval = \"100ms\"", churn.root);
    let config = configure(&state, &collect, "");
    let daemon = Daemon::below(&master.socket().display().to_string(), &config, &[]);
    let own = daemon.own_address();
    let stop = AtomicBool::new(false);
    let seen = [const { AtomicU32::new(0) }; 4];
    let all_saw = |least| seen.iter().all(|seen| seen.load(Ordering::Relaxed) >= least);
    std::thread::scope(|scope| {
        let readers = [
            scope.spawn(|| walk_on(&master.address, &stop, &seen[0])),
            scope.spawn(|| read_rows(&master.address, &stop, &seen[1])),
            scope.spawn(|| walk_on(&own, &stop, &seen[2])),
            scope.spawn(|| read_rows(&own, &stop, &seen[3])),
        ];
        let until = Instant::now() + 3 * PATIENCE;
        let mut steps = 0;
        while (counter(&master, "pptpAgentCollects") < 50 || !all_saw(12))
            && Instant::now() < until
            && !readers.iter().any(|reader| reader.is_finished())
        {
            churn.step(steps);
            steps += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(all_saw(12), "{seen:?}");
    assert!(counter(&master, "pptpAgentCollectErrors") == 0);
}
