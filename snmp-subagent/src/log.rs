//! What an operator is told: one line on standard error for each event.
//!
//! Below systemd's journal a line begins with its level (sd-daemon(3)). Text
//! may come from anywhere, so only printable ASCII goes out as it is. What is
//! said of one topic again and again is said once, and counted until something
//! else is said of it. A pipe that is full because nobody reads it loses lines
//! and holds nobody up; how many were lost is said when it takes some again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest line in characters, before it is escaped.
const LONGEST_LINE: usize = 1000;
/// Octets that a pipe takes without waiting once it is ready (PIPE_BUF).
const AT_ONCE: usize = 4096;
/// Topics that are remembered; one more, and all are forgotten.
const MOST_TOPICS: usize = 4096;

/// How much a line matters: the numbers of syslog (RFC 5424, section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error = 3,
    /// Something works in part, or for the moment not.
    Warning = 4,
    /// Something changed, as it should.
    Notice = 5,
    /// For whoever looks for a fault.
    Debug = 7,
}

/// Where the lines go. Threads share it.
pub struct Log {
    is_prefixed: bool,
    is_verbose: bool,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    /// What was said last of each topic, and how often since.
    topics: BTreeMap<String, (String, u64)>,
    /// Lines that were not taken, or not as a whole.
    lost: u64,
    /// What was taken last is the beginning of a line.
    is_torn: bool,
}

impl State {
    /// Writes a line; false when it was not taken as a whole.
    fn put(&mut self, line: &str) -> bool {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.out.write(rest) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(taken) => {
                    rest = &rest[taken..];
                    self.is_torn = !rest.is_empty();
                }
            }
        }
        rest.is_empty()
    }
}

impl Log {
    /// To standard error, below [`Level::Notice`] only if `is_verbose`.
    pub fn stderr(is_verbose: bool) -> Self {
        let is_prefixed = std::env::var_os("JOURNAL_STREAM").is_some();
        Self::to(Box::new(Unhurried(io::stderr())), is_prefixed, is_verbose)
    }

    /// To any writer; each line with its level in front if `is_prefixed`.
    pub fn to(out: Box<dyn Write + Send>, is_prefixed: bool, is_verbose: bool) -> Self {
        let state = State { out, topics: BTreeMap::new(), lost: 0, is_torn: false };
        Self { is_prefixed, is_verbose, state: Mutex::new(state) }
    }

    /// Says `text` of `topic`, unless that was said of it last.
    pub fn say(&self, level: Level, topic: &str, text: &str) {
        if level > Level::Notice && !self.is_verbose {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, times)) = state.topics.get_mut(topic)
            && last == text
        {
            *times += 1;
            return;
        }
        if state.topics.len() > MOST_TOPICS {
            state.topics.clear();
        }
        let before = state.topics.insert(topic.to_owned(), (text.to_owned(), 0));
        if let Some((last, times @ 1..)) = before {
            let text = format!("said {times} times more: {last}");
            self.write(&mut state, level, topic, &text);
        }
        self.write(&mut state, level, topic, text);
    }

    /// Forgets what was said of `topic`, so that it is said again.
    pub fn forget(&self, topic: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.topics.remove(topic);
    }

    fn write(&self, state: &mut State, level: Level, topic: &str, text: &str) {
        if state.lost > 0 {
            let text = format!("lines lost, for nobody read them: {}", state.lost);
            let end = if state.is_torn { "\n" } else { "" };
            if state.put(&format!("{end}{}", self.line(Level::Warning, "log", &text))) {
                state.lost = 0;
            }
        }
        if !state.put(&self.line(level, topic, text)) {
            state.lost += 1;
        }
    }

    fn line(&self, level: Level, topic: &str, text: &str) -> String {
        let mut line = if self.is_prefixed { format!("<{}>", level as u8) } else { String::new() };
        let whole = topic.chars().chain(": ".chars()).chain(text.chars());
        for letter in whole.take(LONGEST_LINE) {
            match letter {
                ' '..='~' => line.push(letter),
                _ => line.extend(letter.escape_default()),
            }
        }
        line.push('\n');
        line
    }
}

/// Writes only what is taken at once, and at most [`AT_ONCE`] octets of it.
struct Unhurried<W>(W);

impl<W: Write + AsFd> Write for Unhurried<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut ready = [PollFd::new(&self.0, PollFlags::OUT)];
        if poll(&mut ready, Some(&Timespec::default()))? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.write(&octets[..octets.len().min(AT_ONCE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    /// Lines that can be read while they are written.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(crate) fn log(&self) -> Arc<Log> {
            Arc::new(Log::to(Box::new(self.clone()), false, false))
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_said_again_is_counted() {
        let lines = Lines::default();
        let log = lines.log();
        for _ in 0..3 {
            log.say(Level::Warning, "agentx", "no master");
            log.say(Level::Notice, "probe", "fine");
        }
        log.say(Level::Notice, "agentx", "serving");
        log.say(Level::Warning, "agentx", "no master");
        log.forget("probe");
        log.say(Level::Notice, "probe", "fine");
        assert_eq!(
            lines.text(),
            "agentx: no master\nprobe: fine\nagentx: said 2 times more: no master\n\
             agentx: serving\nagentx: no master\nprobe: fine\n"
        );
    }

    #[test]
    fn hostile_text_stays_in_its_line() {
        let lines = Lines::default();
        let log = Log::to(Box::new(lines.clone()), true, false);
        log.say(Level::Error, "probe", "a\n<0>b\r\u{1b}[31m\u{202e}");
        log.say(Level::Debug, "probe", "nobody asked");
        assert_eq!(lines.text(), "<3>probe: a\\n<0>b\\r\\u{1b}[31m\\u{202e}\n");
        log.say(Level::Error, "probe", &"x".repeat(100_000));
        assert!(lines.text().lines().all(|line| line.len() <= LONGEST_LINE + 3));
    }

    #[test]
    fn pipe_that_nobody_reads_holds_nobody_up() {
        let (reader, writer) = io::pipe().unwrap();
        let log = Log::to(Box::new(Unhurried(writer)), false, false);
        for number in 0..10_000 {
            log.say(Level::Error, "probe", &format!("{number} {}", "\u{202e}".repeat(900)));
        }
        drop(log);
        let text = io::read_to_string(reader).unwrap();
        assert!(text.starts_with("probe: 0 "));
        assert!(!text.contains("9999 "));
    }

    #[test]
    fn lines_that_were_lost_are_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let log = Log::to(Box::new(Unhurried(writer)), false, false);
        for number in 0..10_000 {
            log.say(Level::Error, "probe", &number.to_string());
        }
        let mut octets = vec![0; 1 << 20];
        let length = io::Read::read(&mut reader, &mut octets).unwrap();
        let lost = 10_000 - octets[..length].iter().filter(|octet| **octet == b'\n').count();
        log.say(Level::Error, "probe", "once more");
        log.say(Level::Error, "probe", "and again");
        drop(log);
        let text = io::read_to_string(reader).unwrap();
        let expected = format!(
            "log: lines lost, for nobody read them: {lost}\nprobe: once more\n\
             probe: and again\n"
        );
        assert!(lost > 0);
        assert_eq!(text, expected);
    }

    /// Takes so many octets in all, then for one time none, then all.
    struct Narrow(Lines, usize);

    impl Write for Narrow {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            if self.1 == 0 {
                self.1 = usize::MAX;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = octets.len().min(self.1);
            self.1 -= taken;
            self.0.write(&octets[..taken])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn line_behind_a_torn_one_stands_alone() {
        let lines = Lines::default();
        let log = Log::to(Box::new(Narrow(lines.clone(), 9)), false, false);
        log.say(Level::Error, "probe", "torn in two");
        log.say(Level::Error, "probe", "whole");
        assert_eq!(
            lines.text(),
            "probe: to\nlog: lines lost, for nobody read them: 1\nprobe: whole\n"
        );
    }
}
