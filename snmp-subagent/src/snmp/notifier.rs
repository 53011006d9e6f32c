//! The notification originator (RFC 3413, section 3.3): traps and informs of
//! SNMPv2c and SNMPv3 to the receivers that are configured.
//!
//! A trap is sent and forgotten. An inform is sent again until it is answered
//! or [`ATTEMPTS`] have gone by; of those to one receiver one is under way at a
//! time, the others wait. Of a trap of SNMPv3 this engine is the authoritative
//! one, so the receiver must know its engine ID; of an inform the receiver is,
//! so it is asked for its engine ID and its time first (RFC 3414, section 4).
//!
//! It leaves out sockets, the clock, and what is worth telling.
//!
//! Where the RFCs are silent: what a receiver says of its time without signing
//! it is believed until it says otherwise with a signature, as Net-SNMP does;
//! a receiver that did not answer is asked anew who it is, for it may have
//! become another. Reports that nobody signed change nothing but the reason
//! that is given for silence, and what must be asked again.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pptp_probe::crypto::is_equal;
use rasn::types::OctetString;
use rasn_snmp::v2::{self, Pdu, Pdus, VarBindList};
use rasn_snmp::v3::ScopedPdu;

use super::message::{self, MAX_MESSAGE, MAX_NUMBER, MessageV3, Version};
use super::system::Report;
use super::usm::{Clock, EngineId, Envelope, Keys, Level, Local, Parameters, TIME_WINDOW, User};
use crate::config;
use crate::oid::Oid;
use crate::value::{Value, VarBind};

/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How often an inform is sent before it is given up.
pub const ATTEMPTS: u32 = 4;
/// Informs that wait for one receiver at most, and datagrams that wait to be
/// taken.
pub const MAX_QUEUED: usize = 256;

/// What the owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A receiver did not answer an inform; once, until it answers again.
    Silent {
        /// Its address.
        receiver: SocketAddr,
        /// What it has against us, if it said so.
        reason: Option<&'static str>,
    },
    /// It answers again.
    Answers {
        /// Its address.
        receiver: SocketAddr,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { receiver, reason: None } => {
                write!(f, "{receiver} does not answer informs")
            }
            Self::Silent { receiver, reason: Some(reason) } => {
                write!(f, "{receiver} takes no informs: {reason}")
            }
            Self::Answers { receiver } => write!(f, "{receiver} answers informs again"),
        }
    }
}

/// What happened so far, over all receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Traps sent, and informs answered.
    pub sent: u64,
    /// Notifications lost: too many waited, nobody answered, or too long.
    pub dropped: u64,
    /// Informs that were sent again.
    pub repeated: u64,
    /// Datagrams that answer nothing.
    pub unexpected: u64,
}

/// Sends notifications.
pub struct Notifier {
    origin: Origin,
    receivers: Vec<Receiver>,
    output: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<Event>,
    counters: Counters,
}

/// What goes into the messages to every receiver.
struct Origin {
    local: Local,
    salt: u64,
    /// The last of request-id and msgID.
    id: i32,
}

struct Receiver {
    address: SocketAddr,
    inform: bool,
    security: Security,
    /// The first one is under way.
    queue: VecDeque<Arc<VarBindList>>,
    awaited: Option<Awaited>,
    /// Who the receiver is, once it said so.
    peer: Option<Peer>,
    /// Whether that was told.
    is_silent: bool,
}

enum Security {
    Community(config::Community),
    /// With the keys for messages of this engine.
    User(User, Option<Keys>),
}

/// The answer to a message.
struct Awaited {
    until: Instant,
    /// How often there was none.
    failures: u32,
    message_id: i32,
    request_id: i32,
    /// Whether it was begun anew since it was last sent in vain.
    again: bool,
    reason: Option<&'static str>,
}

/// The engine of a receiver.
struct Peer {
    engine_id: EngineId,
    keys: Option<Keys>,
    /// What it said its clock was, and when.
    clock: Clock,
    at: Instant,
    /// Whether that was signed.
    verified: bool,
}

impl Peer {
    /// Its clock now.
    fn clock(&self, now: Instant) -> Clock {
        let since = now.saturating_duration_since(self.at).as_secs();
        let time = u64::from(self.clock.time).saturating_add(since).min(MAX_NUMBER.into());
        Clock { time: time as u32, ..self.clock }
    }

    /// Takes the clock of a signed message, unless the message is old (RFC
    /// 3414, section 3.2, step 7b).
    fn hear(&mut self, clock: Clock, now: Instant) -> bool {
        if self.verified {
            let known = self.clock(now);
            let oldest = Clock { time: known.time.saturating_sub(TIME_WINDOW), ..known };
            if clock < oldest || clock.boots == MAX_NUMBER {
                return false;
            }
            if clock <= self.clock {
                return true;
            }
        }
        self.clock = clock;
        self.at = now;
        self.verified = true;
        true
    }
}

impl Notifier {
    /// A sender to `receivers`, whose users are among `users`; a receiver
    /// without an address or with a user that is not there is passed over.
    /// `seed` is where identifiers and salts begin: random, so that answers
    /// cannot be guessed and no run repeats the salts of another.
    pub fn new(
        receivers: &[config::Receiver],
        users: &[config::User],
        local: Local,
        seed: u64,
    ) -> Self {
        let receivers = receivers.iter().filter_map(|receiver| {
            let security = match receiver.version {
                config::Version::V2c => Security::Community(receiver.community.clone()),
                config::Version::V3 => {
                    let user = users.iter().find(|user| user.name == receiver.user)?;
                    let user = User::new(user);
                    let keys = user.localize(local.engine_id());
                    Security::User(user, keys)
                }
            };
            Some(Receiver {
                address: receiver.address?,
                inform: receiver.inform,
                security,
                queue: VecDeque::new(),
                awaited: None,
                peer: None,
                is_silent: false,
            })
        });
        Self {
            receivers: receivers.collect(),
            origin: Origin { local, salt: seed, id: (seed >> 33) as i32 },
            output: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Tells every receiver: `trap` is the name of the notification, `objects`
    /// what belongs to it.
    pub fn notify(&mut self, trap: Oid, objects: Vec<VarBind<'static>>, now: Instant) {
        let uptime = Value::TimeTicks(self.origin.local.uptime(now));
        let uptime = VarBind { name: [1, 3, 6, 1, 2, 1, 1, 3, 0].into(), value: uptime };
        let varbinds: VarBindList = [uptime, VarBind::trap_oid(trap)]
            .iter()
            .chain(&objects)
            .map(|varbind| message::varbind(&varbind.name, &varbind.value))
            .collect();
        let varbinds = Arc::new(varbinds);
        for index in 0..self.receivers.len() {
            let receiver = &mut self.receivers[index];
            if !receiver.inform {
                self.trap(index, &varbinds, now);
                continue;
            }
            receiver.queue.push_back(varbinds.clone());
            if receiver.queue.len() > MAX_QUEUED {
                // Not the one that is under way.
                receiver.queue.remove(1);
                self.counters.dropped += 1;
            }
            if receiver.awaited.is_none() {
                self.inform(index, now);
            }
        }
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, octets: &[u8], from: SocketAddr, now: Instant) {
        let from = (from.ip().to_canonical(), from.port());
        for index in 0..self.receivers.len() {
            let address = self.receivers[index].address;
            if (address.ip().to_canonical(), address.port()) != from {
                continue;
            }
            let heard = match message::version(octets) {
                Some(Version::V2c) => self.receivers[index].hear_v2c(octets),
                Some(Version::V3) => self.receivers[index].hear_v3(octets, now),
                _ => None,
            };
            match heard {
                Some(Heard::Answer) => return self.answered(index, now),
                Some(Heard::Again) => return self.inform(index, now),
                Some(Heard::Objection) => return,
                None => {}
            }
        }
        self.counters.unexpected += 1;
    }

    /// A wait ran out.
    pub fn handle_timeout(&mut self, now: Instant) {
        for index in 0..self.receivers.len() {
            let receiver = &mut self.receivers[index];
            let Some(awaited) = receiver.awaited.as_mut().filter(|awaited| awaited.until <= now)
            else {
                continue;
            };
            awaited.failures += 1;
            awaited.again = false;
            if awaited.failures < ATTEMPTS {
                self.counters.repeated += 1;
            } else {
                let reason = awaited.reason;
                self.counters.dropped += 1;
                receiver.next();
                receiver.peer = None;
                if !receiver.is_silent {
                    receiver.is_silent = true;
                    self.events.push_back(Event::Silent { receiver: receiver.address, reason });
                }
            }
            self.inform(index, now);
        }
    }

    /// A datagram to be sent, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.output.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Notifier::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let awaited = self.receivers.iter().filter_map(|receiver| receiver.awaited.as_ref());
        awaited.map(|awaited| awaited.until).min()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn trap(&mut self, index: usize, varbinds: &VarBindList, now: Instant) {
        let receiver = &self.receivers[index];
        let request_id = self.origin.next_id();
        let trap = Pdus::Trap(v2::Trap(pdu(request_id, varbinds.clone())));
        let octets = match &receiver.security {
            Security::Community(community) => message::emit_v2c(community.0.as_bytes(), trap),
            Security::User(user, keys) => {
                let clock = self.origin.local.clock(now);
                self.origin.seal_own(user, keys.as_ref(), clock, trap)
            }
        };
        match octets.filter(|octets| octets.len() <= MAX_MESSAGE) {
            Some(octets) if self.output.len() < MAX_QUEUED => {
                self.output.push_back((receiver.address, octets));
                self.counters.sent += 1;
            }
            _ => self.counters.dropped += 1,
        }
    }

    /// Sends the inform that is next, or the question that must come before
    /// it.
    fn inform(&mut self, index: usize, now: Instant) {
        let receiver = &mut self.receivers[index];
        while let Some(varbinds) = receiver.queue.front() {
            let (failures, request_id, again, reason) = match &receiver.awaited {
                Some(awaited) => {
                    (awaited.failures, awaited.request_id, awaited.again, awaited.reason)
                }
                None => (0, self.origin.next_id(), false, None),
            };
            let inform =
                || Pdus::InformRequest(v2::InformRequest(pdu(request_id, varbinds.to_vec())));
            let octets = match (&receiver.security, &receiver.peer) {
                (Security::Community(community), _) => {
                    message::emit_v2c(community.0.as_bytes(), inform())
                }
                (Security::User(..), None) => self.origin.seal_question(request_id),
                (Security::User(user, _), Some(peer)) => {
                    self.origin.seal_to(user, peer, inform(), now)
                }
            };
            let Some(octets) = octets.filter(|octets| octets.len() <= MAX_MESSAGE) else {
                self.counters.dropped += 1;
                receiver.next();
                continue;
            };
            // Where it does not fit, it is as if the network had lost it.
            if self.output.len() < MAX_QUEUED {
                self.output.push_back((receiver.address, octets));
            }
            let (until, message_id) = (now + PATIENCE, self.origin.id);
            receiver.awaited =
                Some(Awaited { until, failures, message_id, request_id, again, reason });
            return;
        }
    }

    /// A receiver has what was under way.
    fn answered(&mut self, index: usize, now: Instant) {
        let receiver = &mut self.receivers[index];
        self.counters.sent += 1;
        receiver.next();
        if receiver.is_silent {
            receiver.is_silent = false;
            self.events.push_back(Event::Answers { receiver: receiver.address });
        }
        self.inform(index, now);
    }
}

impl Origin {
    fn next_id(&mut self) -> i32 {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.id
    }

    /// A message of which this engine is the authoritative one.
    fn seal_own(
        &mut self,
        user: &User,
        keys: Option<&Keys>,
        clock: Clock,
        data: Pdus,
    ) -> Option<Vec<u8>> {
        let engine_id = self.local.engine_id().clone();
        let engine_id = engine_id.as_slice();
        let (level, user, reportable) = (user.level(), &user.name[..], false);
        self.seal(Envelope { engine_id, clock, user, level, keys, reportable, ..BLANK }, data)
    }

    /// A message to a receiver.
    fn seal_to(&mut self, user: &User, peer: &Peer, data: Pdus, now: Instant) -> Option<Vec<u8>> {
        let (level, keys) = (user.level(), peer.keys.as_ref());
        let (engine_id, clock) = (peer.engine_id.as_slice(), peer.clock(now));
        self.seal(Envelope { engine_id, clock, user: &user.name, level, keys, ..BLANK }, data)
    }

    /// The question who somebody is (RFC 3414, section 4).
    fn seal_question(&mut self, request_id: i32) -> Option<Vec<u8>> {
        self.seal(BLANK, Pdus::GetRequest(v2::GetRequest(pdu(request_id, Vec::new()))))
    }

    fn seal(&mut self, envelope: Envelope<'_>, data: Pdus) -> Option<Vec<u8>> {
        let id = self.next_id();
        self.salt = self.salt.wrapping_add(u64::from(envelope.level == Level::AuthPriv));
        let engine_id = OctetString::from_slice(self.local.engine_id().as_slice());
        let pdu = ScopedPdu { engine_id, name: OctetString::default(), data };
        Envelope { id, salt: self.salt, ..envelope }.seal(pdu)
    }
}

/// What a question says of itself.
const BLANK: Envelope<'static> = Envelope {
    id: 0,
    max_size: MAX_MESSAGE,
    reportable: true,
    engine_id: &[],
    clock: Clock { boots: 0, time: 0 },
    user: &[],
    level: Level::NoAuthNoPriv,
    keys: None,
    salt: 0,
};

/// What a datagram of a receiver means.
enum Heard {
    /// It has what was under way.
    Answer,
    /// What was under way must be sent once more.
    Again,
    /// It has something against us.
    Objection,
}

impl Receiver {
    /// What is under way is over.
    fn next(&mut self) {
        self.queue.pop_front();
        self.awaited = None;
    }

    fn hear_v2c(&self, octets: &[u8]) -> Option<Heard> {
        let Security::Community(community) = &self.security else { return None };
        let awaited = self.awaited.as_ref()?;
        let message = message::parse_v2c(octets)?;
        let Pdus::Response(v2::Response(pdu)) = message.data else { return None };
        let ours = is_equal(&message.community, community.0.as_bytes())
            && pdu.request_id == awaited.request_id;
        // Whatever the error is, it was received.
        ours.then_some(Heard::Answer)
    }

    fn hear_v3(&mut self, octets: &[u8], now: Instant) -> Option<Heard> {
        let Security::User(user, _) = &self.security else { return None };
        let awaited = self.awaited.as_mut()?;
        let message = MessageV3::parse(octets)?;
        let level = Level::of(message.flags)?;
        let parameters = Parameters::parse(&message.security_parameters)?;
        let Some(peer) = &mut self.peer else {
            let pdu = parameters.open(level, None, message.data).ok()?;
            if report(&pdu)? != Report::UnknownEngineIds || message.id != awaited.message_id {
                return None;
            }
            let engine_id = EngineId::try_from(&parameters.engine_id[..]).ok()?;
            let keys = user.localize(&engine_id);
            let clock = parameters.clock;
            self.peer = Some(Peer { engine_id, keys, clock, at: now, verified: false });
            return Some(Heard::Again);
        };
        let is_signed = level >= Level::AuthNoPriv;
        if is_signed {
            let keys = peer.keys.as_ref()?;
            let ours = *parameters.engine_id == *peer.engine_id.as_slice()
                && *parameters.user == *user.name
                && keys.verify(octets);
            // A signature that is wrong is worse than none.
            if !ours || !peer.hear(parameters.clock, now) {
                return None;
            }
        }
        let pdu = parameters.open(level, peer.keys.as_ref(), message.data).ok()?;
        if let Pdus::Response(v2::Response(pdu)) = &pdu.data {
            let ours = level == user.level() && pdu.request_id == awaited.request_id;
            return ours.then_some(Heard::Answer);
        }
        let report = report(&pdu).filter(|_| message.id == awaited.message_id)?;
        match report {
            Report::NotInTimeWindows if is_signed && !awaited.again => {
                awaited.again = true;
                Some(Heard::Again)
            }
            Report::UnknownEngineIds if !awaited.again => {
                awaited.again = true;
                self.peer = None;
                Some(Heard::Again)
            }
            report => {
                awaited.reason = Some(reason(report));
                Some(Heard::Objection)
            }
        }
    }
}

/// What a Report is about.
fn report(pdu: &ScopedPdu) -> Option<Report> {
    let Pdus::Report(v2::Report(pdu)) = &pdu.data else { return None };
    let name = message::name(&pdu.variable_bindings.first()?.name)?;
    Report::ALL.into_iter().find(|report| report.name() == name)
}

fn reason(report: Report) -> &'static str {
    match report {
        Report::UnsupportedSecLevels => "it knows the user with fewer passwords",
        Report::NotInTimeWindows => "its clock and ours run differently",
        Report::UnknownUserNames => "it does not know the user",
        Report::UnknownEngineIds => "its engine ID changes",
        Report::WrongDigests => "it has another authentication password or protocol for the user",
        Report::DecryptionErrors => "it cannot decrypt what the user sends",
        Report::UnknownPduHandlers => "it handles no informs",
        Report::UnknownContexts => "it does not know the default context",
    }
}

fn pdu(request_id: i32, variable_bindings: VarBindList) -> Pdu {
    let error_status = Pdu::ERROR_STATUS_NO_ERROR;
    Pdu { request_id, error_status, error_index: 0, variable_bindings }
}

#[cfg(test)]
mod tests;
