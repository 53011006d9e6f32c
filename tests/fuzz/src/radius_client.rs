//! A task of the RADIUS client, against a server and a network that do
//! anything.
//!
//! Nine octets choose the task, then steps follow, each an octet and its
//! fields. A second client with the same task hears only what counts: whatever
//! else came, both must do the same.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use pptp_probe::crypto::mppe::{Direction, KeyLength, MasterKeys};
use pptp_probe::crypto::mschap;
use pptp_probe::crypto::radius::SharedSecret;
use pptp_probe::proto::auth::Credentials;
use pptp_probe::proto::radius::access::{KeyPolicy, Login};
use pptp_probe::proto::radius::client::{Config, Discarded, Retransmission, Signature};
use pptp_probe::proto::radius::exchange::{Exchange, Outcome, Task, Unreachable};
use pptp_probe::secret::Secret;
use pptp_probe::wire::chap::SuccessText;
use pptp_probe::wire::radius::{AttributeId, Code, Draft, MAX_VALUE, Packet, id};

use crate::gateway::ACCOUNT;
use crate::script::Cursor;

const FILTER_ID: AttributeId = AttributeId { vendor: 0, number: 11 };
const CLASS: AttributeId = AttributeId { vendor: 0, number: 25 };
/// Acct-Status-Type (RFC 2866, section 5.1).
const START: u32 = 1;
const STOP: u32 = 2;
/// Longest sentence about a failure, with a user and three texts of a server.
const LONGEST_DETAIL: usize = 2_000;

/// What a step does with a reply.
mod how {
    /// A Message-Authenticator comes first.
    pub(super) const SIGNED: u8 = 1;
    /// It carries the proof, the keys and everything else a login wants.
    pub(super) const PROPER: u8 = 2;
    /// One bit is flipped.
    pub(super) const FLIPPED: u8 = 4;
    /// It answers a request that was answered before.
    pub(super) const LATE: u8 = 8;
    /// It comes from another place.
    pub(super) const STRAY: u8 = 16;
    /// Padding follows.
    pub(super) const PADDED: u8 = 32;
    /// Its Message-Authenticator is wrong, all else is right.
    pub(super) const SPOILT: u8 = 64;
}

/// A scripted run of one task.
pub fn radius_client(data: &[u8]) {
    let mut input = Cursor::new(data);
    let mut run = Run::new(data, &mut input);
    run.drain();
    while let Some(step) = input.u8() {
        run.step(step, &mut input);
    }
    run.end();
}

struct Run {
    exchange: Exchange,
    /// Hears only what counts.
    undisturbed: Exchange,
    task: Task,
    config: Config,
    now: Instant,
    /// Requests that wait for a reply.
    waiting: Vec<Vec<u8>>,
    answered: Vec<Vec<u8>>,
    requests: u32,
    /// Replies that counted; whether one of them had to end the task, whether
    /// one may have.
    accepted: u32,
    refused: bool,
    doubtful: bool,
    farewells: u32,
    /// Acct-Status-Type of what was sent.
    told: Vec<u32>,
    thrown_away: u32,
    strays: u32,
}

impl Run {
    fn new(data: &[u8], input: &mut Cursor<'_>) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(data);
        // Of the input, so that no input can hold a right reply.
        let seed = hasher.finish();
        let [kind, count, parallel, chosen, first_identifier, jitter, full, rest, policy] =
            [(); 9].map(|()| input.u8().unwrap_or(0));
        let (count, parallel) = (u32::from(count) * 2 + 1, many(parallel));
        let login = |method| Login {
            credentials: Credentials {
                username: ACCOUNT.0.to_vec(),
                password: Secret::new(ACCOUNT.1.to_vec()),
            },
            method,
            keys: [KeyPolicy::Required, KeyPolicy::Wanted, KeyPolicy::Ignored]
                [usize::from(policy % 3)],
            expectations: match policy & 0x10 {
                0 => Vec::new(),
                _ => vec!["Filter-Id=pptp".parse().expect("an expectation")],
            },
            expect_reject: policy & 0x20 != 0,
        };
        let task = match kind % 6 {
            4 => Task::Accounting { username: ACCOUNT.0.to_vec(), session_id: b"1A".to_vec() },
            5 => Task::Status { statistics: Some(u32::from(policy)), count, parallel },
            method => {
                let login = login(Login::METHODS[usize::from(method)]);
                Task::Access { login, count, parallel }
            }
        };
        let pace = Retransmission {
            initial: Duration::from_millis(1 + u64::from(jitter) * 10),
            longest: Duration::from_secs(16),
        };
        let config = Config {
            secret: SharedSecret::new(Secret::new(seed.to_be_bytes().to_vec())),
            signature: [Signature::Checked, Signature::Required, Signature::Ignored]
                [usize::from(chosen % 3)],
            retransmission: (chosen & 0x80 == 0).then_some(pace),
            first_identifier,
            jitter: jitter.into(),
        };
        // Seldom many, up to more than a packet holds.
        let mut attributes = vec![(id::NAS_IDENTIFIER, b"lab".to_vec())];
        attributes.extend((0xef..full).map(|_| (CLASS, vec![0xcc; MAX_VALUE])));
        attributes.push((CLASS, vec![0xcc; rest.into()]));
        let now = Instant::now();
        let begin = || {
            let mut count = 0u64;
            let entropy = move || {
                count += 1;
                (u128::from(seed) << 64 | u128::from(count)).to_be_bytes()
            };
            let (task, config) = (task.clone(), config.clone());
            Exchange::new(task, attributes.clone(), config, Box::new(entropy), now)
        };
        Self {
            exchange: begin(),
            undisturbed: begin(),
            task,
            config,
            now,
            waiting: Vec::new(),
            answered: Vec::new(),
            requests: 0,
            accepted: 0,
            refused: false,
            doubtful: false,
            farewells: 0,
            told: Vec::new(),
            thrown_away: 0,
            strays: 0,
        }
    }

    /// Several inputs may come, and the end of a stream behind them, before
    /// anything is sent.
    fn step(&mut self, step: u8, input: &mut Cursor<'_>) {
        let kind = step & 0x7f;
        if kind % 10 > 3 {
            self.drain();
        }
        match kind % 10 {
            0 => {
                let length = input.u8().unwrap_or(0);
                let octets = input.take(length.into());
                self.thrown_away += u32::from(!self.exchange.is_finished());
                self.exchange.handle_input(octets, self.now);
            }
            1 => self.reply(input),
            2 => {
                let code = input.u8().unwrap_or(2);
                for request in self.waiting.clone() {
                    let reply = self.sign(code, &request, &self.proper(&request), how::SIGNED);
                    self.deliver(&request, &reply, how::SIGNED | how::PROPER);
                }
            }
            3 => self.both(|exchange, _| exchange.handle_closed()),
            4 | 5 => {
                let what = [Unreachable::Port, Unreachable::Host][usize::from(kind % 10 == 5)];
                self.both(|exchange, now| exchange.handle_unreachable(what, now));
            }
            6 => self.wait(self.now + Duration::from_millis(input.u16().into())),
            7 => self.wait(self.exchange.poll_timeout().unwrap_or(self.now).max(self.now)),
            8 => self.both(|exchange, now| exchange.expire(now)),
            _ => self.both(|exchange, _| exchange.abort()),
        }
        if step & 0x80 == 0 || kind % 10 > 2 {
            self.drain();
        }
    }

    fn both(&mut self, act: impl Fn(&mut Exchange, Instant)) {
        act(&mut self.exchange, self.now);
        act(&mut self.undisturbed, self.now);
    }

    fn wait(&mut self, until: Instant) {
        self.now = until;
        self.both(|exchange, now| exchange.handle_timeout(now));
        let longest = Duration::from_secs(16) * 11 / 10;
        let due = self.exchange.poll_timeout();
        assert!(due.is_none_or(|at| at > until && at <= until + longest), "never or too often");
    }

    /// A reply to one of the requests, as the script has it.
    fn reply(&mut self, input: &mut Cursor<'_>) {
        let [which, code, how] = [(); 3].map(|()| input.u8().unwrap_or(0));
        let requests = if how & how::LATE == 0 { &self.waiting } else { &self.answered };
        let which = usize::from(which).checked_rem(requests.len());
        let Some(request) = which.map(|which| requests[which].clone()) else { return };
        let attributes = match how & how::PROPER {
            0 => attributes(input),
            _ => self.proper(&request),
        };
        let mut reply = self.sign(code, &request, &attributes, how);
        if how & how::FLIPPED != 0 {
            let bit = usize::from(input.u16()) % (reply.len() * 8);
            reply[bit / 8] ^= 1 << (bit % 8);
        }
        if how & how::PADDED != 0 {
            reply.extend([0; 5]);
        }
        self.deliver(&request, &reply, how);
    }

    fn deliver(&mut self, request: &[u8], reply: &[u8], how: u8) {
        let finished = self.exchange.is_finished();
        let counts =
            !finished && how & (how::LATE | how::FLIPPED) == 0 && self.is_right(request, reply);
        if how & how::STRAY != 0 {
            self.exchange.handle_stray(reply, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
            self.strays += u32::from(counts);
        } else if counts {
            self.waiting.retain(|waiting| waiting != request);
            self.answered.push(request.to_vec());
            self.accepted += 1;
            self.both(|exchange, now| exchange.handle_input(reply, now));
            self.judge(reply[0].into(), how & how::PROPER != 0);
        } else {
            self.thrown_away += u32::from(!finished);
            self.exchange.handle_input(reply, self.now);
        }
    }

    /// What must have become of the task by a reply that counts.
    fn judge(&mut self, code: Code, proper: bool) {
        let (welcome, suffices) = match &self.task {
            Task::Access { login, .. } => {
                let wanted =
                    if login.expect_reject { Code::AccessReject } else { Code::AccessAccept };
                (code == wanted, proper)
            }
            _ => (code != Code::ProtocolError, true),
        };
        let finished = self.exchange.is_finished();
        if !welcome || self.accepted == self.count() {
            assert!(finished, "goes on after {code}");
        } else if suffices {
            assert!(!finished, "does not go on after {code}");
        }
        self.refused |= !welcome;
        self.doubtful |= welcome && !suffices;
    }

    fn count(&self) -> u32 {
        match &self.task {
            Task::Access { count, .. } | Task::Status { count, .. } => *count,
            Task::Accounting { .. } => 3,
        }
    }

    fn parallel(&self) -> usize {
        match &self.task {
            Task::Access { parallel, .. } | Task::Status { parallel, .. } => *parallel as usize,
            Task::Accounting { .. } => 1,
        }
    }

    /// Whether a reply with a right Response Authenticator has a right code,
    /// too, and a right Message-Authenticator.
    fn is_right(&self, request: &[u8], reply: &[u8]) -> bool {
        let Ok(packet) = Packet::parse(reply) else { return false };
        let answers: &[u8] = match &self.task {
            Task::Access { .. } => &[2, 3, 11, 52],
            Task::Accounting { .. } => &[5, 52],
            Task::Status { .. } => &[2, 5, 52],
        };
        // Of accounting none is required.
        let signature = match (&self.task, self.config.signature) {
            (Task::Accounting { .. }, Signature::Required) => Signature::Checked,
            (_, signature) => signature,
        };
        answers.contains(&reply[0])
            && match packet.message_authenticator() {
                Ok(Some(at)) => {
                    let (octets, authenticator) = (packet.octets(), authenticator(request));
                    signature == Signature::Ignored
                        || self.config.secret.is_signed(octets, &authenticator, at)
                }
                Ok(None) => signature != Signature::Required,
                Err(_) => false,
            }
    }

    /// A reply whose Response Authenticator is right.
    fn sign(&self, code: u8, request: &[u8], attributes: &[u8], how: u8) -> Vec<u8> {
        let secret = &self.config.secret;
        let authenticator = authenticator(request);
        let mut draft = Draft::new(code.into(), request[1], &[0; 16]);
        let at = (how & how::SIGNED != 0).then(|| draft.message_authenticator());
        let mut reply = draft.finish().expect("short");
        reply.extend(attributes);
        let length = reply.len() as u16;
        reply[2..4].copy_from_slice(&length.to_be_bytes());
        if let Some(at) = at {
            let signature = secret.message_authenticator(&reply, &authenticator, at);
            reply[at..at + 16].copy_from_slice(&signature);
            reply[at] ^= u8::from(how & how::SPOILT != 0);
        }
        let digest = secret.response_authenticator(&reply, &authenticator);
        reply[4..20].copy_from_slice(&digest);
        reply
    }

    /// The attributes that let a session come up.
    fn proper(&self, request: &[u8]) -> Vec<u8> {
        let secret = &self.config.secret;
        let authenticator = authenticator(request);
        let request = Packet::parse(request).expect("a request parses");
        let mut draft = Draft::new(Code::AccessAccept, 0, &[0; 16]);
        draft.attribute(FILTER_ID, b"pptp");
        let (user, password) = ACCOUNT;
        if let Some(response) = request.find(id::MS_CHAP2_RESPONSE) {
            let challenge = request.find(id::MS_CHAP_CHALLENGE).expect("a challenge");
            let (peer_challenge, nt_response) = (array(&response[2..18]), array(&response[26..50]));
            let proof = mschap::generate_authenticator_response(
                password,
                &nt_response,
                &peer_challenge,
                &array(challenge),
                user,
            );
            let text = SuccessText { authenticator_response: Some(proof), message: Vec::new() };
            draft.attribute(id::MS_CHAP2_SUCCESS, &[&response[..1], &text.emit()].concat());
            let keys = MasterKeys::from_mschap_v2(password, &nt_response);
            for (name, direction) in [
                (id::MS_MPPE_SEND_KEY, Direction::ServerToClient),
                (id::MS_MPPE_RECV_KEY, Direction::ClientToServer),
            ] {
                let key = keys.start_key(direction, KeyLength::Bits128);
                let salt = [0x80, name.number];
                draft.attribute(name, &secret.hide_key(key, salt, &authenticator));
            }
        } else if request.find(id::MS_CHAP_RESPONSE).is_some() {
            let key = mschap::hash_nt_password_hash(&mschap::nt_password_hash(password));
            let keys = [&[0; 8], &key[..]].concat();
            draft.attribute(id::MS_CHAP_MPPE_KEYS, &secret.hide_password(&keys, &authenticator));
        }
        draft.finish().expect("short")[20..].to_vec()
    }

    /// Takes what both want to send.
    fn drain(&mut self) {
        let mut sent = 0;
        loop {
            let packet = self.exchange.poll_transmit().map(<[u8]>::to_vec);
            assert_eq!(packet.as_deref(), self.undisturbed.poll_transmit(), "noise is answered");
            let Some(octets) = packet else { break };
            sent += 1;
            self.look_at(octets);
        }
        assert!(sent <= self.parallel(), "{sent} packets for one step");
        let finished = self.exchange.is_finished();
        assert_eq!(finished, self.undisturbed.is_finished(), "noise ends the task");
        let due = self.exchange.poll_timeout();
        assert_eq!(due, self.undisturbed.poll_timeout());
        assert_eq!(due.is_some(), !finished && self.config.retransmission.is_some());
        assert_eq!(self.exchange.wants_strays(), self.undisturbed.wants_strays());
    }

    fn look_at(&mut self, octets: Vec<u8>) {
        let known = self.waiting.iter().find(|waiting| waiting[1] == octets[1]);
        if let Some(known) = known.filter(|_| !self.exchange.is_finished()) {
            assert_eq!(*known, octets, "another packet under the same identifier");
            return;
        }
        let secret = &self.config.secret;
        let packet = Packet::parse(&octets).expect("a request parses");
        assert_eq!(packet.octets().len(), octets.len());
        let (_, password) = ACCOUNT;
        assert!(!octets.windows(password.len()).any(|window| window == password));
        if let Task::Accounting { .. } = self.task {
            assert_eq!(packet.authenticator, secret.accounting_authenticator(&octets));
            let status = packet.find(id::ACCT_STATUS_TYPE).expect("what happens");
            self.told.push(u32::from_be_bytes(array(status)));
        } else {
            assert_eq!(packet.message_authenticator(), Ok(Some(22)), "first of all");
            assert!(secret.is_signed(&octets, &packet.authenticator, 22));
        }
        if self.exchange.is_finished() {
            assert_eq!(self.told.last(), Some(&STOP), "something else after the end");
            self.farewells += 1;
        } else {
            assert!(!self.refused, "goes on after a refusal");
            self.requests += 1;
            self.waiting.push(octets);
            assert!(self.waiting.len() <= self.parallel());
        }
    }

    /// The time is over; what it all came to.
    fn end(mut self) {
        self.drain();
        self.both(|exchange, now| exchange.expire(now));
        self.drain();
        assert!(self.exchange.is_finished());
        assert!(self.farewells <= 1);
        assert!(!self.told.contains(&START) || self.told.contains(&STOP), "{:?}", self.told);
        let (accepted, requests) = (self.accepted, self.requests);
        let well = accepted == self.count() && !self.refused;
        let outcome = self.exchange.into_outcome();
        let undisturbed = self.undisturbed.into_outcome();
        assert_eq!(outcome.times.len() as u32, accepted);
        assert_eq!(outcome.signed + outcome.unsigned, accepted);
        assert!(accepted <= requests && requests <= outcome.requests);
        let failed = outcome.failure.is_some();
        assert!(if well { !failed || self.doubtful } else { failed }, "{:?}", outcome.failure);
        if let Some(failure) = &outcome.failure {
            let detail = &failure.detail;
            assert!(detail.is_ascii() && !detail.contains(|octet: char| octet.is_control()));
            assert!(detail.len() <= LONGEST_DETAIL, "{} octets: {detail}", detail.len());
        }
        let thrown_away = outcome.discarded.wrong() + outcome.discarded.duplicate;
        assert_eq!(thrown_away, self.thrown_away + self.strays);
        assert_eq!(outcome.stray.is_some(), self.strays > 0);
        assert_eq!(undisturbed.discarded, Discarded::default());
        assert_eq!(essence(&outcome), essence(&undisturbed));
    }
}

/// All that noise must not change; it may explain why nothing came.
fn essence(outcome: &Outcome) -> impl PartialEq + std::fmt::Debug {
    let failure = outcome.failure.as_ref().filter(|_| !outcome.timed_out);
    (
        (failure.cloned(), outcome.timed_out, outcome.access.clone(), outcome.statistics.clone()),
        (outcome.times.clone(), outcome.latest, outcome.signed, outcome.unsigned),
        (outcome.requests, outcome.retransmissions),
    )
}

/// 1 to 256.
fn many(octet: u8) -> u32 {
    match octet {
        0xff => 256,
        few => u32::from(few % 16) + 1,
    }
}

/// Attributes as they stand in a packet, their lengths mended.
fn attributes(input: &mut Cursor<'_>) -> Vec<u8> {
    let length = input.u16();
    let mut rest = Cursor::new(input.take(length.into()));
    let mut attributes = Vec::new();
    while let (Some(number), Some(length)) = (rest.u8(), rest.u8()) {
        let value = rest.take(usize::from(length).saturating_sub(2));
        attributes.extend([number, value.len() as u8 + 2]);
        attributes.extend(value);
    }
    attributes
}

fn authenticator(request: &[u8]) -> [u8; 16] {
    array(&request[4..20])
}

fn array<const N: usize>(octets: &[u8]) -> [u8; N] {
    octets.try_into().expect("octets of this length")
}
