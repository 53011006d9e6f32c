//! The decoders of [`pptp_probe::wire`]. What was read and is written again
//! must be what was there, as far as the format has one spelling.

use std::time::{Duration, Instant};

use pptp_probe::net::pcap::mask_gre;
use pptp_probe::proto::gre::GreChannel;
use pptp_probe::wire::chap::{
    FailureText, MsChapV1Response, MsChapV2Response, Packet as Chap, SuccessText,
};
use pptp_probe::wire::control::{Framer, MAX_LENGTH, Message};
use pptp_probe::wire::cp::{CcpOption, IpcpOption, LcpOption, Packet, RawOption};
use pptp_probe::wire::eap::{Md5Challenge, MsChapV2, Packet as Eap};
use pptp_probe::wire::gre::Packet as Gre;
use pptp_probe::wire::ip::{Datagram, Icmp};
use pptp_probe::wire::mask::mask_ppp;
use pptp_probe::wire::pap::Packet as Pap;
use pptp_probe::wire::ppp::{self, Frame};

/// PPTP control messages and their framing.
pub fn control(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        let octets = message.emit();
        assert_eq!(octets.len(), data.len());
        assert_eq!(Message::parse(&octets), Ok(message));
    }
    let mut at_once = Framer::new();
    at_once.push(data);
    let mut trickle = Framer::new();
    let mut fed = data.iter();
    loop {
        let expected = at_once.next_message();
        let mut got = trickle.next_message();
        while got == Ok(None)
            && let Some(octet) = fed.next()
        {
            trickle.push(&[*octet]);
            assert!(trickle.pending() <= MAX_LENGTH, "more than a message is kept");
            got = trickle.next_message();
        }
        assert_eq!(got, expected);
        match expected {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// GRE packets and a channel that receives them: the input is cut into
/// packets by a length octet before each.
pub fn gre(data: &[u8]) {
    const CALL_ID: u16 = 0x96de;
    if let Ok(packet) = Gre::parse(data) {
        assert_eq!(packet.emit(), data);
    }
    let mut now = Instant::now();
    let mut channel = GreChannel::new(CALL_ID, 1, 8, now);
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (octets, after) = after.split_at(after.len().min(length.into()));
        rest = after;
        match octets {
            // A short one is a packet of our call in few octets.
            [flags, sequence, acknowledgment, payload @ ..] if octets.len() < 8 => {
                let number = |octet: &u8| *octet as i8 as u32;
                let sequence = (flags & 1 != 0).then(|| number(sequence));
                let acknowledgment = (flags & 2 != 0).then(|| number(acknowledgment));
                let payload = if sequence.is_some() { payload } else { &[] };
                let packet = Gre { call_id: CALL_ID, sequence, acknowledgment, payload };
                channel.handle_input(&packet.emit(), now);
            }
            [wait] => {
                now += Duration::from_millis(u64::from(*wait) * 4);
                channel.handle_timeout(now);
                assert!(channel.poll_timeout().is_none_or(|at| at > now));
            }
            [wait, _] => channel.send(vec![0; usize::from(*wait)], now),
            _ => channel.handle_input(octets, now),
        }
        let sent = std::iter::from_fn(|| channel.poll_transmit(now)).count();
        assert!(sent <= 9, "more than the window: {sent}");
        let counters = *channel.counters();
        let taken = std::iter::from_fn(|| channel.poll_frame()).count() as u64;
        assert!(taken <= counters.received);
        assert!(counters.acks_sent + counters.sent >= sent as u64);
    }
}

/// PPP frames.
pub fn ppp(data: &[u8]) {
    let Ok(frame) = Frame::parse(data) else { return };
    for (acfc, pfc) in [(false, false), (true, false), (false, true), (true, true)] {
        let octets = frame.emit_compressed(acfc, pfc);
        // A protocol of one octet ff is read as the beginning of ff 03.
        if frame.protocol != 0xff || !pfc {
            assert_eq!(Frame::parse(&octets), Ok(frame));
        }
    }
}

/// Control protocol packets and the options of LCP, CCP and IPCP.
pub fn cp(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        assert!(data.starts_with(&packet.emit()));
        options(&packet.data);
    }
    options(data);
}

fn options(data: &[u8]) {
    let Ok(list) = RawOption::parse_list(data) else { return };
    assert_eq!(RawOption::emit_list(&list), data);
    for raw in &list {
        assert_eq!(&RawOption::from(&LcpOption::from(raw)), raw);
        assert_eq!(&RawOption::from(&CcpOption::from(raw)), raw);
        assert_eq!(&RawOption::from(&IpcpOption::from(raw)), raw);
    }
}

/// PAP packets.
pub fn pap(data: &[u8]) {
    if let Ok(packet) = Pap::parse(data) {
        assert_eq!(Pap::parse(&packet.emit()), Ok(packet));
    }
}

/// CHAP packets, the response values and texts of MS-CHAP.
pub fn chap(data: &[u8]) {
    if let Ok(packet) = Chap::parse(data) {
        assert!(data.starts_with(&packet.emit()));
        match &packet {
            Chap::Challenge(valued) | Chap::Response(valued) => values(&valued.value),
            Chap::Success(verdict) | Chap::Failure(verdict) => texts(&verdict.message),
            Chap::Other { .. } => {}
        }
    }
    values(data);
    texts(data);
}

fn values(value: &[u8]) {
    if let Ok(response) = MsChapV1Response::parse(value) {
        assert_eq!(response.emit(), value);
    }
    if let Ok(response) = MsChapV2Response::parse(value) {
        assert_eq!(MsChapV2Response::parse(&response.emit()), Ok(response));
    }
}

fn texts(text: &[u8]) {
    let success = SuccessText::parse(text);
    assert!(success.message.len() <= text.len());
    if success.authenticator_response.is_some() {
        let again = SuccessText::parse(&success.emit());
        assert_eq!(again.authenticator_response, success.authenticator_response);
    }
    let failure = FailureText::parse(text);
    assert!(failure.message.len() <= text.len());
    if failure.code.is_some() {
        assert_eq!(FailureText::parse(&failure.emit()).code, failure.code);
    }
}

/// EAP packets, MD5-Challenge and MSCHAPv2 inside.
pub fn eap(data: &[u8]) {
    if let Ok(packet) = Eap::parse(data) {
        assert!(data.starts_with(&packet.emit()));
        if let Eap::Request(typed) | Eap::Response(typed) = &packet {
            methods(&typed.data);
        }
    }
    methods(data);
}

fn methods(data: &[u8]) {
    if let Ok(challenge) = Md5Challenge::parse(data) {
        assert_eq!(challenge.emit(), data);
    }
    if let Ok(message) = MsChapV2::parse(data) {
        assert_eq!(MsChapV2::parse(&message.emit()), Ok(message));
    }
}

/// IPv4 datagrams and ICMP messages.
pub fn ip(data: &[u8]) {
    if let Ok(datagram) = Datagram::parse(data) {
        assert_eq!(Datagram::parse(&datagram.emit()), Ok(datagram));
        icmp(datagram.payload);
    }
    icmp(data);
}

fn icmp(data: &[u8]) {
    if let Ok(message) = Icmp::parse(data) {
        let octets = message.emit();
        assert_eq!(Icmp::parse(&octets), Ok(message));
    }
}

/// Frames without their secrets: of the same length, zero or as they were,
/// unless there is a password in the clear; with nothing left to mask; and no
/// password or response that a reader would find.
pub fn mask(data: &[u8]) {
    let masked = mask_ppp(data);
    if !asks_by_password(&masked) {
        assert_eq!(masked.len(), data.len());
        assert!(masked.iter().zip(data).all(|(new, old)| new == old || *new == 0));
    }
    assert_eq!(mask_ppp(&masked), masked);
    if let Ok(frame) = Frame::parse(&masked) {
        match frame.protocol {
            ppp::PAP => {
                if let Ok(Pap::AuthenticateRequest(request)) = Pap::parse(frame.information) {
                    assert_eq!(request.password, [0; 8]);
                }
            }
            ppp::CHAP => {
                if let Ok(Chap::Response(response)) = Chap::parse(frame.information) {
                    assert!(response.value.iter().all(|octet| *octet == 0));
                }
            }
            ppp::EAP => {
                if let Ok(Eap::Response(response)) = Eap::parse(frame.information)
                    && !matches!(response.kind, 1..=3)
                {
                    no_proof(&response.data, response.kind);
                }
            }
            _ => {}
        }
    }
    let masked = mask_gre(data);
    if !Gre::parse(&masked).is_ok_and(|packet| asks_by_password(packet.payload)) {
        assert_eq!(masked.len(), data.len());
    }
    assert_eq!(mask_gre(&masked), masked);
}

/// Whether a frame is a PAP Authenticate-Request, malformed or not.
fn asks_by_password(frame: &[u8]) -> bool {
    let is_request =
        |frame: Frame| frame.protocol == ppp::PAP && frame.information.first() == Some(&1);
    Frame::parse(frame).is_ok_and(is_request)
}

fn no_proof(data: &[u8], kind: u8) {
    match kind {
        4 => {
            if let Ok(answer) = Md5Challenge::parse(data) {
                assert!(answer.value.iter().all(|octet| *octet == 0));
            }
        }
        26 => {
            if let Ok(MsChapV2::Response { response, .. }) = MsChapV2::parse(data) {
                assert_eq!((response.nt_response, response.peer_challenge), ([0; 24], [0; 16]));
            }
        }
        _ => assert!(data.iter().all(|octet| *octet == 0)),
    }
}
