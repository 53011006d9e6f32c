//! Writes what a package has beside the programs, from their command lines:
//! `man/NAME.SECTION` and completions for `bash`, `zsh` and `fish`.
//!
//! usage: pages DIRECTORY DATE

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use pptp_plugins::check_pptp_auth::AuthArgs;
use pptp_plugins::check_pptp_control::ControlArgs;
use pptp_plugins::check_pptp_gre::GreArgs;
use pptp_plugins::check_pptp_host::HostArgs;
use pptp_plugins::check_pptp_log::LogArgs;
use pptp_plugins::check_pptp_tunnel::TunnelArgs;
use pptp_plugins::check_radius::RadiusArgs;
use pptp_plugins::lab::cli::Cli;
use pptp_probe::plugin::{self, Check};
use pptp_snmp_subagent::cli::Arguments;

const SOURCE: &str = concat!("pptp-monitor ", env!("CARGO_PKG_VERSION"));
/// The name of `check_radius` where Debian's monitoring-plugins have theirs.
const RADIUS: &str = "check_pptp_radius";

/// A section of a page: its heading, and paragraphs that may begin with a term.
type Section = (&'static str, Vec<(String, String)>);

struct Program {
    command: Command,
    section: &'static str,
    sections: Vec<Section>,
    see_also: &'static [&'static str],
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), Some(date)) = (arguments.next(), arguments.next()) else {
        return Err("usage: pages DIRECTORY DATE".into());
    };
    let directory = PathBuf::from(directory);
    let date = date.into_string().map_err(|_| "the date is no text")?;
    for program in programs() {
        pages(&program, &program.command, &directory.join("man"), &date)?;
        for (shell, place, name) in [
            (Shell::Bash, "bash", "{}"),
            (Shell::Zsh, "zsh", "_{}"),
            (Shell::Fish, "fish", "{}.fish"),
        ] {
            let own = program.command.get_name();
            let mut file = create(&directory.join(place), &name.replace("{}", own))?;
            generate(shell, &mut program.command.clone(), own, &mut file);
        }
    }
    Ok(())
}

fn programs() -> Vec<Program> {
    let radius = check::<RadiusArgs>();
    let examples = RadiusArgs::EXAMPLES.replace(RadiusArgs::PROGRAM, RADIUS);
    let mut renamed = Program {
        command: radius.command.clone().name(RADIUS).bin_name(RADIUS).after_help(examples),
        ..check::<RadiusArgs>()
    };
    let remark = format!(
        "The program says {} of itself; that name is another program's in Debian's \
         monitoring-plugins.",
        RadiusArgs::PROGRAM
    );
    renamed.sections.push(("NOTES", vec![(String::new(), remark)]));
    vec![
        check::<ControlArgs>(),
        check::<GreArgs>(),
        check::<AuthArgs>(),
        check::<TunnelArgs>(),
        check::<LogArgs>(),
        check::<HostArgs>(),
        radius,
        renamed,
        lab(),
        subagent(),
    ]
}

fn check<A: Check>() -> Program {
    let main = format!("the metric {}", A::MAIN_METRIC);
    let named = |argument: clap::Arg| match argument.get_help() {
        Some(help) => {
            let help = help.to_string().replace("the main metric", &main);
            argument.help(help)
        }
        None => argument,
    };
    let command = plugin::command::<A>().mut_args(named);
    let states = [
        ("0", "OK"),
        ("1", "WARNING"),
        ("2", "CRITICAL: the gateway, a server or the path"),
        ("3", "UNKNOWN: this host, its arguments, rights or resolver; also help and version"),
    ];
    let metrics = A::METRICS.join(" ");
    Program {
        command,
        section: "1",
        sections: vec![
            ("METRICS", vec![(String::new(), metrics)]),
            ("EXIT STATUS", terms(&states)),
        ],
        see_also: &["pptp-lab(1)", "pptp-snmp-subagent(8)"],
    }
}

fn lab() -> Program {
    let states = [("0", "as it should be"), ("3", "the lab itself failed")];
    Program {
        command: Cli::command().disable_help_subcommand(true),
        section: "1",
        sections: vec![("EXIT STATUS", terms(&states))],
        see_also: &["check_pptp_control(1)", "check_pptp_auth(1)"],
    }
}

fn subagent() -> Program {
    let states = [
        ("0", "as it should be"),
        ("1", "it could not go on"),
        ("2", "wrong arguments or settings"),
    ];
    let files = [
        ("/etc/pptp-monitor/subagent.toml", "settings, each described in the file itself"),
        ("/usr/share/snmp/mibs/PPTP-SESSION-MIB.txt", "what is served"),
    ];
    let signals = [
        ("SIGHUP", "read notifications, probes and metrics of the configuration again"),
        ("SIGTERM", "tell the master and end"),
    ];
    Program {
        command: Arguments::command(),
        section: "8",
        sections: vec![
            ("SIGNALS", terms(&signals)),
            ("FILES", terms(&files)),
            ("EXIT STATUS", terms(&states)),
        ],
        see_also: &["check_pptp_host(1)", "snmpd(8)"],
    }
}

fn terms(terms: &[(&str, &str)]) -> Vec<(String, String)> {
    terms.iter().map(|(term, text)| ((*term).to_owned(), (*text).to_owned())).collect()
}

/// The page of a command and those of the commands below it.
fn pages(
    program: &Program,
    command: &Command,
    directory: &Path,
    date: &str,
) -> Result<(), Box<dyn Error>> {
    let mut command = command.clone();
    command.build();
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(program.section)
        .date(date)
        .source(SOURCE)
        .manual("pptp-monitor");
    let mut file = create(directory, &format!("{name}.{}", program.section))?;
    man.render_title(&mut file)?;
    // The name's own line is the first clause of the description.
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let clause = about.split([':', '.']).next().unwrap_or_default();
    let mut head = Roff::default();
    head.control("SH", ["NAME"]);
    head.text([roman(format!("{name} - {}", uncapitalised(clause)))]);
    let usage = command.render_usage().to_string();
    head.control("SH", ["SYNOPSIS"]);
    head.text([roman(usage.trim_start_matches("Usage:").trim())]);
    head.to_writer(&mut file)?;
    man.render_description_section(&mut file)?;
    man.render_options_section(&mut file)?;
    let below: Vec<_> = command.get_subcommands().filter(|below| !below.is_hide_set()).collect();
    if !below.is_empty() {
        man.render_subcommands_section(&mut file)?;
    }
    let mut tail = Roff::default();
    program.sections.iter().for_each(|section| add_section(&mut tail, section));
    if let Some(help) = command.get_after_help() {
        add_after_help(&mut tail, &help.to_string());
    }
    tail.control("SH", ["SEE ALSO"]);
    tail.text([roman(program.see_also.join(", "))]);
    tail.to_writer(&mut file)?;
    below.into_iter().try_for_each(|below| pages(program, below, directory, date))
}

fn add_section(page: &mut Roff, (heading, paragraphs): &Section) {
    page.control("SH", [*heading]);
    for (term, text) in paragraphs {
        if !term.is_empty() {
            page.control("TP", []);
            page.text([bold(term)]);
        }
        page.text([roman(text)]);
    }
}

/// Examples stay as they were written; anything else is a remark.
fn add_after_help(page: &mut Roff, help: &str) {
    match help.strip_prefix("Examples:\n") {
        Some(examples) => {
            page.control("SH", ["EXAMPLES"]);
            page.control("nf", []);
            for line in examples.lines() {
                page.text([roman(line.trim_start())]);
            }
            page.control("fi", []);
        }
        None => {
            page.control("SH", ["NOTES"]);
            for line in help.lines() {
                page.text([roman(line)]);
            }
        }
    }
}

fn uncapitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn create(directory: &Path, name: &str) -> Result<File, Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let path = directory.join(name);
    File::create(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}
