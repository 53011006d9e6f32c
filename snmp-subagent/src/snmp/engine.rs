//! The command responder (RFC 3413, section 3.2) behind SNMPv2c and SNMPv3
//! with USM: a datagram in, at most one out.
//!
//! It reads a [`View`] and what the agent says of itself ([`super::system`]);
//! a Set is refused with notWritable. It leaves out sockets, the clock, and
//! what the variables mean.
//!
//! There is one context, the default one, and everybody who is let in sees
//! everything. A user must use all it has: a message without the encryption
//! that the user is configured with is answered with authorizationError.
//!
//! What goes out is bounded: an answer has at most as many octets as the asker
//! takes and the configuration allows, and that of a GetBulk at most
//! [`MAX_VARBINDS`] variables. Nothing is sent to who is not allowed, and for a
//! message of SNMPv2c that is wrong in whatever way; one of SNMPv3 gets the
//! Report that the RFCs want, which is shorter than what a GetBulk costs.
//!
//! Real agents: Net-SNMP keeps silent on a context it does not have, so that
//! its own tools wait in vain; here it is reported (RFC 3413, section 3.2). It
//! does not look at the context engine ID; here it must be this engine's.

use std::net::SocketAddr;
use std::time::Instant;

use pptp_probe::crypto::is_equal;
use rasn::types::OctetString;
use rasn_snmp::v2::{self, Pdu, Pdus};
use rasn_snmp::v3::{ScopedPdu, ScopedPduData};

use super::message::{self, MAX_NUMBER, MessageV3, Version};
use super::system::{Counters, Identity, Report, System};
use super::usm::{
    Envelope, Keys, Level, Local, Parameters, REPORTABLE, SECURITY_MODEL, TIME_WINDOW, Unopened,
    User,
};
use crate::config::{Community, Network, Responder};
use crate::oid::Oid;
use crate::value::Value;
use crate::view::{Union, View};

/// Variables in the answer to a GetBulk at most.
pub const MAX_VARBINDS: usize = 2048;

/// Octets around the varbinds of a message of SNMPv2c at most, its community
/// left out: tags and lengths, version, three numbers.
const OVERHEAD_V2C: usize = 40;

/// Answers requests.
pub struct Engine {
    local: Local,
    system: System,
    communities: Vec<Community>,
    allow: Vec<Network>,
    accounts: Vec<Account>,
    max_message: usize,
    salt: u64,
    counters: Counters,
}

/// A user with the keys for this engine.
struct Account {
    name: Vec<u8>,
    level: Level,
    keys: Option<Keys>,
}

impl Engine {
    /// An engine with the communities, users and limits of `config`; the
    /// addresses in it are the owner's concern. `salt` is where the salts of
    /// encryption begin: random, so that no run repeats those of another (RFC
    /// 3826, section 3.1.2.1).
    pub fn new(config: &Responder, identity: Identity, local: Local, salt: u64) -> Self {
        let accounts = config.users.iter().map(User::new).map(|user| Account {
            level: user.level(),
            keys: user.localize(local.engine_id()),
            name: user.name,
        });
        Self {
            accounts: accounts.collect(),
            system: System::new(config, identity),
            local,
            communities: config.communities.clone(),
            allow: config.allow.clone(),
            max_message: config.max_message.into(),
            salt,
            counters: Counters::default(),
        }
    }

    /// Takes a datagram; what is returned goes back to `from`.
    pub fn handle_datagram<V: View + ?Sized>(
        &mut self,
        octets: &[u8],
        from: SocketAddr,
        view: &V,
        now: Instant,
    ) -> Option<Vec<u8>> {
        if !self.allow.iter().any(|network| network.contains(from.ip())) {
            self.counters.not_allowed += 1;
            return None;
        }
        self.counters.received += 1;
        let version = match octets.len() {
            length if length <= self.max_message => message::version(octets),
            _ => None,
        };
        let answer = match version {
            Some(Version::V2c) => self.answer_v2c(octets, view, now),
            Some(Version::V3) => self.answer_v3(octets, view, now),
            Some(Version::Other) => {
                self.counters.bad_versions += 1;
                None
            }
            None => self.malformed(),
        };
        self.counters.answered += u64::from(answer.is_some());
        answer
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn malformed<T>(&mut self) -> Option<T> {
        self.counters.asn_parse_errors += 1;
        None
    }

    fn answer_v2c<V: View + ?Sized>(
        &mut self,
        octets: &[u8],
        view: &V,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let Some(request) = message::parse_v2c(octets) else { return self.malformed() };
        let community = &request.community;
        // All of them, so that the time does not tell which came close.
        let known = self
            .communities
            .iter()
            .fold(false, |known, other| is_equal(community, other.0.as_bytes()) | known);
        if !known {
            self.counters.bad_community_names += 1;
            return None;
        }
        let room = self.max_message.saturating_sub(OVERHEAD_V2C + community.len());
        match self.perform(request.data, view, room, now) {
            Ok(answer) => {
                let octets = fitting(self.max_message, answer, |pdu| {
                    message::emit_v2c(community, Pdus::Response(v2::Response(pdu)))
                });
                self.counters.silent_drops += u64::from(octets.is_none());
                octets
            }
            Err(Unanswered::Malformed) => self.malformed(),
            Err(Unanswered::Unhandled) => {
                self.counters.unknown_pdu_handlers += 1;
                None
            }
        }
    }

    /// RFC 3412, section 7.2.
    fn answer_v3<V: View + ?Sized>(
        &mut self,
        octets: &[u8],
        view: &V,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let Some(message) = MessageV3::parse(octets) else { return self.malformed() };
        if message.security_model != SECURITY_MODEL {
            self.counters.unknown_security_models += 1;
            return None;
        }
        let Some(level) = Level::of(message.flags) else {
            self.counters.invalid_messages += 1;
            return None;
        };
        let Some(parameters) = Parameters::parse(&message.security_parameters) else {
            return self.malformed();
        };
        let mut asker = Asker {
            id: message.id,
            max_size: message.max_size.min(self.max_message),
            reportable: message.flags & REPORTABLE != 0,
            user: parameters.user.clone(),
            request_id: 0,
            context_engine_id: OctetString::from_slice(self.local.engine_id().as_slice()),
            context_name: OctetString::default(),
        };
        if let ScopedPduData::CleartextPdu(pdu) = &message.data {
            asker.hears_of(&pdu.data);
        }
        let pdu = match self.admit(octets, level, &parameters, message.data, now) {
            Ok(pdu) => pdu,
            Err(Refusal::Malformed) => return self.malformed(),
            Err(Refusal::Report(report, level)) => return self.report(&asker, report, level, now),
        };
        asker.hears_of(&pdu.data);
        let ours = pdu.engine_id == asker.context_engine_id;
        asker.context_engine_id = pdu.engine_id;
        asker.context_name = pdu.name;
        if !ours {
            return self.report(&asker, Report::UnknownPduHandlers, level, now);
        }
        if !asker.context_name.is_empty() {
            return self.report(&asker, Report::UnknownContexts, level, now);
        }
        let wanted = self.account(&asker.user).map(|account| account.level);
        let answer = if wanted == Some(level) {
            let (engine_id, name) = (asker.context_engine_id.len(), asker.context_name.len());
            let overhead = self.envelope(&asker, level, now).overhead(engine_id, name);
            let room = asker.max_size.saturating_sub(overhead);
            self.perform(pdu.data, view, room, now)
        } else {
            refuse(pdu.data, Pdu::ERROR_STATUS_AUTHORIZATION_ERROR, 0)
        };
        match answer {
            Ok(answer) => {
                self.spend_salt(level);
                let envelope = self.envelope(&asker, level, now);
                let octets = fitting(asker.max_size, answer, |pdu| {
                    envelope.seal(asker.scoped(Pdus::Response(v2::Response(pdu))))
                });
                self.counters.silent_drops += u64::from(octets.is_none());
                octets
            }
            Err(Unanswered::Malformed) => self.malformed(),
            Err(Unanswered::Unhandled) => {
                self.report(&asker, Report::UnknownPduHandlers, level, now)
            }
        }
    }

    /// RFC 3414, section 3.2: the PDU of a message that is to be believed.
    fn admit(
        &self,
        octets: &[u8],
        level: Level,
        parameters: &Parameters,
        data: ScopedPduData,
        now: Instant,
    ) -> Result<ScopedPdu, Refusal> {
        let report = |report| Err(Refusal::Report(report, Level::NoAuthNoPriv));
        if *parameters.engine_id != *self.local.engine_id().as_slice() {
            return report(Report::UnknownEngineIds);
        }
        let Some(account) = self.account(&parameters.user) else {
            return report(Report::UnknownUserNames);
        };
        if level > account.level {
            return report(Report::UnsupportedSecLevels);
        }
        let keys = account.keys.as_ref();
        if level >= Level::AuthNoPriv {
            if !keys.is_some_and(|keys| keys.verify(octets)) {
                return report(Report::WrongDigests);
            }
            let (clock, theirs) = (self.local.clock(now), parameters.clock);
            if clock.boots == MAX_NUMBER
                || theirs.boots != clock.boots
                || theirs.time.abs_diff(clock.time) > TIME_WINDOW
            {
                return Err(Refusal::Report(Report::NotInTimeWindows, Level::AuthNoPriv));
            }
        }
        match parameters.open(level, keys, data) {
            Ok(pdu) => Ok(pdu),
            Err(Unopened::Decryption) => report(Report::DecryptionErrors),
            Err(Unopened::Malformed) => Err(Refusal::Malformed),
        }
    }

    fn account(&self, name: &[u8]) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Counts, and answers with a Report if that is wanted (RFC 3412, section
    /// 7.1, step 3).
    fn report(
        &mut self,
        asker: &Asker,
        report: Report,
        level: Level,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let counter = report.counter(&mut self.counters);
        *counter += 1;
        let value = Value::Counter32(*counter as u32);
        if !asker.reportable {
            return None;
        }
        self.spend_salt(level);
        let pdu = Pdu {
            request_id: asker.request_id,
            error_status: Pdu::ERROR_STATUS_NO_ERROR,
            error_index: 0,
            variable_bindings: vec![message::varbind(&report.name(), &value)],
        };
        let pdu = asker.scoped(Pdus::Report(v2::Report(pdu)));
        self.envelope(asker, level, now).seal(pdu)
    }

    /// Makes the next salt another one, if this message needs one.
    fn spend_salt(&mut self, level: Level) {
        self.salt = self.salt.wrapping_add(u64::from(level == Level::AuthPriv));
    }

    fn envelope<'a>(&'a self, asker: &'a Asker, level: Level, now: Instant) -> Envelope<'a> {
        Envelope {
            id: asker.id,
            max_size: self.max_message,
            reportable: false,
            engine_id: self.local.engine_id().as_slice(),
            clock: self.local.clock(now),
            user: &asker.user,
            level,
            keys: self.account(&asker.user).and_then(|account| account.keys.as_ref()),
            salt: self.salt,
        }
    }

    /// The answer to a request, its varbinds in `room` octets, with what the
    /// agent says of itself beside `view`.
    fn perform<V: View + ?Sized>(
        &self,
        request: Pdus,
        view: &V,
        room: usize,
        now: Instant,
    ) -> Result<Pdu, Unanswered> {
        let own = self.system.at(&self.local, &self.counters, now);
        perform(request, &Union(&own, view), room)
    }
}

/// Who asked, and what must be in an answer.
struct Asker {
    id: i32,
    /// Octets of an answer at most.
    max_size: usize,
    reportable: bool,
    user: OctetString,
    /// 0 where the PDU could not be read.
    request_id: i32,
    context_engine_id: OctetString,
    context_name: OctetString,
}

impl Asker {
    /// Learns from the PDU; where it needs no answer, no Report is due.
    fn hears_of(&mut self, pdu: &Pdus) {
        let (request_id, confirmed) = match pdu {
            Pdus::GetRequest(v2::GetRequest(pdu))
            | Pdus::GetNextRequest(v2::GetNextRequest(pdu))
            | Pdus::SetRequest(v2::SetRequest(pdu))
            | Pdus::InformRequest(v2::InformRequest(pdu)) => (pdu.request_id, true),
            Pdus::GetBulkRequest(v2::GetBulkRequest(pdu)) => (pdu.request_id, true),
            Pdus::Response(v2::Response(pdu))
            | Pdus::Trap(v2::Trap(pdu))
            | Pdus::Report(v2::Report(pdu)) => (pdu.request_id, false),
        };
        self.request_id = request_id;
        self.reportable &= confirmed;
    }

    fn scoped(&self, data: Pdus) -> ScopedPdu {
        let (engine_id, name) = (self.context_engine_id.clone(), self.context_name.clone());
        ScopedPdu { engine_id, name, data }
    }
}

/// Why a message of SNMPv3 is not believed.
enum Refusal {
    Malformed,
    /// With the level that the Report has.
    Report(Report, Level),
}

/// Why there is no answer to a PDU.
#[derive(Debug, PartialEq, Eq)]
enum Unanswered {
    /// A name in it is none.
    Malformed,
    /// It is no request that an agent answers.
    Unhandled,
}

/// The answer to a request (RFC 3416, section 4.2), its varbinds in `room`
/// octets.
fn perform<V: View + ?Sized>(request: Pdus, view: &V, room: usize) -> Result<Pdu, Unanswered> {
    match request {
        Pdus::GetRequest(v2::GetRequest(pdu)) => {
            let names = names(&pdu.variable_bindings)?;
            let mut answers = Answers::new(room);
            let fit = names.iter().all(|name| answers.push(name, &view.get(name)));
            Ok(answers.response(pdu.request_id, fit))
        }
        Pdus::GetNextRequest(v2::GetNextRequest(pdu)) => {
            let mut names = names(&pdu.variable_bindings)?;
            let mut answers = Answers::new(room);
            let fit = names.iter_mut().all(|name| answers.push_next(view, name).is_some());
            Ok(answers.response(pdu.request_id, fit))
        }
        Pdus::GetBulkRequest(v2::GetBulkRequest(pdu)) => {
            let mut names = names(&pdu.variable_bindings)?;
            let once = names.len().min(pdu.non_repeaters as usize);
            let (once, repeaters) = names.split_at_mut(once);
            let mut answers = Answers::new(room);
            if once.iter_mut().all(|name| answers.push_next(view, name).is_some()) {
                answers.repeat(view, repeaters, pdu.max_repetitions);
            }
            // What does not fit is left out (section 4.2.3).
            Ok(answers.response(pdu.request_id, true))
        }
        Pdus::SetRequest(_) => refuse(request, Pdu::ERROR_STATUS_NOT_WRITABLE, 1),
        Pdus::InformRequest(_) | Pdus::Response(_) | Pdus::Trap(_) | Pdus::Report(_) => {
            Err(Unanswered::Unhandled)
        }
    }
}

/// An error about a request, with its varbinds as they were.
fn refuse(request: Pdus, error_status: u32, error_index: u32) -> Result<Pdu, Unanswered> {
    let (request_id, variable_bindings) = match request {
        Pdus::GetRequest(v2::GetRequest(pdu))
        | Pdus::GetNextRequest(v2::GetNextRequest(pdu))
        | Pdus::SetRequest(v2::SetRequest(pdu)) => (pdu.request_id, pdu.variable_bindings),
        Pdus::GetBulkRequest(v2::GetBulkRequest(pdu)) => (pdu.request_id, pdu.variable_bindings),
        _ => return Err(Unanswered::Unhandled),
    };
    // There must be a variable that the index is of.
    let error_index = error_index.min(variable_bindings.len() as u32);
    Ok(Pdu { request_id, error_status, error_index, variable_bindings })
}

fn names(varbinds: &[v2::VarBind]) -> Result<Vec<Oid>, Unanswered> {
    varbinds
        .iter()
        .map(|varbind| message::name(&varbind.name).ok_or(Unanswered::Malformed))
        .collect()
}

/// The varbinds of an answer, as far as there is room.
struct Answers {
    varbinds: v2::VarBindList,
    /// Octets that are left.
    room: usize,
}

impl Answers {
    fn new(room: usize) -> Self {
        Self { varbinds: Vec::new(), room }
    }

    /// Whether the variable fitted.
    fn push(&mut self, name: &Oid, value: &Value<'_>) -> bool {
        match self.room.checked_sub(message::varbind_length(name, value)) {
            Some(room) => {
                self.room = room;
                self.varbinds.push(message::varbind(name, value));
                true
            }
            None => false,
        }
    }

    /// What follows `name`, which becomes the name of that; whether there was
    /// anything, or nothing if it did not fit.
    fn push_next<V: View + ?Sized>(&mut self, view: &V, name: &mut Oid) -> Option<bool> {
        let (found, fitted) = match view.next(name, false, None) {
            Some((next, value)) => {
                let fitted = self.push(&next, &value);
                *name = next;
                (true, fitted)
            }
            None => (false, self.push(name, &Value::EndOfMibView)),
        };
        fitted.then_some(found)
    }

    /// What follows each name, again and again (section 4.2.3).
    fn repeat<V: View + ?Sized>(&mut self, view: &V, names: &mut [Oid], repetitions: u32) {
        for _ in 0..repetitions {
            let mut found = false;
            for name in &mut *names {
                if self.varbinds.len() >= MAX_VARBINDS {
                    return;
                }
                match self.push_next(view, name) {
                    Some(any) => found |= any,
                    None => return,
                }
            }
            if !found {
                return;
            }
        }
    }

    fn response(self, request_id: i32, fit: bool) -> Pdu {
        if !fit {
            return too_big(request_id);
        }
        Pdu {
            request_id,
            error_status: Pdu::ERROR_STATUS_NO_ERROR,
            error_index: 0,
            variable_bindings: self.varbinds,
        }
    }
}

fn too_big(request_id: i32) -> Pdu {
    let error_status = Pdu::ERROR_STATUS_TOO_BIG;
    Pdu { request_id, error_status, error_index: 0, variable_bindings: Vec::new() }
}

/// The message with this answer, or with tooBig if it is longer than `limit`
/// (RFC 3416, section 4.2.1); nothing if even that is.
fn fitting(limit: usize, answer: Pdu, emit: impl Fn(Pdu) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let fits = |octets: &Vec<u8>| octets.len() <= limit;
    let request_id = answer.request_id;
    emit(answer).filter(fits).or_else(|| emit(too_big(request_id)).filter(fits))
}

#[cfg(test)]
mod tests;
