//! One JSON object with everything a report has, and the writer for it. Keys
//! stand in a fixed order, numbers are plain decimals, and text is the same
//! printable ASCII as in the other formats, but for the target's name.

use super::metric::{decimal, seconds};
use super::text::{clean, own_name};
use super::{Fact, Identity, Metric, Report, State, VERSION, Verdict};
use crate::reason::{Phase, Reason};

/// Octets of one text that are shown.
const LONGEST: usize = 1000;

/// The output: one object and a line break.
pub(super) fn render(report: &Report, identity: &Identity<'_>) -> String {
    let mut out = String::with_capacity(1024);
    let mut object = Object::new(&mut out);
    push_verdict(&mut object, report, identity);
    object.array("metrics", report.metrics(), push_metric);
    push_facts(&mut object, report);
    object.array("sub", report.subs(), |out, sub| {
        let mut object = Object::new(out);
        object.text("name", sub.name());
        push_conclusion(&mut object, sub.state(), &sub.headline(), sub.verdict().as_deref());
        object.array("metrics", sub.metrics(), push_metric);
        object.end();
    });
    object.end();
    out.push('\n');
    out
}

/// The keys that JSON and Zabbix have in common, up to the phases.
pub(super) fn push_verdict(object: &mut Object<'_>, report: &Report, identity: &Identity<'_>) {
    object.text("check", identity.program);
    object.text("version", VERSION);
    object.name("target", identity.target);
    let verdict = report.verdict();
    push_conclusion(object, report.state(), &report.headline(), verdict.as_deref());
    object.object("phases", |phases| {
        for (phase, took) in report.phases() {
            phases.raw(phase.word(), &seconds(*took));
        }
    });
}

/// State, sentence and verdict; without one the phase is `done`, the reason
/// `none`.
pub(super) fn push_conclusion(
    object: &mut Object<'_>,
    state: State,
    headline: &str,
    verdict: Option<&Verdict>,
) {
    object.text("state", state.name());
    object.raw("exit_code", &state.exit_code().to_string());
    object.text("headline", headline);
    let phase = verdict.map_or(Phase::Done, |verdict| verdict.phase);
    let reason = verdict.map_or(Reason::None, |verdict| verdict.reason);
    object.text("phase", phase.word());
    object.text("reason", reason.word());
    object.text("mend", verdict.map_or("", |verdict| &verdict.mend));
}

/// The facts as an object.
pub(super) fn push_facts(object: &mut Object<'_>, report: &Report) {
    object.object("facts", |facts| {
        for (key, fact) in report.facts() {
            match fact {
                Fact::Text(text) => facts.text(key, text),
                Fact::Integer(integer) => facts.raw(key, &integer.to_string()),
                Fact::Number(number) if number.is_finite() => facts.raw(key, &decimal(*number)),
                Fact::Number(_) => facts.raw(key, "null"),
                Fact::Bool(yes) => facts.raw(key, if *yes { "true" } else { "false" }),
                Fact::List(texts) => facts.array(key, texts, |out, text| push_text(out, text)),
                Fact::Rows(rows) => facts.array(key, rows, |out, row| {
                    let mut object = Object::new(out);
                    for (name, text) in row {
                        object.text(name, text);
                    }
                    object.end();
                }),
            }
        }
    });
}

/// Writes the members of one object.
pub(super) struct Object<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub(super) fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    /// Closes it.
    pub(super) fn end(self) {
        self.out.push('}');
    }

    /// A member that is a text.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        push_text(self.out, text);
    }

    /// A member that is a name of our operator's.
    pub(super) fn name(&mut self, key: &str, text: &str) {
        self.key(key);
        push_quoted(self.out, &own_name(text, LONGEST));
    }

    /// A member whose value is JSON already.
    pub(super) fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.out.push_str(json);
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut object = Object::new(self.out);
        fill(&mut object);
        object.end();
    }

    /// A member that is an array; `push` writes one element.
    pub(super) fn array<T>(&mut self, key: &str, items: &[T], push: impl Fn(&mut String, &T)) {
        self.key(key);
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            push(self.out, item);
        }
        self.out.push(']');
    }

    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        push_text(self.out, key);
        self.out.push(':');
    }
}

fn push_metric(out: &mut String, metric: &Metric) {
    let mut object = Object::new(out);
    object.text("label", metric.label());
    let value = if metric.is_printable() { metric.decimal() } else { "null".into() };
    object.raw("value", &value);
    object.text("unit", metric.unit().symbol());
    for (key, range) in [("warn", metric.warning()), ("crit", metric.critical())] {
        match range {
            Some(range) => object.text(key, &range.to_string()),
            None => object.raw(key, "null"),
        }
    }
    object.text("state", metric.state().name());
    object.end();
}

fn push_text(out: &mut String, text: &str) {
    push_quoted(out, &clean(text, LONGEST));
}

/// After cleaning, the quotation mark and the backslash are all that JSON, an
/// entry of Zabbix and a string of InfluxDB want escaped.
pub(super) fn push_quoted(out: &mut String, cleaned: &str) {
    out.push('"');
    for c in cleaned.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
