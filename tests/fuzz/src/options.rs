//! Files of options of a gateway's daemons, read and judged.
//!
//! What must hold beside no panic and no endless inclusion: what is read is
//! bounded, each option says where it stands, and a finding says what is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::probe::audit::facts::Facts;
use crate::probe::audit::firewall::Firewall;
use crate::probe::audit::rules::audit;
use crate::probe::gateway::Root;
use crate::probe::gateway::options::{Files, capacity, demanded, listen, required};

/// The files, from the root; accel-ppp includes the last one.
pub const FILES: [&str; 5] = [
    "etc/pptpd.conf",
    "etc/ppp/options",
    "etc/ppp/pptpd-options",
    "etc/accel-ppp/main.conf",
    "etc/accel-ppp/more.conf",
];
/// What stands between two files, and behind them between command lines.
pub const FILE_END: u8 = 0xff;
/// Options of one process.
const MOST: usize = 4096;

/// The files, and behind them a command line of pptpd and one of pppd, words
/// ended by NUL.
pub fn options(data: &[u8]) {
    let tree = tree();
    let mut parts = data.split(|octet| *octet == FILE_END);
    for file in FILES {
        fs::write(tree.join(file), parts.next().unwrap_or_default()).expect("there is room");
    }
    let root = Root::new(tree);
    let mut files = Files::new(&root);
    let pptpd = files.pptpd(parts.next().unwrap_or(b"pptpd\0"));
    let pppd = files.pppd(parts.next().unwrap_or(b"pppd\0file\0/etc/ppp/pptpd-options\0"));
    for settings in [&pptpd, &pppd] {
        assert!(settings.list.len() <= MOST + 1, "{} options", settings.list.len());
        for setting in &settings.list {
            assert!(setting.line > 0, "{setting:?}");
        }
    }
    let _ = (capacity(&pptpd), listen(&pptpd), required(&pppd), demanded(&pppd));
    let facts = Facts::gather(&root, Firewall::of, Instant::now() + Duration::from_secs(10));
    for finding in audit(&facts).findings {
        assert!(!finding.found.is_empty() && !finding.advised.is_empty(), "{finding:?}");
    }
}

/// A host on which both daemons run, for this process alone.
fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let tree = parent.join(format!("pptp-fuzz-options-{}", std::process::id()));
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/audit");
        for host in ["ubuntu-accel-ppp", "debian-poptop"] {
            copy(&fixtures.join(host), &tree);
        }
        tree
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("there is room");
    for entry in fs::read_dir(from).expect("a fixture").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).expect("there is room");
        }
    }
}
