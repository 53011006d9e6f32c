//! A PPTP gateway for tests of the caller: a function of what it was sent.
//!
//! Owns the answers that pptpd with pppd would give to a caller who follows
//! the rules, so that a session gets past authentication into the encrypted
//! data phase; and [`Watch`], which counts what no run may exceed. Leaves out
//! sockets and time: what was lost is said again on [`Gateway::repeat`] alone.
//!
//! It shares its codecs with the caller, so it proves order and progress;
//! that the octets are right is proved by captures of real gateways.
//!
//! The parent module names the core under test `probe`.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use md5::{Digest, Md5};

use super::probe::crypto::mppe::{KeyLength, MasterKeys};
use super::probe::crypto::mschap;
use super::probe::method::Method;
use super::probe::proto::auth::AuthProtocol;
use super::probe::proto::mppe::{Decryptor, Encryptor, Mode};
use super::probe::proto::tunnel::Transmit;
use super::probe::wire::chap::{MsChapV1Response, MsChapV2Response, SuccessText, Valued, Verdict};
use super::probe::wire::control::{
    CallDisconnectNotify, CauseCode, DisconnectResult, Framer, GeneralError, Message,
    OutgoingCallReply, OutgoingCallResult, SimpleResult, StartReply, StartResult, VERSION,
};
use super::probe::wire::cp::{
    CcpOption, Code, IpcpOption, LcpOption, Packet, RawOption, mppe_bits,
};
use super::probe::wire::eap::{self, Md5Challenge, MsChapV2, Typed};
use super::probe::wire::ip::{Datagram, Icmp, PROTOCOL_ICMP};
use super::probe::wire::ppp::{self, Frame};
use super::probe::wire::{chap, gre, pap};

/// The gateway's Call ID.
pub(crate) const CALL_ID: u16 = 0x0180;
/// The account that it knows.
pub(crate) const ACCOUNT: (&[u8], &[u8]) = (b"probe", b"Pr0be-secret");
/// A password that is not the account's.
pub(crate) const WRONG: &[u8] = b"wrong";
/// Its address inside the tunnel; it also serves DNS.
pub(crate) const INNER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
/// The one address in its pool.
pub(crate) const POOL: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 10);
/// 128 bit, stateless.
pub(crate) const MPPE_128: u32 = mppe_bits::STATELESS | mppe_bits::BITS_128;

const MAGIC: u32 = 0xb0d3_795d;
/// RFC 2759, section 9.2; the first half also serves MS-CHAPv1.
const CHALLENGE: [u8; 16] = *b"\x5b\x5d\x7c\x7d\x7b\x3f\x2f\x3e\x3c\x2c\x60\x21\x32\x26\x26\x28";

/// How the daemon is set up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Authentication that it would take, what it proposes first; none: it
    /// lets everybody in.
    pub(crate) auth: Vec<AuthProtocol>,
    /// What runs under EAP.
    pub(crate) eap: Method,
    /// MPPE bits that it insists on; none: it has no MPPE.
    pub(crate) mppe: Option<u32>,
    /// Whether the pool has an address left.
    pub(crate) has_address: bool,
    /// Answers Call-Clear-Request by closing, as pptpd does, and not by a
    /// Call-Disconnect-Notify.
    pub(crate) closes_on_clear: bool,
}

impl Settings {
    /// pptpd as distributions set it up: MS-CHAPv2, 128 bit required.
    pub(crate) fn usual() -> Self {
        Self {
            auth: vec![AuthProtocol::MsChapV2],
            eap: Method::EapMd5,
            mppe: Some(MPPE_128),
            has_address: true,
            closes_on_clear: true,
        }
    }
}

/// What the gateway has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Octets of the control connection.
    Control(Vec<u8>),
    /// A PPP frame; [`Gateway::wrap`] makes a GRE packet of it.
    Frame(Vec<u8>),
    /// It closes the control connection.
    Close,
}

/// One gateway with one caller.
pub(crate) struct Gateway {
    settings: Settings,
    framer: Framer,
    caller_call_id: u16,
    next_sequence: u32,
    highest: Option<u32>,
    identifier: u8,
    proposal: Option<AuthProtocol>,
    refused: bool,
    lcp: Layer,
    ccp: Layer,
    ipcp: Layer,
    authenticated: bool,
    keys: Option<MasterKeys>,
    encryptor: Option<Encryptor>,
    decryptor: Option<Decryptor>,
    question: Option<Vec<u8>>,
    replies: VecDeque<Reply>,
}

/// One negotiation: our request until it is answered, and who agreed.
#[derive(Default)]
struct Layer {
    request: Option<Vec<u8>>,
    ours: bool,
    theirs: bool,
}

impl Layer {
    fn is_open(&self) -> bool {
        self.ours && self.theirs
    }
}

impl Gateway {
    /// A gateway that waits for the caller.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            proposal: settings.auth.first().cloned(),
            settings,
            framer: Framer::new(),
            caller_call_id: 0,
            next_sequence: 0,
            highest: None,
            identifier: 0,
            refused: false,
            lcp: Layer::default(),
            ccp: Layer::default(),
            ipcp: Layer::default(),
            authenticated: false,
            keys: None,
            encryptor: None,
            decryptor: None,
            question: None,
            replies: VecDeque::new(),
        }
    }

    /// Takes what the caller sent.
    pub(crate) fn handle(&mut self, transmit: &Transmit) {
        match transmit {
            Transmit::Control(octets) => {
                self.framer.push(octets);
                while let Ok(Some(message)) = self.framer.next_message() {
                    self.handle_message(message);
                }
            }
            Transmit::Gre(octets) => {
                let Ok(packet) = gre::Packet::parse(octets) else { return };
                if let Some(sequence) = packet.sequence {
                    self.highest = Some(sequence);
                    if let Ok(frame) = Frame::parse(packet.payload) {
                        self.handle_frame(frame);
                    }
                }
            }
        }
    }

    /// The next thing to say.
    pub(crate) fn poll_reply(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// Says again what was not answered.
    pub(crate) fn repeat(&mut self) {
        let layers = [(ppp::LCP, &self.lcp), (ppp::CCP, &self.ccp), (ppp::IPCP, &self.ipcp)];
        let requests = layers
            .into_iter()
            .filter_map(|(protocol, layer)| Some((protocol, layer.request.clone()?)));
        let again: Vec<_> = requests
            .map(|(protocol, request)| Frame { protocol, information: &request }.emit())
            .chain(self.question.clone())
            .collect();
        self.replies.extend(again.into_iter().map(Reply::Frame));
    }

    /// A frame as the next GRE packet.
    pub(crate) fn wrap(&mut self, frame: &[u8]) -> Vec<u8> {
        let sequence = Some(self.next_sequence);
        self.next_sequence = self.next_sequence.wrapping_add(1);
        let (call_id, acknowledgment) = (self.caller_call_id, self.highest);
        gre::Packet { call_id, sequence, acknowledgment, payload: frame }.emit()
    }

    /// An acknowledgement alone.
    pub(crate) fn acknowledgement(&self) -> Vec<u8> {
        let (call_id, acknowledgment) = (self.caller_call_id, self.highest);
        gre::Packet { call_id, sequence: None, acknowledgment, payload: &[] }.emit()
    }

    /// A datagram as a frame, encrypted where that was agreed.
    pub(crate) fn datagram(&mut self, datagram: &[u8]) -> Vec<u8> {
        match &mut self.encryptor {
            Some(encryptor) => {
                let information = encryptor.encrypt(ppp::IPV4, datagram);
                Frame { protocol: ppp::COMPRESSED, information: &information }.emit()
            }
            None => Frame { protocol: ppp::IPV4, information: datagram }.emit(),
        }
    }

    fn control(&mut self, message: Message) {
        self.replies.push_back(Reply::Control(message.emit()));
    }

    fn frame(&mut self, protocol: u16, information: &[u8]) {
        self.replies.push_back(Reply::Frame(Frame { protocol, information }.emit()));
    }

    fn packet(&mut self, protocol: u16, code: Code, identifier: u8, data: &[u8]) {
        self.frame(protocol, &Packet { code, identifier, data: data.to_vec() }.emit());
    }

    fn handle_message(&mut self, message: Message) {
        let error = GeneralError::None;
        match message {
            Message::StartRequest(_) => self.control(Message::StartReply(StartReply {
                protocol_version: VERSION,
                result: StartResult::Success,
                error,
                framing_capabilities: 0,
                bearer_capabilities: 0,
                maximum_channels: 1,
                firmware_revision: 1,
                host_name: b"local".to_vec(),
                vendor_name: b"linux".to_vec(),
            })),
            Message::EchoRequest { identifier } => {
                self.control(Message::EchoReply { identifier, result: SimpleResult::Ok, error });
            }
            Message::OutgoingCallRequest(request) => {
                self.caller_call_id = request.call_id;
                self.control(Message::OutgoingCallReply(OutgoingCallReply {
                    call_id: CALL_ID,
                    peer_call_id: request.call_id,
                    result: OutgoingCallResult::Connected,
                    error,
                    cause: CauseCode::None,
                    connect_speed: request.maximum_bps,
                    packet_recv_window_size: request.packet_recv_window_size,
                    packet_processing_delay: 0,
                    physical_channel_id: 0,
                }));
                self.request_lcp();
            }
            Message::CallClearRequest { .. } if self.settings.closes_on_clear => {
                self.replies.push_back(Reply::Close);
            }
            Message::CallClearRequest { .. } => {
                self.control(Message::CallDisconnectNotify(CallDisconnectNotify {
                    call_id: CALL_ID,
                    result: DisconnectResult::Request,
                    error,
                    cause: CauseCode::None,
                    call_statistics: Vec::new(),
                }));
            }
            Message::StopRequest { .. } => {
                self.control(Message::StopReply { result: SimpleResult::Ok, error });
            }
            _ => {}
        }
    }

    /// A new Configure-Request of a layer.
    fn request(&mut self, protocol: u16, options: &[RawOption]) {
        self.identifier = self.identifier.wrapping_add(1);
        let data = RawOption::emit_list(options);
        let packet =
            Packet { code: Code::ConfigureRequest, identifier: self.identifier, data }.emit();
        self.frame(protocol, &packet);
        if let Some(layer) = self.layer(protocol) {
            *layer = Layer { request: Some(packet), ours: false, theirs: layer.theirs };
        }
    }

    fn layer(&mut self, protocol: u16) -> Option<&mut Layer> {
        match protocol {
            ppp::LCP => Some(&mut self.lcp),
            ppp::CCP => Some(&mut self.ccp),
            ppp::IPCP => Some(&mut self.ipcp),
            _ => None,
        }
    }

    fn request_lcp(&mut self) {
        let mut options = vec![LcpOption::Accm(0)];
        if let Some(proposal) = &self.proposal {
            let body = proposal.to_option();
            let protocol = u16::from_be_bytes([body[0], body[1]]);
            options.push(LcpOption::AuthenticationProtocol { protocol, data: body[2..].to_vec() });
        }
        options.push(LcpOption::MagicNumber(MAGIC));
        options.push(LcpOption::ProtocolFieldCompression);
        options.push(LcpOption::AddressAndControlFieldCompression);
        let raw: Vec<_> = options.iter().map(RawOption::from).collect();
        self.request(ppp::LCP, &raw);
    }

    fn request_network(&mut self) {
        match self.settings.mppe {
            Some(bits) if self.keys.is_some() => {
                self.request(ppp::CCP, &[RawOption::from(&CcpOption::Mppe(bits))]);
            }
            _ => self.request_ipcp(),
        }
    }

    fn request_ipcp(&mut self) {
        self.request(ppp::IPCP, &[RawOption::from(&IpcpOption::Address(INNER))]);
    }

    fn terminate(&mut self, text: &[u8]) {
        self.identifier = self.identifier.wrapping_add(1);
        let identifier = self.identifier;
        self.packet(ppp::LCP, Code::TerminateRequest, identifier, text);
    }

    fn handle_frame(&mut self, frame: Frame<'_>) {
        let information = frame.information;
        match frame.protocol {
            ppp::LCP => self.handle_lcp(information),
            _ if !self.lcp.is_open() => {}
            ppp::PAP => self.handle_pap(information),
            ppp::CHAP => self.handle_chap(information),
            ppp::EAP => self.handle_eap(information),
            _ if !self.authenticated => {}
            ppp::CCP => self.handle_ccp(information),
            ppp::IPCP => self.handle_ipcp(information),
            ppp::COMPRESSED => {
                let Some(decryptor) = &mut self.decryptor else { return };
                if let Ok((ppp::IPV4, datagram)) = decryptor.decrypt(information) {
                    self.handle_datagram(&datagram);
                }
            }
            ppp::IPV4 if self.encryptor.is_none() => self.handle_datagram(information),
            _ => {}
        }
    }

    fn handle_lcp(&mut self, information: &[u8]) {
        let Ok(packet) = Packet::parse(information) else { return };
        let was_open = self.lcp.is_open();
        match packet.code {
            Code::ConfigureRequest => {
                if was_open {
                    self.lcp.theirs = false;
                    self.request_lcp();
                }
                self.packet(ppp::LCP, Code::ConfigureAck, packet.identifier, &packet.data);
                self.lcp.theirs = true;
            }
            Code::ConfigureAck if self.answers(ppp::LCP, packet.identifier) => {
                self.lcp.ours = true;
            }
            Code::ConfigureNak if self.answers(ppp::LCP, packet.identifier) => {
                self.move_on(&packet.data);
                self.request_lcp();
            }
            Code::ConfigureReject if self.answers(ppp::LCP, packet.identifier) => {
                self.refused = self.proposal.take().is_some();
                self.request_lcp();
            }
            Code::TerminateRequest => {
                self.packet(ppp::LCP, Code::TerminateAck, packet.identifier, &[]);
                self.lcp = Layer::default();
            }
            Code::EchoRequest if was_open => {
                let data = MAGIC.to_be_bytes();
                self.packet(ppp::LCP, Code::EchoReply, packet.identifier, &data);
            }
            Code::ProtocolReject if packet.data.starts_with(&ppp::CCP.to_be_bytes()) => {
                self.terminate(b"MPPE required but peer negotiation failed");
            }
            _ => {}
        }
        if self.lcp.is_open() && !was_open {
            self.authenticated = false;
            (self.encryptor, self.decryptor) = (None, None);
            self.ccp = Layer::default();
            self.ipcp = Layer::default();
            self.ask();
        }
    }

    /// Whether a packet answers the outstanding request, which then is none.
    fn answers(&mut self, protocol: u16, identifier: u8) -> bool {
        let Some(layer) = self.layer(protocol) else { return false };
        let right = layer.request.as_ref().is_some_and(|request| request[1] == identifier);
        if right {
            layer.request = None;
        }
        right
    }

    /// pppd after a Nak: what was suggested, if it has that; else it drops
    /// what it proposed and goes on with the rest.
    fn move_on(&mut self, naks: &[u8]) {
        let naks = RawOption::parse_list(naks).unwrap_or_default();
        let suggested = naks.iter().find_map(|raw| match LcpOption::from(raw) {
            LcpOption::AuthenticationProtocol { protocol, data } => {
                Some(AuthProtocol::from_option(&[&protocol.to_be_bytes()[..], &data].concat()))
            }
            _ => None,
        });
        let Some(suggested) = suggested else { return };
        if self.settings.auth.contains(&suggested) {
            self.proposal = Some(suggested);
            return;
        }
        let proposal = self.proposal.take();
        self.settings.auth.retain(|known| Some(known) != proposal.as_ref());
        self.proposal = self.settings.auth.first().cloned();
        self.refused = self.proposal.is_none();
    }

    /// LCP is open: the first question of authentication.
    fn ask(&mut self) {
        self.question = None;
        self.identifier = self.identifier.wrapping_add(1);
        let identifier = self.identifier;
        let name = b"pptpd".to_vec();
        let packet = match self.proposal {
            None if self.refused => return self.terminate(b"peer refused to authenticate"),
            None => {
                self.authenticated = true;
                return self.request_network();
            }
            Some(AuthProtocol::Pap) => return,
            Some(AuthProtocol::Eap) => {
                let data = b"Name".to_vec();
                let request = Typed { identifier, kind: eap::kind::IDENTITY, data };
                (ppp::EAP, eap::Packet::Request(request).emit())
            }
            Some(AuthProtocol::MsChapV1) => {
                let value = CHALLENGE[..8].to_vec();
                (ppp::CHAP, chap::Packet::Challenge(Valued { identifier, value, name }).emit())
            }
            Some(_) => {
                let value = CHALLENGE.to_vec();
                (ppp::CHAP, chap::Packet::Challenge(Valued { identifier, value, name }).emit())
            }
        };
        self.question(packet.0, &packet.1);
    }

    fn question(&mut self, protocol: u16, packet: &[u8]) {
        self.question = Some(Frame { protocol, information: packet }.emit());
        self.frame(protocol, packet);
    }

    fn welcome(&mut self, keys: Option<MasterKeys>) {
        self.question = None;
        if !self.authenticated {
            self.authenticated = true;
            self.keys = keys;
        }
        self.request_network();
    }

    fn handle_pap(&mut self, information: &[u8]) {
        let Ok(pap::Packet::AuthenticateRequest(request)) = pap::Packet::parse(information) else {
            return;
        };
        let right = (request.peer_id.as_slice(), request.password.as_slice()) == ACCOUNT;
        let message = if right { b"Login ok".to_vec() } else { b"Login incorrect".to_vec() };
        let verdict = pap::Verdict { identifier: request.identifier, message };
        if right {
            self.frame(ppp::PAP, &pap::Packet::AuthenticateAck(verdict).emit());
            self.welcome(None);
        } else {
            self.frame(ppp::PAP, &pap::Packet::AuthenticateNak(verdict).emit());
            self.terminate(b"Authentication failed");
        }
    }

    fn handle_chap(&mut self, information: &[u8]) {
        let Ok(chap::Packet::Response(Valued { identifier, value, name })) =
            chap::Packet::parse(information)
        else {
            return;
        };
        let judged = match self.proposal {
            Some(AuthProtocol::ChapMd5) => {
                (value == md5(identifier)).then(|| (b"Access granted".to_vec(), None))
            }
            Some(AuthProtocol::MsChapV1) => judge_v1(&value),
            _ => {
                MsChapV2Response::parse(&value).ok().and_then(|response| judge_v2(&response, &name))
            }
        };
        match judged {
            Some((message, keys)) => {
                let verdict = Verdict { identifier, message };
                self.frame(ppp::CHAP, &chap::Packet::Success(verdict).emit());
                self.welcome(keys);
            }
            None => {
                let message = b"E=691 R=1 C=00 V=0 M=Access denied".to_vec();
                let verdict = Verdict { identifier, message };
                self.frame(ppp::CHAP, &chap::Packet::Failure(verdict).emit());
                self.terminate(b"Authentication failed");
            }
        }
    }

    fn handle_eap(&mut self, information: &[u8]) {
        let Ok(eap::Packet::Response(response)) = eap::Packet::parse(information) else { return };
        let identifier = response.identifier.wrapping_add(1);
        let name = b"pptpd".to_vec();
        let request = |kind, data| eap::Packet::Request(Typed { identifier, kind, data }).emit();
        match (response.kind, self.settings.eap) {
            (eap::kind::IDENTITY, Method::EapMsChapV2) => {
                let data = MsChapV2::Challenge { mschap_v2_id: 7, challenge: CHALLENGE, name };
                self.question(ppp::EAP, &request(eap::kind::MSCHAP_V2, data.emit()));
            }
            (eap::kind::IDENTITY, _) => {
                let data = Md5Challenge { value: CHALLENGE.to_vec(), name }.emit();
                self.question(ppp::EAP, &request(eap::kind::MD5_CHALLENGE, data));
            }
            (eap::kind::MD5_CHALLENGE, Method::EapMd5) => {
                let right = Md5Challenge::parse(&response.data)
                    .is_ok_and(|answer| answer.value == md5(response.identifier));
                self.eap_verdict(right, identifier, None);
            }
            (eap::kind::MSCHAP_V2, Method::EapMsChapV2) => match MsChapV2::parse(&response.data) {
                Ok(MsChapV2::Response { mschap_v2_id, response, name }) => {
                    match judge_v2(&response, &name) {
                        Some((message, keys)) => {
                            self.keys = keys;
                            let data = MsChapV2::SuccessRequest { mschap_v2_id, message }.emit();
                            self.question(ppp::EAP, &request(eap::kind::MSCHAP_V2, data));
                        }
                        None => self.eap_verdict(false, identifier, None),
                    }
                }
                Ok(MsChapV2::SuccessResponse) => {
                    let keys = self.keys.take();
                    self.eap_verdict(true, identifier, keys);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn eap_verdict(&mut self, right: bool, identifier: u8, keys: Option<MasterKeys>) {
        if right {
            self.frame(ppp::EAP, &eap::Packet::Success { identifier }.emit());
            self.authenticated = false;
            self.welcome(keys);
        } else {
            self.frame(ppp::EAP, &eap::Packet::Failure { identifier }.emit());
            self.terminate(b"Authentication failed");
        }
    }

    fn handle_ccp(&mut self, information: &[u8]) {
        let Ok(packet) = Packet::parse(information) else { return };
        let was_open = self.ccp.is_open();
        match packet.code {
            Code::ConfigureRequest => self.handle_ccp_request(&packet),
            Code::ConfigureAck if self.answers(ppp::CCP, packet.identifier) => {
                self.ccp.ours = true;
            }
            Code::ConfigureNak | Code::ConfigureReject
                if self.answers(ppp::CCP, packet.identifier) =>
            {
                self.terminate(b"MPPE required but peer negotiation failed");
            }
            Code::ResetRequest => {
                if let Some(encryptor) = &mut self.encryptor {
                    encryptor.reset();
                }
                self.packet(ppp::CCP, Code::ResetAck, packet.identifier, &[]);
            }
            _ => {}
        }
        if self.ccp.is_open()
            && !was_open
            && let (Some(bits), Some(keys)) = (self.settings.mppe, &self.keys)
        {
            let mode = mode(bits);
            self.encryptor = Some(Encryptor::for_server(keys, mode));
            self.decryptor = Some(Decryptor::for_server(keys, mode));
            self.request_ipcp();
        }
    }

    fn handle_ccp_request(&mut self, packet: &Packet) {
        if self.ccp.is_open() {
            self.ccp.theirs = false;
            self.encryptor = None;
            self.decryptor = None;
            self.request_network();
        }
        let wanted = self.settings.mppe.map(|bits| vec![RawOption::from(&CcpOption::Mppe(bits))]);
        if wanted.is_none() && self.ccp.request.is_none() && !self.ccp.ours {
            // pppd without a compressor asks for nothing, but it asks.
            self.request(ppp::CCP, &[]);
        }
        let options = RawOption::parse_list(&packet.data).unwrap_or_default();
        match wanted {
            None if options.is_empty() => {
                self.packet(ppp::CCP, Code::ConfigureAck, packet.identifier, &[]);
                self.ccp.theirs = true;
            }
            None => self.packet(ppp::CCP, Code::ConfigureReject, packet.identifier, &packet.data),
            Some(wanted) if wanted == options => {
                self.packet(ppp::CCP, Code::ConfigureAck, packet.identifier, &packet.data);
                self.ccp.theirs = true;
            }
            Some(wanted) => {
                let data = RawOption::emit_list(&wanted);
                self.packet(ppp::CCP, Code::ConfigureNak, packet.identifier, &data);
            }
        }
    }

    fn handle_ipcp(&mut self, information: &[u8]) {
        // pppd drops IPCP until the encryption it requires is open.
        if self.settings.mppe.is_some() && self.keys.is_some() && !self.ccp.is_open() {
            return;
        }
        let Ok(packet) = Packet::parse(information) else { return };
        match packet.code {
            Code::ConfigureRequest => {
                if self.ipcp.is_open() {
                    self.request_ipcp();
                }
                let options = RawOption::parse_list(&packet.data).unwrap_or_default();
                let (code, answer) = self.judge_ipcp(&options);
                let data = RawOption::emit_list(&answer);
                self.packet(ppp::IPCP, code, packet.identifier, &data);
                self.ipcp.theirs = code == Code::ConfigureAck;
            }
            Code::ConfigureAck if self.answers(ppp::IPCP, packet.identifier) => {
                self.ipcp.ours = true;
            }
            _ => {}
        }
    }

    fn judge_ipcp(&self, options: &[RawOption]) -> (Code, Vec<RawOption>) {
        let given = |option: &IpcpOption| match option {
            IpcpOption::Address(_) => {
                self.settings.has_address.then_some(IpcpOption::Address(POOL))
            }
            IpcpOption::PrimaryDns(_) => Some(IpcpOption::PrimaryDns(INNER)),
            IpcpOption::SecondaryDns(_) => Some(IpcpOption::SecondaryDns(INNER)),
            _ => None,
        };
        let wished: Vec<_> = options.iter().map(|raw| given(&IpcpOption::from(raw))).collect();
        let rejected: Vec<_> = options
            .iter()
            .zip(&wished)
            .filter(|(_, wished)| wished.is_none())
            .map(|(raw, _)| raw.clone())
            .collect();
        let naks: Vec<_> = options
            .iter()
            .zip(wished.iter().flatten().map(RawOption::from))
            .filter(|(raw, wished)| *raw != wished)
            .map(|(_, wished)| wished)
            .collect();
        match (rejected.is_empty(), naks.is_empty()) {
            (false, _) => (Code::ConfigureReject, rejected),
            (true, false) => (Code::ConfigureNak, naks),
            (true, true) => (Code::ConfigureAck, options.to_vec()),
        }
    }

    fn handle_datagram(&mut self, datagram: &[u8]) {
        let Ok(datagram) = Datagram::parse(datagram) else { return };
        if datagram.protocol == PROTOCOL_ICMP
            && let Ok(Icmp::Echo { reply: false, identifier, sequence, data }) =
                Icmp::parse(datagram.payload)
        {
            let payload = &Icmp::Echo { reply: true, identifier, sequence, data }.emit();
            let (source, destination) = (datagram.destination, datagram.source);
            let reply = Datagram { source, destination, protocol: PROTOCOL_ICMP, payload }.emit();
            let frame = self.datagram(&reply);
            self.replies.push_back(Reply::Frame(frame));
        }
    }
}

fn md5(identifier: u8) -> Vec<u8> {
    answer_md5(identifier, ACCOUNT.1, &CHALLENGE)
}

fn answer_md5(identifier: u8, password: &[u8], challenge: &[u8]) -> Vec<u8> {
    Md5::new()
        .chain_update([identifier])
        .chain_update(password)
        .chain_update(challenge)
        .finalize()
        .to_vec()
}

type Judged = Option<(Vec<u8>, Option<MasterKeys>)>;

fn judge_v1(value: &[u8]) -> Judged {
    let response = MsChapV1Response::parse(value).ok()?;
    let challenge = CHALLENGE.first_chunk()?;
    (response.nt_response == mschap::nt_challenge_response(challenge, ACCOUNT.1)).then(|| {
        (b"Access granted".to_vec(), Some(MasterKeys::from_mschap_v1(ACCOUNT.1, challenge)))
    })
}

fn judge_v2(response: &MsChapV2Response, name: &[u8]) -> Judged {
    let MsChapV2Response { peer_challenge, nt_response, .. } = response;
    if *nt_response != mschap::generate_nt_response(&CHALLENGE, peer_challenge, name, ACCOUNT.1) {
        return None;
    }
    let proof = mschap::generate_authenticator_response(
        ACCOUNT.1,
        nt_response,
        peer_challenge,
        &CHALLENGE,
        name,
    );
    let text =
        SuccessText { authenticator_response: Some(proof), message: b"Access granted".to_vec() };
    Some((text.emit(), Some(MasterKeys::from_mschap_v2(ACCOUNT.1, nt_response))))
}

fn mode(bits: u32) -> Mode {
    let length = match bits {
        _ if bits & mppe_bits::BITS_128 != 0 => KeyLength::Bits128,
        _ if bits & mppe_bits::BITS_56 != 0 => KeyLength::Bits56,
        _ => KeyLength::Bits40,
    };
    Mode { length, stateless: bits & mppe_bits::STATELESS != 0 }
}

/// Looks at everything that crosses the wire and counts what the caller may
/// do only once.
#[derive(Default)]
pub(crate) struct Watch {
    challenges: Vec<Vec<u8>>,
    /// What was proved: the challenge that was answered, or the whole proof
    /// where that depends on nothing but the challenge.
    proofs: Vec<Vec<u8>>,
    next_sequence: u32,
    terminates: u32,
    /// LCP was asked for behind a proof, which wants it open.
    opened_anew: bool,
    messages: Vec<u16>,
}

impl Watch {
    /// Looks at a GRE packet on its way to the caller.
    pub(crate) fn received(&mut self, octets: &[u8]) {
        let Some((protocol, information)) = frame_of(octets) else { return };
        match protocol {
            ppp::CHAP => {
                if let Ok(chap::Packet::Challenge(challenge)) = chap::Packet::parse(&information) {
                    self.challenges.push(challenge.value);
                }
            }
            ppp::EAP => {
                if let Ok(eap::Packet::Request(request)) = eap::Packet::parse(&information)
                    && let Ok(challenge) = Md5Challenge::parse(&request.data)
                {
                    self.challenges.push(challenge.value);
                }
            }
            _ => {}
        }
    }

    /// Looks at what the caller sends.
    ///
    /// # Panics
    /// When it is not what RFC 2637 allows a caller to send: an unreadable
    /// message, a number of a GRE packet that is not the next one.
    pub(crate) fn sent(&mut self, transmit: &Transmit) {
        let octets = match transmit {
            Transmit::Control(octets) => {
                let message = Message::parse(octets).expect("a control message");
                self.messages.push(message.control_type());
                return;
            }
            Transmit::Gre(octets) => octets,
        };
        let packet = gre::Packet::parse(octets).expect("a GRE packet");
        let Some(sequence) = packet.sequence else { return };
        assert_eq!(sequence, self.next_sequence, "GRE numbers have no gaps");
        self.next_sequence = sequence.wrapping_add(1);
        let (protocol, information) = frame_of(octets).expect("a PPP frame");
        match protocol {
            ppp::LCP if information.first() == Some(&1) => {
                self.opened_anew |= !self.proofs.is_empty();
            }
            ppp::LCP if information.first() == Some(&5) => self.terminates += 1,
            ppp::PAP => {
                let request = pap::Packet::parse(&information).expect("a PAP packet");
                assert!(matches!(request, pap::Packet::AuthenticateRequest(_)));
                self.prove(information);
            }
            ppp::CHAP => match chap::Packet::parse(&information).expect("a CHAP packet") {
                chap::Packet::Response(Valued { identifier, value, .. }) => {
                    self.prove_value(identifier, value);
                }
                other => panic!("a caller sends no {other:?}"),
            },
            ppp::EAP => match eap::Packet::parse(&information).expect("an EAP packet") {
                eap::Packet::Response(response) => self.prove_eap(response),
                other => panic!("a caller sends no {other:?}"),
            },
            _ => {}
        }
    }

    fn prove_eap(&mut self, response: Typed) {
        match response.kind {
            eap::kind::MD5_CHALLENGE => {
                let answer = Md5Challenge::parse(&response.data).expect("an answer");
                self.prove_value(response.identifier, answer.value);
            }
            eap::kind::MSCHAP_V2 => {
                if let MsChapV2::Response { response, .. } =
                    MsChapV2::parse(&response.data).expect("an answer")
                {
                    self.prove(response.emit());
                }
            }
            _ => {}
        }
    }

    fn prove_value(&mut self, identifier: u8, value: Vec<u8>) {
        // An MD5 response depends on the identifier too, which may change.
        let answers = |challenge: &[u8]| {
            [ACCOUNT.1, WRONG].iter().any(|known| answer_md5(identifier, known, challenge) == value)
        };
        let md5 = self.challenges.iter().find(|challenge| answers(challenge));
        let proof = md5.cloned().unwrap_or(value);
        self.prove(proof);
    }

    fn prove(&mut self, proof: Vec<u8>) {
        if !self.proofs.contains(&proof) {
            self.proofs.push(proof);
        }
    }

    /// Different proofs of the password that were sent. A repetition of one
    /// is no attempt of its own.
    pub(crate) fn attempts(&self) -> usize {
        self.proofs.len()
    }

    /// Whether LCP was negotiated again after the first proof.
    pub(crate) fn opened_anew(&self) -> bool {
        self.opened_anew
    }

    /// LCP Terminate-Requests that were sent.
    pub(crate) fn terminates(&self) -> u32 {
        self.terminates
    }

    /// Types of the control messages that were sent.
    pub(crate) fn messages(&self) -> &[u16] {
        &self.messages
    }
}

/// Protocol and information of the frame in a GRE packet.
pub(crate) fn frame_of(octets: &[u8]) -> Option<(u16, Vec<u8>)> {
    let packet = gre::Packet::parse(octets).ok()?;
    let frame = Frame::parse(packet.payload).ok()?;
    Some((frame.protocol, frame.information.to_vec()))
}
