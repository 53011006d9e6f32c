use pptp_probe::gateway::session::{self, Key, Session, Traffic};
use std::sync::atomic::Ordering;

use super::*;
use crate::alarms::Kind as Told;

pub(super) struct Bed {
    pub(super) keeper: Keeper,
    pub(super) now: Now,
    live: Live,
}

impl Bed {
    pub(super) fn new(config: &str) -> Self {
        let config = Config::parse(config).unwrap_or_else(|faults| panic!("{faults:?}"));
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_250_600);
        let now = Now { instant: Instant::now(), wall };
        let keeper = Keeper::new(Arc::new(config), "a test", now);
        Self { keeper, now, live: Live::default() }
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now.instant += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
    }

    /// Five seconds later poptop has these sessions.
    pub(super) fn look(&mut self, sessions: impl IntoIterator<Item = Session>) -> Vec<Alarm> {
        self.look_at(server(Some(4)), sessions)
    }

    fn look_at(
        &mut self,
        server: Option<session::Server>,
        sessions: impl IntoIterator<Item = Session>,
    ) -> Vec<Alarm> {
        let sources = vec![source(SourceState::Ok)];
        let sessions = sessions.into_iter().collect();
        self.take(Snapshot { server, sessions, sources })
    }

    fn take(&mut self, snapshot: Snapshot) -> Vec<Alarm> {
        self.pass(5);
        self.keeper.look(Source::Poptop, snapshot, self.now);
        self.alarms()
    }

    pub(super) fn alarms(&mut self) -> Vec<Alarm> {
        self.keeper.facts(self.now);
        self.keeper.alarms(&self.live, self.now)
    }

    pub(super) fn facts(&mut self) -> Facts {
        self.keeper.facts(self.now)
    }
}

fn server(maximum: Option<u32>) -> Option<session::Server> {
    let listen = "10.77.0.2:1723".parse().ok();
    Some(session::Server { maximum, listen, ..session::Server::new(Kind::Poptop, OperStatus::Up) })
}

fn source(state: SourceState) -> session::Source {
    session::Source { name: "process table /proc".to_owned(), state, needed: true }
}

pub(super) fn open(pid: u32, user: &str) -> Session {
    Session {
        state: State::Open,
        user: Some(user.as_bytes().into()),
        peer: Some(Ipv4Addr::new(203, 0, 113, pid as u8)),
        traffic: Some(Traffic { octets_in: 1 << 20, ..Traffic::default() }),
        if_index: Some(pid),
        ..Session::new(Key::process(pid, 1))
    }
}

pub(super) fn starting(pid: u32, state: State) -> Session {
    let peer = Some(Ipv4Addr::new(198, 51, 100, 9));
    Session { state, peer, ..Session::new(Key::process(pid, 1)) }
}

pub(super) fn kinds(alarms: &[Alarm]) -> Vec<Told> {
    alarms.iter().map(|alarm| alarm.kind).collect()
}

const TELL_ALL: &str = "[notifications]\nsession_up = true\nsession_down = true\n";

#[test]
fn gateway_that_is_not_there_has_no_row() {
    let mut bed = Bed::new("");
    assert_eq!(bed.look_at(None, []), []);
    assert!(bed.facts().servers.is_empty());
}

#[test]
fn sessions_are_told_up_and_down_where_that_is_asked_for() {
    let mut bed = Bed::new(TELL_ALL);
    assert_eq!(bed.look([open(1, "alice")]), [], "it was there before");
    let alarms = bed.look([open(1, "alice"), open(2, "bob")]);
    assert_eq!(kinds(&alarms), [Told::SessionUp]);
    assert_eq!(alarms[0].row, [1, 2]);
    let alarms = bed.look([open(2, "bob")]);
    assert_eq!(kinds(&alarms), [Told::SessionDown]);
    assert_eq!(alarms[0].row, [1], "the row of the history");
    assert_eq!(bed.facts().history[0].ended.record.session.user.as_deref(), Some(&b"alice"[..]));
    let mut bed = Bed::new("");
    bed.look([]);
    assert_eq!(bed.look([open(1, "alice")]), []);
}

#[test]
fn history_is_a_ring() {
    let mut bed = Bed::new("[history]\nrows = 2\n");
    for pid in 1..=4 {
        bed.look([open(pid, "alice")]);
    }
    let indices: Vec<_> = bed.facts().history.iter().map(|row| row.index).collect();
    assert_eq!(indices, [2, 3]);
}

#[test]
fn end_that_the_history_has_no_room_for_is_told_still() {
    let mut bed = Bed::new(&format!("{TELL_ALL}[history]\nrows = 1\n"));
    bed.look([open(1, "alice"), open(2, "bob")]);
    let alarms = bed.look([]);
    assert_eq!(kinds(&alarms), [Told::SessionDown, Told::SessionDown]);
    let ended = alarms.iter().filter_map(|alarm| alarm.ended.as_ref());
    let users: Vec<_> = ended.map(|row| row.ended.record.session.user.as_deref()).collect();
    assert_eq!(users, [Some(&b"alice"[..]), Some(b"bob")]);
    assert_eq!(bed.facts().history.len(), 1);
}

#[test]
fn checks_of_the_port_do_not_fill_the_history() {
    let mut bed = Bed::new(TELL_ALL);
    bed.look([]);
    bed.look([starting(1, State::CtrlEstablished)]);
    assert_eq!(bed.look([]), []);
    let facts = bed.facts();
    assert!(facts.history.is_empty() && facts.subnets.is_empty());
    assert_eq!(facts.servers[0].totals.failed, 1);
}

#[test]
fn server_is_told_down_once_and_up_again() {
    let mut bed = Bed::new("");
    bed.look([]);
    let alarms = bed.look_at(None, []);
    assert_eq!(kinds(&alarms), [Told::ServerDown]);
    assert_eq!(alarms[0].text, "poptop is not running");
    assert_eq!(bed.look_at(None, []), []);
    assert_eq!(kinds(&bed.look([])), [Told::ServerUp]);
}

#[test]
fn source_that_cannot_be_read_leaves_the_old_rows_until_they_are_stale() {
    let mut bed = Bed::new("");
    bed.look([open(1, "alice")]);
    let state = SourceState::Unreadable("permission denied".to_owned());
    let blind = Snapshot { server: None, sessions: Vec::new(), sources: vec![source(state)] };
    assert_eq!(bed.take(blind.clone()), [], "nobody could tell whether it is down");
    let facts = bed.facts();
    let server = &facts.servers[0];
    assert_eq!((server.status, server.errors), (OperStatus::Unknown, 1));
    assert_eq!(&*server.status_text, "process table /proc: permission denied");
    assert_eq!(server.sessions.len(), 1);
    bed.pass(26);
    assert_eq!(kinds(&bed.alarms()), [Told::DataStale]);
    assert_eq!(kinds(&bed.look([])), [Told::DataFresh]);
    assert_eq!(bed.facts().servers[0].status, OperStatus::Up);
}

#[test]
fn server_with_a_source_less_is_degraded() {
    let mut bed = Bed::new("");
    let extra = session::Source {
        needed: false,
        ..source(SourceState::Unreadable("permission denied".to_owned()))
    };
    let sources = vec![source(SourceState::Ok), extra];
    bed.take(Snapshot { server: server(None), sessions: vec![open(1, "alice")], sources });
    let facts = bed.facts();
    assert_eq!(facts.servers[0].status, OperStatus::Degraded);
    assert_eq!(facts.servers[0].sessions.len(), 1);
    assert_eq!(facts.agent.collect_errors, 1);
}

#[test]
fn counters_begin_anew_with_another_process_alone() {
    let mut bed = Bed::new("");
    let running =
        |start| server(None).map(|server| session::Server { start: Some(start), ..server });
    let start = bed.now.wall;
    bed.look_at(running(start), []);
    let since = bed.facts().servers[0].since;
    bed.look_at(running(start + Duration::from_millis(900)), []);
    bed.look_at(running(start), []);
    assert_eq!(bed.facts().servers[0].since, since, "an age is told in whole seconds");
    bed.look_at(None, []);
    bed.look_at(running(start), []);
    assert_eq!(bed.facts().servers[0].since, since, "it was only not seen");
    bed.look_at(None, []);
    bed.look_at(running(bed.now.wall), []);
    assert_eq!(bed.facts().servers[0].since, bed.now.instant);
}

#[test]
fn gre_that_is_not_counted_is_absent_and_goes_on_later() {
    let mut bed = Bed::new("");
    let mut shown = |gre_packets| {
        let counted = server(None).map(|server| session::Server { gre_packets, ..server });
        bed.look_at(counted, [open(1, "alice")]);
        bed.facts().servers[0].gre_packets
    };
    assert_eq!(shown(Some((0, 0))), Some((0, 0)));
    assert_eq!(shown(Some((10, 20))), Some((10, 20)));
    assert_eq!(shown(None), None);
    assert_eq!(shown(Some((15, 25))), Some((15, 25)));
    assert_eq!(shown(Some((5, 25))), Some((15, 25)), "a flow ended");
}

#[test]
fn server_is_named_as_configured_or_after_its_address() {
    let mut bed = Bed::new("");
    bed.look([]);
    assert_eq!(&*bed.facts().servers[0].name, "poptop 10.77.0.2:1723");
    let mut bed = Bed::new("[collect]\nnames = { poptop = \"vpn1\" }\n");
    bed.look([]);
    assert_eq!(&*bed.facts().servers[0].name, "vpn1");
}

#[test]
fn capacity_is_told_when_it_is_exceeded_and_when_it_is_not_any_more() {
    let mut bed = Bed::new("");
    bed.look([open(1, "a"), open(2, "b"), open(3, "c")]);
    let alarms = bed.look([open(1, "a"), open(2, "b"), open(3, "c"), open(4, "d")]);
    assert_eq!(kinds(&alarms), [Told::CapacityExceeded]);
    assert_eq!(alarms[0].limit, 4);
    assert_eq!(kinds(&bed.look([open(1, "a")])), [Told::CapacityCleared]);
}

#[test]
fn user_whose_sessions_end_again_and_again_is_told_once() {
    let mut bed = Bed::new("");
    bed.look([]);
    let mut told = Vec::new();
    for pid in 1..20 {
        told.extend(bed.look([open(pid, "alice"), open(100, "bob")]));
    }
    assert_eq!(kinds(&told), [Told::SessionFlapping]);
    assert_eq!(told[0].count, 6);
    assert!(told[0].text.contains("alice"), "{}", told[0].text);
    bed.pass(3600);
    assert_eq!(bed.alarms().len(), 1, "only that the data is stale");
    assert!(bed.keeper.flapping.is_empty());
}

#[test]
fn hostile_name_is_escaped_in_a_sentence_and_kept_in_its_row() {
    let mut bed = Bed::new("[notifications]\nflapping_count = 2\n");
    bed.look([]);
    let name = "a\n\u{1b}[2J|";
    let told: Vec<_> = (1..5).flat_map(|pid| bed.look([open(pid, name)])).collect();
    assert!(!told[0].text.chars().any(char::is_control), "{}", told[0].text);
    assert_eq!(&*bed.facts().users[0].name, name.as_bytes());
}

#[test]
fn rejected_logins_above_the_rate_are_told_and_when_they_are_over() {
    let mut bed = Bed::new("[notifications]\nauth_failures_count = 2\n");
    bed.look([]);
    let peer = Some(Ipv4Addr::new(203, 0, 113, 7));
    for _ in 0..5 {
        bed.keeper.reject(0, b"alice", peer, bed.now);
    }
    let alarms = bed.alarms();
    assert_eq!(kinds(&alarms), [Told::AuthFailureRateExceeded]);
    let facts = bed.facts();
    assert_eq!(facts.users[0].seen.auth_failures, Some(5));
    assert_eq!(facts.subnets[0].seen.auth_failures, Some(5));
    assert_eq!(facts.servers[0].counted.auth_failures, Some(5));
    for _ in 0..13 {
        bed.look([]);
    }
    assert_eq!(bed.live.notifications_suppressed.load(Ordering::Relaxed), 0);
    assert_eq!(bed.alarms(), [], "that it is over was told on the way");
    assert!(!bed.keeper.servers[0].logins.told);
}

#[test]
fn caller_without_gre_is_a_failure() {
    let mut bed = Bed::new("");
    bed.look([]);
    assert_eq!(bed.facts().servers[0].counted.lcp_timeouts, Some(0), "the first one counts");
    for _ in 0..7 {
        bed.look([starting(1, State::Lcp)]);
    }
    bed.look([]);
    let facts = bed.facts();
    assert_eq!(facts.failures[0].reason, Reason::Silent);
    assert_eq!(facts.servers[0].counted.lcp_timeouts, Some(1));
    assert_eq!(facts.history[0].ended.cause, TerminateCause::LcpTimeout);
}

#[test]
fn users_and_subnets_sum_over_their_sessions() {
    let quota = "[users.quota]\nalice = 4\n[subnets.quota]\n\"203.0.113.0/24\" = 100\n";
    let mut bed = Bed::new(quota);
    bed.look([open(1, "alice"), open(2, "alice"), open(3, "bob")]);
    bed.look([open(2, "alice"), open(3, "bob")]);
    let facts = bed.facts();
    let alice = &facts.users[0];
    assert_eq!((&*alice.name, alice.seen.active, alice.seen.total), (&b"alice"[..], 1, 2));
    assert_eq!((alice.seen.octets_in, alice.seen.quota), (2 << 20, Some(4)));
    assert_eq!(facts.subnets.len(), 1);
    let subnet = &facts.subnets[0];
    assert_eq!((subnet.address.to_string(), subnet.prefix), ("203.0.113.0".to_owned(), 24));
    assert_eq!((subnet.seen.active, subnet.seen.octets_in), (2, 3 << 20));
    assert_eq!(subnet.seen.quota, Some(100));
}

#[test]
fn session_that_only_the_kernel_saw_is_in_the_history() {
    let mut bed = Bed::new(TELL_ALL);
    bed.look([]);
    let link = |there| LinkChange {
        if_index: 9,
        if_name: b"ppp0"[..].into(),
        there,
        begins: there,
        assigned: Some(Ipv4Addr::new(192, 168, 77, 10)),
        traffic: Some(Traffic::default()),
    };
    bed.keeper.link(link(true), bed.now);
    bed.pass(2);
    bed.keeper.link(link(false), bed.now);
    assert_eq!(kinds(&bed.alarms()), [Told::SessionDown]);
    let facts = bed.facts();
    assert_eq!(facts.history.len(), 1);
    assert_eq!(facts.servers[0].totals.calls_up, 1);
}

#[test]
fn what_did_not_change_is_shared_between_refreshes() {
    let mut bed = Bed::new("");
    bed.look([open(1, "alice")]);
    bed.look([]);
    let (before, after) = (bed.facts(), bed.facts());
    assert!(Arc::ptr_eq(&before.history, &after.history));
    assert!(Arc::ptr_eq(&before.users, &after.users));
}

#[test]
fn changes_of_tables_have_their_time() {
    let mut bed = Bed::new("");
    bed.look([open(1, "alice")]);
    let changed = bed.facts().agent.changed;
    let came = Some(bed.now.instant);
    assert_eq!(changed[Table::Session as usize], came);
    assert_eq!(changed[Table::User as usize], came);
    bed.look([open(1, "alice")]);
    assert_eq!(bed.facts().agent.changed, changed);
    bed.look([starting(1, State::Lcp)]);
    bed.look([open(1, "alice")]);
    let sessions = Table::Session as usize;
    assert_eq!(bed.facts().agent.changed[sessions], came, "the row was there all the time");
    bed.look([]);
    let changed = bed.facts().agent.changed;
    assert_eq!(changed[Table::History as usize], Some(bed.now.instant));
}

const PROBE: &str = "[[probe]]\nname = \"gw\"\ntype = \"gre\"\nhostname = \"192.0.2.1\"\n";

#[test]
fn another_configuration_changes_only_the_tables_that_it_changes() {
    let mut bed = Bed::new("");
    assert_eq!(bed.facts().agent.changed, [None; TABLES], "there is no probe");
    let mut bed = Bed::new(PROBE);
    bed.look([open(1, "alice"), open(2, "bob")]);
    bed.look([]);
    let before = bed.facts().agent.changed;
    assert!(before[Table::Probe as usize].is_some());
    let mut changed = |config: &str| -> Vec<_> {
        bed.pass(1);
        let config = Config::parse(config).unwrap_or_else(|faults| panic!("{faults:?}"));
        bed.keeper.reconfigure(Arc::new(config), bed.now);
        let after = bed.facts().agent.changed;
        (0..TABLES).filter(|table| after[*table] == Some(bed.now.instant)).collect()
    };
    assert_eq!(changed(PROBE), [0; 0]);
    assert_eq!(changed(&format!("{PROBE}[history]\nrows = 1\n")), [Table::History as usize]);
    assert_eq!(changed(""), [Table::Probe as usize]);
}

#[test]
fn sessions_that_are_too_old_to_be_shown_are_a_change_of_their_table() {
    let mut bed = Bed::new("");
    bed.look([open(1, "alice")]);
    bed.pass(31);
    let changed = |bed: &mut Bed| bed.facts().agent.changed[Table::Session as usize];
    assert_eq!(changed(&mut bed), Some(bed.now.instant), "they went");
    bed.pass(5);
    bed.keeper.look(
        Source::Poptop,
        Snapshot { server: server(None), sessions: vec![open(1, "alice")], sources: Vec::new() },
        bed.now,
    );
    assert_eq!(changed(&mut bed), Some(bed.now.instant), "they came back");
}
