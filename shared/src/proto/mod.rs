//! State machines that own no socket and no clock.
//!
//! They share one face: `handle_*` takes what happened and the time,
//! `poll_transmit` and `poll_event` are drained after it, `poll_timeout` says
//! when `handle_timeout` wants to be called. Machines contain machines.

pub mod auth;
pub mod automaton;
pub mod gre;
pub mod mppe;
