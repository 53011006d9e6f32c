//! RADIUS packets (RFC 2865, section 3; RFC 2866, section 3; RFC 5997) and
//! their attributes.
//!
//! Owns the layout and the way through the attributes. What the authenticators
//! mean is in [`crate::crypto::radius`], who sends when in
//! [`crate::proto::radius`], the names of attributes in [`dictionary`].
//!
//! ```text
//! | code | identifier | length | authenticator (16) | type | length | value | ...
//! ```
//!
//! Real servers: sub-attributes of a vendor that do not follow the suggested
//! format (RFC 2865, section 5.26) stay one attribute 26. Long values split
//! over several attributes are not put together.

use super::{Error, Reader, Result, Writer};

pub mod dictionary;
pub mod mask;

/// Octets before the attributes.
pub const HEADER_LENGTH: usize = 20;
/// Longest packet (RFC 2865, section 3).
pub const MAX_LENGTH: usize = 4096;
/// Longest value of an attribute.
pub const MAX_VALUE: usize = 253;
/// Longest value of a vendor's attribute.
pub const MAX_VENDOR_VALUE: usize = 247;

codes! {
    /// What a packet is.
    Code(u8) {
        /// Asks whether a user may come in.
        AccessRequest = 1, "Access-Request";
        /// The user may.
        AccessAccept = 2, "Access-Accept";
        /// The user may not.
        AccessReject = 3, "Access-Reject";
        /// Tells of a session (RFC 2866).
        AccountingRequest = 4, "Accounting-Request";
        /// It was written down.
        AccountingResponse = 5, "Accounting-Response";
        /// The user has to answer one more question.
        AccessChallenge = 11, "Access-Challenge";
        /// Asks whether the server lives (RFC 5997).
        StatusServer = 12, "Status-Server";
        /// Reserved.
        StatusClient = 13, "Status-Client";
        /// The server cannot process this (RFC 7930).
        ProtocolError = 52, "Protocol-Error";
    }
}

/// Names an attribute: its vendor and its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeId {
    /// The vendor's enterprise number (RFC 2865, section 5.26); 0 for an
    /// attribute of the RFCs.
    pub vendor: u32,
    /// Type, or vendor type.
    pub number: u8,
}

impl AttributeId {
    const fn rfc(number: u8) -> Self {
        Self { vendor: 0, number }
    }

    const fn microsoft(number: u8) -> Self {
        Self { vendor: 311, number }
    }

    /// Octets of its longest value.
    const fn longest(self) -> usize {
        if self.vendor == 0 { MAX_VALUE } else { MAX_VENDOR_VALUE }
    }
}

/// `1`, or `26.311.16` for an attribute of a vendor.
impl std::fmt::Display for AttributeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self { vendor: 0, number } => write!(f, "{number}"),
            Self { vendor, number } => write!(f, "26.{vendor}.{number}"),
        }
    }
}

macro_rules! ids {
    ($($name:ident = $kind:ident $number:literal;)*) => {
        $(#[doc = concat!("Number ", $number, ".")]
        pub const $name: AttributeId = AttributeId::$kind($number);)*
    };
}

/// The attributes that this program reads or writes itself.
pub mod id {
    use super::AttributeId;

    ids! {
        USER_NAME = rfc 1;
        USER_PASSWORD = rfc 2;
        CHAP_PASSWORD = rfc 3;
        NAS_IP_ADDRESS = rfc 4;
        SERVICE_TYPE = rfc 6;
        FRAMED_PROTOCOL = rfc 7;
        FRAMED_IP_ADDRESS = rfc 8;
        REPLY_MESSAGE = rfc 18;
        STATE = rfc 24;
        VENDOR_SPECIFIC = rfc 26;
        CALLING_STATION_ID = rfc 31;
        NAS_IDENTIFIER = rfc 32;
        ACCT_STATUS_TYPE = rfc 40;
        ACCT_INPUT_OCTETS = rfc 42;
        ACCT_OUTPUT_OCTETS = rfc 43;
        ACCT_SESSION_ID = rfc 44;
        ACCT_AUTHENTIC = rfc 45;
        ACCT_SESSION_TIME = rfc 46;
        ACCT_INPUT_PACKETS = rfc 47;
        ACCT_OUTPUT_PACKETS = rfc 48;
        ACCT_TERMINATE_CAUSE = rfc 49;
        CHAP_CHALLENGE = rfc 60;
        NAS_PORT_TYPE = rfc 61;
        TUNNEL_TYPE = rfc 64;
        TUNNEL_MEDIUM_TYPE = rfc 65;
        MESSAGE_AUTHENTICATOR = rfc 80;
        NAS_IPV6_ADDRESS = rfc 95;
        ERROR_CAUSE = rfc 101;
        MS_CHAP_RESPONSE = microsoft 1;
        MS_CHAP_ERROR = microsoft 2;
        MS_CHAP_CHALLENGE = microsoft 11;
        MS_CHAP_MPPE_KEYS = microsoft 12;
        MS_MPPE_SEND_KEY = microsoft 16;
        MS_MPPE_RECV_KEY = microsoft 17;
        MS_CHAP2_RESPONSE = microsoft 25;
        MS_CHAP2_SUCCESS = microsoft 26;
    }
}

/// A packet over the octets it was read from. Its attributes have been walked
/// once, so that going through them cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub code: Code,
    /// Matches a reply to its request.
    pub identifier: u8,
    /// Random in an Access-Request, a keyed digest in every other packet.
    pub authenticator: [u8; 16],
    octets: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; octets behind its length are padding (RFC 2865,
    /// section 3).
    ///
    /// # Errors
    /// A length that is impossible or more than there is, or an attribute that
    /// does not fit, or whose length is below its own header.
    pub fn parse(octets: &'a [u8]) -> Result<Self> {
        const WHAT: &str = "RADIUS packet";
        let mut reader = Reader::new(WHAT, octets);
        let code = reader.u8()?.into();
        let identifier = reader.u8()?;
        let length = usize::from(reader.u16()?);
        if !(HEADER_LENGTH..=MAX_LENGTH).contains(&length) {
            return Err(Error::BadLength { what: WHAT, length });
        }
        let mut rest = reader.part(WHAT, length - 4)?;
        let authenticator = rest.array()?;
        while !rest.is_empty() {
            let (_, value) = plain_attribute(&mut rest)?;
            rest.skip(value)?;
        }
        Ok(Self { code, identifier, authenticator, octets: &octets[..length] })
    }

    /// The packet without padding.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The attributes in their order, those of vendors taken apart.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { outer: &self.octets[HEADER_LENGTH..], vendor: None }
    }

    /// The value of the first attribute of that name.
    pub fn find(&self, id: AttributeId) -> Option<&'a [u8]> {
        self.all(id).next()
    }

    /// The values of all attributes of that name.
    pub fn all(&self, id: AttributeId) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.attributes().filter(move |attribute| attribute.id == id).map(|found| found.value)
    }

    /// Where the 16 octets of the Message-Authenticator begin (RFC 3579,
    /// section 3.2).
    ///
    /// # Errors
    /// When it is not of that length, or there are two of them.
    pub fn message_authenticator(&self) -> Result<Option<usize>> {
        const WHAT: &str = "Message-Authenticator";
        let mut found = None;
        for value in self.all(id::MESSAGE_AUTHENTICATOR) {
            if value.len() != 16 || found.is_some() {
                return Err(Error::BadLength { what: WHAT, length: value.len() });
            }
            found = Some(self.offset(value));
        }
        Ok(found)
    }

    /// Where a value of this packet begins: both lie in the same slice.
    fn offset(&self, value: &[u8]) -> usize {
        value.as_ptr() as usize - self.octets.as_ptr() as usize
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its name.
    pub id: AttributeId,
    /// 0 to 253 octets.
    pub value: &'a [u8],
}

/// The way through the attributes of a packet.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    outer: &'a [u8],
    /// What is left of the vendor's attribute that was opened.
    vendor: Option<(u32, &'a [u8])>,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        if let Some((vendor, rest)) = self.vendor.take() {
            let (number, value, rest) = split_attribute(rest)?;
            self.vendor = (!rest.is_empty()).then_some((vendor, rest));
            return Some(Attribute { id: AttributeId { vendor, number }, value });
        }
        let (number, value, rest) = split_attribute(self.outer)?;
        self.outer = rest;
        let id = AttributeId::rfc(number);
        match value.split_first_chunk() {
            Some((vendor, inner)) if id == id::VENDOR_SPECIFIC && is_suggested_format(inner) => {
                // An enterprise number of 0 would pose as an attribute of the RFCs.
                match u32::from_be_bytes(*vendor) {
                    0 => Some(Attribute { id, value }),
                    vendor => {
                        self.vendor = Some((vendor, inner));
                        self.next()
                    }
                }
            }
            _ => Some(Attribute { id, value }),
        }
    }
}

/// Whether there is at least one sub-attribute, and all of them fit.
fn is_suggested_format(mut inner: &[u8]) -> bool {
    if inner.is_empty() {
        return false;
    }
    while !inner.is_empty() {
        match split_attribute(inner) {
            Some((_, _, rest)) => inner = rest,
            None => return false,
        }
    }
    true
}

/// Type, value and what follows; nothing at the end and where it does not fit.
fn split_attribute(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[number, length], rest) = octets.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(length).checked_sub(2)?)?;
    Some((number, value, rest))
}

/// Type and length of the value.
fn plain_attribute(reader: &mut Reader<'_>) -> Result<(u8, usize)> {
    const WHAT: &str = "RADIUS attribute";
    let number = reader.u8()?;
    let length = usize::from(reader.u8()?);
    let value = length.checked_sub(2).ok_or(Error::BadLength { what: WHAT, length })?;
    Ok((number, value))
}

/// A packet that is being written.
#[derive(Debug, Clone)]
pub struct Draft(Writer);

impl Draft {
    /// A packet without attributes.
    pub fn new(code: Code, identifier: u8, authenticator: &[u8; 16]) -> Self {
        let mut writer = Writer::with_capacity(256);
        writer.u8(code.into());
        writer.u8(identifier);
        writer.u16(0);
        writer.slice(authenticator);
        Self(writer)
    }

    /// Appends an attribute; of a value that is longer than
    /// [`MAX_VALUE`] or [`MAX_VENDOR_VALUE`] the end is cut.
    pub fn attribute(&mut self, id: AttributeId, value: &[u8]) {
        let writer = &mut self.0;
        let value = &value[..value.len().min(id.longest())];
        if id.vendor != 0 {
            writer.u8(id::VENDOR_SPECIFIC.number);
            writer.u8((value.len() + 8) as u8);
            writer.u32(id.vendor);
        }
        writer.u8(id.number);
        writer.u8((value.len() + 2) as u8);
        writer.slice(value);
    }

    /// Appends an attribute of four octets.
    pub fn integer(&mut self, id: AttributeId, value: u32) {
        self.attribute(id, &value.to_be_bytes());
    }

    /// Appends an empty Message-Authenticator and gives the offset of its
    /// value.
    pub fn message_authenticator(&mut self) -> usize {
        self.attribute(id::MESSAGE_AUTHENTICATOR, &[0; 16]);
        self.0.len() - 16
    }

    /// The packet with its length.
    ///
    /// # Errors
    /// When it is longer than [`MAX_LENGTH`].
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let length = self.0.len();
        if length > MAX_LENGTH {
            return Err(Error::BadLength { what: "RADIUS packet", length });
        }
        self.0.patch_u16(2, length as u16);
        Ok(self.0.finish())
    }
}

/// Cuts a stream into packets (RFC 6613, section 2.6.4).
#[derive(Debug, Clone, Default)]
pub struct Framer {
    octets: Vec<u8>,
}

impl Framer {
    /// Takes what the stream brought. What is kept between two calls of
    /// [`Framer::next_packet`] that gave nothing is below one packet, so the
    /// memory is bounded by that and by one piece.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// The next whole packet, its attributes not yet looked at.
    ///
    /// # Errors
    /// A length below the header or above [`MAX_LENGTH`]: the place in the
    /// stream is lost, and the connection has to be closed.
    pub fn next_packet(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(&[high, low]) = self.octets.get(2..4).and_then(|field| field.first_chunk()) else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER_LENGTH..=MAX_LENGTH).contains(&length) {
            return Err(Error::BadLength { what: "RADIUS packet", length });
        }
        if self.octets.len() < length {
            return Ok(None);
        }
        let rest = self.octets.split_off(length);
        Ok(Some(std::mem::replace(&mut self.octets, rest)))
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
