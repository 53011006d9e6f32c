//! Sessions of this caller with pptpd 1.4.0 and pppd 2.4.9, as captured beside
//! them: each line has the time in seconds since the first, `>` from us or `<`
//! from the gateway, `tcp` or `gre`, and the octets; or `fin` or `rst` where the
//! gateway closed. The captured random numbers are given to the machine again, so it
//! has to say the same, octet for octet.

use super::*;

/// Replays a captured session; all that we say must be what was captured.
fn replay(capture: &str, goal: Goal, auth: AuthPolicy, mppe: &str) -> Seen {
    let lines: Vec<Vec<&str>> =
        capture.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    let said: Vec<Transmit> = lines
        .iter()
        .filter(|fields| fields[1] == ">")
        .map(|fields| match fields[2] {
            "gre" => Transmit::Gre(unhex(fields[3])),
            _ => Transmit::Control(unhex(fields[3])),
        })
        .collect();

    let mut config = config(goal);
    let mut peer_challenge = PEER_CHALLENGE;
    let mut magic = 0;
    for transmit in &said {
        match transmit {
            Transmit::Control(octets) => {
                if let Ok(Message::OutgoingCallRequest(request)) = Message::parse(octets) {
                    config.call_id = request.call_id;
                }
            }
            Transmit::Gre(octets) => match frame_of(octets) {
                Some((ppp::LCP, information)) if magic == 0 => {
                    magic = u32::from_be_bytes(*information.last_chunk().unwrap());
                }
                Some((ppp::CHAP, information)) => {
                    if let Ok(chap::Packet::Response(Valued { value, .. })) =
                        chap::Packet::parse(&information)
                        && let Ok(response) = MsChapV2Response::parse(&value)
                    {
                        peer_challenge = response.peer_challenge;
                    }
                }
                _ => {}
            },
        }
    }
    let link = config.link.as_mut().unwrap();
    link.auth = auth;
    link.mppe = mppe.parse().unwrap();
    link.magic = magic;
    link.peer_challenge = peer_challenge;
    if capture.contains("c2230215003b31ef132c17") {
        link.credentials.as_mut().unwrap().password = Secret::new(WRONG.to_vec());
    }

    let started = Instant::now();
    let mut tunnel = Tunnel::new(config, started);
    let mut sent = Vec::new();
    for fields in lines.iter().filter(|fields| fields[1] == "<") {
        let now = started + Duration::from_secs_f64(fields[0].parse().unwrap());
        while let Some(at) = tunnel.poll_timeout().filter(|&at| at <= now) {
            tunnel.handle_timeout(at);
            sent.extend(std::iter::from_fn(|| tunnel.poll_transmit()));
        }
        match fields[2] {
            "gre" => tunnel.handle_gre_input(&unhex(fields[3]), now),
            "tcp" => tunnel.handle_control_input(&unhex(fields[3]), now),
            closed => tunnel.handle_control_closed(closed == "rst", now),
        }
        sent.extend(std::iter::from_fn(|| tunnel.poll_transmit()));
    }
    for (number, (sent, said)) in sent.iter().zip(&said).enumerate() {
        assert_eq!(sent, said, "number {number}");
    }
    assert_eq!(sent.len(), said.len());
    assert!(tunnel.is_finished());
    tunnel.seen()
}

fn unhex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn all_methods() -> AuthPolicy {
    AuthPolicy::OneOf(Method::ALL[1..].to_vec())
}

#[test]
fn captured_session_with_mschapv2_and_mppe() {
    let capture = include_str!("../captures/mschapv2-mppe-128.txt");
    let seen = replay(capture, SESSION, all_methods(), "any");
    assert_eq!(seen.failure, None);
    assert_eq!(seen.method, Some(Method::MsChapV2));
    assert_eq!(seen.mppe, Some(Some(STATELESS_128)));
    assert!(matches!(seen.proof, Proof::Proved(_)));
    assert_eq!((seen.address, seen.peer_address), (Some(POOL), Some(INNER)));
    assert_eq!(seen.dns, [INNER]);
    assert_eq!(seen.message, b"Access granted");
    assert_eq!(seen.proposals, [Some(AuthProtocol::MsChapV2)]);
    assert_eq!((seen.gre.lost, seen.gre.duplicates, seen.gre.reordered), (0, 0, 0));
    let order = [
        Phase::Control,
        Phase::Call,
        Phase::Gre,
        Phase::Lcp,
        Phase::Auth,
        Phase::Ccp,
        Phase::Ipcp,
        Phase::Data,
    ];
    assert_eq!(seen.phases.iter().map(|&(phase, _)| phase).collect::<Vec<_>>(), order);
}

#[test]
fn captured_sessions_with_the_other_methods() {
    for (capture, method) in [
        (include_str!("../captures/mschapv1.txt"), Method::MsChapV1),
        (include_str!("../captures/chap-md5.txt"), Method::ChapMd5),
        (include_str!("../captures/eap-md5.txt"), Method::EapMd5),
        (include_str!("../captures/pap.txt"), Method::Pap),
    ] {
        let seen = replay(capture, SESSION, all_methods(), "any");
        assert_eq!(seen.failure, None);
        assert_eq!((seen.method, seen.mppe), (Some(method), Some(None)));
        assert_eq!((seen.address, seen.proof), (Some(POOL), Proof::NotTried));
    }
}

#[test]
fn captured_sessions_that_failed() {
    let v2 = || AuthPolicy::OneOf(vec![Method::MsChapV2]);
    for (capture, auth, mppe, phase, reason, words) in [
        (
            include_str!("../captures/wrong-password.txt"),
            v2(),
            "any",
            Phase::Auth,
            Reason::AuthRejected,
            "gateway rejected user probe with mschapv2: E=691 \"Access denied\"",
        ),
        (
            include_str!("../captures/caller-wants-pap.txt"),
            AuthPolicy::OneOf(vec![Method::Pap]),
            "any",
            Phase::Auth,
            Reason::AuthOfferedUnacceptable,
            "gateway asks for mschapv2, allowed here is pap",
        ),
        (
            include_str!("../captures/caller-excludes-mppe.txt"),
            v2(),
            "none",
            Phase::Ccp,
            Reason::MppeRequired,
            "gateway insists on MPPE and terminated the link: \
             MPPE required but peer negotiation failed",
        ),
        (
            include_str!("../captures/caller-wants-40-bit.txt"),
            v2(),
            "40",
            Phase::Ccp,
            Reason::MppeRefused,
            "gateway offers 128 bit stateless MPPE, which is not allowed here",
        ),
        (
            include_str!("../captures/gateway-without-mppe.txt"),
            v2(),
            "128,stateless",
            Phase::Ccp,
            Reason::MppeRefused,
            "gateway refuses MPPE",
        ),
    ] {
        let seen = replay(capture, SESSION, auth, mppe);
        assert_eq!(seen.failure, Some(Failure::new(phase, reason, words)));
    }
}

#[test]
fn captured_link_and_candidates() {
    let seen = replay(
        include_str!("../captures/link-echoes.txt"),
        Goal::Link { echoes: 5 },
        AuthPolicy::Whatever,
        "any",
    );
    assert_eq!((seen.failure, seen.link_echoes_sent, seen.link_echoes.len()), (None, 5, 5));
    for (capture, candidate, taken) in [
        (include_str!("../captures/candidate-none-refused.txt"), Method::None, false),
        (include_str!("../captures/candidate-pap-refused.txt"), Method::Pap, false),
        (include_str!("../captures/candidate-pap-taken.txt"), Method::Pap, true),
    ] {
        let policy = AuthPolicy::Candidate(candidate);
        let seen = replay(capture, Goal::Candidate, policy, "any");
        assert_eq!((seen.candidate, seen.failure), (Some(taken), None));
    }
}
