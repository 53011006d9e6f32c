//! `check_pptp_host` on trees that were collected from a Debian, an Ubuntu and
//! an OpenWrt, as the program that a scheduler starts.

use std::process::{Command, Output};

use serde_json::Value;

const HOST: &str = env!("CARGO_BIN_EXE_check_pptp_host");

fn tree(name: &str) -> String {
    format!("{}/../tests/fixtures/audit/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(HOST);
    command.args(arguments).env_remove("LC_ALL").env_remove("LC_CTYPE").env("LANG", "C.UTF-8");
    command.output().expect("the check starts")
}

/// Standard output, of a run that ended with `code`.
fn said(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said.into_owned()
}

fn on(name: &str, arguments: &[&str], code: i32) -> String {
    let tree = tree(name);
    let arguments: Vec<&str> = ["--root", &tree].into_iter().chain(arguments.to_vec()).collect();
    said(&run(&arguments), code)
}

/// Identifiers of the findings, the worst first.
fn ids(name: &str, code: i32) -> Vec<String> {
    let text = on(name, &["-o", "json"], code);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let findings = value["facts"]["findings"].as_array().expect("findings");
    let id = |finding: &Value| finding["id"].as_str().expect("an identifier").to_owned();
    findings.iter().map(id).collect()
}

#[test]
fn tree_of_an_ubuntu_tells_what_accel_ppp_is_set_to() {
    assert_eq!(
        ids("ubuntu-accel-ppp", 2),
        [
            "pap-allowed",
            "secrets-readable",
            "lcp-echo-failure-missing",
            "lcp-echo-interval-range",
            "chap-md5-allowed",
            "mschapv1-allowed",
            "mss-clamp-missing",
            "callers-behind-nat",
        ]
    );
    let line = on("ubuntu-accel-ppp", &[], 2);
    assert!(line.starts_with("HOST CRITICAL - pap-allowed: callers may send"), "{line}");
    assert!(
        line.contains(
            "; 7 more findings (1 critical, 5 warnings, 1 info) [auth/setting_insecure]: sed"
        ),
        "{line}"
    );
    assert!(line.contains(" 'findings'=8;;;0 'critical'=2;;;0 'warnings'=5;;;0 "), "{line}");
}

#[test]
fn ignoring_and_severity_leave_findings_out() {
    let arguments = ["--ignore", "pap-allowed", "--ignore", "secrets-readable"];
    let line = on("ubuntu-accel-ppp", &arguments, 1);
    assert!(line.starts_with("HOST WARNING - lcp-echo-failure-missing: "), "{line}");
    let arguments = [&arguments[..], &["--min-severity", "critical"]].concat();
    let line = on("ubuntu-accel-ppp", &arguments, 0);
    assert!(line.starts_with("HOST OK - no finding, "), "{line}");
}

#[test]
fn threshold_on_a_count_makes_it_worse() {
    let arguments = ["--min-severity", "critical", "--ignore", "pap-allowed"];
    let arguments = [&arguments[..], &["--ignore", "secrets-readable", "-w", "0", "-v"]].concat();
    on("ubuntu-accel-ppp", &arguments, 0);
    let arguments = ["--threshold", "conntrack_fill=0/", "--min-severity", "critical"];
    let arguments = [&arguments[..], &["--ignore", "pap-allowed"]].concat();
    on("ubuntu-accel-ppp", &[&arguments[..], &["--ignore", "secrets-readable"]].concat(), 1);
}

#[test]
fn verbosity_shows_advice_arithmetic_and_command() {
    let text = on("ubuntu-accel-ppp", &["-vv"], 2);
    assert!(
        text.contains("\nlcp-echo-interval-range why: silent for up to 140 s, above"),
        "{text}"
    );
    assert!(
        text.contains("\nsecrets-readable run: chmod 600 /etc/accel-ppp/main.conf\n"),
        "{text}"
    );
}

#[test]
fn what_could_not_be_read_on_an_openwrt_is_named() {
    let line = on("openwrt-poptop", &[], 2);
    assert!(line.contains("; not read: "), "{line}");
    let text = on("openwrt-poptop", &["-v"], 2);
    assert!(text.contains("you must be root"), "{text}");
}

#[test]
fn checklist_has_a_line_for_each_rule() {
    let rules = said(&run(&["--list"]), 0).lines().count();
    let page = on("debian-poptop", &["--checklist"], 0);
    let marks = ["\u{2713} ", "\u{2717} ", "- ", "? "];
    let lines = page.lines().filter(|line| marks.iter().any(|mark| line.starts_with(mark)));
    assert_eq!(lines.count(), rules, "{page}");
    assert!(page.starts_with("PPTP gateway gateway, Linux 6.1: "), "{page}");
    assert!(page.contains("\u{2713} callers have to prove who they are: "), "{page}");
    let page = on("debian-poptop", &["--checklist", "markdown"], 0);
    assert!(page.contains("\n- \u{2713} **callers have to prove who they are**: "), "{page}");
    let mut command = Command::new(HOST);
    command.args(["--root", &tree("debian-poptop"), "--checklist"]).env("LC_ALL", "C");
    let page = said(&command.output().expect("it starts"), 0);
    assert!(page.is_ascii() && page.contains("\n[x] callers have to prove"), "{page}");
}

#[test]
fn explanations_and_script_are_printed_alone() {
    let text = said(&run(&["--explain", "lcp-echo-missing"]), 0);
    assert!(text.starts_with("lcp-echo-missing (critical)\n\nShould be: "), "{text}");
    let all = said(&run(&["--explain", "all"]), 0);
    assert!(all.contains(&text));
    assert!(said(&run(&["--collect-script"]), 0).starts_with("#!/bin/sh\n"));
}

#[test]
fn misuse_names_what_is_near() {
    let text = said(&run(&["--ignore", "lcp-echo-mising"]), 3);
    assert!(
        text.starts_with("HOST UNKNOWN - ") && text.contains("lcp-echo-missing is near"),
        "{text}"
    );
    let text = said(&run(&["--explain", "something-else-entirely-and-long"]), 3);
    assert!(text.contains("--list names all"), "{text}");
    for arguments in [&["--list", "--checklist"][..], &["--pcap", "x"], &["--root", "/nowhere"]] {
        said(&run(arguments), 3);
    }
}

#[test]
fn tree_without_a_daemon_is_unknown() {
    let empty = std::env::temp_dir().join(format!("host-check-{}", std::process::id()));
    std::fs::create_dir_all(empty.join("proc")).expect("a directory");
    let output = run(&["--root", empty.to_str().expect("a name")]);
    std::fs::remove_dir_all(&empty).expect("it goes");
    let line = said(&output, 3);
    assert!(line.contains("neither pptpd nor accel-ppp is here"), "{line}");
}

#[test]
fn collected_tree_gives_the_same_findings() {
    let copy = std::env::temp_dir().join(format!("host-collect-{}", std::process::id()));
    let name = copy.to_str().expect("a name").to_owned();
    let line = on("ubuntu-accel-ppp", &["--collect", &name], 0);
    let again = said(&run(&["--root", &name, "-o", "json"]), 2);
    std::fs::remove_dir_all(&copy).expect("it goes");
    assert!(line.contains(" files collected in "), "{line}");
    let findings = |text: &str| {
        let value: Value = serde_json::from_str(text).expect("JSON");
        value["facts"]["findings"].clone()
    };
    assert_eq!(findings(&again), findings(&on("ubuntu-accel-ppp", &["-o", "json"], 2)));
}
