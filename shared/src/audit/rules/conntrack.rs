//! The table of tracked connections: its fill, its timeouts, and what its GRE
//! entries tell about callers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::audit::facts::{Conntrack, Facts};
use crate::audit::finding::{Answer, Broken, Check, Objection, Rule, Severity};
use crate::gateway::conntrack::GreFlow;
use crate::reason::{Phase, Reason};

/// Percent of the table from which on it is short, and nearly full.
const SHORT: f64 = 80.0;
const FULL: f64 = 95.0;
/// Seconds that an idle control connection is silent in pptpd's rhythm: an
/// Echo-Request after 60 s, and 60 s for its answer (pptpdefs.h).
const CONTROL_SILENCE: u64 = 120;
/// Peers that are named.
const NAMED: usize = 5;

const NO_CONNTRACK: &str = "nothing is tracked on this host";

/// Every rule of this room.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "conntrack-full",
        severity: Severity::Warning,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "the table of tracked connections has room",
        harm: "new calls and sessions are dropped when the table is full",
        explanation: "When nf_conntrack_count reaches nf_conntrack_max the kernel throws out \
            entries that are not assured, among them GRE without an answer, and then drops \
            packets of new connections (\"nf_conntrack: table full, dropping packet\"). \
            Callers see sessions fail at random. CRITICAL from 95 %.",
        check: Check::Host(fill),
    },
    Rule {
        id: "conntrack-dropped",
        severity: Severity::Warning,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "no packet was dropped for want of room in the table",
        harm: "packets were dropped because the table was full",
        explanation: "The columns drop and early_drop of /proc/net/stat/nf_conntrack count since \
            boot. They stay when the cause is gone; if the table was enlarged since, ignore \
            this one until the next boot.",
        check: Check::Host(dropped),
    },
    Rule {
        id: "gre-unreplied",
        severity: Severity::Warning,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "GRE of every caller goes both ways",
        harm: "some callers' GRE goes one way only",
        explanation: "An entry of GRE without an answer, and none the other way between the same \
            addresses: the caller's network or a filter on the way lets only one direction \
            through, or the session is just dying. Without the PPTP helper each direction is an \
            entry of its own that never sees an answer; such pairs are well and not counted. \
            nf_conntrack_proto_gre is part of nf_conntrack since Linux 5.1: that lsmod does not \
            show it is no fault, and loading it is advice for older kernels.",
        check: Check::Host(unreplied),
    },
    Rule {
        id: "tcp-timeout-short",
        severity: Severity::Warning,
        phase: Phase::Control,
        reason: Reason::SettingHarmful,
        should: "tracked TCP is kept longer than control connections are silent",
        harm: "the control connection is forgotten, and the session ends",
        explanation: "An idle session has nothing on its control connection but an Echo-Request \
            each minute. If nf_conntrack_tcp_timeout_established (5 days by default, often \
            lowered to save room) is near that, one lost packet is enough to be forgotten; \
            what comes then is dropped as invalid.",
        check: Check::Host(tcp_timeout),
    },
    Rule {
        id: "callers-behind-nat",
        severity: Severity::Info,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "callers come from addresses of their own",
        harm: "several callers share an address, which needs a helper in their NAT",
        explanation: "GRE has no ports. A NAT with several PPTP clients to one gateway has to \
            read and rewrite Call IDs (a PPTP helper or ALG), else a second client takes the \
            first one's packets. If callers from one network disturb each other, look there; \
            nothing on the gateway mends it.",
        check: Check::Host(shared),
    },
];

fn table(facts: &Facts) -> Result<&Conntrack, Objection> {
    facts.conntrack.or_object(NO_CONNTRACK)
}

/// How full the table is, in percent; nothing where that is not known.
pub fn fill_percent(conntrack: &Conntrack) -> Option<f64> {
    let (count, max) = (*conntrack.count.get()?, *conntrack.max.get()?);
    (max > 0).then(|| count as f64 * 100.0 / max as f64)
}

fn fill(facts: &Facts) -> Answer {
    let conntrack = table(facts)?;
    let count = conntrack.count.or_object(NO_CONNTRACK)?;
    let max = conntrack.max.or_object(NO_CONNTRACK)?;
    let percent = fill_percent(conntrack).ok_or(Objection::Inapplicable("it has no limit"))?;
    let sum = format!("{count} of {max} = {percent:.1} %");
    if percent < SHORT {
        return Ok(sum);
    }
    let advised = max.saturating_mul(2);
    let broken = Broken::new(
        format!("nf_conntrack_count {count}, nf_conntrack_max {max}"),
        format!("nf_conntrack_max {advised}, and hash buckets to match"),
    );
    let severity = if percent < FULL { Severity::Warning } else { Severity::Critical };
    let mend = format!("sysctl -w net.netfilter.nf_conntrack_max={advised}");
    Err(broken.because(sum).mended_by(mend).with_severity(severity).into())
}

fn dropped(facts: &Facts) -> Answer {
    let conntrack = table(facts)?;
    match *conntrack.dropped.or_object("the kernel does not count them")? {
        0 => Ok("none since boot".to_owned()),
        dropped => {
            let found = format!("{dropped} packets or entries dropped since boot");
            let broken = Broken::new(found, "a larger nf_conntrack_max");
            let max = conntrack.max.get().map(|max| max.saturating_mul(2));
            let mend = max.map(|max| format!("sysctl -w net.netfilter.nf_conntrack_max={max}"));
            Err(broken.mended_by(mend.unwrap_or_default()).into())
        }
    }
}

/// Entries of GRE that go one way only, by who sent and who should answer.
pub fn one_way(flows: &[GreFlow]) -> BTreeMap<(Ipv4Addr, Ipv4Addr), u64> {
    let ways: BTreeSet<_> = flows.iter().map(|flow| (flow.source, flow.destination)).collect();
    let mut alone = BTreeMap::new();
    for flow in flows.iter().filter(|flow| !flow.replied) {
        if !ways.contains(&(flow.destination, flow.source)) {
            *alone.entry((flow.source, flow.destination)).or_default() += 1;
        }
    }
    alone
}

fn unreplied(facts: &Facts) -> Answer {
    let flows = table(facts)?.gre.or_object("no GRE is tracked")?;
    let alone = one_way(flows);
    if alone.is_empty() {
        return Ok(format!("{} entries of GRE, all both ways", flows.len()));
    }
    let named: Vec<_> =
        alone.keys().take(NAMED).map(|(from, to)| format!("{from} to {to}")).collect();
    let more = alone.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let found = format!("GRE without an answer from {}{more}", named.join(", "));
    let broken = Broken::new(found, "IP protocol 47 let through both ways on that path");
    let entries: u64 = alone.values().sum();
    let arithmetic = format!("{entries} of {} entries of GRE go one way", flows.len());
    Err(broken.because(arithmetic).into())
}

fn tcp_timeout(facts: &Facts) -> Answer {
    let timeout = table(facts)?.tcp_timeout_established.or_object("the kernel does not tell")?;
    let seconds = timeout.as_secs();
    if seconds > CONTROL_SILENCE {
        return Ok(format!("{seconds} s"));
    }
    let found = format!("net.netfilter.nf_conntrack_tcp_timeout_established = {seconds}");
    let broken = Broken::new(found, "an hour or more");
    let arithmetic =
        format!("60 s to the Echo-Request + 60 s for its answer = {CONTROL_SILENCE} s");
    let mend = "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=7200";
    Err(broken.because(arithmetic).mended_by(mend).into())
}

fn shared(facts: &Facts) -> Answer {
    let shared: Vec<_> = facts.shared_addresses.iter().collect();
    if shared.is_empty() {
        return Ok("no address has more than one caller".to_owned());
    }
    let named: Vec<_> = shared
        .iter()
        .take(NAMED)
        .map(|(address, sessions)| format!("{sessions} from {address}"))
        .collect();
    let more = shared.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more addresses") } else { String::new() };
    let found = format!("callers: {}{more}", named.join(", "));
    Err(Broken::new(found, "a PPTP helper in the NAT in front of them").into())
}
