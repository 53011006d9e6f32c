//! A capture file of our own exchange, without tcpdump: the classic pcap
//! format with link type RAW (IPv4 or IPv6 headers; ours are made up around
//! the octets that our sockets carried, with sequence numbers that fit, so
//! that Wireshark puts the stream together). Secrets are blanked.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::wire::gre::{IP_PROTOCOL, Packet};
use crate::wire::ip::{Datagram, PROTOCOL_TCP, PROTOCOL_UDP};
use crate::wire::mask::mask_ppp;
use crate::wire::radius::mask::mask_radius;

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

/// A capture that is being written. A clone writes to the same file what
/// another connection carries.
#[derive(Debug, Clone)]
pub struct Capture {
    file: Rc<File>,
    octets: Rc<Cell<u64>>,
    sequence: [u32; 2],
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
}

impl Capture {
    /// Creates the file, for its owner alone, and writes its header.
    ///
    /// # Errors
    /// The system's.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC_MICROSECONDS.to_le_bytes());
        header.extend(2u16.to_le_bytes());
        header.extend(4u16.to_le_bytes());
        header.extend([0; 8]);
        header.extend(SNAPLEN.to_le_bytes());
        header.extend(LINKTYPE_RAW.to_le_bytes());
        file.write_all(&header)?;
        Ok(Self {
            file: Rc::new(file),
            octets: Rc::default(),
            sequence: [1; 2],
            local: None,
            peer: None,
        })
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

    /// Writes a RADIUS packet as a UDP datagram, secrets blanked.
    ///
    /// # Errors
    /// The system's.
    pub fn radius(
        &mut self,
        direction: Direction,
        octets: &[u8],
        local: SocketAddr,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let (source, destination) = ends(direction, local, peer);
        let octets = mask_radius(octets);
        let mut datagram = Vec::with_capacity(8 + octets.len());
        datagram.extend(source.port().to_be_bytes());
        datagram.extend(destination.port().to_be_bytes());
        datagram.extend(((8 + octets.len()) as u16).to_be_bytes());
        // Checksum left out.
        datagram.extend([0, 0]);
        datagram.extend(octets);
        self.datagram(source.ip(), destination.ip(), PROTOCOL_UDP, &datagram)
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
        if self.octets.get() > MAX_OCTETS {
            return Ok(());
        }
        self.octets.set(self.octets.get() + octets.len() as u64 + 16);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut record = Vec::with_capacity(16 + octets.len());
        record.extend((time.as_secs() as u32).to_le_bytes());
        record.extend(time.subsec_micros().to_le_bytes());
        record.extend((octets.len() as u32).to_le_bytes());
        record.extend((octets.len() as u32).to_le_bytes());
        record.extend(octets);
        (&*self.file).write_all(&record)
    }
}

/// A GRE packet with the secrets of its PPP frame blanked; the length stays
/// unless it would show that of a password ([`mask_ppp`]). What cannot be read is blanked behind its header.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::wire::ppp::{self, Frame};

    /// A file of one test that goes with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let name = format!("pptp-probe-{}-{test}.pcap", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn octets(&self) -> Vec<u8> {
            std::fs::read(&self.0).unwrap()
        }

        /// The records without their headers.
        fn records(&self) -> Vec<Vec<u8>> {
            let octets = self.octets();
            let mut rest = &octets[24..];
            let mut records = Vec::new();
            while let Some((header, body)) = rest.split_at_checked(16) {
                let captured = u32::from_le_bytes(*header[8..].first_chunk().unwrap());
                let original = u32::from_le_bytes(*header[12..].first_chunk().unwrap());
                assert_eq!(captured, original);
                let (record, next) = body.split_at(captured as usize);
                records.push(record.to_vec());
                rest = next;
            }
            assert!(rest.is_empty());
            records
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn gre(protocol: u16, information: &[u8]) -> Vec<u8> {
        let payload = &Frame { protocol, information }.emit();
        Packet { call_id: 7, sequence: Some(1), acknowledgment: Some(0), payload }.emit()
    }

    fn ipv4(port: u16) -> (SocketAddr, SocketAddr) {
        (SocketAddr::from(([192, 0, 2, 1], port)), SocketAddr::from(([192, 0, 2, 2], 1723)))
    }

    #[test]
    fn file_begins_as_wireshark_expects() {
        let file = Scratch::new("header");
        Capture::create(&file.0).unwrap();
        assert_eq!(
            file.octets(),
            b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00\0\0\0\0\0\0\0\0\xff\xff\x00\x00\x65\x00\x00\x00"
        );
    }

    #[test]
    fn segments_of_a_connection_fit_together() {
        let file = Scratch::new("segments");
        let mut capture = Capture::create(&file.0).unwrap();
        capture.control(Direction::Sent, b"before").unwrap();
        let (local, peer) = ipv4(0xd78d);
        capture.connection(local, peer);
        capture.control(Direction::Sent, b"four").unwrap();
        capture.control(Direction::Received, b"sixsix").unwrap();
        capture.control(Direction::Sent, b"x").unwrap();
        let records = file.records();
        // Ports, sequence and acknowledgement number, flags; then the octets.
        let expected: [&[u8]; 3] = [
            b"\xd7\x8d\x06\xbb\0\0\0\x01\0\0\0\x01\x50\x18\xff\xff\0\0\0\0four",
            b"\x06\xbb\xd7\x8d\0\0\0\x01\0\0\0\x05\x50\x18\xff\xff\0\0\0\0sixsix",
            b"\xd7\x8d\x06\xbb\0\0\0\x05\0\0\0\x07\x50\x18\xff\xff\0\0\0\0x",
        ];
        assert_eq!(records.len(), 3, "without a connection there are no addresses");
        for (record, segment) in records.iter().zip(expected) {
            let datagram = Datagram::parse(record).unwrap();
            assert_eq!((datagram.protocol, datagram.payload), (PROTOCOL_TCP, segment));
        }
        let back = Datagram::parse(&records[1]).unwrap();
        assert_eq!(
            (IpAddr::V4(back.source), IpAddr::V4(back.destination)),
            (peer.ip(), local.ip())
        );
    }

    #[test]
    fn next_connection_counts_from_the_start() {
        let file = Scratch::new("again");
        let mut capture = Capture::create(&file.0).unwrap();
        for port in [1, 2] {
            let (local, peer) = ipv4(port);
            capture.connection(local, peer);
            capture.control(Direction::Sent, b"four").unwrap();
        }
        for record in file.records() {
            assert_eq!(record[24..28], [0, 0, 0, 1]);
        }
    }

    #[test]
    fn connections_at_one_time_count_each_for_itself() {
        let file = Scratch::new("beside");
        let mut one = Capture::create(&file.0).unwrap();
        let mut other = one.clone();
        for (capture, port) in [(&mut one, 1), (&mut other, 2)] {
            let (local, peer) = ipv4(port);
            capture.connection(local, peer);
        }
        one.control(Direction::Sent, b"four").unwrap();
        other.control(Direction::Sent, b"four").unwrap();
        one.control(Direction::Sent, b"four").unwrap();
        // Source port, then the low octet of the sequence number.
        let seen: Vec<_> = file.records().iter().map(|record| (record[21], record[27])).collect();
        assert_eq!(seen, [(1, 1), (2, 1), (1, 5)]);
    }

    #[test]
    fn ipv6_connection_has_ipv6_headers() {
        let file = Scratch::new("ipv6");
        let mut capture = Capture::create(&file.0).unwrap();
        let local = "[2001:db8::1]:9".parse().unwrap();
        let peer = "[2001:db8::2]:1723".parse().unwrap();
        capture.connection(local, peer);
        capture.control(Direction::Received, b"four").unwrap();
        let records = file.records();
        let record = &records[0];
        assert_eq!(record[..8], [0x60, 0, 0, 0, 0, 24, PROTOCOL_TCP, 64]);
        assert_eq!((record[23], record[39], &record[60..]), (2, 1, &b"four"[..]));
    }

    #[test]
    fn no_secret_is_written() {
        let file = Scratch::new("secrets");
        let mut capture = Capture::create(&file.0).unwrap();
        let (local, peer) = ipv4(1);
        capture.connection(local, peer);
        let packets = [
            gre(ppp::PAP, b"\x01\x01\x00\x17\x05probe\x0cPr0be-secret"),
            gre(ppp::PAP, b"\x01\x01\x00\x0f\x05probe\x04Pr0b"),
            // Cut off: its lengths do not fit.
            gre(ppp::PAP, b"\x01\x01\x00\x17\x05probe\x0cPr0be-secre"),
            gre(ppp::CHAP, b"\x02\x01\x00\x15\x0cPr0be-secretuser"),
            b"\x30\x81\x88\x0b\x00\x08\x00\x07Pr0be-secret".to_vec(),
        ];
        for packet in &packets {
            capture.gre(Direction::Sent, packet).unwrap();
        }
        let octets = file.octets();
        assert!(
            !octets.windows(4).any(|window| b"Pr0be-secret".windows(4).any(|part| part == window))
        );
        let records = file.records();
        // Short or long, a password in the clear looks the same.
        assert_eq!(records[0], records[1]);
        for (record, packet) in records.iter().zip(&packets).skip(3) {
            let datagram = Datagram::parse(record).unwrap();
            assert_eq!((datagram.protocol, datagram.payload.len()), (IP_PROTOCOL, packet.len()));
            assert_eq!(datagram.payload[..8], packet[..8]);
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let lcp = gre(ppp::LCP, b"\x01\x01\x00\x0a\x05\x06\xdf\x5e\x81\xdb");
        assert_eq!(mask_gre(&lcp), lcp);
        let challenge = gre(ppp::CHAP, b"\x01\x01\x00\x0d\x04\x01\x02\x03\x04pptp");
        assert_eq!(mask_gre(&challenge), challenge);
        let alone = Packet { call_id: 7, sequence: None, acknowledgment: Some(9), payload: &[] };
        assert_eq!(mask_gre(&alone.emit()), alone.emit());
    }

    #[test]
    fn capture_is_for_its_owner_alone() {
        let file = Scratch::new("mode");
        Capture::create(&file.0).unwrap();
        let mode = std::fs::metadata(&file.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn capture_has_an_end() {
        let file = Scratch::new("end");
        let mut capture = Capture::create(&file.0).unwrap();
        let (local, peer) = ipv4(1);
        capture.connection(local, peer);
        capture.octets.set(MAX_OCTETS);
        capture.control(Direction::Sent, b"the last").unwrap();
        capture.control(Direction::Sent, b"one too many").unwrap();
        assert_eq!(file.records().len(), 1);
    }

    #[test]
    fn path_that_cannot_be_written_is_an_error() {
        assert!(Capture::create(Path::new("/nonexistent/capture.pcap")).is_err());
    }
}
