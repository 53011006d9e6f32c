//! A FreeRADIUS of the test bed; it ends with its value.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub(crate) struct FreeRadius(Child);

impl FreeRadius {
    /// Runs `freeradius-local`, or a command that ends in it, until it answers.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the script runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says something");
        assert_eq!(line, "ready\n", "FreeRADIUS did not start");
        Self(child)
    }
}

impl Drop for FreeRadius {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}
