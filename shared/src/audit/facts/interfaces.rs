//! Interfaces: sizes, the way to the world, and reverse-path filters.

use std::collections::BTreeSet;
use std::io;

use super::super::known::Known;
use super::kernel::{present, setting};
use crate::gateway::{Root, number};

/// ARPHRD_PPP.
const PPP: u16 = 512;
/// RTF_UP of a route.
const UP: u16 = 1;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Octets of an IP packet it sends at most.
    pub mtu: u32,
    /// Whether it is a ppp interface.
    pub is_ppp: bool,
    /// Whether a default route of IPv4 in the main table goes out of it.
    pub is_uplink: bool,
    /// Reverse-path filter in force on it: the larger of `all` and its own.
    pub rp_filter: Known<u8>,
}

pub(super) fn gather(root: &Root) -> Known<Vec<Interface>> {
    present(read(root), "network interfaces")
}

fn read(root: &Root) -> io::Result<Vec<Interface>> {
    let names = root.list("sys/class/net")?;
    let uplinks = uplinks(root)?;
    let of_all: Known<u8> = setting(root, "ipv4/conf/all/rp_filter");
    let interfaces = names.iter().filter_map(|name| {
        // One that goes away meanwhile, and files such as bonding_masters.
        let name = name.to_str()?;
        let field = |field: &str| root.read(format!("sys/class/net/{name}/{field}"), 64).ok();
        let own = setting(root, &format!("ipv4/conf/{name}/rp_filter"));
        Some(Interface {
            name: name.to_owned(),
            mtu: number(&field("mtu")?)?,
            is_ppp: number::<u16>(&field("type")?)? == PPP,
            is_uplink: uplinks.contains(name),
            rp_filter: match (of_all.clone(), own) {
                (Known::Is(all), Known::Is(own)) => Known::Is(all.max(own)),
                (Known::Is(_), own) => own,
                (all, _) => all,
            },
        })
    });
    Ok(interfaces.collect())
}

/// `eth0 00000000 0100A8C0 0003 0 0 0 00000000 ...`: interface, destination,
/// gateway, flags, three counters, mask.
fn uplinks(root: &Root) -> io::Result<BTreeSet<String>> {
    let table = root.read("proc/net/route", 16 << 20)?;
    let table = String::from_utf8_lossy(&table);
    let uplink = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = u16::from_str_radix(words.get(3)?, 16).ok()?;
        let is_default = words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
        (is_default && flags & UP != 0).then(|| words[0].to_owned())
    };
    Ok(table.lines().skip(1).filter_map(uplink).collect())
}
