//! Values as TOML, both ways, and the places of what is wrong.
//!
//! A section names each of its keys once ([`Fields::visit`]); [`read`] takes
//! them out of a file, [`write`] prints them. What is wrong is collected, so
//! that an operator sees all of it at once.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pptp_probe::cli::seconds;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::oid::Oid;

/// Longest name of a section in octets.
const LONGEST_NAME: usize = 64;

/// One value of a configuration.
pub(crate) trait Setting: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the key: `must be ...`.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;

    /// The value in TOML; nothing for what is not set.
    fn write(&self) -> Option<String>;
}

/// Values that stand together.
pub(crate) trait Fields {
    /// Shows each key with its value: plain values first, then sections.
    fn visit<V: Visitor>(&mut self, visitor: &mut V);

    /// What no single value can say about itself.
    ///
    /// # Errors
    /// A sentence.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What goes through the keys of a section.
pub(crate) trait Visitor {
    /// A value that `accept` has to be content with.
    fn value<T: Setting>(
        &mut self,
        key: &'static str,
        value: &mut T,
        accept: impl Fn(&T) -> Result<(), String>,
    ) {
        self.value_such_as(key, value, "", accept);
    }

    /// The same, with an example in TOML for whoever wrote something else.
    fn value_such_as<T: Setting>(
        &mut self,
        key: &'static str,
        value: &mut T,
        example: &'static str,
        accept: impl Fn(&T) -> Result<(), String>,
    );

    /// A section within this one.
    fn section(&mut self, key: &'static str, fields: &mut impl Fields);

    /// Sections of one kind, at most `most`.
    fn list<T: Fields + Default>(&mut self, key: &'static str, list: &mut Vec<T>, most: usize);

    /// The same where the keys of a section depend on its values.
    fn free_list<T: Free>(&mut self, key: &'static str, list: &mut Vec<T>, most: usize);

    /// Such sections by names that the operator chose: `[key.NAME]`.
    fn free_table<T: Free>(&mut self, key: &'static str, table: &mut BTreeMap<String, T>);
}

/// A section whose keys depend on its values.
pub(crate) trait Free: Sized {
    /// Reads it; what is wrong goes to `reader`.
    fn read(reader: &mut Reader<'_, '_>) -> Option<Self>;

    /// Its lines in TOML.
    fn write(&self) -> String;
}

/// Anything will do.
pub(crate) fn any<T>(_: &T) -> Result<(), String> {
    Ok(())
}

/// From `low` to `high`, both included.
pub(crate) fn between<T: Setting + PartialOrd>(
    low: T,
    high: T,
) -> impl Fn(&T) -> Result<(), String> {
    move |value| {
        if (&low..=&high).contains(&value) {
            return Ok(());
        }
        let text = |value: &T| value.write().unwrap_or_default();
        Err(format!("is {}, but must be from {} to {}", text(value), text(&low), text(&high)))
    }
}

/// Text of 1 to `longest` printable characters.
pub(crate) fn named(longest: usize) -> impl Fn(&String) -> Result<(), String> {
    move |text| {
        let is_printable = !text.chars().any(char::is_control);
        if is_printable && (1..=longest).contains(&text.len()) {
            return Ok(());
        }
        Err(format!("must be 1 to {longest} octets of text without control characters"))
    }
}

/// Text of up to `longest` printable characters.
pub(crate) fn text(longest: usize) -> impl Fn(&String) -> Result<(), String> {
    move |text| if text.is_empty() { Ok(()) } else { named(longest)(text) }
}

/// What is wrong with a file, by the octet at which it stands.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(usize, String)>);

impl Faults {
    fn push(&mut self, at: usize, text: String) {
        self.0.push((at, text));
    }

    /// The sentences with the numbers of their lines, in the order of the
    /// file.
    pub(crate) fn lines(mut self, source: &str) -> Vec<(usize, String)> {
        self.0.sort_by_key(|(at, _)| *at);
        let line = |at: usize| {
            let before = source.as_bytes().get(..at).unwrap_or(source.as_bytes());
            before.iter().filter(|octet| **octet == b'\n').count() + 1
        };
        self.0.into_iter().map(|(at, text)| (line(at), text)).collect()
    }
}

/// Fills `fields` from a file.
///
/// # Errors
/// All that is wrong.
pub(crate) fn read(source: &str, fields: &mut impl Fields) -> Result<(), Faults> {
    let mut faults = Faults::default();
    match DeTable::parse(source) {
        Ok(table) => {
            Reader::new(table.get_ref(), 0, String::new(), &mut faults).fill(fields);
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            faults.push(at, error.message().lines().collect::<Vec<_>>().join(" "));
        }
    }
    if faults.0.is_empty() { Ok(()) } else { Err(faults) }
}

/// `fields` as a file.
pub(crate) fn write(fields: &mut impl Fields) -> String {
    let mut writer = Writer { out: String::new(), path: String::new() };
    fields.visit(&mut writer);
    writer.out
}

/// Takes the keys of one section out of a file.
pub(crate) struct Reader<'a, 'i> {
    table: &'a DeTable<'i>,
    /// Where the section begins.
    at: usize,
    /// Of the section; empty for the file itself.
    path: String,
    known: Vec<String>,
    faults: &'a mut Faults,
}

type Found<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>);

impl<'a, 'i> Reader<'a, 'i> {
    fn new(table: &'a DeTable<'i>, at: usize, path: String, faults: &'a mut Faults) -> Self {
        Self { table, at, path, known: Vec::new(), faults }
    }

    fn fill(mut self, fields: &mut impl Fields) {
        let before = self.faults.0.len();
        fields.visit(&mut self);
        self.refuse_unknown();
        // Values that were refused would be complained of once more.
        if self.faults.0.len() == before
            && let Err(text) = fields.check()
        {
            self.fault(&text);
        }
    }

    /// Where the section begins, something is wrong with it.
    pub(crate) fn fault(&mut self, text: &str) {
        let text =
            if self.path.is_empty() { text.into() } else { format!("[{}] {text}", self.path) };
        self.faults.push(self.at, text);
    }

    /// Something is wrong with a key, if it is there, else with the section.
    pub(crate) fn fault_at(&mut self, key: &str, text: &str) {
        match self.table.get_key_value(key) {
            Some((key, _)) => {
                let text = format!("{} {text}", self.name(key.get_ref()));
                self.faults.push(key.span().start, text);
            }
            None => self.fault(text),
        }
    }

    /// How much is wrong so far.
    pub(crate) fn faults(&self) -> usize {
        self.faults.0.len()
    }

    /// The keys that nobody has taken yet, with their values.
    pub(crate) fn rest(&self) -> Vec<(String, DeValue<'i>)> {
        let rest = self.table.iter().filter(|(key, _)| !self.is_known(key.get_ref()));
        rest.map(|(key, value)| (key.get_ref().to_string(), value.get_ref().clone())).collect()
    }

    /// Takes a key without looking at its value.
    pub(crate) fn expect(&mut self, key: &str) {
        self.known.push(key.to_owned());
    }

    /// Ends with a word about every key that nobody took.
    pub(crate) fn refuse_unknown(&mut self) {
        for (key, _) in self.table {
            let name = key.get_ref();
            if self.is_known(name) {
                continue;
            }
            let place =
                if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
            let text = format!("unknown key {name:?}{place}; {}", self.hint(name));
            self.faults.push(key.span().start, text);
        }
    }

    fn is_known(&self, key: &str) -> bool {
        self.known.iter().any(|known| known == key)
    }

    fn hint(&self, key: &str) -> String {
        let least = self.known.iter().filter_map(|known| distance(key, known)).min();
        if least.is_none() {
            return format!("known are {}", self.known.join(" "));
        }
        let is_nearest = |known: &&str| distance(key, known) == least;
        let nearest: Vec<_> = self.known.iter().map(String::as_str).filter(is_nearest).collect();
        format!("did you mean {}?", nearest.join(" or "))
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn find(&mut self, key: &str) -> Option<Found<'a, 'i>> {
        self.expect(key);
        self.table.get_key_value(key)
    }

    fn refuse(&mut self, (key, value): Found<'a, 'i>, text: &str) {
        let name = self.name(key.get_ref());
        self.faults.push(value.span().start, format!("{name} {text}"));
    }

    /// The sections of one kind, with the places where they begin.
    fn tables(&mut self, key: &'static str, most: usize) -> Vec<(&'a DeTable<'i>, usize)> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let array = found.1.get_ref().as_array();
        let tables = array.and_then(|array| {
            let tables = array.iter().map(|item| Some((item.get_ref().as_table()?, item.span())));
            tables.map(|table| table.map(|(table, span)| (table, span.start))).collect()
        });
        match tables {
            None => {
                let name = self.name(key);
                self.refuse(found, &format!("must be sections in double brackets: [[{name}]]"));
                Vec::new()
            }
            Some(tables) if Vec::len(&tables) > most => {
                let text = format!("has {} sections, but must have {most} at most", tables.len());
                self.refuse(found, &text);
                Vec::new()
            }
            Some(tables) => tables,
        }
    }
}

impl Visitor for Reader<'_, '_> {
    fn value_such_as<T: Setting>(
        &mut self,
        key: &'static str,
        value: &mut T,
        example: &'static str,
        accept: impl Fn(&T) -> Result<(), String>,
    ) {
        let Some(found) = self.find(key) else { return };
        let read = T::read(found.1.get_ref());
        match read.and_then(|read| accept(&read).map(|()| read)) {
            Ok(read) => *value = read,
            Err(text) if example.is_empty() => self.refuse(found, &text),
            Err(text) => self.refuse(found, &format!("{text}; for example {example}")),
        }
    }

    fn section(&mut self, key: &'static str, fields: &mut impl Fields) {
        let Some(found) = self.find(key) else { return };
        let path = self.name(key);
        match found.1.get_ref().as_table() {
            Some(table) => {
                Reader::new(table, found.1.span().start, path, self.faults).fill(fields);
            }
            None => self.refuse(found, &format!("must be a section: [{path}]")),
        }
    }

    fn list<T: Fields + Default>(&mut self, key: &'static str, list: &mut Vec<T>, most: usize) {
        for (table, at) in self.tables(key, most) {
            let mut fields = T::default();
            Reader::new(table, at, self.name(key), self.faults).fill(&mut fields);
            list.push(fields);
        }
    }

    fn free_list<T: Free>(&mut self, key: &'static str, list: &mut Vec<T>, most: usize) {
        for (table, at) in self.tables(key, most) {
            let mut reader = Reader::new(table, at, self.name(key), self.faults);
            list.extend(T::read(&mut reader));
            reader.refuse_unknown();
        }
    }

    fn free_table<T: Free>(&mut self, key: &'static str, table: &mut BTreeMap<String, T>) {
        let Some(found) = self.find(key) else { return };
        let Some(sections) = found.1.get_ref().as_table() else {
            return self.refuse(found, &format!("must be sections: [{}.NAME]", self.name(key)));
        };
        for (name, value) in sections {
            let path = format!("{}.{}", self.name(key), name.get_ref());
            let accepted = named(LONGEST_NAME)(&name.get_ref().to_string());
            let section = accepted.and_then(|()| {
                value.get_ref().as_table().ok_or_else(|| "must be a section".to_owned())
            });
            match section {
                Ok(section) => {
                    let mut reader = Reader::new(section, value.span().start, path, self.faults);
                    let read = T::read(&mut reader);
                    reader.refuse_unknown();
                    table.extend(read.map(|read| (name.get_ref().to_string(), read)));
                }
                Err(text) => {
                    self.faults.push(name.span().start, format!("[{}] {text}", path.escape_debug()))
                }
            }
        }
    }
}

/// How many letters are wrong, if `key` may be meant for `known`, and one more
/// if it may be meant for some of its words: `passwrd` for
/// `auth_password_file`.
fn distance(key: &str, known: &str) -> Option<usize> {
    let words: Vec<_> = known.split('_').collect();
    let parts = (0..words.len()).flat_map(|from| {
        (from + 1..=words.len()).map({
            let words = &words;
            move |to| words[from..to].join("_")
        })
    });
    let wrong = |part: String| {
        let wrong = strsim::damerau_levenshtein(key, &part);
        match part == known {
            true => (wrong <= 1 + part.len() / 3).then_some(wrong),
            false => (wrong <= part.len() / 4).then_some(wrong + 1),
        }
    };
    let is_short = key.len() >= 3 && known.starts_with(key);
    parts.filter_map(wrong).chain(is_short.then_some(1)).min()
}

/// Prints what it is shown.
struct Writer {
    out: String,
    path: String,
}

impl Writer {
    fn within(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        let outer = self.path.clone();
        self.path = if outer.is_empty() { key.to_owned() } else { format!("{outer}.{key}") };
        write(self);
        self.path = outer;
    }

    fn push(&mut self, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{text}");
    }
}

impl Visitor for Writer {
    fn value_such_as<T: Setting>(
        &mut self,
        key: &'static str,
        value: &mut T,
        _: &'static str,
        _: impl Fn(&T) -> Result<(), String>,
    ) {
        match value.write() {
            Some(text) => self.push(format_args!("{key} = {text}")),
            None => self.push(format_args!("# {key} is not set")),
        }
    }

    fn section(&mut self, key: &'static str, fields: &mut impl Fields) {
        self.within(key, |writer| {
            writer.push(format_args!("\n[{}]", writer.path.clone()));
            fields.visit(writer);
        });
    }

    fn list<T: Fields + Default>(&mut self, key: &'static str, list: &mut Vec<T>, _: usize) {
        self.within(key, |writer| {
            for fields in list {
                writer.push(format_args!("\n[[{}]]", writer.path.clone()));
                fields.visit(writer);
            }
        });
    }

    fn free_list<T: Free>(&mut self, key: &'static str, list: &mut Vec<T>, _: usize) {
        self.within(key, |writer| {
            for item in list {
                writer.push(format_args!("\n[[{}]]\n{}", writer.path.clone(), item.write()));
            }
        });
    }

    fn free_table<T: Free>(&mut self, key: &'static str, table: &mut BTreeMap<String, T>) {
        self.within(key, |writer| {
            for (name, item) in table {
                let path = format!("{}.{}", writer.path, quoted(name));
                writer.push(format_args!("\n[{path}]\n{}", item.write()));
            }
        });
    }
}

/// Text as TOML has it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn not(wanted: &str, value: &DeValue<'_>) -> String {
    format!("must be {wanted}, not {} {}", article(value), value.type_str())
}

fn article(value: &DeValue<'_>) -> &'static str {
    if value.is_integer() || value.is_array() { "an" } else { "a" }
}

impl Setting for bool {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| not("true or false", value))
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Setting for $type {
            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                let integer = value.as_integer().ok_or_else(|| not("a whole number", value))?;
                Self::from_str_radix(integer.as_str(), integer.radix())
                    .map_err(|_| format!("must be from {} to {}", Self::MIN, Self::MAX))
            }

            fn write(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}
integers! { u8 u16 u32 u64 }

impl Setting for String {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        Ok(value.as_str().ok_or_else(|| not("text in quotation marks", value))?.to_owned())
    }

    fn write(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Setting for SocketAddr {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let text = String::read(value)?;
        text.parse().map_err(|_| format!("must be an IP address with a port, not {text:?}"))
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for PathBuf {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let path = Self::from(String::read(value)?);
        if path.is_absolute() { Ok(path) } else { Err("must be a path that begins with /".into()) }
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

/// Longest first where one is a part of another; each divides the next.
const UNITS: [(&str, f64); 5] =
    [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];

impl Setting for Duration {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let wanted = "a time such as \"5s\", \"1500ms\", \"10m\" or \"1d\"";
        let text = value.as_str().ok_or_else(|| not(wanted, value))?;
        let seconds = seconds(text, &UNITS).and_then(|time| Self::try_from_secs_f64(time).ok());
        let time = seconds.ok_or_else(|| format!("must be {wanted}, not {text:?}"))?;
        // What is finer is a fault of floating point, or of the operator.
        u64::try_from((time.as_micros() + 500) / 1000)
            .map(Self::from_millis)
            .map_err(|_| format!("must be {wanted}, not {text:?}"))
    }

    fn write(&self) -> Option<String> {
        let millis = self.as_millis();
        let lengths = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        let fits =
            |(_, length): &&(&str, u128)| millis >= *length && millis.is_multiple_of(*length);
        let (unit, length) = lengths.iter().find(fits).unwrap_or(&("s", 1000));
        Some(format!("\"{}{unit}\"", millis / length))
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        T::read(value).map(Some)
    }

    fn write(&self) -> Option<String> {
        self.as_ref()?.write()
    }
}

/// Most values in one list.
const MOST_VALUES: usize = 1000;

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let array = value.as_array().ok_or_else(|| not("a list in brackets", value))?;
        if array.len() > MOST_VALUES {
            return Err(format!("has {} values, but must have {MOST_VALUES} at most", array.len()));
        }
        let each = |(number, item): (usize, &Spanned<DeValue<'_>>)| {
            T::read(item.get_ref()).map_err(|text| format!("value {number} {text}"))
        };
        (1..).zip(array.iter()).map(each).collect()
    }

    fn write(&self) -> Option<String> {
        let texts: Vec<_> = self.iter().filter_map(Setting::write).collect();
        Some(format!("[{}]", texts.join(", ")))
    }
}

impl<K: FromStr<Err: Display> + Display + Ord, T: Setting> Setting for BTreeMap<K, T> {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let table = value.as_table().ok_or_else(|| not("a table such as { name = 1 }", value))?;
        let each = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let name = key.get_ref();
            let key = name.parse().map_err(|text| format!("has the key {name:?}: {text}"))?;
            let value = T::read(value.get_ref()).map_err(|text| format!("{name:?} {text}"))?;
            Ok((key, value))
        };
        table.iter().map(each).collect()
    }

    fn write(&self) -> Option<String> {
        let pair = |(key, value): (&K, &T)| {
            Some(format!("{} = {}", quoted(&key.to_string()), value.write()?))
        };
        let pairs: Vec<_> = self.iter().filter_map(pair).collect();
        Some(if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) })
    }
}

/// A value that is text in the file and has a spelling of its own.
macro_rules! spelled {
    ($($type:ty: $wanted:literal;)*) => {$(
        impl $crate::config::Setting for $type {
            fn read(value: &toml::de::DeValue<'_>) -> Result<Self, String> {
                let text = <String as $crate::config::Setting>::read(value)?;
                text.parse().map_err(|why| format!("must be {}, not {text:?}: {why}", $wanted))
            }

            fn write(&self) -> Option<String> {
                Some($crate::config::quoted(&self.to_string()))
            }
        }
    )*};
}
pub(crate) use spelled;

spelled! {
    Oid: "an object identifier such as \"1.3.6.1.4.1.8072\"";
}
