//! Facts that are made up: as many sessions as a load test wants, and at least
//! one instance of every object, so that a manager's templates can be tried
//! without a gateway. The agent's description says so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::{
    AuthMethod, Control, Encryption, Key, Kind, OperStatus, Quality, Session, State, Traffic,
};
use pptp_probe::gateway::tracker::{Change, Tracker};
use pptp_probe::output;
use pptp_probe::reason::{Phase, Reason};

use crate::facts::{
    Agent, AuditRow, Counted, Facts, FailureRow, HistoryRow, PhaseRow, ProbeRow, RadiusCounters,
    RadiusRow, Seen, Server, Severity, SubnetRow, TABLES, Times, UserRow,
};
use crate::probe::Service;

/// So many sessions at most tell their quality.
const TALKATIVE: u32 = 16;

/// A gateway in TEST-NET-1 with `rows` callers (RFC 5737).
pub fn facts(rows: u32, now: Instant, wall: SystemTime) -> Facts {
    let mut tracker = Tracker::new(now);
    let sessions = |last| (1..=last).map(|row| session(row, rows, wall));
    tracker.update(sessions(rows), now, wall);
    // One more comes and ends. Only the second look at a session tells how
    // long it has been idle.
    tracker.update(sessions(rows.saturating_add(1)), now, wall);
    let changes = tracker.update(sessions(rows), now, wall);
    let ended = changes.into_iter().filter_map(|change| match change {
        Change::Ended(ended) => Some(ended),
        _ => None,
    });
    let history = ended.zip(1..).map(|(ended, index)| {
        let ended = *ended;
        Arc::new(HistoryRow { index, server: 1, ended })
    });
    let peer = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    let seen = Seen {
        active: rows.min(1),
        total: 2,
        auth_failures: Some(1),
        octets_in: 1 << 33,
        octets_out: 1 << 34,
        last: wall,
        quota: Some(1 << 15),
        since: now,
    };
    let text = Arc::<str>::from;
    let micros = Duration::from_micros;
    let times = Times {
        last: micros(38_000),
        min: micros(31_000),
        max: micros(62_000),
        p95: micros(60_000),
    };
    let passed =
        |phase| PhaseRow { phase, reason: None, time: Some(times), successes: 9, failures: 0 };
    Facts {
        taken: now,
        wall,
        stale_after: Duration::MAX,
        agent: Agent {
            description: text("SYNTHETIC rows, made up for a load test: no gateway is watched"),
            started: now,
            start: wall,
            collects: 1,
            collect_errors: 0,
            changed: [Some(now); TABLES],
        },
        servers: vec![Server {
            index: 1,
            name: text("synthetic"),
            kind: Kind::Poptop,
            listen: Some(SocketAddr::from(([192, 0, 2, 1], 1723))),
            status: OperStatus::Degraded,
            status_text: text("these rows are made up for a load test"),
            start: Some(wall),
            memory: Some(2_252_800),
            cpu: Some(Duration::from_millis(120)),
            maximum: Some(rows),
            gre_packets: Some((1 << 35, 1 << 36)),
            totals: tracker.totals(),
            counted: Counted {
                control_attempted: Some(12),
                control_refused: Some(1),
                auth_successes: Some(9),
                auth_failures: Some(2),
                lcp_timeouts: Some(1),
                mppe_failures: Some(1),
                echo_timeouts: Some(1),
            },
            read: now,
            errors: 1,
            error_text: text("none of the sources exists"),
            since: now,
            sessions: tracker.table().clone(),
        }],
        history: history.collect(),
        users: [UserRow { index: 1, name: Arc::from(&b"user-0"[..]), seen }].into(),
        subnets: [SubnetRow {
            index: 1,
            address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 0)),
            prefix: 24,
            seen,
        }]
        .into(),
        failures: [FailureRow {
            server: 1,
            reason: Reason::AuthRejected,
            count: 2,
            last: wall,
            user: Arc::from(&b"user-0"[..]),
            peer: Some(peer),
        }]
        .into(),
        probes: [ProbeRow {
            index: 1,
            name: text("synthetic"),
            target: text("192.0.2.1"),
            address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            last: Some(wall),
            interval: Duration::from_secs(60),
            state: Some(output::State::Critical),
            failure: Some((Phase::Gre, Reason::GreInboundSilent)),
            text: text("PPTP GRE CRITICAL - made up for a load test"),
            time: Some(times),
            lcp_rtt: Some(micros(21_000)),
            lcp_jitter: Some(micros(800)),
            loss: Some(0),
            echo_rtt: Some(micros(20_000)),
            successes: 9,
            failures: 1,
            since: now,
            phases: vec![
                passed(Phase::Connect),
                passed(Phase::Control),
                PhaseRow {
                    reason: Some(Reason::GreInboundSilent),
                    failures: 1,
                    ..passed(Phase::Gre)
                },
            ],
        }]
        .into(),
        radius: [RadiusRow {
            index: 1,
            name: text("192.0.2.2"),
            service: Service::Auth,
            address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))),
            port: 1812,
            status: OperStatus::Up,
            reason: None,
            rtt: Some(micros(900)),
            counters: RadiusCounters { requests: 9, accepts: 9, ..RadiusCounters::default() },
            since: now,
        }]
        .into(),
        audit: [AuditRow {
            index: 1,
            id: text("synthetic"),
            severity: Severity::Info,
            found: text("these rows are made up"),
            advised: text("leave --synthetic-rows out"),
            arithmetic: text(""),
            mend: text("systemctl restart pptp-snmp-subagent"),
            first: wall,
            last: wall,
        }]
        .into(),
        audited: true,
    }
}

/// One session of `rows`. Few real ones tell their quality, and so do few of
/// these; a load test has no holes.
pub fn session(row: u32, rows: u32, wall: SystemTime) -> Session {
    let is_talkative = rows <= TALKATIVE;
    let octets = |text: String| Some(text.into_bytes().into());
    let traffic = Traffic {
        octets_in: 1000 * u64::from(row),
        octets_out: 1500 * u64::from(row),
        packets_in: 10 * u64::from(row),
        packets_out: 12 * u64::from(row),
    };
    Session {
        state: State::Open,
        start: wall.checked_sub(Duration::from_secs(u64::from(row % 86_400))),
        accounting_id: octets(format!("{row:016x}")),
        user: octets(format!("user-{row}")),
        peer: Some(Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(198, 18, 0, 0)) | row & 0x1_ffff)),
        peer_port: Some(40_000 + (row % 20_000) as u16),
        assigned: Some(Ipv4Addr::from_bits(
            u32::from(Ipv4Addr::new(10, 0, 0, 0)) | row & 0xff_ffff,
        )),
        local_call_id: Some((row * 128) as u16),
        peer_call_id: Some(row as u16),
        if_name: octets(format!("ppp{row}")),
        if_index: Some(row + 3),
        peer_vendor: octets("synthetic".to_owned()).filter(|_| is_talkative),
        peer_host: octets("synthetic".to_owned()).filter(|_| is_talkative),
        auth_method: Some(AuthMethod::MsChapV2),
        encryption: Some(Encryption::Mppe128),
        stateless: Some(true),
        local_mru: Some(1500),
        remote_mru: Some(1400),
        mtu: Some(1396),
        traffic: Some(traffic),
        control: Some(Control { rtt: 20_000 + row % 1000, retransmits: row % 7 }),
        quality: is_talkative.then(|| {
            Box::new(Quality {
                gre_out_of_order: Some(3),
                gre_duplicates: Some(0),
                gre_lost: Some(7),
                lcp_echoes_sent: Some(40),
                lcp_echoes_lost: Some(1),
                lcp_rtt: Some(21_000),
                lcp_jitter: Some(900),
                reauthentications: Some(0),
            })
        }),
        ..Session::new(Key::counted(row.into()))
    }
}
