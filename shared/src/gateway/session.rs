//! What is known of a gateway at one moment. Owns the plain values; where
//! they come from is the business of the readers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

/// How far a session has come; the numbers are those of `PptpState` in
/// `mibs/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing tells.
    Unknown = 1,
    /// TCP is up, Start-Control-Connection not answered.
    CtrlConnecting = 2,
    /// Control connection up, no call yet.
    CtrlEstablished = 3,
    /// Call accepted, PPP not started.
    CallWait = 4,
    /// LCP; or authentication, where the system does not tell them apart.
    Lcp = 5,
    /// Authentication.
    Authenticating = 6,
    /// CCP.
    Ccp = 7,
    /// IPCP; or CCP, behind authentication: likewise.
    Ipcp = 8,
    /// IP flows.
    Open = 9,
    /// Ending.
    Closing = 10,
    /// Ended.
    Terminated = 11,
}

/// The software of a gateway; the numbers are those of `PptpKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// pptpd with pptpctrl and pppd.
    Poptop = 3,
    /// accel-pppd.
    AccelPpp = 4,
    /// pppd without any daemon that is known here.
    Pppd = 6,
}

/// Whether a daemon does its work; the numbers are those of
/// `PptpOperStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperStatus {
    /// It runs.
    Up = 1,
    /// In part: the status text says what is missing.
    Degraded = 2,
    /// It left its pid file or its sessions behind, or does not answer.
    Down = 3,
    /// Nobody could tell.
    Unknown = 4,
}

/// How a caller proved who it is; the numbers are those of
/// `PptpAuthMethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all.
    None = 2,
    /// PAP.
    Pap = 3,
    /// CHAP with MD5.
    ChapMd5 = 4,
    /// MS-CHAP, version 1.
    MsChapV1 = 5,
    /// MS-CHAP, version 2.
    MsChapV2 = 6,
    /// EAP, whatever is inside.
    Eap = 7,
}

/// MPPE and its key length in bits; the numbers are those of
/// `PptpEncryption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// The session is not encrypted.
    None = 2,
    /// 40 bit.
    Mppe40 = 3,
    /// 56 bit.
    Mppe56 = 4,
    /// 128 bit.
    Mppe128 = 5,
}

/// The daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Which software it is.
    pub kind: Kind,
    /// Whether it runs.
    pub status: OperStatus,
    /// Why the status is not up, in one sentence; empty when it is.
    pub status_text: String,
    /// Where it accepts control connections.
    pub listen: Option<SocketAddr>,
    /// Process; `None` when it is gone, or on another host.
    pub pid: Option<u32>,
    /// Start of the process.
    pub start: Option<SystemTime>,
    /// Resident memory of the daemon and its children, octets.
    pub memory: Option<u64>,
    /// Processor time of the daemon and all its children, ended ones included.
    pub cpu: Option<Duration>,
    /// Sessions it accepts at once, by its configuration.
    pub maximum: Option<u32>,
    /// GRE packets from and to all callers, by connection tracking; nothing
    /// where it cannot be read or does not count.
    pub gre_packets: Option<(u64, u64)>,
}

impl Server {
    /// A server of which nothing but kind and status is known.
    pub fn new(kind: Kind, status: OperStatus) -> Self {
        Self {
            kind,
            status,
            status_text: String::new(),
            listen: None,
            pid: None,
            start: None,
            memory: None,
            cpu: None,
            maximum: None,
            gre_packets: None,
        }
    }
}

/// What tells one session of a server from every other. Keys sort by age, as
/// far as they tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

impl Key {
    /// Of the process that serves the session: its number and its start in
    /// clock ticks since boot, for numbers are used again. Linux has no
    /// process beyond 2^22, and 2^42 ticks are 1394 years.
    pub fn process(pid: u32, start_ticks: u64) -> Self {
        Self(start_ticks << 22 | u64::from(pid & 0x3f_ffff))
    }

    /// The process of a key of [`Key::process`]; of any other one a number
    /// without a meaning.
    pub fn pid(self) -> u32 {
        (self.0 & 0x3f_ffff) as u32
    }

    /// Of a session identifier that the server counts up.
    pub fn counted(sid: u64) -> Self {
        Self(sid)
    }
}

/// 64-bit counters of a ppp interface; "in" is what the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// The control connection, from the TCP state that the kernel keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Smoothed round trip, microseconds.
    pub rtt: u32,
    /// Segments that the gateway sent again.
    pub retransmits: u32,
}

/// How good a session is, where its daemon or its log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quality {
    /// GRE packets from the caller that came after a later one.
    pub gre_out_of_order: Option<u64>,
    /// GRE packets from the caller that came twice.
    pub gre_duplicates: Option<u64>,
    /// GRE packets from the caller that never came.
    pub gre_lost: Option<u64>,
    /// LCP Echo-Requests that the gateway sent.
    pub lcp_echoes_sent: Option<u32>,
    /// Those that stayed unanswered.
    pub lcp_echoes_lost: Option<u32>,
    /// Round trip of the last answered one, microseconds.
    pub lcp_rtt: Option<u32>,
    /// Mean difference of successive round trips, microseconds.
    pub lcp_jitter: Option<u32>,
    /// Times that the caller had to prove itself again.
    pub reauthentications: Option<u32>,
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
    /// Identifier in the server's accounting.
    pub accounting_id: Option<Box<[u8]>>,
    /// Name the caller proved; any octets.
    pub user: Option<Box<[u8]>>,
    /// Address the caller comes from.
    pub peer: Option<Ipv4Addr>,
    /// TCP port the caller comes from.
    pub peer_port: Option<u16>,
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
    /// Vendor string of the caller's Start-Control-Connection-Request.
    pub peer_vendor: Option<Box<[u8]>>,
    /// Host name in it.
    pub peer_host: Option<Box<[u8]>>,
    /// How the caller proved who it is.
    pub auth_method: Option<AuthMethod>,
    /// How the session is encrypted.
    pub encryption: Option<Encryption>,
    /// Whether MPPE changes its key with each packet (RFC 3078, section 2.1).
    pub stateless: Option<bool>,
    /// Octets of a PPP packet the gateway takes at most (RFC 1661, section
    /// 6.1).
    pub local_mru: Option<u16>,
    /// Octets of a PPP packet the caller takes at most.
    pub remote_mru: Option<u16>,
    /// Octets of an IP packet the interface sends at most.
    pub mtu: Option<u32>,
    /// Interface counters.
    pub traffic: Option<Traffic>,
    /// TCP state of the control connection.
    pub control: Option<Control>,
    /// What a log tells beyond.
    pub quality: Option<Box<Quality>>,
}

impl Session {
    /// A session of which nothing is known but that it is there.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            state: State::Unknown,
            start: None,
            accounting_id: None,
            user: None,
            peer: None,
            peer_port: None,
            assigned: None,
            local_call_id: None,
            peer_call_id: None,
            if_name: None,
            if_index: None,
            peer_vendor: None,
            peer_host: None,
            auth_method: None,
            encryption: None,
            stateless: None,
            local_mru: None,
            remote_mru: None,
            mtu: None,
            traffic: None,
            control: None,
            quality: None,
        }
    }
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

/// A place that was read, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is, as an operator calls it: `pppd's database /run/pppd2.tdb`.
    pub name: String,
    /// How reading it went.
    pub state: SourceState,
    /// Without it there are no sessions to tell of: what was known before is
    /// then kept and grows old.
    pub needed: bool,
}

impl Source {
    pub(super) fn needed(name: impl Into<String>, state: SourceState) -> Self {
        Self { name: name.into(), state, needed: true }
    }

    pub(super) fn extra(name: impl Into<String>, state: SourceState) -> Self {
        Self { name: name.into(), state, needed: false }
    }
}

/// A gateway at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The daemon; `None` when nothing of it was found.
    pub server: Option<Server>,
    /// Sorted by key, each key once.
    pub sessions: Vec<Session>,
    /// How reading went.
    pub sources: Vec<Source>,
}
