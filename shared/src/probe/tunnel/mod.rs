//! A user's traffic through the tunnel, each step measured on its own.

pub mod echoes;
pub mod dns;
#[cfg(test)]
mod fake;
pub mod url;
pub mod path_mtu;
pub mod way;
