//! Time stamps of log lines.
//!
//! The hour of a stamp is reckoned once and kept: what follows in the same hour
//! costs a comparison and a few digits. Local times are those of the system's
//! zone; a time that a clock showed twice is the first one, a time that it
//! skipped is as far behind the gap as it was in it.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::log::entry::Stamp;
use crate::log::octets::{eight, is_same};

/// Octets of a stamp of RFC 3164, and the blank behind it.
const TRADITIONAL: usize = 16;
/// Octets of `2026-11-21T02:44:24.475772+00:00`, and the blank behind it.
const PRECISE: usize = 33;

const SECOND: Stamp = 1_000_000;
const MINUTE: Stamp = 60 * SECOND;
const HOUR: Stamp = 60 * MINUTE;
const DAY: Stamp = 24 * HOUR;
/// The 29th of February comes back after eight years at most.
const LEAP: i16 = 8;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// An hour as it is written, and its begin.
#[derive(Debug, Clone, Copy)]
struct Hour<const N: usize> {
    text: [u8; N],
    at: Stamp,
}

/// A second as RFC 3164 writes it, with the blank behind it, and what it is.
#[derive(Debug, Clone, Copy)]
struct Second {
    text: [u8; TRADITIONAL],
    at: Stamp,
}

/// `2026-11-21T02:44`, an offset with the blank behind it, and the begin of the
/// minute.
#[derive(Debug, Clone, Copy)]
struct Minute {
    text: [u8; 16],
    offset: [u8; 7],
    at: Stamp,
}

/// A stamp by its form alone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written<'a> {
    /// RFC 3164.
    Traditional(&'a [u8; TRADITIONAL]),
    /// RFC 3339, or none that can be read.
    Other(&'a [u8]),
}

#[derive(Debug)]
pub(super) struct Stamps {
    latest: Stamp,
    /// Many lines are written in one second.
    second: Option<Second>,
    minute: Option<Minute>,
    /// `Nov 21 02`.
    year_less: Option<Hour<9>>,
    /// `2026-11-21 02` in local time.
    local: Option<Hour<13>>,
    /// `2026-11-21T02` as if it were UTC.
    universal: Option<Hour<13>>,
}

impl Stamps {
    pub(super) fn new(now: Stamp) -> Self {
        Self {
            latest: now,
            second: None,
            minute: None,
            year_less: None,
            local: None,
            universal: None,
        }
    }

    /// The stamp in front of a line if it is like the one before, and what
    /// stands behind the blank behind it.
    #[inline(always)]
    pub(super) fn known<'a>(&self, line: &'a [u8]) -> Option<(Stamp, &'a [u8])> {
        if let (Some(known), Some((text, rest))) = (&self.second, line.split_first_chunk())
            && known.text == *text
        {
            return Some((known.at, rest));
        }
        if let (Some(known), Some((text, rest))) = (&self.minute, line.split_first_chunk())
            && let Some(at) = known.read(text)
        {
            return Some((at, rest));
        }
        None
    }

    /// What a stamp means.
    pub(super) fn read(&mut self, stamp: Written<'_>) -> Option<Stamp> {
        match stamp {
            Written::Traditional(text) => {
                let at = self.rfc_3164(&text[..TRADITIONAL - 1]);
                self.second = at.map(|at| Second { text: *text, at });
                at
            }
            Written::Other(text) => self.rfc_3339(text),
        }
    }

    /// `Nov 21 02:26:41` (RFC 3164, section 4.1.2), 15 octets.
    pub(super) fn rfc_3164(&mut self, text: &[u8]) -> Option<Stamp> {
        let hour: &[u8; 9] = text.first_chunk()?;
        let behind = minutes_and_seconds(text.get(9..)?)?;
        let at = match self.year_less {
            Some(known) if known.text == *hour => known.at,
            _ => {
                let at = self.guess_year(hour)?;
                self.year_less = Some(Hour { text: *hour, at });
                at
            }
        };
        let at = at + behind;
        self.latest = self.latest.max(at);
        Some(at)
    }

    /// `2026-11-21 03:02:29`, local time.
    pub(super) fn local(&mut self, text: &[u8]) -> Option<Stamp> {
        let hour: &[u8; 13] = text.first_chunk()?;
        let behind = minutes_and_seconds(text.get(13..)?)?;
        let at = match self.local {
            Some(known) if known.text == *hour => known.at,
            _ => {
                let at = in_zone(civil(hour)?, &ZONE)?;
                self.local = Some(Hour { text: *hour, at });
                at
            }
        };
        Some(at + behind)
    }

    /// `2026-11-21T02:44:24.475772+00:00`, also with `+0000`, `Z`, or without
    /// an offset, which is local time.
    pub(super) fn rfc_3339(&mut self, text: &[u8]) -> Option<Stamp> {
        let hour: &[u8; 13] = text.first_chunk()?;
        let behind = minutes_and_seconds(text.get(13..19)?)?;
        let (fraction, rest) = fraction(&text[19..])?;
        if rest.is_empty() {
            return Some(self.local(&text[..19])? + fraction);
        }
        let at = match self.universal {
            Some(known) if known.text == *hour => known.at,
            _ => {
                let at = in_zone(civil(hour)?, &TimeZone::UTC)?;
                self.universal = Some(Hour { text: *hour, at });
                at
            }
        };
        let at = at + behind + fraction - offset(rest)?;
        self.minute = Minute::of(text, at).or(self.minute);
        Some(at)
    }

    /// The latest year that does not put the hour a day ahead of what is known
    /// to be over.
    fn guess_year(&self, hour: &[u8; 9]) -> Option<Stamp> {
        let month = MONTHS.iter().position(|month| hour.starts_with(*month))? + 1;
        let day = match (hour[4], hour[5]) {
            (b' ', units) => digits(&[b'0', units])?,
            (tens, units) => digits(&[tens, units])?,
        };
        let clock = digits(&hour[7..9])?;
        let (month, day, clock) =
            (i8::try_from(month).ok()?, i8::try_from(day).ok()?, i8::try_from(clock).ok()?);
        let now = Timestamp::from_microsecond(self.latest).ok()?;
        let next = now.to_zoned(ZONE.clone()).year() + 1;
        (next - 1 - LEAP..=next).rev().find_map(|year| {
            let civil = DateTime::new(year, month, day, clock, 0, 0, 0).ok()?;
            in_zone(civil, &ZONE).filter(|at| *at <= self.latest + DAY)
        })
    }
}

impl Minute {
    /// That of a stamp, if it has six digits behind the second, and an offset.
    fn of(stamp: &[u8], at: Stamp) -> Option<Self> {
        let (text, offset) = (stamp.first_chunk()?, stamp.get(26..)?);
        if stamp.len() != PRECISE - 1 || !matches!(offset[0], b'+' | b'-') {
            return None;
        }
        let mut minute = Self { text: *text, offset: [b' '; 7], at: 0 };
        minute.offset[..6].copy_from_slice(offset);
        let mut line = [b' '; PRECISE];
        line[..PRECISE - 1].copy_from_slice(stamp);
        minute.at = at - minute.read(&line)?;
        Some(minute)
    }

    /// A stamp of this minute, with the same offset.
    #[inline]
    fn read(&self, stamp: &[u8; PRECISE]) -> Option<Stamp> {
        if stamp[..16] != self.text
            || (stamp[16], stamp[19]) != (b':', b'.')
            || !is_same(&stamp[26..], &self.offset)
        {
            return None;
        }
        // Seconds and what is behind them, without the point, are microseconds
        // as they stand; a leap second counts as one more.
        let mut digits = *stamp[18..].first_chunk()?;
        (digits[1], digits[0]) = (digits[0], stamp[17]);
        let micros = Stamp::from(eight(digits)?);
        (micros < 61 * SECOND).then(|| self.at + micros)
    }
}

/// The stamp in front of a line, and what stands behind the blank behind it.
pub(super) fn written(line: &[u8]) -> Option<(Written<'_>, &[u8])> {
    if let Some((text, rest)) = line.split_first_chunk::<TRADITIONAL>()
        && text[0].is_ascii_alphabetic()
        && (text[3], text[6], text[9]) == (b' ', b' ', b':')
        && (text[12], text[15]) == (b':', b' ')
    {
        return Some((Written::Traditional(text), rest));
    }
    let (text, rest) = super::word(line)?;
    Some((Written::Other(text), rest))
}

fn in_zone(civil: DateTime, zone: &TimeZone) -> Option<Stamp> {
    Some(zone.to_timestamp(civil).ok()?.as_microsecond())
}

/// `2026-11-21T02`, or with a blank.
fn civil(hour: &[u8; 13]) -> Option<DateTime> {
    if (hour[4], hour[7]) != (b'-', b'-') || !matches!(hour[10], b'T' | b't' | b' ') {
        return None;
    }
    let part = |from, to| i8::try_from(digits(&hour[from..to])?).ok();
    let year = i16::try_from(digits(&hour[..4])?).ok()?;
    DateTime::new(year, part(5, 7)?, part(8, 10)?, part(11, 13)?, 0, 0, 0).ok()
}

/// `:26:41`; a leap second counts as one more.
fn minutes_and_seconds(text: &[u8]) -> Option<Stamp> {
    let text: &[u8; 6] = text.try_into().ok()?;
    if (text[0], text[3]) != (b':', b':') {
        return None;
    }
    let (minutes, seconds) = (digits(&text[1..3])?, digits(&text[4..])?);
    (minutes < 60 && seconds <= 60)
        .then(|| Stamp::from(minutes) * MINUTE + Stamp::from(seconds) * SECOND)
}

/// Microseconds of `.475772`, of any number of digits, and what is behind it.
fn fraction(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let Some(text) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else {
        return Some((0, text));
    };
    let (mut microseconds, mut unit, mut length) = (0, SECOND / 10, 0);
    for digit in text.iter().take_while(|digit| digit.is_ascii_digit()) {
        microseconds += Stamp::from(digit - b'0') * unit;
        unit /= 10;
        length += 1;
    }
    (length > 0).then(|| (microseconds, &text[length..]))
}

/// `+01:00`, `-0330`, `Z`.
fn offset(text: &[u8]) -> Option<Stamp> {
    let (sign, hours, minutes) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [sign, a, b, b':', c, d] | [sign, a, b, c, d] => (sign, digits(&[a, b])?, digits(&[c, d])?),
        [sign, a, b] => (sign, digits(&[a, b])?, 0),
        _ => return None,
    };
    let size = Stamp::from(hours) * HOUR + Stamp::from(minutes) * MINUTE;
    match sign {
        b'+' if size < DAY => Some(size),
        b'-' if size < DAY => Some(-size),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<u16> {
    text.iter().try_fold(0, |sum: u16, octet| {
        octet.is_ascii_digit().then(|| sum * 10 + u16::from(octet - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Stamp {
        text.parse::<Timestamp>().expect("a time").as_microsecond()
    }

    /// A time of the system's zone, as syslog writes it.
    fn written(at: Stamp) -> String {
        let zoned = Timestamp::from_microsecond(at).expect("a time").to_zoned(ZONE.clone());
        let month = MONTHS[usize::try_from(zoned.month()).expect("a month") - 1];
        let (hour, minute, second) = (zoned.hour(), zoned.minute(), zoned.second());
        let month = String::from_utf8_lossy(month);
        format!("{month} {:2} {hour:02}:{minute:02}:{second:02}", zoned.day())
    }

    #[test]
    fn years_are_guessed_around_new_year() {
        for (now, at) in [
            ("2026-11-21T12:00:00Z", "2026-11-21T02:26:41Z"),
            ("2026-11-21T12:00:00Z", "2025-12-24T18:00:00Z"),
            ("2027-01-01T00:10:00Z", "2026-12-31T23:59:59Z"),
            // The writer's clock is ahead.
            ("2026-12-31T23:59:50Z", "2027-01-01T00:00:10Z"),
            // Seen years later, and in a year without that day.
            ("2027-06-01T00:00:00Z", "2024-02-29T12:00:00Z"),
            ("2028-03-01T00:00:00Z", "2028-02-29T12:00:00Z"),
        ] {
            let (now, at) = (utc(now), utc(at));
            let text = written(at);
            assert_eq!(Stamps::new(now).rfc_3164(text.as_bytes()), Some(at), "{text}");
        }
    }

    #[test]
    fn a_log_goes_on_into_the_next_year() {
        let mut stamps = Stamps::new(utc("2026-12-31T12:00:00Z"));
        for text in ["2026-12-31T20:00:00Z", "2027-01-01T19:00:00Z", "2027-01-02T18:00:00Z"] {
            let at = utc(text);
            assert_eq!(stamps.rfc_3164(written(at).as_bytes()), Some(at), "{text}");
        }
    }

    #[test]
    fn going_backwards_is_no_error() {
        let mut stamps = Stamps::new(utc("2026-11-21T12:00:00Z"));
        for text in ["2026-11-21T03:00:01Z", "2026-11-21T02:59:59Z", "2026-11-21T03:00:00Z"] {
            let at = utc(text);
            assert_eq!(stamps.rfc_3164(written(at).as_bytes()), Some(at), "{text}");
            assert_eq!(stamps.rfc_3339(text.as_bytes()), Some(at), "{text}");
        }
    }

    #[test]
    fn fractions_and_offsets_are_reckoned() {
        let mut stamps = Stamps::new(0);
        let at = utc("2026-11-21T02:44:24Z");
        for (text, expected) in [
            ("2026-11-21T02:44:24.475772+00:00", Some(at + 475_772)),
            ("2026-11-21T02:44:24.4757729+00:00", Some(at + 475_772)),
            ("2026-11-21T02:44:24.5Z", Some(at + 500_000)),
            ("2026-11-21T05:14:24+0230", Some(at)),
            ("2026-11-20T18:44:24-08", Some(at)),
            ("2026-11-21T02:44:24.Z", None),
            ("2026-11-21T02:44:24+99:00", None),
            ("2026-11-21T02:44:24*01:00", None),
            ("2026-11-21T02:44", None),
            ("2026-13-21T02:44:24Z", None),
        ] {
            assert_eq!(stamps.rfc_3339(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_clock_that_is_put_forward_or_back_gives_times() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let at = |text: &str| in_zone(text.parse().expect("a time"), &berlin);
        assert_eq!(at("2026-03-29T02:30:00"), Some(utc("2026-03-29T01:30:00Z")));
        assert_eq!(at("2026-10-25T02:30:00"), Some(utc("2026-10-25T00:30:00Z")));
    }
}
