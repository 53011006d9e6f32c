//! What the checks say before they touch the network: wrong arguments, and
//! secrets that cannot be read.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const CONTROL: &str = env!("CARGO_BIN_EXE_check_pptp_control");
const GRE: &str = env!("CARGO_BIN_EXE_check_pptp_gre");
const TUNNEL: &str = env!("CARGO_BIN_EXE_check_pptp_tunnel");
const AUTH: &str = env!("CARGO_BIN_EXE_check_pptp_auth");

/// A check whose standard input is a pipe in our hands.
fn start(check: &str, arguments: &str) -> Child {
    Command::new(check)
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the check starts")
}

/// Standard output, of a run that ended with `code`.
fn text(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said.into_owned()
}

/// Its end, while the pipe to it stays open.
fn end_of(mut child: Child) -> Output {
    let input = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    drop(input);
    output
}

/// The line of a run that reads these octets and ends with status 3.
fn fed(arguments: &str, octets: &[u8]) -> String {
    let mut child = start(AUTH, arguments);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(octets).expect("it reads");
    drop(input);
    text(&child.wait_with_output().expect("it ends"), 3)
}

/// The line of a run that gets a signal while it waits for its input.
fn interrupted(check: &str, arguments: &str, signal: Signal) -> String {
    let child = start(check, arguments);
    let blocks = format!("/proc/{}/status", child.id());
    let terminate = 1 << (Signal::SIGTERM as u64 - 1);
    // Until it blocks the signals, which it does when it begins to wait.
    loop {
        let status = std::fs::read_to_string(&blocks).expect("it runs");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("a mask");
        if u64::from_str_radix(mask.trim(), 16).expect("hexadecimal") & terminate != 0 {
            break;
        }
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it runs");
    text(&end_of(child), 3)
}

/// What a check says of arguments that are wrong.
fn misuse(check: &str, arguments: &[&str]) -> String {
    let output = Command::new(check).args(arguments).output().expect("the check starts");
    let said = text(&output, 3);
    let (_, what) = said.split_once(" UNKNOWN - ").expect("a state");
    what.strip_suffix(" (see --help)\n").expect("misuse").to_owned()
}

#[test]
fn range_for_what_is_not_measured_is_misuse() {
    for (check, arguments, label, option) in [
        (CONTROL, "--echoes 0 --threshold echo_rtt=1/", "echo_rtt", "--echoes 0"),
        (CONTROL, "--echoes 0 --threshold echo_rtt_max=/1", "echo_rtt_max", "--echoes 0"),
        (GRE, "--echoes 1 --threshold lcp_jitter=1/2", "lcp_jitter", "--echoes 1"),
        (AUTH, "-u probe --expect-reject -w 1", "time", "--expect-reject"),
        (AUTH, "-u probe --mppe none --threshold data_time=1/", "data_time", "--mppe none"),
        (AUTH, "--auth-method none --threshold data_time=1/", "data_time", "--auth-method none"),
    ] {
        let arguments = ["-H", "192.0.2.1"].into_iter().chain(arguments.split_whitespace());
        let expected = format!("{label} has a range, but with {option} it is not measured");
        assert_eq!(misuse(check, &arguments.collect::<Vec<_>>()), expected);
    }
}

#[test]
fn option_without_what_it_belongs_to_is_misuse() {
    for (option, missing) in [
        ("--ramp 0.1", "--sessions <N>"),
        ("--max-redirects 3", "--http <URL>"),
        ("--ca-file ca.pem", "--http <URL>"),
        ("--throughput-to 192.0.2.9:9", "--throughput <AMOUNT>"),
    ] {
        let arguments = ["-H", "192.0.2.1", "-u", "probe"].into_iter();
        let arguments: Vec<_> = arguments.chain(option.split_whitespace()).collect();
        let expected = format!("the following required arguments were not provided: {missing}");
        assert_eq!(misuse(TUNNEL, &arguments), expected);
    }
}

#[test]
fn target_that_cannot_be_is_misuse() {
    let user = ["-u", "probe"];
    for (check, more) in [(CONTROL, &[][..]), (GRE, &[]), (AUTH, &user)] {
        let said = |arguments: &[&str]| misuse(check, &[arguments, more].concat());
        assert_eq!(said(&["-H", ""]), "--hostname is empty");
        assert!(said(&["-H", "192.0.2.1:1723"]).ends_with("a port is given by --port"));
        assert_eq!(said(&["-H", "2001:db8::1", "-4"]), "2001:db8::1 is IPv6, but --ipv4 is given");
        assert_eq!(said(&["-H", "192.0.2.1", "-6"]), "192.0.2.1 is IPv4, but --ipv6 is given");
        assert!(said(&["-H", "192.0.2.1", "-w", ":"]).ends_with("neither start nor end"));
    }
    for (check, more) in [(GRE, &[][..]), (AUTH, &user)] {
        let said = |arguments: &[&str]| misuse(check, &[arguments, more].concat());
        let text = "cannot be used: GRE of PPTP is IPv4 only";
        assert_eq!(said(&["-H", "2001:db8::1"]), format!("2001:db8::1 {text}"));
        assert_eq!(said(&["-H", "vpn.example.net", "-6"]), format!("--ipv6 {text}"));
    }
}

#[test]
fn secret_that_does_not_come_is_waited_for_until_the_deadline() {
    for option in ["--password-file", "--authfile"] {
        let mut child = start(AUTH, &format!("-H 192.0.2.1 -u probe -t 50ms {option} -"));
        let input = child.stdin.as_mut().expect("a pipe");
        input.write_all(b"password=").expect("it reads");
        let said = text(&end_of(child), 3);
        let expected = "PPTP AUTH UNKNOWN - cannot read standard input: nothing more came before \
                        the deadline [auth/local]: --help says where secrets may come from\n";
        assert_eq!(said, expected);
    }
}

#[test]
fn options_that_do_not_come_are_waited_for_until_the_deadline() {
    for file in ["-", "/dev/stdin"] {
        let child = start(CONTROL, &format!("--extra-opts=@{file} -H 192.0.2.1 -vt 50ms"));
        let expected = format!(
            "PPTP CONTROL UNKNOWN - can't read config file '{file}': nothing more came before the \
             deadline (see --help)\n"
        );
        assert_eq!(text(&end_of(child), 3), expected);
    }
}

#[test]
fn signal_while_waiting_for_input_is_one_line() {
    let mend = "run it again; raise the timeout of the scheduler";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let said = interrupted(AUTH, "-H 192.0.2.1 -u probe --password-file -", signal);
        let expected = format!(
            "PPTP AUTH UNKNOWN - cannot read standard input: interrupted [auth/interrupted]: {mend}\n"
        );
        assert_eq!(said, expected);
    }
    let said = interrupted(CONTROL, "--extra-opts=@- -H 192.0.2.1", Signal::SIGTERM);
    let expected = format!(
        "PPTP CONTROL UNKNOWN - can't read config file '-': interrupted [resolve/interrupted]: {mend}\n"
    );
    assert_eq!(said, expected);
}

#[test]
fn secret_that_cannot_be_a_password_costs_no_attempt() {
    for (octets, what) in [
        (&b"probe\nPr0be-secret\n"[..], "standard input has more than one line"),
        (b"Pr0be\0secret", "standard input contains a NUL; save it as text in UTF-8"),
        (
            b"\xef\xbb\xbfPr0be-secret\n",
            "standard input begins with a byte order mark; save it as UTF-8 without one",
        ),
        (&[b'a'; 256], "a password has at most 255 octets"),
    ] {
        let mend = "--help says where secrets may come from";
        let said = fed("-H 192.0.2.1 -u probe --password-file -", octets);
        assert_eq!(said, format!("PPTP AUTH UNKNOWN - {what} [auth/local]: {mend}\n"));
    }
}
