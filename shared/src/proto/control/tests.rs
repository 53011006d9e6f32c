use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::control::{
    CauseCode, DisconnectResult, IncomingCallConnected, IncomingCallRequest, MAGIC_COOKIE,
    WanErrorNotify,
};

const CALL_ID: u16 = 0x96de;
const FAREWELL: Duration = Duration::from_millis(500);

/// Every state but the last, by how a caller gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    WaitStartReply,
    Established,
    WaitEchoReply,
    WaitCallReply,
    CallUp,
    WaitDisconnect,
    WaitStopReply,
}

use Place::*;

const PLACES: [Place; 7] = [
    WaitStartReply,
    Established,
    WaitEchoReply,
    WaitCallReply,
    CallUp,
    WaitDisconnect,
    WaitStopReply,
];

struct Bench {
    connection: ControlConnection,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let connection = ControlConnection::new(&Config {
            host_name: b"pptp-monitor".to_vec(),
            vendor_name: b"pptp-monitor".to_vec(),
            farewell: FAREWELL,
        });
        Self { connection, now: Instant::now() }
    }

    /// A connection in a state, with nothing left to send or to tell.
    fn at(place: Place) -> Self {
        let mut bench = Self::new();
        if place == WaitStartReply {
            bench.sent();
            return bench;
        }
        bench.give(&start_reply());
        match place {
            WaitStartReply | Established => {}
            WaitEchoReply => bench.connection.echo(bench.now),
            WaitCallReply => bench.connection.place_call(CALL_ID, 1),
            CallUp | WaitDisconnect => {
                bench.connection.place_call(CALL_ID, 1);
                bench.give(&call_reply());
                if place == WaitDisconnect {
                    bench.connection.close(bench.now);
                }
            }
            WaitStopReply => bench.connection.close(bench.now),
        }
        bench.sent();
        bench.events();
        bench
    }

    fn octets(&mut self, octets: &[u8]) {
        self.connection.handle_input(octets, self.now);
    }

    fn give(&mut self, message: &Message) {
        self.octets(&message.emit());
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.connection.handle_timeout(self.now);
    }

    fn sent(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.connection.poll_transmit())
            .map(|octets| Message::parse(&octets).unwrap())
            .collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.poll_event()).collect()
    }

    /// The failure, and whether it is over.
    fn failure(&mut self) -> (Option<(Reason, String)>, bool) {
        let events = self.events();
        let failure = events.iter().find_map(|event| match event {
            Event::Failed(Failure { reason, detail }) => Some((*reason, detail.clone())),
            _ => None,
        });
        (failure, events.last() == Some(&Event::Finished))
    }
}

fn start_reply() -> Message {
    start_result(StartResult::Success, GeneralError::None)
}

fn start_result(result: StartResult, error: GeneralError) -> Message {
    Message::StartReply(StartReply { result, error, ..start_fields(wire::VERSION) })
}

fn start_fields(protocol_version: u16) -> StartReply {
    StartReply {
        protocol_version,
        result: StartResult::Success,
        error: GeneralError::None,
        framing_capabilities: 0,
        bearer_capabilities: 0,
        maximum_channels: 1,
        firmware_revision: 1,
        host_name: b"local".to_vec(),
        vendor_name: b"linux".to_vec(),
    }
}

fn call_fields() -> OutgoingCallReply {
    OutgoingCallReply {
        call_id: 0,
        peer_call_id: CALL_ID,
        result: OutgoingCallResult::Connected,
        error: GeneralError::None,
        cause: CauseCode::None,
        connect_speed: 1_000_000_000,
        packet_recv_window_size: 64,
        packet_processing_delay: 0,
        physical_channel_id: 0,
    }
}

fn call_reply() -> Message {
    Message::OutgoingCallReply(call_fields())
}

fn echo_reply(identifier: u32) -> Message {
    Message::EchoReply { identifier, result: SimpleResult::Ok, error: GeneralError::None }
}

fn notify(result: DisconnectResult, text: &[u8]) -> Message {
    Message::CallDisconnectNotify(CallDisconnectNotify {
        call_id: 0,
        result,
        error: GeneralError::None,
        cause: CauseCode::None,
        call_statistics: text.to_vec(),
    })
}

fn stop() -> Message {
    Message::StopRequest { reason: StopReason::LocalShutdown }
}

fn stop_reply() -> Message {
    Message::StopReply { result: SimpleResult::Ok, error: GeneralError::None }
}

fn clear() -> Message {
    Message::CallClearRequest { call_id: CALL_ID }
}

/// As pptpd received them from this caller and answered.
#[test]
fn captured_octets_of_a_call() {
    let mut bench = Bench::new();
    let mut expected =
        b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4d\x00\x01\0\0\x01\0\0\0\0\0\0\x03\0\0\0\x03\0\0\x00\x01"
            .to_vec();
    for name in [b"pptp-monitor"; 2] {
        expected.extend(name);
        expected.resize(expected.len() + 52, 0);
    }
    assert_eq!(bench.connection.poll_transmit(), Some(expected));
    assert_eq!(bench.connection.poll_transmit(), None);

    let mut reply =
        b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4d\x00\x02\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\x00\x01\x00\x01local"
            .to_vec();
    reply.resize(92, 0);
    reply.extend(b"linux");
    reply.resize(156, 0);
    bench.octets(&reply);
    assert_eq!(bench.events(), [Event::Established(start_fields(0x0100))]);

    bench.connection.place_call(CALL_ID, CALL_ID);
    let mut expected =
        b"\x00\xa8\x00\x01\x1a\x2b\x3c\x4d\x00\x07\0\0\x96\xde\x96\xde\x00\x00\x09\x60\x3b\x9a\xca\x00\0\0\0\x03\0\0\0\x03\x00\x40"
            .to_vec();
    expected.resize(168, 0);
    assert_eq!(bench.connection.poll_transmit(), Some(expected));

    bench.octets(b"\x00\x20\x00\x01\x1a\x2b\x3c\x4d\x00\x08\0\0\x00\x00\x96\xde\x01\x00\x00\x00\x3b\x9a\xca\x00\x00\x40\0\0\0\0\0\0");
    assert_eq!(bench.events(), [Event::CallConnected(call_fields())]);

    bench.connection.close(bench.now);
    let expected = b"\x00\x10\x00\x01\x1a\x2b\x3c\x4d\x00\x0c\0\0\x96\xde\0\0";
    assert_eq!(bench.connection.poll_transmit(), Some(expected.to_vec()));
    bench.connection.handle_closed(false);
    assert_eq!(bench.events(), [Event::Finished]);
}

#[test]
fn each_refusal_of_the_connection_has_its_words() {
    for (result, error, reason, words) in [
        (
            StartResult::GeneralError,
            GeneralError::NoResource,
            Reason::ControlRefused,
            "general error, no resource",
        ),
        (
            StartResult::ChannelExists,
            GeneralError::None,
            Reason::ControlRefused,
            "command channel already exists",
        ),
        (
            StartResult::NotAuthorized,
            GeneralError::None,
            Reason::ControlRefused,
            "requester not authorized",
        ),
        (
            StartResult::VersionUnsupported,
            GeneralError::None,
            Reason::WrongVersion,
            "protocol version not supported",
        ),
        (StartResult::Other(0), GeneralError::Other(9), Reason::ControlRefused, "code 0, code 9"),
    ] {
        let mut bench = Bench::at(WaitStartReply);
        bench.give(&start_result(result, error));
        let words = format!("gateway refused the control connection: {words}");
        assert_eq!(bench.failure(), (Some((reason, words)), true));
        assert_eq!(bench.sent(), [], "nothing was established that could be stopped");
    }
}

#[test]
fn only_version_one_is_spoken() {
    let mut bench = Bench::at(WaitStartReply);
    bench.give(&Message::StartReply(start_fields(0x0203)));
    let words = "gateway speaks PPTP version 2.3".to_owned();
    assert_eq!(bench.failure(), (Some((Reason::WrongVersion, words)), true));
    let mut bench = Bench::at(WaitStartReply);
    bench.give(&Message::StartReply(start_fields(0x0109)));
    assert_eq!(bench.events(), [Event::Established(start_fields(0x0109))]);
}

#[test]
fn each_refusal_of_the_call_has_its_words() {
    for (result, error, cause, words) in [
        (
            OutgoingCallResult::GeneralError,
            GeneralError::NoResource,
            CauseCode::None,
            "general error, no resource",
        ),
        (OutgoingCallResult::NoCarrier, GeneralError::None, CauseCode::None, "no carrier"),
        (
            OutgoingCallResult::Busy,
            GeneralError::None,
            CauseCode::UserBusy,
            "busy, cause 17: user busy",
        ),
        (OutgoingCallResult::NoDialTone, GeneralError::None, CauseCode::None, "no dial tone"),
        (OutgoingCallResult::TimeOut, GeneralError::None, CauseCode::None, "time-out"),
        (
            OutgoingCallResult::DoNotAccept,
            GeneralError::None,
            CauseCode::Other(999),
            "do not accept, cause 999: code 999",
        ),
        (OutgoingCallResult::Other(0), GeneralError::None, CauseCode::None, "code 0"),
    ] {
        let mut bench = Bench::at(WaitCallReply);
        let reply = OutgoingCallReply { result, error, cause, ..call_fields() };
        bench.give(&Message::OutgoingCallReply(reply));
        let words = format!("gateway refused the call: {words}");
        assert_eq!(bench.failure(), (Some((Reason::CallRefused, words)), false));
        bench.connection.close(bench.now);
        assert_eq!(bench.sent(), [stop()], "there is no call to clear");
    }
}

#[test]
fn reply_to_another_call_is_passed_over() {
    let mut bench = Bench::at(WaitCallReply);
    let reply = OutgoingCallReply { peer_call_id: CALL_ID + 1, ..call_fields() };
    bench.give(&Message::OutgoingCallReply(reply));
    assert_eq!((bench.events(), bench.connection.ignored()), (vec![], 1));
    bench.give(&call_reply());
    assert_eq!(bench.events(), [Event::CallConnected(call_fields())]);
}

#[test]
fn a_call_is_placed_once_and_not_before_the_connection_stands() {
    for place in PLACES {
        let mut bench = Bench::at(place);
        bench.connection.place_call(7, 7);
        let placed = matches!(place, Established | WaitEchoReply);
        assert_eq!(bench.sent().len(), usize::from(placed), "{place:?}");
    }
}

#[test]
fn echo_reply_is_matched_by_its_identifier() {
    let mut bench = Bench::at(Established);
    for round in 1..=3u64 {
        let identifier = round as u32;
        bench.connection.echo(bench.now);
        assert_eq!(bench.sent(), [Message::EchoRequest { identifier }]);
        assert!(bench.connection.echo_outstanding());
        bench.now += Duration::from_millis(round);
        bench.give(&echo_reply(identifier + 1));
        bench.give(&echo_reply(identifier - 1));
        bench.give(&Message::EchoReply {
            identifier,
            result: SimpleResult::GeneralError,
            error: GeneralError::BadValue,
        });
        assert_eq!(bench.events(), [], "neither of another request nor an error");
        bench.give(&echo_reply(identifier));
        bench.give(&echo_reply(identifier));
        assert_eq!(bench.events(), [Event::EchoReplied(Duration::from_millis(round))]);
        assert!(!bench.connection.echo_outstanding());
    }
    assert_eq!(bench.connection.ignored(), 12);
}

#[test]
fn echo_request_is_answered_in_every_state() {
    for (identifier, place) in (0xdead_beef..).zip(PLACES) {
        let mut bench = Bench::at(place);
        bench.give(&Message::EchoRequest { identifier });
        assert_eq!(bench.sent(), [echo_reply(identifier)], "{place:?}");
        assert_eq!(bench.events(), []);
    }
}

#[test]
fn stop_from_the_gateway_is_answered_and_says_what_it_interrupted() {
    for (place, words) in [
        (WaitStartReply, "waiting for Start-Control-Connection-Reply"),
        (Established, "the control connection was idle"),
        (WaitEchoReply, "waiting for Echo-Reply"),
        (WaitCallReply, "waiting for Outgoing-Call-Reply"),
        (CallUp, "the call was up"),
    ] {
        let mut bench = Bench::at(place);
        bench.give(&stop());
        assert_eq!(bench.sent(), [stop_reply()]);
        let words =
            format!("gateway stopped the control connection (local shutdown) while {words}");
        assert_eq!(bench.failure(), (Some((Reason::Stopped, words)), true));
        assert!(is_silent(&mut bench));
    }
}

/// Nothing is said or heard any more.
fn is_silent(bench: &mut Bench) -> bool {
    bench.connection.close(bench.now);
    bench.connection.abort();
    bench.connection.handle_closed(true);
    bench.give(&Message::EchoRequest { identifier: 1 });
    bench.wait(FAREWELL * 9);
    bench.connection.poll_timeout().is_none()
        && bench.connection.stage() == "the connection was closed"
        && bench.sent().is_empty()
        && bench.events().is_empty()
}

#[test]
fn farewell_with_every_answer() {
    let mut bench = Bench::at(CallUp);
    bench.connection.close(bench.now);
    assert_eq!(bench.sent(), [clear()]);
    assert_eq!(bench.connection.stage(), "waiting for Call-Disconnect-Notify");
    bench.give(&notify(DisconnectResult::Request, b""));
    assert_eq!(bench.sent(), [stop()]);
    assert_eq!(bench.connection.stage(), "waiting for Stop-Control-Connection-Reply");
    bench.give(&stop_reply());
    assert_eq!(bench.events(), [Event::Finished]);
    assert!(is_silent(&mut bench));
}

#[test]
fn farewell_without_any_answer() {
    let mut bench = Bench::at(WaitCallReply);
    let started = bench.now;
    bench.connection.close(bench.now);
    assert_eq!(bench.sent(), [clear()], "the gateway may have set the call up already");
    assert_eq!(bench.connection.poll_timeout(), Some(started + FAREWELL));
    bench.wait(FAREWELL - Duration::from_nanos(1));
    assert_eq!(bench.sent(), []);
    bench.wait(Duration::from_nanos(1));
    assert_eq!(bench.sent(), [stop()]);
    assert_eq!(bench.connection.poll_timeout(), Some(started + FAREWELL * 2));
    bench.wait(FAREWELL);
    assert_eq!(bench.events(), [Event::Finished]);
    assert!(is_silent(&mut bench));
}

#[test]
fn farewell_begins_once_and_with_what_there_is_to_end() {
    for (place, said) in [
        (WaitStartReply, vec![stop()]),
        (Established, vec![stop()]),
        (WaitEchoReply, vec![stop()]),
        (WaitCallReply, vec![clear()]),
        (CallUp, vec![clear()]),
        (WaitDisconnect, vec![]),
        (WaitStopReply, vec![]),
    ] {
        let mut bench = Bench::at(place);
        bench.connection.close(bench.now);
        assert_eq!(bench.sent(), said, "{place:?}");
        bench.connection.close(bench.now);
        assert_eq!(bench.sent(), []);
        assert!(bench.connection.poll_timeout().is_some());
    }
}

#[test]
fn late_answers_during_the_farewell_are_passed_over() {
    let mut bench = Bench::at(WaitDisconnect);
    bench.give(&call_reply());
    bench.give(&stop_reply());
    assert_eq!((bench.events(), bench.connection.ignored()), (vec![], 2));
    let mut bench = Bench::at(WaitStopReply);
    bench.give(&notify(DisconnectResult::Request, b""));
    bench.give(&start_reply());
    assert_eq!((bench.events(), bench.connection.ignored()), (vec![], 2));
}

#[test]
fn abort_says_what_is_left_to_say_at_once() {
    for (place, said) in [
        (WaitStartReply, vec![stop()]),
        (Established, vec![stop()]),
        (WaitEchoReply, vec![stop()]),
        (WaitCallReply, vec![clear(), stop()]),
        (CallUp, vec![clear(), stop()]),
        (WaitDisconnect, vec![stop()]),
        (WaitStopReply, vec![]),
    ] {
        let mut bench = Bench::at(place);
        bench.connection.abort();
        assert_eq!(bench.sent(), said, "{place:?}");
        assert_eq!(bench.events(), [Event::Finished]);
        assert!(is_silent(&mut bench));
    }
}

#[test]
fn disconnected_call_is_a_failure_and_stays_polite() {
    for place in [WaitCallReply, CallUp] {
        let mut bench = Bench::at(place);
        bench.give(&notify(DisconnectResult::LostCarrier, b"mo|dem\n"));
        let words = r"gateway disconnected the call: lost carrier (mo\x7cdem\x0a)".to_owned();
        assert_eq!(bench.failure(), (Some((Reason::CallDisconnected, words)), false));
        bench.connection.close(bench.now);
        assert_eq!(bench.sent(), [stop()], "{place:?}");
    }
}

#[test]
fn close_by_the_gateway_says_what_it_interrupted() {
    for (place, words) in [
        (WaitStartReply, "waiting for Start-Control-Connection-Reply"),
        (Established, "the control connection was idle"),
        (WaitEchoReply, "waiting for Echo-Reply"),
        (WaitCallReply, "waiting for Outgoing-Call-Reply"),
        (CallUp, "the call was up"),
    ] {
        for (reset, how) in [(true, "reset"), (false, "closed")] {
            let mut bench = Bench::at(place);
            bench.connection.handle_closed(reset);
            let words = format!("gateway {how} the connection while {words}");
            assert_eq!(bench.failure(), (Some((Reason::Closed, words)), true));
            assert_eq!(bench.sent(), []);
        }
    }
    for place in [WaitDisconnect, WaitStopReply] {
        let mut bench = Bench::at(place);
        bench.connection.handle_closed(false);
        assert_eq!(bench.events(), [Event::Finished], "pptpd answers a farewell by closing");
    }
}

#[test]
fn close_in_the_middle_of_a_message_is_said() {
    let mut bench = Bench::at(WaitStartReply);
    bench.octets(&start_reply().emit()[..155]);
    assert_eq!(bench.connection.pending(), 155);
    bench.connection.handle_closed(false);
    let words = "gateway closed the connection while waiting for Start-Control-Connection-Reply \
                 after 155 octets of a message";
    assert_eq!(bench.failure().0, Some((Reason::Closed, words.to_owned())));
}

#[test]
fn foreign_protocol_is_known_by_its_first_octets() {
    for greeting in [&b"SSH-2.0-"[..], b"HTTP/1.1", b"220 mail"] {
        let mut bench = Bench::at(WaitStartReply);
        bench.octets(&greeting[..7]);
        assert_eq!(bench.events(), []);
        bench.octets(&greeting[7..]);
        let (failure, finished) = bench.failure();
        let (reason, words) = failure.unwrap();
        assert_eq!((reason, finished), (Reason::NotPptp, true));
        assert!(words.starts_with("gateway sent no PPTP message: value 0x"), "{words}");
    }
}

#[test]
fn what_breaks_the_protocol_is_malformed_and_ends_it_blindly() {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    let header = |length: u8, kind: u8, control: u8| {
        let mut octets = vec![0, length, 0, kind];
        octets.extend(cookie);
        octets.extend([0, control, 0, 0, 0, 0, 0, 0]);
        octets
    };
    for (place, octets, words, said) in [
        (WaitStartReply, header(11, 1, 2), "length 11", vec![stop()]),
        (Established, header(221, 1, 2), "length 221", vec![stop()]),
        (CallUp, header(16, 2, 5), "value 0x2", vec![clear(), stop()]),
        (CallUp, header(16, 1, 16), "value 0x10", vec![clear(), stop()]),
        (WaitCallReply, header(16, 1, 8), "length 16", vec![clear(), stop()]),
        (Established, b"\x00\x10\x00\x01\xff\xff\xff\xff".to_vec(), "0xffffffff", vec![stop()]),
    ] {
        let mut bench = Bench::at(place);
        bench.octets(&octets);
        let (failure, finished) = bench.failure();
        let (reason, detail) = failure.unwrap();
        assert_eq!((reason, finished), (Reason::Malformed, true));
        assert!(detail.starts_with("gateway sent no PPTP message: "), "{detail}");
        assert!(detail.contains(words), "{detail}");
        assert_eq!(bench.sent(), said);
    }
}

#[test]
fn one_octet_at_a_time_and_all_at_once_are_the_same() {
    let dialogue = [start_reply(), Message::EchoRequest { identifier: 3 }, stop()];
    let octets: Vec<u8> = dialogue.iter().flat_map(Message::emit).collect();
    let mut at_once = Bench::at(WaitStartReply);
    at_once.octets(&octets);
    let mut trickle = Bench::at(WaitStartReply);
    for octet in &octets {
        trickle.octets(&[*octet]);
    }
    let said = at_once.sent();
    assert_eq!(said, [echo_reply(3), stop_reply()]);
    assert_eq!(trickle.sent(), said);
    assert_eq!(trickle.events(), at_once.events());
}

#[test]
fn flood_ends_with_its_reason_and_a_farewell() {
    let mut bench = Bench::at(CallUp);
    // Two messages brought the bench there.
    for _ in 2..MAX_MESSAGES {
        bench.give(&Message::EchoRequest { identifier: 1 });
    }
    assert_eq!(bench.events(), []);
    assert_eq!(bench.sent().len(), MAX_MESSAGES as usize - 2);
    let flood = Message::EchoRequest { identifier: 1 }.emit().repeat(100);
    bench.octets(&flood);
    let words = "gateway sent 2001 control messages".to_owned();
    assert_eq!(bench.failure(), (Some((Reason::Flooded, words)), true));
    assert_eq!(bench.sent(), [clear(), stop()]);
}

#[test]
fn much_fewer_senseless_messages_are_a_flood_too() {
    let mut bench = Bench::at(Established);
    for _ in 0..=MAX_IGNORED {
        bench.give(&stop_reply());
    }
    assert_eq!(bench.events(), []);
    bench.give(&stop_reply());
    let words = "gateway sent 17 control messages nobody asked for".to_owned();
    assert_eq!(bench.failure(), (Some((Reason::Flooded, words)), true));
    assert_eq!(bench.sent(), [stop()]);
}

#[test]
fn incoming_call_is_refused() {
    for place in PLACES {
        let mut bench = Bench::at(place);
        bench.give(&Message::IncomingCallRequest(IncomingCallRequest {
            call_id: 0x1234,
            call_serial_number: 1,
            bearer_type: 1,
            physical_channel_id: 0,
            dialed_number: Vec::new(),
            dialing_number: Vec::new(),
            subaddress: Vec::new(),
        }));
        let octets = bench.connection.poll_transmit().unwrap();
        assert_eq!(
            octets,
            b"\x00\x18\x00\x01\x1a\x2b\x3c\x4d\x00\x0a\0\0\0\0\x12\x34\x03\0\0\x40\0\0\0\0"
        );
        assert_eq!(bench.events(), []);
    }
}

#[test]
fn what_says_nothing_changes_nothing() {
    let harmless = [
        Message::SetLinkInfo { peer_call_id: CALL_ID, send_accm: 0, receive_accm: 0 },
        Message::WanErrorNotify(WanErrorNotify {
            peer_call_id: CALL_ID,
            crc_errors: 1,
            framing_errors: 0,
            hardware_overruns: 0,
            buffer_overruns: 0,
            timeout_errors: 0,
            alignment_errors: 0,
        }),
    ];
    let misplaced = [
        Message::CallClearRequest { call_id: CALL_ID },
        Message::IncomingCallConnected(IncomingCallConnected {
            peer_call_id: CALL_ID,
            connect_speed: 0,
            packet_recv_window_size: 1,
            packet_transit_delay: 0,
            framing_type: 1,
        }),
        echo_reply(77),
    ];
    for place in PLACES {
        let mut bench = Bench::at(place);
        let (stage, due) = (bench.connection.stage(), bench.connection.poll_timeout());
        harmless.iter().for_each(|message| bench.give(message));
        assert_eq!(bench.connection.ignored(), 0);
        misplaced.iter().for_each(|message| bench.give(message));
        assert_eq!(bench.connection.ignored(), 3);
        assert_eq!((bench.sent(), bench.events()), (vec![], vec![]), "{place:?}");
        assert_eq!((bench.connection.stage(), bench.connection.poll_timeout()), (stage, due));
    }
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let small = any::<u8>();
    prop_oneof![
        (0..6u8, small).prop_map(|(r, e)| start_result(r.into(), e.into()).emit()),
        (0..8u8, 0..2u16).prop_map(|(result, other)| {
            let peer_call_id = CALL_ID + other;
            let fields = OutgoingCallReply { result: result.into(), peer_call_id, ..call_fields() };
            Message::OutgoingCallReply(fields).emit()
        }),
        (0..4u32).prop_map(|identifier| echo_reply(identifier).emit()),
        any::<u32>().prop_map(|identifier| Message::EchoRequest { identifier }.emit()),
        (0..6u8).prop_map(|result| notify(result.into(), b"text").emit()),
        Just(stop().emit()),
        Just(stop_reply().emit()),
        Just(clear().emit()),
        vec(any::<u8>(), 0..24),
    ]
}

#[derive(Debug, Clone)]
enum Op {
    Octets(Vec<u8>),
    Wait(u64),
    PlaceCall,
    Echo,
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any_message().prop_map(Op::Octets),
        1 => (0..800u64).prop_map(Op::Wait),
        1 => Just(Op::PlaceCall),
        1 => Just(Op::Echo),
        1 => Just(Op::Close),
    ]
}

proptest! {
    #[test]
    fn any_order_ends_politely_and_once(ops in vec(op(), 0..24)) {
        let mut bench = Bench::new();
        let mut said = Vec::new();
        let mut events = Vec::new();
        for op in ops {
            let longest = match &op {
                Op::Octets(octets) => octets.len() / 16 + 3,
                _ => 2,
            };
            match op {
                Op::Octets(octets) => bench.octets(&octets),
                Op::Wait(ms) => bench.wait(Duration::from_millis(ms)),
                Op::PlaceCall => bench.connection.place_call(CALL_ID, 1),
                Op::Echo if matches!(bench.connection.state, State::Established) => {
                    bench.connection.echo(bench.now);
                }
                Op::Echo => {}
                Op::Close => bench.connection.close(bench.now),
            }
            let sent = bench.sent();
            prop_assert!(sent.len() <= longest, "{sent:?}");
            said.extend(sent);
            events.extend(bench.events());
            prop_assert!(bench.connection.poll_timeout().is_none_or(|at| at > bench.now));
        }
        bench.connection.abort();
        said.extend(bench.sent());
        events.extend(bench.events());
        let count = |wanted: &Message| said.iter().filter(|message| *message == wanted).count();
        prop_assert!(count(&clear()) <= 1 && count(&stop()) <= 1);
        let called = said.iter().any(|m| matches!(m, Message::OutgoingCallRequest(_)));
        prop_assert!(called || count(&clear()) == 0);
        let ends = events.iter().filter(|event| **event == Event::Finished).count();
        let failures = events.iter().filter(|event| matches!(event, Event::Failed(_))).count();
        prop_assert_eq!(ends, 1);
        prop_assert_eq!(events.last(), Some(&Event::Finished));
        prop_assert!(failures <= 1);
        for event in &events {
            if let Event::Failed(failure) = event {
                prop_assert!(failure.detail.is_ascii());
            }
        }
        prop_assert!(is_silent(&mut bench));
    }
}
