//! The way of a packet through all base chains that it meets, with every test
//! answered by yes, no or maybe: what can become of it, and which rule decides.
//!
//! A rule that may match is gone through both ways. Of a chain it is found out
//! once what it can lead to, so that the time grows with the rules and not with
//! the ways through them.

use std::collections::{BTreeSet, HashMap};

use super::Fate;
use super::packet::{Doubt, Match, Packet};
use super::rules::{
    Chain, Effect, Field, Hook, Rule, Ruleset, SetRef, Test, Value, Verdict, state,
};

/// Chains that lead into each other; nft allows 16.
const DEEPEST: usize = 64;
/// Elements of sets and maps that are looked at on one way.
const BUDGET: usize = 4_000_000;
/// Where connection tracking looks at a packet (`NF_IP_PRI_CONNTRACK`).
const TRACKING: i64 = -200;

/// A rule of a chain, or the chain's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) chain: usize,
    pub(super) rule: Option<usize>,
}

/// What a packet met on its way.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Rules that name GRE or the control port and drop.
    pub(super) drops: BTreeSet<Spot>,
    /// Rules that name established connections and accept.
    pub(super) established: BTreeSet<Spot>,
    /// Rules that assign the helper.
    pub(super) helpers: BTreeSet<Spot>,
    pub(super) notrack: BTreeSet<Spot>,
    pub(super) mss: BTreeSet<(Spot, Option<u16>)>,
    pub(super) flows: BTreeSet<Spot>,
    pub(super) elsewhere: BTreeSet<Spot>,
    /// Rules that do nothing where they stand.
    pub(super) idle: BTreeSet<Spot>,
    /// Chains that lead into themselves, or too deep.
    pub(super) loops: BTreeSet<usize>,
    /// Sets are looked up so often that not all of it was done.
    pub(super) is_too_much: bool,
}

/// What becomes of a packet.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) fate: Fate,
    /// Whether the helper is assigned to its connection.
    pub(super) helped: Reach,
    /// Whether it stays out of tracking.
    pub(super) untracked: Reach,
}

/// Whether a packet comes to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Reach {
    #[default]
    No,
    Maybe,
    Yes,
}

/// Goes the way of a packet.
pub(super) fn walk(rules: &Ruleset, packet: Packet, seen: &mut Seen) -> Passage {
    let mut bases: Vec<(Hook, i64, usize)> = Vec::new();
    for (index, chain) in rules.chains.iter().enumerate() {
        if let Some(base) = chain.base.as_ref().filter(|base| packet.hooks.contains(&base.hook)) {
            bases.push((base.hook, base.priority, index));
        }
    }
    bases.sort_unstable();
    let states = packet.states;
    let mut walk =
        Walk { rules, packet, seen, before: true, known: HashMap::new(), budget: BUDGET, depth: 0 };
    let mut passage = Passage { fate: Fate::Accepted, helped: Reach::No, untracked: Reach::No };
    let mut whole = Ends::default();
    for (hook, priority, chain) in bases {
        let tracks = matches!(hook, Hook::Prerouting | Hook::Output);
        let before = hook == Hook::Ingress || tracks && priority < TRACKING;
        let states = match (before, passage.untracked) {
            (true, _) if passage.untracked == Reach::Yes => state::UNTRACKED,
            // Of what was not looked at yet the kernel says so.
            (true, _) => state::INVALID,
            (false, Reach::Yes) => state::UNTRACKED,
            (false, Reach::Maybe) => states | state::UNTRACKED,
            (false, Reach::No) => states,
        };
        if (walk.before, walk.packet.states) != (before, states) {
            (walk.before, walk.packet.states) = (before, states);
            walk.known.clear();
        }
        let Some(ends) = walk.base(chain) else { continue };
        passage.helped = passage.helped.max(ends.helped);
        passage.untracked = passage.untracked.max(ends.untracked);
        whole.follow(ends);
        if whole.accept.is_none() {
            break;
        }
    }
    passage.fate = whole.fate(rules);
    passage
}

/// A rule that may match, and why that is not known.
#[derive(Debug, Clone, Copy)]
struct Branch {
    spot: Spot,
    doubt: Doubt,
}

/// Where a packet's way ends, and on which branch.
#[derive(Debug, Clone, Copy)]
struct End {
    spot: Spot,
    branch: Option<Branch>,
}

impl End {
    fn on(self, branch: Option<Branch>) -> Self {
        Self { branch: self.branch.or(branch), ..self }
    }
}

/// All that a chain or a rule can lead to.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    /// The first of those that accept, and of those that drop.
    accept: Option<End>,
    drop: Option<End>,
    /// What becomes of all that nothing before decides, and whether that is
    /// accepted.
    last: Option<(End, bool)>,
    /// Goes on behind the rule, or behind the rule that led to the chain; the
    /// branch on which it does.
    on: Option<Option<Branch>>,
    /// Goes back to where the chain was called.
    back: Option<Option<Branch>>,
    helped: Reach,
    untracked: Reach,
}

impl Ends {
    fn going_on(branch: Option<Branch>) -> Self {
        Self { on: Some(branch), ..Self::default() }
    }

    fn accepted(end: End) -> Self {
        Self { accept: Some(end), last: Some((end, true)), ..Self::default() }
    }

    fn dropped(end: End) -> Self {
        Self { drop: Some(end), last: Some((end, false)), ..Self::default() }
    }

    /// Anything, for a reason.
    fn anything(spot: Spot) -> Self {
        let branch = Some(Branch { spot, doubt: Doubt::NotUnderstood });
        let end = End { spot, branch };
        let (accept, drop, last) = (Some(end), Some(end), Some((end, false)));
        Self { accept, drop, last, on: Some(branch), ..Self::default() }
    }

    /// The same, come to on a branch.
    fn under(self, branch: Option<Branch>) -> Self {
        Self {
            accept: self.accept.map(|end| end.on(branch)),
            drop: self.drop.map(|end| end.on(branch)),
            last: self.last.map(|(end, accepts)| (end.on(branch), accepts)),
            on: self.on.map(|inner| inner.or(branch)),
            back: self.back.map(|inner| inner.or(branch)),
            ..self
        }
    }

    fn is_final(&self) -> bool {
        self.accept.is_some() || self.drop.is_some() || self.back.is_some()
    }

    /// What another rule of the same chain leads to besides.
    fn add(&mut self, other: Self) {
        self.last = other.last.or(self.last);
        self.accept = self.accept.or(other.accept);
        self.drop = self.drop.or(other.drop);
        self.back = self.back.or(other.back);
        self.helped = self.helped.max(other.helped);
        self.untracked = self.untracked.max(other.untracked);
    }

    /// What the next base chain does with what is accepted so far.
    fn follow(&mut self, next: Self) {
        if next.accept.is_none() || self.drop.is_none() {
            *self = next;
        }
    }

    fn fate(&self, rules: &Ruleset) -> Fate {
        let (Some(drop), Some((last, accepts))) = (self.drop, self.last) else {
            return Fate::Accepted;
        };
        let other = match self.accept {
            None => return Fate::Dropped(rules.place(last.spot)),
            Some(_) if accepts => drop,
            Some(accept) => accept,
        };
        let branch = other.branch.or(last.branch);
        // Whether it meets the chain at all decides: then name what is in it.
        let spot = branch.map_or(other.spot, |branch| branch.spot);
        let spot = if spot.rule.is_none() { other.spot } else { spot };
        match branch.map(|branch| branch.doubt) {
            Some(Doubt::NotUnderstood) => Fate::NotUnderstood(rules.place(spot)),
            Some(Doubt::Varies) | None => Fate::Depends(rules.place(spot)),
        }
    }
}

/// What the rules on the way to a chain named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Named {
    /// GRE or the control port.
    pptp: bool,
    /// Established connections.
    established: bool,
}

struct Walk<'a> {
    rules: &'a Ruleset,
    packet: Packet,
    seen: &'a mut Seen,
    /// Whether connection tracking is still to come.
    before: bool,
    /// What chains lead to; `None` while that is found out.
    known: HashMap<(usize, Named), Option<Ends>>,
    /// Elements of sets and maps that are still looked at.
    budget: usize,
    depth: usize,
}

impl Walk<'_> {
    /// A base chain, with its policy; nothing where the packet does not meet it.
    fn base(&mut self, index: usize) -> Option<Ends> {
        let rules = self.rules;
        let base = rules.chains[index].base.as_ref()?;
        // Address translation asks of the first packet alone.
        if base.is_nat && self.packet.states & (state::NEW | state::RELATED) == 0 {
            return None;
        }
        let interface = match base.hook {
            Hook::Egress => self.packet.output,
            _ => self.packet.input,
        };
        let bound = base.devices.iter().map(|device| interface.is_named(device));
        // Such a chain has a device, of which nft 1.0.6 says nothing.
        let otherwise = match base.hook {
            Hook::Ingress | Hook::Egress => Match::Maybe(Doubt::Varies),
            _ => Match::Yes,
        };
        let meets = bound.reduce(Match::or).unwrap_or(otherwise);
        let spot = Spot { chain: index, rule: None };
        let branch = match meets {
            Match::No => return None,
            Match::Maybe(doubt) => Some(Branch { spot, doubt }),
            Match::Yes => None,
        };
        let mut ends = self.chain(index, Named::default())?.under(branch);
        if let Some(branch) = ends.on {
            let end = End { spot, branch };
            ends.add(if base.accepts { Ends::accepted(end) } else { Ends::dropped(end) });
        }
        if branch.is_some() {
            ends.add(Ends::accepted(End { spot, branch }));
        }
        Some(ends)
    }

    /// A chain, to its end. What comes back from it goes on. Nothing is known
    /// of one that leads into itself.
    fn chain(&mut self, index: usize, named: Named) -> Option<Ends> {
        match self.known.get(&(index, named)) {
            Some(Some(ends)) => return Some(*ends),
            None if self.depth < DEEPEST => {}
            _ => {
                self.seen.loops.insert(index);
                return None;
            }
        }
        self.known.insert((index, named), None);
        self.depth += 1;
        let chain = &self.rules.chains[index];
        let mut ends = Ends::going_on(None);
        // Whether part of the packets is gone already.
        let mut partial = false;
        for (number, rule) in chain.rules.iter().enumerate() {
            let Some(going_on) = ends.on else { break };
            let matches = self.matches(chain.table, rule);
            let spot = Spot { chain: index, rule: Some(number) };
            let branch = match matches {
                Match::No => continue,
                Match::Maybe(doubt) => Some(Branch { spot, doubt }),
                Match::Yes => going_on,
            };
            let reach = if matches == Match::Yes && !partial { Reach::Yes } else { Reach::Maybe };
            let named = self.naming(rule, named);
            self.effects(rule, spot, reach, &mut ends);
            let mut next = self.verdict(&rule.verdict, chain, spot, named).under(branch);
            next.helped = next.helped.min(reach);
            next.untracked = next.untracked.min(reach);
            ends.add(next);
            partial |= next.is_final();
            if matches == Match::Yes {
                ends.on = next.on;
            }
        }
        self.depth -= 1;
        ends.on = match (ends.on, ends.back.take()) {
            (Some(on), Some(back)) => Some(on.or(back)),
            (on, back) => on.or(back),
        };
        self.known.insert((index, named), Some(ends));
        Some(ends)
    }

    fn verdict(&mut self, verdict: &Verdict, chain: &Chain, spot: Spot, named: Named) -> Ends {
        let end = End { spot, branch: None };
        match verdict {
            Verdict::Continue => Ends::going_on(None),
            Verdict::Accept => {
                if named.established {
                    self.seen.established.insert(spot);
                }
                Ends::accepted(end)
            }
            Verdict::Drop => {
                if named.pptp {
                    self.seen.drops.insert(spot);
                }
                Ends::dropped(end)
            }
            Verdict::Return => Ends { back: Some(None), ..Ends::default() },
            Verdict::Jump(name) | Verdict::Goto(name) => {
                let target = self.rules.tables[chain.table].chains.get(name).copied();
                let Some(ends) = target.and_then(|target| self.chain(target, named)) else {
                    return Ends::anything(spot);
                };
                match verdict {
                    Verdict::Goto(_) => Ends { on: None, back: ends.on, ..ends },
                    _ => ends,
                }
            }
            Verdict::Map(fields, set) => self.look_up(fields, set, chain, spot, named),
            Verdict::Strange(_) => Ends { on: None, ..Ends::anything(spot) },
        }
    }

    /// The verdict of a map.
    fn look_up(
        &mut self,
        fields: &[Field],
        set: &SetRef,
        chain: &Chain,
        spot: Spot,
        named: Named,
    ) -> Ends {
        let rules = self.rules;
        let Some(map) = rules.set(chain.table, set) else { return Ends::anything(spot) };
        if !self.affords(map.elements.len()) {
            return Ends::anything(spot);
        }
        let mut ends = Ends::going_on(None);
        for (element, verdict) in map.elements.iter().zip(&map.verdicts) {
            let matches = self.element(fields, element);
            let branch = match matches {
                Match::No => continue,
                Match::Maybe(doubt) => Some(Branch { spot, doubt }),
                Match::Yes if map.changes => Some(Branch { spot, doubt: Doubt::Varies }),
                Match::Yes => None,
            };
            // A map within a map there is not.
            if let Verdict::Map(..) = verdict {
                continue;
            }
            let next = self.verdict(verdict, chain, spot, named).under(branch);
            ends.add(next);
            if matches == Match::Yes && !map.changes {
                ends.on = next.on;
                break;
            }
        }
        ends
    }

    fn effects(&mut self, rule: &Rule, spot: Spot, reach: Reach, ends: &mut Ends) {
        for effect in &rule.effects {
            match effect {
                Effect::Helper { name, before_tracking } if &**name == "pptp" => {
                    if *before_tracking == self.before {
                        self.seen.helpers.insert(spot);
                        ends.helped = ends.helped.max(reach);
                    } else {
                        self.seen.idle.insert(spot);
                    }
                }
                Effect::Notrack if self.before => {
                    self.seen.notrack.insert(spot);
                    ends.untracked = ends.untracked.max(reach);
                }
                Effect::Notrack => {
                    self.seen.idle.insert(spot);
                }
                Effect::Mss(size) => {
                    self.seen.mss.insert((spot, *size));
                }
                Effect::Flow => {
                    self.seen.flows.insert(spot);
                }
                Effect::Elsewhere => {
                    self.seen.elsewhere.insert(spot);
                }
                Effect::Helper { .. } => {}
            }
        }
    }

    /// What a rule that may match names, beside what led to it.
    fn naming(&self, rule: &Rule, mut named: Named) -> Named {
        let tests = rule.tests.iter().filter_map(|test| match test {
            Test::Is { fields, negated: false, set } => Some((fields, set)),
            _ => None,
        });
        let map = match &rule.verdict {
            Verdict::Map(fields, set) => Some((fields, set)),
            _ => None,
        };
        for (fields, set) in tests.chain(map) {
            let SetRef::Own(set) = set else { continue };
            for element in &set.elements {
                for (field, value) in fields.iter().zip(element) {
                    let Value::Numbers(from, to) = value else { continue };
                    match field {
                        // A wide range says nothing of PPTP.
                        Field::Protocol | Field::DestinationPort => {
                            named.pptp |= to.saturating_sub(*from) < 64
                                && self.packet.compare(*field, value) == Match::Yes;
                        }
                        Field::State => named.established |= from & state::ESTABLISHED != 0,
                        _ => {}
                    }
                }
            }
        }
        named
    }

    fn matches(&mut self, table: usize, rule: &Rule) -> Match {
        let mut all = Match::Yes;
        for test in &rule.tests {
            let one = match test {
                Test::Varies => Match::Maybe(Doubt::Varies),
                Test::Strange(_) => Match::Maybe(Doubt::NotUnderstood),
                Test::Is { fields, negated, set } => {
                    let is = self.is_in(table, fields, set);
                    if *negated { is.not() } else { is }
                }
            };
            all = all.and(one);
            if all == Match::No {
                break;
            }
        }
        all
    }

    fn is_in(&mut self, table: usize, fields: &[Field], set: &SetRef) -> Match {
        let Some(set) = self.rules.set(table, set) else {
            return Match::Maybe(Doubt::NotUnderstood);
        };
        if set.changes {
            return Match::Maybe(Doubt::Varies);
        }
        if !self.affords(set.elements.len()) {
            return Match::Maybe(Doubt::NotUnderstood);
        }
        let mut any = Match::No;
        for element in &set.elements {
            any = any.or(self.element(fields, element));
            if any == Match::Yes {
                break;
            }
        }
        any
    }

    /// Whether so many elements are still looked at.
    fn affords(&mut self, elements: usize) -> bool {
        self.seen.is_too_much |= elements > self.budget;
        self.budget = self.budget.saturating_sub(elements);
        !self.seen.is_too_much
    }

    fn element(&self, fields: &[Field], element: &[Value]) -> Match {
        let mut all = Match::sure(true);
        for (at, field) in fields.iter().enumerate() {
            let value = element.get(at).or(element.first().filter(|_| element.len() == 1));
            all = all.and(value.map_or(Match::Maybe(Doubt::NotUnderstood), |value| {
                self.packet.compare(*field, value)
            }));
            if all == Match::No {
                break;
            }
        }
        all
    }
}
