//! What a ruleset of nft or iptables does with PPTP: the rules of both become
//! one model, and a packet of each kind that PPTP sends goes through all of it.
//!
//! | module | what lives there |
//! | --- | --- |
//! | `rules` | tables, chains and rules, whoever wrote them |
//! | `nft`, `expression`, `text` | what `nft -j list ruleset` prints |
//! | `iptables` | what iptables-save prints |
//! | `packet` | what is fixed of a packet, and whether it passes a test |
//! | `walk` | its way through all base chains |
//!
//! A packet's protocol, control port and state of tracking are fixed, and
//! whether it comes from or goes to the loopback, a session or neither. Its
//! addresses, its interface, marks, limits and the time are not: what asks for
//! these may match. A caller is taken to be one that the host has a route back
//! to. Both backends see every packet, and what one drops is dropped.
//!
//! PPTP is IPv4: tables of the families `ip6`, `bridge` and `arp` do not count.
//! Rules that nft has no words for (`xt`) are told by the text of
//! iptables-nft-save, where there is one. Packets of connections that a
//! flowtable took over skip the chains behind it; that is said, not followed.
//! So is the translation of a destination address: the packet is followed as
//! if it stayed.

mod expression;
mod iptables;
mod nft;
mod packet;
mod rules;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::collections::BTreeSet;
use std::fmt;

use packet::Packet;
use rules::{Ruleset, Test, Verdict, state};
use walk::{Reach, Seen, Spot, walk};

/// Octets of a rule's text, and of a sentence, that are kept.
const LONGEST_TEXT: usize = 300;
/// Sentences in [`Firewall::troubles`].
const MOST_TROUBLES: usize = 16;
/// Places in each list of [`Firewall`].
const MOST_PLACES: usize = 64;

/// Which program wrote the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// nft, also rules that iptables-nft wrote.
    Nft,
    /// iptables-legacy.
    Iptables,
}

/// What becomes of packets of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Accepted, whatever address they come from.
    Accepted,
    /// Accepted from some addresses, interfaces or at some times only; what
    /// decides.
    Depends(Place),
    /// Dropped or rejected.
    Dropped(Place),
    /// A rule that is not understood decides.
    NotUnderstood(Place),
}

/// A rule, or the policy of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub backend: Backend,
    /// Family and name: `inet filter`, `ip filter`, `filter`.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Position in the chain, from 1; `None` is the chain's policy.
    pub rule: Option<u32>,
    /// The rule as its program writes it, or as near as may be.
    pub text: String,
    /// Packets counted; `None` where the rule has no counter.
    pub packets: Option<u64>,
}

/// What all rules of a host together do with PPTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// Whose rules there are.
    pub backends: Vec<Backend>,
    /// A first packet of TCP to port 1723 of this host.
    pub control_in: Fate,
    /// A first packet of GRE to this host, from a caller that has a control
    /// connection. It is `related` where a rule assigns the helper to that, and
    /// `new` elsewhere: then also where the kernel assigns it by itself, see
    /// [`Self::gre_needs_helper`].
    pub gre_in: Fate,
    /// A first packet of GRE from this host, likewise.
    pub gre_out: Fate,
    /// What follows on a connection that stands: on a control connection, of
    /// GRE that the helper joined, and as an answer to what this host sent. The
    /// first of these that is not accepted, in this order.
    pub established_in: Fate,
    /// A first packet from a session to the world behind the gateway.
    pub forward_from_ppp: Fate,
    /// An answer to that.
    pub forward_to_ppp: Fate,
    /// Rules that accept what belongs to a tracked connection (`ct state
    /// established,related`), and where. No list here has more than 64 places.
    pub established_rules: Vec<Place>,
    /// Whether GRE comes in only as what the helper of conntrack expects
    /// (`related`): a first packet that is `new` is dropped, and one that is
    /// `related` is not.
    pub gre_needs_helper: bool,
    /// Rules that assign the helper `pptp`.
    pub helper_rules: Vec<Place>,
    /// Whether one of them sees control connections of this host itself, in
    /// whichever hook.
    pub helper_in_output: bool,
    /// Whether one of them sees control connections to this host: in
    /// prerouting, or with nft in input too.
    pub helper_in_prerouting: bool,
    /// Rules that drop, have counted packets, and name GRE or TCP 1723
    /// themselves or by how one comes to them. What drops everything that is
    /// left stands in the fates alone.
    pub drops: Vec<Place>,
    /// Rules that clamp the MSS of forwarded TCP: the size, or `None` for the
    /// path's.
    pub mss_clamp: Vec<(Option<u16>, Place)>,
    /// Rules that keep GRE out of connection tracking.
    pub notrack: Vec<Place>,
    /// What was not understood, in a sentence each; at most 16.
    pub troubles: Vec<String>,
}

/// Rules that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Whose.
    pub backend: Backend,
    /// What is wrong with them, and where.
    pub why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = match self.backend {
            Backend::Nft => "nft",
            Backend::Iptables => "iptables",
        };
        write!(formatter, "rules of {program}: {}", self.why)
    }
}

impl std::error::Error for Unreadable {}

impl Firewall {
    /// From what `nft -j list ruleset` and what iptables-save print, the latter
    /// with counters (`-c`) if drops shall be told. Both iptables-legacy-save
    /// and iptables-nft-save will do, or one text behind the other. Without any
    /// rule everything is accepted and [`Self::backends`] is empty.
    ///
    /// # Errors
    /// What is given is cut off or is something else. Nothing is told of half a
    /// ruleset.
    pub fn of(nft: Option<&[u8]>, iptables: Option<&[u8]>) -> Result<Self, Unreadable> {
        let mut rules = Ruleset::default();
        if let Some(text) = nft {
            nft::parse(text, &mut rules)
                .map_err(|why| Unreadable { backend: Backend::Nft, why })?;
        }
        if let Some(text) = iptables {
            let mut saved = Ruleset::default();
            iptables::parse(text, &mut saved)
                .map_err(|why| Unreadable { backend: Backend::Iptables, why })?;
            rules.take_over(saved);
        }
        Ok(judge(&rules))
    }
}

/// Sends every kind of packet through the rules.
fn judge(rules: &Ruleset) -> Firewall {
    let mut inbound = Seen::default();
    let control = walk(rules, Packet::control_in(), &mut inbound);
    let mut outbound = Seen::default();
    let control_out = walk(rules, Packet::control_out(), &mut outbound);
    let (in_prerouting, in_output) = (control.helped, control_out.helped);

    let mut gre = Seen::default();
    let mut gre_first = |packet: fn(u32) -> Packet, helped: Reach| {
        let states = match helped {
            Reach::No => state::NEW,
            Reach::Maybe => state::NEW | state::RELATED,
            Reach::Yes => state::RELATED,
        };
        walk(rules, packet(states), &mut gre)
    };
    let gre_in = gre_first(Packet::gre_in, in_prerouting);
    // The helper of a caller's connection knows of both ways.
    let gre_out = gre_first(Packet::gre_out, in_prerouting);
    let gre_new = gre_first(Packet::gre_in, Reach::No);
    let gre_related = gre_first(Packet::gre_in, Reach::Yes);

    let mut established = Seen::default();
    let mut later = vec![Packet::control_established()];
    if in_prerouting == Reach::Yes && gre_in.untracked == Reach::No {
        later.push(Packet::gre_established());
    }
    later.push(Packet::answer());
    let fates: Vec<Fate> =
        later.into_iter().map(|packet| walk(rules, packet, &mut established).fate).collect();
    let established_in =
        fates.into_iter().find(|fate| *fate != Fate::Accepted).unwrap_or(Fate::Accepted);

    let mut through = Seen::default();
    let forward_from_ppp = walk(rules, Packet::from_session(), &mut through).fate;
    let mut answers = Seen::default();
    let forward_to_ppp = walk(rules, Packet::to_session(), &mut answers).fate;

    let drops: BTreeSet<Spot> =
        [&inbound, &outbound, &gre].iter().flat_map(|seen| &seen.drops).copied().collect();
    let established_rules: BTreeSet<Spot> =
        established.established.union(&answers.established).copied().collect();
    let helpers: BTreeSet<Spot> = inbound.helpers.union(&outbound.helpers).copied().collect();
    let clamps: BTreeSet<_> = through.mss.union(&answers.mss).copied().collect();

    let mut troubles = Troubles::default();
    troubles.of_tests(rules);
    for (seen, what) in [(&inbound, "TCP 1723"), (&gre, "GRE")] {
        troubles.of_places(rules, &seen.elsewhere, |place| {
            format!("{what} may be sent elsewhere by {place}")
        });
        troubles.of_places(rules, &seen.idle, |place| {
            format!("has no effect on {what} at this priority: {place}")
        });
    }
    let flows = through.flows.union(&answers.flows).copied().collect();
    troubles.of_places(rules, &flows, |place| {
        format!("forwarded connections skip the chains once they are in a flowtable: {place}")
    });
    for seen in [&inbound, &outbound, &gre, &established, &through, &answers] {
        for &chain in &seen.loops {
            let chain = &rules.chains[chain];
            let table = &rules.tables[chain.table].name;
            troubles.add(format!("{table} {}: leads into itself, or too deep", chain.name));
        }
        if seen.is_too_much {
            troubles.add("sets are looked up more often than can be followed".to_owned());
        }
    }

    let places = |spots: &BTreeSet<Spot>| -> Vec<Place> {
        spots.iter().map(|spot| rules.place(*spot)).take(MOST_PLACES).collect()
    };
    let gre_needs_helper = matches!(gre_new.fate, Fate::Dropped(_))
        && matches!(gre_related.fate, Fate::Accepted | Fate::Depends(_));
    let counted = drops.iter().map(|spot| rules.place(*spot));
    Firewall {
        backends: rules.backends(),
        control_in: control.fate,
        gre_in: gre_in.fate,
        gre_out: gre_out.fate,
        established_in,
        forward_from_ppp,
        forward_to_ppp,
        established_rules: places(&established_rules),
        gre_needs_helper,
        helper_rules: places(&helpers),
        helper_in_output: in_output != Reach::No,
        helper_in_prerouting: in_prerouting != Reach::No,
        drops: counted.filter(|place| place.packets > Some(0)).take(MOST_PLACES).collect(),
        mss_clamp: clamps
            .iter()
            .map(|(spot, size)| (*size, rules.place(*spot)))
            .take(MOST_PLACES)
            .collect(),
        notrack: places(&gre.notrack),
        troubles: troubles.0,
    }
}

/// What is kept of a long text.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

/// Sentences, each once.
#[derive(Default)]
struct Troubles(Vec<String>);

impl Troubles {
    fn add(&mut self, mut sentence: String) {
        sentence.truncate(shortened(&sentence).len());
        if self.0.len() < MOST_TROUBLES && !self.0.contains(&sentence) {
            self.0.push(sentence);
        }
    }

    /// What is not understood, each with the first rule that has it.
    fn of_tests(&mut self, rules: &Ruleset) {
        let mut known = BTreeSet::new();
        for (index, chain) in rules.chains.iter().enumerate() {
            for (number, rule) in chain.rules.iter().enumerate() {
                let tests = rule.tests.iter().filter_map(|test| match test {
                    Test::Strange(name) => Some(&**name),
                    _ => None,
                });
                let verdict = match &rule.verdict {
                    Verdict::Strange(name) => Some(&**name),
                    Verdict::Jump(name) | Verdict::Goto(name) => {
                        let table = &rules.tables[chain.table];
                        (!table.chains.contains_key(name)).then_some(&**name)
                    }
                    _ => None,
                };
                for name in tests.chain(verdict) {
                    if known.len() < MOST_TROUBLES && known.insert(name) {
                        let spot = Spot { chain: index, rule: Some(number) };
                        let place = rules.place(spot);
                        self.add(format!("\"{name}\" is not understood: {place}"));
                    }
                }
            }
        }
    }

    fn of_places(
        &mut self,
        rules: &Ruleset,
        spots: &BTreeSet<Spot>,
        say: impl Fn(&Place) -> String,
    ) {
        for spot in spots.iter().take(MOST_TROUBLES) {
            self.add(say(&rules.place(*spot)));
        }
    }
}

impl fmt::Display for Place {
    /// `ip filter INPUT rule 3: tcp dport 1723 drop`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.table, self.chain)?;
        if let Some(rule) = self.rule {
            write!(formatter, " rule {rule}")?;
        }
        write!(formatter, ": {}", self.text)
    }
}
