//! Callers that ask for too much, or read too slowly.

use super::*;

#[test]
fn slow_reader_is_reset() {
    let mut caller = Caller::new("", &["tcp-trickle=1000"]);
    caller.control(&start_request());
    for _ in 0..400 {
        caller.control(&echo_request("00000001"));
    }
    assert_eq!(caller.end, Some(Transmit::ResetControl));
}

#[test]
fn queues_stay_bounded_whatever_is_asked() {
    let mut caller = Caller::new("auth = \"none\"", &["delay=lcp:100000"]);
    caller.call();
    for _ in 0..5_000 {
        caller.frame(&hex("c0210907000ce2a4830e01020304"));
        caller.frame(&hex(LCP_REQUEST));
    }
    let call = caller.session.call.as_ref().unwrap();
    assert!(call.late.len() <= GRE_QUEUE);
    assert!(caller.session.log.len() <= LOG_LINES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_octets_never_panic(
        control in proptest::collection::vec(any::<u8>(), 0..400),
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..40),
        protocols in proptest::collection::vec(0usize..9, 40),
        fault in 0usize..10,
    ) {
        let faults = [
            "delay=lcp:3", "gre-reordered", "lcp-loop", "tcp-one-octet", "gre-lost-after=5",
            "lcp-never-converging", "wrong-mppe-key", "accept-any", "ipcp-refused", "gre-duplicated",
        ];
        let known = ["c021", "c023", "c223", "c227", "80fd", "8021", "21", "fd", "8057"];
        let mut caller = Caller::new("mppe = \"optional\"\nauth = \"eap-md5,pap\"", &[faults[fault]]);
        caller.control(&start_request());
        caller.control(&call_request());
        for (frame, protocol) in frames.iter().zip(&protocols) {
            caller.frame(&[&hex(known[*protocol])[..], frame].concat());
            caller.session.handle_gre_input(frame, caller.now);
            caller.session.handle_gre_input(&caller.datagram(frame), caller.now);
            caller.wait(7);
        }
        caller.control(&control);
        caller.wait(40_000);
    }
}
