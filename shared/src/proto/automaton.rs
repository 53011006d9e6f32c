//! The option negotiation automaton of PPP (RFC 1661, section 4): one for
//! LCP, CCP, IPCP and IPv6CP, blind to their options.
//!
//! It owns the ten states, the restart timer and counter, identifiers, and
//! which packets go out. What is asked for and what is acceptable is the
//! business of a [`Negotiator`]. Codes from 8 on are handed back to the owner.
//!
//! Where this differs from the RFC's table, as pppd does too: an Ack, Nak or
//! Reject that does not answer the request that is outstanding is discarded in
//! every state (the RFC restarts the negotiation in Ack-Rcvd and Opened), so
//! that a duplicated packet does no harm. And the number of Naks and Rejects
//! of one negotiation is bounded both ways; beyond it the owner is told
//! [`Event::NotConverging`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::wire::cp::{Code, Packet, RawOption};

/// Naks and Rejects of one negotiation, sent and received together, before
/// [`Event::NotConverging`].
const MAX_ROUNDS: u32 = 24;
/// Configure-Naks sent before what is still not acceptable is rejected
/// (Max-Failure, RFC 1661, section 4.6).
const MAX_FAILURE: u32 = 5;

/// What a [`Negotiator`] thinks of the peer's Configure-Request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every option is acceptable.
    Ack,
    /// These values should be used instead.
    Nak(Vec<RawOption>),
    /// These options are not known or not negotiable.
    Reject(Vec<RawOption>),
}

/// The protocol's half of a negotiation.
pub trait Negotiator {
    /// Options of the next Configure-Request.
    fn request(&mut self) -> Vec<RawOption>;
    /// Judges the peer's Configure-Request. Rejections come before Naks.
    fn judge(&mut self, options: &[RawOption]) -> Verdict;
    /// The peer acknowledged the options of the last request.
    fn acked(&mut self, options: &[RawOption]);
    /// The peer suggests other values.
    fn naked(&mut self, options: &[RawOption]);
    /// The peer does not know these options or will not negotiate them.
    fn rejected(&mut self, options: &[RawOption]);
}

/// Retransmission settings (RFC 1661, section 4.6).
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// First wait for an answer; doubles with each retransmission.
    pub restart: Duration,
    /// Longest wait for an answer.
    pub restart_max: Duration,
    /// Configure-Requests without any answer before giving up.
    pub max_configure: u32,
    /// Terminate-Requests without an answer before giving up.
    pub max_terminate: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            restart: Duration::from_secs(1),
            restart_max: Duration::from_secs(3),
            max_configure: 10,
            max_terminate: 2,
        }
    }
}

/// The states of RFC 1661, section 4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Lower layer down, not opened.
    Initial,
    /// Lower layer down, opened.
    Starting,
    /// Lower layer up, closed by us.
    Closed,
    /// Lower layer up, finished by the peer or by silence.
    Stopped,
    /// Terminate-Request sent after Close.
    Closing,
    /// Terminate-Request sent or received while open.
    Stopping,
    /// Configure-Request sent.
    ReqSent,
    /// Configure-Request sent, Configure-Ack received.
    AckRcvd,
    /// Configure-Request and Configure-Ack sent.
    AckSent,
    /// Both acknowledged.
    Opened,
}

/// What the owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This-Layer-Up.
    Up,
    /// This-Layer-Down.
    Down,
    /// This-Layer-Finished.
    Finished,
    /// The peer sent a Terminate-Request, with this data.
    TerminateRequested(Vec<u8>),
    /// The peer rejected a code that cannot be done without.
    Rejected,
    /// Requests stay unanswered.
    Silent,
    /// Naks and Rejects never end.
    NotConverging,
}

/// Packets seen, for reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Configure-Requests sent, retransmissions included.
    pub requests_sent: u32,
    /// Configure-Requests received.
    pub requests_received: u32,
    /// Acks, Naks and Rejects that answer our requests.
    pub answers_received: u32,
    /// Answers received that do not answer the outstanding request, and
    /// packets with an impossible option list.
    pub discarded: u32,
}

/// One negotiation.
#[derive(Debug)]
pub struct Automaton<N> {
    negotiator: N,
    timing: Timing,
    state: State,
    restarts_left: u32,
    restart: Duration,
    restart_at: Option<Instant>,
    identifier: u8,
    /// Of Code-Rejects: a request that is outstanding keeps its own.
    reject_identifier: u8,
    /// Options of the request that waits for its answer.
    outstanding: Option<Vec<RawOption>>,
    last_request_at: Option<Instant>,
    terminate_data: Vec<u8>,
    naks_sent: u32,
    rounds: u32,
    counters: Counters,
    transmits: VecDeque<Packet>,
    events: VecDeque<Event>,
}

impl<N: Negotiator> Automaton<N> {
    /// An automaton in state Initial.
    pub fn new(negotiator: N, timing: Timing) -> Self {
        Self {
            negotiator,
            timing,
            state: State::Initial,
            restarts_left: 0,
            restart: timing.restart,
            restart_at: None,
            identifier: 0,
            reject_identifier: 0,
            outstanding: None,
            last_request_at: None,
            terminate_data: Vec::new(),
            naks_sent: 0,
            rounds: 0,
            counters: Counters::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// True in state Opened.
    pub fn is_opened(&self) -> bool {
        self.state == State::Opened
    }

    /// The protocol's half.
    pub fn negotiator(&self) -> &N {
        &self.negotiator
    }

    /// The protocol's half, to change what it wants.
    pub fn negotiator_mut(&mut self) -> &mut N {
        &mut self.negotiator
    }

    /// Packets seen so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// When the outstanding Configure-Request was sent last, if one waits for
    /// its answer.
    pub fn request_sent_at(&self) -> Option<Instant> {
        self.outstanding.as_ref().and(self.last_request_at)
    }

    /// The lower layer is ready.
    pub fn lower_up(&mut self, now: Instant) {
        match self.state {
            State::Initial => self.state = State::Closed,
            State::Starting => self.start(now),
            _ => {}
        }
    }

    /// The lower layer is gone.
    pub fn lower_down(&mut self) {
        self.restart_at = None;
        match self.state {
            State::Closed | State::Closing => self.state = State::Initial,
            State::Opened => {
                self.events.push_back(Event::Down);
                self.state = State::Starting;
            }
            State::Initial | State::Starting => {}
            _ => self.state = State::Starting,
        }
    }

    /// The owner wants this layer.
    pub fn open(&mut self, now: Instant) {
        match self.state {
            State::Initial => self.state = State::Starting,
            State::Closed => self.start(now),
            State::Closing => self.state = State::Stopping,
            _ => {}
        }
    }

    /// The owner wants this layer ended; `data` goes into the
    /// Terminate-Request.
    pub fn close(&mut self, data: &[u8], now: Instant) {
        match self.state {
            State::Starting => {
                self.state = State::Initial;
                self.events.push_back(Event::Finished);
            }
            State::Stopped => self.state = State::Closed,
            State::Stopping => self.state = State::Closing,
            State::ReqSent | State::AckRcvd | State::AckSent | State::Opened => {
                if self.state == State::Opened {
                    self.events.push_back(Event::Down);
                }
                self.terminate_data = data.to_vec();
                self.state = State::Closing;
                self.begin_terminate(now);
            }
            _ => {}
        }
    }

    /// Sends the outstanding Configure-Request again at once, with its
    /// identifier: for an owner who knows that the peer was not ready for it.
    pub fn resend_request(&mut self, now: Instant) {
        if self.outstanding.is_some()
            && matches!(self.state, State::ReqSent | State::AckSent | State::AckRcvd)
        {
            self.transmit_request(now);
        }
    }

    /// Takes one packet. A packet with a code from 8 on comes back when it is
    /// the owner's to answer; the owner calls [`Automaton::reject_code`] when
    /// it does not know it either.
    pub fn handle_packet(&mut self, packet: Packet, now: Instant) -> Option<Packet> {
        if matches!(self.state, State::Initial | State::Starting) {
            self.counters.discarded += 1;
            return None;
        }
        match packet.code {
            Code::ConfigureRequest => self.receive_request(&packet, now),
            Code::ConfigureAck | Code::ConfigureNak | Code::ConfigureReject => {
                self.receive_answer(&packet, now);
            }
            Code::TerminateRequest => self.receive_terminate_request(packet, now),
            Code::TerminateAck => self.receive_terminate_ack(now),
            Code::CodeReject => self.receive_code_reject(&packet, now),
            _ => return Some(packet),
        }
        None
    }

    /// Answers a packet whose code nobody knows with a Code-Reject.
    pub fn reject_code(&mut self, packet: &Packet) {
        if matches!(self.state, State::Initial | State::Starting) {
            return;
        }
        let mut data = packet.emit();
        data.truncate(1400);
        self.reject_identifier = self.reject_identifier.wrapping_add(1);
        self.transmit(Code::CodeReject, self.reject_identifier, data);
    }

    /// The peer rejected this protocol as a whole (RXJ-).
    pub fn protocol_rejected(&mut self, now: Instant) {
        self.rejected(now);
    }

    /// The restart timer ran out.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.restart_at.is_none_or(|at| at > now) {
            return;
        }
        self.restart_at = None;
        let terminating = matches!(self.state, State::Closing | State::Stopping);
        if self.restarts_left > 0 {
            self.restart = (self.restart * 2).min(self.timing.restart_max);
            if terminating {
                self.transmit_terminate(now);
            } else {
                if self.state == State::AckRcvd {
                    self.state = State::ReqSent;
                }
                self.transmit_request(now);
            }
            return;
        }
        if !terminating {
            self.events.push_back(Event::Silent);
        }
        self.finish();
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Packet> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Automaton::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.restart_at
    }

    fn transmit(&mut self, code: Code, identifier: u8, data: Vec<u8>) {
        self.transmits.push_back(Packet { code, identifier, data });
    }

    /// irc, scr: into Req-Sent with a full restart counter.
    fn start(&mut self, now: Instant) {
        self.restarts_left = self.timing.max_configure;
        self.restart = self.timing.restart;
        self.state = State::ReqSent;
        self.send_request(now);
    }

    /// scr with what the negotiator wants now, under a new identifier.
    fn send_request(&mut self, now: Instant) {
        self.identifier = self.identifier.wrapping_add(1);
        self.outstanding = Some(self.negotiator.request());
        self.transmit_request(now);
    }

    /// Transmits the outstanding request, or a new one where it was answered
    /// but the negotiation never ended.
    fn transmit_request(&mut self, now: Instant) {
        let Some(options) = &self.outstanding else {
            return self.send_request(now);
        };
        let data = RawOption::emit_list(options);
        self.restarts_left = self.restarts_left.saturating_sub(1);
        self.restart_at = Some(now + self.restart);
        self.last_request_at = Some(now);
        self.counters.requests_sent += 1;
        self.transmit(Code::ConfigureRequest, self.identifier, data);
    }

    fn begin_terminate(&mut self, now: Instant) {
        self.restarts_left = self.timing.max_terminate;
        self.restart = self.timing.restart;
        self.outstanding = None;
        self.identifier = self.identifier.wrapping_add(1);
        self.transmit_terminate(now);
    }

    fn transmit_terminate(&mut self, now: Instant) {
        self.restarts_left = self.restarts_left.saturating_sub(1);
        self.restart_at = Some(now + self.restart);
        self.transmit(Code::TerminateRequest, self.identifier, self.terminate_data.clone());
    }

    /// tlf: into the final state that belongs to this one.
    fn finish(&mut self) {
        self.restart_at = None;
        self.outstanding = None;
        self.state = match self.state {
            State::Closing | State::Closed => State::Closed,
            _ => State::Stopped,
        };
        self.events.push_back(Event::Finished);
    }

    fn receive_request(&mut self, packet: &Packet, now: Instant) {
        let Ok(options) = RawOption::parse_list(&packet.data) else {
            self.counters.discarded += 1;
            return;
        };
        self.counters.requests_received += 1;
        match self.state {
            State::Closed => return self.transmit(Code::TerminateAck, packet.identifier, vec![]),
            State::Closing | State::Stopping => return,
            // Both begin a new negotiation, and the peer's request is judged within it.
            State::Stopped => self.start(now),
            State::Opened => {
                self.events.push_back(Event::Down);
                self.start(now);
            }
            _ => {}
        }
        match self.negotiator.judge(&options) {
            Verdict::Ack => {
                self.naks_sent = 0;
                self.transmit(Code::ConfigureAck, packet.identifier, packet.data.clone());
                if self.state == State::AckRcvd {
                    self.opened();
                } else {
                    if self.state == State::ReqSent {
                        let answer_due = now + self.timing.restart / 2;
                        self.restart_at = self.restart_at.map(|at| at.max(answer_due));
                    }
                    self.state = State::AckSent;
                }
            }
            Verdict::Nak(list) if self.naks_sent < MAX_FAILURE => {
                self.naks_sent += 1;
                self.not_acceptable(Code::ConfigureNak, packet.identifier, &list);
            }
            // Max-Failure: what was suggested in vain is rejected as the peer sent it.
            Verdict::Nak(list) => {
                let mut asked: Vec<RawOption> = options
                    .into_iter()
                    .filter(|option| list.iter().any(|nak| nak.kind == option.kind))
                    .collect();
                if asked.is_empty() {
                    asked = list;
                }
                self.not_acceptable(Code::ConfigureReject, packet.identifier, &asked);
            }
            Verdict::Reject(list) => {
                self.not_acceptable(Code::ConfigureReject, packet.identifier, &list);
            }
        }
    }

    fn not_acceptable(&mut self, code: Code, identifier: u8, list: &[RawOption]) {
        self.transmit(code, identifier, RawOption::emit_list(list));
        if self.state == State::AckSent {
            self.state = State::ReqSent;
        }
        self.count_round();
    }

    fn count_round(&mut self) {
        self.rounds += 1;
        if self.rounds == MAX_ROUNDS {
            self.events.push_back(Event::NotConverging);
        }
    }

    fn receive_answer(&mut self, packet: &Packet, now: Instant) {
        match self.state {
            State::Closed | State::Stopped => {
                return self.transmit(Code::TerminateAck, packet.identifier, vec![]);
            }
            State::Closing | State::Stopping => return,
            _ => {}
        }
        let answered = self.outstanding.as_ref().filter(|_| packet.identifier == self.identifier);
        let (Some(asked), Ok(options)) = (answered, RawOption::parse_list(&packet.data)) else {
            self.counters.discarded += 1;
            return;
        };
        let valid = match packet.code {
            Code::ConfigureAck => options == *asked,
            // A Reject may only contain what was asked, literally.
            Code::ConfigureReject => {
                !options.is_empty() && options.iter().all(|option| asked.contains(option))
            }
            _ => !options.is_empty(),
        };
        if !valid {
            self.counters.discarded += 1;
            return;
        }
        self.counters.answers_received += 1;
        self.outstanding = None;
        self.restarts_left = self.timing.max_configure;
        self.restart = self.timing.restart;
        if packet.code == Code::ConfigureAck {
            self.negotiator.acked(&options);
            if self.state == State::AckSent {
                self.opened();
            } else {
                // The timer goes on: the peer still owes its own request.
                self.restart_at = Some(now + self.restart);
                self.state = State::AckRcvd;
            }
            return;
        }
        if packet.code == Code::ConfigureNak {
            self.negotiator.naked(&options);
        } else {
            self.negotiator.rejected(&options);
        }
        self.count_round();
        if self.rounds < MAX_ROUNDS {
            self.send_request(now);
        }
    }

    fn opened(&mut self) {
        self.restart_at = None;
        self.rounds = 0;
        self.state = State::Opened;
        self.events.push_back(Event::Up);
    }

    fn receive_terminate_request(&mut self, packet: Packet, now: Instant) {
        self.transmit(Code::TerminateAck, packet.identifier, vec![]);
        self.events.push_back(Event::TerminateRequested(packet.data));
        match self.state {
            State::Opened => {
                self.events.push_back(Event::Down);
                self.state = State::Stopping;
                self.outstanding = None;
                // zrc: wait one period for the peer to go, then finish.
                self.restarts_left = 0;
                self.restart_at = Some(now + self.timing.restart);
            }
            State::AckRcvd | State::AckSent => self.state = State::ReqSent,
            _ => {}
        }
    }

    fn receive_terminate_ack(&mut self, now: Instant) {
        match self.state {
            State::Closing | State::Stopping => self.finish(),
            State::AckRcvd => self.state = State::ReqSent,
            State::Opened => {
                self.events.push_back(Event::Down);
                self.start(now);
            }
            _ => {}
        }
    }

    fn receive_code_reject(&mut self, packet: &Packet, now: Instant) {
        // Codes 1 to 7 are what a negotiation is made of (RXJ-); the loss of
        // any other is harmless (RXJ+).
        match packet.data.first() {
            Some(1..=7) => self.rejected(now),
            _ if self.state == State::AckRcvd => self.state = State::ReqSent,
            _ => {}
        }
    }

    fn rejected(&mut self, now: Instant) {
        match self.state {
            State::Initial | State::Starting => {}
            State::Opened => {
                self.events.push_back(Event::Rejected);
                self.events.push_back(Event::Down);
                self.state = State::Stopping;
                self.begin_terminate(now);
            }
            _ => {
                self.events.push_back(Event::Rejected);
                self.finish();
            }
        }
    }
}

#[cfg(test)]
mod tests;
