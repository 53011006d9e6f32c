//! `check_pptp_control`: the control connection of a PPTP gateway, and
//! nothing beyond it.

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
use pptp_probe::probe::figures::median;
use pptp_probe::probe::{Gateway, Observation, control_connection};
use pptp_probe::reason::Phase;

use crate::run::{self, Run};
use crate::session;

/// The command line.
#[derive(Debug, Clone, Args)]
pub struct ControlArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    common: Common,
    /// Echo round trips over the control connection, 0 to 1000
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    echoes: u32,
}

impl Check for ControlArgs {
    const NAME: &'static str = "PPTP CONTROL";
    const PROGRAM: &'static str = "check_pptp_control";
    const ABOUT: &'static str = "Opens the control connection of a PPTP gateway (TCP 1723): \
        Start-Control-Connection, Echo round trips, Stop. Needs no right and no account. \
        Alerts when the name, TCP, the protocol or an echo fails, or a time is outside its range.";
    const EXAMPLES: &'static str = "Examples:\n  \
        check_pptp_control -H 192.0.2.1\n  \
        check_pptp_control -H 192.0.2.1 --echoes 5 -w 0.5 -c 2 --threshold echo_rtt=0.1/0.5";
    const METRICS: &'static [&'static str] =
        &["time", "resolve_time", "connect_time", "control_time", "echo_rtt", "echo_rtt_max"];
    const MAIN_METRIC: &'static str = "time";

    fn common(&self) -> &Common {
        &self.common
    }

    fn target(&self) -> String {
        self.target.to_string()
    }

    fn excludes(&self, label: &str) -> Option<&'static str> {
        (self.echoes == 0 && label.starts_with("echo_rtt")).then_some("--echoes 0")
    }

    fn validate(&self) -> Result<(), String> {
        self.target.validate()
    }
}

/// Runs the check and leaves the process.
pub fn main(argv: Vec<OsString>) -> ! {
    run::main::<ControlArgs>(argv)
}

impl Run for ControlArgs {
    type Secrets = ();
    type Socket = ();
    type Seen = Observation;

    fn secrets(&self, _: Instant) -> Result<(), Report> {
        Ok(())
    }

    fn sockets(&self, _: impl FnMut() -> Result<RawGre, Report>) -> Result<(), Report> {
        Ok(())
    }

    fn aim(&mut self, host: &str, port: Option<u16>) {
        session::aim(&mut self.target, host, port);
    }

    fn gateway(&self) -> Gateway {
        session::gateway(&self.target, false)
    }

    async fn run(
        &self,
        (): (),
        (): (),
        interrupt: io::Result<Interrupt>,
        tap: &mut Tap,
        context: &Context,
    ) -> (Observation, Report) {
        let gateway = self.gateway();
        let allowance = session::allowance(context);
        let seen =
            control_connection::probe(&gateway, self.echoes, allowance, interrupt, tap).await;
        let report = report(context, &seen);
        (seen, report)
    }
}

/// Judges what the gateway showed; touches neither the network nor the clock.
fn report(context: &Context, seen: &Observation) -> Report {
    let echoes = &seen.seen.control_echoes;
    let rtt = median(echoes);
    let mut report = session::begin(context, seen, Phase::Control, || {
        let echo = rtt.map(|rtt| format!(", echo {}", session::span(rtt))).unwrap_or_default();
        format!(
            "{} accepts control connections, {}{echo}",
            session::name(seen),
            session::span(seen.time)
        )
    });
    if seen.seen.failure.is_none() {
        report = report.metric(Metric::seconds("time", seen.time).judged_by(&context.thresholds));
    }
    report = session::describe(report, context, seen);
    if let (Some(rtt), Some(&max)) = (rtt, echoes.iter().max()) {
        report = report
            .metric(Metric::seconds("echo_rtt", rtt).judged_by(&context.thresholds))
            .metric(Metric::seconds("echo_rtt_max", max).judged_by(&context.thresholds))
            .fact("echoes", echoes.len() as f64);
    }
    report
}

#[cfg(test)]
mod tests {
    use pptp_probe::output::State;
    use pptp_probe::reason::Reason;

    use super::*;
    use crate::session::tests::{parsed, passed};

    #[test]
    fn ok_only_when_control_was_passed() {
        let (_, context) = parsed::<ControlArgs>("");
        let judged = |seen: &Observation| {
            let report = report(&context, seen);
            (report.state(), report.verdict().map(|verdict| (verdict.phase, verdict.reason)))
        };
        assert_eq!(judged(&passed(&[Phase::Control])), (State::Ok, None));
        let expected = (State::Unknown, Some((Phase::Control, Reason::Internal)));
        assert_eq!(judged(&passed(&[Phase::Resolve, Phase::Connect])), expected);
    }
}
