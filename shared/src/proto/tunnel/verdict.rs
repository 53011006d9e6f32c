//! What it means that a session did not get further: which layer, and which
//! direction.

use std::time::{Duration, Instant};

use super::{Stage, Tunnel};
use crate::proto::Failure;
use crate::reason::{Phase, Reason};
use crate::wire::ip::unreachable_name;

impl Tunnel {
    /// What is wrong with GRE when the link does not come up; `None` when
    /// frames go both ways.
    pub(super) fn gre_verdict(&self, now: Instant) -> Option<Failure> {
        let (Some(gre), Some(link)) = (&self.gre, &self.link) else { return None };
        let waited = span(now.duration_since(self.gre_since));
        let counters = gre.counters();
        if link.answered() {
            return None;
        }
        if let Some((code, from)) = self.unreachable {
            let detail = format!(
                "{from} answers our GRE with ICMP {} (code {code})",
                unreachable_name(code)
            );
            return Some(Failure::new(Phase::Gre, Reason::GreUnreachable, detail));
        }
        if counters.received == 0 && counters.acks_received == 0 {
            if let Some(id) = self.strays.first() {
                let detail =
                    format!("GRE came back under call id {id} instead of {}", self.call_id);
                return Some(Failure::new(Phase::Gre, Reason::GreWrongCallId, detail));
            }
            let detail = format!(
                "control up, but no GRE came back in {waited}: gateway's GRE is blocked on the way to us"
            );
            return Some(Failure::new(Phase::Gre, Reason::GreInboundSilent, detail));
        }
        if counters.acks_received == 0 {
            let detail = format!(
                "gateway's GRE arrives, but ours stayed unanswered for {waited}: our GRE is blocked on the way to it"
            );
            return Some(Failure::new(Phase::Gre, Reason::GreOutboundSilent, detail));
        }
        if link.lcp_counters().requests_received == 0 {
            let detail = format!("GRE works both ways, but the gateway spoke no LCP in {waited}");
            return Some(Failure::new(Phase::Lcp, Reason::Silent, detail));
        }
        None
    }

    pub(super) fn expired(&self, now: Instant) -> Failure {
        let stage = self.stage();
        let waited = span(now.duration_since(self.phase_started));
        let (phase, reason) = match self.stage {
            Stage::Control => {
                let pending = match self.control.pending() {
                    0 => String::new(),
                    n => format!(", {n} octets of one came"),
                };
                return Failure::new(
                    Phase::Control,
                    Reason::Silent,
                    format!(
                        "TCP connected, but no Start-Control-Connection-Reply in {waited}{pending}"
                    ),
                );
            }
            Stage::ControlEcho { .. } => (Phase::Control, Reason::EchoSilent),
            Stage::Call => (Phase::Call, Reason::Silent),
            Stage::Link => {
                if let Some(failure) = self.gre_verdict(now) {
                    return failure;
                }
                let quiet = self.gre_last_input.map(|at| now.duration_since(at));
                let lost = self.gre.as_ref().is_some_and(|gre| !gre.all_acknowledged());
                match (quiet, &self.link) {
                    (Some(quiet), _) if quiet >= self.patience / 2 && lost => {
                        let detail = format!(
                            "GRE worked and then stopped: nothing came for {} while {stage}",
                            span(quiet)
                        );
                        return Failure::new(Phase::Gre, Reason::GreStopped, detail);
                    }
                    (_, Some(link)) if link.phase() == Phase::Lcp && link.answered() => {
                        (Phase::Lcp, Reason::LcpNotConverging)
                    }
                    (_, Some(link)) => (link.phase(), Reason::Silent),
                    (_, None) => (Phase::Call, Reason::Silent),
                }
            }
            Stage::LinkEcho { .. } if self.seen.link_echoes.is_empty() => {
                (Phase::Gre, Reason::GreStopped)
            }
            Stage::LinkEcho { .. } => (Phase::Gre, Reason::GreLossy),
            _ => (Phase::Data, Reason::Silent),
        };
        Failure::new(phase, reason, format!("still {stage} after {waited}"))
    }
}

/// A duration for people: `38 ms`, `4.0 s`.
pub(super) fn span(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}
