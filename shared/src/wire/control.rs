//! PPTP control messages (RFC 2637, section 2) and their framing on TCP.
//!
//! All fifteen messages, for the PNS (the caller, which the checks play) and
//! the PAC (the gateway, which the lab plays). Each begins with
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |             Length            |       PPTP Message Type (1)   |
//! +-------------------------------+-------------------------------+
//! |                   Magic Cookie (0x1A2B3C4D)                   |
//! +-------------------------------+-------------------------------+
//! |     Control Message Type      |           Reserved0           |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! Every message has one fixed length. Reserved fields are sent as zero and
//! ignored on receipt.
//!
//! What real gateways do: pptpd answers every requested version with 1.0 and
//! calls itself `local`, vendor `linux`. The RFC calls names ASCII; what
//! arrives is octets, cut here at the first zero and escaped where printed.

use super::{Error, Reader, Result, Writer};

/// TCP port of the control connection.
pub const PORT: u16 = 1723;
/// Constant that marks a PPTP control message.
pub const MAGIC_COOKIE: u32 = 0x1A2B_3C4D;
/// Protocol version 1, revision 0, as it stands in the version field.
pub const VERSION: u16 = 0x0100;
/// Octets of the longest message, Incoming-Call-Request.
pub const MAX_LENGTH: usize = 220;

const HEADER_LENGTH: usize = 12;
const MESSAGE_TYPE_CONTROL: u16 = 1;
const NAME_LENGTH: usize = 64;
const STATISTICS_LENGTH: usize = 128;

/// Framing capability and type bits (section 2.1): asynchronous.
pub const FRAMING_ASYNC: u32 = 1;
/// Framing capability and type bits: synchronous.
pub const FRAMING_SYNC: u32 = 2;
/// Bearer capability and type bits: analog.
pub const BEARER_ANALOG: u32 = 1;
/// Bearer capability and type bits: digital.
pub const BEARER_DIGITAL: u32 = 2;

codes! {
    /// Result of Start-Control-Connection-Reply (section 2.2).
    StartResult(u8) {
        /// The connection is established.
        Success = 1, "success";
        /// See the general error code.
        GeneralError = 2, "general error";
        /// There is a control connection already.
        ChannelExists = 3, "command channel already exists";
        /// The requester may not open one.
        NotAuthorized = 4, "requester not authorized";
        /// The version is not supported.
        VersionUnsupported = 5, "protocol version not supported";
    }
}

codes! {
    /// General error code (section 2.16), for results of "general error".
    GeneralError(u8) {
        /// No general error.
        None = 0, "none";
        /// No control connection exists yet.
        NotConnected = 1, "not connected";
        /// Length wrong or magic cookie incorrect.
        BadFormat = 2, "bad format";
        /// A field was out of range or a reserved field not zero.
        BadValue = 3, "bad value";
        /// Not enough resources now.
        NoResource = 4, "no resource";
        /// The Call ID is invalid in this context.
        BadCallId = 5, "bad call id";
        /// Vendor specific error in the PAC.
        PacError = 6, "PAC error";
    }
}

codes! {
    /// Reason of Stop-Control-Connection-Request (section 2.3).
    StopReason(u8) {
        /// General request to clear the connection.
        None = 1, "general request";
        /// The peer's version of the protocol is not supported.
        StopProtocol = 2, "protocol version not supported";
        /// The requester is being shut down.
        LocalShutdown = 3, "local shutdown";
    }
}

codes! {
    /// Result of Stop-Control-Connection-Reply (2.4) and Echo-Reply (2.6).
    SimpleResult(u8) {
        /// Done.
        Ok = 1, "ok";
        /// See the general error code.
        GeneralError = 2, "general error";
    }
}

codes! {
    /// Result of Outgoing-Call-Reply (section 2.8).
    OutgoingCallResult(u8) {
        /// The call is established.
        Connected = 1, "connected";
        /// See the general error code.
        GeneralError = 2, "general error";
        /// No carrier was detected.
        NoCarrier = 3, "no carrier";
        /// The called party is busy.
        Busy = 4, "busy";
        /// No dial tone.
        NoDialTone = 5, "no dial tone";
        /// Not established within the time allotted by the PAC.
        TimeOut = 6, "time-out";
        /// Administratively prohibited.
        DoNotAccept = 7, "do not accept";
    }
}

codes! {
    /// Result of Incoming-Call-Reply (section 2.10).
    IncomingCallResult(u8) {
        /// The PAC should answer the call.
        Connect = 1, "connect";
        /// See the general error code.
        GeneralError = 2, "general error";
        /// The PAC should not accept the call.
        DoNotAccept = 3, "do not accept";
    }
}

codes! {
    /// Result of Call-Disconnect-Notify (section 2.13).
    DisconnectResult(u8) {
        /// Loss of carrier.
        LostCarrier = 1, "lost carrier";
        /// See the general error code.
        GeneralError = 2, "general error";
        /// Administrative reasons.
        AdminShutdown = 3, "admin shutdown";
        /// A Call-Clear-Request was received.
        Request = 4, "request";
    }
}

codes! {
    /// Cause code of Outgoing-Call-Reply and Call-Disconnect-Notify: where
    /// the RFC speaks of ISDN, the cause value of ITU-T Q.850.
    CauseCode(u16) {
        /// Not given.
        None = 0, "none";
        /// Cause 1.
        UnassignedNumber = 1, "unassigned number";
        /// Cause 3.
        NoRouteToDestination = 3, "no route to destination";
        /// Cause 16.
        NormalClearing = 16, "normal call clearing";
        /// Cause 17.
        UserBusy = 17, "user busy";
        /// Cause 18.
        NoUserResponding = 18, "no user responding";
        /// Cause 19.
        NoAnswer = 19, "no answer from user";
        /// Cause 21.
        CallRejected = 21, "call rejected";
        /// Cause 27.
        DestinationOutOfOrder = 27, "destination out of order";
        /// Cause 31.
        NormalUnspecified = 31, "normal, unspecified";
        /// Cause 34.
        NoCircuitAvailable = 34, "no circuit or channel available";
        /// Cause 38.
        NetworkOutOfOrder = 38, "network out of order";
        /// Cause 41.
        TemporaryFailure = 41, "temporary failure";
        /// Cause 42.
        Congestion = 42, "switching equipment congestion";
        /// Cause 44.
        CircuitNotAvailable = 44, "requested circuit not available";
        /// Cause 47.
        ResourceUnavailable = 47, "resource unavailable";
        /// Cause 57.
        BearerNotAuthorized = 57, "bearer capability not authorized";
        /// Cause 58.
        BearerNotAvailable = 58, "bearer capability not presently available";
        /// Cause 63.
        ServiceNotAvailable = 63, "service or option not available";
        /// Cause 88.
        IncompatibleDestination = 88, "incompatible destination";
        /// Cause 102.
        RecoveryOnTimerExpiry = 102, "recovery on timer expiry";
        /// Cause 111.
        ProtocolError = 111, "protocol error";
        /// Cause 127.
        Interworking = 127, "interworking, unspecified";
    }
}

/// Start-Control-Connection-Request (section 2.1), 156 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRequest {
    /// Version and revision, one octet each.
    pub protocol_version: u16,
    /// Bits [`FRAMING_ASYNC`] and [`FRAMING_SYNC`].
    pub framing_capabilities: u32,
    /// Bits [`BEARER_ANALOG`] and [`BEARER_DIGITAL`].
    pub bearer_capabilities: u32,
    /// Sessions the PAC supports; 0 from a PNS.
    pub maximum_channels: u16,
    /// Firmware revision of the PAC or driver version of the PNS.
    pub firmware_revision: u16,
    /// DNS name, at most 64 octets, without the padding.
    pub host_name: Vec<u8>,
    /// Vendor text, at most 64 octets, without the padding.
    pub vendor_name: Vec<u8>,
}

/// Start-Control-Connection-Reply (section 2.2), 156 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartReply {
    /// Version and revision, one octet each.
    pub protocol_version: u16,
    /// Whether the connection stands.
    pub result: StartResult,
    /// Meaningful with [`StartResult::GeneralError`].
    pub error: GeneralError,
    /// Bits [`FRAMING_ASYNC`] and [`FRAMING_SYNC`].
    pub framing_capabilities: u32,
    /// Bits [`BEARER_ANALOG`] and [`BEARER_DIGITAL`].
    pub bearer_capabilities: u32,
    /// Sessions the PAC supports; many gateways say 0 or 1 whatever is true.
    pub maximum_channels: u16,
    /// Firmware revision of the PAC.
    pub firmware_revision: u16,
    /// DNS name, at most 64 octets, without the padding.
    pub host_name: Vec<u8>,
    /// Vendor text, at most 64 octets, without the padding.
    pub vendor_name: Vec<u8>,
}

/// Outgoing-Call-Request (section 2.7), 168 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingCallRequest {
    /// The PNS's identifier for the call: GRE to the PNS carries it.
    pub call_id: u16,
    /// For logs only.
    pub call_serial_number: u16,
    /// Lowest acceptable line speed in bit/s.
    pub minimum_bps: u32,
    /// Highest acceptable line speed in bit/s.
    pub maximum_bps: u32,
    /// Bits [`BEARER_ANALOG`] and [`BEARER_DIGITAL`].
    pub bearer_type: u32,
    /// Bits [`FRAMING_ASYNC`] and [`FRAMING_SYNC`].
    pub framing_type: u32,
    /// Packets the PNS buffers for this call.
    pub packet_recv_window_size: u16,
    /// Processing delay of the PNS in tenths of a second.
    pub packet_processing_delay: u16,
    /// Number to dial; its length field counts it. At most 64 octets.
    pub phone_number: Vec<u8>,
    /// At most 64 octets, without the padding.
    pub subaddress: Vec<u8>,
}

/// Outgoing-Call-Reply (section 2.8), 32 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingCallReply {
    /// The PAC's identifier for the call: GRE to the PAC carries it. pptpd
    /// gives 0 to its first caller; 0 is valid.
    pub call_id: u16,
    /// The Call ID of the request.
    pub peer_call_id: u16,
    /// Whether the call stands.
    pub result: OutgoingCallResult,
    /// Meaningful with [`OutgoingCallResult::GeneralError`].
    pub error: GeneralError,
    /// More about a failure.
    pub cause: CauseCode,
    /// Line speed in bit/s.
    pub connect_speed: u32,
    /// Packets the PAC buffers for this call.
    pub packet_recv_window_size: u16,
    /// Processing delay of the PAC in tenths of a second.
    pub packet_processing_delay: u16,
    /// Physical channel, set by the PAC.
    pub physical_channel_id: u32,
}

/// Incoming-Call-Request (section 2.9), 220 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingCallRequest {
    /// The PAC's identifier for the call.
    pub call_id: u16,
    /// For logs only.
    pub call_serial_number: u16,
    /// Bits [`BEARER_ANALOG`] and [`BEARER_DIGITAL`].
    pub bearer_type: u32,
    /// Physical channel on which the call came in.
    pub physical_channel_id: u32,
    /// Number that was dialed, at most 64 octets.
    pub dialed_number: Vec<u8>,
    /// Number of the caller, at most 64 octets.
    pub dialing_number: Vec<u8>,
    /// At most 64 octets, without the padding.
    pub subaddress: Vec<u8>,
}

/// Incoming-Call-Reply (section 2.10), 24 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingCallReply {
    /// The PNS's identifier for the call.
    pub call_id: u16,
    /// The Call ID of the request.
    pub peer_call_id: u16,
    /// Whether the PAC should answer.
    pub result: IncomingCallResult,
    /// Meaningful with [`IncomingCallResult::GeneralError`].
    pub error: GeneralError,
    /// Packets the PNS buffers for this call.
    pub packet_recv_window_size: u16,
    /// Transit delay in tenths of a second.
    pub packet_transit_delay: u16,
}

/// Incoming-Call-Connected (section 2.11), 28 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingCallConnected {
    /// The PNS's Call ID, from Incoming-Call-Reply.
    pub peer_call_id: u16,
    /// Line speed in bit/s.
    pub connect_speed: u32,
    /// Packets the PAC buffers for this call.
    pub packet_recv_window_size: u16,
    /// Transit delay in tenths of a second.
    pub packet_transit_delay: u16,
    /// Bits [`FRAMING_ASYNC`] and [`FRAMING_SYNC`].
    pub framing_type: u32,
}

/// Call-Disconnect-Notify (section 2.13), 148 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallDisconnectNotify {
    /// The PAC's Call ID.
    pub call_id: u16,
    /// Why the call ended.
    pub result: DisconnectResult,
    /// Meaningful with [`DisconnectResult::GeneralError`].
    pub error: GeneralError,
    /// More about the end.
    pub cause: CauseCode,
    /// Vendor-specific text, at most 128 octets, without the padding.
    pub call_statistics: Vec<u8>,
}

/// Counters of WAN-Error-Notify (section 2.14), 40 octets; cumulative for
/// the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WanErrorNotify {
    /// The PNS's Call ID.
    pub peer_call_id: u16,
    /// PPP frames with a wrong checksum.
    pub crc_errors: u32,
    /// Improperly framed PPP packets.
    pub framing_errors: u32,
    /// Receive buffer overruns of the hardware.
    pub hardware_overruns: u32,
    /// Buffer overruns.
    pub buffer_overruns: u32,
    /// Time-outs.
    pub timeout_errors: u32,
    /// Alignment errors.
    pub alignment_errors: u32,
}

/// A control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Type 1.
    StartRequest(StartRequest),
    /// Type 2.
    StartReply(StartReply),
    /// Stop-Control-Connection-Request, type 3 (section 2.3).
    StopRequest {
        /// Why.
        reason: StopReason,
    },
    /// Stop-Control-Connection-Reply, type 4 (section 2.4).
    StopReply {
        /// Whether it was closed.
        result: SimpleResult,
        /// Meaningful with a general error.
        error: GeneralError,
    },
    /// Type 5 (section 2.5).
    EchoRequest {
        /// Chosen by the sender.
        identifier: u32,
    },
    /// Type 6 (section 2.6).
    EchoReply {
        /// From the request.
        identifier: u32,
        /// Whether the request was valid.
        result: SimpleResult,
        /// Meaningful with a general error.
        error: GeneralError,
    },
    /// Type 7.
    OutgoingCallRequest(OutgoingCallRequest),
    /// Type 8.
    OutgoingCallReply(OutgoingCallReply),
    /// Type 9.
    IncomingCallRequest(IncomingCallRequest),
    /// Type 10.
    IncomingCallReply(IncomingCallReply),
    /// Type 11.
    IncomingCallConnected(IncomingCallConnected),
    /// Type 12 (section 2.12).
    CallClearRequest {
        /// The PNS's Call ID.
        call_id: u16,
    },
    /// Type 13.
    CallDisconnectNotify(CallDisconnectNotify),
    /// Type 14.
    WanErrorNotify(WanErrorNotify),
    /// Type 15 (section 2.15).
    SetLinkInfo {
        /// The PAC's Call ID.
        peer_call_id: u16,
        /// ACCM for packets to the client.
        send_accm: u32,
        /// ACCM for packets from the client.
        receive_accm: u32,
    },
}

impl Message {
    /// The RFC's name.
    pub fn name(&self) -> &'static str {
        NAMES[usize::from(self.control_type()) - 1].0
    }

    /// Control Message Type, 1 to 15.
    pub fn control_type(&self) -> u16 {
        match self {
            Self::StartRequest(_) => 1,
            Self::StartReply(_) => 2,
            Self::StopRequest { .. } => 3,
            Self::StopReply { .. } => 4,
            Self::EchoRequest { .. } => 5,
            Self::EchoReply { .. } => 6,
            Self::OutgoingCallRequest(_) => 7,
            Self::OutgoingCallReply(_) => 8,
            Self::IncomingCallRequest(_) => 9,
            Self::IncomingCallReply(_) => 10,
            Self::IncomingCallConnected(_) => 11,
            Self::CallClearRequest { .. } => 12,
            Self::CallDisconnectNotify(_) => 13,
            Self::WanErrorNotify(_) => 14,
            Self::SetLinkInfo { .. } => 15,
        }
    }

    /// Reads one whole message.
    ///
    /// # Errors
    /// Any deviation from the fixed layout, by name.
    pub fn parse(octets: &[u8]) -> Result<Self> {
        let mut r = Reader::new("control message", octets);
        let length = r.u16()?;
        let message_type = r.u16()?;
        let cookie = r.u32()?;
        let control_type = r.u16()?;
        r.skip(2)?;
        if cookie != MAGIC_COOKIE {
            return Err(Error::BadValue { what: "magic cookie", value: cookie });
        }
        if message_type != MESSAGE_TYPE_CONTROL {
            return Err(Error::BadValue {
                what: "PPTP message type",
                value: u32::from(message_type),
            });
        }
        let Some((name, expected)) = layout(control_type) else {
            return Err(Error::BadValue {
                what: "control message type",
                value: u32::from(control_type),
            });
        };
        if usize::from(length) != expected || octets.len() > expected {
            return Err(Error::BadLength { what: name, length: octets.len().max(length.into()) });
        }
        let mut r = r.part(name, expected - HEADER_LENGTH)?;
        let message = Self::parse_body(control_type, &mut r)?;
        r.finish()?;
        Ok(message)
    }

    fn parse_body(control_type: u16, r: &mut Reader<'_>) -> Result<Self> {
        Ok(match control_type {
            1 => {
                let protocol_version = r.u16()?;
                r.skip(2)?;
                Self::StartRequest(StartRequest {
                    protocol_version,
                    framing_capabilities: r.u32()?,
                    bearer_capabilities: r.u32()?,
                    maximum_channels: r.u16()?,
                    firmware_revision: r.u16()?,
                    host_name: text(r, NAME_LENGTH)?,
                    vendor_name: text(r, NAME_LENGTH)?,
                })
            }
            2 => Self::StartReply(StartReply {
                protocol_version: r.u16()?,
                result: r.u8()?.into(),
                error: r.u8()?.into(),
                framing_capabilities: r.u32()?,
                bearer_capabilities: r.u32()?,
                maximum_channels: r.u16()?,
                firmware_revision: r.u16()?,
                host_name: text(r, NAME_LENGTH)?,
                vendor_name: text(r, NAME_LENGTH)?,
            }),
            3 => {
                let reason = r.u8()?.into();
                r.skip(3)?;
                Self::StopRequest { reason }
            }
            4 => {
                let (result, error) = (r.u8()?.into(), r.u8()?.into());
                r.skip(2)?;
                Self::StopReply { result, error }
            }
            5 => Self::EchoRequest { identifier: r.u32()? },
            6 => {
                let identifier = r.u32()?;
                let (result, error) = (r.u8()?.into(), r.u8()?.into());
                r.skip(2)?;
                Self::EchoReply { identifier, result, error }
            }
            7 => {
                let (call_id, call_serial_number) = (r.u16()?, r.u16()?);
                let (minimum_bps, maximum_bps) = (r.u32()?, r.u32()?);
                let (bearer_type, framing_type) = (r.u32()?, r.u32()?);
                let (packet_recv_window_size, packet_processing_delay) = (r.u16()?, r.u16()?);
                let digits = r.u16()?;
                r.skip(2)?;
                Self::OutgoingCallRequest(OutgoingCallRequest {
                    call_id,
                    call_serial_number,
                    minimum_bps,
                    maximum_bps,
                    bearer_type,
                    framing_type,
                    packet_recv_window_size,
                    packet_processing_delay,
                    phone_number: counted(r, "phone number", digits)?,
                    subaddress: text(r, NAME_LENGTH)?,
                })
            }
            8 => Self::OutgoingCallReply(OutgoingCallReply {
                call_id: r.u16()?,
                peer_call_id: r.u16()?,
                result: r.u8()?.into(),
                error: r.u8()?.into(),
                cause: r.u16()?.into(),
                connect_speed: r.u32()?,
                packet_recv_window_size: r.u16()?,
                packet_processing_delay: r.u16()?,
                physical_channel_id: r.u32()?,
            }),
            9 => {
                let (call_id, call_serial_number) = (r.u16()?, r.u16()?);
                let (bearer_type, physical_channel_id) = (r.u32()?, r.u32()?);
                let (dialed, dialing) = (r.u16()?, r.u16()?);
                Self::IncomingCallRequest(IncomingCallRequest {
                    call_id,
                    call_serial_number,
                    bearer_type,
                    physical_channel_id,
                    dialed_number: counted(r, "dialed number", dialed)?,
                    dialing_number: counted(r, "dialing number", dialing)?,
                    subaddress: text(r, NAME_LENGTH)?,
                })
            }
            10 => {
                let reply = IncomingCallReply {
                    call_id: r.u16()?,
                    peer_call_id: r.u16()?,
                    result: r.u8()?.into(),
                    error: r.u8()?.into(),
                    packet_recv_window_size: r.u16()?,
                    packet_transit_delay: r.u16()?,
                };
                r.skip(2)?;
                Self::IncomingCallReply(reply)
            }
            11 => {
                let peer_call_id = r.u16()?;
                r.skip(2)?;
                Self::IncomingCallConnected(IncomingCallConnected {
                    peer_call_id,
                    connect_speed: r.u32()?,
                    packet_recv_window_size: r.u16()?,
                    packet_transit_delay: r.u16()?,
                    framing_type: r.u32()?,
                })
            }
            12 => {
                let call_id = r.u16()?;
                r.skip(2)?;
                Self::CallClearRequest { call_id }
            }
            13 => {
                let call_id = r.u16()?;
                let (result, error) = (r.u8()?.into(), r.u8()?.into());
                let cause = r.u16()?.into();
                r.skip(2)?;
                let call_statistics = text(r, STATISTICS_LENGTH)?;
                Self::CallDisconnectNotify(CallDisconnectNotify {
                    call_id,
                    result,
                    error,
                    cause,
                    call_statistics,
                })
            }
            14 => {
                let peer_call_id = r.u16()?;
                r.skip(2)?;
                Self::WanErrorNotify(WanErrorNotify {
                    peer_call_id,
                    crc_errors: r.u32()?,
                    framing_errors: r.u32()?,
                    hardware_overruns: r.u32()?,
                    buffer_overruns: r.u32()?,
                    timeout_errors: r.u32()?,
                    alignment_errors: r.u32()?,
                })
            }
            _ => {
                let peer_call_id = r.u16()?;
                r.skip(2)?;
                Self::SetLinkInfo { peer_call_id, send_accm: r.u32()?, receive_accm: r.u32()? }
            }
        })
    }

    /// The message in octets, header included. Names longer than their field
    /// are cut.
    pub fn emit(&self) -> Vec<u8> {
        let control_type = self.control_type();
        let length = NAMES[usize::from(control_type) - 1].1;
        let mut w = Writer::with_capacity(length);
        w.u16(length as u16);
        w.u16(MESSAGE_TYPE_CONTROL);
        w.u32(MAGIC_COOKIE);
        w.u16(control_type);
        w.u16(0);
        self.emit_body(&mut w);
        debug_assert_eq!(w.len(), length);
        w.finish()
    }

    fn emit_body(&self, w: &mut Writer) {
        match self {
            Self::StartRequest(m) => {
                w.u16(m.protocol_version);
                w.u16(0);
                w.u32(m.framing_capabilities);
                w.u32(m.bearer_capabilities);
                w.u16(m.maximum_channels);
                w.u16(m.firmware_revision);
                w.padded(&m.host_name, NAME_LENGTH);
                w.padded(&m.vendor_name, NAME_LENGTH);
            }
            Self::StartReply(m) => {
                w.u16(m.protocol_version);
                w.u8(m.result.into());
                w.u8(m.error.into());
                w.u32(m.framing_capabilities);
                w.u32(m.bearer_capabilities);
                w.u16(m.maximum_channels);
                w.u16(m.firmware_revision);
                w.padded(&m.host_name, NAME_LENGTH);
                w.padded(&m.vendor_name, NAME_LENGTH);
            }
            Self::StopRequest { reason } => {
                w.u8((*reason).into());
                w.zeros(3);
            }
            Self::StopReply { result, error } => {
                w.u8((*result).into());
                w.u8((*error).into());
                w.zeros(2);
            }
            Self::EchoRequest { identifier } => w.u32(*identifier),
            Self::EchoReply { identifier, result, error } => {
                w.u32(*identifier);
                w.u8((*result).into());
                w.u8((*error).into());
                w.zeros(2);
            }
            Self::OutgoingCallRequest(m) => {
                w.u16(m.call_id);
                w.u16(m.call_serial_number);
                w.u32(m.minimum_bps);
                w.u32(m.maximum_bps);
                w.u32(m.bearer_type);
                w.u32(m.framing_type);
                w.u16(m.packet_recv_window_size);
                w.u16(m.packet_processing_delay);
                w.u16(m.phone_number.len().min(NAME_LENGTH) as u16);
                w.u16(0);
                w.padded(&m.phone_number, NAME_LENGTH);
                w.padded(&m.subaddress, NAME_LENGTH);
            }
            Self::OutgoingCallReply(m) => {
                w.u16(m.call_id);
                w.u16(m.peer_call_id);
                w.u8(m.result.into());
                w.u8(m.error.into());
                w.u16(m.cause.into());
                w.u32(m.connect_speed);
                w.u16(m.packet_recv_window_size);
                w.u16(m.packet_processing_delay);
                w.u32(m.physical_channel_id);
            }
            Self::IncomingCallRequest(m) => {
                w.u16(m.call_id);
                w.u16(m.call_serial_number);
                w.u32(m.bearer_type);
                w.u32(m.physical_channel_id);
                w.u16(m.dialed_number.len().min(NAME_LENGTH) as u16);
                w.u16(m.dialing_number.len().min(NAME_LENGTH) as u16);
                w.padded(&m.dialed_number, NAME_LENGTH);
                w.padded(&m.dialing_number, NAME_LENGTH);
                w.padded(&m.subaddress, NAME_LENGTH);
            }
            Self::IncomingCallReply(m) => {
                w.u16(m.call_id);
                w.u16(m.peer_call_id);
                w.u8(m.result.into());
                w.u8(m.error.into());
                w.u16(m.packet_recv_window_size);
                w.u16(m.packet_transit_delay);
                w.u16(0);
            }
            Self::IncomingCallConnected(m) => {
                w.u16(m.peer_call_id);
                w.u16(0);
                w.u32(m.connect_speed);
                w.u16(m.packet_recv_window_size);
                w.u16(m.packet_transit_delay);
                w.u32(m.framing_type);
            }
            Self::CallClearRequest { call_id } => {
                w.u16(*call_id);
                w.u16(0);
            }
            Self::CallDisconnectNotify(m) => {
                w.u16(m.call_id);
                w.u8(m.result.into());
                w.u8(m.error.into());
                w.u16(m.cause.into());
                w.u16(0);
                w.padded(&m.call_statistics, STATISTICS_LENGTH);
            }
            Self::WanErrorNotify(m) => {
                w.u16(m.peer_call_id);
                w.u16(0);
                w.u32(m.crc_errors);
                w.u32(m.framing_errors);
                w.u32(m.hardware_overruns);
                w.u32(m.buffer_overruns);
                w.u32(m.timeout_errors);
                w.u32(m.alignment_errors);
            }
            Self::SetLinkInfo { peer_call_id, send_accm, receive_accm } => {
                w.u16(*peer_call_id);
                w.u16(0);
                w.u32(*send_accm);
                w.u32(*receive_accm);
            }
        }
    }
}

/// Cuts the TCP stream into messages: one octet at a time and two messages
/// at once are the same to it. It keeps at most one message's octets beyond
/// what one `push` brought.
#[derive(Debug, Default)]
pub struct Framer {
    pending: Vec<u8>,
    start: usize,
}

impl Framer {
    /// An empty framer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets that arrived.
    pub fn push(&mut self, octets: &[u8]) {
        self.pending.drain(..self.start);
        self.start = 0;
        self.pending.extend_from_slice(octets);
    }

    /// The next whole message, or `None` until more octets arrive.
    ///
    /// # Errors
    /// As [`Message::parse`]; the header is judged as soon as its octets are
    /// there, so that a foreign protocol is recognised by its first eight
    /// octets. After an error the stream cannot be followed any further.
    pub fn next_message(&mut self) -> Result<Option<Message>> {
        let octets = &self.pending[self.start..];
        let mut r = Reader::new("control message", octets);
        if let Some(cookie) = octets.get(4..8)
            && cookie != MAGIC_COOKIE.to_be_bytes()
        {
            r.skip(4)?;
            return Err(Error::BadValue { what: "magic cookie", value: r.u32()? });
        }
        if octets.len() < 2 {
            return Ok(None);
        }
        let length = usize::from(r.u16()?);
        if octets.len() >= 8 && !(HEADER_LENGTH..=MAX_LENGTH).contains(&length) {
            return Err(Error::BadLength { what: "control message", length });
        }
        if octets.len() >= HEADER_LENGTH && length >= HEADER_LENGTH && octets.len() >= length {
            let message = Message::parse(&octets[..length])?;
            self.start += length;
            return Ok(Some(message));
        }
        Ok(None)
    }

    /// Octets that are waiting for the rest of their message.
    pub fn pending(&self) -> usize {
        self.pending.len() - self.start
    }
}

/// Name and whole length of each control message type, from type 1 on.
const NAMES: [(&str, usize); 15] = [
    ("Start-Control-Connection-Request", 156),
    ("Start-Control-Connection-Reply", 156),
    ("Stop-Control-Connection-Request", 16),
    ("Stop-Control-Connection-Reply", 16),
    ("Echo-Request", 16),
    ("Echo-Reply", 20),
    ("Outgoing-Call-Request", 168),
    ("Outgoing-Call-Reply", 32),
    ("Incoming-Call-Request", 220),
    ("Incoming-Call-Reply", 24),
    ("Incoming-Call-Connected", 28),
    ("Call-Clear-Request", 16),
    ("Call-Disconnect-Notify", 148),
    ("WAN-Error-Notify", 40),
    ("Set-Link-Info", 24),
];

fn layout(control_type: u16) -> Option<(&'static str, usize)> {
    NAMES.get(usize::from(control_type).checked_sub(1)?).copied()
}

/// A fixed field of text: cut at the first zero.
fn text(r: &mut Reader<'_>, length: usize) -> Result<Vec<u8>> {
    let field = r.take(length)?;
    let end = field.iter().position(|&octet| octet == 0).unwrap_or(length);
    Ok(field[..end].to_vec())
}

/// A fixed field of 64 octets of which `length` count.
fn counted(r: &mut Reader<'_>, what: &'static str, length: u16) -> Result<Vec<u8>> {
    let field = r.take(NAME_LENGTH)?;
    match field.get(..usize::from(length)) {
        Some(octets) => Ok(octets.to_vec()),
        None => Err(Error::BadLength { what, length: length.into() }),
    }
}

#[cfg(test)]
mod tests;
