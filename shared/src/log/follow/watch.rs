//! Being woken when a log changes (inotify(7)).
//!
//! A log itself is watched for what is written to it, its directory only for
//! names that come: other logs beside it wake nobody.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// What wakes.
#[derive(Debug)]
pub(super) struct Watch {
    source: OwnedFd,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { source: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)? })
    }

    /// Watches a log and its directory; one that is watched already is not
    /// watched twice. What cannot be watched is left to the caller's patience.
    pub(super) fn add(&self, path: &Path) {
        let log = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::ATTRIB;
        let _ = inotify::add_watch(&self.source, path, log);
        if let Some(directory) = path.parent() {
            let directory = if directory == Path::new("") { Path::new(".") } else { directory };
            let names = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
            let _ = inotify::add_watch(&self.source, directory, names);
        }
    }

    /// False if nothing happened by `until`.
    pub(super) fn wait(&self, until: Instant) -> io::Result<bool> {
        let woken = wait(&mut [PollFd::new(&self.source, PollFlags::IN)], until)?;
        self.drain()?;
        Ok(woken)
    }

    /// Forgets what happened until now; true if a name came.
    pub(super) fn drain(&self) -> io::Result<bool> {
        let mut named = false;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.source, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    named |= event.events().intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(named),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits until one of `fds` has something; false if none had by `until`.
pub(crate) fn wait(fds: &mut [PollFd<'_>], until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left.min(Duration::from_secs(86_400))).ok();
        match poll(fds, left.as_ref()) {
            Ok(0) if Instant::now() < until => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
