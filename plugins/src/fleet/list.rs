//! The list of targets: `HOST[:PORT] [options as on the command line]` a line,
//! or the TOML of [`table`](super::table). A mistake is an element of its own,
//! with line and column, and the rest is read on.

use clap::Command;
use pptp_probe::cli::literal;

use super::table;

/// Options that are for the whole run, in a list as on the command line.
pub(super) const LEFT_OUT: [&str; 13] = [
    "hostname",
    "help",
    "version",
    "extra-opts",
    "verbose",
    "output",
    "pcap",
    "targets",
    "all-addresses",
    "at-least",
    "concurrency",
    "total-timeout",
    "max-series",
];

/// The same, as letters.
const LETTERS_LEFT_OUT: &[u8] = b"HhVvo";

/// Longest host and longest name, in octets; a name of DNS has 253 at most.
const LONGEST_WORD: usize = 255;

/// Most targets of one list.
const MOST_TARGETS: usize = 100_000;

/// Where something stands, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) at: Place,
    pub(super) text: String,
}

/// One target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Place,
    /// As it stands there, with its port.
    pub(super) shown: String,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// What the operator calls it.
    pub(super) name: Option<String>,
    /// Its options.
    pub(super) words: Vec<Word>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) at: Place,
    pub(super) what: String,
}

/// All of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// Options of every target.
    pub(super) defaults: Vec<Word>,
    /// In their order.
    pub(super) entries: Vec<Result<Entry, Mistake>>,
}

/// Reads a list; `command` is that of the check, whose options are the keys in
/// TOML.
pub(super) fn read(octets: &[u8], command: &Command) -> List {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let mut list = if is_table(octets) { table::read(octets, command) } else { plain(octets) };
    if list.entries.len() > MOST_TARGETS {
        let at = match &list.entries[MOST_TARGETS] {
            Ok(entry) => entry.at,
            Err(mistake) => mistake.at,
        };
        list.entries.truncate(MOST_TARGETS);
        let what = format!("more than {MOST_TARGETS} targets; those from here on are left out");
        list.entries.push(Err(Mistake { at, what }));
    }
    list
}

/// A table begins with one of its two headers, perhaps with a mistake in it. An
/// IPv6 address has brackets too, but only one, and none of these words.
fn is_table(octets: &[u8]) -> bool {
    let mut lines = octets.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    first.is_some_and(|line| {
        let inside: Vec<u8> = line.iter().copied().filter(|octet| *octet != b' ').collect();
        [&b"[["[..], b"[target", b"[default"].iter().any(|begin| inside.starts_with(begin))
    })
}

fn plain(octets: &[u8]) -> List {
    let mut list = List::default();
    for (line, number) in octets.split(|octet| *octet == b'\n').zip(1..) {
        // One more, to be told of.
        if list.entries.len() > MOST_TARGETS {
            break;
        }
        let entry = match std::str::from_utf8(line) {
            Ok(text) => words(text.strip_suffix('\r').unwrap_or(text), number).and_then(entry),
            Err(error) => {
                let column = column(&line[..error.valid_up_to()]);
                let at = Place { line: number, column };
                Err(Mistake { at, what: "this is not UTF-8".into() })
            }
        };
        list.entries.extend(entry.transpose());
    }
    list
}

fn column(before: &[u8]) -> u32 {
    let characters = String::from_utf8_lossy(before).chars().count();
    u32::try_from(characters).unwrap_or(u32::MAX).saturating_add(1)
}

/// Splits a line as a shell does: blanks, quotation marks of both kinds, the
/// backslash; what begins with `#` is a comment.
fn words(line: &str, number: u32) -> Result<Vec<Word>, Mistake> {
    let mut words: Vec<Word> = Vec::new();
    let mut open: Option<Word> = None;
    let mut quote: Option<(char, Place)> = None;
    let mut characters = line.chars().zip(1..);
    while let Some((c, column)) = characters.next() {
        let at = Place { line: number, column };
        let mistake = |what: &str| Mistake { at, what: what.into() };
        match (quote, c) {
            (Some((mark, _)), c) if c == mark => quote = None,
            (Some(('\'', _)), c) => word(&mut open, at).push(c),
            (_, '\\') => match characters.next() {
                Some((c, _)) => word(&mut open, at).push(c),
                None => return Err(mistake("nothing behind the backslash")),
            },
            (Some(_), c) => word(&mut open, at).push(c),
            (None, '"' | '\'') => {
                word(&mut open, at);
                quote = Some((c, at));
            }
            (None, ' ' | '\t') => words.extend(open.take()),
            (None, '#') if open.is_none() => break,
            (None, c) if c.is_control() => return Err(mistake("a control character")),
            (None, c) => word(&mut open, at).push(c),
        }
    }
    if let Some((mark, at)) = quote {
        return Err(Mistake { at, what: format!("no {mark} to end what begins here") });
    }
    words.extend(open);
    Ok(words)
}

fn word(open: &mut Option<Word>, at: Place) -> &mut String {
    &mut open.get_or_insert_with(|| Word { at, text: String::new() }).text
}

fn entry(words: Vec<Word>) -> Result<Option<Entry>, Mistake> {
    let mut words = words.into_iter();
    let Some(Word { at, text: shown }) = words.next() else { return Ok(None) };
    let (host, port) = host_and_port(&shown).map_err(|what| Mistake { at, what })?;
    let mut entry = Entry { at, host, port, shown, name: None, words: Vec::new() };
    while let Some(word) = words.next() {
        if word.text == "--name" {
            let missing = || Mistake { at: word.at, what: "--name needs a value".into() };
            let Word { at, text } = words.next().ok_or_else(missing)?;
            entry.name = Some(name(text).map_err(|what| Mistake { at, what })?);
        } else if let Some(text) = word.text.strip_prefix("--name=") {
            let named = name(text.to_owned());
            entry.name = Some(named.map_err(|what| Mistake { at: word.at, what })?);
        } else if let Some(what) = left_out(&word.text) {
            return Err(Mistake { at: word.at, what });
        } else {
            entry.words.push(word);
        }
    }
    Ok(Some(entry))
}

/// What is wrong with an option that a target cannot have.
fn left_out(word: &str) -> Option<String> {
    let is_ours = match word.strip_prefix("--") {
        Some(long) => LEFT_OUT.contains(&long.split('=').next().unwrap_or_default()),
        None => {
            let letters = word.strip_prefix('-')?.bytes();
            let mut letters = letters.skip_while(|letter| b"46".contains(letter));
            letters.next().is_some_and(|letter| LETTERS_LEFT_OUT.contains(&letter))
        }
    };
    is_ours.then(|| format!("'{word}' is for the whole run, not for one target"))
}

/// What an operator calls a target.
pub(super) fn name(text: String) -> Result<String, String> {
    match text.len() {
        1..=LONGEST_WORD => Ok(text),
        length => Err(format!("a name has 1 to {LONGEST_WORD} octets, this one {length}")),
    }
}

/// `vpn.example.net`, `192.0.2.1:1724`, `2001:db8::1`, `[2001:db8::1]:1724`.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    if text.len() > LONGEST_WORD {
        return Err(format!("no host is as long as {} octets", text.len()));
    }
    let (host, port) = if text.starts_with('[') {
        match text.rsplit_once("]:") {
            Some((host, port)) => (format!("{host}]"), Some(port)),
            None => (text.to_owned(), None),
        }
    } else if text.matches(':').count() == 1 {
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        (host.to_owned(), Some(port))
    } else {
        (text.to_owned(), None)
    };
    let port = port.map(|port| match port.parse() {
        Ok(0) | Err(_) => Err(format!("'{port}' is no port from 1 to 65535")),
        Ok(port) => Ok(port),
    });
    // Brackets are only there for the port.
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) if literal(address).is_some() => address.to_owned(),
        _ => host,
    };
    if host.is_empty() {
        return Err("there is no host".into());
    }
    if host.starts_with('-') {
        return Err(format!("'{host}' is no host; a target begins with one"));
    }
    Ok((host, port.transpose()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_plain(text: &str) -> List {
        read(text.as_bytes(), &Command::new("check"))
    }

    fn mistakes(text: &str) -> Vec<(u32, u32, String)> {
        let entries = read_plain(text).entries.into_iter().filter_map(Result::err);
        entries.map(|Mistake { at, what }| (at.line, at.column, what)).collect()
    }

    #[test]
    fn lines_have_a_host_a_port_a_name_and_options() {
        let list = read_plain(
            "# gateways\n\n  192.0.2.1\r\nvpn:1724 -w 1 --name 'Vienna 1' # south\n\
             [2001:db8::1]:99\n2001:db8::2 -u \"a \\\"b\\\"\"\\ c\n",
        );
        let entries: Vec<Entry> = list.entries.into_iter().map(Result::unwrap).collect();
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| (entry.at.line, entry.at.column, entry.host.as_str(), entry.port))
            .collect();
        assert_eq!(
            shown,
            [
                (3, 3, "192.0.2.1", None),
                (4, 1, "vpn", Some(1724)),
                (5, 1, "2001:db8::1", Some(99)),
                (6, 1, "2001:db8::2", None),
            ]
        );
        assert_eq!(entries[1].name.as_deref(), Some("Vienna 1"));
        let words = |index: usize| -> Vec<&str> {
            entries[index].words.iter().map(|word| word.text.as_str()).collect()
        };
        assert_eq!((words(1), words(3)), (vec!["-w", "1"], vec!["-u", "a \"b\" c"]));
    }

    #[test]
    fn a_mistake_names_line_and_column_and_the_rest_is_read() {
        let long = "x".repeat(LONGEST_WORD + 1);
        let text = format!(
            "a\nb 'c\nd:0\n-x\ne --output json\nf -vp 1\ng --name\nh\\\ni\u{1}\nj\n\
             :1723\n{long}\nk --name ''\nl --name={long}\n"
        );
        let expected = [
            (2, 3, "no ' to end what begins here"),
            (3, 1, "'0' is no port from 1 to 65535"),
            (4, 1, "'-x' is no host; a target begins with one"),
            (5, 3, "'--output' is for the whole run, not for one target"),
            (6, 3, "'-vp' is for the whole run, not for one target"),
            (7, 3, "--name needs a value"),
            (8, 2, "nothing behind the backslash"),
            (9, 2, "a control character"),
            (11, 1, "there is no host"),
            (12, 1, "no host is as long as 256 octets"),
            (13, 10, "a name has 1 to 255 octets, this one 0"),
            (14, 3, "a name has 1 to 255 octets, this one 256"),
        ];
        assert_eq!(mistakes(&text), expected.map(|(l, c, what)| (l, c, what.to_owned())));
        let good = read_plain(&text).entries.into_iter().filter(Result::is_ok).count();
        assert_eq!(good, 2);
    }

    #[test]
    fn header_with_a_mistake_is_one_of_a_table_all_the_same() {
        for (text, is_one) in [
            ("\u{feff}\n# x\n[[target]]\n", true),
            ("[defaults\nport = 1\n", true),
            ("[[targets]]\n", true),
            ("[target]\n", true),
            ("[2001:db8::1]:99\n", false),
            ("defaults\n", false),
        ] {
            let list = read_plain(text);
            let plain = plain(text.trim_start_matches('\u{feff}').as_bytes());
            assert_eq!(list != plain, is_one, "{text}");
        }
    }

    #[test]
    fn octets_that_are_no_text_cost_their_line_only() {
        let list = read(b"a\n\xc3\xbc \xff\nb\n", &Command::new("check"));
        let what = "this is not UTF-8".to_owned();
        let at = Place { line: 2, column: 3 };
        assert_eq!(list.entries[1], Err(Mistake { at, what }));
        assert_eq!(list.entries.iter().filter(|entry| entry.is_ok()).count(), 2);
    }

    proptest! {
        #[test]
        fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let command = Command::new("check");
            let lines = octets.split(|octet| *octet == b'\n').count();
            prop_assert!(plain(&octets).entries.len() <= lines);
            table::read(&octets, &command);
        }

        #[test]
        fn any_text_is_read(text in "(\\[\\[target\\]\\]|[-a-z\\[\\]=\"'#:\\\\ \n0-9.]){0,40}") {
            for list in [plain(text.as_bytes()), table::read(text.as_bytes(), &Command::new("check"))] {
                for mistake in list.entries.into_iter().filter_map(Result::err) {
                    let line = text.split('\n').nth(mistake.at.line as usize - 1);
                    let length = line.map(|line| line.chars().count());
                    prop_assert!(length.is_some_and(|length| mistake.at.column as usize <= length + 1));
                }
            }
        }
    }
}
