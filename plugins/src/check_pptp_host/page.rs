//! What is printed as a page: the list of findings, what one means, and the
//! checklist for a change ticket.

use std::ffi::OsStr;
use std::fmt::Write as _;

use pptp_probe::audit::facts::Facts;
use pptp_probe::audit::finding::{Finding, Rule};
use pptp_probe::audit::known::Known;
use pptp_probe::audit::rules::{Audit, rules};

use super::report::counts;

/// Columns of a page.
const WIDTH: usize = 78;

/// How a checklist is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// For a terminal or a mail.
    Text,
    /// For a ticket.
    Markdown,
}

/// What begins a line of a checklist.
#[derive(Clone, Copy)]
enum Mark {
    Kept,
    Broken,
    NotRead,
    Inapplicable,
}

impl Mark {
    fn text(self, unicode: bool) -> &'static str {
        match (self, unicode) {
            (Self::Kept, true) => "\u{2713}",
            (Self::Broken, true) => "\u{2717}",
            (Self::NotRead, true) => "?",
            (Self::Inapplicable, true) => "-",
            (Self::Kept, false) => "[x]",
            (Self::Broken, false) => "[ ]",
            (Self::NotRead, false) => "[?]",
            (Self::Inapplicable, false) => "[-]",
        }
    }
}

/// Identifier, severity and what should be, a line each.
pub(super) fn list() -> String {
    let line = |rule: &Rule| format!("{:<26} {:<8} {}\n", rule.id, rule.severity, rule.should);
    rules().map(line).collect()
}

/// What a rule is about.
pub(super) fn explain(rule: &Rule) -> String {
    let Rule { id, severity, should, harm, explanation, .. } = rule;
    let text = wrapped(explanation);
    format!("{id} ({severity})\n\nShould be: {should}.\nElse: {harm}.\n\n{text}\n")
}

/// Whether the locale of the environment has more than ASCII.
pub(super) fn is_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    set.is_some_and(|locale| names_utf8(&locale))
}

fn names_utf8(locale: &OsStr) -> bool {
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A line for each rule; of those broken also why and the command.
pub(super) fn checklist(
    style: Style,
    unicode: bool,
    facts: &Facts,
    audit: &Audit,
    found: &[&Finding],
) -> String {
    let (critical, warnings, info) = counts(found);
    let host = plain(&facts.host);
    let kernel = match &facts.kernel {
        Known::Is(kernel) => format!(", Linux {}.{}", kernel.major, kernel.minor),
        Known::Absent | Known::Unread(_) => String::new(),
    };
    let sum = format!("{critical} critical, {warnings} warnings, {info} info");
    let mut out = match style {
        Style::Text => format!("PPTP gateway {host}{kernel}: {sum}\n\n"),
        Style::Markdown => format!("## PPTP gateway {host}{kernel}\n\n{sum}\n\n"),
    };
    for rule in rules() {
        let broken: Vec<_> = found.iter().filter(|finding| finding.rule == rule).collect();
        let kept = audit.passed.iter().find(|(passed, _)| *passed == rule);
        let inapplicable = audit.inapplicable.iter().find(|(other, _)| *other == rule);
        let (mark, reason) = match (kept, inapplicable) {
            _ if !broken.is_empty() => (Mark::Broken, rule.harm),
            (Some((_, set)), _) => (Mark::Kept, set.as_str()),
            (None, Some((_, why))) => (Mark::Inapplicable, *why),
            _ if audit.untold.contains(&rule) => (Mark::NotRead, "could not be read"),
            // Ignored, or below the severity that is asked for.
            _ => continue,
        };
        let (mark, reason) = (mark.text(unicode), plain(reason));
        // Writing to a String cannot fail.
        let _ = match style {
            Style::Text => writeln!(out, "{mark} {}: {reason} ({})", rule.should, rule.id),
            Style::Markdown => {
                writeln!(out, "- {mark} **{}**: {reason} (`{}`)", rule.should, rule.id)
            }
        };
        for finding in broken {
            push_finding(&mut out, style, finding);
        }
    }
    for unread in &audit.unread {
        let text = format!("not read: {}, {}: {}", unread.what, unread.why, unread.mend);
        let _ = writeln!(out, "\n{}", plain(text.trim_end_matches([' ', ':'])));
    }
    out
}

fn push_finding(out: &mut String, style: Style, finding: &Finding) {
    let parts = [
        ("found", &finding.found),
        ("advised", &finding.advised),
        ("why", &finding.arithmetic),
        ("run", &finding.mend),
    ];
    for (word, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let text = plain(text);
        let _ = match (style, word) {
            (Style::Text, _) => writeln!(out, "    {word}: {text}"),
            (Style::Markdown, "run") => writeln!(out, "  - {word}: `{text}`"),
            (Style::Markdown, _) => writeln!(out, "  - {word}: {text}"),
        };
    }
}

/// Text of the host that may stand in a page: printable ASCII.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' }).collect()
}

fn wrapped(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        if column > 0 && column + 1 + word.len() > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_is_asked_for_its_characters() {
        for yes in ["C.UTF-8", "de_CH.utf8"] {
            assert!(names_utf8(OsStr::new(yes)), "{yes}");
        }
        for no in ["C", "POSIX", "de_CH.ISO-8859-1"] {
            assert!(!names_utf8(OsStr::new(no)), "{no}");
        }
    }

    #[test]
    fn explanations_fit_the_page() {
        for rule in rules() {
            let text = explain(rule);
            let body = text.lines().skip(5);
            assert!(body.clone().count() > 0, "{}", rule.id);
            for line in body {
                assert!(line.len() <= WIDTH, "{}: {line}", rule.id);
            }
        }
    }

    #[test]
    fn names_of_the_host_cannot_break_a_page() {
        assert_eq!(plain("a\n\u{1b}[0m\u{2713}b"), "a??[0m?b");
    }
}
