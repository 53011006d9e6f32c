//! Text for the textfile collector of node_exporter: the result of one run as
//! gauges in base units, `HELP` and `TYPE` once per name and all samples of a
//! name together, as the exposition format demands.
//!
//! Every sample carries the labels `check` and `target`, those of a
//! sub-result `sub` as well.

use super::metric::{SECONDS_OF_DAY, decimal, seconds};
use super::text::{clean, own_name};
use super::{Identity, Metric, Report, State, Unit};
use crate::reason::Phase;

/// Octets of one label value that are shown.
const LONGEST: usize = 200;

/// The output for one run.
pub(super) fn render(report: &Report, identity: &Identity<'_>) -> String {
    let mut exposition = Exposition::default();
    let samples = exposition.samples(report, identity);
    exposition.render(&[samples], usize::MAX).0
}

/// The names of one page, of which each may stand there once, whatever number
/// of runs it shows.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Name, type and help.
    families: Vec<(String, String)>,
}

/// What one run adds to a page, sample by sample.
#[derive(Debug, Default)]
pub struct Samples {
    /// The family's index, and the line.
    lines: Vec<(usize, Box<str>)>,
}

impl Exposition {
    /// The samples of a run.
    pub fn samples(&mut self, report: &Report, identity: &Identity<'_>) -> Samples {
        let mut page = Page {
            labels: format!(
                "check=\"{}\",target=\"{}\"",
                label_value(identity.program),
                quoted(&own_name(identity.target, LONGEST))
            ),
            families: &mut self.families,
            opened: Vec::new(),
            lines: Vec::new(),
        };
        push_probe(&mut page, report);
        push_metrics(&mut page, report);
        Samples { lines: page.lines }
    }

    /// The samples of a name of its own, each with its labels, such as
    /// `state="ok"`, and its value.
    pub fn gauges(&mut self, name: &str, help: &str, samples: &[(String, u64)]) -> Samples {
        let mut page = Page {
            labels: String::new(),
            families: &mut self.families,
            opened: Vec::new(),
            lines: Vec::new(),
        };
        page.family(name, "gauge", help);
        for (labels, value) in samples {
            page.sample(labels, &value.to_string());
        }
        Samples { lines: page.lines }
    }

    /// The page, and how many samples it leaves out because there are more
    /// than `most`: first comes of every run whether it went well, then all
    /// else, run by run.
    pub fn render(&self, runs: &[Samples], most: usize) -> (String, usize) {
        let is_first = |family: usize| {
            matches!(self.families[family].0.as_str(), "pptp_probe_success" | "pptp_probe_failure")
        };
        let all = || runs.iter().flat_map(|samples| &samples.lines);
        let total = all().count();
        let (mut pages, mut room) = (vec![String::new(); self.families.len()], most);
        for turn in [true, false] {
            for (family, line) in all().filter(|(family, _)| is_first(*family) == turn).take(room) {
                pages[*family].push_str(line);
                pages[*family].push('\n');
                room -= 1;
            }
        }
        let mut out = String::with_capacity(total.min(most).saturating_mul(100).min(1 << 26));
        for ((_, head), page) in
            self.families.iter().zip(&pages).filter(|(_, page)| !page.is_empty())
        {
            out.push_str(head);
            out.push_str(page);
        }
        (out, total.saturating_sub(most))
    }
}

fn push_probe(page: &mut Page<'_>, report: &Report) {
    let works = matches!(report.state(), State::Ok | State::Warning);
    page.family("pptp_probe_success", "gauge", "Whether the check ended in OK or WARNING.");
    page.sample("", truth(works));
    if let Some(verdict) = report.verdict() {
        page.family("pptp_probe_failure", "gauge", "Where and why the run did not end well.");
        let labels = format!(",phase=\"{}\",reason=\"{}\"", verdict.phase, verdict.reason);
        page.sample(&labels, "1");
    }
    if !report.phases().is_empty() {
        let help = "How long each phase of the session took.";
        page.family("pptp_probe_phase_duration_seconds", "gauge", help);
        for (phase, took) in report.phases() {
            page.sample(&format!(",phase=\"{phase}\""), &seconds(*took));
        }
    }
    let connect = report.phases().iter().find(|(phase, _)| *phase == Phase::Connect);
    if let Some((_, took)) = connect {
        let help = "How long the TCP connection to the gateway took.";
        page.family("pptp_connect_duration_seconds", "gauge", help);
        page.sample("", &seconds(*took));
    }
    if let Some(passed) = report.passed(Phase::Auth) {
        let help = "Authentications that succeeded in this run.";
        page.family("pptp_auth_success_total", "counter", help);
        page.sample("", truth(passed));
    }
    if let Some(passed) = report.passed(Phase::Gre) {
        let help = "Whether GRE packets pass in both directions.";
        page.family("pptp_gre_data_ok", "gauge", help);
        page.sample("", truth(passed));
    }
}

fn push_metrics(page: &mut Page<'_>, report: &Report) {
    let own = report.metrics().iter().map(|metric| (metric, None));
    let subs = report.subs().iter();
    let of_subs =
        subs.flat_map(|sub| sub.metrics().iter().map(|metric| (metric, Some(sub.name()))));
    let all: Vec<_> = own.chain(of_subs).filter(|(metric, _)| metric.is_printable()).collect();
    for (index, (metric, _)) in all.iter().enumerate() {
        let name = name(metric);
        if all[..index].iter().any(|(earlier, _)| self::name(earlier) == name) {
            continue;
        }
        let kind = if metric.unit() == Unit::Counter { "counter" } else { "gauge" };
        let help = format!("The metric {} of the check.", metric.label());
        if !page.family(&name, kind, &help) {
            continue;
        }
        // A second sample with the same labels would make the file invalid.
        let mut seen = Vec::new();
        for (metric, sub) in all.iter().filter(|(metric, _)| self::name(metric) == name) {
            if seen.contains(sub) {
                continue;
            }
            seen.push(*sub);
            let labels = sub.map(|sub| format!(",sub=\"{}\"", label_value(sub)));
            page.sample(&labels.unwrap_or_default(), &base_value(metric));
        }
    }
}

struct Page<'a> {
    labels: String,
    families: &'a mut Vec<(String, String)>,
    /// Of this run, in their order.
    opened: Vec<usize>,
    lines: Vec<(usize, Box<str>)>,
}

impl Page<'_> {
    /// Opens a name; false if this run has it already.
    fn family(&mut self, name: &str, kind: &str, help: &str) -> bool {
        let known = self.families.iter().position(|(earlier, _)| earlier == name);
        let index = known.unwrap_or_else(|| {
            let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
            self.families.push((name.to_owned(), head));
            self.families.len() - 1
        });
        if self.opened.contains(&index) {
            return false;
        }
        self.opened.push(index);
        true
    }

    /// One sample of the name opened last; `labels` begins with a comma where
    /// there are others.
    fn sample(&mut self, labels: &str, value: &str) {
        if let Some(&index) = self.opened.last() {
            let name = &self.families[index].0;
            let line = format!("{name}{{{}{labels}}} {value}", self.labels);
            self.lines.push((index, line.into()));
        }
    }
}

/// The metric's name with the suffix of its base unit, none of them twice.
fn name(metric: &Metric) -> String {
    let suffix = match metric.unit() {
        Unit::Seconds | Unit::Days => "_seconds",
        Unit::Percent => "_ratio",
        Unit::Octets => "_bytes",
        Unit::Counter => "_total",
        Unit::None => "",
    };
    let stem = match metric.label() {
        // promtool takes the word for a unit, for which bytes should stand.
        "mppe_bits" => "mppe_key_length",
        label if metric.unit() == Unit::Days => label.strip_suffix("_days").unwrap_or(label),
        label => label.strip_suffix(suffix).unwrap_or(label),
    };
    format!("pptp_{stem}{suffix}")
}

/// The value in the base unit: a percentage becomes a ratio, days seconds.
fn base_value(metric: &Metric) -> String {
    match metric.unit() {
        Unit::Percent => decimal(metric.value() / 100.0),
        Unit::Days => decimal(metric.value() * SECONDS_OF_DAY as f64),
        _ => metric.decimal(),
    }
}

fn label_value(text: &str) -> String {
    quoted(&clean(text, LONGEST))
}

fn quoted(cleaned: &str) -> String {
    cleaned.replace('\\', "\\\\").replace('"', "\\\"")
}

fn truth(yes: bool) -> &'static str {
    if yes { "1" } else { "0" }
}
