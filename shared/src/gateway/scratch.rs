//! A copy of a fixture that a test may change. Its files are older than every
//! process in it, which those of a checkout are not.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::Root;

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn of(situation: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pptp-probe-gateway-{}-{number}", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/gateway");
        copy(&Path::new(fixtures).join(situation), &scratch.0);
        scratch
    }

    pub(crate) fn root(&self) -> Root {
        Root::new(&self.0)
    }

    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.0.join(path)).unwrap();
    }

    /// Writes a file anew, with its old date; it need not be there.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let place = self.0.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let mut octets = fs::read(&place).unwrap_or_default();
        change(&mut octets);
        fs::write(&place, octets).unwrap();
        self.date(path, SystemTime::UNIX_EPOCH);
    }

    pub(crate) fn date(&self, path: &str, date: SystemTime) {
        let file = File::options().append(true).open(self.0.join(path)).unwrap();
        file.set_modified(date).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else {
            fs::write(&to, fs::read(entry.path()).unwrap()).unwrap();
            let file = File::options().append(true).open(&to).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
    }
}
