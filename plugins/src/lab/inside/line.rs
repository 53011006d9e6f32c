//! The line between the inside and the caller, in the direction of the caller:
//! what waits on it, and every fault that loses, delays or spoils datagrams.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::chance::Chance;
use super::super::faults::{Fault, Faults};

/// Datagrams that wait before those who can are asked to wait.
pub(super) const FULL: usize = 256;
/// Datagrams that wait; what comes then is lost.
const QUEUE: usize = 2 * FULL;
/// Of two datagrams to swap, the first waits so long for the second.
const SWAP_TIME: Duration = Duration::from_millis(50);

/// The line.
pub(super) struct Line {
    chance: Chance,
    /// By the time at which they are due, then in the order of their coming.
    queue: BTreeMap<(Instant, u64), Vec<u8>>,
    count: u64,
    /// The first of a pair that is to be swapped.
    held: Option<(Instant, Vec<u8>)>,
    /// Of two datagrams, one is spoiled here and one there.
    odd: bool,
}

impl Line {
    pub(super) fn new(seed: [u8; 8]) -> Self {
        let chance = Chance::new(seed);
        Self { chance, queue: BTreeMap::new(), count: 0, held: None, odd: false }
    }

    /// How many more datagrams would be welcome.
    pub(super) fn room(&self) -> usize {
        FULL.saturating_sub(self.queue.len())
    }

    /// How many datagrams wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes a datagram that shall reach the caller.
    pub(super) fn push(&mut self, mut datagram: Vec<u8>, faults: &Faults, now: Instant) {
        let number = |of: fn(&Fault) -> Option<Duration>| faults.find(of).unwrap_or_default();
        let loss = faults.find(|fault| match fault {
            Fault::InnerLoss(percent) => Some(*percent),
            _ => None,
        });
        if loss.is_some_and(|percent| self.chance.strikes(percent)) {
            return;
        }
        if faults.has(Fault::InnerBadChecksum) {
            self.odd = !self.odd;
            let at = if self.odd { 10 } else { datagram.len().saturating_sub(1) };
            if let Some(octet) = datagram.get_mut(at) {
                *octet ^= 0x55;
            }
        }
        let jitter = number(|fault| match fault {
            Fault::InnerJitter(most) => Some(*most),
            _ => None,
        });
        let delay = number(|fault| match fault {
            Fault::InnerDelay(pause) => Some(*pause),
            _ => None,
        });
        let random = self.chance.up_to(jitter.as_micros() as u64);
        let at = now + delay + Duration::from_micros(random);
        if faults.has(Fault::InnerDuplicate) {
            self.put(datagram.clone(), at);
        }
        if !faults.has(Fault::InnerReorder) {
            return self.put(datagram, at);
        }
        match self.held.take() {
            Some((_, first)) => {
                self.put(datagram, at);
                self.put(first, at);
            }
            None => self.held = Some((at + SWAP_TIME, datagram)),
        }
    }

    /// The next datagram that is due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some((at, datagram)) = self.held.take_if(|(at, _)| *at <= now) {
            self.put(datagram, at);
        }
        let first = self.queue.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// When the next datagram is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let held = self.held.as_ref().map(|(at, _)| *at);
        self.queue.keys().next().map(|(at, _)| *at).into_iter().chain(held).min()
    }

    fn put(&mut self, datagram: Vec<u8>, at: Instant) {
        if self.queue.len() < QUEUE {
            self.queue.insert((at, self.count), datagram);
            self.count += 1;
        }
    }
}
