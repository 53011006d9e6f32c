//! What the caller wants from IPCP: an address and name servers (RFC 1332,
//! RFC 1877).
//!
//! It asks with 0.0.0.0 and takes what the gateway suggests. It grants the
//! gateway its own address and rejects header compression.
//!
//! What real gateways do: pppd answers 0.0.0.0 with a Nak that carries the
//! address and the name servers at once, and rejects name servers that are
//! not configured.

use std::net::Ipv4Addr;

use super::automaton::{Negotiator, Verdict};
use crate::wire::cp::{IpcpOption, RawOption};

const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// The caller's half of IPCP. An address of `None` was rejected or not asked
/// for.
#[derive(Debug)]
pub struct IpcpNegotiator {
    address: Option<Ipv4Addr>,
    dns: [Option<Ipv4Addr>; 2],
    nbns: [Option<Ipv4Addr>; 2],
    peer_address: Option<Ipv4Addr>,
}

impl IpcpNegotiator {
    /// Asks for an address, and for DNS and WINS servers as told.
    pub fn new(ask_dns: bool, ask_nbns: bool) -> Self {
        Self {
            address: Some(NONE),
            dns: [ask_dns.then_some(NONE); 2],
            nbns: [ask_nbns.then_some(NONE); 2],
            peer_address: None,
        }
    }

    /// The address the gateway gave.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address.filter(|&address| address != NONE)
    }

    /// The gateway's own address inside the tunnel.
    pub fn peer_address(&self) -> Option<Ipv4Addr> {
        self.peer_address
    }

    /// DNS servers, primary first, each once.
    pub fn dns(&self) -> Vec<Ipv4Addr> {
        servers(&self.dns)
    }

    /// WINS servers, primary first, each once.
    pub fn nbns(&self) -> Vec<Ipv4Addr> {
        servers(&self.nbns)
    }

    fn slot(&mut self, option: &IpcpOption) -> Option<(&mut Option<Ipv4Addr>, Ipv4Addr)> {
        match *option {
            IpcpOption::Address(address) => Some((&mut self.address, address)),
            IpcpOption::PrimaryDns(address) => Some((&mut self.dns[0], address)),
            IpcpOption::SecondaryDns(address) => Some((&mut self.dns[1], address)),
            IpcpOption::PrimaryNbns(address) => Some((&mut self.nbns[0], address)),
            IpcpOption::SecondaryNbns(address) => Some((&mut self.nbns[1], address)),
            _ => None,
        }
    }
}

impl Negotiator for IpcpNegotiator {
    fn request(&mut self) -> Vec<RawOption> {
        let options = [
            self.address.map(IpcpOption::Address),
            self.dns[0].map(IpcpOption::PrimaryDns),
            self.nbns[0].map(IpcpOption::PrimaryNbns),
            self.dns[1].map(IpcpOption::SecondaryDns),
            self.nbns[1].map(IpcpOption::SecondaryNbns),
        ];
        options.iter().flatten().map(RawOption::from).collect()
    }

    fn judge(&mut self, options: &[RawOption]) -> Verdict {
        let mut peer_address = None;
        let mut rejects = Vec::new();
        for raw in options {
            match IpcpOption::from(raw) {
                IpcpOption::Address(address) if address != NONE => peer_address = Some(address),
                // A gateway that wants an address or name servers from its
                // caller, or header compression.
                _ => rejects.push(raw.clone()),
            }
        }
        if !rejects.is_empty() {
            return Verdict::Reject(rejects);
        }
        self.peer_address = peer_address;
        Verdict::Ack
    }

    fn acked(&mut self, _: &[RawOption]) {}

    fn naked(&mut self, options: &[RawOption]) {
        for raw in options {
            if let Some((slot, address)) = self.slot(&IpcpOption::from(raw)) {
                *slot = Some(address);
            }
        }
    }

    fn rejected(&mut self, options: &[RawOption]) {
        for raw in options {
            if let Some((slot, _)) = self.slot(&IpcpOption::from(raw)) {
                *slot = None;
            }
        }
    }
}

fn servers(slots: &[Option<Ipv4Addr>; 2]) -> Vec<Ipv4Addr> {
    let mut list: Vec<Ipv4Addr> =
        slots.iter().flatten().copied().filter(|&address| address != NONE).collect();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(kind: u8, last: u8) -> RawOption {
        RawOption::new(kind, &[192, 168, 77, last])
    }

    #[test]
    fn pppd_gives_address_and_dns_in_one_nak() {
        let mut ipcp = IpcpNegotiator::new(true, false);
        assert_eq!(
            ipcp.request(),
            [
                RawOption::new(3, &[0; 4]),
                RawOption::new(129, &[0; 4]),
                RawOption::new(131, &[0; 4])
            ]
        );
        ipcp.naked(&[address(3, 10), address(129, 1), address(131, 1)]);
        assert_eq!(ipcp.address(), Some(Ipv4Addr::new(192, 168, 77, 10)));
        assert_eq!(ipcp.dns(), [Ipv4Addr::new(192, 168, 77, 1)]);
    }

    #[test]
    fn rejected_name_servers_are_asked_for_no_more() {
        let mut ipcp = IpcpNegotiator::new(true, true);
        let asked = ipcp.request();
        ipcp.rejected(&asked[1..]);
        assert_eq!(ipcp.request(), asked[..1]);
    }

    #[test]
    fn the_gateways_address_is_granted_and_compression_rejected() {
        let mut ipcp = IpcpNegotiator::new(false, false);
        let vj = RawOption::new(2, &[0, 0x2d, 15, 1]);
        assert_eq!(ipcp.judge(&[address(3, 1), vj.clone()]), Verdict::Reject(vec![vj]));
        assert_eq!(ipcp.judge(&[address(3, 1)]), Verdict::Ack);
        assert_eq!(ipcp.peer_address(), Some(Ipv4Addr::new(192, 168, 77, 1)));
        assert!(matches!(ipcp.judge(&[RawOption::new(3, &[0; 4])]), Verdict::Reject(_)));
    }

    #[test]
    fn no_address_is_not_an_address() {
        let mut ipcp = IpcpNegotiator::new(false, false);
        ipcp.naked(&[RawOption::new(3, &[0; 4])]);
        assert_eq!(ipcp.address(), None);
    }
}
