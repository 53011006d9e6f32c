//! Rotations by hand, in a scratch directory; `tests/log_rotation.rs` has the
//! real logrotate.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType};

use super::blocks::LONGEST;
use super::*;
use crate::log::source;

/// A directory that ends with its value.
pub(in crate::log) struct Scratch(PathBuf);

impl Scratch {
    pub(in crate::log) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pptp-follow-{}-{number}", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&scratch.0).unwrap();
        scratch
    }

    pub(in crate::log) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn append(&self, name: &str, octets: impl AsRef<[u8]>) {
        let mut file = File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(octets.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// As logrotate's `copytruncate`.
    fn copy_and_cut(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
        File::options().write(true).truncate(true).open(self.path(from)).unwrap();
    }

    /// As logrotate by gzip, which keeps the date.
    fn pack(&self, name: &str) {
        let octets = fs::read(self.path(name)).unwrap();
        let file = File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(&octets).unwrap();
        let date = fs::metadata(self.path(name)).unwrap().modified().unwrap();
        encoder.finish().unwrap().set_modified(date).unwrap();
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Those that are numbered count up; the last is packed by some.
    fn shift(&self, name: &str, packed: bool) {
        for number in (1..30).rev() {
            for extension in ["", ".gz"] {
                let from = format!("{name}.{number}{extension}");
                if self.path(&from).exists() {
                    self.rename(&from, &format!("{name}.{}{extension}", number + 1));
                }
            }
        }
        if packed && self.path(&format!("{name}.2")).exists() {
            self.pack(&format!("{name}.2"));
        }
    }

    fn follower(&self, name: &str, start: Start) -> Follower {
        Follower::new([self.path(name)], start)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn late() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Lines as they stand in the files; what `Lines` makes of them is its own
/// business. Its entries' messages are what is compared.
fn entries(follower: &mut Follower, deadline: Instant) -> (Vec<String>, Progress) {
    let mut lines = Vec::new();
    let progress = follower.read(deadline, &mut |entry| {
        lines.push(String::from_utf8_lossy(entry.message).into_owned());
    });
    (lines, progress)
}

/// The messages of what is new, when nothing is to be complained about.
fn read(follower: &mut Follower) -> Vec<String> {
    let (lines, progress) = entries(follower, late());
    assert!(progress.complete && progress.gaps.is_empty(), "{progress:?}");
    assert!(progress.troubles.is_empty(), "{progress:?}");
    lines
}

fn line(number: u32) -> String {
    format!("Nov 21 02:26:41 gateway pptpd[740]: {number}\n")
}

fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().map(line).collect()
}

fn told(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// Goes on as another process would, from what the first one left.
fn again(follower: &Follower) -> Follower {
    let position = source::Position::Files(follower.positions().cloned().collect());
    let decoded = source::Position::decode(&position.encode()).unwrap();
    assert_eq!(decoded, position);
    let source::Position::Files(positions) = decoded else { panic!("{decoded:?}") };
    Follower::resume(follower.names.clone(), positions)
}

#[test]
fn what_was_there_is_read_as_far_back_as_is_asked_for() {
    let scratch = Scratch::new();
    scratch.append("log", lines(0..10));
    let length = line(0).len() as u64;
    for (start, first) in [
        (Start::Beginning, 0),
        (Start::End, 10),
        (Start::Back(3 * length), 7),
        (Start::Back(3 * length - 1), 8),
        (Start::Back(3 * length + 1), 7),
        (Start::Back(u64::MAX), 0),
        (Start::Back(0), 10),
    ] {
        let mut follower = scratch.follower("log", start);
        assert_eq!(read(&mut follower), told(first..10), "{start:?}");
        assert_eq!(read(&mut follower), told([]), "{start:?}");
        assert_eq!(read(&mut again(&follower)), told([]), "{start:?}");
    }
}

#[test]
fn line_waits_for_its_end_in_every_process() {
    let scratch = Scratch::new();
    let text = line(7);
    scratch.append("log", &text[..5]);
    let mut at_end = scratch.follower("log", Start::End);
    let mut follower = scratch.follower("log", Start::Beginning);
    assert_eq!(read(&mut at_end), told([]));
    for at in 5..text.len() - 1 {
        assert_eq!(read(&mut follower), told([]));
        follower = again(&follower);
        scratch.append("log", &text[at..=at]);
    }
    scratch.append("log", [b"\n", line(8).as_bytes()].concat());
    assert_eq!(read(&mut follower), told([7, 8]));
    assert_eq!(read(&mut at_end), told([8]), "the line at the end was an older one");
}

#[test]
fn endless_line_is_cut_counted_and_passed_over() {
    let scratch = Scratch::new();
    scratch.append("log", line(1));
    let mut follower = scratch.follower("log", Start::Beginning);
    assert_eq!(read(&mut follower), told([1]));
    scratch.append("log", line(2).trim_end());
    let (mut longest, mut cut, mut count) = (0, 0, 0);
    for _ in 0..8 {
        scratch.append("log", vec![b'x'; LONGEST / 3]);
        let progress = follower.read(late(), &mut |entry| {
            longest = longest.max(entry.message.len());
            count += 1;
        });
        cut += progress.cut;
        follower = again(&follower);
    }
    assert_eq!((cut, count), (1, 1));
    assert!(longest <= LONGEST && longest > LONGEST - 100, "{longest}");
    scratch.append("log", format!("\n{}", line(3)));
    assert_eq!(read(&mut follower), told([3]));
}

#[test]
fn renamed_log_is_read_to_its_end_first() {
    for held in [true, false] {
        let scratch = Scratch::new();
        scratch.append("log", line(0));
        let mut follower = scratch.follower("log", Start::Beginning);
        assert_eq!(read(&mut follower), told([0]));
        if !held {
            follower = again(&follower);
        }
        scratch.append("log", line(1));
        scratch.rename("log", "log.1");
        assert_eq!(read(&mut follower), told([1]), "no new log yet");
        scratch.append("log", "");
        scratch.append("log.1", line(2));
        assert_eq!(read(&mut follower), told([2]), "its writer was not told yet");
        scratch.append("log.1", line(3));
        scratch.append("log", line(4));
        assert_eq!(read(&mut follower), told([3, 4]));
    }
}

#[test]
fn all_that_came_between_two_looks_is_read_in_order() {
    for (packed, dated) in [(false, false), (true, false), (false, true), (true, true)] {
        let scratch = Scratch::new();
        scratch.append("log", lines(0..100));
        scratch.append("log-20261101", lines(900..910));
        let mut follower = scratch.follower("log", Start::End);
        assert_eq!(read(&mut follower), told([]));
        for day in 1..5 {
            scratch.append("log", lines(day * 100..(day + 1) * 100));
            if dated {
                let name = format!("log-2026112{day}");
                scratch.rename("log", &name);
                let date =
                    std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + u64::from(day));
                File::open(scratch.path(&name)).unwrap().set_modified(date).unwrap();
                if packed {
                    scratch.pack(&name);
                }
            } else {
                fs::remove_file(scratch.path("log-20261101")).ok();
                scratch.shift("log", packed);
                scratch.rename("log", "log.1");
            }
        }
        scratch.append("log", lines(500..510));
        assert_eq!(read(&mut again(&follower)), told(100..510), "{packed} {dated}");
        assert_eq!(read(&mut follower), told(100..510), "{packed} {dated}");
    }
}

#[test]
fn log_that_was_cut_goes_on_in_its_copy() {
    for packed in [false, true] {
        let scratch = Scratch::new();
        scratch.append("log", lines(0..50));
        let mut follower = scratch.follower("log", Start::Beginning);
        assert_eq!(read(&mut follower), told(0..50));
        scratch.append("log", lines(50..60));
        scratch.copy_and_cut("log", "log.1");
        if packed {
            scratch.pack("log.1");
        }
        assert_eq!(read(&mut again(&follower)), told(50..60));
        scratch.append("log", lines(60..160));
        assert_eq!(read(&mut again(&follower)), told(50..160), "it is longer than before");
        assert_eq!(read(&mut follower), told(50..160));
    }
}

#[test]
fn copy_that_was_made_before_the_last_lines_were_read_holds_nothing_new() {
    let scratch = Scratch::new();
    scratch.append("log", lines(0..50));
    fs::copy(scratch.path("log"), scratch.path("log.1")).unwrap();
    scratch.append("log", lines(50..60));
    let mut follower = scratch.follower("log", Start::Beginning);
    assert_eq!(read(&mut follower), told(0..60));
    File::create(scratch.path("log")).unwrap();
    assert_eq!(read(&mut follower), told([]));
    scratch.append("log", line(60));
    assert_eq!(read(&mut again(&follower)), told([60]));
}

#[test]
fn what_only_we_hold_is_read_although_it_was_deleted() {
    let scratch = Scratch::new();
    scratch.append("log", line(0));
    let mut follower = scratch.follower("log", Start::Beginning);
    assert_eq!(read(&mut follower), told([0]));
    scratch.append("log", line(1));
    fs::remove_file(scratch.path("log")).unwrap();
    scratch.append("log", line(2));
    assert_eq!(read(&mut follower), told([1, 2]));
}

#[test]
fn loss_that_cannot_be_excluded_is_said() {
    type Change = fn(&Scratch);
    let cases: [(Change, &str); 5] = [
        (
            |scratch| {
                scratch.append("new", "");
                scratch.rename("new", "log");
            },
            "another file took its place",
        ),
        (|scratch| fs::write(scratch.path("log"), "").unwrap(), "it was cut or written anew"),
        (
            |scratch| {
                scratch.rename("log", "log.1");
                fs::write(scratch.path("log.1.xz"), "packed").unwrap();
                fs::remove_file(scratch.path("log.1")).unwrap();
            },
            "log.1.xz may hold them, and it was not read: ",
        ),
        (
            |scratch| {
                scratch.copy_and_cut("log", "log.1");
                scratch.pack("log.1");
                let octets = fs::read(scratch.path("log.1.gz")).unwrap();
                fs::write(scratch.path("log.1.gz"), &octets[..octets.len() / 2]).unwrap();
            },
            "it was cut or written anew",
        ),
        // Its inode is used again by another.
        (
            |scratch| {
                scratch.rename("log", "log.1");
                let text = lines(700..900);
                fs::write(scratch.path("log.1"), text).unwrap();
            },
            "another file took its place",
        ),
    ];
    for (change, why) in cases {
        let scratch = Scratch::new();
        scratch.append("log", lines(0..100));
        let mut follower = scratch.follower("log", Start::End);
        assert_eq!(read(&mut follower), told([]));
        follower = again(&follower);
        scratch.append("log", line(100));
        change(&scratch);
        scratch.append("log", line(101));
        let (lines, progress) = entries(&mut follower, late());
        let [gap] = &progress.gaps[..] else { panic!("{why}: {progress:?}") };
        assert!(gap.to_string().contains(why), "{gap}");
        assert_eq!(lines, told([101]), "{why}");
        assert_eq!(read(&mut again(&follower)), told([]), "it is said once");
    }
}

#[test]
fn deadline_stops_after_a_block_and_nothing_is_lost() {
    let scratch = Scratch::new();
    scratch.append("log", lines(0..20_000));
    let mut follower = scratch.follower("log", Start::Beginning);
    let mut seen = Vec::new();
    let mut read_some = |follower: &mut Follower| {
        let (lines, progress) = entries(follower, Instant::now());
        seen.extend(lines);
        progress.complete
    };
    assert!(!read_some(&mut follower));
    // The rest is read from what it was rotated into.
    scratch.rename("log", "log.1");
    scratch.pack("log.1");
    scratch.append("log", lines(20_000..40_000));
    scratch.shift("log", false);
    scratch.rename("log", "log.1");
    scratch.append("log", lines(40_000..40_010));
    let late_reads = (0..100).take_while(|_| {
        follower = again(&follower);
        // A deadline that has passed while the position is looked for.
        let (lines, progress) = entries(&mut follower, Instant::now() + Duration::from_millis(50));
        seen.extend(lines);
        !progress.complete
    });
    assert!(late_reads.count() < 100);
    assert_eq!(seen, told(0..40_010));
}

#[test]
fn links_are_followed_and_what_is_no_log_is_refused() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("real")).unwrap();
    scratch.append("real/log", line(0));
    symlink("real/log", scratch.path("link")).unwrap();
    let mut follower = scratch.follower("link", Start::Beginning);
    assert_eq!(read(&mut follower), told([0]));
    scratch.append("real/log", line(1));
    scratch.rename("real/log", "real/log.1");
    scratch.append("real/log", line(2));
    assert_eq!(read(&mut again(&follower)), told([1, 2]));

    let pipe = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(CWD, scratch.path("pipe"), FileType::Fifo, pipe, 0).unwrap();
    for (path, sentence) in [
        (scratch.path("pipe"), "this is no regular file"),
        (PathBuf::from("/dev/zero"), "this is no regular file"),
        (scratch.path("real"), "Is a directory"),
        (scratch.path("none"), "there is no such log"),
        (scratch.path("none*"), "there is no such log"),
    ] {
        for start in [Start::Beginning, Start::End, Start::Back(5)] {
            let (lines, progress) = entries(&mut Follower::new([path.clone()], start), late());
            let [trouble] = &progress.troubles[..] else { panic!("{path:?}: {progress:?}") };
            assert!(trouble.to_string().contains(sentence), "{trouble}");
            assert!(lines.is_empty());
        }
    }
}

#[test]
fn log_that_appears_later_is_read_from_its_beginning() {
    let scratch = Scratch::new();
    scratch.append("a.log", line(0));
    let mut follower = scratch.follower("*.log", Start::End);
    assert_eq!(read(&mut follower), told([]));
    scratch.append("b.log", line(1));
    assert_eq!(read(&mut again(&follower)), told([1]));
    assert_eq!(read(&mut follower), told([1]));
}

#[test]
fn files_beyond_the_limit_are_named_and_those_given_up_make_room() {
    let scratch = Scratch::new();
    let name = |number| format!("{number:03}.log");
    for number in 0..MOST_FILES as u32 + 1 {
        scratch.append(&name(number), line(number));
    }
    let mut follower = scratch.follower("*.log", Start::Beginning);
    let (lines, progress) = entries(&mut follower, late());
    assert_eq!(lines, told(0..MOST_FILES as u32));
    assert!(progress.troubles[0].to_string().ends_with("only 64 files are read"));
    fs::remove_file(scratch.path(&name(5))).unwrap();
    assert_eq!(read(&mut follower), told([MOST_FILES as u32]));
}

#[test]
fn denied_log_names_who_may_read_it() {
    let scratch = Scratch::new();
    scratch.append("log", "");
    let path = scratch.path("log");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let denied = || trouble(&path, io::ErrorKind::PermissionDenied.into()).to_string();
    if std::os::unix::fs::chown(&path, None, Some(4)).is_ok() {
        let Ok(Some(group)) = Group::from_gid(Gid::from_raw(4)) else { return };
        let expected = format!("group {0} may read it: run: usermod -aG {0} ", group.name);
        assert!(denied().contains(&expected), "{}", denied());
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(denied().contains(" may read it: run: chgrp adm "), "{}", denied());
}

#[test]
fn waiting_ends_with_what_is_written_or_rotated() {
    let scratch = Scratch::new();
    scratch.append("log", line(0));
    let mut follower = scratch.follower("log", Start::Beginning);
    let waits = |follower: &mut Follower| follower.wait(Instant::now()).unwrap();
    assert!(waits(&mut follower), "something may have come before the watch");
    assert_eq!(read(&mut follower), told([0]));
    assert!(!waits(&mut follower));
    scratch.append("unrelated", "");
    scratch.append("unrelated", line(9));
    // Its name came; what is written to it wakes nobody.
    while waits(&mut follower) {}
    scratch.append("unrelated", line(9));
    assert!(!waits(&mut follower));
    scratch.append("log", line(1));
    assert!(waits(&mut follower));
    assert_eq!(read(&mut follower), told([1]));
    assert!(!waits(&mut follower));
    scratch.rename("log", "log.1");
    assert!(waits(&mut follower));
    scratch.append("log", "");
    assert!(waits(&mut follower));
    assert_eq!(read(&mut follower), told([]));
    assert!(!waits(&mut follower));
    scratch.append("log.1", line(2));
    assert!(waits(&mut follower), "its writer was not told yet");
    assert_eq!(read(&mut follower), told([2]));
    scratch.append("log", line(3));
    assert!(waits(&mut follower));
    assert_eq!(read(&mut follower), told([3]));
    assert!(!waits(&mut follower));
}

/// What happens to a log, and to who reads it.
#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    /// Half a line, and the other half with the next one.
    Half,
    Read,
    ReadLate,
    Restart,
    Rename {
        packed: bool,
    },
    CopyAndCut {
        packed: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..40).prop_map(Step::Write),
        2 => Just(Step::Half),
        4 => Just(Step::Read),
        1 => Just(Step::ReadLate),
        2 => Just(Step::Restart),
        2 => any::<bool>().prop_map(|packed| Step::Rename { packed }),
        2 => any::<bool>().prop_map(|packed| Step::CopyAndCut { packed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_line_comes_once_and_in_order(steps in proptest::collection::vec(step(), 1..60)) {
        let scratch = Scratch::new();
        let (mut written, mut half) = (1, false);
        // An empty log has nothing by which it is known again.
        scratch.append("log", line(0));
        let mut follower = scratch.follower("log", Start::Beginning);
        let mut seen = read(&mut follower);
        let finish = |half: &mut bool, written: &mut u32| {
            if std::mem::take(half) {
                scratch.append("log", &line(*written)[7..]);
                *written += 1;
            }
        };
        for step in steps {
            match step {
                Step::Write(count) => {
                    finish(&mut half, &mut written);
                    let end = written + u32::from(count);
                    scratch.append("log", lines(written..end));
                    written = end;
                }
                Step::Half if half => finish(&mut half, &mut written),
                Step::Half => {
                    scratch.append("log", &line(written)[..7]);
                    half = true;
                }
                Step::Read => seen.extend(read(&mut follower)),
                Step::ReadLate => seen.extend(entries(&mut follower, Instant::now()).0),
                Step::Restart => follower = again(&follower),
                Step::Rename { packed } => {
                    finish(&mut half, &mut written);
                    scratch.shift("log", packed);
                    scratch.rename("log", "log.1");
                    scratch.append("log", "");
                }
                Step::CopyAndCut { packed } => {
                    finish(&mut half, &mut written);
                    scratch.shift("log", packed);
                    scratch.copy_and_cut("log", "log.1");
                }
            }
        }
        finish(&mut half, &mut written);
        scratch.append("log", line(written));
        seen.extend(read(&mut follower));
        prop_assert_eq!(seen, told(0..=written));
    }
}
