//! One caller, from the first octet on TCP to the last on GRE: the control
//! connection of the PAC (RFC 2637, section 3.1), one call at a time, its GRE
//! channel with its PPP link, what is behind it, and every fault on the way.
//!
//! It owns no socket and no clock. Octets leave in the order in which
//! [`Session::poll_transmit`] gives them, each [`Transmit::Control`] as one
//! segment. Faults are looked up at every step; after a change the owner calls
//! [`Session::handle_timeout`].
//!
//! What differs from pptpd, for the RFC's sake: a Call-Clear-Request is answered
//! with Call-Disconnect-Notify and the connection stays open, and an end of PPP
//! is told by Call-Disconnect-Notify before the connection closes. A caller is
//! asked for an Echo after a minute of silence (section 3.1.4). As pptpd does: any requested
//! version is answered with 1.0, a first message that is none leads to a reset, and
//! so do ten seconds without one.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pptp_probe::output::escape;
use pptp_probe::proto::gre::GreChannel;
use pptp_probe::reason::Phase;
use pptp_probe::wire::control::{
    CallDisconnectNotify, CauseCode, DisconnectResult, Framer, GeneralError, Message,
    OutgoingCallReply, OutgoingCallRequest, OutgoingCallResult, SimpleResult, StartReply,
    StartRequest, StartResult, StopReason, VERSION,
};
use pptp_probe::wire::gre;
use pptp_probe::wire::ip::{Datagram, Icmp};
use pptp_probe::wire::ppp::{self, Frame};

use self::call::Call;
use self::leaving::{ControlQueue, Path};
use super::config::Config;
use super::faults::{Fault, SharedFaults};
use super::inside::Inside;
use super::link::{self, Link};

/// A caller who has not begun by then is dropped, as by pptpd.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A gateway that does not answer hangs up after that long, to be rid of
/// callers who never do.
const MUTE_TIMEOUT: Duration = Duration::from_secs(600);
/// Silence after which the caller is asked for an Echo, and then given up.
const ECHO_INTERVAL: Duration = Duration::from_secs(60);
/// How long the answer to a Stop-Control-Connection-Request is waited for.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// Packets that this gateway takes before it acknowledges; pptpd says 3.
const RECEIVE_WINDOW: u16 = 64;
/// Packets sent ahead of their acknowledgement, even where the caller says
/// less: pptp-linux says 3 and acknowledges after half a second, which would
/// be waited for in the middle of LCP. pptpd does not wait either.
const SEND_WINDOW: u16 = 64;
/// Control segments that wait to be sent; a caller who lets more pile up is reset.
const CONTROL_QUEUE: usize = 4096;
/// GRE packets, and PPP frames, that wait to be sent; what comes then is lost.
const GRE_QUEUE: usize = 1024;
/// One period of a flood, and what it sends then.
const FLOOD_PERIOD: Duration = Duration::from_millis(1);
const FLOOD_BURST: usize = 64;
/// Of two packets to swap, the first waits so long for the second.
const SWAP_TIME: Duration = Duration::from_millis(50);
/// Lines of log that nobody fetched; the oldest go first.
const LOG_LINES: usize = 256;

/// What leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// One segment on the control connection.
    Control(Vec<u8>),
    /// One GRE packet, without IP header, to the caller.
    Gre(Vec<u8>),
    /// One ICMP message, without IP header, to the caller.
    Icmp(Vec<u8>),
    /// One datagram out of the tunnel for the caller who has this address.
    Forward(Ipv4Addr, Vec<u8>),
    /// The control connection ends (FIN).
    CloseControl,
    /// The control connection is torn down (RST).
    ResetControl,
}

/// What one caller is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Two Call IDs: one of them is not the caller's own, so that both can be
    /// told apart on loopback.
    pub call_ids: [u16; 2],
    /// Address inside the tunnel; `None` when the pool is empty, which refuses
    /// calls.
    pub address: Option<Ipv4Addr>,
    /// The caller came while a session from its address stood.
    pub is_further: bool,
}

/// Random octets, 16 at a time.
pub type Entropy = Box<dyn FnMut() -> [u8; 16]>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Start-Control-Connection-Request is awaited.
    WaitStart { until: Instant },
    /// The caller is listened to no more, but may stay.
    Mute { until: Instant },
    /// The connection stands.
    Established { quiet_since: Instant, echo_sent: bool },
    /// Our Stop-Control-Connection-Request waits for its reply.
    WaitStopReply { until: Instant },
    /// Nothing of the caller is read any more.
    Over,
}

/// One caller.
pub struct Session {
    config: Rc<Config>,
    faults: SharedFaults,
    lease: Lease,
    entropy: Entropy,
    state: State,
    framer: Framer,
    control: ControlQueue,
    call: Option<Call>,
    /// Outlives the call: what was sent before its end still arrives.
    path: Path,
    calls: u32,
    echo_identifier: u32,
    flood_at: Option<Instant>,
    /// The reply that a flood repeats.
    flood_reply: Option<Vec<u8>>,
    /// The last octet on the control connection, either way.
    control_moved_at: Instant,
    icmp: VecDeque<Vec<u8>>,
    log: VecDeque<String>,
}

impl Session {
    /// A caller whose TCP connection was accepted at `now`.
    pub fn new(
        config: Rc<Config>,
        faults: SharedFaults,
        lease: Lease,
        entropy: Entropy,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            config,
            faults,
            lease,
            entropy,
            state: State::WaitStart { until: now + START_TIMEOUT },
            framer: Framer::new(),
            control: ControlQueue::new(now),
            call: None,
            path: Path::default(),
            calls: 0,
            echo_identifier: 0,
            flood_at: None,
            flood_reply: None,
            control_moved_at: now,
            icmp: VecDeque::new(),
            log: VecDeque::new(),
        };
        if session.has(Fault::Banner) {
            session.send_control(b"SSH-2.0-pptp-lab\r\n".to_vec(), Phase::Control, now);
        }
        session
    }

    /// Octets arrived on the control connection.
    pub fn handle_control_input(&mut self, octets: &[u8], now: Instant) {
        let deaf = matches!(self.state, State::Over | State::Mute { .. });
        if deaf || self.has(Fault::TcpSilent) || self.control_is_dead(now) {
            return;
        }
        if let State::Established { quiet_since, echo_sent } = &mut self.state {
            (*quiet_since, *echo_sent) = (now, false);
        }
        if self.has(Fault::Banner) {
            // As an SSH server does with a client that is none.
            self.close_control(now);
        } else if self.has(Fault::Garbage) && matches!(self.state, State::WaitStart { .. }) {
            let garbage = (0..4).flat_map(|_| (self.entropy)()).collect();
            self.send_control(garbage, Phase::Control, now);
            self.state = State::Mute { until: now + MUTE_TIMEOUT };
        } else {
            self.framer.push(octets);
            while self.state != State::Over {
                match self.framer.next_message() {
                    Ok(Some(message)) => self.receive(message, now),
                    Ok(None) => break,
                    Err(error) => {
                        self.log(format!("not a control message: {error}"));
                        self.end_call();
                        self.reset_control(now);
                    }
                }
            }
        }
        self.pump(now);
    }

    /// The caller closed or reset the control connection.
    pub fn handle_control_closed(&mut self, now: Instant) {
        if self.state != State::Over {
            self.log("the caller closed the control connection".into());
        }
        self.end_call();
        self.control.queue.clear();
        self.close_control(now);
    }

    /// An IP datagram of protocol 47 arrived from the caller, header included,
    /// as a raw socket gives it. Datagrams with Call IDs that are not this
    /// session's are ignored.
    pub fn handle_gre_input(&mut self, datagram: &[u8], now: Instant) {
        let Ok(ip) = Datagram::parse(datagram) else {
            return;
        };
        let Some(call) = &mut self.call else {
            return;
        };
        if gre::Packet::parse(ip.payload).is_ok_and(|packet| packet.call_id != call.local_call_id) {
            return;
        }
        call.packets = call.packets.saturating_add(1);
        call.age(&self.faults.borrow(), now);
        call.gre_moved_at = now;
        call.idle_in = false;
        if self.has(Fault::GreUnreachable) {
            // Header and eight octets (RFC 792).
            let quoted = datagram.len() - ip.payload.len() + ip.payload.len().min(8);
            let icmp = Icmp::Unreachable { code: 2, original: &datagram[..quoted] };
            if self.icmp.len() < GRE_QUEUE {
                self.icmp.push_back(icmp.emit());
            }
            return;
        }
        if self.has(Fault::GreLostIn) || self.gre_lost() || self.is_swallowed(ip.payload, true) {
            return;
        }
        if let Some(call) = &mut self.call {
            call.channel.handle_input(ip.payload, now);
            call.receive_frames(now);
        }
        self.pump(now);
    }

    /// A datagram came out of another caller's tunnel for this one's address.
    pub fn handle_forwarded(&mut self, datagram: Vec<u8>, now: Instant) {
        if let Some(call) = self.call.as_mut().filter(|call| call.link.carries_datagrams()) {
            call.inside.handle_forwarded(datagram, now);
        }
        self.pump(now);
    }

    /// There is no caller for a [`Transmit::Forward`] of this session.
    pub fn handle_no_caller(&mut self, datagram: &[u8], now: Instant) {
        if let Some(call) = &mut self.call {
            call.inside.handle_no_caller(datagram, now);
        }
        self.pump(now);
    }

    /// A timer ran out, or faults changed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run_timers(now);
        if let Some(call) = &mut self.call {
            call.channel.handle_timeout(now);
            call.receive_frames(now);
            call.link.handle_timeout(now);
            call.inside.handle_timeout(now);
        }
        self.flood(now);
        self.pump(now);
    }

    /// The gateway shuts down: ends the call and asks for the end of the
    /// connection.
    pub fn shut_down(&mut self, now: Instant) {
        self.stop(StopReason::LocalShutdown, now);
        self.pump(now);
    }

    /// The next thing to send that is due.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.pump(now);
        let limit = self.find(|fault| match fault {
            Fault::TcpCloseAfter(octets) => Some(u64::from(*octets)),
            _ => None,
        });
        // What was sent before the call ended goes before what tells of its end.
        if self.call.is_none()
            && let Some(packet) = self.path.poll(now)
        {
            return Some(Transmit::Gre(packet));
        }
        if let Some(segment) = self.control.poll(limit, now) {
            return Some(Transmit::Control(segment));
        }
        if let Some(message) = self.icmp.pop_front() {
            return Some(Transmit::Icmp(message));
        }
        if let Some(packet) = self.path.poll(now) {
            return Some(Transmit::Gre(packet));
        }
        if let Some((to, datagram)) = self.call.as_mut().and_then(|call| call.inside.poll_forward())
        {
            return Some(Transmit::Forward(to, datagram));
        }
        let end = self.control.poll_end(limit)?;
        self.state = State::Over;
        self.end_call();
        Some(end)
    }

    /// When [`Session::handle_timeout`] is due; a time that has passed means
    /// at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let state = match self.state {
            State::WaitStart { until } if self.has(Fault::TcpSilent) => Some(until + MUTE_TIMEOUT),
            State::WaitStart { until } | State::Mute { until } | State::WaitStopReply { until } => {
                Some(until)
            }
            State::Established { quiet_since, .. } => Some(quiet_since + ECHO_INTERVAL),
            State::Over => None,
        };
        let call = self.call.as_ref().and_then(Call::poll_timeout);
        [state, self.control.poll_timeout(), call, self.path.poll_timeout(), self.flood_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next line for the log.
    pub fn poll_log(&mut self) -> Option<String> {
        self.log.pop_front()
    }

    /// True when the control connection was closed or reset by this side.
    pub fn is_over(&self) -> bool {
        self.control.ended
    }

    /// How far the caller is, in a few words.
    pub fn describe(&self) -> String {
        match (self.state, &self.call) {
            (State::WaitStart { .. }, _) => "connect".into(),
            (State::Established { .. }, None) => "control".into(),
            (State::Established { .. }, Some(call)) => {
                let Call { local_call_id, peer_call_id, .. } = call;
                format!("call={local_call_id}/{peer_call_id} {}", call.link.describe())
            }
            (State::Mute { .. } | State::WaitStopReply { .. } | State::Over, _) => "closing".into(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.borrow().has(fault)
    }

    fn find<T>(&self, of: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        self.faults.borrow().find(of)
    }

    /// How much longer than usual a caller's first message is waited for.
    fn patience(&self) -> Duration {
        if self.has(Fault::TcpSilent) { MUTE_TIMEOUT } else { Duration::ZERO }
    }

    fn log(&mut self, line: String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    fn send_control(&mut self, octets: Vec<u8>, phase: Phase, now: Instant) {
        if self.has(Fault::TcpSilent) || self.control_is_dead(now) {
            return;
        }
        let delay = self.faults.borrow().delay(phase);
        let trickle = self.find(|fault| match fault {
            Fault::TcpTrickle(pause) => Some(*pause),
            _ => None,
        });
        let pause = trickle.or(self.has(Fault::TcpOneOctet).then_some(Duration::ZERO));
        if !self.control.push(octets, pause, now + delay) {
            self.log("the caller does not read what it is sent".into());
            self.reset_control(now);
        }
    }

    /// True once the control connection was idle for longer than a fault
    /// allows: nothing goes over it any more, and nobody learns of that.
    fn control_is_dead(&mut self, now: Instant) -> bool {
        if matches!(self.state, State::Mute { .. }) {
            return true;
        }
        let limit = self.find(|fault| match fault {
            Fault::ControlIdleDrop(limit) => Some(*limit),
            _ => None,
        });
        let idle = now.saturating_duration_since(self.control_moved_at);
        if limit.is_some_and(|limit| idle >= limit) {
            self.log("the control connection was idle for too long and is dead".into());
            self.state = State::Mute { until: now + MUTE_TIMEOUT };
            return true;
        }
        self.control_moved_at = now;
        false
    }

    fn send(&mut self, message: &Message, phase: Phase, now: Instant) {
        self.send_control(message.emit(), phase, now);
    }

    fn close_control(&mut self, now: Instant) {
        self.state = State::Over;
        self.flood_at = None;
        self.control.end(Transmit::CloseControl, now);
    }

    fn reset_control(&mut self, now: Instant) {
        self.state = State::Over;
        self.flood_at = None;
        self.control.end(Transmit::ResetControl, now);
    }

    fn stop(&mut self, reason: StopReason, now: Instant) {
        self.end_call();
        if matches!(self.state, State::Over | State::Mute { .. } | State::WaitStopReply { .. }) {
            return;
        }
        self.send(&Message::StopRequest { reason }, Phase::Control, now);
        self.state = State::WaitStopReply { until: now + STOP_TIMEOUT };
    }

    fn disconnect(&mut self, result: DisconnectResult, now: Instant) {
        let call_id = self.call.as_ref().map_or(0, |call| call.local_call_id);
        self.end_call();
        let notify = CallDisconnectNotify {
            call_id,
            result,
            error: GeneralError::None,
            cause: CauseCode::None,
            call_statistics: Vec::new(),
        };
        self.send(&Message::CallDisconnectNotify(notify), Phase::Control, now);
    }

    fn end_call(&mut self) {
        if let Some(call) = self.call.take() {
            let counters = call.channel.counters();
            let (sent, received) = (counters.sent, counters.received);
            self.log(format!(
                "call {} ended; {received} packets in, {sent} out",
                call.local_call_id
            ));
        }
    }

    fn receive(&mut self, message: Message, now: Instant) {
        match (self.state, message) {
            (State::WaitStart { .. }, Message::StartRequest(request)) => self.start(&request, now),
            (State::WaitStart { .. }, message) => {
                self.log(format!("{} comes first", message.name()));
                self.reset_control(now);
            }
            (
                State::WaitStopReply { .. },
                Message::StopReply { .. } | Message::StopRequest { .. },
            ) => {
                self.close_control(now);
            }
            (State::Mute { .. } | State::WaitStopReply { .. } | State::Over, _) => {}
            // There is a control connection already: this one.
            (State::Established { .. }, Message::StartRequest(_)) => {
                let reply = self.start_reply(StartResult::ChannelExists, GeneralError::None);
                self.send(&reply, Phase::Control, now);
            }
            // Busy with its one message.
            (State::Established { .. }, _) if self.has(Fault::SccrpFlood) => {}
            (State::Established { .. }, Message::StopRequest { .. }) => {
                self.end_call();
                let (result, error) = (SimpleResult::Ok, GeneralError::None);
                self.send(&Message::StopReply { result, error }, Phase::Control, now);
                self.close_control(now);
            }
            (State::Established { .. }, Message::EchoRequest { identifier }) => {
                if self.has(Fault::NoEchoReply) {
                    return;
                }
                let wrong = if self.has(Fault::EchoWrongId) { 0x8000_0000 } else { 0 };
                let reply = Message::EchoReply {
                    identifier: identifier ^ wrong,
                    result: SimpleResult::Ok,
                    error: GeneralError::None,
                };
                self.send(&reply, Phase::Control, now);
            }
            (State::Established { .. }, Message::OutgoingCallRequest(request)) => {
                self.call_requested(&request, now);
            }
            (State::Established { .. }, Message::CallClearRequest { call_id }) => {
                if self.call.as_ref().is_some_and(|call| call.peer_call_id == call_id) {
                    self.log(format!("the caller cleared its call {call_id}"));
                    self.disconnect(DisconnectResult::Request, now);
                }
            }
            // Answers to our Echo count as a sign of life already; link
            // information is for hardware.
            (
                State::Established { .. },
                Message::EchoReply { .. } | Message::SetLinkInfo { .. },
            ) => {}
            (State::Established { .. }, message) => {
                self.log(format!("{} is not for a PAC", message.name()));
            }
        }
    }

    fn start_reply(&self, result: StartResult, error: GeneralError) -> Message {
        let protocol_version = if self.has(Fault::WrongVersion) { 0x0200 } else { VERSION };
        Message::StartReply(StartReply {
            protocol_version,
            result,
            error,
            framing_capabilities: 0,
            bearer_capabilities: 0,
            maximum_channels: 1,
            firmware_revision: 1,
            host_name: self.config.host_name.as_bytes().to_vec(),
            vendor_name: self.config.vendor.as_bytes().to_vec(),
        })
    }

    fn start(&mut self, request: &StartRequest, now: Instant) {
        self.log(format!(
            "control connection of host '{}', vendor '{}'",
            escape(&request.host_name),
            escape(&request.vendor_name)
        ));
        let (result, error) = self
            .find(|fault| match *fault {
                Fault::SccrpResult(result, error) => Some((result, error)),
                _ => None,
            })
            .unwrap_or((StartResult::Success.into(), 0));
        let mut reply = self.start_reply(result.into(), error.into()).emit();
        if self.has(Fault::WrongMagic) {
            reply[7] ^= 1;
        }
        self.send_control(reply.clone(), Phase::Control, now);
        self.state = State::Established { quiet_since: now, echo_sent: false };
        if StartResult::from(result) != StartResult::Success {
            return self.close_control(now);
        }
        self.flood_reply = Some(reply);
        self.entered(Phase::Control, now);
    }

    fn call_requested(&mut self, request: &OutgoingCallRequest, now: Instant) {
        if self.has(Fault::OcrpSilent) {
            return;
        }
        if self.has(Fault::StopAt(Phase::Call)) {
            return self.stop(StopReason::None, now);
        }
        let wanted = self.find(|fault| match *fault {
            Fault::OcrpResult(result, error, cause) => {
                Some((result.into(), error.into(), cause.into()))
            }
            _ => None,
        });
        let (result, error, cause) = match (wanted, &self.call, self.lease.address) {
            (Some(wanted), _, _) => wanted,
            (None, Some(_), _) => (OutgoingCallResult::Busy, GeneralError::None, CauseCode::None),
            (None, None, None) => {
                (OutgoingCallResult::GeneralError, GeneralError::NoResource, CauseCode::None)
            }
            (None, None, Some(_)) => {
                (OutgoingCallResult::Connected, GeneralError::None, CauseCode::None)
            }
        };
        let connected = result == OutgoingCallResult::Connected;
        let [first, second] = self.lease.call_ids;
        let turn = if self.calls.is_multiple_of(2) { [first, second] } else { [second, first] };
        let call_id = if turn[0] == request.call_id { turn[1] } else { turn[0] };
        let reply = OutgoingCallReply {
            call_id: if connected { call_id } else { 0 },
            peer_call_id: request.call_id,
            result,
            error,
            cause,
            connect_speed: request.maximum_bps,
            packet_recv_window_size: RECEIVE_WINDOW,
            packet_processing_delay: 0,
            physical_channel_id: 0,
        };
        self.send(&Message::OutgoingCallReply(reply), Phase::Call, now);
        let (true, None, Some(address)) = (connected, &self.call, self.lease.address) else {
            self.log(format!("the call is refused: {result}, {error}, {cause}"));
            return;
        };
        self.log(format!("call {call_id}, the caller's {}", request.call_id));
        self.calls = self.calls.wrapping_add(1);
        let [random, challenge, seeds] = std::array::from_fn(|_| (self.entropy)());
        let ([a, b, c, d, ..], (seed, inner_seed)) = (random, halves(seeds));
        let entropy = link::Entropy { magic: [a, b, c, d], challenge, seed };
        let (config, faults) = (self.config.clone(), self.faults.clone());
        self.call = Some(Call {
            local_call_id: call_id,
            peer_call_id: request.call_id,
            channel: GreChannel::new(
                call_id,
                request.call_id,
                request.packet_recv_window_size.max(SEND_WINDOW),
                now,
            ),
            link: Link::new(config.clone(), faults.clone(), address, entropy, now),
            inside: Inside::new(config, faults, address, inner_seed),
            late: VecDeque::new(),
            speaks_at: self.control.last,
            packets: 0,
            gre_moved_at: now,
            idle_for_good: false,
            idle_in: false,
            flood_sequence: 0,
        });
        if self.has(Fault::DisconnectAt(Phase::Call)) {
            self.disconnect(DisconnectResult::AdminShutdown, now);
        }
    }

    /// A phase has begun: perhaps one in which to hang up.
    fn entered(&mut self, phase: Phase, now: Instant) {
        if self.has(Fault::StopAt(phase)) {
            self.stop(StopReason::None, now);
        }
        if self.has(Fault::DisconnectAt(phase)) {
            self.disconnect(DisconnectResult::AdminShutdown, now);
        }
    }

    fn run_timers(&mut self, now: Instant) {
        match self.state {
            State::WaitStart { until } if until + self.patience() <= now => {
                self.log("the caller says nothing".into());
                self.reset_control(now);
            }
            State::Mute { until } | State::WaitStopReply { until } if until <= now => {
                self.close_control(now);
            }
            State::Established { quiet_since, echo_sent } if quiet_since + ECHO_INTERVAL <= now => {
                if echo_sent {
                    self.log("the caller does not answer an Echo-Request".into());
                    return self.stop(StopReason::None, now);
                }
                self.state = State::Established { quiet_since: now, echo_sent: true };
                self.echo_identifier = self.echo_identifier.wrapping_add(1);
                let identifier = self.echo_identifier;
                self.send(&Message::EchoRequest { identifier }, Phase::Control, now);
            }
            _ => {}
        }
    }

    /// One burst of what comes without end.
    fn flood(&mut self, now: Instant) {
        let established = matches!(self.state, State::Established { .. });
        let control = established && self.has(Fault::SccrpFlood);
        let gre = self.call.is_some() && self.has(Fault::GreFlood);
        if !control && !gre {
            self.flood_at = None;
            return;
        }
        if self.flood_at.is_some_and(|at| at > now) {
            return;
        }
        self.flood_at = Some(now + FLOOD_PERIOD);
        if let (true, Some(reply)) = (control, self.flood_reply.clone()) {
            // A caller that reads slowly is not reset for it.
            if self.control.queue.len() < FLOOD_BURST {
                self.send_control(reply.repeat(FLOOD_BURST), Phase::Control, now);
            }
        }
        if let (true, Some(call)) = (gre, &mut self.call) {
            call.flood(&mut self.path, now);
        }
    }

    /// GRE is lost both ways.
    fn gre_lost(&self) -> bool {
        let packets = self.call.as_ref().map_or(0, |call| call.packets);
        let faults = self.faults.borrow();
        faults.has(Fault::GreLostBoth)
            || (self.lease.is_further && faults.has(Fault::OnePerAddress))
            || self.call.as_ref().is_some_and(|call| call.idle_for_good)
            || faults
                .find(|fault| match fault {
                    Fault::GreLostAfter(limit) => Some(packets > *limit),
                    _ => None,
                })
                .unwrap_or(false)
    }

    /// Moves frames from the link to the channel and packets from the channel
    /// to the path, and hears what the link has to say.
    fn pump(&mut self, now: Instant) {
        if self.flood_at.is_none() && (self.has(Fault::SccrpFlood) || self.has(Fault::GreFlood)) {
            self.flood(now);
        }
        while let Some(call) = &mut self.call {
            call.fetch_frames(&self.faults, now);
            while call.channel.room() > 0
                && let Some((_, frame)) = call.late.pop_front_if(|(at, _)| *at <= now)
            {
                call.channel.send(frame, now);
            }
            if call.fetch_datagram(now) {
                continue;
            }
            if let Some(packet) = call.channel.poll_transmit(now) {
                self.send_gre(packet, now);
                continue;
            }
            let Some(event) = call.link.poll_event() else {
                return;
            };
            match event {
                link::Event::Entered(phase) => self.entered(phase, now),
                link::Event::Log(line) => self.log(line),
                link::Event::Finished => {
                    self.log("the link is down".into());
                    self.disconnect(DisconnectResult::LostCarrier, now);
                    if !matches!(self.state, State::Mute { .. }) {
                        self.close_control(now);
                    }
                }
            }
        }
    }

    /// A packet falls into a black hole: what it carries is too large for the
    /// path. Its sequence number and MPPE count are gone with it.
    fn is_swallowed(&self, packet: &[u8], from_caller: bool) -> bool {
        let limit = self.find(|fault| match *fault {
            Fault::BlackHole(octets) => Some(octets),
            Fault::BlackHoleIn(octets) if from_caller => Some(octets),
            Fault::BlackHoleOut(octets) if !from_caller => Some(octets),
            _ => None,
        });
        limit.is_some_and(|limit| carried(packet) > usize::from(limit))
    }

    /// A packet meets the path to the caller.
    fn send_gre(&mut self, mut packet: Vec<u8>, now: Instant) {
        let Some(call) = &mut self.call else {
            return;
        };
        call.packets = call.packets.saturating_add(1);
        let sent = call.channel.counters().sent;
        call.age(&self.faults.borrow(), now);
        call.gre_moved_at = now;
        let lost = call.idle_in || self.has(Fault::GreLostOut) || self.has(Fault::GreUnreachable);
        if lost || self.gre_lost() || self.is_swallowed(&packet, false) {
            return;
        }
        if self.has(Fault::GreWrongCallId) && packet.len() > 7 {
            packet[6] ^= 0x55;
            packet[7] ^= 0x55;
        }
        let (twice, swapped) = (self.has(Fault::GreDuplicated), self.has(Fault::GreReordered));
        let at = now + self.faults.borrow().delay(Phase::Gre);
        // Not the first: some peers take the number they see first for the
        // beginning and would drop what comes before it.
        let swapped = swapped && sent > 1;
        if twice {
            self.path.push(packet.clone(), at);
        }
        match swapped {
            true => self.path.push_swapped(packet, at),
            false => self.path.push(packet, at),
        }
    }
}

/// Octets of the IP datagram or of the packet in a GRE packet's PPP frame.
fn carried(packet: &[u8]) -> usize {
    /// MPPE's header, and the protocol that is encrypted with the datagram.
    const MPPE_OVERHEAD: usize = 4;
    let Ok(packet) = gre::Packet::parse(packet) else {
        return 0;
    };
    match Frame::parse(packet.payload) {
        Ok(Frame { protocol: ppp::COMPRESSED, information }) => {
            information.len().saturating_sub(MPPE_OVERHEAD)
        }
        Ok(frame) => frame.information.len(),
        Err(_) => 0,
    }
}

fn halves(octets: [u8; 16]) -> ([u8; 8], [u8; 8]) {
    let (mut first, mut second) = ([0; 8], [0; 8]);
    first.copy_from_slice(&octets[..8]);
    second.copy_from_slice(&octets[8..]);
    (first, second)
}

mod call;
mod leaving;
#[cfg(test)]
mod tests;
