//! What pppd keeps of its sessions under `/run`: the variables of each pppd in
//! its database, a tdb, and the pid file of each interface. pppd 2.4.9 writes
//! to `/run`, pppd 2.5 to `/run/pppd`.
//!
//! The variables of a pppd are one text split by `;`, which a user name may
//! hold too: the name ends before the last run of variables that pppd writes
//! behind it. A pppd that was killed leaves its variables behind, and its
//! number and its interface are used again: who reads them asks the pid file.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::session::{Source, SourceState};
use super::{Root, number};

/// Where pppd writes.
const PLACES: [&str; 2] = ["run", "run/pppd"];
/// Octets of the database that are read: some 30,000 sessions.
const LARGEST: u64 = 64 << 20;
/// Files of a directory that are looked at.
const MOST_FILES: usize = 1 << 18;
/// Octets of the name of an interface.
const LONGEST_NAME: usize = 15;
/// What pppd writes behind the name of the peer.
const BEHIND_NAME: &[&[u8]] = &[
    b"LLLOCAL",
    b"LLREMOTE",
    b"IPLOCAL",
    b"IPREMOTE",
    b"DNS1",
    b"DNS2",
    b"WINS1",
    b"WINS2",
    b"CONNECT_TIME",
    b"BYTES_SENT",
    b"BYTES_RCVD",
];

/// What one pppd says in the database.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Variables {
    /// Its interface.
    pub(super) if_name: Option<Box<[u8]>>,
    /// Its terminal, with the directory.
    pub(super) device: Option<Box<[u8]>>,
    /// Name that the peer proved.
    pub(super) user: Option<Box<[u8]>>,
    /// Address of the peer.
    pub(super) assigned: Option<Ipv4Addr>,
    /// Whether the link went down again.
    pub(super) ended: bool,
}

/// The variables of each pppd by its pid, and how reading went.
pub(super) fn read(root: &Root) -> (HashMap<u32, Variables>, Source) {
    let path = PLACES.map(|place| format!("{place}/pppd2.tdb"));
    let path = path.iter().find(|path| root.path(path).exists()).unwrap_or(&path[0]);
    let file = root.read(path, LARGEST);
    let source = Source::extra(format!("pppd's database /{path}"), SourceState::of(&file));
    (parse(&file.unwrap_or_default()), source)
}

/// The pppd of each interface, from the pid files.
pub(super) fn owners(root: &Root) -> HashMap<Box<[u8]>, u32> {
    let mut found = HashMap::new();
    for place in PLACES {
        let Ok(listed) = std::fs::read_dir(root.path(place)) else { continue };
        for entry in listed.take(MOST_FILES).flatten() {
            let file = entry.file_name();
            let name = file.to_str().and_then(|name| name.strip_suffix(".pid"));
            let Some(name) = name.filter(|name| name.len() <= LONGEST_NAME) else { continue };
            let text = root.read(format!("{place}/{name}.pid"), 32);
            let pid = text.ok().and_then(|text| number(&text));
            found.extend(pid.map(|pid| (name.as_bytes().into(), pid)));
        }
    }
    found
}

/// The records `pppdPID` of a database (tdb, version 6, byte order of the
/// writer). Walks the hash chains: freed records hold old sessions. Records do
/// not overlap, so no more octets are read than the file has, whatever the
/// chains and lengths say.
fn parse(file: &[u8]) -> HashMap<u32, Variables> {
    let word = |at: usize| Some(u32::from_ne_bytes(*file.get(at..)?.first_chunk()?));
    let mut found = HashMap::new();
    if !file.starts_with(b"TDB file\n") || word(32) != Some(0x2601_1967 + 6) {
        return found;
    }
    let buckets = word(36).unwrap_or(0) as usize;
    let mut left = file.len();
    for bucket in 0..buckets.min(file.len() / 4) {
        let mut next = word(168 + 4 * (bucket + 1));
        while let Some(at) = next.filter(|at| *at != 0).map(|at| at as usize) {
            let Some(rest) = left.checked_sub(24) else { return found };
            left = rest;
            next = word(at);
            let mut record = || {
                if word(at + 20)? != 0x2601_1999 {
                    return None;
                }
                let (key, rest) = file.get(at + 24..)?.split_at_checked(word(at + 8)? as usize)?;
                let text = rest.get(..word(at + 12)? as usize)?;
                left = left.checked_sub(key.len() + text.len())?;
                let pid = number(key.strip_prefix(b"pppd")?)?;
                Some((pid, parse_variables(text)))
            };
            found.extend(record());
        }
    }
    found
}

fn parse_variables(text: &[u8]) -> Variables {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let mut out = Variables::default();
    let marker = b";PEERNAME=";
    let name = text.windows(marker.len()).position(|window| window == marker);
    let (before, mut behind) = match name {
        Some(at) => (&text[..at], &text[at + marker.len()..]),
        None => (text, text),
    };
    for part in before.split(|octet| *octet == b';') {
        if let Some(name) = part.strip_prefix(b"IFNAME=") {
            out.if_name = Some(name.into());
        } else if let Some(device) = part.strip_prefix(b"DEVICE=") {
            out.device = Some(device.into());
        }
    }
    let mut seen: Vec<&[u8]> = Vec::new();
    while let Some(at) = behind.iter().rposition(|octet| *octet == b';') {
        let mut halves = behind[at + 1..].splitn(2, |octet| *octet == b'=');
        let (Some(variable), Some(value)) = (halves.next(), halves.next()) else { break };
        if !BEHIND_NAME.contains(&variable) || seen.contains(&variable) {
            break;
        }
        match variable {
            b"IPREMOTE" => {
                out.assigned = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok())
            }
            b"CONNECT_TIME" => out.ended = true,
            _ => {}
        }
        seen.push(variable);
        behind = &behind[..at];
    }
    out.user = name.map(|_| behind.into());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_name_cannot_forge_an_address() {
        let seen = parse_variables(
            b"IFNAME=ppp0;PEERNAME=eve;IPREMOTE=1.1.1.1;IPLOCAL=2.2.2.2;IPREMOTE=3.3.3.3\0",
        );
        assert_eq!(seen.user.as_deref(), Some(&b"eve;IPREMOTE=1.1.1.1"[..]));
        assert_eq!(seen.assigned, Some(Ipv4Addr::new(3, 3, 3, 3)));
    }

    #[test]
    fn peer_without_a_name_has_an_address() {
        let seen = parse_variables(
            b"DEVICE=/dev/pts/0;IFNAME=ppp0;UNIT=0;IPLOCAL=192.168.77.10;IPREMOTE=192.168.77.1\0",
        );
        assert_eq!((seen.user, seen.assigned), (None, Some(Ipv4Addr::new(192, 168, 77, 1))));
        assert_eq!(seen.device.as_deref(), Some(&b"/dev/pts/0"[..]));
    }

    #[test]
    fn record_that_follows_itself_is_read_once() {
        let mut file = vec![0; 176];
        file[..9].copy_from_slice(b"TDB file\n");
        let mut put = |at: usize, word: u32| {
            file.resize(file.len().max(at + 4), 0);
            file[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        };
        put(32, 0x2601_1967 + 6);
        put(36, 1);
        put(172, 176);
        let length = 16 << 20;
        for (at, word) in [(176, 176), (184, 5), (188, length), (196, 0x2601_1999)] {
            put(at, word);
        }
        file.extend(b"pppd7");
        file.resize(file.len() + length as usize, b';');
        assert_eq!(parse(&file).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, at in 0_usize..8192, cut in 0_usize..8192) {
            let _ = parse_variables(&octets);
            let mut file = include_bytes!("../../../tests/fixtures/gateway/poptop-two-sessions/run/pppd2.tdb").to_vec();
            for (old, new) in file[at..].iter_mut().zip(&octets) {
                *old = *new;
            }
            let _ = parse(&file[..cut]);
            let _ = parse(&file);
        }
    }
}
