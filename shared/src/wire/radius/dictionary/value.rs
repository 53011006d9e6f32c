//! Values of attributes by their kind: text to octets, and octets to text. Tags
//! are taken off here and handled above.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Definition, Kind, LARGEST_TAG, nearest};
use crate::wire::{number, unhex};

/// Octets that are shown in hexadecimal before the rest is cut.
const LONGEST_HEX: usize = 32;
/// Largest number beside a tag.
const LARGEST_TAGGED: u32 = 0x00ff_ffff;
const SECONDS_PER_DAY: u32 = 86_400;

impl Definition {
    /// The tag that says that there is none: needed where a number has its
    /// place, and where the first octet of a text would pass for a tag.
    pub(super) fn unset_tag(&self, value: &[u8]) -> Option<u8> {
        let needed = self.kind == Kind::Integer || begins_with_tag(value);
        (self.tagged && needed).then_some(0)
    }
}

/// The tag, 0 where there is none, and what is behind it (RFC 2868, section 3);
/// nothing if there is no place for the tag of a number.
pub(super) fn split_tag<'a>(
    known: Option<&Definition>,
    octets: &'a [u8],
) -> Option<(u8, &'a [u8])> {
    match (known, octets) {
        (Some(Definition { tagged: true, kind: Kind::Integer, .. }), _) => match octets {
            [tag, value @ ..] if value.len() == 3 => Some((*tag, value)),
            _ => None,
        },
        (Some(Definition { tagged: true, .. }), [tag, value @ ..]) if begins_with_tag(octets) => {
            Some((*tag, value))
        }
        _ => Some((0, octets)),
    }
}

/// The octets of what an operator wrote, or what should have been written.
pub(super) fn parse(known: Option<&Definition>, text: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return parse_hex(known, digits);
    }
    let Some(known) = known else {
        return Err("0x and hexadecimal digits".to_owned());
    };
    let (octets, takes) = match known.kind {
        Kind::Text => (Some(text.as_bytes().to_vec()), ""),
        Kind::Octets => (None, "0x and hexadecimal digits"),
        Kind::Integer => return parse_integer(known, text),
        Kind::Address => {
            let address = text.parse().ok().map(|address: Ipv4Addr| address.octets().to_vec());
            (address, "an IPv4 address")
        }
        Kind::Address6 => {
            let address = text.parse().ok().map(|address: Ipv6Addr| address.octets().to_vec());
            (address, "an IPv6 address")
        }
        Kind::Prefix6 => (parse_prefix(text), "an IPv6 prefix without host bits: 2001:db8::/48"),
        Kind::InterfaceId => (parse_interface(text), "an interface identifier: 0:0:0:1"),
        Kind::Date => {
            let seconds = number(text.as_bytes()).or_else(|| parse_date(text));
            let octets = seconds.map(|seconds| seconds.to_be_bytes().to_vec());
            (octets, "a date in UTC, 2001-02-03T04:05:06Z, or seconds since 1970")
        }
    };
    octets.ok_or_else(|| takes.to_owned())
}

/// Whether two values mean the same.
pub(super) fn is_same(known: Option<&Definition>, a: &[u8], b: &[u8]) -> bool {
    let is_prefix = known.is_some_and(|known| known.kind == Kind::Prefix6);
    a == b || (is_prefix && prefix(a).is_some_and(|a| prefix(b) == Some(a)))
}

/// The value by its kind, or in hexadecimal if it is not of that kind.
pub(super) fn describe(known: Option<&Definition>, value: &[u8]) -> String {
    known.and_then(|known| describe_kind(known, value)).unwrap_or_else(|| hex(value))
}

/// Octets in hexadecimal, cut after [`LONGEST_HEX`] of them.
pub(super) fn hex(octets: &[u8]) -> String {
    let mut out = "0x".to_owned();
    for octet in octets.iter().take(LONGEST_HEX) {
        let _ = write!(out, "{octet:02x}");
    }
    if octets.len() > LONGEST_HEX {
        let _ = write!(out, "... ({} octets)", octets.len());
    }
    out
}

fn describe_kind(known: &Definition, value: &[u8]) -> Option<String> {
    Some(match known.kind {
        Kind::Text => escape(value),
        Kind::Octets => return None,
        Kind::Integer => {
            let found = integer(known, value)?;
            let named = known.values().find(|&(_, number)| number == found);
            named.map_or_else(|| found.to_string(), |(name, _)| name.to_owned())
        }
        Kind::Address => Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).to_string(),
        Kind::Address6 => Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string(),
        Kind::Prefix6 => {
            let (address, bits) = prefix(value)?;
            format!("{address}/{bits}")
        }
        Kind::InterfaceId => {
            let [a, b, c, d, e, f, g, h] = <[u8; 8]>::try_from(value).ok()?;
            let [a, b, c, d] = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
        Kind::Date => date(u32::from_be_bytes(value.try_into().ok()?)),
    })
}

fn begins_with_tag(octets: &[u8]) -> bool {
    octets.first().is_some_and(|&first| first <= LARGEST_TAG)
}

fn parse_hex(known: Option<&Definition>, digits: &str) -> Result<Vec<u8>, String> {
    let octets = unhex(digits.as_bytes()).filter(|octets| !octets.is_empty());
    let octets = octets.ok_or("two hexadecimal digits for each octet behind 0x")?;
    if let Some(known) = known
        && !matches!(known.kind, Kind::Text | Kind::Octets)
    {
        // A wrong length would be sent as it is, and 0x10 may have been meant
        // as a number.
        describe_kind(known, &octets).ok_or("all octets of its value behind 0x")?;
    }
    Ok(octets)
}

fn parse_integer(known: &Definition, text: &str) -> Result<Vec<u8>, String> {
    let largest = if known.tagged { LARGEST_TAGGED } else { u32::MAX };
    let named = known.values().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let found = named.map(|(_, value)| value).or_else(|| number(text.as_bytes()));
    if let Some(found) = found.filter(|&found| found <= largest) {
        let octets = found.to_be_bytes();
        return Ok(octets[usize::from(known.tagged)..].to_vec());
    }
    let names = || known.values().map(|(name, _)| name);
    Err(match (nearest(text, names()), names().next()) {
        (Some(near), _) => format!("a number or a name, did you mean {near}?"),
        (None, Some(first)) => format!("a number up to {largest} or a name like {first}"),
        (None, None) => format!("a number up to {largest}"),
    })
}

fn integer(known: &Definition, value: &[u8]) -> Option<u32> {
    match (known.tagged, value) {
        (true, &[a, b, c]) => Some(u32::from_be_bytes([0, a, b, c])),
        (false, &[a, b, c, d]) => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

/// As few octets as the length needs.
fn parse_prefix(text: &str) -> Option<Vec<u8>> {
    let (address, bits) = text.split_once('/')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let bits = number(bits.as_bytes()).filter(|&bits| bits <= 128)?;
    if address.to_bits().checked_shl(bits).unwrap_or(0) != 0 {
        return None;
    }
    let mut octets = vec![0, bits as u8];
    octets.extend(&address.octets()[..bits.div_ceil(8) as usize]);
    Some(octets)
}

/// Address and length; octets that were left out are zero.
fn prefix(value: &[u8]) -> Option<(Ipv6Addr, u8)> {
    let &[_, bits @ 0..=128, ref rest @ ..] = value else {
        return None;
    };
    let mut octets = [0; 16];
    octets.get_mut(..rest.len())?.copy_from_slice(rest);
    Some((octets.into(), bits))
}

fn parse_interface(text: &str) -> Option<Vec<u8>> {
    let group = |digits: &str| match digits.len() {
        1..=4 => unhex(format!("{digits:0>4}").as_bytes()),
        _ => None,
    };
    let groups: Vec<_> = text.split(':').map(group).collect::<Option<_>>()?;
    (groups.len() == 4).then(|| groups.concat())
}

fn parse_date(text: &str) -> Option<u32> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = fields(day, '-')?;
    let [hour, minute, second] = fields(time, ':')?;
    // The last year that 32 bits reach.
    if year > 2106 || month > 12 || day > 31 {
        return None;
    }
    let days = (1970..year).map(days_of_year).sum::<u32>()
        + (1..month).map(|month| days_of_month(year, month)).sum::<u32>()
        + day.checked_sub(1)?;
    let seconds = [(hour, 3600), (minute, 60), (second, 1)];
    let time =
        seconds.iter().try_fold(0u32, |sum, (n, unit)| sum.checked_add(n.checked_mul(*unit)?));
    let found = days.checked_mul(SECONDS_PER_DAY)?.checked_add(time?)?;
    // Only what exists is shown the same again: no 30th of February.
    (date(found) == text).then_some(found)
}

fn fields(text: &str, separator: char) -> Option<[u32; 3]> {
    let mut parts = text.split(separator).map(|part| number(part.as_bytes()));
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

fn date(seconds: u32) -> String {
    let (mut day, second) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    let (mut year, mut month) = (1970, 1);
    while day >= days_of_year(year) {
        day -= days_of_year(year);
        year += 1;
    }
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day + 1)
}

fn days_of_year(year: u32) -> u32 {
    365 + u32::from(is_leap_year(year))
}

fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap_year(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap_year(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn escape(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len());
    for &octet in octets {
        match octet {
            // Nagios reads `\n` in a passive result as a line break.
            b'|' | b'\\' => push_escaped(&mut out, octet),
            b' '..=b'~' => out.push(char::from(octet)),
            _ => push_escaped(&mut out, octet),
        }
    }
    out
}

fn push_escaped(out: &mut String, octet: u8) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\\x{octet:02x}");
}
