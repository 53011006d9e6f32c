//! Octets to whole lines, through one buffer.

use std::io::{self, Read};
use std::time::{Instant, SystemTime};

use memchr::{memchr, memrchr};

use super::position::{PRINTED, Position, Print};
use crate::log::entry::{Entry, Stamp};
use crate::log::line::Lines;

/// Octets read at once.
const BLOCK: usize = 256 << 10;
/// Octets of a line that are kept.
pub(super) const LONGEST: usize = 1 << 20;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// At its end.
    Read,
    /// Before, at the deadline.
    Late,
}

/// The buffer, and what was counted.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    buffer: Vec<u8>,
    /// Octets handed on.
    pub(super) octets: u64,
    /// Lines that were cut.
    pub(super) cut: u64,
}

impl Blocks {
    /// Reads `stream`, which stands at `position`, to its end, and moves the
    /// position behind the last line. A line without an end waits for it,
    /// except where none will come because the stream is `closed`.
    ///
    /// # Errors
    /// Those of the stream; what was read before was handed on.
    pub(super) fn read(
        &mut self,
        stream: &mut impl Read,
        closed: bool,
        position: &mut Position,
        deadline: Instant,
        take: &mut dyn FnMut(&Entry<'_>),
    ) -> io::Result<Ended> {
        let mut lines = Lines::new(now());
        if self.buffer.len() < BLOCK {
            self.buffer.resize(BLOCK, 0);
        }
        let mut last = Last::default();
        let mut filled = 0;
        let ended = loop {
            let room = (filled + BLOCK).min(self.buffer.len());
            let read = match stream.read(&mut self.buffer[filled..room]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(error),
            };
            if read == 0 {
                if closed && filled > 0 {
                    self.buffer.truncate(filled);
                    last.done(&self.buffer, position);
                    self.octets += filled as u64;
                    self.buffer.push(b'\n');
                    lines.split(&self.buffer, take);
                }
                break Ok(Ended::Read);
            }
            let mut begin = 0;
            let end = filled + read;
            if position.inside {
                // Nothing is kept of such a line, so it begins the buffer.
                match memchr(b'\n', &self.buffer[..end]) {
                    Some(at) => {
                        begin = at + 1;
                        position.inside = false;
                    }
                    None => begin = end,
                }
                last.done(&self.buffer[..begin], position);
            }
            let from = filled.max(begin);
            if let Some(at) = memrchr(b'\n', &self.buffer[from..end]) {
                let whole = &self.buffer[begin..=from + at];
                lines.split(whole, take);
                last.done(whole, position);
                self.octets += whole.len() as u64;
                begin = from + at + 1;
            }
            self.buffer.copy_within(begin..end, 0);
            filled = end - begin;
            if filled == LONGEST {
                last.done(&self.buffer[..filled], position);
                self.octets += filled as u64;
                self.cut += 1;
                self.buffer.truncate(filled);
                self.buffer.push(b'\n');
                lines.split(&self.buffer, take);
                self.buffer.pop();
                position.inside = true;
                filled = 0;
            } else if filled == self.buffer.len() {
                self.buffer.resize((2 * filled).min(LONGEST), 0);
            }
            if Instant::now() >= deadline {
                break Ok(Ended::Late);
            }
        };
        self.buffer.truncate(BLOCK);
        self.buffer.shrink_to(BLOCK);
        last.print(position);
        ended
    }
}

/// The last octets that were done with.
#[derive(Default)]
struct Last(Vec<u8>);

impl Last {
    fn done(&mut self, octets: &[u8], position: &mut Position) {
        if octets.is_empty() {
            return;
        }
        if position.offset == 0 {
            position.head = Print::of(&octets[..octets.len().min(PRINTED)]);
        }
        position.offset += octets.len() as u64;
        self.0.clear();
        self.0.extend_from_slice(&octets[octets.len().saturating_sub(PRINTED)..]);
    }

    fn print(&self, position: &mut Position) {
        if !self.0.is_empty() {
            position.tail = Print::of(&self.0);
        }
    }
}

/// By the clock of this host.
fn now() -> Stamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp::try_from(since.as_micros()).unwrap_or(Stamp::MAX)
}
