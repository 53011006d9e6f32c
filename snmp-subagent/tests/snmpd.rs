//! The session machine below Debian's snmpd (`tests/testbed/snmpd`), asked by
//! Net-SNMP's own tools.
//!
//! Needs the packages snmpd and snmp. Without the feature `peers` none of this
//! is built.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pptp_snmp_subagent::ROOT;
use pptp_snmp_subagent::agentx::pdu::{ByteOrder, ErrorStatus, VarBind};
use pptp_snmp_subagent::agentx::session::{Cause, Config, Counters, Event, Session};
use pptp_snmp_subagent::agentx_io::{self, Notification, Status};
use pptp_snmp_subagent::config::Address;
use pptp_snmp_subagent::log::Log;
use pptp_snmp_subagent::oid::Oid;
use pptp_snmp_subagent::value::{Octets, Value};
use pptp_snmp_subagent::view::MapView;

#[path = "../../tests/support/net_snmp.rs"]
mod net_snmp;
#[path = "../../tests/support/snmpd.rs"]
mod snmpd;

use net_snmp::PATIENCE;
use snmpd::Master;

const TABLE: &str = "1.3.6.1.4.1.8072.9999.9999.1723.77.1";
const ROWS: u32 = 40;

enum Order {
    Notify(u32),
    Report(Sender<Counters>),
    Close,
}

/// The machine with a socket and a clock.
struct Subagent {
    orders: Sender<Order>,
    events: Receiver<Event>,
    thread: JoinHandle<Counters>,
}

impl Subagent {
    fn start(config: Config, socket: PathBuf) -> Self {
        let (orders, ordered) = mpsc::channel();
        let (told, events) = mpsc::channel();
        let thread = std::thread::spawn(move || run(config, &socket, &ordered, &told));
        Self { orders, events, thread }
    }

    fn wait_for(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("the event comes");
            if wanted(&event) {
                return event;
            }
        }
    }

    fn wait_until_serving(&self) {
        self.wait_for(|event| matches!(event, Event::Serving { .. }));
    }

    fn counters(&self) -> Counters {
        let (to, report) = mpsc::channel();
        self.orders.send(Order::Report(to)).expect("it runs");
        report.recv().expect("it answers")
    }

    fn close(self) -> Counters {
        self.orders.send(Order::Close).expect("it runs");
        self.thread.join().expect("it does not panic")
    }
}

fn run(config: Config, path: &Path, orders: &Receiver<Order>, told: &Sender<Event>) -> Counters {
    let view = table();
    let mut session = Session::new(config, 1, Instant::now());
    let mut stream: Option<UnixStream> = None;
    let mut buffer = [0; 4096];
    loop {
        session.handle_timeout(Instant::now());
        while let Some(event) = session.poll_event() {
            let _ = told.send(event.clone());
            match event {
                Event::Connect => match UnixStream::connect(path) {
                    Ok(connected) => {
                        stream = Some(connected);
                        session.handle_connected(Instant::now());
                    }
                    Err(_) => session.handle_closed(Instant::now()),
                },
                Event::Disconnected(_) => {
                    if let (Some(mut left), Some(octets)) = (stream.take(), session.poll_transmit())
                    {
                        let _ = left.write_all(octets);
                    }
                }
                Event::Finished => return session.counters(),
                Event::Serving { .. } | Event::RegionRefused { .. } | Event::Refused { .. } => {}
            }
        }
        if let (Some(octets), Some(stream)) = (session.poll_transmit(), &mut stream) {
            let length = octets.len();
            if stream.write_all(octets).is_ok() {
                session.handle_transmitted(length);
            }
        }
        // Orders are looked for this often while the master says nothing.
        let longest = Duration::from_millis(20);
        let order = match &mut stream {
            Some(stream) => {
                stream.set_read_timeout(Some(longest)).expect("a timeout above zero");
                match stream.read(&mut buffer) {
                    Ok(0) => session.handle_closed(Instant::now()),
                    Ok(n) => session.handle_input(&buffer[..n], &view, Instant::now()),
                    Err(error)
                        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => session.handle_closed(Instant::now()),
                }
                orders.try_recv().ok()
            }
            None => match orders.recv_timeout(longest) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Order::Close),
            },
        };
        match order {
            Some(Order::Notify(number)) => {
                let name = oid(&format!("{TABLE}.1.2.{number}"));
                let objects = vec![VarBind { name, value: Value::Gauge32(number) }];
                session.notify(oid(&format!("{TABLE}.0.1")), objects, Instant::now());
            }
            Some(Order::Report(to)) => to.send(session.counters()).expect("somebody asked"),
            Some(Order::Close) => session.close(Instant::now()),
            None => {}
        }
    }
}

fn oid(text: &str) -> Oid {
    text.parse().expect("an identifier")
}

/// A column for each type.
fn columns(row: u32) -> [Value<'static>; 9] {
    [
        Value::Integer(-(row as i32)),
        Value::Gauge32(row),
        Value::OctetString(Octets::copy(format!("user {row} of a long name").as_bytes())),
        Value::IpAddress([192, 0, 2, row as u8]),
        Value::Counter32(row * 100_000_000),
        Value::Counter64(u64::MAX - u64::from(row)),
        Value::TimeTicks(row * 100),
        Value::ObjectIdentifier(oid(&format!("{TABLE}.1.1.{row}"))),
        Value::Opaque(Octets::copy(&[0x9f, 0x78, 0x04, 0x42, 0xf6, 0x00, 0x00])),
    ]
}

fn table() -> MapView {
    let mut view = MapView::default();
    for row in 1..=ROWS {
        for (column, value) in (1..).zip(columns(row)) {
            view.insert(oid(&format!("{TABLE}.1.{column}.{row}")), value);
        }
    }
    view
}

fn config(byte_order: ByteOrder) -> Config {
    Config {
        capabilities: Some((oid(TABLE), "a table".to_owned())),
        byte_order,
        ..Config::new(ROOT.into(), "a subagent")
    }
}

#[test]
fn the_tools_see_the_table_in_both_byte_orders() {
    for byte_order in [ByteOrder::Network, ByteOrder::Little] {
        let master = Master::start(&[]);
        let subagent = Subagent::start(config(byte_order), master.socket());
        subagent.wait_until_serving();
        let row = |column: u32| format!(".{TABLE}.1.{column}.7");
        let names: Vec<String> = (1..=9).map(row).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let got = master.ask("snmpget", "public", &names);
        let expected = [
            "INTEGER: -7",
            "Gauge32: 7",
            "STRING: \"user 7 of a long name\"",
            "IpAddress: 192.0.2.7",
            "Counter32: 700000000",
            "Counter64: 18446744073709551608",
            "Timeticks: (700) 0:00:07.00",
            &format!("OID: .{TABLE}.1.1.7"),
            "Opaque: Float: 123.000000",
        ];
        for ((name, expected), line) in names.iter().zip(expected).zip(got.lines()) {
            assert_eq!(line, format!("{name} = {expected}"));
        }
        assert_eq!(got.lines().count(), 9, "{got}");

        let missing = master.ask("snmpget", "public", &[&format!("{TABLE}.1.1.99")]);
        assert!(missing.contains("No Such Instance"), "{missing}");
        let next = master.ask("snmpgetnext", "public", &[TABLE, &row(9), &row(3)]);
        let begins: Vec<String> = next
            .lines()
            .map(|line| line.split_once(" = ").expect("a variable").0.to_owned())
            .collect();
        let after = [".1.1.1", ".1.9.8", ".1.3.8"].map(|after| format!(".{TABLE}{after}"));
        assert_eq!(begins, after);

        for (tool, arguments) in
            [("snmpbulkwalk", &["-Cr30", TABLE][..]), ("snmpwalk", &[TABLE][..])]
        {
            let walk = master.ask(tool, "public", arguments);
            let names: Vec<Oid> = walk
                .lines()
                .map(|line| oid(line.split_once(" = ").expect("a variable").0))
                .collect();
            assert_eq!(names.len(), 9 * ROWS as usize, "{tool}: {walk}");
            assert!(names.is_sorted(), "{tool}");
        }

        let set = master.ask("snmpset", "private", &[&row(1), "i", "5"]);
        assert!(set.contains("notWritable"), "{set}");
        let still = master.ask("snmpget", "public", &[&row(1)]);
        assert!(still.ends_with("INTEGER: -7\n"), "{still}");
        let capabilities = master.ask("snmpwalk", "public", &["1.3.6.1.2.1.1.9.1.3"]);
        assert!(capabilities.contains("\"a table\""), "{capabilities}");

        let counters = subagent.close();
        assert_eq!((counters.opened, counters.malformed, counters.unexpected), (1, 0, 0));
        let gone = master.ask("snmpget", "public", &[&row(1)]);
        assert!(gone.contains("No Such Object"), "{gone}");
    }
}

#[test]
fn a_killed_master_is_served_again_and_no_notification_is_lost() {
    let mut master = Master::start(&[]);
    let subagent = Subagent::start(config(ByteOrder::Network), master.socket());
    subagent.wait_until_serving();
    for number in 0..10 {
        subagent.orders.send(Order::Notify(number)).expect("it runs");
    }
    for round in 1..=2 {
        master.kill();
        subagent.wait_for(|event| *event == Event::Disconnected(Cause::Lost));
        for number in 0..10 {
            subagent.orders.send(Order::Notify(round * 10 + number)).expect("it runs");
        }
        master.restart();
        subagent.wait_until_serving();
        let got = master.ask("snmpget", "public", &[&format!("{TABLE}.1.2.7")]);
        assert!(got.ends_with("Gauge32: 7\n"), "{got}");
    }
    let until = Instant::now() + PATIENCE;
    while subagent.counters().notifications_sent < 30 && Instant::now() < until {}
    let counters = subagent.close();
    assert_eq!((counters.notifications_sent, counters.notifications_dropped), (30, 0));
    assert_eq!(counters.opened, 3);
}

#[test]
fn the_second_of_two_equal_subagents_is_refused_by_name() {
    let master = Master::start(&[]);
    let first = Subagent::start(config(ByteOrder::Network), master.socket());
    first.wait_until_serving();
    let second = Subagent::start(config(ByteOrder::Network), master.socket());
    let refused = second.wait_for(|event| matches!(event, Event::RegionRefused { .. }));
    let error = ErrorStatus::DuplicateRegistration;
    assert_eq!(refused, Event::RegionRefused { subtree: ROOT.into(), error });
    second.close();
    let got = master.ask("snmpget", "public", &[&format!("{TABLE}.1.2.7")]);
    assert!(got.ends_with("Gauge32: 7\n"), "{got}");
    first.close();
}

/// The tools ask, a notification is told and the master is left, through the
/// sockets that the daemon uses.
fn is_served_by_the_daemons_own_sockets(master: &Master, address: Address) {
    let (notify, told) = tokio::sync::mpsc::channel(1);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let status = Arc::new(Status::default());
    let of_task = status.clone();
    let task = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().enable_time().build().expect("a runtime");
        let session = Session::new(config(ByteOrder::Network), 1, Instant::now());
        let view = Arc::new(table());
        let view = || view.clone();
        let log = Log::stderr(false);
        runtime.block_on(agentx_io::run(&address, session, view, told, stopped, &of_task, &log));
    });
    let until = Instant::now() + PATIENCE;
    while status.stage() != "serving the master" {
        assert!(Instant::now() < until, "{}", status.stage());
        std::thread::yield_now();
    }
    let walk = master.ask("snmpbulkwalk", "public", &["-Cr30", TABLE]);
    assert_eq!(walk.lines().count(), 9 * ROWS as usize, "{walk}");
    assert!(status.master_uptime(Instant::now()).is_some_and(|uptime| uptime > 0));
    let notification = Notification { trap: oid(&format!("{TABLE}.0.1")), objects: Vec::new() };
    notify.blocking_send(notification).expect("it runs");
    while status.counters().notifications_sent < 1 {
        assert!(Instant::now() < until, "{}", status.stage());
        std::thread::yield_now();
    }
    stop.send(true).expect("it runs");
    task.join().expect("it does not panic");
    let counters = status.counters();
    assert_eq!((counters.opened, counters.malformed, counters.unexpected), (1, 0, 0));
    let gone = master.ask("snmpget", "public", &[&format!("{TABLE}.1.1.1")]);
    assert!(gone.contains("No Such Object"), "{gone}");
}

#[test]
fn the_daemons_own_sockets_serve_over_unix_and_tcp() {
    let master = Master::start(&[]);
    // It listens on both at once.
    let until = Instant::now() + PATIENCE;
    while UnixStream::connect(master.socket()).is_err() && Instant::now() < until {
        std::thread::yield_now();
    }
    let tcp = std::net::SocketAddr::from(([127, 0, 0, 1], master.agentx_port));
    is_served_by_the_daemons_own_sockets(&master, Address::Tcp(tcp));
    is_served_by_the_daemons_own_sockets(&master, Address::Unix(master.socket()));
}
