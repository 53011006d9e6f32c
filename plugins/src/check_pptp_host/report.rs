//! Judges what an audit found; touches neither the host nor the clock.

use pptp_probe::audit::facts::Facts;
use pptp_probe::audit::finding::{Finding, Severity};
use pptp_probe::audit::known::Known;
use pptp_probe::audit::rules::{Audit, fill_percent, one_way};
use pptp_probe::output::{Metric, Report, State, Sub};
use pptp_probe::plugin::Context;
use pptp_probe::reason::{Phase, Reason};

use super::{HostArgs, page};

/// The verdict on an audit of `facts`.
pub(super) fn report(args: &HostArgs, facts: &Facts, audit: &Audit, context: &Context) -> Report {
    if matches!((&facts.poptop, &facts.accel_ppp), (Known::Absent, Known::Absent)) {
        let text = "neither pptpd nor accel-ppp is here, so there is nothing to audit";
        let report = Report::failed(Phase::Control, Reason::Local, text);
        return report.mend("run it on the gateway, or give --root with what --collect made there");
    }
    let (found, ignored) = selected(args, audit);
    let mut report = verdict(args, audit, &found);
    for metric in metrics(facts, audit, &found) {
        report = report.metric(metric.judged_by(&context.thresholds));
    }
    report = describe(report, facts, audit, &found, ignored);
    match args.checklist {
        Some(style) => {
            let page = page::checklist(style, page::is_unicode(), facts, audit, &found);
            report.page(page)
        }
        None => report,
    }
}

/// What counts, the worst first, and how many findings were ignored.
fn selected<'a>(args: &HostArgs, audit: &'a Audit) -> (Vec<&'a Finding>, usize) {
    let (ignored, mut found): (Vec<_>, Vec<_>) =
        audit.findings.iter().partition(|finding| args.ignore.contains(&finding.rule));
    found.retain(|finding| finding.severity >= args.min_severity);
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    (found, ignored.len())
}

fn verdict(args: &HostArgs, audit: &Audit, found: &[&Finding]) -> Report {
    let unread = match audit.unread.len() {
        0 => String::new(),
        1 => format!("; not read: {}", audit.unread[0].what),
        more => format!("; not read: {} and {} more", audit.unread[0].what, more - 1),
    };
    let Some(worst) = found.first() else {
        let text = format!("no finding, {} rules kept{unread}", audit.passed.len());
        return without_alarm(args, audit, text);
    };
    let text = format!("{}: {}{}{unread}", worst.rule.id, worst.rule.harm, others(&found[1..]));
    let state = match worst.severity {
        Severity::Info => return without_alarm(args, audit, text),
        Severity::Warning => State::Warning,
        Severity::Critical => State::Critical,
    };
    let mend = if worst.mend.is_empty() { &worst.advised } else { &worst.mend };
    Report::failed(worst.rule.phase, worst.rule.reason, text).mend(mend).with_state(state)
}

/// OK, unless something was not read: then nobody knows.
fn without_alarm(args: &HostArgs, audit: &Audit, text: String) -> Report {
    let Some(unread) = audit.unread.first().filter(|_| !args.accept_unread) else {
        return Report::ok(text);
    };
    let reason = if unread.mend.contains("root") { Reason::Permission } else { Reason::Local };
    let first = if unread.mend.is_empty() { &unread.why } else { &unread.mend };
    let mend = format!("{first}; or --accept-unread");
    Report::failed(Phase::Done, reason, format!("{text} ({})", unread.why)).mend(mend)
}

/// `; 2 more findings (1 warning, 1 info)`.
fn others(found: &[&Finding]) -> String {
    let (critical, warnings, info) = counts(found);
    let plural = |count, one, more| if count == 1 { one } else { more };
    let parts = [
        (critical, "critical"),
        (warnings, plural(warnings, "warning", "warnings")),
        (info, "info"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, word)| format!("{count} {word}")).collect();
    match found.len() {
        0 => String::new(),
        1 => format!("; 1 more finding ({})", parts.join(", ")),
        more => format!("; {more} more findings ({})", parts.join(", ")),
    }
}

/// How many are critical, warnings and info.
pub(super) fn counts(found: &[&Finding]) -> (usize, usize, usize) {
    let of = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    (of(Severity::Critical), of(Severity::Warning), of(Severity::Info))
}

fn metrics(facts: &Facts, audit: &Audit, found: &[&Finding]) -> Vec<Metric> {
    let (critical, warnings, info) = counts(found);
    let count = |label, count: usize| Metric::number(label, count as f64).min(0.0);
    let mut metrics = vec![
        count("findings", found.len()),
        count("critical", critical),
        count("warnings", warnings),
        count("info", info),
        count("unread", audit.unread.len()),
    ];
    let conntrack = facts.conntrack.get();
    if let Some(percent) = conntrack.and_then(fill_percent) {
        metrics.push(Metric::percent("conntrack_fill", percent).min(0.0).max(100.0));
    }
    if let Some(flows) = conntrack.and_then(|conntrack| conntrack.gre.get()) {
        let entries: u64 = one_way(flows).values().sum();
        metrics.push(Metric::number("gre_unreplied", entries as f64).min(0.0));
    }
    metrics
}

fn describe(
    mut report: Report,
    facts: &Facts,
    audit: &Audit,
    found: &[&Finding],
    ignored: usize,
) -> Report {
    for finding in found {
        let rule = finding.rule;
        if finding.severity == Severity::Info {
            report = report.detail(1, format!("{} INFO - {}", rule.id, finding.found));
        } else {
            let state = match finding.severity {
                Severity::Critical => State::Critical,
                Severity::Warning | Severity::Info => State::Warning,
            };
            let sub = Sub::failed(rule.id, rule.phase, rule.reason, &finding.found);
            report = report.sub_result(sub.mend(&finding.mend).with_state(state));
        }
        let parts =
            [("advised", &finding.advised), ("why", &finding.arithmetic), ("run", &finding.mend)];
        for (word, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
            report = report.detail(2, format!("{} {word}: {text}", rule.id));
        }
    }
    for unread in &audit.unread {
        let mend = if unread.mend.is_empty() { "" } else { ": " };
        let text = format!("not read: {}, {}{mend}{}", unread.what, unread.why, unread.mend);
        report = report.detail(1, text);
    }
    if ignored > 0 {
        report = report.detail(1, format!("{ignored} ignored"));
    }
    for (rule, set) in &audit.passed {
        report = report.detail(3, format!("{} kept: {set}", rule.id));
    }
    let rows = |finding: &&Finding| {
        vec![
            ("id", finding.rule.id.to_owned()),
            ("severity", finding.severity.word().to_owned()),
            ("found", finding.found.clone()),
            ("advised", finding.advised.clone()),
            ("arithmetic", finding.arithmetic.clone()),
            ("mend", finding.mend.clone()),
        ]
    };
    let unread = audit.unread.iter().map(|unread| {
        vec![
            ("what", unread.what.clone()),
            ("why", unread.why.clone()),
            ("mend", unread.mend.clone()),
        ]
    });
    report
        .fact("host", facts.host.as_str())
        .fact("findings", found.iter().map(rows).collect::<Vec<_>>())
        .fact("unread", unread.collect::<Vec<_>>())
        .fact("rules_kept", audit.passed.len() as u64)
        .fact("rules_inapplicable", audit.inapplicable.len() as u64)
        .fact("findings_ignored", ignored as u64)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;
    use pptp_probe::audit::finding::Rule;
    use pptp_probe::audit::known::Unread;
    use pptp_probe::audit::rules::rules;
    use pptp_probe::plugin::command;

    use super::*;

    fn rule(id: &str) -> &'static Rule {
        rules().find(|rule| rule.id == id).expect("a rule")
    }

    fn finding(id: &str) -> Finding {
        let rule = rule(id);
        Finding {
            rule,
            severity: rule.severity,
            found: "this".to_owned(),
            advised: "that".to_owned(),
            arithmetic: "1 + 1 = 2".to_owned(),
            mend: "run-this".to_owned(),
        }
    }

    fn unread() -> Unread {
        Unread {
            what: "rules of nft".to_owned(),
            why: "permission denied".to_owned(),
            mend: "run as root".to_owned(),
        }
    }

    /// State, phase and reason, and the first line.
    fn judged(arguments: &str, audit: &Audit) -> (State, Option<(Phase, Reason)>, String) {
        let given = ["check"].into_iter().chain(arguments.split_whitespace());
        let matches = command::<HostArgs>().try_get_matches_from(given).unwrap();
        let args = HostArgs::from_arg_matches(&matches).unwrap();
        let (found, _) = selected(&args, audit);
        let report = verdict(&args, audit, &found);
        let verdict = report.verdict().map(|verdict| (verdict.phase, verdict.reason));
        (report.state(), verdict, report.headline().into_owned())
    }

    fn audit(ids: &[&str]) -> Audit {
        Audit { findings: ids.iter().map(|id| finding(id)).collect(), ..Audit::default() }
    }

    #[test]
    fn worst_finding_gives_state_and_first_line() {
        let audit = audit(&["dns-missing", "mtu-too-large", "lcp-echo-missing"]);
        let (state, verdict, line) = judged("", &audit);
        assert_eq!(state, State::Critical);
        assert_eq!(verdict, Some((Phase::Lcp, Reason::SettingHarmful)));
        assert_eq!(
            line,
            "lcp-echo-missing: idle sessions are forgotten on the way, dead ones stay; \
             2 more findings (1 warning, 1 info)"
        );
    }

    #[test]
    fn ignored_and_lesser_findings_do_not_count() {
        let audit = audit(&["dns-missing", "mtu-too-large", "lcp-echo-missing"]);
        let (state, ..) = judged("--ignore lcp-echo-missing", &audit);
        assert_eq!(state, State::Warning);
        let (state, verdict, line) =
            judged("--ignore lcp-echo-missing --min-severity critical", &audit);
        assert_eq!((state, verdict), (State::Ok, None));
        assert_eq!(line, "no finding, 0 rules kept");
    }

    #[test]
    fn info_is_ok_and_named() {
        let (state, verdict, line) = judged("", &audit(&["dns-missing"]));
        assert_eq!((state, verdict), (State::Ok, None));
        assert!(line.starts_with("dns-missing: "), "{line}");
    }

    #[test]
    fn what_was_not_read_is_never_ok() {
        let audit = Audit { unread: vec![unread()], ..audit(&["dns-missing"]) };
        let (state, verdict, line) = judged("", &audit);
        assert_eq!(state, State::Unknown);
        assert_eq!(verdict, Some((Phase::Done, Reason::Permission)));
        assert!(line.ends_with("; not read: rules of nft (permission denied)"), "{line}");
        let (state, _, line) = judged("--accept-unread", &audit);
        assert_eq!(state, State::Ok);
        assert!(line.ends_with("; not read: rules of nft"), "{line}");
    }

    #[test]
    fn what_was_not_read_does_not_hide_a_finding() {
        let audit = Audit { unread: vec![unread(), unread()], ..audit(&["mtu-too-large"]) };
        let (state, _, line) = judged("", &audit);
        assert_eq!(state, State::Warning);
        assert!(line.ends_with("; not read: rules of nft and 1 more"), "{line}");
    }
}
