//! What becomes of TCP 1723, GRE and answers on their way through nft or
//! iptables.

use crate::audit::facts::Facts;
use crate::audit::finding::{Answer, Broken, Check, Objection, Rule, Severity};
use crate::audit::firewall::{Backend, Fate, Firewall, Place};
use crate::audit::known::{Known, Unread};
use crate::output::escape;
use crate::reason::{Phase, Reason};

/// Rules that are named.
const NAMED: usize = 3;
/// The module with the helper.
const HELPER: &str = "nf_conntrack_pptp";

const NO_FIREWALL: &str = "there is no firewall";

/// Every rule of this room.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "control-blocked",
        severity: Severity::Critical,
        phase: Phase::Connect,
        reason: Reason::SettingHarmful,
        should: "TCP port 1723 is let in",
        harm: "no caller reaches the gateway",
        explanation: "The control connection of PPTP comes to TCP port 1723 (RFC 2637, section \
            3). A rule that lets in only some sources is no finding.",
        check: Check::Host(control),
    },
    Rule {
        id: "gre-in-blocked",
        severity: Severity::Critical,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "GRE is let in (IP protocol 47)",
        harm: "calls are made, but no session comes up",
        explanation: "PPP travels in GRE, which is IP protocol 47 and has nothing to do with a \
            TCP or UDP port 47. It has to be accepted by a rule of its own, or by RELATED \
            together with the PPTP helper.",
        check: Check::Host(gre_in),
    },
    Rule {
        id: "gre-out-blocked",
        severity: Severity::Critical,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "GRE is let out (IP protocol 47)",
        harm: "the gateway's answers never leave it",
        explanation: "A filter on output that knows TCP, UDP and ICMP only is the usual cause. \
            ESTABLISHED does not cover it: without the PPTP helper each direction of GRE is a \
            connection of its own to the kernel.",
        check: Check::Host(gre_out),
    },
    Rule {
        id: "established-blocked",
        severity: Severity::Critical,
        phase: Phase::Control,
        reason: Reason::SettingHarmful,
        should: "answers on connections that stand are let in",
        harm: "connections begin and then hang",
        explanation: "A rule for established,related has to come before the rules that drop. \
            First matches decide, so one behind a drop is never reached.",
        check: Check::Host(established),
    },
    Rule {
        id: "gre-helper-missing",
        severity: Severity::Critical,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "the PPTP helper is assigned where GRE depends on it",
        harm: "GRE waits for a helper that nobody assigned",
        explanation: "GRE counts as RELATED only if nf_conntrack_pptp watches the control \
            connection. Loading the module was enough once: kernels assigned helpers by port \
            unless told not to, from 4.7 on only if net.netfilter.nf_conntrack_helper is 1, and \
            6.0 removed that. Now a rule has to assign it: `ct helper set` in nft, or `-t raw \
            -j CT --helper pptp`; in prerouting for callers, and in output too where this host \
            itself calls. A rule that accepts protocol 47 needs no helper at all and is simpler.",
        check: Check::Host(helper),
    },
    Rule {
        id: "helper-unassigned",
        severity: Severity::Info,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "a helper that is loaded is also assigned",
        harm: "the loaded PPTP helper does nothing",
        explanation: "nf_conntrack_pptp is loaded, but no rule assigns it and this kernel does \
            not do so by itself (not since 4.7 by default, not at all since 6.0). As long as \
            GRE is accepted by a rule of its own nothing is broken; a NAT for several PPTP \
            clients behind this host does not work without it.",
        check: Check::Host(unassigned),
    },
    Rule {
        id: "gre-notrack",
        severity: Severity::Critical,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "GRE is tracked where the firewall depends on it",
        harm: "GRE is not tracked, so it is never RELATED",
        explanation: "A notrack rule keeps GRE out of connection tracking, and what is not \
            tracked matches neither ESTABLISHED nor RELATED. Where GRE is accepted by a rule of \
            its own, notrack is fine and saves room in the table.",
        check: Check::Host(notrack),
    },
    Rule {
        id: "firewall-drops",
        severity: Severity::Warning,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "no rule has dropped GRE or TCP 1723",
        harm: "packets of PPTP were dropped by a rule",
        explanation: "Counters count since the rules were loaded. Strangers who scan are counted \
            too: see whether the number grows while a caller tries. Resetting counters (nft \
            reset counters, iptables -Z) makes the next audit tell.",
        check: Check::Host(drops),
    },
    Rule {
        id: "forward-blocked",
        severity: Severity::Warning,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "packets of callers are forwarded by the firewall",
        harm: "sessions come up, and nothing behind the gateway answers",
        explanation: "What comes out of a session passes the forward chain, whose policy is often \
            drop. Both directions have to be let through. If callers shall reach the gateway \
            alone, ignore this one.",
        check: Check::Host(forward),
    },
];

/// A rule as a finding names it: its words, and where it stands.
pub(super) fn shown(place: &Place) -> String {
    let chain = format!("{} {}", escape(place.table.as_bytes()), escape(place.chain.as_bytes()));
    match place.rule {
        Some(rule) => format!("{} ({chain}, rule {rule})", escape(place.text.as_bytes())),
        None => format!("policy of {chain}"),
    }
}

/// The command that clamps the MSS of what is forwarded.
pub(super) fn clamp_command(firewall: &Firewall) -> String {
    let (chain, backend) = (forward_chain(firewall), backend(firewall));
    match (backend, chain) {
        (Backend::Nft, Some(place)) => format!(
            "nft insert rule {} {} tcp flags syn tcp option maxseg size set rt mtu",
            word(&place.table),
            word(&place.chain)
        ),
        (Backend::Nft, None) => "nft add table inet pptp; nft add chain inet pptp forward '{ type \
            filter hook forward priority mangle; }'; nft add rule inet pptp forward tcp flags \
            syn tcp option maxseg size set rt mtu"
            .to_owned(),
        (Backend::Iptables, _) => "iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN \
            -j TCPMSS --clamp-mss-to-pmtu"
            .to_owned(),
    }
}

/// A chain of forward that is known, because something is decided there.
fn forward_chain(firewall: &Firewall) -> Option<&Place> {
    let fates = [&firewall.forward_from_ppp, &firewall.forward_to_ppp];
    fates.into_iter().find_map(|fate| match fate {
        Fate::Accepted => None,
        Fate::Depends(place) | Fate::Dropped(place) | Fate::NotUnderstood(place) => Some(place),
    })
}

fn backend(firewall: &Firewall) -> Backend {
    if firewall.backends.contains(&Backend::Nft) { Backend::Nft } else { Backend::Iptables }
}

/// A name in a command; what is not harmless in one is not repeated.
fn word(name: &str) -> &str {
    let harmless =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, ' ' | '_' | '-' | '.');
    if name.chars().all(harmless) { name } else { "NAME" }
}

/// The command that lets a kind of packets through before `place`.
fn accept(place: &Place, nft: &str, iptables: &str) -> String {
    let (table, chain) = (word(&place.table), word(&place.chain));
    match place.backend {
        Backend::Nft => format!("nft insert rule {table} {chain} {nft} accept"),
        Backend::Iptables => format!("iptables -I {chain} {iptables} -j ACCEPT"),
    }
}

fn firewall(facts: &Facts) -> Result<&Firewall, Objection> {
    facts.firewall.or_object(NO_FIREWALL)
}

/// What a fate says, where dropping is wrong.
fn judge(fate: &Fate, what: &str, advised: &str, nft: &str, iptables: &str) -> Answer {
    match fate {
        Fate::Accepted => Ok(format!("{what} is accepted")),
        Fate::Depends(place) => Ok(format!("{what} is accepted by {}", shown(place))),
        Fate::NotUnderstood(place) => Err(Objection::Unread(Unread {
            what: format!("what becomes of {what}"),
            why: format!("{} is not understood", shown(place)),
            mend: "look at that rule, then --accept-unread".to_owned(),
        })),
        Fate::Dropped(place) => {
            let broken = Broken::new(format!("{what} is dropped: {}", shown(place)), advised);
            let counted = place.packets.filter(|packets| *packets > 0);
            let counted = counted.map(|packets| format!("{packets} packets counted there"));
            let broken = broken.because(counted.unwrap_or_default());
            Err(broken.mended_by(accept(place, nft, iptables)).into())
        }
    }
}

fn control(facts: &Facts) -> Answer {
    let fate = &firewall(facts)?.control_in;
    judge(fate, "TCP 1723", "accept it", "tcp dport 1723", "-p tcp --dport 1723")
}

fn gre_in(facts: &Facts) -> Answer {
    let firewall = firewall(facts)?;
    if firewall.gre_needs_helper {
        return Err(Objection::Inapplicable("gre-helper-missing tells"));
    }
    judge(&firewall.gre_in, "GRE coming in", "accept protocol 47", "meta l4proto gre", "-p gre")
}

fn gre_out(facts: &Facts) -> Answer {
    let wall = firewall(facts)?;
    if wall.gre_needs_helper && !wall.helper_in_prerouting && is_assigned(facts, wall)? {
        return Err(Objection::Inapplicable("the kernel assigns the helper by itself"));
    }
    judge(&wall.gre_out, "GRE going out", "accept protocol 47", "meta l4proto gre", "-p gre")
}

fn established(facts: &Facts) -> Answer {
    let firewall = firewall(facts)?;
    let advised = match firewall.established_rules.first() {
        Some(place) => format!("{} before what drops", shown(place)),
        None => "established,related accepted first".to_owned(),
    };
    let nft = "ct state established,related";
    let iptables = "-m conntrack --ctstate ESTABLISHED,RELATED";
    judge(&firewall.established_in, "an answer", &advised, nft, iptables)
}

/// Whether the helper watches control connections of callers; nothing where
/// the kernel decides and does not tell.
fn is_assigned(facts: &Facts, firewall: &Firewall) -> Result<bool, Objection> {
    if firewall.helper_in_prerouting {
        return Ok(true);
    }
    let by_itself = match facts.conntrack.get().map(|conntrack| &conntrack.helper_by_itself) {
        Some(Known::Is(by_itself)) => *by_itself,
        Some(Known::Unread(unread)) => return Err(Objection::Unread(unread.clone())),
        Some(Known::Absent) | None => false,
    };
    Ok(by_itself && has_helper(facts)?)
}

fn has_helper(facts: &Facts) -> Result<bool, Objection> {
    let modules = facts.modules.or_object("the kernel has no modules")?;
    modules.has(HELPER).ok_or_else(|| {
        Objection::Unread(Unread {
            what: "modules built into the kernel".to_owned(),
            why: "there is no modules.builtin below /lib/modules".to_owned(),
            mend: String::new(),
        })
    })
}

fn helper(facts: &Facts) -> Answer {
    let firewall = firewall(facts)?;
    if !firewall.gre_needs_helper {
        return Err(Objection::Inapplicable("GRE is accepted without a helper"));
    }
    if is_assigned(facts, firewall)? {
        let rule = firewall.helper_rules.first().map(shown);
        return Ok(rule.unwrap_or_else(|| "the kernel assigns it by itself".to_owned()));
    }
    let mut found = "GRE comes in only as RELATED, but nothing assigns the PPTP helper".to_owned();
    if firewall.helper_in_output {
        found.push_str(" to callers (only to what this host calls)");
    } else if has_helper(facts).unwrap_or(false) {
        found.push_str("; that the module is loaded is not enough");
    }
    let related = firewall.established_rules.first();
    let mend = related.map(|place| accept(place, "meta l4proto gre", "-p gre")).unwrap_or_default();
    let broken = Broken::new(found, "a rule that accepts protocol 47, or one that assigns pptp");
    Err(broken.mended_by(mend).into())
}

fn unassigned(facts: &Facts) -> Answer {
    let firewall = firewall(facts)?;
    if firewall.gre_needs_helper {
        return Err(Objection::Inapplicable("gre-helper-missing tells"));
    }
    let modules = facts.modules.or_object("the kernel has no modules")?;
    if !modules.loaded.contains(HELPER) {
        return Err(Objection::Inapplicable("the PPTP helper is not loaded"));
    }
    if !firewall.helper_rules.is_empty() || is_assigned(facts, firewall)? {
        return Ok("nf_conntrack_pptp is loaded and assigned".to_owned());
    }
    let found = "nf_conntrack_pptp is loaded, and no rule assigns it";
    let broken = Broken::new(found, "a rule that assigns pptp, or no such module");
    Err(broken.into())
}

fn notrack(facts: &Facts) -> Answer {
    let firewall = firewall(facts)?;
    let Some(place) = firewall.notrack.first() else {
        return Ok("GRE is tracked".to_owned());
    };
    if !firewall.gre_needs_helper {
        return Ok(format!("GRE is accepted untracked: {}", shown(place)));
    }
    let broken = Broken::new(shown(place), "no notrack for GRE, or protocol 47 accepted");
    Err(broken.into())
}

fn drops(facts: &Facts) -> Answer {
    let drops = &firewall(facts)?.drops;
    let counted: Vec<_> = drops.iter().filter_map(|place| Some((place, place.packets?))).collect();
    let total: u64 = counted.iter().fold(0, |sum, (_, packets)| sum.saturating_add(*packets));
    if total == 0 {
        return Ok("no rule counted any".to_owned());
    }
    let named: Vec<_> = counted
        .iter()
        .take(NAMED)
        .map(|(place, packets)| format!("{packets} by {}", shown(place)))
        .collect();
    let more = counted.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more rules") } else { String::new() };
    let found = format!("packets of PPTP dropped: {}{more}", named.join(", "));
    Err(Broken::new(found, "see whether the counters grow while a caller tries").into())
}

fn forward(facts: &Facts) -> Answer {
    let firewall = firewall(facts)?;
    if facts.ip_forward.get() == Some(&false) {
        return Err(Objection::Inapplicable("the host does not forward"));
    }
    let from = "what callers send";
    let passed =
        judge(&firewall.forward_from_ppp, from, "let it through", "iifname \"ppp*\"", "-i ppp+")?;
    let to = "what goes to callers";
    judge(&firewall.forward_to_ppp, to, "let it through", "oifname \"ppp*\"", "-o ppp+")
        .map(|also| format!("{passed}; {also}"))
}
