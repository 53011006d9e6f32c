//! The Password Authentication Protocol (RFC 1334, section 2), PPP protocol
//! c023.
//!
//! Owns the three packets, and the header that PAP, CHAP and EAP share. Who
//! sends when is in [`crate::proto::auth`].
//!
//! Real gateways: pppd sends a message in both verdicts (`Login ok`, `Login
//! incorrect`); others leave out even its length octet, which is taken as an
//! empty message.

use std::fmt;

use super::{Error, Reader, Result, Writer};

/// A PAP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Code 1: the peer names itself and gives its password in clear.
    AuthenticateRequest(AuthenticateRequest),
    /// Code 2: accepted.
    AuthenticateAck(Verdict),
    /// Code 3: rejected.
    AuthenticateNak(Verdict),
    /// A code that PAP does not have.
    Other {
        /// The code.
        code: u8,
        /// Matches a reply to its request.
        identifier: u8,
        /// What follows the header.
        data: Vec<u8>,
    },
}

/// Authenticate-Request (RFC 1334, section 2.2.1).
///
/// ```text
/// | code 1 | identifier | length | peer-id length | peer-id | passwd length | password |
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticateRequest {
    /// The RFC wants another one each time; a caller here keeps it when it
    /// sends the request again, see [`crate::proto::auth`].
    pub identifier: u8,
    /// User name, 0 to 255 octets; what is longer is cut.
    pub peer_id: Vec<u8>,
    /// Password in clear, 0 to 255 octets; what is longer is cut.
    pub password: Vec<u8>,
}

impl fmt::Debug for AuthenticateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateRequest")
            .field("identifier", &self.identifier)
            .field("peer_id", &self.peer_id)
            .finish_non_exhaustive()
    }
}

/// Authenticate-Ack or Authenticate-Nak (RFC 1334, section 2.2.2).
///
/// ```text
/// | code 2, 3 | identifier | length | message length | message |
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// That of the request.
    pub identifier: u8,
    /// Text for a person, 0 to 255 octets; what is longer is cut.
    pub message: Vec<u8>,
}

impl Packet {
    /// Reads a packet; octets behind its length are padding.
    ///
    /// # Errors
    /// A field that does not fit into the length, or octets left over inside.
    pub fn parse(octets: &[u8]) -> Result<Self> {
        let Header { code, identifier, mut body } = Header::parse("PAP packet", octets)?;
        Ok(match code {
            1 => {
                let peer_id = prefixed(&mut body)?;
                let password = prefixed(&mut body)?;
                body.finish()?;
                Self::AuthenticateRequest(AuthenticateRequest { identifier, peer_id, password })
            }
            2 | 3 => {
                let message = if body.is_empty() { Vec::new() } else { prefixed(&mut body)? };
                body.finish()?;
                let verdict = Verdict { identifier, message };
                match code {
                    2 => Self::AuthenticateAck(verdict),
                    _ => Self::AuthenticateNak(verdict),
                }
            }
            _ => Self::Other { code, identifier, data: body.rest().to_vec() },
        })
    }

    /// Writes the packet.
    pub fn emit(&self) -> Vec<u8> {
        let mut body = Writer::default();
        let (code, identifier) = match self {
            Self::AuthenticateRequest(request) => {
                emit_prefixed(&mut body, &request.peer_id);
                emit_prefixed(&mut body, &request.password);
                (1, request.identifier)
            }
            Self::AuthenticateAck(verdict) | Self::AuthenticateNak(verdict) => {
                emit_prefixed(&mut body, &verdict.message);
                let code = if matches!(self, Self::AuthenticateAck(_)) { 2 } else { 3 };
                (code, verdict.identifier)
            }
            Self::Other { code, identifier, data } => {
                body.slice(data);
                (*code, *identifier)
            }
        };
        Header::emit(code, identifier, &body.finish())
    }
}

/// Code, identifier and length: the four octets before every PAP, CHAP and
/// EAP packet.
pub(super) struct Header<'a> {
    pub(super) code: u8,
    pub(super) identifier: u8,
    /// What the length covers, without the header.
    pub(super) body: Reader<'a>,
}

impl<'a> Header<'a> {
    /// Octets of the header; the length field counts them too.
    pub(super) const OCTETS: usize = 4;

    pub(super) fn parse(what: &'static str, octets: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(what, octets);
        let code = reader.u8()?;
        let identifier = reader.u8()?;
        let length = usize::from(reader.u16()?);
        let body = length.checked_sub(Self::OCTETS).ok_or(Error::BadLength { what, length })?;
        Ok(Self { code, identifier, body: reader.part(what, body)? })
    }

    /// Writes header and body; a body that the length field cannot count is
    /// cut.
    pub(super) fn emit(code: u8, identifier: u8, body: &[u8]) -> Vec<u8> {
        let body = &body[..body.len().min(usize::from(u16::MAX) - Self::OCTETS)];
        let mut writer = Writer::with_capacity(Self::OCTETS + body.len());
        writer.u8(code);
        writer.u8(identifier);
        writer.u16((Self::OCTETS + body.len()) as u16);
        writer.slice(body);
        writer.finish()
    }
}

/// Octets behind a length octet.
pub(super) fn prefixed(reader: &mut Reader<'_>) -> Result<Vec<u8>> {
    let length = reader.u8()?;
    reader.take(length.into()).map(<[u8]>::to_vec)
}

/// Writes octets behind a length octet, cut to the 255 it can count.
pub(super) fn emit_prefixed(writer: &mut Writer, octets: &[u8]) {
    let cut = &octets[..octets.len().min(255)];
    writer.u8(cut.len() as u8);
    writer.slice(cut);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// pptp-linux to pptpd, `auth pap`, accepted.
    const REQUEST: &[u8] = b"\x01\x01\x00\x17\x05probe\x0cPr0be-secret";
    const ACK: &[u8] = b"\x02\x01\x00\x0d\x08Login ok";
    /// The same with a wrong password.
    const NAK: &[u8] = b"\x03\x01\x00\x14\x0fLogin incorrect";

    fn both_ways(octets: &[u8], packet: Packet) {
        assert_eq!(Packet::parse(octets), Ok(packet.clone()));
        assert_eq!(packet.emit(), octets);
    }

    #[test]
    fn literal_octets_of_pppd() {
        both_ways(
            REQUEST,
            Packet::AuthenticateRequest(AuthenticateRequest {
                identifier: 1,
                peer_id: b"probe".to_vec(),
                password: b"Pr0be-secret".to_vec(),
            }),
        );
        let verdict = |text: &[u8]| Verdict { identifier: 1, message: text.to_vec() };
        both_ways(ACK, Packet::AuthenticateAck(verdict(b"Login ok")));
        both_ways(NAK, Packet::AuthenticateNak(verdict(b"Login incorrect")));
    }

    #[test]
    fn verdict_without_message_length_is_an_empty_message() {
        let packet = Packet::AuthenticateAck(Verdict { identifier: 9, message: Vec::new() });
        assert_eq!(Packet::parse(&[2, 9, 0, 4]), Ok(packet));
    }

    #[test]
    fn padding_behind_the_length_is_ignored() {
        let padded = [ACK, &[0; 7]].concat();
        assert_eq!(Packet::parse(&padded), Packet::parse(ACK));
    }

    #[test]
    fn octets_left_over_inside_the_length_are_an_error() {
        assert_eq!(
            Packet::parse(&[1, 1, 0, 7, 0, 0, 0]),
            Err(Error::Trailing { what: "PAP packet", excess: 1 })
        );
        assert_eq!(
            Packet::parse(&[1, 1, 0, 3]),
            Err(Error::BadLength { what: "PAP packet", length: 3 })
        );
    }

    #[test]
    fn every_prefix_is_truncated() {
        for whole in [REQUEST, ACK, NAK] {
            for end in 0..whole.len() {
                assert!(
                    matches!(Packet::parse(&whole[..end]), Err(Error::Truncated { .. })),
                    "{end}"
                );
            }
        }
    }

    #[test]
    fn password_is_not_in_the_debug_text() {
        let text = format!("{:?}", Packet::parse(REQUEST));
        assert!(text.contains("peer_id") && !text.contains("80, 114, 48"), "{text}");
        assert!(!text.contains("password"), "{text}");
    }

    proptest! {
        #[test]
        fn parse_of_emit(
            code in any::<u8>(),
            identifier in any::<u8>(),
            first in vec(any::<u8>(), 0..256),
            second in vec(any::<u8>(), 0..256),
        ) {
            let packet = match code {
                1 => Packet::AuthenticateRequest(AuthenticateRequest {
                    identifier,
                    peer_id: first,
                    password: second,
                }),
                2 => Packet::AuthenticateAck(Verdict { identifier, message: first }),
                3 => Packet::AuthenticateNak(Verdict { identifier, message: first }),
                _ => Packet::Other { code, identifier, data: first },
            };
            prop_assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
        }

        #[test]
        fn parse_of_emit_known_codes(
            code in 1u8..4,
            identifier in any::<u8>(),
            first in vec(any::<u8>(), 0..256),
            second in vec(any::<u8>(), 0..256),
        ) {
            let packet = match code {
                1 => Packet::AuthenticateRequest(AuthenticateRequest {
                    identifier,
                    peer_id: first,
                    password: second,
                }),
                2 => Packet::AuthenticateAck(Verdict { identifier, message: first }),
                _ => Packet::AuthenticateNak(Verdict { identifier, message: first }),
            };
            prop_assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in vec(any::<u8>(), 0..600)) {
            if let Ok(packet) = Packet::parse(&octets) {
                prop_assert!(packet.emit().len() <= octets.len() + 1);
            }
        }
    }
}
