//! The side that asks for proof: PAP (RFC 1334), CHAP with MD5 (RFC 1994),
//! MS-CHAP (RFC 2433), MS-CHAPv2 (RFC 2759), EAP with MD5 and MSCHAPv2
//! (RFC 3748).
//!
//! One attempt per call, as pppd does: although the text of a failure says
//! R=1, the link is terminated (by the owner). An unknown user gets a failure
//! without any text. EAP begins with an Identity request and follows a Nak to
//! another method that is configured.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use pptp_probe::crypto::mschap;
use pptp_probe::method::Method;
use pptp_probe::proto::auth::AuthProtocol;
use pptp_probe::proto::mppe::MasterKeys;
use pptp_probe::wire::chap::{FailureText, MsChapV1Response, MsChapV2Response, SuccessText};
use pptp_probe::wire::{chap, eap, pap, ppp};

use super::config::{Config, User};
use super::faults::{Fault, SharedFaults};

/// A challenge is repeated that often ...
const TRIES: u32 = 10;
/// ... each time after this long.
const RETRY: Duration = Duration::from_secs(3);
/// What pppd calls a wrong password.
pub(super) const AUTHENTICATION_FAILURE: u32 = 691;

/// What came of it.
pub enum Event {
    /// The caller proved who it is, or was let in for another reason.
    Succeeded {
        /// The name it gave.
        name: Vec<u8>,
        /// How.
        method: Method,
        /// What MPPE needs; only MS-CHAP gives it.
        keys: Option<MasterKeys>,
    },
    /// Refused, or no answer; in words for the log.
    Failed(String),
}

/// One authentication.
pub struct Authenticator {
    config: Rc<Config>,
    faults: SharedFaults,
    protocol: AuthProtocol,
    challenge: [u8; 16],
    identifier: u8,
    stage: Stage,
    /// Methods that EAP may still offer; the first one is.
    eap_offers: Vec<Method>,
    eap_name: Vec<u8>,
    /// The request that waits for its answer; empty with PAP, which has none.
    request: Vec<u8>,
    retry_at: Option<Instant>,
    tries: u32,
    /// The verdict, for a caller who repeats its answer.
    verdict: Option<Vec<u8>>,
    transmits: VecDeque<(u16, Vec<u8>)>,
    events: VecDeque<Event>,
}

enum Stage {
    /// Nothing was sent yet.
    Before,
    /// PAP or CHAP: the caller's answer is awaited.
    Response,
    /// EAP: the name is awaited.
    Identity,
    /// EAP: the answer to the first of `eap_offers` is awaited.
    EapMethod,
    /// EAP-MSCHAPv2: the caller's word on our proof is awaited.
    EapSuccess(Box<Event>),
    /// EAP-MSCHAPv2: the failure was told and is to be acknowledged.
    EapFailure(String),
    /// Over.
    Done,
}

/// What is thought of a response.
enum Judgement {
    Accepted,
    Refused(u32),
    /// Nobody has this name.
    Unknown,
}

impl Authenticator {
    /// Asks by `protocol`; `challenge` is random, and a part of it is used
    /// where a method has a shorter one.
    pub fn new(
        config: Rc<Config>,
        faults: SharedFaults,
        protocol: AuthProtocol,
        challenge: [u8; 16],
        now: Instant,
    ) -> Self {
        let eap = |method: &Method| matches!(method, Method::EapMd5 | Method::EapMsChapV2);
        let eap_offers = config.methods.iter().copied().filter(eap).collect();
        let mut authenticator = Self {
            config,
            faults,
            protocol,
            challenge,
            identifier: challenge[0],
            stage: Stage::Before,
            eap_offers,
            eap_name: Vec::new(),
            request: Vec::new(),
            retry_at: None,
            tries: 0,
            verdict: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        authenticator.begin(now);
        authenticator
    }

    /// Takes one packet of PAP, CHAP or EAP; what makes no sense is ignored.
    pub fn handle_packet(&mut self, protocol: u16, packet: &[u8], now: Instant) {
        self.begin(now);
        if self.faults.borrow().has(Fault::AuthSilent) {
            return;
        }
        match (&self.protocol, protocol) {
            (AuthProtocol::Pap, ppp::PAP) => self.receive_pap(packet),
            (
                AuthProtocol::ChapMd5 | AuthProtocol::MsChapV1 | AuthProtocol::MsChapV2,
                ppp::CHAP,
            ) => self.receive_chap(packet),
            (AuthProtocol::Eap, ppp::EAP) => self.receive_eap(packet, now),
            _ => {}
        }
    }

    /// A timer ran out, or faults changed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.begin(now);
        if self.retry_at.is_none_or(|at| at > now) {
            return;
        }
        if self.tries >= TRIES {
            return self.fail("the caller does not answer".into());
        }
        self.transmit_request(now);
    }

    /// The next packet, with its PPP protocol.
    pub fn poll_transmit(&mut self) -> Option<(u16, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// What came of it.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Authenticator::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    fn begin(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Before) || self.faults.borrow().has(Fault::AuthSilent) {
            return;
        }
        self.stage = Stage::Response;
        match self.protocol {
            AuthProtocol::Pap => self.send_request(Vec::new(), now),
            AuthProtocol::Eap => {
                self.stage = Stage::Identity;
                self.send_eap(eap::kind::IDENTITY, b"Name".to_vec(), now);
            }
            _ => {
                let challenge = chap::Valued {
                    identifier: self.identifier,
                    value: self.chap_challenge().to_vec(),
                    name: self.config.host_name.as_bytes().to_vec(),
                };
                self.send_request(chap::Packet::Challenge(challenge).emit(), now);
            }
        }
    }

    fn chap_challenge(&self) -> &[u8] {
        let length = if self.protocol == AuthProtocol::MsChapV1 { 8 } else { 16 };
        &self.challenge[..length]
    }

    fn send_request(&mut self, request: Vec<u8>, now: Instant) {
        self.request = request;
        self.tries = 0;
        self.transmit_request(now);
    }

    fn transmit_request(&mut self, now: Instant) {
        self.tries += 1;
        self.retry_at = Some(now + RETRY);
        if !self.request.is_empty() {
            self.transmit(self.request.clone());
        }
    }

    fn transmit(&mut self, packet: Vec<u8>) {
        let protocol = match self.protocol {
            AuthProtocol::Pap => ppp::PAP,
            AuthProtocol::Eap => ppp::EAP,
            _ => ppp::CHAP,
        };
        self.transmits.push_back((protocol, packet));
    }

    fn end(&mut self, verdict: Vec<u8>, event: Event) {
        self.stage = Stage::Done;
        self.retry_at = None;
        self.transmit(verdict.clone());
        self.verdict = Some(verdict);
        self.events.push_back(event);
    }

    fn fail(&mut self, words: String) {
        self.stage = Stage::Done;
        self.retry_at = None;
        self.events.push_back(Event::Failed(words));
    }

    fn judge(&self, user: Option<&User>, proven: bool) -> Judgement {
        let faults = self.faults.borrow();
        let code = faults.find(|fault| match fault {
            Fault::AuthFailure(code) => Some(*code),
            _ => None,
        });
        match code {
            Some(code) => Judgement::Refused(code),
            None if proven || faults.has(Fault::AcceptAny) => Judgement::Accepted,
            None if user.is_none() => Judgement::Unknown,
            None => Judgement::Refused(AUTHENTICATION_FAILURE),
        }
    }

    fn receive_pap(&mut self, packet: &[u8]) {
        let Ok(pap::Packet::AuthenticateRequest(request)) = pap::Packet::parse(packet) else {
            return;
        };
        if !matches!(self.stage, Stage::Response) {
            return self.repeat_verdict(request.identifier);
        }
        let user = self.config.user(&request.peer_id);
        let proven = user.is_some_and(|user| user.password.as_bytes() == request.password);
        let judgement = self.judge(user, proven);
        let verdict = |message: &[u8]| pap::Verdict {
            identifier: request.identifier,
            message: message.to_vec(),
        };
        match judgement {
            Judgement::Accepted => {
                let event =
                    Event::Succeeded { name: request.peer_id, method: Method::Pap, keys: None };
                self.end(pap::Packet::AuthenticateAck(verdict(b"Login ok")).emit(), event);
            }
            refused => {
                let event = failed(&request.peer_id, &refused);
                self.end(pap::Packet::AuthenticateNak(verdict(b"Login incorrect")).emit(), event);
            }
        }
    }

    fn receive_chap(&mut self, packet: &[u8]) {
        let Ok(chap::Packet::Response(response)) = chap::Packet::parse(packet) else {
            return;
        };
        if !matches!(self.stage, Stage::Response) {
            return self.repeat_verdict(response.identifier);
        }
        if response.identifier != self.identifier {
            return;
        }
        let identifier = response.identifier;
        let name = response.name.clone();
        let user = self.config.user(&name);
        let password = user.map_or(&b""[..], |user| user.password.as_bytes());
        let known = user.is_some();
        let (method, proven, keys, text) = match self.protocol {
            AuthProtocol::MsChapV1 => {
                let Ok(value) = MsChapV1Response::parse(&response.value) else {
                    return;
                };
                let mut challenge = [0; 8];
                challenge.copy_from_slice(&self.challenge[..8]);
                let proven = proves_mschap_v1(&value, &challenge, password);
                let keys = MasterKeys::from_mschap_v1(password, &challenge);
                (Method::MsChapV1, proven, Some(keys), b"Access granted".to_vec())
            }
            AuthProtocol::MsChapV2 => {
                let Ok(value) = MsChapV2Response::parse(&response.value) else {
                    return;
                };
                let (proven, keys, text) = self.judge_mschap_v2(&value, &name, password);
                (Method::MsChapV2, proven, Some(keys), text)
            }
            _ => {
                let digest = md5_response(identifier, password, &self.challenge);
                let proven = response.value == digest;
                (Method::ChapMd5, proven, None, b"Access granted".to_vec())
            }
        };
        match self.judge(user, known && proven) {
            Judgement::Accepted => {
                let verdict = chap::Verdict { identifier, message: text };
                let event = Event::Succeeded { name, method, keys };
                self.end(chap::Packet::Success(verdict).emit(), event);
            }
            refused => {
                let message = self.failure_text(&refused);
                let verdict = chap::Verdict { identifier, message };
                self.end(chap::Packet::Failure(verdict).emit(), failed(&name, &refused));
            }
        }
    }

    /// Whether the response is right, the keys, and the text with our proof.
    /// Who lets anybody in does not know the caller's password: its proof and
    /// keys are those of the password it has.
    fn judge_mschap_v2(
        &self,
        value: &MsChapV2Response,
        name: &[u8],
        password: &[u8],
    ) -> (bool, MasterKeys, Vec<u8>) {
        let (proven, keys, mut proof) = judge_mschap_v2(value, &self.challenge, name, password);
        if self.faults.borrow().has(Fault::WrongProof) {
            proof.iter_mut().for_each(|octet| *octet ^= 0xFF);
        }
        let text = SuccessText {
            authenticator_response: Some(proof),
            message: b"Access granted".to_vec(),
        };
        (proven, keys, text.emit())
    }

    fn failure_text(&self, judgement: &Judgement) -> Vec<u8> {
        let code = match (judgement, &self.protocol) {
            (Judgement::Unknown, _) => return Vec::new(),
            (_, AuthProtocol::ChapMd5) => return b"Access denied".to_vec(),
            (Judgement::Refused(code), _) => *code,
            (Judgement::Accepted, _) => AUTHENTICATION_FAILURE,
        };
        let message = match &self.protocol {
            AuthProtocol::MsChapV1 => b"",
            _ => failure_message(code),
        };
        let challenge = match self.protocol {
            AuthProtocol::MsChapV1 => &self.challenge[..8],
            _ => &self.challenge[..],
        };
        FailureText {
            code: Some(code),
            retry: Some(code == AUTHENTICATION_FAILURE && self.protocol != AuthProtocol::Eap),
            challenge: Some(challenge.to_vec()),
            version: Some(0),
            message: message.to_vec(),
        }
        .emit()
    }

    fn repeat_verdict(&mut self, identifier: u8) {
        if let Some(verdict) = self.verdict.clone()
            && verdict.get(1) == Some(&identifier)
        {
            self.transmit(verdict);
        }
    }

    fn send_eap(&mut self, kind: u8, data: Vec<u8>, now: Instant) {
        self.identifier = self.identifier.wrapping_add(1);
        let request = eap::Typed { identifier: self.identifier, kind, data };
        self.send_request(eap::Packet::Request(request).emit(), now);
    }

    fn receive_eap(&mut self, packet: &[u8], now: Instant) {
        let Ok(eap::Packet::Response(response)) = eap::Packet::parse(packet) else {
            return;
        };
        if response.identifier != self.identifier {
            return;
        }
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Identity if response.kind == eap::kind::IDENTITY => {
                self.eap_name = response.data;
                self.offer_eap(now);
            }
            Stage::EapMethod if response.kind == eap::kind::NAK => {
                let wanted = |method: &Method| response.data.contains(&eap_kind(*method));
                let rest = self.eap_offers.get(1..).unwrap_or_default();
                self.eap_offers = rest.iter().copied().filter(wanted).collect();
                self.offer_eap(now);
            }
            Stage::EapMethod => {
                self.stage = Stage::EapMethod;
                self.receive_eap_method(&response, now);
            }
            Stage::EapSuccess(event) if response.kind == eap::kind::MSCHAP_V2 => {
                let identifier = response.identifier;
                match eap::MsChapV2::parse(&response.data) {
                    Ok(eap::MsChapV2::SuccessResponse) => {
                        self.end(eap::Packet::Success { identifier }.emit(), *event);
                    }
                    Ok(eap::MsChapV2::FailureResponse) => {
                        let words = "the caller does not believe the gateway's proof".into();
                        let failure = eap::Packet::Failure { identifier };
                        self.end(failure.emit(), Event::Failed(words));
                    }
                    _ => self.stage = Stage::EapSuccess(event),
                }
            }
            Stage::EapFailure(words) => {
                let failure = eap::Packet::Failure { identifier: response.identifier };
                self.end(failure.emit(), Event::Failed(words));
            }
            stage => self.stage = stage,
        }
    }

    /// Offers the first EAP method that is left.
    fn offer_eap(&mut self, now: Instant) {
        let Some(method) = self.eap_offers.first().copied() else {
            let failure = eap::Packet::Failure { identifier: self.identifier };
            let words = "the caller knows no EAP method that is configured".into();
            return self.end(failure.emit(), Event::Failed(words));
        };
        self.stage = Stage::EapMethod;
        let name = self.config.host_name.as_bytes().to_vec();
        let data = match method {
            Method::EapMd5 => eap::Md5Challenge { value: self.challenge.to_vec(), name }.emit(),
            _ => eap::MsChapV2::Challenge {
                mschap_v2_id: self.identifier.wrapping_add(1),
                challenge: self.challenge,
                name,
            }
            .emit(),
        };
        self.send_eap(eap_kind(method), data, now);
    }

    fn receive_eap_method(&mut self, response: &eap::Typed, now: Instant) {
        let Some(method) = self.eap_offers.first().copied() else {
            return;
        };
        if response.kind != eap_kind(method) {
            return;
        }
        let identifier = response.identifier;
        if method == Method::EapMd5 {
            let Ok(answer) = eap::Md5Challenge::parse(&response.data) else {
                return;
            };
            let name = std::mem::take(&mut self.eap_name);
            let user = self.config.user(&name);
            let proven = user.is_some_and(|user| {
                answer.value == md5_response(identifier, user.password.as_bytes(), &self.challenge)
            });
            return match self.judge(user, proven) {
                Judgement::Accepted => {
                    let event = Event::Succeeded { name, method, keys: None };
                    self.end(eap::Packet::Success { identifier }.emit(), event);
                }
                refused => {
                    let event = failed(&name, &refused);
                    self.end(eap::Packet::Failure { identifier }.emit(), event);
                }
            };
        }
        let Ok(eap::MsChapV2::Response { mschap_v2_id, response: value, name }) =
            eap::MsChapV2::parse(&response.data)
        else {
            return;
        };
        let user = self.config.user(&name);
        let password = user.map_or(&b""[..], |user| user.password.as_bytes());
        let (proven, keys, message) = self.judge_mschap_v2(&value, &name, password);
        let next = match self.judge(user, user.is_some() && proven) {
            Judgement::Accepted => {
                self.stage = Stage::EapSuccess(Box::new(Event::Succeeded {
                    name,
                    method,
                    keys: Some(keys),
                }));
                eap::MsChapV2::SuccessRequest { mschap_v2_id, message }
            }
            refused => {
                let code = match refused {
                    Judgement::Refused(code) => Judgement::Refused(code),
                    _ => Judgement::Refused(AUTHENTICATION_FAILURE),
                };
                let message = self.failure_text(&code);
                self.stage = Stage::EapFailure(failure_words(&name, &refused));
                eap::MsChapV2::FailureRequest { mschap_v2_id, message }
            }
        };
        self.send_eap(eap::kind::MSCHAP_V2, next.emit(), now);
    }
}

fn eap_kind(method: Method) -> u8 {
    match method {
        Method::EapMd5 => eap::kind::MD5_CHALLENGE,
        _ => eap::kind::MSCHAP_V2,
    }
}

/// The words for a failure code of RFC 2759, section 6.
pub(super) fn failure_message(code: u32) -> &'static [u8] {
    match code {
        646 => b"Restricted logon hours",
        647 => b"Account disabled",
        648 => b"Password expired",
        649 => b"No dial-in permission",
        709 => b"Changing password failed",
        _ => b"Access denied",
    }
}

/// Whether a response of MS-CHAPv1 is that of the password.
pub(super) fn proves_mschap_v1(
    value: &MsChapV1Response,
    challenge: &[u8; 8],
    password: &[u8],
) -> bool {
    match value.use_nt {
        0 => value.lm_response == mschap::lm_challenge_response(challenge, password),
        _ => value.nt_response == mschap::nt_challenge_response(challenge, password),
    }
}

/// Whether a response of MS-CHAPv2 is that of the password, and the keys and
/// our proof that follow from the password.
pub(super) fn judge_mschap_v2(
    value: &MsChapV2Response,
    challenge: &[u8; 16],
    name: &[u8],
    password: &[u8],
) -> (bool, MasterKeys, [u8; 20]) {
    let right = mschap::generate_nt_response(challenge, &value.peer_challenge, name, password);
    let proof = mschap::generate_authenticator_response(
        password,
        &value.nt_response,
        &value.peer_challenge,
        challenge,
        name,
    );
    let keys = MasterKeys::from_mschap_v2(password, &value.nt_response);
    (value.nt_response == right, keys, proof)
}

/// RFC 1994, section 4.1.
pub(super) fn md5_response(identifier: u8, password: &[u8], challenge: &[u8]) -> Vec<u8> {
    Md5::new()
        .chain_update([identifier])
        .chain_update(password)
        .chain_update(challenge)
        .finalize()
        .to_vec()
}

fn failed(name: &[u8], judgement: &Judgement) -> Event {
    Event::Failed(failure_words(name, judgement))
}

fn failure_words(name: &[u8], judgement: &Judgement) -> String {
    let name = pptp_probe::output::escape(name);
    match judgement {
        Judgement::Refused(code) => format!("user {name} is refused with code {code}"),
        Judgement::Unknown => format!("user {name} is not known"),
        Judgement::Accepted => format!("user {name} is accepted"),
    }
}
