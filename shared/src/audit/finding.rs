//! A finding, and the catalogue of all there are.

/// How much a finding matters; the numbers are those of `PptpSeverity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info = 2,
    /// Will hurt some callers, or weakens security.
    Warning = 3,
    /// Breaks sessions, or lays them open.
    Critical = 4,
}

/// What an audit can find, whatever the host.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable identifier, lower case with hyphens: `lcp-echo-missing`.
    pub id: &'static str,
    /// How much it matters where nothing makes it better or worse.
    pub severity: Severity,
    /// What a host should have, as a line of a checklist: `LCP echoes find a
    /// dead caller`.
    pub should: &'static str,
    /// What it is about, why it matters, what to weigh: a paragraph or two.
    pub explanation: &'static str,
}

/// One thing that is wrong on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static Rule,
    /// How much it matters here.
    pub severity: Severity,
    /// What is set, and where: file and line, sysctl, table and chain.
    pub found: String,
    /// What is advised.
    pub advised: String,
    /// The arithmetic that leads to it; empty if there is none.
    pub arithmetic: String,
    /// The command that mends it; empty if no single one does.
    pub mend: String,
}
