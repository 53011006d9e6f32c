//! Forwarding, the reverse-path filter, and TCP keepalive, which does less than
//! tutorials say.

use std::time::Duration;

use crate::audit::facts::Facts;
use crate::audit::finding::{Answer, Broken, Check, Objection, Rule, Severity};
use crate::reason::{Phase, Reason};

/// `net.ipv4.tcp_keepalive_time`, `_intvl` and `_probes` as the kernel has them
/// (tcp(7)).
const DEFAULTS: (Duration, Duration, u32) = (Duration::from_secs(7200), Duration::from_secs(75), 9);

/// Every rule of this room.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ip-forward-off",
        severity: Severity::Warning,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "the gateway forwards packets of callers",
        harm: "callers reach the gateway and nothing behind it",
        explanation: "With net.ipv4.ip_forward 0 a session comes up, the gateway answers pings, \
            and everything else is lost without a word. proxyarp changes nothing about it. If \
            callers shall reach the gateway alone, ignore this one.",
        check: Check::Host(forward),
    },
    Rule {
        id: "rp-filter-strict",
        severity: Severity::Info,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "the reverse-path filter lets through what comes another way",
        harm: "packets that come another way than answers go are dropped",
        explanation: "Strict (1) drops a packet whose answer would leave by another interface \
            (Documentation/networking/ip-sysctl). On a ppp interface that hits networks behind \
            a caller without a route to them, on an uplink GRE and control of callers as soon \
            as there are two. The larger of conf/all and the interface's own counts; loose (2) \
            asks only whether there is any way.",
        check: Check::Host(rp_filter),
    },
    Rule {
        id: "tcp-keepalive-no-effect",
        severity: Severity::Info,
        phase: Phase::Control,
        reason: Reason::SettingHarmful,
        should: "nobody relies on TCP keepalive",
        harm: "tuned TCP keepalive does nothing here",
        explanation: "net.ipv4.tcp_keepalive_* count only for sockets with SO_KEEPALIVE \
            (tcp(7)). Neither pptpd nor accel-ppp sets it, so the values that tutorials give \
            against disconnects change nothing. Where a socket has it, it keeps the control \
            connection alive and never GRE: that is what LCP echoes are for.",
        check: Check::Host(keepalive),
    },
];

fn forward(facts: &Facts) -> Answer {
    if *facts.ip_forward.or_object("the kernel does not forward IPv4")? {
        return Ok("net.ipv4.ip_forward = 1".to_owned());
    }
    let broken = Broken::new("net.ipv4.ip_forward = 0", "1, now and in /etc/sysctl.d");
    Err(broken.mended_by("sysctl -w net.ipv4.ip_forward=1").into())
}

fn rp_filter(facts: &Facts) -> Answer {
    let interfaces = facts.interfaces.or_object("there is no interface")?;
    let mut strict = Vec::new();
    let uplinks = interfaces.iter().filter(|one| one.is_uplink && !one.is_ppp).count();
    for interface in interfaces.iter().filter(|one| one.is_uplink || one.is_ppp) {
        if *interface.rp_filter.or_object("the kernel has no reverse-path filter")? == 1 {
            strict.push(interface.name.as_str());
        }
    }
    let Some(one) = strict.first() else {
        return Ok("it is off or loose on uplink and ppp interfaces".to_owned());
    };
    let shown = strict.iter().take(5).copied().collect::<Vec<_>>().join(" ");
    let more = strict.len().saturating_sub(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let mend = format!("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{one}.rp_filter=2");
    let mut broken = Broken::new(format!("rp_filter is strict on {shown}{more}"), "2 (loose)");
    if uplinks > 1 {
        broken = broken
            .because(format!("{uplinks} uplinks: answers may leave by the other one"))
            .with_severity(Severity::Warning);
    }
    Err(broken.mended_by(mend).into())
}

fn keepalive(facts: &Facts) -> Answer {
    let time = *facts.tcp_keepalive_time.or_object("the kernel does not tell")?;
    let interval = *facts.tcp_keepalive_interval.or_object("the kernel does not tell")?;
    let probes = *facts.tcp_keepalive_probes.or_object("the kernel does not tell")?;
    if (time, interval, probes) == DEFAULTS {
        return Ok("net.ipv4.tcp_keepalive_* are untouched".to_owned());
    }
    let sockets = facts.control_sockets.or_object("no control connection tells")?;
    if sockets.is_empty() {
        return Err(Objection::Inapplicable("no control connection is open"));
    }
    let with = sockets.iter().filter(|socket| socket.keepalive).count();
    if with > 0 {
        return Ok(format!("{with} of {} control connections have SO_KEEPALIVE", sockets.len()));
    }
    let found = format!(
        "net.ipv4.tcp_keepalive_time is {} s, _intvl {} s, _probes {probes}, but none of {} control \
         connections has SO_KEEPALIVE",
        time.as_secs(),
        interval.as_secs(),
        sockets.len()
    );
    let broken = Broken::new(found, "LCP echoes instead");
    Err(broken.into())
}
