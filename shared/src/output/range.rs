//! Thresholds in the range syntax of the Monitoring Plugins guidelines.
//!
//! `10` alerts outside 0 to 10, `10:` below 10, `~:10` above 10, `10:20`
//! outside both, `@10:20` inside them. Because Zabbix forbids `~` and `@` in
//! arguments, `-inf:10` and `inside:10:20` mean `~:10` and `@10:20`.
//!
//! A range that could never alert (`~:`) or always would (`@~:`) is refused,
//! and so is everything that is not a finite number.

use std::fmt;
use std::str::FromStr;

use nagios_range::NagiosRange;

/// A checked range.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    range: NagiosRange,
    text: String,
}

impl Range {
    /// Whether the value is outside what the range asks for. A value that is
    /// not a number alerts.
    pub fn alerts(&self, value: f64) -> bool {
        value.is_nan() || self.range.check(value)
    }

    /// What is wrong with a value that alerts: `above 0.2`, `below 3`,
    /// `within 10:20`. The limit carries `unit`, for example ` s`.
    pub(super) fn complaint(&self, value: f64, unit: &str) -> String {
        let bounds = self.text.trim_start_matches('@');
        if self.range.checks_inside() {
            return format!("within {bounds}{unit}");
        }
        match bounds.split_once(':') {
            None if value < 0.0 => format!("below 0{unit}"),
            None => format!("above {bounds}{unit}"),
            Some((start, _)) if value < *self.range.start() => {
                format!("below {}{unit}", if start.is_empty() { "0" } else { start })
            }
            Some((_, end)) => format!("above {end}{unit}"),
        }
    }
}

/// As the operator wrote it; the spellings for Zabbix in the standard form,
/// because this text stands in performance data.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Range {
    type Err = String;

    /// # Errors
    /// A sentence that names the part that is wrong.
    fn from_str(given: &str) -> Result<Self, String> {
        if given.is_empty() {
            return Err("the range is empty".into());
        }
        let text = standard_spelling(given);
        if text.trim_start_matches('@') == ":" {
            return Err("the range has neither start nor end".into());
        }
        let allowed = |c: char| c.is_ascii_digit() || "-+.eE:~@".contains(c);
        if let Some(wrong) = text.chars().find(|c| !allowed(*c)) {
            return Err(format!("unexpected character '{}' in a range", wrong.escape_default()));
        }
        let (inside, bounds) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let (start, end) = match bounds.split_once(':') {
            Some((start, end)) => {
                (start_of(start)?, if end.is_empty() { f64::INFINITY } else { finite(end)? })
            }
            None => (0.0, finite(bounds)?),
        };
        if start > end {
            return Err(format!("start {start} is above end {end}"));
        }
        if start == f64::NEG_INFINITY && end == f64::INFINITY {
            let when = if inside { "always" } else { "never" };
            return Err(format!("a range without limits would {when} alert"));
        }
        let range = NagiosRange::from(&text).map_err(|error| error.to_string())?;
        Ok(Self { range, text })
    }
}

/// The ranges of a run, by the label of the metric that each judges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thresholds {
    entries: Vec<(String, Option<Range>, Option<Range>)>,
}

impl Thresholds {
    /// No thresholds: nothing alerts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the sides that are given; a side that is `None` stays as it was.
    pub fn set(&mut self, label: &str, warning: Option<Range>, critical: Option<Range>) {
        let entry = match self.entries.iter_mut().find(|entry| entry.0 == label) {
            Some(entry) => entry,
            None => {
                self.entries.push((label.to_owned(), None, None));
                let last = self.entries.len() - 1;
                &mut self.entries[last]
            }
        };
        entry.1 = warning.or(entry.1.take());
        entry.2 = critical.or(entry.2.take());
    }

    /// The metrics that have a range.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.0.as_str())
    }

    /// The warning and the critical range for a metric.
    pub fn get(&self, label: &str) -> (Option<&Range>, Option<&Range>) {
        match self.entries.iter().find(|entry| entry.0 == label) {
            Some((_, warning, critical)) => (warning.as_ref(), critical.as_ref()),
            None => (None, None),
        }
    }
}

fn standard_spelling(given: &str) -> String {
    let (at, bounds) = match given.strip_prefix("inside:") {
        Some(bounds) => ("@", bounds),
        None => match given.strip_prefix('@') {
            Some(bounds) => ("@", bounds),
            None => ("", given),
        },
    };
    match bounds.strip_prefix("-inf:") {
        Some(end) => format!("{at}~:{end}"),
        None => format!("{at}{bounds}"),
    }
}

fn start_of(text: &str) -> Result<f64, String> {
    match text {
        "" => Ok(0.0),
        "~" => Ok(f64::NEG_INFINITY),
        _ => finite(text),
    }
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(format!("'{text}' is too large")),
        Err(_) => Err(format!("'{text}' is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    #[test]
    fn forms_of_the_guidelines_alert_where_they_should() {
        for (text, alerting, quiet) in [
            ("10", [-0.1, 10.1], [0.0, 10.0]),
            ("10:", [9.9, -1.0], [10.0, 1e9]),
            ("~:10", [10.1, 1e9], [10.0, -1e9]),
            ("10:20", [9.9, 20.1], [10.0, 20.0]),
            ("@10:20", [10.0, 20.0], [9.9, 20.1]),
            ("-20:-10", [-21.0, 0.0], [-20.0, -10.0]),
            ("1e-3", [0.002, -1.0], [0.0, 0.001]),
        ] {
            for value in alerting {
                assert!(range(text).alerts(value), "{text} {value}");
            }
            for value in quiet {
                assert!(!range(text).alerts(value), "{text} {value}");
            }
            assert_eq!(range(text).to_string(), text);
        }
    }

    #[test]
    fn zabbix_spellings_mean_the_standard_ones() {
        for (given, standard) in [
            ("-inf:10", "~:10"),
            ("inside:10:20", "@10:20"),
            ("inside:-inf:10", "@~:10"),
            ("@-inf:10", "@~:10"),
            ("inside:5", "@5"),
        ] {
            assert_eq!(range(given), range(standard));
            assert_eq!(range(given).to_string(), standard);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, error) in [
            ("", "the range is empty"),
            (":", "the range has neither start nor end"),
            ("@:", "the range has neither start nor end"),
            ("inside::", "the range has neither start nor end"),
            ("20:10", "start 20 is above end 10"),
            ("-10", "start 0 is above end -10"),
            ("@5:1", "start 5 is above end 1"),
            ("nan", "unexpected character 'n' in a range"),
            ("10:NaN", "unexpected character 'N' in a range"),
            ("inf", "unexpected character 'i' in a range"),
            ("inf:10", "unexpected character 'i' in a range"),
            ("10:inf", "unexpected character 'i' in a range"),
            ("1e999", "'1e999' is too large"),
            ("10s", "unexpected character 's' in a range"),
            ("1\n", "unexpected character '\\n' in a range"),
            ("10 20", "unexpected character ' ' in a range"),
            ("1.2.3", "'1.2.3' is not a number"),
            ("1:2:3", "'2:3' is not a number"),
            ("10:~", "'~' is not a number"),
            ("@", "'' is not a number"),
            ("@@1:2", "'@1' is not a number"),
            ("~", "'~' is not a number"),
            ("~:", "a range without limits would never alert"),
            ("-inf:", "a range without limits would never alert"),
            ("@~:", "a range without limits would always alert"),
            ("inside:-inf:", "a range without limits would always alert"),
        ] {
            assert_eq!(text.parse::<Range>().unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn complaint_names_the_limit_that_was_passed() {
        for (text, value, complaint) in [
            ("0.2", 0.231, "above 0.2 s"),
            ("0.2", -1.0, "below 0 s"),
            ("10:", 3.0, "below 10 s"),
            (":10", -3.0, "below 0 s"),
            ("10:20", 30.0, "above 20 s"),
            ("@10:20", 15.0, "within 10:20 s"),
        ] {
            assert!(range(text).alerts(value));
            assert_eq!(range(text).complaint(value, " s"), complaint);
        }
    }

    #[test]
    fn not_a_number_always_alerts() {
        assert!(range("@10:20").alerts(f64::NAN));
        assert!(range("10").alerts(f64::NAN));
    }

    #[test]
    fn thresholds_keep_the_side_that_is_not_set_again() {
        let mut thresholds = Thresholds::new();
        thresholds.set("echo_rtt", Some(range("1")), Some(range("2")));
        thresholds.set("echo_rtt", None, Some(range("3")));
        assert_eq!(thresholds.get("echo_rtt"), (Some(&range("1")), Some(&range("3"))));
        assert_eq!(thresholds.get("lcp_rtt"), (None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_can_both_alert_and_stay_quiet(text in "[-0-9.eE:~@+infsd]{0,12}") {
            if let Ok(range) = text.parse::<Range>() {
                let (start, end) = (*range.range.start(), *range.range.end());
                let outside = if end.is_finite() { end + end.abs() + 1.0 } else { start - start.abs() - 1.0 };
                let inside = if start.is_finite() { start } else { end };
                prop_assert_ne!(range.alerts(outside), range.alerts(inside));
                prop_assert_eq!(range.to_string().parse::<Range>(), Ok(range));
            }
        }
    }
}
