//! Writes the log of a busy gateway, with the lines of pptpd 1.4 and pppd 2.4.9
//! as real ones write them, those of many calls mixed, and here and there one
//! of another daemon.
//!
//! usage: logs MEGABYTES [--rfc3339] [--users N] [--failing PERCENT]
//!
//! The log goes to standard output; how often each event is in it, one a line,
//! to standard error. The same arguments give the same log.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

/// Calls that go on at once.
const AT_ONCE: usize = 64;
/// Microseconds from a line to the next, at most.
const APART: u64 = 40_000;
/// What pptpctrl says when pppd ended before it.
const PTY_CLOSED: [&str; 2] = [
    "GRE: read(fd=6,buffer=552aabd520,len=8196) from PTY failed: status = -1 error = \
     Input/output error, usually caused by unexpected termination of pppd, check option syntax \
     and pppd logs",
    "CTRL: PTY read or GRE write failed (pty,gre)=(6,7)",
];

struct Options {
    octets: u64,
    rfc3339: bool,
    users: u64,
    failing: u64,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { octets: 0, rfc3339: false, users: 5000, failing: 30 };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rfc3339" => options.rfc3339 = true,
                "--users" => options.users = words.next()?.parse().ok().filter(|&n| n > 0)?,
                "--failing" => options.failing = words.next()?.parse().ok()?,
                size => options.octets = size.parse::<u64>().ok()? * 1_000_000,
            }
        }
        (options.octets > 0).then_some(options)
    }
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

type Counts = BTreeMap<&'static str, u64>;

/// A line that is still to be written, and the events it is.
struct Line {
    text: String,
    events: &'static [&'static str],
}

/// What a call still has to say.
type Call = VecDeque<Line>;

struct Gateway {
    random: Random,
    next_pid: u32,
    calls: u64,
    users: u64,
    failing: u64,
}

impl Gateway {
    fn pid(&mut self) -> u32 {
        // As the kernel does: upwards, with gaps, and again from below.
        self.next_pid += 1 + self.random.below(3) as u32;
        if self.next_pid > 4_000_000 {
            self.next_pid = 1000;
        }
        self.next_pid
    }

    fn call(&mut self) -> Call {
        let (control, ppp) = (self.pid(), self.pid());
        self.calls += 1;
        let number = self.calls;
        let user = number % self.users;
        let at = |random: &mut Random| random.below(254) + 1;
        let peer = format!("203.{}.{}.{}", number % 97, at(&mut self.random), at(&mut self.random));
        let interface = number % 1000;
        let mut lines = Call::new();
        let mut pptpd = |text: String, events| {
            lines.push_back(Line { text: format!("pptpd[{control}]: CTRL: {text}"), events });
        };
        pptpd(format!("Client {peer} control connection started"), &["control_accepted"]);
        let chance = self.random.below(100);
        if chance < self.failing / 5 {
            for text in [
                "EOF or bad error reading ctrl packet length.",
                "couldn't read packet header (exit)",
                "CTRL read failed",
                "Reaping child PPP[0]",
            ] {
                pptpd(text.to_owned(), &[]);
            }
            pptpd(format!("Client {peer} control connection finished"), &["control_closed"]);
            return lines;
        }
        pptpd("Starting call (launching pppd, opening GRE)".to_owned(), &["calls"]);
        let mut pppd = |text: String, events: &'static [&'static str]| {
            lines.push_back(Line { text: format!("pppd[{ppp}]: {text}"), events });
        };
        pppd("Plugin /usr/lib/pptpd/pptpd-logwtmp.so loaded.".to_owned(), &[]);
        pppd("pppd 2.4.9 started by root, uid 0".to_owned(), &[]);
        pppd(format!("Using interface ppp{interface}"), &[]);
        pppd(format!("Connect: ppp{interface} <--> /dev/pts/{}", interface % 512), &[]);
        if chance < self.failing {
            if chance % 4 == 0 {
                pppd("LCP: timeout sending Config-Requests".to_owned(), &["lcp_timeouts"]);
            } else {
                let text = format!("Peer user{user:07} failed CHAP authentication");
                pppd(text, &["auth_failures"]);
            }
            pppd("Connection terminated.".to_owned(), &["calls_failed"]);
            pppd("Exit.".to_owned(), &[]);
        } else {
            pppd(format!("peer from calling number {peer} authorized"), &["auth_successes"]);
            pppd("MPPE 128-bit stateless compression enabled".to_owned(), &["mppe_up"]);
            let local = self.random.below(1 << 32);
            pppd(format!("local  LL address fe80::{local:x}:1"), &[]);
            pppd(format!("remote LL address fe80::{local:x}:2"), &[]);
            pppd("local  IP address 192.168.77.1".to_owned(), &[]);
            let assigned = format!("192.168.{}.{}", 78 + interface / 250, interface % 250 + 2);
            pppd(format!("remote IP address {assigned}"), &["sessions_opened"]);
            let minutes = format!("Connect time {}.{} minutes.", chance * 7, chance % 10);
            let octets = format!(
                "Sent {} bytes, received {} bytes.",
                self.random.below(1 << 31),
                self.random.below(1 << 31)
            );
            if chance % 5 == 0 {
                pppd("No response to 4 echo-requests".to_owned(), &["echo_timeouts"]);
                pppd("Serial link appears to be disconnected.".to_owned(), &[]);
            } else {
                pppd("LCP terminated by peer (MPPE disabled)".to_owned(), &[]);
            }
            for _ in 0..2 {
                pppd(minutes.clone(), &[]);
                pppd(octets.clone(), &[]);
            }
            pppd("Modem hangup".to_owned(), &[]);
            pppd("Connection terminated.".to_owned(), &["sessions_ended"]);
            pppd("Exit.".to_owned(), &[]);
        }
        if chance < self.failing || chance % 5 == 0 {
            lines.extend(
                PTY_CLOSED
                    .map(|text| Line { text: format!("pptpd[{control}]: {text}"), events: &[] }),
            );
        }
        let mut pptpd = |text: String, events| {
            lines.push_back(Line { text: format!("pptpd[{control}]: CTRL: {text}"), events });
        };
        pptpd(format!("Reaping child PPP[{ppp}]"), &[]);
        pptpd(format!("Client {peer} control connection finished"), &["control_closed"]);
        lines
    }

    fn other(&mut self) -> String {
        let pid = self.random.below(99_999) + 1;
        match self.random.below(3) {
            0 => format!(
                "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"
            ),
            1 => format!("sshd[{pid}]: Connection closed by 198.51.100.7 port {pid}"),
            _ => format!("kernel: [{pid:6}.123456] ppp{}: renamed from ppp0", pid % 1000),
        }
    }
}

/// From 10 June 2025 on.
fn stamp(text: &mut String, rfc3339: bool, micros: u64) {
    let seconds = micros / 1_000_000;
    let (day, second) = (10 + seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let written = if rfc3339 {
        let part = micros % 1_000_000;
        write!(text, "2025-06-{day:02}T{hour:02}:{minute:02}:{second:02}.{part:06}+00:00 gateway ")
    } else {
        write!(text, "Jun {day:2} {hour:02}:{minute:02}:{second:02} gateway ")
    };
    written.expect("a String takes everything");
}

fn main() -> io::Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("usage: logs MEGABYTES [--rfc3339] [--users N] [--failing PERCENT]");
        std::process::exit(2);
    };
    let mut gateway = Gateway {
        random: Random(0x9e37_79b9_7f4a_7c15),
        next_pid: 752,
        calls: 0,
        users: options.users,
        failing: options.failing,
    };
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let (mut counts, mut going_on) = (Counts::new(), Vec::<Call>::new());
    let (mut text, mut micros, mut octets) = (String::new(), 0, 0);
    // What has begun is written to its end.
    while octets < options.octets || !going_on.is_empty() {
        while going_on.len() < AT_ONCE && octets < options.octets {
            going_on.push(gateway.call());
        }
        micros += gateway.random.below(APART);
        text.clear();
        stamp(&mut text, options.rfc3339, micros);
        if gateway.random.below(20) == 0 {
            text.push_str(&gateway.other());
        } else {
            let chosen = gateway.random.below(going_on.len() as u64) as usize;
            if let Some(line) = going_on[chosen].pop_front() {
                text.push_str(&line.text);
                for &event in line.events {
                    *counts.entry(event).or_default() += 1;
                }
            }
            if going_on[chosen].is_empty() {
                going_on.swap_remove(chosen);
            }
        }
        text.push('\n');
        octets += text.len() as u64;
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    for (event, count) in counts {
        eprintln!("{event} {count}");
    }
    Ok(())
}
