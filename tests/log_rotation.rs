//! The reader of logs against the real logrotate, in the middle of a writer:
//! each line comes once, in order, also to a reader that is started anew.
//!
//! Needs root and the packages of `tests/testbed/packages`; `tests/run` sees
//! to both. Without the feature `peers` none of this is built.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::log::follow::Start;
use pptp_probe::log::source::{Position, Source};

/// A directory that ends with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("log-rotation-{name}-{}", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        fs::create_dir(&scratch.0).unwrap();
        // logrotate works in no directory that others may write to.
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn open(&self) -> File {
        File::options().append(true).create(true).open(self.path("log")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads to the end, by a reader that was started anew if asked for.
fn read(scratch: &Scratch, source: &mut Source, anew: bool, seen: &mut Vec<u32>) {
    if anew {
        let position = Position::decode(&source.position().encode()).unwrap();
        *source = Source::resume([scratch.path("log")], position);
    }
    loop {
        let deadline = Instant::now() + Duration::from_secs(10);
        let progress = source.read(deadline, &mut |entry| {
            let message = str::from_utf8(entry.message).unwrap();
            seen.push(message.rsplit(' ').next().unwrap().parse().unwrap());
        });
        assert!(progress.gaps.is_empty() && progress.troubles.is_empty(), "{progress:?}");
        if progress.complete {
            return;
        }
    }
}

fn second() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Rotates six times while lines are written, and reads after every
/// `looks`-th.
fn each_line_comes_once(name: &str, options: &str, looks: u32) {
    let scratch = Scratch::new(name);
    // What copytruncate loses between its copy and its cut is not ours.
    let stands_still = options.contains("copytruncate");
    let conf = scratch.path("conf");
    let log = scratch.path("log").display().to_string();
    let reopen = scratch.path("reopen");
    let told = format!("postrotate\n touch {}\nendscript", reopen.display());
    let told = if stands_still { String::new() } else { told };
    fs::write(&conf, format!("{log} {{\nrotate 20\n{options}\n{told}\n}}\n")).unwrap();
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o644)).unwrap();

    let (stop, count, pen) = (AtomicBool::new(false), AtomicU32::new(0), Mutex::new(()));
    let mut seen = Vec::new();
    let mut source = Source::files([scratch.path("log")], Start::Beginning);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = scratch.open();
            while !stop.load(Ordering::Relaxed) {
                let pen = pen.lock();
                if fs::remove_file(&reopen).is_ok() {
                    log = scratch.open();
                }
                let number = count.load(Ordering::Relaxed);
                let line = format!("Nov 21 02:26:41 gateway pptpd[740]: MGR: line {number}\n");
                log.write_all(line.as_bytes()).unwrap();
                count.store(number + 1, Ordering::Relaxed);
                drop(pen);
                // A log of some thousand lines a second.
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let more = || {
            let (before, second_before) = (count.load(Ordering::Relaxed), second());
            // Dates differ by a second at least.
            while count.load(Ordering::Relaxed) < before + 500
                || options.contains("dateext") && second() == second_before
            {
                std::thread::yield_now();
            }
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 1..=6 {
                more();
                if round == 1 || round % looks == 0 {
                    read(&scratch, &mut source, round % 2 == 0, &mut seen);
                }
                more();
                let _pen = stands_still.then(|| pen.lock());
                let output = Command::new("logrotate")
                    .arg("-s")
                    .arg(scratch.path("state"))
                    .arg("-f")
                    .arg(&conf)
                    .output()
                    .expect("logrotate is installed");
                assert!(output.status.success(), "{output:?}");
            }
            more();
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    let rotated = fs::read_dir(&scratch.0).unwrap().flatten();
    let rotated = rotated.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"log"));
    assert_eq!(rotated.count(), 7, "logrotate did its work");
    read(&scratch, &mut source, true, &mut seen);
    let written = count.into_inner();
    let wrong = seen.iter().zip(0..).position(|(seen, expected)| *seen != expected);
    assert_eq!((wrong, seen.len()), (None, written as usize));
}

#[test]
fn log_is_renamed_and_a_new_one_created() {
    each_line_comes_once("create", "create", 1);
    each_line_comes_once("create-seldom", "create", 4);
}

#[test]
fn log_is_copied_and_cut() {
    each_line_comes_once("copytruncate", "copytruncate", 1);
    each_line_comes_once("copytruncate-seldom", "copytruncate\ncompress\ndelaycompress", 4);
}

#[test]
fn log_is_packed_at_once() {
    each_line_comes_once("compress", "create\ncompress", 1);
    each_line_comes_once("compress-seldom", "copytruncate\ncompress", 4);
}

#[test]
fn log_is_dated_and_packed_a_rotation_later() {
    let options = "create\ncompress\ndelaycompress\ndateext\ndateformat -%Y%m%d-%s";
    each_line_comes_once("dateext", options, 1);
    each_line_comes_once("dateext-seldom", options, 4);
}
