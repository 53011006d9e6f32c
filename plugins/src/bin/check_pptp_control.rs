//! See `check_pptp_control --help`.

fn main() {
    pptp_plugins::check_pptp_control::main(std::env::args_os().collect())
}
