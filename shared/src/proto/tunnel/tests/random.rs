//! Sessions over a path that loses and swaps packets, and with gateways that
//! say anything at any time.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Pseudo-random numbers from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn chance(&mut self, percent: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 100 < percent
    }
}

/// Runs a session over a path that loses and swaps GRE packets; the gateway
/// says again every three seconds what was not answered. What was seen, the
/// attempts that were one too many, and how long it took.
fn lossy(goal: Goal, settings: Settings, seed: u64, percent: u64) -> (Seen, usize, Duration) {
    let mut dice = Dice(seed | 1);
    let mut bench = Bench::with(config(goal), settings);
    let mut repeat_at = bench.now + seconds(3);
    let mut late: Option<Vec<u8>> = None;
    for _ in 0..2_000 {
        if bench.now - bench.started >= seconds(60) {
            bench.tunnel.expire(bench.now);
        }
        bench.collect();
        if bench.tunnel.is_finished() {
            break;
        }
        for transmit in std::mem::take(&mut bench.sent) {
            if matches!(transmit, Transmit::Control(_)) || !dice.chance(percent) {
                bench.gateway.handle(&transmit);
            }
        }
        match bench.gateway.poll_reply() {
            Some(Reply::Control(octets)) => bench.tunnel.handle_control_input(&octets, bench.now),
            Some(Reply::Close) => bench.tunnel.handle_control_closed(false, bench.now),
            Some(Reply::Frame(frame)) => {
                let octets = bench.gateway.wrap(&frame);
                if dice.chance(percent) {
                    continue;
                }
                if late.is_none() && dice.chance(percent) {
                    late = Some(octets);
                    continue;
                }
                bench.watch.received(&octets);
                bench.tunnel.handle_gre_input(&octets, bench.now);
                if let Some(octets) = late.take() {
                    bench.watch.received(&octets);
                    bench.tunnel.handle_gre_input(&octets, bench.now);
                }
            }
            None => {
                let due = bench.tunnel.poll_timeout().map_or(repeat_at, |at| at.min(repeat_at));
                if due == repeat_at {
                    bench.now = repeat_at;
                    repeat_at += seconds(3);
                    bench.gateway.repeat();
                }
                if bench.tunnel.poll_timeout().is_some_and(|at| at <= due) {
                    bench.timeout(due);
                }
            }
        }
    }
    assert!(bench.tunnel.is_finished(), "no end while {}", bench.tunnel.stage());
    (bench.tunnel.seen(), too_many(&bench.watch), bench.now - bench.started)
}

/// Attempts beyond the one of a run, or the two where LCP was opened anew.
fn too_many(watch: &Watch) -> usize {
    watch.attempts().saturating_sub(1 + usize::from(watch.opened_anew()))
}

proptest! {
    #[test]
    fn lossy_path_ends_and_never_costs_an_attempt_too_many(
        seed in any::<u64>(),
        percent in 0..15u64,
        goal in prop_oneof![Just(SESSION), Just(LINK), Just(Goal::Candidate)],
        auth in prop_oneof![
            Just(AuthProtocol::Pap),
            Just(AuthProtocol::ChapMd5),
            Just(AuthProtocol::MsChapV2),
            Just(AuthProtocol::Eap),
        ],
    ) {
        let settings = Settings { auth: vec![auth], ..Settings::usual() };
        let (seen, too_many, took) = lossy(goal, settings, seed, percent);
        prop_assert_eq!(too_many, 0);
        prop_assert!(took < seconds(64));
        if let Some(failure) = seen.failure {
            let blamed = matches!(
                failure.reason,
                Reason::Silent
                    | Reason::GreStopped
                    | Reason::GreInboundSilent
                    | Reason::GreOutboundSilent
            );
            prop_assert!(blamed, "{failure:?}");
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// Lets the gateway say this many things.
    Answer(usize),
    /// The next frame of the gateway with an octet changed.
    Spoil(usize, u8),
    /// Loses what we said.
    Lose,
    Control(Vec<u8>),
    Gre(Vec<u8>),
    /// A PPP frame in the gateway's next GRE packet.
    Frame(Vec<u8>),
    Wait(u64),
    Repeat,
    Unreachable,
    Stray(u16),
}

fn op() -> impl Strategy<Value = Op> {
    let protocol = prop_oneof![
        Just(ppp::LCP),
        Just(ppp::CCP),
        Just(ppp::IPCP),
        Just(ppp::PAP),
        Just(ppp::CHAP),
        Just(ppp::EAP),
        Just(ppp::COMPRESSED),
        Just(ppp::IPV4),
        Just(ppp::IPV6CP),
    ];
    let data = prop_oneof![
        Just(Vec::new()),
        vec(any::<u8>(), 0..24),
        Just(vec![5, 6, 0xdf, 0x5e, 0x81, 0xdb]),
        Just(vec![18, 6, 1, 0, 0, 0x40]),
        Just(vec![3, 6, 192, 168, 77, 10]),
        Just(vec![3, 5, 0xc2, 0x23, 0x81]),
        Just(vec![0x80, 0xfd, 1, 1, 0, 4]),
    ];
    let frame =
        (protocol, 0..16u8, 0..12u8, data).prop_map(|(protocol, code, identifier, data)| {
            packet(protocol, code.into(), identifier, &data)
        });
    prop_oneof![
        8 => (1..8usize).prop_map(Op::Answer),
        2 => (0..40usize, any::<u8>()).prop_map(|(at, mask)| Op::Spoil(at, mask)),
        1 => Just(Op::Lose),
        1 => vec(any::<u8>(), 0..40).prop_map(Op::Control),
        1 => vec(any::<u8>(), 0..40).prop_map(Op::Gre),
        4 => frame.prop_map(Op::Frame),
        2 => (0..2_500u64).prop_map(Op::Wait),
        1 => Just(Op::Repeat),
        1 => Just(Op::Unreachable),
        1 => any::<u16>().prop_map(Op::Stray),
    ]
}

proptest! {
    #[test]
    fn any_gateway_is_survived(
        goal in prop_oneof![
            3 => Just(SESSION),
            1 => Just(LINK),
            1 => Just(CONTROL),
            1 => Just(Goal::Candidate),
        ],
        auth in prop_oneof![
            3 => Just(AuthProtocol::MsChapV2),
            1 => Just(AuthProtocol::Pap),
            1 => Just(AuthProtocol::ChapMd5),
            1 => Just(AuthProtocol::Eap),
        ],
        ops in vec(op(), 0..30),
    ) {
        let settings = Settings { auth: vec![auth], ..Settings::usual() };
        let mut bench = Bench::with(config(goal), settings);
        for op in ops {
            match op {
                Op::Answer(count) => {
                    for _ in 0..count {
                        bench.step();
                    }
                }
                Op::Spoil(at, mask) => {
                    bench.collect();
                    for transmit in std::mem::take(&mut bench.sent) {
                        bench.gateway.handle(&transmit);
                    }
                    match bench.gateway.poll_reply() {
                        Some(Reply::Control(mut octets)) => {
                            let length = octets.len();
                            octets[at % length] ^= mask;
                            bench.tunnel.handle_control_input(&octets, bench.now);
                        }
                        Some(Reply::Frame(mut frame)) => {
                            let length = frame.len();
                            frame[at % length] ^= mask;
                            bench.give(&frame);
                        }
                        Some(Reply::Close) => bench.tunnel.handle_control_closed(true, bench.now),
                        None => {}
                    }
                }
                Op::Lose => {
                    bench.collect();
                    bench.sent.clear();
                }
                Op::Control(octets) => bench.tunnel.handle_control_input(&octets, bench.now),
                Op::Gre(octets) => bench.tunnel.handle_gre_input(&octets, bench.now),
                Op::Frame(frame) => bench.give(&frame),
                Op::Wait(time) => {
                    bench.now += ms(time);
                    bench.timeout(bench.now);
                }
                Op::Repeat => bench.gateway.repeat(),
                Op::Unreachable => {
                    bench.tunnel.handle_unreachable(2, Ipv4Addr::LOCALHOST, bench.now);
                }
                Op::Stray(call_id) => bench.tunnel.handle_stray(call_id),
            }
            let queued = bench.tunnel.transmits.len();
            prop_assert!(queued <= 64, "{queued} packets at once");
            bench.collect();
            let seen = bench.tunnel.seen();
            prop_assert!(too_many(&bench.watch) == 0 || seen.method.is_some());
        }
        let attempts = bench.watch.attempts();
        bench.tunnel.expire(bench.now);
        bench.finish();
        prop_assert!(bench.tunnel.ended_at().is_some());
        prop_assert!(bench.watch.attempts() <= attempts.max(1));
        bench.tunnel.abort(bench.now);
        prop_assert!(bench.tunnel.poll_transmit().is_none());
    }
}
