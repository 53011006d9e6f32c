//! Control connections and their keepalive timers.
//!
//! The kernel does not tell SO_KEEPALIVE of a socket, but which timer runs on
//! it: of an established connection with nothing on the way it is that of
//! keepalive or none (`get_tcp4_sock` and `inet_csk_diag_fill`, the same for
//! `/proc/net/tcp` and sock_diag). Where something waits for an answer another
//! timer is told instead, and the connection says nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::super::known::Known;
use super::kernel::present;
use crate::gateway::Root;
use crate::gateway::control::sockets;

const ESTABLISHED: u8 = 1;
const KEEPALIVE: u8 = 2;

/// One established control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlSocket {
    /// The caller.
    pub peer: SocketAddr,
    /// Whether the kernel's keepalive timer runs on it (SO_KEEPALIVE).
    pub keepalive: bool,
}

/// Connections to these ports that tell whether they have keepalive, and the
/// addresses that several connections come from.
pub(super) fn gather(
    root: &Root,
    ports: &[u16],
) -> (Known<Vec<ControlSocket>>, BTreeMap<IpAddr, u32>) {
    let sockets = match present(sockets(root, ports), "control connections") {
        Known::Is(sockets) => sockets,
        Known::Absent => return (Known::Absent, BTreeMap::new()),
        Known::Unread(unread) => return (Known::Unread(unread), BTreeMap::new()),
    };
    let mut callers: BTreeMap<IpAddr, u32> = BTreeMap::new();
    let mut list = Vec::new();
    for socket in sockets {
        if socket.state != ESTABLISHED || !ports.contains(&socket.local.port()) {
            continue;
        }
        *callers.entry(socket.remote.ip()).or_default() += 1;
        if matches!(socket.timer, 0 | KEEPALIVE) {
            list.push(ControlSocket { peer: socket.remote, keepalive: socket.timer == KEEPALIVE });
        }
    }
    list.sort_by_key(|socket| socket.peer);
    callers.retain(|_, count| *count > 1);
    (Known::Is(list), callers)
}
