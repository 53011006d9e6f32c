//! One flat JSON object for a Zabbix master item. Metrics are
//! members by label, so a dependent item needs no more than a JSONPath such as
//! `$.metrics.echo_rtt`. The exit status is 0 whatever the state: Zabbix takes
//! any other for an item that does not work.

use super::json::{Object, push_conclusion, push_facts, push_verdict};
use super::{Identity, Metric, Report};

/// The output: one object and a line break.
pub(super) fn render(report: &Report, identity: &Identity<'_>) -> String {
    let mut out = String::with_capacity(1024);
    let mut object = Object::new(&mut out);
    push_verdict(&mut object, report, identity);
    push_metrics(&mut object, report.metrics());
    push_facts(&mut object, report);
    object.array("sub", report.subs(), |out, sub| {
        let mut object = Object::new(out);
        object.text("name", sub.name());
        push_conclusion(&mut object, sub.state(), &sub.headline(), sub.verdict().as_deref());
        push_metrics(&mut object, sub.metrics());
        object.end();
    });
    object.end();
    out.push('\n');
    out
}

/// What was not measured is left out, so that its item keeps no false value.
fn push_metrics(object: &mut Object<'_>, metrics: &[Metric]) {
    object.object("metrics", |object| {
        for metric in metrics.iter().filter(|metric| metric.is_printable()) {
            object.raw(metric.label(), &metric.decimal());
        }
    });
}
