use pptp_probe::log::event::{Event, Program};

use super::*;

const MINUTE: Stamp = 60_000_000;
const SPAN: Duration = Duration::from_secs(900);

/// Events of the last minutes, each at the same moment.
struct Story {
    window: Window,
    at: Stamp,
}

impl Story {
    fn new() -> Self {
        Self { window: Window::new(SPAN), at: 20 * MINUTE }
    }

    fn with(mut self, count: u64, what: What, user: &str, source: &str) -> Self {
        let event = Event {
            at: self.at,
            what,
            program: Program::Pppd,
            host: b"vpn1",
            pid: None,
            session: None,
            user: user.as_bytes(),
            peer: source.parse().ok(),
            message: b"",
        };
        for _ in 0..count {
            self.window.note(&event, user.as_bytes());
        }
        self
    }

    fn ended(self, count: u64, cause: TerminateCause, source: &str) -> Self {
        self.with(count, What::SessionDown { cause }, "", source)
    }

    fn failed(self, count: u64, phase: Phase, reason: Reason, user: &str, source: &str) -> Self {
        self.with(count, What::CallFailed { phase, reason }, user, source)
    }

    fn seen(self) -> Seen {
        Seen {
            window: self.window,
            span: "15 min".to_owned(),
            end: self.at,
            newest: Some(self.at - MINUTE),
            open: 12,
            future: 0,
            logs: vec!["/var/log/syslog".to_owned()],
            remarks: Vec::new(),
            gaps: Vec::new(),
            troubles: Vec::new(),
            listing: Vec::new(),
            unlisted: 0,
            events: 0,
        }
    }

    fn judged(self) -> (State, String) {
        self.judged_by("", "")
    }

    fn judged_by(self, label: &str, critical: &str) -> (State, String) {
        let mut given = Thresholds::new();
        if !label.is_empty() {
            given.set(label, None, critical.parse().ok());
        }
        line(&report(&self.seen(), &given, None, 10))
    }
}

/// State and sentence, with phase and reason behind.
fn line(report: &Report) -> (State, String) {
    let verdict = report.verdict();
    let words = verdict.map(|verdict| format!(" [{}/{}]", verdict.phase, verdict.reason));
    (report.state(), format!("{}{}", report.headline(), words.unwrap_or_default()))
}

fn critical(text: &str) -> (State, String) {
    (State::Critical, text.to_owned())
}

fn warning(text: &str) -> (State, String) {
    (State::Warning, text.to_owned())
}

#[test]
fn ok_line_sums_up() {
    let story = Story::new()
        .with(31, What::SessionUp, "", "")
        .ended(29, TerminateCause::UserRequest, "203.0.113.7")
        .failed(2, Phase::Auth, Reason::AuthRejected, "alice", "203.0.113.8");
    let expected = "31 sessions opened, 29 ended, 2 of 33 calls failed (2 auth_rejected) in \
                    15 min, 12 open";
    assert_eq!(story.judged(), (State::Ok, expected.to_owned()));
    let story = Story::new().with(1, What::SessionUp, "", "").ended(
        1,
        TerminateCause::EchoTimeout,
        "203.0.113.7",
    );
    let expected = "1 session opened, 1 ended (1 by LCP echo failure), 0 of 1 call failed in \
                    15 min, 12 open";
    assert_eq!(story.judged(), (State::Ok, expected.to_owned()));
    let expected = "no calls and no events in 15 min in /var/log/syslog, 12 open";
    assert_eq!(Story::new().judged(), (State::Ok, expected.to_owned()));
}

#[test]
fn dominant_cause_is_named_with_its_source() {
    let story = Story::new()
        .ended(11, TerminateCause::EchoTimeout, "203.0.113.7")
        .ended(3, TerminateCause::EchoTimeout, "203.0.113.8")
        .ended(6, TerminateCause::UserRequest, "203.0.113.7");
    let expected = "14 of 20 sessions ended by LCP echo failure in 15 min, 11 of them from \
                    203.0.113.7 [lcp/lcp_echo_silent]";
    assert_eq!(story.judged(), critical(expected));
}

#[test]
fn few_ends_are_no_share_and_few_calls_no_ratio() {
    let story = Story::new().ended(9, TerminateCause::EchoTimeout, "203.0.113.7").failed(
        9,
        Phase::Ccp,
        Reason::MppeRefused,
        "",
        "",
    );
    let (state, text) = story.judged();
    assert_eq!(state, State::Ok, "{text}");
}

#[test]
fn unknown_and_regular_ends_alert_nobody() {
    let story = Story::new().ended(50, TerminateCause::Unknown, "203.0.113.7").ended(
        50,
        TerminateCause::IdleTimeout,
        "203.0.113.7",
    );
    assert_eq!(story.judged().0, State::Ok);
}

#[test]
fn every_cause_that_is_a_fault_words_a_line() {
    for (cause, _) in pptp_probe::log::ecs::CAUSES {
        let story = Story::new().ended(10, cause, "203.0.113.7");
        let (state, text) = story.judged();
        let is_fault = !is_regular(cause) && cause != TerminateCause::Unknown;
        assert_eq!(state == State::Critical, is_fault, "{cause:?}: {text}");
        assert_eq!(text.starts_with("10 of 10 sessions ended by "), is_fault, "{text}");
    }
}

#[test]
fn commonest_failure_gives_the_reason() {
    let story = Story::new()
        .with(2, What::SessionUp, "alice", "203.0.113.9")
        .failed(9, Phase::Ccp, Reason::MppeRefused, "", "203.0.113.7")
        .failed(3, Phase::Lcp, Reason::Silent, "", "203.0.113.8");
    let expected = "12 of 14 calls failed in 15 min, 9 as the gateway does not encrypt as asked, \
                    9 of them from 203.0.113.7 [ccp/mppe_refused]";
    assert_eq!(story.judged(), critical(expected));
}

#[test]
fn brute_force_names_the_source_and_how_many_names() {
    let mut story = Story::new().with(60, What::SessionUp, "", "");
    for number in 0..21 {
        story = story.with(1, What::AuthFailure, &format!("user{number}"), "203.0.113.7");
        let (phase, reason) = (Phase::Auth, Reason::AuthRejected);
        story = story.failed(1, phase, reason, &format!("user{number}"), "203.0.113.7");
    }
    let expected =
        "21 failures from 203.0.113.7 in 15 min, under 21 names [auth/repeated_failures]";
    assert_eq!(story.judged(), warning(expected), "a login and its call are one failure");
}

#[test]
fn one_user_from_many_places() {
    let mut story = Story::new().with(60, What::SessionUp, "", "");
    for number in 0..11 {
        story = story.with(1, What::AuthFailure, "al|ice\n", &format!("203.0.113.{number}"));
    }
    let expected = r"11 failures of al\x7cice\x0a in 15 min [auth/repeated_failures]";
    assert_eq!(story.judged(), warning(expected));
}

#[test]
fn flapping_user_is_named() {
    let story = Story::new().with(11, What::SessionUp, "bob", "203.0.113.7");
    assert_eq!(story.judged(), warning("11 sessions of bob in 15 min [data/flapping]"));
}

#[test]
fn what_the_gateway_runs_out_of_stands_before_what_follows_from_it() {
    let base = || {
        let (phase, reason) = (Phase::Call, Reason::CallRefused);
        Story::new().failed(20, phase, reason, "", "203.0.113.7")
    };
    let story = base().with(2, What::ConntrackFull, "", "");
    let expected = "the kernel says 2 times in 15 min that its table of connections is full \
                    [gre/conntrack_full]";
    assert_eq!(story.judged(), critical(expected));
    let story = Story::new().with(3, What::PoolExhausted, "", "");
    let expected = "3 callers turned away in 15 min: all places are taken [call/call_refused]";
    assert_eq!(story.judged(), warning(expected));
    let story = Story::new().with(11, What::RadiusError, "", "");
    let (state, text) = story.judged();
    assert!(text.starts_with("RADIUS failed 11 times in 15 min: "), "{text}");
    assert!(text.ends_with("[auth/radius_silent]"), "{text}");
    assert_eq!(state, State::Critical);
    let (phase, reason) = (Phase::Auth, Reason::RadiusSecretMismatch);
    let story = Story::new().with(1, What::RadiusError, "", "").failed(1, phase, reason, "", "");
    let (_, text) = story.judged();
    assert!(text.starts_with("RADIUS failed 1 time in 15 min: "), "{text}");
    assert!(text.ends_with("[auth/radius_secret_mismatch]"), "{text}");
}

#[test]
fn every_metric_takes_a_threshold() {
    let kinds = [
        What::ServerUp,
        What::ServerDown,
        What::ControlUp,
        What::ControlRefused,
        What::ControlDown,
        What::PoolExhausted,
        What::CallUp,
        What::LcpUp,
        What::LcpTimeout,
        What::AuthSuccess,
        What::AuthFailure,
        What::MppeUp,
        What::MppeFailure,
        What::AddressFailure,
        What::SessionUp,
        What::Renegotiated,
        What::EchoTimeout,
        What::SessionDown { cause: TerminateCause::EchoTimeout },
        What::CallFailed { phase: Phase::Lcp, reason: Reason::Silent },
        What::RadiusError,
        What::GreError,
        What::ConntrackFull,
        What::KernelError,
    ];
    let all = || {
        kinds.iter().fold(Story::new(), |story, what| story.with(10, *what, "eve", "203.0.113.7"))
    };
    assert_eq!(all().window.counts(), [10; What::KINDS]);
    for label in <super::super::LogArgs as pptp_probe::plugin::Check>::METRICS {
        let mut given = Thresholds::new();
        for other in DEFAULTS {
            // Out of the way.
            given.set(other.0, "1000000".parse().ok(), "1000000".parse().ok());
        }
        given.set(label, None, "1000000:".parse().ok());
        let (state, text) = line(&report(&all().seen(), &given, None, 10));
        assert_eq!(state, State::Critical, "{label}");
        assert!(!text.starts_with(';') && text.len() > 20, "{label}: {text}");
    }
}

#[test]
fn defaults_are_known_labels_with_good_ranges_and_the_operators_win() {
    for (label, warning, critical) in DEFAULTS {
        assert!(
            <super::super::LogArgs as pptp_probe::plugin::Check>::METRICS.contains(&label),
            "{label}"
        );
        let good = |text: &str| text.is_empty() || text.parse::<Range>().is_ok();
        assert!(good(warning) && good(critical), "{label}");
    }
    let story = || Story::new().with(3, What::PoolExhausted, "", "");
    let (state, _) = story().judged_by("pool_exhausted", "2");
    assert_eq!(state, State::Critical);
}

#[test]
fn lower_bounds_say_so() {
    let most = pptp_probe::log::window::MOST as u64;
    let story = Story::new().with(most + 5, What::AuthFailure, "alice", "203.0.113.7");
    let (state, text) = story.judged();
    let expected = format!(
        "at least {most} failures from 203.0.113.7 in 15 min, as alice [auth/repeated_failures]"
    );
    assert_eq!((state, text), critical(&expected));
}

#[test]
fn silence_is_a_warning_only_when_asked_for() {
    let seen = Seen { newest: Some(0), ..Story::new().seen() };
    let judged = |max_age| line(&report(&seen, &Thresholds::new(), max_age, 10));
    assert_eq!(judged(None).0, State::Ok);
    assert_eq!(judged(Some(1200)).0, State::Ok);
    let expected = "no PPTP program wrote anything for 20 min [control/silent]";
    assert_eq!(judged(Some(1199)), warning(expected));
}

#[test]
fn trouble_is_unknown_but_hides_no_fault() {
    let trouble = || vec![Problem::local("cannot read x".to_owned())];
    let seen = Seen { troubles: trouble(), ..Story::new().seen() };
    let expected = (State::Unknown, "cannot read x [resolve/local]".to_owned());
    let nothing = report(&seen, &Thresholds::new(), None, 10);
    assert_eq!(line(&nothing), expected);
    assert_eq!(nothing.metrics().len(), 0, "zeros would say that nothing happened");
    let story = Story::new().ended(10, TerminateCause::EchoTimeout, "203.0.113.7");
    let seen = Seen { troubles: trouble(), ..story.seen() };
    let report = report(&seen, &Thresholds::new(), None, 10);
    assert_eq!(report.state(), State::Critical);
    assert!(report.details().iter().any(|(_, text)| text == "cannot read x"));
}

#[test]
fn remarks_stand_in_the_first_line() {
    let remarks = vec!["the state is damaged".to_owned()];
    let seen = Seen { remarks, future: 2, gaps: vec!["g".to_owned()], ..Story::new().seen() };
    let report = report(&seen, &Thresholds::new(), None, 10);
    assert!(report.headline().ends_with("12 open; the state is damaged"));
    let details: Vec<_> = report.details().iter().map(|(_, text)| text.as_str()).collect();
    assert!(details.contains(&"entries may be lost: g"));
    assert!(details.iter().any(|text| text.starts_with("2 events have a stamp later")));
}

#[test]
fn spans_for_people() {
    for (seconds, text) in [
        (0, "0 s"),
        (60, "1 min"),
        (90, "90 s"),
        (900, "15 min"),
        (3600, "1 h"),
        (5400, "90 min"),
        (9000, "2.5 h"),
        (86_400, "1 d"),
        (604_800, "7 d"),
    ] {
        assert_eq!(span_words(seconds * 1_000_000), text);
    }
}
