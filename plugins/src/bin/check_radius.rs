//! See `check_radius --help`.

fn main() {
    pptp_plugins::check_radius::main(std::env::args_os().collect())
}
