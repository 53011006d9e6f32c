//! Where entries come from: log files or the journal, with one face.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use flate2::Crc;

use super::entry::{Entry, Stamp};
use super::follow::{self, Follower};
pub use super::follow::{Gap, MOST_FILES, Progress, Start, Trouble};
use super::journal::{self, Journal};
use crate::wire::{Error, Reader, Writer};

/// What stands before an encoded position; the last octet is the version.
const MAGIC: &[u8] = b"PPTPLOG\x01";

/// What entries are read from.
#[derive(Debug)]
pub enum Source {
    /// Log files.
    Files(Follower),
    /// The journal of systemd.
    Journal(Box<Journal>),
}

/// Where reading of a source goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// In each log file.
    Files(Vec<follow::Position>),
    /// In the journal.
    Journal(journal::Position),
}

impl Source {
    /// Log files that were not read before, by path or pattern (glob(7)).
    pub fn files(names: impl IntoIterator<Item = PathBuf>, start: Start) -> Self {
        Self::Files(Follower::new(names, start))
    }

    /// The journal, which was not read before, from `since` on; 0 for all of
    /// it.
    pub fn journal(since: Stamp) -> Self {
        Self::Journal(Box::new(Journal::new(since)))
    }

    /// Goes on where an earlier reader stopped. Of log files `names` says
    /// which are still wanted, and which are new.
    pub fn resume(names: impl IntoIterator<Item = PathBuf>, position: Position) -> Self {
        match position {
            Position::Files(positions) => Self::Files(Follower::resume(names, positions)),
            Position::Journal(position) => Self::Journal(Box::new(Journal::resume(position))),
        }
    }

    /// Reads what was added, and hands it on: of one log in its order, log by
    /// log.
    pub fn read(&mut self, deadline: Instant, take: &mut dyn FnMut(&Entry<'_>)) -> Progress {
        match self {
            Self::Files(follower) => follower.read(deadline, take),
            Self::Journal(journal) => journal.read(deadline, take),
        }
    }

    /// Where reading goes on; all before it was handed on.
    pub fn position(&self) -> Position {
        match self {
            Self::Files(follower) => Position::Files(follower.positions().cloned().collect()),
            Self::Journal(journal) => Position::Journal(journal.position().clone()),
        }
    }

    /// Waits until there is something to read; false if there is not by
    /// `until`. Where the system does not tell of changes it waits so long,
    /// and reading may still find some.
    ///
    /// # Errors
    /// When waiting itself is not possible.
    pub fn wait(&mut self, until: Instant) -> Result<bool, Trouble> {
        match self {
            Self::Files(follower) => {
                let trouble = |error: io::Error| Trouble::Io { path: "inotify".into(), error };
                follower.wait(until).map_err(trouble)
            }
            Self::Journal(journal) => journal.wait(until),
        }
    }
}

impl Position {
    /// As octets, with version and checksum.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.slice(MAGIC);
        match self {
            Self::Files(positions) => {
                writer.u8(0);
                writer.u16(positions.len() as u16);
                positions.iter().for_each(|position| position.emit(&mut writer));
            }
            Self::Journal(position) => {
                writer.u8(1);
                position.emit(&mut writer);
            }
        }
        let mut octets = writer.finish();
        let sum = checksum(&octets);
        octets.extend_from_slice(&sum.to_be_bytes());
        octets
    }

    /// Of [`Position::encode`]'s octets.
    ///
    /// # Errors
    /// One sentence on why they are none.
    pub fn decode(octets: &[u8]) -> Result<Self, String> {
        let Some((body, sum)) = octets.split_last_chunk::<4>() else {
            return Err("the position of the log is cut short".to_owned());
        };
        if !body.starts_with(&MAGIC[..MAGIC.len() - 1]) {
            return Err("this is no position of a log".to_owned());
        }
        if !body.starts_with(MAGIC) {
            return Err("the position of the log is of another version".to_owned());
        }
        if u32::from_be_bytes(*sum) != checksum(body) {
            return Err("the position of the log is damaged: its checksum is wrong".to_owned());
        }
        parse(&body[MAGIC.len()..])
            .map_err(|error| format!("the position of the log is impossible: {error}"))
    }
}

fn parse(octets: &[u8]) -> Result<Position, Error> {
    let mut reader = Reader::new("position", octets);
    let position = match reader.u8()? {
        0 => {
            let count = usize::from(reader.u16()?);
            if count > MOST_FILES {
                return Err(Error::BadLength { what: "files", length: count });
            }
            let positions = (0..count).map(|_| follow::Position::parse(&mut reader));
            Position::Files(positions.collect::<Result<_, _>>()?)
        }
        1 => Position::Journal(journal::Position::parse(&mut reader)?),
        value => return Err(Error::BadValue { what: "source", value: value.into() }),
    };
    reader.finish()?;
    Ok(position)
}

fn checksum(octets: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(octets);
    crc.sum()
}
