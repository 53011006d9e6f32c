//! What a collected tree says of itself: when and by whom it was gathered, and
//! what could not be read there, a line each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::sources::MANIFEST;
use crate::gateway::Root;

/// Octets that are read.
const LARGEST: u64 = 1 << 20;

/// What was collected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// When, and what with: lines of `key value`.
    pub about: Vec<(String, String)>,
    /// Files of the tree that are missing because they could not be read, from
    /// its root, and why.
    pub unread: BTreeMap<PathBuf, String>,
    /// How many files there are.
    pub files: usize,
}

impl Manifest {
    /// That of a tree; empty on a live host.
    pub(super) fn read(root: &Root) -> Self {
        if root.is_live() {
            return Self::default();
        }
        let text = root.read(MANIFEST, LARGEST).unwrap_or_default();
        let mut manifest = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            match line.split_once(' ') {
                Some(("unread", rest)) => {
                    let (path, why) =
                        rest.split_once(": ").unwrap_or((rest, "it was not said why"));
                    manifest.unread.insert(path.into(), why.to_owned());
                }
                Some(("files", rest)) => manifest.files = rest.parse().unwrap_or_default(),
                Some((key, value)) => manifest.about.push((key.to_owned(), value.to_owned())),
                None => {}
            }
        }
        manifest
    }

    /// As it stands in the tree.
    pub fn text(&self) -> String {
        let mut lines: Vec<_> =
            self.about.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
        lines.push(format!("files {}\n", self.files));
        lines.extend(self.unread.iter().map(|(path, why)| {
            let line = format!("unread {}: {why}", path.display());
            format!("{}\n", line.replace(char::is_control, "?"))
        }));
        lines.concat()
    }
}
