//! The checks and the lab gateway, one module each; `src/bin` names them.

pub mod check_pptp_auth;
pub mod check_pptp_control;
pub mod check_pptp_gre;
pub mod check_radius;
pub mod lab;
mod session;
