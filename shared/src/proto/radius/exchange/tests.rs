use super::*;
use crate::crypto::radius::SharedSecret;
use crate::method::Method;
use crate::proto::auth::Credentials;
use crate::proto::radius::access::{KeyPolicy, Keys, Proof};
use crate::proto::radius::client::{Retransmission, Signature};
use crate::secret::Secret;

const SECRET: &[u8] = b"testing123";
const STEP: Duration = Duration::from_millis(7);

fn config(retransmission: Option<Retransmission>) -> Config {
    Config {
        secret: SharedSecret::new(Secret::new(SECRET.to_vec())),
        signature: Signature::Checked,
        retransmission,
        first_identifier: 9,
        jitter: 1,
    }
}

/// Not random, but never the same twice.
fn entropy() -> Entropy {
    let mut count = 0u8;
    Box::new(move || {
        count = count.wrapping_add(1);
        [count; 16]
    })
}

fn begin(task: Task, now: Instant) -> Exchange {
    let attributes = vec![(id::NAS_IDENTIFIER, b"lab".to_vec())];
    Exchange::new(task, attributes, config(Some(Retransmission::default())), entropy(), now)
}

fn login(method: Method) -> Login {
    let password = Secret::new(b"clientPass".to_vec());
    Login {
        credentials: Credentials { username: b"User".to_vec(), password },
        method,
        keys: KeyPolicy::Required,
        expectations: Vec::new(),
        expect_reject: false,
    }
}

fn logins(method: Method, count: u32, parallel: u32) -> Task {
    Task::Access { login: login(method), count, parallel }
}

fn accounting() -> Task {
    Task::Accounting { username: b"User".to_vec(), session_id: b"1A".to_vec() }
}

/// A reply to `request` with these attributes.
fn reply(code: Code, request: &[u8], attributes: &[(AttributeId, &[u8])]) -> Vec<u8> {
    let mut draft = Draft::new(code, request[1], &[0; 16]);
    for (id, value) in attributes {
        draft.attribute(*id, value);
    }
    let mut octets = draft.finish().unwrap();
    let secret = config(None).secret;
    let digest = secret.response_authenticator(&octets, request[4..20].try_into().unwrap());
    octets[4..20].copy_from_slice(&digest);
    octets
}

fn sent(exchange: &mut Exchange) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| exchange.poll_transmit().map(<[u8]>::to_vec)).collect()
}

fn reason(exchange: Exchange) -> Option<Reason> {
    exchange.into_outcome().failure.map(|failure| failure.reason)
}

#[test]
fn every_request_but_accounting_begins_with_a_right_message_authenticator() {
    let status = Task::Status { statistics: Some(1), count: 1, parallel: 1 };
    let tasks = [Method::Pap, Method::ChapMd5, Method::MsChapV1, Method::MsChapV2]
        .map(|method| logins(method, 1, 1));
    for task in tasks.into_iter().chain([status]) {
        let mut exchange = begin(task, Instant::now());
        let octets = exchange.poll_transmit().unwrap().to_vec();
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!(packet.message_authenticator(), Ok(Some(22)), "directly behind the header");
        assert!(config(None).secret.is_signed(&octets, &packet.authenticator, 22));
        assert_ne!(packet.authenticator, [0; 16]);
    }
}

#[test]
fn accounting_is_start_interim_and_stop_of_one_session() {
    let now = Instant::now();
    let mut exchange = begin(accounting(), now);
    for (step, (status, length)) in [(1, 4), (3, 4), (2, 4)].into_iter().enumerate() {
        assert!(!exchange.is_finished());
        let octets = exchange.poll_transmit().unwrap().to_vec();
        assert_eq!(exchange.poll_transmit(), None, "one after the other");
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!(packet.code, Code::AccountingRequest);
        let authenticator = config(None).secret.accounting_authenticator(&octets);
        assert_eq!(packet.authenticator, authenticator);
        assert_eq!(packet.find(id::ACCT_STATUS_TYPE), Some(&[0, 0, 0, status][..length]));
        assert_eq!(packet.find(id::ACCT_SESSION_ID), Some(&b"1A"[..]));
        assert_eq!(packet.find(id::NAS_IDENTIFIER), Some(&b"lab"[..]));
        assert_eq!(packet.find(id::ACCT_SESSION_TIME).is_some(), step > 0);
        assert_eq!(packet.find(id::ACCT_TERMINATE_CAUSE).is_some(), step == 2);
        exchange.handle_input(&reply(Code::AccountingResponse, &octets, &[]), now + STEP);
    }
    assert!(exchange.is_finished());
    let outcome = exchange.into_outcome();
    assert_eq!((outcome.failure, outcome.requests), (None, 3));
    assert_eq!(outcome.times, [Duration::ZERO, Duration::ZERO, STEP]);
}

#[test]
fn session_in_accounting_that_was_begun_is_ended_whatever_happens() {
    let now = Instant::now();
    for answered in 0..3 {
        for end in [0, 1] {
            let mut exchange = begin(accounting(), now);
            for _ in 0..answered {
                let octets = exchange.poll_transmit().unwrap().to_vec();
                exchange.handle_input(&reply(Code::AccountingResponse, &octets, &[]), now);
            }
            let last = exchange.poll_transmit().unwrap().to_vec();
            match end {
                0 => exchange.abort(),
                _ => exchange.expire(now + STEP),
            }
            assert!(exchange.is_finished());
            let farewell = sent(&mut exchange);
            if answered == 2 {
                assert!(farewell.is_empty(), "the Stop itself was under way");
                continue;
            }
            let [stop] = &farewell[..] else { panic!("{} packets", farewell.len()) };
            let packet = Packet::parse(stop).unwrap();
            assert_eq!(packet.find(id::ACCT_STATUS_TYPE), Some(&[0, 0, 0, 2][..]));
            assert_ne!(packet.identifier, last[1], "not taken for the one that is waited for");
        }
    }
}

#[test]
fn stop_that_was_not_yet_sent_goes_out_after_the_end() {
    let now = Instant::now();
    let mut exchange = begin(accounting(), now);
    for _ in 0..2 {
        let octets = exchange.poll_transmit().unwrap().to_vec();
        exchange.handle_input(&reply(Code::AccountingResponse, &octets, &[]), now);
    }
    exchange.handle_closed();
    let farewell = sent(&mut exchange);
    let [stop] = &farewell[..] else { panic!("{} packets", farewell.len()) };
    let packet = Packet::parse(stop).unwrap();
    assert_eq!(packet.find(id::ACCT_STATUS_TYPE), Some(&[0, 0, 0, 2][..]));
}

#[test]
fn session_whose_stop_is_too_long_is_not_begun() {
    let now = Instant::now();
    // A Start with these fits, a Stop is 36 octets longer.
    let mut attributes = vec![(id::REPLY_MESSAGE, vec![b'a'; 253]); 15];
    for (length, begun) in [(191, true), (192, false)] {
        attributes.truncate(15);
        attributes.push((id::REPLY_MESSAGE, vec![b'a'; length]));
        let config = config(Some(Retransmission::default()));
        let mut exchange = Exchange::new(accounting(), attributes.clone(), config, entropy(), now);
        assert_eq!(exchange.is_finished(), !begun);
        assert_eq!(exchange.poll_transmit().is_some(), begun);
        exchange.abort();
        assert_eq!(exchange.poll_transmit().is_some(), begun, "the Stop");
        let expected = if begun { Reason::Interrupted } else { Reason::Local };
        assert_eq!(reason(exchange), Some(expected));
    }
}

/// RFC 2759, section 9.2 has the values, with the challenge of the gateway.
#[test]
fn login_by_mschapv2_carries_challenge_and_response() {
    let mut exchange = begin(logins(Method::MsChapV2, 1, 1), Instant::now());
    let octets = exchange.poll_transmit().unwrap().to_vec();
    let packet = Packet::parse(&octets).unwrap();
    let (challenge, peer_challenge) = ([2; 16], [3; 16]);
    assert_eq!(packet.find(id::MS_CHAP_CHALLENGE), Some(&challenge[..]));
    let response = packet.find(id::MS_CHAP2_RESPONSE).unwrap();
    let expected = crate::crypto::mschap::generate_nt_response(
        &challenge,
        &peer_challenge,
        b"User",
        b"clientPass",
    );
    assert_eq!(response[..2], [packet.identifier, 0]);
    assert_eq!(response[2..18], peer_challenge);
    assert_eq!(response[18..26], [0; 8]);
    assert_eq!(response[26..], expected);
}

#[test]
fn load_keeps_as_many_under_way_as_asked_for() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::Pap, 10, 4), now);
    let mut waiting = sent(&mut exchange);
    assert_eq!(waiting.len(), 4);
    let mut answered = 0;
    while !exchange.is_finished() {
        let octets = waiting.remove(0);
        exchange.handle_input(&reply(Code::AccessAccept, &octets, &[]), now + STEP);
        answered += 1;
        waiting.extend(sent(&mut exchange));
        assert_eq!(waiting.len(), 4.min(10 - answered));
    }
    let outcome = exchange.into_outcome();
    assert_eq!((outcome.failure, outcome.requests, outcome.times.len()), (None, 10, 10));
}

#[test]
fn first_rejected_login_ends_the_task() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::Pap, 1000, 1), now);
    let octets = exchange.poll_transmit().unwrap().to_vec();
    exchange.handle_input(&reply(Code::AccessReject, &octets, &[]), now);
    assert!(exchange.is_finished());
    assert_eq!(sent(&mut exchange), Vec::<Vec<u8>>::new());
    assert_eq!(reason(exchange), Some(Reason::AuthRejected));
}

#[test]
fn lacking_keys_and_proof_are_found() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::MsChapV2, 1, 1), now);
    let octets = exchange.poll_transmit().unwrap().to_vec();
    exchange.handle_input(&reply(Code::AccessAccept, &octets, &[]), now);
    let outcome = exchange.into_outcome();
    let access = outcome.access.unwrap();
    assert_eq!((access.proof, access.keys), (Some(Proof::Missing), Some(Keys::Missing)));
    assert_eq!(outcome.failure.unwrap().reason, Reason::MutualAuthFailed);
}

#[test]
fn silence_is_explained_by_what_came_instead() {
    let now = Instant::now();
    let end = now + Duration::from_secs(5);
    let exchange = || {
        let mut exchange = begin(logins(Method::Pap, 1, 1), now);
        let octets = exchange.poll_transmit().unwrap().to_vec();
        (exchange, octets)
    };
    let expired = |mut exchange: Exchange| {
        exchange.expire(end);
        let outcome = exchange.into_outcome();
        assert!(outcome.timed_out);
        let failure = outcome.failure.unwrap();
        assert_eq!(failure.phase, Phase::Auth);
        (failure.reason, failure.detail)
    };
    let (nothing, _) = exchange();
    let (reason, detail) = expired(nothing);
    assert_eq!(reason, Reason::RadiusSilent);
    assert_eq!(detail, "no answer in 5.0 s, Access-Request sent once");

    let (mut other_secret, octets) = exchange();
    let mut forged = reply(Code::AccessAccept, &octets, &[]);
    forged[4] ^= 1;
    other_secret.handle_input(&forged, now);
    assert!(!other_secret.is_finished(), "a forged reply ends nothing");
    let (reason, detail) = expired(other_secret);
    assert_eq!(reason, Reason::RadiusSecretMismatch);
    assert!(detail.ends_with("thrown away: 1 with a wrong authenticator"), "{detail}");

    let (mut elsewhere, octets) = exchange();
    let from = "192.0.2.9:1812".parse().unwrap();
    elsewhere.handle_stray(&reply(Code::AccessAccept, &octets, &[]), from);
    let (reason, detail) = expired(elsewhere);
    assert_eq!(reason, Reason::RadiusWrongSource);
    assert!(detail.contains("192.0.2.9:1812"), "{detail}");

    let (mut noise, _) = exchange();
    noise.handle_input(b"noise", now);
    assert_eq!(expired(noise).0, Reason::Malformed);

    let (mut flood, _) = exchange();
    for _ in 0..=MOST_WRONG {
        flood.handle_input(b"noise", now);
    }
    assert_eq!(expired(flood).0, Reason::Flooded);

    let (mut unsigned, octets) = exchange();
    unsigned.config.signature = Signature::Required;
    unsigned.client = {
        let mut client = Client::new(unsigned.config.clone());
        client.request(octets.clone(), now);
        client
    };
    unsigned.handle_input(&reply(Code::AccessAccept, &octets, &[]), now);
    assert_eq!(expired(unsigned).0, Reason::RadiusUnsigned);
}

#[test]
fn server_that_answered_before_has_the_secret() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::Pap, 2, 1), now);
    let first = exchange.poll_transmit().unwrap().to_vec();
    exchange.handle_input(&reply(Code::AccessAccept, &first, &[]), now);
    let mut late = exchange.poll_transmit().unwrap().to_vec();
    late[4..20].fill(0xee);
    exchange.handle_input(&reply(Code::AccessAccept, &late, &[]), now);
    exchange.handle_input(b"noise", now);
    exchange.expire(now + Duration::from_secs(5));
    let failure = exchange.into_outcome().failure.unwrap();
    assert_eq!(failure.reason, Reason::RadiusSilent);
    let thrown_away = "thrown away: 1 malformed, 1 with a wrong authenticator";
    assert_eq!(
        failure.detail,
        format!("no answer in 5.0 s, Access-Request sent once; {thrown_away}")
    );
}

#[test]
fn the_second_icmp_error_decides() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::Pap, 1, 1), now);
    exchange.poll_transmit();
    exchange.handle_unreachable(Unreachable::Port, now);
    assert!(!exchange.is_finished());
    let soon = exchange.poll_timeout().unwrap();
    assert!(soon <= now + SECOND_CHANCE);
    exchange.handle_timeout(soon);
    assert!(exchange.poll_transmit().is_some());
    exchange.handle_unreachable(Unreachable::Port, soon);
    assert!(exchange.is_finished());
    assert_eq!(reason(exchange), Some(Reason::Refused));
}

#[test]
fn an_answer_after_an_icmp_error_counts() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::Pap, 1, 1), now);
    let octets = exchange.poll_transmit().unwrap().to_vec();
    exchange.handle_unreachable(Unreachable::Host, now);
    exchange.handle_input(&reply(Code::AccessAccept, &octets, &[]), now + STEP);
    assert!(exchange.is_finished());
    assert_eq!(reason(exchange), None);
}

#[test]
fn strays_are_wanted_once_something_was_sent_again() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::Pap, 1, 1), now);
    assert!(!exchange.wants_strays());
    exchange.handle_timeout(exchange.poll_timeout().unwrap());
    assert!(exchange.wants_strays());
}

#[test]
fn statistics_are_read_from_the_reply() {
    let now = Instant::now();
    let task = Task::Status { statistics: Some(0x1f), count: 1, parallel: 1 };
    let mut exchange = begin(task, now);
    let octets = exchange.poll_transmit().unwrap().to_vec();
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.find(STATISTICS_TYPE), Some(&[0, 0, 0, 0x1f][..]));
    assert_eq!(packet.find(id::NAS_IDENTIFIER), None);
    let requests = AttributeId { vendor: 11344, number: 128 };
    let odd = AttributeId { vendor: 11344, number: 129 };
    let counters: &[(AttributeId, &[u8])] = &[(requests, &[0, 0, 1, 2]), (odd, &[1])];
    exchange.handle_input(&reply(Code::AccessAccept, &octets, counters), now);
    let statistics = exchange.into_outcome().statistics;
    assert_eq!(statistics.into_iter().collect::<Vec<_>>(), [(requests, 258)]);
}

#[test]
fn request_that_is_too_long_is_our_own_mistake() {
    let attributes = vec![(id::REPLY_MESSAGE, vec![b'a'; 253]); 17];
    let exchange = Exchange::new(
        logins(Method::Pap, 1, 1),
        attributes,
        config(None),
        entropy(),
        Instant::now(),
    );
    assert!(exchange.is_finished());
    assert_eq!(reason(exchange), Some(Reason::Local));
}

#[test]
fn stream_that_ends_is_told_and_the_end_tells_nothing_later() {
    let now = Instant::now();
    let mut exchange = begin(logins(Method::Pap, 1, 1), now);
    let octets = exchange.poll_transmit().unwrap().to_vec();
    exchange.handle_closed();
    exchange.handle_input(&reply(Code::AccessAccept, &octets, &[]), now);
    exchange.expire(now);
    exchange.abort();
    assert_eq!(reason(exchange), Some(Reason::Closed));
}
