//! A caller written by hand: the octets it sends, and those it looks for, are
//! from captures of pptp-linux 1.10.0 with pppd 2.4.9 at pptpd 1.4.0, or put
//! together here field by field.

use md5::{Digest, Md5};
use pptp_probe::proto::mppe::{Decryptor, Encryptor, KeyLength, MasterKeys, Mode};
use proptest::prelude::*;

use super::*;
use crate::lab::config::Settings;
use crate::lab::faults::Faults;

mod dialogue;
mod fault;
mod robustness;

/// What the captured gateway asked, and so what this one is made to ask.
const CHALLENGE: &str = "f4e06fa1bfa878615513a497a00673e0";
/// The captured answer to it: the MS-CHAPv2 value field, for Pr0be-secret.
const RESPONSE: &str = "87c922945ea3ac2f477c069ed9170fae00000000000000007ef0afbce88d75b1e7dde02f\
                        3f86462e6aba57757c1b8dbe00";
/// And the gateway's proof.
const PROOF: &[u8] = b"S=BBB59131C0FBD7EC2090ACB3BE15F989BF347B97 M=Access granted";
/// The caller's first encrypted frame after that, information field.
const ENCRYPTED: &str = "9000e065ed56f681c548cb34dd626e8ee94e5e53e8caa4dbf3006e927e8a35cd29fff0133cdb\
                         1ecbde5da7d9e38f524f42488c13";
/// LCP request of pppd: asyncmap, magic, pcomp, accomp.
const LCP_REQUEST: &str = "ff03c021010100140206000000000506e2a4830e07020802";
const IPCP_REQUEST: &str = "80210101000a030600000000";
const CCP_REQUEST: &str = "80fd0101000a120601000040";
const PAP_REQUEST: &str = "c02301010017 0570726f6265 0c50723062652d736563726574";
const PEER_CALL_ID: [u8; 2] = [0xd7, 0x8d];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn start_request() -> Vec<u8> {
    let mut octets = hex("009c00011a2b3c4d00010000010000000000000300000003ffff0001");
    octets.extend(b"local");
    octets.resize(92, 0);
    octets.extend(b"cananian");
    octets.resize(156, 0);
    octets
}

fn call_request() -> Vec<u8> {
    let mut octets =
        hex("00a800011a2b3c4d00070000d78d00000000096000989680000000030000000300030000");
    octets.resize(168, 0);
    octets
}

fn echo_request(identifier: &str) -> Vec<u8> {
    hex(&format!("001000011a2b3c4d00050000{identifier}"))
}

const CALL_CLEAR: &str = "001000011a2b3c4d000c0000d78d0000";
const STOP_REQUEST: &str = "001000011a2b3c4d0003000001000000";

/// The caller, and everything that reached it.
struct Caller {
    session: Session,
    faults: SharedFaults,
    now: Instant,
    segments: Vec<Vec<u8>>,
    gre: Vec<Vec<u8>>,
    icmp: Vec<Vec<u8>>,
    forwards: Vec<(Ipv4Addr, Vec<u8>)>,
    end: Option<Transmit>,
    sequence: u32,
    call_id: u16,
    /// Frames that were looked at already.
    seen: usize,
}

impl Caller {
    fn new(toml: &str, faults: &[&str]) -> Self {
        let faults: Faults = faults.iter().map(|one| one.parse().unwrap()).collect();
        let faults: SharedFaults = Rc::new(faults.into());
        let config = Config::new(&Settings::from_toml(toml).unwrap()).unwrap();
        let now = Instant::now();
        let challenge: [u8; 16] = hex(CHALLENGE).try_into().unwrap();
        let address = Some(Ipv4Addr::new(192, 168, 77, 10));
        let lease = Lease { call_ids: [4, 5], address, is_further: false };
        let session =
            Session::new(Rc::new(config), faults.clone(), lease, Box::new(move || challenge), now);
        let mut caller = Self {
            session,
            faults,
            now,
            segments: Vec::new(),
            gre: Vec::new(),
            icmp: Vec::new(),
            forwards: Vec::new(),
            end: None,
            sequence: 0,
            call_id: 4,
            seen: 0,
        };
        caller.drain();
        caller
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.session.poll_transmit(self.now) {
            match transmit {
                Transmit::Control(octets) => self.segments.push(octets),
                Transmit::Gre(octets) => self.gre.push(octets),
                Transmit::Icmp(octets) => self.icmp.push(octets),
                Transmit::Forward(to, datagram) => self.forwards.push((to, datagram)),
                end => self.end = Some(end),
            }
        }
    }

    fn control(&mut self, octets: &[u8]) {
        self.session.handle_control_input(octets, self.now);
        self.drain();
    }

    /// Everything that came on the control connection.
    fn stream(&self) -> Vec<u8> {
        self.segments.concat()
    }

    /// Control Message Types in their order; panics on what is none.
    fn types(&self) -> Vec<u16> {
        let stream = self.stream();
        let mut rest = &stream[..];
        let mut types = Vec::new();
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            assert_eq!(rest[2..8], hex("00011a2b3c4d"));
            types.push(u16::from_be_bytes([rest[8], rest[9]]));
            rest = &rest[length..];
        }
        types
    }

    fn call(&mut self) {
        self.control(&start_request());
        self.control(&call_request());
        let stream = self.stream();
        assert_eq!(self.types(), [2, 8]);
        assert_eq!(stream[156 + 16], 1, "the call is connected");
        self.call_id = u16::from_be_bytes([stream[156 + 12], stream[156 + 13]]);
    }

    /// One GRE datagram, IP header included, from 10.77.0.3 to 10.77.0.2.
    fn datagram(&self, gre: &[u8]) -> Vec<u8> {
        let mut octets = hex("45000000000040004024f0000a4d00030a4d0002");
        octets[9] = 47;
        octets[2..4].copy_from_slice(&((20 + gre.len()) as u16).to_be_bytes());
        octets.extend(gre);
        octets
    }

    fn frame(&mut self, octets: &[u8]) {
        let last = self.gre.iter().rev().find(|gre| gre[0] & 0x10 != 0);
        let acknowledgment = last.map(|gre| gre[8..12].to_vec()).unwrap_or_default();
        let mut gre = hex(if last.is_some() { "3081880b" } else { "3001880b" });
        gre.extend((octets.len() as u16).to_be_bytes());
        gre.extend(self.call_id.to_be_bytes());
        gre.extend(self.sequence.to_be_bytes());
        gre.extend(acknowledgment);
        gre.extend(octets);
        self.sequence += 1;
        self.session.handle_gre_input(&self.datagram(&gre), self.now);
        self.drain();
    }

    /// Lets time pass, with every timer on the way.
    fn wait(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            // A timer in the past must not hold the clock.
            self.now = self.now.max(at) + Duration::from_micros(1);
            self.session.handle_timeout(self.now);
            self.drain();
        }
        self.now = self.now.max(end);
    }

    /// Frames that came since the last look, `FF 03` left out. Asserts that
    /// they carry our Call ID and no gap.
    fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for gre in &self.gre[self.seen..] {
            assert_eq!(gre[2..4], [0x88, 0x0b]);
            assert_eq!(gre[6..8], PEER_CALL_ID);
            let with_sequence = gre[0] & 0x10 != 0;
            let with_ack = gre[1] & 0x80 != 0;
            if with_sequence {
                let frame = &gre[8 + 4 + 4 * usize::from(with_ack)..];
                frames.push(frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame).to_vec());
            }
        }
        self.seen = self.gre.len();
        frames
    }

    /// Acknowledges the Configure-Request among `frames` for this protocol.
    fn acknowledge(&mut self, frames: &[Vec<u8>], protocol: &str) {
        let mut frame = request_among(frames, protocol).expect("a Configure-Request").clone();
        frame[2] = 2;
        self.frame(&frame);
    }

    /// LCP until opened; gives what followed.
    fn lcp(&mut self) -> Vec<Vec<u8>> {
        self.call();
        self.frame(&hex(LCP_REQUEST));
        let frames = self.frames();
        assert!(frames.contains(&hex("c021020100140206000000000506e2a4830e07020802")));
        self.acknowledge(&frames, "c021");
        self.frames()
    }

    /// Logs in by the captured response; gives what followed.
    fn log_in(&mut self) -> Vec<Vec<u8>> {
        let frames = self.lcp();
        let challenge = [&hex("c22301f40018 10")[..], &hex(CHALLENGE), b"lab"].concat();
        assert_eq!(frames, [challenge]);
        self.frame(&chap_response("f4", &hex(RESPONSE)));
        self.frames()
    }

    /// CCP until opened; gives what followed.
    fn encrypt(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.acknowledge(frames, "80fd");
        self.frame(&hex(CCP_REQUEST));
        self.frames()
    }

    fn address(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.acknowledge(frames, "8021");
        self.frame(&hex("80210102000a0306c0a84d0a"));
        self.frames()
    }

    fn set(&mut self, fault: &str) {
        self.faults.borrow_mut().set(fault.parse().unwrap());
        self.session.handle_timeout(self.now);
        self.drain();
    }
}

fn request_among<'a>(frames: &'a [Vec<u8>], protocol: &str) -> Option<&'a Vec<u8>> {
    frames.iter().find(|frame| frame.starts_with(&hex(protocol)) && frame[2] == 1)
}

fn chap_response(identifier: &str, value: &[u8]) -> Vec<u8> {
    let length = (4 + 1 + value.len() + 5) as u16;
    let mut frame = hex(&format!("c22302{identifier}"));
    frame.extend(length.to_be_bytes());
    frame.push(value.len() as u8);
    frame.extend(value);
    frame.extend(b"probe");
    frame
}

fn success() -> Vec<u8> {
    [&hex("c22303f4003f")[..], PROOF].concat()
}

fn failure(text: &str) -> Vec<u8> {
    let mut frame = hex("c22304f4");
    frame.extend((4 + text.len() as u16).to_be_bytes());
    frame.extend(text.bytes());
    frame
}

/// A ping from the caller's address to the gateway's, 8 octets of data.
fn ping() -> Vec<u8> {
    hex("450000240000400040011f7dc0a84d0ac0a84d01 08005435123400016162636465666768")
}

fn pong() -> Vec<u8> {
    hex("450000240000400040011f7dc0a84d01c0a84d0a 00005c35123400016162636465666768")
}
