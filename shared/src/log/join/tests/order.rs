//! One end for each session, whatever order its entries come in.

use super::*;

const SESSION: [&str; 14] = [
    "pptpd[761]: CTRL: Client 192.0.2.3 control connection started",
    "pptpd[761]: CTRL: Starting call (launching pppd, opening GRE)",
    "pppd[762]: pppd 2.4.9 started by root, uid 0",
    "pppd[762]: Connect: ppp0 <--> /dev/pts/0",
    "pppd[762]: peer from calling number 192.0.2.3 authorized",
    "pppd[762]: MPPE 128-bit stateless compression enabled",
    "pppd[762]: remote IP address 192.168.77.10",
    "pptpd[761]: CTRL: Reaping child PPP[762]",
    "pppd[762]: Modem hangup",
    "pppd[762]: MPPE disabled",
    "pppd[762]: Connection terminated.",
    "pppd[762]: Sent 562 bytes, received 439 bytes.",
    "pppd[762]: Exit.",
    "pptpd[761]: CTRL: Client 192.0.2.3 control connection finished",
];

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}

/// Lines of the same second.
fn at_once(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("Nov 21 02:00:00 gateway {line}\n")).collect()
}

#[test]
fn both_processes_may_end_in_either_order() {
    let expected = sorted(words(&at_once(&SESSION)));
    assert!(expected.contains(&"sessions_ended:UserRequest@192.0.2.3".to_owned()), "{expected:?}");
    let ends = &SESSION[7..];
    for merge in 0u32..1 << ends.len() {
        // Each process keeps its own order; the bits say whose turn it is.
        let (control, ppp): (Vec<_>, Vec<_>) =
            ends.iter().copied().partition(|line| line.starts_with("pptpd"));
        if merge.count_ones() as usize != control.len() {
            continue;
        }
        let (mut control, mut ppp) = (control.into_iter(), ppp.into_iter());
        let turns = (0..ends.len()).map(|bit| merge >> bit & 1 == 1);
        let merged = turns.filter_map(|own| if own { control.next() } else { ppp.next() });
        let lines: Vec<&str> = SESSION[..7].iter().copied().chain(merged).collect();
        assert_eq!(sorted(words(&at_once(&lines))), expected, "{lines:?}");
    }
}

#[test]
fn the_end_knows_what_both_processes_told() {
    let mut ends = Vec::new();
    let mut joiner = Joiner::default();
    let text = at_once(&SESSION);
    Lines::new(NOW).split(text.as_bytes(), &mut |entry| {
        joiner.take(entry, &mut |event| {
            if let (What::SessionDown { .. }, Some(session)) = (event.what, event.session) {
                ends.push(session.clone());
            }
        });
    });
    let [end] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((end.control_pid, end.ppp_pid, end.number), (Some(761), Some(762), 1));
    assert_eq!((end.sent, end.received), (Some(562), Some(439)));
    assert_eq!(end.assigned, Some(Ipv4Addr::new(192, 168, 77, 10)));
    assert_eq!(joiner.sessions().count(), 0);
}

#[test]
fn a_process_without_an_end_is_waited_for_and_then_given_up() {
    let killed: Vec<&str> =
        SESSION.iter().copied().filter(|line| !line.ends_with("Exit.")).collect();
    let mut joiner = Joiner::default();
    let before = words_of(&mut joiner, at_once(&killed).as_bytes());
    assert!(!before.iter().any(|word| word.starts_with("sessions_ended")), "{before:?}");
    let later = b"Nov 21 02:00:05 gateway pptpd[9]: MGR: Manager process started\n";
    let after = words_of(&mut joiner, later);
    assert_eq!(after, ["sessions_ended:UserRequest@192.0.2.3", "server_starts"]);

    let mut quiet = Joiner::default();
    words_of(&mut quiet, at_once(&killed).as_bytes());
    let mut told = Vec::new();
    quiet.settle(NOW, &mut |event| told.push(word(event)));
    assert_eq!(told, ["sessions_ended:UserRequest@192.0.2.3"]);
}

#[test]
fn what_comes_after_it_was_given_up_tells_nothing_a_second_time() {
    let failed = [
        "00 gateway pptpd[761]: CTRL: Client 192.0.2.3 control connection started",
        "00 gateway pptpd[761]: CTRL: Starting call (launching pppd, opening GRE)",
        "00 gateway pptpd[771]: CTRL: Client 192.0.2.4 control connection started",
        "00 gateway pptpd[771]: CTRL: Starting call (launching pppd, opening GRE)",
        "01 gateway pppd[762]: pppd 2.4.9 started by root, uid 0",
        "01 gateway pppd[762]: Peer eve failed CHAP authentication",
        "02 gateway pppd[762]: Exit.",
        "09 gateway pptpd[761]: CTRL: Reaping child PPP[762]",
        "12 gateway pptpd[761]: CTRL: Client 192.0.2.3 control connection finished",
        "30 gateway pptpd[1]: MGR: Manager process started",
    ];
    let ended = [
        "00 gateway pptpd[761]: CTRL: Client 192.0.2.3 control connection started",
        "00 gateway pptpd[761]: CTRL: Starting call (launching pppd, opening GRE)",
        "01 gateway pppd[762]: pppd 2.4.9 started by root, uid 0",
        "01 gateway pppd[762]: remote IP address 192.168.77.10",
        "02 gateway pptpd[761]: CTRL: Reaping child PPP[762]",
        "02 gateway pptpd[761]: CTRL: Client 192.0.2.3 control connection finished",
        "09 gateway pppd[762]: Sent 562 bytes, received 439 bytes.",
        "10 gateway pppd[762]: Modem hangup",
        "10 gateway pppd[762]: Exit.",
        "30 gateway pptpd[1]: MGR: Manager process started",
    ];
    let is_end =
        |word: &&String| word.starts_with("calls_failed") || word.starts_with("sessions_e");
    for (lines, reaps, end) in [
        (failed, true, "calls_failed:auth/auth_rejected=eve"),
        (failed, false, "calls_failed:auth/auth_rejected=eve"),
        (ended, true, "sessions_ended:Unknown@192.0.2.3"),
    ] {
        let lines = lines.iter().filter(|line| reaps || !line.contains("Reaping"));
        let lines: Vec<_> = lines.map(|line| format!("Nov 21 02:00:{line}\n")).collect();
        // At once, and by runs that each go on where the one before ended.
        let together = words(&lines.concat());
        let mut kept = Joiner::default().save();
        let mut apart = Vec::new();
        for line in &lines {
            let mut joiner = Joiner::resume(&kept).expect("it is whole");
            apart.extend(words_of(&mut joiner, line.as_bytes()));
            kept = joiner.save();
        }
        assert_eq!(together, apart);
        let ends: Vec<_> = together.iter().filter(is_end).collect();
        assert_eq!(ends, [end], "{together:?}");
    }
}

#[test]
fn interleaved_calls_find_their_pppd_by_what_tells() {
    let lines = [
        "pptpd[10]: CTRL: Client 192.0.2.1 control connection started",
        "pptpd[11]: CTRL: Client 192.0.2.2 control connection started",
        "pptpd[11]: CTRL: Starting call (launching pppd, opening GRE)",
        "pptpd[10]: CTRL: Starting call (launching pppd, opening GRE)",
        "pppd[13]: pppd 2.4.9 started by root, uid 0",
        "pppd[12]: pppd 2.4.9 started by root, uid 0",
        "pppd[13]: Peer eve failed CHAP authentication",
        "pppd[12]: peer from calling number 192.0.2.2 authorized",
        "pppd[12]: remote IP address 192.168.77.10",
        "pppd[13]: Exit.",
        "pptpd[10]: CTRL: Reaping child PPP[13]",
        "pptpd[10]: CTRL: Client 192.0.2.1 control connection finished",
        "pppd[12]: Terminating on signal 15",
        "pppd[12]: Exit.",
        "pptpd[11]: CTRL: Client 192.0.2.2 control connection finished",
    ];
    assert_eq!(
        words(&at_once(&lines)),
        [
            "control_accepted@192.0.2.1",
            "control_accepted@192.0.2.2",
            "calls@192.0.2.2",
            "calls@192.0.2.1",
            // Two calls wait, so nothing says yet where this one came from.
            "auth_failures=eve",
            "auth_successes@192.0.2.2",
            "sessions_opened@192.0.2.2",
            "calls_failed:auth/auth_rejected@192.0.2.1=eve",
            "control_closed@192.0.2.1=eve",
            "sessions_ended:AdminReset@192.0.2.2",
            "control_closed@192.0.2.2",
        ]
    );
}

#[test]
fn a_wrong_guess_is_put_right() {
    // 10 and 11 call from one address; the pppd of the second comes first.
    let lines = [
        "pptpd[10]: CTRL: Client 192.0.2.1 control connection started",
        "pptpd[10]: CTRL: Starting call (launching pppd, opening GRE)",
        "pppd[13]: peer from calling number 192.0.2.1 authorized",
        "pptpd[11]: CTRL: Client 192.0.2.1 control connection started",
        "pptpd[11]: CTRL: Starting call (launching pppd, opening GRE)",
        "pppd[12]: peer from calling number 192.0.2.1 authorized",
        "pptpd[11]: CTRL: EOF or bad error reading ctrl packet length.",
        "pptpd[11]: CTRL: Reaping child PPP[13]",
        "pppd[13]: Modem hangup",
        "pppd[13]: Exit.",
        "pptpd[11]: CTRL: Client 192.0.2.1 control connection finished",
        "pppd[12]: remote IP address 192.168.77.10",
        "pptpd[10]: CTRL: Reaping child PPP[12]",
        "pppd[12]: Modem hangup",
        "pppd[12]: Exit.",
        "pptpd[10]: CTRL: Client 192.0.2.1 control connection finished",
    ];
    let told = words(&at_once(&lines));
    assert_eq!(told.iter().filter(|word| word.starts_with("calls_failed:ccp/closed")).count(), 1);
    assert_eq!(
        told.iter().filter(|word| *word == "sessions_ended:UserRequest@192.0.2.1").count(),
        1
    );
}

#[test]
fn a_number_that_is_used_again_is_another_session() {
    let mut twice = SESSION[..7].to_vec();
    twice.extend(SESSION);
    let told = words(&at_once(&twice));
    let ends = |label: &str| told.iter().filter(|word| word.starts_with(label)).count();
    assert_eq!((ends("sessions_opened"), ends("sessions_ended")), (2, 2), "{told:?}");
}

#[test]
fn hosts_do_not_mix() {
    let other = at_once(&SESSION[7..]).replace("gateway", "liar");
    let told = words(&(at_once(&SESSION[..7]) + &other));
    // The liar can only tell of an end of its own.
    let mut joiner = Joiner::default();
    words_of(&mut joiner, (at_once(&SESSION[..7]) + &other).as_bytes());
    assert_eq!(joiner.sessions().filter(|session| session.opened.is_some()).count(), 1, "{told:?}");
}

#[test]
fn a_session_that_began_before_the_log_ends_once() {
    let told = words(&at_once(&SESSION[7..]));
    assert_eq!(told, ["sessions_ended:LostCarrier@192.0.2.3", "control_closed@192.0.2.3"]);
    // An end alone tells nothing of a session.
    assert_eq!(words(&at_once(&["pppd[7]: Exit."])), Vec::<String>::new());
}

#[test]
fn only_the_control_connections_of_a_log_without_pppd_are_told() {
    let lines: Vec<&str> =
        SESSION.iter().copied().filter(|line| line.starts_with("pptpd")).collect();
    let mut joiner = Joiner::default();
    let mut told = words_of(&mut joiner, at_once(&lines).as_bytes());
    joiner.settle(NOW, &mut |event| told.push(word(event)));
    assert_eq!(told, ["control_accepted@192.0.2.3", "calls@192.0.2.3", "control_closed@192.0.2.3"]);
}

#[test]
fn a_boot_ends_what_was_open() {
    let boot = "Nov 21 03:00:00 gateway kernel: [    0.000000] Linux version 6.1.0\n";
    let told = words(&(at_once(&SESSION[..7]) + boot));
    assert_eq!(told.last().map(String::as_str), Some("sessions_ended:NasReboot@192.0.2.3"));
}

#[test]
fn a_joiner_goes_on_where_it_was_saved() {
    for name in [
        "pptpd/success-mschapv2-mppe-debug.log",
        "accel-ppp/log-file.level5.success-mschapv2-mppe.log",
        "pptpd/pool-exhausted.log",
    ] {
        let text = fixture(name);
        let whole = words_of(&mut Joiner::default(), &text);
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', &text).map(|at| at + 1).collect();
        for cut in ends {
            let mut first = Joiner::default();
            let mut told = words_of(&mut first, &text[..cut]);
            let octets = first.save();
            let mut second = Joiner::resume(&octets).expect("octets of save");
            assert_eq!(second.save(), octets);
            told.extend(words_of(&mut second, &text[cut..]));
            assert_eq!(told, whole, "{name} cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_joiner_is_refused() {
    let mut joiner = Joiner::default();
    words_of(&mut joiner, at_once(&SESSION[..7]).as_bytes());
    let octets = joiner.save();
    assert!(Joiner::resume(&[]).is_none());
    for length in 0..octets.len() {
        assert!(Joiner::resume(&octets[..length]).is_none(), "{length}");
    }
    let mut other = octets.clone();
    other[3] ^= 1;
    assert!(Joiner::resume(&other).is_none());
}

#[test]
fn the_oldest_sessions_make_room() {
    let mut joiner = Joiner::default();
    let mut text = String::new();
    for pid in 0..table::MOST + 1000 {
        text += &format!("Nov 21 02:00:00 g pppd[{pid}]: Using interface ppp{pid}\n");
    }
    words_of(&mut joiner, text.as_bytes());
    assert_eq!(joiner.sessions().count(), table::MOST);
    assert!(joiner.sessions().all(|session| session.ppp_pid >= Some(1000)));
}
