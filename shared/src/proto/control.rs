//! The caller's side of a PPTP control connection with one outgoing call
//! (RFC 2637, sections 3.1 and 3.2; the caller is the PNS).
//!
//! It owns the framing, what is waited for, echoes both ways, and the polite
//! way out: Call-Clear-Request, then Stop-Control-Connection-Request. It
//! leaves out TCP and every deadline but those of its own farewell.
//!
//! What real gateways do: pptpd serves one new caller at a time, therefore
//! the first message goes out at once. It answers Call-Clear-Request by
//! closing the connection, without a Call-Disconnect-Notify. With no free
//! slot it stays silent until one is free.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::output::escape;
use crate::reason::Reason;
use crate::wire::control::{
    self as wire, CallDisconnectNotify, Framer, GeneralError, IncomingCallReply,
    IncomingCallResult, Message, OutgoingCallReply, OutgoingCallRequest, OutgoingCallResult,
    SimpleResult, StartReply, StartRequest, StartResult, StopReason,
};

/// Messages from the gateway beyond which it floods.
const MAX_MESSAGES: u32 = 2_000;
/// Messages that make no sense where they come, beyond which it floods too.
const MAX_IGNORED: u32 = 16;
/// Packet Recv. Window Size that we offer.
const RECEIVE_WINDOW: u16 = 64;

/// What went wrong, in terms of the control connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of the reasons of phases `control` and `call`.
    pub reason: Reason,
    /// What the gateway did, for the operator; ASCII.
    pub detail: String,
}

/// What the owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The gateway accepted the connection.
    Established(StartReply),
    /// The gateway accepted the call.
    CallConnected(OutgoingCallReply),
    /// An Echo-Reply that matches an Echo-Request.
    EchoReplied(Duration),
    /// It is over, but the polite way out may still be open.
    Failed(Failure),
    /// Nothing more will be sent; TCP may be closed.
    Finished,
}

/// How the caller introduces itself and how long it says good-bye.
#[derive(Debug, Clone)]
pub struct Config {
    /// Host name in the first message, at most 64 octets.
    pub host_name: Vec<u8>,
    /// Vendor in the first message, at most 64 octets.
    pub vendor_name: Vec<u8>,
    /// Wait for the answer to each of Call-Clear and Stop.
    pub farewell: Duration,
}

#[derive(Debug)]
enum State {
    WaitStartReply,
    Established,
    WaitCallReply { call_id: u16 },
    CallUp { call_id: u16 },
    WaitDisconnect { until: Instant },
    WaitStopReply { until: Instant },
    Finished,
}

/// One control connection.
#[derive(Debug)]
pub struct ControlConnection {
    farewell: Duration,
    framer: Framer,
    state: State,
    echo: Option<(u32, Instant)>,
    echo_identifier: u32,
    messages: u32,
    ignored: u32,
    failed: bool,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl ControlConnection {
    /// A connection whose first message is ready to be sent.
    pub fn new(config: &Config) -> Self {
        let mut connection = Self {
            farewell: config.farewell,
            framer: Framer::new(),
            state: State::WaitStartReply,
            echo: None,
            echo_identifier: 0,
            messages: 0,
            ignored: 0,
            failed: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        connection.send(&Message::StartRequest(StartRequest {
            protocol_version: wire::VERSION,
            framing_capabilities: wire::FRAMING_ASYNC | wire::FRAMING_SYNC,
            bearer_capabilities: wire::BEARER_ANALOG | wire::BEARER_DIGITAL,
            maximum_channels: 0,
            firmware_revision: 1,
            host_name: config.host_name.clone(),
            vendor_name: config.vendor_name.clone(),
        }));
        connection
    }

    /// Octets of a message that has not arrived completely.
    pub fn pending(&self) -> usize {
        self.framer.pending()
    }

    /// Messages that were valid but made no sense where they came.
    pub fn ignored(&self) -> u32 {
        self.ignored
    }

    /// Asks for an outgoing call; GRE to us will carry `call_id`. Meaningful
    /// once the connection is established and no call was placed.
    pub fn place_call(&mut self, call_id: u16, serial: u16) {
        if !matches!(self.state, State::Established) {
            return;
        }
        self.state = State::WaitCallReply { call_id };
        self.send(&Message::OutgoingCallRequest(OutgoingCallRequest {
            call_id,
            call_serial_number: serial,
            minimum_bps: 2_400,
            maximum_bps: 1_000_000_000,
            bearer_type: wire::BEARER_ANALOG | wire::BEARER_DIGITAL,
            framing_type: wire::FRAMING_ASYNC | wire::FRAMING_SYNC,
            packet_recv_window_size: RECEIVE_WINDOW,
            packet_processing_delay: 0,
            phone_number: Vec::new(),
            subaddress: Vec::new(),
        }));
    }

    /// Sends an Echo-Request; one is outstanding at a time.
    pub fn echo(&mut self, now: Instant) {
        self.echo_identifier = self.echo_identifier.wrapping_add(1);
        self.echo = Some((self.echo_identifier, now));
        self.send(&Message::EchoRequest { identifier: self.echo_identifier });
    }

    /// True while an Echo-Request waits for its reply.
    pub fn echo_outstanding(&self) -> bool {
        self.echo.is_some()
    }

    /// Begins the polite way out from whatever state.
    pub fn close(&mut self, now: Instant) {
        match self.state {
            State::WaitCallReply { call_id } | State::CallUp { call_id } => {
                self.send(&Message::CallClearRequest { call_id });
                self.state = State::WaitDisconnect { until: now + self.farewell };
            }
            State::WaitStartReply | State::Established => self.stop(now),
            _ => {}
        }
    }

    /// Says everything that is left to say at once and waits for nothing.
    pub fn abort(&mut self) {
        if let State::WaitCallReply { call_id } | State::CallUp { call_id } = self.state {
            self.send(&Message::CallClearRequest { call_id });
        }
        if !matches!(self.state, State::WaitStopReply { .. } | State::Finished) {
            self.send(&Message::StopRequest { reason: StopReason::LocalShutdown });
        }
        self.finish();
    }

    /// Takes octets from the TCP connection.
    pub fn handle_input(&mut self, octets: &[u8], now: Instant) {
        if matches!(self.state, State::Finished) {
            return;
        }
        self.framer.push(octets);
        loop {
            match self.framer.next_message() {
                Ok(Some(message)) => self.handle_message(message, now),
                Ok(None) => return,
                Err(error) => {
                    let reason = match (&self.state, &error) {
                        (
                            State::WaitStartReply,
                            crate::wire::Error::BadValue { what: "magic cookie", .. },
                        ) => Reason::NotPptp,
                        _ => Reason::Malformed,
                    };
                    self.fail(reason, format!("gateway sent no PPTP message: {error}"));
                    // The stream cannot be followed; say good-bye blindly.
                    return self.abort();
                }
            }
            if matches!(self.state, State::Finished) {
                return;
            }
        }
    }

    /// The gateway closed or reset the TCP connection.
    pub fn handle_closed(&mut self, reset: bool) {
        let farewell = matches!(
            self.state,
            State::WaitDisconnect { .. } | State::WaitStopReply { .. } | State::Finished
        );
        if !farewell {
            let how = if reset { "reset" } else { "closed" };
            let pending = match self.framer.pending() {
                0 => String::new(),
                n => format!(" after {n} octets of a message"),
            };
            let stage = self.stage();
            self.fail(
                Reason::Closed,
                format!("gateway {how} the connection while {stage}{pending}"),
            );
        }
        self.finish();
    }

    /// A wait of the farewell ran out.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::WaitDisconnect { until } if until <= now => self.stop(now),
            State::WaitStopReply { until } if until <= now => self.finish(),
            _ => {}
        }
    }

    /// The next octets for the TCP connection.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`ControlConnection::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::WaitDisconnect { until } | State::WaitStopReply { until } => Some(until),
            _ => None,
        }
    }

    /// What is being waited for, in an operator's words.
    pub fn stage(&self) -> &'static str {
        match self.state {
            State::WaitStartReply => "waiting for Start-Control-Connection-Reply",
            State::Established if self.echo.is_some() => "waiting for Echo-Reply",
            State::Established => "the control connection was idle",
            State::WaitCallReply { .. } => "waiting for Outgoing-Call-Reply",
            State::CallUp { .. } => "the call was up",
            State::WaitDisconnect { .. } => "waiting for Call-Disconnect-Notify",
            State::WaitStopReply { .. } => "waiting for Stop-Control-Connection-Reply",
            State::Finished => "the connection was closed",
        }
    }

    fn send(&mut self, message: &Message) {
        self.transmits.push_back(message.emit());
    }

    fn fail(&mut self, reason: Reason, detail: String) {
        if !self.failed {
            self.failed = true;
            self.events.push_back(Event::Failed(Failure { reason, detail }));
        }
    }

    fn finish(&mut self) {
        if !matches!(self.state, State::Finished) {
            self.state = State::Finished;
            self.echo = None;
            self.events.push_back(Event::Finished);
        }
    }

    fn stop(&mut self, now: Instant) {
        self.send(&Message::StopRequest { reason: StopReason::LocalShutdown });
        self.state = State::WaitStopReply { until: now + self.farewell };
    }

    fn handle_message(&mut self, message: Message, now: Instant) {
        self.messages += 1;
        if self.messages > MAX_MESSAGES || self.ignored > MAX_IGNORED {
            let text = match self.ignored {
                0..=MAX_IGNORED => format!("gateway sent {} control messages", self.messages),
                ignored => format!("gateway sent {ignored} control messages nobody asked for"),
            };
            self.fail(Reason::Flooded, text);
            return self.abort();
        }
        match (&self.state, message) {
            (State::WaitStartReply, Message::StartReply(reply)) => self.start_reply(reply),
            (&State::WaitCallReply { call_id }, Message::OutgoingCallReply(reply))
                if reply.peer_call_id == call_id =>
            {
                self.call_reply(reply, call_id);
            }
            (_, Message::EchoReply { identifier, result, .. }) => match self.echo {
                Some((expected, sent_at))
                    if identifier == expected && result == SimpleResult::Ok =>
                {
                    self.echo = None;
                    self.events.push_back(Event::EchoReplied(now.duration_since(sent_at)));
                }
                // Of another request, or an error: not what is waited for.
                _ => self.ignored += 1,
            },
            (_, Message::EchoRequest { identifier }) => self.send(&Message::EchoReply {
                identifier,
                result: SimpleResult::Ok,
                error: GeneralError::None,
            }),
            (State::WaitDisconnect { .. }, Message::CallDisconnectNotify(_)) => self.stop(now),
            (
                State::WaitCallReply { .. } | State::CallUp { .. },
                Message::CallDisconnectNotify(notify),
            ) => self.disconnected(&notify),
            (State::WaitStopReply { .. }, Message::StopReply { .. }) => self.finish(),
            (_, Message::StopRequest { reason }) => {
                self.send(&Message::StopReply {
                    result: SimpleResult::Ok,
                    error: GeneralError::None,
                });
                self.fail(
                    Reason::Stopped,
                    format!(
                        "gateway stopped the control connection ({reason}) while {}",
                        self.stage()
                    ),
                );
                self.finish();
            }
            // A PAC may offer an incoming call; a monitoring caller takes none.
            (_, Message::IncomingCallRequest(request)) => {
                self.send(&Message::IncomingCallReply(IncomingCallReply {
                    call_id: 0,
                    peer_call_id: request.call_id,
                    result: IncomingCallResult::DoNotAccept,
                    error: GeneralError::None,
                    packet_recv_window_size: RECEIVE_WINDOW,
                    packet_transit_delay: 0,
                }));
            }
            // ACCM and WAN errors say nothing in PPTP over IP.
            (_, Message::SetLinkInfo { .. } | Message::WanErrorNotify(_)) => {}
            // Late answers during the farewell, and what the RFC does not
            // allow here.
            _ => self.ignored += 1,
        }
    }

    fn start_reply(&mut self, reply: StartReply) {
        // Version 1 with any revision; pptpd answers every version with 1.0.
        if reply.protocol_version >> 8 != 1 {
            let version = reply.protocol_version;
            self.fail(
                Reason::WrongVersion,
                format!("gateway speaks PPTP version {}.{}", version >> 8, version & 0xFF),
            );
            return self.finish();
        }
        match reply.result {
            StartResult::Success => {
                self.state = State::Established;
                self.events.push_back(Event::Established(reply));
            }
            result => {
                let reason = match result {
                    StartResult::VersionUnsupported => Reason::WrongVersion,
                    _ => Reason::ControlRefused,
                };
                let error = with_error(reply.error);
                self.fail(
                    reason,
                    format!("gateway refused the control connection: {result}{error}"),
                );
                // Nothing was established: TCP is closed and that is all.
                self.finish();
            }
        }
    }

    fn call_reply(&mut self, reply: OutgoingCallReply, call_id: u16) {
        if reply.result == OutgoingCallResult::Connected {
            self.state = State::CallUp { call_id };
            self.events.push_back(Event::CallConnected(reply));
            return;
        }
        let error = with_error(reply.error);
        let cause = match reply.cause {
            wire::CauseCode::None => String::new(),
            cause => format!(", cause {}: {cause}", u16::from(cause)),
        };
        self.fail(
            Reason::CallRefused,
            format!("gateway refused the call: {}{error}{cause}", reply.result),
        );
        self.state = State::Established;
    }

    fn disconnected(&mut self, notify: &CallDisconnectNotify) {
        let error = with_error(notify.error);
        let text = match notify.call_statistics.as_slice() {
            [] => String::new(),
            text => format!(" ({})", escape(text)),
        };
        self.fail(
            Reason::CallDisconnected,
            format!("gateway disconnected the call: {}{error}{text}", notify.result),
        );
        self.state = State::Established;
    }
}

fn with_error(error: GeneralError) -> String {
    match error {
        GeneralError::None => String::new(),
        error => format!(", {error}"),
    }
}

#[cfg(test)]
mod tests;
