//! PPP frames as PPTP carries them (RFC 1661, section 2; RFC 2637, section
//! 4): no flags, no checksum, no escapes.
//!
//! ```text
//! +-----------+-----------+---------------------+-------------
//! | FF (ACFC) | 03 (ACFC) | Protocol, 2 or 1    | Information
//! +-----------+-----------+---------------------+-------------
//! ```
//!
//! Either compression is always understood, agreed on or not; LCP itself is
//! sent with full headers (RFC 1661, sections 6.5 and 6.6). pppd leaves FF 03
//! out as soon as the peer asked for it, but never in LCP.

use super::{Error, Result};

/// Link Control Protocol.
pub const LCP: u16 = 0xC021;
/// Password Authentication Protocol.
pub const PAP: u16 = 0xC023;
/// Challenge Handshake Authentication Protocol, MS-CHAP included.
pub const CHAP: u16 = 0xC223;
/// Extensible Authentication Protocol.
pub const EAP: u16 = 0xC227;
/// Compression Control Protocol.
pub const CCP: u16 = 0x80FD;
/// A compressed (here: MPPE encrypted) datagram.
pub const COMPRESSED: u16 = 0x00FD;
/// IP Control Protocol.
pub const IPCP: u16 = 0x8021;
/// An IPv4 datagram.
pub const IPV4: u16 = 0x0021;
/// IPv6 Control Protocol.
pub const IPV6CP: u16 = 0x8057;
/// An IPv6 datagram.
pub const IPV6: u16 = 0x0057;

/// One PPP frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Protocol field, always in its two-octet form.
    pub protocol: u16,
    /// What follows it.
    pub information: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame in any of the four header forms.
    ///
    /// # Errors
    /// When the header is cut short or the protocol number cannot be one
    /// (RFC 1661, section 2: the last octet odd, the first even).
    pub fn parse(octets: &'a [u8]) -> Result<Self> {
        let rest = match octets {
            [0xFF, 0x03, rest @ ..] => rest,
            _ => octets,
        };
        match *rest {
            [low, ref information @ ..] if low & 1 == 1 => {
                Ok(Self { protocol: low.into(), information })
            }
            [high, low, ref information @ ..] if low & 1 == 1 => {
                Ok(Self { protocol: u16::from_be_bytes([high, low]), information })
            }
            [high, low, ..] => Err(Error::BadValue {
                what: "PPP protocol",
                value: u16::from_be_bytes([high, low]).into(),
            }),
            _ => Err(Error::Truncated { what: "PPP protocol", needed: 2, have: rest.len() }),
        }
    }

    /// The frame with a full header.
    pub fn emit(&self) -> Vec<u8> {
        self.emit_compressed(false, false)
    }

    /// The frame with `FF 03` left out (`acfc`) and a protocol below 0x100
    /// in one octet (`pfc`), as far as the peer asked for it.
    pub fn emit_compressed(&self, acfc: bool, pfc: bool) -> Vec<u8> {
        let mut octets = Vec::with_capacity(4 + self.information.len());
        if !acfc || self.protocol == LCP {
            octets.extend([0xFF, 0x03]);
        }
        let [high, low] = self.protocol.to_be_bytes();
        if !pfc || high != 0 {
            octets.push(high);
        }
        octets.push(low);
        octets.extend_from_slice(self.information);
        octets
    }
}

/// A protocol's name for people.
pub fn protocol_name(protocol: u16) -> &'static str {
    match protocol {
        LCP => "LCP",
        PAP => "PAP",
        CHAP => "CHAP",
        EAP => "EAP",
        CCP => "CCP",
        COMPRESSED => "MPPE",
        IPCP => "IPCP",
        IPV4 => "IPv4",
        IPV6CP => "IPv6CP",
        IPV6 => "IPv6",
        _ => "PPP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_four_header_forms_are_one_frame() {
        let frame = Frame { protocol: COMPRESSED, information: &[0x90, 0x00, 7] };
        let forms: [&[u8]; 4] = [
            &[0xff, 0x03, 0x00, 0xfd, 0x90, 0x00, 7],
            &[0xff, 0x03, 0xfd, 0x90, 0x00, 7],
            &[0x00, 0xfd, 0x90, 0x00, 7],
            &[0xfd, 0x90, 0x00, 7],
        ];
        for (octets, (acfc, pfc)) in
            forms.into_iter().zip([(false, false), (false, true), (true, false), (true, true)])
        {
            assert_eq!(Frame::parse(octets), Ok(frame));
            assert_eq!(frame.emit_compressed(acfc, pfc), octets);
        }
    }

    #[test]
    fn lcp_keeps_its_full_header() {
        let frame = Frame { protocol: LCP, information: &[9, 0, 0, 4] };
        assert_eq!(frame.emit_compressed(true, true), [0xff, 0x03, 0xc0, 0x21, 9, 0, 0, 4]);
    }

    #[test]
    fn impossible_protocols_are_named() {
        assert_eq!(
            Frame::parse(&[0xff, 0x03, 0xc0, 0x22]),
            Err(Error::BadValue { what: "PPP protocol", value: 0xc022 })
        );
        for short in [&[][..], &[0xff, 0x03], &[0xff, 0x03, 0xc0], &[0x80]] {
            assert!(matches!(Frame::parse(short), Err(Error::Truncated { .. })), "{short:?}");
        }
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_frame(
            high in 0u8..128, low: u8, information in proptest::collection::vec(any::<u8>(), 0..100),
            acfc: bool, pfc: bool,
        ) {
            let protocol = u16::from_be_bytes([high * 2, low | 1]);
            let frame = Frame { protocol, information: &information };
            let octets = frame.emit_compressed(acfc, pfc);
            prop_assert_eq!(Frame::parse(&octets), Ok(frame));
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = Frame::parse(&octets);
        }
    }
}
