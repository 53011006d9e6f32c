//! The name server of the inside (RFC 1035, section 4): a small table, one
//! question a message, no recursion that anybody would notice.
//!
//! | name | answer |
//! | --- | --- |
//! | `inside.lab`, `www.lab` | the gateway's inner address |
//! | `alias.lab` | a chain of aliases: `chain.lab`, `www.lab` |
//! | `loop.lab` | an alias of `knot.lab`, and that of `loop.lab` |
//! | `outside.lab` | 203.0.113.80, to which nothing routes |
//! | `empty.lab` | the name exists without an address |
//! | `servfail.lab` | SERVFAIL |
//! | `silent.lab` | nothing |
//! | any other | NXDOMAIN |

use std::net::Ipv4Addr;

use pptp_probe::wire::{Reader, Writer};

/// Lifetime of an answer in seconds.
const TTL: u32 = 60;
/// A longest name in octets (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;
/// A pointer to the name in the question, which stands right after the header.
const NAME_OF_QUESTION: u16 = 0xC00C;

const KIND_A: u16 = 1;
const KIND_CNAME: u16 = 5;
const KIND_ANY: u16 = 255;
const CLASS_IN: u16 = 1;

const NO_ERROR: u16 = 0;
const FORMAT_ERROR: u16 = 1;
/// "The name server was unable to process this query."
const SERVER_FAILURE: u16 = 2;
const NO_SUCH_NAME: u16 = 3;
const NOT_IMPLEMENTED: u16 = 4;

enum Entry {
    Address(Ipv4Addr),
    Alias(&'static str),
    Nothing,
    Failure,
    Silence,
}

fn look_up(name: &str, inner: Ipv4Addr) -> Option<Entry> {
    Some(match name {
        "inside.lab" | "www.lab" => Entry::Address(inner),
        "alias.lab" => Entry::Alias("chain.lab"),
        "chain.lab" => Entry::Alias("www.lab"),
        "loop.lab" => Entry::Alias("knot.lab"),
        "knot.lab" => Entry::Alias("loop.lab"),
        "outside.lab" => Entry::Address(super::OUTSIDE),
        "empty.lab" => Entry::Nothing,
        "servfail.lab" => Entry::Failure,
        "silent.lab" => Entry::Silence,
        _ => return None,
    })
}

/// The answer to one message, `None` for what gets none. With `failing` it is
/// SERVFAIL whatever was asked.
pub(super) fn answer(query: &[u8], inner: Ipv4Addr, failing: bool) -> Option<Vec<u8>> {
    let mut r = Reader::new("DNS header", query);
    let (identifier, flags, questions) = (r.u16().ok()?, r.u16().ok()?, r.u16().ok()?);
    r.skip(6).ok()?;
    if flags & 0x8000 != 0 {
        return None;
    }
    let reply = |code: u16, question: &[u8], answers: &[(u16, Vec<u8>)]| {
        let mut w = Writer::with_capacity(64 + query.len());
        w.u16(identifier);
        // A response, with authority, to the opcode and RD as asked; recursion available.
        w.u16(0x8480 | flags & 0x7900 | code);
        w.u16(u16::from(!question.is_empty()));
        w.u16(answers.len() as u16);
        w.zeros(4);
        w.slice(question);
        let mut owner = NAME_OF_QUESTION.to_be_bytes().to_vec();
        for (kind, data) in answers {
            w.slice(&owner);
            w.u16(*kind);
            w.u16(CLASS_IN);
            w.u32(TTL);
            w.u16(data.len() as u16);
            w.slice(data);
            if *kind == KIND_CNAME {
                owner.clone_from(data);
            }
        }
        Some(w.finish())
    };
    if flags & 0x7800 != 0 {
        return reply(NOT_IMPLEMENTED, &[], &[]);
    }
    let Some((name, kind, length)) = (questions == 1).then(|| question(&query[12..])).flatten()
    else {
        return reply(FORMAT_ERROR, &[], &[]);
    };
    let question = &query[12..12 + length];
    if failing {
        return reply(SERVER_FAILURE, question, &[]);
    }
    let mut answers: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut name = name;
    loop {
        let code = match look_up(&name, inner) {
            None if answers.is_empty() => NO_SUCH_NAME,
            Some(Entry::Failure) => SERVER_FAILURE,
            Some(Entry::Silence) => return None,
            Some(Entry::Address(address)) if kind == KIND_A || kind == KIND_ANY => {
                answers.push((KIND_A, address.octets().to_vec()));
                NO_ERROR
            }
            // The second alias of a loop leads back to the question.
            Some(Entry::Alias(target)) if answers.len() < 2 => {
                answers.push((KIND_CNAME, encoded(target)));
                name = target.to_string();
                if kind != KIND_CNAME {
                    continue;
                }
                NO_ERROR
            }
            _ => NO_ERROR,
        };
        return reply(code, question, &answers);
    }
}

/// Name in lower case, type, and the octets that the question takes.
fn question(octets: &[u8]) -> Option<(String, u16, usize)> {
    let mut r = Reader::new("DNS question", octets);
    let mut name = String::new();
    loop {
        // A pointer has nothing to point to here.
        let length = usize::from(r.u8().ok().filter(|length| *length < 64)?);
        if length == 0 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        let label = r.take(length).ok()?;
        name.extend(label.iter().map(|octet| char::from(octet.to_ascii_lowercase())));
        if name.len() > MAX_NAME {
            return None;
        }
    }
    let kind = r.u16().ok()?;
    r.u16().ok()?;
    Some((name, kind, octets.len() - r.rest().len()))
}

fn encoded(name: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        octets.push(label.len() as u8);
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INNER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

    /// A question of RFC 1035's form: id 1234, RD, one question of class IN.
    fn ask(name: &[u8], kind: u8) -> Vec<u8> {
        let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], name, &[0, kind, 0, 1]].concat()
    }

    #[test]
    fn address_of_the_gateway_octet_by_octet() {
        let question = b"\x03wWw\x03LAB\0\0\x01\0\x01";
        let query = [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &question[..]].concat();
        let expected = [
            &[0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0],
            &question[..],
            &[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 168, 77, 1],
        ]
        .concat();
        assert_eq!(answer(&query, INNER, false), Some(expected));
    }

    #[test]
    fn chain_of_aliases_octet_by_octet() {
        let answer = answer(&ask(b"\x05alias\x03lab\0", 1), INNER, false).unwrap();
        let records = [
            &b"\xC0\x0C\0\x05\0\x01\0\0\0\x3C\0\x0B\x05chain\x03lab\0"[..],
            b"\x05chain\x03lab\0\0\x05\0\x01\0\0\0\x3C\0\x09\x03www\x03lab\0",
            b"\x03www\x03lab\0\0\x01\0\x01\0\0\0\x3C\0\x04\xC0\xA8\x4D\x01",
        ]
        .concat();
        assert_eq!(answer[..12], [0x12, 0x34, 0x85, 0x80, 0, 1, 0, 3, 0, 0, 0, 0]);
        assert_eq!(answer[12 + 15..], records);
    }

    /// Response code and number of answers.
    fn outcome(name: &[u8], kind: u8) -> (u8, u8) {
        let answer = answer(&ask(name, kind), INNER, false).unwrap();
        (answer[3] & 15, answer[7])
    }

    #[test]
    fn other_names_and_kinds() {
        assert_eq!(outcome(b"\x06nobody\x03lab\0", 1), (3, 0));
        assert_eq!(outcome(b"\x08servfail\x03lab\0", 1), (2, 0));
        assert_eq!(outcome(b"\x05empty\x03lab\0", 1), (0, 0));
        assert_eq!(outcome(b"\x03www\x03lab\0", 28), (0, 0), "no address of version 6");
        assert_eq!(outcome(b"\x05alias\x03lab\0", 5), (0, 1));
        assert_eq!(outcome(b"\x04loop\x03lab\0", 1), (0, 2));
        assert_eq!(outcome(b"\0", 1), (3, 0));
        assert_eq!(answer(&ask(b"\x06silent\x03lab\0", 1), INNER, false), None);
        assert_eq!(answer(&ask(b"\x03www\x03lab\0", 1), INNER, true).unwrap()[3], 0x82);
    }

    #[test]
    fn what_is_no_question() {
        let mut query = ask(b"\x03www\x03lab\0", 1);
        query[2] |= 0x80;
        assert_eq!(answer(&query, INNER, false), None, "an answer is not answered");
        query[2] = 0x28;
        assert_eq!(answer(&query, INNER, false).unwrap()[3], 0x84);
        assert_eq!(answer(&ask(b"\xC0\x0C", 1), INNER, false).unwrap()[3], 0x81);
        for length in 0..12 {
            assert_eq!(answer(&query[..length], INNER, false), None);
        }
        let query = ask(b"\x03www\x03lab\0", 1);
        for length in 12..query.len() {
            assert_eq!(answer(&query[..length], INNER, false).unwrap()[3], 0x81);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            for query in [octets.clone(), ask(&octets, 1)] {
                let _ = answer(&query, INNER, false);
            }
        }
    }
}
