//! MS-CHAPv1 and MS-CHAPv2 (RFC 2433 appendix A, RFC 2759 section 8).
//!
//! Owns the functions under the RFCs' names; they take octets and return
//! octets. The layouts of the packets are in [`crate::wire::chap`], the
//! dialogue in [`crate::proto::auth`], the keys in [`crate::crypto::mppe`].
//!
//! Both RFCs describe passwords as Unicode and user names as plain characters.
//! Here both are octets, as a file or an environment variable gives them. For
//! the NT hash a password that is valid UTF-8 becomes UTF-16LE; any other one
//! is read as ISO 8859-1, octet by octet, which is what pppd does with every
//! password (so it disagrees with Windows on anything but ASCII).

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use md4::{Digest, Md4};
use sha1::Sha1;
use zeroize::{Zeroize, Zeroizing};

/// The most characters of a password that the NT hash covers (RFC 2759,
/// section 8.3: `0-to-256-unicode-char`); the rest is cut.
pub const PASSWORD_MAX: usize = 256;

/// NtPasswordHash (RFC 2433 A.5, RFC 2759 8.3): MD4 of the UTF-16LE password.
pub fn nt_password_hash(password: &[u8]) -> Zeroizing<[u8; 16]> {
    let mut unicode = Zeroizing::new(Vec::with_capacity(2 * PASSWORD_MAX));
    let mut push = |unit: u16| {
        if unicode.len() < 2 * PASSWORD_MAX {
            unicode.extend_from_slice(&unit.to_le_bytes());
        }
    };
    match std::str::from_utf8(password) {
        Ok(text) => text.encode_utf16().for_each(&mut push),
        Err(_) => password.iter().for_each(|&octet| push(octet.into())),
    }
    Zeroizing::new(Md4::digest(&**unicode).into())
}

/// HashNtPasswordHash (RFC 2759 8.4): MD4 of the NT hash.
pub fn hash_nt_password_hash(password_hash: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    Zeroizing::new(Md4::digest(password_hash).into())
}

/// LmPasswordHash (RFC 2433 A.3): DES of a fixed text under the two halves of
/// the upper-case password, cut or zero-padded to 14 octets. Upper case is
/// ASCII upper case; the OEM code page of the RFC is unknown to both sides.
pub fn lm_password_hash(password: &[u8]) -> Zeroizing<[u8; 16]> {
    const STANDARD_TEXT: &[u8; 8] = b"KGS!@#$%";
    let mut upper = Zeroizing::new([0; 14]);
    for (to, from) in upper.iter_mut().zip(password) {
        *to = from.to_ascii_uppercase();
    }
    let mut hash = Zeroizing::new([0; 16]);
    for (block, half) in hash.chunks_exact_mut(8).zip(upper.chunks_exact(7)) {
        block.copy_from_slice(&des_encrypt(STANDARD_TEXT, half));
    }
    hash
}

/// ChallengeResponse (RFC 2433 A.7, RFC 2759 8.5): DES of the challenge under
/// the three thirds of the hash, zero-padded to 21 octets.
pub fn challenge_response(challenge: &[u8; 8], password_hash: &[u8; 16]) -> [u8; 24] {
    let mut keys = Zeroizing::new([0; 21]);
    keys[..16].copy_from_slice(password_hash);
    let mut response = [0; 24];
    for (block, key) in response.chunks_exact_mut(8).zip(keys.chunks_exact(7)) {
        block.copy_from_slice(&des_encrypt(challenge, key));
    }
    response
}

/// NtChallengeResponse (RFC 2433 A.4): the NT response of MS-CHAPv1.
pub fn nt_challenge_response(challenge: &[u8; 8], password: &[u8]) -> [u8; 24] {
    challenge_response(challenge, &nt_password_hash(password))
}

/// LmChallengeResponse (RFC 2433 A.2): the LAN Manager response of MS-CHAPv1.
/// Weak, and deprecated by the RFC itself; a client sends zeros instead.
pub fn lm_challenge_response(challenge: &[u8; 8], password: &[u8]) -> [u8; 24] {
    challenge_response(challenge, &lm_password_hash(password))
}

/// The user name as ChallengeHash takes it: without `DOMAIN\` (RFC 2759 4).
pub fn bare_user_name(user_name: &[u8]) -> &[u8] {
    match user_name.iter().rposition(|&octet| octet == b'\\') {
        Some(at) => &user_name[at + 1..],
        None => user_name,
    }
}

/// ChallengeHash (RFC 2759 8.2): the eight octets that MS-CHAPv2 answers. A
/// `DOMAIN\` before the name is left out here.
pub fn challenge_hash(
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    user_name: &[u8],
) -> [u8; 8] {
    let digest = Sha1::new()
        .chain_update(peer_challenge)
        .chain_update(authenticator_challenge)
        .chain_update(bare_user_name(user_name))
        .finalize();
    let mut challenge = [0; 8];
    challenge.copy_from_slice(&digest[..8]);
    challenge
}

/// GenerateNTResponse (RFC 2759 8.1).
pub fn generate_nt_response(
    authenticator_challenge: &[u8; 16],
    peer_challenge: &[u8; 16],
    user_name: &[u8],
    password: &[u8],
) -> [u8; 24] {
    let challenge = challenge_hash(peer_challenge, authenticator_challenge, user_name);
    challenge_response(&challenge, &nt_password_hash(password))
}

/// GenerateAuthenticatorResponse (RFC 2759 8.7): the proof that the gateway
/// knows the password, as 20 octets; on the wire they stand as `S=` and 40
/// hexadecimal digits.
pub fn generate_authenticator_response(
    password: &[u8],
    nt_response: &[u8; 24],
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    user_name: &[u8],
) -> [u8; 20] {
    const MAGIC_1: &[u8] = b"Magic server to client signing constant";
    const MAGIC_2: &[u8] = b"Pad to make it do more than one iteration";
    let digest = Sha1::new()
        .chain_update(*hash_nt_password_hash(&nt_password_hash(password)))
        .chain_update(nt_response)
        .chain_update(MAGIC_1)
        .finalize();
    Sha1::new()
        .chain_update(digest)
        .chain_update(challenge_hash(peer_challenge, authenticator_challenge, user_name))
        .chain_update(MAGIC_2)
        .finalize()
        .into()
}

/// CheckAuthenticatorResponse (RFC 2759 8.8), in a time that does not depend
/// on where the two differ.
pub fn check_authenticator_response(
    password: &[u8],
    nt_response: &[u8; 24],
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    user_name: &[u8],
    received_response: &[u8; 20],
) -> bool {
    let expected = generate_authenticator_response(
        password,
        nt_response,
        peer_challenge,
        authenticator_challenge,
        user_name,
    );
    super::is_equal(&expected, received_response)
}

/// DesEncrypt (RFC 2433 A.8, RFC 2759 8.6): one block under the first seven
/// octets of `key`.
fn des_encrypt(clear: &[u8; 8], key: &[u8]) -> [u8; 8] {
    let mut parity_key = des_key(key);
    let mut block = Array::from(*clear);
    Des::new(&Array::from(parity_key)).encrypt_block(&mut block);
    parity_key.zeroize();
    block.into()
}

/// Spreads 56 bits over eight octets and sets odd parity (RFC 2433 B.3).
fn des_key(raw: &[u8]) -> [u8; 8] {
    let bits = raw.iter().take(7).fold(0u64, |bits, &octet| bits << 8 | u64::from(octet));
    std::array::from_fn(|i| {
        let seven = ((bits >> (7 * (7 - i))) & 0x7f) as u8;
        seven << 1 | u8::from(seven.count_ones().is_multiple_of(2))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2759, section 9.2.
    const USER_NAME: &[u8] = b"User";
    const PASSWORD: &[u8] = b"clientPass";
    const AUTHENTICATOR_CHALLENGE: [u8; 16] = [
        0x5b, 0x5d, 0x7c, 0x7d, 0x7b, 0x3f, 0x2f, 0x3e, 0x3c, 0x2c, 0x60, 0x21, 0x32, 0x26, 0x26,
        0x28,
    ];
    const PEER_CHALLENGE: [u8; 16] = [
        0x21, 0x40, 0x23, 0x24, 0x25, 0x5e, 0x26, 0x2a, 0x28, 0x29, 0x5f, 0x2b, 0x3a, 0x33, 0x7c,
        0x7e,
    ];
    const NT_RESPONSE: [u8; 24] = [
        0x82, 0x30, 0x9e, 0xcd, 0x8d, 0x70, 0x8b, 0x5e, 0xa0, 0x8f, 0xaa, 0x39, 0x81, 0xcd, 0x83,
        0x54, 0x42, 0x33, 0x11, 0x4a, 0x3d, 0x85, 0xd6, 0xdf,
    ];
    const PASSWORD_HASH: [u8; 16] = [
        0x44, 0xeb, 0xba, 0x8d, 0x53, 0x12, 0xb8, 0xd6, 0x11, 0x47, 0x44, 0x11, 0xf5, 0x69, 0x89,
        0xae,
    ];
    const PASSWORD_HASH_HASH: [u8; 16] = [
        0x41, 0xc0, 0x0c, 0x58, 0x4b, 0xd2, 0xd9, 0x1c, 0x40, 0x17, 0xa2, 0xa1, 0x2f, 0xa5, 0x9f,
        0x3f,
    ];
    const AUTHENTICATOR_RESPONSE: [u8; 20] = [
        0x40, 0x7a, 0x55, 0x89, 0x11, 0x5f, 0xd0, 0xd6, 0x20, 0x9f, 0x51, 0x0f, 0xe9, 0xc0, 0x45,
        0x66, 0x93, 0x2c, 0xda, 0x56,
    ];

    #[test]
    fn rfc_2759_section_9_2_every_step() {
        assert_eq!(
            challenge_hash(&PEER_CHALLENGE, &AUTHENTICATOR_CHALLENGE, USER_NAME),
            [0xd0, 0x2e, 0x43, 0x86, 0xbc, 0xe9, 0x12, 0x26]
        );
        assert_eq!(*nt_password_hash(PASSWORD), PASSWORD_HASH);
        assert_eq!(*hash_nt_password_hash(&PASSWORD_HASH), PASSWORD_HASH_HASH);
        assert_eq!(
            generate_nt_response(&AUTHENTICATOR_CHALLENGE, &PEER_CHALLENGE, USER_NAME, PASSWORD),
            NT_RESPONSE
        );
        assert_eq!(
            generate_authenticator_response(
                PASSWORD,
                &NT_RESPONSE,
                &PEER_CHALLENGE,
                &AUTHENTICATOR_CHALLENGE,
                USER_NAME
            ),
            AUTHENTICATOR_RESPONSE
        );
    }

    #[test]
    fn domain_is_left_out_of_the_challenge_hash() {
        let bare = challenge_hash(&PEER_CHALLENGE, &AUTHENTICATOR_CHALLENGE, b"User");
        let with = challenge_hash(&PEER_CHALLENGE, &AUTHENTICATOR_CHALLENGE, b"DOMAIN\\User");
        let realm = challenge_hash(&PEER_CHALLENGE, &AUTHENTICATOR_CHALLENGE, b"User@realm");
        assert_eq!(bare, with);
        assert_ne!(bare, realm);
    }

    #[test]
    fn proof_with_one_bit_changed_is_refused() {
        let check = |proof: &[u8; 20]| {
            check_authenticator_response(
                PASSWORD,
                &NT_RESPONSE,
                &PEER_CHALLENGE,
                &AUTHENTICATOR_CHALLENGE,
                USER_NAME,
                proof,
            )
        };
        assert!(check(&AUTHENTICATOR_RESPONSE));
        for bit in 0..160 {
            let mut proof = AUTHENTICATOR_RESPONSE;
            proof[bit / 8] ^= 1 << (bit % 8);
            assert!(!check(&proof), "bit {bit}");
        }
    }

    #[test]
    fn rfc_2433_appendix_b_2() {
        let challenge = [0x10, 0x2d, 0xb5, 0xdf, 0x08, 0x5d, 0x30, 0x41];
        let hash = [
            0xfc, 0x15, 0x6a, 0xf7, 0xed, 0xcd, 0x6c, 0x0e, 0xdd, 0xe3, 0x33, 0x7d, 0x42, 0x7f,
            0x4e, 0xac,
        ];
        assert_eq!(*nt_password_hash(b"MyPw"), hash);
        assert_eq!(
            nt_challenge_response(&challenge, b"MyPw"),
            [
                0x4e, 0x9d, 0x3c, 0x8f, 0x9c, 0xfd, 0x38, 0x5d, 0x5b, 0xf4, 0xd3, 0x24, 0x67, 0x91,
                0x95, 0x6c, 0xa4, 0xc3, 0x51, 0xab, 0x40, 0x9a, 0x3d, 0x61,
            ]
        );
    }

    #[test]
    fn rfc_2433_appendix_b_3_des_keys() {
        assert_eq!(
            des_key(&[0xfc, 0x15, 0x6a, 0xf7, 0xed, 0xcd, 0x6c]),
            [0xfd, 0x0b, 0x5b, 0x5e, 0x7f, 0x6e, 0x34, 0xd9]
        );
        assert_eq!(
            des_key(&[0x0e, 0xdd, 0xe3, 0x33, 0x7d, 0x42, 0x7f]),
            [0x0e, 0x6e, 0x79, 0x67, 0x37, 0xea, 0x08, 0xfe]
        );
    }

    #[test]
    fn rfc_3079_lan_manager_hash() {
        let hash = [
            0x76, 0xa1, 0x52, 0x93, 0x60, 0x96, 0xd7, 0x83, 0x0e, 0x23, 0x90, 0x22, 0x74, 0x04,
            0xaf, 0xd2,
        ];
        assert_eq!(*lm_password_hash(b"clientPass"), hash);
        assert_eq!(*lm_password_hash(b"CLIENTPASS"), hash, "case does not count");
        assert_eq!(
            *lm_password_hash(b"clientPass1234567"),
            *lm_password_hash(b"clientPass1234"),
            "14 octets count"
        );
    }

    #[test]
    fn lm_challenge_response_uses_the_lm_hash() {
        let challenge = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(
            lm_challenge_response(&challenge, b"clientPass"),
            challenge_response(&challenge, &lm_password_hash(b"CLIENTPASS"))
        );
        assert_ne!(
            lm_challenge_response(&challenge, b"clientPass"),
            nt_challenge_response(&challenge, b"clientPass")
        );
    }

    #[test]
    fn utf_8_becomes_utf_16_and_anything_else_latin_1() {
        let md4 = |unicode: &[u8]| <[u8; 16]>::from(Md4::digest(unicode));
        assert_eq!(
            *nt_password_hash("pä😀".as_bytes()),
            md4(&[0x70, 0, 0xe4, 0, 0x3d, 0xd8, 0, 0xde])
        );
        assert_eq!(*nt_password_hash(b"p\xe4"), md4(&[0x70, 0, 0xe4, 0]));
        assert_eq!(*nt_password_hash(b""), md4(&[]));
    }

    #[test]
    fn password_beyond_256_characters_is_cut() {
        assert_eq!(*nt_password_hash(&[b'x'; 300]), *nt_password_hash(&[b'x'; 256]));
        assert_ne!(*nt_password_hash(&[b'x'; 256]), *nt_password_hash(&[b'x'; 255]));
    }
}
