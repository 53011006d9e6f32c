//! A whole PPTP session from the caller's side: control connection, call, GRE
//! channel and PPP link, as far as the run's [`Goal`] needs them, and the
//! polite way out from wherever it got.
//!
//! It owns the order of phases, their times, the verdict on the direction in
//! which GRE is lost, and the facts for the report ([`Seen`]). It leaves
//! sockets, the clock and the run's deadline to its driver, which calls
//! [`Tunnel::expire`] when time is up and [`Tunnel::abort`] when even the
//! farewell has no time left.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use self::verdict::span;
use super::Failure;
use super::auth::AuthProtocol;
use super::control::{self, ControlConnection};
use super::gre::{self, GreChannel};
use super::link::{self, Link};
use super::mppe::Mode;
use crate::method::Method;
use crate::reason::{Phase, Reason};
use crate::wire::control::{OutgoingCallReply, StartReply};
use crate::wire::ip::{Datagram, Icmp, PROTOCOL_ICMP};
use crate::wire::ppp;

/// After an ICMP error GRE gets this long to work all the same: a gateway may
/// open its GRE socket a little late.
const ICMP_GRACE: Duration = Duration::from_millis(1_500);
/// Wait before the second encrypted echo; doubles with each. pppd lets data
/// pass a moment after it sent the last IPCP packet, so the first is often lost.
const PROOF_RETRY: Duration = Duration::from_millis(10);
/// LCP echoes sent at once: a pair shows whether the path keeps the order.
const ECHO_BURST: u32 = 2;
/// The gateway floods when more than this many packets came, and more than
/// [`FLOOD_RATIO`] for each of ours.
const FLOOD_BASE: u64 = 100;
/// See [`FLOOD_BASE`].
const FLOOD_RATIO: u64 = 10;
/// Unreadable packets one after the other that cannot be the path's doing.
const GARBLED: u32 = 3;
/// GRE packets kept that overtook the Outgoing-Call-Reply.
const MAX_EARLY: usize = 16;
/// Call ids of foreign GRE that are remembered.
const MAX_STRAYS: usize = 16;

/// How far a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Control connection and this many Echo round trips.
    Control {
        /// Echo round trips.
        echoes: u32,
    },
    /// Call, GRE and LCP, then this many LCP Echo round trips; needs no account.
    Link {
        /// LCP Echo round trips.
        echoes: u32,
    },
    /// As far as is needed to know whether the gateway takes the candidate of
    /// its link's authentication policy.
    Candidate,
    /// Until IP may flow, then one encrypted echo where MPPE was agreed.
    Session,
    /// Until IP may flow, one echo, and then for as long as its owner wants:
    /// see [`Tunnel::is_open`].
    Open,
}

/// What a session shall do.
pub struct Config {
    /// How far it goes.
    pub goal: Goal,
    /// Our Call ID: unique among the calls of this host to the gateway.
    pub call_id: u16,
    /// How we introduce ourselves.
    pub control: control::Config,
    /// Needed for every goal beyond [`Goal::Control`].
    pub link: Option<link::Config>,
    /// Wait for GRE in both directions, and for one control Echo-Reply.
    pub patience: Duration,
    /// Wait for one LCP Echo-Reply, and for the encrypted echo.
    pub echo_timeout: Duration,
}

/// Octets to send, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Over the control connection.
    Control(Vec<u8>),
    /// As the payload of an IP datagram of protocol 47.
    Gre(Vec<u8>),
}

/// How often the gateway negotiated again what was open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renegotiated {
    /// LCP, and with it everything above.
    pub lcp: u32,
    /// CCP, the others because of LCP not counted.
    pub ccp: u32,
    /// IPCP, likewise.
    pub ipcp: u32,
}

/// What an encrypted echo through the tunnel showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// No encryption, or not that far.
    NotTried,
    /// An answer came back: both sides hold the same keys.
    Proved(Duration),
    /// No answer and no sign of differing keys.
    Silent,
}

/// What a session showed, whole or not.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Phases passed, in order, each with the time since the one before.
    pub phases: Vec<(Phase, Duration)>,
    /// How the gateway introduced itself.
    pub start_reply: Option<StartReply>,
    /// How the gateway accepted the call.
    pub call_reply: Option<OutgoingCallReply>,
    /// Round trips of control Echo-Requests.
    pub control_echoes: Vec<Duration>,
    /// Round trips of LCP Echo-Requests.
    pub link_echoes: Vec<Duration>,
    /// LCP Echo-Requests sent.
    pub link_echoes_sent: u32,
    /// What the path did to GRE.
    pub gre: gre::Counters,
    /// What came over the link beside the negotiation.
    pub link: link::Counters,
    /// Authentication that the gateway proposed, in order.
    pub proposals: Vec<Option<AuthProtocol>>,
    /// Whether the candidate was taken.
    pub candidate: Option<bool>,
    /// How we were authenticated.
    pub method: Option<Method>,
    /// The gateway's words on success; from the peer, to be escaped.
    pub message: Vec<u8>,
    /// Encryption; the outer `None`: not decided.
    pub mppe: Option<Option<Mode>>,
    /// Whether the keys were proved.
    pub proof: Proof,
    /// The address that the gateway gave.
    pub address: Option<Ipv4Addr>,
    /// The gateway's address inside the tunnel.
    pub peer_address: Option<Ipv4Addr>,
    /// DNS servers that the gateway gave.
    pub dns: Vec<Ipv4Addr>,
    /// WINS servers that the gateway gave.
    pub nbns: Vec<Ipv4Addr>,
    /// LCP Identification of the gateway; from the peer, to be escaped.
    pub identification: Vec<u8>,
    /// The gateway's MRU in octets.
    pub peer_mru: Option<u16>,
    /// What the gateway negotiated again.
    pub renegotiated: Renegotiated,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// Whether it went wrong because the run's time was up.
    pub timed_out: bool,
}

impl Seen {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            phases: Vec::new(),
            start_reply: None,
            call_reply: None,
            control_echoes: Vec::new(),
            link_echoes: Vec::new(),
            link_echoes_sent: 0,
            gre: gre::Counters::default(),
            link: link::Counters::default(),
            proposals: Vec::new(),
            candidate: None,
            method: None,
            message: Vec::new(),
            mppe: None,
            proof: Proof::NotTried,
            address: None,
            peer_address: None,
            dns: Vec::new(),
            nbns: Vec::new(),
            identification: Vec::new(),
            peer_mru: None,
            renegotiated: Renegotiated::default(),
            failure: None,
            timed_out: false,
        }
    }

    /// Time that a phase took, if it was passed.
    pub fn phase(&self, phase: Phase) -> Option<Duration> {
        self.phases.iter().find(|(passed, _)| *passed == phase).map(|&(_, time)| time)
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Control,
    ControlEcho { left: u32, until: Instant },
    Call,
    Link,
    LinkEcho { left: u32, waiting: u32, until: Instant },
    Proof { next_at: Instant, until: Instant },
    Open,
    CloseLink { until: Instant },
    CloseControl,
    Finished,
}

/// One session.
pub struct Tunnel {
    goal: Goal,
    call_id: u16,
    patience: Duration,
    echo_timeout: Duration,
    farewell: Duration,
    link_config: Option<link::Config>,
    stage: Stage,
    phase_started: Instant,
    control: ControlConnection,
    gre: Option<GreChannel>,
    /// Packets that came, of whatever kind.
    gre_packets: u64,
    gre_until: Option<Instant>,
    /// When the driver shall look for packets under other Call IDs.
    widen_at: Option<Instant>,
    gre_since: Instant,
    gre_last_input: Option<Instant>,
    /// When a gateway that says nothing is asked whether it still hears us.
    quiet_at: Option<Instant>,
    /// When a gateway that negotiates again must be done with it.
    renegotiated_by: Option<Instant>,
    /// GRE that came before the Outgoing-Call-Reply: the two take different
    /// ways.
    early: Vec<Vec<u8>>,
    link: Option<Link>,
    strays: Vec<u16>,
    unreachable: Option<(u8, Ipv4Addr)>,
    echo_identifier: u16,
    proofs_sent: Vec<Instant>,
    /// CCP and IPCP that are negotiated again only because LCP was.
    following: (bool, bool),
    ended_at: Option<Instant>,
    seen: Seen,
    transmits: VecDeque<Transmit>,
}

impl Tunnel {
    /// A session over a TCP connection that was just established; its first
    /// message is ready to be sent.
    pub fn new(config: Config, now: Instant) -> Self {
        let mut tunnel = Self {
            goal: config.goal,
            call_id: config.call_id,
            patience: config.patience,
            echo_timeout: config.echo_timeout,
            farewell: config.control.farewell,
            control: ControlConnection::new(&config.control),
            link_config: config.link,
            stage: Stage::Control,
            phase_started: now,
            gre: None,
            gre_packets: 0,
            gre_until: None,
            widen_at: None,
            gre_since: now,
            gre_last_input: None,
            quiet_at: None,
            renegotiated_by: None,
            early: Vec::new(),
            link: None,
            strays: Vec::new(),
            unreachable: None,
            echo_identifier: config.call_id,
            proofs_sent: Vec::new(),
            following: (false, false),
            ended_at: None,
            seen: Seen::new(),
            transmits: VecDeque::new(),
        };
        tunnel.drain(now);
        tunnel
    }

    /// True when nothing more will happen.
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// True when the goal was reached or missed and only the farewell is left.
    pub fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::CloseLink { .. } | Stage::CloseControl | Stage::Finished)
    }

    /// When the goal was reached or missed.
    pub fn ended_at(&self) -> Option<Instant> {
        self.ended_at
    }

    /// The facts so far.
    pub fn seen(&mut self) -> Seen {
        if let Some(gre) = &self.gre {
            self.seen.gre = *gre.counters();
        }
        if let Some(link) = &self.link {
            self.seen.link = link.counters();
            self.seen.proposals = link.lcp().proposals().to_vec();
            self.seen.message = link.message().to_vec();
            self.seen.identification = link.identification().to_vec();
            self.seen.peer_mru = link.lcp().peer_magic().map(|_| link.lcp().peer_mru());
            self.seen.address = link.ipcp().address();
            self.seen.peer_address = link.ipcp().peer_address();
            self.seen.dns = link.ipcp().dns();
            self.seen.nbns = link.ipcp().nbns();
        }
        self.seen.clone()
    }

    /// True while GRE under foreign call ids would explain the silence: the
    /// call is up for a quarter of the patience and nothing came.
    pub fn wants_strays(&self, now: Instant) -> bool {
        self.stage == Stage::Link
            && self.gre_last_input.is_none()
            && now >= self.gre_since + self.patience / 4
    }

    /// The gateway's Call ID, once there is a call.
    pub fn peer_call_id(&self) -> Option<u16> {
        self.gre.as_ref().map(GreChannel::peer_call_id)
    }

    /// Octets from the control connection.
    pub fn handle_control_input(&mut self, octets: &[u8], now: Instant) {
        self.control.handle_input(octets, now);
        self.drain(now);
    }

    /// The gateway closed or reset the control connection.
    pub fn handle_control_closed(&mut self, reset: bool, now: Instant) {
        self.control.handle_closed(reset);
        self.drain(now);
    }

    /// A GRE packet from the gateway under our Call ID.
    pub fn handle_gre_input(&mut self, octets: &[u8], now: Instant) {
        let Some(gre) = &mut self.gre else {
            if self.stage == Stage::Call && self.early.len() < MAX_EARLY {
                self.early.push(octets.to_vec());
            }
            return;
        };
        self.gre_packets += 1;
        gre.handle_input(octets, now);
        let counters = *gre.counters();
        let valid = counters.received + counters.acks_received > 0;
        if let (true, Some(link)) = (gre.all_acknowledged(), &mut self.link) {
            link.delivered();
        }
        if valid {
            if self.gre_last_input.is_none() {
                self.widen_at = None;
                self.mark(Phase::Gre, now);
            }
            self.gre_last_input = Some(now);
            self.quiet_at = Some(now + self.patience / 4);
        }
        self.drain(now);
        let arrived = self.gre_packets;
        // A user may receive as much as he likes.
        if self.stage != Stage::Open
            && arrived > FLOOD_BASE
            && arrived > FLOOD_RATIO * (counters.sent + counters.acks_sent)
        {
            let detail =
                format!("gateway sent {arrived} GRE packets for {} of ours", counters.sent);
            self.fail(Failure::new(Phase::Gre, Reason::Flooded, detail), now);
            self.drain(now);
        }
    }

    /// A PPP session seems to arrive from the gateway under this Call ID,
    /// which is neither ours nor that of another session of this host.
    pub fn handle_stray(&mut self, call_id: u16) {
        if self.strays.len() < MAX_STRAYS && !self.strays.contains(&call_id) {
            self.strays.push(call_id);
        }
    }

    /// ICMP says that our GRE does not arrive.
    pub fn handle_unreachable(&mut self, code: u8, from: Ipv4Addr, now: Instant) {
        if self.unreachable.is_none() {
            self.unreachable = Some((code, from));
            self.gre_until = self.gre_until.map(|at| at.min(now + ICMP_GRACE));
        }
    }

    /// A timer ran out.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.control.handle_timeout(now);
        if let Some(gre) = &mut self.gre {
            gre.handle_timeout(now);
        }
        if let Some(link) = &mut self.link {
            link.handle_timeout(now);
        }
        self.drain(now);
        self.widen_at = self.widen_at.filter(|&at| at > now);
        if self.gre_until.is_some_and(|at| at <= now) {
            self.gre_until = None;
            if self.stage == Stage::Link
                && let Some(failure) = self.gre_verdict(now)
            {
                self.fail(failure, now);
            }
        }
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.quiet_at = Some(now + self.patience / 4);
            self.ask_whether_heard(now);
        }
        if self.renegotiated_by.is_some_and(|at| at <= now) {
            let failure = self.never_renegotiated();
            self.fail(failure, now);
        }
        match self.stage {
            Stage::ControlEcho { until, .. } if until <= now => {
                let failure = Failure::new(
                    Phase::Control,
                    Reason::EchoSilent,
                    format!("gateway left an Echo-Request unanswered for {}", span(self.patience)),
                );
                self.fail(failure, now);
            }
            Stage::LinkEcho { left, until, .. } if until <= now => {
                if let Some(link) = &mut self.link {
                    link.give_up_echoes();
                }
                self.next_link_echoes(left, now);
            }
            Stage::Proof { until, .. } if until <= now => {
                self.seen.proof = Proof::Silent;
                self.proved(now);
            }
            Stage::Proof { next_at, until } if next_at <= now => self.send_proof(until, now),
            Stage::CloseLink { until } if until <= now => self.close_control(now),
            _ => {}
        }
        self.drain(now);
    }

    /// The run's time is up: says what was waited for and begins the farewell.
    pub fn expire(&mut self, now: Instant) {
        if self.is_closing() {
            return;
        }
        self.seen.timed_out = true;
        let failure = self.expired(now);
        self.fail(failure, now);
        self.drain(now);
    }

    /// A signal ends the run; what is decided stays as it is.
    pub fn interrupt(&mut self, now: Instant) {
        let detail = format!("interrupted while {}", self.stage());
        self.fail(Failure::new(self.phase(), Reason::Interrupted, detail), now);
        self.abort(now);
    }

    /// Says everything that is left to say at once and waits for nothing. A
    /// session that is not decided by now has missed its time: its process may
    /// have been stopped past both deadlines.
    pub fn abort(&mut self, now: Instant) {
        if self.stage == Stage::Finished {
            return;
        }
        self.expire(now);
        // The Terminate-Request first: what clears the call ends the link too.
        self.drain(now);
        self.control.abort();
        self.drain(now);
        self.stage = Stage::Finished;
    }

    /// The next octets to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// When [`Tunnel::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match self.stage {
            Stage::ControlEcho { until, .. }
            | Stage::LinkEcho { until, .. }
            | Stage::CloseLink { until } => Some(until),
            Stage::Proof { next_at, until } => Some(next_at.min(until)),
            _ => None,
        };
        [
            own,
            self.gre_until,
            self.widen_at,
            self.quiet_at,
            self.renegotiated_by,
            self.control.poll_timeout(),
            self.gre.as_ref().and_then(GreChannel::poll_timeout),
            self.link.as_ref().and_then(Link::poll_timeout),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is being waited for, in an operator's words.
    pub fn stage(&self) -> &'static str {
        match (self.stage, &self.link) {
            (Stage::Link, Some(link)) => link.stage(),
            (Stage::LinkEcho { .. }, _) => "waiting for LCP Echo-Reply",
            (Stage::Proof { .. }, _) => "waiting for an encrypted echo",
            (Stage::Open, _) => "using the tunnel",
            (Stage::CloseLink { .. }, _) => "closing the link",
            _ => self.control.stage(),
        }
    }

    /// The phase that is in progress.
    fn phase(&self) -> Phase {
        match (self.stage, &self.link) {
            (Stage::Control | Stage::ControlEcho { .. }, _) => Phase::Control,
            (Stage::Call, _) | (_, None) => Phase::Call,
            (_, Some(_)) if self.gre_last_input.is_none() => Phase::Gre,
            (_, Some(link)) => link.phase(),
        }
    }

    fn mark(&mut self, phase: Phase, now: Instant) {
        if self.seen.phase(phase).is_none() {
            self.seen.phases.push((phase, now.duration_since(self.phase_started)));
            self.phase_started = now;
        }
    }

    fn fail(&mut self, failure: Failure, now: Instant) {
        if self.is_closing() {
            return;
        }
        self.seen.failure = Some(failure);
        self.close(now);
    }

    fn succeed(&mut self, now: Instant) {
        if !self.is_closing() {
            self.close(now);
        }
    }

    fn close(&mut self, now: Instant) {
        self.gre_until = None;
        self.widen_at = None;
        self.quiet_at = None;
        self.ended_at.get_or_insert(now);
        if let Some(gre) = &mut self.gre {
            gre.open_window();
        }
        match &mut self.link {
            // Where nothing of ours arrives a Terminate-Request is not waited for.
            Some(link) if self.gre_last_input.is_some() => {
                link.close(now);
                self.stage = Stage::CloseLink { until: now + self.farewell };
            }
            Some(link) => {
                link.close(now);
                self.close_control(now);
            }
            None => self.close_control(now),
        }
    }

    fn close_control(&mut self, now: Instant) {
        self.stage = Stage::CloseControl;
        self.control.close(now);
    }

    fn drain(&mut self, now: Instant) {
        loop {
            let before = self.transmits.len();
            let mut moved = false;
            while let Some(event) = self.control.poll_event() {
                moved = true;
                self.on_control_event(event, now);
            }
            while let Some(frame) = self.gre.as_mut().and_then(GreChannel::poll_frame) {
                moved = true;
                if let Some(link) = &mut self.link {
                    link.handle_frame(&frame, now);
                }
                self.drain_link(now);
            }
            self.drain_link(now);
            // GRE first: a Terminate-Request behind the Call-Clear-Request finds nobody.
            while let Some(octets) = self.gre.as_mut().and_then(|gre| gre.poll_transmit(now)) {
                self.transmits.push_back(Transmit::Gre(octets));
            }
            while let Some(octets) = self.control.poll_transmit() {
                self.transmits.push_back(Transmit::Control(octets));
            }
            if !moved && before == self.transmits.len() {
                break;
            }
        }
        self.watch_renegotiation(now);
    }

    /// Times a gateway that took the link back to negotiate it again.
    fn watch_renegotiation(&mut self, now: Instant) {
        let waits = self.is_open() && !self.carries_datagrams();
        let by = self.renegotiated_by.unwrap_or(now + self.patience);
        self.renegotiated_by = waits.then_some(by);
    }

    fn never_renegotiated(&self) -> Failure {
        let phase = self.phase();
        let stage = self.link.as_ref().map_or("", Link::stage);
        let detail = format!(
            "gateway began to negotiate again and does not end: {stage} for {}",
            span(self.patience)
        );
        Failure::new(phase, Reason::Silent, detail)
    }

    fn drain_link(&mut self, now: Instant) {
        while let Some(event) = self.link.as_mut().and_then(Link::poll_event) {
            self.on_link_event(event, now);
        }
        if self.stage != Stage::Open {
            while let Some(datagram) = self.poll_datagram() {
                self.on_datagram(&datagram, now);
            }
        }
        let garbled = self.link.as_ref().map_or(0, Link::garbled_run);
        if matches!(self.stage, Stage::Proof { .. }) && garbled > 0
            || self.stage == Stage::Open && garbled >= GARBLED
        {
            let detail = match self.seen.proof {
                Proof::Proved(_) => format!(
                    "MPPE keys agreed for {}, then encrypted data could not be read any more",
                    span(now.duration_since(self.phase_started))
                ),
                _ => "encrypted data cannot be read: the two sides hold different MPPE keys".into(),
            };
            self.fail(Failure::new(Phase::Data, Reason::MppeKeyMismatch, detail), now);
        }
        if let (Some(link), Some(gre)) = (&mut self.link, &mut self.gre) {
            while let Some(frame) = link.poll_transmit() {
                gre.send(frame, now);
            }
        }
    }

    fn on_control_event(&mut self, event: control::Event, now: Instant) {
        match event {
            control::Event::Established(reply) => {
                self.mark(Phase::Control, now);
                self.seen.start_reply = Some(reply);
                match self.goal {
                    Goal::Control { echoes } => self.next_control_echo(echoes, now),
                    _ => {
                        self.stage = Stage::Call;
                        self.control.place_call(self.call_id, self.call_id);
                    }
                }
            }
            control::Event::CallConnected(reply) => {
                self.mark(Phase::Call, now);
                self.call_connected(reply, now);
            }
            control::Event::EchoReplied(time) => match self.stage {
                Stage::ControlEcho { left, .. } => {
                    self.seen.control_echoes.push(time);
                    self.next_control_echo(left, now);
                }
                Stage::Open => self.seen.control_echoes.push(time),
                _ => {}
            },
            control::Event::Failed(failure) => {
                let failure = Failure::new(self.phase(), failure.reason, failure.detail);
                self.fail(failure, now);
                // Without a call there is no link that could be closed.
                if matches!(self.stage, Stage::CloseLink { .. }) {
                    self.close_control(now);
                }
            }
            control::Event::Finished => self.stage = Stage::Finished,
        }
    }

    fn call_connected(&mut self, reply: OutgoingCallReply, now: Instant) {
        let Some(config) = self.link_config.take() else { return };
        self.stage = Stage::Link;
        self.gre_since = now;
        self.gre_until = Some(now + self.patience);
        self.widen_at = Some(now + self.patience / 4);
        self.gre =
            Some(GreChannel::new(self.call_id, reply.call_id, reply.packet_recv_window_size, now));
        self.link = Some(Link::new(config, now));
        self.seen.call_reply = Some(reply);
        for octets in std::mem::take(&mut self.early) {
            self.handle_gre_input(&octets, now);
        }
    }

    /// accel-ppp acknowledges with data only, so while its RADIUS server thinks,
    /// it looks like GRE that stopped; an LCP echo tells the two apart.
    fn ask_whether_heard(&mut self, now: Instant) {
        if let (Stage::Link, Some(gre), Some(link)) = (self.stage, &self.gre, &mut self.link)
            && !gre.all_acknowledged()
            && link.phase() != Phase::Lcp
        {
            link.give_up_echoes();
            link.echo(now);
            self.drain(now);
        }
    }

    fn next_control_echo(&mut self, left: u32, now: Instant) {
        if left == 0 {
            return self.succeed(now);
        }
        self.stage = Stage::ControlEcho { left: left - 1, until: now + self.patience };
        self.control.echo(now);
    }

    fn next_link_echoes(&mut self, left: u32, now: Instant) {
        let (waiting, Some(link)) = (left.min(ECHO_BURST), &mut self.link) else { return };
        if waiting == 0 {
            return self.link_echoes_done(now);
        }
        for _ in 0..waiting {
            link.echo(now);
        }
        self.seen.link_echoes_sent += waiting;
        let until = now + self.echo_timeout;
        self.stage = Stage::LinkEcho { left: left - waiting, waiting, until };
    }

    fn link_echoes_done(&mut self, now: Instant) {
        if self.seen.link_echoes.is_empty() && self.seen.link_echoes_sent > 0 {
            let detail = format!(
                "GRE worked and then stopped: none of {} LCP echoes came back",
                self.seen.link_echoes_sent
            );
            return self.fail(Failure::new(Phase::Gre, Reason::GreStopped, detail), now);
        }
        self.succeed(now);
    }

    fn on_link_event(&mut self, event: link::Event, now: Instant) {
        match event {
            link::Event::LcpUp => {
                self.mark(Phase::Lcp, now);
                if self.was_up() {
                    self.seen.renegotiated.lcp += 1;
                    self.following = (true, true);
                }
                if let (Goal::Link { echoes }, Stage::Link) = (self.goal, self.stage) {
                    self.next_link_echoes(echoes, now);
                }
            }
            link::Event::CandidateDecided(accepted) => {
                self.seen.candidate = Some(accepted);
                self.succeed(now);
            }
            link::Event::Authenticated(method) => {
                self.mark(Phase::Auth, now);
                self.seen.method = Some(method);
            }
            link::Event::CcpDone(mode) => {
                self.mark(Phase::Ccp, now);
                self.seen.mppe = Some(mode);
                if self.was_up() && !std::mem::take(&mut self.following.0) {
                    self.seen.renegotiated.ccp += 1;
                }
                self.session_up(now);
            }
            link::Event::NetworkUp => {
                self.mark(Phase::Ipcp, now);
                if self.was_up() && !std::mem::take(&mut self.following.1) {
                    self.seen.renegotiated.ipcp += 1;
                }
                self.session_up(now);
            }
            link::Event::EchoReplied(time) => {
                let Stage::LinkEcho { left, waiting, until } = self.stage else { return };
                self.seen.link_echoes.push(time);
                match waiting.saturating_sub(1) {
                    0 => self.next_link_echoes(left, now),
                    waiting => self.stage = Stage::LinkEcho { left, waiting, until },
                }
            }
            link::Event::Failed(failure) => self.fail(failure, now),
            link::Event::Finished => {
                if matches!(self.stage, Stage::CloseLink { .. }) {
                    self.close_control(now);
                }
            }
        }
    }

    /// IP could flow before.
    fn was_up(&self) -> bool {
        matches!(self.stage, Stage::Proof { .. } | Stage::Open)
    }

    /// Once encryption is decided and an address is there: prove the keys.
    fn session_up(&mut self, now: Instant) {
        let (Some(mppe), Some(_)) = (self.seen.mppe, self.seen.phase(Phase::Ipcp)) else { return };
        if !matches!(self.goal, Goal::Session | Goal::Open) || !self.carries_datagrams() {
            return;
        }
        match self.stage {
            Stage::Link => {}
            // Keys that were agreed anew meanwhile get the whole time, too.
            Stage::Proof { .. } if mppe.is_some() => {}
            _ => return,
        }
        let nothing_to_prove = mppe.is_none() && self.goal == Goal::Session;
        if nothing_to_prove || self.addresses().is_none() {
            return self.proved(now);
        }
        self.send_proof(now + self.echo_timeout, now);
    }

    /// Whatever the echo showed, that was all it was for.
    fn proved(&mut self, now: Instant) {
        if self.goal != Goal::Open {
            return self.succeed(now);
        }
        self.gre_until = None;
        self.widen_at = None;
        self.quiet_at = None;
        self.stage = Stage::Open;
    }

    /// An echo to the gateway's inner address: that it can be read and
    /// answered proves the keys.
    fn send_proof(&mut self, until: Instant, now: Instant) {
        let sequence = self.proofs_sent.len() as u16;
        self.stage = Stage::Proof { next_at: now + PROOF_RETRY * (1 << sequence.min(10)), until };
        self.proofs_sent.push(now);
        // A gateway that negotiates anew may have taken the addresses back.
        let addresses = self.link.as_ref().and_then(Link::addresses);
        let (Some((source, destination)), Some(link)) = (addresses, &mut self.link) else { return };
        let identifier = self.echo_identifier;
        let data = b"pptp-monitor".as_slice();
        let echo = Icmp::Echo { reply: false, identifier, sequence, data }.emit();
        let datagram = Datagram { source, destination, protocol: PROTOCOL_ICMP, payload: &echo };
        link.send_network(ppp::IPV4, &datagram.emit());
    }

    fn on_datagram(&mut self, datagram: &[u8], now: Instant) {
        if !matches!(self.stage, Stage::Proof { .. }) {
            return;
        }
        let Ok(datagram) = Datagram::parse(datagram) else { return };
        if datagram.protocol != PROTOCOL_ICMP {
            return;
        }
        if let Ok(Icmp::Echo { reply: true, identifier, sequence, .. }) =
            Icmp::parse(datagram.payload)
            && identifier == self.echo_identifier
            && let Some(&sent_at) = self.proofs_sent.get(usize::from(sequence))
        {
            self.seen.proof = Proof::Proved(now.duration_since(sent_at));
            self.mark(Phase::Data, now);
            self.proved(now);
        }
    }
}

mod open;
#[cfg(test)]
mod tests;
mod verdict;
