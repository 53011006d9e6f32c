//! Everything that is served at one moment.
//!
//! [`Facts`] are made once for each refresh and never change after; what does
//! not differ from the refresh before is shared with it. Numbers carry the
//! units of their objects in `mibs/PPTP-SESSION-MIB.txt`; what is `None` has no
//! instance there. Counters wrap as SNMP's do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::audit::finding;
use pptp_probe::gateway::session::{Kind, OperStatus};
use pptp_probe::gateway::table::Table;
use pptp_probe::gateway::tracker::{Ended, Totals};
use pptp_probe::output::State;
use pptp_probe::reason::{Phase, Reason};

use crate::probe::Service;

/// What is served, as it was at [`Facts::taken`].
#[derive(Debug, Clone)]
pub struct Facts {
    /// When they were put together.
    pub taken: Instant,
    /// The same by the wall clock.
    pub wall: SystemTime,
    /// Sessions of a server whose data is older are not shown as living.
    pub stale_after: Duration,
    /// The agent itself.
    pub agent: Agent,
    /// By index, from 1 without gaps.
    pub servers: Vec<Server>,
    /// By index.
    pub history: Arc<[Arc<HistoryRow>]>,
    /// By index.
    pub users: Arc<[UserRow]>,
    /// By index.
    pub subnets: Arc<[SubnetRow]>,
    /// By server and number of the reason.
    pub failures: Arc<[FailureRow]>,
    /// By index.
    pub probes: Arc<[ProbeRow]>,
    /// By index.
    pub radius: Arc<[RadiusRow]>,
    /// By index.
    pub audit: Arc<[AuditRow]>,
    /// Whether there was an audit.
    pub audited: bool,
}

/// The agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// What is served and from where.
    pub description: Arc<str>,
    /// When it started.
    pub started: Instant,
    /// The same by the wall clock.
    pub start: SystemTime,
    /// Times that all sources were read.
    pub collects: u32,
    /// Times that one could not be.
    pub collect_errors: u32,
    /// When a row of each table last came or went, in the order of the tables
    /// in the MIB; the phases belong to the probes.
    pub changed: [Option<Instant>; TABLES],
}

/// Tables with a last change of their own.
pub const TABLES: usize = 9;

/// Counters that change between refreshes, by whoever sends.
#[derive(Debug, Default)]
pub struct Live {
    /// Notifications handed to the master or sent.
    pub notifications_sent: AtomicU32,
    /// Notifications above the rate of their kind.
    pub notifications_suppressed: AtomicU32,
    /// Notifications that were lost in a full queue.
    pub notifications_dropped: AtomicU32,
    /// Connections to the master beyond the first.
    pub master_reconnects: AtomicU32,
}

/// One server and its sessions.
#[derive(Debug, Clone)]
pub struct Server {
    /// From 1.
    pub index: u32,
    /// As configured, or kind and address.
    pub name: Arc<str>,
    /// Its software.
    pub kind: Kind,
    /// Where it listens.
    pub listen: Option<SocketAddr>,
    /// Whether it does its work.
    pub status: OperStatus,
    /// Why not, in one sentence; empty if it does.
    pub status_text: Arc<str>,
    /// Start of its process.
    pub start: Option<SystemTime>,
    /// Resident memory, octets.
    pub memory: Option<u64>,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Sessions at once, at most.
    pub maximum: Option<u32>,
    /// GRE packets from and to callers.
    pub gre_packets: Option<(u64, u64)>,
    /// Sums over its sessions.
    pub totals: Totals,
    /// What only a log or a management port counts.
    pub counted: Counted,
    /// When its sources were read, or when the row came.
    pub read: Instant,
    /// Times that a source of it could not be read.
    pub errors: u32,
    /// The last of these; empty if there was none.
    pub error_text: Arc<str>,
    /// When its counters began.
    pub since: Instant,
    /// Its sessions.
    pub sessions: Table,
}

/// What only a log or a management port counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Control connections begun.
    pub control_attempted: Option<u32>,
    /// Control connections refused.
    pub control_refused: Option<u32>,
    /// Logins accepted.
    pub auth_successes: Option<u32>,
    /// Logins rejected.
    pub auth_failures: Option<u32>,
    /// Sessions that ended because LCP was never agreed.
    pub lcp_timeouts: Option<u32>,
    /// Sessions that ended because of encryption.
    pub mppe_failures: Option<u32>,
    /// Sessions that ended because echoes stayed unanswered.
    pub echo_timeouts: Option<u32>,
}

/// A session that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// Counts up.
    pub index: u32,
    /// Of the server.
    pub server: u32,
    /// What is known of it.
    pub ended: Ended,
}

/// A user, over all servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Counts up.
    pub index: u32,
    /// Any octets.
    pub name: Arc<[u8]>,
    /// What was seen of it.
    pub seen: Seen,
}

/// A subnet that callers come from, over all servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetRow {
    /// Counts up.
    pub index: u32,
    /// Its first address.
    pub address: IpAddr,
    /// Bits of its prefix.
    pub prefix: u8,
    /// What was seen of it.
    pub seen: Seen,
}

/// What was seen of a user or subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Sessions that are open.
    pub active: u32,
    /// Sessions so far, those that are there included.
    pub total: u32,
    /// Logins rejected, where something tells.
    pub auth_failures: Option<u32>,
    /// Octets from its callers.
    pub octets_in: u64,
    /// Octets to its callers.
    pub octets_out: u64,
    /// When a session of it was last there.
    pub last: SystemTime,
    /// Mebibytes in both directions that it may use, from the configuration.
    pub quota: Option<u32>,
    /// When the counters began.
    pub since: Instant,
}

/// Failures of one server for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    /// Of the server.
    pub server: u32,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: u32,
    /// When the last one was.
    pub last: SystemTime,
    /// Whose it was; empty if not known.
    pub user: Arc<[u8]>,
    /// Where it came from.
    pub peer: Option<IpAddr>,
}

/// A probe and its last run.
#[derive(Debug, Clone)]
pub struct ProbeRow {
    /// From 1.
    pub index: u32,
    /// From the configuration.
    pub name: Arc<str>,
    /// As configured.
    pub target: Arc<str>,
    /// The one the last run used.
    pub address: Option<IpAddr>,
    /// When the last run began.
    pub last: Option<SystemTime>,
    /// Between two runs.
    pub interval: Duration,
    /// What the last run came to; `None` before the first.
    pub state: Option<State>,
    /// Where and why the last run failed.
    pub failure: Option<(Phase, Reason)>,
    /// Its first line.
    pub text: Arc<str>,
    /// Of successful runs.
    pub time: Option<Times>,
    /// Median round trip of LCP echoes.
    pub lcp_rtt: Option<Duration>,
    /// Mean difference of successive round trips.
    pub lcp_jitter: Option<Duration>,
    /// LCP echoes without an answer, percent.
    pub loss: Option<u32>,
    /// Median round trip of control echoes.
    pub echo_rtt: Option<Duration>,
    /// Runs that ended well or with a warning.
    pub successes: u32,
    /// Runs that ended critical.
    pub failures: u32,
    /// When the counters began.
    pub since: Instant,
    /// In the order of the phases.
    pub phases: Vec<PhaseRow>,
}

/// One phase of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseRow {
    /// Which.
    pub phase: Phase,
    /// Why the last run that came here failed in it.
    pub reason: Option<Reason>,
    /// Of runs that passed it.
    pub time: Option<Times>,
    /// Runs that passed it.
    pub successes: u32,
    /// Runs that failed in it.
    pub failures: u32,
}

/// Durations over many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Of the last one.
    pub last: Duration,
    /// The least.
    pub min: Duration,
    /// The greatest.
    pub max: Duration,
    /// Below this stayed 95 of 100 of the last ones.
    pub p95: Duration,
}

/// A RADIUS server and service.
#[derive(Debug, Clone)]
pub struct RadiusRow {
    /// From 1.
    pub index: u32,
    /// As configured.
    pub name: Arc<str>,
    /// What it is asked for.
    pub service: Service,
    /// The one that was asked last.
    pub address: Option<IpAddr>,
    /// The one that is asked.
    pub port: u16,
    /// Whether it answers, and why not.
    pub status: OperStatus,
    /// Why the last request failed.
    pub reason: Option<Reason>,
    /// To the last reply.
    pub rtt: Option<Duration>,
    /// As RFC 4668 counts.
    pub counters: RadiusCounters,
    /// When they began.
    pub since: Instant,
}

/// Packets of our side of one RADIUS server and service (RFC 4668, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RadiusCounters {
    /// Sent for the first time.
    pub requests: u32,
    /// Sent again.
    pub retransmissions: u32,
    /// Access-Accept, or Accounting-Response.
    pub accepts: u32,
    /// Access-Reject.
    pub rejects: u32,
    /// Access-Challenge.
    pub challenges: u32,
    /// Of an invalid length.
    pub malformed: u32,
    /// With a wrong authenticator or Message-Authenticator.
    pub bad_authenticators: u32,
    /// Without Message-Authenticator.
    pub unsigned: u32,
    /// Neither answered nor given up.
    pub pending: u32,
    /// Not answered in time.
    pub timeouts: u32,
    /// Of a type nobody asked for.
    pub unknown_types: u32,
    /// Dropped for another reason.
    pub dropped: u32,
}

/// How much a finding matters; the numbers are those of `PptpSeverity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What would tell could not be read.
    Unknown = 1,
    /// Worth knowing.
    Info = 2,
    /// Will hurt some callers or weakens security.
    Warning = 3,
    /// Breaks sessions or lays them open.
    Critical = 4,
}

impl Severity {
    /// Its label in the MIB.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl From<finding::Severity> for Severity {
    fn from(severity: finding::Severity) -> Self {
        match severity {
            finding::Severity::Info => Self::Info,
            finding::Severity::Warning => Self::Warning,
            finding::Severity::Critical => Self::Critical,
        }
    }
}

/// One finding of an audit.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Counts up.
    pub index: u32,
    /// Stable identifier.
    pub id: Arc<str>,
    /// How much it matters.
    pub severity: Severity,
    /// What is set, and where.
    pub found: Arc<str>,
    /// What is advised.
    pub advised: Arc<str>,
    /// Why, with the numbers.
    pub arithmetic: Arc<str>,
    /// The command that mends it; empty if no single one does.
    pub mend: Arc<str>,
    /// When it was first found.
    pub first: SystemTime,
    /// When it was last found.
    pub last: SystemTime,
}
