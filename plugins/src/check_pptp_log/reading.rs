//! What is done with each event: counted, passed on, listed; with names or
//! with digests in their place.

use std::borrow::Cow;

use pptp_probe::log::ecs::{cause_word, push_line};
use pptp_probe::log::entry::{Entry, Stamp, Tag};
use pptp_probe::log::event::{Event, Program, What};
use pptp_probe::log::redact::Redactor;
use pptp_probe::log::window::Window;
use pptp_probe::output::escape;

use super::LogArgs;
use super::events::Sink;
use super::report::{Problem, Seen};

/// Events that are listed.
const LISTED: usize = 500;
/// Clocks of one host differ so much between two readings of them, in
/// microseconds.
const SLACK: Stamp = 60_000_000;

/// Takes events, and remembers what the report needs.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) window: Window,
    pub(super) sink: Option<Sink>,
    /// The clock, beyond which nothing can have happened; of a log from
    /// elsewhere none.
    pub(super) now: Option<Stamp>,
    /// Events before are not passed on.
    pub(super) since: Option<Stamp>,
    /// Events so far.
    pub(super) sequence: u64,
    /// When a PPTP program last wrote something.
    pub(super) newest: Option<Stamp>,
    pub(super) remarks: Vec<String>,
    redactor: Option<Redactor>,
    future: u64,
    lists: bool,
    listing: Vec<String>,
    unlisted: u64,
}

impl Reading {
    /// `key` is that of the digests.
    pub(super) fn new(
        args: &LogArgs,
        window: Window,
        key: impl FnOnce() -> Result<[u8; 16], Problem>,
    ) -> Result<Self, Problem> {
        let redactor = if args.redact_users { Some(Redactor::new(&key()?)) } else { None };
        let output = args.follow.then(|| "-".as_ref());
        let sink = args.events.as_deref().or(output).map(Sink::open);
        Ok(Self {
            window,
            sink: sink.transpose().map_err(Problem::local)?,
            now: None,
            since: None,
            sequence: 0,
            newest: None,
            remarks: Vec::new(),
            redactor,
            future: 0,
            lists: args.common.verbose >= 2,
            listing: Vec::new(),
            unlisted: 0,
        })
    }

    /// Notes that a PPTP program wrote something.
    pub(super) fn entry(&mut self, entry: &Entry<'_>) {
        // Only entries of the programs that are understood are told.
        if entry.at > self.newest && !matches!(entry.tag, Tag::Of(Program::Kernel) | Tag::Other) {
            self.newest = entry.at.map(|at| self.now.map_or(at, |now| at.min(now)));
        }
    }

    /// Takes an event.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        self.sequence += 1;
        let user: Cow<'_, [u8]> = match &self.redactor {
            Some(redactor) => redactor.digest(event.user).into_bytes().into(),
            None => event.user.into(),
        };
        match self.now.filter(|now| event.at > *now) {
            Some(now) => {
                self.future += u64::from(event.at > now.saturating_add(SLACK));
                self.window.note(&Event { at: now, ..*event }, &user);
            }
            None => self.window.note(event, &user),
        }
        if let Some(sink) = &mut self.sink
            && self.since.is_none_or(|since| event.at >= since)
        {
            let (sequence, redactor) = (self.sequence, self.redactor.as_ref());
            sink.take(|lines| push_line(lines, event, sequence, redactor));
        }
        if self.lists {
            if self.listing.len() < LISTED {
                self.listing.push(listed(event, &user, self.redactor.is_none()));
            } else {
                self.unlisted += 1;
            }
        }
    }

    /// What was seen, for a window that ends at `end`.
    pub(super) fn seen(
        mut self,
        logs: Vec<String>,
        span: String,
        end: Stamp,
        open: u64,
        mut troubles: Vec<Problem>,
    ) -> Seen {
        if let Some(sink) = &mut self.sink {
            sink.flush();
            troubles.extend(sink.trouble().map(|trouble| Problem::local(trouble.to_owned())));
        }
        Seen {
            window: self.window,
            span,
            end,
            newest: self.newest,
            open,
            future: self.future,
            logs,
            remarks: self.remarks,
            gaps: Vec::new(),
            troubles,
            listing: self.listing,
            unlisted: self.unlisted,
            events: self.sequence,
        }
    }
}

/// `02:26:41 sessions_ended (echo_timeout) alice from 203.0.113.7: Connection
/// terminated.`, the time in UTC.
fn listed(event: &Event<'_>, user: &[u8], with_message: bool) -> String {
    let seconds = event.at.div_euclid(1_000_000).rem_euclid(86_400);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{hours:02}:{minutes:02}:{seconds:02} {}", event.what.label());
    match event.what {
        What::SessionDown { cause } => text += &format!(" ({})", cause_word(cause)),
        What::CallFailed { phase, reason } => text += &format!(" ({phase}/{reason})"),
        _ => {}
    }
    if !user.is_empty() {
        text += &format!(" {}", escape(user));
    }
    if let Some(peer) = event.peer {
        text += &format!(" from {peer}");
    }
    if with_message && !event.message.is_empty() {
        text += &format!(": {}", escape(event.message));
    }
    text
}
