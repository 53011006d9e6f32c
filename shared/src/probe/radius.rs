//! RADIUS servers, as a PPTP gateway uses them: logins, accounting, status.
//!
//! Everything runs side by side: each server, and on it each task, has its own
//! socket, so that what is silent delays nothing else.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Allowance;
use crate::crypto::radius::SharedSecret;
use crate::net::entropy::{self, Pool};
use crate::net::interrupt::Interrupt;
use crate::net::radius::{Stop, Transport};
use crate::net::resolve::{Family, resolve};
use crate::net::tap::Tap;
use crate::net::tcp;
use crate::net::tls::{self, Agreed};
use crate::proto::Failure;
use crate::proto::radius::access::Login;
use crate::proto::radius::client::{Config, Retransmission, Signature};
use crate::proto::radius::exchange::{Exchange, Outcome, Task};
use crate::reason::{Phase, Reason};
use crate::wire::radius::{AttributeId, id};

/// Where a server is.
#[derive(Debug, Clone)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Which addresses will do.
    pub family: Family,
}

/// What carries the packets.
#[derive(Clone)]
pub enum Carrier {
    /// UDP (RFC 2865).
    Udp,
    /// TCP (RFC 6613).
    Tcp,
    /// TLS over TCP (RFC 6614).
    Tls(tls::Client),
}

/// What is done with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Logins.
    Auth,
    /// A session in accounting.
    Acct,
    /// Status-Server to the port for logins.
    Status,
    /// Status-Server to the port for accounting.
    AcctStatus,
}

impl Mode {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Acct => "acct",
            Self::Status => "status",
            Self::AcctStatus => "acct status",
        }
    }
}

/// What is done with every server.
#[derive(Clone)]
pub struct Plan {
    /// What carries the packets.
    pub carrier: Carrier,
    /// The address to send from, where the system shall not choose.
    pub source: Option<IpAddr>,
    /// What both sides know.
    pub secret: SharedSecret,
    /// What is asked of replies.
    pub signature: Signature,
    /// When a request is sent again.
    pub retransmission: Retransmission,
    /// Who logs in, and what the reply must hold; for [`Mode::Auth`].
    pub login: Option<Login>,
    /// The user of the session in accounting.
    pub username: Vec<u8>,
    /// What the operator adds to a request or puts in the place of what a
    /// gateway sends.
    pub attributes: Vec<(AttributeId, Vec<u8>)>,
    /// Which counters to ask for: FreeRADIUS-Statistics-Type.
    pub statistics: Option<u32>,
    /// How many logins or questions for the state, 1 or more.
    pub count: u32,
    /// How many of them at once, 1 to 256.
    pub parallel: u32,
    /// What to do, and on which port.
    pub modes: Vec<(Mode, u16)>,
}

/// What one server showed.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The address that was used.
    pub address: Option<IpAddr>,
    /// How long the resolver took.
    pub resolve_time: Option<Duration>,
    /// Why nothing could be asked.
    pub failure: Option<Failure>,
    /// What became of each mode of the plan.
    pub parts: Vec<Part>,
}

/// What one task on one port showed.
#[derive(Debug, Clone)]
pub struct Part {
    /// What was done.
    pub mode: Mode,
    /// The server's port.
    pub port: u16,
    /// The address of ours that the server saw, without a NAT in between.
    pub source: Option<IpAddr>,
    /// How long the connection took, where there is one, TLS included.
    pub connect_time: Option<Duration>,
    /// What TLS agreed on.
    pub tls: Option<Agreed>,
    /// From the first request to the end.
    pub time: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// Asks every server everything at once.
pub async fn probe(
    servers: &[Server],
    plan: &Plan,
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> Vec<Observation> {
    let mut interrupt = match interrupt {
        Ok(interrupt) => interrupt,
        Err(error) => {
            let failure = format!("cannot handle signals: {error}");
            let failure = Failure::new(Phase::Resolve, Reason::Local, failure);
            return servers.iter().map(|_| Observation::of(failure.clone())).collect();
        }
    };
    let tap = RefCell::new(tap);
    let stop = Stop::default();
    let run = Run { plan, deadline: allowance.goal(), stop: &stop, tap: &tap };
    let all = join_all(servers.iter().map(|server| run.server(server)));
    tokio::pin!(all);
    tokio::select! {
        observations = &mut all => return observations,
        () = interrupt.wait() => stop.request(),
    }
    all.await
}

impl Observation {
    fn of(failure: Failure) -> Self {
        Self { address: None, resolve_time: None, failure: Some(failure), parts: Vec::new() }
    }
}

/// What all servers have in common.
#[derive(Clone, Copy)]
struct Run<'a> {
    plan: &'a Plan,
    deadline: Instant,
    stop: &'a Stop,
    tap: &'a RefCell<&'a mut Tap>,
}

impl Run<'_> {
    async fn server(&self, server: &Server) -> Observation {
        let before = Instant::now();
        let resolved = tokio::select! {
            resolved = resolve(&server.host, 0, server.family, self.deadline) => resolved,
            () = self.stop.requested() => {
                Err((Reason::Interrupted, "interrupted while resolving".into()))
            }
        };
        let address = match resolved {
            Ok(address) => address.ip(),
            Err((reason, detail)) => {
                return Observation::of(Failure::new(Phase::Resolve, reason, detail));
            }
        };
        let resolve_time = Some(before.elapsed());
        let modes = self.plan.modes.iter();
        let parts =
            join_all(modes.map(|&(mode, port)| {
                self.part(mode, &server.host, SocketAddr::new(address, port))
            }));
        let parts = parts.await;
        Observation { address: Some(address), resolve_time, failure: None, parts }
    }

    async fn part(&self, mode: Mode, host: &str, peer: SocketAddr) -> Part {
        let began = Instant::now();
        let mut part = Part {
            mode,
            port: peer.port(),
            source: None,
            connect_time: None,
            tls: None,
            time: Duration::ZERO,
            outcome: Outcome::default(),
        };
        let connected = tokio::select! {
            connected = self.connect(host, peer) => connected,
            () = self.stop.requested() => Err((Reason::Interrupted, "interrupted".into())),
        };
        let mut transport = match connected {
            Ok((transport, agreed)) => {
                part.tls = agreed;
                transport
            }
            Err((reason, detail)) => {
                part.outcome.timed_out = reason == Reason::Silent;
                part.outcome.failure = Some(Failure::new(Phase::Connect, reason, detail));
                return part;
            }
        };
        part.source = Some(transport.local().ip());
        if !matches!(self.plan.carrier, Carrier::Udp) {
            part.connect_time = Some(began.elapsed());
        }
        let began = Instant::now();
        match self.exchange(mode, transport.local(), began) {
            Ok(mut exchange) => {
                transport.drive(&mut exchange, self.deadline, self.stop, self.tap).await;
                part.outcome = exchange.into_outcome();
            }
            Err(detail) => {
                part.outcome.failure = Some(Failure::new(Phase::Connect, Reason::Local, detail));
            }
        }
        part.time = began.elapsed();
        part
    }

    async fn connect(
        &self,
        host: &str,
        peer: SocketAddr,
    ) -> Result<(Transport, Option<Agreed>), (Reason, String)> {
        if let Carrier::Udp = self.plan.carrier {
            return match Transport::udp(peer, self.plan.source) {
                Ok(transport) => Ok((transport, None)),
                Err(error) => Err(no_socket(peer, self.plan.source, &error)),
            };
        }
        let stream = tcp::connect_from(self.plan.source, peer, self.deadline).await?;
        let local = stream
            .local_addr()
            .map_err(|error| (Reason::Local, format!("no local address: {error}")))?;
        match &self.plan.carrier {
            Carrier::Tls(client) => {
                let (stream, agreed) = client.begin(stream, host, self.deadline).await?;
                Ok((Transport::stream(stream, local, peer), Some(agreed)))
            }
            _ => Ok((Transport::stream(stream, local, peer), None)),
        }
    }

    fn exchange(&self, mode: Mode, local: SocketAddr, now: Instant) -> Result<Exchange, String> {
        let plan = self.plan;
        let [first_identifier, rest @ ..] = entropy::random::<13>()?;
        let (jitter, session) = rest.split_at(4);
        let task = match mode {
            Mode::Auth => Task::Access {
                login: plan.login.clone().ok_or("nobody to log in")?,
                count: plan.count,
                parallel: plan.parallel,
            },
            Mode::Acct => Task::Accounting {
                username: plan.username.clone(),
                session_id: session.iter().flat_map(|octet| hex(*octet)).collect(),
            },
            Mode::Status | Mode::AcctStatus => Task::Status {
                statistics: plan.statistics,
                count: plan.count,
                parallel: plan.parallel,
            },
        };
        let config = Config {
            secret: plan.secret.clone(),
            signature: plan.signature,
            retransmission: matches!(plan.carrier, Carrier::Udp).then_some(plan.retransmission),
            first_identifier,
            jitter: jitter.iter().fold(0, |all, octet| all << 8 | u32::from(*octet)),
        };
        let mut pool = Pool::new()?;
        let attributes = gateway_attributes(local.ip(), &plan.attributes);
        Ok(Exchange::new(task, attributes, config, Box::new(move || pool.take()), now))
    }
}

fn no_socket(peer: SocketAddr, source: Option<IpAddr>, error: &io::Error) -> (Reason, String) {
    match (error.kind(), source) {
        (io::ErrorKind::AddrNotAvailable, Some(source)) => {
            (Reason::Local, format!("cannot send from {source}: it is no address of this host"))
        }
        (io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable, _) => {
            (Reason::Unreachable, format!("this host has no route to {}", peer.ip()))
        }
        _ => (Reason::Local, format!("cannot open a UDP socket for {peer}: {error}")),
    }
}

/// What a PPTP gateway sends along (RFC 2865, RFC 2868), and what the operator
/// adds. What he gives takes the place of ours.
fn gateway_attributes(
    local: IpAddr,
    given: &[(AttributeId, Vec<u8>)],
) -> Vec<(AttributeId, Vec<u8>)> {
    const FRAMED: u32 = 2;
    const PPP: u32 = 1;
    const VIRTUAL: u32 = 5;
    // Behind a tag of zero, which means that there is one tunnel.
    const PPTP: u32 = 1;
    const IPV4: u32 = 1;
    let own_address = match local {
        IpAddr::V4(address) => (id::NAS_IP_ADDRESS, address.octets().to_vec()),
        IpAddr::V6(address) => (id::NAS_IPV6_ADDRESS, address.octets().to_vec()),
    };
    let ours = [
        own_address,
        (id::NAS_IDENTIFIER, b"pptp-monitor".to_vec()),
        (id::NAS_PORT_TYPE, VIRTUAL.to_be_bytes().to_vec()),
        (id::SERVICE_TYPE, FRAMED.to_be_bytes().to_vec()),
        (id::FRAMED_PROTOCOL, PPP.to_be_bytes().to_vec()),
        (id::TUNNEL_TYPE, PPTP.to_be_bytes().to_vec()),
        (id::TUNNEL_MEDIUM_TYPE, IPV4.to_be_bytes().to_vec()),
        (id::CALLING_STATION_ID, local.to_string().into_bytes()),
    ];
    let is_given = |id| given.iter().any(|(other, _)| *other == id);
    let ours = ours.into_iter().filter(|(id, _)| !is_given(*id));
    ours.chain(given.iter().cloned()).collect()
}

fn hex(octet: u8) -> [u8; 2] {
    [octet >> 4, octet & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)])
}

/// Runs futures side by side on this task, until all are done.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    enum Slot<F: Future> {
        Running(Pin<Box<F>>),
        Done(Option<F::Output>),
    }
    let mut slots: Vec<_> = futures.map(|future| Slot::Running(Box::pin(future))).collect();
    poll_fn(|context| {
        let mut all_done = true;
        for slot in &mut slots {
            if let Slot::Running(future) = slot {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *slot = Slot::Done(Some(output)),
                    Poll::Pending => all_done = false,
                }
            }
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let output = |slot| match slot {
        Slot::Done(output) => output,
        Slot::Running(_) => None,
    };
    slots.into_iter().filter_map(output).collect()
}
