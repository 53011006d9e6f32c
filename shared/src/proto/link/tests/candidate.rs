//! Which authentication a gateway would take.

use super::*;

/// What a gateway proposes: first, and after our Nak or Reject to each.
type Proposals = &'static [Option<AuthProtocol>];

/// Runs LCP of a trial; the decision, and how often it was told.
fn trial(candidate: Method, proposals: Proposals, terminates: bool) -> Vec<bool> {
    let auth = AuthPolicy::Candidate(candidate);
    let mut bench = Bench::new(config(Goal::Candidate, auth, "any"));
    let own = RawOption::emit_list(&[RawOption::from(&LcpOption::MagicNumber(MAGIC))]);
    bench.give(ppp::LCP, Code::ConfigureAck, 1, &own);
    let last = proposals.last().into_iter().cycle().take(5);
    for (identifier, proposal) in (1..).zip(proposals.iter().chain(last)) {
        let request = lcp_request(proposal.as_ref());
        let flight = bench.give(ppp::LCP, Code::ConfigureRequest, identifier, &request);
        if flight.contains(&format!("LCP Configure-Ack {identifier}")) {
            break;
        }
    }
    if terminates {
        bench.give(ppp::LCP, Code::TerminateRequest, 9, b"peer refused to authenticate");
    } else {
        bench.give(ppp::IPCP, Code::ConfigureRequest, 1, &ipcp(&[address(1)]));
    }
    let sent = bench.flight();
    assert!(!sent.iter().any(|outline| outline.contains("code")), "never authenticates: {sent:?}");
    bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::CandidateDecided(accepted) => Some(accepted),
            Event::LcpUp => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn candidate_is_taken_or_not() {
    use AuthProtocol::{ChapMd5, Eap, MsChapV2, Pap};
    let cases: [(&str, Method, Proposals, bool, bool); 11] = [
        // pppd that knows nothing else drops what it proposed, goes on
        // without and terminates.
        ("pppd, v2 only, asked for PAP", Method::Pap, &[Some(MsChapV2), None], true, false),
        ("pppd, v2 only, asked for EAP", Method::EapMd5, &[Some(MsChapV2), None], true, false),
        ("pppd, v2 only, asked for none", Method::None, &[Some(MsChapV2), None], true, false),
        ("pppd, v2 only, asked for v2", Method::MsChapV2, &[Some(MsChapV2)], true, true),
        // pppd that takes anything moves to what was suggested, PAP last.
        (
            "pppd, any, asked for PAP",
            Method::Pap,
            &[Some(Eap), Some(ChapMd5), Some(Pap)],
            true,
            true,
        ),
        ("pppd, any, asked for v2", Method::MsChapV2, &[Some(Eap), Some(MsChapV2)], true, true),
        ("pppd, any, asked for none", Method::None, &[Some(Eap), Some(ChapMd5), None], true, false),
        ("gateway without authentication", Method::None, &[None], false, true),
        ("gateway without authentication, asked for PAP", Method::Pap, &[None], false, false),
        ("gateway that gives in", Method::None, &[Some(Pap), None], false, true),
        ("gateway that insists", Method::MsChapV2, &[Some(Pap), Some(Pap)], false, false),
    ];
    for (what, candidate, proposals, terminates, accepted) in cases {
        assert_eq!(trial(candidate, proposals, terminates), [accepted], "{what}");
    }
}
