//! What one run leaves for the next: how far the logs were read, the window
//! over them, and the sessions that go on.
//!
//! ```text
//! PPTPSTAT version head window joiner crc of all before the joiner | window's octets | joiner's octets
//! ```
//!
//! A run that finds nothing new reads all but the joiner, and writes nothing.
//! The file is replaced as a whole, and belongs to its owner alone: sessions
//! that go on have their users' names in it, for a log tells a name once. A
//! symbolic link in its place is refused. Two runs at once are kept apart by a
//! lock on the file beside it, which the kernel drops with its process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Crc;
use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};
use pptp_probe::log::entry::Stamp;
use pptp_probe::log::source::Position;
use pptp_probe::log::window::Window;
use pptp_probe::net::file;
use pptp_probe::wire::{Error, Reader, Writer};

/// What the file begins with; the last octet is the version.
const MAGIC: [u8; 9] = *b"PPTPSTAT\x01";
/// Octets before the position.
const HEAD: usize = MAGIC.len() + 16 + 4 * 8 + 1 + 3 * 4 + 2 * 4;
/// More than any run writes, for each part.
const LONGEST: u32 = 64 << 20;
/// How long another run is waited for between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// What the file keeps, but for the sessions.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) position: Position,
    pub(super) window: Window,
    /// For the digests of user names.
    pub(super) key: [u8; 16],
    /// Events so far.
    pub(super) sequence: u64,
    /// When reading began.
    pub(super) began: Stamp,
    /// When a PPTP program last wrote something.
    pub(super) newest: Option<Stamp>,
    /// Sessions that are open.
    pub(super) open: u64,
    /// Whether no end waits for what another process says of it.
    pub(super) settled: bool,
}

/// What stands in the file's place.
#[derive(Debug)]
pub(super) enum Found {
    /// No file.
    Nothing,
    /// What an earlier run left.
    Kept(Box<Kept>),
    /// Nothing that can be used, and why.
    Bad(String),
}

/// The file, held against other runs.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// Where the joiner stands in it, its length and its checksum.
    joiner: Option<(File, u64, u32, u32)>,
    _lock: File,
}

impl StateFile {
    /// Waits until no other run has it, but not beyond `deadline`.
    ///
    /// # Errors
    /// A sentence: another run has it, or its directory cannot be written to.
    pub(super) fn lock(path: &Path, deadline: Instant) -> Result<Self, String> {
        let cannot = |error: &dyn std::fmt::Display| {
            format!("cannot use the state file {}: {error}", path.display())
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let lock = path.with_added_extension("lock");
        let open = || {
            let flags = O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(flags)
                .open(&lock)
        };
        let lock = match (open(), directory) {
            (Err(error), Some(directory)) if error.kind() == ErrorKind::NotFound => {
                let made = fs::DirBuilder::new().recursive(true).mode(0o750).create(directory);
                made.and_then(|()| open())
            }
            (opened, _) => opened,
        };
        let lock = lock.map_err(|error| cannot(&error))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(cannot(&error)),
                Err(TryLockError::WouldBlock) if Instant::now() + PAUSE < deadline => {
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(cannot(&"another run has it")),
            }
        }
        Ok(Self { path: path.to_owned(), joiner: None, _lock: lock })
    }

    /// What an earlier run left.
    ///
    /// # Errors
    /// A sentence, for what is there but not to be read or replaced.
    pub(super) fn read(&mut self) -> Result<Found, String> {
        let flags = O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
        let opened = File::options().read(true).custom_flags(flags).open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(self.cannot("read", &error)),
        };
        let metadata = file.metadata().map_err(|error| self.cannot("read", &error))?;
        if !metadata.is_file() {
            return Err(self.cannot("read", &"this is no regular file"));
        }
        match self.parse(file, metadata.len()) {
            Ok(Ok(kept)) => Ok(Found::Kept(Box::new(kept))),
            Ok(Err(why)) => Ok(Found::Bad(why)),
            Err(error) => Err(self.cannot("read", &error)),
        }
    }

    /// The joiner's octets; `None` if they are damaged.
    pub(super) fn joiner(&mut self) -> Option<Vec<u8>> {
        let (file, offset, length, sum) = self.joiner.as_mut()?;
        let mut octets = vec![0; *length as usize];
        file.seek(SeekFrom::Start(*offset)).ok()?;
        file.read_exact(&mut octets).ok()?;
        (checksum(&octets) == *sum).then_some(octets)
    }

    /// Moves what cannot be used out of the way, so that the next run does not
    /// find it again; of several the last stays.
    pub(super) fn put_aside(&self) -> io::Result<PathBuf> {
        let aside = self.path.with_added_extension("bad");
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn write(&self, kept: &Kept, joiner: &[u8]) -> Result<(), String> {
        let mut window = Writer::default();
        kept.window.encode(&mut window);
        let (position, window) = (kept.position.encode(), window.finish());
        let mut out = Writer::with_capacity(HEAD + position.len() + window.len() + joiner.len());
        out.slice(&MAGIC);
        out.slice(&kept.key);
        for number in [kept.sequence, kept.open] {
            out.slice(&number.to_be_bytes());
        }
        for stamp in [kept.began, kept.newest.unwrap_or(Stamp::MIN)] {
            out.slice(&stamp.to_be_bytes());
        }
        out.u8(kept.settled.into());
        for part in [position.as_slice(), &window, joiner] {
            out.u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
        }
        out.u32(checksum(joiner));
        let mut octets = out.finish();
        let mut sum = Crc::new();
        for part in [octets.as_slice(), &position, &window] {
            sum.update(part);
        }
        octets.extend_from_slice(&sum.sum().to_be_bytes());
        for part in [position.as_slice(), &window, joiner] {
            octets.extend_from_slice(part);
        }
        file::replace(&self.path, &octets).map_err(|error| self.cannot("write", &error))
    }

    fn cannot(&self, what: &str, error: &dyn std::fmt::Display) -> String {
        format!("cannot {what} the state file {}: {error}", self.path.display())
    }

    /// Everything but the joiner, or why this is no state.
    fn parse(&mut self, mut file: File, size: u64) -> io::Result<Result<Kept, String>> {
        let mut head = Vec::with_capacity(HEAD);
        file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        if !head.starts_with(&MAGIC[..MAGIC.len() - 1]) {
            return Ok(Err("is none of ours".to_owned()));
        }
        if !head.starts_with(&MAGIC) {
            return Ok(Err("is of another version".to_owned()));
        }
        let Ok(fields) = Head::parse(&head) else { return Ok(Err("is cut short".to_owned())) };
        let lengths = fields.lengths;
        if lengths.iter().any(|length| *length > LONGEST)
            || size != HEAD as u64 + lengths.iter().map(|length| u64::from(*length)).sum::<u64>()
        {
            return Ok(Err("is damaged: its length is wrong".to_owned()));
        }
        let [position, window, joiner] = lengths;
        let mut parts = vec![0; position as usize + window as usize];
        file.read_exact(&mut parts)?;
        let mut sum = Crc::new();
        sum.update(&head[..HEAD - 4]);
        sum.update(&parts);
        if sum.sum() != fields.sum {
            return Ok(Err("is damaged: its checksum is wrong".to_owned()));
        }
        let offset = HEAD as u64 + parts.len() as u64;
        self.joiner = Some((file, offset, joiner, fields.joiner_sum));
        let (position, window) = parts.split_at(position as usize);
        Ok(fields.kept(position, window))
    }
}

/// The fields before the parts.
struct Head {
    key: [u8; 16],
    sequence: u64,
    open: u64,
    began: Stamp,
    newest: Stamp,
    settled: bool,
    lengths: [u32; 3],
    joiner_sum: u32,
    sum: u32,
}

impl Head {
    fn parse(octets: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("the head", octets);
        reader.skip(MAGIC.len())?;
        let head = Self {
            key: reader.array()?,
            sequence: reader.array().map(u64::from_be_bytes)?,
            open: reader.array().map(u64::from_be_bytes)?,
            began: reader.array().map(Stamp::from_be_bytes)?,
            newest: reader.array().map(Stamp::from_be_bytes)?,
            settled: reader.u8()? != 0,
            lengths: [reader.u32()?, reader.u32()?, reader.u32()?],
            joiner_sum: reader.u32()?,
            sum: reader.u32()?,
        };
        reader.finish()?;
        Ok(head)
    }

    fn kept(self, position: &[u8], window: &[u8]) -> Result<Kept, String> {
        let window = Window::decode(window);
        Ok(Kept {
            position: Position::decode(position)?,
            window: window.map_err(|error| format!("is impossible: {error}"))?,
            key: self.key,
            sequence: self.sequence,
            began: self.began,
            newest: Some(self.newest).filter(|newest| *newest != Stamp::MIN),
            open: self.open,
            settled: self.settled,
        })
    }
}

fn checksum(octets: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(octets);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A directory of its own, gone with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("pptp-state-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn state(&self) -> PathBuf {
            self.0.join("deep/er/state")
        }

        fn file(&self) -> StateFile {
            StateFile::lock(&self.state(), Instant::now()).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn kept() -> Kept {
        Kept {
            position: Position::Files(Vec::new()),
            window: Window::new(Duration::from_secs(900)),
            key: [7; 16],
            sequence: 31,
            began: 5,
            newest: None,
            open: 12,
            settled: true,
        }
    }

    fn why(found: Result<Found, String>) -> String {
        match found {
            Ok(Found::Bad(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_run_leaves_the_next_one_finds() {
        let scratch = Scratch::new("round");
        let mut file = scratch.file();
        assert!(matches!(file.read(), Ok(Found::Nothing)));
        file.write(&kept(), b"sessions").unwrap();
        let mode = fs::metadata(scratch.state()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let Ok(Found::Kept(back)) = file.read() else { panic!("nothing kept") };
        assert_eq!((back.key, back.sequence, back.open), ([7; 16], 31, 12));
        assert_eq!((back.began, back.newest, back.settled), (5, None, true));
        assert_eq!(back.position, Position::Files(Vec::new()));
        assert_eq!(file.joiner().as_deref(), Some(&b"sessions"[..]));
    }

    #[test]
    fn every_octet_that_changes_is_noticed() {
        let scratch = Scratch::new("damage");
        let mut file = scratch.file();
        file.write(&kept(), b"sessions").unwrap();
        let octets = fs::read(scratch.state()).unwrap();
        for place in 0..octets.len() {
            let mut octets = octets.clone();
            octets[place] ^= 0x10;
            fs::write(scratch.state(), octets).unwrap();
            let found = file.read().unwrap();
            let is_noticed = match found {
                Found::Kept(_) => file.joiner().is_none(),
                Found::Bad(_) => true,
                Found::Nothing => false,
            };
            assert!(is_noticed, "octet {place}");
        }
        for length in 0..octets.len() {
            fs::write(scratch.state(), &octets[..length]).unwrap();
            assert!(!why(file.read()).is_empty(), "{length} octets");
        }
    }

    #[test]
    fn foreign_files_and_other_versions_are_named() {
        let scratch = Scratch::new("foreign");
        let mut file = scratch.file();
        fs::write(scratch.state(), "something else").unwrap();
        assert_eq!(why(file.read()), "is none of ours");
        fs::write(scratch.state(), "PPTPSTAT\x02 and so on").unwrap();
        assert_eq!(why(file.read()), "is of another version");
        file.put_aside().unwrap();
        assert!(matches!(file.read(), Ok(Found::Nothing)));
    }

    #[test]
    fn links_and_directories_are_refused() {
        let scratch = Scratch::new("link");
        let mut file = scratch.file();
        let elsewhere = scratch.0.join("elsewhere");
        fs::write(&elsewhere, "untouched").unwrap();
        symlink(&elsewhere, scratch.state()).unwrap();
        let said = file.read().unwrap_err();
        assert!(said.contains("cannot read the state file"), "{said}");
        fs::remove_file(scratch.state()).unwrap();
        fs::create_dir(scratch.state()).unwrap();
        assert!(file.read().unwrap_err().ends_with("this is no regular file"));
        assert!(file.write(&kept(), b"").unwrap_err().contains("cannot write the state file"));
        assert_eq!(fs::read(&elsewhere).unwrap(), b"untouched");
    }

    #[test]
    fn second_run_at_once_is_told_so() {
        let scratch = Scratch::new("lock");
        let held = scratch.file();
        let said = StateFile::lock(&scratch.state(), Instant::now()).unwrap_err();
        assert!(said.ends_with("another run has it"), "{said}");
        drop(held);
        assert!(StateFile::lock(&scratch.state(), Instant::now()).is_ok());
    }
}
