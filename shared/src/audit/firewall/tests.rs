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
    (
        "control-missing",
        ["-input policy", "+", "+", "-input policy", "+", "+"],
        "established[input 1]",
    ),
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
    ("ingress-drop", ["+", "?eth0 1", "+", "+", "+", "+"], ""),
    ("number-clamp", ["+", "+", "+", "+", "+", "+"], "mss[1360 forward 1] mss[1360 forward 2]"),
    (
        "firewalld",
        ["+", "+", "+", "+", "-filter_FORWARD 5", "+"],
        "helper-in established[filter_INPUT 1, filter_FORWARD 1] helper[filter_IN_public_allow 2]",
    ),
    (
        "openwrt-fw4",
        ["?accept_from_lan 1", "?input 2", "+", "+", "-handle_reject 1", "+"],
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
        "needs-helper established[ufw-before-input 2, ufw-before-forward 1]",
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
