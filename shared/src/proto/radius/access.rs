//! One login by RADIUS, and what the reply to it means for a PPTP session
//! (RFC 2865, sections 2 and 5; RFC 2548, sections 2.1 to 2.4).
//!
//! Owns the attributes of PAP, CHAP, MS-CHAPv1 and MS-CHAPv2, and the
//! verification of what a gateway needs from an Access-Accept: the proof that
//! goes on to the caller (RFC 2759, section 8.7) and the MPPE keys, compared
//! with those that RFC 3079 derives from the password.
//!
//! Real servers: FreeRADIUS sends MS-MPPE-Recv-Key before MS-MPPE-Send-Key;
//! after MS-CHAPv1 the keys come in one MS-CHAP-MPPE-Keys, whose LM part is
//! empty where the server has no LM hash; its NT part is the hash of the NT
//! hash, which RFC 3079 wants, where RFC 2548, section 2.4.1, says NT hash. Some send keys of 8 octets for 40
//! and 56 bit.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use crate::crypto::mppe::{Direction, KeyLength, MasterKeys};
use crate::crypto::mschap;
use crate::crypto::radius::{LONGEST_PASSWORD, SharedSecret};
use crate::method::Method;
use crate::proto::Failure;
use crate::proto::auth::{Credentials, printable, rejection};
use crate::reason::{Phase, Reason};
use crate::wire::chap::{FailureText, SuccessText};
use crate::wire::radius::dictionary::{self, Expectation};
use crate::wire::radius::{AttributeId, Code, Draft, MAX_VALUE, Packet, id};

/// A user, and what a reply must hold.
#[derive(Clone)]
pub struct Login {
    /// Name and password.
    pub credentials: Credentials,
    /// One of [`Login::METHODS`].
    pub method: Method,
    /// An Access-Accept without MPPE keys is a failure.
    pub keys: KeyPolicy,
    /// What else an Access-Accept must hold.
    pub expectations: Vec<Expectation>,
    /// The login must be rejected.
    pub expect_reject: bool,
}

/// What an Access-Accept without MPPE keys means, after MS-CHAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPolicy {
    /// No encrypted session comes up: a failure.
    Required,
    /// The same finding, told as a warning.
    Wanted,
    /// The gateway does not encrypt.
    Ignored,
}

impl Login {
    /// The methods that RADIUS carries without EAP.
    pub const METHODS: &'static [Method] =
        &[Method::Pap, Method::ChapMd5, Method::MsChapV1, Method::MsChapV2];

    /// Whether the method can carry these credentials.
    ///
    /// # Errors
    /// A sentence about the method or the length of name or password.
    pub fn check(&self) -> Result<(), String> {
        check_username(&self.credentials.username)?;
        if !Self::METHODS.contains(&self.method) {
            let known: Vec<_> = Self::METHODS.iter().map(|method| method.word()).collect();
            return Err(format!("RADIUS logins are made with {}", known.join(", ")));
        }
        if self.method == Method::Pap && self.credentials.password.expose().len() > LONGEST_PASSWORD
        {
            return Err(format!("a password for PAP has at most {LONGEST_PASSWORD} octets"));
        }
        Ok(())
    }

    /// Adds the attributes of one attempt to a request. `entropy` is the
    /// challenge, then the caller's own one.
    pub(super) fn attempt(
        &self,
        draft: &mut Draft,
        identifier: u8,
        authenticator: &[u8; 16],
        secret: &SharedSecret,
        entropy: [[u8; 16]; 2],
    ) -> Attempt {
        let Credentials { username, password } = &self.credentials;
        let password = password.expose();
        let [challenge, peer_challenge] = entropy;
        let mut nt_response = [0; 24];
        draft.attribute(id::USER_NAME, username);
        match self.method {
            Method::Pap => {
                let hidden = secret.hide_password(password, authenticator);
                draft.attribute(id::USER_PASSWORD, &hidden);
            }
            Method::ChapMd5 => {
                let response = Md5::new()
                    .chain_update([identifier])
                    .chain_update(password)
                    .chain_update(challenge)
                    .finalize();
                draft.attribute(id::CHAP_PASSWORD, &[&[identifier], &response[..]].concat());
                draft.attribute(id::CHAP_CHALLENGE, &challenge);
            }
            Method::MsChapV1 => {
                let challenge = first_half(&challenge);
                nt_response = mschap::nt_challenge_response(&challenge, password);
                draft.attribute(id::MS_CHAP_CHALLENGE, &challenge);
                // MS-CHAP-Response (RFC 2548, section 2.1.3): Ident, Flags (use
                // the NT response), LM response, NT response.
                let value = [&[identifier, 1][..], &[0; 24], &nt_response].concat();
                draft.attribute(id::MS_CHAP_RESPONSE, &value);
            }
            // The others are refused by `check`.
            _ => {
                nt_response =
                    mschap::generate_nt_response(&challenge, &peer_challenge, username, password);
                draft.attribute(id::MS_CHAP_CHALLENGE, &challenge);
                // MS-CHAP2-Response (RFC 2548, section 2.3.2): Ident, Flags,
                // Peer-Challenge, eight zeros, Response.
                let value = [&[identifier, 0][..], &peer_challenge, &[0; 8], &nt_response].concat();
                draft.attribute(id::MS_CHAP2_RESPONSE, &value);
            }
        }
        Attempt { authenticator: *authenticator, challenge, peer_challenge, nt_response }
    }
}

/// Whether a User-Name can hold it: empty values are not sent (RFC 2865,
/// section 5), and one that is cut is another user's.
///
/// # Errors
/// A sentence about its length.
pub fn check_username(username: &[u8]) -> Result<(), String> {
    match username.len() {
        1..=MAX_VALUE => Ok(()),
        _ => Err(format!("a user name for RADIUS has 1 to {MAX_VALUE} octets")),
    }
}

fn first_half(octets: &[u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&octets[..8]);
    half
}

/// What has to be remembered of an attempt to verify its reply.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    authenticator: [u8; 16],
    challenge: [u8; 16],
    peer_challenge: [u8; 16],
    nt_response: [u8; 24],
}

/// The proof in an Access-Accept after MS-CHAPv2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Made with the password.
    Valid,
    /// MS-CHAP2-Success is missing, or has no `S=`.
    Missing,
    /// Made with another password, or for another challenge.
    Wrong,
}

impl Proof {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

/// The MPPE keys in an Access-Accept after MS-CHAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Both are those of RFC 3079.
    Right,
    /// None came.
    Missing,
    /// One of the two came.
    Incomplete,
    /// They are not those that the caller will use.
    Differ,
    /// They are not hidden as RFC 2548 says.
    Undecipherable,
}

impl Keys {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Missing => "missing",
            Self::Incomplete => "incomplete",
            Self::Differ => "differ",
            Self::Undecipherable => "undecipherable",
        }
    }
}

/// What a reply to a login showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Access-Accept, Access-Reject, Access-Challenge or Protocol-Error.
    pub code: Code,
    /// After MS-CHAPv2 was accepted.
    pub proof: Option<Proof>,
    /// After MS-CHAP was accepted.
    pub keys: Option<Keys>,
    /// Every attribute as name and value, ASCII, secrets hidden.
    pub attributes: Vec<(String, String)>,
    /// What is wrong with it, if something is.
    pub failure: Option<Failure>,
}

impl Access {
    /// Looks at a verified reply to `attempt`.
    pub(super) fn examine(
        login: &Login,
        attempt: &Attempt,
        secret: &SharedSecret,
        reply: &Packet<'_>,
    ) -> Self {
        let accepted = reply.code == Code::AccessAccept;
        let is_v2 = login.method == Method::MsChapV2;
        let proof = (accepted && is_v2).then(|| proof(login, attempt, reply));
        let keys = match login.method {
            Method::MsChapV1 if accepted => Some(v1_keys(login, attempt, secret, reply)),
            Method::MsChapV2 if accepted => Some(v2_keys(login, attempt, secret, reply)),
            _ => None,
        };
        let failure = failure(login, reply, proof, keys);
        Self { code: reply.code, proof, keys, attributes: Vec::new(), failure }
    }

    /// Notes the attributes, for one reply that is shown.
    pub(super) fn with_attributes(mut self, reply: &Packet<'_>) -> Self {
        let described = reply
            .attributes()
            .map(|found| (dictionary::name(found.id), dictionary::describe(found.id, found.value)));
        self.attributes = described.collect();
        self
    }
}

fn proof(login: &Login, attempt: &Attempt, reply: &Packet<'_>) -> Proof {
    // Ident, then the text of the Success packet (RFC 2548, section 2.3.3).
    let text = reply.find(id::MS_CHAP2_SUCCESS).and_then(|value| value.split_first());
    let text = text.map(|(_, text)| SuccessText::parse(text));
    let Some(received) = text.and_then(|text| text.authenticator_response) else {
        return Proof::Missing;
    };
    let Credentials { username, password } = &login.credentials;
    let is_valid = mschap::check_authenticator_response(
        password.expose(),
        &attempt.nt_response,
        &attempt.peer_challenge,
        &attempt.challenge,
        username,
        &received,
    );
    if is_valid { Proof::Valid } else { Proof::Wrong }
}

fn v2_keys(login: &Login, attempt: &Attempt, secret: &SharedSecret, reply: &Packet<'_>) -> Keys {
    let send = reply.find(id::MS_MPPE_SEND_KEY);
    let receive = reply.find(id::MS_MPPE_RECV_KEY);
    let (send, receive) = match (send, receive) {
        (Some(send), Some(receive)) => (send, receive),
        (None, None) => return Keys::Missing,
        _ => return Keys::Incomplete,
    };
    let reveal = |hidden| secret.reveal_key(hidden, &attempt.authenticator);
    let (Some(send), Some(receive)) = (reveal(send), reveal(receive)) else {
        return Keys::Undecipherable;
    };
    let keys =
        MasterKeys::from_mschap_v2(login.credentials.password.expose(), &attempt.nt_response);
    // The names are the gateway's: it sends what the caller receives.
    let is_right = |key: &[u8], direction| {
        let length = if key.len() == 8 { KeyLength::Bits56 } else { KeyLength::Bits128 };
        key == keys.start_key(direction, length)
    };
    if is_right(&send, Direction::ServerToClient) && is_right(&receive, Direction::ClientToServer) {
        Keys::Right
    } else {
        Keys::Differ
    }
}

/// MS-CHAP-MPPE-Keys (RFC 2548, section 2.4.1): LM key of 8 octets, NT key of
/// 16, padding; hidden like a User-Password.
fn v1_keys(login: &Login, attempt: &Attempt, secret: &SharedSecret, reply: &Packet<'_>) -> Keys {
    let Some(hidden) = reply.find(id::MS_CHAP_MPPE_KEYS) else { return Keys::Missing };
    // Zeros at the end may be part of a key, so they are put back.
    let revealed = secret.reveal_password(hidden, &attempt.authenticator);
    let Some(mut revealed) = revealed.filter(|_| hidden.len() == 32) else {
        return Keys::Undecipherable;
    };
    revealed.resize(32, 0);
    let hash = mschap::nt_password_hash(login.credentials.password.expose());
    let nt_key: Zeroizing<[u8; 16]> = mschap::hash_nt_password_hash(&hash);
    if revealed[8..24] == *nt_key { Keys::Right } else { Keys::Differ }
}

fn failure(
    login: &Login,
    reply: &Packet<'_>,
    proof: Option<Proof>,
    keys: Option<Keys>,
) -> Option<Failure> {
    let user = printable(&login.credentials.username);
    match reply.code {
        Code::AccessAccept if login.expect_reject => {
            let detail = "a login that must fail was accepted";
            Some(Failure::new(Phase::Auth, Reason::AuthAccepted, detail))
        }
        Code::AccessAccept => incomplete(login, reply, proof, keys),
        Code::AccessReject => {
            let rejected = rejected(&user, login.method, reply);
            let as_expected = login.expect_reject && rejected.reason == Reason::AuthRejected;
            (!as_expected).then_some(rejected)
        }
        Code::AccessChallenge => {
            let asked = message(reply).map(|text| format!(": \"{text}\"")).unwrap_or_default();
            let detail = format!("server asks user {user} for one more answer{asked}");
            Some(Failure::new(Phase::Auth, Reason::RadiusChallenge, detail))
        }
        _ => {
            let cause = reply.find(id::ERROR_CAUSE);
            let cause = cause.map(|cause| dictionary::describe(id::ERROR_CAUSE, cause));
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            let detail = format!("server answers with {}{cause}", reply.code);
            Some(Failure::new(Phase::Auth, Reason::AuthRejected, detail))
        }
    }
}

/// What an Access-Accept lacks for a session to come up.
fn incomplete(
    login: &Login,
    reply: &Packet<'_>,
    proof: Option<Proof>,
    keys: Option<Keys>,
) -> Option<Failure> {
    let unproven = |detail: &str| Failure::new(Phase::Auth, Reason::MutualAuthFailed, detail);
    let keyless = |detail: &str| Failure::new(Phase::Ccp, Reason::MppeKeysMissing, detail);
    let wrong = |detail: &str| Failure::new(Phase::Ccp, Reason::MppeKeyMismatch, detail);
    let proof = match proof {
        Some(Proof::Missing) => Some(unproven(
            "accepted, but without MS-CHAP2-Success: callers will not believe the gateway",
        )),
        Some(Proof::Wrong) => Some(unproven(
            "accepted, but the proof in MS-CHAP2-Success is not made with this password",
        )),
        Some(Proof::Valid) | None => None,
    };
    let keys = match keys.filter(|_| login.keys != KeyPolicy::Ignored) {
        Some(Keys::Missing) => Some(keyless("accepted, but without MPPE keys")),
        Some(Keys::Incomplete) => Some(keyless("accepted, but with one MPPE key of two")),
        Some(Keys::Differ) => {
            Some(wrong("accepted, but the MPPE keys are not those of this password"))
        }
        Some(Keys::Undecipherable) => {
            Some(wrong("accepted, but the MPPE keys are not hidden as RFC 2548 says"))
        }
        Some(Keys::Right) | None => None,
    };
    let unexpected = |what| Failure::new(Phase::Auth, Reason::AttributeUnexpected, what);
    let foreign = || foreign_service(login, reply).map(unexpected);
    proof.or_else(foreign).or(keys).or_else(|| {
        login.expectations.iter().find_map(|expected| unmet(expected, reply)).map(unexpected)
    })
}

/// A service that is not PPP, in words: to a gateway that is a rejection (RFC
/// 2865, section 5.6; so does pppd). Where the operator expects the attribute,
/// only he decides.
fn foreign_service(login: &Login, reply: &Packet<'_>) -> Option<String> {
    const FRAMED: u32 = 2;
    const PPP: u32 = 1;
    let services = [(id::SERVICE_TYPE, FRAMED), (id::FRAMED_PROTOCOL, PPP)];
    let is_expected = |id| login.expectations.iter().any(|expected| expected.id == id);
    services.into_iter().filter(|(id, _)| !is_expected(*id)).find_map(|(id, served)| {
        let value = reply.all(id).find(|value| *value != served.to_be_bytes())?;
        let (name, value) = (dictionary::name(id), dictionary::describe(id, value));
        Some(format!("accepted, but with {name} {value}: a gateway takes it for a rejection"))
    })
}

/// An expectation that no attribute of the reply meets, in words.
fn unmet(expected: &Expectation, reply: &Packet<'_>) -> Option<String> {
    let id: AttributeId = expected.id;
    if reply.all(id).any(|value| expected.matches(value)) {
        return None;
    }
    let given: Vec<_> = reply.all(id).map(|value| shown(id, value)).take(3).collect();
    Some(match given.as_slice() {
        [] => format!("accepted, but without {}", dictionary::name(id)),
        given => {
            let name = dictionary::name(id);
            format!("accepted with {name} {}, expected was {expected}", given.join(" and "))
        }
    })
}

/// A value as one short piece of ASCII text.
fn shown(id: AttributeId, value: &[u8]) -> String {
    const MAX: usize = 80;
    let mut text = dictionary::describe(id, value);
    if text.len() > MAX {
        text.truncate(MAX);
        text.push_str("...");
    }
    text
}

fn rejected(user: &str, method: Method, reply: &Packet<'_>) -> Failure {
    // Ident, then the text of the Failure packet (RFC 2548, section 2.1.5).
    let error = reply.find(id::MS_CHAP_ERROR).map(|value| match value {
        // Some servers leave the ident out; an ident can be an E, too.
        [b'E', b'=', ..] => FailureText::parse(value),
        [_, text @ ..] => FailureText::parse(text),
        [] => FailureText::default(),
    });
    let message = message(reply);
    let (reason, said) = match (&error, &message) {
        (Some(error), _) => rejection(error),
        (None, Some(message)) => (Reason::AuthRejected, format!(": \"{message}\"")),
        (None, None) => (Reason::AuthRejected, " and gave no reason".into()),
    };
    let more = message.filter(|_| error.is_some()).map(|text| format!(", \"{text}\""));
    let more = more.unwrap_or_default();
    let detail = format!("server rejected user {user} with {}{said}{more}", method.word());
    Failure::new(Phase::Auth, reason, detail)
}

/// The Reply-Messages, as one short text.
fn message(reply: &Packet<'_>) -> Option<String> {
    let texts: Vec<_> = reply.all(id::REPLY_MESSAGE).map(printable).take(3).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

#[cfg(test)]
mod literal;
#[cfg(test)]
mod tests;
