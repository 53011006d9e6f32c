//! The daemon in a guest with a real pptpd, pppd and callers
//! (`tests/testbed`), read by Net-SNMP's tools, Prometheus and snmp_exporter,
//! and held against what the guest itself says.
//!
//! Needs root and the packages of `tests/testbed/packages`; `tests/run` sees
//! to both. Without the feature `peers` none of this is built.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pptp_snmp_subagent::mib_text::{Mib, PROBE_TC_MIB, SESSION_MIB};
use pptp_snmp_subagent::oid::Oid;
use serde_json::Value;

#[path = "../../tests/support/bed.rs"]
mod bed;

use bed::Bed;

/// Nothing here takes longer, unless it does not work.
const PATIENCE: Duration = Duration::from_secs(60);
const ROOT: &str = ".1.3.6.1.4.1.8072.9999.9999.1723";
/// The host in the namespace of the guests.
const HOST: &str = "10.77.0.1";
/// snmpd and the daemon's own responder, both in the gateway.
const MASTER: &str = "10.77.0.2:161";
const RESPONDER: &str = "10.77.0.2:1161";
const METRICS: &str = "10.77.0.2:9723";
const INNER: &str = "192.168.77.1";

const UP: i64 = 1;
const DEGRADED: i64 = 2;
const DOWN: i64 = 3;
const LCP: i64 = 5;
const OPEN: i64 = 9;

/// What every daemon here has in common: a responder that the host may ask.
const REACHABLE: &str = "[responder]\nenabled = true\nallow = [\"10.77.0.0/24\"]\n";

/// Gateway and caller, each in a guest, and an snmpd in the gateway.
struct Guests {
    bed: Bed,
    /// The directory that the guests share with the host: their `/run/state`.
    state: PathBuf,
    mib: Mib,
    running: Vec<Child>,
}

impl Guests {
    fn up(name: &str) -> Self {
        let users = ["--user", "probe:Pr0be-secret", "--user", "alice:S3cret-word"];
        let bed = Bed::up(name, &[&["--conntrack"], &users[..]].concat());
        bed.must(&["client-up"]);
        bed.must(&["client", "ip addr add 10.77.0.4/24 dev vec0"]);
        let told = bed.must(&["env"]);
        let state = told.lines().find_map(|line| line.strip_prefix("STATE="));
        let state = PathBuf::from(state.expect("the bed says where"));
        let mib = Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).expect("our own modules");
        // What the host has in /tmp the guests do not see.
        std::fs::copy(env!("CARGO_BIN_EXE_pptp-snmp-subagent"), state.join("subagent"))
            .expect("there is room");
        let guests = Self { bed, state, mib, running: Vec::new() };
        guests.write(
            "snmpd.conf",
            &format!(
                "agentaddress udp:{MASTER}\nmaster agentx\nagentXSocket unix:/tmp/agentx\n\
                 rocommunity public 10.77.0.0/24\ntrap2sink {HOST}:10162 public\n"
            ),
        );
        guests.start(
            "snmpd",
            "env MIBS= SNMP_PERSISTENT_DIR=/tmp/snmpd snmpd -f -Lo -C -c /run/state/snmpd.conf",
        );
        guests
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.state.join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.state.join(name)).unwrap_or_default()
    }

    /// Runs a shell line in the gateway.
    fn vm(&self, line: &str) -> String {
        self.bed.must(&["vm", line])
    }

    /// Leaves a command running in the gateway.
    fn start(&self, name: &str, command: &str) {
        self.vm(&format!("setsid {command} </dev/null >/run/state/{name}.log 2>&1 &"));
    }

    /// Leaves the daemon running in the gateway, started by `by`.
    fn serve(&self, name: &str, by: &str, config: &str) {
        self.write(&format!("{name}.toml"), config);
        self.start(name, &format!("{by} /run/state/subagent --config /run/state/{name}.toml"));
    }

    /// The same below snmpd.
    fn serve_master(&self, config: &str) {
        let agentx = "[agentx]\nsocket = \"/tmp/agentx\"\n";
        self.serve("subagent", "", &format!("{agentx}{config}"));
        self.until("the daemon below snmpd", || {
            self.walk(MASTER).cell("pptpServerName", [1]).map(|_| ())
        });
    }

    /// Leaves a program of the host running in the guests' network.
    fn run(&mut self, command: &[&str]) {
        let mut command = self.bed.command(&[&["exec"], command].concat());
        let child = command.env("MIBS", "").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.running.push(child.expect("the program runs"));
    }

    /// Where notifications go from now on.
    fn receive(&mut self) {
        let config = self.write("snmptrapd.conf", "authCommunity log public\n");
        let log = self.state.join("traps").display().to_string();
        let (config, address) = (config.display().to_string(), format!("udp:{HOST}:10162"));
        self.run(&["snmptrapd", "-f", "-On", "-n", "-C", "-c", &config, "-Lf", &log, &address]);
        self.until("snmptrapd", || self.read("traps").contains("NET-SNMP version").then_some(()));
    }

    /// What is said in a notification of this name, so that it holds `what`.
    fn received(&self, name: &str, what: &str) -> String {
        let kind = self.mib.notifications.iter().find(|kind| kind.name == name).expect("a name");
        let oid = Oid::try_from(&kind.oid[..]).expect("an identifier");
        let trap = format!(".1.3.6.1.6.3.1.1.4.1.0 = OID: .{oid}\t");
        self.until(&format!("{name} with {what}"), || {
            let log = self.read("traps");
            let mut lines = log.lines();
            lines.find(|line| line.contains(&trap) && line.contains(what)).map(str::to_owned)
        })
    }

    /// A caller that stays until it is hung up. Without IPv6 nothing is sent
    /// that nobody asked for.
    fn call(&self, from: &str, user: &str, password: &str) -> Caller<'_> {
        let pid = self.bed.must(&[
            "client",
            &format!(
                "setsid pppd nodetach noauth noipdefault nodefaultroute novj nobsdcomp nodeflate \
                 noipv6 pty 'pptp 10.77.0.2 --nolaunchpppd --localbind {from}' user {user} \
                 password {password} require-mppe-128 </dev/null >/run/{user}.log 2>&1 &\n\
                 echo $!"
            ),
        ]);
        Caller { guests: self, pid }
    }

    /// Two callers who are there, with what is told of them.
    fn two_callers(&self) -> Walk {
        self.call("10.77.0.3", "probe", "Pr0be-secret");
        self.call("10.77.0.4", "alice", "S3cret-word");
        self.until("two sessions", || {
            let walk = self.walk(MASTER);
            let open = walk.cell("pptpServerSessionsActive", [1]).map(Cell::number);
            // One may have opened while the kernel had been read already.
            let interfaces = walk.0.keys().filter(|(name, _)| name == "pptpSessionIfIndex");
            (open == Some(2) && interfaces.count() == 2).then_some(walk)
        })
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "waited for {what}\n{}\n{:#?}",
                self.read("subagent.log"),
                self.walk(MASTER)
            );
        }
    }

    /// Everything that an agent serves; nothing where it does not answer.
    fn walk(&self, agent: &str) -> Walk {
        let arguments = ["exec", "snmpbulkwalk", "-v2c", "-c", "public", "-OQnUtx", agent, ROOT];
        let output = self.bed.command(&arguments).env("MIBS", "").output().expect("the tool runs");
        let text = String::from_utf8(output.stdout).expect("octets are in hexadecimal");
        let mut found = BTreeMap::new();
        // Long strings go on in the next line.
        for line in text.replace("\n.1", "\0.1").split('\0') {
            let Some((name, value)) = line.split_once(" = ") else { continue };
            let Ok(name) = name.trim_start_matches('.').parse::<Oid>() else { continue };
            let is_of = |object: &&pptp_snmp_subagent::mib_text::Object| {
                name.as_slice().starts_with(&object.oid)
            };
            let Some(object) = self.mib.objects.iter().rev().find(is_of) else { continue };
            let index = name.as_slice()[object.oid.len()..].to_vec();
            if let Some(cell) = Cell::read(value) {
                found.insert((object.name.clone(), index), cell);
            }
        }
        Walk(found)
    }

    /// A page by HTTP, from within the guests' network.
    fn page(&self, url: &str) -> Option<String> {
        let output = self.bed.command(&["exec", "curl", "-sfg", url]).output().expect("curl runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Seconds since 1970 of the lines of the gateway's log that hold `what`.
    fn logged(&self, what: &str) -> Vec<f64> {
        let log = self.read("gateway.rfc3339.log");
        let lines = log.lines().filter(|line| line.contains(what));
        lines.filter_map(|line| line.split(' ').next()).map(seconds).collect()
    }

    /// What the gateway says of its ppp interfaces, by the caller's address.
    fn links(&self) -> BTreeMap<String, Value> {
        let links = self.vm("ip -s -j -4 addr show");
        let links: Value = serde_json::from_str(&links).expect("iproute2 speaks JSON");
        let links = links.as_array().cloned().unwrap_or_default().into_iter();
        let of = |link: Value| Some((link["addr_info"][0]["address"].as_str()?.to_owned(), link));
        links.filter_map(of).collect()
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A pppd over pptp-linux in the other guest.
struct Caller<'a> {
    guests: &'a Guests,
    pid: String,
}

impl Caller<'_> {
    fn hang_up(self) {
        self.guests.bed.must(&["client", &format!("kill {}", self.pid)]);
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Number(i64),
    Octets(Vec<u8>),
}

impl Cell {
    /// `7`, or `"70 72 6F 62 65 "`.
    fn read(value: &str) -> Option<Self> {
        match value.trim().strip_prefix('"') {
            Some(quoted) => quoted
                .trim_end_matches('"')
                .split_whitespace()
                .map(|octet| u8::from_str_radix(octet, 16).ok())
                .collect::<Option<_>>()
                .map(Self::Octets),
            None => value.trim().parse().ok().map(Self::Number),
        }
    }

    fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Octets(_) => panic!("{self:?} is no number"),
        }
    }

    fn octets(&self) -> &[u8] {
        match self {
            Self::Octets(octets) => octets,
            Self::Number(_) => panic!("{self:?} is a number"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.octets()).into_owned()
    }

    /// An InetAddress of IPv4.
    fn address(&self) -> String {
        self.octets().iter().map(u8::to_string).collect::<Vec<_>>().join(".")
    }

    /// A DateAndTime as seconds since 1970.
    fn seconds(&self) -> f64 {
        let &[high, low, month, day, hour, minute, second, tenth, b'+', 0, 0] = self.octets()
        else {
            panic!("{self:?} is no time")
        };
        let year = u16::from_be_bytes([high, low]);
        seconds(&format!("{year}-{month}-{day} {hour}:{minute}:{second}.{tenth}Z"))
    }
}

/// What date(1) understands as seconds since 1970.
fn seconds(text: &str) -> f64 {
    let output = Command::new("date").args(["+%s.%N", "-d", text]).output().expect("date runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().unwrap_or_else(|_| panic!("{output:?}"))
}

/// What was served, by the object's name and its instance.
#[derive(Debug, Clone)]
struct Walk(BTreeMap<(String, Vec<u32>), Cell>);

impl Walk {
    fn cell<const N: usize>(&self, name: &str, index: [u32; N]) -> Option<&Cell> {
        self.0.get(&(name.to_owned(), index.to_vec()))
    }

    fn number<const N: usize>(&self, name: &str, index: [u32; N]) -> i64 {
        self.cell(name, index).unwrap_or_else(|| panic!("no {name} {index:?}: {self:#?}")).number()
    }

    fn text<const N: usize>(&self, name: &str, index: [u32; N]) -> String {
        self.cell(name, index).unwrap_or_else(|| panic!("no {name} {index:?}: {self:#?}")).text()
    }

    /// Rows of a column that hold this text.
    fn rows(&self, name: &str, text: &str) -> Vec<Vec<u32>> {
        let cells =
            self.0.iter().filter(|((column, _), cell)| column == name && cell.text() == text);
        cells.map(|((_, index), _)| index.clone()).collect()
    }

    /// The only session of a user: its columns without the table's name.
    fn session(&self, user: &str) -> BTreeMap<&str, &Cell> {
        let rows = self.rows("pptpSessionUser", user);
        let [row] = &rows[..] else { panic!("{user} has {rows:?}: {self:#?}") };
        self.row("pptpSession", row)
    }

    fn row(&self, table: &str, row: &[u32]) -> BTreeMap<&str, &Cell> {
        let cells = self.0.iter().filter(|((_, index), _)| index == row);
        cells.filter_map(|((name, _), cell)| Some((name.strip_prefix(table)?, cell))).collect()
    }

    /// Octets from a user's session, and to it.
    fn octets(&self, user: &str) -> (i64, i64) {
        let session = self.session(user);
        (session["InOctets"].number(), session["OutOctets"].number())
    }
}

#[test]
fn sessions_are_told_as_the_gateway_knows_them() {
    let mut guests = Guests::up("told");
    let metrics = format!("[metrics]\nlisten = \"{METRICS}\"\n");
    let responder = format!("{REACHABLE}listen = [\"{RESPONDER}\"]\n");
    guests.serve_master(&format!("{responder}[collect]\ninterval = \"1s\"\n{metrics}"));
    guests.two_callers();
    traffic_of_a_session_is_its_own(&guests);
    sessions_are_those_of_the_gateway(&guests);
    server_is_that_of_the_gateway(&guests);
    one_look_prints_the_same(&guests);
    prometheus_scrapes_it(&mut guests);
    snmp_exporter_reads_it(&mut guests);
}

fn traffic_of_a_session_is_its_own(guests: &Guests) {
    const ANSWERED: i64 = 20;
    const UNANSWERED: i64 = 3;
    let before = guests.walk(MASTER);
    let address = before.session("probe")["AssignedAddress"].address();
    let links = guests.bed.must(&["client", "ip -j -4 addr show"]);
    let links: Value = serde_json::from_str(&links).expect("iproute2 speaks JSON");
    let mut links = links.as_array().cloned().unwrap_or_default().into_iter();
    let link = links.find(|link| link["addr_info"][0]["local"] == address.as_str());
    let link = link.expect("the caller has its address");
    let name = link["ifname"].as_str().expect("a name");
    let ping = format!("ping -n -q -i 0.05 -W 1 -s 1000 -I {name}");
    // Without an ICMP error, whose number the gateway's kernel limits by time.
    guests.vm("ip route add blackhole 192.168.77.250");
    let said = guests.bed.must(&[
        "client",
        &format!(
            "{ping} -c {ANSWERED} {INNER}
            ip route add 192.168.77.250 dev {name}
            {ping} -c {UNANSWERED} 192.168.77.250; true"
        ),
    ]);
    assert!(said.contains(&format!(" {ANSWERED} received")), "{said}");
    assert!(said.contains(&format!("{UNANSWERED} packets transmitted, 0 received")), "{said}");
    // 20 octets of IP and 8 of ICMP.
    let echo = 1028;
    let (octets_in, octets_out) = before.octets("probe");
    let expected = (octets_in + (ANSWERED + UNANSWERED) * echo, octets_out + ANSWERED * echo);
    let after = guests.until("the pings", || {
        let walk = guests.walk(MASTER);
        (walk.octets("probe").0 >= expected.0).then_some(walk)
    });
    assert_eq!(after.octets("probe"), expected);
    assert_eq!(after.octets("alice"), before.octets("alice"));
    let [row] = &after.rows("pptpUserName", "probe")[..] else { panic!("{after:#?}") };
    assert_eq!(after.row("pptpUser", row)["InOctets"].number(), expected.0);
    let [busy, silent] = ["probe", "alice"].map(|user| after.session(user)["Idle"].number());
    assert!(busy < silent, "idle for {busy} s and {silent} s");
}

/// With quiet links, so that two looks see the same counters.
fn sessions_are_those_of_the_gateway(guests: &Guests) {
    let users = [("probe", "10.77.0.3"), ("alice", "10.77.0.4")];
    let sockets = guests.vm("ss -Htn state established sport = :1723");
    let (walk, links) = guests.until("the gateway's counters", || {
        let (links, walk) = (guests.links(), guests.walk(MASTER));
        let is_same = |user: &(&str, &str)| {
            let session = walk.session(user.0);
            let stats = &links.get(&session["AssignedAddress"].address())?["stats64"];
            let counter = |way: &str, what: &str| stats[way][what].as_i64();
            let told = [("InOctets", "rx", "bytes"), ("OutOctets", "tx", "bytes")];
            let told = told
                .iter()
                .chain(&[("InPackets", "rx", "packets"), ("OutPackets", "tx", "packets")]);
            let same = |(name, way, what): &(&str, &str, &str)| {
                Some(session[*name].number()) == counter(way, what)
            };
            told.into_iter().all(same).then_some(())
        };
        users.iter().all(|user| is_same(user).is_some()).then_some((walk, links))
    });
    for (user, peer) in users {
        let session = walk.session(user);
        let link = &links[&session["AssignedAddress"].address()];
        assert_eq!(session["State"].number(), OPEN);
        assert_eq!(session["PeerAddress"].address(), peer);
        let socket = format!("{peer}:{}", session["PeerPort"].number());
        assert!(sockets.contains(&socket), "{socket} in {sockets}");
        assert_eq!(Some(session["IfName"].text().as_str()), link["ifname"].as_str());
        assert_eq!(Some(session["IfIndex"].number()), link["ifindex"].as_i64());
        assert_eq!(Some(session["Mtu"].number()), link["mtu"].as_i64());
        // MS-CHAPv2, MPPE with 128 bits, stateless.
        let numbers = ["AuthMethod", "Encryption", "Stateless"];
        assert_eq!(numbers.map(|name| session[name].number()), [6, 5, 1]);
        assert!(session["ControlRtt"].number() > 0);
        assert_eq!(session["ControlRetransmits"].number(), 0);
        let accepted = guests.logged(&format!("Client {peer} control connection started"));
        let early = accepted[0] - session["Start"].seconds();
        assert!(early.abs() < 1.0, "{user} began {early} s before the gateway says");
        // Nothing tells these, so they are not there.
        for name in ["LocalMru", "LcpRtt", "GreLost", "Reauthentications"] {
            assert_eq!(session.get(name), None, "{name}");
        }
        assert_eq!(walk.rows("pptpUserName", user).len(), 1);
    }
}

fn server_is_that_of_the_gateway(guests: &Guests) {
    const PROCESSES: &str = r#"sum=0
        for process in /proc/[0-9]*; do
            read -r comm 2>/dev/null <"$process/comm" || continue
            case $comm in pptpd | pptpctrl | pppd) ;; *) continue ;; esac
            while read -r name size _; do
                [ "$name" != VmRSS: ] || sum=$((sum + size))
            done <"$process/status"
        done
        echo "$sum""#;
    const GRE: &str = r#"sum=0
        while read -r line; do
            case $line in *' gre '*) ;; *) continue ;; esac
            for word in $line; do
                case $word in packets=*) sum=$((sum + ${word#packets=})) ;; esac
            done
        done </proc/net/nf_conntrack
        echo "$sum""#;
    let number = |line: &str| guests.vm(line).parse::<i64>().expect("a number");
    let walk = guests.until("the gateway's GRE packets", || {
        let (packets, walk) = (number(GRE), guests.walk(MASTER));
        let ways = ["pptpServerGreInPackets", "pptpServerGreOutPackets"];
        let [received, sent] = ways.map(|name| walk.number(name, [1]));
        (received > 0 && sent > 0 && received + sent == packets).then_some(walk)
    });
    let row = |name: &str| walk.number(&format!("pptpServer{name}"), [1]);
    let is_poptop = 3;
    assert_eq!((row("Kind"), row("OperStatus"), row("Port")), (is_poptop, UP, 1723));
    assert_eq!(walk.text("pptpServerName", [1]), "poptop 0.0.0.0:1723");
    assert_eq!(walk.text("pptpServerStatusText", [1]), "");
    let counts = ["SessionsActive", "SessionsStarting", "SessionsPeak", "Users", "CallsUp"];
    assert_eq!(counts.map(row), [2, 0, 2, 2, 2]);
    assert_eq!((row("SessionsMaximum"), row("CollectErrors")), (10, 0));
    let (told, memory) = (row("Memory"), number(PROCESSES));
    assert!((told - memory).abs() * 10 < memory, "{told} kB told, {memory} kB there");
}

fn one_look_prints_the_same(guests: &Guests) {
    let walk = guests.walk(MASTER);
    let json: Value = serde_json::from_str(&guests.vm("/run/state/subagent --once -o json"))
        .expect("it prints JSON");
    let server = &json["servers"][0];
    assert_eq!((&server["kind"], &server["status"]), (&"poptop".into(), &"up".into()));
    assert_eq!(server["maximum"], 10);
    let sessions = server["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    let table = guests.vm("/run/state/subagent --once");
    let (findings, lines): (Vec<_>, Vec<_>) =
        table.lines().partition(|line| line.starts_with("audit: "));
    assert_eq!((lines.len(), lines[0]), (4, "poptop is up, 2 sessions"), "{table}");
    let silent = "audit: critical: lcp-echo-missing: pppd has no lcp-echo-interval";
    assert!(findings.contains(&silent), "{table}");
    for printed in sessions {
        let user = printed["user"].as_str().expect("a name");
        let session = walk.session(user);
        let line = lines.iter().find(|line| line.starts_with(user)).expect("a row");
        for (key, value) in [
            ("peer", session["PeerAddress"].address()),
            ("assigned", session["AssignedAddress"].address()),
            ("interface", session["IfName"].text()),
        ] {
            assert_eq!(printed[key], value, "{printed}");
            assert!(line.contains(&value), "{line}");
        }
        for (key, name) in [
            ("peer_port", "PeerPort"),
            ("mtu", "Mtu"),
            ("octets_in", "InOctets"),
            ("packets_out", "OutPackets"),
        ] {
            assert_eq!(printed[key], session[name].number(), "{printed}");
        }
    }
}

fn prometheus_scrapes_it(guests: &mut Guests) {
    let url = format!("http://{METRICS}/metrics");
    let page = guests.page(&url).expect("a page");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(page.as_bytes()).expect("it reads");
    drop(stdin);
    let said = promtool.wait_with_output().expect("it ends");
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}\n{page}");

    let config = guests.write(
        "prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: pptp\n    \
             static_configs: [{{targets: [\"{METRICS}\"]}}]\n"
        ),
    );
    let (listen, data) = (format!("{HOST}:9090"), guests.state.join("prometheus"));
    guests.run(&[
        "prometheus",
        &format!("--config.file={}", config.display()),
        &format!("--storage.tsdb.path={}", data.display()),
        &format!("--web.listen-address={listen}"),
    ]);
    let query = |query: &str| {
        let page = guests.page(&format!("http://{listen}/api/v1/query?query={query}"))?;
        let answer: Value = serde_json::from_str(&page).ok()?;
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    for (asked, value) in [
        ("up", "1"),
        ("pptp_server_sessions{state=\"open\"}", "2"),
        ("pptp_server_up", "1"),
        ("pptp_server_sessions_limit", "10"),
    ] {
        guests.until(asked, || (query(asked)? == value).then_some(()));
    }
}

fn snmp_exporter_reads_it(guests: &mut Guests) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugins/integrations/snmp_exporter/snmp.yml");
    let listen = format!("{HOST}:9116");
    guests.run(&[
        "prometheus-snmp-exporter",
        &format!("--config.file={}", config.display()),
        &format!("--web.listen-address={listen}"),
    ]);
    let walk = guests.walk(MASTER);
    for agent in [MASTER, RESPONDER] {
        let url = format!("http://{listen}/snmp?module=pptp_session&target={agent}");
        let page = guests.until("snmp_exporter", || guests.page(&url));
        for (user, peer) in [("probe", "10.77.0.3"), ("alice", "10.77.0.4")] {
            let rows = walk.rows("pptpSessionUser", user);
            let labels = format!(
                "{{pptpServerIndex=\"1\",pptpServerName=\"poptop 0.0.0.0:1723\",\
                 pptpSessionIndex=\"{}\",pptpSessionPeerAddress=\"{peer}\",\
                 pptpSessionUser=\"{user}\"}}",
                rows[0][1]
            );
            for (name, value) in [("State", OPEN), ("InOctets", walk.octets(user).0)] {
                let sample = format!("pptpSession{name}{labels} {value}\n");
                assert!(page.contains(&sample), "no {sample} of {agent} in\n{page}");
            }
        }
        assert!(page.contains("pptpServerOperStatus=\"up\"} 1\n"), "{page}");
    }
}

/// Looks are a minute apart: what is told sooner the kernel told.
#[test]
fn sessions_between_looks_are_told_and_counted() {
    let mut guests = Guests::up("between");
    guests.receive();
    guests.serve_master(
        "[collect]\ninterval = \"60s\"\n[notifications]\nstale_after = \"2m\"\n\
         session_up = true\nsession_down = true\n",
    );
    session_of_two_seconds(&guests);
    session_that_hangs_up(&guests);
    caller_whose_gre_is_blocked(&guests);
}

/// Once so many sessions ended. A walk takes its time: what it saw before it
/// came to the history may be older.
fn ended(guests: &Guests, sessions: u32) -> Walk {
    guests.until("the history", || {
        guests.walk(MASTER).cell("pptpHistoryEnd", [sessions]).map(|_| ())
    });
    guests.walk(MASTER)
}

fn session_of_two_seconds(guests: &Guests) {
    let said = guests.bed.must(&[
        "client",
        &format!(
            "dial --hold 2 --url http://{INNER}/ -- \
             user probe password Pr0be-secret require-mppe-128 noipv6"
        ),
    ]);
    let walk = ended(guests, 1);
    assert_eq!(walk.number("pptpServerCallsUp", [1]), 1);
    assert_eq!(walk.number("pptpServerSessionsActive", [1]), 0);
    assert_eq!(walk.rows("pptpSessionUser", "probe"), [[0; 0]; 0]);
    let row = walk.row("pptpHistory", &[1]);
    assert_eq!(row["User"].text(), "probe");
    assert_eq!(row["PeerAddress"].address(), "10.77.0.3");
    assert_eq!(row["AssignedAddress"].address(), "192.168.77.10");
    // The caller's own counters, a moment before it hung up.
    let sizes: Vec<i64> = said
        .lines()
        .filter(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    let [received, sent] = sizes[sizes.len() - 2..] else { panic!("{said}") };
    assert_ne!(sent, received, "{said}");
    assert_eq!((row["InOctets"].number(), row["OutOctets"].number()), (sent, received), "{said}");
    let log = |what| guests.logged(&format!("Client 10.77.0.3 control connection {what}"))[0];
    let (began, end) = (log("started"), log("finished"));
    let lasted = row["Duration"].number() as f64;
    assert!((lasted - (end - began)).abs() <= 1.0, "{lasted} s told, {} s there", end - began);
    assert!((row["Start"].seconds() - began).abs() <= 1.0, "{row:?}");
    assert!((row["End"].seconds() - end).abs() <= 1.0, "{row:?}");
    guests.received("pptpSessionUp", "\"probe\"");
    guests.received("pptpSessionDown", "\"probe\"");
}

fn session_that_hangs_up(guests: &Guests) {
    let caller = guests.call("10.77.0.4", "alice", "S3cret-word");
    guests.received("pptpSessionUp", "\"alice\"");
    caller.hang_up();
    let walk = ended(guests, 2);
    let row = walk.row("pptpHistory", &[2]);
    assert_eq!(row["User"].text(), "alice");
    // It had come all the way; nothing tells who ended it.
    let (done, unknown) = (11, 101);
    assert_eq!((row["Phase"].number(), row["TerminateCause"].number()), (done, unknown));
    assert_eq!(walk.number("pptpServerCallsUp", [1]), 2);
    let trap = guests.received("pptpSessionDown", "\"alice\"");
    assert!(trap.contains(&format!("{ROOT}.1.4.1.14.2 = INTEGER: {unknown}")), "{trap}");
}

fn caller_whose_gre_is_blocked(guests: &Guests) {
    guests.bed.must(&["block-gre", "in"]);
    guests.call("10.77.0.3", "probe", "Pr0be-secret");
    let (walk, index) = guests.until("a session in LCP", || {
        let walk = guests.walk(MASTER);
        let mut cells = walk.0.iter().filter(|((name, _), _)| name == "pptpSessionState");
        let lcp = cells.find(|(_, cell)| cell.number() == LCP);
        let index = lcp.map(|((_, index), _)| index.clone())?;
        Some((walk, index))
    });
    let row = walk.row("pptpSession", &index);
    assert_eq!(row["PeerAddress"].address(), "10.77.0.3");
    assert_eq!((row["User"].octets(), row["AssignedAddress"].octets()), (&b""[..], &b""[..]));
    // pppd gives up after 30 s.
    let walk = ended(guests, 3);
    let row = walk.row("pptpHistory", &[3]);
    let (lcp, lcp_timeout) = (6, 102);
    assert_eq!((row["Phase"].number(), row["TerminateCause"].number()), (lcp, lcp_timeout));
    assert!(row["Text"].text().contains("GRE"), "{row:?}");
    assert_eq!((row["InOctets"].number(), row["User"].text()), (0, String::new()));
    assert!((29..=33).contains(&row["Duration"].number()), "{row:?}");
    assert_eq!(walk.number("pptpServerLcpTimeouts", [1]), 1);
    assert_eq!(walk.number("pptpServerCallsUp", [1]), 2);
    let silent = u32::from(pptp_probe::reason::Reason::Silent.number());
    assert_eq!(walk.number("pptpFailureCount", [1, silent]), 1);
    guests.received("pptpSessionDown", &format!("{ROOT}.1.4.1.14.3 = INTEGER: {lcp_timeout}"));
}

#[test]
fn a_dead_daemon_and_missing_rights_are_told() {
    let mut guests = Guests::up("dead");
    guests.receive();
    guests.serve_master("[collect]\ninterval = \"1s\"\n");
    guests.two_callers();
    missing_rights_are_named(&guests);
    a_killed_server_is_down_and_its_sessions_stay(&guests);
}

fn a_killed_server_is_down_and_its_sessions_stay(guests: &Guests) {
    let status = |wanted| {
        guests.until(&format!("status {wanted}"), || {
            let walk = guests.walk(MASTER);
            (walk.cell("pptpServerOperStatus", [1])?.number() == wanted).then_some(walk)
        })
    };
    guests.vm("kill -KILL \"$(cat /run/pptpd.pid)\"");
    let walk = status(DOWN);
    assert!(walk.text("pptpServerStatusText", [1]).starts_with("pptpd is not running"));
    for user in ["probe", "alice"] {
        assert_eq!(walk.session(user)["State"].number(), OPEN);
    }
    assert_eq!(walk.cell("pptpServerUptime", [1]), None);
    let trap = guests.received("pptpServerDown", "pptpd is not running");
    assert!(trap.contains("\"poptop 0.0.0.0:1723\""), "{trap}");
    guests.vm("start_pptpd");
    let walk = status(UP);
    assert_eq!(walk.number("pptpServerSessionsActive", [1]), 2);
    assert!(walk.cell("pptpServerUptime", [1]).is_some());
    guests.received("pptpServerUp", "takes callers again");
}

/// Beside root's: nobody's, nobody's who was told not to look at GRE, and the
/// service's, with the one capability of its unit that reading needs.
fn missing_rights_are_named(guests: &Guests) {
    let nobody = "setpriv --reuid nobody --regid nogroup --clear-groups";
    let caps = "--inh-caps -all,+net_admin --ambient-caps -all,+net_admin \
                --bounding-set -all,+net_admin";
    let gre = ["pptpServerGreInPackets", "pptpServerGreOutPackets"];
    let root = guests.walk(MASTER);
    let rows = [
        ("nobody", nobody.to_owned(), "", DEGRADED, &gre[..]),
        ("unasked", nobody.to_owned(), "conntrack = false\n", UP, &gre),
        ("service", format!("{nobody} {caps}"), "", UP, &[]),
    ];
    for (port, (name, by, collect, status, missing)) in (2161..).zip(rows) {
        let agent = format!("10.77.0.2:{port}");
        let config = format!(
            "[agentx]\nenabled = false\n{REACHABLE}listen = [\"{agent}\"]\n\
             [collect]\ninterval = \"1s\"\n{collect}"
        );
        guests.serve(name, &by, &config);
        let walk = guests.until(name, || {
            let walk = guests.walk(&agent);
            walk.cell("pptpServerOperStatus", [1]).is_some().then_some(walk)
        });
        assert_eq!(walk.number("pptpServerOperStatus", [1]), status, "{name}: {walk:#?}");
        let text = walk.text("pptpServerStatusText", [1]);
        let has_errors = walk.number("pptpServerCollectErrors", [1]) > 0;
        if status == UP {
            assert_eq!((text.as_str(), has_errors), ("", false), "{name}");
        } else {
            assert!(text.ends_with("needs CAP_NET_ADMIN"), "{name}: {text}");
            assert!(has_errors && walk.text("pptpServerCollectErrorText", [1]) == text);
        }
        let names = |walk: &Walk| {
            let told = walk.0.keys().map(|(name, _)| name.clone());
            // One that has looked once knows of no activity.
            told.filter(|name| !name.ends_with("Idle") && !name.ends_with("LastActivity"))
                .collect::<BTreeSet<_>>()
        };
        let (all, told) = (names(&root), names(&walk));
        assert_eq!(all.difference(&told).collect::<Vec<_>>(), missing, "{name}");
        assert_eq!(told.difference(&all).collect::<Vec<_>>(), [""; 0], "{name}");
        for user in ["probe", "alice"] {
            let (expected, session) = (root.session(user), walk.session(user));
            for column in [
                "State",
                "Start",
                "PeerAddress",
                "PeerPort",
                "AssignedAddress",
                "LocalCallId",
                "PeerCallId",
                "IfIndex",
                "IfName",
                "AuthMethod",
                "Encryption",
                "Stateless",
                "Mtu",
            ] {
                let (told, expected) = (session[column], expected[column]);
                let is_same = match column {
                    // The rest of the boot's second is looked for by each.
                    "Start" => (told.seconds() - expected.seconds()).abs() < 0.2,
                    _ => told == expected,
                };
                assert!(is_same, "{name}: {user} {column} {told:?} {expected:?}");
            }
        }
    }
}
