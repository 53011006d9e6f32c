//! The MIB as a table: every object, notification and textual convention of
//! `mibs/` with its identifier and the values it may have.
//!
//! Reads SMIv2 (RFC 2578, RFC 2579) as far as those modules use it, so that
//! what is served can be held against what is defined. The conformance part,
//! descriptions and references are passed over; whether the text is valid
//! SMIv2 is for `tests/mib/run` to say. Conventions imported from the IETF's
//! modules are known by name, since those modules are not part of this tree.

use std::collections::BTreeMap;
use std::fmt;

use crate::oid::Oid;
use crate::value::Value;

/// The text of `mibs/PPTP-SESSION-MIB.txt`.
pub const SESSION_MIB: &str = include_str!("../../mibs/PPTP-SESSION-MIB.txt");

/// The text of `mibs/PPTP-PROBE-TC-MIB.txt`, from which the other imports.
pub const PROBE_TC_MIB: &str = include_str!("../../mibs/PPTP-PROBE-TC-MIB.txt");

/// A module with another root, for the tree that `root` says: its
/// MODULE-IDENTITY hangs there, and its description tells nothing else. What
/// lies not below enterprises is no root and changes nothing.
pub fn moved(module: &str, root: &[u32]) -> String {
    let below = match root.strip_prefix(&crate::ENTERPRISES) {
        Some(below) if root != crate::ROOT => below,
        _ => return module.to_owned(),
    };
    let mut text = module.to_owned();
    if let Some(start) = text.find(OWN_ROOT)
        && let Some(length) = text[start..].find('}')
    {
        // What stands between our root and the end is the module's own.
        let own = text[start..start + length].rsplit_once(OWN_NUMBER).map_or("", |(_, own)| own);
        let own = own.trim_start_matches(')').split_whitespace().map(str::to_owned);
        // All but the last have a name, or linters complain.
        let mut arcs: Vec<_> = below.iter().map(u32::to_string).chain(own).collect();
        if let Some((_, above)) = arcs.split_last_mut() {
            for (number, arc) in (1..).zip(above) {
                *arc = format!("operator{number}({arc})");
            }
        }
        let place = format!("::= {{ enterprises {} ", arcs.join(" "));
        text.replace_range(start..start + length, &place);
    }
    if let Some(start) = text.find("The root lies under")
        && let Some(length) = text[start..].find("own.")
    {
        let said = "The root is that of an operator of the agent.";
        text.replace_range(start..start + length + "own.".len(), said);
    }
    text
}

/// How the place of a module in `mibs/` begins.
const OWN_ROOT: &str = "::= { enterprises netSnmp(8072)";
/// The last of [`crate::ROOT`] in it.
const OWN_NUMBER: &str = "1723";

/// What one or more modules define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mib {
    /// Every OBJECT-TYPE, in the order of identifiers: tables and rows too.
    pub objects: Vec<Object>,
    /// Every NOTIFICATION-TYPE, in the order of identifiers.
    pub notifications: Vec<Notification>,
    /// Every textual convention that the modules define, by name.
    pub conventions: BTreeMap<String, Syntax>,
    /// The identifier of everything that has a name.
    pub names: BTreeMap<String, Vec<u32>>,
}

/// An OBJECT-TYPE (RFC 2578, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name, such as `pptpSessionUser`.
    pub name: String,
    /// Its identifier, without an instance.
    pub oid: Vec<u32>,
    /// What its values may be.
    pub syntax: Syntax,
    /// The UNITS clause.
    pub units: Option<String>,
    /// The MAX-ACCESS clause.
    pub access: Access,
    /// Whether its STATUS is current, not deprecated or obsolete.
    pub current: bool,
    /// The INDEX clause of a row: names of objects; empty for all others.
    pub index: Vec<String>,
}

/// A NOTIFICATION-TYPE (RFC 2578, section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its name, such as `pptpServerDown`.
    pub name: String,
    /// Its identifier, the value of snmpTrapOID.0.
    pub oid: Vec<u32>,
    /// The OBJECTS clause: names of objects, in order.
    pub objects: Vec<String>,
}

/// The values of an object or textual convention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    /// The type as the object names it: `Counter64`, `PptpState`.
    pub name: String,
    /// The type on the wire.
    pub base: Base,
    /// Lowest and highest value, or length in octets; more than one where the
    /// type has holes. Empty where the base type alone says it.
    pub ranges: Vec<(u64, u64)>,
    /// Labels and numbers of an enumeration, in the order of the text.
    pub labels: Vec<(String, u32)>,
}

/// The types of RFC 2578, section 7.1, that the modules come down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// INTEGER and Integer32, enumerations among them.
    Integer,
    /// OCTET STRING.
    Octets,
    /// Unsigned32 and Gauge32, which are one type on the wire.
    Gauge32,
    /// Counter32.
    Counter32,
    /// Counter64.
    Counter64,
    /// TimeTicks.
    TimeTicks,
    /// SEQUENCE OF: a table, which has no value.
    Table,
    /// A SEQUENCE: a row, which has no value.
    Row,
}

/// The MAX-ACCESS of objects that nobody can write (RFC 2578, section 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Tables, rows and what is in the index.
    NotAccessible,
    /// In notifications only.
    AccessibleForNotify,
    /// Served.
    ReadOnly,
}

/// Where a text is not as the parser knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What was found or missed.
    pub text: String,
    /// The line of its module, from 1.
    pub line: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for ParseError {}

impl Mib {
    /// Reads modules, those that others import from first.
    ///
    /// # Errors
    /// The first place that is not understood.
    pub fn parse(modules: &[&str]) -> Result<Self, ParseError> {
        let mut mib = Self {
            objects: Vec::new(),
            notifications: Vec::new(),
            conventions: BTreeMap::new(),
            names: BTreeMap::from([("enterprises".to_owned(), crate::ENTERPRISES.to_vec())]),
        };
        for module in modules {
            let tokens = tokens(module)?;
            Parser { tokens: &tokens, at: 0, mib: &mut mib }.module()?;
        }
        mib.objects.sort_by(|a, b| a.oid.cmp(&b.oid));
        mib.notifications.sort_by(|a, b| a.oid.cmp(&b.oid));
        Ok(mib)
    }

    /// The object of that name.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }

    /// The scalar or column that a variable is an instance of.
    pub fn object_of(&self, variable: &Oid) -> Option<&Object> {
        let is_above = |object: &&Object| variable.as_slice().starts_with(&object.oid);
        self.objects.iter().find(|object| object.has_value() && is_above(object))
    }

    /// What of `variables` is not as the modules define it, a line each.
    pub fn misfits<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a Oid, &'a Value<'a>)>,
    ) -> Vec<String> {
        let misfit = |(name, value): (&Oid, &Value<'_>)| match self.object_of(name) {
            None => Some(format!("{name} is not defined")),
            Some(object) if object.access != Access::ReadOnly => {
                Some(format!("{name}: nobody may read {}", object.name))
            }
            Some(object) => {
                let why = object.misfit(value)?;
                Some(format!("{name} ({}) is {value:?}: {why}", object.name))
            }
        };
        variables.into_iter().filter_map(misfit).collect()
    }

    /// The names of current objects without an instance among `variables`.
    pub fn unserved(&self, variables: &[&Oid]) -> Vec<&str> {
        let is_served = |object: &Object| {
            variables.iter().any(|variable| variable.as_slice().starts_with(&object.oid))
        };
        let is_wanted = |object: &&Object| {
            object.current && object.access == Access::ReadOnly && object.has_value()
        };
        let wanted = self.objects.iter().filter(is_wanted);
        wanted.filter(|object| !is_served(object)).map(|object| object.name.as_str()).collect()
    }
}

impl Object {
    /// Whether it is a scalar or a column, and no table or row.
    fn has_value(&self) -> bool {
        !matches!(self.syntax.base, Base::Table | Base::Row)
    }

    /// Why `value` is none of this object's; `None` when it is one.
    pub fn misfit(&self, value: &Value<'_>) -> Option<String> {
        let Syntax { base, ranges, labels, .. } = &self.syntax;
        let number = match (base, value) {
            (Base::Integer, Value::Integer(number)) => u64::try_from(*number).ok(),
            (Base::Gauge32, Value::Gauge32(number))
            | (Base::Counter32, Value::Counter32(number))
            | (Base::TimeTicks, Value::TimeTicks(number)) => Some((*number).into()),
            (Base::Counter64, Value::Counter64(number)) => Some(*number),
            (Base::Octets, Value::OctetString(octets)) => Some(octets.len() as u64),
            _ => return Some(format!("another type than {base:?}")),
        };
        let Some(number) = number else { return Some("a negative number".to_owned()) };
        let known = |(_, label): &(String, u32)| u64::from(*label) == number;
        if !labels.is_empty() && !labels.iter().any(known) {
            return Some(format!("{number} has no label"));
        }
        let inside = |(low, high): &(u64, u64)| (*low..=*high).contains(&number);
        (!ranges.is_empty() && !ranges.iter().any(inside)).then(|| format!("{number} out of range"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    quoted: bool,
    line: usize,
}

/// Words, numbers, marks and quoted texts; comments end with their line.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let (mut line, mut counted) = (1, 0);
    loop {
        rest = rest.trim_start();
        let here = text.len() - rest.len();
        line += text[counted..here].matches('\n').count();
        counted = here;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let (token, quoted, left) = if let Some(open) = rest.strip_prefix('"') {
            let missed = || ParseError { text: "a quoted text without an end".to_owned(), line };
            let (inside, left) = open.split_once('"').ok_or_else(missed)?;
            (inside, true, left)
        } else {
            let length = match first {
                _ if rest.starts_with("::=") => 3,
                _ if rest.starts_with("..") => 2,
                _ if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            (&rest[..length], false, &rest[length..])
        };
        tokens.push(Token { text: token, quoted, line });
        rest = left;
    }
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    mib: &'a mut Mib,
}

impl<'a> Parser<'a> {
    fn module(&mut self) -> Result<(), ParseError> {
        self.skip_to("BEGIN")?;
        if self.peek() == "IMPORTS" {
            self.skip_to(";")?;
        }
        while self.peek() != "END" {
            let name = self.next()?;
            match self.next()? {
                "MODULE-IDENTITY" | "OBJECT-GROUP" | "NOTIFICATION-GROUP" | "MODULE-COMPLIANCE" => {
                    self.skip_to("::=")?;
                    self.identifier(name)?;
                }
                "OBJECT" => {
                    self.expect("IDENTIFIER")?;
                    self.expect("::=")?;
                    self.identifier(name)?;
                }
                "OBJECT-TYPE" => self.object(name)?,
                "NOTIFICATION-TYPE" => {
                    self.expect("OBJECTS")?;
                    let objects = self.list()?;
                    self.skip_to("::=")?;
                    let oid = self.identifier(name)?;
                    self.mib.notifications.push(Notification {
                        name: name.to_owned(),
                        oid,
                        objects,
                    });
                }
                "::=" => match self.next()? {
                    "TEXTUAL-CONVENTION" => {
                        self.skip_to("SYNTAX")?;
                        let syntax = Syntax { name: name.to_owned(), ..self.syntax()? };
                        self.mib.conventions.insert(name.to_owned(), syntax);
                    }
                    "SEQUENCE" => self.skip_to("}")?,
                    other => return self.fail(format!("{other} where a definition was expected")),
                },
                other => return self.fail(format!("{other} where a definition was expected")),
            }
        }
        Ok(())
    }

    fn object(&mut self, name: &str) -> Result<(), ParseError> {
        self.expect("SYNTAX")?;
        let syntax = self.syntax()?;
        let mut units = None;
        if self.peek() == "UNITS" {
            self.at += 1;
            units = Some(self.next()?.to_owned());
        }
        self.expect("MAX-ACCESS")?;
        let access = match self.next()? {
            "not-accessible" => Access::NotAccessible,
            "accessible-for-notify" => Access::AccessibleForNotify,
            "read-only" => Access::ReadOnly,
            other => return self.fail(format!("access {other}, which nothing here has")),
        };
        self.expect("STATUS")?;
        let current = self.next()? == "current";
        let mut index = Vec::new();
        loop {
            match self.next()? {
                "DESCRIPTION" | "REFERENCE" => self.at += 1,
                "INDEX" => index = self.list()?,
                "::=" => break,
                other => return self.fail(format!("clause {other} of {name}")),
            }
        }
        let oid = self.identifier(name)?;
        self.mib.objects.push(Object {
            name: name.to_owned(),
            oid,
            syntax,
            units,
            access,
            current,
            index,
        });
        Ok(())
    }

    /// A type with its range, size or labels.
    fn syntax(&mut self) -> Result<Syntax, ParseError> {
        let name = self.next()?;
        let mut syntax = match name {
            "INTEGER" | "Integer32" => plain(name, Base::Integer),
            "Unsigned32" | "Gauge32" => plain(name, Base::Gauge32),
            "Counter32" => plain(name, Base::Counter32),
            "Counter64" => plain(name, Base::Counter64),
            "OCTET" => {
                self.expect("STRING")?;
                plain("OCTET STRING", Base::Octets)
            }
            "SEQUENCE" => {
                self.expect("OF")?;
                plain(self.next()?, Base::Table)
            }
            _ => match self.mib.conventions.get(name).cloned().or_else(|| imported(name)) {
                Some(known) => known,
                None if name.ends_with("Entry") => plain(name, Base::Row),
                None => return self.fail(format!("unknown type {name}")),
            },
        };
        if self.peek() == "{" {
            self.at += 1;
            syntax.labels.clear();
            while self.peek() != "}" {
                let label = self.next()?.to_owned();
                self.expect("(")?;
                syntax.labels.push((label, self.number()?));
                self.expect(")")?;
                self.skip(",");
            }
            self.at += 1;
        } else if self.peek() == "(" {
            self.at += 1;
            let size = self.skip("SIZE");
            if size {
                self.expect("(")?;
            }
            syntax.ranges.clear();
            while self.peek() != ")" {
                let low = self.number()?;
                let high = if self.skip("..") { self.number()? } else { low };
                syntax.ranges.push((low.into(), high.into()));
                self.skip("|");
            }
            self.at += 1;
            if size {
                self.expect(")")?;
            }
        }
        Ok(syntax)
    }

    /// `{ parent named(1) 2 }`: the identifier of `name`, which it gets too.
    fn identifier(&mut self, name: &str) -> Result<Vec<u32>, ParseError> {
        self.expect("{")?;
        let parent = self.next()?;
        let Some(mut oid) = self.mib.names.get(parent).cloned() else {
            return self.fail(format!("unknown parent {parent} of {name}"));
        };
        while self.peek() != "}" {
            if self.tokens.get(self.at + 1).is_some_and(|token| token.text == "(") {
                self.at += 2;
                oid.push(self.number()?);
                self.expect(")")?;
            } else {
                oid.push(self.number()?);
            }
        }
        self.at += 1;
        if self.mib.names.insert(name.to_owned(), oid.clone()).is_some() {
            return self.fail(format!("{name} is defined twice"));
        }
        Ok(oid)
    }

    /// `{ one, two }`.
    fn list(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect("{")?;
        let mut list = Vec::new();
        loop {
            list.push(self.next()?.to_owned());
            match self.next()? {
                "," => {}
                "}" => return Ok(list),
                other => return self.fail(format!("{other} in a list")),
            }
        }
    }

    fn number(&mut self) -> Result<u32, ParseError> {
        let text = self.next()?;
        text.parse().or_else(|_| self.fail(format!("{text} where a number was expected")))
    }

    /// The next token unless it is quoted; empty at the end.
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).filter(|token| !token.quoted).map_or("", |token| token.text)
    }

    fn next(&mut self) -> Result<&'a str, ParseError> {
        match self.tokens.get(self.at) {
            Some(token) => {
                self.at += 1;
                Ok(token.text)
            }
            None => self.fail("the text ends too early".to_owned()),
        }
    }

    fn skip(&mut self, text: &str) -> bool {
        let there = self.peek() == text;
        self.at += usize::from(there);
        there
    }

    fn skip_to(&mut self, text: &str) -> Result<(), ParseError> {
        while self.peek() != text {
            self.next()?;
        }
        self.at += 1;
        Ok(())
    }

    fn expect(&mut self, text: &str) -> Result<(), ParseError> {
        match self.next()? {
            found if found == text => Ok(()),
            found => self.fail(format!("{found} where {text} was expected")),
        }
    }

    /// Fails at the token that was read last.
    fn fail<T>(&self, text: String) -> Result<T, ParseError> {
        let line = self.tokens.get(self.at.saturating_sub(1)).map_or(1, |token| token.line);
        Err(ParseError { text, line })
    }
}

fn plain(name: &str, base: Base) -> Syntax {
    Syntax { name: name.to_owned(), base, ranges: Vec::new(), labels: Vec::new() }
}

/// The textual conventions of RFC 2579, RFC 3411 and RFC 4001 that are used.
fn imported(name: &str) -> Option<Syntax> {
    let sized = |base, ranges: &[_]| Syntax { ranges: ranges.to_vec(), ..plain(name, base) };
    let labelled = |labels: &[(&str, u32)]| Syntax {
        labels: labels.iter().map(|(label, number)| ((*label).to_owned(), *number)).collect(),
        ..plain(name, Base::Integer)
    };
    match name {
        "DateAndTime" => Some(sized(Base::Octets, &[(8, 8), (11, 11)])),
        "TimeStamp" => Some(plain(name, Base::TimeTicks)),
        "TruthValue" => Some(labelled(&[("true", 1), ("false", 2)])),
        "SnmpAdminString" | "InetAddress" => Some(sized(Base::Octets, &[(0, 255)])),
        "InetAddressType" => Some(labelled(&[
            ("unknown", 0),
            ("ipv4", 1),
            ("ipv6", 2),
            ("ipv4z", 3),
            ("ipv6z", 4),
            ("dns", 16),
        ])),
        "InetAddressPrefixLength" => Some(sized(Base::Gauge32, &[(0, 2040)])),
        "InetPortNumber" => Some(sized(Base::Gauge32, &[(0, 65535)])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ROOT, label};
    use pptp_probe::wire::radius::{dictionary, id};

    const SMALL: &str = r#"
SMALL-MIB DEFINITIONS ::= BEGIN
IMPORTS enterprises FROM SNMPv2-SMI; -- and no more
small MODULE-IDENTITY
    DESCRIPTION "A ::= in a text, and { braces }."
    ::= { enterprises a(5) 6 }
Colour ::= TEXTUAL-CONVENTION
    STATUS current
    SYNTAX INTEGER { unknown(1), deepRed(2) }
rows OBJECT-TYPE
    SYNTAX SEQUENCE OF RowEntry
    MAX-ACCESS not-accessible
    STATUS current
    DESCRIPTION ""
    ::= { small 1 }
row OBJECT-TYPE
    SYNTAX RowEntry
    MAX-ACCESS not-accessible
    STATUS current
    DESCRIPTION ""
    INDEX { number }
    ::= { rows 1 }
RowEntry ::= SEQUENCE { number Unsigned32, colour Colour }
colour OBJECT-TYPE
    SYNTAX Colour
    MAX-ACCESS read-only
    STATUS deprecated
    DESCRIPTION ""
    REFERENCE "RFC 1"
    ::= { row 2 }
number OBJECT-TYPE
    SYNTAX Unsigned32 (1..10 | 12)
    UNITS "rows"
    MAX-ACCESS not-accessible
    STATUS current
    DESCRIPTION ""
    ::= { row 1 }
changed NOTIFICATION-TYPE
    OBJECTS { colour, name }
    STATUS current
    ::= { small 0 1 }
name OBJECT-TYPE
    SYNTAX OCTET STRING (SIZE (0..8))
    MAX-ACCESS accessible-for-notify
    STATUS current
    ::= { small 2 }
END
"#;

    fn mib() -> Mib {
        Mib::parse(&[PROBE_TC_MIB, SESSION_MIB]).unwrap()
    }

    /// The columns of a row, in order.
    fn columns<'a>(mib: &'a Mib, row: &Object) -> Vec<&'a Object> {
        let below = |o: &&Object| o.oid.len() == row.oid.len() + 1 && o.oid.starts_with(&row.oid);
        mib.objects.iter().filter(below).collect()
    }

    #[test]
    fn a_moved_tree_is_the_same_below_its_root() {
        let here = mib();
        for root in [&[1, 3, 6, 1, 4, 1, 99_999][..], &[1, 3, 6, 1, 4, 1, 99_999, 4, 5], &ROOT] {
            let texts = [PROBE_TC_MIB, SESSION_MIB].map(|module| moved(module, root));
            let there = Mib::parse(&[&texts[0], &texts[1]]).unwrap();
            let place = |oid: &[u32]| [root, oid.strip_prefix(&ROOT).unwrap()].concat();
            assert_eq!(there.objects.len(), here.objects.len());
            for (object, moved) in here.objects.iter().zip(&there.objects) {
                let oid = place(&object.oid);
                assert_eq!(*moved, Object { oid, ..object.clone() });
            }
            for (told, moved) in here.notifications.iter().zip(&there.notifications) {
                assert_eq!(moved.oid, place(&told.oid));
            }
            assert_eq!(there.names["pptpProbeTcMIB"], [root, &[3]].concat());
            let is_moved = root != ROOT;
            assert!(texts.iter().all(|text| text.contains("netSnmpPlaypen") != is_moved));
        }
    }

    #[test]
    fn reads_a_small_module() {
        let mib = Mib::parse(&[SMALL]).unwrap();
        let object = |name: &str, oid: &[u32], syntax, access| Object {
            name: name.to_owned(),
            oid: [&[1, 3, 6, 1, 4, 1, 5, 6], oid].concat(),
            syntax,
            units: None,
            access,
            current: true,
            index: Vec::new(),
        };
        let colours = vec![("unknown".to_owned(), 1), ("deepRed".to_owned(), 2)];
        let colour = Syntax { labels: colours, ..plain("Colour", Base::Integer) };
        let number =
            Syntax { ranges: vec![(1, 10), (12, 12)], ..plain("Unsigned32", Base::Gauge32) };
        let name = Syntax { ranges: vec![(0, 8)], ..plain("OCTET STRING", Base::Octets) };
        let table = plain("RowEntry", Base::Table);
        let row = plain("RowEntry", Base::Row);
        assert_eq!(
            mib.objects,
            [
                object("rows", &[1], table, Access::NotAccessible),
                Object {
                    index: vec!["number".to_owned()],
                    ..object("row", &[1, 1], row, Access::NotAccessible)
                },
                Object {
                    units: Some("rows".to_owned()),
                    ..object("number", &[1, 1, 1], number, Access::NotAccessible)
                },
                Object {
                    current: false,
                    ..object("colour", &[1, 1, 2], colour.clone(), Access::ReadOnly)
                },
                object("name", &[2], name, Access::AccessibleForNotify),
            ]
        );
        let changed = Notification {
            name: "changed".to_owned(),
            oid: vec![1, 3, 6, 1, 4, 1, 5, 6, 0, 1],
            objects: vec!["colour".to_owned(), "name".to_owned()],
        };
        assert_eq!(mib.notifications, [changed]);
        assert_eq!(mib.conventions, BTreeMap::from([("Colour".to_owned(), colour)]));
        assert_eq!(mib.object("number"), Some(&mib.objects[2]));
        assert_eq!(mib.object("Colour"), None);
    }

    #[test]
    fn half_a_module_is_an_error() {
        let whole = SMALL.trim_end();
        for end in 0..whole.len() {
            assert!(Mib::parse(&[&whole[..end]]).is_err(), "{}", &whole[..end]);
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        let error = |from: &str, to: &str| {
            assert!(SMALL.contains(from));
            Mib::parse(&[&SMALL.replacen(from, to, 1)]).unwrap_err().to_string()
        };
        assert_eq!(error("SYNTAX Colour", "SYNTAX Color"), "line 25: unknown type Color");
        assert_eq!(error("{ row 2 }", "{ raw 2 }"), "line 30: unknown parent raw of colour");
        assert_eq!(error("name OBJECT", "row OBJECT"), "line 46: row is defined twice");
        assert_eq!(
            error("read-only", "read-write"),
            "line 26: access read-write, which nothing here has"
        );
        assert_eq!(error("(1..10", "(1..x"), "line 32: x where a number was expected");
        assert_eq!(error("UNITS", "UNIT"), "line 33: UNIT where MAX-ACCESS was expected");
        assert_eq!(error("\"RFC 1\"", "\"RFC 1"), "line 36: a quoted text without an end");
    }

    #[test]
    fn everything_hangs_below_the_root() {
        let mib = mib();
        assert_eq!(mib.names["pptpSessionMIB"], ROOT);
        assert_eq!(mib.names["pptpProbeTcMIB"], [&ROOT[..], &[3]].concat());
        let notifications = [&ROOT[..], &[0]].concat();
        assert!(mib.notifications.iter().all(|n| n.oid.starts_with(&notifications)));
        let objects = [&ROOT[..], &[1]].concat();
        assert!(mib.objects.iter().all(|o| o.oid.starts_with(&objects)));
    }

    #[test]
    fn tables_and_scalars_keep_their_numbers() {
        let mib = mib();
        let below = |name: &str| mib.names[name][ROOT.len()..].to_vec();
        assert_eq!(below("pptpAgentVersion"), [1, 1, 1]);
        assert_eq!(below("pptpServerOperStatus"), [1, 2, 1, 7]);
        assert_eq!(below("pptpSessionUser"), [1, 3, 1, 3]);
        assert_eq!(below("pptpHistoryTerminateCause"), [1, 4, 1, 14]);
        assert_eq!(below("pptpUserName"), [1, 5, 1, 2]);
        assert_eq!(below("pptpSubnetPrefixLength"), [1, 6, 1, 4]);
        assert_eq!(below("pptpFailureCount"), [1, 7, 1, 2]);
        assert_eq!(below("pptpProbeFailedReason"), [1, 8, 1, 10]);
        assert_eq!(below("pptpProbePhaseTimeP95"), [1, 9, 1, 6]);
        assert_eq!(below("pptpRadiusUnsignedResponses"), [1, 10, 1, 17]);
        assert_eq!(below("pptpAuditMend"), [1, 11, 1, 7]);
        assert_eq!(below("pptpNotifyText"), [1, 12, 6]);
        assert_eq!(below("pptpNotificationsSuppressed"), [0, 16]);
    }

    #[test]
    fn rows_are_numbered_without_holes_and_show_all_but_their_index() {
        let mib = mib();
        let rows: Vec<_> = mib.objects.iter().filter(|o| o.syntax.base == Base::Row).collect();
        assert_eq!(rows.len(), 10);
        for row in rows {
            let columns = columns(&mib, row);
            assert!(!row.index.is_empty(), "{}", row.name);
            assert!(row.index.iter().all(|name| mib.object(name).is_some()), "{}", row.name);
            for (column, number) in columns.iter().zip(1..) {
                assert_eq!(column.oid.last(), Some(&number), "{}", column.name);
                assert_eq!(
                    column.access == Access::NotAccessible,
                    row.index.contains(&column.name),
                    "{}",
                    column.name
                );
            }
        }
    }

    #[test]
    fn an_address_follows_its_type() {
        let mib = mib();
        for (at, object) in mib.objects.iter().enumerate() {
            if object.syntax.name == "InetAddress" {
                let before = &mib.objects[at - 1];
                assert_eq!(before.syntax.name, "InetAddressType", "{}", object.name);
                assert_eq!(before.name, format!("{}Type", object.name));
            }
        }
    }

    #[test]
    fn every_number_has_a_unit_and_octets_and_packets_64_bits() {
        // Identifiers, not amounts.
        let plain = ["Index", "Port", "CallId"];
        for object in &mib().objects {
            let number = match object.syntax.base {
                Base::Integer => object.syntax.labels.is_empty(),
                Base::Gauge32 | Base::Counter32 | Base::Counter64 => true,
                _ => false,
            };
            let unit = object.units.as_deref();
            assert_eq!(
                unit.is_some(),
                number && !plain.iter().any(|end| object.name.ends_with(end)),
                "{}",
                object.name
            );
            let wide = object.syntax.base == Base::Counter64;
            if wide || object.syntax.base == Base::Counter32 {
                let radius = object.name.starts_with("pptpRadius");
                let amount = matches!(unit, Some("octets" | "packets")) && !radius;
                assert_eq!(wide, amount, "{}", object.name);
            }
        }
    }

    #[test]
    fn enumerations_begin_at_one_without_holes_and_can_say_unknown() {
        let mib = mib();
        let ours = |syntax: &&Syntax| {
            mib.conventions.contains_key(&syntax.name) || syntax.name == "INTEGER"
        };
        for syntax in mib.objects.iter().map(|o| &o.syntax).filter(ours) {
            let labels = &syntax.labels;
            let below_100 = labels.iter().take_while(|(_, number)| *number <= 100);
            assert!(below_100.zip(1..).all(|((_, number), n)| *number == n), "{}", syntax.name);
            if !syntax.name.starts_with("PptpProbe") {
                assert!(labels.iter().any(|(label, _)| label == "unknown"), "{}", syntax.name);
            }
        }
    }

    #[test]
    fn terminate_causes_are_those_of_radius_and_ours_behind_them() {
        let causes = &mib().conventions["PptpTerminateCause"].labels;
        let radius = dictionary::by_id(id::ACCT_TERMINATE_CAUSE).unwrap();
        let mut expected: Vec<_> = radius
            .values()
            .map(|(word, number)| (label(&word.to_lowercase().replace('-', "_")), number))
            .collect();
        let ours = [
            "unknown",
            "lcpTimeout",
            "echoTimeout",
            "greSilent",
            "mppeLost",
            "ctrlReset",
            "ctrlStop",
        ];
        expected.extend(ours.iter().zip(101..).map(|(word, number)| ((*word).to_owned(), number)));
        assert_eq!(causes, &expected);
    }

    #[test]
    fn notifications_carry_what_can_be_shown() {
        let mib = mib();
        assert_eq!(mib.notifications.len(), 16);
        for notification in &mib.notifications {
            for name in &notification.objects {
                let object = mib.object(name).unwrap();
                assert_ne!(object.access, Access::NotAccessible, "{}: {name}", notification.name);
            }
        }
    }

    #[test]
    fn what_is_served_wrongly_or_not_at_all_is_named() {
        let mib = mib();
        let variable = |object: &str, index: &[u32]| {
            let mut name = Oid::try_from(&mib.object(object).unwrap().oid[..]).unwrap();
            name.append(index).unwrap();
            name
        };
        let fits = (variable("pptpSessionState", &[1, 7]), Value::Integer(9));
        let odd = (variable("pptpSessionState", &[1, 8]), Value::Integer(99));
        let hidden = (variable("pptpSessionIndex", &[1, 8]), Value::Gauge32(8));
        let unknown = (Oid::try_from(&ROOT[..]).unwrap(), Value::Integer(1));
        let served = [&fits, &odd, &hidden, &unknown];
        assert_eq!(mib.object_of(&fits.0).unwrap().name, "pptpSessionState");
        let misfits = mib.misfits(served.map(|(name, value)| (name, value)));
        assert_eq!(
            misfits,
            [
                format!("{} (pptpSessionState) is Integer(99): 99 has no label", odd.0),
                format!("{}: nobody may read pptpSessionIndex", hidden.0),
                format!("{} is not defined", unknown.0),
            ]
        );
        let unserved = mib.unserved(&served.map(|(name, _)| name));
        assert!(unserved.contains(&"pptpSessionUser") && unserved.contains(&"pptpAgentVersion"));
        assert!(!unserved.contains(&"pptpSessionState"), "it is served");
        assert!(!unserved.contains(&"pptpSessionIndex"), "it is not accessible");
        assert!(!unserved.contains(&"pptpSessionTable"), "it has no value");
    }
}
