//! A caller written by hand: the octets it sends, and those it looks for, are
//! from captures of pptp-linux 1.10.0 with pppd 2.4.9 at pptpd 1.4.0, or put
//! together here field by field.

use md5::{Digest, Md5};
use pptp_probe::proto::mppe::{Decryptor, Encryptor, KeyLength, MasterKeys, Mode};
use proptest::prelude::*;

use super::*;
use crate::lab::config::Settings;
use crate::lab::faults::Faults;

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

mod dialogue {
    use super::*;

    #[test]
    fn control_connection_of_pptp_linux() {
        let mut caller = Caller::new("", &[]);
        caller.control(&start_request());
        let mut reply = hex("009c00011a2b3c4d00020000010001000000000000000000 0001 0001");
        reply.extend(b"lab");
        reply.resize(92, 0);
        reply.extend(b"pptp-lab");
        reply.resize(156, 0);
        assert_eq!(caller.segments, [reply]);
        caller.control(&echo_request("00c0ffee"));
        assert_eq!(caller.segments[1], hex("001400011a2b3c4d0006000000c0ffee01000000"));
        caller.control(&hex(STOP_REQUEST));
        assert_eq!(caller.segments[2], hex("001000011a2b3c4d0004000001000000"));
        assert_eq!(caller.end, Some(Transmit::CloseControl));
        assert!(caller.session.is_over());
    }

    #[test]
    fn call_reply_repeats_speed_and_window_and_names_both_ids() {
        let mut caller = Caller::new("", &[]);
        caller.call();
        let reply = hex("002000011a2b3c4d000800000004d78d0100000000989680004000000000 0000");
        assert_eq!(caller.segments[1], reply);
    }

    #[test]
    fn octets_one_by_one_are_the_same_to_it() {
        let mut caller = Caller::new("", &[]);
        for octet in [start_request(), call_request()].concat() {
            caller.control(&[octet]);
        }
        assert_eq!(caller.types(), [2, 8]);
    }

    #[test]
    fn own_call_id_is_never_the_callers() {
        let mut caller = Caller::new("", &[]);
        caller.control(&start_request());
        let mut request = call_request();
        request[12..14].copy_from_slice(&[0, 4]);
        caller.control(&request);
        assert_eq!(caller.segments[1][12..16], [0, 5, 0, 4]);
    }

    #[test]
    fn call_clear_is_told_and_leaves_the_connection() {
        let mut caller = Caller::new("", &[]);
        caller.call();
        caller.control(&hex(CALL_CLEAR));
        let notify = &caller.segments[2];
        assert_eq!(notify[..20], hex("009400011a2b3c4d000d00000004 0400 0000 0000"));
        assert_eq!(caller.end, None);
        caller.control(&call_request());
        assert_eq!(caller.types(), [2, 8, 13, 8], "and there may be another call");
    }

    #[test]
    fn second_call_at_a_time_is_busy() {
        let mut caller = Caller::new("", &[]);
        caller.call();
        caller.control(&call_request());
        assert_eq!(caller.segments[2][16], 4);
    }

    #[test]
    fn empty_pool_refuses_the_call() {
        let mut caller = Caller::new("", &[]);
        caller.session.lease.address = None;
        caller.control(&start_request());
        caller.control(&call_request());
        assert_eq!(caller.segments[1][16..18], [2, 4]);
        assert!(caller.gre.is_empty());
    }

    #[test]
    fn session_with_mschap_v2_and_mppe_as_captured() {
        let mut caller = Caller::new("", &[]);
        let frames = caller.log_in();
        assert_eq!(frames, [success(), hex("80fd0101000a120601000040")]);
        let frames = caller.encrypt(&frames);
        assert_eq!(frames[0], hex("80fd0201000a120601000040"));
        assert_eq!(frames[1], hex("80210101000a0306c0a84d01"));
        assert_eq!(frames.len(), 2, "IPCP only now");
        caller.frame(&hex(IPCP_REQUEST));
        assert_eq!(caller.frames(), [hex("80210301000a0306c0a84d0a")]);
        assert_eq!(caller.address(&frames), [hex("80210202000a0306c0a84d0a")]);
        caller.frame(&[&[0xfd][..], &hex(ENCRYPTED)].concat());
        caller.wait(100);
        assert!(caller.frames().is_empty(), "the frame was understood: no Protocol-Reject");
        let words = caller.session.describe();
        let expected = "call=4/55181 up user=probe mppe=128-stateless address=192.168.77.10";
        assert_eq!(words, expected);
        caller.control(&hex(CALL_CLEAR));
        assert!(caller.session.call.is_none());
    }

    #[test]
    fn ping_is_answered_through_mppe() {
        let response: [u8; 24] = hex(RESPONSE)[24..48].try_into().unwrap();
        let keys = MasterKeys::from_mschap_v2(b"Pr0be-secret", &response);
        let mode = Mode { length: KeyLength::Bits128, stateless: true };
        let (mut encryptor, mut decryptor) =
            (Encryptor::new(&keys, mode), Decryptor::new(&keys, mode));
        let mut caller = Caller::new("", &[]);
        let frames = caller.log_in();
        let frames = caller.encrypt(&frames);
        caller.address(&frames);
        caller.frame(&ping_frame());
        assert!(caller.frames().is_empty(), "in the clear it is dropped");
        for _ in 0..3 {
            let encrypted = encryptor.encrypt(ppp::IPV4, &ping());
            caller.frame(&[&[0xfd][..], &encrypted].concat());
            let frames = caller.frames();
            assert_eq!(frames.len(), 1);
            assert_eq!(decryptor.decrypt(&frames[0][1..]), Ok((ppp::IPV4, pong())));
        }
    }

    #[test]
    fn stateful_loss_is_answered_with_a_reset_request_and_a_reset_obeyed() {
        let response: [u8; 24] = hex(RESPONSE)[24..48].try_into().unwrap();
        let keys = MasterKeys::from_mschap_v2(b"Pr0be-secret", &response);
        let mode = Mode { length: KeyLength::Bits128, stateless: false };
        let mut encryptor = Encryptor::new(&keys, mode);
        let mut caller = Caller::new("mppe-mode = \"128,stateful\"", &[]);
        let frames = caller.log_in();
        caller.acknowledge(&frames, "80fd");
        caller.frame(&hex("80fd0101000a120600000040"));
        let frames = caller.frames();
        caller.address(&frames);
        encryptor.encrypt(ppp::IPV4, &ping());
        let frame = [&[0xfd][..], &encryptor.encrypt(ppp::IPV4, &ping())].concat();
        caller.frame(&frame);
        let frames = caller.frames();
        assert_eq!((frames.len(), &frames[0][..3]), (1, &hex("80fd0e")[..]));
        caller.frame(&[&[0xfd][..], &encryptor.encrypt(ppp::IPV4, &ping())].concat());
        assert!(caller.frames().is_empty(), "one is enough for a while");
        encryptor.reset();
        caller.frame(&[&[0xfd][..], &encryptor.encrypt(ppp::IPV4, &ping())].concat());
        assert_eq!(caller.frames().len(), 1);
        caller.frame(&hex("80fd0e090004"));
        assert_eq!(caller.frames(), [hex("80fd0f090004")]);
        caller.frame(&[&[0xfd][..], &encryptor.encrypt(ppp::IPV4, &ping())].concat());
        assert_eq!(caller.frames()[0][1] & 0x80, 0x80, "flushed");
    }

    fn ping_frame() -> Vec<u8> {
        [&[0x21][..], &ping()].concat()
    }

    #[test]
    fn session_with_pap_as_captured_and_a_ping_in_the_clear() {
        let mut caller = Caller::new("auth = \"pap\"", &[]);
        assert!(caller.lcp().is_empty());
        caller.frame(&hex(PAP_REQUEST));
        let frames = caller.frames();
        let accepted = [&hex("c0230201000d08")[..], b"Login ok"].concat();
        assert_eq!(frames, [accepted.clone(), hex("80210101000a0306c0a84d01")]);
        caller.frame(&hex(PAP_REQUEST));
        assert_eq!(caller.frames(), [accepted], "a repeated request gets the verdict again");
        caller.address(&frames);
        caller.frame(&ping_frame());
        assert_eq!(caller.frames(), [[&[0x21][..], &pong()].concat()]);
    }

    #[test]
    fn wrong_password_is_refused_and_the_link_terminated() {
        let mut caller = Caller::new("", &[]);
        caller.lcp();
        let mut wrong = hex(RESPONSE);
        wrong[30] ^= 1;
        caller.frame(&chap_response("f4", &wrong));
        let text = format!("E=691 R=1 C={} V=0 M=Access denied", CHALLENGE.to_uppercase());
        let frames = caller.frames();
        assert_eq!(frames[0], failure(&text));
        let terminate = [&hex("c02105020019")[..], b"Authentication failed"].concat();
        assert_eq!(frames[1], terminate);
        caller.frame(&hex("c02106020004"));
        assert_eq!(caller.types(), [2, 8, 13]);
        assert_eq!(caller.end, Some(Transmit::CloseControl));
    }

    #[test]
    fn unknown_user_gets_no_text() {
        let mut caller = Caller::new("user = [\"anna:x\"]", &[]);
        caller.lcp();
        caller.frame(&chap_response("f4", &hex(RESPONSE)));
        assert_eq!(caller.frames()[0], hex("c22304f40004"));
    }

    #[test]
    fn user_with_a_domain_is_found() {
        let mut caller = Caller::new("auth = \"pap\"", &[]);
        caller.lcp();
        caller.frame(&hex("c0230101001a 08 58585c70726f6265 0c50723062652d736563726574"));
        assert_eq!(caller.frames()[0][..3], hex("c02302"));
    }

    #[test]
    fn session_with_chap_md5() {
        let mut caller = Caller::new("auth = \"chap\"", &[]);
        caller.lcp();
        let mut digest = Md5::new();
        digest.update([0xf4]);
        digest.update(b"Pr0be-secret");
        digest.update(hex(CHALLENGE));
        caller.frame(&chap_response("f4", &digest.finalize()));
        let accepted = [&hex("c22303f40012")[..], b"Access granted"].concat();
        assert_eq!(caller.frames()[0], accepted);
    }

    #[test]
    fn mschap_v1_as_captured() {
        let mut caller = Caller::new("auth = \"mschapv1\"", &[]);
        let challenge: [u8; 16] = hex("867933fb9b2781fd 0000000000000000").try_into().unwrap();
        caller.session.entropy = Box::new(move || challenge);
        let frames = caller.lcp();
        assert_eq!(frames, [[&hex("c22301860010 08 867933fb9b2781fd")[..], b"lab"].concat()]);
        let mut value = vec![0; 24];
        value.extend(hex("7a8fed3589971949a47a37e034e50cde3bcd706e5cc788ab01"));
        caller.frame(&chap_response("86", &value));
        let accepted = [&hex("c22303860012")[..], b"Access granted"].concat();
        assert_eq!(caller.frames()[0], accepted);
    }

    #[test]
    fn session_with_eap_md5() {
        let mut caller = Caller::new("auth = \"eap-md5\"", &[]);
        let frames = caller.lcp();
        assert_eq!(frames, [hex("c22701f50009014e616d65")]);
        caller.frame(&hex("c22702f5000a0170726f6265"));
        let challenge = [&hex("c22701f600190410")[..], &hex(CHALLENGE), b"lab"].concat();
        assert_eq!(caller.frames(), [challenge]);
        let mut digest = Md5::new();
        digest.update([0xf6]);
        digest.update(b"Pr0be-secret");
        digest.update(hex(CHALLENGE));
        caller.frame(&[&hex("c22702f6001b0410")[..], &digest.finalize(), b"probe"].concat());
        assert_eq!(caller.frames()[0], hex("c22703f60004"));
    }

    #[test]
    fn session_with_eap_mschap_v2_after_a_nak() {
        let mut caller = Caller::new("auth = \"eap-md5,eap-mschapv2\"", &[]);
        caller.lcp();
        caller.frame(&hex("c22702f5000a0170726f6265"));
        assert_eq!(caller.frames()[0][6], 4, "MD5 is offered first");
        caller.frame(&hex("c22702f60006031a"));
        let request = [&hex("c22701f7001d1a01f7001810")[..], &hex(CHALLENGE), b"lab"].concat();
        assert_eq!(caller.frames(), [request]);
        caller.frame(&[&hex("c22702f700401a02f7003b31")[..], &hex(RESPONSE), b"probe"].concat());
        let proof = [&hex("c22701f800441a03f7003f")[..], PROOF].concat();
        assert_eq!(caller.frames(), [proof]);
        caller.frame(&hex("c22702f800061a03"));
        let frames = caller.frames();
        assert_eq!(frames[0], hex("c22703f80004"));
        assert_eq!(frames[1], hex("80fd0101000a120601000040"), "with keys for MPPE");
    }

    #[test]
    fn eap_mschap_v2_failure_is_acknowledged_before_it_is_final() {
        let mut caller = Caller::new("auth = \"eap-mschapv2\"", &["auth-failure=648"]);
        caller.lcp();
        caller.frame(&hex("c22702f5000a0170726f6265"));
        caller.frames();
        caller.frame(&[&hex("c22702f600401a02f6003b31")[..], &hex(RESPONSE), b"probe"].concat());
        let frames = caller.frames();
        assert!(frames[0].starts_with(&hex("c22701f7")));
        assert_eq!(frames[0][6..8], [26, 4]);
        assert_eq!(frames[0][11..21], *b"E=648 R=0 ");
        caller.frame(&hex("c22702f700061a04"));
        assert_eq!(caller.frames()[0], hex("c22704f70004"));
    }

    #[test]
    fn eap_without_a_common_method_fails() {
        let mut caller = Caller::new("auth = \"eap-md5\"", &[]);
        caller.lcp();
        caller.frame(&hex("c22702f5000a0170726f6265"));
        caller.frame(&hex("c22702f60006031a"));
        assert!(caller.frames().contains(&hex("c22704f60004")));
    }

    #[test]
    fn lcp_echo_is_answered_while_the_caller_is_to_prove_itself() {
        let mut caller = Caller::new("", &[]);
        caller.lcp();
        caller.frame(&hex("c0210907000ce2a4830e01020304"));
        // Behind the magic number, which is made of the first four octets drawn.
        assert_eq!(caller.frames(), [hex("c0210a07000cf4e06fa101020304")]);
    }

    #[test]
    fn ipcp_before_ccp_is_answered_with_terminate_ack() {
        let mut caller = Caller::new("", &[]);
        caller.log_in();
        caller.frame(&hex(IPCP_REQUEST));
        assert_eq!(caller.frames(), [hex("802106010004")]);
    }

    #[test]
    fn ipv6cp_is_rejected_as_a_protocol() {
        let mut caller = Caller::new("auth = \"pap\"", &[]);
        caller.lcp();
        caller.frame(&hex(PAP_REQUEST));
        caller.frames();
        caller.frame(&hex("80570101000e010a206fdc863f08045b"));
        let reject = hex("c0210801001480570101000e010a206fdc863f08045b");
        assert_eq!(caller.frames(), [reject]);
    }

    #[test]
    fn caller_without_mppe_is_terminated_where_it_is_required() {
        let mut caller = Caller::new("", &[]);
        caller.log_in();
        caller.frame(&hex("80fd0401000a120601000040"));
        let frames = caller.frames();
        let words = [&hex("c02105020022")[..], b"MPPE required but peer refused"].concat();
        assert_eq!(frames.last(), Some(&words));
    }

    #[test]
    fn optional_mppe_goes_on_without() {
        let mut caller = Caller::new("mppe = \"optional\"", &[]);
        let frames = caller.log_in();
        assert!(request_among(&frames, "80fd").is_some());
        caller.frame(&hex("80fd0401000a120601000040"));
        caller.address(&frames);
        caller.frame(&ping_frame());
        assert_eq!(caller.frames().last(), Some(&[&[0x21][..], &pong()].concat()));
    }

    #[test]
    fn gateway_without_mppe_rejects_the_option() {
        let mut caller = Caller::new("mppe = \"none\"", &[]);
        let frames = caller.log_in();
        assert!(request_among(&frames, "80fd").is_none());
        caller.frame(&hex(CCP_REQUEST));
        let frames = caller.frames();
        assert!(frames.contains(&hex("80fd01010004")));
        assert!(frames.contains(&hex("80fd0401000a120601000040")));
    }

    #[test]
    fn refused_authentication_is_terminated_after_lcp() {
        let mut caller = Caller::new("", &[]);
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        let frames = caller.frames();
        let request = request_among(&frames, "c021").unwrap();
        assert_eq!(request[6..11], hex("0305c22381"));
        let reject = [&hex("c02104010009")[..], &request[6..11]].concat();
        caller.frame(&reject);
        let frames = caller.frames();
        assert_eq!(request_among(&frames, "c021").unwrap()[6..8], [5, 6]);
        caller.acknowledge(&frames, "c021");
        let words = b"peer refused to authenticate";
        assert!(caller.frames()[0].ends_with(words));
    }

    #[test]
    fn end_of_the_link_by_the_caller_ends_the_call_after_a_while() {
        let mut caller = Caller::new("", &[]);
        caller.lcp();
        caller.frame(&hex("c021050200085573"));
        caller.frame(&hex("c02105020004"));
        assert_eq!(caller.frames(), [hex("c02106020004")]);
        caller.wait(3_100);
        assert_eq!(caller.types(), [2, 8, 13]);
        assert_eq!(caller.end, Some(Transmit::CloseControl));
    }

    #[test]
    fn silent_caller_is_reset_after_ten_seconds() {
        let mut caller = Caller::new("", &[]);
        caller.wait(9_900);
        assert_eq!(caller.end, None);
        caller.wait(200);
        assert_eq!(caller.end, Some(Transmit::ResetControl));
    }

    #[test]
    fn something_else_than_pptp_is_reset() {
        let mut caller = Caller::new("", &[]);
        caller.control(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!((caller.segments.len(), &caller.end), (0, &Some(Transmit::ResetControl)));
        let mut caller = Caller::new("", &[]);
        caller.control(&echo_request("00000001"));
        assert_eq!((caller.segments.len(), &caller.end), (0, &Some(Transmit::ResetControl)));
    }

    #[test]
    fn quiet_caller_is_asked_and_then_stopped() {
        let mut caller = Caller::new("", &[]);
        caller.control(&start_request());
        caller.wait(60_100);
        assert_eq!(caller.types(), [2, 5]);
        caller.control(&hex("001400011a2b3c4d000600000000000101000000"));
        caller.wait(60_100);
        assert_eq!(caller.types(), [2, 5, 5]);
        caller.wait(60_100);
        assert_eq!(caller.types(), [2, 5, 5, 3]);
        caller.wait(3_100);
        assert_eq!(caller.end, Some(Transmit::CloseControl));
    }

    #[test]
    fn shut_down_says_so() {
        let mut caller = Caller::new("", &[]);
        caller.call();
        caller.session.shut_down(caller.now);
        caller.drain();
        assert_eq!(caller.segments[2], hex("001000011a2b3c4d0003000003000000"));
        caller.control(&hex("001000011a2b3c4d0004000001000000"));
        assert_eq!(caller.end, Some(Transmit::CloseControl));
    }

    #[test]
    fn closed_connection_ends_everything() {
        let mut caller = Caller::new("", &["delay=control:5000"]);
        caller.control(&start_request());
        caller.session.handle_control_closed(caller.now);
        caller.drain();
        assert_eq!((caller.segments.len(), &caller.end), (0, &Some(Transmit::CloseControl)));
        assert_eq!(caller.session.poll_timeout(), None);
    }
}

/// Each fault, seen on the wire.
mod fault {
    use super::*;

    #[test]
    fn tcp_silent() {
        let mut caller = Caller::new("", &["tcp-silent"]);
        caller.control(&start_request());
        caller.wait(60_000);
        assert_eq!((caller.segments.len(), &caller.end), (0, &None));
        caller.wait(600_000);
        assert!(caller.end.is_some(), "but not for ever");
    }

    #[test]
    fn tcp_close_after() {
        let mut caller = Caller::new("", &["tcp-close-after=100"]);
        caller.control(&start_request());
        assert_eq!(caller.stream().len(), 100);
        assert_eq!(caller.end, Some(Transmit::CloseControl));
        assert_eq!(Caller::new("", &["tcp-close-after=0"]).end, Some(Transmit::CloseControl));
        let mut caller = Caller::new("", &["tcp-close-after=156"]);
        caller.control(&start_request());
        assert_eq!(caller.types(), [2]);
        assert_eq!(caller.end, Some(Transmit::CloseControl));
    }

    #[test]
    fn tcp_one_octet() {
        let mut caller = Caller::new("", &["tcp-one-octet"]);
        caller.control(&start_request());
        assert_eq!(caller.segments.len(), 156);
        assert_eq!(caller.types(), [2]);
    }

    #[test]
    fn tcp_trickle() {
        let mut caller = Caller::new("", &["tcp-trickle=10"]);
        caller.control(&start_request());
        caller.wait(105);
        assert_eq!(caller.segments.len(), 10);
        caller.wait(1_500);
        assert_eq!(caller.types(), [2]);
    }

    #[test]
    fn garbage() {
        let mut caller = Caller::new("", &["garbage"]);
        caller.control(&start_request());
        assert_eq!(caller.stream(), hex(CHALLENGE).repeat(4));
        caller.control(&call_request());
        assert_eq!(caller.segments.len(), 1);
    }

    #[test]
    fn banner() {
        let mut caller = Caller::new("", &["banner"]);
        assert_eq!(caller.stream(), b"SSH-2.0-pptp-lab\r\n");
        caller.control(&start_request());
        assert_eq!((caller.segments.len(), &caller.end), (1, &Some(Transmit::CloseControl)));
    }

    #[test]
    fn wrong_magic() {
        let mut caller = Caller::new("", &["wrong-magic"]);
        caller.control(&start_request());
        assert_eq!(caller.segments[0][..8], hex("009c00011a2b3c4c"));
    }

    #[test]
    fn wrong_version() {
        let mut caller = Caller::new("", &["wrong-version"]);
        caller.control(&start_request());
        assert_eq!(caller.segments[0][12..15], [2, 0, 1]);
    }

    #[test]
    fn sccrp_result() {
        let mut caller = Caller::new("", &["sccrp-result=2:4"]);
        caller.control(&start_request());
        assert_eq!(caller.segments[0][12..16], [1, 0, 2, 4]);
        assert_eq!(caller.end, Some(Transmit::CloseControl));
    }

    #[test]
    fn sccrp_flood() {
        let mut caller = Caller::new("", &["sccrp-flood"]);
        caller.control(&start_request());
        caller.control(&echo_request("00000001"));
        caller.wait(100);
        let types = caller.types();
        assert!(types.len() > 2_000, "{}", types.len());
        assert!(types.iter().all(|kind| *kind == 2));
        caller.faults.borrow_mut().clear_all();
        caller.wait(10);
        let then = caller.segments.len();
        caller.wait(100);
        assert_eq!(caller.segments.len(), then);
    }

    #[test]
    fn no_echo_reply() {
        let mut caller = Caller::new("", &["no-echo-reply"]);
        caller.control(&start_request());
        caller.control(&echo_request("00000001"));
        assert_eq!(caller.types(), [2]);
    }

    #[test]
    fn echo_wrong_id() {
        let mut caller = Caller::new("", &["echo-wrong-id"]);
        caller.control(&start_request());
        caller.control(&echo_request("00000001"));
        assert_eq!(caller.segments[1][8..16], hex("0006000080000001"));
    }

    #[test]
    fn ocrp_result() {
        let mut caller = Caller::new("", &["ocrp-result=2:6:34"]);
        caller.control(&start_request());
        caller.control(&call_request());
        assert_eq!(caller.segments[1][12..20], hex("0000d78d02060022"));
        assert!(caller.gre.is_empty());
        assert_eq!(caller.end, None);
    }

    #[test]
    fn ocrp_silent() {
        let mut caller = Caller::new("", &["ocrp-silent"]);
        caller.control(&start_request());
        caller.control(&call_request());
        assert_eq!(caller.types(), [2]);
        assert!(caller.gre.is_empty());
    }

    #[test]
    fn gre_lost_in() {
        let mut caller = Caller::new("", &["gre-lost-in"]);
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        caller.wait(500);
        let frames = caller.frames();
        assert_eq!(frames.len(), 1, "only its own request");
        assert!(request_among(&frames, "c021").is_some());
        assert!(caller.gre.iter().all(|gre| gre[1] & 0x80 == 0), "and no acknowledgement");
    }

    #[test]
    fn gre_lost_out() {
        for fault in ["gre-lost-out", "gre-lost-both"] {
            let mut caller = Caller::new("", &[fault]);
            caller.call();
            caller.frame(&hex(LCP_REQUEST));
            caller.wait(500);
            assert!(caller.gre.is_empty(), "{fault}");
        }
    }

    #[test]
    fn gre_lost_both_hears_nothing() {
        let mut caller = Caller::new("", &["gre-lost-both"]);
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        let counters = *caller.session.call.as_ref().unwrap().channel.counters();
        assert_eq!(counters.received, 0);
    }

    #[test]
    fn gre_lost_after() {
        let mut caller = Caller::new("", &["gre-lost-after=3"]);
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        assert_eq!(caller.gre.len(), 2, "and one came in: three packets");
        let frames = caller.frames();
        caller.acknowledge(&frames, "c021");
        caller.wait(4_000);
        assert_eq!(caller.gre.len(), 2);
    }

    #[test]
    fn gre_wrong_call_id() {
        let mut caller = Caller::new("", &["gre-wrong-call-id"]);
        caller.call();
        assert_eq!(caller.gre[0][6..8], [0xd7 ^ 0x55, 0x8d ^ 0x55]);
    }

    #[test]
    fn gre_duplicated() {
        let mut caller = Caller::new("", &["gre-duplicated"]);
        caller.call();
        assert_eq!(caller.gre.len(), 2);
        assert_eq!(caller.gre[0], caller.gre[1]);
    }

    #[test]
    fn gre_reordered() {
        let mut caller = Caller::new("auth = \"pap\"", &["gre-reordered"]);
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        let sequences = |caller: &Caller| -> Vec<u8> {
            caller.gre.iter().filter(|gre| gre[0] & 0x10 != 0).map(|gre| gre[11]).collect()
        };
        assert_eq!(sequences(&caller), [0], "the first goes ahead, the second waits");
        caller.frame(&hex("c0210101000a0506e2a4830e"));
        assert_eq!(sequences(&caller), [0, 2, 1]);
        caller.frame(&hex("c0210101000a0506e2a4830e"));
        assert_eq!(sequences(&caller), [0, 2, 1]);
        caller.wait(60);
        assert_eq!(sequences(&caller), [0, 2, 1, 3], "not for ever");
    }

    #[test]
    fn gre_unreachable() {
        let mut caller = Caller::new("", &["gre-unreachable"]);
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        assert!(caller.gre.is_empty());
        let icmp = &caller.icmp[0];
        assert_eq!((caller.icmp.len(), &icmp[..2]), (1, &[3, 2][..]));
        assert_eq!(icmp[8..28], hex("45000038 00004000 402ff000 0a4d0003 0a4d0002"));
        assert_eq!(icmp[28..], hex("3001880b00180004"));
    }

    #[test]
    fn gre_flood() {
        let mut caller = Caller::new("", &["gre-flood"]);
        caller.call();
        caller.wait(100);
        let frames = caller.frames();
        assert!(frames.len() > 2_000, "{}", frames.len());
        assert!(frames.iter().skip(1).filter(|frame| frame[..3] == hex("c0210b")).count() > 2_000);
    }

    #[test]
    fn lcp_silent() {
        let mut caller = Caller::new("", &["lcp-silent"]);
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        caller.wait(100);
        assert_eq!(caller.gre, [hex("2081880b0000d78d00000000")], "an acknowledgement alone");
        caller.faults.borrow_mut().clear_all();
        caller.session.handle_timeout(caller.now);
        caller.drain();
        assert!(request_among(&caller.frames(), "c021").is_some(), "it speaks when cleared");
    }

    #[test]
    fn lcp_never_converging() {
        let mut caller = Caller::new("", &["lcp-never-converging"]);
        caller.call();
        caller.frames();
        let mut naks = Vec::new();
        for _ in 0..50 {
            caller.frame(&hex(LCP_REQUEST));
            naks.extend(caller.frames());
        }
        assert_eq!(naks.len(), 50);
        assert!(naks.iter().all(|nak| nak[..8] == hex("c021030100080104")));
        assert_ne!(naks[0], naks[1]);
    }

    #[test]
    fn lcp_loop() {
        let mut caller = Caller::new("", &["lcp-loop"]);
        caller.call();
        assert!(caller.gre.is_empty());
        caller.frame(&hex(LCP_REQUEST));
        assert_eq!(caller.frames(), [hex(LCP_REQUEST)[2..].to_vec()]);
    }

    #[test]
    fn lcp_terminate() {
        let mut caller = Caller::new("", &["lcp-terminate"]);
        caller.call();
        caller.frames();
        caller.frame(&hex(LCP_REQUEST));
        let frames = caller.frames();
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0][..3], hex("c02105"));
    }

    #[test]
    fn no_auth() {
        let mut caller = Caller::new("", &["no-auth"]);
        let frames = caller.lcp();
        assert_eq!(frames, [hex("80210101000a0306c0a84d01")]);
    }

    #[test]
    fn auth_silent() {
        let mut caller = Caller::new("", &["auth-silent"]);
        assert!(caller.lcp().is_empty());
        caller.wait(20_000);
        assert!(caller.frames().is_empty());
        let mut caller = Caller::new("auth = \"pap\"", &["auth-silent"]);
        caller.lcp();
        caller.frame(&hex(PAP_REQUEST));
        assert!(caller.frames().is_empty());
    }

    #[test]
    fn auth_failure() {
        for (code, text) in [
            (646, "R=0 C=%C V=0 M=Restricted logon hours"),
            (647, "R=0 C=%C V=0 M=Account disabled"),
            (648, "R=0 C=%C V=0 M=Password expired"),
            (649, "R=0 C=%C V=0 M=No dial-in permission"),
            (691, "R=1 C=%C V=0 M=Access denied"),
            (709, "R=0 C=%C V=0 M=Changing password failed"),
        ] {
            let mut caller = Caller::new("", &[&format!("auth-failure={code}")]);
            let frames = caller.log_in();
            let text = text.replace("%C", &CHALLENGE.to_uppercase());
            assert_eq!(frames[0], failure(&format!("E={code} {text}")));
        }
        let mut caller = Caller::new("auth = \"mschapv1\"", &["auth-failure=648"]);
        caller.lcp();
        caller.frame(&chap_response("f4", &[0; 49]));
        let text = format!("E=648 R=0 C={} V=0", CHALLENGE[..16].to_uppercase());
        assert_eq!(caller.frames()[0], failure(&text));
        let mut caller = Caller::new("auth = \"pap\"", &["auth-failure=648"]);
        caller.lcp();
        caller.frame(&hex(PAP_REQUEST));
        let refused = [&hex("c02303010014 0f")[..], b"Login incorrect"].concat();
        assert_eq!(caller.frames()[0], refused);
    }

    #[test]
    fn accept_any() {
        let mut caller = Caller::new("auth = \"pap\"", &["accept-any"]);
        caller.lcp();
        caller.frame(&hex("c02301010008 017801 79"));
        assert_eq!(caller.frames()[0][..3], hex("c02302"));
        let mut caller = Caller::new("", &["accept-any"]);
        caller.lcp();
        caller.frame(&chap_response("f4", &[7; 49]));
        assert_eq!(caller.frames()[0][..4], hex("c22303f4"));
    }

    #[test]
    fn wrong_proof() {
        let mut caller = Caller::new("", &["wrong-proof"]);
        let frames = caller.log_in();
        assert_eq!(frames[0][..8], success()[..8]);
        assert_ne!(frames[0][8..48], success()[8..48]);
        assert_eq!(frames[0].len(), success().len());
    }

    #[test]
    fn ccp_refused() {
        let mut caller = Caller::new("", &["ccp-refused"]);
        let frames = caller.log_in();
        assert!(request_among(&frames, "80fd").is_none());
        assert!(request_among(&frames, "8021").is_some(), "it goes on without");
        caller.frame(&hex(CCP_REQUEST));
        assert!(caller.frames().contains(&hex("80fd0401000a120601000040")));
    }

    #[test]
    fn ccp_silent() {
        let mut caller = Caller::new("", &["ccp-silent"]);
        assert_eq!(caller.log_in(), [success()]);
        caller.frame(&hex(CCP_REQUEST));
        caller.wait(10_000);
        assert!(caller.frames().is_empty());
    }

    #[test]
    fn wrong_mppe_key() {
        let response: [u8; 24] = hex(RESPONSE)[24..48].try_into().unwrap();
        let keys = MasterKeys::from_mschap_v2(b"Pr0be-secret", &response);
        let mode = Mode { length: KeyLength::Bits128, stateless: true };
        let mut encryptor = Encryptor::new(&keys, mode);
        let mut caller = Caller::new("", &["wrong-mppe-key"]);
        let frames = caller.log_in();
        let frames = caller.encrypt(&frames);
        caller.address(&frames);
        let mut rejects = 0;
        for _ in 0..16 {
            caller.frame(&[&[0xfd][..], &encryptor.encrypt(ppp::IPV4, &ping())].concat());
            let frames = caller.frames();
            assert!(frames.iter().all(|frame| frame[..3] == hex("c02108")), "{frames:02x?}");
            rejects += frames.len();
        }
        assert!(rejects >= 12, "{rejects}");
    }

    #[test]
    fn ipcp_refused() {
        let mut caller = Caller::new("", &["ipcp-refused"]);
        let frames = caller.log_in();
        let frames = caller.encrypt(&frames);
        assert!(request_among(&frames, "8021").is_none());
        caller.frame(&hex(IPCP_REQUEST));
        assert_eq!(caller.frames(), [hex("c0210801001080210101000a030600000000")]);
    }

    #[test]
    fn ipcp_silent() {
        let mut caller = Caller::new("", &["ipcp-silent"]);
        let frames = caller.log_in();
        caller.encrypt(&frames);
        caller.frame(&hex(IPCP_REQUEST));
        caller.wait(10_000);
        assert!(caller.frames().is_empty());
    }

    #[test]
    fn no_address() {
        let mut caller = Caller::new("", &["no-address"]);
        let frames = caller.log_in();
        caller.encrypt(&frames);
        caller.frame(&hex(IPCP_REQUEST));
        assert_eq!(caller.frames(), [hex("80210401000a030600000000")]);
    }

    #[test]
    fn stop_at() {
        for (phase, types) in [("control", &[2, 3][..]), ("call", &[2, 3])] {
            let mut caller = Caller::new("", &[&format!("stop-at={phase}")]);
            caller.control(&start_request());
            caller.control(&call_request());
            assert_eq!(caller.types(), types, "{phase}");
            caller.wait(3_100);
            assert_eq!(caller.end, Some(Transmit::CloseControl));
        }
        for phase in ["lcp", "auth", "ccp", "ipcp"] {
            let mut caller = Caller::new("", &[]);
            caller.set(&format!("stop-at={phase}"));
            hang_up_in_the_middle(&mut caller, phase);
            assert_eq!(caller.types(), [2, 8, 3], "{phase}");
            assert_eq!(caller.segments[2], hex("001000011a2b3c4d0003000001000000"));
        }
    }

    #[test]
    fn disconnect_at() {
        let mut caller = Caller::new("", &["disconnect-at=control"]);
        caller.control(&start_request());
        assert_eq!(caller.types(), [2, 13]);
        let mut caller = Caller::new("", &["disconnect-at=call"]);
        caller.control(&start_request());
        caller.control(&call_request());
        assert_eq!(caller.types(), [2, 8, 13]);
        for phase in ["lcp", "auth", "ccp", "ipcp"] {
            let mut caller = Caller::new("", &[]);
            caller.set(&format!("disconnect-at={phase}"));
            hang_up_in_the_middle(&mut caller, phase);
            assert_eq!(caller.types(), [2, 8, 13], "{phase}");
            assert_eq!(caller.segments[2][12..16], [0, 4, 3, 0], "admin shutdown");
            assert_eq!(caller.end, None);
        }
    }

    /// Goes as far as into `phase`, and asserts that its first frame came.
    fn hang_up_in_the_middle(caller: &mut Caller, phase: &str) {
        caller.call();
        caller.frame(&hex(LCP_REQUEST));
        let mut frames = caller.frames();
        if phase != "lcp" {
            caller.acknowledge(&frames, "c021");
            frames = caller.frames();
        }
        if !["lcp", "auth"].contains(&phase) {
            caller.frame(&chap_response("f4", &hex(RESPONSE)));
            frames = caller.frames();
        }
        if phase == "ipcp" {
            frames = caller.encrypt(&frames);
        }
        let first = match phase {
            "lcp" => "c02101",
            "auth" => "c22301",
            "ccp" => "80fd01",
            _ => "802101",
        };
        assert!(frames.iter().any(|frame| frame.starts_with(&hex(first))), "{phase}");
    }

    #[test]
    fn delay() {
        let mut caller = Caller::new("", &["delay=control:50", "delay=call:70"]);
        caller.control(&start_request());
        caller.wait(45);
        assert!(caller.segments.is_empty());
        caller.wait(10);
        assert_eq!(caller.types(), [2]);
        caller.control(&call_request());
        caller.wait(65);
        assert!((caller.segments.len(), caller.gre.len()) == (1, 0), "no GRE before the reply");
        caller.wait(10);
        assert_eq!(caller.types(), [2, 8]);
        assert_eq!(caller.frames().len(), 1);
    }

    #[test]
    fn delay_of_ppp_keeps_the_order() {
        let mut caller = Caller::new("", &["delay=auth:100"]);
        assert!(caller.lcp().is_empty());
        caller.wait(90);
        caller.frame(&hex("c0210907000ce2a4830e01020304"));
        assert!(caller.frames().is_empty(), "nothing overtakes");
        caller.wait(20);
        let frames = caller.frames();
        assert_eq!(
            (frames[0][..3].to_vec(), frames[1][..3].to_vec()),
            (hex("c22301"), hex("c0210a"))
        );
        for fault in ["delay=lcp:100", "delay=gre:100"] {
            let mut caller = Caller::new("", &[fault]);
            caller.call();
            caller.wait(95);
            assert!(caller.gre.is_empty(), "{fault}");
            caller.wait(10);
            assert_eq!(caller.frames().len(), 1, "{fault}");
        }
    }

    #[test]
    fn delay_of_encryption_addresses_and_data() {
        let mut caller = Caller::new("", &["delay=ccp:30", "delay=ipcp:40"]);
        assert_eq!(caller.log_in(), [success()]);
        caller.wait(35);
        let frames = caller.frames();
        assert_eq!(frames.len(), 1);
        assert!(caller.encrypt(&frames).is_empty());
        caller.wait(35);
        assert_eq!(caller.frames()[0][..3], hex("80fd02"));
        caller.wait(45);
        assert_eq!(caller.frames()[0][..3], hex("802101"));
        let mut caller = Caller::new("auth = \"none\"", &["delay=data:60"]);
        let frames = caller.lcp();
        caller.address(&frames);
        caller.frame(&[&[0x21][..], &ping()].concat());
        caller.wait(55);
        assert!(caller.frames().is_empty());
        caller.wait(10);
        assert_eq!(caller.frames().len(), 1);
    }

    /// A session in the clear, with an address.
    fn open(faults: &[&str]) -> Caller {
        let mut caller = Caller::new("auth = \"none\"", faults);
        let frames = caller.lcp();
        caller.address(&frames);
        caller
    }

    fn ping_frame() -> Vec<u8> {
        [&[0x21][..], &ping()].concat()
    }

    /// Whether a ping comes back.
    fn pings(caller: &mut Caller) -> bool {
        caller.frame(&ping_frame());
        caller.frames().contains(&[&[0x21][..], &pong()].concat())
    }

    /// An LCP Echo-Request of so many octets, and its reply.
    fn lcp_echo(octets: usize) -> Vec<u8> {
        let mut frame = hex("c02109070000e2a4830e");
        frame[4..6].copy_from_slice(&(octets as u16).to_be_bytes());
        frame.resize(2 + octets, 0x61);
        frame
    }

    #[test]
    fn one_per_address() {
        for (further, fault, heard) in [
            (true, "one-per-address", false),
            (false, "one-per-address", true),
            (true, "gre-duplicated", true),
        ] {
            let mut caller = Caller::new("", &[fault]);
            caller.session.lease.is_further = further;
            caller.call();
            caller.frame(&hex(LCP_REQUEST));
            assert_eq!(!caller.gre.is_empty(), heard);
            let counters = *caller.session.call.as_ref().unwrap().channel.counters();
            assert_eq!(counters.received, u64::from(heard));
        }
    }

    #[test]
    fn gre_idle_drop() {
        let mut caller = open(&["gre-idle-drop=30"]);
        caller.wait(1_000);
        for _ in 0..3 {
            caller.wait(28_000);
            assert!(pings(&mut caller));
        }
        caller.wait(31_000);
        assert!(!pings(&mut caller));
        caller.wait(100);
        assert!(!pings(&mut caller), "and that for good");
    }

    #[test]
    fn gre_idle_in() {
        let mut caller = open(&["gre-idle-in=30"]);
        let forwarded = pong();
        caller.wait(1_000);
        caller.wait(31_000);
        let gre = caller.gre.len();
        caller.session.handle_forwarded(forwarded.clone(), caller.now);
        caller.drain();
        assert_eq!(caller.gre.len(), gre, "the way to the caller is forgotten");
        // One number is missing since.
        let frame = [&[0x21][..], &ping()].concat();
        caller.frame(&frame);
        assert!(caller.gre.len() > gre, "the caller's packet opens it");
        caller.session.handle_forwarded(forwarded, caller.now);
        caller.drain();
        assert!(caller.gre.len() > gre + 1);
    }

    #[test]
    fn control_idle_drop() {
        let mut caller = open(&["control-idle-drop=30"]);
        caller.wait(29_000);
        caller.control(&echo_request("00000001"));
        assert_eq!(caller.types(), [2, 8, 6]);
        caller.wait(31_000);
        for _ in 0..3 {
            caller.control(&echo_request("00000002"));
            caller.wait(60_000);
        }
        assert_eq!((caller.types(), &caller.end), (vec![2, 8, 6], &None), "silent, not closed");
        assert!(pings(&mut caller), "GRE has a way of its own");
    }

    /// A ping of so many octets.
    fn large_ping(octets: usize) -> Vec<u8> {
        let data = vec![0x61; octets - 28];
        let payload = Icmp::Echo { reply: false, identifier: 9, sequence: 1, data: &data }.emit();
        let source = Ipv4Addr::new(192, 168, 77, 10);
        let destination = Ipv4Addr::new(192, 168, 77, 1);
        let datagram = Datagram { source, destination, protocol: 1, payload: &payload }.emit();
        [&[0x21][..], &datagram].concat()
    }

    #[test]
    fn black_hole() {
        for (fault, taken, answered) in [
            ("black-hole=100", 2, 2),
            ("black-hole-in=100", 2, 2),
            ("black-hole-out=100", 4, 2),
            ("black-hole=101", 4, 4),
        ] {
            let mut caller = open(&[fault]);
            let received =
                |caller: &Caller| caller.session.call.as_ref().unwrap().channel.counters().received;
            let before = received(&caller);
            let mut replies = 0;
            for octets in [100, 101] {
                for frame in [lcp_echo(octets), large_ping(octets)] {
                    caller.frame(&frame);
                    // Lost packets leave gaps, for which the gateway waits.
                    caller.wait(200);
                    let frames = caller.frames();
                    replies += frames.iter().filter(|reply| reply.len() == frame.len()).count();
                }
            }
            assert_eq!((received(&caller) - before, replies), (taken, answered), "{fault}");
        }
    }

    #[test]
    fn black_hole_measures_what_is_encrypted() {
        let response: [u8; 24] = hex(RESPONSE)[24..48].try_into().unwrap();
        let keys = MasterKeys::from_mschap_v2(b"Pr0be-secret", &response);
        let mode = Mode { length: KeyLength::Bits128, stateless: true };
        let mut encryptor = Encryptor::new(&keys, mode);
        let mut caller = Caller::new("", &["black-hole=100"]);
        let frames = caller.log_in();
        let frames = caller.encrypt(&frames);
        caller.address(&frames);
        for (octets, passes) in [(100, true), (101, false), (100, true)] {
            let encrypted = encryptor.encrypt(ppp::IPV4, &large_ping(octets)[1..]);
            caller.frame(&[&[0xfd][..], &encrypted].concat());
            caller.wait(200);
            assert_eq!(caller.frames().len(), usize::from(passes), "{octets}");
        }
    }

    #[test]
    fn datagram_for_another_caller_leaves() {
        let mut caller = open(&[]);
        let mut other = ping();
        other[19] = 11;
        caller.frame(&[&[0x21][..], &other].concat());
        assert_eq!(caller.forwards.len(), 1);
        let (to, datagram) = caller.forwards.remove(0);
        assert_eq!((to, datagram[8]), (Ipv4Addr::new(192, 168, 77, 11), 63));
        caller.frames();
        caller.session.handle_no_caller(&other, caller.now);
        caller.drain();
        // ICMP host unreachable.
        assert_eq!(caller.frames()[0][21..23], [3, 1]);
    }

    #[test]
    fn lcp_reopen() {
        let mut caller = Caller::new("", &["lcp-reopen=5"]);
        let frames = caller.log_in();
        let frames = caller.encrypt(&frames);
        caller.address(&frames);
        caller.wait(4_900);
        assert!(caller.frames().is_empty());
        caller.wait(200);
        let frames = caller.frames();
        assert!(request_among(&frames, "c021").is_some(), "{frames:02x?}");
        caller.frame(&ping_frame());
        assert!(caller.frames().is_empty(), "nothing passes meanwhile");
        caller.frame(&hex(LCP_REQUEST));
        caller.acknowledge(&frames, "c021");
        let frames = caller.frames();
        let challenge = frames.iter().find(|frame| frame.starts_with(&hex("c22301")));
        let challenge = challenge.expect("the caller is to prove itself again");
        assert_ne!(challenge[7..23], hex(CHALLENGE), "and not by what it said before");
        assert!(request_among(&frames, "8021").is_none());
        caller.wait(100);
        assert_eq!(caller.session.describe(), "call=4/55181 auth user=probe");
    }

    #[test]
    fn ccp_reopen() {
        let response: [u8; 24] = hex(RESPONSE)[24..48].try_into().unwrap();
        let keys = MasterKeys::from_mschap_v2(b"Pr0be-secret", &response);
        let mode = Mode { length: KeyLength::Bits128, stateless: true };
        let mut caller = Caller::new("", &["ccp-reopen=5"]);
        let frames = caller.log_in();
        let frames = caller.encrypt(&frames);
        caller.address(&frames);
        for round in 0..2 {
            let (mut encryptor, mut decryptor) =
                (Encryptor::new(&keys, mode), Decryptor::new(&keys, mode));
            caller.frame(&[&[0xfd][..], &encryptor.encrypt(ppp::IPV4, &ping())].concat());
            let frames = caller.frames();
            assert_eq!(decryptor.decrypt(&frames[0][1..]), Ok((ppp::IPV4, pong())), "{round}");
            if round == 0 {
                caller.wait(5_100);
                let frames = caller.frames();
                assert!(request_among(&frames, "80fd").is_some());
                caller.frame(&ping_frame());
                assert!(caller.frames().is_empty(), "in the clear nothing passes");
                caller.encrypt(&frames);
            }
        }
        caller.wait(60_000);
        assert!(request_among(&caller.frames(), "80fd").is_none(), "once is enough");
    }

    #[test]
    fn ipcp_reopen() {
        let mut caller = open(&["ipcp-reopen=5"]);
        caller.wait(5_100);
        let frames = caller.frames();
        assert!(request_among(&frames, "8021").is_some());
        assert!(!pings(&mut caller));
        caller.address(&frames);
        assert!(pings(&mut caller));
        caller.wait(60_000);
        assert!(request_among(&caller.frames(), "8021").is_none(), "once is enough");
    }

    #[test]
    fn ccp_reset_storm() {
        let mut caller = Caller::new("mppe-mode = \"128,stateful\"", &["ccp-reset-storm"]);
        let frames = caller.log_in();
        caller.acknowledge(&frames, "80fd");
        caller.frame(&hex("80fd0101000a120600000040"));
        let frames = caller.frames();
        caller.address(&frames);
        // The window of a caller who acknowledges nothing opens every half second.
        caller.wait(300);
        let requests = caller.frames().iter().filter(|frame| frame[..3] == hex("80fd0e")).count();
        assert!((25..40).contains(&requests), "{requests}");
        caller.faults.borrow_mut().clear_all();
        caller.wait(2_000);
        caller.frames();
        caller.wait(2_000);
        assert!(caller.frames().is_empty());
    }

    #[test]
    fn mppe_key_after() {
        let response: [u8; 24] = hex(RESPONSE)[24..48].try_into().unwrap();
        let keys = MasterKeys::from_mschap_v2(b"Pr0be-secret", &response);
        let mode = Mode { length: KeyLength::Bits128, stateless: true };
        let (mut encryptor, mut decryptor) =
            (Encryptor::new(&keys, mode), Decryptor::new(&keys, mode));
        let mut caller = Caller::new("", &["mppe-key-after=5"]);
        let frames = caller.log_in();
        let frames = caller.encrypt(&frames);
        caller.address(&frames);
        let mut exchange = |caller: &mut Caller| {
            caller.frame(&[&[0xfd][..], &encryptor.encrypt(ppp::IPV4, &ping())].concat());
            caller.frames()
        };
        for _ in 0..2 {
            let frames = exchange(&mut caller);
            assert_eq!(decryptor.decrypt(&frames[0][1..]), Ok((ppp::IPV4, pong())));
        }
        let frames = exchange(&mut caller);
        assert_ne!(decryptor.decrypt(&frames[0][1..]), Ok((ppp::IPV4, pong())), "the sixth");
        let mut rejects = 0;
        for _ in 0..16 {
            let frames = exchange(&mut caller);
            assert!(frames.iter().all(|frame| frame[..3] == hex("c02108")), "{frames:02x?}");
            rejects += frames.len();
        }
        assert!(rejects >= 12, "{rejects}");
    }

    #[test]
    fn switched_on_while_a_session_runs() {
        let mut caller = Caller::new("", &[]);
        caller.log_in();
        caller.set("gre-lost-out");
        caller.frame(&hex("c0210907000ce2a4830e01020304"));
        caller.wait(100);
        assert!(caller.frames().is_empty());
        caller.faults.borrow_mut().clear_all();
        caller.frame(&hex("c0210907000ce2a4830e01020304"));
        let seen = caller.gre.len();
        assert!(caller.gre[seen - 1].ends_with(&hex("01020304")));
    }
}

mod robustness {
    use super::*;

    #[test]
    fn slow_reader_is_reset() {
        let mut caller = Caller::new("", &["tcp-trickle=1000"]);
        caller.control(&start_request());
        for _ in 0..400 {
            caller.control(&echo_request("00000001"));
        }
        assert_eq!(caller.end, Some(Transmit::ResetControl));
    }

    #[test]
    fn queues_stay_bounded_whatever_is_asked() {
        let mut caller = Caller::new("auth = \"none\"", &["delay=lcp:100000"]);
        caller.call();
        for _ in 0..5_000 {
            caller.frame(&hex("c0210907000ce2a4830e01020304"));
            caller.frame(&hex(LCP_REQUEST));
        }
        let call = caller.session.call.as_ref().unwrap();
        assert!(call.late.len() <= GRE_QUEUE);
        assert!(caller.session.log.len() <= LOG_LINES);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn arbitrary_octets_never_panic(
            control in proptest::collection::vec(any::<u8>(), 0..400),
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..40),
            protocols in proptest::collection::vec(0usize..9, 40),
            fault in 0usize..10,
        ) {
            let faults = [
                "delay=lcp:3", "gre-reordered", "lcp-loop", "tcp-one-octet", "gre-lost-after=5",
                "lcp-never-converging", "wrong-mppe-key", "accept-any", "ipcp-refused", "gre-duplicated",
            ];
            let known = ["c021", "c023", "c223", "c227", "80fd", "8021", "21", "fd", "8057"];
            let mut caller = Caller::new("mppe = \"optional\"\nauth = \"eap-md5,pap\"", &[faults[fault]]);
            caller.control(&start_request());
            caller.control(&call_request());
            for (frame, protocol) in frames.iter().zip(&protocols) {
                caller.frame(&[&hex(known[*protocol])[..], frame].concat());
                caller.session.handle_gre_input(frame, caller.now);
                caller.session.handle_gre_input(&caller.datagram(frame), caller.now);
                caller.wait(7);
            }
            caller.control(&control);
            caller.wait(40_000);
        }
    }
}
