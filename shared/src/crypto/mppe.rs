//! MPPE keys (RFC 3079) and how they change (RFC 3078, section 7).
//!
//! Owns the derivations under the RFC's names, [`MasterKeys`] (what an
//! authentication leaves behind) and [`SessionKey`] (what encrypts packets).
//! The packets themselves are in [`crate::proto::mppe`].
//!
//! Real gateways: pppd refuses 40-bit MPPE after MS-CHAPv1, because it has no
//! LAN Manager hash, and has no 56 bit at all.

use rc4::{KeyInit, Rc4, StreamCipher};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::crypto::mschap;

/// How many bits of a session key are secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyLength {
    /// 40 bits, an 8-octet key that begins with D1 26 9E.
    Bits40,
    /// 56 bits, an 8-octet key that begins with D1.
    Bits56,
    /// 128 bits, a 16-octet key.
    Bits128,
}

impl KeyLength {
    /// Secret bits: 40, 56 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Self::Bits40 => 40,
            Self::Bits56 => 56,
            Self::Bits128 => 128,
        }
    }

    /// Octets of the key as RC4 takes it: 8 or 16.
    pub fn octets(self) -> usize {
        match self {
            Self::Bits40 | Self::Bits56 => 8,
            Self::Bits128 => 16,
        }
    }

    /// The constant over the first octets (RFC 3079, sections 2.1, 2.2 and 3.1,
    /// 3.2), written after each derivation.
    fn salt(self) -> &'static [u8] {
        match self {
            Self::Bits40 => &[0xd1, 0x26, 0x9e],
            Self::Bits56 => &[0xd1],
            Self::Bits128 => &[],
        }
    }
}

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the one that proved itself (the caller) to the gateway.
    ClientToServer,
    /// From the gateway to the caller.
    ServerToClient,
}

/// The start keys that an authentication leaves behind, for every key length
/// and both directions. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct MasterKeys {
    /// 40 and 56 bit; client to server, then server to client.
    short: Zeroizing<[[u8; 8]; 2]>,
    /// 128 bit; client to server, then server to client.
    long: Zeroizing<[[u8; 16]; 2]>,
}

impl MasterKeys {
    /// After MS-CHAPv1 (RFC 3079, section 2): both directions share the key;
    /// 40 and 56 bit come from the LAN Manager hash and are the same for every
    /// session, 128 bit from the NT hash and the challenge.
    pub fn from_mschap_v1(password: &[u8], challenge: &[u8; 8]) -> Self {
        let lm_hash = mschap::lm_password_hash(password);
        let mut short = Zeroizing::new([0; 8]);
        short.copy_from_slice(&lm_hash[..8]);
        let hash_hash = mschap::hash_nt_password_hash(&mschap::nt_password_hash(password));
        let long = get_start_key(challenge, &hash_hash);
        Self { short: Zeroizing::new([*short; 2]), long: Zeroizing::new([*long; 2]) }
    }

    /// After MS-CHAPv2 (RFC 3079, section 3): one key for each direction.
    pub fn from_mschap_v2(password: &[u8], nt_response: &[u8; 24]) -> Self {
        let hash_hash = mschap::hash_nt_password_hash(&mschap::nt_password_hash(password));
        let master_key = get_master_key(&hash_hash, nt_response);
        let mut keys =
            Self { short: Zeroizing::new([[0; 8]; 2]), long: Zeroizing::new([[0; 16]; 2]) };
        for (index, is_send) in [(0, true), (1, false)] {
            let start_key = get_asymmetric_start_key(&master_key, is_send, false);
            keys.short[index].copy_from_slice(&start_key[..8]);
            keys.long[index] = *start_key;
        }
        keys
    }

    /// The start key of one direction: 8 or 16 octets.
    pub fn start_key(&self, direction: Direction, length: KeyLength) -> &[u8] {
        let index = match direction {
            Direction::ClientToServer => 0,
            Direction::ServerToClient => 1,
        };
        match length {
            KeyLength::Bits40 | KeyLength::Bits56 => &self.short[index],
            KeyLength::Bits128 => &self.long[index],
        }
    }
}

/// GetStartKey (RFC 3079 2.3): the 128-bit start key after MS-CHAPv1.
pub fn get_start_key(challenge: &[u8; 8], nt_password_hash_hash: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    first_16(
        Sha1::new()
            .chain_update(nt_password_hash_hash)
            .chain_update(nt_password_hash_hash)
            .chain_update(challenge),
    )
}

/// GetMasterKey (RFC 3079 3.4): what both start keys of MS-CHAPv2 come from.
pub fn get_master_key(
    password_hash_hash: &[u8; 16],
    nt_response: &[u8; 24],
) -> Zeroizing<[u8; 16]> {
    const MAGIC_1: &[u8] = b"This is the MPPE Master Key";
    first_16(
        Sha1::new()
            .chain_update(password_hash_hash)
            .chain_update(nt_response)
            .chain_update(MAGIC_1),
    )
}

/// GetAsymmetricStartKey (RFC 3079 3.4): a start key after MS-CHAPv2. The keys
/// for 40 and 56 bit are its first 8 octets.
pub fn get_asymmetric_start_key(
    master_key: &[u8; 16],
    is_send: bool,
    is_server: bool,
) -> Zeroizing<[u8; 16]> {
    const MAGIC_2: &[u8] =
        b"On the client side, this is the send key; on the server side, it is the receive key.";
    const MAGIC_3: &[u8] =
        b"On the client side, this is the receive key; on the server side, it is the send key.";
    let magic = if is_send == is_server { MAGIC_3 } else { MAGIC_2 };
    first_16(
        Sha1::new()
            .chain_update(master_key)
            .chain_update(SHA_PAD_1)
            .chain_update(magic)
            .chain_update(SHA_PAD_2),
    )
}

/// GetNewKeyFromSHA (RFC 3078 7.3, RFC 3079): the SHA step of a derivation.
/// `start_key` and `session_key` are both 8 or both 16 octets; as many of the
/// result are used.
pub fn get_new_key_from_sha(start_key: &[u8], session_key: &[u8]) -> Zeroizing<[u8; 16]> {
    first_16(
        Sha1::new()
            .chain_update(start_key)
            .chain_update(SHA_PAD_1)
            .chain_update(session_key)
            .chain_update(SHA_PAD_2),
    )
}

/// The key that encrypts now, and the start key it is renewed from.
#[derive(Clone)]
pub struct SessionKey {
    length: KeyLength,
    start_key: Zeroizing<[u8; 16]>,
    key: Zeroizing<[u8; 16]>,
}

impl SessionKey {
    /// The first session key: the SHA step alone. The pass through RC4 belongs
    /// to [`SessionKey::change`] only.
    pub fn new(keys: &MasterKeys, direction: Direction, length: KeyLength) -> Self {
        let mut start_key = Zeroizing::new([0; 16]);
        let octets = length.octets();
        start_key[..octets].copy_from_slice(keys.start_key(direction, length));
        let key = get_new_key_from_sha(&start_key[..octets], &start_key[..octets]);
        let mut session = Self { length, start_key, key };
        session.write_salt();
        session
    }

    /// The next session key (RFC 3078, section 7.3): the SHA step, encrypted
    /// with itself.
    pub fn change(&mut self) {
        let octets = self.length.octets();
        self.key = get_new_key_from_sha(&self.start_key[..octets], &self.key[..octets]);
        let mut rc4 = self.cipher();
        rc4.apply_keystream(&mut self.key[..octets]);
        self.write_salt();
    }

    /// RC4 with freshly initialised tables.
    pub fn cipher(&self) -> Rc4 {
        Rc4::new_from_slice(self.octets()).expect("RC4 takes 8 and 16 octets")
    }

    /// The key itself, 8 or 16 octets.
    pub fn octets(&self) -> &[u8] {
        &self.key[..self.length.octets()]
    }

    fn write_salt(&mut self) {
        let salt = self.length.salt();
        self.key[..salt.len()].copy_from_slice(salt);
    }
}

const SHA_PAD_1: [u8; 40] = [0x00; 40];
const SHA_PAD_2: [u8; 40] = [0xf2; 40];

fn first_16(hash: Sha1) -> Zeroizing<[u8; 16]> {
    let digest: Zeroizing<[u8; 20]> = Zeroizing::new(hash.finalize().into());
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3079, sections 2.5 and 3.5: password, MS-CHAPv1 challenge and
    /// MS-CHAPv2 NT response of every example.
    const PASSWORD: &[u8] = b"clientPass";
    const CHALLENGE: [u8; 8] = [0x10, 0x2d, 0xb5, 0xdf, 0x08, 0x5d, 0x30, 0x41];
    const NT_RESPONSE: [u8; 24] = [
        0x82, 0x30, 0x9e, 0xcd, 0x8d, 0x70, 0x8b, 0x5e, 0xa0, 0x8f, 0xaa, 0x39, 0x81, 0xcd, 0x83,
        0x54, 0x42, 0x33, 0x11, 0x4a, 0x3d, 0x85, 0xd6, 0xdf,
    ];
    const PASSWORD_HASH_HASH: [u8; 16] = [
        0x41, 0xc0, 0x0c, 0x58, 0x4b, 0xd2, 0xd9, 0x1c, 0x40, 0x17, 0xa2, 0xa1, 0x2f, 0xa5, 0x9f,
        0x3f,
    ];
    const MASTER_KEY: [u8; 16] = [
        0xfd, 0xec, 0xe3, 0x71, 0x7a, 0x8c, 0x83, 0x8c, 0xb3, 0x88, 0xe5, 0x27, 0xae, 0x3c, 0xdd,
        0x31,
    ];
    const SERVER_SEND_START_KEY: [u8; 16] = [
        0x8b, 0x7c, 0xdc, 0x14, 0x9b, 0x99, 0x3a, 0x1b, 0xa1, 0x18, 0xcb, 0x15, 0x3f, 0x56, 0xdc,
        0xcb,
    ];
    const CLIENT_SEND_START_KEY: [u8; 16] = [
        0xd5, 0xf0, 0xe9, 0x52, 0x1e, 0x3e, 0xa9, 0x58, 0x96, 0x45, 0xe8, 0x60, 0x51, 0xc8, 0x22,
        0x26,
    ];

    fn encrypted_sample(key: &SessionKey) -> Vec<u8> {
        let mut message = b"test message".to_vec();
        key.cipher().apply_keystream(&mut message);
        message
    }

    #[test]
    fn rfc_3079_section_3_5_start_keys() {
        assert_eq!(*get_master_key(&PASSWORD_HASH_HASH, &NT_RESPONSE), MASTER_KEY);
        assert_eq!(*get_asymmetric_start_key(&MASTER_KEY, true, true), SERVER_SEND_START_KEY);
        assert_eq!(*get_asymmetric_start_key(&MASTER_KEY, false, false), SERVER_SEND_START_KEY);
        assert_eq!(*get_asymmetric_start_key(&MASTER_KEY, true, false), CLIENT_SEND_START_KEY);
        assert_eq!(*get_asymmetric_start_key(&MASTER_KEY, false, true), CLIENT_SEND_START_KEY);

        let keys = MasterKeys::from_mschap_v2(PASSWORD, &NT_RESPONSE);
        let to_client = |length| keys.start_key(Direction::ServerToClient, length);
        let to_server = |length| keys.start_key(Direction::ClientToServer, length);
        assert_eq!(to_client(KeyLength::Bits128), SERVER_SEND_START_KEY);
        assert_eq!(to_client(KeyLength::Bits40), &SERVER_SEND_START_KEY[..8]);
        assert_eq!(to_server(KeyLength::Bits128), CLIENT_SEND_START_KEY);
        assert_eq!(to_server(KeyLength::Bits56), &CLIENT_SEND_START_KEY[..8]);
    }

    #[test]
    fn rfc_3079_section_3_5_session_keys() {
        let keys = MasterKeys::from_mschap_v2(PASSWORD, &NT_RESPONSE);
        let session = |length| SessionKey::new(&keys, Direction::ServerToClient, length);

        let key = session(KeyLength::Bits40);
        assert_eq!(key.octets(), [0xd1, 0x26, 0x9e, 0xc4, 0x9f, 0xa6, 0x2e, 0x3e]);
        assert_eq!(
            encrypted_sample(&key),
            [0x92, 0x91, 0x37, 0x91, 0x7e, 0x58, 0x03, 0xd6, 0x68, 0xd7, 0x58, 0x98]
        );

        // The RFC prints 58 as the last octet; RC4 under the key it prints
        // gives b8.
        let key = session(KeyLength::Bits56);
        assert_eq!(key.octets(), [0xd1, 0x5c, 0x00, 0xc4, 0x9f, 0xa6, 0x2e, 0x3e]);
        assert_eq!(
            encrypted_sample(&key),
            [0x3f, 0x10, 0x68, 0x33, 0xfa, 0x44, 0x8d, 0xa8, 0x42, 0xbc, 0x57, 0xb8]
        );

        let key = session(KeyLength::Bits128);
        assert_eq!(
            key.octets(),
            [
                0x40, 0x5c, 0xb2, 0x24, 0x7a, 0x79, 0x56, 0xe6, 0xe2, 0x11, 0x00, 0x7a, 0xe2, 0x7b,
                0x22, 0xd4,
            ]
        );
        assert_eq!(
            encrypted_sample(&key),
            [0x81, 0x84, 0x83, 0x17, 0xdf, 0x68, 0x84, 0x62, 0x72, 0xfb, 0x5a, 0xbe]
        );
    }

    #[test]
    fn rfc_3079_section_2_5_keys_of_mschap_v1() {
        let lm_half = [0x76, 0xa1, 0x52, 0x93, 0x60, 0x96, 0xd7, 0x83];
        assert_eq!(
            get_new_key_from_sha(&lm_half, &lm_half)[..8],
            [0xd8, 0x08, 0x01, 0x53, 0x8c, 0xec, 0x4a, 0x08]
        );
        let start_key = [
            0xa8, 0x94, 0x78, 0x50, 0xcf, 0xc0, 0xac, 0xc1, 0xd1, 0x78, 0x9f, 0xb6, 0x2d, 0xdc,
            0xdd, 0xb0,
        ];
        assert_eq!(*get_start_key(&CHALLENGE, &PASSWORD_HASH_HASH), start_key);

        let keys = MasterKeys::from_mschap_v1(PASSWORD, &CHALLENGE);
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            let session = |length| SessionKey::new(&keys, direction, length);
            assert_eq!(
                session(KeyLength::Bits40).octets(),
                [0xd1, 0x26, 0x9e, 0x53, 0x8c, 0xec, 0x4a, 0x08]
            );
            assert_eq!(
                session(KeyLength::Bits56).octets(),
                [0xd1, 0x08, 0x01, 0x53, 0x8c, 0xec, 0x4a, 0x08]
            );
            assert_eq!(
                session(KeyLength::Bits128).octets(),
                [
                    0x59, 0xd1, 0x59, 0xbc, 0x09, 0xf7, 0x6f, 0x1d, 0xa2, 0xa8, 0x6a, 0x28, 0xff,
                    0xec, 0x0b, 0x1e,
                ]
            );
        }
    }

    #[test]
    fn salt_survives_a_key_change() {
        let keys = MasterKeys::from_mschap_v2(PASSWORD, &NT_RESPONSE);
        for length in [KeyLength::Bits40, KeyLength::Bits56, KeyLength::Bits128] {
            let mut key = SessionKey::new(&keys, Direction::ClientToServer, length);
            let before = key.octets().to_vec();
            key.change();
            assert_ne!(key.octets(), before);
            assert_eq!(&key.octets()[..length.salt().len()], length.salt());
            assert_eq!(key.octets().len(), length.octets());
        }
    }
}
