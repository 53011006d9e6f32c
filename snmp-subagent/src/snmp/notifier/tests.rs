use super::*;
use crate::config::{Auth, Community, Version};
use crate::snmp::captures::{self, SNMPD, exchange};
use crate::snmp::usm::Boots;
use proptest::prelude::*;

const SNMPTRAPD: &str = "80001f880501020304050607fe";
const ADDRESS: &str = "192.0.2.1:162";

fn receiver(inform: bool, user: &str) -> config::Receiver {
    config::Receiver {
        address: Some(ADDRESS.parse().unwrap()),
        version: if user.is_empty() { Version::V2c } else { Version::V3 },
        inform,
        community: Community("public".into()),
        user: user.into(),
    }
}

/// A notifier, and the time it lives in.
struct Bench {
    notifier: Notifier,
    now: Instant,
}

impl Bench {
    /// `engine_id` was started 123 seconds ago.
    fn new(receivers: &[config::Receiver], engine_id: &str) -> Self {
        let started = Instant::now();
        let boots: Boots = format!("{engine_id} 1").parse().unwrap();
        let users = captures::users();
        let local = Local::new(boots, started);
        let notifier = Notifier::new(receivers, &users, local, 0x7fff_fff0_0000_0000);
        Self { notifier, now: started + Duration::from_millis(123_450) }
    }

    fn notify(&mut self) {
        let base = Oid::from([1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 1723]);
        let name = |ids: &[u32]| {
            let mut name = base.clone();
            name.append(ids).unwrap();
            name
        };
        let objects = vec![
            VarBind { name: name(&[1, 1, 0]), value: Value::Gauge32(7) },
            VarBind { name: name(&[1, 2, 0]), value: "text".into() },
        ];
        self.notifier.notify(name(&[0, 1]), objects, self.now);
    }

    /// The one datagram that is to be sent.
    fn sent(&mut self) -> Vec<u8> {
        let (to, octets) = self.notifier.poll_transmit().expect("something to send");
        assert_eq!(to, ADDRESS.parse().unwrap());
        assert_eq!(self.notifier.poll_transmit(), None);
        octets
    }

    fn hears(&mut self, octets: &[u8]) {
        self.notifier.handle_datagram(octets, ADDRESS.parse().unwrap(), self.now);
    }

    /// Until an answer is due.
    fn wait(&mut self) {
        self.now = self.notifier.poll_timeout().expect("something is awaited");
        self.notifier.handle_timeout(self.now);
    }
}

/// What a receiver with an engine of its own says.
struct Peer {
    engine_id: EngineId,
    clock: Clock,
}

impl Peer {
    fn new() -> Self {
        Self { engine_id: SNMPTRAPD.parse().unwrap(), clock: Clock { boots: 3, time: 1000 } }
    }

    fn keys(&self, user: &str) -> Keys {
        let user = captures::users().into_iter().find(|known| known.name == user).unwrap();
        User::new(&user).localize(&self.engine_id).unwrap()
    }

    /// The identifiers in a message to it.
    fn opens(&self, octets: &[u8], user: &str) -> (i32, Pdus, Clock) {
        let message = MessageV3::parse(octets).unwrap();
        let parameters = Parameters::parse(&message.security_parameters).unwrap();
        let level = Level::of(message.flags).unwrap();
        let keys = self.keys(user);
        assert!(level == Level::NoAuthNoPriv || keys.verify(octets));
        let pdu = parameters.open(level, Some(&keys), message.data).unwrap();
        (message.id, pdu.data, parameters.clock)
    }

    fn says(&self, to: &[u8], user: &str, level: Level, data: impl FnOnce(Pdu) -> Pdus) -> Vec<u8> {
        let (id, asked, _) = self.opens(to, user);
        let pdu = match asked {
            Pdus::InformRequest(v2::InformRequest(pdu)) => pdu,
            Pdus::GetRequest(v2::GetRequest(pdu)) => pdu,
            other => panic!("{other:?}"),
        };
        let user = user.as_bytes();
        let keys = self.keys("sha256");
        let envelope = Envelope {
            id,
            engine_id: self.engine_id.as_slice(),
            clock: self.clock,
            user: if level == Level::NoAuthNoPriv { &[] } else { user },
            level,
            keys: Some(&keys),
            reportable: false,
            ..BLANK
        };
        let engine_id = OctetString::from_slice(self.engine_id.as_slice());
        envelope
            .seal(ScopedPdu { engine_id, name: OctetString::default(), data: data(pdu) })
            .unwrap()
    }

    fn reports(&self, to: &[u8], level: Level, report: Report) -> Vec<u8> {
        self.says(to, "sha256", level, |asked| {
            let varbind = message::varbind(&report.name(), &Value::Counter32(1));
            Pdus::Report(v2::Report(pdu(asked.request_id, vec![varbind])))
        })
    }

    fn answers(&self, to: &[u8]) -> Vec<u8> {
        self.says(to, "sha256", Level::AuthPriv, |asked| Pdus::Response(v2::Response(asked)))
    }
}

#[test]
fn traps_are_those_of_net_snmp() {
    let mut bench = Bench::new(&[receiver(false, "")], SNMPD);
    let octets = exchange("trap-v2c").swap_remove(0);
    let Pdus::Trap(v2::Trap(pdu)) = message::parse_v2c(&octets).unwrap().data else { panic!() };
    bench.notifier.origin.id = pdu.request_id - 1;
    bench.notify();
    assert_eq!(bench.sent(), octets);

    let mut bench = Bench::new(&[receiver(false, "sha256")], SNMPD);
    let octets = exchange("trap-v3").swap_remove(0);
    let message = MessageV3::parse(&octets).unwrap();
    let parameters = Parameters::parse(&message.security_parameters).unwrap();
    let peer = Peer { engine_id: SNMPD.parse().unwrap(), clock: parameters.clock };
    let (id, Pdus::Trap(v2::Trap(pdu)), _) = peer.opens(&octets, "sha256") else { panic!() };
    // Its request-id is the next after msgID, ours the one before.
    let salt = u64::from_be_bytes((&parameters.privacy[..]).try_into().unwrap());
    bench.notifier.origin.salt = salt - 1;
    bench.notifier.origin.id = id - 2;
    bench.notify();
    let (ours_id, Pdus::Trap(v2::Trap(ours)), _) = peer.opens(&bench.sent(), "sha256") else {
        panic!()
    };
    assert_eq!(ours_id, id);
    assert_eq!(Pdu { request_id: pdu.request_id, ..ours }, pdu);
    assert_eq!(bench.notifier.counters().sent, 1);
}

#[test]
fn an_inform_is_that_of_net_snmp_and_its_answer_is_understood() {
    let mut bench = Bench::new(&[receiver(true, "")], SNMPD);
    let [inform, answer] = &exchange("inform-v2c")[..] else { panic!() };
    let request = message::parse_v2c(inform).unwrap().data;
    let Pdus::InformRequest(v2::InformRequest(pdu)) = request else { panic!() };
    bench.notifier.origin.id = pdu.request_id - 1;
    bench.notify();
    assert_eq!(bench.sent(), *inform);
    bench.hears(answer);
    let counters = Counters { sent: 1, ..Counters::default() };
    assert_eq!(bench.notifier.counters(), counters);
    assert_eq!(bench.notifier.poll_timeout(), None);
    // Once is enough.
    bench.hears(answer);
    assert_eq!(bench.notifier.counters(), Counters { unexpected: 1, ..counters });
}

#[test]
fn an_inform_of_snmpv3_asks_who_the_receiver_is_as_net_snmp_does() {
    let exchange = exchange("inform-v3");
    let [question, report, inform, answer] = &exchange[..] else { panic!() };
    let mut bench = Bench::new(&[receiver(true, "sha256")], "80001f8880962959354972016b00000000");
    let ids = |octets| {
        let peer = Peer::new();
        let (id, pdu, _) = peer.opens(octets, "sha256");
        let request_id = match pdu {
            Pdus::GetRequest(v2::GetRequest(pdu)) => pdu.request_id,
            Pdus::InformRequest(v2::InformRequest(pdu)) => pdu.request_id,
            other => panic!("{other:?}"),
        };
        (id, request_id)
    };
    let (id, request_id) = ids(question);
    bench.notify();
    bench.sent();
    // Again, with its identifiers.
    bench.notifier.receivers[0].awaited.as_mut().unwrap().request_id = request_id;
    bench.notifier.origin.id = id - 1;
    bench.wait();
    assert_eq!(bench.sent(), *question);

    let (id, request_id) = ids(inform);
    bench.notifier.receivers[0].awaited.as_mut().unwrap().request_id = request_id;
    bench.notifier.origin.id = id - 1;
    let parameters = MessageV3::parse(inform).unwrap().security_parameters;
    let salt = Parameters::parse(&parameters).unwrap().privacy;
    bench.notifier.origin.salt = u64::from_be_bytes((&salt[..]).try_into().unwrap()) - 1;
    bench.hears(report);
    let ours = bench.sent();
    let inform_of = |octets| {
        let Pdus::InformRequest(v2::InformRequest(pdu)) = Peer::new().opens(octets, "sha256").1
        else {
            panic!()
        };
        pdu
    };
    assert_eq!(inform_of(&ours), inform_of(inform));
    assert_eq!(ours, *inform);
    bench.hears(answer);
    assert_eq!(bench.notifier.counters().sent, 1);
    // The next one needs no question.
    bench.notify();
    assert!(matches!(Peer::new().opens(&bench.sent(), "sha256").1, Pdus::InformRequest(_)));
}

#[test]
fn an_inform_is_repeated_and_then_given_up() {
    for user in ["", "none", "sha256"] {
        let mut bench = Bench::new(&[receiver(true, user)], SNMPD);
        bench.notify();
        bench.notify();
        for notification in 1..=2 {
            for attempt in 1..=ATTEMPTS {
                bench.sent();
                assert_eq!(bench.notifier.poll_event(), None);
                let counters = bench.notifier.counters();
                let repeated = (notification - 1) * (ATTEMPTS - 1) + attempt - 1;
                assert_eq!(counters.repeated, u64::from(repeated));
                bench.wait();
                if notification == 1 && attempt == ATTEMPTS {
                    let receiver = ADDRESS.parse().unwrap();
                    let silent = Event::Silent { receiver, reason: None };
                    assert_eq!(bench.notifier.poll_event(), Some(silent));
                }
            }
        }
        assert_eq!(bench.notifier.poll_transmit(), None);
        assert_eq!(bench.notifier.poll_timeout(), None);
        assert_eq!(bench.notifier.poll_event(), None);
        assert_eq!(bench.notifier.counters().dropped, 2);
    }
}

#[test]
fn a_repeated_inform_is_answered_by_the_answer_to_the_first() {
    let mut bench = Bench::new(&[receiver(true, "")], SNMPD);
    bench.notify();
    let first = bench.sent();
    bench.wait();
    assert_eq!(bench.sent(), first);
    let mut answer = message::parse_v2c(&first).unwrap();
    let Pdus::InformRequest(v2::InformRequest(pdu)) = answer.data else { panic!() };
    answer.data = Pdus::Response(v2::Response(pdu));
    let octets = |community: &[u8]| message::emit_v2c(community, answer.data.clone()).unwrap();
    bench.hears(&octets(b"private"));
    assert_eq!(bench.notifier.counters().unexpected, 1);
    let octets = octets(b"public");
    bench.notifier.handle_datagram(&octets, "192.0.2.2:162".parse().unwrap(), bench.now);
    assert_eq!(bench.notifier.counters().unexpected, 2);
    // As a socket of IPv6 names it.
    bench.notifier.handle_datagram(&octets, "[::ffff:192.0.2.1]:162".parse().unwrap(), bench.now);
    assert_eq!(bench.notifier.counters().sent, 1);
}

#[test]
fn a_receiver_that_answers_again_is_told_of() {
    let mut bench = Bench::new(&[receiver(true, "")], SNMPD);
    let receiver = ADDRESS.parse().unwrap();
    bench.notify();
    (0..ATTEMPTS).for_each(|_| bench.wait());
    assert_eq!(bench.notifier.poll_event(), Some(Event::Silent { receiver, reason: None }));
    while bench.notifier.poll_transmit().is_some() {}
    bench.notify();
    let message = message::parse_v2c(&bench.sent()).unwrap();
    let Pdus::InformRequest(v2::InformRequest(pdu)) = message.data else { panic!() };
    bench.hears(&message::emit_v2c(b"public", Pdus::Response(v2::Response(pdu))).unwrap());
    assert_eq!(bench.notifier.poll_event(), Some(Event::Answers { receiver }));
}

#[test]
fn a_receiver_whose_clock_differs_is_sent_the_inform_again_at_once() {
    let mut bench = Bench::new(&[receiver(true, "sha256")], SNMPD);
    let mut peer = Peer::new();
    bench.notify();
    let question = bench.sent();
    bench.hears(&peer.reports(&question, Level::NoAuthNoPriv, Report::UnknownEngineIds));
    let inform = bench.sent();
    assert_eq!(peer.opens(&inform, "sha256").2, peer.clock);
    // It booted in between.
    peer.clock = Clock { boots: 4, time: 5 };
    // Nobody signed this one.
    bench.hears(&peer.reports(&inform, Level::NoAuthNoPriv, Report::NotInTimeWindows));
    assert_eq!(bench.notifier.poll_transmit(), None);
    bench.hears(&peer.reports(&inform, Level::AuthNoPriv, Report::NotInTimeWindows));
    let again = bench.sent();
    assert_eq!(peer.opens(&again, "sha256").2, peer.clock);
    // That is done once until it is silent.
    bench.hears(&peer.reports(&again, Level::AuthNoPriv, Report::NotInTimeWindows));
    assert_eq!(bench.notifier.poll_transmit(), None);
    bench.hears(&peer.answers(&again));
    assert_eq!(bench.notifier.counters().sent, 1);
    // Time goes on for both.
    bench.now += Duration::from_secs(60);
    bench.notify();
    let next = bench.sent();
    assert_eq!(peer.opens(&next, "sha256").2, Clock { boots: 4, time: 65 });
}

#[test]
fn an_old_answer_or_one_with_a_wrong_signature_counts_for_nothing() {
    let mut bench = Bench::new(&[receiver(true, "sha256")], SNMPD);
    let mut peer = Peer::new();
    bench.notify();
    let question = bench.sent();
    bench.hears(&peer.reports(&question, Level::NoAuthNoPriv, Report::UnknownEngineIds));
    let inform = bench.sent();
    bench.hears(&peer.answers(&inform));
    assert_eq!(bench.notifier.counters().sent, 1);
    bench.notify();
    let inform = bench.sent();
    let right = peer.answers(&inform);
    for at in 0..right.len() {
        let mut changed = right.clone();
        changed[at] ^= 1;
        bench.hears(&changed);
    }
    let plain = peer
        .says(&inform, "sha256", Level::AuthNoPriv, |asked| Pdus::Response(v2::Response(asked)));
    bench.hears(&plain);
    peer.clock.time -= 151;
    bench.hears(&peer.answers(&inform));
    peer.clock = Clock { boots: 2, time: 9000 };
    bench.hears(&peer.answers(&inform));
    assert_eq!(bench.notifier.counters().sent, 1);
    assert_eq!(bench.notifier.counters().unexpected, right.len() as u64 + 3);
    bench.hears(&right);
    assert_eq!(bench.notifier.counters().sent, 2);
}

#[test]
fn a_receiver_says_why_it_takes_nothing() {
    let mut bench = Bench::new(&[receiver(true, "sha256")], SNMPD);
    let peer = Peer::new();
    bench.notify();
    let question = bench.sent();
    bench.hears(&peer.reports(&question, Level::NoAuthNoPriv, Report::UnknownEngineIds));
    for _ in 0..ATTEMPTS {
        let inform = bench.sent();
        bench.hears(&peer.reports(&inform, Level::NoAuthNoPriv, Report::UnknownUserNames));
        assert_eq!(bench.notifier.poll_transmit(), None);
        bench.wait();
    }
    let event = bench.notifier.poll_event().unwrap();
    let said = "192.0.2.1:162 takes no informs: it does not know the user";
    assert_eq!(event.to_string(), said);
}

#[test]
fn a_receiver_that_became_another_is_asked_again_but_not_for_ever() {
    let mut bench = Bench::new(&[receiver(true, "sha256")], SNMPD);
    let mut peer = Peer::new();
    bench.notify();
    let question = bench.sent();
    bench.hears(&peer.reports(&question, Level::NoAuthNoPriv, Report::UnknownEngineIds));
    let inform = bench.sent();
    let other = peer.reports(&inform, Level::NoAuthNoPriv, Report::UnknownEngineIds);
    bench.hears(&other);
    let question = bench.sent();
    peer.engine_id = EngineId::new(1, [1; 8]);
    bench.hears(&peer.reports(&question, Level::NoAuthNoPriv, Report::UnknownEngineIds));
    let inform = bench.sent();
    bench.hears(&peer.reports(&inform, Level::NoAuthNoPriv, Report::UnknownEngineIds));
    assert_eq!(bench.notifier.poll_transmit(), None);
    bench.hears(&peer.answers(&inform));
    assert_eq!(bench.notifier.counters().sent, 1);
}

#[test]
fn the_queue_is_bounded_and_keeps_what_is_under_way() {
    let mut bench = Bench::new(&[receiver(true, ""), receiver(false, "")], SNMPD);
    for _ in 0..MAX_QUEUED + 10 {
        bench.notify();
    }
    let mut taken = 0;
    while bench.notifier.poll_transmit().is_some() {
        taken += 1;
    }
    // One of them the inform.
    assert_eq!(taken, MAX_QUEUED);
    let counters = bench.notifier.counters();
    assert_eq!(counters.sent, MAX_QUEUED as u64 - 1);
    assert_eq!(counters.dropped, 10 + 11);
    assert_eq!(bench.notifier.receivers[0].queue.len(), MAX_QUEUED);
}

#[test]
fn what_fits_no_datagram_is_dropped() {
    for inform in [false, true] {
        let mut bench = Bench::new(&[receiver(inform, "")], SNMPD);
        let value = Value::OctetString(crate::value::Octets::copy(&[0; 65_500]));
        let objects = vec![VarBind { name: [1, 3, 1].into(), value }];
        bench.notifier.notify([1, 3, 2].into(), objects, bench.now);
        assert_eq!(bench.notifier.counters().dropped, 1);
        assert_eq!(bench.notifier.poll_timeout(), None);
        bench.notify();
        bench.sent();
    }
}

#[test]
fn a_receiver_without_address_or_user_is_passed_over() {
    let nowhere = config::Receiver { address: None, ..receiver(false, "") };
    let bench = Bench::new(&[nowhere, receiver(false, "nobody"), receiver(false, "")], SNMPD);
    assert_eq!(bench.notifier.receivers.len(), 1);
    let user = captures::user("x", Auth::Sha1, Some("authpass1"), None);
    assert_eq!(User::new(&user).level(), Level::AuthNoPriv);
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic_and_the_queue_empties(
        answers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        user in prop::sample::select(vec!["", "none"]),
    ) {
        let mut bench = Bench::new(&[receiver(true, user)], SNMPD);
        bench.notify();
        for answer in answers {
            bench.hears(&answer);
        }
        for _ in 0..ATTEMPTS {
            bench.wait();
        }
        prop_assert_eq!(bench.notifier.poll_timeout(), None);
    }
}
