//! Packets of the PPP control protocols (RFC 1661, section 5) and their
//! options: LCP (RFC 1661, 1570, 1990), CCP with MPPE (RFC 1962, 3078), IPCP
//! (RFC 1332, 1877), IPv6CP (RFC 5072).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |     Code      |  Identifier   |            Length             |
//! +---------------+---------------+-------------------------------+
//! |    Data ...
//! +----------------
//! ```
//!
//! Octets behind Length are padding and ignored.

use std::net::Ipv4Addr;

use super::{Error, Reader, Result, Writer};

codes! {
    /// The Code field; which codes exist depends on the protocol.
    Code(u8) {
        /// Options that the sender wants for what it receives or sends.
        ConfigureRequest = 1, "Configure-Request";
        /// All options are acceptable.
        ConfigureAck = 2, "Configure-Ack";
        /// Some values are not acceptable; others are suggested.
        ConfigureNak = 3, "Configure-Nak";
        /// Some options are not known or not negotiable.
        ConfigureReject = 4, "Configure-Reject";
        /// The link shall close.
        TerminateRequest = 5, "Terminate-Request";
        /// The link closes.
        TerminateAck = 6, "Terminate-Ack";
        /// A code is not known.
        CodeReject = 7, "Code-Reject";
        /// LCP: a protocol is not known.
        ProtocolReject = 8, "Protocol-Reject";
        /// LCP.
        EchoRequest = 9, "Echo-Request";
        /// LCP.
        EchoReply = 10, "Echo-Reply";
        /// LCP.
        DiscardRequest = 11, "Discard-Request";
        /// LCP (RFC 1570).
        Identification = 12, "Identification";
        /// LCP (RFC 1570).
        TimeRemaining = 13, "Time-Remaining";
        /// CCP (RFC 1962): the decompressor lost its history.
        ResetRequest = 14, "Reset-Request";
        /// CCP.
        ResetAck = 15, "Reset-Ack";
    }
}

/// Octets a packet has at least.
pub const HEADER_LENGTH: usize = 4;

/// A control protocol packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub code: Code,
    /// Matches requests and replies.
    pub identifier: u8,
    /// What follows the length field; at most 65,531 octets.
    pub data: Vec<u8>,
}

impl Packet {
    /// Reads the information field of a PPP frame.
    ///
    /// # Errors
    /// When the length field is below four or beyond the octets.
    pub fn parse(octets: &[u8]) -> Result<Self> {
        let mut r = Reader::new("control protocol packet", octets);
        let code = r.u8()?.into();
        let identifier = r.u8()?;
        let length = usize::from(r.u16()?);
        let Some(data_length) = length.checked_sub(HEADER_LENGTH) else {
            return Err(Error::BadLength { what: "control protocol packet", length });
        };
        Ok(Self { code, identifier, data: r.take(data_length)?.to_vec() })
    }

    /// The packet in octets; data beyond the length field's range is cut.
    pub fn emit(&self) -> Vec<u8> {
        let data = &self.data[..self.data.len().min(usize::from(u16::MAX) - HEADER_LENGTH)];
        let mut w = Writer::with_capacity(HEADER_LENGTH + data.len());
        w.u8(self.code.into());
        w.u8(self.identifier);
        w.u16((HEADER_LENGTH + data.len()) as u16);
        w.slice(data);
        w.finish()
    }
}

/// One configuration option: type, length and data (RFC 1661, section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawOption {
    /// Option type; its meaning depends on the protocol.
    pub kind: u8,
    /// At most 253 octets.
    pub data: Vec<u8>,
}

impl RawOption {
    /// An option with `data`, cut at 253 octets.
    pub fn new(kind: u8, data: &[u8]) -> Self {
        Self { kind, data: data[..data.len().min(253)].to_vec() }
    }

    /// Reads the option list of a Configure packet.
    ///
    /// # Errors
    /// When an option is shorter than its own header or longer than the list.
    pub fn parse_list(data: &[u8]) -> Result<Vec<Self>> {
        let mut r = Reader::new("configuration option", data);
        let mut options = Vec::new();
        while !r.is_empty() {
            let kind = r.u8()?;
            let length = usize::from(r.u8()?);
            let Some(data_length) = length.checked_sub(2) else {
                return Err(Error::BadLength { what: "configuration option", length });
            };
            options.push(Self { kind, data: r.take(data_length)?.to_vec() });
        }
        Ok(options)
    }

    /// An option list in octets.
    pub fn emit_list(options: &[Self]) -> Vec<u8> {
        let mut w = Writer::with_capacity(32);
        for option in options {
            w.u8(option.kind);
            w.u8((option.data.len().min(253) + 2) as u8);
            w.slice(&option.data[..option.data.len().min(253)]);
        }
        w.finish()
    }
}

/// LCP options that real gateways and clients send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LcpOption {
    /// Type 1: largest information field the sender can receive, in octets.
    MaximumReceiveUnit(u16),
    /// Type 2 (RFC 1662): control characters to escape; meaningless in PPTP
    /// but sent by pppd.
    Accm(u32),
    /// Type 3: the sender wants the peer to prove itself with this protocol;
    /// the octets behind it name the algorithm.
    AuthenticationProtocol {
        /// 0xC023, 0xC223, 0xC227 or another.
        protocol: u16,
        /// One octet for CHAP.
        data: Vec<u8>,
    },
    /// Type 4.
    QualityProtocol(Vec<u8>),
    /// Type 5: random, to recognise a loop; never 0.
    MagicNumber(u32),
    /// Type 7.
    ProtocolFieldCompression,
    /// Type 8.
    AddressAndControlFieldCompression,
    /// Type 13 (RFC 1570): Windows clients ask for it.
    Callback(Vec<u8>),
    /// Type 17 (RFC 1990): multilink, maximum received reconstructed unit.
    Mrru(u16),
    /// Type 18 (RFC 1990).
    ShortSequenceNumbers,
    /// Type 19 (RFC 1990).
    EndpointDiscriminator(Vec<u8>),
    /// Anything else, or one of the above with an impossible length.
    Other(RawOption),
}

impl From<&RawOption> for LcpOption {
    fn from(option: &RawOption) -> Self {
        match (option.kind, option.data.as_slice()) {
            (1, &[a, b]) => Self::MaximumReceiveUnit(u16::from_be_bytes([a, b])),
            (2, &[a, b, c, d]) => Self::Accm(u32::from_be_bytes([a, b, c, d])),
            (3, &[a, b, ref data @ ..]) => Self::AuthenticationProtocol {
                protocol: u16::from_be_bytes([a, b]),
                data: data.to_vec(),
            },
            (4, data) => Self::QualityProtocol(data.to_vec()),
            (5, &[a, b, c, d]) => Self::MagicNumber(u32::from_be_bytes([a, b, c, d])),
            (7, []) => Self::ProtocolFieldCompression,
            (8, []) => Self::AddressAndControlFieldCompression,
            (13, data) => Self::Callback(data.to_vec()),
            (17, &[a, b]) => Self::Mrru(u16::from_be_bytes([a, b])),
            (18, []) => Self::ShortSequenceNumbers,
            (19, data) => Self::EndpointDiscriminator(data.to_vec()),
            _ => Self::Other(option.clone()),
        }
    }
}

impl From<&LcpOption> for RawOption {
    fn from(option: &LcpOption) -> Self {
        match option {
            LcpOption::MaximumReceiveUnit(mru) => Self::new(1, &mru.to_be_bytes()),
            LcpOption::Accm(map) => Self::new(2, &map.to_be_bytes()),
            LcpOption::AuthenticationProtocol { protocol, data } => {
                Self::new(3, &[&protocol.to_be_bytes()[..], data].concat())
            }
            LcpOption::QualityProtocol(data) => Self::new(4, data),
            LcpOption::MagicNumber(magic) => Self::new(5, &magic.to_be_bytes()),
            LcpOption::ProtocolFieldCompression => Self::new(7, &[]),
            LcpOption::AddressAndControlFieldCompression => Self::new(8, &[]),
            LcpOption::Callback(data) => Self::new(13, data),
            LcpOption::Mrru(mrru) => Self::new(17, &mrru.to_be_bytes()),
            LcpOption::ShortSequenceNumbers => Self::new(18, &[]),
            LcpOption::EndpointDiscriminator(data) => Self::new(19, data),
            LcpOption::Other(raw) => raw.clone(),
        }
    }
}

/// Supported bits of the MPPE option (RFC 3078, section 2.1).
pub mod mppe_bits {
    /// H: stateless mode.
    pub const STATELESS: u32 = 0x0100_0000;
    /// M: 56-bit keys.
    pub const BITS_56: u32 = 0x0000_0080;
    /// S: 128-bit keys.
    pub const BITS_128: u32 = 0x0000_0040;
    /// L: 40-bit keys.
    pub const BITS_40: u32 = 0x0000_0020;
    /// D: obsolete.
    pub const OBSOLETE: u32 = 0x0000_0010;
    /// C: MPPC compression.
    pub const COMPRESSION: u32 = 0x0000_0001;
}

/// CCP options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CcpOption {
    /// Type 18 (RFC 3078): [`mppe_bits`].
    Mppe(u32),
    /// Another compressor.
    Other(RawOption),
}

impl From<&RawOption> for CcpOption {
    fn from(option: &RawOption) -> Self {
        match (option.kind, option.data.as_slice()) {
            (18, &[a, b, c, d]) => Self::Mppe(u32::from_be_bytes([a, b, c, d])),
            _ => Self::Other(option.clone()),
        }
    }
}

impl From<&CcpOption> for RawOption {
    fn from(option: &CcpOption) -> Self {
        match option {
            CcpOption::Mppe(bits) => Self::new(18, &bits.to_be_bytes()),
            CcpOption::Other(raw) => raw.clone(),
        }
    }
}

/// IPCP options (RFC 1332; RFC 1877 for the name servers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpcpOption {
    /// Type 2: header compression, protocol and its data.
    Compression(Vec<u8>),
    /// Type 3: the sender's address; 0.0.0.0 asks for one.
    Address(Ipv4Addr),
    /// Type 129: primary DNS server.
    PrimaryDns(Ipv4Addr),
    /// Type 130: primary WINS (NBNS) server.
    PrimaryNbns(Ipv4Addr),
    /// Type 131: secondary DNS server.
    SecondaryDns(Ipv4Addr),
    /// Type 132: secondary WINS (NBNS) server.
    SecondaryNbns(Ipv4Addr),
    /// Anything else, or one of the above with an impossible length.
    Other(RawOption),
}

impl From<&RawOption> for IpcpOption {
    fn from(option: &RawOption) -> Self {
        let address = <[u8; 4]>::try_from(option.data.as_slice()).ok().map(Ipv4Addr::from);
        match (option.kind, address) {
            (2, _) => Self::Compression(option.data.clone()),
            (3, Some(address)) => Self::Address(address),
            (129, Some(address)) => Self::PrimaryDns(address),
            (130, Some(address)) => Self::PrimaryNbns(address),
            (131, Some(address)) => Self::SecondaryDns(address),
            (132, Some(address)) => Self::SecondaryNbns(address),
            _ => Self::Other(option.clone()),
        }
    }
}

impl From<&IpcpOption> for RawOption {
    fn from(option: &IpcpOption) -> Self {
        match option {
            IpcpOption::Compression(data) => Self::new(2, data),
            IpcpOption::Address(address) => Self::new(3, &address.octets()),
            IpcpOption::PrimaryDns(address) => Self::new(129, &address.octets()),
            IpcpOption::PrimaryNbns(address) => Self::new(130, &address.octets()),
            IpcpOption::SecondaryDns(address) => Self::new(131, &address.octets()),
            IpcpOption::SecondaryNbns(address) => Self::new(132, &address.octets()),
            IpcpOption::Other(raw) => raw.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// LCP Configure-Request of pppd 2.4.9 behind pptpd, MS-CHAPv2, as captured
    /// (magic number replaced).
    const PPPD_REQUEST: [u8; 25] =
        [1, 1, 0, 25, 2, 6, 0, 0, 0, 0, 3, 5, 0xc2, 0x23, 0x81, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2];

    #[test]
    fn literal_lcp_request_both_ways() {
        let packet = Packet::parse(&PPPD_REQUEST).unwrap();
        assert_eq!((packet.code, packet.identifier), (Code::ConfigureRequest, 1));
        let raw = RawOption::parse_list(&packet.data).unwrap();
        let options: Vec<LcpOption> = raw.iter().map(LcpOption::from).collect();
        assert_eq!(
            options,
            [
                LcpOption::Accm(0),
                LcpOption::AuthenticationProtocol { protocol: 0xc223, data: vec![0x81] },
                LcpOption::MagicNumber(0x0102_0304),
                LcpOption::ProtocolFieldCompression,
                LcpOption::AddressAndControlFieldCompression,
            ]
        );
        let raw: Vec<RawOption> = options.iter().map(RawOption::from).collect();
        let data = RawOption::emit_list(&raw);
        assert_eq!(Packet { data, ..packet }.emit(), PPPD_REQUEST);
    }

    #[test]
    fn literal_mppe_and_ipcp_options() {
        let mppe = RawOption { kind: 18, data: vec![1, 0, 0, 0x40] };
        assert_eq!(
            CcpOption::from(&mppe),
            CcpOption::Mppe(mppe_bits::STATELESS | mppe_bits::BITS_128)
        );
        let address = RawOption { kind: 3, data: vec![192, 168, 77, 1] };
        assert_eq!(IpcpOption::from(&address), IpcpOption::Address(Ipv4Addr::new(192, 168, 77, 1)));
        let dns = RawOption { kind: 129, data: vec![192, 168, 77, 1] };
        assert_eq!(RawOption::from(&IpcpOption::PrimaryDns(Ipv4Addr::new(192, 168, 77, 1))), dns);
    }

    #[test]
    fn padding_behind_the_length_is_ignored() {
        assert_eq!(Packet::parse(&[9, 7, 0, 4, 0xAA, 0xAA]).unwrap().data, [0u8; 0]);
    }

    #[test]
    fn impossible_lengths_are_named() {
        assert_eq!(
            Packet::parse(&[1, 1, 0, 3]),
            Err(Error::BadLength { what: "control protocol packet", length: 3 })
        );
        assert_eq!(
            RawOption::parse_list(&[1, 1]),
            Err(Error::BadLength { what: "configuration option", length: 1 })
        );
        for n in 0..PPPD_REQUEST.len() {
            assert!(matches!(Packet::parse(&PPPD_REQUEST[..n]), Err(Error::Truncated { .. })));
        }
    }

    fn raw_option() -> impl Strategy<Value = RawOption> {
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..=253))
            .prop_map(|(kind, data)| RawOption { kind, data })
    }

    proptest! {
        #[test]
        fn lists_survive_both_ways(options in proptest::collection::vec(raw_option(), 0..8)) {
            prop_assert_eq!(RawOption::parse_list(&RawOption::emit_list(&options)), Ok(options));
        }

        #[test]
        fn typed_options_survive_both_ways(option in raw_option()) {
            prop_assert_eq!(&RawOption::from(&LcpOption::from(&option)), &option);
            prop_assert_eq!(&RawOption::from(&CcpOption::from(&option)), &option);
            prop_assert_eq!(&RawOption::from(&IpcpOption::from(&option)), &option);
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(packet) = Packet::parse(&octets) {
                let _ = RawOption::parse_list(&packet.data);
                prop_assert!(octets.starts_with(&packet.emit()));
            }
        }
    }
}
