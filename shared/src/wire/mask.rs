//! PPP frames without their secrets, for captures and hex dumps.
//!
//! Owns one function. What counts as a secret is the password itself and
//! everything that lets one guess it offline: responses with the peer's part
//! of the challenge, the proof of an MS-CHAPv2 gateway, and what is encrypted by
//! MPPE: the keys of MS-CHAPv1 come from the password and a challenge that
//! everybody saw (RFC 3079, section 2), so a guess could be tried on it.
//! Challenges, user names and texts stay, and so do all lengths but one: that
//! of a password in PAP is a secret as well.

use std::ops::Range;

use super::{eap, pap, ppp};

/// Octets of code, identifier and length.
const HEADER: usize = 4;
/// Octets of flags and coherency count.
const MPPE_HEADER: usize = 2;

/// Zero octets that stand for a password, however long it is.
const MASKED_PASSWORD: usize = 8;

/// A copy of a PPP frame with its secrets overwritten by zero octets; of the
/// same length, but for a PAP Authenticate-Request: its password becomes eight
/// zero octets, its padding is left out, and if it is malformed, so is all
/// behind its header. The frame begins with the protocol field, of one or two
/// octets, or with `ff 03` before it. What is malformed in PAP, CHAP or EAP is
/// zeroed behind the four octets of its header, for it could hold anything.
pub fn mask_ppp(frame: &[u8]) -> Vec<u8> {
    let mut masked = frame.to_vec();
    let start = if frame.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
    if let Ok(ppp::Frame { protocol: ppp::COMPRESSED, information }) = ppp::Frame::parse(frame) {
        // The header with the coherency count says nothing about the key.
        let encrypted = frame.len() - information.len().saturating_sub(MPPE_HEADER);
        masked[encrypted..].fill(0);
        return masked;
    }
    // The three protocols are even in their first octet, so that it cannot be
    // left out.
    let Some([high, low, ..]) = masked.get(start..) else {
        return masked;
    };
    let ranges: fn(&[u8]) -> Option<Vec<Range<usize>>> = match u16::from_be_bytes([*high, *low]) {
        ppp::PAP if masked.get(start + 2) == Some(&1) => {
            masked[start + 2..].fill(0);
            masked.truncate(start + 2);
            masked.extend(mask_request(&frame[start + 2..]));
            return masked;
        }
        ppp::PAP => pap_secrets,
        ppp::CHAP => chap_secrets,
        ppp::EAP => eap_secrets,
        _ => return masked,
    };
    let packet = &mut masked[start + 2..];
    let length = match *packet {
        [_, _, high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    };
    let found = packet.get(..length).filter(|_| length >= HEADER).and_then(ranges);
    match found {
        Some(ranges) => {
            for range in ranges {
                packet[range].fill(0);
            }
            // Padding is nobody's field, but buffers are reused.
            packet[length..].fill(0);
        }
        None => packet.iter_mut().skip(HEADER).for_each(|octet| *octet = 0),
    }
    masked
}

/// Of a malformed request the header is left: with zero octets behind it, it
/// could read as a request with an empty password.
fn mask_request(packet: &[u8]) -> Vec<u8> {
    match pap::Packet::parse(packet) {
        Ok(pap::Packet::AuthenticateRequest(mut request)) => {
            request.password.fill(0);
            request.password.resize(MASKED_PASSWORD, 0);
            pap::Packet::AuthenticateRequest(request).emit()
        }
        _ => packet[..packet.len().min(HEADER)].to_vec(),
    }
}

/// Each of these is given a packet as long as its length field says, at least
/// a header, and returns where its secrets are; `None` where it is malformed.
fn pap_secrets(packet: &[u8]) -> Option<Vec<Range<usize>>> {
    matches!(packet[0], 2 | 3).then(Vec::new)
}

fn chap_secrets(packet: &[u8]) -> Option<Vec<Range<usize>>> {
    match packet[0] {
        1 => value(packet, HEADER).map(|_| Vec::new()),
        2 => value(packet, HEADER).map(only),
        3 => Some(proofs(packet, HEADER)),
        4 => Some(Vec::new()),
        _ => None,
    }
}

fn eap_secrets(packet: &[u8]) -> Option<Vec<Range<usize>>> {
    const DATA: usize = HEADER + 1;
    let code = packet[0];
    if matches!(code, 3 | 4) {
        return (packet.len() == HEADER).then(Vec::new);
    }
    let kind = *packet.get(HEADER)?;
    match (code, kind) {
        (1, eap::kind::IDENTITY | eap::kind::NOTIFICATION) => Some(Vec::new()),
        (2, eap::kind::IDENTITY | eap::kind::NOTIFICATION | eap::kind::NAK) => Some(Vec::new()),
        (1, eap::kind::MD5_CHALLENGE) => value(packet, DATA).map(|_| Vec::new()),
        (2, eap::kind::MD5_CHALLENGE) => value(packet, DATA).map(only),
        (1 | 2, eap::kind::MSCHAP_V2) => mschap_v2_secrets(packet, DATA),
        // Other methods: some carry a password in clear (GTC).
        (1 | 2, _) => Some(only(DATA..packet.len())),
        _ => None,
    }
}

/// Op code, MS-CHAPv2 id and MS-Length, then what MS-CHAPv2 has.
fn mschap_v2_secrets(packet: &[u8], at: usize) -> Option<Vec<Range<usize>>> {
    let inner = at + HEADER;
    match (*packet.get(at)?, packet.len() - at) {
        (3 | 4, 1) => Some(Vec::new()),
        (1, _) => value(packet, inner).map(|_| Vec::new()),
        (2, _) => value(packet, inner).map(only),
        (3, HEADER..) => Some(proofs(packet, inner)),
        (4, HEADER..) => Some(Vec::new()),
        (7, HEADER..) => Some(only(inner..packet.len())),
        _ => None,
    }
}

fn only(range: Range<usize>) -> Vec<Range<usize>> {
    vec![range]
}

/// Where the octets behind a length octet are.
fn value(packet: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + 1;
    let end = start + usize::from(*packet.get(at)?);
    (end <= packet.len()).then_some(start..end)
}

/// The hexadecimal digits behind each `S=`.
fn proofs(packet: &[u8], from: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = from;
    while at + 2 <= packet.len() {
        if packet[at..].starts_with(b"S=") {
            let start = at + 2;
            let digits = packet[start..].iter().take_while(|octet| octet.is_ascii_hexdigit());
            at = start + digits.count();
            found.push(start..at);
        } else {
            at += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::chap::MsChapV2Response;
    use crate::wire::eap::{ChangePassword, MsChapV2, Typed};
    use crate::wire::{chap, pap};

    fn frame(protocol: u16, packet: &[u8]) -> Vec<u8> {
        [&protocol.to_be_bytes(), packet].concat()
    }

    #[test]
    fn encrypted_octets_are_blanked_behind_the_coherency_count() {
        for header in [&[0xff, 0x03, 0x00, 0xfd][..], &[0x00, 0xfd], &[0xfd]] {
            let frame = [header, &[0x90, 0x01, 7, 8, 9]].concat();
            assert_eq!(mask_ppp(&frame), [header, &[0x90, 0x01, 0, 0, 0]].concat());
        }
        assert_eq!(mask_ppp(&[0xfd, 0x90]), [0xfd, 0x90]);
    }

    #[test]
    fn pap_request_keeps_the_name_and_loses_the_password_and_its_length() {
        let masked = b"\xc0\x23\x01\x01\x00\x13\x05probe\x08\0\0\0\0\0\0\0\0";
        for request in [
            &b"\xc0\x23\x01\x01\x00\x17\x05probe\x0cPr0be-secret"[..],
            b"\xc0\x23\x01\x01\x00\x17\x05probe\x0cPr0be-secretpadding",
            b"\xc0\x23\x01\x01\x00\x0d\x05probe\x02me",
            b"\xc0\x23\x01\x01\x00\x0b\x05probe\0",
        ] {
            assert_eq!(mask_ppp(request), masked);
            let prefixed = [b"\xff\x03", request].concat();
            assert_eq!(mask_ppp(&prefixed), [b"\xff\x03", &masked[..]].concat());
        }
    }

    #[test]
    fn pap_verdicts_stay() {
        for literal in
            [&b"\xc0\x23\x02\x01\x00\x0d\x08Login ok"[..], b"\xc0\x23\x03\x01\x00\x09\x04Sorr"]
        {
            assert_eq!(mask_ppp(literal), literal);
        }
    }

    #[test]
    fn chap_response_loses_its_value_and_keeps_the_name() {
        let md5 = b"\xc2\x23\x02\x08\x00\x1a\x10\xc7\x12\xea\x2c\xbe\xc4\xc4\xc3\xb3\xcd\xfb\xec\x25\xfc\xff\x0dprobe";
        assert_eq!(
            mask_ppp(md5),
            b"\xc2\x23\x02\x08\x00\x1a\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0probe"
        );
        let v2 = b"\xc2\x23\x02\x3f\x00\x3b\x31\x87\xc9\x22\x94\x5e\xa3\xac\x2f\x47\x7c\x06\x9e\xd9\x17\x0f\xae\0\0\0\0\0\0\0\0\x7e\xf0\xaf\xbc\xe8\x8d\x75\xb1\xe7\xdd\xe0\x2f\x3f\x86\x46\x2e\x6a\xba\x57\x75\x7c\x1b\x8d\xbe\0probe";
        let expected = [&v2[..7], &[0; 49], b"probe"].concat();
        assert_eq!(mask_ppp(v2), expected);
    }

    #[test]
    fn success_loses_the_proof_and_keeps_the_text() {
        assert_eq!(
            mask_ppp(b"\xc2\x23\x03\x3f\x00\x3fS=BBB59131C0FBD7EC2090ACB3BE15F989BF347B97 M=Access granted"),
            b"\xc2\x23\x03\x3f\x00\x3fS=\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0 M=Access granted"
        );
    }

    #[test]
    fn challenge_failure_and_other_protocols_stay() {
        let literals: [&[u8]; 6] = [
            b"\xc2\x23\x01\x08\x00\x0e\x04\x3c\x31\x27\xaapptpd",
            b"\xc2\x23\x04\xec\x00\x24E=691 R=1 C=6dc7f9c19003e176 V=0",
            b"\xff\x03\xc0\x21\x01\x01\x00\x04",
            b"\x21\x45\x00\x00",
            b"\xc2\x27\x01\x07\x00\x05\x01",
            b"\xc2\x27\x02\x07\x00\x0a\x01probe",
        ];
        for literal in literals {
            assert_eq!(mask_ppp(literal), literal);
        }
        assert_eq!(mask_ppp(b""), b"");
        assert_eq!(mask_ppp(b"\xc2"), b"\xc2");
    }

    #[test]
    fn eap_proof_is_masked() {
        let literal = b"\xc2\x27\x01\x12\x00\x38\x1a\x03\x42\x00\x33S=407A5589115FD0D6209F510FE9C04566932CDA56 M=OK";
        let expected = [&literal[..13], &[0; 40], b" M=OK"].concat();
        assert_eq!(mask_ppp(literal), expected);
    }

    #[test]
    fn malformed_is_zeroed_behind_the_header() {
        // The password length says one octet more than there is.
        assert_eq!(
            mask_ppp(b"\xc0\x23\x01\x01\x00\x0c\x02me\x05five"),
            b"\xc0\x23\x01\x01\x00\x0c"
        );
        // Two octets that are zeroed would be two empty fields.
        assert_eq!(mask_ppp(b"\xc0\x23\x01\x01\x00\x06me"), b"\xc0\x23\x01\x01\x00\x06");
        assert_eq!(mask_ppp(b"\xc0\x23\x04\x01\x00\x06me"), b"\xc0\x23\x04\x01\x00\x06\0\0");
        // The packet is shorter than its length.
        assert_eq!(mask_ppp(b"\xc2\x23\x02\x01\x00\xff\x02ab"), b"\xc2\x23\x02\x01\x00\xff\0\0\0");
        // MS-CHAP Change-Password, and a code nobody knows.
        assert_eq!(mask_ppp(b"\xc2\x23\x07\x01\x00\x06ab"), b"\xc2\x23\x07\x01\x00\x06\0\0");
        assert_eq!(mask_ppp(b"\xc2\x27\x09\x01\x00\x06ab"), b"\xc2\x27\x09\x01\x00\x06\0\0");
        // EAP-GTC with a password in clear.
        assert_eq!(
            mask_ppp(b"\xc2\x27\x02\x01\x00\x09\x06pass"),
            b"\xc2\x27\x02\x01\x00\x09\x06\0\0\0\0"
        );
    }

    #[test]
    fn padding_of_a_secret_frame_is_zeroed() {
        assert_eq!(
            mask_ppp(b"\xc2\x23\x03\x01\x00\x06OKsecret"),
            b"\xc2\x23\x03\x01\x00\x06OK\0\0\0\0\0\0"
        );
    }

    /// A secret of octets that names and texts do not have.
    fn secret(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        vec(0x80u8..=0xbf, length)
    }

    fn contains(frame: &[u8], secret: &[u8]) -> bool {
        frame.windows(secret.len()).any(|window| window == secret)
    }

    fn assert_masked(protocol: u16, packet: &[u8], secret: &[u8]) {
        for prefix in [&[][..], &[0xff, 0x03]] {
            let frame = [prefix, &frame(protocol, packet)].concat();
            assert!(contains(&frame, secret));
            let masked = mask_ppp(&frame);
            if protocol != ppp::PAP {
                assert_eq!(masked.len(), frame.len());
            }
            assert!(!secret.windows(4).any(|part| contains(&masked, part)), "{masked:02x?}");
            assert_eq!(mask_ppp(&masked), masked, "nothing is left to mask");
        }
    }

    proptest! {
        #[test]
        fn no_octet_of_a_password_is_left(name in "[a-z]{0,40}", password in secret(4..256)) {
            let packet = pap::Packet::AuthenticateRequest(pap::AuthenticateRequest {
                identifier: 1,
                peer_id: name.into(),
                password: password.clone(),
            });
            assert_masked(ppp::PAP, &packet.emit(), &password);
        }

        #[test]
        fn no_octet_of_a_response_is_left(name in "[a-z]{0,40}", value in secret(4..256)) {
            let packet = chap::Packet::Response(chap::Valued {
                identifier: 1,
                value: value.clone(),
                name: name.clone().into(),
            });
            assert_masked(ppp::CHAP, &packet.emit(), &value);
            let data = eap::Md5Challenge { value: value.clone(), name: name.into() }.emit();
            let packet = eap::Packet::Response(Typed { identifier: 1, kind: 4, data });
            assert_masked(ppp::EAP, &packet.emit(), &value);
        }

        #[test]
        fn no_octet_of_an_eap_mschap_v2_response_is_left(
            name in "[a-z]{0,40}",
            value in secret(24..25),
        ) {
            let mut nt_response = [0; 24];
            nt_response.copy_from_slice(&value);
            let mut peer_challenge = [0; 16];
            peer_challenge.copy_from_slice(&value[..16]);
            let response = MsChapV2Response { peer_challenge, nt_response, flags: 0 };
            let data = MsChapV2::Response { mschap_v2_id: 1, response, name: name.into() }.emit();
            let packet = eap::Packet::Response(Typed { identifier: 1, kind: 26, data });
            assert_masked(ppp::EAP, &packet.emit(), &value);

            let data = MsChapV2::ChangePassword(Box::new(ChangePassword {
                mschap_v2_id: 1,
                encrypted_password: [value[0]; 516],
                encrypted_hash: [value[1]; 16],
                peer_challenge,
                nt_response,
                flags: 0,
            }))
            .emit();
            let packet = eap::Packet::Response(Typed { identifier: 1, kind: 26, data });
            assert_masked(ppp::EAP, &packet.emit(), &value);
        }

        #[test]
        fn no_proof_is_left(proof in any::<[u8; 20]>(), message in "[a-z ]{0,40}") {
            let text = chap::SuccessText {
                authenticator_response: Some(proof),
                message: message.into(),
            };
            let digits = text.emit()[2..42].to_vec();
            let packet = chap::Packet::Success(chap::Verdict { identifier: 1, message: text.emit() });
            prop_assert!(!contains(&mask_ppp(&frame(ppp::CHAP, &packet.emit())), &digits));
            let data = MsChapV2::SuccessRequest { mschap_v2_id: 1, message: text.emit() }.emit();
            let packet = eap::Packet::Request(Typed { identifier: 1, kind: 26, data });
            prop_assert!(!contains(&mask_ppp(&frame(ppp::EAP, &packet.emit())), &digits));
        }

        #[test]
        fn arbitrary_octets_never_panic(
            protocol in prop_oneof![Just(0xc023u16), Just(0xc223), Just(0xc227), any::<u16>()],
            packet in vec(any::<u8>(), 0..80),
        ) {
            let frame = frame(protocol, &packet);
            let masked = mask_ppp(&frame);
            prop_assert_eq!(&mask_ppp(&masked), &masked);
            if protocol != ppp::PAP || packet.first() != Some(&1) {
                prop_assert_eq!(masked.len(), frame.len());
                prop_assert!(masked.iter().zip(&frame).all(|(new, old)| new == old || *new == 0));
            }
        }
    }
}
