//! `--targets` and `--all-addresses`: one check against many gateways in one
//! process, or against every address of one name.
//!
//! `list` reads the file, `plan` makes arguments of it, `crew` runs
//! them side by side, `threads` spreads a long list over some threads,
//! `addresses` is one target at all its addresses, and `tell` says what
//! came of it. The options stand here and not among those
//! of a check: a plain run shall not pay for them, and a target has none.
//!
//! A thread serves many sessions. A gateway that floods has its turn like the
//! others; a raw socket is connected to its gateway and filtered by its call
//! in the kernel, so it hears nobody else's.

mod addresses;
mod crew;
mod list;
mod plan;
mod table;
mod tell;
mod threads;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Command, FromArgMatches};
use pptp_probe::cli::Timeout;
use pptp_probe::plugin::{Check, Ending, Many};
use pptp_probe::secret::{Unread, read_public, reading_once, source_name};

use self::plan::Plan;
use crate::run::Run;

/// Longest list that is read, in octets.
const LONGEST_LIST: usize = 16 << 20;

/// The options.
#[derive(Debug, Clone, Args)]
pub(crate) struct FleetArgs {
    /// Probe every target of FILE, - for standard input: lines HOST[:PORT] [options], or TOML
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,

    /// Probe every address of the name, not one
    #[arg(long)]
    all_addresses: bool,

    /// With --all-addresses: so many have to answer, and one that does not is a WARNING [default: all]
    #[arg(long, value_name = "N", requires = "all_addresses")]
    at_least: Option<NonZeroUsize>,

    /// Most sessions at a time, 1 to 10000; fewer where file descriptors are short [default: 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    concurrency: Option<u16>,

    /// Deadline of all targets together; -t is that of each [default: none]
    #[arg(long, value_name = "SECS", requires = "targets", value_parser = time)]
    total_timeout: Option<Duration>,

    /// With --targets and -o prometheus: most samples of the page [default: 20000]
    #[arg(long, value_name = "N", requires = "targets")]
    max_series: Option<usize>,
}

/// Long names of the options, and whether a value follows.
const OPTIONS: [(&str, bool); 6] = [
    ("targets", true),
    ("all-addresses", false),
    ("at-least", true),
    ("concurrency", true),
    ("total-timeout", true),
    ("max-series", true),
];

const NAMES: [&str; OPTIONS.len()] = {
    let mut names = [""; OPTIONS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = OPTIONS[index].0;
        index += 1;
    }
    names
};

/// What the frame has to know.
pub(crate) fn many<C: Run>() -> Many {
    Many { options: &NAMES, define, conduct: conduct::<C> }
}

/// The command line of a check with the options of this module.
pub fn command<C: Check>() -> Command {
    define(pptp_probe::plugin::command::<C>())
}

fn define(command: Command) -> Command {
    // A group of arguments brings a description of its own.
    let about = command.get_about().cloned().unwrap_or_default();
    FleetArgs::augment_args(command).about(about).long_about(None)
}

fn conduct<C: Run>(argv: Vec<OsString>, started: Instant) -> Ending {
    let options = command::<C>().mut_arg("hostname", |argument| argument.required(false));
    let options = match options.try_get_matches_from(&argv) {
        Ok(matches) => FleetArgs::from_arg_matches(&matches).map(|options| {
            let named = matches.contains_id("hostname");
            (options, named)
        }),
        Err(error) => Err(error),
    };
    let (options, is_named) = match options {
        Ok(options) => options,
        Err(error) => return Ending::refusal::<C>(error, &argv),
    };
    let misuse = |what: &str| Ending::misuse::<C>(what.to_owned(), &argv);
    let base = without_options(&argv);
    let planned = reading_once(|| match &options.targets {
        Some(_) if is_named => Err(misuse("--hostname and --targets exclude each other")),
        Some(path) => {
            let text = read(path, started);
            let text = text.map_err(|unread| Ending::unread::<C>(unread, &argv))?;
            Plan::<C>::of_list(&text, &base, &options, started).map_err(|what| misuse(&what))
        }
        None if options.all_addresses => {
            Plan::of_host(&base, &options, started).map_err(|what| misuse(&what))
        }
        None => Err(misuse("--concurrency is for --targets and --all-addresses")),
    });
    match planned {
        Ok(plan) => crew::run(plan, &options, started),
        Err(ending) => ending,
    }
}

/// The arguments that are the check's own.
fn without_options(argv: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(argv.len());
    let mut given = argv.iter();
    while let Some(argument) = given.next() {
        let octets = argument.as_bytes();
        let option = OPTIONS.iter().find(|(name, _)| {
            octets
                .strip_prefix(b"--")
                .and_then(|rest| rest.strip_prefix(name.as_bytes()))
                .is_some_and(|rest| matches!(rest, [] | [b'=', ..]))
        });
        match option {
            None => kept.push(argument.clone()),
            Some((_, takes_value)) => {
                if *takes_value && !octets.contains(&b'=') {
                    given.next();
                }
            }
        }
    }
    kept
}

/// Whoever writes into a pipe has the time of a run.
fn read(path: &Path, started: Instant) -> Result<Vec<u8>, Unread> {
    let deadline = started + Timeout::default().duration;
    let octets = read_public(path, LONGEST_LIST, deadline).map_err(|unread| Unread {
        text: format!("cannot read {}: {}", source_name(path), unread.text),
        ..unread
    })?;
    if octets.len() > LONGEST_LIST {
        return Err(format!("{} is longer than {LONGEST_LIST} octets", source_name(path)).into());
    }
    Ok(octets)
}

/// A time as `-t` reads it, without a state.
fn time(text: &str) -> Result<Duration, String> {
    let timeout: Timeout = text.parse()?;
    if text.contains(':') { Err(format!("'{text}' is no time")) } else { Ok(timeout.duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_options() {
        let command = FleetArgs::augment_args(Command::new("check"));
        let defined = command.get_arguments().map(|argument| {
            (argument.get_long().unwrap_or_default(), argument.get_action().takes_values())
        });
        assert_eq!(defined.collect::<Vec<_>>(), OPTIONS);
    }

    #[test]
    fn what_is_left_is_the_checks_own() {
        let argv = "check --targets f -w 1 --all-addresses --concurrency=9 --at-least 2 --targetsx";
        let argv: Vec<OsString> = argv.split(' ').map(OsString::from).collect();
        assert_eq!(without_options(&argv), ["check", "-w", "1", "--targetsx"]);
    }
}
