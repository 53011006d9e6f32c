//! LCP that is opened anew, and proofs whose verdict is lost.

use super::*;

/// Our LCP Ack was lost, so pppd asks again when we think the link is open.
#[test]
fn lcp_may_be_negotiated_again_during_authentication() {
    for count in [AUTHENTICATE, AUTHENTICATE + 1] {
        let mut bench = Bench::after(count, "any");
        let request = &captured("<")[0];
        let again = ["LCP Configure-Request 2", "LCP Configure-Ack 1"];
        assert_eq!(bench.frame(request), again);
        let own = RawOption::from(&LcpOption::MagicNumber(MAGIC));
        bench.give(ppp::LCP, Code::ConfigureAck, 2, &RawOption::emit_list(&[own]));
        assert_eq!(bench.events(), [Event::LcpUp]);
        assert_eq!(bench.link.phase(), Phase::Auth);
        assert_eq!(bench.frame(&captured("<")[AUTHENTICATE]), ["CHAP code 2"]);
        bench.frame(&captured("<")[AUTHENTICATE + 1]);
        assert_eq!(bench.events(), [Event::Authenticated(Method::MsChapV2)]);
    }
}

/// The order of a busy pppd: our second Configure-Request, sent as its first
/// arrived, reached it behind our Ack, and it opened LCP anew.
#[test]
fn response_that_was_void_is_followed_by_another() {
    let mut bench = Bench::after(AUTHENTICATE + 1, "any");
    let theirs = captured("<");
    let own = RawOption::emit_list(&[RawOption::from(&LcpOption::MagicNumber(MAGIC))]);
    let again = ["LCP Configure-Request 2", "LCP Configure-Ack 1"];
    assert_eq!(bench.frame(&theirs[0]), again);
    assert_eq!(bench.give(ppp::LCP, Code::ConfigureAck, 1, &own), NONE, "to the first request");
    bench.give(ppp::LCP, Code::ConfigureAck, 2, &own);
    let challenge = [0x5a; 16];
    let valued = chap::Valued { identifier: 0xd2, value: challenge.to_vec(), name: vec![] };
    let information = chap::Packet::Challenge(valued).emit();
    let frame = Frame { protocol: ppp::CHAP, information: &information }.emit();
    bench.link.handle_frame(&frame, bench.now);
    let [response] = <[_; 1]>::try_from(bench.frames()).expect("one response");
    bench.link.handle_frame(&frame, bench.now);
    assert_eq!(bench.frames(), [&response[..]], "pppd asks each three seconds");
    let response = Frame::parse(&response).unwrap();
    let Ok(chap::Packet::Response(response)) = chap::Packet::parse(response.information) else {
        panic!("no response: {response:?}");
    };
    assert_eq!(response.identifier, 0xd2);
    let response = chap::MsChapV2Response::parse(&response.value).unwrap();
    let (peer, nt) = (response.peer_challenge, response.nt_response);
    let expected = mschap::generate_nt_response(&challenge, &peer, b"probe", PASSWORD);
    assert_eq!(nt, expected);
    let proof = mschap::generate_authenticator_response(PASSWORD, &nt, &peer, &challenge, b"probe");
    let digits: String = proof.iter().map(|octet| format!("{octet:02X}")).collect();
    let verdict = chap::Verdict { identifier: 0xd2, message: format!("S={digits}").into_bytes() };
    let information = chap::Packet::Success(verdict).emit();
    bench.frame(&Frame { protocol: ppp::CHAP, information: &information }.emit());
    assert_eq!(bench.events(), [Event::LcpUp, Event::Authenticated(Method::MsChapV2)]);
}

/// The Success was lost, and pppd goes on with CCP, each three seconds.
#[test]
fn proof_goes_out_again_to_a_gateway_that_goes_on_without_a_verdict() {
    let mut bench = Bench::after(AUTHENTICATE, "any");
    let theirs = captured("<");
    let challenge = &theirs[AUTHENTICATE];
    bench.link.handle_frame(challenge, bench.now);
    let proof = bench.frames();
    let ccp = &theirs[AUTHENTICATED];
    for _ in 0..2 {
        bench.link.handle_frame(ccp, bench.now);
        assert_eq!(bench.frames(), proof, "octet for octet");
    }
    bench.frame(&theirs[AUTHENTICATE + 1]);
    assert_eq!(bench.events(), [Event::Authenticated(Method::MsChapV2)]);
    assert_eq!(
        bench.frame(ccp),
        ["CCP Configure-Request 1", "CCP Configure-Ack 1", "IPCP Configure-Request 1"]
    );
}

/// The gateway's GRE acknowledged the request, but its LCP was not open yet.
#[test]
fn pap_request_goes_out_again_when_lcp_was_negotiated_again() {
    let auth = AuthPolicy::OneOf(vec![Method::Pap]);
    let mut bench = Bench::new(config(Goal::Network, auth, "any"));
    let request = lcp_request(Some(&AuthProtocol::Pap));
    bench.give(ppp::LCP, Code::ConfigureRequest, 1, &request);
    let own = RawOption::emit_list(&[RawOption::from(&LcpOption::MagicNumber(MAGIC))]);
    bench.link.handle_frame(&packet(ppp::LCP, Code::ConfigureAck, 1, &own), bench.now);
    let first = bench.frames();
    bench.link.delivered();
    let mut sent = 1;
    for identifier in 2..9 {
        bench.give(ppp::LCP, Code::ConfigureRequest, identifier, &request);
        bench.link.handle_frame(&packet(ppp::LCP, Code::ConfigureAck, identifier, &own), bench.now);
        let again = bench.frames();
        assert!(again.is_empty() || again == first, "octet for octet");
        sent += again.len();
        bench.link.delivered();
    }
    assert_eq!(sent, 4, "not for ever");
    assert_eq!(bench.wait_for_ever(), NONE);
}

#[test]
fn another_method_the_second_time_is_not_tried() {
    let auth = AuthPolicy::OneOf(vec![Method::MsChapV2, Method::Pap]);
    let mut bench = Bench::new(config(Goal::Network, auth, "any"));
    bench.open_lcp(Some(&AuthProtocol::MsChapV2));
    let request = lcp_request(Some(&AuthProtocol::Pap));
    bench.give(ppp::LCP, Code::ConfigureRequest, 2, &request);
    let own = RawOption::from(&LcpOption::MagicNumber(MAGIC));
    let flight = bench.give(ppp::LCP, Code::ConfigureAck, 2, &RawOption::emit_list(&[own]));
    assert_eq!(flight, NONE, "the password is not sent");
    let detail = "gateway asked for mschapv2 first and then for pap".to_owned();
    assert_eq!(bench.failure(), (Phase::Auth, Reason::AuthOfferedUnacceptable, detail));
}

#[test]
fn lcp_negotiated_again_by_a_gateway_that_asks_for_no_second_proof() {
    let mut bench = Bench::after(UP, "any");
    let flight = bench.frame(&captured("<")[0]);
    assert_eq!(flight, ["LCP Configure-Request 2", "LCP Configure-Ack 1"]);
    assert_eq!(bench.link.phase(), Phase::Lcp);
    let own = RawOption::from(&LcpOption::MagicNumber(MAGIC));
    bench.give(ppp::LCP, Code::ConfigureAck, 2, &RawOption::emit_list(&[own]));
    assert_eq!(bench.link.phase(), Phase::Auth);
    let request = bench.give(ppp::CCP, Code::ConfigureRequest, 2, &mppe(MPPE_128));
    let expected = ["CCP Configure-Request 2", "CCP Configure-Ack 2", "IPCP Configure-Request 3"];
    assert_eq!(request, expected);
}

/// pppd, whose LCP was negotiated again, wants another proof, and both sides
/// derive other keys from it.
#[test]
fn lcp_negotiated_again_and_another_proof() {
    let mut bench = Bench::after(UP, "any");
    bench.frame(&captured("<")[0]);
    let own = RawOption::from(&LcpOption::MagicNumber(MAGIC));
    bench.give(ppp::LCP, Code::ConfigureAck, 2, &RawOption::emit_list(&[own]));
    bench.events();
    assert!(!bench.link.carries_network());

    let challenge = [7; 16];
    let valued = chap::Valued { identifier: 9, value: challenge.to_vec(), name: b"gw".to_vec() };
    let chap =
        |packet: chap::Packet| Frame { protocol: ppp::CHAP, information: &packet.emit() }.emit();
    bench.link.handle_frame(&chap(chap::Packet::Challenge(valued)), bench.now);
    let sent = bench.frames();
    let response = Frame::parse(&sent[0]).unwrap();
    let Ok(chap::Packet::Response(response)) = chap::Packet::parse(response.information) else {
        panic!("{response:?}");
    };
    let response = chap::MsChapV2Response::parse(&response.value).unwrap();
    let proof = mschap::generate_authenticator_response(
        PASSWORD,
        &response.nt_response,
        &response.peer_challenge,
        &challenge,
        b"probe",
    );
    let proof: String = proof.iter().map(|octet| format!("{octet:02X}")).collect();
    let verdict = chap::Verdict { identifier: 9, message: format!("S={proof}").into_bytes() };
    let flight = bench.frame(&chap(chap::Packet::Success(verdict)));
    assert_eq!(flight, NONE);
    assert_eq!(bench.link.phase(), Phase::Ccp);
    assert_eq!(bench.events(), [], "it is still the same login");

    bench.give(ppp::CCP, Code::ConfigureRequest, 2, &mppe(MPPE_128));
    let ccp = packet(ppp::CCP, Code::ConfigureAck, 2, &mppe(MPPE_128));
    bench.link.handle_frame(&ccp, bench.now);
    let ipcp_request = packet(ppp::IPCP, Code::ConfigureRequest, 2, &ipcp(&[address(1)]));
    bench.link.handle_frame(&ipcp_request, bench.now);
    bench.wait(1_000);
    bench.link.handle_timeout(bench.now + Duration::from_secs(3));
    let request = bench.frames().into_iter().rev().find_map(|frame| {
        let frame = Frame::parse(&frame).ok().filter(|frame| frame.protocol == ppp::IPCP)?;
        Packet::parse(frame.information).ok()
    });
    let Some(Packet { code: Code::ConfigureRequest, identifier, data }) = request else {
        panic!("{request:?}");
    };
    bench.give(ppp::IPCP, Code::ConfigureAck, identifier, &data);
    assert!(bench.link.carries_network(), "{:?}", bench.events());
    let keys = MasterKeys::from_mschap_v2(PASSWORD, &response.nt_response);
    let mode = Mode { length: KeyLength::Bits128, stateless: true };
    bench.link.send_network(ppp::IPV4, b"datagram");
    let sent = bench.frames();
    let frame = Frame::parse(sent.last().unwrap()).unwrap();
    let plain = Decryptor::for_server(&keys, mode).decrypt(frame.information);
    assert_eq!(plain, Ok((ppp::IPV4, b"datagram".to_vec())));
}
