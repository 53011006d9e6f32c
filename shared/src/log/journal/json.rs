//! One entry of the journal as JSON: an object in which a value is a text, an
//! array of numbers where it is no UTF-8, null where it was left out for its
//! length, or an array of those where a field was given more than once.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::log::daemon;
use crate::log::entry::{Entry, Stamp, Tag};

/// The fields that are asked for, in buffers that serve every entry.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) cursor: String,
    /// When journald got it.
    pub(super) at: Option<Stamp>,
    host: Vec<u8>,
    tag: Vec<u8>,
    message: Value,
    pid: Option<u32>,
    /// For a field that is kept as a number or as a text.
    other: Value,
}

/// A field: its first value, if it was given more than once.
#[derive(Debug, Default)]
struct Value {
    octets: Vec<u8>,
    left_out: bool,
}

impl Fields {
    /// Reads one entry; false if it is none.
    pub(super) fn read(&mut self, line: &[u8]) -> bool {
        self.cursor.clear();
        self.at = None;
        self.pid = None;
        self.host.clear();
        self.tag.clear();
        self.message.clear();
        let mut reader = serde_json::Deserializer::from_slice(line);
        (&mut reader).deserialize_map(self).is_ok() && reader.end().is_ok()
    }

    /// Whether its message was too long for journalctl.
    pub(super) fn is_left_out(&self) -> bool {
        self.message.left_out
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        Entry {
            at: self.at,
            host: &self.host,
            tag: daemon::program(&self.tag).map_or(Tag::Other, Tag::Of),
            pid: self.pid,
            message: &self.message.octets,
        }
    }
}

impl<'de> Visitor<'de> for &mut Fields {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of the journal")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let name = &*name;
            match name {
                "MESSAGE" => {
                    map.next_value_seed(&mut self.message)?;
                    continue;
                }
                "__CURSOR"
                | "__REALTIME_TIMESTAMP"
                | "SYSLOG_PID"
                | "_PID"
                | "SYSLOG_IDENTIFIER"
                | "_HOSTNAME" => map.next_value_seed(&mut self.other)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            let octets = &mut self.other.octets;
            let text = str::from_utf8(octets).unwrap_or_default();
            match name {
                "__CURSOR" => text.clone_into(&mut self.cursor),
                "__REALTIME_TIMESTAMP" => self.at = text.parse().ok(),
                // What a log file shows; _PID where there is none, as of a
                // service that writes to its standard output.
                "SYSLOG_PID" => self.pid = text.parse().ok().or(self.pid),
                "_PID" => self.pid = self.pid.or(text.parse().ok()),
                "SYSLOG_IDENTIFIER" => std::mem::swap(&mut self.tag, octets),
                _ => std::mem::swap(&mut self.host, octets),
            }
        }
        Ok(())
    }
}

impl Value {
    fn clear(&mut self) {
        self.octets.clear();
        self.left_out = false;
    }
}

impl<'de> DeserializeSeed<'de> for &mut Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.clear();
        match deserializer.deserialize_any(Part { value: self, depth: 0 })? {
            Kind::Whole => Ok(()),
            Kind::Octet => Err(serde::de::Error::custom("a number")),
        }
    }
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A value, or one of several.
    Whole,
    /// One octet of a value.
    Octet,
}

/// A value, or one of several, or one octet of it.
struct Part<'a> {
    value: &'a mut Value,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, octets, or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        self.value.octets.extend_from_slice(text.as_bytes());
        Ok(Kind::Whole)
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        self.value.left_out = true;
        Ok(Kind::Whole)
    }

    fn visit_u64<E: serde::de::Error>(self, octet: u64) -> Result<Kind, E> {
        self.value.octets.push(u8::try_from(octet).map_err(E::custom)?);
        Ok(Kind::Octet)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        if self.depth == 2 {
            return Err(serde::de::Error::custom("arrays in arrays"));
        }
        let depth = self.depth + 1;
        while let Some(kind) = {
            let value = &mut *self.value;
            seq.next_element_seed(Part { value, depth })?
        } {
            if kind == Kind::Whole {
                // Of several values the first one counts.
                while seq.next_element::<IgnoredAny>()?.is_some() {}
            }
        }
        Ok(Kind::Whole)
    }
}
