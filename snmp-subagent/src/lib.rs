//! How probe results are numbered in the PPTP MIBs, and what serves them.
//!
//! Read the modules in this order; each uses only those above it.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`mib_text`] | `mibs/` as a table |
//! | [`oid`], [`value`] | names and values of managed objects |
//! | [`view`] | what a front end reads, whoever fills it |
//! | [`probe`] | one of the checks as part of this program, on a schedule or for whoever asks |
//! | [`config`] | the configuration file |
//! | [`facts`] | everything that is served at one moment |
//! | [`served`] | facts as variables: one `match` a table from column to field |
//! | [`synthetic`] | facts that are made up, for load tests |
//! | [`alarms`] | notifications, and how many of a kind go out |
//! | [`people`], [`keeper`] | looks at gateways, kept and made into facts |
//! | [`agentx`] | the subagent's side of AgentX: octets and the session |
//! | [`snmp`] | the agent of our own, for a host without a master: requests and notifications |
//! | [`cli`] | the command line |
//! | [`log`] | what an operator is told |
//! | [`agentx_io`] | the AgentX session with a socket and a clock |
//! | [`udp`], [`http`], [`own`] | sockets of the agent of our own and of the pages for Prometheus |
//! | [`metrics`] | facts as a page for Prometheus |
//! | [`sources`], [`collector`] | the thread that reads gateways and publishes facts |
//! | [`logs`], [`audits`] | the threads that follow logs and audit the gateway's host |
//! | [`schedule`] | when the probes run |
//! | [`once`] | what `--once` prints |
//! | [`daemon`] | all of it side by side, signals, systemd |
//!
//! Phases and reasons have one number each, for ever; `mibs/` gives the same
//! numbers to every SNMP manager. The tests hold the two against each other.

pub mod agentx;
pub mod agentx_io;
pub mod alarms;
pub mod audits;
pub mod cli;
pub mod collector;
pub mod config;
pub mod daemon;
pub mod facts;
pub mod http;
pub mod keeper;
pub mod log;
pub mod logs;
pub mod metrics;
pub mod mib_text;
pub mod oid;
pub mod once;
pub mod own;
pub mod people;
pub mod probe;
pub mod schedule;
pub mod served;
pub mod snmp;
pub mod sources;
pub mod synthetic;
pub mod udp;
pub mod value;
pub mod view;

/// Root of everything in `mibs/`, under NET-SNMP's netSnmpPlaypen
/// (1.3.6.1.4.1.8072.9999.9999), which is meant for private use.
pub const ROOT: [u32; 10] = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 1723];

/// What every root lies below (RFC 2578).
pub const ENTERPRISES: [u32; 6] = [1, 3, 6, 1, 4, 1];

/// The label of a word in an SMIv2 enumeration (RFC 2578, section 7.1.1):
/// letters and digits only, so `gre_inbound_silent` becomes `greInboundSilent`.
pub fn label(word: &str) -> String {
    let mut label = String::with_capacity(word.len());
    let mut upper = false;
    for letter in word.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                label.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => label.push(letter),
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use mib_text::Mib;
    use pptp_probe::reason::{Phase, Reason};

    /// The enumeration of a textual convention: labels and numbers in order.
    fn enumeration(name: &str) -> Vec<(String, u32)> {
        let mib = Mib::parse(&[mib_text::PROBE_TC_MIB]).unwrap();
        mib.conventions[name].labels.clone()
    }

    #[test]
    fn phases_have_the_numbers_of_the_mib() {
        let ours: Vec<_> =
            Phase::ALL.iter().map(|p| (label(p.word()), p.number().into())).collect();
        assert_eq!(enumeration("PptpProbePhase"), ours);
    }

    #[test]
    fn reasons_have_the_numbers_of_the_mib() {
        let ours: Vec<_> =
            Reason::ALL.iter().map(|r| (label(r.word()), r.number().into())).collect();
        assert_eq!(enumeration("PptpProbeReason"), ours);
    }
}
