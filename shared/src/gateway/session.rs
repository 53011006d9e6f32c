//! What is known of a gateway at one moment. Owns the plain values; where
//! they come from is the business of the readers.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing tells.
    Unknown = 1,
    /// Control connection up, no call yet.
    CtrlEstablished = 3,
    /// Call accepted, PPP not started.
    CallWait = 4,
    /// LCP or authentication: the system does not tell them apart.
    Lcp = 5,
    /// CCP or IPCP, behind authentication: likewise.
    Ipcp = 8,
    /// IP flows.
    Open = 9,
    /// Ending.
    Closing = 10,
}

/// What a daemon's process says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperStatus {
    /// It runs.
    Up = 1,
    /// It left its pid file or its sessions behind.
    Down = 3,
}

/// The daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Whether it runs.
    pub status: OperStatus,
    /// Process; `None` when it is gone.
    pub pid: Option<u32>,
    /// Start of the process.
    pub start: Option<SystemTime>,
    /// Resident memory of the daemon alone, octets.
    pub memory: Option<u64>,
}

/// What tells one session from every other while the system runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Process that serves the control connection.
    pub pid: u32,
    /// Its start, clock ticks since boot: process numbers are used again.
    pub start_ticks: u64,
}

/// 64-bit counters of a ppp interface; "in" is what the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Octets from the caller.
    pub octets_in: u64,
    /// Octets to the caller.
    pub octets_out: u64,
    /// Packets from the caller.
    pub packets_in: u64,
    /// Packets to the caller.
    pub packets_out: u64,
}

/// One control connection and what stands on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Identity.
    pub key: Key,
    /// Progress.
    pub state: State,
    /// When the control connection was accepted, wall clock.
    pub start: Option<SystemTime>,
    /// Name the caller proved; any octets.
    pub user: Option<Box<[u8]>>,
    /// Address the caller comes from.
    pub peer: Option<Ipv4Addr>,
    /// Address given to the caller.
    pub assigned: Option<Ipv4Addr>,
    /// Call ID of the gateway (RFC 2637, section 2.7).
    pub local_call_id: Option<u16>,
    /// Call ID of the caller.
    pub peer_call_id: Option<u16>,
    /// Interface name.
    pub if_name: Option<Box<[u8]>>,
    /// Interface number.
    pub if_index: Option<u32>,
    /// Octets of an IP packet the interface sends at most.
    pub mtu: Option<u32>,
    /// Interface counters.
    pub traffic: Option<Traffic>,
}

/// How reading a source went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// Read.
    Ok,
    /// Not there.
    Absent,
    /// There, but not readable, and why.
    Unreadable(String),
    /// Read, but it names a process that is gone.
    Stale,
}

impl SourceState {
    pub(super) fn of<T>(result: &io::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

/// What the sources said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The process table.
    pub processes: SourceState,
    /// The pid file of the daemon.
    pub pid_file: SourceState,
    /// The session database of pppd.
    pub database: SourceState,
}

/// A gateway at one moment; a clone shares.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The daemon; `None` when nothing of it was found.
    pub server: Option<Server>,
    /// Sorted by key.
    pub sessions: Arc<[Session]>,
    /// How reading went.
    pub sources: Sources,
}
