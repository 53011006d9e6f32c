//! Netlink sockets: whole tables at once, and what changes from then on. What
//! the octets say is the business of [`wire::netlink`].
//!
//! Only the kernel is listened to. A dump ends at a deadline and at a number
//! of entries, whatever comes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::netlink::{NETFILTER, SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, sendto,
    socket_with,
};

use crate::wire;
use crate::wire::netlink::{DONE, DUMP_INTERRUPTED, ERROR, Message};

/// Octets of a datagram: twice what the kernel puts into one.
const DATAGRAM: usize = 64 << 10;
/// A dump takes no longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries taken of a dump; gateways have fewer.
const MOST: usize = 1 << 20;
/// Times a dump is read while its table changes below it. Where it always
/// does, the last reading is good enough.
const READINGS: u32 = 3;
/// Octets of events that may wait, as far as the system lets us.
const WAITING: usize = 4 << 20;

/// The part of the kernel that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Interfaces and addresses, rtnetlink(7).
    Route,
    /// Sockets, sock_diag(7).
    SockDiag,
    /// Connection tracking. Asking needs CAP_NET_ADMIN.
    Netfilter,
}

/// The entries that `parse` makes of the answer to `request`, which is a dump
/// with sequence number 1.
///
/// # Errors
/// The kernel's; `TimedOut`; `InvalidData` when `parse` fails or there is no
/// end of it.
pub fn dump<T>(
    protocol: Protocol,
    request: &[u8],
    mut parse: impl FnMut(&Message) -> wire::Result<Option<T>>,
) -> io::Result<Vec<T>> {
    let mut reading = 1;
    loop {
        let deadline = Instant::now() + PATIENCE;
        let mut socket = Socket::open(protocol, 0)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        sendto(&socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut dump = Dump::new();
        while !dump.ended {
            if Instant::now() >= deadline {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            match socket.receive(RecvFlags::empty()) {
                Ok(octets) => dump.take(octets, &mut parse)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::from(io::ErrorKind::TimedOut));
                }
                Err(error) => return Err(error),
            }
        }
        if !dump.interrupted || reading == READINGS {
            return Ok(dump.entries);
        }
        reading += 1;
    }
}

/// The same from recorded datagrams of one or more answers, in a row.
///
/// # Errors
/// As those of [`dump`]; `UnexpectedEof` when the end is missing.
pub fn recorded<T>(
    octets: &[u8],
    parse: impl FnMut(&Message) -> wire::Result<Option<T>>,
) -> io::Result<Vec<T>> {
    let mut dump = Dump::new();
    dump.take(octets, parse)?;
    match dump.ended {
        true => Ok(dump.entries),
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

/// A socket that the kernel sends what changes.
#[derive(Debug)]
pub struct Subscription(Socket);

impl Subscription {
    /// `groups` is a bit for each group of rtnetlink(7), the first bit for
    /// number 1.
    ///
    /// # Errors
    /// Those of socket and bind.
    pub fn open(groups: u32) -> io::Result<Self> {
        let socket = Socket::open(Protocol::Route, groups)?;
        // As much as net.core.rmem_max lets us; what does not fit is noticed.
        let _ = set_socket_recv_buffer_size(&socket, WAITING);
        Ok(Self(socket))
    }

    /// The next datagram; `None` when there is none yet.
    ///
    /// # Errors
    /// ENOBUFS when some were lost; others of recv.
    pub fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        match self.0.receive(RecvFlags::DONTWAIT) {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    buffer: Box<[u8]>,
}

impl Socket {
    fn open(protocol: Protocol, groups: u32) -> io::Result<Self> {
        let number = match protocol {
            Protocol::Route => None,
            Protocol::SockDiag => Some(SOCK_DIAG),
            Protocol::Netfilter => Some(NETFILTER),
        };
        let fd =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, number)?;
        bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd, buffer: vec![0; DATAGRAM].into_boxed_slice() })
    }

    /// The next datagram of the kernel. One that does not fit counts as lost.
    fn receive(&mut self, flags: RecvFlags) -> io::Result<&[u8]> {
        loop {
            let received = recvfrom(&self.fd, &mut *self.buffer, flags | RecvFlags::TRUNC);
            let (_, length, from) = match received {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            if from.is_none_or(|from| from.pid() != 0) {
                continue;
            }
            let lost = io::Error::from(rustix::io::Errno::NOBUFS);
            return self.buffer.get(..length).ok_or(lost);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a dump has brought so far.
struct Dump<T> {
    entries: Vec<T>,
    interrupted: bool,
    ended: bool,
}

impl<T> Dump<T> {
    fn new() -> Self {
        Self { entries: Vec::new(), interrupted: false, ended: false }
    }

    fn take(
        &mut self,
        mut octets: &[u8],
        mut parse: impl FnMut(&Message) -> wire::Result<Option<T>>,
    ) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while !octets.is_empty() {
            let (message, rest) = Message::parse(octets).map_err(invalid)?;
            octets = rest;
            self.interrupted |= message.flags & DUMP_INTERRUPTED != 0;
            match message.kind {
                DONE | ERROR => match message.error_number().map_err(invalid)? {
                    0 => self.ended = true,
                    number => return Err(io::Error::from_raw_os_error(number.wrapping_neg())),
                },
                _ if self.entries.len() == MOST => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "too many entries"));
                }
                _ => self.entries.extend(parse(&message).map_err(invalid)?),
            }
        }
        Ok(())
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const LINKS: &[u8] =
        include_bytes!("../../../tests/fixtures/gateway/poptop-netlink/net/links.netlink");
    /// The message that ends the recorded dump.
    const END: usize = 20;

    fn kinds(octets: &[u8]) -> io::Result<Vec<u16>> {
        recorded(octets, |message| Ok(Some(message.kind)))
    }

    #[test]
    fn recorded_dump_has_an_end() {
        assert_eq!(kinds(LINKS).unwrap(), [16, 16, 16]);
        let endless = &LINKS[..LINKS.len() - END];
        assert_eq!(kinds(endless).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn dump_that_ends_with_an_error_is_that_error() {
        let mut octets = LINKS.to_vec();
        let at = octets.len() - 4;
        octets[at..].copy_from_slice(&(-1_i32).to_ne_bytes());
        let error = kinds(&octets).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        // The same as a refusal in place of a dump.
        let mut refusal = octets[octets.len() - END..].to_vec();
        refusal[4] = 2;
        assert_eq!(kinds(&refusal).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn table_that_changed_meanwhile_is_noticed() {
        for (flag, interrupted) in [(0, false), (0x10, true)] {
            let mut octets = LINKS.to_vec();
            octets[6] |= flag;
            let mut dump = Dump::new();
            dump.take(&octets, |_| Ok(Some(()))).unwrap();
            assert_eq!((dump.interrupted, dump.ended), (interrupted, true));
        }
    }

    #[test]
    fn cut_or_refused_messages_are_errors() {
        let cut = &LINKS[..LINKS.len() - 1];
        assert_eq!(kinds(cut).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let refuse = |_: &Message| -> wire::Result<Option<()>> {
            Err(wire::Error::BadLength { what: "test", length: 0 })
        };
        assert_eq!(recorded(LINKS, refuse).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
