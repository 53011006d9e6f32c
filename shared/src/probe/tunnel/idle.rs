//! Silence: one session for each duration says nothing for that long, then
//! it is seen what of it still works; a helper session stays busy meanwhile.
//!
//! A session comes up, and the helper pings its address through the gateway,
//! to learn whether the gateway forwards between its clients. Then nothing of
//! ours goes over its GRE or its control connection but answers to what the
//! gateway asks. Afterwards, in this order, because whatever we send opens a
//! NAT again: the helper pings it, it sends LCP echoes, and at last it sends a
//! control Echo-Request.
//!
//! It owns the silence and what is tried after it. It leaves the judgement to
//! [`spans`](super::spans).
//!
//! What real gateways do: pppd with `lcp-echo-interval` is never silent itself;
//! that keeps the path, and is counted. Some ask for a control echo after a
//! minute (RFC 2637, section 3.1.4), pptpd never. A NAT that knows GRE by
//! address alone takes the helper's traffic for that of all sessions.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};

use super::crowd::{Part, side_by_side};
use super::spans::Span;
use super::way::{Answer, Heard, Pinger, Way, now};
use super::{KEEP_INTERVAL, LINK_ECHO};
use crate::net::gre::RawGre;
use crate::net::inside::Inside;
use crate::net::interrupt::Interrupt;
use crate::net::tap::Tap;
use crate::probe::auth::Wish;
use crate::probe::{Allowance, Gateway, Observation};
use crate::proto::tunnel::Tunnel;

/// What a run takes beside its longest silence, at most.
pub const OVERHEAD: Duration = Duration::from_secs(10);

/// From the start of one session to that of the next.
const RAMP: Duration = Duration::from_millis(20);
/// Sessions wait so long for the helper.
const HELPER_WAIT: Duration = Duration::from_secs(2);
/// Acknowledgements and answers still on their way come before the silence.
const SETTLE: Duration = Duration::from_millis(200);
/// A silence that was longer than asked for by more than this is none of ours.
const LATE: Duration = Duration::from_millis(500);
/// Times that something is asked, and the wait for each answer.
const TRIES: u16 = 3;
const TRY: Duration = Duration::from_nanos(1_000_000_000 / TRIES as u64);
/// Wait for a control Echo-Reply; TCP repeats within it what is lost.
const CONTROL_WAIT: Duration = Duration::from_secs(2);
/// All that is tried after a silence.
const TRYING: Duration = Duration::from_secs(5);
/// Octets of a ping.
const PING: usize = 84;
/// The helper's LCP echoes between two of its control echoes: less than the
/// minute after which a gateway would ask itself.
const CONTROL_EVERY: u16 = 45;

/// What a run is about.
#[derive(Debug, Clone)]
pub struct Idle {
    /// A session for each.
    pub durations: Vec<Duration>,
    /// For whoever wants to watch.
    pub progress: Rc<Progress>,
}

/// How far the silence is.
#[derive(Debug, Default)]
pub struct Progress {
    silent: Cell<usize>,
    since: Cell<Option<Instant>>,
}

impl Progress {
    /// How long the first session to be silent has been it, and how many are
    /// silent now.
    pub fn silence(&self) -> Option<(Duration, usize)> {
        let since = self.since.get().filter(|_| self.silent.get() > 0)?;
        Some((now().duration_since(since), self.silent.get()))
    }
}

/// What one session showed.
#[derive(Debug, Clone)]
pub struct Silence {
    /// What still worked after it.
    pub span: Span,
    /// Whether the helper's pings reached the session before it.
    pub forwarded: Option<bool>,
    /// How long it was, if it began at all.
    pub lasted: Option<Duration>,
    /// LCP echoes of the gateway that broke it.
    pub gateway_echoes: u64,
    /// GRE packets of the gateway that broke it, those included.
    pub gateway_packets: u64,
    /// The session.
    pub seen: Observation,
}

/// What the run showed.
#[derive(Debug, Clone)]
pub struct Found {
    /// The helper's session.
    pub helper: Observation,
    /// The others, in the order of the durations.
    pub silences: Vec<Silence>,
}

/// Measures all durations at once; `sockets` holds one for each. Each has
/// [`OVERHEAD`] beside its silence.
pub async fn probe(
    gateway: &Gateway,
    wish: &Wish,
    idle: &Idle,
    (raw, sockets): (RawGre, Vec<RawGre>),
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> Found {
    let notes: Vec<_> = idle.durations.iter().map(|_| Rc::<RefCell<Notes>>::default()).collect();
    let within = |silence: Duration| {
        let deadline = allowance.deadline.min(allowance.started + silence + OVERHEAD);
        Allowance { deadline, ..allowance }
    };
    let longest = idle.durations.iter().max().copied().unwrap_or_default();
    let (publish, helper) = watch::channel(None);
    let mut parts = vec![part(raw, Duration::ZERO, within(longest), Role::Helper(publish))];
    let mut delay = Duration::ZERO;
    for ((&duration, notes), raw) in idle.durations.iter().zip(&notes).zip(sockets) {
        delay += RAMP;
        let allowance = within(duration);
        let silent = Silent {
            duration,
            until: allowance.work_until(),
            helper: helper.clone(),
            notes: notes.clone(),
            progress: idle.progress.clone(),
        };
        parts.push(part(raw, delay, allowance, Role::Silent(silent)));
    }
    drop(helper);
    let mut seen = side_by_side(gateway, wish, parts, allowance, interrupt, tap).await;
    let helper = seen.remove(0);
    let silences = idle.durations.iter().zip(&notes).zip(seen);
    let silences = silences.map(|((&idle, notes), seen)| notes.borrow().silence(idle, seen));
    Found { helper, silences: silences.collect() }
}

fn part(
    raw: RawGre,
    delay: Duration,
    allowance: Allowance,
    role: Role,
) -> Part<impl AsyncFnOnce(&Inside)> {
    let user = async move |inside: &Inside| role.act(inside).await;
    Part { raw, delay, allowance, up_by: allowance.goal(), user }
}

/// Who uses a session.
enum Role {
    Helper(watch::Sender<Option<Inside>>),
    Silent(Silent),
}

impl Role {
    async fn act(self, inside: &Inside) {
        match self {
            Self::Helper(publish) => {
                publish.send_replace(Some(inside.clone()));
                tokio::select! {
                    () = publish.closed() => {}
                    () = stay_busy(inside) => {}
                }
            }
            Self::Silent(silent) => silent.act(inside).await,
        }
    }
}

/// Goes on until it is dropped.
async fn stay_busy(inside: &Inside) {
    let mut pinger = inside.pinger(None);
    for sequence in (0..=u16::MAX).cycle() {
        pinger.send(sequence, LINK_ECHO);
        if sequence % CONTROL_EVERY == CONTROL_EVERY - 1 {
            inside.with_tunnel(Tunnel::send_control_echo);
        }
        sleep(KEEP_INTERVAL).await;
    }
}

/// The user of a session that is to be silent.
struct Silent {
    duration: Duration,
    /// Everything must be over.
    until: Instant,
    /// The helper's session, once it is up; closed when it never will be.
    helper: watch::Receiver<Option<Inside>>,
    notes: Rc<RefCell<Notes>>,
    progress: Rc<Progress>,
}

impl Silent {
    async fn act(mut self, inside: &Inside) {
        let helper =
            timeout_at((now() + HELPER_WAIT).into(), self.helper.wait_for(Option::is_some));
        let helper = helper.await.ok().and_then(|helper| helper.ok()?.clone());
        let ours = inside.addresses().map(|(address, _)| address);
        let path = helper.zip(ours).map(|(helper, to)| Inbound { helper, inside, to });
        if let Some(path) = &path {
            self.notes.borrow_mut().forwarded = Some(path.is_open().await);
        }
        sleep(SETTLE).await;
        if now() + self.duration + TRYING > self.until {
            return;
        }
        let before = heard_from_gateway(inside);
        {
            let _lasting = Lasting::new(self.notes.clone(), self.progress.clone());
            sleep(self.duration).await;
        }
        if self.notes.borrow().lasted.is_some_and(|lasted| lasted > self.duration + LATE) {
            // This process was stopped meanwhile: that was another silence.
            return;
        }
        let after = heard_from_gateway(inside);
        {
            let mut notes = self.notes.borrow_mut();
            notes.gateway_packets = after.0 - before.0;
            notes.gateway_echoes = after.1 - before.1;
        }
        if let Some(path) = path.filter(|_| self.notes.borrow().forwarded == Some(true)) {
            let inbound = path.is_open().await;
            // A helper that is cut off itself proves nothing.
            let is_known = inbound || is_answered(&mut path.helper.pinger(None), LINK_ECHO).await;
            self.notes.borrow_mut().inbound = is_known.then_some(inbound);
        }
        let outbound = is_answered(&mut inside.pinger(None), LINK_ECHO).await;
        self.notes.borrow_mut().outbound = Some(outbound);
        // What becomes of the session from here on is an answer too.
        self.notes.borrow_mut().control = Some(false);
        let control = inside.control_echo(now() + CONTROL_WAIT).await;
        self.notes.borrow_mut().control = Some(control);
    }
}

/// What a session notes while it stands.
#[derive(Debug, Default)]
struct Notes {
    forwarded: Option<bool>,
    lasted: Option<Duration>,
    gateway_echoes: u64,
    gateway_packets: u64,
    outbound: Option<bool>,
    inbound: Option<bool>,
    control: Option<bool>,
}

impl Notes {
    fn silence(&self, idle: Duration, seen: Observation) -> Silence {
        let &Self { forwarded, lasted, gateway_echoes, gateway_packets, .. } = self;
        let &Self { outbound, inbound, control, .. } = self;
        let span = Span { idle, outbound, inbound, control };
        Silence { span, forwarded, lasted, gateway_echoes, gateway_packets, seen }
    }
}

/// A silence that goes on; ends with its value, also where the session ends
/// before it.
struct Lasting {
    begun: Instant,
    notes: Rc<RefCell<Notes>>,
    progress: Rc<Progress>,
}

impl Lasting {
    fn new(notes: Rc<RefCell<Notes>>, progress: Rc<Progress>) -> Self {
        let begun = now();
        progress.silent.set(progress.silent.get() + 1);
        progress.since.set(progress.since.get().or(Some(begun)));
        Self { begun, notes, progress }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.notes.borrow_mut().lasted = Some(now().duration_since(self.begun));
        self.progress.silent.set(self.progress.silent.get() - 1);
    }
}

/// From the helper through the gateway to a session.
struct Inbound<'a> {
    helper: Inside,
    inside: &'a Inside,
    to: Ipv4Addr,
}

impl Inbound<'_> {
    /// Whether a ping of the helper reaches the session. That its answer comes
    /// back is not needed.
    async fn is_open(&self) -> bool {
        let before = self.inside.counters().echo_requests;
        let is_answered = is_answered(&mut self.helper.pinger(Some(self.to)), PING).await;
        is_answered || self.inside.counters().echo_requests > before
    }
}

/// Whether one of a few echoes comes back.
async fn is_answered(pinger: &mut impl Pinger, length: usize) -> bool {
    for sequence in 0..TRIES {
        let until = pinger.send(sequence, length) + TRY;
        while let Some(Heard { answer, .. }) = pinger.heard(until).await {
            if matches!(answer, Answer::Reply { .. }) {
                return true;
            }
        }
    }
    false
}

/// GRE packets that came, and the LCP echoes among them.
fn heard_from_gateway(inside: &Inside) -> (u64, u64) {
    let (seen, _) = inside.seen();
    (inside.with_tunnel(|tunnel, _| tunnel.gre_packets()), seen.link.echo_requests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tunnel::echoes::tests::{Path, in_ms, on_virtual_clock};

    const FROM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    #[test]
    fn one_answer_in_three_is_enough_and_ends_the_asking() {
        on_virtual_clock(async {
            let begun = now();
            let reply = Answer::Reply { length: PING };
            let mut path =
                Path::new(|sequence, _| if sequence == 1 { vec![(5, reply)] } else { vec![] });
            assert!(is_answered(&mut path, PING).await);
            assert_eq!(path.sent, [(0, PING), (1, PING)]);
            assert!(now() <= begun + TRY + Duration::from_millis(6));
        });
    }

    #[test]
    fn errors_and_silence_are_no_answer_and_take_a_second() {
        on_virtual_clock(async {
            // The clock of the tests counts whole milliseconds.
            let until = in_ms(1_000 + u64::from(TRIES));
            let error = Answer::Unreachable { from: FROM, code: 1 };
            let mut path = Path::new(|_, _| vec![(5, error)]);
            assert!(!is_answered(&mut path, PING).await);
            assert_eq!(path.sent.len(), 3);
            assert!(now() <= until);
        });
    }

    #[test]
    fn progress_counts_who_is_silent_and_what_a_cut_silence_was() {
        on_virtual_clock(async {
            let (notes, progress) = (Rc::<RefCell<Notes>>::default(), Rc::new(Progress::default()));
            assert_eq!(progress.silence(), None);
            let first = Lasting::new(notes.clone(), progress.clone());
            sleep(Duration::from_secs(5)).await;
            let second = Lasting::new(Rc::default(), progress.clone());
            assert_eq!(progress.silence(), Some((Duration::from_secs(5), 2)));
            drop(first);
            assert_eq!(notes.borrow().lasted, Some(Duration::from_secs(5)));
            assert_eq!(progress.silence(), Some((Duration::from_secs(5), 1)));
            drop(second);
            assert_eq!(progress.silence(), None);
        });
    }
}
