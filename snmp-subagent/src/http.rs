//! The page for Prometheus: `/metrics`, and `/healthz` for whoever restarts
//! what is not well.
//!
//! hyper reads the requests. Only GET and HEAD are answered; connections, the
//! size and time of a header, and the time of a whole connection are bounded.
//! Pages are made on a thread of their own, so that a long one delays nobody
//! else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::log::{Level, Log};

/// Connections at one time; further ones wait in the kernel.
const MOST_CONNECTIONS: usize = 16;
/// How long a header may take, and the next request of a connection.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long a connection may last.
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
}

/// Serves `pages` until it is dropped; connections go with it.
pub async fn serve<P: Pages>(listener: TcpListener, pages: Arc<P>, log: &Log) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log.say(Level::Warning, TOPIC, &format!("cannot accept a connection: {error}"));
                sleep(PAUSE).await;
                continue;
            }
        };
        let pages = pages.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, pages.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .max_buf_size(LONGEST_HEADER)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever a client does wrong is its own affair.
            let _ = timeout(CONNECTION_TIME, connection).await;
            drop(slot);
        });
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
        (&Method::GET | &Method::HEAD, "/healthz") => match pages.health() {
            Ok(()) => (StatusCode::OK, plain, "ok\n".to_owned()),
            Err(text) => (StatusCode::SERVICE_UNAVAILABLE, plain, format!("{text}\n")),
        },
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, plain, "here are /metrics and /healthz\n".to_owned())
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::log::tests::Lines;

    struct Fixed(Result<(), String>);

    impl Pages for Fixed {
        fn metrics(&self, exposition: Exposition) -> String {
            format!("# {exposition:?}\n")
        }

        fn health(&self) -> Result<(), String> {
            self.0.clone()
        }
    }

    async fn server(health: Result<(), String>) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let log = Lines::default().log();
            serve(listener, Arc::new(Fixed(health)), &log).await;
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
            ("GET /", "404", "/metrics and /healthz"),
            ("GET /metrics/../etc/passwd", "404", ""),
            ("POST /metrics", "405", "allow: GET, HEAD"),
            ("DELETE /", "405", ""),
            ("GET /healthz", "503", "the collector stands still"),
        ] {
            let answer = request(address, line, "").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
            assert!(answer.contains(part), "{line}: {answer}");
        }
        let answer = request(server(Ok(())).await, "GET /healthz", "").await;
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_header_without_end_is_refused() {
        let address = server(Ok(())).await;
        let long = format!("GET /metrics HTTP/1.1\r\nHost: {}", "a".repeat(3 * LONGEST_HEADER));
        let answer = said(address, long.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(said(address, b"\0\xff\x16\x03\x01 no HTTP\r\n\r\n").await.contains(" 400 "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_dawdles_is_left_and_others_get_their_turn() {
        let address = server(Ok(())).await;
        let mut slow = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /metrics HT").await.unwrap();
            slow.push(stream);
        }
        let answer = request(address, "GET /metrics", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}
