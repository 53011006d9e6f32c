//! A way without a tunnel: every server is a function in the test's process,
//! so that tests run on the virtual clock and need no port.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep_until;
use tokio_rustls::TlsAcceptor;

use super::way::{Heard, Pinger, Segments, Way};

/// What stands inside.
#[derive(Default)]
pub(super) struct Inside {
    datagrams: HashMap<SocketAddrV4, Datagrams>,
    servers: HashMap<SocketAddrV4, Server>,
    /// What TCP was asked for, in order.
    pub(super) connected: RefCell<Vec<SocketAddrV4>>,
    /// What UDP was asked, and when.
    pub(super) asked: RefCell<Vec<(SocketAddrV4, Instant)>>,
}

/// From a question to the datagrams that come back.
type Datagrams = Box<dyn Fn(&[u8]) -> io::Result<Vec<Vec<u8>>>>;

/// From a request to what is answered.
type Answers = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A server of TCP; an address without one is silent.
#[derive(Clone)]
pub(super) enum Server {
    /// Resets what connects.
    Refuses,
    /// Answers the first request, then hangs up.
    Answers(Answers),
    /// Answers the first request, then says no more.
    Waits(Answers),
    /// Says the same for ever, asked or not.
    Repeats(Vec<u8>),
    /// Reads until the peer has sent everything.
    Discards,
    /// Reads nothing.
    Stuck,
    /// Answers by TLS, then hangs up as TLS wants it.
    Tls(TlsAcceptor, Answers),
}

impl Server {
    /// Says so much in answer to anything, then hangs up.
    pub(super) fn says(octets: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        let octets = octets.as_ref().to_vec();
        Self::Answers(Arc::new(move |_| octets.clone()))
    }

    /// The same, but stays on the line.
    pub(super) fn says_and_waits(octets: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        let octets = octets.as_ref().to_vec();
        Self::Waits(Arc::new(move |_| octets.clone()))
    }

    async fn run(self, mut stream: DuplexStream) {
        match self {
            Self::Refuses => {}
            Self::Answers(answers) => answer(&mut stream, &answers).await,
            Self::Waits(answers) => {
                answer(&mut stream, &answers).await;
                std::future::pending().await
            }
            Self::Repeats(octets) => while stream.write_all(&octets).await.is_ok() {},
            Self::Discards => {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
            Self::Stuck => {
                let _stream = stream;
                std::future::pending().await
            }
            Self::Tls(acceptor, answers) => {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                answer(&mut stream, &answers).await;
                let _ = stream.shutdown().await;
            }
        }
    }
}

/// A request is small enough to come in one piece.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answers: &Answers) {
    let mut request = vec![0; 16_384];
    let length = stream.read(&mut request).await.unwrap_or_default();
    let _ = stream.write_all(&answers(&request[..length])).await;
    let _ = stream.flush().await;
}

impl Inside {
    pub(super) fn with_server(mut self, at: &str, server: Server) -> Self {
        self.servers.insert(at.parse().unwrap(), server);
        self
    }

    pub(super) fn with_datagrams(
        mut self,
        at: &str,
        answers: impl Fn(&[u8]) -> io::Result<Vec<Vec<u8>>> + 'static,
    ) -> Self {
        self.datagrams.insert(at.parse().unwrap(), Box::new(answers));
        self
    }
}

impl Way for Inside {
    type Stream = DuplexStream;
    type Pinger = Nobody;

    async fn connect(
        &self,
        to: SocketAddrV4,
        buffer: usize,
        until: Instant,
    ) -> io::Result<DuplexStream> {
        self.connected.borrow_mut().push(to);
        match self.servers.get(&to).cloned() {
            None => {
                sleep_until(until.into()).await;
                Err(ErrorKind::TimedOut.into())
            }
            Some(Server::Refuses) => Err(ErrorKind::ConnectionRefused.into()),
            Some(server) => {
                let (ours, theirs) = duplex(buffer);
                tokio::spawn(server.run(theirs));
                Ok(ours)
            }
        }
    }

    async fn ask(
        &self,
        to: SocketAddrV4,
        question: &[u8],
        wanted: impl Fn(&[u8]) -> bool,
        until: Instant,
    ) -> io::Result<Vec<u8>> {
        self.asked.borrow_mut().push((to, super::way::now()));
        if let Some(answers) = self.datagrams.get(&to)
            && let Some(datagram) = answers(question)?.into_iter().find(|datagram| wanted(datagram))
        {
            return Ok(datagram);
        }
        sleep_until(until.into()).await;
        Err(ErrorKind::TimedOut.into())
    }

    fn pinger(&self, _to: Option<Ipv4Addr>) -> Nobody {
        panic!("nobody pings here")
    }
}

impl Segments for DuplexStream {
    fn peer_mss(&self) -> u16 {
        1_360
    }
}

pub(super) enum Nobody {}

impl Pinger for Nobody {
    fn send(&mut self, _sequence: u16, _length: usize) -> Instant {
        match *self {}
    }

    async fn heard(&mut self, _until: Instant) -> Option<Heard> {
        match *self {}
    }
}
