//! See `check_pptp_auth --help`.

fn main() {
    pptp_plugins::check_pptp_auth::main(std::env::args_os().collect())
}
