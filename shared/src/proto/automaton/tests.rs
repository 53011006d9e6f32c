use super::*;
use proptest::prelude::*;

/// Accepts options of kind 1; Naks kind 2 with value 0; rejects the rest.
#[derive(Debug, Default)]
struct Simple {
    wanted: Vec<RawOption>,
    acked: usize,
}

impl Negotiator for Simple {
    fn request(&mut self) -> Vec<RawOption> {
        self.wanted.clone()
    }
    fn judge(&mut self, options: &[RawOption]) -> Verdict {
        let rejected: Vec<_> = options.iter().filter(|o| o.kind > 2).cloned().collect();
        if !rejected.is_empty() {
            return Verdict::Reject(rejected);
        }
        if options.iter().any(|o| o.kind == 2) {
            return Verdict::Nak(vec![RawOption::new(2, &[0])]);
        }
        Verdict::Ack
    }
    fn acked(&mut self, _: &[RawOption]) {
        self.acked += 1;
    }
    fn naked(&mut self, _: &[RawOption]) {}
    fn rejected(&mut self, options: &[RawOption]) {
        self.wanted.retain(|o| !options.contains(o));
    }
}

fn packet(code: Code, identifier: u8, options: &[RawOption]) -> Packet {
    Packet { code, identifier, data: RawOption::emit_list(options) }
}

fn sent(automaton: &mut Automaton<Simple>) -> Vec<(Code, u8)> {
    std::iter::from_fn(|| automaton.poll_transmit()).map(|p| (p.code, p.identifier)).collect()
}

fn events(automaton: &mut Automaton<Simple>) -> Vec<Event> {
    std::iter::from_fn(|| automaton.poll_event()).collect()
}

fn in_state(state: State, now: Instant) -> Automaton<Simple> {
    let mut a = Automaton::new(Simple::default(), Timing::default());
    if state == State::Initial {
        return a;
    }
    if state == State::Closed {
        a.lower_up(now);
        return a;
    }
    a.open(now);
    if state == State::Starting {
        return a;
    }
    a.lower_up(now);
    let ack = packet(Code::ConfigureAck, 1, &[]);
    let request = packet(Code::ConfigureRequest, 9, &[]);
    match state {
        State::AckRcvd => drop(a.handle_packet(ack, now)),
        State::AckSent => drop(a.handle_packet(request, now)),
        State::Opened | State::Stopping | State::Closing => {
            a.handle_packet(ack, now);
            a.handle_packet(request, now);
            if state == State::Stopping {
                a.handle_packet(packet(Code::TerminateRequest, 3, &[]), now);
            }
            if state == State::Closing {
                a.close(b"", now);
            }
        }
        State::Stopped => a.protocol_rejected(now),
        _ => {}
    }
    sent(&mut a);
    events(&mut a);
    assert_eq!(a.state(), state);
    a
}

const BAD: u8 = 7;

/// The rows of RFC 1661, section 4.1, with the two deviations named above.
#[test]
fn transition_table() {
    use Code::*;
    use State::*;
    let now = Instant::now();
    let good = || packet(ConfigureRequest, 9, &[]);
    let bad = || packet(ConfigureRequest, 9, &[RawOption::new(BAD, &[])]);
    let ack = || packet(ConfigureAck, 1, &[]);
    let nak = || packet(ConfigureNak, 1, &[RawOption::new(1, &[])]);
    let terminate = || packet(TerminateRequest, 5, &[]);
    let terminate_ack = || packet(TerminateAck, 5, &[]);
    let code_reject = || Packet { code: CodeReject, identifier: 5, data: vec![1, 1, 0, 4] };
    type Row = (State, Packet, &'static [Code], State);
    let rows: Vec<Row> = vec![
        (Initial, good(), &[], Initial),
        (Starting, good(), &[], Starting),
        (Closed, good(), &[TerminateAck], Closed),
        (Stopped, good(), &[ConfigureRequest, ConfigureAck], AckSent),
        (Stopped, bad(), &[ConfigureRequest, ConfigureReject], ReqSent),
        (Closing, good(), &[], Closing),
        (Stopping, good(), &[], Stopping),
        (ReqSent, good(), &[ConfigureAck], AckSent),
        (ReqSent, bad(), &[ConfigureReject], ReqSent),
        (AckRcvd, good(), &[ConfigureAck], Opened),
        (AckRcvd, bad(), &[ConfigureReject], AckRcvd),
        (AckSent, good(), &[ConfigureAck], AckSent),
        (AckSent, bad(), &[ConfigureReject], ReqSent),
        (Opened, good(), &[ConfigureRequest, ConfigureAck], AckSent),
        (Opened, bad(), &[ConfigureRequest, ConfigureReject], ReqSent),
        (Closed, ack(), &[TerminateAck], Closed),
        (Stopped, ack(), &[TerminateAck], Stopped),
        (Closing, ack(), &[], Closing),
        (ReqSent, ack(), &[], AckRcvd),
        (AckRcvd, ack(), &[], AckRcvd),
        (AckSent, ack(), &[], Opened),
        (Opened, ack(), &[], Opened),
        (ReqSent, nak(), &[ConfigureRequest], ReqSent),
        (AckSent, nak(), &[ConfigureRequest], AckSent),
        (AckRcvd, nak(), &[], AckRcvd),
        (Opened, nak(), &[], Opened),
        (Closed, terminate(), &[TerminateAck], Closed),
        (ReqSent, terminate(), &[TerminateAck], ReqSent),
        (AckRcvd, terminate(), &[TerminateAck], ReqSent),
        (AckSent, terminate(), &[TerminateAck], ReqSent),
        (Opened, terminate(), &[TerminateAck], Stopping),
        (Closing, terminate_ack(), &[], Closed),
        (Stopping, terminate_ack(), &[], Stopped),
        (ReqSent, terminate_ack(), &[], ReqSent),
        (AckRcvd, terminate_ack(), &[], ReqSent),
        (AckSent, terminate_ack(), &[], AckSent),
        (Opened, terminate_ack(), &[ConfigureRequest], ReqSent),
        (ReqSent, code_reject(), &[], Stopped),
        (Opened, code_reject(), &[TerminateRequest], Stopping),
        (Closing, code_reject(), &[], Closed),
    ];
    for (from, input, codes, to) in rows {
        let mut a = in_state(from, now);
        let label = format!("{from:?} + {}", input.code);
        a.handle_packet(input, now);
        let out: Vec<Code> = sent(&mut a).into_iter().map(|(code, _)| code).collect();
        assert_eq!(out, codes, "{label}");
        assert_eq!(a.state(), to, "{label}");
    }
}

#[test]
fn code_reject_does_not_disturb_the_request_that_is_out() {
    let now = Instant::now();
    let mut a = in_state(State::ReqSent, now);
    for identifier in 1..=2 {
        a.reject_code(&packet(Code::Other(200), 40, &[]));
        assert_eq!(sent(&mut a), [(Code::CodeReject, identifier)]);
    }
    a.handle_packet(packet(Code::ConfigureAck, 1, &[]), now);
    assert_eq!(a.state(), State::AckRcvd);
}

#[test]
fn opens_with_one_request_and_one_ack_each_way() {
    let now = Instant::now();
    let mut a = in_state(State::ReqSent, now);
    a.handle_packet(packet(Code::ConfigureRequest, 40, &[]), now);
    assert_eq!(sent(&mut a), [(Code::ConfigureAck, 40)]);
    a.handle_packet(packet(Code::ConfigureAck, 1, &[]), now);
    assert_eq!(events(&mut a), [Event::Up]);
    assert_eq!(a.poll_timeout(), None);
}

/// Behind our Ack, a request that the peer has would open the negotiation anew.
#[test]
fn request_is_not_repeated_into_the_answer_of_a_peer_that_just_began() {
    let begun = Instant::now();
    let mut a = in_state(State::ReqSent, begun);
    let Timing { restart, .. } = Timing::default();
    let late = begun + restart - Duration::from_millis(1);
    a.handle_packet(packet(Code::ConfigureRequest, 1, &[]), late);
    assert_eq!(a.poll_timeout(), Some(late + restart / 2));
    // A peer that repeats its request holds it up no longer.
    let later = late + restart / 4;
    a.handle_packet(packet(Code::ConfigureRequest, 1, &[]), later);
    assert_eq!(a.poll_timeout(), Some(late + restart / 2));
    let mut early = in_state(State::ReqSent, begun);
    early.handle_packet(packet(Code::ConfigureRequest, 1, &[]), begun);
    assert_eq!(early.poll_timeout(), Some(begun + restart), "what is due later is left");
}

#[test]
fn silence_ends_after_max_configure_requests_and_keeps_the_identifier() {
    let mut now = Instant::now();
    let mut a = Automaton::new(Simple::default(), Timing::default());
    a.open(now);
    a.lower_up(now);
    while let Some(at) = a.poll_timeout() {
        now = at;
        a.handle_timeout(now);
    }
    assert_eq!(sent(&mut a), vec![(Code::ConfigureRequest, 1); 10]);
    assert_eq!(events(&mut a), [Event::Silent, Event::Finished]);
    assert_eq!(a.state(), State::Stopped);
}

#[test]
fn terminate_is_sent_twice_then_given_up() {
    let mut now = Instant::now();
    let mut a = in_state(State::Opened, now);
    a.close(b"bye", now);
    while let Some(at) = a.poll_timeout() {
        now = at;
        a.handle_timeout(now);
    }
    assert_eq!(sent(&mut a), vec![(Code::TerminateRequest, 2); 2]);
    assert_eq!(events(&mut a), [Event::Down, Event::Finished]);
}

#[test]
fn a_rejected_option_is_asked_for_no_more() {
    let now = Instant::now();
    let option = RawOption::new(1, &[1]);
    let wanted = vec![option.clone()];
    let mut a = Automaton::new(Simple { wanted, acked: 0 }, Timing::default());
    a.open(now);
    a.lower_up(now);
    a.poll_transmit();
    a.handle_packet(packet(Code::ConfigureReject, 1, &[option]), now);
    assert_eq!(a.poll_transmit(), Some(packet(Code::ConfigureRequest, 2, &[])));
}

#[test]
fn an_ack_or_reject_of_other_options_is_discarded() {
    let now = Instant::now();
    let mut a = in_state(State::ReqSent, now);
    let other = [RawOption::new(1, &[9])];
    a.handle_packet(packet(Code::ConfigureAck, 1, &other), now);
    a.handle_packet(packet(Code::ConfigureReject, 1, &other), now);
    a.handle_packet(packet(Code::ConfigureAck, 2, &[]), now);
    assert_eq!(a.state(), State::ReqSent);
    assert_eq!(a.counters().discarded, 3);
}

#[test]
fn naks_turn_into_rejects_and_the_quarrel_ends() {
    let now = Instant::now();
    let mut a = in_state(State::ReqSent, now);
    let stubborn = [RawOption::new(2, &[5])];
    let mut codes = vec![];
    for identifier in 0..MAX_ROUNDS as u8 {
        a.handle_packet(packet(Code::ConfigureRequest, identifier, &stubborn), now);
        codes.extend(sent(&mut a).into_iter().map(|(code, _)| code));
    }
    assert_eq!(codes[..5], [Code::ConfigureNak; 5]);
    assert!(codes[5..].iter().all(|&code| code == Code::ConfigureReject));
    assert_eq!(events(&mut a), [Event::NotConverging]);
}

#[test]
fn unknown_codes_come_back_and_are_rejected() {
    let now = Instant::now();
    let mut a = in_state(State::Opened, now);
    let odd = Packet { code: Code::Other(99), identifier: 7, data: vec![1, 2] };
    assert_eq!(a.handle_packet(odd.clone(), now), Some(odd.clone()));
    a.reject_code(&odd);
    let out = a.poll_transmit().unwrap();
    assert_eq!((out.code, out.data), (Code::CodeReject, odd.emit()));
}

/// Two automata over a link that loses and repeats, on a virtual clock:
/// they open, whatever the pattern, within their retransmissions.
fn meet(losses: &[bool], repeats: &[bool]) -> bool {
    let mut now = Instant::now();
    let timing = Timing { max_configure: 40, ..Timing::default() };
    let mut ends =
        [Automaton::new(Simple::default(), timing), Automaton::new(Simple::default(), timing)];
    for end in &mut ends {
        end.open(now);
        end.lower_up(now);
    }
    let mut fates = losses.iter().copied().chain(std::iter::repeat(false));
    let mut copies = repeats.iter().copied().chain(std::iter::repeat(false));
    for _ in 0..500 {
        loop {
            let mut moved = false;
            for from in 0..2 {
                while let Some(packet) = ends[from].poll_transmit() {
                    moved = true;
                    if fates.next() == Some(true) {
                        continue;
                    }
                    if copies.next() == Some(true) {
                        ends[1 - from].handle_packet(packet.clone(), now);
                    }
                    ends[1 - from].handle_packet(packet, now);
                }
            }
            if !moved {
                break;
            }
        }
        if ends.iter().all(Automaton::is_opened) {
            return true;
        }
        let Some(at) = ends.iter().filter_map(Automaton::poll_timeout).min() else {
            return false;
        };
        now = at;
        ends.iter_mut().for_each(|end| end.handle_timeout(now));
    }
    false
}

proptest! {
    #[test]
    fn two_ends_open_over_a_lossy_link(
        losses in proptest::collection::vec(any::<bool>(), 0..12),
        repeats in proptest::collection::vec(any::<bool>(), 0..12),
    ) {
        prop_assert!(meet(&losses, &repeats));
    }

    #[test]
    fn any_packets_in_any_order_keep_the_automaton_bounded(
        packets in proptest::collection::vec(
            (any::<u8>(), 0u8..4, proptest::collection::vec(any::<u8>(), 0..12)), 0..200),
    ) {
        let mut now = Instant::now();
        let mut a = in_state(State::ReqSent, now);
        for (code, identifier, data) in packets {
            let unanswered = a.handle_packet(Packet { code: (code % 16).into(), identifier, data }, now);
            if let Some(packet) = unanswered {
                a.reject_code(&packet);
            }
            prop_assert!(sent(&mut a).len() <= 3);
            prop_assert!(events(&mut a).len() <= 4);
            now += Duration::from_millis(700);
            a.handle_timeout(now);
            sent(&mut a);
            events(&mut a);
        }
    }
}
