//! State machines that own no socket and no clock.
//!
//! They share one face: `handle_*` takes what happened and the time,
//! `poll_transmit` and `poll_event` are drained after it, `poll_timeout` says
//! when `handle_timeout` wants to be called. Machines contain machines:
//! [`tunnel`] holds the control connection, the GRE channel and the [`link`],
//! which holds one [`automaton`] per control protocol, authentication and
//! MPPE. [`radius`] stands beside them.

use crate::reason::{Phase, Reason};

pub mod auth;
pub mod automaton;
pub mod ccp;
pub mod control;
pub mod gre;
pub mod ipcp;
pub mod lcp;
pub mod link;
pub mod mppe;
pub mod radius;
pub mod stack;
pub mod tunnel;

/// How a session failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub phase: Phase,
    /// Why.
    pub reason: Reason,
    /// What was seen, for the operator: one ASCII sentence without a full stop.
    pub detail: String,
}

impl Failure {
    /// A failure from its parts.
    pub fn new(phase: Phase, reason: Reason, detail: impl Into<String>) -> Self {
        Self { phase, reason, detail: detail.into() }
    }
}
