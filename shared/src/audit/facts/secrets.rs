//! Who may read the files that have secrets in them. The secrets are not read.

use std::os::unix::fs::MetadataExt;

use super::super::sources::SECRETS_LIST;
use super::accel_ppp::AccelPpp;
use crate::gateway::Root;

/// Files with secrets in them, of pppd, its RADIUS client and accel-ppp.
pub(in crate::audit) const PLACES: &[&str] = &[
    "etc/accel-ppp.conf",
    "etc/ppp/chap-secrets",
    "etc/ppp/pap-secrets",
    "etc/ppp/srp-secrets",
    "etc/radcli/servers",
    "etc/radiusclient-ng/servers",
    "etc/radiusclient/servers",
];

/// A file with secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretsFile {
    /// Where it is, from the root.
    pub path: String,
    /// Permission bits, 0o600 for its owner alone.
    pub mode: u32,
    /// User id of its owner.
    pub owner: u32,
}

impl SecretsFile {
    /// As `ls -l` begins a line, then the user and the path.
    pub(in crate::audit) fn line(&self) -> String {
        let letters = (0..9).rev().map(|bit| match (self.mode >> bit & 1, bit % 3) {
            (0, _) => '-',
            (_, 2) => 'r',
            (_, 1) => 'w',
            _ => 'x',
        });
        format!("-{} {} {}\n", letters.collect::<String>(), self.owner, self.path)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let letters = words.next()?.strip_prefix('-')?.get(..9)?;
        // s and t are x with another bit, S and T that bit alone.
        let bit = |letter| u32::from(!matches!(letter, '-' | 'S' | 'T'));
        let mode = letters.chars().fold(0, |mode, letter| mode << 1 | bit(letter));
        let owner = words.next()?.parse().ok()?;
        Some(Self { path: words.next()?.to_owned(), mode, owner })
    }
}

/// Those that are there, by path.
pub(in crate::audit) fn gather(root: &Root, accel_ppp: Option<&AccelPpp>) -> Vec<SecretsFile> {
    let mut files: Vec<_> = match root.read(SECRETS_LIST, 1 << 16) {
        Ok(list) => String::from_utf8_lossy(&list).lines().filter_map(SecretsFile::parse).collect(),
        Err(_) => {
            let named =
                accel_ppp.and_then(|accel_ppp| accel_ppp.first("chap-secrets", "chap-secrets"));
            let named = named.and_then(|path| str::from_utf8(path).ok());
            let places = PLACES.iter().copied().chain(named);
            places.filter_map(|path| look(root, path.trim_start_matches('/'))).collect()
        }
    };
    files.sort();
    files.dedup();
    files
}

/// Also of a file that may not be read.
fn look(root: &Root, path: &str) -> Option<SecretsFile> {
    let metadata = root.metadata(path).ok()?;
    let found = SecretsFile {
        path: format!("/{path}"),
        mode: metadata.mode() & 0o777,
        owner: metadata.uid(),
    };
    metadata.is_file().then_some(found)
}
