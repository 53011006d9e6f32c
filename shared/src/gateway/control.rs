//! Control connections and where they are accepted: TCP sockets on the
//! gateway's port, by sock_diag with what TCP has measured, else from recorded
//! answers or `/proc/net/tcp` and `tcp6` (proc(5)).
//!
//! Sockets are known by their inode. pptpctrl has its connection as descriptor
//! 0, which only root and CAP_SYS_PTRACE may see of another's process.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::session::Control;
use super::{Root, number};
use crate::net::netlink::{Protocol, dump, recorded};
use crate::wire::netlink::{Family, TcpSocket};

/// Octets of `/proc/net/tcp` that are read: some 400,000 sockets.
const LARGEST: u64 = 64 << 20;
/// The kernel's number of the state.
const LISTEN: u8 = 10;

/// A control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlConnection {
    /// The gateway's end.
    pub local: SocketAddr,
    /// The caller's end.
    pub remote: SocketAddr,
    /// What TCP has measured.
    pub measured: Option<Control>,
}

/// The sockets on the gateway's ports at one moment.
#[derive(Debug, Clone, Default)]
pub struct ControlConnections {
    /// Where connections are accepted.
    pub listening: Vec<SocketAddr>,
    by_inode: HashMap<u32, ControlConnection>,
    /// `None` for callers with more than one.
    by_caller: HashMap<IpAddr, Option<ControlConnection>>,
}

impl ControlConnections {
    /// Reads those with a local port of `ports`.
    ///
    /// # Errors
    /// Of the last source that was asked.
    pub fn read(root: &Root, ports: &[u16]) -> io::Result<Self> {
        Ok(Self::of(sockets(root, ports)?, ports))
    }

    /// The one that is descriptor 0 of a process.
    ///
    /// # Errors
    /// When the descriptor cannot be read.
    pub fn of_process(&self, root: &Root, pid: u32) -> io::Result<Option<ControlConnection>> {
        let target = std::fs::read_link(root.path(format!("proc/{pid}/fd/0")))?;
        let inode = target
            .to_str()
            .and_then(|text| number(text.strip_prefix("socket:[")?.strip_suffix(']')?.as_bytes()));
        Ok(inode.and_then(|inode| self.by_inode.get(&inode)).copied())
    }

    /// The one of a caller; `None` where it has none or several.
    pub fn of_caller(&self, address: IpAddr) -> Option<ControlConnection> {
        self.by_caller.get(&address).copied().flatten()
    }

    /// Whether a caller has several, so that only their owners tell which is
    /// which.
    pub fn has_several(&self, address: IpAddr) -> bool {
        self.by_caller.get(&address).is_some_and(Option::is_none)
    }

    fn of(sockets: Vec<TcpSocket>, ports: &[u16]) -> Self {
        let mut out = Self::default();
        // Without an inode it belongs to no process any more.
        for socket in sockets.iter().filter(|socket| socket.inode != 0) {
            if !ports.contains(&socket.local.port()) {
                continue;
            }
            if socket.state == LISTEN {
                out.listening.push(socket.local);
                continue;
            }
            let connection = ControlConnection {
                local: socket.local,
                remote: socket.remote,
                measured: socket
                    .info
                    .map(|info| Control { rtt: info.rtt, retransmits: info.total_retransmissions }),
            };
            out.by_inode.insert(socket.inode, connection);
            out.by_caller
                .entry(socket.remote.ip())
                .and_modify(|several| *several = None)
                .or_insert(Some(connection));
        }
        out
    }
}

/// Sockets with a local port of `ports`, and others where nobody chose.
///
/// # Errors
/// Of the last source that was asked.
pub(crate) fn sockets(root: &Root, ports: &[u16]) -> io::Result<Vec<TcpSocket>> {
    let answers = if root.is_live() { asked(ports) } else { found(root) };
    answers.or_else(|_| listed(root))
}

/// From the kernel itself.
fn asked(ports: &[u16]) -> io::Result<Vec<TcpSocket>> {
    let mut sockets = Vec::new();
    for port in ports {
        for family in [Family::Ipv4, Family::Ipv6] {
            let request = TcpSocket::dump(family, *port);
            match dump(Protocol::SockDiag, &request, TcpSocket::parse) {
                Ok(found) => sockets.extend(found),
                // A kernel without IPv6.
                Err(error) if family == Family::Ipv6 && error.kind() == io::ErrorKind::NotFound => {
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(sockets)
}

/// From recorded answers.
fn found(root: &Root) -> io::Result<Vec<TcpSocket>> {
    recorded(&root.read("net/sockets.netlink", LARGEST)?, TcpSocket::parse)
}

/// From the tables in `/proc`.
fn listed(root: &Root) -> io::Result<Vec<TcpSocket>> {
    let mut sockets = parse_table(&root.read("proc/net/tcp", LARGEST)?);
    match root.read("proc/net/tcp6", LARGEST) {
        Ok(table) => sockets.extend(parse_table(&table)),
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(sockets)
}

fn parse_table(table: &[u8]) -> Vec<TcpSocket> {
    table.split(|octet| *octet == b'\n').skip(1).filter_map(parse_line).collect()
}

/// Number, both ends, state, the timer before the colon in the sixth field, and
/// the inode as the tenth.
fn parse_line(line: &[u8]) -> Option<TcpSocket> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace().skip(1);
    let local = parse_end(words.next()?)?;
    let remote = parse_end(words.next()?)?;
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let (timer, _) = words.nth(1)?.split_once(':')?;
    let timer = u8::from_str_radix(timer, 16).ok()?;
    let inode = words.nth(3)?.parse().ok()?;
    Some(TcpSocket { local, remote, state, timer, inode, info: None })
}

/// `02004D0A:06BB`: words of the address as this machine has them in memory,
/// then the port.
fn parse_end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut octets = [0; 16];
    let (words, rest) = address.as_bytes().as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    for (at, word) in words.iter().enumerate() {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        octets.get_mut(4 * at..4 * at + 4)?.copy_from_slice(&word.to_ne_bytes());
    }
    let address = match (words.len(), octets) {
        (1, [a, b, c, d, ..]) => IpAddr::from([a, b, c, d]),
        (4, octets) => Ipv6Addr::from(octets).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;
    use crate::gateway::{fixture, in_namespace};

    fn caller(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 77, 0, last).into()
    }

    #[test]
    fn recorded_answer_tells_who_is_connected_and_how_well() {
        let root = fixture("poptop-netlink");
        let seen = ControlConnections::read(&root, &[1723]).unwrap();
        assert_eq!(seen.listening, [SocketAddr::from(([0, 0, 0, 0], 1723))]);
        let connection = ControlConnection {
            local: SocketAddr::from(([10, 77, 0, 2], 1723)),
            remote: SocketAddr::from(([10, 77, 0, 3], 43045)),
            measured: Some(Control { rtt: 518, retransmits: 0 }),
        };
        assert_eq!(seen.of_process(&root, 1346).unwrap(), Some(connection));
        assert_eq!(seen.of_caller(caller(3)), Some(connection));
        assert_eq!((seen.of_caller(caller(4)), seen.has_several(caller(4))), (None, false));
        assert_eq!(
            seen.of_process(&root, 1155).unwrap_err().kind(),
            io::ErrorKind::NotFound,
            "the daemon's descriptors were not recorded"
        );
    }

    #[test]
    fn table_in_proc_tells_the_same_but_how_well() {
        let root = fixture("poptop-netlink");
        let asked = ControlConnections::read(&root, &[1723]).unwrap();
        let listed = ControlConnections::of(listed(&root).unwrap(), &[1723]);
        assert_eq!(listed.listening, asked.listening);
        for pid in [1216, 1346] {
            let asked = asked.of_process(&root, pid).unwrap().unwrap();
            let listed = listed.of_process(&root, pid).unwrap().unwrap();
            assert_eq!(listed, ControlConnection { measured: None, ..asked });
        }
        assert_eq!(listed.by_inode.len(), 2, "what waits to die belongs to nobody");
    }

    #[test]
    fn other_ports_are_left_out() {
        let root = fixture("poptop-netlink");
        let seen = ControlConnections::read(&root, &[1724]).unwrap();
        assert_eq!((seen.listening.len(), seen.by_inode.len()), (0, 0));
    }

    #[test]
    fn caller_with_two_connections_is_not_told_apart() {
        let mut sockets = parse_table(
            b"header\n 0: 02004D0A:06BB 03004D0A:A825 01 0:0 0:0 0 0 0 1133\n \
              1: 02004D0A:06BB 03004D0A:A826 01 0:0 0:0 0 0 0 1134\n",
        );
        let seen = ControlConnections::of(sockets.clone(), &[1723]);
        assert_eq!((seen.of_caller(caller(3)), seen.has_several(caller(3))), (None, true));
        sockets.pop();
        assert!(ControlConnections::of(sockets, &[1723]).of_caller(caller(3)).is_some());
    }

    #[test]
    fn connection_over_ipv4_of_an_ipv6_socket_is_one_of_ipv4() {
        let end = parse_end("0000000000000000FFFF000002004D0A:06BB");
        assert_eq!(end, Some(SocketAddr::from(([10, 77, 0, 2], 1723))));
        assert_eq!(parse_end("02004D0A02004D0A:06BB"), None);
    }

    #[test]
    fn kernel_tells_its_own_connections() {
        in_namespace(|| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 1723)).unwrap();
            let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, 1724)).unwrap();
            let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, 1723)).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            // The round trip is known once something was acknowledged.
            far.write_all(b"x").unwrap();
            near.read_exact(&mut [0]).unwrap();
            let seen = ControlConnections::read(&Root::new("/"), &[1723]).unwrap();
            assert_eq!(seen.listening, [listener.local_addr().unwrap()]);
            let connection = seen.of_caller(Ipv4Addr::LOCALHOST.into()).unwrap();
            assert_eq!(connection.remote, near.local_addr().unwrap());
            assert_eq!(seen.by_inode.len(), 1);
            let measured = connection.measured.unwrap();
            assert!(measured.rtt > 0);
            assert_eq!(measured.retransmits, 0);
        });
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, at in 0_usize..1024) {
            let _ = parse_table(&octets);
            let mut table = include_bytes!(
                "../../../tests/fixtures/gateway/poptop-netlink/proc/net/tcp"
            )[..1024].to_vec();
            for (old, new) in table[at..].iter_mut().zip(&octets) {
                *old = *new;
            }
            let _ = parse_table(&table);
        }
    }
}
