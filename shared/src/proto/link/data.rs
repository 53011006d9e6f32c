//! What goes through an open link: datagrams, and echoes of LCP.

use std::net::Ipv4Addr;
use std::time::Instant;

use super::Link;
use crate::proto::mppe::DecryptError;
use crate::wire::cp::{Code, Packet};
use crate::wire::ppp::{self, Frame};

/// Network datagrams that the owner did not take yet.
pub(super) const INBOX: usize = 256;
/// Echo-Replies that the owner did not take yet.
const REPLIES: usize = 64;
/// Octets of an MPPE header and of the protocol number that is encrypted with
/// the datagram (RFC 3078, section 3).
const MPPE_OVERHEAD: usize = 4;
/// Octets of an LCP packet before the data of an echo: header and magic number.
const ECHO_HEADER: usize = 8;

impl Link {
    /// Forgets the Echo-Requests that were not answered.
    pub fn give_up_echoes(&mut self) {
        self.echoes.clear();
    }

    /// Sends an LCP Echo-Request; several may be outstanding.
    pub fn echo(&mut self, now: Instant) {
        self.echo_identifier = self.echo_identifier.wrapping_add(1);
        self.echoes.push((self.echo_identifier, now));
        let data = self.lcp().magic().to_be_bytes().to_vec();
        self.send_lcp(Code::EchoRequest, self.echo_identifier, data);
    }

    /// Sends an LCP Echo-Request of so many octets, at least 8, whose reply is
    /// for [`Link::poll_echo`]; gives its identifier.
    pub fn echo_sized(&mut self, length: usize) -> u8 {
        self.echo_identifier = self.echo_identifier.wrapping_add(1);
        let data = self.padded(length);
        self.send_lcp(Code::EchoRequest, self.echo_identifier, data);
        self.echo_identifier
    }

    /// Octets that MPPE adds to a datagram sent.
    pub fn mppe_overhead(&self) -> usize {
        if self.encryptor.is_some() { MPPE_OVERHEAD } else { 0 }
    }

    /// Octets that a datagram sent grows by until it is a PPP frame.
    pub fn overhead_sent(&self) -> usize {
        let protocol = if self.encryptor.is_some() { ppp::COMPRESSED } else { ppp::IPV4 };
        self.header(protocol) + self.mppe_overhead()
    }

    /// The same of a datagram received: we ask for no compressed header, so the
    /// peer sends the whole one.
    pub fn overhead_received(&self) -> usize {
        let mppe = if self.decryptor.is_some() { MPPE_OVERHEAD } else { 0 };
        Frame { protocol: ppp::IPV4, information: &[] }.emit().len() + mppe
    }

    /// Sends an LCP Discard-Request (RFC 1661, section 5.9) in a frame as long
    /// as that of an IPv4 datagram of so many octets: nobody answers, but GRE
    /// acknowledges it.
    pub fn discard_like(&mut self, datagram: usize) {
        let frame = self.overhead_sent() + datagram;
        let data = self.padded(frame - self.header(ppp::LCP).min(frame));
        self.identifier = self.identifier.wrapping_add(1);
        self.send_lcp(Code::DiscardRequest, self.identifier, data);
    }

    /// Octets of the PPP header that a frame of this protocol gets.
    fn header(&self, protocol: u16) -> usize {
        let frame = Frame { protocol, information: &[] };
        frame.emit_compressed(self.lcp().peer_acfc(), self.lcp().peer_pfc()).len()
    }

    fn padded(&self, length: usize) -> Vec<u8> {
        let mut data = self.lcp().magic().to_be_bytes().to_vec();
        data.resize(4 + length.clamp(ECHO_HEADER, 65_000) - ECHO_HEADER, 0);
        data
    }

    /// The next Echo-Reply, whoever asked: identifier, and length of the packet.
    pub fn poll_echo(&mut self) -> Option<(u8, usize)> {
        self.echo_replies.pop_front()
    }

    pub(super) fn keep_echo(&mut self, packet: &Packet) {
        if self.echo_replies.len() == REPLIES {
            self.echo_replies.pop_front();
        }
        self.echo_replies.push_back((packet.identifier, packet.data.len() + 4));
    }

    /// True when a datagram would not be dropped.
    pub fn carries_network(&self) -> bool {
        self.ipcp.is_opened() && self.ccp_done
    }

    /// Sends a datagram of a network protocol, encrypted where that was
    /// agreed; while that is open it is dropped.
    pub fn send_network(&mut self, protocol: u16, datagram: &[u8]) {
        match &mut self.encryptor {
            Some(encryptor) => {
                let information = encryptor.encrypt(protocol, datagram);
                self.send_frame(ppp::COMPRESSED, &information);
            }
            None if self.ccp_done => self.send_frame(protocol, datagram),
            None => {}
        }
    }

    /// The next datagram that arrived: its PPP protocol and octets.
    pub fn poll_network(&mut self) -> Option<(u16, Vec<u8>)> {
        self.inbox.pop_front()
    }

    /// Encrypted frames that came out as nonsense, one after the other: with
    /// keys that differ about half of all do, with the right ones none.
    pub fn garbled_run(&self) -> u32 {
        self.garbled_run
    }

    pub(super) fn garbled(&mut self) {
        self.counters.garbled += 1;
        self.garbled_run += 1;
    }

    pub(super) fn deliver(&mut self, protocol: u16, datagram: Vec<u8>) {
        if self.inbox.len() < INBOX {
            self.inbox.push_back((protocol, datagram));
        } else {
            self.counters.overflowed += 1;
        }
    }

    pub(super) fn handle_encrypted(&mut self, information: &[u8]) {
        let Some(decryptor) = &mut self.decryptor else {
            self.counters.out_of_phase += 1;
            return;
        };
        match decryptor.decrypt(information) {
            Ok((protocol @ (ppp::IPV4 | ppp::IPV6), datagram)) => {
                self.garbled_run = 0;
                self.counters.decrypted += 1;
                self.deliver(protocol, datagram);
            }
            Ok(_) | Err(DecryptError::Garbled) => self.garbled(),
            Err(error) => {
                self.counters.undecryptable += 1;
                if error == DecryptError::NeedReset {
                    self.identifier = self.identifier.wrapping_add(1);
                    let packet = Packet {
                        code: Code::ResetRequest,
                        identifier: self.identifier,
                        data: Vec::new(),
                    };
                    self.send_frame(ppp::CCP, &packet.emit());
                }
            }
        }
    }

    /// The inner addresses: ours and the gateway's.
    pub fn addresses(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        self.ipcp().address().zip(self.ipcp().peer_address())
    }
}
