use super::*;
use crate::agentx::pdu::HEADER_LENGTH;
use crate::view::MapView;
use proptest::prelude::*;

const SESSION: u32 = 7;

/// A session, the master it talks to, and the time both live in.
struct Pair {
    session: Session,
    view: MapView,
    now: Instant,
    framer: Framer,
}

impl Pair {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let mut view = MapView::default();
        for column in 1..=3 {
            for row in 1..=4 {
                view.insert(name(column, row), Value::Gauge32(column * 10 + row));
            }
        }
        let session = Session::new(config, 42, now);
        Self { session, view, now, framer: Framer::default() }
    }

    /// Up to the point where Open waits for its answer.
    fn connected(config: Config) -> Self {
        let mut pair = Self::new(config);
        pair.connect();
        pair
    }

    /// Registered, and told so.
    fn serving(config: Config) -> Self {
        let mut pair = Self::new(config);
        pair.connect_again();
        pair
    }

    /// From the wish for a connection to being registered.
    fn connect_again(&mut self) {
        self.connect();
        self.open();
        self.agree(PduType::Register);
        assert_eq!(self.events(), [Event::Serving { session_id: SESSION }]);
    }

    fn connect(&mut self) {
        self.session.handle_timeout(self.now);
        assert_eq!(self.events(), [Event::Connect]);
        self.framer = Framer::default();
        self.session.handle_connected(self.now);
    }

    fn open(&mut self) {
        let (header, message) = self.request();
        assert_eq!(message.pdu_type(), PduType::Open);
        assert_eq!(header.session_id, 0);
        self.reply(Header { session_id: SESSION, ..header }, ErrorStatus::None);
    }

    /// Answers the one request there is with no error.
    fn agree(&mut self, kind: PduType) {
        let (header, message) = self.request();
        assert_eq!((message.pdu_type(), header.session_id), (kind, SESSION));
        self.reply(header, ErrorStatus::None);
    }

    /// All PDUs that the session sends.
    fn sent(&mut self) -> Vec<(Header, Message<'static>)> {
        if let Some(octets) = self.session.poll_transmit() {
            self.framer.push(octets);
            let length = octets.len();
            self.session.handle_transmitted(length);
        }
        assert_eq!(self.session.poll_transmit(), None);
        let context = self.session.config.context.as_deref();
        let mut sent = Vec::new();
        while let Some(frame) = self.framer.next_frame().unwrap() {
            let pdu = frame.parse().unwrap();
            let bare = matches!(
                pdu.message,
                Message::Open { .. } | Message::Close { .. } | Message::Response { .. }
            );
            assert_eq!(pdu.context.as_deref(), context.filter(|_| !bare));
            sent.push((pdu.header, owned(pdu.message)));
        }
        sent
    }

    /// The one PDU that the session sends.
    fn request(&mut self) -> (Header, Message<'static>) {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    fn input(&mut self, octets: &[u8]) {
        self.session.handle_input(octets, &self.view, self.now);
    }

    fn reply(&mut self, header: Header, error: ErrorStatus) {
        let message = Message::Response { sys_up_time: 1, error, index: 0, varbinds: vec![] };
        self.input(&octets(header, None, message));
    }

    /// What the session answers to a request of session 7.
    fn ask(&mut self, message: Message<'static>) -> (ErrorStatus, u16, Vec<VarBind<'static>>) {
        self.input(&octets(header(SESSION, 99), None, message));
        self.answer(99)
    }

    fn answer(&mut self, packet_id: u32) -> (ErrorStatus, u16, Vec<VarBind<'static>>) {
        let (header, message) = self.request();
        assert_eq!((header.transaction_id, header.packet_id), (1000 + packet_id, packet_id));
        let Message::Response { sys_up_time: 0, error, index, varbinds } = message else {
            panic!("no answer: {message:?}")
        };
        (error, index, varbinds)
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// Lets time pass until the session wants it.
    fn wait(&mut self) -> Duration {
        let due = self.session.poll_timeout().expect("something is waited for");
        let waited = due.saturating_duration_since(self.now);
        self.now += waited;
        self.session.handle_timeout(self.now);
        waited
    }

    fn trap(&mut self, number: u32) {
        let object = VarBind { name: name(1, 1), value: Value::Gauge32(number) };
        self.session.notify(name(0, number), vec![object], self.now);
    }

    /// Which notification waits for its answer.
    fn notified(&mut self) -> (Header, u32) {
        let (header, message) = self.request();
        let Message::Notify { varbinds } = message else { panic!("no notification: {message:?}") };
        let [trap, object] = &varbinds[..] else { panic!("not two variables: {varbinds:?}") };
        assert_eq!(trap.name.to_string(), "1.3.6.1.6.3.1.1.4.1.0");
        let Value::Gauge32(number) = object.value else { panic!("not ours: {object:?}") };
        assert_eq!(trap.value, Value::ObjectIdentifier(name(0, number)));
        (header, number)
    }
}

fn config() -> Config {
    Config::new(name(0, 0), "a subagent")
}

fn name(column: u32, row: u32) -> Oid {
    match (column, row) {
        (0, 0) => [1, 3, 6, 1, 4, 1, 99].into(),
        _ => [1, 3, 6, 1, 4, 1, 99, column, row].into(),
    }
}

fn header(session_id: u32, packet_id: u32) -> Header {
    Header {
        byte_order: ByteOrder::Little,
        session_id,
        transaction_id: 1000 + packet_id,
        packet_id,
    }
}

fn octets(header: Header, context: Option<&[u8]>, message: Message<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    Pdu { header, context: context.map(Octets::from), message }.emit(&mut octets);
    octets
}

fn owned(message: Message<'_>) -> Message<'static> {
    let all = |varbinds: Vec<VarBind<'_>>| {
        let own = |VarBind { name, value }: VarBind<'_>| VarBind {
            name,
            value: match value {
                Value::Gauge32(number) => Value::Gauge32(number),
                Value::ObjectIdentifier(oid) => Value::ObjectIdentifier(oid),
                Value::NoSuchObject => Value::NoSuchObject,
                Value::NoSuchInstance => Value::NoSuchInstance,
                Value::EndOfMibView => Value::EndOfMibView,
                other => panic!("not in these tests: {other:?}"),
            },
        };
        varbinds.into_iter().map(own).collect()
    };
    match message {
        Message::Open { timeout, id, description } => {
            Message::Open { timeout, id, description: Octets::copy(&description) }
        }
        Message::Close { reason } => Message::Close { reason },
        Message::Register { instance, timeout, region } => {
            Message::Register { instance, timeout, region }
        }
        Message::AddAgentCaps { id, description } => {
            Message::AddAgentCaps { id, description: Octets::copy(&description) }
        }
        Message::Notify { varbinds } => Message::Notify { varbinds: all(varbinds) },
        Message::Ping => Message::Ping,
        Message::Response { sys_up_time, error, index, varbinds } => {
            Message::Response { sys_up_time, error, index, varbinds: all(varbinds) }
        }
        other => panic!("a subagent does not send this: {other:?}"),
    }
}

fn range(start: Oid) -> SearchRange {
    SearchRange { start, include: false, end: None }
}

fn found(names: &[(u32, u32)]) -> Vec<VarBind<'static>> {
    let variable = |&(column, row)| VarBind {
        name: name(column, row),
        value: Value::Gauge32(column * 10 + row),
    };
    names.iter().map(variable).collect()
}

fn end(name: Oid) -> VarBind<'static> {
    VarBind { name, value: Value::EndOfMibView }
}

#[test]
fn the_uptime_of_the_master_goes_on_between_its_responses() {
    let mut pair = Pair::new(Config::new([1, 3].into(), ""));
    assert_eq!(pair.session.master_uptime(pair.now), None);
    pair.connect();
    let (header, _) = pair.request();
    let answer = |sys_up_time| {
        let message = Message::Response {
            sys_up_time,
            error: ErrorStatus::None,
            index: 0,
            varbinds: Vec::new(),
        };
        let mut octets = Vec::new();
        let header = Header { session_id: SESSION, ..header };
        Pdu { header, context: None, message }.emit(&mut octets);
        octets
    };
    pair.session.handle_input(&answer(500), &pair.view, pair.now);
    assert_eq!(pair.session.master_uptime(pair.now), Some(500));
    let later = pair.now + Duration::from_millis(2_345);
    assert_eq!(pair.session.master_uptime(later), Some(734));
    pair.session.handle_input(&answer(u32::MAX), &pair.view, later);
    assert_eq!(pair.session.master_uptime(later + Duration::from_millis(20)), Some(1));
}

#[test]
fn dialogue_from_open_to_close() {
    let region = Region { priority: 100, subtree: name(1, 0), range: None };
    let config = Config {
        regions: vec![region.clone(), Region { subtree: name(2, 0), ..region.clone() }],
        capabilities: Some((name(3, 0), "all of it".to_owned())),
        context: Some(b"other".to_vec()),
        timeout: 3,
        ..config()
    };
    let mut pair = Pair::connected(config);
    assert_eq!(pair.session.stage(), "waiting for the answer to Open");
    let (header, message) = pair.request();
    assert_eq!((header.session_id, header.byte_order), (0, ByteOrder::NATIVE));
    let description = Octets::copy(b"a subagent");
    assert_eq!(message, Message::Open { timeout: 3, id: name(0, 0), description });
    pair.reply(Header { session_id: SESSION, ..header }, ErrorStatus::None);

    for subtree in [name(1, 0), name(2, 0)] {
        assert_eq!(pair.session.stage(), "waiting for the answer to Register");
        let (header, message) = pair.request();
        let region = Region { subtree, ..region.clone() };
        assert_eq!(message, Message::Register { instance: false, timeout: 3, region });
        pair.reply(header, ErrorStatus::None);
    }
    let (header, message) = pair.request();
    let description = Octets::copy(b"all of it");
    assert_eq!(message, Message::AddAgentCaps { id: name(3, 0), description });
    assert_eq!(pair.events(), []);
    pair.reply(header, ErrorStatus::None);
    assert_eq!(pair.events(), [Event::Serving { session_id: SESSION }]);
    assert_eq!(pair.sent(), []);

    pair.session.close(pair.now);
    let (header, message) = pair.request();
    assert_eq!(message, Message::Close { reason: CloseReason::Shutdown });
    pair.reply(header, ErrorStatus::None);
    assert_eq!(pair.events(), [Event::Finished]);
    assert_eq!(pair.session.poll_timeout(), None);
}

#[test]
fn transition_table_of_what_ends_a_connection() {
    type Start = fn(Config) -> Pair;
    let connected: Start = Pair::connected;
    let opened: Start = |config| {
        let mut pair = Pair::connected(config);
        pair.open();
        pair
    };
    let serving: Start = Pair::serving;
    let notifying: Start = |config| {
        let mut pair = Pair::serving(config);
        pair.trap(1);
        pair
    };
    let pinging: Start = |config| {
        let mut pair = Pair::serving(config);
        pair.wait();
        pair
    };
    type Act = fn(&mut Pair);
    let lost: Act = |pair| pair.session.handle_closed(pair.now);
    let silent: Act = |pair| {
        pair.sent();
        assert_eq!(pair.wait(), Duration::from_secs(5));
    };
    let closed: Act = |pair| {
        let close = Message::Close { reason: CloseReason::ByManager };
        pair.sent();
        pair.input(&octets(header(SESSION, 1), None, close));
    };
    let not_open: Act = |pair| {
        let (header, _) = pair.request();
        pair.reply(header, ErrorStatus::NotOpen);
    };
    let open_failed: Act = |pair| {
        let (header, _) = pair.request();
        pair.reply(header, ErrorStatus::OpenFailed);
    };
    let garbage: Act = |pair| {
        pair.sent();
        pair.input(b"GET / HTTP/1.1\r\n\r\n");
    };
    let error = Error::BadValue { what: "h.version", value: u32::from(b'G') };
    let malformed = Cause::Malformed(error);
    let by_manager = Cause::Closed(CloseReason::ByManager);
    let (no, parse) = (None, Some(CloseReason::ParseError));
    let timeouts = Some(CloseReason::Timeouts);
    let cases = [
        (connected, lost, Cause::Lost, no),
        (opened, lost, Cause::Lost, no),
        (serving, lost, Cause::Lost, no),
        (notifying, lost, Cause::Lost, no),
        (connected, silent, Cause::Silent(PduType::Open), no),
        (opened, silent, Cause::Silent(PduType::Register), timeouts),
        (notifying, silent, Cause::Silent(PduType::Notify), timeouts),
        (pinging, silent, Cause::Silent(PduType::Ping), timeouts),
        (connected, closed, by_manager.clone(), no),
        (serving, closed, by_manager.clone(), no),
        (notifying, closed, by_manager, no),
        (connected, open_failed, Cause::OpenRefused(ErrorStatus::OpenFailed), no),
        (opened, not_open, Cause::NotOpen, no),
        (notifying, not_open, Cause::NotOpen, no),
        (pinging, not_open, Cause::NotOpen, no),
        (connected, garbage, malformed.clone(), no),
        (serving, garbage, malformed, parse),
    ];
    for (i, (start, act, cause, farewell)) in cases.into_iter().enumerate() {
        let mut pair = start(config());
        act(&mut pair);
        assert_eq!(pair.events(), [Event::Disconnected(cause)], "case {i}");
        let sent: Vec<_> = pair.sent().into_iter().map(|(_, message)| message).collect();
        let close = farewell.map(|reason| Message::Close { reason });
        assert_eq!(sent, Vec::from_iter(close), "case {i}");
        assert_eq!(pair.session.counters().disconnected, 1, "case {i}");
        // And it begins anew, whatever it was.
        let waited = pair.wait();
        assert!((1..=2).contains(&waited.as_secs()), "case {i}: {waited:?}");
        pair.connect_again();
    }
}

#[test]
fn attempts_grow_apart_up_to_half_a_minute() {
    let waits = |seed| {
        let mut pair = Pair::new(config());
        pair.session = Session::new(config(), seed, pair.now);
        assert_eq!(pair.wait(), Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..200 {
            assert_eq!(pair.events(), [Event::Connect]);
            pair.session.handle_closed(pair.now);
            assert_eq!(pair.events(), [Event::Disconnected(Cause::Lost)]);
            waits.push(pair.wait());
        }
        waits
    };
    for seed in [0, 1, u64::MAX] {
        let waits = waits(seed);
        let bounds = [2, 4, 8, 16].into_iter().chain(std::iter::repeat(30));
        for (wait, bound) in waits.iter().zip(bounds) {
            assert!((SHORTEST_DELAY..=Duration::from_secs(bound)).contains(wait), "{wait:?}");
        }
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(25)));
        assert!(waits[5..].iter().any(|wait| *wait < Duration::from_secs(5)));
    }
    assert_ne!(waits(1), waits(2));
}

#[test]
fn only_a_session_that_lasted_starts_the_waiting_anew() {
    for (lasted, attempts) in [(LONGEST_DELAY - SHORTEST_DELAY, 11), (LONGEST_DELAY, 1)] {
        let mut pair = Pair::new(config());
        pair.session.attempts = 10;
        pair.connect_again();
        pair.now += lasted;
        pair.session.handle_closed(pair.now);
        assert_eq!(pair.session.attempts, attempts);
    }
}

#[test]
fn get_tells_objects_and_instances_apart() {
    let mut pair = Pair::serving(config());
    let ranges = [name(2, 3), name(2, 9), name(9, 1)].map(range).to_vec();
    let (error, index, varbinds) = pair.ask(Message::Get { ranges });
    assert_eq!((error, index), (ErrorStatus::None, 0));
    let value = |name, value| VarBind { name, value };
    let expected = [
        found(&[(2, 3)]),
        vec![value(name(2, 9), Value::NoSuchInstance), value(name(9, 1), Value::NoSuchObject)],
    ];
    assert_eq!(varbinds, expected.concat());
}

#[test]
fn get_next_honours_include_and_end() {
    let mut pair = Pair::serving(config());
    let from = |start, include, end| SearchRange { start, include, end };
    let ranges = vec![
        from(name(1, 2), false, None),
        from(name(1, 2), true, None),
        from(name(1, 4), false, None),
        from(name(1, 4), false, Some(name(2, 1))),
        from(name(1, 4), true, Some(name(2, 1))),
        from(name(3, 4), false, None),
    ];
    let (error, _, varbinds) = pair.ask(Message::GetNext { ranges });
    assert_eq!(error, ErrorStatus::None);
    let expected = [
        found(&[(1, 3), (1, 2), (2, 1)]),
        vec![end(name(1, 4))],
        found(&[(1, 4)]),
        vec![end(name(3, 4))],
    ];
    assert_eq!(varbinds, expected.concat());
}

#[test]
fn get_bulk_repeats_until_everything_ended() {
    let mut pair = Pair::serving(config());
    let ranges = vec![range(name(0, 0)), range(name(2, 2)), range(name(3, 2))];
    let (error, _, varbinds) =
        pair.ask(Message::GetBulk { non_repeaters: 1, max_repetitions: 3, ranges: ranges.clone() });
    assert_eq!(error, ErrorStatus::None);
    let expected =
        [found(&[(1, 1), (2, 3), (3, 3), (2, 4), (3, 4), (3, 1)]), vec![end(name(3, 4))]];
    assert_eq!(varbinds, expected.concat());

    // The first has four more, the second one; then both ended, once.
    let ranges = vec![range(name(2, 4)), range(name(3, 3))];
    let (_, _, varbinds) =
        pair.ask(Message::GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges });
    assert_eq!(varbinds.len(), 10);
    assert_eq!(varbinds[8..], [end(name(3, 4)), end(name(3, 4))]);

    let ranges = vec![SearchRange { include: true, ..range(name(3, 2)) }];
    let (_, _, varbinds) =
        pair.ask(Message::GetBulk { non_repeaters: 0, max_repetitions: 2, ranges: ranges.clone() });
    assert_eq!(varbinds, found(&[(3, 2), (3, 3)]));
    let (_, _, varbinds) =
        pair.ask(Message::GetBulk { non_repeaters: 0, max_repetitions: 9, ranges });
    let expected = [found(&[(3, 2), (3, 3), (3, 4)]), vec![end(name(3, 4))]];
    assert_eq!(varbinds, expected.concat());

    let ranges = vec![range(name(0, 0))];
    let many =
        pair.ask(Message::GetBulk { non_repeaters: 9, max_repetitions: 9, ranges: ranges.clone() });
    assert_eq!(many.2, found(&[(1, 1)]));
    let none = pair.ask(Message::GetBulk { non_repeaters: 0, max_repetitions: 0, ranges });
    assert_eq!(none, (ErrorStatus::None, 0, vec![]));
}

#[test]
fn a_response_is_never_longer_than_allowed() {
    let max_response = 1024;
    let mut pair = Pair::serving(Config { max_response, ..config() });
    for row in 1..=10_000 {
        pair.view.insert(name(4, row), Value::Gauge32(row));
    }
    let bulk = Message::GetBulk {
        non_repeaters: 0,
        max_repetitions: u16::MAX,
        ranges: vec![range(name(4, 0)); 3],
    };
    pair.input(&octets(header(SESSION, 99), None, bulk));
    let length = pair.session.poll_transmit().unwrap().len();
    assert!((1024 - 3 * 28..=1024).contains(&length), "{length}");
    let (error, index, varbinds) = pair.answer(99);
    let whole_rows = (1024 - 28) / 28 / 3 * 3;
    assert_eq!((error, index, varbinds.len()), (ErrorStatus::None, 0, whole_rows));
    // So are a column, and a row that is longer than that, as far as it goes.
    let ranges = vec![range(name(4, 0))];
    let column = Message::GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges };
    assert_eq!(pair.ask(column).2.len(), (1024 - 28) / 28);
    let ranges = vec![range(name(4, 0)); 50];
    pair.input(&octets(
        header(SESSION, 100),
        None,
        Message::GetBulk { non_repeaters: 0, max_repetitions: 2, ranges },
    ));
    assert_eq!(pair.answer(100).2.len(), (1024 - 28) / 28);

    // One request cannot be answered in part.
    for message in [
        Message::Get { ranges: vec![range(name(4, 1)); 100] },
        Message::GetNext { ranges: vec![range(name(4, 1)); 100] },
    ] {
        assert_eq!(pair.ask(message), (ErrorStatus::GenErr, 36, vec![]));
    }
}

#[test]
fn nothing_can_be_set() {
    let mut pair = Pair::serving(config());
    let varbinds = found(&[(1, 1)]);
    let refused = pair.ask(Message::TestSet { varbinds });
    assert_eq!(refused, (ErrorStatus::NotWritable, 1, vec![]));
    assert_eq!(pair.ask(Message::CommitSet), (ErrorStatus::CommitFailed, 0, vec![]));
    assert_eq!(pair.ask(Message::UndoSet), (ErrorStatus::None, 0, vec![]));
    assert_eq!(pair.ask(Message::TestSet { varbinds: vec![] }).0, ErrorStatus::None);
    // There is no answer to CleanupSet.
    pair.input(&octets(header(SESSION, 99), None, Message::CleanupSet));
    assert_eq!(pair.sent(), []);
}

#[test]
fn requests_that_are_not_for_us_are_refused_by_name() {
    let get = || Message::Get { ranges: vec![range(name(1, 1))] };
    let mut pair = Pair::connected(config());
    pair.sent();
    pair.input(&octets(header(SESSION, 1), None, get()));
    assert_eq!(pair.answer(1).0, ErrorStatus::NotOpen);

    let mut pair = Pair::serving(config());
    pair.input(&octets(header(SESSION + 1, 2), None, get()));
    assert_eq!(pair.answer(2), (ErrorStatus::NotOpen, 0, vec![]));
    pair.input(&octets(header(SESSION, 3), Some(b"other"), get()));
    assert_eq!(pair.answer(3), (ErrorStatus::UnsupportedContext, 0, vec![]));
    // Only a master is asked for these.
    for message in [Message::Ping, Message::IndexDeallocate { varbinds: vec![] }] {
        assert_eq!(pair.ask(message), (ErrorStatus::ParseError, 0, vec![]));
    }

    let context = Some(b"other".to_vec());
    let mut pair = Pair::serving(Config { context, ..config() });
    pair.input(&octets(header(SESSION, 4), Some(b"other"), get()));
    assert_eq!(pair.answer(4).2, found(&[(1, 1)]));
    assert_eq!(pair.ask(get()).0, ErrorStatus::UnsupportedContext);
}

#[test]
fn too_many_requests_that_are_none_end_the_connection() {
    let mut pair = Pair::serving(config());
    let mut unknown = octets(header(SESSION, 5), None, Message::Ping);
    unknown[1] = 200;
    for _ in 0..MAX_MALFORMED {
        pair.input(&unknown);
        assert_eq!(pair.answer(5), (ErrorStatus::ParseError, 0, vec![]));
    }
    // An answer that is none is not answered, but counted too.
    let response =
        Message::Response { sys_up_time: 0, error: ErrorStatus::None, index: 0, varbinds: vec![] };
    let mut response = octets(header(SESSION, 5), None, response);
    response.truncate(HEADER_LENGTH + 4);
    response[16] = 4;
    pair.input(&response);
    assert_eq!(pair.request().1, Message::Close { reason: CloseReason::ParseError });
    assert!(matches!(pair.events()[..], [Event::Disconnected(Cause::Malformed(_))]));
    assert_eq!(pair.session.counters().malformed, u64::from(MAX_MALFORMED) + 1);
}

#[test]
fn several_requests_in_one_read_are_answered_together_in_order_and_kind() {
    let mut pair = Pair::serving(config());
    let mut read = Vec::new();
    for packet_id in 1..=8 {
        let byte_order = if packet_id % 2 == 0 { ByteOrder::Network } else { ByteOrder::Little };
        let ranges = vec![range(name(1, packet_id))];
        let header = Header { byte_order, ..header(SESSION, packet_id) };
        read.extend(octets(header, None, Message::Get { ranges }));
    }
    let (head, tail) = read.split_at(read.len() - 1);
    pair.input(head);
    pair.input(tail);
    let sent = pair.sent();
    assert_eq!(sent.len(), 8);
    for (packet_id, (header, _)) in (1..).zip(sent) {
        let network = header.byte_order == ByteOrder::Network;
        assert_eq!((header.packet_id, network), (packet_id, packet_id % 2 == 0));
    }
    assert_eq!(pair.session.counters().requests, 8);
}

#[test]
fn a_master_that_does_not_read_is_left() {
    let max_output = 10_000;
    let mut pair = Pair::serving(Config { max_output, ..config() });
    let ranges = vec![range(name(0, 0)); 10];
    let get = octets(header(SESSION, 1), None, Message::GetNext { ranges });
    let mut reads = 0;
    while pair.session.counters().congested == 0 {
        let waiting = pair.session.poll_transmit().map_or(0, <[u8]>::len);
        assert!(waiting <= max_output);
        pair.input(&get);
        // A little is taken, never all of it.
        pair.session.handle_transmitted(8);
        reads += 1;
    }
    assert!(reads > 20, "{reads}");
    assert_eq!(pair.events(), [Event::Disconnected(Cause::Congested)]);
    assert_eq!(pair.session.poll_transmit(), None);
}

#[test]
fn output_that_is_never_taken_wholly_does_not_grow() {
    let mut pair = Pair::serving(config());
    let mut taken = Framer::default();
    let mut answers = 0;
    for packet_id in 1..=1000 {
        let ranges = vec![range(name(0, 0))];
        pair.input(&octets(header(SESSION, packet_id), None, Message::GetNext { ranges }));
        let waiting = pair.session.poll_transmit().unwrap();
        let some = waiting.len() - 5;
        taken.push(&waiting[..some]);
        pair.session.handle_transmitted(some);
        assert!(pair.session.output.len() < 256);
        while let Some(frame) = taken.next_frame().unwrap() {
            answers += 1;
            assert_eq!(frame.header.packet_id, answers);
        }
    }
    assert_eq!(answers, 999);
}

#[test]
fn a_refused_region_is_asked_for_again_and_named() {
    for error in [ErrorStatus::DuplicateRegistration, ErrorStatus::RequestDenied] {
        let mut pair = Pair::connected(config());
        pair.open();
        let (header, _) = pair.request();
        pair.reply(header, error);
        let refused = Event::RegionRefused { subtree: name(0, 0), error };
        assert_eq!(pair.events(), [refused]);
        assert_eq!(pair.session.stage(), "waiting before the tree is asked for again");
        let mut waited = Duration::ZERO;
        loop {
            waited += pair.wait();
            let (header, message) = pair.request();
            pair.reply(header, ErrorStatus::None);
            match message {
                Message::Ping => assert_eq!(waited, Duration::from_secs(15)),
                Message::Register { .. } => break,
                other => panic!("not expected: {other:?}"),
            }
        }
        assert_eq!(waited, LONGEST_DELAY);
        assert_eq!(pair.events(), [Event::Serving { session_id: SESSION }]);
        assert_eq!(pair.wait(), Duration::from_secs(15));
        assert_eq!(pair.request().1, Message::Ping);
    }
}

#[test]
fn a_silent_master_is_asked_and_a_talking_one_is_not() {
    let mut pair = Pair::serving(config());
    pair.now += Duration::from_secs(14);
    pair.ask(Message::UndoSet);
    assert_eq!(pair.wait(), Duration::from_secs(15));
    pair.agree(PduType::Ping);
    assert_eq!(pair.wait(), Duration::from_secs(15));
    let (header, _) = pair.request();
    pair.reply(header, ErrorStatus::ProcessingError);
    assert_eq!(pair.events(), []);
}

#[test]
fn notifications_go_one_by_one_and_survive_a_lost_master() {
    let mut pair = Pair::connected(config());
    for number in 1..=4 {
        pair.trap(number);
    }
    pair.open();
    pair.agree(PduType::Register);
    let (header, number) = pair.notified();
    assert_eq!(number, 1);
    pair.reply(header, ErrorStatus::None);
    // Sent, but the answer never comes.
    assert_eq!(pair.notified().1, 2);
    pair.session.handle_closed(pair.now);
    pair.events();
    pair.wait();
    pair.connect_again();
    for expected in 2..=4 {
        let (header, number) = pair.notified();
        assert_eq!(number, expected);
        pair.reply(header, ErrorStatus::None);
    }
    assert_eq!(pair.sent(), []);
    let counters = pair.session.counters();
    assert_eq!((counters.notifications_sent, counters.notifications_dropped), (4, 0));
}

#[test]
fn the_oldest_notification_that_is_not_under_way_is_dropped() {
    let mut pair = Pair::serving(Config { max_notifications: 3, ..config() });
    for number in 1..=5 {
        pair.trap(number);
    }
    assert_eq!(pair.session.waiting_notifications(), 3);
    assert_eq!(pair.session.counters().notifications_dropped, 2);
    assert_eq!(pair.notified().1, 1);
    pair.session.handle_closed(pair.now);
    pair.events();
    pair.wait();
    pair.connect_again();
    for expected in [1, 4, 5] {
        let (header, number) = pair.notified();
        assert_eq!(number, expected);
        pair.reply(header, ErrorStatus::None);
    }
    // One that no master would take is not queued.
    let value = Value::OctetString(Octets::copy(&vec![0; MAX_PDU]));
    let object = VarBind { name: name(1, 1), value };
    pair.session.notify(name(0, 6), vec![object], pair.now);
    assert_eq!((pair.sent(), pair.session.waiting_notifications()), (vec![], 0));
    assert_eq!(pair.session.counters().notifications_dropped, 3);
}

#[test]
fn a_refused_notification_is_not_sent_again() {
    let mut pair = Pair::serving(config());
    pair.trap(1);
    let (header, _) = pair.notified();
    let error = ErrorStatus::ProcessingError;
    pair.reply(header, error);
    assert_eq!(pair.events(), [Event::Refused { request: PduType::Notify, error }]);
    assert_eq!((pair.sent(), pair.session.waiting_notifications()), (vec![], 0));
    assert_eq!(pair.session.counters().notifications_dropped, 1);
}

#[test]
fn answers_nobody_waits_for_change_nothing() {
    let mut pair = Pair::serving(config());
    pair.trap(1);
    let (under_way, _) = pair.notified();
    pair.reply(Header { packet_id: under_way.packet_id + 1, ..under_way }, ErrorStatus::NotOpen);
    assert_eq!((pair.events(), pair.session.counters().unexpected), (vec![], 1));
    pair.reply(under_way, ErrorStatus::None);
    pair.reply(under_way, ErrorStatus::None);
    assert_eq!(pair.session.counters().unexpected, 2);
    assert_eq!(pair.session.counters().notifications_sent, 1);
}

#[test]
fn closing_ends_whatever_the_state() {
    let mut pair = Pair::new(config());
    pair.session.close(pair.now);
    assert_eq!(pair.events(), [Event::Finished]);

    let mut pair = Pair::connected(config());
    pair.session.close(pair.now);
    assert_eq!(pair.events(), [Event::Finished]);

    // A master that does not answer, one that hangs up, one that closes too.
    let mut pair = Pair::serving(config());
    pair.session.close(pair.now);
    pair.session.close(pair.now);
    assert_eq!(pair.sent().len(), 1);
    assert_eq!(pair.wait(), Duration::from_secs(5));
    assert_eq!(pair.events(), [Event::Finished]);

    let mut pair = Pair::serving(config());
    pair.session.close(pair.now);
    pair.session.handle_closed(pair.now);
    assert_eq!(pair.events(), [Event::Finished]);

    let mut pair = Pair::serving(config());
    pair.session.close(pair.now);
    let close = Message::Close { reason: CloseReason::Shutdown };
    pair.input(&octets(header(SESSION, 1), None, close));
    assert_eq!(pair.events(), [Event::Finished]);
    pair.trap(1);
    assert_eq!(pair.session.counters().notifications_dropped, 1);
    pair.session.handle_timeout(pair.now + LONGEST_DELAY);
    assert_eq!((pair.events(), pair.session.poll_timeout()), (vec![], None));
}

proptest! {
    /// Whatever a master sends, with time running: no panic, bounded buffers,
    /// and a way on.
    #[test]
    fn arbitrary_masters_do_no_harm(
        steps in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..64),
                (1..20u8, any::<u8>(), 0..4u32, 0..12u32, prop::collection::vec(0..5u8, 0..64))
                    .prop_map(|(kind, flags, session, packet, mut payload)| {
                        payload.truncate(payload.len() & !3);
                        let mut octets = vec![1, kind, flags & !16, 0];
                        for number in [session, 0, packet, payload.len() as u32] {
                            octets.extend(number.to_le_bytes());
                        }
                        octets.extend(payload);
                        octets
                    }),
            ],
            0..40,
        ),
        taken in any::<bool>(),
    ) {
        let mut pair = Pair::new(Config { max_output: 4096, max_response: 1024, ..config() });
        for step in steps {
            pair.session.handle_timeout(pair.now);
            for event in pair.events() {
                if event == Event::Connect {
                    pair.session.handle_connected(pair.now);
                }
            }
            pair.trap(1);
            pair.input(&step);
            let waiting = pair.session.poll_transmit().map_or(0, <[u8]>::len);
            prop_assert!(waiting <= 4096 + 1024, "{}", waiting);
            if taken {
                pair.session.handle_transmitted(waiting);
            }
            prop_assert!(pair.session.poll_timeout().is_some());
            pair.now += Duration::from_secs(1);
        }
    }
}
