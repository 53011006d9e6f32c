//! The list of targets as TOML: `[[target]]` with `host`, `port`, `name` and
//! the check's own options as keys, `[defaults]` with those of every target.
//! `_` and `-` are the same in a key.

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::list::{Entry, LEFT_OUT, List, Mistake, Place, Word, host_and_port, name};

/// Reads it; what cannot be read costs the target that it stands in.
pub(super) fn read(octets: &[u8], command: &Command) -> List {
    let text = match std::str::from_utf8(octets) {
        Ok(text) => text,
        Err(error) => {
            let before = String::from_utf8_lossy(&octets[..error.valid_up_to()]);
            let what = "this is not UTF-8, and nothing of a table is read then";
            let at = Places::new(&before).of(before.len());
            return List {
                entries: vec![Err(Mistake { at, what: what.into() })],
                ..List::default()
            };
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    let wrong: Vec<(usize, String)> = errors
        .iter()
        .map(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))
        .collect();
    let mut broken: Vec<usize> = wrong.iter().map(|(at, _)| *at).collect();
    broken.sort_unstable();
    let places = Places::new(text);
    let mut reading = Reading { places, command, broken, wrong, list: List::default() };
    let mut unknown = Vec::new();
    for (key, value) in document.get_ref().iter() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("defaults", DeValue::Table(table)) => {
                let known = reading.wrong.len();
                let (words, _) = reading.options(table, false);
                reading.list.defaults = words;
                for (_, what) in &mut reading.wrong[known..] {
                    what.push_str("; left out, and all targets are probed without it");
                }
            }
            ("target", DeValue::Array(targets)) => {
                for (index, target) in targets.iter().enumerate() {
                    let end = targets.get(index + 1).map_or(text.len(), |next| next.span().start);
                    reading.target(target, end);
                }
            }
            _ => unknown.push(key),
        }
    }
    // Last, for it is no mistake of the target in front of it.
    for key in unknown {
        reading.wrong(key, "known are [[target]] and [defaults]".into());
    }
    let Reading { places, wrong, mut list, .. } = reading;
    let mistakes = wrong.into_iter().map(|(at, what)| Err(Mistake { at: places.of(at), what }));
    list.entries.extend(mistakes);
    list.entries.sort_by_key(|entry| match entry {
        Ok(Entry { at, .. }) | Err(Mistake { at, .. }) => (at.line, at.column),
    });
    list
}

struct Reading<'a> {
    places: Places<'a>,
    command: &'a Command,
    /// Where the text is no TOML, in order.
    broken: Vec<usize>,
    /// Offset and sentence.
    wrong: Vec<(usize, String)>,
    list: List,
}

/// What `host`, `port` and `name` of a target say.
#[derive(Default)]
struct Own {
    host: Option<(usize, String)>,
    port: Option<u16>,
    name: Option<String>,
}

impl Reading<'_> {
    fn target(&mut self, target: &Spanned<DeValue<'_>>, end: usize) {
        let start = target.span().start;
        let DeValue::Table(table) = target.get_ref() else {
            return self.wrong.push((start, "a target is a table: [[target]]".into()));
        };
        let known = self.wrong.len();
        let (words, own) = self.options(table, true);
        let broken = self.broken.partition_point(|at| *at < start);
        let is_broken = self.broken.get(broken).is_some_and(|at| *at < end);
        // Half of a target is none.
        if is_broken || self.wrong.len() > known {
            return;
        }
        let Some((at, shown)) = own.host else {
            return self.wrong.push((start, "the target has no host".into()));
        };
        match host_and_port(&shown) {
            Ok((_, Some(_))) if own.port.is_some() => {
                self.wrong.push((at, "the port stands there twice".into()));
            }
            Ok((host, port)) => {
                let port = port.or(own.port);
                let shown = match own.port {
                    Some(port) if host.contains(':') && !host.starts_with('[') => {
                        format!("[{host}]:{port}")
                    }
                    Some(port) => format!("{host}:{port}"),
                    None => shown,
                };
                let at = self.places.of(at);
                let entry = Entry { at, shown, host, port, name: own.name, words };
                self.list.entries.push(Ok(entry));
            }
            Err(what) => self.wrong.push((at, what)),
        }
    }

    /// The options of one table as words of a command line.
    fn options(&mut self, table: &DeTable<'_>, is_target: bool) -> (Vec<Word>, Own) {
        let (mut words, mut own) = (Vec::new(), Own::default());
        for (key, value) in table.iter() {
            let long = key.get_ref().replace('_', "-");
            let at = value.span().start;
            let text = || match value.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                _ => Err("must be a text".to_owned()),
            };
            let read = match long.as_str() {
                "host" if is_target => text().map(|host| own.host = Some((at, host))),
                "name" if is_target => text().and_then(name).map(|name| own.name = Some(name)),
                "port" if is_target => {
                    match number(value.get_ref()).and_then(|port| port.parse().ok()) {
                        Some(port) if port > 0 => {
                            own.port = Some(port);
                            Ok(())
                        }
                        _ => Err("must be a number from 1 to 65535".into()),
                    }
                }
                _ => self.option(&long, value.get_ref()).map(|given| {
                    let at = self.places.of(at);
                    words.extend(given.into_iter().map(|text| Word { at, text }));
                }),
            };
            if let Err(what) = read {
                self.wrong(key, format!("{}: {what}", key.get_ref()));
            }
        }
        (words, own)
    }

    fn option(&self, long: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
        if LEFT_OUT.contains(&long) {
            return Err("this is for the whole run, on its command line".into());
        }
        let known = |argument: &&Arg| {
            argument.get_long_and_visible_aliases().is_some_and(|names| names.contains(&long))
        };
        let argument = self.command.get_arguments().find(known);
        let argument = argument.ok_or("there is no such option")?;
        if matches!(argument.get_action(), ArgAction::SetTrue) {
            let is_set = value.as_bool().ok_or("must be true or false")?;
            return Ok(if is_set { vec![format!("--{long}")] } else { Vec::new() });
        }
        let values: Option<Vec<String>> = match value {
            DeValue::Array(array) => array.iter().map(|item| word(item.get_ref())).collect(),
            value => word(value).map(|word| vec![word]),
        };
        let values = values.ok_or("must be a text, a number, or a list of them")?;
        if argument.get_value_delimiter().is_some() {
            return Ok(vec![format!("--{long}={}", values.join(","))]);
        }
        if values.len() != 1 && !matches!(argument.get_action(), ArgAction::Append) {
            return Err("must be one value".into());
        }
        Ok(values.iter().map(|value| format!("--{long}={value}")).collect())
    }

    fn wrong<T>(&mut self, key: &Spanned<T>, what: String) {
        self.wrong.push((key.span().start, what));
    }
}

fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        value => number(value),
    }
}

fn number(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            Some(number.ok()?.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// Octets between two [`Places::characters`].
const BLOCK: usize = 4096;

/// Line and column of an offset, without reading the text each time: a list
/// can have a mistake in every line, and all in one line.
struct Places<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    /// Characters in front of each block.
    characters: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        let ends = text.bytes().zip(1..).filter(|(octet, _)| *octet == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(_, next)| next)).collect();
        let mut characters = vec![0];
        let mut before = 0;
        for block in text.as_bytes().chunks(BLOCK) {
            before += beginnings(block);
            characters.push(before);
        }
        Self { text, lines, characters }
    }

    fn of(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|begin| *begin <= offset);
        let begin = self.lines[line - 1];
        let column = self.characters_before(offset) - self.characters_before(begin) + 1;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Place { line: count(line), column: count(column) }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let octets = &self.text.as_bytes()[block * BLOCK..offset];
        self.characters[block] + beginnings(octets)
    }
}

/// Characters that begin here: whatever continues none (RFC 3629, section 3).
fn beginnings(octets: &[u8]) -> usize {
    octets.iter().filter(|octet| **octet & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use pptp_probe::plugin;

    use super::*;
    use crate::check_pptp_auth::AuthArgs;

    fn read_auth(text: &str) -> List {
        read(text.as_bytes(), &plugin::command::<AuthArgs>())
    }

    #[test]
    fn targets_have_their_options_and_those_of_all() {
        let list = read_auth(
            "[defaults]\nusername = \"probe\"\npassword_file = \"/etc/p\"\n\
             [[target]]\nhost = \"192.0.2.1\"\nport = 1724\nname = \"Vienna\"\n\
             threshold = [\"lcp_time=1/2\", \"auth_time=/3\"]\nexpect-reject = true\n\
             [[target]]\nhost = \"[2001:db8::1]:99\"\nwarning = 0.5\nauth_method = [\"pap\", \"chap\"]\n\
             mppe = \"128\"\n",
        );
        let texts = |words: &[Word]| -> Vec<String> {
            words.iter().map(|word| word.text.clone()).collect()
        };
        assert_eq!(texts(&list.defaults), ["--password-file=/etc/p", "--username=probe"]);
        let entries: Vec<&Entry> =
            list.entries.iter().map(|entry| entry.as_ref().unwrap()).collect();
        assert_eq!(entries[0].shown, "192.0.2.1:1724");
        assert_eq!((entries[0].port, entries[0].name.as_deref()), (Some(1724), Some("Vienna")));
        assert_eq!(
            texts(&entries[0].words),
            ["--expect-reject", "--threshold=lcp_time=1/2", "--threshold=auth_time=/3"]
        );
        assert_eq!((entries[1].host.as_str(), entries[1].port), ("2001:db8::1", Some(99)));
        assert_eq!(
            texts(&entries[1].words),
            ["--auth-method=pap,chap", "--mppe=128", "--warning=0.5"]
        );
        assert_eq!(entries[1].at, Place { line: 11, column: 8 });
    }

    #[test]
    fn a_mistake_costs_its_target_only() {
        let list = read_auth(
            "[[target]]\nhost = \"a\"\n\
             [[target]]\nhost = \"b\"\nusrname = \"x\"\n\
             [[target]]\nhost = \"c\"\nport = 70000\n\
             [[target]]\nhost = \"d\nport = 1\n\
             [[target]]\nport = 2\n\
             [[target]]\nhost = \"e\"\noutput = \"json\"\n\
             [[target]]\nhost = \"f\"\n[other]\n",
        );
        let hosts: Vec<&str> =
            list.entries.iter().flatten().map(|entry| entry.host.as_str()).collect();
        assert_eq!(hosts, ["a", "f"]);
        let wrong: Vec<(u32, u32, &str)> = list
            .entries
            .iter()
            .filter_map(|entry| entry.as_ref().err())
            .map(|mistake| (mistake.at.line, mistake.at.column, mistake.what.as_str()))
            .collect();
        for expected in [
            (5, 1, "usrname: there is no such option"),
            (8, 1, "port: must be a number from 1 to 65535"),
            (12, 1, "the target has no host"),
            (16, 1, "output: this is for the whole run, on its command line"),
            (19, 2, "known are [[target]] and [defaults]"),
        ] {
            assert!(wrong.contains(&expected), "{expected:?}: {wrong:?}");
        }
        assert!(wrong.iter().any(|(line, ..)| *line == 10), "{wrong:?}");
    }

    #[test]
    fn a_mistake_in_the_defaults_says_that_the_targets_do_without() {
        let list = read_auth("[[target]]\nhost = \"a\"\n[defaults]\nusrname = \"x\"\n");
        let what = "usrname: there is no such option; left out, and all targets are probed \
                    without it";
        let at = Place { line: 4, column: 1 };
        assert_eq!(list.entries[1], Err(Mistake { at, what: what.into() }));
        assert!(list.entries[0].is_ok());
    }

    #[test]
    fn places_count_characters() {
        let text = format!("a\n\u{fc}{}\n{}\u{20ac}b", "x".repeat(BLOCK), "\u{fc}".repeat(BLOCK));
        let places = Places::new(&text);
        let naive = |offset: usize| {
            let before = &text[..offset];
            let line = before.rsplit('\n').next().unwrap_or_default();
            (before.matches('\n').count() + 1, line.chars().count() + 1)
        };
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let Place { line, column } = places.of(offset);
            assert_eq!((line as usize, column as usize), naive(offset), "{offset}");
        }
        assert_eq!(places.of(3), places.of(2), "inside of a character");
        assert_eq!(places.of(usize::MAX), places.of(text.len()));
    }
}
