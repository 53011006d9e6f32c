//! A gateway of the test bed (`tests/testbed/pptpd-vm`) with guests of its own;
//! it ends with its value, however the test ends.

use std::process::{Command, Stdio};

pub(crate) struct Bed {
    name: String,
}

impl Bed {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: format!("{name}-{}", std::process::id()) }
    }

    pub(crate) fn up(name: &str, options: &[&str]) -> Self {
        let bed = Self::new(name);
        let owner = std::process::id().to_string();
        let arguments = [&["up", "--owner", &owner], options].concat();
        bed.must(&arguments);
        bed
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/testbed/pptpd-vm");
        let mut command = Command::new(script);
        command.args(["--name", &self.name]).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command of the bed that has to succeed; gives its output.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the test bed's script runs");
        assert!(
            output.status.success(),
            "{arguments:?} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.command(&["log", "--last"]).status();
        }
        let _ = self.command(&["down"]).output();
    }
}
