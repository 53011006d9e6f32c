//! The files that a log was rotated into, and which of them was being read.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::read::MultiGzDecoder;

use super::names::{Packing, Rotated, rotated};
use super::position::{Look, PRINTED, Position, Print};
use crate::net::file;

/// Files beside a log that are looked at.
const MOST: usize = 4096;
/// Octets that are passed over between two looks at the clock.
const STRIDE: u64 = 1 << 20;

/// What is read: a file, or what is packed in one.
pub(super) enum Stream {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// A file that a log was rotated into.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) path: PathBuf,
    pub(super) look: Look,
    pub(super) packing: Packing,
    /// As [`Rotated::number`].
    number: Option<u32>,
}

/// Those that stand beside the log, the oldest first. logrotate numbers them
/// or dates them; a form of dates that does not sort is sorted by the last
/// change, which packing keeps. The file that `position` is in is among them
/// under any name, except `live`.
pub(super) fn generations(
    log: &Path,
    position: &Position,
    live: Option<&Look>,
) -> io::Result<Vec<Generation>> {
    // Rotation happens where a link leads.
    let log = fs::canonicalize(log).unwrap_or_else(|_| log.to_owned());
    let (Some(directory), Some(name)) = (log.parent(), log.file_name()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let rotated = rotated(name.as_bytes(), entry.file_name().as_bytes());
        if rotated.is_none() && entry.ino() != position.look.inode {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let look = Look::of(&metadata);
        if !metadata.is_file() || live.is_some_and(|live| live.is_file_of(&look)) {
            continue;
        }
        let Rotated { number, packing } =
            rotated.unwrap_or(Rotated { number: None, packing: Packing::Plain });
        found.push(Generation { path: entry.path(), look, packing, number });
        if found.len() == MOST {
            break;
        }
    }
    // While it is being packed, both are there.
    let packed_too = |generation: &Generation| {
        let plain = generation.path.with_extension("");
        generation.packing != Packing::Plain && found.iter().any(|other| other.path == plain)
    };
    let keep: Vec<bool> = found.iter().map(|generation| !packed_too(generation)).collect();
    let mut keep = keep.into_iter();
    found.retain(|_| keep.next().unwrap_or(true));
    if found.iter().all(|generation| generation.number.is_some()) {
        found.sort_by_key(|generation| Reverse(generation.number));
    } else {
        found.sort_by(|one, other| {
            let key = |of: &Generation| (of.look.modified, Reverse(of.number));
            key(one).cmp(&key(other)).then_with(|| one.path.cmp(&other.path))
        });
    }
    Ok(found)
}

/// Which of `list` holds what was being read, and its contents from the
/// position on: first by the file itself, which a rename does not change, then
/// by its octets. A copy that ends before the position was made before the
/// rest was read; it holds nothing new.
pub(super) fn find(
    list: &[Generation],
    position: &Position,
    deadline: Instant,
) -> io::Result<Option<(usize, Option<Stream>)>> {
    let itself = list.iter().enumerate().filter(|(_, at)| at.look.is_file_of(&position.look));
    for (index, generation) in itself {
        if let Some(stream) = open_at(generation, position, deadline)? {
            return Ok(Some((index, Some(stream))));
        }
    }
    if position.head.length == 0 {
        return Ok(None);
    }
    for (index, generation) in list.iter().enumerate().rev() {
        if let Some(stream) = open_at(generation, position, deadline)? {
            return Ok(Some((index, Some(stream))));
        }
    }
    let begins_alike = |generation: &Generation| {
        generation.packing == Packing::Plain
            && generation.look.size < position.offset
            && file::open(&generation.path)
                .is_ok_and(|file| holds(&file, 0, position.head).unwrap_or(false))
    };
    Ok(list.iter().rposition(begins_alike).map(|index| (index, None)))
}

/// The contents from the position on, if they are those that were being read.
///
/// # Errors
/// `TimedOut`; what cannot be read is another file.
fn open_at(
    generation: &Generation,
    position: &Position,
    deadline: Instant,
) -> io::Result<Option<Stream>> {
    let opened = generation.open().and_then(|stream| match stream {
        Stream::Plain(file) => seek(file, position),
        Stream::Gzip(mut decoder) => {
            let same = unpack_to(&mut decoder, position, deadline)?;
            Ok(same.then(|| Stream::Gzip(decoder)))
        }
    });
    match opened {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(error),
        opened => Ok(opened.ok().flatten()),
    }
}

/// `file` from the position on, if what was read of it is in it.
pub(super) fn seek(mut file: File, position: &Position) -> io::Result<Option<Stream>> {
    if !is_same(&file, position)? {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(position.offset))?;
    Ok(Some(Stream::Plain(file)))
}

/// Whether what was read of `file` is in it.
pub(super) fn is_same(file: &File, position: &Position) -> io::Result<bool> {
    let tail = position.offset.saturating_sub(position.tail.length.into());
    Ok(holds(file, 0, position.head)?
        && holds(file, tail, position.tail)?
        // Where no octet was kept, its size is all there is.
        && (position.offset == 0 || file.metadata()?.len() >= position.offset))
}

fn holds(file: &File, at: u64, print: Print) -> io::Result<bool> {
    Ok(print_at(file, at, print.length.into())? == print)
}

/// The print of `length` octets at `at`, or of as many as there are.
pub(super) fn print_at(file: &File, at: u64, length: usize) -> io::Result<Print> {
    let mut octets = [0; PRINTED];
    let mut filled = 0;
    while filled < length.min(PRINTED) {
        match file.read_at(&mut octets[filled..length.min(PRINTED)], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Print::of(&octets[..filled]))
}

/// Unpacks up to the position; false as soon as something else is there.
fn unpack_to(from: &mut impl Read, position: &Position, deadline: Instant) -> io::Result<bool> {
    let mut octets = Vec::with_capacity(PRINTED);
    let read = |octets: &mut Vec<u8>, from: &mut dyn Read, length: u64| {
        octets.clear();
        from.take(length).read_to_end(octets).map(|read| read as u64 == length)
    };
    let head = u64::from(position.head.length);
    if !read(&mut octets, from, head)? || Print::of(&octets) != position.head {
        return Ok(false);
    }
    // The end may lie inside the beginning.
    let mut last = octets.clone();
    let tail = usize::from(position.tail.length);
    let mut left = position.offset.saturating_sub(head);
    while left > 0 {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let step = left.min(STRIDE);
        let before_tail = step.saturating_sub(tail as u64);
        if io::copy(&mut from.take(before_tail), &mut io::sink())? != before_tail
            || !read(&mut octets, from, step - before_tail)?
        {
            return Ok(false);
        }
        last.extend_from_slice(&octets);
        last.drain(..last.len().saturating_sub(PRINTED));
        left -= step;
    }
    let last = &last[last.len().saturating_sub(tail)..];
    Ok(Print::of(last) == position.tail)
}

impl Generation {
    /// All of it.
    ///
    /// # Errors
    /// The system's, and `Unsupported` for what is packed otherwise.
    pub(super) fn open(&self) -> io::Result<Stream> {
        let file = match self.packing {
            Packing::Other => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "only gzip is unpacked"));
            }
            Packing::Plain | Packing::Gzip => file::open(&self.path)?,
        };
        Ok(match self.packing {
            Packing::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(file))),
            Packing::Plain | Packing::Other => Stream::Plain(file),
        })
    }
}
