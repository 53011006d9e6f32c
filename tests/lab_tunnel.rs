//! `check_pptp_tunnel` with several sessions, against the lab on real sockets:
//! what they find out together, and that nothing of them stays.
//!
//! Each test has a network namespace of its own, so all may run at once. Where
//! the system forbids those to users, run the tests as root.

#[path = "support/in_lab.rs"]
mod in_lab;

use in_lab::{Scratch, run, said, text};

/// What the check says to a gateway before it goes, by session, of a run in
/// which every one of so many is up when the signal comes.
fn farewells(check: &str, sessions: usize) -> Vec<Vec<String>> {
    let script = format!(
        "$tunnel {check} -vv & one=$!
         callers {sessions}; kill -TERM $one; wait $one; code=$?; gone; exit $code"
    );
    let said = text(&run(&[], &script), 3);
    assert!(said.ends_with("no caller\n"), "{said}");
    assert!(said.contains("/interrupted]"), "{said}");
    let words = ["LCP Terminate-Request", "Call-Clear-Request", "Stop-Control-Connection-Request"];
    let of = |number: usize| {
        let mark = format!(" > #{number} ");
        let lines = said.lines().filter(|line| line.contains(&mark));
        let told = lines.filter_map(|line| words.iter().find(|word| line.contains(**word)));
        let mut told: Vec<String> = told.map(ToString::to_string).collect();
        told.sort_unstable();
        told
    };
    (1..=sessions).map(of).collect()
}

/// What every session says that is cut short.
fn complete() -> Vec<String> {
    let words = ["Call-Clear-Request", "LCP Terminate-Request", "Stop-Control-Connection-Request"];
    words.map(ToString::to_string).to_vec()
}

#[test]
fn many_sessions_stand_at_once() {
    let said = said(&[], "--sessions 40 --ramp 0.005 --count 3 -vv", 0);
    assert!(said.starts_with("PPTP TUNNEL OK - 40 sessions at once through pptp-lab"), "{said}");
    assert!(said.contains(", 0 of 120 lost"), "{said}");
    assert!(said.contains("\n#40 up after "), "{said}");
}

#[test]
fn all_are_up_before_one_sends_an_echo() {
    let said = said(&["--mppe", "none"], "--sessions 4 --ramp 0.1 --count 2 -vv", 0);
    let up = said.rfind("LCP Configure-Ack").expect("LCP");
    let echoes: Vec<usize> = said.match_indices("IPv4 84 octets").map(|(at, _)| at).collect();
    assert!(echoes.len() >= 16, "{said}");
    assert!(echoes.iter().all(|at| *at > up), "{said}");
    let end = said.find("LCP Terminate-Request").expect("an end");
    assert!(echoes.iter().all(|at| *at < end), "{said}");
}

#[test]
fn pool_of_five_asked_for_ten_is_exhausted() {
    let said = said(&["--pool", "192.168.77.10-192.168.77.14"], "--sessions 10 --count 2", 2);
    let text = "pool or licenses exhausted after 5 of 10 sessions: gateway refused the call";
    assert!(said.contains(text) && said.contains("[call/sessions_short]"), "{said}");
    assert!(said.contains("'sessions'=5;") && said.contains("'sessions_failed'=5;"), "{said}");
}

#[test]
fn nat_for_one_client_is_told() {
    let said = said(&["--fault", "one-per-address"], "--sessions 3 --count 2 -t 4", 2);
    assert!(said.contains("1 of 3 sessions has GRE, that of the other 2 is silent"), "{said}");
    assert!(said.contains("[gre/sessions_short]"), "{said}");
}

#[test]
fn gateway_that_refuses_everybody_is_no_short_pool() {
    let said = said(&["--fault", "ocrp-result=4"], "--sessions 3", 2);
    assert!(said.contains("none of 3 sessions came up: gateway refused the call"), "{said}");
    assert!(said.contains("[call/call_refused]"), "{said}");
}

#[test]
fn resolver_that_is_not_there_is_told_once_for_all() {
    let said = text(&run(&[], "$tunnel -H nowhere.invalid --sessions 3"), 3);
    assert!(said.contains("(3 of 3 sessions) [resolve/resolver_failed]"), "{said}");
}

#[test]
fn signal_takes_all_sessions_down() {
    let farewells = farewells("--sessions 8 --count 1000 -t 60", 8);
    assert_eq!(farewells, vec![complete(); 8]);
}

#[test]
fn signal_while_the_sessions_come_up_takes_down_what_stands() {
    let script = "$tunnel --sessions 50 --ramp 0.5 -t 60 & one=$!
         callers 2; kill -TERM $one; wait $one; code=$?; gone; exit $code";
    let said = text(&run(&[], script), 3);
    assert!(said.contains("/interrupted]") && said.ends_with("no caller\n"), "{said}");
}

#[test]
fn signal_takes_silent_sessions_down() {
    let farewells = farewells("--idle 30,40 -t 60", 3);
    assert_eq!(farewells, vec![complete(); 3]);
}

#[test]
fn silence_that_harms_nothing_is_kept() {
    let said = said(&[], "--idle 1,2 -t 12 -v", 0);
    let text = "GRE mapping kept for 2 s; control connection kept for 2 s";
    assert!(said.contains(text), "{said}");
    let line = "1 s: from the gateway yes, to the gateway yes, control yes";
    assert!(said.contains(line) && said.contains("'idle_kept'=2.0"), "{said}");
}

#[test]
fn each_way_to_forget_a_silent_session_is_told() {
    for (fault, sentence, line, verdict) in [
        (
            "gre-idle-drop=2",
            "GRE mapping dropped between 1 and 3 s",
            "3 s: from the gateway no, to the gateway no, control yes",
            "[gre/mapping_dropped]",
        ),
        (
            "gre-idle-in=2",
            "GRE mapping dropped between 1 and 3 s",
            "3 s: from the gateway no, to the gateway yes, control yes",
            "[gre/mapping_dropped]",
        ),
        (
            "control-idle-drop=2",
            "control connection dropped between 1 and 3 s",
            "3 s: from the gateway yes, to the gateway yes, control no",
            "[control/mapping_dropped]",
        ),
    ] {
        let said = said(&["--fault", fault], "--idle 1,3 -t 13 -v", 2);
        for expected in [sentence, line, verdict, "'idle_kept'=1.0", "'idle_dropped'=3.0"] {
            assert!(said.contains(expected), "{fault}: no '{expected}' in {said}");
        }
    }
}

#[test]
fn run_cut_short_keeps_what_it_has_and_the_next_goes_on() {
    let file = Scratch::new("resumed.json");
    let option = format!("--state-file {}", file.path().display());
    let script = format!(
        "$tunnel --idle 1,40 -t 60 {option} & one=$!
         callers 3; callers 2; kill -TERM $one; wait $one
         $tunnel --idle 1 -t 5 -v {option}
         $tunnel --idle 1,40 -t 40 {option}
         $tunnel --idle 1,2 -t 12 -vv {option}"
    );
    let said = text(&run(&[], &script), 0);
    let runs: Vec<&str> = said.split("PPTP TUNNEL ").skip(1).collect();
    let [cut, from_file, too_long, rest] = runs[..] else { panic!("{said}") };
    assert!(cut.starts_with("UNKNOWN") && cut.contains("/interrupted]"), "{said}");
    // No time for a session: the file answers.
    assert!(from_file.starts_with("OK - GRE mapping kept for 1 s; "), "{said}");
    assert!(from_file.contains("1 of them from the state file"), "{said}");
    assert!(too_long.starts_with("UNKNOWN - --idle 40 s does not fit; give -t 50"), "{said}");
    // The helper and the one that is missing.
    assert!(rest.starts_with("OK - GRE mapping kept for 2 s; "), "{said}");
    assert!(rest.contains(" #2 ") && !rest.contains(" #3 "), "{said}");
}

#[test]
fn state_file_that_cannot_be_written_ends_the_run_before_it_begins() {
    let script =
        "$tunnel --idle 40 -t 60 --state-file /nonexistent/state; code=$?; gone; exit $code";
    let said = text(&run(&[], script), 3);
    assert!(said.contains("cannot write the state file /nonexistent/state"), "{said}");
}
