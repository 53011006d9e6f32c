//! Sockets, resolver, clock, capture: carries octets and time between the
//! machines of [`proto`](crate::proto) and the world.
//!
//! `Instant::now()` and randomness are read here and in the frame of a check,
//! nowhere else.

pub mod driver;
pub mod entropy;
pub mod file;
pub mod gre;
pub mod inside;
pub mod interrupt;
pub mod netlink;
pub mod pcap;
pub mod privilege;
pub mod radius;
pub mod resolve;
pub mod tap;
pub mod tcp;
pub mod tls;
pub mod way;
