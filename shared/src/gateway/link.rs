//! ppp interfaces and their 64-bit counters, from `/sys/class/net`.

use super::session::Traffic;
use super::{Root, number};

/// A ppp interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Octets of an IP packet.
    pub mtu: u32,
    /// Its counters.
    pub traffic: Traffic,
}

/// The interface called `name`; `None` when there is none, or no ppp one.
pub fn ppp(root: &Root, name: &[u8]) -> Option<Link> {
    let name = std::str::from_utf8(name).ok()?;
    if name.is_empty() || name.len() > 15 || name.starts_with('.') || name.contains('/') {
        return None;
    }
    let read =
        |file: &str| number::<u64>(&root.read(format!("sys/class/net/{name}/{file}"), 32).ok()?);
    // ARPHRD_PPP.
    if read("type")? != 512 {
        return None;
    }
    Some(Link {
        index: read("ifindex")?.try_into().ok()?,
        mtu: read("mtu")?.try_into().ok()?,
        traffic: Traffic {
            octets_in: read("statistics/rx_bytes")?,
            octets_out: read("statistics/tx_bytes")?,
            packets_in: read("statistics/rx_packets")?,
            packets_out: read("statistics/tx_packets")?,
        },
    })
}
