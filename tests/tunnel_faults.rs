//! `check_pptp_tunnel` while something happens to its tunnel: what the line
//! says of it, what it carries through, and how it goes when it is told to.
//! Which verdict each fault of the lab gets is in `fault_table.rs`.

#[path = "support/in_lab.rs"]
mod in_lab;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use in_lab::{Scratch, run, said, text};
use pptp_probe::wire::control::Message;
use pptp_probe::wire::cp::{Code, Packet};
use pptp_probe::wire::gre;
use pptp_probe::wire::ip::Datagram;
use pptp_probe::wire::ppp::{self, Frame};

/// The lab's name server, for callers.
const DNS: [&str; 2] = ["--dns", "192.168.77.1"];
/// What the check may use at most, in KiB.
const MEMORY: u64 = 32 << 10;
/// What a farewell may take, in microseconds.
const FAREWELL: u64 = 100_000;

/// What the lab with this fault makes the check say.
fn faulty(fault: &str, check: &str, code: i32) -> String {
    said(&[&DNS[..], &["--fault", fault]].concat(), check, code)
}

/// A line that stands alone says which layer it is.
#[test]
fn lines_say_which_layer_it_is() {
    for (fault, check, code, parts) in [
        (
            "gre-lost-after=40",
            "--keep 4",
            2,
            &["GRE worked and then stopped: the last ", "[gre/gre_stopped]"][..],
        ),
        (
            "mppe-key-after=25",
            "--keep 5 -v",
            2,
            &[
                "MPPE keys agreed for ",
                ", then encrypted data could not be read any more [data/mppe_key_mismatch]",
                "]: update MPPE on the gateway",
                "\nkeep CRITICAL - kept for ",
            ],
        ),
        (
            "inner-fragments",
            "-v",
            2,
            &["came back, instead IP fragments come [data/inner_silent]", "ignored inside: 20 IP"],
        ),
        (
            "inner-bad-checksum",
            "-v",
            2,
            &["came back, instead packets with wrong checksums come [data/inner_silent]"],
        ),
        (
            "inner-redirects",
            "-v --http http://www.lab/bytes/100000",
            0,
            &["ICMP redirects", "'http_size'=100000B"],
        ),
        (
            "inner-foreign",
            "-v --http http://www.lab/bytes/100000",
            0,
            &["for other addresses", "'http_size'=100000B"],
        ),
        (
            "inner-oversized",
            "-v --http http://www.lab/bytes/100000",
            0,
            &["ignored inside: ", "'http_size'=100000B"],
        ),
        (
            "inner-flood",
            "-v --http http://www.lab/bytes/100000",
            0,
            &["ignored inside: ", " nobody asked for", "'http_size'=100000B"],
        ),
        (
            "http-silent",
            "--count 0 --http http://www.lab/ -t 3",
            2,
            &["192.168.77.1:80 is connected, but does not answer the request [data/http_failed]"],
        ),
        (
            "dns-silent",
            "--count 0 --dns www.lab -t 3",
            2,
            &["no answer from DNS server 192.168.77.1, asked ", "[data/dns_failed]"],
        ),
        (
            "dns-servfail",
            "--count 0 --http http://www.lab/",
            2,
            &["192.168.77.1 answers SERVFAIL when asked for www.lab [data/dns_failed]"],
        ),
        (
            "ccp-reset-storm",
            "--mppe 128,stateful -v --count 20 --http http://www.lab/bytes/100000",
            0,
            &["times for fresh MPPE tables (CCP Reset-Request)", "'http_size'=100000B"],
        ),
    ] {
        let said = faulty(fault, check, code);
        for part in parts {
            assert!(said.contains(part), "{fault}: no '{part}' in {said}");
        }
    }
}

#[test]
fn each_renegotiation_is_followed_and_counted() {
    for (fault, told) in [
        ("lcp-reopen=1", "1 x LCP, 0 x CCP, 0 x IPCP"),
        ("ccp-reopen=1", "0 x LCP, 1 x CCP, 0 x IPCP"),
        ("ipcp-reopen=1", "0 x LCP, 0 x CCP, 1 x IPCP"),
        // While the first echo is on its way.
        ("lcp-reopen=0", "1 x LCP, 0 x CCP, 0 x IPCP"),
    ] {
        let said = faulty(fault, "--keep 3 -vv", 0);
        assert!(said.contains("'renegotiated'=1;") && said.contains(told), "{fault}: {said}");
        assert!(said.contains("kept for 3.0 s of 3.0 s"), "{fault}: {said}");
    }
}

/// With so much delay the page takes longer than the second until then.
#[test]
fn download_is_carried_through_a_renegotiation() {
    for fault in ["lcp-reopen=1", "ccp-reopen=1", "ipcp-reopen=1"] {
        for page in ["bytes/5000000", "chunked/5000000"] {
            let check = format!("--count 0 --http http://www.lab/{page} -t 30");
            let faults = ["--fault", fault, "--fault", "inner-delay=150"];
            let said = said(&[&DNS[..], &faults].concat(), &check, 0);
            assert!(said.contains("'http_size'=5000000B"), "{fault}: {said}");
            assert!(said.contains("'renegotiated'=1;"), "{fault}: {said}");
        }
    }
}

/// Bulk goes on behind it, both ways.
#[test]
fn throughput_is_measured_across_a_renegotiation() {
    let said = faulty("lcp-reopen=1", "--count 0 --throughput 2s -t 30", 0);
    assert!(said.contains(" down, ") && said.contains(" up, negotiated again once;"), "{said}");
    assert!(said.contains("'renegotiated'=1;"), "{said}");
}

/// Names of what was sent to the gateway last, and the time from the first of
/// these to the last in microseconds: the end of the link, of the call and of
/// the connection.
fn farewell(capture: &Path) -> (Vec<String>, u64) {
    let file = fs::read(capture).expect("a capture");
    let mut rest = &file[24..];
    let mut said: Vec<(u64, String)> = Vec::new();
    let number = |octets: &[u8]| octets.iter().rev().fold(0, |sum, &o| sum << 8 | u64::from(o));
    while let Some((head, more)) = rest.split_at_checked(16) {
        let at = number(&head[..4]) * 1_000_000 + number(&head[4..8]);
        let (record, next) = more.split_at(number(&head[8..12]) as usize);
        rest = next;
        let datagram = Datagram::parse(record).expect("IPv4");
        assert_eq!(datagram.destination, Ipv4Addr::LOCALHOST);
        let name = match datagram.protocol {
            6 if datagram.payload[2..4] == 1723u16.to_be_bytes() => {
                Message::parse(&datagram.payload[20..]).ok().map(|message| message.name().into())
            }
            gre::IP_PROTOCOL => terminates(datagram.payload),
            _ => None,
        };
        said.extend(name.map(|name| (at, name)));
    }
    let last = said.split_off(said.len().saturating_sub(3));
    let took = last.last().map_or(0, |last| last.0) - last.first().map_or(0, |first| first.0);
    (last.into_iter().map(|(_, name)| name).collect(), took)
}

/// Only the check asks for the end of a link here.
fn terminates(packet: &[u8]) -> Option<String> {
    let packet = gre::Packet::parse(packet).ok()?;
    let frame = Frame::parse(packet.payload).ok().filter(|frame| frame.protocol == ppp::LCP)?;
    let packet = Packet::parse(frame.information).ok()?;
    (packet.code == Code::TerminateRequest).then(|| "LCP Terminate-Request".into())
}

#[test]
fn signal_in_the_middle_leaves_nothing_behind() {
    let up = "--count 0 --http http://www.lab/ --throughput 30s --throughput-to 192.168.77.1:9";
    for (number, (check, octets)) in [
        ("--count 0 --keep 30", 2_000),
        ("--count 0 --http http://www.lab/bytes/500000000", 500_000),
        ("--count 0 --throughput 20s", 500_000),
        (up, 500_000),
    ]
    .into_iter()
    .enumerate()
    {
        for signal in ["TERM", "INT"] {
            let capture = Scratch::new(&format!("signal-{number}-{signal}.pcap"));
            let file = capture.path().display();
            // Until so much was carried.
            let script = format!(
                "$tunnel -t 90 {check} --pcap {file} & one=$!
                 while kill -0 $one && ! [ $(stat -c %s {file}) -gt {octets} ]; do :; done
                 kill -{signal} $one; wait $one; code=$?; gone; exit $code"
            );
            let said = text(&run(&DNS, &script), 3);
            // While the tunnel is used, or just before.
            let first = said.lines().next().unwrap_or_default();
            let of_the_tunnel = first.starts_with("PPTP TUNNEL UNKNOWN - interrupted while ")
                && first.contains(" [data/interrupted]");
            assert!(of_the_tunnel, "{check}: {said}");
            assert!(
                said.ends_with("\nno caller\n") && said.lines().count() == 2,
                "{check}: {said}"
            );
            let (words, took) = farewell(capture.path());
            let expected =
                ["LCP Terminate-Request", "Call-Clear-Request", "Stop-Control-Connection-Request"];
            assert_eq!(words, expected, "{check}, SIG{signal}");
            assert!(took <= FAREWELL, "{check}: {took} us");
        }
    }
}

#[test]
fn flood_of_the_inside_is_borne_in_little_memory() {
    for check in ["--keep 5", "--count 0 --http http://www.lab/bytes/5000000 --keep 5"] {
        let script = format!(
            "$tunnel {check} -t 20 & one=$!
             while now=$(grep VmHWM /proc/$one/status) && [ \"$now\" ]; do peak=$now; done
             wait $one; code=$?; echo \"$peak\"; exit $code"
        );
        let arguments = [&DNS[..], &["--fault", "inner-flood"]].concat();
        let said = text(&run(&arguments, &script), 0);
        let peak = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
        assert!(peak.is_some_and(|peak| peak < MEMORY), "{check}: {said}");
    }
}
