//! The web server of the inside: one connection of HTTP/1.1 (RFC 9112), GET
//! and HEAD, no body in a request.
//!
//! | path | answer |
//! | --- | --- |
//! | `/` | a short page with the words `It works inside the tunnel` |
//! | `/bytes/N` | N octets |
//! | `/chunked/N` | N octets in chunks, their number not told before |
//! | `/redirect` | 302 to `/` |
//! | `/redirect/loop` | 302 to itself |
//! | `/status/NNN` | that status, 200 to 599 |
//! | `/slow/MS` | the page of `/`, so many milliseconds later |
//!
//! Connections stay open unless the client says otherwise. What follows a
//! request waits until that is answered.

use std::time::{Duration, Instant};

use super::super::faults::{Fault, Faults};
use super::pattern;

/// Octets of a request's head.
const MAX_HEAD: usize = 8192;
/// Octets of one chunk.
const CHUNK: u64 = 4096;
/// Octets of the longest object, a tebibyte.
const MAX_OBJECT: u64 = 1 << 40;
/// Longest wait, an hour.
const MAX_WAIT: u64 = 3_600_000;
/// The page; a test may look for its words.
const PAGE: &str = "<!DOCTYPE html>\n<title>pptp-lab</title>\n<p>It works inside the tunnel\n";

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Http {
    /// The head of a request, as far as it came.
    input: Vec<u8>,
    /// What is to be sent before the body: a head, or a chunk.
    output: Vec<u8>,
    sent: usize,
    body: Body,
    wait_until: Option<Instant>,
    closes: bool,
    /// The client is never answered.
    mute: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Body {
    #[default]
    Done,
    Plain {
        at: u64,
        end: u64,
    },
    Chunked {
        at: u64,
        end: u64,
    },
}

/// What a request is answered with.
struct Answer<'a> {
    status: u16,
    location: &'a str,
    content: Content<'a>,
}

enum Content<'a> {
    Text(&'a str),
    Octets(u64),
    Chunks(u64),
}

impl Http {
    /// True while an answer is under way: no input is taken then.
    pub(super) fn is_busy(&self) -> bool {
        self.sent < self.output.len() || !matches!(self.body, Body::Done)
    }

    /// True when everything was sent that is to be sent.
    pub(super) fn is_finished(&self) -> bool {
        self.closes && !self.is_busy()
    }

    /// When an answer that waits is due.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        self.wait_until
    }

    /// Takes octets of the client, at most to the end of one request; gives
    /// how many were taken.
    pub(super) fn receive(&mut self, octets: &[u8], faults: &Faults, now: Instant) -> usize {
        if self.closes || self.mute {
            return octets.len();
        }
        let mut taken = 0;
        while !self.is_busy() && taken < octets.len() {
            self.input.push(octets[taken]);
            taken += 1;
            if self.input.ends_with(b"\r\n\r\n") || self.input.len() > MAX_HEAD {
                let head = std::mem::take(&mut self.input);
                self.answer(&head, faults, now);
            }
        }
        taken
    }

    /// Writes what is due into `room`; gives how many octets.
    pub(super) fn fill(&mut self, room: &mut [u8], now: Instant) -> usize {
        if self.wait_until.is_some_and(|at| at > now) {
            return 0;
        }
        self.wait_until = None;
        let mut filled = 0;
        loop {
            let output = &self.output[self.sent..];
            let count = output.len().min(room.len() - filled);
            room[filled..filled + count].copy_from_slice(&output[..count]);
            (self.sent, filled) = (self.sent + count, filled + count);
            if filled == room.len() {
                return filled;
            }
            match self.body {
                Body::Done => return filled,
                Body::Plain { at, end } => {
                    let count = usize::try_from(end - at).unwrap_or(usize::MAX);
                    let count = count.min(room.len() - filled);
                    pattern::write(at, &mut room[filled..filled + count]);
                    filled += count;
                    let at = at + count as u64;
                    self.body = if at == end { Body::Done } else { Body::Plain { at, end } };
                }
                Body::Chunked { at, end } => {
                    let count = (end - at).min(CHUNK);
                    self.output = format!("{count:x}\r\n").into_bytes();
                    self.sent = 0;
                    let start = self.output.len();
                    self.output.resize(start + count as usize, 0);
                    pattern::write(at, &mut self.output[start..]);
                    self.output.extend(b"\r\n");
                    // The empty chunk is the last.
                    self.body = match count {
                        0 => Body::Done,
                        _ => Body::Chunked { at: at + count, end },
                    };
                }
            }
        }
    }

    fn answer(&mut self, head: &[u8], faults: &Faults, now: Instant) {
        if faults.has(Fault::HttpSilent) {
            self.mute = true;
            return;
        }
        let late = faults.find(|fault| match fault {
            Fault::HttpSlow(pause) => Some(*pause),
            _ => None,
        });
        self.wait_until = late.map(|pause| now + pause);
        let plain = |status| Answer { status, location: "", content: Content::Text("") };
        let Some(request) = Request::parse(head) else {
            self.closes = true;
            return self.begin(&plain(400), false);
        };
        self.closes = request.closes;
        let answer = match request.method {
            _ if faults.has(Fault::Http500) => plain(500),
            "GET" | "HEAD" => self.find(request.path, now).unwrap_or(plain(404)),
            _ => {
                // It may have a body, which nobody reads.
                self.closes = true;
                plain(405)
            }
        };
        self.begin(&answer, request.method == "HEAD");
    }

    fn find<'a>(&mut self, path: &'a str, now: Instant) -> Option<Answer<'a>> {
        let page = Answer { status: 200, location: "", content: Content::Text(PAGE) };
        let found = |location| Answer { status: 302, location, content: Content::Text("") };
        let number = |text: &str, most: u64| {
            let digits = text.bytes().all(|octet| octet.is_ascii_digit());
            text.parse().ok().filter(|number| digits && *number <= most)
        };
        Some(match path {
            "/" => page,
            "/redirect" => found("/"),
            "/redirect/loop" => found(path),
            _ => match path.strip_prefix('/')?.split_once('/')? {
                ("bytes", size) => {
                    Answer { content: Content::Octets(number(size, MAX_OBJECT)?), ..page }
                }
                ("chunked", size) => {
                    Answer { content: Content::Chunks(number(size, MAX_OBJECT)?), ..page }
                }
                ("status", status) => {
                    let status = number(status, 599).filter(|status| *status >= 200)?;
                    Answer { status: status as u16, ..page }
                }
                ("slow", pause) => {
                    let pause = Duration::from_millis(number(pause, MAX_WAIT)?);
                    self.wait_until = Some(self.wait_until.unwrap_or(now) + pause);
                    page
                }
                _ => return None,
            },
        })
    }

    fn begin(&mut self, answer: &Answer<'_>, only_head: bool) {
        let Answer { status, location, ref content } = *answer;
        // RFC 9110, sections 15.3.5 and 15.4.5: these have no content.
        let has_content = !matches!(status, 204 | 304);
        let mut head = format!("HTTP/1.1 {status} {}\r\nServer: pptp-lab\r\n", reason(status));
        if !location.is_empty() {
            head.push_str(&format!("Location: {location}\r\n"));
        }
        if self.closes {
            head.push_str("Connection: close\r\n");
        }
        if has_content {
            head.push_str("Content-Type: text/html\r\n");
            head.push_str(&match *content {
                Content::Text(text) => format!("Content-Length: {}\r\n", text.len()),
                Content::Octets(size) => format!("Content-Length: {size}\r\n"),
                Content::Chunks(_) => "Transfer-Encoding: chunked\r\n".into(),
            });
        }
        head.push_str("\r\n");
        self.body = Body::Done;
        if has_content && !only_head {
            match *content {
                Content::Text(text) => head.push_str(text),
                Content::Octets(0) => {}
                Content::Octets(end) => self.body = Body::Plain { at: 0, end },
                Content::Chunks(end) => self.body = Body::Chunked { at: 0, end },
            }
        }
        self.output = head.into_bytes();
        self.sent = 0;
    }
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    closes: bool,
}

impl<'a> Request<'a> {
    fn parse(head: &'a [u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let old = match version {
            "HTTP/1.1" => false,
            "HTTP/1.0" => true,
            _ => return None,
        };
        let path = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => target,
        };
        let mut host = false;
        let mut closes = old;
        for line in lines {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("host") {
                host = true;
            } else if name.eq_ignore_ascii_case("connection") {
                closes |= value.trim().eq_ignore_ascii_case("close");
            }
        }
        // RFC 9112, section 3.2: a request of 1.1 without Host is answered with 400.
        (words.next().is_none() && (host || old)).then_some(Self { method, path, closes })
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Lab",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn faults(text: &[&str]) -> Faults {
        text.iter().map(|one| one.parse().unwrap()).collect()
    }

    /// Everything that is answered at `now`, in pieces of `room` octets.
    fn sent(http: &mut Http, room: usize, now: Instant) -> Vec<u8> {
        let mut all = Vec::new();
        let mut piece = vec![0; room];
        loop {
            let count = http.fill(&mut piece, now);
            all.extend(&piece[..count]);
            if count == 0 {
                return all;
            }
        }
    }

    fn exchange(request: &str, room: usize) -> (String, Http) {
        let mut http = Http::default();
        let now = Instant::now();
        assert_eq!(http.receive(request.as_bytes(), &faults(&[]), now), request.len());
        let answer = sent(&mut http, room, now);
        (String::from_utf8(answer).unwrap(), http)
    }

    fn get(path: &str) -> String {
        exchange(&format!("GET {path} HTTP/1.1\r\nHost: www.lab\r\n\r\n"), 1000).0
    }

    #[test]
    fn page_octet_by_octet() {
        let expected = "HTTP/1.1 200 OK\r\nServer: pptp-lab\r\nContent-Type: text/html\r\n\
                        Content-Length: 70\r\n\r\n<!DOCTYPE html>\n<title>pptp-lab</title>\n\
                        <p>It works inside the tunnel\n";
        assert_eq!(get("/"), expected);
        assert_eq!(get("http://www.lab/"), expected);
        let (head, http) = exchange("HEAD / HTTP/1.1\r\nHost: www.lab\r\n\r\n", 1);
        assert_eq!(head, expected.split_inclusive("\r\n\r\n").next().unwrap());
        assert!(!http.is_finished(), "the connection stays");
    }

    #[test]
    fn objects_have_their_length_whatever_the_room() {
        for room in [1, 7, 100_000] {
            let (answer, _) = exchange("GET /bytes/9000 HTTP/1.1\r\nHost: x\r\n\r\n", room);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with("Content-Length: 9000"), "{head}");
            let mut expected = vec![0; 9000];
            pattern::write(0, &mut expected);
            assert_eq!(body.as_bytes(), expected);
        }
        assert!(get("/bytes/0").ends_with("Content-Length: 0\r\n\r\n"));
    }

    #[test]
    fn chunks_end_with_an_empty_one() {
        let (answer, _) = exchange("GET /chunked/5000 HTTP/1.1\r\nHost: x\r\n\r\n", 333);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("Transfer-Encoding: chunked"));
        let first = body.strip_prefix("1000\r\n").unwrap();
        assert_eq!(&first[4096..4096 + 7], "\r\n388\r\n");
        assert_eq!(&first[4103 + 904..], "\r\n0\r\n\r\n");
        assert!(get("/chunked/0").ends_with("chunked\r\n\r\n0\r\n\r\n"));
    }

    #[test]
    fn paths_and_their_status() {
        for (path, status, location) in [
            ("/redirect", "302 Found", "Location: /\r\n"),
            ("/redirect/loop", "302 Found", "Location: /redirect/loop\r\n"),
            ("/status/503", "503 Service Unavailable", "Content-Length: 70\r\n"),
            ("/status/204", "204 No Content", ""),
            ("/status/199", "404 Not Found", ""),
            ("/status/600", "404 Not Found", ""),
            ("/bytes/+1", "404 Not Found", ""),
            ("/bytes/1099511627777", "404 Not Found", ""),
            ("/nothing", "404 Not Found", ""),
            ("nothing", "404 Not Found", ""),
        ] {
            let answer = get(path);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path}: {answer}");
            assert!(answer.contains(location), "{path}: {answer}");
        }
        assert!(!get("/status/204").contains("Content-"));
    }

    #[test]
    fn requests_that_end_the_connection() {
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: x\r\nconnection: Close\r\n\r\n", 200),
            ("GET / HTTP/1.0\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ] {
            let (answer, http) = exchange(request, 100);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
            assert!(answer.contains("\r\nConnection: close\r\n") && http.is_finished());
        }
        let endless = "GET /".to_string() + &"x".repeat(MAX_HEAD - 4);
        assert!(exchange(&endless, 100).0.starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn next_request_waits_for_the_answer_before_it() {
        let (mut http, none, now) = (Http::default(), faults(&[]), Instant::now());
        let one = b"GET /status/500 HTTP/1.1\r\nHost: x\r\n\r\n";
        let two = [&one[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
        assert_eq!(http.receive(&two, &none, now), one.len());
        assert_eq!(http.receive(&two[one.len()..], &none, now), 0);
        assert!(sent(&mut http, 50, now).starts_with(b"HTTP/1.1 500 "));
        assert_eq!(http.receive(&two[one.len()..], &none, now), two.len() - one.len());
        assert!(sent(&mut http, 50, now).starts_with(b"HTTP/1.1 200 "));
    }

    #[test]
    fn slow_answers_wait_before_the_first_octet() {
        let ms = Duration::from_millis;
        let request = b"GET /slow/250 HTTP/1.1\r\nHost: x\r\n\r\n";
        for (fault, pause) in [(None, ms(250)), (Some("http-slow=500"), ms(750))] {
            let (mut http, now) = (Http::default(), Instant::now());
            http.receive(request, &faults(fault.as_slice()), now);
            assert_eq!(http.wait_until(), Some(now + pause));
            assert!(sent(&mut http, 50, now + pause - ms(1)).is_empty());
            assert!(sent(&mut http, 50, now + pause).starts_with(b"HTTP/1.1 200 "));
        }
    }

    #[test]
    fn faults_of_the_server() {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let (mut http, now) = (Http::default(), Instant::now());
        http.receive(request, &faults(&["http-500"]), now);
        assert!(sent(&mut http, 50, now).starts_with(b"HTTP/1.1 500 Internal Server Error\r\n"));
        http.receive(request, &faults(&["http-silent"]), now);
        assert!(sent(&mut http, 50, now + Duration::from_secs(60)).is_empty());
        assert!(!http.is_busy() && !http.is_finished(), "the connection stays");
        assert_eq!(http.receive(request, &faults(&[]), now), request.len());
        assert!(sent(&mut http, 50, now).is_empty(), "for good");
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..40),
        ) {
            let (mut http, now) = (Http::default(), Instant::now());
            for piece in pieces {
                let line = [b"GET /", &piece[..], b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
                for octets in [&piece[..], &line] {
                    prop_assert!(http.receive(octets, &faults(&[]), now) <= octets.len());
                    sent(&mut http, 5000, now);
                    prop_assert!(http.input.len() <= MAX_HEAD);
                }
            }
        }
    }
}
