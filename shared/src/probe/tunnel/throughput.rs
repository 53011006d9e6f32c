//! Goodput of TCP through the tunnel, each way on its own: octets of user data
//! per second, without the time that the connection takes to come up.
//!
//! Down goes a web page, or what a character generator sends (RFC 864); up goes
//! what a discard service takes (RFC 863). Both services stand on few machines;
//! without them the page gives one way only.
//!
//! What was handed to TCP has not arrived yet. Upwards, the end is therefore the
//! moment at which the peer, having taken everything, ends the connection too.
//! Where it does not within the time, a buffer's worth counts as not arrived.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout_at;

use super::url::Amount;
use super::way::{Segments, Way, now, refusal};
use super::web::{Request, visit};
use crate::reason::Reason;

/// Octets that are read or written at once.
const PIECE: usize = 64 * 1024;

/// What the traffic goes to.
#[derive(Debug, Clone, Copy)]
pub enum Bulk<'a> {
    /// Down: a page; its end ends the measurement too.
    Page {
        /// What is fetched; its buffer is not used.
        request: &'a Request,
        /// The DNS servers inside the tunnel.
        servers: &'a [Ipv4Addr],
    },
    /// Down: a character generator.
    Chargen(SocketAddrV4),
    /// Up: a discard service.
    Discard(SocketAddrV4),
}

/// What moving octets one way showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throughput {
    /// Octets of user data that arrived; upwards at least so many.
    pub octets: u64,
    /// From the request, or the connection where there is none, to the last
    /// of them.
    pub time: Duration,
    /// From there to the first of them; downwards only.
    pub first_octet_time: Option<Duration>,
    /// The largest segment that the peer allowed, in octets.
    pub peer_mss: Option<u16>,
    /// Why it is less than was asked for: the reason and a sentence.
    pub failure: Option<(Reason, String)>,
}

impl Throughput {
    /// Octets per second; `None` where nothing arrived.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.time.as_secs_f64();
        (self.octets > 0 && seconds > 0.0).then(|| self.octets as f64 / seconds)
    }

    fn failed(failure: (Reason, String)) -> Self {
        Self {
            octets: 0,
            time: Duration::ZERO,
            first_octet_time: None,
            peer_mss: None,
            failure: Some(failure),
        }
    }
}

/// Moves so much, with buffers of so many octets each way; at the latest until
/// `until`.
pub async fn measure<W: Way>(
    way: &W,
    bulk: Bulk<'_>,
    amount: Amount,
    buffer: usize,
    until: Instant,
) -> Throughput {
    match bulk {
        Bulk::Page { request, servers } => {
            let request = Request { buffer, ..request.clone() };
            fetch(way, servers, &request, amount, until).await
        }
        Bulk::Chargen(to) | Bulk::Discard(to) => {
            let stream = match way.connect(to, buffer, until).await {
                Ok(stream) => stream,
                Err(error) => return Throughput::failed(refusal(to, &error)),
            };
            let transfer = Transfer { to, amount, started: now(), until };
            match bulk {
                Bulk::Discard(_) => transfer.up(stream, buffer).await,
                _ => transfer.down(stream).await,
            }
        }
    }
}

async fn fetch<W: Way>(
    way: &W,
    servers: &[Ipv4Addr],
    request: &Request,
    amount: Amount,
    until: Instant,
) -> Throughput {
    let seen = visit(way, servers, request, amount, until, &mut |_| ()).await;
    let failure = match seen.status {
        Some(status) if seen.failure.is_none() && !(200..300).contains(&status) => {
            Some((Reason::HttpFailed, format!("{} answers with status {status}", seen.url)))
        }
        _ => seen.failure,
    };
    Throughput {
        octets: seen.body,
        time: seen.transfer_time.unwrap_or_default(),
        first_octet_time: seen.first_byte_time,
        peer_mss: seen.peer_mss,
        failure,
    }
}

/// A connection that has come up.
struct Transfer {
    to: SocketAddrV4,
    amount: Amount,
    started: Instant,
    until: Instant,
}

impl Transfer {
    /// When the octets stop.
    fn end(&self) -> Instant {
        match self.amount {
            Amount::Time(time) => self.until.min(self.started + time),
            Amount::Octets(_) => self.until,
        }
    }

    /// How many more are wanted, at most a piece.
    fn room(&self, octets: u64) -> usize {
        match self.amount {
            Amount::Time(_) => PIECE,
            Amount::Octets(wanted) => wanted.saturating_sub(octets).min(PIECE as u64) as usize,
        }
    }

    /// Why the end came too early, where it did.
    fn shortfall(&self, octets: u64) -> Option<(Reason, String)> {
        match self.amount {
            Amount::Time(_) if octets > 0 => None,
            Amount::Time(_) => {
                Some((Reason::Silent, format!("{} is connected, but nothing moves", self.to)))
            }
            Amount::Octets(wanted) if octets >= wanted => None,
            Amount::Octets(wanted) => {
                Some((Reason::Silent, format!("only {octets} of {wanted} octets in the time")))
            }
        }
    }

    async fn down<S: Segments + AsyncReadExt + Unpin>(&self, mut stream: S) -> Throughput {
        let mut piece = vec![0; PIECE];
        let (mut octets, mut first, mut last) = (0, None, self.started);
        let failure = loop {
            let room = self.room(octets);
            if room == 0 {
                break None;
            }
            match timeout_at(self.end().into(), stream.read(&mut piece[..room])).await {
                Err(_) => break self.shortfall(octets),
                Ok(Ok(0)) => break Some(refusal(self.to, &io::ErrorKind::UnexpectedEof.into())),
                Ok(Err(error)) => break Some(refusal(self.to, &error)),
                Ok(Ok(length)) => {
                    octets += length as u64;
                    last = now();
                    first.get_or_insert(last);
                }
            }
        };
        Throughput {
            octets,
            time: last.duration_since(self.started),
            first_octet_time: first.map(|at| at.duration_since(self.started)),
            peer_mss: Some(stream.peer_mss()),
            failure,
        }
    }

    async fn up<S>(&self, mut stream: S, buffer: usize) -> Throughput
    where
        S: Segments + AsyncReadExt + AsyncWriteExt + Unpin,
    {
        let piece = vec![b'.'; PIECE];
        let mut octets = 0;
        let broken = loop {
            let room = self.room(octets);
            if room == 0 {
                break None;
            }
            match timeout_at(self.end().into(), stream.write(&piece[..room])).await {
                Err(_) => break None,
                Ok(Err(error)) => break Some(refusal(self.to, &error)),
                Ok(Ok(length)) => octets += length as u64,
            }
        };
        let has_arrived = broken.is_none()
            && timeout_at(self.until.into(), taken(&mut stream)).await.is_ok_and(|end| end.is_ok());
        if !has_arrived {
            octets = octets.saturating_sub(buffer as u64);
        }
        let failure = broken.or_else(|| self.shortfall(octets));
        Throughput {
            octets,
            time: now().duration_since(self.started),
            first_octet_time: None,
            peer_mss: Some(stream.peer_mss()),
            failure,
        }
    }
}

/// Ends our direction and waits until the peer has ended its own.
async fn taken(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Inside, Server};
    use super::*;

    const AT: &str = "10.0.0.80:80";
    const BUFFER: usize = 65_536;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// As long as ten seconds, on the virtual clock.
    async fn measured(server: Server, bulk: Bulk<'_>, amount: Amount) -> Throughput {
        let inside = Inside::default().with_server(AT, server);
        measure(&inside, bulk, amount, BUFFER, now() + seconds(10)).await
    }

    fn down() -> Bulk<'static> {
        Bulk::Chargen(AT.parse().unwrap())
    }

    fn up() -> Bulk<'static> {
        Bulk::Discard(AT.parse().unwrap())
    }

    fn sentence(seen: &Throughput) -> (Reason, &str) {
        let (reason, sentence) = seen.failure.as_ref().expect("a failure");
        (*reason, sentence)
    }

    #[tokio::test(start_paused = true)]
    async fn octets_come_down_and_go_up_to_the_last() {
        let lines = Server::Repeats(b"0123456789\r\n".to_vec());
        for (server, bulk) in [(lines, down()), (Server::Discards, up())] {
            let seen = measured(server, bulk, Amount::Octets(1_000_001)).await;
            assert_eq!((seen.octets, seen.failure), (1_000_001, None));
            assert_eq!(seen.peer_mss, Some(1_360));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_ends_the_measurement_and_the_rate_is_over_what_moved() {
        let seen =
            measured(Server::says_and_waits("ten octets"), up(), Amount::Time(seconds(2))).await;
        // The peer took no more than the first piece, and never ended.
        assert_eq!((seen.octets, seen.time), (16_384, seconds(10)));
        assert_eq!((seen.rate(), seen.failure), (Some(1_638.4), None));
        let slow = Throughput { octets: 0, ..Throughput::failed((Reason::Silent, String::new())) };
        assert_eq!(slow.rate(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stands_still_is_told_with_what_moved() {
        let still = "10.0.0.80:80 is connected, but nothing moves";
        for bulk in [down(), up()] {
            let seen = measured(Server::Stuck, bulk, Amount::Time(seconds(2))).await;
            assert_eq!((sentence(&seen), seen.octets), ((Reason::Silent, still), 0));
            let seen = measured(Server::Stuck, bulk, Amount::Octets(100_000)).await;
            let few = "only 0 of 100000 octets in the time";
            assert_eq!((sentence(&seen), seen.octets), ((Reason::Silent, few), 0));
        }
        let closed = (Reason::Closed, "10.0.0.80:80 closed the connection");
        // Nothing is sent to it, so it ends only when it is asked something.
        let seen = measured(Server::says(""), up(), Amount::Octets(1_000_000)).await;
        assert_eq!(sentence(&seen), closed);
        let seen = measured(Server::Refuses, up(), Amount::Octets(1)).await;
        assert_eq!(sentence(&seen), (Reason::Refused, "10.0.0.80:80 refuses TCP connections"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_measured_to_its_end() {
        let request = Request::new("http://10.0.0.80/".parse().unwrap());
        let page = Bulk::Page { request: &request, servers: &[] };
        let large = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(500_000));
        let seen = measured(Server::says(&large), page, Amount::Octets(1_000_000)).await;
        assert_eq!((seen.octets, seen.failure), (500_000, None));
        assert!(seen.first_octet_time.is_some());
        let seen = measured(Server::says(&large), page, Amount::Octets(100_000)).await;
        assert!((100_000..300_000).contains(&seen.octets), "{}", seen.octets);
        let missing = Server::says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let seen = measured(missing, page, Amount::Octets(1)).await;
        let expected = (Reason::HttpFailed, "http://10.0.0.80/ answers with status 404");
        assert_eq!(sentence(&seen), expected);
    }
}
