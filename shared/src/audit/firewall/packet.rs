//! What is fixed of a kind of packet, what is not, and whether it passes a
//! test: yes, no, or maybe.

use super::rules::{Field, Hook, Value, state};

/// Addresses that a packet on a network can have: not this network's, the
/// loopback's, groups or reserved.
const UNICAST: &[(u32, u32)] = &[(0x0100_0000, 0x7eff_ffff), (0x8000_0000, 0xdfff_ffff)];
/// `RTN_UNICAST`, `RTN_LOCAL`.
const ELSEWHERE: u32 = 1;
const LOCAL: u32 = 2;
/// Ports that a client of this host uses (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: (u32, u32) = (32_768, 60_999);
const ANY_PORT: (u32, u32) = (0, 65_535);
const CONTROL_PORT: (u32, u32) = (1723, 1723);

/// Where a packet comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interface {
    /// This host.
    None,
    /// Neither the loopback nor a session.
    Network,
    /// A session: ppp and a number.
    Session,
}

/// A kind of packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    /// Hooks that it meets.
    pub(super) hooks: &'static [Hook],
    protocol: (u32, u32),
    source_port: (u32, u32),
    destination_port: (u32, u32),
    /// Bits of states, one of which it has.
    pub(super) states: u32,
    /// Flags of TCP; `None` where they differ.
    flags: Option<u8>,
    /// `None` where it differs.
    direction: Option<u32>,
    pub(super) input: Interface,
    pub(super) output: Interface,
    /// Whether its connection, or the one that it was expected by, has the
    /// helper.
    helped: bool,
}

impl Packet {
    const IN: &'static [Hook] = &[Hook::Ingress, Hook::Prerouting, Hook::Input];
    const OUT: &'static [Hook] = &[Hook::Output, Hook::Postrouting, Hook::Egress];
    const THROUGH: &'static [Hook] =
        &[Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting, Hook::Egress];

    /// The first of a control connection to this host.
    pub(super) const fn control_in() -> Self {
        Self {
            hooks: Self::IN,
            protocol: (6, 6),
            source_port: (1024, 65_535),
            destination_port: CONTROL_PORT,
            states: state::NEW,
            flags: Some(2),
            direction: Some(0),
            input: Interface::Network,
            output: Interface::None,
            helped: false,
        }
    }

    /// The first of a control connection of this host to another gateway.
    pub(super) const fn control_out() -> Self {
        let (input, output) = (Interface::None, Interface::Network);
        Self { hooks: Self::OUT, input, output, ..Self::control_in() }
    }

    /// What follows on a control connection to this host.
    pub(super) const fn control_established() -> Self {
        Self { states: state::ESTABLISHED, flags: Some(16), ..Self::control_in() }
    }

    /// An answer to what this host sent.
    pub(super) const fn answer() -> Self {
        Self {
            source_port: ANY_PORT,
            destination_port: EPHEMERAL,
            flags: None,
            direction: Some(1),
            ..Self::control_established()
        }
    }

    /// The first of GRE to this host.
    pub(super) const fn gre_in(states: u32) -> Self {
        Self {
            protocol: (47, 47),
            // GRE has none, but a test may look where they would be.
            source_port: ANY_PORT,
            destination_port: ANY_PORT,
            states,
            flags: None,
            helped: states & state::RELATED != 0,
            ..Self::control_in()
        }
    }

    /// The first of GRE from this host.
    pub(super) const fn gre_out(states: u32) -> Self {
        let (input, output) = (Interface::None, Interface::Network);
        Self { hooks: Self::OUT, input, output, ..Self::gre_in(states) }
    }

    /// What follows of GRE to this host where the helper joined both ways.
    pub(super) const fn gre_established() -> Self {
        Self { helped: true, direction: None, ..Self::gre_in(state::ESTABLISHED) }
    }

    /// The first of a connection from a session to elsewhere.
    pub(super) const fn from_session() -> Self {
        Self {
            hooks: Self::THROUGH,
            protocol: (0, 255),
            source_port: ANY_PORT,
            destination_port: ANY_PORT,
            flags: None,
            input: Interface::Session,
            output: Interface::Network,
            ..Self::control_in()
        }
    }

    /// What is answered to that.
    pub(super) const fn to_session() -> Self {
        Self {
            states: state::ESTABLISHED,
            direction: Some(1),
            input: Interface::Network,
            output: Interface::Session,
            ..Self::from_session()
        }
    }

    /// Whether a field has a value.
    pub(super) fn compare(&self, field: Field, value: &Value) -> Match {
        match (field, value) {
            (Field::Strange, _) | (_, Value::Strange) => Match::Maybe(Doubt::NotUnderstood),
            (_, Value::Any) => Match::Yes,
            (Field::Varying, _) => Match::Maybe(Doubt::Varies),
            (Field::In, Value::Name(name)) => self.input.is_named(name),
            (Field::Out, Value::Name(name)) => self.output.is_named(name),
            (Field::Helper, Value::Name(name)) => Match::sure(self.helped && &**name == "pptp"),
            (Field::Status, Value::Name(name)) => match &**name {
                "expected" => Match::sure(self.helped),
                // Of what is sent elsewhere rules tell by themselves.
                "dnat" | "snat" => Match::No,
                _ => Match::Maybe(Doubt::Varies),
            },
            (Field::State, &Value::Numbers(bits, _)) => match self.states & bits {
                0 => Match::No,
                all if all == self.states => Match::Yes,
                _ => Match::Maybe(Doubt::Varies),
            },
            (_, &Value::Numbers(from, to)) => within(self.known(field), from, to),
            (_, Value::Name(_)) => Match::Maybe(Doubt::NotUnderstood),
        }
    }

    /// What a numeric field may be.
    fn known(&self, field: Field) -> Numbers {
        match field {
            Field::Protocol => Numbers::One(self.protocol),
            Field::SourcePort => Numbers::One(self.source_port),
            Field::DestinationPort => Numbers::One(self.destination_port),
            Field::Direction => Numbers::only(self.direction),
            Field::Source | Field::Destination => Numbers::Unicast,
            Field::SourceType if self.input == Interface::None => Numbers::only(Some(LOCAL)),
            Field::DestinationType if self.output == Interface::None => Numbers::only(Some(LOCAL)),
            Field::SourceType | Field::DestinationType => Numbers::only(Some(ELSEWHERE)),
            Field::PacketType | Field::Fragment => Numbers::only(Some(0)),
            Field::Family => Numbers::only(Some(2)),
            Field::RouteBack => Numbers::only(Some(1)),
            Field::Flags(mask) => Numbers::only(self.flags.map(|flags| (flags & mask).into())),
            _ => Numbers::One((0, u32::MAX)),
        }
    }
}

/// What a number may be.
enum Numbers {
    One((u32, u32)),
    Unicast,
}

impl Numbers {
    fn only(number: Option<u32>) -> Self {
        Self::One(number.map_or((0, u32::MAX), |number| (number, number)))
    }
}

fn within(known: Numbers, from: u32, to: u32) -> Match {
    let one;
    let known = match known {
        Numbers::Unicast => UNICAST,
        Numbers::One(range) => {
            one = [range];
            &one[..]
        }
    };
    if known.iter().all(|&(first, last)| from <= first && last <= to) {
        Match::Yes
    } else if known.iter().all(|&(first, last)| to < first || last < from) {
        Match::No
    } else {
        Match::Maybe(Doubt::Varies)
    }
}

impl Interface {
    /// Whether its name is this, or begins so before a `*`.
    pub(super) fn is_named(self, name: &str) -> Match {
        let (start, open) = name.strip_suffix('*').map_or((name, false), |start| (start, true));
        let number = start.strip_prefix("ppp");
        let is_session =
            number.is_some_and(|number| number.bytes().all(|octet| octet.is_ascii_digit()));
        match self {
            Self::None => Match::No,
            _ if open && start.is_empty() => Match::Yes,
            Self::Session if open && "ppp".starts_with(start) => Match::Yes,
            Self::Session if is_session => Match::Maybe(Doubt::Varies),
            Self::Session => Match::No,
            Self::Network if name == "lo" || open && number == Some("") => Match::No,
            // A name with a number may be that of an uplink over PPP.
            Self::Network => Match::Maybe(Doubt::Varies),
        }
    }
}

/// Whether a packet passes a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    No,
    Maybe(Doubt),
    Yes,
}

/// Why that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// It differs between packets of the kind.
    Varies,
    /// The test is not understood.
    NotUnderstood,
}

impl Match {
    pub(super) fn sure(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Both hold.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Maybe(a), Self::Maybe(b)) => Self::Maybe(a.max(b)),
            (Self::Maybe(doubt), _) | (_, Self::Maybe(doubt)) => Self::Maybe(doubt),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// One of both holds.
    pub(super) fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Yes => Self::No,
            maybe @ Self::Maybe(_) => maybe,
        }
    }
}
