//! The recorded logs of real daemons: what each tells, in full. `@` stands for
//! the address of the caller of that recording.

use super::*;

const UP: &str = "control_accepted@ calls@ auth_successes@ mppe_up@ sessions_opened@";
const DOWN: &str = "sessions_ended:UserRequest@ control_closed@";
const UP_PROBE: &str = "auth_successes@=probe sessions_opened@=probe";
const DOWN_PROBE: &str = "sessions_ended:UserRequest@=probe control_closed@=probe";
const REJECTED: &str = "auth_failures@=probe calls_failed:auth/auth_rejected@=probe \
                        control_closed@=probe";
const SILENT: &str = "calls_failed:lcp/silent@ control_closed@";
/// Of accel-ppp, level 4.
const UP_4: &str = "control_accepted@ calls@ lcp_up@ auth_successes@=probe mppe_up@=probe \
                    sessions_opened@=probe";
/// Of accel-ppp, level 3.
const UP_3: &str = "calls@ auth_successes@=probe sessions_opened@=probe";

fn check(file: &str, peer: &str, expected: &str) {
    let mut joiner = Joiner::default();
    let told = words_of(&mut joiner, &fixture(file)).join(" ");
    let expected: Vec<&str> = expected.split_whitespace().collect();
    assert_eq!(told, expected.join(" ").replace('@', &format!("@{peer}")), "{file}");
    let open = usize::from(file.contains("log-fail-file") && !told.is_empty());
    assert_eq!(joiner.sessions().count(), open, "{file}");
}

#[test]
fn every_log_of_pptpd_tells_what_happened() {
    let begun = "control_accepted@ calls@";
    let table = [
        (
            "auth-refused-by-client",
            format!(
                "{begun} auth_failures@ calls_failed:auth/auth_offered_unacceptable@ control_closed@"
            ),
        ),
        ("bad-password-chap", format!("{begun} {REJECTED}")),
        ("bad-password-mschap-v2", format!("{begun} {REJECTED}")),
        ("bad-password-mschap", format!("{begun} {REJECTED}")),
        ("bad-password-pap", format!("{begun} {REJECTED}")),
        ("unknown-user", format!("{begun} {REJECTED}").replace("probe", "nobody")),
        // Its pptp cleared the call: pptpctrl has nothing to complain of.
        ("client-killed", format!("{UP} {DOWN}")),
        (
            "client-vanished",
            format!("{UP} echo_timeouts@ sessions_ended:EchoTimeout@ control_closed@"),
        ),
        (
            "lcp-echo-failure",
            format!("{UP} echo_timeouts@ sessions_ended:EchoTimeout@ control_closed@"),
        ),
        ("conntrack-no-helper", format!("{UP} {DOWN}")),
        ("conntrack", format!("{UP} {DOWN}")),
        ("idle-control-echo", format!("{UP} {DOWN}")),
        ("mppe-40-only", format!("{UP} {DOWN}")),
        ("mppe-stateful", format!("{UP} {DOWN}")),
        ("radius-accept", format!("{UP} {DOWN}")),
        ("success-mschap", format!("{UP} {DOWN}")),
        ("success-mschapv2-mppe", format!("{UP} {DOWN}")),
        ("success-mschapv2-mppe.rfc3339", format!("{UP} {DOWN}")),
        ("success-chap", format!("{begun} auth_successes@ sessions_opened@ {DOWN}")),
        ("success-pap", format!("{begun} {UP_PROBE} {DOWN_PROBE}")),
        ("success-any-auth-no-mppe", format!("{begun} {UP_PROBE} {DOWN_PROBE}")),
        (
            "success-mschapv2-mppe-debug",
            format!(
                "{begun} lcp_up@ auth_successes@=probe mppe_up@=probe sessions_opened@=probe \
                 {DOWN_PROBE}"
            ),
        ),
        ("gre-blocked-both", format!("{begun} {SILENT}")),
        ("gre-blocked-in", format!("{begun} {SILENT}")),
        ("gre-blocked-out", format!("{begun} {SILENT}")),
        ("gre-blocked-in-patient-client", format!("{begun} lcp_timeouts@ {SILENT}")),
        (
            "mppe-refused-by-client",
            format!(
                "{begun} auth_successes@ mppe_failures@ calls_failed:ccp/mppe_required@ \
                 control_closed@"
            ),
        ),
        (
            "mppe-refused-by-server",
            format!(
                "{begun} auth_successes@ mppe_failures@ calls_failed:ccp/mppe_refused@ \
                 control_closed@"
            ),
        ),
        ("radius-reject", format!("{begun} {REJECTED}")),
        (
            "radius-silent",
            format!("{begun} radius_errors@ {REJECTED}").replace("auth_rejected", "radius_silent"),
        ),
        (
            "radius-wrong-secret",
            format!("{begun} radius_errors@ {REJECTED}")
                .replace("auth_rejected", "radius_secret_mismatch"),
        ),
        ("garbage-callers", "control_refused ".repeat(3)),
    ];
    for (name, expected) in table {
        check(&format!("pptpd/{name}.log"), "10.77.0.3", &format!("server_starts {expected}"));
    }
    let bare = "control_accepted@ control_closed@";
    for (name, expected) in [
        ("polite-and-rude-caller", format!("server_starts {bare} {bare}")),
        ("silent-caller-blocks-others", format!("server_starts control_refused {bare}")),
    ] {
        check(&format!("pptpd/{name}.log"), "10.77.0.1", &expected);
    }
    // The callers that waited for the one slot came from another address.
    let waited = format!("pool_exhausted {bare} ").replace('@', "@10.77.0.1").repeat(2);
    let whole = format!("{UP} {DOWN}").replace('@', "@10.77.0.3");
    let expected = format!("server_starts pool_exhausted {whole} {waited}");
    let told = words_of(&mut Joiner::default(), &fixture("pptpd/pool-exhausted.log"));
    assert_eq!(told.join(" "), expected.trim_end());
}

#[test]
fn a_pppd_that_dials_out_is_no_caller_but_is_understood() {
    check(
        "pptpd/success-mschapv2-mppe.client-syslog.log",
        "",
        "lcp_up mppe_up sessions_opened sessions_ended:AdminReset",
    );
}

#[test]
fn every_log_of_accel_ppp_tells_what_happened() {
    let by_gateway = DOWN_PROBE.replace("UserRequest", "NasRequest");
    let echo = format!("echo_timeouts@=probe {DOWN_PROBE}").replace("UserRequest", "EchoTimeout");
    let begun = "control_accepted@ calls@ lcp_up@";
    let talkative = [
        ("client-killed", format!("{UP_4} {DOWN_PROBE}")),
        ("success-mschapv2-mppe", format!("{UP_4} {DOWN_PROBE}")),
        ("terminated-by-operator-hard", format!("{UP_4} {by_gateway}")),
        ("terminated-by-operator-soft", format!("{UP_4} {by_gateway}")),
        ("lcp-echo-timeout-client-vanished", format!("{UP_4} {echo}")),
        ("lcp-timeout-gre-blocked-in", format!("control_accepted@ calls@ lcp_timeouts@ {SILENT}")),
        ("wrong-password-mschapv2", format!("{begun} {REJECTED}")),
        ("unknown-user-mschapv2", format!("{begun} {REJECTED}").replace("probe", "nobody")),
    ];
    let bare = "control_accepted@ control_closed@ ";
    let refused = "control_accepted@ control_refused@ control_closed@ ";
    let control = [bare.repeat(3), refused.repeat(4), bare.to_owned()].concat();
    for kind in [
        "log-file.level4",
        "log-file.level5",
        "syslog.level4",
        "syslog.level5",
        "syslog-rfc3339.level4",
    ] {
        for (name, expected) in &talkative {
            check(&format!("accel-ppp/{kind}.{name}.log"), "10.78.0.3", expected);
        }
        let file = format!("accel-ppp/{kind}.control-connection-only.log");
        check(&file, "10.78.0.1", &control);
    }
}

#[test]
fn level_3_of_accel_ppp_tells_less() {
    let unknown = DOWN_PROBE.replace("UserRequest", "Unknown");
    let echo = format!("echo_timeouts@=probe {DOWN_PROBE}").replace("UserRequest", "EchoTimeout");
    // Without an address: it stands in the line of a connection alone.
    let rejected = format!("calls=probe {}", REJECTED.replace('@', ""));
    let over = "control_closed ";
    let table = [
        ("client-killed", format!("{UP_3} {unknown}")),
        ("success-mschapv2-mppe", format!("{UP_3} {unknown}")),
        ("terminated-by-operator-hard", format!("{UP_3} {unknown}")),
        ("terminated-by-operator-soft", format!("{UP_3} {unknown}")),
        ("lcp-echo-timeout-client-vanished", format!("{UP_3} {echo}")),
        ("lcp-timeout-gre-blocked-in", over.to_owned()),
        ("wrong-password-mschapv2", rejected.clone()),
        ("unknown-user-mschapv2", rejected.replace("probe", "nobody")),
        (
            "control-connection-only",
            [
                over.repeat(3),
                "control_refused ".repeat(2),
                over.to_owned(),
                format!("control_refused {over}").repeat(2),
                over.repeat(2),
            ]
            .concat(),
        ),
    ];
    for kind in ["log-file.level3", "syslog.level3"] {
        for (name, expected) in &table {
            check(&format!("accel-ppp/{kind}.{name}.log"), "10.78.0.3", expected);
        }
    }
}

#[test]
fn the_file_of_failures_of_accel_ppp_has_no_ends() {
    for level in ["level3", "level4"] {
        for (name, user) in
            [("wrong-password-mschapv2", "probe"), ("unknown-user-mschapv2", "nobody")]
        {
            let file = format!("accel-ppp/log-fail-file.{level}.{name}.log");
            check(&file, "", &format!("calls={user} auth_failures={user}"));
        }
    }
    check("accel-ppp/log-fail-file.level4.lcp-timeout-gre-blocked-in.log", "", "");
}

/// A session with all that the most talkative settings tell.
#[test]
fn a_session_knows_all_that_was_said() {
    use crate::gateway::session::{AuthMethod, Encryption};

    for (file, assigned, renegotiations, octets) in [
        (
            "pptpd/success-mschapv2-mppe-debug.log",
            Ipv4Addr::new(192, 168, 77, 10),
            0,
            (Some(514), Some(343)),
        ),
        (
            "accel-ppp/log-file.level4.success-mschapv2-mppe.log",
            Ipv4Addr::new(192, 168, 78, 10),
            0,
            (None, None),
        ),
    ] {
        let mut ends = Vec::new();
        let mut joiner = Joiner::default();
        let text = fixture(file);
        Lines::new(NOW).split(&text, &mut |entry| {
            joiner.take(entry, &mut |event| {
                if let (What::SessionDown { .. }, Some(session)) = (event.what, event.session) {
                    ends.push(session.clone());
                }
            });
        });
        let [end] = &ends[..] else { panic!("{file}: {ends:?}") };
        assert_eq!((&*end.user, &*end.if_name), (&b"probe"[..], &b"ppp0"[..]), "{file}");
        assert_eq!(end.method, Some(AuthMethod::MsChapV2), "{file}");
        assert_eq!((end.encryption, end.stateless), (Some(Encryption::Mppe128), Some(true)));
        assert_eq!((end.assigned, end.authenticated), (Some(assigned), true), "{file}");
        assert_eq!((end.sent, end.received), octets, "{file}");
        assert_eq!(end.renegotiations, renegotiations, "{file}");
        assert!(end.started < end.opened, "{file}");
    }
}
