//! AgentX PDUs (RFC 2741, section 6) and their framing on a stream.
//!
//! All eighteen, both ways, in both byte orders. Each begins with
//!
//! ```text
//! +---------------+---------------+---------------+---------------+
//! |   h.version   |    h.type     |    h.flags    |  <reserved>   |
//! +---------------+---------------+---------------+---------------+
//! |                          h.sessionID                          |
//! +---------------+---------------+---------------+---------------+
//! |                        h.transactionID                        |
//! +---------------+---------------+---------------+---------------+
//! |                          h.packetID                           |
//! +---------------+---------------+---------------+---------------+
//! |                       h.payload_length                        |
//! +---------------+---------------+---------------+---------------+
//! ```
//!
//! It leaves out who may say what when: that is [`super::session`].
//!
//! What real masters do: Net-SNMP takes a PDU of more than 65536 octets for
//! malformed, and looks for a context in every PDU whose flags announce one,
//! even in a Response, where the RFC has none and its flags are those of the
//! request. Here a Response never announces one, and none is looked for.

use pptp_probe::codes;
use pptp_probe::wire::{Error, Result};

use super::codec::{Reader, Writer};
use crate::oid::Oid;
pub use crate::value::VarBind;
use crate::value::{Octets, Value};

/// The version of the protocol in each header.
pub const VERSION: u8 = 1;
/// Octets of a header.
pub const HEADER_LENGTH: usize = 20;
/// Longest payload that is taken, in octets. The RFC sets no bound; no request
/// that came in one SNMP message is longer.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Longest PDU that Net-SNMP's master takes, in octets, header included.
pub const MAX_PDU: usize = 65_536;

/// Bits of h.flags (section 6.1).
const INSTANCE_REGISTRATION: u8 = 1;
const NEW_INDEX: u8 = 2;
const ANY_INDEX: u8 = 4;
const NON_DEFAULT_CONTEXT: u8 = 8;
const NETWORK_BYTE_ORDER: u8 = 16;

/// Octets that a name and its end take where both are rows of a table.
const USUAL_RANGE: usize = 64;

/// Octets of h.payload_length begin here.
const PAYLOAD_LENGTH: usize = 16;
/// Octets of res.error begin here.
const ERROR: usize = HEADER_LENGTH + 4;
/// A Response's VarBindList begins here.
const RESPONSE_LENGTH: usize = HEADER_LENGTH + 8;

codes! {
    /// h.type (section 6.1).
    PduType(u8) {
        /// Opens a session.
        Open = 1, "Open";
        /// Closes a session.
        Close = 2, "Close";
        /// Registers a region.
        Register = 3, "Register";
        /// Takes a registration back.
        Unregister = 4, "Unregister";
        /// Asks for variables.
        Get = 5, "Get";
        /// Asks for the variables behind others.
        GetNext = 6, "GetNext";
        /// Asks for many variables behind others.
        GetBulk = 7, "GetBulk";
        /// Asks whether variables could be set.
        TestSet = 8, "TestSet";
        /// Sets them.
        CommitSet = 9, "CommitSet";
        /// Sets them back.
        UndoSet = 10, "UndoSet";
        /// Ends what TestSet began.
        CleanupSet = 11, "CleanupSet";
        /// Carries a notification.
        Notify = 12, "Notify";
        /// Asks whether the master is there.
        Ping = 13, "Ping";
        /// Asks for values of an index.
        IndexAllocate = 14, "IndexAllocate";
        /// Gives them back.
        IndexDeallocate = 15, "IndexDeallocate";
        /// Adds an entry to sysORTable.
        AddAgentCaps = 16, "AddAgentCaps";
        /// Removes it.
        RemoveAgentCaps = 17, "RemoveAgentCaps";
        /// Answers any of the above.
        Response = 18, "Response";
    }
}

codes! {
    /// c.reason (section 6.2.2).
    CloseReason(u8) {
        /// None of those below.
        ReasonOther = 1, "other";
        /// Too many PDUs could not be parsed.
        ParseError = 2, "parse errors";
        /// Too many PDUs broke the protocol.
        ProtocolError = 3, "protocol errors";
        /// Too many requests were not answered in time.
        Timeouts = 4, "timeouts";
        /// The sender shuts down.
        Shutdown = 5, "shutdown";
        /// Somebody set the session's administrative status.
        ByManager = 6, "closed by a manager";
    }
}

codes! {
    /// res.error (section 6.2.16): SNMP's error-status (RFC 3416, section 3)
    /// and AgentX's own.
    ErrorStatus(u16) {
        /// No error.
        None = 0, "no error";
        /// The response does not fit.
        TooBig = 1, "tooBig";
        /// SNMPv1's word for an unknown name.
        NoSuchName = 2, "noSuchName";
        /// SNMPv1's word for a wrong value.
        BadValue = 3, "badValue";
        /// SNMPv1's word for a variable that cannot be set.
        ReadOnly = 4, "readOnly";
        /// Any other failure.
        GenErr = 5, "genErr";
        /// The variable is not accessible.
        NoAccess = 6, "noAccess";
        /// The type is not the variable's.
        WrongType = 7, "wrongType";
        /// The length is not allowed.
        WrongLength = 8, "wrongLength";
        /// The encoding is not the type's.
        WrongEncoding = 9, "wrongEncoding";
        /// The value is not allowed.
        WrongValue = 10, "wrongValue";
        /// The variable does not exist and cannot be created.
        NoCreation = 11, "noCreation";
        /// The value is not allowed now.
        InconsistentValue = 12, "inconsistentValue";
        /// Something it would take is not there.
        ResourceUnavailable = 13, "resourceUnavailable";
        /// Setting failed although the test had passed.
        CommitFailed = 14, "commitFailed";
        /// Setting back failed.
        UndoFailed = 15, "undoFailed";
        /// The requester may not.
        AuthorizationError = 16, "authorizationError";
        /// The variable cannot be set, whatever the value.
        NotWritable = 17, "notWritable";
        /// The variable cannot be created now.
        InconsistentName = 18, "inconsistentName";
        /// The session could not be opened.
        OpenFailed = 256, "openFailed";
        /// There is no such session.
        NotOpen = 257, "notOpen";
        /// The index has another type.
        IndexWrongType = 258, "indexWrongType";
        /// The index is somebody else's.
        IndexAlreadyAllocated = 259, "indexAlreadyAllocated";
        /// No value of the index is left.
        IndexNoneAvailable = 260, "indexNoneAvailable";
        /// The index was not allocated by this session.
        IndexNotAllocated = 261, "indexNotAllocated";
        /// The context is not known.
        UnsupportedContext = 262, "unsupportedContext";
        /// The region is registered at this priority already.
        DuplicateRegistration = 263, "duplicateRegistration";
        /// The region is not registered.
        UnknownRegistration = 264, "unknownRegistration";
        /// The capabilities were not added.
        UnknownAgentCaps = 265, "unknownAgentCaps";
        /// The PDU could not be parsed.
        ParseError = 266, "parseError";
        /// The master does not want to.
        RequestDenied = 267, "requestDenied";
        /// The master failed.
        ProcessingError = 268, "processingError";
    }
}

/// NETWORK_BYTE_ORDER: how the numbers of one PDU are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant octet first.
    Little,
    /// Most significant octet first.
    Network,
}

impl ByteOrder {
    /// That of this machine, which costs it least.
    pub const NATIVE: Self =
        if cfg!(target_endian = "little") { Self::Little } else { Self::Network };
}

/// What a PDU of whatever type says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of every number in the PDU, the header's included.
    pub byte_order: ByteOrder,
    /// h.sessionID, set by the master when it answers Open.
    pub session_id: u32,
    /// h.transactionID: one SNMP request, in how many PDUs ever.
    pub transaction_id: u32,
    /// h.packetID: one request and its Response.
    pub packet_id: u32,
}

/// Where to look (section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRange {
    /// The starting name.
    pub start: Oid,
    /// Whether `start` itself is looked at.
    pub include: bool,
    /// The first name that is not looked at; none is the null identifier.
    pub end: Option<Oid>,
}

/// Part of the tree that a session answers for (section 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// r.priority: of two equal regions that with the smaller number answers;
    /// 127 by default.
    pub priority: u8,
    /// r.subtree.
    pub subtree: Oid,
    /// Several subtrees in one, when given.
    pub range: Option<Range>,
}

/// The sub-identifier of a region's subtree that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// r.range_subid: its place, counted from 1; never 0.
    pub subid: u8,
    /// r.upper_bound: its last value.
    pub upper_bound: u32,
}

/// What a PDU carries besides header and context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Section 6.2.1.
    Open {
        /// o.timeout: seconds the master waits for an answer; 0 leaves it to
        /// the master.
        timeout: u8,
        /// o.id: what the subagent is.
        id: Oid,
        /// o.descr: the same for a reader.
        description: Octets<'a>,
    },
    /// Section 6.2.2.
    Close {
        /// c.reason.
        reason: CloseReason,
    },
    /// Section 6.2.3.
    Register {
        /// INSTANCE_REGISTRATION: the subtree is the name of one instance.
        instance: bool,
        /// r.timeout: seconds, 0 for that of the session.
        timeout: u8,
        /// The region.
        region: Region,
    },
    /// Section 6.2.4.
    Unregister {
        /// The region as it was registered.
        region: Region,
    },
    /// Section 6.2.5.
    Get {
        /// The names; their ends say nothing.
        ranges: Vec<SearchRange>,
    },
    /// Section 6.2.6.
    GetNext {
        /// One answer each.
        ranges: Vec<SearchRange>,
    },
    /// Section 6.2.7.
    GetBulk {
        /// g.non_repeaters: how many ranges have one answer.
        non_repeaters: u16,
        /// g.max_repetitions: how many answers the others have at most.
        max_repetitions: u16,
        /// The ranges.
        ranges: Vec<SearchRange>,
    },
    /// Section 6.2.8.
    TestSet {
        /// What would be set.
        varbinds: Vec<VarBind<'a>>,
    },
    /// Section 6.2.9.
    CommitSet,
    /// Section 6.2.9.
    UndoSet,
    /// Section 6.2.9.
    CleanupSet,
    /// Section 6.2.10.
    Notify {
        /// snmpTrapOID.0, with or without sysUpTime.0 before it, and the
        /// notification's objects.
        varbinds: Vec<VarBind<'a>>,
    },
    /// Section 6.2.11.
    Ping,
    /// Section 6.2.12.
    IndexAllocate {
        /// NEW_INDEX: the value shall be one that was never used.
        new_index: bool,
        /// ANY_INDEX: the value may be any that is free.
        any_index: bool,
        /// The indexes.
        varbinds: Vec<VarBind<'a>>,
    },
    /// Section 6.2.13.
    IndexDeallocate {
        /// The indexes.
        varbinds: Vec<VarBind<'a>>,
    },
    /// Section 6.2.14.
    AddAgentCaps {
        /// a.id: sysORID.
        id: Oid,
        /// a.descr: sysORDescr.
        description: Octets<'a>,
    },
    /// Section 6.2.15.
    RemoveAgentCaps {
        /// a.id.
        id: Oid,
    },
    /// Section 6.2.16.
    Response {
        /// res.sysUpTime: hundredths of a second; 0 from a subagent.
        sys_up_time: u32,
        /// res.error.
        error: ErrorStatus,
        /// res.index: which variable failed, counted from 1.
        index: u16,
        /// The answers.
        varbinds: Vec<VarBind<'a>>,
    },
}

/// A whole PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu<'a> {
    /// The header.
    pub header: Header,
    /// The context, if not the default one (section 6.1.1). Written only where
    /// the type has room for one.
    pub context: Option<Octets<'a>>,
    /// The rest.
    pub message: Message<'a>,
}

impl Pdu<'_> {
    /// Appends the PDU to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let kind = self.message.pdu_type();
        let context = self.context.as_ref().filter(|_| has_context(kind));
        let mut flags = match &self.message {
            Message::Register { instance: true, .. } => INSTANCE_REGISTRATION,
            Message::IndexAllocate { new_index, any_index, .. } => {
                (u8::from(*new_index) * NEW_INDEX) | (u8::from(*any_index) * ANY_INDEX)
            }
            _ => 0,
        };
        if context.is_some() {
            flags |= NON_DEFAULT_CONTEXT;
        }
        let begin = out.len();
        let mut writer = begin_pdu(out, kind, flags, &self.header);
        if let Some(context) = context {
            writer.octets(context);
        }
        self.message.emit(&mut writer);
        end_pdu(&mut writer, begin);
    }
}

impl Message<'_> {
    /// h.type of the PDU that carries it.
    pub fn pdu_type(&self) -> PduType {
        match self {
            Self::Open { .. } => PduType::Open,
            Self::Close { .. } => PduType::Close,
            Self::Register { .. } => PduType::Register,
            Self::Unregister { .. } => PduType::Unregister,
            Self::Get { .. } => PduType::Get,
            Self::GetNext { .. } => PduType::GetNext,
            Self::GetBulk { .. } => PduType::GetBulk,
            Self::TestSet { .. } => PduType::TestSet,
            Self::CommitSet => PduType::CommitSet,
            Self::UndoSet => PduType::UndoSet,
            Self::CleanupSet => PduType::CleanupSet,
            Self::Notify { .. } => PduType::Notify,
            Self::Ping => PduType::Ping,
            Self::IndexAllocate { .. } => PduType::IndexAllocate,
            Self::IndexDeallocate { .. } => PduType::IndexDeallocate,
            Self::AddAgentCaps { .. } => PduType::AddAgentCaps,
            Self::RemoveAgentCaps { .. } => PduType::RemoveAgentCaps,
            Self::Response { .. } => PduType::Response,
        }
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Open { timeout, id, description } => {
                writer.slice(&[*timeout, 0, 0, 0]);
                writer.oid(id, false);
                writer.octets(description);
            }
            Self::Close { reason } => writer.slice(&[(*reason).into(), 0, 0, 0]),
            Self::Register { timeout, region, .. } => emit_region(writer, *timeout, region),
            Self::Unregister { region } => emit_region(writer, 0, region),
            Self::Get { ranges } | Self::GetNext { ranges } => emit_ranges(writer, ranges),
            Self::GetBulk { non_repeaters, max_repetitions, ranges } => {
                writer.u16(*non_repeaters);
                writer.u16(*max_repetitions);
                emit_ranges(writer, ranges);
            }
            Self::CommitSet | Self::UndoSet | Self::CleanupSet | Self::Ping => {}
            Self::TestSet { varbinds }
            | Self::Notify { varbinds }
            | Self::IndexAllocate { varbinds, .. }
            | Self::IndexDeallocate { varbinds } => emit_varbinds(writer, varbinds),
            Self::AddAgentCaps { id, description } => {
                writer.oid(id, false);
                writer.octets(description);
            }
            Self::RemoveAgentCaps { id } => writer.oid(id, false),
            Self::Response { sys_up_time, error, index, varbinds } => {
                writer.u32(*sys_up_time);
                writer.u16((*error).into());
                writer.u16(*index);
                emit_varbinds(writer, varbinds);
            }
        }
    }
}

/// A Response that is written while its variables are found.
pub struct ResponseWriter<'a> {
    writer: Writer<'a>,
    begin: usize,
}

impl<'a> ResponseWriter<'a> {
    /// Begins the Response to `request` at the end of `out`: no error, no
    /// variables.
    pub fn new(out: &'a mut Vec<u8>, request: &Header) -> Self {
        let begin = out.len();
        let mut writer = begin_pdu(out, PduType::Response, 0, request);
        writer.slice(&[0; RESPONSE_LENGTH - HEADER_LENGTH]);
        Self { writer, begin }
    }

    /// Appends a variable, unless the PDU becomes longer than `limit` octets.
    pub fn varbind(&mut self, name: &Oid, value: &Value<'_>, limit: usize) -> bool {
        let length = self.writer.len();
        self.writer.varbind(name, value);
        let fits = self.writer.len() - self.begin <= limit;
        if !fits {
            self.writer.truncate(length);
        }
        fits
    }

    /// Octets so far, for [`ResponseWriter::take_back`].
    pub fn mark(&self) -> usize {
        self.writer.len()
    }

    /// Takes back the variables that were appended since `mark`.
    pub fn take_back(&mut self, mark: usize) {
        self.writer.truncate(mark);
    }

    /// Says that variable `index` (from 1; 0 for none) failed; all variables
    /// are taken back.
    pub fn fail(&mut self, error: ErrorStatus, index: u16) {
        self.writer.truncate(self.begin + RESPONSE_LENGTH);
        self.writer.patch_u16(self.begin + ERROR, error.into());
        self.writer.patch_u16(self.begin + ERROR + 2, index);
    }

    /// Ends the PDU.
    pub fn finish(mut self) {
        end_pdu(&mut self.writer, self.begin);
    }
}

/// A PDU whose payload was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// h.type.
    pub pdu_type: PduType,
    /// The header.
    pub header: Header,
    flags: u8,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The whole PDU.
    ///
    /// # Errors
    /// The payload is not that of the type, or the type is not known.
    pub fn parse(&self) -> Result<Pdu<'a>> {
        let (mut reader, context) = self.payload()?;
        let message = match self.pdu_type {
            PduType::Open => {
                let timeout = reader.u8()?;
                reader.skip(3)?;
                let (id, _) = reader.oid()?;
                Message::Open { timeout, id, description: reader.octets()?.into() }
            }
            PduType::Close => {
                let reason = reader.u8()?.into();
                reader.skip(3)?;
                Message::Close { reason }
            }
            PduType::Register => {
                let (timeout, region) = read_region(&mut reader)?;
                let instance = self.flags & INSTANCE_REGISTRATION != 0;
                Message::Register { instance, timeout, region }
            }
            PduType::Unregister => Message::Unregister { region: read_region(&mut reader)?.1 },
            PduType::Get => Message::Get { ranges: read_ranges(&mut reader)? },
            PduType::GetNext => Message::GetNext { ranges: read_ranges(&mut reader)? },
            PduType::GetBulk => Message::GetBulk {
                non_repeaters: reader.u16()?,
                max_repetitions: reader.u16()?,
                ranges: read_ranges(&mut reader)?,
            },
            PduType::TestSet => Message::TestSet { varbinds: read_varbinds(&mut reader)? },
            PduType::CommitSet => Message::CommitSet,
            PduType::UndoSet => Message::UndoSet,
            PduType::CleanupSet => Message::CleanupSet,
            PduType::Notify => Message::Notify { varbinds: read_varbinds(&mut reader)? },
            PduType::Ping => Message::Ping,
            PduType::IndexAllocate => Message::IndexAllocate {
                new_index: self.flags & NEW_INDEX != 0,
                any_index: self.flags & ANY_INDEX != 0,
                varbinds: read_varbinds(&mut reader)?,
            },
            PduType::IndexDeallocate => {
                Message::IndexDeallocate { varbinds: read_varbinds(&mut reader)? }
            }
            PduType::AddAgentCaps => {
                let (id, _) = reader.oid()?;
                Message::AddAgentCaps { id, description: reader.octets()?.into() }
            }
            PduType::RemoveAgentCaps => Message::RemoveAgentCaps { id: reader.oid()?.0 },
            PduType::Response => Message::Response {
                sys_up_time: reader.u32()?,
                error: reader.u16()?.into(),
                index: reader.u16()?,
                varbinds: read_varbinds(&mut reader)?,
            },
            PduType::Other(kind) => {
                return Err(Error::BadValue { what: "h.type", value: kind.into() });
            }
        };
        reader.finish()?;
        Ok(Pdu { header: self.header, context: context.map(Octets::from), message })
    }

    fn payload(&self) -> Result<(Reader<'a>, Option<&'a [u8]>)> {
        let mut reader = Reader::new("payload", self.payload, self.header.byte_order);
        let context = if has_context(self.pdu_type) && self.flags & NON_DEFAULT_CONTEXT != 0 {
            Some(reader.octets()?)
        } else {
            None
        };
        Ok((reader, context))
    }
}

/// Cuts a stream into PDUs.
///
/// It holds what was pushed and not yet taken, and makes no room for what a
/// length only promises.
#[derive(Debug, Default)]
pub struct Framer {
    octets: Vec<u8>,
    taken: usize,
}

impl Framer {
    /// Adds octets of the stream.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.taken);
        self.taken = 0;
        self.octets.extend_from_slice(octets);
    }

    /// The next PDU that is there completely.
    ///
    /// # Errors
    /// A header with another version, or with a payload length that is no
    /// multiple of four or above [`MAX_PAYLOAD`]. The stream cannot be
    /// followed any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        let octets = &self.octets[self.taken..];
        let Some((head, rest)) = octets.split_first_chunk::<HEADER_LENGTH>() else {
            return match octets.first() {
                Some(&version) if version != VERSION => Err(bad_version(version)),
                _ => Ok(None),
            };
        };
        let [version, kind, flags, _, ..] = *head;
        if version != VERSION {
            return Err(bad_version(version));
        }
        let byte_order = match flags & NETWORK_BYTE_ORDER {
            0 => ByteOrder::Little,
            _ => ByteOrder::Network,
        };
        let mut reader = Reader::new("header", &head[4..], byte_order);
        let header = Header {
            byte_order,
            session_id: reader.u32()?,
            transaction_id: reader.u32()?,
            packet_id: reader.u32()?,
        };
        let length = reader.u32()? as usize;
        if !length.is_multiple_of(4) || length > MAX_PAYLOAD {
            return Err(Error::BadLength { what: "h.payload_length", length });
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        self.taken += HEADER_LENGTH + length;
        Ok(Some(Frame { pdu_type: kind.into(), header, flags, payload }))
    }
}

fn bad_version(version: u8) -> Error {
    Error::BadValue { what: "h.version", value: version.into() }
}

/// Whether PDUs of that type may carry a context.
fn has_context(kind: PduType) -> bool {
    !matches!(
        kind,
        PduType::Open
            | PduType::Close
            | PduType::CommitSet
            | PduType::UndoSet
            | PduType::CleanupSet
            | PduType::Response
    )
}

fn begin_pdu<'a>(
    out: &'a mut Vec<u8>,
    kind: PduType,
    mut flags: u8,
    header: &Header,
) -> Writer<'a> {
    if header.byte_order == ByteOrder::Network {
        flags |= NETWORK_BYTE_ORDER;
    }
    let mut writer = Writer::new(out, header.byte_order);
    writer.slice(&[VERSION, kind.into(), flags, 0]);
    writer.u32(header.session_id);
    writer.u32(header.transaction_id);
    writer.u32(header.packet_id);
    writer.u32(0);
    writer
}

fn end_pdu(writer: &mut Writer<'_>, begin: usize) {
    let length = writer.len() - begin - HEADER_LENGTH;
    writer.patch_u32(begin + PAYLOAD_LENGTH, length as u32);
}

fn emit_region(writer: &mut Writer<'_>, timeout: u8, region: &Region) {
    let subid = region.range.map_or(0, |range| range.subid);
    writer.slice(&[timeout, region.priority, subid, 0]);
    writer.oid(&region.subtree, false);
    if let Some(range) = region.range {
        writer.u32(range.upper_bound);
    }
}

fn read_region(reader: &mut Reader<'_>) -> Result<(u8, Region)> {
    let timeout = reader.u8()?;
    let priority = reader.u8()?;
    let subid = reader.u8()?;
    reader.skip(1)?;
    let (subtree, _) = reader.oid()?;
    let range = match subid {
        0 => None,
        _ if usize::from(subid) > subtree.len() => {
            return Err(Error::BadValue { what: "r.range_subid", value: subid.into() });
        }
        _ => Some(Range { subid, upper_bound: reader.u32()? }),
    };
    Ok((timeout, Region { priority, subtree, range }))
}

fn emit_ranges(writer: &mut Writer<'_>, ranges: &[SearchRange]) {
    let null = Oid::default();
    for range in ranges {
        writer.oid(&range.start, range.include);
        writer.oid(range.end.as_ref().unwrap_or(&null), false);
    }
}

fn read_ranges(reader: &mut Reader<'_>) -> Result<Vec<SearchRange>> {
    let mut ranges = Vec::with_capacity(reader.remaining() / USUAL_RANGE);
    while !reader.is_empty() {
        let (start, include) = reader.oid()?;
        let (end, _) = reader.oid()?;
        ranges.push(SearchRange { start, include, end: Some(end).filter(|end| !end.is_empty()) });
    }
    Ok(ranges)
}

fn emit_varbinds(writer: &mut Writer<'_>, varbinds: &[VarBind<'_>]) {
    for VarBind { name, value } in varbinds {
        writer.varbind(name, value);
    }
}

fn read_varbinds<'a>(reader: &mut Reader<'a>) -> Result<Vec<VarBind<'a>>> {
    let mut varbinds = Vec::new();
    while !reader.is_empty() {
        varbinds.push(reader.varbind()?);
    }
    Ok(varbinds)
}

#[cfg(test)]
mod tests;
