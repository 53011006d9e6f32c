//! What a user's traffic goes by: the open tunnel, or in a test anything else
//! that behaves like it. Everything that acts as a user would is written
//! against these traits.
//!
//! Times come from [`now`], so that tests run on the runtime's virtual clock.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::tcp;
use crate::reason::Reason;

/// The runtime's clock.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The reason and a sentence for an error of a TCP connection to `to`.
pub fn refusal(to: SocketAddrV4, error: &io::Error) -> (Reason, String) {
    match error.kind() {
        io::ErrorKind::NotConnected => (Reason::Closed, "the tunnel is gone".into()),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            (Reason::Closed, format!("{to} closed the connection"))
        }
        _ => tcp::refusal(to.into(), error),
    }
}

/// IPv4 as a user of the tunnel has it.
pub trait Way {
    /// A TCP connection. Dropped, it is reset.
    type Stream: AsyncRead + AsyncWrite + Unpin + Segments;
    /// Sends echoes and hears their answers.
    type Pinger: Pinger;

    /// Connects TCP from a port of our own, with buffers of so many octets
    /// each way.
    ///
    /// # Errors
    /// `ConnectionRefused` for a reset, `HostUnreachable` for an ICMP error
    /// (the text names its sender), `TimedOut` when `until` has passed,
    /// `NotConnected` when the tunnel is gone.
    fn connect(
        &self,
        to: SocketAddrV4,
        buffer: usize,
        until: Instant,
    ) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Sends one UDP datagram from a random port of our own and waits for one
    /// that comes from `to` and that `wanted` takes.
    ///
    /// # Errors
    /// As [`Way::connect`]; `ConnectionRefused` is ICMP port unreachable.
    fn ask(
        &self,
        to: SocketAddrV4,
        question: &[u8],
        wanted: impl Fn(&[u8]) -> bool,
        until: Instant,
    ) -> impl Future<Output = io::Result<Vec<u8>>>;

    /// Echoes to a host inside the tunnel, don't fragment, or with `None` LCP
    /// echoes to the gateway, which are never encrypted.
    fn pinger(&self, to: Option<Ipv4Addr>) -> Self::Pinger;
}

/// What a TCP connection learned about the size of segments.
pub trait Segments {
    /// The largest segment that the peer allowed us, in octets of payload;
    /// 536 where it said nothing (RFC 9293, section 3.7.1).
    fn peer_mss(&self) -> u16;
}

/// Echoes to one place.
pub trait Pinger {
    /// Waits until echoes can be sent, at the latest until `until`: while a
    /// gateway negotiates again they would be lost.
    fn ready(&mut self, _until: Instant) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Sends an echo; `length` counts the octets of the whole IPv4 datagram,
    /// at least 28, or those of the LCP packet, at least 8. Gives the time at
    /// which it left.
    fn send(&mut self, sequence: u16, length: usize) -> Instant;

    /// The next answer, in the order in which they came, duplicates included;
    /// `None` when `until` has passed or the tunnel is gone.
    fn heard(&mut self, until: Instant) -> impl Future<Output = Option<Heard>>;
}

/// An answer to an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When it arrived.
    pub at: Instant,
    /// Sequence number of the echo that it answers.
    pub sequence: u16,
    /// What it says.
    pub answer: Answer,
}

/// What an answer to an echo says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The echo came back whole.
    Reply {
        /// As in [`Pinger::send`].
        length: usize,
    },
    /// ICMP "fragmentation needed" (RFC 1191, section 4).
    TooBig {
        /// Who says so.
        from: Ipv4Addr,
        /// MTU of the next hop in octets, 0 where it is not told.
        mtu: u16,
    },
    /// ICMP "destination unreachable", any other code.
    Unreachable {
        /// Who says so.
        from: Ipv4Addr,
        /// The code, see [`unreachable_name`](crate::wire::ip::unreachable_name).
        code: u8,
    },
}

/// Frames to the gateway of which it is known whether they arrived: a peer
/// acknowledges GRE packets whatever is in them, LCP Discard-Requests for one
/// (RFC 2637, section 4; RFC 1661, section 5.9).
pub trait Acknowledged {
    /// Sends a frame as long as that of an IPv4 datagram of `length` octets;
    /// gives its sequence number, or nothing when the tunnel is gone.
    fn send(&mut self, length: usize) -> Option<u32>;

    /// Whether the frame with this sequence number is acknowledged, waited for
    /// until `until`; false at once when the tunnel is gone. An acknowledgement
    /// of a later packet counts too, so nothing else may be sent meanwhile.
    fn acknowledged(&mut self, sequence: u32, until: Instant) -> impl Future<Output = bool>;
}
