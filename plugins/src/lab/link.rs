//! PPP of one call, seen from the gateway (RFC 1661, section 3.2): LCP, then
//! the caller's proof, then CCP and IPCP, then datagrams.
//!
//! It owns the order of the phases and MPPE; which options are wanted is in
//! [`super::negotiate`], and what becomes of the datagrams is its owner's.
//!
//! As pppd does: LCP Echo-Requests are answered from Opened on, also while
//! the caller proves itself. Where MPPE is required, IPCP stays closed until
//! CCP is opened, and a Configure-Request in between is answered with a
//! Terminate-Ack. Protocols that are not known, and what comes out of MPPE
//! under a wrong key, are answered with a Protocol-Reject; IPv6CP is one. Not
//! as pppd, which would end the link: CCP that is negotiated again holds the
//! datagrams back until it is opened.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pptp_probe::output::escape;
use pptp_probe::proto::automaton::{self, Automaton, Negotiator, State, Timing};
use pptp_probe::proto::mppe::{DecryptError, Decryptor, Encryptor, MasterKeys, Mode};
use pptp_probe::reason::Phase;
use pptp_probe::wire::cp::{Code, LcpOption, Packet, RawOption};
use pptp_probe::wire::ppp::{self, Frame};

use super::authenticator::{self, Authenticator};
use super::chance::Chance;
use super::config::{Config, MppeUse};
use super::faults::{Fault, SharedFaults};
use super::negotiate::{Ccp, Ipcp, Lcp, Proof};

/// As pppd: every 3 s, ten times.
const TIMING: Timing = Timing {
    restart: Duration::from_secs(3),
    restart_max: Duration::from_secs(3),
    max_configure: 10,
    max_terminate: 2,
};
/// A Reset-Request is repeated after this long.
const RESET_RETRY: Duration = Duration::from_secs(1);
/// Octets of a packet that a reject returns.
const REJECTED_OCTETS: usize = 1400;
/// Frames that wait to be sent; what comes then is lost, as on a full line.
const QUEUE: usize = 512;
/// Datagrams of the caller that wait for the owner; what comes then is lost.
const DATAGRAMS: usize = 64;
/// Between two Reset-Requests of a storm.
const STORM_PERIOD: Duration = Duration::from_millis(10);
/// What MPPE adds to a datagram beside the PPP header: its own header and the
/// protocol.
const MPPE_OVERHEAD: usize = 4;

/// What the owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This phase has begun; its first frame is in the queue.
    Entered(Phase),
    /// A line for the log.
    Log(String),
    /// The link is down; pppd would end now.
    Finished,
}

/// Randomness of one link.
#[derive(Debug, Clone, Copy)]
pub struct Entropy {
    /// For the magic number.
    pub magic: [u8; 4],
    /// For the challenge.
    pub challenge: [u8; 16],
    /// For faults.
    pub seed: [u8; 8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent: LCP is told to be silent.
    Dead,
    Establish,
    Authenticate,
    Network,
    Terminate,
    Finished,
}

/// The link of one call.
pub struct Link {
    config: Rc<Config>,
    faults: SharedFaults,
    challenge: [u8; 16],
    stage: Stage,
    lcp: Automaton<Lcp>,
    heard_lcp: bool,
    authenticator: Option<Authenticator>,
    user: Option<Vec<u8>>,
    keys: Option<MasterKeys>,
    ccp: Automaton<Ccp>,
    ipcp: Automaton<Ipcp>,
    encryptor: Option<Encryptor>,
    decryptor: Option<Decryptor>,
    reset_retry_at: Option<Instant>,
    /// Encrypted packets, both ways.
    encrypted: u32,
    /// What makes keys disagree that agreed before.
    noise: Chance,
    /// When datagrams could pass for the first time.
    up_at: Option<Instant>,
    /// Protocols that a fault negotiated again.
    reopened: Vec<u16>,
    storm_at: Option<Instant>,
    datagrams: VecDeque<Vec<u8>>,
    /// Identifier of the last reject.
    identifier: u8,
    transmits: VecDeque<(Phase, Vec<u8>)>,
    events: VecDeque<Event>,
}

impl Link {
    /// Begins to speak LCP with a caller who shall get the address `assigned`.
    pub fn new(
        config: Rc<Config>,
        faults: SharedFaults,
        assigned: Ipv4Addr,
        entropy: Entropy,
        now: Instant,
    ) -> Self {
        let lcp = Lcp::new(&config, faults.clone(), u32::from_be_bytes(entropy.magic));
        let ipcp = Ipcp::new(config.clone(), faults.clone(), assigned);
        let ccp = Ccp::new(config.mppe_modes, false);
        let mut link = Self {
            config,
            faults,
            challenge: entropy.challenge,
            stage: Stage::Dead,
            lcp: Automaton::new(lcp, TIMING),
            heard_lcp: false,
            authenticator: None,
            user: None,
            keys: None,
            ccp: Automaton::new(ccp, TIMING),
            ipcp: Automaton::new(ipcp, TIMING),
            encryptor: None,
            decryptor: None,
            reset_retry_at: None,
            encrypted: 0,
            noise: Chance::new(entropy.seed),
            up_at: None,
            reopened: Vec::new(),
            storm_at: None,
            datagrams: VecDeque::new(),
            identifier: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        link.begin(now);
        link.pump(now);
        link
    }

    /// Takes one PPP frame of the caller.
    pub fn handle_frame(&mut self, octets: &[u8], now: Instant) {
        self.begin(now);
        if self.has(Fault::LcpLoop) {
            return self.transmit(Phase::Lcp, octets.to_vec());
        }
        if self.has(Fault::LcpSilent) {
            return;
        }
        let Ok(frame) = Frame::parse(octets) else {
            return;
        };
        match frame.protocol {
            ppp::LCP => self.receive_lcp(frame.information, now),
            ppp::PAP | ppp::CHAP | ppp::EAP => {
                if let Some(authenticator) = &mut self.authenticator {
                    authenticator.handle_packet(frame.protocol, frame.information, now);
                }
            }
            _ if self.stage != Stage::Network => {}
            ppp::CCP => self.receive_ccp(frame.information, now),
            ppp::IPCP => self.receive_ipcp(frame.information, now),
            ppp::COMPRESSED => self.receive_encrypted(frame.information, now),
            // The kernel drops what should have been encrypted.
            ppp::IPV4 if self.decryptor.is_some() || self.encryption_required() => {}
            ppp::IPV4 => self.receive_datagram(frame.information.to_vec()),
            ppp::IPV6 => {}
            protocol => self.reject_protocol(protocol, frame.information),
        }
        self.pump(now);
    }

    /// A timer ran out, or faults changed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.begin(now);
        self.lcp.handle_timeout(now);
        self.ccp.handle_timeout(now);
        self.ipcp.handle_timeout(now);
        if let Some(authenticator) = &mut self.authenticator {
            authenticator.handle_timeout(now);
        }
        self.reopen(now);
        self.storm(now);
        self.pump(now);
    }

    /// Sends a datagram to the caller; it is lost where none can pass.
    pub fn send_datagram(&mut self, octets: &[u8]) {
        if !self.carries_datagrams() {
            return;
        }
        let Some(encryptor) = &mut self.encryptor else {
            return self.transmit_frame(Phase::Data, ppp::IPV4, octets);
        };
        let mut information = encryptor.encrypt(ppp::IPV4, octets);
        if self.keys_disagree() {
            self.spoil(&mut information);
        }
        self.transmit_frame(Phase::Data, ppp::COMPRESSED, &information);
    }

    /// The next datagram of the caller.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.datagrams.pop_front()
    }

    /// True while datagrams can pass: the addresses are agreed on, and where
    /// it is required, encryption.
    pub fn carries_datagrams(&self) -> bool {
        self.stage == Stage::Network
            && self.ipcp.is_opened()
            && (self.encryptor.is_some() || !self.encryption_required())
    }

    /// Octets of the longest datagram to the caller.
    pub fn mtu(&self) -> usize {
        let mppe = if self.encryptor.is_some() { MPPE_OVERHEAD } else { 0 };
        usize::from(self.lcp.negotiator().peer_mru()) - mppe
    }

    /// Ends the link with a Terminate-Request that says why.
    pub fn terminate(&mut self, why: &str, now: Instant) {
        self.close(why, now);
        self.pump(now);
    }

    /// The next frame and the phase it belongs to.
    pub fn poll_transmit(&mut self) -> Option<(Phase, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Link::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let authenticator = self.authenticator.as_ref().and_then(Authenticator::poll_timeout);
        let automata = [self.lcp.poll_timeout(), self.ccp.poll_timeout(), self.ipcp.poll_timeout()];
        let reopening = self.reopening().into_iter().map(|(_, at)| at).min();
        automata.into_iter().chain([authenticator, reopening, self.storm_at]).flatten().min()
    }

    /// How far the link is, for a list of sessions.
    pub fn describe(&self) -> String {
        let mut text = match self.stage {
            Stage::Dead | Stage::Establish => "lcp".to_string(),
            Stage::Authenticate => "auth".to_string(),
            Stage::Terminate | Stage::Finished => "terminating".to_string(),
            Stage::Network if self.ipcp.is_opened() => "up".to_string(),
            Stage::Network if self.ipcp.state() == State::Closed => "ccp".to_string(),
            Stage::Network => "ipcp".to_string(),
        };
        if let Some(user) = &self.user {
            text.push_str(&format!(" user={}", escape(user)));
        }
        if let (Some(mode), true) = (self.ccp.negotiator().outgoing(), self.encryptor.is_some()) {
            text.push_str(&format!(" mppe={}", mode_words(mode)));
        }
        if let (Some(address), true) = (self.ipcp.negotiator().peer(), self.ipcp.is_opened()) {
            text.push_str(&format!(" address={address}"));
        }
        text
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.borrow().has(fault)
    }

    fn log(&mut self, line: String) {
        self.events.push_back(Event::Log(line));
    }

    fn transmit(&mut self, phase: Phase, octets: Vec<u8>) {
        if self.transmits.len() < QUEUE {
            self.transmits.push_back((phase, octets));
        }
    }

    fn transmit_frame(&mut self, phase: Phase, protocol: u16, information: &[u8]) {
        let lcp = self.lcp.negotiator();
        let (acfc, pfc) = match self.lcp.is_opened() {
            true => (lcp.peer_acfc(), lcp.peer_pfc()),
            false => (false, false),
        };
        let octets = Frame { protocol, information }.emit_compressed(acfc, pfc);
        self.transmit(phase, octets);
    }

    fn begin(&mut self, now: Instant) {
        if self.stage == Stage::Dead && !self.has(Fault::LcpSilent) && !self.has(Fault::LcpLoop) {
            self.stage = Stage::Establish;
            self.lcp.open(now);
            self.lcp.lower_up(now);
        }
    }

    fn close(&mut self, why: &str, now: Instant) {
        if matches!(self.stage, Stage::Terminate | Stage::Finished) {
            return;
        }
        self.log(format!("the link is terminated: {why}"));
        self.stage = Stage::Terminate;
        self.authenticator = None;
        self.lcp.close(why.as_bytes(), now);
    }

    fn receive_lcp(&mut self, octets: &[u8], now: Instant) {
        let Ok(packet) = Packet::parse(octets) else {
            return;
        };
        if !self.heard_lcp {
            self.heard_lcp = true;
            self.events.push_back(Event::Entered(Phase::Lcp));
        }
        if packet.code == Code::ConfigureRequest && self.stage == Stage::Establish {
            if self.has(Fault::LcpTerminate) {
                return self.close("lcp-terminate", now);
            }
            if self.has(Fault::LcpNeverConverging) {
                return self.nak_for_ever(packet.identifier);
            }
        }
        let Some(packet) = self.lcp.handle_packet(packet, now) else {
            return;
        };
        match packet.code {
            Code::EchoRequest if self.lcp.is_opened() && packet.data.len() >= 4 => {
                let mut data = self.lcp.negotiator().magic().to_be_bytes().to_vec();
                data.extend_from_slice(&packet.data[4..]);
                let reply = Packet { code: Code::EchoReply, identifier: packet.identifier, data };
                self.transmit_frame(Phase::Lcp, ppp::LCP, &reply.emit());
            }
            Code::ProtocolReject => self.receive_protocol_reject(&packet.data, now),
            Code::EchoRequest
            | Code::EchoReply
            | Code::DiscardRequest
            | Code::Identification
            | Code::TimeRemaining => {}
            _ => self.lcp.reject_code(&packet),
        }
    }

    /// Each time another receive unit, asked for or not.
    fn nak_for_ever(&mut self, identifier: u8) {
        self.identifier = self.identifier.wrapping_add(1);
        let mru = 1000 + u16::from(self.identifier);
        let option = RawOption::from(&LcpOption::MaximumReceiveUnit(mru));
        let data = RawOption::emit_list(&[option]);
        let nak = Packet { code: Code::ConfigureNak, identifier, data };
        self.transmit_frame(Phase::Lcp, ppp::LCP, &nak.emit());
    }

    fn receive_protocol_reject(&mut self, data: &[u8], now: Instant) {
        let Some(protocol) = data.first_chunk::<2>().map(|octets| u16::from_be_bytes(*octets))
        else {
            return;
        };
        self.log(format!("the caller rejects {}", ppp::protocol_name(protocol)));
        match protocol {
            ppp::CCP => self.ccp.protocol_rejected(now),
            ppp::IPCP => self.ipcp.protocol_rejected(now),
            ppp::PAP | ppp::CHAP | ppp::EAP => self.close("peer refused to authenticate", now),
            _ => {}
        }
    }

    fn reject_protocol(&mut self, protocol: u16, information: &[u8]) {
        if !self.lcp.is_opened() {
            return;
        }
        self.identifier = self.identifier.wrapping_add(1);
        let mut data = protocol.to_be_bytes().to_vec();
        data.extend_from_slice(&information[..information.len().min(REJECTED_OCTETS)]);
        let reject = Packet { code: Code::ProtocolReject, identifier: self.identifier, data };
        self.transmit_frame(Phase::Lcp, ppp::LCP, &reject.emit());
    }

    fn receive_ccp(&mut self, octets: &[u8], now: Instant) {
        let Ok(packet) = Packet::parse(octets) else {
            return;
        };
        if self.has(Fault::CcpSilent) {
            return;
        }
        // pppd asks for CCP only where it wants it, but takes part where asked.
        if self.ccp.state() == State::Closed {
            self.ccp.open(now);
        }
        match self.ccp.handle_packet(packet, now) {
            Some(packet) if packet.code == Code::ResetRequest => {
                if let Some(encryptor) = &mut self.encryptor {
                    encryptor.reset();
                }
                let code = Code::ResetAck;
                let ack = Packet { code, identifier: packet.identifier, data: Vec::new() };
                self.transmit_frame(Phase::Ccp, ppp::CCP, &ack.emit());
            }
            Some(packet) if packet.code != Code::ResetAck => self.ccp.reject_code(&packet),
            _ => {}
        }
    }

    fn receive_ipcp(&mut self, octets: &[u8], now: Instant) {
        if self.has(Fault::IpcpRefused) {
            return self.reject_protocol(ppp::IPCP, octets);
        }
        if self.has(Fault::IpcpSilent) {
            return;
        }
        let Ok(packet) = Packet::parse(octets) else {
            return;
        };
        if let Some(packet) = self.ipcp.handle_packet(packet, now) {
            self.ipcp.reject_code(&packet);
        }
    }

    fn receive_encrypted(&mut self, information: &[u8], now: Instant) {
        if self.decryptor.is_none() {
            return self.reject_protocol(ppp::COMPRESSED, information);
        }
        let mut spoiled = Vec::new();
        let information = match self.keys_disagree() {
            true => {
                spoiled.extend_from_slice(information);
                self.spoil(&mut spoiled);
                &spoiled[..]
            }
            false => information,
        };
        let Some(decryptor) = &mut self.decryptor else {
            return;
        };
        match decryptor.decrypt(information) {
            Ok((ppp::IPV4, datagram)) => self.receive_datagram(datagram),
            Ok((ppp::IPV6, _)) => {}
            Ok((protocol, payload)) => self.reject_protocol(protocol, &payload),
            Err(DecryptError::Garbled) => {
                // What a wrong key makes of a protocol number is noise; so is
                // what was encrypted.
                let noise = information.get(2..4).map_or(0, |octets| {
                    u16::from_be_bytes([octets[0] & 0x3E | 0x40, octets[1] | 1])
                });
                self.reject_protocol(noise, &information[information.len().min(4)..]);
            }
            Err(DecryptError::NeedReset) => {
                if self.reset_retry_at.is_some_and(|at| at > now) {
                    return;
                }
                self.reset_retry_at = Some(now + RESET_RETRY);
                self.request_reset();
            }
            Err(_) => {}
        }
    }

    fn request_reset(&mut self) {
        self.identifier = self.identifier.wrapping_add(1);
        let (code, identifier) = (Code::ResetRequest, self.identifier);
        let request = Packet { code, identifier, data: Vec::new() };
        self.transmit_frame(Phase::Ccp, ppp::CCP, &request.emit());
    }

    /// Counts an encrypted packet, and tells whether a fault has its way.
    fn keys_disagree(&mut self) -> bool {
        self.encrypted = self.encrypted.saturating_add(1);
        let encrypted = self.encrypted;
        let after = |fault: &Fault| match fault {
            Fault::MppeKeyAfter(limit) => Some(encrypted > *limit),
            _ => None,
        };
        self.faults.borrow().find(after).unwrap_or(false)
    }

    /// Noise over what is encrypted comes out of the cipher as what another key
    /// would make of it.
    fn spoil(&mut self, information: &mut [u8]) {
        for octet in information.iter_mut().skip(2) {
            *octet ^= self.noise.number() as u8;
        }
    }

    /// The protocols that faults will negotiate again, and when.
    fn reopening(&self) -> Vec<(u16, Instant)> {
        let faults = self.faults.borrow();
        let due = |fault: &Fault| match *fault {
            Fault::LcpReopen(after) => Some((ppp::LCP, after)),
            Fault::CcpReopen(after) => Some((ppp::CCP, after)),
            Fault::IpcpReopen(after) => Some((ppp::IPCP, after)),
            _ => None,
        };
        faults
            .iter()
            .filter_map(due)
            .filter(|(protocol, _)| !self.reopened.contains(protocol))
            .filter_map(|(protocol, after)| Some((protocol, self.up_at? + after)))
            .collect()
    }

    /// Begins anew what a fault wants negotiated again, as pppd does on a signal
    /// or on a request of its own: with a Configure-Request.
    fn reopen(&mut self, now: Instant) {
        for (protocol, _) in self.reopening().into_iter().filter(|(_, at)| *at <= now) {
            self.reopened.push(protocol);
            self.log(format!("{} is negotiated again", ppp::protocol_name(protocol)));
            match protocol {
                ppp::LCP => restart(&mut self.lcp, now),
                ppp::CCP => restart(&mut self.ccp, now),
                _ => restart(&mut self.ipcp, now),
            }
            self.pump(now);
        }
    }

    fn storm(&mut self, now: Instant) {
        if !self.has(Fault::CcpResetStorm) || !self.ccp.is_opened() {
            self.storm_at = None;
        } else if self.storm_at.is_none_or(|at| at <= now) {
            self.storm_at = Some(now + STORM_PERIOD);
            self.request_reset();
        }
    }

    fn receive_datagram(&mut self, datagram: Vec<u8>) {
        if self.ipcp.is_opened() && self.datagrams.len() < DATAGRAMS {
            self.datagrams.push_back(datagram);
        }
    }

    /// Moves packets and events out of the machines until all are at rest.
    fn pump(&mut self, now: Instant) {
        loop {
            if let Some(packet) = self.lcp.poll_transmit() {
                self.transmit_frame(Phase::Lcp, ppp::LCP, &packet.emit());
            } else if let Some(event) = self.lcp.poll_event() {
                self.lcp_event(event, now);
            } else if let Some((protocol, packet)) =
                self.authenticator.as_mut().and_then(Authenticator::poll_transmit)
            {
                self.transmit_frame(Phase::Auth, protocol, &packet);
            } else if let Some(event) =
                self.authenticator.as_mut().and_then(Authenticator::poll_event)
            {
                self.auth_event(event, now);
            } else if let Some(packet) = self.ccp.poll_transmit() {
                if !self.has(Fault::CcpSilent) {
                    self.transmit_frame(Phase::Ccp, ppp::CCP, &packet.emit());
                }
            } else if let Some(event) = self.ccp.poll_event() {
                self.ccp_event(event, now);
            } else if let Some(packet) = self.ipcp.poll_transmit() {
                if !self.has(Fault::IpcpSilent) && !self.has(Fault::IpcpRefused) {
                    self.transmit_frame(Phase::Ipcp, ppp::IPCP, &packet.emit());
                }
            } else if let Some(event) = self.ipcp.poll_event() {
                self.ipcp_event(event, now);
            } else if self.encryption_refused() {
                self.close("MPPE required but peer refused", now);
            } else {
                return;
            }
        }
    }

    fn encryption_refused(&self) -> bool {
        self.stage == Stage::Network
            && self.config.mppe == MppeUse::Required
            && self.ccp.negotiator().peer_refused()
    }

    fn lcp_event(&mut self, event: automaton::Event, now: Instant) {
        match event {
            automaton::Event::Up => match self.lcp.negotiator().proof() {
                Proof::By(protocol) => {
                    self.log(format!("lcp is opened, the caller is to prove itself by {protocol}"));
                    self.stage = Stage::Authenticate;
                    let challenge = self.challenge;
                    // None is used twice (RFC 1994, section 2.3).
                    self.challenge[15] = challenge[15].wrapping_add(1);
                    self.authenticator = Some(Authenticator::new(
                        self.config.clone(),
                        self.faults.clone(),
                        protocol,
                        challenge,
                        now,
                    ));
                    self.events.push_back(Event::Entered(Phase::Auth));
                }
                Proof::NotAsked => {
                    self.log("lcp is opened, without authentication".into());
                    self.enter_network(now);
                }
                Proof::Refused => self.close("peer refused to authenticate", now),
            },
            automaton::Event::Down => {
                self.authenticator = None;
                self.ccp.lower_down();
                self.ipcp.lower_down();
                // Not before the login, and where it is required, CCP.
                self.ipcp.close(&[], now);
                (self.encryptor, self.decryptor) = (None, None);
                if matches!(self.stage, Stage::Authenticate | Stage::Network) {
                    self.stage = Stage::Establish;
                }
            }
            automaton::Event::TerminateRequested(data) => {
                self.log(format!("the caller terminates the link: {}", escape(&data)));
                self.stage = Stage::Terminate;
            }
            automaton::Event::Finished => {
                self.stage = Stage::Finished;
                self.events.push_back(Event::Finished);
            }
            automaton::Event::Silent => self.log("lcp: the caller does not answer".into()),
            automaton::Event::NotConverging => self.close("options are never agreed", now),
            automaton::Event::Rejected => self.log("the caller does not know LCP".into()),
        }
    }

    fn auth_event(&mut self, event: authenticator::Event, now: Instant) {
        match event {
            authenticator::Event::Succeeded { name, method, keys } => {
                self.log(format!("user {} logged in by {method}", escape(&name)));
                self.user = Some(name);
                self.keys = keys;
                self.enter_network(now);
            }
            authenticator::Event::Failed(words) => {
                self.log(words);
                self.close("Authentication failed", now);
            }
        }
    }

    fn enter_network(&mut self, now: Instant) {
        self.stage = Stage::Network;
        // Who is let in by a fault of LCP or CCP is let in without encryption.
        let excused = self.has(Fault::CcpRefused) || self.has(Fault::NoAuth);
        let wanted = self.config.mppe != MppeUse::None && self.keys.is_some() && !excused;
        let required = self.config.mppe == MppeUse::Required && !excused;
        if required && !wanted {
            return self.close("MPPE required, but MS-CHAP[v2] auth not performed.", now);
        }
        self.ccp = Automaton::new(Ccp::new(self.config.mppe_modes, wanted), TIMING);
        self.ccp.lower_up(now);
        self.ipcp.lower_up(now);
        if wanted {
            self.ccp.open(now);
            self.events.push_back(Event::Entered(Phase::Ccp));
        }
        if !required {
            self.open_ipcp(now);
        }
    }

    fn open_ipcp(&mut self, now: Instant) {
        if self.ipcp.state() == State::Closed {
            self.ipcp.open(now);
            self.events.push_back(Event::Entered(Phase::Ipcp));
        }
    }

    fn ccp_event(&mut self, event: automaton::Event, now: Instant) {
        match event {
            automaton::Event::Up => {
                let negotiator = self.ccp.negotiator();
                let (incoming, outgoing) = (negotiator.incoming(), negotiator.outgoing());
                let both = incoming.is_some() && outgoing.is_some();
                if !both && self.encryption_required() {
                    return self.close("MPPE required but peer refused", now);
                }
                let keys = match self.has(Fault::WrongMppeKey) {
                    true => Some(MasterKeys::from_mschap_v2(b"another password", &[0; 24])),
                    false => self.keys.clone(),
                };
                if let Some(keys) = keys {
                    self.encryptor = outgoing.map(|mode| Encryptor::for_server(&keys, mode));
                    self.decryptor = incoming.map(|mode| Decryptor::for_server(&keys, mode));
                }
                let words = outgoing.map_or("no encryption".into(), mode_words);
                self.log(format!("ccp is opened: {words}"));
                self.open_ipcp(now);
                self.storm(now);
            }
            automaton::Event::Down => (self.encryptor, self.decryptor) = (None, None),
            automaton::Event::Silent
            | automaton::Event::NotConverging
            | automaton::Event::Finished
            | automaton::Event::Rejected
                if self.encryption_required() =>
            {
                self.close("MPPE required but peer refused", now);
            }
            _ => {}
        }
    }

    /// MPPE was required of this caller and asked for.
    fn encryption_required(&self) -> bool {
        self.stage == Stage::Network
            && self.config.mppe == MppeUse::Required
            && !self.has(Fault::CcpRefused)
            && !self.has(Fault::NoAuth)
    }

    fn ipcp_event(&mut self, event: automaton::Event, now: Instant) {
        match event {
            automaton::Event::Up => {
                let words = match self.ipcp.negotiator().peer() {
                    Some(address) => format!("ipcp is opened: the caller has {address}"),
                    None => "ipcp is opened: the caller has no address".into(),
                };
                self.log(words);
                self.up_at.get_or_insert(now);
            }
            automaton::Event::TerminateRequested(_) | automaton::Event::Down => {}
            _ if self.stage == Stage::Network => self.close("No network protocols running", now),
            _ => {}
        }
    }
}

/// Takes a protocol that is opened back to its first Configure-Request.
fn restart<N: Negotiator>(protocol: &mut Automaton<N>, now: Instant) {
    if protocol.is_opened() {
        protocol.lower_down();
        protocol.lower_up(now);
    }
}

fn mode_words(mode: Mode) -> String {
    let kind = if mode.stateless { "stateless" } else { "stateful" };
    format!("{}-{kind}", mode.length.bits())
}
