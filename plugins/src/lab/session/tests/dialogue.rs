//! What a caller hears that has no fault against it.

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
    let (mut encryptor, mut decryptor) = (Encryptor::new(&keys, mode), Decryptor::new(&keys, mode));
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
