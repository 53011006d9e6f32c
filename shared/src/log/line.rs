//! Lines of a log file to entries (RFC 3164, RFC 5424, RFC 3339, and
//! accel-ppp's own).
//!
//! Only entries of programs that are understood are told, so that a line of
//! any other costs no more than finding its tag. The tag is the word behind
//! the host name and nothing else; what it says may name any program.
//!
//! rsyslog and syslog-ng write `STAMP HOST TAG[PID]: MESSAGE`, with the stamp
//! of RFC 3164 or RFC 3339, or the whole header of RFC 5424; BusyBox has
//! `FACILITY.SEVERITY` in front of the tag; accel-ppp's `log_file` writes
//! `[STAMP]: LEVEL: MESSAGE` without host and tag.

mod stamp;

use memchr::{memchr, memchr_iter};
use wide::u8x16;

use super::daemon::{self, decimal};
use super::entry::{Entry, Stamp, Tag};
use super::event::Program;
use stamp::Stamps;

/// Octets that are searched for line ends at once. Lines are too short for what
/// a search of its own for each would cost to begin.
const CHUNK: usize = 16;

/// Octets of a stamp of RFC 3164, and the blank behind it.
const TRADITIONAL: usize = 16;

/// Splits lines, and keeps what the reading of their stamps needs.
#[derive(Debug)]
pub struct Lines {
    stamps: Stamps,
    /// Stamp (RFC 3164) and host of the line before, each with the blank behind
    /// it: many lines are written in one second.
    head: Vec<u8>,
    /// What that stamp means.
    at: Option<Stamp>,
    /// Host of the line before with the blank behind it.
    host: Vec<u8>,
    /// Whether the line before was told, so that its repetition matters.
    told: bool,
}

impl Lines {
    /// `now` is what the year of a stamp without one is guessed by: the latest
    /// one that is at most a day ahead of `now`, or of the stamps before. To
    /// make one is cheap; where a log is followed, one is made for each look.
    pub fn new(now: Stamp) -> Self {
        Self { stamps: Stamps::new(now), head: Vec::new(), at: None, host: Vec::new(), told: false }
    }

    /// Tells the entries of a block of whole lines, each ended by LF, that one
    /// of the understood programs wrote, or syslogd to count the one before.
    pub fn split<'a>(&mut self, block: &'a [u8], take: &mut dyn FnMut(&Entry<'a>)) {
        let mut start = 0;
        let mut line_to = |end: usize| {
            self.told = match self.entry(&block[start..end]) {
                Some(entry) => {
                    take(&entry);
                    true
                }
                None => false,
            };
            start = end + 1;
        };
        let ends = u8x16::splat(b'\n');
        let (chunks, tail) = block.as_chunks::<CHUNK>();
        for (number, chunk) in chunks.iter().enumerate() {
            let mut found = u8x16::new(*chunk).simd_eq(ends).to_bitmask();
            while found != 0 {
                line_to(number * CHUNK + found.trailing_zeros() as usize);
                found &= found - 1;
            }
        }
        let first = block.len() - tail.len();
        for end in memchr_iter(b'\n', tail) {
            line_to(first + end);
        }
    }

    fn entry<'a>(&mut self, line: &'a [u8]) -> Option<Entry<'a>> {
        match line.first()? {
            b'<' => self.with_priority(line),
            b'[' => self.accel_ppp(line),
            _ => self.with_stamp(line),
        }
    }

    /// `<PRI>` (RFC 5424, section 6.2.1), and behind it either header.
    fn with_priority<'a>(&mut self, line: &'a [u8]) -> Option<Entry<'a>> {
        let end = memchr(b'>', line.get(..5.min(line.len()))?)?;
        let (digits, rest) = (&line[1..end], &line[end + 1..]);
        decimal(digits)?;
        match rest.strip_prefix(b"1 ") {
            Some(rest) => self.rfc_5424(rest),
            None if rest.first() == Some(&b'<') => None,
            None => self.entry(rest),
        }
    }

    /// What follows the version: `STAMP HOST APP-NAME PROCID MSGID SD MSG`
    /// (RFC 5424, section 6).
    fn rfc_5424<'a>(&mut self, rest: &'a [u8]) -> Option<Entry<'a>> {
        let (stamp, rest) = word(rest)?;
        let (host, rest) = word(rest)?;
        let (tag, rest) = word(rest)?;
        let tag = Tag::Of(daemon::program(tag)?);
        let (pid, rest) = word(rest)?;
        let (_message_id, rest) = word(rest)?;
        let message = behind_structured_data(rest)?;
        let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
        // rsyslog keeps the blank that stood behind the tag of RFC 3164.
        let message = message.strip_prefix(b" ").unwrap_or(message);
        Some(Entry {
            at: self.stamps.rfc_3339(stamp),
            host: if host == b"-" { b"" } else { host },
            tag,
            pid: process(pid),
            message: trimmed(message),
        })
    }

    /// `[2026-11-21 03:02:29]:  info: MESSAGE`.
    fn accel_ppp<'a>(&mut self, line: &'a [u8]) -> Option<Entry<'a>> {
        let (stamp, rest) = line.split_at_checked(20)?;
        let rest = rest.strip_prefix(b"]: ")?;
        let (level, rest) = rest.split_at_checked(5)?;
        if !matches!(level, b"  msg" | b"error" | b" warn" | b" info" | b"debug") {
            return None;
        }
        let message = rest.strip_prefix(b": ")?;
        let at = self.stamps.local(&stamp[1..]);
        Some(Entry { at, message: trimmed(message), ..Entry::default() })
    }

    /// `STAMP HOST TAG[PID]: MESSAGE`.
    fn with_stamp<'a>(&mut self, line: &'a [u8]) -> Option<Entry<'a>> {
        if !self.head.is_empty()
            && let Some(rest) = line.strip_prefix(&self.head[..])
        {
            let (tag, pid, message) = self.said(rest)?;
            let host = &line[TRADITIONAL..self.head.len() - 1];
            return Some(Entry { at: self.at, host, tag, pid, message });
        }
        let traditional = line.first_chunk::<TRADITIONAL>().is_some_and(|head| {
            head[0].is_ascii_alphabetic()
                && (head[3], head[6], head[9]) == (b' ', b' ', b':')
                && (head[12], head[15]) == (b':', b' ')
        });
        let (stamp, behind_stamp) = if traditional {
            (&line[..TRADITIONAL - 1], &line[TRADITIONAL..])
        } else {
            word(line)?
        };
        let (host, rest) = match behind_stamp.strip_prefix(&self.host[..]) {
            Some(rest) if !self.host.is_empty() => (&behind_stamp[..self.host.len() - 1], rest),
            _ => {
                let (host, rest) = word(behind_stamp)?;
                self.host.clear();
                if host.len() <= super::event::LONGEST {
                    self.host.extend_from_slice(&behind_stamp[..=host.len()]);
                }
                (host, rest)
            }
        };
        let (tag, pid, message) = self.said(rest)?;
        let at = if traditional {
            let at = self.stamps.rfc_3164(stamp);
            self.head.clear();
            if !self.host.is_empty() {
                self.head.extend_from_slice(&line[..TRADITIONAL]);
                self.head.extend_from_slice(&self.host);
                self.at = at;
            }
            at
        } else {
            self.stamps.rfc_3339(stamp)
        };
        Some(Entry { at, host, tag, pid, message })
    }

    /// What stands behind the host: tag, process and message.
    fn said<'a>(&self, rest: &'a [u8]) -> Option<(Tag, Option<u32>, &'a [u8])> {
        match tagged(rest) {
            Some((program, pid, message)) => Some((Tag::Of(program), pid, trimmed(message))),
            None if rest.starts_with(b"last message repeated ") && self.told => {
                Some((Tag::None, None, trimmed(rest)))
            }
            None => None,
        }
    }
}

/// Octets up to a blank, and what stands behind it.
fn word(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', octets)?;
    Some((&octets[..end], &octets[end + 1..]))
}

/// What stands behind the host: program, process and message.
type Tagged<'a> = (Program, Option<u32>, &'a [u8]);

/// Splits what a program that is understood wrote.
fn tagged(rest: &[u8]) -> Option<Tagged<'_>> {
    let (program, length) = match rest.first()? {
        b'p' if rest.starts_with(b"pppd") => (Program::Pppd, 4),
        b'p' if rest.starts_with(b"pptpd") => (Program::Pptpd, 5),
        b'p' if rest.starts_with(b"pptpctrl") => (Program::Pptpd, 8),
        b'a' if rest.starts_with(b"accel-pppd") => (Program::AccelPpp, 10),
        b'k' if rest.starts_with(b"kernel:") => (Program::Kernel, 6),
        b'd' | b'k' | b'l' => return behind_facility(rest),
        _ => return None,
    };
    let rest = &rest[length..];
    if let Some(message) = rest.strip_prefix(b": ") {
        return Some((program, None, message));
    }
    let rest = rest.strip_prefix(b"[")?;
    let mut pid = 0u64;
    // No number of a process has more digits than fit.
    for (at, digit) in rest.iter().take(11).enumerate() {
        if !digit.is_ascii_digit() {
            let message = rest[at..].strip_prefix(b"]:")?;
            let message = message.strip_prefix(b" ").unwrap_or(message);
            let pid = u32::try_from(pid).ok().filter(|_| at > 0)?;
            return Some((program, Some(pid), message));
        }
        pid = pid * 10 + u64::from(digit - b'0');
    }
    None
}

/// BusyBox: `daemon.notice pppd[762]: ...`.
fn behind_facility(rest: &[u8]) -> Option<Tagged<'_>> {
    let known: [&[u8]; 3] = [b"daemon.", b"local", b"kern."];
    if !known.iter().any(|facility| rest.starts_with(facility)) {
        return None;
    }
    let (_, behind) = word(rest)?;
    if known.iter().any(|facility| behind.starts_with(facility)) {
        return None;
    }
    tagged(behind)
}

fn process(octets: &[u8]) -> Option<u32> {
    decimal(octets).and_then(|pid| u32::try_from(pid).ok())
}

/// The message behind `-` or one or more `[ID NAME="VALUE" ...]`, in whose
/// values a backslash guards `"`, `\` and `]` (RFC 5424, section 6.3).
fn behind_structured_data(octets: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = octets.strip_prefix(b"-") {
        return Some(rest.strip_prefix(b" ").unwrap_or(rest));
    }
    let (mut quoted, mut guarded, mut open) = (false, false, false);
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            _ if guarded => guarded = false,
            b'\\' if quoted => guarded = true,
            b'"' => quoted = !quoted,
            b'[' if !quoted && !open => open = true,
            b']' if !quoted => open = false,
            b' ' if !open => return Some(&octets[at + 1..]),
            _ if !open => return None,
            _ => {}
        }
    }
    (!open).then_some(b"")
}

fn trimmed(message: &[u8]) -> &[u8] {
    message.strip_suffix(b"\r").unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 12:00 UTC.
    const NOW: Stamp = 1_795_262_400_000_000;

    fn entries(text: &[u8]) -> Vec<Entry<'_>> {
        let mut entries = Vec::new();
        Lines::new(NOW).split(text, &mut |entry| entries.push(*entry));
        entries
    }

    #[test]
    fn lines_end_wherever_a_chunk_does() {
        // Octets that are not much different from LF.
        let others = [b'\n' - 1, b'\n' + 1, b'\n' | 0x80, 0, 0x7f, 0xff, b'\r'];
        for length in 0..3 * CHUNK {
            let name: Vec<u8> = others.iter().copied().cycle().take(length).collect();
            let line = [b"Nov 21 02:26:41 gateway pppd[1]: ", &name[..], b"."].concat();
            let text = [&line[..], b"\n\n", &line, b"\nrest of none"].concat();
            let messages: Vec<_> =
                entries(&text).iter().map(|entry| entry.message.to_vec()).collect();
            let message = [&name[..], b"."].concat();
            assert_eq!(messages, [message.clone(), message], "{length}");
        }
    }

    #[test]
    fn every_header_gives_the_same_entry() {
        let message = b"Peer a failed CHAP authentication";
        for header in [
            "2026-11-21T02:26:41.000000+00:00 gateway pppd[762]: ",
            "2026-11-21T02:26:41+0000 gateway pppd[762]: ",
            "2026-11-21T03:26:41+01:00 gateway pppd[762]: ",
            "2026-11-21T02:26:41Z gateway pppd[762]: ",
            "<29>2026-11-21T02:26:41Z gateway pppd[762]: ",
            "<29>1 2026-11-21T02:26:41Z gateway pppd 762 - - ",
            "<29>1 2026-11-21T02:26:41Z gateway pppd 762 - -  ",
            "<29>1 2026-11-21T02:26:41Z gateway pppd 762 ID7 - \u{feff}",
            "<29>1 2026-11-21T02:26:41Z gateway pppd 762 - [a x=\"]\\\" b\"][b] ",
            "2026-11-21T02:26:41Z gateway daemon.notice pppd[762]: ",
        ] {
            let line = [header.as_bytes(), message, b"\r\n"].concat();
            let expected = Entry {
                at: Some(1_795_228_001_000_000),
                host: b"gateway",
                tag: Tag::Of(Program::Pppd),
                pid: Some(762),
                message,
            };
            assert_eq!(entries(&line), [expected], "{header}");
        }
    }

    #[test]
    fn stamps_that_cannot_be_read_leave_the_rest() {
        for line in [
            "Xxx 21 02:26:41 gateway pppd[762]: Exit.\n",
            "Nov 31 02:26:41 gateway pppd[762]: Exit.\n",
            "Nov 21 02:66:41 gateway pppd[762]: Exit.\n",
            "2026-11-21T25:26:41Z gateway pppd[762]: Exit.\n",
            "yesterday gateway pppd[762]: Exit.\n",
            "<30>1 - gateway pppd 762 - - Exit.\n",
        ] {
            let expected = Entry {
                at: None,
                host: b"gateway",
                tag: Tag::Of(Program::Pppd),
                pid: Some(762),
                message: b"Exit.",
            };
            assert_eq!(entries(line.as_bytes()), [expected], "{line}");
        }
    }

    #[test]
    fn other_programs_are_left_out() {
        let text = "Nov 21 02:26:41 gateway sshd[1]: pppd[2]: Exit.\n\
                    Nov 21 02:26:41 gateway pppd[2]: Exit.\n\
                    Nov 21 02:26:41 other pptpd[3]: MGR: Manager process started\n\
                    Nov 21 02:26:41\n\n<\n<1\n[\n1 \n<1><1><1>a\n\
                    Nov 21 02:26:41 gateway daemon.info daemon.info pppd[2]: Exit.\n";
        let hosts: Vec<_> = entries(text.as_bytes()).iter().map(|entry| entry.host).collect();
        assert_eq!(hosts, [&b"gateway"[..], b"other"]);
    }

    #[test]
    fn accel_ppp_has_a_header_of_its_own() {
        let text = b"[2026-11-21 03:02:29]:  info: ppp0: disconnected\n\
                     [2026-11-21 03:02:29]: trace: ppp0: disconnected\n\
                     [2026-11-21 03:02:29 ]:  info: ppp0: disconnected\n";
        let entries = entries(text);
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((entry.tag, entry.message), (Tag::None, &b"ppp0: disconnected"[..]));
        assert!(entry.at.is_some());
    }
}
