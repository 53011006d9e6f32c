use std::net::Ipv4Addr;

use pptp_probe::crypto::mppe::KeyLength;
use pptp_probe::probe::tunnel::throughput::Throughput;
use pptp_probe::proto::Failure;
use pptp_probe::proto::mppe::Mode;
use pptp_probe::proto::stack;
use pptp_probe::proto::tunnel::Renegotiated;

use super::*;
use crate::session::tests::{parsed, passed};

mod sizes;

const INNER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
const HOST: &str = "192.168.77.1";

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A session that was up, its keys proved.
fn up() -> Observation {
    let mut seen = passed(&[Phase::Control, Phase::Lcp, Phase::Auth, Phase::Ccp, Phase::Ipcp]);
    seen.address = Some(([192, 0, 2, 1], 1723).into());
    seen.seen.mppe = Some(Some(Mode { length: KeyLength::Bits128, stateless: true }));
    seen.seen.proof = Proof::Proved(ms(1));
    seen.seen.peer_address = Some(INNER);
    seen
}

/// Echoes that were answered (`+`) after so many milliseconds or not (`-`).
fn echoes(fates: &str, rtt: u64) -> Echoes {
    let times: Vec<_> = fates.bytes().map(|fate| (fate == b'+').then(|| ms(rtt))).collect();
    let received = times.iter().flatten().count();
    Echoes { sent: times.len(), received, lost: times.len() - received, times, ..Echoes::default() }
}

fn ping_with(inner: Echoes, outer: &str) -> StepSeen {
    let outer = echoes(outer, 3);
    StepSeen::Ping { host: HOST.into(), address: Ok(INNER), inner, outer }
}

fn ping(inner: &str, outer: &str) -> StepSeen {
    ping_with(echoes(inner, 5), outer)
}

fn keep(kept: u64, inner: &str, outer: &str) -> StepSeen {
    let (wanted, kept) = (ms(10_000), ms(kept));
    StepSeen::Keep { wanted, kept, inner: echoes(inner, 5), outer: echoes(outer, 3) }
}

fn name(failure: Option<(Reason, &str)>) -> StepSeen {
    let seen = DnsSeen {
        addresses: failure.is_none().then_some(INNER).into_iter().collect(),
        canonical_name: None,
        rcode: None,
        server: Some(INNER),
        round_trip: None,
        time: ms(7),
        tries: 1,
        ignored: 0,
        truncated: false,
        failure: failure.map(|(reason, text)| (reason, text.into())),
    };
    StepSeen::Name("www.lab".parse().unwrap(), seen)
}

fn connect(outcome: Result<u64, (Reason, &str)>) -> StepSeen {
    let outcome = outcome.map(|millis| (ms(millis), 1_360));
    StepSeen::Connect(
        "192.168.77.1:80".parse().unwrap(),
        outcome.map_err(|(reason, text)| (reason, text.into())),
    )
}

fn page(change: impl FnOnce(&mut WebSeen)) -> StepSeen {
    let mut seen = WebSeen::new("http://192.168.77.1/".parse().unwrap());
    seen.step = WebStep::Body;
    (seen.status, seen.body, seen.time, seen.first_byte_time) = (Some(200), 70, ms(9), Some(ms(6)));
    change(&mut seen);
    StepSeen::Page(Box::new(seen))
}

fn page_failed(step: WebStep, reason: Reason, text: &str) -> StepSeen {
    page(|seen| (seen.step, seen.failure) = (step, Some((reason, text.into()))))
}

fn moved(octets: u64, failure: Option<(Reason, &str)>) -> BulkSeen {
    let failure = failure.map(|(reason, text)| (reason, text.into()));
    let (first_octet_time, peer_mss) = (None, None);
    let moved = Throughput { octets, time: ms(1_000), first_octet_time, peer_mss, failure };
    BulkSeen { moved, limit: Limit::Window }
}

fn found(steps: Vec<StepSeen>) -> Found {
    let steps = steps.into_iter().map(|seen| Step { time: ms(1), seen }).collect();
    Found { steps, ..Found::default() }
}

fn judged(arguments: &str, seen: &Observation, found: &Found) -> Report {
    let (_, context) = parsed::<TunnelArgs>(&format!("-u probe {arguments}"));
    report(&context, seen, found)
}

/// State, phase and reason, and the headline.
fn line(report: &Report) -> (State, Option<(Phase, Reason)>, String) {
    let verdict = report.verdict().map(|verdict| (verdict.phase, verdict.reason));
    (report.state(), verdict, report.headline().into_owned())
}

fn mend(report: &Report) -> String {
    report.verdict().map(|verdict| verdict.mend.clone()).unwrap_or_default()
}

const TEN: &str = "++++++++++";

/// One step of a session that was up: what it means.
#[test]
fn every_step_has_its_verdict() {
    use Reason::{
        Closed, DnsFailed, GreLossy, GreStopped, HttpFailed, InnerDuplicated, InnerLossy,
        InnerReordered, InnerSilent, Local, NameNotFound, Refused, Silent, TlsFailed,
    };
    let ok = |seen, text: &str| (seen, State::Ok, None, text.to_owned());
    let not = |seen, state, phase, reason, text: &str| {
        (seen, state, Some((phase, reason)), text.to_owned())
    };
    let bad = |seen, reason, text: &str| not(seen, State::Critical, Phase::Data, reason, text);
    let warn = |seen, reason, text: &str| not(seen, State::Warning, Phase::Data, reason, text);
    let refused = Echoes {
        refusals: vec![(Answer::Unreachable { from: INNER, code: 1 }, 10)],
        ..echoes("----------", 5)
    };
    let too_big = Echoes {
        refusals: vec![(Answer::TooBig { from: INNER, mtu: 1_000 }, 10)],
        ..echoes("----------", 5)
    };
    let twice = Echoes { duplicates: 10, ..echoes(TEN, 5) };
    let mixed = Echoes { reordered: 5, ..echoes(TEN, 5) };
    let nobody = StepSeen::Ping {
        host: "www.lab".into(),
        address: Err((DnsFailed, "no such name".into())),
        inner: Echoes::default(),
        outer: Echoes::default(),
    };
    let bulk = |down, up| StepSeen::Bulk { down, up };
    let rows = [
        ok(ping(TEN, TEN), "echo 5.0 ms (outside 3.0 ms), 0 lost"),
        ok(ping("+++++-++++", "++-+++++++"), "echo 5.0 ms (outside 3.0 ms), 1 lost"),
        ok(ping_with(Echoes { duplicates: 1, reordered: 1, ..echoes(TEN, 5) }, TEN), "echo 5.0 ms"),
        bad(ping("", ""), InnerSilent, "no echo to 192.168.77.1 could be sent in time"),
        bad(nobody, DnsFailed, "no such name"),
        not(
            ping("----------", "----------"),
            State::Critical,
            Phase::Gre,
            GreStopped,
            "GRE worked and then stopped: neither echoes inside nor LCP echoes came back",
        ),
        not(
            ping("++++------", "+++++-----"),
            State::Critical,
            Phase::Gre,
            GreStopped,
            "GRE worked and then stopped: the last 5 of 10 LCP echoes and the last 6 of 10 echoes \
             inside were lost",
        ),
        not(
            ping("+--+++++++", "+++--+++++"),
            State::Warning,
            Phase::Gre,
            GreLossy,
            "2 of 10 echoes inside and 2 of 10 LCP echoes were lost: the path loses GRE",
        ),
        bad(
            ping_with(refused, TEN),
            InnerSilent,
            "192.168.77.1 says inside the tunnel: 192.168.77.1 host unreachable",
        ),
        bad(
            ping_with(too_big, TEN),
            InnerSilent,
            "192.168.77.1 says inside the tunnel: 192.168.77.1 fragmentation needed",
        ),
        bad(
            ping("----------", TEN),
            InnerSilent,
            "none of 10 echoes to 192.168.77.1 came back, while LCP echoes do",
        ),
        bad(
            ping("+++++-----", TEN),
            InnerSilent,
            "192.168.77.1 answered and then stopped: the last 5 of 10 echoes inside were lost, \
             while LCP echoes come back",
        ),
        warn(
            ping("+-+-++++++", TEN),
            InnerLossy,
            "2 of 10 echoes inside were lost, 0 of 10 outside",
        ),
        warn(ping("+--+------", TEN), InnerLossy, "8 of 10 echoes inside were lost"),
        warn(ping_with(twice, TEN), InnerDuplicated, "10 of 10 echoes inside came back twice"),
        warn(ping_with(mixed, TEN), InnerReordered, "5 of 10 echoes inside came out of order"),
        ok(keep(10_000, TEN, TEN), "kept 10.0 s"),
        warn(keep(10_000, "+-+-++++++", TEN), InnerLossy, "2 of 10 echoes inside were lost"),
        bad(keep(10_000, "---", "+++"), InnerSilent, "none of 3 echoes to 192.168.77.1 came back"),
        not(
            keep(10_000, "", "---"),
            State::Critical,
            Phase::Gre,
            GreStopped,
            "GRE worked and then stopped: neither echoes inside nor LCP echoes came back",
        ),
        ok(keep(10_000, "", TEN), "kept 10.0 s"),
        bad(keep(4_000, "++++", "++++"), Silent, "kept for 4.0 s of 10.0 s, 0 of 4 echoes lost"),
        ok(name(None), "www.lab resolves"),
        bad(name(Some((NameNotFound, "no such name"))), DnsFailed, "no such name"),
        ok(connect(Ok(3)), "192.168.77.1:80 connects"),
        bad(connect(Err((Refused, "refused"))), Refused, "through the tunnel: refused"),
        ok(page(|_| ()), "http://192.168.77.1/ in 9.0 ms"),
        ok(page(|seen| seen.status = Some(302)), "http://192.168.77.1/ in 9.0 ms"),
        bad(page(|seen| seen.status = Some(500)), HttpFailed, "http://192.168.77.1/ answers 500"),
        bad(page(|seen| seen.status = Some(199)), HttpFailed, "http://192.168.77.1/ answers 199"),
        bad(
            page(|seen| seen.string_found = Some(false)),
            HttpFailed,
            "http://192.168.77.1/ does not hold the text of --expect-string",
        ),
        bad(
            page(|seen| seen.regex_found = Some(false)),
            HttpFailed,
            "http://192.168.77.1/ does not match --expect-regex",
        ),
        bad(page_failed(WebStep::Dns, Silent, "x"), DnsFailed, "through the tunnel: x"),
        bad(page_failed(WebStep::Connect, Silent, "x"), Silent, "through the tunnel: x"),
        bad(page_failed(WebStep::Tls, Closed, "x"), TlsFailed, "through the tunnel: x"),
        bad(page_failed(WebStep::Request, Silent, "x"), HttpFailed, "through the tunnel: x"),
        bad(page_failed(WebStep::Body, Closed, "x"), HttpFailed, "through the tunnel: x"),
        not(
            page_failed(WebStep::Tls, Local, "x"),
            State::Unknown,
            Phase::Data,
            Local,
            "through the tunnel: x",
        ),
        ok(bulk(moved(2_500_000, None), None), "2.5 MB/s down"),
        ok(bulk(moved(250_000, None), Some(moved(70_000, None))), "250 kB/s down, 70 kB/s up"),
        not(
            bulk(moved(70, None), None),
            State::Unknown,
            Phase::Data,
            Local,
            "only 70 octets came down: too few to tell a rate",
        ),
        bad(
            bulk(moved(0, Some((Silent, "x"))), None),
            Silent,
            "throughput down through the tunnel: x",
        ),
        bad(
            bulk(moved(9, None), Some(moved(0, Some((Refused, "x"))))),
            Refused,
            "throughput up through the tunnel: x",
        ),
    ];
    for (step, state, verdict, text) in rows {
        let shown = format!("{step:?}");
        let report = judged("-t 30", &up(), &found(vec![step]));
        let (seen_state, seen_verdict, headline) = line(&report);
        assert_eq!((seen_state, seen_verdict), (state, verdict), "{headline}: {shown}");
        assert!(headline.contains(&text), "{headline}: no '{text}'");
        assert!(headline.is_ascii(), "{headline}");
        let ends = headline.ends_with("; MPPE 128 bit stateless");
        assert_eq!(ends, state == State::Ok, "{headline}");
        assert_eq!(report.subs().len(), 1);
    }
}

#[test]
fn failure_of_the_session_goes_before_its_steps() {
    let mut seen = up();
    let failure = |reason| Some(Failure::new(Phase::Data, reason, "it broke"));
    let steps = found(vec![ping("----------", "----------"), keep(4_000, "++++", "++++")]);
    for (reason, timed_out, state) in [
        (Reason::Closed, false, State::Critical),
        (Reason::Interrupted, false, State::Unknown),
        (Reason::Silent, true, State::Warning),
    ] {
        (seen.seen.failure, seen.seen.timed_out) = (failure(reason), timed_out);
        let report = judged("-t 30:warning", &seen, &steps);
        // Steps can be worse than what the operator wants of a timeout.
        let verdict = Some((Phase::Data, reason));
        assert_eq!(line(&report), (State::Critical, verdict, "it broke".to_owned()));
        assert_eq!(judged("-t 30:warning", &seen, &found(vec![])).state(), state);
        assert_eq!(report.subs()[1].verdict().unwrap().reason, reason, "the end of --keep");
    }
    let mut early = passed(&[Phase::Control]);
    early.seen.failure = Some(Failure::new(Phase::Call, Reason::CallRefused, "busy"));
    let (state, verdict, _) = line(&judged("", &early, &found(vec![])));
    assert_eq!((state, verdict), (State::Critical, Some((Phase::Call, Reason::CallRefused))));
    let (state, verdict, _) = line(&judged("", &passed(&[Phase::Control]), &found(vec![])));
    assert_eq!((state, verdict), (State::Unknown, Some((Phase::Ipcp, Reason::Internal))));
}

#[test]
fn keys_are_blamed_on_whose_doing_they_are() {
    let mut seen = up();
    let text = "cannot be read";
    seen.seen.failure = Some(Failure::new(Phase::Data, Reason::MppeKeyMismatch, text));
    assert_eq!(mend(&judged("", &seen, &found(vec![]))), OUT_OF_STEP);
    seen.seen.proof = Proof::NotTried;
    assert_eq!(mend(&judged("", &seen, &found(vec![]))), Reason::MppeKeyMismatch.mend());
    // Nothing says that the keys agree, and nothing comes back.
    let silent = found(vec![ping("----------", TEN)]);
    let mut seen = up();
    seen.seen.proof = Proof::Silent;
    let report = judged("-v", &seen, &silent);
    let text = "none of 10 encrypted echoes to 192.168.77.1 came back, while LCP echoes do: MPPE \
                keys differ, or it answers no ping";
    let verdict = Some((Phase::Data, Reason::MppeKeyMismatch));
    assert_eq!(line(&report), (State::Critical, verdict, text.to_owned()));
    let not_proved = "so the MPPE keys are not proved";
    assert!(report.details().iter().any(|(_, text)| text.contains(not_proved)));
    // Something could be read, or there are no keys.
    let mut read = seen.clone();
    read.seen.link.decrypted = 1;
    let mut clear = seen;
    clear.seen.mppe = Some(None);
    for seen in [read, clear] {
        let report = judged("-v", &seen, &silent);
        assert_eq!(line(&report).1, Some((Phase::Data, Reason::InnerSilent)));
        assert!(!report.details().iter().any(|(_, text)| text.contains(not_proved)));
    }
}

#[test]
fn what_comes_instead_of_answers_is_named() {
    let stray = stack::Counters::default();
    for (stray, what) in [
        (stack::Counters { fragments: 20, ..stray }, "IP fragments come"),
        (stack::Counters { bad_checksum: 10, ..stray }, "packets with wrong checksums come"),
        (stack::Counters { foreign: 10, ..stray }, "packets for other addresses come"),
    ] {
        let silent = found(vec![ping("----------", TEN)]);
        let report = judged("", &up(), &Found { stray, ..silent });
        let text = format!("none of 10 echoes to 192.168.77.1 came back, instead {what}");
        let verdict = Some((Phase::Data, Reason::InnerSilent));
        assert_eq!(line(&report), (State::Critical, verdict, text));
        assert_ne!(mend(&report), Reason::InnerSilent.mend());
        let well = found(vec![ping(TEN, TEN)]);
        let report = judged("", &up(), &Found { stray, ..well });
        assert_eq!(report.state(), State::Ok);
        assert!(report.details().iter().any(|(_, text)| text.starts_with("ignored inside: ")));
    }
}

#[test]
fn what_a_renegotiation_costs_is_no_loss() {
    let steps = found(vec![ping("++---+++++", "++--++++++")]);
    assert_eq!(line(&judged("", &up(), &steps)).1, Some((Phase::Gre, Reason::GreLossy)));
    for again in [
        Renegotiated { lcp: 1, ..Renegotiated::default() },
        Renegotiated { ccp: 1, ..Renegotiated::default() },
        Renegotiated { ipcp: 1, ..Renegotiated::default() },
    ] {
        let mut seen = up();
        seen.seen.renegotiated = again;
        let report = judged("", &seen, &steps);
        assert_eq!(line(&report).0, State::Ok, "{again:?}");
        let metric = report.metrics().iter().find(|metric| metric.label() == "renegotiated");
        assert_eq!(metric.map(Metric::value), Some(1.0));
        let told = |part: &str| report.details().iter().any(|(_, text)| text.contains(part));
        assert!(told("gateway negotiated again"));
        // A second gap is not its doing.
        let steps = found(vec![ping("+--+---+++", TEN)]);
        let verdict = Some((Phase::Data, Reason::InnerLossy));
        assert_eq!(line(&judged("", &seen, &steps)).1, verdict);
    }
    let mut seen = up();
    seen.seen.link.resets = 20;
    let report = judged("", &seen, &steps);
    let text =
        "gateway asked 20 times for fresh MPPE tables (CCP Reset-Request): it misses packets";
    assert!(report.details().iter().any(|(_, told)| told == text));
}

#[test]
fn worst_step_is_the_verdict_and_the_first_of_equals() {
    let lossy = || ping("+-+-++++++", TEN);
    let refused = |place| match connect(Err((Reason::Refused, place))) {
        StepSeen::Connect(_, outcome) => StepSeen::Connect(place.parse().unwrap(), outcome),
        other => other,
    };
    let steps = vec![lossy(), refused("192.168.77.1:81"), refused("192.168.77.1:82"), name(None)];
    let report = judged("", &up(), &found(steps));
    let text = "through the tunnel: 192.168.77.1:81".to_owned();
    let verdict = Some((Phase::Data, Reason::Refused));
    assert_eq!(line(&report), (State::Critical, verdict, text));
    assert_eq!(mend(&report), SERVICE, "not that of the gateway's own port");
    let unreached = found(vec![page_failed(WebStep::Connect, Reason::Silent, "x")]);
    assert_eq!(mend(&judged("", &up(), &unreached)), SERVICE);
    let late = || page_failed(WebStep::Body, Reason::Silent, "x");
    assert_eq!(mend(&judged("", &up(), &found(vec![late()]))), Reason::HttpFailed.mend());
    let behind_loss = found(vec![ping(TEN, "+-+-++++++"), late()]);
    assert_eq!(mend(&judged("", &up(), &behind_loss)), Reason::GreLossy.mend());
    let steps = vec![lossy(), page_failed(WebStep::Tls, Reason::Local, "x")];
    assert_eq!(judged("", &up(), &found(steps)).state(), State::Warning);
}

#[test]
fn time_that_was_up_is_told_with_the_state_the_operator_chose() {
    let untried = Found { untried: 2, ..found(vec![ping(TEN, TEN)]) };
    let verdict = Some((Phase::Data, Reason::Silent));
    let report = judged("-t 30:unknown", &up(), &untried);
    let text = "time was up with 2 steps inside not begun".to_owned();
    assert_eq!(line(&report), (State::Unknown, verdict, text));
    assert_eq!(mend(&report), TIME_UP);
    let report = judged("-t 30:warning", &up(), &found(vec![keep(4_000, "++++", "++++")]));
    assert_eq!((line(&report).0, line(&report).1), (State::Warning, verdict));
    assert_eq!(mend(&report), TIME_UP);
}

#[test]
fn range_of_a_step_is_judged_and_gre_is_looked_at_last() {
    let steps = found(vec![ping(TEN, TEN)]);
    let report = judged("-w 0.001 -c 0.004", &up(), &steps);
    let verdict = Some((Phase::Done, Reason::Threshold));
    assert_eq!((line(&report).0, line(&report).1), (State::Critical, verdict));
    assert_eq!(report.headline(), "ping: rtt is 0.005 s, above 0.004 s");
    let mut seen = up();
    seen.seen.gre.received = 40;
    for (reordered, duplicates, reason) in
        [(2, 0, Reason::GreReordered), (0, 2, Reason::GreDuplicated)]
    {
        (seen.seen.gre.reordered, seen.seen.gre.duplicates) = (reordered, duplicates);
        let (state, verdict, _) = line(&judged("", &seen, &steps));
        assert_eq!((state, verdict), (State::Warning, Some((Phase::Gre, reason))));
        let lossy = found(vec![ping("+-+-++++++", TEN)]);
        let verdict = Some((Phase::Data, Reason::InnerLossy));
        assert_eq!(line(&judged("", &seen, &lossy)).1, verdict);
    }
}

#[test]
fn session_that_did_nothing_says_that_it_was_up() {
    let mut seen = up();
    seen.seen.mppe = Some(None);
    let report = judged("--count 0", &seen, &found(vec![]));
    let text = "through 192.0.2.1: session up; no encryption".to_owned();
    assert_eq!(line(&report), (State::Ok, None, text));
}
