//! `--all-addresses`: one target at each address of its name.

use std::num::NonZeroUsize;
use std::time::Instant;

use pptp_probe::net::resolve::resolve_all;
use pptp_probe::output::{Metric, Report, State, Sub};
use pptp_probe::reason::{Phase, Reason};
use tokio::task::JoinSet;

use super::crew::Crew;
use super::plan::Aim;
use crate::run::Run;

/// Most addresses of one name.
const MOST_ADDRESSES: usize = 64;
/// How many that do not answer are named in the sentence.
const NAMED: usize = 3;

/// Probes them side by side; the addresses in their own order, which is the
/// same in every run.
pub(super) async fn probe<C: Run>(aim: &Aim<C>, crew: &Crew, number: usize) -> Report {
    let args = aim.args();
    let gateway = args.gateway();
    let deadline = Instant::now() + args.common().timeout().duration;
    let found = tokio::select! {
        found = resolve_all(&gateway.host, gateway.port, gateway.family, deadline) => found,
        () = crew.stopped() => Err((Reason::Interrupted, "interrupted while resolving".into())),
    };
    let mut addresses = match found {
        Ok(addresses) => addresses,
        Err((reason, text)) => return Report::failed(Phase::Resolve, reason, text),
    };
    addresses.sort();
    let left_out = addresses.len().saturating_sub(MOST_ADDRESSES);
    addresses.truncate(MOST_ADDRESSES);
    let mut running = JoinSet::new();
    for (index, address) in addresses.iter().enumerate() {
        let (mut args, setting, crew) = (args.clone(), aim.setting.clone(), crew.clone());
        args.aim(&address.ip().to_string(), None);
        let part = async move { (index, crew.probe(&args, &setting, number).await) };
        running.spawn_local(part);
    }
    let mut reports: Vec<Option<Report>> = addresses.iter().map(|_| None).collect();
    while let Some(ended) = running.join_next().await {
        if let Ok((index, report)) = ended {
            reports[index] = Some(report);
        }
    }
    let parts = addresses.iter().zip(reports).map(|(address, report)| {
        let lost = || Report::failed(Phase::Resolve, Reason::Internal, "the run was lost");
        Sub::of(address.ip().to_string(), report.unwrap_or_else(lost))
    });
    let report = judge(&gateway.host, parts.collect(), crew.at_least());
    match left_out {
        0 => report,
        more => report.detail(1, format!("{more} more addresses were not probed")),
    }
}

/// What the parts come to; without `at_least` every one has to answer.
fn judge(host: &str, mut parts: Vec<Sub>, at_least: Option<NonZeroUsize>) -> Report {
    let answers = |part: &Sub| matches!(part.state(), State::Ok | State::Warning);
    let (all, up) = (parts.len(), parts.iter().filter(|part| answers(part)).count());
    let needed = at_least.map_or(all, NonZeroUsize::get);
    let text = format!("{up} of {all} front ends of {host} answer");
    let worst = parts.iter().fold(State::Ok, |worst, part| worst.worst(part.state()));
    let first = parts.iter().filter(|part| part.state() == worst).find_map(Sub::verdict);
    let report = match first.filter(|_| worst != State::Ok) {
        _ if needed > all => {
            let text = format!("{text}, {needed} have to and the name has only {all} addresses");
            Report::failed(Phase::Resolve, Reason::NameNotFound, text)
        }
        None => Report::ok(text),
        Some(verdict) => {
            let failed = parts.iter().filter(|part| part.state() != State::Ok);
            let mut named: Vec<String> = failed
                .filter_map(|part| {
                    let verdict = part.verdict()?;
                    Some(format!("{} [{}/{}]", part.name(), verdict.phase, verdict.reason))
                })
                .collect();
            if named.len() > NAMED {
                let more = format!("and {} more", named.len() - NAMED);
                named.truncate(NAMED);
                named.push(more);
            }
            let state = if up < all && up >= needed { State::Warning } else { worst };
            Report::failed(verdict.phase, verdict.reason, format!("{text}: {}", named.join(", ")))
                .mend(verdict.mend.clone())
                .with_state(state)
        }
    };
    if needed <= up {
        // Told, but it is not to wake anybody.
        parts = parts
            .into_iter()
            .map(|part| if answers(&part) { part } else { part.with_state(State::Warning) })
            .collect();
    }
    let report = report
        .metric(Metric::number("addresses", all as f64).min(0.0))
        .metric(Metric::number("addresses_ok", up as f64).min(0.0).max(all as f64));
    parts.into_iter().fold(report, Report::sub_result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(states: &[bool]) -> Vec<Sub> {
        let part = |(index, ok): (usize, &bool)| {
            let name = format!("192.0.2.{}", index + 1);
            match ok {
                true => Sub::ok(name, "fine"),
                false => Sub::failed(name, Phase::Connect, Reason::Refused, "closed"),
            }
        };
        states.iter().enumerate().map(part).collect()
    }

    fn judged(states: &[bool], at_least: usize) -> (State, String) {
        let report = judge("vpn", parts(states), NonZeroUsize::new(at_least));
        (report.state(), report.headline().into_owned())
    }

    #[test]
    fn worst_address_decides_unless_fewer_are_enough() {
        let broken = [true, false, true];
        let text = "2 of 3 front ends of vpn answer: 192.0.2.2 [connect/refused]".to_owned();
        assert_eq!(judged(&broken, 0), (State::Critical, text.clone()));
        assert_eq!(judged(&broken, 2), (State::Warning, text.clone()));
        assert_eq!(judged(&broken, 3), (State::Critical, text));
        let text = "3 of 3 front ends of vpn answer".to_owned();
        assert_eq!(judged(&[true; 3], 2), (State::Ok, text));
        assert_eq!(judged(&[true; 3], 4).0, State::Critical);
    }

    #[test]
    fn first_line_names_a_few() {
        let (state, text) = judged(&[false; 9], 1);
        assert_eq!(state, State::Critical);
        assert!(text.ends_with("192.0.2.3 [connect/refused], and 6 more"), "{text}");
    }
}
