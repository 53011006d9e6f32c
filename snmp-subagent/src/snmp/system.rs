//! What every agent serves of itself: the system group and sysORTable, the
//! snmp group (RFC 3418), snmpEngine (RFC 3411), and what was wrong with
//! messages (RFC 3412, RFC 3413, RFC 3414).
//!
//! It leaves out what only an agent with settings has: snmpSet, snmpTrap, and
//! the tables of users and views.

use std::time::Instant;

use super::usm::Local;
use crate::config::Responder;
use crate::oid::Oid;
use crate::value::{Octets, Value};
use crate::view::View;

/// sysServices of a host: an application layer (RFC 3418).
const SERVICES: i32 = 72;
/// snmpEnableAuthenTraps: disabled, for none is ever sent.
const DISABLED: i32 = 2;

/// What the host is to a manager.
#[derive(Debug, Clone)]
pub struct Identity {
    /// sysDescr.
    pub description: String,
    /// sysObjectID: what kind of agent this is.
    pub object_id: Oid,
    /// sysName: the host's name, unless the configuration has another.
    pub name: String,
    /// sysORID and sysORDescr of what is served, in the order of sysORTable.
    pub capabilities: Vec<(Oid, String)>,
}

impl Identity {
    /// Without a name and without capabilities.
    pub fn new(description: &str, object_id: Oid) -> Self {
        Self {
            description: description.to_owned(),
            object_id,
            name: String::new(),
            capabilities: Vec::new(),
        }
    }
}

/// What happened to messages so far. A wrong one is counted once, and
/// answered at most by a Report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams from addresses that are not allowed; served nowhere.
    pub not_allowed: u64,
    /// snmpInPkts: other datagrams.
    pub received: u64,
    /// Answers, Reports included; served nowhere.
    pub answered: u64,
    /// snmpInBadVersions: SNMPv1, or no version that is known.
    pub bad_versions: u64,
    /// snmpInBadCommunityNames.
    pub bad_community_names: u64,
    /// snmpInASNParseErrs: malformed, or longer than we say we take.
    pub asn_parse_errors: u64,
    /// snmpSilentDrops: not even an empty answer fitted.
    pub silent_drops: u64,
    /// snmpUnknownSecurityModels.
    pub unknown_security_models: u64,
    /// snmpInvalidMsgs: flags that contradict each other.
    pub invalid_messages: u64,
    /// snmpUnknownPDUHandlers: nothing here answers such a PDU, or in such an
    /// engine.
    pub unknown_pdu_handlers: u64,
    /// snmpUnknownContexts.
    pub unknown_contexts: u64,
    /// usmStatsUnsupportedSecLevels.
    pub unsupported_security_levels: u64,
    /// usmStatsNotInTimeWindows: replayed, late, or not yet synchronised.
    pub not_in_time_windows: u64,
    /// usmStatsUnknownUserNames.
    pub unknown_user_names: u64,
    /// usmStatsUnknownEngineIDs: discovery is counted here, too.
    pub unknown_engine_ids: u64,
    /// usmStatsWrongDigests: a wrong password, as a rule.
    pub wrong_digests: u64,
    /// usmStatsDecryptionErrors.
    pub decryption_errors: u64,
}

/// What is wrong with a message of SNMPv3, as the counter that a Report names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    UnsupportedSecLevels,
    NotInTimeWindows,
    UnknownUserNames,
    UnknownEngineIds,
    WrongDigests,
    DecryptionErrors,
    UnknownPduHandlers,
    UnknownContexts,
}

impl Report {
    pub(super) const ALL: [Self; 8] = [
        Self::UnsupportedSecLevels,
        Self::NotInTimeWindows,
        Self::UnknownUserNames,
        Self::UnknownEngineIds,
        Self::WrongDigests,
        Self::DecryptionErrors,
        Self::UnknownPduHandlers,
        Self::UnknownContexts,
    ];

    /// The name of the counter (RFC 3414, section 5; RFC 3412, section 5; RFC
    /// 3413, section 4.1.2).
    pub(super) fn name(self) -> Oid {
        let usm_stats = |number| [1, 3, 6, 1, 6, 3, 15, 1, 1, number, 0].into();
        match self {
            Self::UnsupportedSecLevels => usm_stats(1),
            Self::NotInTimeWindows => usm_stats(2),
            Self::UnknownUserNames => usm_stats(3),
            Self::UnknownEngineIds => usm_stats(4),
            Self::WrongDigests => usm_stats(5),
            Self::DecryptionErrors => usm_stats(6),
            Self::UnknownPduHandlers => [1, 3, 6, 1, 6, 3, 11, 2, 1, 3, 0].into(),
            Self::UnknownContexts => [1, 3, 6, 1, 6, 3, 12, 1, 5, 0].into(),
        }
    }

    pub(super) fn counter(self, counters: &mut Counters) -> &mut u64 {
        match self {
            Self::UnsupportedSecLevels => &mut counters.unsupported_security_levels,
            Self::NotInTimeWindows => &mut counters.not_in_time_windows,
            Self::UnknownUserNames => &mut counters.unknown_user_names,
            Self::UnknownEngineIds => &mut counters.unknown_engine_ids,
            Self::WrongDigests => &mut counters.wrong_digests,
            Self::DecryptionErrors => &mut counters.decryption_errors,
            Self::UnknownPduHandlers => &mut counters.unknown_pdu_handlers,
            Self::UnknownContexts => &mut counters.unknown_contexts,
        }
    }
}

/// A scalar, or a cell of sysORTable by its row.
#[derive(Debug, Clone, Copy)]
enum Object {
    Description,
    SysObjectId,
    UpTime,
    Contact,
    Name,
    Location,
    Services,
    OrLastChange,
    OrId(usize),
    OrDescription(usize),
    OrUpTime,
    EnableAuthenTraps,
    /// That which the agent cannot but count as 0.
    Never,
    EngineId,
    EngineBoots,
    EngineTime,
    EngineMaxMessageSize,
    Counter(fn(&Counters) -> u64),
    Reported(Report),
}

/// The scalars that are in no [`Report`]: a name without its `.0`, and what it
/// is.
const SCALARS: [(&[u32], Object); 23] = [
    (&[1, 3, 6, 1, 2, 1, 1, 1], Object::Description),
    (&[1, 3, 6, 1, 2, 1, 1, 2], Object::SysObjectId),
    (&[1, 3, 6, 1, 2, 1, 1, 3], Object::UpTime),
    (&[1, 3, 6, 1, 2, 1, 1, 4], Object::Contact),
    (&[1, 3, 6, 1, 2, 1, 1, 5], Object::Name),
    (&[1, 3, 6, 1, 2, 1, 1, 6], Object::Location),
    (&[1, 3, 6, 1, 2, 1, 1, 7], Object::Services),
    (&[1, 3, 6, 1, 2, 1, 1, 8], Object::OrLastChange),
    (&[1, 3, 6, 1, 2, 1, 11, 1], Object::Counter(|c| c.received)),
    (&[1, 3, 6, 1, 2, 1, 11, 3], Object::Counter(|c| c.bad_versions)),
    (&[1, 3, 6, 1, 2, 1, 11, 4], Object::Counter(|c| c.bad_community_names)),
    // snmpInBadCommunityUses: what a community may not, it is told.
    (&[1, 3, 6, 1, 2, 1, 11, 5], Object::Never),
    (&[1, 3, 6, 1, 2, 1, 11, 6], Object::Counter(|c| c.asn_parse_errors)),
    (&[1, 3, 6, 1, 2, 1, 11, 30], Object::EnableAuthenTraps),
    (&[1, 3, 6, 1, 2, 1, 11, 31], Object::Counter(|c| c.silent_drops)),
    // snmpProxyDrops: there is no proxy.
    (&[1, 3, 6, 1, 2, 1, 11, 32], Object::Never),
    (&[1, 3, 6, 1, 6, 3, 10, 2, 1, 1], Object::EngineId),
    (&[1, 3, 6, 1, 6, 3, 10, 2, 1, 2], Object::EngineBoots),
    (&[1, 3, 6, 1, 6, 3, 10, 2, 1, 3], Object::EngineTime),
    (&[1, 3, 6, 1, 6, 3, 10, 2, 1, 4], Object::EngineMaxMessageSize),
    (&[1, 3, 6, 1, 6, 3, 11, 2, 1, 1], Object::Counter(|c| c.unknown_security_models)),
    (&[1, 3, 6, 1, 6, 3, 11, 2, 1, 2], Object::Counter(|c| c.invalid_messages)),
    // snmpUnavailableContexts: the one there is is there.
    (&[1, 3, 6, 1, 6, 3, 12, 1, 4], Object::Never),
];

/// sysOREntry.
const OR_ENTRY: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 9, 1];

/// What does not change while the agent runs.
#[derive(Debug)]
pub(super) struct System {
    identity: Identity,
    contact: String,
    location: String,
    max_message: u16,
    /// In order.
    names: Vec<(Oid, Object)>,
}

impl System {
    pub(super) fn new(config: &Responder, mut identity: Identity) -> Self {
        if !config.sys_name.is_empty() {
            identity.name.clone_from(&config.sys_name);
        }
        let name = |prefix: &[u32], rest: &[u32]| {
            let mut name = Oid::default();
            // Neither is long.
            let _ = name.append(prefix).and_then(|()| name.append(rest));
            name
        };
        let mut names: Vec<_> =
            SCALARS.iter().map(|(prefix, object)| (name(prefix, &[0]), *object)).collect();
        names.extend(Report::ALL.map(|report| (report.name(), Object::Reported(report))));
        for (index, row) in (1..).zip(0..identity.capabilities.len()) {
            names.push((name(&OR_ENTRY, &[2, index]), Object::OrId(row)));
            names.push((name(&OR_ENTRY, &[3, index]), Object::OrDescription(row)));
            names.push((name(&OR_ENTRY, &[4, index]), Object::OrUpTime));
        }
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            identity,
            contact: config.sys_contact.clone(),
            location: config.sys_location.clone(),
            max_message: config.max_message,
            names,
        }
    }

    /// All of it at one moment.
    pub(super) fn at<'a>(
        &'a self,
        local: &'a Local,
        counters: &'a Counters,
        now: Instant,
    ) -> Moment<'a> {
        Moment { system: self, local, counters, now }
    }
}

/// What is served of the agent at one moment.
pub(super) struct Moment<'a> {
    system: &'a System,
    local: &'a Local,
    counters: &'a Counters,
    now: Instant,
}

impl Moment<'_> {
    fn value(&self, object: Object) -> Value<'_> {
        let identity = &self.system.identity;
        match object {
            Object::Description => identity.description.as_str().into(),
            Object::SysObjectId => Value::ObjectIdentifier(identity.object_id.clone()),
            Object::UpTime => Value::TimeTicks(self.local.uptime(self.now)),
            Object::Contact => self.system.contact.as_str().into(),
            Object::Name => identity.name.as_str().into(),
            Object::Location => self.system.location.as_str().into(),
            Object::Services => Value::Integer(SERVICES),
            Object::OrLastChange | Object::OrUpTime => Value::TimeTicks(0),
            Object::OrId(row) => Value::ObjectIdentifier(identity.capabilities[row].0.clone()),
            Object::OrDescription(row) => identity.capabilities[row].1.as_str().into(),
            Object::EnableAuthenTraps => Value::Integer(DISABLED),
            Object::Never => Value::Counter32(0),
            Object::EngineId => Value::OctetString(Octets::from(self.local.engine_id().as_slice())),
            Object::EngineBoots => Value::Integer(self.local.clock(self.now).boots.cast_signed()),
            Object::EngineTime => Value::Integer(self.local.clock(self.now).time.cast_signed()),
            Object::EngineMaxMessageSize => Value::Integer(self.system.max_message.into()),
            // Counter32 wraps.
            Object::Counter(count) => Value::Counter32(count(self.counters) as u32),
            Object::Reported(report) => {
                let mut counters = *self.counters;
                Value::Counter32(*report.counter(&mut counters) as u32)
            }
        }
    }
}

impl View for Moment<'_> {
    fn get(&self, name: &Oid) -> Value<'_> {
        let names = &self.system.names;
        match names.binary_search_by(|(other, _)| other.cmp(name)) {
            Ok(found) => self.value(names[found].1),
            Err(_) => {
                let [object @ .., _] = name.as_slice() else { return Value::NoSuchObject };
                let known = names
                    .iter()
                    .any(|(other, _)| matches!(other.as_slice(), [head @ .., _] if head == object));
                if known { Value::NoSuchInstance } else { Value::NoSuchObject }
            }
        }
    }

    fn next(&self, start: &Oid, include: bool, end: Option<&Oid>) -> Option<(Oid, Value<'_>)> {
        let names = &self.system.names;
        let from =
            names.partition_point(|(name, _)| if include { name < start } else { name <= start });
        let (name, object) = names.get(from)?;
        (end.is_none_or(|end| name < end)).then(|| (name.clone(), self.value(*object)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snmp::usm::{Boots, EngineId};
    use std::time::Duration;

    #[test]
    fn a_walk_sees_all_of_it_in_order() {
        let mut identity = Identity::new("a gateway", [1, 3, 6, 1, 4, 1, 8072].into());
        identity.name = "host".into();
        identity.capabilities =
            vec![([1, 3, 6, 1, 6, 3, 1].into(), "SNMPv2".into()), ([1, 3, 9].into(), "own".into())];
        let started = Instant::now();
        let local = Local::new(Boots::first(EngineId::new(8072, *b"octets!!")), started);
        let config = Responder {
            sys_contact: "root".into(),
            sys_location: "here".into(),
            ..Responder::default()
        };
        let mut counters = Counters::default();
        for (number, report) in (1..).zip(Report::ALL) {
            *report.counter(&mut counters) = (1 << 32) + number;
        }
        counters.received = 77;
        let system = System::new(&config, identity);
        let moment = system.at(&local, &counters, started + Duration::from_secs(100));
        let mut walked = Vec::new();
        let mut at = Oid::default();
        while let Some((name, value)) = moment.next(&at, false, None) {
            assert!(name > at);
            assert_eq!(moment.get(&name), value);
            assert_eq!(moment.next(&name, true, None), Some((name.clone(), value.clone())));
            assert_eq!(moment.next(&at, false, Some(&name)), None);
            walked.push((name.clone(), value));
            at = name;
        }
        let text = |text: &'static str| Value::from(text);
        let expected = [
            ("1.3.6.1.2.1.1.1.0", text("a gateway")),
            ("1.3.6.1.2.1.1.2.0", Value::ObjectIdentifier([1, 3, 6, 1, 4, 1, 8072].into())),
            ("1.3.6.1.2.1.1.3.0", Value::TimeTicks(10_000)),
            ("1.3.6.1.2.1.1.4.0", text("root")),
            ("1.3.6.1.2.1.1.5.0", text("host")),
            ("1.3.6.1.2.1.1.6.0", text("here")),
            ("1.3.6.1.2.1.1.7.0", Value::Integer(72)),
            ("1.3.6.1.2.1.1.8.0", Value::TimeTicks(0)),
            ("1.3.6.1.2.1.1.9.1.2.1", Value::ObjectIdentifier([1, 3, 6, 1, 6, 3, 1].into())),
            ("1.3.6.1.2.1.1.9.1.2.2", Value::ObjectIdentifier([1, 3, 9].into())),
            ("1.3.6.1.2.1.1.9.1.3.1", text("SNMPv2")),
            ("1.3.6.1.2.1.1.9.1.3.2", text("own")),
            ("1.3.6.1.2.1.1.9.1.4.1", Value::TimeTicks(0)),
            ("1.3.6.1.2.1.1.9.1.4.2", Value::TimeTicks(0)),
            ("1.3.6.1.2.1.11.1.0", Value::Counter32(77)),
            ("1.3.6.1.2.1.11.3.0", Value::Counter32(0)),
            ("1.3.6.1.2.1.11.4.0", Value::Counter32(0)),
            ("1.3.6.1.2.1.11.5.0", Value::Counter32(0)),
            ("1.3.6.1.2.1.11.6.0", Value::Counter32(0)),
            ("1.3.6.1.2.1.11.30.0", Value::Integer(2)),
            ("1.3.6.1.2.1.11.31.0", Value::Counter32(0)),
            ("1.3.6.1.2.1.11.32.0", Value::Counter32(0)),
            ("1.3.6.1.6.3.10.2.1.1.0", Value::from(&b"\x80\x00\x1f\x88\x05octets!!"[..])),
            ("1.3.6.1.6.3.10.2.1.2.0", Value::Integer(1)),
            ("1.3.6.1.6.3.10.2.1.3.0", Value::Integer(100)),
            ("1.3.6.1.6.3.10.2.1.4.0", Value::Integer(1472)),
            ("1.3.6.1.6.3.11.2.1.1.0", Value::Counter32(0)),
            ("1.3.6.1.6.3.11.2.1.2.0", Value::Counter32(0)),
            ("1.3.6.1.6.3.11.2.1.3.0", Value::Counter32(7)),
            ("1.3.6.1.6.3.12.1.4.0", Value::Counter32(0)),
            ("1.3.6.1.6.3.12.1.5.0", Value::Counter32(8)),
            ("1.3.6.1.6.3.15.1.1.1.0", Value::Counter32(1)),
            ("1.3.6.1.6.3.15.1.1.2.0", Value::Counter32(2)),
            ("1.3.6.1.6.3.15.1.1.3.0", Value::Counter32(3)),
            ("1.3.6.1.6.3.15.1.1.4.0", Value::Counter32(4)),
            ("1.3.6.1.6.3.15.1.1.5.0", Value::Counter32(5)),
            ("1.3.6.1.6.3.15.1.1.6.0", Value::Counter32(6)),
        ];
        let expected = expected.map(|(name, value)| (name.parse().unwrap(), value));
        assert_eq!(walked, expected);
        let get = |name: &str| moment.get(&name.parse().unwrap());
        assert_eq!(get("1.3.6.1.2.1.1.1.1"), Value::NoSuchInstance);
        assert_eq!(get("1.3.6.1.2.1.1.9.1.2.3"), Value::NoSuchInstance);
        assert_eq!(get("1.3.6.1.2.1.1.9.1.5.1"), Value::NoSuchObject);
        assert_eq!(moment.get(&Oid::default()), Value::NoSuchObject);
    }

    #[test]
    fn a_name_in_the_configuration_is_the_name() {
        let mut identity = Identity::new("", Oid::default());
        identity.name = "host".into();
        let config = Responder { sys_name: "gateway".into(), ..Responder::default() };
        assert_eq!(System::new(&config, identity).identity.name, "gateway");
    }
}
