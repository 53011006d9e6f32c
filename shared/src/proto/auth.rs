//! The side that proves itself: PAP (RFC 1334), CHAP (RFC 1994), MS-CHAPv1
//! (RFC 2433), MS-CHAPv2 (RFC 2759) and EAP (RFC 3748) as a caller speaks them.
//!
//! Owns the dialogue after LCP has agreed on a protocol, up to the verdict and
//! beyond it, for gateways that challenge again. Leaves the packets to
//! [`crate::wire`], the arithmetic to [`crate::crypto`], and the answer in LCP
//! to whoever runs LCP.
//!
//! There is exactly one attempt for each run, so that a monitoring account is
//! never locked out: after a rejection nothing is sent, even where the gateway
//! allows a retry (pppd says `R=1` each time), and before the verdict only the
//! challenge that was answered is answered again.
//!
//! The RFCs would have it otherwise in two places. RFC 1334 changes the
//! identifier of a PAP request that is sent again; here it goes out octet for
//! octet, so that nobody counts it as another attempt. RFC 1994 lets an
//! authenticator that heard no response send another challenge, which would
//! have to be answered; that stays unanswered.
//!
//! Real gateways: pppd and accel-ppp repeat an unanswered challenge as it is.
//! Identifiers of verdicts are not compared, for a verdict that matters proves
//! itself. Where the RFCs are silent on a success without a challenge,
//! MS-CHAPv2 takes it as an impostor's, EAP as a mistake, and CHAP waits on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use crate::crypto::mppe::MasterKeys;
use crate::crypto::mschap;
use crate::method::Method;
use crate::reason::Reason;
use crate::secret::Secret;
use crate::wire::chap::{
    self, FailureCode, FailureText, MsChapV1Response, MsChapV2Response, SuccessText, Valued,
};
use crate::wire::eap::{self, Md5Challenge, MsChapV2, Typed};
use crate::wire::{Error, pap, ppp};

/// Time between two PAP requests.
const PAP_RETRY: Duration = Duration::from_secs(3);

/// How often a PAP request is sent.
const PAP_SENDS: u32 = 4;

/// Malformed packets that are passed over before the run fails.
const MALFORMED_MAX: u32 = 8;

/// Answers to repetitions and to EAP requests that prove nothing (Identity,
/// Notification, Nak), each counted apart; what comes after is ignored.
const REPEATS_MAX: u32 = 10;

/// Naks after which an EAP gateway is taken to have nothing else to offer.
const NAKS_MAX: u32 = 3;

/// What LCP agreed on in its Authentication-Protocol option (RFC 1661, 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthProtocol {
    /// c023
    Pap,
    /// c223 05
    ChapMd5,
    /// c223 80
    MsChapV1,
    /// c223 81
    MsChapV2,
    /// c227
    Eap,
    /// Anything else, as the option has it.
    Other(Vec<u8>),
}

impl AuthProtocol {
    /// Reads the body of the LCP option: a protocol number and its data.
    pub fn from_option(body: &[u8]) -> Self {
        match body {
            [0xc0, 0x23] => Self::Pap,
            [0xc2, 0x23, 0x05] => Self::ChapMd5,
            [0xc2, 0x23, 0x80] => Self::MsChapV1,
            [0xc2, 0x23, 0x81] => Self::MsChapV2,
            [0xc2, 0x27] => Self::Eap,
            other => Self::Other(other.to_vec()),
        }
    }

    /// Writes the body of the LCP option.
    pub fn to_option(&self) -> Vec<u8> {
        match self {
            Self::Pap => vec![0xc0, 0x23],
            Self::ChapMd5 => vec![0xc2, 0x23, 0x05],
            Self::MsChapV1 => vec![0xc2, 0x23, 0x80],
            Self::MsChapV2 => vec![0xc2, 0x23, 0x81],
            Self::Eap => vec![0xc2, 0x27],
            Self::Other(body) => body.clone(),
        }
    }

    /// The methods that run under the protocol, strongest first; none for
    /// [`AuthProtocol::Other`].
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Self::Pap => &[Method::Pap],
            Self::ChapMd5 => &[Method::ChapMd5],
            Self::MsChapV1 => &[Method::MsChapV1],
            Self::MsChapV2 => &[Method::MsChapV2],
            Self::Eap => &[Method::EapMsChapV2, Method::EapMd5],
            Self::Other(_) => &[],
        }
    }
}

/// What an operator calls it.
impl std::fmt::Display for AuthProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Eap => f.write_str("eap"),
            Self::Other(body) => {
                f.write_str("protocol ")?;
                body.iter().take(8).try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            one => one.methods().iter().try_for_each(|method| f.write_str(method.word())),
        }
    }
}

/// Who the caller is.
pub struct Credentials {
    /// User name, with its domain where it has one.
    pub username: Vec<u8>,
    /// Password.
    pub password: Secret,
}

/// What happened, in order.
pub enum AuthEvent {
    /// The gateway sent the first challenge, or another one after success.
    Challenged,
    /// The proof was handed out for sending.
    Responded,
    /// The gateway accepted, and proved itself where the method can.
    Succeeded {
        /// The method that ran.
        method: Method,
        /// For MPPE; MS-CHAP alone leaves some.
        keys: Option<MasterKeys>,
        /// The gateway's text, as it came.
        message: Vec<u8>,
    },
    /// The gateway challenged again after success and accepted again.
    Reauthenticated,
    /// No more will be sent.
    Failed(Failure),
}

/// Why authentication did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The word for every output.
    pub reason: Reason,
    /// One sentence for the operator: ASCII, text of the gateway escaped.
    pub detail: String,
}

/// The machine of the side that proves itself.
pub struct Authenticatee {
    protocol: AuthProtocol,
    /// Allowed methods of the protocol, strongest first.
    methods: Vec<Method>,
    credentials: Credentials,
    peer_challenge: [u8; 16],
    state: State,
    /// The gateway accepted once.
    proven: bool,
    /// The last EAP request and what was answered.
    last_eap: Option<(Vec<u8>, Vec<u8>)>,
    eap_naks: u32,
    repeats: u32,
    formalities: u32,
    malformed: u32,
    ignored: u32,
    transmits: VecDeque<(u16, Vec<u8>)>,
    events: VecDeque<AuthEvent>,
}

enum State {
    /// A PAP request is on its way.
    WaitPapVerdict { request: Secret, sent: u32, retry_at: Option<Instant> },
    /// Nothing was asked yet.
    WaitChallenge,
    /// A challenge was answered.
    WaitVerdict(Answer),
    /// The gateway accepted.
    Accepted,
    /// Over.
    Failed,
}

/// The one challenge that was answered, and how.
#[derive(Clone)]
struct Answer {
    method: Method,
    challenge: Vec<u8>,
    /// The response value; changes with the identifier for MD5 alone.
    value: Vec<u8>,
    /// EAP-MSCHAPv2: the gateway's proof was right, EAP's verdict is due.
    verified: bool,
}

impl Authenticatee {
    /// Starts. PAP speaks first; everything else waits for the gateway.
    /// `peer_challenge` must be random; later challenges after success get
    /// others derived from it. Fails at once where nothing in `allowed` runs
    /// under `protocol`.
    pub fn new(
        protocol: AuthProtocol,
        allowed: Vec<Method>,
        credentials: Credentials,
        peer_challenge: [u8; 16],
        now: Instant,
    ) -> Self {
        let methods: Vec<_> =
            protocol.methods().iter().copied().filter(|method| allowed.contains(method)).collect();
        let mut machine = Self {
            protocol,
            methods,
            credentials,
            peer_challenge,
            state: State::WaitChallenge,
            proven: false,
            last_eap: None,
            eap_naks: 0,
            repeats: 0,
            formalities: 0,
            malformed: 0,
            ignored: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        if machine.methods.is_empty() {
            let words: Vec<_> = allowed.iter().map(|method| method.word()).collect();
            let detail = format!(
                "gateway asks for {}, allowed here is {}",
                machine.protocol,
                if words.is_empty() { "nothing".into() } else { words.join(" ") }
            );
            machine.fail(Reason::AuthOfferedUnacceptable, detail);
        } else if machine.protocol == AuthProtocol::Pap {
            machine.start_pap(now);
        }
        machine
    }

    /// Takes a packet of an authentication protocol: c023, c223 or c227.
    pub fn handle_packet(&mut self, protocol: u16, packet: &[u8], _now: Instant) {
        if matches!(self.state, State::Failed) {
            self.ignore();
            return;
        }
        let outcome = match (protocol, &self.protocol) {
            (ppp::PAP, AuthProtocol::Pap) => self.handle_pap(packet),
            (
                ppp::CHAP,
                AuthProtocol::ChapMd5 | AuthProtocol::MsChapV1 | AuthProtocol::MsChapV2,
            ) => self.handle_chap(packet),
            (ppp::EAP, AuthProtocol::Eap) => self.handle_eap(packet),
            _ => {
                self.ignore();
                Ok(())
            }
        };
        if let Err(error) = outcome {
            self.malformed = self.malformed.saturating_add(1);
            if self.malformed > MALFORMED_MAX && !self.proven {
                let detail = format!(
                    "gateway sent {} malformed {} packets, the last one: {error}",
                    self.malformed, self.protocol
                );
                self.fail(Reason::Malformed, detail);
            }
        }
    }

    /// Sends the PAP request again when it is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::WaitPapVerdict { request, sent, retry_at } = &mut self.state
            && retry_at.is_some_and(|due| due <= now)
        {
            self.transmits.push_back((ppp::PAP, request.expose().to_vec()));
            *sent += 1;
            *retry_at = (*sent < PAP_SENDS).then_some(now + PAP_RETRY);
        }
    }

    /// The GRE layer saw an acknowledgement for everything that was sent: what
    /// was delivered is not sent again. Has no effect while something still
    /// waits in [`Authenticatee::poll_transmit`].
    pub fn delivered(&mut self) {
        if let State::WaitPapVerdict { retry_at, .. } = &mut self.state
            && self.transmits.is_empty()
        {
            *retry_at = None;
        }
    }

    /// LCP was negotiated once more and nothing is decided yet: the PAP request
    /// goes out again, octet for octet. pppd throws away whatever comes before
    /// its LCP is open, after the GRE layer acknowledged it.
    pub fn link_up_again(&mut self, now: Instant) {
        if let State::WaitPapVerdict { sent, retry_at, .. } = &mut self.state
            && *sent < PAP_SENDS
        {
            *retry_at = Some(now);
            self.handle_timeout(now);
        }
    }

    /// The next packet to send: PPP protocol and packet.
    pub fn poll_transmit(&mut self) -> Option<(u16, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<AuthEvent> {
        self.events.pop_front()
    }

    /// When [`Authenticatee::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::WaitPapVerdict { retry_at, .. } => retry_at,
            _ => None,
        }
    }

    /// What is awaited, in an operator's words.
    pub fn stage(&self) -> &'static str {
        match &self.state {
            State::WaitPapVerdict { .. } => "waiting for the verdict on user name and password",
            State::WaitChallenge if self.protocol == AuthProtocol::Eap => {
                "waiting for an EAP challenge"
            }
            State::WaitChallenge => "waiting for a challenge",
            State::WaitVerdict(answer) if answer.verified => "waiting for EAP success",
            State::WaitVerdict(_) => "waiting for the verdict on our response",
            State::Accepted => "authentication had succeeded",
            State::Failed => "authentication had failed",
        }
    }

    /// Packets that were passed over: of another protocol, out of place, a
    /// second challenge before the verdict, too many repetitions.
    pub fn ignored(&self) -> u32 {
        self.ignored
    }

    /// Packets that could not be read.
    pub fn malformed(&self) -> u32 {
        self.malformed
    }

    fn start_pap(&mut self, now: Instant) {
        let password = self.credentials.password.expose();
        if password.len() > 255 || self.credentials.username.len() > 255 {
            // Cut, it would be a wrong password and cost the account an attempt.
            let detail = "user name or password is longer than the 255 octets PAP can carry";
            self.fail(Reason::Local, detail.into());
            return;
        }
        let request = pap::Packet::AuthenticateRequest(pap::AuthenticateRequest {
            identifier: 1,
            peer_id: self.credentials.username.clone(),
            password: password.to_vec(),
        })
        .emit();
        self.transmits.push_back((ppp::PAP, request.clone()));
        self.events.push_back(AuthEvent::Responded);
        self.state = State::WaitPapVerdict {
            request: Secret::new(request),
            sent: 1,
            retry_at: Some(now + PAP_RETRY),
        };
    }

    fn handle_pap(&mut self, packet: &[u8]) -> Result<(), Error> {
        let packet = pap::Packet::parse(packet)?;
        match (&self.state, packet) {
            (State::WaitPapVerdict { .. }, pap::Packet::AuthenticateAck(verdict)) => {
                self.succeed(Method::Pap, None, verdict.message);
            }
            (State::WaitPapVerdict { .. }, pap::Packet::AuthenticateNak(verdict)) => {
                self.reject(Method::Pap, &verdict.message);
            }
            _ => self.ignore(),
        }
        Ok(())
    }

    fn handle_chap(&mut self, packet: &[u8]) -> Result<(), Error> {
        let method = self.methods[0];
        match chap::Packet::parse(packet)? {
            chap::Packet::Challenge(Valued { identifier, value: challenge, .. }) => {
                if let Some(value) = self.answer(method, identifier, &challenge)? {
                    let name = self.credentials.username.clone();
                    let response = chap::Packet::Response(Valued { identifier, value, name });
                    self.transmits.push_back((ppp::CHAP, response.emit()));
                }
            }
            chap::Packet::Success(verdict) => match &self.state {
                State::WaitVerdict(answer) => {
                    let answer = answer.clone();
                    let mut message = verdict.message;
                    if method == Method::MsChapV2 {
                        let text = SuccessText::parse(&message);
                        if let Err(detail) = self.check_proof(&answer, &text) {
                            self.fail(Reason::MutualAuthFailed, detail.into());
                            return Ok(());
                        }
                        message = text.message;
                    }
                    let keys = self.keys(&answer);
                    self.succeed(method, keys, message);
                }
                State::WaitChallenge if method == Method::MsChapV2 => self.fail_unproven(),
                _ => self.ignore(),
            },
            chap::Packet::Failure(verdict) => match self.state {
                State::WaitVerdict(_) | State::WaitChallenge => {
                    self.reject(method, &verdict.message);
                }
                _ => self.ignore(),
            },
            chap::Packet::Response(_) | chap::Packet::Other { .. } => self.ignore(),
        }
        Ok(())
    }

    fn handle_eap(&mut self, octets: &[u8]) -> Result<(), Error> {
        match eap::Packet::parse(octets)? {
            eap::Packet::Request(request) => self.handle_eap_request(request, octets)?,
            eap::Packet::Success { .. } => self.handle_eap_success(),
            eap::Packet::Failure { .. } => match &self.state {
                State::WaitVerdict(answer) => {
                    let method = answer.method;
                    self.reject(method, &[]);
                }
                State::WaitChallenge if self.eap_naks > 0 => self.fail_nothing_acceptable(),
                State::WaitChallenge => {
                    let detail = format!(
                        "gateway rejected user {} with eap before any challenge",
                        printable(&self.credentials.username)
                    );
                    self.fail(Reason::AuthRejected, detail);
                }
                _ => self.ignore(),
            },
            eap::Packet::Response(_) | eap::Packet::Other { .. } => self.ignore(),
        }
        Ok(())
    }

    fn handle_eap_request(&mut self, request: Typed, octets: &[u8]) -> Result<(), Error> {
        if let Some((last, response)) = &self.last_eap
            && last == octets
        {
            // A retransmission (RFC 3748, section 4.1).
            if self.repeats < REPEATS_MAX {
                self.repeats += 1;
                self.transmits.push_back((ppp::EAP, response.clone()));
            } else {
                self.ignore();
            }
            return Ok(());
        }
        let identifier = request.identifier;
        let before_challenge = matches!(self.state, State::WaitChallenge | State::Accepted);
        match request.kind {
            eap::kind::IDENTITY if before_challenge => {
                let name = self.credentials.username.clone();
                self.answer_formality(octets, identifier, eap::kind::IDENTITY, name);
            }
            eap::kind::NOTIFICATION => {
                self.answer_formality(octets, identifier, eap::kind::NOTIFICATION, Vec::new());
            }
            eap::kind::NAK => {
                return Err(Error::BadValue { what: "type of an EAP request", value: 3 });
            }
            eap::kind::MD5_CHALLENGE if self.methods.contains(&Method::EapMd5) => {
                let challenge = Md5Challenge::parse(&request.data)?.value;
                if let Some(value) = self.answer(Method::EapMd5, identifier, &challenge)? {
                    let name = self.credentials.username.clone();
                    let data = Md5Challenge { value, name }.emit();
                    self.answer_eap(octets, identifier, eap::kind::MD5_CHALLENGE, data);
                }
            }
            eap::kind::MSCHAP_V2 if self.methods.contains(&Method::EapMsChapV2) => {
                self.handle_eap_mschap_v2(MsChapV2::parse(&request.data)?, identifier, octets)?;
            }
            _ if before_challenge && self.eap_naks >= NAKS_MAX && !self.proven => {
                self.fail_nothing_acceptable();
            }
            _ if before_challenge => {
                let wanted = self.methods.iter().map(|method| match method {
                    Method::EapMsChapV2 => eap::kind::MSCHAP_V2,
                    _ => eap::kind::MD5_CHALLENGE,
                });
                let data = wanted.collect();
                self.eap_naks += 1;
                self.answer_formality(octets, identifier, eap::kind::NAK, data);
            }
            _ => self.ignore(),
        }
        Ok(())
    }

    fn handle_eap_mschap_v2(
        &mut self,
        message: MsChapV2,
        identifier: u8,
        octets: &[u8],
    ) -> Result<(), Error> {
        const METHOD: Method = Method::EapMsChapV2;
        match message {
            MsChapV2::Challenge { mschap_v2_id, challenge, .. } => {
                if let Some(value) = self.answer(METHOD, identifier, &challenge)? {
                    let response = MsChapV2Response::parse(&value)?;
                    let name = self.credentials.username.clone();
                    let data = MsChapV2::Response { mschap_v2_id, response, name }.emit();
                    self.answer_eap(octets, identifier, eap::kind::MSCHAP_V2, data);
                }
            }
            MsChapV2::SuccessRequest { message, .. } => match &mut self.state {
                State::WaitVerdict(answer) if answer.method == METHOD => {
                    let answer = answer.clone();
                    if let Err(detail) = self.check_proof(&answer, &SuccessText::parse(&message)) {
                        self.fail(Reason::MutualAuthFailed, detail.into());
                        return Ok(());
                    }
                    self.state = State::WaitVerdict(Answer { verified: true, ..answer });
                    let data = MsChapV2::SuccessResponse.emit();
                    self.answer_eap(octets, identifier, eap::kind::MSCHAP_V2, data);
                }
                State::WaitChallenge => self.fail_unproven(),
                _ => self.ignore(),
            },
            MsChapV2::FailureRequest { message, .. } => match self.state {
                State::WaitVerdict(_) | State::WaitChallenge => self.reject(METHOD, &message),
                _ => self.ignore(),
            },
            _ => {
                let op_code = message.emit().first().copied().unwrap_or_default();
                return Err(Error::BadValue {
                    what: "op code of an MSCHAPv2 request",
                    value: op_code.into(),
                });
            }
        }
        Ok(())
    }

    fn handle_eap_success(&mut self) {
        match &self.state {
            State::WaitVerdict(answer) => {
                let answer = answer.clone();
                if answer.method == Method::EapMsChapV2 && !answer.verified {
                    self.fail_unproven();
                } else {
                    let keys = self.keys(&answer);
                    self.succeed(answer.method, keys, Vec::new());
                }
            }
            State::WaitChallenge if self.methods == [Method::EapMsChapV2] => self.fail_unproven(),
            State::WaitChallenge => {
                let detail = "gateway sent EAP success before any method had run";
                self.fail(Reason::Malformed, detail.into());
            }
            _ => self.ignore(),
        }
    }

    /// The response value for a challenge; `None` where it must stay
    /// unanswered.
    fn answer(
        &mut self,
        method: Method,
        identifier: u8,
        challenge: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        match &self.state {
            State::WaitChallenge | State::Accepted => {
                if self.proven {
                    let seed = Md5::new().chain_update(self.peer_challenge).chain_update(challenge);
                    self.peer_challenge = seed.finalize().into();
                }
                let value = self.respond(method, identifier, challenge)?;
                self.repeats = 0;
                self.events.push_back(AuthEvent::Challenged);
                self.events.push_back(AuthEvent::Responded);
                self.state = State::WaitVerdict(Answer {
                    method,
                    challenge: challenge.to_vec(),
                    value: value.clone(),
                    verified: false,
                });
                Ok(Some(value))
            }
            State::WaitVerdict(answer)
                if answer.method == method
                    && answer.challenge == challenge
                    && !answer.verified
                    && self.repeats < REPEATS_MAX =>
            {
                self.repeats += 1;
                match method {
                    // MD5 covers the identifier, which may be another one now.
                    Method::ChapMd5 | Method::EapMd5 => {
                        self.respond(method, identifier, challenge).map(Some)
                    }
                    _ => Ok(Some(answer.value.clone())),
                }
            }
            _ => {
                self.ignore();
                Ok(None)
            }
        }
    }

    fn respond(&self, method: Method, identifier: u8, challenge: &[u8]) -> Result<Vec<u8>, Error> {
        let wrong = Error::BadLength { what: "authentication challenge", length: challenge.len() };
        let password = self.credentials.password.expose();
        match method {
            Method::MsChapV1 => {
                let challenge = challenge.try_into().map_err(|_| wrong)?;
                let nt_response = mschap::nt_challenge_response(challenge, password);
                Ok(MsChapV1Response { lm_response: [0; 24], nt_response, use_nt: 1 }.emit())
            }
            Method::MsChapV2 | Method::EapMsChapV2 => {
                let peer_challenge = self.peer_challenge;
                let nt_response = mschap::generate_nt_response(
                    challenge.try_into().map_err(|_| wrong)?,
                    &peer_challenge,
                    &self.credentials.username,
                    password,
                );
                Ok(MsChapV2Response { peer_challenge, nt_response, flags: 0 }.emit())
            }
            // An empty challenge would make the response the same each time.
            _ if challenge.is_empty() => Err(wrong),
            _ => {
                let hash = Md5::new()
                    .chain_update([identifier])
                    .chain_update(password)
                    .chain_update(challenge);
                Ok(hash.finalize().to_vec())
            }
        }
    }

    /// Whether the gateway knows the password, for MS-CHAPv2.
    fn check_proof(&self, answer: &Answer, text: &SuccessText) -> Result<(), &'static str> {
        const MISSING: &str = "gateway accepted us without proving that it knows the password";
        const WRONG: &str = "gateway accepted us but its proof (S=) is wrong";
        let proof = text.authenticator_response.ok_or(MISSING)?;
        let response = MsChapV2Response::parse(&answer.value).map_err(|_| WRONG)?;
        let challenge = answer.challenge.as_slice().try_into().map_err(|_| WRONG)?;
        let right = mschap::check_authenticator_response(
            self.credentials.password.expose(),
            &response.nt_response,
            &response.peer_challenge,
            challenge,
            &self.credentials.username,
            &proof,
        );
        if right { Ok(()) } else { Err(WRONG) }
    }

    fn keys(&self, answer: &Answer) -> Option<MasterKeys> {
        let password = self.credentials.password.expose();
        match answer.method {
            Method::MsChapV1 => {
                let challenge = answer.challenge.as_slice().try_into().ok()?;
                Some(MasterKeys::from_mschap_v1(password, challenge))
            }
            Method::MsChapV2 | Method::EapMsChapV2 => {
                let response = MsChapV2Response::parse(&answer.value).ok()?;
                Some(MasterKeys::from_mschap_v2(password, &response.nt_response))
            }
            _ => None,
        }
    }

    fn answer_eap(&mut self, request: &[u8], identifier: u8, kind: u8, data: Vec<u8>) {
        let response = eap::Packet::Response(Typed { identifier, kind, data }).emit();
        self.last_eap = Some((request.to_vec(), response.clone()));
        self.transmits.push_back((ppp::EAP, response));
    }

    fn answer_formality(&mut self, request: &[u8], identifier: u8, kind: u8, data: Vec<u8>) {
        if self.formalities < REPEATS_MAX {
            self.formalities += 1;
            self.answer_eap(request, identifier, kind, data);
        } else {
            self.ignore();
        }
    }

    fn succeed(&mut self, method: Method, keys: Option<MasterKeys>, message: Vec<u8>) {
        self.state = State::Accepted;
        self.formalities = 0;
        self.events.push_back(if self.proven {
            AuthEvent::Reauthenticated
        } else {
            AuthEvent::Succeeded { method, keys, message }
        });
        self.proven = true;
    }

    fn reject(&mut self, method: Method, text: &[u8]) {
        let text = FailureText::parse(text);
        let reason = match text.code.map(FailureCode::from_number) {
            Some(FailureCode::RestrictedLogonHours) => Reason::AuthHours,
            Some(FailureCode::AcctDisabled) => Reason::AuthDisabled,
            Some(FailureCode::PasswdExpired) => Reason::AuthExpired,
            Some(FailureCode::NoDialinPermission) => Reason::AuthNoDialin,
            Some(FailureCode::ChangingPassword) => Reason::AuthChangeFailed,
            _ => Reason::AuthRejected,
        };
        let said = match (text.code, printable(&text.message).as_str()) {
            (Some(code), "") => format!(": E={code}"),
            (Some(code), message) => format!(": E={code} \"{message}\""),
            (None, "") => " and gave no reason".into(),
            (None, message) => format!(": \"{message}\""),
        };
        let detail = format!(
            "gateway rejected user {} with {}{}{said}",
            printable(&self.credentials.username),
            method.word(),
            if self.proven { ", which it had accepted before" } else { "" },
        );
        self.fail(reason, detail);
    }

    fn fail_unproven(&mut self) {
        let detail = "gateway accepted us without proving that it knows the password";
        self.fail(Reason::MutualAuthFailed, detail.into());
    }

    fn fail_nothing_acceptable(&mut self) {
        let words: Vec<_> = self.methods.iter().map(|method| method.word()).collect();
        let detail = format!("gateway offers no EAP method out of {}", words.join(" "));
        self.fail(Reason::AuthOfferedUnacceptable, detail);
    }

    fn fail(&mut self, reason: Reason, detail: String) {
        self.state = State::Failed;
        self.transmits.clear();
        self.events.push_back(AuthEvent::Failed(Failure { reason, detail }));
    }

    fn ignore(&mut self) {
        self.ignored = self.ignored.saturating_add(1);
    }
}

/// Octets of a peer or a user as one short piece of ASCII text.
fn printable(octets: &[u8]) -> String {
    const MAX: usize = 80;
    let mut text = String::new();
    for (index, &octet) in octets.iter().enumerate() {
        if index == MAX {
            text.push_str("...");
            break;
        }
        match octet {
            b'"' | b'\\' | b'|' => text.push_str(&format!("\\x{octet:02x}")),
            b' '..=b'~' => text.push(char::from(octet)),
            _ => text.push_str(&format!("\\x{octet:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::mppe::{Direction, KeyLength};

    const PROBE: (&[u8], &[u8]) = (b"probe", b"Pr0be-secret");

    /// RFC 2759, section 9.2.
    const USER: (&[u8], &[u8]) = (b"User", b"clientPass");
    const RFC_CHALLENGE: &[u8; 16] =
        b"\x5b\x5d\x7c\x7d\x7b\x3f\x2f\x3e\x3c\x2c\x60\x21\x32\x26\x26\x28";
    const RFC_PEER_CHALLENGE: &[u8; 16] =
        b"\x21\x40\x23\x24\x25\x5e\x26\x2a\x28\x29\x5f\x2b\x3a\x33\x7c\x7e";
    const RFC_VALUE: &[u8] = b"\x21\x40\x23\x24\x25\x5e\x26\x2a\x28\x29\x5f\x2b\x3a\x33\x7c\x7e\0\0\0\0\0\0\0\0\x82\x30\x9e\xcd\x8d\x70\x8b\x5e\xa0\x8f\xaa\x39\x81\xcd\x83\x54\x42\x33\x11\x4a\x3d\x85\xd6\xdf\0";
    const RFC_PROOF: &[u8] = b"S=407A5589115FD0D6209F510FE9C04566932CDA56";

    /// pptp-linux and pptpd 1.4.0, MS-CHAPv2: challenge, response, success.
    const V2_PEER_CHALLENGE: &[u8; 16] =
        b"\x87\xc9\x22\x94\x5e\xa3\xac\x2f\x47\x7c\x06\x9e\xd9\x17\x0f\xae";
    const V2_CHALLENGE: &[u8] =
        b"\x01\x3f\x00\x1a\x10\xf4\xe0\x6f\xa1\xbf\xa8\x78\x61\x55\x13\xa4\x97\xa0\x06\x73\xe0pptpd";
    const V2_RESPONSE: &[u8] = b"\x02\x3f\x00\x3b\x31\x87\xc9\x22\x94\x5e\xa3\xac\x2f\x47\x7c\x06\x9e\xd9\x17\x0f\xae\0\0\0\0\0\0\0\0\x7e\xf0\xaf\xbc\xe8\x8d\x75\xb1\xe7\xdd\xe0\x2f\x3f\x86\x46\x2e\x6a\xba\x57\x75\x7c\x1b\x8d\xbe\0probe";
    const V2_SUCCESS: &[u8] =
        b"\x03\x3f\x00\x3fS=BBB59131C0FBD7EC2090ACB3BE15F989BF347B97 M=Access granted";
    const V2_FAILURE: &[u8] =
        b"\x04\xec\x00\x44E=691 R=1 C=6dc7f9c19003e1769a0176012de6198f V=0 M=Access denied";
    /// The same with MS-CHAPv1.
    const V1_CHALLENGE: &[u8] = b"\x01\x19\x00\x12\x08\x86\x79\x33\xfb\x9b\x27\x81\xfdpptpd";
    const V1_RESPONSE: &[u8] = b"\x02\x19\x00\x3b\x31\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x7a\x8f\xed\x35\x89\x97\x19\x49\xa4\x7a\x37\xe0\x34\xe5\x0c\xde\x3b\xcd\x70\x6e\x5c\xc7\x88\xab\x01probe";
    const V1_SUCCESS: &[u8] = b"\x03\x19\x00\x12Access granted";
    const V1_FAILURE: &[u8] = b"\x04\x71\x00\x24E=691 R=1 C=a59d9a6969992e2b V=0";
    /// The same with CHAP and MD5.
    const MD5_CHALLENGE: &[u8] = b"\x01\x08\x00\x1f\x15\x3c\x31\x27\xaa\xac\xfe\xd9\x07\x2b\xe7\xb5\xc0\x35\x99\x5b\x0f\x0e\x4e\x55\x35\xf3pptpd";
    const MD5_RESPONSE: &[u8] = b"\x02\x08\x00\x1a\x10\xc7\x12\xea\x2c\xbe\xc4\xc4\xc3\xb3\xcd\xfb\xec\x25\xfc\xff\x0dprobe";
    const MD5_SUCCESS: &[u8] = b"\x03\x08\x00\x12Access granted";
    const MD5_FAILURE: &[u8] = b"\x04\xd5\x00\x11Access denied";
    /// The same with PAP.
    const PAP_REQUEST: &[u8] = b"\x01\x01\x00\x17\x05probe\x0cPr0be-secret";
    const PAP_ACK: &[u8] = b"\x02\x01\x00\x0d\x08Login ok";
    const PAP_NAK: &[u8] = b"\x03\x01\x00\x14\x0fLogin incorrect";

    struct Bench {
        machine: Authenticatee,
        now: Instant,
        protocol: u16,
    }

    impl Bench {
        fn new(protocol: AuthProtocol, user: (&[u8], &[u8]), peer_challenge: &[u8; 16]) -> Self {
            Self::allowing(protocol, Method::ALL.to_vec(), user, peer_challenge)
        }

        fn allowing(
            protocol: AuthProtocol,
            allowed: Vec<Method>,
            (username, password): (&[u8], &[u8]),
            peer_challenge: &[u8; 16],
        ) -> Self {
            let now = Instant::now();
            let number = match protocol {
                AuthProtocol::Pap => ppp::PAP,
                AuthProtocol::Eap => ppp::EAP,
                _ => ppp::CHAP,
            };
            let credentials = Credentials {
                username: username.to_vec(),
                password: Secret::new(password.to_vec()),
            };
            let machine = Authenticatee::new(protocol, allowed, credentials, *peer_challenge, now);
            Self { machine, now, protocol: number }
        }

        fn v2() -> Self {
            Self::new(AuthProtocol::MsChapV2, PROBE, V2_PEER_CHALLENGE)
        }

        fn eap() -> Self {
            Self::new(AuthProtocol::Eap, USER, RFC_PEER_CHALLENGE)
        }

        /// Hands a packet in and takes what is to be sent for it.
        fn send(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
            self.machine.handle_packet(self.protocol, packet, self.now);
            self.sent()
        }

        fn sent(&mut self) -> Option<Vec<u8>> {
            let sent = self.machine.poll_transmit();
            assert!(self.machine.poll_transmit().is_none(), "one packet at a time");
            sent.map(|(protocol, packet)| {
                assert_eq!(protocol, self.protocol);
                packet
            })
        }

        fn wait(&mut self, time: Duration) -> Option<Vec<u8>> {
            self.now += time;
            self.machine.handle_timeout(self.now);
            self.sent()
        }

        fn events(&mut self) -> Vec<String> {
            std::iter::from_fn(|| self.machine.poll_event())
                .map(|event| match event {
                    AuthEvent::Challenged => "challenged".into(),
                    AuthEvent::Responded => "responded".into(),
                    AuthEvent::Succeeded { method, keys, message } => format!(
                        "{} keys={} {}",
                        method.word(),
                        keys.is_some(),
                        String::from_utf8_lossy(&message)
                    ),
                    AuthEvent::Reauthenticated => "reauthenticated".into(),
                    AuthEvent::Failed(failure) => {
                        assert!(failure.detail.is_ascii());
                        format!("{}: {}", failure.reason.word(), failure.detail)
                    }
                })
                .collect()
        }
    }

    fn challenge(identifier: u8, value: &[u8]) -> Vec<u8> {
        let (value, name) = (value.to_vec(), b"pptpd".to_vec());
        chap::Packet::Challenge(Valued { identifier, value, name }).emit()
    }

    fn success(text: &[u8]) -> Vec<u8> {
        chap::Packet::Success(chap::Verdict { identifier: 0x3f, message: text.to_vec() }).emit()
    }

    fn failure(text: &[u8]) -> Vec<u8> {
        chap::Packet::Failure(chap::Verdict { identifier: 0x3f, message: text.to_vec() }).emit()
    }

    fn request(identifier: u8, kind: u8, data: &[u8]) -> Vec<u8> {
        eap::Packet::Request(Typed { identifier, kind, data: data.to_vec() }).emit()
    }

    fn response(identifier: u8, kind: u8, data: &[u8]) -> Option<Vec<u8>> {
        Some(eap::Packet::Response(Typed { identifier, kind, data: data.to_vec() }).emit())
    }

    fn rfc_challenge(identifier: u8) -> Vec<u8> {
        let (challenge, name) = (*RFC_CHALLENGE, b"pptpd".to_vec());
        let data = MsChapV2::Challenge { mschap_v2_id: 0x42, challenge, name }.emit();
        request(identifier, 26, &data)
    }

    fn rfc_response(identifier: u8) -> Option<Vec<u8>> {
        let data = [b"\x02\x42\x00\x3a\x31", RFC_VALUE, b"User"].concat();
        response(identifier, 26, &data)
    }

    fn success_request(identifier: u8, text: &[u8]) -> Vec<u8> {
        let message = text.to_vec();
        request(identifier, 26, &MsChapV2::SuccessRequest { mschap_v2_id: 0x42, message }.emit())
    }

    const EAP_SUCCESS: &[u8] = &[3, 9, 0, 4];
    const EAP_FAILURE: &[u8] = &[4, 9, 0, 4];

    #[test]
    fn lcp_options_read_back() {
        let options: [(&[u8], AuthProtocol); 6] = [
            (&[0xc0, 0x23], AuthProtocol::Pap),
            (&[0xc2, 0x23, 5], AuthProtocol::ChapMd5),
            (&[0xc2, 0x23, 0x80], AuthProtocol::MsChapV1),
            (&[0xc2, 0x23, 0x81], AuthProtocol::MsChapV2),
            (&[0xc2, 0x27], AuthProtocol::Eap),
            (&[0xc2, 0x23, 6], AuthProtocol::Other(vec![0xc2, 0x23, 6])),
        ];
        for (body, protocol) in options {
            assert_eq!(AuthProtocol::from_option(body), protocol);
            assert_eq!(protocol.to_option(), body);
        }
    }

    #[test]
    fn method_that_is_not_allowed_fails_at_once_and_sends_nothing() {
        let allowed = vec![Method::MsChapV2, Method::EapMsChapV2];
        let mut bench = Bench::allowing(AuthProtocol::Pap, allowed, PROBE, &[0; 16]);
        assert_eq!(bench.sent(), None);
        assert_eq!(
            bench.events(),
            [
                "auth_offered_unacceptable: gateway asks for pap, allowed here is mschapv2 eap-mschapv2"
            ]
        );
        let other = AuthProtocol::Other(vec![0xc2, 0x23, 6]);
        assert_eq!(
            Bench::allowing(other, vec![Method::Pap], PROBE, &[0; 16]).events(),
            ["auth_offered_unacceptable: gateway asks for protocol c22306, allowed here is pap"]
        );
    }

    #[test]
    fn pap_dialogue_of_a_real_gateway() {
        let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
        assert_eq!(bench.sent().as_deref(), Some(PAP_REQUEST));
        assert_eq!(bench.machine.stage(), "waiting for the verdict on user name and password");
        assert_eq!(bench.send(PAP_ACK), None);
        assert_eq!(bench.events(), ["responded", "pap keys=false Login ok"]);
        assert_eq!(bench.machine.poll_timeout(), None);
    }

    #[test]
    fn pap_rejection_ends_the_run() {
        let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
        bench.sent();
        assert_eq!(bench.send(PAP_NAK), None);
        assert_eq!(
            bench.events(),
            [
                "responded",
                "auth_rejected: gateway rejected user probe with pap: \"Login incorrect\""
            ]
        );
        assert_eq!(bench.wait(Duration::from_secs(60)), None);
        assert_eq!(bench.send(PAP_ACK), None);
        assert!(bench.events().is_empty());
    }

    #[test]
    fn pap_request_is_sent_four_times_three_seconds_apart() {
        let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
        assert_eq!(bench.sent().as_deref(), Some(PAP_REQUEST));
        for _ in 0..3 {
            assert_eq!(bench.wait(Duration::from_millis(2999)), None);
            assert_eq!(bench.machine.poll_timeout(), Some(bench.now + Duration::from_millis(1)));
            assert_eq!(bench.wait(Duration::from_millis(1)).as_deref(), Some(PAP_REQUEST));
        }
        assert_eq!(bench.machine.poll_timeout(), None);
        assert_eq!(bench.wait(Duration::from_secs(60)), None);
        bench.send(PAP_ACK);
        assert_eq!(bench.events(), ["responded", "pap keys=false Login ok"], "late is not lost");
    }

    #[test]
    fn pap_request_that_was_delivered_is_never_sent_again() {
        let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
        bench.machine.delivered();
        assert!(bench.machine.poll_timeout().is_some(), "it has not even left");
        bench.sent();
        bench.machine.delivered();
        assert_eq!(bench.machine.poll_timeout(), None);
        assert_eq!(bench.wait(Duration::from_secs(60)), None);
    }

    #[test]
    fn pap_password_that_does_not_fit_is_not_cut() {
        let mut bench = Bench::new(AuthProtocol::Pap, (b"probe", &[b'x'; 256]), &[0; 16]);
        assert_eq!(bench.sent(), None);
        assert!(bench.events()[0].starts_with("local: "));
    }

    #[test]
    fn chap_md5_dialogue_of_a_real_gateway() {
        let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
        assert_eq!(bench.sent(), None);
        assert_eq!(bench.machine.stage(), "waiting for a challenge");
        assert_eq!(bench.send(MD5_CHALLENGE).as_deref(), Some(MD5_RESPONSE));
        assert_eq!(bench.machine.stage(), "waiting for the verdict on our response");
        bench.send(MD5_SUCCESS);
        assert_eq!(bench.events(), ["challenged", "responded", "chap keys=false Access granted"]);
    }

    #[test]
    fn chap_md5_rejection_names_the_user_and_the_text() {
        let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
        bench.send(MD5_CHALLENGE);
        bench.events();
        bench.send(MD5_FAILURE);
        assert_eq!(
            bench.events(),
            ["auth_rejected: gateway rejected user probe with chap: \"Access denied\""]
        );
    }

    #[test]
    fn chap_md5_repetition_under_another_identifier_is_computed_anew() {
        let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
        let first = bench.send(MD5_CHALLENGE);
        assert_eq!(bench.send(MD5_CHALLENGE), first);
        let mut other = MD5_CHALLENGE.to_vec();
        other[1] = 9;
        let second = bench.send(&other).expect("an answer");
        let expected = Md5::new()
            .chain_update([9])
            .chain_update(PROBE.1)
            .chain_update(&MD5_CHALLENGE[5..26])
            .finalize();
        assert_eq!(second[1], 9);
        assert_eq!(second[5..21], expected[..]);
        assert_eq!(bench.events(), ["challenged", "responded"], "still one attempt");
    }

    #[test]
    fn mschap_v1_dialogue_of_a_real_gateway() {
        let mut bench = Bench::new(AuthProtocol::MsChapV1, PROBE, &[0; 16]);
        assert_eq!(bench.send(V1_CHALLENGE).as_deref(), Some(V1_RESPONSE));
        bench.send(V1_SUCCESS);
        assert_eq!(
            bench.events(),
            ["challenged", "responded", "mschapv1 keys=true Access granted"]
        );
    }

    #[test]
    fn mschap_v1_rejection_without_a_message() {
        let mut bench = Bench::new(AuthProtocol::MsChapV1, PROBE, &[0; 16]);
        bench.send(V1_CHALLENGE);
        bench.events();
        bench.send(V1_FAILURE);
        assert_eq!(
            bench.events(),
            ["auth_rejected: gateway rejected user probe with mschapv1: E=691"]
        );
    }

    #[test]
    fn mschap_v2_dialogue_of_a_real_gateway() {
        let mut bench = Bench::v2();
        assert_eq!(bench.send(V2_CHALLENGE).as_deref(), Some(V2_RESPONSE));
        bench.send(V2_SUCCESS);
        assert_eq!(
            bench.events(),
            ["challenged", "responded", "mschapv2 keys=true Access granted"]
        );
        assert_eq!(bench.machine.stage(), "authentication had succeeded");
    }

    #[test]
    fn mschap_v2_keys_are_those_of_rfc_3079() {
        let mut bench = Bench::new(AuthProtocol::MsChapV2, USER, RFC_PEER_CHALLENGE);
        bench.send(&challenge(1, RFC_CHALLENGE));
        bench.send(&success(RFC_PROOF));
        let keys =
            std::iter::from_fn(|| bench.machine.poll_event()).find_map(|event| match event {
                AuthEvent::Succeeded { keys, .. } => keys,
                _ => None,
            });
        assert_eq!(
            keys.expect("keys").start_key(Direction::ServerToClient, KeyLength::Bits40),
            [0x8b, 0x7c, 0xdc, 0x14, 0x9b, 0x99, 0x3a, 0x1b]
        );
    }

    #[test]
    fn mschap_v2_wrong_or_missing_proof_is_mutual_auth_failed() {
        let mut wrong = V2_SUCCESS.to_vec();
        wrong[6] = b'A';
        for (packet, detail) in [
            (wrong, "gateway accepted us but its proof (S=) is wrong"),
            (
                success(b"Access granted"),
                "gateway accepted us without proving that it knows the password",
            ),
            (
                success(b"S=BBB5 M=x"),
                "gateway accepted us without proving that it knows the password",
            ),
        ] {
            let mut bench = Bench::v2();
            bench.send(V2_CHALLENGE);
            bench.events();
            assert_eq!(bench.send(&packet), None);
            assert_eq!(bench.events(), [format!("mutual_auth_failed: {detail}")]);
        }
    }

    #[test]
    fn mschap_v2_success_without_a_challenge_proves_nothing() {
        let mut bench = Bench::v2();
        bench.send(V2_SUCCESS);
        assert!(bench.events()[0].starts_with("mutual_auth_failed: "));
        let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
        bench.send(MD5_SUCCESS);
        assert!(bench.events().is_empty());
        assert_eq!(bench.machine.ignored(), 1);
    }

    #[test]
    fn failure_codes_become_reasons() {
        let codes = [
            ("E=646 R=0 V=3 M=Too late", "auth_hours"),
            ("E=647 R=0 V=3", "auth_disabled"),
            ("E=648 R=0 V=3", "auth_expired"),
            ("E=649 R=0 V=3", "auth_no_dialin"),
            ("E=691 R=1 V=3", "auth_rejected"),
            ("E=709 R=0 V=3", "auth_change_failed"),
            ("E=4711", "auth_rejected"),
            ("no", "auth_rejected"),
        ];
        for (text, reason) in codes {
            let mut bench = Bench::v2();
            bench.send(V2_CHALLENGE);
            bench.events();
            bench.send(&failure(text.as_bytes()));
            assert!(bench.events()[0].starts_with(&format!("{reason}: ")), "{text}");
        }
    }

    #[test]
    fn rejection_of_an_unknown_user_has_no_text() {
        let mut bench = Bench::new(AuthProtocol::MsChapV2, (b"nobody", b"x"), &[1; 16]);
        bench.send(V2_CHALLENGE);
        bench.events();
        bench.send(b"\x04\x0e\x00\x04");
        assert_eq!(
            bench.events(),
            ["auth_rejected: gateway rejected user nobody with mschapv2 and gave no reason"]
        );
    }

    #[test]
    fn retry_that_is_allowed_is_not_taken() {
        let mut bench = Bench::v2();
        bench.send(V2_CHALLENGE);
        assert_eq!(bench.send(V2_FAILURE), None);
        assert_eq!(
            bench.events()[2],
            "auth_rejected: gateway rejected user probe with mschapv2: E=691 \"Access denied\""
        );
        assert_eq!(bench.send(V2_CHALLENGE), None);
        assert_eq!(bench.send(&challenge(9, RFC_CHALLENGE)), None);
        assert_eq!(bench.send(V2_SUCCESS), None);
        assert!(bench.events().is_empty());
        assert_eq!(bench.machine.ignored(), 3);
    }

    #[test]
    fn response_that_has_not_left_is_withdrawn_by_a_rejection() {
        let mut bench = Bench::v2();
        bench.machine.handle_packet(ppp::CHAP, V2_CHALLENGE, bench.now);
        bench.machine.handle_packet(ppp::CHAP, V2_FAILURE, bench.now);
        assert_eq!(bench.sent(), None);
    }

    #[test]
    fn same_challenge_gets_the_same_response_a_bounded_number_of_times() {
        let mut bench = Bench::v2();
        let first = bench.send(V2_CHALLENGE);
        for _ in 0..REPEATS_MAX {
            assert_eq!(bench.send(V2_CHALLENGE), first);
        }
        assert_eq!(bench.send(V2_CHALLENGE), None);
        assert_eq!(bench.machine.ignored(), 1);
        assert_eq!(bench.events(), ["challenged", "responded"]);
        bench.send(V2_SUCCESS);
        assert_eq!(bench.events().len(), 1);
    }

    #[test]
    fn second_challenge_before_the_verdict_is_ignored() {
        let mut bench = Bench::v2();
        bench.send(V2_CHALLENGE);
        assert_eq!(bench.send(&challenge(0x40, RFC_CHALLENGE)), None);
        assert_eq!(bench.machine.ignored(), 1);
        bench.send(V2_SUCCESS);
        assert_eq!(bench.events()[2], "mschapv2 keys=true Access granted", "the first one counts");
    }

    #[test]
    fn challenge_after_success_is_answered_with_another_peer_challenge() {
        let mut bench = Bench::v2();
        let first = bench.send(V2_CHALLENGE).expect("response");
        bench.send(V2_SUCCESS);
        bench.events();
        let second = bench.send(&challenge(0x41, RFC_CHALLENGE)).expect("response");
        assert_ne!(first[5..21], second[5..21]);
        let value = MsChapV2Response::parse(&second[5..54]).expect("49 octets");
        let proof = mschap::generate_authenticator_response(
            PROBE.1,
            &value.nt_response,
            &value.peer_challenge,
            RFC_CHALLENGE,
            PROBE.0,
        );
        let text = SuccessText { authenticator_response: Some(proof), message: Vec::new() };
        bench.send(&success(&text.emit()));
        assert_eq!(bench.events(), ["challenged", "responded", "reauthenticated"]);

        bench.send(&challenge(0x42, RFC_CHALLENGE));
        bench.events();
        bench.send(&failure(b"E=647 R=0 V=3"));
        assert_eq!(
            bench.events(),
            [
                "auth_disabled: gateway rejected user probe with mschapv2, which it had accepted before: E=647"
            ]
        );
    }

    #[test]
    fn malformed_packets_are_passed_over_up_to_a_bound() {
        let mut bench = Bench::v2();
        for _ in 0..MALFORMED_MAX {
            bench.send(&V2_CHALLENGE[..9]);
        }
        assert!(bench.events().is_empty());
        bench.send(&challenge(1, b"too short"));
        assert_eq!(
            bench.events(),
            [
                "malformed: gateway sent 9 malformed mschapv2 packets, the last one: length 9 is impossible for authentication challenge"
            ]
        );
    }

    #[test]
    fn empty_md5_challenge_is_malformed() {
        let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
        assert_eq!(bench.send(&challenge(1, b"")), None);
        assert_eq!(bench.machine.malformed(), 1);
    }

    #[test]
    fn text_of_the_gateway_is_escaped_and_short() {
        let mut bench = Bench::v2();
        bench.send(V2_CHALLENGE);
        bench.events();
        bench.send(&failure(&[b"E=691 M=no|\"\x1b\xff".as_slice(), &[b'x'; 300]].concat()));
        let event = &bench.events()[0];
        assert!(event.contains("\"no\\x7c\\x22\\x1b\\xffxxx"), "{event}");
        assert!(event.ends_with("xxx...\"") && event.len() < 220, "{event}");
    }

    #[test]
    fn other_protocols_are_ignored() {
        let mut bench = Bench::v2();
        bench.machine.handle_packet(ppp::PAP, PAP_ACK, bench.now);
        bench.machine.handle_packet(ppp::EAP, EAP_SUCCESS, bench.now);
        assert_eq!(bench.machine.ignored(), 2);
        assert!(bench.events().is_empty());
    }

    #[test]
    fn eap_mschap_v2_dialogue() {
        let mut bench = Bench::eap();
        assert_eq!(bench.machine.stage(), "waiting for an EAP challenge");
        assert_eq!(bench.send(&request(7, 1, b"who?")), response(7, 1, b"User"));
        assert_eq!(bench.send(&request(8, 2, b"hello")), response(8, 2, b""));
        assert_eq!(bench.send(&rfc_challenge(9)), rfc_response(9));
        assert_eq!(bench.send(&success_request(10, RFC_PROOF)), response(10, 26, &[3]));
        assert_eq!(bench.machine.stage(), "waiting for EAP success");
        bench.send(EAP_SUCCESS);
        assert_eq!(bench.events(), ["challenged", "responded", "eap-mschapv2 keys=true "]);
    }

    #[test]
    fn eap_md5_dialogue() {
        let mut bench = Bench::new(AuthProtocol::Eap, PROBE, &[0; 16]);
        // The value of the CHAP capture: the arithmetic is the same.
        let data = [&MD5_CHALLENGE[4..26], b"pptpd"].concat();
        let value = [&MD5_RESPONSE[4..21], b"probe"].concat();
        assert_eq!(bench.send(&request(8, 4, &data)), response(8, 4, &value));
        bench.send(EAP_SUCCESS);
        assert_eq!(bench.events(), ["challenged", "responded", "eap-md5 keys=false "]);
    }

    #[test]
    fn eap_retransmission_gets_the_same_response() {
        let mut bench = Bench::eap();
        let first = bench.send(&rfc_challenge(9));
        assert_eq!(bench.send(&rfc_challenge(9)), first);
        assert_eq!(bench.send(&rfc_challenge(10)), rfc_response(10), "same challenge, new id");
        assert_eq!(bench.events(), ["challenged", "responded"]);
        for _ in 0..2 * REPEATS_MAX {
            bench.send(&rfc_challenge(10));
        }
        assert!(bench.machine.ignored() > 0);
    }

    #[test]
    fn eap_second_challenge_before_the_verdict_is_ignored() {
        let mut bench = Bench::eap();
        bench.send(&rfc_challenge(9));
        let (challenge, name) = ([7; 16], Vec::new());
        let data = MsChapV2::Challenge { mschap_v2_id: 0x43, challenge, name }.emit();
        assert_eq!(bench.send(&request(10, 26, &data)), None);
        assert_eq!(bench.send(&request(11, 4, b"\x04abcd")), None, "nor another method");
        assert_eq!(bench.send(&request(12, 1, b"")), None, "nor a new start");
        assert_eq!(bench.machine.ignored(), 3);
    }

    #[test]
    fn eap_wrong_proof_is_mutual_auth_failed() {
        for text in [&b"S=407A5589115FD0D6209F510FE9C04566932CDA57"[..], b"M=welcome"] {
            let mut bench = Bench::eap();
            bench.send(&rfc_challenge(9));
            bench.events();
            assert_eq!(bench.send(&success_request(10, text)), None);
            assert!(bench.events()[0].starts_with("mutual_auth_failed: "));
        }
    }

    #[test]
    fn eap_success_too_early() {
        let mut bench = Bench::eap();
        bench.send(&rfc_challenge(9));
        bench.events();
        bench.send(EAP_SUCCESS);
        assert!(bench.events()[0].starts_with("mutual_auth_failed: "), "no proof yet");

        let allowed = vec![Method::EapMsChapV2];
        let mut bench = Bench::allowing(AuthProtocol::Eap, allowed, USER, &[0; 16]);
        bench.send(EAP_SUCCESS);
        assert!(bench.events()[0].starts_with("mutual_auth_failed: "));

        let mut bench = Bench::eap();
        bench.send(EAP_SUCCESS);
        assert_eq!(
            bench.events(),
            ["malformed: gateway sent EAP success before any method had run"]
        );

        let mut bench = Bench::eap();
        bench.send(&success_request(9, RFC_PROOF));
        assert!(bench.events()[0].starts_with("mutual_auth_failed: "), "a proof of nothing");
    }

    #[test]
    fn eap_failure_request_ends_the_run_unanswered() {
        let mut bench = Bench::eap();
        bench.send(&rfc_challenge(9));
        bench.events();
        let message = b"E=648 R=0 C=00 V=3 M=old".to_vec();
        let data = MsChapV2::FailureRequest { mschap_v2_id: 0x42, message }.emit();
        assert_eq!(bench.send(&request(10, 26, &data)), None);
        assert!(bench.events()[0].starts_with("auth_expired: "));
    }

    #[test]
    fn eap_failure_is_a_rejection() {
        let mut bench = Bench::eap();
        bench.send(&request(7, 1, b""));
        bench.send(EAP_FAILURE);
        assert_eq!(
            bench.events(),
            ["auth_rejected: gateway rejected user User with eap before any challenge"]
        );
        let mut bench = Bench::eap();
        bench.send(&request(8, 4, b"\x04abcd"));
        bench.events();
        bench.send(EAP_FAILURE);
        assert_eq!(
            bench.events(),
            ["auth_rejected: gateway rejected user User with eap-md5 and gave no reason"]
        );
    }

    #[test]
    fn eap_types_that_are_not_wanted_get_a_nak() {
        let mut bench = Bench::eap();
        assert_eq!(bench.send(&request(8, 13, b"\x20")), response(8, 3, &[26, 4]));
        assert_eq!(bench.send(&rfc_challenge(9)), rfc_response(9), "then it gives in");

        let allowed = vec![Method::EapMsChapV2];
        let mut bench = Bench::allowing(AuthProtocol::Eap, allowed, USER, &[0; 16]);
        assert_eq!(bench.send(&request(8, 4, b"\x04abcd")), response(8, 3, &[26]));
        bench.send(EAP_FAILURE);
        assert_eq!(
            bench.events(),
            ["auth_offered_unacceptable: gateway offers no EAP method out of eap-mschapv2"]
        );
    }

    #[test]
    fn eap_gateway_that_insists_is_unacceptable() {
        let mut bench = Bench::eap();
        for identifier in 0..3 {
            assert!(bench.send(&request(identifier, 13, b"")).is_some());
        }
        assert_eq!(bench.send(&request(9, 13, b"")), None);
        assert!(bench.events()[0].starts_with("auth_offered_unacceptable: "));
    }

    #[test]
    fn eap_identity_is_not_asked_for_ever() {
        let mut bench = Bench::eap();
        let answered =
            (0..=255).filter(|&identifier| bench.send(&request(identifier, 1, b"")).is_some());
        assert_eq!(answered.count() as u32, REPEATS_MAX);
    }

    #[test]
    fn eap_reauthentication() {
        let mut bench = Bench::new(AuthProtocol::Eap, PROBE, &[0; 16]);
        for event in ["eap-md5 keys=false ", "reauthenticated"] {
            assert!(bench.send(&request(7, 1, b"")).is_some());
            assert!(bench.send(&request(8, 4, b"\x04abcd")).is_some());
            bench.send(EAP_SUCCESS);
            assert_eq!(bench.events(), ["challenged", "responded", event]);
        }
    }

    fn protocols() -> impl Strategy<Value = AuthProtocol> {
        prop_oneof![
            Just(AuthProtocol::Pap),
            Just(AuthProtocol::ChapMd5),
            Just(AuthProtocol::MsChapV1),
            Just(AuthProtocol::MsChapV2),
            Just(AuthProtocol::Eap),
        ]
    }

    fn packets() -> impl Strategy<Value = Vec<u8>> {
        let literal = prop_oneof![
            Just(V2_CHALLENGE.to_vec()),
            Just(V1_CHALLENGE.to_vec()),
            Just(MD5_CHALLENGE.to_vec()),
            Just(V2_FAILURE.to_vec()),
            Just(PAP_NAK.to_vec()),
            Just(EAP_FAILURE.to_vec()),
            any::<u8>().prop_map(rfc_challenge),
            any::<u8>().prop_map(|identifier| request(identifier, 1, b"")),
            (any::<u8>(), vec(any::<u8>(), 1..20)).prop_map(|(id, value)| challenge(id, &value)),
            (any::<u8>(), any::<[u8; 16]>()).prop_map(|(id, value)| challenge(id, &value)),
            (any::<u8>(), any::<[u8; 16]>())
                .prop_map(|(id, value)| { request(id, 4, &[&[16], value.as_slice()].concat()) }),
        ];
        prop_oneof![literal, vec(any::<u8>(), 0..60)]
    }

    proptest! {
        #[test]
        fn one_attempt_whatever_comes(
            protocol in protocols(),
            packets in vec(packets(), 0..60),
        ) {
            let mut bench = Bench::new(protocol, PROBE, V2_PEER_CHALLENGE);
            bench.sent();
            let mut responded = 0;
            let mut failed = false;
            for packet in packets {
                let sent = bench.send(&packet);
                prop_assert!(!(failed && sent.is_some()), "sent after a failure");
                let events = bench.events();
                responded += events.iter().filter(|event| *event == "responded").count();
                failed |= matches!(bench.machine.state, State::Failed);
                if matches!(bench.machine.state, State::Accepted) {
                    prop_assert!(bench.machine.protocol != AuthProtocol::MsChapV2);
                    break;
                }
            }
            prop_assert!(responded <= 1);
        }
    }
}
