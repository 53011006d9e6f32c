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
//! One thing makes a response void before its verdict: the gateway opens LCP
//! anew, and with it authentication (RFC 1661, section 3.4). pppd does so when a
//! Configure-Request comes twice, forgets its challenge and throws the response
//! away. The next challenge is answered then, once in a run.
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
#[derive(Clone)]
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
    /// The gateway asked again after success and accepted again.
    Reauthenticated {
        /// For MPPE from its next agreement on.
        keys: Option<MasterKeys>,
    },
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
    /// LCP was opened anew before the verdict.
    restart: Restart,
    /// The last CHAP response.
    last_chap: Option<Vec<u8>>,
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

/// Whether a challenge may replace the one that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restart {
    /// LCP stayed open since.
    No,
    /// It was opened anew: the next challenge is answered.
    Due,
    /// That was done, and is not done twice.
    Done,
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
            restart: Restart::No,
            last_chap: None,
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

    /// LCP was negotiated once more. Where nothing is decided yet, the PAP
    /// request goes out again, octet for octet: pppd throws away whatever comes
    /// before its LCP is open, after the GRE layer acknowledged it. A response
    /// to a challenge is void with it, so that the next challenge is answered,
    /// once. After success PAP asks anew, as the gateway wants to know again who
    /// calls.
    pub fn link_up_again(&mut self, now: Instant) {
        match &mut self.state {
            State::WaitPapVerdict { sent, retry_at, .. } if *sent < PAP_SENDS => {
                *retry_at = Some(now);
                self.handle_timeout(now);
            }
            State::Accepted if self.protocol == AuthProtocol::Pap => self.start_pap(now),
            State::WaitVerdict(_) if self.restart == Restart::No => self.restart = Restart::Due,
            _ => {}
        }
    }

    /// The gateway goes on to network protocols while its verdict is waited for:
    /// it accepted, and that was lost. What it accepted goes out again, octet
    /// for octet, for which it must give the same verdict (RFC 1334, section
    /// 2.2.1; RFC 1994, section 4.1). EAP has no such rule.
    pub fn verdict_missed(&mut self) {
        if self.repeats >= REPEATS_MAX {
            return;
        }
        let again = match (&self.state, &self.last_chap) {
            (State::WaitPapVerdict { request, .. }, _) => (ppp::PAP, request.expose().to_vec()),
            (State::WaitVerdict(_), Some(response)) => (ppp::CHAP, response.clone()),
            _ => return,
        };
        self.repeats += 1;
        self.transmits.push_back(again);
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
                    let response = response.emit();
                    self.last_chap = Some(response.clone());
                    self.transmits.push_back((ppp::CHAP, response));
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
        let before_challenge = matches!(self.state, State::WaitChallenge | State::Accepted)
            || self.restart == Restart::Due;
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
                self.answer_new(method, identifier, challenge).map(Some)
            }
            State::WaitVerdict(answer)
                if self.restart == Restart::Due && answer.challenge != challenge =>
            {
                let value = self.answer_new(method, identifier, challenge)?;
                self.restart = Restart::Done;
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

    /// The response value for a challenge that was not answered yet.
    fn answer_new(
        &mut self,
        method: Method,
        identifier: u8,
        challenge: &[u8],
    ) -> Result<Vec<u8>, Error> {
        // Every response after the first has a peer challenge of its own.
        if !matches!(self.state, State::WaitChallenge) {
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
        Ok(value)
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
        self.restart = Restart::No;
        self.formalities = 0;
        self.events.push_back(if self.proven {
            AuthEvent::Reauthenticated { keys }
        } else {
            AuthEvent::Succeeded { method, keys, message }
        });
        self.proven = true;
    }

    fn reject(&mut self, method: Method, text: &[u8]) {
        let (reason, said) = rejection(&FailureText::parse(text));
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

/// What the text of a failure means, and how a sentence about it ends.
pub(super) fn rejection(text: &FailureText) -> (Reason, String) {
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
    (reason, said)
}

/// Octets of a peer or a user as one short piece of ASCII text.
pub(super) fn printable(octets: &[u8]) -> String {
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
mod tests;
