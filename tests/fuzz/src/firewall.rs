//! Rules of a firewall, as nft and iptables print them.

use crate::probe::audit::firewall::{Fate, Firewall, Place, Unreadable};

/// What nft lists.
pub fn nft(data: &[u8]) {
    check(Firewall::of(Some(data), None));
}

/// What iptables-save prints, alone and beside rules of nft.
pub fn iptables_save(data: &[u8]) {
    check(Firewall::of(None, Some(data)));
    let beside = br#"{"nftables": [{"table": {"family": "ip", "name": "filter"}},
        {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "type": "filter",
            "hook": "input", "prio": 0, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "expr": [{"xt": null}]}}]}"#;
    check(Firewall::of(Some(beside), Some(data)));
}

/// What is told is bounded, and places are told whole.
fn check(firewall: Result<Firewall, Unreadable>) {
    let Ok(firewall) = firewall else { return };
    assert!(firewall.troubles.len() <= 16);
    let fates = [
        &firewall.control_in,
        &firewall.gre_in,
        &firewall.gre_out,
        &firewall.established_in,
        &firewall.forward_from_ppp,
        &firewall.forward_to_ppp,
    ];
    let deciding = fates.into_iter().filter_map(|fate| match fate {
        Fate::Accepted => None,
        Fate::Depends(place) | Fate::Dropped(place) | Fate::NotUnderstood(place) => Some(place),
    });
    let lists =
        [&firewall.established_rules, &firewall.helper_rules, &firewall.drops, &firewall.notrack];
    assert!(lists.iter().all(|list| list.len() <= 64));
    let clamps = firewall.mss_clamp.iter().map(|(_, place)| place);
    for place in lists.into_iter().flatten().chain(clamps).chain(deciding) {
        let Place { backend, rule, text, .. } = place;
        assert!(text.len() <= 300, "{} octets", text.len());
        assert_ne!(*rule, Some(0));
        assert!(firewall.backends.contains(backend), "{place} of nobody");
    }
    assert!(firewall.drops.iter().all(|place| place.packets > Some(0)));
}
