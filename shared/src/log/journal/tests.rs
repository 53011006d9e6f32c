//! A script stands for journalctl; what it says was recorded from systemd 252.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::log::entry::Tag;
use crate::log::event::Program;
use crate::log::follow::Scratch;
use crate::log::source;

/// An entry as journalctl prints it.
fn line(number: u32) -> String {
    format!(
        r#"{{"__CURSOR":"{}","__REALTIME_TIMESTAMP":"{}","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"c2","_HOSTNAME":"gw","SYSLOG_IDENTIFIER":"pppd","SYSLOG_PID":"812","_PID":"811","MESSAGE":"m{number}"}}"#,
        cursor(number),
        stamp(number)
    ) + "\n"
}

fn cursor(number: u32) -> String {
    format!("s=ba37;i={number:x};b=c220;m={number:x};t=5f;x=39d{number:x}")
}

fn stamp(number: u32) -> Stamp {
    1_795_000_000_000_000 + Stamp::from(number)
}

/// A journalctl that does what `script` says.
fn journal(scratch: &Scratch, script: &str) -> Journal {
    at(scratch, script, Position { cursor: String::new(), since: 0 })
}

fn at(scratch: &Scratch, script: &str, position: Position) -> Journal {
    let program = scratch.path("journalctl");
    // Written by another process: who forks meanwhile would hold it open.
    let mut writer = Command::new("tee");
    let writer = writer.arg(&program).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut writer = writer.spawn().unwrap();
    let text = format!("#!/bin/sh\necho \"$@\" >> {}\n{script}", scratch.path("called").display());
    std::io::Write::write_all(&mut writer.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    Journal { program, ..Journal::resume(position) }
}

fn known(number: u32) -> Position {
    Position { cursor: cursor(number), since: stamp(number) }
}

/// Prints the entries of a journal.
fn prints(entries: &str) -> String {
    format!("cat <<'END'\n{entries}END\n")
}

fn read(journal: &mut Journal) -> (Vec<String>, Progress) {
    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    let progress = journal.read(deadline, &mut |entry| {
        seen.push(String::from_utf8_lossy(entry.message).into_owned());
    });
    (seen, progress)
}

#[test]
fn entries_come_from_the_cursor_on_and_that_one_is_not_counted_twice() {
    let scratch = Scratch::new();
    let both = prints(&[line(1), line(2)].concat());
    let mut first = journal(&scratch, &both);
    let (seen, progress) = read(&mut first);
    assert_eq!(seen, ["m1", "m2"]);
    assert!(progress.complete && progress.gaps.is_empty() && progress.troubles.is_empty());
    assert_eq!(first.position, known(2));

    let position = source::Position::Journal(first.position.clone());
    let decoded = source::Position::decode(&position.encode()).unwrap();
    let source::Position::Journal(position) = decoded else { panic!("{decoded:?}") };
    let mut second = at(&scratch, &prints(&[line(2), line(3)].concat()), position);
    let (seen, progress) = read(&mut second);
    assert_eq!(seen, ["m3"]);
    assert!(progress.gaps.is_empty());
    let called = fs::read_to_string(scratch.path("called")).unwrap();
    let calls: Vec<_> = called.lines().collect();
    assert!(!calls[0].contains("--since") && !calls[0].contains("--cursor"), "{called}");
    assert!(calls[1].contains(&format!(" --cursor={} _UID=0 ", cursor(2))), "{called}");
}

#[test]
fn entry_before_the_moment_asked_for_is_left_out() {
    let scratch = Scratch::new();
    let since = Position { cursor: String::new(), since: stamp(2) };
    let mut journal = at(&scratch, &prints(&[line(1), line(2), line(3)].concat()), since);
    assert_eq!(read(&mut journal).0, ["m2", "m3"]);
    let called = fs::read_to_string(scratch.path("called")).unwrap();
    assert!(called.contains(" --since=@1795000000 "), "{called}");
}

#[test]
fn cursor_that_is_gone_is_a_gap_and_is_said_once() {
    let scratch = Scratch::new();
    let refuses = "case \"$*\" in *--cursor*) echo 'Failed to seek to cursor: Invalid argument' \
                   >&2; exit 1;; esac\n";
    for (script, seen_first) in [
        (prints(&line(9)), vec!["m9"]),
        (String::new(), vec![]),
        (format!("{refuses}{}", prints(&line(9))), vec![]),
    ] {
        let mut journal = at(&scratch, &script, known(2));
        let (seen, progress) = read(&mut journal);
        assert_eq!(seen, seen_first);
        let [gap] = &progress.gaps[..] else { panic!("{script}: {progress:?}") };
        assert!(gap.why.starts_with("entries may be lost"), "{gap}");
        assert!(read(&mut journal).1.gaps.is_empty());
    }
}

#[test]
fn what_keeps_the_journal_from_being_read_is_said_with_its_mend() {
    let scratch = Scratch::new();
    for (script, sentence) in [
        (
            "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
            " may not read the journal: run: usermod -aG systemd-journal ",
        ),
        (
            "echo 'Hint: You are currently not seeing messages from other users.' >&2",
            " may not read the journal: run: usermod -aG systemd-journal ",
        ),
        ("echo 'a|b' >&2; exit 1", r"journalctl failed: a\x7cb"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", "journalctl failed: xxx"),
    ] {
        let (seen, progress) = read(&mut journal(&scratch, script));
        assert!(seen.is_empty());
        let [trouble] = &progress.troubles[..] else { panic!("{script}: {progress:?}") };
        assert!(trouble.to_string().contains(sentence), "{trouble}");
    }
    let mut missing = Journal { program: scratch.path("none"), ..Journal::new(0) };
    let trouble = read(&mut missing).1.troubles.remove(0).to_string();
    assert!(trouble.starts_with("there is no journalctl here"), "{trouble}");
}

#[test]
fn deadline_ends_the_child_and_the_cursor_stands() {
    let scratch = Scratch::new();
    let script = format!("{}exec sleep 1000", prints(&line(1)));
    let mut journal = journal(&scratch, &script);
    let mut seen = 0;
    let progress = loop {
        let progress = journal.read(Instant::now(), &mut |_| seen += 1);
        assert!(!progress.complete);
        // It may have been ended before it said anything.
        if seen > 0 {
            break progress;
        }
        let soon = Instant::now() + Duration::from_millis(100);
        journal.read(soon, &mut |_| seen += 1);
        if seen > 0 {
            break progress;
        }
    };
    assert!(progress.troubles.is_empty() && journal.running.is_none());
    assert_eq!(journal.position, known(1));
    let children = format!("/proc/self/task/{}/children", nix::unistd::gettid());
    assert_eq!(fs::read_to_string(children).unwrap_or_default(), "", "it was reaped");
}

#[test]
fn waiting_starts_one_child_and_ends_with_an_entry() {
    let scratch = Scratch::new();
    let script = format!("{}exec sleep 1000", prints(&[line(1), line(2)].concat()));
    let mut journal = at(&scratch, &script, known(1));
    let late = Instant::now() + Duration::from_secs(60);
    assert!(journal.wait(late).unwrap());
    let mut seen = Vec::new();
    while seen.is_empty() {
        let progress = journal.read(late, &mut |entry| seen.push(entry.message.to_vec()));
        assert!(progress.complete && progress.gaps.is_empty());
    }
    assert_eq!(seen, [b"m2"]);
    assert!(!journal.wait(Instant::now()).unwrap());
    let called = fs::read_to_string(scratch.path("called")).unwrap();
    assert_eq!(called.matches("--follow").count(), 1);
}

#[test]
fn fields_may_be_octets_arrays_or_left_out() {
    let mut fields = Fields::default();
    let mut message = |value: &str| {
        let line = line(7).replace(r#""m7""#, value);
        fields.read(line.trim_end().as_bytes()).then(|| {
            let entry = fields.entry();
            assert_eq!(
                (entry.tag, entry.host, entry.pid),
                (Tag::Of(Program::Pppd), &b"gw"[..], Some(812))
            );
            assert_eq!(entry.at, Some(stamp(7)));
            (entry.message.to_vec(), fields.is_left_out())
        })
    };
    let octets = |octets: &[u8]| Some((octets.to_vec(), false));
    assert_eq!(message(r#""a\u00e9\n\"""#), octets("a\u{e9}\n\"".as_bytes()));
    assert_eq!(message("[255,0,10]"), octets(&[255, 0, 10]));
    assert_eq!(message(r#"["one","two"]"#), octets(b"one"));
    assert_eq!(message("[[1,2],[3]]"), octets(&[1, 2]));
    assert_eq!(message("[[65],[66]]"), octets(b"A"));
    assert_eq!(message(r#"["x","y"]"#), octets(b"x"));
    assert_eq!(message("null"), Some((Vec::new(), true)));
    for broken in ["[256]", "[-1]", "{}", "[[[1]]]", "true", r#""a"#] {
        assert_eq!(message(broken), None, "{broken}");
    }
}

#[test]
fn entry_that_is_too_long_or_broken_is_counted_and_left_out() {
    let scratch = Scratch::new();
    let left_out = line(2).replace(r#""m2""#, "null");
    let script = format!(
        "{}head -c 3000000 /dev/zero | tr '\\0' x\necho\n{}",
        prints(&[line(1), left_out, "{broken\n".to_owned()].concat()),
        prints(&["-- No entries --\n".to_owned(), line(4)].concat())
    );
    let (seen, progress) = read(&mut journal(&scratch, &script));
    assert_eq!((seen, progress.cut), (vec!["m1".to_owned(), "m4".to_owned()], 3));
}

proptest::proptest! {
    #[test]
    fn arbitrary_octets_never_panic(octets: Vec<u8>) {
        let _ = Fields::default().read(&octets);
        let _ = source::Position::decode(&octets);
    }
}
