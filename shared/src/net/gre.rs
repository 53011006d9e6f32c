//! The raw socket for IP protocol 47 (raw(7), RFC 2637, section 4).
//!
//! A raw socket sees every GRE packet of the host. A filter in the kernel
//! lets through what comes from the gateway under our Call ID; several runs
//! on one host never see each other's packets. Only when nothing comes at all
//! is the filter widened ([`GreSocket::widen`]), to find packets under a wrong
//! Call ID.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, getsockopt, recvmsg, setsockopt, sockopt,
};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::wire::gre::{IP_PROTOCOL, Packet};
use crate::wire::ip::Datagram;
use crate::wire::ppp::{Frame, LCP};

/// Packets that are read before the driver looks at the clock again.
const BURST: usize = 64;
/// Packets of an earlier call that are thrown away at the beginning of one.
const STALE: usize = 4_096;
/// Receive buffer in octets: a burst of a few hundred full packets.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A socket that was opened with CAP_NET_RAW and receives nothing yet.
#[derive(Debug)]
pub struct RawGre(Socket);

impl RawGre {
    /// Opens the socket. Needs CAP_NET_RAW, nothing afterwards does.
    ///
    /// # Errors
    /// `PermissionDenied` without the capability.
    pub fn open() -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(IP_PROTOCOL));
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol))?;
        socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
        socket.set_nonblocking(true)?;
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        Ok(Self(socket))
    }

    /// The same socket once more, for the next gateway when the right to open
    /// another is gone; whoever had it before is done. Nothing that came
    /// meanwhile is left in it.
    ///
    /// # Errors
    /// The system's.
    pub fn again(&self) -> io::Result<Self> {
        self.0.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
        set_ip_mtu_discover(&self.0, Ipv4PathMtuDiscovery::WANT)?;
        // Packets, then what ICMP said of the gateway before.
        for flags in [RecvFlags::DONTWAIT, RecvFlags::DONTWAIT | RecvFlags::ERRQUEUE] {
            let mut room = [0; 64];
            let mut stale =
                || !matches!(rustix::net::recv(&self.0, &mut room, flags), Err(Errno::AGAIN));
            let _ = (0..STALE).take_while(|_| stale()).count();
        }
        Ok(Self(self.0.try_clone()?))
    }
}

/// What came out of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The payload of a GRE datagram under our Call ID.
    Packet(Vec<u8>),
    /// A new PPP session under this Call ID, which is nobody else's.
    Stray(u16),
    /// ICMP destination unreachable: code and sender.
    Unreachable(u8, Ipv4Addr),
}

/// Whether what we send may be fragmented.
#[derive(Debug, Clone)]
pub struct Fragments(Rc<UdpSocket>);

impl Fragments {
    /// Allowed, it is as the system has it by default. Forbidden, it is
    /// fragmented neither here nor on its way, and what is too large for this
    /// host's own link is lost.
    ///
    /// # Errors
    /// The system's.
    pub fn allow(&self, allowed: bool) -> io::Result<()> {
        let mode = if allowed { Ipv4PathMtuDiscovery::WANT } else { Ipv4PathMtuDiscovery::PROBE };
        set_ip_mtu_discover(&self.0, mode)?;
        Ok(())
    }

    /// The largest datagram that this host sends to the gateway in one piece,
    /// in octets, with its IP header.
    pub fn path_mtu(&self) -> Option<usize> {
        let mtu = getsockopt(&self.0, sockopt::IpMtu).ok()?;
        usize::try_from(mtu).ok()
    }
}

/// The socket, bound to one gateway and one call.
#[derive(Debug)]
pub struct GreSocket {
    socket: Rc<UdpSocket>,
    gateway: Ipv4Addr,
    port: u16,
    call_id: u16,
    wide: bool,
    has_more: bool,
    buffer: Box<[u8]>,
}

impl GreSocket {
    /// Binds the socket to a gateway, whose control connections are on `port`;
    /// [`GreSocket::begin`] opens it for a call. Needs a runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn new(raw: RawGre, gateway: SocketAddrV4) -> io::Result<Self> {
        let (gateway, port) = (*gateway.ip(), gateway.port());
        raw.0.connect(&SocketAddr::V4(SocketAddrV4::new(gateway, 0)).into())?;
        // To the runtime a connected raw socket is like a UDP socket: packets
        // go in and out by send and recv.
        let socket = Rc::new(UdpSocket::from_std(std::net::UdpSocket::from(OwnedFd::from(raw.0)))?);
        let buffer = vec![0; 1 << 16].into_boxed_slice();
        Ok(Self { socket, gateway, port, call_id: 0, wide: false, has_more: false, buffer })
    }

    /// Lets in the packets of one call and forgets what came before.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(&mut self, call_id: u16) -> io::Result<()> {
        self.call_id = call_id;
        self.wide = false;
        self.attach(&call_filter(self.gateway, call_id))?;
        // What was queued before the filter stood; not what is sent meanwhile.
        let stale = |_: &usize| self.socket.try_recv(&mut self.buffer).is_ok();
        let _ = (0..STALE).take_while(stale).count();
        Ok(())
    }

    /// Lets in whatever GRE the gateway sends, once nothing came under our
    /// Call ID.
    ///
    /// # Errors
    /// The system's.
    pub fn widen(&mut self) -> io::Result<()> {
        if self.wide {
            return Ok(());
        }
        self.wide = true;
        self.attach(&gateway_filter(self.gateway))
    }

    /// Our address towards the gateway.
    pub fn local_address(&self) -> Option<Ipv4Addr> {
        match self.socket.local_addr() {
            Ok(SocketAddr::V4(address)) => Some(*address.ip()),
            _ => None,
        }
    }

    /// The switch for fragmentation of what we send, which outlives this value.
    pub fn fragments(&self) -> Fragments {
        Fragments(self.socket.clone())
    }

    /// Sends the payload of a datagram. A full buffer loses it, as the path
    /// might; an error that ICMP left behind is read with the packets.
    pub fn send(&self, octets: &[u8]) {
        // The first call may only report an earlier ICMP error.
        for _ in 0..2 {
            if self.socket.try_send(octets).is_ok() {
                return;
            }
        }
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// The system's.
    pub async fn ready(&self) -> io::Result<()> {
        self.socket.ready(Interest::READABLE | Interest::ERROR).await.map(|_| ())
    }

    /// Reads what is there, at most a burst, whatever comes of it.
    pub fn read(&mut self, peer_call_id: Option<u16>) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut neighbours = None;
        self.has_more = true;
        for _ in 0..BURST {
            let error = self.read_error();
            let read = self.receive();
            let quiet = error.is_none() && read.is_none();
            inputs.extend(error);
            if let Some(length) = read
                && let Ok(datagram) = Datagram::parse(&self.buffer[..length])
                && datagram.source == self.gateway
            {
                let input = self.classify(datagram.payload, peer_call_id, &mut neighbours);
                inputs.extend(input);
            }
            if quiet {
                self.has_more = false;
                break;
            }
        }
        inputs
    }

    /// Whether the last [`GreSocket::read`] left off before the end.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// The next datagram into the buffer. The socket itself is asked, because
    /// what the runtime knows of it may be older than what TCP just said.
    fn receive(&mut self) -> Option<usize> {
        let direct = rustix::net::recv(&self.socket, &mut *self.buffer, RecvFlags::DONTWAIT);
        match direct {
            Ok((length, _)) => Some(length),
            // Lets the runtime know that the socket is empty.
            Err(_) => self.socket.try_recv(&mut self.buffer).ok(),
        }
    }

    fn classify(
        &self,
        payload: &[u8],
        peer_call_id: Option<u16>,
        neighbours: &mut Option<Vec<u16>>,
    ) -> Option<Input> {
        let call_id = payload.get(6..8).map(|id| u16::from_be_bytes([id[0], id[1]]))?;
        if call_id == self.call_id {
            return Some(Input::Packet(payload.to_vec()));
        }
        // On loopback our own packets come back, under the gateway's Call ID.
        if Some(call_id) == peer_call_id {
            return None;
        }
        let packet = Packet::parse(payload).ok()?;
        let frame = Frame::parse(packet.payload).ok()?;
        let begins = packet.sequence.is_some_and(|sequence| sequence < 16)
            && frame.protocol == LCP
            && frame.information.first() == Some(&1);
        if !begins {
            return None;
        }
        // Once a burst: on a busy host the table is long.
        let ports = neighbours.get_or_insert_with(|| self.neighbours());
        (!self.belongs_to_neighbour(call_id, ports)).then_some(Input::Stray(call_id))
    }

    /// Ports of the control connections of this host with the gateway, ours
    /// among them.
    fn neighbours(&self) -> Vec<u16> {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
        connections(&table, SocketAddrV4::new(self.gateway, self.port))
    }

    /// Another run of ours on this host uses the port of its control
    /// connection as Call ID. Where the gateway is this host itself, even what
    /// a neighbour sends comes by, under Call IDs that nobody here knows.
    fn belongs_to_neighbour(&self, call_id: u16, ports: &[u16]) -> bool {
        ports.contains(&call_id) || self.local_address() == Some(self.gateway) && ports.len() > 1
    }

    fn read_error(&self) -> Option<Input> {
        let fd = self.socket.as_raw_fd();
        let read = self.socket.try_io(Interest::ERROR, || {
            let mut space = nix::cmsg_space!([MaybeUninit<u8>; 128]);
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<SockaddrIn>(fd, &mut [], Some(&mut space), flags)?;
            Ok(message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::Ipv4RecvErr(error, from) => Some((error, from)),
                _ => None,
            }))
        });
        let (error, from) = read.ok()??;
        // Origin 2 is ICMP; type 3 is destination unreachable.
        let from = from.map(|from| Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)))?;
        (error.ee_origin == 2 && error.ee_type == 3)
            .then_some(Input::Unreachable(error.ee_code, from))
    }

    fn attach(&self, filter: &[SockFilter]) -> io::Result<()> {
        socket2::SockRef::from(&*self.socket).attach_filter(filter)
    }
}

/// Local ports of this host's established connections to the gateway, from
/// the text of /proc/net/tcp.
fn connections(table: &str, gateway: SocketAddrV4) -> Vec<u16> {
    const ESTABLISHED: &str = "01";
    let address = u32::from_ne_bytes(gateway.ip().octets());
    let remote = format!("{address:08X}:{:04X}", gateway.port());
    let port = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, peer, state) = (fields.next()?, fields.next()?, fields.next()?);
        let (_, port) = local.split_once(':')?;
        (peer == remote && state == ESTABLISHED).then(|| u16::from_str_radix(port, 16).ok())?
    };
    table.lines().skip(1).filter_map(port).collect()
}

// Classic BPF (linux/filter.h). The data begins with the IPv4 header.
const RETURN: u16 = 0x06;
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_HEADER_LENGTH: u16 = 0xB1;
const JUMP_EQUAL: u16 = 0x15;
const ALL: u32 = 0xFFFF;

fn call_filter(gateway: Ipv4Addr, call_id: u16) -> [SockFilter; 7] {
    [
        SockFilter::new(LOAD_WORD, 0, 0, 12),
        SockFilter::new(JUMP_EQUAL, 0, 4, gateway.into()),
        SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_HALF_INDEXED, 0, 0, 6),
        SockFilter::new(JUMP_EQUAL, 0, 1, call_id.into()),
        SockFilter::new(RETURN, 0, 0, ALL),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

fn gateway_filter(gateway: Ipv4Addr) -> [SockFilter; 4] {
    [
        SockFilter::new(LOAD_WORD, 0, 0, 12),
        SockFilter::new(JUMP_EQUAL, 0, 1, gateway.into()),
        SockFilter::new(RETURN, 0, 0, ALL),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as the kernel prints them on a little-endian machine.
    #[cfg(target_endian = "little")]
    #[test]
    fn neighbours_are_known_by_their_control_connection() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
             0: 01004D0A:D78D 02004D0A:06BB 01 00000000:00000000\n   \
             1: 01004D0A:1234 02004D0A:0016 01 00000000:00000000\n";
        let gateway = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 2), 1723);
        assert_eq!(connections(table, gateway), [0xd78d]);
        let other = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 3), 1723);
        assert!(connections(table, other).is_empty());
    }

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
    const OURS: u16 = 0xd78d;
    const THEIRS: u16 = 0x0180;

    /// A socket whose datagrams come from the other end of a pair instead of
    /// the network: the kernel runs the same filters, and no right is needed.
    fn pair() -> (GreSocket, Socket) {
        let (near, far) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        near.set_nonblocking(true).unwrap();
        near.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]).unwrap();
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(OwnedFd::from(near))).unwrap();
        let socket = Rc::new(socket);
        let buffer = vec![0; 1 << 16].into_boxed_slice();
        let gateway = GATEWAY;
        let socket = GreSocket {
            socket,
            gateway,
            port: 1723,
            call_id: 0,
            wide: false,
            has_more: false,
            buffer,
        };
        (socket, far)
    }

    fn with_pair(test: impl FnOnce(GreSocket, Socket)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (socket, far) = pair();
            test(socket, far);
        });
    }

    /// The GRE payload of a datagram, and the datagram around it.
    fn datagram(source: Ipv4Addr, call_id: u16, payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let packet = Packet { call_id, sequence: Some(0), acknowledgment: None, payload }.emit();
        let destination = Ipv4Addr::new(10, 77, 0, 1);
        let datagram = Datagram { source, destination, protocol: IP_PROTOCOL, payload: &packet };
        (packet.clone(), datagram.emit())
    }

    /// pppd's first frame.
    const REQUEST: &[u8] = b"\xff\x03\xc0\x21\x01\x01\x00\x04";
    const ECHO: &[u8] = b"\xff\x03\xc0\x21\x09\x01\x00\x04";

    /// With header options, to which the filter has to find the way.
    fn stretched(datagram: &[u8]) -> Vec<u8> {
        let mut longer = datagram.to_vec();
        longer[0] = 0x46;
        longer[3] += 4;
        longer.splice(20..20, [1, 1, 1, 0]);
        longer
    }

    #[test]
    fn only_our_call_of_the_gateway_comes_in() {
        with_pair(|mut socket, far| {
            let (packet, ours) = datagram(GATEWAY, OURS, ECHO);
            let (_, of_another_call) = datagram(GATEWAY, OURS + 1, REQUEST);
            let (_, of_another_host) = datagram(Ipv4Addr::new(10, 77, 0, 3), OURS, ECHO);
            far.send(&ours).unwrap();
            socket.begin(OURS).unwrap();
            assert_eq!(socket.read(Some(THEIRS)), [], "what came before the call is forgotten");
            for octets in [&of_another_call, &ours, &of_another_host, &stretched(&ours)] {
                far.send(octets).unwrap();
            }
            let expected = [Input::Packet(packet.clone()), Input::Packet(packet)];
            assert_eq!(socket.read(Some(THEIRS)), expected);
            far.send(&ours[..20]).unwrap();
            far.send(&[]).unwrap();
            assert_eq!(socket.read(Some(THEIRS)), []);
        });
    }

    /// What is passed over counts too, or a flood of it would hold the driver
    /// beyond its deadline.
    #[test]
    fn one_read_takes_a_burst_even_where_nothing_is_for_us() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // A pair of UNIX sockets would not queue a burst.
            let near = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let far = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            near.connect(far.local_addr().unwrap()).unwrap();
            near.set_nonblocking(true).unwrap();
            far.connect(near.local_addr().unwrap()).unwrap();
            let mut socket = GreSocket {
                socket: Rc::new(UdpSocket::from_std(near).unwrap()),
                gateway: GATEWAY,
                port: 1723,
                call_id: OURS,
                wide: true,
                has_more: false,
                buffer: vec![0; 1 << 16].into_boxed_slice(),
            };
            let (_, our_own) = datagram(GATEWAY, THEIRS, ECHO);
            for _ in 0..BURST {
                far.send(&our_own).unwrap();
            }
            let (packet, ours) = datagram(GATEWAY, OURS, ECHO);
            far.send(&ours).unwrap();
            assert_eq!(socket.read(Some(THEIRS)), []);
            assert!(socket.has_more());
            assert_eq!(socket.read(Some(THEIRS)), [Input::Packet(packet)]);
            assert!(!socket.has_more());
        });
    }

    #[test]
    fn widened_filter_finds_a_session_under_a_wrong_call_id() {
        with_pair(|mut socket, far| {
            socket.begin(OURS).unwrap();
            socket.widen().unwrap();
            socket.widen().unwrap();
            let wrong = OURS + 1;
            let (_, begins) = datagram(GATEWAY, wrong, REQUEST);
            let (_, goes_on) = datagram(GATEWAY, wrong, ECHO);
            let (_, our_own) = datagram(GATEWAY, THEIRS, REQUEST);
            let (_, of_another_host) = datagram(Ipv4Addr::new(10, 77, 0, 3), wrong, REQUEST);
            let (packet, right) = datagram(GATEWAY, OURS, ECHO);
            let late = Packet {
                call_id: wrong,
                sequence: Some(16),
                acknowledgment: None,
                payload: REQUEST,
            };
            let late =
                Datagram { payload: &late.emit(), ..Datagram::parse(&begins).unwrap() }.emit();
            for octets in [&goes_on, &our_own, &of_another_host, &late, &begins, &right] {
                far.send(octets).unwrap();
            }
            let expected = [Input::Stray(wrong), Input::Packet(packet)];
            assert_eq!(socket.read(Some(THEIRS)), expected);
            // The next call begins with its own filter.
            socket.begin(OURS + 2).unwrap();
            far.send(&begins).unwrap();
            assert_eq!(socket.read(Some(THEIRS)), []);
        });
    }

    #[test]
    fn burst_is_bounded() {
        with_pair(|mut socket, far| {
            far.set_nonblocking(true).unwrap();
            socket.begin(OURS).unwrap();
            let (_, ours) = datagram(GATEWAY, OURS, ECHO);
            let (mut sent, mut read) = (0, 0);
            while read < 3 * BURST {
                // As many as the pair holds, at most all.
                while sent < 3 * BURST && far.send(&ours).is_ok() {
                    sent += 1;
                }
                let burst = socket.read(None).len();
                assert!((1..=BURST).contains(&burst), "{burst}");
                read += burst;
            }
            assert_eq!(read, sent);
        });
    }
}
