//! An snmpd of the test bed as AgentX master; it ends with its value.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::net_snmp::{State, ask, free_ports};

pub(crate) struct Master {
    child: Child,
    options: Vec<String>,
    pub(crate) state: State,
    /// Where the tools ask.
    pub(crate) address: String,
    pub(crate) agentx_port: u16,
}

impl Master {
    /// Runs `snmpd-local` with ports of its own and these options.
    pub(crate) fn start(options: &[&str]) -> Self {
        let state = State::new();
        let [port, agentx_port] = free_ports();
        let own = ["--port".to_owned(), port.to_string(), "--agentx-port".to_owned()];
        let own = own.into_iter().chain([agentx_port.to_string(), "--state".to_owned()]);
        let own = own.chain([state.path().display().to_string()]);
        let options: Vec<_> = own.chain(options.iter().map(|option| option.to_string())).collect();
        let child = run(&options);
        Self { child, options, state, address: format!("127.0.0.1:{port}"), agentx_port }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state.path().join("agentx.sock")
    }

    /// Without a word to anybody.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Runs it again.
    pub(crate) fn restart(&mut self) {
        self.child = run(&self.options);
    }

    /// What a tool prints that asks with a community.
    pub(crate) fn ask(&self, tool: &str, community: &str, arguments: &[&str]) -> String {
        let access = ["-v2c", "-c", community, "-r", "1", &self.address];
        ask(&self.state, tool, &[&access, arguments].concat())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(options: &[String]) -> Child {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testbed/snmpd/snmpd-local"))
        .args(options)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the script runs")
}
