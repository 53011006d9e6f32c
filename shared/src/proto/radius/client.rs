//! Requests on their way, one for each identifier, until the right reply comes
//! (RFC 2865, section 3; RFC 5080, section 2.2).
//!
//! Owns identifiers, retransmission and the verification of replies. What is
//! asked, and when to give up, is for [`super::exchange`].
//!
//! A reply counts only if its identifier is one that is waited for, its code
//! fits the request, and its Response Authenticator and Message-Authenticator
//! are right. Everything else is thrown away and counted, and the wait goes on:
//! a forged reply ends nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::crypto::radius::SharedSecret;
use crate::wire::radius::{Code, HEADER_LENGTH, Packet};

/// What is asked of the Message-Authenticator in replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// A reply without it does not count, unless it is to an
    /// Accounting-Request: its authenticator is a signature that leaves an
    /// attacker nothing to choose, and servers send none.
    Required,
    /// It may be absent; if it is there, it has to be right.
    Checked,
    /// It is not looked at.
    Ignored,
}

/// When to send a request again (RFC 5080, section 2.2.1): after `initial`,
/// then after twice the time, up to `longest`, each a tenth more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retransmission {
    /// IRT.
    pub initial: Duration,
    /// MRT.
    pub longest: Duration,
}

impl Default for Retransmission {
    /// The values of RFC 5080.
    fn default() -> Self {
        Self { initial: Duration::from_secs(2), longest: Duration::from_secs(16) }
    }
}

/// How a client meets its server.
#[derive(Clone)]
pub struct Config {
    /// What both sides know.
    pub secret: SharedSecret,
    /// What is asked of replies.
    pub signature: Signature,
    /// Nothing where the transport itself is reliable (RFC 6613, section
    /// 2.6.1).
    pub retransmission: Option<Retransmission>,
    /// Where the identifiers begin.
    pub first_identifier: u8,
    /// Spreads the retransmissions of clients that began together.
    pub jitter: u32,
}

/// What was thrown away, by what was wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discarded {
    /// No RADIUS packet, or a Message-Authenticator of a wrong length.
    pub malformed: u32,
    /// Nobody waits for that identifier.
    pub identifier: u32,
    /// A code that is no answer to the request.
    pub code: u32,
    /// A Response Authenticator of another secret, or of another request.
    pub authenticator: u32,
    /// A wrong Message-Authenticator.
    pub signature: u32,
    /// No Message-Authenticator where one is required.
    pub unsigned: u32,
    /// A right reply from an address or port that was not asked.
    pub source: u32,
    /// The right reply once more.
    pub duplicate: u32,
}

impl Discarded {
    /// All but the duplicates, which do no harm.
    pub fn wrong(&self) -> u32 {
        let Self {
            malformed, identifier, code, authenticator, signature, unsigned, source, ..
        } = *self;
        [malformed, identifier, code, authenticator, signature, unsigned, source]
            .into_iter()
            .fold(0, u32::saturating_add)
    }

    /// The kinds that came, for an operator: `2 malformed, 1 duplicate`.
    pub fn describe(&self) -> String {
        let kinds = [
            (self.malformed, "malformed"),
            (self.identifier, "with an unknown identifier"),
            (self.code, "with a code that is no answer"),
            (self.authenticator, "with a wrong authenticator"),
            (self.signature, "with a wrong Message-Authenticator"),
            (self.unsigned, "without Message-Authenticator"),
            (self.source, "from a wrong source"),
            (self.duplicate, "duplicate"),
        ];
        let came = kinds.into_iter().filter(|(count, _)| *count > 0);
        came.map(|(count, kind)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
    }
}

/// A reply that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// That of the request and the reply.
    pub identifier: u8,
    /// The packet; it parses.
    pub reply: Vec<u8>,
    /// From the first transmission to the reply.
    pub time: Duration,
    /// From the last transmission to the reply.
    pub since_last: Duration,
    /// How often the request was sent.
    pub transmissions: u32,
    /// Whether the reply carries a Message-Authenticator.
    pub signed: bool,
}

/// The client of one server's port.
pub struct Client {
    config: Config,
    slots: Box<[Slot; 256]>,
    waiting: Identifiers,
    /// Nothing is due before.
    next_due: Option<Instant>,
    next_identifier: u8,
    transmits: VecDeque<u8>,
    answers: VecDeque<Answer>,
    discarded: Discarded,
    retransmissions: u32,
    random: u32,
}

enum Slot {
    Free,
    Waiting(Box<Request>),
    /// Kept so that the same reply once more is recognised.
    Answered([u8; 16]),
}

struct Request {
    octets: Vec<u8>,
    first: Instant,
    last: Instant,
    transmissions: u32,
    /// How long the last transmission is waited for.
    wait: Duration,
}

impl Request {
    fn authenticator(&self) -> &[u8; 16] {
        // Checked when it was taken over.
        self.octets.get(4..).and_then(|rest| rest.first_chunk()).unwrap_or(&[0; 16])
    }

    fn code(&self) -> Code {
        self.octets.first().copied().unwrap_or(0).into()
    }
}

impl Client {
    /// A client that has asked nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            next_identifier: config.first_identifier,
            // The generator must not begin with zero.
            random: config.jitter | 1,
            config,
            slots: Box::new([const { Slot::Free }; 256]),
            waiting: Identifiers::default(),
            next_due: None,
            transmits: VecDeque::new(),
            answers: VecDeque::new(),
            discarded: Discarded::default(),
            retransmissions: 0,
        }
    }

    /// An identifier that nothing waits for; none while all 256 are in use.
    pub fn free_identifier(&self) -> Option<u8> {
        let is_free =
            |identifier: &u8| !matches!(self.slots[usize::from(*identifier)], Slot::Waiting(_));
        (0..=u8::MAX).map(|step| self.next_identifier.wrapping_add(step)).find(is_free)
    }

    /// Sends a request of [`Client::free_identifier`]. Octets without a whole
    /// header, or under an identifier that is waited for, are not sent.
    pub fn request(&mut self, octets: Vec<u8>, now: Instant) {
        let Some(&identifier) = octets.get(1).filter(|_| octets.len() >= HEADER_LENGTH) else {
            return;
        };
        let slot = &mut self.slots[usize::from(identifier)];
        if matches!(slot, Slot::Waiting(_)) {
            return;
        }
        let wait = self.config.retransmission.map_or(Duration::MAX, |pace| pace.initial);
        let wait = jittered(wait, &mut self.random);
        let request = Request { octets, first: now, last: now, transmissions: 1, wait };
        let due = due(&request);
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        *slot = Slot::Waiting(Box::new(request));
        self.waiting.insert(identifier);
        self.next_identifier = identifier.wrapping_add(1);
        self.transmits.push_back(identifier);
    }

    /// A packet came from where it was expected.
    pub fn handle_input(&mut self, octets: &[u8], now: Instant) {
        match self.examine(octets) {
            Ok(Some((identifier, length, signed))) => {
                self.accept(identifier, octets[..length].to_vec(), signed, now);
            }
            Ok(None) => count(&mut self.discarded.duplicate),
            Err(kind) => count(kind(&mut self.discarded)),
        }
    }

    /// A packet came from somewhere else. Tells whether it would have been a
    /// right reply.
    pub fn handle_stray(&mut self, octets: &[u8]) -> bool {
        let is_right = matches!(self.examine(octets), Ok(Some(_)));
        if is_right {
            count(&mut self.discarded.source);
        }
        is_right
    }

    /// Something may be due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(pace) = self.config.retransmission else { return };
        if self.next_due.is_none_or(|next| now < next) {
            return;
        }
        for identifier in self.waiting.iter() {
            let Slot::Waiting(request) = &mut self.slots[usize::from(identifier)] else { continue };
            if now < due(request) {
                continue;
            }
            request.transmissions = request.transmissions.saturating_add(1);
            request.last = now;
            let doubled = request.wait.saturating_mul(2).min(pace.longest);
            request.wait = jittered(doubled, &mut self.random);
            self.retransmissions = self.retransmissions.saturating_add(1);
            self.transmits.push_back(identifier);
        }
        self.next_due = self.waiting_requests().map(due).min();
    }

    /// Lets what was sent last be sent again at `then`, if that is earlier
    /// than it would be anyway.
    pub fn hasten(&mut self, then: Instant) {
        for identifier in self.waiting.iter() {
            if let Slot::Waiting(request) = &mut self.slots[usize::from(identifier)] {
                request.wait = request.wait.min(then.saturating_duration_since(request.last));
            }
        }
        self.next_due = self.waiting_requests().map(due).min();
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        while let Some(identifier) = self.transmits.pop_front() {
            // It may have been answered while it waited for its turn.
            if let Slot::Waiting(request) = &self.slots[usize::from(identifier)] {
                return Some(&request.octets);
            }
        }
        None
    }

    /// The next reply that counts.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// When [`Client::handle_timeout`] wants to be called; earlier than there
    /// is something to do, if what was due has been answered.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.config.retransmission?;
        self.next_due.filter(|_| self.waiting.count > 0)
    }

    /// How many requests are waited for.
    pub fn outstanding(&self) -> usize {
        self.waiting.count
    }

    /// How often the request that waits longest was sent, and since when.
    pub fn oldest(&self) -> Option<(u32, Instant)> {
        let oldest = self.waiting_requests().min_by_key(|request| request.first)?;
        Some((oldest.transmissions, oldest.first))
    }

    /// How often a request was sent again.
    pub fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    /// What was thrown away.
    pub fn discarded(&self) -> &Discarded {
        &self.discarded
    }

    fn waiting_requests(&self) -> impl Iterator<Item = &Request> {
        self.waiting.iter().filter_map(|identifier| match &self.slots[usize::from(identifier)] {
            Slot::Waiting(request) => Some(&**request),
            _ => None,
        })
    }

    /// Identifier, length and whether it is signed of a right reply; nothing
    /// for one that came already.
    fn examine(&self, octets: &[u8]) -> Result<Option<(u8, usize, bool)>, Kind> {
        let Ok(packet) = Packet::parse(octets) else { return Err(|found| &mut found.malformed) };
        let octets = packet.octets();
        let (authenticator, asked) = match &self.slots[usize::from(packet.identifier)] {
            Slot::Free => return Err(|found| &mut found.identifier),
            Slot::Waiting(request) => (request.authenticator(), Some(request.code())),
            Slot::Answered(authenticator) => (authenticator, None),
        };
        if asked.is_some_and(|asked| !answers(asked, packet.code)) {
            return Err(|found| &mut found.code);
        }
        if !self.config.secret.is_response(octets, authenticator) {
            // A reply to a request whose identifier has been used again.
            return Err(match asked {
                Some(_) => |found| &mut found.authenticator,
                None => |found| &mut found.identifier,
            });
        }
        let signed = match packet.message_authenticator() {
            Ok(Some(at)) => {
                let ignored = self.config.signature == Signature::Ignored;
                if !ignored && !self.config.secret.is_signed(octets, authenticator, at) {
                    return Err(|found| &mut found.signature);
                }
                true
            }
            Ok(None)
                if self.config.signature == Signature::Required
                    && asked.is_some_and(|asked| asked != Code::AccountingRequest) =>
            {
                return Err(|found| &mut found.unsigned);
            }
            Ok(None) => false,
            Err(_) => return Err(|found| &mut found.malformed),
        };
        Ok(asked.map(|_| (packet.identifier, octets.len(), signed)))
    }

    fn accept(&mut self, identifier: u8, reply: Vec<u8>, signed: bool, now: Instant) {
        let slot = &mut self.slots[usize::from(identifier)];
        let Slot::Waiting(request) = slot else { return };
        self.answers.push_back(Answer {
            identifier,
            reply,
            time: now.saturating_duration_since(request.first),
            since_last: now.saturating_duration_since(request.last),
            transmissions: request.transmissions,
            signed,
        });
        *slot = Slot::Answered(*request.authenticator());
        self.waiting.remove(identifier);
    }
}

/// Identifiers that are waited for, a bit each.
#[derive(Debug, Clone, Copy, Default)]
struct Identifiers {
    bits: [u64; 4],
    count: usize,
}

impl Identifiers {
    fn insert(&mut self, identifier: u8) {
        let (word, bit) = (usize::from(identifier / 64), 1 << (identifier % 64));
        self.count += usize::from(self.bits[word] & bit == 0);
        self.bits[word] |= bit;
    }

    fn remove(&mut self, identifier: u8) {
        let (word, bit) = (usize::from(identifier / 64), 1 << (identifier % 64));
        self.count -= usize::from(self.bits[word] & bit != 0);
        self.bits[word] &= !bit;
    }

    fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |identifier| {
            self.bits[usize::from(identifier / 64)] >> (identifier % 64) & 1 != 0
        })
    }
}

type Kind = fn(&mut Discarded) -> &mut u32;

fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

fn due(request: &Request) -> Instant {
    request.last.checked_add(request.wait).unwrap_or_else(|| far_away(request.last))
}

/// For an interval that the clock cannot hold.
fn far_away(now: Instant) -> Instant {
    now + Duration::from_secs(1 << 30)
}

/// Which codes answer which requests (RFC 2865, section 3; RFC 2866, section
/// 3; RFC 5997, section 2; RFC 7930, section 4 for the last one).
fn answers(asked: Code, reply: Code) -> bool {
    match reply {
        Code::AccessAccept => matches!(asked, Code::AccessRequest | Code::StatusServer),
        Code::AccessReject | Code::AccessChallenge => asked == Code::AccessRequest,
        Code::AccountingResponse => {
            matches!(asked, Code::AccountingRequest | Code::StatusServer)
        }
        Code::ProtocolError => true,
        _ => false,
    }
}

/// A tenth more or less.
fn jittered(wait: Duration, random: &mut u32) -> Duration {
    // Xorshift; it has to differ between clients, not to be hard to guess.
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    let tenth = wait / 10;
    wait.saturating_sub(tenth).saturating_add(tenth.saturating_mul(*random % 2001) / 1000)
}

#[cfg(test)]
mod tests;
