//! The sessions of a gateway, from what its system already knows: files under
//! a root directory to typed rows to [`session::Snapshot`]. Nothing of the
//! daemons or their options is changed. Everything read is hostile: octets,
//! bounded; what is not known is `None`.

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
mod scratch;
pub mod session;
pub mod table;
pub mod tracker;
mod wtmp;

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::net::file;

/// The directory that stands for `/`.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// `directory` is `/` on the live system.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Whether this is the system itself, whose kernel can be asked.
    fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where `path`, without a leading slash, stands.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// The first `limit` octets of a file.
    ///
    /// # Errors
    /// As for [`file::read`].
    fn read(&self, path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
        file::read(&self.path(path), limit)
    }

    /// The last `most` records of a file that holds one behind the other, each
    /// of `size` octets.
    ///
    /// # Errors
    /// As for [`file::read`].
    fn read_last(&self, path: &str, size: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = file::open(&self.path(path))?;
        let records = file.metadata()?.len() / size;
        file.seek(SeekFrom::Start(records.saturating_sub(most) * size))?;
        let mut octets = Vec::new();
        file.take(most * size).read_to_end(&mut octets)?;
        Ok(octets)
    }
}

/// A decimal number with nothing but white space around it.
fn number<T: std::str::FromStr>(octets: &[u8]) -> Option<T> {
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
