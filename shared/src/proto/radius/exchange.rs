//! One task for one port of a server: logins, a session in accounting, or a
//! question for the server's state.
//!
//! Owns what is asked next, and what the whole came to. At most one login is
//! made unless more are asked for, and the first one that is rejected ends the
//! task, so that an account is not locked out. A session in accounting that
//! was begun is always ended: also when the task is, by a last Stop that
//! nothing waits for (RFC 2866, section 2).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::access::{Access, Attempt, Login};
use super::client::{Answer, Client, Config, Discarded};
use crate::proto::Failure;
use crate::reason::{Phase, Reason};
use crate::wire::radius::{AttributeId, Code, Draft, Packet, id};

/// Random octets for authenticators and challenges.
pub type Entropy = Box<dyn FnMut() -> [u8; 16]>;

/// Wait until a request is sent again whose last transmission met an ICMP
/// unreachable: the second one decides.
const SECOND_CHANCE: Duration = Duration::from_millis(150);
/// Wrong replies beyond which somebody floods.
const MOST_WRONG: u32 = 1_000;
/// The FreeRADIUS-Statistics-Type attribute.
const STATISTICS_TYPE: AttributeId = AttributeId { vendor: 11344, number: 127 };

/// What to do.
#[derive(Clone)]
pub enum Task {
    /// Logins: `count` of them, `parallel` at once.
    Access {
        /// Who, and what the reply must hold.
        login: Login,
        /// 1 or more.
        count: u32,
        /// 1 to 256.
        parallel: u32,
    },
    /// Start, Interim-Update and Stop of one session.
    Accounting {
        /// The user it is written down for.
        username: Vec<u8>,
        /// Acct-Session-Id, unique.
        session_id: Vec<u8>,
    },
    /// Status-Server (RFC 5997): `count` of them, `parallel` at once.
    Status {
        /// FreeRADIUS-Statistics-Type: which counters to ask for.
        statistics: Option<u32>,
        /// 1 or more.
        count: u32,
        /// 1 to 256.
        parallel: u32,
    },
}

impl Task {
    /// The phase of a session that the task stands for.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Access { .. } => Phase::Auth,
            Self::Accounting { .. } => Phase::Data,
            Self::Status { .. } => Phase::Control,
        }
    }

    fn count(&self) -> u32 {
        match self {
            Self::Access { count, .. } | Self::Status { count, .. } => *count,
            Self::Accounting { .. } => Step::ALL.len() as u32,
        }
    }

    fn parallel(&self) -> usize {
        match self {
            Self::Access { parallel, .. } | Self::Status { parallel, .. } => *parallel as usize,
            Self::Accounting { .. } => 1,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Access { .. } => Code::AccessRequest,
            Self::Accounting { .. } => Code::AccountingRequest,
            Self::Status { .. } => Code::StatusServer,
        }
    }
}

/// What a router or the server's host says about the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// Nothing listens on the port.
    Port,
    /// There is no way to the host, or it is forbidden.
    Host,
}

/// What a task came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What went wrong; nothing when everything asked for was answered well.
    pub failure: Option<Failure>,
    /// The failure is that time ran out.
    pub timed_out: bool,
    /// From the first transmission of a request to its reply, the shortest
    /// first.
    pub times: Vec<Duration>,
    /// How many requests were made, retransmissions not counted.
    pub requests: u32,
    /// How often one was sent again.
    pub retransmissions: u32,
    /// The answer that needed most transmissions: how many, the time since the
    /// first, the time since the last.
    pub latest: Option<(u32, Duration, Duration)>,
    /// Replies with a Message-Authenticator.
    pub signed: u32,
    /// Replies without.
    pub unsigned: u32,
    /// What was thrown away.
    pub discarded: Discarded,
    /// Who sent a right reply from a wrong place.
    pub stray: Option<SocketAddr>,
    /// The reply to a login: the first that is not as it should be, else the
    /// first.
    pub access: Option<Access>,
    /// The counters of the server, by attribute.
    pub statistics: BTreeMap<AttributeId, u32>,
}

/// A task under way.
pub struct Exchange {
    task: Task,
    attributes: Vec<(AttributeId, Vec<u8>)>,
    config: Config,
    client: Client,
    entropy: Entropy,
    attempts: BTreeMap<u8, Attempt>,
    began: Instant,
    /// How much of the session in accounting was written down.
    step: usize,
    unreachable: Option<Unreachable>,
    unreachables: u32,
    /// A packet that nothing waits for.
    farewell: Option<Vec<u8>>,
    /// Given out.
    last: Option<Vec<u8>>,
    finished: bool,
    outcome: Outcome,
}

/// What an Accounting-Request tells, in Acct-Status-Type (RFC 2866, section
/// 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start = 1,
    InterimUpdate = 3,
    Stop = 2,
}

impl Step {
    const ALL: [Self; 3] = [Self::Start, Self::InterimUpdate, Self::Stop];

    fn name(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::InterimUpdate => "Interim-Update",
            Self::Stop => "Stop",
        }
    }
}

impl Exchange {
    /// A task that begins now. `attributes` go into every request but
    /// Status-Server.
    pub fn new(
        task: Task,
        attributes: Vec<(AttributeId, Vec<u8>)>,
        config: Config,
        entropy: Entropy,
        now: Instant,
    ) -> Self {
        let mut exchange = Self {
            task,
            attributes,
            client: Client::new(config.clone()),
            config,
            entropy,
            attempts: BTreeMap::new(),
            began: now,
            step: 0,
            unreachable: None,
            unreachables: 0,
            farewell: None,
            last: None,
            finished: false,
            outcome: Outcome::default(),
        };
        exchange.ask(now);
        exchange
    }

    /// A packet came from the server.
    pub fn handle_input(&mut self, octets: &[u8], now: Instant) {
        if self.finished {
            return;
        }
        self.client.handle_input(octets, now);
        while let Some(answer) = self.client.poll_answer() {
            self.unreachable = None;
            self.unreachables = 0;
            self.take(&answer);
        }
        self.ask(now);
    }

    /// A packet came from somewhere else.
    pub fn handle_stray(&mut self, octets: &[u8], from: SocketAddr) {
        if !self.finished && self.client.handle_stray(octets) {
            self.outcome.stray = Some(from);
        }
    }

    /// The network says that what was sent did not arrive. The first time it
    /// is only noted, for anyone can send an ICMP message.
    pub fn handle_unreachable(&mut self, what: Unreachable, now: Instant) {
        if self.finished {
            return;
        }
        self.unreachable = Some(what);
        self.unreachables += 1;
        if self.unreachables == 1 && self.config.retransmission.is_some() {
            self.client.hasten(now + SECOND_CHANCE);
        } else if self.unreachables > 1 {
            let (reason, detail) = unreachable(what);
            self.fail(reason, detail.into());
        }
    }

    /// The server ended the connection.
    pub fn handle_closed(&mut self) {
        let waiting = self.waiting();
        self.handle_broken(Reason::Closed, format!("server closed the connection, {waiting}"));
    }

    /// The connection is of no use any more.
    pub fn handle_broken(&mut self, reason: Reason, detail: String) {
        if !self.finished {
            self.fail(reason, detail);
        }
    }

    /// Something may be due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.finished {
            self.client.handle_timeout(now);
        }
    }

    /// The time is over; says why nothing came of it.
    pub fn expire(&mut self, now: Instant) {
        if self.finished {
            return;
        }
        let (reason, detail) = self.explain_silence(now);
        self.outcome.timed_out = true;
        self.fail(reason, detail);
    }

    /// The run is ended from outside.
    pub fn abort(&mut self) {
        if !self.finished {
            let waiting = self.waiting();
            self.fail(Reason::Interrupted, format!("interrupted, {waiting}"));
        }
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        if self.finished {
            self.last = self.farewell.take();
            return self.last.as_deref();
        }
        self.client.poll_transmit()
    }

    /// When [`Exchange::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout().filter(|_| !self.finished)
    }

    /// Whether an answer from another place would explain the silence: when
    /// something had to be sent again.
    pub fn wants_strays(&self) -> bool {
        !self.finished && self.client.oldest().is_some_and(|(sent, _)| sent > 1)
    }

    /// Nothing more will be waited for. What [`Exchange::poll_transmit`] still
    /// gives is to be sent.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// What it came to.
    pub fn into_outcome(mut self) -> Outcome {
        self.outcome.times.sort_unstable();
        self.outcome.discarded = *self.client.discarded();
        self.outcome.retransmissions = self.client.retransmissions();
        self.outcome
    }

    /// Asks as much as may be outstanding.
    fn ask(&mut self, now: Instant) {
        while !self.finished
            && self.outcome.requests < self.task.count()
            && self.client.outstanding() < self.task.parallel()
        {
            let Some(identifier) = self.client.free_identifier() else { return };
            let composed = match (&self.task, self.step()) {
                // What could not be ended is not begun; a Stop is the longest.
                (Task::Accounting { .. }, Step::Start) => self
                    .compose(identifier, Step::Stop, now)
                    .and_then(|_| self.compose(identifier, Step::Start, now)),
                (_, step) => self.compose(identifier, step, now),
            };
            match composed {
                Ok(octets) => {
                    self.outcome.requests += 1;
                    self.client.request(octets, now);
                }
                Err(error) => {
                    let detail = format!("the request cannot be made: {error}");
                    self.fail(Reason::Local, detail);
                }
            }
        }
        let is_complete = self.outcome.times.len() == self.task.count() as usize;
        self.finished |= is_complete;
    }

    /// Where the session in accounting is.
    fn step(&self) -> Step {
        Step::ALL[self.step.min(Step::ALL.len() - 1)]
    }

    /// The next request; in accounting the one of `step`.
    fn compose(
        &mut self,
        identifier: u8,
        step: Step,
        now: Instant,
    ) -> Result<Vec<u8>, crate::wire::Error> {
        let code = self.task.code();
        // An Accounting-Request is signed in this place, below.
        let authenticator = match self.task {
            Task::Accounting { .. } => [0; 16],
            _ => (self.entropy)(),
        };
        let mut draft = Draft::new(code, identifier, &authenticator);
        let secret = &self.config.secret;
        // First of all: in front of it, nothing can be slipped in that an
        // attacker chose (CVE-2024-3596).
        let signed_at = (code != Code::AccountingRequest).then(|| draft.message_authenticator());
        match &self.task {
            Task::Access { login, .. } => {
                let entropy = [(self.entropy)(), (self.entropy)()];
                let attempt =
                    login.attempt(&mut draft, identifier, &authenticator, secret, entropy);
                self.attempts.insert(identifier, attempt);
            }
            Task::Accounting { username, session_id } => {
                draft.attribute(id::USER_NAME, username);
                let seconds = now.saturating_duration_since(self.began).as_secs();
                account(&mut draft, step, session_id, seconds as u32);
            }
            Task::Status { statistics, .. } => {
                if let Some(which) = statistics {
                    draft.integer(STATISTICS_TYPE, *which);
                }
            }
        }
        if code != Code::StatusServer {
            for (id, value) in &self.attributes {
                draft.attribute(*id, value);
            }
        }
        let mut octets = draft.finish()?;
        if let Some(at) = signed_at {
            let signature = secret.message_authenticator(&octets, &authenticator, at);
            octets[at..at + 16].copy_from_slice(&signature);
        } else {
            let signature = secret.accounting_authenticator(&octets);
            octets[4..20].copy_from_slice(&signature);
        }
        Ok(octets)
    }

    fn take(&mut self, answer: &Answer) {
        let outcome = &mut self.outcome;
        outcome.times.push(answer.time);
        match answer.signed {
            true => outcome.signed += 1,
            false => outcome.unsigned += 1,
        }
        if answer.transmissions > outcome.latest.map_or(1, |(transmissions, ..)| transmissions) {
            outcome.latest = Some((answer.transmissions, answer.time, answer.since_last));
        }
        // The client gives none that does not parse.
        let Ok(reply) = Packet::parse(&answer.reply) else { return };
        if reply.code == Code::ProtocolError && !matches!(self.task, Task::Access { .. }) {
            let detail = format!("server answers {} with {}", self.task.code(), reply.code);
            return self.fail(Reason::Malformed, detail);
        }
        match &self.task {
            Task::Access { login, .. } => {
                let Some(attempt) = self.attempts.remove(&answer.identifier) else { return };
                let access = Access::examine(login, &attempt, &self.config.secret, &reply);
                let failure = access.failure.clone();
                if failure.is_some() || self.outcome.access.is_none() {
                    self.outcome.access = Some(access.with_attributes(&reply));
                }
                if let Some(failure) = failure {
                    self.finish(failure);
                }
            }
            Task::Accounting { .. } => self.step += 1,
            Task::Status { .. } => {
                let counters = reply.attributes().filter(|found| found.id.vendor == 11344);
                for counter in counters {
                    if let Ok(value) = counter.value.try_into() {
                        self.outcome.statistics.insert(counter.id, u32::from_be_bytes(value));
                    }
                }
            }
        }
    }

    /// Why no right reply came, from what did come.
    fn explain_silence(&self, now: Instant) -> (Reason, String) {
        let discarded = self.client.discarded();
        let waiting = self.waiting();
        let seconds = match self.client.oldest() {
            Some((_, since)) => now.saturating_duration_since(since).as_secs_f64(),
            None => 0.0,
        };
        let wrong = discarded.wrong();
        let thrown_away = match wrong {
            0 => String::new(),
            _ => format!("; thrown away: {}", discarded.describe()),
        };
        if wrong > MOST_WRONG {
            return (Reason::Flooded, format!("no right reply in {seconds:.1} s{thrown_away}"));
        }
        if let Some(from) = self.outcome.stray {
            let detail = format!("the answer came from {from}, which was not asked{thrown_away}");
            return (Reason::RadiusWrongSource, detail);
        }
        // A server that answered before has the secret; what does not fit then
        // are late answers under an identifier that is in use again.
        let has_answered = !self.outcome.times.is_empty();
        if discarded.authenticator + discarded.signature > 0 && !has_answered {
            let detail = format!(
                "server answers, but its replies are signed with another secret{thrown_away}"
            );
            return (Reason::RadiusSecretMismatch, detail);
        }
        if discarded.unsigned > 0 {
            let detail =
                format!("server answers without the Message-Authenticator asked for{thrown_away}");
            return (Reason::RadiusUnsigned, detail);
        }
        if wrong > 0 && !has_answered {
            return (Reason::Malformed, format!("server sends no right reply{thrown_away}"));
        }
        match self.unreachable {
            Some(what) => {
                let (reason, detail) = unreachable(what);
                (reason, detail.into())
            }
            None => {
                let detail = format!("no answer in {seconds:.1} s, {waiting}{thrown_away}");
                (Reason::RadiusSilent, detail)
            }
        }
    }

    /// What is being waited for, in an operator's words.
    fn waiting(&self) -> String {
        let what = match &self.task {
            Task::Accounting { .. } => format!("Accounting-Request ({})", self.step().name()),
            task => task.code().to_string(),
        };
        match self.client.oldest() {
            None | Some((1, _)) => format!("{what} sent once"),
            Some((transmissions, _)) => format!("{what} sent {transmissions} times"),
        }
    }

    fn fail(&mut self, reason: Reason, detail: String) {
        self.finish(Failure::new(self.task.phase(), reason, detail));
    }

    fn finish(&mut self, failure: Failure) {
        self.outcome.failure = Some(failure);
        let is_accounting = matches!(self.task, Task::Accounting { .. });
        if is_accounting && self.outcome.requests > 0 && !self.finished {
            self.farewell = match self.step() {
                // The Stop itself was asked for; it may not have gone out yet.
                Step::Stop => self.client.poll_transmit().map(<[u8]>::to_vec),
                // Whether the Start arrived is not known, so there is a Stop.
                Step::Start | Step::InterimUpdate => {
                    let identifier = self.client.free_identifier().unwrap_or_default();
                    self.compose(identifier, Step::Stop, self.began).ok()
                }
            };
        }
        self.finished = true;
    }
}

/// The attributes of one Accounting-Request (RFC 2866, section 5).
fn account(draft: &mut Draft, step: Step, session_id: &[u8], seconds: u32) {
    const RADIUS: u32 = 1;
    const USER_REQUEST: u32 = 1;
    draft.integer(id::ACCT_STATUS_TYPE, step as u32);
    draft.attribute(id::ACCT_SESSION_ID, session_id);
    draft.integer(id::ACCT_AUTHENTIC, RADIUS);
    if step == Step::Start {
        return;
    }
    draft.integer(id::ACCT_SESSION_TIME, seconds);
    for counter in [
        id::ACCT_INPUT_OCTETS,
        id::ACCT_OUTPUT_OCTETS,
        id::ACCT_INPUT_PACKETS,
        id::ACCT_OUTPUT_PACKETS,
    ] {
        draft.integer(counter, 0);
    }
    if step == Step::Stop {
        draft.integer(id::ACCT_TERMINATE_CAUSE, USER_REQUEST);
    }
}

fn unreachable(what: Unreachable) -> (Reason, &'static str) {
    match what {
        Unreachable::Port => (Reason::Refused, "the host answers that nothing listens on the port"),
        Unreachable::Host => (Reason::Unreachable, "ICMP says that there is no way to the server"),
    }
}

#[cfg(test)]
mod tests;
