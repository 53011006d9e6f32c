//! The sessions that are going on, by their processes and interfaces.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::Ipv4Addr;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use super::index::Index;
use crate::gateway::tracker::TerminateCause;
use crate::log::daemon::pptpd::ControlEnd;
use crate::log::entry::Stamp;
use crate::log::event::{LONGEST, Program, Session, What};
use crate::reason::{Phase, Reason};

/// Sessions that are kept at most.
pub(super) const MOST: usize = 65_536;

/// What is known of a session beyond what it shows; bits of [`Live::flags`].
pub(super) mod flag {
    /// Its beginning was seen.
    pub(in super::super) const BEGAN: u16 = 1;
    /// pppd said that it starts.
    pub(in super::super) const STARTED: u16 = 1 << 1;
    /// pppd said anything.
    pub(in super::super) const PPP_SEEN: u16 = 1 << 2;
    /// The link is over, pppd is not yet.
    pub(in super::super) const TERMINATED: u16 = 1 << 3;
    /// pppd is over.
    pub(in super::super) const PPP_OVER: u16 = 1 << 4;
    /// The control connection was seen to begin.
    pub(in super::super) const CONTROL_UP: u16 = 1 << 5;
    /// A call was accepted on it.
    pub(in super::super) const CALLED: u16 = 1 << 6;
    /// It is over.
    pub(in super::super) const CONTROL_OVER: u16 = 1 << 7;
    /// What goes with the control connection from one session to another.
    pub(in super::super) const OF_CONTROL: u16 = CONTROL_UP | CALLED | CONTROL_OVER;
    /// The address of the caller was told by PPP.
    pub(in super::super) const PEER_SAID: u16 = 1 << 8;
    /// The line broke.
    pub(in super::super) const HANGUP: u16 = 1 << 9;
    /// The gateway's Configure-Ack of LCP.
    pub(in super::super) const ACK_OURS: u16 = 1 << 10;
    /// The caller's Configure-Ack of LCP.
    pub(in super::super) const ACK_PEERS: u16 = 1 << 11;
    /// Both, of the protocol that is negotiated.
    pub(in super::super) const ACKS: u16 = ACK_OURS | ACK_PEERS;
    /// MPPE was told to have failed.
    pub(in super::super) const MPPE_FAILED: u16 = 1 << 12;
    /// The log tells packets and new connections.
    pub(in super::super) const TALKS: u16 = 1 << 13;
    /// It is none of PPTP.
    pub(in super::super) const FOREIGN: u16 = 1 << 14;
    /// LCP went both ways.
    pub(in super::super) const LCP_UP: u16 = 1 << 15;
}

/// A session that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    /// [`Place::birth`] of it.
    pub(super) birth: u64,
    pub(super) session: Session,
    pub(super) host: Arc<[u8]>,
    /// [`Table::host_key`] of it.
    pub(super) host_key: u64,
    pub(super) program: Program,
    pub(super) flags: u16,
    /// How far it came.
    pub(super) phase: Phase,
    /// The first thing that told why it ends.
    pub(super) cause: Option<TerminateCause>,
    /// The first thing that told why it does not open.
    pub(super) failure: Option<(Phase, Reason)>,
    /// The first thing that told why the control connection ends.
    pub(super) control_end: Option<ControlEnd>,
    /// Address that the caller asked for.
    pub(super) asked: Option<Ipv4Addr>,
    /// Since when the entries of its other process are waited for.
    pub(super) waits: Option<Stamp>,
}

impl Live {
    pub(super) fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    pub(super) fn advance(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
    }

    /// Notes why the session ends, unless something told already.
    pub(super) fn ends(&mut self, cause: TerminateCause) {
        self.cause.get_or_insert(cause);
    }

    /// Notes why it will not open, unless something told already.
    pub(super) fn fails(&mut self, phase: Phase, reason: Reason) {
        if self.session.opened.is_none() {
            self.failure.get_or_insert((phase, reason));
        }
    }

    /// Keeps a name; one that was proved stays.
    pub(super) fn call_user(&mut self, user: &[u8]) {
        if user.is_empty() || (self.session.authenticated && !self.session.user.is_empty()) {
            return;
        }
        let user = cut(user);
        if *self.session.user != *user {
            self.session.user = user.into();
        }
    }

    pub(super) fn call_interface(&mut self, name: &[u8]) {
        let name = cut(name);
        if *self.session.if_name != *name {
            self.session.if_name = name.into();
        }
    }

    /// What its end is. One whose beginning was not seen was open.
    pub(super) fn end(&self) -> What {
        if self.session.opened.is_some() || !self.has(flag::BEGAN) {
            return What::SessionDown { cause: self.why() };
        }
        let (phase, reason) = self.failure.unwrap_or(match self.phase {
            Phase::Call => (Phase::Call, Reason::CallDisconnected),
            Phase::Lcp => (Phase::Lcp, Reason::Silent),
            phase => (phase, Reason::Closed),
        });
        What::CallFailed { phase, reason }
    }

    /// What PPP said of its end comes first; that the line broke says only
    /// that the control connection let go, which may have said why.
    fn why(&self) -> TerminateCause {
        if let Some(cause) = self.cause {
            return cause;
        }
        match self.control_end {
            Some(ControlEnd::Cleared) => TerminateCause::UserRequest,
            Some(ControlEnd::Stopped) => TerminateCause::CtrlStop,
            Some(ControlEnd::Closed | ControlEnd::EchoSilent) => TerminateCause::CtrlReset,
            Some(ControlEnd::Signal) => TerminateCause::NasReboot,
            Some(ControlEnd::Gre) => TerminateCause::NasError,
            // pptpctrl ends without a word for a Call-Clear-Request alone.
            None if self.has(flag::HANGUP | flag::CALLED | flag::CONTROL_OVER) => {
                TerminateCause::UserRequest
            }
            Some(ControlEnd::Terminal) | None if self.has(flag::HANGUP) => {
                TerminateCause::LostCarrier
            }
            Some(ControlEnd::Terminal) | None => TerminateCause::Unknown,
        }
    }
}

/// The octets of a name that are kept.
pub(super) fn cut(name: &[u8]) -> &[u8] {
    &name[..name.len().min(LONGEST)]
}

/// What a session is found by on its host.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who<'a> {
    Control(u32),
    Ppp(u32),
    Interface(&'a [u8]),
}

/// A place in the table and who was there: if that is another by now, the first
/// one is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: usize,
    /// How many sessions were added up to it. Unlike a session's number this
    /// stays when two turn out to be one.
    pub(super) birth: u64,
}

/// 2^64 by the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Live>>,
    free: Vec<usize>,
    index: Index,
    /// By age; those that are gone may still be in it.
    order: VecDeque<Place>,
    births: u64,
    pub(super) last_number: u64,
    hasher: DefaultHashBuilder,
}

impl Table {
    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&Live> {
        self.slots.get(slot)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Live> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// The slot, if the session that was there still is.
    pub(super) fn still(&self, place: Place) -> Option<usize> {
        let live = self.get(place.slot)?;
        (live.birth == place.birth).then_some(place.slot)
    }

    pub(super) fn place(&self, slot: usize) -> Place {
        Place { slot, birth: self.get(slot).map_or(0, |live| live.birth) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Live> {
        self.slots.iter().flatten()
    }

    /// Slots of one host.
    pub(super) fn of_host(&self, host: u64) -> Vec<usize> {
        let on_it = |live: &Live| live.host_key == host;
        (0..self.slots.len()).filter(|slot| self.get(*slot).is_some_and(on_it)).collect()
    }

    pub(super) fn host_key(&self, host: &[u8]) -> u64 {
        self.hasher.hash_one(host)
    }

    /// Host keys are hashes under a secret of this table, so nobody who writes
    /// into a log can aim at a key.
    #[inline(always)]
    fn key(&self, host: u64, who: Who<'_>) -> u64 {
        let who = match who {
            Who::Control(pid) => 1 << 32 | u64::from(pid),
            Who::Ppp(pid) => 2 << 32 | u64::from(pid),
            Who::Interface(name) => 1 << 63 | self.hasher.hash_one(name),
        };
        let product = u128::from(host ^ who.rotate_left(17)) * u128::from(MULTIPLIER ^ who);
        (product >> 64) as u64 ^ product as u64
    }

    #[inline(always)]
    pub(super) fn find(&self, host: u64, who: Who<'_>) -> Option<usize> {
        self.index.get(self.key(host, who)).map(|slot| slot as usize)
    }

    /// Makes a session; the oldest makes room.
    pub(super) fn add(&mut self, mut live: Live) -> usize {
        while self.slots.len() - self.free.len() >= MOST {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(slot) = self.still(oldest) {
                self.remove(slot);
            }
        }
        if self.order.len() > 2 * (self.slots.len() - self.free.len()) + 64 {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|place| self.still(*place).is_some());
            self.order = order;
        }
        self.births += 1;
        live.birth = self.births;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(live);
                slot
            }
            None => {
                self.slots.push(Some(live));
                self.slots.len() - 1
            }
        };
        self.order.push_back(Place { slot, birth: self.births });
        self.enter(slot);
        slot
    }

    /// Lets a session be found by all that it is known by.
    fn enter(&mut self, slot: usize) {
        for key in self.keys(slot).into_iter().flatten() {
            self.index.insert(key, slot as u32);
        }
    }

    /// Undoes [`Table::enter`].
    fn leave(&mut self, slot: usize) {
        for key in self.keys(slot).into_iter().flatten() {
            self.index.remove(key, slot as u32);
        }
    }

    /// Lets a session be found by one thing more.
    pub(super) fn bind(&mut self, slot: usize, who: Who<'_>) {
        if let Some(live) = self.get(slot) {
            let key = self.key(live.host_key, who);
            self.index.insert(key, slot as u32);
        }
    }

    /// Undoes [`Table::bind`].
    pub(super) fn unbind(&mut self, slot: usize, who: Who<'_>) {
        if let Some(live) = self.get(slot) {
            let key = self.key(live.host_key, who);
            self.index.remove(key, slot as u32);
        }
    }

    fn keys(&self, slot: usize) -> [Option<u64>; 3] {
        let Some(live) = self.get(slot) else { return [None; 3] };
        let (host, session) = (live.host_key, &live.session);
        let named = live.program == Program::AccelPpp && !session.if_name.is_empty();
        [
            session.control_pid.map(|pid| self.key(host, Who::Control(pid))),
            session.ppp_pid.map(|pid| self.key(host, Who::Ppp(pid))),
            named.then(|| self.key(host, Who::Interface(&session.if_name))),
        ]
    }

    pub(super) fn remove(&mut self, slot: usize) {
        self.leave(slot);
        if let Some(live) = self.slots.get_mut(slot)
            && live.is_some()
        {
            *live = None;
            self.free.push(slot);
        }
    }
}
