//! Checks that call the gateway of a test bed with its account.

use std::process::Command;

use crate::bed::Bed;
use crate::seen::Seen;

pub(crate) const GATEWAY: &str = "10.77.0.2";
pub(crate) const USER: &str = "probe";
pub(crate) const PASSWORD: &str = "Pr0be-secret";
/// What the guest needs to end pppd and pptpctrl after the last message.
const SETTLE: &str = "8";

impl Bed {
    /// Runs a check in the bed's network, once whoever called before is gone:
    /// while a child of pptpd ends, its manager drops who comes, for its wait for
    /// the first packet is interrupted. Whoever stays is waited for a second.
    pub(crate) fn check(&self, binary: &str, arguments: &str, password: &str) -> Seen {
        self.must(&["sessions", "--wait", "1"]);
        Seen::new(&self.check_command(binary, arguments, password).output().expect("check runs"))
    }

    pub(crate) fn check_command(&self, binary: &str, arguments: &str, password: &str) -> Command {
        let mut command = self.command(&["exec", binary, "-o", "json"]);
        command.args(arguments.split_whitespace()).env("PROBE_PASSWORD", password);
        command
    }

    /// Processes of sessions that are left in the gateway.
    pub(crate) fn sessions(&self) -> String {
        self.must(&["sessions", "--wait", SETTLE])
    }
}

pub(crate) fn login(more: &str) -> String {
    format!("-H {GATEWAY} -u {USER} --password-env PROBE_PASSWORD {more}")
}

/// A metric of the whole, or of the first step that has it.
pub(crate) fn metric(seen: &Seen, label: &str) -> f64 {
    let steps = seen.json["sub"].as_array().into_iter().flatten();
    let metrics =
        std::iter::once(&seen.json).chain(steps).filter_map(|of| of["metrics"].as_array());
    let found = metrics.flatten().find(|metric| metric["label"] == label);
    found.and_then(|metric| metric["value"].as_f64()).unwrap_or(f64::NAN)
}
