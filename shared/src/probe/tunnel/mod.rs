//! A user's traffic through the tunnel, each step measured on its own.
//!
//! One session carries the steps of [`Traffic`] in their order, each within
//! its share of the time that is left. [`crowd`] brings up many at once;
//! [`idle`] is silent in several, each for its own time.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{sleep, timeout_at};

use self::dns::DnsSeen;
use self::echoes::{Echoes, Plan};
use self::path_mtu::{Bisection, Directions};
use self::throughput::{Bulk, Throughput};
use self::url::{Amount, Host, HostPort};
use self::way::{Pinger, Segments, Way, now};
use self::web::{Request, WebSeen};
use super::auth::{self, link_config, tunnel_config};
use super::{Allowance, Gateway, Observation, Prober, not_begun};
use crate::net::entropy::random;
use crate::net::gre::{Fragments, RawGre};
use crate::net::inside::{Discards, Inside};
use crate::net::interrupt::Interrupt;
use crate::net::tap::Tap;
use crate::proto::Failure;
use crate::proto::stack;
use crate::proto::tunnel::{Goal, Tunnel};
use crate::reason::{Phase, Reason};

pub mod crowd;
pub mod dns;
pub mod echoes;
#[cfg(test)]
mod fake;
pub mod idle;
pub mod path_mtu;
pub mod spans;
pub mod throughput;
pub mod url;
pub mod web;

pub use crate::net::way;

/// Octets of an LCP Echo-Request that weighs about as much as a small ping.
const LINK_ECHO: usize = 64;
/// Buffers of a connection that carries little, in octets.
const SMALL_BUFFER: usize = 16 << 10;
/// From one packet to the next behind a series of echoes.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);
/// From one echo to the next while a session is only kept.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The largest, in octets: there is no larger one on Ethernet.
const ETHERNET: usize = 1_500;
/// How long a search repeats small packets before it gives up: several times
/// as long as pptpd holds what follows a gap.
const TRY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Ports of the services that take or give octets without end (RFC 863, RFC 864).
const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;

/// What a user does.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Echoes inside, and as many of LCP beside them.
    pub ping: Option<Ping>,
    /// Names to resolve by the servers that the gateway gave.
    pub names: Vec<Host>,
    /// Places to connect to.
    pub connects: Vec<HostPort>,
    /// Pages to fetch.
    pub pages: Vec<Request>,
    /// Bulk to carry.
    pub bulk: Option<BulkWish>,
    /// Find the largest packets that pass.
    pub path_mtu: bool,
    /// How long the session is kept under watch.
    pub keep: Option<Duration>,
}

/// Echoes to one host.
#[derive(Debug, Clone)]
pub struct Ping {
    /// Whom; without it, the gateway's inner address.
    pub host: Option<Host>,
    /// How many, and how.
    pub plan: Plan,
}

/// Bulk down and up.
#[derive(Debug, Clone)]
pub struct BulkWish {
    /// How much, or how long, each way.
    pub amount: Amount,
    /// Where it comes from; without it, the gateway's character generator.
    pub page: Option<Request>,
    /// A discard service; without it and without a page, the gateway's.
    pub sink: Option<HostPort>,
}

/// Bulk in one direction, and what limited it.
#[derive(Debug, Clone)]
pub struct BulkSeen {
    /// What was moved.
    pub moved: Throughput,
    /// What limited it, as far as it can be told from here.
    pub limit: Limit,
}

/// What limits bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// GRE packets were lost meanwhile.
    Loss,
    /// The window: what may be on its way at one time.
    Window,
    /// This process, which decrypts, had no more time.
    Processor,
    /// None of these: the path, or the server.
    Path,
}

/// One step that was begun, and how it went.
#[derive(Debug, Clone)]
pub struct Step {
    /// How long it took.
    pub time: Duration,
    /// What it showed.
    pub seen: StepSeen,
}

/// What a step showed.
#[derive(Debug, Clone)]
pub enum StepSeen {
    /// [`Traffic::ping`].
    Ping {
        /// Who was asked.
        host: String,
        /// Its address, or why there is none.
        address: Result<Ipv4Addr, (Reason, String)>,
        /// Echoes inside.
        inner: Echoes,
        /// Echoes of LCP, which are never encrypted.
        outer: Echoes,
    },
    /// One of [`Traffic::names`].
    Name(Host, DnsSeen),
    /// One of [`Traffic::connects`]: how long TCP took, and the largest segment
    /// that the other side allows, or why it failed.
    Connect(HostPort, Result<(Duration, u16), (Reason, String)>),
    /// One of [`Traffic::pages`].
    Page(Box<WebSeen>),
    /// [`Traffic::bulk`], each way that was asked for.
    Bulk {
        /// To us.
        down: BulkSeen,
        /// To the gateway and beyond.
        up: Option<BulkSeen>,
    },
    /// [`Traffic::path_mtu`]
    PathMtu(PathMtu),
    /// [`Traffic::keep`]: for how long it should have been and was kept.
    Keep {
        /// What was asked for.
        wanted: Duration,
        /// How long the session lived under watch.
        kept: Duration,
        /// Echoes inside.
        inner: Echoes,
        /// Echoes of LCP.
        outer: Echoes,
    },
}

/// The largest packets that pass, in octets of the IPv4 datagram inside.
#[derive(Debug, Clone)]
pub struct PathMtu {
    /// The largest datagram that LCP allows, with MPPE what is left of it.
    pub negotiated: u16,
    /// In GRE packets that may not be fragmented.
    pub whole: Directions,
    /// There and back in GRE packets that may be fragmented.
    pub fragmented: path_mtu::Found,
    /// GRE from the gateway was larger than what passes the link of this host:
    /// it came in fragments.
    pub reassembled: bool,
    /// To the host that is pinged and back, where that is not the gateway.
    pub to_host: Option<path_mtu::Found>,
}

/// What the traffic showed.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The steps that were begun.
    pub steps: Vec<Step>,
    /// Steps that there was no time for.
    pub untried: usize,
    /// What came out of the tunnel beside what was wanted.
    pub stray: stack::Counters,
}

/// Brings one session up, uses it, and takes it down again.
pub async fn probe(
    gateway: &Gateway,
    wish: auth::Wish,
    traffic: &Traffic,
    raw: RawGre,
    allowance: Allowance,
    interrupt: io::Result<Interrupt>,
    tap: &mut Tap,
) -> (Observation, Found) {
    let found = RefCell::new(Found::default());
    let mut prober = match Prober::new(gateway, allowance, Some(raw), interrupt, tap) {
        Ok(prober) => prober,
        Err(failure) => return (not_begun(failure), found.into_inner()),
    };
    let (link, seed) = match (link_config(wish), seed()) {
        (Ok(link), Ok(seed)) => (link, seed),
        (Err(failure), _) | (_, Err(failure)) => {
            return (not_begun(failure), found.into_inner());
        }
    };
    let config = |call_id| tunnel_config(Goal::Open, call_id, link, allowance);
    let user = async |inside: &Inside| {
        let user = User {
            inside,
            fragments: inside.fragments(),
            until: allowance.work_until(),
            found: &found,
        };
        user.act(traffic).await;
        found.borrow_mut().stray = inside.counters();
    };
    let seen = prober.session_for(config, seed, allowance.goal(), user).await;
    (seen, found.into_inner())
}

/// Random, for the stack of one session.
fn seed() -> Result<u64, Failure> {
    let octets = random().map_err(|text| Failure::new(Phase::Resolve, Reason::Local, text))?;
    Ok(u64::from_ne_bytes(octets))
}

/// Somebody at work.
struct User<'a> {
    inside: &'a Inside,
    fragments: Option<Fragments>,
    until: Instant,
    found: &'a RefCell<Found>,
}

impl User<'_> {
    async fn act(&self, traffic: &Traffic) {
        let pings = traffic.ping.iter().count();
        let mut left = pings
            + traffic.names.len()
            + traffic.connects.len()
            + traffic.pages.len()
            + traffic.bulk.iter().count()
            + usize::from(traffic.path_mtu)
            + traffic.keep.iter().count();
        self.found.borrow_mut().untried = left;
        // Each step gets its share of what is left.
        let mut share = || {
            let whole = self.until.saturating_duration_since(now());
            let share = whole / left.max(1) as u32;
            left = left.saturating_sub(1);
            now() + share
        };
        if let Some(ping) = &traffic.ping {
            self.step(self.ping(ping, share())).await;
        }
        for name in &traffic.names {
            self.step(self.name(name, share())).await;
        }
        for place in &traffic.connects {
            self.step(self.connect(place, share())).await;
        }
        for page in &traffic.pages {
            self.step(self.page(page, share())).await;
        }
        if let Some(wish) = &traffic.bulk {
            self.step(self.bulk(wish, share())).await;
        }
        if traffic.path_mtu {
            let host = traffic.ping.as_ref().and_then(|ping| ping.host.as_ref());
            self.step(self.path_mtu(host, share())).await;
        }
        if let Some(wanted) = traffic.keep {
            self.step(self.keep(wanted, share())).await;
        }
    }

    /// Notes a step, unless there is no time to begin it.
    async fn step(&self, step: impl Future<Output = StepSeen>) {
        let begun = now();
        if begun >= self.until || !self.inside.with_tunnel(|tunnel, _| tunnel.is_open()) {
            return;
        }
        let seen = step.await;
        let mut found = self.found.borrow_mut();
        found.untried -= 1;
        found.steps.push(Step { time: now().duration_since(begun), seen });
    }

    async fn ping(&self, ping: &Ping, until: Instant) -> StepSeen {
        let (host, address) = self.whom(ping, until).await;
        let mtu = self.inside.with_tunnel(|tunnel, _| tunnel.negotiated_mtu());
        let address = match address {
            Ok(_) if ping.plan.length > usize::from(mtu) => {
                let length = ping.plan.length;
                let text =
                    format!("echoes of {length} octets are more than was negotiated ({mtu})");
                Err((Reason::Local, text))
            }
            address => address,
        };
        let (inner, outer) = match address {
            Ok(address) => self.echoes(address, &ping.plan, until).await,
            Err(_) => Default::default(),
        };
        StepSeen::Ping { host, address, inner, outer }
    }

    /// Name and address of who is pinged.
    async fn whom(
        &self,
        ping: &Ping,
        until: Instant,
    ) -> (String, Result<Ipv4Addr, (Reason, String)>) {
        let gateway = self.inside.addresses().map(|(_, gateway)| gateway);
        match (&ping.host, gateway) {
            (Some(host), _) => (host.to_string(), self.address(host, until).await),
            (None, Some(gateway)) => (gateway.to_string(), Ok(gateway)),
            (None, None) => {
                let text = "the gateway has no inner address that could be asked";
                ("the gateway".into(), Err((Reason::NoAddress, text.into())))
            }
        }
    }

    /// Echoes inside and outside at the same pace, half an interval apart so
    /// that none waits for the other.
    async fn echoes(&self, to: Ipv4Addr, plan: &Plan, until: Instant) -> (Echoes, Echoes) {
        let (mut inside, mut beside) = (self.inside.pinger(Some(to)), self.inside.pinger(None));
        let series = async {
            tokio::join!(echoes::series(&mut inside, plan, until), async {
                sleep(plan.interval / 2).await;
                series_outside(&mut beside, plan, until).await
            })
        };
        tokio::select! {
            seen = series => seen,
            never = self.follow(plan.interval * u32::from(plan.count)) => match never {},
        }
    }

    /// Sends something that nobody answers, again and again, once the last echo
    /// has gone: pptpd holds what follows a gap until a further packet comes,
    /// and one lost packet would look like the end of everything.
    async fn follow(&self, last: Duration) -> Infallible {
        sleep(last).await;
        loop {
            sleep(FOLLOW_INTERVAL).await;
            self.inside.with_tunnel(|tunnel, now| tunnel.send_discard_like(LINK_ECHO, now));
        }
    }

    async fn address(&self, host: &Host, until: Instant) -> Result<Ipv4Addr, (Reason, String)> {
        if let Some(address) = host.address() {
            return Ok(address);
        }
        let seen = dns::resolve(self.inside, &self.servers(), host, until).await;
        match (seen.addresses.first(), seen.failure) {
            (Some(&address), _) => Ok(address),
            (None, Some((_, text))) => Err((Reason::DnsFailed, text)),
            (None, None) => Err((Reason::DnsFailed, format!("{host} has no address inside"))),
        }
    }

    fn servers(&self) -> Vec<Ipv4Addr> {
        self.inside.with_tunnel(|tunnel, _| Tunnel::dns(tunnel))
    }

    async fn name(&self, name: &Host, until: Instant) -> StepSeen {
        let seen = dns::resolve(self.inside, &self.servers(), name, until).await;
        StepSeen::Name(name.clone(), seen)
    }

    async fn connect(&self, place: &HostPort, until: Instant) -> StepSeen {
        let outcome = match self.address(&place.host, until).await {
            Err(failure) => Err(failure),
            Ok(address) => {
                let to = SocketAddrV4::new(address, place.port);
                let begun = now();
                match self.inside.connect(to, SMALL_BUFFER, until).await {
                    Ok(stream) => Ok((now().duration_since(begun), stream.peer_mss())),
                    Err(error) => Err(way::refusal(to, &error)),
                }
            }
        };
        StepSeen::Connect(place.clone(), outcome)
    }

    async fn page(&self, request: &Request, until: Instant) -> StepSeen {
        let seen = web::fetch(self.inside, &self.servers(), request, until).await;
        StepSeen::Page(Box::new(seen))
    }

    async fn bulk(&self, wish: &BulkWish, until: Instant) -> StepSeen {
        let servers = self.servers();
        let gateway = self.inside.addresses().map_or(Ipv4Addr::UNSPECIFIED, |(_, peer)| peer);
        let chargen = Bulk::Chargen(SocketAddrV4::new(gateway, CHARGEN));
        let from = match &wish.page {
            Some(request) => Bulk::Page { request, servers: &servers },
            None => chargen,
        };
        let sink = match (&wish.sink, &wish.page) {
            (Some(place), _) => match self.address(&place.host, until).await {
                Ok(address) => Some(SocketAddrV4::new(address, place.port)),
                Err(_) => None,
            },
            (None, None) => Some(SocketAddrV4::new(gateway, DISCARD)),
            (None, Some(_)) => None,
        };
        let half = until - until.saturating_duration_since(now()) / 2;
        let end = if sink.is_some() { half } else { until };
        let down = self.one_way(from, wish.amount, web::BUFFER, end).await;
        let up = match sink {
            Some(to) => {
                let window = self.inside.with_tunnel(|tunnel, _| tunnel.window()) * ETHERNET;
                Some(self.one_way(Bulk::Discard(to), wish.amount, window, until).await)
            }
            None => None,
        };
        StepSeen::Bulk { down, up }
    }

    /// `window` is what may be on its way at one time, in octets.
    async fn one_way(
        &self,
        bulk: Bulk<'_>,
        amount: Amount,
        window: usize,
        until: Instant,
    ) -> BulkSeen {
        let lost = || {
            self.inside.with_tunnel(|tunnel, _| tunnel.gre().map_or(0, |gre| gre.counters().lost))
        };
        let (lost_before, busy_before, begun) = (lost(), processor_time(), now());
        let mut beside = self.inside.pinger(None);
        let (moved, echoes) = tokio::join!(
            throughput::measure(self.inside, bulk, amount, web::BUFFER, until),
            async {
                let plan = Plan {
                    count: 3,
                    interval: Duration::from_millis(100),
                    timeout: Duration::from_secs(1),
                    length: LINK_ECHO,
                };
                series_outside(&mut beside, &plan, until).await
            }
        );
        let wall = now().duration_since(begun);
        let round_trip = echoes.median().unwrap_or_default().as_secs_f64();
        let carried = moved.rate().unwrap_or(0.0) * round_trip;
        let limit = if lost() > lost_before {
            Limit::Loss
        } else if processor_time().saturating_sub(busy_before) > wall * 4 / 5 {
            Limit::Processor
        } else if carried > window as f64 * 0.7 {
            Limit::Window
        } else {
            Limit::Path
        };
        BulkSeen { moved, limit }
    }

    /// First in GRE packets that may be fragmented, as any client sends them:
    /// that may teach this host the MTU of the path. Then in such that may not,
    /// both ways and upwards alone, as far as that can be: what fits no packet
    /// whole would only leave a gap in the sequence.
    async fn path_mtu(&self, host: Option<&Host>, until: Instant) -> StepSeen {
        let negotiated = self.inside.with_tunnel(|tunnel, _| tunnel.negotiated_mtu());
        let high = usize::from(negotiated).clamp(path_mtu::SMALL, ETHERNET);
        let mut seen = PathMtu {
            negotiated,
            whole: Directions { both: None, up: None, down: None },
            fragmented: path_mtu::Found::default(),
            reassembled: false,
            to_host: None,
        };
        let Some((_, gateway)) = self.inside.addresses() else { return StepSeen::PathMtu(seen) };
        let sizes = |high: usize| Bisection::new(path_mtu::SMALL, high.max(path_mtu::SMALL));
        let share = |part: u32| until - until.saturating_duration_since(now()) / part;
        self.inside.with_tunnel(|tunnel, _| tunnel.acknowledge_always(true));
        let mut pinger = self.inside.pinger(Some(gateway));
        seen.fragmented = path_mtu::largest(&mut pinger, sizes(high), TRY_TIMEOUT, share(3)).await;
        let mtu = self.fragments.as_ref().and_then(Fragments::path_mtu).unwrap_or(ETHERNET);
        let (outer, (fits_up, fits_down)) = self
            .inside
            .with_tunnel(|tunnel, _| (tunnel.largest_outer(), tunnel.largest_whole(mtu)));
        seen.reassembled = outer > mtu;
        let limit = seen.fragmented.largest.filter(|_| seen.fragmented.exact).unwrap_or(high);

        self.allow_fragments(false);
        let mut both = path_mtu::Found::default();
        if seen.fragmented.largest.is_some() {
            let sizes = sizes(limit.min(fits_up).min(fits_down));
            both = path_mtu::largest(&mut pinger, sizes, TRY_TIMEOUT, share(2)).await;
            both.exact |= seen.fragmented.exact && both.largest == Some(limit);
        }
        let mut upwards = sizes(high.min(fits_up));
        if let Some(largest) = both.largest {
            // The same path with our header, which may be shorter.
            upwards.expect(&[largest, (largest + fits_up).saturating_sub(fits_down)]);
        }
        let mut discards = Discards::new(self.inside);
        let up = path_mtu::largest_up(&mut discards, upwards, TRY_TIMEOUT, share(3)).await;
        self.allow_fragments(true);
        seen.whole = Directions::new(&both, up, fits_up, fits_down);

        if let Some(host) = host
            && let Ok(address) = self.address(host, until).await
        {
            let mut pinger = self.inside.pinger(Some(address));
            let found = path_mtu::largest(&mut pinger, sizes(limit), TRY_TIMEOUT, until).await;
            seen.to_host = Some(found);
        }
        self.inside.with_tunnel(|tunnel, _| tunnel.acknowledge_always(false));
        StepSeen::PathMtu(seen)
    }

    fn allow_fragments(&self, allowed: bool) {
        if let Some(fragments) = &self.fragments {
            // A kernel that cannot be told leaves packets as they would be.
            let _ = fragments.allow(allowed);
        }
    }

    async fn keep(&self, wanted: Duration, until: Instant) -> StepSeen {
        let begun = now();
        let until = until.min(begun + wanted);
        let count = wanted.as_secs().clamp(1, u16::MAX.into()) as u16;
        let plan =
            Plan { count, interval: KEEP_INTERVAL, timeout: KEEP_INTERVAL * 2, length: LINK_ECHO };
        let gateway = self.inside.addresses().map(|(_, gateway)| gateway);
        let watch = async {
            let seen = match gateway {
                Some(gateway) => self.echoes(gateway, &plan, until).await,
                None => {
                    let mut beside = self.inside.pinger(None);
                    (Echoes::default(), series_outside(&mut beside, &plan, until).await)
                }
            };
            let _ = timeout_at(until.into(), self.inside.closed()).await;
            seen
        };
        let (inner, outer) = watch.await;
        StepSeen::Keep { wanted, kept: now().duration_since(begun), inner, outer }
    }
}

/// Time of the processor that this process has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

async fn series_outside(pinger: &mut impl Pinger, plan: &Plan, until: Instant) -> Echoes {
    let plan = Plan { length: LINK_ECHO, ..*plan };
    echoes::series(pinger, &plan, until).await
}
