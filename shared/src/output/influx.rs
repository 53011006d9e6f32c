//! InfluxDB line protocol, for Telegraf's `exec` and for `/write`: one line of
//! a run, one more for each sub-result, with the time of the report in
//! nanoseconds. The measurement is the check's name, `pptp_gre`; tags are
//! `target` and, of a sub-result, `sub`.
//!
//! What a gateway says is in no tag and no key, only in the field `headline`.
//! A field keeps its type: whole numbers where the metric's unit has no others
//! (`i`), floats elsewhere. The exit status is 0 whatever the state, because a
//! collector takes any other for a command that does not work.
//!
//! Of the protocol: comma and space are escaped in a measurement, the equals
//! sign as well in tags and keys, quotation mark and backslash in a text. A
//! backslash cannot stand at the end of a tag; here it stands nowhere in one.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::json::push_quoted;
use super::text;
use super::{Identity, Metric, Report, State, Unit, Verdict};
use crate::reason::{Phase, Reason};

/// Octets of one text that are shown.
const LONGEST: usize = 1000;

/// The output.
pub(super) fn render(report: &Report, identity: &Identity<'_>, at: SystemTime) -> String {
    let nanoseconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let measurement = identity.program.strip_prefix("check_").unwrap_or(identity.program);
    let begin = |out: &mut String| {
        out.push_str(measurement);
        push_tag(out, "target", &text::own_name(identity.target, LONGEST));
    };
    let mut out = String::with_capacity(512);
    begin(&mut out);
    push_fields(
        &mut out,
        report.state(),
        report.verdict().as_deref(),
        &report.headline(),
        report.metrics(),
    );
    // Writing to a String cannot fail.
    let _ = writeln!(out, " {}", nanoseconds.as_nanos());
    for sub in report.subs() {
        begin(&mut out);
        push_tag(&mut out, "sub", &text::clean(sub.name(), LONGEST));
        let verdict = sub.verdict();
        push_fields(&mut out, sub.state(), verdict.as_deref(), &sub.headline(), sub.metrics());
        let _ = writeln!(out, " {}", nanoseconds.as_nanos());
    }
    out
}

fn push_fields(
    out: &mut String,
    state: State,
    verdict: Option<&Verdict>,
    headline: &str,
    metrics: &[Metric],
) {
    let works = matches!(state, State::Ok | State::Warning);
    let phase = verdict.map_or(Phase::Done, |verdict| verdict.phase);
    let reason = verdict.map_or(Reason::None, |verdict| verdict.reason);
    let _ = write!(
        out,
        " success={}i,exit_code={}i,state=\"{}\",phase=\"{phase}\",reason=\"{reason}\"",
        u8::from(works),
        state.exit_code(),
        state.name()
    );
    out.push_str(",headline=");
    push_quoted(out, &text::clean(headline, LONGEST));
    for (index, metric) in metrics.iter().enumerate() {
        let repeated = metrics[..index].iter().any(|earlier| name(earlier) == name(metric));
        if metric.is_printable() && !repeated {
            let (label, suffix) = name(metric);
            let _ = write!(out, ",{label}{suffix}={}", metric.decimal());
            if is_whole(metric.unit()) {
                out.push('i');
            }
        }
    }
}

/// The field's name; that of the second of several servers ends in `_2`, as in
/// performance data.
fn name(metric: &Metric) -> (&'static str, String) {
    let suffix = match metric.ordinal() {
        0 | 1 => String::new(),
        ordinal => format!("_{ordinal}"),
    };
    (metric.label(), suffix)
}

fn is_whole(unit: Unit) -> bool {
    match unit {
        Unit::Octets | Unit::Counter | Unit::Days => true,
        Unit::Seconds | Unit::Percent | Unit::None => false,
    }
}

/// A tag has no empty value; what has none is left out.
fn push_tag(out: &mut String, key: &str, cleaned: &str) {
    if cleaned.is_empty() {
        return;
    }
    let _ = write!(out, ",{key}=");
    for c in cleaned.chars() {
        match c {
            '\\' => out.push('/'),
            ',' | '=' | ' ' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Sub;

    fn written(report: &Report, target: &str) -> String {
        let identity = Identity { name: "PPTP GRE", program: "check_pptp_gre", target };
        render(report, &identity, SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5))
    }

    #[test]
    fn numbers_keep_their_type_and_the_time_is_in_nanoseconds() {
        let report = Report::ok("fine")
            .metric(Metric::seconds("time", Duration::from_micros(2500)))
            .metric(Metric::octets("down", 7))
            .metric(Metric::number("gre_sent", 6.0));
        assert_eq!(
            written(&report, "192.0.2.1:1723"),
            "pptp_gre,target=192.0.2.1:1723 success=1i,exit_code=0i,state=\"OK\",phase=\"done\",\
             reason=\"none\",headline=\"fine\",time=0.002500,down=7i,gre_sent=6 \
             1700000000000000005\n"
        );
    }

    #[test]
    fn what_separates_is_escaped_and_a_line_stays_a_line() {
        let report = Report::failed(Phase::Gre, Reason::GreLossy, "\"a\\b\"\nc=1,d e");
        assert_eq!(
            written(&report, "a b,c=d\n\\"),
            "pptp_gre,target=a\\ b\\,c\\=d/x0a/ success=1i,exit_code=1i,state=\"WARNING\",\
             phase=\"gre\",reason=\"gre_lossy\",headline=\"\\\"a\\\\b\\\"\\\\x0ac=1,d e\" \
             1700000000000000005\n"
        );
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let text = written(&Report::ok("").metric(Metric::number("bad", f64::NAN)), "a");
        assert!(text.contains("state=\"UNKNOWN\"") && !text.contains("bad="), "{text}");
    }

    #[test]
    fn sub_results_have_lines_of_their_own() {
        let sub = Sub::failed("192.0.2.7", Phase::Connect, Reason::Refused, "closed");
        let report = Report::ok("1 of 2 answer").sub_result(sub);
        let text = written(&report, "");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("pptp_gre success=0i,exit_code=2i,"), "{}", lines[0]);
        assert!(lines[1].starts_with("pptp_gre,sub=192.0.2.7 success=0i,exit_code=2i,"));
    }
}
