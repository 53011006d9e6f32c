//! `check_pptp_tunnel` run in a lab, in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LAB: &str = env!("CARGO_BIN_EXE_pptp-lab");

/// Runs a shell script in a lab with these arguments; in it stand `lab` for
/// `pptp-lab ctl`, `$tunnel` for the check, and `callers N` waits until so many
/// are up; `gone` gives the lab a moment to see its callers go, and lists them.
pub(crate) fn run(arguments: &[&str], script: &str) -> Output {
    let script = format!(
        "lab() {{ {LAB} ctl \"$@\"; }}
         tunnel=\"{} -H $LAB_ADDRESS -p $LAB_PORT -u $LAB_USER --password-env LAB_PASSWORD\"
         callers() {{ until [ $(lab sessions | grep -c ' up ') = $1 ]; do :; done; }}
         gone() {{ for n in {{1..200}}; do [ \"$(lab sessions)\" = 'no caller' ] && break; done
             lab sessions; }}
         {script}",
        env!("CARGO_BIN_EXE_check_pptp_tunnel"),
    );
    let mut command = Command::new(LAB);
    command.arg("run").args(arguments).args(["--", "bash", "-c", &script]);
    command.output().expect("the lab starts")
}

/// Standard output, of a run that ended with `code`.
pub(crate) fn text(output: &Output, code: i32) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    out.into_owned()
}

/// What a healthy or faulty lab makes a check say with status `code`; its
/// callers must be gone after it.
pub(crate) fn said(arguments: &[&str], check: &str, code: i32) -> String {
    let script = format!("$tunnel {check}; code=$?; gone; exit $code");
    let said = text(&run(arguments, &script), code);
    said.strip_suffix("no caller\n").unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// A file that goes with its test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("lab-tunnel-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
