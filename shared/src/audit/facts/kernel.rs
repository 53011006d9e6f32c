//! The kernel: its version, modules and settings.
//!
//! A module that is built in is in `lib/modules/VERSION/modules.builtin` only;
//! lsmod does not show it, so without that file nothing can be said about what
//! is not loaded.

use std::collections::BTreeSet;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::super::known::{Known, Unread};
use crate::gateway::{Root, number};

/// Octets of a list of modules.
const LARGEST: u64 = 4 << 20;
const RELEASE: &str = "proc/sys/kernel/osrelease";

/// Version of a running kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// 6 of 6.1.0.
    pub major: u16,
    /// 1 of 6.1.0.
    pub minor: u16,
}

/// Kernel modules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Modules {
    /// Loaded now.
    pub loaded: BTreeSet<String>,
    /// Built into the kernel; `None` where no list of them is kept, as in a
    /// container or on a small host.
    pub built_in: Option<BTreeSet<String>>,
}

impl Modules {
    /// Whether the kernel has it now, loaded or built in; `None` where nobody
    /// can say.
    pub fn has(&self, name: &str) -> Option<bool> {
        if self.loaded.contains(name) {
            return Some(true);
        }
        Some(self.built_in.as_ref()?.contains(name))
    }
}

/// The release as the kernel spells it: `6.1.0-18-amd64`.
pub(in crate::audit) fn release(root: &Root) -> io::Result<String> {
    let text = root.read(RELEASE, 256)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

pub(super) fn version(root: &Root) -> Known<KernelVersion> {
    let version = release(root).and_then(|text| {
        let mut numbers = text.split(['.', '-']).map(|part| part.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => Ok(KernelVersion { major, minor }),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not understood")),
        }
    });
    present(version, "the kernel's version")
}

pub(in crate::audit) fn modules(root: &Root) -> Known<Modules> {
    let what = "kernel modules";
    let loaded = match root.read("proc/modules", LARGEST) {
        Ok(text) => text,
        // A kernel that loads none.
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_settings(root) => Vec::new(),
        Err(error) => return present(Err(error), what),
    };
    let release = match release(root) {
        Ok(release) if !release.contains('/') => release,
        Ok(_) => String::new(),
        Err(error) => return present(Err(error), what),
    };
    let path = format!("lib/modules/{release}/modules.builtin");
    let built_in = match root.read(&path, LARGEST) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return present(Err(error), what),
    };
    let name = |word: &[u8]| String::from_utf8_lossy(word).replace('-', "_");
    let first = |line: &[u8]| {
        line.split(u8::is_ascii_whitespace).next().filter(|word| !word.is_empty()).map(name)
    };
    let file = |line: &[u8]| {
        let file = line.trim_ascii().rsplit(|octet| *octet == b'/').next()?;
        Some(name(file.strip_suffix(b".ko")?))
    };
    let lines = |text: &[u8], of: &dyn Fn(&[u8]) -> Option<String>| {
        text.split(|octet| *octet == b'\n').filter_map(of).collect()
    };
    let built_in = built_in.map(|text| lines(&text, &file));
    Known::Is(Modules { loaded: lines(&loaded, &first), built_in })
}

/// Whether the settings of this kernel can be looked at at all, so that one
/// that is not there is not there for sure.
pub(super) fn has_settings(root: &Root) -> bool {
    root.exists("proc/sys/net/ipv4/ip_forward")
}

/// A number below `proc/sys/net`.
pub(super) fn setting<T: FromStr>(root: &Root, path: &str) -> Known<T> {
    let what = format!("net.{}", path.replace('/', "."));
    let read = root.read(format!("proc/sys/net/{path}"), 64).and_then(|text| {
        number(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no number"))
    });
    match read {
        Err(error) if !has_settings(root) => present(Err(error), &what),
        read => Known::of(read, &what),
    }
}

/// A time in seconds below `proc/sys/net`.
pub(super) fn seconds(root: &Root, path: &str) -> Known<Duration> {
    map(setting(root, path), Duration::from_secs)
}

/// A switch below `proc/sys/net`.
pub(super) fn switch(root: &Root, path: &str) -> Known<bool> {
    map(setting(root, path), |number: i64| number != 0)
}

/// What every host has, so that a tree without it lacks it.
pub(super) fn present<T>(result: io::Result<T>, what: &str) -> Known<T> {
    match Known::of(result, what) {
        Known::Absent => Known::Unread(Unread {
            what: what.to_owned(),
            why: "it is not there".to_owned(),
            mend: "collect the tree again".to_owned(),
        }),
        known => known,
    }
}

fn map<T, U>(known: Known<T>, to: impl FnOnce(T) -> U) -> Known<U> {
    match known {
        Known::Is(fact) => Known::Is(to(fact)),
        Known::Absent => Known::Absent,
        Known::Unread(unread) => Known::Unread(unread),
    }
}
