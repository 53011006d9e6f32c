//! Rulesets that the real programs printed (`tests/fixtures/firewall`, made
//! with `tests/testbed/make-firewall-fixtures`), and hostile ones.

use std::fmt::Write;
use std::fs;

use super::{Backend, Fate, Firewall, Place};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/firewall/");

/// What a fixture has, of either program.
fn read(name: &str) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let file = |kind: &str| fs::read(format!("{FIXTURES}{name}.{kind}")).ok();
    (file("json"), file("save"))
}

fn of(name: &str) -> Firewall {
    let (nft, iptables) = read(name);
    assert!(nft.is_some() || iptables.is_some(), "no fixture {name}");
    Firewall::of(nft.as_deref(), iptables.as_deref()).expect(name)
}

fn spot(place: &Place) -> String {
    match place.rule {
        Some(rule) => format!("{} {rule}", place.chain),
        None => format!("{} policy", place.chain),
    }
}

/// `+` accepted, `-` dropped, `?` depends, `!` not understood, and where.
fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Accepted => "+".to_owned(),
        Fate::Dropped(place) => format!("-{}", spot(place)),
        Fate::Depends(place) => format!("?{}", spot(place)),
        Fate::NotUnderstood(place) => format!("!{}", spot(place)),
    }
}

/// Everything else that is told, in a line.
fn rest(firewall: &Firewall) -> String {
    let mut text = String::new();
    for (is, word) in [
        (firewall.gre_needs_helper, "needs-helper "),
        (firewall.helper_in_prerouting, "helper-in "),
        (firewall.helper_in_output, "helper-out "),
    ] {
        text.push_str(if is { word } else { "" });
    }
    for (name, places) in [
        ("established", &firewall.established_rules),
        ("helper", &firewall.helper_rules),
        ("drops", &firewall.drops),
        ("notrack", &firewall.notrack),
    ] {
        if !places.is_empty() {
            let places: Vec<_> = places.iter().map(spot).collect();
            let _ = write!(text, "{name}[{}] ", places.join(", "));
        }
    }
    for (size, place) in &firewall.mss_clamp {
        let _ = write!(text, "mss[{} {}] ", size.unwrap_or(0), spot(place));
    }
    text.trim_end().to_owned()
}

/// Control in, GRE in, GRE out, established in, from a session, to a session;
/// and the rest.
const EXPECTED: &[(&str, [&str; 6], &str)] = &[
    ("debian-default", ["+", "+", "+", "+", "+", "+"], ""),
    (
        "good",
        ["+", "+", "+", "+", "+", "+"],
        "helper-in helper-out established[input 1, forward 2] helper[prerouting 1, output 1] \
         mss[0 forward 1]",
    ),
    ("control-missing", ["-input policy", "+", "+", "+", "+", "+"], "established[input 1]"),
    ("gre-missing", ["+", "-input 4", "+", "+", "+", "+"], "needs-helper established[input 1]"),
    (
        "gre-behind-drop",
        ["+", "-input 3", "+", "+", "+", "+"],
        "needs-helper established[input 1] drops[input 3]",
    ),
    (
        "related-without-helper",
        ["+", "-input policy", "+", "+", "+", "+"],
        "needs-helper established[input 1]",
    ),
    (
        "helper-not-assigned",
        ["+", "-input policy", "+", "+", "+", "+"],
        "needs-helper established[input 1]",
    ),
    (
        "helper-too-early",
        ["+", "-input policy", "+", "+", "+", "+"],
        "needs-helper established[input 1]",
    ),
    (
        "notrack",
        ["+", "-input 1", "+", "+", "+", "+"],
        "established[input 2] notrack[prerouting 1, output 1]",
    ),
    ("established-missing", ["+", "+", "+", "-input policy", "+", "+"], ""),
    ("callers-set", ["?vpn 1", "?input 3", "+", "+", "+", "+"], "established[input 1]"),
    ("output-dropped", ["+", "+", "-output policy", "+", "+", "+"], ""),
    // GRE of others is forwarded through that interface, too.
    ("ingress-drop", ["+", "?eth0 1", "+", "+", "?eth0 1", "?eth0 1"], ""),
    ("number-clamp", ["+", "+", "+", "+", "+", "+"], "mss[1360 forward 1] mss[1360 forward 2]"),
    (
        "firewalld",
        ["+", "+", "+", "+", "-filter_FORWARD 5", "+"],
        "helper-in established[filter_INPUT 1, filter_FORWARD 1] helper[filter_IN_public_allow 2]",
    ),
    (
        "openwrt-fw4",
        ["?accept_from_lan 1", "?input 2", "+", "+", "-handle_reject 2", "+"],
        "helper-in established[input 2, forward 1] helper[helper_lan 1] \
         mss[0 mangle_forward 1] mss[0 mangle_forward 2]",
    ),
    (
        "rhel-good",
        ["+", "+", "+", "+", "+", "+"],
        "helper-in helper-out established[INPUT 1, FORWARD 2] helper[PREROUTING 1, OUTPUT 1] \
         mss[0 FORWARD 1] mss[1360 FORWARD 2]",
    ),
    (
        "rhel-after-reject",
        ["-INPUT 4", "-INPUT 4", "+", "+", "+", "+"],
        "needs-helper established[INPUT 1]",
    ),
    ("drop-counted", ["-INPUT 2", "-GRE 2", "+", "-INPUT 2", "+", "+"], "drops[INPUT 2, GRE 2]"),
    (
        "notrack-iptables",
        ["+", "-INPUT policy", "+", "+", "+", "+"],
        "established[INPUT 1] notrack[PREROUTING 1, OUTPUT 1]",
    ),
    ("by-source", ["?INPUT 3", "?INPUT 4", "+", "+", "+", "+"], "established[INPUT 1]"),
    ("not-understood", ["!INPUT 1", "!INPUT 2", "+", "!INPUT 1", "+", "+"], ""),
    ("docker", ["+", "+", "+", "+", "?DOCKER 1", "?FORWARD 5"], ""),
    (
        "openwrt-fw3",
        ["?INPUT 4", "+", "+", "+", "-FORWARD policy", "-FORWARD policy"],
        "helper-in established[INPUT 2] helper[zone_lan_helper 1] mss[0 FORWARD 1]",
    ),
    (
        "nft-good",
        ["+", "+", "+", "+", "+", "+"],
        "needs-helper helper-in established[INPUT 1, FORWARD 2] helper[PREROUTING 1] \
         mss[0 FORWARD 1]",
    ),
    (
        "ufw",
        ["+", "-INPUT policy", "+", "+", "?ufw-before-forward 2", "+"],
        "needs-helper established[ufw-before-forward 1, ufw-before-input 2]",
    ),
];

#[test]
fn real_rulesets_are_told_as_they_are() {
    let mut wrong = String::new();
    for (name, fates, told) in EXPECTED {
        let firewall = of(name);
        let found = [
            &firewall.control_in,
            &firewall.gre_in,
            &firewall.gre_out,
            &firewall.established_in,
            &firewall.forward_from_ppp,
            &firewall.forward_to_ppp,
        ];
        let (found, others) = (found.map(fate), rest(&firewall));
        if found != *fates || others != *told {
            let _ = writeln!(wrong, "{name}: {found:?} {others}\n  not {fates:?} {told}");
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn every_fixture_has_its_answer() {
    let mut names: Vec<String> = fs::read_dir(FIXTURES)
        .expect("fixtures")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            Some(path.file_stem()?.to_string_lossy().into_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    let mut expected: Vec<_> = EXPECTED.iter().map(|(name, ..)| *name).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// Of objects as nft lists them.
fn of_json(rules: &str) -> Firewall {
    let json = format!("{{\"nftables\": [{rules}]}}");
    Firewall::of(Some(json.as_bytes()), None).expect("rules")
}

/// A base chain of `ip t`, hooked at input.
const INPUT: &str = r#"{"chain": {"family": "ip", "table": "t", "name": "i", "type": "filter",
    "hook": "input", "prio": 0, "policy": "drop"}}"#;

fn rule(chain: &str, expressions: &str) -> String {
    format!(
        r#", {{"rule": {{"family": "ip", "table": "t", "chain": "{chain}", "expr": [{expressions}]}}}}"#
    )
}

#[test]
fn counted_drops_tell_their_packets_and_their_words() {
    let counted: Vec<_> = of("drop-counted")
        .drops
        .into_iter()
        .map(|place| (place.table, place.packets, place.text))
        .collect();
    let drop = "-A INPUT -p tcp -m tcp --dport 1723 -j DROP";
    assert_eq!(
        counted,
        [
            ("filter".to_owned(), Some(1), drop.to_owned()),
            ("filter".to_owned(), Some(3), "-A GRE -j DROP".to_owned()),
        ]
    );
    let named = &of("gre-behind-drop").drops[0];
    assert_eq!(named.packets, Some(3));
    assert_eq!(named.to_string(), "ip filter input rule 3: meta l4proto { gre, esp } drop");
}

#[test]
fn what_iptables_nft_wrote_is_told_in_its_own_words() {
    let firewall = of("nft-good");
    assert_eq!(firewall.backends, [Backend::Nft]);
    assert_eq!(firewall.troubles, [""; 0]);
    let place = &firewall.helper_rules[0];
    assert_eq!((&*place.table, place.backend), ("ip raw", Backend::Nft));
    // Without the text its matches have no more than names.
    let (nft, _) = read("nft-good");
    let alone = Firewall::of(nft.as_deref(), None).expect("nft-good");
    assert_eq!((fate(&alone.control_in), fate(&alone.gre_in)), ("+".into(), "!INPUT 1".into()));
    assert!(alone.troubles.iter().any(|trouble| trouble.contains("xt CT")), "{alone:?}");
}

#[test]
fn both_backends_see_a_packet() {
    let (good, _) = read("good");
    let (_, bad) = read("rhel-after-reject");
    let both = Firewall::of(good.as_deref(), bad.as_deref()).expect("both");
    assert_eq!(both.backends, [Backend::Nft, Backend::Iptables]);
    assert_eq!(fate(&both.control_in), "-INPUT 4");
    // What comes as related is accepted there, and the helper makes it so.
    assert_eq!(fate(&both.gre_in), "+");
}

#[test]
fn no_rule_is_no_firewall() {
    for (nft, iptables) in [(None, None), (None, Some(&b""[..]))] {
        let firewall = Firewall::of(nft, iptables).expect("nothing");
        assert_eq!((firewall.backends.len(), firewall.control_in), (0, Fate::Accepted));
    }
}

#[test]
fn half_a_ruleset_tells_nothing() {
    let (nft, iptables) = read("nft-good");
    let (nft, iptables) = (nft.expect("nft"), iptables.expect("iptables"));
    let whole = nft.trim_ascii_end().len();
    for end in 0..whole {
        let wrong = Firewall::of(Some(&nft[..end]), None);
        assert!(wrong.is_err(), "{end} octets");
    }
    let commit = iptables.windows(6).rposition(|six| six == b"COMMIT").expect("an end");
    assert!(Firewall::of(None, Some(&iptables[..commit])).is_err());
    for garbage in ["*filter\n-X\nCOMMIT\n", "COMMIT\n", "<html>\n", "*filter\n:INPUT\nCOMMIT\n"] {
        let wrong = Firewall::of(None, Some(garbage.as_bytes())).expect_err(garbage);
        assert!(wrong.to_string().starts_with("rules of iptables: line "), "{wrong}");
    }
    for garbage in ["{}", "[]", "null", "{\"nftables\": {}}"] {
        assert!(Firewall::of(Some(garbage.as_bytes()), None).is_err(), "{garbage}");
    }
}

#[test]
fn chains_that_lead_into_themselves_are_named() {
    let jump = |to: &str| format!(r#"{{"jump": {{"target": "{to}"}}}}"#);
    let rules = [rule("i", &jump("a")), rule("a", &jump("b")), rule("b", &jump("a"))].concat();
    let firewall = of_json(&format!("{INPUT}{rules}"));
    assert!(matches!(firewall.control_in, Fate::NotUnderstood(_)), "{:?}", firewall.control_in);
    assert_eq!(firewall.troubles, ["ip t a: leads into itself, or too deep"]);
}

#[test]
fn a_way_through_many_chains_is_found_once() {
    // Each of 60 chains is jumped to twice: 2^60 ways.
    let mut rules = INPUT.to_owned();
    for depth in 0..60 {
        let from = if depth == 0 { "i".to_owned() } else { format!("c{depth}") };
        let jump = format!(r#"{{"jump": {{"target": "c{}"}}}}"#, depth + 1);
        rules.push_str(&rule(&from, &jump).repeat(2));
    }
    rules.push_str(&rule("c60", r#"{"accept": null}"#));
    assert_eq!(of_json(&rules).control_in, Fate::Accepted);
}

#[test]
fn large_rulesets_are_told_like_small_ones() {
    let addresses: Vec<_> = (0..100_000_u32)
        .map(|n| format!("\"{}\"", std::net::Ipv4Addr::from(0x0a00_0000 + n)))
        .collect();
    let set = format!(
        r#", {{"set": {{"family": "ip", "table": "t", "name": "s", "type": "ipv4_addr", "elem": [{}]}}}}"#,
        addresses.join(",")
    );
    let listed = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
        "right": "@s"}}, {"drop": null}"#;
    let one = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
        "right": 22}}, {"accept": null}"#;
    let accepts = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
        "right": 1723}}, {"accept": null}"#;
    let rules =
        [set, rule("i", listed), rule("i", one).repeat(100_000), rule("i", accepts)].concat();
    let firewall = of_json(&format!("{INPUT}{rules}"));
    assert_eq!(fate(&firewall.control_in), "?i 1");
    assert_eq!(fate(&firewall.gre_in), "-i policy");
    assert_eq!(firewall.troubles, [""; 0]);
}

#[test]
fn sets_that_are_looked_up_too_often_are_not_understood() {
    let addresses = vec!["\"10.0.0.1\""; 20_000].join(",");
    let set = format!(
        r#", {{"set": {{"family": "ip", "table": "t", "name": "s", "type": "ipv4_addr", "elem": [{addresses}]}}}}"#
    );
    let listed = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
        "right": "@s"}}, {"accept": null}"#;
    let firewall = of_json(&[INPUT, &set, &rule("i", listed).repeat(300)].concat());
    assert!(
        firewall
            .troubles
            .contains(&"sets are looked up more often than can be followed".to_owned()),
        "{:?}",
        firewall.troubles
    );
}

#[test]
fn hostile_text_is_bounded() {
    // Nesting beyond what a JSON reader takes, a name of a megabyte, octets
    // that are no UTF-8, the same chain twice, troubles without end.
    let deep = format!("{{\"nftables\": {}", "[".repeat(100_000));
    assert!(Firewall::of(Some(deep.as_bytes()), None).is_err());
    let long = "x".repeat(1 << 20);
    let strange = format!(r#"{{"{long}": null}}, {{"accept": null}}"#);
    let logged = format!(r#"{{"log": {{"prefix": "{long}"}}}}, {{"drop": null}}"#);
    let rules = [rule("i", &strange), rule("i", &logged)].concat();
    let firewall = of_json(&format!("{INPUT}, {INPUT}{rules}"));
    assert_eq!(fate(&firewall.control_in), "!i 1");
    let logged = of_json(&format!("{INPUT}{}", rule("i", &logged)));
    let Fate::Dropped(place) = &logged.control_in else { panic!("{:?}", logged.troubles) };
    assert_eq!((place.rule, place.text.len()), (Some(1), super::LONGEST_TEXT));
    assert_eq!(firewall.troubles[0].len(), super::LONGEST_TEXT);
    let mut text = b"*filter\n:INPUT DROP [0:0]\n:INPUT ACCEPT [0:0]\n".to_vec();
    for number in 0..1000 {
        text.extend(format!("-A INPUT -m odd{number} --comment \"").as_bytes());
        text.extend(b"\xff\xfe\" -j ACCEPT\n");
    }
    text.extend(b"COMMIT\n");
    let firewall = Firewall::of(None, Some(&text)).expect("text");
    assert_eq!(firewall.troubles.len(), super::MOST_TROUBLES);
    assert_eq!(fate(&firewall.gre_out), "+");
    assert_eq!(fate(&firewall.control_in), "!INPUT 1");
}

#[test]
fn what_is_without_effect_or_changes_the_way_is_said() {
    assert_eq!(
        of("helper-too-early").troubles,
        ["has no effect on TCP 1723 at this priority: ip raw prerouting rule 1: \
          tcp dport 1723 ct helper set vpn"]
    );
    let troubles = of("not-understood").troubles;
    assert!(troubles[0].starts_with("\"u32\" is not understood: filter INPUT rule 1: -A INPUT "));
    assert!(troubles[1].starts_with("\"NFQUEUE\" is not understood: filter INPUT rule 2: "));
    assert_eq!(troubles.len(), 2);
    let base = |name: &str, kind: &str, hook: &str| {
        format!(
            r#"{{"chain": {{"family": "ip", "table": "t", "name": "{name}", "type": "{kind}",
                "hook": "{hook}", "prio": -100, "policy": "accept"}}}}, "#
        )
    };
    let to = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
        "right": 1723}}, {"dnat": {"addr": "10.0.0.5"}}"#;
    let flow = r#"{"flow": {"op": "add", "flowtable": "@f"}}"#;
    let bases = [base("p", "nat", "prerouting"), base("f", "filter", "forward")].concat();
    let firewall = of_json(&[&bases, INPUT, &rule("p", to), &rule("f", flow)].concat());
    assert_eq!(
        firewall.troubles,
        [
            "TCP 1723 may be sent elsewhere by ip t p rule 1: tcp dport 1723 dnat to 10.0.0.5",
            "forwarded connections skip the chains once they are in a flowtable: \
             ip t f rule 1: flow add @f",
        ]
    );
}
