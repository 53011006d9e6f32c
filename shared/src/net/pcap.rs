//! A capture file of our own exchange, without tcpdump: the classic pcap
//! format with link type RAW (IPv4 or IPv6 headers; ours are made up around
//! the octets that our sockets carried, with sequence numbers that fit, so
//! that Wireshark puts the stream together). Secrets are blanked.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::wire::gre::{IP_PROTOCOL, Packet};
use crate::wire::ip::{Datagram, PROTOCOL_TCP};
use crate::wire::mask::mask_ppp;

const MAGIC_MICROSECONDS: u32 = 0xA1B2_C3D4;
const LINKTYPE_RAW: u32 = 101;
/// Longest record in octets.
const SNAPLEN: u32 = 65_535;
/// A capture ends here; a flood shall not fill a disk.
const MAX_OCTETS: u64 = 64 << 20;

/// Which way octets went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the gateway.
    Sent,
    /// From the gateway.
    Received,
}

/// A capture that is being written.
#[derive(Debug)]
pub struct Capture {
    file: File,
    octets: u64,
    sequence: [u32; 2],
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
}

impl Capture {
    /// Creates the file and writes its header.
    ///
    /// # Errors
    /// The system's.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC_MICROSECONDS.to_le_bytes());
        header.extend(2u16.to_le_bytes());
        header.extend(4u16.to_le_bytes());
        header.extend([0; 8]);
        header.extend(SNAPLEN.to_le_bytes());
        header.extend(LINKTYPE_RAW.to_le_bytes());
        file.write_all(&header)?;
        Ok(Self { file, octets: 0, sequence: [1; 2], local: None, peer: None })
    }

    /// Names the two ends of the control connection from here on.
    pub fn connection(&mut self, local: SocketAddr, peer: SocketAddr) {
        self.local = Some(local);
        self.peer = Some(peer);
        self.sequence = [1; 2];
    }

    /// Writes octets of the control connection as one segment.
    ///
    /// # Errors
    /// The system's.
    pub fn control(&mut self, direction: Direction, octets: &[u8]) -> io::Result<()> {
        let (Some(local), Some(peer)) = (self.local, self.peer) else { return Ok(()) };
        let (source, destination) = ends(direction, local, peer);
        let way = usize::from(direction == Direction::Received);
        let mut segment = Vec::with_capacity(20 + octets.len());
        segment.extend(source.port().to_be_bytes());
        segment.extend(destination.port().to_be_bytes());
        segment.extend(self.sequence[way].to_be_bytes());
        segment.extend(self.sequence[1 - way].to_be_bytes());
        // Header of five words; PSH and ACK; a window; checksum left out.
        segment.extend([0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
        segment.extend(octets);
        self.sequence[way] = self.sequence[way].wrapping_add(octets.len() as u32);
        self.datagram(source.ip(), destination.ip(), PROTOCOL_TCP, &segment)
    }

    /// Writes a GRE packet, secrets blanked.
    ///
    /// # Errors
    /// The system's.
    pub fn gre(&mut self, direction: Direction, octets: &[u8]) -> io::Result<()> {
        let (Some(local), Some(peer)) = (self.local, self.peer) else { return Ok(()) };
        let (source, destination) = ends(direction, local, peer);
        self.datagram(source.ip(), destination.ip(), IP_PROTOCOL, &mask_gre(octets))
    }

    fn datagram(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let datagram = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Datagram { source, destination, protocol, payload }.emit()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let payload = &payload[..payload.len().min(usize::from(u16::MAX))];
                let mut datagram = vec![0x60, 0, 0, 0];
                datagram.extend((payload.len() as u16).to_be_bytes());
                datagram.extend([protocol, 64]);
                datagram.extend(source.octets());
                datagram.extend(destination.octets());
                datagram.extend(payload);
                datagram
            }
            _ => return Ok(()),
        };
        self.record(&datagram)
    }

    fn record(&mut self, octets: &[u8]) -> io::Result<()> {
        let octets = &octets[..octets.len().min(SNAPLEN as usize)];
        if self.octets > MAX_OCTETS {
            return Ok(());
        }
        self.octets += octets.len() as u64 + 16;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut record = Vec::with_capacity(16 + octets.len());
        record.extend((time.as_secs() as u32).to_le_bytes());
        record.extend(time.subsec_micros().to_le_bytes());
        record.extend((octets.len() as u32).to_le_bytes());
        record.extend((octets.len() as u32).to_le_bytes());
        record.extend(octets);
        self.file.write_all(&record)
    }
}

/// A GRE packet with the secrets of its PPP frame blanked; the length stays.
/// What cannot be read is blanked behind its header.
pub fn mask_gre(octets: &[u8]) -> Vec<u8> {
    match Packet::parse(octets) {
        Ok(packet) => Packet { payload: &mask_ppp(packet.payload), ..packet }.emit(),
        Err(_) => {
            let mut blank = octets.to_vec();
            blank.iter_mut().skip(8).for_each(|octet| *octet = 0);
            blank
        }
    }
}

fn ends(direction: Direction, local: SocketAddr, peer: SocketAddr) -> (SocketAddr, SocketAddr) {
    match direction {
        Direction::Sent => (local, peer),
        Direction::Received => (peer, local),
    }
}
