//! What logs tell, joined to the sessions that looks tell of.
//!
//! A look sees that a session ended, a log says why. An end that a look saw
//! first waits [`PATIENCE`] for the log before it is told; one that a log told
//! first waits until two looks would have seen the session, and is then taken
//! for one that was too short for any. A log that is later still corrects the
//! row of the history. Failures and logins are counted when the log tells them,
//! so that what a look infers is counted only where no log told.
//!
//! Sessions are the same if their process is: pptpctrl's of poptop, pppd's of
//! a plain pppd. accel-ppp has none for a session, and of others it may not be
//! known: interface, addresses and time have to do then.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::{Key, Session, Traffic};
use pptp_probe::gateway::table::{Record, Table, Watched};
use pptp_probe::gateway::tracker::{Ended, Learned, TerminateCause};
use pptp_probe::log::entry::Stamp;
use pptp_probe::log::event::{Program, Session as LogSession, What};
use pptp_probe::reason::{Phase, Reason};

use super::{Failed, Keeper, Kept};
use crate::config::Source;
use crate::facts::HistoryRow;
use crate::people::Now;

/// So long an end waits for what a log says of it: pppd's last lines and
/// pptpctrl's come up to a second or two behind its interface.
const PATIENCE: Duration = Duration::from_secs(3);
/// By so much may a log's clock and ours differ in when a session began or
/// ended: stamps are whole seconds, and so are some ages.
const SLACK: Duration = Duration::from_secs(3);
/// Looks in which the row of a session is searched after a log told of it.
const LOOKS: u8 = 3;
/// Sessions of one server that are known from logs at most, as many as one
/// log's joiner knows.
const MOST_GOING_ON: usize = 65_536;
/// Ends that wait for a log, or for a look, at most.
const MOST_ENDS: usize = 4096;
/// Rows of the history that a late word may correct at most.
const MOST_LATE: usize = 256;

/// Something that a log told.
#[derive(Debug, Clone)]
pub struct Word {
    /// When, by the log's clock.
    pub at: SystemTime,
    /// What.
    pub what: What,
    /// Who said so.
    pub program: Program,
    /// Whom it concerns; empty if not known.
    pub user: Box<[u8]>,
    /// From where.
    pub peer: Option<IpAddr>,
    /// The session it belongs to, with all that the log told of it.
    pub session: Option<Box<LogSession>>,
    /// The message, on one line.
    pub text: Box<str>,
}

/// What the logs told of one server's sessions.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// By log and number within it.
    going_on: BTreeMap<(usize, u64), Told>,
    /// Those of them whose row is searched.
    unlinked: BTreeSet<(usize, u64)>,
    /// Ends that no look saw yet.
    told: VecDeque<End>,
    /// Ends that no log told yet, and until when they wait.
    missed: VecDeque<(Instant, Ended)>,
    /// Rows of the history that no log told of.
    late: VecDeque<u32>,
}

/// A session that is going on by a log.
#[derive(Debug)]
struct Told {
    session: LogSession,
    /// Its row.
    index: Option<u32>,
    /// Looks in which that was searched.
    looks: u8,
    /// Kinds of events that were told of it, a bit each.
    kinds: u32,
    reauthentications: u32,
    /// What may explain its end, the first word of each kind.
    troubles: Vec<(What, Box<str>)>,
}

/// An end as a log tells it.
#[derive(Debug)]
struct End {
    session: LogSession,
    index: Option<u32>,
    at: SystemTime,
    cause: TerminateCause,
    phase: Phase,
    text: Box<str>,
    /// Until when it waits for a look.
    until: Instant,
}

impl Keeper {
    /// A log can be read from now on; or it cannot, and why.
    pub fn log_reads(&mut self, log: usize, reads: Result<(), String>) {
        match reads {
            Ok(()) => {
                self.reading.insert(log);
                self.log_troubles.remove(&log);
                for at in 0..self.servers.len() {
                    self.begin_counting(at);
                }
            }
            Err(why) => {
                self.reading.remove(&log);
                self.collect_errors = self.collect_errors.wrapping_add(1);
                for at in 0..self.servers.len() {
                    let kept = &mut self.servers[at];
                    if self.config.logs.get(log).is_some_and(|log| log.tells_of(kept.source)) {
                        kept.shown.errors = kept.shown.errors.wrapping_add(1);
                        kept.shown.error_text = why.as_str().into();
                    }
                }
                self.log_troubles.insert(log, why);
            }
        }
    }

    /// Sessions that were going on when reading of a log began.
    pub fn resume(&mut self, log: usize, sessions: Vec<LogSession>) {
        for session in sessions {
            let program = match (session.control_pid, session.ppp_pid) {
                (Some(_), _) => Program::Pptpd,
                (None, Some(_)) => Program::Pppd,
                (None, None) => Program::AccelPpp,
            };
            if let Some(at) = self.teller(log, program, Some(&session)) {
                self.servers[at].witness.remember(log, session);
            }
        }
    }

    /// Takes what a log told. What it says of a server that no look found yet
    /// is lost.
    pub fn hear(&mut self, log: usize, word: Word, now: Now) {
        let Some(at) = self.teller(log, word.program, word.session.as_deref()) else { return };
        let kept = &mut self.servers[at];
        let before = kept.witness.note(log, &word);
        kept.count(&word, before);
        let server = kept.shown.index;
        let peer = word.peer.and_then(v4);
        if word.what == What::AuthFailure {
            self.reject(at, &word.user, peer, now);
        }
        if let Some(reason) = failure(&word, before) {
            self.fail(server, Failed { reason, user: &word.user, peer }, now);
        }
        let (cause, phase) = match word.what {
            What::SessionDown { cause } => (cause, Phase::Done),
            What::CallFailed { phase, reason } => (cause(phase, reason), phase),
            _ => return self.teach(at, log, &word),
        };
        let Some(session) = word.session else { return };
        let kept = &mut self.servers[at];
        let going_on = kept.witness.forget((log, session.number));
        let mut troubles = going_on.iter().flat_map(|told| &told.troubles);
        let explained = troubles.find(|(what, _)| explains(*what, cause, phase));
        let text = match explained {
            Some((_, text)) => text.clone(),
            None => summary(word.what, cause, &word.text).into(),
        };
        let index = going_on.as_ref().and_then(|told| told.index);
        let until = now.instant + self.config.collect.interval * 2 + SLACK;
        let end = End { session: *session, index, at: word.at, cause, phase, text, until };
        self.end_told(at, end, now);
    }

    /// Ends that waited long enough.
    pub(super) fn settle(&mut self, now: Now) {
        for at in 0..self.servers.len() {
            let is_over = |missed: &mut (Instant, Ended)| -> bool { missed.0 <= now.instant };
            while let Some((_, ended)) = self.servers[at].witness.missed.pop_front_if(is_over) {
                self.finish(at, ended, false, now);
            }
            let is_over = |end: &mut End| end.until <= now.instant;
            while let Some(mut end) = self.servers[at].witness.told.pop_front_if(is_over) {
                let kept = &mut self.servers[at];
                let living = |index| kept.tracker.table().get(index).is_some();
                if end.index.is_some_and(living) {
                    end.until = now.instant + self.config.collect.interval * 2 + SLACK;
                    kept.witness.told.push_back(end);
                } else {
                    self.finish_unseen(at, end, now);
                }
            }
        }
    }

    /// When an end will have waited long enough.
    pub fn due(&self) -> Option<Instant> {
        let first = |kept: &Kept| kept.witness.missed.front().map(|(until, _)| *until);
        self.servers.iter().filter_map(first).min()
    }

    /// A look saw a session end.
    pub(super) fn end_seen(&mut self, at: usize, mut ended: Ended, now: Now) {
        let kept = &mut self.servers[at];
        let source = kept.source;
        if let Some(end) = kept.witness.take_told(source, &ended) {
            end.tell(&mut ended);
            return self.finish(at, ended, true, now);
        }
        if !self.hears(at) {
            return self.finish(at, ended, false, now);
        }
        let missed = &mut self.servers[at].witness.missed;
        missed.push_back((now.instant + PATIENCE, ended));
        if missed.len() > MOST_ENDS
            && let Some((_, oldest)) = missed.pop_front()
        {
            self.finish(at, oldest, false, now);
        }
    }

    /// A row of the history came without a log's word.
    pub(super) fn may_be_late(&mut self, at: usize, index: u32) {
        if self.hears(at) {
            let late = &mut self.servers[at].witness.late;
            late.push_back(index);
            late.drain(..late.len().saturating_sub(MOST_LATE));
        }
    }

    /// Counters that a log feeds begin.
    pub(super) fn begin_counting(&mut self, at: usize) {
        if !self.hears(at) {
            return;
        }
        let kept = &mut self.servers[at];
        let counted = &mut kept.shown.counted;
        let logins = [&mut counted.auth_successes, &mut counted.auth_failures];
        let sessions = [&mut counted.mppe_failures, &mut counted.echo_timeouts];
        let control = [&mut counted.control_attempted, &mut counted.control_refused];
        // A plain pppd has no control connections.
        let control = control.into_iter().filter(|_| kept.source != Source::Pppd);
        for counter in logins.into_iter().chain(sessions).chain(control) {
            counter.get_or_insert(0);
        }
    }

    /// Finds the rows of sessions that logs told of.
    pub(super) fn link_told(&mut self, at: usize) {
        let kept = &mut self.servers[at];
        for (index, learned) in kept.witness.link(kept.source, kept.tracker.table()) {
            kept.tracker.learn(index, &learned);
        }
    }

    /// Why a log that tells of the server cannot be read.
    pub(super) fn log_trouble(&self, at: usize) -> Option<String> {
        let source = self.servers[at].source;
        let tells =
            |log: &usize| self.config.logs.get(*log).is_some_and(|log| log.tells_of(source));
        self.log_troubles.iter().find(|(log, _)| tells(log)).map(|(_, why)| why.clone())
    }

    /// Whether a log tells of the server.
    fn hears(&self, at: usize) -> bool {
        let source = self.servers[at].source;
        let mut logs = self.reading.iter().filter_map(|log| self.config.logs.get(*log));
        logs.any(|log| log.tells_of(source))
    }

    /// The server that a log speaks of.
    fn teller(&self, log: usize, program: Program, session: Option<&LogSession>) -> Option<usize> {
        let find = |source| self.servers.iter().position(|kept| kept.source == source);
        if let Some(source) = self.config.logs.get(log)?.server {
            return find(source);
        }
        match program {
            Program::Pptpd => find(Source::Poptop),
            Program::AccelPpp => find(Source::AccelPpp),
            Program::Pppd if session.is_some_and(|session| session.control_pid.is_some()) => {
                find(Source::Poptop)
            }
            Program::Pppd => find(Source::Pppd).or_else(|| find(Source::Poptop)),
            Program::Kernel => None,
        }
    }

    fn teach(&mut self, at: usize, log: usize, word: &Word) {
        let Some(session) = &word.session else { return };
        let kept = &mut self.servers[at];
        let Some(told) = kept.witness.going_on.get(&(log, session.number)) else { return };
        if let Some(index) = told.index {
            kept.tracker.learn(index, &told.learned());
            kept.shown.sessions = kept.tracker.table().clone();
        }
    }

    fn end_told(&mut self, at: usize, end: End, now: Now) {
        let kept = &mut self.servers[at];
        if let Some(mut ended) = kept.witness.take_missed(kept.source, &end) {
            end.tell(&mut ended);
            return self.finish(at, ended, true, now);
        }
        let Some(end) = self.correct(at, end) else { return };
        let told = &mut self.servers[at].witness.told;
        told.push_back(end);
        if told.len() > MOST_ENDS
            && let Some(oldest) = told.pop_front()
        {
            self.finish_unseen(at, oldest, now);
        }
    }

    /// Corrects the row of the history that the end belongs to; the end itself
    /// where there is none.
    fn correct(&mut self, at: usize, end: End) -> Option<End> {
        let kept = &mut self.servers[at];
        let (source, history) = (kept.source, &mut self.history);
        let of = |index: u32| history.iter().rposition(|row| row.index == index);
        let found = kept.witness.late.iter().enumerate().find_map(|(place, index)| {
            let row = of(*index)?;
            end.is_of(source, &history[row].ended).then_some((place, row))
        });
        let Some((place, row)) = found else { return Some(end) };
        kept.witness.late.remove(place);
        let mut corrected = HistoryRow::clone(&history[row]);
        end.tell(&mut corrected.ended);
        history[row] = Arc::new(corrected);
        self.shared.history = None;
        None
    }

    /// A session that ended before any look saw it.
    fn finish_unseen(&mut self, at: usize, end: End, now: Now) {
        if end.phase <= Phase::Control {
            return;
        }
        let session = Session::new(Key::counted(0));
        let watched = Watched {
            began: 0,
            active: None,
            renegotiations: end.session.renegotiations,
            furthest: session.state,
        };
        let record = Record { index: 0, session, watched };
        let (cause, phase) = (end.cause, end.phase);
        let mut ended = Ended { record, end: end.at, cause, phase, text: String::new() };
        end.tell(&mut ended);
        self.finish(at, ended, true, now);
    }
}

impl Kept {
    /// Counts what a log told; of one session each kind of failure once.
    fn count(&mut self, word: &Word, before: u32) {
        let counted = &mut self.shown.counted;
        let add = |counter: &mut Option<u32>| {
            let counter = counter.get_or_insert(0);
            *counter = counter.wrapping_add(1);
        };
        let first = before & bit(word.what) == 0;
        match word.what {
            What::ControlUp => add(&mut counted.control_attempted),
            What::ControlRefused | What::PoolExhausted => {
                // Whoever has no session was turned away at the door.
                if word.session.is_none() {
                    add(&mut counted.control_attempted);
                }
                add(&mut counted.control_refused);
            }
            What::AuthSuccess => add(&mut counted.auth_successes),
            What::LcpTimeout if first => add(&mut counted.lcp_timeouts),
            What::MppeFailure if first => add(&mut counted.mppe_failures),
            What::EchoTimeout if first => add(&mut counted.echo_timeouts),
            _ => {}
        }
    }
}

impl Witness {
    /// Whether a log counted that the session in this row could not agree LCP.
    pub(super) fn counted_lcp_timeout(&self, index: u32) -> bool {
        let mut told = self.going_on.values().filter(|told| told.index == Some(index));
        told.any(|told| told.kinds & bit(What::LcpTimeout) != 0)
    }

    /// Keeps what a word says of its session; the kinds that were told of it
    /// before.
    fn note(&mut self, log: usize, word: &Word) -> u32 {
        let Some(session) = &word.session else { return 0 };
        let key = (log, session.number);
        let again = self.going_on.get(&key).is_some_and(|told| told.session.opened.is_some());
        let told = self.remember(log, LogSession::clone(session));
        told.reauthentications += u32::from(again && word.what == What::AuthSuccess);
        let is_trouble = matches!(
            word.what,
            What::LcpTimeout
                | What::AuthFailure
                | What::MppeFailure
                | What::AddressFailure
                | What::EchoTimeout
        );
        let before = told.kinds;
        if is_trouble && before & bit(word.what) == 0 {
            told.troubles.push((word.what, word.text.clone()));
        }
        told.kinds |= bit(word.what);
        before
    }

    fn remember(&mut self, log: usize, session: LogSession) -> &mut Told {
        let key = (log, session.number);
        if self.going_on.len() >= MOST_GOING_ON
            && !self.going_on.contains_key(&key)
            && let Some((oldest, _)) = self.going_on.pop_first()
        {
            self.unlinked.remove(&oldest);
        }
        let told = self.going_on.entry(key).or_insert_with(|| Told {
            session: LogSession::default(),
            index: None,
            looks: 0,
            kinds: 0,
            reauthentications: 0,
            troubles: Vec::new(),
        });
        told.session = session;
        told.looks = 0;
        if told.index.is_none() {
            self.unlinked.insert(key);
        }
        told
    }

    fn forget(&mut self, key: (usize, u64)) -> Option<Told> {
        self.unlinked.remove(&key);
        self.going_on.remove(&key)
    }

    /// Rows that were found, and what logs tell of their sessions.
    fn link(&mut self, source: Source, table: &Table) -> Vec<(u32, Learned)> {
        let (mut by_process, mut by_name) = (HashMap::new(), HashMap::new());
        for key in std::mem::take(&mut self.unlinked) {
            let Some(told) = self.going_on.get_mut(&key) else { continue };
            if let Some(pid) = process(source, &told.session) {
                by_process.insert(pid, key);
            }
            if !told.session.if_name.is_empty() {
                by_name.insert(told.session.if_name.clone(), key);
            }
            told.looks += 1;
            if told.looks < LOOKS {
                self.unlinked.insert(key);
            }
        }
        if by_process.is_empty() && by_name.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for row in table.iter() {
            let of_process = by_process.get(&row.key().pid());
            let Some(key) = of_process.or_else(|| by_name.get(row.if_name())) else { continue };
            let Some(told) = self.going_on.get_mut(key) else { continue };
            if told.index.is_none()
                && is_same(source, &told.session, None, &row.record().session, None)
            {
                told.index = Some(row.index());
                self.unlinked.remove(key);
                found.push((row.index(), told.learned()));
            }
        }
        found
    }

    fn take_told(&mut self, source: Source, ended: &Ended) -> Option<End> {
        let at = self.told.iter().position(|end| end.is_of(source, ended))?;
        self.told.remove(at)
    }

    fn take_missed(&mut self, source: Source, end: &End) -> Option<Ended> {
        let at = self.missed.iter().position(|(_, ended)| end.is_of(source, ended))?;
        self.missed.remove(at).map(|(_, ended)| ended)
    }
}

impl Told {
    fn learned(&self) -> Learned {
        let session = &self.session;
        let proved = session.authenticated && !session.user.is_empty();
        Learned {
            user: proved.then(|| session.user.clone()),
            peer: session.peer.and_then(v4),
            auth_method: session.method.filter(|_| session.authenticated),
            encryption: session.encryption,
            stateless: session.stateless,
            renegotiations: session.renegotiations,
            reauthentications: self.reauthentications,
        }
    }
}

impl End {
    fn is_of(&self, source: Source, ended: &Ended) -> bool {
        let record = &ended.record;
        match self.index {
            Some(index) => record.index == index,
            None => is_same(source, &self.session, Some(self.at), &record.session, Some(ended.end)),
        }
    }

    /// Says what the log knows better, and what else nobody knows.
    fn tell(self, ended: &mut Ended) {
        let Self { session: told, at, cause, phase, text, .. } = self;
        let session = &mut ended.record.session;
        if cause != TerminateCause::Unknown {
            ended.cause = cause;
        }
        if !text.is_empty() {
            ended.text = text.into();
        }
        ended.phase = ended.phase.max(phase);
        ended.end = ended.end.min(at);
        for (known, told) in
            [(&mut session.user, &told.user), (&mut session.if_name, &told.if_name)]
        {
            if known.is_none() && !told.is_empty() {
                *known = Some(told.clone());
            }
        }
        session.start = session.start.or(told.started.map(time));
        session.peer = session.peer.or(told.peer.and_then(v4));
        session.assigned = session.assigned.or(told.assigned);
        if told.received.or(told.sent).is_some() {
            // Up to version 2.4.9 pppd counts modulo 2^32.
            let Traffic { octets_in, octets_out, .. } = session.traffic.get_or_insert_default();
            *octets_in = (*octets_in).max(told.received.unwrap_or(0));
            *octets_out = (*octets_out).max(told.sent.unwrap_or(0));
        }
    }
}

/// The process by which a look tells sessions apart.
fn process(source: Source, told: &LogSession) -> Option<u32> {
    match source {
        Source::Poptop => told.control_pid,
        Source::Pppd => told.ppp_pid,
        Source::AccelPpp => None,
    }
}

/// Whether a log and a look tell of one session. `None` has not ended.
fn is_same(
    source: Source,
    told: &LogSession,
    told_end: Option<SystemTime>,
    session: &Session,
    end: Option<SystemTime>,
) -> bool {
    let in_order = |start: Option<SystemTime>, end: Option<SystemTime>| {
        let late = start.zip(end).and_then(|(start, end)| start.duration_since(end).ok());
        late.is_none_or(|late| late <= SLACK)
    };
    if !in_order(told.started.map(time), end) || !in_order(session.start, told_end) {
        return false;
    }
    // One that only the kernel told of has no process either.
    if let Some(pid) = process(source, told).filter(|_| session.key != Key::counted(0)) {
        return pid == session.key.pid();
    }
    let if_name = Some(&told.if_name).filter(|name| !name.is_empty());
    let interface = agree(session.if_name.as_ref(), if_name);
    let peer = agree(session.peer, told.peer.and_then(v4));
    let assigned = agree(session.assigned, told.assigned);
    let all = [interface, peer, assigned];
    !all.contains(&Some(false)) && (interface.is_some() || assigned.is_some())
}

/// Whether two that are known are the same.
fn agree<T: PartialEq>(a: Option<T>, b: Option<T>) -> Option<bool> {
    a.zip(b).map(|(a, b)| a == b)
}

/// What a word adds to the table of failures. What a session failed of is told
/// by its end.
fn failure(word: &Word, before: u32) -> Option<Reason> {
    let outside = word.session.is_none();
    Some(match word.what {
        What::ControlRefused => Reason::ControlRefused,
        What::PoolExhausted if outside => Reason::ControlRefused,
        What::AuthFailure if outside => Reason::AuthRejected,
        What::LcpTimeout if outside => Reason::Silent,
        What::MppeFailure if outside => Reason::MppeRefused,
        What::AddressFailure if outside => Reason::NoAddress,
        What::EchoTimeout if outside => Reason::LcpEchoSilent,
        What::RadiusError if outside => Reason::RadiusSilent,
        What::ConntrackFull => Reason::ConntrackFull,
        What::CallFailed { reason: Reason::None, .. } => return None,
        What::CallFailed { reason, .. } if before & bit(What::ControlRefused) == 0 => reason,
        What::SessionDown { cause } => match cause {
            TerminateCause::EchoTimeout => Reason::LcpEchoSilent,
            TerminateCause::GreSilent => Reason::GreStopped,
            TerminateCause::MppeLost => Reason::MppeKeyMismatch,
            TerminateCause::LostCarrier | TerminateCause::CtrlReset => Reason::ControlLost,
            _ => return None,
        },
        _ => return None,
    })
}

/// Why a call ended that failed.
fn cause(phase: Phase, reason: Reason) -> TerminateCause {
    match reason {
        Reason::Silent if phase <= Phase::Lcp => TerminateCause::LcpTimeout,
        Reason::GreInboundSilent | Reason::GreOutboundSilent => TerminateCause::LcpTimeout,
        Reason::MppeRefused
        | Reason::MppeRequired
        | Reason::MppeKeyMismatch
        | Reason::MppeKeysMissing => TerminateCause::MppeLost,
        Reason::Closed => TerminateCause::LostCarrier,
        Reason::Stopped => TerminateCause::CtrlStop,
        Reason::Terminated | Reason::CallDisconnected => TerminateCause::UserRequest,
        Reason::NoAddress | Reason::IpcpRefused => TerminateCause::LostService,
        _ if phase == Phase::Auth => TerminateCause::NasRequest,
        _ => TerminateCause::Unknown,
    }
}

/// Whether an event says more of an end than what stood last in the log.
fn explains(what: What, cause: TerminateCause, phase: Phase) -> bool {
    match what {
        What::LcpTimeout => cause == TerminateCause::LcpTimeout,
        What::MppeFailure => cause == TerminateCause::MppeLost,
        What::EchoTimeout => cause == TerminateCause::EchoTimeout,
        What::AuthFailure => phase == Phase::Auth,
        What::AddressFailure => phase == Phase::Ipcp,
        _ => false,
    }
}

/// What a log told of an end in several lines, of which the last one alone
/// says little.
fn summary(what: What, cause: TerminateCause, last: &str) -> String {
    let told = match (what, cause) {
        (What::CallFailed { phase, reason }, _) => format!("it failed in {phase}: {reason}"),
        (_, TerminateCause::UserRequest) => "the caller hung up".to_owned(),
        (_, TerminateCause::LostCarrier) => "the line broke".to_owned(),
        (_, TerminateCause::LostService) => "the gateway could not go on serving it".to_owned(),
        (_, TerminateCause::IdleTimeout) => "nothing was sent for too long".to_owned(),
        (_, TerminateCause::SessionTimeout) => "its time was over".to_owned(),
        (_, TerminateCause::AdminReset) => "an operator ended it".to_owned(),
        (_, TerminateCause::NasError) => "the gateway failed".to_owned(),
        (_, TerminateCause::NasRequest) => "the gateway ended it".to_owned(),
        (_, TerminateCause::NasReboot) => "the gateway's daemon ended".to_owned(),
        (_, TerminateCause::LcpTimeout) => "LCP was never agreed".to_owned(),
        (_, TerminateCause::EchoTimeout) => "LCP echoes stayed unanswered".to_owned(),
        (_, TerminateCause::GreSilent) => "GRE stopped".to_owned(),
        (_, TerminateCause::MppeLost) => "encryption could not be kept up".to_owned(),
        (_, TerminateCause::CtrlReset) => "TCP lost the control connection".to_owned(),
        (_, TerminateCause::CtrlStop) => "the control connection was stopped".to_owned(),
        (_, TerminateCause::Unknown) => return last.to_owned(),
    };
    match last {
        "" => told,
        last => format!("{told}; the log's last word: {last}"),
    }
}

fn bit(what: What) -> u32 {
    1 << what.index()
}

/// A stamp of a log as a time; before 1970 nothing was logged.
pub fn time(stamp: Stamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(stamp).unwrap_or(0))
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests;
