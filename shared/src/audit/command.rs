//! Programs of the host that are asked for what no file tells. They get no
//! environment, no input and no longer than a deadline, and are waited for.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::thread::{
    CapabilitySet, capabilities, clear_ambient_capability_set, configure_capability_in_ambient_set,
    set_capabilities,
};

use super::sources::{Command, not_installed};

const PLACES: &[&str] = &["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// Octets of an answer.
const LARGEST: usize = 64 << 20;
/// Octets of a complaint.
const LONGEST: usize = 4 << 10;
/// Between two looks at a program that has said all.
const TICK: Duration = Duration::from_millis(2);

/// What a program writes.
///
/// # Errors
/// `PermissionDenied` where it says so, `Unsupported` where the kernel has no
/// such rules, `TimedOut`, and others with the first line of its complaint.
pub(super) fn ask(command: &Command, deadline: Instant) -> io::Result<Vec<u8>> {
    let program = installed(command.programs).ok_or_else(|| not_installed(command))?;
    let arguments = command.arguments.iter().map(Into::into).collect::<Vec<OsString>>();
    let mut child = spawn(program, &arguments)?;
    let answered = listen(&mut child, deadline);
    if answered.is_err() {
        let _ = child.kill();
    }
    let ended = child.wait();
    let (answer, complaint) = answered?;
    if ended?.success() {
        return Ok(answer);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let line = complaint.lines().next().unwrap_or_default().trim();
    // nft, iptables-nft-save and iptables-legacy-save, in this order.
    let denied = ["Operation not permitted", "Permission denied"];
    let kind = if denied.iter().any(|words| line.contains(words)) {
        ErrorKind::PermissionDenied
    } else if command.knows_nft && line.contains("Invalid argument") {
        // nfnetlink_rcv_msg() of a kernel that has no nf_tables, to whoever may ask.
        ErrorKind::Unsupported
    } else {
        ErrorKind::Other
    };
    let why = if line.is_empty() { "it failed without a word" } else { line };
    Err(io::Error::new(kind, format!("{}: {why}", command.programs[0])))
}

fn installed(programs: &[&str]) -> Option<PathBuf> {
    let places = programs
        .iter()
        .flat_map(|program| PLACES.iter().map(move |place| PathBuf::from(place).join(program)));
    places.into_iter().find(|place| place.is_file())
}

/// A right of this process that is not root's own would end at the program, so
/// CAP_NET_ADMIN is made ambient for as long as the start takes.
fn spawn(program: PathBuf, arguments: &[OsString]) -> io::Result<Child> {
    let right = CapabilitySet::NET_ADMIN;
    let lent = !rustix::process::geteuid().is_root()
        && capabilities(None).is_ok_and(|mut sets| {
            sets.inheritable |= right & sets.permitted;
            sets.permitted.contains(right)
                && set_capabilities(None, sets).is_ok()
                && configure_capability_in_ambient_set(right, true).is_ok()
        });
    let child = std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    if lent {
        clear_ambient_capability_set()?;
    }
    child
}

/// All that a program writes, until it has ended; errors leave it running.
fn listen(child: &mut Child, deadline: Instant) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (Some(mut output), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(ErrorKind::BrokenPipe.into());
    };
    for pipe in [output.as_fd(), errors.as_fd()] {
        rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?;
    }
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let (mut more_answer, mut more_complaint) = (true, true);
    while more_answer || more_complaint {
        let mut pipes = Vec::new();
        if more_answer {
            pipes.push(PollFd::new(&output, PollFlags::IN));
        }
        if more_complaint {
            pipes.push(PollFd::new(&errors, PollFlags::IN));
        }
        wait(&mut pipes, left(deadline)?)?;
        if more_answer {
            more_answer = take(&mut output, &mut answer, LARGEST)?;
        }
        if more_complaint {
            more_complaint = take(&mut errors, &mut complaint, LONGEST)?;
        }
        if answer.len() > LARGEST {
            return Err(io::Error::other("it says more than 64 MiB"));
        }
    }
    while child.try_wait()?.is_none() {
        wait(&mut [], left(deadline)?.min(TICK))?;
    }
    Ok((answer, complaint))
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn wait(pipes: &mut [PollFd], time: Duration) -> io::Result<()> {
    let time = Timespec::try_from(time).map_err(|_| ErrorKind::InvalidInput)?;
    match poll(pipes, Some(&time)) {
        Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What is there; false at the end. What is beyond `most` octets is not kept,
/// but for one that tells that there was more.
fn take(pipe: &mut impl Read, all: &mut Vec<u8>, most: usize) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match pipe.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            let room = (most + 1).saturating_sub(all.len());
            all.extend(&buffer[..length.min(room)]);
            Ok(true)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(script: &'static str, within: Duration) -> io::Result<String> {
        let command = Command {
            programs: &["no-such-program", "sh"],
            arguments: Box::leak(Box::new(["-c", script])),
            file: "",
            what: "",
            knows_nft: false,
        };
        ask(&command, Instant::now() + within).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn answer_comes_without_our_environment() {
        let minute = Duration::from_secs(60);
        assert_eq!(say("echo $LC_ALL $HOME; pwd; cat", minute).unwrap(), "C\n/\n");
        assert_eq!(say("echo much >&2; echo x", minute).unwrap(), "x\n");
    }

    #[test]
    fn complaint_is_the_error() {
        let minute = Duration::from_secs(60);
        let error = say("echo Operation not permitted >&2; exit 1", minute).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let error = say("exit 3", minute).unwrap_err().to_string();
        assert_eq!(error, "no-such-program: it failed without a word");
        let none = Command {
            programs: &["no-such-program"],
            arguments: &[],
            file: "",
            what: "",
            knows_nft: false,
        };
        let error = ask(&none, Instant::now() + minute).unwrap_err().to_string();
        assert_eq!(error, "no-such-program is not installed");
    }

    #[test]
    fn what_takes_too_long_or_says_too_much_is_ended() {
        let error = say("exec sleep 1000", Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let error = say("exec >&- 2>&-; exec sleep 1000", Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let error = say("exec cat /dev/zero", Duration::from_secs(60)).unwrap_err().to_string();
        assert_eq!(error, "it says more than 64 MiB");
    }
}
