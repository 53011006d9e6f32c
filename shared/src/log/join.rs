//! Entries to events, joined into sessions over their process and interface.
//!
//! pptpctrl and pppd write each for itself. What binds them is the sentence
//! `Reaping child PPP[n]`, which comes last and only with the more talkative
//! settings of syslog; before it the caller's address, which both tell, and
//! the order: a pppd that starts while one call alone waits for its pppd is
//! that call's. Where several wait, nothing is claimed until one of the others
//! tells. The end of a session is told once both processes are over, so that
//! their entries may come in either order; an entry that does not come is
//! waited for five seconds by the clock of the log, and tells nothing a second
//! time if it comes within a minute after all.
//!
//! Processes and interfaces are those of their host: a host that writes into
//! the same log can pretend much, but only of itself.

mod accel_ppp;
mod index;
mod poptop;
mod state;
mod table;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use super::daemon::{self, kernel, pppd, pptpd};
use super::entry::{Entry, Stamp, Tag};
use super::event::{Event, Program, Session, What};
use super::octets::is_same;
use crate::gateway::tracker::TerminateCause;
use crate::reason::Phase;
use table::{Live, MOST, Place, Table, Who, cut, flag};

/// Time that an entry of the other process may come later, microseconds.
const PATIENCE: u64 = 5_000_000;
/// Time that such an entry is still known for one that comes too late.
const LATE: u64 = 60_000_000;
/// Calls without a pppd, sessions that were not waited for, and connections of accel-ppp without an interface,
/// that are looked through at most.
const MOST_LOOSE: usize = 256;
/// Repetitions of one entry that are counted at most.
const MOST_REPEATED: u64 = 65_536;

type Tell<'t> = dyn FnMut(&Event<'_>) + 't;

/// An entry without what it says.
#[derive(Debug, Clone, Copy)]
struct Origin<'e> {
    at: Stamp,
    program: Program,
    host: &'e [u8],
    host_key: u64,
    pid: Option<u32>,
    message: &'e [u8],
}

/// The last thing that was told, if it may come again as a number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    what: What,
    program: Program,
    pid: Option<u32>,
    place: Option<Place>,
}

/// A session that waits, and since when.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    place: Place,
    since: Stamp,
}

/// A session that is told already, of which entries may yet come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GivenUp {
    host: Arc<[u8]>,
    host_key: u64,
    ppp_pid: u32,
    /// Whether its control connection is not known.
    without_control: bool,
    peer: Option<IpAddr>,
    at: Stamp,
}

/// Sessions that are going on, and what the entries so far told of them.
/// Bounded: the oldest make room.
#[derive(Debug, Default)]
pub struct Joiner {
    table: Table,
    /// Host of the entry before, and its key.
    host: Vec<u8>,
    host_key: Option<u64>,
    /// Host of the session that began last.
    shared_host: Arc<[u8]>,
    latest: Stamp,
    /// Calls whose pppd is not known.
    calls: Vec<Place>,
    /// Sessions that wait for the entries of another process, by how long; some
    /// may be gone.
    waiting: VecDeque<Waiting>,
    /// Sessions of a pppd that were told although not all had spoken.
    given_up: VecDeque<GivenUp>,
    /// Connections of accel-ppp without an interface.
    nameless: Vec<Place>,
    /// `USER: authentication failed`, which accel-ppp writes twice.
    refuted: Vec<u8>,
    last: Option<Last>,
    /// Whether pppd writes into this log at all.
    pppd_writes: bool,
}

impl Joiner {
    /// Takes the next entry, and tells what it means.
    #[inline]
    pub fn take(&mut self, entry: &Entry<'_>, tell: &mut dyn FnMut(&Event<'_>)) {
        let at = entry.at.unwrap_or(self.latest);
        self.latest = at;
        if self.is_due(at) {
            return self.settle_and_take(at, entry, tell);
        }
        self.heed(at, entry, tell);
    }

    #[cold]
    #[inline(never)]
    fn settle_and_take(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        self.settle(at, tell);
        self.heed(at, entry, tell);
    }

    #[inline(always)]
    fn heed(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        let repeats = entry.message.first() == Some(&b'm');
        match entry.tag {
            Tag::Of(Program::Pppd) if !repeats => {
                self.last = None;
                self.by_pppd(at, entry, tell);
            }
            Tag::Of(Program::Pptpd) if !repeats => {
                self.last = None;
                self.by_pptpd(at, entry, tell);
            }
            Tag::Other => {}
            _ => self.perhaps_again(at, entry, tell),
        }
    }

    /// Any entry, also one that stands for several.
    #[inline(never)]
    fn perhaps_again(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        if entry.tag == Tag::None
            && let Some(times) = daemon::repeated(entry.message)
        {
            return self.tell_again(times, at, entry, tell);
        }
        self.last = None;
        match daemon::repetition(entry.message) {
            Some((times, message)) => {
                for _ in 0..times.min(MOST_REPEATED) {
                    self.one(at, &Entry { message, ..*entry }, tell);
                }
            }
            None => self.one(at, entry, tell),
        }
    }

    /// Sessions that are going on.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.table.iter().filter(|live| !live.has(flag::FOREIGN)).map(|live| &live.session)
    }

    /// Whether an end waits for the entries of another process, or lately did.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tells the ends that wait for the entries of another process, and have
    /// waited long enough by `now`. Entries do the same as they come: this is
    /// for a log in which nothing follows.
    pub fn settle(&mut self, now: Stamp, tell: &mut dyn FnMut(&Event<'_>)) {
        while self.is_due(now) {
            let Some(first) = self.waiting.pop_front() else { break };
            if let Some(slot) = self.table.still(first.place) {
                self.end_alone(slot, first.since, tell);
            }
        }
    }

    /// Whether the first that waits has waited long enough.
    #[inline]
    fn is_due(&self, now: Stamp) -> bool {
        self.waiting.front().is_some_and(|first| now.abs_diff(first.since) >= PATIENCE)
    }

    fn one(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        match entry.tag {
            Tag::Of(Program::Pppd) => self.by_pppd(at, entry, tell),
            Tag::Of(Program::Pptpd) => self.by_pptpd(at, entry, tell),
            Tag::Of(Program::AccelPpp) | Tag::None => self.by_accel_ppp(at, entry, tell),
            Tag::Of(Program::Kernel) => self.by_kernel(at, entry, tell),
            Tag::Other => {}
        }
    }

    #[inline(never)]
    fn by_pppd(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        self.pppd_writes = true;
        if let Some(said) = pppd::said(entry.message) {
            let origin = self.origin(Program::Pppd, at, entry);
            self.pppd(said, &origin, tell);
        }
    }

    #[inline(never)]
    fn by_pptpd(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        if let Some(said) = pptpd::said(entry.message) {
            let origin = self.origin(Program::Pptpd, at, entry);
            self.pptpd(said, &origin, tell);
        }
    }

    #[inline(never)]
    fn by_accel_ppp(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        let origin = self.origin(Program::AccelPpp, at, entry);
        self.accel_ppp(&origin, entry.tag == Tag::None, tell);
    }

    #[inline(never)]
    fn by_kernel(&mut self, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        let Some(said) = kernel::said(entry.message) else { return };
        let origin = self.origin(Program::Kernel, at, entry);
        match said {
            kernel::Said::ConntrackFull => self.tell(What::ConntrackFull, None, &origin, tell),
            kernel::Said::Error => self.tell(What::KernelError, None, &origin, tell),
            kernel::Said::Boot => self.end_all(&origin, |_| true, tell),
        }
    }

    /// What an entry tells beside what it says. Most say nothing that matters,
    /// so this is asked late.
    #[inline(always)]
    fn origin<'e>(&mut self, program: Program, at: Stamp, entry: &Entry<'e>) -> Origin<'e> {
        let host_key = match self.host_key {
            Some(key) if is_same(&self.host, entry.host) => key,
            _ => self.another_host(entry.host),
        };
        let Entry { host, pid, message, .. } = *entry;
        Origin { at, program, host, host_key, pid, message }
    }

    #[inline(never)]
    fn another_host(&mut self, host: &[u8]) -> u64 {
        self.host.clear();
        self.host.extend_from_slice(host);
        *self.host_key.insert(self.table.host_key(host))
    }

    /// The daemon or the host went down under its sessions.
    fn end_all(&mut self, origin: &Origin<'_>, of: impl Fn(&Live) -> bool, tell: &mut Tell<'_>) {
        for slot in self.table.of_host(origin.host_key) {
            let Some(live) = self.table.get_mut(slot).filter(|live| of(live)) else { continue };
            live.ends(TerminateCause::NasReboot);
            self.end(slot, origin, tell);
            self.table.remove(slot);
        }
    }

    /// A session of which nothing is known but where it is.
    fn begin(&mut self, origin: &Origin<'_>, control: Option<u32>, ppp: Option<u32>) -> usize {
        self.table.last_number += 1;
        if *self.shared_host != *origin.host {
            self.shared_host = origin.host.into();
        }
        let session = Session {
            number: self.table.last_number,
            control_pid: control,
            ppp_pid: ppp,
            started: Some(origin.at),
            ..Session::default()
        };
        self.table.add(Live {
            birth: 0,
            session,
            host: Arc::clone(&self.shared_host),
            host_key: origin.host_key,
            program: origin.program,
            flags: 0,
            phase: Phase::Control,
            cause: None,
            failure: None,
            control_end: None,
            asked: None,
            waits: None,
        })
    }

    fn tell(&mut self, what: What, slot: Option<usize>, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        self.tell_of(what, slot, b"", None, origin, tell);
    }

    /// Tells something of a session, or of whom and whence the entry says.
    fn tell_of(
        &mut self,
        what: What,
        slot: Option<usize>,
        user: &[u8],
        peer: Option<IpAddr>,
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        let session = slot.and_then(|slot| self.table.get(slot)).map(|live| &live.session);
        let known = session.map_or(&b""[..], |session| &session.user);
        tell(&Event {
            at: origin.at,
            what,
            program: origin.program,
            host: origin.host,
            pid: origin.pid,
            session,
            user: if user.is_empty() { known } else { cut(user) },
            peer: peer.or(session.and_then(|session| session.peer)),
            message: origin.message,
        });
        self.last = repeats(what).then(|| Last {
            what,
            program: origin.program,
            pid: origin.pid,
            place: slot.map(|slot| self.table.place(slot)),
        });
    }

    fn tell_again(&mut self, times: u64, at: Stamp, entry: &Entry<'_>, tell: &mut Tell<'_>) {
        let Some(last) = self.last else { return };
        let origin = Origin { pid: last.pid, ..self.origin(last.program, at, entry) };
        let slot = last.place.and_then(|place| self.table.still(place));
        for _ in 0..times.min(MOST_REPEATED) {
            self.tell(last.what, slot, &origin, tell);
        }
    }

    /// Tells the end of a session, if there was one; it stays in the table.
    fn end(&mut self, slot: usize, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        let Some(live) = self.table.get(slot) else { return };
        let poptop = live.program != Program::AccelPpp;
        let told = match poptop {
            // Without pppd's entries nobody can say what became of a call.
            true => live.has(flag::PPP_SEEN) || (live.has(flag::CALLED) && self.pppd_writes),
            false => {
                live.session.opened.is_some() || live.has(flag::CALLED) || !live.has(flag::BEGAN)
            }
        };
        if told && !live.has(flag::FOREIGN) {
            let what = live.end();
            self.tell(what, Some(slot), origin, tell);
        }
    }

    /// Ends a session that no entry ends.
    fn end_alone(&mut self, slot: usize, at: Stamp, tell: &mut Tell<'_>) {
        let Some(live) = self.table.get(slot) else { return };
        let host = Arc::clone(&live.host);
        let origin = Origin {
            at,
            program: live.program,
            host: &host,
            host_key: live.host_key,
            pid: live.session.ppp_pid.or(live.session.control_pid),
            message: b"",
        };
        if let Some(ppp_pid) = live.session.ppp_pid
            && live.has(flag::PPP_SEEN)
        {
            let given_up = GivenUp {
                host: Arc::clone(&host),
                host_key: live.host_key,
                ppp_pid,
                without_control: live.session.control_pid.is_none(),
                peer: live.session.peer,
                at,
            };
            if self.given_up.len() >= MOST_LOOSE {
                self.given_up.pop_front();
            }
            self.given_up.push_back(given_up);
        }
        self.end(slot, &origin, tell);
        self.table.remove(slot);
    }

    /// Where a session is that was given up lately on the host of an entry.
    fn given_up(&self, origin: &Origin<'_>, is: impl Fn(&GivenUp) -> bool) -> Option<usize> {
        self.given_up.iter().position(|session| {
            is(session)
                && session.host_key == origin.host_key
                && origin.at.abs_diff(session.at) < LATE
        })
    }

    /// From now on a session waits for the entries of its other process.
    fn wait(&mut self, slot: usize, at: Stamp) {
        if let Some(live) = self.table.get_mut(slot)
            && live.waits.is_none()
        {
            live.waits = Some(at);
            while self
                .waiting
                .pop_front_if(|first| self.table.still(first.place).is_none())
                .is_some()
            {}
            if self.waiting.len() >= 2 * MOST {
                self.waiting.retain(|waiting| self.table.still(waiting.place).is_some());
            }
            self.waiting.push_back(Waiting { place: self.table.place(slot), since: at });
        }
    }

    #[inline(always)]
    fn find(&self, origin: &Origin<'_>, who: Who<'_>) -> Option<usize> {
        self.table.find(origin.host_key, who)
    }
}

/// Whether the same may be said again and again without anything between.
fn repeats(what: What) -> bool {
    matches!(
        what,
        What::ControlRefused
            | What::PoolExhausted
            | What::AuthFailure
            | What::RadiusError
            | What::GreError
            | What::ConntrackFull
            | What::KernelError
    )
}
