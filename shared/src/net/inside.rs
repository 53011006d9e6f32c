//! What a user does inside an open tunnel: [`Way`] over a [`Tunnel`] and a
//! [`Stack`], for tasks of one thread.
//!
//! [`Inside`] is a handle; the session behind it is moved by
//! [`drive`](super::driver::drive). When the session ends, whoever waits is
//! told at once.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, State};
use smoltcp::wire::{IpAddress, IpEndpoint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::driver::Driven;
use super::gre::Fragments;
use super::way::{Acknowledged, Answer, Heard, Pinger, Segments, Way, now};
use crate::proto::stack::{self, EchoAnswer, Echoed, Stack};
use crate::proto::tunnel::{Seen, Tunnel};
use crate::wire::ip::{Datagram, Icmp, PROTOCOL_ICMP, unreachable_name};

/// The largest datagram sent: with MPPE, PPP, GRE and IP around it, it fills
/// an Ethernet frame.
const MTU: u16 = 1_456;
/// Answers to echoes that nobody took yet; what comes then is dropped.
const MAILBOX: usize = 1_024;
/// Octets of an echo before its data: the IPv4 and the ICMP header.
const ECHO_HEADERS: usize = 28;

/// The session that tasks share.
pub struct Session {
    tunnel: Tunnel,
    seed: u64,
    stack: Option<Stack>,
    next_identifier: u16,
    mailboxes: BTreeMap<u16, Mailbox>,
    /// Which echo went out under which identifier of LCP.
    link_echoes: Box<[Option<(u16, u16)>; 256]>,
    over: bool,
    /// Packets over GRE, and control Echo-Replies, that were there at the last
    /// pump.
    arrived: (u64, usize),
    changed: Rc<Notify>,
}

/// Where the answers to somebody's echoes wait for him.
#[derive(Default)]
struct Mailbox {
    heard: VecDeque<Heard>,
    waker: Option<Waker>,
}

impl Mailbox {
    fn put(&mut self, heard: Heard) {
        if self.heard.len() < MAILBOX {
            self.heard.push_back(heard);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Session {
    fn hear(&mut self, echoed: Echoed, at: Instant) {
        let Echoed { from, identifier, sequence, answer } = echoed;
        let answer = match answer {
            EchoAnswer::Reply(length) => Answer::Reply { length },
            EchoAnswer::Unreachable(4, mtu) => Answer::TooBig { from, mtu },
            EchoAnswer::Unreachable(code, _) => Answer::Unreachable { from, code },
        };
        if let Some(mailbox) = self.mailboxes.get_mut(&identifier) {
            mailbox.put(Heard { at, sequence, answer });
        }
    }

    /// The tunnel is not open any more: nobody shall wait for it.
    fn end(&mut self) {
        self.over = true;
        if let Some(stack) = &mut self.stack {
            stack.abort();
        }
        for mailbox in self.mailboxes.values_mut() {
            if let Some(waker) = mailbox.waker.take() {
                waker.wake();
            }
        }
        self.changed.notify_waiters();
    }
}

impl Driven for Session {
    fn tunnel(&mut self) -> &mut Tunnel {
        &mut self.tunnel
    }

    fn pump(&mut self, now: Instant) {
        let arrived = (self.tunnel.gre_packets(), self.tunnel.control_replies());
        if arrived != self.arrived {
            self.arrived = arrived;
            self.changed.notify_waiters();
        }
        if !self.tunnel.is_open() {
            if self.tunnel.is_closing() && !self.over {
                self.end();
            }
            return;
        }
        if self.stack.is_none()
            && let Some((address, _)) = self.tunnel.addresses()
        {
            let mtu = self.tunnel.negotiated_mtu().min(MTU);
            self.stack = Some(Stack::new(address, mtu, self.seed, now));
            self.changed.notify_waiters();
        }
        while let Some((identifier, length)) = self.tunnel.poll_link_echo() {
            if let Some((to, sequence)) = self.link_echoes[usize::from(identifier)]
                && let Some(mailbox) = self.mailboxes.get_mut(&to)
            {
                mailbox.put(Heard { at: now, sequence, answer: Answer::Reply { length } });
            }
        }
        while let Some(octets) = self.tunnel.poll_datagram() {
            let echoed = self.stack.as_mut().and_then(|stack| stack.handle_datagram(octets));
            if let Some(echoed) = echoed {
                self.hear(echoed, now);
            }
        }
        if let Some(stack) = &mut self.stack {
            stack.poll(self.tunnel.room(), now);
            while let Some(datagram) = stack.poll_transmit() {
                self.tunnel.send_datagram(&datagram, now);
            }
        }
    }

    fn pump_at(&mut self, now: Instant) -> Option<Instant> {
        // Without room, acknowledgements or their time-out make some.
        let stack = self.stack.as_mut().filter(|_| !self.over && self.tunnel.room() > 0)?;
        stack.poll_timeout(now)
    }
}

/// A handle to the session.
#[derive(Clone)]
pub struct Inside {
    session: Rc<RefCell<Session>>,
    woken: Rc<Notify>,
    changed: Rc<Notify>,
    fragments: Option<Fragments>,
}

impl Inside {
    /// A session that was not driven yet; `seed` is random, `fragments` belongs
    /// to the socket that it will use.
    pub fn new(tunnel: Tunnel, seed: u64, fragments: Option<Fragments>) -> Self {
        let changed = Rc::new(Notify::new());
        let session = Session {
            tunnel,
            seed,
            stack: None,
            next_identifier: (seed >> 32) as u16,
            mailboxes: BTreeMap::new(),
            link_echoes: Box::new([None; 256]),
            over: false,
            arrived: (0, 0),
            changed: changed.clone(),
        };
        let session = Rc::new(RefCell::new(session));
        Self { session, woken: Rc::new(Notify::new()), changed, fragments }
    }

    /// What the driver needs: the session, and what wakes it.
    pub fn parts(&self) -> (&RefCell<Session>, &Notify) {
        (&self.session, &self.woken)
    }

    /// The switch for fragmentation of GRE.
    pub fn fragments(&self) -> Option<Fragments> {
        self.fragments.clone()
    }

    /// What the session showed so far, and when its goal was reached or missed.
    pub fn seen(&self) -> (Seen, Option<Instant>) {
        let mut session = self.session.borrow_mut();
        (session.tunnel.seen(), session.tunnel.ended_at())
    }

    /// What came out of the tunnel beside what was wanted.
    pub fn counters(&self) -> stack::Counters {
        self.session.borrow().stack.as_ref().map_or_else(Default::default, Stack::counters)
    }

    /// Waits until the tunnel is open, or false when it never will be again.
    pub async fn opened(&self) -> bool {
        self.until(|session| session.over || session.stack.is_some()).await;
        !self.session.borrow().over
    }

    /// Waits until the tunnel is over.
    pub async fn closed(&self) {
        self.until(|session| session.over).await;
    }

    /// Waits for something that only what arrives, or the end, can bring about.
    async fn until(&self, reached: impl Fn(&Session) -> bool) {
        loop {
            let changed = self.changed.notified();
            if reached(&self.session.borrow()) {
                return;
            }
            changed.await;
        }
    }

    /// The inner addresses: ours and the gateway's, while there are some.
    pub fn addresses(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        self.session.borrow().tunnel.addresses()
    }

    /// Does something with the tunnel and has the result sent.
    pub fn with_tunnel<R>(&self, act: impl FnOnce(&mut Tunnel, Instant) -> R) -> R {
        let result = act(&mut self.session.borrow_mut().tunnel, now());
        self.woken.notify_one();
        result
    }

    /// Sends a control Echo-Request; true when its reply comes before `until`.
    pub async fn control_echo(&self, until: Instant) -> bool {
        let before = self.with_tunnel(|tunnel, now| {
            tunnel.send_control_echo(now);
            tunnel.control_replies()
        });
        let is_answered = |session: &Session| session.tunnel.control_replies() > before;
        let reached = self.until(|session| session.over || is_answered(session));
        let _ = timeout_at(until.into(), reached).await;
        is_answered(&self.session.borrow())
    }

    /// The user has seen enough: the session says good-bye.
    pub fn finish(&self) {
        self.with_tunnel(Tunnel::finish);
    }

    /// The stack, while the tunnel stands.
    fn stack(&self) -> io::Result<RefMut<'_, Stack>> {
        let session = self.session.borrow_mut();
        if session.over {
            return Err(gone());
        }
        RefMut::filter_map(session, |session| session.stack.as_mut()).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the tunnel is gone")
}

/// What ICMP told about a port of ours.
fn refusal((code, from): (u8, Ipv4Addr)) -> io::Error {
    // Port unreachable is for UDP what a reset is for TCP.
    let kind = if code == 3 { ErrorKind::ConnectionRefused } else { ErrorKind::HostUnreachable };
    io::Error::new(kind, format!("{from} says: {}", unreachable_name(code)))
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no answer in time")
}

fn crowded() -> io::Error {
    io::Error::new(ErrorKind::QuotaExceeded, "too many connections at one time")
}

impl Way for Inside {
    type Stream = TcpStream;
    type Pinger = EchoPinger;

    async fn connect(
        &self,
        to: SocketAddrV4,
        buffer: usize,
        until: Instant,
    ) -> io::Result<TcpStream> {
        let stream = {
            let mut stack = self.stack()?;
            let handle = stack.connect(to, buffer).ok_or_else(crowded)?;
            let port = stack.tcp(handle).local_endpoint().map_or(0, |local| local.port);
            TcpStream { inside: self.clone(), handle, port }
        };
        self.woken.notify_one();
        let established = poll_fn(|cx| {
            let mut stack = match self.stack() {
                Ok(stack) => stack,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let refused = stack.refused(stream.port);
            let socket = stack.tcp(stream.handle);
            match socket.state() {
                State::SynSent | State::SynReceived => {
                    socket.register_send_waker(cx.waker());
                    Poll::Pending
                }
                State::Closed => Poll::Ready(Err(refused.map_or_else(
                    || io::Error::new(ErrorKind::ConnectionRefused, "connection refused"),
                    refusal,
                ))),
                _ => Poll::Ready(Ok(())),
            }
        });
        timeout_at(until.into(), established).await.map_err(|_| late())??;
        Ok(stream)
    }

    async fn ask(
        &self,
        to: SocketAddrV4,
        question: &[u8],
        wanted: impl Fn(&[u8]) -> bool,
        until: Instant,
    ) -> io::Result<Vec<u8>> {
        let to = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
        let socket = {
            let mut stack = self.stack()?;
            let handle = stack.bind_udp().ok_or_else(crowded)?;
            let port = stack.udp(handle).endpoint().port;
            let sent = stack.udp(handle).send_slice(question, to);
            sent.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error.to_string()))?;
            UdpPort { inside: self, handle, port }
        };
        self.woken.notify_one();
        let answer = poll_fn(|cx| {
            let mut stack = match self.stack() {
                Ok(stack) => stack,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if let Some(refused) = stack.refused(socket.port) {
                return Poll::Ready(Err(refusal(refused)));
            }
            let udp = stack.udp(socket.handle);
            while let Ok((octets, meta)) = udp.recv() {
                if meta.endpoint == to && wanted(octets) {
                    return Poll::Ready(Ok(octets.to_vec()));
                }
            }
            udp.register_recv_waker(cx.waker());
            Poll::Pending
        });
        timeout_at(until.into(), answer).await.map_err(|_| late())?
    }

    fn pinger(&self, to: Option<Ipv4Addr>) -> EchoPinger {
        let mut session = self.session.borrow_mut();
        let identifier = session.next_identifier;
        session.next_identifier = identifier.wrapping_add(1);
        session.mailboxes.insert(identifier, Mailbox::default());
        EchoPinger { inside: self.clone(), to, identifier }
    }
}

/// A UDP socket that closes with its value.
struct UdpPort<'a> {
    inside: &'a Inside,
    handle: SocketHandle,
    port: u16,
}

impl Drop for UdpPort<'_> {
    fn drop(&mut self) {
        if let Some(stack) = &mut self.inside.session.borrow_mut().stack {
            stack.remove(self.handle, self.port);
        }
    }
}

/// A TCP connection through the tunnel.
pub struct TcpStream {
    inside: Inside,
    handle: SocketHandle,
    port: u16,
}

impl Segments for TcpStream {
    fn peer_mss(&self) -> u16 {
        self.inside.stack().map_or(0, |stack| stack.peer_mss(self.port))
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = {
            let mut stack = self.inside.stack()?;
            let socket = stack.tcp(self.handle);
            match socket.recv_slice(buffer.initialize_unfilled()) {
                Ok(0) if buffer.remaining() > 0 => {
                    socket.register_recv_waker(cx.waker());
                    return Poll::Pending;
                }
                Ok(length) => length,
                Err(RecvError::Finished) => return Poll::Ready(Ok(())),
                Err(RecvError::InvalidState) => {
                    let text = "connection reset by the other side";
                    return Poll::Ready(Err(io::Error::new(ErrorKind::ConnectionReset, text)));
                }
            }
        };
        buffer.advance(read);
        // There is room again, which the other side may want to know.
        self.inside.woken.notify_one();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = {
            let mut stack = self.inside.stack()?;
            let socket = stack.tcp(self.handle);
            match socket.send_slice(octets) {
                Ok(0) if !octets.is_empty() => {
                    socket.register_send_waker(cx.waker());
                    return Poll::Pending;
                }
                Ok(length) => length,
                Err(_) => {
                    let text = "connection closed by the other side";
                    return Poll::Ready(Err(io::Error::new(ErrorKind::BrokenPipe, text)));
                }
            }
        };
        self.inside.woken.notify_one();
        Poll::Ready(Ok(written))
    }

    /// What was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Ok(mut stack) = self.inside.stack() {
            stack.tcp(self.handle).close();
        }
        self.inside.woken.notify_one();
        Poll::Ready(Ok(()))
    }
}

impl Drop for TcpStream {
    /// What still stands is reset.
    fn drop(&mut self) {
        let mut session = self.inside.session.borrow_mut();
        let Session { tunnel, stack: Some(stack), over, .. } = &mut *session else { return };
        if stack.tcp(self.handle).is_active() && !*over {
            let now = now();
            stack.tcp(self.handle).abort();
            stack.poll(tunnel.room(), now);
            while let Some(datagram) = stack.poll_transmit() {
                tunnel.send_datagram(&datagram, now);
            }
        }
        stack.remove(self.handle, self.port);
        self.inside.woken.notify_one();
    }
}

/// Echoes through the tunnel, or of LCP beside it.
pub struct EchoPinger {
    inside: Inside,
    to: Option<Ipv4Addr>,
    identifier: u16,
}

impl Pinger for EchoPinger {
    async fn ready(&mut self, until: Instant) {
        let reached = |session: &Session| session.over || session.tunnel.carries_datagrams();
        let _ = timeout_at(until.into(), self.inside.until(reached)).await;
    }

    fn send(&mut self, sequence: u16, length: usize) -> Instant {
        let now = now();
        let mut session = self.inside.session.borrow_mut();
        let session = &mut *session;
        match (self.to, session.tunnel.addresses()) {
            (Some(destination), Some((source, _))) => {
                const FILL: &[u8] = b"pptp-monitor ";
                let fill = FILL.iter().copied().cycle();
                let data: Vec<u8> = fill.take(length.saturating_sub(ECHO_HEADERS)).collect();
                let identifier = self.identifier;
                let payload = Icmp::Echo { reply: false, identifier, sequence, data: &data }.emit();
                let protocol = PROTOCOL_ICMP;
                let datagram = Datagram { source, destination, protocol, payload: &payload };
                session.tunnel.send_datagram(&datagram.emit(), now);
            }
            (None, _) => {
                if let Some(identifier) = session.tunnel.send_link_echo(length, now) {
                    let place = &mut session.link_echoes[usize::from(identifier)];
                    *place = Some((self.identifier, sequence));
                }
            }
            // The gateway took the address back and negotiates.
            (Some(_), None) => {}
        }
        self.inside.woken.notify_one();
        now
    }

    async fn heard(&mut self, until: Instant) -> Option<Heard> {
        let next = poll_fn(|cx| {
            let mut session = self.inside.session.borrow_mut();
            let over = session.over;
            let Some(mailbox) = session.mailboxes.get_mut(&self.identifier) else {
                return Poll::Ready(None);
            };
            match mailbox.heard.pop_front() {
                Some(heard) => Poll::Ready(Some(heard)),
                None if over => Poll::Ready(None),
                None => {
                    mailbox.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        });
        timeout_at(until.into(), next).await.ok().flatten()
    }
}

impl Drop for EchoPinger {
    fn drop(&mut self) {
        self.inside.session.borrow_mut().mailboxes.remove(&self.identifier);
    }
}

/// LCP Discard-Requests, which nobody answers but GRE acknowledges.
pub struct Discards {
    inside: Inside,
}

impl Discards {
    /// Through this tunnel.
    pub fn new(inside: &Inside) -> Self {
        Self { inside: inside.clone() }
    }
}

impl Acknowledged for Discards {
    fn send(&mut self, length: usize) -> Option<u32> {
        self.inside.with_tunnel(|tunnel, now| tunnel.send_discard_like(length, now))
    }

    async fn acknowledged(&mut self, sequence: u32, until: Instant) -> bool {
        let reached = |session: &Session| session.over || session.tunnel.is_acknowledged(sequence);
        let arrived = timeout_at(until.into(), self.inside.until(reached)).await.is_ok();
        arrived && !self.inside.session.borrow().over
    }
}
