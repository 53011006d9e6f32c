//! What a RADIUS shared secret signs and hides: the authenticators (RFC 2865,
//! section 3; RFC 2866, section 3; RFC 3579, section 3.2), the User-Password
//! (RFC 2865, section 5.2) and the MPPE keys (RFC 2548, section 2.4).
//!
//! Owns the arithmetic; the layout of packets is in [`crate::wire::radius`].
//!
//! Real servers: the top bit of a salt is set by FreeRADIUS, as the RFC wants;
//! here it is not asked for.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::is_equal;
use crate::secret::Secret;

/// Longest password that the User-Password attribute holds, in octets.
pub const LONGEST_PASSWORD: usize = 128;
/// Longest key that a salted attribute of a vendor holds, in octets.
const LONGEST_KEY: usize = 239;
/// Octets before the attributes.
const HEADER: usize = 20;

/// A shared secret, ready to sign. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct SharedSecret {
    secret: Secret,
    /// The keyed state before the first octet; a signature begins with a copy.
    mac: Hmac<Md5>,
}

impl SharedSecret {
    /// Takes the secret over; any octets will do (RFC 2865, section 3).
    pub fn new(secret: Secret) -> Self {
        let mac = match Hmac::new_from_slice(secret.expose()) {
            Ok(mac) => mac,
            // HMAC hashes a key that is too long, and none is too short.
            Err(_) => Hmac::new(&Default::default()),
        };
        Self { secret, mac }
    }

    /// The Response Authenticator (RFC 2865, section 3): of a reply's octets,
    /// with the request's authenticator in the place of its own. Octets shorter
    /// than a header are signed as they are.
    pub fn response_authenticator(&self, reply: &[u8], request: &[u8; 16]) -> [u8; 16] {
        let (header, attributes) = split(reply);
        Md5::new()
            .chain_update(header)
            .chain_update(request)
            .chain_update(attributes)
            .chain_update(self.secret.expose())
            .finalize()
            .into()
    }

    /// Whether a reply carries the right Response Authenticator, in a time that
    /// does not depend on where it is wrong.
    pub fn is_response(&self, reply: &[u8], request: &[u8; 16]) -> bool {
        let expected = self.response_authenticator(reply, request);
        is_there(reply, 4, &expected)
    }

    /// The Request Authenticator of an Accounting-Request (RFC 2866, section
    /// 3), which is a signature over the packet with zeros in its place.
    pub fn accounting_authenticator(&self, request: &[u8]) -> [u8; 16] {
        self.response_authenticator(request, &[0; 16])
    }

    /// The Message-Authenticator (RFC 3579, section 3.2): of a packet's octets
    /// with the request's authenticator in the place of its own, and zeros for
    /// the 16 octets at `at`.
    pub fn message_authenticator(&self, packet: &[u8], request: &[u8; 16], at: usize) -> [u8; 16] {
        let (header, attributes) = split(packet);
        let before = at.saturating_sub(HEADER).min(attributes.len());
        let after = (before + 16).min(attributes.len());
        self.mac
            .clone()
            .chain_update(header)
            .chain_update(request)
            .chain_update(&attributes[..before])
            .chain_update([0; 16])
            .chain_update(&attributes[after..])
            .finalize()
            .into_bytes()
            .into()
    }

    /// Whether a packet carries the right Message-Authenticator at `at`.
    pub fn is_signed(&self, packet: &[u8], request: &[u8; 16], at: usize) -> bool {
        let expected = self.message_authenticator(packet, request, at);
        is_there(packet, at, &expected)
    }

    /// Hides a User-Password: padded with zeros to blocks of 16 octets, each
    /// mixed with a digest over the one before. Cut at
    /// [`LONGEST_PASSWORD`] octets.
    pub fn hide_password(&self, password: &[u8], authenticator: &[u8; 16]) -> Vec<u8> {
        let password = &password[..password.len().min(LONGEST_PASSWORD)];
        let mut hidden = password.to_vec();
        hidden.resize(password.len().max(1).next_multiple_of(16), 0);
        self.mix(&mut hidden, authenticator, &[], true);
        hidden
    }

    /// Takes a User-Password out of hiding, the padding left out; nothing
    /// unless it has whole blocks.
    pub fn reveal_password(
        &self,
        hidden: &[u8],
        authenticator: &[u8; 16],
    ) -> Option<Zeroizing<Vec<u8>>> {
        if hidden.is_empty() || !hidden.len().is_multiple_of(16) {
            return None;
        }
        let mut password = Zeroizing::new(hidden.to_vec());
        self.mix(&mut password, authenticator, &[], false);
        let length = password.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        password.truncate(length);
        Some(password)
    }

    /// Hides a key as MS-MPPE-Send-Key and MS-MPPE-Recv-Key have it (RFC 2548,
    /// sections 2.4.2 and 2.4.3): salt, then length and key in blocks. Cut at
    /// 239 octets.
    pub fn hide_key(&self, key: &[u8], salt: [u8; 2], authenticator: &[u8; 16]) -> Vec<u8> {
        let key = &key[..key.len().min(LONGEST_KEY)];
        let mut blocks = vec![key.len() as u8];
        blocks.extend_from_slice(key);
        blocks.resize(blocks.len().next_multiple_of(16), 0);
        self.mix(&mut blocks, authenticator, &salt, true);
        [&salt, &blocks[..]].concat()
    }

    /// Takes a key out of hiding; nothing unless there are a salt, whole blocks
    /// and a length that fits into them.
    pub fn reveal_key(
        &self,
        hidden: &[u8],
        authenticator: &[u8; 16],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, blocks) = hidden.split_first_chunk::<2>()?;
        if blocks.is_empty() || !blocks.len().is_multiple_of(16) {
            return None;
        }
        let mut key = Zeroizing::new(blocks.to_vec());
        self.mix(&mut key, authenticator, salt, false);
        let length = usize::from(key[0]);
        if length >= key.len() {
            return None;
        }
        key.remove(0);
        key.truncate(length);
        Some(key)
    }

    /// Mixes each block with MD5 of the secret and of the hidden block before;
    /// for the first one that is the authenticator and the salt.
    fn mix(&self, blocks: &mut [u8], authenticator: &[u8; 16], salt: &[u8], hide: bool) {
        let keyed = Md5::new().chain_update(self.secret.expose());
        let mut digest = keyed.clone().chain_update(authenticator).chain_update(salt).finalize();
        for block in blocks.chunks_mut(16) {
            let mut hidden = [0; 16];
            hidden.copy_from_slice(block);
            for (octet, mask) in block.iter_mut().zip(digest) {
                *octet ^= mask;
            }
            if hide {
                hidden.copy_from_slice(block);
            }
            digest = keyed.clone().chain_update(hidden).finalize();
        }
    }
}

/// Code, identifier and length; and what stands behind the authenticator.
fn split(packet: &[u8]) -> (&[u8], &[u8]) {
    (&packet[..packet.len().min(4)], packet.get(HEADER..).unwrap_or_default())
}

/// Whether these 16 octets stand at `at`.
fn is_there(packet: &[u8], at: usize, expected: &[u8; 16]) -> bool {
    let received = packet.get(at..).and_then(|rest| rest.first_chunk::<16>());
    received.is_some_and(|received| is_equal(expected, received))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::mppe::{Direction, KeyLength, MasterKeys};
    use crate::crypto::mschap;
    use crate::wire::radius::samples::*;
    use crate::wire::radius::{Packet, id};

    fn secret(octets: &[u8]) -> SharedSecret {
        SharedSecret::new(Secret::new(octets.to_vec()))
    }

    #[test]
    fn rfc_2865_section_7_1_password_and_response() {
        let request = hex(TELNET_REQUEST);
        let packet = Packet::parse(&request).unwrap();
        let hidden = packet.find(id::USER_PASSWORD).unwrap();
        let secret = secret(RFC_SECRET);
        assert_eq!(secret.hide_password(RFC_PASSWORD, &packet.authenticator), hidden);
        let revealed = secret.reveal_password(hidden, &packet.authenticator).unwrap();
        assert_eq!(*revealed, RFC_PASSWORD);
        let reply = hex(TELNET_ACCEPT);
        assert!(secret.is_response(&reply, &packet.authenticator));
        assert!(!super::tests::secret(b"xyzzy5462").is_response(&reply, &packet.authenticator));
        for at in 0..reply.len() {
            let mut forged = reply.clone();
            forged[at] ^= 1;
            assert!(!secret.is_response(&forged, &packet.authenticator), "octet {at}");
        }
    }

    #[test]
    fn rfc_2865_section_7_2_chap() {
        let request = hex(CHAP_REQUEST);
        let packet = Packet::parse(&request).unwrap();
        let (identifier, response) = packet.find(id::CHAP_PASSWORD).unwrap().split_at(1);
        let expected = Md5::new()
            .chain_update(identifier)
            .chain_update(RFC_PASSWORD)
            .chain_update(packet.authenticator)
            .finalize();
        assert_eq!(expected[..], *response);
    }

    #[test]
    fn rfc_5997_section_6_1_message_authenticator_and_response() {
        let request = hex(STATUS_REQUEST);
        let packet = Packet::parse(&request).unwrap();
        let at = packet.message_authenticator().unwrap().unwrap();
        let secret = secret(RFC_SECRET);
        assert!(secret.is_signed(&request, &packet.authenticator, at));
        assert!(secret.is_response(&hex(STATUS_ACCEPT), &packet.authenticator));
        for octet in 0..request.len() {
            let mut forged = request.clone();
            forged[octet] ^= 1;
            let signed = secret.is_signed(&forged, &packet.authenticator, at);
            // The authenticator is an argument, not read from the packet.
            assert_eq!(signed, (4..20).contains(&octet), "octet {octet}");
        }
    }

    #[test]
    fn recorded_accounting_is_signed_both_ways() {
        let secret = secret(GATEWAY_SECRET);
        let request = hex(GATEWAY_ACCOUNTING);
        let packet = Packet::parse(&request).unwrap();
        assert_eq!(secret.accounting_authenticator(&request), packet.authenticator);
        assert!(secret.is_response(&hex(GATEWAY_ACCOUNTED), &packet.authenticator));
    }

    #[test]
    fn recorded_mppe_keys_are_those_of_rfc_3079() {
        let secret = secret(GATEWAY_SECRET);
        let request = hex(GATEWAY_REQUEST);
        let request = Packet::parse(&request).unwrap();
        let response = request.find(id::MS_CHAP2_RESPONSE).unwrap();
        let nt_response: [u8; 24] = response[26..].try_into().unwrap();
        let challenge = request.find(id::MS_CHAP_CHALLENGE).unwrap().try_into().unwrap();
        let peer_challenge = response[2..18].try_into().unwrap();
        let password = b"Pr0be-secret";
        assert_eq!(
            mschap::generate_nt_response(challenge, peer_challenge, b"probe", password),
            nt_response
        );
        let reply = hex(GATEWAY_ACCEPT);
        assert!(secret.is_response(&reply, &request.authenticator));
        let reply = Packet::parse(&reply).unwrap();
        let keys = MasterKeys::from_mschap_v2(password, &nt_response);
        for (attribute, direction) in [
            (id::MS_MPPE_SEND_KEY, Direction::ServerToClient),
            (id::MS_MPPE_RECV_KEY, Direction::ClientToServer),
        ] {
            let hidden = reply.find(attribute).unwrap();
            let key = secret.reveal_key(hidden, &request.authenticator).unwrap();
            assert_eq!(*key, keys.start_key(direction, KeyLength::Bits128));
            let salt = [hidden[0], hidden[1]];
            assert_eq!(secret.hide_key(&key, salt, &request.authenticator), hidden);
        }
    }

    #[test]
    fn passwords_of_every_length_come_back() {
        let secret = secret(b"s");
        for length in 0..=LONGEST_PASSWORD {
            let password = vec![b'p'; length];
            let hidden = secret.hide_password(&password, &[7; 16]);
            assert_eq!(hidden.len(), length.max(1).next_multiple_of(16));
            assert_eq!(*secret.reveal_password(&hidden, &[7; 16]).unwrap(), password);
        }
        assert_eq!(secret.hide_password(&[b'p'; 200], &[7; 16]).len(), LONGEST_PASSWORD);
        assert!(secret.reveal_password(&[1; 17], &[7; 16]).is_none());
        assert!(secret.reveal_password(&[], &[7; 16]).is_none());
    }

    #[test]
    fn keys_that_do_not_fit_are_refused() {
        let shared = secret(b"s");
        for length in [0, 1, 15, 16, 31, 239] {
            let key = vec![9; length];
            let hidden = shared.hide_key(&key, [0x80, 1], &[7; 16]);
            assert_eq!(*shared.reveal_key(&hidden, &[7; 16]).unwrap(), key);
        }
        for hidden in [&[][..], &[1], &[1; 2], &[1; 17], &[1; 19]] {
            assert!(shared.reveal_key(hidden, &[7; 16]).is_none());
        }
        // A length octet that says more than there is: 16 of 15.
        let mut blocks = [0; 16];
        blocks[0] = 16;
        shared.mix(&mut blocks, &[7; 16], &[0, 0], true);
        assert!(shared.reveal_key(&[&[0, 0], &blocks[..]].concat(), &[7; 16]).is_none());
    }

    #[test]
    fn octets_shorter_than_a_packet_are_not_signed() {
        let secret = secret(b"s");
        for length in 0..20 {
            assert!(!secret.is_response(&vec![0; length], &[0; 16]));
            assert!(!secret.is_signed(&vec![0; length], &[0; 16], length));
        }
    }
}
