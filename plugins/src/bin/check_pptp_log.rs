//! See `check_pptp_log --help`.

fn main() {
    pptp_plugins::check_pptp_log::main(std::env::args_os().collect())
}
