//! Signals that end a run. A run that is ended still says good-bye to its
//! gateway, therefore they reach the driver and not a handler of their own.
//!
//! They are read from a file descriptor (signalfd(2)): the runtime's own
//! signal handling would cost every check a tenth of its instructions.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::net::unix::pipe::Receiver;

/// SIGTERM, SIGINT and SIGHUP of this process.
#[derive(Debug)]
pub struct Interrupt {
    signals: Receiver,
}

impl Interrupt {
    /// From here on the signals no longer end the process. Needs a runtime;
    /// call it before another thread exists.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        // Not a pipe, but read the same way.
        Ok(Self { signals: Receiver::from_owned_fd_unchecked(block()?.into())? })
    }

    /// Waits for one of them.
    pub async fn wait(&mut self) {
        // A record of 128 octets for each signal.
        let mut record = [0; 128];
        loop {
            if self.signals.readable().await.is_err() {
                return std::future::pending().await;
            }
            if self.signals.try_read(&mut record).is_ok() {
                return;
            }
        }
    }
}

/// Blocks the signals and gives what can be read once one of them came; what
/// is not read stays for the next who asks.
pub(crate) fn block() -> io::Result<SignalFd> {
    let mask: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}
