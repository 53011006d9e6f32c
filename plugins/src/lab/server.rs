//! Sockets and clock of the lab: accepts callers, carries octets between their
//! sessions and the network, and obeys commands. One thread, one task for each
//! caller. The RADIUS server beside it has sockets of its own.
//!
//! GRE comes in on one raw socket and is told apart by the caller's address
//! and the Call ID. On loopback what is sent comes back as well: such packets
//! are known by a TTL that nobody else uses.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use pptp_probe::net::entropy;
use pptp_probe::wire::gre;
use pptp_probe::wire::ip::Datagram;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_local;

use super::command::{Command, MAX_LINE};
use super::config::Config;
use super::faults::{Fault, SharedFaults};
use super::radius::sockets::Sockets as RadiusSockets;
use super::session::{Lease, Session, Transmit};

/// Callers at one time; a further one is reset.
const MAX_SESSIONS: usize = 1000;
/// Datagrams that wait for one session; what comes then is lost.
const DATAGRAM_QUEUE: usize = 512;
/// Octets of the longest GRE datagram that is taken; PPP has 1500 and a header.
const MAX_DATAGRAM: usize = 4096;
/// Octets that wait in the kernel, with what it needs for each packet.
const GRE_BUFFER: usize = 8 << 20;
/// Packets read from a socket before others have a turn.
pub(super) const BATCH: usize = 64;
/// TTL of what is sent, to know it again on loopback.
const OWN_TTL: u8 = 61;
/// How long a caller may take to close after we did.
const LINGER: Duration = Duration::from_secs(3);
/// How long sessions may take to say good-bye when the lab ends.
const GOOD_BYE: Duration = Duration::from_secs(2);
/// How often a slow caller is looked at again.
pub(super) const SLOW: Duration = Duration::from_millis(10);
/// How long a line on the control socket is waited for.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// The sockets that need a right to be opened.
pub struct RawSockets {
    gre: Socket,
    icmp: Socket,
}

impl RawSockets {
    /// Opens them for the address to listen on.
    ///
    /// # Errors
    /// One line with the mend where the right is missing.
    pub fn open(listen: Ipv4Addr) -> Result<Self, String> {
        let open = |protocol: i32| -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(protocol)))?;
            socket.set_nonblocking(true)?;
            socket.bind(&SocketAddrV4::new(listen, 0).into())?;
            Ok(socket)
        };
        let opened = || -> io::Result<Self> {
            let sockets = Self { gre: open(gre::IP_PROTOCOL.into())?, icmp: open(1)? };
            sockets.gre.set_ttl_v4(OWN_TTL.into())?;
            sockets.gre.attach_filter(&own_filter())?;
            // Hundreds of callers may begin at once; what the system allows is taken.
            if setsockopt(&sockets.gre, RcvBufForce, &GRE_BUFFER).is_err() {
                sockets.gre.set_recv_buffer_size(GRE_BUFFER)?;
            }
            Ok(sockets)
        };
        opened().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "GRE needs a raw socket: add --namespace, or run with sudo".to_string()
            }
            _ => format!("no raw socket on {listen}: {error}"),
        })
    }
}

/// A lab that is ready to run. Lives within a tokio runtime with a `LocalSet`.
#[derive(Clone)]
pub struct Lab(Rc<Hub>);

struct Hub {
    config: Rc<Config>,
    faults: SharedFaults,
    address: Cell<SocketAddrV4>,
    gre: UdpSocket,
    icmp: UdpSocket,
    radius: RadiusSockets,
    journal: Journal,
    /// Counts changes of the faults.
    changes: watch::Sender<u64>,
    /// Whether the port is open.
    listening: watch::Sender<bool>,
    quit: Notify,
    ending: Cell<bool>,
    callers: RefCell<BTreeMap<u64, Caller>>,
    next_caller: Cell<u64>,
    next_call_id: Cell<u16>,
    /// By the caller's address and our Call ID.
    routes: RefCell<HashMap<(Ipv4Addr, u16), Arrivals>>,
    /// By the caller's address in the tunnel.
    inner_routes: RefCell<HashMap<Ipv4Addr, Arrivals>>,
}

/// What callers do, on standard error, where that is wanted.
#[derive(Clone, Copy)]
struct Journal {
    is_open: bool,
    started: Instant,
}

impl Journal {
    fn log(self, line: &str) {
        if self.is_open {
            let seconds = self.started.elapsed().as_secs_f64();
            let _ = writeln!(io::stderr(), "{seconds:10.6} {line}");
        }
    }
}

/// What comes for one session beside its control connection.
enum Arrival {
    /// A datagram of protocol 47.
    Gre(Vec<u8>),
    /// A datagram out of another caller's tunnel.
    Forwarded(Vec<u8>),
}

/// Where they go.
type Arrivals = mpsc::Sender<Arrival>;

struct Caller {
    peer: SocketAddrV4,
    since: Instant,
    lease: Lease,
    words: String,
}

impl Lab {
    /// Binds the ports of RADIUS, and the TCP port of PPTP, which it lets go of
    /// at once where `tcp-refused` is in force from the start.
    ///
    /// # Errors
    /// One line that says what cannot be had.
    pub fn new(
        config: Config,
        faults: SharedFaults,
        sockets: RawSockets,
        log: bool,
    ) -> Result<(Self, Option<TcpListener>), String> {
        let carry = |socket: Socket| UdpSocket::from_std(OwnedFd::from(socket).into());
        let wanted = SocketAddrV4::new(config.listen, config.port);
        let (listener, address) = listen(wanted)
            .and_then(|listener| {
                let address = listener.local_addr()?;
                Ok((listener, address))
            })
            .map_err(|error| format!("cannot listen on {wanted}: {error}"))?;
        let port = address.port();
        let listener = (!faults.borrow().has(Fault::TcpRefused)).then_some(listener);
        let journal = Journal { is_open: log, started: Instant::now() };
        let config = Rc::new(config);
        let told = Rc::new(move |line: &str| journal.log(line));
        let radius = RadiusSockets::open(config.clone(), faults.clone(), told)?;
        let sockets = carry(sockets.gre).and_then(|gre| Ok((gre, carry(sockets.icmp)?)));
        let (gre, icmp) = sockets.map_err(|error| format!("the event loop: {error}"))?;
        let hub = Hub {
            address: Cell::new(SocketAddrV4::new(config.listen, port)),
            config,
            faults,
            gre,
            icmp,
            radius,
            journal,
            changes: watch::Sender::new(0),
            listening: watch::Sender::new(listener.is_some()),
            quit: Notify::new(),
            ending: Cell::new(false),
            callers: RefCell::new(BTreeMap::new()),
            next_caller: Cell::new(1),
            next_call_id: Cell::new(0),
            routes: RefCell::new(HashMap::new()),
            inner_routes: RefCell::new(HashMap::new()),
        };
        Ok((Self(Rc::new(hub)), listener))
    }

    /// Where it listens; the port is the real one.
    pub fn address(&self) -> SocketAddrV4 {
        self.0.address.get()
    }

    /// Where the RADIUS server listens for logins; accounting is on the port
    /// after it.
    pub fn radius_address(&self) -> SocketAddrV4 {
        self.0.radius.address()
    }

    /// Serves until told to quit or until `end` is ready, then says good-bye
    /// to every caller.
    ///
    /// # Errors
    /// One line when the port cannot be had again after `tcp-refused`, or the
    /// network is gone.
    pub async fn run(&self, listener: Option<TcpListener>, end: impl Future) -> Result<(), String> {
        let hub = &self.0;
        let result = tokio::select! {
            result = hub.accept(listener) => result,
            result = hub.carry_gre() => result,
            () = hub.discard_icmp() => Ok(()),
            () = hub.radius.serve() => Ok(()),
            () = hub.quit.notified() => Ok(()),
            _ = end => Ok(()),
        };
        hub.ending.set(true);
        hub.changed();
        let _ = tokio::time::timeout(GOOD_BYE, async {
            while !hub.callers.borrow().is_empty() {
                tokio::select! {
                    _ = hub.carry_gre() => {}
                    () = tokio::time::sleep(SLOW) => {}
                }
            }
        })
        .await;
        result
    }

    /// Obeys one line; the answer has no line break at its end.
    ///
    /// # Errors
    /// A sentence that says what was not understood.
    pub fn obey(&self, line: &str) -> Result<String, String> {
        let hub = &self.0;
        match line.parse()? {
            Command::Fault(fault) => {
                hub.faults.borrow_mut().set(fault);
                hub.changed();
                hub.log(&format!("fault {fault}"));
                Ok(hub.list_faults())
            }
            Command::Clear(None) => {
                hub.faults.borrow_mut().clear_all();
                hub.changed();
                hub.log("all faults cleared");
                Ok(hub.list_faults())
            }
            Command::Clear(Some(name)) => {
                if !hub.faults.borrow_mut().clear(&name) {
                    return Err(format!("the fault '{}' is not in force", name.escape_debug()));
                }
                hub.changed();
                hub.log(&format!("fault {name} cleared"));
                Ok(hub.list_faults())
            }
            Command::Faults => Ok(hub.list_faults()),
            Command::Sessions => Ok(hub.list_callers()),
            Command::Quit => {
                hub.quit.notify_one();
                Ok("good-bye".into())
            }
        }
    }

    /// Obeys lines from a channel for ever.
    pub async fn obey_lines(&self, mut lines: mpsc::Receiver<String>) {
        while let Some(line) = lines.recv().await {
            let answer = self.obey(&line).unwrap_or_else(|error| error);
            self.0.settled().await;
            let _ = writeln!(io::stdout(), "{answer}");
        }
        std::future::pending().await
    }

    /// Obeys lines from a Unix socket for ever: a connection, a line, an
    /// answer whose first line is `ok` or `error`.
    pub async fn obey_socket(&self, control: ControlSocket) {
        loop {
            let Ok((stream, _)) = control.listener.accept().await else {
                tokio::time::sleep(SLOW).await;
                continue;
            };
            // One at a time; who dawdles is dropped.
            let _ = tokio::time::timeout(COMMAND_TIMEOUT, self.obey_connection(stream)).await;
        }
    }

    async fn obey_connection(&self, mut stream: UnixStream) -> io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut line = String::new();
        BufReader::new(reader.take(MAX_LINE as u64)).read_line(&mut line).await?;
        let answer = match self.obey(&line) {
            Ok(answer) => format!("ok\n{answer}\n"),
            Err(error) => format!("error\n{error}\n"),
        };
        self.0.settled().await;
        writer.write_all(answer.as_bytes()).await
    }
}

/// A Unix socket on which commands come; its file goes away with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds it; one that a lab left behind is replaced, one on which a lab
    /// listens is not.
    ///
    /// # Errors
    /// One line that names the path.
    pub fn bind(path: &Path) -> Result<Self, String> {
        let wrong = |error: io::Error| format!("control socket {}: {error}", path.display());
        let left_behind = || {
            // What is no socket refuses connections as well.
            std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket())
                && std::os::unix::net::UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        if left_behind() {
            std::fs::remove_file(path).map_err(wrong)?;
        }
        let listener = UnixListener::bind(path).map_err(wrong)?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Drops what has our TTL and the same address at both ends: our own packets
/// on loopback. Raw sockets see the IP header: TTL at 8, addresses at 12 and 16.
fn own_filter() -> [SockFilter; 8] {
    const LOAD_OCTET: u16 = 0x30;
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_CONSTANT: u16 = 0x15;
    const JUMP_IF_X: u16 = 0x1D;
    const COPY_TO_X: u16 = 0x07;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_OCTET, 0, 0, 8),
        SockFilter::new(JUMP_IF_CONSTANT, 0, 4, OWN_TTL.into()),
        SockFilter::new(LOAD_WORD, 0, 0, 12),
        SockFilter::new(COPY_TO_X, 0, 0, 0),
        SockFilter::new(LOAD_WORD, 0, 0, 16),
        SockFilter::new(JUMP_IF_X, 1, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

pub(super) fn listen(address: SocketAddrV4) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address.into())?;
    socket.listen(1024)
}

impl Hub {
    fn log(&self, line: &str) {
        self.journal.log(line);
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn list_faults(&self) -> String {
        let faults = self.faults.borrow();
        let list: Vec<String> = faults.iter().map(ToString::to_string).collect();
        if list.is_empty() { "no fault is in force".into() } else { list.join("\n") }
    }

    fn list_callers(&self) -> String {
        let callers = self.callers.borrow();
        let list: Vec<String> = callers
            .iter()
            .map(|(id, caller)| {
                let seconds = caller.since.elapsed().as_secs();
                format!("{id} {} {seconds}s {}", caller.peer, caller.words)
            })
            .collect();
        if list.is_empty() { "no caller".into() } else { list.join("\n") }
    }

    /// Waits until the port is open or shut as the faults say, so that an
    /// answer to a command means that it is done.
    async fn settled(&self) {
        let mut listening = self.listening.subscribe();
        let due = |listening: &bool| *listening != self.faults.borrow().has(Fault::TcpRefused);
        let _ = listening.wait_for(due).await;
    }

    async fn accept(self: &Rc<Self>, mut listener: Option<TcpListener>) -> Result<(), String> {
        let mut changes = self.changes.subscribe();
        loop {
            if self.faults.borrow().has(Fault::TcpRefused) {
                listener = None;
            } else if listener.is_none() {
                let address = self.address.get();
                let again = listen(address).map_err(|e| format!("cannot listen on {address}: {e}"));
                listener = Some(again?);
            }
            self.listening.send_replace(listener.is_some());
            let Some(open) = &listener else {
                let _ = changes.changed().await;
                continue;
            };
            tokio::select! {
                accepted = open.accept() => match accepted {
                    Ok((stream, SocketAddr::V4(peer))) => self.attend(stream, peer),
                    Ok(_) => {}
                    // Out of descriptors, or the caller is gone already.
                    Err(_) => tokio::time::sleep(SLOW).await,
                },
                _ = changes.changed() => {}
            }
        }
    }

    fn attend(self: &Rc<Self>, stream: TcpStream, peer: SocketAddrV4) {
        if self.callers.borrow().len() >= MAX_SESSIONS {
            self.log(&format!("{peer} too many callers"));
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        let _ = stream.set_nodelay(true);
        let id = self.next_caller.get();
        self.next_caller.set(id.wrapping_add(1));
        let lease = self.lease(*peer.ip());
        let (sender, arrivals) = mpsc::channel(DATAGRAM_QUEUE);
        for call_id in lease.call_ids {
            self.routes.borrow_mut().insert((*peer.ip(), call_id), sender.clone());
        }
        if let Some(address) = lease.address {
            self.inner_routes.borrow_mut().insert(address, sender);
        }
        let caller = Caller { peer, since: Instant::now(), lease, words: "connect".into() };
        self.callers.borrow_mut().insert(id, caller);
        self.log(&format!("{peer} connected"));
        let hub = self.clone();
        spawn_local(async move {
            hub.converse(id, stream, peer, lease, arrivals).await;
            for call_id in lease.call_ids {
                hub.routes.borrow_mut().remove(&(*peer.ip(), call_id));
            }
            if let Some(address) = lease.address {
                hub.inner_routes.borrow_mut().remove(&address);
            }
            hub.callers.borrow_mut().remove(&id);
            hub.log(&format!("{peer} gone"));
        });
    }

    /// Call IDs and an address that nobody has. pptpd begins with Call ID 0
    /// too; it is valid.
    fn lease(&self, peer: Ipv4Addr) -> Lease {
        let callers = self.callers.borrow();
        let taken: HashSet<u16> = callers.values().map(|caller| caller.lease.call_ids[0]).collect();
        let addresses: HashSet<Ipv4Addr> =
            callers.values().filter_map(|caller| caller.lease.address).collect();
        let mut call_id = self.next_call_id.get();
        while taken.contains(&call_id) {
            call_id = call_id.wrapping_add(2);
        }
        self.next_call_id.set(call_id.wrapping_add(2));
        let free =
            |address: &Ipv4Addr| *address != self.config.inner && !addresses.contains(address);
        let address = self.config.pool.addresses().find(free);
        let is_further = callers.values().any(|caller| *caller.peer.ip() == peer);
        Lease { call_ids: [call_id, call_id + 1], address, is_further }
    }

    async fn converse(
        &self,
        id: u64,
        stream: TcpStream,
        peer: SocketAddrV4,
        lease: Lease,
        mut arrivals: mpsc::Receiver<Arrival>,
    ) {
        let entropy = Box::new(|| entropy::random::<16>().unwrap_or([0x5A; 16]));
        let (config, faults) = (self.config.clone(), self.faults.clone());
        let mut session = Session::new(config, faults, lease, entropy, Instant::now());
        let mut changes = self.changes.subscribe();
        let mut unsent: Vec<u8> = Vec::new();
        let mut input = [0; 4096];
        let mut told_to_end = false;
        loop {
            if self.ending.get() && !told_to_end {
                told_to_end = true;
                session.shut_down(Instant::now());
            }
            while unsent.is_empty() {
                let Some(transmit) = session.poll_transmit(Instant::now()) else {
                    break;
                };
                match transmit {
                    Transmit::Control(octets) => {
                        let sent = stream.try_write(&octets).unwrap_or(0);
                        unsent = octets[sent..].to_vec();
                    }
                    Transmit::Gre(packet) => self.send(&self.gre, &packet, *peer.ip()),
                    Transmit::Icmp(message) => self.send(&self.icmp, &message, *peer.ip()),
                    Transmit::Forward(to, datagram) => {
                        if let Err(datagram) = self.forward(to, datagram) {
                            session.handle_no_caller(&datagram, Instant::now());
                        }
                    }
                    Transmit::CloseControl => {
                        self.tell(id, peer, &mut session);
                        return linger(stream).await;
                    }
                    Transmit::ResetControl => {
                        self.tell(id, peer, &mut session);
                        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                        return;
                    }
                }
            }
            self.tell(id, peer, &mut session);
            let now = Instant::now();
            let mut timeout = session.poll_timeout();
            if !unsent.is_empty() {
                timeout = timeout.map(|at| at.max(now + SLOW));
            }
            let timer = async {
                match timeout {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stream.readable() => match stream.try_read(&mut input) {
                    Ok(0) => {
                        unsent.clear();
                        session.handle_control_closed(Instant::now());
                    }
                    Ok(length) => session.handle_control_input(&input[..length], Instant::now()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => {
                        unsent.clear();
                        session.handle_control_closed(Instant::now());
                    }
                },
                _ = stream.writable(), if !unsent.is_empty() => match stream.try_write(&unsent) {
                    Ok(sent) => drop(unsent.drain(..sent)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => {
                        unsent.clear();
                        session.handle_control_closed(Instant::now());
                    }
                },
                Some(arrival) = arrivals.recv() => {
                    let mut next = Some(arrival);
                    let mut left = BATCH;
                    while let Some(arrival) = next.take() {
                        match arrival {
                            Arrival::Gre(datagram) => {
                                session.handle_gre_input(&datagram, Instant::now());
                            }
                            Arrival::Forwarded(datagram) => {
                                session.handle_forwarded(datagram, Instant::now());
                            }
                        }
                        left -= 1;
                        if left > 0 {
                            next = arrivals.try_recv().ok();
                        }
                    }
                }
                () = timer => session.handle_timeout(Instant::now()),
                _ = changes.changed() => session.handle_timeout(Instant::now()),
            }
        }
    }

    /// Log lines and the words for the list of callers.
    fn tell(&self, id: u64, peer: SocketAddrV4, session: &mut Session) {
        while let Some(line) = session.poll_log() {
            self.log(&format!("{peer} {line}"));
        }
        if let Some(caller) = self.callers.borrow_mut().get_mut(&id) {
            caller.words = session.describe();
        }
    }

    /// A packet that the kernel does not take is lost, as on a full line.
    fn send(&self, socket: &UdpSocket, octets: &[u8], to: Ipv4Addr) {
        let _ = socket.try_send_to(octets, SocketAddrV4::new(to, 0).into());
    }

    async fn carry_gre(&self) -> Result<(), String> {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            for _ in 0..BATCH {
                match self.gre.recv(&mut buffer).await {
                    // What is longer was cut, and is no datagram any more.
                    Ok(length) => self.route(&buffer[..length]),
                    // What ICMP says about a packet sent earlier is the caller's affair.
                    Err(error) if error.kind() != io::ErrorKind::NetworkDown => {}
                    Err(error) => return Err(format!("the network is gone: {error}")),
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn route(&self, datagram: &[u8]) {
        let Ok(ip) = Datagram::parse(datagram) else {
            return;
        };
        let Some(call_id) = ip.payload.get(6..8) else {
            return;
        };
        let key = (ip.source, u16::from_be_bytes([call_id[0], call_id[1]]));
        if let Some(caller) = self.routes.borrow().get(&key) {
            let _ = caller.try_send(Arrival::Gre(datagram.to_vec()));
        }
    }

    /// Hands a datagram to the caller who has the address; gives it back when
    /// there is none.
    fn forward(&self, to: Ipv4Addr, datagram: Vec<u8>) -> Result<(), Vec<u8>> {
        match self.inner_routes.borrow().get(&to) {
            Some(caller) => {
                let _ = caller.try_send(Arrival::Forwarded(datagram));
                Ok(())
            }
            None => Err(datagram),
        }
    }

    /// The ICMP socket is for sending; what comes in must not pile up in it.
    async fn discard_icmp(&self) {
        let mut buffer = [0; 1];
        loop {
            if self.icmp.recv(&mut buffer).await.is_err() {
                tokio::time::sleep(SLOW).await;
            }
        }
    }
}

/// Sends FIN and waits for the caller's, without listening.
async fn linger(mut stream: TcpStream) {
    let _ = tokio::time::timeout(LINGER, async {
        if stream.shutdown().await.is_ok() {
            let mut rest = [0; 4096];
            while stream.read(&mut rest).await.is_ok_and(|length| length > 0) {}
        }
    })
    .await;
}
