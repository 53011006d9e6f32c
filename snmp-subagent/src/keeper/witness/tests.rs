use pptp_probe::gateway::session::{AuthMethod, Encryption, Kind, OperStatus, Server, State};
use pptp_probe::gateway::session::{Snapshot, Source as Read, SourceState};
use pptp_probe::gateway::tracker::LinkChange;

use super::super::tests::{Bed, kinds, open, starting};
use super::*;
use crate::alarms::Kind as Told;
use crate::facts::Facts;

const LOG: &str = "[[log]]\nfile = '/var/log/syslog'\n[notifications]\nsession_down = true\n";

/// A bed whose log can be read, after a first look at nothing.
fn bed(config: &str) -> Bed {
    let mut bed = Bed::new(config);
    bed.keeper.log_reads(0, Ok(()));
    bed.look([]);
    bed
}

/// What a log tells of the session of the pptpctrl with this process.
fn told(bed: &Bed, pid: u32) -> LogSession {
    let since = bed.now.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    LogSession {
        number: pid.into(),
        control_pid: Some(pid),
        ppp_pid: Some(pid + 1),
        user: b"alice"[..].into(),
        started: Some(since.as_micros() as Stamp),
        ..LogSession::default()
    }
}

fn say(bed: &mut Bed, what: What, session: Option<LogSession>, text: &str) {
    let user = session.as_ref().map(|session| session.user.clone()).unwrap_or_default();
    let word = Word {
        at: bed.now.wall,
        what,
        program: Program::Pppd,
        user,
        peer: Some(IpAddr::from([203, 0, 113, 7])),
        session: session.map(Box::new),
        text: text.into(),
    };
    bed.keeper.hear(0, word, bed.now);
}

const HUNG_UP: What = What::SessionDown { cause: TerminateCause::UserRequest };

fn causes(facts: &Facts) -> Vec<(TerminateCause, Phase, &str)> {
    let ended = facts.history.iter().map(|row| &row.ended);
    ended.map(|ended| (ended.cause, ended.phase, ended.text.as_str())).collect()
}

#[test]
fn end_that_the_log_tells_first_has_its_cause_at_once() {
    let mut bed = bed(LOG);
    let session = told(&bed, 1);
    bed.look([open(1, "alice")]);
    let counted = LogSession { received: Some(7 << 30), sent: Some(5), ..session };
    say(&mut bed, HUNG_UP, Some(counted), "LCP terminated by peer");
    assert_eq!(bed.facts().history.len(), 0);
    assert_eq!(kinds(&bed.look([])), [Told::SessionDown]);
    let facts = bed.facts();
    let text = "the caller hung up; the log's last word: LCP terminated by peer";
    let expected = (TerminateCause::UserRequest, Phase::Done, text);
    assert_eq!(causes(&facts), [expected]);
    let traffic = facts.history[0].ended.record.session.traffic.unwrap();
    assert_eq!((traffic.octets_in, traffic.octets_out), (7 << 30, 5));
}

#[test]
fn end_that_a_look_sees_first_waits_for_the_log() {
    let mut bed = bed(LOG);
    let session = told(&bed, 1);
    bed.look([open(1, "alice")]);
    assert_eq!(bed.look([]), []);
    assert!(bed.keeper.due().is_some());
    say(&mut bed, HUNG_UP, Some(session), "LCP terminated by peer");
    assert_eq!(kinds(&bed.alarms()), [Told::SessionDown]);
    assert_eq!(causes(&bed.facts())[0].0, TerminateCause::UserRequest);
    assert_eq!(bed.keeper.due(), None);
}

#[test]
fn end_of_which_no_log_tells_is_told_when_it_waited_long_enough() {
    let mut bed = bed(LOG);
    let session = told(&bed, 1);
    bed.look([open(1, "alice")]);
    bed.look([]);
    bed.pass(PATIENCE.as_secs());
    assert_eq!(kinds(&bed.alarms()), [Told::SessionDown]);
    assert_eq!(causes(&bed.facts()), [(TerminateCause::Unknown, Phase::Done, "")]);
    let history = bed.facts().history;
    bed.pass(20);
    let late = LogSession { ppp_pid: None, ..session };
    say(&mut bed, What::SessionDown { cause: TerminateCause::EchoTimeout }, Some(late), "late");
    let facts = bed.facts();
    let text = "LCP echoes stayed unanswered; the log's last word: late";
    assert_eq!(causes(&facts), [(TerminateCause::EchoTimeout, Phase::Done, text)]);
    assert_eq!(facts.history[0].index, history[0].index, "the row is the same");
    assert_eq!(facts.history[0].ended.end, history[0].ended.end, "and did not end later");
}

#[test]
fn without_a_log_nothing_waits_and_what_only_logs_count_is_absent() {
    let mut bed = Bed::new("[notifications]\nsession_down = true\n");
    bed.look([open(1, "alice")]);
    assert_eq!(kinds(&bed.look([])), [Told::SessionDown]);
    let counted = bed.facts().servers[0].counted;
    assert_eq!((counted.auth_failures, counted.echo_timeouts), (None, None));
}

#[test]
fn session_too_short_for_any_look_is_in_the_history_once() {
    let mut bed = bed(LOG);
    let session = LogSession { if_name: b"ppp0"[..].into(), ..told(&bed, 1) };
    bed.pass(1);
    say(&mut bed, HUNG_UP, Some(session), "LCP terminated by peer");
    bed.look([]);
    assert_eq!(bed.facts().history.len(), 0, "a look may see it still");
    bed.look([]);
    bed.look([]);
    let facts = bed.facts();
    assert_eq!(causes(&facts).len(), 1);
    assert_eq!(facts.history[0].ended.record.index, 0);
    assert_eq!(facts.history[0].ended.record.session.user.as_deref(), Some(&b"alice"[..]));
}

#[test]
fn session_that_the_kernel_and_the_log_saw_is_one() {
    let mut bed = bed(LOG);
    let session = LogSession { if_name: b"ppp0"[..].into(), ..told(&bed, 1) };
    let link = |there| LinkChange {
        if_index: 9,
        if_name: b"ppp0"[..].into(),
        there,
        begins: there,
        assigned: Some(Ipv4Addr::new(192, 168, 77, 10)),
        traffic: None,
    };
    bed.keeper.link(link(true), bed.now);
    bed.pass(1);
    bed.keeper.link(link(false), bed.now);
    say(&mut bed, HUNG_UP, Some(session), "LCP terminated by peer");
    bed.pass(60);
    let facts = bed.facts();
    assert_eq!(facts.history.len(), 1);
    let session = &facts.history[0].ended.record.session;
    assert_eq!(session.user.as_deref(), Some(&b"alice"[..]));
    assert_eq!(session.assigned, Some(Ipv4Addr::new(192, 168, 77, 10)));
}

#[test]
fn process_number_that_is_used_again_is_another_session() {
    let mut bed = bed(LOG);
    let first = told(&bed, 1);
    say(&mut bed, HUNG_UP, Some(first), "the first one");
    bed.pass(3600);
    bed.look([open(1, "bob")]);
    bed.look([]);
    bed.pass(60);
    let facts = bed.facts();
    let users: Vec<_> =
        facts.history.iter().map(|row| row.ended.record.session.user.as_deref()).collect();
    assert_eq!(users, [Some(&b"alice"[..]), Some(b"bob")]);
    assert_eq!(causes(&facts)[1], (TerminateCause::Unknown, Phase::Done, ""));
}

#[test]
fn log_tells_of_a_session_what_no_option_does() {
    let mut bed = bed(LOG);
    let session = LogSession {
        authenticated: true,
        method: Some(AuthMethod::MsChapV2),
        encryption: Some(Encryption::Mppe128),
        stateless: Some(true),
        ..told(&bed, 1)
    };
    bed.keeper.resume(0, vec![session.clone()]);
    bed.look([open(1, "alice"), open(2, "bob")]);
    let facts = bed.facts();
    let row = |index| facts.servers[0].sessions.get(index).unwrap().record().session;
    assert_eq!(row(1).auth_method, Some(AuthMethod::MsChapV2));
    assert_eq!((row(1).encryption, row(1).stateless), (Some(Encryption::Mppe128), Some(true)));
    assert_eq!(row(2).auth_method, None);
    let opened = LogSession { opened: session.started, renegotiations: 1, ..session };
    say(&mut bed, What::SessionUp, Some(opened.clone()), "");
    say(&mut bed, What::AuthSuccess, Some(opened.clone()), "");
    say(&mut bed, What::Renegotiated, Some(opened), "");
    let record = bed.facts().servers[0].sessions.get(1).unwrap().record();
    assert_eq!(record.watched.renegotiations, 1);
    assert_eq!(record.session.quality.and_then(|quality| quality.reauthentications), Some(1));
}

#[test]
fn failures_are_counted_once_for_each_session() {
    let mut bed = bed(LOG);
    let counted = bed.facts().servers[0].counted;
    assert_eq!((counted.auth_failures, counted.mppe_failures), (Some(0), Some(0)));
    let session = told(&bed, 1);
    say(&mut bed, What::ControlUp, Some(session.clone()), "");
    for _ in 0..2 {
        say(&mut bed, What::AuthFailure, Some(session.clone()), "Peer alice failed CHAP");
        say(&mut bed, What::MppeFailure, Some(session.clone()), "");
    }
    let failed = What::CallFailed { phase: Phase::Auth, reason: Reason::AuthRejected };
    say(&mut bed, failed, Some(session), "Exit.");
    say(&mut bed, What::PoolExhausted, None, "");
    say(&mut bed, What::ConntrackFull, None, "nf_conntrack: table full, dropping packet");
    let facts = bed.facts();
    let counted = facts.servers[0].counted;
    assert_eq!((counted.control_attempted, counted.control_refused), (Some(2), Some(1)));
    assert_eq!((counted.auth_failures, counted.mppe_failures), (Some(2), Some(1)));
    assert_eq!(facts.users[0].seen.auth_failures, Some(2));
    let failures: Vec<_> = facts.failures.iter().map(|row| (row.reason, row.count)).collect();
    let expected =
        [(Reason::ControlRefused, 1), (Reason::AuthRejected, 1), (Reason::ConntrackFull, 1)];
    assert_eq!(failures, expected);
    assert_eq!(&*facts.failures[1].user, b"alice");
    bed.pass(60);
    let expected = (TerminateCause::NasRequest, Phase::Auth, "Peer alice failed CHAP");
    assert_eq!(causes(&bed.facts()), [expected]);
}

#[test]
fn lcp_timeout_is_counted_by_the_log_or_by_the_look_but_not_by_both() {
    let mut bed = bed(LOG);
    let session = told(&bed, 1);
    for _ in 0..7 {
        bed.look([starting(1, State::Lcp), starting(2, State::Lcp)]);
    }
    say(&mut bed, What::LcpTimeout, Some(session.clone()), "LCP: timeout");
    let failed = What::CallFailed { phase: Phase::Lcp, reason: Reason::Silent };
    say(&mut bed, failed, Some(session), "Exit.");
    bed.look([]);
    bed.pass(60);
    let facts = bed.facts();
    assert_eq!(facts.servers[0].counted.lcp_timeouts, Some(2));
    assert_eq!((facts.failures[0].reason, facts.failures[0].count), (Reason::Silent, 2));
    assert_eq!(causes(&facts)[0], (TerminateCause::LcpTimeout, Phase::Lcp, "LCP: timeout"));
}

#[test]
fn many_rejected_logins_in_a_log_are_told() {
    let mut bed = bed(&LOG.replace("session_down", "auth_failures_count = 2\nsession_down"));
    for _ in 0..3 {
        say(&mut bed, What::AuthFailure, None, "");
    }
    assert_eq!(kinds(&bed.alarms()), [Told::AuthFailureRateExceeded]);
    bed.pass(20);
    bed.look([]);
    bed.pass(20);
    bed.look([]);
    bed.pass(20);
    assert_eq!(kinds(&bed.look([])), [Told::AuthFailureRateCleared]);
}

#[test]
fn log_that_cannot_be_read_is_an_error_of_its_server_until_it_can() {
    let mut bed = bed(LOG);
    bed.keeper.log_reads(0, Err("cannot read /var/log/syslog: permission denied".into()));
    bed.look([]);
    let server = bed.facts().servers.remove(0);
    assert_eq!((server.status, server.errors), (OperStatus::Degraded, 1));
    assert!(server.status_text.contains("/var/log/syslog"), "{}", server.status_text);
    bed.keeper.log_reads(0, Ok(()));
    bed.look([]);
    assert_eq!(bed.facts().servers[0].status, OperStatus::Up);
}

#[test]
fn log_of_accel_ppp_is_joined_by_interface_and_addresses() {
    let mut bed = Bed::new(LOG);
    bed.keeper.log_reads(0, Ok(()));
    let session = |sid, name: &str| Session {
        if_name: Some(name.as_bytes().into()),
        peer: Some(Ipv4Addr::new(203, 0, 113, 7)),
        state: State::Open,
        ..Session::new(Key::counted(sid))
    };
    let look = |bed: &mut Bed, sessions| {
        bed.pass(5);
        let server = Some(Server::new(Kind::AccelPpp, OperStatus::Up));
        let name = "command line port".to_owned();
        let sources = vec![Read { name, state: SourceState::Ok, needed: true }];
        bed.keeper.look(Source::AccelPpp, Snapshot { server, sessions, sources }, bed.now);
    };
    look(&mut bed, vec![session(1, "ppp0"), session(2, "ppp1")]);
    let word = Word {
        at: bed.now.wall,
        what: What::SessionDown { cause: TerminateCause::EchoTimeout },
        program: Program::AccelPpp,
        user: b"bob"[..].into(),
        peer: None,
        session: Some(Box::new(LogSession {
            if_name: b"ppp1"[..].into(),
            peer: Some(IpAddr::from([203, 0, 113, 7])),
            ..LogSession::default()
        })),
        text: "lcp: no echo reply".into(),
    };
    bed.keeper.hear(0, word, bed.now);
    look(&mut bed, Vec::new());
    bed.pass(60);
    let facts = bed.facts();
    let ended: Vec<_> = facts.history.iter().map(|row| &row.ended).collect();
    let of = |cause| ended.iter().find(|ended| ended.cause == cause).unwrap();
    let name = |cause| of(cause).record.session.if_name.clone().unwrap();
    assert_eq!(&*name(TerminateCause::EchoTimeout), b"ppp1");
    assert_eq!(&*name(TerminateCause::Unknown), b"ppp0");
    assert_eq!(facts.failures[0].reason, Reason::LcpEchoSilent);
}

#[test]
fn what_waits_is_bounded() {
    let mut bed = bed(&LOG.replace("[notifications]", "[history]\nrows = 9\n[notifications]"));
    for pid in 1..=5000 {
        let session = told(&bed, pid);
        say(&mut bed, What::AuthSuccess, Some(session.clone()), "");
        say(&mut bed, HUNG_UP, Some(session), "");
    }
    let witness = &bed.keeper.servers[0].witness;
    assert_eq!((witness.told.len(), witness.going_on.len()), (MOST_ENDS, 0));
    for number in 0..MOST_GOING_ON + 9 {
        let session = LogSession { number: number as u64, ..LogSession::default() };
        bed.keeper.servers[0].witness.remember(0, session);
    }
    let witness = &bed.keeper.servers[0].witness;
    assert_eq!((witness.going_on.len(), witness.unlinked.len()), (MOST_GOING_ON, MOST_GOING_ON));
}
