//! Each fault, seen on the wire.

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
    assert_eq!((frames[0][..3].to_vec(), frames[1][..3].to_vec()), (hex("c22301"), hex("c0210a")));
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
    let (mut encryptor, mut decryptor) = (Encryptor::new(&keys, mode), Decryptor::new(&keys, mode));
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
