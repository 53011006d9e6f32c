//! pptpd and the options of pppd that its calls get, also when no call runs:
//! pptpctrl (pptpd 1.4.0) starts pppd with `local`, `file` and what pptpd has
//! as `option`, the speed, addresses, and who calls.
//!
//! Before any call is taken it is not known which addresses and caller a call
//! has, so those are in [`Poptop::calls`] alone. Not read is
//! `/etc/ppp/options.TTY`, which is for one terminal and not for a gateway.
//! OpenWrt's pptpd is told on its command line of `/var/etc/pptpd.conf` and
//! `/var/etc/options.pptpd`, which its start script makes.

use std::collections::{BTreeMap, HashSet};

use crate::gateway::Root;
use crate::gateway::options::{Files, Setting, Settings, capacity, first};
use crate::gateway::proc::Process;

/// What stands in place of a secret.
pub(in crate::audit) const MASK: &[u8] = b"********";
/// Options of pppd whose argument is a secret, or a script of chat(8) with one.
pub(in crate::audit) const SECRET: &[&str] =
    &["connect", "disconnect", "init", "password", "srp-pn-secret", "welcome"];
const CONFIGURATION: &str = "etc/pptpd.conf";

/// pptpd and the pppd options that its calls get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poptop {
    /// Whether pptpd runs; a collected tree may tell of one that does not.
    pub runs: bool,
    /// Options of pptpd, under the keywords of pptpd.conf.
    pub pptpd: Settings,
    /// Options of pppd for a call, in the order in which pppd takes them; the
    /// last one wins.
    pub pppd: Settings,
    /// Sessions that pptpd accepts at once.
    pub capacity: Option<u32>,
    /// Options of pppd that differ between running calls, by their process:
    /// only what stands on its command line or in files of its own.
    pub calls: BTreeMap<u32, Settings>,
}

/// `None` where there is neither a pptpd nor a configuration of one.
pub(in crate::audit) fn gather(
    root: &Root,
    files: &mut Files,
    processes: &[Process],
) -> Option<Poptop> {
    let daemon = processes.iter().find(|process| process.comm == b"pptpd");
    let controls: HashSet<u32> = processes
        .iter()
        .filter(|process| process.comm == b"pptpctrl")
        .map(|process| process.pid)
        .collect();
    let is_call =
        |process: &&Process| process.comm == b"pppd" && controls.contains(&process.parent);
    if daemon.is_none() && controls.is_empty() && !root.exists(CONFIGURATION) {
        return None;
    }
    let pptpd = files.pptpd(daemon.map_or(b"pptpd\0", |daemon| &daemon.title));
    let mut pppd = files.pppd(&title(&pptpd));
    if pppd.trouble.is_none() {
        pppd.trouble.clone_from(&pptpd.trouble);
    }
    let common: HashSet<_> = pppd.list.iter().filter_map(place).collect();
    let calls = processes.iter().filter(is_call).map(|call| {
        let mut own = files.command_line(&call.title);
        own.list.retain(|setting| place(setting).is_none_or(|place| !common.contains(&place)));
        (call.pid, masked(own))
    });
    let calls = calls.collect();
    let capacity = capacity(&pptpd);
    Some(Poptop { runs: daemon.is_some(), pptpd, pppd: masked(pppd), capacity, calls })
}

/// The command line that pptpctrl starts pppd with, as far as it is the same
/// for all calls.
fn title(pptpd: &Settings) -> Vec<u8> {
    let mut words: Vec<&[u8]> = vec![b"pppd", b"local"];
    if let Some(file) = first(pptpd, b"option").filter(|file| !file.is_empty()) {
        words.extend([b"file", file]);
    }
    words.push(first(pptpd, b"speed").filter(|speed| !speed.is_empty()).unwrap_or(b"115200"));
    if pptpd.list.iter().any(|setting| *setting.name == *b"logwtmp") {
        words.extend([&b"plugin"[..], b"/usr/lib/pptpd/pptpd-logwtmp.so"]);
    }
    let mut title = words.join(&0);
    title.push(0);
    title
}

fn place(setting: &Setting) -> Option<(std::sync::Arc<std::path::Path>, u32)> {
    Some((setting.file.clone()?, setting.line))
}

fn masked(mut settings: Settings) -> Settings {
    for setting in &mut settings.list {
        if is_secret(&setting.name) {
            setting.arguments.fill(MASK.into());
        }
    }
    settings
}

/// Whether an option of pppd has a secret as its argument.
pub(in crate::audit) fn is_secret(name: &[u8]) -> bool {
    SECRET.iter().any(|secret| secret.as_bytes() == name)
}
