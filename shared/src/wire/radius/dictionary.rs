//! Names of RADIUS attributes and their values (RFC 2865, section 5): from what
//! an operator writes to octets, and back for a report.
//!
//! Owns the names, the kinds of values (RFC 2865, section 5; RFC 3162, section
//! 2) and the tags of tunnels (RFC 2868, section 3). Leaves out what hides a
//! secret, which is in [`crate::crypto::radius`]; a secret is neither read from
//! a command line nor shown.
//!
//! Real servers: FreeRADIUS sends an IPv6 prefix with more octets than its
//! length needs, and text of a tunnel without a tag where none was set, so both
//! are compared by what they mean.

use std::fmt;
use std::str::FromStr;

use super::{AttributeId, id};
use crate::wire::number;

mod table;
mod value;

use table::DEFINITIONS;

/// What the octets of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, in UTF-8 as the RFC has it.
    Text,
    /// Octets without a meaning of their own.
    Octets,
    /// A number of 32 bits, with a tag of 24.
    Integer,
    /// An IPv4 address.
    Address,
    /// An IPv6 address.
    Address6,
    /// An IPv6 prefix (RFC 3162, section 2.3).
    Prefix6,
    /// The lower half of an IPv6 address (RFC 3162, section 2.2).
    InterfaceId,
    /// Seconds since 1970, UTC.
    Date,
}

/// An attribute that is known.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// As FreeRADIUS has it; unlike any other, whatever the case.
    pub name: &'static str,
    /// Its vendor and number.
    pub id: AttributeId,
    /// What its value is.
    pub kind: Kind,
    /// Whether the value can begin with the tag of a tunnel.
    pub tagged: bool,
    /// Whether the value is a password or a key, hidden or not, or lets one
    /// guess at one.
    pub secret: bool,
    /// `NAME=NUMBER`, with spaces between; sorted by number.
    values: &'static str,
}

impl Definition {
    /// The numbers that have names. Of several names for one number, the first
    /// is the one to show.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
        self.values.split_terminator(' ').filter_map(|pair| {
            let (name, digits) = pair.split_once('=')?;
            Some((name, number(digits.as_bytes())?))
        })
    }
}

/// What is known of an attribute.
pub fn by_id(id: AttributeId) -> Option<&'static Definition> {
    let at = DEFINITIONS.binary_search_by_key(&id, |known| known.id).ok()?;
    DEFINITIONS.get(at)
}

/// `Framed-IP-Address`, or `Attr-26.9.77` for what is not known.
pub fn name(id: AttributeId) -> String {
    by_id(id).map_or_else(|| format!("Attr-{id}"), |known| known.name.to_owned())
}

/// Reads the name of an attribute in any case, or its number as `27`,
/// `26.14988.8` or `Attr-26.9.77`.
///
/// # Errors
/// A sentence with the name that is nearest.
pub fn parse_id(text: &str) -> Result<AttributeId, String> {
    if let Some(known) = DEFINITIONS.iter().find(|known| known.name.eq_ignore_ascii_case(text)) {
        return Ok(known.id);
    }
    by_number(text).ok_or_else(|| match nearest(text, DEFINITIONS.iter().map(|known| known.name)) {
        Some(name) => format!("no attribute {text:?} is known, did you mean {name}?"),
        None => format!("no attribute {text:?} is known, give its number: N or 26.VENDOR.N"),
    })
}

/// Reads `NAME=VALUE`, or `NAME:TAG=VALUE` for an attribute of a tunnel, for
/// sending. The value is a number or its name, an address, a prefix as
/// `2001:db8::/48`, a date as `2001-02-03T04:05:06Z`, or text; `0x` and
/// hexadecimal digits give the octets of any kind, tag left out, and are the
/// only way for octets and for attributes that are not known.
///
/// # Errors
/// A sentence that says what the attribute takes; also for one that is secret,
/// or that the client sets itself. It never repeats the value of a secret.
pub fn parse_assignment(text: &str) -> Result<(AttributeId, Vec<u8>), String> {
    let (left, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let Attribute { id, tag } = left.parse()?;
    if SET_BY_CLIENT.contains(&id) {
        return Err(format!("{} is set by the client itself", name(id)));
    }
    let value = parse_value(id, value)?;
    let octets = match tag.or_else(|| by_id(id)?.unset_tag(&value)) {
        Some(tag) => [&[tag], &value[..]].concat(),
        None => value,
    };
    match octets.len() <= id.longest() {
        true => Ok((id, octets)),
        false => Err(format!("{} holds {} octets at most", name(id), id.longest())),
    }
}

/// What a reply has to contain: `NAME`, `NAME=VALUE` or either with `:TAG`
/// behind the name. Where no tag is given, any will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The attribute.
    pub id: AttributeId,
    tag: Option<u8>,
    /// Without the tag; any will do if it is missing.
    value: Option<Vec<u8>>,
}

impl Expectation {
    /// Whether this value of the attribute is what is expected.
    pub fn matches(&self, octets: &[u8]) -> bool {
        let known = by_id(self.id);
        match value::split_tag(known, octets) {
            Some((tag, found)) => {
                self.tag.is_none_or(|expected| expected == tag)
                    && self.value.as_ref().is_none_or(|value| value::is_same(known, value, found))
            }
            None => self.tag.is_none() && self.value.is_none(),
        }
    }
}

/// The errors are those of [`parse_assignment`], except that an attribute may
/// be one that only a client sets, or, without a value, one that is secret.
impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (left, value) = match text.split_once('=') {
            Some((left, value)) => (left, Some(value)),
            None => (text, None),
        };
        let Attribute { id, tag } = left.parse()?;
        let value = value.map(|value| parse_value(id, value)).transpose()?;
        Ok(Self { id, tag, value })
    }
}

/// The value that is expected, as [`describe`] shows it; the name of the
/// attribute where any value will do.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, self.tag) {
            (Some(value), tag) => f.write_str(&show(self.id, tag.unwrap_or(0), value)),
            (None, Some(tag)) => write!(f, "{}:{tag}", name(self.id)),
            (None, None) => f.write_str(&name(self.id)),
        }
    }
}

/// A value in printable ASCII without `|`: named values by name, text with
/// `\xNN` for what could break a line, secrets as `(hidden)`, and what is not
/// of the attribute's kind in hexadecimal, cut after 32 octets. The tag of a
/// tunnel stands behind it.
pub fn describe(id: AttributeId, value: &[u8]) -> String {
    match value::split_tag(by_id(id), value) {
        Some((tag, value)) => show(id, tag, value),
        None => value::hex(value),
    }
}

/// What is not the operator's to set: it would contradict what the client
/// sends, or could not be right beforehand. Secrets are refused on top.
const SET_BY_CLIENT: [AttributeId; 8] = [
    id::USER_NAME,
    id::STATE,
    AttributeId::rfc(33), // Proxy-State
    id::ACCT_STATUS_TYPE,
    id::ACCT_SESSION_ID,
    id::CHAP_CHALLENGE,
    id::MESSAGE_AUTHENTICATOR,
    id::MS_CHAP_CHALLENGE,
];

/// Largest tag (RFC 2868, section 3.1).
const LARGEST_TAG: u8 = 0x1f;

/// What stands before the equals sign.
struct Attribute {
    id: AttributeId,
    tag: Option<u8>,
}

impl FromStr for Attribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((left, digits)) = text.split_once(':') else {
            return Ok(Self { id: parse_id(text)?, tag: None });
        };
        let id = parse_id(left)?;
        if !by_id(id).is_some_and(|known| known.tagged) {
            return Err(format!("{} takes no tag", name(id)));
        }
        match number(digits.as_bytes()).and_then(|tag| u8::try_from(tag).ok()) {
            Some(tag @ 0..=LARGEST_TAG) => Ok(Self { id, tag: Some(tag) }),
            _ => Err(format!("the tag of {} is a number up to {LARGEST_TAG}", name(id))),
        }
    }
}

fn by_number(text: &str) -> Option<AttributeId> {
    let digits = match text.split_at_checked(5) {
        Some((prefix, digits)) if prefix.eq_ignore_ascii_case("Attr-") => digits,
        _ => text,
    };
    let mut parts = digits.split('.').map(|part| number(part.as_bytes()));
    let (vendor, number) = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        (number, None, None, None) => (0, number?),
        // Vendor 0 would pose as an attribute of the RFCs.
        (Some(26), Some(Some(vendor @ 1..)), Some(number), None) => (vendor, number?),
        _ => return None,
    };
    Some(AttributeId { vendor, number: u8::try_from(number).ok()? })
}

/// The value without its tag.
fn parse_value(id: AttributeId, text: &str) -> Result<Vec<u8>, String> {
    let known = by_id(id);
    if known.is_some_and(|known| known.secret) {
        return Err(format!("{} holds a secret, its value cannot be given", name(id)));
    }
    // RFC 2865, section 5: what is empty is left out.
    if text.is_empty() {
        return Err(format!("the value of {} is empty", name(id)));
    }
    value::parse(known, text).map_err(|takes| format!("{} takes {takes}", name(id)))
}

fn show(id: AttributeId, tag: u8, value: &[u8]) -> String {
    let known = by_id(id);
    if known.is_some_and(|known| known.secret) {
        return "(hidden)".to_owned();
    }
    let mut text = value::describe(known, value);
    if tag != 0 {
        text.push_str(&format!(" (tag {tag})"));
    }
    text
}

/// The name that takes the fewest changes, if it is alike at all.
fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = text.len().div_ceil(3);
    names
        // Also keeps what is far too long from being compared.
        .filter(|name| name.len().abs_diff(text.len()) <= limit)
        .map(|name| (distance(name, text), name))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Octets to replace, insert or remove, whatever their case.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, a) in from.bytes().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        row[0] = left;
        for (cell, b) in row[1..].iter_mut().zip(to.bytes()) {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
