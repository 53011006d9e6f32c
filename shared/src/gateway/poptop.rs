//! Sessions of poptop (pptpd 1.4.0 with pppd 2.4.9): each caller has a
//! pptpctrl whose title tells address and Call IDs, with a pppd below it.
//!
//! One daemon a machine, with its pid in `/run/pptpd.pid`. What a pppd says of
//! its session is read by [`super::pppd`], what pptpd may do by
//! [`super::options`].
//!
//! pptpctrl ignores that its pppd ends, so Linux does not add up what the
//! ended ones used: processor time is without those of pppd, or it would run
//! backwards.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::control::ControlConnection;
use super::kernel::Kernel;
use super::options::{capacity, listen};
use super::pppd::Pppds;
use super::proc::{Process, processes};
use super::session::{
    Key, Kind, OperStatus, Server, Session, Snapshot, Source, SourceState, State,
};
use super::{Root, number};

/// Reads everything below `root` once, and joins it with what its kernel knew
/// just before.
pub fn collect(root: &Root, kernel: &Kernel) -> Snapshot {
    let listed = processes(root, &[b"pptpd", b"pptpctrl", b"pppd"]);
    let pid_file = root.read("run/pptpd.pid", 32);
    let mut sources = vec![Source::needed("process table /proc", SourceState::of(&listed))];
    let mut pid_file_state = SourceState::of(&pid_file);
    let listed = listed.unwrap_or_default();
    let mut pppds = Pppds::read(root, kernel);
    let children: HashMap<u32, &Process> = listed
        .iter()
        .filter(|process| process.comm == b"pppd")
        .map(|process| (process.parent, process))
        .collect();
    let controls = || listed.iter().filter(|process| process.comm == b"pptpctrl");
    let mut owners = SourceState::Ok;
    let mut gre_packets = kernel.gre_packets.as_ref().map(|_| (0_u64, 0_u64));
    let mut sessions: Vec<_> = controls()
        .map(|control| {
            let pppd = children.get(&control.pid).copied();
            let mut session = session(&mut pppds, control, pppd);
            let connection = match kernel.connections.of_process(root, control.pid) {
                Ok(connection) => connection,
                Err(error) => {
                    let several = session
                        .peer
                        .is_some_and(|peer| kernel.connections.has_several(peer.into()));
                    if several && error.kind() == io::ErrorKind::PermissionDenied {
                        owners = SourceState::Unreadable(format!("{error}: needs CAP_SYS_PTRACE"));
                    }
                    session.peer.and_then(|peer| kernel.connections.of_caller(peer.into()))
                }
            };
            if let Some(connection) = connection {
                session.peer_port = Some(connection.remote.port());
                session.control = connection.measured;
                if let Some((received, sent)) = count_gre(kernel, &session, &connection)
                    && let Some((all_received, all_sent)) = &mut gre_packets
                {
                    *all_received = all_received.saturating_add(received);
                    *all_sent = all_sent.saturating_add(sent);
                }
            }
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
    sources.extend(kernel.sources.iter().cloned());
    sources.push(Source::extra("owners of control connections /proc/PID/fd", owners));
    let heard = match *kernel.connections.listening {
        [address] => Some(address),
        _ => None,
    };
    let server = match daemon {
        Some(daemon) => {
            let settings = pppds.pptpd(daemon);
            let served = controls().filter_map(|control| children.get(&control.pid).copied());
            let all = controls().chain(served).chain([daemon]);
            Some(Server {
                listen: heard.or_else(|| listen(settings.as_ref()?)),
                pid: Some(daemon.pid),
                start: pppds.start(daemon),
                memory: Some(all.filter_map(|process| process.memory).sum()),
                cpu: Some(controls().chain([daemon]).map(|process| process.cpu).sum()),
                maximum: settings.as_ref().and_then(capacity),
                gre_packets,
                ..Server::new(Kind::Poptop, OperStatus::Up)
            })
        }
        None if named.is_some() || !sessions.is_empty() => Some(Server {
            status_text: "pptpd is not running: callers with a session keep it, new ones are \
                          refused"
                .to_owned(),
            gre_packets,
            ..Server::new(Kind::Poptop, OperStatus::Down)
        }),
        None => None,
    };
    sources.extend(pppds.sources);
    Snapshot { server, sessions, sources }
}

fn session(pppds: &mut Pppds<'_>, control: &Process, pppd: Option<&Process>) -> Session {
    let (peer, call_ids) = match parse_title(&control.title) {
        Some((peer, call_ids)) => (Some(peer), call_ids),
        None => (None, None),
    };
    let key = Key::process(control.pid, control.start_ticks);
    let below = match pppd {
        Some(pppd) => {
            let settings = pppds.settings(pppd);
            pppds.session(key, pppd, settings, peer)
        }
        None => Session::new(key),
    };
    let state = match (peer, call_ids, pppd) {
        (None, ..) => State::Unknown,
        (_, None, _) => State::CtrlEstablished,
        (_, _, None) => State::CallWait,
        (_, _, Some(_)) => below.state,
    };
    Session {
        state,
        start: pppds.start(control),
        peer,
        peer_call_id: call_ids.map(|(peer, _)| peer),
        local_call_id: call_ids.map(|(_, local)| local),
        ..below
    }
}

/// GRE packets from the caller and to it, as far as they were counted.
fn count_gre(
    kernel: &Kernel,
    session: &Session,
    connection: &ControlConnection,
) -> Option<(u64, u64)> {
    let (IpAddr::V4(gateway), Some(caller)) = (connection.local.ip(), session.peer) else {
        return None;
    };
    let packets = kernel.gre_packets.as_ref()?;
    let received = packets.get(caller, gateway, session.local_call_id?);
    let sent = packets.get(gateway, caller, session.peer_call_id?);
    received.or(sent).map(|_| (received.unwrap_or(0), sent.unwrap_or(0)))
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, SystemTime};

    use super::super::scratch::Scratch;
    use super::super::session::{AuthMethod, Control, Encryption, Traffic};
    use super::*;

    fn fixture(situation: &str) -> Snapshot {
        look(&Scratch::of(situation).root())
    }

    fn look(root: &Root) -> Snapshot {
        collect(root, &Kernel::read(root, &[1723], true))
    }

    #[test]
    fn two_sessions_are_told_in_full() {
        let seen = fixture("poptop-two-sessions");
        let server = seen.server.unwrap();
        assert_eq!(server.status, OperStatus::Up);
        assert_eq!(server.memory, Some((2200 + 2 * 1592 + 2 * 5588) * 1024));
        assert_eq!(server.cpu, Some(Duration::from_millis(40)));
        assert_eq!(server.maximum, Some(10));
        assert_eq!(server.listen, Some(SocketAddr::from(([0, 0, 0, 0], 1723))));
        assert_eq!(seen.sessions.len(), 2);
        let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_250_598);
        assert_eq!(
            seen.sessions[0],
            Session {
                state: State::Open,
                start: Some(boot + Duration::from_millis(4120)),
                user: Some(b"probe"[..].into()),
                peer: Some(Ipv4Addr::new(10, 77, 0, 3)),
                peer_port: Some(0x9255),
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
                auth_method: Some(AuthMethod::MsChapV2),
                encryption: Some(Encryption::Mppe128),
                stateless: Some(true),
                ..Session::new(Key::process(818, 412))
            }
        );
        assert_eq!(seen.sessions[1].user.as_deref(), Some(&b"alice"[..]));
        assert_eq!(seen.sessions[1].assigned, Some(Ipv4Addr::new(192, 168, 77, 11)));
    }

    #[test]
    fn processor_time_is_that_of_daemon_and_controls() {
        let scratch = Scratch::of("poptop-two-sessions");
        let pid = processes(&scratch.root(), &[b"pptpd"]).unwrap()[0].pid;
        scratch.change(&format!("proc/{pid}/stat"), |stat| {
            let text = String::from_utf8(stat.clone()).unwrap();
            *stat = text.replacen(" 0 0 0 0 20 0 1 ", " 1 20 300 4000 20 0 1 ", 1).into();
        });
        let server = look(&scratch.root()).server.unwrap();
        assert_eq!(server.cpu, Some(Duration::from_millis(43_210 + 40)));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn what_the_kernel_knows_is_joined() {
        let seen = fixture("poptop-netlink");
        let server = seen.server.unwrap();
        assert_eq!(server.listen, Some(SocketAddr::from(([0, 0, 0, 0], 1723))));
        assert_eq!(server.gre_packets, Some((15, 15)), "of the living session alone");
        let told: Vec<_> = seen
            .sessions
            .iter()
            .map(|session| (session.peer, session.peer_port, session.control, session.if_index))
            .collect();
        let caller = |last| Some(Ipv4Addr::new(10, 77, 0, last));
        let control = |rtt| Some(Control { rtt, retransmits: 0 });
        assert_eq!(
            told,
            [
                (caller(1), Some(41118), control(74), None),
                (caller(3), Some(43045), control(518), Some(6)),
            ]
        );
        let kernel = ["ppp interfaces", "control connections", "connection tracking of GRE"];
        let of_kernel = |source: &&Source| kernel.contains(&source.name.as_str());
        let states: Vec<_> = seen.sources.iter().filter(of_kernel).collect();
        assert_eq!(states.len(), 3);
        assert!(states.iter().all(|source| source.state == SourceState::Ok));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn caller_with_one_connection_has_it_even_if_nobody_tells_whose_it_is() {
        let scratch = Scratch::of("poptop-netlink");
        let recorded = scratch.root();
        let kernel = Kernel::read(&recorded, &[1723], true);
        for path in ["1155/stat", "1216/stat", "1347/stat", "1346/fd/0"] {
            scratch.remove(&format!("proc/{path}"));
        }
        let seen = collect(&recorded, &kernel);
        assert_eq!(seen.sessions.len(), 1);
        assert_eq!(seen.sessions[0].peer_port, Some(43045));
    }

    #[test]
    fn vanished_daemon_shows_and_its_sessions_stay() {
        let seen = fixture("poptop-daemon-gone");
        let server = seen.server.unwrap();
        assert_eq!(server.status, OperStatus::Down);
        assert_eq!(server.gre_packets, Some((17 + 13, 17 + 13)), "the calls go on");
        let pid_file = seen.sources.iter().find(|source| source.name.contains("pptpd.pid"));
        assert_eq!(pid_file.map(|source| &source.state), Some(&SourceState::Stale));
        assert_eq!(seen.sessions.len(), 2);
    }

    #[test]
    fn packets_are_none_where_nobody_counts_them() {
        let scratch = Scratch::of("poptop-two-sessions");
        let packets = |root| look(&root).server.unwrap().gre_packets;
        assert!(packets(scratch.root()).is_some_and(|(received, sent)| received > 0 && sent > 0));
        scratch.change("proc/net/nf_conntrack", Vec::clear);
        assert_eq!(packets(scratch.root()), None);
        let switch = "proc/sys/net/netfilter/nf_conntrack_acct";
        scratch.change(switch, |text| *text = b"1\n".to_vec());
        assert_eq!(packets(scratch.root()), Some((0, 0)));
        scratch.remove("proc/net/nf_conntrack");
        assert_eq!(packets(scratch.root()), None, "it cannot be read");
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
        assert!(seen.sessions.iter().all(|session| session.auth_method.is_none()));
    }

    #[test]
    fn configuration_younger_than_the_daemon_tells_nothing() {
        let scratch = Scratch::of("poptop-two-sessions");
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33);
        scratch.date("run/pptpd.conf", later);
        let seen = look(&scratch.root());
        let server = seen.server.unwrap();
        assert_eq!(server.maximum, None);
        assert_eq!(seen.sessions[0].encryption, Some(Encryption::Mppe128));
        scratch.date("etc/ppp/options.pptpd", later);
        assert_eq!(look(&scratch.root()).sessions[0].encryption, None);
    }

    #[test]
    fn unreadable_options_are_a_source_that_says_so() {
        let scratch = Scratch::of("poptop-two-sessions");
        scratch.remove("etc/ppp/options.pptpd");
        let seen = look(&scratch.root());
        assert_eq!(seen.sessions[0].auth_method, None);
        let source = seen.sources.iter().find(|source| source.name == "pppd's options").unwrap();
        let text = "cannot read /etc/ppp/options.pptpd: No such file or directory";
        assert_eq!(source.state, SourceState::Unreadable(text.to_owned()));
        assert!(!source.needed);
    }

    #[test]
    fn terminal_with_options_of_its_own_tells_nothing() {
        let scratch = Scratch::of("poptop-two-sessions");
        scratch.change("etc/ppp/options.pts.0", |_| {});
        let seen = look(&scratch.root());
        assert_eq!(seen.sessions[0].encryption, None);
        assert_eq!(seen.sessions[1].encryption, Some(Encryption::Mppe128));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_titles_never_panic(octets: Vec<u8>) {
            let _ = parse_title(&octets);
        }
    }
}
