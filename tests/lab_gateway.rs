//! The lab as a program: sockets, namespace, commands and signals. What it says
//! to callers is tested with its sessions; here real checks are the callers.
//!
//! Each test has a network namespace of its own, so all may run at once. Where
//! the system forbids those to users, run the tests as root.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LAB: &str = env!("CARGO_BIN_EXE_pptp-lab");

/// Runs a shell script in a lab with these arguments; in it stand `lab` for
/// `pptp-lab ctl`, and `control`, `gre` and `auth` for the checks.
fn run(arguments: &[&str], script: &str) -> Output {
    let script = format!(
        "lab() {{ {LAB} ctl \"$@\"; }}
         control() {{ {} -H $LAB_ADDRESS -p $LAB_PORT -t 4 \"$@\"; }}
         gre() {{ {} -H $LAB_ADDRESS -p $LAB_PORT -t 4 \"$@\"; }}
         auth() {{ {} -H $LAB_ADDRESS -p $LAB_PORT -t 4 -u $LAB_USER --password-env LAB_PASSWORD \"$@\"; }}
         {script}",
        env!("CARGO_BIN_EXE_check_pptp_control"),
        env!("CARGO_BIN_EXE_check_pptp_gre"),
        env!("CARGO_BIN_EXE_check_pptp_auth"),
    );
    Command::new(LAB)
        .arg("run")
        .args(arguments)
        .args(["--", "sh", "-c", &script])
        .output()
        .expect("the lab starts")
}

/// Standard output, of a run that ended with `code`.
fn text(output: &Output, code: i32) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    out.into_owned()
}

/// A lab in the background, its standard input and output in our hands.
struct Served {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Served {
    fn new(arguments: &[&str]) -> Self {
        let mut child = Command::new(LAB)
            .args(["serve", "--namespace"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line
    }

    fn say(&mut self, command: &str) -> String {
        let mut input = self.child.stdin.as_ref().expect("a pipe");
        writeln!(input, "{command}").expect("the lab listens");
        self.line()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn command_gets_the_environment_and_gives_the_exit_status() {
    let output = run(&[], "echo $LAB_ADDRESS $LAB_PORT $LAB_USER $LAB_PASSWORD $LAB_INNER; exit 7");
    assert_eq!(text(&output, 7), "127.0.0.1 1723 probe Pr0be-secret 192.168.77.1\n");
    text(&run(&[], "kill -KILL $$"), 128 + 9);
}

/// RFC 2865, section 7.1: user nemo, password arctangent, secret xyzzy5461.
const ACCESS_REQUEST: &str = r"\x01\x00\x00\x38\x0f\x40\x3f\x94\x73\x97\x80\x57\xbd\x83\xd5\xcb\
\x98\xf4\x22\x7a\x01\x06nemo\x02\x12\x0d\xbe\x70\x8d\x93\xd4\x13\xce\x31\x96\xe4\x3f\x78\x2a\x0a\xee\
\x04\x06\xc0\xa8\x01\x10\x05\x06\x00\x00\x00\x03";

#[test]
fn radius_answers_over_udp_and_tcp_on_the_port_that_is_told() {
    let script = format!(
        "echo $LAB_RADIUS_PORT $LAB_RADIUS_SECRET
         for transport in udp tcp; do bash -c '
             exec 3<>/dev/$0/$LAB_ADDRESS/$LAB_RADIUS_PORT
             printf \"{ACCESS_REQUEST}\" | dd bs=56 iflag=fullblock status=none >&3
             timeout 5 head -c 4 <&3 | od -An -tx1' $transport
         done"
    );
    let same = ["--radius-secret", "xyzzy5461", "--user", "nemo:arctangent"];
    let said = text(&run(&[&same[..], &["--radius-port", "4000"]].concat(), &script), 0);
    assert_eq!(said, "4000 xyzzy5461\n 02 00 00 4d\n 02 00 00 4d\n");
    let said = text(&run(&[&same[..], &["--radius-port", "0"]].concat(), &script), 0);
    assert!(said.ends_with(" xyzzy5461\n 02 00 00 4d\n 02 00 00 4d\n"), "{said}");
}

#[test]
fn radius_port_that_is_taken_is_one_line() {
    let output = run(
        &[],
        &format!("{LAB} serve --port 0; echo $?; {LAB} serve --port 0 --radius-port 1811"),
    );
    assert_eq!(text(&output, 3), "3\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("see --radius-port").count(), 2, "{said}");
}

#[test]
fn healthy_lab_satisfies_every_check() {
    text(&run(&[], "control && gre && auth"), 0);
    text(&run(&["--mppe-mode", "40,stateful"], "auth --mppe 40,stateful"), 0);
    text(&run(&["--listen", "127.0.0.2", "--port", "0"], "auth"), 0);
}

#[test]
fn every_method_logs_in_and_refuses_a_wrong_password() {
    for method in ["pap", "chap", "mschapv1", "mschapv2", "eap-md5", "eap-mschapv2"] {
        let script = format!(
            "auth --auth-method {method} || exit 1
            LAB_PASSWORD=wrong; auth --auth-method {method}"
        );
        let said = text(&run(&["--auth", method], &script), 2);
        assert!(said.contains("[auth/auth_rejected]"), "{said}");
    }
}

#[test]
fn faults_are_switched_while_it_runs() {
    let output = run(
        &["--fault", "sccrp-result=2:4"],
        "control; lab faults; lab clear sccrp-result && control; lab fault gre-unreachable; gre",
    );
    let said = text(&output, 2);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("[control/control_refused]"), "{said}");
    assert_eq!(lines[1..3], ["sccrp-result=2:4", "no fault is in force"]);
    assert!(lines[3].starts_with("PPTP CONTROL OK"), "{said}");
    assert_eq!(lines[4], "gre-unreachable");
    assert!(lines[5].contains("[gre/gre_unreachable]"), "{said}");
}

#[test]
fn refused_port_opens_again() {
    let output = run(
        &["--fault", "tcp-refused"],
        "control; lab clear; control; lab fault tcp-refused; control",
    );
    let said = text(&output, 2);
    let verdicts: Vec<bool> = said
        .lines()
        .filter(|line| line.starts_with("PPTP"))
        .map(|line| line.contains("[connect/refused]"))
        .collect();
    assert_eq!(verdicts, [true, false, true], "{said}");
}

#[test]
fn many_callers_at_once_do_not_meet() {
    let output = run(
        &[],
        "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do auth -t 20 >/dev/null & all=\"$all $!\"; done
         for one in $all; do wait $one || exit 1; done; lab sessions",
    );
    assert_eq!(text(&output, 0), "no caller\n");
}

#[test]
fn further_caller_from_one_address_can_be_left_without_gre() {
    let output = run(
        &["--fault", "one-per-address", "--fault", "delay=lcp:700"],
        "auth & one=$!; auth; wait $one; auth",
    );
    let said = text(&output, 0);
    assert_eq!(said.matches(" OK - ").count(), 2, "{said}");
    assert_eq!(said.matches("[gre/gre_inbound_silent]").count(), 1, "{said}");
}

#[test]
fn pool_that_is_used_up_refuses_the_call() {
    let output = run(&["--pool", "192.168.77.1-192.168.77.1"], "control >/dev/null && gre");
    assert!(text(&output, 2).contains("[call/call_refused]"));
}

#[test]
fn wrong_commands_are_answered() {
    let output = run(&[], "lab fault nonsense; echo $?; lab clear banner; echo $?");
    assert_eq!(text(&output, 0), "3\n3\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn standard_input_commands_and_quit() {
    let mut served = Served::new(&[]);
    assert!(served.line().starts_with("listening on 127.0.0.1:1723, RADIUS on port 1812"));
    assert_eq!(served.say("fault gre-lost-after=9"), "gre-lost-after=9\n");
    assert_eq!(served.say("sessions"), "no caller\n");
    assert_eq!(served.say("clear"), "no fault is in force\n");
    assert_eq!(served.say("quit"), "good-bye\n");
    assert_eq!(served.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn signal_ends_it_cleanly_and_removes_the_control_socket() {
    let path = std::env::temp_dir().join(format!("lab-gateway-{}.sock", std::process::id()));
    let mut served = Served::new(&["--control", path.to_str().expect("UTF-8")]);
    assert!(served.line().starts_with("listening on "));
    assert!(path.exists());
    let pid = Pid::from_raw(served.child.id().cast_signed());
    kill(pid, Signal::SIGTERM).expect("it runs");
    assert_eq!(served.child.wait().expect("it ends").code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn control_socket_of_a_living_lab_stays_and_one_left_behind_is_replaced() {
    let path = std::env::temp_dir().join(format!("lab-gateway-two-{}.sock", std::process::id()));
    let name = path.to_str().expect("UTF-8");
    let serve = || {
        let arguments = ["serve", "--namespace", "--control", name];
        Command::new(LAB).args(arguments).stdin(Stdio::null()).output().expect("the lab starts")
    };
    let mut first = Served::new(&["--control", name]);
    assert!(first.line().starts_with("listening on "));
    text(&serve(), 3);
    let faults = Command::new(LAB).args(["ctl", "--control", name, "faults"]).output();
    text(&faults.expect("it starts"), 0);
    // Killed, it leaves its socket behind.
    drop(first);
    assert!(path.exists());
    let mut second = Served::new(&["--control", name]);
    assert!(second.line().starts_with("listening on "));
    assert_eq!(second.say("quit"), "good-bye\n");
    assert_eq!(second.child.wait().expect("it ends").code(), Some(0));
    std::fs::write(&path, "no socket").expect("a file");
    text(&serve(), 3);
    assert_eq!(std::fs::read_to_string(&path).expect("it is still there"), "no socket");
    let _ = std::fs::remove_file(&path);
}

#[test]
fn configuration_file_is_read_and_its_mistakes_are_one_line() {
    let path = std::env::temp_dir().join(format!("lab-gateway-{}.toml", std::process::id()));
    let write = |text: &str| std::fs::write(&path, text).expect("a file");
    let name = path.to_str().expect("UTF-8");
    write("vendor = \"acme\"\nuser = [\"anna:sesame\"]\nfault = [\"gre-lost-in\"]\n");
    let said = text(&run(&["--config", name], "echo $LAB_USER; lab faults; control"), 0);
    assert!(said.starts_with("anna\ngre-lost-in\nPPTP CONTROL OK - acme "), "{said}");
    write("vendor = \"acme\"\nvendors = 2\n");
    let output = run(&["--config", name], "true");
    text(&output, 3);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("line 2: unknown field `vendors`"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let _ = std::fs::remove_file(&path);
}

#[test]
fn misuse_is_one_line() {
    for arguments in [
        &["serve", "--fault", "x"][..],
        &["serve", "--nonsense"],
        &["serve", "--auth", "pap", "--mppe", "required"],
        &["run"],
        &["ctl", "faults"],
        &["ctl", "--control", "/nonexistent", "faults"],
        &[],
        &["nonsense"],
    ] {
        let output = Command::new(LAB).env_remove("LAB_CONTROL").args(arguments).output();
        let output = output.expect("the lab starts");
        assert_eq!(text(&output, 3), "", "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.starts_with("pptp-lab: ") && said.lines().count() == 1,
            "{arguments:?} {said}"
        );
    }
}

#[test]
fn table_of_faults_is_printed() {
    let output = Command::new(LAB).arg("faults").output().expect("the lab starts");
    let said = text(&output, 0);
    assert!(said.lines().count() > 40 && said.contains("\nwrong-mppe-key "), "{said}");
}
