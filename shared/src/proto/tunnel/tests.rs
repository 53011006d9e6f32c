use super::*;
use crate as probe;
use crate::crypto::mppe::{KeyLength, MasterKeys};
use crate::proto::auth::Credentials;
use crate::proto::automaton::Timing;
use crate::proto::lcp::AuthPolicy;
use crate::proto::mppe::Encryptor;
use crate::secret::Secret;
use crate::wire::chap::{self, MsChapV2Response, Valued};
use crate::wire::control::Message;
use crate::wire::cp::{Code, Packet};
use crate::wire::gre::Packet as GrePacket;
use crate::wire::ppp::Frame;

mod captured;
/// The peer, which the fuzz targets use too.
#[path = "../../../../tests/fuzz/src/gateway.rs"]
mod gateway;
mod open;
mod random;

use gateway::{ACCOUNT, Gateway, INNER, POOL, Reply, Settings, WRONG, Watch, frame_of};

const OURS: u16 = 0x96de;
const MAGIC: u32 = 0xdf5e_81db;
/// RFC 2759, section 9.2.
const PEER_CHALLENGE: [u8; 16] =
    *b"\x21\x40\x23\x24\x25\x5e\x26\x2a\x28\x29\x5f\x2b\x3a\x33\x7c\x7e";
const PATIENCE: Duration = Duration::from_secs(4);
const ECHO_TIMEOUT: Duration = Duration::from_secs(1);
const FAREWELL: Duration = Duration::from_millis(500);
const STATELESS_128: Mode = Mode { length: KeyLength::Bits128, stateless: true };

const SESSION: Goal = Goal::Session;
const LINK: Goal = Goal::Link { echoes: 4 };
const CONTROL: Goal = Goal::Control { echoes: 2 };

fn config(goal: Goal) -> Config {
    let (link_goal, auth) = match goal {
        Goal::Session => (link::Goal::Network, AuthPolicy::OneOf(Method::ALL.to_vec())),
        Goal::Candidate => (link::Goal::Candidate, AuthPolicy::Candidate(Method::Pap)),
        _ => (link::Goal::Lcp, AuthPolicy::Whatever),
    };
    let link = link::Config {
        goal: link_goal,
        auth,
        credentials: Some(Credentials {
            username: ACCOUNT.0.to_vec(),
            password: Secret::new(ACCOUNT.1.to_vec()),
        }),
        mppe: "any".parse().unwrap(),
        mru: None,
        magic: MAGIC,
        peer_challenge: PEER_CHALLENGE,
        ask_dns: true,
        ask_nbns: false,
        timing: Timing::default(),
    };
    Config {
        goal,
        call_id: OURS,
        control: control::Config {
            host_name: b"pptp-monitor".to_vec(),
            vendor_name: b"pptp-monitor".to_vec(),
            farewell: FAREWELL,
        },
        link: (!matches!(goal, Goal::Control { .. })).then_some(link),
        patience: PATIENCE,
        echo_timeout: ECHO_TIMEOUT,
    }
}

/// A session and its gateway on one virtual clock.
struct Bench {
    tunnel: Tunnel,
    gateway: Gateway,
    watch: Watch,
    started: Instant,
    now: Instant,
    /// Whether GRE passes, towards us and towards the gateway.
    inbound: bool,
    outbound: bool,
    /// What was sent and not handed over yet.
    sent: VecDeque<Transmit>,
}

impl Bench {
    fn new(goal: Goal) -> Self {
        Self::with(config(goal), Settings::usual())
    }

    fn with(config: Config, settings: Settings) -> Self {
        let started = Instant::now();
        Self {
            tunnel: Tunnel::new(config, started),
            gateway: Gateway::new(settings),
            watch: Watch::default(),
            started,
            now: started,
            inbound: true,
            outbound: true,
            sent: VecDeque::new(),
        }
    }

    /// A session that waits for `stage`.
    fn at(goal: Goal, stage: &str) -> Self {
        let mut bench = Self::new(goal);
        bench.reach(stage);
        bench
    }

    fn reach(&mut self, stage: &str) {
        while self.tunnel.stage() != stage {
            assert!(self.step(), "stuck while {}, not {stage}", self.tunnel.stage());
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.tunnel.poll_transmit() {
            self.watch.sent(&transmit);
            self.sent.push_back(transmit);
        }
    }

    /// Hands over what we sent and one answer; false when there is none.
    fn step(&mut self) -> bool {
        self.collect();
        for transmit in std::mem::take(&mut self.sent) {
            if self.outbound || matches!(transmit, Transmit::Control(_)) {
                self.gateway.handle(&transmit);
            }
        }
        match self.gateway.poll_reply() {
            Some(Reply::Control(octets)) => self.tunnel.handle_control_input(&octets, self.now),
            Some(Reply::Close) => self.tunnel.handle_control_closed(false, self.now),
            Some(Reply::Frame(frame)) if self.inbound => self.give(&frame),
            Some(Reply::Frame(frame)) => drop(self.gateway.wrap(&frame)),
            None => return false,
        }
        true
    }

    /// Hands a PPP frame of the gateway over.
    fn give(&mut self, frame: &[u8]) {
        let octets = self.gateway.wrap(frame);
        self.watch.received(&octets);
        self.tunnel.handle_gre_input(&octets, self.now);
    }

    fn exchange(&mut self) {
        while self.step() {}
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.tunnel.poll_timeout().filter(|&at| at <= until) {
            self.timeout(at);
            self.exchange();
        }
        self.now = until;
    }

    fn timeout(&mut self, at: Instant) {
        self.now = self.now.max(at);
        self.tunnel.handle_timeout(self.now);
        let due = self.tunnel.poll_timeout();
        assert!(
            self.tunnel.is_finished() || due.is_none_or(|at| at > self.now),
            "what is due stays due while {}: the driver would spin",
            self.tunnel.stage()
        );
    }

    /// To the end, by answers and timers alone.
    fn run(mut self) -> Seen {
        self.finish();
        self.tunnel.seen()
    }

    fn finish(&mut self) {
        self.exchange();
        for _ in 0..300 {
            if self.tunnel.is_finished() {
                assert!(self.tunnel.poll_transmit().is_none());
                return;
            }
            let at = self.tunnel.poll_timeout().expect("something to wait for");
            self.timeout(at);
            self.exchange();
        }
        panic!("no end while {}", self.tunnel.stage());
    }

    fn failure(&mut self) -> (Phase, Reason, String) {
        let failure = self.tunnel.seen().failure.expect("a failure");
        assert!(failure.detail.is_ascii());
        (failure.phase, failure.reason, failure.detail)
    }
}

fn packet(protocol: u16, code: Code, identifier: u8, data: &[u8]) -> Vec<u8> {
    let information = Packet { code, identifier, data: data.to_vec() }.emit();
    Frame { protocol, information: &information }.emit()
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn every_method_brings_a_session_up() {
    let eap = |eap| Settings { auth: vec![AuthProtocol::Eap], eap, ..Settings::usual() };
    let with = |auth| Settings { auth: vec![auth], ..Settings::usual() };
    for (settings, method) in [
        (with(AuthProtocol::Pap), Method::Pap),
        (with(AuthProtocol::ChapMd5), Method::ChapMd5),
        (with(AuthProtocol::MsChapV1), Method::MsChapV1),
        (with(AuthProtocol::MsChapV2), Method::MsChapV2),
        (eap(Method::EapMd5), Method::EapMd5),
        (eap(Method::EapMsChapV2), Method::EapMsChapV2),
        (Settings { auth: vec![], ..Settings::usual() }, Method::None),
    ] {
        let mut bench = Bench::with(config(SESSION), settings);
        bench.finish();
        let seen = bench.tunnel.seen();
        assert_eq!((seen.failure, seen.method), (None, Some(method)));
        assert_eq!(seen.address, Some(POOL));
        let keys = matches!(method, Method::MsChapV1 | Method::MsChapV2 | Method::EapMsChapV2);
        assert_eq!(matches!(seen.proof, Proof::Proved(_)), keys, "{method}");
        assert_eq!(bench.watch.attempts(), usize::from(method != Method::None));
    }
}

#[test]
fn wrong_password_is_tried_once_whatever_the_method() {
    for auth in [
        AuthProtocol::Pap,
        AuthProtocol::ChapMd5,
        AuthProtocol::MsChapV1,
        AuthProtocol::MsChapV2,
        AuthProtocol::Eap,
    ] {
        let mut config = config(SESSION);
        let credentials = config.link.as_mut().unwrap().credentials.as_mut().unwrap();
        credentials.password = Secret::new(WRONG.to_vec());
        let mut bench = Bench::with(config, Settings { auth: vec![auth], ..Settings::usual() });
        bench.finish();
        let (phase, reason, _) = bench.failure();
        assert_eq!((phase, reason), (Phase::Auth, Reason::AuthRejected));
        assert_eq!(bench.watch.attempts(), 1);
    }
}

#[test]
fn control_session_echoes_and_stops() {
    let mut bench = Bench::new(CONTROL);
    bench.finish();
    let seen = bench.tunnel.seen();
    assert_eq!((seen.failure, seen.control_echoes.len()), (None, 2));
    assert_eq!(seen.start_reply.unwrap().vendor_name, b"linux");
    assert_eq!(bench.watch.messages(), [1, 5, 5, 3], "Start, Echo, Echo, Stop");
    let bench = Bench::new(Goal::Control { echoes: 0 });
    assert_eq!(bench.run().failure, None);
}

#[test]
fn farewell_of_a_session_is_complete_with_either_kind_of_gateway() {
    for (closes_on_clear, messages) in [(true, &[1, 7, 12][..]), (false, &[1, 7, 12, 3])] {
        let settings = Settings { closes_on_clear, ..Settings::usual() };
        let mut bench = Bench::with(config(SESSION), settings);
        bench.finish();
        assert_eq!(bench.watch.messages(), messages);
        assert_eq!(bench.watch.terminates(), 1);
        assert_eq!(bench.tunnel.seen().failure, None);
    }
}

#[test]
fn verdicts_on_gre() {
    let unreachable = Ipv4Addr::new(192, 0, 2, 7);
    let after = "in 4.0 s";
    let inbound = format!(
        "control up, but no GRE came back {after}: gateway's GRE is blocked on the way to us"
    );
    let outbound = "gateway's GRE arrives, but ours stayed unanswered for 4.0 s: \
                    our GRE is blocked on the way to it";

    let mut nothing = Bench::new(LINK);
    nothing.inbound = false;
    nothing.finish();
    assert_eq!(nothing.failure(), (Phase::Gre, Reason::GreInboundSilent, inbound.clone()));
    assert_eq!(nothing.now - nothing.started, PATIENCE, "and pptpd closes at once");

    let mut theirs = Bench::new(LINK);
    theirs.outbound = false;
    theirs.finish();
    assert_eq!(theirs.failure(), (Phase::Gre, Reason::GreOutboundSilent, outbound.to_owned()));

    let mut neither = Bench::new(LINK);
    (neither.inbound, neither.outbound) = (false, false);
    neither.finish();
    assert_eq!(neither.failure(), (Phase::Gre, Reason::GreInboundSilent, inbound));

    let mut refused = Bench::new(LINK);
    refused.outbound = false;
    refused.exchange();
    refused.tunnel.handle_unreachable(2, unreachable, refused.now);
    refused.tunnel.handle_unreachable(1, Ipv4Addr::LOCALHOST, refused.now);
    refused.finish();
    let words = "192.0.2.7 answers our GRE with ICMP protocol unreachable (code 2)".to_owned();
    assert_eq!(refused.failure(), (Phase::Gre, Reason::GreUnreachable, words));
    assert_eq!(refused.tunnel.ended_at(), Some(refused.started + ICMP_GRACE));

    let mut stray = Bench::new(LINK);
    stray.inbound = false;
    stray.exchange();
    for call_id in [7, 7, 8] {
        stray.tunnel.handle_stray(call_id);
    }
    stray.finish();
    let words = "GRE came back under call id 7 instead of 38622".to_owned();
    assert_eq!(stray.failure(), (Phase::Gre, Reason::GreWrongCallId, words));

    let mut mute = Bench::new(LINK);
    mute.inbound = false;
    mute.exchange();
    let acknowledgement = mute.gateway.acknowledgement();
    mute.tunnel.handle_gre_input(&acknowledgement, mute.now);
    mute.finish();
    let words = "GRE works both ways, but the gateway spoke no LCP in 4.0 s".to_owned();
    assert_eq!(mute.failure(), (Phase::Lcp, Reason::Silent, words));
}

#[test]
fn icmp_and_strays_do_no_harm_where_gre_works() {
    let mut bench = Bench::at(LINK, "negotiating LCP");
    bench.tunnel.handle_unreachable(2, Ipv4Addr::LOCALHOST, bench.now);
    bench.tunnel.handle_stray(7);
    assert_eq!(bench.run().failure, None);
}

#[test]
fn gre_under_another_call_id_or_malformed_is_counted_only() {
    let mut bench = Bench::at(LINK, "negotiating LCP");
    let frame = packet(ppp::LCP, Code::ConfigureRequest, 1, &[]);
    let foreign =
        GrePacket { call_id: 7, sequence: Some(0), acknowledgment: None, payload: &frame };
    bench.tunnel.handle_gre_input(&foreign.emit(), bench.now);
    bench.tunnel.handle_gre_input(b"\x30\x01\x08\x00", bench.now);
    let seen = bench.tunnel.seen();
    assert_eq!((seen.gre.wrong_call_id, seen.gre.malformed, seen.gre.received), (1, 1, 0));
    assert_eq!(seen.phase(Phase::Gre), None);
}

#[test]
fn gre_that_overtakes_the_call_reply_is_kept_within_bounds() {
    let mut bench = Bench::at(LINK, "waiting for Outgoing-Call-Reply");
    for transmit in std::mem::take(&mut bench.sent) {
        bench.gateway.handle(&transmit);
    }
    let Some(Reply::Control(reply)) = bench.gateway.poll_reply() else { panic!("no reply") };
    let Some(Reply::Frame(request)) = bench.gateway.poll_reply() else { panic!("no request") };
    for _ in 0..MAX_EARLY + 9 {
        bench.give(&request);
    }
    bench.tunnel.handle_control_input(&reply, bench.now);
    let seen = bench.tunnel.seen();
    assert_eq!(seen.gre.received, MAX_EARLY as u64);
    assert_eq!(seen.proposals, [Some(AuthProtocol::MsChapV2)]);
}

#[test]
fn filter_is_widened_once_when_nothing_comes() {
    let mut bench = Bench::new(LINK);
    bench.inbound = false;
    bench.exchange();
    let half = bench.started + PATIENCE / 4;
    assert!(!bench.tunnel.wants_strays(half - ms(1)));
    assert!(bench.tunnel.wants_strays(half));
    bench.wait(PATIENCE / 4);
    assert!(bench.tunnel.poll_timeout().is_none_or(|at| at > bench.now), "the driver would spin");
    let mut bench = Bench::new(LINK);
    bench.exchange();
    assert!(!bench.tunnel.wants_strays(bench.now + PATIENCE));
}

/// Every stage of a session and how an operator reads that its time was up.
#[test]
fn expiry_names_what_was_waited_for() {
    use Reason::{EchoSilent, GreStopped, LcpNotConverging, Silent};
    let control = "TCP connected, but no Start-Control-Connection-Reply in 3.0 s";
    for (goal, stage, phase, reason, words) in [
        (CONTROL, "waiting for Start-Control-Connection-Reply", Phase::Control, Silent, control),
        (
            CONTROL,
            "waiting for Echo-Reply",
            Phase::Control,
            EchoSilent,
            "still waiting for Echo-Reply after 3.0 s",
        ),
        (
            LINK,
            "waiting for Outgoing-Call-Reply",
            Phase::Call,
            Silent,
            "still waiting for Outgoing-Call-Reply after 3.0 s",
        ),
        (
            LINK,
            "negotiating LCP",
            Phase::Gre,
            Reason::GreInboundSilent,
            "control up, but no GRE came back in 3.0 s: \
             gateway's GRE is blocked on the way to us",
        ),
        (
            LINK,
            "waiting for LCP Echo-Reply",
            Phase::Gre,
            GreStopped,
            "GRE worked and then stopped: none of 4 LCP echoes came back",
        ),
        (
            SESSION,
            "waiting for a challenge",
            Phase::Auth,
            Silent,
            "still waiting for a challenge after 3.0 s",
        ),
        (
            SESSION,
            "waiting for the verdict on our response",
            Phase::Gre,
            GreStopped,
            "GRE worked and then stopped: nothing came for 3.0 s \
             while waiting for the verdict on our response",
        ),
        (
            SESSION,
            "negotiating encryption (CCP)",
            Phase::Gre,
            GreStopped,
            "GRE worked and then stopped: nothing came for 3.0 s \
             while negotiating encryption (CCP)",
        ),
    ] {
        let mut bench = Bench::at(goal, stage);
        (bench.inbound, bench.outbound) = (false, false);
        bench.sent.clear();
        while bench.gateway.poll_reply().is_some() {}
        bench.wait(seconds(3));
        if !bench.tunnel.is_closing() {
            bench.tunnel.expire(bench.now);
            assert!(bench.tunnel.seen().timed_out);
        }
        assert_eq!(bench.failure(), (phase, reason, words.to_owned()), "{stage}");
        bench.finish();
        let ended = bench.tunnel.ended_at().unwrap();
        assert!(bench.now - ended <= FAREWELL * 3, "the farewell is bounded");
    }

    let mut converging = Bench::at(LINK, "negotiating LCP");
    converging.give(&packet(ppp::LCP, Code::ConfigureRequest, 1, &[200, 2]));
    let acknowledgement = converging.gateway.acknowledgement();
    converging.collect();
    converging.sent.clear();
    converging.tunnel.handle_gre_input(&acknowledgement, converging.now);
    let again = packet(ppp::LCP, Code::ConfigureNak, 1, &[5, 6, 1, 2, 3, 4]);
    converging.give(&again);
    converging.tunnel.expire(converging.now + seconds(1));
    let words = "still negotiating LCP after 1.0 s".to_owned();
    assert_eq!(converging.failure(), (Phase::Lcp, LcpNotConverging, words));
}

/// pptpd acknowledges while pppd hangs after its first words.
#[test]
fn gateway_that_answers_no_request_of_ours_is_silent() {
    let mut bench = Bench::at(LINK, "negotiating LCP");
    bench.give(&packet(ppp::LCP, Code::ConfigureRequest, 1, &[]));
    bench.collect();
    for transmit in std::mem::take(&mut bench.sent) {
        bench.gateway.handle(&transmit);
    }
    let acknowledgement = bench.gateway.acknowledgement();
    bench.tunnel.handle_gre_input(&acknowledgement, bench.now);
    bench.tunnel.expire(bench.now + seconds(1));
    let words = "still negotiating LCP after 1.0 s".to_owned();
    assert_eq!(bench.failure(), (Phase::Lcp, Reason::Silent, words));
}

/// What we sent arrives and is acknowledged, but the daemon says no more.
#[test]
fn silence_of_the_daemon_is_not_taken_for_silence_of_gre() {
    for (stage, phase) in [
        ("waiting for a challenge", Phase::Auth),
        ("waiting for the verdict on our response", Phase::Auth),
        ("negotiating encryption (CCP)", Phase::Ccp),
        ("negotiating an address (IPCP)", Phase::Ipcp),
    ] {
        let mut bench = Bench::at(SESSION, stage);
        for _ in 0..12 {
            for transmit in std::mem::take(&mut bench.sent) {
                bench.gateway.handle(&transmit);
            }
            while bench.gateway.poll_reply().is_some() {}
            let acknowledgement = bench.gateway.acknowledgement();
            bench.tunnel.handle_gre_input(&acknowledgement, bench.now);
            bench.now += ms(250);
            bench.tunnel.handle_timeout(bench.now);
            bench.collect();
        }
        bench.tunnel.expire(bench.now);
        let words = format!("still {stage} after 3.0 s");
        assert_eq!(bench.failure(), (phase, Reason::Silent, words));
    }
}

/// accel-ppp sends no acknowledgement alone, but its LCP answers while RADIUS
/// does not.
#[test]
fn gateway_that_acknowledges_with_data_only_is_asked_whether_it_hears_us() {
    let mut bench = Bench::at(SESSION, "waiting for the verdict on our response");
    bench.sent.clear();
    bench.wait(seconds(3));
    bench.tunnel.expire(bench.now);
    let words = "still waiting for the verdict on our response after 3.0 s".to_owned();
    assert_eq!(bench.failure(), (Phase::Auth, Reason::Silent, words));
}

#[test]
fn expiry_while_the_keys_are_being_proved_is_silence_in_the_data_phase() {
    let mut bench = Bench::at(SESSION, "waiting for an encrypted echo");
    bench.tunnel.expire(bench.now + ms(300));
    let words = "still waiting for an encrypted echo after 300 ms".to_owned();
    assert_eq!(bench.failure(), (Phase::Data, Reason::Silent, words));
}

#[test]
fn trickle_of_a_reply_is_told_apart_from_silence() {
    let mut bench = Bench::new(CONTROL);
    bench.tunnel.handle_control_input(b"\x00\x9c\x00", bench.now);
    bench.tunnel.expire(bench.now + seconds(9));
    let words =
        "TCP connected, but no Start-Control-Connection-Reply in 9.0 s, 3 octets of one came";
    assert_eq!(bench.failure(), (Phase::Control, Reason::Silent, words.to_owned()));
}

#[test]
fn unanswered_control_echo_ends_the_wait() {
    let mut bench = Bench::at(CONTROL, "waiting for Echo-Reply");
    bench.sent.clear();
    bench.wait(PATIENCE);
    let words = "gateway left an Echo-Request unanswered for 4.0 s".to_owned();
    assert_eq!(bench.failure(), (Phase::Control, Reason::EchoSilent, words));
    assert!(!bench.tunnel.seen().timed_out);
}

const STAGES: [(Goal, &str); 14] = [
    (CONTROL, "waiting for Start-Control-Connection-Reply"),
    (CONTROL, "waiting for Echo-Reply"),
    (CONTROL, "waiting for Stop-Control-Connection-Reply"),
    (LINK, "waiting for Outgoing-Call-Reply"),
    (LINK, "negotiating LCP"),
    (LINK, "waiting for LCP Echo-Reply"),
    (Goal::Candidate, "negotiating LCP"),
    (SESSION, "waiting for a challenge"),
    (SESSION, "waiting for the verdict on our response"),
    (SESSION, "negotiating encryption (CCP)"),
    (SESSION, "negotiating an address (IPCP)"),
    (SESSION, "waiting for an encrypted echo"),
    (SESSION, "closing the link"),
    (SESSION, "waiting for Call-Disconnect-Notify"),
];

/// From every stage the gateway is left without a session of ours, and no
/// part of the farewell is said twice.
#[test]
fn interrupt_and_abort_say_good_bye_from_every_stage() {
    for (goal, stage) in STAGES {
        for interrupt in [true, false] {
            let mut bench = Bench::at(goal, stage);
            let failure = bench.tunnel.seen().failure;
            let closing = bench.tunnel.is_closing();
            let phase = bench.tunnel.seen().phases.last().map(|&(phase, _)| phase);
            match interrupt {
                true => bench.tunnel.interrupt(bench.now),
                false => bench.tunnel.abort(bench.now),
            }
            assert!(bench.tunnel.is_finished());
            bench.collect();
            let said = bench.watch.messages();
            let count = |kind| said.iter().filter(|&&said| said == kind).count();
            let called = count(7);
            assert_eq!(
                (count(12), count(3)),
                (called, 1),
                "Call-Clear and Stop, {stage}: {said:?}"
            );
            let link = bench.tunnel.link.is_some();
            assert_eq!(bench.watch.terminates(), u32::from(link), "{stage}");
            let after = bench.tunnel.seen().failure;
            if interrupt && !closing {
                let after = after.unwrap();
                assert_eq!(after.reason, Reason::Interrupted);
                assert_eq!(after.detail, format!("interrupted while {stage}"));
                assert!(Some(after.phase) >= phase, "{stage}: {:?} after {phase:?}", after.phase);
                assert_eq!(after.phase == Phase::Control, called == 0, "{stage}");
            } else if closing {
                assert_eq!(after, failure, "what is over stays as it was");
            } else {
                assert!(after.is_some(), "not decided in time, {stage}");
                assert!(bench.tunnel.seen().timed_out && bench.tunnel.ended_at().is_some());
            }
            bench.tunnel.interrupt(bench.now);
            bench.tunnel.abort(bench.now);
            bench.tunnel.expire(bench.now);
            assert_eq!(bench.tunnel.poll_transmit(), None);
        }
    }
}

#[test]
fn expiry_says_good_bye_from_every_stage() {
    for (goal, stage) in STAGES {
        let mut bench = Bench::at(goal, stage);
        let closing = bench.tunnel.is_closing();
        bench.tunnel.expire(bench.now);
        assert!(bench.tunnel.is_closing());
        assert_eq!(bench.tunnel.seen().failure.is_some(), !closing, "{stage}");
        bench.finish();
        let said = bench.watch.messages();
        let farewell = if said.contains(&7) { 12 } else { 3 };
        assert_eq!(said.iter().filter(|&&kind| kind == farewell).count(), 1, "{stage}: {said:?}");
        assert!(bench.now - bench.started <= FAREWELL * 3);
    }
}

#[test]
fn gateway_that_ends_the_call_or_the_connection_ends_the_session() {
    let stop = b"\x00\x10\x00\x01\x1a\x2b\x3c\x4d\x00\x03\0\0\x01\0\0\0";
    for (stage, phase) in [
        ("waiting for Outgoing-Call-Reply", Phase::Call),
        ("negotiating LCP", Phase::Gre),
        ("waiting for a challenge", Phase::Auth),
        ("negotiating encryption (CCP)", Phase::Ccp),
        ("negotiating an address (IPCP)", Phase::Ipcp),
        ("waiting for an encrypted echo", Phase::Data),
    ] {
        let mut bench = Bench::at(SESSION, stage);
        bench.tunnel.handle_control_input(stop, bench.now);
        assert!(bench.tunnel.is_finished());
        let failure = bench.tunnel.seen().failure.unwrap();
        assert_eq!((failure.phase, failure.reason), (phase, Reason::Stopped), "{stage}");

        let mut bench = Bench::at(SESSION, stage);
        bench.tunnel.handle_control_closed(true, bench.now);
        assert!(bench.tunnel.is_finished());
        let failure = bench.tunnel.seen().failure.unwrap();
        assert_eq!((failure.phase, failure.reason), (phase, Reason::Closed), "{stage}");

        let mut notify = vec![0, 148, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 13, 0, 0, 1, 0x80, 1, 0];
        notify.resize(148, 0);
        let mut bench = Bench::at(SESSION, stage);
        bench.tunnel.handle_control_input(&notify, bench.now);
        bench.finish();
        let failure = bench.tunnel.seen().failure.unwrap();
        assert_eq!((failure.phase, failure.reason), (phase, Reason::CallDisconnected), "{stage}");
    }
}

#[test]
fn lost_echoes_are_counted_and_only_all_of_them_are_a_failure() {
    let mut bench = Bench::at(LINK, "waiting for LCP Echo-Reply");
    bench.sent.clear();
    bench.outbound = false;
    bench.wait(ECHO_TIMEOUT - ms(1));
    bench.outbound = true;
    let seen = bench.run();
    assert_eq!((seen.failure, seen.link_echoes_sent, seen.link_echoes.len()), (None, 4, 2));

    let mut bench = Bench::at(LINK, "waiting for LCP Echo-Reply");
    bench.sent.clear();
    bench.outbound = false;
    bench.finish();
    let words = "GRE worked and then stopped: none of 4 LCP echoes came back".to_owned();
    assert_eq!(bench.failure(), (Phase::Gre, Reason::GreStopped, words));
}

#[test]
fn encrypted_echo_is_repeated_until_it_is_answered() {
    let mut bench = Bench::at(SESSION, "waiting for an encrypted echo");
    bench.outbound = false;
    bench.sent.clear();
    // At 10, 30, 70 ms: waits of 10, 20, 40.
    bench.wait(ms(69));
    bench.outbound = true;
    bench.wait(ms(1));
    let sent_at = bench.now;
    bench.finish();
    let seen = bench.tunnel.seen();
    assert_eq!((seen.failure, seen.proof), (None, Proof::Proved(Duration::ZERO)));
    assert_eq!(sent_at - bench.started, ms(70));
}

#[test]
fn gateway_that_answers_no_encrypted_echo_has_not_proved_its_keys() {
    let mut bench = Bench::at(SESSION, "waiting for an encrypted echo");
    bench.outbound = false;
    bench.sent.clear();
    bench.wait(ECHO_TIMEOUT - ms(1));
    assert!(!bench.tunnel.is_closing());
    bench.outbound = true;
    bench.wait(ms(1));
    bench.finish();
    let seen = bench.tunnel.seen();
    assert_eq!((seen.failure, seen.proof), (None, Proof::Silent));
    assert!(seen.phases.iter().all(|&(phase, _)| phase != Phase::Data));
    assert_eq!(bench.tunnel.ended_at(), Some(bench.started + ECHO_TIMEOUT));
}

#[test]
fn other_keys_are_found_out() {
    let mut bench = Bench::at(SESSION, "waiting for an encrypted echo");
    let keys = MasterKeys::from_mschap_v2(b"another", &[7; 24]);
    let mut encryptor = Encryptor::for_server(&keys, STATELESS_128);
    for number in 0..32 {
        let information = encryptor.encrypt(ppp::IPV4, &[number; 40]);
        bench.give(&Frame { protocol: ppp::COMPRESSED, information: &information }.emit());
    }
    let words = "encrypted data cannot be read: the two sides hold different MPPE keys".to_owned();
    assert_eq!(bench.failure(), (Phase::Data, Reason::MppeKeyMismatch, words));
    bench.finish();
}

#[test]
fn answer_to_another_echo_proves_nothing() {
    let mut bench = Bench::at(SESSION, "waiting for an encrypted echo");
    for (reply, identifier, sequence) in [(true, OURS + 1, 0), (true, OURS, 1), (false, OURS, 0)] {
        let payload = &Icmp::Echo { reply, identifier, sequence, data: b"" }.emit();
        let (source, destination, protocol) = (INNER, POOL, PROTOCOL_ICMP);
        let datagram = Datagram { source, destination, protocol, payload }.emit();
        let frame = bench.gateway.datagram(&datagram);
        bench.give(&frame);
        assert_eq!(bench.tunnel.stage(), "waiting for an encrypted echo");
    }
}

/// CCP is torn down and IPCP agreed anew without addresses while the keys are
/// being proved.
#[test]
fn proof_ends_in_time_when_the_gateway_takes_everything_back() {
    for frame in [
        packet(ppp::CCP, Code::TerminateRequest, 9, &[]),
        packet(ppp::IPCP, Code::ConfigureRequest, 9, &[]),
        packet(ppp::LCP, Code::ConfigureRequest, 9, &[]),
    ] {
        let mut bench = Bench::at(SESSION, "waiting for an encrypted echo");
        (bench.inbound, bench.outbound) = (false, false);
        bench.sent.clear();
        bench.give(&frame);
        bench.wait(ECHO_TIMEOUT);
        assert!(bench.tunnel.is_closing());
        assert_eq!(bench.tunnel.seen().proof, Proof::Silent);
        bench.finish();
    }
}

#[test]
fn phases_sum_up_to_the_whole() {
    for goal in [SESSION, Goal::Link { echoes: 0 }, Goal::Control { echoes: 0 }] {
        let mut bench = Bench::new(goal);
        while !bench.tunnel.is_closing() {
            bench.now += ms(7);
            if bench.tunnel.poll_timeout().is_some_and(|at| at <= bench.now) {
                bench.tunnel.handle_timeout(bench.now);
            }
            bench.step();
        }
        let ended = bench.tunnel.ended_at().unwrap();
        let seen = bench.tunnel.seen();
        let sum: Duration = seen.phases.iter().map(|&(_, time)| time).sum();
        assert_eq!(sum, ended - bench.started, "{goal:?}: {:?}", seen.phases);
        assert!(seen.phases.is_sorted_by_key(|&(phase, _)| phase));
    }
}

#[test]
fn flood_of_gre_ends_the_session() {
    let mut bench = Bench::at(LINK, "waiting for LCP Echo-Reply");
    let frame = packet(ppp::LCP, Code::DiscardRequest, 1, &[0; 4]);
    for _ in 0..=FLOOD_BASE {
        bench.give(&frame);
    }
    let (phase, reason, words) = bench.failure();
    assert_eq!((phase, reason), (Phase::Gre, Reason::Flooded));
    let counted = format!("gateway sent {} GRE packets for 4 of ours", FLOOD_BASE + 1);
    assert_eq!(words, counted);
    bench.finish();
}
