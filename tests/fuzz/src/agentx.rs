//! The subagent's session, and a master that says whatever it likes.

use std::time::{Duration, Instant};

use pptp_snmp_subagent::agentx::pdu::{Framer, MAX_PDU, Message, VERSION, VarBind};
use pptp_snmp_subagent::agentx::session::{Config, Event, Session};
use pptp_snmp_subagent::value::{Octets, Value};
use pptp_snmp_subagent::view::MapView;

use crate::script::Cursor;

/// NETWORK_BYTE_ORDER of h.flags.
const NETWORK: u8 = 0x10;
const SESSION_ID: u32 = 7;

/// A script of a master. An octet says what comes next: octets as they are, a
/// PDU whose header is right, time, or what the owner does.
pub fn agentx(data: &[u8]) {
    let mut input = Cursor::new(data);
    let mut bench = Bench::new();
    bench.settle();
    while let Some(step) = input.u8() {
        match step % 8 {
            0 => {
                let length = input.u16();
                bench.hear(input.take(length.into()));
            }
            1 => bench.hear(&pdu(18, 0, SESSION_ID, bench.packet_id, &[0; 8])),
            2 => {
                // A request, or an answer to what was asked last.
                let (kind, flags) = (input.u8().unwrap_or(5), input.u8().unwrap_or(0));
                let length = input.u16();
                let payload = input.take(length.into());
                bench.hear(&pdu(kind, flags, SESSION_ID, bench.packet_id, payload));
            }
            3 => {
                bench.now += Duration::from_millis(input.u16().into());
                bench.session.handle_timeout(bench.now);
            }
            4 => {
                if let Some(due) = bench.session.poll_timeout() {
                    bench.now = bench.now.max(due);
                    bench.session.handle_timeout(bench.now);
                }
            }
            5 => bench.notify(),
            6 => bench.session.handle_closed(bench.now),
            _ => {
                bench.is_slow = step & 0x80 != 0;
                if step & 0x40 != 0 {
                    bench.session.close(bench.now);
                }
            }
        }
        bench.settle();
    }
    bench.end();
}

/// A PDU in network byte order, its transaction and packet alike.
fn pdu(kind: u8, flags: u8, session_id: u32, packet_id: u32, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![VERSION, kind, flags | NETWORK, 0];
    for number in [session_id, packet_id, packet_id, payload.len() as u32] {
        octets.extend(number.to_be_bytes());
    }
    octets.extend(payload);
    octets
}

struct Bench {
    session: Session,
    view: MapView,
    now: Instant,
    config: Config,
    /// What the master reads.
    framer: Framer,
    /// Of the last request to the master.
    packet_id: u32,
    /// Whether the master reads nothing.
    is_slow: bool,
    connected: bool,
    lost_at: Option<Instant>,
    notified: u64,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let base = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 1723];
        let mut config = Config::new(base.into(), "a subagent");
        config.capabilities = Some((base.into(), "variables".into()));
        config.max_notifications = 4;
        config.max_output = 4096;
        config.max_response = 2048;
        let mut view = MapView::default();
        for row in 1..=40 {
            let text = vec![row as u8; row as usize];
            let name = |column| [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 1723, 1, column, row].into();
            view.insert(name(1), Value::OctetString(Octets::copy(&text)));
            view.insert(name(2), Value::Gauge32(row));
        }
        Self {
            session: Session::new(config.clone(), 1, now),
            view,
            now,
            config,
            framer: Framer::default(),
            packet_id: 0,
            is_slow: false,
            connected: false,
            lost_at: None,
            notified: 0,
        }
    }

    fn hear(&mut self, octets: &[u8]) {
        self.session.handle_input(octets, &self.view, self.now);
    }

    fn notify(&mut self) {
        let name = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 1723, 0, 1];
        let objects = vec![VarBind { name: name.into(), value: Value::Gauge32(1) }];
        self.session.notify(name.into(), objects, self.now);
        self.notified += 1;
    }

    /// Does what the session wants of its owner, and looks at what it says.
    fn settle(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connect => {
                    let since = self.lost_at.map(|lost_at| self.now - lost_at);
                    assert!(since.is_none_or(|since| since >= Duration::from_secs(1)));
                    assert!(!self.connected, "a second connection");
                    self.connected = true;
                    self.framer = Framer::default();
                    self.session.handle_connected(self.now);
                }
                Event::Disconnected(_) | Event::Finished => {
                    self.read();
                    self.connected = false;
                    self.lost_at = Some(self.now);
                }
                Event::Serving { .. } | Event::RegionRefused { .. } | Event::Refused { .. } => {}
            }
        }
        let waiting = self.session.poll_transmit().map_or(0, <[u8]>::len);
        assert!(waiting <= self.config.max_output + MAX_PDU, "{waiting} octets wait");
        if !self.is_slow {
            self.read();
        }
        assert!(!self.session.stage().is_empty());
        let counters = self.session.counters();
        let over = counters.notifications_sent + counters.notifications_dropped;
        let waiting = self.notified - over;
        assert!(waiting <= self.config.max_notifications as u64, "{waiting} notifications wait");
    }

    /// The master reads all there is, which must be AgentX.
    fn read(&mut self) {
        let octets = self.session.poll_transmit().unwrap_or_default().to_vec();
        self.session.handle_transmitted(octets.len());
        if !self.connected {
            return;
        }
        self.framer.push(&octets);
        while let Some(frame) = self.framer.next_frame().expect("a stream that can be followed") {
            let pdu = frame.parse().expect("a PDU");
            match pdu.message {
                Message::Response { .. } => {}
                _ => self.packet_id = pdu.header.packet_id,
            }
        }
    }

    /// Whatever the master did, it can be left.
    fn end(mut self) {
        self.is_slow = false;
        self.session.close(self.now);
        self.settle();
        if let Some(due) = self.session.poll_timeout() {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.settle();
        }
        assert_eq!(self.session.poll_timeout(), None);
        assert!(!self.connected, "{}", self.session.stage());
    }
}
