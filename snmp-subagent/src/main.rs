//! See `pptp-snmp-subagent --help`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;
use pptp_probe::net::entropy;
use pptp_probe::plugin::forbid_core_dumps;
use pptp_snmp_subagent::agentx_io::Status;
use pptp_snmp_subagent::audits;
use pptp_snmp_subagent::cli::{Arguments, Output};
use pptp_snmp_subagent::collector::{Collector, Work};
use pptp_snmp_subagent::config::Config;
use pptp_snmp_subagent::daemon::{self, Parts};
use pptp_snmp_subagent::log::{Level, Log};
use pptp_snmp_subagent::once;
use pptp_snmp_subagent::own::Own;
use pptp_snmp_subagent::snmp::engine::Engine;
use pptp_snmp_subagent::sources::Looks;
use tokio::sync::mpsc;

/// Notifications on their way to the session with the master, which has a
/// queue of its own.
const QUEUE: usize = 64;

fn main() -> ExitCode {
    // There are secrets in memory soon.
    forbid_core_dumps();
    let arguments = Arguments::parse();
    let config = match arguments.load() {
        Ok(config) => config,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            return ExitCode::from(2);
        }
    };
    if arguments.check_config {
        print("the configuration is right\n")
    } else if arguments.print_config {
        print(&config.print())
    } else if let Some(module) = arguments.print_mib {
        print(&module.text(&config.oid_base))
    } else if arguments.once {
        let snapshots = once::collect(&config.collect);
        let audit = config.audit.enabled.then(|| audits::audit(&config));
        match arguments.output {
            Output::Table => print(&once::table(&snapshots, audit.as_deref(), SystemTime::now())),
            Output::Json => print(&once::json(&snapshots, audit.as_deref())),
        }
    } else {
        serve(arguments, config)
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads on.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(arguments: Arguments, config: Config) -> ExitCode {
    let log = Arc::new(Log::stderr(arguments.verbose));
    let rows = arguments.synthetic_rows;
    match daemon::run(arguments, config, |config| parts(config, rows, &log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            log.say(Level::Error, "daemon", &text);
            ExitCode::FAILURE
        }
    }
}

fn parts(
    config: &Config,
    synthetic_rows: Option<u32>,
    log: &Arc<Log>,
) -> Result<Parts<Collector, Engine>, String> {
    let (sender, notifications) = mpsc::channel(QUEUE);
    let (status, own_status) = (Arc::new(Status::default()), Arc::default());
    let work = Work {
        looks: Looks::new(&config.collect),
        config: Arc::new(config.clone()),
        notifications: sender,
        status: Arc::clone(&status),
        own: Arc::clone(&own_status),
        log: Arc::clone(log),
    };
    let source = match synthetic_rows {
        Some(rows) => Collector::synthetic(rows, &work),
        None => {
            Collector::start(work).map_err(|error| format!("cannot start a thread: {error}"))?
        }
    };
    let own = match config.responder.enabled {
        true => Some(Own::new(config, entropy::random()?, own_status, log)),
        false => None,
    };
    let (responder, notifier) = match own {
        Some(Own { engine, notifier, status }) => (Some(engine), Some((notifier, status))),
        None => (None, None),
    };
    let (source, log) = (Arc::new(source), Arc::clone(log));
    Ok(Parts { source, responder, notifier, notifications, status, log })
}
