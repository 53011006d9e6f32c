//! One flat JSON object for a Zabbix master item. Metrics are
//! members by label, so a dependent item needs no more than a JSONPath such as
//! `$.metrics.echo_rtt`. Phase and reason stand as numbers too, those of the MIB,
//! for a trigger compares numbers and a value map gives them words again. The
//! exit status is 0 whatever the state: Zabbix takes any other for an item that
//! does not work.

use super::json::{Object, push_conclusion, push_facts, push_quoted, push_verdict};
use super::text::own_name;
use super::{Identity, Metric, Report, Verdict};
use crate::reason::{Phase, Reason};

/// Octets of a host's name that are shown.
const LONGEST_HOST: usize = 200;

/// The output: one object and a line break.
pub(super) fn render(report: &Report, identity: &Identity<'_>) -> String {
    let mut out = String::with_capacity(1024);
    let mut object = Object::new(&mut out);
    push_verdict(&mut object, report, identity);
    push_numbers(&mut object, report.verdict().as_deref());
    push_metrics(&mut object, report.metrics());
    push_facts(&mut object, report);
    object.array("sub", report.subs(), |out, sub| {
        let mut object = Object::new(out);
        object.text("name", sub.name());
        push_conclusion(&mut object, sub.state(), &sub.headline(), sub.verdict().as_deref());
        push_numbers(&mut object, sub.verdict().as_deref());
        push_metrics(&mut object, sub.metrics());
        object.end();
    });
    object.end();
    out.push('\n');
    out
}

/// A line for `zabbix_sender -i`: the monitored host, the item's key, which is
/// the program's name, and the object of a master item. In a quoted entry
/// quotation mark and backslash are escaped.
pub fn trapper_line(report: &Report, identity: &Identity<'_>, host: &str) -> String {
    let object = render(report, identity);
    let mut out = String::with_capacity(object.len() + object.len() / 4);
    push_quoted(&mut out, &own_name(host, LONGEST_HOST));
    out.push(' ');
    out.push_str(identity.program);
    out.push(' ');
    push_quoted(&mut out, object.trim_end());
    out.push('\n');
    out
}

/// Phase and reason by number.
fn push_numbers(object: &mut Object<'_>, verdict: Option<&Verdict>) {
    let phase = verdict.map_or(Phase::Done, |verdict| verdict.phase);
    let reason = verdict.map_or(Reason::None, |verdict| verdict.reason);
    object.raw("phase_number", &phase.number().to_string());
    object.raw("reason_number", &reason.number().to_string());
}

/// What was not measured is left out, so that its item keeps no false value.
fn push_metrics(object: &mut Object<'_>, metrics: &[Metric]) {
    object.object("metrics", |object| {
        for metric in metrics.iter().filter(|metric| metric.is_printable()) {
            object.raw(metric.label(), &metric.decimal());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trapper_line_has_three_entries_whatever_the_text() {
        let identity =
            Identity { name: "PPTP GRE", program: "check_pptp_gre", target: "192.0.2.1:1723" };
        let line = trapper_line(&Report::ok("a \"b\" \\ c\nd"), &identity, "vpn \"1\"\n");
        let host = r#""vpn \"1\"\\x0a" check_pptp_gre "{\"check\":\"check_pptp_gre\","#;
        assert!(line.starts_with(host), "{line}");
        assert!(line.contains(r#"\"headline\":\"a \\\"b\\\" \\\\ c\\\\x0ad\""#), "{line}");
        assert!(line.ends_with("}\"\n") && line.lines().count() == 1, "{line}");
    }
}
