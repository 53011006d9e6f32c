//! The RADIUS server beside the gateway: logins (RFC 2865, RFC 2548),
//! accounting (RFC 2866) and Status-Server (RFC 5997), for the same users, and
//! what can go wrong with them.
//!
//! [`Server`] takes the octets of a request and gives the replies; when and
//! from where they go stands in each. Clock and sockets are in [`sockets`].
//! Left out: EAP, proxies, and clients with secrets of their own. Any method
//! may be used, whatever the gateway asks its callers for.
//!
//! It behaves as FreeRADIUS does where a client can see it, but for this:
//! Message-Authenticator comes first in every Access-Accept, -Reject and
//! -Challenge, as in servers that were mended against CVE-2024-3596;
//! statistics are told on both ports; the LM-Key of MS-CHAP-MPPE-Keys, zeros
//! there, is filled in.

pub mod sockets;

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use pptp_probe::crypto::mppe::{Direction, KeyLength, MasterKeys};
use pptp_probe::crypto::mschap;
use pptp_probe::crypto::radius::SharedSecret;
use pptp_probe::method::Method;
use pptp_probe::output::escape;
use pptp_probe::reason::Phase;
use pptp_probe::secret::Secret;
use pptp_probe::wire::chap::{FailureText, MsChapV1Response, MsChapV2Response, SuccessText};
use pptp_probe::wire::radius::{AttributeId, Code, Draft, Packet, id};

use super::authenticator::{
    AUTHENTICATION_FAILURE, failure_message, judge_mschap_v2, md5_response, proves_mschap_v1,
};
use super::config::{Config, User};
use super::faults::{Fault, SharedFaults};

/// Requests that are remembered, to know their repetitions.
const MAX_SEEN: usize = 1024;
/// How long the right reply comes after a forged one.
const AFTER_FORGED: Duration = Duration::from_millis(50);
/// Replies of a flood: more than any caller waits for.
const FLOOD: u32 = 250_000;
/// What pppd and Windows call an expired password.
const PASSWORD_EXPIRED: u32 = 648;

const CLASS: AttributeId = AttributeId { vendor: 0, number: 25 };
const PROXY_STATE: AttributeId = AttributeId { vendor: 0, number: 33 };
const MS_MPPE_ENCRYPTION_POLICY: AttributeId = AttributeId { vendor: 311, number: 7 };
const MS_MPPE_ENCRYPTION_TYPES: AttributeId = AttributeId { vendor: 311, number: 8 };

/// FreeRADIUS's enterprise number, under which statistics are told.
const FREERADIUS: u32 = 11344;
/// Asks for statistics, as a set of bits.
const STATISTICS_TYPE: AttributeId = AttributeId { vendor: FREERADIUS, number: 127 };
/// Statistics of logins are 128 and up, in the order of [`Counters`] ...
const STATISTICS_AUTHENTICATION: (u32, u8) = (1, 128);
/// ... those of accounting 148 and up ...
const STATISTICS_ACCOUNTING: (u32, u8) = (2, 148);
/// ... and the lengths of five queues 162 and up.
const STATISTICS_INTERNAL: (u32, u8) = (16, 162);

/// Which of the two ports a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// Access-Request and Status-Server.
    Authentication,
    /// Accounting-Request and Status-Server.
    Accounting,
}

impl Port {
    /// What a request that is granted is answered with.
    fn success(self) -> Code {
        match self {
            Self::Authentication => Code::AccessAccept,
            Self::Accounting => Code::AccountingResponse,
        }
    }
}

/// What comes of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What to send, soonest first.
    pub replies: Vec<Reply>,
    /// False where the packet is malformed or its signature is wrong: over TCP
    /// the connection is closed then (RFC 6613, section 2.6.4).
    pub is_sound: bool,
    /// What happened, for the log.
    pub words: String,
}

impl Answer {
    fn silence(is_sound: bool, words: String) -> Self {
        Self { replies: Vec::new(), is_sound, words }
    }
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The packet.
    pub octets: Vec<u8>,
    /// How long after the request it goes.
    pub after: Duration,
    /// How many times it is sent.
    pub times: u32,
    /// Over UDP it goes from a port that was not asked.
    pub from_another_port: bool,
}

/// The server; one secret for every client.
pub struct Server {
    config: Rc<Config>,
    faults: SharedFaults,
    secret: SharedSecret,
    /// What `radius-wrong-secret` signs with.
    wrong_secret: SharedSecret,
    entropy: Box<dyn FnMut() -> [u8; 16]>,
    seen: HashMap<Key, Seen>,
    /// The keys of `seen`, oldest first.
    order: VecDeque<Key>,
    authentication: Counters,
    accounting: Counters,
}

/// What makes two packets one request (RFC 2865, section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    port: Port,
    source: SocketAddrV4,
    identifier: u8,
    authenticator: [u8; 16],
}

#[derive(Default)]
struct Seen {
    transmissions: u32,
    /// What it was answered with.
    replies: Option<Vec<Reply>>,
}

/// What FreeRADIUS counts for each port. Accounting has no accepts, rejects
/// and challenges.
#[derive(Default)]
struct Counters {
    requests: u32,
    accepts: u32,
    rejects: u32,
    challenges: u32,
    responses: u32,
    duplicates: u32,
    malformed: u32,
    invalid: u32,
    dropped: u32,
    unknown_types: u32,
}

/// A reply before it is signed.
struct Verdict {
    code: Code,
    attributes: Vec<(AttributeId, Vec<u8>)>,
    words: String,
}

/// How a user proves itself, with what an accept brings besides.
enum Proof {
    Plain(Method),
    MsChapV1 { ident: u8, keys: [u8; 24] },
    MsChapV2 { ident: u8, keys: Box<MasterKeys>, response: [u8; 20] },
}

impl Proof {
    fn method(&self) -> Method {
        match self {
            Self::Plain(method) => *method,
            Self::MsChapV1 { .. } => Method::MsChapV1,
            Self::MsChapV2 { .. } => Method::MsChapV2,
        }
    }
}

impl Server {
    /// A server that has seen nothing yet.
    pub fn new(
        config: Rc<Config>,
        faults: SharedFaults,
        entropy: Box<dyn FnMut() -> [u8; 16]>,
    ) -> Self {
        let secret = config.radius_secret.as_bytes();
        let shared = |octets: Vec<u8>| SharedSecret::new(Secret::new(octets));
        Self {
            secret: shared(secret.to_vec()),
            wrong_secret: shared([secret, b"?"].concat()),
            config,
            faults,
            entropy,
            seen: HashMap::new(),
            order: VecDeque::new(),
            authentication: Counters::default(),
            accounting: Counters::default(),
        }
    }

    /// Takes one packet; what follows its length is padding.
    pub fn handle(&mut self, port: Port, source: SocketAddrV4, octets: &[u8]) -> Answer {
        let request = match Packet::parse(octets) {
            Ok(request) => request,
            Err(error) => {
                self.counters(port).malformed += 1;
                return Answer::silence(false, format!("ignored: {error}"));
            }
        };
        match (port, request.code) {
            (Port::Authentication, Code::AccessRequest)
            | (Port::Accounting, Code::AccountingRequest) => self.counters(port).requests += 1,
            (_, Code::StatusServer) => {}
            (_, code) => {
                self.counters(port).unknown_types += 1;
                return Answer::silence(true, format!("ignored: {code} on this port"));
            }
        }
        if let Err(why) = self.verify(&request) {
            self.counters(port).invalid += 1;
            return Answer::silence(false, format!("ignored: {} with {why}", request.code));
        }
        let words = |what: &str| format!("{} {what}", request.code);
        let lost = self.faults.borrow().find(|fault| match fault {
            Fault::RadiusLose(count) => Some(*count),
            _ => None,
        });
        let is_silent = self.has(Fault::RadiusSilent);
        let (identifier, authenticator) = (request.identifier, request.authenticator);
        let seen = self.seen(Key { port, source, identifier, authenticator });
        seen.transmissions = seen.transmissions.saturating_add(1);
        if is_silent || seen.transmissions <= lost.unwrap_or(0) {
            self.counters(port).dropped += 1;
            return Answer::silence(true, words("is not answered"));
        }
        if let Some(replies) = seen.replies.clone() {
            self.counters(port).duplicates += 1;
            return Answer { replies, is_sound: true, words: words("repeated") };
        }
        let verdict = match request.code {
            Code::AccessRequest => self.log_in(&request),
            Code::AccountingRequest => Verdict::empty(Code::AccountingResponse),
            _ => self.status(port, &request),
        };
        let Some(octets) = self.sign(&request, &verdict) else {
            self.counters(port).dropped += 1;
            return Answer::silence(true, words("has no reply that fits into a packet"));
        };
        let replies = self.send(port, &request, octets);
        self.seen(Key { port, source, identifier, authenticator }).replies = Some(replies.clone());
        if request.code != Code::StatusServer {
            self.counters(port).count(verdict.code);
        }
        Answer { replies, is_sound: true, words: words(&verdict.words) }
    }

    fn counters(&mut self, port: Port) -> &mut Counters {
        match port {
            Port::Authentication => &mut self.authentication,
            Port::Accounting => &mut self.accounting,
        }
    }

    /// What is known of a request; for a new one the oldest is forgotten.
    fn seen(&mut self, key: Key) -> &mut Seen {
        if !self.seen.contains_key(&key) {
            if self.order.len() == MAX_SEEN
                && let Some(oldest) = self.order.pop_front()
            {
                self.seen.remove(&oldest);
            }
            self.order.push_back(key);
        }
        self.seen.entry(key).or_default()
    }

    /// A Message-Authenticator has to be right where there is one, and
    /// Status-Server has to have one (RFC 5997, section 3). That of an
    /// Accounting-Request is computed with zeros for the authenticator, which
    /// is computed last.
    fn verify(&self, request: &Packet<'_>) -> Result<(), &'static str> {
        let octets = request.octets();
        let mut authenticator = request.authenticator;
        if request.code == Code::AccountingRequest {
            if self.secret.accounting_authenticator(octets) != authenticator {
                return Err("a wrong authenticator");
            }
            authenticator = [0; 16];
        }
        match request.message_authenticator() {
            Ok(Some(at)) if self.secret.is_signed(octets, &authenticator, at) => Ok(()),
            Ok(None) if request.code != Code::StatusServer => Ok(()),
            Ok(None) => Err("no Message-Authenticator"),
            _ => Err("a wrong Message-Authenticator"),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.borrow().has(fault)
    }

    /// What replies are signed and hidden with.
    fn reply_secret(&self) -> &SharedSecret {
        if self.has(Fault::RadiusWrongSecret) { &self.wrong_secret } else { &self.secret }
    }

    fn log_in(&mut self, request: &Packet<'_>) -> Verdict {
        let config = self.config.clone();
        let name = request.find(id::USER_NAME).unwrap_or_default();
        let user = config.user(name);
        let (proof, is_right) = match self.prove(request, name, user) {
            Some((proof, is_right)) => (Some(proof), is_right),
            None => (None, false),
        };
        let mut verdict = if self.has(Fault::RadiusExpired) {
            self.reject(PASSWORD_EXPIRED, proof.as_ref())
        } else if self.has(Fault::RadiusChallenge) {
            let mut verdict = Verdict::empty(Code::AccessChallenge);
            verdict.push(id::REPLY_MESSAGE, "Enter the second code");
            verdict.push(id::STATE, (self.entropy)());
            verdict
        } else if is_right && !self.has(Fault::RadiusReject) {
            self.accept(request, proof.as_ref())
        } else {
            self.reject(AUTHENTICATION_FAILURE, proof.as_ref())
        };
        let method = proof.map_or("no credentials", |proof| proof.method().word());
        verdict.words = format!("of user {} with {method}: {}", escape(name), verdict.code);
        verdict
    }

    /// Looks for the credentials, the strongest first, and judges them; nothing
    /// where there are none that make sense.
    fn prove(
        &self,
        request: &Packet<'_>,
        name: &[u8],
        user: Option<&User>,
    ) -> Option<(Proof, bool)> {
        let password = user.map_or(&b""[..], |user| user.password.as_bytes());
        let (proof, is_right) = if let Some(value) = request.find(id::MS_CHAP2_RESPONSE) {
            let (ident, value) = value_as_in_ppp(value)?;
            let value = MsChapV2Response::parse(&value).ok()?;
            let challenge = request.find(id::MS_CHAP_CHALLENGE)?.try_into().ok()?;
            let (is_right, keys, response) = judge_mschap_v2(&value, challenge, name, password);
            (Proof::MsChapV2 { ident, keys: Box::new(keys), response }, is_right)
        } else if let Some(value) = request.find(id::MS_CHAP_RESPONSE) {
            let (ident, value) = value_as_in_ppp(value)?;
            let value = MsChapV1Response::parse(&value).ok()?;
            let challenge = request.find(id::MS_CHAP_CHALLENGE)?.try_into().ok()?;
            let is_right = proves_mschap_v1(&value, challenge, password);
            (Proof::MsChapV1 { ident, keys: mschap_v1_keys(password) }, is_right)
        } else if let Some(value) = request.find(id::CHAP_PASSWORD) {
            let (&ident, response) = value.split_first()?;
            let challenge = request.find(id::CHAP_CHALLENGE).unwrap_or(&request.authenticator);
            let is_right = response == md5_response(ident, password, challenge);
            (Proof::Plain(Method::ChapMd5), is_right)
        } else {
            let hidden = request.find(id::USER_PASSWORD)?;
            let given = self.secret.reveal_password(hidden, &request.authenticator)?;
            (Proof::Plain(Method::Pap), *given == password)
        };
        Some((proof, is_right && user.is_some()))
    }

    fn reject(&mut self, code: u32, proof: Option<&Proof>) -> Verdict {
        let mut verdict = Verdict::empty(Code::AccessReject);
        verdict.push(id::REPLY_MESSAGE, failure_message(code));
        // Version, and whether a message follows, as RFC 2433 and RFC 2759 say.
        let (ident, challenge, version, message) = match proof {
            Some(Proof::MsChapV1 { ident, .. }) => (*ident, 8, 2, &b""[..]),
            Some(Proof::MsChapV2 { ident, .. }) => (*ident, 16, 3, failure_message(code)),
            _ => return verdict,
        };
        let text = FailureText {
            code: Some(code),
            retry: Some(code == AUTHENTICATION_FAILURE),
            challenge: Some((self.entropy)()[..challenge].to_vec()),
            version: Some(version),
            message: message.to_vec(),
        };
        verdict.push(id::MS_CHAP_ERROR, [&[ident], &text.emit()[..]].concat());
        verdict
    }

    fn accept(&mut self, request: &Packet<'_>, proof: Option<&Proof>) -> Verdict {
        const FRAMED: u32 = 2;
        const PPP: u32 = 1;
        let mut verdict = Verdict::empty(Code::AccessAccept);
        verdict.integer(id::SERVICE_TYPE, FRAMED);
        verdict.integer(id::FRAMED_PROTOCOL, PPP);
        // Addresses are not leased here: everybody is told the same.
        let free = |address: &Ipv4Addr| *address != self.config.inner;
        if let Some(address) = self.config.pool.addresses().find(free) {
            verdict.push(id::FRAMED_IP_ADDRESS, address.octets());
        }
        verdict.push(CLASS, "lab");
        verdict.push(id::REPLY_MESSAGE, "Access granted");
        if let Some(Proof::MsChapV2 { ident, response, .. }) = proof
            && !self.has(Fault::RadiusNoProof)
        {
            let response = spoil_if(self.has(Fault::RadiusWrongProof), *response);
            let text = SuccessText { authenticator_response: Some(response), message: Vec::new() };
            verdict.push(id::MS_CHAP2_SUCCESS, [&[*ident], &text.emit()[..]].concat());
        }
        if !self.has(Fault::RadiusNoMppeKeys) {
            self.add_keys(&mut verdict, request, proof);
        }
        verdict
    }

    /// The MPPE keys (RFC 2548, section 2.4), named as the gateway sees them:
    /// it sends with the key that goes to the caller.
    fn add_keys(&mut self, verdict: &mut Verdict, request: &Packet<'_>, proof: Option<&Proof>) {
        const ENCRYPTION_ALLOWED: u32 = 1;
        const RC4_40_OR_128_BIT: u32 = 6;
        let wrong = self.has(Fault::RadiusWrongMppeKeys);
        let authenticator = &request.authenticator;
        match proof {
            Some(Proof::MsChapV1 { keys, .. }) => {
                let keys = spoil_if(wrong, *keys);
                let hidden = self.reply_secret().hide_password(&keys, authenticator);
                verdict.push(id::MS_CHAP_MPPE_KEYS, hidden);
            }
            Some(Proof::MsChapV2 { keys, .. }) => {
                let [first, second, ..] = (self.entropy)();
                for (name, direction, salt) in [
                    (id::MS_MPPE_SEND_KEY, Direction::ServerToClient, [first | 0x80, second]),
                    (id::MS_MPPE_RECV_KEY, Direction::ClientToServer, [first | 0x80, !second]),
                ] {
                    let mut key = [0; 16];
                    key.copy_from_slice(keys.start_key(direction, KeyLength::Bits128));
                    let key = spoil_if(wrong, key);
                    verdict.push(name, self.reply_secret().hide_key(&key, salt, authenticator));
                }
            }
            _ => return,
        }
        verdict.integer(MS_MPPE_ENCRYPTION_POLICY, ENCRYPTION_ALLOWED);
        verdict.integer(MS_MPPE_ENCRYPTION_TYPES, RC4_40_OR_128_BIT);
    }

    fn status(&self, port: Port, request: &Packet<'_>) -> Verdict {
        let mut verdict = Verdict::empty(port.success());
        let wanted = request.find(STATISTICS_TYPE).and_then(|value| value.try_into().ok());
        let wanted = wanted.map_or(0, u32::from_be_bytes);
        for ((bit, first), values) in [
            (STATISTICS_AUTHENTICATION, &self.authentication.list()[..]),
            (STATISTICS_ACCOUNTING, &self.accounting.list_of_accounting()),
            (STATISTICS_INTERNAL, &[0; 5]),
        ] {
            if wanted & bit != 0 {
                for (number, value) in (first..).zip(values) {
                    verdict.integer(AttributeId { vendor: FREERADIUS, number }, *value);
                }
            }
        }
        verdict
    }

    /// Writes and signs a reply; nothing where it is too long.
    fn sign(&self, request: &Packet<'_>, verdict: &Verdict) -> Option<Vec<u8>> {
        let step = u8::from(self.has(Fault::RadiusWrongIdentifier));
        let mut draft = Draft::new(verdict.code, request.identifier.wrapping_add(step), &[0; 16]);
        let is_unsigned = verdict.code == Code::AccountingResponse
            || self.has(Fault::RadiusNoMessageAuthenticator);
        let at = (!is_unsigned).then(|| draft.message_authenticator());
        for (id, value) in &verdict.attributes {
            draft.attribute(*id, value);
        }
        // RFC 2865, section 5.33: all of them, in their order.
        for value in request.all(PROXY_STATE) {
            draft.attribute(PROXY_STATE, value);
        }
        let mut octets = draft.finish().ok()?;
        if self.has(Fault::RadiusTruncated) {
            octets.extend([id::REPLY_MESSAGE.number, 32, b'c', b'u', b't']);
            let length = u16::try_from(octets.len()).ok()?;
            octets[2..4].copy_from_slice(&length.to_be_bytes());
        }
        let secret = self.reply_secret();
        if let Some(at) = at {
            let digest = secret.message_authenticator(&octets, &request.authenticator, at);
            let digest = spoil_if(self.has(Fault::RadiusWrongMessageAuthenticator), digest);
            octets[at..at + 16].copy_from_slice(&digest);
        }
        let digest = secret.response_authenticator(&octets, &request.authenticator);
        let digest = spoil_if(self.has(Fault::RadiusWrongAuthenticator), digest);
        octets[4..20].copy_from_slice(&digest);
        Some(octets)
    }

    /// When, how often and from where a reply goes, and what a forger adds.
    fn send(&mut self, port: Port, request: &Packet<'_>, octets: Vec<u8>) -> Vec<Reply> {
        let after = self.faults.borrow().delay(match request.code {
            Code::AccessRequest => Phase::Auth,
            Code::AccountingRequest => Phase::Data,
            _ => Phase::Control,
        });
        let mut reply = Reply {
            octets,
            after,
            times: if self.has(Fault::RadiusDuplicate) { 2 } else { 1 },
            from_another_port: self.has(Fault::RadiusWrongPort),
        };
        let flood = self.has(Fault::RadiusFlood);
        if !flood && !self.has(Fault::RadiusForged) {
            return vec![reply];
        }
        let draft = Draft::new(port.success(), request.identifier, &(self.entropy)());
        let forged = draft.finish().unwrap_or_default();
        let times = if flood { FLOOD } else { 1 };
        let forged = Reply { octets: forged, after, times, from_another_port: false };
        if flood {
            return vec![forged];
        }
        reply.after += AFTER_FORGED;
        vec![forged, reply]
    }
}

impl Verdict {
    fn empty(code: Code) -> Self {
        Self { code, attributes: Vec::new(), words: format!("answered with {code}") }
    }

    fn push(&mut self, id: AttributeId, value: impl AsRef<[u8]>) {
        self.attributes.push((id, value.as_ref().to_vec()));
    }

    fn integer(&mut self, id: AttributeId, value: u32) {
        self.push(id, value.to_be_bytes());
    }
}

impl Counters {
    fn count(&mut self, reply: Code) {
        self.responses += 1;
        match reply {
            Code::AccessAccept => self.accepts += 1,
            Code::AccessReject => self.rejects += 1,
            Code::AccessChallenge => self.challenges += 1,
            _ => {}
        }
    }

    /// In the order of FreeRADIUS's attributes 128 to 137.
    fn list(&self) -> [u32; 10] {
        [
            self.requests,
            self.accepts,
            self.rejects,
            self.challenges,
            self.responses,
            self.duplicates,
            self.malformed,
            self.invalid,
            self.dropped,
            self.unknown_types,
        ]
    }

    /// In the order of FreeRADIUS's attributes 148 to 154.
    fn list_of_accounting(&self) -> [u32; 7] {
        let [requests, _, _, _, rest @ ..] = self.list();
        let [responses, duplicates, malformed, invalid, dropped, unknown_types] = rest;
        [requests, responses, duplicates, malformed, invalid, dropped, unknown_types]
    }
}

/// Ident and value of a response. In RADIUS the flags stand before the rest
/// (RFC 2548, sections 2.1.3 and 2.3.2), in PPP behind it.
fn value_as_in_ppp(value: &[u8]) -> Option<(u8, Vec<u8>)> {
    let (&[ident, flags], rest) = value.split_first_chunk()?;
    Some((ident, [rest, &[flags]].concat()))
}

/// LM-Key and NT-Key (RFC 2548, section 2.4.1). For the second the RFC has the
/// NT hash; servers send the hash of that, which the start key is made of.
fn mschap_v1_keys(password: &[u8]) -> [u8; 24] {
    let mut keys = [0; 24];
    keys[..8].copy_from_slice(&mschap::lm_password_hash(password)[..8]);
    let nt_hash = mschap::nt_password_hash(password);
    keys[8..].copy_from_slice(&*mschap::hash_nt_password_hash(&nt_hash));
    keys
}

/// The octets, or what they certainly are not.
fn spoil_if<const N: usize>(spoil: bool, octets: [u8; N]) -> [u8; N] {
    if spoil { octets.map(|octet| !octet) } else { octets }
}

#[cfg(test)]
mod tests;
