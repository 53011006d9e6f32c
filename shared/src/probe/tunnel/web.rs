//! A page fetched as a browser would: names asked of the DNS servers inside
//! the tunnel, TCP, TLS for `https`, one GET over HTTP/1.1 (RFC 9112), redirects
//! followed.
//!
//! It owns the steps with their times, the redirects and the bounds on what a
//! server may send; it leaves HTTP to hyper and TLS to rustls. Each page has its
//! own connection; nothing is kept from one to the next.
//!
//! Servers that speak HTTP/1.0, chunked or not, are as good as others. A server
//! that trickles, or never ends, is cut off when time is up, and what came until
//! then is in the report.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout_at;

use super::dns::{DnsSeen, resolve};
use super::url::{Amount, Url};
use super::way::{Segments, Way, now, refusal};
use crate::net::radius::Stream;
use crate::net::tls::{self, Agreed};
use crate::output::{VERSION, escape};
use crate::reason::Reason;

/// Buffers of a TCP connection each way, in octets, unless told otherwise.
pub const BUFFER: usize = 512 * 1024;
/// Most octets of a body that are read.
const LONGEST_BODY: u64 = 16 * 1024 * 1024;
/// Most octets of a body that are searched.
const LONGEST_SEARCHED: usize = 1024 * 1024;
/// Longest head of an answer, in octets; also the most that is read at once.
const LONGEST_HEAD: usize = 64 * 1024;
/// Largest regular expression, in octets once compiled.
const LARGEST_PATTERN: usize = 64 * 1024;
/// Most addresses of one host that are tried.
const MOST_ADDRESSES: usize = 4;

/// What is fetched and what its body shall hold.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where it begins.
    pub url: Url,
    /// Text that the body shall hold.
    pub expect_string: Option<String>,
    /// What the body shall match.
    pub expect_regex: Option<Pattern>,
    /// Redirects that are followed; with 0 a redirect is an answer like others.
    pub max_redirects: u32,
    /// PEM file of the authorities that may have signed a server's
    /// certificate; without it, those of this host.
    pub ca_file: Option<PathBuf>,
    /// Buffers of TCP each way, in octets.
    pub buffer: usize,
}

impl Request {
    /// A request without expectations that follows five redirects.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            expect_string: None,
            expect_regex: None,
            max_redirects: 5,
            ca_file: None,
            buffer: BUFFER,
        }
    }
}

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(regex_lite::Regex);

impl FromStr for Pattern {
    type Err = String;

    /// # Errors
    /// A sentence that says what is wrong with it.
    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = regex_lite::RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build();
        pattern.map(Self).map_err(|error| format!("no regular expression: {error}"))
    }
}

/// The steps of fetching a page, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The name of the host.
    Dns,
    /// TCP.
    Connect,
    /// The handshake of TLS.
    Tls,
    /// The request and the head of the answer.
    Request,
    /// The body of the answer.
    Body,
}

impl Step {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Request => "request",
            Self::Body => "body",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What fetching a page showed. Behind a redirect, the times of steps and all
/// about the connection are those of the last page.
#[derive(Debug, Clone)]
pub struct WebSeen {
    /// The last URL that was asked for.
    pub url: Url,
    /// Redirects followed.
    pub redirects: u32,
    /// The step that was reached; with a failure, the one that failed.
    pub step: Step,
    /// How the name was resolved; `None` for an address.
    pub dns: Option<DnsSeen>,
    /// The server.
    pub address: Option<SocketAddrV4>,
    /// The largest segment that the server allowed, in octets.
    pub peer_mss: Option<u16>,
    /// Time of the connect step, all addresses that were tried.
    pub connect_time: Option<Duration>,
    /// Time of the TLS handshake.
    pub tls_time: Option<Duration>,
    /// What the TLS handshake agreed on.
    pub tls: Option<Agreed>,
    /// From the request to the first octet of the answer.
    pub first_byte_time: Option<Duration>,
    /// From the request to the end of the answer, or to where it was cut off.
    pub transfer_time: Option<Duration>,
    /// The status code of the last answer.
    pub status: Option<u16>,
    /// Octets of the body.
    pub body: u64,
    /// Whether that was all of the body.
    pub is_whole: bool,
    /// Whether the expected text is in the first mebibyte of the body.
    pub string_found: Option<bool>,
    /// Whether the first mebibyte of the body matches.
    pub regex_found: Option<bool>,
    /// From the beginning to the end of everything.
    pub time: Duration,
    /// Why [`Self::step`] failed: the reason and a sentence.
    pub failure: Option<(Reason, String)>,
}

impl WebSeen {
    /// Nothing seen yet.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            redirects: 0,
            step: Step::Dns,
            dns: None,
            address: None,
            peer_mss: None,
            connect_time: None,
            tls_time: None,
            tls: None,
            first_byte_time: None,
            transfer_time: None,
            status: None,
            body: 0,
            is_whole: false,
            string_found: None,
            regex_found: None,
            time: Duration::ZERO,
            failure: None,
        }
    }
}

/// Fetches a page, at the latest until `until`. Of a long body 16 MiB are read,
/// and the first of these searched for what is expected.
pub async fn fetch<W: Way>(
    way: &W,
    servers: &[Ipv4Addr],
    request: &Request,
    until: Instant,
) -> WebSeen {
    let mut kept = Vec::new();
    let most = Amount::Octets(LONGEST_BODY);
    let mut seen = visit(way, servers, request, most, until, &mut |octets| {
        let room = LONGEST_SEARCHED - kept.len();
        kept.extend_from_slice(&octets[..octets.len().min(room)]);
    })
    .await;
    if seen.step == Step::Body {
        let text = String::from_utf8_lossy(&kept);
        let string = request.expect_string.as_ref();
        seen.string_found = string.map(|wanted| text.contains(wanted.as_str()));
        let regex = request.expect_regex.as_ref();
        seen.regex_found = regex.map(|pattern| pattern.0.is_match(&text));
    }
    seen
}

/// Fetches a page and hands its body to `sink`, piece by piece: at most so
/// much, or for so long after the request.
pub(super) async fn visit<W: Way>(
    way: &W,
    servers: &[Ipv4Addr],
    request: &Request,
    most: Amount,
    until: Instant,
    sink: &mut dyn FnMut(&[u8]),
) -> WebSeen {
    let started = now();
    let mut seen = WebSeen::new(request.url.clone());
    let mut visit = Visit { way, servers, request, most, until, client: None };
    seen.failure = visit.follow(&mut seen, sink).await.err();
    seen.time = now().duration_since(started);
    seen
}

struct Visit<'a, W> {
    way: &'a W,
    servers: &'a [Ipv4Addr],
    request: &'a Request,
    most: Amount,
    until: Instant,
    /// Made when it is first needed: most of its time goes into reading files.
    client: Option<tls::Client>,
}

impl<W: Way> Visit<'_, W> {
    async fn follow(
        &mut self,
        seen: &mut WebSeen,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), (Reason, String)> {
        let mut visited = vec![seen.url.clone()];
        while let Some(location) = self.page(seen, sink).await? {
            let next = seen.url.join(&location).map_err(|mistake| {
                let detail = format!("redirect to '{}', {mistake}", escape(&location));
                (Reason::HttpFailed, detail)
            })?;
            let name = escape(next.to_string().as_bytes());
            if visited.contains(&next) {
                return Err((Reason::HttpFailed, format!("redirects in a circle, back to {name}")));
            }
            if seen.redirects == self.request.max_redirects {
                let detail = format!("more than {} redirects, next to {name}", seen.redirects);
                return Err((Reason::HttpFailed, detail));
            }
            visited.push(next.clone());
            *seen = WebSeen { redirects: seen.redirects + 1, ..WebSeen::new(next) };
        }
        Ok(())
    }

    /// One page. Gives the Location field of a redirect that is to be followed.
    async fn page(
        &mut self,
        seen: &mut WebSeen,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<Vec<u8>>, (Reason, String)> {
        let host = seen.url.host().clone();
        let addresses = match host.address() {
            Some(address) => vec![address],
            None => {
                let mut dns = resolve(self.way, self.servers, &host, self.until).await;
                let (addresses, failure) = (dns.addresses.clone(), dns.failure.take());
                seen.dns = Some(dns);
                failure.map_or(Ok(addresses), Err)?
            }
        };
        seen.step = Step::Connect;
        let (to, stream) = self.connect(&addresses, seen).await?;
        let mut stream: Pin<Box<dyn Stream + '_>> = Box::pin(stream);
        if seen.url.is_secure() {
            seen.step = Step::Tls;
            let client = match &mut self.client {
                Some(client) => client,
                client => {
                    let ca_file = self.request.ca_file.clone();
                    let settings = tls::Settings { ca_file, ..tls::Settings::default() };
                    let made = tls::Client::new(&settings);
                    client.insert(made.map_err(|detail| (Reason::Local, detail))?)
                }
            };
            let started = now();
            let (inner, agreed) = client.begin(stream, host.as_str(), self.until).await?;
            seen.tls_time = Some(now().duration_since(started));
            seen.tls = Some(agreed);
            stream = Box::pin(inner);
        }
        seen.step = Step::Request;
        let first = Cell::new(None);
        let sent_at = now();
        let end = match self.most {
            Amount::Time(time) => self.until.min(sent_at + time),
            Amount::Octets(_) => self.until,
        };
        let exchanged = {
            let exchange = self.exchange(to, Watched { stream, first: &first }, seen, sink);
            timeout_at(end.into(), exchange).await
        };
        let since = |at: Instant| at.duration_since(sent_at);
        seen.first_byte_time = first.get().map(since);
        seen.transfer_time = Some(since(now()));
        match exchanged {
            Ok(exchanged) => exchanged,
            // Its time is what was asked for.
            Err(_) if end < self.until && seen.step == Step::Body => Ok(None),
            Err(_) => Err((Reason::Silent, late(to, seen))),
        }
    }

    /// The first of the addresses that can be reached.
    async fn connect(
        &self,
        addresses: &[Ipv4Addr],
        seen: &mut WebSeen,
    ) -> Result<(SocketAddrV4, W::Stream), (Reason, String)> {
        let started = now();
        let addresses = &addresses[..addresses.len().min(MOST_ADDRESSES)];
        let mut failure = (Reason::NameNotFound, "there is no address to connect to".to_owned());
        for (address, rest) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let to = SocketAddrV4::new(*address, seen.url.port());
            let share = self.until.saturating_duration_since(now()) / rest as u32;
            match self.way.connect(to, self.request.buffer, now() + share).await {
                Ok(stream) => {
                    seen.connect_time = Some(now().duration_since(started));
                    seen.address = Some(to);
                    seen.peer_mss = Some(stream.peer_mss());
                    return Ok((to, stream));
                }
                Err(error) => failure = refusal(to, &error),
            }
        }
        Err(failure)
    }

    /// The request and its answer.
    async fn exchange(
        &self,
        to: SocketAddrV4,
        stream: Watched<'_>,
        seen: &mut WebSeen,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<Vec<u8>>, (Reason, String)> {
        let request = hyper::Request::get(seen.url.target())
            .header(HOST, seen.url.authority())
            .header(USER_AGENT, format!("pptp-monitor/{VERSION}"))
            .header(ACCEPT, "*/*")
            .header(ACCEPT_ENCODING, "identity")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| (Reason::Local, format!("cannot ask for {}: {error}", seen.url)))?;
        let broken = |error: hyper::Error| describe_error(to, &error);
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LONGEST_HEAD);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            seen.status = Some(status);
            if self.request.max_redirects > 0
                && matches!(status, 301 | 302 | 303 | 307 | 308)
                && let Some(location) = answer.headers().get(LOCATION)
            {
                return Ok(Some(location.as_bytes().to_vec()));
            }
            seen.step = Step::Body;
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(broken)?;
                let octets = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
                seen.body += octets.len() as u64;
                sink(octets);
                if matches!(self.most, Amount::Octets(most) if seen.body >= most) {
                    seen.is_whole = body.is_end_stream();
                    return Ok(None);
                }
            }
            seen.is_whole = true;
            Ok(None)
        };
        alongside(connection, answer).await
    }
}

/// Runs `work`, and `helper` as long as that takes. What becomes of the helper
/// is told to the work by its own means.
async fn alongside<T>(helper: impl Future, work: impl Future<Output = T>) -> T {
    let (mut helper, mut work) = (pin!(helper), pin!(work));
    let mut is_over = false;
    poll_fn(|context| {
        is_over = is_over || helper.as_mut().poll(context).is_ready();
        work.as_mut().poll(context)
    })
    .await
}

/// A sentence for an answer that did not end in time.
fn late(to: SocketAddrV4, seen: &WebSeen) -> String {
    match (seen.step, seen.first_byte_time) {
        (Step::Body, _) => format!("the page had not ended after {} octets", seen.body),
        (_, Some(_)) => format!("{to} sent only the beginning of an answer"),
        (_, None) => format!("{to} is connected, but does not answer the request"),
    }
}

/// The reason and a sentence for an error of HTTP.
fn describe_error(to: SocketAddrV4, error: &hyper::Error) -> (Reason, String) {
    // What ended the connection before the request went out.
    if let Some(cause) = error.source().and_then(|source| source.downcast_ref()) {
        return describe_error(to, cause);
    }
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match source {
        Some(source) if source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            tls::describe_error(source)
        }
        Some(source)
            if matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            ) =>
        {
            (Reason::Malformed, format!("{to} sends a body that breaks HTTP: {source}"))
        }
        Some(source) => refusal(to, source),
        None if error.is_incomplete_message() => {
            (Reason::Closed, format!("{to} closed the connection instead of a whole answer"))
        }
        None if error.is_canceled() || error.is_closed() => {
            (Reason::Closed, format!("{to} closed the connection before it was asked"))
        }
        None => (Reason::Malformed, format!("what {to} sends is no HTTP: {error}")),
    }
}

/// A stream that notes when the first octet came.
struct Watched<'a> {
    stream: Pin<Box<dyn Stream + 'a>>,
    first: &'a Cell<Option<Instant>>,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream.as_mut().poll_read(context, buffer);
        if buffer.filled().len() > before && self.first.get().is_none() {
            self.first.set(Some(now()));
        }
        polled
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use tokio_rustls::TlsAcceptor;

    use super::super::fake::{Inside, Server};
    use super::*;

    const AT: &str = "10.0.0.80:80";
    const SECURE: &str = "10.0.0.80:443";
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello there";

    fn request(url: &str) -> Request {
        Request::new(url.parse().unwrap())
    }

    /// As long as ten seconds, on the virtual clock.
    async fn fetched(inside: &Inside, request: &Request) -> WebSeen {
        fetch(inside, &[], request, now() + Duration::from_secs(10)).await
    }

    /// What one server at port 80 leads to.
    async fn fetched_from(server: Server) -> WebSeen {
        let inside = Inside::default().with_server(AT, server);
        fetched(&inside, &request("http://10.0.0.80/")).await
    }

    fn failed(seen: &WebSeen) -> (Step, Reason, &str) {
        let (reason, sentence) = seen.failure.as_ref().expect("a failure");
        (seen.step, *reason, sentence)
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_asked_for_and_measured() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let server = Server::Answers(Arc::new(move |request| {
            noted.lock().unwrap().extend_from_slice(request);
            OK.into()
        }));
        let inside = Inside::default().with_server("10.0.0.80:8080", server);
        let seen = fetched(&inside, &request("http://10.0.0.80:8080/a?b=c")).await;
        let expected = format!(
            "GET /a?b=c HTTP/1.1\r\nhost: 10.0.0.80:8080\r\nuser-agent: pptp-monitor/{VERSION}\r\n\
             accept: */*\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(String::from_utf8_lossy(&asked.lock().unwrap()), expected);
        assert_eq!((seen.failure, seen.step, seen.status), (None, Step::Body, Some(200)));
        assert_eq!((seen.body, seen.is_whole, seen.redirects), (11, true, 0));
        assert_eq!((seen.peer_mss, seen.address), (Some(1_360), "10.0.0.80:8080".parse().ok()));
        assert!(seen.connect_time.is_some() && seen.first_byte_time.is_some());
        assert_eq!((seen.dns, seen.tls_time, seen.string_found), (None, None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_end_in_three_ways_and_any_status_is_an_answer() {
        for (answer, status, body) in [
            (OK, 200, 11),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              5;x=y\r\nhello\r\n6\r\n there\r\n0\r\nTrailer: 1\r\n\r\n",
                200,
                11,
            ),
            ("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, 13),
            ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops", 500, 4),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", 404, 0),
            ("HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno", 302, 2),
        ] {
            let seen = fetched_from(Server::says(answer)).await;
            assert_eq!((seen.failure, seen.status), (None, Some(status)), "{answer}");
            assert_eq!((seen.body, seen.is_whole), (body, true), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn expectations_are_looked_up_in_the_body() {
        let inside = Inside::default().with_server(AT, Server::says(OK));
        for (text, is_found) in [("lo th", true), ("Hello", false)] {
            let wanted = Request {
                expect_string: Some(text.into()),
                expect_regex: Some(format!("^{text}|{text}").parse().unwrap()),
                ..request("http://10.0.0.80/")
            };
            let seen = fetched(&inside, &wanted).await;
            assert_eq!((seen.string_found, seen.regex_found), (Some(is_found), Some(is_found)));
        }
        assert!("(".parse::<Pattern>().unwrap_err().starts_with("no regular expression: "));
        assert!("(a{999}){999}".parse::<Pattern>().is_err(), "too large");
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_resolved_inside_and_each_address_is_tried() {
        let inside = Inside::default()
            .with_datagrams("10.0.0.53:53", |question| {
                let name = b"\x03www\x07example\x03net\0\0\x01\0\x01";
                let address = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x0a\0\0";
                let head = [&question[..2], b"\x81\x80\0\x01\0\x02\0\0\0\0"].concat();
                let found = question[12..] == *name;
                let addresses = [address.as_slice(), &[79], address, &[80]].concat();
                let unknown = [&question[..2], b"\x81\x83\0\x01\0\0\0\0\0\0", &question[12..]];
                Ok(vec![if found {
                    [&head, &name[..], &addresses].concat()
                } else {
                    unknown.concat()
                }])
            })
            .with_server("10.0.0.79:80", Server::Refuses)
            .with_server(AT, Server::says(OK));
        let servers = ["10.0.0.53".parse().unwrap()];
        let until = now() + Duration::from_secs(10);
        let seen = fetch(&inside, &servers, &request("http://www.example.net/"), until).await;
        assert_eq!((seen.failure, seen.address), (None, AT.parse().ok()));
        assert_eq!(seen.dns.map(|dns| dns.addresses.len()), Some(2));
        assert_eq!(inside.connected.borrow().len(), 2);
        let seen = fetch(&inside, &servers, &request("http://example.org/"), until).await;
        let expected = "example.org does not exist, says 10.0.0.53 (NXDOMAIN)";
        assert_eq!(failed(&seen), (Step::Dns, Reason::NameNotFound, expected));
        assert_eq!(seen.dns.unwrap().rcode.as_deref(), Some("NXDOMAIN"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_be_reached_fails_at_connect() {
        let seen = fetched_from(Server::Refuses).await;
        let expected = "10.0.0.80:80 refuses TCP connections";
        assert_eq!(failed(&seen), (Step::Connect, Reason::Refused, expected));
        let seen = fetched(&Inside::default(), &request("http://10.0.0.80/")).await;
        let expected = "no answer from 10.0.0.80:80 to TCP";
        assert_eq!(failed(&seen), (Step::Connect, Reason::Silent, expected));
        assert_eq!(seen.time.as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_whole_answer_fails_at_the_request() {
        let closed = "10.0.0.80:80 closed the connection instead of a whole answer";
        for answer in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
            let seen = fetched_from(Server::says(answer)).await;
            assert_eq!(failed(&seen), (Step::Request, Reason::Closed, closed), "{answer}");
        }
        let silent = "10.0.0.80:80 is connected, but does not answer the request";
        let half = "10.0.0.80:80 sent only the beginning of an answer";
        for (answer, expected) in [("", silent), ("HTTP/1.1 200 OK\r\nContent-Le", half)] {
            let seen = fetched_from(Server::says_and_waits(answer)).await;
            assert_eq!(failed(&seen), (Step::Request, Reason::Silent, expected));
            assert_eq!((seen.time.as_secs(), seen.status), (10, None));
        }
        let seen = fetched_from(Server::Stuck).await;
        assert_eq!(failed(&seen), (Step::Request, Reason::Silent, silent));
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(200_000));
        for answer in [
            "SSH-2.0-OpenSSH_9.2p1\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\0: |\x1b[0m\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            &long,
        ] {
            let seen = fetched_from(Server::says(answer)).await;
            let (step, reason, sentence) = failed(&seen);
            assert_eq!((step, reason), (Step::Request, Reason::Malformed), "{sentence}");
            assert!(sentence.starts_with("what 10.0.0.80:80 sends is no HTTP: "), "{sentence}");
            assert!(!sentence.contains(['|', '\x1b']), "{sentence}");
        }
        // A server of something else speaks first.
        let seen = fetched_from(Server::Repeats(b"220 mail.example.net\r\n".to_vec())).await;
        let (step, reason, sentence) = failed(&seen);
        assert_eq!((step, reason), (Step::Request, Reason::Malformed), "{sentence}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_breaks_off_fails_with_what_came() {
        let closed = (Step::Body, Reason::Closed, "10.0.0.80:80 closed the connection");
        let seen =
            fetched_from(Server::says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")).await;
        assert_eq!(failed(&seen), closed);
        assert_eq!((seen.status, seen.body, seen.is_whole), (Some(200), 4, false));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        let seen = fetched_from(Server::says(chunked)).await;
        assert_eq!(failed(&seen), closed);
        let seen = fetched_from(Server::says(&format!("{chunked}no number\r\n"))).await;
        let (step, reason, sentence) = failed(&seen);
        assert_eq!((step, reason, seen.body), (Step::Body, Reason::Malformed, 4), "{sentence}");
        let inside = Inside::default().with_server(AT, Server::says_and_waits(chunked));
        let wanted = Request { expect_string: Some("half".into()), ..request("http://10.0.0.80/") };
        let seen = fetched(&inside, &wanted).await;
        let expected = "the page had not ended after 4 octets";
        assert_eq!(failed(&seen), (Step::Body, Reason::Silent, expected));
        assert_eq!((seen.string_found, seen.time.as_secs()), (Some(true), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_beyond_the_bound_is_cut_off() {
        let length = LONGEST_BODY as usize + 1_000_000;
        let long = format!("HTTP/1.0 200 OK\r\n\r\n{}b", "a".repeat(length));
        let inside = Inside::default().with_server(AT, Server::says_and_waits(&long));
        let wanted = Request { expect_string: Some("b".into()), ..request("http://10.0.0.80/") };
        let seen = fetched(&inside, &wanted).await;
        assert_eq!((seen.failure, seen.is_whole, seen.string_found), (None, false, Some(false)));
        let most = LONGEST_BODY..LONGEST_BODY + LONGEST_HEAD as u64 * 2;
        assert!(most.contains(&seen.body), "{}", seen.body);
    }

    /// A server that redirects each path to the one behind the arrow.
    fn redirecting(arrows: &'static [(&str, &str)]) -> Server {
        Server::Answers(Arc::new(move |request| {
            let request = String::from_utf8_lossy(request);
            let path = request.split(' ').nth(1).unwrap_or_default();
            match arrows.iter().find(|(from, _)| *from == path) {
                Some((_, to)) => {
                    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
                        .into()
                }
                None => OK.into(),
            }
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn redirects_are_followed_to_their_end() {
        let arrows = &[("/", "/a/b"), ("/a/b", "c#d"), ("/a/c", "//10.0.0.81:81/e")];
        let inside = Inside::default()
            .with_server(AT, redirecting(arrows))
            .with_server("10.0.0.81:81", Server::says(OK));
        let seen = fetched(&inside, &request("http://10.0.0.80")).await;
        assert_eq!((seen.failure, seen.redirects, seen.status), (None, 3, Some(200)));
        assert_eq!(seen.url.to_string(), "http://10.0.0.81:81/e");
        let stays = Request { max_redirects: 0, ..request("http://10.0.0.80") };
        let seen = fetched(&inside, &stays).await;
        assert_eq!((seen.failure, seen.redirects, seen.status), (None, 0, Some(302)));
    }

    #[tokio::test(start_paused = true)]
    async fn redirects_without_end_or_sense_fail() {
        let circle = "redirects in a circle, back to http://10.0.0.80/a";
        let many = "more than 5 redirects, next to http://10.0.0.80/6";
        let foreign = "redirect to 'ftp://a/', at octet 1: expected http:// or https://";
        let broken = r"redirect to '/\x7c\x5c', at octet 2: expected a character that a URL may have; others are written as %XX";
        let chain = &[("/", "1"), ("/1", "2"), ("/2", "3"), ("/3", "4"), ("/4", "5"), ("/5", "6")];
        for (arrows, redirects, expected) in [
            (&[("/", "/a"), ("/a", "/b"), ("/b", "/a#x")][..], 2, circle),
            (chain, 5, many),
            (&[("/", "ftp://a/")], 0, foreign),
            (&[("/", r"/|\")], 0, broken),
        ] {
            let seen = fetched_from(redirecting(arrows)).await;
            assert_eq!(failed(&seen), (Step::Request, Reason::HttpFailed, expected));
            assert_eq!(
                (seen.redirects, seen.status, seen.string_found),
                (redirects, Some(302), None)
            );
        }
    }

    /// A server with a certificate for `name` until the end of `last_year`, and
    /// the file of the authority that has signed it.
    struct Secure {
        server: Server,
        ca_file: PathBuf,
    }

    impl Secure {
        fn new(name: &str, last_year: i32) -> Self {
            let mut authority = CertificateParams::new(Vec::new()).unwrap();
            authority.distinguished_name.push(rcgen::DnType::CommonName, name);
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
            let mut leaf = CertificateParams::new(vec![name.into()]).unwrap();
            leaf.not_after = rcgen::date_time_ymd(last_year, 12, 31);
            let key = KeyPair::generate().unwrap();
            let certificate = leaf.signed_by(&key, &authority).unwrap();
            let config = rustls::ServerConfig::builder_with_provider(Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(config));
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let file = format!("pptp-probe-web-{}-{number}.pem", std::process::id());
            let ca_file = std::env::temp_dir().join(file);
            std::fs::write(&ca_file, authority.pem()).unwrap();
            Self { server: Server::Tls(acceptor, Arc::new(|_| OK.into())), ca_file }
        }

        async fn fetched(&self, ca_file: PathBuf) -> WebSeen {
            let inside = Inside::default().with_server(SECURE, self.server.clone());
            let wanted = Request { ca_file: Some(ca_file), ..request("https://10.0.0.80/") };
            fetched(&inside, &wanted).await
        }
    }

    impl Drop for Secure {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.ca_file);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn https_is_verified_and_its_certificate_reported() {
        let secure = Secure::new("10.0.0.80", 4_000);
        let seen = secure.fetched(secure.ca_file.clone()).await;
        assert_eq!((seen.failure, seen.status, seen.body), (None, Some(200), 11));
        let agreed = seen.tls.unwrap();
        assert_eq!(agreed.version, "TLSv1_3");
        assert!(agreed.expires_in.unwrap() > Duration::from_secs(86_400 * 365 * 1_000));
        assert!(seen.tls_time.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn https_that_is_not_to_be_trusted_fails_at_tls() {
        let secure = Secure::new("10.0.0.80", 4_000);
        let named = Secure::new("other.example", 4_000);
        let expired = Secure::new("10.0.0.80", 2_000);
        let prefix = "the server's certificate is not good: ";
        for (server, ca, expected) in [
            (&secure, &named, "an unknown authority has signed it"),
            (&named, &named, "it is not for the name '10.0.0.80'"),
            (&expired, &expired, "it has expired"),
        ] {
            let seen = server.fetched(ca.ca_file.clone()).await;
            let expected = format!("{prefix}{expected}");
            assert_eq!(failed(&seen), (Step::Tls, Reason::TlsFailed, expected.as_str()));
        }
        let seen = secure.fetched("/nonexistent".into()).await;
        let (step, reason, sentence) = failed(&seen);
        assert_eq!((step, reason), (Step::Tls, Reason::Local), "{sentence}");
        let plain = Inside::default().with_server(SECURE, Server::says(OK));
        let wanted =
            Request { ca_file: Some(secure.ca_file.clone()), ..request("https://10.0.0.80/") };
        let seen = fetched(&plain, &wanted).await;
        assert_eq!((failed(&seen).0, failed(&seen).1), (Step::Tls, Reason::TlsFailed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_can_be_cut_off_by_time() {
        let chunk = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let inside = Inside::default().with_server(AT, Server::says_and_waits(chunk));
        let came = RefCell::new(Vec::new());
        let most = Amount::Time(Duration::from_secs(2));
        let until = now() + Duration::from_secs(10);
        let request = request("http://10.0.0.80/");
        let seen = visit(&inside, &[], &request, most, until, &mut |octets| {
            came.borrow_mut().extend_from_slice(octets);
        })
        .await;
        assert_eq!((seen.failure, seen.is_whole, seen.body), (None, false, 4));
        assert_eq!(
            (seen.transfer_time.map(|time| time.as_secs()), came.take()),
            (Some(2), b"half".to_vec())
        );
    }
}
