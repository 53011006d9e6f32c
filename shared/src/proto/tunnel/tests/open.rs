//! A session that stays: the gateway negotiates again, keys go apart, and the
//! farewell does not wait for a window that is shut.

use super::gateway::MPPE_128;
use super::*;
use crate::wire::cp::{CcpOption, IpcpOption, RawOption};

const OPEN: &str = "using the tunnel";

fn bench() -> Bench {
    let Config { link, .. } = config(Goal::Session);
    Bench::with(Config { link, ..config(Goal::Open) }, Settings::usual())
}

fn open() -> Bench {
    let mut bench = bench();
    bench.reach(OPEN);
    bench
}

/// A request with which a gateway begins to negotiate this protocol again.
fn request(protocol: u16) -> Vec<u8> {
    let options = match protocol {
        ppp::CCP => vec![RawOption::from(&CcpOption::Mppe(MPPE_128))],
        ppp::IPCP => vec![RawOption::from(&IpcpOption::Address(INNER))],
        _ => Vec::new(),
    };
    packet(protocol, Code::ConfigureRequest, 99, &RawOption::emit_list(&options))
}

fn echo() -> Vec<u8> {
    let payload = &Icmp::Echo { reply: false, identifier: 1, sequence: 1, data: b"" }.emit();
    Datagram { source: POOL, destination: INNER, protocol: PROTOCOL_ICMP, payload }.emit()
}

/// Whether an echo comes back.
fn echoes(bench: &mut Bench) -> bool {
    bench.tunnel.send_datagram(&echo(), bench.now);
    bench.exchange();
    bench.tunnel.poll_datagram().is_some()
}

#[test]
fn what_is_negotiated_again_is_counted_once_and_followed() {
    // Behind CCP this gateway asks for IPCP by itself.
    for (protocol, lcp, ccp, ipcp) in
        [(ppp::LCP, 1, 0, 0), (ppp::CCP, 0, 1, 1), (ppp::IPCP, 0, 0, 1)]
    {
        for stage in ["waiting for an encrypted echo", OPEN] {
            let mut bench = bench();
            bench.reach(stage);
            bench.sent.clear();
            bench.give(&request(protocol));
            assert!(!bench.tunnel.carries_datagrams());
            bench.wait(ECHO_TIMEOUT);
            let name = format!("{} while {stage}", ppp::protocol_name(protocol));
            assert!(bench.tunnel.is_open() && echoes(&mut bench), "{name}");
            let seen = bench.tunnel.seen();
            assert_eq!(seen.renegotiated, Renegotiated { lcp, ccp, ipcp }, "{name}");
            assert!(matches!(seen.proof, Proof::Proved(_)), "{name}");
            assert_eq!(bench.tunnel.renegotiated_by, None, "{name}");
        }
    }
}

#[test]
fn gateway_that_begins_to_negotiate_again_and_falls_silent_ends_the_session() {
    for (protocol, phase, doing) in [
        (ppp::LCP, Phase::Lcp, "negotiating LCP"),
        (ppp::CCP, Phase::Ccp, "negotiating encryption (CCP)"),
        (ppp::IPCP, Phase::Ipcp, "negotiating an address (IPCP)"),
    ] {
        let mut bench = open();
        (bench.inbound, bench.outbound) = (false, false);
        bench.give(&request(protocol));
        bench.wait(PATIENCE - ms(1));
        assert!(bench.tunnel.is_open());
        bench.wait(ms(1));
        let words = format!("gateway began to negotiate again and does not end: {doing} for 4.0 s");
        assert_eq!(bench.failure(), (phase, Reason::Silent, words));
    }
}

#[test]
fn keys_that_go_apart_are_told_from_keys_that_never_agreed() {
    let mut bench = open();
    assert!(echoes(&mut bench));
    bench.now += seconds(3);
    let keys = MasterKeys::from_mschap_v2(b"another", &[7; 24]);
    let mut encryptor = Encryptor::for_server(&keys, STATELESS_128);
    for number in 0..64 {
        let information = encryptor.encrypt(ppp::IPV4, &[number; 40]);
        bench.give(&Frame { protocol: ppp::COMPRESSED, information: &information }.emit());
    }
    let words = "MPPE keys agreed for 3.0 s, then encrypted data could not be read any more";
    assert_eq!(bench.failure(), (Phase::Data, Reason::MppeKeyMismatch, words.to_owned()));
}

#[test]
fn interrupt_ends_the_link_before_the_call_although_the_window_is_shut() {
    let mut bench = open();
    bench.collect();
    bench.sent.clear();
    while bench.tunnel.room() > 0 {
        bench.tunnel.send_datagram(&echo(), bench.now);
    }
    bench.tunnel.send_datagram(&echo(), bench.now);
    bench.collect();
    bench.sent.clear();
    bench.tunnel.interrupt(bench.now);
    bench.collect();
    let said: Vec<String> = bench
        .sent
        .iter()
        .map(|transmit| match transmit {
            Transmit::Control(octets) => Message::parse(octets).unwrap().name().to_owned(),
            Transmit::Gre(octets) => ppp::protocol_name(frame_of(octets).unwrap().0).to_owned(),
        })
        .collect();
    let expected = ["MPPE", "LCP", "Call-Clear-Request", "Stop-Control-Connection-Request"];
    assert_eq!(said, expected);
    assert_eq!(bench.watch.terminates(), 1);
}
