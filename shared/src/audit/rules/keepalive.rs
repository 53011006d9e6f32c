//! LCP echoes, and what else ends a session that is well.
//!
//! pppd sends an echo each interval and gives up after so many without an
//! answer. accel-ppp does the same, but ends a session only when one more is
//! due, and with `lcp-echo-timeout` sends none while packets come in and for
//! that long after the last (accel-pppd/ppp/ppp_lcp.c).

use std::ops::RangeInclusive;
use std::time::Duration;

use super::accel_ppp::{self, Accel};
use super::pppd::{self, Pppd};
use crate::audit::facts::Facts;
use crate::audit::finding::{Answer, Broken, Check, Objection, Rule, Severity};
use crate::reason::{Phase, Reason};

/// Seconds of silence that are good: more often is load for nothing and ends
/// sessions over a short loss, and many NATs forget GRE after a minute.
const SILENCE: RangeInclusive<u32> = 20..=60;
/// The one that is advised.
const ADVISED_SILENCE: u64 = 30;
/// Echoes without an answer that are good.
const FAILURES: RangeInclusive<u32> = 3..=6;

const NO_ECHO: &str = "no LCP echo is sent";

/// Every rule of this room.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "lcp-echo-missing",
        severity: Severity::Critical,
        phase: Phase::Lcp,
        reason: Reason::SettingHarmful,
        should: "LCP echoes keep idle sessions alive and find dead ones",
        harm: "idle sessions are forgotten on the way, dead ones stay",
        explanation: "Neither pppd nor accel-ppp sends LCP Echo-Requests by itself: \
            lcp-echo-interval has to be above 0. Without them an idle session sends no GRE at \
            all, so that connection tracking and NATs on the way forget it, and a session whose \
            GRE is dead keeps its address and place. lcp-echo-failure alone does nothing. The \
            control connection is no substitute: pptpd sends an Echo-Request there after 60 s \
            and waits 60 s, which finds a caller that is gone but not GRE that is blocked, and \
            nothing on TCP refreshes GRE. TCP keepalive in sysctl does not help either.",
        check: Check::Daemons(Some(pppd_echo), Some(accel_echo)),
    },
    Rule {
        id: "lcp-echo-failure-missing",
        severity: Severity::Warning,
        phase: Phase::Lcp,
        reason: Reason::SettingHarmful,
        should: "it is set how many LCP echoes may stay unanswered",
        harm: "unanswered echoes end no session, or the first one does",
        explanation: "pppd without lcp-echo-failure sends echoes and ignores that nobody answers. \
            accel-ppp without it ends a session over the first echo that is lost, with \
            lcp-echo-timeout too: its manual says that the number is not used then, but the \
            daemon still compares with it.",
        check: Check::Daemons(Some(pppd_failure_set), Some(accel_failure_set)),
    },
    Rule {
        id: "lcp-echo-interval-range",
        severity: Severity::Warning,
        phase: Phase::Lcp,
        reason: Reason::SettingHarmful,
        should: "an idle session is silent for 20 to 60 s",
        harm: "NATs forget idle sessions, or a short loss ends them",
        explanation: "Many NATs and firewalls forget GRE that is silent for a minute; Linux \
            without the PPTP helper after 30 s (nf_conntrack_gre_timeout), with it after 180 s. \
            Below 20 s echoes of many sessions are load, and a few lost in one burst end \
            sessions that are well. With lcp-echo-timeout accel-ppp sends no echo until that \
            time has passed without a packet, so that time is the silence.",
        check: Check::Daemons(Some(pppd_silence), Some(accel_silence)),
    },
    Rule {
        id: "lcp-echo-failure-range",
        severity: Severity::Warning,
        phase: Phase::Lcp,
        reason: Reason::SettingHarmful,
        should: "3 to 6 unanswered LCP echoes end a session",
        harm: "a short loss ends sessions, or dead ones stay for minutes",
        explanation: "One or two lost echoes happen on any busy path, and GRE is not sent again. \
            More than six only delays. pppd ends a session when so many echoes are unanswered \
            and the next one is due; accel-ppp when there is one more than lcp-echo-failure.",
        check: Check::Daemons(Some(pppd_failures), Some(accel_failures)),
    },
    Rule {
        id: "lcp-echo-conntrack",
        severity: Severity::Critical,
        phase: Phase::Gre,
        reason: Reason::SettingHarmful,
        should: "LCP echoes come more often than connection tracking forgets GRE",
        harm: "the host's own connection tracking forgets idle sessions",
        explanation: "Where the firewall lets GRE in only as what the PPTP helper expects, the \
            helper expects it once, when the call is made. If the entry times out, the caller's \
            packets are new and dropped although both ends hold the session for alive. What \
            counts is the time between two packets (lcp-echo-interval), not that time multiplied \
            by lcp-echo-failure. The time is nf_conntrack_gre_timeout_stream, 180 s by default, \
            in current kernels also for what the helper expected: the hours that older texts \
            name are overwritten with the first packet. Where GRE is accepted by a rule of its \
            own nothing is lost, and this does not apply.",
        check: Check::Daemons(Some(pppd_conntrack), Some(accel_conntrack)),
    },
    Rule {
        id: "idle-disconnect",
        severity: Severity::Warning,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "sessions do not end for being idle",
        harm: "sessions drop when nobody types",
        explanation: "idle counts only a user's packets; LCP echoes do not help. Users see \
            disconnects at random. It was meant for lines that cost by the minute.",
        check: Check::Daemons(Some(idle), None),
    },
    Rule {
        id: "session-time-limit",
        severity: Severity::Info,
        phase: Phase::Data,
        reason: Reason::SettingHarmful,
        should: "no session ends for being old",
        harm: "every session is cut after a fixed time",
        explanation: "maxconnect of pppd and session-timeout of accel-ppp end each session after \
            that time, busy or not. A RADIUS server can do the same by Session-Timeout, which \
            this audit does not see.",
        check: Check::Daemons(Some(maxconnect), Some(session_timeout)),
    },
    Rule {
        id: "persist-on-server",
        severity: Severity::Warning,
        phase: Phase::Lcp,
        reason: Reason::SettingHarmful,
        should: "pppd ends with its call",
        harm: "pppd outlives its call and holds its address",
        explanation: "persist and demand are for the side that dials: pppd tries to open the \
            link again. pptpd's pppd cannot call anybody, so it only lives on beside the next \
            call of the same user. holdoff and maxfail have an effect only with them.",
        check: Check::Daemons(Some(persist), None),
    },
    Rule {
        id: "control-echo-missing",
        severity: Severity::Info,
        phase: Phase::Control,
        reason: Reason::SettingHarmful,
        should: "the control connection is kept alive by Echo-Requests",
        harm: "an idle control connection depends on the caller's echoes",
        explanation: "RFC 2637, section 2.5, asks for an Echo-Request after 60 s of silence. \
            pptpd sends it and cannot be told otherwise; accel-ppp sends none unless \
            echo-interval in [pptp] is above 0. Then only the caller's own requests keep a NAT \
            from forgetting the connection, and when it ends the session ends.",
        check: Check::Daemons(Some(pptpd_control_echo), Some(accel_control_echo)),
    },
];

/// Where a rule needs echoes: their interval in seconds.
fn pppd_interval(pppd: &Pppd<'_>) -> Result<u32, Objection> {
    let interval = pppd.number("lcp-echo-interval").map(|(seconds, _)| seconds);
    interval.ok_or(Objection::Inapplicable(NO_ECHO))
}

fn pppd_echo(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    if let Some((_, setting)) = pppd.number("lcp-echo-interval") {
        return Ok(pppd::shown(setting));
    }
    let found = match (pppd.last(&["lcp-echo-interval"]), pppd.number("lcp-echo-failure")) {
        (Some(setting), _) => format!("pppd sends no echo: {}", pppd::shown(setting)),
        (None, Some((_, failure))) => format!(
            "pppd has no lcp-echo-interval; {} does nothing without it",
            pppd::shown(failure)
        ),
        (None, None) => "pppd has no lcp-echo-interval".to_owned(),
    };
    let mut mend = pppd.set("lcp-echo-interval", "30");
    if pppd.number("lcp-echo-failure").is_none() {
        mend = format!("{mend}; {}", pppd.set("lcp-echo-failure", "4"));
    }
    let broken = Broken::new(found, "lcp-echo-interval 30 and lcp-echo-failure 4");
    Err(broken.because("30 s x 4 = 120 s until a dead session ends").mended_by(mend).into())
}

fn pppd_failure_set(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let interval = pppd_interval(pppd)?;
    if let Some((_, setting)) = pppd.number("lcp-echo-failure") {
        return Ok(pppd::shown(setting));
    }
    let found = format!("pppd sends echoes each {interval} s, but has no lcp-echo-failure");
    let broken = Broken::new(found, "lcp-echo-failure 4");
    let arithmetic = format!("{interval} s x 4 = {} s until a dead session ends", interval * 4);
    Err(broken.because(arithmetic).mended_by(pppd.set("lcp-echo-failure", "4")).into())
}

fn pppd_silence(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let interval = pppd_interval(pppd)?;
    let setting = pppd.last(&["lcp-echo-interval"]).map(pppd::shown).unwrap_or_default();
    judge_silence(interval, setting, || pppd.set("lcp-echo-interval", "30"))
}

fn pppd_failures(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let interval = pppd_interval(pppd)?;
    let (failures, setting) =
        pppd.number("lcp-echo-failure").ok_or(Objection::Inapplicable("it is not set"))?;
    let mend = || pppd.set("lcp-echo-failure", "4");
    judge_failures(failures, interval, pppd::shown(setting), "lcp-echo-failure 4", mend)
}

fn pppd_conntrack(pppd: &Pppd<'_>, facts: &Facts) -> Answer {
    let interval = pppd_interval(pppd)?;
    let setting = pppd.last(&["lcp-echo-interval"]).map(pppd::shown).unwrap_or_default();
    judge_conntrack(facts, interval, setting, || pppd.set("lcp-echo-interval", "30"))
}

/// What accel-ppp makes of its three options.
struct AccelEcho {
    /// Seconds between echoes.
    interval: u32,
    /// Longest silence of an idle session, seconds.
    silence: u32,
    /// Echoes sent before a session is given up.
    echoes: u32,
    /// What is set.
    text: String,
}

fn accel_echoes(accel: &Accel<'_>) -> Result<AccelEcho, Objection> {
    let interval = accel.number("ppp", "lcp-echo-interval");
    let interval = interval.ok_or(Objection::Inapplicable(NO_ECHO))?;
    let timeout = accel.number("ppp", "lcp-echo-timeout").unwrap_or(0);
    // A packet is noticed with the next tick; the echo goes with the first
    // tick that is late enough after it.
    let ticks = timeout.div_ceil(interval);
    let text = ["lcp-echo-interval", "lcp-echo-failure", "lcp-echo-timeout"];
    let text = text.iter().filter_map(|name| accel.option("ppp", name)).map(accel_ppp::shown);
    Ok(AccelEcho {
        interval,
        silence: interval.saturating_add(interval.saturating_mul(ticks)),
        echoes: accel.number("ppp", "lcp-echo-failure").unwrap_or(0).saturating_add(1),
        text: text.collect::<Vec<_>>().join(", "),
    })
}

fn accel_echo(accel: &Accel<'_>, _: &Facts) -> Answer {
    match accel_echoes(accel) {
        Ok(echo) => Ok(echo.text),
        Err(_) => {
            let found = "accel-ppp has no lcp-echo-interval above 0 in [ppp]";
            let broken = Broken::new(found, "lcp-echo-interval=30 and lcp-echo-failure=3")
                .because("30 s x (3 + 1) = 120 s until a dead session ends");
            let mend = accel.set("ppp", "lcp-echo-interval", "30");
            Err(broken.mended_by(mend).into())
        }
    }
}

fn accel_failure_set(accel: &Accel<'_>, _: &Facts) -> Answer {
    let echo = accel_echoes(accel)?;
    if echo.echoes > 1 {
        return Ok(echo.text);
    }
    let found = format!("accel-ppp has no lcp-echo-failure in [ppp]: {}", echo.text);
    let broken = Broken::new(found, "lcp-echo-failure=3")
        .because("0 + 1 = 1: the first echo without an answer ends the session");
    Err(broken.mended_by(accel.set("ppp", "lcp-echo-failure", "3")).into())
}

fn accel_silence(accel: &Accel<'_>, _: &Facts) -> Answer {
    let echo = accel_echoes(accel)?;
    let timeout = accel.option("ppp", "lcp-echo-timeout");
    judge_silence(echo.silence, echo.text, || match timeout {
        Some(_) => accel.set("ppp", "lcp-echo-timeout", "0"),
        None => accel.set("ppp", "lcp-echo-interval", "30"),
    })
}

fn accel_failures(accel: &Accel<'_>, _: &Facts) -> Answer {
    let echo = accel_echoes(accel)?;
    if echo.echoes == 1 {
        return Err(Objection::Inapplicable("it is not set"));
    }
    let mend = || accel.set("ppp", "lcp-echo-failure", "3");
    judge_failures(echo.echoes, echo.interval, echo.text, "lcp-echo-failure=3", mend)
}

fn accel_conntrack(accel: &Accel<'_>, facts: &Facts) -> Answer {
    let echo = accel_echoes(accel)?;
    judge_conntrack(facts, echo.silence, echo.text, || accel.set("ppp", "lcp-echo-interval", "30"))
}

fn judge_silence(silence: u32, set: String, mend: impl FnOnce() -> String) -> Answer {
    if SILENCE.contains(&silence) {
        return Ok(set);
    }
    let arithmetic = if silence > *SILENCE.end() {
        format!("silent for up to {silence} s, above the 60 s after which many NATs forget GRE")
    } else {
        format!("60 s / {silence} s = {} echoes a minute and session", 60 / silence.max(1))
    };
    let broken = Broken::new(set, "an echo each 20 to 60 s, such as lcp-echo-interval 30");
    Err(broken.because(arithmetic).mended_by(mend()).into())
}

fn judge_failures(
    echoes: u32,
    interval: u32,
    set: String,
    advised: &str,
    mend: impl FnOnce() -> String,
) -> Answer {
    let total = u64::from(interval) * u64::from(echoes);
    let arithmetic = format!("{interval} s x {echoes} = {total} s until a dead session ends");
    if FAILURES.contains(&echoes) {
        return Ok(format!("{set}: {arithmetic}"));
    }
    Err(Broken::new(set, advised).because(arithmetic).mended_by(mend()).into())
}

fn judge_conntrack(
    facts: &Facts,
    silence: u32,
    set: String,
    mend: impl FnOnce() -> String,
) -> Answer {
    let firewall = facts.firewall.or_object("there is no firewall")?;
    let conntrack = facts.conntrack.or_object("nothing is tracked")?;
    if !firewall.gre_needs_helper {
        return Err(Objection::Inapplicable("GRE comes in without connection tracking"));
    }
    let kept = conntrack.gre_timeout_stream.or_object("the kernel does not tell")?;
    if Duration::from_secs(silence.into()) < *kept {
        return Ok(format!("{set}: {silence} s, below {} s", kept.as_secs()));
    }
    let arithmetic = format!(
        "silent for up to {silence} s, but nf_conntrack_gre_timeout_stream is {} s",
        kept.as_secs()
    );
    // The echo that is advised would come too late as well.
    let broken = if *kept <= Duration::from_secs(ADVISED_SILENCE) {
        let advised = "180 s for nf_conntrack_gre_timeout_stream, now and in /etc/sysctl.d";
        let mend = "sysctl -w net.netfilter.nf_conntrack_gre_timeout_stream=180";
        Broken::new(set, advised).mended_by(mend)
    } else {
        Broken::new(set, "an echo more often than the entry times out").mended_by(mend())
    };
    Err(broken.because(arithmetic).into())
}

fn idle(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let Some((seconds, setting)) = pppd.number("idle") else {
        return Ok("idle is not set".to_owned());
    };
    let broken = Broken::new(pppd::shown(setting), "no idle");
    let arithmetic = format!("{seconds} s without a user's packet end the session");
    Err(broken.because(arithmetic).mended_by(pppd.remove(setting)).into())
}

fn maxconnect(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    let Some((seconds, setting)) = pppd.number("maxconnect") else {
        return Ok("maxconnect is not set".to_owned());
    };
    let broken = Broken::new(pppd::shown(setting), "no maxconnect, if that is not meant");
    let arithmetic = format!("each session ends after {seconds} s");
    Err(broken.because(arithmetic).mended_by(pppd.remove(setting)).into())
}

fn session_timeout(accel: &Accel<'_>, _: &Facts) -> Answer {
    let section = ["pptp", "common"].into_iter().find_map(|section| {
        Some((accel.number(section, "session-timeout")?, accel.option(section, "session-timeout")?))
    });
    let Some((seconds, option)) = section else {
        return Ok("session-timeout is not set".to_owned());
    };
    let broken = Broken::new(accel_ppp::shown(option), "no session-timeout, if that is not meant");
    let arithmetic = format!("each session ends after {seconds} s");
    Err(broken.because(arithmetic).mended_by(accel.remove(option)).into())
}

fn persist(pppd: &Pppd<'_>, _: &Facts) -> Answer {
    match pppd.last(&["persist", "nopersist", "demand"]) {
        Some(setting) if *setting.name != *b"nopersist" => {
            let broken = Broken::new(pppd::shown(setting), "neither persist nor demand");
            Err(broken.mended_by(pppd.remove(setting)).into())
        }
        _ => Ok("neither persist nor demand is set".to_owned()),
    }
}

fn pptpd_control_echo(_: &Pppd<'_>, _: &Facts) -> Answer {
    Ok("pptpd sends an Echo-Request after 60 s of silence".to_owned())
}

fn accel_control_echo(accel: &Accel<'_>, _: &Facts) -> Answer {
    if let Some(option) = accel.option("pptp", "echo-interval")
        && accel.number("pptp", "echo-interval").is_some()
    {
        return Ok(accel_ppp::shown(option));
    }
    let found = "accel-ppp has no echo-interval above 0 in [pptp]";
    let broken = Broken::new(found, "echo-interval=60");
    Err(broken.mended_by(accel.set("pptp", "echo-interval", "60")).into())
}
