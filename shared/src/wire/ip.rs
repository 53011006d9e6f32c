//! IPv4 and ICMP headers, as far as a probe needs them (RFC 791, RFC 792,
//! RFC 1071): GRE arrives with its IP header on a raw socket, and one echo
//! through the tunnel proves the MPPE keys.

use std::net::Ipv4Addr;

use super::{Error, Reader, Result, Writer};

/// IP protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// Code of [`Icmp::TooBig`].
const CODE_TOO_BIG: u8 = 4;

/// An IPv4 datagram without the header fields nobody here reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Protocol number.
    pub protocol: u8,
    /// What follows the header and its options.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram; octets behind the total length are padding.
    ///
    /// # Errors
    /// Another version than 4, impossible lengths, a fragment.
    pub fn parse(octets: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new("IPv4 header", octets);
        let version_and_length = r.u8()?;
        let header_length = usize::from(version_and_length & 0x0F) * 4;
        if version_and_length >> 4 != 4 {
            return Err(Error::BadValue { what: "IP version", value: version_and_length.into() });
        }
        r.skip(1)?;
        let total_length = usize::from(r.u16()?);
        r.skip(2)?;
        let fragment = r.u16()?;
        r.skip(1)?;
        let protocol = r.u8()?;
        r.skip(2)?;
        let source = Ipv4Addr::from(r.array::<4>()?);
        let destination = Ipv4Addr::from(r.array::<4>()?);
        if header_length < 20 {
            return Err(Error::BadLength { what: "IPv4 header", length: header_length });
        }
        if fragment & 0x3FFF != 0 {
            return Err(Error::BadValue { what: "IPv4 fragment", value: fragment.into() });
        }
        r.skip(header_length - 20)?;
        let Some(payload_length) = total_length.checked_sub(header_length) else {
            return Err(Error::BadLength { what: "IPv4 datagram", length: total_length });
        };
        Ok(Self { source, destination, protocol, payload: r.take(payload_length)? })
    }

    /// The datagram with a header of 20 octets, TTL 64, don't fragment. A
    /// payload beyond 65,515 octets is cut.
    pub fn emit(&self) -> Vec<u8> {
        let payload = &self.payload[..self.payload.len().min(65_515)];
        let mut w = Writer::with_capacity(20 + payload.len());
        w.u16(0x4500);
        w.u16((20 + payload.len()) as u16);
        w.u16(0);
        w.u16(0x4000);
        w.u8(64);
        w.u8(self.protocol);
        w.u16(0);
        w.slice(&self.source.octets());
        w.slice(&self.destination.octets());
        let mut octets = w.finish();
        let sum = checksum(&octets);
        octets[10..12].copy_from_slice(&sum.to_be_bytes());
        octets.extend_from_slice(payload);
        octets
    }
}

/// ICMP messages that a probe sends or understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icmp<'a> {
    /// Type 8 (`reply` false) or 0.
    Echo {
        /// Whether it is the reply.
        reply: bool,
        /// Chosen by the sender.
        identifier: u16,
        /// Chosen by the sender.
        sequence: u16,
        /// Returned as it is.
        data: &'a [u8],
    },
    /// Type 3, code 4: "fragmentation needed and DF set" (RFC 1191, section 4).
    TooBig {
        /// MTU of the next hop in octets; 0 from routers older than RFC 1191.
        mtu: u16,
        /// Header and at least eight octets of the datagram.
        original: &'a [u8],
    },
    /// Type 3, any other code: `original` is the start of the datagram that was refused.
    Unreachable {
        /// 0 net, 1 host, 2 protocol, 3 port, 13 prohibited ...
        code: u8,
        /// Header and at least eight octets of the datagram.
        original: &'a [u8],
    },
    /// Anything else.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

impl<'a> Icmp<'a> {
    /// Reads the payload of a datagram of protocol 1.
    ///
    /// # Errors
    /// Too short, or a wrong checksum.
    pub fn parse(octets: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new("ICMP message", octets);
        let (kind, code) = (r.u8()?, r.u8()?);
        let sum = r.u16()?;
        let (high, low) = (r.u16()?, r.u16()?);
        if checksum(octets) != 0 {
            return Err(Error::BadValue { what: "ICMP checksum", value: sum.into() });
        }
        Ok(match kind {
            0 | 8 => {
                Self::Echo { reply: kind == 0, identifier: high, sequence: low, data: r.rest() }
            }
            3 if code == CODE_TOO_BIG => Self::TooBig { mtu: low, original: r.rest() },
            3 => Self::Unreachable { code, original: r.rest() },
            _ => Self::Other { kind, code },
        })
    }

    /// The message in octets, checksum included.
    pub fn emit(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(64);
        match *self {
            Self::Echo { reply, identifier, sequence, data } => {
                w.u8(if reply { 0 } else { 8 });
                w.zeros(3);
                w.u16(identifier);
                w.u16(sequence);
                w.slice(data);
            }
            Self::TooBig { mtu, original } => {
                w.u8(3);
                w.u8(CODE_TOO_BIG);
                w.zeros(4);
                w.u16(mtu);
                w.slice(original);
            }
            Self::Unreachable { code, original } => {
                w.u8(3);
                w.u8(code);
                w.zeros(6);
                w.slice(original);
            }
            Self::Other { kind, code } => {
                w.u8(kind);
                w.u8(code);
                w.zeros(6);
            }
        }
        let mut octets = w.finish();
        let sum = checksum(&octets);
        octets[2..4].copy_from_slice(&sum.to_be_bytes());
        octets
    }
}

/// What an ICMP "destination unreachable" code says (RFC 792, RFC 1812).
pub fn unreachable_name(code: u8) -> &'static str {
    match code {
        0 => "network unreachable",
        1 => "host unreachable",
        2 => "protocol unreachable",
        3 => "port unreachable",
        CODE_TOO_BIG => "fragmentation needed",
        5 => "source route failed",
        9 | 10 | 13 => "administratively prohibited",
        _ => "unreachable",
    }
}

/// The Internet checksum (RFC 1071); zero over octets that include a right one.
pub fn checksum(octets: &[u8]) -> u16 {
    // Four octets at a time: the sum of halves is that of wholes, folded.
    let (words, rest) = octets.as_chunks::<4>();
    let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    for pair in rest.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u64::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An echo without data from 10.77.0.1 to 10.77.0.2, field by field from the RFCs.
    const PING: [u8; 28] = [
        0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0x26, 0x45, 10, 77, 0, 1, 10, 77, 0, 2, 8, 0, 0xf7,
        0xfd, 0, 1, 0, 1,
    ];

    #[test]
    fn literal_echo_both_ways() {
        let datagram = Datagram::parse(&PING).unwrap();
        assert_eq!(datagram.source, Ipv4Addr::new(10, 77, 0, 1));
        let echo = Icmp::Echo { reply: false, identifier: 1, sequence: 1, data: &[] };
        assert_eq!(Icmp::parse(datagram.payload), Ok(echo));
        assert_eq!(echo.emit(), PING[20..]);
        assert_eq!(datagram.emit(), PING);
    }

    /// "Fragmentation needed", next hop 1396, field by field from RFC 1191,
    /// section 4.
    #[test]
    fn literal_fragmentation_needed_both_ways() {
        let octets = [3, 4, 0x78, 0x83, 0, 0, 0x05, 0x74, 0x7f, 0x04];
        let too_big = Icmp::TooBig { mtu: 1396, original: &[0x7f, 0x04] };
        assert_eq!(Icmp::parse(&octets), Ok(too_big));
        assert_eq!(too_big.emit(), octets);
    }

    #[test]
    fn fragments_and_other_versions_are_named() {
        let mut fragment = PING;
        fragment[6] = 0x20;
        assert!(matches!(
            Datagram::parse(&fragment),
            Err(Error::BadValue { what: "IPv4 fragment", .. })
        ));
        let mut six = PING;
        six[0] = 0x60;
        assert!(matches!(Datagram::parse(&six), Err(Error::BadValue { what: "IP version", .. })));
        for n in 0..PING.len() {
            assert!(matches!(Datagram::parse(&PING[..n]), Err(Error::Truncated { .. })));
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut octets = PING;
        octets[27] ^= 1;
        assert!(matches!(
            Icmp::parse(&octets[20..]),
            Err(Error::BadValue { what: "ICMP checksum", .. })
        ));
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_message(
            reply: bool, identifier: u16, sequence: u16, code: u8,
            data in proptest::collection::vec(any::<u8>(), 0..100),
            source: u32, destination: u32,
        ) {
            for icmp in [
                Icmp::Echo { reply, identifier, sequence, data: &data },
                Icmp::TooBig { mtu: sequence, original: &data },
                Icmp::Unreachable { code: if code == CODE_TOO_BIG { 0 } else { code }, original: &data },
            ] {
                let payload = icmp.emit();
                prop_assert_eq!(Icmp::parse(&payload), Ok(icmp));
                let datagram = Datagram {
                    source: source.into(), destination: destination.into(),
                    protocol: PROTOCOL_ICMP, payload: &payload,
                };
                let octets = datagram.emit();
                prop_assert_eq!(Datagram::parse(&octets), Ok(datagram));
            }
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Datagram::parse(&octets);
            let _ = Icmp::parse(&octets);
        }
    }
}
