//! Carries packets and time between an [`Exchange`] and one port of a RADIUS
//! server: over UDP, over TCP (RFC 6613) or over TLS (RFC 6614).
//!
//! A UDP socket is connected, so that the kernel brings ICMP errors and lets
//! nobody else's packets through. Once something had to be sent again, a second
//! socket on the same port shows what comes from elsewhere.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

use super::pcap::Direction;
use super::tap::Tap;
use super::tls;
use crate::proto::radius::exchange::{Exchange, Unreachable};
use crate::reason::Reason;
use crate::wire::radius::{Framer, MAX_LENGTH};

/// Datagrams that are read before the clock is looked at again.
const BURST: usize = 32;

/// A stream to a server.
pub trait Stream: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Stream for T {}

/// The way to one port of a server.
pub struct Transport {
    local: SocketAddr,
    peer: SocketAddr,
    link: Link,
}

enum Link {
    Datagrams { socket: UdpSocket, strays: Option<Strays> },
    Stream { stream: Pin<Box<dyn Stream>>, framer: Framer },
}

/// What comes from elsewhere.
struct Strays {
    socket: UdpSocket,
    buffer: Box<[u8]>,
}

impl Transport {
    /// A UDP socket for one server, sending from `source` if that is given.
    ///
    /// # Errors
    /// The system's; without a route that is `NetworkUnreachable`.
    pub fn udp(peer: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&peer.into())?;
        // Also the ICMP errors that the kernel takes for passing ones.
        let _ = match peer {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
        };
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { local, peer, link: Link::Datagrams { socket, strays: None } })
    }

    /// A stream that is connected.
    pub fn stream(stream: impl Stream + 'static, local: SocketAddr, peer: SocketAddr) -> Self {
        let link = Link::Stream { stream: Box::pin(stream), framer: Framer::default() };
        Self { local, peer, link }
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Drives an exchange to its end, at the latest until `deadline`.
    pub async fn drive(
        &mut self,
        exchange: &mut Exchange,
        deadline: Instant,
        stop: &Stop,
        tap: &RefCell<&mut Tap>,
    ) {
        let mut buffer = buffer();
        loop {
            let is_stuck = tokio::select! {
                // A server that reads nothing holds up a stream for ever.
                biased;
                () = self.transmit(exchange, tap) => false,
                () = stop.requested() => { exchange.abort(); true }
                () = sleep_until(deadline.into()) => { exchange.expire(Instant::now()); true }
            };
            if is_stuck || exchange.is_finished() {
                return;
            }
            let wake = exchange.poll_timeout().map_or(deadline, |at| at.min(deadline));
            let received = tokio::select! {
                // In this order: what has come spares setting the timer.
                biased;
                () = stop.requested() => { exchange.abort(); None }
                received = self.receive(&mut buffer) => Some(received),
                () = sleep_until(wake.into()) => None,
            };
            let now = Instant::now();
            if now >= deadline {
                exchange.expire(now);
            }
            if let Some(received) = received {
                self.hand_over(received, exchange, &mut buffer, now, tap);
            }
            exchange.handle_timeout(now);
            if exchange.wants_strays() {
                self.widen();
            }
        }
    }

    async fn transmit(&mut self, exchange: &mut Exchange, tap: &RefCell<&mut Tap>) {
        let now = Instant::now();
        let (local, peer) = (self.local, self.peer);
        while let Some(octets) = exchange.poll_transmit() {
            tap.borrow_mut().radius(Direction::Sent, octets, local, peer, now);
            let mut earlier = None;
            let sent = match &mut self.link {
                Link::Datagrams { socket, .. } => match socket.send(octets).await {
                    // An ICMP error that came before; the packet was not sent.
                    Err(error) if unreachable(&error).is_some() => {
                        earlier = unreachable(&error);
                        socket.send(octets).await.map(drop)
                    }
                    sent => sent.map(drop),
                },
                // One packet in a record of TLS: FreeRADIUS takes no more.
                Link::Stream { stream, .. } => match stream.write_all(octets).await {
                    Ok(()) => stream.flush().await,
                    error => error,
                },
            };
            if let Some(what) = earlier {
                exchange.handle_unreachable(what, now);
            }
            if let Err(error) = sent {
                self.report(&error, exchange, now);
            }
        }
    }

    /// The first thing that comes.
    async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        match &mut self.link {
            Link::Datagrams { socket, strays: None } => {
                socket.recv(buffer).await.map(Received::Octets)
            }
            Link::Datagrams { socket, strays: Some(strays) } => {
                // Not by `readable`, which an ICMP error does not wake.
                tokio::select! {
                    received = socket.recv(buffer) => received.map(Received::Octets),
                    received = strays.socket.recv_from(&mut strays.buffer) => {
                        let (length, from) = received?;
                        Ok(Received::Stray(strays.buffer[..length].to_vec(), from))
                    }
                }
            }
            Link::Stream { stream, .. } => stream.read(buffer).await.map(Received::Octets),
        }
    }

    fn hand_over(
        &mut self,
        received: io::Result<Received>,
        exchange: &mut Exchange,
        buffer: &mut [u8],
        now: Instant,
        tap: &RefCell<&mut Tap>,
    ) {
        let (local, peer) = (self.local, self.peer);
        let tapped = |octets: &[u8], from| {
            tap.borrow_mut().radius(Direction::Received, octets, local, from, now);
        };
        match (received, &mut self.link) {
            (Err(error), _) => self.report(&error, exchange, now),
            (Ok(Received::Stray(octets, from)), _) => {
                tapped(&octets, from);
                exchange.handle_stray(&octets, from);
            }
            (Ok(Received::Octets(length)), Link::Datagrams { socket, .. }) => {
                tapped(&buffer[..length], peer);
                exchange.handle_input(&buffer[..length], now);
                for _ in 1..BURST {
                    let Ok(length) = socket.try_recv(buffer) else { break };
                    tapped(&buffer[..length], peer);
                    exchange.handle_input(&buffer[..length], now);
                }
            }
            (Ok(Received::Octets(0)), Link::Stream { .. }) => exchange.handle_closed(),
            (Ok(Received::Octets(length)), Link::Stream { framer, .. }) => {
                framer.push(&buffer[..length]);
                loop {
                    match framer.next_packet() {
                        Ok(Some(packet)) => {
                            tapped(&packet, peer);
                            exchange.handle_input(&packet, now);
                        }
                        Ok(None) => break,
                        Err(error) => {
                            let detail = format!("no RADIUS in the stream: {error}");
                            exchange.handle_broken(Reason::Malformed, detail);
                            break;
                        }
                    }
                }
            }
        }
    }

    fn report(&self, error: &io::Error, exchange: &mut Exchange, now: Instant) {
        match &self.link {
            Link::Stream { .. } if error.kind() == io::ErrorKind::InvalidData => {
                let (reason, detail) = tls::describe_error(error);
                exchange.handle_broken(reason, detail);
            }
            Link::Stream { .. } => exchange.handle_closed(),
            Link::Datagrams { .. } => {
                let what = unreachable(error).unwrap_or(Unreachable::Host);
                exchange.handle_unreachable(what, now);
            }
        }
    }

    /// Opens the second socket. It is a help for the diagnosis; without it the
    /// run goes on.
    fn widen(&mut self) {
        let Link::Datagrams { socket, strays: strays @ None } = &mut self.link else { return };
        let second = || -> io::Result<UdpSocket> {
            SockRef::from(&*socket).set_reuse_address(true)?;
            let second = Socket::new(Domain::for_address(self.local), Type::DGRAM, None)?;
            second.set_nonblocking(true)?;
            second.set_reuse_address(true)?;
            second.bind(&self.local.into())?;
            UdpSocket::from_std(second.into())
        };
        *strays = second().ok().map(|socket| Strays { socket, buffer: buffer() });
    }
}

/// For the longest packet, and an octet that tells that there is more.
fn buffer() -> Box<[u8]> {
    vec![0; MAX_LENGTH + 1].into_boxed_slice()
}

enum Received {
    Octets(usize),
    Stray(Vec<u8>, SocketAddr),
}

fn unreachable(error: &io::Error) -> Option<Unreachable> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Unreachable::Port),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        // Administratively prohibited, by a router or by this host.
        | io::ErrorKind::PermissionDenied => Some(Unreachable::Host),
        _ => None,
    }
}

/// The wish that several runs side by side end.
#[derive(Debug, Default)]
pub struct Stop {
    is_requested: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Stop {
    /// Ends them.
    pub fn request(&self) {
        self.is_requested.set(true);
        self.wakers.take().into_iter().for_each(Waker::wake);
    }

    /// Waits until they shall end.
    pub async fn requested(&self) {
        poll_fn(|context| {
            if self.is_requested.get() {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::crypto::radius::SharedSecret;
    use crate::proto::radius::client::{Config, Retransmission, Signature};
    use crate::proto::radius::exchange::{Outcome, Task};
    use crate::secret::Secret;

    fn exchange(retransmission: Option<Retransmission>) -> Exchange {
        let config = Config {
            secret: SharedSecret::new(Secret::new(b"s".to_vec())),
            signature: Signature::Checked,
            retransmission,
            first_identifier: 1,
            jitter: 1,
        };
        let task = Task::Status { statistics: None, count: 1, parallel: 1 };
        Exchange::new(task, Vec::new(), config, Box::new(|| [7; 16]), Instant::now())
    }

    /// Drives it until it is finished; `connect` needs a runtime.
    fn driven(
        connect: impl FnOnce() -> Transport,
        mut exchange: Exchange,
        time: Duration,
        stop: &Stop,
    ) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut tap = Tap::new(Instant::now(), 0, None);
        runtime.block_on(async {
            let deadline = Instant::now() + time;
            connect().drive(&mut exchange, deadline, stop, &RefCell::new(&mut tap)).await;
        });
        exchange.into_outcome()
    }

    #[test]
    fn server_that_reads_nothing_keeps_nobody() {
        let reason = |time, stop: &Stop| {
            // Takes less than one packet, and there is nobody at the other end.
            let (ours, _theirs) = tokio::io::duplex(8);
            let end = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
            let connect = || Transport::stream(ours, end, end);
            driven(connect, exchange(None), time, stop).failure.unwrap().reason
        };
        let stop = Stop::default();
        assert_eq!(reason(Duration::ZERO, &stop), Reason::RadiusSilent);
        stop.request();
        assert_eq!(reason(Duration::from_secs(60), &stop), Reason::Interrupted);
    }

    #[test]
    fn icmp_error_is_heard_also_beside_strays() {
        // Bound and closed again: nothing listens there.
        let unused = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = unused.local_addr().unwrap();
        drop(unused);
        let once = Duration::from_millis(1);
        let again = Retransmission { initial: once, longest: Duration::from_secs(60) };
        let connect = || Transport::udp(peer, None).unwrap();
        let outcome =
            driven(connect, exchange(Some(again)), Duration::from_secs(60), &Stop::default());
        assert_eq!(outcome.failure.unwrap().reason, Reason::Refused);
        assert_eq!(outcome.retransmissions, 1, "the answer to the second packet is the second");
    }
}
