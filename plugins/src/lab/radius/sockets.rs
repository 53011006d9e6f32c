//! Sockets and clock of the RADIUS server: UDP, and TCP on the same two ports
//! (RFC 6613). What is answered is decided in [`Server`].

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use pptp_probe::net::entropy;
use pptp_probe::wire::radius::{Framer, MAX_LENGTH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Answer, Port, Reply, Server};
use crate::lab::config::Config;
use crate::lab::faults::SharedFaults;
use crate::lab::server::{BATCH, SLOW, listen};

/// Replies over UDP that wait for their time, and TCP connections, at one
/// time; what comes then is lost.
const MAX_TASKS: usize = 4096;
/// Attempts to find two free ports in a row.
const ATTEMPTS: usize = 16;
/// Copies of a reply that are sent without a pause, and the pause.
const BURST: u32 = 16;
const PAUSE: Duration = Duration::from_millis(1);

/// A line for the log.
pub type Log = Rc<dyn Fn(&str)>;

/// The server on its ports. Lives within a tokio runtime with a `LocalSet`.
#[derive(Clone)]
pub struct Sockets(Rc<Inner>);

struct Inner {
    authentication: Pair,
    accounting: Pair,
    /// What `radius-wrong-port` sends from.
    another: UdpSocket,
    address: SocketAddrV4,
    server: RefCell<Server>,
    tasks: Cell<usize>,
    log: Log,
}

/// One port.
struct Pair {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Pair {
    fn open(address: SocketAddrV4) -> io::Result<Self> {
        let udp = open_udp(address)?;
        let port = udp.local_addr()?.port();
        Ok(Self { udp, tcp: listen(SocketAddrV4::new(*address.ip(), port))? })
    }
}

fn open_udp(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

impl Sockets {
    /// Binds the ports.
    ///
    /// # Errors
    /// One line that says what cannot be had.
    pub fn open(config: Rc<Config>, faults: SharedFaults, log: Log) -> Result<Self, String> {
        let wanted = SocketAddrV4::new(config.listen, config.radius_port);
        let wrong = |error: io::Error| {
            format!("no RADIUS on {wanted} and the port after it: {error}; see --radius-port")
        };
        let attempts = if wanted.port() == 0 { ATTEMPTS } else { 1 };
        let mut opened = open_both(wanted);
        for _ in 1..attempts {
            if opened.is_ok() {
                break;
            }
            opened = open_both(wanted);
        }
        let (address, authentication, accounting) = opened.map_err(wrong)?;
        let another = open_udp(SocketAddrV4::new(config.listen, 0)).map_err(wrong)?;
        let entropy = Box::new(|| entropy::random().unwrap_or([0x5A; 16]));
        let server = RefCell::new(Server::new(config, faults, entropy));
        let tasks = Cell::new(0);
        let inner = Inner { authentication, accounting, another, address, server, tasks, log };
        Ok(Self(Rc::new(inner)))
    }

    /// Where authentication is; accounting is on the port after it.
    pub fn address(&self) -> SocketAddrV4 {
        self.0.address
    }

    /// Serves for ever.
    pub async fn serve(&self) {
        let inner = &self.0;
        tokio::join!(
            inner.carry(Port::Authentication),
            inner.carry(Port::Accounting),
            inner.accept(Port::Authentication),
            inner.accept(Port::Accounting),
        );
    }
}

fn open_both(wanted: SocketAddrV4) -> io::Result<(SocketAddrV4, Pair, Pair)> {
    let first = Pair::open(wanted)?;
    let port = first.udp.local_addr()?.port();
    let next = port.checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let second = Pair::open(SocketAddrV4::new(*wanted.ip(), next))?;
    Ok((SocketAddrV4::new(*wanted.ip(), port), first, second))
}

impl Inner {
    fn pair(&self, port: Port) -> &Pair {
        match port {
            Port::Authentication => &self.authentication,
            Port::Accounting => &self.accounting,
        }
    }

    fn handle(&self, port: Port, source: SocketAddrV4, octets: &[u8]) -> Answer {
        let answer = self.server.borrow_mut().handle(port, source, octets);
        (self.log)(&format!("{source} RADIUS {}", answer.words));
        answer
    }

    /// Runs beside the others, unless there are too many.
    fn spawn(self: &Rc<Self>, task: impl Future + 'static) {
        if self.tasks.get() >= MAX_TASKS {
            return;
        }
        self.tasks.set(self.tasks.get() + 1);
        let inner = self.clone();
        spawn_local(async move {
            task.await;
            inner.tasks.set(inner.tasks.get() - 1);
        });
    }

    async fn carry(self: &Rc<Self>, port: Port) {
        let mut buffer = [0; MAX_LENGTH];
        loop {
            for _ in 0..BATCH {
                match self.pair(port).udp.recv_from(&mut buffer).await {
                    Ok((length, SocketAddr::V4(source))) => {
                        for reply in self.handle(port, source, &buffer[..length]).replies {
                            let inner = self.clone();
                            self.spawn(async move { inner.deliver(port, reply, source).await });
                        }
                    }
                    Ok(_) => {}
                    Err(_) => sleep(SLOW).await,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// A datagram that the kernel does not take is lost, as on a full line.
    async fn deliver(&self, port: Port, reply: Reply, to: SocketAddrV4) {
        if !reply.after.is_zero() {
            sleep(reply.after).await;
        }
        let asked = &self.pair(port).udp;
        let socket = if reply.from_another_port { &self.another } else { asked };
        for sent in 1..=reply.times {
            let _ = socket.try_send_to(&reply.octets, to.into());
            if sent % BURST == 0 {
                sleep(PAUSE).await;
            }
        }
    }

    async fn accept(self: &Rc<Self>, port: Port) {
        loop {
            match self.pair(port).tcp.accept().await {
                Ok((stream, SocketAddr::V4(source))) => {
                    let inner = self.clone();
                    self.spawn(async move { inner.converse(port, stream, source).await });
                }
                Ok(_) => {}
                // Out of descriptors, or the caller is gone already.
                Err(_) => sleep(SLOW).await,
            }
        }
    }

    /// Ends with the connection, or with a packet that breaks it (RFC 6613,
    /// section 2.6.4). One request at a time.
    async fn converse(
        &self,
        port: Port,
        mut stream: TcpStream,
        source: SocketAddrV4,
    ) -> io::Result<()> {
        let mut framer = Framer::default();
        let mut buffer = [0; MAX_LENGTH];
        loop {
            while let Some(octets) = framer.next_packet().map_err(io::Error::other)? {
                let began = Instant::now();
                let answer = self.handle(port, source, &octets);
                if !answer.is_sound {
                    return Ok(());
                }
                for reply in answer.replies {
                    sleep_until(began + reply.after).await;
                    for _ in 0..reply.times {
                        stream.write_all(&reply.octets).await?;
                    }
                }
            }
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                length => framer.push(&buffer[..length]),
            }
        }
    }
}
