//! The line of the Monitoring Plugins guidelines: state, sentence, first step,
//! performance data; behind it, if asked for, the long output.
//!
//! ```text
//! PPTP GRE CRITICAL - no GRE came back in 4.0 s [gre/gre_inbound_silent]: allow IP protocol 47 | 'connect_time'=0.038214s
//! ```
//!
//! Performance data stands once: on the first line if that is the only one,
//! else behind the last.

use super::metric::seconds;
use super::text::push_clean;
use super::{Fact, Identity, Metric, Report, State};

/// Octets of one line of text that are shown; a first line has to fit on a
/// screen, a message in hex into a terminal.
const LONGEST_HEADLINE: usize = 400;
const LONGEST_DETAIL: usize = 4000;

/// The output for a verbosity of 0 to 3.
pub(super) fn render(report: &Report, identity: &Identity<'_>, verbosity: u8) -> String {
    let mut out = String::with_capacity(512);
    push_first_line(&mut out, report, identity);
    if verbosity >= 1 {
        push_long_output(&mut out, report, verbosity);
    }
    push_perfdata(&mut out, report);
    out.push('\n');
    out
}

/// A line for what is wrong before there is a report: wrong arguments, a
/// panic. The hint stands behind the text however long that is.
pub(crate) fn unknown_line(name: &str, text: &str, hint: &str) -> String {
    let mut out = format!("{name} {} - ", State::Unknown);
    push_clean(&mut out, text, LONGEST_HEADLINE);
    out.push(' ');
    out.push_str(hint);
    out.push('\n');
    out
}

fn push_first_line(out: &mut String, report: &Report, identity: &Identity<'_>) {
    out.push_str(identity.name);
    out.push(' ');
    out.push_str(report.state().name());
    out.push_str(" - ");
    push_clean(out, &report.headline(), LONGEST_HEADLINE);
    if let Some(verdict) = report.verdict() {
        out.push_str(" [");
        out.push_str(verdict.phase.word());
        out.push('/');
        out.push_str(verdict.reason.word());
        out.push(']');
        if !verdict.mend.is_empty() {
            out.push_str(": ");
            push_clean(out, &verdict.mend, LONGEST_HEADLINE);
        }
    }
}

fn push_long_output(out: &mut String, report: &Report, verbosity: u8) {
    // At the first level there is one line of detail, whatever the check has.
    let mut separator = "\n";
    let first_level = report.details().iter().filter(|(level, _)| *level <= 1);
    let first_level = first_level.map(|(_, text)| text.as_str());
    for text in report.displaced_headline().into_iter().chain(first_level) {
        out.push_str(separator);
        push_clean(out, text, LONGEST_DETAIL);
        separator = "; ";
    }
    for sub in report.subs() {
        if verbosity >= 2 || sub.state() != State::Ok {
            out.push('\n');
            push_clean(out, sub.name(), LONGEST_HEADLINE);
            out.push(' ');
            out.push_str(sub.state().name());
            out.push_str(" - ");
            push_clean(out, &sub.headline(), LONGEST_HEADLINE);
        }
    }
    if verbosity >= 2 {
        for (phase, took) in report.phases() {
            out.push('\n');
            out.push_str(phase.word());
            out.push(' ');
            out.push_str(&seconds(*took));
            out.push_str(" s");
        }
    }
    if verbosity >= 3 {
        for (key, fact) in report.facts() {
            out.push('\n');
            out.push_str(key);
            out.push_str(": ");
            push_clean(out, &fact_text(fact), LONGEST_DETAIL);
        }
    }
    for (level, text) in report.details() {
        if *level >= 2 && (*level <= verbosity || verbosity >= 3) {
            out.push('\n');
            push_clean(out, text, LONGEST_DETAIL);
        }
    }
}

fn fact_text(fact: &Fact) -> String {
    match fact {
        Fact::Text(text) => text.clone(),
        Fact::Integer(integer) => integer.to_string(),
        Fact::Number(number) if number.is_finite() => super::metric::decimal(*number),
        Fact::Number(_) => "not a number".to_owned(),
        Fact::Bool(true) => "yes".to_owned(),
        Fact::Bool(false) => "no".to_owned(),
        Fact::List(texts) => texts.join(" "),
        Fact::Rows(rows) => rows.len().to_string(),
    }
}

fn push_perfdata(out: &mut String, report: &Report) {
    let all = || report.metrics().iter().chain(report.subs().iter().flat_map(|sub| sub.metrics()));
    let mut separator = " | ";
    for (index, metric) in all().enumerate() {
        let name = |metric: &Metric| (metric.label(), metric.ordinal());
        let same = |other: &Metric| name(other) == name(metric);
        // Of several with one name the one that alerts stands, else the first.
        let worst = all()
            .filter(|other| same(other))
            .fold(State::Ok, |worst, other| worst.worst(other.state()));
        let repeated = all().take(index).any(|earlier| same(earlier) && earlier.state() == worst);
        if metric.is_printable() && metric.state() == worst && !repeated {
            out.push_str(separator);
            metric.push_perfdata(out);
            separator = " ";
        }
    }
}
