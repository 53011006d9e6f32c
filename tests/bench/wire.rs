//! Reads a capture of one PPTP session and says what the way to the address
//! was made of: round trips, the gateway's own work, and the caller's.
//!
//! It walks back from the moment in which IPCP (RFC 1332) is acknowledged in
//! both directions. What the gateway said was caused by the request it answers,
//! what the caller said by the last thing the gateway said. So the time splits
//! into gaps in which the gateway was the one to speak, each a round trip plus
//! its work, and gaps in which the caller was. The gateway's first PPP frame is
//! caused by its own Outgoing-Call-Reply: in between it starts its PPP daemon,
//! which costs no round trip.
//!
//! The capture is a classic pcap file of Ethernet frames, taken at the caller's
//! side of any delay. Fragments and TCP retransmissions are not put together:
//! a test bed has none.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::ExitCode;

const USAGE: &str = "usage: wire CAPTURE GATEWAY [START]\n\
    GATEWAY is its IPv4 address, START the caller's start in seconds since 1970.\n\
    Prints `name value` lines, in seconds, then one `step` line a gap.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("wire: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String, String> {
    let (path, gateway, start) = match arguments {
        [path, gateway] => (path, gateway, None),
        [path, gateway, start] => (path, gateway, Some(start)),
        _ => return Err(USAGE.to_string()),
    };
    let gateway = gateway.parse().map_err(|_| format!("{gateway} is no IPv4 address"))?;
    let start = start
        .map(|text| text.parse::<f64>().map_err(|_| format!("{text} is no time")))
        .transpose()?
        .map(|seconds| (seconds * 1e6) as i64);
    let octets = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let events = events(&octets, gateway)?;
    Ok(report(&walk(&events, start)?))
}

/// What a frame says, as far as it can cause something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Syn,
    SynAck,
    /// A PPTP control message by its type.
    Control(u16),
    /// A packet of a PPP control protocol: protocol, code, identifier.
    Ppp(u16, u8, u8),
}

#[derive(Debug, Clone, Copy)]
struct Event {
    /// Microseconds since 1970.
    time: i64,
    from_gateway: bool,
    kind: Kind,
}

#[derive(Debug)]
struct Step {
    gateways_turn: bool,
    /// Whether the gap holds a round trip.
    round_trip: bool,
    gap: i64,
    from: String,
    to: String,
}

#[derive(Debug)]
struct Way {
    /// From the start, or the SYN where that is not known, to the address.
    total: i64,
    /// Likewise to the caller's first LCP Terminate-Request.
    hang_up: Option<i64>,
    round_trip: i64,
    steps: Vec<Step>,
}

fn report(way: &Way) -> String {
    let gap = |gateways_turn| -> i64 {
        way.steps
            .iter()
            .filter(|step| step.gateways_turn == gateways_turn)
            .map(|step| step.gap)
            .sum()
    };
    let round_trips = way.steps.iter().filter(|step| step.round_trip).count() as i64;
    let mut text = String::new();
    for (name, value) in [
        ("address_after", way.total),
        ("round_trip", way.round_trip),
        ("gateway_work", gap(true) - round_trips * way.round_trip),
        ("caller_work", gap(false)),
    ] {
        let _ = writeln!(text, "{name} {:.6}", value as f64 / 1e6);
    }
    let _ = writeln!(text, "round_trips {round_trips}");
    if let Some(hang_up) = way.hang_up {
        let _ = writeln!(text, "hang_up_after {:.6}", hang_up as f64 / 1e6);
    }
    for step in &way.steps {
        let who = match (step.gateways_turn, step.round_trip) {
            (true, true) => "gateway, a round trip",
            (true, false) => "gateway alone",
            (false, _) => "caller",
        };
        let _ = writeln!(
            text,
            "step {:9.6} {who:<21} {} -> {}",
            step.gap as f64 / 1e6,
            step.from,
            step.to
        );
    }
    text
}

/// Walks back from the address to the start.
fn walk(events: &[Event], start: Option<i64>) -> Result<Way, String> {
    let syn = position(events, |event| !event.from_gateway && event.kind == Kind::Syn)
        .ok_or("no connection attempt to port 1723 in the capture")?;
    let answer = position(events, |event| event.from_gateway && event.kind == Kind::SynAck)
        .ok_or("the gateway did not accept the connection")?;
    let round_trip = events[answer].time - events[syn].time;
    let acknowledged = |from_gateway| {
        position(events, move |event| {
            event.from_gateway == from_gateway && matches!(event.kind, Kind::Ppp(IPCP, 2, _))
        })
    };
    let end = acknowledged(true)
        .zip(acknowledged(false))
        .map(|(one, other)| one.max(other))
        .ok_or("IPCP was not acknowledged in both directions: no address")?;

    let mut steps = Vec::new();
    let mut at = end;
    while at != syn {
        let (from, round) =
            cause(events, at, round_trip).ok_or("the capture begins in the middle of a session")?;
        steps.push(Step {
            gateways_turn: events[at].from_gateway,
            round_trip: round,
            gap: events[at].time - events[from].time,
            from: name(events[from]),
            to: name(events[at]),
        });
        at = from;
    }
    let begin = start.unwrap_or(events[syn].time);
    steps.push(Step {
        gateways_turn: false,
        round_trip: false,
        gap: events[syn].time - begin,
        from: "start".to_string(),
        to: name(events[syn]),
    });
    steps.reverse();
    let hang_up = events
        .iter()
        .find(|event| !event.from_gateway && matches!(event.kind, Kind::Ppp(LCP, 5, _)))
        .map(|event| event.time - begin);
    Ok(Way { total: events[end].time - begin, hang_up, round_trip, steps })
}

fn position(events: &[Event], wanted: impl Fn(&Event) -> bool) -> Option<usize> {
    events.iter().position(wanted)
}

/// The event that made event `at` happen, always an earlier one, and whether a
/// round trip lies between them.
fn cause(events: &[Event], at: usize, round_trip: i64) -> Option<(usize, bool)> {
    let event = events[at];
    let before = &events[..at];
    let latest_that = |wanted: &dyn Fn(&Event) -> bool| {
        before.iter().rposition(|earlier| {
            earlier.from_gateway != event.from_gateway
                && !beside_the_way(earlier, &event)
                && wanted(earlier)
        })
    };
    if !event.from_gateway {
        return latest_that(&|earlier| answers(event.kind, earlier.kind))
            .or_else(|| latest_that(&|_| true))
            .map(|found| (found, false));
    }
    let is_ppp = |event: &Event| event.from_gateway && matches!(event.kind, Kind::Ppp(..));
    let first_frame = events.iter().position(is_ppp);
    if first_frame == Some(at) {
        return before
            .iter()
            .rposition(|earlier| {
                earlier.from_gateway && earlier.kind == Kind::Control(OUTGOING_CALL_REPLY)
            })
            .map(|found| (found, false));
    }
    // A clock is read twice and a packet waits in a queue: one part in ten.
    let latest = event.time - round_trip * 9 / 10;
    let request = latest_that(&|earlier| answers(event.kind, earlier.kind))
        .or_else(|| latest_that(&|earlier| earlier.time <= latest))
        .or_else(|| latest_that(&|_| true))?;
    // A frame that was there before the PPP daemon ran waited for it.
    if let Some(first) = first_frame
        && first < at
        && is_ppp(&event)
        && events[request].time + round_trip <= events[first].time
    {
        return Some((first, false));
    }
    Some((request, true))
}

/// IPv6 is negotiated at the same time (RFC 5072) and keeps nobody waiting.
fn beside_the_way(cause: &Event, event: &Event) -> bool {
    let is_ipv6cp = |event: &Event| matches!(event.kind, Kind::Ppp(IPV6CP, ..));
    is_ipv6cp(cause) && !is_ipv6cp(event)
}

/// Whether `reply` is what `request` asked for.
fn answers(reply: Kind, request: Kind) -> bool {
    match (reply, request) {
        (Kind::SynAck, Kind::Syn) => true,
        (Kind::Control(reply), Kind::Control(request)) => {
            matches!(reply, 2 | 4 | 6 | 8) && request + 1 == reply
        }
        (Kind::Ppp(protocol, reply, id), Kind::Ppp(of, request, for_id))
            if protocol == of && id == for_id =>
        {
            match protocol {
                CHAP => matches!((reply, request), (3 | 4, 2) | (2, 1)),
                PAP => matches!(reply, 2 | 3) && request == 1,
                EAP => matches!((reply, request), (3 | 4, 2) | (2, 1)),
                _ => matches!(reply, 2..=4) && request == 1,
            }
        }
        _ => false,
    }
}

const LCP: u16 = 0xc021;
const PAP: u16 = 0xc023;
const CHAP: u16 = 0xc223;
const EAP: u16 = 0xc227;
const IPCP: u16 = 0x8021;
const IPV6CP: u16 = 0x8057;
const CCP: u16 = 0x80fd;
const OUTGOING_CALL_REPLY: u16 = 8;

fn name(event: Event) -> String {
    const CONTROL: [&str; 16] = [
        "control message 0",
        "Start-Control-Connection-Request",
        "Start-Control-Connection-Reply",
        "Stop-Control-Connection-Request",
        "Stop-Control-Connection-Reply",
        "Echo-Request",
        "Echo-Reply",
        "Outgoing-Call-Request",
        "Outgoing-Call-Reply",
        "Incoming-Call-Request",
        "Incoming-Call-Reply",
        "Incoming-Call-Connected",
        "Call-Clear-Request",
        "Call-Disconnect-Notify",
        "WAN-Error-Notify",
        "Set-Link-Info",
    ];
    const CONFIGURE: [&str; 8] = [
        "code 0",
        "Configure-Request",
        "Configure-Ack",
        "Configure-Nak",
        "Configure-Reject",
        "Terminate-Request",
        "Terminate-Ack",
        "Code-Reject",
    ];
    match event.kind {
        Kind::Syn => "SYN".to_string(),
        Kind::SynAck => "SYN ACK".to_string(),
        Kind::Control(number) => match CONTROL.get(usize::from(number)) {
            Some(word) => (*word).to_string(),
            None => format!("control message {number}"),
        },
        Kind::Ppp(protocol, code, _) => {
            let (protocol, words): (&str, &[&str]) = match protocol {
                LCP => ("LCP", &CONFIGURE),
                CCP => ("CCP", &CONFIGURE),
                IPCP => ("IPCP", &CONFIGURE),
                IPV6CP => ("IPV6CP", &CONFIGURE),
                CHAP => ("CHAP", &["code 0", "Challenge", "Response", "Success", "Failure"]),
                PAP => (
                    "PAP",
                    &["code 0", "Authenticate-Request", "Authenticate-Ack", "Authenticate-Nak"],
                ),
                EAP => ("EAP", &["code 0", "Request", "Response", "Success", "Failure"]),
                _ => return format!("PPP {protocol:04x} code {code}"),
            };
            match words.get(usize::from(code)) {
                Some(word) => format!("{protocol} {word}"),
                None => format!("{protocol} code {code}"),
            }
        }
    }
}

/// Everything in the capture that can cause something, in the order of time.
fn events(octets: &[u8], gateway: Ipv4Addr) -> Result<Vec<Event>, String> {
    let fraction = match octets.get(..4) {
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => 1,
        Some([0x4d, 0x3c, 0xb2, 0xa1]) => 1000,
        _ => return Err("not a little-endian pcap file".to_string()),
    };
    if octets.get(20..24) != Some(&[1, 0, 0, 0]) {
        return Err("not a capture of Ethernet frames".to_string());
    }
    let mut events = Vec::new();
    let mut rest = &octets[24..];
    // A last record that was cut off is left out.
    while let Some((header, after)) = rest.split_at_checked(16) {
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let Some((frame, after)) = after.split_at_checked(word(8) as usize) else { break };
        rest = after;
        let time = i64::from(word(0)) * 1_000_000 + i64::from(word(4) / fraction);
        read_frame(frame, gateway, time, &mut events);
    }
    Ok(events)
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}

/// Adds what one Ethernet frame says; frames of others say nothing.
fn read_frame(frame: &[u8], gateway: Ipv4Addr, time: i64, events: &mut Vec<Event>) -> Option<()> {
    let packet = frame.get(14..)?;
    if be16(frame, 12)? != 0x0800 {
        return None;
    }
    let header = usize::from(packet.first()? & 15) * 4;
    let payload = packet.get(..usize::from(be16(packet, 2)?))?.get(header..)?;
    let source = packet.get(12..16)? == gateway.octets();
    let destination = packet.get(16..20)? == gateway.octets();
    if source == destination {
        return None;
    }
    let mut push = |kind| events.push(Event { time, from_gateway: source, kind });
    match packet.get(9)? {
        6 => read_tcp(payload, source, &mut push),
        47 => read_gre(payload, &mut push),
        _ => None,
    }
}

fn read_tcp(segment: &[u8], from_gateway: bool, push: &mut impl FnMut(Kind)) -> Option<()> {
    if be16(segment, if from_gateway { 0 } else { 2 })? != 1723 {
        return None;
    }
    let flags = *segment.get(13)?;
    if flags & 0x02 != 0 {
        push(if flags & 0x10 != 0 { Kind::SynAck } else { Kind::Syn });
    }
    let mut rest = segment.get(usize::from(segment.get(12)? >> 4) * 4..)?;
    // Messages begin with a segment; several may follow each other.
    while rest.get(4..8) == Some(&[0x1a, 0x2b, 0x3c, 0x4d]) {
        push(Kind::Control(be16(rest, 8)?));
        rest = rest.get(usize::from(be16(rest, 0)?).max(12)..)?;
    }
    Some(())
}

/// Enhanced GRE, RFC 2637, section 4.1.
fn read_gre(packet: &[u8], push: &mut impl FnMut(Kind)) -> Option<()> {
    let flags = be16(packet, 0)?;
    if be16(packet, 2)? != 0x880b || flags & 0x1000 == 0 {
        return None;
    }
    let header = 12 + if flags & 0x0080 != 0 { 4 } else { 0 };
    let mut frame = packet.get(header..header + usize::from(be16(packet, 4)?))?;
    if frame.get(..2) == Some(&[0xff, 0x03]) {
        frame = &frame[2..];
    }
    let protocol = be16(frame, 0)?;
    // Data has a protocol of one octet, or one below 0x8000; it causes nothing.
    if protocol >= 0x8000 && protocol & 0x0100 == 0 {
        push(Kind::Ppp(protocol, *frame.get(2)?, *frame.get(3)?));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

    fn capture(name: &str) -> Vec<u8> {
        let here = std::path::Path::new(file!()).parent().expect("this file is in a directory");
        std::fs::read(here.join("../fixtures/pcap").join(name))
            .expect("run from the root of the repository")
    }

    fn way(name: &str) -> Result<Way, String> {
        walk(&events(&capture(name), GATEWAY)?, None)
    }

    #[test]
    fn the_way_is_made_of_its_steps_alone() {
        for name in [
            "success-pap.pcap",
            "success-chap.pcap",
            "success-mschapv2-mppe.pcap",
            "success-any-auth-no-mppe.pcap",
        ] {
            let way = way(name).unwrap();
            assert_eq!(way.total, way.steps.iter().map(|step| step.gap).sum::<i64>(), "{name}");
            assert!(way.steps.iter().all(|step| step.gap >= 0), "{name}: {way:?}");
        }
    }

    #[test]
    fn a_wait_of_the_caller_is_not_the_gateways() {
        let way = way("success-mschapv2-mppe.pcap").unwrap();
        let wait = way.steps.iter().max_by_key(|step| step.gap).unwrap();
        assert!(!wait.gateways_turn);
        assert_eq!(wait.from, "Start-Control-Connection-Reply");
        assert_eq!(wait.to, "Outgoing-Call-Request");
    }

    #[test]
    fn the_ppp_daemons_start_costs_no_round_trip() {
        let way = way("success-pap.pcap").unwrap();
        let start = way.steps.iter().find(|step| step.from == "Outgoing-Call-Reply").unwrap();
        assert!(start.gateways_turn && !start.round_trip, "{start:?}");
        assert!(start.to.starts_with("LCP "), "{start:?}");
    }

    #[test]
    fn each_answer_is_counted_once() {
        let way = way("success-pap.pcap").unwrap();
        let count =
            |to: &str| way.steps.iter().filter(|step| step.round_trip && step.to == to).count();
        for to in ["SYN ACK", "Start-Control-Connection-Reply", "Outgoing-Call-Reply"] {
            assert_eq!(count(to), 1, "{to}: {way:?}");
        }
        let after_pap = |step: &&Step| step.from == "PAP Authenticate-Request";
        let answers: Vec<&Step> = way.steps.iter().filter(after_pap).collect();
        assert!(matches!(answers[..], [step] if step.round_trip), "{way:?}");
        let text = report(&way);
        assert!(text.contains("\nround_trips "), "{text}");
    }

    #[test]
    fn the_caller_hangs_up_after_what_it_came_for() {
        let way_of = |name| way(name).unwrap();
        let polite = way_of("success-pap.pcap");
        assert!(polite.hang_up.unwrap() > polite.total, "{polite:?}");
        assert!(report(&polite).contains("\nhang_up_after "));
        let killed = way_of("client-killed.pcap");
        assert_eq!(killed.hang_up, None);
        assert!(!report(&killed).contains("hang_up"));
    }

    #[test]
    fn a_session_without_an_address_says_so() {
        assert!(way("bad-password-pap.pcap").unwrap_err().contains("no address"));
        assert!(way("garbage-callers.pcap").unwrap_err().contains("no address"));
    }

    #[test]
    fn every_prefix_of_a_capture_is_read_without_panic() {
        let whole = capture("success-chap.pcap");
        for length in 0..whole.len() {
            if let Ok(events) = events(&whole[..length], GATEWAY) {
                let _ = walk(&events, Some(0));
            }
        }
    }
}
