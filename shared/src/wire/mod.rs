//! Octets to values and back: one plain struct per message, with `parse` and
//! `emit`. No state, no clock, no I/O.
//!
//! Lengths and reserved fields are not struct fields; byte order (network
//! order throughout, but for [`netlink`]) lives in [`Reader`] and [`Writer`]
//! alone. Codes that are not known stay visible as `Other(n)`.

use std::fmt;

/// An enum over a code field: known codes by name, others as `Other(n)`.
#[macro_export]
macro_rules! codes {
    ($(#[$outer:meta])* $name:ident($repr:ty) { $($(#[$inner:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$inner])* $variant,)*
            /// A code the RFC does not define.
            Other($repr),
        }

        impl From<$repr> for $name {
            fn from(code: $repr) -> Self {
                match code { $($number => Self::$variant,)* other => Self::Other(other) }
            }
        }

        impl From<$name> for $repr {
            fn from(code: $name) -> Self {
                match code { $($name::$variant => $number,)* $name::Other(other) => other }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(other) => write!(f, "code {other}"),
                }
            }
        }
    };
}

pub mod chap;
pub mod control;
pub mod cp;
pub mod eap;
pub mod gre;
pub mod ip;
pub mod mask;
pub mod netlink;
pub mod pap;
pub mod ppp;
pub mod radius;

/// Why octets are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The octets end inside the named field.
    Truncated {
        /// Field or message that was being read.
        what: &'static str,
        /// Octets it needs.
        needed: usize,
        /// Octets that were left.
        have: usize,
    },
    /// Octets are left over behind the named message.
    Trailing {
        /// Message that should have ended.
        what: &'static str,
        /// Octets left over.
        excess: usize,
    },
    /// A length field that contradicts the format or its surroundings.
    BadLength {
        /// Field or message the length belongs to.
        what: &'static str,
        /// The length as read.
        length: usize,
    },
    /// A field holds a value the format does not allow.
    BadValue {
        /// The field.
        what: &'static str,
        /// The value as read.
        value: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { what, needed, have } => {
                write!(f, "{what} needs {needed} octets, {have} are there")
            }
            Self::Trailing { what, excess } => write!(f, "{excess} octets left over behind {what}"),
            Self::BadLength { what, length } => {
                write!(f, "length {length} is impossible for {what}")
            }
            Self::BadValue { what, value } => {
                write!(f, "value {value:#x} is impossible for {what}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Result of every `parse`.
pub type Result<T> = std::result::Result<T, Error>;

/// Reads fields in network byte order from a slice; never past its end.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    what: &'static str,
    octets: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `octets`; `what` names the message in errors.
    pub fn new(what: &'static str, octets: &'a [u8]) -> Self {
        Self { what, octets }
    }

    /// Octets not yet read.
    pub fn remaining(&self) -> usize {
        self.octets.len()
    }

    /// True when everything was read.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The next `n` octets.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        match self.octets.split_at_checked(n) {
            Some((head, tail)) => {
                self.octets = tail;
                Ok(head)
            }
            None => Err(Error::Truncated { what: self.what, needed: n, have: self.octets.len() }),
        }
    }

    /// The next `N` octets as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// One octet.
    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(|[octet]| octet)
    }

    /// Two octets.
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four octets.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Passes over `n` octets (reserved fields: ignored on receipt).
    pub fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(|_| ())
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.octets)
    }

    /// A reader over the next `n` octets, for a length-prefixed part.
    pub fn part(&mut self, what: &'static str, n: usize) -> Result<Reader<'a>> {
        self.take(n).map(|octets| Reader::new(what, octets))
    }

    /// Ends a message that must be used up.
    ///
    /// # Errors
    /// [`Error::Trailing`] when octets are left.
    pub fn finish(self) -> Result<()> {
        match self.octets.len() {
            0 => Ok(()),
            excess => Err(Error::Trailing { what: self.what, excess }),
        }
    }
}

/// Writes fields in network byte order.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    octets: Vec<u8>,
}

impl Writer {
    /// An empty writer with room for `capacity` octets.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { octets: Vec::with_capacity(capacity) }
    }

    /// One octet.
    pub fn u8(&mut self, value: u8) {
        self.octets.push(value);
    }

    /// Two octets.
    pub fn u16(&mut self, value: u16) {
        self.octets.extend_from_slice(&value.to_be_bytes());
    }

    /// Four octets.
    pub fn u32(&mut self, value: u32) {
        self.octets.extend_from_slice(&value.to_be_bytes());
    }

    /// `octets` as they are.
    pub fn slice(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// `n` zero octets (reserved fields).
    pub fn zeros(&mut self, n: usize) {
        self.octets.resize(self.octets.len() + n, 0);
    }

    /// `text` cut or zero-padded to `n` octets.
    pub fn padded(&mut self, text: &[u8], n: usize) {
        let cut = &text[..text.len().min(n)];
        self.slice(cut);
        self.zeros(n - cut.len());
    }

    /// Octets written so far.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// True before the first octet.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Writes `value` over the two octets at `offset`, which were written before.
    pub fn patch_u16(&mut self, offset: usize, value: u16) {
        self.octets[offset..offset + 2].copy_from_slice(&value.to_be_bytes());
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        self.octets
    }
}

/// A number in decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The octets of pairs of hexadecimal digits.
fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some((nibble(high)? << 4 | nibble(low)?) as u8)).collect()
}
