//! Lines that strangers wrote.

use proptest::prelude::*;

use super::*;

#[test]
fn a_name_is_no_sentence() {
    for name in [
        "x failed CHAP authentication",
        "pppd[1]: peer from calling number 203.0.113.9 authorized",
        "CTRL: Client 203.0.113.9 control connection finished",
        "x|y\"z'",
        "message repeated 9 times: [ Exit.]",
    ] {
        let lines = [
            "pptpd[1]: CTRL: Client 192.0.2.3 control connection started",
            "pptpd[1]: CTRL: Starting call (launching pppd, opening GRE)",
            "pppd[2]: Connect: ppp0 <--> /dev/pts/0",
            &format!("pppd[2]: Peer {} failed CHAP authentication", name.replace('"', "\\\"")),
            "pppd[2]: Exit.",
            "pptpd[1]: CTRL: Client 192.0.2.3 control connection finished",
        ];
        let user = name.as_bytes().escape_ascii();
        assert_eq!(
            words(&log(&lines)),
            [
                "control_accepted@192.0.2.3".to_owned(),
                "calls@192.0.2.3".to_owned(),
                format!("auth_failures@192.0.2.3={user}"),
                format!("calls_failed:auth/auth_rejected@192.0.2.3={user}"),
                format!("control_closed@192.0.2.3={user}"),
            ]
        );
    }
}

#[test]
fn a_name_of_accel_ppp_is_no_sentence() {
    for name in [
        "ppp0: bob: authentication succeeded",
        "x: disconnected",
        "ppp0: disconnected",
        "pptp: new connection from 203.0.113.9",
        "last message repeated 9 times",
    ] {
        let begin = "[2026-11-21 03:00:00]:  info: ppp0: connect: ppp0 <--> pptp(10.78.0.3)\n\
                     [2026-11-21 03:00:00]:  info: ppp0: probe: authentication succeeded\n";
        let fails = format!(
            "[2026-11-21 03:00:01]:  info: : {name}: authentication failed\n\
             [2026-11-21 03:00:01]:  info: {name}: authentication failed\n\
             [2026-11-21 03:00:01]:  info: : disconnected\n"
        );
        let mut joiner = Joiner::default();
        words_of(&mut joiner, begin.as_bytes());
        assert_eq!(
            words_of(&mut joiner, fails.as_bytes()),
            [
                format!("calls={name}"),
                format!("auth_failures={name}"),
                format!("calls_failed:auth/auth_rejected={name}"),
                format!("control_closed={name}"),
            ]
        );
        assert_eq!(joiner.sessions().count(), 1, "{name}");

        let syslog = format!(
            "Nov 21 03:00:00 g accel-pppd: :{name}: {name}: authentication failed\n\
             Nov 21 03:00:00 g accel-pppd: {name}: authentication failed\n\
             Nov 21 03:00:00 g accel-pppd: :: disconnected\n"
        );
        let told = words(&syslog);
        assert_eq!(
            told.iter().filter(|word| word.starts_with("auth_failures")).count(),
            1,
            "{told:?}"
        );
        assert_eq!(told.last(), Some(&format!("control_closed={name}")), "{name}");
    }
}

#[test]
fn only_the_tag_says_who_wrote() {
    for line in [
        "sshd[1]: pppd[2]: Peer x failed CHAP authentication",
        "pppdx[2]: Peer x failed CHAP authentication",
        "xpppd[2]: Peer x failed CHAP authentication",
        "pppd[]: Peer x failed CHAP authentication",
        "pppd[2: Peer x failed CHAP authentication",
        "pppd[99999999999]: Peer x failed CHAP authentication",
        "CRON[7]: (root) CMD (pppd[2]: Exit.)",
    ] {
        assert_eq!(words(&log(&[line])), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn long_and_broken_names_are_cut() {
    let long = "x".repeat(100_000);
    let told = words(&log(&[&format!("pppd[2]: Peer {long} failed CHAP authentication")]));
    assert_eq!(told, [format!("auth_failures={}", &long[..crate::log::event::LONGEST])]);
    let mut line = b"Nov 21 02:00:00 g pppd[2]: Peer ".to_vec();
    line.extend_from_slice(b"\xff\xfe\0 failed CHAP authentication\n");
    assert_eq!(words_of(&mut Joiner::default(), &line), ["auth_failures=\\xff\\xfe\\x00"]);
}

#[test]
fn repetitions_count() {
    let told = words(&log(&[
        "pptpd[1]: MGR: dropped slow initial connection",
        "last message repeated 3 times",
        "sshd[5]: Connection closed",
        "last message repeated 7 times",
        "pppd[2]: rc_send_server: no reply from RADIUS server host:1812",
        "pppd[2]: message repeated 2 times: [ rc_send_server: no reply from RADIUS server host:1812]",
    ]));
    let count = |label: &str| told.iter().filter(|word| *word == label).count();
    assert_eq!((count("control_refused"), count("radius_errors")), (4, 3), "{told:?}");
}

#[test]
fn repetitions_are_bounded() {
    let line = "pppd[2]: message repeated 18446744073709551615 times: [ Modem hangup]";
    assert_eq!(words(&log(&[line])), Vec::<String>::new());
}

/// What lines are made of.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "Nov 21 02:00:00 ",
        "[2026-11-21 03:02:29]:  info: ",
        "<30>1 2026-11-21T03:02:29Z ",
        "g ",
        "pppd[2]: ",
        "pptpd[1]: ",
        "accel-pppd: ",
        "kernel: ",
        "CTRL: ",
        "Reaping child PPP[2]",
        "Client 192.0.2.3 control connection started",
        "Starting call (",
        "Peer ",
        " failed CHAP authentication",
        "Modem hangup",
        "Exit.",
        "remote IP address 192.0.2.9",
        "ppp0: ",
        ": ",
        "disconnected",
        "connect: ppp0 <--> pptp(192.0.2.3)",
        "a",
        ": authentication failed",
        ": authentication succeeded",
        "\n",
        "\n",
        "\n",
        "last message repeated 2 times",
        "message repeated 2 times: [ ",
        "]",
        "pptp: new connection from 192.0.2.3",
    ]);
    let piece = prop_oneof![
        4 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_octets_are_read_and_a_joiner_always_comes_back(octets in pieces()) {
        let mut joiner = Joiner::default();
        words_of(&mut joiner, &octets);
        let saved = joiner.save();
        let again = Joiner::resume(&saved).map(|joiner| joiner.save());
        prop_assert_eq!(again, Some(saved));
    }

    #[test]
    fn any_octets_may_be_called_a_joiner(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(joiner) = Joiner::resume(&octets) {
            prop_assert!(joiner.sessions().count() <= table::MOST);
        }
    }
}
