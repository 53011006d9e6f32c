//! `check_pptp_gre`: whether GRE passes in both directions, how well, and
//! which authentication the gateway would accept; without an account.

use std::ffi::OsString;
use std::io;
use std::time::Instant;

use clap::Args;
use pptp_probe::cli::{Common, Target};
use pptp_probe::net::gre::RawGre;
use pptp_probe::net::interrupt::Interrupt;
use pptp_probe::net::tap::Tap;
use pptp_probe::output::{Metric, Report};
use pptp_probe::plugin::{Check, Context};
use pptp_probe::probe::figures::{jitter, median};
use pptp_probe::probe::gre::{self, Finding, Protocol, Wish};
use pptp_probe::probe::{Gateway, Observation};
use pptp_probe::reason::{Phase, Reason};

use crate::run::{self, Run};
use crate::session;

/// LCP echoes lost that are still chance.
const CHANCE: u32 = 1;

/// The command line.
#[derive(Debug, Clone, Args)]
pub struct GreArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    common: Common,
    /// LCP Echo round trips through GRE, 1 to 1000
    #[arg(long, value_name = "N", default_value = "5")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    echoes: u32,
    /// Find out which authentication the gateway would accept, a short call for each
    #[arg(long)]
    list_auth: bool,
    /// Alert when one of these would be accepted, of none pap chap mschapv1 mschapv2 eap, with commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    forbid_auth: Vec<Protocol>,
}

impl Check for GreArgs {
    const NAME: &'static str = "PPTP GRE";
    const PROGRAM: &'static str = "check_pptp_gre";
    const ABOUT: &'static str = "Places a call on a PPTP gateway, negotiates LCP over GRE and \
        measures LCP echoes. Needs CAP_NET_RAW, but no account. Alerts when GRE is lost in either \
        direction, LCP fails, more than one echo is lost, packets come twice or out of order, \
        a forbidden authentication is accepted, or a metric is outside its range.";
    const EXAMPLES: &'static str = "Examples:\n  \
        check_pptp_gre -H 192.0.2.1 --echoes 10 -w 0.1 -c 0.5\n  \
        check_pptp_gre -H 192.0.2.1 -t 20 --list-auth --forbid-auth none,pap,chap";
    const METRICS: &'static [&'static str] = &[
        "lcp_rtt",
        "lcp_rtt_max",
        "lcp_jitter",
        "loss",
        "time",
        "resolve_time",
        "connect_time",
        "control_time",
        "call_time",
        "gre_time",
        "lcp_time",
        "gre_sent",
        "gre_received",
        "gre_lost",
        "gre_duplicates",
        "gre_reordered",
    ];
    const MAIN_METRIC: &'static str = "lcp_rtt";

    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        self.target.to_string()
    }

    fn excludes(&self, label: &str) -> Option<&'static str> {
        (self.echoes == 1 && label == "lcp_jitter").then_some("--echoes 1")
    }

    fn validate(&self) -> Result<(), String> {
        session::validate_ipv4(&self.target)
    }
}

impl GreArgs {
    fn candidates(&self) -> Vec<Protocol> {
        let wanted = |protocol: &Protocol| self.list_auth || self.forbid_auth.contains(protocol);
        Protocol::ALL.into_iter().filter(wanted).collect()
    }
}

/// Runs the check and leaves the process.
pub fn main(argv: Vec<OsString>) -> ! {
    run::main::<GreArgs>(argv)
}

impl Run for GreArgs {
    type Secrets = ();
    type Socket = RawGre;
    type Seen = Observation;

    fn secrets(&self, _: Instant) -> Result<(), Report> {
        Ok(())
    }

    fn raw_sockets(&self) -> usize {
        1
    }

    fn sockets(&self, mut open: impl FnMut() -> Result<RawGre, Report>) -> Result<RawGre, Report> {
        open()
    }

    fn aim(&mut self, host: &str, port: Option<u16>) {
        session::aim(&mut self.target, host, port);
    }

    fn gateway(&self) -> Gateway {
        session::gateway(&self.target, true)
    }

    async fn run(
        &self,
        (): (),
        raw: RawGre,
        interrupt: io::Result<Interrupt>,
        tap: &mut Tap,
        context: &Context,
    ) -> (Observation, Report) {
        let gateway = self.gateway();
        let wish = Wish { echoes: self.echoes, candidates: self.candidates() };
        let allowance = session::allowance(context);
        let (seen, findings) = gre::probe(&gateway, &wish, raw, allowance, interrupt, tap).await;
        let report = report(&self.forbid_auth, context, &seen, &findings);
        (seen, report)
    }
}

/// Judges what the path showed; touches neither the network nor the clock.
fn report(
    forbidden: &[Protocol],
    context: &Context,
    seen: &Observation,
    findings: &[Finding],
) -> Report {
    let facts = &seen.seen;
    let rtt = median(&facts.link_echoes);
    let lost = facts.link_echoes_sent.saturating_sub(facts.link_echoes.len() as u32);
    let bad: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.accepted == Some(true))
        .filter(|finding| forbidden.contains(&finding.protocol))
        .map(|finding| finding.protocol.word())
        .collect();
    let mut report = if facts.failure.is_some() || facts.phase(Phase::Lcp).is_none() {
        session::begin(context, seen, Phase::Lcp, String::new)
    } else if !bad.is_empty() {
        let text =
            format!("{} accepts {}, which is forbidden", session::name(seen), bad.join(", "));
        Report::failed(Phase::Auth, Reason::AuthForbidden, text)
    } else if lost > CHANCE {
        let text = format!("{lost} of {} LCP echoes were lost", facts.link_echoes_sent);
        Report::failed(Phase::Gre, Reason::GreLossy, text)
    } else if let Some((reason, text)) = session::gre_complaint(seen) {
        Report::failed(Phase::Gre, reason, text)
    } else {
        let rtt = rtt.map(|rtt| format!(", LCP echo {}", session::span(rtt))).unwrap_or_default();
        let name = session::name(seen);
        let auth = auth_summary(findings);
        Report::ok(format!("GRE passes both ways to {name}{rtt}, {lost} lost{auth}"))
    };
    if let (Some(rtt), Some(&max)) = (rtt, facts.link_echoes.iter().max()) {
        report = report
            .metric(Metric::seconds("lcp_rtt", rtt).judged_by(&context.thresholds))
            .metric(Metric::seconds("lcp_rtt_max", max).judged_by(&context.thresholds));
    }
    if let Some(jitter) = jitter(&facts.link_echoes) {
        report =
            report.metric(Metric::seconds("lcp_jitter", jitter).judged_by(&context.thresholds));
    }
    if facts.link_echoes_sent > 0 {
        let loss = 100.0 * f64::from(lost) / f64::from(facts.link_echoes_sent);
        let metric = Metric::percent("loss", loss).min(0.0).max(100.0);
        report = report.metric(metric.judged_by(&context.thresholds));
    }
    if facts.failure.is_none() {
        report = report.metric(Metric::seconds("time", seen.time).judged_by(&context.thresholds));
    }
    report = session::describe(report, context, seen);
    report = session::describe_gre(report, context, seen);
    if let Some(proposal) = facts.proposals.first() {
        let text = proposal.as_ref().map_or("none".to_owned(), ToString::to_string);
        report = report.fact("auth_proposed", text);
    }
    list_auth(report, findings)
}

/// Adds what was found out about authentication.
fn list_auth(mut report: Report, findings: &[Finding]) -> Report {
    if findings.is_empty() {
        return report;
    }
    let (yes, no, open) =
        (words(findings, Some(true)), words(findings, Some(false)), words(findings, None));
    let mut text = format!("authentication accepted: {}; not accepted: {}", list(&yes), list(&no));
    if !open.is_empty() {
        text.push_str(&format!("; not found out: {}", list(&open)));
    }
    let obstacle =
        |finding: &Finding| finding.obstacle.clone().filter(|_| finding.accepted.is_none());
    if let Some(obstacle) = findings.iter().find_map(obstacle) {
        text.push_str(&format!(" ({}: {})", obstacle.phase, obstacle.detail));
    }
    report = report.detail(1, text).fact("auth_accepted", yes).fact("auth_refused", no);
    if open.is_empty() { report } else { report.fact("auth_unknown", open) }
}

/// What the first line says about authentication. Only what was asked about
/// was tried: that nothing of it is accepted does not mean that nothing is.
fn auth_summary(findings: &[Finding]) -> String {
    let mut text = String::new();
    match (words(findings, Some(true)), words(findings, Some(false))) {
        (yes, _) if !yes.is_empty() => text = format!(", accepts {}", yes.join(" ")),
        (_, no) if !no.is_empty() => text = format!(", refuses {}", no.join(" ")),
        _ => {}
    }
    let open = words(findings, None);
    if !open.is_empty() {
        text.push_str(&format!(", not found out: {}", open.join(" ")));
    }
    text
}

fn words(findings: &[Finding], accepted: Option<bool>) -> Vec<String> {
    let matching = findings.iter().filter(|finding| finding.accepted == accepted);
    matching.map(|finding| finding.protocol.to_string()).collect()
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use pptp_probe::output::State;

    use super::*;
    use crate::session::tests::{parsed, passed};

    #[test]
    fn ok_only_when_lcp_was_passed() {
        let (args, context) = parsed::<GreArgs>("");
        let judged = |seen: &Observation| {
            let report = report(&args.forbid_auth, &context, seen, &[]);
            (report.state(), report.verdict().map(|verdict| (verdict.phase, verdict.reason)))
        };
        assert_eq!(judged(&passed(&[Phase::Lcp])), (State::Ok, None));
        let expected = (State::Unknown, Some((Phase::Lcp, Reason::Internal)));
        assert_eq!(judged(&passed(&[Phase::Control, Phase::Call, Phase::Gre])), expected);
    }

    #[test]
    fn headline_tells_what_was_found_out_about_authentication() {
        let finding = |word: &str, accepted| Finding {
            protocol: word.parse().unwrap(),
            accepted,
            obstacle: None,
        };
        let (pap, chap) = (finding("pap", Some(false)), finding("chap", Some(true)));
        let eap = finding("eap", None);
        for (findings, summary) in [
            (vec![], ""),
            (vec![pap.clone()], ", refuses pap"),
            (vec![pap, chap.clone()], ", accepts chap"),
            (vec![eap.clone()], ", not found out: eap"),
            (vec![chap, eap], ", accepts chap, not found out: eap"),
        ] {
            assert_eq!(auth_summary(&findings), summary);
        }
    }
}
