//! The control connection alone: Start, Echo, Stop. Needs no right and no
//! account.

use std::io;

use super::{Allowance, Gateway, Observation, Prober, introduction, not_begun};
use crate::net::interrupt::Interrupt;
use crate::net::tap::Tap;
use crate::proto::tunnel::{Config, Goal};

/// Probes the control connection with `echoes` Echo round trips.
pub async fn probe(
    gateway: &Gateway,
    echoes: u32,
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> Observation {
    let mut prober = match Prober::new(gateway, allowance, None, interrupt, tap) {
        Ok(prober) => prober,
        Err(failure) => return not_begun(failure),
    };
    prober
        .session(|call_id| Config {
            goal: Goal::Control { echoes },
            call_id,
            control: introduction(allowance),
            link: None,
            patience: allowance.patience(),
            echo_timeout: allowance.echo_timeout(),
        })
        .await
}
