//! EAP (RFC 3748, section 4) with the types that PPTP gateways use: Identity,
//! Notification, Nak, MD5-Challenge and MSCHAPv2 (type 26, Microsoft's
//! draft-kamath-pppext-eap-mschapv2); PPP protocol c227.
//!
//! Owns the packets; the dialogue is in [`crate::proto::auth`]. Types that
//! need certificates (TLS, PEAP) stay octets.
//!
//! The RFC wants the identifier of the last response in Success and Failure;
//! MS-Length repeats what the EAP length says. Neither is relied upon when
//! read, as gateways take liberties with both.

use super::chap::MsChapV2Response;
use super::pap::{Header, emit_prefixed, prefixed};
use super::{Error, Reader, Result, Writer};

/// EAP method types by number (RFC 3748, section 5).
pub mod kind {
    /// Who are you, and the answer.
    pub const IDENTITY: u8 = 1;
    /// A text for a person.
    pub const NOTIFICATION: u8 = 2;
    /// Response only: other types are wanted.
    pub const NAK: u8 = 3;
    /// CHAP with MD5 inside EAP.
    pub const MD5_CHALLENGE: u8 = 4;
    /// MS-CHAPv2 inside EAP.
    pub const MSCHAP_V2: u8 = 26;
}

/// An EAP packet.
///
/// ```text
/// | code | identifier | length | type | type data |     codes 1 and 2
/// | code | identifier | length |                        codes 3 and 4
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Code 1, from the authenticator.
    Request(Typed),
    /// Code 2, from the peer.
    Response(Typed),
    /// Code 3: accepted.
    Success {
        /// That of the last response.
        identifier: u8,
    },
    /// Code 4: rejected.
    Failure {
        /// That of the last response.
        identifier: u8,
    },
    /// Any other code.
    Other {
        /// The code.
        code: u8,
        /// Matches a reply to its request.
        identifier: u8,
        /// What follows the header.
        data: Vec<u8>,
    },
}

/// A Request or a Response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// Set by the authenticator, repeated in the response.
    pub identifier: u8,
    /// The method, see [`kind`].
    pub kind: u8,
    /// What the method puts into it.
    pub data: Vec<u8>,
}

impl Packet {
    /// Reads a packet; octets behind its length are padding.
    ///
    /// # Errors
    /// A request or response without a type, a verdict with octets behind the
    /// header.
    pub fn parse(octets: &[u8]) -> Result<Self> {
        let Header { code, identifier, mut body } = Header::parse("EAP packet", octets)?;
        Ok(match code {
            1 | 2 => {
                let typed = Typed { identifier, kind: body.u8()?, data: body.rest().to_vec() };
                match code {
                    1 => Self::Request(typed),
                    _ => Self::Response(typed),
                }
            }
            3 | 4 => {
                body.finish()?;
                match code {
                    3 => Self::Success { identifier },
                    _ => Self::Failure { identifier },
                }
            }
            _ => Self::Other { code, identifier, data: body.rest().to_vec() },
        })
    }

    /// Writes the packet.
    pub fn emit(&self) -> Vec<u8> {
        match self {
            Self::Request(typed) | Self::Response(typed) => {
                let mut body = Writer::with_capacity(1 + typed.data.len());
                body.u8(typed.kind);
                body.slice(&typed.data);
                let code = if matches!(self, Self::Request(_)) { 1 } else { 2 };
                Header::emit(code, typed.identifier, &body.finish())
            }
            Self::Success { identifier } => Header::emit(3, *identifier, &[]),
            Self::Failure { identifier } => Header::emit(4, *identifier, &[]),
            Self::Other { code, identifier, data } => Header::emit(*code, *identifier, data),
        }
    }
}

/// The type data of MD5-Challenge, both ways (RFC 3748, section 5.4): as in
/// CHAP, a value behind its size and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Md5Challenge {
    /// Challenge or response, 0 to 255 octets; what is longer is cut.
    pub value: Vec<u8>,
    /// Who sends it.
    pub name: Vec<u8>,
}

impl Md5Challenge {
    /// Reads the type data.
    ///
    /// # Errors
    /// A value that does not fit.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("EAP MD5-Challenge", data);
        Ok(Self { value: prefixed(&mut reader)?, name: reader.rest().to_vec() })
    }

    /// Writes the type data.
    pub fn emit(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        emit_prefixed(&mut writer, &self.value);
        writer.slice(&self.name);
        writer.finish()
    }
}

/// The type data of MSCHAPv2: an MS-CHAPv2 packet in an EAP packet.
///
/// ```text
/// | op code | MS-CHAPv2 id | MS length, 2 | as in MS-CHAPv2 |
/// | op code |                  the answers to Success and Failure
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MsChapV2 {
    /// Op code 1, request.
    Challenge {
        /// Identifier of the MS-CHAPv2 packet.
        mschap_v2_id: u8,
        /// Random octets of the authenticator.
        challenge: [u8; 16],
        /// The authenticator's name.
        name: Vec<u8>,
    },
    /// Op code 2, response.
    Response {
        /// That of the challenge.
        mschap_v2_id: u8,
        /// The value field.
        response: MsChapV2Response,
        /// The user's name.
        name: Vec<u8>,
    },
    /// Op code 3, request.
    SuccessRequest {
        /// That of the response.
        mschap_v2_id: u8,
        /// See [`super::chap::SuccessText`].
        message: Vec<u8>,
    },
    /// Op code 3, response: the proof was right.
    SuccessResponse,
    /// Op code 4, request.
    FailureRequest {
        /// That of the response.
        mschap_v2_id: u8,
        /// See [`super::chap::FailureText`].
        message: Vec<u8>,
    },
    /// Op code 4, response: read.
    FailureResponse,
    /// Op code 7, response.
    ChangePassword(Box<ChangePassword>),
    /// Any other op code.
    Other {
        /// The op code.
        op_code: u8,
        /// What follows it.
        data: Vec<u8>,
    },
}

/// Change-Password (RFC 2759, section 7): a new password under the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePassword {
    /// One more than that of the failure.
    pub mschap_v2_id: u8,
    /// The new password under the old hash.
    pub encrypted_password: [u8; 516],
    /// The old hash under the new one.
    pub encrypted_hash: [u8; 16],
    /// Random octets of the peer.
    pub peer_challenge: [u8; 16],
    /// Answer made with the new password.
    pub nt_response: [u8; 24],
    /// Reserved, 0.
    pub flags: u16,
}

impl MsChapV2 {
    /// Reads the type data.
    ///
    /// # Errors
    /// A challenge that has not 16, a response value that has not 49 octets, a
    /// fixed part that does not fit.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("EAP MSCHAPv2", data);
        let op_code = reader.u8()?;
        match (op_code, reader.is_empty()) {
            (3, true) => return Ok(Self::SuccessResponse),
            (4, true) => return Ok(Self::FailureResponse),
            (1..=4 | 7, _) => {}
            _ => return Ok(Self::Other { op_code, data: reader.rest().to_vec() }),
        }
        let mschap_v2_id = reader.u8()?;
        reader.skip(2)?;
        Ok(match op_code {
            1 => {
                let size = reader.u8()?;
                if size != 16 {
                    return Err(Error::BadLength {
                        what: "MSCHAPv2 challenge",
                        length: size.into(),
                    });
                }
                let challenge = reader.array()?;
                Self::Challenge { mschap_v2_id, challenge, name: reader.rest().to_vec() }
            }
            2 => {
                let size = reader.u8()?;
                let response = MsChapV2Response::parse(reader.take(size.into())?)?;
                Self::Response { mschap_v2_id, response, name: reader.rest().to_vec() }
            }
            3 => Self::SuccessRequest { mschap_v2_id, message: reader.rest().to_vec() },
            4 => Self::FailureRequest { mschap_v2_id, message: reader.rest().to_vec() },
            _ => {
                let encrypted_password = reader.array()?;
                let encrypted_hash = reader.array()?;
                let peer_challenge = reader.array()?;
                reader.skip(8)?;
                let change = ChangePassword {
                    mschap_v2_id,
                    encrypted_password,
                    encrypted_hash,
                    peer_challenge,
                    nt_response: reader.array()?,
                    flags: reader.u16()?,
                };
                reader.finish()?;
                Self::ChangePassword(Box::new(change))
            }
        })
    }

    /// Writes the type data.
    pub fn emit(&self) -> Vec<u8> {
        let mut body = Writer::default();
        let (op_code, mschap_v2_id) = match self {
            Self::Challenge { mschap_v2_id, challenge, name } => {
                emit_prefixed(&mut body, challenge);
                body.slice(name);
                (1, *mschap_v2_id)
            }
            Self::Response { mschap_v2_id, response, name } => {
                emit_prefixed(&mut body, &response.emit());
                body.slice(name);
                (2, *mschap_v2_id)
            }
            Self::SuccessRequest { mschap_v2_id, message } => {
                body.slice(message);
                (3, *mschap_v2_id)
            }
            Self::FailureRequest { mschap_v2_id, message } => {
                body.slice(message);
                (4, *mschap_v2_id)
            }
            Self::ChangePassword(change) => {
                body.slice(&change.encrypted_password);
                body.slice(&change.encrypted_hash);
                body.slice(&change.peer_challenge);
                body.zeros(8);
                body.slice(&change.nt_response);
                body.u16(change.flags);
                (7, change.mschap_v2_id)
            }
            Self::SuccessResponse => return vec![3],
            Self::FailureResponse => return vec![4],
            Self::Other { op_code, data } => {
                body.u8(*op_code);
                body.slice(data);
                return body.finish();
            }
        };
        // The MS-CHAPv2 packet has the header of every CHAP packet.
        Header::emit(op_code, mschap_v2_id, &body.finish())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const IDENTITY_REQUEST: &[u8] = &[1, 7, 0, 5, 1];
    const IDENTITY_RESPONSE: &[u8] = b"\x02\x07\x00\x0a\x01probe";
    /// Values of RFC 2759, section 9.2, in the layout of the draft.
    const CHALLENGE: &[u8] =
        b"\x01\x11\x00\x1e\x1a\x01\x42\x00\x19\x10\x5b\x5d\x7c\x7d\x7b\x3f\x2f\x3e\x3c\x2c\x60\x21\x32\x26\x26\x28pptp";
    const RESPONSE: &[u8] = b"\x02\x11\x00\x3f\x1a\x02\x42\x00\x3a\x31\x21\x40\x23\x24\x25\x5e\x26\x2a\x28\x29\x5f\x2b\x3a\x33\x7c\x7e\0\0\0\0\0\0\0\0\x82\x30\x9e\xcd\x8d\x70\x8b\x5e\xa0\x8f\xaa\x39\x81\xcd\x83\x54\x42\x33\x11\x4a\x3d\x85\xd6\xdf\0User";
    const SUCCESS_REQUEST: &[u8] =
        b"\x01\x12\x00\x38\x1a\x03\x42\x00\x33S=407A5589115FD0D6209F510FE9C04566932CDA56 M=OK";
    const SUCCESS_RESPONSE: &[u8] = &[2, 0x12, 0, 6, 26, 3];
    const MD5_CHALLENGE: &[u8] = b"\x01\x20\x00\x0e\x04\x04\x01\x02\x03\x04pptp";
    const SUCCESS: &[u8] = &[3, 0x12, 0, 4];
    const FAILURE: &[u8] = &[4, 0x12, 0, 4];
    const NAK: &[u8] = &[2, 0x20, 0, 7, 3, 26, 4];

    const LITERALS: [&[u8]; 10] = [
        IDENTITY_REQUEST,
        IDENTITY_RESPONSE,
        CHALLENGE,
        RESPONSE,
        SUCCESS_REQUEST,
        SUCCESS_RESPONSE,
        MD5_CHALLENGE,
        SUCCESS,
        FAILURE,
        NAK,
    ];

    fn typed(octets: &[u8]) -> Typed {
        match Packet::parse(octets) {
            Ok(Packet::Request(typed) | Packet::Response(typed)) => typed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn literal_octets() {
        for octets in LITERALS {
            assert_eq!(Packet::parse(octets).map(|packet| packet.emit()), Ok(octets.to_vec()));
        }
        assert_eq!(
            Packet::parse(IDENTITY_RESPONSE),
            Ok(Packet::Response(Typed {
                identifier: 7,
                kind: kind::IDENTITY,
                data: b"probe".to_vec()
            }))
        );
        assert_eq!(Packet::parse(SUCCESS), Ok(Packet::Success { identifier: 0x12 }));
        assert_eq!(Packet::parse(FAILURE), Ok(Packet::Failure { identifier: 0x12 }));
        assert_eq!(
            Md5Challenge::parse(&typed(MD5_CHALLENGE).data),
            Ok(Md5Challenge { value: vec![1, 2, 3, 4], name: b"pptp".to_vec() })
        );
    }

    #[test]
    fn literal_octets_of_mschap_v2() {
        let of = |octets: &[u8]| {
            let typed = typed(octets);
            assert_eq!(typed.kind, kind::MSCHAP_V2);
            let message = MsChapV2::parse(&typed.data).expect("well-formed");
            assert_eq!(message.emit(), typed.data);
            message
        };
        let MsChapV2::Challenge { mschap_v2_id: 0x42, challenge, name } = of(CHALLENGE) else {
            panic!("not a challenge");
        };
        assert_eq!(challenge, CHALLENGE[10..26]);
        assert_eq!(name, b"pptp");
        let MsChapV2::Response { mschap_v2_id: 0x42, response, name } = of(RESPONSE) else {
            panic!("not a response");
        };
        assert_eq!(response.nt_response, RESPONSE[34..58]);
        assert_eq!(name, b"User");
        let MsChapV2::SuccessRequest { mschap_v2_id: 0x42, message } = of(SUCCESS_REQUEST) else {
            panic!("not a success");
        };
        assert_eq!(message, &SUCCESS_REQUEST[9..]);
        assert_eq!(of(SUCCESS_RESPONSE), MsChapV2::SuccessResponse);
    }

    #[test]
    fn wrong_ms_length_is_read_nevertheless() {
        let mut octets = CHALLENGE.to_vec();
        octets[8] = 0;
        assert_eq!(MsChapV2::parse(&typed(&octets).data), MsChapV2::parse(&typed(CHALLENGE).data));
    }

    #[test]
    fn lengths_that_contradict_are_errors() {
        assert!(Packet::parse(&[3, 1, 0, 5, 0]).is_err());
        assert!(Packet::parse(&[1, 1, 0, 4]).is_err());
        let mut octets = CHALLENGE.to_vec();
        octets[9] = 8;
        assert!(MsChapV2::parse(&typed(&octets).data).is_err());
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
        let change = MsChapV2::ChangePassword(Box::new(ChangePassword {
            mschap_v2_id: 1,
            encrypted_password: [1; 516],
            encrypted_hash: [2; 16],
            peer_challenge: [3; 16],
            nt_response: [4; 24],
            flags: 5,
        }))
        .emit();
        assert_eq!(change.len(), 586, "RFC 2759, section 7");
        for end in 0..change.len() {
            assert!(MsChapV2::parse(&change[..end]).is_err(), "{end}");
        }
        let response = typed(RESPONSE).data;
        for end in 0..response.len() - 4 {
            assert!(MsChapV2::parse(&response[..end]).is_err(), "{end}");
        }
    }

    fn typed_packet() -> impl Strategy<Value = Typed> {
        (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..600))
            .prop_map(|(identifier, kind, data)| Typed { identifier, kind, data })
    }

    fn packet() -> impl Strategy<Value = Packet> {
        prop_oneof![
            typed_packet().prop_map(Packet::Request),
            typed_packet().prop_map(Packet::Response),
            any::<u8>().prop_map(|identifier| Packet::Success { identifier }),
            any::<u8>().prop_map(|identifier| Packet::Failure { identifier }),
            (5u8.., any::<u8>(), vec(any::<u8>(), 0..600))
                .prop_map(|(code, identifier, data)| { Packet::Other { code, identifier, data } }),
        ]
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..300)
    }

    fn mschap_v2() -> impl Strategy<Value = MsChapV2> {
        let response = (any::<[u8; 16]>(), any::<[u8; 24]>(), any::<u8>()).prop_map(
            |(peer_challenge, nt_response, flags)| MsChapV2Response {
                peer_challenge,
                nt_response,
                flags,
            },
        );
        prop_oneof![
            (any::<u8>(), any::<[u8; 16]>(), name()).prop_map(|(mschap_v2_id, challenge, name)| {
                MsChapV2::Challenge { mschap_v2_id, challenge, name }
            }),
            (any::<u8>(), response, name()).prop_map(|(mschap_v2_id, response, name)| {
                MsChapV2::Response { mschap_v2_id, response, name }
            }),
            (any::<u8>(), name()).prop_map(|(mschap_v2_id, message)| MsChapV2::SuccessRequest {
                mschap_v2_id,
                message
            }),
            (any::<u8>(), name()).prop_map(|(mschap_v2_id, message)| MsChapV2::FailureRequest {
                mschap_v2_id,
                message
            }),
            Just(MsChapV2::SuccessResponse),
            Just(MsChapV2::FailureResponse),
            (any::<u8>(), any::<u8>(), any::<[u8; 16]>(), any::<[u8; 24]>(), any::<u16>())
                .prop_map(|(mschap_v2_id, fill, peer_challenge, nt_response, flags)| {
                    MsChapV2::ChangePassword(Box::new(ChangePassword {
                        mschap_v2_id,
                        encrypted_password: [fill; 516],
                        encrypted_hash: [fill; 16],
                        peer_challenge,
                        nt_response,
                        flags,
                    }))
                }),
            (8u8.., name()).prop_map(|(op_code, data)| MsChapV2::Other { op_code, data }),
        ]
    }

    proptest! {
        #[test]
        fn parse_of_emit(packet in packet()) {
            prop_assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
        }

        #[test]
        fn parse_of_emit_mschap_v2(message in mschap_v2()) {
            prop_assert_eq!(MsChapV2::parse(&message.emit()), Ok(message));
        }

        #[test]
        fn parse_of_emit_md5(value in vec(any::<u8>(), 0..256), name in name()) {
            let message = Md5Challenge { value, name };
            prop_assert_eq!(Md5Challenge::parse(&message.emit()), Ok(message));
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in vec(any::<u8>(), 0..700)) {
            if let Ok(packet) = Packet::parse(&octets) {
                prop_assert_eq!(packet.emit(), &octets[..packet.emit().len()]);
            }
            if let Ok(message) = MsChapV2::parse(&octets) {
                prop_assert_eq!(message.emit().len(), octets.len());
            }
            if let Ok(message) = Md5Challenge::parse(&octets) {
                prop_assert_eq!(message.emit(), octets);
            }
        }
    }
}
