use super::*;
use crate::snmp::captures::{self, SNMPD, exchange, lines};
use crate::snmp::message::MIN_MESSAGE;
use crate::snmp::usm::{Boots, Clock, EngineId};
use crate::value::Octets;
use crate::view::MapView;
use proptest::prelude::*;
use std::time::Duration;

const FROM: &str = "127.0.0.1:40000";
/// One below the first salt of the captured snmpd.
const SALT: u64 = 0x5e88_168d_f429_1108;

/// An engine, what it serves, and when it is.
struct Bench {
    engine: Engine,
    view: MapView,
    now: Instant,
}

impl Bench {
    fn new(adjust: impl FnOnce(&mut Responder)) -> Self {
        Self::booted(1, adjust)
    }

    fn booted(boots: u32, adjust: impl FnOnce(&mut Responder)) -> Self {
        let mut config = Responder {
            users: captures::users(),
            sys_location: "test bed".into(),
            sys_name: "vm".into(),
            max_message: 65_507,
            ..Responder::default()
        };
        adjust(&mut config);
        let now = Instant::now();
        let boots: Boots = format!("{SNMPD} {boots}\n").parse().unwrap();
        let identity = Identity::new("a gateway", [1, 3, 6, 1, 4, 1, 8072].into());
        let engine = Engine::new(&config, identity, Local::new(boots, now), SALT);
        Self { engine, view: MapView::default(), now }
    }

    fn ask(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        let from = FROM.parse().unwrap();
        self.engine.handle_datagram(octets, from, &self.view, self.now)
    }

    /// Asks as a user does, with the clock of the engine.
    fn ask_v3(&mut self, user: &str, adjust: impl FnOnce(&mut Question)) -> Option<Vec<u8>> {
        let question = self.question(user, adjust);
        self.ask(&question)
    }

    fn question(&self, user: &str, adjust: impl FnOnce(&mut Question)) -> Vec<u8> {
        let user = captures::users().into_iter().find(|known| known.name == user).unwrap();
        let user = User::new(&user);
        let engine_id: EngineId = SNMPD.parse().unwrap();
        let mut question = Question {
            level: user.level(),
            clock: self.engine.local.clock(self.now),
            max_size: 65_507,
            reportable: true,
            engine_id: engine_id.as_slice().to_vec(),
            context_engine_id: engine_id.as_slice().to_vec(),
            context_name: Vec::new(),
            data: get(&[[1, 3, 6, 1, 2, 1, 1, 6, 0].into()]),
        };
        adjust(&mut question);
        let pdu = ScopedPdu {
            engine_id: question.context_engine_id.into(),
            name: question.context_name.into(),
            data: question.data,
        };
        Envelope {
            id: 7,
            max_size: question.max_size,
            reportable: question.reportable,
            engine_id: &question.engine_id,
            clock: question.clock,
            user: &user.name,
            level: question.level,
            keys: user.localize(&engine_id).as_ref(),
            salt: 9,
        }
        .seal(pdu)
        .unwrap()
    }

    /// The PDU of an answer to a user, which must be right in every respect.
    fn open(&self, user: &str, octets: &[u8]) -> Pdus {
        let user = captures::users().into_iter().find(|known| known.name == user).unwrap();
        let keys = User::new(&user).localize(&SNMPD.parse().unwrap());
        let message = MessageV3::parse(octets).unwrap();
        let level = Level::of(message.flags).unwrap();
        let parameters = Parameters::parse(&message.security_parameters).unwrap();
        assert_eq!(message.id, 7);
        assert_eq!(message.flags & REPORTABLE, 0);
        assert_eq!(parameters.clock, self.engine.local.clock(self.now));
        if level >= Level::AuthNoPriv {
            assert!(keys.as_ref().unwrap().verify(octets));
        }
        parameters.open(level, keys.as_ref(), message.data).unwrap().data
    }

    /// The Report in an answer, and the level of it.
    fn report(&self, user: &str, octets: &[u8]) -> (Report, u32, Level) {
        let level = Level::of(MessageV3::parse(octets).unwrap().flags).unwrap();
        let Pdus::Report(v2::Report(pdu)) = self.open(user, octets) else { panic!("no report") };
        let [varbind] = &pdu.variable_bindings[..] else { panic!("{pdu:?}") };
        let name = message::name(&varbind.name).unwrap();
        let report = Report::ALL.into_iter().find(|report| report.name() == name).unwrap();
        let v2::VarBindValue::Value(v2::ObjectSyntax::ApplicationWide(
            rasn_smi::v2::ApplicationSyntax::Counter(count),
        )) = &varbind.value
        else {
            panic!("{varbind:?}")
        };
        (report, count.0, level)
    }
}

/// What a question says that may be wrong.
struct Question {
    level: Level,
    clock: Clock,
    max_size: usize,
    reportable: bool,
    engine_id: Vec<u8>,
    context_engine_id: Vec<u8>,
    context_name: Vec<u8>,
    data: Pdus,
}

fn request(names: &[Oid]) -> Pdu {
    let variable_bindings = names.iter().map(|name| message::varbind(name, &Value::Null));
    let variable_bindings = variable_bindings.collect();
    Pdu { request_id: 42, error_status: 0, error_index: 0, variable_bindings }
}

fn get(names: &[Oid]) -> Pdus {
    Pdus::GetRequest(v2::GetRequest(request(names)))
}

fn bulk(names: &[Oid], non_repeaters: u32, max_repetitions: u32) -> Pdus {
    let variable_bindings = request(names).variable_bindings;
    Pdus::GetBulkRequest(v2::GetBulkRequest(v2::BulkPdu {
        request_id: 42,
        non_repeaters,
        max_repetitions,
        variable_bindings,
    }))
}

fn public(data: Pdus) -> Vec<u8> {
    message::emit_v2c(b"public", data).unwrap()
}

fn response(octets: &[u8]) -> Pdu {
    let message = message::parse_v2c(octets).unwrap();
    assert_eq!(&message.community[..], b"public");
    let Pdus::Response(v2::Response(pdu)) = message.data else { panic!("{:?}", message.data) };
    assert_eq!(pdu.request_id, 42);
    pdu
}

fn table(rows: u32, text: &str) -> MapView {
    let mut view = MapView::default();
    for row in 1..=rows {
        let value = Value::OctetString(Octets::copy(text.as_bytes()));
        view.insert([1, 3, 6, 1, 4, 1, 8072, 9999, 1, row].into(), value);
    }
    view
}

#[test]
fn the_answers_are_those_of_net_snmp() {
    let mut bench = Bench::new(|_| ());
    let started = bench.now;
    let lines: Vec<_> = lines()
        .filter(|line| !line.name.contains("trap") && !line.name.contains("inform"))
        .collect();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.is_question) {
        let expected = lines.get(number + 1).filter(|line| !line.is_question);
        let expected = expected.map(|line| line.octets.clone());
        if let Some(message) = expected.as_ref().and_then(|octets| MessageV3::parse(octets)) {
            let clock = Parameters::parse(&message.security_parameters).unwrap().clock;
            bench.now = started + Duration::from_secs(clock.time.into());
        }
        let answer = bench.ask(&line.octets);
        match line.name {
            // SNMPv1 is not spoken here.
            "get-v1" => assert_eq!(answer, None),
            // It says noAccess of a variable that nobody can set.
            "set-v2c" => {
                let mut expected = expected.unwrap();
                let at = expected.len() - 23;
                assert_eq!(expected[at..at + 3], [2, 1, 6]);
                expected[at + 2] = 17;
                assert_eq!(answer, Some(expected));
            }
            // It says nothing to the second question.
            "context" if expected.is_none() => {
                assert_eq!(bench.engine.counters.unknown_contexts, 1);
                assert!(answer.is_some());
            }
            name => assert_eq!(answer, expected, "{name}, line {number}"),
        }
    }
    let counters = bench.engine.counters();
    assert_eq!(counters.received, 37);
    assert_eq!((counters.bad_versions, counters.bad_community_names), (1, 1));
    assert_eq!((counters.unknown_user_names, counters.wrong_digests), (1, 1));
    assert_eq!((counters.unsupported_security_levels, counters.not_in_time_windows), (1, 1));
    // Encrypted with another password, which leaves nothing that parses.
    assert_eq!(counters.asn_parse_errors, 1);
}

#[test]
fn every_prefix_is_dropped_and_counted() {
    for line in lines().filter(|line| line.is_question) {
        let mut bench = Bench::new(|_| ());
        for length in 0..line.octets.len() {
            assert_eq!(bench.ask(&line.octets[..length]), None, "{}", line.name);
        }
        assert_eq!(bench.engine.counters.asn_parse_errors, line.octets.len() as u64);
    }
}

#[test]
fn what_stands_behind_a_message_makes_it_malformed() {
    let mut bench = Bench::new(|_| ());
    for name in ["get-v2c", "get-none", "get-sha1"] {
        let mut octets = exchange(name).swap_remove(0);
        octets.push(0);
        assert_eq!(bench.ask(&octets), None);
    }
    assert_eq!(bench.engine.counters.asn_parse_errors, 3);
}

#[test]
fn who_is_not_allowed_gets_nothing() {
    let mut bench = Bench::new(|_| ());
    for name in ["get-v2c", "get-none"] {
        for (from, answered) in
            [("192.0.2.1:1", false), ("[2001:db8::1]:1", false), ("[::1]:1", true)]
        {
            let octets = &exchange(name)[0];
            let answer =
                bench.engine.handle_datagram(octets, from.parse().unwrap(), &bench.view, bench.now);
            assert_eq!(answer.is_some(), answered, "{name} {from}");
        }
    }
    assert_eq!((bench.engine.counters.not_allowed, bench.engine.counters.received), (4, 2));
}

#[test]
fn each_of_several_communities_counts_and_no_other() {
    let mut bench = Bench::new(|config| {
        config.communities = ["", "one", "two"].map(|name| Community(name.into())).to_vec();
    });
    let names = [[1, 3, 6, 1, 2, 1, 1, 6, 0].into()];
    for (community, known) in
        [("one", true), ("two", true), ("on", false), ("onee", false), ("public", false)]
    {
        let octets = message::emit_v2c(community.as_bytes(), get(&names)).unwrap();
        assert_eq!(bench.ask(&octets).is_some(), known, "{community}");
    }
    assert_eq!(bench.engine.counters.bad_community_names, 3);
}

#[test]
fn a_message_in_the_window_of_time_is_answered_and_no_other() {
    let mut bench = Bench::new(|_| ());
    let started = bench.now;
    bench.now += Duration::from_secs(1000);
    for (boots, time, answered) in [
        (1, 850, true),
        (1, 1150, true),
        (1, 849, false),
        (1, 1151, false),
        (0, 1000, false),
        (2, 1000, false),
        (2_147_483_647, 1000, false),
    ] {
        let answer = bench.ask_v3("sha256", |question| question.clock = Clock { boots, time });
        let answer = answer.unwrap();
        match bench.open("sha256", &answer) {
            Pdus::Response(_) => assert!(answered, "{boots} {time}"),
            Pdus::Report(_) => {
                assert!(!answered, "{boots} {time}");
                let (report, _, level) = bench.report("sha256", &answer);
                assert_eq!((report, level), (Report::NotInTimeWindows, Level::AuthNoPriv));
            }
            other => panic!("{other:?}"),
        }
    }
    // The captured question, from the third second, once more.
    let octets = exchange("get-sha256").swap_remove(2);
    bench.now = started + Duration::from_secs(153);
    assert!(MessageV3::parse(&bench.ask(&octets).unwrap()).unwrap().flags & 3 == 3);
    bench.now += Duration::from_secs(1);
    assert!(MessageV3::parse(&bench.ask(&octets).unwrap()).unwrap().flags & 3 == 1);
}

#[test]
fn nothing_signed_is_taken_once_the_boots_are_used_up() {
    let mut bench = Bench::booted(2_147_483_647, |_| ());
    let answer = bench.ask_v3("signed", |_| ()).unwrap();
    assert_eq!(bench.report("signed", &answer).0, Report::NotInTimeWindows);
    let answer = bench.ask_v3("none", |_| ()).unwrap();
    assert!(matches!(bench.open("none", &answer), Pdus::Response(_)));
}

#[test]
fn wrong_messages_are_reported_at_their_level() {
    let mut bench = Bench::new(|_| ());
    let silent = Level::NoAuthNoPriv;
    let answer = bench.ask_v3("sha512", |question| question.engine_id[12] = 0).unwrap();
    assert_eq!(bench.report("sha512", &answer), (Report::UnknownEngineIds, 1, silent));
    let answer = bench.ask_v3("sha512", |question| question.context_engine_id.clear()).unwrap();
    let expected = (Report::UnknownPduHandlers, 1, Level::AuthPriv);
    assert_eq!(bench.report("sha512", &answer), expected);
    let answer = bench.ask_v3("sha512", |question| question.context_name.push(b'x')).unwrap();
    assert_eq!(bench.report("sha512", &answer), (Report::UnknownContexts, 1, Level::AuthPriv));
    // An inform is answered by nobody here, and wants an answer.
    let inform = || Pdus::InformRequest(v2::InformRequest(request(&[])));
    let answer = bench.ask_v3("sha1", |question| question.data = inform()).unwrap();
    let expected = (Report::UnknownPduHandlers, 2, Level::AuthPriv);
    assert_eq!(bench.report("sha1", &answer), expected);
}

#[test]
fn a_context_longer_than_contexts_are_is_malformed() {
    for (length, answered) in [(32, true), (33, false)] {
        let mut bench = Bench::new(|_| ());
        let name = bench.ask_v3("none", |asked| asked.context_name = vec![b'x'; length]);
        let id = bench.ask_v3("none", |asked| asked.context_engine_id = vec![b'x'; length]);
        assert_eq!((name.is_some(), id.is_some()), (answered, answered));
        assert_eq!(bench.engine.counters.asn_parse_errors == 2, !answered);
    }
}

#[test]
fn a_salt_of_a_wrong_length_is_a_decryption_error() {
    let mut bench = Bench::new(|_| ());
    let user = captures::users().swap_remove(4);
    let keys = User::new(&user).localize(&SNMPD.parse().unwrap()).unwrap();
    let mut octets = bench.question("sha256", |_| ());
    // One octet of the salt moves into the encrypted PDU, and the digest is
    // made anew.
    let at = message::authentication_parameters(&octets).unwrap();
    let privacy = at.end;
    assert_eq!(octets[privacy..privacy + 2], [4, 8]);
    octets.remove(privacy + 2);
    octets[privacy + 1] = 7;
    let parameters = 8 + usize::from(octets[7]);
    assert_eq!((octets[1], octets[parameters], octets[parameters + 2]), (0x81, 4, 0x30));
    for length in [2, parameters + 1, parameters + 3] {
        octets[length] -= 1;
    }
    keys.stamp(&mut octets).unwrap();
    let answer = bench.ask(&octets).unwrap();
    let (report, count, level) = bench.report("sha256", &answer);
    assert_eq!((report, count, level), (Report::DecryptionErrors, 1, Level::NoAuthNoPriv));
}

#[test]
fn nobody_is_told_who_did_not_ask() {
    let mut bench = Bench::new(|_| ());
    let response = || Pdus::Response(v2::Response(request(&[])));
    let trap = || Pdus::Trap(v2::Trap(request(&[])));
    let report = || Pdus::Report(v2::Report(request(&[])));
    for data in [response, trap, report] {
        assert_eq!(bench.ask(&public(data())), None);
        assert_eq!(bench.ask_v3("none", |question| question.data = data()), None);
        assert_eq!(bench.ask_v3("sha1", |question| question.data = data()), None);
        // Not even who the engine is.
        let unknown = |question: &mut Question| {
            question.engine_id.clear();
            question.data = data();
        };
        assert_eq!(bench.ask_v3("none", unknown), None);
    }
    assert_eq!(bench.ask_v3("sha1", |question| question.engine_id.clear()).map(|_| ()), Some(()));
    let quiet = |question: &mut Question| {
        question.engine_id.clear();
        question.reportable = false;
    };
    assert_eq!(bench.ask_v3("sha1", quiet), None);
}

#[test]
fn a_user_who_must_encrypt_gets_nothing_in_the_clear() {
    let mut bench = Bench::new(|_| ());
    for (user, level) in [
        ("sha256", Level::NoAuthNoPriv),
        ("sha256", Level::AuthNoPriv),
        ("signed", Level::NoAuthNoPriv),
    ] {
        let answer = bench.ask_v3(user, |question| question.level = level).unwrap();
        let Pdus::Response(v2::Response(pdu)) = bench.open(user, &answer) else { panic!() };
        assert_eq!(pdu.error_status, Pdu::ERROR_STATUS_AUTHORIZATION_ERROR);
        assert_eq!(pdu.variable_bindings[0].value, v2::VarBindValue::Unspecified);
    }
}

#[test]
fn a_changed_octet_is_never_answered_with_a_value() {
    let mut bench = Bench::new(|_| ());
    for name in ["get-sha1", "get-sha512", "get-signed"] {
        let octets = exchange(name).swap_remove(2);
        bench.now += Duration::from_secs(1);
        for at in 0..octets.len() {
            for bit in 0..8 {
                let mut changed = octets.clone();
                changed[at] ^= 1 << bit;
                if let Some(answer) = bench.ask(&changed) {
                    let flags = MessageV3::parse(&answer).unwrap().flags;
                    assert_eq!(flags, 0, "{name}: octet {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn setting_is_refused_by_name_of_the_first_variable() {
    let mut bench = Bench::new(|_| ());
    for count in 0..3 {
        let names = vec![Oid::from([1, 3, 6, 1, 2, 1, 1, 6, 0]); count];
        let set = Pdus::SetRequest(v2::SetRequest(request(&names)));
        let answer = response(&bench.ask(&public(set)).unwrap());
        assert_eq!(answer.error_status, Pdu::ERROR_STATUS_NOT_WRITABLE);
        assert_eq!(answer.error_index, count.min(1) as u32);
        assert_eq!(answer.variable_bindings.len(), count);
    }
}

#[test]
fn an_answer_that_does_not_fit_is_too_big() {
    let mut bench = Bench::new(|config| config.max_message = MIN_MESSAGE as u16);
    bench.view = table(4, &"x".repeat(200));
    let row = |row| Oid::from([1, 3, 6, 1, 4, 1, 8072, 9999, 1, row]);
    let answer = response(&bench.ask(&public(get(&[row(1), row(2)]))).unwrap());
    assert_eq!(answer.error_status, Pdu::ERROR_STATUS_NO_ERROR);
    assert_eq!(answer.variable_bindings.len(), 2);
    let rows = [row(1), row(2), row(3)];
    let next = Pdus::GetNextRequest(v2::GetNextRequest(request(&rows)));
    for question in [get(&rows), next] {
        let answer = response(&bench.ask(&public(question)).unwrap());
        assert_eq!(answer.error_status, Pdu::ERROR_STATUS_TOO_BIG);
        assert_eq!((answer.error_index, answer.variable_bindings.len()), (0, 0));
    }
    // A GetBulk has what fits.
    let answer = response(&bench.ask(&public(bulk(&rows, 0, 1))).unwrap());
    assert_eq!(answer.error_status, Pdu::ERROR_STATUS_NO_ERROR);
    assert_eq!(answer.variable_bindings.len(), 2);
}

#[test]
fn a_question_longer_than_is_taken_is_malformed() {
    let mut bench = Bench::new(|config| config.max_message = 600);
    let names = |count| vec![Oid::from([1, 3, 6, 1, 2, 1, 1, 6, 0]); count];
    assert!(bench.ask(&public(get(&names(30)))).is_some());
    assert_eq!(bench.ask(&public(get(&names(50)))), None);
    assert_eq!(bench.engine.counters.asn_parse_errors, 1);
}

#[test]
fn a_bulk_of_a_million_is_bounded_by_octets_and_by_variables() {
    let mut bench = Bench::new(|config| config.max_message = 1472);
    bench.view = table(5000, "some text");
    let start = [Oid::from([1, 3, 6, 1, 4, 1])];
    let octets = bench.ask(&public(bulk(&start, 0, 1_000_000))).unwrap();
    assert!((1400..=1472).contains(&octets.len()), "{}", octets.len());
    let answer = bench.ask_v3("sha512", |question| {
        question.max_size = 1000;
        question.data = bulk(&start, 0, 1_000_000);
    });
    let answer = answer.unwrap();
    assert!((800..=1000).contains(&answer.len()), "{}", answer.len());
    let mut bench = Bench::new(|_| ());
    bench.view = table(5000, "");
    let octets = bench.ask(&public(bulk(&start, 0, u32::MAX))).unwrap();
    assert_eq!(response(&octets).variable_bindings.len(), MAX_VARBINDS);
}

#[test]
fn a_walk_ends_where_everything_ends() {
    let mut bench = Bench::new(|_| ());
    bench.view = table(3, "x");
    let last = Oid::from([1, 3, 6, 1, 6, 3, 15, 1, 1, 6, 0]);
    let rows: Oid = [1, 3, 6, 1, 4, 1, 8072, 9999, 1, 2].into();
    let answer = bulk(&[last.clone(), rows, last.clone()], 1, 4);
    let answer = response(&bench.ask(&public(answer)).unwrap());
    let ended: Vec<_> = answer
        .variable_bindings
        .iter()
        .map(|varbind| varbind.value == v2::VarBindValue::EndOfMibView)
        .collect();
    assert_eq!(ended, [true, false, true, false, true, false, true, false, true]);
    let all_at_end = bulk(std::slice::from_ref(&last), 0, 1000);
    let answer = response(&bench.ask(&public(all_at_end)).unwrap());
    assert_eq!(answer.variable_bindings.len(), 1);
    assert_eq!(message::name(&answer.variable_bindings[0].name), Some(last));
}

#[test]
fn a_name_that_is_too_long_makes_the_message_malformed() {
    let mut bench = Bench::new(|_| ());
    let mut pdu = request(&[Oid::try_from(&[1; 128][..]).unwrap()]);
    assert!(bench.ask(&public(Pdus::GetRequest(v2::GetRequest(pdu.clone())))).is_some());
    let longer = rasn::types::ObjectIdentifier::new_unchecked(vec![1; 129].into());
    pdu.variable_bindings[0].name = longer;
    assert_eq!(bench.ask(&public(Pdus::GetRequest(v2::GetRequest(pdu)))), None);
    assert_eq!(bench.engine.counters.asn_parse_errors, 1);
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        Bench::new(|config| config.users.clear()).ask(&octets);
    }

    #[test]
    fn a_walk_by_bulk_sees_everything_once_and_no_answer_is_too_long(
        max_message in 484..3000_u16,
        max_size in 484..3000_usize,
        repetitions in 1..200_u32,
        lengths in prop::collection::vec(0..60_usize, 1..60),
    ) {
        let mut bench = Bench::new(|config| {
            config.max_message = max_message;
            config.users.retain(|user| user.name == "sha224");
        });
        for (row, length) in (1..).zip(&lengths) {
            let value = Value::OctetString(Octets::copy(&vec![7; *length]));
            bench.view.insert([1, 3, 6, 1, 4, 1, 8072, 9999, 1, row * row * 99].into(), value);
        }
        let base = Oid::from([1, 3, 6, 1, 4, 1]);
        for v3 in [false, true] {
            let mut at = base.clone();
            let mut seen = Vec::new();
            'walk: loop {
                let question = bulk(&[at.clone()], 0, repetitions);
                let pdu = if v3 {
                    let answer = bench.ask_v3("sha224", |asked| {
                        asked.max_size = max_size;
                        asked.data = question;
                    });
                    let answer = answer.unwrap();
                    prop_assert!(answer.len() <= max_size.min(max_message.into()));
                    match bench.open("sha224", &answer) {
                        Pdus::Response(v2::Response(pdu)) => pdu,
                        other => panic!("{other:?}"),
                    }
                } else {
                    let answer = bench.ask(&public(question)).unwrap();
                    prop_assert!(answer.len() <= max_message.into());
                    response(&answer)
                };
                prop_assert!(!pdu.variable_bindings.is_empty());
                for varbind in pdu.variable_bindings {
                    let name = message::name(&varbind.name).unwrap();
                    prop_assert!(name > at);
                    if !name.starts_with(&base) {
                        break 'walk;
                    }
                    seen.push(*name.as_slice().last().unwrap());
                    at = name;
                }
            }
            let all: Vec<_> = (1..).zip(&lengths).map(|(row, _)| row * row * 99).collect();
            prop_assert_eq!(seen, all);
        }
    }
}
