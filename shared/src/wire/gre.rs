//! Enhanced GRE headers (RFC 2637, section 4.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-----+-+-------+-----+-------------------------------+
//! |C|R|K|S|s|Recur|A| Flags | Ver |    Protocol Type (0x880B)     |
//! +-+-+-+-+-+-----+-+-------+-----+-------------------------------+
//! |    Key (HW) Payload Length    |       Key (LW) Call ID        |
//! +-------------------------------+-------------------------------+
//! |                  Sequence Number (if S is set)                |
//! +---------------------------------------------------------------+
//! |               Acknowledgment Number (if A is set)             |
//! +---------------------------------------------------------------+
//! ```
//!
//! C, R, s, Recur and Flags are zero, K is one, Ver is 1. A packet without S
//! carries no payload: it is an acknowledgement alone. The Call ID is the
//! receiver's.

use super::{Error, Reader, Result, Writer};

/// IP protocol number of GRE.
pub const IP_PROTOCOL: u8 = 47;

const PROTOCOL_PPP: u16 = 0x880B;
const FLAG_KEY: u16 = 0x2000;
const FLAG_SEQUENCE: u16 = 0x1000;
const FLAG_ACKNOWLEDGMENT: u16 = 0x0080;
const VERSION: u16 = 1;

/// One GRE packet; the payload is a PPP frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The receiver's Call ID.
    pub call_id: u16,
    /// Present exactly when there is a payload.
    pub sequence: Option<u32>,
    /// Highest sequence number received by the sender of this packet.
    pub acknowledgment: Option<u32>,
    /// At most 65,535 octets; empty in an acknowledgement alone.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet, from the octet behind the IP header to the end of the
    /// datagram.
    ///
    /// # Errors
    /// Any deviation from the layout above, by name.
    pub fn parse(octets: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new("GRE header", octets);
        let flags = r.u16()?;
        let protocol = r.u16()?;
        let allowed = FLAG_KEY | FLAG_SEQUENCE | FLAG_ACKNOWLEDGMENT | VERSION;
        if flags & FLAG_KEY == 0 || flags & 7 != VERSION || flags & !allowed != 0 {
            return Err(Error::BadValue { what: "GRE flags", value: flags.into() });
        }
        if protocol != PROTOCOL_PPP {
            return Err(Error::BadValue { what: "GRE protocol type", value: protocol.into() });
        }
        let payload_length = usize::from(r.u16()?);
        let call_id = r.u16()?;
        let sequence = (flags & FLAG_SEQUENCE != 0).then(|| r.u32()).transpose()?;
        let acknowledgment = (flags & FLAG_ACKNOWLEDGMENT != 0).then(|| r.u32()).transpose()?;
        if sequence.is_none() && payload_length != 0 {
            return Err(Error::BadLength { what: "GRE payload", length: payload_length });
        }
        let payload = r.take(payload_length)?;
        r.finish()?;
        Ok(Self { call_id, sequence, acknowledgment, payload })
    }

    /// The packet in octets. A payload beyond 65,535 octets is cut; callers
    /// stay within the MTU.
    pub fn emit(&self) -> Vec<u8> {
        let payload = &self.payload[..self.payload.len().min(usize::from(u16::MAX))];
        let mut flags = FLAG_KEY | VERSION;
        if self.sequence.is_some() {
            flags |= FLAG_SEQUENCE;
        }
        if self.acknowledgment.is_some() {
            flags |= FLAG_ACKNOWLEDGMENT;
        }
        let mut w = Writer::with_capacity(16 + payload.len());
        w.u16(flags);
        w.u16(PROTOCOL_PPP);
        w.u16(payload.len() as u16);
        w.u16(self.call_id);
        for number in [self.sequence, self.acknowledgment].into_iter().flatten() {
            w.u32(number);
        }
        w.slice(payload);
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// pptpd's first LCP packet and its first answer, as captured.
    const WITH_SEQUENCE: [u8; 16] =
        [0x30, 0x01, 0x88, 0x0b, 0, 4, 0xd7, 0x8d, 0, 0, 0, 0, 0xff, 0x03, 0xc0, 0x21];
    const ACK_ALONE: [u8; 12] = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0xd7, 0x8d, 0, 0, 0, 7];

    #[test]
    fn literal_packets_both_ways() {
        let first = Packet {
            call_id: 0xd78d,
            sequence: Some(0),
            acknowledgment: None,
            payload: &[0xff, 0x03, 0xc0, 0x21],
        };
        assert_eq!(Packet::parse(&WITH_SEQUENCE), Ok(first));
        assert_eq!(first.emit(), WITH_SEQUENCE);
        let ack = Packet { call_id: 0xd78d, sequence: None, acknowledgment: Some(7), payload: &[] };
        assert_eq!(Packet::parse(&ACK_ALONE), Ok(ack));
        assert_eq!(ack.emit(), ACK_ALONE);
    }

    #[test]
    fn plain_gre_is_refused_by_name() {
        let plain = [0, 0, 0x08, 0, 0, 0, 0, 0];
        assert_eq!(Packet::parse(&plain), Err(Error::BadValue { what: "GRE flags", value: 0 }));
        let mut other = ACK_ALONE;
        other[2] = 0x08;
        assert_eq!(
            Packet::parse(&other),
            Err(Error::BadValue { what: "GRE protocol type", value: 0x080b })
        );
    }

    #[test]
    fn payload_without_sequence_number_is_refused() {
        let mut octets = ACK_ALONE.to_vec();
        octets[5] = 1;
        octets.push(0);
        assert_eq!(
            Packet::parse(&octets),
            Err(Error::BadLength { what: "GRE payload", length: 1 })
        );
    }

    #[test]
    fn every_prefix_is_truncated_and_a_tail_is_named() {
        for n in 0..WITH_SEQUENCE.len() {
            assert!(matches!(Packet::parse(&WITH_SEQUENCE[..n]), Err(Error::Truncated { .. })));
        }
        let mut long = WITH_SEQUENCE.to_vec();
        long.push(0);
        assert_eq!(Packet::parse(&long), Err(Error::Trailing { what: "GRE header", excess: 1 }));
    }

    proptest! {
        #[test]
        fn parse_of_emit_is_the_packet(
            call_id: u16, sequence: Option<u32>, acknowledgment: Option<u32>,
            data in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let payload = if sequence.is_some() { &data[..] } else { &[] };
            let packet = Packet { call_id, sequence, acknowledgment, payload };
            let octets = packet.emit();
            prop_assert_eq!(Packet::parse(&octets), Ok(packet));
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(packet) = Packet::parse(&octets) {
                prop_assert_eq!(packet.emit(), octets);
            }
        }
    }
}
