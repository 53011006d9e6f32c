//! The whole way to an address: call, GRE, LCP, authentication, MPPE, IPCP,
//! and one encrypted echo. Exactly one authentication attempt.

use std::io;

use super::{Allowance, Gateway, Observation, Prober, introduction, not_begun};
use crate::method::{Method, MppePolicy};
use crate::net::entropy::random;
use crate::net::gre::RawGre;
use crate::net::interrupt::Interrupt;
use crate::net::tap::Tap;
use crate::proto::Failure;
use crate::proto::auth::Credentials;
use crate::proto::automaton::Timing;
use crate::proto::lcp::AuthPolicy;
use crate::proto::link;
use crate::proto::tunnel::{Config, Goal};
use crate::reason::{Phase, Reason};

/// What the session shall be like.
pub struct Wish {
    /// Methods that may be used.
    pub methods: Vec<Method>,
    /// Who logs in; without it only a gateway that asks for nothing lets us in.
    pub credentials: Option<Credentials>,
    /// Encryption that is fine.
    pub mppe: MppePolicy,
    /// Ask for WINS servers too.
    pub ask_nbns: bool,
}

/// Brings one session up and takes it down again.
pub async fn probe(
    gateway: &Gateway,
    wish: Wish,
    raw: RawGre,
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> Observation {
    let mut prober = match Prober::new(gateway, allowance, Some(raw), interrupt, tap) {
        Ok(prober) => prober,
        Err(failure) => return not_begun(failure),
    };
    let (magic, peer_challenge) = match (random(), random()) {
        (Ok(magic), Ok(challenge)) => (u32::from_ne_bytes(magic) | 1, challenge),
        (Err(text), _) | (_, Err(text)) => {
            return not_begun(Failure::new(Phase::Resolve, Reason::Local, text));
        }
    };
    prober
        .session(|call_id| Config {
            goal: Goal::Session,
            call_id,
            control: introduction(allowance),
            link: Some(link::Config {
                goal: link::Goal::Network,
                auth: AuthPolicy::OneOf(wish.methods),
                credentials: wish.credentials,
                mppe: wish.mppe,
                mru: None,
                magic,
                peer_challenge,
                ask_dns: true,
                ask_nbns: wish.ask_nbns,
                timing: Timing::default(),
            }),
            patience: allowance.patience(),
            echo_timeout: allowance.echo_timeout(),
        })
        .await
}
