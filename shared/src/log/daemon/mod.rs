//! What the daemons and the kernel say: the octets of a message to a value that
//! borrows from them. No state.
//!
//! A sentence is told by its fixed octets from the first one on; a name in it is
//! everything between the fixed ends. So nothing that a caller calls itself
//! becomes another sentence, but for what the daemon itself cannot tell from
//! one: accel-ppp writes names as they are, with line ends.

pub(super) mod accel_ppp;
pub(super) mod kernel;
pub(super) mod pppd;
pub(super) mod pptpd;

use std::net::Ipv4Addr;

use super::event::Program;
use super::octets::leading;

/// The program with a tag; none if it is not understood.
pub(super) fn program(tag: &[u8]) -> Option<Program> {
    match tag {
        b"pppd" => Some(Program::Pppd),
        b"pptpd" | b"pptpctrl" => Some(Program::Pptpd),
        b"accel-pppd" => Some(Program::AccelPpp),
        b"kernel" => Some(Program::Kernel),
        _ => None,
    }
}

/// What stands between the fixed ends of a sentence.
#[inline(always)]
fn between<'a>(message: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    message.strip_prefix(before)?.strip_suffix(after)
}

/// A number in decimal digits and nothing else.
pub(super) fn decimal(octets: &[u8]) -> Option<u64> {
    let (number, rest) = leading(octets)?;
    rest.is_empty().then_some(number)
}

/// An address in dotted decimal and nothing else.
fn address(octets: &[u8]) -> Option<Ipv4Addr> {
    let (a, rest) = part(octets)?;
    let (b, rest) = part(rest.strip_prefix(b".")?)?;
    let (c, rest) = part(rest.strip_prefix(b".")?)?;
    let (d, rest) = part(rest.strip_prefix(b".")?)?;
    rest.is_empty().then(|| Ipv4Addr::new(a, b, c, d))
}

/// A part of an address, of one to three digits, and what stands behind it.
#[inline(always)]
fn part(octets: &[u8]) -> Option<(u8, &[u8])> {
    match octets {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            let value = 100 * u16::from(a - b'0') + u16::from(10 * (b - b'0') + (c - b'0'));
            Some((u8::try_from(value).ok()?, rest))
        }
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => Some((10 * (a - b'0') + (b - b'0'), rest)),
        [a @ b'0'..=b'9', rest @ ..] => Some((a - b'0', rest)),
        _ => None,
    }
}

/// How often a message came again, by syslogd's `last message repeated 3 times`.
pub(super) fn repeated(message: &[u8]) -> Option<u64> {
    decimal(between(message, b"last message repeated ", b" times")?)
}

/// How often which message came again, by rsyslog's `message repeated 3 times:
/// [ ...]`.
pub(super) fn repetition(message: &[u8]) -> Option<(u64, &[u8])> {
    let (times, rest) = leading(message.strip_prefix(b"message repeated ")?)?;
    let message = between(rest, b" times: [", b"]")?;
    Some((times, message.strip_prefix(b" ").unwrap_or(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_whole_or_nothing() {
        assert_eq!(decimal(b"1812"), Some(1812));
        for bad in [&b""[..], b"1 ", b"-1", b"18446744073709551616", b"1x"] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
        assert_eq!(address(b"10.77.0.3"), Some(Ipv4Addr::new(10, 77, 0, 3)));
        for bad in [
            &b"10.77.0"[..],
            b"10.77.0.256",
            b"10.77.0.3 ",
            b"10.77.0.3.",
            b".1.2.3",
            b"1.2.3.4.5",
            b"1..2.3",
        ] {
            assert_eq!(address(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn repetitions_are_counted_by_their_whole_form() {
        assert_eq!(repeated(b"last message repeated 3 times"), Some(3));
        assert_eq!(repeated(b"last message repeated 3 times: authentication failed"), None);
        assert_eq!(
            repetition(b"message repeated 2 times: [ Peer a] failed CHAP authentication]"),
            Some((2, &b"Peer a] failed CHAP authentication"[..]))
        );
        assert_eq!(repetition(b"message repeated 2 times: [ cut"), None);
    }
}
