use std::net::{IpAddr, Ipv4Addr};

use clap::FromArgMatches;
use pptp_probe::output::{Format, Identity, Thresholds, render};
use pptp_probe::proto::Failure;
use pptp_probe::proto::radius::access::{Access, Keys, Proof};
use pptp_probe::proto::radius::client::Discarded;
use pptp_probe::proto::radius::exchange::Outcome;
use pptp_probe::reason::{Phase, Reason};
use pptp_probe::secret::Secret;
use pptp_probe::wire::radius::Code;

use super::*;
use crate::check_radius::report::Judge;

fn arguments(text: &str) -> Result<RadiusArgs, String> {
    let argv = ["check_radius"].into_iter().chain(text.split_whitespace());
    let matches = pptp_probe::plugin::command::<RadiusArgs>().try_get_matches_from(argv);
    let args = matches.and_then(|matches| RadiusArgs::from_arg_matches(&matches));
    let args = args.map_err(|error| error.to_string())?;
    args.validate()?;
    Ok(args)
}

fn refusal(text: &str) -> String {
    arguments(text).expect_err(text)
}

fn plan(count: u32) -> Plan {
    Plan {
        carrier: Carrier::Udp,
        source: None,
        secret: SharedSecret::new(Secret::new(b"s".to_vec())),
        signature: Signature::Checked,
        retransmission: Retransmission::default(),
        login: Some(access::Login {
            credentials: Credentials {
                username: b"probe".to_vec(),
                password: Secret::new(b"p".to_vec()),
            },
            method: Method::MsChapV2,
            keys: KeyPolicy::Wanted,
            expectations: Vec::new(),
            expect_reject: false,
        }),
        username: b"probe".to_vec(),
        attributes: Vec::new(),
        statistics: None,
        count,
        parallel: 1,
        modes: vec![(Mode::Auth, 1812)],
    }
}

fn milliseconds(times: &[u64]) -> Vec<Duration> {
    times.iter().copied().map(Duration::from_millis).collect()
}

fn accepted(times: &[u64]) -> Outcome {
    Outcome {
        times: milliseconds(times),
        requests: times.len() as u32,
        signed: times.len() as u32,
        access: Some(Access {
            code: Code::AccessAccept,
            proof: Some(Proof::Valid),
            keys: Some(Keys::Right),
            attributes: vec![("Framed-Protocol".into(), "PPP".into())],
            failure: None,
        }),
        ..Outcome::default()
    }
}

fn failed(phase: Phase, reason: Reason, detail: &str) -> Outcome {
    let failure = Some(Failure::new(phase, reason, detail));
    Outcome { failure, requests: 1, ..Outcome::default() }
}

fn silent() -> Outcome {
    let outcome = failed(Phase::Auth, Reason::RadiusSilent, "no answer in 9.5 s");
    Outcome { timed_out: true, ..outcome }
}

fn part(mode: Mode, outcome: Outcome) -> radius::Part {
    radius::Part {
        mode,
        port: if matches!(mode, Mode::Acct | Mode::AcctStatus) { 1813 } else { 1812 },
        source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99))),
        connect_time: None,
        tls: None,
        time: Duration::from_secs(2),
        outcome,
    }
}

fn seen(parts: Vec<radius::Part>) -> radius::Observation {
    radius::Observation {
        address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10))),
        resolve_time: Some(Duration::from_micros(7)),
        failure: None,
        parts,
    }
}

fn auth(outcome: Outcome) -> radius::Observation {
    seen(vec![part(Mode::Auth, outcome)])
}

struct Verdict {
    quorum: usize,
    unsigned: State,
    timeout: State,
    thresholds: Thresholds,
}

impl Default for Verdict {
    fn default() -> Self {
        let thresholds = Thresholds::new();
        Self { quorum: usize::MAX, unsigned: State::Warning, timeout: State::Critical, thresholds }
    }
}

impl Verdict {
    fn text(&self, plan: &Plan, seen: &[radius::Observation], verbosity: u8) -> (String, u8) {
        self.render(plan, seen, Format::Nagios, verbosity)
    }

    fn render(
        &self,
        plan: &Plan,
        seen: &[radius::Observation],
        format: Format,
        verbosity: u8,
    ) -> (String, u8) {
        let servers: Vec<_> = (0..seen.len())
            .map(|index| Server { host: format!("r{}", index + 1), family: Family::Any })
            .collect();
        let judge = Judge {
            thresholds: &self.thresholds,
            timeout: self.timeout,
            plan,
            quorum: self.quorum.min(seen.len()),
            unsigned: self.unsigned,
            degraded: State::Warning,
        };
        let identity = Identity { name: "RADIUS", program: "check_radius", target: "r1" };
        render(&judge.report(&servers, seen), &identity, format, verbosity)
    }
}

fn line(seen: &[radius::Observation]) -> (String, u8) {
    Verdict::default().text(&plan(1), seen, 0)
}

#[test]
fn ok_says_who_was_accepted_and_with_what() {
    let (text, code) = line(&[auth(accepted(&[3]))]);
    assert_eq!(
        text,
        "RADIUS OK - r1 accepts probe by mschapv2 in 3.0 ms, proof and MPPE keys right | \
         'resolve_time'=0.000007s 'time'=0.003000s 'auth_time'=0.003000s 'retransmissions'=0 \
         'discarded'=0\n"
    );
    assert_eq!(code, 0);
}

#[test]
fn critical_when_the_only_server_is_silent() {
    let (text, code) = line(&[auth(silent())]);
    assert!(
        text.starts_with(
            "RADIUS CRITICAL - r1: no answer in 9.5 s [auth/radius_silent]: check server, port and \
             firewall; is 192.0.2.99 a client with this secret there? |"
        ),
        "{text}"
    );
    assert_eq!(code, 2);
    let patient = Verdict { timeout: State::Unknown, ..Verdict::default() };
    assert_eq!(patient.text(&plan(1), &[auth(silent())], 0).1, 3);
}

#[test]
fn first_step_fits_what_carries_the_packets() {
    let mut stream = plan(1);
    stream.carrier = Carrier::Tcp;
    for (plan, phase, reason, mend) in [
        (
            &stream,
            Phase::Auth,
            Reason::RadiusSilent,
            "compare the shared secret; read the server's log",
        ),
        (&stream, Phase::Auth, Reason::Closed, "it may not know 192.0.2.99 or its certificate"),
        (&stream, Phase::Connect, Reason::Silent, "does it speak what --transport says?"),
        (
            &plan(1),
            Phase::Auth,
            Reason::AttributeUnexpected,
            "compare the account's reply attributes",
        ),
        (&plan(1), Phase::Control, Reason::AttributeUnexpected, "--status-port"),
        (&plan(1), Phase::Connect, Reason::Local, "mend what the message names"),
    ] {
        let (text, _) = Verdict::default().text(plan, &[auth(failed(phase, reason, "wrong"))], 0);
        assert!(text.contains(mend), "{mend}: {text}");
    }
}

#[test]
fn every_mode_is_a_part_with_its_own_time() {
    let accounted = Outcome { times: milliseconds(&[1, 2, 4]), ..Outcome::default() };
    let alive = || Outcome { times: milliseconds(&[5]), signed: 1, ..Outcome::default() };
    let seen = seen(vec![
        part(Mode::Auth, accepted(&[3])),
        part(Mode::Acct, accounted),
        part(Mode::Status, alive()),
        part(Mode::AcctStatus, alive()),
    ]);
    let (text, code) = Verdict::default().text(&plan(1), &[seen], 2);
    assert_eq!(code, 0);
    for part in [
        "r1:1812 auth OK - accepts probe by mschapv2 in 3.0 ms",
        "r1:1813 acct OK - accounts a session in 7.0 ms",
        "r1:1812 status OK - says it is alive in 5.0 ms",
        "r1:1813 acct status OK - accounting is alive in 5.0 ms",
        "'auth_time'=0.003000s",
        "'acct_time'=0.007000s",
        "'status_time'=0.005000s",
        "'acct_status_time'=0.005000s",
        "'time'=0.007000s",
        "r1:1812 auth: Framed-Protocol = PPP",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn load_has_a_distribution_and_a_rate() {
    let times: Vec<u64> = (1..=100).collect();
    let (text, _) = Verdict::default().text(&plan(100), &[auth(accepted(&times))], 0);
    for part in [
        "accepts probe by mschapv2 100 times, median 50 ms, p95 95 ms",
        "'auth_time'=0.050000s",
        "'auth_p95'=0.095000s",
        "'auth_max'=0.100000s",
        "'auth_rate'=50 ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn missing_keys_are_a_warning_unless_required() {
    let outcome = || failed(Phase::Ccp, Reason::MppeKeysMissing, "accepted, but without MPPE keys");
    assert_eq!(line(&[auth(outcome())]).1, 1);
    let mut strict = plan(1);
    strict.login.as_mut().unwrap().keys = KeyPolicy::Required;
    let (text, code) = Verdict::default().text(&strict, &[auth(outcome())], 0);
    assert!(text.contains("accepted, but without MPPE keys [ccp/mppe_keys_missing]"), "{text}");
    assert_eq!(code, 2);
}

#[test]
fn unsigned_replies_have_the_state_that_the_operator_sets() {
    let unsigned = || Outcome { signed: 0, unsigned: 1, ..accepted(&[3]) };
    for (state, code, told) in [
        (State::Ok, 0, false),
        (State::Warning, 1, true),
        (State::Critical, 2, true),
        (State::Unknown, 3, true),
    ] {
        let verdict = Verdict { unsigned: state, ..Verdict::default() };
        let (text, found) = verdict.text(&plan(1), &[auth(unsigned())], 0);
        assert_eq!(found, code, "{text}");
        assert_eq!(text.contains("replies unsigned (CVE-2024-3596) [auth/radius_unsigned]"), told);
    }
    let accounting = Outcome { times: milliseconds(&[1, 1, 1]), unsigned: 3, ..Outcome::default() };
    assert_eq!(line(&[seen(vec![part(Mode::Acct, accounting)])]).1, 0, "it is not exposed");
    let mut ignoring = plan(1);
    ignoring.signature = Signature::Ignored;
    assert_eq!(Verdict::default().text(&ignoring, &[auth(unsigned())], 0).1, 0);
}

#[test]
fn unsigned_replies_are_told_where_nothing_worse_is() {
    let unsigned = |outcome| auth(Outcome { signed: 0, unsigned: 1, ..outcome });
    let rejected = || failed(Phase::Auth, Reason::AuthRejected, "server rejected user probe");
    let keyless = || failed(Phase::Ccp, Reason::MppeKeysMissing, "accepted, but without MPPE keys");
    let remark = "unsigned (CVE-2024-3596)";
    let (text, _) = line(&[unsigned(rejected())]);
    assert!(!text.contains(remark), "{text}");
    let (text, _) = line(&[unsigned(keyless())]);
    assert!(text.contains(", replies unsigned (CVE-2024-3596) [ccp/mppe_keys_missing]"), "{text}");
    let strict = Verdict { unsigned: State::Critical, ..Verdict::default() };
    let (text, code) = strict.text(&plan(1), &[unsigned(keyless())], 0);
    assert!(
        text.contains("without MPPE keys, replies unsigned (CVE-2024-3596) [auth/radius_unsigned]")
    );
    assert_eq!(code, 2);
    let (text, _) = line(&[auth(accepted(&[3])), unsigned(accepted(&[3]))]);
    assert!(text.contains("all 2 servers are well, replies of r2 unsigned"), "{text}");
}

#[test]
fn quorum_decides_and_the_dead_server_stays_visible() {
    let servers = || [auth(accepted(&[3])), auth(silent()), auth(accepted(&[4]))];
    for (quorum, code, head) in [
        (3, 2, "RADIUS CRITICAL - 2 of 3 servers well; r2: no answer in 9.5 s"),
        (2, 1, "RADIUS WARNING - 2 of 3 servers well, 2 needed; r2: no answer in 9.5 s"),
        (1, 1, "RADIUS WARNING - 2 of 3 servers well, 1 needed; r2: no answer in 9.5 s"),
    ] {
        let verdict = Verdict { quorum, ..Verdict::default() };
        let (text, found) = verdict.text(&plan(1), &servers(), 1);
        assert_eq!(found, code, "{text}");
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("\nr2:1812 auth "), "{text}");
    }
    let (text, code) = line(&[auth(accepted(&[3])), auth(accepted(&[4]))]);
    assert!(text.starts_with("RADIUS OK - all 2 servers are well | "), "{text}");
    assert_eq!(code, 0);
}

#[test]
fn unknown_when_the_run_was_ended_whatever_the_others_showed() {
    let ended = || auth(failed(Phase::Auth, Reason::Interrupted, "interrupted"));
    let any = Verdict { quorum: 1, ..Verdict::default() };
    for other in [accepted(&[3]), silent()] {
        let (text, code) = any.text(&plan(1), &[auth(other), ended()], 0);
        assert!(text.starts_with("RADIUS UNKNOWN - r2: interrupted [auth/interrupted]"), "{text}");
        assert_eq!(code, 3);
    }
}

#[test]
fn silent_server_is_not_well_whatever_a_timeout_means() {
    let servers = || [auth(accepted(&[3])), auth(silent())];
    for (timeout, quorum, code) in [
        (State::Warning, 2, 1),
        (State::Warning, 1, 1),
        (State::Ok, 2, 0),
        (State::Ok, 1, 1),
        (State::Unknown, 2, 3),
    ] {
        let verdict = Verdict { timeout, quorum, ..Verdict::default() };
        let (text, found) = verdict.text(&plan(1), &servers(), 0);
        assert_eq!(found, code, "{text}");
        assert!(text.contains(" - 1 of 2 servers well"), "{text}");
        assert!(text.contains("'servers_ok'=1"), "{text}");
    }
    let keyless = failed(Phase::Ccp, Reason::MppeKeysMissing, "accepted, but without MPPE keys");
    let both = seen(vec![part(Mode::Auth, keyless), part(Mode::Acct, silent())]);
    let verdict = Verdict { timeout: State::Ok, ..Verdict::default() };
    let (text, _) = verdict.text(&plan(1), &[auth(accepted(&[3])), both], 0);
    assert!(text.contains("1 of 2 servers well; r2: no answer in 9.5 s"), "{text}");
}

#[test]
fn wrong_answers_until_the_deadline_are_no_timeout() {
    for reason in [Reason::RadiusSecretMismatch, Reason::RadiusWrongSource, Reason::RadiusUnsigned]
    {
        let outcome = Outcome { timed_out: true, ..failed(Phase::Auth, reason, "answers wrongly") };
        let lenient = Verdict { timeout: State::Ok, ..Verdict::default() };
        assert_eq!(lenient.text(&plan(1), &[auth(outcome)], 0).1, 2, "{reason}");
    }
}

#[test]
fn metrics_of_a_server_keep_their_number_when_another_is_dead() {
    let (text, _) = line(&[auth(silent()), auth(accepted(&[4]))]);
    assert!(text.contains("'auth_time_2'=0.004000s"), "{text}");
    assert!(!text.contains("'auth_time'="), "{text}");
    assert!(text.contains("'servers_ok'=1 'servers'=2"), "{text}");
}

#[test]
fn range_of_a_metric_holds_for_every_server() {
    let mut verdict = Verdict::default();
    verdict.thresholds.set("auth_time", Some("0.0035".parse().unwrap()), None);
    let (text, code) = verdict.text(&plan(1), &[auth(accepted(&[3])), auth(accepted(&[4]))], 0);
    assert_eq!(code, 1, "{text}");
    let head =
        "RADIUS WARNING - r2:1812 auth: auth_time is 0.004 s, above 0.0035 s [done/threshold]";
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("'auth_time_2'=0.004000s;0.0035"), "{text}");
}

#[test]
fn slowest_server_is_named() {
    let mut verdict = Verdict::default();
    verdict.thresholds.set("time", None, Some("0.0035".parse().unwrap()));
    let (text, _) = verdict.text(&plan(1), &[auth(accepted(&[3])), auth(accepted(&[4]))], 0);
    assert!(text.starts_with("RADIUS CRITICAL - time of r2 is 0.004 s, above 0.0035 s"), "{text}");
    let (text, _) = verdict.text(&plan(1), &[auth(accepted(&[4]))], 0);
    assert!(text.starts_with("RADIUS CRITICAL - time is 0.004 s"), "{text}");
}

#[test]
fn one_server_that_cannot_be_resolved_has_its_line() {
    let mut nowhere = auth(accepted(&[1]));
    nowhere.parts.clear();
    nowhere.failure = Some(Failure::new(Phase::Resolve, Reason::NameNotFound, "r2 has no address"));
    let (text, code) = Verdict::default().text(&plan(1), &[auth(accepted(&[3])), nowhere], 1);
    assert_eq!(code, 2);
    assert!(text.contains("1 of 2 servers well; r2 has no address [resolve/name_not_found]"));
}

#[test]
fn what_was_thrown_away_and_what_came_late_is_told() {
    let discarded = Discarded { authenticator: 2, duplicate: 1, ..Discarded::default() };
    let latest = Some((2, Duration::from_millis(2310), Duration::from_millis(290)));
    let outcome = Outcome { discarded, latest, retransmissions: 1, ..accepted(&[2310]) };
    let (text, code) = Verdict::default().text(&plan(1), &[auth(outcome)], 1);
    assert_eq!(code, 0);
    assert!(text.contains("thrown away: 2 with a wrong authenticator, 1 duplicate"), "{text}");
    let late = "answered after 2 transmissions, 2.3 s after the first and 290 ms after the last";
    assert!(text.contains(late), "{text}");
    assert!(text.contains("'retransmissions'=1 'discarded'=2"), "{text}");
}

#[test]
fn what_was_sent_again_is_counted_for_the_whole_server() {
    let again = |outcome, retransmissions| {
        let discarded = Discarded { malformed: 1, ..Discarded::default() };
        Outcome { retransmissions, discarded, ..outcome }
    };
    let accounted = Outcome { times: milliseconds(&[1, 2, 4]), ..Outcome::default() };
    let both = seen(vec![
        part(Mode::Auth, again(accepted(&[3]), 1)),
        part(Mode::Acct, again(accounted, 3)),
    ]);
    let mut verdict = Verdict::default();
    verdict.thresholds.set("retransmissions", Some("3".parse().unwrap()), None);
    let (text, code) = verdict.text(&plan(1), &[both], 0);
    assert!(text.contains("'retransmissions'=4;3 'discarded'=2 "), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn counters_of_the_server_become_metrics() {
    let id = |number| AttributeId { vendor: 11344, number };
    let statistics = [(id(128), 4711), (id(164), 3), (id(176), 9)].into_iter().collect();
    let mut asking = plan(1);
    asking.statistics = Some(0x1f);
    let alive = Outcome { times: milliseconds(&[1]), signed: 1, statistics, ..Outcome::default() };
    let status = seen(vec![part(Mode::Status, alive)]);
    let (text, code) = Verdict::default().text(&asking, &[status], 0);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("'auth_requests'=4711c") && text.contains("'queue_auth'=3"), "{text}");
    let mute = Outcome { times: milliseconds(&[1]), signed: 1, ..Outcome::default() };
    let (text, code) = Verdict::default().text(&asking, &[seen(vec![part(Mode::Status, mute)])], 0);
    assert_eq!(code, 2);
    let told = "answers, but sends no statistics [control/attribute_unexpected]: ask the server's";
    assert!(text.contains(told), "{text}");
}

#[test]
fn prometheus_tells_the_servers_apart() {
    let servers = [auth(accepted(&[3])), auth(accepted(&[4]))];
    let (page, _) = Verdict::default().render(&plan(1), &servers, Format::Prometheus, 0);
    for line in [
        r#"pptp_auth_time_seconds{check="check_radius",target="r1",sub="r1:1812 auth"} 0.003000"#,
        r#"pptp_auth_time_seconds{check="check_radius",target="r1",sub="r2:1812 auth"} 0.004000"#,
        r#"pptp_auth_success_total{check="check_radius",target="r1"} 1"#,
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[test]
fn every_label_has_room_for_a_number() {
    for label in report::METRICS {
        assert!(label.len() <= 16, "{label}");
    }
}

#[test]
fn ranges_of_what_is_not_measured_are_refused() {
    let excluded = |text: &str| -> Vec<&str> {
        let args = arguments(text).unwrap();
        report::METRICS.iter().filter(|label| args.excludes(label).is_some()).copied().collect()
    };
    let everything = "-H a -H b --mode auth,status --count 2 --transport tls --statistics all";
    assert_eq!(excluded(everything), ["acct_time", "acct_status_time"]);
    let left = |text| report::METRICS.len() - excluded(text).len();
    for (text, measured) in [("-H a", 1), ("-H a --mode acct", 1), ("-H a --mode status", 2)] {
        // Beside time, resolve_time, retransmissions and discarded.
        assert_eq!(left(text), 4 + measured, "{text}: {:?}", excluded(text));
    }
    for (text, label, option) in [
        ("-H a", "servers_ok", "one --hostname"),
        ("-H a", "connect_time", "--transport udp"),
        ("-H a --transport tcp", "tls_cert_days", "no --transport tls"),
        ("-H a", "auth_p95", "--count 1"),
        ("-H a --mode acct", "auth_p95", "this --mode"),
        ("-H a --mode status --status-port 9", "acct_status_time", "one port for all"),
        ("-H a --mode status", "auth_requests", "no --statistics"),
        ("-H a --mode status --statistics auth", "acct_requests", "this --statistics"),
        ("-H a --mode status --statistics acct", "queue_auth", "this --statistics"),
    ] {
        assert_eq!(arguments(text).unwrap().excludes(label), Some(option), "{text}: {label}");
    }
}

#[test]
fn ports_follow_the_transport() {
    for (text, expected) in [
        ("-H a", vec![(Mode::Auth, 1812)]),
        ("-H a --mode acct", vec![(Mode::Acct, 1813)]),
        ("-H a -p 11812 --mode auth,acct", vec![(Mode::Auth, 11812), (Mode::Acct, 11813)]),
        ("-H a --mode status", vec![(Mode::Status, 1812), (Mode::AcctStatus, 1813)]),
        ("-H a --mode status --status-port 18121", vec![(Mode::Status, 18121)]),
        ("-H a --transport tls --mode auth,acct", vec![(Mode::Auth, 2083), (Mode::Acct, 2083)]),
        ("-H a --transport tls --mode status", vec![(Mode::Status, 2083)]),
        ("-H a --transport tcp --mode acct", vec![(Mode::Acct, 1813)]),
        ("-H a --transport tcp --acct-port 9 --mode acct", vec![(Mode::Acct, 9)]),
    ] {
        assert_eq!(arguments(text).unwrap().modes(), expected, "{text}");
    }
}

#[test]
fn arguments_that_do_not_go_together_are_misuse() {
    for (text, what) in [
        ("", "--hostname <HOST>"),
        ("-H a --mode login", "known are auth acct status"),
        ("-H a --quorum 0", "write all, any or a number from 1 on"),
        ("-H a --quorum 2", "--quorum 2 of 1 servers"),
        ("-H a --mode acct --expect Class", "--expect and --expect-reject are about logins"),
        ("-H a --mode acct --expect-reject", "--expect and --expect-reject are about logins"),
        ("-H a --expect-reject --count 5", "cannot be used with"),
        ("-H a --mode auth,acct --count 5", "leave acct out of --mode"),
        ("-H a --statistics auth", "--statistics needs status"),
        ("-H a --statistics proxy --mode status", "known are auth acct all"),
        ("-H a --auth-method eap-md5", "--auth-method eap-md5 is none of pap"),
        ("-H a --parallel 257", "257 is not in 1..=256"),
        ("-H a --count 0", "0 is not in 1..="),
        ("-H a --transport tls --cert-file x", "--key-file <FILE>"),
        ("-H a --ca-file x", "need --transport tls"),
        ("-H a --attribute Framed-Protocl=PPP", "Framed-Protocol"),
        ("-H a --expect Clas", "Class"),
        ("-H a --retry 1:ok", "'1:ok' is no time"),
        ("-H a --message-authenticator maybe", "known are require auto off"),
        ("-H a -H b -H a", "--hostname a is given twice"),
        ("-H a -H 192.0.2.1:1812", "'192.0.2.1:1812' is neither a name nor an address"),
        ("-H a -H 2001:db8::1 -4", "2001:db8::1 is IPv6, but --ipv4 is given"),
        ("-H a --source ::1 -4", "--source ::1 is IPv6, but --ipv4 is given"),
        ("-H 192.0.2.1 --source ::1", "--source ::1 is IPv6, but 192.0.2.1 is IPv4"),
        ("-H a -H ::1 --source 192.0.2.9", "--source 192.0.2.9 is IPv4, but ::1 is IPv6"),
        ("-H a --require-mppe-keys --auth-method pap", "needs a login by mschapv1 or mschapv2"),
        ("-H a --require-mppe-keys --mode status", "needs a login by mschapv1 or mschapv2"),
        ("-H a --message-authenticator off --unsigned-state ok", "--message-authenticator auto"),
        ("-H a --secret-file - --password-file -", "standard input holds one secret only"),
    ] {
        let error = refusal(text);
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn certificate_that_cannot_be_read_is_not_called_a_secret() {
    let args = arguments("-H a --transport tls --ca-file /nonexistent").unwrap();
    let report = args.secrets(Instant::now()).err().unwrap();
    let verdict = report.verdict().unwrap();
    assert_eq!((verdict.phase, verdict.reason), (Phase::Connect, Reason::Local));
    assert_eq!(verdict.mend, Reason::Local.mend());
}

#[test]
fn source_chooses_the_family_of_a_name() {
    for (text, family) in [
        ("-H a", Family::Any),
        ("-H a --source ::1", Family::V6),
        ("-H a --source 192.0.2.9", Family::V4),
        ("-H a -6", Family::V6),
    ] {
        assert_eq!(arguments(text).unwrap().servers()[0].family, family, "{text}");
    }
}

#[test]
fn password_given_as_an_attribute_is_not_repeated() {
    let error = refusal("-H a --attribute User-Password=hunter2");
    assert!(!error.contains("hunter2"), "{error}");
}
