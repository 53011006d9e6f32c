//! Sessions of accel-ppp: one process, so that only the interface tells them
//! apart, and before there is one nothing does. What is said of a connection
//! without an interface is joined only while there is one alone.

use std::net::IpAddr;

use super::poptop::hold;
use super::table::{Who, flag};
use super::{Joiner, Origin, Tell};
use crate::gateway::tracker::TerminateCause;
use crate::log::daemon::accel_ppp::{self as daemon, Ending, Place, Said};
use crate::log::event::What;
use crate::reason::{Phase, Reason};

impl Joiner {
    pub(super) fn accel_ppp(&mut self, origin: &Origin<'_>, own_log: bool, tell: &mut Tell<'_>) {
        // The line of the daemon itself that repeats a session's.
        if !self.refuted.is_empty() && *self.refuted == *origin.message {
            self.refuted.clear();
            return;
        }
        let (place, text) = match own_log {
            true => daemon::in_file(origin.message),
            false => daemon::by_syslog(origin.message),
        };
        let mut slot = match place {
            Place::Daemon => {
                if let Some(said) = daemon::of_daemon(text) {
                    self.accel_daemon(said, origin, tell);
                }
                return;
            }
            Place::Nameless => self.nameless(origin),
            Place::Interface(name) => self.find(origin, Who::Interface(name)),
        };
        let text = match own_log {
            true => text,
            false => {
                let live = slot.and_then(|slot| self.table.get(slot));
                daemon::behind_user(text, live.map_or(&b""[..], |live| &live.session.user))
            }
        };
        let Some(said) = daemon::of_session(text) else { return };
        if let Said::Connects(peer) = said {
            if let Place::Interface(name) = place {
                self.connects(name, peer.map(IpAddr::V4), origin, tell);
            }
            return;
        }
        if let (None, Place::Interface(name)) = (slot, place) {
            // It began before the log.
            let begun = self.begin(origin, None, None);
            self.name(begun, name);
            slot = Some(begun);
        }
        match slot {
            Some(slot) => self.accel_session(slot, said, text, origin, tell),
            None => self.accel_unknown(said, text, origin, tell),
        }
    }

    fn accel_daemon(&mut self, said: Said<'_>, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        match said {
            Said::ServerUp => {
                let ours = |live: &super::Live| live.program == origin.program;
                self.end_all(origin, ours, tell);
                self.tell(What::ServerUp, None, origin, tell);
            }
            Said::ServerDown => self.tell(What::ServerDown, None, origin, tell),
            Said::ControlUp(peer) => {
                let slot = self.begin_nameless(origin);
                if let Some(live) = self.table.get_mut(slot) {
                    live.flags |= flag::CONTROL_UP | flag::TALKS;
                    live.session.peer = Some(peer.into());
                }
                self.tell(What::ControlUp, Some(slot), origin, tell);
            }
            Said::Refused => self.tell(What::ControlRefused, None, origin, tell),
            Said::Radius { .. } => self.tell(What::RadiusError, None, origin, tell),
            _ => {}
        }
    }

    fn begin_nameless(&mut self, origin: &Origin<'_>) -> usize {
        let slot = self.begin(origin, None, None);
        if let Some(live) = self.table.get_mut(slot) {
            live.flags |= flag::BEGAN;
        }
        self.nameless.retain(|place| self.table.still(*place).is_some());
        let place = self.table.place(slot);
        hold(&mut self.nameless, place);
        slot
    }

    /// The only connection of the host that has no interface.
    fn nameless(&self, origin: &Origin<'_>) -> Option<usize> {
        let mut all = self.nameless.iter().filter_map(|place| {
            let slot = self.table.still(*place)?;
            (self.table.get(slot)?.host_key == origin.host_key).then_some(slot)
        });
        all.next().filter(|_| all.next().is_none())
    }

    fn name(&mut self, slot: usize, name: &[u8]) {
        if let Some(live) = self.table.get_mut(slot) {
            live.call_interface(name);
        }
        self.table.bind(slot, Who::Interface(name));
        self.nameless.retain(|place| place.slot != slot);
    }

    /// A connection gets its interface, once the proof is good.
    fn connects(
        &mut self,
        name: &[u8],
        peer: Option<IpAddr>,
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        if let Some(old) = self.find(origin, Who::Interface(name)) {
            self.end(old, origin, tell);
            self.table.remove(old);
        }
        let same = self.nameless.iter().find_map(|place| {
            let slot = self.table.still(*place)?;
            let live = self.table.get(slot)?;
            (live.host_key == origin.host_key && live.session.peer == peer).then_some(slot)
        });
        let slot = match same {
            Some(slot) if peer.is_some() => slot,
            _ => self.begin(origin, None, None),
        };
        self.name(slot, name);
        let Some(live) = self.table.get_mut(slot) else { return };
        live.flags |= flag::BEGAN;
        live.session.peer = peer;
        live.advance(Phase::Auth);
        if peer.is_none() {
            live.flags |= flag::FOREIGN;
        } else {
            self.call_up(slot, origin, tell);
        }
    }

    fn call_up(&mut self, slot: usize, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        if let Some(live) = self.table.get_mut(slot)
            && !live.has(flag::CALLED)
        {
            live.flags |= flag::CALLED;
            live.advance(Phase::Call);
            self.tell(What::CallUp, Some(slot), origin, tell);
        }
    }

    /// What is said of one of several connections without an interface, or of
    /// one that came before the log.
    fn accel_unknown(
        &mut self,
        said: Said<'_>,
        text: &[u8],
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        let several = self.nameless.iter().any(|place| self.table.still(*place).is_some());
        match said {
            Said::Disconnected => {
                // Which one is told by what failed before, or it is the oldest.
                let mut all = self.nameless.iter().filter_map(|place| {
                    let slot = self.table.still(*place)?;
                    let live = self.table.get(slot)?;
                    (live.host_key == origin.host_key).then_some((slot, live.failure.is_some()))
                });
                let first = all.next();
                let over = first.into_iter().chain(all).find(|(_, failed)| *failed).or(first);
                match over {
                    Some((slot, _)) => self.disconnected(slot, origin, tell),
                    None => self.tell(What::ControlDown, None, origin, tell),
                }
            }
            Said::Refuted(_) if !several => {
                let slot = self.begin_nameless(origin);
                self.accel_session(slot, said, text, origin, tell);
            }
            Said::Refuted(user) => {
                self.refuted_by(text);
                self.tell_of(What::AuthFailure, None, user, None, origin, tell);
            }
            Said::Name { user, .. } if !several => {
                let slot = self.begin_nameless(origin);
                if let Some(live) = self.table.get_mut(slot) {
                    live.call_user(user);
                    live.flags |= flag::TALKS;
                }
            }
            Said::Refused => self.tell(What::ControlRefused, None, origin, tell),
            Said::CallUp => self.tell(What::CallUp, None, origin, tell),
            Said::AuthSilent => self.tell(What::AuthFailure, None, origin, tell),
            Said::Radius { .. } => self.tell(What::RadiusError, None, origin, tell),
            Said::GreFailed => self.tell(What::GreError, None, origin, tell),
            _ => {}
        }
    }

    fn refuted_by(&mut self, text: &[u8]) {
        self.refuted.clear();
        // Longer ones are cut by the daemon (LOG_MAX_SIZE).
        self.refuted.extend_from_slice(&text[..text.len().min(4096)]);
    }

    fn accel_session(
        &mut self,
        slot: usize,
        said: Said<'_>,
        text: &[u8],
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        let Some(live) = self.table.get_mut(slot) else { return };
        let open = live.session.opened.is_some();
        if text.starts_with(b"recv [") || text.starts_with(b"send [") || said == Said::Talk {
            live.flags |= flag::TALKS;
        }
        match said {
            Said::Disconnected => self.disconnected(slot, origin, tell),
            Said::Refused => {
                live.fails(Phase::Control, Reason::Malformed);
                self.tell(What::ControlRefused, Some(slot), origin, tell);
            }
            Said::CallUp => self.call_up(slot, origin, tell),
            Said::LcpAsked => live.advance(Phase::Lcp),
            Said::LcpAcked { ours } => {
                live.flags |= if ours { flag::ACK_OURS } else { flag::ACK_PEERS };
                if live.has(flag::ACKS) {
                    live.flags = live.flags & !flag::ACKS | flag::LCP_UP;
                    live.advance(Phase::Auth);
                    if !open {
                        self.tell(What::LcpUp, Some(slot), origin, tell);
                    }
                }
            }
            Said::Name { user, method } => {
                live.call_user(user);
                live.session.method = Some(method);
            }
            Said::Proved(user) => {
                live.call_user(user);
                live.advance(Phase::Ccp);
                let talks = live.has(flag::TALKS);
                self.call_up(slot, origin, tell);
                self.proved(slot, origin, tell);
                // Nothing more is said of it at level 3.
                if !talks && !open {
                    self.opens(slot, origin, tell);
                }
            }
            Said::Refuted(user) => {
                live.call_user(user);
                live.advance(Phase::Auth);
                live.fails(Phase::Auth, Reason::AuthRejected);
                self.refuted_by(text);
                self.call_up(slot, origin, tell);
                self.tell_of(What::AuthFailure, Some(slot), user, None, origin, tell);
            }
            Said::AuthSilent => {
                live.fails(Phase::Auth, Reason::Silent);
                self.tell(What::AuthFailure, Some(slot), origin, tell);
            }
            Said::CcpAcked { ours, mppe } => {
                live.flags |= if ours { flag::ACK_OURS } else { flag::ACK_PEERS };
                if let Some((encryption, stateless)) = mppe {
                    live.session.encryption = Some(encryption);
                    live.session.stateless = Some(stateless);
                }
                if live.has(flag::ACKS) {
                    live.flags &= !flag::ACKS;
                    live.advance(Phase::Ipcp);
                    if live.session.encryption.is_some() {
                        self.tell(What::MppeUp, Some(slot), origin, tell);
                    }
                }
            }
            Said::MppeFailed => self.mppe_fails(slot, Reason::MppeRefused, origin, tell),
            Said::AddressAsked(asked) => live.asked = Some(asked),
            Said::IpcpAcked { ours } => {
                // CCP is through by now, so its bits are free.
                live.flags |= if ours { flag::ACK_OURS } else { flag::ACK_PEERS };
                if ours {
                    live.session.assigned = live.asked;
                }
                if live.has(flag::ACKS) {
                    live.flags &= !flag::ACKS;
                    self.opens(slot, origin, tell);
                }
            }
            Said::Opened if !open => self.opens(slot, origin, tell),
            Said::PoolExhausted => {
                live.fails(Phase::Ipcp, Reason::NoAddress);
                self.tell(What::PoolExhausted, Some(slot), origin, tell);
            }
            Said::AddressFailed => {
                live.fails(Phase::Ipcp, Reason::AddressUnexpected);
                self.tell(What::AddressFailure, Some(slot), origin, tell);
            }
            Said::EchoSilent => {
                live.ends(TerminateCause::EchoTimeout);
                live.fails(live.phase, Reason::EchoSilent);
                self.tell(What::EchoTimeout, Some(slot), origin, tell);
            }
            Said::Looped => {
                live.ends(TerminateCause::NasError);
                live.fails(Phase::Lcp, Reason::LcpLoop);
            }
            Said::Ends(ending) => self.accel_ends(slot, ending, origin, tell),
            Said::Radius { ends } => {
                if ends {
                    live.ends(TerminateCause::LostService);
                }
                if !live.session.authenticated {
                    live.fails(Phase::Auth, Reason::RadiusSilent);
                }
                self.tell(What::RadiusError, Some(slot), origin, tell);
            }
            Said::GreFailed => {
                live.fails(Phase::Call, Reason::Local);
                self.tell(What::GreError, Some(slot), origin, tell);
            }
            _ => {}
        }
    }

    fn accel_ends(
        &mut self,
        slot: usize,
        ending: Ending,
        origin: &Origin<'_>,
        tell: &mut Tell<'_>,
    ) {
        let Some(live) = self.table.get_mut(slot) else { return };
        // Nobody answered LCP: the daemon says no more than that it gives up.
        let silent = ending == Ending::ByGateway
            && live.phase == Phase::Lcp
            && live.flags & (flag::ACKS | flag::LCP_UP) == 0
            && live.failure.is_none();
        if silent {
            live.ends(TerminateCause::LcpTimeout);
            live.fails(Phase::Lcp, Reason::Silent);
            self.tell(What::LcpTimeout, Some(slot), origin, tell);
            return;
        }
        let (cause, reason) = match ending {
            Ending::ByPeer => (TerminateCause::UserRequest, Reason::Terminated),
            Ending::ControlStopped => (TerminateCause::CtrlStop, Reason::Closed),
            Ending::ControlClosed => (TerminateCause::CtrlReset, Reason::Closed),
            Ending::ControlSilent => (TerminateCause::CtrlReset, Reason::EchoSilent),
            Ending::ByGateway => (TerminateCause::NasRequest, Reason::Terminated),
            Ending::Idle => (TerminateCause::IdleTimeout, Reason::Terminated),
            Ending::TimeOver => (TerminateCause::SessionTimeout, Reason::Terminated),
        };
        live.ends(cause);
        live.fails(live.phase, reason);
    }

    fn disconnected(&mut self, slot: usize, origin: &Origin<'_>, tell: &mut Tell<'_>) {
        self.end(slot, origin, tell);
        let foreign = self.table.get(slot).is_some_and(|live| live.has(flag::FOREIGN));
        if !foreign {
            self.tell(What::ControlDown, Some(slot), origin, tell);
        }
        self.table.remove(slot);
    }
}
