//! A PPTP gateway in one process, with faults that can be switched on: for
//! trying the checks, for training, for rehearsing alerts.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`faults`] | what can go wrong, by name |
//! | [`config`] | users, methods, encryption, addresses: flags or TOML |
//! | [`negotiate`] | the gateway's side of LCP, CCP and IPCP |
//! | [`authenticator`] | the side that asks for proof: PAP, CHAP, EAP |
//! | [`chance`] | random numbers that repeat |
//! | [`inside`] | what is behind the gateway: a router, names, a web server |
//! | [`link`] | PPP of one call |
//! | [`session`] | one caller: control connection, call, GRE, faults |
//! | [`radius`] | the RADIUS server that has the same users |
//! | [`command`] | what can be said to a lab that runs |
//! | [`namespace`] | a network of its own |
//! | [`server`] | sockets and clock |
//! | [`cli`] | the program's arguments |
//!
//! Everything up to [`radius`] owns no socket and no clock, but for
//! [`radius::sockets`]. With the client side of this suite the lab shares the
//! codecs, the arithmetic of MS-CHAP, MPPE and RADIUS, the negotiation
//! automaton and the GRE channel, and nothing above them. It behaves as pptpd
//! with pppd does where a caller can see it.
//!
//! Not for production: anybody may read its passwords, and its inside is all that it routes to.

pub mod authenticator;
pub mod chance;
pub mod cli;
pub mod command;
pub mod config;
pub mod demo;
pub mod faults;
pub mod inside;
pub mod link;
pub mod namespace;
pub mod negotiate;
pub mod radius;
pub mod server;
pub mod session;
