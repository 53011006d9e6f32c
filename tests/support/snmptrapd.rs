//! A receiver of notifications; it ends with its value.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::net_snmp::{PATIENCE, State, free_ports};
use super::said::Said;

pub(crate) struct TrapDaemon {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Whatever it received.
    pub(crate) said: Said,
    _state: State,
}

impl TrapDaemon {
    /// Runs snmptrapd with the lines of a configuration and these options.
    pub(crate) fn start(config: &str, options: &[&str]) -> Self {
        let state = State::new();
        let [port] = free_ports();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let file = state.path().join("snmptrapd.conf");
        std::fs::write(&file, config).expect("a file can be written");
        let mut child = Command::new("snmptrapd")
            .env("MIBS", "")
            .env("SNMPCONFPATH", state.path())
            .env("SNMP_PERSISTENT_DIR", state.path())
            .args(["-f", "-Le", "-n", "-C", "-c"])
            .arg(file)
            .args(options)
            .arg(format!("udp:{address}"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("snmptrapd runs");
        let said = Said::by(child.stderr.take().expect("it is piped"));
        said.wait_for("NET-SNMP version", 1, PATIENCE);
        Self { child, address, said, _state: state }
    }
}

impl Drop for TrapDaemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
