//! Requests are from RFCs or were recorded: pppd 2.4.9 with its RADIUS plugin,
//! and radclient, at FreeRADIUS 3.2.1.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;
use crate::lab::config::Settings;
use crate::lab::faults::Faults;

/// RFC 2865, sections 7.1 and 7.2; RFC 5997, section 6.1.
const RFC_SECRET: &str = "xyzzy5461";
const TELNET_REQUEST: &str = "
    01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb
    98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d
    93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8
    01 10 05 06 00 00 00 03";
const CHAP_REQUEST: &str = "
    01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e
    0d 33 67 a2 01 08 66 6c 6f 70 73 79 03 13 16 e9
    75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75 04
    06 c0 a8 01 10 05 06 00 00 00 14 06 06 00 00 00
    02 07 06 00 00 00 01";
const STATUS_REQUEST: &str = "
    0cda0026 8a54f4686fb394c52866e302185d0623
    5012 5a665e2e1e8411f3e243822097c84fa3";

/// User `probe`, password `Pr0be-secret`, secret `testing123`, all recorded.
const V2_REQUEST: &str = "
    01ef0090 acce c939 f2dd 78e6 0631 42ac 27cd fe9c
    0606 0000 0002 0706 0000 0001 0107 7072 6f62 65
    1a18 00000137 0b12 340c f17a c291 7d12 cafb f10f 3f0a 9035
    1a3a 00000137 1934 9c00 9176 94f6 d922 4fae 2854 5ead 8620 fc85
    0000000000000000 c8f7 1d0f 854d 2d44 abab d386 c0a7 996d 0322 9ecd 5010 387e
    1f0b 3130 2e37 372e 302e 33 0406 0a4d 0002 0506 0000 0000";
/// The keys of the recorded answer, hidden.
const V2_RECV_KEY: &str = "
    80b7 e105 2c60 ed22 5014 dc7b 99cf 91f6 bc65 491a 7f2f ede6 d47f b6cc 8cc7 ff41 939e";
const V2_SEND_KEY: &str = "
    8a83 32da ff3c 3941 cc94 774e ecfe 4fe6 63a6 4c4b d5fd 0866 7635 16d7 e1f6 a29b fb51";
/// Its proof, behind the ident.
const V2_SUCCESS: &[u8] = b"\x9cS=CDC113112A0AA73B51A05417C1E1976DE12009A9";
const V1_REQUEST: &str = "
    01220077 88e6d16183e771b4c088b009c67d0207 010770726f6265
    5012 c09e4a5036926cf7ef12fa764991b735 1a10 00000137 0b0a c3ca97cac6d443bd
    1a3a 00000137 0134 0001 000000000000000000000000000000000000000000000000
    4854168248c5fc7939bc5b3719a465dc830a5fdde637e839";
/// The keys of the recorded answer, hidden; the LM-Key is zeros.
const V1_KEYS: &str = "48b5e85d1ef6502b75f8e6989cc8626a51a848d41e3816b5c8a124f42126c6bf";
const CHAP_MD5_REQUEST: &str = "
    01310040 4877069f8c6916eac848d2099eac4ded 010770726f6265
    0313 0adf71cafd58ebced5a1f45a91e5f38f93 5012 540e8dc750c822ab4482691ce2cc17e5";
const ACCOUNTING_REQUEST: &str = "
    04f0 0073 f6f8 0949 c599 cb54 dcff 0367 988b 9763
    2c10 256c 5836 6230 3130 3362 3125 6858 0107 7072 6f62 65 1907 636c 6173 73
    2806 0000 0001 0606 0000 0002 0706 0000 0001 1f0b 3130 2e37 372e 302e 33
    2d06 0000 0001 3d06 0000 0000 0806 c0a8 4d32 0406 0a4d 0002 0506 0000 0000
    2906 0000 0000";
const ACCOUNTING_RESPONSE: &str = "05f0 0014 7581 7856 23d3 47d6 a6bc d5e5 924d d5d4";

const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40000);

use Port::{Accounting, Authentication};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// A server with these settings; what it draws at random is counted up.
fn server_of(settings: &str, faults: &[&str]) -> Server {
    let config = Config::new(&Settings::from_toml(settings).unwrap()).unwrap();
    let faults: Faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let count = Cell::new(0);
    let entropy = move || {
        count.set(count.get() + 1);
        [count.get(); 16]
    };
    Server::new(Rc::new(config), Rc::new(RefCell::new(faults)), Box::new(entropy))
}

/// One for the requests that were recorded.
fn server(faults: &[&str]) -> Server {
    server_of("", faults)
}

/// One for those of the RFCs.
fn rfc_server(password: &str) -> Server {
    server_of(
        &format!("radius-secret = '{RFC_SECRET}'\nuser = ['nemo:{password}', 'flopsy:{password}']"),
        &[],
    )
}

fn secret(octets: &str) -> SharedSecret {
    SharedSecret::new(Secret::new(octets.as_bytes().to_vec()))
}

fn gateway_secret() -> SharedSecret {
    secret("testing123")
}

/// The only reply to a request, as octets.
fn reply(server: &mut Server, port: Port, request: &[u8]) -> Vec<u8> {
    let answer = server.handle(port, CLIENT, request);
    let [reply] = &answer.replies[..] else { panic!("{answer:?}") };
    assert_eq!((reply.after, reply.times, reply.from_another_port), (Duration::ZERO, 1, false));
    reply.octets.clone()
}

/// Whether both signatures of a reply are right: the Response Authenticator,
/// and the Message-Authenticator where there is one.
fn signatures(reply: &[u8], request: &[u8], secret: &SharedSecret) -> (bool, Option<bool>) {
    let request = Packet::parse(request).unwrap().authenticator;
    let at = Packet::parse(reply).unwrap().message_authenticator().unwrap();
    let signed = at.map(|at| secret.is_signed(reply, &request, at));
    (secret.is_response(reply, &request), signed)
}

/// A request of our own, signed as a client would.
fn request(code: Code, identifier: u8, attributes: &[(AttributeId, &[u8])]) -> Vec<u8> {
    let mut draft = Draft::new(code, identifier, &[7; 16]);
    let at = draft.message_authenticator();
    for (id, value) in attributes {
        draft.attribute(*id, value);
    }
    let mut octets = draft.finish().unwrap();
    let accounting = code == Code::AccountingRequest;
    let authenticator = if accounting { [0; 16] } else { [7; 16] };
    let digest = gateway_secret().message_authenticator(&octets, &authenticator, at);
    octets[at..at + 16].copy_from_slice(&digest);
    if accounting {
        let digest = gateway_secret().accounting_authenticator(&octets);
        octets[4..20].copy_from_slice(&digest);
    }
    octets
}

/// The statistics of these kinds, in their order.
fn statistics(server: &mut Server, port: Port, kinds: u32) -> Vec<(u8, u32)> {
    let asked = request(Code::StatusServer, 99, &[(STATISTICS_TYPE, &kinds.to_be_bytes())]);
    // Nobody asks twice in the life of a server here.
    let told = reply(server, port, &asked);
    let list = Packet::parse(&told).unwrap().attributes().skip(1).map(|attribute| {
        assert_eq!(attribute.id.vendor, 11344);
        (attribute.id.number, u32::from_be_bytes(attribute.value.try_into().unwrap()))
    });
    list.collect()
}

#[test]
fn rfc_2865_section_7_1_pap_is_accepted_and_a_wrong_password_rejected() {
    let accept = "
        0200004d 33ba474cbb40befa4ad42524ccbf8f2f 5012 86fbc29aa0a3a4c336e63acbae108b49
        0606 00000002 0706 00000001 0806 c0a84d0a 1905 6c6162
        1210 416363657373206772616e746564";
    let denied = "
        03000035 b92536f47ef3df1663967ae334864407 5012 ea8b43147a3d0ae152d14e2a43cb4d16
        120f 4163636573732064656e696564";
    let octets = reply(&mut rfc_server("arctangent"), Authentication, &hex(TELNET_REQUEST));
    assert_eq!(octets, hex(accept));
    let octets = reply(&mut rfc_server("secant"), Authentication, &hex(TELNET_REQUEST));
    assert_eq!(octets, hex(denied));
}

#[test]
fn rfc_2865_section_7_2_chap_is_accepted_and_a_wrong_password_rejected() {
    for (password, code) in [("arctangent", Code::AccessAccept), ("secant", Code::AccessReject)] {
        let octets = reply(&mut rfc_server(password), Authentication, &hex(CHAP_REQUEST));
        assert_eq!(Packet::parse(&octets).unwrap().code, code);
        let right = signatures(&octets, &hex(CHAP_REQUEST), &secret(RFC_SECRET));
        assert_eq!(right, (true, Some(true)));
    }
}

#[test]
fn rfc_5997_section_6_1_status_is_answered() {
    let octets = reply(&mut rfc_server("x"), Authentication, &hex(STATUS_REQUEST));
    let accept = "
        02da0026 7e6d7a5f5dfa87b519bef260a6f15081 5012 57566a4a4a4c690f8e18b73ae7a7f65f";
    assert_eq!(octets, hex(accept));
}

#[test]
fn recorded_accounting_gets_the_recorded_response() {
    let octets = reply(&mut server(&[]), Accounting, &hex(ACCOUNTING_REQUEST));
    assert_eq!(octets, hex(ACCOUNTING_RESPONSE));
}

#[test]
fn recorded_mschap_v2_gets_the_recorded_proof_and_keys() {
    let asked = hex(V2_REQUEST);
    let octets = reply(&mut server(&[]), Authentication, &asked);
    assert_eq!(signatures(&octets, &asked, &gateway_secret()), (true, Some(true)));
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!((packet.code, packet.identifier), (Code::AccessAccept, 0xef));
    assert_eq!(packet.attributes().next().unwrap().id, id::MESSAGE_AUTHENTICATOR);
    assert_eq!(packet.find(id::MS_CHAP2_SUCCESS), Some(V2_SUCCESS));
    let authenticator = Packet::parse(&asked).unwrap().authenticator;
    let mut salts = Vec::new();
    for (name, recorded) in
        [(id::MS_MPPE_SEND_KEY, V2_SEND_KEY), (id::MS_MPPE_RECV_KEY, V2_RECV_KEY)]
    {
        let hidden = packet.find(name).unwrap();
        let reveal = |hidden: &[u8]| gateway_secret().reveal_key(hidden, &authenticator).unwrap();
        assert_eq!(reveal(hidden), reveal(&hex(recorded)), "{name}");
        // RFC 2548, section 2.4.2: the top bit is set, and none comes twice.
        assert_eq!(hidden[0] & 0x80, 0x80);
        salts.push([hidden[0], hidden[1]]);
    }
    assert_ne!(salts[0], salts[1]);
    assert_eq!(packet.find(MS_MPPE_ENCRYPTION_POLICY), Some(&[0, 0, 0, 1][..]));
    assert_eq!(packet.find(MS_MPPE_ENCRYPTION_TYPES), Some(&[0, 0, 0, 6][..]));
}

#[test]
fn recorded_mschap_v1_gets_the_recorded_keys() {
    let asked = hex(V1_REQUEST);
    let octets = reply(&mut server(&[]), Authentication, &asked);
    assert_eq!(signatures(&octets, &asked, &gateway_secret()), (true, Some(true)));
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.code, Code::AccessAccept);
    let authenticator = Packet::parse(&asked).unwrap().authenticator;
    let reveal = |hidden: &[u8]| gateway_secret().reveal_password(hidden, &authenticator).unwrap();
    let keys = reveal(packet.find(id::MS_CHAP_MPPE_KEYS).unwrap());
    assert_eq!(keys[..8], mschap::lm_password_hash(b"Pr0be-secret")[..8]);
    assert_eq!(keys[8..], reveal(&hex(V1_KEYS))[8..]);
    assert!(packet.find(id::MS_MPPE_SEND_KEY).is_none());
}

#[test]
fn recorded_chap_is_accepted_without_keys() {
    let octets = reply(&mut server(&[]), Authentication, &hex(CHAP_MD5_REQUEST));
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.code, Code::AccessAccept);
    assert_eq!(packet.find(id::FRAMED_IP_ADDRESS), Some(&[192, 168, 77, 10][..]));
    assert!(packet.attributes().all(|attribute| attribute.id.vendor == 0));
}

#[test]
fn wrong_passwords_and_unknown_users_are_rejected_in_the_words_of_the_method() {
    for settings in ["user = ['probe:wrong']", "user = ['other:Pr0be-secret']"] {
        for (asked, error) in [
            (
                V2_REQUEST,
                Some(&b"\x9cE=691 R=1 C=01010101010101010101010101010101 V=3 M=Access denied"[..]),
            ),
            (V1_REQUEST, Some(&b"\0E=691 R=1 C=0101010101010101 V=2"[..])),
            (CHAP_MD5_REQUEST, None),
        ] {
            let octets = reply(&mut server_of(settings, &[]), Authentication, &hex(asked));
            let packet = Packet::parse(&octets).unwrap();
            assert_eq!(packet.code, Code::AccessReject, "{settings}");
            assert_eq!(packet.find(id::MS_CHAP_ERROR), error);
            assert_eq!(packet.find(id::REPLY_MESSAGE), Some(&b"Access denied"[..]));
        }
    }
}

#[test]
fn credentials_that_make_no_sense_are_rejected() {
    let name = (id::USER_NAME, &b"probe"[..]);
    let challenge = (id::MS_CHAP_CHALLENGE, &[1; 16][..]);
    for attributes in [
        &[name][..],
        &[(id::USER_PASSWORD, &[1; 16])],
        &[name, (id::USER_PASSWORD, &[1; 15])],
        &[name, (id::USER_PASSWORD, &[])],
        &[name, (id::CHAP_PASSWORD, &[])],
        &[name, (id::CHAP_PASSWORD, &[1; 16])],
        &[name, (id::MS_CHAP2_RESPONSE, &[0; 50])],
        &[name, challenge, (id::MS_CHAP2_RESPONSE, &[0; 49])],
        &[name, challenge, (id::MS_CHAP2_RESPONSE, &[])],
        &[name, challenge, (id::MS_CHAP_RESPONSE, &[0; 50])],
    ] {
        let asked = request(Code::AccessRequest, 1, attributes);
        let octets = reply(&mut server(&[]), Authentication, &asked);
        assert_eq!(octets[0], 3, "{attributes:?}");
    }
}

#[test]
fn packets_with_wrong_signatures_are_ignored() {
    // Under another type the Message-Authenticator would be none.
    for (port, asked, its_type) in [
        (Authentication, V1_REQUEST, 27),
        (Authentication, CHAP_MD5_REQUEST, 46),
        (Accounting, ACCOUNTING_REQUEST, 0),
    ] {
        let asked = hex(asked);
        for at in (1..2).chain(4..asked.len()).filter(|at| *at != its_type) {
            let mut forged = asked.clone();
            forged[at] ^= 1;
            let answer = server(&[]).handle(port, CLIENT, &forged);
            assert_eq!((answer.replies.len(), answer.is_sound), (0, false), "octet {at}");
        }
    }
    let mut server = server_of("radius-secret = 'other'", &[]);
    assert!(server.handle(Authentication, CLIENT, &hex(V1_REQUEST)).replies.is_empty());
    assert!(server.handle(Accounting, CLIENT, &hex(ACCOUNTING_REQUEST)).replies.is_empty());
}

#[test]
fn accounting_with_a_message_authenticator_is_answered() {
    let asked = request(Code::AccountingRequest, 4, &[(id::ACCT_SESSION_ID, b"1")]);
    let octets = reply(&mut server(&[]), Accounting, &asked);
    assert_eq!(signatures(&octets, &asked, &gateway_secret()), (true, None));
    // The one in the packet is computed with zeros for the authenticator.
    let mut wrong = asked.clone();
    wrong[22] ^= 1;
    let digest = gateway_secret().accounting_authenticator(&wrong);
    wrong[4..20].copy_from_slice(&digest);
    assert!(server(&[]).handle(Accounting, CLIENT, &wrong).replies.is_empty());
}

#[test]
fn status_needs_a_message_authenticator_and_is_answered_on_both_ports() {
    let bare = Draft::new(Code::StatusServer, 1, &[7; 16]).finish().unwrap();
    assert!(server(&[]).handle(Authentication, CLIENT, &bare).replies.is_empty());
    let asked = request(Code::StatusServer, 1, &[]);
    for (port, code, signed) in [
        (Authentication, Code::AccessAccept, Some(true)),
        (Accounting, Code::AccountingResponse, None),
    ] {
        let octets = reply(&mut server(&[]), port, &asked);
        assert_eq!(Packet::parse(&octets).unwrap().code, code);
        assert_eq!(signatures(&octets, &asked, &gateway_secret()), (true, signed));
    }
}

#[test]
fn codes_of_the_other_port_and_unknown_ones_are_ignored() {
    for (port, asked) in [
        (Accounting, hex(V2_REQUEST)),
        (Authentication, hex(ACCOUNTING_REQUEST)),
        (Authentication, request(Code::AccessAccept, 1, &[])),
        (Authentication, request(Code::Other(200), 1, &[])),
    ] {
        let answer = server(&[]).handle(port, CLIENT, &asked);
        assert_eq!((answer.replies.len(), answer.is_sound), (0, true), "{answer:?}");
    }
}

#[test]
fn statistics_count_what_came_and_what_went() {
    let mut server = server(&[]);
    for (asked, port) in [
        (hex(V2_REQUEST), Authentication),
        (hex(V2_REQUEST), Authentication),
        (request(Code::AccessRequest, 1, &[]), Authentication),
        (hex(ACCOUNTING_REQUEST), Authentication),
        (vec![1, 2, 3], Authentication),
        (hex(ACCOUNTING_REQUEST), Accounting),
        (hex(V2_REQUEST), Accounting),
    ] {
        server.handle(port, CLIENT, &asked);
    }
    let mut forged = hex(V1_REQUEST);
    forged[30] ^= 1;
    server.handle(Authentication, CLIENT, &forged);
    server.faults.borrow_mut().set(Fault::RadiusSilent);
    server.handle(Authentication, CLIENT, &hex(V1_REQUEST));
    server.faults.borrow_mut().set(Fault::RadiusChallenge);
    server.faults.borrow_mut().clear("radius-silent");
    server.handle(Authentication, CLIENT, &hex(CHAP_MD5_REQUEST));

    // Requests, accepts, rejects, challenges, responses, duplicates, malformed,
    // invalid, dropped, unknown types.
    let logins: Vec<(u8, u32)> = (128..=137).zip([6, 1, 1, 1, 3, 1, 1, 1, 1, 1]).collect();
    let accounting: Vec<(u8, u32)> = (148..=154).zip([1, 1, 0, 0, 0, 0, 1]).collect();
    let queues: Vec<(u8, u32)> = (162..=166).zip([0; 5]).collect();
    let all = [logins, accounting, queues].concat();
    assert_eq!(statistics(&mut server, Authentication, 0x1f), all);
}

#[test]
fn statistics_are_told_as_far_as_they_are_asked_for() {
    for (kinds, first, count) in [(1, 128, 10), (2, 148, 7), (16, 162, 5)] {
        let told = statistics(&mut server(&[]), Authentication, kinds);
        assert_eq!((told[0].0, told.len()), (first, count));
    }
    assert!(statistics(&mut server(&[]), Authentication, 0xec).is_empty());
}

#[test]
fn repetition_gets_the_same_octets_and_a_new_request_others() {
    let mut server = server(&[]);
    let first = server.handle(Authentication, CLIENT, &hex(V2_REQUEST));
    server.faults.borrow_mut().set(Fault::RadiusReject);
    let again = server.handle(Authentication, CLIENT, &hex(V2_REQUEST));
    assert_eq!(again.replies, first.replies);
    server.faults.borrow_mut().clear_all();
    let elsewhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40001);
    let other = server.handle(Authentication, elsewhere, &hex(V2_REQUEST));
    assert_ne!(other.replies, first.replies);
    assert_eq!(other.replies.len(), 1);
}

#[test]
fn oldest_request_is_forgotten_when_there_are_many() {
    let mut server = server(&[]);
    let first = server.handle(Authentication, CLIENT, &hex(V2_REQUEST));
    let mut from_port = |port| {
        let source = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        server.handle(Authentication, source, &hex(CHAP_MD5_REQUEST));
        server.seen.len()
    };
    for port in 1..MAX_SEEN as u16 {
        from_port(port);
    }
    assert_eq!(from_port(2000), MAX_SEEN);
    assert_eq!(from_port(2001), MAX_SEEN);
    let anew = server.handle(Authentication, CLIENT, &hex(V2_REQUEST));
    assert_ne!(anew.replies, first.replies);
    assert_eq!((server.seen.len(), server.order.len()), (MAX_SEEN, MAX_SEEN));
}

#[test]
fn first_transmissions_are_lost_and_the_next_is_answered() {
    let mut server = server(&["radius-lose=2"]);
    for request in [V2_REQUEST, V1_REQUEST] {
        let counts =
            [(); 4].map(|()| server.handle(Authentication, CLIENT, &hex(request)).replies.len());
        assert_eq!(counts, [0, 0, 1, 1]);
    }
}

#[test]
fn silence_covers_every_kind_of_request() {
    let mut server = server(&["radius-silent"]);
    for (port, asked) in [
        (Authentication, hex(V2_REQUEST)),
        (Authentication, request(Code::StatusServer, 1, &[])),
        (Accounting, hex(ACCOUNTING_REQUEST)),
    ] {
        assert!(server.handle(port, CLIENT, &asked).replies.is_empty());
    }
    server.faults.borrow_mut().clear_all();
    reply(&mut server, Authentication, &hex(V2_REQUEST));
}

/// Reply to the recorded MS-CHAPv2 request under these faults.
fn faulty(faults: &[&str]) -> Vec<u8> {
    reply(&mut server(faults), Authentication, &hex(V2_REQUEST))
}

#[test]
fn signatures_are_spoiled_one_at_a_time() {
    for (fault, right, with_another) in [
        ("radius-wrong-authenticator", (false, Some(true)), (false, Some(false))),
        ("radius-wrong-message-authenticator", (true, Some(false)), (false, Some(false))),
        ("radius-no-message-authenticator", (true, None), (false, None)),
        ("radius-wrong-secret", (false, Some(false)), (true, Some(true))),
    ] {
        let (octets, asked) = (faulty(&[fault]), hex(V2_REQUEST));
        assert_eq!(signatures(&octets, &asked, &gateway_secret()), right, "{fault}");
        assert_eq!(signatures(&octets, &asked, &secret("testing123?")), with_another, "{fault}");
    }
}

#[test]
fn verdicts_are_spoiled() {
    for (fault, code, message, error) in [
        (
            "radius-reject",
            Code::AccessReject,
            "Access denied",
            Some(&b"\x9cE=691 R=1 C=01010101010101010101010101010101 V=3 M=Access denied"[..]),
        ),
        (
            "radius-expired",
            Code::AccessReject,
            "Password expired",
            Some(&b"\x9cE=648 R=0 C=01010101010101010101010101010101 V=3 M=Password expired"[..]),
        ),
        ("radius-challenge", Code::AccessChallenge, "Enter the second code", None),
    ] {
        let octets = faulty(&[fault]);
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!(packet.code, code);
        assert_eq!(packet.find(id::REPLY_MESSAGE), Some(message.as_bytes()));
        assert_eq!(packet.find(id::MS_CHAP_ERROR), error);
        let state = (code == Code::AccessChallenge).then_some(&[1; 16][..]);
        assert_eq!(packet.find(id::STATE), state);
        let right = signatures(&octets, &hex(V2_REQUEST), &gateway_secret());
        assert_eq!(right, (true, Some(true)));
    }
}

#[test]
fn proofs_and_keys_are_spoiled() {
    let authenticator = Packet::parse(&hex(V2_REQUEST)).unwrap().authenticator;
    let seen = |faults: &[&str]| {
        let octets = faulty(faults);
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!(packet.code, Code::AccessAccept);
        let right = signatures(&octets, &hex(V2_REQUEST), &gateway_secret());
        assert_eq!(right, (true, Some(true)));
        let key = |name| {
            let hidden = packet.find(name)?;
            gateway_secret().reveal_key(hidden, &authenticator).map(|key| key.to_vec())
        };
        let proof = packet.find(id::MS_CHAP2_SUCCESS).map(<[u8]>::to_vec);
        (proof, key(id::MS_MPPE_SEND_KEY), key(id::MS_MPPE_RECV_KEY))
    };
    let (proof, send, recv) = seen(&[]);
    let inverted = |key: &Option<Vec<u8>>| key.clone().map(|key| key.iter().map(|o| !o).collect());
    assert_eq!(seen(&["radius-no-proof"]), (None, send.clone(), recv.clone()));
    assert_eq!(seen(&["radius-no-mppe-keys"]), (proof.clone(), None, None));
    let wrong = (proof.clone(), inverted(&send), inverted(&recv));
    assert_eq!(seen(&["radius-wrong-mppe-keys"]), wrong);
    let (wrong_proof, same_send, same_recv) = seen(&["radius-wrong-proof"]);
    assert_eq!((same_send, same_recv), (send, recv));
    let (wrong_proof, proof) = (wrong_proof.unwrap(), proof.unwrap());
    assert_ne!(wrong_proof, proof);
    assert_eq!((wrong_proof.len(), &wrong_proof[..3]), (proof.len(), &proof[..3]));
}

#[test]
fn keys_of_mschap_v1_are_spoiled() {
    for (fault, there) in [("radius-no-mppe-keys", false), ("radius-wrong-mppe-keys", true)] {
        let octets = reply(&mut server(&[fault]), Authentication, &hex(V1_REQUEST));
        let packet = Packet::parse(&octets).unwrap();
        let authenticator = Packet::parse(&hex(V1_REQUEST)).unwrap().authenticator;
        let keys = packet.find(id::MS_CHAP_MPPE_KEYS);
        let keys = keys.and_then(|keys| gateway_secret().reveal_password(keys, &authenticator));
        let wrong = mschap_v1_keys(b"Pr0be-secret").map(|octet| !octet);
        assert_eq!(keys.map(|keys| keys.to_vec()), there.then(|| wrong.to_vec()));
    }
}

#[test]
fn last_attribute_has_more_length_than_room() {
    let octets = faulty(&["radius-truncated"]);
    assert_eq!(usize::from(octets[2]) << 8 | usize::from(octets[3]), octets.len());
    let authenticator = Packet::parse(&hex(V2_REQUEST)).unwrap().authenticator;
    assert!(gateway_secret().is_response(&octets, &authenticator));
    let error = Packet::parse(&octets).unwrap_err();
    assert_eq!(error.to_string(), "RADIUS packet needs 30 octets, 3 are there");
}

#[test]
fn another_identifier_is_signed_and_answered() {
    let octets = faulty(&["radius-wrong-identifier"]);
    assert_eq!(Packet::parse(&octets).unwrap().identifier, 0xf0);
    let right = signatures(&octets, &hex(V2_REQUEST), &gateway_secret());
    assert_eq!(right, (true, Some(true)));
}

#[test]
fn replies_go_twice_or_from_another_port_or_late() {
    let sent = |faults: &[&str], port, asked: &[u8]| {
        let answer = server(faults).handle(port, CLIENT, asked);
        let [reply] = &answer.replies[..] else { panic!("{answer:?}") };
        (reply.after.as_millis(), reply.times, reply.from_another_port)
    };
    let (login, accounting) = (hex(V2_REQUEST), hex(ACCOUNTING_REQUEST));
    assert_eq!(sent(&["radius-duplicate"], Authentication, &login), (0, 2, false));
    assert_eq!(sent(&["radius-wrong-port"], Authentication, &login), (0, 1, true));
    let delays = ["delay=auth:1", "delay=data:2", "delay=control:3"];
    assert_eq!(sent(&delays, Authentication, &login), (1, 1, false));
    assert_eq!(sent(&delays, Accounting, &accounting), (2, 1, false));
    let status = request(Code::StatusServer, 1, &[]);
    assert_eq!(sent(&delays, Accounting, &status), (3, 1, false));
}

#[test]
fn forged_replies_grant_everything_and_are_signed_by_nobody() {
    for (port, asked, code) in [
        (Authentication, V2_REQUEST, Code::AccessAccept),
        (Accounting, ACCOUNTING_REQUEST, Code::AccountingResponse),
    ] {
        let asked = hex(asked);
        let mut server = server(&["radius-forged", "delay=auth:7", "delay=data:7"]);
        let answer = server.handle(port, CLIENT, &asked);
        let [forged, right] = &answer.replies[..] else { panic!("{answer:?}") };
        assert_eq!((forged.after.as_millis(), right.after.as_millis()), (7, 57));
        let packet = Packet::parse(&forged.octets).unwrap();
        assert_eq!((packet.code, packet.identifier), (code, asked[1]));
        assert_eq!(signatures(&forged.octets, &asked, &gateway_secret()), (false, None));
        assert!(signatures(&right.octets, &asked, &gateway_secret()).0);

        server.faults.borrow_mut().set(Fault::RadiusFlood);
        let source = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let answer = server.handle(port, source, &asked);
        let [forged] = &answer.replies[..] else { panic!("{answer:?}") };
        assert_eq!(forged.times, FLOOD);
        assert_eq!(signatures(&forged.octets, &asked, &gateway_secret()), (false, None));
    }
}

#[test]
fn proxy_states_come_back_in_their_order() {
    let asked = [(PROXY_STATE, &b"one"[..]), (id::USER_NAME, b"x"), (PROXY_STATE, b"two")];
    let octets = reply(&mut server(&[]), Authentication, &request(Code::AccessRequest, 1, &asked));
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.all(PROXY_STATE).collect::<Vec<_>>(), [b"one", b"two"]);
}

#[test]
fn reply_that_does_not_fit_is_not_sent() {
    let asked = request(Code::AccessRequest, 1, &[(PROXY_STATE, &[1; 251][..]); 16]);
    let answer = server(&[]).handle(Authentication, CLIENT, &asked);
    assert!(answer.replies.is_empty() && answer.is_sound);
}

#[test]
fn log_names_user_method_and_verdict_and_no_password() {
    let words =
        |server: &mut Server, asked: &str| server.handle(Authentication, CLIENT, &hex(asked)).words;
    assert_eq!(
        words(&mut server(&[]), V2_REQUEST),
        "Access-Request of user probe with mschapv2: Access-Accept"
    );
    assert_eq!(
        words(&mut rfc_server("secant"), TELNET_REQUEST),
        "Access-Request of user nemo with pap: Access-Reject"
    );
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(
        octets in prop::collection::vec(any::<u8>(), 0..200),
        attributes in prop::collection::vec((0u8..100, prop::collection::vec(any::<u8>(), 0..60)), 0..8),
        microsoft: bool,
    ) {
        let vendor = if microsoft { 311 } else { 0 };
        let ids = attributes.iter().map(|(number, value)| {
            (AttributeId { vendor, number: *number }, &value[..])
        });
        let attributes: Vec<_> = ids.filter(|(id, _)| *id != id::MESSAGE_AUTHENTICATOR).collect();
        for port in [Authentication, Accounting] {
            let mut server = server(&[]);
            server.handle(port, CLIENT, &octets);
            for code in [Code::AccessRequest, Code::AccountingRequest, Code::StatusServer] {
                server.handle(port, CLIENT, &request(code, 1, &attributes));
            }
        }
    }
}
