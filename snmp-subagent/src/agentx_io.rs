//! The AgentX session with a socket and a clock (RFC 2741, section 8).
//!
//! Owns the connection: dials within a bounded time, reads while it writes,
//! answers all requests of one read in one write, and tells the log what
//! happened. What is answered comes from whoever gives the view; the session
//! decides everything else.
//!
//! Net-SNMP's master waits for nobody while it writes, so what it does not read
//! stays here, bounded by [`Config::max_output`](crate::agentx::session::Config).
//!
//! A walk is a request as soon as the last one was answered, thousands of times.
//! So an answer is followed by a read that waits in the kernel for a moment,
//! which costs half of what going to sleep in the event loop does. Whatever
//! else the thread has to do waits for some milliseconds at most.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, recv};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::agentx::pdu::VarBind;
use crate::agentx::session::{Cause, Counters, Event, Session};
use crate::config::Address;
use crate::log::{Level, Log};
use crate::oid::Oid;
use crate::view::View;

/// How long a connection may take.
const DIAL: Duration = Duration::from_secs(5);
/// How long the answer to Close is waited for.
const FAREWELL: Duration = Duration::from_secs(1);
/// Octets of one read: many requests.
const BUFFER: usize = 64 * 1024;
/// How long a read may wait for the next request; the kernel makes a tick of
/// it, one to ten milliseconds.
const SOON: Duration = Duration::from_millis(1);
/// How long requests are answered without a look at anything else.
const BURST: Duration = Duration::from_millis(5);

const TOPIC: &str = "agentx";

/// Something to be told without being asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// snmpTrapOID.
    pub trap: Oid,
    /// What belongs to it, in the order of the MIB.
    pub objects: Vec<VarBind<'static>>,
}

/// How a session stands, readable from other threads.
#[derive(Debug, Default)]
pub struct Status(Mutex<Standing>);

#[derive(Debug, Default, Clone, Copy)]
struct Standing {
    counters: Counters,
    stage: &'static str,
    /// sysUpTime of the master at a moment.
    uptime: Option<(u32, Moment)>,
    /// When the task went round last.
    turned_at: Option<Moment>,
}

impl Status {
    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.get().counters
    }

    /// What is being waited for, in an operator's words.
    pub fn stage(&self) -> &'static str {
        self.get().stage
    }

    /// sysUpTime of the master at `at`, in hundredths of a second.
    pub fn master_uptime(&self, at: Moment) -> Option<u32> {
        let (uptime, then) = self.get().uptime?;
        // TimeTicks wrap, both ways: `at` may lie in the past.
        let hundredths = |time: Duration| (time.as_millis() / 10) as u32;
        Some(match at.checked_duration_since(then) {
            Some(since) => uptime.wrapping_add(hundredths(since)),
            None => uptime.saturating_sub(hundredths(then.duration_since(at))),
        })
    }

    /// When the task went round last; it does so at least every
    /// [`LONGEST_TURN`].
    pub fn turned_at(&self) -> Option<Moment> {
        self.get().turned_at
    }

    fn get(&self) -> Standing {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, session: &Session) {
        let now = now();
        let standing = Standing {
            counters: session.counters(),
            stage: session.stage(),
            uptime: session.master_uptime(now).map(|uptime| (uptime, now)),
            turned_at: Some(now),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

/// The task goes round at least so often, also while nothing happens.
pub const LONGEST_TURN: Duration = Duration::from_secs(5);

/// Holds `session` with the master at `address`, until `stop` becomes true or
/// is dropped; then says Close and waits a second at most. Requests are
/// answered from what `view` gives, asked once for those that follow each other
/// at once.
pub async fn run<V: View>(
    address: &Address,
    mut session: Session,
    view: impl Fn() -> Arc<V>,
    mut notifications: mpsc::Receiver<Notification>,
    mut stop: watch::Receiver<bool>,
    status: &Status,
    log: &Log,
) {
    let mut stream: Option<Stream> = None;
    let mut dialling = None;
    let mut closing_until = None;
    let mut is_fed = true;
    let mut buffer = vec![0; BUFFER];
    loop {
        session.handle_timeout(now());
        while let Some(event) = session.poll_event() {
            tell(log, address, &event);
            match event {
                Event::Connect => {
                    dialling = Some(Box::pin(timeout(DIAL, Stream::connect(address.clone()))));
                }
                Event::Disconnected(_) | Event::Finished => {
                    dialling = None;
                    // The Close that may wait, as far as it goes without waiting.
                    if let Some(stream) = stream.take() {
                        let _ = send(&stream, &mut session);
                    }
                }
                Event::Serving { .. } | Event::RegionRefused { .. } | Event::Refused { .. } => {}
            }
            if event == Event::Finished {
                return status.update(&session);
            }
        }
        if let Some(connected) = &stream
            && send(connected, &mut session).is_err()
        {
            stream = None;
            lost(&mut session, address, log);
            continue;
        }
        status.update(&session);
        let longest = Instant::now() + LONGEST_TURN;
        let due = session.poll_timeout().map_or(longest, |due| longest.min(due.into()));
        let interest = match session.poll_transmit() {
            Some(_) => Interest::READABLE | Interest::WRITABLE,
            None => Interest::READABLE,
        };
        tokio::select! {
            () = stopped(&mut stop), if closing_until.is_none() => {
                closing_until = Some(Instant::now() + FAREWELL);
                session.close(now());
            }
            () = sleep_until(closing_until.unwrap_or(longest)), if closing_until.is_some() => return,
            () = sleep_until(due) => {}
            notification = notifications.recv(), if is_fed => match notification {
                Some(Notification { trap, objects }) => session.notify(trap, objects, now()),
                None => is_fed = false,
            },
            dialled = done(&mut dialling) => {
                dialling = None;
                match dialled {
                    Ok(connected) => {
                        stream = Some(connected);
                        session.handle_connected(now());
                    }
                    Err(error) => {
                        log.say(Level::Warning, TOPIC, &format!("cannot connect to {address}: {error}"));
                        session.handle_closed(now());
                    }
                }
            }
            connected = ready(&stream, interest) => {
                let served = match connected {
                    Ok(connected) => serve(connected, &mut session, &view, &mut buffer).await,
                    Err(error) => Err(error),
                };
                if served.is_err() {
                    stream = None;
                    lost(&mut session, address, log);
                }
            }
        }
    }
}

fn lost(session: &mut Session, address: &Address, log: &Log) {
    log.say(Level::Warning, TOPIC, &format!("lost the master at {address}"));
    session.handle_closed(now());
}

/// Answers what came and what follows soon, if anything.
///
/// # Errors
/// The connection is over.
async fn serve<V: View>(
    stream: &Stream,
    session: &mut Session,
    view: impl Fn() -> Arc<V>,
    buffer: &mut [u8],
) -> io::Result<()> {
    let (view, until) = (view(), now() + BURST);
    let mut flags = RecvFlags::DONTWAIT;
    while let Some(n) = stream.read(buffer, flags)? {
        let at = now();
        session.handle_input(&buffer[..n], &*view, at);
        // What happened is told before anything else can happen.
        if session.has_events() {
            break;
        }
        send(stream, session)?;
        if session.poll_transmit().is_some() {
            break;
        }
        if at >= until {
            // Others are served by this thread too.
            yield_now().await;
            break;
        }
        flags = RecvFlags::empty();
    }
    Ok(())
}

/// The clock of the runtime, which tests can stop.
fn now() -> Moment {
    Instant::now().into_std()
}

/// Sends what can be sent without waiting.
///
/// # Errors
/// The connection is over.
fn send(stream: &Stream, session: &mut Session) -> io::Result<()> {
    while let Some(octets) = session.poll_transmit() {
        match stream.write(octets)? {
            Some(n) => session.handle_transmitted(n),
            None => break,
        }
    }
    Ok(())
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Nobody is left who could say so.
    let _ = stop.wait_for(|stop| *stop).await;
}

type Dialled = Result<io::Result<Stream>, tokio::time::error::Elapsed>;

async fn done(dialling: &mut Option<impl Future<Output = Dialled> + Unpin>) -> io::Result<Stream> {
    match dialling {
        Some(dialling) => dialling.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        None => std::future::pending().await,
    }
}

/// The connection, once it is worth a try.
async fn ready(stream: &Option<Stream>, interest: Interest) -> io::Result<&Stream> {
    let Some(stream) = stream else { return std::future::pending().await };
    stream.ready(interest).await?;
    Ok(stream)
}

fn tell(log: &Log, address: &Address, event: &Event) {
    let (level, text) = match event {
        // How a connection went is said where it is made and lost.
        Event::Connect | Event::Finished | Event::Disconnected(Cause::Lost) => return,
        Event::Serving { session_id } => {
            (Level::Notice, format!("serving the master at {address}, session {session_id}"))
        }
        Event::RegionRefused { subtree, error } => {
            (Level::Error, format!("the master refuses the tree {subtree}: {error:?}"))
        }
        Event::Refused { request, error } => {
            (Level::Warning, format!("the master refuses {request:?}: {error:?}"))
        }
        Event::Disconnected(cause) => {
            let why = match cause {
                Cause::Lost => return,
                Cause::Closed(reason) => format!("it closed the session: {reason:?}"),
                Cause::OpenRefused(error) => format!("it refuses Open: {error:?}"),
                Cause::NotOpen => "it knows nothing of the session any more".into(),
                Cause::Silent(request) => format!("no answer to {request:?}"),
                Cause::Malformed(error) => format!("what it sends is no AgentX: {error}"),
                Cause::Congested => "it asks, but does not read the answers".into(),
            };
            (Level::Warning, format!("left the master at {address}: {why}"))
        }
    };
    log.say(level, TOPIC, &text);
}

/// A connection of either kind. Its reads wait, [`SOON`] at most, unless told
/// otherwise; nothing but [`Stream::read`] and [`Stream::write`] may use it.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    async fn connect(address: Address) -> io::Result<Self> {
        let stream = match address {
            Address::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // Answers are whole writes; one that waits for an acknowledgement is late.
                stream.set_nodelay(true)?;
                Self::Tcp(stream)
            }
        };
        set_socket_timeout(stream.as_fd(), Timeout::Recv, Some(SOON))?;
        ioctl_fionbio(stream.as_fd(), false)?;
        Ok(stream)
    }

    async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.ready(interest).await.map(drop),
            Self::Tcp(stream) => stream.ready(interest).await.map(drop),
        }
    }

    /// What came, if anything.
    fn read(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<Option<usize>> {
        let read = self.attempt(Interest::READABLE, || Ok(recv(self.as_fd(), buffer, flags)?.1))?;
        match read {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }

    /// How much was written, if anything.
    fn write(&self, octets: &[u8]) -> io::Result<Option<usize>> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.attempt(Interest::WRITABLE, || Ok(rustix::net::send(self.as_fd(), octets, flags)?))
    }

    /// The outcome of `operation`, unless it would have to be waited for.
    fn attempt<T>(
        &self,
        interest: Interest,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let outcome = match self {
            Self::Unix(stream) => stream.try_io(interest, operation),
            Self::Tcp(stream) => stream.try_io(interest, operation),
        };
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests;
