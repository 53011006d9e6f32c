//! The agent of our own and its notifications, with Net-SNMP's own tools as
//! manager and as receiver.
//!
//! Needs the packages snmp and snmptrapd. Without the feature `peers` none of
//! this is built.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pptp_probe::secret::Secret;
use pptp_snmp_subagent::config::{
    Auth, Community, Privacy, Receiver, Responder, SecretFile, User, Version,
};
use pptp_snmp_subagent::oid::Oid;
use pptp_snmp_subagent::snmp::engine::Engine;
use pptp_snmp_subagent::snmp::notifier::{Event, Notifier};
use pptp_snmp_subagent::snmp::system::{Counters, Identity};
use pptp_snmp_subagent::snmp::usm::{Boots, EngineId, Local};
use pptp_snmp_subagent::value::{Octets, Value, VarBind};
use pptp_snmp_subagent::view::MapView;

#[path = "../../tests/support/net_snmp.rs"]
mod net_snmp;
#[path = "../../tests/support/said.rs"]
mod said;
#[path = "../../tests/support/snmptrapd.rs"]
mod snmptrapd;

use net_snmp::{PATIENCE, State, ask};
use snmptrapd::TrapDaemon;

const TABLE: &str = "1.3.6.1.4.1.8072.9999.9999.1723.77.1";
const ROWS: u32 = 200;
const PROTOCOLS: [(Auth, &str); 5] = [
    (Auth::Sha1, "SHA"),
    (Auth::Sha224, "SHA-224"),
    (Auth::Sha256, "SHA-256"),
    (Auth::Sha384, "SHA-384"),
    (Auth::Sha512, "SHA-512"),
];

/// An engine behind a socket, with a clock that can be moved.
struct Agent {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    state: State,
}

struct Shared {
    engine: Engine,
    ahead: Duration,
    /// The datagram that came last.
    last: Vec<u8>,
}

impl Agent {
    fn start() -> Self {
        let config = Responder {
            users: users(),
            sys_location: "test bed".into(),
            sys_name: "gateway".into(),
            ..Responder::default()
        };
        let identity = Identity::new("an agent", oid(TABLE));
        let engine = Engine::new(&config, identity, local(Instant::now()), 7);
        let shared = Shared { engine, ahead: Duration::ZERO, last: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let address = socket.local_addr().expect("it is bound");
        let served = shared.clone();
        // It ends with the test.
        std::thread::spawn(move || {
            let view = table();
            let mut buffer = [0; 65_535];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let octets = &buffer[..length];
                let mut shared = served.lock().expect("nobody panics");
                let now = Instant::now() + shared.ahead;
                shared.last = octets.to_vec();
                if let Some(answer) = shared.engine.handle_datagram(octets, from, &view, now) {
                    socket.send_to(&answer, from).expect("it can be sent");
                }
            }
        });
        Self { address, shared, state: State::new() }
    }

    /// What a tool of Net-SNMP prints, names in numbers.
    fn ask(&self, tool: &str, arguments: &[&str], names: &[&str]) -> String {
        let address = self.address.to_string();
        ask(&self.state, tool, &[&["-r", "0"], arguments, &[&address], names].concat())
    }

    fn counters(&self) -> Counters {
        self.shared.lock().expect("nobody panics").engine.counters()
    }
}

fn oid(text: &str) -> Oid {
    text.parse().expect("an identifier")
}

fn engine_id() -> EngineId {
    EngineId::new(8072, *b"engine 1")
}

fn local(started: Instant) -> Local {
    Local::new(Boots::first(engine_id()), started)
}

fn users() -> Vec<User> {
    let file = |password: &str| {
        let secret = Secret::new(password.as_bytes().to_vec());
        Some(SecretFile { path: PathBuf::new(), secret })
    };
    let mut users: Vec<_> = PROTOCOLS
        .iter()
        .map(|(auth, _)| User {
            name: auth.to_string(),
            auth: *auth,
            auth_password_file: file("authpass1"),
            privacy: Privacy::Aes128,
            priv_password_file: file("privpass1"),
        })
        .collect();
    let none = User { auth: Auth::None, privacy: Privacy::None, ..User::default() };
    users.push(User { name: "none".into(), ..none });
    let signed = User { name: "signed".into(), privacy: Privacy::None, ..User::default() };
    users.push(User { auth_password_file: file("authpass1"), ..signed });
    users
}

fn table() -> MapView {
    let mut view = MapView::default();
    for row in 1..=ROWS {
        let text = format!("user {row} of a long name");
        let columns = [
            Value::Integer(-(row as i32)),
            Value::Gauge32(row),
            Value::OctetString(Octets::copy(text.as_bytes())),
            Value::IpAddress([192, 0, 2, row as u8]),
            Value::Counter32(row * 10_000_000),
            Value::Counter64(u64::MAX - u64::from(row)),
            Value::TimeTicks(row * 100),
            Value::ObjectIdentifier(oid(&format!("{TABLE}.1.1.{row}"))),
            Value::Opaque(Octets::copy(&[0x9f, 0x78, 0x04, 0x42, 0xf6, 0x00, 0x00])),
        ];
        for (column, value) in (1..).zip(columns) {
            view.insert(oid(&format!("{TABLE}.1.{column}.{row}")), value);
        }
    }
    view
}

#[test]
fn the_tools_read_everything_and_set_nothing() {
    let agent = Agent::start();
    let public = ["-v2c", "-c", "public"];
    let row = |column: u32| format!("{TABLE}.1.{column}.7");
    let names: Vec<String> = (1..=9).map(row).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let got = agent.ask("snmpget", &public, &names);
    let expected = [
        "INTEGER: -7",
        "Gauge32: 7",
        "STRING: \"user 7 of a long name\"",
        "IpAddress: 192.0.2.7",
        "Counter32: 70000000",
        "Counter64: 18446744073709551608",
        "Timeticks: (700) 0:00:07.00",
        &format!("OID: .{TABLE}.1.1.7"),
        "Opaque: Float: 123.000000",
    ];
    let lines: Vec<_> = got.lines().collect();
    let expected: Vec<_> =
        names.iter().zip(expected).map(|(name, value)| format!(".{name} = {value}")).collect();
    assert_eq!(lines, expected);

    let missing = agent.ask("snmpget", &public, &[&format!("{TABLE}.1.1.999"), "1.3.6.1.9.1"]);
    assert!(missing.contains("No Such Instance"), "{missing}");
    assert!(missing.contains("No Such Object"), "{missing}");
    let next = agent.ask("snmpgetnext", &public, &[TABLE, &row(9), "1.3.6.1.2.1.1.6"]);
    let begins: Vec<_> =
        next.lines().map(|line| line.split_once(" = ").expect("a variable").0).collect();
    let after = [&format!(".{TABLE}.1.1.1"), &format!(".{TABLE}.1.9.8"), ".1.3.6.1.2.1.1.6.0"];
    assert_eq!(begins, after);

    for (tool, arguments) in [("snmpbulkwalk", &["-Cr100"][..]), ("snmpwalk", &[])] {
        let arguments = [&public[..], arguments].concat();
        let walk = agent.ask(tool, &arguments, &["1.3.6"]);
        let (values, end) = walk.trim_end().rsplit_once('\n').expect("many lines");
        assert!(end.contains("No more variables left"), "{tool}: {end}");
        let names: Vec<_> =
            values.lines().map(|line| oid(line.split_once(" = ").expect("a variable").0)).collect();
        assert!(names.is_sorted(), "{tool}");
        let below = names.iter().filter(|name| name.starts_with(&oid(TABLE)));
        assert_eq!(below.count(), 9 * ROWS as usize, "{tool}");
        assert_eq!(names.first(), Some(&oid("1.3.6.1.2.1.1.1.0")));
        assert!(names.contains(&oid("1.3.6.1.6.3.15.1.1.6.0")), "{tool}");
    }

    let set = agent.ask("snmpset", &public, &[&row(1), "i", "5"]);
    assert!(set.contains("notWritable"), "{set}");
    let set = agent.ask("snmpset", &["-v2c", "-c", "private"], &[&row(1), "i", "5"]);
    assert!(set.contains("Timeout"), "{set}");
    let old = agent.ask("snmpget", &["-v1", "-c", "public", "-t", "1"], &[&row(1)]);
    assert!(old.contains("Timeout"), "{old}");
    let counters = agent.counters();
    assert_eq!((counters.bad_community_names, counters.bad_versions), (1, 1));
    assert_eq!(counters.asn_parse_errors, 0);
}

/// The arguments of a user who encrypts, the second password left out.
fn authenticated<'a>(user: &'a str, protocol: &'a str) -> [&'a str; 9] {
    ["-v3", "-l", "authPriv", "-u", user, "-a", protocol, "-A", "authpass1"]
}

#[test]
fn users_read_with_every_protocol_and_only_with_their_passwords() {
    let agent = Agent::start();
    let name = [&format!("{TABLE}.1.3.7")[..]];
    let value = "STRING: \"user 7 of a long name\"";
    let encrypted = ["-x", "AES", "-X", "privpass1"];
    for (auth, protocol) in PROTOCOLS {
        let user = auth.to_string();
        let arguments = [&authenticated(&user, protocol)[..], &encrypted].concat();
        let got = agent.ask("snmpget", &arguments, &name);
        assert!(got.contains(value), "{protocol}: {got}");
        let walk = agent.ask("snmpbulkwalk", &[&arguments[..], &["-Cr50"]].concat(), &[TABLE]);
        assert_eq!(walk.lines().count(), 9 * ROWS as usize, "{protocol}: {walk}");
        let set = agent.ask("snmpset", &arguments, &[name[0], "s", "x"]);
        assert!(set.contains("notWritable"), "{protocol}: {set}");
    }
    let got = agent.ask("snmpget", &["-v3", "-l", "noAuthNoPriv", "-u", "none"], &name);
    assert!(got.contains(value), "{got}");
    let signed = ["-v3", "-l", "authNoPriv", "-a", "SHA-256", "-A", "authpass1"];
    let got = agent.ask("snmpget", &[&signed[..], &["-u", "signed"]].concat(), &name);
    assert!(got.contains(value), "{got}");
    for (arguments, said) in [
        (&[&signed[..], &["-u", "sha256"]].concat()[..], "authorizationError"),
        (&["-v3", "-l", "noAuthNoPriv", "-u", "signed"], "authorizationError"),
        (&[&signed[..], &["-u", "signed", "-A", "wrongpass1"]].concat(), "Authentication failure"),
        (&[&signed[..], &["-u", "signed", "-a", "SHA-512"]].concat(), "Authentication failure"),
        (&[&signed[..], &["-u", "nobody"]].concat(), "Unknown user name"),
        (&[&signed[..], &["-u", "none"]].concat(), "Unsupported security level"),
        (&[&signed[..], &["-u", "signed", "-n", "elsewhere"]].concat(), "Bad context"),
    ] {
        let got = agent.ask("snmpget", arguments, &name);
        assert!(got.contains(said) && !got.contains(value), "{arguments:?}: {got}");
    }
    let wrong = [&authenticated("sha512", "SHA-512")[..], &["-x", "AES", "-X", "wrongpass1"]];
    let got = agent.ask("snmpget", &wrong.concat(), &name);
    assert!(got.contains("Timeout"), "{got}");
    let counters = agent.counters();
    assert_eq!((counters.wrong_digests, counters.unknown_user_names), (2, 1));
    assert_eq!((counters.unsupported_security_levels, counters.unknown_contexts), (1, 1));
    assert_eq!(counters.asn_parse_errors, 1);
}

#[test]
fn a_replayed_request_is_answered_inside_the_window_only() {
    let agent = Agent::start();
    let name = [&format!("{TABLE}.1.3.7")[..]];
    let user = ["-v3", "-l", "authPriv", "-u", "sha256", "-a", "SHA-256"];
    let passwords = ["-A", "authpass1", "-x", "AES", "-X", "privpass1"];
    let arguments = [&user[..], &passwords].concat();
    assert!(agent.ask("snmpget", &arguments, &name).contains("user 7"));
    let replayed = agent.shared.lock().expect("nobody panics").last.clone();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_read_timeout(Some(PATIENCE)).expect("above zero");
    let replay = |seconds| {
        agent.shared.lock().expect("nobody panics").ahead = Duration::from_secs(seconds);
        socket.send_to(&replayed, agent.address).expect("it can be sent");
        socket.recv(&mut [0; 2048]).expect("an answer");
        agent.counters().not_in_time_windows
    };
    assert_eq!((replay(0), replay(140), replay(200)), (0, 0, 1));
    // The tool finds out what time it is.
    assert!(agent.ask("snmpget", &arguments, &name).contains("user 7"));
}

/// One that knows all users but `signed`, and the community `public`.
fn trap_daemon() -> TrapDaemon {
    let mut config = "authCommunity log public\nauthUser log none noauth\n".to_owned();
    config += "createUser none\n";
    config += &format!("createUser -e 0x{} none\n", engine_id());
    for (auth, protocol) in PROTOCOLS {
        for engine in [String::new(), format!("-e 0x{} ", engine_id())] {
            let keys = "authpass1 AES privpass1";
            config += &format!("createUser {engine}{auth} {protocol} {keys}\n");
        }
        config += &format!("authUser log {auth} priv\n");
    }
    TrapDaemon::start(&config, &["-On"])
}

#[test]
fn traps_and_informs_of_both_versions_arrive() {
    let daemon = trap_daemon();
    let mut receivers = Vec::new();
    for inform in [false, true] {
        let receiver = Receiver { address: Some(daemon.address), inform, ..Receiver::default() };
        receivers.push(receiver.clone());
        for user in users().iter().filter(|user| user.name != "signed") {
            let (version, user) = (Version::V3, user.name.clone());
            receivers.push(Receiver { version, user, ..receiver.clone() });
        }
    }
    // What it does not know, it says so.
    let community = Community("private".into());
    let address = Some(daemon.address);
    receivers.push(Receiver { address, inform: true, community, ..Receiver::default() });
    receivers.push(Receiver {
        address,
        inform: true,
        version: Version::V3,
        user: "signed".into(),
        ..Receiver::default()
    });
    let mut notifier = Notifier::new(&receivers, &users(), local(Instant::now()), 99);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let mut buffer = [0; 65_535];
    for number in 1..=3 {
        let name = oid(&format!("{TABLE}.1.2.{number}"));
        let objects = vec![VarBind { name, value: Value::Gauge32(number) }];
        notifier.notify(oid(&format!("{TABLE}.0.1")), objects, Instant::now());
    }
    // 14 receivers have it three times, 7 of them say so.
    let mut ahead = Duration::ZERO;
    let until = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while said.len() < 2 {
        assert!(Instant::now() < until, "{:?} {said:?}", notifier.counters());
        while let Some((to, octets)) = notifier.poll_transmit() {
            socket.send_to(&octets, to).expect("it can be sent");
        }
        let answers = notifier.counters().sent;
        let wait = Duration::from_millis(300);
        socket.set_read_timeout(Some(wait)).expect("above zero");
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                notifier.handle_datagram(&buffer[..length], from, Instant::now() + ahead);
            }
            // Whoever is silent now is silent for ever: time may pass faster.
            Err(_) if answers >= 42 => {
                ahead += Duration::from_secs(5);
                notifier.handle_timeout(Instant::now() + ahead);
            }
            Err(_) => {}
        }
        said.extend(std::iter::from_fn(|| notifier.poll_event()));
    }
    assert_eq!(notifier.counters().sent, 42);
    let receiver = daemon.address;
    assert!(said.contains(&Event::Silent { receiver, reason: None }), "{said:?}");
    let reason = Some("it does not know the user");
    assert!(said.contains(&Event::Silent { receiver, reason }), "{said:?}");
    for number in 1..=3 {
        daemon.said.wait_for(&format!(".{TABLE}.1.2.{number} = Gauge32: {number}"), 14, PATIENCE);
    }
    daemon.said.wait_for(&format!(".1.3.6.1.6.3.1.1.4.1.0 = OID: .{TABLE}.0.1"), 42, PATIENCE);
}
