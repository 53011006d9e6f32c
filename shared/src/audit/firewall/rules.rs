//! Rules as both backends have them: tables of chains of rules, each of tests,
//! effects and one verdict. What a set or map of nft holds stands here once.

use std::collections::HashMap;

use super::walk::Spot;
use super::{Backend, Place};

/// All rules of a host.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    pub(super) tables: Vec<Table>,
    /// Chains of all tables.
    pub(super) chains: Vec<Chain>,
    /// Named sets and maps of all tables.
    pub(super) sets: Vec<Set>,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) backend: Backend,
    /// As in [`super::Place::table`].
    pub(super) name: String,
    /// Its chains by their names.
    pub(super) chains: HashMap<Box<str>, usize>,
    /// Its sets and maps by their names.
    pub(super) sets: HashMap<Box<str>, usize>,
}

/// A chain.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) table: usize,
    pub(super) name: Box<str>,
    /// Where packets enter it; absent where only rules lead to it.
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<Rule>,
}

/// Where packets enter a base chain.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) hook: Hook,
    pub(super) priority: i64,
    /// Whether it sees the first packet of a connection alone.
    pub(super) is_nat: bool,
    /// What happens to what no rule decides.
    pub(super) accepts: bool,
    /// Packets that the policy decided.
    pub(super) packets: Option<u64>,
    /// Interfaces it is bound to; empty for all.
    pub(super) devices: Vec<Box<str>>,
}

/// Hooks, in the order in which a packet meets those that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Egress,
}

impl Hook {
    /// By the name that nft gives it, or iptables in capitals.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "ingress" => Self::Ingress,
            "prerouting" => Self::Prerouting,
            "input" => Self::Input,
            "forward" => Self::Forward,
            "output" => Self::Output,
            "postrouting" => Self::Postrouting,
            "egress" => Self::Egress,
            _ => return None,
        })
    }
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// All must hold.
    pub(super) tests: Vec<Test>,
    pub(super) effects: Vec<Effect>,
    pub(super) verdict: Verdict,
    pub(super) packets: Option<u64>,
    pub(super) text: Box<str>,
}

/// What a rule asks of a packet.
#[derive(Debug)]
pub(super) enum Test {
    /// The fields together are an element of the set, or of none.
    Is { fields: Vec<Field>, negated: bool, set: SetRef },
    /// Differs from caller to caller, or from time to time.
    Varies,
    /// Not understood; its name.
    Strange(Box<str>),
}

impl Test {
    /// One field against its values.
    pub(super) fn is(field: Field, negated: bool, values: Vec<Value>) -> Self {
        let elements = values.into_iter().map(|value| [value].into()).collect();
        let set = SetRef::Own(Set { elements, ..Set::default() });
        Self::Is { fields: vec![field], negated, set }
    }
}

/// What can be known of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Protocol,
    SourcePort,
    DestinationPort,
    /// A bit of [`state`].
    State,
    Status,
    /// 0 original, 1 reply.
    Direction,
    /// Of the connection that this one was expected by.
    Helper,
    /// IPv4, as a number.
    Source,
    Destination,
    /// `RTN_*` of rtnetlink.h.
    SourceType,
    DestinationType,
    /// `PACKET_*` of if_packet.h.
    PacketType,
    In,
    Out,
    /// `NFPROTO_*`: 2 is IPv4.
    Family,
    /// Of TCP, under a mask.
    Flags(u8),
    /// Offset of a fragment.
    Fragment,
    /// Whether there is a route back to the source: 1.
    RouteBack,
    /// As [`Test::Varies`].
    Varying,
    /// As [`Test::Strange`].
    Strange,
}

/// States of connection tracking, a bit each, as the kernel numbers them
/// (`NF_CT_STATE_*`).
pub(super) mod state {
    pub(in super::super) const INVALID: u32 = 1;
    pub(in super::super) const ESTABLISHED: u32 = 2;
    pub(in super::super) const RELATED: u32 = 4;
    pub(in super::super) const NEW: u32 = 8;
    pub(in super::super) const UNTRACKED: u32 = 64;

    /// By the name that both backends give it, in any case.
    pub(in super::super) fn named(name: &str) -> Option<u32> {
        Some(match name.to_ascii_lowercase().as_str() {
            "invalid" => INVALID,
            "established" => ESTABLISHED,
            "related" => RELATED,
            "new" => NEW,
            "untracked" => UNTRACKED,
            _ => return None,
        })
    }
}

/// Elements: in the rule, or under a name in its table.
#[derive(Debug)]
pub(super) enum SetRef {
    Own(Set),
    Named(Box<str>),
}

/// A set, or a map to verdicts.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// Whether packets or time add and remove elements.
    pub(super) changes: bool,
    /// Each has a value for each field.
    pub(super) elements: Vec<Box<[Value]>>,
    /// Of a map: one for each element.
    pub(super) verdicts: Vec<Verdict>,
}

/// What a field is compared with.
#[derive(Debug)]
pub(super) enum Value {
    /// From one to another, both included.
    Numbers(u32, u32),
    /// Of an interface, with `*` at the end for all that begin so; of a
    /// status or a helper.
    Name(Box<str>),
    Any,
    Strange,
}

impl Value {
    pub(super) fn number(number: u32) -> Self {
        Self::Numbers(number, number)
    }
}

/// What a rule does beside its verdict.
#[derive(Debug)]
pub(super) enum Effect {
    /// Assigns a helper. `-j CT` does so before tracking, nft after it.
    Helper { name: Box<str>, before_tracking: bool },
    /// Keeps the packet out of tracking.
    Notrack,
    /// Sets the MSS; `None` is the path's.
    Mss(Option<u16>),
    /// Puts the connection into a flowtable.
    Flow,
    /// Changes where the packet goes.
    Elsewhere,
}

/// What a rule decides.
#[derive(Debug)]
pub(super) enum Verdict {
    Continue,
    Accept,
    Drop,
    Return,
    Jump(Box<str>),
    Goto(Box<str>),
    /// Looked up by the fields.
    Map(Vec<Field>, SetRef),
    /// A program or a target decides that is not understood; its name.
    Strange(Box<str>),
}

impl Ruleset {
    /// Adds a table, or finds it.
    pub(super) fn table(&mut self, backend: Backend, name: &str) -> usize {
        let same = |table: &Table| table.backend == backend && table.name == name;
        self.tables.iter().position(same).unwrap_or_else(|| {
            let (chains, sets) = (HashMap::new(), HashMap::new());
            self.tables.push(Table { backend, name: name.to_owned(), chains, sets });
            self.tables.len() - 1
        })
    }

    /// Adds a chain without rules to a table, or finds it.
    pub(super) fn chain(&mut self, table: usize, name: &str) -> &mut Chain {
        let known = self.tables.get(table).and_then(|table| table.chains.get(name)).copied();
        let index = known.unwrap_or_else(|| {
            self.chains.push(Chain { table, name: name.into(), base: None, rules: Vec::new() });
            self.tables[table].chains.insert(name.into(), self.chains.len() - 1);
            self.chains.len() - 1
        });
        &mut self.chains[index]
    }

    /// Adds a named set to a table; the first of a name stays.
    pub(super) fn add_set(&mut self, table: usize, name: &str, set: Set) {
        let next = self.sets.len();
        if *self.tables[table].sets.entry(name.into()).or_insert(next) == next {
            self.sets.push(set);
        }
    }

    /// What `set` holds for a rule in `table`.
    pub(super) fn set<'a>(&'a self, table: usize, set: &'a SetRef) -> Option<&'a Set> {
        match set {
            SetRef::Own(set) => Some(set),
            SetRef::Named(name) => Some(&self.sets[*self.tables[table].sets.get(name)?]),
        }
    }

    /// Takes a table out of every packet's way.
    pub(super) fn forget(&mut self, table: usize) {
        for chain in self.chains.iter_mut().filter(|chain| chain.table == table) {
            (chain.base, chain.rules) = (None, Vec::new());
        }
        self.tables[table].chains.clear();
    }

    /// Adds the tables that iptables-save told of. What iptables-nft wrote
    /// takes the place of the same table in nft's words.
    pub(super) fn take_over(&mut self, saved: Self) {
        let mut places = Vec::new();
        for (index, table) in saved.tables.iter().enumerate() {
            let in_nft = match table.backend {
                Backend::Nft => table.name.clone(),
                Backend::Iptables => format!("ip {}", table.name),
            };
            let mut known = self.tables.iter();
            let theirs =
                known.position(|known| known.backend == Backend::Nft && known.name == in_nft);
            places.push(match theirs {
                Some(theirs)
                    if table.backend == Backend::Nft || self.is_like(theirs, &saved, index) =>
                {
                    self.forget(theirs);
                    theirs
                }
                _ => self.table(table.backend, &table.name),
            });
        }
        for chain in saved.chains {
            let Chain { table, name, base, rules } = chain;
            let mine = self.chain(places[table], &name);
            (mine.base, mine.rules) = (base, rules);
        }
    }

    /// Whether two tables have the same chains with as many rules: one then is
    /// the other in other words. Chains of iptables that nothing stands in nft
    /// need not have.
    fn is_like(&self, table: usize, other: &Self, there: usize) -> bool {
        let has_rules = |rules: &Self, table: usize| {
            let chains = rules.chains.iter().filter(|chain| chain.table == table);
            let filled = chains.filter(|chain| !chain.rules.is_empty());
            filled.map(|chain| (chain.name.clone(), chain.rules.len())).collect::<HashMap<_, _>>()
        };
        has_rules(self, table) == has_rules(other, there)
    }

    /// Whose rules there are.
    pub(super) fn backends(&self) -> Vec<Backend> {
        let does_something = |backend: &Backend| {
            self.chains.iter().any(|chain| {
                let drops = chain.base.as_ref().is_some_and(|base| !base.accepts);
                self.tables[chain.table].backend == *backend && (drops || !chain.rules.is_empty())
            })
        };
        [Backend::Nft, Backend::Iptables].into_iter().filter(does_something).collect()
    }

    /// Where that is, in the operator's words.
    pub(super) fn place(&self, spot: Spot) -> Place {
        let chain = &self.chains[spot.chain];
        let table = &self.tables[chain.table];
        let rule = spot.rule.map(|number| &chain.rules[number]);
        let (text, packets) = match (rule, &chain.base) {
            (Some(rule), _) => (rule.text.to_string(), rule.packets),
            (None, Some(base)) => {
                let word = if base.accepts { "policy accept" } else { "policy drop" };
                (word.to_owned(), base.packets)
            }
            (None, None) => (String::new(), None),
        };
        Place {
            backend: table.backend,
            table: table.name.clone(),
            chain: chain.name.to_string(),
            rule: spot.rule.map(|number| u32::try_from(number + 1).unwrap_or(u32::MAX)),
            text,
            packets,
        }
    }
}

/// Number of a protocol by its name in `/etc/protocols`, or as digits. Those
/// that PPTP does not use share a number that no packet has.
pub(super) fn protocol(name: &str) -> u32 {
    match name {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        _ => name.parse().unwrap_or(256),
    }
}

/// `RTN_*` by the names of addrtype and fib.
pub(super) fn address_type(name: &str) -> Option<u32> {
    const NAMES: [&str; 10] = [
        "unspec",
        "unicast",
        "local",
        "broadcast",
        "anycast",
        "multicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
    ];
    let name = name.to_ascii_lowercase();
    NAMES.iter().position(|known| *known == name).map(|number| number as u32)
}

/// Bits of TCP by their names.
pub(super) fn tcp_flag(name: &str) -> Option<u8> {
    Some(match name.to_ascii_lowercase().as_str() {
        "fin" => 1,
        "syn" => 2,
        "rst" => 4,
        "psh" => 8,
        "ack" => 16,
        "urg" => 32,
        "ecn" | "ece" => 64,
        "cwr" => 128,
        "all" => 63,
        "none" => 0,
        _ => return None,
    })
}

/// `PACKET_*` by the names of pkttype.
pub(super) fn packet_type(name: &str) -> Option<u32> {
    Some(match name {
        "host" | "unicast" => 0,
        "broadcast" => 1,
        "multicast" => 2,
        "other" => 3,
        _ => return None,
    })
}

/// Addresses of a prefix.
pub(super) fn prefix(address: std::net::Ipv4Addr, length: u32) -> Value {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
    let first = address.to_bits() & mask;
    Value::Numbers(first, first | !mask)
}
