//! What the caller wants from LCP and grants to the gateway (RFC 1661,
//! section 6; RFC 1662; RFC 1570; RFC 1990).
//!
//! It asks for a magic number, to recognise a loop, and for an MRU where one
//! was chosen or the gateway wants one; for nothing else, so that one round
//! trip is enough. It grants
//! everything harmless. Which authentication protocol it grants is the policy
//! of the run; every proposal is remembered.
//!
//! What real gateways do: pppd proposes ACCM, authentication, magic number,
//! PFC and ACFC; after a Nak it moves on to what was suggested, if it has
//! that, or else drops what it had proposed; after a Reject of authentication
//! it finishes LCP and then terminates. Windows RRAS also sends MRRU, endpoint
//! discriminator or callback; accel-ppp sends none of these, but an MRU.

use super::auth::AuthProtocol;
use super::automaton::{Negotiator, Verdict};
use crate::method::Method;
use crate::wire::cp::{LcpOption, RawOption};

/// What is suggested first where several methods are allowed: what proves both
/// sides and gives MPPE keys, and of that what most gateways know.
const PREFERENCE: [Method; 6] = [
    Method::MsChapV2,
    Method::EapMsChapV2,
    Method::MsChapV1,
    Method::ChapMd5,
    Method::EapMd5,
    Method::Pap,
];
/// Option type of the authentication protocol.
const AUTHENTICATION_PROTOCOL: u8 = 3;
/// Our own requests that come back before the link counts as looped.
const LOOP_EVIDENCE: u32 = 2;

/// Which authentication protocol is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthPolicy {
    /// Any, or none: the run never authenticates.
    Whatever,
    /// One of these; [`Method::None`] among them allows a gateway that asks
    /// for nothing.
    OneOf(Vec<Method>),
    /// Only this one, to find out whether the gateway would take it.
    Candidate(Method),
}

impl AuthPolicy {
    /// Whether a proposal of `protocol` is granted.
    pub fn grants(&self, protocol: &AuthProtocol) -> bool {
        match self {
            Self::Whatever => true,
            Self::OneOf(methods) => methods.iter().any(|&method| carries(protocol, method)),
            Self::Candidate(method) => carries(protocol, *method),
        }
    }

    /// What to suggest in a Nak; `None` means Reject.
    fn suggestion(&self) -> Option<AuthProtocol> {
        let method = match self {
            Self::Whatever => return None,
            Self::OneOf(methods) => *PREFERENCE.iter().find(|method| methods.contains(method))?,
            Self::Candidate(method) => *method,
        };
        protocol_of(method)
    }
}

/// The LCP authentication protocol that carries a method.
fn protocol_of(method: Method) -> Option<AuthProtocol> {
    match method {
        Method::None => None,
        Method::Pap => Some(AuthProtocol::Pap),
        Method::ChapMd5 => Some(AuthProtocol::ChapMd5),
        Method::MsChapV1 => Some(AuthProtocol::MsChapV1),
        Method::MsChapV2 => Some(AuthProtocol::MsChapV2),
        Method::EapMd5 | Method::EapMsChapV2 => Some(AuthProtocol::Eap),
    }
}

fn carries(protocol: &AuthProtocol, method: Method) -> bool {
    protocol.methods().contains(&method)
}

/// The caller's half of LCP.
#[derive(Debug)]
pub struct LcpNegotiator {
    policy: AuthPolicy,
    mru: Option<u16>,
    magic: Option<u32>,
    peer_mru: u16,
    peer_magic: Option<u32>,
    peer_pfc: bool,
    peer_acfc: bool,
    /// What the gateway's acceptable request asked for.
    auth: Option<AuthProtocol>,
    proposals: Vec<Option<AuthProtocol>>,
    unchanged_proposals: u32,
    loops: u32,
}

impl LcpNegotiator {
    /// A negotiator that asks for `magic` (random, not 0) and for `mru`
    /// octets where given.
    pub fn new(policy: AuthPolicy, magic: u32, mru: Option<u16>) -> Self {
        Self {
            policy,
            mru,
            magic: Some(magic),
            peer_mru: 1500,
            peer_magic: None,
            peer_pfc: false,
            peer_acfc: false,
            auth: None,
            proposals: Vec::new(),
            unchanged_proposals: 0,
            loops: 0,
        }
    }

    /// Our magic number, or 0 when the gateway rejected the option.
    pub fn magic(&self) -> u32 {
        self.magic.unwrap_or(0)
    }

    /// The gateway's magic number.
    pub fn peer_magic(&self) -> Option<u32> {
        self.peer_magic
    }

    /// Largest information field the gateway can receive, in octets.
    pub fn peer_mru(&self) -> u16 {
        self.peer_mru
    }

    /// Whether one-octet protocol fields may be sent.
    pub fn peer_pfc(&self) -> bool {
        self.peer_pfc
    }

    /// Whether `FF 03` may be left out.
    pub fn peer_acfc(&self) -> bool {
        self.peer_acfc
    }

    /// The authentication that the gateway wants, as granted.
    pub fn auth(&self) -> Option<&AuthProtocol> {
        self.auth.as_ref()
    }

    /// Every different authentication the gateway proposed, in order; `None`
    /// where it proposed no authentication.
    pub fn proposals(&self) -> &[Option<AuthProtocol>] {
        &self.proposals
    }

    /// Times the gateway repeated a proposal that was not granted.
    pub fn unchanged_proposals(&self) -> u32 {
        self.unchanged_proposals
    }

    /// True when what we send comes back to us.
    pub fn looped(&self) -> bool {
        self.loops >= LOOP_EVIDENCE
    }

    /// Counts a packet that carries our own magic number.
    pub fn count_loop(&mut self) {
        self.loops += 1;
    }

    fn remember(&mut self, auth: Option<AuthProtocol>) {
        if self.proposals.last() == Some(&auth) {
            self.unchanged_proposals += 1;
        } else if self.proposals.len() < 16 {
            self.proposals.push(auth);
        }
    }
}

impl Negotiator for LcpNegotiator {
    fn request(&mut self) -> Vec<RawOption> {
        let mru = self.mru.map(LcpOption::MaximumReceiveUnit);
        let magic = self.magic.map(LcpOption::MagicNumber);
        [mru, magic].iter().flatten().map(RawOption::from).collect()
    }

    fn judge(&mut self, options: &[RawOption]) -> Verdict {
        let mut rejects = Vec::new();
        let mut naks = Vec::new();
        let mut auth = None;
        let mut granted = true;
        let (mut mru, mut magic, mut pfc, mut acfc) = (1500, None, false, false);
        for raw in options {
            match LcpOption::from(raw) {
                LcpOption::MaximumReceiveUnit(octets) => mru = octets,
                LcpOption::Accm(_) | LcpOption::EndpointDiscriminator(_) => {}
                LcpOption::ProtocolFieldCompression => pfc = true,
                LcpOption::AddressAndControlFieldCompression => acfc = true,
                LcpOption::AuthenticationProtocol { protocol, data } => {
                    let body = [&protocol.to_be_bytes()[..], &data].concat();
                    let protocol = AuthProtocol::from_option(&body);
                    granted = self.policy.grants(&protocol);
                    auth = Some(protocol);
                    if granted {
                        continue;
                    }
                    match self.policy.suggestion() {
                        Some(other) => naks.push(auth_option(&other)),
                        None => rejects.push(raw.clone()),
                    }
                }
                LcpOption::MagicNumber(number) => {
                    magic = Some(number);
                    if number != 0 && Some(number) == self.magic {
                        self.loops += 1;
                        let other = number.rotate_left(7) ^ 0x5bd1_e995;
                        naks.push(RawOption::from(&LcpOption::MagicNumber(other)));
                    }
                }
                LcpOption::QualityProtocol(_)
                | LcpOption::Callback(_)
                | LcpOption::Mrru(_)
                | LcpOption::ShortSequenceNumbers
                | LcpOption::Other(_) => rejects.push(raw.clone()),
            }
        }
        self.remember(auth.clone());
        if !rejects.is_empty() {
            return Verdict::Reject(rejects);
        }
        if !naks.is_empty() {
            return Verdict::Nak(naks);
        }
        debug_assert!(granted);
        self.auth = auth;
        self.peer_mru = mru;
        self.peer_magic = magic;
        self.peer_pfc = pfc;
        self.peer_acfc = acfc;
        Verdict::Ack
    }

    fn acked(&mut self, _: &[RawOption]) {}

    fn naked(&mut self, options: &[RawOption]) {
        for raw in options {
            match LcpOption::from(raw) {
                // Also where we did not ask: a peer may prompt for an option
                // (RFC 1661, section 5.3), and would do so for ever.
                LcpOption::MaximumReceiveUnit(octets) => self.mru = Some(octets),
                LcpOption::MagicNumber(_) => {
                    // The peer saw its own number in ours: a loop or chance.
                    self.magic = self.magic.map(|magic| magic.wrapping_mul(0x9e37_79b1) | 1);
                }
                _ => {}
            }
        }
    }

    fn rejected(&mut self, options: &[RawOption]) {
        for raw in options {
            match LcpOption::from(raw) {
                LcpOption::MaximumReceiveUnit(_) => self.mru = None,
                LcpOption::MagicNumber(_) => self.magic = None,
                _ => {}
            }
        }
    }
}

fn auth_option(protocol: &AuthProtocol) -> RawOption {
    RawOption::new(AUTHENTICATION_PROTOCOL, &protocol.to_option())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(protocol: u16, data: &[u8]) -> RawOption {
        RawOption::from(&LcpOption::AuthenticationProtocol { protocol, data: data.to_vec() })
    }

    #[test]
    fn pppd_request_is_granted_whole() {
        let mut lcp = LcpNegotiator::new(AuthPolicy::Whatever, 7, None);
        let options = [
            RawOption::new(2, &[0; 4]),
            auth(0xc223, &[0x81]),
            RawOption::new(5, &[1, 2, 3, 4]),
            RawOption::new(7, &[]),
            RawOption::new(8, &[]),
        ];
        assert_eq!(lcp.judge(&options), Verdict::Ack);
        assert_eq!(lcp.auth(), Some(&AuthProtocol::MsChapV2));
        assert_eq!(lcp.peer_magic(), Some(0x0102_0304));
        assert!(lcp.peer_pfc() && lcp.peer_acfc());
    }

    #[test]
    fn what_a_caller_cannot_do_is_rejected_literally() {
        let mut lcp = LcpNegotiator::new(AuthPolicy::Whatever, 7, None);
        let callback = RawOption::new(13, &[6]);
        let mrru = RawOption::new(17, &[6, 0]);
        let endpoint = RawOption::new(19, &[1, 2, 3]);
        let strange = RawOption::new(200, &[9]);
        assert_eq!(
            lcp.judge(&[callback.clone(), mrru.clone(), endpoint, strange.clone()]),
            Verdict::Reject(vec![callback, mrru, strange])
        );
    }

    #[test]
    fn another_method_is_suggested_and_none_left_is_rejected() {
        let policy = AuthPolicy::OneOf(vec![Method::MsChapV2]);
        let mut lcp = LcpNegotiator::new(policy, 7, None);
        let pap = auth(0xc023, &[]);
        assert_eq!(
            lcp.judge(std::slice::from_ref(&pap)),
            Verdict::Nak(vec![auth(0xc223, &[0x81])])
        );
        let mut none = LcpNegotiator::new(AuthPolicy::Candidate(Method::None), 7, None);
        assert_eq!(none.judge(std::slice::from_ref(&pap)), Verdict::Reject(vec![pap.clone()]));
        lcp.judge(&[pap]);
        assert_eq!(lcp.proposals(), [Some(AuthProtocol::Pap)]);
        assert_eq!(lcp.unchanged_proposals(), 1);
    }

    #[test]
    fn our_own_magic_number_is_a_loop() {
        let mut lcp = LcpNegotiator::new(AuthPolicy::Whatever, 7, None);
        let own = lcp.request();
        assert!(matches!(lcp.judge(&own), Verdict::Nak(_)));
        assert!(!lcp.looped());
        lcp.judge(&own);
        assert!(lcp.looped());
    }

    #[test]
    fn gateway_that_wants_a_smaller_mru_gets_it_unasked() {
        let mut lcp = LcpNegotiator::new(AuthPolicy::Whatever, 7, None);
        let mru = RawOption::new(1, &1450u16.to_be_bytes());
        lcp.naked(std::slice::from_ref(&mru));
        assert_eq!(lcp.request(), [mru, RawOption::new(5, &[0, 0, 0, 7])]);
    }

    #[test]
    fn a_rejected_mru_is_asked_for_no_more() {
        let mut lcp = LcpNegotiator::new(AuthPolicy::Whatever, 7, Some(1400));
        assert_eq!(lcp.request().len(), 2);
        lcp.rejected(&[RawOption::new(1, &[5, 0x78])]);
        assert_eq!(lcp.request(), [RawOption::new(5, &[0, 0, 0, 7])]);
    }
}
