//! What an entry means, in the field's terms.

use std::net::{IpAddr, Ipv4Addr};

use super::entry::Stamp;
use crate::gateway::session::{AuthMethod, Encryption};
use crate::gateway::tracker::TerminateCause;
use crate::reason::{Phase, Reason};

/// Programs whose entries are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Program {
    /// pptpd and pptpctrl, which share one tag.
    Pptpd,
    /// pppd with its plugins.
    Pppd,
    /// accel-pppd.
    AccelPpp,
    /// The kernel.
    Kernel,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The daemon started.
    ServerUp,
    /// The daemon ended.
    ServerDown,
    /// A control connection was accepted.
    ControlUp,
    /// What came first on a control connection was not PPTP, came too late, or
    /// had another version.
    ControlRefused,
    /// A control connection ended.
    ControlDown,
    /// A caller was turned away because all places or addresses were taken.
    PoolExhausted,
    /// A call was accepted, and PPP begins.
    CallUp,
    /// LCP was agreed; only the more talkative levels tell.
    LcpUp,
    /// The caller did not answer LCP Configure-Requests.
    LcpTimeout,
    /// The caller proved who it is.
    AuthSuccess,
    /// The caller did not prove who it is, or would not.
    AuthFailure,
    /// MPPE is on.
    MppeUp,
    /// MPPE or CCP could not be agreed or kept up.
    MppeFailure,
    /// IPCP could not be agreed, or there was no address to give.
    AddressFailure,
    /// The session is open: the caller has an address.
    SessionUp,
    /// LCP, CCP or IPCP of an open session was negotiated again.
    Renegotiated,
    /// LCP echoes stayed unanswered.
    EchoTimeout,
    /// A session that was open is over.
    SessionDown {
        /// Why.
        cause: TerminateCause,
    },
    /// A call that never became a session is over.
    CallFailed {
        /// How far it came.
        phase: Phase,
        /// Why.
        reason: Reason,
    },
    /// A RADIUS server was silent, or what it said could not be trusted.
    RadiusError,
    /// GRE could not be sent or received.
    GreError,
    /// The kernel drops packets because its table of connections is full.
    ConntrackFull,
    /// The kernel says that something of PPTP, PPP or MPPE goes wrong.
    KernelError,
}

impl What {
    /// Number of kinds.
    pub const KINDS: usize = 23;

    /// Labels in the order of [`What::index`]: at most 19 characters, as
    /// `--threshold`, perfdata and `event.action` have them.
    pub const LABELS: [&'static str; Self::KINDS] = [
        "server_starts",
        "server_stops",
        "control_accepted",
        "control_refused",
        "control_closed",
        "pool_exhausted",
        "calls",
        "lcp_up",
        "lcp_timeouts",
        "auth_successes",
        "auth_failures",
        "mppe_up",
        "mppe_failures",
        "address_failures",
        "sessions_opened",
        "renegotiations",
        "echo_timeouts",
        "sessions_ended",
        "calls_failed",
        "radius_errors",
        "gre_errors",
        "conntrack_full",
        "kernel_errors",
    ];

    /// Place of its kind, below [`What::KINDS`].
    pub fn index(self) -> usize {
        match self {
            Self::ServerUp => 0,
            Self::ServerDown => 1,
            Self::ControlUp => 2,
            Self::ControlRefused => 3,
            Self::ControlDown => 4,
            Self::PoolExhausted => 5,
            Self::CallUp => 6,
            Self::LcpUp => 7,
            Self::LcpTimeout => 8,
            Self::AuthSuccess => 9,
            Self::AuthFailure => 10,
            Self::MppeUp => 11,
            Self::MppeFailure => 12,
            Self::AddressFailure => 13,
            Self::SessionUp => 14,
            Self::Renegotiated => 15,
            Self::EchoTimeout => 16,
            Self::SessionDown { .. } => 17,
            Self::CallFailed { .. } => 18,
            Self::RadiusError => 19,
            Self::GreError => 20,
            Self::ConntrackFull => 21,
            Self::KernelError => 22,
        }
    }

    /// Label of its kind.
    pub fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }
}

/// What is known of one control connection and what stands on it. Octets are
/// those of the log, cut to [`LONGEST`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// Counts up within one reader.
    pub number: u64,
    /// Process of the control connection; of accel-ppp none.
    pub control_pid: Option<u32>,
    /// pppd's process.
    pub ppp_pid: Option<u32>,
    /// Address the caller comes from.
    pub peer: Option<IpAddr>,
    /// Name the caller gave; empty if not known. Proved if `authenticated`.
    pub user: Box<[u8]>,
    /// Interface name; empty if not known.
    pub if_name: Box<[u8]>,
    /// Address given to the caller.
    pub assigned: Option<Ipv4Addr>,
    /// How the caller proved who it is.
    pub method: Option<AuthMethod>,
    /// Whether the caller proved who it is.
    pub authenticated: bool,
    /// How the session is encrypted.
    pub encryption: Option<Encryption>,
    /// Whether MPPE changes its key with each packet (RFC 3078, section 2.1).
    pub stateless: Option<bool>,
    /// When the first entry of it was written.
    pub started: Option<Stamp>,
    /// When the caller got its address; `None` before.
    pub opened: Option<Stamp>,
    /// Octets sent to the caller, at the end.
    pub sent: Option<u64>,
    /// Octets received from the caller, at the end.
    pub received: Option<u64>,
    /// Times it was negotiated again.
    pub renegotiations: u16,
}

/// Octets of a name that are kept.
pub const LONGEST: usize = 255;

/// Something that a log tells.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// When, by the entry's stamp, or by that of the entry before.
    pub at: Stamp,
    /// What.
    pub what: What,
    /// Who said so.
    pub program: Program,
    /// Host that said so; empty where the log does not tell.
    pub host: &'a [u8],
    /// Process that said so.
    pub pid: Option<u32>,
    /// The session it belongs to, with all that is known of it by now.
    pub session: Option<&'a Session>,
    /// Whom it concerns, also without a session; empty if not known.
    pub user: &'a [u8],
    /// From where, also without a session.
    pub peer: Option<IpAddr>,
    /// The message of the entry.
    pub message: &'a [u8],
}
