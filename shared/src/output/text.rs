//! Text that is safe in one line of a check: printable ASCII without `|`, and
//! names of an operator that are safe in the other formats.

use std::fmt::Write as _;

/// Longest text that [`escape`] gives, in characters.
const LONGEST_ESCAPED: usize = 64;

/// Text from a peer as printable ASCII of at most 64 characters: octets that
/// could break a line or forge performance data, and all that are not ASCII,
/// become `\xNN`; what is too long ends in `...`.
///
/// The backslash is escaped too, because Nagios turns `\n` in the text of a
/// passive result into a line break.
pub fn escape(octets: &[u8]) -> String {
    let mut out = String::with_capacity(LONGEST_ESCAPED);
    // Where the text can be cut so that the dots still fit behind it.
    let mut cut = 0;
    for octet in octets {
        if out.len() + 3 <= LONGEST_ESCAPED {
            cut = out.len();
        }
        match octet {
            b'\\' => push_octet(&mut out, b'\\'),
            _ => push(&mut out, *octet),
        }
        if out.len() > LONGEST_ESCAPED {
            out.truncate(cut);
            out.push_str("...");
            break;
        }
    }
    out
}

/// Appends one line's worth of text, at most `longest` octets of it read.
/// Backslashes stay: what came from a peer has been escaped already.
pub(super) fn push_clean(out: &mut String, text: &str, longest: usize) {
    let octets = text.as_bytes();
    for octet in &octets[..octets.len().min(longest)] {
        push(out, *octet);
    }
    if octets.len() > longest {
        out.push_str("...");
    }
}

/// A name that our own operator chose, which must stay the one that a
/// database or another product knows: beyond ASCII it is kept, and only control
/// characters become `\xNN`.
pub(super) fn own_name(text: &str, longest: usize) -> String {
    let mut out = String::with_capacity(text.len().min(longest) + 3);
    for c in text.chars() {
        if out.len() + c.len_utf8() > longest {
            out.push_str("...");
            break;
        }
        if c.is_control() {
            let mut octets = [0; 4];
            c.encode_utf8(&mut octets).bytes().for_each(|octet| push_octet(&mut out, octet));
        } else {
            out.push(c);
        }
    }
    out
}

/// The same as [`push_clean`] into a string of its own.
pub(super) fn clean(text: &str, longest: usize) -> String {
    let mut out = String::with_capacity(text.len().min(longest) + 3);
    push_clean(&mut out, text, longest);
    out
}

fn push(out: &mut String, octet: u8) {
    match octet {
        b'|' => push_octet(out, octet),
        b' '..=b'~' => out.push(char::from(octet)),
        _ => push_octet(out, octet),
    }
}

fn push_octet(out: &mut String, octet: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{octet:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_stays() {
        assert_eq!(escape(b"linux cananian"), "linux cananian");
    }

    #[test]
    fn breaking_octets_are_spelled_out() {
        assert_eq!(escape(b"a|b\r\n\x1b[0m\0"), r"a\x7cb\x0d\x0a\x1b[0m\x00");
        assert_eq!(escape("Zürich".as_bytes()), r"Z\xc3\xbcrich");
        assert_eq!(escape(br"a\n"), r"a\x5cn");
    }

    #[test]
    fn sixty_four_characters_fit_and_more_are_cut() {
        assert_eq!(escape(&[b'a'; 64]), "a".repeat(64));
        assert_eq!(escape(&[b'a'; 65]), "a".repeat(61) + "...");
        assert_eq!(escape(&[b'\n'; 16]), r"\x0a".repeat(16));
        assert_eq!(escape(&[b'\n'; 17]), r"\x0a".repeat(15) + "...");
    }

    #[test]
    fn a_long_line_is_cut_and_cleaned() {
        assert_eq!(clean("a|b\nc", 100), r"a\x7cb\x0ac");
        assert_eq!(clean("abcdef", 3), "abc...");
        assert_eq!(clean("üü", 1), r"\xc3...");
        assert_eq!(own_name("Wien Süd|1", 11), "Wien Süd|1");
        assert_eq!(own_name("Wien Süd", 7), "Wien S...");
        assert_eq!(own_name("a\n\u{9b}b", 99), r"a\x0a\xc2\x9bb");
    }

    proptest! {
        #[test]
        fn escaped_text_is_short_and_harmless(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = escape(&octets);
            prop_assert!(text.len() <= LONGEST_ESCAPED);
            prop_assert!(text.bytes().all(|octet| (b' '..=b'~').contains(&octet) && octet != b'|'));
            prop_assert!(!text.contains("\\n"));
        }
    }
}
