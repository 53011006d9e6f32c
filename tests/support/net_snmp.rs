//! What every test with Net-SNMP's programs needs: a place for their files,
//! free ports, and their tools.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Nothing here takes longer, unless it does not work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that ends with its value.
pub(crate) struct State(PathBuf);

impl State {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("net-snmp-{}-{count}", std::process::id());
        let state = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&state.0).expect("a directory can be made");
        state
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let sockets = [0; N].map(|port| UdpSocket::bind(("127.0.0.1", port)).expect("a port is free"));
    sockets.map(|socket| socket.local_addr().expect("it is bound").port())
}

/// What a tool prints, names in numbers; what it complains of where it fails.
pub(crate) fn ask(state: &State, tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool)
        .env("MIBS", "")
        .env("SNMPCONFPATH", state.path())
        .env("SNMP_PERSISTENT_DIR", state.path())
        .args(["-On", "-t", "5"])
        .args(arguments)
        .output()
        .expect("the tool runs");
    let said = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8_lossy(&said).into_owned()
}
