//! Sizes of packets: what a session may carry so that its GRE fits the path.
//!
//! An IP packet inside gets at most 20 octets of IP, 16 of GRE with both
//! numbers (RFC 2637, section 4.1), 4 of PPP (address, control, protocol) and 4
//! of MPPE (its counter, and the protocol that is encrypted: RFC 3078, section
//! 3) around it. PPP may compress 3 of these away.

use super::accel_ppp::{self, Accel};
use super::pppd::{self, Pppd};
use crate::audit::facts::{Facts, Interface};
use crate::audit::finding::{Answer, Broken, Check, Objection, Rule, Severity};
use crate::reason::{Phase, Reason};

/// Octets around an IP packet inside: IP, GRE, PPP, MPPE.
const AROUND: u32 = 20 + 16 + 4 + 4;
/// Octets of PPP that both ends may agree to leave out: address, control and
/// half of the protocol.
const COMPRESSED: u32 = 3;
/// What fits nearly every path, with PPPoE or another tunnel on it.
const SAFE: u32 = 1400;
/// What pppd takes where nothing is set.
const PPPD_DEFAULT: u32 = 1500;
/// What accel-ppp allows for PPTP where nothing is set (`PPTP_MAX_MTU`).
const ACCEL_DEFAULT: u32 = 1436;

/// Every rule of this room.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "mtu-too-large",
        severity: Severity::Warning,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "what the gateway sends fits the path (mtu)",
        harm: "large packets to callers are cut in two or vanish",
        explanation: "The mtu is the largest packet that pppd sends into the tunnel; GRE around \
            it must still fit the uplink, else it goes in two fragments, which many NATs and \
            firewalls drop: logins work and pages hang. On 1500 octets 1456 are left. 1460, \
            which is often advised, counts on compressed PPP headers; 1436 is what accel-ppp \
            allows; 1400 is what Windows uses and leaves room for PPPoE (8 octets) on the way. \
            A caller that asks for less gets less.",
        check: Check::Daemons(Some(pppd_mtu), Some(accel_mtu)),
    },
    Rule {
        id: "mru-too-large",
        severity: Severity::Info,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "what callers may send fits the path (mru)",
        harm: "large packets from callers are cut in two or vanish",
        explanation: "The mru is what the gateway tells callers they may send, 1500 in pppd if \
            nothing is set. Callers that take it at its word send GRE that does not fit. \
            Windows keeps to 1400 by itself, others do not.",
        check: Check::Daemons(Some(pppd_mru), Some(accel_mru)),
    },
    Rule {
        id: "mss-clamp-missing",
        severity: Severity::Warning,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "the MSS of forwarded TCP is clamped to the tunnel",
        harm: "pages hang where ICMP is filtered",
        explanation: "Hosts behind the gateway do not know that the tunnel is narrower than \
            their network. They learn it by ICMP \"fragmentation needed\", which many filters \
            drop; then TCP stalls with the first full packet. A rule that clamps the MSS of SYN \
            packets in forward to the path's makes both ends send what fits.",
        check: Check::Host(clamp),
    },
    Rule {
        id: "mss-clamp-too-large",
        severity: Severity::Warning,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "the MSS is clamped to what the tunnel carries",
        harm: "the clamp lets through what does not fit",
        explanation: "A fixed size has to be the mtu of the sessions less 40 octets of IP and \
            TCP. Clamping to the path's size (clamp-mss-to-pmtu, rt mtu) follows by itself.",
        check: Check::Host(clamp_size),
    },
];

/// The narrowest interface that has a default route.
fn uplink(facts: &Facts) -> Result<&Interface, Objection> {
    let interfaces = facts.interfaces.or_object("there is no interface")?;
    let uplinks = interfaces.iter().filter(|one| one.is_uplink && !one.is_ppp);
    uplinks
        .min_by_key(|one| one.mtu)
        .ok_or(Objection::Inapplicable("no default route tells the uplink"))
}

fn judge(
    facts: &Facts,
    option: &str,
    set: u32,
    shown: String,
    mend: impl FnOnce(u32) -> String,
) -> Answer {
    let uplink = uplink(facts)?;
    let room = uplink.mtu.saturating_sub(AROUND);
    let sum = format!(
        "{} ({}) - 20 (IP) - 16 (GRE) - 4 (PPP) - 4 (MPPE) = {room}",
        uplink.mtu, uplink.name
    );
    if set <= room {
        return Ok(format!("{shown}; {sum}"));
    }
    let advised = room.min(SAFE);
    let mut broken = Broken::new(shown, format!("{option} {advised}"));
    if set <= room + COMPRESSED {
        broken = broken
            .because(format!("{sum}; {set} fits only with compressed PPP headers"))
            .with_severity(Severity::Info);
    } else {
        broken = broken.because(format!("{sum}; {set} is {} more", set - room));
    }
    Err(broken.mended_by(mend(advised)).into())
}

fn pppd_size(pppd: &Pppd<'_>, facts: &Facts, option: &str) -> Answer {
    let (size, shown) = match pppd.number(option) {
        Some((size, setting)) => (size, pppd::shown(setting)),
        None => (PPPD_DEFAULT, format!("pppd has no {option}: {PPPD_DEFAULT}")),
    };
    judge(facts, option, size, shown, |size| pppd.set(option, &size.to_string()))
}

fn pppd_mtu(pppd: &Pppd<'_>, facts: &Facts) -> Answer {
    pppd_size(pppd, facts, "mtu")
}

fn pppd_mru(pppd: &Pppd<'_>, facts: &Facts) -> Answer {
    pppd_size(pppd, facts, "mru")
}

fn accel_size(accel: &Accel<'_>, option: &str) -> (u32, String) {
    let most = accel.number("pptp", "ppp-max-mtu").unwrap_or(ACCEL_DEFAULT);
    let limit = accel.option("pptp", "ppp-max-mtu").map(accel_ppp::shown);
    match (accel.number("ppp", option), accel.option("ppp", option)) {
        (Some(size), Some(set)) if size <= most => (size, accel_ppp::shown(set)),
        _ => (most, limit.unwrap_or_else(|| format!("ppp-max-mtu is not set: {ACCEL_DEFAULT}"))),
    }
}

fn accel_mtu(accel: &Accel<'_>, facts: &Facts) -> Answer {
    let (size, shown) = accel_size(accel, "mtu");
    judge(facts, "mtu", size, shown, |size| accel.set("ppp", "mtu", &size.to_string()))
}

fn accel_mru(accel: &Accel<'_>, facts: &Facts) -> Answer {
    let (size, shown) = accel_size(accel, "mru");
    judge(facts, "mru", size, shown, |size| accel.set("ppp", "mru", &size.to_string()))
}

/// What a session carries at most, whichever daemon has it.
fn tunnel(facts: &Facts) -> Result<u32, Objection> {
    let mut sizes = Vec::new();
    if let Some(poptop) = facts.poptop.get() {
        let mtu = Pppd::new(poptop)?.number("mtu");
        sizes.push(mtu.map_or(PPPD_DEFAULT, |(size, _)| size));
    }
    if let Some(accel) = facts.accel_ppp.get() {
        sizes.push(accel_size(&Accel::new(accel)?, "mtu").0);
    }
    sizes.into_iter().min().ok_or(Objection::Inapplicable("there is no daemon"))
}

fn clamp(facts: &Facts) -> Answer {
    let tunnel = tunnel(facts)?;
    let firewall = facts.firewall.or_object("there is no firewall")?;
    let forwards = facts.ip_forward.or_object("the host does not forward")?;
    let uplink = uplink(facts)?;
    if !forwards {
        return Err(Objection::Inapplicable("the host does not forward"));
    }
    if tunnel >= uplink.mtu {
        return Err(Objection::Inapplicable("the tunnel is as wide as the network"));
    }
    if let Some((_, place)) = firewall.mss_clamp.first() {
        return Ok(super::firewall::shown(place));
    }
    let arithmetic = format!(
        "{tunnel} (mtu) - 20 (IP) - 20 (TCP) = {}, but hosts on {} say {}",
        tunnel.saturating_sub(40),
        uplink.mtu,
        uplink.mtu.saturating_sub(40)
    );
    let broken = Broken::new("no rule clamps the MSS of what is forwarded", "a clamp in forward");
    Err(broken.because(arithmetic).mended_by(super::firewall::clamp_command(firewall)).into())
}

fn clamp_size(facts: &Facts) -> Answer {
    let tunnel = tunnel(facts)?;
    let firewall = facts.firewall.or_object("there is no firewall")?;
    let room = tunnel.saturating_sub(40);
    if firewall.mss_clamp.is_empty() {
        return Err(Objection::Inapplicable("nothing is clamped"));
    }
    let fixed = firewall.mss_clamp.iter().filter_map(|(size, place)| Some(((*size)?, place)));
    let largest = fixed.max_by_key(|(size, _)| *size);
    let Some((size, place)) = largest.filter(|(size, _)| u32::from(*size) > room) else {
        return Ok(format!("the clamp leaves at most {room}, or the path's size"));
    };
    let broken = Broken::new(super::firewall::shown(place), format!("{room}, or the path's size"));
    let arithmetic = format!("{tunnel} (mtu) - 20 (IP) - 20 (TCP) = {room}; {size} is more");
    Err(broken.because(arithmetic).into())
}
