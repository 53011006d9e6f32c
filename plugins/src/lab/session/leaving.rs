//! What is on its way to the caller: GRE packets, late or swapped, and
//! segments of the control connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{CONTROL_QUEUE, GRE_QUEUE, SWAP_TIME, Transmit};

/// What happens to GRE packets on their way to the caller.
#[derive(Default)]
pub(super) struct Path {
    pub(super) queue: VecDeque<(Instant, Vec<u8>)>,
    /// The first of a pair that is to be swapped, and until when it waits.
    pub(super) held: Option<(Instant, Vec<u8>)>,
}

impl Path {
    pub(super) fn push(&mut self, packet: Vec<u8>, at: Instant) {
        let earliest = self.queue.back().map_or(at, |(at, _)| *at);
        if self.queue.len() < GRE_QUEUE {
            self.queue.push_back((at.max(earliest), packet));
        }
    }

    pub(super) fn push_swapped(&mut self, packet: Vec<u8>, at: Instant) {
        match self.held.take() {
            Some((_, first)) => {
                self.push(packet, at);
                self.push(first, at);
            }
            None => self.held = Some((at + SWAP_TIME, packet)),
        }
    }

    pub(super) fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some((at, packet)) = self.held.take_if(|(at, _)| *at <= now) {
            self.push(packet, at);
        }
        self.queue.pop_front_if(|(at, _)| *at <= now).map(|(_, packet)| packet)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let held = self.held.as_ref().map(|(at, _)| *at);
        self.queue.front().map(|(at, _)| *at).into_iter().chain(held).min()
    }
}

/// Segments on their way to the caller, and the end behind them.
pub(super) struct ControlQueue {
    pub(super) queue: VecDeque<(Instant, Vec<u8>)>,
    pub(super) last: Instant,
    pub(super) end: Option<Transmit>,
    pub(super) ended: bool,
    /// Octets sent.
    pub(super) sent: u64,
}

impl ControlQueue {
    pub(super) fn new(now: Instant) -> Self {
        Self { queue: VecDeque::new(), last: now, end: None, ended: false, sent: 0 }
    }

    /// Queues octets for `at`; with a `pause` one by one, each so long after
    /// the one before it. False when too much waits already.
    pub(super) fn push(&mut self, octets: Vec<u8>, pause: Option<Duration>, at: Instant) -> bool {
        if self.end.is_some() || self.ended {
            return true;
        }
        match pause {
            None => {
                self.last = self.last.max(at);
                self.queue.push_back((self.last, octets));
            }
            Some(pause) => {
                for octet in octets {
                    self.last = (self.last + pause).max(at);
                    self.queue.push_back((self.last, vec![octet]));
                }
            }
        }
        self.queue.len() <= CONTROL_QUEUE
    }

    pub(super) fn end(&mut self, how: Transmit, now: Instant) {
        if self.end.is_some() || self.ended {
            return;
        }
        if how == Transmit::ResetControl {
            self.queue.clear();
            self.last = now;
        }
        self.end = Some(how);
    }

    /// The next segment that is due, cut where `limit` octets are reached.
    pub(super) fn poll(&mut self, limit: Option<u64>, now: Instant) -> Option<Vec<u8>> {
        if self.ended || self.used_up(limit) {
            return None;
        }
        let (_, mut octets) = self.queue.pop_front_if(|(at, _)| *at <= now)?;
        let left = limit.map_or(u64::MAX, |limit| limit - self.sent);
        octets.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        self.sent += octets.len() as u64;
        Some(octets)
    }

    /// The end, once nothing waits before it or the limit is reached.
    pub(super) fn poll_end(&mut self, limit: Option<u64>) -> Option<Transmit> {
        if self.ended {
            return None;
        }
        let end = match self.used_up(limit) {
            true => Transmit::CloseControl,
            false if self.queue.is_empty() => self.end.take()?,
            false => return None,
        };
        self.ended = true;
        self.queue.clear();
        Some(end)
    }

    pub(super) fn used_up(&self, limit: Option<u64>) -> bool {
        limit.is_some_and(|limit| self.sent >= limit)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.queue.front().map(|(at, _)| *at)
    }
}
