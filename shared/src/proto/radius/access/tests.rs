use super::*;
use crate::secret::Secret;
use crate::wire::radius::samples::*;

fn shared_secret() -> SharedSecret {
    SharedSecret::new(Secret::new(GATEWAY_SECRET.to_vec()))
}

fn login(method: Method, password: &[u8]) -> Login {
    Login {
        credentials: Credentials {
            username: b"probe".to_vec(),
            password: Secret::new(password.to_vec()),
        },
        method,
        keys: KeyPolicy::Required,
        expectations: Vec::new(),
        expect_reject: false,
    }
}

/// What pppd asked in the recorded exchange.
fn recorded_attempt() -> Attempt {
    let request = hex(GATEWAY_REQUEST);
    let request = Packet::parse(&request).unwrap();
    let response = request.find(id::MS_CHAP2_RESPONSE).unwrap();
    Attempt {
        authenticator: request.authenticator,
        challenge: request.find(id::MS_CHAP_CHALLENGE).unwrap().try_into().unwrap(),
        peer_challenge: response[2..18].try_into().unwrap(),
        nt_response: response[26..50].try_into().unwrap(),
    }
}

fn examined(login: &Login, attempt: &Attempt, reply: &[u8]) -> Access {
    let reply = Packet::parse(reply).unwrap();
    Access::examine(login, attempt, &shared_secret(), &reply).with_attributes(&reply)
}

/// The recorded Access-Accept, its attributes changed by `change`.
fn changed(change: impl Fn(AttributeId, &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let octets = hex(GATEWAY_ACCEPT);
    let packet = Packet::parse(&octets).unwrap();
    let mut draft = Draft::new(packet.code, packet.identifier, &packet.authenticator);
    for attribute in packet.attributes() {
        if let Some(value) = change(attribute.id, attribute.value) {
            draft.attribute(attribute.id, &value);
        }
    }
    draft.finish().unwrap()
}

fn without(missing: AttributeId) -> Vec<u8> {
    changed(|id, value| (id != missing).then(|| value.to_vec()))
}

fn replaced(wanted: AttributeId, by: &[u8]) -> Vec<u8> {
    changed(|id, value| Some(if id == wanted { by } else { value }.to_vec()))
}

fn verdict(access: &Access) -> Option<(Phase, Reason)> {
    access.failure.as_ref().map(|failure| (failure.phase, failure.reason))
}

const PASSWORD: &[u8] = b"Pr0be-secret";

#[test]
fn recorded_accept_has_the_right_proof_and_keys() {
    let access =
        examined(&login(Method::MsChapV2, PASSWORD), &recorded_attempt(), &hex(GATEWAY_ACCEPT));
    assert_eq!((access.proof, access.keys), (Some(Proof::Valid), Some(Keys::Right)));
    assert_eq!(access.failure, None);
    assert_eq!(access.attributes.len(), 11);
}

#[test]
fn another_password_makes_proof_and_keys_wrong() {
    let access =
        examined(&login(Method::MsChapV2, b"other"), &recorded_attempt(), &hex(GATEWAY_ACCEPT));
    assert_eq!((access.proof, access.keys), (Some(Proof::Wrong), Some(Keys::Differ)));
    assert_eq!(verdict(&access), Some((Phase::Auth, Reason::MutualAuthFailed)));
}

#[test]
fn what_an_accept_lacks_is_found() {
    let hidden =
        |key: &[u8]| shared_secret().hide_key(key, [0x80, 1], &recorded_attempt().authenticator);
    let neither = changed(|id, value| {
        let is_key = id == id::MS_MPPE_SEND_KEY || id == id::MS_MPPE_RECV_KEY;
        (!is_key).then(|| value.to_vec())
    });
    let missing = (Phase::Ccp, Reason::MppeKeysMissing);
    let differ = (Phase::Ccp, Reason::MppeKeyMismatch);
    let unproven = (Phase::Auth, Reason::MutualAuthFailed);
    let login = login(Method::MsChapV2, PASSWORD);
    for (reply, proof, keys, expected) in [
        (neither, Proof::Valid, Keys::Missing, missing),
        (without(id::MS_MPPE_SEND_KEY), Proof::Valid, Keys::Incomplete, missing),
        (without(id::MS_MPPE_RECV_KEY), Proof::Valid, Keys::Incomplete, missing),
        (replaced(id::MS_MPPE_SEND_KEY, &hidden(&[7; 16])), Proof::Valid, Keys::Differ, differ),
        (replaced(id::MS_MPPE_RECV_KEY, &hidden(&[7; 8])), Proof::Valid, Keys::Differ, differ),
        (replaced(id::MS_MPPE_RECV_KEY, &hidden(&[])), Proof::Valid, Keys::Differ, differ),
        (replaced(id::MS_MPPE_SEND_KEY, &[1; 7]), Proof::Valid, Keys::Undecipherable, differ),
        (without(id::MS_CHAP2_SUCCESS), Proof::Missing, Keys::Right, unproven),
        (replaced(id::MS_CHAP2_SUCCESS, b""), Proof::Missing, Keys::Right, unproven),
        (replaced(id::MS_CHAP2_SUCCESS, b"\x9cS=12"), Proof::Missing, Keys::Right, unproven),
        (
            replaced(id::MS_CHAP2_SUCCESS, b"\x9cS=0011223344556677889900112233445566778899"),
            Proof::Wrong,
            Keys::Right,
            unproven,
        ),
    ] {
        let access = examined(&login, &recorded_attempt(), &reply);
        assert_eq!((access.proof, access.keys), (Some(proof), Some(keys)));
        assert_eq!(verdict(&access), Some(expected), "{proof:?} {keys:?}");
    }
}

#[test]
fn keys_do_not_matter_to_a_gateway_that_does_not_encrypt() {
    let mut login = login(Method::MsChapV2, PASSWORD);
    login.keys = KeyPolicy::Ignored;
    let access = examined(&login, &recorded_attempt(), &without(id::MS_MPPE_SEND_KEY));
    assert_eq!((access.keys, access.failure), (Some(Keys::Incomplete), None));
}

/// RFC 3079, section 3.5.3: the 128-bit keys; their first halves are those of
/// 40 and 56 bit.
#[test]
fn short_keys_of_the_right_session_are_right() {
    let attempt = recorded_attempt();
    let keys = MasterKeys::from_mschap_v2(PASSWORD, &attempt.nt_response);
    let short = |direction| {
        let key = keys.start_key(direction, KeyLength::Bits56);
        shared_secret().hide_key(key, [0x80, 1], &attempt.authenticator)
    };
    let reply = changed(|id, value| {
        Some(match id {
            id::MS_MPPE_SEND_KEY => short(Direction::ServerToClient),
            id::MS_MPPE_RECV_KEY => short(Direction::ClientToServer),
            _ => value.to_vec(),
        })
    });
    let access = examined(&login(Method::MsChapV2, PASSWORD), &attempt, &reply);
    assert_eq!(access.keys, Some(Keys::Right));
}

#[test]
fn keys_of_mschapv1_are_compared_in_their_nt_part() {
    let attempt = recorded_attempt();
    let hash = mschap::hash_nt_password_hash(&mschap::nt_password_hash(PASSWORD));
    let reply = |keys: &[u8]| {
        let mut draft = Draft::new(Code::AccessAccept, 1, &[0; 16]);
        let hidden = shared_secret().hide_password(keys, &attempt.authenticator);
        draft.attribute(id::MS_CHAP_MPPE_KEYS, &hidden);
        draft.finish().unwrap()
    };
    let login = login(Method::MsChapV1, PASSWORD);
    for (keys, expected) in [
        ([&[0; 8][..], &*hash, &[0; 8]].concat(), Keys::Right),
        ([&[9; 8][..], &*hash, &[0; 8]].concat(), Keys::Right),
        ([&[0; 8][..], &[1; 16], &[0; 8]].concat(), Keys::Differ),
        (vec![1; 8], Keys::Undecipherable),
        (vec![1; 48], Keys::Undecipherable),
    ] {
        let access = examined(&login, &attempt, &reply(&keys));
        assert_eq!((access.proof, access.keys), (None, Some(expected)));
    }
    let bare = Draft::new(Code::AccessAccept, 1, &[0; 16]).finish().unwrap();
    assert_eq!(examined(&login, &attempt, &bare).keys, Some(Keys::Missing));
}

#[test]
fn pap_and_chap_need_no_keys() {
    let bare = Draft::new(Code::AccessAccept, 1, &[0; 16]).finish().unwrap();
    for method in [Method::Pap, Method::ChapMd5] {
        let access = examined(&login(method, PASSWORD), &recorded_attempt(), &bare);
        assert_eq!((access.proof, access.keys, access.failure), (None, None, None));
    }
}

fn refused(code: Code, attributes: &[(AttributeId, &[u8])]) -> (Reason, String) {
    let mut draft = Draft::new(code, 1, &[0; 16]);
    for (id, value) in attributes {
        draft.attribute(*id, value);
    }
    let reply = draft.finish().unwrap();
    let access = examined(&login(Method::MsChapV2, PASSWORD), &recorded_attempt(), &reply);
    let failure = access.failure.unwrap();
    (failure.reason, failure.detail)
}

#[test]
fn reject_is_taken_apart() {
    let head = "server rejected user probe with mschapv2";
    for (attributes, reason, said) in [
        (&[][..], Reason::AuthRejected, " and gave no reason"),
        (
            &[(id::REPLY_MESSAGE, &b"account locked"[..])],
            Reason::AuthRejected,
            ": \"account locked\"",
        ),
        (&[(id::MS_CHAP_ERROR, b"\x07E=691 R=1 V=3")], Reason::AuthRejected, ": E=691"),
        (&[(id::MS_CHAP_ERROR, b"E=648 R=0")], Reason::AuthExpired, ": E=648"),
        // 69, one ident of 256, is the letter.
        (&[(id::MS_CHAP_ERROR, b"EE=648 R=0")], Reason::AuthExpired, ": E=648"),
        (&[(id::MS_CHAP_ERROR, b"\0E=647 R=0 M=no")], Reason::AuthDisabled, ": E=647 \"no\""),
        (
            &[(id::MS_CHAP_ERROR, b"\0E=649"), (id::REPLY_MESSAGE, b"a|b\n")],
            Reason::AuthNoDialin,
            r#": E=649, "a\x7cb\x0a""#,
        ),
    ] {
        let (found, detail) = refused(Code::AccessReject, attributes);
        assert_eq!((found, detail), (reason, format!("{head}{said}")));
    }
}

#[test]
fn challenge_and_protocol_error_are_no_login() {
    let (reason, detail) =
        refused(Code::AccessChallenge, &[(id::REPLY_MESSAGE, b"second code"), (id::STATE, b"x")]);
    assert_eq!(reason, Reason::RadiusChallenge);
    assert_eq!(detail, "server asks user probe for one more answer: \"second code\"");
    assert!(refused(Code::ProtocolError, &[]).1.contains("Protocol-Error"));
}

#[test]
fn negative_test_wants_a_plain_rejection() {
    let mut login = login(Method::MsChapV2, PASSWORD);
    login.expect_reject = true;
    let attempt = recorded_attempt();
    let access = examined(&login, &attempt, &hex(GATEWAY_ACCEPT));
    assert_eq!(verdict(&access), Some((Phase::Auth, Reason::AuthAccepted)));
    let reject = |error: &[u8]| {
        let mut draft = Draft::new(Code::AccessReject, 1, &[0; 16]);
        draft.attribute(id::MS_CHAP_ERROR, error);
        draft.finish().unwrap()
    };
    assert_eq!(examined(&login, &attempt, &reject(b"\0E=691 R=1")).failure, None);
    // A locked account says nothing about the password.
    let locked = examined(&login, &attempt, &reject(b"\0E=647 R=0"));
    assert_eq!(verdict(&locked), Some((Phase::Auth, Reason::AuthDisabled)));
}

/// RFC 2865, section 5.6.
#[test]
fn service_that_is_not_ppp_is_a_rejection_to_a_gateway() {
    let mut login = login(Method::MsChapV2, PASSWORD);
    for (id, value, said) in [
        (id::SERVICE_TYPE, [0, 0, 0, 1], "Service-Type Login-User"),
        (id::FRAMED_PROTOCOL, [0, 0, 0, 2], "Framed-Protocol SLIP"),
    ] {
        let reply = replaced(id, &value);
        login.expectations.clear();
        let access = examined(&login, &recorded_attempt(), &reply);
        assert_eq!(verdict(&access), Some((Phase::Auth, Reason::AttributeUnexpected)));
        let detail = access.failure.unwrap().detail;
        assert_eq!(
            detail,
            format!("accepted, but with {said}: a gateway takes it for a rejection")
        );
        login.expectations = vec![dictionary::name(id).parse().unwrap()];
        assert_eq!(examined(&login, &recorded_attempt(), &reply).failure, None);
    }
}

#[test]
fn unmet_expectations_name_what_came() {
    let mut login = login(Method::MsChapV2, PASSWORD);
    for (expectation, unmet) in [
        ("Framed-Protocol=PPP", None),
        ("Framed-IP-Address=192.168.77.50", None),
        ("Class", None),
        ("Reply-Message", Some("accepted, but without Reply-Message")),
        (
            "Framed-IP-Address=192.0.2.1",
            Some("accepted with Framed-IP-Address 192.168.77.50, expected was 192.0.2.1"),
        ),
    ] {
        login.expectations = vec![expectation.parse().unwrap()];
        let access = examined(&login, &recorded_attempt(), &hex(GATEWAY_ACCEPT));
        let found = access.failure.map(|failure| (failure.reason, failure.detail));
        let unmet = unmet.map(|text| (Reason::AttributeUnexpected, text.to_owned()));
        assert_eq!(found, unmet, "{expectation}");
    }
}

#[test]
fn many_long_values_make_no_long_sentence() {
    let mut login = login(Method::Pap, PASSWORD);
    login.expectations = vec!["Reply-Message=hello".parse().unwrap()];
    let mut draft = Draft::new(Code::AccessAccept, 1, &[0; 16]);
    (0..15).for_each(|_| draft.attribute(id::REPLY_MESSAGE, &[b'a'; 253]));
    let access = examined(&login, &recorded_attempt(), &draft.finish().unwrap());
    let value = "a".repeat(80);
    assert_eq!(
        access.failure.unwrap().detail,
        format!(
            "accepted with Reply-Message {value}... and {value}... and {value}..., expected was hello"
        )
    );
}

#[test]
fn methods_and_passwords_that_radius_cannot_carry() {
    assert!(login(Method::EapMd5, PASSWORD).check().is_err());
    assert!(login(Method::None, PASSWORD).check().is_err());
    assert!(login(Method::Pap, &[b'p'; 128]).check().is_ok());
    assert!(login(Method::Pap, &[b'p'; 129]).check().is_err());
    assert!(login(Method::MsChapV2, &[b'p'; 129]).check().is_ok());
}

#[test]
fn names_that_radius_cannot_carry() {
    for (length, fits) in [(0, false), (1, true), (253, true), (254, false)] {
        let mut login = login(Method::MsChapV2, PASSWORD);
        login.credentials.username = vec![b'u'; length];
        assert_eq!(login.check().is_ok(), fits, "{length}");
    }
}
