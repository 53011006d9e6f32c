use super::*;
use crate::secret::Secret;
use crate::wire::radius::{Draft, id};

const SECRET: &[u8] = b"xyzzy5461";
const SECOND: Duration = Duration::from_secs(1);

fn secret(octets: &[u8]) -> SharedSecret {
    SharedSecret::new(Secret::new(octets.to_vec()))
}

fn client(signature: Signature) -> Client {
    Client::new(Config {
        secret: secret(SECRET),
        signature,
        retransmission: Some(Retransmission::default()),
        first_identifier: 250,
        jitter: 4711,
    })
}

fn request(client: &mut Client, now: Instant) -> Vec<u8> {
    let identifier = client.free_identifier().unwrap();
    let octets = Draft::new(Code::AccessRequest, identifier, &[identifier; 16]).finish().unwrap();
    client.request(octets.clone(), now);
    assert_eq!(client.poll_transmit(), Some(&octets[..]));
    assert_eq!(client.poll_transmit(), None);
    octets
}

/// A reply to `request`, signed with `secret`; with a Message-Authenticator
/// made by that of `signature`.
fn reply(code: Code, request: &[u8], with: &[u8], signature: Option<&[u8]>) -> Vec<u8> {
    let authenticator = request[4..20].try_into().unwrap();
    let mut draft = Draft::new(code, request[1], &[0; 16]);
    let at = signature.map(|_| draft.message_authenticator());
    draft.attribute(id::REPLY_MESSAGE, b"hello");
    let mut octets = draft.finish().unwrap();
    if let (Some(at), Some(signature)) = (at, signature) {
        let digest = secret(signature).message_authenticator(&octets, authenticator, at);
        octets[at..at + 16].copy_from_slice(&digest);
    }
    let digest = secret(with).response_authenticator(&octets, authenticator);
    octets[4..20].copy_from_slice(&digest);
    octets
}

/// RFC 5997, section 6.1.
#[test]
fn literal_status_server_and_its_reply() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let asked = hex("0cda00268a54f4686fb394c52866e302185d062350125a665e2e1e8411f3e243822097c84fa3");
    let now = Instant::now();
    let mut client = client(Signature::Checked);
    client.request(asked, now);
    client.handle_input(&hex("02da0014ef0d552a4bf2d693ec2b6fe8b5411d66"), now + SECOND);
    let answer = client.poll_answer().unwrap();
    assert_eq!((answer.identifier, answer.time, answer.signed), (0xda, SECOND, false));
    assert_eq!(client.discarded(), &Discarded::default());
}

#[test]
fn answer_tells_how_long_it_took_and_how_often_it_was_asked() {
    let now = Instant::now();
    let mut client = client(Signature::Checked);
    let asked = request(&mut client, now);
    let due = client.poll_timeout().unwrap();
    client.handle_timeout(due);
    assert_eq!(client.poll_transmit(), Some(&asked[..]), "the same packet again");
    client.handle_input(&reply(Code::AccessAccept, &asked, SECRET, Some(SECRET)), due + SECOND);
    let answer = client.poll_answer().unwrap();
    assert_eq!(answer.transmissions, 2);
    assert_eq!(answer.time, due + SECOND - now);
    assert_eq!(answer.since_last, SECOND);
    assert!(answer.signed);
    assert_eq!((client.outstanding(), client.retransmissions()), (0, 1));
    assert_eq!((client.poll_timeout(), client.poll_answer()), (None, None));
}

#[test]
fn waits_grow_with_a_tenth_of_jitter_up_to_the_longest() {
    let mut now = Instant::now();
    let mut client = client(Signature::Checked);
    request(&mut client, now);
    let mut previous = SECOND;
    for round in 0..8 {
        let due = client.poll_timeout().unwrap();
        let wait = due - now;
        let middle = (previous * 2).min(Duration::from_secs(16));
        assert!(wait >= middle * 9 / 10 && wait <= middle * 11 / 10, "round {round}: {wait:?}");
        client.handle_timeout(due - Duration::from_millis(1));
        assert_eq!(client.poll_transmit(), None, "not before it is due");
        client.handle_timeout(due);
        assert!(client.poll_transmit().is_some());
        (previous, now) = (wait, due);
    }
}

#[test]
fn nothing_is_sent_again_where_the_transport_is_reliable() {
    let now = Instant::now();
    let mut client = client(Signature::Checked);
    client.config.retransmission = None;
    request(&mut client, now);
    assert_eq!(client.poll_timeout(), None);
    client.handle_timeout(now + SECOND * 1000);
    assert_eq!(client.poll_transmit(), None);
}

#[test]
fn answer_to_accounting_needs_no_message_authenticator() {
    let now = Instant::now();
    let mut client = client(Signature::Required);
    let mut asked = Draft::new(Code::AccountingRequest, 250, &[0; 16]).finish().unwrap();
    let signature = secret(SECRET).accounting_authenticator(&asked);
    asked[4..20].copy_from_slice(&signature);
    client.request(asked.clone(), now);
    let answer = reply(Code::AccountingResponse, &asked, SECRET, None);
    client.handle_input(&answer, now);
    client.handle_input(&answer, now);
    assert!(client.poll_answer().is_some_and(|answer| !answer.signed));
    assert_eq!(client.discarded(), &Discarded { duplicate: 1, ..Discarded::default() });
}

#[test]
fn what_is_wrong_is_counted_and_the_wait_goes_on() {
    let now = Instant::now();
    let mut client = client(Signature::Required);
    let asked = request(&mut client, now);
    let good = reply(Code::AccessAccept, &asked, SECRET, Some(SECRET));
    let mut truncated = good.clone();
    truncated[21] = 200;
    let mut other = good.clone();
    other[1] ^= 1;
    let (before, after) = (
        Discarded::default(),
        Discarded {
            malformed: 2,
            identifier: 1,
            code: 1,
            authenticator: 2,
            signature: 1,
            unsigned: 1,
            ..Discarded::default()
        },
    );
    assert_eq!(client.discarded(), &before);
    for wrong in [
        Vec::new(),
        truncated,
        other,
        reply(Code::AccountingResponse, &asked, SECRET, Some(SECRET)),
        reply(Code::AccessAccept, &asked, b"other", Some(SECRET)),
        reply(Code::AccessReject, &asked, b"other", None),
        reply(Code::AccessAccept, &asked, SECRET, Some(b"other")),
        reply(Code::AccessAccept, &asked, SECRET, None),
    ] {
        client.handle_input(&wrong, now);
        assert_eq!((client.poll_answer(), client.outstanding()), (None, 1));
    }
    assert_eq!(client.discarded(), &after);
    assert_eq!(after.wrong(), 8);
    client.handle_input(&good, now);
    assert!(client.poll_answer().is_some());
    client.handle_input(&good, now);
    assert_eq!((client.poll_answer(), client.discarded().duplicate), (None, 1));
    assert_eq!(client.discarded().wrong(), 8, "a duplicate is not wrong");
}

#[test]
fn rules_for_the_message_authenticator() {
    for (rule, unsigned, forged) in [
        (Signature::Required, false, false),
        (Signature::Checked, true, false),
        (Signature::Ignored, true, true),
    ] {
        for (signature, accepted) in
            [(Some(SECRET), true), (None, unsigned), (Some(&b"other"[..]), forged)]
        {
            let now = Instant::now();
            let mut client = client(rule);
            let asked = request(&mut client, now);
            client.handle_input(&reply(Code::AccessAccept, &asked, SECRET, signature), now);
            assert_eq!(client.poll_answer().is_some(), accepted, "{rule:?} {signature:?}");
        }
    }
}

#[test]
fn codes_answer_their_requests() {
    use Code::{
        AccessAccept, AccessChallenge, AccessReject, AccessRequest, AccountingRequest,
        AccountingResponse, ProtocolError, StatusServer,
    };
    for (asked, right) in [
        (AccessRequest, &[AccessAccept, AccessReject, AccessChallenge, ProtocolError][..]),
        (AccountingRequest, &[AccountingResponse, ProtocolError]),
        (StatusServer, &[AccessAccept, AccountingResponse, ProtocolError]),
    ] {
        for code in 0..=255 {
            assert_eq!(answers(asked, code.into()), right.contains(&code.into()), "{asked} {code}");
        }
    }
}

#[test]
fn identifiers_are_used_in_turn_and_none_twice_at_once() {
    let now = Instant::now();
    let mut client = client(Signature::Checked);
    let asked: Vec<_> = (0..256).map(|_| request(&mut client, now)).collect();
    assert_eq!((asked[0][1], asked[6][1]), (250, 0));
    assert_eq!((client.free_identifier(), client.outstanding()), (None, 256));
    client.handle_input(&reply(Code::AccessAccept, &asked[7], SECRET, None), now);
    assert_eq!(client.free_identifier(), Some(1));
    // A request under an identifier that is waited for is not sent.
    client.request(asked[9].clone(), now);
    assert_eq!(client.poll_transmit(), None);
    assert_eq!(client.outstanding(), 255);
}

#[test]
fn late_reply_under_an_identifier_used_again_is_thrown_away() {
    let now = Instant::now();
    let mut client = client(Signature::Checked);
    let first = request(&mut client, now);
    let late = reply(Code::AccessReject, &first, SECRET, None);
    client.handle_input(&reply(Code::AccessAccept, &first, SECRET, None), now);
    assert!(client.poll_answer().is_some());
    let second = Draft::new(Code::AccessRequest, first[1], &[7; 16]).finish().unwrap();
    client.request(second, now);
    client.handle_input(&late, now);
    assert_eq!((client.poll_answer(), client.discarded().authenticator), (None, 1));
}

#[test]
fn stray_counts_only_if_it_would_have_been_right() {
    let now = Instant::now();
    let mut client = client(Signature::Checked);
    let asked = request(&mut client, now);
    assert!(!client.handle_stray(&reply(Code::AccessAccept, &asked, b"other", None)));
    assert!(!client.handle_stray(b"noise"));
    assert_eq!(client.discarded(), &Discarded::default());
    assert!(client.handle_stray(&reply(Code::AccessAccept, &asked, SECRET, None)));
    assert_eq!((client.discarded().source, client.outstanding()), (1, 1));
}

#[test]
fn hastened_request_is_sent_soon_and_only_once_more() {
    let now = Instant::now();
    let mut client = client(Signature::Checked);
    request(&mut client, now);
    let soon = now + Duration::from_millis(150);
    client.hasten(soon);
    assert_eq!(client.poll_timeout(), Some(soon));
    client.handle_timeout(soon);
    assert!(client.poll_transmit().is_some());
    assert!(client.poll_timeout().unwrap() > soon);
}

#[test]
fn requests_without_a_header_are_not_sent() {
    let mut client = client(Signature::Checked);
    for octets in [Vec::new(), vec![1], vec![1; 19]] {
        client.request(octets, Instant::now());
        assert_eq!(client.poll_transmit(), None);
        assert_eq!(client.outstanding(), 0);
    }
}

mod arbitrary {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn octets_never_panic_and_never_count(
            inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
        ) {
            let now = Instant::now();
            let mut client = client(Signature::Checked);
            request(&mut client, now);
            for input in &inputs {
                client.handle_input(input, now);
                client.handle_stray(input);
            }
            prop_assert_eq!(client.outstanding(), 1);
            prop_assert_eq!(client.discarded().wrong() as usize, inputs.len());
        }
    }
}
