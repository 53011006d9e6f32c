//! Probes: each picks the machine, runs it against one gateway, and returns
//! what was seen. A probe never judges.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::net::driver::{Deadlines, Driven, drive};
use crate::net::gre::{GreSocket, RawGre};
use crate::net::inside::Inside;
use crate::net::interrupt::Interrupt;
use crate::net::resolve::{Family, resolve};
use crate::net::tap::Tap;
use crate::net::tcp;
use crate::proto::Failure;
use crate::proto::control;
use crate::proto::tunnel::{Config, Seen, Tunnel};
use crate::reason::{Phase, Reason};

pub mod auth;
pub mod control_connection;
pub mod figures;
pub mod gre;
pub mod radius;
pub mod tunnel;

/// Where a gateway is.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Name or address.
    pub host: String,
    /// TCP port of the control connection.
    pub port: u16,
    /// Which addresses will do.
    pub family: Family,
}

/// The time that a run has.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// When the run began.
    pub started: Instant,
    /// When everything must be over.
    pub deadline: Instant,
}

impl Allowance {
    fn total(self) -> Duration {
        self.deadline.saturating_duration_since(self.started)
    }

    /// A tenth of the time, at most half a second, is kept for the farewell.
    fn farewell(self) -> Duration {
        (self.total() / 10).min(Duration::from_millis(500))
    }

    /// When the goal must be reached.
    fn goal(self) -> Instant {
        self.deadline.checked_sub(self.farewell()).unwrap_or(self.deadline)
    }

    /// When the steps inside the tunnel must be over, a little before the goal.
    fn work_until(self) -> Instant {
        let margin = (self.total() / 50).min(Duration::from_millis(100));
        self.goal().checked_sub(margin).unwrap_or(self.deadline)
    }

    /// Wait for GRE in both directions, and for a control echo: two fifths of
    /// the time, and where it allows long enough for pppd to ask a second
    /// time, which it does after three seconds.
    fn patience(self) -> Duration {
        let second_request = Duration::from_millis(3_500).min(self.total() * 7 / 10);
        (self.total() * 2 / 5).max(second_request)
    }

    /// Wait for one LCP echo: a tenth of the time, at most a second.
    fn echo_timeout(self) -> Duration {
        (self.total() / 10).min(Duration::from_secs(1))
    }
}

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The address that was used.
    pub address: Option<SocketAddr>,
    /// From the start of the run to the moment the goal was reached or missed.
    pub time: Duration,
    /// Everything else.
    pub seen: Seen,
}

impl Observation {
    /// The time to the end of `phase`, from the start of the run.
    pub fn time_to(&self, phase: Phase) -> Option<Duration> {
        let end = self.seen.phases.iter().position(|&(passed, _)| passed == phase)?;
        Some(self.seen.phases[..=end].iter().map(|&(_, time)| time).sum())
    }
}

/// One gateway, resolved once, for one session after the other.
struct Prober<'a> {
    gateway: &'a Gateway,
    allowance: Allowance,
    address: Option<SocketAddr>,
    /// Of the session that runs.
    call_id: u16,
    gre: Option<GreSocket>,
    raw: Option<RawGre>,
    interrupt: Interrupt,
    tap: &'a mut Tap,
}

impl<'a> Prober<'a> {
    fn new(
        gateway: &'a Gateway,
        allowance: Allowance,
        raw: Option<RawGre>,
        interrupt: io::Result<Interrupt>,
        tap: &'a mut Tap,
    ) -> Result<Self, Failure> {
        let interrupt = interrupt.map_err(|error| {
            Failure::new(Phase::Resolve, Reason::Local, format!("cannot handle signals: {error}"))
        })?;
        Ok(Self { gateway, allowance, address: None, call_id: 0, gre: None, raw, interrupt, tap })
    }

    /// One session from TCP to the farewell; `config` gets our Call ID.
    async fn session(&mut self, config: impl FnOnce(u16) -> Config) -> Observation {
        self.observe(async |prober, phases| {
            let (stream, now) = prober.reach(phases).await?;
            let tunnel = Tunnel::new(config(prober.call_id), now);
            let tunnel = Box::new(RefCell::new(tunnel));
            prober.drive(&*tunnel, None, &stream).await;
            let mut tunnel = tunnel.into_inner();
            Ok((tunnel.seen(), tunnel.ended_at()))
        })
        .await
    }

    /// One session that `user` uses as soon as it is open, until he is done or
    /// it is over; it has to be open by `up_by`. `seed` is random.
    async fn session_for(
        &mut self,
        config: impl FnOnce(u16) -> Config,
        seed: u64,
        up_by: Instant,
        user: impl AsyncFnOnce(&Inside),
    ) -> Observation {
        self.observe(async |prober, phases| {
            let (stream, now) = prober.reach(phases).await?;
            let fragments = prober.gre.as_ref().map(GreSocket::fragments);
            let inside = Inside::new(Tunnel::new(config(prober.call_id), now), seed, fragments);
            {
                let (session, woken) = inside.parts();
                let mut driven = std::pin::pin!(prober.drive(session, Some(woken), &stream));
                let mut used = std::pin::pin!(async {
                    match timeout_at(up_by.into(), inside.opened()).await {
                        Ok(true) => {
                            user(&inside).await;
                            inside.finish();
                        }
                        Ok(false) => {}
                        Err(_) => inside.with_tunnel(Tunnel::expire),
                    }
                });
                tokio::select! {
                    () = &mut driven => {}
                    () = &mut used => driven.await,
                }
            }
            Ok(inside.seen())
        })
        .await
    }

    async fn observe(
        &mut self,
        run: impl AsyncFnOnce(
            &mut Self,
            &mut Vec<(Phase, Duration)>,
        ) -> Result<(Seen, Option<Instant>), (Failure, bool)>,
    ) -> Observation {
        let started = if self.address.is_none() { self.allowance.started } else { Instant::now() };
        let mut phases = Vec::new();
        let (mut seen, ended) = run(self, &mut phases).await.unwrap_or_else(|(failure, late)| {
            let seen = Seen { failure: Some(failure), timed_out: late, ..Seen::new() };
            (seen, None)
        });
        seen.phases.splice(0..0, phases);
        let time = ended.unwrap_or_else(Instant::now).duration_since(started);
        Observation { address: self.address, time, seen }
    }

    /// Resolves and connects; our Call ID is known from here on, where there can
    /// be a call. Gives the connection and when it stood.
    async fn reach(
        &mut self,
        phases: &mut Vec<(Phase, Duration)>,
    ) -> Result<(TcpStream, Instant), (Failure, bool)> {
        let goal = self.allowance.goal();
        let address = self.locate(phases).await?;
        let before = Instant::now();
        let stream = tokio::select! {
            stream = tcp::connect(address, goal) => stream,
            () = self.interrupt.wait() => Err((Reason::Interrupted, "interrupted while connecting".into())),
        };
        let stream = stream.map_err(|(reason, detail)| failed(Phase::Connect, reason, detail))?;
        let now = Instant::now();
        phases.push((Phase::Connect, now.duration_since(before)));
        let speaks_gre = self.raw.is_some() || self.gre.is_some();
        if speaks_gre || self.tap.has_capture() {
            let local = stream
                .local_addr()
                .map_err(|error| failed(Phase::Connect, Reason::Local, error.to_string()))?;
            self.tap.connection(local, address);
            // The port is ours alone as long as the connection stands, so no
            // other run on this host can choose the same Call ID.
            self.call_id = local.port();
        }
        if speaks_gre {
            // Without a call there is one message at a time, and nothing for
            // TCP to hold back.
            tcp::send_at_once(&stream, address)
                .map_err(|(reason, detail)| failed(Phase::Connect, reason, detail))?;
            self.open_gre(address)?;
        }
        Ok((stream, now))
    }

    /// The gateway's address, resolved the first time.
    async fn locate(
        &mut self,
        phases: &mut Vec<(Phase, Duration)>,
    ) -> Result<SocketAddr, (Failure, bool)> {
        if let Some(address) = self.address {
            return Ok(address);
        }
        let before = Instant::now();
        let address = self.resolve(self.allowance.goal()).await?;
        phases.push((Phase::Resolve, Instant::now().duration_since(before)));
        self.address = Some(address);
        Ok(address)
    }

    async fn drive<D: Driven>(
        &mut self,
        session: &RefCell<D>,
        woken: Option<&Notify>,
        stream: &TcpStream,
    ) {
        let deadlines =
            Deadlines { goal: self.allowance.goal(), farewell: self.allowance.deadline };
        let gre = self.gre.as_mut();
        drive(session, woken, stream, gre, deadlines, &mut self.interrupt, self.tap).await;
    }

    async fn resolve(&mut self, goal: Instant) -> Result<SocketAddr, (Failure, bool)> {
        let Gateway { host, port, family } = self.gateway;
        let resolved = tokio::select! {
            resolved = resolve(host, *port, *family, goal) => resolved,
            () = self.interrupt.wait() => Err((Reason::Interrupted, "interrupted while resolving".into())),
        };
        resolved.map_err(|(reason, detail)| failed(Phase::Resolve, reason, detail))
    }

    /// Binds the raw socket to the gateway that TCP reached, and to this call.
    fn open_gre(&mut self, address: SocketAddr) -> Result<(), (Failure, bool)> {
        let broken = |error: std::io::Error| {
            failed(Phase::Gre, Reason::Local, format!("cannot use the raw socket for GRE: {error}"))
        };
        if let (Some(raw), SocketAddr::V4(gateway)) = (self.raw.take(), address) {
            self.gre = Some(GreSocket::new(raw, gateway).map_err(broken)?);
        }
        match &mut self.gre {
            Some(gre) => gre.begin(self.call_id).map_err(broken),
            None => Ok(()),
        }
    }
}

fn failed(phase: Phase, reason: Reason, detail: impl Into<String>) -> (Failure, bool) {
    (Failure::new(phase, reason, detail), reason == Reason::Silent)
}

/// An observation of a run that could not even begin.
fn not_begun(failure: Failure) -> Observation {
    let seen = Seen { failure: Some(failure), ..Seen::new() };
    Observation { address: None, time: Duration::ZERO, seen }
}

/// How a check introduces itself to a gateway: its log shows these names.
fn introduction(allowance: Allowance) -> control::Config {
    control::Config {
        host_name: b"pptp-monitor".to_vec(),
        vendor_name: b"pptp-monitor".to_vec(),
        farewell: allowance.farewell(),
    }
}
