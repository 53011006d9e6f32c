//! The list of targets as TOML: `[[target]]` with `host`, `port`, `name` and
//! the check's own options as keys, `[defaults]` with those of every target.
//! `_` and `-` are the same in a key.

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::list::{Entry, LEFT_OUT, List, Mistake, Place, Word, host_and_port};

/// Reads it; what cannot be read costs the target that it stands in.
pub(super) fn read(octets: &[u8], command: &Command) -> List {
    let text = match std::str::from_utf8(octets) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = String::from_utf8_lossy(&octets[..error.valid_up_to()]);
            let what = "this is not UTF-8, and nothing of a table is read then";
            let at = place(&before, before.len());
            return List {
                entries: vec![Err(Mistake { at, what: what.into() })],
                ..List::default()
            };
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    let errors = errors.iter().map(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, error.message().to_owned())
    });
    let mut reading = Reading { text, command, wrong: errors.collect(), list: List::default() };
    let mut unknown = Vec::new();
    for (key, value) in document.get_ref().iter() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("defaults", DeValue::Table(table)) => {
                let (words, _) = reading.options(table, false);
                reading.list.defaults = words;
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
    let Reading { wrong, mut list, .. } = reading;
    let mistakes = wrong.into_iter().map(|(at, what)| Err(Mistake { at: place(text, at), what }));
    list.entries.extend(mistakes);
    list.entries.sort_by_key(|entry| match entry {
        Ok(Entry { at, .. }) | Err(Mistake { at, .. }) => (at.line, at.column),
    });
    list
}

struct Reading<'a> {
    text: &'a str,
    command: &'a Command,
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
        let within = |at: usize| (start..end).contains(&at);
        let DeValue::Table(table) = target.get_ref() else {
            return self.wrong.push((start, "a target is a table: [[target]]".into()));
        };
        let (words, own) = self.options(table, true);
        // Half of a target is none.
        if self.wrong.iter().any(|(at, _)| within(*at)) {
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
                let at = place(self.text, at);
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
                "name" if is_target => text().map(|name| own.name = Some(name)),
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
                    let at = place(self.text, at);
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

/// Line and column of an offset.
fn place(text: &str, offset: usize) -> Place {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line = before.rsplit('\n').next().unwrap_or_default();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX - 1) + 1;
    Place { line: count(before.matches('\n').count()), column: count(line.chars().count()) }
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
        assert_eq!((entries[1].host.as_str(), entries[1].port), ("[2001:db8::1]", Some(99)));
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
}
