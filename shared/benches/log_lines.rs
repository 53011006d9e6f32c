//! What reading a log costs: `cargo bench --package pptp-probe --bench log_lines`.
//!
//! Sessions of the real pptpd, interleaved and each with processes of its own,
//! are split into entries and joined; beside it stands the search for line ends
//! alone, which is what no reader of lines can do without. With a file as
//! argument that is read once, block by block, for whoever measures from
//! outside; what was told is counted.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::time::Instant;

use pptp_probe::log::event::What;
use pptp_probe::log::join::Joiner;
use pptp_probe::log::line::Lines;

const BLOCK: usize = 256 << 10;
const OCTETS: usize = 64 << 20;
const ROUNDS: usize = 5;
const INTERLEAVED: usize = 64;
/// 2026-11-21 12:00 UTC.
const NOW: i64 = 1_795_262_400_000_000;
const SAMPLE: &str = include_str!("../../tests/fixtures/log/pptpd/success-mschapv2-mppe.log");

fn main() -> io::Result<()> {
    match std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        Some(path) => {
            let counts = read_once(File::open(path)?)?;
            for (label, count) in What::LABELS.iter().zip(counts) {
                println!("{label} {count}");
            }
            Ok(())
        }
        None => {
            compare();
            Ok(())
        }
    }
}

fn read_once(mut file: File) -> io::Result<[u64; What::KINDS]> {
    let (mut lines, mut joiner) = (Lines::new(NOW), Joiner::default());
    let mut counts = [0; What::KINDS];
    let mut block = vec![0; BLOCK];
    let mut kept = 0;
    loop {
        let read = file.read(&mut block[kept..])?;
        if read == 0 {
            return Ok(counts);
        }
        let filled = kept + read;
        let whole = memchr::memrchr(b'\n', &block[..filled]).map_or(0, |at| at + 1);
        lines.split(&block[..whole], &mut |entry| {
            joiner.take(entry, &mut |event| counts[event.what.index()] += 1);
        });
        block.copy_within(whole..filled, 0);
        kept = filled - whole;
        if kept == block.len() {
            block.resize(2 * kept, 0);
        }
    }
}

fn compare() {
    let text = sessions();
    let ends = rate(&text, |block| memchr::memchr_iter(b'\n', block).count());
    let split = rate(&text, |block| {
        let mut entries = 0;
        Lines::new(NOW).split(block, &mut |_| entries += 1);
        entries
    });
    let mut joiner = Joiner::default();
    let joined = rate(&text, |block| {
        let mut events = 0;
        Lines::new(NOW).split(block, &mut |entry| joiner.take(entry, &mut |_| events += 1));
        events
    });
    println!("{:>10}  {:>8}  {:>8}", "", "MB/s", "ratio");
    for (what, rate) in [("line ends", ends), ("entries", split), ("joined", joined)] {
        println!("{what:>10}  {rate:>8.0}  {:>8.2}", rate / ends);
    }
}

/// Megaoctets a second, the median of some rounds.
fn rate(text: &[u8], mut read: impl FnMut(&[u8]) -> usize) -> f64 {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            let mut rest = text;
            while !rest.is_empty() {
                let part = &rest[..BLOCK.min(rest.len())];
                let whole = memchr::memrchr(b'\n', part).map_or(rest.len(), |at| at + 1);
                black_box(read(&rest[..whole]));
                rest = &rest[whole..];
            }
            text.len() as f64 / begun.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    rates.sort_unstable_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

/// The sample again and again, in turns, each time by other processes.
fn sessions() -> Vec<u8> {
    let lines: Vec<&str> = SAMPLE.lines().filter(|line| !line.contains("rsyslogd")).collect();
    let mut text = Vec::with_capacity(OCTETS + 256);
    let mut round = 0usize;
    while text.len() < OCTETS {
        for line in &lines {
            for one in 0..INTERLEAVED {
                let pid = 1000 + 2 * (round * INTERLEAVED + one) % 4_000_000;
                let line = line
                    .replace("[761]", &format!("[{pid}]"))
                    .replace("[762]", &format!("[{}]", pid + 1));
                text.extend_from_slice(line.as_bytes());
                text.push(b'\n');
            }
        }
        round += 1;
    }
    text
}
