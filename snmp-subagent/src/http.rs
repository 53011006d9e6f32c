//! The pages for Prometheus: `/metrics`, `/probe` as users of blackbox_exporter
//! know it, and `/-/healthy` (`/healthz`) for whoever restarts what is not well.
//!
//! hyper reads the requests. Only GET and HEAD are answered; connections, the
//! size and time of a header, and the time of a whole connection are bounded.
//! Where there are too many connections, one that asks for nothing makes room
//! for the newcomer. Pages are made on a thread of their own, so that a long
//! one delays nobody else; a run that nobody waits for any longer is ended.

use std::borrow::Cow;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::log::{Level, Log};

/// Connections at one time beside those of runs; while all of them are being
/// answered, further ones wait in the kernel.
const MOST_CONNECTIONS: usize = 16;
/// How long a header may take, and the next request of a connection.
const HEADER_TIME: Duration = Duration::from_secs(3);
/// How long a connection is asked anything on, and how long what was asked last
/// may take.
const CONNECTION_TIME: Duration = Duration::from_secs(120);
/// Octets of a header at most.
const LONGEST_HEADER: usize = 8192;
/// How long no connection is accepted after an error, such as too many files.
const PAUSE: Duration = Duration::from_millis(100);

const TOPIC: &str = "metrics";

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0, which ends with `# EOF`.
    OpenMetrics,
}

impl Exposition {
    fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What a client asks for that takes either.
    fn wanted(headers: &HeaderMap) -> Self {
        let takes = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"))
                && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        };
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        match values.flat_map(|value| value.split(',')).any(takes) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }
}

/// What is served.
pub trait Pages: Send + Sync + 'static {
    /// The body of `/metrics`.
    fn metrics(&self, exposition: Exposition) -> String;

    /// Whether everything goes on.
    ///
    /// # Errors
    /// What does not, in one line.
    fn health(&self) -> Result<(), String>;

    /// Runs for `/probe` at one time.
    fn most_runs(&self) -> usize;

    /// The run that is asked for.
    ///
    /// # Errors
    /// Why there is none.
    fn probe(&self, asked: &Asked<'_>) -> Result<Run, Refusal>;
}

/// Makes the body of `/probe`; it ends early when the other end of the pipe is
/// closed.
pub type Run = Box<dyn FnOnce(OwnedFd) -> String + Send>;

/// Why there is no run, in a sentence for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked for is not to be had.
    Wrong(String),
    /// There are too many runs already.
    Busy(String),
}

/// What `/probe` is asked for. What is missing is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked<'a> {
    /// Whom to probe.
    pub target: Cow<'a, str>,
    /// How.
    pub module: Cow<'a, str>,
    /// Whether the exchange is to be told.
    pub is_debug: bool,
    /// How long the scraper waits for an answer.
    pub patience: Option<Duration>,
}

impl<'a> Asked<'a> {
    /// The first of several parameters of a name counts, and one that is not
    /// known is for somebody else.
    fn read(query: &'a str, headers: &HeaderMap) -> Result<Self, String> {
        let mut asked = Self::default();
        for pair in query.split('&').rev() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match &*unescape(name)? {
                "target" => asked.target = unescape(value)?,
                "module" => asked.module = unescape(value)?,
                "debug" => asked.is_debug = unescape(value)? == "true",
                _ => {}
            }
        }
        if let Some(value) = headers.get(PATIENCE) {
            let seconds = value.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok());
            let patience = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let patience = patience.filter(|patience| !patience.is_zero());
            asked.patience = Some(patience.ok_or(format!("{PATIENCE} is no time in seconds"))?);
        }
        Ok(asked)
    }
}

/// What Prometheus says its timeout is.
const PATIENCE: &str = "x-prometheus-scrape-timeout-seconds";

/// A part of a query (application/x-www-form-urlencoded) as text.
fn unescape(part: &str) -> Result<Cow<'_, str>, String> {
    if !part.contains(['%', '+']) {
        return Ok(part.into());
    }
    let mut octets = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        let octet = match octet {
            b'+' => b' ',
            b'%' => {
                let digits = rest.split_at_checked(2).and_then(|(digits, behind)| {
                    rest = behind;
                    let digit = |octet: u8| char::from(octet).to_digit(16);
                    Some(digit(digits[0])? * 16 + digit(digits[1])?)
                });
                let octet = digits.and_then(|octet| u8::try_from(octet).ok());
                octet.ok_or("in the query, two hexadecimal digits are missing behind a %")?
            }
            octet => octet,
        };
        octets.push(octet);
    }
    String::from_utf8(octets).map(Cow::from).map_err(|_| "the query is not UTF-8".into())
}

/// Serves `pages` until it is dropped; connections go with it.
pub async fn serve<P: Pages>(listener: TcpListener, pages: Arc<P>, log: &Log) {
    let mut connections = Connections::default();
    let most = MOST_CONNECTIONS + pages.most_runs();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log.say(Level::Warning, TOPIC, &format!("cannot accept a connection: {error}"));
                sleep(PAUSE).await;
                continue;
            }
        };
        connections.make_room(most).await;
        let stage = Arc::new(AtomicU8::new(SILENT));
        let (pages, told) = (pages.clone(), stage.clone());
        let answered = connections.answered.clone();
        let task = connections.tasks.spawn(async move {
            let service = service_fn(async |request| {
                told.store(ANSWERING, Ordering::Relaxed);
                let answer = answer(request, pages.clone()).await;
                told.store(ANSWERED, Ordering::Relaxed);
                answered.notify_one();
                answer
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .max_buf_size(LONGEST_HEADER)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = pin!(connection);
            // Whatever a client does wrong is its own affair.
            if timeout(CONNECTION_TIME, connection.as_mut()).await.is_err() {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(CONNECTION_TIME, connection).await;
            }
        });
        connections.open.push((task, stage));
    }
}

/// How far a connection is. Where room is needed, the lower goes first: no
/// whole request came yet.
const SILENT: u8 = 0;
/// Between two requests.
const ANSWERED: u8 = 1;
/// An answer is being made.
const ANSWERING: u8 = 2;

/// Those that are open.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The oldest first.
    open: Vec<(AbortHandle, Arc<AtomicU8>)>,
    /// Told after each answer.
    answered: Arc<Notify>,
}

impl Connections {
    /// Waits until one more may be open. One that asks for nothing is closed
    /// for it, the oldest of those that never asked before any other.
    async fn make_room(&mut self, most: usize) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.open.retain(|(task, _)| !task.is_finished());
            if self.open.len() < most {
                return;
            }
            let stages = self.open.iter().map(|(_, stage)| stage.load(Ordering::Relaxed));
            let idle = stages.enumerate().filter(|(_, stage)| *stage != ANSWERING);
            if let Some((at, _)) = idle.min_by_key(|(_, stage)| *stage) {
                self.open.remove(at).0.abort();
                return;
            }
            tokio::select! {
                _ = self.tasks.join_next() => {}
                () = self.answered.notified() => {}
            }
        }
    }
}

async fn answer<P: Pages>(
    request: Request<Incoming>,
    pages: Arc<P>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let exposition = Exposition::wanted(request.headers());
    let plain = "text/plain; charset=utf-8";
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let made = tokio::task::spawn_blocking(move || pages.metrics(exposition)).await;
            match made {
                Ok(body) => (StatusCode::OK, exposition.content_type(), body),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, plain, "internal error\n".into()),
            }
        }
        (&Method::GET | &Method::HEAD, "/probe") => {
            let asked = Asked::read(request.uri().query().unwrap_or_default(), request.headers());
            match asked.map_err(Refusal::Wrong).and_then(|asked| pages.probe(&asked)) {
                Ok(run) => match probe(run).await {
                    Some(body) => (StatusCode::OK, Exposition::Prometheus.content_type(), body),
                    None => (StatusCode::INTERNAL_SERVER_ERROR, plain, "internal error\n".into()),
                },
                Err(Refusal::Wrong(text)) => (StatusCode::BAD_REQUEST, plain, format!("{text}\n")),
                Err(Refusal::Busy(text)) => {
                    (StatusCode::SERVICE_UNAVAILABLE, plain, format!("{text}\n"))
                }
            }
        }
        (&Method::GET | &Method::HEAD, "/healthz" | "/-/healthy") => match pages.health() {
            Ok(()) => (StatusCode::OK, plain, "ok\n".to_owned()),
            Err(text) => (StatusCode::SERVICE_UNAVAILABLE, plain, format!("{text}\n")),
        },
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, plain, "here are /metrics, /probe and /-/healthy\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, plain, "GET and HEAD only\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Ok(kind) = kind.parse() {
        headers.insert(CONTENT_TYPE, kind);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}

/// The page of a run; none when there is no pipe to be had, or it went wrong.
/// Whoever drops this ends the run.
async fn probe(run: Run) -> Option<String> {
    let (interrupt, _running) = std::io::pipe().ok()?;
    tokio::task::spawn_blocking(move || run(interrupt.into())).await.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::log::tests::Lines;

    struct Fixed(Result<(), String>, Arc<Notify>);

    /// Makes no page before it is told to.
    struct Slow {
        begun: std::sync::mpsc::Sender<()>,
        permitted: Mutex<std::sync::mpsc::Receiver<()>>,
    }

    impl Pages for Slow {
        fn metrics(&self, _: Exposition) -> String {
            self.begun.send(()).unwrap();
            self.permitted.lock().unwrap().recv().unwrap();
            "late\n".to_owned()
        }

        fn health(&self) -> Result<(), String> {
            Ok(())
        }

        fn most_runs(&self) -> usize {
            0
        }

        fn probe(&self, _: &Asked<'_>) -> Result<Run, Refusal> {
            Err(Refusal::Busy("16 runs are under way".into()))
        }
    }

    impl Pages for Fixed {
        fn metrics(&self, exposition: Exposition) -> String {
            format!("# {exposition:?}\n")
        }

        fn health(&self) -> Result<(), String> {
            self.0.clone()
        }

        fn most_runs(&self) -> usize {
            0
        }

        /// What was asked; of the target "slow" only once nobody waits.
        fn probe(&self, asked: &Asked<'_>) -> Result<Run, Refusal> {
            if asked.target.is_empty() {
                return Err(Refusal::Wrong("the target is missing".into()));
            }
            let said = format!("{asked:?}\n");
            let is_slow = asked.target == "slow";
            let ended = self.1.clone();
            Ok(Box::new(move |interrupt| {
                if is_slow {
                    let mut rest = Vec::new();
                    let mut pipe = std::fs::File::from(interrupt);
                    std::io::Read::read_to_end(&mut pipe, &mut rest).unwrap();
                    ended.notify_one();
                }
                said
            }))
        }
    }

    async fn server(health: Result<(), String>) -> std::net::SocketAddr {
        serve_pages(Fixed(health, Arc::default())).await
    }

    async fn serve_pages(pages: impl Pages) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let log = Lines::default().log();
            serve(listener, Arc::new(pages), &log).await;
        });
        address
    }

    /// Sends octets and reads until the other side closes.
    async fn said(address: std::net::SocketAddr, octets: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn request(address: std::net::SocketAddr, line: &str, headers: &str) -> String {
        let text = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        said(address, text.as_bytes()).await
    }

    #[tokio::test]
    async fn metrics_come_in_the_format_that_is_asked_for() {
        let address = server(Ok(())).await;
        for (accept, kind, body) in [
            ("", "text/plain; version=0.0.4", "# Prometheus\n"),
            ("Accept: */*\r\n", "text/plain; version=0.0.4", "# Prometheus\n"),
            (
                "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3\r\n",
                "application/openmetrics-text; version=1.0.0",
                "# OpenMetrics\n",
            ),
            (
                "Accept: application/openmetrics-text;q=0, text/plain\r\n",
                "text/plain; version=0.0.4",
                "# Prometheus\n",
            ),
        ] {
            let answer = request(address, "GET /metrics", accept).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains(&format!("content-type: {kind}")), "{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        }
    }

    #[tokio::test]
    async fn head_is_get_without_the_body() {
        let answer = request(server(Ok(())).await, "HEAD /metrics", "").await;
        assert!(
            answer.contains("content-length: 13\r\n") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn what_is_not_served_says_so() {
        let address = server(Err("the collector stands still".into())).await;
        for (line, status, part) in [
            ("GET /", "404", "/metrics, /probe and /-/healthy"),
            ("GET /metrics/../etc/passwd", "404", ""),
            ("POST /metrics", "405", "allow: GET, HEAD"),
            ("DELETE /", "405", ""),
            ("GET /healthz", "503", "the collector stands still"),
            ("GET /-/healthy", "503", "the collector stands still"),
        ] {
            let answer = request(address, line, "").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
            assert!(answer.contains(part), "{line}: {answer}");
        }
        let answer = request(server(Ok(())).await, "GET /healthz", "").await;
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_run_is_given_what_was_asked_for() {
        let address = server(Ok(())).await;
        let asked = "GET /probe?x=%&target=a%2fb+c%3A1&module=m&target=other&debug=true";
        let answer = request(address, asked, "X-Prometheus-Scrape-Timeout-Seconds: 2.5\r\n").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        let expected = Asked {
            target: "a/b c:1".into(),
            module: "m".into(),
            is_debug: true,
            patience: Some(Duration::from_millis(2500)),
        };
        assert!(answer.ends_with(&format!("\r\n\r\n{expected:?}\n")), "{answer}");
        for (line, header, status) in [
            ("GET /probe?module=m", "", "400"),
            ("GET /probe?target=%ff", "", "400"),
            ("GET /probe?target=%f", "", "400"),
            ("GET /probe?target=%e9%3", "", "400"),
            ("GET /probe?target=a", "X-Prometheus-Scrape-Timeout-Seconds: -1\r\n", "400"),
            ("GET /probe?target=a", "X-Prometheus-Scrape-Timeout-Seconds: NaN\r\n", "400"),
            ("GET /probe?target=a", "X-Prometheus-Scrape-Timeout-Seconds: 0\r\n", "400"),
            ("GET /probe?target=a&debug=1", "", "200"),
            ("POST /probe?target=a", "", "405"),
        ] {
            let answer = request(address, line, header).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_escaped_is_read(text: String, rest in "[&=%+a-z0-9]{0,20}") {
            let escaped: String = text.bytes().map(|octet| format!("%{octet:02X}")).collect();
            let query = format!("target={escaped}&x={rest}");
            if let Ok(asked) = Asked::read(&query, &HeaderMap::new()) {
                proptest::prop_assert_eq!(asked.target, text);
            }
            let _ = Asked::read(&rest, &HeaderMap::new());
        }
    }

    #[tokio::test]
    async fn too_many_runs_are_told_to_come_later() {
        let (begun, _) = std::sync::mpsc::channel();
        let (_, permitted) = std::sync::mpsc::channel();
        let address = serve_pages(Slow { begun, permitted: Mutex::new(permitted) }).await;
        let answer = request(address, "GET /probe?target=a&module=m", "").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("under way"), "{answer}");
    }

    #[tokio::test]
    async fn a_run_that_nobody_waits_for_is_ended() {
        let ended = Arc::new(Notify::new());
        let address = serve_pages(Fixed(Ok(()), ended.clone())).await;
        let asking = open(address, 1, b"GET /probe?target=slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        tokio::task::yield_now().await;
        drop(asking);
        timeout(Duration::from_secs(30), ended.notified()).await.unwrap();
    }

    #[tokio::test]
    async fn a_header_without_end_is_refused() {
        let address = server(Ok(())).await;
        let long = format!("GET /metrics HTTP/1.1\r\nHost: {}", "a".repeat(3 * LONGEST_HEADER));
        let answer = said(address, long.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(said(address, b"\0\xff\x16\x03\x01 no HTTP\r\n\r\n").await.contains(" 400 "));
    }

    /// Connections that are accepted and have sent `octets`.
    async fn open(address: std::net::SocketAddr, count: usize, octets: &[u8]) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(octets).await.unwrap();
            streams.push(stream);
        }
        streams
    }

    /// What still comes until the other side closes.
    async fn rest(mut stream: TcpStream, octets: &[u8]) -> String {
        // It may be closed already.
        let _ = stream.write_all(octets).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    const END: &[u8] = b"TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn the_oldest_that_asks_for_nothing_makes_room() {
        let address = server(Ok(())).await;
        let half = b"GET /healthz HT";
        let mut slow = open(address, MOST_CONNECTIONS, half).await.into_iter();
        let answer = request(address, "GET /metrics", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(rest(slow.next().unwrap(), END).await, "");
        let answer = rest(slow.next().unwrap(), END).await;
        assert!(answer.ends_with("ok\n"), "the second one was in nobody's way: {answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_dawdles_is_left() {
        let address = server(Ok(())).await;
        let began = tokio::time::Instant::now();
        let stream = open(address, 1, b"GET /metrics HT").await.remove(0);
        assert_eq!(rest(stream, b"TP/1.1\r\n").await, "");
        assert!(began.elapsed() < CONNECTION_TIME);
    }

    #[tokio::test]
    async fn who_is_being_answered_stays() {
        let (begun, beginnings) = std::sync::mpsc::channel();
        let (permit, permitted) = std::sync::mpsc::channel();
        let address = serve_pages(Slow { begun, permitted: Mutex::new(permitted) }).await;
        let ask = b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n";
        let mut asking = open(address, MOST_CONNECTIONS, ask).await;
        tokio::task::spawn_blocking(move || {
            (0..MOST_CONNECTIONS).for_each(|_| beginnings.recv().unwrap());
        })
        .await
        .unwrap();
        let late = tokio::spawn(async move { request(address, "GET /healthz", "").await });
        (0..MOST_CONNECTIONS).for_each(|_| permit.send(()).unwrap());
        for stream in asking.drain(..) {
            assert!(rest(stream, b"").await.ends_with("\r\n\r\nlate\n"));
        }
        assert!(late.await.unwrap().ends_with("ok\n"));
    }
}
