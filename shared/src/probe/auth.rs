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
#[derive(Clone)]
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
    let link = match link_config(wish) {
        Ok(link) => link,
        Err(failure) => return not_begun(failure),
    };
    prober.session(|call_id| tunnel_config(Goal::Session, call_id, link, allowance)).await
}

/// The link of a session that goes all the way, with random numbers of its own.
pub(super) fn link_config(wish: Wish) -> Result<link::Config, Failure> {
    let local = |text| Failure::new(Phase::Resolve, Reason::Local, text);
    Ok(link::Config {
        goal: link::Goal::Network,
        auth: AuthPolicy::OneOf(wish.methods),
        credentials: wish.credentials,
        mppe: wish.mppe,
        mru: None,
        magic: u32::from_ne_bytes(random().map_err(local)?) | 1,
        peer_challenge: random().map_err(local)?,
        ask_dns: true,
        ask_nbns: wish.ask_nbns,
        timing: Timing::default(),
    })
}

pub(super) fn tunnel_config(
    goal: Goal,
    call_id: u16,
    link: link::Config,
    allowance: Allowance,
) -> Config {
    Config {
        goal,
        call_id,
        control: introduction(allowance),
        link: Some(link),
        patience: allowance.patience(),
        echo_timeout: allowance.echo_timeout(),
    }
}
