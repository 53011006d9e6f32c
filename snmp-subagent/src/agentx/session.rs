//! The subagent's side of one AgentX session (RFC 2741, section 7), with a
//! master that comes and goes.
//!
//! It opens a session, registers each region once, adds its capabilities,
//! answers from the [`View`] it is given, sends notifications, asks a silent
//! master whether it is there, and wants a new connection when the old one is
//! gone. It leaves out sockets, the clock, and what the variables mean.
//!
//! One request of ours is under way at a time, so a burst of notifications
//! cannot fill both directions of a connection. Every variable is read-only.
//!
//! What real masters do: Net-SNMP drops the connection, with every table on
//! it, when one answer is late; it has crashed on a connection that is opened
//! again within a second, so no attempt follows a loss sooner than that, and a
//! Close goes out first wherever there is somebody to read it. It never sends
//! GetBulk.
//!
//! Where the RFC is silent: a stream that cannot be followed is closed for
//! parse errors, and so is one with [`MAX_MALFORMED`] PDUs that cannot be
//! parsed. A PDU that only a master is asked, and a PDU of unknown type, are
//! answered with parseError. UndoSet is answered with noError: there is never
//! anything to undo.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pptp_probe::wire::Error;

use super::pdu::{
    ByteOrder, CloseReason, ErrorStatus, Frame, Framer, Header, MAX_PDU, Message, Pdu, PduType,
    Region, ResponseWriter, SearchRange, VarBind,
};
use crate::oid::Oid;
use crate::value::{Octets, Value};
use crate::view::View;

/// PDUs that cannot be parsed, on one connection, beyond which it is closed.
pub const MAX_MALFORMED: u32 = 16;

/// No attempt to connect follows a loss sooner.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
/// Nor later.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// How a subagent meets its master.
#[derive(Debug, Clone)]
pub struct Config {
    /// o.id.
    pub id: Oid,
    /// o.descr.
    pub description: String,
    /// What is registered.
    pub regions: Vec<Region>,
    /// sysORID and sysORDescr to add, if any.
    pub capabilities: Option<(Oid, String)>,
    /// The context of all of it; none is the default context.
    pub context: Option<Vec<u8>>,
    /// Of the PDUs we begin; the master follows.
    pub byte_order: ByteOrder,
    /// o.timeout and r.timeout: seconds the master shall wait for us, 0 for
    /// its own default.
    pub timeout: u8,
    /// How long we wait for the master.
    pub patience: Duration,
    /// A master that was silent for so long is asked whether it is there.
    pub ping_interval: Duration,
    /// Notifications that wait at most.
    pub max_notifications: usize,
    /// Octets that wait to be sent, beyond which the connection is given up; one
    /// PDU more may be waiting then.
    pub max_output: usize,
    /// Octets of a Response at most, at least 1024.
    pub max_response: usize,
}

impl Config {
    /// Registers `subtree` in the default context with the default priority,
    /// 127.
    pub fn new(subtree: Oid, description: &str) -> Self {
        Self {
            id: subtree.clone(),
            description: description.to_owned(),
            regions: vec![Region { priority: 127, subtree, range: None }],
            capabilities: None,
            context: None,
            byte_order: ByteOrder::NATIVE,
            timeout: 0,
            patience: Duration::from_secs(5),
            ping_interval: Duration::from_secs(15),
            max_notifications: 256,
            max_output: 1 << 20,
            max_response: MAX_PDU,
        }
    }
}

/// What the owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection is wanted: [`Session::handle_connected`] or
    /// [`Session::handle_closed`] says how it went.
    Connect,
    /// All regions are registered; once for each connection.
    Serving {
        /// h.sessionID.
        session_id: u32,
    },
    /// The master refused a region. It is asked again after a while.
    RegionRefused {
        /// r.subtree.
        subtree: Oid,
        /// Why.
        error: ErrorStatus,
    },
    /// The master refused something that is not asked again: the capabilities
    /// or a notification.
    Refused {
        /// What it was.
        request: PduType,
        /// Why.
        error: ErrorStatus,
    },
    /// The connection is over: send what is left without waiting, and close.
    Disconnected(Cause),
    /// The same, after [`Session::close`].
    Finished,
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It could not be made, or the transport ended.
    Lost,
    /// The master sent Close.
    Closed(CloseReason),
    /// The master answered Open with an error.
    OpenRefused(ErrorStatus),
    /// The master knows nothing of the session any more.
    NotOpen,
    /// The master did not answer this in time.
    Silent(PduType),
    /// The stream, or too much of what is in it, is no AgentX.
    Malformed(Error),
    /// The master asks but does not read the answers.
    Congested,
}

/// What happened so far, over all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Sessions opened.
    pub opened: u64,
    /// Connections that were over, those never made included.
    pub disconnected: u64,
    /// Requests for variables.
    pub requests: u64,
    /// PDUs that could not be parsed.
    pub malformed: u64,
    /// Responses nobody waits for.
    pub unexpected: u64,
    /// Notifications that the master took.
    pub notifications_sent: u64,
    /// Notifications lost: the queue was full, the PDU too long, or the master
    /// refused.
    pub notifications_dropped: u64,
    /// Connections given up because the master did not read.
    pub congested: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing, until the next attempt.
    Waiting { until: Instant },
    /// The owner connects.
    Connecting,
    /// Open was sent.
    Opening { awaited: Awaited },
    /// There is a session.
    Established(Established),
    /// Close was sent, because we were asked to.
    Closing { awaited: Awaited },
    /// For good.
    Finished,
}

/// A request of ours that was not answered yet.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    packet_id: u32,
    until: Instant,
}

#[derive(Debug)]
struct Established {
    session_id: u32,
    awaited: Option<(Awaited, Request)>,
    /// One for each region.
    registrations: Vec<Registration>,
    capabilities_asked: bool,
    /// When all regions were asked for.
    settled_since: Option<Instant>,
    /// Whether all regions are registered, and that was told.
    serving: bool,
    /// When the master was last heard.
    heard_at: Instant,
    malformed: u32,
}

#[derive(Debug, Clone, Copy)]
enum Request {
    Register { region: usize },
    AddAgentCaps,
    Notify,
    Ping,
}

impl Request {
    fn pdu_type(self) -> PduType {
        match self {
            Self::Register { .. } => PduType::Register,
            Self::AddAgentCaps => PduType::AddAgentCaps,
            Self::Notify => PduType::Notify,
            Self::Ping => PduType::Ping,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Registration {
    Wanted,
    Registered,
    Refused { again_at: Instant },
}

/// One subagent's session, through all its connections.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    framer: Framer,
    output: Vec<u8>,
    /// How much of `output` was sent.
    sent: usize,
    packet_id: u32,
    /// Attempts since the last session that lasted.
    attempts: u32,
    random: u64,
    notifications: VecDeque<Vec<VarBind<'static>>>,
    counters: Counters,
    events: VecDeque<Event>,
    /// res.sysUpTime of the last Response, and when it came.
    uptime: Option<(u32, Instant)>,
}

impl Session {
    /// A session that wants its first connection at once. `seed` spreads the
    /// attempts of subagents that lost the same master.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Self {
            config,
            state: State::Waiting { until: now },
            framer: Framer::default(),
            output: Vec::new(),
            sent: 0,
            packet_id: 0,
            attempts: 0,
            random: seed,
            notifications: VecDeque::new(),
            counters: Counters::default(),
            events: VecDeque::new(),
            uptime: None,
        }
    }

    /// The owner made the connection that was wanted.
    pub fn handle_connected(&mut self, now: Instant) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        self.framer = Framer::default();
        self.clear_output();
        let open = Message::Open {
            timeout: self.config.timeout,
            id: self.config.id.clone(),
            description: Octets::copy(self.config.description.as_bytes()),
        };
        self.state = State::Opening { awaited: self.send(0, open, now) };
    }

    /// The connection ended, or could not be made.
    pub fn handle_closed(&mut self, now: Instant) {
        self.clear_output();
        // Whoever is waiting knows already.
        if !matches!(self.state, State::Waiting { .. } | State::Finished) {
            self.disconnect(Cause::Lost, now);
        }
    }

    /// Takes octets from the connection; requests among them are answered from
    /// `view`.
    pub fn handle_input<V: View + ?Sized>(&mut self, octets: &[u8], view: &V, now: Instant) {
        match &mut self.state {
            State::Established(established) => established.heard_at = now,
            State::Opening { .. } | State::Closing { .. } => {}
            State::Waiting { .. } | State::Connecting | State::Finished => return,
        }
        let mut framer = std::mem::take(&mut self.framer);
        framer.push(octets);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => self.handle_frame(frame, view, now),
                Ok(None) => break,
                Err(error) => {
                    self.counters.malformed += 1;
                    self.give_up(CloseReason::ParseError, Cause::Malformed(error), now);
                }
            }
            if matches!(self.state, State::Waiting { .. } | State::Finished) {
                return;
            }
            if self.output.len() - self.sent > self.config.max_output {
                self.counters.congested += 1;
                self.clear_output();
                return self.disconnect(Cause::Congested, now);
            }
        }
        self.framer = framer;
        self.proceed(now);
    }

    /// A wait ran out.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &self.state {
            State::Waiting { until } if *until <= now => {
                self.state = State::Connecting;
                self.events.push_back(Event::Connect);
            }
            State::Opening { awaited } if awaited.until <= now => {
                self.give_up(CloseReason::Timeouts, Cause::Silent(PduType::Open), now);
            }
            State::Established(Established { awaited: Some((awaited, request)), .. })
                if awaited.until <= now =>
            {
                let request = request.pdu_type();
                self.give_up(CloseReason::Timeouts, Cause::Silent(request), now);
            }
            State::Established(_) => self.proceed(now),
            State::Closing { awaited } if awaited.until <= now => self.finish(),
            _ => {}
        }
    }

    /// All that waits to be sent; [`Session::handle_transmitted`] says how
    /// much of it was.
    pub fn poll_transmit(&self) -> Option<&[u8]> {
        Some(&self.output[self.sent..]).filter(|octets| !octets.is_empty())
    }

    /// The first `n` octets of [`Session::poll_transmit`] were sent.
    pub fn handle_transmitted(&mut self, n: usize) {
        self.sent = (self.sent + n).min(self.output.len());
        // Not at every call, so that what waits is not moved again and again.
        if self.sent >= self.output.len() - self.sent {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Whether [`Session::poll_event`] has something to tell.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Opening { awaited } | State::Closing { awaited } => Some(awaited.until),
            State::Established(established) => Some(match established.awaited {
                Some((awaited, _)) => awaited.until,
                None => {
                    let ping_at = established.heard_at + self.config.ping_interval;
                    let again =
                        established.registrations.iter().filter_map(|region| match region {
                            Registration::Refused { again_at } => Some(*again_at),
                            _ => None,
                        });
                    again.fold(ping_at, Instant::min)
                }
            }),
            State::Connecting | State::Finished => None,
        }
    }

    /// Queues a notification: `trap` is its name, `objects` what belongs to
    /// it. It is kept until a master took it; when there is no room, the
    /// oldest that is not under way is dropped and counted.
    pub fn notify(&mut self, trap: Oid, objects: Vec<VarBind<'static>>, now: Instant) {
        if matches!(self.state, State::Closing { .. } | State::Finished) {
            self.counters.notifications_dropped += 1;
            return;
        }
        let mut varbinds = vec![VarBind::trap_oid(trap)];
        varbinds.extend(objects);
        let mut octets = Vec::new();
        self.pdu(0, Message::Notify { varbinds: varbinds.clone() }).emit(&mut octets);
        if octets.len() > MAX_PDU {
            self.counters.notifications_dropped += 1;
            return;
        }
        self.notifications.push_back(varbinds);
        if self.notifications.len() > self.config.max_notifications {
            self.notifications.remove(usize::from(self.is_notifying()));
            self.counters.notifications_dropped += 1;
        }
        self.proceed(now);
    }

    /// Ends the session for good.
    pub fn close(&mut self, now: Instant) {
        match &self.state {
            State::Established(established) => {
                let close = Message::Close { reason: CloseReason::Shutdown };
                let awaited = self.send(established.session_id, close, now);
                self.state = State::Closing { awaited };
            }
            State::Closing { .. } => {}
            State::Waiting { .. } | State::Connecting | State::Opening { .. } | State::Finished => {
                self.finish();
            }
        }
    }

    /// Notifications that no master took yet.
    pub fn waiting_notifications(&self) -> usize {
        self.notifications.len()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// sysUpTime of the master in hundredths of a second, by its last Response;
    /// nothing before the first.
    pub fn master_uptime(&self, now: Instant) -> Option<u32> {
        let (uptime, at) = self.uptime?;
        let hundredths = now.saturating_duration_since(at).as_millis() / 10;
        // TimeTicks wrap (RFC 2578, section 7.1.8).
        Some(uptime.wrapping_add(hundredths as u32))
    }

    /// What is being waited for, in an operator's words.
    pub fn stage(&self) -> &'static str {
        match &self.state {
            State::Waiting { .. } => "waiting before the next attempt to connect",
            State::Connecting => "connecting to the master",
            State::Opening { .. } => "waiting for the answer to Open",
            State::Established(Established { awaited, serving, .. }) => match awaited {
                Some((_, Request::Register { .. })) => "waiting for the answer to Register",
                Some((_, Request::AddAgentCaps)) => "waiting for the answer to AddAgentCaps",
                Some((_, Request::Notify)) => "waiting for the answer to Notify",
                Some((_, Request::Ping)) => "waiting for the answer to Ping",
                None if !serving => "waiting before the tree is asked for again",
                None => "serving the master",
            },
            State::Closing { .. } => "waiting for the answer to Close",
            State::Finished => "the session was closed",
        }
    }

    fn handle_frame<V: View + ?Sized>(&mut self, frame: Frame<'_>, view: &V, now: Instant) {
        let parsed = frame.parse();
        if let Err(error) = &parsed {
            self.counters.malformed += 1;
            if let State::Established(established) = &mut self.state {
                established.malformed += 1;
                if established.malformed > MAX_MALFORMED {
                    let cause = Cause::Malformed(error.clone());
                    return self.give_up(CloseReason::ParseError, cause, now);
                }
            }
        }
        match (parsed, frame.pdu_type) {
            (Ok(Pdu { message: Message::Response { error, sys_up_time, .. }, .. }), _) => {
                self.uptime = Some((sys_up_time, now));
                self.handle_response(&frame.header, error, now);
            }
            // Whichever session it names: the connection is of no use without
            // ours, and a master that mixes them up would do so again.
            (Ok(Pdu { message: Message::Close { reason }, .. }), _) => {
                self.disconnect(Cause::Closed(reason), now);
            }
            // Nobody waits for an answer to these.
            (_, PduType::Response | PduType::Close | PduType::CleanupSet) => {}
            (parsed, _) => self.answer(&frame.header, parsed, view),
        }
    }

    /// Answers a request (RFC 2741, sections 7.2.2 to 7.2.4).
    fn answer<V: View + ?Sized>(
        &mut self,
        header: &Header,
        parsed: Result<Pdu<'_>, Error>,
        view: &V,
    ) {
        self.counters.requests += 1;
        let open = match &self.state {
            State::Established(established) => established.session_id == header.session_id,
            _ => false,
        };
        let limit = self.config.max_response;
        let mut response = ResponseWriter::new(&mut self.output, header);
        match parsed {
            Err(_) => response.fail(ErrorStatus::ParseError, 0),
            Ok(_) if !open => response.fail(ErrorStatus::NotOpen, 0),
            Ok(Pdu { message: Message::CommitSet, .. }) => {
                response.fail(ErrorStatus::CommitFailed, 0);
            }
            Ok(Pdu { message: Message::UndoSet, .. }) => {}
            Ok(Pdu { context, .. }) if context.as_deref() != self.config.context.as_deref() => {
                response.fail(ErrorStatus::UnsupportedContext, 0);
            }
            Ok(Pdu { message, .. }) => match message {
                Message::Get { ranges } => {
                    for (i, SearchRange { start, .. }) in ranges.iter().enumerate() {
                        if !put(&mut response, i, start, &view.get(start), limit) {
                            break;
                        }
                    }
                }
                Message::GetNext { ranges } => {
                    get_next(&mut response, view, &ranges, limit);
                }
                Message::GetBulk { non_repeaters, max_repetitions, mut ranges } => {
                    let once = usize::from(non_repeaters).min(ranges.len());
                    let (once, repeaters) = ranges.split_at_mut(once);
                    if get_next(&mut response, view, once, limit) {
                        repeat(&mut response, view, repeaters, max_repetitions, limit);
                    }
                }
                Message::TestSet { varbinds } if !varbinds.is_empty() => {
                    response.fail(ErrorStatus::NotWritable, 1);
                }
                Message::TestSet { .. } => {}
                // Only a master is asked these.
                _ => response.fail(ErrorStatus::ParseError, 0),
            },
        }
        response.finish();
    }

    fn handle_response(&mut self, header: &Header, error: ErrorStatus, now: Instant) {
        match &mut self.state {
            State::Opening { awaited } if awaited.packet_id == header.packet_id => match error {
                ErrorStatus::None => self.open(header.session_id, now),
                error => self.disconnect(Cause::OpenRefused(error), now),
            },
            State::Closing { awaited } if awaited.packet_id == header.packet_id => self.finish(),
            State::Established(established) => match established.awaited {
                Some((awaited, request)) if awaited.packet_id == header.packet_id => {
                    established.awaited = None;
                    self.handle_result(request, error, now);
                }
                _ => self.counters.unexpected += 1,
            },
            _ => self.counters.unexpected += 1,
        }
    }

    fn open(&mut self, session_id: u32, now: Instant) {
        self.counters.opened += 1;
        self.state = State::Established(Established {
            session_id,
            awaited: None,
            registrations: vec![Registration::Wanted; self.config.regions.len()],
            capabilities_asked: false,
            settled_since: None,
            serving: false,
            heard_at: now,
            malformed: 0,
        });
    }

    /// What the master said to a request of an established session.
    fn handle_result(&mut self, request: Request, error: ErrorStatus, now: Instant) {
        match (request, error) {
            (_, ErrorStatus::NotOpen) => self.disconnect(Cause::NotOpen, now),
            (Request::Register { region }, error) => {
                let outcome = match error {
                    ErrorStatus::None => Registration::Registered,
                    error => {
                        let subtree = self.config.regions[region].subtree.clone();
                        self.events.push_back(Event::RegionRefused { subtree, error });
                        Registration::Refused { again_at: now + LONGEST_DELAY }
                    }
                };
                if let State::Established(established) = &mut self.state {
                    established.registrations[region] = outcome;
                }
            }
            (Request::Notify, ErrorStatus::None) => {
                self.notifications.pop_front();
                self.counters.notifications_sent += 1;
            }
            // Asked again, it would be refused again.
            (Request::Notify, error) => {
                self.notifications.pop_front();
                self.counters.notifications_dropped += 1;
                self.events.push_back(Event::Refused { request: PduType::Notify, error });
            }
            (Request::AddAgentCaps | Request::Ping, ErrorStatus::None) => {}
            // The tables are served without capabilities too.
            (Request::AddAgentCaps, error) => {
                self.events.push_back(Event::Refused { request: PduType::AddAgentCaps, error });
            }
            // Whatever it says, it is there.
            (Request::Ping, _) => {}
        }
    }

    /// Sends what is next in an established session, if nothing is under way.
    fn proceed(&mut self, now: Instant) {
        let State::Established(established) = &mut self.state else { return };
        if established.awaited.is_some() {
            return;
        }
        let session_id = established.session_id;
        let due = established.registrations.iter().position(|registration| match registration {
            Registration::Wanted => true,
            Registration::Registered => false,
            Registration::Refused { again_at } => *again_at <= now,
        });
        let request = match due {
            Some(region) => Request::Register { region },
            None if !established.capabilities_asked && self.config.capabilities.is_some() => {
                established.capabilities_asked = true;
                Request::AddAgentCaps
            }
            None => {
                established.settled_since.get_or_insert(now);
                let is_registered = |region| matches!(region, &Registration::Registered);
                if !established.serving && established.registrations.iter().all(is_registered) {
                    established.serving = true;
                    self.events.push_back(Event::Serving { session_id });
                }
                if !self.notifications.is_empty() {
                    Request::Notify
                } else if established.heard_at + self.config.ping_interval <= now {
                    Request::Ping
                } else {
                    return;
                }
            }
        };
        let message = match request {
            Request::Register { region } => Message::Register {
                instance: false,
                timeout: self.config.timeout,
                region: self.config.regions[region].clone(),
            },
            Request::AddAgentCaps => match &self.config.capabilities {
                Some((id, description)) => Message::AddAgentCaps {
                    id: id.clone(),
                    description: Octets::copy(description.as_bytes()),
                },
                None => return,
            },
            Request::Notify => match self.notifications.front() {
                Some(varbinds) => Message::Notify { varbinds: varbinds.clone() },
                None => return,
            },
            Request::Ping => Message::Ping,
        };
        let awaited = self.send(session_id, message, now);
        if let State::Established(established) = &mut self.state {
            established.awaited = Some((awaited, request));
        }
    }

    /// Sends a request of ours.
    fn send(&mut self, session_id: u32, message: Message<'static>, now: Instant) -> Awaited {
        self.packet_id = self.packet_id.wrapping_add(1);
        let mut octets = std::mem::take(&mut self.output);
        self.pdu(session_id, message).emit(&mut octets);
        self.output = octets;
        Awaited { packet_id: self.packet_id, until: now + self.config.patience }
    }

    fn pdu(&self, session_id: u32, message: Message<'static>) -> Pdu<'_> {
        Pdu {
            header: Header {
                byte_order: self.config.byte_order,
                session_id,
                transaction_id: self.packet_id,
                packet_id: self.packet_id,
            },
            context: self.config.context.as_deref().map(Octets::from),
            message,
        }
    }

    fn is_notifying(&self) -> bool {
        matches!(
            self.state,
            State::Established(Established { awaited: Some((_, Request::Notify)), .. })
        )
    }

    /// Leaves a connection that is of no use, and says why if there is a
    /// session to close.
    fn give_up(&mut self, reason: CloseReason, cause: Cause, now: Instant) {
        if let State::Established(established) = &self.state {
            self.send(established.session_id, Message::Close { reason }, now);
        }
        self.disconnect(cause, now);
    }

    fn disconnect(&mut self, cause: Cause, now: Instant) {
        match &self.state {
            State::Closing { .. } => return self.finish(),
            State::Established(Established { settled_since: Some(since), .. })
                if *since + LONGEST_DELAY <= now =>
            {
                self.attempts = 0;
            }
            _ => {}
        }
        self.counters.disconnected += 1;
        self.state = State::Waiting { until: now + self.delay() };
        self.events.push_back(Event::Disconnected(cause));
    }

    fn finish(&mut self) {
        if !matches!(self.state, State::Finished) {
            self.state = State::Finished;
            self.events.push_back(Event::Finished);
        }
    }

    /// How long to wait now: between the shortest delay and a bound that
    /// doubles with each attempt.
    fn delay(&mut self) -> Duration {
        self.attempts += 1;
        let bound = SHORTEST_DELAY.saturating_mul(1 << self.attempts.min(8)).min(LONGEST_DELAY);
        // SplitMix64: any seed will do, zero too.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut random = self.random;
        random = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = ((random ^ (random >> 31)) >> 32) as f64 / f64::from(u32::MAX);
        SHORTEST_DELAY + (bound - SHORTEST_DELAY).mul_f64(share)
    }

    fn clear_output(&mut self) {
        self.output.clear();
        self.sent = 0;
    }
}

/// Puts the answer to range `i` into the response; false when there is no
/// room, and then the response is an error (RFC 2741, section 7.2.3).
fn put(
    response: &mut ResponseWriter<'_>,
    i: usize,
    name: &Oid,
    value: &Value<'_>,
    limit: usize,
) -> bool {
    let fits = response.varbind(name, value, limit);
    if !fits {
        response.fail(ErrorStatus::GenErr, u16::try_from(i + 1).unwrap_or(u16::MAX));
    }
    fits
}

/// One answer for each range (RFC 2741, section 7.2.3.2); false as in [`put`].
fn get_next<V: View + ?Sized>(
    response: &mut ResponseWriter<'_>,
    view: &V,
    ranges: &[SearchRange],
    limit: usize,
) -> bool {
    ranges.iter().enumerate().all(|(i, SearchRange { start, include, end })| {
        let mut fits = None;
        view.walk(start, *include, end.as_ref(), &mut |name, value| {
            fits = Some(put(response, i, name, &value, limit));
            false
        });
        fits.unwrap_or_else(|| put(response, i, start, &Value::EndOfMibView, limit))
    })
}

/// Up to `max_repetitions` answers for each range, as many as fit (RFC 2741,
/// section 7.2.3.3).
fn repeat<V: View + ?Sized>(
    response: &mut ResponseWriter<'_>,
    view: &V,
    ranges: &mut [SearchRange],
    max_repetitions: u16,
    limit: usize,
) {
    if let [range] = ranges {
        return repeat_one(response, view, range, max_repetitions, limit);
    }
    let first = response.mark();
    for _ in 0..max_repetitions {
        let mark = response.mark();
        let mut found = false;
        for range in &mut *ranges {
            let mut next = None;
            view.walk(&range.start, range.include, range.end.as_ref(), &mut |name, value| {
                next = Some((name.clone(), response.varbind(name, &value, limit)));
                false
            });
            let fits = match next {
                Some((name, fits)) => {
                    range.start = name;
                    range.include = false;
                    found = true;
                    fits
                }
                None => response.varbind(&range.start, &Value::EndOfMibView, limit),
            };
            if !fits {
                // Whole repetitions where there is one: those are rows.
                if mark > first {
                    response.take_back(mark);
                }
                return;
            }
        }
        if !found {
            return;
        }
    }
}

/// The same for one range, without a search for each answer.
fn repeat_one<V: View + ?Sized>(
    response: &mut ResponseWriter<'_>,
    view: &V,
    range: &SearchRange,
    max_repetitions: u16,
    limit: usize,
) {
    if max_repetitions == 0 {
        return;
    }
    let SearchRange { start, include, end } = range;
    let (mut last, mut left, mut fits) = (start.clone(), max_repetitions, true);
    view.walk(start, *include, end.as_ref(), &mut |name, value| {
        fits = response.varbind(name, &value, limit);
        last.clone_from(name);
        left -= 1;
        fits && left > 0
    });
    if fits && left > 0 {
        response.varbind(&last, &Value::EndOfMibView, limit);
    }
}

#[cfg(test)]
mod tests;
