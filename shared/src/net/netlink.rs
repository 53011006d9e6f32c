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
