use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::*;
use crate::agentx::pdu::{ErrorStatus, Framer, Header, Message, Pdu, PduType, SearchRange};
use crate::agentx::session::Config;
use crate::log::tests::Lines;
use crate::value::Value;
use crate::view::MapView;

const SESSION: u32 = 9;

/// The master's end of one connection.
struct Master<S> {
    stream: S,
    framer: Framer,
}

impl<S: AsyncReadExt + AsyncWriteExt + Unpin> Master<S> {
    fn new(stream: S) -> Self {
        Self { stream, framer: Framer::default() }
    }

    /// What comes next; nothing when the connection is over.
    async fn next(&mut self) -> Option<(Header, Message<'static>)> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                let pdu = frame.parse().unwrap();
                return Some((pdu.header, owned(pdu.message)));
            }
            match self.stream.read(&mut buffer).await.unwrap() {
                0 => return None,
                n => self.framer.push(&buffer[..n]),
            }
        }
    }

    async fn send(&mut self, pdus: &[(Header, Message<'static>)]) {
        let mut octets = Vec::new();
        for (header, message) in pdus {
            Pdu { header: *header, context: None, message: message.clone() }.emit(&mut octets);
        }
        self.stream.write_all(&octets).await.unwrap();
    }

    /// Agrees with everything up to the first of this kind, which too is
    /// agreed with.
    async fn agree(&mut self, until: PduType) -> Message<'static> {
        loop {
            let (header, message) = self.next().await.unwrap();
            let answer = Message::Response {
                sys_up_time: 1000,
                error: ErrorStatus::None,
                index: 0,
                varbinds: Vec::new(),
            };
            self.send(&[(Header { session_id: SESSION, ..header }, answer)]).await;
            if message.pdu_type() == until {
                return message;
            }
        }
    }
}

/// The messages that these tests look into hold nothing borrowed.
fn owned(message: Message<'_>) -> Message<'static> {
    match message {
        Message::Response { sys_up_time, error, index, varbinds } => {
            let varbinds = varbinds.iter().map(|varbind| match &varbind.value {
                Value::Gauge32(value) => {
                    VarBind { name: varbind.name.clone(), value: Value::Gauge32(*value) }
                }
                other => panic!("{other:?}"),
            });
            Message::Response { sys_up_time, error, index, varbinds: varbinds.collect() }
        }
        Message::Open { timeout, id, .. } => {
            Message::Open { timeout, id, description: crate::value::Octets::copy(b"") }
        }
        Message::Register { instance, timeout, region } => {
            Message::Register { instance, timeout, region }
        }
        Message::Close { reason } => Message::Close { reason },
        Message::Ping => Message::Ping,
        Message::Notify { .. } => Message::Notify { varbinds: Vec::new() },
        other => panic!("{other:?}"),
    }
}

struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        let name = format!("pptp-agentx-io-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn listen(&self) -> UnixListener {
        let _ = std::fs::remove_file(&self.0);
        UnixListener::bind(&self.0).unwrap()
    }

    fn address(&self) -> Address {
        Address::Unix(self.0.clone())
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a test holds of a subagent that runs on the same thread.
struct Subagent {
    notifications: mpsc::Sender<Notification>,
    stop: watch::Sender<bool>,
    status: Arc<Status>,
    lines: Lines,
    task: tokio::task::JoinHandle<()>,
}

fn subagent(address: Address) -> Subagent {
    let (notifications, told) = mpsc::channel(16);
    let (stop, stopped) = watch::channel(false);
    let status = Arc::new(Status::default());
    let lines = Lines::default();
    let (shared, log) = (status.clone(), lines.log());
    let task = tokio::spawn(async move {
        // The clock of a test may run on while octets are under way.
        let config = Config {
            patience: Duration::from_secs(86_400),
            ping_interval: Duration::from_secs(600),
            ..Config::new([1, 3, 9].into(), "a test")
        };
        let session = Session::new(config, 1, now());
        let mut view = MapView::default();
        for row in 1..=3 {
            view.insert([1, 3, 9, row].into(), Value::Gauge32(row));
        }
        let view = Arc::new(view);
        run(&address, session, || view.clone(), told, stopped, &shared, &log).await;
    });
    Subagent { notifications, stop, status, lines, task }
}

fn get(packet_id: u32, row: u32) -> (Header, Message<'static>) {
    let header = Header {
        byte_order: crate::agentx::pdu::ByteOrder::Network,
        session_id: SESSION,
        transaction_id: packet_id,
        packet_id,
    };
    let start = Oid::from([1, 3, 9, row]);
    (header, Message::Get { ranges: vec![SearchRange { start, include: false, end: None }] })
}

fn value(message: &Message<'_>) -> Option<u32> {
    let Message::Response { varbinds, .. } = message else { return None };
    match varbinds.first()?.value {
        Value::Gauge32(value) => Some(value),
        _ => None,
    }
}

#[tokio::test]
async fn requests_of_one_read_are_answered_over_either_transport() {
    let path = Path::new("requests");
    let unix = path.listen();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();

    async fn ask(
        mut master: Master<impl AsyncReadExt + AsyncWriteExt + Unpin>,
        subagent: Subagent,
    ) {
        master.agree(PduType::Register).await;
        master.send(&[get(101, 1), get(102, 2), get(103, 3)]).await;
        for row in 1..=3 {
            let (header, message) = master.next().await.unwrap();
            assert_eq!((header.packet_id, value(&message)), (100 + row, Some(row)));
        }
        assert_eq!(subagent.status.counters().requests, 3);
        assert!(subagent.status.master_uptime(now()).unwrap() >= 1000);
        assert_eq!(subagent.status.stage(), "serving the master");
        subagent.stop.send(true).unwrap();
        assert_eq!(master.agree(PduType::Close).await.pdu_type(), PduType::Close);
        subagent.task.await.unwrap();
    }

    let subagent_ = subagent(path.address());
    ask(Master::new(unix.accept().await.unwrap().0), subagent_).await;
    let subagent_ = subagent(Address::Tcp(tcp.local_addr().unwrap()));
    ask(Master::new(tcp.accept().await.unwrap().0), subagent_).await;
}

#[tokio::test(start_paused = true)]
async fn a_master_that_comes_back_gets_what_waited() {
    let path = Path::new("again");
    let listener = path.listen();
    let subagent = subagent(path.address());
    let mut master = Master::new(listener.accept().await.unwrap().0);
    master.agree(PduType::Register).await;
    drop(master);
    let notification = Notification { trap: [1, 3, 9, 0, 1].into(), objects: Vec::new() };
    subagent.notifications.send(notification).await.unwrap();
    let began = Instant::now();
    let mut master = Master::new(listener.accept().await.unwrap().0);
    assert!(began.elapsed() >= Duration::from_secs(1), "not at once");
    assert_eq!(master.agree(PduType::Notify).await.pdu_type(), PduType::Notify);
    // The answer to the next ping shows that the one to Notify was read.
    master.agree(PduType::Ping).await;
    let counters = subagent.status.counters();
    assert_eq!((counters.opened, counters.notifications_sent), (2, 1));
    let said = subagent.lines.text();
    let address = path.address();
    let expected = [
        format!("agentx: serving the master at {address}, session 9"),
        format!("agentx: lost the master at {address}"),
        format!("agentx: serving the master at {address}, session 9"),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_master_that_is_not_there_is_complained_of_once() {
    let path = Path::new("absent");
    let subagent = subagent(path.address());
    while subagent.status.counters().disconnected < 5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let said = subagent.lines.text();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
    subagent.stop.send(true).unwrap();
    subagent.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_master_delays_the_end_by_a_second() {
    let path = Path::new("silent");
    let listener = path.listen();
    let subagent = subagent(path.address());
    let mut master = Master::new(listener.accept().await.unwrap().0);
    master.agree(PduType::Register).await;
    while subagent.status.stage() != "serving the master" {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    drop(subagent.stop);
    let (_, message) = master.next().await.unwrap();
    assert_eq!(message.pdu_type(), PduType::Close);
    subagent.task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
}
