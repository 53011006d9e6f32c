//! What the kernel knows of a machine's sessions, read once for every gateway
//! on it. On the live system it is asked by netlink; files under `/proc` and
//! `/sys` stand in where it does not answer. Below another root there are
//! recorded answers, `net/*.netlink`, or the files.

use std::collections::BTreeMap;
use std::io;

use super::Root;
use super::conntrack::{GreFlow, GrePackets, gre_flows};
use super::control::ControlConnections;
use super::link::{Link, links};
use super::session::{Source, SourceState};

/// The kernel at one moment.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// ppp interfaces by name.
    pub links: BTreeMap<Box<[u8]>, Link>,
    /// TCP sockets on the gateways' ports.
    pub connections: ControlConnections,
    /// Tracked GRE, with what never saw a reply.
    pub gre_flows: Vec<GreFlow>,
    /// The packets in it; nothing where they are not counted.
    pub gre_packets: Option<GrePackets>,
    /// How reading each went.
    pub sources: [Source; 3],
}

impl Kernel {
    /// Reads everything once; GRE by connection tracking only where that is
    /// asked for. `ports` are those the gateways listen on.
    pub fn read(root: &Root, ports: &[u16], conntrack: bool) -> Self {
        let links = links(root);
        let connections = ControlConnections::read(root, ports);
        let gre_flows = match conntrack {
            true => gre_flows(root),
            false => Err(io::ErrorKind::NotFound.into()),
        };
        let sources = [
            Source::extra("ppp interfaces", SourceState::of(&links)),
            Source::extra("control connections", SourceState::of(&connections)),
            Source::extra("connection tracking of GRE", SourceState::of(&gre_flows)),
        ];
        let gre_packets = match &gre_flows {
            Ok(flows) => GrePackets::of(root, flows),
            Err(_) => None,
        };
        Self {
            links: links
                .unwrap_or_default()
                .into_iter()
                .map(|link| (link.name.clone(), link))
                .collect(),
            connections: connections.unwrap_or_default(),
            gre_packets,
            gre_flows: gre_flows.unwrap_or_default(),
            sources,
        }
    }
}
