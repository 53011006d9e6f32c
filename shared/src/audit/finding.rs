//! A finding, and what every rule of the catalogue has.

use std::fmt;

use super::facts::Facts;
use super::known::{Known, Unread};
use super::rules::accel_ppp::Accel;
use super::rules::pppd::Pppd;
use crate::reason::{Phase, Reason};

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

impl Severity {
    /// The word in outputs and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What an audit can find, whatever the host. Texts are ASCII.
#[derive(Debug)]
pub struct Rule {
    /// Stable identifier, lower case with hyphens: `lcp-echo-missing`.
    pub id: &'static str,
    /// How much it matters where nothing makes it better or worse.
    pub severity: Severity,
    /// The phase of a session that suffers.
    pub phase: Phase,
    /// Whether sessions break by it or are laid open.
    pub reason: Reason,
    /// What a host should have, as a line of a checklist: `LCP echoes keep
    /// sessions alive`.
    pub should: &'static str,
    /// What happens otherwise, in a few words.
    pub harm: &'static str,
    /// What it is about, why it matters, what to weigh: a paragraph.
    pub explanation: &'static str,
    /// How it is told.
    pub(super) check: Check,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Rule {}

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

/// Whom a rule asks.
#[derive(Debug)]
pub(super) enum Check {
    /// The host, once.
    Host(fn(&Facts) -> Answer),
    /// Each daemon that is there, if the rule has a question for it.
    Daemons(Option<fn(&Pppd<'_>, &Facts) -> Answer>, Option<fn(&Accel<'_>, &Facts) -> Answer>),
}

/// What is set, where that is as it should be.
pub(super) type Answer = Result<String, Objection>;

/// Why a rule is not passed.
pub(super) enum Objection {
    /// It is broken.
    Broken(Broken),
    /// It does not apply, and why.
    Inapplicable(&'static str),
    /// What would tell could not be read.
    Unread(Unread),
}

/// A [`Finding`] before it is known of which rule.
#[derive(Default)]
pub(super) struct Broken {
    found: String,
    advised: String,
    arithmetic: String,
    mend: String,
    severity: Option<Severity>,
}

impl Broken {
    pub(super) fn new(found: impl Into<String>, advised: impl Into<String>) -> Self {
        Self { found: found.into(), advised: advised.into(), ..Self::default() }
    }

    pub(super) fn because(mut self, arithmetic: impl Into<String>) -> Self {
        self.arithmetic = arithmetic.into();
        self
    }

    pub(super) fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.mend = command.into();
        self
    }

    pub(super) fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    pub(super) fn of(self, rule: &'static Rule) -> Finding {
        Finding {
            rule,
            severity: self.severity.unwrap_or(rule.severity),
            found: self.found,
            advised: self.advised,
            arithmetic: self.arithmetic,
            mend: self.mend,
        }
    }
}

impl From<Broken> for Objection {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl<T> Known<T> {
    /// The fact, or why there is none.
    pub(super) fn or_object(&self, absent: &'static str) -> Result<&T, Objection> {
        match self {
            Self::Is(fact) => Ok(fact),
            Self::Absent => Err(Objection::Inapplicable(absent)),
            Self::Unread(unread) => Err(Objection::Unread(unread.clone())),
        }
    }
}
