//! Each method against octets that others made: the examples of the RFCs, and
//! what radclient and FreeRADIUS said to each other (`tests/fixtures/pcap`).

use super::*;
use crate::secret::Secret;
use crate::wire::radius::samples::*;

fn login(method: Method, username: &[u8], password: &[u8]) -> Login {
    let password = Secret::new(password.to_vec());
    Login {
        credentials: Credentials { username: username.to_vec(), password },
        method,
        keys: KeyPolicy::Required,
        expectations: Vec::new(),
        expect_reject: false,
    }
}

fn secret(octets: &[u8]) -> SharedSecret {
    SharedSecret::new(Secret::new(octets.to_vec()))
}

/// A request by this login, then NAS-IP-Address and what else is given.
fn request(
    login: &Login,
    (identifier, authenticator): (u8, [u8; 16]),
    secret: &SharedSecret,
    entropy: [[u8; 16]; 2],
    more: &[(u8, &[u8])],
) -> Vec<u8> {
    let mut draft = Draft::new(Code::AccessRequest, identifier, &authenticator);
    login.attempt(&mut draft, identifier, &authenticator, secret, entropy);
    for (number, value) in more {
        draft.attribute(AttributeId { vendor: 0, number: *number }, value);
    }
    draft.finish().unwrap()
}

/// The UDP payloads of a capture of IPv4 over Ethernet.
fn payloads(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &capture[24..];
    let mut found = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        found.push(after[14 + 20 + 8..length].to_vec());
        rest = &after[length..];
    }
    found
}

/// RFC 2865, section 7.1.
#[test]
fn pap_is_the_example_octet_for_octet() {
    let expected = hex(TELNET_REQUEST);
    let packet = Packet::parse(&expected).unwrap();
    let made = request(
        &login(Method::Pap, b"nemo", RFC_PASSWORD),
        (packet.identifier, packet.authenticator),
        &secret(RFC_SECRET),
        [[0; 16]; 2],
        &[(4, &[192, 168, 1, 16]), (5, &[0, 0, 0, 3])],
    );
    assert_eq!(made, expected);
}

/// RFC 2865, section 7.2, where the challenge is the authenticator itself; ours
/// stands in an attribute of its own, behind the response.
#[test]
fn chap_is_the_example_but_for_the_challenge() {
    let example = hex(CHAP_REQUEST);
    let packet = Packet::parse(&example).unwrap();
    let ident = packet.find(id::CHAP_PASSWORD).unwrap()[0];
    let made = request(
        &login(Method::ChapMd5, b"flopsy", RFC_PASSWORD),
        (ident, packet.authenticator),
        &secret(RFC_SECRET),
        [packet.authenticator, [0; 16]],
        &[],
    );
    let made = Packet::parse(&made).unwrap();
    for id in [id::USER_NAME, id::CHAP_PASSWORD] {
        assert_eq!(made.find(id), packet.find(id));
    }
    assert_eq!(made.find(id::CHAP_CHALLENGE), Some(&packet.authenticator[..]));
}

/// RFC 2433, appendix B.2, in the attributes of RFC 2548, section 2.1.
#[test]
fn mschapv1_is_the_example() {
    let mut challenge = [0; 16];
    challenge[..8].copy_from_slice(&hex("102DB5DF085D3041"));
    let login = login(Method::MsChapV1, b"User", b"MyPw");
    let made = request(&login, (7, [1; 16]), &secret(b"s"), [challenge, [0; 16]], &[]);
    let expected = "
        01 06 55 73 65 72
        1a 10 00000137 0b 0a 102DB5DF085D3041
        1a 3a 00000137 01 34 07 01
            000000000000000000000000000000000000000000000000
            4E9D3C8F9CFD385D5BF4D3246791956CA4C351AB409A3D61";
    assert_eq!(made[20..], hex(expected));
}

/// RFC 2759, section 9.2: what radclient sent, the Message-Authenticator and
/// what it says of its NAS left out.
#[test]
fn mschapv2_is_what_radclient_sent() {
    let capture = include_bytes!("../../../../../tests/fixtures/pcap/radclient-mschapv2.pcap");
    let sent = payloads(capture).swap_remove(0);
    let sent = Packet::parse(&sent).unwrap();
    let challenge = sent.find(id::MS_CHAP_CHALLENGE).unwrap().try_into().unwrap();
    let response = sent.find(id::MS_CHAP2_RESPONSE).unwrap();
    let peer_challenge = response[2..18].try_into().unwrap();
    assert_eq!(hex("5B5D7C7D7B3F2F3E3C2C602132262628"), challenge);
    assert_eq!(hex("21402324255E262A28295F2B3A337C7E"), peer_challenge);
    let made = request(
        &login(Method::MsChapV2, b"User", b"clientPass"),
        (response[0], sent.authenticator),
        &secret(GATEWAY_SECRET),
        [challenge, peer_challenge],
        &[],
    );
    let expected = "
        01 06 55 73 65 72
        1a 18 00000137 0b 12 5B5D7C7D7B3F2F3E3C2C602132262628
        1a 3a 00000137 19 34 01 00 21402324255E262A28295F2B3A337C7E 0000000000000000
            82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF";
    assert_eq!(made[20..], hex(expected));
    let made = Packet::parse(&made).unwrap();
    for id in [id::USER_NAME, id::MS_CHAP_CHALLENGE, id::MS_CHAP2_RESPONSE] {
        assert_eq!(made.find(id), sent.find(id));
    }
}

/// The proof of RFC 2759, section 9.2, and the keys of RFC 3079, section
/// 3.5.3, as FreeRADIUS gave them for these challenges.
#[test]
fn accept_of_freeradius_has_the_proof_and_the_keys_of_the_rfcs() {
    let capture = include_bytes!("../../../../../tests/fixtures/pcap/radclient-mschapv2.pcap");
    let [asked, answered] = &payloads(capture)[..] else { panic!("two packets") };
    let (asked, reply) = (Packet::parse(asked).unwrap(), Packet::parse(answered).unwrap());
    let secret = secret(GATEWAY_SECRET);
    assert!(secret.is_response(answered, &asked.authenticator));
    let response = asked.find(id::MS_CHAP2_RESPONSE).unwrap();
    let attempt = Attempt {
        authenticator: asked.authenticator,
        challenge: asked.find(id::MS_CHAP_CHALLENGE).unwrap().try_into().unwrap(),
        peer_challenge: response[2..18].try_into().unwrap(),
        nt_response: response[26..50].try_into().unwrap(),
    };
    let login = login(Method::MsChapV2, b"User", b"clientPass");
    let access = Access::examine(&login, &attempt, &secret, &reply);
    assert_eq!((access.proof, access.keys), (Some(Proof::Valid), Some(Keys::Right)));
    assert_eq!(access.failure, None);
    let proof = b"\x01S=407A5589115FD0D6209F510FE9C04566932CDA56";
    assert_eq!(reply.find(id::MS_CHAP2_SUCCESS), Some(&proof[..]));
    // RFC 3079, section 3.5.3 ends with the server's send key.
    let key = reply.find(id::MS_MPPE_SEND_KEY).unwrap();
    let key = secret.reveal_key(key, &asked.authenticator).unwrap();
    assert_eq!(*key, hex("8B7CDC149B993A1BA118CB153F56DCCB"));
}

#[test]
fn every_packet_of_radclient_and_freeradius_is_verified() {
    let captures: [(&str, &[u8]); 7] = [
        ("pap", include_bytes!("../../../../../tests/fixtures/pcap/radclient-pap.pcap")),
        ("chap", include_bytes!("../../../../../tests/fixtures/pcap/radclient-chap.pcap")),
        ("mschapv1", include_bytes!("../../../../../tests/fixtures/pcap/radclient-mschapv1.pcap")),
        ("mschapv2", include_bytes!("../../../../../tests/fixtures/pcap/radclient-mschapv2.pcap")),
        ("acct", include_bytes!("../../../../../tests/fixtures/pcap/radclient-accounting.pcap")),
        ("status", include_bytes!("../../../../../tests/fixtures/pcap/radclient-status.pcap")),
        ("stats", include_bytes!("../../../../../tests/fixtures/pcap/radclient-statistics.pcap")),
    ];
    let secret = secret(GATEWAY_SECRET);
    for (name, capture) in captures {
        let packets = payloads(capture);
        assert!(!packets.is_empty() && packets.len().is_multiple_of(2), "{name}");
        for pair in packets.chunks(2) {
            let (asked, reply) =
                (Packet::parse(&pair[0]).unwrap(), Packet::parse(&pair[1]).unwrap());
            assert!(secret.is_response(&pair[1], &asked.authenticator), "{name}");
            if asked.code == Code::AccountingRequest {
                assert_eq!(
                    secret.accounting_authenticator(&pair[0]),
                    asked.authenticator,
                    "{name}"
                );
            }
            for (octets, packet) in [(&pair[0], asked), (&pair[1], reply)] {
                if let Some(at) = packet.message_authenticator().unwrap() {
                    assert!(secret.is_signed(octets, &asked.authenticator, at), "{name}");
                }
            }
            let hidden = asked.find(id::USER_PASSWORD);
            if let Some(hidden) = hidden {
                let password = secret.reveal_password(hidden, &asked.authenticator).unwrap();
                assert_eq!(*password, b"Pr0be-secret", "{name}");
            }
        }
    }
}
