//! Judging and printing: states, thresholds, metrics and reports.
//!
//! A check builds one [`Report`]; [`render`] turns it into text in one of five
//! formats. Text from peers goes through [`escape`] on its way into a report,
//! and every renderer cleans each line once more, so nothing a gateway sends
//! can break the line or forge performance data.

mod influx;
mod json;
mod metric;
mod nagios;
mod prometheus;
mod range;
mod report;
mod text;
mod zabbix;

pub use metric::{Metric, Unit};
pub use prometheus::{Exposition, Samples};
pub use range::{Range, Thresholds};
pub use report::{Fact, Report, Sub, Verdict};
pub use text::escape;
pub use zabbix::trapper_line;

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// The four states of the Monitoring Plugins convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Works as it should.
    Ok,
    /// Works, but not well.
    Warning,
    /// Does not work.
    Critical,
    /// Could not be tested.
    Unknown,
}

impl State {
    /// The word in capitals, as in the first line of a check.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The exit status, 0 to 3. A number to report, not a ranking.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The worse of two: OK < UNKNOWN < WARNING < CRITICAL. What is known to
    /// be broken outranks what could not be tested.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        match (self, other) {
            (Self::Critical, _) | (_, Self::Critical) => Self::Critical,
            (Self::Warning, _) | (_, Self::Warning) => Self::Warning,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Ok, Self::Ok) => Self::Ok,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    /// # Errors
    /// A sentence that lists the four words.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ok" => Ok(Self::Ok),
            "warning" => Ok(Self::Warning),
            "critical" => Ok(Self::Critical),
            "unknown" => Ok(Self::Unknown),
            _ => Err(format!("'{text}' is none of ok warning critical unknown")),
        }
    }
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The line of the Monitoring Plugins convention.
    #[default]
    Nagios,
    /// One JSON object.
    Json,
    /// Text for the textfile collector of node_exporter.
    Prometheus,
    /// One JSON object for a Zabbix master item; the exit status is always 0.
    Zabbix,
    /// InfluxDB line protocol; the exit status is always 0.
    Influx,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] =
        &[Self::Nagios, Self::Json, Self::Prometheus, Self::Zabbix, Self::Influx];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nagios => "nagios",
            Self::Json => "json",
            Self::Prometheus => "prometheus",
            Self::Zabbix => "zabbix",
            Self::Influx => "influx",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    /// # Errors
    /// A sentence that lists the words.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|format| format.word() == text);
        known.copied().ok_or_else(|| "known are nagios json prometheus zabbix influx".into())
    }
}

/// Who speaks, and about whom.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// The check's name as its first line has it: `PPTP GRE`.
    pub name: &'a str,
    /// The program: `check_pptp_gre`.
    pub program: &'a str,
    /// What was probed, as the operator named it: `vpn.example.net:1723`.
    pub target: &'a str,
}

pub(crate) use metric::is_label;
pub(crate) use nagios::unknown_line;

/// The version that every output carries.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The whole output, a line break at its end included. `verbosity` is 0 to 3.
pub fn render(
    report: &Report,
    identity: &Identity<'_>,
    format: Format,
    verbosity: u8,
) -> (String, u8) {
    let code = report.state().exit_code();
    match format {
        Format::Nagios => match report.page_text() {
            Some(page) => (page.to_owned(), code),
            None => (nagios::render(report, identity, verbosity), code),
        },
        Format::Json => (json::render(report, identity), code),
        Format::Prometheus => (prometheus::render(report, identity), code),
        Format::Zabbix => (zabbix::render(report, identity), 0),
        Format::Influx => (influx::render(report, identity, SystemTime::now()), 0),
    }
}

#[cfg(test)]
mod tests;
