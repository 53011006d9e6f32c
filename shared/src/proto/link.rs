//! One PPP link from the caller's side (RFC 1661, section 3): LCP, then
//! authentication, then CCP and IPCP side by side.
//!
//! It owns which protocol may speak in which phase, and encryption of what
//! goes through. Frames go in and out; GRE is the business of its owner.
//!
//! **Round trips.** Nothing waits that need not. The first Configure-Request
//! is ready at once: what arrives before pppd runs waits in its terminal. CCP
//! and IPCP are negotiated in one flight: RFC 1661 lets network protocols go
//! in any order, but pppd with MPPE required drops IPCP until CCP is open.
//! Since it works on packets in order, an IPCP request right *behind* our CCP
//! Ack finds CCP open. Where that fails (our CCP request is answered with a
//! Nak), the IPCP request is repeated the moment CCP opens.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Failure;
use super::auth::{AuthEvent, AuthProtocol, Authenticatee, Credentials};
use super::automaton::{self, Automaton, Timing};
use super::ccp::CcpNegotiator;
use super::ipcp::IpcpNegotiator;
use super::lcp::{AuthPolicy, LcpNegotiator};
use super::mppe::{Decryptor, Encryptor, Mode};
use crate::crypto::mppe::MasterKeys;
use crate::method::{Method, MppePolicy};
use crate::output::escape;
use crate::reason::{Phase, Reason};
use crate::wire::cp::{Code, Packet};
use crate::wire::ppp::{self, Frame};

/// After authentication the gateway's own CCP request is waited for so long,
/// because ours can follow it and save a round trip.
const CCP_HOLD: Duration = Duration::from_millis(60);
/// Times one unknown protocol or code is answered.
const MAX_PROTOCOL_REJECTS: u32 = 16;
/// Frames from the gateway while IP may not flow, beyond which it floods.
const MAX_FRAMES: u64 = 20_000;
/// Repeats of a proposal that was not granted before the quarrel is over.
const STUBBORN: u32 = 3;

/// How far a link goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Until LCP is open; authentication is never answered.
    Lcp,
    /// Until it is known whether the gateway takes [`AuthPolicy::Candidate`].
    Candidate,
    /// Until IP may flow.
    Network,
}

/// What a link shall do. The random numbers come from outside.
pub struct Config {
    /// How far it goes.
    pub goal: Goal,
    /// Which authentication is granted.
    pub auth: AuthPolicy,
    /// Needed when authentication is to be answered.
    pub credentials: Option<Credentials>,
    /// Which encryption is fine.
    pub mppe: MppePolicy,
    /// Largest information field to receive, where the default of 1,500
    /// octets shall not hold.
    pub mru: Option<u16>,
    /// Random, not 0.
    pub magic: u32,
    /// Random, for MS-CHAPv2.
    pub peer_challenge: [u8; 16],
    /// Ask for DNS servers.
    pub ask_dns: bool,
    /// Ask for WINS servers.
    pub ask_nbns: bool,
    /// Retransmission of Configure-Requests.
    pub timing: Timing,
}

/// What the owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// LCP is open.
    LcpUp,
    /// [`Goal::Candidate`] is decided.
    CandidateDecided(bool),
    /// The gateway accepted us; with [`Method::None`] it asked for nothing.
    Authenticated(Method),
    /// Encryption is decided.
    CcpDone(Option<Mode>),
    /// IPCP is open.
    NetworkUp,
    /// An LCP Echo-Reply to [`Link::echo`].
    EchoReplied(Duration),
    /// The link cannot reach its goal, or broke after it.
    Failed(Failure),
    /// LCP is closed.
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Establish,
    Authenticate,
    Network,
    Terminate,
}

/// What came over the link beside the negotiation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub frames: u64,
    /// Frames that could not be read, or packets in them.
    pub malformed: u64,
    /// Frames of a protocol that may not speak in this phase.
    pub out_of_phase: u64,
    /// LCP Echo-Requests answered.
    pub echo_requests: u64,
    /// Datagrams in the clear although MPPE was agreed.
    pub clear: u64,
    /// Encrypted frames that could not be decrypted.
    pub undecryptable: u64,
    /// CCP Reset-Requests answered: the gateway missed packets of ours.
    pub resets: u64,
    /// Encrypted frames that could be decrypted.
    pub decrypted: u64,
    /// Datagrams dropped here because nobody took them.
    pub overflowed: u64,
    /// Decrypted frames that hold no known protocol, and Protocol-Rejects of
    /// protocols we never sent: the keys differ.
    pub garbled: u64,
}

/// One PPP link.
pub struct Link {
    goal: Goal,
    auth_policy: AuthPolicy,
    credentials: Option<Credentials>,
    peer_challenge: [u8; 16],
    mppe: MppePolicy,
    stage: Stage,
    lcp: Automaton<LcpNegotiator>,
    auth: Option<Authenticatee>,
    /// What authentication began with; it never begins again.
    auth_begun: Option<AuthProtocol>,
    method: Option<Method>,
    message: Vec<u8>,
    auth_requested: bool,
    keys: Option<MasterKeys>,
    ccp: Automaton<CcpNegotiator>,
    ccp_done: bool,
    /// The gateway asked for MPPE and was told that there is none.
    mppe_rejected: bool,
    ccp_hold_until: Option<Instant>,
    ipcp: Automaton<IpcpNegotiator>,
    encryptor: Option<Encryptor>,
    decryptor: Option<Decryptor>,
    /// Echo-Requests that wait for their reply; few.
    echoes: Vec<(u8, Instant)>,
    echo_identifier: u8,
    /// Echo-Replies that the owner did not take yet: identifier and length.
    echo_replies: VecDeque<(u8, usize)>,
    /// Encrypted frames that came out as nonsense since the last that did not.
    garbled_run: u32,
    protocol_rejects: u32,
    identifier: u8,
    /// Count of frames sent, to order our CCP and IPCP packets.
    sent: u64,
    ccp_sent: u64,
    ipcp_sent: u64,
    failed: bool,
    decided: bool,
    identification: Vec<u8>,
    counters: Counters,
    /// Frames since IP flowed last.
    negotiation_frames: u64,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    inbox: VecDeque<(u16, Vec<u8>)>,
}

impl Link {
    /// A link whose first Configure-Request is ready to be sent.
    pub fn new(config: Config, now: Instant) -> Self {
        let lcp = LcpNegotiator::new(config.auth.clone(), config.magic, config.mru);
        let mut link = Self {
            goal: config.goal,
            auth_policy: config.auth,
            credentials: config.credentials,
            peer_challenge: config.peer_challenge,
            mppe: config.mppe,
            stage: Stage::Establish,
            lcp: Automaton::new(lcp, config.timing),
            auth: None,
            auth_begun: None,
            method: None,
            message: Vec::new(),
            auth_requested: false,
            keys: None,
            ccp: Automaton::new(CcpNegotiator::new(config.mppe), config.timing),
            ccp_done: false,
            mppe_rejected: false,
            ccp_hold_until: None,
            ipcp: Automaton::new(
                IpcpNegotiator::new(config.ask_dns, config.ask_nbns),
                config.timing,
            ),
            encryptor: None,
            decryptor: None,
            echoes: Vec::new(),
            echo_identifier: 0,
            echo_replies: VecDeque::new(),
            garbled_run: 0,
            protocol_rejects: 0,
            identifier: 0,
            sent: 0,
            ccp_sent: 0,
            ipcp_sent: 0,
            failed: false,
            decided: false,
            identification: Vec::new(),
            counters: Counters::default(),
            negotiation_frames: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            inbox: VecDeque::new(),
        };
        link.lcp.open(now);
        link.lcp.lower_up(now);
        link.drain(now);
        link
    }

    /// What LCP learned about the gateway.
    pub fn lcp(&self) -> &LcpNegotiator {
        self.lcp.negotiator()
    }

    /// Packets of LCP so far.
    pub fn lcp_counters(&self) -> automaton::Counters {
        self.lcp.counters()
    }

    /// What IPCP gave.
    pub fn ipcp(&self) -> &IpcpNegotiator {
        self.ipcp.negotiator()
    }

    /// What CCP learned about the gateway.
    pub fn ccp(&self) -> &CcpNegotiator {
        self.ccp.negotiator()
    }

    /// What the gateway said when it accepted us, escaped by whoever prints it.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// How the gateway described itself (LCP Identification), at most 64 octets.
    pub fn identification(&self) -> &[u8] {
        &self.identification
    }

    /// True when the gateway began to ask for authentication.
    pub fn auth_requested(&self) -> bool {
        self.auth_requested
    }

    /// What came beside the negotiation.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// True when the gateway answered one of our LCP packets: what we send
    /// reaches it.
    pub fn answered(&self) -> bool {
        self.lcp.counters().answers_received > 0
    }

    /// The GRE layer saw everything that we sent acknowledged.
    pub fn delivered(&mut self) {
        if let Some(auth) = &mut self.auth {
            auth.delivered();
        }
    }

    /// Closes the link with a Terminate-Request.
    pub fn close(&mut self, now: Instant) {
        self.stage = Stage::Terminate;
        self.auth = None;
        self.ccp_hold_until = None;
        self.lcp.close(b"", now);
        self.drain(now);
    }

    /// Takes a PPP frame.
    pub fn handle_frame(&mut self, octets: &[u8], now: Instant) {
        self.counters.frames += 1;
        // A user may receive as much as he likes.
        let negotiates = self.phase() != Phase::Data;
        self.negotiation_frames = if negotiates { self.negotiation_frames + 1 } else { 0 };
        if self.negotiation_frames > MAX_FRAMES {
            return self.fail(
                self.phase(),
                Reason::Flooded,
                format!("gateway sent more than {MAX_FRAMES} PPP frames"),
            );
        }
        match Frame::parse(octets) {
            Ok(frame) => self.handle_protocol(frame, now),
            Err(_) => self.counters.malformed += 1,
        }
        self.drain(now);
    }

    /// A timer ran out.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lcp.handle_timeout(now);
        if let Some(auth) = &mut self.auth {
            auth.handle_timeout(now);
        }
        self.ccp.handle_timeout(now);
        self.ipcp.handle_timeout(now);
        if self.ccp_hold_until.is_some_and(|at| at <= now) {
            self.start_ccp(now);
            self.start_ipcp(now);
        }
        self.drain(now);
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Link::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.lcp.poll_timeout(),
            self.auth.as_ref().and_then(Authenticatee::poll_timeout),
            self.ccp.poll_timeout(),
            self.ipcp.poll_timeout(),
            self.ccp_hold_until,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The phase that is in progress.
    pub fn phase(&self) -> Phase {
        match self.stage {
            Stage::Establish => Phase::Lcp,
            Stage::Authenticate => Phase::Auth,
            Stage::Network if !self.ccp_done => Phase::Ccp,
            Stage::Network if !self.ipcp.is_opened() => Phase::Ipcp,
            _ => Phase::Data,
        }
    }

    /// What is being waited for, in an operator's words.
    pub fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Establish => "negotiating LCP",
            Stage::Authenticate => match &self.auth {
                Some(auth) => auth.stage(),
                None => "waiting for authentication",
            },
            Stage::Network if !self.ccp_done => "negotiating encryption (CCP)",
            Stage::Network if !self.ipcp.is_opened() => "negotiating an address (IPCP)",
            Stage::Network => "the link was up",
            Stage::Terminate => "closing the link",
        }
    }

    fn fail(&mut self, phase: Phase, reason: Reason, detail: impl Into<String>) {
        if !self.failed && self.stage != Stage::Terminate {
            self.failed = true;
            self.events.push_back(Event::Failed(Failure::new(phase, reason, detail)));
        }
    }

    fn send_frame(&mut self, protocol: u16, information: &[u8]) {
        let (acfc, pfc) = match self.stage {
            Stage::Establish => (false, false),
            _ => (self.lcp().peer_acfc(), self.lcp().peer_pfc()),
        };
        self.sent += 1;
        self.transmits.push_back(Frame { protocol, information }.emit_compressed(acfc, pfc));
    }

    fn send_lcp(&mut self, code: Code, identifier: u8, data: Vec<u8>) {
        self.send_frame(ppp::LCP, &Packet { code, identifier, data }.emit());
    }

    fn reject_protocol(&mut self, frame: Frame<'_>) {
        if !self.lcp.is_opened() || self.protocol_rejects >= MAX_PROTOCOL_REJECTS {
            return;
        }
        self.protocol_rejects += 1;
        self.identifier = self.identifier.wrapping_add(1);
        let mut data = frame.protocol.to_be_bytes().to_vec();
        let room = usize::from(self.lcp().peer_mru()).saturating_sub(6).min(1_400);
        data.extend(&frame.information[..frame.information.len().min(room)]);
        self.send_lcp(Code::ProtocolReject, self.identifier, data);
    }

    fn handle_protocol(&mut self, frame: Frame<'_>, now: Instant) {
        if frame.protocol == ppp::LCP {
            return self.handle_lcp(frame.information, now);
        }
        if !self.lcp.is_opened() || self.stage == Stage::Terminate {
            self.counters.out_of_phase += 1;
            return;
        }
        if self.goal == Goal::Candidate {
            // Whatever follows LCP without authentication: it was not needed.
            let network = matches!(frame.protocol, ppp::CCP | ppp::IPCP | ppp::IPV6CP);
            return self.decide(network && self.lcp().auth().is_none());
        }
        if self.stage == Stage::Authenticate
            && self.method.is_some()
            && matches!(frame.protocol, ppp::CCP | ppp::IPCP)
        {
            // After LCP was renegotiated: this gateway does not ask again who calls.
            self.enter_network(now);
        }
        match frame.protocol {
            ppp::PAP | ppp::CHAP | ppp::EAP => {
                self.auth_requested = true;
                match &mut self.auth {
                    Some(auth) => auth.handle_packet(frame.protocol, frame.information, now),
                    None if self.goal == Goal::Lcp => {}
                    None => self.counters.out_of_phase += 1,
                }
            }
            ppp::CCP | ppp::IPCP | ppp::IPV6CP if self.stage == Stage::Authenticate => {
                self.counters.out_of_phase += 1;
                if let Some(auth) = &mut self.auth {
                    auth.verdict_missed();
                }
            }
            _ if self.stage != Stage::Network => self.counters.out_of_phase += 1,
            ppp::CCP => self.handle_ccp(frame, now),
            ppp::IPCP => match Packet::parse(frame.information) {
                Ok(packet) => {
                    // Whoever begins with IPCP has no CCP to wait for.
                    self.start_ccp(now);
                    self.start_ipcp(now);
                    if let Some(unknown) = self.ipcp.handle_packet(packet, now) {
                        self.ipcp.reject_code(&unknown);
                    }
                }
                Err(_) => self.counters.malformed += 1,
            },
            ppp::COMPRESSED => self.handle_encrypted(frame.information),
            // Nothing in the clear before it is known whether that is right.
            ppp::IPV4 | ppp::IPV6 if self.ipcp.is_opened() && self.ccp_done => {
                if self.decryptor.is_some() {
                    self.counters.clear += 1;
                } else {
                    self.deliver(frame.protocol, frame.information.to_vec());
                }
            }
            ppp::IPV4 | ppp::IPV6 => self.counters.out_of_phase += 1,
            _ => self.reject_protocol(frame),
        }
    }

    fn handle_lcp(&mut self, information: &[u8], now: Instant) {
        let Ok(packet) = Packet::parse(information) else {
            self.counters.malformed += 1;
            return;
        };
        let request = packet.code == Code::ConfigureRequest;
        let Some(packet) = self.lcp.handle_packet(packet, now) else {
            if request {
                self.after_lcp_request();
            }
            return;
        };
        let magic = packet.data.first_chunk().copied().map(u32::from_be_bytes);
        let own = magic.is_some_and(|magic| magic != 0 && magic == self.lcp().magic());
        match packet.code {
            Code::EchoRequest if own => self.loop_seen(),
            Code::EchoRequest if self.lcp.is_opened() => {
                self.counters.echo_requests += 1;
                let mut data = packet.data;
                let own = self.lcp().magic().to_be_bytes();
                data.resize(data.len().clamp(4, 1_400), 0);
                data[..4].copy_from_slice(&own);
                self.send_lcp(Code::EchoReply, packet.identifier, data);
            }
            Code::EchoReply => {
                self.keep_echo(&packet);
                let waiting = self.echoes.iter().position(|echo| echo.0 == packet.identifier);
                if let Some(place) = waiting {
                    let (_, sent_at) = self.echoes.remove(place);
                    self.events.push_back(Event::EchoReplied(now.duration_since(sent_at)));
                }
            }
            Code::ProtocolReject => self.protocol_rejected(&packet, now),
            Code::Identification => {
                let text = packet.data.get(4..).unwrap_or_default();
                self.identification = text[..text.len().min(64)].to_vec();
            }
            Code::EchoRequest | Code::DiscardRequest | Code::TimeRemaining => {}
            _ if self.protocol_rejects < MAX_PROTOCOL_REJECTS => {
                self.protocol_rejects += 1;
                self.lcp.reject_code(&packet);
            }
            _ => {}
        }
    }

    fn loop_seen(&mut self) {
        self.lcp.negotiator_mut().count_loop();
        self.check_loop();
    }

    fn check_loop(&mut self) {
        if self.lcp().looped() {
            self.fail(Phase::Lcp, Reason::LcpLoop, "our own PPP packets come back to us");
        }
    }

    /// What the gateway's Configure-Request revealed.
    fn after_lcp_request(&mut self) {
        self.check_loop();
        let lcp = self.lcp();
        let last = lcp.proposals().last().cloned().flatten();
        let stubborn = lcp.unchanged_proposals() >= STUBBORN
            && last.as_ref().is_some_and(|last| !self.auth_policy.grants(last));
        if let (Goal::Candidate, AuthPolicy::Candidate(method)) = (self.goal, &self.auth_policy) {
            match (&last, method) {
                (Some(_), _) if lcp.auth() == last.as_ref() => self.decide(true),
                // It gave the candidate up, or never asked for anything.
                (None, Method::None) if lcp.proposals().len() == 1 => self.decide(true),
                (None, Method::None) => {}
                (None, _) => self.decide(false),
                (Some(_), _) if stubborn => self.decide(false),
                _ => {}
            }
        } else if stubborn && self.goal == Goal::Network {
            self.auth_unacceptable();
        }
    }

    fn decide(&mut self, accepted: bool) {
        if !self.decided {
            self.decided = true;
            self.events.push_back(Event::CandidateDecided(accepted));
        }
    }

    fn auth_unacceptable(&mut self) {
        let wanted: Vec<String> =
            self.lcp().proposals().iter().flatten().map(AuthProtocol::to_string).collect();
        let allowed: Vec<&str> = match &self.auth_policy {
            AuthPolicy::OneOf(methods) => methods.iter().map(|method| method.word()).collect(),
            AuthPolicy::Candidate(method) => vec![method.word()],
            AuthPolicy::Whatever => Vec::new(),
        };
        self.fail(
            Phase::Auth,
            Reason::AuthOfferedUnacceptable,
            format!(
                "gateway asks for {}, allowed here is {}",
                wanted.join(", "),
                allowed.join(", ")
            ),
        );
    }

    fn protocol_rejected(&mut self, packet: &Packet, now: Instant) {
        let Some(&[high, low]) = packet.data.first_chunk() else {
            self.counters.malformed += 1;
            return;
        };
        match u16::from_be_bytes([high, low]) {
            ppp::CCP => self.ccp.protocol_rejected(now),
            ppp::IPCP => self.ipcp.protocol_rejected(now),
            ppp::COMPRESSED => self.counters.undecryptable += 1,
            protocol @ (ppp::PAP | ppp::CHAP | ppp::EAP) => self.fail(
                Phase::Auth,
                Reason::AuthOfferedUnacceptable,
                format!("gateway rejects {} that it asked for", ppp::protocol_name(protocol)),
            ),
            ppp::IPV4 | ppp::IPV6 => {}
            // We never sent it: the gateway decrypted something with another key.
            _ if self.encryptor.is_some() => self.garbled(),
            _ => {}
        }
    }

    fn on_lcp_event(&mut self, event: automaton::Event, now: Instant) {
        match event {
            automaton::Event::Up => self.lcp_up(now),
            automaton::Event::Down => {
                // Renegotiated by the gateway: everything above starts over,
                // but never the authentication.
                if self.stage != Stage::Terminate {
                    self.stage = Stage::Establish;
                }
                self.ccp.lower_down();
                self.ipcp.lower_down();
            }
            automaton::Event::Finished => self.events.push_back(Event::Finished),
            automaton::Event::TerminateRequested(data) => self.terminate_requested(&data),
            automaton::Event::Rejected => self.fail(
                Phase::Lcp,
                Reason::LcpNotConverging,
                "gateway rejects the codes that LCP is made of",
            ),
            automaton::Event::Silent => self.fail(
                Phase::Lcp,
                Reason::Silent,
                "gateway answered none of our LCP Configure-Requests",
            ),
            automaton::Event::NotConverging => self.fail(
                Phase::Lcp,
                Reason::LcpNotConverging,
                "gateway and caller never agree on LCP options",
            ),
        }
    }

    fn terminate_requested(&mut self, data: &[u8]) {
        if self.goal == Goal::Candidate {
            return self.decide(false);
        }
        if self.stage == Stage::Establish
            && self.goal == Goal::Network
            && self.lcp().proposals().last().is_some_and(|last| {
                last.as_ref().is_some_and(|protocol| !self.auth_policy.grants(protocol))
            })
        {
            return self.auth_unacceptable();
        }
        let text = if data.is_empty() { String::new() } else { format!(": {}", escape(data)) };
        // Who insists terminates at once and lets no IP up.
        if self.mppe_rejected && !self.ipcp.is_opened() {
            return self.fail(
                Phase::Ccp,
                Reason::MppeRequired,
                format!("gateway insists on MPPE and terminated the link{text}"),
            );
        }
        if self.stage == Stage::Network && !self.ccp_done && self.ccp().hopeless() {
            return self.mppe_refused();
        }
        self.fail(
            self.phase(),
            Reason::Terminated,
            format!("gateway terminated the link while {}{text}", self.stage()),
        );
    }

    fn lcp_up(&mut self, now: Instant) {
        self.events.push_back(Event::LcpUp);
        self.stage = Stage::Authenticate;
        if self.goal != Goal::Network {
            return;
        }
        let Some(protocol) = self.lcp().auth().cloned() else {
            if self.method.is_some() {
                // LCP was renegotiated after authentication, or without any.
                return self.enter_network(now);
            }
            let none_allowed = match &self.auth_policy {
                AuthPolicy::OneOf(methods) => methods.contains(&Method::None),
                _ => true,
            };
            if none_allowed {
                return self.authenticated(Method::None, None, now);
            }
            if self.lcp().proposals().iter().any(Option::is_some) {
                return self.auth_unacceptable();
            }
            return self.fail(
                Phase::Auth,
                Reason::AuthNotRequested,
                "gateway lets callers in without authentication",
            );
        };
        if let Some(begun) = &self.auth_begun {
            // LCP was renegotiated. Before the verdict, as pppd does when our Ack
            // was lost, authentication goes on where it is; after it pppd
            // wants to know again who calls, and derives other keys.
            if *begun != protocol {
                let detail = format!("gateway asked for {begun} first and then for {protocol}");
                self.fail(Phase::Auth, Reason::AuthOfferedUnacceptable, detail);
            } else if let Some(auth) = &mut self.auth {
                auth.link_up_again(now);
            }
            return;
        }
        let allowed = match &self.auth_policy {
            AuthPolicy::OneOf(methods) => methods.clone(),
            _ => Method::ALL.to_vec(),
        };
        match self.credentials.take() {
            Some(credentials) => {
                self.auth_begun = Some(protocol.clone());
                self.auth = Some(Authenticatee::new(
                    protocol,
                    allowed,
                    credentials,
                    self.peer_challenge,
                    now,
                ));
            }
            None => self.fail(
                Phase::Auth,
                Reason::Local,
                "gateway asks for authentication, but there is no account to use",
            ),
        }
    }

    fn on_auth_event(&mut self, event: AuthEvent, now: Instant) {
        match event {
            AuthEvent::Succeeded { method, keys, message } => {
                self.message = message;
                self.authenticated(method, keys, now);
            }
            AuthEvent::Failed(failure) => self.fail(Phase::Auth, failure.reason, failure.detail),
            AuthEvent::Reauthenticated { keys } => {
                self.keys = keys;
                if self.stage == Stage::Authenticate {
                    self.enter_network(now);
                }
            }
            AuthEvent::Challenged | AuthEvent::Responded => {}
        }
    }

    fn authenticated(&mut self, method: Method, keys: Option<MasterKeys>, now: Instant) {
        self.method = Some(method);
        self.keys = keys;
        self.events.push_back(Event::Authenticated(method));
        if self.keys.is_none() && !self.mppe.allow_none {
            return self.fail(
                Phase::Ccp,
                Reason::MppeRefused,
                format!("authentication by {method} gives no keys for MPPE"),
            );
        }
        self.enter_network(now);
    }

    /// Moves packets and events up and out until nothing moves any more.
    fn drain(&mut self, now: Instant) {
        loop {
            let before = (self.sent, self.events.len());
            while let Some(packet) = self.lcp.poll_transmit() {
                self.send_frame(ppp::LCP, &packet.emit());
            }
            while let Some(event) = self.lcp.poll_event() {
                self.on_lcp_event(event, now);
            }
            while let Some((protocol, packet)) =
                self.auth.as_mut().and_then(Authenticatee::poll_transmit)
            {
                self.send_frame(protocol, &packet);
            }
            while let Some(event) = self.auth.as_mut().and_then(Authenticatee::poll_event) {
                self.on_auth_event(event, now);
            }
            while let Some(packet) = self.ccp.poll_transmit() {
                let acked = packet.code == Code::ConfigureAck;
                self.send_frame(ppp::CCP, &packet.emit());
                self.ccp_sent = self.sent;
                if acked {
                    self.start_ipcp(now);
                }
            }
            while let Some(event) = self.ccp.poll_event() {
                self.on_ccp_event(event, now);
            }
            while let Some(packet) = self.ipcp.poll_transmit() {
                let request = packet.code == Code::ConfigureRequest;
                self.send_frame(ppp::IPCP, &packet.emit());
                if request {
                    self.ipcp_sent = self.sent;
                }
            }
            while let Some(event) = self.ipcp.poll_event() {
                self.on_ipcp_event(event);
            }
            if before == (self.sent, self.events.len()) {
                return;
            }
        }
    }
}

mod data;
mod network;

#[cfg(test)]
mod tests;
