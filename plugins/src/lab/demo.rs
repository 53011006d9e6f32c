//! The demonstration: every check against a healthy lab, then with nine
//! faults; each with its command, its line and its exit code.
//!
//! It runs inside the lab's namespace, as the lab's command, and switches
//! faults over the lab's control socket, as an operator would. The checks are
//! this very binary under their own names.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Columns that a line of the demonstration may fill.
const WIDTH: usize = 92;

/// The checks, each with its arguments.
const CHECKS: [(&str, &str); 5] = [
    ("check_pptp_control", "-H 127.0.0.1 -t 2"),
    ("check_pptp_gre", "-H 127.0.0.1 -t 2"),
    ("check_pptp_auth", "-H 127.0.0.1 -t 2 -u probe --password-env LAB_PASSWORD --mppe 128"),
    (
        "check_pptp_tunnel",
        "-H 127.0.0.1 -t 6 -u probe --password-env LAB_PASSWORD --count 5 --mtu \
         --http http://192.168.77.1/",
    ),
    (
        "check_radius",
        "-H 127.0.0.1 -t 2 -u probe --password-env LAB_PASSWORD --secret-env LAB_RADIUS_SECRET \
         --require-mppe-keys",
    ),
];

/// Faults, each with what it is in the field and the check that tells most.
const FAULTS: [(&str, &str, usize); 9] = [
    ("tcp-refused", "the daemon is not running", 0),
    ("gre-lost-out", "a firewall drops GRE on its way back", 1),
    ("gre-lost-in", "a NAT drops GRE on its way there", 1),
    ("auth-failure=648", "the monitoring account's password has expired", 2),
    ("wrong-mppe-key", "the two sides derive other MPPE keys", 2),
    ("http-silent", "connected, but the web server behind the gateway is stuck", 3),
    ("black-hole=1300", "connected, but large packets vanish on the way", 3),
    ("radius-no-mppe-keys", "RADIUS accepts everybody, but forgets the MPPE keys", 4),
    ("radius-wrong-secret", "RADIUS has another shared secret", 4),
];

/// Shows everything. `control` is the lab's control socket.
///
/// # Errors
/// What went wrong in the demonstration itself, as one line.
pub fn play(control: &Path) -> Result<(), String> {
    let began = Instant::now();
    let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    say(
        "A PPTP gateway in a namespace of its own, its RADIUS server, and five checks (perfdata left out).\n",
    );
    say("== healthy");
    for run in start(&program)? {
        let ended = run.end()?;
        ended.show();
        ended.expect(0)?;
    }
    for (fault, situation, telling) in FAULTS {
        tell(control, &format!("fault {fault}"))?;
        say(&format!("== {situation} (fault {fault})"));
        let runs: Vec<Ended> =
            start(&program)?.into_iter().map(Run::end).collect::<Result<_, _>>()?;
        runs[telling].show();
        runs[telling].expect(2)?;
        let others: Vec<String> = runs
            .iter()
            .enumerate()
            .filter(|&(place, _)| place != telling)
            .map(|(_, run)| format!("{} exits {}", run.name, run.code))
            .collect();
        say(&format!("  meanwhile {}", others.join(", ")));
        tell(control, "clear")?;
    }
    say(&format!("\n{:.1} s in all. More faults: pptp-lab faults", began.elapsed().as_secs_f64()));
    Ok(())
}

/// The name of a check, when this binary was started under it.
pub fn check_name(argument: &std::ffi::OsStr) -> Option<&'static str> {
    let name = Path::new(argument).file_name()?;
    CHECKS.iter().map(|&(check, _)| check).find(|check| name == *check)
}

struct Run {
    name: &'static str,
    arguments: &'static str,
    child: Child,
}

struct Ended {
    name: &'static str,
    arguments: &'static str,
    line: String,
    code: i32,
}

/// Starts all checks at once: they do not disturb each other.
fn start(program: &PathBuf) -> Result<Vec<Run>, String> {
    let start = |&(name, arguments): &(&'static str, &'static str)| {
        let child = Command::new(program)
            .arg0(name)
            .args(arguments.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run {name}: {error}"))?;
        Ok(Run { name, arguments, child })
    };
    CHECKS.iter().map(start).collect()
}

impl Run {
    fn end(self) -> Result<Ended, String> {
        let Self { name, arguments, child } = self;
        let output = child.wait_with_output().map_err(|error| format!("{name}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.split(" | ").next().unwrap_or_default().trim_end().to_owned();
        Ok(Ended { name, arguments, line, code: output.status.code().unwrap_or(-1) })
    }
}

impl Ended {
    fn show(&self) {
        say(&format!("$ {} {}", self.name, self.arguments));
        say(&wrap(&self.line));
        say(&format!("  exit code {}", self.code));
    }

    /// A demonstration that shows something else than it says is a failure.
    fn expect(&self, code: i32) -> Result<(), String> {
        if self.code == code {
            return Ok(());
        }
        Err(format!("{} was expected to exit {code}: {}", self.name, self.line))
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Breaks a line at blanks, each piece indented.
fn wrap(line: &str) -> String {
    let mut text = String::new();
    let mut column = WIDTH;
    for word in line.split(' ') {
        if column + 1 + word.len() > WIDTH {
            text.push_str(if text.is_empty() { "  " } else { "\n    " });
            column = 4 + word.len();
        } else {
            text.push(' ');
            column += 1 + word.len();
        }
        text.push_str(word);
    }
    text
}

/// One command over the lab's control socket.
fn tell(control: &Path, command: &str) -> Result<(), String> {
    let exchange = || -> io::Result<String> {
        let mut stream = UnixStream::connect(control)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.take(1 << 16).read_to_string(&mut answer)?;
        Ok(answer)
    };
    match exchange() {
        Ok(answer) if answer.starts_with("ok") => Ok(()),
        Ok(answer) => Err(format!("{command}: {}", answer.trim_end())),
        Err(error) => Err(format!("{command}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::faults::Fault;

    #[test]
    fn the_faults_exist_and_the_checks_are_known_by_name() {
        for (fault, _, telling) in FAULTS {
            assert!(fault.parse::<Fault>().is_ok(), "{fault}");
            assert!(telling < CHECKS.len());
        }
        assert_eq!(check_name("/usr/bin/check_pptp_gre".as_ref()), Some("check_pptp_gre"));
        assert_eq!(check_name("pptp-lab".as_ref()), None);
    }

    #[test]
    fn long_lines_are_broken_at_blanks() {
        let line = "word ".repeat(60);
        let wrapped = wrap(line.trim_end());
        assert!(wrapped.lines().all(|line| line.len() <= WIDTH + 4), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().count(), 60);
    }
}
