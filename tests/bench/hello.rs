//! What starting a Rust program costs that prints one line.
#![forbid(unsafe_code)]

fn main() {
    println!("OK");
}
