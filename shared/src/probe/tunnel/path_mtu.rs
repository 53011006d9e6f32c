//! The largest packet that passes the tunnel, found with echoes that must not
//! be fragmented (RFC 1191, RFC 8899), and upwards alone with frames that the
//! gateway acknowledges.
//!
//! It owns the search, and what follows from it for MTU and MSS. It leaves the
//! octets to [`Pinger`] and [`Acknowledged`]. All sizes count the octets of the
//! IPv4 datagram inside the tunnel.
//!
//! A round sends five sizes at once, the largest first, and behind them a small
//! packet: a sixth of the range is left after one round trip, and once the
//! small packet is answered, those before it that are not were dropped, so a
//! black hole costs no time-out. An answer proves that a size passes, whenever
//! it comes; silence only makes it unlikely, and the size that ends the search
//! has been tried three times.
//!
//! A GRE packet that carries an acknowledgement is four octets longer (RFC
//! 2637, section 4.1). What counts is the size that passes with one: ours carry
//! one each while a search is on. The gateway's carry one when there is
//! something new to acknowledge, which is not so for all the answers of a round:
//! therefore the size that was found is tried alone in the end.
//!
//! What real gateways do: pptpd holds what follows a gap in the sequence for
//! 0.3 s, and then until a further packet comes. Where large packets are lost on
//! the way up, the small packet is therefore repeated, at such a pace that the
//! fourth ends the hold. Its acknowledgements are cumulative and skip what it
//! gave up; where no data goes back they come after 50 ms. accel-ppp
//! acknowledges with data only. A router with manners names the size that fits;
//! many firewalls drop what it says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::way::{Acknowledged, Answer, Heard, Pinger, now};

/// How often a size is tried before it counts as failed.
const TRIES: u8 = 3;
/// Sizes in a round.
const WIDTH: usize = 5;
/// Sizes tried in a search, repetitions included.
const MOST_TRIES: usize = 50;
/// From one small packet to the next while none is answered: the fourth comes
/// when pptpd holds nothing any more.
const NUDGE: Duration = Duration::from_millis(105);
/// Octets that a GRE packet without an acknowledgement is shorter.
const ACKNOWLEDGEMENT: usize = 4;
/// Large packets that a small one overtook are waited for this long; what
/// comes later still counts, and the two tries to come leave time for it.
const GRACE: Duration = Duration::from_millis(10);
/// Headers of IPv4 and TCP without options in octets.
const HEADERS: u16 = 40;

/// A size in octets that is taken to pass.
pub const SMALL: usize = 128;

/// The search for the largest size that passes. It sends nothing and knows no
/// clock; who does says what became of each size.
#[derive(Debug)]
pub struct Bisection {
    /// The largest size that passed.
    passed: usize,
    high: usize,
    /// Larger sizes that did not pass, and how often they were tried.
    failed: BTreeMap<usize, u8>,
    /// Sizes that are likely to be the largest, the likeliest first.
    expected: Vec<usize>,
}

impl Bisection {
    /// A search from `low`, which passes, to `high`.
    pub fn new(low: usize, high: usize) -> Self {
        Self { passed: low, high, failed: BTreeMap::new(), expected: Vec::new() }
    }

    /// What to try next, the largest first: at most `width` sizes, which may
    /// go at once; one that is to end the search comes several times. Nothing
    /// when the search is over.
    pub fn next(&self, width: usize) -> Vec<usize> {
        let suspect = self.failed.first_key_value();
        if let Some((&size, &tries)) = suspect
            && size == self.passed + 1
        {
            return vec![size; width.min(TRIES.saturating_sub(tries).into())];
        }
        let above = suspect.map_or(self.high + 1, |(&size, _)| size);
        let expected = self.expected.iter().flat_map(|size| [size + 1, *size]);
        let whole = suspect.is_none().then_some(self.high);
        let is_open = |size: &usize| self.passed < *size && *size < above;
        let mut sizes: Vec<_> = expected.chain(whole).filter(is_open).take(width).collect();
        let (gap, parts) = (above.saturating_sub(self.passed), width + 1 - sizes.len());
        sizes.extend((1..parts).map(|part| self.passed + gap * part / parts).filter(is_open));
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        sizes.dedup();
        sizes
    }

    /// The largest size that passed.
    pub fn largest(&self) -> usize {
        self.passed
    }

    /// Whether one octet more was tried three times in vain, or refused.
    pub fn is_exact(&self) -> bool {
        self.passed < self.high && self.next(1).is_empty()
    }

    /// Guesses, the likeliest first: a size passes and one octet more does not.
    pub fn expect(&mut self, sizes: &[usize]) {
        self.expected = sizes.to_vec();
    }

    /// A packet of this size came through.
    pub fn passed(&mut self, size: usize) {
        if size > self.passed {
            self.passed = size;
            self.failed = self.failed.split_off(&(size + 1));
        }
    }

    /// A packet of this size did not come through.
    pub fn failed(&mut self, size: usize) {
        if size > self.passed {
            let tries = self.failed.entry(size).or_default();
            *tries = tries.saturating_add(1);
        }
    }

    /// A size that passed did so by chance.
    fn fails_after_all(&mut self, size: usize) {
        self.failed.insert(size, TRIES);
        self.passed = size - 1;
    }

    /// A router refused this size and named the MTU of its next hop, 0 where
    /// it did not.
    pub fn too_big(&mut self, size: usize, mtu: usize) {
        if size > self.passed {
            self.failed.insert(size, TRIES);
            if (self.passed..size).contains(&mtu) {
                self.expect(&[mtu]);
            }
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The largest size that passed; `None` if not even the smallest did.
    pub largest: Option<usize>,
    /// Whether larger ones are known not to pass.
    pub exact: bool,
    /// Who said last that a packet is too big, and the MTU named, 0 where none is.
    pub refused: Option<(Ipv4Addr, u16)>,
    /// Larger ones vanish and nobody says so.
    pub black_hole: bool,
    /// Some came back, and then time, tries or the path ran out.
    pub cut_off: bool,
    /// Packets were lost or refused that were no larger than what passed.
    pub lossy: bool,
    /// Packets sent.
    pub tries: usize,
}

/// Finds the largest echo that comes back whole, by a fresh bisection of sizes
/// from 28 octets. A small packet is repeated for `timeout` before the path
/// counts as dead.
pub async fn largest(
    pinger: &mut impl Pinger,
    bisection: Bisection,
    timeout: Duration,
    until: Instant,
) -> Found {
    let lowest = bisection.largest();
    let mut search = Search::new(bisection);
    loop {
        let sizes = search.bisection.next(WIDTH);
        let is_over = sizes.is_empty() && search.is_answered;
        let is_enough = search.sizes_tried + sizes.len() > MOST_TRIES;
        if is_over || is_enough || !search.round(pinger, &sizes, timeout, until).await {
            break;
        }
    }
    if search.bisection.is_exact() {
        search.confirm(pinger, lowest, timeout, until).await;
    }
    search.finish()
}

/// Finds the largest frame that reaches the gateway by a fresh bisection. One is
/// under way at a time, because acknowledgements are cumulative; after each
/// that is not acknowledged, small ones show that the way is open, at most for
/// `timeout`.
///
/// Nothing where the gateway acknowledges nothing.
pub async fn largest_up(
    path: &mut impl Acknowledged,
    mut bisection: Bisection,
    timeout: Duration,
    until: Instant,
) -> Option<Bound> {
    // The first may ride on data, the second comes alone like those to come.
    let alone = open(path, timeout, until).await?.max(open(path, timeout, until).await?);
    let patience = (alone * 2 + GRACE).max(NUDGE).min(timeout);
    for _ in 0..MOST_TRIES {
        let Some(&size) = bisection.next(1).first() else { break };
        let Some(sequence) = path.send(size) else { break };
        if path.acknowledged(sequence, until.min(now() + patience)).await {
            bisection.passed(size);
        } else if open(path, timeout, until).await.is_some() {
            bisection.failed(size);
        } else {
            break;
        }
    }
    Some(Bound { octets: bisection.largest(), exact: bisection.is_exact() })
}

/// A size that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Octets of the IPv4 datagram.
    pub octets: usize,
    /// Whether larger ones are known not to pass; else it is "at least".
    pub exact: bool,
}

/// What passes each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directions {
    /// There and back.
    pub both: Option<Bound>,
    /// To the gateway and beyond.
    pub up: Option<Bound>,
    /// From there to us.
    pub down: Option<Bound>,
}

impl Directions {
    /// What the search there and back and the one upwards say together: the
    /// smaller of the two directions limits what comes back. Neither looked
    /// beyond what fits this host's link whole, `fits_up` and `fits_down`.
    pub fn new(both: &Found, up: Option<Bound>, fits_up: usize, fits_down: usize) -> Self {
        let Some(octets) = both.largest else { return Self { both: None, up, down: None } };
        let up = up.filter(|up| up.octets >= octets).unwrap_or(Bound { octets, exact: false });
        let up = Bound { exact: up.exact || up.octets >= fits_up, ..up };
        let is_down = both.exact && up.octets > octets || octets >= fits_down;
        let down = Bound { octets, exact: is_down };
        let both = Bound { octets, exact: both.exact || octets >= fits_up.min(fits_down) };
        Self { both: Some(both), up: Some(up), down: Some(down) }
    }

    /// What to set on the gateway, if `mtu`, the largest datagram that was
    /// negotiated, is larger than what passes: its MRU, with MPPE four octets
    /// less, which are the header (RFC 3078, section 3) and the protocol number
    /// that is encrypted with the datagram.
    pub fn clamp(&self, mtu: u16) -> Option<Clamp> {
        let known = [self.both, self.up, self.down].into_iter().flatten();
        let limit = known.filter(|bound| bound.exact).map(|bound| bound.octets).min()?;
        let limit = u16::try_from(limit).ok().filter(|limit| *limit < mtu)?;
        Some(Clamp { mtu: limit, mss: limit.saturating_sub(HEADERS) })
    }
}

/// What to set where packets are too large for the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    /// MTU in octets of the IPv4 datagram.
    pub mtu: u16,
    /// Maximum segment size of TCP in octets: the MTU less 40.
    pub mss: u16,
}

/// One echo that was sent.
struct Probe {
    size: usize,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Answered,
    /// By an ICMP error, or cut on the way.
    Refused,
}

struct Search {
    bisection: Bisection,
    /// In order of sending; sequence numbers begin with 1.
    sent: Vec<Probe>,
    sizes_tried: usize,
    /// Whether anything came back.
    is_answered: bool,
    refused: Option<(Ipv4Addr, u16)>,
}

impl Search {
    fn new(bisection: Bisection) -> Self {
        Self { bisection, sent: Vec::new(), sizes_tried: 0, is_answered: false, refused: None }
    }

    /// Sends some sizes and hears what becomes of them. False when the path is
    /// dead or the time is up.
    async fn round(
        &mut self,
        pinger: &mut impl Pinger,
        sizes: &[usize],
        timeout: Duration,
        until: Instant,
    ) -> bool {
        let first = self.sent.len();
        self.sizes_tried += sizes.len();
        let end = until.min(now() + timeout);
        let mut nudge = now();
        if nudge >= end {
            return false;
        }
        for &size in sizes {
            self.send(pinger, size);
        }
        let last = self.sent.len();
        let mut refusals = 0;
        while nudge < end && refusals < TRIES {
            self.send(pinger, SMALL.min(self.bisection.largest()));
            nudge = end.min(nudge + NUDGE);
            if self.hear(pinger, first, last, nudge).await {
                self.settle(first, last);
                return true;
            }
            // Refused, or the tunnel is gone.
            if now() < nudge {
                refusals += 1;
                nudge = now();
            }
        }
        false
    }

    /// Tries what was found alone, so that the answer carries an acknowledgement,
    /// and goes down as far as that matters.
    async fn confirm(
        &mut self,
        pinger: &mut impl Pinger,
        lowest: usize,
        timeout: Duration,
        until: Instant,
    ) {
        let found = self.bisection.largest();
        for size in (found.saturating_sub(ACKNOWLEDGEMENT).max(lowest + 1)..=found).rev() {
            for _ in 0..TRIES {
                let index = self.sent.len();
                if !self.round(pinger, &[size], timeout, until).await
                    || self.sent[index].fate == Fate::Answered
                {
                    return;
                }
            }
            self.bisection.fails_after_all(size);
        }
    }

    fn send(&mut self, pinger: &mut impl Pinger, size: usize) {
        let sequence = u16::try_from(self.sent.len() + 1).unwrap_or(u16::MAX);
        pinger.send(sequence, size);
        self.sent.push(Probe { size, fate: Fate::Waiting });
    }

    /// Hears what becomes of a round, at the latest until `end`: the sizes
    /// from `first`, and from `last` on small packets. Says whether one of these
    /// came back, or nothing is left to find out.
    async fn hear(
        &mut self,
        pinger: &mut impl Pinger,
        first: usize,
        last: usize,
        mut end: Instant,
    ) -> bool {
        let answered = |probe: &Probe| probe.fate == Fate::Answered;
        let mut is_answered = false;
        loop {
            let (sizes, small) = (&self.sent[first..last], &self.sent[last..]);
            if !is_answered && small.iter().any(answered) {
                is_answered = true;
                end = end.min(now() + GRACE);
            }
            let is_open = |probe: &Probe| {
                probe.fate == Fate::Waiting && probe.size >= self.bisection.largest()
            };
            if (is_answered || sizes.iter().any(answered)) && !sizes.iter().any(is_open) {
                return true;
            }
            if now() > end || small.iter().all(|probe| probe.fate == Fate::Refused) {
                return is_answered;
            }
            match pinger.heard(end).await {
                Some(heard) => self.take(heard),
                None => return is_answered,
            }
        }
    }

    fn take(&mut self, heard: Heard) {
        let index = usize::from(heard.sequence).checked_sub(1);
        let Some(probe) = index.and_then(|index| self.sent.get_mut(index)) else { return };
        match heard.answer {
            Answer::Reply { length } if length == probe.size => {
                probe.fate = Fate::Answered;
                self.is_answered = true;
                self.bisection.passed(probe.size);
            }
            _ if probe.fate == Fate::Answered => {}
            Answer::TooBig { from, mtu } => {
                probe.fate = Fate::Refused;
                self.refused = Some((from, mtu));
                self.bisection.too_big(probe.size, mtu.into());
            }
            Answer::Reply { .. } | Answer::Unreachable { .. } => probe.fate = Fate::Refused,
        }
    }

    /// A later packet came back: what is not answered by now was dropped.
    fn settle(&mut self, first: usize, last: usize) {
        for probe in &self.sent[first..last] {
            if probe.fate != Fate::Answered {
                self.bisection.failed(probe.size);
            }
        }
    }

    fn finish(self) -> Found {
        let passed = self.bisection.largest();
        let is_answered = |probe: &Probe| probe.fate == Fate::Answered;
        let later = self.sent.iter().rposition(is_answered).unwrap_or(0);
        let is_lost = |(index, probe): (usize, &Probe)| match probe.fate {
            Fate::Waiting => probe.size <= passed && index < later,
            Fate::Answered => false,
            Fate::Refused => probe.size <= passed,
        };
        let is_refused = |probe: &Probe| probe.fate == Fate::Refused && probe.size > passed;
        let exact = self.is_answered && self.bisection.is_exact();
        Found {
            largest: self.is_answered.then_some(passed),
            exact,
            refused: self.refused,
            black_hole: exact && !self.sent.iter().any(is_refused),
            cut_off: self.is_answered && !exact && passed < self.bisection.high,
            lossy: self.sent.iter().enumerate().any(is_lost),
            tries: self.sent.len(),
        }
    }
}

/// Sends small frames until the first of them is acknowledged; gives how long
/// that took.
async fn open(path: &mut impl Acknowledged, timeout: Duration, until: Instant) -> Option<Duration> {
    let begun = now();
    let end = until.min(begun + timeout);
    let mut first = None;
    let mut nudge = begun;
    while nudge < end {
        let sequence = path.send(SMALL)?;
        let first = *first.get_or_insert(sequence);
        nudge = end.min(nudge + NUDGE);
        if path.acknowledged(first, nudge).await {
            return Some(now().duration_since(begun));
        }
        if now() < nudge {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests;
