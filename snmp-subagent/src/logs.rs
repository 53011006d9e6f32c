//! The threads that follow logs: what the gateway's daemons write becomes
//! [`Word`]s for the collector.
//!
//! A thread reads back from the end of its log, so far that it knows the
//! sessions that are going on, and tells only what comes after. It tells in
//! batches and goes on when one was taken: a log that is written faster than it
//! can be taken waits on the disk, not in memory. Where reading stopped is not
//! kept: a daemon that starts again counts from 0 again.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::log::entry::Stamp;
use pptp_probe::log::event::{Event, Session, What};
use pptp_probe::log::join::Joiner;
use pptp_probe::log::source::{Source, Start, Trouble};

use crate::collector::Told;
use crate::config;
use crate::keeper::{Word, time};
use crate::log::{Level, Log};

/// So far back a log is read for the sessions that are going on, octets.
const BACK: u64 = 1 << 20;
/// And the journal.
const BACK_IN_TIME: Duration = Duration::from_secs(86_400);
/// One reading lasts so long at most.
const READING: Duration = Duration::from_secs(10);
/// After something was read, ends may wait for entries that do not come.
const SOON: Duration = Duration::from_secs(1);
/// Readings that close together after the last entry.
const SETTLING: u32 = 10;
/// The wait for an entry where none came for a while, and after what cannot be
/// waited for.
const LONG: Duration = Duration::from_secs(5);
/// Words in one batch at most.
const AT_ONCE: usize = 256;
/// Octets of a message that are told: SnmpAdminString ends there.
const LONGEST: usize = 255;

/// What a log told.
#[derive(Debug)]
pub enum Said {
    /// It can be read; or it cannot, and why.
    Reads(Result<(), String>),
    /// Sessions that were going on when reading began.
    Resumed(Vec<Session>),
    /// Words, in their order.
    Words(Vec<Word>),
}

/// A batch of what a log told.
pub struct Batch {
    /// Its place in the configuration.
    pub log: usize,
    /// What it told.
    pub said: Said,
    /// Gone when the batch was taken.
    _taken: Sender<()>,
}

/// Follows the log with this place in the configuration, from a thread that
/// ends when nobody listens.
///
/// # Errors
/// When no thread can be made.
pub fn follow(
    number: usize,
    config: &config::Log,
    told: Sender<Told>,
    log: Arc<Log>,
) -> io::Result<()> {
    let (name, source) = match &config.file {
        Some(file) => {
            (file.display().to_string(), Source::files([file.clone()], Start::Back(BACK)))
        }
        None => {
            let since = SystemTime::now().checked_sub(BACK_IN_TIME);
            ("the journal".to_owned(), Source::journal(since.map_or(0, stamp)))
        }
    };
    let host = config.host.clone().into_bytes();
    let teller = Teller { number, told, words: Vec::new(), has_begun: false, is_over: false };
    let mut follower = Follower {
        topic: format!("log {name}"),
        source,
        host,
        joiner: Joiner::default(),
        teller,
        reads: None,
        log,
    };
    let builder = std::thread::Builder::new().name("log".to_owned());
    builder.spawn(move || follower.run())?;
    Ok(())
}

struct Follower {
    topic: String,
    source: Source,
    host: Vec<u8>,
    joiner: Joiner,
    teller: Teller,
    /// Whether it could be read last.
    reads: Option<bool>,
    log: Arc<Log>,
}

impl Follower {
    fn run(&mut self) {
        let mut quiet = 0;
        while !self.teller.is_over {
            let (octets, is_complete) = self.read();
            if !is_complete {
                continue;
            }
            quiet = if octets > 0 { 0 } else { quiet + 1 };
            let wait = if quiet < SETTLING { SOON } else { LONG };
            if let Err(trouble) = self.source.wait(Instant::now() + wait) {
                self.log.say(Level::Warning, &self.topic, &trouble.to_string());
                std::thread::sleep(LONG);
            }
        }
    }

    /// Reads what there is: how much, and whether all of it.
    fn read(&mut self) -> (u64, bool) {
        let Self { source, host, joiner, teller, .. } = self;
        let progress = source.read(Instant::now() + READING, &mut |entry| {
            if host.is_empty() || *host == *entry.host {
                joiner.take(entry, &mut |event| teller.take(event));
            }
        });
        joiner.settle(stamp(SystemTime::now()), &mut |event| teller.take(event));
        for gap in &progress.gaps {
            let text = format!("{}: entries may be lost: {}", gap.path.display(), gap.why);
            self.log.say(Level::Warning, &self.topic, &text);
        }
        let is_grave = |trouble: &&Trouble| !matches!(trouble, Trouble::TooMany(_));
        for trouble in &progress.troubles {
            self.log.say(Level::Warning, &self.topic, &trouble.to_string());
        }
        let trouble = progress.troubles.iter().find(is_grave);
        if self.reads != Some(trouble.is_none()) {
            self.reads = Some(trouble.is_none());
            let reads = trouble.map_or(Ok(()), |trouble| Err(trouble.to_string()));
            if reads.is_ok() {
                self.log.forget(&self.topic);
            }
            self.teller.send(Said::Reads(reads));
        }
        self.teller.flush();
        if progress.complete && !self.teller.has_begun {
            self.teller.has_begun = true;
            self.teller.send(Said::Resumed(self.joiner.sessions().cloned().collect()));
        }
        (progress.octets, progress.complete)
    }
}

/// Tells the collector.
struct Teller {
    number: usize,
    told: Sender<Told>,
    words: Vec<Word>,
    /// Whether what is read is new.
    has_begun: bool,
    /// Whether nobody listens any more.
    is_over: bool,
}

impl Teller {
    fn take(&mut self, event: &Event<'_>) {
        if !self.has_begun || !matters(event.what) {
            return;
        }
        self.words.push(Word {
            at: time(event.at),
            what: event.what,
            program: event.program,
            user: event.user.into(),
            peer: event.peer,
            session: event.session.cloned().map(Box::new),
            text: one_line(event.message).into(),
        });
        if self.words.len() >= AT_ONCE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.words.is_empty() {
            let words = std::mem::take(&mut self.words);
            self.send(Said::Words(words));
        }
    }

    /// Sends it and waits until it was taken.
    fn send(&mut self, said: Said) {
        let (taken, wait) = mpsc::channel();
        let batch = Batch { log: self.number, said, _taken: taken };
        self.is_over |= self.told.send(Told::Log(batch)).is_err();
        // Nothing is ever sent: it ends with the batch.
        let _ = wait.recv();
    }
}

/// Whether something that is served depends on it.
fn matters(what: What) -> bool {
    match what {
        What::ControlUp
        | What::ControlRefused
        | What::PoolExhausted
        | What::LcpTimeout
        | What::AuthSuccess
        | What::AuthFailure
        | What::MppeUp
        | What::MppeFailure
        | What::AddressFailure
        | What::SessionUp
        | What::Renegotiated
        | What::EchoTimeout
        | What::SessionDown { .. }
        | What::CallFailed { .. }
        | What::RadiusError => true,
        // That a daemon came or went a look tells.
        _ => false,
    }
}

/// A message as text without control characters, cut where it is too long.
fn one_line(message: &[u8]) -> String {
    let message = &message[..message.len().min(4 * LONGEST)];
    let mut line = String::new();
    for letter in String::from_utf8_lossy(message).chars() {
        let before = line.len();
        match letter.is_control() {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
        if line.len() > LONGEST {
            line.truncate(before);
            break;
        }
    }
    line
}

fn stamp(time: SystemTime) -> Stamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp::try_from(since.as_micros()).unwrap_or(Stamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use pptp_probe::log::event::Program;

    use super::*;

    fn event(what: What, message: &[u8]) -> Event<'_> {
        Event {
            at: 1_795_250_600_000_000,
            what,
            program: Program::Pppd,
            host: b"vpn1",
            pid: Some(7),
            session: None,
            user: b"alice",
            peer: Some(IpAddr::from([203, 0, 113, 7])),
            message,
        }
    }

    fn teller(has_begun: bool) -> (Teller, mpsc::Receiver<Told>) {
        let (told, orders) = mpsc::channel();
        (Teller { number: 3, told, words: Vec::new(), has_begun, is_over: false }, orders)
    }

    /// What the teller sends while `tell` has it, as a collector takes it.
    fn batches(has_begun: bool, tell: impl FnOnce(&mut Teller)) -> Vec<usize> {
        let (mut teller, orders) = teller(has_begun);
        let collector = std::thread::spawn(move || {
            let mut sizes = Vec::new();
            while let Ok(told) = orders.recv() {
                if let Told::Log(Batch { log: 3, said: Said::Words(words), .. }) = told {
                    sizes.push(words.len());
                }
            }
            sizes
        });
        tell(&mut teller);
        teller.flush();
        drop(teller);
        collector.join().unwrap()
    }

    #[test]
    fn batches_are_bounded_and_wait_for_each_other() {
        let sizes = batches(true, |teller| {
            (0..600).for_each(|_| teller.take(&event(What::AuthFailure, b"")));
        });
        assert_eq!(sizes, [256, 256, 88]);
    }

    #[test]
    fn what_was_written_before_and_what_nobody_serves_is_not_told() {
        let old = batches(false, |teller| teller.take(&event(What::AuthFailure, b"")));
        assert_eq!(old, [0; 0]);
        let other = batches(true, |teller| teller.take(&event(What::KernelError, b"")));
        assert_eq!(other, [0; 0]);
    }

    #[test]
    fn teller_is_over_when_nobody_listens() {
        let (mut teller, orders) = teller(true);
        drop(orders);
        teller.take(&event(What::AuthFailure, b""));
        teller.flush();
        assert!(teller.is_over);
    }

    #[test]
    fn message_is_one_line_and_not_long() {
        assert_eq!(
            one_line(b"Peer a\n\x1b[2J\xff|b failed"),
            "Peer a\\n\\u{1b}[2J\u{fffd}|b failed"
        );
        assert_eq!(one_line(&[b'a'; 100_000]).len(), LONGEST);
        assert_eq!(one_line(&[0xff; 1000]).len(), LONGEST);
    }

    #[test]
    fn missing_file_is_told_once_and_the_thread_ends_with_its_listener() {
        let (told, orders) = mpsc::channel();
        let log = crate::log::tests::Lines::default();
        let config =
            config::Log { file: Some("/nonexistent/syslog".into()), ..config::Log::default() };
        follow(0, &config, told, log.log()).unwrap();
        match orders.recv() {
            Ok(Told::Log(Batch { said: Said::Reads(Err(why)), .. })) => {
                assert!(why.contains("/nonexistent/syslog"), "{why}");
            }
            _ => panic!("something else came first"),
        }
    }
}
