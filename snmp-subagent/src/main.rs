//! See `pptp-snmp-subagent --help`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use clap::Parser;
use pptp_snmp_subagent::agentx_io::Status;
use pptp_snmp_subagent::cli::{Arguments, Output};
use pptp_snmp_subagent::config::Config;
use pptp_snmp_subagent::daemon::{self, Parts, Source};
use pptp_snmp_subagent::http::Exposition;
use pptp_snmp_subagent::log::{Level, Log};
use pptp_snmp_subagent::once;
use pptp_snmp_subagent::probe::Run;
use pptp_snmp_subagent::udp::Responder;
use pptp_snmp_subagent::view::{MapView, View};
use tokio::sync::mpsc;

/// Notifications on their way to the session with the master, which has a
/// queue of its own.
const QUEUE: usize = 64;

fn main() -> ExitCode {
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
        match arguments.output {
            Output::Table => print(&once::table(&snapshots, SystemTime::now())),
            Output::Json => print(&once::json(&snapshots)),
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
    let (_notify, notifications) = mpsc::channel(QUEUE);
    let parts = Parts {
        source: Arc::new(Empty { view: Arc::default() }),
        responder: None::<Nobody>,
        notifications,
        status: Arc::new(Status::default()),
        log: log.clone(),
    };
    match daemon::run(arguments, config, parts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            log.say(Level::Error, "daemon", &text);
            ExitCode::FAILURE
        }
    }
}

/// A tree without a variable: the master takes it, and probes are run and
/// logged.
struct Empty {
    view: Arc<MapView>,
}

impl Source for Empty {
    type View = MapView;

    fn view(&self) -> Arc<MapView> {
        self.view.clone()
    }

    fn metrics(&self, exposition: Exposition) -> String {
        match exposition {
            Exposition::Prometheus => String::new(),
            Exposition::OpenMetrics => "# EOF\n".into(),
        }
    }

    /// There is nothing that could be late.
    fn collected_at(&self) -> Instant {
        Instant::now()
    }

    fn probed(&self, _: Run) {}

    fn configure(&self, _: &Config) {}

    fn summary(&self) -> String {
        "no session is served".into()
    }
}

/// No responder.
enum Nobody {}

impl Responder for Nobody {
    fn handle_datagram(
        &mut self,
        _: &[u8],
        _: SocketAddr,
        _: &impl View,
        _: Instant,
    ) -> Option<Vec<u8>> {
        match *self {}
    }
}
