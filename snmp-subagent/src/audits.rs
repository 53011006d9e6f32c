//! The thread that audits the gateway's host, and what it tells the collector.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use pptp_probe::audit::facts::Facts;
use pptp_probe::audit::finding::Finding;
use pptp_probe::audit::firewall::Firewall;
use pptp_probe::audit::known::Unread;
use pptp_probe::audit::rules;
use pptp_probe::gateway::Root;

use crate::collector::Told;
use crate::config::{Config, UNREAD};
use crate::facts::Severity;
use crate::keeper::Found;

/// How long the programs that tell of the firewall may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Audits the host every so often, from a thread that ends when nobody
/// listens.
///
/// # Errors
/// When no thread can be made.
pub fn watch(config: Arc<Config>, told: Sender<Told>) -> io::Result<()> {
    let builder = std::thread::Builder::new().name("audit".to_owned());
    builder.spawn(move || {
        while told.send(Told::Audit(audit(&config))).is_ok() {
            std::thread::sleep(config.audit.interval);
        }
    })?;
    Ok(())
}

/// What there is to say of the host as it is configured, the worst first,
/// without what nobody wants to hear of.
pub fn audit(config: &Config) -> Vec<Found> {
    let root = Root::new(config.audit.root.as_ref().unwrap_or(&config.collect.root));
    let facts = Facts::gather(&root, Firewall::of, Instant::now() + PATIENCE);
    let audit = rules::audit(&facts);
    let findings = audit.findings.into_iter().map(found);
    let mut all: Vec<_> = findings.chain(audit.unread.into_iter().map(unread)).collect();
    all.retain(|found| !config.audit.ignore.iter().any(|id| **id == *found.id));
    all.sort_by_key(|found| std::cmp::Reverse(found.severity));
    all
}

fn found(finding: Finding) -> Found {
    let Finding { rule, severity, found, advised, arithmetic, mend } = finding;
    Found {
        id: rule.id.into(),
        severity: severity.into(),
        found: found.into(),
        advised: advised.into(),
        arithmetic: arithmetic.into(),
        mend: mend.into(),
    }
}

fn unread(unread: Unread) -> Found {
    Found {
        id: UNREAD.into(),
        severity: Severity::Unknown,
        found: format!("{}: {}", unread.what, unread.why).into(),
        advised: "let the audit read it".into(),
        arithmetic: "".into(),
        mend: unread.mend.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Audit, Collect};

    #[test]
    fn recorded_gateway_has_findings_of_which_some_may_be_ignored() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/gateway");
        let root = std::path::Path::new(fixtures).join("poptop-two-sessions");
        let collect = Collect { root, ..Collect::default() };
        let config = Config { collect, ..Config::default() };
        let all = audit(&config);
        assert!(all.is_sorted_by(|a, b| a.severity >= b.severity));
        let first = all.first().expect("it lacks much of what an audit reads").id.to_string();
        let ignore = vec![first.clone()];
        let without = audit(&Config { audit: Audit { ignore, ..Audit::default() }, ..config });
        assert!(without.len() < all.len() && without.iter().all(|found| *found.id != *first));
    }
}
