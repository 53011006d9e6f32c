//! See `pptp-snmp-subagent --help`.

use std::process::ExitCode;

use clap::Parser;
use pptp_snmp_subagent::cli::Arguments;

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
        println!("the configuration is right");
    } else if arguments.print_config {
        print!("{}", config.print());
    } else if let Some(module) = arguments.print_mib {
        print!("{}", module.text(&config.oid_base));
    }
    ExitCode::SUCCESS
}
