//! Whole sessions against a peer that follows a script.
//!
//! Whatever it says: nothing panics, queues are bounded by what was heard,
//! no timer is due again when it was just handled, the password is proved at
//! most once before the verdict (twice where LCP was opened anew in between) and
//! never after a rejection, the farewell is said once, and when time is up the session ends within a few timers.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use pptp_probe::method::{Method, MppePolicy};
use pptp_probe::proto::auth::{AuthProtocol, Credentials};
use pptp_probe::proto::automaton::Timing;
use pptp_probe::proto::lcp::AuthPolicy;
use pptp_probe::proto::tunnel::{Config, Goal, Transmit, Tunnel};
use pptp_probe::proto::{control, link};
use pptp_probe::reason::{Phase, Reason};
use pptp_probe::secret::Secret;
use pptp_probe::wire::chap::{FailureText, SuccessText, Verdict};
use pptp_probe::wire::control::{
    CallDisconnectNotify, GeneralError, Message, OutgoingCallReply, SimpleResult, StopReason,
};
use pptp_probe::wire::cp::{CcpOption, IpcpOption, LcpOption, Packet, RawOption, mppe_bits};
use pptp_probe::wire::eap::{self, Md5Challenge, MsChapV2, Typed};
use pptp_probe::wire::gre;
use pptp_probe::wire::ip::{Datagram, Icmp, PROTOCOL_ICMP};
use pptp_probe::wire::ppp::{self, Frame};
use pptp_probe::wire::{chap, pap};

use crate::gateway::{ACCOUNT, Gateway, INNER, MPPE_128, POOL, Reply, Settings, WRONG, Watch};
use crate::script::{Cursor, RAW_CALL_ID, RAW_MAGIC, Step, steps};

const PEER_CHALLENGE: [u8; 16] =
    *b"\x57\xc9\xec\x81\x65\x7d\x8d\xab\x5e\x37\xfb\x94\xed\x55\x84\x31";
const FAREWELL: Duration = Duration::from_millis(500);
/// Packets that one input may cause beside those of its length: 33 frames
/// that were held behind a gap, and 16 that overtook the call's reply.
const BURST: usize = 8 * (33 + 16);
/// Timers until the end once time is up.
const TIMERS: usize = 40;

struct Session {
    tunnel: Tunnel,
    gateway: Gateway,
    watch: Watch,
    started: Instant,
    now: Instant,
    sent: Vec<Transmit>,
    /// Proofs counted when the gateway rejected one.
    rejected_at: Option<usize>,
    next_sequence: u32,
    highest_sent: Option<u32>,
}

impl Session {
    fn new(config: Config, settings: Settings) -> Self {
        let started = Instant::now();
        let mut session = Self {
            tunnel: Tunnel::new(config, started),
            gateway: Gateway::new(settings),
            watch: Watch::default(),
            started,
            now: started,
            sent: Vec::new(),
            rejected_at: None,
            next_sequence: 0,
            highest_sent: None,
        };
        session.check(0);
        session
    }

    /// Takes what is to be sent and looks at all promises.
    fn check(&mut self, heard: usize) {
        let before = self.sent.len();
        while let Some(transmit) = self.tunnel.poll_transmit() {
            self.watch.sent(&transmit);
            if let Transmit::Gre(octets) = &transmit
                && let Ok(packet) = gre::Packet::parse(octets)
            {
                self.highest_sent = packet.sequence.or(self.highest_sent);
            }
            self.sent.push(transmit);
        }
        let sent = self.sent.len() - before;
        assert!(sent <= BURST + heard / 8, "{sent} packets at once for {heard} octets");
        let seen = self.tunnel.seen();
        assert!(seen.phases.len() <= 9 && seen.proposals.len() <= 16);
        assert!(seen.identification.len() <= 64 && seen.dns.len() <= 2);
        if let Some(failure) = &seen.failure {
            assert!(failure.detail.is_ascii() && !failure.detail.contains(['\n', '|']));
            assert!(failure.detail.len() <= 600, "{} characters", failure.detail.len());
            let rejected = failure.phase == Phase::Auth && failure.reason == Reason::AuthRejected;
            if rejected {
                self.rejected_at.get_or_insert(self.watch.attempts());
            }
        }
        let attempts = self.watch.attempts();
        let most = 1 + usize::from(self.watch.opened_anew());
        assert!(attempts <= most || seen.method.is_some(), "one attempt too many");
        assert!(
            self.rejected_at.is_none_or(|then| then == attempts),
            "an attempt after a rejection"
        );
        for farewell in [3, 12] {
            let said = self.watch.messages().iter().filter(|&&kind| kind == farewell).count();
            assert!(said <= 1, "message {farewell} was said {said} times");
        }
    }

    fn control(&mut self, octets: &[u8]) {
        self.tunnel.handle_control_input(octets, self.now);
        self.check(octets.len());
    }

    fn gre(&mut self, octets: &[u8]) {
        self.watch.received(octets);
        self.tunnel.handle_gre_input(octets, self.now);
        self.check(octets.len());
    }

    /// What the owner of an open session does, if it is one.
    fn user(&mut self, act: impl FnOnce(&mut Tunnel, Instant)) {
        if !self.tunnel.is_open() {
            return;
        }
        act(&mut self.tunnel, self.now);
        self.check(0);
        while self.tunnel.poll_datagram().is_some() || self.tunnel.poll_link_echo().is_some() {}
    }

    fn closed(&mut self, reset: bool) {
        self.tunnel.handle_control_closed(reset, self.now);
        self.check(0);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.timeout();
    }

    fn due(&mut self) {
        if let Some(at) = self.tunnel.poll_timeout() {
            self.now = self.now.max(at);
            self.timeout();
        }
    }

    fn timeout(&mut self) {
        let terminates = self.watch.terminates();
        self.tunnel.handle_timeout(self.now);
        self.check(0);
        assert!(self.watch.terminates() <= terminates + 2, "a timer repeats one request");
        let due = self.tunnel.poll_timeout();
        let idle = self.tunnel.is_finished() || due.is_none_or(|at| at > self.now);
        assert!(idle, "due again while {}", self.tunnel.stage());
    }

    /// The last octet of the script decides how the run ends.
    fn end(mut self, how: u8) {
        let how = how % 3;
        match how {
            0 => self.tunnel.expire(self.now),
            1 => self.tunnel.interrupt(self.now),
            _ => self.tunnel.abort(self.now),
        }
        self.check(0);
        assert!(self.tunnel.is_closing() && (how == 0 || self.tunnel.is_finished()));
        let began = self.now;
        for _ in 0..TIMERS {
            if self.tunnel.is_finished() {
                break;
            }
            self.due();
        }
        assert!(self.tunnel.is_finished(), "no end while {}", self.tunnel.stage());
        assert!(self.now <= began + FAREWELL * 3);
        self.tunnel.abort(self.now);
        self.check(0);
        assert!(self.now >= self.started);
    }
}

struct Choice {
    goal: Goal,
    methods: Vec<Method>,
    candidate: Method,
    mppe: MppePolicy,
    mru: Option<u16>,
    password: Vec<u8>,
}

impl Choice {
    fn of(goal: u8) -> Self {
        let goal = match goal % 5 {
            0 => Goal::Session,
            1 => Goal::Link { echoes: 3 },
            2 => Goal::Candidate,
            3 => Goal::Control { echoes: 2 },
            _ => Goal::Open,
        };
        Self {
            goal,
            methods: Method::ALL.to_vec(),
            candidate: Method::Pap,
            mppe: MppePolicy::ANY,
            mru: None,
            password: ACCOUNT.1.to_vec(),
        }
    }

    fn config(self) -> Config {
        let (link_goal, auth) = match self.goal {
            Goal::Session | Goal::Open => (link::Goal::Network, AuthPolicy::OneOf(self.methods)),
            Goal::Candidate => (link::Goal::Candidate, AuthPolicy::Candidate(self.candidate)),
            _ => (link::Goal::Lcp, AuthPolicy::Whatever),
        };
        let link = link::Config {
            goal: link_goal,
            auth,
            credentials: (link_goal == link::Goal::Network).then(|| Credentials {
                username: ACCOUNT.0.to_vec(),
                password: Secret::new(self.password),
            }),
            mppe: self.mppe,
            mru: self.mru,
            magic: RAW_MAGIC,
            peer_challenge: PEER_CHALLENGE,
            ask_dns: true,
            ask_nbns: false,
            timing: Timing::default(),
        };
        Config {
            goal: self.goal,
            call_id: RAW_CALL_ID,
            control: control::Config {
                host_name: b"pptp-monitor".to_vec(),
                vendor_name: b"pptp-monitor".to_vec(),
                farewell: FAREWELL,
            },
            link: (!matches!(self.goal, Goal::Control { .. })).then_some(link),
            patience: Duration::from_secs(4),
            echo_timeout: Duration::from_secs(1),
        }
    }
}

/// A session against a peer whose every octet is in the input.
pub fn raw(data: &[u8]) {
    let Some((&goal, script)) = data.split_first() else { return };
    let mut session = Session::new(Choice::of(goal).config(), Settings::usual());
    for step in steps(script) {
        match step {
            Step::Control(octets) => session.control(octets),
            Step::Frame(payload) => {
                let sequence = Some(session.next_sequence);
                session.next_sequence = session.next_sequence.wrapping_add(1);
                let (call_id, acknowledgment) = (RAW_CALL_ID, session.highest_sent);
                let packet = gre::Packet { call_id, sequence, acknowledgment, payload };
                session.gre(&packet.emit());
            }
            Step::Gre(octets) => session.gre(octets),
            Step::Wait(time) => session.wait(Duration::from_millis(time.into())),
            Step::Due => session.due(),
            Step::Closed(reset) => session.closed(reset),
            Step::Unreachable(code) => {
                session.tunnel.handle_unreachable(code, Ipv4Addr::LOCALHOST, session.now);
            }
            Step::Stray(call_id) => session.tunnel.handle_stray(call_id),
            Step::Acknowledge => {
                let (call_id, acknowledgment) = (RAW_CALL_ID, session.highest_sent);
                let packet = gre::Packet { call_id, sequence: None, acknowledgment, payload: &[] };
                session.gre(&packet.emit());
            }
        }
    }
    session.end(data.last().copied().unwrap_or(0));
}

/// A session against a gateway that knows the rules and is made to break
/// them: answers spoiled, lost, repeated or late, and valid messages where
/// nobody expects them.
pub fn structured(data: &[u8]) {
    let mut input = Cursor::new(data);
    let mut byte = || input.u8().unwrap_or(0);
    let (goal, auth, eap, mppe, flags, allowed) = (byte(), byte(), byte(), byte(), byte(), byte());
    let protocol = |number: u8| match number % 6 {
        0 => AuthProtocol::MsChapV2,
        1 => AuthProtocol::Eap,
        2 => AuthProtocol::MsChapV1,
        3 => AuthProtocol::ChapMd5,
        4 => AuthProtocol::Pap,
        _ => AuthProtocol::Other(vec![0xc2, 0x5b]),
    };
    let mut known = vec![protocol(auth & 7), protocol(auth >> 3)];
    known.truncate(usize::from(flags & 3).min(2));
    let settings = Settings {
        auth: known,
        eap: if eap & 1 == 0 { Method::EapMsChapV2 } else { Method::EapMd5 },
        mppe: [
            Some(MPPE_128),
            None,
            Some(mppe_bits::BITS_128),
            Some(mppe_bits::STATELESS | mppe_bits::BITS_40),
            Some(mppe_bits::BITS_56),
        ][usize::from(mppe % 5)],
        has_address: flags & 4 == 0,
        closes_on_clear: flags & 8 == 0,
    };
    let mut choice = Choice::of(goal);
    choice.candidate = Method::ALL[usize::from(allowed % 7)];
    if allowed & 0x80 != 0 {
        choice.methods = vec![Method::ALL[usize::from(allowed % 7)], Method::MsChapV2];
    }
    if flags & 16 != 0 {
        choice.password = WRONG.to_vec();
    }
    choice.mru = (flags & 32 != 0).then_some(1400);
    choice.mppe = match mppe >> 5 {
        0..4 => MppePolicy::ANY,
        4 => MppePolicy { allow_none: false, ..MppePolicy::ANY },
        5 => MppePolicy { stateless: false, ..MppePolicy::ANY },
        6 => MppePolicy { bits128: false, allow_none: false, ..MppePolicy::ANY },
        _ => MppePolicy { bits40: false, bits56: false, bits128: false, ..MppePolicy::ANY },
    };
    let mut session = Session::new(choice.config(), settings);
    let mut late: Option<Vec<u8>> = None;
    while let Some(op) = input.u8() {
        match op % 16 {
            0..4 => {
                for _ in 0..=op >> 4 {
                    session.answer();
                }
            }
            4 => session.spoil(|octets| {
                let at = usize::from(input.u8().unwrap_or(0)) % octets.len().max(1);
                if let Some(octet) = octets.get_mut(at) {
                    *octet ^= input.u8().unwrap_or(1);
                }
            }),
            5 => session.spoil(|octets| {
                let length = usize::from(input.u8().unwrap_or(0));
                octets.resize(length, 0);
            }),
            6 => {
                session.hear();
                if let Some(Reply::Frame(frame)) = session.gateway.poll_reply() {
                    let octets = session.gateway.wrap(&frame);
                    if op & 0x80 == 0 {
                        late = Some(octets);
                    } else {
                        session.gre(&octets);
                        session.gre(&octets);
                    }
                }
            }
            7 => {
                if let Some(octets) = late.take() {
                    session.gre(&octets);
                }
            }
            8 => session.sent.clear(),
            9 => session.wait(Duration::from_millis(u64::from(input.u8().unwrap_or(0)) * 16)),
            10 => session.due(),
            11 => {
                let frame = frame(&mut session.gateway, &mut input);
                let octets = session.gateway.wrap(&frame);
                session.gre(&octets);
            }
            12 => {
                let message = message(&mut input);
                session.control(&message.emit());
            }
            13 => session.gateway.repeat(),
            14 => {
                let acknowledgement = session.gateway.acknowledgement();
                session.gre(&acknowledgement);
            }
            _ => match op >> 4 {
                0 => session.closed(false),
                1 => session.closed(true),
                2 => session.tunnel.handle_stray(u16::from(op)),
                3 => session.tunnel.handle_unreachable(op, Ipv4Addr::LOCALHOST, session.now),
                4 => session.user(|tunnel, now| {
                    let length = usize::from(input.u8().unwrap_or(0));
                    tunnel.send_datagram(&vec![0x45; length], now);
                }),
                5 => session.user(|tunnel, now| {
                    tunnel.send_link_echo(usize::from(input.u8().unwrap_or(0)) * 8, now);
                }),
                6 => session.user(|tunnel, now| {
                    let length = usize::from(input.u8().unwrap_or(0)) * 8;
                    tunnel.send_discard_like(length, now);
                }),
                7 => session.user(Tunnel::send_control_echo),
                8 => session.user(Tunnel::finish),
                _ => session.due(),
            },
        }
    }
    session.end(data.last().copied().unwrap_or(0));
}

impl Session {
    /// Hands over what we sent.
    fn hear(&mut self) {
        for transmit in std::mem::take(&mut self.sent) {
            self.gateway.handle(&transmit);
        }
    }

    fn answer(&mut self) {
        self.spoil(|_| {});
    }

    /// The gateway's next answer, changed.
    fn spoil(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        self.hear();
        match self.gateway.poll_reply() {
            Some(Reply::Control(mut octets)) => {
                change(&mut octets);
                self.control(&octets);
            }
            Some(Reply::Frame(mut frame)) => {
                change(&mut frame);
                let octets = self.gateway.wrap(&frame);
                self.gre(&octets);
            }
            Some(Reply::Close) => self.closed(false),
            None => {}
        }
    }
}

/// A frame that is valid by itself.
fn frame(gateway: &mut Gateway, input: &mut Cursor<'_>) -> Vec<u8> {
    let kind = input.u8().unwrap_or(0);
    let (protocol, information) = match kind % 10 {
        0..3 => (ppp::LCP, control_packet(input, lcp_option)),
        3 => (ppp::CCP, control_packet(input, ccp_option)),
        4 => (ppp::IPCP, control_packet(input, ipcp_option)),
        5 => (ppp::CHAP, chap_packet(input)),
        6 => (ppp::EAP, eap_packet(input)),
        7 => {
            let identifier = input.u8().unwrap_or(1);
            let verdict = pap::Verdict { identifier, message: text(input) };
            let packet = match kind & 0x80 {
                0 => pap::Packet::AuthenticateAck(verdict),
                _ => pap::Packet::AuthenticateNak(verdict),
            };
            (ppp::PAP, packet.emit())
        }
        8 => {
            let (identifier, sequence) = (RAW_CALL_ID, u16::from(input.u8().unwrap_or(0)));
            let data = b"pptp-monitor";
            let payload = &Icmp::Echo { reply: true, identifier, sequence, data }.emit();
            let (source, destination, protocol) = (INNER, POOL, PROTOCOL_ICMP);
            let datagram = Datagram { source, destination, protocol, payload };
            return gateway.datagram(&datagram.emit());
        }
        _ => (input.u16(), text(input)),
    };
    Frame { protocol, information: &information }.emit()
}

fn control_packet(input: &mut Cursor<'_>, option: fn(u8, &mut Cursor<'_>) -> RawOption) -> Vec<u8> {
    let (code, identifier) = (input.u8().unwrap_or(1), input.u8().unwrap_or(1));
    let data = match code % 16 {
        0..5 => {
            let count = input.u8().unwrap_or(0) % 5;
            let options: Vec<_> =
                (0..count).map(|_| option(input.u8().unwrap_or(0), input)).collect();
            RawOption::emit_list(&options)
        }
        8 => {
            let protocols =
                [ppp::CCP, ppp::IPCP, ppp::CHAP, ppp::COMPRESSED, ppp::IPV6CP, ppp::LCP];
            let chosen = protocols[usize::from(input.u8().unwrap_or(0)) % protocols.len()];
            chosen.to_be_bytes().to_vec()
        }
        9..12 => match input.u8().unwrap_or(0) & 1 {
            0 => 0xb0d3_795d_u32.to_be_bytes().to_vec(),
            _ => RAW_MAGIC.to_be_bytes().to_vec(),
        },
        _ => text(input),
    };
    Packet { code: (code % 16).into(), identifier: identifier % 16, data }.emit()
}

fn lcp_option(kind: u8, input: &mut Cursor<'_>) -> RawOption {
    let option = match kind % 12 {
        0 => LcpOption::MaximumReceiveUnit(input.u16()),
        1 => LcpOption::Accm(0),
        2 => LcpOption::AuthenticationProtocol { protocol: ppp::CHAP, data: vec![0x81] },
        3 => LcpOption::AuthenticationProtocol { protocol: ppp::PAP, data: vec![] },
        4 => LcpOption::AuthenticationProtocol { protocol: ppp::EAP, data: vec![] },
        5 => LcpOption::AuthenticationProtocol { protocol: ppp::CHAP, data: text(input) },
        6 => LcpOption::MagicNumber(RAW_MAGIC),
        7 => LcpOption::MagicNumber(input.u16().into()),
        8 => LcpOption::ProtocolFieldCompression,
        9 => LcpOption::AddressAndControlFieldCompression,
        10 => LcpOption::Mrru(input.u16()),
        _ => LcpOption::Other(RawOption::new(kind, &text(input))),
    };
    RawOption::from(&option)
}

fn ccp_option(kind: u8, input: &mut Cursor<'_>) -> RawOption {
    let option = match kind % 4 {
        0 => CcpOption::Mppe(MPPE_128),
        1 => CcpOption::Mppe(u32::from(input.u16()) << 16 | 0x60),
        2 => CcpOption::Mppe(input.u16().into()),
        _ => CcpOption::Other(RawOption::new(kind, &text(input))),
    };
    RawOption::from(&option)
}

fn ipcp_option(kind: u8, input: &mut Cursor<'_>) -> RawOption {
    let address = match input.u8().unwrap_or(0) % 4 {
        0 => Ipv4Addr::UNSPECIFIED,
        1 => POOL,
        2 => INNER,
        _ => Ipv4Addr::from(u32::from(input.u16())),
    };
    let option = match kind % 5 {
        0 => IpcpOption::Address(address),
        1 => IpcpOption::PrimaryDns(address),
        2 => IpcpOption::SecondaryDns(address),
        3 => IpcpOption::Compression(vec![0, 0x2d, 15, 1]),
        _ => IpcpOption::Other(RawOption::new(kind, &text(input))),
    };
    RawOption::from(&option)
}

fn chap_packet(input: &mut Cursor<'_>) -> Vec<u8> {
    let (kind, identifier) = (input.u8().unwrap_or(0), input.u8().unwrap_or(1));
    let packet = match kind % 4 {
        0 => {
            let value = vec![kind; if kind & 0x80 == 0 { 16 } else { 8 }];
            chap::Packet::Challenge(chap::Valued { identifier, value, name: text(input) })
        }
        1 => {
            let message =
                SuccessText { authenticator_response: Some([kind; 20]), message: text(input) };
            chap::Packet::Success(Verdict { identifier, message: message.emit() })
        }
        2 => {
            let message = FailureText {
                code: Some(640 + u32::from(kind >> 3)),
                retry: Some(kind & 4 != 0),
                challenge: Some(vec![kind; 16]),
                version: Some(3),
                message: text(input),
            };
            chap::Packet::Failure(Verdict { identifier, message: message.emit() })
        }
        _ => chap::Packet::Other { code: kind, identifier, data: text(input) },
    };
    packet.emit()
}

fn eap_packet(input: &mut Cursor<'_>) -> Vec<u8> {
    let (kind, identifier) = (input.u8().unwrap_or(0), input.u8().unwrap_or(1));
    let request = |kind, data| eap::Packet::Request(Typed { identifier, kind, data });
    let packet = match kind % 9 {
        0 => request(eap::kind::IDENTITY, text(input)),
        1 => request(eap::kind::NOTIFICATION, text(input)),
        2 => {
            let data = Md5Challenge { value: vec![kind; 16], name: text(input) }.emit();
            request(eap::kind::MD5_CHALLENGE, data)
        }
        3 => {
            let (mschap_v2_id, challenge, name) = (identifier, [kind; 16], text(input));
            let data = MsChapV2::Challenge { mschap_v2_id, challenge, name }.emit();
            request(eap::kind::MSCHAP_V2, data)
        }
        4 => {
            let data = MsChapV2::SuccessRequest { mschap_v2_id: identifier, message: text(input) };
            request(eap::kind::MSCHAP_V2, data.emit())
        }
        5 => {
            let data = MsChapV2::FailureRequest { mschap_v2_id: identifier, message: text(input) };
            request(eap::kind::MSCHAP_V2, data.emit())
        }
        6 => eap::Packet::Success { identifier },
        7 => eap::Packet::Failure { identifier },
        _ => request(kind, text(input)),
    };
    packet.emit()
}

fn message(input: &mut Cursor<'_>) -> Message {
    let (kind, result) = (input.u8().unwrap_or(0), input.u8().unwrap_or(0));
    let error = GeneralError::from(kind >> 5);
    match kind % 7 {
        0 => Message::EchoRequest { identifier: result.into() },
        1 => Message::EchoReply {
            identifier: result.into(),
            result: SimpleResult::from(kind >> 6),
            error,
        },
        2 => Message::OutgoingCallReply(OutgoingCallReply {
            call_id: input.u16(),
            peer_call_id: RAW_CALL_ID,
            result: result.into(),
            error,
            cause: input.u16().into(),
            connect_speed: 0,
            packet_recv_window_size: u16::from(kind >> 5),
            packet_processing_delay: 0,
            physical_channel_id: 0,
        }),
        3 => Message::CallDisconnectNotify(CallDisconnectNotify {
            call_id: 0,
            result: result.into(),
            error,
            cause: input.u16().into(),
            call_statistics: text(input),
        }),
        4 => Message::StopRequest { reason: StopReason::from(result) },
        5 => Message::StopReply { result: result.into(), error },
        _ => Message::SetLinkInfo { peer_call_id: RAW_CALL_ID, send_accm: 0, receive_accm: 0 },
    }
}

/// A few octets.
fn text(input: &mut Cursor<'_>) -> Vec<u8> {
    let length = usize::from(input.u8().unwrap_or(0)) % 24;
    input.take(length).to_vec()
}
