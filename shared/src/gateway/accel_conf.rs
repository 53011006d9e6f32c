//! Lines of accel-ppp.conf, as accel-ppp 1.14 takes them (triton/conf_file.c):
//! `[section]`, `name=value` or `name,value`, a bare name, `$include FILE`,
//! and comments that have a line of their own. A value that ends in `{` opens
//! options that belong to it, up to `}`. Lines are cut by the daemon at 1023
//! octets, which is not imitated.

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Begins a section, or goes on with it.
    Section(&'a [u8]),
    /// Another file stands here.
    Include(&'a [u8]),
    /// An option, with what follows the sign.
    Option(&'a [u8], Option<&'a [u8]>),
    /// An option of an option, or the end of some.
    Inner(&'a [u8]),
}

/// Each line that says something, with its number from 1.
pub(crate) fn parts(text: &[u8]) -> impl Iterator<Item = (u32, Part<'_>)> {
    let mut depth = 0_usize;
    let numbered = (1..).zip(text.split(|octet| *octet == b'\n'));
    numbered.filter_map(move |(number, line)| Some((number, part(line, &mut depth)?)))
}

fn part<'a>(line: &'a [u8], depth: &mut usize) -> Option<Part<'a>> {
    let line = trim_start(line);
    let end = line.iter().rposition(|octet| !is_blank(octet)).map_or(0, |last| last + 1);
    let line = &line[..end];
    if matches!(line.first(), None | Some(b'#')) {
        return None;
    }
    let is_end = |octet: &u8| is_blank(octet) || *octet == b'=';
    let (name, rest) = line.split_at(line.iter().position(is_end).unwrap_or(line.len()));
    let rest = trim_start(rest);
    if name.starts_with(b"$include") {
        return Some(Part::Include(rest));
    }
    if let Some(name) = line.strip_prefix(b"[") {
        *depth = 0;
        return Some(Part::Section(name.split(|octet| *octet == b']').next().unwrap_or(name)));
    }
    if line[0] == b'}' {
        *depth = depth.saturating_sub(1);
        return Some(Part::Inner(line));
    }
    let value = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b",")).map(trim_start);
    let is_inner = *depth > 0;
    *depth += usize::from(value.is_some_and(|value| value.ends_with(b"{")));
    Some(if is_inner { Part::Inner(line) } else { Part::Option(name, value) })
}

fn is_blank(octet: &u8) -> bool {
    *octet == b' ' || *octet == b'\t'
}

fn trim_start(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|octet| !is_blank(octet)).unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_told() {
        let text = b"# all\n[ppp]\n mtu = 1400 \nipv4\nmru,1400\n$include /etc/x.conf\n\
            if=a {\n  inner=1\n}\n[dns] x\nempty=\n";
        let parts: Vec<_> = parts(text).collect();
        let expected = [
            (2, Part::Section(b"ppp")),
            (3, Part::Option(b"mtu", Some(b"1400"))),
            (4, Part::Option(b"ipv4", None)),
            // A comma belongs to the name unless a blank stands before it.
            (5, Part::Option(b"mru,1400", None)),
            (6, Part::Include(b"/etc/x.conf")),
            (7, Part::Option(b"if", Some(b"a {"))),
            (8, Part::Inner(b"inner=1")),
            (9, Part::Inner(b"}")),
            (10, Part::Section(b"dns")),
            (11, Part::Option(b"empty", Some(b""))),
        ];
        assert_eq!(parts, expected);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>) {
            assert!(parts(&octets).count() <= octets.len() + 1);
        }
    }
}
