//! What ends a run from outside: signals, or the program that the run is a
//! part of. A run that is ended still says good-bye to its gateway, therefore
//! they reach the driver and not a handler of their own.
//!
//! They are read from a file descriptor (signalfd(2)): the runtime's own
//! signal handling would cost every check a tenth of its instructions.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

/// The end of one run.
#[derive(Debug)]
pub struct Interrupt {
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(Receiver),
    Told(watch::Receiver<()>),
}

impl Interrupt {
    /// SIGTERM, SIGINT or SIGHUP of this process, which from here on no longer
    /// end it. Needs a runtime; call it before another thread exists.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        Ok(Self { source: Source::File(receive_signals()?) })
    }

    /// The other end of `pipe` is closed: for a run in a program that handles
    /// its signals itself. Needs a runtime.
    ///
    /// # Errors
    /// The system's, or `pipe` is none.
    pub fn on_close(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self { source: Source::File(Receiver::from_owned_fd(pipe)?) })
    }

    /// The sender sends, or is gone: for one of many runs at a time, without a
    /// file descriptor for each.
    pub fn when_told(told: watch::Receiver<()>) -> Self {
        Self { source: Source::Told(told) }
    }

    /// Waits for it.
    pub async fn wait(&mut self) {
        match &mut self.source {
            Source::File(file) => drop(read_record(file).await),
            Source::Told(told) => drop(told.changed().await),
        }
    }
}

/// SIGTERM, SIGINT and SIGHUP of a program that goes on.
#[derive(Debug)]
pub struct Signals {
    source: Receiver,
}

impl Signals {
    /// From here on the signals no longer end the process. Needs a runtime;
    /// call it before another thread exists.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        Ok(Self { source: receive_signals()? })
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) -> Signal {
        loop {
            // ssi_signo stands first.
            let [a, b, c, d, ..] = read_record(&mut self.source).await;
            if let Ok(signal) = Signal::try_from(i32::from_ne_bytes([a, b, c, d])) {
                return signal;
            }
        }
    }
}

fn receive_signals() -> io::Result<Receiver> {
    // Not a pipe, but read the same way.
    Receiver::from_owned_fd_unchecked(block()?.into())
}

/// A record of 128 octets for each signal; of a pipe, what it says.
async fn read_record(source: &mut Receiver) -> [u8; 128] {
    let mut record = [0; 128];
    loop {
        if source.readable().await.is_err() {
            return std::future::pending().await;
        }
        if source.try_read(&mut record).is_ok() {
            return record;
        }
    }
}

/// Blocks the signals and gives what can be read once one of them came; what
/// is not read stays for the next who asks.
///
/// # Errors
/// The system's.
pub fn block() -> io::Result<SignalFd> {
    let mask: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_ends_whoever_asks_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let (reader, writer) = io::pipe().unwrap();
            let mut interrupt = Interrupt::on_close(reader.into()).unwrap();
            tokio::select! {
                biased;
                () = interrupt.wait() => panic!("the other end is open"),
                () = tokio::task::yield_now() => {}
            }
            drop(writer);
            interrupt.wait().await;
            interrupt.wait().await;
        });
    }
}
