//! The command line of `pptp-lab`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::config::Settings;

/// The whole of it.
#[derive(Debug, Parser)]
#[command(
    name = "pptp-lab",
    version,
    about = "A PPTP gateway in one process, with faults that can be switched on",
    long_about = "A PPTP gateway in one process, with faults that can be switched on: for trying \
                  the checks, for training, for rehearsing alerts. Not for production: its \
                  passwords are no secrets, and its inside is all that it routes to.",
    after_help = "Examples:\n  \
                  pptp-lab serve --namespace --fault gre-lost-in\n  \
                  pptp-lab run --fault auth-failure=648 -- sh -c 'check_pptp_control -H $LAB_ADDRESS'"
)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Serve callers until a signal or the command quit
    Serve(Serve),
    /// Serve in a network namespace of its own and run a command inside
    #[command(after_help = "The command finds LAB_ADDRESS, LAB_PORT, LAB_USER, LAB_PASSWORD, \
                            LAB_INNER, LAB_CONTROL, LAB_RADIUS_PORT (for logins; accounting is \
                            on the next) and LAB_RADIUS_SECRET in its environment.\nThe exit \
                            status is the command's; 3 where the lab itself fails.")]
    Run(Run),
    /// Say something to a lab that runs
    #[command(after_help = "Commands: fault NAME[=VALUE], clear [NAME], faults, sessions, quit")]
    Ctl(Ctl),
    /// List every fault with its phase and what happens
    Faults,
    /// Show every check on a healthy lab and with five faults
    Demo(Demo),
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The lab runs already and its control socket is $LAB_CONTROL
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The gateway.
    #[command(flatten)]
    pub settings: Settings,
    /// TOML file; its keys are the names of these options, which win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// In a network namespace of its own; no root is needed then
    #[arg(long)]
    pub namespace: bool,
    /// Unix socket on which 'pptp-lab ctl' is obeyed
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Tell on standard error what callers do
    #[arg(long)]
    pub log: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The gateway.
    #[command(flatten)]
    pub settings: Settings,
    /// TOML file; its keys are the names of these options, which win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Tell on standard error what callers do
    #[arg(long)]
    pub log: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Arguments of `ctl`.
#[derive(Debug, Args)]
pub struct Ctl {
    /// Unix socket of the lab [default: $LAB_CONTROL]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// What to say
    #[arg(required = true, value_name = "COMMAND")]
    pub words: Vec<String>,
}
