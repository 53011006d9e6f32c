//! What an operator asked to see of the exchange: lines for `-vv` and
//! `-vvv`, and a capture file.

use std::cell::RefCell;
use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use super::pcap::{Capture, Direction, mask_gre};
use crate::wire::control::{Framer, MAX_LENGTH};
use crate::wire::cp::Packet as ControlPacket;
use crate::wire::gre::Packet;
use crate::wire::ppp::{CCP, CHAP, EAP, Frame, IPCP, IPV6CP, LCP, PAP, protocol_name};
use crate::wire::radius::mask::mask_radius;
use crate::wire::radius::{self, dictionary};

/// Lines that are kept; a flood shall not fill the memory.
const MAX_LINES: usize = 2_000;
/// Octets after which a packet is described no further: reports cut there, and
/// a packet can hold two thousand attributes with long names.
const MAX_DESCRIPTION: usize = 4_000;

/// Where the exchange is written down; by default nowhere.
#[derive(Debug)]
pub struct Tap {
    started: Instant,
    verbosity: u8,
    /// Which of several sessions this is; 0 where there is one.
    number: usize,
    capture: Option<Capture>,
    framers: [Framer; 2],
    written: Rc<RefCell<Written>>,
}

#[derive(Debug, Default)]
struct Written {
    lines: Vec<(u8, String)>,
    capture_error: Option<String>,
}

impl Tap {
    /// Writes lines up to `verbosity` and to the capture, with times since
    /// `started`.
    pub fn new(started: Instant, verbosity: u8, capture: Option<Capture>) -> Self {
        let framers = [Framer::new(), Framer::new()];
        Self { started, verbosity, number: 0, capture, framers, written: Rc::default() }
    }

    /// For one of several sessions at a time: writes to the same lines, which
    /// then begin with its number, and to the same capture.
    pub fn beside(&self, number: usize) -> Self {
        let framers = [Framer::new(), Framer::new()];
        let (capture, written) = (self.capture.clone(), self.written.clone());
        Self { number, capture, framers, written, ..*self }
    }

    /// The lines, each with the verbosity from which it is shown.
    pub fn into_lines(self) -> Vec<(u8, String)> {
        let Written { mut lines, capture_error } = self.written.take();
        if let Some(error) = capture_error {
            lines.push((0, format!("the capture is incomplete: {error}")));
        }
        lines
    }

    /// Whether there is a capture, which has to know the addresses.
    pub fn has_capture(&self) -> bool {
        self.capture.is_some()
    }

    /// A new control connection.
    pub fn connection(&mut self, local: SocketAddr, peer: SocketAddr) {
        self.framers = [Framer::new(), Framer::new()];
        if let Some(capture) = &mut self.capture {
            capture.connection(local, peer);
        }
    }

    /// Octets of the control connection.
    pub fn control(&mut self, direction: Direction, octets: &[u8], now: Instant) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.control(direction, octets)
        {
            self.break_off(&error);
        }
        if self.verbosity < 2 {
            return;
        }
        let way = usize::from(direction == Direction::Received);
        for piece in octets.chunks(MAX_LENGTH) {
            self.framers[way].push(piece);
            while let Ok(Some(message)) = self.framers[way].next_message() {
                self.line(2, direction, now, message.name().to_owned());
            }
        }
        self.hex(direction, now, octets);
    }

    /// The payload of a datagram of protocol 47.
    pub fn gre(&mut self, direction: Direction, octets: &[u8], now: Instant) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.gre(direction, octets)
        {
            self.break_off(&error);
        }
        if self.verbosity < 2 {
            return;
        }
        self.line(2, direction, now, describe_gre(octets));
        self.hex(direction, now, &mask_gre(octets));
    }

    /// A RADIUS packet between these two.
    pub fn radius(
        &mut self,
        direction: Direction,
        octets: &[u8],
        local: SocketAddr,
        peer: SocketAddr,
        now: Instant,
    ) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.radius(direction, octets, local, peer)
        {
            self.break_off(&error);
        }
        if self.verbosity < 2 || self.written.borrow().lines.len() >= MAX_LINES {
            return;
        }
        self.line(2, direction, now, format!("{peer} {}", describe_radius(octets)));
        self.hex(direction, now, &mask_radius(octets));
    }

    /// A remark of the driver.
    pub fn remark(&mut self, text: String, now: Instant) {
        if self.verbosity >= 2 {
            self.write(2, '-', now, &text);
        }
    }

    fn line(&self, level: u8, direction: Direction, now: Instant, text: String) {
        let arrow = if direction == Direction::Sent { '>' } else { '<' };
        self.write(level, arrow, now, &text);
    }

    fn write(&self, level: u8, mark: char, now: Instant, text: &str) {
        let lines = &mut self.written.borrow_mut().lines;
        if lines.len() < MAX_LINES {
            let time = now.duration_since(self.started).as_secs_f64();
            lines.push((
                level,
                match self.number {
                    0 => format!("{time:9.6} {mark} {text}"),
                    number => format!("{time:9.6} {mark} #{number} {text}"),
                },
            ));
        }
    }

    fn break_off(&mut self, error: &std::io::Error) {
        self.written.borrow_mut().capture_error = Some(error.to_string());
        self.capture = None;
    }

    fn hex(&self, direction: Direction, now: Instant, octets: &[u8]) {
        if self.verbosity < 3 {
            return;
        }
        let mut text = String::with_capacity(octets.len() * 2);
        for octet in octets.iter().take(512) {
            let _ = write!(text, "{octet:02x}");
        }
        if octets.len() > 512 {
            text.push_str("...");
        }
        self.line(3, direction, now, text);
    }
}

fn describe_gre(octets: &[u8]) -> String {
    let packet = match Packet::parse(octets) {
        Ok(packet) => packet,
        Err(error) => return format!("GRE malformed: {error}"),
    };
    let mut text = String::from("GRE");
    if let Some(sequence) = packet.sequence {
        let _ = write!(text, " seq {sequence}");
    }
    if let Some(acknowledgment) = packet.acknowledgment {
        let _ = write!(text, " ack {acknowledgment}");
    }
    if packet.sequence.is_none() {
        return text;
    }
    match Frame::parse(packet.payload) {
        Ok(frame) => {
            let name = protocol_name(frame.protocol);
            let _ = write!(text, " {name}");
            let coded = matches!(frame.protocol, LCP | CCP | IPCP | IPV6CP);
            match ControlPacket::parse(frame.information) {
                Ok(packet) if coded => {
                    let _ = write!(text, " {} id {}", packet.code, packet.identifier);
                }
                Ok(packet) if matches!(frame.protocol, PAP | CHAP | EAP) => {
                    let code = u8::from(packet.code);
                    let _ = write!(text, " code {code} id {}", packet.identifier);
                }
                _ => {
                    let _ = write!(text, " {} octets", frame.information.len());
                }
            }
        }
        Err(error) => {
            let _ = write!(text, " malformed PPP frame: {error}");
        }
    }
    text
}

/// Code, identifier and attributes, without what is secret.
fn describe_radius(octets: &[u8]) -> String {
    let packet = match radius::Packet::parse(octets) {
        Ok(packet) => packet,
        Err(error) => return format!("RADIUS malformed: {error}"),
    };
    let mut text = format!("{} id {}", packet.code, packet.identifier);
    for attribute in packet.attributes() {
        if text.len() > MAX_DESCRIPTION {
            text.push_str(" ...");
            break;
        }
        let name = dictionary::name(attribute.id);
        let value = dictionary::describe(attribute.id, attribute.value);
        let _ = write!(text, " {name}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::wire::control::Message;
    use crate::wire::ppp;

    fn tap(verbosity: u8) -> (Tap, Instant) {
        let started = Instant::now();
        (Tap::new(started, verbosity, None), started + Duration::from_millis(1_250))
    }

    fn gre(protocol: u16, information: &[u8]) -> Vec<u8> {
        let payload = &Frame { protocol, information }.emit();
        Packet { call_id: 7, sequence: Some(3), acknowledgment: Some(2), payload }.emit()
    }

    fn lines(tap: Tap) -> Vec<String> {
        tap.into_lines().into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn nothing_is_kept_that_nobody_asked_for() {
        let (mut tap, now) = tap(1);
        tap.control(Direction::Sent, &Message::EchoRequest { identifier: 1 }.emit(), now);
        tap.gre(Direction::Received, &gre(ppp::LCP, &[1, 1, 0, 4]), now);
        tap.remark("gateway closed".into(), now);
        assert_eq!(tap.into_lines(), []);
    }

    #[test]
    fn messages_are_named_once_however_they_are_cut() {
        let (mut tap, now) = tap(2);
        let octets = Message::EchoRequest { identifier: 1 }.emit();
        let stop = b"\x00\x10\x00\x01\x1a\x2b\x3c\x4d\x00\x03\0\0\x01\0\0\0";
        tap.control(Direction::Sent, &octets[..5], now);
        tap.control(Direction::Received, stop, now);
        tap.control(Direction::Sent, &[&octets[5..], &octets[..], &octets[..3]].concat(), now);
        assert_eq!(
            lines(tap),
            [
                " 1.250000 < Stop-Control-Connection-Request",
                " 1.250000 > Echo-Request",
                " 1.250000 > Echo-Request",
            ]
        );
    }

    #[test]
    fn long_segments_are_read_to_their_end() {
        let (mut tap, now) = tap(2);
        let segment = Message::EchoRequest { identifier: 1 }.emit().repeat(100);
        tap.control(Direction::Received, &segment, now);
        assert_eq!(lines(tap).len(), 100);
    }

    #[test]
    fn packets_are_described() {
        let (mut tap, now) = tap(2);
        let alone = Packet { call_id: 7, sequence: None, acknowledgment: Some(9), payload: &[] };
        for (octets, expected) in [
            (gre(ppp::LCP, &[1, 5, 0, 4]), "GRE seq 3 ack 2 LCP Configure-Request id 5"),
            (gre(ppp::LCP, &[99, 5, 0, 4]), "GRE seq 3 ack 2 LCP code 99 id 5"),
            (gre(ppp::CHAP, &[2, 5, 0, 4]), "GRE seq 3 ack 2 CHAP code 2 id 5"),
            (gre(ppp::LCP, &[1, 5]), "GRE seq 3 ack 2 LCP 2 octets"),
            (gre(ppp::COMPRESSED, &[0x90; 44]), "GRE seq 3 ack 2 MPPE 44 octets"),
            (alone.emit(), "GRE ack 9"),
            (vec![0x30, 1], "GRE malformed: GRE header needs 2 octets, 0 are there"),
        ] {
            tap.gre(Direction::Received, &octets, now);
            let (level, line) = tap.written.borrow_mut().lines.pop().unwrap();
            assert_eq!((level, line), (2, format!(" 1.250000 < {expected}")));
        }
        let empty = Packet { call_id: 7, sequence: Some(3), acknowledgment: None, payload: &[] };
        tap.gre(Direction::Received, &empty.emit(), now);
        assert!(lines(tap)[0].contains("GRE seq 3 malformed PPP frame: "));
    }

    #[test]
    fn sessions_at_one_time_are_told_apart_by_their_number() {
        let (tap, now) = tap(2);
        let octets = Message::EchoRequest { identifier: 1 }.emit();
        let (mut first, mut second) = (tap.beside(1), tap.beside(2));
        first.control(Direction::Sent, &octets[..5], now);
        second.control(Direction::Sent, &octets, now);
        first.control(Direction::Sent, &octets[5..], now);
        second.remark("closed".into(), now);
        let expected = ["> #2 Echo-Request", "> #1 Echo-Request", "- #2 closed"];
        assert_eq!(lines(tap), expected.map(|line| format!(" 1.250000 {line}")));
    }

    #[test]
    fn octets_are_shown_without_secrets() {
        let (mut tap, now) = tap(3);
        let secret = "50723062652d736563726574";
        tap.gre(Direction::Sent, &gre(ppp::PAP, b"\x01\x01\x00\x17\x05probe\x0cPr0be-secret"), now);
        // A frame whose lengths do not fit could hold anything.
        tap.gre(Direction::Sent, &gre(ppp::PAP, b"\x01\x01\x00\x16\x05probe\x0cPr0be-secret"), now);
        tap.gre(Direction::Sent, b"\x30\x81\x88\x0b\x00\x08\x00\x07Pr0be-secret", now);
        let shown = tap.into_lines();
        let hex: Vec<_> = shown.iter().filter(|(level, _)| *level == 3).collect();
        assert_eq!(hex.len(), 3);
        assert!(hex[0].1.contains("0570726f6265"), "the name is none: {}", hex[0].1);
        for (_, line) in &shown {
            assert!(!line.contains(&secret[..8]) && !line.contains("Pr0be"), "{line}");
        }
    }

    /// With the authenticator of a Status-Server, which is shown, one could
    /// guess at the shared secret.
    #[test]
    fn signatures_of_radius_are_not_shown() {
        let mut draft = radius::Draft::new(radius::Code::StatusServer, 7, &[0xaa; 16]);
        let at = draft.message_authenticator();
        let mut octets = draft.finish().unwrap();
        octets[at..].fill(0xbb);
        let (mut tap, now) = tap(3);
        let (local, peer) = (([192, 0, 2, 1], 9).into(), ([192, 0, 2, 2], 1812).into());
        tap.radius(Direction::Sent, &octets, local, peer, now);
        let lines = lines(tap);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("Status-Server id 7 Message-Authenticator=(hidden)"));
        assert!(lines[1].contains(&"aa".repeat(16)) && !lines[1].contains("bb"));
    }

    #[test]
    fn packet_of_many_attributes_is_described_in_part() {
        let mut draft = radius::Draft::new(radius::Code::AccessAccept, 7, &[0; 16]);
        for _ in 0..2_000 {
            draft.attribute(radius::id::ACCT_TERMINATE_CAUSE, &[]);
        }
        let text = describe_radius(&draft.finish().unwrap());
        assert!(text.ends_with(" Acct-Terminate-Cause=0x ..."), "{text}");
        assert!(text.len() < MAX_DESCRIPTION + 100);
    }

    #[test]
    fn long_octets_are_cut() {
        let (mut tap, now) = tap(3);
        tap.gre(Direction::Received, &gre(ppp::IPV4, &[0x45; 1400]), now);
        let lines = lines(tap);
        assert!(lines[1].ends_with("4545..."));
        assert_eq!(lines[1].len(), " 1.250000 < ".len() + 1024 + 3);
    }

    #[test]
    fn flood_does_not_fill_the_memory() {
        let (mut tap, now) = tap(3);
        let lcp = gre(ppp::LCP, &[9, 1, 0, 4]);
        for _ in 0..MAX_LINES {
            tap.gre(Direction::Received, &lcp, now);
            tap.remark("x".into(), now);
        }
        assert_eq!(tap.into_lines().len(), MAX_LINES);
    }

    #[test]
    fn after_octets_that_are_no_message_none_is_named() {
        let (mut tap, now) = tap(2);
        tap.control(Direction::Received, b"HTTP/1.1 400 Bad Request\r\n", now);
        tap.control(Direction::Received, &Message::EchoRequest { identifier: 1 }.emit(), now);
        assert_eq!(lines(tap), [""; 0]);
    }

    #[test]
    fn new_connection_begins_with_a_whole_message() {
        let (mut tap, now) = tap(2);
        let octets = Message::EchoRequest { identifier: 1 }.emit();
        tap.control(Direction::Sent, &octets[..5], now);
        tap.connection(([192, 0, 2, 1], 9).into(), ([192, 0, 2, 2], 1723).into());
        tap.control(Direction::Sent, &octets, now);
        assert_eq!(lines(tap), [" 1.250000 > Echo-Request"]);
    }

    /// The file is a pipe that nobody reads any more.
    #[test]
    fn capture_that_breaks_off_is_said_once() {
        let (reader, writer) = std::io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let capture = Capture::create(Path::new(&path)).unwrap();
        let mut tap = Tap::new(Instant::now(), 0, Some(capture));
        tap.connection(([192, 0, 2, 1], 9).into(), ([192, 0, 2, 2], 1723).into());
        drop(reader);
        for _ in 0..3 {
            tap.control(Direction::Sent, b"octets", Instant::now());
            tap.gre(Direction::Sent, b"octets", Instant::now());
        }
        let expected = "the capture is incomplete: Broken pipe (os error 32)".to_owned();
        assert_eq!(tap.into_lines(), [(0, expected)]);
    }
}
