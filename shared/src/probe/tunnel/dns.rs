//! Names asked of the DNS servers inside the tunnel (RFC 1035): one question
//! for an IPv4 address, over UDP and, where the answer was truncated, over TCP.
//!
//! It owns the order of servers, the retries and the sharing of time; it leaves
//! the message format to the `domain` crate. There is no search list, no cache
//! and no recursion of our own: the server is asked to recurse, and aliases are
//! followed as far as its answer holds them.
//!
//! Some servers leave the question out of a reply that is nothing but an error,
//! which the RFC neither forbids nor foresees; such a reply is taken. All else
//! that is not an answer to the question is counted and waited through.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::A;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout_at;

use super::url::Host;
use super::way::{Way, now, refusal};
use crate::net::entropy;
use crate::output::escape;
use crate::reason::Reason;

/// The port of DNS, over UDP and TCP.
const PORT: u16 = 53;
/// Wait for the answer to the first question; doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Most addresses that are kept of one answer.
const MOST_ADDRESSES: usize = 32;
/// Most messages over TCP that are looked at for one that is the answer.
const MOST_MESSAGES: u32 = 16;
/// Buffers of a TCP connection, in octets.
const TCP_BUFFER: usize = 16_384;

/// What asking for one name showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSeen {
    /// The addresses, in the order of the answer; at most 32.
    pub addresses: Vec<Ipv4Addr>,
    /// The name at the end of the aliases, where there were any; escaped.
    pub canonical_name: Option<String>,
    /// The response code of the last answer: `NOERROR`, `NXDOMAIN`, `SERVFAIL`.
    pub rcode: Option<String>,
    /// The server that gave the last answer.
    pub server: Option<Ipv4Addr>,
    /// From the question that it answered to its answer, over UDP.
    pub round_trip: Option<Duration>,
    /// From the first question to the end of everything.
    pub time: Duration,
    /// Questions sent over UDP, to all servers.
    pub tries: u32,
    /// What came from a server and was no answer to the question.
    pub ignored: u32,
    /// Whether an answer was too long for UDP.
    pub truncated: bool,
    /// Why there is no address: the reason and a sentence.
    pub failure: Option<(Reason, String)>,
}

/// Asks `servers` for the IPv4 addresses of `name`, one after the other until
/// one knows that it exists or that it does not. The time until `until` is
/// shared among those not asked yet. An address is its own answer.
pub async fn resolve<W: Way>(
    way: &W,
    servers: &[Ipv4Addr],
    name: &Host,
    until: Instant,
) -> DnsSeen {
    let mut seen = DnsSeen {
        addresses: name.address().into_iter().collect(),
        canonical_name: None,
        rcode: None,
        server: None,
        round_trip: None,
        time: Duration::ZERO,
        tries: 0,
        ignored: 0,
        truncated: false,
        failure: None,
    };
    if name.address().is_some() {
        return seen;
    }
    let started = now();
    let mut sentences = Vec::new();
    let mut reason = Reason::DnsUnexpected;
    for (server, rest) in servers.iter().zip((1..=servers.len()).rev()) {
        let share = until.saturating_duration_since(now()) / rest as u32;
        let asked = ask_server(way, *server, name, now() + share, &mut seen).await;
        match asked {
            Ok(Outcome::Final(failure)) => {
                seen.failure = failure;
                seen.time = now().duration_since(started);
                return seen;
            }
            Ok(Outcome::AskAnother(failure)) | Err(failure) => {
                reason = failure.0;
                if !sentences.contains(&failure.1) {
                    sentences.push(failure.1);
                }
            }
        }
    }
    if servers.is_empty() {
        sentences.push("the gateway gave no DNS server to ask".into());
    }
    seen.failure = Some((reason, sentences.join("; ")));
    seen.time = now().duration_since(started);
    seen
}

/// What a server's answer means for the others.
enum Outcome {
    /// It knows; with the failure where there is no address.
    Final(Option<(Reason, String)>),
    /// It does not know; another one may.
    AskAnother((Reason, String)),
}

/// Asks one server until it answers, at the latest until `until`.
async fn ask_server<W: Way>(
    way: &W,
    server: Ipv4Addr,
    name: &Host,
    until: Instant,
    seen: &mut DnsSeen,
) -> Result<Outcome, (Reason, String)> {
    let question = question(name).map_err(|detail| (Reason::Local, detail))?;
    let to = SocketAddrV4::new(server, PORT);
    let ignored = Cell::new(0);
    let parse = |octets: &[u8]| {
        let reply = Reply::parse(octets, &question);
        ignored.set(ignored.get() + u32::from(reply.is_none()));
        reply
    };
    let (tries, answer) = ask_by_udp(way, to, question.as_slice(), parse, until).await;
    seen.tries += tries;
    let reply = match answer {
        Ok((reply, round_trip)) => {
            seen.round_trip = Some(round_trip);
            if reply.is_truncated {
                seen.truncated = true;
                let asked = ask_by_tcp(way, to, question.as_slice(), parse, until).await;
                asked.map_err(|error| {
                    let (reason, detail) = match error.kind() {
                        ErrorKind::InvalidData => {
                            (Reason::Malformed, format!("{server} sends other things over TCP"))
                        }
                        _ => refusal(to, &error),
                    };
                    (reason, format!("the answer was too long for UDP, and {detail}"))
                })
            } else {
                Ok(reply)
            }
        }
        Err(error) => Err(unanswered(server, tries, ignored.get(), &error)),
    };
    seen.ignored += ignored.get();
    let reply = reply?;
    seen.server = Some(server);
    seen.rcode = Some(reply.rcode.to_string());
    let outcome = reply.judge(server, name);
    seen.addresses = reply.addresses;
    seen.canonical_name = reply.canonical_name.filter(|canonical| canonical != name.as_str());
    Ok(outcome)
}

/// The questions asked, and the answer with its round trip.
async fn ask_by_udp<W: Way>(
    way: &W,
    to: SocketAddrV4,
    question: &[u8],
    parse: impl Fn(&[u8]) -> Option<Reply>,
    until: Instant,
) -> (u32, io::Result<(Reply, Duration)>) {
    let reply = Cell::new(None);
    let wanted = |octets: &[u8]| {
        let parsed = parse(octets);
        let is_wanted = parsed.is_some();
        reply.set(parsed);
        is_wanted
    };
    let mut wait = FIRST_WAIT;
    let mut tries = 0;
    loop {
        tries += 1;
        let sent_at = now();
        match way.ask(to, question, wanted, until.min(sent_at + wait)).await {
            Err(error) if error.kind() == ErrorKind::TimedOut && now() < until => wait *= 2,
            Err(error) => return (tries, Err(error)),
            Ok(_) => {
                let reply = reply.take().ok_or_else(|| ErrorKind::InvalidData.into());
                return (tries, reply.map(|reply| (reply, now().duration_since(sent_at))));
            }
        }
    }
}

/// A message over TCP has its length before it (RFC 1035, section 4.2.2).
async fn ask_by_tcp<W: Way>(
    way: &W,
    to: SocketAddrV4,
    question: &[u8],
    parse: impl Fn(&[u8]) -> Option<Reply>,
    until: Instant,
) -> io::Result<Reply> {
    let mut stream = way.connect(to, TCP_BUFFER, until).await?;
    let exchange = async {
        let length = (question.len() as u16).to_be_bytes();
        stream.write_all(&[&length, question].concat()).await?;
        stream.flush().await?;
        for _ in 0..MOST_MESSAGES {
            let mut octets = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut octets).await?;
            if let Some(reply) = parse(&octets) {
                return Ok(reply);
            }
        }
        Err(ErrorKind::InvalidData.into())
    };
    let late = |_| Err(ErrorKind::TimedOut.into());
    timeout_at(until.into(), exchange).await.unwrap_or_else(late)
}

fn question(name: &Host) -> Result<Message<Vec<u8>>, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot ask for {name}: {error}");
    let qname: Name<Vec<u8>> = name.as_str().parse().map_err(|error| cannot(&error))?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(u16::from_be_bytes(entropy::random()?));
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((qname, Rtype::A)).map_err(|error| cannot(&error))?;
    Ok(message.into_message())
}

/// An answer to the question.
struct Reply {
    rcode: Rcode,
    is_truncated: bool,
    /// `None` where the aliases have no end.
    canonical_name: Option<String>,
    addresses: Vec<Ipv4Addr>,
}

impl Reply {
    /// `None` for what is no answer to the question.
    fn parse(octets: &[u8], question: &Message<Vec<u8>>) -> Option<Self> {
        let message = Message::from_octets(octets).ok()?;
        let header = message.header();
        let rcode = header.rcode();
        let is_bare_error = header.qr()
            && header.id() == question.header().id()
            && message.header_counts().qdcount() == 0
            && rcode != Rcode::NOERROR;
        if !is_bare_error && !message.is_answer(question) {
            return None;
        }
        let mut reply =
            Self { rcode, is_truncated: header.tc(), canonical_name: None, addresses: Vec::new() };
        if is_bare_error || reply.is_truncated {
            return Some(reply);
        }
        // It may have been cut in the middle of a record; then all of it is void.
        let records = message.answer().ok()?;
        let records: Vec<_> = records.limit_to_in::<A>().collect::<Result<_, _>>().ok()?;
        if let Some(canonical) = message.canonical_name() {
            let ours = records.iter().filter(|record| *record.owner() == canonical);
            reply.addresses =
                ours.map(|record| record.data().addr()).take(MOST_ADDRESSES).collect();
            reply.canonical_name =
                Some(escape(canonical.to_string().to_ascii_lowercase().as_bytes()));
        }
        Some(reply)
    }

    fn judge(&self, server: Ipv4Addr, name: &Host) -> Outcome {
        let rcode = self.rcode;
        match (rcode, &self.canonical_name) {
            (Rcode::NOERROR, _) if !self.addresses.is_empty() => Outcome::Final(None),
            _ if self.is_truncated => {
                let detail = format!("{server} cuts its answer short even over TCP");
                Outcome::AskAnother((Reason::Malformed, detail))
            }
            (Rcode::NOERROR, None) => {
                let detail = format!("{server} gives aliases of {name} that go in a circle");
                Outcome::Final(Some((Reason::Malformed, detail)))
            }
            (Rcode::NOERROR, Some(canonical)) if canonical != name.as_str() => {
                let detail = format!(
                    "{name} is an alias of {canonical}, for which {server} gives no IPv4 address"
                );
                Outcome::Final(Some((Reason::NameNotFound, detail)))
            }
            (Rcode::NOERROR, Some(_)) => {
                let detail = format!("{name} has no IPv4 address, says {server}");
                Outcome::Final(Some((Reason::NameNotFound, detail)))
            }
            (Rcode::NXDOMAIN, _) => {
                let detail = format!("{name} does not exist, says {server} ({rcode})");
                Outcome::Final(Some((Reason::NameNotFound, detail)))
            }
            _ => {
                let detail = format!("{server} answers {rcode} when asked for {name}");
                Outcome::AskAnother((Reason::DnsFailed, detail))
            }
        }
    }
}

/// The reason and a sentence for a server that gave no answer over UDP.
fn unanswered(server: Ipv4Addr, tries: u32, ignored: u32, error: &io::Error) -> (Reason, String) {
    match error.kind() {
        ErrorKind::TimedOut => {
            let times = if tries == 1 { "once".into() } else { format!("{tries} times") };
            let ignored = match ignored {
                0 => String::new(),
                _ => format!(", {ignored} packets from it were no answer to the question"),
            };
            (Reason::Silent, format!("no answer from DNS server {server}, asked {times}{ignored}"))
        }
        ErrorKind::ConnectionRefused => {
            (Reason::Refused, format!("{server} is no DNS server (ICMP port unreachable)"))
        }
        _ => refusal(SocketAddrV4::new(server, PORT), error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fake::{Inside, Server};
    use super::*;

    const ONE: &str = "10.0.0.53:53";
    const TWO: &str = "10.0.0.54:53";
    const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 53), Ipv4Addr::new(10, 0, 0, 54)];

    /// "www.example.net" with class IN, type A, as the question has it.
    const QUESTION: &[u8] = b"\x03www\x07example\x03net\0\0\x01\0\x01";
    /// Its owner name, by reference to the question, then A IN, 60 s, 4 octets.
    const ADDRESS: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

    /// A message with the ID of `question`, these flags, one question and
    /// so many answers, then `rest`.
    fn message(question: &[u8], flags: u16, answers: u16, rest: &[&[u8]]) -> Vec<u8> {
        let [f, g] = flags.to_be_bytes();
        let [a, b] = answers.to_be_bytes();
        let head = [question[0], question[1], f, g, 0, 1, a, b, 0, 0, 0, 0];
        [&head, QUESTION, &rest.concat()].concat()
    }

    fn answered(question: &[u8]) -> Vec<u8> {
        message(question, 0x8180, 1, &[ADDRESS])
    }

    fn one_that_says(answers: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Inside {
        Inside::default().with_datagrams(ONE, move |question| Ok(vec![answers(question)]))
    }

    /// As long as ten seconds, on the virtual clock.
    async fn ask(inside: &Inside) -> DnsSeen {
        ask_of(inside, &SERVERS).await
    }

    async fn ask_of(inside: &Inside, servers: &[Ipv4Addr]) -> DnsSeen {
        let name = "www.example.net".parse().unwrap();
        resolve(inside, servers, &name, now() + Duration::from_secs(10)).await
    }

    fn sentence(seen: &DnsSeen) -> (Reason, &str) {
        let (reason, sentence) = seen.failure.as_ref().expect("a failure");
        (*reason, sentence)
    }

    #[tokio::test(start_paused = true)]
    async fn the_question_is_that_of_the_rfc_and_its_answer_is_taken() {
        let inside = one_that_says(|question| {
            assert_eq!(question[2..12], *b"\x01\0\0\x01\0\0\0\0\0\0");
            assert_eq!(&question[12..], QUESTION);
            answered(question)
        });
        let seen = ask(&inside).await;
        assert_eq!(seen.failure, None);
        assert_eq!(seen.addresses, [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!((seen.rcode.as_deref(), seen.server), (Some("NOERROR"), Some(SERVERS[0])));
        assert_eq!((seen.tries, seen.ignored, seen.truncated), (1, 0, false));
        assert_eq!((seen.round_trip, seen.canonical_name), (Some(Duration::ZERO), None));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_its_own_answer() {
        let inside = Inside::default();
        let seen = resolve(&inside, &[], &"192.0.2.7".parse().unwrap(), now()).await;
        assert_eq!((seen.addresses, seen.failure), (vec![Ipv4Addr::new(192, 0, 2, 7)], None));
        assert!(inside.asked.borrow().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn aliases_are_followed_within_the_answer() {
        // www is a.example.net is b.example.net, whose address comes first;
        // that of another name is none of ours.
        let inside = one_that_says(|question| {
            let other = b"\x01c\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x09";
            let b = b"\x01b\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x02";
            let a = b"\x01a\xc0\x10\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x10";
            let www = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10";
            message(question, 0x8180, 4, &[b, other, a, www])
        });
        let seen = ask(&inside).await;
        assert_eq!(seen.addresses, [Ipv4Addr::new(192, 0, 2, 2)]);
        assert_eq!(seen.canonical_name.as_deref(), Some("b.example.net"));
    }

    #[tokio::test(start_paused = true)]
    async fn aliases_without_end_or_address_are_told() {
        let circle = one_that_says(|question| {
            let www = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c";
            message(question, 0x8180, 1, &[www])
        });
        let expected = "10.0.0.53 gives aliases of www.example.net that go in a circle";
        assert_eq!(sentence(&ask(&circle).await), (Reason::Malformed, expected));
        let dangling = one_that_says(|question| {
            let www = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03|\n\\\xc0\x10";
            message(question, 0x8180, 1, &[www])
        });
        let seen = ask(&dangling).await;
        let (reason, sentence) = sentence(&seen);
        assert_eq!(reason, Reason::NameNotFound);
        assert!(sentence.contains("gives no IPv4 address"), "{sentence}");
        assert!(!sentence.contains(['|', '\n']), "{sentence}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_exist_is_final() {
        let inside = one_that_says(|question| message(question, 0x8183, 0, &[]));
        let seen = ask(&inside).await;
        let expected = "www.example.net does not exist, says 10.0.0.53 (NXDOMAIN)";
        assert_eq!(sentence(&seen), (Reason::NameNotFound, expected));
        assert_eq!((seen.rcode.as_deref(), seen.tries), (Some("NXDOMAIN"), 1));
        let inside = one_that_says(|question| message(question, 0x8180, 0, &[]));
        let seen = ask(&inside).await;
        let expected = "www.example.net has no IPv4 address, says 10.0.0.53";
        assert_eq!(sentence(&seen), (Reason::NameNotFound, expected));
        assert_eq!(inside.asked.borrow().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_makes_room_for_the_next() {
        let second = |question: &[u8]| Ok(vec![answered(question)]);
        // The whole message; then nothing but the header.
        for whole in [true, false] {
            let first = move |question: &[u8]| {
                let reply = message(question, 0x8182, 0, &[]);
                let bare = [&reply[..4], &[0; 8]].concat();
                Ok(vec![if whole { reply } else { bare }])
            };
            let inside = Inside::default().with_datagrams(ONE, first).with_datagrams(TWO, second);
            let seen = ask(&inside).await;
            assert_eq!((seen.failure, seen.server), (None, Some(SERVERS[1])));
            let inside = Inside::default().with_datagrams(ONE, first);
            let seen = ask_of(&inside, &SERVERS[..1]).await;
            let expected = "10.0.0.53 answers SERVFAIL when asked for www.example.net";
            assert_eq!(sentence(&seen), (Reason::DnsFailed, expected));
            assert_eq!(seen.rcode.as_deref(), Some("SERVFAIL"));
        }
        let refused = |_: &[u8]| Err(ErrorKind::ConnectionRefused.into());
        let inside = Inside::default().with_datagrams(ONE, refused).with_datagrams(TWO, second);
        assert_eq!(ask(&inside).await.server, Some(SERVERS[1]));
        let gone = |_: &[u8]| Err(ErrorKind::NotConnected.into());
        let inside = Inside::default().with_datagrams(ONE, gone).with_datagrams(TWO, gone);
        let seen = ask(&inside).await;
        assert_eq!(sentence(&seen), (Reason::Closed, "the tunnel is gone"));
    }

    #[tokio::test(start_paused = true)]
    async fn silent_servers_share_the_time_and_are_asked_again() {
        let inside = Inside::default();
        let started = now();
        let seen = ask(&inside).await;
        let expected = "no answer from DNS server 10.0.0.53, asked 3 times; \
                        no answer from DNS server 10.0.0.54, asked 3 times";
        assert_eq!(sentence(&seen), (Reason::Silent, expected));
        assert_eq!((seen.tries, seen.round_trip, seen.server), (6, None, None));
        let asked = inside.asked.borrow();
        let at = |(to, at): &(SocketAddrV4, Instant)| {
            (to.ip().octets()[3], at.duration_since(started).as_secs())
        };
        let asked: Vec<_> = asked.iter().map(at).collect();
        assert_eq!(asked, [(53, 0), (53, 1), (53, 3), (54, 5), (54, 6), (54, 8)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_question_is_asked_again() {
        let asked = Cell::new(0);
        let inside = Inside::default().with_datagrams(ONE, move |question| {
            asked.set(asked.get() + 1);
            Ok(if asked.get() == 1 { Vec::new() } else { vec![answered(question)] })
        });
        let seen = ask(&inside).await;
        assert_eq!((seen.failure, seen.tries), (None, 2));
        assert_eq!(seen.round_trip, Some(Duration::ZERO));
        assert_eq!(seen.time.as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_answer_to_the_question_is_counted() {
        let foreign = |question: &[u8]| {
            let good = answered(question);
            let changed = |at: usize, value: u8| {
                let mut octets = good.clone();
                octets[at] = value;
                octets
            };
            vec![
                changed(0, question[0] ^ 1),     // another ID
                changed(2, 0x01),                // a question
                changed(13, b'v'),               // about another name
                changed(5, 2),                   // two questions
                changed(7, 2),                   // two answers, one of which is missing
                good[..good.len() - 1].to_vec(), // an address of three octets
                good[..11].to_vec(),
                Vec::new(),
            ]
        };
        let inside = Inside::default().with_datagrams(ONE, move |question| Ok(foreign(question)));
        let seen = ask_of(&inside, &SERVERS[..1]).await;
        let expected = "no answer from DNS server 10.0.0.53, asked 4 times, \
                        32 packets from it were no answer to the question";
        assert_eq!(sentence(&seen), (Reason::Silent, expected));
        assert_eq!(seen.ignored, 32);
        let inside = Inside::default().with_datagrams(ONE, move |question| {
            Ok([foreign(question), vec![answered(question)]].concat())
        });
        let seen = ask(&inside).await;
        assert_eq!((seen.failure, seen.ignored, seen.tries), (None, 8, 1));
    }

    /// Over UDP the first half of the answer; the server behind TCP is given.
    fn truncated(server: Server) -> Inside {
        let half = |question: &[u8]| message(question, 0x8380, 1, &[&ADDRESS[..9]]);
        one_that_says(half).with_server(ONE, server)
    }

    fn over_tcp(answers: fn(&[u8]) -> Vec<u8>) -> Server {
        Server::Answers(std::sync::Arc::new(move |request| {
            assert_eq!(
                usize::from(u16::from_be_bytes([request[0], request[1]])),
                request.len() - 2
            );
            let answer = answers(&request[2..]);
            let framed = |octets: &[u8]| [&(octets.len() as u16).to_be_bytes(), octets].concat();
            // What is no answer comes first.
            [framed(b"?"), framed(&answer)].concat()
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_too_long_for_udp_is_fetched_over_tcp() {
        let inside = truncated(over_tcp(answered));
        let seen = ask(&inside).await;
        assert_eq!((seen.failure, seen.truncated, seen.ignored), (None, true, 1));
        assert_eq!(seen.addresses, [Ipv4Addr::new(192, 0, 2, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_tcp_does_not_give_either_is_told() {
        let cut = "10.0.0.53 cuts its answer short even over TCP";
        let refused = "the answer was too long for UDP, and 10.0.0.53:53 refuses TCP connections";
        let closed = "the answer was too long for UDP, and 10.0.0.53:53 closed the connection";
        let silent = "the answer was too long for UDP, and no answer from 10.0.0.53:53 to TCP";
        let other = "the answer was too long for UDP, and 10.0.0.53 sends other things over TCP";
        let cut_short = |question: &[u8]| message(question, 0x8380, 0, &[]);
        for (server, reason, expected) in [
            (over_tcp(cut_short), Reason::Malformed, cut),
            (Server::Refuses, Reason::Refused, refused),
            (Server::says(b"\0\x05abc"), Reason::Closed, closed),
            (Server::says_and_waits(b"\0\x05abc"), Reason::Silent, silent),
            (Server::Repeats(vec![0; 64]), Reason::Malformed, other),
        ] {
            let seen = ask_of(&truncated(server), &SERVERS[..1]).await;
            assert_eq!(sentence(&seen), (reason, expected));
            assert!(seen.truncated);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_servers_there_is_nobody_to_ask() {
        let seen = ask_of(&Inside::default(), &[]).await;
        let expected = "the gateway gave no DNS server to ask";
        assert_eq!(sentence(&seen), (Reason::DnsUnexpected, expected));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_behind_a_right_head_never_panic(
            flags: u16,
            answers: u16,
            rest in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let question = question(&"www.example.net".parse().unwrap()).unwrap();
            let octets = message(question.as_slice(), flags, answers, &[&rest]);
            if let Some(reply) = Reply::parse(&octets, &question) {
                prop_assert!(reply.addresses.len() <= MOST_ADDRESSES);
            }
        }
    }
}
