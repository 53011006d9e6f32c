//! CHAP (RFC 1994) and the layouts that MS-CHAP puts into it (RFC 2433, RFC
//! 2759), PPP protocol c223.
//!
//! Owns the packets, the 49-octet response values and the texts of the
//! verdicts. The arithmetic is in [`crate::crypto::mschap`], the dialogue in
//! [`crate::proto::auth`].
//!
//! Real gateways: pppd writes `E=691 R=1 C=... V=0 M=Access denied` (the RFC
//! asks for V=3), for MS-CHAPv1 the same without `M=`, for CHAP with MD5 just
//! `Access denied`, and an empty text for users it does not know or that
//! RADIUS rejects without saying why. After RADIUS the success text is `S=...`
//! without `M=`.

use super::pap::{Header, emit_prefixed, prefixed};
use super::{Reader, Result, Writer, number, unhex};

/// A CHAP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Code 1, from the authenticator.
    Challenge(Valued),
    /// Code 2, from the peer.
    Response(Valued),
    /// Code 3: accepted.
    Success(Verdict),
    /// Code 4: rejected.
    Failure(Verdict),
    /// Any other code; MS-CHAP has 5, 6 and 7 to change a password.
    Other {
        /// The code.
        code: u8,
        /// Matches a reply to its request.
        identifier: u8,
        /// What follows the header.
        data: Vec<u8>,
    },
}

/// Challenge or Response (RFC 1994, section 4.1).
///
/// ```text
/// | code 1, 2 | identifier | length | value size | value | name |
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valued {
    /// Set by the authenticator, repeated in the response.
    pub identifier: u8,
    /// Challenge or response, 0 to 255 octets; what is longer is cut.
    pub value: Vec<u8>,
    /// Who sends it.
    pub name: Vec<u8>,
}

/// Success or Failure (RFC 1994, section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// That of the response.
    pub identifier: u8,
    /// Text; see [`SuccessText`] and [`FailureText`].
    pub message: Vec<u8>,
}

impl Packet {
    /// Reads a packet; octets behind its length are padding.
    ///
    /// # Errors
    /// A field that does not fit into the length.
    pub fn parse(octets: &[u8]) -> Result<Self> {
        let Header { code, identifier, mut body } = Header::parse("CHAP packet", octets)?;
        Ok(match code {
            1 | 2 => {
                let value = prefixed(&mut body)?;
                let valued = Valued { identifier, value, name: body.rest().to_vec() };
                match code {
                    1 => Self::Challenge(valued),
                    _ => Self::Response(valued),
                }
            }
            3 => Self::Success(Verdict { identifier, message: body.rest().to_vec() }),
            4 => Self::Failure(Verdict { identifier, message: body.rest().to_vec() }),
            _ => Self::Other { code, identifier, data: body.rest().to_vec() },
        })
    }

    /// Writes the packet.
    pub fn emit(&self) -> Vec<u8> {
        let mut body = Writer::default();
        let (code, identifier) = match self {
            Self::Challenge(valued) | Self::Response(valued) => {
                emit_prefixed(&mut body, &valued.value);
                body.slice(&valued.name);
                (if matches!(self, Self::Challenge(_)) { 1 } else { 2 }, valued.identifier)
            }
            Self::Success(verdict) | Self::Failure(verdict) => {
                body.slice(&verdict.message);
                (if matches!(self, Self::Success(_)) { 3 } else { 4 }, verdict.identifier)
            }
            Self::Other { code, identifier, data } => {
                body.slice(data);
                (*code, *identifier)
            }
        };
        Header::emit(code, identifier, &body.finish())
    }
}

/// The response value of MS-CHAPv1 (RFC 2433, section 4): 49 octets.
///
/// ```text
/// | LM response, 24 | NT response, 24 | use NT, 1 |
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MsChapV1Response {
    /// Zeros where the NT response is to be used.
    pub lm_response: [u8; 24],
    /// Answer made with the NT hash.
    pub nt_response: [u8; 24],
    /// 1 where the NT response is to be used.
    pub use_nt: u8,
}

impl MsChapV1Response {
    /// Reads the value field of a Response.
    ///
    /// # Errors
    /// Any length but 49.
    pub fn parse(value: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("MS-CHAP response", value);
        let response = Self {
            lm_response: reader.array()?,
            nt_response: reader.array()?,
            use_nt: reader.u8()?,
        };
        reader.finish()?;
        Ok(response)
    }

    /// Writes the value field.
    pub fn emit(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(49);
        writer.slice(&self.lm_response);
        writer.slice(&self.nt_response);
        writer.u8(self.use_nt);
        writer.finish()
    }
}

/// The response value of MS-CHAPv2 (RFC 2759, section 4): 49 octets.
///
/// ```text
/// | peer challenge, 16 | reserved, 8 | NT response, 24 | flags, 1 |
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MsChapV2Response {
    /// Random octets of the peer.
    pub peer_challenge: [u8; 16],
    /// Answer made with both challenges, the user name and the NT hash.
    pub nt_response: [u8; 24],
    /// Must be 0.
    pub flags: u8,
}

impl MsChapV2Response {
    /// Reads the value field of a Response.
    ///
    /// # Errors
    /// Any length but 49.
    pub fn parse(value: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("MS-CHAPv2 response", value);
        let peer_challenge = reader.array()?;
        reader.skip(8)?;
        let response = Self { peer_challenge, nt_response: reader.array()?, flags: reader.u8()? };
        reader.finish()?;
        Ok(response)
    }

    /// Writes the value field.
    pub fn emit(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(49);
        writer.slice(&self.peer_challenge);
        writer.zeros(8);
        writer.slice(&self.nt_response);
        writer.u8(self.flags);
        writer.finish()
    }
}

/// The text of an MS-CHAPv2 success (RFC 2759, section 5):
/// `S=<40 hexadecimal digits> M=<message>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SuccessText {
    /// The gateway's proof. Absent where `S=` is missing or not 40 digits.
    pub authenticator_response: Option<[u8; 20]>,
    /// What follows `M=`, or a text without any of the keys.
    pub message: Vec<u8>,
}

impl SuccessText {
    /// Takes a text apart; what is missing stays absent. Some gateways leave
    /// out the blank before `M=`, which pppd understands too.
    pub fn parse(text: &[u8]) -> Self {
        const PROOF: usize = b"S=".len() + 40;
        let apart;
        let text = match text.split_at_checked(PROOF) {
            Some((proof, rest))
                if proof.starts_with(b"S=")
                    && proof[2..].iter().all(u8::is_ascii_hexdigit)
                    && !rest.starts_with(b" ") =>
            {
                apart = [proof, b" ", rest].concat();
                &apart
            }
            _ => text,
        };
        let mut found = Self::default();
        found.message = words(text, |key, value| match key {
            b'S' if found.authenticator_response.is_none() => {
                found.authenticator_response =
                    unhex(value).and_then(|octets| octets.try_into().ok());
                found.authenticator_response.is_some()
            }
            _ => false,
        });
        found
    }

    /// Writes the text as the RFC has it.
    pub fn emit(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Some(proof) = &self.authenticator_response {
            push_word(&mut text, "S", hex(proof).as_bytes());
        }
        if !self.message.is_empty() {
            push_word(&mut text, "M", &self.message);
        }
        text
    }
}

/// The text of a failure (RFC 2433, section 6; RFC 2759, section 6):
/// `E=<code> R=<0 or 1> C=<challenge> V=<version> M=<message>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailureText {
    /// E: why, see [`FailureCode`].
    pub code: Option<u32>,
    /// R: whether another attempt is allowed.
    pub retry: Option<bool>,
    /// C: the challenge for another attempt, 8 or 16 octets.
    pub challenge: Option<Vec<u8>>,
    /// V: the version of the password change protocol.
    pub version: Option<u8>,
    /// M: the message; also a text that has none of the keys.
    pub message: Vec<u8>,
}

impl FailureText {
    /// Takes a text apart, in any order; what is missing or makes no sense
    /// stays absent or part of the message.
    pub fn parse(text: &[u8]) -> Self {
        let mut found = Self::default();
        found.message = words(text, |key, value| match key {
            b'E' if found.code.is_none() => set(&mut found.code, number(value)),
            b'R' if found.retry.is_none() => set(
                &mut found.retry,
                match value {
                    b"0" => Some(false),
                    b"1" => Some(true),
                    _ => None,
                },
            ),
            b'C' if found.challenge.is_none() => {
                set(&mut found.challenge, unhex(value).filter(|c| matches!(c.len(), 8 | 16)))
            }
            b'V' if found.version.is_none() => {
                set(&mut found.version, number(value).and_then(|v| u8::try_from(v).ok()))
            }
            _ => false,
        });
        found
    }

    /// Writes the text in the RFC's order, absent parts left out.
    pub fn emit(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Some(code) = self.code {
            push_word(&mut text, "E", code.to_string().as_bytes());
        }
        if let Some(retry) = self.retry {
            push_word(&mut text, "R", if retry { b"1" } else { b"0" });
        }
        if let Some(challenge) = &self.challenge {
            push_word(&mut text, "C", hex(challenge).as_bytes());
        }
        if let Some(version) = self.version {
            push_word(&mut text, "V", version.to_string().as_bytes());
        }
        if !self.message.is_empty() {
            push_word(&mut text, "M", &self.message);
        }
        text
    }
}

/// The failure codes that RFC 2433 and RFC 2759 list in their sections 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// 646
    RestrictedLogonHours,
    /// 647
    AcctDisabled,
    /// 648
    PasswdExpired,
    /// 649
    NoDialinPermission,
    /// 691
    AuthenticationFailure,
    /// 709
    ChangingPassword,
    /// A code that the RFCs do not list.
    Other(u32),
}

impl FailureCode {
    /// The code behind `E=`.
    pub fn from_number(number: u32) -> Self {
        match number {
            646 => Self::RestrictedLogonHours,
            647 => Self::AcctDisabled,
            648 => Self::PasswdExpired,
            649 => Self::NoDialinPermission,
            691 => Self::AuthenticationFailure,
            709 => Self::ChangingPassword,
            other => Self::Other(other),
        }
    }

    /// The number behind `E=`.
    pub fn number(self) -> u32 {
        match self {
            Self::RestrictedLogonHours => 646,
            Self::AcctDisabled => 647,
            Self::PasswdExpired => 648,
            Self::NoDialinPermission => 649,
            Self::AuthenticationFailure => 691,
            Self::ChangingPassword => 709,
            Self::Other(other) => other,
        }
    }

    /// The RFC's name, `unknown` for a code it does not list.
    pub fn name(self) -> &'static str {
        match self {
            Self::RestrictedLogonHours => "ERROR_RESTRICTED_LOGON_HOURS",
            Self::AcctDisabled => "ERROR_ACCT_DISABLED",
            Self::PasswdExpired => "ERROR_PASSWD_EXPIRED",
            Self::NoDialinPermission => "ERROR_NO_DIALIN_PERMISSION",
            Self::AuthenticationFailure => "ERROR_AUTHENTICATION_FAILURE",
            Self::ChangingPassword => "ERROR_CHANGING_PASSWORD",
            Self::Other(_) => "unknown",
        }
    }
}

/// Goes through the words of a verdict's text. `take` is given the letter
/// before a `=` and what follows it, and says whether it took the word; the
/// other words, in their order, are the message.
fn words(text: &[u8], mut take: impl FnMut(u8, &[u8]) -> bool) -> Vec<u8> {
    let mut message: Vec<u8> = Vec::new();
    let mut in_message = false;
    for word in text.split(|&octet| octet == b' ') {
        let rest = match word {
            [key, b'=', value @ ..] if take(*key, value) => continue,
            [b'M', b'=', value @ ..] if !in_message => {
                in_message = true;
                value
            }
            other => other,
        };
        if !message.is_empty() {
            message.push(b' ');
        }
        message.extend_from_slice(rest);
    }
    let end = message.iter().rposition(|&octet| octet != b' ').map_or(0, |at| at + 1);
    message.truncate(end);
    message
}

fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

fn push_word(text: &mut Vec<u8>, key: &str, value: &[u8]) {
    if !text.is_empty() {
        text.push(b' ');
    }
    text.extend_from_slice(key.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value);
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Error;

    /// pptpd 1.4.0, MS-CHAPv2, accepted.
    const V2_CHALLENGE: &[u8] =
        b"\x01\x3f\x00\x1a\x10\xf4\xe0\x6f\xa1\xbf\xa8\x78\x61\x55\x13\xa4\x97\xa0\x06\x73\xe0pptpd";
    const V2_RESPONSE: &[u8] = b"\x02\x3f\x00\x3b\x31\x87\xc9\x22\x94\x5e\xa3\xac\x2f\x47\x7c\x06\x9e\xd9\x17\x0f\xae\0\0\0\0\0\0\0\0\x7e\xf0\xaf\xbc\xe8\x8d\x75\xb1\xe7\xdd\xe0\x2f\x3f\x86\x46\x2e\x6a\xba\x57\x75\x7c\x1b\x8d\xbe\0probe";
    const V2_SUCCESS: &[u8] =
        b"\x03\x3f\x00\x3fS=BBB59131C0FBD7EC2090ACB3BE15F989BF347B97 M=Access granted";
    /// MS-CHAPv1, accepted.
    const V1_RESPONSE: &[u8] = b"\x02\x19\x00\x3b\x31\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x7a\x8f\xed\x35\x89\x97\x19\x49\xa4\x7a\x37\xe0\x34\xe5\x0c\xde\x3b\xcd\x70\x6e\x5c\xc7\x88\xab\x01probe";
    /// MS-CHAPv2, wrong password.
    const V2_FAILURE: &[u8] =
        b"\x04\xec\x00\x44E=691 R=1 C=6dc7f9c19003e1769a0176012de6198f V=0 M=Access denied";
    /// MS-CHAPv1, wrong password.
    const V1_FAILURE: &[u8] = b"\x04\x71\x00\x24E=691 R=1 C=a59d9a6969992e2b V=0";
    /// MS-CHAPv2, a user that chap-secrets does not have.
    const UNKNOWN_USER: &[u8] = b"\x04\x0e\x00\x04";
    /// CHAP with MD5, wrong password.
    const MD5_FAILURE: &[u8] = b"\x04\xd5\x00\x11Access denied";

    const LITERALS: [&[u8]; 8] = [
        V2_CHALLENGE,
        V2_RESPONSE,
        V2_SUCCESS,
        V1_RESPONSE,
        V2_FAILURE,
        V1_FAILURE,
        UNKNOWN_USER,
        MD5_FAILURE,
    ];

    #[test]
    fn what_only_looks_like_a_proof_stays_a_message() {
        let text = [b"S=".as_slice(), &[b'x'; 40], b"M=no"].concat();
        let found = SuccessText::parse(&text);
        assert_eq!((found.authenticator_response, found.message), (None, text));
    }

    #[test]
    fn literal_octets_of_pppd() {
        for octets in LITERALS {
            assert_eq!(Packet::parse(octets).map(|packet| packet.emit()), Ok(octets.to_vec()));
        }
        let Ok(Packet::Challenge(challenge)) = Packet::parse(V2_CHALLENGE) else {
            panic!("not a challenge");
        };
        assert_eq!(challenge.identifier, 0x3f);
        assert_eq!(challenge.value, V2_CHALLENGE[5..21]);
        assert_eq!(challenge.name, b"pptpd");
    }

    #[test]
    fn literal_response_values() {
        let Ok(Packet::Response(response)) = Packet::parse(V2_RESPONSE) else {
            panic!("not a response");
        };
        let value = MsChapV2Response::parse(&response.value).expect("49 octets");
        assert_eq!(value.peer_challenge, V2_RESPONSE[5..21]);
        assert_eq!(value.nt_response, V2_RESPONSE[29..53]);
        assert_eq!(value.flags, 0);
        assert_eq!(value.emit(), response.value);

        let Ok(Packet::Response(response)) = Packet::parse(V1_RESPONSE) else {
            panic!("not a response");
        };
        let value = MsChapV1Response::parse(&response.value).expect("49 octets");
        assert_eq!(value.lm_response, [0; 24]);
        assert_eq!(value.nt_response, V1_RESPONSE[29..53]);
        assert_eq!(value.use_nt, 1);
        assert_eq!(value.emit(), response.value);
    }

    fn failure(octets: &[u8]) -> FailureText {
        match Packet::parse(octets) {
            Ok(Packet::Failure(verdict)) => FailureText::parse(&verdict.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failure_texts_of_pppd() {
        assert_eq!(
            failure(V2_FAILURE),
            FailureText {
                code: Some(691),
                retry: Some(true),
                challenge: unhex(b"6dc7f9c19003e1769a0176012de6198f"),
                version: Some(0),
                message: b"Access denied".to_vec(),
            }
        );
        assert_eq!(
            failure(V1_FAILURE),
            FailureText {
                code: Some(691),
                retry: Some(true),
                challenge: unhex(b"a59d9a6969992e2b"),
                version: Some(0),
                message: Vec::new(),
            }
        );
        assert_eq!(failure(UNKNOWN_USER), FailureText::default());
        assert_eq!(
            failure(MD5_FAILURE),
            FailureText { message: b"Access denied".to_vec(), ..FailureText::default() }
        );
    }

    #[test]
    fn failure_text_in_any_order_and_with_nonsense() {
        let text = FailureText::parse(b"M=Password  expired V=3 R=0 E=648");
        assert_eq!(text.code, Some(648));
        assert_eq!(text.retry, Some(false));
        assert_eq!(text.version, Some(3));
        assert_eq!(text.message, b"Password  expired");

        let text = FailureText::parse(b"E=69x R=2 C=12 V=900 M=");
        assert_eq!(text.code, None);
        assert_eq!(text.message, b"E=69x R=2 C=12 V=900 ".trim_ascii_end());

        let text = FailureText::parse(b"E=99999999999 E=691 E=648");
        assert_eq!(text.code, Some(691), "the first one that is a number counts");
    }

    #[test]
    fn success_texts() {
        let Ok(Packet::Success(verdict)) = Packet::parse(V2_SUCCESS) else {
            panic!("not a success");
        };
        let text = SuccessText::parse(&verdict.message);
        assert_eq!(
            text.authenticator_response.map(|proof| hex(&proof)).as_deref(),
            Some("BBB59131C0FBD7EC2090ACB3BE15F989BF347B97")
        );
        assert_eq!(text.message, b"Access granted");
        assert_eq!(text.emit(), verdict.message);

        // pppd behind RADIUS.
        let text = SuccessText::parse(b"S=CDC113112A0AA73B51A05417C1E1976DE12009A9");
        assert!(text.authenticator_response.is_some() && text.message.is_empty());

        let text = SuccessText::parse(b"S=CDC113112A0AA73B51A05417C1E1976DE12009A9M=Welcome back");
        assert!(text.authenticator_response.is_some());
        assert_eq!(text.message, b"Welcome back");

        let text = SuccessText::parse(b"Access granted");
        assert_eq!(text.authenticator_response, None);
        assert_eq!(text.message, b"Access granted");

        let short = SuccessText::parse(b"S=BBB5 M=x");
        assert_eq!(short.authenticator_response, None);
    }

    #[test]
    fn failure_codes_have_their_names() {
        let names = [
            (646, "ERROR_RESTRICTED_LOGON_HOURS"),
            (647, "ERROR_ACCT_DISABLED"),
            (648, "ERROR_PASSWD_EXPIRED"),
            (649, "ERROR_NO_DIALIN_PERMISSION"),
            (691, "ERROR_AUTHENTICATION_FAILURE"),
            (709, "ERROR_CHANGING_PASSWORD"),
            (690, "unknown"),
        ];
        for (number, name) in names {
            assert_eq!(FailureCode::from_number(number).name(), name);
            assert_eq!(FailureCode::from_number(number).number(), number);
        }
    }

    #[test]
    fn every_prefix_is_truncated() {
        for whole in LITERALS {
            for end in 0..whole.len() {
                assert!(
                    matches!(Packet::parse(&whole[..end]), Err(Error::Truncated { .. })),
                    "{end}"
                );
            }
        }
    }

    #[test]
    fn response_value_of_another_length_is_an_error() {
        for length in (0..64).filter(|&length| length != 49) {
            assert!(MsChapV1Response::parse(&vec![0; length]).is_err());
            assert!(MsChapV2Response::parse(&vec![0; length]).is_err());
        }
    }

    prop_compose! {
        fn valued()(
            identifier in any::<u8>(),
            value in vec(any::<u8>(), 0..256),
            name in vec(any::<u8>(), 0..300),
        ) -> Valued {
            Valued { identifier, value, name }
        }
    }

    prop_compose! {
        fn verdict()(identifier in any::<u8>(), message in vec(any::<u8>(), 0..300)) -> Verdict {
            Verdict { identifier, message }
        }
    }

    fn packet() -> impl Strategy<Value = Packet> {
        prop_oneof![
            valued().prop_map(Packet::Challenge),
            valued().prop_map(Packet::Response),
            verdict().prop_map(Packet::Success),
            verdict().prop_map(Packet::Failure),
            (5u8.., any::<u8>(), vec(any::<u8>(), 0..600))
                .prop_map(|(code, identifier, data)| { Packet::Other { code, identifier, data } }),
        ]
    }

    proptest! {
        #[test]
        fn parse_of_emit(packet in packet()) {
            prop_assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
        }

        #[test]
        fn parse_of_emit_values(first in any::<[u8; 24]>(), second in any::<[u8; 24]>(), last in any::<u8>()) {
            let value = MsChapV1Response { lm_response: first, nt_response: second, use_nt: last };
            prop_assert_eq!(MsChapV1Response::parse(&value.emit()), Ok(value));
            let mut peer_challenge = [0; 16];
            peer_challenge.copy_from_slice(&first[..16]);
            let value = MsChapV2Response { peer_challenge, nt_response: second, flags: last };
            prop_assert_eq!(MsChapV2Response::parse(&value.emit()), Ok(value));
        }

        #[test]
        fn parse_of_emit_texts(
            code in option::of(any::<u32>()),
            retry in option::of(any::<bool>()),
            challenge in option::of(prop_oneof![vec(any::<u8>(), 8), vec(any::<u8>(), 16)]),
            version in option::of(any::<u8>()),
            proof in option::of(any::<[u8; 20]>()),
            message in "([!-<>-~][ -<>-~]{0,60}[!-<>-~])?",
        ) {
            let text = FailureText { code, retry, challenge, version, message: message.clone().into() };
            prop_assert_eq!(FailureText::parse(&text.emit()), text);
            let text = SuccessText { authenticator_response: proof, message: message.into() };
            prop_assert_eq!(SuccessText::parse(&text.emit()), text);
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in vec(any::<u8>(), 0..600)) {
            if let Ok(packet) = Packet::parse(&octets) {
                prop_assert_eq!(packet.emit(), &octets[..packet.emit().len()]);
            }
            let failure = FailureText::parse(&octets);
            prop_assert!(failure.message.len() <= octets.len());
            prop_assert!(SuccessText::parse(&octets).message.len() <= octets.len());
        }
    }
}
