//! Sessions of pptpd: a process for the control connection and a pppd.

use std::net::{IpAddr, Ipv4Addr};

use super::table::{Place, Who, flag};
use super::{GivenUp, Joiner, MOST_LOOSE, Origin, Tell};
use crate::gateway::tracker::TerminateCause;
use crate::log::daemon::pppd::{self, Said as Pppd};
use crate::log::daemon::pptpd::{ControlEnd, Said as Pptpd};
use crate::log::entry::Stamp;
use crate::log::event::What;
use crate::reason::{Phase, Reason};

/// What a session has of its control connection.
#[derive(Debug)]
struct Control {
    pid: u32,
    flags: u16,
    end: Option<ControlEnd>,
    peer: Option<IpAddr>,
    started: Option<Stamp>,
    number: u64,
}

impl Joiner {
    pub(super) fn pptpd(&mut self, said: Pptpd, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        let slot = origin.pid.and_then(|pid| self.find(origin, Who::Control(pid)));
        match said {
            Pptpd::ManagerUp => self.tell(What::ServerUp, None, origin, tell),
            Pptpd::ManagerFailed => self.tell(What::ServerDown, None, origin, tell),
            Pptpd::PoolExhausted => self.tell(What::PoolExhausted, None, origin, tell),
            Pptpd::Refused => self.tell(What::ControlRefused, None, origin, tell),
            Pptpd::GreFailed => {
                self.control_ends(slot, ControlEnd::Gre);
                self.tell(What::GreError, slot, origin, tell);
            }
            Pptpd::ControlUp(peer) => self.control_up(slot, peer, origin, tell),
            Pptpd::CallUp => {
                let Some(slot) = slot.or_else(|| self.begin_control(origin)) else { return };
                if let Some(live) = self.table.get_mut(slot) {
                    live.flags |= flag::BEGAN | flag::CALLED;
                    live.advance(Phase::Call);
                    if live.session.ppp_pid.is_none() {
                        let place = self.table.place(slot);
                        hold(&mut self.calls, place);
                    }
                }
                self.tell(What::CallUp, Some(slot), origin, tell);
            }
            Pptpd::Ends(end) => {
                let slot = slot.or_else(|| self.begin_control(origin));
                self.control_ends(slot, end);
            }
            Pptpd::Reaps(ppp) => {
                if let Some(control) = origin.pid {
                    self.reaps(slot, control, ppp, origin);
                }
            }
            Pptpd::ControlDown(peer) => self.control_down(slot, peer, origin, tell),
        }
    }

    fn begin_control(&mut self, origin: &Origin<'_>) -> Option<usize> {
        Some(self.begin(origin, Some(origin.pid?), None))
    }

    fn control_ends(&mut self, slot: Option<usize>, end: ControlEnd) {
        if let Some(live) = slot.and_then(|slot| self.table.get_mut(slot)) {
            live.control_end.get_or_insert(end);
        }
    }

    fn control_up(
        &mut self,
        old: Option<usize>,
        peer: Ipv4Addr,
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        if let Some(old) = old {
            // Its number is used again.
            self.end(old, origin, tell);
            self.table.remove(old);
        }
        let Some(slot) = self.begin_control(origin) else { return };
        if let Some(live) = self.table.get_mut(slot) {
            live.flags |= flag::BEGAN | flag::CONTROL_UP;
            live.session.peer = Some(peer.into());
        }
        self.tell(What::ControlUp, Some(slot), origin, tell);
    }

    fn control_down(
        &mut self,
        slot: Option<usize>,
        peer: Ipv4Addr,
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        let peer = Some(peer.into());
        let Some(mut slot) = slot else {
            self.tell_of(What::ControlDown, None, b"", peer, origin, tell);
            return;
        };
        let Some(live) = self.table.get_mut(slot) else { return };
        live.flags |= flag::CONTROL_OVER;
        live.session.peer = live.session.peer.or(peer);
        if live.has(flag::CALLED) && live.session.ppp_pid.is_none() {
            // pptpctrl ends right behind its pppd: the last one of which
            // nobody knows whose it was.
            let loose = self.waiting.iter().rev().find_map(|waiting| {
                let at = self.table.still(waiting.place)?;
                let live = self.table.get(at)?;
                let fits = live.session.control_pid.is_none()
                    && live.host_key == origin.host_key
                    && (live.session.peer.is_none() || live.session.peer == peer);
                fits.then_some(at)
            });
            if let Some(loose) = loose {
                self.move_control(slot, loose);
                slot = loose;
            } else {
                let alone = |session: &GivenUp| session.without_control;
                let known = self.given_up(origin, |session| alone(session) && session.peer == peer);
                let any =
                    || self.given_up(origin, |session| alone(session) && session.peer.is_none());
                self.told_already(slot, known.or_else(any));
            }
        }
        let Some(live) = self.table.get(slot) else { return };
        let ppp = live.session.ppp_pid.is_some();
        let waits = if ppp { !live.has(flag::PPP_OVER) } else { live.has(flag::CALLED) };
        if waits {
            self.tell_of(What::ControlDown, Some(slot), b"", peer, origin, tell);
            self.wait(slot, origin.at);
        } else {
            if ppp {
                self.end(slot, origin, tell);
            }
            self.tell_of(What::ControlDown, Some(slot), b"", peer, origin, tell);
            self.table.remove(slot);
        }
    }

    /// The one sentence that says whose pppd it is.
    fn reaps(&mut self, slot: Option<usize>, control: u32, ppp: u32, origin: &Origin<'_>) {
        match (slot, self.find(origin, Who::Ppp(ppp))) {
            (Some(from), Some(to)) if from != to => self.move_control(from, to),
            (Some(slot), None) => {
                let known = self.table.get(slot).is_some_and(|live| live.session.ppp_pid.is_some());
                let told = self.given_up(origin, |session| session.ppp_pid == ppp);
                if told.is_some() {
                    self.told_already(slot, told);
                } else if !known {
                    self.bind_ppp(slot, ppp);
                }
            }
            (None, Some(slot)) => {
                let known =
                    self.table.get(slot).is_some_and(|live| live.session.control_pid.is_some());
                if !known {
                    if let Some(live) = self.table.get_mut(slot) {
                        live.session.control_pid = Some(control);
                    }
                    self.table.bind(slot, Who::Control(control));
                }
            }
            (None, None) => {
                self.begin(origin, Some(control), Some(ppp));
            }
            _ => {}
        }
    }

    /// What became of a call was told with a pppd that was given up: it is none
    /// any more.
    fn told_already(&mut self, slot: usize, given_up: Option<usize>) {
        let Some(given_up) = given_up else { return };
        self.given_up.remove(given_up);
        self.forget_calls(|place| place.slot == slot);
        if let Some(live) = self.table.get_mut(slot) {
            live.flags &= !flag::CALLED;
        }
    }

    /// Mostly one of them, and often none.
    #[inline]
    fn forget_calls(&mut self, of: impl Fn(&Place) -> bool) {
        let mut from = 0;
        while let Some(at) = self.calls[from..].iter().position(&of) {
            from += at;
            self.calls.remove(from);
        }
    }

    /// The call has its pppd.
    fn bind_ppp(&mut self, slot: usize, ppp: u32) {
        self.forget_calls(|place| place.slot == slot);
        if let Some(live) = self.table.get_mut(slot) {
            live.session.ppp_pid = Some(ppp);
        }
        self.table.bind(slot, Who::Ppp(ppp));
    }

    /// Gives the control connection of one session to another, and the other's
    /// back, if it had a wrong one.
    fn move_control(&mut self, from: usize, to: usize) {
        self.forget_calls(|place| place.slot == from || place.slot == to);
        let (given, back) = (self.take_control(from), self.take_control(to));
        let emptied = back.is_none()
            && self.table.get(from).is_some_and(|live| live.session.ppp_pid.is_none());
        if let Some(mut given) = given {
            if !emptied {
                // Both live on, each with its number.
                given.number = u64::MAX;
            }
            self.put_control(to, &given);
        }
        match back {
            Some(back) => {
                self.put_control(from, &Control { number: u64::MAX, ..back });
                let alone = self.table.get(from).filter(|live| live.session.ppp_pid.is_none());
                if alone.is_some_and(|live| live.has(flag::CALLED)) {
                    let place = self.table.place(from);
                    hold(&mut self.calls, place);
                }
            }
            None if emptied => {
                self.table.remove(from);
            }
            None => {}
        }
    }

    fn take_control(&mut self, slot: usize) -> Option<Control> {
        let pid = self.table.get(slot)?.session.control_pid?;
        self.table.unbind(slot, Who::Control(pid));
        self.table.get_mut(slot).map(|live| {
            let control = Control {
                pid,
                flags: live.flags & flag::OF_CONTROL,
                end: live.control_end.take(),
                peer: live.session.peer,
                started: live.session.started,
                number: live.session.number,
            };
            live.flags &= !flag::OF_CONTROL;
            live.session.control_pid = None;
            if !live.has(flag::PEER_SAID) {
                live.session.peer = None;
            }
            control
        })
    }

    fn put_control(&mut self, slot: usize, control: &Control) {
        if let Some(live) = self.table.get_mut(slot) {
            let session = &mut live.session;
            session.control_pid = Some(control.pid);
            session.peer = session.peer.or(control.peer);
            session.started = session.started.min(control.started).or(session.started);
            session.number = session.number.min(control.number);
            live.flags |= control.flags;
            live.control_end = control.end;
            live.advance(Phase::Call);
        }
        self.table.bind(slot, Who::Control(control.pid));
    }

    /// The session of a pppd. One that is not known begins with what is said,
    /// unless that says nothing of a session.
    fn of_ppp(
        &mut self,
        said: &Pppd<'_>,
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) -> Option<usize> {
        let pid = origin.pid?;
        let known = self.find(origin, Who::Ppp(pid));
        if let Some(slot) = known {
            let live = self.table.get(slot)?;
            let again = match said {
                Pppd::Starts => live.flags & (flag::STARTED | flag::PPP_OVER) != 0,
                Pppd::Connects(_) => live.has(flag::TERMINATED),
                _ => false,
            };
            if !again {
                return Some(slot);
            }
            // Its number is used again, or it dials again (`persist`).
            self.end(slot, origin, tell);
            self.table.remove(slot);
        }
        let begins = match said {
            Pppd::Exits | Pppd::Terminated | Pppd::LcpAcked { .. } if known.is_none() => {
                return None;
            }
            Pppd::EchoSilent
            | Pppd::TerminatedByPeer(_)
            | Pppd::Ends(_)
            | Pppd::Hangup
            | Pppd::MppeDown
            | Pppd::Counted { .. } => 0,
            _ => flag::BEGAN,
        };
        if begins == 0 && self.given_up(origin, |session| session.ppp_pid == pid).is_some() {
            return None;
        }
        if begins != 0 {
            // A call that alone has no pppd.
            let mut calls = self.calls.iter().filter_map(|place| self.call_of(*place, origin));
            if let (Some(call), None) = (calls.next(), calls.next()) {
                self.bind_ppp(call, pid);
                return Some(call);
            }
        }
        let slot = self.begin(origin, None, Some(pid));
        self.table.get_mut(slot)?.flags |= begins;
        Some(slot)
    }

    /// The session of a call without pppd, if it is of this host.
    fn call_of(&self, place: Place, origin: &Origin<'_>) -> Option<usize> {
        let slot = self.table.still(place)?;
        (self.table.get(slot)?.host_key == origin.host_key).then_some(slot)
    }

    pub(super) fn pppd(&mut self, said: Pppd<'_>, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        let Some(slot) = self.of_ppp(&said, origin, tell) else { return };
        if let Pppd::Authorized(Some(peer)) = said {
            self.authorized(slot, peer.into(), origin);
        }
        let Some(live) = self.table.get_mut(slot) else { return };
        live.flags |= flag::PPP_SEEN;
        let open = live.session.opened.is_some();
        match said {
            Pppd::Starts => live.flags |= flag::STARTED,
            Pppd::Interface(name) => live.call_interface(name),
            Pppd::Connects(name) => {
                live.call_interface(name);
                live.advance(Phase::Lcp);
            }
            Pppd::LcpAcked { ours, method } => {
                live.flags |= if ours { flag::ACK_OURS } else { flag::ACK_PEERS };
                live.session.method = method.or(live.session.method);
                if live.has(flag::ACKS) && !live.has(flag::LCP_UP) {
                    live.flags |= flag::LCP_UP;
                    live.advance(Phase::Auth);
                    self.tell(What::LcpUp, Some(slot), origin, tell);
                }
            }
            Pppd::Name { user, method } => {
                live.call_user(&pppd::unquoted(user));
                live.session.method = method.or(live.session.method);
                live.advance(Phase::Auth);
            }
            Pppd::Authorized(_) => {
                live.advance(Phase::Ccp);
                self.proved(slot, origin, tell);
            }
            Pppd::Proved { user, method } => {
                live.call_user(&pppd::unquoted(user));
                live.session.method = method.or(live.session.method);
                live.advance(Phase::Ccp);
                self.proved(slot, origin, tell);
            }
            Pppd::Refuted { user, method, reason } => {
                let user = pppd::unquoted(user);
                live.call_user(&user);
                live.session.method = method.or(live.session.method);
                live.advance(Phase::Auth);
                live.fails(Phase::Auth, reason);
                self.tell_of(What::AuthFailure, Some(slot), &user, None, origin, tell);
            }
            Pppd::Radius(reason) => {
                if !live.session.authenticated {
                    live.fails(Phase::Auth, reason);
                }
                self.tell(What::RadiusError, Some(slot), origin, tell);
            }
            Pppd::MppeUp { encryption, stateless } => {
                live.session.encryption = Some(encryption);
                live.session.stateless = Some(stateless);
                live.advance(Phase::Ipcp);
                self.tell(What::MppeUp, Some(slot), origin, tell);
            }
            Pppd::MppeFailed(reason) => self.mppe_fails(slot, reason, origin, tell),
            Pppd::MppeDown => {
                // It goes down with every link; only what comes first tells.
                let first = live.cause.is_none() && live.failure.is_none();
                if first && !live.has(flag::HANGUP) {
                    self.mppe_fails(slot, Reason::MppeRefused, origin, tell);
                }
            }
            Pppd::AddressFailed(reason) => {
                live.advance(Phase::Ipcp);
                live.fails(Phase::Ipcp, reason);
                self.tell(What::AddressFailure, Some(slot), origin, tell);
            }
            Pppd::Assigned(assigned) => {
                live.session.assigned = Some(assigned);
                self.opens(slot, origin, tell);
            }
            Pppd::LcpFailed(reason) => {
                live.advance(Phase::Lcp);
                live.fails(Phase::Lcp, reason);
                live.ends(TerminateCause::LcpTimeout);
                if reason == Reason::Silent {
                    self.tell(What::LcpTimeout, Some(slot), origin, tell);
                }
            }
            Pppd::EchoSilent => {
                live.ends(TerminateCause::EchoTimeout);
                live.fails(live.phase, Reason::EchoSilent);
                self.tell(What::EchoTimeout, Some(slot), origin, tell);
            }
            Pppd::TerminatedByPeer(text) => {
                live.ends(match text {
                    b"Peer not responding" => TerminateCause::EchoTimeout,
                    b"Link inactive" => TerminateCause::IdleTimeout,
                    b"Connect time expired" => TerminateCause::SessionTimeout,
                    _ => TerminateCause::UserRequest,
                });
                match text {
                    b"MPPE required but peer refused" if !open => {
                        self.mppe_fails(slot, Reason::MppeRefused, origin, tell);
                    }
                    _ => live.fails(live.phase, Reason::Terminated),
                }
            }
            Pppd::Ends(cause) => {
                live.ends(cause);
                live.fails(live.phase, Reason::Terminated);
            }
            Pppd::Hangup => live.flags |= flag::HANGUP,
            Pppd::Counted { sent, received } => {
                live.session.sent = Some(sent);
                live.session.received = Some(received);
            }
            Pppd::Terminated => live.flags |= flag::TERMINATED,
            Pppd::Exits => self.exits(slot, origin, tell),
        }
    }

    /// The address is known; a call from there may have waited for this pppd.
    fn authorized(&mut self, slot: usize, peer: IpAddr, origin: &Origin<'_>) {
        let Some(live) = self.table.get(slot) else { return };
        let wrong = live.session.peer.is_some_and(|known| known != peer);
        if wrong || live.session.control_pid.is_none() {
            let call = self.calls.iter().find_map(|place| {
                let call = self.call_of(*place, origin)?;
                (self.table.get(call)?.session.peer == Some(peer)).then_some(call)
            });
            if let Some(call) = call {
                self.move_control(call, slot);
            }
        }
        if let Some(live) = self.table.get_mut(slot) {
            live.flags |= flag::PEER_SAID;
            live.session.peer = Some(peer);
        }
    }

    pub(super) fn proved(&mut self, slot: usize, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        if let Some(live) = self.table.get_mut(slot)
            && !live.session.authenticated
        {
            live.session.authenticated = true;
            self.tell(What::AuthSuccess, Some(slot), origin, tell);
        }
    }

    pub(super) fn mppe_fails(
        &mut self,
        slot: usize,
        reason: Reason,
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        let Some(live) = self.table.get_mut(slot) else { return };
        live.advance(Phase::Ccp);
        live.fails(Phase::Ccp, reason);
        live.ends(TerminateCause::MppeLost);
        if !live.has(flag::MPPE_FAILED) {
            live.flags |= flag::MPPE_FAILED;
            self.tell(What::MppeFailure, Some(slot), origin, tell);
        }
    }

    pub(super) fn opens(&mut self, slot: usize, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        let Some(live) = self.table.get_mut(slot) else { return };
        // Whatever was said of its end before: it did not end.
        (live.cause, live.failure) = (None, None);
        let what = if live.session.opened.is_some() {
            live.session.renegotiations = live.session.renegotiations.saturating_add(1);
            What::Renegotiated
        } else {
            live.session.opened = Some(origin.at);
            live.advance(Phase::Done);
            What::SessionUp
        };
        self.tell(what, Some(slot), origin, tell);
    }

    fn exits(&mut self, slot: usize, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        let Some(live) = self.table.get_mut(slot) else { return };
        live.flags |= flag::PPP_OVER;
        let waits = match live.session.control_pid {
            Some(_) => !live.has(flag::CONTROL_OVER),
            None => self.calls.iter().any(|place| self.call_of(*place, origin).is_some()),
        };
        if waits {
            self.wait(slot, origin.at);
        } else {
            self.end(slot, origin, tell);
            self.table.remove(slot);
        }
    }
}

/// Holds one more place, the oldest of too many goes.
pub(super) fn hold(places: &mut Vec<Place>, place: Place) {
    if places.len() >= MOST_LOOSE {
        places.remove(0);
    }
    places.push(place);
}
