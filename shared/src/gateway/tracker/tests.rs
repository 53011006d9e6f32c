use proptest::prelude::*;

use super::*;

struct Watch {
    tracker: Tracker,
    now: Instant,
    wall: SystemTime,
}

impl Watch {
    /// One that has had its first look, at nothing.
    fn new() -> Self {
        let now = Instant::now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_250_600);
        let mut watch = Self { tracker: Tracker::new(now), now, wall };
        watch.look(0, []);
        watch
    }

    fn look(&mut self, after: u64, sessions: impl IntoIterator<Item = Session>) -> Vec<Change> {
        self.now += Duration::from_secs(after);
        self.wall += Duration::from_secs(after);
        self.tracker.update(sessions, self.now, self.wall)
    }

    fn link(&mut self, after: u64, link: LinkChange) -> Vec<Change> {
        self.now += Duration::from_secs(after);
        self.wall += Duration::from_secs(after);
        self.tracker.link(link, self.now, self.wall)
    }

    fn only(&self) -> Record {
        assert_eq!(self.tracker.table().len(), 1);
        self.tracker.table().at_or_behind(0).unwrap().record()
    }
}

fn session(pid: u32, state: State) -> Session {
    Session { state, ..Session::new(Key::process(pid, 1)) }
}

fn open(pid: u32, octets_in: u64) -> Session {
    Session {
        user: Some(b"alice"[..].into()),
        assigned: Some(Ipv4Addr::new(192, 168, 77, 10)),
        if_index: Some(pid),
        traffic: Some(Traffic { octets_in, octets_out: 5, packets_in: 1, packets_out: 1 }),
        ..session(pid, State::Open)
    }
}

fn link(if_index: u32, there: bool, octets_in: u64) -> LinkChange {
    let traffic = Traffic { octets_in, octets_out: 5, packets_in: 1, packets_out: 1 };
    let if_name = b"ppp0"[..].into();
    LinkChange { if_index, if_name, there, begins: there, assigned: None, traffic: Some(traffic) }
}

fn ended(changes: &[Change]) -> &Ended {
    let [Change::Ended(ended)] = changes else { panic!("{changes:?}") };
    ended
}

#[test]
fn sessions_of_the_first_look_are_no_news() {
    let now = Instant::now();
    let mut tracker = Tracker::new(now);
    let changes = tracker.update([open(1, 7), open(2, 7)], now, SystemTime::now());
    assert_eq!(changes, []);
    let totals = tracker.totals();
    assert_eq!((totals.open, totals.peak, totals.users), (2, 2, 1));
    assert_eq!((totals.calls_up, totals.accepted, totals.octets_in), (0, 0, 0));
}

#[test]
fn index_stays_while_the_session_lives_and_is_not_used_again() {
    let mut watch = Watch::new();
    watch.look(5, [session(1, State::Lcp), session(2, State::Lcp)]);
    watch.look(5, [open(2, 0)]);
    assert_eq!(watch.only().index, 2);
    watch.look(5, [open(1, 0), open(2, 0)]);
    let indices: Vec<_> = watch.tracker.table().iter().map(|row| row.index()).collect();
    assert_eq!(indices, [2, 3]);
}

#[test]
fn index_wraps_around_the_living() {
    let mut watch = Watch::new();
    watch.look(5, [session(1, State::Lcp)]);
    watch.tracker.last_index = u32::MAX;
    watch.look(5, [session(1, State::Lcp), session(2, State::Lcp)]);
    let indices: Vec<_> = watch.tracker.table().iter().map(|row| row.index()).collect();
    assert_eq!(indices, [1, 2]);
    watch.look(5, [session(1, State::Lcp)]);
    assert_eq!(watch.only().session.key, Key::process(1, 1), "each key has its own row still");
}

#[test]
fn opening_is_told_once() {
    let mut watch = Watch::new();
    assert_eq!(watch.look(5, [session(1, State::Lcp)]), []);
    assert_eq!(watch.look(5, [open(1, 0)]), [Change::Opened { index: 1 }]);
    assert_eq!(watch.look(5, [open(1, 9)]), []);
    assert_eq!(watch.tracker.totals().calls_up, 1);
}

#[test]
fn end_still_says_whose_session_it_was() {
    let mut watch = Watch::new();
    watch.look(5, [open(1, 100)]);
    watch.look(5, [session(1, State::Closing)]);
    let changes = watch.look(5, []);
    let ended = ended(&changes);
    assert_eq!(ended.record.session.user.as_deref(), Some(&b"alice"[..]));
    assert_eq!(ended.record.session.traffic.map(|traffic| traffic.octets_in), Some(100));
    assert_eq!((ended.phase, ended.cause), (Phase::Done, TerminateCause::Unknown));
    assert_eq!(watch.tracker.totals().open, 0);
}

#[test]
fn session_that_came_no_further_than_lcp_until_pppd_gave_up() {
    let mut watch = Watch::new();
    watch.look(5, [session(1, State::Lcp)]);
    let changes = watch.look(30, []);
    assert_eq!(ended(&changes).cause, TerminateCause::LcpTimeout);
    watch.look(5, [session(2, State::Lcp)]);
    let changes = watch.look(6, []);
    assert_eq!(ended(&changes).cause, TerminateCause::Unknown);
    assert_eq!(ended(&changes).phase, Phase::Lcp);
}

#[test]
fn control_connection_without_a_call_is_counted() {
    let mut watch = Watch::new();
    watch.look(5, [session(1, State::CtrlEstablished)]);
    assert_eq!(ended(&watch.look(5, [])).phase, Phase::Control);
    let totals = watch.tracker.totals();
    assert_eq!((totals.accepted, totals.failed, totals.starting), (1, 1, 0));
}

#[test]
fn address_that_becomes_known_late_is_no_renegotiation() {
    let mut watch = Watch::new();
    watch.look(5, [Session { assigned: None, ..open(1, 0) }]);
    assert_eq!(watch.look(5, [open(1, 0)]), []);
    assert_eq!(watch.only().watched.renegotiations, 0);
}

#[test]
fn renegotiation_is_counted_when_open_is_left_or_the_address_changes() {
    let mut watch = Watch::new();
    watch.look(5, [open(1, 0)]);
    assert_eq!(watch.look(5, [session(1, State::Lcp)]), [Change::Renegotiated { index: 1 }]);
    assert_eq!(watch.look(5, [open(1, 0)]), []);
    let other = Session { assigned: Some(Ipv4Addr::new(192, 168, 77, 11)), ..open(1, 0) };
    assert_eq!(watch.look(5, [other]), [Change::Renegotiated { index: 1 }]);
    assert_eq!(watch.only().watched.renegotiations, 2);
}

#[test]
fn what_a_log_tells_stays_and_stands_below_what_the_source_tells() {
    let mut watch = Watch::new();
    watch.look(5, [Session { encryption: Some(Encryption::Mppe128), ..open(1, 0) }]);
    let learned = Learned {
        user: Some(b"bob"[..].into()),
        auth_method: Some(AuthMethod::MsChapV2),
        encryption: Some(Encryption::Mppe40),
        renegotiations: 2,
        reauthentications: 1,
        ..Learned::default()
    };
    watch.tracker.learn(1, &learned);
    watch.tracker.learn(9, &learned);
    let quality = Quality { gre_lost: Some(7), ..Quality::default() };
    watch.look(5, [Session { quality: Some(quality.into()), ..open(1, 0) }]);
    let Record { session, watched, .. } = watch.only();
    assert_eq!(session.user.as_deref(), Some(&b"alice"[..]));
    assert_eq!(session.auth_method, Some(AuthMethod::MsChapV2));
    assert_eq!(session.encryption, Some(Encryption::Mppe128));
    assert_eq!(watched.renegotiations, 2);
    let expected = Quality { reauthentications: Some(1), ..quality };
    assert_eq!(session.quality.as_deref(), Some(&expected));
}

#[test]
fn idle_time_counts_from_the_last_octet() {
    let mut watch = Watch::new();
    watch.look(5, [open(1, 1)]);
    let first = seconds(watch.wall);
    assert_eq!(watch.only().watched.active, None, "one look shows no change");
    watch.look(5, [open(1, 1)]);
    assert_eq!(watch.only().watched.active, Some(first));
    watch.look(5, [open(1, 2)]);
    assert_eq!(watch.only().watched.active, Some(seconds(watch.wall)));
}

#[test]
fn counters_that_begin_anew_do_not_run_backwards() {
    let mut watch = Watch::new();
    watch.look(5, [open(1, 1000)]);
    watch.look(5, [open(1, 10)]);
    assert_eq!(watch.tracker.totals().octets_in, 1010);
    assert_eq!(watch.only().watched.began, 1000);
}

#[test]
fn beginning_of_counters_wraps() {
    let mut watch = Watch::new();
    watch.look(497 * 86_400, [session(1, State::Lcp)]);
    assert_eq!(watch.only().watched.began, 4_294_080_000);
    watch.look(86_400, [session(2, State::Lcp)]);
    assert_eq!(watch.only().watched.began, (4_302_720_000_u64 - (1 << 32)) as u32);
}

#[test]
fn kernel_ends_a_session_with_its_last_counters() {
    let mut watch = Watch::new();
    watch.look(5, [open(1, 100)]);
    assert_eq!(watch.link(1, link(1, false, 900)), []);
    assert_eq!(watch.only().session.state, State::Closing);
    assert_eq!(watch.tracker.totals().open, 0);
    let changes = watch.look(1, []);
    let traffic = ended(&changes).record.session.traffic;
    assert_eq!(traffic.map(|traffic| traffic.octets_in), Some(900));
    assert_eq!(watch.tracker.totals().octets_in, 900);
}

#[test]
fn session_between_two_looks_is_told_from_its_interface() {
    let mut watch = Watch::new();
    assert_eq!(watch.link(1, link(9, true, 0)), []);
    let assigned = Some(Ipv4Addr::new(192, 168, 77, 12));
    watch.link(1, LinkChange { assigned, ..link(9, true, 0) });
    let changes = watch.link(2, link(9, false, 77));
    let ended = ended(&changes);
    assert_eq!((ended.phase, ended.record.index), (Phase::Done, 0));
    assert_eq!(ended.record.session.assigned, assigned);
    let lasted = ended.end.duration_since(ended.record.session.start.unwrap());
    assert_eq!(lasted.ok(), Some(Duration::from_secs(3)));
    assert_eq!(watch.tracker.totals().calls_up, 1);
    assert_eq!(watch.link(1, link(9, false, 77)), [], "and told once");
}

#[test]
fn interface_that_a_look_explains_is_not_told_twice() {
    let mut watch = Watch::new();
    watch.link(1, link(1, true, 0));
    watch.look(1, [open(1, 0)]);
    watch.link(1, link(1, false, 0));
    ended(&watch.look(1, []));
    assert_eq!(watch.tracker.totals().accepted, 1);
}

#[test]
fn word_that_comes_late_begins_nothing() {
    let mut watch = Watch::new();
    watch.look(5, [open(1, 0)]);
    ended(&watch.look(5, []));
    watch.link(0, LinkChange { begins: false, ..link(1, true, 5) });
    assert_eq!(watch.link(0, link(1, false, 5)), [], "it was told once");
}

#[test]
fn interface_of_another_server_is_forgotten() {
    let mut watch = Watch::new();
    let mut other = Watch::new();
    watch.link(1, link(1, true, 0));
    other.look(1, [open(1, 0)]);
    watch.tracker.disown(&other.tracker);
    assert_eq!(watch.link(1, link(1, false, 9)), []);
}

#[test]
fn interfaces_nobody_claims_are_bounded() {
    let mut watch = Watch::new();
    for if_index in 0..10_000 {
        watch.link(0, link(if_index, true, 0));
    }
    assert_eq!(watch.tracker.loose.len(), MOST_LOOSE);
}

proptest! {
    #[test]
    fn interfaces_are_a_map(steps in prop::collection::vec((0..30_u32, 0..5_u32), 0..300)) {
        let (mut interfaces, mut model) = (Interfaces::default(), BTreeMap::new());
        for (if_index, session) in steps {
            if session == 0 {
                interfaces.remove(if_index);
                model.remove(&if_index);
            } else {
                interfaces.insert(if_index, session);
                model.insert(if_index, session);
            }
            for if_index in 0..30 {
                prop_assert_eq!(interfaces.get(if_index), model.get(&if_index).copied());
            }
        }
    }

    #[test]
    fn any_order_of_sessions_keeps_the_sums_right(
        looks in prop::collection::vec(prop::collection::vec((1..20_u32, 1..12_u8, 0..4_u64), 0..20), 0..20),
        sorted: bool,
    ) {
        let mut watch = Watch::new();
        let states = [State::Unknown, State::CtrlEstablished, State::Lcp, State::Ipcp, State::Open, State::Closing];
        for look in looks {
            let mut sessions: Vec<_> = look
                .into_iter()
                .map(|(pid, state, octets)| Session {
                    state: states[usize::from(state) % states.len()],
                    ..open(pid, octets)
                })
                .collect();
            if sorted {
                sessions.sort_by_key(|session| session.key);
                sessions.dedup_by_key(|session| session.key);
            }
            let keys: Vec<_> = sessions.iter().map(|session| session.key).collect();
            watch.look(5, sessions);
            let table = watch.tracker.table();
            let open = table.iter().filter(|row| row.state() == State::Open).count();
            prop_assert_eq!(watch.tracker.totals().open as usize, open);
            if sorted {
                let mut there: Vec<_> = table.iter().map(|row| row.key()).collect();
                there.sort();
                prop_assert_eq!(there, keys);
            }
        }
    }
}
