//! RADIUS packets without their secrets, for captures and hex dumps.
//!
//! What counts as a secret is the password, the keys, and everything that lets
//! one guess the password or the shared secret offline: responses to a
//! challenge, proofs, and every signature. User names, challenges and texts
//! stay, and so do all lengths. Which attributes these are, the dictionary says.

use super::{AttributeId, Code, HEADER_LENGTH, Packet, dictionary, id};

/// A copy of a packet with its secrets overwritten by zero octets; of the same
/// length. What is malformed is zeroed behind its first four octets, and so is
/// padding.
pub fn mask_radius(octets: &[u8]) -> Vec<u8> {
    let mut masked = octets.to_vec();
    let Ok(packet) = Packet::parse(octets) else {
        masked.iter_mut().skip(4).for_each(|octet| *octet = 0);
        return masked;
    };
    // In these two it is random, in all others a digest over the secret.
    if !matches!(packet.code, Code::AccessRequest | Code::StatusServer) {
        masked[4..HEADER_LENGTH].fill(0);
    }
    for attribute in packet.attributes().filter(|found| is_secret(found.id)) {
        let start = packet.offset(attribute.value);
        masked[start..start + attribute.value.len()].fill(0);
    }
    masked[packet.octets().len()..].fill(0);
    masked
}

/// A vendor's attribute in a format of its own could hold anything.
fn is_secret(id: AttributeId) -> bool {
    id == id::VENDOR_SPECIFIC || dictionary::by_id(id).is_some_and(|known| known.secret)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Draft;
    use super::*;

    fn packet(code: Code, attributes: &[(AttributeId, &[u8])]) -> Vec<u8> {
        let mut draft = Draft::new(code, 7, &[0xaa; 16]);
        for (id, value) in attributes {
            draft.attribute(*id, value);
        }
        draft.finish().unwrap()
    }

    #[test]
    fn secrets_are_blanked_and_the_rest_stays() {
        let given: &[(AttributeId, &[u8])] = &[
            (id::USER_NAME, b"probe"),
            (id::USER_PASSWORD, &[0xbb; 16]),
            (id::MS_CHAP_CHALLENGE, &[0xcc; 16]),
            (id::MS_CHAP2_RESPONSE, &[0xbb; 50]),
            (id::MESSAGE_AUTHENTICATOR, &[0xbb; 16]),
        ];
        for (code, shows_authenticator) in [
            (Code::AccessRequest, true),
            (Code::StatusServer, true),
            (Code::AccessAccept, false),
            (Code::AccountingRequest, false),
        ] {
            let octets = packet(code, given);
            let masked = mask_radius(&octets);
            assert_eq!(masked.len(), octets.len());
            assert!(!masked.contains(&0xbb));
            assert_eq!(masked.contains(&0xaa), shows_authenticator);
            let read = Packet::parse(&masked).unwrap();
            assert_eq!(read.find(id::USER_NAME), Some(&b"probe"[..]));
            assert_eq!(read.find(id::MS_CHAP_CHALLENGE), Some(&[0xcc; 16][..]));
        }
    }

    #[test]
    fn what_is_no_packet_keeps_four_octets() {
        let mut octets = packet(Code::AccessRequest, &[(id::USER_NAME, b"probe")]);
        octets[21] = 0;
        let masked = mask_radius(&octets);
        assert_eq!(masked[..4], octets[..4]);
        assert_eq!(masked[4..], vec![0; octets.len() - 4]);
        assert_eq!(mask_radius(&[1, 2]), [1, 2]);
    }

    #[test]
    fn padding_and_odd_vendors_are_blanked() {
        let mut octets = packet(Code::AccessRequest, &[]);
        octets.extend(b"\x1a\x07\0\0\x01\x37\xbb");
        octets[3] += 7;
        octets.extend([0xbb; 4]);
        assert!(!mask_radius(&octets).contains(&0xbb));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_keep_their_length(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(mask_radius(&octets).len(), octets.len());
        }
    }
}
