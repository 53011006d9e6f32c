//! What the search for the largest packet means.

use pptp_probe::probe::tunnel::path_mtu::Directions;

use super::*;

fn exact(octets: usize) -> Option<Bound> {
    Some(Bound { octets, exact: true })
}

fn at_least(octets: usize) -> Option<Bound> {
    Some(Bound { octets, exact: false })
}

fn all_pass(octets: usize) -> path_mtu::Found {
    path_mtu::Found { largest: Some(octets), ..path_mtu::Found::default() }
}

fn hole(octets: usize) -> path_mtu::Found {
    path_mtu::Found { exact: true, black_hole: true, ..all_pass(octets) }
}

/// Ethernet, and a gateway that sends 40 octets more than fit whole.
fn clean() -> PathMtu {
    let whole = Directions { both: exact(1456), up: exact(1459), down: exact(1456) };
    PathMtu {
        negotiated: 1496,
        whole,
        fragmented: all_pass(1496),
        reassembled: true,
        to_host: Some(all_pass(1496)),
    }
}

/// State, reason and first line.
fn mtu(seen: PathMtu) -> (State, Option<Reason>, String) {
    let (_, context) = parsed::<TunnelArgs>("-u probe --mtu -t 10:unknown");
    let step = Step { time: Duration::from_secs(1), seen: StepSeen::PathMtu(seen) };
    let found = Found { steps: vec![step], ..Found::default() };
    let observation = passed(&[Phase::Ipcp]);
    let judge = Judge { context: &context, seen: &observation, found: &found };
    let sub = judge.sub(&found.steps[0]);
    let report = judge.verdict(std::slice::from_ref(&sub));
    assert_eq!(report.state(), sub.state());
    let reason = sub.verdict().map(|verdict| verdict.reason);
    (sub.state(), reason, sub.headline().into_owned())
}

#[test]
fn ok_where_larger_packets_pass_in_fragments_and_says_what_to_set() {
    let (state, _, text) = mtu(clean());
    assert_eq!(state, State::Ok);
    assert_eq!(
        text,
        "1459 octets pass whole up, 1456 down; larger ones, up to 1496 as LCP allows, \
         only in fragments (seen from the gateway): set MRU 1456, MSS clamp 1416; \
         1496 reach the host"
    );
}

#[test]
fn ok_without_advice_where_all_that_lcp_allows_passes_whole() {
    let all = at_least(1396);
    let whole = Directions { both: all, up: all, down: all };
    let fragmented = all_pass(1396);
    let seen = PathMtu { negotiated: 1396, whole, fragmented, reassembled: false, to_host: None };
    let expected = "at least 1396 octets pass whole".to_owned();
    assert_eq!(mtu(seen), (State::Ok, None, expected));
}

#[test]
fn ok_where_a_router_inside_names_the_size() {
    let refused = Some((Ipv4Addr::new(192, 168, 77, 1), 1200));
    let to_host = path_mtu::Found { exact: true, refused, ..all_pass(1200) };
    let (state, _, text) = mtu(PathMtu { to_host: Some(to_host), ..clean() });
    assert_eq!(state, State::Ok);
    assert!(text.ends_with("; 1200 reach the host"), "{text}");
}

#[test]
fn critical_where_what_lcp_allows_vanishes() {
    let both = Directions { both: exact(1256), up: exact(1259), down: exact(1256) };
    let up = Directions { both: exact(1259), up: exact(1259), down: at_least(1259) };
    let seen = |whole, fragmented, to_host| PathMtu {
        whole,
        fragmented,
        reassembled: false,
        to_host: Some(to_host),
        ..clean()
    };
    for (seen, which, limit, mss) in [
        (seen(both, hole(1256), all_pass(1256)), (" ", "(1259 pass up, 1256 down)"), 1256, 1216),
        (
            seen(up, hole(1259), all_pass(1259)),
            (" ", "(1259 pass up, at least 1259 down)"),
            1259,
            1219,
        ),
        (seen(both, hole(1256), hole(1000)), (" to the host ", ""), 1000, 960),
        (seen(clean().whole, all_pass(1496), hole(1200)), (" to the host ", ""), 1200, 1160),
    ] {
        let (state, reason, text) = mtu(seen);
        assert_eq!((state, reason), (State::Critical, Some(Reason::MtuBlackHole)));
        let (whither, ways) = which;
        let ways = if ways.is_empty() { String::new() } else { format!(" {ways}") };
        let expected = format!(
            "packets above {limit} octets{whither}vanish without a word{ways}, and LCP allows \
             1496: set MRU {limit}, MSS clamp {mss}"
        );
        assert_eq!(text, expected);
    }
}

#[test]
fn a_search_cut_off_is_what_the_operator_says_of_time() {
    let whole = Directions { both: at_least(800), up: at_least(800), down: at_least(800) };
    let fragmented = path_mtu::Found { cut_off: true, ..all_pass(800) };
    let (state, reason, text) = mtu(PathMtu { whole, fragmented, to_host: None, ..clean() });
    assert_eq!((state, reason), (State::Unknown, Some(Reason::Silent)));
    let expected =
        "time or loss cut off the search for the largest packet: at least 800 octets pass whole";
    assert_eq!(text, expected);
}

#[test]
fn critical_where_nothing_comes_back() {
    let whole = Directions { both: None, up: exact(1459), down: None };
    let fragmented = path_mtu::Found::default();
    let (state, reason, _) = mtu(PathMtu { whole, fragmented, to_host: None, ..clean() });
    assert_eq!((state, reason), (State::Critical, Some(Reason::InnerSilent)));
}
