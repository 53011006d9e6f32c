//! Links that hear anything at any time.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Frames that could come at any time, most of them valid.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop_oneof![
        4 => Just(ppp::LCP),
        2 => Just(ppp::CCP),
        2 => Just(ppp::IPCP),
        1 => Just(ppp::CHAP),
        1 => Just(ppp::PAP),
        1 => Just(ppp::EAP),
        1 => Just(ppp::COMPRESSED),
        1 => Just(ppp::IPV4),
        1 => any::<u16>().prop_map(|n| n & 0xfeff | 1),
    ];
    let options = prop_oneof![
        3 => Just(RawOption::emit_list(&[RawOption::from(&LcpOption::MagicNumber(MAGIC))])),
        2 => Just(lcp_request(Some(&AuthProtocol::MsChapV2))),
        2 => Just(lcp_request(None)),
        2 => prop_oneof![Just(MPPE_128), Just(MPPE_40), any::<u32>()].prop_map(mppe),
        2 => any::<u8>().prop_map(|last| ipcp(&[address(last)])),
        1 => vec(any::<u8>(), 0..40),
    ];
    (protocol, 1..16u8, 0..8u8, options).prop_map(|(protocol, code, identifier, data)| {
        packet(protocol, code.into(), identifier, &data)
    })
}

proptest! {
    #[test]
    fn any_frames_in_any_order_end(
        goal in prop_oneof![Just(Goal::Lcp), Just(Goal::Candidate), Just(Goal::Network)],
        frames in vec(prop_oneof![
            3 => any_frame().prop_map(Ok),
            2 => (0..UP + 2).prop_map(|n| Ok(captured("<")[n].clone())),
            1 => (0..4000u64).prop_map(Err),
        ], 0..40),
    ) {
        let policy = match goal {
            Goal::Lcp => AuthPolicy::Whatever,
            Goal::Candidate => AuthPolicy::Candidate(Method::Pap),
            Goal::Network => AuthPolicy::OneOf(vec![Method::MsChapV2, Method::Pap]),
        };
        let mut bench = Bench::new(config(goal, policy, "any"));
        let mut responses = std::collections::BTreeSet::new();
        let (mut failures, mut authenticated) = (0, false);
        // LCP was negotiated again behind a response, which it made void.
        let mut anew = false;
        for step in frames {
            match step {
                Ok(frame) => bench.link.handle_frame(&frame, bench.now),
                Err(ms) => {
                    bench.now += Duration::from_millis(ms);
                    bench.link.handle_timeout(bench.now);
                }
            }
            let sent = bench.frames();
            prop_assert!(sent.len() <= 10, "{} frames at once", sent.len());
            for octets in sent {
                let frame = Frame::parse(&octets).unwrap();
                let is_request = frame.protocol == ppp::LCP && frame.information[0] == 1;
                anew |= is_request && !responses.is_empty();
                if matches!(frame.protocol, ppp::CHAP | ppp::PAP | ppp::EAP) {
                    responses.insert(frame.information.to_vec());
                }
            }
            let events = bench.events();
            prop_assert!(events.len() <= 10);
            authenticated |= events.iter().any(|event| matches!(event, Event::Authenticated(_)));
            // Who was accepted may be asked again.
            prop_assert!(responses.len() <= 1 + usize::from(anew) || authenticated);
            failures += events.iter().filter(|event| matches!(event, Event::Failed(_))).count();
            prop_assert!(bench.link.poll_timeout().is_none_or(|at| at > bench.now));
        }
        prop_assert!(failures <= 1);
        bench.link.close(bench.now);
        bench.wait_for_ever();
        prop_assert!(bench.link.poll_timeout().is_none());
    }
}
