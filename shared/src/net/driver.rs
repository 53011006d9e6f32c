//! Carries octets and time between a [`Tunnel`] and its sockets, until it is
//! finished or its time is up. Whoever uses the tunnel meanwhile shares it
//! through a [`RefCell`] and wakes the driver by a [`Notify`].
//!
//! Two deadlines: at the first the run has missed its goal and begins the
//! farewell, at the second even the farewell is cut: what is left to say is
//! said at once. Whatever the peer does, between two looks at the clock only
//! a bounded number of octets is read.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::gre::{GreSocket, Input};
use super::interrupt::Interrupt;
use super::pcap::Direction;
use super::tap::Tap;
use crate::proto::tunnel::{Transmit, Tunnel};

/// Reads of the control connection before the clock is looked at again.
const BURST: usize = 16;
/// Octets that one read of the control connection takes.
const READ: usize = 2048;
/// Octets for the control connection that TCP did not take yet; a peer that
/// reads nothing gets no more.
const MAX_UNSENT: usize = 64 << 10;

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// The goal must be reached.
    pub goal: Instant,
    /// The farewell must be over.
    pub farewell: Instant,
}

/// A tunnel, alone or with what goes through it.
pub trait Driven {
    /// The tunnel.
    fn tunnel(&mut self) -> &mut Tunnel;

    /// Moves what arrived to whom it is for, and what they want sent into the
    /// tunnel.
    fn pump(&mut self, now: Instant);

    /// When [`Driven::pump`] is due although nothing came.
    fn pump_at(&mut self, now: Instant) -> Option<Instant>;
}

impl Driven for Tunnel {
    fn tunnel(&mut self) -> &mut Tunnel {
        self
    }

    fn pump(&mut self, _: Instant) {}

    fn pump_at(&mut self, _: Instant) -> Option<Instant> {
        None
    }
}

/// Drives a session to its end; `woken` says that there is something to send.
pub async fn drive<D: Driven>(
    session: &RefCell<D>,
    woken: Option<&Notify>,
    stream: &TcpStream,
    gre: Option<&mut GreSocket>,
    deadlines: Deadlines,
    interrupt: &mut Interrupt,
    tap: &mut Tap,
) {
    // On the heap, as all that is large: a future is moved several times.
    let buffer = vec![0; READ].into_boxed_slice();
    let mut driver = Driver { stream, gre, unsent: Vec::new(), buffer, has_more: false, tap };
    loop {
        let wake = {
            let mut session = session.borrow_mut();
            let now = Instant::now();
            session.pump(now);
            let tunnel = session.tunnel();
            driver.transmit(tunnel, now);
            if tunnel.is_finished() {
                return;
            }
            let end = if tunnel.is_closing() { deadlines.farewell } else { deadlines.goal };
            let timers = [tunnel.poll_timeout(), session.pump_at(now)];
            timers.into_iter().flatten().fold(end, Instant::min)
        };
        if std::mem::take(&mut driver.has_more) {
            // A gateway that floods us has its turn, and no more than that,
            // where other sessions share the thread.
            tokio::task::yield_now().await;
        }
        let interrupted = driver.wait(wake, interrupt, woken).await;
        let mut session = session.borrow_mut();
        let tunnel = session.tunnel();
        let now = Instant::now();
        if interrupted {
            tunnel.interrupt(now);
        } else if now >= deadlines.farewell {
            tunnel.abort(now);
        } else if now >= deadlines.goal && !tunnel.is_closing() {
            tunnel.expire(now);
        }
        driver.receive(tunnel, now);
        if tunnel.poll_timeout().is_some_and(|at| at <= now) {
            tunnel.handle_timeout(now);
        }
    }
}

struct Driver<'a> {
    stream: &'a TcpStream,
    gre: Option<&'a mut GreSocket>,
    unsent: Vec<u8>,
    buffer: Box<[u8]>,
    /// The last reading left off before the end.
    has_more: bool,
    tap: &'a mut Tap,
}

impl Driver<'_> {
    /// Waits for octets, room to send, the time, a user, or a signal (then true).
    async fn wait(
        &mut self,
        until: Instant,
        interrupt: &mut Interrupt,
        woken: Option<&Notify>,
    ) -> bool {
        let mut interest = Interest::READABLE;
        if !self.unsent.is_empty() {
            interest |= Interest::WRITABLE;
        }
        let gre = async {
            match &self.gre {
                Some(gre) => gre.ready().await,
                None => std::future::pending().await,
            }
        };
        let woken = async {
            match woken {
                Some(woken) => woken.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.stream.ready(interest) => false,
            _ = gre => false,
            () = woken => false,
            () = sleep_until(until.into()) => false,
            () = interrupt.wait() => true,
        }
    }

    fn transmit(&mut self, tunnel: &mut Tunnel, now: Instant) {
        while let Some(transmit) = tunnel.poll_transmit() {
            match transmit {
                Transmit::Control(octets) => {
                    self.tap.control(Direction::Sent, &octets, now);
                    if self.unsent.len() < MAX_UNSENT {
                        self.unsent.extend(octets);
                    }
                }
                Transmit::Gre(octets) => {
                    self.tap.gre(Direction::Sent, &octets, now);
                    if let Some(gre) = &self.gre {
                        gre.send(&octets);
                    }
                }
            }
        }
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The read side will say what happened.
                Err(_) => self.unsent.clear(),
            }
        }
    }

    /// GRE first: what the gateway sent before it ended the control connection
    /// is not lost with it.
    fn receive(&mut self, tunnel: &mut Tunnel, now: Instant) {
        self.receive_gre(tunnel, now);
        for _ in 0..BURST {
            if tunnel.is_finished() {
                return;
            }
            match self.read() {
                Ok((0, _)) => {
                    self.tap.remark("gateway closed the control connection".into(), now);
                    tunnel.handle_control_closed(false, now);
                }
                Ok((length, is_all)) => {
                    self.tap.control(Direction::Received, &self.buffer[..length], now);
                    tunnel.handle_control_input(&self.buffer[..length], now);
                    if is_all {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.tap.remark(format!("control connection: {error}"), now);
                    tunnel.handle_control_closed(true, now);
                }
            }
        }
        self.has_more = true;
    }

    /// Reads once; also says whether that was all there is. A short read has
    /// emptied the socket: the runtime is told so without asking the kernel a
    /// second time, and hears of whatever comes later.
    fn read(&mut self) -> io::Result<(usize, bool)> {
        let Self { stream, buffer, .. } = self;
        let mut length = 0;
        let read = stream.try_io(Interest::READABLE, || {
            length = rustix::io::read(*stream, &mut **buffer)?;
            let is_short = (1..buffer.len()).contains(&length);
            if is_short { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match read {
            Err(error) if length == 0 => Err(error),
            read => Ok((length, read.is_err())),
        }
    }

    fn receive_gre(&mut self, tunnel: &mut Tunnel, now: Instant) {
        let Some(gre) = &mut self.gre else { return };
        if tunnel.wants_strays(now)
            && let Err(error) = gre.widen()
        {
            self.tap.remark(format!("cannot widen the GRE filter: {error}"), now);
        }
        let inputs = gre.read(tunnel.peer_call_id());
        self.has_more = gre.has_more();
        for input in inputs {
            match input {
                Input::Packet(octets) => {
                    self.tap.gre(Direction::Received, &octets, now);
                    tunnel.handle_gre_input(&octets, now);
                }
                Input::Stray(call_id) => {
                    self.tap.remark(format!("GRE under call id {call_id}"), now);
                    tunnel.handle_stray(call_id);
                }
                Input::Unreachable(code, from) => {
                    self.tap.remark(format!("ICMP unreachable code {code} from {from}"), now);
                    tunnel.handle_unreachable(code, from, now);
                }
            }
        }
    }
}
