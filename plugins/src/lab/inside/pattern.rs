//! The octets that the character generator sends (RFC 864) and that objects of
//! the web server are made of: lines of 72 printing characters, each line
//! beginning one character later, so that a misplaced octet shows.

/// Octets of a line, CR and LF included.
const LINE: usize = 74;
/// Printing characters of ASCII, and so lines before the first comes again.
const CHARACTERS: usize = 95;

static LINES: [u8; LINE * CHARACTERS] = lines();

const fn lines() -> [u8; LINE * CHARACTERS] {
    let mut octets = [0; LINE * CHARACTERS];
    let mut at = 0;
    while at < octets.len() {
        octets[at] = match at % LINE {
            72 => b'\r',
            73 => b'\n',
            column => b' ' + ((at / LINE + column) % CHARACTERS) as u8,
        };
        at += 1;
    }
    octets
}

/// Fills `room` with what stands from octet `at` on.
pub(super) fn write(at: u64, room: &mut [u8]) {
    let mut start = (at % LINES.len() as u64) as usize;
    let mut filled = 0;
    while filled < room.len() {
        let count = (room.len() - filled).min(LINES.len() - start);
        room[filled..filled + count].copy_from_slice(&LINES[start..start + count]);
        filled += count;
        start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_rfc() {
        let mut octets = [0; 148];
        write(0, &mut octets);
        let expected = concat!(
            " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n",
            "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n"
        );
        assert_eq!(std::str::from_utf8(&octets), Ok(expected));
    }

    #[test]
    fn pieces_are_the_same_as_the_whole() {
        let mut whole = vec![0; 3 * LINES.len()];
        write(0, &mut whole);
        let mut pieces = vec![0; whole.len()];
        for (n, piece) in pieces.chunks_mut(611).enumerate() {
            write(n as u64 * 611, piece);
        }
        assert_eq!(whole, pieces);
    }
}
