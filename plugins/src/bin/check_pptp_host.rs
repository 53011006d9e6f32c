//! See `check_pptp_host --help`.

fn main() {
    pptp_plugins::check_pptp_host::main(std::env::args_os().collect())
}
