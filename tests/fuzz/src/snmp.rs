//! The agent of our own: requests to its engine, and what a receiver of its
//! informs says.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pptp_probe::secret::Secret;
use pptp_snmp_subagent::config::{
    Auth, Community, Privacy, Receiver, Responder, SecretFile, User, Version,
};
use pptp_snmp_subagent::snmp::engine::Engine;
use pptp_snmp_subagent::snmp::notifier::{ATTEMPTS, MAX_QUEUED, Notifier};
use pptp_snmp_subagent::snmp::system::{Counters, Identity};
use pptp_snmp_subagent::snmp::usm::{Boots, Local};
use pptp_snmp_subagent::value::{Octets, Value};
use pptp_snmp_subagent::view::MapView;

use crate::script::Cursor;

/// As in the captures, so that what is signed there is right here.
const ENGINE: &str = "80001f880501020304050607ff 1";
/// What stands in a message of SNMPv3 of the user `none` before its scoped PDU.
const ENVELOPE: [u8; 57] = *b"\x02\x01\x03\x30\x11\x02\x04\x0f\xd6\x2b\xdf\x02\x03\x00\xff\xe3\
    \x04\x01\x04\x02\x01\x03\x04\x21\x30\x1f\x04\x0d\x80\x00\x1f\x88\x05\x01\x02\x03\x04\x05\x06\
    \x07\xff\x02\x01\x01\x02\x01\x03\x04\x04none\x04\x00\x04\x00";
/// What stands in that before its PDU: context engine ID and name.
const SCOPE: [u8; 17] = *b"\x04\x0d\x80\x00\x1f\x88\x05\x01\x02\x03\x04\x05\x06\x07\xff\x04\x00";
const COMMUNITY: [u8; 11] = *b"\x02\x01\x01\x04\x06public";
const RECEIVER: ([u8; 4], u16) = ([192, 0, 2, 1], 162);

/// The first octet says what the others are: a datagram, or a PDU that gets a
/// message of SNMPv2c or SNMPv3 around it, to the engine or, as an answer, to
/// the notifier.
pub fn snmp(data: &[u8]) {
    let mut input = Cursor::new(data);
    let chosen = input.u8().unwrap_or(0);
    let rest = input.take(usize::MAX);
    let octets = match chosen % 4 {
        1 => element(&[&COMMUNITY[..], rest].concat()),
        2 => {
            let scoped = element(&[&SCOPE[..], rest].concat());
            element(&[&ENVELOPE[..], &scoped].concat())
        }
        _ => rest.to_vec(),
    };
    if chosen & 0x80 == 0 {
        // An engine makes keys from passwords, which takes its time.
        thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new()));
        BENCH.with_borrow_mut(|bench| bench.ask(&octets, chosen & 0x40 != 0));
    } else {
        answer(&octets, chosen & 0x40 != 0);
    }
}

/// A SEQUENCE with these contents.
fn element(contents: &[u8]) -> Vec<u8> {
    let length = (contents.len() as u32).to_be_bytes();
    [&[0x30, 0x84], &length[..], contents].concat()
}

/// An engine with what it serves.
struct Bench {
    engine: Engine,
    view: MapView,
    started: Instant,
    max_message: usize,
}

impl Bench {
    fn new() -> Self {
        let password = || {
            let secret = Secret::new(b"authpass1".to_vec());
            Some(SecretFile { path: "password".into(), secret })
        };
        let none = User { auth: Auth::None, privacy: Privacy::None, ..User::default() };
        let users = vec![
            User { name: "none".into(), ..none },
            User {
                name: "signed".into(),
                auth_password_file: password(),
                privacy: Privacy::None,
                ..User::default()
            },
            User {
                name: "sha1".into(),
                auth: Auth::Sha1,
                auth_password_file: password(),
                priv_password_file: Some(SecretFile {
                    path: "password".into(),
                    secret: Secret::new(b"privpass1".to_vec()),
                }),
                ..User::default()
            },
        ];
        let config = Responder { users, ..Responder::default() };
        let started = Instant::now();
        let mut view = MapView::default();
        for row in 1..=300 {
            let text = vec![row as u8; row as usize];
            let name = |column| [1, 3, 6, 1, 4, 1, 8072, 9999, 1, column, row].into();
            view.insert(name(1), Value::OctetString(Octets::copy(&text)));
            view.insert(name(2), Value::Counter64(u64::MAX >> (row % 64)));
        }
        let identity = Identity::new("an agent", [1, 3, 6, 1].into());
        let engine = Engine::new(&config, identity, local(started), 0);
        Self { engine, view, started, max_message: config.max_message.into() }
    }

    /// What an engine must not do, whoever asks.
    fn ask(&mut self, octets: &[u8], from_elsewhere: bool) {
        let now = self.started + Duration::from_secs(3);
        let from = if from_elsewhere { [192, 0, 2, 9] } else { [127, 0, 0, 1] };
        let from = SocketAddr::from((from, 40_000));
        let before = self.engine.counters();
        let answer = self.engine.handle_datagram(octets, from, &self.view, now);
        let after = self.engine.counters();
        let wrong = wrong(&after) - wrong(&before);
        assert_eq!(after.answered - before.answered, u64::from(answer.is_some()));
        let Some(answer) = answer else {
            assert_eq!(wrong, 1, "dropped without a reason, or for several");
            return;
        };
        assert!(wrong <= 1, "wrong in several ways");
        assert!(!from_elsewhere, "who is not allowed is answered");
        assert!(answer.len() <= self.max_message, "{} octets", answer.len());
        // Two agents must not keep each other busy.
        assert_eq!(self.engine.handle_datagram(&answer, from, &self.view, now), None);
    }
}

fn local(started: Instant) -> Local {
    Local::new(ENGINE.parse::<Boots>().expect("an engine ID and a number"), started)
}

fn wrong(counters: &Counters) -> u64 {
    let Counters { received: _, answered: _, not_allowed, bad_versions, .. } = *counters;
    let Counters { bad_community_names, asn_parse_errors, silent_drops, .. } = *counters;
    let Counters { unknown_security_models, invalid_messages, .. } = *counters;
    let Counters { unknown_pdu_handlers, unknown_contexts, .. } = *counters;
    let Counters { unsupported_security_levels, not_in_time_windows, .. } = *counters;
    let Counters { unknown_user_names, unknown_engine_ids, .. } = *counters;
    let Counters { wrong_digests, decryption_errors, .. } = *counters;
    [
        not_allowed,
        bad_versions,
        bad_community_names,
        asn_parse_errors,
        silent_drops,
        unknown_security_models,
        invalid_messages,
        unknown_pdu_handlers,
        unknown_contexts,
        unsupported_security_levels,
        not_in_time_windows,
        unknown_user_names,
        unknown_engine_ids,
        wrong_digests,
        decryption_errors,
    ]
    .iter()
    .sum()
}

/// Datagrams to a notifier with two informs under way, each with its length in
/// two octets before it.
fn answer(octets: &[u8], v3: bool) {
    let mut now = Instant::now();
    let none = User { auth: Auth::None, privacy: Privacy::None, ..User::default() };
    let users = [User { name: "none".into(), ..none }];
    let receiver = Receiver {
        address: Some(RECEIVER.into()),
        version: if v3 { Version::V3 } else { Version::V2c },
        inform: true,
        community: Community("public".into()),
        user: "none".into(),
    };
    let mut notifier = Notifier::new(&[receiver], &users, local(now), 0);
    for number in 1..=2 {
        notifier.notify([1, 3, 6, 1, 4, 1, number].into(), Vec::new(), now);
    }
    let mut input = Cursor::new(octets);
    loop {
        let length = input.u16();
        let datagram = input.take(length.into());
        if datagram.is_empty() {
            break;
        }
        notifier.handle_datagram(datagram, RECEIVER.into(), now);
        // One datagram leads to one at most.
        assert!(notifier.poll_transmit().is_none() || notifier.poll_transmit().is_none());
    }
    let mut waits = 0;
    while let Some(due) = notifier.poll_timeout() {
        now = due;
        notifier.handle_timeout(now);
        waits += 1;
        assert!(waits <= 2 * ATTEMPTS, "waits for ever");
    }
    let queued = std::iter::from_fn(|| notifier.poll_transmit()).count();
    assert!(queued <= MAX_QUEUED);
    let counters = notifier.counters();
    assert_eq!(counters.sent + counters.dropped, 2, "{counters:?}");
}
