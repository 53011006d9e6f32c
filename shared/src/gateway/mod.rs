//! The sessions of a gateway, from what its system already knows: files under
//! a root directory to typed rows to [`session::Snapshot`]. Nothing of the
//! daemons or their options is changed. Everything read is hostile: octets,
//! bounded; what is not known is `None`.

pub(crate) mod accel_conf;
pub mod accel_ppp;
pub mod conntrack;
pub mod control;
mod database;
pub mod kernel;
pub mod link;
pub mod options;
pub mod poptop;
pub mod pppd;
pub mod proc;
#[cfg(test)]
pub(crate) mod scratch;
pub mod session;
pub mod table;
pub mod tracker;
mod wtmp;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Dir;

use crate::net::file;

/// Entries of a directory that are listed.
const MOST_ENTRIES: usize = 1 << 20;

/// The directory that stands for `/`.
#[derive(Debug, Clone)]
pub struct Root {
    directory: PathBuf,
    /// Files that could not be read where the tree was gathered, and why.
    unread: Arc<BTreeMap<PathBuf, String>>,
}

impl Root {
    /// `directory` is `/` on the live system.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), unread: Arc::default() }
    }

    /// The same tree, of whose files these could not be read where it was
    /// gathered: reading one fails for the reason given.
    pub(crate) fn without(&self, unread: BTreeMap<PathBuf, String>) -> Self {
        Self { directory: self.directory.clone(), unread: Arc::new(unread) }
    }

    /// Whether this is the system itself, whose kernel can be asked.
    pub(crate) fn is_live(&self) -> bool {
        self.directory == Path::new("/")
    }

    /// Where `path`, without a leading slash, stands.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path)
    }

    /// Whether a file is there, even if it cannot be read.
    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        if self.unread.contains_key(path) {
            return true;
        }
        match self.is_live() {
            true => self.path(path).exists(),
            false => !self.open(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound),
        }
    }

    /// Opens a file. No link leads out of the root.
    ///
    /// # Errors
    /// As for [`file::read`].
    pub(crate) fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        if let Some(why) = self.unread.get(path) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why.clone()));
        }
        match self.is_live() {
            true => file::open(&self.path(path)),
            false => file::open_below(&self.directory, path),
        }
    }

    /// The first `limit` octets of a file.
    ///
    /// # Errors
    /// As for [`file::read`].
    pub(crate) fn read(&self, path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        self.open(path)?.take(limit).read_to_end(&mut octets)?;
        Ok(octets)
    }

    /// What is known of a file that need not be readable. No link leads out of
    /// the root.
    ///
    /// # Errors
    /// Those of stat(2) and, below another root, of open(2).
    pub(crate) fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        match self.is_live() {
            true => std::fs::metadata(self.path(path)),
            false => self.open(path)?.metadata(),
        }
    }

    /// What a directory holds, in order.
    ///
    /// # Errors
    /// As for [`file::read`].
    pub(crate) fn list(&self, path: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
        let entries = Dir::read_from(self.open(path)?)?;
        let mut names = Vec::new();
        for entry in entries.take(MOST_ENTRIES) {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// The last `most` records of a file that holds one behind the other, each
    /// of `size` octets.
    ///
    /// # Errors
    /// As for [`file::read`].
    fn read_last(&self, path: &str, size: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = self.open(path)?;
        let records = file.metadata()?.len() / size;
        file.seek(SeekFrom::Start(records.saturating_sub(most) * size))?;
        let mut octets = Vec::new();
        file.take(most * size).read_to_end(&mut octets)?;
        Ok(octets)
    }
}

/// A decimal number with nothing but white space around it.
pub(crate) fn number<T: std::str::FromStr>(octets: &[u8]) -> Option<T> {
    std::str::from_utf8(octets).ok()?.trim().parse().ok()
}

#[cfg(test)]
fn fixture(situation: &str) -> Root {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/gateway/");
    Root::new(format!("{directory}{situation}"))
}

/// Runs `test` on a thread with a network of its own, in which loopback is up.
#[cfg(all(test, target_endian = "little"))]
fn in_namespace(test: impl FnOnce() + Send) {
    use nix::sched::{CloneFlags, unshare};

    let body = || match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {
            assert!(run("ip link set lo up"));
            test();
        }
        Err(error) => eprintln!("skipped: no network namespace ({error}): run it as root"),
    };
    let ended = std::thread::scope(|scope| scope.spawn(body).join());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// Whether a command succeeds, in the network of this thread.
#[cfg(all(test, target_endian = "little"))]
fn run(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let output = words.next().map(|name| std::process::Command::new(name).args(words).output());
    output.is_some_and(|output| output.is_ok_and(|output| output.status.success()))
}
