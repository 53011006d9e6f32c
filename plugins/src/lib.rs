//! The checks and the lab gateway, one module each; `src/bin` names them.
//! [`run`] runs a check from elsewhere.

pub mod check_pptp_auth;
pub mod check_pptp_control;
pub mod check_pptp_gre;
pub mod check_pptp_host;
pub mod check_pptp_log;
pub mod check_pptp_tunnel;
pub mod check_radius;
pub mod fleet;
pub mod lab;
pub mod run;
mod session;
