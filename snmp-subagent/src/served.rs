//! [`Facts`] as variables of `mibs/PPTP-SESSION-MIB.txt`: one `match` a table
//! from column to field, and the walk over them.
//!
//! Times since something are counted to [`Facts::taken`], so that a walk sees
//! one moment; only the age of the data and what is counted between refreshes
//! go on. Text that is longer than an SnmpAdminString is cut.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use pptp_probe::gateway::session::OperStatus;
use pptp_probe::gateway::table::{Field, RowRef};
use pptp_probe::output::State;
use pptp_probe::reason::{Phase, Reason};

use crate::facts::{
    AuditRow, Facts, FailureRow, HistoryRow, Live, PhaseRow, ProbeRow, RadiusRow, Seen, Server,
    SubnetRow, UserRow,
};
use crate::oid::Oid;
use crate::value::{Octets, Value};
use crate::view::View;

/// Octets of an SnmpAdminString at most (RFC 3411).
const LONGEST: usize = 255;

/// Facts at the moment of a request.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// What is served.
    pub facts: &'a Facts,
    /// What is counted meanwhile.
    pub live: &'a Live,
    /// Where the tree hangs.
    pub root: &'a Oid,
    /// Now.
    pub now: Instant,
    /// sysUpTime of the SNMP agent at one moment.
    pub clock: Clock,
}

/// sysUpTime of the SNMP agent at one moment, from which it is reckoned for
/// every other: a TimeStamp that is reckoned from now would differ by a tick
/// from one request to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Hundredths of a second.
    pub uptime: u32,
    /// When it was that.
    pub at: Instant,
}

impl Clock {
    /// sysUpTime at `time`; 0 if the agent had not started yet.
    pub fn uptime(self, time: Instant) -> u32 {
        match time.checked_duration_since(self.at) {
            // TimeTicks wrap.
            Some(later) => self.uptime.wrapping_add((later.as_millis() / 10) as u32),
            None => {
                let earlier = self.at.duration_since(time).as_millis().div_ceil(10);
                u32::try_from(earlier).map_or(0, |earlier| self.uptime.saturating_sub(earlier))
            }
        }
    }
}

/// The subtrees of the objects, by their number below `root.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Agent = 1,
    Server,
    Session,
    History,
    User,
    Subnet,
    Failure,
    Probe,
    ProbePhase,
    Radius,
    Audit,
}

impl Group {
    const ALL: [Self; 11] = [
        Self::Agent,
        Self::Server,
        Self::Session,
        Self::History,
        Self::User,
        Self::Subnet,
        Self::Failure,
        Self::Probe,
        Self::ProbePhase,
        Self::Radius,
        Self::Audit,
    ];

    fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|group| *group as u32 == number)
    }

    /// First and last column that can be read; of the agent, scalars.
    fn columns(self) -> (u32, u32) {
        match self {
            Self::Agent => (1, 20),
            Self::Server => (2, 34),
            Self::Session => (2, 41),
            Self::History => (2, 16),
            Self::User => (2, 11),
            Self::Subnet => (2, 13),
            Self::Failure => (2, 6),
            Self::Probe => (2, 22),
            Self::ProbePhase => (2, 8),
            Self::Radius => (2, 22),
            Self::Audit => (2, 9),
        }
    }

    /// Sub-identifiers of an index.
    fn index_length(self) -> usize {
        match self {
            Self::Session | Self::Failure | Self::ProbePhase => 2,
            _ => 1,
        }
    }
}

/// An index; one with a single sub-identifier has it in front.
type Index = [u32; 2];

/// One row of any table.
#[derive(Clone, Copy)]
enum Row<'a> {
    Agent,
    Server(&'a Server),
    Session(RowRef<'a>),
    History(&'a HistoryRow),
    User(&'a UserRow),
    Subnet(&'a SubnetRow),
    Failure(&'a FailureRow),
    Probe(&'a ProbeRow),
    ProbePhase(&'a PhaseRow),
    Radius(&'a RadiusRow),
    Audit(&'a AuditRow),
}

impl View for Served<'_> {
    fn get(&self, name: &Oid) -> Value<'_> {
        self.variable(name)
    }

    fn next(&self, start: &Oid, include: bool, end: Option<&Oid>) -> Option<(Oid, Value<'_>)> {
        self.variable_behind(start, include, end)
    }

    fn walk<'v>(
        &'v self,
        start: &Oid,
        include: bool,
        end: Option<&Oid>,
        take: &mut dyn FnMut(&Oid, Value<'v>) -> bool,
    ) {
        self.variables_behind(start, include, end, take);
    }
}

impl<'a> Served<'a> {
    /// [`View::get`], as long-lived as the facts.
    pub fn variable(&self, name: &Oid) -> Value<'a> {
        let Some(rest) = name.as_slice().strip_prefix(self.root.as_slice()) else {
            return Value::NoSuchObject;
        };
        let (group, column, index) = match rest {
            [1, 1, column, index @ ..] => (Group::Agent, *column, index),
            [1, group, 1, column, index @ ..] => match Group::of(*group) {
                Some(group) => (group, *column, index),
                None => return Value::NoSuchObject,
            },
            _ => return Value::NoSuchObject,
        };
        let (first, last) = group.columns();
        if !(first..=last).contains(&column) {
            return Value::NoSuchObject;
        }
        let index = match *index {
            [a] if group.index_length() == 1 => [a, 0],
            [a, b] if group.index_length() == 2 => [a, b],
            _ => return Value::NoSuchInstance,
        };
        match self.row(group, column, index) {
            Some((found, row)) if found == index => self.cell(row, column),
            _ => None,
        }
        .unwrap_or(Value::NoSuchInstance)
    }

    /// [`View::next`], as long-lived as the facts.
    pub fn variable_behind(
        &self,
        start: &Oid,
        include: bool,
        end: Option<&Oid>,
    ) -> Option<(Oid, Value<'a>)> {
        let mut found = None;
        self.variables_behind(start, include, end, |name, value| {
            found = Some((name.clone(), value));
            false
        });
        found
    }

    /// [`View::walk`], as long-lived as the facts.
    pub fn variables_behind(
        &self,
        start: &Oid,
        include: bool,
        end: Option<&Oid>,
        mut take: impl FnMut(&Oid, Value<'a>) -> bool,
    ) {
        let place = match start.as_slice().strip_prefix(self.root.as_slice()) {
            Some(rest) => Place::behind(rest, include),
            None if start < self.root => Some(Place { group: 1, column: 0, index: [0; 2] }),
            None => None,
        };
        let Some(Place { group, column, index }) = place else { return };
        for candidate in Group::ALL.into_iter().filter(|candidate| *candidate as u32 >= group) {
            let (first, last) = candidate.columns();
            let here = candidate as u32 == group;
            let from = if here { column.max(first) } else { first };
            for number in from..=last {
                let index = if here && number == column { index } else { [0; 2] };
                if !self.column_behind(candidate, number, index, end, &mut take) {
                    return;
                }
            }
        }
    }

    /// The variables of one column at `index` and behind it, as in
    /// [`View::walk`]; whether the walk goes on.
    fn column_behind(
        &self,
        group: Group,
        column: u32,
        mut index: Index,
        end: Option<&Oid>,
        take: &mut impl FnMut(&Oid, Value<'a>) -> bool,
    ) -> bool {
        let Some(mut name) = self.name(group, column) else { return false };
        // Names of a column differ in the index alone.
        let length = group.index_length();
        let object = name.len() - length;
        name.as_mut_slice()[object..].fill(u32::MAX);
        // Behind all of them it need not be looked at again.
        let end = end.filter(|end| **end <= name);
        let mut give = |index: Index, value| {
            name.as_mut_slice()[object..].copy_from_slice(&index[..length]);
            end.is_none_or(|end| name < *end) && take(&name, value)
        };
        if let Group::Session = group {
            return self.sessions(column, index).all(|(index, row)| {
                self.session(row, column).is_none_or(|value| give(index, value))
            });
        }
        while let Some((found, row)) = self.row(group, column, index) {
            if self.cell(row, column).is_some_and(|value| !give(found, value)) {
                return false;
            }
            match behind(found, length) {
                Some(next) => index = next,
                None => break,
            }
        }
        true
    }

    /// The name of a variable in `column`.
    fn name(&self, group: Group, column: u32) -> Option<Oid> {
        let table = [1, group as u32, 1, column, 0, 0];
        let below = match group {
            Group::Agent => &[1, 1, column, 0],
            _ => &table[..4 + group.index_length()],
        };
        Oid::joined([self.root.as_slice(), below]).ok()
    }

    /// The row at `index` or the first one behind it; rows that lack `column`
    /// may be passed over.
    fn row(&self, group: Group, column: u32, index: Index) -> Option<(Index, Row<'a>)> {
        let facts = self.facts;
        let [a, b] = index;
        Some(match group {
            Group::Agent => ([0, 0], (index == [0, 0]).then_some(Row::Agent)?),
            Group::Server => {
                let server = at_or_behind(&facts.servers, a, |server| server.index)?;
                ([server.index, 0], Row::Server(server))
            }
            Group::Session => {
                let (index, row) = self.sessions(column, index).next()?;
                (index, Row::Session(row))
            }
            Group::History => {
                let row = at_or_behind(&facts.history, a, |row| row.index)?;
                ([row.index, 0], Row::History(row))
            }
            Group::User => {
                let row = at_or_behind(&facts.users, a, |row| row.index)?;
                ([row.index, 0], Row::User(row))
            }
            Group::Subnet => {
                let row = at_or_behind(&facts.subnets, a, |row| row.index)?;
                ([row.index, 0], Row::Subnet(row))
            }
            Group::Failure => {
                let index = |row: &FailureRow| [row.server, row.reason.number().into()];
                let row = at_or_behind(&facts.failures, [a, b], index)?;
                (index(row), Row::Failure(row))
            }
            Group::Probe => {
                let probe = at_or_behind(&facts.probes, a, |probe| probe.index)?;
                ([probe.index, 0], Row::Probe(probe))
            }
            Group::ProbePhase => {
                let first = facts.probes.partition_point(|probe| probe.index < a);
                facts.probes[first..].iter().find_map(|probe| {
                    let from = if probe.index == a { b } else { 0 };
                    let number = |row: &PhaseRow| u32::from(row.phase.number());
                    let row = at_or_behind(&probe.phases, from, number)?;
                    Some(([probe.index, number(row)], Row::ProbePhase(row)))
                })?
            }
            Group::Radius => {
                let row = at_or_behind(&facts.radius, a, |row| row.index)?;
                ([row.index, 0], Row::Radius(row))
            }
            Group::Audit => {
                let row = at_or_behind(&facts.audit, a, |row| row.index)?;
                ([row.index, 0], Row::Audit(row))
            }
        })
    }

    /// The sessions at `index` and behind it; those that lack `column` may be
    /// passed over.
    fn sessions(
        &self,
        column: u32,
        [server, session]: Index,
    ) -> impl Iterator<Item = (Index, RowRef<'a>)> {
        let servers = &self.facts.servers;
        let first = servers.partition_point(|other| other.index < server);
        let fresh = servers[first..].iter().filter(|server| !self.is_stale(server));
        fresh.flat_map(move |other| {
            let from = if other.index == server { session } else { 0 };
            let rows = other.sessions.from(from, session_field(column));
            rows.map(|row| ([other.index, row.index()], row))
        })
    }

    fn cell(&self, row: Row<'a>, column: u32) -> Option<Value<'a>> {
        match row {
            Row::Agent => self.agent(column),
            Row::Server(server) => self.server(server, column),
            Row::Session(row) => self.session(row, column),
            Row::History(row) => history(row, column),
            Row::User(UserRow { name, seen, .. }) => match column {
                2 => Some(octets(name)),
                _ => self.seen(seen, column),
            },
            Row::Subnet(SubnetRow { address, prefix, seen, .. }) => match column {
                2 => Some(address_type(Some(*address))),
                3 => Some(self::address(Some(*address))),
                4 => Some(Value::Gauge32((*prefix).into())),
                _ => self.seen(seen, column - 2),
            },
            Row::Failure(row) => failure(row, column),
            Row::Probe(probe) => self.probe(probe, column),
            Row::ProbePhase(row) => phase(row, column),
            Row::Radius(row) => self.radius(row, column),
            Row::Audit(row) => audit(row, column),
        }
    }

    fn agent(&self, column: u32) -> Option<Value<'a>> {
        let agent = &self.facts.agent;
        let live = |counter: &AtomicU32| Value::Counter32(counter.load(Ordering::Relaxed));
        Some(match column {
            1 => text(env!("CARGO_PKG_VERSION")),
            2 => text(&agent.description),
            3 => date(agent.start),
            4 => Value::Gauge32(self.data_age()),
            5 => Value::Counter32(agent.collects),
            6 => Value::Counter32(agent.collect_errors),
            7 => self.stamp(Some(agent.started)),
            8 => live(&self.live.notifications_sent),
            9 => live(&self.live.notifications_suppressed),
            10 => live(&self.live.notifications_dropped),
            11 => live(&self.live.master_reconnects),
            12..=20 => self.stamp(agent.changed[column as usize - 12]),
            _ => return None,
        })
    }

    fn server(&self, server: &'a Server, column: u32) -> Option<Value<'a>> {
        let address = server.listen.map(|listen| listen.ip());
        let (totals, counted) = (&server.totals, &server.counted);
        // What could not be refreshed does not pose as living.
        if matches!(column, 9 | 10 | 12 | 13 | 16) && self.is_stale(server) {
            return None;
        }
        let counter = |count: Option<u32>| count.map(Value::Counter32);
        Some(match column {
            2 => text(&server.name),
            3 => Value::Integer(server.kind as i32),
            4 => address_type(address),
            5 => self::address(address),
            6 => Value::Gauge32(server.listen?.port().into()),
            7 if self.is_stale(server) => Value::Integer(OperStatus::Unknown as i32),
            7 => Value::Integer(server.status as i32),
            8 if self.is_stale(server) => text("its data could not be refreshed"),
            8 => text(&server.status_text),
            9 => Value::Gauge32(self.since(server.start?)),
            10 => Value::Gauge32(gauge(server.memory? / 1024)),
            11 => Value::Counter32(server.cpu?.as_millis() as u32),
            12 => Value::Gauge32(totals.open),
            13 => Value::Gauge32(totals.starting),
            14 => Value::Gauge32(totals.peak),
            15 => Value::Gauge32(server.maximum?),
            16 => Value::Gauge32(totals.users),
            17 => counter(counted.control_attempted)?,
            18 => Value::Counter32(totals.accepted),
            19 => counter(counted.control_refused)?,
            20 => Value::Counter32(totals.failed),
            21 => Value::Counter32(totals.calls_up),
            22 => counter(counted.auth_successes)?,
            23 => counter(counted.auth_failures)?,
            24 => counter(counted.lcp_timeouts)?,
            25 => counter(counted.mppe_failures)?,
            26 => counter(counted.echo_timeouts)?,
            27 => Value::Counter64(totals.octets_in),
            28 => Value::Counter64(totals.octets_out),
            29 => Value::Counter64(server.gre_packets?.0),
            30 => Value::Counter64(server.gre_packets?.1),
            31 => Value::Gauge32(self.age(server.read)),
            32 => Value::Counter32(server.errors),
            33 => text(&server.error_text),
            34 => self.stamp(Some(server.since)),
            _ => return None,
        })
    }

    fn session(&self, row: RowRef<'a>, column: u32) -> Option<Value<'a>> {
        Some(match column {
            2 => octets(row.accounting_id()),
            3 => octets(row.user()),
            4 => Value::Integer(row.state() as i32),
            5 => date(row.start()?),
            6 => Value::Gauge32(self.since(row.start()?)),
            7 => Value::Gauge32(self.since(active(row)?)),
            8 => address_type(row.peer().map(IpAddr::V4)),
            9 => address_v4(row.peer()),
            10 => Value::Gauge32(row.peer_port()?.into()),
            11 => address_type(row.assigned().map(IpAddr::V4)),
            12 => address_v4(row.assigned()),
            13 => Value::Gauge32(row.local_call_id()?.into()),
            14 => Value::Gauge32(row.peer_call_id()?.into()),
            15 => Value::Integer(i32::try_from(row.if_index()?).ok().filter(|index| *index > 0)?),
            16 => octets(row.if_name()),
            17 => octets(row.peer_vendor()),
            18 => octets(row.peer_host()),
            19 => Value::Integer(row.auth_method().map_or(1, |method| method as i32)),
            20 => Value::Integer(row.encryption().map_or(1, |encryption| encryption as i32)),
            21 => Value::Integer(if row.stateless()? { 1 } else { 2 }),
            22 => Value::Gauge32(row.local_mru()?.into()),
            23 => Value::Gauge32(row.remote_mru()?.into()),
            24 => Value::Gauge32(row.mtu()?.into()),
            25 => Value::Counter64(row.traffic()?.octets_in),
            26 => Value::Counter64(row.traffic()?.octets_out),
            27 => Value::Counter64(row.traffic()?.packets_in),
            28 => Value::Counter64(row.traffic()?.packets_out),
            29 => Value::Counter64(row.quality()?.gre_out_of_order?),
            30 => Value::Counter64(row.quality()?.gre_duplicates?),
            31 => Value::Counter64(row.quality()?.gre_lost?),
            32 => Value::Counter32(row.quality()?.lcp_echoes_sent?),
            33 => Value::Counter32(row.quality()?.lcp_echoes_lost?),
            34 => Value::Gauge32(row.quality()?.lcp_rtt?),
            35 => Value::Gauge32(row.quality()?.lcp_jitter?),
            36 => Value::Gauge32(row.control()?.rtt),
            37 => Value::Counter32(row.control()?.retransmits),
            38 => Value::Counter32(row.watched().renegotiations.into()),
            39 => Value::Counter32(row.quality()?.reauthentications?),
            40 => date(active(row)?),
            41 => self.stamp(Some(self.began(row.watched().began))),
            _ => return None,
        })
    }

    fn seen(&self, seen: &Seen, column: u32) -> Option<Value<'a>> {
        Some(match column {
            3 => Value::Gauge32(seen.active),
            4 => Value::Counter32(seen.total),
            5 => Value::Counter32(seen.auth_failures?),
            6 => Value::Counter64(seen.octets_in),
            7 => Value::Counter64(seen.octets_out),
            8 => date(seen.last),
            9 => Value::Gauge32(seen.quota?),
            10 => {
                let used = u128::from(seen.octets_in) + u128::from(seen.octets_out);
                let quota = u128::from(seen.quota?) << 20;
                Value::Gauge32(gauge((used * 100).checked_div(quota).unwrap_or(100)))
            }
            11 => self.stamp(Some(seen.since)),
            _ => return None,
        })
    }

    fn probe(&self, probe: &'a ProbeRow, column: u32) -> Option<Value<'a>> {
        let failure = probe.state.map(|_| probe.failure);
        Some(match column {
            2 => text(&probe.name),
            3 => text(&probe.target),
            4 => address_type(probe.address),
            5 => address(probe.address),
            6 => date(probe.last?),
            7 => Value::Gauge32(gauge(probe.interval.as_secs())),
            8 => Value::Integer(match probe.state {
                Some(State::Ok) => 1,
                Some(State::Warning) => 2,
                Some(State::Critical) => 3,
                Some(State::Unknown) | None => 4,
            }),
            9 => number(failure?.map_or(Phase::Done, |(phase, _)| phase).number()),
            10 => number(failure?.map_or(Reason::None, |(_, reason)| reason).number()),
            11 => text(&probe.text),
            12 => micros(probe.time?.last),
            13 => micros(probe.time?.min),
            14 => micros(probe.time?.max),
            15 => micros(probe.time?.p95),
            16 => micros(probe.lcp_rtt?),
            17 => micros(probe.lcp_jitter?),
            18 => Value::Gauge32(probe.loss?),
            19 => micros(probe.echo_rtt?),
            20 => Value::Counter32(probe.successes),
            21 => Value::Counter32(probe.failures),
            22 => self.stamp(Some(probe.since)),
            _ => return None,
        })
    }

    fn radius(&self, row: &'a RadiusRow, column: u32) -> Option<Value<'a>> {
        let counters = &row.counters;
        Some(match column {
            2 => text(&row.name),
            3 => Value::Integer(row.service as i32),
            4 => address_type(row.address),
            5 => address(row.address),
            6 => Value::Gauge32(row.port.into()),
            7 => Value::Integer(row.status as i32),
            8 => number(row.reason.unwrap_or(Reason::None).number()),
            9 => micros(row.rtt?),
            10 => Value::Counter32(counters.requests),
            11 => Value::Counter32(counters.retransmissions),
            12 => Value::Counter32(counters.accepts),
            13 => Value::Counter32(counters.rejects),
            14 => Value::Counter32(counters.challenges),
            15 => Value::Counter32(counters.malformed),
            16 => Value::Counter32(counters.bad_authenticators),
            17 => Value::Counter32(counters.unsigned),
            18 => Value::Gauge32(counters.pending),
            19 => Value::Counter32(counters.timeouts),
            20 => Value::Counter32(counters.unknown_types),
            21 => Value::Counter32(counters.dropped),
            22 => self.stamp(Some(row.since)),
            _ => return None,
        })
    }

    /// Whether the sessions of a server may be long gone.
    pub fn is_stale(&self, server: &Server) -> bool {
        self.now.saturating_duration_since(server.read) > self.facts.stale_after
    }

    /// Milliseconds since the oldest data was read.
    fn data_age(&self) -> u32 {
        let ages = self.facts.servers.iter().map(|server| self.age(server.read));
        ages.max().unwrap_or_else(|| self.age(self.facts.taken))
    }

    fn age(&self, read: Instant) -> u32 {
        gauge(self.now.saturating_duration_since(read).as_millis())
    }

    /// Seconds to the moment of the facts.
    fn since(&self, time: SystemTime) -> u32 {
        gauge(self.facts.wall.duration_since(time).unwrap_or_default().as_secs())
    }

    /// The last moment so many hundredths of a second, modulo 2^32, after the
    /// agent started.
    fn began(&self, began: u32) -> Instant {
        let (started, taken) = (self.facts.agent.started, self.facts.taken);
        let ran = (taken.saturating_duration_since(started).as_millis() / 10) as u64;
        let ago = (ran as u32).wrapping_sub(began);
        started + Duration::from_millis(ran.saturating_sub(ago.into()) * 10)
    }

    /// A TimeStamp; 0 if nothing happened, or before the SNMP agent started.
    fn stamp(&self, time: Option<Instant>) -> Value<'a> {
        Value::TimeTicks(time.map_or(0, |time| self.clock.uptime(time)))
    }
}

/// The first place behind a name, or at it, that an instance could have.
struct Place {
    group: u32,
    column: u32,
    index: Index,
}

impl Place {
    /// `None` when it lies behind everything.
    fn behind(rest: &[u32], include: bool) -> Option<Self> {
        let at = |group, column, index| Some(Self { group, column, index });
        let (group, tail) = match rest {
            [] | [0, ..] | [1] | [1, 0, ..] => return at(1, 0, [0; 2]),
            [1, 1, tail @ ..] => (1, tail),
            [1, group, 1, tail @ ..] => (*group, tail),
            [1, group] | [1, group, 0, ..] => return at(*group, 0, [0; 2]),
            [1, group, ..] => return at(group.checked_add(1)?, 0, [0; 2]),
            _ => return None,
        };
        let [column, index @ ..] = tail else { return at(group, 0, [0; 2]) };
        let length = Group::of(group).map_or(1, Group::index_length);
        let mut padded = [0; 2];
        for (padded, id) in padded[..length].iter_mut().zip(index) {
            *padded = *id;
        }
        // An index that is cut short sorts before every one that goes on from
        // it, one that is too long behind the one that it goes on from.
        let past = index.len() > length || index.len() == length && !include;
        if !past {
            return at(group, *column, padded);
        }
        match behind(padded, length) {
            Some(index) => at(group, *column, index),
            None => match column.checked_add(1) {
                Some(column) => at(group, column, [0; 2]),
                None => at(group.checked_add(1)?, 0, [0; 2]),
            },
        }
    }
}

/// The index behind `index`.
fn behind([a, b]: Index, length: usize) -> Option<Index> {
    match (length, b.checked_add(1)) {
        (2, Some(b)) => Some([a, b]),
        _ => Some([a.checked_add(1)?, 0]),
    }
}

fn at_or_behind<T, I: Ord>(rows: &[T], index: I, of: impl Fn(&T) -> I) -> Option<&T> {
    rows.get(rows.partition_point(|row| of(row) < index))
}

/// What a session must have to have an instance in `column`.
fn session_field(column: u32) -> Option<Field> {
    Some(match column {
        5 | 6 => Field::Start,
        7 | 40 => Field::Active,
        10 => Field::PeerPort,
        13 => Field::LocalCallId,
        14 => Field::PeerCallId,
        15 => Field::IfIndex,
        21 => Field::Stateless,
        22 => Field::LocalMru,
        23 => Field::RemoteMru,
        24 => Field::Mtu,
        25..=28 => Field::Traffic,
        29..=35 | 39 => Field::Quality,
        36 | 37 => Field::Control,
        _ => return None,
    })
}

fn active(row: RowRef<'_>) -> Option<SystemTime> {
    let seconds = row.watched().active?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()))
}

/// The value in one column of the history.
pub(crate) fn history(row: &HistoryRow, column: u32) -> Option<Value<'_>> {
    let ended = &row.ended;
    let session = &ended.record.session;
    Some(match column {
        2 => Value::Gauge32(row.server),
        // A session that was over before it had a row has the row of nobody.
        3 => Value::Gauge32(Some(ended.record.index).filter(|index| *index > 0)?),
        4 => octets(session.user.as_deref().unwrap_or_default()),
        5 => address_type(session.peer.map(IpAddr::V4)),
        6 => address_v4(session.peer),
        7 => address_type(session.assigned.map(IpAddr::V4)),
        8 => address_v4(session.assigned),
        9 => date(session.start?),
        10 => date(ended.end),
        11 => {
            let lasted = ended.end.duration_since(session.start?).unwrap_or_default();
            Value::Gauge32(gauge(lasted.as_secs()))
        }
        12 => Value::Counter64(session.traffic?.octets_in),
        13 => Value::Counter64(session.traffic?.octets_out),
        14 => Value::Integer(ended.cause as i32),
        15 => number(ended.phase.number()),
        16 => text(&ended.text),
        _ => return None,
    })
}

fn failure(row: &FailureRow, column: u32) -> Option<Value<'_>> {
    Some(match column {
        2 => Value::Counter32(row.count),
        3 => date(row.last),
        4 => octets(&row.user),
        5 => address_type(row.peer),
        6 => address(row.peer),
        _ => return None,
    })
}

fn phase(row: &PhaseRow, column: u32) -> Option<Value<'_>> {
    Some(match column {
        2 => number(row.reason.unwrap_or(Reason::None).number()),
        3 => micros(row.time?.last),
        4 => micros(row.time?.min),
        5 => micros(row.time?.max),
        6 => micros(row.time?.p95),
        7 => Value::Counter32(row.successes),
        8 => Value::Counter32(row.failures),
        _ => return None,
    })
}

fn audit(row: &AuditRow, column: u32) -> Option<Value<'_>> {
    Some(match column {
        2 => text(&row.id),
        3 => Value::Integer(row.severity as i32),
        4 => text(&row.found),
        5 => text(&row.advised),
        6 => text(&row.arithmetic),
        7 => text(&row.mend),
        8 => date(row.first),
        9 => date(row.last),
        _ => return None,
    })
}

fn number(number: u8) -> Value<'static> {
    Value::Integer(number.into())
}

fn gauge<T: TryInto<u32>>(value: T) -> u32 {
    value.try_into().unwrap_or(u32::MAX)
}

fn micros(time: Duration) -> Value<'static> {
    Value::Gauge32(gauge(time.as_micros()))
}

fn octets(octets: &[u8]) -> Value<'_> {
    Value::from(&octets[..octets.len().min(LONGEST)])
}

fn text(text: &str) -> Value<'_> {
    Value::from(&text[..text.floor_char_boundary(LONGEST)])
}

/// InetAddressType (RFC 4001): unknown(0), ipv4(1), ipv6(2).
fn address_type(address: Option<IpAddr>) -> Value<'static> {
    Value::Integer(match address {
        None => 0,
        Some(IpAddr::V4(_)) => 1,
        Some(IpAddr::V6(_)) => 2,
    })
}

/// InetAddress (RFC 4001): of length 0 where the type is unknown.
fn address(address: Option<IpAddr>) -> Value<'static> {
    Value::OctetString(match address {
        None => Octets::copy(&[]),
        Some(IpAddr::V4(address)) => Octets::copy(&address.octets()),
        Some(IpAddr::V6(address)) => Octets::copy(&address.octets()),
    })
}

fn address_v4(v4: Option<Ipv4Addr>) -> Value<'static> {
    address(v4.map(IpAddr::V4))
}

/// DateAndTime (RFC 2579) in UTC: year, month, day, hour, minute, second,
/// tenths of a second, then +, 0 hours, 0 minutes.
fn date(time: SystemTime) -> Value<'static> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86400);
    let second = since.as_secs() % 86400;
    let [high, low] = year.to_be_bytes();
    let clock = [second / 3600, second / 60 % 60, second % 60].map(|part| part as u8);
    let [hour, minute, second] = clock;
    let tenth = (since.subsec_millis() / 100) as u8;
    let octets = [high, low, month, day, hour, minute, second, tenth, b'+', 0, 0];
    Value::OctetString(Octets::copy(&octets))
}

/// Year, month and day of a day since 1970, in eras of 400 years that begin
/// with a March, so that a leap day is the last of its year.
fn civil(days: u64) -> (u16, u8, u8) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, january) = (day - (153 * month + 2) / 5 + 1, month >= 10);
    let month = if january { month - 9 } else { month + 3 };
    let year = era * 400 + year + u64::from(january);
    (u16::try_from(year).unwrap_or(u16::MAX), month as u8, day as u8)
}

#[cfg(test)]
mod tests;
