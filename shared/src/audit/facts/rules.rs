//! What the programs of netfilter say of the firewall's rules.
//!
//! Asking would load modules that are not loaded, so a kernel that has none of
//! the rules is not asked: nft where `nf_tables` is neither loaded nor built
//! in, iptables-legacy where `/proc/net/ip_tables_names` has no table.
//! iptables-nft is asked where nft shows a rule that it cannot spell (`xt`).

use std::fmt::Display;
use std::io;
use std::time::Instant;

use super::super::command::ask;
use super::super::firewall::Firewall;
use super::super::known::{Known, Unread};
use super::super::sources::{COMMANDS, Command};
use super::kernel::{Modules, has_settings};
use crate::gateway::Root;

/// Octets of an answer.
const LARGEST: u64 = 64 << 20;

/// Makes a firewall of what nft and iptables wrote, as far as each has rules,
/// or says why it cannot.
pub type ParseFirewall<E> = fn(Option<&[u8]>, Option<&[u8]>) -> Result<Firewall, E>;

/// What each program of [`COMMANDS`] says.
pub(in crate::audit) fn dumps(
    root: &Root,
    modules: &Known<Modules>,
    deadline: Instant,
) -> [Known<Vec<u8>>; 3] {
    let [nft, iptables_nft, legacy] =
        COMMANDS.each_ref().map(|command| (command, is_possible(command, root, modules)));
    let answer = |(command, possible): (&Command, Known<()>)| match possible {
        Known::Absent => Known::Absent,
        Known::Unread(unread) => Known::Unread(unread),
        Known::Is(()) => answer(command, root, deadline),
    };
    let nft = answer(nft);
    let has_foreign = |text: &Vec<u8>| memchr::memmem::find(text, b"\"xt\"").is_some();
    let iptables_nft = match &nft {
        Known::Is(text) if !has_foreign(text) => Known::Absent,
        Known::Absent => Known::Absent,
        _ => answer(iptables_nft),
    };
    [nft, iptables_nft, answer(legacy)]
}

/// What the rules do; absent where there are none.
pub(super) fn gather<E: Display>(
    root: &Root,
    modules: &Known<Modules>,
    parse: ParseFirewall<E>,
    deadline: Instant,
) -> Known<Firewall> {
    let [nft, iptables_nft, legacy] = dumps(root, modules, deadline);
    // iptables-nft tells of rules that nft tells of as well.
    for dump in [&nft, &legacy] {
        if let Known::Unread(unread) = dump {
            return Known::Unread(unread.clone());
        }
    }
    let iptables: Vec<&[u8]> =
        [&iptables_nft, &legacy].into_iter().filter_map(Known::get).map(Vec::as_slice).collect();
    let iptables = Some(iptables.concat()).filter(|text| !text.is_empty());
    let nft = nft.get().map(Vec::as_slice).filter(|text| !text.is_empty());
    if nft.is_none() && iptables.is_none() {
        return Known::Absent;
    }
    match parse(nft, iptables.as_deref()) {
        Ok(firewall) if firewall.backends.is_empty() => Known::Absent,
        Ok(firewall) => Known::Is(firewall),
        Err(why) => Known::Unread(Unread {
            what: "rules of the firewall".to_owned(),
            why: why.to_string(),
            mend: "report it with what nft -j list ruleset and iptables-save print".to_owned(),
        }),
    }
}

/// Whether the kernel has rules that this program knows.
fn is_possible(command: &Command, root: &Root, modules: &Known<Modules>) -> Known<()> {
    if command.knows_nft {
        return match modules {
            Known::Is(modules) if modules.has("nf_tables") == Some(false) => Known::Absent,
            _ => Known::Is(()),
        };
    }
    match root.read("proc/net/ip_tables_names", 4096) {
        Ok(names) if names.is_empty() => Known::Absent,
        Ok(_) => Known::Is(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_settings(root) => {
            Known::Absent
        }
        Err(error) => Known::Unread(Unread::of(command.what, &error)),
    }
}

fn answer(command: &Command, root: &Root, deadline: Instant) -> Known<Vec<u8>> {
    let unread = |error: &io::Error| Unread::of(command.what, error);
    if root.is_live() {
        return match ask(command, deadline) {
            Ok(text) => Known::Is(text),
            // An empty file says so in a collected tree.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Known::Is(Vec::new()),
            Err(error) if command.knows_nft => Known::Unread(unread(&error).or_net_admin(&error)),
            Err(error) => Known::Unread(unread(&error)),
        };
    }
    match root.read(command.file, LARGEST) {
        Ok(text) => Known::Is(text),
        Err(error) => {
            let mend = "collect the tree again, as root".to_owned();
            Known::Unread(Unread { mend, ..unread(&error) })
        }
    }
}
