//! What the caller wants from CCP: MPPE as the run allows (RFC 1962, RFC
//! 3078, section 2.1).
//!
//! Each side's Configure-Request says what it is ready to receive. With MPPE
//! both directions must end up with the same bits, so our request follows the
//! gateway's where that came first: one round trip instead of two.
//!
//! What real gateways do: pppd with MPPE required sends its request together
//! with the end of authentication and terminates the link when MPPE is
//! rejected; without MPPE it sends none and rejects ours.

use super::automaton::{Negotiator, Verdict};
use super::mppe::Mode;
use crate::crypto::mppe::KeyLength;
use crate::method::MppePolicy;
use crate::wire::cp::{CcpOption, RawOption, mppe_bits};

const LENGTHS: [(u32, KeyLength); 3] = [
    (mppe_bits::BITS_128, KeyLength::Bits128),
    (mppe_bits::BITS_56, KeyLength::Bits56),
    (mppe_bits::BITS_40, KeyLength::Bits40),
];
const STRENGTHS: u32 = mppe_bits::BITS_128 | mppe_bits::BITS_56 | mppe_bits::BITS_40;

/// The caller's half of CCP.
#[derive(Debug)]
pub struct CcpNegotiator {
    policy: MppePolicy,
    /// Bits to ask for; 0 when the gateway will not encrypt.
    ask: u32,
    /// Bits that the gateway acknowledged: how it may encrypt towards us.
    receive: Option<u32>,
    /// Bits that we acknowledged: how we encrypt.
    transmit: Option<u32>,
    /// Bits of the gateway's last request.
    offered: Option<u32>,
    refused: bool,
}

impl CcpNegotiator {
    /// A negotiator that asks for the strongest encryption allowed.
    pub fn new(policy: MppePolicy) -> Self {
        let ask = choose(u32::MAX, policy).unwrap_or(0);
        Self { policy, ask, receive: None, transmit: None, offered: None, refused: ask == 0 }
    }

    /// Lets our request follow the options of the gateway's, which came first.
    pub fn follow(&mut self, options: &[RawOption]) {
        for raw in options {
            if let CcpOption::Mppe(bits) = CcpOption::from(raw)
                && let Some(bits) = choose(bits, self.policy)
            {
                self.ask = bits;
            }
        }
    }

    /// How the gateway encrypts, once agreed.
    pub fn receive_mode(&self) -> Option<Mode> {
        self.receive.and_then(mode)
    }

    /// How we encrypt, once agreed.
    pub fn transmit_mode(&self) -> Option<Mode> {
        self.transmit.and_then(mode)
    }

    /// True when the gateway rejected MPPE or suggested only what is not
    /// allowed.
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// True when the gateway refused, or wants only what is not allowed.
    pub fn hopeless(&self) -> bool {
        self.refused || self.offered.is_some_and(|bits| choose(bits, self.policy) != Some(bits))
    }

    /// Bits of the gateway's last request, for reports.
    pub fn offered(&self) -> Option<u32> {
        self.offered
    }
}

/// Whether a CCP option asks for MPPE.
pub fn is_mppe(option: &RawOption) -> bool {
    matches!(CcpOption::from(option), CcpOption::Mppe(_))
}

/// MPPE bits in words: `128 stateless`.
pub fn describe(bits: u32) -> String {
    let mut words: Vec<&str> = Vec::new();
    for (bit, word) in
        [(mppe_bits::BITS_40, "40"), (mppe_bits::BITS_56, "56"), (mppe_bits::BITS_128, "128")]
    {
        if bits & bit != 0 {
            words.push(word);
        }
    }
    if words.is_empty() {
        words.push("no");
    }
    let mode = if bits & mppe_bits::STATELESS != 0 { "stateless" } else { "stateful" };
    format!("{} bit {mode}", words.join("/"))
}

impl Negotiator for CcpNegotiator {
    fn request(&mut self) -> Vec<RawOption> {
        match self.ask {
            0 => Vec::new(),
            bits => vec![RawOption::from(&CcpOption::Mppe(bits))],
        }
    }

    fn judge(&mut self, options: &[RawOption]) -> Verdict {
        let mut rejects = Vec::new();
        let mut naks = Vec::new();
        let mut transmit = None;
        for raw in options {
            match CcpOption::from(raw) {
                CcpOption::Mppe(bits) => {
                    self.offered = Some(bits);
                    match choose(bits, self.policy).or_else(|| choose(u32::MAX, self.policy)) {
                        Some(chosen) if chosen == bits => transmit = Some(bits),
                        Some(chosen) => naks.push(RawOption::from(&CcpOption::Mppe(chosen))),
                        None => rejects.push(raw.clone()),
                    }
                }
                CcpOption::Other(_) => rejects.push(raw.clone()),
            }
        }
        if !rejects.is_empty() {
            return Verdict::Reject(rejects);
        }
        if !naks.is_empty() {
            return Verdict::Nak(naks);
        }
        self.transmit = transmit;
        Verdict::Ack
    }

    fn acked(&mut self, _: &[RawOption]) {
        self.receive = (self.ask != 0).then_some(self.ask);
    }

    fn naked(&mut self, options: &[RawOption]) {
        for raw in options {
            if let CcpOption::Mppe(bits) = CcpOption::from(raw) {
                self.offered = Some(bits);
                match choose(bits, self.policy) {
                    Some(chosen) => self.ask = chosen,
                    None => {
                        self.refused = true;
                        self.ask = 0;
                    }
                }
            }
        }
    }

    fn rejected(&mut self, options: &[RawOption]) {
        if options.iter().any(is_mppe) {
            self.refused = true;
            self.ask = 0;
        }
    }
}

/// The best choice out of `bits` that `policy` allows: longest key first,
/// stateless before stateful.
fn choose(bits: u32, policy: MppePolicy) -> Option<u32> {
    let allowed = |length| match length {
        KeyLength::Bits128 => policy.bits128,
        KeyLength::Bits56 => policy.bits56,
        KeyLength::Bits40 => policy.bits40,
    };
    let (strength, _) =
        LENGTHS.into_iter().find(|&(bit, length)| bits & bit != 0 && allowed(length))?;
    // A peer that offers stateless may be asked for stateful, and the other
    // way round is a matter of its Nak.
    let stateless = match (bits & mppe_bits::STATELESS != 0, policy.stateless, policy.stateful) {
        (true, true, _) => true,
        (false, _, true) => false,
        (_, stateless, _) => stateless,
    };
    Some(strength | if stateless { mppe_bits::STATELESS } else { 0 })
}

fn mode(bits: u32) -> Option<Mode> {
    let mut lengths = LENGTHS.into_iter().filter(|&(bit, _)| bits & STRENGTHS == bit);
    let (_, length) = lengths.next()?;
    Some(Mode { length, stateless: bits & mppe_bits::STATELESS != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mppe(bits: u32) -> RawOption {
        RawOption::from(&CcpOption::Mppe(bits))
    }

    fn policy(words: &str) -> MppePolicy {
        words.parse().unwrap()
    }

    const STATELESS_128: u32 = 0x0100_0040;

    #[test]
    fn the_strongest_allowed_is_asked_for() {
        assert_eq!(CcpNegotiator::new(policy("any")).request(), [mppe(STATELESS_128)]);
        assert_eq!(CcpNegotiator::new(policy("40,stateful")).request(), [mppe(0x20)]);
        assert_eq!(CcpNegotiator::new(policy("none")).request(), []);
    }

    #[test]
    fn our_request_follows_the_gateways() {
        let mut ccp = CcpNegotiator::new(policy("any"));
        ccp.follow(&[mppe(0x20)]);
        assert_eq!(ccp.request(), [mppe(0x20)]);
        assert_eq!(ccp.judge(&[mppe(0x20)]), Verdict::Ack);
        ccp.acked(&[]);
        let expected = Some(Mode { length: KeyLength::Bits40, stateless: false });
        assert_eq!((ccp.receive_mode(), ccp.transmit_mode()), (expected, expected));
    }

    #[test]
    fn of_several_the_strongest_allowed_is_suggested() {
        let mut ccp = CcpNegotiator::new(policy("40,56"));
        let offer = mppe(0x0100_00e0 | mppe_bits::COMPRESSION);
        assert_eq!(ccp.judge(&[offer]), Verdict::Nak(vec![mppe(0x0100_0080)]));
    }

    #[test]
    fn forty_bit_gateway_is_told_that_128_is_needed() {
        let mut ccp = CcpNegotiator::new(policy("128"));
        assert_eq!(ccp.judge(&[mppe(0x0100_0020)]), Verdict::Nak(vec![mppe(STATELESS_128)]));
        ccp.naked(&[mppe(0x0100_0020)]);
        assert!(ccp.refused());
        assert_eq!(ccp.request(), []);
    }

    #[test]
    fn mppe_is_rejected_when_only_none_is_allowed() {
        let mut ccp = CcpNegotiator::new(policy("none"));
        assert_eq!(ccp.judge(&[mppe(STATELESS_128)]), Verdict::Reject(vec![mppe(STATELESS_128)]));
    }

    #[test]
    fn other_compressors_are_rejected() {
        let mut ccp = CcpNegotiator::new(policy("any"));
        let bsd = RawOption::new(21, &[47]);
        assert_eq!(ccp.judge(&[mppe(STATELESS_128), bsd.clone()]), Verdict::Reject(vec![bsd]));
    }

    #[test]
    fn bits_in_words() {
        assert_eq!(describe(STATELESS_128), "128 bit stateless");
        assert_eq!(describe(0x60), "40/128 bit stateful");
    }
}
