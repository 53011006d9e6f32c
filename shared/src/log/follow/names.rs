//! Names of logs: patterns as a shell has them (glob(7)), and what logrotate(8)
//! makes of a name.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Names that a pattern is tried on, and that it gives.
const MOST: usize = 4096;

/// How a rotated log is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// By gzip(1), as logrotate does unless told otherwise.
    Gzip,
    /// By something that is not read.
    Other,
}

/// What the name of a rotated log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotated {
    /// Counts up with age; `None` where a date stands instead.
    pub(super) number: Option<u32>,
    /// How it is packed.
    pub(super) packing: Packing,
}

/// Reads the name `name` of a file beside the log `live`: the log's name with
/// `.1` or `-20261121` behind it, or before its extension (`extension`), and
/// with that of a packer. Dates may have any form out of digits and signs
/// (`dateformat`). Before an extension a short number behind a hyphen is no
/// date: `ppp-2.log` is a log beside `ppp.log`.
pub(super) fn rotated(live: &[u8], name: &[u8]) -> Option<Rotated> {
    let (name, packing) = unpacked(name);
    if let Some(mark) = name.strip_prefix(live) {
        return Some(Rotated { number: mark_number(mark)?, packing });
    }
    let (stem, extension) = live.split_at(live.iter().rposition(|octet| *octet == b'.')?);
    let mark = name.strip_suffix(extension)?.strip_prefix(stem)?;
    let number = mark_number(mark)?;
    let digits = mark.iter().filter(|octet| octet.is_ascii_digit()).count();
    (mark[0] == b'.' || digits >= 6).then_some(Rotated { number, packing })
}

/// The files that `pattern` names, sorted: those there are where it has `*`,
/// `?` or `[`, without those that are rotated ones of another; else itself.
pub(super) fn expand(pattern: &Path) -> Vec<PathBuf> {
    if !is_pattern(pattern.as_os_str()) {
        return vec![pattern.to_owned()];
    }
    let mut paths = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str();
        if let Component::Normal(name) = component
            && is_pattern(name)
        {
            paths = paths.iter().flat_map(|directory| list(directory, name)).take(MOST).collect();
        } else {
            paths.iter_mut().for_each(|path| path.push(name));
        }
    }
    paths.retain(|path| !path.is_dir());
    paths.sort();
    let all: HashSet<PathBuf> = paths.iter().cloned().collect();
    paths.retain(|path| !is_rotated_of_any(path, &all));
    paths
}

/// Whether `path` is `pattern`, or one of those that it may name.
pub(super) fn is_of(pattern: &Path, path: &Path) -> bool {
    pattern.components().count() == path.components().count()
        && pattern.components().zip(path.components()).all(|(part, name)| {
            part == name || matches(part.as_os_str().as_bytes(), name.as_os_str().as_bytes())
        })
}

/// Whether what a shell takes for a pattern is in it.
pub(super) fn is_pattern(name: &OsStr) -> bool {
    name.as_bytes().iter().any(|octet| b"*?[".contains(octet))
}

fn list(directory: &Path, pattern: &OsStr) -> Vec<PathBuf> {
    let place = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let pattern = pattern.as_bytes();
    fs::read_dir(place)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| matches(pattern, name.as_bytes()))
        .filter(|name| name.as_bytes()[0] != b'.' || pattern[0] == b'.')
        .take(MOST)
        .map(|name| directory.join(name))
        .collect()
}

fn is_rotated_of_any(path: &Path, all: &HashSet<PathBuf>) -> bool {
    let Some(name) = path.file_name().map(OsStr::as_bytes) else { return false };
    let (plain, _) = unpacked(name);
    let extension = plain.iter().rposition(|octet| *octet == b'.').unwrap_or(plain.len());
    let marks = (1..plain.len()).filter(|at| b".-_".contains(&plain[*at]));
    marks.flat_map(|at| [plain[..at].to_vec(), [&plain[..at], &plain[extension..]].concat()]).any(
        |live| {
            live != name
                && rotated(&live, name).is_some()
                && all.contains(&path.with_file_name(OsStr::from_bytes(&live)))
        },
    )
}

fn unpacked(name: &[u8]) -> (&[u8], Packing) {
    for (extension, packing) in [
        (&b".gz"[..], Packing::Gzip),
        (b".xz", Packing::Other),
        (b".zst", Packing::Other),
        (b".bz2", Packing::Other),
        (b".lz4", Packing::Other),
        (b".lzma", Packing::Other),
        (b".Z", Packing::Other),
    ] {
        if let Some(name) = name.strip_suffix(extension) {
            return (name, packing);
        }
    }
    (name, Packing::Plain)
}

/// The number in what a rotation adds to a name; `Some(None)` for a date,
/// `None` for neither.
fn mark_number(mark: &[u8]) -> Option<Option<u32>> {
    let (first, rest) = mark.split_first()?;
    let sign = |octet: &u8| b".-_:+TZ".contains(octet);
    if !b".-_".contains(first)
        || !rest.iter().all(|octet| octet.is_ascii_digit() || sign(octet))
        || !rest.iter().any(u8::is_ascii_digit)
    {
        return None;
    }
    let counted = *first == b'.' && rest.len() < 6 && rest.iter().all(u8::is_ascii_digit);
    Some(if counted { std::str::from_utf8(rest).ok()?.parse().ok() } else { None })
}

/// Whether a name is of a pattern: `*`, `?` and `[...]` with ranges and `!`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where to go on, with one octet more under the last star.
    let mut star = None;
    while from < name.len() {
        let width = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => match set(&pattern[at..], name[from]) {
                Some((width, true)) => Some(width),
                Some((_, false)) => None,
                // Without an end it is an octet as any other.
                None => (name[from] == b'[').then_some(1),
            },
            Some(octet) => (*octet == name[from]).then_some(1),
            None => None,
        };
        match (width, star) {
            (Some(width), _) => (at, from) = (at + width, from + 1),
            (None, Some((behind, under))) => {
                star = Some((behind, under + 1));
                (at, from) = (behind, under + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|octet| *octet == b'*')
}

/// Octets of the set that `pattern` begins with, and whether `octet` is in it.
fn set(pattern: &[u8], octet: u8) -> Option<(usize, bool)> {
    let inverted = matches!(pattern.get(1), Some(b'!' | b'^'));
    let begin = 1 + usize::from(inverted);
    // The first one belongs to the set even if it is a bracket.
    let end = begin + 1 + pattern.get(begin + 1..)?.iter().position(|octet| *octet == b']')?;
    let mut inside = &pattern[begin..end];
    let mut found = false;
    while let [first, rest @ ..] = inside {
        inside = match rest {
            [b'-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&octet);
                rest
            }
            _ => {
                found |= *first == octet;
                rest
            }
        };
    }
    Some((end + 1, found != inverted))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    #[test]
    fn logrotates_names_are_told_from_those_of_other_logs() {
        let told = |live: &str, name: &str| rotated(live.as_bytes(), name.as_bytes());
        let of = |number, packing| Some(Rotated { number, packing });
        for (live, name, expected) in [
            ("syslog", "syslog.1", of(Some(1), Packing::Plain)),
            ("syslog", "syslog.12.gz", of(Some(12), Packing::Gzip)),
            ("syslog", "syslog-20261121", of(None, Packing::Plain)),
            ("syslog", "syslog-20261121.gz", of(None, Packing::Gzip)),
            ("syslog", "syslog-2026-11-21T16:00:00+0100", of(None, Packing::Plain)),
            ("syslog", "syslog-1795261414.xz", of(None, Packing::Other)),
            ("syslog", "syslog.20261121", of(None, Packing::Plain)),
            ("ppp.log", "ppp.log.3", of(Some(3), Packing::Plain)),
            ("ppp.log", "ppp.3.log", of(Some(3), Packing::Plain)),
            ("ppp.log", "ppp-20261121.log.gz", of(None, Packing::Gzip)),
            ("ppp.log", "ppp-2.log", None),
            ("ppp.log", "ppp.log", None),
            ("syslog", "syslog", None),
            ("syslog", "syslog.gz", None),
            ("syslog", "syslog.old", None),
            ("syslog", "syslog-ng.log", None),
            ("syslog", "syslog2", None),
            ("syslog", "syslog.", None),
            ("", ".1", of(Some(1), Packing::Plain)),
        ] {
            assert_eq!(told(live, name), expected, "{name} beside {live}");
        }
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name, expected) in [
            ("*.log", "accel-ppp.log", true),
            ("*.log", "accel-ppp.log.1", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("?", "x", true),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[]-]", "-", true),
            ("[ab", "[ab", true),
            ("***", "", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn pattern_gives_logs_without_their_rotated_ones() {
        let scratch = Scratch::new();
        for name in [
            "a/ppp.log",
            "a/ppp-2.log",
            "a/ppp-20261120.log",
            "a/ppp.log.1",
            "a/ppp.log.2.gz",
            "a/.hidden.log",
            "b/ppp.log.1",
            "b/other",
        ] {
            fs::create_dir_all(scratch.path(name).parent().unwrap()).unwrap();
            fs::write(scratch.path(name), "").unwrap();
        }
        fs::create_dir(scratch.path("a/ppp.logs")).unwrap();
        let named = |pattern: &str| -> Vec<_> {
            let paths = expand(&scratch.path(pattern));
            paths
                .iter()
                .map(|path| path.strip_prefix(scratch.path("")).unwrap().to_owned())
                .collect()
        };
        assert_eq!(named("a/ppp*").len(), 2);
        assert_eq!(
            named("*/ppp*log*"),
            ["a/ppp-2.log", "a/ppp.log", "b/ppp.log.1"].map(PathBuf::from)
        );
        assert!(named("a/none*").is_empty());
        assert_eq!(named("a/none"), [PathBuf::from("a/none")]);
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_matched_by_stars_and_no_pattern_panics(pattern: Vec<u8>, name: Vec<u8>) {
            let _ = matches(&pattern, &name);
            let _ = rotated(&pattern, &name);
            proptest::prop_assert!(matches(b"*", &name));
        }
    }
}
