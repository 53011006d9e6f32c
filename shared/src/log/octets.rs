//! Short octet strings and decimal digits of log lines, eight octets at a time:
//! they are most of what a line is made of, and are too short for what a call
//! of memcmp(3) or a loop costs to begin.

/// `0` in each octet.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// The highest bit of each octet.
const HIGH: u64 = 0x8080_8080_8080_8080;
/// What lifts every digit above nine to the highest bit.
const LIFT: u64 = 0x7676_7676_7676_7676;

/// Powers of ten.
const UNITS: [u64; 9] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Whether both are the same; quick for 4 to 16 octets.
#[inline]
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // First and last octets, which may overlap.
    match a.len() {
        8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
        4..8 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        _ => a == b,
    }
}

/// What stands behind `start`.
#[inline]
pub(super) fn behind<'a>(octets: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = octets.split_at_checked(start.len())?;
    is_same(front, start).then_some(rest)
}

/// The number in front, of however many digits, and what stands behind it;
/// `None` if there is none or it has more than 64 bits.
#[inline]
pub(super) fn leading(octets: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut rest) = (0u64, octets);
    while let Some(chunk) = rest.first_chunk() {
        let (part, digits) = front(*chunk);
        if digits == 0 {
            break;
        }
        number = number.checked_mul(UNITS[digits])?.checked_add(part.into())?;
        rest = &rest[digits..];
        if digits < 8 {
            return Some((number, rest));
        }
    }
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        rest = behind;
    }
    (rest.len() < octets.len()).then_some((number, rest))
}

/// The number in front of eight octets, and how many digits it has; if none,
/// the number is any.
#[inline]
pub(super) fn front(octets: [u8; 8]) -> (u32, usize) {
    let values = u64::from_le_bytes(octets) ^ ZEROS;
    // Only the first octet that is no digit matters; what it carries into
    // those behind it does not.
    let bits = not_digits(values).trailing_zeros() & !7;
    // Zeros in front stand for the digits that are not there.
    (sum(values.wrapping_shl(64 - bits)), bits as usize / 8)
}

/// The number that eight octets are; `None` if one of them is no digit.
#[inline]
pub(super) fn eight(octets: [u8; 8]) -> Option<u32> {
    let values = u64::from_le_bytes(octets) ^ ZEROS;
    (not_digits(values) == 0).then(|| sum(values))
}

/// The highest bit of each octet above nine, as far as the first of them.
#[inline]
fn not_digits(values: u64) -> u64 {
    (values.wrapping_add(LIFT) | values) & HIGH
}

/// Eight digits' values, the highest first in memory: to pairs, to fours, to
/// the whole.
#[inline]
fn sum(values: u64) -> u32 {
    let pairs = (values.wrapping_mul(10).wrapping_add(values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours as u32) * 10_000 + (fours >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_octet_strings_are_compared_whole() {
        let octets: Vec<u8> = (0..40).collect();
        for length in 0..=octets.len() {
            let same = &octets[..length];
            assert!(is_same(same, &octets.clone()[..length]));
            assert_eq!(behind(&octets, same), Some(&octets[length..]));
            for place in 0..length {
                let mut other = same.to_vec();
                other[place] ^= 0x80;
                assert!(!is_same(same, &other), "{length} {place}");
                assert_eq!(behind(&octets, &other), None);
                assert!(!is_same(same, &same[..place]));
                assert_eq!(behind(&same[..place], same), None);
            }
        }
    }

    /// The same, digit by digit.
    fn slowly(octets: &[u8]) -> Option<(u64, &[u8])> {
        let length = octets.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let (digits, rest) = octets.split_at(length);
        Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
    }

    #[test]
    fn numbers_of_any_length_are_read_with_anything_behind() {
        let digits = b"0123456789987654321009";
        for first in 0..digits.len() {
            for length in 0..digits.len() - first {
                for behind in 0..=u8::MAX {
                    for more in [&b""[..], b"5", b"\xff123456789"] {
                        let text = [&digits[first..first + length], &[behind], more].concat();
                        assert_eq!(leading(&text), slowly(&text), "{}", text.escape_ascii());
                    }
                }
                let text = &digits[first..first + length];
                assert_eq!(leading(text), slowly(text), "{}", text.escape_ascii());
            }
        }
        assert_eq!(leading(b"18446744073709551615"), Some((u64::MAX, &b""[..])));
        assert_eq!(leading(b"18446744073709551616"), None);
    }

    #[test]
    fn eight_octets_are_a_number_only_if_all_are_digits() {
        assert_eq!(eight(*b"00000000"), Some(0));
        assert_eq!(eight(*b"12345678"), Some(12_345_678));
        assert_eq!(eight(*b"99999999"), Some(99_999_999));
        for place in 0..8 {
            for octet in (0..=u8::MAX).filter(|octet| !octet.is_ascii_digit()) {
                let mut octets = *b"12345678";
                octets[place] = octet;
                assert_eq!(eight(octets), None, "{octets:?}");
            }
        }
    }
}
