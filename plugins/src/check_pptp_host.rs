//! `check_pptp_host`: an audit of the gateway's host, live or of a tree that
//! was collected elsewhere. Nothing is sent, nothing is changed.

mod page;
mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use pptp_probe::audit::collect::{collect, collect_script};
use pptp_probe::audit::facts::Facts;
use pptp_probe::audit::finding::{Rule, Severity};
use pptp_probe::audit::firewall::Firewall;
use pptp_probe::audit::rules::{audit, rules};
use pptp_probe::cli::Common;
use pptp_probe::gateway::Root;
use pptp_probe::output::Report;
use pptp_probe::plugin::{self, Check, Context};
use pptp_probe::reason::{Phase, Reason};

use crate::session;
use page::Style;

/// How far a word may be from an identifier that is named beside it.
const NEAR: usize = 8;

/// The command line.
#[derive(Debug, Args)]
pub struct HostArgs {
    #[command(flatten)]
    common: Common,
    /// Audit the tree in DIR that --collect or its script made elsewhere
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Gather what an audit reads into DIR, which is new or empty, without secrets
    #[arg(long, value_name = "DIR", group = "instead")]
    collect: Option<PathBuf>,
    /// Print a shell script that gathers the same and writes a tar to its output
    #[arg(long, group = "instead")]
    collect_script: bool,
    /// Print what a finding means and what to weigh; "all" for every one
    #[arg(long, value_name = "ID", group = "instead", value_parser = explained)]
    explain: Option<Explained>,
    /// Print the identifiers of all findings, one a line
    #[arg(long, group = "instead")]
    list: bool,
    /// Leave out a finding; repeatable
    #[arg(long, value_name = "ID", value_parser = rule)]
    ignore: Vec<&'static Rule>,
    /// What could not be read is no reason for UNKNOWN
    #[arg(long)]
    accept_unread: bool,
    /// Leave out findings below: info, warning or critical
    #[arg(long, value_name = "SEVERITY", default_value = "info", value_parser = severity)]
    min_severity: Severity,
    /// Print one page with a line for each rule: text or markdown
    #[arg(long, value_name = "STYLE", num_args = 0..=1, default_missing_value = "text")]
    #[arg(group = "instead", value_parser = style)]
    checklist: Option<Style>,
}

/// What `--explain` is about.
#[derive(Debug, Clone, Copy)]
enum Explained {
    One(&'static Rule),
    All,
}

fn explained(text: &str) -> Result<Explained, String> {
    if text == "all" { Ok(Explained::All) } else { rule(text).map(Explained::One) }
}

fn rule(text: &str) -> Result<&'static Rule, String> {
    if let Some(rule) = rules().find(|rule| rule.id == text) {
        return Ok(rule);
    }
    let distance = |rule: &&Rule| strsim::damerau_levenshtein(text, rule.id);
    // Of an endless word nothing is near.
    let near = rules().filter(|_| text.len() <= 64).min_by_key(distance);
    Err(match near.filter(|rule| distance(rule) <= NEAR) {
        Some(rule) => format!("there is no such finding; {} is near", rule.id),
        None => "there is no such finding; --list names all".to_owned(),
    })
}

fn severity(text: &str) -> Result<Severity, String> {
    let all = [Severity::Info, Severity::Warning, Severity::Critical];
    let known = all.into_iter().find(|severity| severity.word() == text);
    known.ok_or_else(|| "known are info warning critical".to_owned())
}

fn style(text: &str) -> Result<Style, String> {
    match text {
        "text" => Ok(Style::Text),
        "markdown" => Ok(Style::Markdown),
        _ => Err("known are text markdown".to_owned()),
    }
}

impl Check for HostArgs {
    const NAME: &'static str = "HOST";
    const PROGRAM: &'static str = "check_pptp_host";
    const ABOUT: &'static str = "Audits the host of a PPTP gateway: settings of pptpd, pppd, \
        accel-ppp, kernel, connection tracking and firewall that make sessions drop or lay them \
        open. Reads, sends nothing, changes nothing. Alerts when a setting is found that will \
        hurt callers (WARNING) or breaks sessions or lays them open (CRITICAL); UNKNOWN when \
        something needed could not be read. CAP_NET_ADMIN shows firewall and connection tracking.";
    const EXAMPLES: &'static str = "Examples:\n  \
        check_pptp_host -vv --ignore dns-missing\n  \
        ssh 192.0.2.1 sh -s < script > gw.tar; mkdir gw; tar -xf gw.tar -C gw; check_pptp_host --root gw --checklist";
    const METRICS: &'static [&'static str] =
        &["findings", "critical", "warnings", "info", "unread", "conntrack_fill", "gre_unreplied"];
    const MAIN_METRIC: &'static str = "findings";

    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        self.root.display().to_string()
    }

    fn validate(&self) -> Result<(), String> {
        if self.common.pcap.is_some() {
            return Err("--pcap: an audit sends nothing that could be captured".into());
        }
        if !self.root.is_dir() {
            return Err(format!("--root {} is no directory", self.root.display()));
        }
        Ok(())
    }
}

/// Runs the check and leaves the process.
pub fn main(argv: Vec<OsString>) -> ! {
    plugin::main_from(
        argv,
        |args: &HostArgs, deadline| {
            if let Some(page) = args.document() {
                return Err(Report::ok("see the text").page(page));
            }
            let root = Root::new(&args.root);
            if let Some(directory) = &args.collect {
                return Err(collected(&root, directory, deadline));
            }
            // Read while the rights that may be needed are there.
            let facts = Facts::gather(&root, Firewall::of, deadline);
            session::give_up_rights()?;
            Ok(facts)
        },
        async |args: &HostArgs, facts: Facts, context: &Context| {
            report::report(args, &facts, &audit(&facts), context)
        },
    )
}

impl HostArgs {
    /// The text that is asked for instead of an audit.
    fn document(&self) -> Option<String> {
        match self.explain {
            _ if self.collect_script => Some(collect_script()),
            _ if self.list => Some(page::list()),
            Some(Explained::All) => Some(rules().map(page::explain).collect::<Vec<_>>().join("\n")),
            Some(Explained::One(rule)) => Some(page::explain(rule)),
            None => None,
        }
    }
}

/// Collects, and says what came of it.
fn collected(root: &Root, directory: &Path, deadline: Instant) -> Report {
    let manifest = match collect(root, directory, deadline) {
        Ok(manifest) => manifest,
        Err(why) => {
            let report = Report::failed(Phase::Done, Reason::Local, why);
            return report.mend("name a directory that is new or empty");
        }
    };
    let unread = manifest.unread.len();
    let files = format!("{} files collected in {}", manifest.files, directory.display());
    let headline = match unread {
        0 => files,
        _ => format!("{files}; {unread} could not be read (-v names them)"),
    };
    manifest.unread.iter().fold(Report::ok(headline), |report, (path, why)| {
        report.detail(1, format!("{}: {why}", path.display()))
    })
}
