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
//!
//! A line is so short that calls and copies would be most of the work: what
//! nearly every line goes through is inlined as a whole, and what few do is
//! kept out of it.

mod stamp;

use memchr::memchr;
use wide::u8x16;

use super::daemon::{self, decimal};
use super::entry::{Entry, Stamp, Tag};
use super::event::Program;
use super::octets::{behind, front, leading};
use stamp::Stamps;

/// Octets that are searched for a line end at once.
const CHUNK: usize = 128;
/// Octets that are compared at once.
const PART: usize = 16;
/// Digits of the number of a process at most.
const LONGEST_PID: usize = 10;

type Take<'a, 't> = dyn FnMut(&Entry<'a>) + 't;

/// Splits lines, and keeps what the reading of their stamps needs.
#[derive(Debug)]
pub struct Lines {
    stamps: Stamps,
    /// Host of the line before with the blank behind it: most lines of a log
    /// are of one.
    host: Vec<u8>,
    /// Whether the line before was told, so that its repetition matters.
    told: bool,
}

impl Lines {
    /// `now` is what the year of a stamp without one is guessed by: the latest
    /// one that is at most a day ahead of `now`, or of the stamps before. To
    /// make one is cheap; where a log is followed, one is made for each look.
    pub fn new(now: Stamp) -> Self {
        Self { stamps: Stamps::new(now), host: Vec::new(), told: false }
    }

    /// Tells the entries of a block of whole lines, each ended by LF, that one
    /// of the understood programs wrote, or syslogd to count the one before.
    pub fn split<'a>(&mut self, block: &'a [u8], take: &mut dyn FnMut(&Entry<'a>)) {
        let mut rest = block;
        while let Some(end) = line_end(rest) {
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            self.told = self.line(line, take).is_some();
            rest = behind;
        }
    }

    /// Tells the entry of a line; `None` if it has none for us.
    #[inline(always)]
    fn line<'a>(&mut self, line: &'a [u8], take: &mut Take<'a, '_>) -> Option<()> {
        match line.first()? {
            b'<' => self.with_priority(line, take),
            b'[' => self.accel_ppp(line, take),
            _ => self.with_stamp(line, take),
        }
    }

    /// `<PRI>` (RFC 5424, section 6.2.1), and behind it either header.
    #[inline(never)]
    fn with_priority<'a>(&mut self, line: &'a [u8], take: &mut Take<'a, '_>) -> Option<()> {
        let end = memchr(b'>', line.get(..5.min(line.len()))?)?;
        let (digits, rest) = (&line[1..end], &line[end + 1..]);
        decimal(digits)?;
        match rest.strip_prefix(b"1 ") {
            Some(rest) => self.rfc_5424(rest, take),
            None if rest.first() == Some(&b'<') => None,
            None => self.line(rest, take),
        }
    }

    /// What follows the version: `STAMP HOST APP-NAME PROCID MSGID SD MSG`
    /// (RFC 5424, section 6).
    fn rfc_5424<'a>(&mut self, rest: &'a [u8], take: &mut Take<'a, '_>) -> Option<()> {
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
        take(&Entry {
            at: self.stamps.rfc_3339(stamp),
            host: if host == b"-" { b"" } else { host },
            tag,
            pid: process(pid),
            message: trimmed(message),
        });
        Some(())
    }

    /// `[2026-11-21 03:02:29]:  info: MESSAGE`.
    #[inline(never)]
    fn accel_ppp<'a>(&mut self, line: &'a [u8], take: &mut Take<'a, '_>) -> Option<()> {
        let (stamp, rest) = line.split_at_checked(20)?;
        let rest = rest.strip_prefix(b"]: ")?;
        let (level, rest) = rest.split_at_checked(5)?;
        if !matches!(level, b"  msg" | b"error" | b" warn" | b" info" | b"debug") {
            return None;
        }
        let message = rest.strip_prefix(b": ")?;
        let at = self.stamps.local(&stamp[1..]);
        take(&Entry { at, message: trimmed(message), ..Entry::default() });
        Some(())
    }

    /// `STAMP HOST TAG[PID]: MESSAGE`.
    #[inline(always)]
    fn with_stamp<'a>(&mut self, line: &'a [u8], take: &mut Take<'a, '_>) -> Option<()> {
        let Some((at, rest)) = self.stamps.known(line) else {
            return self.with_new_stamp(line, take);
        };
        let (host, tag, pid, message) = self.behind_stamp(rest)?;
        take(&Entry { at: Some(at), host, tag, pid, message });
        Some(())
    }

    /// The same with a stamp that is not like the one before.
    #[inline(never)]
    fn with_new_stamp<'a>(&mut self, line: &'a [u8], take: &mut Take<'a, '_>) -> Option<()> {
        let (stamp, rest) = stamp::written(line)?;
        let (host, tag, pid, message) = self.behind_stamp(rest)?;
        // Only now, for what others write tells nothing of the year.
        let at = self.stamps.read(stamp);
        take(&Entry { at, host, tag, pid, message });
        Some(())
    }

    /// Host, tag, process and message.
    #[inline(always)]
    fn behind_stamp<'a>(&mut self, rest: &'a [u8]) -> Option<BehindStamp<'a>> {
        let (host, rest) = match behind(rest, &self.host) {
            Some(behind) if !self.host.is_empty() => (&rest[..self.host.len() - 1], behind),
            _ => self.another_host(rest)?,
        };
        match tagged(rest) {
            Some((program, pid, message)) => Some((host, Tag::Of(program), pid, trimmed(message))),
            None if self.told && rest.starts_with(b"last message repeated ") => {
                Some((host, Tag::None, None, trimmed(rest)))
            }
            None => None,
        }
    }

    /// The host in front, which is not that of the line before.
    #[inline(never)]
    fn another_host<'a>(&mut self, rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (host, behind) = word(rest)?;
        self.host.clear();
        if host.len() <= super::event::LONGEST {
            self.host.extend_from_slice(&rest[..=host.len()]);
        }
        Some((host, behind))
    }
}

/// What stands behind a stamp: host, tag, process and message.
type BehindStamp<'a> = (&'a [u8], Tag, Option<u32>, &'a [u8]);

/// Where the first LF is.
#[inline(always)]
fn line_end(octets: &[u8]) -> Option<usize> {
    // Nearly every line ends within, and where it does is no branch that the
    // processor would have to guess.
    if let Some(chunk) = octets.first_chunk() {
        let ends = line_ends(chunk);
        if ends != 0 {
            return Some(ends.trailing_zeros() as usize);
        }
    }
    memchr(b'\n', octets)
}

/// A bit for each LF, the lowest for the first octet.
#[inline(always)]
fn line_ends(chunk: &[u8; CHUNK]) -> u128 {
    let end = u8x16::splat(b'\n');
    let (parts, _) = chunk.as_chunks::<PART>();
    let ends = |part: &[u8; PART]| u64::from(u8x16::new(*part).simd_eq(end).to_bitmask());
    let half =
        |parts: &[[u8; PART]]| parts.iter().rev().fold(0, |found, part| found << PART | ends(part));
    let (front, back) = parts.split_at(parts.len() / 2);
    u128::from(half(back)) << 64 | u128::from(half(front))
}

/// Octets up to a blank, and what stands behind it.
fn word(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', octets)?;
    Some((&octets[..end], &octets[end + 1..]))
}

/// What stands behind the host: program, process and message.
type Tagged<'a> = (Program, Option<u32>, &'a [u8]);

/// Splits what a program that is understood wrote.
#[inline(always)]
fn tagged(rest: &[u8]) -> Option<Tagged<'_>> {
    // Nearly all lines are of these two.
    let (program, behind) = if let Some(behind) = rest.strip_prefix(b"pppd[") {
        (Program::Pppd, behind)
    } else if let Some(behind) = rest.strip_prefix(b"pptpd[") {
        (Program::Pptpd, behind)
    } else {
        return rarely_tagged(rest);
    };
    behind_pid(program, behind)
}

#[inline(never)]
fn rarely_tagged(rest: &[u8]) -> Option<Tagged<'_>> {
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
    match rest.strip_prefix(b": ") {
        Some(message) => Some((program, None, message)),
        None => behind_pid(program, rest.strip_prefix(b"[")?),
    }
}

/// `762]: ...`.
#[inline(always)]
fn behind_pid(program: Program, rest: &[u8]) -> Option<Tagged<'_>> {
    if let Some((pid, digits @ 1..8)) = rest.first_chunk().copied().map(front)
        && let Some(message) = rest[digits..].strip_prefix(b"]: ")
    {
        return Some((program, Some(pid), message));
    }
    behind_odd_pid(program, rest)
}

/// The same with a number or a message that is unusually short or long.
#[inline(never)]
fn behind_odd_pid(program: Program, rest: &[u8]) -> Option<Tagged<'_>> {
    let (pid, behind) = leading(rest)?;
    if rest.len() - behind.len() > LONGEST_PID {
        return None;
    }
    let message = behind.strip_prefix(b"]:")?;
    let message = message.strip_prefix(b" ").unwrap_or(message);
    Some((program, Some(u32::try_from(pid).ok()?), message))
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
    match message {
        [front @ .., b'\r'] => front,
        _ => message,
    }
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
