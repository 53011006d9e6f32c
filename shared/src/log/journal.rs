//! The journal of systemd, read by journalctl(1) as a child process: entries
//! as JSON (systemd.io, "Journal JSON Format"), from a kept cursor on.
//!
//! Read is what root's pptpd, pppd and accel-pppd said, and the kernel: anybody
//! can give an entry their tag, but not their user. `--cursor` is used rather
//! than `--after-cursor`, which before systemd 255 left an entry out when the
//! one of the cursor was gone; so the entry that was read last comes once
//! more, and its absence tells of a gap.

mod json;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Instant;

use memchr::memchr;
use nix::unistd::{User, geteuid};
use rustix::event::{PollFd, PollFlags};

use super::entry::{Entry, Stamp};
use super::follow::{Gap, Progress, Trouble, wait};
use crate::output::escape;
use crate::wire::{Error, Reader, Writer};
use json::Fields;

/// Octets read at once.
const BLOCK: usize = 64 << 10;
/// Octets of an entry; longer fields than 4096 octets journalctl leaves out.
const LONGEST: usize = 1 << 20;
/// Octets of what journalctl complains about.
const LONGEST_COMPLAINT: usize = 4096;
/// Octets of a cursor; systemd makes some 130.
const LONGEST_CURSOR: usize = 512;
/// Who is read. One that is called otherwise (accel-ppp's `[log] syslog`) is
/// not found.
const MATCHES: [&str; 6] = [
    "_UID=0",
    "SYSLOG_IDENTIFIER=pptpd",
    "SYSLOG_IDENTIFIER=pppd",
    "SYSLOG_IDENTIFIER=accel-pppd",
    "+",
    "_TRANSPORT=kernel",
];

/// Where reading of the journal goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The entry that was read last; empty before the first.
    cursor: String,
    /// Its stamp; before the first, where reading begins.
    since: Stamp,
}

impl Position {
    pub(super) fn emit(&self, writer: &mut Writer) {
        writer.slice(&self.since.to_be_bytes());
        writer.u16(self.cursor.len() as u16);
        writer.slice(self.cursor.as_bytes());
    }

    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let since = reader.array().map(Stamp::from_be_bytes)?;
        let length = reader.u16()?;
        let cursor = reader.take(length.into())?;
        let bad = Error::BadLength { what: "cursor", length: length.into() };
        let cursor = std::str::from_utf8(cursor).ok().filter(|cursor| is_cursor(cursor));
        Ok(Self { cursor: cursor.ok_or(bad)?.to_owned(), since })
    }
}

/// Whether it can stand in a command line.
fn is_cursor(cursor: &str) -> bool {
    cursor.len() <= LONGEST_CURSOR && cursor.bytes().all(|octet| octet.is_ascii_graphic())
}

/// Reads the journal, and remembers how far.
#[derive(Debug)]
pub struct Journal {
    program: PathBuf,
    position: Position,
    running: Option<Running>,
    fields: Fields,
    /// The last reading failed: waiting by journalctl would fail at once.
    failed: bool,
}

impl Journal {
    /// For a journal that was not read before, from `since` on; 0 for all of
    /// it.
    pub fn new(since: Stamp) -> Self {
        Self::resume(Position { cursor: String::new(), since })
    }

    /// Goes on at a position.
    pub fn resume(position: Position) -> Self {
        Self {
            program: "journalctl".into(),
            position,
            running: None,
            fields: Fields::default(),
            failed: false,
        }
    }

    /// Where reading goes on.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Reads what was added to the journal, and hands it on.
    pub fn read(&mut self, deadline: Instant, take: &mut dyn FnMut(&Entry<'_>)) -> Progress {
        let mut progress = Progress::default();
        let running = self.running.take().map_or_else(|| self.start(false), Ok);
        let read = running.and_then(|mut running| {
            self.read_from(&mut running, deadline, &mut progress, take).map(|goes_on| {
                // One that follows goes on; another is ended and reaped here.
                self.running = Some(running).filter(|_| goes_on);
            })
        });
        self.failed = read.is_err();
        if let Err(trouble) = read {
            progress.troubles.push(trouble);
        }
        progress
    }

    /// Waits until an entry comes; false if none did by `until`.
    ///
    /// # Errors
    /// The system's, and journalctl's as [`Trouble::Journal`].
    pub fn wait(&mut self, until: Instant) -> Result<bool, Trouble> {
        if self.failed {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            return Ok(false);
        }
        if self.running.is_none() {
            self.running = Some(self.start(true)?);
        }
        let Some(running) = &self.running else { return Ok(false) };
        let mut fds = [PollFd::new(&running.stdout, PollFlags::IN)];
        wait(&mut fds, until).map_err(|error| self.trouble(error))
    }

    fn trouble(&self, error: io::Error) -> Trouble {
        Trouble::Io { path: self.program.clone(), error }
    }

    fn start(&self, follow: bool) -> Result<Running, Trouble> {
        let mut command = Command::new(&self.program);
        command.args(["--output=json", "--no-pager", "--no-tail", "--output-fields"]);
        command.arg("MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_HOSTNAME");
        if follow {
            command.arg("--follow");
        }
        let Position { cursor, since } = &self.position;
        if !cursor.is_empty() {
            command.arg(format!("--cursor={cursor}"));
        } else if *since > 0 {
            command.arg(format!("--since=@{}", since / 1_000_000));
        }
        command.args(MATCHES).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Trouble::Journal(
                "there is no journalctl here: name the log files instead, with --file".to_owned(),
            ),
            _ => self.trouble(error),
        })?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(self.trouble(ErrorKind::BrokenPipe.into()));
        };
        Ok(Running {
            child,
            stdout,
            stderr,
            buffer: vec![0; BLOCK],
            filled: 0,
            inside: false,
            complaint: Vec::new(),
            deaf: false,
            begun: false,
            follow,
        })
    }

    /// True if there may be more later.
    fn read_from(
        &mut self,
        running: &mut Running,
        deadline: Instant,
        progress: &mut Progress,
        take: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<bool, Trouble> {
        loop {
            let until = if running.follow { Instant::now() } else { deadline };
            let ready = running.ready(until).map_err(|error| self.trouble(error))?;
            let Some((said, complained)) = ready else {
                progress.complete = running.follow;
                return Ok(running.follow);
            };
            if complained {
                running.listen();
            }
            if said {
                match running.fill() {
                    Ok(0) => break,
                    Ok(_) => self.lines(running, progress, take),
                    Err(error) => return Err(self.trouble(error)),
                }
            }
            if Instant::now() >= deadline {
                return Ok(running.follow);
            }
        }
        progress.complete = true;
        let succeeded = running.child.wait().is_ok_and(|status| status.success());
        while !running.deaf && running.complaint.len() < LONGEST_COMPLAINT {
            running.listen();
        }
        // Who sees the own entries alone succeeds, with a hint.
        let complaint = String::from_utf8_lossy(&running.complaint);
        if let Some(trouble) = denied(&complaint) {
            return Err(trouble);
        }
        if !succeeded {
            return self.judge(&complaint, progress).map(|()| false);
        }
        // The entry of the cursor would have come once more.
        if !running.begun && !self.position.cursor.is_empty() {
            self.lost(progress);
            self.position.cursor.clear();
        }
        Ok(false)
    }

    /// What journalctl failed for; a cursor that it cannot use is given up.
    fn judge(&mut self, complaint: &str, progress: &mut Progress) -> Result<(), Trouble> {
        progress.complete = false;
        if complaint.contains("Failed to seek to cursor") {
            self.lost(progress);
            self.position.cursor.clear();
            return Ok(());
        }
        let said = escape(complaint.lines().next().unwrap_or_default().as_bytes());
        Err(Trouble::Journal(format!("journalctl failed: {said}")))
    }

    fn lost(&self, progress: &mut Progress) {
        let why = "entries may be lost: the one that was read last is gone, and with it perhaps \
                   later ones (SystemMaxUse of journald.conf)";
        progress.gaps.push(Gap { path: self.program.clone(), why: why.to_owned() });
    }

    /// Hands on the entries that are in the buffer as a whole.
    fn lines(
        &mut self,
        running: &mut Running,
        progress: &mut Progress,
        take: &mut dyn FnMut(&Entry<'_>),
    ) {
        let mut begin = 0;
        while let Some(length) = memchr(b'\n', &running.buffer[begin..running.filled]) {
            let line = &running.buffer[begin..begin + length];
            begin += length + 1;
            progress.octets += length as u64 + 1;
            if std::mem::take(&mut running.inside) {
                continue;
            }
            // Remarks such as "-- No entries --" are none.
            if line.first() == Some(&b'{') {
                let first = !std::mem::replace(&mut running.begun, true);
                self.line(line, first, progress, take);
            }
        }
        running.buffer.copy_within(begin..running.filled, 0);
        running.filled -= begin;
        if running.filled >= LONGEST {
            progress.cut += u64::from(!running.inside);
            running.inside = true;
            running.filled = 0;
        }
    }

    fn line(
        &mut self,
        line: &[u8],
        first: bool,
        progress: &mut Progress,
        take: &mut dyn FnMut(&Entry<'_>),
    ) {
        if !self.fields.read(line) || !is_cursor(&self.fields.cursor) {
            progress.cut += 1;
            return;
        }
        let Position { cursor, since } = &mut self.position;
        let known = !cursor.is_empty();
        if first && known {
            if is_same_entry(cursor, &self.fields.cursor) {
                return;
            }
            self.lost(progress);
        } else if !known && self.fields.at.is_some_and(|at| at < *since) {
            // --since counts in seconds.
            return;
        }
        let Position { cursor, since } = &mut self.position;
        cursor.clone_from(&self.fields.cursor);
        *since = self.fields.at.unwrap_or(*since);
        if self.fields.is_left_out() {
            progress.cut += 1;
            return;
        }
        take(&self.fields.entry());
    }
}

/// Whether journalctl complains that it may not read the journal.
fn denied(complaint: &str) -> Option<Trouble> {
    let signs = ["insufficient permissions", "not seeing messages", "Permission denied"];
    if !signs.iter().any(|sign| complaint.contains(sign)) {
        return None;
    }
    let user = match User::from_uid(geteuid()) {
        Ok(Some(user)) => user.name,
        _ => geteuid().to_string(),
    };
    Some(Trouble::Journal(format!(
        "{user} may not read the journal: run: usermod -aG systemd-journal {user}"
    )))
}

/// The same entry may have several cursors (sd_journal_test_cursor(3)); boot,
/// monotonic time and the digest of its contents are of the entry alone.
fn is_same_entry(one: &str, other: &str) -> bool {
    let own = |cursor: &'_ str| {
        ["b=", "m=", "x="].map(|name| {
            cursor.split(';').find_map(|part| part.strip_prefix(name)).map(str::to_owned)
        })
    };
    one == other || own(one).iter().all(Option::is_some) && own(one) == own(other)
}

/// A journalctl; it is ended and reaped with its value.
#[derive(Debug)]
struct Running {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    buffer: Vec<u8>,
    filled: usize,
    /// In an entry that is too long.
    inside: bool,
    complaint: Vec<u8>,
    /// There will be no more complaints.
    deaf: bool,
    /// The first entry came.
    begun: bool,
    follow: bool,
}

impl Running {
    /// Waits for output and for complaints, or the end of either; `None` when
    /// neither came by `until`. Which one ends first is up to the kernel.
    fn ready(&self, until: Instant) -> io::Result<Option<(bool, bool)>> {
        let mut fds =
            [PollFd::new(&self.stdout, PollFlags::IN), PollFd::new(&self.stderr, PollFlags::IN)];
        let open = if self.deaf { 1 } else { 2 };
        let came = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok(wait(&mut fds[..open], until)?.then(|| (came(&fds[0]), came(&fds[1]))))
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled + BLOCK, 0);
        }
        let read = self.stdout.read(&mut self.buffer[self.filled..])?;
        self.filled += read;
        Ok(read)
    }

    /// Keeps the beginning of what it complains about.
    fn listen(&mut self) {
        let mut octets = [0; 1024];
        let read = self.stderr.read(&mut octets).unwrap_or_default();
        self.deaf = read == 0;
        let room = LONGEST_COMPLAINT - self.complaint.len();
        self.complaint.extend_from_slice(&octets[..read.min(room)]);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither fails but for one that was reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
