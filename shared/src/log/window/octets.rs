//! A window as octets of a state file, and back. Version and checksum are the
//! file's; here every value is checked nevertheless, for a checksum only tells
//! accidents.

use std::net::IpAddr;

use super::{BUCKETS, LONGEST_NAME, MOST, Name, Record, Window};
use crate::gateway::tracker::TerminateCause;
use crate::log::ecs::CAUSES;
use crate::log::event::What;
use crate::reason::{Phase, Reason};
use crate::wire::{Error, Reader, Result, Writer};

const WHAT: &str = "the window";

impl Window {
    /// Appends all that [`Window::decode`] needs. Of a window over everything
    /// nothing is kept, for it belongs to one run.
    pub fn encode(&self, out: &mut Writer) {
        put_i64(out, self.width.unwrap_or(0));
        put_optional(out, self.last);
        put_optional(out, self.missing);
        let used = |bucket: &[u32; What::KINDS]| bucket.iter().any(|count| *count > 0);
        let buckets = || self.buckets.iter().enumerate().filter(|(_, bucket)| used(bucket));
        // Both are bounded far below.
        out.u8(buckets().count() as u8);
        for (place, bucket) in buckets() {
            out.u8(place as u8);
            bucket.iter().for_each(|count| out.u32(*count));
        }
        out.u16(self.records().count() as u16);
        for record in self.records() {
            put_record(out, record);
        }
    }

    /// The window that was encoded.
    ///
    /// # Errors
    /// For octets that no window gives.
    pub fn decode(octets: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(WHAT, octets);
        let width = get_i64(&mut reader)?;
        if width < 1 {
            return Err(Error::BadValue { what: "a part of the window", value: 0 });
        }
        let mut window = Self::with(Some(width));
        window.last = get_optional(&mut reader)?;
        window.missing = get_optional(&mut reader)?;
        for _ in 0..reader.u8()? {
            let place = usize::from(reader.u8()?);
            let bucket = window.buckets.get_mut(place);
            let bucket = bucket.ok_or(Error::BadLength { what: WHAT, length: place })?;
            for count in bucket {
                *count = reader.u32()?;
            }
        }
        let records = usize::from(reader.u16()?);
        if records > MOST {
            return Err(Error::BadLength { what: WHAT, length: records });
        }
        for _ in 0..records {
            window.records.push_back(get_record(&mut reader)?);
        }
        reader.finish()?;
        Ok(window)
    }
}

const _: () = assert!(BUCKETS <= u8::MAX as usize && MOST <= u16::MAX as usize);

fn put_record(out: &mut Writer, record: &Record) {
    put_i64(out, record.at);
    out.u8(record.what.index() as u8);
    match record.what {
        What::SessionDown { cause } => out.u8(cause as u8),
        What::CallFailed { phase, reason } => {
            out.u8(phase.number());
            out.u8(reason.number());
        }
        _ => {}
    }
    match record.source {
        None => out.u8(0),
        Some(IpAddr::V4(address)) => {
            out.u8(4);
            out.slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            out.u8(6);
            out.slice(&address.octets());
        }
    }
    out.u8(record.user.length);
    out.slice(record.user.octets());
}

fn get_record(reader: &mut Reader<'_>) -> Result<Record> {
    let at = get_i64(reader)?;
    let what = get_what(reader)?;
    let source = match reader.u8()? {
        0 => None,
        4 => Some(IpAddr::from(reader.array::<4>()?)),
        6 => Some(IpAddr::from(reader.array::<16>()?)),
        other => return Err(bad("a source", other)),
    };
    let length = reader.u8()?;
    if usize::from(length) > LONGEST_NAME {
        return Err(bad("a name", length));
    }
    let user = Name::new(reader.take(length.into())?);
    Ok(Record { at, what, source, user })
}

fn get_what(reader: &mut Reader<'_>) -> Result<What> {
    let cause = TerminateCause::Unknown;
    let (phase, reason) = (Phase::Done, Reason::None);
    let plain = [What::SessionUp, What::AuthFailure, What::ControlRefused];
    let index = reader.u8()?;
    if index == (What::SessionDown { cause }).index() as u8 {
        let number = reader.u8()?;
        let known = CAUSES.iter().find(|(cause, _)| *cause as u8 == number);
        let (cause, _) = *known.ok_or_else(|| bad("a cause", number))?;
        return Ok(What::SessionDown { cause });
    }
    if index == (What::CallFailed { phase, reason }).index() as u8 {
        let [phase, reason] = reader.array()?;
        let known = Phase::ALL.iter().find(|known| known.number() == phase);
        let phase = *known.ok_or_else(|| bad("a phase", phase))?;
        let known = Reason::ALL.iter().find(|known| known.number() == reason);
        let reason = *known.ok_or_else(|| bad("a reason", reason))?;
        return Ok(What::CallFailed { phase, reason });
    }
    let known = plain.into_iter().find(|what| what.index() as u8 == index);
    known.ok_or_else(|| bad("an event", index))
}

fn bad(what: &'static str, value: u8) -> Error {
    Error::BadValue { what, value: value.into() }
}

fn put_i64(out: &mut Writer, value: i64) {
    out.slice(&value.to_be_bytes());
}

fn get_i64(reader: &mut Reader<'_>) -> Result<i64> {
    reader.array().map(i64::from_be_bytes)
}

fn put_optional(out: &mut Writer, value: Option<i64>) {
    put_i64(out, value.unwrap_or(i64::MIN));
}

fn get_optional(reader: &mut Reader<'_>) -> Result<Option<i64>> {
    Ok(Some(get_i64(reader)?).filter(|value| *value != i64::MIN))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::event;
    use super::*;
    use proptest::prelude::*;

    fn filled() -> Window {
        let mut window = Window::new(Duration::from_secs(900));
        let peers = ["203.0.113.7", "2001:db8::7"].map(|text| text.parse().ok());
        for (number, (cause, _)) in CAUSES.iter().enumerate() {
            let at = number as i64 * 10_000_000;
            let down = event(at, What::SessionDown { cause: *cause });
            window.note(&crate::log::event::Event { peer: peers[number % 2], ..down }, b"alice");
        }
        for reason in Reason::ALL {
            let failed = What::CallFailed { phase: Phase::Auth, reason: *reason };
            window.note(&event(200_000_000, failed), b"\xff|\n");
        }
        for what in [What::SessionUp, What::AuthFailure, What::ControlRefused, What::LcpUp] {
            window.note(&event(210_000_000, what), b"");
        }
        window
    }

    fn encoded(window: &Window) -> Vec<u8> {
        let mut out = Writer::with_capacity(4096);
        window.encode(&mut out);
        out.finish()
    }

    #[test]
    fn a_window_comes_back_as_it_was() {
        let window = filled();
        let mut back = Window::decode(&encoded(&window)).unwrap();
        assert_eq!(back.counts(), window.counts());
        assert!(back.records().eq(window.records()));
        assert_eq!(back.span(), window.span());
        back.advance(1_000_000_000);
        let mut window = window;
        window.advance(1_000_000_000);
        assert_eq!(back.counts(), window.counts());
    }

    #[test]
    fn what_is_missing_stays_missing() {
        let mut window = Window::new(Duration::from_secs(900));
        for _ in 0..=MOST {
            window.note(&event(0, What::AuthFailure), b"");
        }
        let back = Window::decode(&encoded(&window)).unwrap();
        assert!(back.is_short());
        assert_eq!(back.records().count(), MOST);
    }

    #[test]
    fn every_prefix_and_a_longer_one_are_refused() {
        let octets = encoded(&filled());
        for length in 0..octets.len() {
            assert!(Window::decode(&octets[..length]).is_err(), "{length}");
        }
        assert!(Window::decode(&[octets.as_slice(), b"x"].concat()).is_err());
        assert!(Window::decode(&[0; 64]).is_err(), "a part without length");
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(
            octets in proptest::collection::vec(any::<u8>(), 0..400),
            changed in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8),
        ) {
            let mut good = encoded(&filled());
            for (place, octet) in changed {
                let place = usize::from(place) % good.len();
                good[place] = octet;
            }
            for octets in [octets, good] {
                if let Ok(mut window) = Window::decode(&octets) {
                    window.note(&event(1, What::SessionUp), b"bob");
                    window.advance(i64::MAX);
                    window.advance(i64::MIN);
                    let _ = (window.counts(), window.records().count(), window.span());
                }
            }
        }
    }
}
