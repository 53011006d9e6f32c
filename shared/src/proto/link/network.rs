//! CCP and IPCP of a link, side by side: encryption and an address.

use std::time::Instant;

use super::{CCP_HOLD, Event, Link, Stage};
use crate::proto::automaton;
use crate::proto::ccp;
use crate::proto::mppe::{Decryptor, Encryptor, Mode};
use crate::reason::{Phase, Reason};
use crate::wire::cp::{Code, Packet, RawOption};
use crate::wire::ppp::{self, Frame};

impl Link {
    pub(super) fn enter_network(&mut self, now: Instant) {
        self.stage = Stage::Network;
        self.ccp_done = false;
        self.encryptor = None;
        self.decryptor = None;
        self.ipcp.open(now);
        if self.wants_mppe() {
            self.ccp.open(now);
            self.ccp_hold_until = Some(now + CCP_HOLD);
        } else {
            self.ccp_done(None);
            self.start_ipcp(now);
        }
    }

    pub(super) fn wants_mppe(&self) -> bool {
        self.keys.is_some() && self.mppe.allows_encryption()
    }

    pub(super) fn start_ccp(&mut self, now: Instant) {
        self.ccp_hold_until = None;
        if self.wants_mppe() {
            self.ccp.lower_up(now);
        }
    }

    pub(super) fn start_ipcp(&mut self, now: Instant) {
        self.ipcp.lower_up(now);
    }

    pub(super) fn handle_ccp(&mut self, frame: Frame<'_>, now: Instant) {
        let packet = Packet::parse(frame.information);
        let asked = match &packet {
            Ok(Packet { code: Code::ConfigureRequest, data, .. }) => {
                RawOption::parse_list(data).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if !self.wants_mppe() {
            // pppd without MPPE asks for Deflate and BSD-Compress here.
            self.mppe_rejected |= asked.iter().any(ccp::is_mppe);
            return self.reject_protocol(frame);
        }
        let Ok(packet) = packet else {
            self.counters.malformed += 1;
            return;
        };
        if self.ccp_hold_until.is_some() {
            self.ccp.negotiator_mut().follow(&asked);
        }
        self.start_ccp(now);
        let Some(packet) = self.ccp.handle_packet(packet, now) else { return };
        match packet.code {
            Code::ResetRequest => {
                self.counters.resets += 1;
                if let Some(encryptor) = &mut self.encryptor {
                    encryptor.reset();
                }
                let packet = Packet { code: Code::ResetAck, ..packet };
                self.send_frame(ppp::CCP, &packet.emit());
            }
            // The next encrypted frame is flushed; that is what counts.
            Code::ResetAck => {}
            _ => self.ccp.reject_code(&packet),
        }
    }

    pub(super) fn on_ccp_event(&mut self, event: automaton::Event, now: Instant) {
        match event {
            automaton::Event::Up => self.ccp_up(now),
            automaton::Event::Down => {
                self.encryptor = None;
                self.decryptor = None;
                self.ccp_done = false;
            }
            automaton::Event::Silent if !self.mppe.allow_none => self.fail(
                Phase::Ccp,
                Reason::Silent,
                "gateway answered none of our CCP Configure-Requests",
            ),
            automaton::Event::NotConverging => {
                self.fail(Phase::Ccp, Reason::MppeRefused, "gateway and caller never agree on MPPE")
            }
            automaton::Event::Silent
            | automaton::Event::Rejected
            | automaton::Event::TerminateRequested(_)
            | automaton::Event::Finished => self.no_mppe(now),
        }
    }

    fn ccp_up(&mut self, now: Instant) {
        let ccp = self.ccp.negotiator();
        let modes = ccp.transmit_mode().zip(ccp.receive_mode());
        let (Some((transmit, receive)), Some(keys)) = (modes, &self.keys) else {
            return self.no_mppe(now);
        };
        self.encryptor = Some(Encryptor::new(keys, transmit));
        self.decryptor = Some(Decryptor::new(keys, receive));
        self.ccp_done(Some(receive));
        self.start_ipcp(now);
        // See the module's opening: an answer to the IPCP request would have
        // come before the answers to the CCP packets that followed it.
        if self.ipcp.request_sent_at().is_some() && self.ipcp_sent < self.ccp_sent {
            self.ipcp.resend_request(now);
        }
    }

    fn ccp_done(&mut self, mode: Option<Mode>) {
        if !self.ccp_done {
            self.ccp_done = true;
            self.events.push_back(Event::CcpDone(mode));
        }
    }

    fn no_mppe(&mut self, now: Instant) {
        if self.ccp_done || self.stage != Stage::Network {
            return;
        }
        if !self.mppe.allow_none {
            return self.mppe_refused();
        }
        self.ccp_done(None);
        self.start_ipcp(now);
    }

    pub(super) fn mppe_refused(&mut self) {
        let offered = match self.ccp().offered() {
            Some(bits) => {
                format!("gateway offers {} MPPE, which is not allowed here", ccp::describe(bits))
            }
            None => "gateway refuses MPPE".to_owned(),
        };
        self.fail(Phase::Ccp, Reason::MppeRefused, offered);
    }

    pub(super) fn on_ipcp_event(&mut self, event: automaton::Event) {
        match event {
            automaton::Event::Up if self.ipcp().address().is_none() => {
                self.fail(Phase::Ipcp, Reason::NoAddress, "gateway gave no address");
            }
            automaton::Event::Up => self.events.push_back(Event::NetworkUp),
            automaton::Event::Down => {}
            automaton::Event::Silent => self.fail(
                Phase::Ipcp,
                Reason::Silent,
                "gateway answered none of our IPCP Configure-Requests",
            ),
            automaton::Event::NotConverging => self.fail(
                Phase::Ipcp,
                Reason::NoAddress,
                "gateway and caller never agree on an address",
            ),
            automaton::Event::Rejected
            | automaton::Event::TerminateRequested(_)
            | automaton::Event::Finished => {
                self.fail(Phase::Ipcp, Reason::IpcpRefused, "gateway refuses IP inside the tunnel");
            }
        }
    }
}
