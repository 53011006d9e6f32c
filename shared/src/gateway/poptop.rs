//! Sessions of poptop (pptpd 1.4.0 with pppd 2.4.9): each caller has a
//! pptpctrl whose title tells address and Call IDs, with a pppd below it, and
//! pppd keeps its variables in `/run/pppd2.tdb`.
//!
//! One daemon a machine, with its pid in `/run/pptpd.pid`. The variables of a
//! pppd are one text split by `;`, which a user name may hold too: the name
//! ends before the last run of variables that pppd writes behind it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::proc::{Process, boot_time, processes, wall_clock};
use super::session::{
    Key, Kind, OperStatus, Server, Session, Snapshot, Source, SourceState, State,
};
use super::{Root, link, number};

/// Octets of the database that are read: some 30,000 sessions.
const LARGEST_DATABASE: u64 = 64 << 20;
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

/// Reads everything below `root` once.
pub fn collect(root: &Root) -> Snapshot {
    let listed = processes(root, &[b"pptpd", b"pptpctrl", b"pppd"]);
    let database = root.read("run/pppd2.tdb", LARGEST_DATABASE);
    let pid_file = root.read("run/pptpd.pid", 32);
    let mut sources = vec![
        Source::needed("process table /proc", SourceState::of(&listed)),
        Source::extra("pppd's database /run/pppd2.tdb", SourceState::of(&database)),
    ];
    let mut pid_file_state = SourceState::of(&pid_file);
    let listed = listed.unwrap_or_default();
    let variables = parse_database(&database.unwrap_or_default());
    let boot = boot_time(root);
    let pppds: HashMap<u32, &Process> = listed
        .iter()
        .filter(|process| process.comm == b"pppd")
        .map(|process| (process.parent, process))
        .collect();
    let mut sessions: Vec<_> = listed
        .iter()
        .filter(|process| process.comm == b"pptpctrl")
        .map(|control| {
            let pppd = pppds.get(&control.pid).map(|pppd| pppd.pid);
            let variables = pppd.and_then(|pid| variables.get(&pid));
            let mut session = session(root, control, pppd.is_some(), variables);
            session.start = wall_clock(boot, control.start_ticks);
            session
        })
        .collect();
    sessions.sort_by_key(|session| session.key);
    let daemon = listed.iter().find(|process| process.comm == b"pptpd");
    let named = pid_file.ok().and_then(|text| number::<u32>(&text));
    if named.is_some() && named != daemon.map(|daemon| daemon.pid) {
        pid_file_state = SourceState::Stale;
    }
    sources.push(Source::extra("pptpd's pid file /run/pptpd.pid", pid_file_state));
    let server = match daemon {
        Some(daemon) => Some(Server {
            pid: Some(daemon.pid),
            start: wall_clock(boot, daemon.start_ticks),
            memory: daemon.memory,
            ..Server::new(Kind::Poptop, OperStatus::Up)
        }),
        None if named.is_some() || !sessions.is_empty() => Some(Server {
            status_text: "pptpd is not running: callers with a session keep it, new ones are \
                          refused"
                .to_owned(),
            ..Server::new(Kind::Poptop, OperStatus::Down)
        }),
        None => None,
    };
    Snapshot { server, sessions, sources }
}

/// What one pppd says in the database.
#[derive(Debug, Default, PartialEq, Eq)]
struct Variables {
    if_name: Option<Box<[u8]>>,
    user: Option<Box<[u8]>>,
    assigned: Option<Ipv4Addr>,
    ended: bool,
}

fn session(root: &Root, control: &Process, pppd: bool, variables: Option<&Variables>) -> Session {
    let (peer, call_ids) = match parse_title(&control.title) {
        Some((peer, call_ids)) => (Some(peer), call_ids),
        None => (None, None),
    };
    let if_name = variables.and_then(|variables| variables.if_name.clone());
    let link = if_name.as_deref().and_then(|name| link::ppp(root, name));
    let state = match (peer, call_ids, pppd, variables) {
        (None, ..) => State::Unknown,
        (_, None, ..) => State::CtrlEstablished,
        (_, _, false, _) => State::CallWait,
        (_, _, _, Some(Variables { ended: true, .. })) => State::Closing,
        (_, _, _, Some(Variables { assigned: Some(_), .. })) => State::Open,
        (_, _, _, Some(Variables { user: Some(_), .. })) => State::Ipcp,
        (_, _, _, Some(_)) => State::Lcp,
        (_, _, _, None) => State::Unknown,
    };
    Session {
        state,
        user: variables.and_then(|variables| variables.user.clone()),
        peer,
        assigned: variables.and_then(|variables| variables.assigned),
        peer_call_id: call_ids.map(|(peer, _)| peer),
        local_call_id: call_ids.map(|(_, local)| local),
        if_name,
        if_index: link.map(|link| link.index),
        mtu: link.map(|link| link.mtu),
        traffic: link.map(|link| link.traffic),
        ..Session::new(Key::process(control.pid, control.start_ticks))
    }
}

/// `pptpd [10.77.0.3]`, with a call `pptpd [10.77.0.3:30EA - 0000]`: Call ID
/// of the caller, then of the gateway.
fn parse_title(title: &[u8]) -> Option<(Ipv4Addr, Option<(u16, u16)>)> {
    let title = std::str::from_utf8(title.split(|octet| *octet == 0).next()?).ok()?;
    let inside = title.trim_end().strip_prefix("pptpd [")?.strip_suffix(']')?;
    let Some((address, ids)) = inside.split_once(':') else {
        return Some((inside.parse().ok()?, None));
    };
    let (peer, local) = ids.split_once(" - ")?;
    let id = |text| u16::from_str_radix(text, 16).ok();
    Some((address.parse().ok()?, Some((id(peer)?, id(local)?))))
}

/// The records `pppdPID` of a database (tdb, version 6, byte order of the
/// writer). Walks the hash chains: freed records hold old sessions. As many
/// steps as fit into the file at most, whatever the chains say.
fn parse_database(file: &[u8]) -> HashMap<u32, Variables> {
    let word = |at: usize| Some(u32::from_ne_bytes(*file.get(at..)?.first_chunk()?));
    let mut found = HashMap::new();
    if !file.starts_with(b"TDB file\n") || word(32) != Some(0x2601_1967 + 6) {
        return found;
    }
    let buckets = word(36).unwrap_or(0) as usize;
    let mut steps = file.len() / 24;
    for bucket in 0..buckets.min(file.len() / 4) {
        let mut next = word(168 + 4 * (bucket + 1));
        while let Some(at) = next.filter(|at| *at != 0 && steps > 0).map(|at| at as usize) {
            steps -= 1;
            next = word(at);
            let record = || {
                if word(at + 20)? != 0x2601_1999 {
                    return None;
                }
                let (key, rest) = file.get(at + 24..)?.split_at_checked(word(at + 8)? as usize)?;
                let pid = number(key.strip_prefix(b"pppd")?)?;
                Some((pid, parse_variables(rest.get(..word(at + 12)? as usize)?)))
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
        None => (text, &b""[..]),
    };
    for part in before.split(|octet| *octet == b';') {
        if let Some(name) = part.strip_prefix(b"IFNAME=") {
            out.if_name = Some(name.into());
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
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::gateway::session::Traffic;

    fn fixture(situation: &str) -> Snapshot {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/gateway/");
        collect(&Root::new(format!("{directory}{situation}")))
    }

    #[test]
    fn two_sessions_are_told_in_full() {
        let seen = fixture("poptop-two-sessions");
        assert_eq!(
            seen.server.map(|server| (server.status, server.memory)),
            Some((OperStatus::Up, Some(2252800)))
        );
        assert_eq!(seen.sessions.len(), 2);
        let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_250_598);
        assert_eq!(
            seen.sessions[0],
            Session {
                state: State::Open,
                start: Some(boot + Duration::from_millis(4120)),
                user: Some(b"probe"[..].into()),
                peer: Some(Ipv4Addr::new(10, 77, 0, 3)),
                assigned: Some(Ipv4Addr::new(192, 168, 77, 10)),
                local_call_id: Some(0),
                peer_call_id: Some(0x30ea),
                if_name: Some(b"ppp0"[..].into()),
                if_index: Some(3),
                mtu: Some(1496),
                traffic: Some(Traffic {
                    octets_in: 378,
                    octets_out: 378,
                    packets_in: 11,
                    packets_out: 11
                }),
                ..Session::new(Key::process(818, 412))
            }
        );
        assert_eq!(seen.sessions[1].user.as_deref(), Some(&b"alice"[..]));
        assert_eq!(seen.sessions[1].assigned, Some(Ipv4Addr::new(192, 168, 77, 11)));
    }

    #[test]
    fn vanished_daemon_shows_and_its_sessions_stay() {
        let seen = fixture("poptop-daemon-gone");
        assert_eq!(seen.server.map(|server| server.status), Some(OperStatus::Down));
        let pid_file = seen.sources.iter().find(|source| source.name.contains("pptpd.pid"));
        assert_eq!(pid_file.map(|source| &source.state), Some(&SourceState::Stale));
        assert_eq!(seen.sessions.len(), 2);
    }

    #[test]
    fn idle_gateway_has_no_session() {
        let seen = fixture("poptop-idle");
        assert_eq!(seen.server.map(|server| server.pid), Some(Some(1213)));
        assert!(seen.sessions.is_empty());
    }

    #[test]
    fn starting_sessions_tell_how_far_they_are_and_nothing_old() {
        let seen = fixture("poptop-starting");
        let states: Vec<_> =
            seen.sessions.iter().map(|session| (session.state, session.user.clone())).collect();
        assert_eq!(states, [(State::Lcp, None), (State::CtrlEstablished, None)]);
        assert_eq!(seen.sessions[1].peer, Some(Ipv4Addr::new(10, 77, 0, 1)));
    }

    #[test]
    fn user_name_cannot_forge_an_address() {
        let seen = parse_variables(
            b"IFNAME=ppp0;PEERNAME=eve;IPREMOTE=1.1.1.1;IPLOCAL=2.2.2.2;IPREMOTE=3.3.3.3\0",
        );
        assert_eq!(seen.user.as_deref(), Some(&b"eve;IPREMOTE=1.1.1.1"[..]));
        assert_eq!(seen.assigned, Some(Ipv4Addr::new(3, 3, 3, 3)));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, at in 0_usize..8192, cut in 0_usize..8192) {
            let _ = parse_title(&octets);
            let _ = parse_variables(&octets);
            let mut file = include_bytes!("../../../tests/fixtures/gateway/poptop-two-sessions/run/pppd2.tdb").to_vec();
            for (old, new) in file[at..].iter_mut().zip(&octets) {
                *old = *new;
            }
            let _ = parse_database(&file[..cut]);
            let _ = parse_database(&file);
        }
    }
}
