//! Log files, read from a kept position on: what was added since, through
//! every kind of rotation that logrotate(8) knows, each line once.
//!
//! A log that was renamed is known by its device and inode, one that was
//! copied or packed by gzip(1) by digests over its first octets and over those
//! before the position. What the old file still holds is read first, then
//! those that came and went meanwhile, then the new one. A writer that was not
//! yet told to reopen its log goes on in the renamed one, so that one is left
//! only once the new one holds something; this is right for one writer a log,
//! as rsyslogd and accel-pppd are.
//!
//! Left out: `olddir`, packers other than gzip, and octets that `copytruncate`
//! itself loses between its copy and its cut. Where lines may have been lost
//! otherwise, a [`Gap`] says so. A line that was written in two pieces with a
//! rotation between them becomes two.

mod blocks;
mod generations;
mod names;
mod position;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use nix::unistd::{Gid, Group, Uid, User, geteuid};

use super::entry::Entry;
use crate::net::file;
use blocks::{Blocks, Ended};
use generations::{Generation, Stream, find, generations, is_same, print_at, seek};
pub use position::Position;
use position::{Look, PRINTED};
#[cfg(test)]
pub(super) use tests::Scratch;
use watch::Watch;
pub(super) use watch::wait;

/// Files that are followed at most.
pub const MOST_FILES: usize = 64;
/// Looks at a directory in which something is being renamed.
const LOOKS: usize = 3;

/// Where reading of a log begins that was never read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At its end: only what is written from now on.
    End,
    /// At its beginning.
    Beginning,
    /// With the first line that is whole in so many octets before its end.
    Back(u64),
    /// At its beginning, and only this once: also what gzip(1) packed.
    Once,
}

/// A place where entries may have been lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The log; for the journal its program.
    pub path: PathBuf,
    /// Why, in one sentence.
    pub why: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

/// Why a log was not read.
#[derive(Debug)]
pub enum Trouble {
    /// There is none of this name.
    Absent(PathBuf),
    /// Files of this pattern beyond [`MOST_FILES`] are left out.
    TooMany(PathBuf),
    /// Nobody let us read it.
    Denied {
        /// The log.
        path: PathBuf,
        /// How to let us.
        mend: String,
    },
    /// The system's error.
    Io {
        /// The log.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// What is wrong with the journal, in one sentence, with the mend.
    Journal(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => write!(f, "{}: there is no such log", path.display()),
            Self::TooMany(path) => {
                write!(f, "{}: only {MOST_FILES} files are read", path.display())
            }
            Self::Denied { path, mend } => {
                write!(f, "{}: permission denied: {mend}", path.display())
            }
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Journal(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Trouble {}

/// What one reading brought.
#[derive(Debug, Default)]
pub struct Progress {
    /// False if the deadline came before the end; reading goes on from there.
    pub complete: bool,
    /// Octets of entries that were read.
    pub octets: u64,
    /// Entries that were cut because nothing real is that long.
    pub cut: u64,
    /// Where entries may have been lost.
    pub gaps: Vec<Gap>,
    /// Logs that were not read; their positions stay.
    pub troubles: Vec<Trouble>,
}

/// Reads logs, and remembers how far.
#[derive(Debug)]
pub struct Follower {
    names: Vec<PathBuf>,
    places: Vec<Place>,
    start: Start,
    blocks: Blocks,
    watch: Option<Watch>,
}

/// One log.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    position: Option<Position>,
    /// The file that the position is in, which may have lost its name.
    file: Option<File>,
    /// What was at the path when it was read.
    seen: Option<Look>,
    /// Named as it is, not found by a pattern.
    named: bool,
}

impl Follower {
    /// For logs that were not read before. `names` are paths or patterns
    /// (glob(7)).
    pub fn new(names: impl IntoIterator<Item = PathBuf>, start: Start) -> Self {
        Self {
            names: names.into_iter().collect(),
            places: Vec::new(),
            start,
            blocks: Blocks::default(),
            watch: None,
        }
    }

    /// Goes on where `positions` say. A log that is not among them is new, and
    /// read from its beginning.
    pub fn resume(
        names: impl IntoIterator<Item = PathBuf>,
        positions: impl IntoIterator<Item = Position>,
    ) -> Self {
        let mut follower = Self::new(names, Start::Beginning);
        let place = |position: Position| Place::new(position.path.clone(), Some(position), false);
        let names = &follower.names;
        let wanted = |at: &Position| names.iter().any(|name| names::is_of(name, &at.path));
        follower.places =
            positions.into_iter().filter(wanted).take(MOST_FILES).map(place).collect();
        follower
    }

    /// Reads what was added to the logs, and hands it on, log by log. A
    /// deadline that has passed lets one block of each log through.
    pub fn read(&mut self, deadline: Instant, take: &mut dyn FnMut(&Entry<'_>)) -> Progress {
        let mut progress = Progress { complete: true, ..Progress::default() };
        self.list(&mut progress);
        (self.blocks.octets, self.blocks.cut) = (0, 0);
        for place in &mut self.places {
            let mut reading = Reading {
                blocks: &mut self.blocks,
                start: self.start,
                deadline,
                progress: &mut progress,
            };
            if let Err(error) = place.read(&mut reading, take) {
                let trouble = trouble(&place.path, error);
                progress.troubles.push(trouble);
            }
        }
        // What appears from here on is new.
        self.start = Start::Beginning;
        (progress.octets, progress.cut) = (self.blocks.octets, self.blocks.cut);
        progress
    }

    /// Where reading goes on, log by log.
    pub fn positions(&self) -> impl Iterator<Item = &Position> {
        self.places.iter().filter_map(|place| place.position.as_ref())
    }

    /// Waits until a log is written to or rotated; false if nothing was by
    /// `until`. Where the system does not tell (network file systems), or has
    /// no more watches to give, it waits as long as it may.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&mut self, until: Instant) -> io::Result<bool> {
        let first = self.watch.is_none();
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none => none.insert(Watch::new()?),
        };
        for place in &self.places {
            watch.add(&place.path);
        }
        for name in &self.names {
            watch.add(name);
        }
        // What came between the reading and the watch; of a pattern it may be
        // a name that is not known yet.
        let named = watch.drain()?;
        if first || named || self.places.iter().any(Place::has_news) {
            return Ok(true);
        }
        watch.wait(until)
    }

    /// Finds out which logs there are.
    fn list(&mut self, progress: &mut Progress) {
        for name in &self.names {
            let named = !names::is_pattern(name.as_os_str());
            for path in names::expand(name) {
                if let Some(place) = self.places.iter_mut().find(|place| place.path == path) {
                    place.named |= named;
                    continue;
                }
                if self.places.len() == MOST_FILES {
                    // What a pattern found once, and nobody writes any more.
                    self.places.retain(|place| place.named || place.path.exists());
                }
                if self.places.len() == MOST_FILES {
                    progress.troubles.push(Trouble::TooMany(name.clone()));
                    break;
                }
                self.places.push(Place::new(path, None, named));
            }
            if !named && !self.places.iter().any(|place| names::is_of(name, &place.path)) {
                progress.troubles.push(Trouble::Absent(name.clone()));
            }
        }
    }
}

/// What the reading of all logs shares.
struct Reading<'a> {
    blocks: &'a mut Blocks,
    start: Start,
    deadline: Instant,
    progress: &'a mut Progress,
}

impl Reading<'_> {
    fn gap(&mut self, path: &Path, why: impl Into<String>) {
        self.progress.gaps.push(Gap { path: path.to_owned(), why: why.into() });
    }
}

impl Place {
    fn new(path: PathBuf, position: Option<Position>, named: bool) -> Self {
        Self { path, position, file: None, seen: None, named }
    }

    /// Whether reading would find something.
    fn has_news(&self) -> bool {
        let look = fs::metadata(&self.path).ok().map(|metadata| Look::of(&metadata));
        let held = self.file.as_ref().and_then(|file| file.metadata().ok());
        let old = held.map(|held| Look::of(&held)).zip(self.position.as_ref());
        look != self.seen || old.is_some_and(|(held, position)| held != position.look)
    }

    fn read(
        &mut self,
        reading: &mut Reading<'_>,
        take: &mut dyn FnMut(&Entry<'_>),
    ) -> io::Result<()> {
        let found = match fs::metadata(&self.path) {
            Ok(metadata) => Some(Look::of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.seen = found;
        let Some(position) = &self.position else {
            if found.is_none() {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.begin(reading.start)?;
            return self.read_live(reading, take);
        };
        match found {
            Some(look) if look == position.look => Ok(()),
            Some(look) if look.is_file_of(&position.look) => {
                let position = position.clone();
                let file = self.open()?;
                if !Look::of(&file.metadata()?).is_file_of(&look) {
                    // Renamed this moment: the next reading will see it.
                    return Ok(());
                }
                if is_same(file, &position)? {
                    return self.read_live(reading, take);
                }
                self.catch_up(&look, reading, take)
            }
            Some(look) if look.size > 0 => self.catch_up(&look, reading, take),
            _ => self.read_old(found.is_none(), reading, take),
        }
    }

    /// The file at the path.
    fn open(&mut self) -> io::Result<&File> {
        let same = |file: &File, path| -> io::Result<bool> {
            let (held, named) = (file.metadata()?, fs::metadata(path)?);
            Ok(Look::of(&held).is_file_of(&Look::of(&named)))
        };
        let file = match self.file.take() {
            Some(file) if same(&file, &self.path)? => file,
            _ => file::open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }

    /// Takes the position for a log that was not read before.
    fn begin(&mut self, start: Start) -> io::Result<()> {
        let path = self.path.clone();
        let file = self.open()?;
        match packing(file)? {
            None => {}
            Some("gzip") if start == Start::Once => {}
            Some("gzip") => {
                let text = "gzip packed it, so that it will not grow: read it by itself, once";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            Some(by) => {
                let text = format!("{by} packed it: unpack it first");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        }
        let mut position = Position::new(&path, Look::of(&file.metadata()?));
        let size = position.look.size;
        position.offset = match start {
            Start::Beginning | Start::Once => 0,
            Start::End => size,
            Start::Back(octets) => size.saturating_sub(octets),
        };
        if position.offset > 0 {
            // The line that is being written, or that is not whole, is not
            // for us; the octet before tells whether there is one.
            position.offset -= 1;
            position.inside = true;
            set_prints(file, &mut position)?;
        }
        // It counts as not looked at.
        position.look.size = position.offset;
        position.look.modified = (0, 0);
        self.position = Some(position);
        Ok(())
    }

    /// Reads the file at the path from the position on.
    fn read_live(
        &mut self,
        reading: &mut Reading<'_>,
        take: &mut dyn FnMut(&Entry<'_>),
    ) -> io::Result<()> {
        let file = self.open()?.try_clone()?;
        let Some(position) = &mut self.position else { return Ok(()) };
        // Before the reading, so that what comes meanwhile is news.
        let look = Look::of(&file.metadata()?);
        let mut stream = if reading.start == Start::Once && packing(&file)?.is_some() {
            Stream::Gzip(Box::new(MultiGzDecoder::new(file)))
        } else {
            let Some(stream) = seek(file, position)? else { return Ok(()) };
            stream
        };
        let closed = reading.start == Start::Once;
        let ended = reading.blocks.read(&mut stream, closed, position, reading.deadline, take);
        if let Stream::Plain(file) = &stream {
            set_head(file, position)?;
        }
        match ended? {
            Ended::Read => position.look = look,
            Ended::Late => reading.progress.complete = false,
        }
        Ok(())
    }

    /// The log is not there or still empty: who writes it may go on in the one
    /// that was renamed.
    fn read_old(
        &mut self,
        absent: bool,
        reading: &mut Reading<'_>,
        take: &mut dyn FnMut(&Entry<'_>),
    ) -> io::Result<()> {
        let Some(position) = &mut self.position else { return Ok(()) };
        let mut old = self.file.as_ref().map(File::try_clone).transpose()?;
        if old.is_none() {
            let look = position.look;
            let list = generations(&self.path, position, None).unwrap_or_default();
            let itself = list.iter().find(|generation| generation.look.is_file_of(&look));
            old = itself.map(|generation| file::open(&generation.path)).transpose()?;
        }
        // Packed or deleted: it is looked for once the new one holds something.
        let Some(file) = old else {
            let missed = absent && self.named;
            return if missed { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) };
        };
        let look = Look::of(&file.metadata()?);
        if look == position.look {
            return Ok(());
        }
        if let Some(mut stream) = seek(file, position)? {
            let ended = reading.blocks.read(&mut stream, false, position, reading.deadline, take);
            match ended? {
                Ended::Read => position.look = look,
                Ended::Late => reading.progress.complete = false,
            }
        }
        Ok(())
    }

    /// The log was rotated: reads the rest of what it was, what came between,
    /// and what it is.
    fn catch_up(
        &mut self,
        live: &Look,
        reading: &mut Reading<'_>,
        take: &mut dyn FnMut(&Entry<'_>),
    ) -> io::Result<()> {
        let Some(mut position) = self.position.take() else { return Ok(()) };
        let ended = self.read_generations(&mut position, live, reading, take);
        self.position = Some(position);
        match ended {
            Ended::Late => reading.progress.complete = false,
            Ended::Read => {
                self.file = None;
                let look = Look::of(&self.open()?.metadata()?);
                // Otherwise it was rotated again: the next reading will see it.
                if !look.is_file_of(live) {
                    return Ok(());
                }
                // Its size tells that it was not read.
                let begin = Position::new(&self.path, Look { size: 0, ..look });
                let before = self.position.replace(begin);
                self.read_live(reading, take)?;
                if self.position.as_ref().is_some_and(|position| position.offset == 0) {
                    // Nothing was read by which it could be known again.
                    self.position = before;
                    self.file = None;
                }
            }
        }
        Ok(())
    }

    /// Reads all files before the live one.
    fn read_generations(
        &mut self,
        position: &mut Position,
        live: &Look,
        reading: &mut Reading<'_>,
        take: &mut dyn FnMut(&Entry<'_>),
    ) -> Ended {
        let deadline = reading.deadline;
        // What was renamed is still held, what was cut is not worth holding.
        let held = match self.file.take() {
            Some(file) if !live.is_file_of(&position.look) => seek(file, position).ok().flatten(),
            _ => None,
        };
        let mut looks = 0;
        let (list, found) = loop {
            // Without a right to list them there are none.
            let list = generations(&self.path, position, Some(live)).unwrap_or_default();
            let Ok(found) = find(&list, position, deadline) else { return Ended::Late };
            looks += 1;
            if found.is_some() || looks == LOOKS {
                break (list, found);
            }
        };
        let next = match &found {
            Some((index, _)) => {
                position.look = list[*index].look;
                index + 1
            }
            // Deleted, but not for who holds it.
            None if held.is_some() => {
                let newer = |other: &Generation| other.look.modified > position.look.modified;
                list.iter().position(newer).unwrap_or(list.len())
            }
            None => {
                reading.gap(&self.path, lost(&list, position, live));
                *position = Position::new(&self.path, Look { size: 0, ..*live });
                return Ended::Read;
            }
        };
        let rest = held.or(found.and_then(|(_, stream)| stream));
        if let Some(mut stream) = rest {
            match reading.blocks.read(&mut stream, true, position, deadline, take) {
                Ok(Ended::Read) => {}
                Ok(Ended::Late) => return Ended::Late,
                Err(error) => reading.gap(&self.path, format!("what it was is broken: {error}")),
            }
        }
        for generation in &list[next..] {
            let mut stream = match generation.open() {
                Ok(stream) => stream,
                Err(error) => {
                    reading.gap(&generation.path, format!("it was not read: {error}"));
                    continue;
                }
            };
            let mut next = Position::new(&self.path, generation.look);
            let ended = reading.blocks.read(&mut stream, true, &mut next, deadline, take);
            // An empty one could not be known again.
            if next.offset > 0 {
                *position = next;
            }
            match ended {
                Ok(Ended::Read) => {}
                Ok(Ended::Late) => return Ended::Late,
                Err(error) => reading.gap(&generation.path, format!("it is broken: {error}")),
            }
        }
        Ended::Read
    }
}

/// Why nothing is known of what was written behind `position`.
fn lost(list: &[Generation], position: &Position, live: &Look) -> String {
    let newer = list.iter().filter(|other| other.look.modified >= position.look.modified);
    for generation in newer {
        if let Err(error) = generation.open() {
            let path = generation.path.display();
            let why = trouble(&generation.path, error);
            return format!("lines may be lost: {path} may hold them, and it was not read: {why}");
        }
    }
    let what = if live.is_file_of(&position.look) {
        "it was cut or written anew"
    } else {
        "another file took its place"
    };
    format!(
        "lines may be lost: {what}, and no rotated one beside it holds what was read before \
         (olddir is not searched)"
    )
}

/// What packed a file, by its first octets.
fn packing(file: &File) -> io::Result<Option<&'static str>> {
    let mut octets = [0; 6];
    let read = file.read_at(&mut octets, 0)?;
    let known: [(&[u8], &str); 4] = [
        (b"\x1f\x8b\x08", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ];
    let packer = known.iter().find(|(begin, _)| octets[..read].starts_with(begin));
    Ok(packer.map(|(_, packer)| *packer))
}

/// Takes the prints at a position that was not reached by reading.
fn set_prints(file: &File, position: &mut Position) -> io::Result<()> {
    let length = position.offset.min(PRINTED as u64);
    position.head = print_at(file, 0, length as usize)?;
    position.tail = print_at(file, position.offset - length, length as usize)?;
    Ok(())
}

/// Lets the head's print grow with what was read.
fn set_head(file: &File, position: &mut Position) -> io::Result<()> {
    let length = position.offset.min(PRINTED as u64);
    if u64::from(position.head.length) < length {
        position.head = print_at(file, 0, length as usize)?;
    }
    Ok(())
}

fn trouble(path: &Path, error: io::Error) -> Trouble {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => Trouble::Absent(path),
        io::ErrorKind::PermissionDenied => {
            let mend = mend(&path);
            Trouble::Denied { path, mend }
        }
        _ => Trouble::Io { path, error },
    }
}

/// Who may read what is denied, and how to become one of them.
fn mend(path: &Path) -> String {
    let user = match User::from_uid(geteuid()) {
        Ok(Some(user)) => user.name,
        _ => geteuid().to_string(),
    };
    let Ok(metadata) = fs::metadata(path) else {
        let directory = path.parent().unwrap_or(path).display();
        return format!("{user} may not enter {directory}: run: setfacl -m u:{user}:x {directory}");
    };
    let (owner, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    if metadata.permissions().mode() & 0o040 != 0 && metadata.gid() != 0 {
        let group = match Group::from_gid(group) {
            Ok(Some(group)) => group.name,
            _ => group.to_string(),
        };
        return format!("group {group} may read it: run: usermod -aG {group} {user}");
    }
    let owner = match User::from_uid(owner) {
        Ok(Some(owner)) => owner.name,
        _ => owner.to_string(),
    };
    format!(
        "only {owner} may read it: run: chgrp adm {path} && chmod g+r {path} && usermod -aG adm \
         {user}, and have logrotate keep that: create 0640 {owner} adm",
        path = path.display()
    )
}
