//! The User-based Security Model (RFC 3414): who an engine is, keys from
//! passwords, digests over messages and encryption.
//!
//! Authentication is HMAC-SHA-96 (RFC 3414, section 7) and HMAC-SHA-2 (RFC
//! 7860), encryption AES-128 in CFB mode (RFC 3826). MD5 and DES are left out,
//! as is changing keys over the network.
//!
//! A password becomes a key once; what is kept is the key, which is wiped when
//! dropped and has no `Debug`.
//!
//! Real managers: Net-SNMP takes boots and time from the unauthenticated
//! Report of the discovery, and asks a second time only when they are wrong.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use aes::Aes128;
use aes::cipher::KeyIvInit;
use cfb_mode::{Decryptor, Encryptor};
use hmac::digest::KeyInit;
use hmac::{EagerHash, Hmac, Mac};
use pptp_probe::crypto::is_equal;
use rasn::types::OctetString;
use rasn_snmp::v3::{ScopedPdu, ScopedPduData, USMSecurityParameters};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::message::{self, MAX_NUMBER, MessageV3};
use crate::config;

/// Longest snmpEngineID, in octets (RFC 3411, section 5).
const LONGEST_ENGINE_ID: usize = 32;
/// Longest name of a user or a context, in octets (RFC 3414, section 2.4; RFC
/// 3415, section 4).
const LONGEST_NAME: usize = 32;
/// The security model USM (RFC 3411, section 5).
pub(super) const SECURITY_MODEL: u32 = 3;
/// Seconds that a message may be old (RFC 3414, section 2.2.3).
pub(super) const TIME_WINDOW: u32 = 150;
/// Octets of a password's repetitions that are hashed (RFC 3414, appendix
/// A.2).
const EXPANDED: usize = 1 << 20;
/// Octets of a key of AES-128.
const PRIVACY_KEY: usize = 16;

/// authFlag of msgFlags (RFC 3412, section 6.4).
const AUTH: u8 = 1;
/// privFlag.
const PRIV: u8 = 2;
/// reportableFlag.
pub(super) const REPORTABLE: u8 = 4;

/// snmpEngineID (RFC 3411, section 5): 5 to 32 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineId(Vec<u8>);

impl EngineId {
    /// An identifier of the form "octets": the enterprise number, 5, and what
    /// tells this engine from others of the same enterprise.
    ///
    /// Without an enterprise number of our own it is Net-SNMP's, below whose
    /// arc for private use our objects are. Net-SNMP makes its own in other
    /// forms, so that the two cannot meet.
    pub fn new(enterprise: u32, octets: [u8; 8]) -> Self {
        let mut id = (enterprise | 0x8000_0000).to_be_bytes().to_vec();
        id.push(5);
        id.extend(octets);
        Self(id)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for EngineId {
    type Error = &'static str;

    fn try_from(octets: &[u8]) -> Result<Self, Self::Error> {
        let all = |octet: u8| octets.iter().all(|other| *other == octet);
        match octets.len() {
            5..=LONGEST_ENGINE_ID if !all(0) && !all(0xff) => Ok(Self(octets.to_vec())),
            5..=LONGEST_ENGINE_ID => Err("an engine ID is not all zeros or all ones"),
            _ => Err("an engine ID is 5 to 32 octets"),
        }
    }
}

impl FromStr for EngineId {
    type Err = &'static str;

    /// Reads `80001f8805...`, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NO_DIGITS: &str = "an engine ID is pairs of hexadecimal digits";
        let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let octets: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| match pair {
                &[high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
                _ => None,
            })
            .collect();
        Self::try_from(&octets.ok_or(NO_DIGITS)?[..])
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// What an engine must remember from one run to the next (RFC 3414, section
/// 2.2): who it is, and how often it began. A line of text, to be written
/// before the first message goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boots {
    engine_id: EngineId,
    /// snmpEngineBoots, 1 to 2^31-1.
    boots: u32,
}

impl Boots {
    /// Of an engine that never ran before.
    pub fn first(engine_id: EngineId) -> Self {
        Self { engine_id, boots: 1 }
    }

    /// Of the next run. At 2^31-1 it stays, and no authenticated message is
    /// taken any more: the engine needs another identifier then.
    pub fn next(self) -> Self {
        Self { boots: (self.boots + 1).min(MAX_NUMBER), ..self }
    }
}

impl FromStr for Boots {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (engine_id, boots) = text.trim_end().split_once(' ').ok_or("two words are wanted")?;
        match boots.parse() {
            Ok(boots @ 1..=MAX_NUMBER) => Ok(Self { engine_id: engine_id.parse()?, boots }),
            _ => Err("the number of boots is 1 to 2147483647"),
        }
    }
}

impl fmt::Display for Boots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.engine_id, self.boots)
    }
}

/// This engine, in this run.
#[derive(Debug, Clone)]
pub struct Local {
    boots: Boots,
    started: Instant,
}

impl Local {
    /// An engine that was started at `started`.
    pub fn new(boots: Boots, started: Instant) -> Self {
        Self { boots, started }
    }

    pub(super) fn engine_id(&self) -> &EngineId {
        &self.boots.engine_id
    }

    /// snmpEngineBoots and snmpEngineTime; where the time would pass 2^31-1,
    /// the engine counts as booted again.
    pub(super) fn clock(&self, now: Instant) -> Clock {
        let seconds = now.saturating_duration_since(self.started).as_secs();
        let again = u32::try_from(seconds >> 31).unwrap_or(u32::MAX);
        Clock {
            boots: self.boots.boots.saturating_add(again).min(MAX_NUMBER),
            time: (seconds & u64::from(MAX_NUMBER)) as u32,
        }
    }

    /// sysUpTime, in hundredths of a second.
    pub(super) fn uptime(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.started).as_millis() / 10) as u32
    }
}

/// snmpEngineBoots and snmpEngineTime of an engine; the later is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clock {
    pub(super) boots: u32,
    /// Seconds.
    pub(super) time: u32,
}

/// securityLevel (RFC 3411, section 3.4.3); more is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::enum_variant_names, reason = "they are called so in the RFC")]
pub(super) enum Level {
    NoAuthNoPriv,
    AuthNoPriv,
    AuthPriv,
}

impl Level {
    /// That of msgFlags; nothing for encryption without authentication.
    pub(super) fn of(flags: u8) -> Option<Self> {
        match flags & (AUTH | PRIV) {
            0 => Some(Self::NoAuthNoPriv),
            AUTH => Some(Self::AuthNoPriv),
            PRIV => None,
            _ => Some(Self::AuthPriv),
        }
    }

    fn flags(self) -> u8 {
        match self {
            Self::NoAuthNoPriv => 0,
            Self::AuthNoPriv => AUTH,
            Self::AuthPriv => AUTH | PRIV,
        }
    }
}

/// A user whose keys are not yet those of an engine.
pub(super) struct User {
    pub(super) name: Vec<u8>,
    keys: Option<Keys>,
}

impl User {
    /// Makes keys from the passwords, which takes a millisecond for each.
    pub(super) fn new(user: &config::User) -> Self {
        let password = user.auth_password_file.as_ref();
        let keys = Protocol::of(user.auth).zip(password).map(|(protocol, password)| Keys {
            protocol,
            auth: protocol.expand(password.secret.expose()),
            privacy: match (user.privacy, &user.priv_password_file) {
                (config::Privacy::Aes128, Some(file)) => {
                    Some(protocol.expand(file.secret.expose()))
                }
                _ => None,
            },
        });
        Self { name: user.name.as_bytes().to_vec(), keys }
    }

    /// What its messages must have.
    pub(super) fn level(&self) -> Level {
        match &self.keys {
            None => Level::NoAuthNoPriv,
            Some(Keys { privacy: None, .. }) => Level::AuthNoPriv,
            Some(Keys { privacy: Some(_), .. }) => Level::AuthPriv,
        }
    }

    /// The keys for messages of which `engine_id` is the authoritative engine
    /// (RFC 3414, section 2.6); none for a user without.
    pub(super) fn localize(&self, engine_id: &EngineId) -> Option<Keys> {
        let keys = self.keys.as_ref()?;
        let localize =
            |key: &Key| (keys.protocol.hash)(&mut [&key[..], &engine_id.0, &key[..]].into_iter());
        Some(Keys {
            protocol: keys.protocol,
            auth: localize(&keys.auth),
            privacy: keys.privacy.as_ref().map(localize),
        })
    }
}

/// Octets of a key, wiped when dropped.
type Key = Zeroizing<Vec<u8>>;

/// What a user's messages are signed and encrypted with.
pub(super) struct Keys {
    protocol: Protocol,
    auth: Key,
    /// As long as a hash; AES takes the first octets of it.
    privacy: Option<Key>,
}

impl Keys {
    /// Whether the digest in a message is right (RFC 3414, section 6.3.2; RFC
    /// 7860, section 4.2.2).
    pub(super) fn verify(&self, octets: &[u8]) -> bool {
        let Some(at) = message::authentication_parameters(octets) else { return false };
        at.len() == self.protocol.digest
            && is_equal(&self.sign(octets, at.start), &octets[at.clone()])
    }

    /// Puts the digest into a message that has room for it.
    pub(super) fn stamp(&self, octets: &mut [u8]) -> Option<()> {
        let at = message::authentication_parameters(octets)?;
        let digest = self.sign(octets, at.start);
        octets[at].copy_from_slice(&digest);
        Some(())
    }

    /// The digest of a message in which it stands at `at`.
    fn sign(&self, octets: &[u8], at: usize) -> Vec<u8> {
        const NONE_YET: [u8; 48] = [0; 48];
        let (before, after) = octets.split_at(at);
        let length = self.protocol.digest;
        let mut digest =
            (self.protocol.mac)(&self.auth, &[before, &NONE_YET[..length], &after[length..]]);
        digest.truncate(length);
        digest
    }

    /// Key and initialisation vector (RFC 3826, section 3.1.2.1).
    fn cipher(&self, clock: Clock, salt: &[u8]) -> Option<(&[u8], [u8; 16])> {
        let key = self.privacy.as_ref()?.get(..PRIVACY_KEY)?;
        let salt: [u8; 8] = salt.try_into().ok()?;
        let mut iv = [0; 16];
        iv[..4].copy_from_slice(&clock.boots.to_be_bytes());
        iv[4..8].copy_from_slice(&clock.time.to_be_bytes());
        iv[8..].copy_from_slice(&salt);
        Some((key, iv))
    }
}

/// A hash function and what is made of it.
#[derive(Clone, Copy)]
struct Protocol {
    hash: fn(&mut dyn Iterator<Item = &[u8]>) -> Key,
    mac: fn(&[u8], &[&[u8]]) -> Vec<u8>,
    /// Octets of a digest in a message.
    digest: usize,
}

impl Protocol {
    fn of(auth: config::Auth) -> Option<Self> {
        match auth {
            config::Auth::None => None,
            config::Auth::Sha1 => Some(Self::new::<Sha1>(12)),
            config::Auth::Sha224 => Some(Self::new::<Sha224>(16)),
            config::Auth::Sha256 => Some(Self::new::<Sha256>(24)),
            config::Auth::Sha384 => Some(Self::new::<Sha384>(32)),
            config::Auth::Sha512 => Some(Self::new::<Sha512>(48)),
        }
    }

    fn new<H: Digest + EagerHash>(digest: usize) -> Self {
        Self { hash: hash::<H>, mac: mac::<Hmac<H>>, digest }
    }

    /// A key from a password (RFC 3414, appendix A.2.2).
    fn expand(self, password: &[u8]) -> Key {
        // Of some length, so that there are few pieces.
        let times = (4096 / password.len().max(1)).max(1);
        let piece = Zeroizing::new(password.repeat(times));
        if piece.is_empty() {
            return Key::default();
        }
        let whole = EXPANDED / piece.len();
        let rest = &piece[..EXPANDED % piece.len()];
        (self.hash)(&mut std::iter::repeat_n(&piece[..], whole).chain([rest]))
    }
}

fn hash<H: Digest>(parts: &mut dyn Iterator<Item = &[u8]>) -> Key {
    let mut hash = H::new();
    parts.for_each(|part| hash.update(part));
    Zeroizing::new(hash.finalize().to_vec())
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // A key of any length will do.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// msgSecurityParameters of USM (RFC 3414, section 2.4), whose numbers and
/// lengths are in their ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    /// msgAuthoritativeEngineID; empty to ask for it.
    pub(super) engine_id: OctetString,
    /// msgAuthoritativeEngineBoots and msgAuthoritativeEngineTime.
    pub(super) clock: Clock,
    /// msgUserName.
    pub(super) user: OctetString,
    /// msgPrivacyParameters.
    pub(super) privacy: OctetString,
}

impl Parameters {
    /// Reads the parameters.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let usm: USMSecurityParameters = rasn::ber::decode(octets).ok()?;
        let clock = Clock {
            boots: message::number(&usm.authoritative_engine_boots)?,
            time: message::number(&usm.authoritative_engine_time)?,
        };
        let fits = usm.authoritative_engine_id.len() <= LONGEST_ENGINE_ID
            && usm.user_name.len() <= LONGEST_NAME;
        fits.then_some(Self {
            engine_id: usm.authoritative_engine_id,
            clock,
            user: usm.user_name,
            privacy: usm.privacy_parameters,
        })
    }

    /// The PDU of a message at this level: decrypted, where it is encrypted.
    ///
    /// # Errors
    /// [`Unopened::Decryption`] when it cannot be decrypted,
    /// [`Unopened::Malformed`] when it is none.
    pub(super) fn open(
        &self,
        level: Level,
        keys: Option<&Keys>,
        data: ScopedPduData,
    ) -> Result<ScopedPdu, Unopened> {
        let pdu: ScopedPdu = match (level, data) {
            (Level::AuthPriv, ScopedPduData::EncryptedPdu(octets)) => {
                let cipher = keys.and_then(|keys| keys.cipher(self.clock, &self.privacy));
                let (key, iv) = cipher.ok_or(Unopened::Decryption)?;
                let cipher = Decryptor::<Aes128>::new_from_slices(key, &iv);
                let mut octets = octets.to_vec();
                cipher.map_err(|_| Unopened::Decryption)?.decrypt(&mut octets);
                rasn::ber::decode(&octets).map_err(|_| Unopened::Malformed)?
            }
            (Level::AuthPriv, _) | (_, ScopedPduData::EncryptedPdu(_)) => {
                return Err(Unopened::Malformed);
            }
            (_, ScopedPduData::CleartextPdu(pdu)) => pdu,
        };
        // What is longer is no context, and would make an answer longer, too.
        let fits = pdu.engine_id.len() <= LONGEST_ENGINE_ID && pdu.name.len() <= LONGEST_NAME;
        if fits { Ok(pdu) } else { Err(Unopened::Malformed) }
    }
}

/// Why there is no PDU in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unopened {
    /// The parameters of the encryption are wrong.
    Decryption,
    /// It is no PDU, or encrypted where it should not be, or the reverse.
    Malformed,
}

/// What a message to be sent says of itself.
pub(super) struct Envelope<'a> {
    /// msgID.
    pub(super) id: i32,
    /// msgMaxSize.
    pub(super) max_size: usize,
    /// Whether a Report may answer it.
    pub(super) reportable: bool,
    /// Of the authoritative engine.
    pub(super) engine_id: &'a [u8],
    /// Of the authoritative engine.
    pub(super) clock: Clock,
    /// msgUserName.
    pub(super) user: &'a [u8],
    /// How it is protected.
    pub(super) level: Level,
    /// What with; needed from [`Level::AuthNoPriv`] on.
    pub(super) keys: Option<&'a Keys>,
    /// Never the same twice for one key.
    pub(super) salt: u64,
}

impl Envelope<'_> {
    /// Octets around the varbinds of a PDU in a context at most.
    pub(super) fn overhead(&self, context_engine_id: usize, context_name: usize) -> usize {
        // Tags and lengths, numbers, flags, the longest digest, the salt.
        152 + self.engine_id.len() + self.user.len() + context_engine_id + context_name
    }

    /// Encrypts and signs; nothing when keys are missing.
    pub(super) fn seal(&self, pdu: ScopedPdu) -> Option<Vec<u8>> {
        let mut privacy = OctetString::default();
        let data = if self.level == Level::AuthPriv {
            let salt = self.salt.to_be_bytes();
            let (key, iv) = self.keys?.cipher(self.clock, &salt)?;
            privacy = OctetString::from_slice(&salt);
            let mut octets = rasn::ber::encode(&pdu).ok()?;
            Encryptor::<Aes128>::new_from_slices(key, &iv).ok()?.encrypt(&mut octets);
            ScopedPduData::EncryptedPdu(octets.into())
        } else {
            ScopedPduData::CleartextPdu(pdu)
        };
        let signed = self.level >= Level::AuthNoPriv;
        let digest = if signed { self.keys?.protocol.digest } else { 0 };
        let parameters = USMSecurityParameters {
            authoritative_engine_id: OctetString::from_slice(self.engine_id),
            authoritative_engine_boots: self.clock.boots.into(),
            authoritative_engine_time: self.clock.time.into(),
            user_name: OctetString::from_slice(self.user),
            authentication_parameters: vec![0; digest].into(),
            privacy_parameters: privacy,
        };
        let mut octets = MessageV3 {
            id: self.id,
            max_size: self.max_size,
            flags: self.level.flags() | if self.reportable { REPORTABLE } else { 0 },
            security_model: SECURITY_MODEL,
            security_parameters: rasn::ber::encode(&parameters).ok()?.into(),
            data,
        }
        .emit()?;
        if signed {
            self.keys?.stamp(&mut octets)?;
        }
        Some(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snmp::captures::{self, SNMPD, exchange};
    use std::time::Duration;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// SHA-1 is RFC 3414, appendix A.3.2. RFC 7860 has no examples; the others
    /// are the same steps with other hashes, on which several implementations
    /// agree.
    #[test]
    fn keys_from_passwords_are_those_of_the_rfc() {
        use config::Auth;
        let engine_id = EngineId::try_from(&[&[0; 11][..], &[2]].concat()[..]).unwrap();
        for (auth, expanded, localized) in [
            (
                Auth::Sha1,
                "9fb5cc0381497b3793528939ff788d5d79145211",
                "6695febc9288e36282235fc7151f128497b38f3f",
            ),
            (
                Auth::Sha224,
                "282a5867ee9aac639ad59df9572c7d3ac0fbc13a905b6df07dbbf00b",
                "0bd8827c6e29f8065e08e09237f177e410f69b90e1782be682075674",
            ),
            (
                Auth::Sha256,
                "ab51014d1e077f6017df2b12bee5f5aa72993177e9bb569c4dff5a4ca0b4afac",
                "8982e0e549e866db361a6b625d84cccc11162d453ee8ce3a6445c2d6776f0f8b",
            ),
            (
                Auth::Sha384,
                "e06eccdf2c68a06ed034723c9c26e0db3b669e1e2efed49150b55377a2e98f383c86fb836857444654b287c93f51ff64",
                "3b298f16164a11184279d5432bf169e2d2a48307de02b3d3f7e2b4f36eb6f0455a53689a3937eea07319a633d2ccba78",
            ),
            (
                Auth::Sha512,
                "7e4396de5aadc77be853819b98c9406265b3a9c37cc3176569847a4e4f6fba63dd3a73d04924d31a63f95a601f9385af6be4ed1b37f87d040f7c6ed6f8d38a91",
                "22a5a36cedfcc085807a128d7bc6c2382167ad6c0dbc5fdff856740f3d84c099ad1ea87a8db096714d9788bd544047c9021e4229ce27e4c0a69250adfcffbb0b",
            ),
        ] {
            let user = captures::user("maple", auth, Some("maplesyrup"), Some("maplesyrup"));
            let user = User::new(&user);
            assert_eq!(hex(&user.keys.as_ref().unwrap().auth), expanded);
            let keys = user.localize(&engine_id).unwrap();
            assert_eq!((hex(&keys.auth), hex(&keys.privacy.unwrap())), {
                (localized.to_owned(), localized.to_owned())
            });
        }
    }

    #[test]
    fn a_password_longer_than_a_piece_is_repeated_too() {
        let password = "0123456789".repeat(999);
        let long = Protocol::new::<Sha1>(12).expand(password.as_bytes());
        let repeated: Vec<u8> = password.bytes().cycle().take(EXPANDED).collect();
        assert_eq!(*long, Sha1::digest(&repeated).to_vec());
    }

    #[test]
    fn a_message_that_is_opened_and_sealed_again_is_the_same() {
        for user in captures::users().iter().filter(|user| user.name.starts_with("sha")) {
            let user = User::new(user);
            let engine_id: EngineId = SNMPD.parse().unwrap();
            let keys = user.localize(&engine_id).unwrap();
            let name = String::from_utf8(user.name.clone()).unwrap();
            for octets in &exchange(&format!("get-{name}"))[2..] {
                assert!(keys.verify(octets), "{name}");
                let message = MessageV3::parse(octets).unwrap();
                let parameters = Parameters::parse(&message.security_parameters).unwrap();
                let level = Level::of(message.flags).unwrap();
                let pdu = parameters.open(level, Some(&keys), message.data).unwrap();
                let envelope = Envelope {
                    id: message.id,
                    max_size: message.max_size,
                    reportable: message.flags & REPORTABLE != 0,
                    engine_id: &parameters.engine_id,
                    clock: parameters.clock,
                    user: &parameters.user,
                    level,
                    keys: Some(&keys),
                    salt: u64::from_be_bytes((&parameters.privacy[..]).try_into().unwrap()),
                };
                assert_eq!(envelope.seal(pdu).as_ref(), Some(octets), "{name}");
            }
        }
    }

    #[test]
    fn engine_ids_are_5_to_32_octets() {
        let id: EngineId = "0x80001F88050102030405060708".parse().unwrap();
        assert_eq!(id, EngineId::new(8072, [1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(id.to_string(), "80001f88050102030405060708");
        for (text, wrong) in [
            ("80001f88", "an engine ID is 5 to 32 octets"),
            ("", "an engine ID is 5 to 32 octets"),
            ("0000000000", "an engine ID is not all zeros or all ones"),
            ("ffffffffff", "an engine ID is not all zeros or all ones"),
            ("80001f8805f", "an engine ID is pairs of hexadecimal digits"),
            ("80001f880g", "an engine ID is pairs of hexadecimal digits"),
        ] {
            assert_eq!(text.parse::<EngineId>(), Err(wrong), "{text}");
        }
        assert!("80".repeat(32).parse::<EngineId>().is_ok());
        assert!("80".repeat(33).parse::<EngineId>().is_err());
    }

    #[test]
    fn boots_are_counted_from_run_to_run_and_stay_at_the_last() {
        let first = Boots::first(EngineId::new(8072, [9; 8]));
        assert_eq!(first.to_string(), "80001f88050909090909090909 1\n");
        let second = first.to_string().parse::<Boots>().unwrap().next();
        assert_eq!(second.boots, 2);
        let last: Boots = "80001f8805 2147483647".parse().unwrap();
        assert_eq!(last.clone().next(), last);
        for text in ["", "80001f8805", "80001f8805 0", "80001f8805 2147483648", "x 1"] {
            assert!(text.parse::<Boots>().is_err(), "{text}");
        }
    }

    #[test]
    fn where_time_ends_the_engine_counts_as_booted_again() {
        let started = Instant::now();
        let local = Local::new(Boots::first(EngineId::new(8072, [9; 8])), started);
        for (seconds, boots, time) in
            [(0, 1, 0), (MAX_NUMBER.into(), 1, MAX_NUMBER), (1 << 31, 2, 0), ((5 << 31) + 7, 6, 7)]
        {
            let clock = local.clock(started + Duration::from_secs(seconds));
            assert_eq!(clock, Clock { boots, time });
        }
        assert_eq!(local.uptime(started + Duration::from_millis(123_456)), 12_345);
        assert_eq!(local.uptime(started + Duration::from_secs(42_949_673)), 4);
    }
}
