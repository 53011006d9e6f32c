//! What whole logs mean. Events are compared as words: `label`, for an end
//! `label:why`, then `@peer` and `=user` where they are known.

mod hostile;
mod order;
mod samples;

use std::net::Ipv4Addr;

use super::*;
use crate::log::line::Lines;

/// 2026-11-21 12:00 UTC.
const NOW: Stamp = 1_795_262_400_000_000;

fn word(event: &Event<'_>) -> String {
    let why = match event.what {
        What::SessionDown { cause } => format!(":{cause:?}"),
        What::CallFailed { phase, reason } => format!(":{phase}/{reason}"),
        _ => String::new(),
    };
    let peer = event.peer.map_or(String::new(), |peer| format!("@{peer}"));
    let user = match event.user {
        b"" => String::new(),
        user => format!("={}", user.escape_ascii()),
    };
    format!("{}{why}{peer}{user}", event.what.label())
}

fn words_of(joiner: &mut Joiner, log: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    Lines::new(NOW).split(log, &mut |entry| {
        joiner.take(entry, &mut |event| words.push(word(event)));
    });
    words
}

fn words(log: &str) -> Vec<String> {
    words_of(&mut Joiner::default(), log.as_bytes())
}

/// Lines with a stamp and a host in front, a second apart.
fn log(lines: &[&str]) -> String {
    let stamped = lines
        .iter()
        .enumerate()
        .map(|(at, line)| format!("Nov 21 02:{:02}:{:02} gateway {line}\n", at / 60, at % 60));
    stamped.collect()
}

fn fixture(path: &str) -> Vec<u8> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/log/");
    std::fs::read(format!("{directory}{path}")).expect("fixture")
}
