use proptest::prelude::*;

use super::*;
use crate::wire::ip::Icmp;

const US: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 10);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

fn stack(address: Ipv4Addr, now: Instant) -> Stack {
    Stack::new(address, 1456, 7, now)
}

fn datagram(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    Datagram { source, destination, protocol, payload }.emit()
}

/// Carries datagrams between two stacks until both are quiet.
fn carry(one: &mut Stack, other: &mut Stack, now: Instant) {
    loop {
        one.poll(usize::MAX, now);
        other.poll(usize::MAX, now);
        let mut moved = false;
        while let Some(octets) = one.poll_transmit() {
            moved = true;
            other.handle_datagram(octets);
        }
        while let Some(octets) = other.poll_transmit() {
            moved = true;
            one.handle_datagram(octets);
        }
        if !moved {
            return;
        }
    }
}

#[test]
fn a_connection_carries_octets_both_ways() {
    let now = Instant::now();
    let (mut user, mut server) = (stack(US, now), stack(GATEWAY, now));
    let mut listener = tcp::Socket::new(
        tcp::SocketBuffer::new(vec![0; 4096]),
        tcp::SocketBuffer::new(vec![0; 4096]),
    );
    listener.listen(80).unwrap();
    let listener = server.sockets.add(listener);
    let socket = user.connect(SocketAddrV4::new(GATEWAY, 80), 4096).unwrap();
    carry(&mut user, &mut server, now);
    assert_eq!(user.tcp(socket).state(), tcp::State::Established);
    let port = user.tcp(socket).local_endpoint().unwrap().port;
    assert_eq!(user.peer_mss(port), 1416);
    user.tcp(socket).send_slice(b"question").unwrap();
    carry(&mut user, &mut server, now);
    let mut octets = [0; 20];
    assert_eq!(server.tcp(listener).recv_slice(&mut octets), Ok(8));
    server.tcp(listener).send_slice(b"answer").unwrap();
    carry(&mut user, &mut server, now);
    assert_eq!(user.tcp(socket).recv_slice(&mut octets), Ok(6));
    assert_eq!(&octets[..6], b"answer");
    assert_eq!(user.counters().bad_checksum, 0);
}

#[test]
fn nothing_leaves_without_room() {
    let now = Instant::now();
    let mut user = stack(US, now);
    user.connect(SocketAddrV4::new(GATEWAY, 80), 4096).unwrap();
    user.poll(0, now);
    assert_eq!(user.poll_transmit(), None);
    assert_eq!(user.poll_timeout(now), Some(now));
    user.poll(1, now);
    assert!(user.poll_transmit().is_some());
}

#[test]
fn what_is_not_for_us_is_counted_and_dropped() {
    let now = Instant::now();
    let mut user = stack(US, now);
    let echo = Icmp::Echo { reply: false, identifier: 1, sequence: 1, data: b"data" }.emit();
    let good = datagram(GATEWAY, US, PROTOCOL_ICMP, &echo);
    let mut fragment = good.clone();
    fragment[6] = 0x20;
    let sum = {
        fragment[10..12].fill(0);
        checksum(&fragment[..20])
    };
    fragment[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut header = good.clone();
    header[8] ^= 1;
    let mut body = good.clone();
    body[27] ^= 1;
    let foreign = datagram(GATEWAY, Ipv4Addr::new(10, 0, 0, 1), PROTOCOL_ICMP, &echo);
    let redirect = datagram(GATEWAY, US, PROTOCOL_ICMP, &Icmp::Other { kind: 5, code: 1 }.emit());
    let mut seven = vec![0; 12];
    seven[6..8].copy_from_slice(&[1, 2]);
    let udp = datagram(GATEWAY, US, PROTOCOL_UDP, &seven);
    let unasked = datagram(GATEWAY, US, PROTOCOL_UDP, &[0, 53, 200, 0, 0, 8, 0, 0]);
    for octets in
        [good, fragment, header, body, foreign, redirect, udp, unasked, b"x".to_vec(), vec![]]
    {
        assert_eq!(user.handle_datagram(octets), None);
    }
    let expected = Counters {
        received: 10,
        fragments: 1,
        bad_checksum: 3,
        foreign: 1,
        redirects: 1,
        malformed: 2,
        unexpected: 1,
        echo_requests: 1,
        overflowed: 0,
    };
    assert_eq!(user.counters(), expected);
    user.poll(0, now);
    let reply = user.poll_transmit().expect("the echo is answered");
    let reply = Datagram::parse(&reply).unwrap();
    assert!(matches!(Icmp::parse(reply.payload), Ok(Icmp::Echo { reply: true, .. })));
    assert_eq!(user.poll_transmit(), None);
}

#[test]
fn a_flood_is_bounded() {
    let mut user = stack(US, Instant::now());
    let echo = Icmp::Echo { reply: false, identifier: 1, sequence: 1, data: b"data" }.emit();
    let octets = datagram(GATEWAY, US, PROTOCOL_ICMP, &echo);
    for _ in 0..3 * INBOX {
        user.handle_datagram(octets.clone());
    }
    assert_eq!(user.counters().overflowed, 2 * INBOX as u64);
}

/// Both kinds of answer to an echo, octet for octet by RFC 792 and RFC 1191.
#[test]
fn echoes_are_told_apart() {
    let mut user = stack(US, Instant::now());
    let reply = [0, 0, 0xef, 0xf5, 0x10, 0x02, 0, 3, 0, 5];
    let octets = datagram(GATEWAY, US, PROTOCOL_ICMP, &reply);
    let expected =
        Echoed { from: GATEWAY, identifier: 0x1002, sequence: 3, answer: EchoAnswer::Reply(30) };
    assert_eq!(user.handle_datagram(octets), Some(expected));

    let echo = Icmp::Echo { reply: false, identifier: 9, sequence: 4, data: &[] }.emit();
    let quoted = datagram(US, Ipv4Addr::new(10, 99, 0, 10), PROTOCOL_ICMP, &echo);
    let mut error = [&[3, 4, 0, 0, 0, 0, 0x05, 0x14], quoted.as_slice()].concat();
    let sum = checksum(&error);
    error[2..4].copy_from_slice(&sum.to_be_bytes());
    let expected = Echoed {
        from: GATEWAY,
        identifier: 9,
        sequence: 4,
        answer: EchoAnswer::Unreachable(4, 1300),
    };
    assert_eq!(user.handle_datagram(datagram(GATEWAY, US, PROTOCOL_ICMP, &error)), Some(expected));
}

#[test]
fn a_port_learns_that_there_is_no_way() {
    let now = Instant::now();
    let mut user = stack(US, now);
    let socket = user.connect(SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, 10), 80), 4096).unwrap();
    user.poll(1, now);
    let syn = user.poll_transmit().unwrap();
    let mut error = [&[3, 1, 0, 0, 0, 0, 0, 0], &syn[..28]].concat();
    let sum = checksum(&error);
    error[2..4].copy_from_slice(&sum.to_be_bytes());
    user.handle_datagram(datagram(GATEWAY, US, PROTOCOL_ICMP, &error));
    let port = user.tcp(socket).local_endpoint().unwrap().port;
    assert_eq!(user.refused(port), Some((1, GATEWAY)));
    user.remove(socket, port);
    assert_eq!(user.refused(port), None);
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..100),
        protocol in prop_oneof![Just(1u8), Just(6), Just(17), any::<u8>()],
    ) {
        let now = Instant::now();
        let mut user = stack(US, now);
        user.connect(SocketAddrV4::new(GATEWAY, 80), 1024).unwrap();
        user.handle_datagram(octets.clone());
        user.handle_datagram(datagram(GATEWAY, US, protocol, &octets));
        user.poll(4, now);
        while user.poll_transmit().is_some() {}
    }
}
