//! SNMP messages: SNMPv2c's (RFC 1901) and the frame of SNMPv3's (RFC 3412,
//! section 6), with their PDUs (RFC 3416) and our values in them.
//!
//! The octets are rasn's work. Here is what it leaves to its user: which
//! version a message has, that it ends where it should, that its numbers are
//! in their ranges, and where the digest stands that is computed over the
//! octets as they came.
//!
//! Only definite lengths are taken (RFC 3417, section 8), and nothing behind
//! the message. Net-SNMP takes both.

use std::ops::Range;

use rasn::types::{Any, FixedOctetString, ObjectIdentifier, OctetString};
use rasn_smi::v1::{Counter, Gauge, IpAddress, TimeTicks, ToOpaque};
use rasn_smi::v2::{ApplicationSyntax, Counter64, SimpleSyntax};
use rasn_snmp::v2::{self, Pdus, VarBindValue};
use rasn_snmp::{v2c, v3};

use crate::oid::Oid;
use crate::value::Value;

/// Longest message that a datagram of UDP over IPv4 holds, in octets.
pub(super) const MAX_MESSAGE: usize = 65_507;
/// Shortest message that everybody must take, in octets (RFC 3412, section 6).
pub(super) const MIN_MESSAGE: usize = 484;
/// Largest of the numbers that are not negative (RFC 3412, section 6).
pub(super) const MAX_NUMBER: u32 = i32::MAX as u32;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// What the first field of a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// SNMPv2c.
    V2c,
    /// SNMPv3.
    V3,
    /// SNMPv1, or nothing that is known.
    Other,
}

/// The version of a message that is as long as it says; nothing for octets
/// that are no message.
pub(super) fn version(octets: &[u8]) -> Option<Version> {
    let mut datagram = Elements::new(octets);
    let version = datagram.open(SEQUENCE)?.take(INTEGER)?;
    if !datagram.rest.is_empty() {
        return None;
    }
    Some(match octets[version] {
        [1] => Version::V2c,
        [3] => Version::V3,
        _ => Version::Other,
    })
}

/// Reads a message of SNMPv2c.
pub(super) fn parse_v2c(octets: &[u8]) -> Option<v2c::Message<Pdus>> {
    rasn::ber::decode(octets).ok()
}

/// Writes a message of SNMPv2c.
pub(super) fn emit_v2c(community: &[u8], data: Pdus) -> Option<Vec<u8>> {
    let community = OctetString::from_slice(community);
    rasn::ber::encode(&v2c::Message { version: 1.into(), community, data }).ok()
}

/// A message of SNMPv3 (RFC 3412, section 6).
pub(super) struct MessageV3 {
    /// msgID, not negative.
    pub(super) id: i32,
    /// msgMaxSize: octets that the sender takes, 484 or more.
    pub(super) max_size: usize,
    /// msgFlags.
    pub(super) flags: u8,
    /// msgSecurityModel.
    pub(super) security_model: u32,
    /// msgSecurityParameters.
    pub(super) security_parameters: OctetString,
    /// msgData.
    pub(super) data: v3::ScopedPduData,
}

impl MessageV3 {
    /// Reads a message.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let message: v3::Message = rasn::ber::decode(octets).ok()?;
        let header = message.global_data;
        let &[flags] = header.flags.as_ref() else { return None };
        let max_size = number(&header.max_size)? as usize;
        Some(Self {
            id: number(&header.message_id)?.cast_signed(),
            max_size: Some(max_size).filter(|size| *size >= MIN_MESSAGE)?,
            flags,
            security_model: number(&header.security_model)?,
            security_parameters: message.security_parameters,
            data: message.scoped_data,
        })
    }

    /// Writes a message.
    pub(super) fn emit(self) -> Option<Vec<u8>> {
        let global_data = v3::HeaderData {
            message_id: self.id.into(),
            max_size: self.max_size.into(),
            flags: OctetString::from_slice(&[self.flags]),
            security_model: self.security_model.into(),
        };
        let (security_parameters, scoped_data) = (self.security_parameters, self.data);
        let version = 3.into();
        rasn::ber::encode(&v3::Message { version, global_data, security_parameters, scoped_data })
            .ok()
    }
}

/// A number from 0 to 2^31-1.
pub(super) fn number(number: &rasn::types::Integer) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number <= MAX_NUMBER)
}

/// Where msgAuthenticationParameters stand in a message of SNMPv3 (RFC 3414,
/// section 2.4).
pub(super) fn authentication_parameters(octets: &[u8]) -> Option<Range<usize>> {
    let mut message = Elements::new(octets).open(SEQUENCE)?;
    message.take(INTEGER)?;
    message.take(SEQUENCE)?;
    let mut parameters = message.open(OCTET_STRING)?.open(SEQUENCE)?;
    parameters.take(OCTET_STRING)?;
    parameters.take(INTEGER)?;
    parameters.take(INTEGER)?;
    parameters.take(OCTET_STRING)?;
    parameters.take(OCTET_STRING)
}

/// A name of a request; nothing if it is longer than names are.
pub(super) fn name(identifier: &ObjectIdentifier) -> Option<Oid> {
    let ids: &[u32] = identifier;
    Oid::try_from(ids).ok()
}

/// A name and a value as they stand in a PDU.
pub(super) fn varbind(name: &Oid, value: &Value<'_>) -> v2::VarBind {
    v2::VarBind { name: identifier(name), value: self::value(value) }
}

/// Octets of [`varbind`] in a message.
pub(super) fn varbind_length(name: &Oid, value: &Value<'_>) -> usize {
    let value = match value {
        Value::Integer(number) => number_length((*number ^ (*number >> 31)) as u64),
        Value::OctetString(octets) | Value::Opaque(octets) => octets.len(),
        Value::ObjectIdentifier(oid) => identifier_length(oid),
        Value::IpAddress(_) => 4,
        Value::Counter32(number) | Value::Gauge32(number) | Value::TimeTicks(number) => {
            number_length(u64::from(*number))
        }
        Value::Counter64(number) => number_length(*number),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => 0,
    };
    element_length(element_length(identifier_length(name)) + element_length(value))
}

/// An identifier as rasn has it. What cannot be written in BER (less than two
/// arcs) becomes 0.0, as the null identifier is written in SNMP.
fn identifier(oid: &Oid) -> ObjectIdentifier {
    let ids = match oid.as_slice() {
        ids if is_writable(ids) => ids.to_vec(),
        _ => vec![0, 0],
    };
    ObjectIdentifier::new_unchecked(ids.into())
}

/// Whether the first two arcs are what X.660 allows and fit their octets.
fn is_writable(ids: &[u32]) -> bool {
    match ids {
        [0 | 1, second, ..] => *second < 40,
        [2, second, ..] => *second <= u32::MAX - 80,
        _ => false,
    }
}

fn value(value: &Value<'_>) -> VarBindValue {
    let syntax = match value {
        Value::Integer(number) => SimpleSyntax::Integer((*number).into()).into(),
        Value::OctetString(octets) => SimpleSyntax::String(OctetString::from_slice(octets)).into(),
        Value::ObjectIdentifier(oid) => SimpleSyntax::ObjectId(identifier(oid)).into(),
        Value::IpAddress(octets) => {
            ApplicationSyntax::Address(IpAddress(FixedOctetString::new(*octets))).into()
        }
        Value::Counter32(number) => ApplicationSyntax::Counter(Counter(*number)).into(),
        Value::Gauge32(number) => ApplicationSyntax::Unsigned(Gauge(*number)).into(),
        Value::TimeTicks(number) => ApplicationSyntax::Ticks(TimeTicks(*number)).into(),
        Value::Opaque(octets) => match Any::new(octets.to_vec()).to_opaque() {
            Ok(opaque) => ApplicationSyntax::Arbitrary(opaque).into(),
            Err(_) => return VarBindValue::Unspecified,
        },
        Value::Counter64(number) => ApplicationSyntax::BigCounter(Counter64(*number)).into(),
        Value::Null => return VarBindValue::Unspecified,
        Value::NoSuchObject => return VarBindValue::NoSuchObject,
        Value::NoSuchInstance => return VarBindValue::NoSuchInstance,
        Value::EndOfMibView => return VarBindValue::EndOfMibView,
    };
    VarBindValue::Value(syntax)
}

/// Octets of contents of this length with tag and length.
fn element_length(contents: usize) -> usize {
    contents
        + match contents {
            0..=0x7f => 2,
            0x80..=0xff => 3,
            0x100..=0xffff => 4,
            _ => 5,
        }
}

/// Octets of a number's contents, of which one bit is the sign.
fn number_length(magnitude: u64) -> usize {
    (u64::BITS - magnitude.leading_zeros()) as usize / 8 + 1
}

/// Octets of an OBJECT IDENTIFIER's contents.
fn identifier_length(oid: &Oid) -> usize {
    let arc = |arc: u32| (32 - arc.leading_zeros() as usize).div_ceil(7).max(1);
    match oid.as_slice() {
        ids @ [first, second, rest @ ..] if is_writable(ids) => {
            arc(first * 40 + second) + rest.iter().map(|id| arc(*id)).sum::<usize>()
        }
        _ => 1,
    }
}

/// BER elements one after another: enough of it to find a place in a message.
struct Elements<'a> {
    octets: &'a [u8],
    /// What was not taken yet.
    rest: Range<usize>,
}

impl<'a> Elements<'a> {
    fn new(octets: &'a [u8]) -> Self {
        Self { octets, rest: 0..octets.len() }
    }

    /// The elements in the next one, which has this tag.
    fn open(&mut self, tag: u8) -> Option<Self> {
        let rest = self.take(tag)?;
        Some(Self { octets: self.octets, rest })
    }

    /// Where the contents of the next element stand, which has this tag.
    fn take(&mut self, tag: u8) -> Option<Range<usize>> {
        let (first, octets) = self.octets[self.rest.clone()].split_first()?;
        let (&length, octets) = octets.split_first()?;
        let (length, header) = match length {
            0..=0x7f => (usize::from(length), 2),
            // No message is so long that four octets would not do.
            0x81..=0x84 => {
                let count = usize::from(length - 0x80);
                let long = octets.get(..count)?;
                let length =
                    long.iter().fold(0_u32, |length, octet| length << 8 | u32::from(*octet));
                (usize::try_from(length).ok()?, 2 + count)
            }
            _ => return None,
        };
        let begin = self.rest.start + header;
        let end = begin.checked_add(length).filter(|end| *end <= self.rest.end)?;
        self.rest.start = end;
        (*first == tag).then_some(begin..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snmp::captures::{exchange, lines};
    use crate::value::Octets;
    use proptest::prelude::*;

    #[test]
    fn the_captures_come_back_as_they_were() {
        for line in lines() {
            let octets = match version(&line.octets).unwrap() {
                Version::V2c => {
                    let message = parse_v2c(&line.octets).unwrap();
                    emit_v2c(&message.community, message.data)
                }
                Version::V3 => MessageV3::parse(&line.octets).unwrap().emit(),
                Version::Other => {
                    assert_eq!(line.name, "get-v1");
                    continue;
                }
            };
            assert_eq!(octets, Some(line.octets), "{}", line.name);
        }
    }

    #[test]
    fn a_message_is_as_long_as_it_says() {
        let octets = exchange("get-v2c").swap_remove(0);
        assert_eq!(version(&octets), Some(Version::V2c));
        assert_eq!(version(&octets[..octets.len() - 1]), None);
        assert_eq!(version(&[&octets[..], &[0]].concat()), None);
        // The same length in four octets, and of no definite length.
        let long = [&[0x30, 0x84, 0, 0, 0], &octets[1..]].concat();
        assert_eq!(version(&long), Some(Version::V2c));
        let indefinite = [&[0x30, 0x80], &octets[2..], &[0, 0]].concat();
        assert_eq!(version(&indefinite), None);
        assert_eq!(version(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 2, 1, 1]), None);
    }

    #[test]
    fn the_digest_is_found_where_it_stands() {
        let octets = exchange("get-sha1").swap_remove(2);
        let at = authentication_parameters(&octets).unwrap();
        assert_eq!(at.len(), 12);
        assert_eq!(octets[at.start - 8..at.start], *b"\x04\x04sha1\x04\x0c");
        let octets = exchange("get-none").swap_remove(0);
        assert!(authentication_parameters(&octets).unwrap().is_empty());
        assert_eq!(authentication_parameters(&exchange("get-v2c")[0]), None);
    }

    #[test]
    fn numbers_out_of_their_range_are_no_message() {
        let octets = exchange("get-none").swap_remove(0);
        // msgID and msgMaxSize.
        let size = |high, low| [2, 3, 0, high, low];
        for (at, number) in [(7, &[2, 4, 0x80][..]), (13, &[2, 3, 0x80]), (13, &size(1, 0xe3))] {
            let mut changed = octets.clone();
            changed[at..at + number.len()].copy_from_slice(number);
            assert!(MessageV3::parse(&changed).is_none(), "{at} {number:?}");
        }
        let mut changed = octets.clone();
        changed[13..18].copy_from_slice(&size(1, 0xe4));
        assert_eq!(MessageV3::parse(&changed).unwrap().max_size, MIN_MESSAGE);
    }

    #[test]
    fn what_ber_cannot_write_is_the_null_identifier() {
        let zero = Oid::from([0, 0]);
        for ids in [&[][..], &[1], &[1, 40], &[3, 1], &[2, u32::MAX - 79]] {
            let oid = Oid::try_from(ids).unwrap();
            assert_eq!(name(&identifier(&oid)), Some(zero.clone()), "{oid}");
            let value = Value::ObjectIdentifier(oid.clone());
            let encoded = rasn::ber::encode(&varbind(&oid, &value)).unwrap();
            assert_eq!(varbind_length(&oid, &value), encoded.len());
        }
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        let octets = || prop::collection::vec(any::<u8>(), 0..300);
        let octets = move || octets().prop_map(|octets| Octets::copy(&octets));
        prop_oneof![
            any::<i32>().prop_map(Value::Integer),
            octets().prop_map(Value::OctetString),
            octets().prop_map(Value::Opaque),
            any_name().prop_map(Value::ObjectIdentifier),
            any::<[u8; 4]>().prop_map(Value::IpAddress),
            any::<u32>().prop_map(Value::Counter32),
            any::<u32>().prop_map(|number| Value::Gauge32(number >> 9)),
            any::<u32>().prop_map(|number| Value::TimeTicks(number >> 24)),
            (any::<u64>(), 0..64).prop_map(|(number, bits)| Value::Counter64(number >> bits)),
            Just(Value::Null),
            Just(Value::NoSuchObject),
            Just(Value::NoSuchInstance),
            Just(Value::EndOfMibView),
        ]
    }

    fn any_name() -> impl Strategy<Value = Oid> {
        let rest = prop::collection::vec((any::<u32>(), 0..32_u32), 0..126);
        let rest = rest.prop_map(|ids| ids.into_iter().map(|(id, bits)| id >> bits));
        (0..3_u32, 0..40_u32, rest).prop_map(|(first, second, rest)| {
            let ids: Vec<_> = [first, second].into_iter().chain(rest).collect();
            Oid::try_from(&ids[..]).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_varbind_is_as_long_as_was_counted(name in any_name(), value in any_value()) {
            let encoded = rasn::ber::encode(&varbind(&name, &value)).unwrap();
            prop_assert_eq!(varbind_length(&name, &value), encoded.len());
            let decoded: v2::VarBind = rasn::ber::decode(&encoded).unwrap();
            prop_assert_eq!(&decoded, &varbind(&name, &value));
            prop_assert_eq!(self::name(&decoded.name), Some(name));
        }
    }
}
