//! Many sessions at once from this host: each comes up, waits until all
//! others stand or have failed, sends its echoes while they stand, and waits
//! for the others before it says good-bye.
//!
//! It owns the tasks of such a run, also those of [`idle`](super::idle): one
//! thread, a socket and a farewell for each session, one interrupt for all.
//! It leaves open what the failures of some mean together.
//!
//! What real gateways do: pptpd without a free slot accepts the connection
//! and says nothing; others refuse the call, or end the link in IPCP when their
//! pool is empty. A NAT that knows GRE by address alone gives everything
//! to one of its clients.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until, timeout_at};

use super::echoes::{self, Echoes};
use super::way::{Way, now};
use super::{Found, Ping, User, seed};
use crate::net::gre::RawGre;
use crate::net::inside::Inside;
use crate::net::interrupt::Interrupt;
use crate::net::tap::Tap;
use crate::probe::auth::{Wish, link_config, tunnel_config};
use crate::probe::{Allowance, Gateway, Observation, Prober, not_begun};
use crate::proto::Failure;
use crate::proto::tunnel::{Goal, Seen};
use crate::reason::{Phase, Reason};

/// The waits of a session are those of a run of this length, however long the
/// sessions are to stand.
const USUAL: Duration = Duration::from_secs(10);

/// Who waits for room gives up so long before anybody else leaves.
const HEAD_START: Duration = Duration::from_millis(20);

/// What a crowd does.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// From the start of one session to that of the next.
    pub ramp: Duration,
    /// What each sends while all stand.
    pub ping: Option<Ping>,
}

/// What one of them showed.
#[derive(Debug, Clone)]
pub struct Member {
    /// The session.
    pub seen: Observation,
    /// From the start of the run until it was up.
    pub up_after: Option<Duration>,
    /// Its echoes inside, or why there was nobody to ask.
    pub echoes: Result<Echoes, (Reason, String)>,
}

/// Brings up one session for each socket, and takes them all down again.
pub async fn probe(
    gateway: &Gateway,
    wish: &Wish,
    crowd: &Crowd,
    sockets: Vec<RawGre>,
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> Vec<Member> {
    let count = sockets.len();
    let notes: Rc<[RefCell<Notes>]> = (0..count).map(|_| RefCell::default()).collect();
    // Whoever holds a receiver is waited for; one that fails drops its own.
    let gather = || Rc::new(watch::Sender::new(()));
    let (all_up, all_done) = (gather(), gather());
    let until = allowance.work_until();
    // Before those that stand make room: a gateway would let the others in then,
    // and they would miss their time in a phase that is not to blame.
    let up_by = until.checked_sub(HEAD_START).unwrap_or(until);
    let begin_by = crowd.ping.as_ref().map_or(until, |ping| {
        let plan = &ping.plan;
        let needed = plan.interval.saturating_mul(plan.count.into()).saturating_add(plan.timeout);
        until.checked_sub(needed).unwrap_or(allowance.started)
    });
    let mut delay = Duration::ZERO;
    let mut parts = Vec::with_capacity(count);
    for (index, raw) in sockets.into_iter().enumerate() {
        let (notes, ping) = (notes.clone(), crowd.ping.clone());
        let (is_up, is_done) = (all_up.subscribe(), all_done.subscribe());
        let (all_up, all_done) = (all_up.clone(), all_done.clone());
        let user = async move |inside: &Inside| {
            notes[index].borrow_mut().up_after = Some(now().duration_since(allowance.started));
            drop(is_up);
            let _ = timeout_at(begin_by.into(), all_up.closed()).await;
            if let Some(ping) = ping {
                // Not all in the same moment: that would measure our own burst.
                sleep(ping.plan.interval * index as u32 / count as u32).await;
                let echoes = send_echoes(inside, &ping, until).await;
                notes[index].borrow_mut().echoes = Some(echoes);
            }
            drop(is_done);
            let _ = timeout_at(until.into(), all_done.closed()).await;
        };
        parts.push(Part { raw, delay, allowance, up_by, user });
        delay += crowd.ramp;
    }
    let seen = side_by_side(gateway, wish, parts, allowance, interrupt, tap).await;
    let members = seen.into_iter().zip(&*notes).map(|(seen, notes)| {
        let Notes { up_after, echoes } = notes.take();
        Member { seen, up_after, echoes: echoes.unwrap_or_else(|| Ok(Echoes::default())) }
    });
    members.collect()
}

/// What a session notes while it stands.
#[derive(Debug, Default)]
struct Notes {
    up_after: Option<Duration>,
    echoes: Option<Result<Echoes, (Reason, String)>>,
}

async fn send_echoes(
    inside: &Inside,
    ping: &Ping,
    until: Instant,
) -> Result<Echoes, (Reason, String)> {
    let found = RefCell::new(Found::default());
    let user = User { inside, fragments: None, until, found: &found };
    let (_, address) = user.whom(ping, until).await;
    let mut pinger = inside.pinger(Some(address?));
    Ok(echoes::series(&mut pinger, &ping.plan, until).await)
}

/// One of several sessions of a run.
pub(super) struct Part<U> {
    /// Its socket.
    pub(super) raw: RawGre,
    /// From the start of the first session to its own.
    pub(super) delay: Duration,
    /// Its own time.
    pub(super) allowance: Allowance,
    /// When it gives up unless it is open.
    pub(super) up_by: Instant,
    /// Who uses it once it is open.
    pub(super) user: U,
}

/// Runs sessions at one time, each until its user is done; gives what they
/// showed, in their order. Interrupted, all say good-bye at once.
pub(super) async fn side_by_side<U>(
    gateway: &Gateway,
    wish: &Wish,
    parts: Vec<Part<U>>,
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> Vec<Observation>
where
    U: AsyncFnOnce(&Inside) + 'static,
{
    let count = parts.len();
    let taps: Vec<Tap> = (1..=count).map(|number| tap.beside(number)).collect();
    let mut host = match Prober::new(gateway, allowance, None, interrupt, tap) {
        Ok(host) => host,
        Err(failure) => return vec![not_begun(failure); count],
    };
    let located = host.observe(async |host, phases| {
        host.locate(phases).await?;
        Ok((Seen::new(), None))
    });
    let located = located.await;
    let Some(address) = located.address else { return vec![located; count] };
    let ends = io::pipe().and_then(|(reader, writer)| {
        let readers: io::Result<Vec<_>> = (0..count).map(|_| reader.try_clone()).collect();
        Ok((readers?, writer))
    });
    let (readers, writer) = match ends {
        Ok(ends) => ends,
        Err(error) => {
            let text = format!("cannot have a pipe for each session: {error}");
            return vec![not_begun(Failure::new(Phase::Resolve, Reason::Local, text)); count];
        }
    };
    let local_set = LocalSet::new();
    let (gateway, begun) = (Rc::new(gateway.clone()), now());
    let tasks: Vec<_> = parts
        .into_iter()
        .zip(readers.into_iter().zip(taps))
        .map(|(part, (reader, tap))| {
            let interrupt = Interrupt::on_close(reader.into());
            let (gateway, wish) = (gateway.clone(), wish.clone());
            let session = session(gateway, address, wish, part, begun, interrupt, tap);
            local_set.spawn_local(session)
        })
        .collect();
    let ended = async {
        let mut seen = Vec::with_capacity(count);
        for task in tasks {
            let mut each = task.await.unwrap_or_else(|error| {
                not_begun(Failure::new(Phase::Resolve, Reason::Internal, error.to_string()))
            });
            each.seen.phases.splice(0..0, located.seen.phases.iter().copied());
            seen.push(each);
        }
        seen
    };
    local_set
        .run_until(async {
            let mut ended = pin!(ended);
            tokio::select! {
                seen = &mut ended => seen,
                () = host.interrupt.wait() => {
                    drop(writer);
                    ended.await
                }
            }
        })
        .await
}

async fn session<U: AsyncFnOnce(&Inside)>(
    gateway: Rc<Gateway>,
    address: SocketAddr,
    wish: Wish,
    part: Part<U>,
    begun: Instant,
    interrupt: io::Result<Interrupt>,
    mut tap: Tap,
) -> Observation {
    let Part { raw, delay, allowance, up_by, user } = part;
    let mut prober = match Prober::new(&gateway, allowance, Some(raw), interrupt, &mut tap) {
        Ok(prober) => prober,
        Err(failure) => return not_begun(failure),
    };
    prober.address = Some(address);
    let (link, seed) = match link_config(wish).and_then(|link| Ok((link, seed()?))) {
        Ok(random) => random,
        Err(failure) => return not_begun(failure),
    };
    tokio::select! {
        () = sleep_until((begun + delay).into()) => {}
        () = prober.interrupt.wait() => {
            let text = "interrupted before it was this session's turn";
            return not_begun(Failure::new(Phase::Connect, Reason::Interrupted, text));
        }
    }
    let usual =
        Allowance { deadline: allowance.deadline.min(allowance.started + USUAL), ..allowance };
    let config = |call_id| tunnel_config(Goal::Open, call_id, link, usual);
    prober.session_for(config, seed, up_by, user).await
}
