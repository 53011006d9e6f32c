//! One measured value: what is judged and what is printed are the same.
//!
//! Durations are cut to microseconds and other numbers rounded to six decimals
//! when the metric is made, so a value that alerts is also printed as one that
//! is outside its range.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Range, State, Thresholds};
use crate::reason::Phase;

/// Seconds of one day.
pub(super) const SECONDS_OF_DAY: u64 = 86_400;

/// The unit of measurement of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, UOM `s`.
    Seconds,
    /// 0 to 100, UOM `%`.
    Percent,
    /// Octets, UOM `B`.
    Octets,
    /// A number that only grows, UOM `c`.
    Counter,
    /// Whole days, without a UOM.
    Days,
    /// No unit.
    None,
}

impl Unit {
    /// The UOM of performance data.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Percent => "%",
            Self::Octets => "B",
            Self::Counter => "c",
            Self::Days | Self::None => "",
        }
    }

    /// The unit behind a number in a sentence.
    fn in_words(self) -> &'static str {
        match self {
            Self::Seconds => " s",
            Self::Percent => " %",
            Self::Octets => " B",
            Self::Days => " days",
            Self::Counter | Self::None => "",
        }
    }
}

/// A value with its unit, its ranges and its limits.
#[derive(Debug, Clone)]
pub struct Metric {
    label: &'static str,
    /// Which of several things of the same kind was measured, from 1 on.
    ordinal: u8,
    /// Whose it is, where a sentence has to say so.
    owner: String,
    value: Value,
    unit: Unit,
    phase: Phase,
    warning: Option<Range>,
    critical: Option<Range>,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Duration(Duration),
    Integer(u64),
    Real(f64),
}

impl Metric {
    /// A duration, to the microsecond. A label is `[a-z0-9_]{1,19}`.
    pub fn seconds(label: &'static str, value: Duration) -> Self {
        let micros = value.subsec_micros();
        let value = Duration::new(value.as_secs(), micros * 1000);
        Self::new(label, Value::Duration(value), Unit::Seconds)
    }

    /// A percentage, 0 to 100, to six decimals.
    pub fn percent(label: &'static str, value: f64) -> Self {
        Self::new(label, Value::Real(rounded(value)), Unit::Percent)
    }

    /// An amount of data in octets.
    pub fn octets(label: &'static str, value: u64) -> Self {
        Self::new(label, Value::Integer(value), Unit::Octets)
    }

    /// A number that only grows.
    pub fn counter(label: &'static str, value: u64) -> Self {
        Self::new(label, Value::Integer(value), Unit::Counter)
    }

    /// A time in whole days, for what ends in weeks or months.
    pub fn days(label: &'static str, value: Duration) -> Self {
        Self::new(label, Value::Integer(value.as_secs() / SECONDS_OF_DAY), Unit::Days)
    }

    /// A number without unit, to six decimals. What is not a finite number is
    /// judged unknown and not printed.
    pub fn number(label: &'static str, value: f64) -> Self {
        Self::new(label, Value::Real(rounded(value)), Unit::None)
    }

    /// Attaches the ranges that stand under the metric's label.
    #[must_use]
    pub fn judged_by(mut self, thresholds: &Thresholds) -> Self {
        let (warning, critical) = thresholds.get(self.label);
        self.warning = warning.cloned();
        self.critical = critical.cloned();
        self
    }

    /// The phase to blame when the metric is outside its ranges; without it
    /// that is `done`.
    #[must_use]
    pub fn in_phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// The least value possible, for graphs.
    #[must_use]
    pub fn min(mut self, min: f64) -> Self {
        self.min = Some(min);
        self
    }

    /// The greatest value possible, for graphs.
    #[must_use]
    pub fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// For one of several servers: which, from 1 on. In performance data the
    /// labels of the second are `auth_time_2` and so on, so a label has no more
    /// than 16 characters then; ranges stand under the label alone.
    #[must_use]
    pub fn numbered(mut self, ordinal: u8) -> Self {
        debug_assert!(ordinal < 2 || self.label.len() <= 16);
        self.ordinal = ordinal;
        self
    }

    /// Names the one of several things that was measured, for a sentence:
    /// `time of radius2 is 3 s`.
    #[must_use]
    pub fn of(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// The label in performance data, without a number.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// The unit.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The value in its unit.
    pub fn value(&self) -> f64 {
        match self.value {
            Value::Duration(duration) => duration.as_secs_f64(),
            // Exact up to 2^53, which no octet counter of a session reaches.
            Value::Integer(integer) => integer as f64,
            Value::Real(real) => real,
        }
    }

    /// What the ranges say about the value.
    pub fn state(&self) -> State {
        let value = self.value();
        if !value.is_finite() {
            State::Unknown
        } else if self.critical.as_ref().is_some_and(|range| range.alerts(value)) {
            State::Critical
        } else if self.warning.as_ref().is_some_and(|range| range.alerts(value)) {
            State::Warning
        } else {
            State::Ok
        }
    }

    /// What is wrong, as a sentence, if something is:
    /// `echo_rtt is 0.231 s, above 0.2 s`.
    pub fn complaint(&self) -> Option<String> {
        let range = match self.state() {
            State::Ok => return None,
            State::Unknown => return Some(format!("{} is not a number", self.name())),
            State::Warning => self.warning.as_ref()?,
            State::Critical => self.critical.as_ref()?,
        };
        let unit = self.unit.in_words();
        let value = self.decimal();
        let value = if value.contains('.') {
            value.trim_end_matches('0').trim_end_matches('.')
        } else {
            &value
        };
        Some(format!("{} is {value}{unit}, {}", self.name(), range.complaint(self.value(), unit)))
    }

    fn name(&self) -> String {
        match self.owner.as_str() {
            "" => self.label.to_owned(),
            owner => format!("{} of {owner}", self.label),
        }
    }

    pub(super) fn ordinal(&self) -> u8 {
        self.ordinal
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn warning(&self) -> Option<&Range> {
        self.warning.as_ref()
    }

    pub(super) fn critical(&self) -> Option<&Range> {
        self.critical.as_ref()
    }

    /// Whether the value can be printed as a number.
    pub(super) fn is_printable(&self) -> bool {
        self.value().is_finite()
    }

    /// The value as a decimal number without exponent.
    pub(super) fn decimal(&self) -> String {
        match self.value {
            Value::Duration(duration) => seconds(duration),
            Value::Integer(integer) => integer.to_string(),
            Value::Real(real) => decimal(real),
        }
    }

    /// Appends `'label'=value[UOM];warn;crit;min;max`, empty fields at the end
    /// left out.
    pub(super) fn push_perfdata(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self.ordinal {
            0 | 1 => write!(out, "'{}'", self.label),
            ordinal => write!(out, "'{}_{ordinal}'", self.label),
        };
        let _ = write!(out, "={}{}", self.decimal(), self.unit.symbol());
        let limit = |limit: Option<f64>| limit.filter(|limit| limit.is_finite()).map(decimal);
        let range = |range: &Option<Range>| range.as_ref().map(Range::to_string);
        let fields =
            [range(&self.warning), range(&self.critical), limit(self.min), limit(self.max)];
        let used = fields.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        for field in &fields[..used] {
            out.push(';');
            out.push_str(field.as_deref().unwrap_or(""));
        }
    }

    fn new(label: &'static str, value: Value, unit: Unit) -> Self {
        debug_assert!(is_label(label), "{label} is no label for performance data");
        Self {
            label,
            ordinal: 1,
            owner: String::new(),
            value,
            unit,
            phase: Phase::Done,
            warning: None,
            critical: None,
            min: None,
            max: None,
        }
    }
}

/// Whether a text may be a label: `[a-z0-9_]{1,19}`, what RRD files can hold.
pub(crate) fn is_label(text: &str) -> bool {
    (1..=19).contains(&text.len())
        && text.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Seconds with six decimals.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}.{:06}", duration.as_secs(), duration.subsec_micros())
}

/// A finite number with up to six decimals, no exponent and no negative zero.
pub(super) fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

fn rounded(value: f64) -> f64 {
    let scaled = (value * 1e6).round() / 1e6;
    // Beyond 2^53 there are no decimals to round, and the product may overflow.
    if value.abs() < 9e9 { scaled } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn perfdata(metric: &Metric) -> String {
        let mut out = String::new();
        metric.push_perfdata(&mut out);
        out
    }

    fn thresholds(label: &str, warning: &str, critical: &str) -> Thresholds {
        let mut thresholds = Thresholds::new();
        thresholds.set(label, warning.parse().ok(), critical.parse().ok());
        thresholds
    }

    #[test]
    fn every_unit_has_its_symbol() {
        let time = Duration::from_micros(38_214);
        assert_eq!(perfdata(&Metric::seconds("connect_time", time)), "'connect_time'=0.038214s");
        assert_eq!(perfdata(&Metric::percent("lcp_loss", 12.5)), "'lcp_loss'=12.5%");
        assert_eq!(perfdata(&Metric::octets("received", 1_500)), "'received'=1500B");
        assert_eq!(
            perfdata(&Metric::counter("frames", u64::MAX)),
            "'frames'=18446744073709551615c"
        );
        assert_eq!(perfdata(&Metric::number("key_bits", 128.0)), "'key_bits'=128");
        let left = Metric::days("cert_days", Duration::from_secs(30 * 86_400 - 1));
        assert_eq!(perfdata(&left), "'cert_days'=29");
        let left = left.judged_by(&thresholds("cert_days", "30:", "7:"));
        assert_eq!(left.complaint().unwrap(), "cert_days is 29 days, below 30 days");
    }

    #[test]
    fn fields_at_the_end_are_left_out_and_others_stay_empty() {
        let metric = Metric::percent("lcp_loss", 1.0);
        assert_eq!(perfdata(&metric.clone().min(0.0).max(100.0)), "'lcp_loss'=1%;;;0;100");
        let judged = metric.judged_by(&thresholds("lcp_loss", "", "@5:10"));
        assert_eq!(perfdata(&judged), "'lcp_loss'=1%;;@5:10");
    }

    #[test]
    fn what_is_judged_is_what_is_printed() {
        let limits = thresholds("echo_rtt", "0.2", "1");
        let just_over = Metric::seconds("echo_rtt", Duration::from_nanos(200_000_400));
        let just_over = just_over.judged_by(&limits);
        assert_eq!(just_over.state(), State::Ok);
        assert_eq!(perfdata(&just_over), "'echo_rtt'=0.200000s;0.2;1");
        let over = Metric::seconds("echo_rtt", Duration::from_micros(200_001)).judged_by(&limits);
        assert_eq!(over.state(), State::Warning);
        assert_eq!(over.complaint().unwrap(), "echo_rtt is 0.200001 s, above 0.2 s");
    }

    #[test]
    fn critical_outranks_warning() {
        let limits = thresholds("echo_rtt", "0.2", "1");
        let metric = Metric::seconds("echo_rtt", Duration::from_secs(10)).judged_by(&limits);
        assert_eq!(metric.state(), State::Critical);
        assert_eq!(metric.complaint().unwrap(), "echo_rtt is 10 s, above 1 s");
    }

    #[test]
    fn owner_stands_in_the_sentence_only() {
        let limits = thresholds("time", "1", "");
        let time = Metric::seconds("time", Duration::from_secs(3)).judged_by(&limits).of("r2");
        assert_eq!(time.complaint().unwrap(), "time of r2 is 3 s, above 1 s");
        assert_eq!(perfdata(&time), "'time'=3.000000s;1");
    }

    #[test]
    fn whole_numbers_keep_their_zeros_in_a_complaint() {
        let metric =
            Metric::octets("received", 1500).judged_by(&thresholds("received", "200:", "100:"));
        assert_eq!(metric.complaint(), None);
        let metric = Metric::octets("received", 100).judged_by(&thresholds("received", "200:", ""));
        assert_eq!(metric.complaint().unwrap(), "received is 100 B, below 200 B");
    }

    #[test]
    fn not_a_number_is_unknown() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let metric = Metric::number("offset", value).judged_by(&thresholds("offset", "1", "2"));
            assert_eq!(metric.state(), State::Unknown);
            assert!(!metric.is_printable());
            assert_eq!(metric.complaint().unwrap(), "offset is not a number");
        }
    }

    #[test]
    fn labels_fit_into_an_rrd_file() {
        for good in ["a", "echo_rtt", "0123456789abcdefghi"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "Echo", "a-b", "a b", "0123456789abcdefghij"] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn a_small_negative_number_does_not_become_negative_zero() {
        assert_eq!(perfdata(&Metric::number("offset", -1e-9)), "'offset'=0");
    }

    proptest! {
        #[test]
        fn every_finite_number_is_printed_as_a_plain_decimal(value in proptest::num::f64::NORMAL) {
            let text = Metric::number("value", value).decimal();
            prop_assert!(text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-' || octet == b'.'));
            let back: f64 = text.parse().unwrap();
            prop_assert!((back - value).abs() <= 1e-6_f64.max(value.abs() * 1e-15));
        }
    }
}
