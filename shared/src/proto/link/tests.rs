use std::net::Ipv4Addr;

use super::data::INBOX;
use super::*;
use crate::crypto::mppe::KeyLength;
use crate::crypto::mschap;
use crate::secret::Secret;
use crate::wire::cp::{CcpOption, IpcpOption, LcpOption, RawOption, mppe_bits};
use crate::wire::{chap, gre};

mod candidate;
mod random;
mod renegotiation;

/// This caller and pptpd with pppd, MS-CHAPv2 and MPPE, as captured; see
/// the tests of the tunnel for the format.
const CAPTURE: &str = include_str!("../tunnel/captures/mschapv2-mppe-128.txt");
const MAGIC: u32 = 0xdf5e_81db;
const PEER_CHALLENGE: [u8; 16] =
    *b"\x57\xc9\xec\x81\x65\x7d\x8d\xab\x5e\x37\xfb\x94\xed\x55\x84\x31";
const NT_RESPONSE: [u8; 24] = *b"\x73\xdd\xcb\x45\xb9\xdb\x6c\x1d\x53\x9a\x3c\xef\x30\xc5\xb8\x79\xf9\xe2\x89\xd5\x94\x9f\x07\xf9";
const PASSWORD: &[u8] = b"Pr0be-secret";

// How many frames of the capture bring the link how far.
const ESTABLISH: usize = 0;
const AUTHENTICATE: usize = 2;
const AUTHENTICATED: usize = 4;
const ENCRYPTED: usize = 6;
const UP: usize = 10;

const MPPE_128: u32 = mppe_bits::STATELESS | mppe_bits::BITS_128;
const MPPE_40: u32 = mppe_bits::STATELESS | mppe_bits::BITS_40;
const STATELESS_128: Mode = Mode { length: KeyLength::Bits128, stateless: true };
const STATELESS_40: Mode = Mode { length: KeyLength::Bits40, stateless: true };

/// PPP frames of the capture, from the gateway (`<`) or from us (`>`).
fn captured(way: &str) -> Vec<Vec<u8>> {
    let lines = CAPTURE.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields[1] == way && fields[2] == "gre")
        .filter_map(|fields| {
            let octets = unhex(fields[3]);
            let packet = gre::Packet::parse(&octets).unwrap();
            packet.sequence.map(|_| packet.payload.to_vec())
        })
        .collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn config(goal: Goal, auth: AuthPolicy, mppe: &str) -> Config {
    Config {
        goal,
        auth,
        credentials: Some(Credentials {
            username: b"probe".to_vec(),
            password: Secret::new(PASSWORD.to_vec()),
        }),
        mppe: mppe.parse().unwrap(),
        mru: None,
        magic: MAGIC,
        peer_challenge: PEER_CHALLENGE,
        ask_dns: true,
        ask_nbns: false,
        timing: Timing::default(),
    }
}

fn session(mppe: &str) -> Config {
    config(Goal::Network, AuthPolicy::OneOf(vec![Method::MsChapV2]), mppe)
}

struct Bench {
    link: Link,
    now: Instant,
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let mut bench = Self { link: Link::new(config, now), now };
        assert_eq!(bench.flight(), ["LCP Configure-Request 1"]);
        bench
    }

    /// A session with pppd after the first `count` frames of the capture,
    /// with nothing left to send or to tell.
    fn after(count: usize, mppe: &str) -> Self {
        let mut bench = Self::new(session(mppe));
        for frame in captured("<").iter().take(count) {
            bench.link.handle_frame(frame, bench.now);
        }
        bench.flight();
        bench.events();
        bench
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.link.poll_transmit()).collect()
    }

    fn flight(&mut self) -> Vec<String> {
        self.frames().iter().map(|frame| outline(frame)).collect()
    }

    /// Hands a frame in and takes what goes out for it.
    fn frame(&mut self, octets: &[u8]) -> Vec<String> {
        self.link.handle_frame(octets, self.now);
        self.flight()
    }

    fn give(&mut self, protocol: u16, code: Code, identifier: u8, data: &[u8]) -> Vec<String> {
        self.frame(&packet(protocol, code, identifier, data))
    }

    fn wait(&mut self, ms: u64) -> Vec<String> {
        self.now += Duration::from_millis(ms);
        self.link.handle_timeout(self.now);
        self.flight()
    }

    /// Lets timers run out until there are none.
    fn wait_for_ever(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        for _ in 0..200 {
            let Some(at) = self.link.poll_timeout() else { return sent };
            assert!(at > self.now, "a timer that ran out is due again");
            self.now = at;
            self.link.handle_timeout(at);
            sent.extend(self.flight());
        }
        panic!("timers never end");
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.poll_event()).collect()
    }

    /// The one failure among the events.
    fn failure(&mut self) -> (Phase, Reason, String) {
        let failures: Vec<_> = self
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Failed(Failure { phase, reason, detail }) => Some((phase, reason, detail)),
                _ => None,
            })
            .collect();
        let [failure] = <[_; 1]>::try_from(failures).unwrap();
        assert!(failure.2.is_ascii());
        failure
    }

    fn open_lcp(&mut self, auth: Option<&AuthProtocol>) -> Vec<String> {
        let mut sent = self.give(ppp::LCP, Code::ConfigureRequest, 1, &lcp_request(auth));
        let own = RawOption::from(&LcpOption::MagicNumber(MAGIC));
        sent.extend(self.give(ppp::LCP, Code::ConfigureAck, 1, &RawOption::emit_list(&[own])));
        sent
    }
}

fn packet(protocol: u16, code: Code, identifier: u8, data: &[u8]) -> Vec<u8> {
    let information = Packet { code, identifier, data: data.to_vec() }.emit();
    Frame { protocol, information: &information }.emit()
}

/// Protocol, code and identifier.
fn outline(frame: &[u8]) -> String {
    let frame = Frame::parse(frame).unwrap();
    let name = ppp::protocol_name(frame.protocol);
    match (frame.protocol, frame.information) {
        (ppp::LCP | ppp::CCP | ppp::IPCP, &[code, identifier, ..]) => {
            format!("{name} {} {identifier}", Code::from(code))
        }
        (ppp::PAP | ppp::CHAP | ppp::EAP, &[code, ..]) => format!("{name} code {code}"),
        _ => name.to_owned(),
    }
}

fn lcp_request(auth: Option<&AuthProtocol>) -> Vec<u8> {
    let mut options = Vec::new();
    options.extend(auth.map(|protocol| RawOption::new(3, &protocol.to_option())));
    options.push(RawOption::from(&LcpOption::MagicNumber(0xb0d3_795d)));
    RawOption::emit_list(&options)
}

fn mppe(bits: u32) -> Vec<u8> {
    RawOption::emit_list(&[RawOption::from(&CcpOption::Mppe(bits))])
}

fn ipcp(options: &[IpcpOption]) -> Vec<u8> {
    RawOption::emit_list(&options.iter().map(RawOption::from).collect::<Vec<_>>())
}

fn address(last: u8) -> IpcpOption {
    IpcpOption::Address(Ipv4Addr::new(192, 168, 77, last))
}

fn server_keys() -> MasterKeys {
    MasterKeys::from_mschap_v2(PASSWORD, &NT_RESPONSE)
}

const NONE: [&str; 0] = [];

/// Two frames of ours in a row never wait for the gateway: what can go out in
/// one flight does.
#[test]
fn pppd_session_takes_these_flights() {
    let mut bench = Bench { link: Link::new(session("128"), Instant::now()), now: Instant::now() };
    let mut sent = bench.frames();
    let mut flights = vec![sent.iter().map(|frame| outline(frame)).collect::<Vec<_>>()];
    for frame in &captured("<")[..UP] {
        bench.link.handle_frame(frame, bench.now);
        let flight = bench.frames();
        flights.push(flight.iter().map(|frame| outline(frame)).collect());
        sent.extend(flight);
    }
    assert_eq!(
        flights,
        [
            &["LCP Configure-Request 1"][..],
            &["LCP Configure-Ack 1"],
            &[],
            &["CHAP code 2"],
            &[],
            &["CCP Configure-Request 1", "CCP Configure-Ack 1", "IPCP Configure-Request 1"],
            &[],
            &["IPCP Configure-Ack 1"],
            &["LCP Protocol-Reject 1"],
            &["IPCP Configure-Request 2"],
            &[],
        ]
    );
    assert_eq!(sent, captured(">")[..sent.len()], "octet for octet");
    assert_eq!(
        bench.events(),
        [
            Event::LcpUp,
            Event::Authenticated(Method::MsChapV2),
            Event::CcpDone(Some(STATELESS_128)),
            Event::NetworkUp,
        ]
    );
    let inner = (Ipv4Addr::new(192, 168, 77, 10), Ipv4Addr::new(192, 168, 77, 1));
    assert_eq!(bench.link.addresses(), Some(inner));
    assert_eq!(bench.link.ipcp().dns(), [inner.1]);
    assert_eq!(bench.link.message(), b"Access granted");
    assert!(bench.link.answered() && bench.link.auth_requested());
    let counters = Counters { frames: UP as u64, ..Counters::default() };
    assert_eq!(bench.link.counters(), counters, "pppd sends nothing strange");

    bench.link.close(bench.now);
    assert_eq!(bench.flight(), ["LCP Terminate-Request 2"]);
    assert_eq!(bench.link.stage(), "closing the link");
    assert_eq!(bench.frame(&captured("<")[UP + 1]), NONE);
    assert_eq!(bench.events(), [Event::Finished]);
    assert_eq!(bench.wait_for_ever(), NONE);
}

/// pppd drops an IPCP request that comes before CCP is open.
#[test]
fn ipcp_request_is_repeated_once_when_ccp_was_naked_first() {
    let mut bench = Bench::after(AUTHENTICATED, "any");
    assert_eq!(bench.wait(59), NONE, "the gateway's CCP request is waited for");
    let first = ["CCP Configure-Request 1", "IPCP Configure-Request 1"];
    assert_eq!(bench.wait(1), first, "but not for long");
    let nak = bench.give(ppp::CCP, Code::ConfigureNak, 1, &mppe(MPPE_40));
    assert_eq!(nak, ["CCP Configure-Request 2"]);
    let request = bench.give(ppp::CCP, Code::ConfigureRequest, 1, &mppe(MPPE_40));
    assert_eq!(request, ["CCP Configure-Ack 1"]);
    let ack = bench.give(ppp::CCP, Code::ConfigureAck, 2, &mppe(MPPE_40));
    assert_eq!(ack, ["IPCP Configure-Request 1"], "the same request, at once");
    assert_eq!(bench.events(), [Event::CcpDone(Some(STATELESS_40))]);
    assert_eq!(bench.wait(999), NONE);
    assert_eq!(bench.wait(1), ["IPCP Configure-Request 1"], "and then by its timer alone");
}

#[test]
fn ipcp_request_is_repeated_once_when_it_overtook_our_ccp_ack() {
    let mut bench = Bench::after(AUTHENTICATED, "any");
    bench.wait(60);
    let ack = bench.give(ppp::CCP, Code::ConfigureAck, 1, &mppe(MPPE_128));
    assert_eq!(ack, NONE);
    let request = bench.give(ppp::CCP, Code::ConfigureRequest, 1, &mppe(MPPE_128));
    assert_eq!(request, ["CCP Configure-Ack 1", "IPCP Configure-Request 1"]);
    assert_eq!(bench.wait(999), NONE);
}

#[test]
fn gateway_that_begins_with_ipcp_has_no_ccp_to_wait_for() {
    let mut bench = Bench::after(AUTHENTICATED, "any");
    let flight = bench.give(ppp::IPCP, Code::ConfigureRequest, 1, &ipcp(&[address(1)]));
    let expected = ["CCP Configure-Request 1", "IPCP Configure-Request 1", "IPCP Configure-Ack 1"];
    assert_eq!(flight, expected);
}

#[test]
fn without_encryption_ipcp_goes_out_with_the_verdict() {
    let mut bench = Bench::after(AUTHENTICATED - 1, "none");
    assert_eq!(bench.frame(&captured("<")[AUTHENTICATED - 1]), ["IPCP Configure-Request 1"]);
    assert_eq!(bench.events(), [Event::Authenticated(Method::MsChapV2), Event::CcpDone(None)]);
}

#[test]
fn our_own_frames_that_come_back_are_a_loop() {
    let mut bench = Bench { link: Link::new(session("any"), Instant::now()), now: Instant::now() };
    for _ in 0..4 {
        for frame in bench.frames() {
            bench.link.handle_frame(&frame, bench.now);
        }
    }
    let detail = "our own PPP packets come back to us".to_owned();
    assert_eq!(bench.failure(), (Phase::Lcp, Reason::LcpLoop, detail));
}

#[test]
fn our_own_echo_requests_that_come_back_are_a_loop() {
    let mut bench = Bench::after(UP, "any");
    for expected in [vec![], vec![Reason::LcpLoop]] {
        bench.link.echo(bench.now);
        let echo = bench.frames().remove(0);
        assert_eq!(bench.frame(&echo), NONE);
        let reasons: Vec<_> = bench
            .events()
            .into_iter()
            .map(|event| match event {
                Event::Failed(failure) => failure.reason,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(reasons, expected);
    }
}

#[test]
fn terminate_request_says_what_it_interrupted() {
    for (count, phase, words) in [
        (ESTABLISH, Phase::Lcp, "negotiating LCP"),
        (AUTHENTICATE, Phase::Auth, "waiting for a challenge"),
        (AUTHENTICATE + 1, Phase::Auth, "waiting for the verdict on our response"),
        (AUTHENTICATED, Phase::Ccp, "negotiating encryption (CCP)"),
        (ENCRYPTED, Phase::Ipcp, "negotiating an address (IPCP)"),
        (UP, Phase::Data, "the link was up"),
    ] {
        let mut bench = Bench::after(count, "any");
        let flight = bench.give(ppp::LCP, Code::TerminateRequest, 9, b"no|more");
        assert_eq!(flight, ["LCP Terminate-Ack 9"]);
        let detail = format!(r"gateway terminated the link while {words}: no\x7cmore");
        assert_eq!(bench.failure(), (phase, Reason::Terminated, detail));
    }
}

#[test]
fn what_follows_a_failure_is_no_second_failure() {
    let mut bench = Bench::after(UP, "any");
    bench.give(ppp::LCP, Code::TerminateRequest, 9, b"");
    bench.give(ppp::LCP, Code::TerminateRequest, 10, b"");
    bench.give(ppp::CHAP, Code::from(4), 1, b"");
    assert_eq!(bench.failure().1, Reason::Terminated);
    bench.link.close(bench.now);
    bench.wait_for_ever();
    assert_eq!(bench.events(), [Event::Finished]);
}

#[test]
fn stubborn_gateway_asks_for_an_unacceptable_method() {
    let auth = AuthPolicy::OneOf(vec![Method::MsChapV2, Method::ChapMd5]);
    let mut bench = Bench::new(config(Goal::Network, auth, "any"));
    for identifier in 1..=3 {
        let request = lcp_request(Some(&AuthProtocol::Pap));
        let flight = bench.give(ppp::LCP, Code::ConfigureRequest, identifier, &request);
        assert_eq!(flight, [format!("LCP Configure-Nak {identifier}")]);
        assert_eq!(bench.events(), []);
    }
    bench.give(ppp::LCP, Code::ConfigureRequest, 4, &lcp_request(Some(&AuthProtocol::Pap)));
    let detail = "gateway asks for pap, allowed here is mschapv2, chap".to_owned();
    assert_eq!(bench.failure(), (Phase::Auth, Reason::AuthOfferedUnacceptable, detail));
}

#[test]
fn gateway_that_terminates_over_the_method_asked_for_it() {
    let mut bench = Bench::new(session("any"));
    bench.give(ppp::LCP, Code::ConfigureRequest, 1, &lcp_request(Some(&AuthProtocol::Eap)));
    bench.give(ppp::LCP, Code::TerminateRequest, 2, b"");
    let detail = "gateway asks for eap, allowed here is mschapv2".to_owned();
    assert_eq!(bench.failure(), (Phase::Auth, Reason::AuthOfferedUnacceptable, detail));
}

#[test]
fn gateway_that_drops_authentication_after_our_nak_did_ask_for_it() {
    let mut bench = Bench::new(session("any"));
    bench.give(ppp::LCP, Code::ConfigureRequest, 1, &lcp_request(Some(&AuthProtocol::Pap)));
    bench.open_lcp(None);
    let (phase, reason, _) = bench.failure();
    assert_eq!((phase, reason), (Phase::Auth, Reason::AuthOfferedUnacceptable));
}

#[test]
fn gateway_without_authentication_is_a_finding_unless_allowed() {
    let mut bench = Bench::new(session("any"));
    assert_eq!(bench.open_lcp(None), ["LCP Configure-Ack 1"]);
    let detail = "gateway lets callers in without authentication".to_owned();
    assert_eq!(bench.failure(), (Phase::Auth, Reason::AuthNotRequested, detail));

    let auth = AuthPolicy::OneOf(vec![Method::None, Method::Pap]);
    let mut bench = Bench::new(config(Goal::Network, auth.clone(), "any"));
    assert_eq!(bench.open_lcp(None), ["LCP Configure-Ack 1", "IPCP Configure-Request 1"]);
    let events = [Event::LcpUp, Event::Authenticated(Method::None), Event::CcpDone(None)];
    assert_eq!(bench.events(), events);

    let mut bench = Bench::new(config(Goal::Network, auth, "128"));
    bench.open_lcp(None);
    let detail = "authentication by none gives no keys for MPPE".to_owned();
    assert_eq!(bench.failure(), (Phase::Ccp, Reason::MppeRefused, detail));
}

#[test]
fn without_an_account_authentication_is_not_begun() {
    let mut bench = Bench::new(Config { credentials: None, ..session("any") });
    assert_eq!(bench.open_lcp(Some(&AuthProtocol::MsChapV2)), ["LCP Configure-Ack 1"]);
    assert_eq!(bench.failure().1, Reason::Local);
    assert_eq!(bench.frame(&captured("<")[AUTHENTICATE]), NONE);
}

#[test]
fn gateway_that_rejects_the_protocol_it_asked_for() {
    let mut bench = Bench::after(AUTHENTICATE, "any");
    bench.give(ppp::LCP, Code::ProtocolReject, 1, &ppp::CHAP.to_be_bytes());
    let detail = "gateway rejects CHAP that it asked for".to_owned();
    assert_eq!(bench.failure(), (Phase::Auth, Reason::AuthOfferedUnacceptable, detail));
}

#[test]
fn mppe_that_the_gateway_does_not_know_is_refused_or_done_without() {
    let hold = ["CCP Configure-Request 1", "IPCP Configure-Request 1"];
    let refusals: [fn(&mut Bench) -> Vec<String>; 3] = [
        |bench| bench.give(ppp::LCP, Code::ProtocolReject, 3, &ppp::CCP.to_be_bytes()),
        |bench| bench.give(ppp::CCP, Code::TerminateRequest, 3, b""),
        |bench| {
            bench.give(ppp::CCP, Code::ConfigureReject, 1, &mppe(MPPE_128));
            bench.give(ppp::CCP, Code::ConfigureRequest, 1, &[]);
            bench.give(ppp::CCP, Code::ConfigureAck, 2, &[])
        },
    ];
    for refuse in refusals {
        let mut bench = Bench::after(AUTHENTICATED, "128");
        assert_eq!(bench.wait(60), hold);
        refuse(&mut bench);
        let detail = "gateway refuses MPPE".to_owned();
        assert_eq!(bench.failure(), (Phase::Ccp, Reason::MppeRefused, detail));

        let mut bench = Bench::after(AUTHENTICATED, "any");
        assert_eq!(bench.wait(60), hold);
        refuse(&mut bench);
        assert_eq!(bench.events(), [Event::CcpDone(None)]);
        assert_eq!(bench.link.phase(), Phase::Ipcp);
    }
}

#[test]
fn mppe_that_is_too_weak_is_named() {
    let detail = "gateway offers 40 bit stateless MPPE, which is not allowed here".to_owned();
    let too_weak = (Phase::Ccp, Reason::MppeRefused, detail);

    let mut bench = Bench::after(AUTHENTICATED, "128");
    let flight = bench.give(ppp::CCP, Code::ConfigureRequest, 1, &mppe(MPPE_40));
    assert_eq!(flight, ["CCP Configure-Request 1", "CCP Configure-Nak 1"]);
    bench.give(ppp::CCP, Code::ConfigureNak, 1, &mppe(MPPE_40));
    bench.give(ppp::CCP, Code::ConfigureRequest, 2, &[]);
    bench.give(ppp::CCP, Code::ConfigureAck, 2, &[]);
    assert_eq!(bench.failure(), too_weak);

    // pppd terminates as soon as its request is answered with a Nak.
    let mut bench = Bench::after(AUTHENTICATED, "128");
    bench.give(ppp::CCP, Code::ConfigureRequest, 1, &mppe(MPPE_40));
    let text = b"MPPE required but peer negotiation failed";
    bench.give(ppp::LCP, Code::TerminateRequest, 2, text);
    assert_eq!(bench.failure(), too_weak);
}

#[test]
fn gateway_that_insists_on_excluded_mppe() {
    let mut bench = Bench::after(AUTHENTICATED, "none");
    let flight = bench.frame(&captured("<")[AUTHENTICATED]);
    assert_eq!(flight, ["LCP Protocol-Reject 1"]);
    bench.give(ppp::LCP, Code::TerminateRequest, 2, b"MPPE required but peer refused");
    let detail = "gateway insists on MPPE and terminated the link: MPPE required but peer refused";
    assert_eq!(bench.failure(), (Phase::Ccp, Reason::MppeRequired, detail.to_owned()));
}

#[test]
fn gateway_that_terminates_for_another_reason_does_not_insist_on_mppe() {
    let text = b"No network protocols running";
    let deflate = RawOption::emit_list(&[RawOption::new(26, &[0x78, 0])]);

    let mut bench = Bench::after(AUTHENTICATED, "none");
    let flight = bench.give(ppp::CCP, Code::ConfigureRequest, 1, &deflate);
    assert_eq!(flight, ["LCP Protocol-Reject 1"]);
    bench.give(ppp::LCP, Code::TerminateRequest, 2, text);
    let (phase, reason, _) = bench.failure();
    assert_eq!((phase, reason), (Phase::Ipcp, Reason::Terminated));

    let mut bench = Bench::after(AUTHENTICATED, "none");
    bench.frame(&captured("<")[AUTHENTICATED]);
    bench.give(ppp::IPCP, Code::ConfigureRequest, 1, &ipcp(&[address(1)]));
    let mut asked = vec![address(10)];
    asked
        .extend([IpcpOption::PrimaryDns, IpcpOption::SecondaryDns].map(|f| f(Ipv4Addr::LOCALHOST)));
    bench.give(ppp::IPCP, Code::ConfigureNak, 1, &ipcp(&asked));
    bench.give(ppp::IPCP, Code::ConfigureAck, 2, &ipcp(&asked));
    bench.give(ppp::LCP, Code::TerminateRequest, 2, b"Connect time expired");
    let (phase, reason, _) = bench.failure();
    assert_eq!((phase, reason), (Phase::Data, Reason::Terminated));
}

#[test]
fn silence_in_ccp_ends_after_ten_requests() {
    let count = |sent: Vec<String>| {
        sent.iter().filter(|outline| outline.starts_with("CCP Configure-Request")).count()
    };
    let mut bench = Bench::after(AUTHENTICATED, "128");
    assert_eq!(count(bench.wait_for_ever()), 10);
    let events = bench.events();
    let detail = "gateway answered none of our CCP Configure-Requests";
    let failure = Failure::new(Phase::Ccp, Reason::Silent, detail);
    assert_eq!(events.first(), Some(&Event::Failed(failure)));

    let mut bench = Bench::after(AUTHENTICATED, "any");
    assert_eq!(count(bench.wait_for_ever()), 10);
    assert!(bench.events().contains(&Event::CcpDone(None)));
}

#[test]
fn quarrel_over_mppe_ends() {
    let mut bench = Bench::after(AUTHENTICATED, "128");
    for identifier in 1..60 {
        bench.give(ppp::CCP, Code::ConfigureRequest, identifier, &mppe(MPPE_40));
    }
    let detail = "gateway and caller never agree on MPPE".to_owned();
    assert_eq!(bench.failure(), (Phase::Ccp, Reason::MppeRefused, detail));
}

#[test]
fn ip_that_the_gateway_refuses() {
    let refusals: [fn(&mut Bench) -> Vec<String>; 3] = [
        |bench| bench.give(ppp::LCP, Code::ProtocolReject, 3, &ppp::IPCP.to_be_bytes()),
        |bench| bench.give(ppp::IPCP, Code::TerminateRequest, 3, b""),
        |bench| bench.give(ppp::IPCP, Code::CodeReject, 3, &[1, 1, 0, 4]),
    ];
    for refuse in refusals {
        let mut bench = Bench::after(ENCRYPTED, "any");
        refuse(&mut bench);
        let detail = "gateway refuses IP inside the tunnel".to_owned();
        assert_eq!(bench.failure(), (Phase::Ipcp, Reason::IpcpRefused, detail));
    }
}

#[test]
fn silence_in_ipcp_ends() {
    let mut bench = Bench::after(ENCRYPTED, "any");
    let sent = bench.wait_for_ever();
    assert_eq!(sent, ["IPCP Configure-Request 1"; 9], "after the one that is out");
    let failed = Event::Failed(Failure::new(
        Phase::Ipcp,
        Reason::Silent,
        "gateway answered none of our IPCP Configure-Requests",
    ));
    assert_eq!(bench.events().first(), Some(&failed));
}

#[test]
fn gateway_without_an_address_to_give() {
    let mut bench = Bench::after(ENCRYPTED, "any");
    let unspecified = [IpcpOption::Address(Ipv4Addr::UNSPECIFIED)];
    let flight = bench.give(ppp::IPCP, Code::ConfigureReject, 1, &ipcp(&unspecified));
    assert_eq!(flight, ["IPCP Configure-Request 2"]);
    let servers = ipcp(&[
        IpcpOption::PrimaryDns(Ipv4Addr::UNSPECIFIED),
        IpcpOption::SecondaryDns(Ipv4Addr::UNSPECIFIED),
    ]);
    bench.give(ppp::IPCP, Code::ConfigureAck, 2, &servers);
    bench.give(ppp::IPCP, Code::ConfigureRequest, 1, &ipcp(&[address(1)]));
    let detail = "gateway gave no address".to_owned();
    assert_eq!(bench.failure(), (Phase::Ipcp, Reason::NoAddress, detail));

    let mut bench = Bench::after(ENCRYPTED, "any");
    for identifier in 1..60 {
        bench.give(ppp::IPCP, Code::ConfigureNak, identifier, &ipcp(&unspecified));
    }
    let detail = "gateway and caller never agree on an address".to_owned();
    assert_eq!(bench.failure(), (Phase::Ipcp, Reason::NoAddress, detail));
}

#[test]
fn encrypted_datagrams_go_both_ways() {
    let mut bench = Bench::after(UP, "any");
    let mut encryptor = Encryptor::for_server(&server_keys(), STATELESS_128);
    let mut decryptor = Decryptor::for_server(&server_keys(), STATELESS_128);
    for number in 0..3 {
        let information = encryptor.encrypt(ppp::IPV4, &[0x45, number]);
        bench.frame(&Frame { protocol: ppp::COMPRESSED, information: &information }.emit());
        assert_eq!(bench.link.poll_network(), Some((ppp::IPV4, vec![0x45, number])));
        bench.link.send_network(ppp::IPV4, &[0x46, number]);
        let sent = bench.frames();
        let [frame] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(frame[0], 0xfd, "pppd asked for short headers");
        assert_eq!(decryptor.decrypt(&frame[1..]), Ok((ppp::IPV4, vec![0x46, number])));
    }
    assert_eq!(bench.link.poll_network(), None);
}

#[test]
fn captured_datagram_is_read() {
    let mut bench = Bench::after(UP, "any");
    bench.frame(&captured("<")[UP]);
    let (protocol, datagram) = bench.link.poll_network().unwrap();
    assert_eq!(
        (protocol, &datagram[12..20]),
        (ppp::IPV4, &[192, 168, 77, 1, 192, 168, 77, 10][..])
    );
}

#[test]
fn other_keys_and_clear_datagrams_are_counted() {
    let mut bench = Bench::after(UP, "any");
    let keys = MasterKeys::from_mschap_v2(b"another", &NT_RESPONSE);
    let mut encryptor = Encryptor::for_server(&keys, STATELESS_128);
    for number in 0..64 {
        let information = encryptor.encrypt(ppp::IPV4, &[number; 20]);
        bench.frame(&Frame { protocol: ppp::COMPRESSED, information: &information }.emit());
    }
    bench.frame(&Frame { protocol: ppp::IPV4, information: &[0x45] }.emit());
    bench.frame(&Frame { protocol: ppp::COMPRESSED, information: &[0x10] }.emit());
    let counters = bench.link.counters();
    assert!(counters.garbled > 16, "{counters:?}");
    assert_eq!((counters.clear, counters.undecryptable), (1, 1));
    assert!(!std::iter::from_fn(|| bench.link.poll_network()).any(|(_, got)| got == [0x45]));
    assert_eq!(bench.events(), [], "judging is the owner's business");
}

#[test]
fn gateway_that_rejects_what_we_never_sent_reads_us_with_another_key() {
    let mut bench = Bench::after(UP, "any");
    bench.give(ppp::LCP, Code::ProtocolReject, 1, &[0x5b, 0x77, 1, 2]);
    assert_eq!(bench.link.counters().garbled, 1);
    bench.give(ppp::LCP, Code::ProtocolReject, 2, &ppp::COMPRESSED.to_be_bytes());
    assert_eq!(bench.link.counters().undecryptable, 1);
    bench.give(ppp::LCP, Code::ProtocolReject, 3, &[0x5b]);
    assert_eq!(bench.link.counters().malformed, 1);
}

/// What was to be encrypted does not go out in the clear because CCP closed.
#[test]
fn nothing_goes_out_in_the_clear_once_encryption_was_agreed() {
    for close in [Code::TerminateRequest, Code::ConfigureRequest] {
        let mut bench = Bench::after(UP, "any");
        bench.give(ppp::CCP, close, 7, &mppe(MPPE_128));
        bench.link.send_network(ppp::IPV4, &[0x45]);
        assert_eq!(bench.flight(), NONE, "{close}");
        bench.frame(&Frame { protocol: ppp::IPV4, information: &[0x45] }.emit());
        assert_eq!(bench.link.poll_network(), None);
        assert_eq!(bench.link.counters().out_of_phase, 1);
    }
}

#[test]
fn lost_packet_of_stateful_mode_is_answered_by_a_reset_request() {
    let stateful = Mode { length: KeyLength::Bits128, stateless: false };
    let mut bench = Bench::after(AUTHENTICATED, "128,stateful");
    bench.give(ppp::CCP, Code::ConfigureRequest, 1, &mppe(mppe_bits::BITS_128));
    bench.give(ppp::CCP, Code::ConfigureAck, 1, &mppe(mppe_bits::BITS_128));
    assert_eq!(bench.events(), [Event::CcpDone(Some(stateful))]);
    let mut encryptor = Encryptor::for_server(&server_keys(), stateful);
    let send = |bench: &mut Bench, encryptor: &mut Encryptor| {
        let information = encryptor.encrypt(ppp::IPV4, &[0x45]);
        bench.frame(&Frame { protocol: ppp::COMPRESSED, information: &information }.emit())
    };
    assert_eq!(send(&mut bench, &mut encryptor), NONE);
    encryptor.encrypt(ppp::IPV4, b"lost");
    assert_eq!(send(&mut bench, &mut encryptor), ["CCP Reset-Request 1"]);
    encryptor.reset();
    assert_eq!(bench.give(ppp::CCP, Code::ResetAck, 1, &[]), NONE);
    assert_eq!(send(&mut bench, &mut encryptor), NONE);
    let read = std::iter::from_fn(|| bench.link.poll_network()).count();
    assert_eq!(read, 2);

    assert_eq!(bench.give(ppp::CCP, Code::ResetRequest, 5, &[]), ["CCP Reset-Ack 5"]);
    bench.link.send_network(ppp::IPV4, &[0x45]);
    let flushed = bench.frames().remove(0);
    assert_eq!(flushed[4] & 0x80, 0x80, "{flushed:02x?}");
}

#[test]
fn echo_request_is_answered_with_our_magic_number_while_open() {
    let theirs = [0xb0, 0xd3, 0x79, 0x5d, b'd', b'a', b't', b'a'];
    let mut bench = Bench::new(session("any"));
    assert_eq!(bench.give(ppp::LCP, Code::EchoRequest, 3, &theirs), NONE);
    for count in [AUTHENTICATE, AUTHENTICATED, UP] {
        let mut bench = Bench::after(count, "any");
        bench.link.handle_frame(&packet(ppp::LCP, Code::EchoRequest, 3, &theirs), bench.now);
        let expected = packet(ppp::LCP, Code::EchoReply, 3, b"\xdf\x5e\x81\xdbdata");
        assert_eq!(bench.frames(), [expected]);
        bench.link.handle_frame(&packet(ppp::LCP, Code::EchoRequest, 4, &[]), bench.now);
        let expected = packet(ppp::LCP, Code::EchoReply, 4, b"\xdf\x5e\x81\xdb");
        assert_eq!(bench.frames(), [expected], "a magic number it has to have");
        assert_eq!(bench.link.counters().echo_requests, 2);
    }
}

#[test]
fn echo_reply_is_matched_by_its_identifier() {
    let mut bench = Bench::after(UP, "any");
    for identifier in 1..=2 {
        bench.link.echo(bench.now);
        assert_eq!(bench.flight(), [format!("LCP Echo-Request {identifier}")]);
        bench.now += Duration::from_millis(38);
        bench.give(ppp::LCP, Code::EchoReply, identifier + 1, &[0; 4]);
        assert_eq!(bench.events(), []);
        bench.give(ppp::LCP, Code::EchoReply, identifier, &[0; 4]);
        bench.give(ppp::LCP, Code::EchoReply, identifier, &[0; 4]);
        assert_eq!(bench.events(), [Event::EchoReplied(Duration::from_millis(38))]);
    }
}

#[test]
fn other_lcp_codes_are_heard_or_rejected() {
    let mut bench = Bench::after(UP, "any");
    let text = [&[0; 4][..], &[b'x'; 100]].concat();
    assert_eq!(bench.give(ppp::LCP, Code::Identification, 1, &text), NONE);
    assert_eq!(bench.link.identification(), [b'x'; 64]);
    for code in [Code::DiscardRequest, Code::TimeRemaining] {
        assert_eq!(bench.give(ppp::LCP, code, 1, &[0; 8]), NONE);
    }
    let rejects: usize =
        (0..40).map(|n| bench.give(ppp::LCP, Code::Other(200), n, &[]).len()).sum();
    assert_eq!(rejects, MAX_PROTOCOL_REJECTS as usize - 1, "one was for IPv6CP");
}

#[test]
fn unknown_protocols_are_rejected_so_often() {
    let mut bench = Bench::after(UP, "any");
    bench.link.handle_frame(&[0xff, 0x03, 0x80, 0x57, 1, 1, 0, 4], bench.now);
    let expected = packet(ppp::LCP, Code::ProtocolReject, 2, &[0x80, 0x57, 1, 1, 0, 4]);
    assert_eq!(bench.frames(), [expected], "one was sent for the IPv6CP of the capture");
    let long = [&[0xff, 0x03, 0x80, 0x57][..], &[7; 3000]].concat();
    bench.link.handle_frame(&long, bench.now);
    assert_eq!(bench.frames()[0].len(), 4 + 4 + 2 + 1_400, "cut to what fits everywhere");
    let rejects: usize = (0..40).map(|_| bench.frame(&long).len()).sum();
    assert_eq!(rejects, MAX_PROTOCOL_REJECTS as usize - 3);
}

#[test]
fn what_may_not_speak_yet_is_counted_and_not_answered() {
    let ccp = packet(ppp::CCP, Code::ConfigureRequest, 1, &mppe(MPPE_128));
    let datagram = Frame { protocol: ppp::IPV4, information: &[0x45] }.emit();
    let encrypted = Frame { protocol: ppp::COMPRESSED, information: &[0x90, 0, 1] }.emit();
    for (count, frames) in [
        (ESTABLISH, vec![&ccp, &datagram, &encrypted]),
        (AUTHENTICATE, vec![&ccp, &datagram, &encrypted]),
        (AUTHENTICATED, vec![&datagram, &encrypted]),
        (ENCRYPTED, vec![&datagram]),
    ] {
        let mut bench = Bench::after(count, "any");
        for frame in &frames {
            assert_eq!(bench.frame(frame), NONE);
        }
        assert_eq!(bench.link.counters().out_of_phase, frames.len() as u64);
        assert_eq!((bench.events(), bench.link.poll_network()), (vec![], None));
    }
}

#[test]
fn without_the_goal_of_a_session_authentication_is_never_answered() {
    let mut bench = Bench::new(config(Goal::Lcp, AuthPolicy::Whatever, "any"));
    assert_eq!(bench.open_lcp(Some(&AuthProtocol::MsChapV2)), ["LCP Configure-Ack 1"]);
    assert!(!bench.link.auth_requested());
    assert_eq!(bench.frame(&captured("<")[AUTHENTICATE]), NONE);
    assert!(bench.link.auth_requested());
    assert_eq!(bench.events(), [Event::LcpUp]);
}

#[test]
fn garbage_is_counted() {
    let mut bench = Bench::after(UP, "any");
    for frame in [
        &[][..],
        &[0xff, 0x03],
        &[0xff, 0x03, 0xc0],
        &[0xc0, 0x20, 1],
        &[0xc0, 0x21, 1],
        &[0x80, 0xfd, 1, 1, 0, 3],
        &[0x80, 0x21, 1, 1, 0xff, 0xff],
    ] {
        assert_eq!(bench.frame(frame), NONE);
    }
    assert_eq!(bench.link.counters().malformed, 7);
}

#[test]
fn flood_of_frames_has_its_reason() {
    let mut bench = Bench::after(AUTHENTICATED, "any");
    let frame = packet(ppp::LCP, Code::DiscardRequest, 1, &[0; 4]);
    for _ in AUTHENTICATED as u64..MAX_FRAMES {
        bench.link.handle_frame(&frame, bench.now);
    }
    assert_eq!(bench.events(), []);
    bench.link.handle_frame(&frame, bench.now);
    let detail = "gateway sent more than 20000 PPP frames".to_owned();
    assert_eq!(bench.failure(), (Phase::Ccp, Reason::Flooded, detail));

    let mut bench = Bench::after(UP, "any");
    for _ in 0..2 * MAX_FRAMES {
        bench.link.handle_frame(&frame, bench.now);
    }
    assert_eq!(bench.events(), [], "a user may receive as much as he likes");
}

#[test]
fn datagrams_that_nobody_takes_are_dropped() {
    let mut bench = Bench::after(UP - 3, "none");
    let mut options = vec![address(10)];
    options
        .extend([IpcpOption::PrimaryDns, IpcpOption::SecondaryDns].map(|f| f(Ipv4Addr::LOCALHOST)));
    bench.give(ppp::IPCP, Code::ConfigureNak, 1, &ipcp(&options));
    bench.give(ppp::IPCP, Code::ConfigureAck, 2, &ipcp(&options));
    assert!(bench.events().contains(&Event::NetworkUp));
    for _ in 0..2 * INBOX {
        bench.frame(&Frame { protocol: ppp::IPV4, information: &[0x45] }.emit());
    }
    assert_eq!(std::iter::from_fn(|| bench.link.poll_network()).count(), INBOX);
}
