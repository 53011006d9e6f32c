//! Processes from `/proc` (proc(5)). A process that ends while it is read is
//! left out, and so is one not run by root: anybody can choose a title.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::{Root, number};

/// Octets read of a file; titles beyond are cut.
const LONGEST: u64 = 16 << 10;
/// Processes read at most, those of a full process table.
const MOST: usize = 1 << 22;
/// Clock ticks a second in `/proc`, fixed in Linux's interface.
const TICKS: u64 = 100;

/// A process of root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Who started it: the real user, 0 where it is root as well.
    pub user: u32,
    /// Name of the program, cut by the kernel to 15 octets.
    pub comm: Vec<u8>,
    /// Arguments, which the process may have overwritten; NUL ends each.
    pub title: Vec<u8>,
    /// Start, clock ticks since boot.
    pub start_ticks: u64,
    /// Resident memory, octets.
    pub memory: Option<u64>,
    /// Processor time of it and of the children that it waited for.
    pub cpu: Duration,
}

/// The processes of root whose program is one of `names`, by number.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn processes(root: &Root, names: &[&[u8]]) -> io::Result<Vec<Process>> {
    let mut found: Vec<_> = std::fs::read_dir(root.path("proc"))?
        .take(MOST)
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| process(root, pid, names))
        .collect();
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// When the system was started; `None` when nothing tells. `/proc/stat` tells
/// the second alone, and a file that was written a moment before a process
/// would look younger than it; so the live system adds the rest.
pub fn boot_time(root: &Root) -> Option<SystemTime> {
    /// Looked for once: whoever compares two looks must find the same.
    static REST: OnceLock<Duration> = OnceLock::new();
    let stat = root.read("proc/stat", 1 << 20).ok()?;
    let seconds = field(&stat, b"btime ").and_then(number)?;
    let boot = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    if !root.is_live() {
        return Some(boot);
    }
    let rest = || {
        let uptime = root.read("proc/uptime", 64).unwrap_or_default();
        rest_of_second(boot, SystemTime::now(), &uptime)
    };
    boot.checked_add(*REST.get_or_init(rest))
}

/// The wall clock at `ticks` since boot.
pub fn wall_clock(boot: Option<SystemTime>, ticks: u64) -> Option<SystemTime> {
    boot?.checked_add(Duration::from_millis(ticks.checked_mul(1000 / TICKS)?))
}

/// How far into the second `boot` the system was started, in hundredths as
/// `/proc/uptime` counts; nothing where that is not of this system's start.
fn rest_of_second(boot: SystemTime, now: SystemTime, uptime: &[u8]) -> Duration {
    const TICK: Duration = Duration::from_millis(1000 / TICKS);
    const SECOND: Duration = Duration::from_secs(1);
    let rest = || {
        let up = number::<f64>(uptime.split(|octet| *octet == b' ').next()?)?;
        let started = now.checked_sub(Duration::try_from_secs_f64(up).ok()?)?;
        started.duration_since(boot).ok().filter(|rest| *rest < SECOND + TICK)
    };
    rest().unwrap_or_default().min(SECOND - TICK)
}

fn process(root: &Root, pid: u32, names: &[&[u8]]) -> Option<Process> {
    let stat = root.read(format!("proc/{pid}/stat"), LONGEST).ok()?;
    let (comm, parent, ticks, start_ticks) = parse_stat(&stat)?;
    if !names.contains(&comm) {
        return None;
    }
    let status = root.read(format!("proc/{pid}/status"), LONGEST).ok()?;
    // Real, effective, saved and file system user.
    let mut users = field(&status, b"Uid:")?
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(number::<u32>);
    let (user, effective) = (users.next()??, users.next()??);
    if effective != 0 {
        return None;
    }
    let memory = field(&status, b"VmRSS:")
        .and_then(|text| number::<u64>(text.strip_suffix(b"kB")?)?.checked_mul(1024));
    let title = root.read(format!("proc/{pid}/cmdline"), LONGEST).ok()?;
    let cpu = Duration::from_millis(ticks.saturating_mul(1000 / TICKS));
    Some(Process { pid, parent, user, comm: comm.to_vec(), title, start_ticks, memory, cpu })
}

/// Name, parent, ticks of processor time and start. The name may hold blanks
/// and parentheses; it ends at the last one.
fn parse_stat(stat: &[u8]) -> Option<(&[u8], u32, u64, u64)> {
    let open = stat.iter().position(|octet| *octet == b'(')?;
    let close = stat.iter().rposition(|octet| *octet == b')')?;
    let comm = stat.get(open + 1..close)?;
    let mut rest = stat.get(close + 2..)?.split(|octet| *octet == b' ');
    let parent = number(rest.nth(1)?)?;
    // utime, stime, cutime, cstime.
    let mut times = rest.by_ref().skip(9).take(4);
    let ticks = times.try_fold(0_u64, |sum, time| sum.checked_add(number(time)?))?;
    let start = number(rest.nth(4)?)?;
    Some((comm, parent, ticks, start))
}

fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    text.split(|octet| *octet == b'\n').find_map(|line| line.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_parentheses_does_not_shift_the_fields() {
        let stat = b"7 (a) S 9 (b) S 3 0 0 0 0 0 0 0 0 0 5 20 300 4000 0 0 0 0 412 0";
        assert_eq!(parse_stat(stat), Some((&b"a) S 9 (b"[..], 3, 4325, 412)));
    }

    #[test]
    fn uptime_tells_the_rest_of_the_second() {
        let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_261_414);
        let now = boot + Duration::from_millis(58_660);
        for (uptime, rest) in [
            ("57.87 53.80\n", 790),
            ("58.66 0.00\n", 0),
            ("57.66 0.00\n", 990),
            // A container's own start, and nothing at all.
            ("3.00 0.00\n", 0),
            ("99.00 0.00\n", 0),
            ("inf", 0),
            ("-1", 0),
            ("", 0),
        ] {
            let rest = Duration::from_millis(rest);
            let seen = rest_of_second(boot, now, uptime.as_bytes());
            assert!(seen.abs_diff(rest) < Duration::from_micros(1), "{uptime:?} {seen:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_stat_never_panics(octets: Vec<u8>) {
            let _ = parse_stat(&octets);
        }
    }
}
