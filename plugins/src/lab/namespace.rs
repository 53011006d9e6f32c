//! A network of its own: a network namespace with nothing in it but loopback,
//! and a user namespace around it where the caller is not root. No other
//! program is needed for it, and nothing of it outlives the process.

use std::fs;
use std::io::{self, Read};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, getegid, geteuid};
use socket2::{Domain, Protocol, Socket, Type};

/// Moves this process into a network namespace of its own and brings loopback
/// up there. Call it before any other thread exists. True when a user
/// namespace was needed for it.
///
/// # Errors
/// One line that says what the system forbids and what to do.
pub fn enter() -> Result<bool, String> {
    let forbidden = |error: &dyn std::fmt::Display| {
        format!(
            "this system does not let {} make a network namespace ({error}): run it with sudo",
            if geteuid().is_root() { "this process" } else { "users" }
        )
    };
    let (uid, gid) = (geteuid(), getegid());
    let as_root = uid.is_root() && unshare(CloneFlags::CLONE_NEWNET).is_ok();
    if !as_root {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
            .map_err(|error| forbidden(&error.desc()))?;
        // Root inside: a program that is started keeps its capabilities so.
        write_maps(uid, gid.as_raw()).map_err(|error| forbidden(&error))?;
    }
    loopback_up().map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        // AppArmor allows the namespace and then takes every right in it.
        Some(Errno::EPERM | Errno::EACCES) => forbidden(&error),
        _ => format!("loopback does not come up: {error}"),
    })?;
    Ok(!as_root)
}

fn write_maps(uid: Uid, gid: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// RTM_NEWLINK for interface 1, which loopback is in every new namespace, with
/// IFF_UP (rtnetlink(7)). Netlink is in the byte order of the host.
fn loopback_up() -> io::Result<()> {
    const AF_NETLINK: i32 = 16;
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const NLMSG_ERROR: u16 = 2;
    const LOOPBACK: i32 = 1;
    const IFF_UP: u32 = 1;

    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());

    let mut socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(0)))?;
    socket.send(&message)?;
    let mut answer = [0; 1024];
    let length = socket.read(&mut answer)?;
    let answer = &answer[..length];
    let kind = answer.get(4..6).map(|octets| u16::from_ne_bytes([octets[0], octets[1]]));
    let code = answer.get(16..).and_then(|octets| octets.first_chunk::<4>());
    match (kind, code.map(|octets| i32::from_ne_bytes(*octets))) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => {
            Err(io::Error::from_raw_os_error(code.checked_neg().unwrap_or(0)))
        }
        _ => Err(io::Error::other("the kernel gave another answer than expected")),
    }
}
