//! The catalogue of rules, and the audit that asks each of them.
//!
//! A rule is a pure function of the facts and says what is set, what is
//! advised and why. Which rules apply is decided by what is there: without
//! netfilter nobody is asked about it, without pptpd nothing about pppd. What
//! could not be read breaks no rule and passes none.
//!
//! | module | what lives there |
//! | --- | --- |
//! | `pppd`, `accel_ppp` | the options of a daemon as that daemon takes them |
//! | `keepalive` | LCP echoes, and what else ends a session |
//! | `security` | authentication and encryption |
//! | `mtu` | sizes of packets inside and outside |
//! | `pool` | addresses and name servers for callers |
//! | `kernel` | forwarding, reverse-path filter, TCP keepalive |
//! | `conntrack` | the table of tracked connections |
//! | `firewall` | what becomes of TCP 1723, GRE and answers |

pub(super) mod accel_ppp;
mod conntrack;
mod firewall;
mod keepalive;
mod kernel;
mod mtu;
mod pool;
pub(super) mod pppd;
mod security;

use super::facts::Facts;
use super::finding::{Answer, Check, Finding, Objection, Rule};
use super::known::Unread;
use accel_ppp::Accel;
pub use conntrack::{fill_percent, one_way};
use pppd::Pppd;

const NO_POPTOP: &str = "there is no pptpd";
const NO_ACCEL_PPP: &str = "there is no accel-ppp";

/// What an audit came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// What is wrong, in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// Rules that are kept, and what is set.
    pub passed: Vec<(&'static Rule, String)>,
    /// What a rule needed and could not be read, each once.
    pub unread: Vec<Unread>,
    /// Rules that could not be told, because something was not read.
    pub untold: Vec<&'static Rule>,
    /// Rules that do not apply to this host, and why.
    pub inapplicable: Vec<(&'static Rule, &'static str)>,
}

/// Every rule, by theme. Identifiers never change.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let rooms = [
        keepalive::RULES,
        security::RULES,
        mtu::RULES,
        pool::RULES,
        kernel::RULES,
        conntrack::RULES,
        firewall::RULES,
    ];
    rooms.into_iter().flatten()
}

/// Asks every rule.
pub fn audit(facts: &Facts) -> Audit {
    let mut audit = Audit::default();
    for rule in rules() {
        audit.take(rule, ask(rule, facts));
    }
    audit
}

fn ask(rule: &Rule, facts: &Facts) -> Vec<Answer> {
    let (poptop, accel) = match rule.check {
        Check::Host(check) => return vec![check(facts)],
        Check::Daemons(poptop, accel) => (poptop, accel),
    };
    let mut answers = Vec::new();
    if let Some(check) = poptop {
        let known = facts.poptop.or_object(NO_POPTOP);
        answers.push(known.and_then(Pppd::new).and_then(|pppd| check(&pppd, facts)));
    }
    if let Some(check) = accel {
        let known = facts.accel_ppp.or_object(NO_ACCEL_PPP);
        answers.push(known.and_then(Accel::new).and_then(|accel| check(&accel, facts)));
    }
    answers
}

impl Audit {
    /// The worst answer of several counts: broken, not read, passed.
    fn take(&mut self, rule: &'static Rule, answers: Vec<Answer>) {
        let (mut broken, mut unread) = (false, false);
        let (mut passed, mut reason) = (Vec::new(), None);
        for answer in answers {
            match answer {
                Ok(text) => passed.push(text),
                Err(Objection::Broken(found)) => {
                    broken = true;
                    self.findings.push(found.of(rule));
                }
                // That the other daemon is not there says less.
                Err(Objection::Inapplicable(why)) => match reason {
                    Some(_) if why == NO_ACCEL_PPP => {}
                    _ => reason = Some(why),
                },
                Err(Objection::Unread(what)) => {
                    unread = true;
                    if !self.unread.contains(&what) {
                        self.unread.push(what);
                    }
                }
            }
        }
        match reason {
            _ if broken => {}
            _ if unread => self.untold.push(rule),
            _ if !passed.is_empty() => self.passed.push((rule, passed.join("; "))),
            Some(why) => self.inapplicable.push((rule, why)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
