//! The GRE path: a call, LCP until it is open, LCP echoes; and on demand
//! which authentication the gateway would accept. Needs CAP_NET_RAW, but no
//! account: authentication is never answered.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Allowance, Gateway, Observation, Prober, introduction, not_begun};
use crate::method::{Method, MppePolicy};
use crate::net::entropy::random;
use crate::net::gre::RawGre;
use crate::net::interrupt::Interrupt;
use crate::net::tap::Tap;
use crate::proto::Failure;
use crate::proto::auth::AuthProtocol;
use crate::proto::automaton::Timing;
use crate::proto::lcp::AuthPolicy;
use crate::proto::link;
use crate::proto::tunnel::{Config, Goal};
use crate::reason::{Phase, Reason};

/// Pauses before a candidate is tried again whose call did not come about: a
/// gateway frees the place of a call a moment after it has ended.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500)];

/// Authentication as LCP knows it: EAP is one protocol, whatever runs inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol(Method);

impl Protocol {
    /// All of them, weakest first.
    pub const ALL: [Self; 6] = [
        Self(Method::None),
        Self(Method::Pap),
        Self(Method::ChapMd5),
        Self(Method::MsChapV1),
        Self(Method::MsChapV2),
        Self(Method::EapMd5),
    ];

    /// The word of `--forbid-auth` and of the results.
    pub fn word(self) -> &'static str {
        match self.0 {
            Method::EapMd5 => "eap",
            method => method.word(),
        }
    }

    /// Whether this is what a gateway proposed; `None` proposes nothing.
    pub fn is(self, proposal: Option<&AuthProtocol>) -> bool {
        match proposal {
            None => self.0 == Method::None,
            Some(protocol) => protocol.methods().contains(&self.0),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Protocol {
    type Err = String;

    /// # Errors
    /// A sentence that lists the known words.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|protocol| protocol.word() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|protocol| protocol.word()).collect();
            format!("unknown protocol; known are {}", known.join(" "))
        })
    }
}

/// What the probe shall find out.
#[derive(Debug, Clone)]
pub struct Wish {
    /// LCP Echo round trips.
    pub echoes: u32,
    /// Authentication protocols to find out about, each in a session of its own.
    pub candidates: Vec<Protocol>,
}

/// What was found out about one authentication protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub protocol: Protocol,
    /// Whether the gateway would accept it; `None`: it could not be found out.
    pub accepted: Option<bool>,
    /// What was in the way, where its own session failed.
    pub obstacle: Option<Failure>,
}

/// Probes the GRE path, then the candidates.
pub async fn probe(
    gateway: &Gateway,
    wish: &Wish,
    raw: RawGre,
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> (Observation, Vec<Finding>) {
    let mut prober = match Prober::new(gateway, allowance, Some(raw), interrupt, tap) {
        Ok(prober) => prober,
        Err(failure) => return (not_begun(failure), Vec::new()),
    };
    let seed = match random() {
        Ok(seed) => u32::from_ne_bytes(seed),
        Err(text) => {
            let failure = Failure::new(Phase::Resolve, Reason::Local, text);
            return (not_begun(failure), Vec::new());
        }
    };
    let config = |goal, call_id, policy, magic| Config {
        goal,
        call_id,
        control: introduction(allowance),
        link: Some(link_config(goal, policy, magic)),
        patience: allowance.patience(),
        echo_timeout: allowance.echo_timeout(),
    };
    let goal = Goal::Link { echoes: wish.echoes };
    let seen =
        prober.session(|call_id| config(goal, call_id, AuthPolicy::Whatever, seed | 1)).await;
    let mut findings = Vec::new();
    for (&protocol, number) in wish.candidates.iter().zip(1u32..) {
        let first = seen.seen.proposals.first().map(Option::as_ref);
        let known = |accepted| Finding { protocol, accepted, obstacle: None };
        findings.push(match first {
            // Not even LCP worked: there is nothing to ask.
            None => known(None),
            Some(proposal) if protocol.is(proposal) => known(Some(true)),
            // A gateway that asks for nothing authenticates nobody.
            Some(None) => known(Some(false)),
            Some(_) if seen.seen.failure.is_some() => known(None),
            Some(_) => {
                let magic = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9)) | 1;
                let policy = AuthPolicy::Candidate(protocol.0);
                let config = |call_id| config(Goal::Candidate, call_id, policy.clone(), magic);
                let (accepted, obstacle) = candidate(&mut prober, config).await;
                Finding { protocol, accepted, obstacle }
            }
        });
    }
    (seen, findings)
}

/// Finds out about one candidate; a call that did not come about is placed
/// again while there is time.
async fn candidate(
    prober: &mut Prober<'_>,
    config: impl Fn(u16) -> Config,
) -> (Option<bool>, Option<Failure>) {
    let mut pauses = PAUSES.iter();
    let mut obstacle = None;
    while Instant::now() < prober.allowance.goal() {
        let seen = prober.session(&config).await.seen;
        obstacle = seen.failure;
        let no_call = obstacle.as_ref().is_some_and(|failure| {
            failure.phase <= Phase::Call && failure.reason != Reason::Interrupted
        });
        let Some(&pause) = pauses.next().filter(|_| no_call && seen.candidate.is_none()) else {
            return (seen.candidate, obstacle);
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = prober.interrupt.wait() => break,
        }
    }
    (None, obstacle)
}

fn link_config(goal: Goal, auth: AuthPolicy, magic: u32) -> link::Config {
    let goal = match goal {
        Goal::Candidate => link::Goal::Candidate,
        _ => link::Goal::Lcp,
    };
    link::Config {
        goal,
        auth,
        credentials: None,
        mppe: MppePolicy::ANY,
        mru: None,
        magic,
        peer_challenge: [0; 16],
        ask_dns: false,
        ask_nbns: false,
        timing: Timing::default(),
    }
}
