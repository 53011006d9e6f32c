use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::crypto::mppe::{Direction, KeyLength};

const PROBE: (&[u8], &[u8]) = (b"probe", b"Pr0be-secret");

/// RFC 2759, section 9.2.
const USER: (&[u8], &[u8]) = (b"User", b"clientPass");
const RFC_CHALLENGE: &[u8; 16] =
    b"\x5b\x5d\x7c\x7d\x7b\x3f\x2f\x3e\x3c\x2c\x60\x21\x32\x26\x26\x28";
const RFC_PEER_CHALLENGE: &[u8; 16] =
    b"\x21\x40\x23\x24\x25\x5e\x26\x2a\x28\x29\x5f\x2b\x3a\x33\x7c\x7e";
const RFC_VALUE: &[u8] = b"\x21\x40\x23\x24\x25\x5e\x26\x2a\x28\x29\x5f\x2b\x3a\x33\x7c\x7e\0\0\0\0\0\0\0\0\x82\x30\x9e\xcd\x8d\x70\x8b\x5e\xa0\x8f\xaa\x39\x81\xcd\x83\x54\x42\x33\x11\x4a\x3d\x85\xd6\xdf\0";
const RFC_PROOF: &[u8] = b"S=407A5589115FD0D6209F510FE9C04566932CDA56";

/// pptp-linux and pptpd 1.4.0, MS-CHAPv2: challenge, response, success.
const V2_PEER_CHALLENGE: &[u8; 16] =
    b"\x87\xc9\x22\x94\x5e\xa3\xac\x2f\x47\x7c\x06\x9e\xd9\x17\x0f\xae";
const V2_CHALLENGE: &[u8] =
    b"\x01\x3f\x00\x1a\x10\xf4\xe0\x6f\xa1\xbf\xa8\x78\x61\x55\x13\xa4\x97\xa0\x06\x73\xe0pptpd";
const V2_RESPONSE: &[u8] = b"\x02\x3f\x00\x3b\x31\x87\xc9\x22\x94\x5e\xa3\xac\x2f\x47\x7c\x06\x9e\xd9\x17\x0f\xae\0\0\0\0\0\0\0\0\x7e\xf0\xaf\xbc\xe8\x8d\x75\xb1\xe7\xdd\xe0\x2f\x3f\x86\x46\x2e\x6a\xba\x57\x75\x7c\x1b\x8d\xbe\0probe";
const V2_SUCCESS: &[u8] =
    b"\x03\x3f\x00\x3fS=BBB59131C0FBD7EC2090ACB3BE15F989BF347B97 M=Access granted";
const V2_FAILURE: &[u8] =
    b"\x04\xec\x00\x44E=691 R=1 C=6dc7f9c19003e1769a0176012de6198f V=0 M=Access denied";
/// The same with MS-CHAPv1.
const V1_CHALLENGE: &[u8] = b"\x01\x19\x00\x12\x08\x86\x79\x33\xfb\x9b\x27\x81\xfdpptpd";
const V1_RESPONSE: &[u8] = b"\x02\x19\x00\x3b\x31\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x7a\x8f\xed\x35\x89\x97\x19\x49\xa4\x7a\x37\xe0\x34\xe5\x0c\xde\x3b\xcd\x70\x6e\x5c\xc7\x88\xab\x01probe";
const V1_SUCCESS: &[u8] = b"\x03\x19\x00\x12Access granted";
const V1_FAILURE: &[u8] = b"\x04\x71\x00\x24E=691 R=1 C=a59d9a6969992e2b V=0";
/// The same with CHAP and MD5.
const MD5_CHALLENGE: &[u8] = b"\x01\x08\x00\x1f\x15\x3c\x31\x27\xaa\xac\xfe\xd9\x07\x2b\xe7\xb5\xc0\x35\x99\x5b\x0f\x0e\x4e\x55\x35\xf3pptpd";
const MD5_RESPONSE: &[u8] =
    b"\x02\x08\x00\x1a\x10\xc7\x12\xea\x2c\xbe\xc4\xc4\xc3\xb3\xcd\xfb\xec\x25\xfc\xff\x0dprobe";
const MD5_SUCCESS: &[u8] = b"\x03\x08\x00\x12Access granted";
const MD5_FAILURE: &[u8] = b"\x04\xd5\x00\x11Access denied";
/// The same with PAP.
const PAP_REQUEST: &[u8] = b"\x01\x01\x00\x17\x05probe\x0cPr0be-secret";
const PAP_ACK: &[u8] = b"\x02\x01\x00\x0d\x08Login ok";
const PAP_NAK: &[u8] = b"\x03\x01\x00\x14\x0fLogin incorrect";

struct Bench {
    machine: Authenticatee,
    now: Instant,
    protocol: u16,
}

impl Bench {
    fn new(protocol: AuthProtocol, user: (&[u8], &[u8]), peer_challenge: &[u8; 16]) -> Self {
        Self::allowing(protocol, Method::ALL.to_vec(), user, peer_challenge)
    }

    fn allowing(
        protocol: AuthProtocol,
        allowed: Vec<Method>,
        (username, password): (&[u8], &[u8]),
        peer_challenge: &[u8; 16],
    ) -> Self {
        let now = Instant::now();
        let number = match protocol {
            AuthProtocol::Pap => ppp::PAP,
            AuthProtocol::Eap => ppp::EAP,
            _ => ppp::CHAP,
        };
        let credentials =
            Credentials { username: username.to_vec(), password: Secret::new(password.to_vec()) };
        let machine = Authenticatee::new(protocol, allowed, credentials, *peer_challenge, now);
        Self { machine, now, protocol: number }
    }

    fn v2() -> Self {
        Self::new(AuthProtocol::MsChapV2, PROBE, V2_PEER_CHALLENGE)
    }

    fn eap() -> Self {
        Self::new(AuthProtocol::Eap, USER, RFC_PEER_CHALLENGE)
    }

    /// Hands a packet in and takes what is to be sent for it.
    fn send(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.machine.handle_packet(self.protocol, packet, self.now);
        self.sent()
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        let sent = self.machine.poll_transmit();
        assert!(self.machine.poll_transmit().is_none(), "one packet at a time");
        sent.map(|(protocol, packet)| {
            assert_eq!(protocol, self.protocol);
            packet
        })
    }

    fn wait(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.now += time;
        self.machine.handle_timeout(self.now);
        self.sent()
    }

    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.poll_event())
            .map(|event| match event {
                AuthEvent::Challenged => "challenged".into(),
                AuthEvent::Responded => "responded".into(),
                AuthEvent::Succeeded { method, keys, message } => format!(
                    "{} keys={} {}",
                    method.word(),
                    keys.is_some(),
                    String::from_utf8_lossy(&message)
                ),
                AuthEvent::Reauthenticated { .. } => "reauthenticated".into(),
                AuthEvent::Failed(failure) => {
                    assert!(failure.detail.is_ascii());
                    format!("{}: {}", failure.reason.word(), failure.detail)
                }
            })
            .collect()
    }
}

fn challenge(identifier: u8, value: &[u8]) -> Vec<u8> {
    let (value, name) = (value.to_vec(), b"pptpd".to_vec());
    chap::Packet::Challenge(Valued { identifier, value, name }).emit()
}

fn success(text: &[u8]) -> Vec<u8> {
    chap::Packet::Success(chap::Verdict { identifier: 0x3f, message: text.to_vec() }).emit()
}

fn failure(text: &[u8]) -> Vec<u8> {
    chap::Packet::Failure(chap::Verdict { identifier: 0x3f, message: text.to_vec() }).emit()
}

fn request(identifier: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    eap::Packet::Request(Typed { identifier, kind, data: data.to_vec() }).emit()
}

fn response(identifier: u8, kind: u8, data: &[u8]) -> Option<Vec<u8>> {
    Some(eap::Packet::Response(Typed { identifier, kind, data: data.to_vec() }).emit())
}

fn rfc_challenge(identifier: u8) -> Vec<u8> {
    let (challenge, name) = (*RFC_CHALLENGE, b"pptpd".to_vec());
    let data = MsChapV2::Challenge { mschap_v2_id: 0x42, challenge, name }.emit();
    request(identifier, 26, &data)
}

fn rfc_response(identifier: u8) -> Option<Vec<u8>> {
    let data = [b"\x02\x42\x00\x3a\x31", RFC_VALUE, b"User"].concat();
    response(identifier, 26, &data)
}

fn success_request(identifier: u8, text: &[u8]) -> Vec<u8> {
    let message = text.to_vec();
    request(identifier, 26, &MsChapV2::SuccessRequest { mschap_v2_id: 0x42, message }.emit())
}

const EAP_SUCCESS: &[u8] = &[3, 9, 0, 4];
const EAP_FAILURE: &[u8] = &[4, 9, 0, 4];

#[test]
fn lcp_options_read_back() {
    let options: [(&[u8], AuthProtocol); 6] = [
        (&[0xc0, 0x23], AuthProtocol::Pap),
        (&[0xc2, 0x23, 5], AuthProtocol::ChapMd5),
        (&[0xc2, 0x23, 0x80], AuthProtocol::MsChapV1),
        (&[0xc2, 0x23, 0x81], AuthProtocol::MsChapV2),
        (&[0xc2, 0x27], AuthProtocol::Eap),
        (&[0xc2, 0x23, 6], AuthProtocol::Other(vec![0xc2, 0x23, 6])),
    ];
    for (body, protocol) in options {
        assert_eq!(AuthProtocol::from_option(body), protocol);
        assert_eq!(protocol.to_option(), body);
    }
}

#[test]
fn method_that_is_not_allowed_fails_at_once_and_sends_nothing() {
    let allowed = vec![Method::MsChapV2, Method::EapMsChapV2];
    let mut bench = Bench::allowing(AuthProtocol::Pap, allowed, PROBE, &[0; 16]);
    assert_eq!(bench.sent(), None);
    assert_eq!(
        bench.events(),
        ["auth_offered_unacceptable: gateway asks for pap, allowed here is mschapv2 eap-mschapv2"]
    );
    let other = AuthProtocol::Other(vec![0xc2, 0x23, 6]);
    assert_eq!(
        Bench::allowing(other, vec![Method::Pap], PROBE, &[0; 16]).events(),
        ["auth_offered_unacceptable: gateway asks for protocol c22306, allowed here is pap"]
    );
}

#[test]
fn pap_dialogue_of_a_real_gateway() {
    let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
    assert_eq!(bench.sent().as_deref(), Some(PAP_REQUEST));
    assert_eq!(bench.machine.stage(), "waiting for the verdict on user name and password");
    assert_eq!(bench.send(PAP_ACK), None);
    assert_eq!(bench.events(), ["responded", "pap keys=false Login ok"]);
    assert_eq!(bench.machine.poll_timeout(), None);
}

#[test]
fn pap_rejection_ends_the_run() {
    let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
    bench.sent();
    assert_eq!(bench.send(PAP_NAK), None);
    assert_eq!(
        bench.events(),
        ["responded", "auth_rejected: gateway rejected user probe with pap: \"Login incorrect\""]
    );
    assert_eq!(bench.wait(Duration::from_secs(60)), None);
    assert_eq!(bench.send(PAP_ACK), None);
    assert!(bench.events().is_empty());
}

#[test]
fn pap_request_is_sent_four_times_three_seconds_apart() {
    let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
    assert_eq!(bench.sent().as_deref(), Some(PAP_REQUEST));
    for _ in 0..3 {
        assert_eq!(bench.wait(Duration::from_millis(2999)), None);
        assert_eq!(bench.machine.poll_timeout(), Some(bench.now + Duration::from_millis(1)));
        assert_eq!(bench.wait(Duration::from_millis(1)).as_deref(), Some(PAP_REQUEST));
    }
    assert_eq!(bench.machine.poll_timeout(), None);
    assert_eq!(bench.wait(Duration::from_secs(60)), None);
    bench.send(PAP_ACK);
    assert_eq!(bench.events(), ["responded", "pap keys=false Login ok"], "late is not lost");
}

#[test]
fn pap_request_that_was_delivered_is_never_sent_again() {
    let mut bench = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
    bench.machine.delivered();
    assert!(bench.machine.poll_timeout().is_some(), "it has not even left");
    bench.sent();
    bench.machine.delivered();
    assert_eq!(bench.machine.poll_timeout(), None);
    assert_eq!(bench.wait(Duration::from_secs(60)), None);
}

#[test]
fn proof_whose_verdict_was_missed_goes_out_again_but_not_for_ever() {
    let mut pap = Bench::new(AuthProtocol::Pap, PROBE, &[0; 16]);
    pap.sent();
    pap.machine.delivered();
    let mut chap = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
    chap.machine.verdict_missed();
    assert_eq!(chap.sent(), None, "nothing was asked yet");
    chap.send(MD5_CHALLENGE);
    for (bench, proof) in [(&mut pap, PAP_REQUEST), (&mut chap, MD5_RESPONSE)] {
        for _ in 0..REPEATS_MAX {
            bench.machine.verdict_missed();
            assert_eq!(bench.sent().as_deref(), Some(proof));
        }
        bench.machine.verdict_missed();
        assert_eq!(bench.sent(), None);
    }
    chap.send(MD5_SUCCESS);
    chap.machine.verdict_missed();
    assert_eq!(chap.sent(), None, "it is known");
}

#[test]
fn pap_password_that_does_not_fit_is_not_cut() {
    let mut bench = Bench::new(AuthProtocol::Pap, (b"probe", &[b'x'; 256]), &[0; 16]);
    assert_eq!(bench.sent(), None);
    assert!(bench.events()[0].starts_with("local: "));
}

#[test]
fn chap_md5_dialogue_of_a_real_gateway() {
    let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
    assert_eq!(bench.sent(), None);
    assert_eq!(bench.machine.stage(), "waiting for a challenge");
    assert_eq!(bench.send(MD5_CHALLENGE).as_deref(), Some(MD5_RESPONSE));
    assert_eq!(bench.machine.stage(), "waiting for the verdict on our response");
    bench.send(MD5_SUCCESS);
    assert_eq!(bench.events(), ["challenged", "responded", "chap keys=false Access granted"]);
}

#[test]
fn chap_md5_rejection_names_the_user_and_the_text() {
    let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
    bench.send(MD5_CHALLENGE);
    bench.events();
    bench.send(MD5_FAILURE);
    assert_eq!(
        bench.events(),
        ["auth_rejected: gateway rejected user probe with chap: \"Access denied\""]
    );
}

#[test]
fn chap_md5_repetition_under_another_identifier_is_computed_anew() {
    let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
    let first = bench.send(MD5_CHALLENGE);
    assert_eq!(bench.send(MD5_CHALLENGE), first);
    let mut other = MD5_CHALLENGE.to_vec();
    other[1] = 9;
    let second = bench.send(&other).expect("an answer");
    let expected = Md5::new()
        .chain_update([9])
        .chain_update(PROBE.1)
        .chain_update(&MD5_CHALLENGE[5..26])
        .finalize();
    assert_eq!(second[1], 9);
    assert_eq!(second[5..21], expected[..]);
    assert_eq!(bench.events(), ["challenged", "responded"], "still one attempt");
}

#[test]
fn mschap_v1_dialogue_of_a_real_gateway() {
    let mut bench = Bench::new(AuthProtocol::MsChapV1, PROBE, &[0; 16]);
    assert_eq!(bench.send(V1_CHALLENGE).as_deref(), Some(V1_RESPONSE));
    bench.send(V1_SUCCESS);
    assert_eq!(bench.events(), ["challenged", "responded", "mschapv1 keys=true Access granted"]);
}

#[test]
fn mschap_v1_rejection_without_a_message() {
    let mut bench = Bench::new(AuthProtocol::MsChapV1, PROBE, &[0; 16]);
    bench.send(V1_CHALLENGE);
    bench.events();
    bench.send(V1_FAILURE);
    assert_eq!(bench.events(), ["auth_rejected: gateway rejected user probe with mschapv1: E=691"]);
}

#[test]
fn mschap_v2_dialogue_of_a_real_gateway() {
    let mut bench = Bench::v2();
    assert_eq!(bench.send(V2_CHALLENGE).as_deref(), Some(V2_RESPONSE));
    bench.send(V2_SUCCESS);
    assert_eq!(bench.events(), ["challenged", "responded", "mschapv2 keys=true Access granted"]);
    assert_eq!(bench.machine.stage(), "authentication had succeeded");
}

#[test]
fn mschap_v2_keys_are_those_of_rfc_3079() {
    let mut bench = Bench::new(AuthProtocol::MsChapV2, USER, RFC_PEER_CHALLENGE);
    bench.send(&challenge(1, RFC_CHALLENGE));
    bench.send(&success(RFC_PROOF));
    let keys = std::iter::from_fn(|| bench.machine.poll_event()).find_map(|event| match event {
        AuthEvent::Succeeded { keys, .. } => keys,
        _ => None,
    });
    assert_eq!(
        keys.expect("keys").start_key(Direction::ServerToClient, KeyLength::Bits40),
        [0x8b, 0x7c, 0xdc, 0x14, 0x9b, 0x99, 0x3a, 0x1b]
    );
}

#[test]
fn mschap_v2_wrong_or_missing_proof_is_mutual_auth_failed() {
    let mut wrong = V2_SUCCESS.to_vec();
    wrong[6] = b'A';
    for (packet, detail) in [
        (wrong, "gateway accepted us but its proof (S=) is wrong"),
        (
            success(b"Access granted"),
            "gateway accepted us without proving that it knows the password",
        ),
        (success(b"S=BBB5 M=x"), "gateway accepted us without proving that it knows the password"),
    ] {
        let mut bench = Bench::v2();
        bench.send(V2_CHALLENGE);
        bench.events();
        assert_eq!(bench.send(&packet), None);
        assert_eq!(bench.events(), [format!("mutual_auth_failed: {detail}")]);
    }
}

#[test]
fn mschap_v2_success_without_a_challenge_proves_nothing() {
    let mut bench = Bench::v2();
    bench.send(V2_SUCCESS);
    assert!(bench.events()[0].starts_with("mutual_auth_failed: "));
    let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
    bench.send(MD5_SUCCESS);
    assert!(bench.events().is_empty());
    assert_eq!(bench.machine.ignored(), 1);
}

#[test]
fn failure_codes_become_reasons() {
    let codes = [
        ("E=646 R=0 V=3 M=Too late", "auth_hours"),
        ("E=647 R=0 V=3", "auth_disabled"),
        ("E=648 R=0 V=3", "auth_expired"),
        ("E=649 R=0 V=3", "auth_no_dialin"),
        ("E=691 R=1 V=3", "auth_rejected"),
        ("E=709 R=0 V=3", "auth_change_failed"),
        ("E=4711", "auth_rejected"),
        ("no", "auth_rejected"),
    ];
    for (text, reason) in codes {
        let mut bench = Bench::v2();
        bench.send(V2_CHALLENGE);
        bench.events();
        bench.send(&failure(text.as_bytes()));
        assert!(bench.events()[0].starts_with(&format!("{reason}: ")), "{text}");
    }
}

#[test]
fn rejection_of_an_unknown_user_has_no_text() {
    let mut bench = Bench::new(AuthProtocol::MsChapV2, (b"nobody", b"x"), &[1; 16]);
    bench.send(V2_CHALLENGE);
    bench.events();
    bench.send(b"\x04\x0e\x00\x04");
    assert_eq!(
        bench.events(),
        ["auth_rejected: gateway rejected user nobody with mschapv2 and gave no reason"]
    );
}

#[test]
fn retry_that_is_allowed_is_not_taken() {
    let mut bench = Bench::v2();
    bench.send(V2_CHALLENGE);
    assert_eq!(bench.send(V2_FAILURE), None);
    assert_eq!(
        bench.events()[2],
        "auth_rejected: gateway rejected user probe with mschapv2: E=691 \"Access denied\""
    );
    assert_eq!(bench.send(V2_CHALLENGE), None);
    assert_eq!(bench.send(&challenge(9, RFC_CHALLENGE)), None);
    assert_eq!(bench.send(V2_SUCCESS), None);
    assert!(bench.events().is_empty());
    assert_eq!(bench.machine.ignored(), 3);
}

#[test]
fn response_that_has_not_left_is_withdrawn_by_a_rejection() {
    let mut bench = Bench::v2();
    bench.machine.handle_packet(ppp::CHAP, V2_CHALLENGE, bench.now);
    bench.machine.handle_packet(ppp::CHAP, V2_FAILURE, bench.now);
    assert_eq!(bench.sent(), None);
}

#[test]
fn same_challenge_gets_the_same_response_a_bounded_number_of_times() {
    let mut bench = Bench::v2();
    let first = bench.send(V2_CHALLENGE);
    for _ in 0..REPEATS_MAX {
        assert_eq!(bench.send(V2_CHALLENGE), first);
    }
    assert_eq!(bench.send(V2_CHALLENGE), None);
    assert_eq!(bench.machine.ignored(), 1);
    assert_eq!(bench.events(), ["challenged", "responded"]);
    bench.send(V2_SUCCESS);
    assert_eq!(bench.events().len(), 1);
}

#[test]
fn second_challenge_before_the_verdict_is_ignored() {
    let mut bench = Bench::v2();
    bench.send(V2_CHALLENGE);
    assert_eq!(bench.send(&challenge(0x40, RFC_CHALLENGE)), None);
    assert_eq!(bench.machine.ignored(), 1);
    bench.send(V2_SUCCESS);
    assert_eq!(bench.events()[2], "mschapv2 keys=true Access granted", "the first one counts");
}

/// pppd whose LCP was opened anew forgets the challenge that we answered, and
/// throws the response away.
#[test]
fn challenge_of_an_lcp_opened_anew_replaces_the_first_once() {
    let mut bench = Bench::new(AuthProtocol::MsChapV1, PROBE, &[0; 16]);
    bench.machine.link_up_again(bench.now);
    assert_eq!(bench.sent(), None, "nothing was asked yet");
    let (first, third) = (challenge(0x18, b"8 octets"), challenge(0x20, b"8 others"));
    assert!(bench.send(&first).is_some());
    assert_eq!(bench.send(V1_CHALLENGE), None, "LCP stayed open");
    bench.machine.link_up_again(bench.now);
    assert_eq!(bench.sent(), None, "it may be void");
    let again = bench.send(&first);
    assert!(again.is_some(), "a gateway that goes on where it was");
    assert_eq!(bench.send(&challenge(0x19, b"7 octet")), None, "one that nobody can answer");
    assert_eq!(bench.send(V1_CHALLENGE).as_deref(), Some(V1_RESPONSE));
    assert_eq!(bench.send(V1_CHALLENGE).as_deref(), Some(V1_RESPONSE), "a repetition");
    assert_eq!(bench.send(&first), None, "the first one is over");
    bench.machine.link_up_again(bench.now);
    assert_eq!(bench.send(&third), None, "an account has only so many attempts");
    bench.send(V1_SUCCESS);
    assert_eq!(bench.events().last().unwrap(), "mschapv1 keys=true Access granted");
}

#[test]
fn verdict_on_the_first_response_counts_although_lcp_was_opened_anew() {
    let mut bench = Bench::v2();
    bench.send(V2_CHALLENGE);
    bench.machine.link_up_again(bench.now);
    bench.send(V2_SUCCESS);
    assert_eq!(bench.events()[2], "mschapv2 keys=true Access granted");

    let mut bench = Bench::v2();
    bench.send(V2_CHALLENGE);
    bench.machine.link_up_again(bench.now);
    bench.send(V2_FAILURE);
    assert_eq!(bench.send(&challenge(0x40, RFC_CHALLENGE)), None, "nothing after a rejection");
}

#[test]
fn eap_begins_anew_when_lcp_was_opened_anew() {
    let mut bench = Bench::eap();
    bench.send(&request(1, 1, b""));
    let (earlier, name) = ([7; 16], Vec::new());
    let data = MsChapV2::Challenge { mschap_v2_id: 0x43, challenge: earlier, name }.emit();
    let first = bench.send(&request(2, 26, &data)).expect("response");
    bench.machine.link_up_again(bench.now);
    assert_eq!(bench.send(&request(3, 1, b"")), response(3, 1, b"User"));
    let second = bench.send(&rfc_challenge(4)).expect("response");
    assert_ne!(first[10..26], second[10..26], "another peer challenge");
    bench.machine.link_up_again(bench.now);
    assert_eq!(bench.send(&request(5, 1, b"")), None);
    assert_eq!(bench.send(&request(6, 26, &data)), None);
}

#[test]
fn challenge_after_success_is_answered_with_another_peer_challenge() {
    let mut bench = Bench::v2();
    let first = bench.send(V2_CHALLENGE).expect("response");
    bench.send(V2_SUCCESS);
    bench.events();
    let second = bench.send(&challenge(0x41, RFC_CHALLENGE)).expect("response");
    assert_ne!(first[5..21], second[5..21]);
    let value = MsChapV2Response::parse(&second[5..54]).expect("49 octets");
    let proof = mschap::generate_authenticator_response(
        PROBE.1,
        &value.nt_response,
        &value.peer_challenge,
        RFC_CHALLENGE,
        PROBE.0,
    );
    let text = SuccessText { authenticator_response: Some(proof), message: Vec::new() };
    bench.send(&success(&text.emit()));
    assert_eq!(bench.events(), ["challenged", "responded", "reauthenticated"]);

    bench.send(&challenge(0x42, RFC_CHALLENGE));
    bench.events();
    bench.send(&failure(b"E=647 R=0 V=3"));
    assert_eq!(
        bench.events(),
        [
            "auth_disabled: gateway rejected user probe with mschapv2, which it had accepted before: E=647"
        ]
    );
}

#[test]
fn malformed_packets_are_passed_over_up_to_a_bound() {
    let mut bench = Bench::v2();
    for _ in 0..MALFORMED_MAX {
        bench.send(&V2_CHALLENGE[..9]);
    }
    assert!(bench.events().is_empty());
    bench.send(&challenge(1, b"too short"));
    assert_eq!(
        bench.events(),
        [
            "malformed: gateway sent 9 malformed mschapv2 packets, the last one: length 9 is impossible for authentication challenge"
        ]
    );
}

#[test]
fn empty_md5_challenge_is_malformed() {
    let mut bench = Bench::new(AuthProtocol::ChapMd5, PROBE, &[0; 16]);
    assert_eq!(bench.send(&challenge(1, b"")), None);
    assert_eq!(bench.machine.malformed(), 1);
}

#[test]
fn text_of_the_gateway_is_escaped_and_short() {
    let mut bench = Bench::v2();
    bench.send(V2_CHALLENGE);
    bench.events();
    bench.send(&failure(&[b"E=691 M=no|\"\x1b\xff".as_slice(), &[b'x'; 300]].concat()));
    let event = &bench.events()[0];
    assert!(event.contains("\"no\\x7c\\x22\\x1b\\xffxxx"), "{event}");
    assert!(event.ends_with("xxx...\"") && event.len() < 220, "{event}");
}

#[test]
fn other_protocols_are_ignored() {
    let mut bench = Bench::v2();
    bench.machine.handle_packet(ppp::PAP, PAP_ACK, bench.now);
    bench.machine.handle_packet(ppp::EAP, EAP_SUCCESS, bench.now);
    assert_eq!(bench.machine.ignored(), 2);
    assert!(bench.events().is_empty());
}

#[test]
fn eap_mschap_v2_dialogue() {
    let mut bench = Bench::eap();
    assert_eq!(bench.machine.stage(), "waiting for an EAP challenge");
    assert_eq!(bench.send(&request(7, 1, b"who?")), response(7, 1, b"User"));
    assert_eq!(bench.send(&request(8, 2, b"hello")), response(8, 2, b""));
    assert_eq!(bench.send(&rfc_challenge(9)), rfc_response(9));
    assert_eq!(bench.send(&success_request(10, RFC_PROOF)), response(10, 26, &[3]));
    assert_eq!(bench.machine.stage(), "waiting for EAP success");
    bench.send(EAP_SUCCESS);
    assert_eq!(bench.events(), ["challenged", "responded", "eap-mschapv2 keys=true "]);
}

#[test]
fn eap_md5_dialogue() {
    let mut bench = Bench::new(AuthProtocol::Eap, PROBE, &[0; 16]);
    // The value of the CHAP capture: the arithmetic is the same.
    let data = [&MD5_CHALLENGE[4..26], b"pptpd"].concat();
    let value = [&MD5_RESPONSE[4..21], b"probe"].concat();
    assert_eq!(bench.send(&request(8, 4, &data)), response(8, 4, &value));
    bench.send(EAP_SUCCESS);
    assert_eq!(bench.events(), ["challenged", "responded", "eap-md5 keys=false "]);
}

#[test]
fn eap_retransmission_gets_the_same_response() {
    let mut bench = Bench::eap();
    let first = bench.send(&rfc_challenge(9));
    assert_eq!(bench.send(&rfc_challenge(9)), first);
    assert_eq!(bench.send(&rfc_challenge(10)), rfc_response(10), "same challenge, new id");
    assert_eq!(bench.events(), ["challenged", "responded"]);
    for _ in 0..2 * REPEATS_MAX {
        bench.send(&rfc_challenge(10));
    }
    assert!(bench.machine.ignored() > 0);
}

#[test]
fn eap_second_challenge_before_the_verdict_is_ignored() {
    let mut bench = Bench::eap();
    bench.send(&rfc_challenge(9));
    let (challenge, name) = ([7; 16], Vec::new());
    let data = MsChapV2::Challenge { mschap_v2_id: 0x43, challenge, name }.emit();
    assert_eq!(bench.send(&request(10, 26, &data)), None);
    assert_eq!(bench.send(&request(11, 4, b"\x04abcd")), None, "nor another method");
    assert_eq!(bench.send(&request(12, 1, b"")), None, "nor a new start");
    assert_eq!(bench.machine.ignored(), 3);
}

#[test]
fn eap_wrong_proof_is_mutual_auth_failed() {
    for text in [&b"S=407A5589115FD0D6209F510FE9C04566932CDA57"[..], b"M=welcome"] {
        let mut bench = Bench::eap();
        bench.send(&rfc_challenge(9));
        bench.events();
        assert_eq!(bench.send(&success_request(10, text)), None);
        assert!(bench.events()[0].starts_with("mutual_auth_failed: "));
    }
}

#[test]
fn eap_success_too_early() {
    let mut bench = Bench::eap();
    bench.send(&rfc_challenge(9));
    bench.events();
    bench.send(EAP_SUCCESS);
    assert!(bench.events()[0].starts_with("mutual_auth_failed: "), "no proof yet");

    let allowed = vec![Method::EapMsChapV2];
    let mut bench = Bench::allowing(AuthProtocol::Eap, allowed, USER, &[0; 16]);
    bench.send(EAP_SUCCESS);
    assert!(bench.events()[0].starts_with("mutual_auth_failed: "));

    let mut bench = Bench::eap();
    bench.send(EAP_SUCCESS);
    assert_eq!(bench.events(), ["malformed: gateway sent EAP success before any method had run"]);

    let mut bench = Bench::eap();
    bench.send(&success_request(9, RFC_PROOF));
    assert!(bench.events()[0].starts_with("mutual_auth_failed: "), "a proof of nothing");
}

#[test]
fn eap_failure_request_ends_the_run_unanswered() {
    let mut bench = Bench::eap();
    bench.send(&rfc_challenge(9));
    bench.events();
    let message = b"E=648 R=0 C=00 V=3 M=old".to_vec();
    let data = MsChapV2::FailureRequest { mschap_v2_id: 0x42, message }.emit();
    assert_eq!(bench.send(&request(10, 26, &data)), None);
    assert!(bench.events()[0].starts_with("auth_expired: "));
}

#[test]
fn eap_failure_is_a_rejection() {
    let mut bench = Bench::eap();
    bench.send(&request(7, 1, b""));
    bench.send(EAP_FAILURE);
    assert_eq!(
        bench.events(),
        ["auth_rejected: gateway rejected user User with eap before any challenge"]
    );
    let mut bench = Bench::eap();
    bench.send(&request(8, 4, b"\x04abcd"));
    bench.events();
    bench.send(EAP_FAILURE);
    assert_eq!(
        bench.events(),
        ["auth_rejected: gateway rejected user User with eap-md5 and gave no reason"]
    );
}

#[test]
fn eap_types_that_are_not_wanted_get_a_nak() {
    let mut bench = Bench::eap();
    assert_eq!(bench.send(&request(8, 13, b"\x20")), response(8, 3, &[26, 4]));
    assert_eq!(bench.send(&rfc_challenge(9)), rfc_response(9), "then it gives in");

    let allowed = vec![Method::EapMsChapV2];
    let mut bench = Bench::allowing(AuthProtocol::Eap, allowed, USER, &[0; 16]);
    assert_eq!(bench.send(&request(8, 4, b"\x04abcd")), response(8, 3, &[26]));
    bench.send(EAP_FAILURE);
    assert_eq!(
        bench.events(),
        ["auth_offered_unacceptable: gateway offers no EAP method out of eap-mschapv2"]
    );
}

#[test]
fn eap_gateway_that_insists_is_unacceptable() {
    let mut bench = Bench::eap();
    for identifier in 0..3 {
        assert!(bench.send(&request(identifier, 13, b"")).is_some());
    }
    assert_eq!(bench.send(&request(9, 13, b"")), None);
    assert!(bench.events()[0].starts_with("auth_offered_unacceptable: "));
}

#[test]
fn eap_identity_is_not_asked_for_ever() {
    let mut bench = Bench::eap();
    let answered =
        (0..=255).filter(|&identifier| bench.send(&request(identifier, 1, b"")).is_some());
    assert_eq!(answered.count() as u32, REPEATS_MAX);
}

#[test]
fn eap_reauthentication() {
    let mut bench = Bench::new(AuthProtocol::Eap, PROBE, &[0; 16]);
    for event in ["eap-md5 keys=false ", "reauthenticated"] {
        assert!(bench.send(&request(7, 1, b"")).is_some());
        assert!(bench.send(&request(8, 4, b"\x04abcd")).is_some());
        bench.send(EAP_SUCCESS);
        assert_eq!(bench.events(), ["challenged", "responded", event]);
    }
}

fn protocols() -> impl Strategy<Value = AuthProtocol> {
    prop_oneof![
        Just(AuthProtocol::Pap),
        Just(AuthProtocol::ChapMd5),
        Just(AuthProtocol::MsChapV1),
        Just(AuthProtocol::MsChapV2),
        Just(AuthProtocol::Eap),
    ]
}

fn packets() -> impl Strategy<Value = Vec<u8>> {
    let literal = prop_oneof![
        Just(V2_CHALLENGE.to_vec()),
        Just(V1_CHALLENGE.to_vec()),
        Just(MD5_CHALLENGE.to_vec()),
        Just(V2_FAILURE.to_vec()),
        Just(PAP_NAK.to_vec()),
        Just(EAP_FAILURE.to_vec()),
        any::<u8>().prop_map(rfc_challenge),
        any::<u8>().prop_map(|identifier| request(identifier, 1, b"")),
        (any::<u8>(), vec(any::<u8>(), 1..20)).prop_map(|(id, value)| challenge(id, &value)),
        (any::<u8>(), any::<[u8; 16]>()).prop_map(|(id, value)| challenge(id, &value)),
        (any::<u8>(), any::<[u8; 16]>())
            .prop_map(|(id, value)| { request(id, 4, &[&[16], value.as_slice()].concat()) }),
    ];
    prop_oneof![literal, vec(any::<u8>(), 0..60)]
}

proptest! {
    #[test]
    fn one_attempt_whatever_comes(
        protocol in protocols(),
        packets in vec(packets(), 0..60),
    ) {
        let mut bench = Bench::new(protocol, PROBE, V2_PEER_CHALLENGE);
        bench.sent();
        let mut responded = 0;
        let mut failed = false;
        for packet in packets {
            let sent = bench.send(&packet);
            prop_assert!(!(failed && sent.is_some()), "sent after a failure");
            let events = bench.events();
            responded += events.iter().filter(|event| *event == "responded").count();
            failed |= matches!(bench.machine.state, State::Failed);
            if matches!(bench.machine.state, State::Accepted) {
                prop_assert!(bench.machine.protocol != AuthProtocol::MsChapV2);
                break;
            }
        }
        prop_assert!(responded <= 1);
    }
}
