//! MPPE, the encryption of PPP packets (RFC 3078), for both roles.
//!
//! Owns the header, the coherency count and the moments at which keys change.
//! Leaves the keys to [`crate::crypto::mppe`], the agreement on a [`Mode`] and
//! the Reset packets to CCP.
//!
//! ```text
//!  0                   1
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+----------------------------
//! |A|B|C|D|    Coherency Count    | RC4 of protocol and payload
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+----------------------------
//! A  flushed: the tables were initialised before this packet
//! B  MPPC only            C  compressed            D  encrypted
//! ```
//!
//! The RFC leaves open where the count begins (0 here, as everywhere) and in
//! stateless mode it changes the key before the first packet already.
//!
//! Real gateways disagree on a flushed packet of stateful mode. The RFC
//! initialises the tables with the key as it is; Linux (pptpd, accel-ppp)
//! changes the key first. Both agree on the packet whose count ends in ff, on
//! which the key changes anyway. So after a Reset-Request the [`Encryptor`]
//! goes on with the next such count, as if the packets in between were lost,
//! and the [`Decryptor`] reads both kinds. Linux also leaves the flushed bit
//! off the first packet of stateful mode; so does the encryptor here, as fresh
//! tables are what that packet has in either reading.

use std::fmt;

use rc4::{Rc4, StreamCipher};

pub use crate::crypto::mppe::{Direction, KeyLength, MasterKeys};

use crate::crypto::mppe::SessionKey;
use crate::wire::{ip, ppp};

/// How the two sides encrypt, as CCP agreed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Secret bits of the keys.
    pub length: KeyLength,
    /// Whether the key changes with each packet (the H bit of the CCP option);
    /// otherwise with every 256th.
    pub stateless: bool,
}

/// What a [`Decryptor`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets that were decrypted.
    pub decrypted: u64,
    /// Counts that were left out: lost packets, or those a reset skipped.
    pub missing: u64,
    /// Packets refused as old or duplicate.
    pub old: u64,
    /// Packets refused because a reset is due.
    pub undecipherable: u64,
    /// Packets that came out of the cipher as nonsense.
    pub garbled: u64,
    /// Packets with an impossible header.
    pub malformed: u64,
}

/// Why a packet was not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecryptError {
    /// Shorter than header and protocol.
    Truncated,
    /// The D bit is not set: the packet is not encrypted.
    NotEncrypted,
    /// The C bit is set, but compression was never agreed.
    Compressed,
    /// Stateless mode without the flushed bit, which RFC 3078, section 3.1,
    /// demands there.
    NotFlushed,
    /// The count was passed before: late or duplicate.
    Old {
        /// The packet's count, 0 to 4095.
        count: u16,
    },
    /// Stateful mode and a packet was lost: nothing can be read before a
    /// flushed packet. CCP should send a Reset-Request.
    NeedReset,
    /// What came out has no network protocol number (0021 to 00fa): the keys
    /// of the two sides differ. Wrong keys are found in about half of the
    /// packets only, as there is no checksum.
    Garbled,
}

impl fmt::Display for DecryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("MPPE packet is too short"),
            Self::NotEncrypted => f.write_str("MPPE packet is not encrypted"),
            Self::Compressed => f.write_str("MPPE packet is compressed, which was not agreed"),
            Self::NotFlushed => f.write_str("stateless MPPE packet has no flushed bit"),
            Self::Old { count } => write!(f, "MPPE packet {count} is late or a duplicate"),
            Self::NeedReset => f.write_str("MPPE packets were lost and a reset is due"),
            Self::Garbled => f.write_str("MPPE packet does not decrypt: the keys differ"),
        }
    }
}

impl std::error::Error for DecryptError {}

/// Encrypts what one side sends.
pub struct Encryptor {
    key: SessionKey,
    stateless: bool,
    cipher: Rc4,
    next: u16,
    flush: bool,
}

impl Encryptor {
    /// The caller's, which proved itself.
    pub fn new(keys: &MasterKeys, mode: Mode) -> Self {
        Self::towards(keys, mode, Direction::ClientToServer)
    }

    /// The gateway's.
    pub fn for_server(keys: &MasterKeys, mode: Mode) -> Self {
        Self::towards(keys, mode, Direction::ServerToClient)
    }

    fn towards(keys: &MasterKeys, mode: Mode, direction: Direction) -> Self {
        let key = SessionKey::new(keys, direction, mode.length);
        let cipher = key.cipher();
        Self { key, stateless: mode.stateless, cipher, next: 0, flush: false }
    }

    /// The information field of a PPP frame of protocol 00fd: two octets of
    /// header, then protocol and payload encrypted.
    pub fn encrypt(&mut self, protocol: u16, payload: &[u8]) -> Vec<u8> {
        if self.flush {
            self.next |= FLAG;
            self.flush = false;
        }
        let count = self.next;
        self.next = (count + 1) % COUNTS;
        let mut bits = ENCRYPTED;
        if self.stateless || is_flag(count) {
            self.key.change();
            self.cipher = self.key.cipher();
            bits |= FLUSHED;
        }
        let mut information = Vec::with_capacity(4 + payload.len());
        information.extend_from_slice(&(bits | count).to_be_bytes());
        information.extend_from_slice(&protocol.to_be_bytes());
        information.extend_from_slice(payload);
        self.cipher.apply_keystream(&mut information[2..]);
        information
    }

    /// The peer sent a Reset-Request: the next packet is a flushed one.
    /// Stateless mode has nothing to reset.
    pub fn reset(&mut self) {
        self.flush = !self.stateless;
    }
}

/// Decrypts what the other side sends.
pub struct Decryptor {
    key: SessionKey,
    stateless: bool,
    cipher: Rc4,
    /// The count after the newest one that was passed.
    expected: u16,
    /// Stateful mode lost a packet.
    need_reset: bool,
    /// A flushed packet before the flag count has a changed key (Linux).
    changed_by_flush: bool,
    counters: Counters,
}

impl Decryptor {
    /// The caller's, for what the gateway sends.
    pub fn new(keys: &MasterKeys, mode: Mode) -> Self {
        Self::towards(keys, mode, Direction::ServerToClient)
    }

    /// The gateway's, for what the caller sends.
    pub fn for_server(keys: &MasterKeys, mode: Mode) -> Self {
        Self::towards(keys, mode, Direction::ClientToServer)
    }

    fn towards(keys: &MasterKeys, mode: Mode, direction: Direction) -> Self {
        let key = SessionKey::new(keys, direction, mode.length);
        let cipher = key.cipher();
        Self {
            key,
            stateless: mode.stateless,
            cipher,
            expected: 0,
            need_reset: false,
            changed_by_flush: true,
            counters: Counters::default(),
        }
    }

    /// Takes the information field of a PPP frame of protocol 00fd and gives
    /// the PPP protocol and payload inside.
    ///
    /// # Errors
    /// See [`DecryptError`]; all of them leave the machine usable. After a loss
    /// of less than 2048 packets stateless mode is in step again with the next
    /// one, stateful mode after [`DecryptError::NeedReset`] and a flushed
    /// packet. A greater loss looks like late packets, as 12 bits of count
    /// cannot tell. At most 2048 key changes are made for one packet.
    pub fn decrypt(&mut self, information: &[u8]) -> Result<(u16, Vec<u8>), DecryptError> {
        let result = self.decrypt_counted(information);
        let counter = match result {
            Ok(_) => &mut self.counters.decrypted,
            Err(DecryptError::Old { .. }) => &mut self.counters.old,
            Err(DecryptError::NeedReset) => &mut self.counters.undecipherable,
            Err(DecryptError::Garbled) => &mut self.counters.garbled,
            Err(_) => &mut self.counters.malformed,
        };
        *counter += 1;
        result
    }

    /// What was seen so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether CCP should ask for a reset.
    pub fn needs_reset(&self) -> bool {
        self.need_reset
    }

    fn decrypt_counted(&mut self, information: &[u8]) -> Result<(u16, Vec<u8>), DecryptError> {
        let [high, low, encrypted @ ..] = information else {
            return Err(DecryptError::Truncated);
        };
        let header = u16::from_be_bytes([*high, *low]);
        let count = header % COUNTS;
        let flushed = header & FLUSHED != 0;
        if encrypted.is_empty() {
            return Err(DecryptError::Truncated);
        }
        if header & ENCRYPTED == 0 {
            return Err(DecryptError::NotEncrypted);
        }
        if header & COMPRESSED != 0 {
            return Err(DecryptError::Compressed);
        }
        if self.stateless && !flushed {
            return Err(DecryptError::NotFlushed);
        }
        let missing = count.wrapping_sub(self.expected) % COUNTS;
        if missing >= COUNTS / 2 {
            return Err(DecryptError::Old { count });
        }
        if self.stateless {
            self.counters.missing += u64::from(missing);
            self.expected = (count + 1) % COUNTS;
            for _ in 0..=missing {
                self.key.change();
            }
            self.cipher = self.key.cipher();
            let plain = self.plain(encrypted);
            return opened(&plain);
        }
        self.decrypt_stateful(count, missing, flushed, encrypted)
    }

    fn decrypt_stateful(
        &mut self,
        count: u16,
        missing: u16,
        flushed: bool,
        encrypted: &[u8],
    ) -> Result<(u16, Vec<u8>), DecryptError> {
        if !flushed && (missing > 0 || self.need_reset) {
            // The count stays where it is: keys that changed in the meantime
            // are made up for when a flushed packet comes.
            self.need_reset = true;
            return Err(DecryptError::NeedReset);
        }
        self.counters.missing += u64::from(missing);
        // Changes that were passed over with the missing packets.
        let passed = (0..missing).filter(|ahead| is_flag((self.expected + ahead) % COUNTS));
        for _ in 0..passed.count() {
            self.key.change();
        }
        self.expected = (count + 1) % COUNTS;
        self.need_reset = false;
        if !flushed {
            let plain = self.plain(encrypted);
            return opened(&plain);
        }
        let likely = u32::from(is_flag(count) || self.changed_by_flush);
        let (changes, plain) = self.flushed_plain(is_flag(count), likely, encrypted);
        if !is_flag(count) && split(&plain).is_some() {
            self.changed_by_flush = changes > 0;
        }
        opened(&plain)
    }

    /// Reads a flushed packet with the key changed as often as gives a whole
    /// datagram, for the sender may have changed it more often than the counts
    /// tell: Linux does so with each flushed packet, the lost ones included.
    /// Where no number does, `likely` is taken.
    fn flushed_plain(&mut self, flag: bool, likely: u32, encrypted: &[u8]) -> (u32, Vec<u8>) {
        let candidates = u32::from(flag)..=FLUSHES_LOST_MAX;
        let mut chosen = None;
        let mut key = self.key.clone();
        for changes in 0..=*candidates.end() {
            if changes > 0 {
                key.change();
            }
            if !candidates.contains(&changes) {
                continue;
            }
            let mut cipher = key.cipher();
            let mut plain = encrypted.to_vec();
            cipher.apply_keystream(&mut plain);
            let whole = is_whole_datagram(&plain);
            if whole || changes == likely {
                chosen = Some((changes, plain, key.clone(), cipher));
            }
            if whole {
                break;
            }
        }
        match chosen {
            Some((changes, plain, key, cipher)) => {
                self.key = key;
                self.cipher = cipher;
                (changes, plain)
            }
            None => (likely, Vec::new()),
        }
    }

    fn plain(&mut self, encrypted: &[u8]) -> Vec<u8> {
        let mut plain = encrypted.to_vec();
        self.cipher.apply_keystream(&mut plain);
        plain
    }
}

const FLUSHED: u16 = 0x8000;
const COMPRESSED: u16 = 0x2000;
const ENCRYPTED: u16 = 0x1000;

/// Coherency counts are 12 bits wide.
const COUNTS: u16 = 0x1000;

/// The key of stateful mode changes on counts that end so (RFC 3078, 7.2).
const FLAG: u16 = 0x00ff;

/// Key changes tried for one flushed packet.
const FLUSHES_LOST_MAX: u32 = 4;

fn is_flag(count: u16) -> bool {
    count & FLAG == FLAG
}

/// Protocol, of one octet or two, and payload. Only network protocols are
/// encrypted (RFC 3078, section 2).
fn split(plain: &[u8]) -> Option<(u16, &[u8])> {
    let (protocol, payload) = match plain {
        [0, low, payload @ ..] => (u16::from(*low), payload),
        [low, payload @ ..] => (u16::from(*low), payload),
        [] => return None,
    };
    let network = protocol % 2 == 1 && (0x21..=0xfa).contains(&protocol);
    network.then_some((protocol, payload))
}

/// What a decrypted packet holds.
fn opened(plain: &[u8]) -> Result<(u16, Vec<u8>), DecryptError> {
    let (protocol, payload) = split(plain).ok_or(DecryptError::Garbled)?;
    Ok((protocol, payload.to_vec()))
}

/// An IPv4 datagram with a right header checksum and length, or an IPv6 one
/// with a right length.
fn is_whole_datagram(plain: &[u8]) -> bool {
    match split(plain) {
        Some((ppp::IPV4, datagram)) => {
            let header = datagram.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            let right_length = datagram.get(2..4) == Some(&length_octets(datagram.len()));
            datagram.first().is_some_and(|first| first >> 4 == 4)
                && header >= 20
                && right_length
                && datagram.get(..header).is_some_and(|header| ip::checksum(header) == 0)
        }
        Some((ppp::IPV6, datagram)) => {
            let payload = datagram.len().wrapping_sub(40);
            datagram.first().is_some_and(|first| first >> 4 == 6)
                && datagram.get(4..6) == Some(&length_octets(payload))
        }
        _ => false,
    }
}

fn length_octets(length: usize) -> [u8; 2] {
    (length as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::mschap;

    const PASSWORD: &[u8] = b"Pr0be-secret";
    const STATELESS: Mode = Mode { length: KeyLength::Bits128, stateless: true };
    const STATEFUL: Mode = Mode { length: KeyLength::Bits128, stateless: false };

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().map(|digit| digit.to_digit(16).expect("hex") as u8).collect();
        digits.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
    }

    /// pptpd 1.4.0 with the kernel's MPPE and pptp-linux, MS-CHAPv2.
    fn captured_v2(nt_response: &str) -> MasterKeys {
        let nt_response = unhex(nt_response).try_into().expect("24 octets");
        MasterKeys::from_mschap_v2(PASSWORD, &nt_response)
    }

    fn assert_captured(decryptor: &mut Decryptor, frames: &[&str]) {
        for frame in frames {
            let (protocol, payload) = decryptor.decrypt(&unhex(frame)).expect(frame);
            let plain = [&protocol.to_be_bytes(), payload.as_slice()].concat();
            assert!(is_whole_datagram(&plain), "{protocol:04x} {payload:02x?}");
        }
        assert_eq!(decryptor.counters().decrypted, frames.len() as u64);
    }

    #[test]
    fn captured_128_bit_stateless_packets_both_ways() {
        let keys = captured_v2("7ef0afbce88d75b1e7dde02f3f86462e6aba57757c1b8dbe");
        assert_captured(
            &mut Decryptor::new(&keys, STATELESS),
            &[
                "900049d7d8f4c848caf68f8927309e32275f4dc92161222d9a766e336a7baa2f978e2272547c25f5058d6b6767b17b7dabf41a8b",
                "90014cc962595071c8d8efe09e75eddbafce1734a978c2a691c8937999cbe8be630a2a70b51a2296088bc007948c2a5f70589e2cb0bdd8d80ccccf84e7670d91",
                "90020f2224a2bb1eda6cd8358e6e97b735e1b14901d100e3d6b2663bfdbeb38a8b728118efdf011ba2e02f785f48fee0a4195d7db707dbe7",
            ],
        );
        assert_captured(
            &mut Decryptor::for_server(&keys, STATELESS),
            &[
                "9000e065ed56f681c548cb34dd626e8ee94e5e53e8caa4dbf3006e927e8a35cd29fff0133cdb1ecbde5da7d9e38f524f42488c13",
                "9001c5bfa3177c07e69ebd2653787bef8022231d060cdb0da0b6b694fe80323f9b25bca923fc69043d4057d2e2ef277dfab3c2b2f7632fc0b211fc3ab2b8f2a9",
                "90020f7911f7d6a5f12ebd3e5b88d25cc2d8c361d499d068a0ddde89d785cf5bb0456a9d280ff4667d27a2095e7358d7f3e3e8eab8f7496d",
            ],
        );
    }

    /// The options said mppe-stateful; pppd agreed on stateless nevertheless.
    #[test]
    fn captured_packets_of_another_session() {
        let keys = captured_v2("a9b835d8153144d6d2a556a437d795c2631f8176c6ec8af2");
        assert_captured(
            &mut Decryptor::new(&keys, STATELESS),
            &[
                "90000109672d28e550f152f871cb362902ac86c26d8caa0c2b45563a7b7502beee490a7ce997e894ae42956a1b1dd677ae9c8a19",
                "90013fb87836ee31ae7a4e40a06f0b6058d71435d036bc70a49ce8e076d359ddb1cbc75cd90e895ddd8a53ad8517d806f3a5dd0f17c46bdb73d99affa200e0ac",
            ],
        );
        assert_captured(
            &mut Decryptor::for_server(&keys, STATELESS),
            &[
                "9000b75bdf2508fbac42d9aa2c0c1c30cdb3fe260ae570294edc8e33feb8977f0b5079fed6536bf8d70070fb6bc6333511b79e32",
                "90010fa6db152ccce499281bf9179564c550f15d11e5d58ef67d51ca0d34fa9b4cb92820ccd1c8d76e066c6b12fb7f627e46f5edd05bb274524649bb77c8862f",
            ],
        );
    }

    #[test]
    fn captured_40_bit_packets_both_ways() {
        let keys = captured_v2("dbaa7bbeffc06b7b6a534e3d90937016ca7b1cedaf6c54bd");
        let mode = Mode { length: KeyLength::Bits40, stateless: true };
        assert_captured(
            &mut Decryptor::new(&keys, mode),
            &[
                "9000bbb29c3670c464754c859e37036102b8d2bd1df7c9370b4297ae1090281e34452010411b64a6bc181ee862cdfecbe375880d",
            ],
        );
        assert_captured(
            &mut Decryptor::for_server(&keys, mode),
            &[
                "9000f2d3d6eb325bfe627aa451edeb4770945bacade8f479bedee2f1ea3b374dfc769278a28e677184f69d5465097ba946d9d675",
            ],
        );
    }

    #[test]
    fn captured_packets_after_mschap_v1() {
        let challenge = [0x86, 0x79, 0x33, 0xfb, 0x9b, 0x27, 0x81, 0xfd];
        let keys = MasterKeys::from_mschap_v1(PASSWORD, &challenge);
        assert_captured(
            &mut Decryptor::new(&keys, STATELESS),
            &[
                "9000687170e3fe428b7eae16e37ebfd0fd450fb90266a7afa8e154b062e943b8d865b873fdaf3a1aa1033ef1c0f549f1f8c6494a",
                "9001caf64223b98e2b93bbbce9bb3d7b82b92fb2f00f5ef7859d9535683a22ef2c49f5db28b14e5f93f75585fcdf8d0fc54ff9a02b637faf6ccc2e7574694da2",
            ],
        );
        assert_captured(
            &mut Decryptor::for_server(&keys, STATELESS),
            &[
                "9000687170e3fe428b7eae16e37ebfd0fd450fb956ad6eddf23a34c462e943b8d865b873fdaf3a1aa1033ef1c0f53df0f8c6494a",
                "9001caf64223b98e0977bbbce9bbde6082b92fb9f00f5efc168b0623f738063386d4942428a14c7b24855585fcdf8d0fc54ff9a0d84493356917fdf074694da2",
            ],
        );
    }

    /// A captured packet made again from its plain text.
    #[test]
    fn encryptor_makes_the_octets_of_the_kernel() {
        let keys = captured_v2("7ef0afbce88d75b1e7dde02f3f86462e6aba57757c1b8dbe");
        let frames = [
            "900049d7d8f4c848caf68f8927309e32275f4dc92161222d9a766e336a7baa2f978e2272547c25f5058d6b6767b17b7dabf41a8b",
            "90014cc962595071c8d8efe09e75eddbafce1734a978c2a691c8937999cbe8be630a2a70b51a2296088bc007948c2a5f70589e2cb0bdd8d80ccccf84e7670d91",
        ];
        let mut decryptor = Decryptor::new(&keys, STATELESS);
        let mut encryptor = Encryptor::for_server(&keys, STATELESS);
        for frame in frames.map(unhex) {
            let (protocol, payload) = decryptor.decrypt(&frame).expect("decrypts");
            assert_eq!(encryptor.encrypt(protocol, &payload), frame);
        }
    }

    fn keys() -> MasterKeys {
        captured_v2("7ef0afbce88d75b1e7dde02f3f86462e6aba57757c1b8dbe")
    }

    fn pair(mode: Mode) -> (Encryptor, Decryptor) {
        (Encryptor::new(&keys(), mode), Decryptor::for_server(&keys(), mode))
    }

    /// An IPv4 datagram that carries a number.
    fn datagram(number: u32) -> Vec<u8> {
        let mut octets = vec![0x45, 0, 0, 24, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let sum = ip::checksum(&octets);
        octets[10..12].copy_from_slice(&sum.to_be_bytes());
        octets.extend_from_slice(&number.to_be_bytes());
        octets
    }

    #[test]
    fn header_bits_of_both_modes() {
        let (mut encryptor, _) = pair(STATELESS);
        assert_eq!(encryptor.encrypt(0x21, b"x")[..2], [0x90, 0x00]);
        assert_eq!(encryptor.encrypt(0x21, b"x")[..2], [0x90, 0x01]);
        let (mut encryptor, _) = pair(STATEFUL);
        for count in 0..COUNTS + 3 {
            let information = encryptor.encrypt(0x21, b"x");
            let bits = if count % 256 == 255 { FLUSHED | ENCRYPTED } else { ENCRYPTED };
            assert_eq!(information[..2], (bits | (count % COUNTS)).to_be_bytes());
        }
    }

    #[test]
    fn every_mode_and_length_round_the_count() {
        for length in [KeyLength::Bits40, KeyLength::Bits56, KeyLength::Bits128] {
            for stateless in [true, false] {
                let (mut encryptor, mut decryptor) = pair(Mode { length, stateless });
                for number in 0..u32::from(COUNTS) + 300 {
                    let information = encryptor.encrypt(ppp::IPV6, &number.to_be_bytes());
                    assert_eq!(
                        decryptor.decrypt(&information),
                        Ok((ppp::IPV6, number.to_be_bytes().to_vec()))
                    );
                }
            }
        }
    }

    #[test]
    fn the_two_directions_differ() {
        let mut encryptor = Encryptor::new(&keys(), STATELESS);
        let mut same_side = Decryptor::new(&keys(), STATELESS);
        assert_ne!(
            same_side.decrypt(&encryptor.encrypt(0x21, &datagram(1))),
            Ok((0x21, datagram(1)))
        );
    }

    #[test]
    fn stateless_is_in_step_after_any_loss() {
        let (mut encryptor, mut decryptor) = pair(STATELESS);
        for lost in [0, 1, 255, 2047] {
            for _ in 0..lost {
                encryptor.encrypt(0x21, b"lost");
            }
            assert_eq!(
                decryptor.decrypt(&encryptor.encrypt(0x21, b"next")),
                Ok((0x21, b"next".to_vec()))
            );
        }
        assert_eq!(decryptor.counters().missing, 1 + 255 + 2047);
    }

    #[test]
    fn late_and_duplicate_packets_are_refused() {
        for mode in [STATELESS, STATEFUL] {
            let (mut encryptor, mut decryptor) = pair(mode);
            let first = encryptor.encrypt(0x21, b"first");
            let second = encryptor.encrypt(0x21, b"second");
            assert!(decryptor.decrypt(&first).is_ok());
            assert_eq!(decryptor.decrypt(&first), Err(DecryptError::Old { count: 0 }));
            assert!(decryptor.decrypt(&second).is_ok());
            assert_eq!(decryptor.decrypt(&first), Err(DecryptError::Old { count: 0 }));
            assert_eq!(decryptor.counters().old, 2);
        }
    }

    #[test]
    fn stateful_loss_needs_a_reset_and_recovers_with_it() {
        for lost in [1, 2, 254, 255, 256, 600] {
            let (mut encryptor, mut decryptor) = pair(STATEFUL);
            assert!(decryptor.decrypt(&encryptor.encrypt(0x21, b"one")).is_ok());
            for _ in 0..lost {
                encryptor.encrypt(0x21, b"lost");
            }
            // A flag packet heals the loss of itself; step past it.
            let next = encryptor.encrypt(0x21, b"three");
            if next[0] & 0x80 == 0 {
                assert_eq!(decryptor.decrypt(&next), Err(DecryptError::NeedReset));
                assert!(decryptor.needs_reset());
            } else {
                assert_eq!(decryptor.decrypt(&next), Ok((0x21, b"three".to_vec())));
            }
            encryptor.reset();
            for number in 0..600 {
                let information = encryptor.encrypt(0x21, &datagram(number));
                assert_eq!(decryptor.decrypt(&information), Ok((0x21, datagram(number))), "{lost}");
            }
            assert!(!decryptor.needs_reset());
        }
    }

    #[test]
    fn stateful_loss_heals_by_itself_with_the_next_key_change() {
        let (mut encryptor, mut decryptor) = pair(STATEFUL);
        encryptor.encrypt(0x21, b"lost");
        for count in 1..300u32 {
            let information = encryptor.encrypt(0x21, &datagram(count));
            let expected = if count < 255 {
                Err(DecryptError::NeedReset)
            } else {
                Ok((0x21, datagram(count)))
            };
            assert_eq!(decryptor.decrypt(&information), expected);
        }
    }

    #[test]
    fn reset_in_stateless_mode_changes_nothing() {
        let (mut encryptor, mut decryptor) = pair(STATELESS);
        encryptor.reset();
        let information = encryptor.encrypt(0x21, b"x");
        assert_eq!(information[..2], [0x90, 0x00]);
        assert!(decryptor.decrypt(&information).is_ok());
    }

    /// How other gateways flush in stateful mode: at the next count, with the
    /// key as it is (RFC 3078) or changed (Linux).
    struct Foreign {
        key: SessionKey,
        cipher: Rc4,
        count: u16,
    }

    impl Foreign {
        fn new() -> Self {
            let key = SessionKey::new(&keys(), Direction::ServerToClient, KeyLength::Bits128);
            let cipher = key.cipher();
            Self { key, cipher, count: 0 }
        }

        fn send(&mut self, payload: &[u8], flush: bool, changes: bool) -> Vec<u8> {
            let mut header = ENCRYPTED | self.count;
            if is_flag(self.count) || (flush && changes) {
                self.key.change();
            }
            if is_flag(self.count) || flush {
                self.cipher = self.key.cipher();
                header |= FLUSHED;
            }
            self.count = (self.count + 1) % COUNTS;
            let mut body = [&[0, 0x21], payload].concat();
            self.cipher.apply_keystream(&mut body);
            [&header.to_be_bytes(), body.as_slice()].concat()
        }
    }

    #[test]
    fn both_readings_of_a_flushed_packet_are_understood() {
        for changes in [true, false] {
            let mut sender = Foreign::new();
            let mut decryptor = Decryptor::new(&keys(), STATEFUL);
            // As the RFC has it, the very first packet may be flushed.
            let first = sender.send(&datagram(0), !changes, changes);
            assert_eq!(decryptor.decrypt(&first), Ok((0x21, datagram(0))));
            for number in 1..1000 {
                let flush = number % 10 == 0;
                let information = sender.send(&datagram(number), flush, changes);
                if number % 10 == 5 {
                    continue;
                }
                let result = decryptor.decrypt(&information);
                if number % 10 < 5 || is_flag(number as u16) {
                    assert_eq!(result, Ok((0x21, datagram(number))), "{changes} {number}");
                }
            }
        }
    }

    #[test]
    fn lost_flushed_packets_of_linux_are_made_up_for() {
        let mut sender = Foreign::new();
        let mut decryptor = Decryptor::new(&keys(), STATEFUL);
        assert!(decryptor.decrypt(&sender.send(&datagram(0), false, true)).is_ok());
        for number in 1..4 {
            sender.send(&datagram(number), true, true);
        }
        let information = sender.send(&datagram(4), true, true);
        assert_eq!(decryptor.decrypt(&information), Ok((0x21, datagram(4))));
    }

    #[test]
    fn impossible_headers_are_named() {
        let (_, mut decryptor) = pair(STATELESS);
        assert_eq!(decryptor.decrypt(&[]), Err(DecryptError::Truncated));
        assert_eq!(decryptor.decrypt(&[0x90, 0]), Err(DecryptError::Truncated));
        assert_eq!(decryptor.decrypt(&[0x80, 0, 1]), Err(DecryptError::NotEncrypted));
        assert_eq!(decryptor.decrypt(&[0xb0, 0, 1]), Err(DecryptError::Compressed));
        assert_eq!(decryptor.decrypt(&[0x10, 0, 1]), Err(DecryptError::NotFlushed));
        assert_eq!(decryptor.counters().malformed, 5);
        assert_eq!(decryptor.counters().missing, 0, "nothing of it counted");
    }

    #[test]
    fn wrong_keys_are_noticed_soon() {
        let mut encryptor = Encryptor::new(&keys(), STATELESS);
        let other = MasterKeys::from_mschap_v2(b"other", &[7; 24]);
        let mut decryptor = Decryptor::for_server(&other, STATELESS);
        for number in 0..20 {
            let _ = decryptor.decrypt(&encryptor.encrypt(0x21, &datagram(number)));
        }
        assert!(decryptor.counters().garbled > 4, "{:?}", decryptor.counters());
    }

    #[test]
    fn compressed_protocol_field_is_read() {
        assert_eq!(split(&[0x21, 1]), Some((0x21, &[1][..])));
        assert_eq!(split(&[0, 0x57]), Some((0x57, &[][..])));
        for garbled in [&[0x20u8, 1][..], &[0xfd, 1], &[0x1f], &[0], &[0, 0], &[]] {
            assert_eq!(split(garbled), None);
        }
    }

    #[test]
    fn keys_of_an_authentication_meet_on_both_sides() {
        let nt_response = mschap::generate_nt_response(&[1; 16], &[2; 16], b"probe", PASSWORD);
        let keys = MasterKeys::from_mschap_v2(PASSWORD, &nt_response);
        let mut to_client = Encryptor::for_server(&keys, STATEFUL);
        let mut client = Decryptor::new(&keys, STATEFUL);
        assert_eq!(client.decrypt(&to_client.encrypt(0x21, b"hi")), Ok((0x21, b"hi".to_vec())));
    }

    /// What a link does with each packet that is sent.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        Deliver,
        Lose,
        Duplicate,
        /// Comes after the next one.
        Delay,
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![
            12 => Just(Fate::Deliver),
            2 => Just(Fate::Lose),
            1 => Just(Fate::Duplicate),
            1 => Just(Fate::Delay),
        ]
    }

    proptest! {
        #[test]
        fn a_bad_link_never_delivers_a_wrong_payload(
            stateless in any::<bool>(),
            fates in vec(fate(), 1..900),
            reset_delay in 0usize..5,
        ) {
            let (mut encryptor, mut decryptor) = pair(Mode { length: KeyLength::Bits56, stateless });
            let mut held: Option<(u32, Vec<u8>)> = None;
            let mut reset_at = None;
            let mut delivered = 0u64;
            for (at, fate) in fates.iter().enumerate() {
                if reset_at.is_some_and(|due| due <= at) {
                    encryptor.reset();
                    reset_at = None;
                }
                let number = at as u32;
                let packet = (number, encryptor.encrypt(ppp::IPV4, &datagram(number)));
                let mut arriving = Vec::new();
                match fate {
                    Fate::Deliver => arriving.push(packet),
                    Fate::Lose => {}
                    Fate::Duplicate => arriving.extend([packet.clone(), packet]),
                    Fate::Delay => {
                        arriving.extend(held.replace(packet));
                    }
                }
                if !matches!(fate, Fate::Delay) {
                    arriving.extend(held.take());
                }
                for (number, information) in arriving {
                    match decryptor.decrypt(&information) {
                        Ok(got) => {
                            prop_assert_eq!(got, (ppp::IPV4, datagram(number)));
                            delivered += 1;
                        }
                        Err(DecryptError::NeedReset) => {
                            reset_at = reset_at.or(Some(at + 1 + reset_delay));
                        }
                        Err(DecryptError::Old { .. }) => {}
                        Err(error) => prop_assert!(false, "{}", error),
                    }
                }
            }
            prop_assert_eq!(decryptor.counters().decrypted, delivered);
            prop_assert_eq!(decryptor.counters().garbled, 0);
        }

        #[test]
        fn payload_and_protocol_come_back(
            stateless in any::<bool>(),
            packets in vec((0x21u16..0xfa, vec(any::<u8>(), 0..300)), 1..300),
        ) {
            let (mut encryptor, mut decryptor) =
                pair(Mode { length: KeyLength::Bits128, stateless });
            for (protocol, payload) in packets {
                let protocol = protocol | 1;
                let information = encryptor.encrypt(protocol, &payload);
                prop_assert_eq!(decryptor.decrypt(&information), Ok((protocol, payload)));
            }
        }

        #[test]
        fn arbitrary_octets_never_panic(
            stateless in any::<bool>(),
            packets in vec(vec(any::<u8>(), 0..60), 0..5),
        ) {
            let (_, mut decryptor) = pair(Mode { length: KeyLength::Bits40, stateless });
            for packet in &packets {
                let _ = decryptor.decrypt(packet);
            }
            let counters = decryptor.counters();
            let all = counters.decrypted
                + counters.old
                + counters.undecipherable
                + counters.garbled
                + counters.malformed;
            prop_assert_eq!(all, packets.len() as u64);
        }
    }
}
