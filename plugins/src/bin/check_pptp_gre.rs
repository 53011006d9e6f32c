//! See `check_pptp_gre --help`.

fn main() {
    pptp_plugins::check_pptp_gre::main(std::env::args_os().collect())
}
