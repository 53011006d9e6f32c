//! Literal datagrams, put together field by field from the RFCs, and for what
//! needs a whole TCP a caller's stack at the other end.

use std::net::SocketAddrV4;
use std::time::Duration;

use pptp_probe::proto::stack::Stack as CallersStack;
use pptp_probe::wire::ip::PROTOCOL_TCP;
use proptest::prelude::*;

use super::*;
use crate::lab::faults::Faults;

const CALLER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 11);
const INNER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
/// Echo 1234/1 to the inner address, with eight octets.
const PING: &str = "450000240000400040011f7dc0a84d0ac0a84d0108005435123400016162636465666768";
const PONG: &str = "450000240000400040011f7dc0a84d01c0a84d0a00005c35123400016162636465666768";
/// A SYN to port 80 with an MSS of 1460.
const SYN: &str = "4500002c0000400040061f70c0a84d0ac0a84d01c002005001020304000000006002faf0bd80\
                   0000020405b4";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

struct Net {
    inside: Inside,
    faults: SharedFaults,
    now: Instant,
}

impl Net {
    fn new(faults: &[&str]) -> Self {
        let faults: Faults = faults.iter().map(|one| one.parse().unwrap()).collect();
        let faults: SharedFaults = Rc::new(faults.into());
        let inside = Inside::new(Rc::new(Config::default()), faults.clone(), CALLER, [7; 8]);
        Self { inside, faults, now: Instant::now() }
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.inside.poll_datagram(self.now)).collect()
    }

    fn send(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.inside.handle_datagram(datagram, self.now);
        self.drain()
    }

    fn wait(&mut self, milliseconds: u64) -> Vec<Vec<u8>> {
        self.now += Duration::from_millis(milliseconds);
        self.inside.handle_timeout(self.now);
        self.drain()
    }
}

fn ping(sequence: u16, octets: usize) -> Vec<u8> {
    let data = vec![0x61; octets - 28];
    let payload = Icmp::Echo { reply: false, identifier: 9, sequence, data: &data }.emit();
    let (source, protocol) = (CALLER, PROTOCOL_ICMP);
    Datagram { source, destination: INNER, protocol, payload: &payload }.emit()
}

/// Sequence numbers of the echo replies among `datagrams`.
fn pongs(datagrams: &[Vec<u8>]) -> Vec<u16> {
    let sequence = |octets: &Vec<u8>| {
        let datagram = Datagram::parse(octets).ok()?;
        match Icmp::parse(datagram.payload).ok()? {
            Icmp::Echo { reply: true, sequence, .. } => Some(sequence),
            _ => None,
        }
    };
    datagrams.iter().filter_map(sequence).collect()
}

/// A caller with a stack, next to the inside: no time passes between them but
/// what the timers of both want.
struct User {
    net: Net,
    stack: CallersStack,
}

impl User {
    fn new(faults: &[&str]) -> Self {
        let net = Net::new(faults);
        let stack = CallersStack::new(CALLER, 1496, 5, net.now);
        Self { net, stack }
    }

    /// Lets datagrams go both ways until `done`, at most for a minute.
    fn run(&mut self, mut done: impl FnMut(&mut CallersStack) -> bool) -> bool {
        let end = self.net.now + Duration::from_secs(60);
        loop {
            self.stack.poll(64, self.net.now);
            let mut moved = false;
            while let Some(datagram) = self.stack.poll_transmit() {
                moved = true;
                self.net.inside.handle_datagram(&datagram, self.net.now);
            }
            while let Some(datagram) = self.net.inside.poll_datagram(self.net.now) {
                moved = true;
                self.stack.handle_datagram(datagram);
            }
            if done(&mut self.stack) {
                return true;
            }
            if moved {
                continue;
            }
            let timers = [self.stack.poll_timeout(self.net.now), self.net.inside.poll_timeout()];
            match timers.into_iter().flatten().min().filter(|at| *at <= end) {
                Some(at) => self.net.now = at.max(self.net.now + Duration::from_micros(1)),
                None => return false,
            }
            self.net.inside.handle_timeout(self.net.now);
        }
    }

    /// Everything that comes on a connection after `request`, up to `limit`
    /// octets or its end.
    fn fetch(&mut self, port: u16, request: &[u8], limit: usize) -> Vec<u8> {
        let handle = self.stack.connect(SocketAddrV4::new(INNER, port), 64 << 10).unwrap();
        let (mut sent, mut got) = (0, Vec::new());
        self.run(|stack| {
            let socket = stack.tcp(handle);
            if socket.may_send() && sent < request.len() {
                sent += socket.send_slice(&request[sent..]).unwrap();
            }
            while let Ok(1..) = socket.recv(|octets| {
                got.extend_from_slice(octets);
                (octets.len(), octets.len())
            }) {}
            let over = sent > 0 && !socket.may_recv();
            got.len() >= limit || over || !socket.is_open()
        });
        self.stack.tcp(handle).abort();
        got
    }

    fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: www.lab\r\nConnection: close\r\n\r\n");
        String::from_utf8(self.fetch(80, request.as_bytes(), usize::MAX)).unwrap()
    }

    fn ask(&mut self, port: u16, question: &[u8]) -> Option<Vec<u8>> {
        let handle = self.stack.bind_udp().unwrap();
        let to = smoltcp::wire::IpEndpoint::new(INNER.into(), port);
        self.stack.udp(handle).send_slice(question, to).unwrap();
        let mut answer = None;
        self.run(|stack| {
            answer = stack.udp(handle).recv().ok().map(|(octets, _)| octets.to_vec());
            answer.is_some()
        });
        answer
    }
}

mod host {
    use super::*;

    #[test]
    fn echo_octet_by_octet_and_with_the_flag_as_it_came() {
        let mut net = Net::new(&[]);
        assert_eq!(net.send(&hex(PING)), [hex(PONG)]);
        let mut may_be_taken_apart = hex(PING);
        header::allow_fragments(&mut may_be_taken_apart);
        let answer = net.send(&may_be_taken_apart);
        assert_eq!(answer[0][6..8], [0, 0]);
        assert_eq!(checksum(&answer[0][..20]), 0);
        assert!(net.inside.stack.is_none(), "nobody pays for a stack that is not used");
    }

    #[test]
    fn name_octet_by_octet() {
        let question = "450000350000400040111f5cc0a84d0ac0a84d01c001003500212f271234010000010000000\
                        0000003777777036c61620000010001";
        let answer = Net::new(&[]).send(&hex(question));
        let mut expected = hex(
            "450000450000400040111f4cc0a84d01c0a84d0a0035c0010031b1b7123485800001000100000000037777\
             77036c61620000010001c00c000100010000003c0004c0a84d01",
        );
        // The identification of an atomic datagram means nothing (RFC 6864).
        expected[4..6].copy_from_slice(&answer[0][4..6]);
        expected[10..12].copy_from_slice(&answer[0][10..12]);
        assert_eq!(answer, [expected]);
        assert_eq!(checksum(&answer[0][..20]), 0);
    }

    #[test]
    fn syn_is_answered_with_syn_and_ack() {
        let mut net = Net::new(&[]);
        net.inside.set_mtu(1396);
        let answer = net.send(&hex(SYN));
        assert_eq!(answer.len(), 1);
        let segment = Datagram::parse(&answer[0]).unwrap().payload;
        assert_eq!(segment[..4], hex("0050c002"));
        assert_eq!(segment[8..12], hex("01020305"));
        assert_eq!(segment[13], 0x12);
        // The first option: segments of at most 1356 octets.
        assert_eq!(segment[20..24], hex("0204054c"));
        net.send(&hex(SYN));
        assert_eq!(
            net.inside.stack.as_ref().unwrap().connections(),
            1,
            "the same again is no other"
        );
    }

    #[test]
    fn ports_without_a_service_refuse() {
        let mut net = Net::new(&[]);
        let syn =
            "450000280000400040061f74c0a84d0ac0a84d01c002005101020304000000005002faf0d53b0000";
        let answer = net.send(&hex(syn));
        let segment = Datagram::parse(&answer[0]).unwrap().payload;
        assert_eq!((&segment[8..12], segment[13]), (&hex("01020305")[..], 0x14));
        let answer = net.send(&noise(CALLER, INNER, 40));
        let Ok(Icmp::Unreachable { code: 3, .. }) =
            Icmp::parse(Datagram::parse(&answer[0]).unwrap().payload)
        else {
            panic!("no port unreachable: {answer:02x?}");
        };
    }

    #[test]
    fn page_over_a_whole_connection() {
        let answer = User::new(&[]).get("/");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("inside the tunnel\n"), "{answer}");
    }

    #[test]
    fn two_requests_on_one_connection() {
        let request = b"GET /bytes/9 HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut user = User::new(&[]);
        let answer = user.fetch(80, &[&request[..], request].concat(), 2 * (98 + 9));
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer.matches("\r\n\r\n !\"#$%&'(").count(), 2, "{answer}");
    }

    #[test]
    fn megabyte_arrives_whole_in_spite_of_loss_and_disorder() {
        for faults in [
            &[][..],
            &["inner-loss=3"],
            &["inner-reorder"],
            &["inner-duplicate"],
            &["inner-delay=20", "inner-jitter=5"],
        ] {
            let answer = User::new(faults).get("/bytes/1000000");
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let mut expected = vec![0; 1_000_000];
            pattern::write(0, &mut expected);
            assert!(body.as_bytes() == expected, "{faults:?}: {} octets came", body.len());
        }
    }

    #[test]
    fn character_generator_runs_until_nobody_wants_more() {
        let mut user = User::new(&[]);
        let octets = user.fetch(19, b"", 3_000_000);
        let mut expected = vec![0; octets.len()];
        pattern::write(0, &mut expected);
        assert!(octets.len() >= 3_000_000 && octets == expected);
        user.run(|_| false);
        assert_eq!(user.net.inside.stack.unwrap().connections(), 0);
    }

    #[test]
    fn discard_takes_everything_and_closes_after_the_caller() {
        let mut user = User::new(&[]);
        let handle = user.stack.connect(SocketAddrV4::new(INNER, 9), 64 << 10).unwrap();
        let mut left = 3_000_000;
        assert!(user.run(|stack| {
            let socket = stack.tcp(handle);
            if socket.can_send() {
                left -= socket.send_slice(&[0x2A; 60_000][..left.min(60_000)]).unwrap();
            }
            if left == 0 {
                socket.close();
            }
            left == 0 && !socket.is_active()
        }));
    }

    #[test]
    fn udp_echo() {
        let mut user = User::new(&[]);
        assert_eq!(user.ask(7, b"anybody there?").unwrap(), b"anybody there?");
    }

    #[test]
    fn connections_are_bounded_and_idle_ones_end() {
        let mut net = Net::new(&[]);
        let syn = |port: u16| {
            let mut datagram = hex(SYN);
            let carry = u32::from(u16::from_be_bytes([datagram[36], datagram[37]])) + 0xC002;
            datagram[20..22].copy_from_slice(&port.to_be_bytes());
            let sum = (carry - u32::from(port)) as u16 - u16::from(carry < u32::from(port));
            datagram[36..38].copy_from_slice(&sum.to_be_bytes());
            datagram
        };
        let flags = |answer: &[Vec<u8>]| answer[0][33];
        for port in 0xB000..0xB020 {
            assert_eq!(flags(&net.send(&syn(port))), 0x12, "{port}");
        }
        for port in 0xB020..0xB040 {
            assert_eq!(flags(&net.send(&syn(port))), 0x14, "refused");
        }
        assert_eq!(net.inside.stack.as_ref().unwrap().connections(), 32);
        for _ in 0..200 {
            net.wait(1000);
        }
        assert_eq!(net.inside.stack.as_ref().unwrap().connections(), 0);
        assert_eq!(flags(&net.send(&syn(0xB040))), 0x12);
    }

    #[test]
    fn stack_waits_while_the_line_is_full() {
        let mut user = User::new(&["inner-delay=1000"]);
        let handle = user.stack.connect(SocketAddrV4::new(INNER, 19), 1 << 20).unwrap();
        let mut most = 0;
        for _ in 0..200 {
            user.stack.poll(64, user.net.now);
            while let Some(datagram) = user.stack.poll_transmit() {
                user.net.inside.handle_datagram(&datagram, user.net.now);
            }
            for datagram in user.net.wait(50) {
                user.stack.handle_datagram(datagram);
            }
            most = most.max(user.net.inside.line.len());
            let _ = user.stack.tcp(handle).recv(|octets| (octets.len(), ()));
        }
        assert!((100..=line::FULL).contains(&most), "{most}");
    }
}

mod router {
    use super::*;

    const TO_OTHER: &str =
        "450000240000400040011f73c0a84d0ac0a84d0b08005435123400016162636465666768";
    const ONE_HOP_OLDER: &str =
        "45000024000040003f012073c0a84d0ac0a84d0b08005435123400016162636465666768";

    #[test]
    fn datagram_for_another_caller_goes_on_one_hop_older() {
        let mut net = Net::new(&[]);
        assert!(net.send(&hex(TO_OTHER)).is_empty());
        assert_eq!(net.inside.poll_forward(), Some((OTHER, hex(ONE_HOP_OLDER))));
        let mut last = hex(TO_OTHER);
        last[8] = 1;
        net.send(&last);
        assert_eq!(net.inside.poll_forward(), None);
        net.inside.handle_forwarded(hex(ONE_HOP_OLDER), net.now);
        assert_eq!(net.drain(), [hex(ONE_HOP_OLDER)]);
    }

    #[test]
    fn address_without_a_caller_or_a_route_is_unreachable() {
        let mut net = Net::new(&[]);
        net.inside.handle_no_caller(&hex(TO_OTHER), net.now);
        let host = "450000380000400040011f69c0a84d01c0a84d0a03018e9400000000450000240000400040011f73\
                    c0a84d0ac0a84d0b0800543512340001";
        assert_eq!(net.drain(), [hex(host)]);
        let outside = "450000240000400040011a15c0a84d0a0a09090908005435123400016162636465666768";
        let network = "450000380000400040011f69c0a84d01c0a84d0a03008e9500000000450000240000400040011a\
                       15c0a84d0a0a0909090800543512340001";
        assert_eq!(net.send(&hex(outside)), [hex(network)]);
    }

    #[test]
    fn errors_are_not_answered_with_errors_and_groups_not_at_all() {
        let mut net = Net::new(&[]);
        let error = Icmp::Unreachable { code: 1, original: &hex(PING)[..28] }.emit();
        let about = |destination, payload: &[u8]| {
            let (source, protocol) = (CALLER, PROTOCOL_ICMP);
            Datagram { source, destination, protocol, payload }.emit()
        };
        assert!(net.send(&about(OUTSIDE, &error)).is_empty());
        let echo = hex(PING)[20..].to_vec();
        assert_eq!(net.send(&about(OUTSIDE, &echo)).len(), 1);
        for group in [Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED] {
            assert!(net.send(&about(group, &echo)).is_empty(), "{group}");
        }
    }

    #[test]
    fn too_large_for_the_callers_link() {
        let mut net = Net::new(&[]);
        net.inside.set_mtu(1000);
        assert!(net.send(&ping(1, 1001)).is_empty(), "must not be taken apart, and is our own");
        let mut large = ping(1, 1500);
        header::allow_fragments(&mut large);
        let pieces = net.send(&large);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [996, 524]);
        assert_eq!((&pieces[0][6..8], &pieces[1][6..8]), (&[0x20, 0][..], &[0, 122][..]));
        assert_eq!(pieces[0][4..6], pieces[1][4..6]);
        assert!(pieces.iter().all(|piece| checksum(&piece[..20]) == 0));
        let whole = [&pieces[0][20..], &pieces[1][20..]].concat();
        assert_eq!(Icmp::parse(&whole).map(|icmp| matches!(icmp, Icmp::Echo { .. })), Ok(true));
        let from = Datagram { source: OTHER, ..Datagram::parse(&ping(1, 1500)).unwrap() }.emit();
        net.inside.handle_forwarded(from, net.now);
        let (to, error) = net.inside.poll_forward().unwrap();
        let error = Icmp::parse(Datagram::parse(&error).unwrap().payload).map(|icmp| match icmp {
            Icmp::TooBig { mtu, original } => (mtu, original.len()),
            _ => (0, 0),
        });
        assert_eq!((to, error), (OTHER, Ok((1000, 28))));
    }

    #[test]
    fn fragments_go_nowhere() {
        let mut net = Net::new(&[]);
        for piece in header::fragments(&hex(PING), 24, 7) {
            assert!(net.send(&piece).is_empty());
        }
    }
}

mod fault {
    use super::*;

    fn reply_count(fault: &str) -> usize {
        let mut net = Net::new(&[fault]);
        (0..1000).map(|sequence| pongs(&net.send(&ping(sequence, 60))).len()).sum()
    }

    #[test]
    fn too_big() {
        let mut net = Net::new(&["too-big=1000"]);
        assert_eq!(pongs(&net.send(&ping(1, 1000))), [1]);
        let answer = net.send(&ping(2, 1001));
        let datagram = Datagram::parse(&answer[0]).unwrap();
        assert_eq!(datagram.source, INNER);
        let Ok(Icmp::TooBig { mtu: 1000, original }) = Icmp::parse(datagram.payload) else {
            panic!("{answer:02x?}");
        };
        assert_eq!(original, &ping(2, 1001)[..28]);
        let answer = net.send(&hex(SYN));
        let segment = Datagram::parse(&answer[0]).unwrap().payload;
        assert_eq!(segment[20..24], hex("020403c0"), "its own segments fit");
    }

    #[test]
    fn inner_loss() {
        assert_eq!((reply_count("inner-loss=0"), reply_count("inner-loss=100")), (1000, 0));
        let some = reply_count("inner-loss=10");
        assert!((870..930).contains(&some), "{some}");
        assert_eq!(reply_count("inner-loss=10"), some, "the same seed makes the same losses");
    }

    #[test]
    fn inner_reorder() {
        let mut net = Net::new(&["inner-reorder"]);
        for sequence in 0..5 {
            net.inside.handle_datagram(&ping(sequence, 60), net.now);
        }
        assert_eq!(pongs(&net.drain()), [1, 0, 3, 2]);
        assert_eq!(net.inside.poll_timeout(), Some(net.now + Duration::from_millis(50)));
        assert_eq!(pongs(&net.wait(50)), [4], "it does not wait for ever");
    }

    #[test]
    fn inner_duplicate() {
        assert_eq!(pongs(&Net::new(&["inner-duplicate"]).send(&ping(3, 60))), [3, 3]);
    }

    #[test]
    fn inner_delay() {
        let mut net = Net::new(&["inner-delay=40"]);
        assert!(net.send(&ping(1, 60)).is_empty());
        assert_eq!(net.inside.poll_timeout(), Some(net.now + Duration::from_millis(40)));
        assert!(net.wait(39).is_empty());
        assert_eq!(pongs(&net.wait(1)), [1]);
    }

    #[test]
    fn inner_jitter() {
        let mut net = Net::new(&["inner-jitter=30"]);
        for sequence in 0..100 {
            net.inside.handle_datagram(&ping(sequence, 60), net.now);
        }
        let mut heard = Vec::new();
        for _ in 0..=30 {
            heard.push(pongs(&net.drain()));
            net.now += Duration::from_millis(1);
        }
        assert!(heard.iter().filter(|replies| !replies.is_empty()).count() > 20);
        let mut order = heard.concat();
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.into_iter().eq(0..100));
    }

    #[test]
    fn dns_silent_and_servfail() {
        let question = hex("12340100000100000000000003777777036c61620000010001");
        assert_eq!(User::new(&["dns-silent"]).ask(53, &question), None);
        let answer = User::new(&["dns-servfail"]).ask(53, &question).unwrap();
        assert_eq!(answer[3] & 15, 2);
    }

    #[test]
    fn http_500_slow_and_silent() {
        assert!(User::new(&["http-500"]).get("/").starts_with("HTTP/1.1 500 "));
        let mut user = User::new(&["http-slow=2000"]);
        let began = user.net.now;
        assert!(user.get("/").starts_with("HTTP/1.1 200 "));
        assert!(user.net.now.duration_since(began) >= Duration::from_secs(2));
        assert_eq!(User::new(&["http-silent"]).get("/"), "");
    }

    #[test]
    fn inner_flood() {
        let mut net = Net::new(&["inner-flood"]);
        net.inside.handle_datagram(&ping(1, 60), net.now);
        assert_eq!(pongs(&[net.inside.poll_datagram(net.now).unwrap()]), [1], "answers go first");
        let mut sources = Vec::new();
        for _ in 0..4 {
            let datagram = net.inside.poll_datagram(net.now).unwrap();
            let datagram = Datagram::parse(&datagram).unwrap();
            assert_eq!((datagram.destination, datagram.protocol), (CALLER, PROTOCOL_UDP));
            sources.push(datagram.source);
        }
        assert_eq!(sources, [INNER, OUTSIDE, INNER, OUTSIDE]);
        net.faults.borrow_mut().clear_all();
        assert_eq!(net.inside.poll_datagram(net.now), None);
    }

    #[test]
    fn inner_fragments() {
        let answer = Net::new(&["inner-fragments"]).send(&ping(1, 60));
        assert_eq!(answer.len(), 2);
        assert!(answer.iter().all(|piece| Datagram::parse(piece).is_err()));
        let mut user = User::new(&["inner-fragments"]);
        assert_eq!(user.get("/"), "");
        assert!(user.stack.counters().fragments > 0);
    }

    #[test]
    fn inner_bad_checksum() {
        let mut user = User::new(&["inner-bad-checksum"]);
        for sequence in 0..2 {
            for datagram in user.net.send(&ping(sequence, 60)) {
                assert_eq!(user.stack.handle_datagram(datagram), None);
            }
        }
        assert_eq!(user.stack.counters().bad_checksum, 2);
    }

    #[test]
    fn inner_redirects() {
        let redirect = "450000380000400040011f69c0a84d01c0a84d0a05015043cb007150450000240000400040011f7d\
                        c0a84d0ac0a84d010800543512340001";
        assert_eq!(Net::new(&["inner-redirects"]).send(&hex(PING)), [hex(redirect), hex(PONG)]);
    }

    #[test]
    fn inner_oversized_and_foreign() {
        let answer = Net::new(&["inner-oversized"]).send(&ping(1, 60));
        assert_eq!(answer.iter().map(Vec::len).collect::<Vec<_>>(), [3000, 60]);
        assert!(answer.iter().all(|datagram| Datagram::parse(datagram).is_ok()));
        let answer = Net::new(&["inner-foreign"]).send(&ping(1, 60));
        let to = |octets: &Vec<u8>| Datagram::parse(octets).unwrap().destination;
        assert_eq!(answer.iter().map(to).collect::<Vec<_>>(), [OUTSIDE, CALLER]);
        assert!(answer.iter().all(|datagram| checksum(&datagram[..20]) == 0));
    }

    #[test]
    fn hostile_company_does_not_hurt_a_caller_who_looks_away() {
        for fault in ["inner-redirects", "inner-oversized", "inner-foreign"] {
            assert!(User::new(&[fault]).get("/bytes/100000").len() > 100_000, "{fault}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Arbitrary datagrams, and such whose header is right: no panic, and what
    /// waits stays bounded.
    #[test]
    fn arbitrary_datagrams_never_panic(
        datagrams in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..200), 0u32..4), 0..600),
        fault in 0usize..8,
    ) {
        let faults = ["inner-reorder", "inner-jitter=9", "inner-fragments", "inner-bad-checksum",
            "inner-redirects", "too-big=100", "inner-foreign", "inner-duplicate"];
        let mut net = Net::new(&[faults[fault]]);
        for (protocol, payload, last) in datagrams {
            let protocol = [PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, protocol][usize::from(protocol % 4)];
            let destination = Ipv4Addr::from(u32::from(INNER) + last * 5);
            let datagram = Datagram { source: CALLER, destination, protocol, payload: &payload }.emit();
            net.inside.handle_datagram(&datagram, net.now);
            net.inside.handle_datagram(&payload, net.now);
            net.inside.handle_forwarded(datagram, net.now);
            prop_assert!(net.inside.forwards.len() <= FORWARDS);
            prop_assert!(net.inside.line.len() <= 2 * line::FULL);
        }
        net.wait(1000);
    }
}
