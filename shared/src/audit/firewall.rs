//! What a ruleset of nft or iptables does with PPTP.

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
    /// connection.
    pub gre_in: Fate,
    /// A first packet of GRE from this host.
    pub gre_out: Fate,
    /// An answer on a connection that stands.
    pub established_in: Fate,
    /// Packets from a session to the world behind the gateway.
    pub forward_from_ppp: Fate,
    /// Packets to a session.
    pub forward_to_ppp: Fate,
    /// Rules that accept what belongs to a tracked connection (`ct state
    /// established,related`), and where.
    pub established_rules: Vec<Place>,
    /// Whether GRE comes in only as what the helper of conntrack expects
    /// (`related`).
    pub gre_needs_helper: bool,
    /// Rules that assign the helper `pptp`.
    pub helper_rules: Vec<Place>,
    /// Whether there is one for what this host itself sends (output).
    pub helper_in_output: bool,
    /// Whether there is one for what comes in (prerouting).
    pub helper_in_prerouting: bool,
    /// Rules that drop GRE or TCP 1723 and have counted packets.
    pub drops: Vec<Place>,
    /// Rules that clamp the MSS of forwarded TCP: the size, or `None` for the
    /// path's.
    pub mss_clamp: Vec<(Option<u16>, Place)>,
    /// Rules that keep GRE out of connection tracking.
    pub notrack: Vec<Place>,
    /// What was not understood, in a sentence each; at most 16.
    pub troubles: Vec<String>,
}
