//! What an operator asked to see of the exchange: lines for `-vv` and
//! `-vvv`, and a capture file.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Instant;

use super::pcap::{Capture, Direction, mask_gre};
use crate::wire::control::{Framer, MAX_LENGTH};
use crate::wire::cp::Packet as ControlPacket;
use crate::wire::gre::Packet;
use crate::wire::ppp::{CCP, CHAP, EAP, Frame, IPCP, IPV6CP, LCP, PAP, protocol_name};

/// Lines that are kept; a flood shall not fill the memory.
const MAX_LINES: usize = 2_000;

/// Where the exchange is written down; by default nowhere.
#[derive(Debug)]
pub struct Tap {
    started: Instant,
    verbosity: u8,
    capture: Option<Capture>,
    lines: Vec<(u8, String)>,
    framers: [Framer; 2],
    capture_error: Option<String>,
}

impl Tap {
    /// Writes lines up to `verbosity` and to the capture, with times since
    /// `started`.
    pub fn new(started: Instant, verbosity: u8, capture: Option<Capture>) -> Self {
        let framers = [Framer::new(), Framer::new()];
        Self { started, verbosity, capture, lines: Vec::new(), framers, capture_error: None }
    }

    /// The lines, each with the verbosity from which it is shown.
    pub fn into_lines(mut self) -> Vec<(u8, String)> {
        if let Some(error) = self.capture_error {
            self.lines.push((0, format!("the capture is incomplete: {error}")));
        }
        self.lines
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
            self.capture_error = Some(error.to_string());
            self.capture = None;
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
            self.capture_error = Some(error.to_string());
            self.capture = None;
        }
        if self.verbosity < 2 {
            return;
        }
        self.line(2, direction, now, describe_gre(octets));
        self.hex(direction, now, &mask_gre(octets));
    }

    /// A remark of the driver.
    pub fn remark(&mut self, text: String, now: Instant) {
        if self.verbosity >= 2 && self.lines.len() < MAX_LINES {
            let time = now.duration_since(self.started).as_secs_f64();
            self.lines.push((2, format!("{time:9.6} - {text}")));
        }
    }

    fn line(&mut self, level: u8, direction: Direction, now: Instant, text: String) {
        if self.lines.len() < MAX_LINES {
            let time = now.duration_since(self.started).as_secs_f64();
            let arrow = if direction == Direction::Sent { '>' } else { '<' };
            self.lines.push((level, format!("{time:9.6} {arrow} {text}")));
        }
    }

    fn hex(&mut self, direction: Direction, now: Instant, octets: &[u8]) {
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
