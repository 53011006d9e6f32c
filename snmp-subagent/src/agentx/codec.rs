//! Fields of AgentX PDUs (RFC 2741, section 5), in the byte order of each PDU.
//!
//! Reserved octets and padding are sent as zero and ignored on receipt.

use pptp_probe::wire::{self, Error, Result};

use super::pdu::{ByteOrder, VarBind};
use crate::oid::Oid;
use crate::value::Value;

/// What every name that may be shortened begins with (section 5.1).
const INTERNET: [u32; 4] = [1, 3, 6, 1];

const INTEGER: u16 = 2;
const OCTET_STRING: u16 = 4;
const NULL: u16 = 5;
const OBJECT_IDENTIFIER: u16 = 6;
const IP_ADDRESS: u16 = 64;
const COUNTER32: u16 = 65;
const GAUGE32: u16 = 66;
const TIME_TICKS: u16 = 67;
const OPAQUE: u16 = 68;
const COUNTER64: u16 = 70;
const NO_SUCH_OBJECT: u16 = 128;
const NO_SUCH_INSTANCE: u16 = 129;
const END_OF_MIB_VIEW: u16 = 130;

/// Writes what `convert` makes of `from` over `room`.
fn fill<T: Copy, U>(room: &mut [U], from: &[T], convert: impl Fn(T) -> U) {
    for (place, &item) in room.iter_mut().zip(from) {
        *place = convert(item);
    }
}

/// Octets of padding behind `length` octets.
fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// Reads fields in the byte order of a PDU.
pub(super) struct Reader<'a> {
    octets: wire::Reader<'a>,
    order: ByteOrder,
}

impl<'a> Reader<'a> {
    pub(super) fn new(what: &'static str, octets: &'a [u8], order: ByteOrder) -> Self {
        Self { octets: wire::Reader::new(what, octets), order }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(super) fn remaining(&self) -> usize {
        self.octets.remaining()
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.octets.u8()
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.octets.array().map(match self.order {
            ByteOrder::Network => u16::from_be_bytes,
            ByteOrder::Little => u16::from_le_bytes,
        })
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.octets.array().map(match self.order {
            ByteOrder::Network => u32::from_be_bytes,
            ByteOrder::Little => u32::from_le_bytes,
        })
    }

    fn u64(&mut self) -> Result<u64> {
        self.octets.array().map(match self.order {
            ByteOrder::Network => u64::from_be_bytes,
            ByteOrder::Little => u64::from_le_bytes,
        })
    }

    pub(super) fn skip(&mut self, n: usize) -> Result<()> {
        self.octets.skip(n)
    }

    pub(super) fn finish(self) -> Result<()> {
        self.octets.finish()
    }

    /// An Octet String (section 5.3).
    pub(super) fn octets(&mut self) -> Result<&'a [u8]> {
        let length = self.u32()? as usize;
        let octets = self.octets.take(length)?;
        self.skip(padding(length))?;
        Ok(octets)
    }

    /// An Object Identifier and its include field (section 5.1).
    pub(super) fn oid(&mut self) -> Result<(Oid, bool)> {
        let [count, prefix, include, _] = self.octets.array()?;
        let begin = if prefix == 0 { 0 } else { INTERNET.len() + 1 };
        let count = usize::from(count);
        // Looked at before there is room made for them.
        let (ids, _) = self.octets.take(count * 4)?.as_chunks();
        let mut oid = Oid::zeros(begin + count)
            .map_err(|_| Error::BadLength { what: "n_subid", length: count })?;
        let (head, tail) = oid.as_mut_slice().split_at_mut(begin);
        if let [internet @ .., arc] = head {
            internet.copy_from_slice(&INTERNET);
            *arc = u32::from(prefix);
        }
        // The order is looked at once: names are most of what is read.
        match self.order {
            ByteOrder::Network => fill(tail, ids, u32::from_be_bytes),
            ByteOrder::Little => fill(tail, ids, u32::from_le_bytes),
        }
        Ok((oid, include != 0))
    }

    /// A VarBind (section 5.4).
    pub(super) fn varbind(&mut self) -> Result<VarBind<'a>> {
        let kind = self.u16()?;
        self.skip(2)?;
        let (name, _) = self.oid()?;
        let value = match kind {
            INTEGER => Value::Integer(self.u32()?.cast_signed()),
            OCTET_STRING => Value::OctetString(self.octets()?.into()),
            NULL => Value::Null,
            OBJECT_IDENTIFIER => Value::ObjectIdentifier(self.oid()?.0),
            IP_ADDRESS => {
                let octets = self.octets()?;
                let bad = |_| Error::BadLength { what: "IpAddress", length: octets.len() };
                Value::IpAddress(octets.try_into().map_err(bad)?)
            }
            COUNTER32 => Value::Counter32(self.u32()?),
            GAUGE32 => Value::Gauge32(self.u32()?),
            TIME_TICKS => Value::TimeTicks(self.u32()?),
            OPAQUE => Value::Opaque(self.octets()?.into()),
            COUNTER64 => Value::Counter64(self.u64()?),
            NO_SUCH_OBJECT => Value::NoSuchObject,
            NO_SUCH_INSTANCE => Value::NoSuchInstance,
            END_OF_MIB_VIEW => Value::EndOfMibView,
            other => return Err(Error::BadValue { what: "v.type", value: other.into() }),
        };
        Ok(VarBind { name, value })
    }
}

/// Appends fields in the byte order of a PDU.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    order: ByteOrder,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, order: ByteOrder) -> Self {
        Self { out, order }
    }

    /// Octets written so far, those before this writer included.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes back everything behind the first `length` octets.
    pub(super) fn truncate(&mut self, length: usize) {
        self.out.truncate(length);
    }

    pub(super) fn slice(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.slice(&self.u16_octets(value));
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.slice(&self.u32_octets(value));
    }

    fn u64(&mut self, value: u64) {
        self.slice(&match self.order {
            ByteOrder::Network => value.to_be_bytes(),
            ByteOrder::Little => value.to_le_bytes(),
        });
    }

    /// Writes over the two octets at `offset`.
    pub(super) fn patch_u16(&mut self, offset: usize, value: u16) {
        let octets = self.u16_octets(value);
        self.out[offset..offset + 2].copy_from_slice(&octets);
    }

    /// Writes over the four octets at `offset`.
    pub(super) fn patch_u32(&mut self, offset: usize, value: u32) {
        let octets = self.u32_octets(value);
        self.out[offset..offset + 4].copy_from_slice(&octets);
    }

    /// An Octet String (section 5.3).
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.u32(octets.len() as u32);
        self.slice(octets);
        self.slice(&[0; 3][..padding(octets.len())]);
    }

    /// An Object Identifier (section 5.1), as short as it can be written.
    pub(super) fn oid(&mut self, oid: &Oid, include: bool) {
        let ids = oid.as_slice();
        let (prefix, ids) = match ids {
            [1, 3, 6, 1, arc @ 1..=255, rest @ ..] => (*arc as u8, rest),
            _ => (0, ids),
        };
        self.slice(&[ids.len() as u8, prefix, include.into(), 0]);
        let begin = self.out.len();
        self.out.resize(begin + 4 * ids.len(), 0);
        let (room, _) = self.out[begin..].as_chunks_mut();
        // And of what is written.
        match self.order {
            ByteOrder::Network => fill(room, ids, u32::to_be_bytes),
            ByteOrder::Little => fill(room, ids, u32::to_le_bytes),
        }
    }

    /// A VarBind (section 5.4).
    pub(super) fn varbind(&mut self, name: &Oid, value: &Value<'_>) {
        let kind = match value {
            Value::Integer(_) => INTEGER,
            Value::OctetString(_) => OCTET_STRING,
            Value::Null => NULL,
            Value::ObjectIdentifier(_) => OBJECT_IDENTIFIER,
            Value::IpAddress(_) => IP_ADDRESS,
            Value::Counter32(_) => COUNTER32,
            Value::Gauge32(_) => GAUGE32,
            Value::TimeTicks(_) => TIME_TICKS,
            Value::Opaque(_) => OPAQUE,
            Value::Counter64(_) => COUNTER64,
            Value::NoSuchObject => NO_SUCH_OBJECT,
            Value::NoSuchInstance => NO_SUCH_INSTANCE,
            Value::EndOfMibView => END_OF_MIB_VIEW,
        };
        self.u16(kind);
        self.slice(&[0; 2]);
        self.oid(name, false);
        match value {
            Value::Integer(number) => self.u32(number.cast_unsigned()),
            Value::OctetString(octets) | Value::Opaque(octets) => self.octets(octets),
            Value::ObjectIdentifier(oid) => self.oid(oid, false),
            Value::IpAddress(address) => self.octets(address),
            Value::Counter32(number) | Value::Gauge32(number) | Value::TimeTicks(number) => {
                self.u32(*number);
            }
            Value::Counter64(number) => self.u64(*number),
            Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
        }
    }

    fn u16_octets(&self, value: u16) -> [u8; 2] {
        match self.order {
            ByteOrder::Network => value.to_be_bytes(),
            ByteOrder::Little => value.to_le_bytes(),
        }
    }

    fn u32_octets(&self, value: u32) -> [u8; 4] {
        match self.order {
            ByteOrder::Network => value.to_be_bytes(),
            ByteOrder::Little => value.to_le_bytes(),
        }
    }
}
