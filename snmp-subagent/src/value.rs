//! Values of managed objects, and the exceptions that stand in their place
//! (RFC 2578, section 7.1; RFC 3416, section 3).
//!
//! A value is read from a snapshot and written into a PDU at once, so its
//! octets are borrowed where the snapshot has them, and kept in place where
//! they are computed and few: an address, a DateAndTime. Neither allocates.

use std::ops::Deref;

use crate::oid::Oid;

/// What a variable is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// INTEGER, Integer32.
    Integer(i32),
    /// OCTET STRING, at most 65535 octets in SNMP.
    OctetString(Octets<'a>),
    /// Null, in requests only.
    Null,
    /// OBJECT IDENTIFIER.
    ObjectIdentifier(Oid),
    /// IpAddress, network order.
    IpAddress([u8; 4]),
    /// Counter32.
    Counter32(u32),
    /// Gauge32, Unsigned32.
    Gauge32(u32),
    /// TimeTicks, hundredths of a second.
    TimeTicks(u32),
    /// Opaque.
    Opaque(Octets<'a>),
    /// Counter64.
    Counter64(u64),
    /// There is no such object here.
    NoSuchObject,
    /// The object is here, but not this instance of it.
    NoSuchInstance,
    /// Nothing follows.
    EndOfMibView,
}

impl Value<'_> {
    /// The same, independent of where it came from.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Integer(number) => Value::Integer(number),
            Self::OctetString(octets) => Value::OctetString(Octets::copy(&octets)),
            Self::Null => Value::Null,
            Self::ObjectIdentifier(oid) => Value::ObjectIdentifier(oid),
            Self::IpAddress(address) => Value::IpAddress(address),
            Self::Counter32(number) => Value::Counter32(number),
            Self::Gauge32(number) => Value::Gauge32(number),
            Self::TimeTicks(ticks) => Value::TimeTicks(ticks),
            Self::Opaque(octets) => Value::Opaque(Octets::copy(&octets)),
            Self::Counter64(number) => Value::Counter64(number),
            Self::NoSuchObject => Value::NoSuchObject,
            Self::NoSuchInstance => Value::NoSuchInstance,
            Self::EndOfMibView => Value::EndOfMibView,
        }
    }
}

/// A name and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarBind<'a> {
    /// The name of the variable.
    pub name: Oid,
    /// Its value.
    pub value: Value<'a>,
}

impl VarBind<'_> {
    /// snmpTrapOID.0 (RFC 3418), which says what a notification is.
    pub(crate) fn trap_oid(trap: Oid) -> Self {
        let name = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0].into();
        Self { name, value: Value::ObjectIdentifier(trap) }
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self::OctetString(octets.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        text.as_bytes().into()
    }
}

/// Octets kept in place at most: an InetAddress of IPv6.
const SHORT: usize = 16;

/// Octets of a value.
#[derive(Debug, Clone)]
pub struct Octets<'a>(Repr<'a>);

#[derive(Debug, Clone)]
enum Repr<'a> {
    Borrowed(&'a [u8]),
    Short { length: u8, octets: [u8; SHORT] },
    Owned(Box<[u8]>),
}

impl Octets<'_> {
    /// A copy of `octets`, in place if they are at most sixteen.
    pub fn copy(octets: &[u8]) -> Octets<'static> {
        let mut short = [0; SHORT];
        match short.get_mut(..octets.len()) {
            Some(room) => {
                room.copy_from_slice(octets);
                Octets(Repr::Short { length: octets.len() as u8, octets: short })
            }
            None => Octets(Repr::Owned(octets.into())),
        }
    }
}

impl Deref for Octets<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Borrowed(octets) => octets,
            Repr::Short { length, octets } => &octets[..usize::from(*length)],
            Repr::Owned(octets) => octets,
        }
    }
}

impl PartialEq for Octets<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Octets<'_> {}

impl<'a> From<&'a [u8]> for Octets<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self(Repr::Borrowed(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_equal_wherever_they_are_kept() {
        for length in [0, 1, 4, 11, 16, 17, 255] {
            let octets = vec![0xA5; length];
            let copy = Octets::copy(&octets);
            assert_eq!(&*copy, &octets[..]);
            assert_eq!(copy, Octets::from(&octets[..]));
            assert_ne!(copy, Octets::copy(&vec![0xA5; length + 1]));
        }
    }
}
