//! See `check_pptp_tunnel --help`.

fn main() {
    pptp_plugins::check_pptp_tunnel::main(std::env::args_os().collect())
}
