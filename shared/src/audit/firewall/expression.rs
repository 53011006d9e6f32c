//! Expressions of nft: which fields of a packet they name, and the values
//! that these are compared with.

use serde_json::Value as Json;

use super::nft::verdict_of;
use super::rules::{
    Field, Set, SetRef, Test, Value, Verdict, address_type, packet_type, prefix, protocol, state,
    tcp_flag,
};

/// What the left side of a comparison, or the key of a map, names.
pub(super) struct Expression {
    pub(super) fields: Vec<Field>,
    /// What nft asks besides without printing it: that a packet with
    /// `tcp dport` is TCP.
    pub(super) implied: Vec<Test>,
    /// What is not understood in it.
    pub(super) strange: Option<Box<str>>,
}

impl Expression {
    fn of(field: Field) -> Self {
        Self { fields: vec![field], implied: Vec::new(), strange: None }
    }

    fn strange(name: &str) -> Self {
        Self { strange: Some(name.into()), ..Self::of(Field::Strange) }
    }
}

/// What a statement `match` asks.
pub(super) fn test(value: &Json) -> Vec<Test> {
    let side = |name: &str| value.get(name).unwrap_or(&Json::Null);
    let operator = side("op").as_str().unwrap_or("==");
    let Expression { fields, implied: mut tests, strange } = expression(side("left"));
    if let Some(name) = strange {
        tests.push(Test::Strange(name));
        return tests;
    }
    let negated = operator == "!=";
    let right = side("right");
    let own = |values: Vec<Value>| Test::is(fields[0], negated, values);
    tests.push(match (operator, right) {
        // Flags of TCP without a mask: any of them is set.
        ("in", _) if fields == [Field::Flags(u8::MAX)] => match bits(right) {
            Some(mask) => Test::is(Field::Flags(mask), true, vec![Value::number(0)]),
            None => Test::Strange("tcp flags".into()),
        },
        // Several bits at once.
        (_, Json::Array(several)) if fields == [Field::State] => {
            own(several.iter().map(|one| plain(Field::State, one)).collect())
        }
        (_, Json::Array(several)) if fields == [Field::Status] => {
            own(several.iter().map(|one| plain(Field::Status, one)).collect())
        }
        ("==" | "!=" | "in", _) => match fields[..] {
            [field] if !is_set(right) => own(vec![value_of(Some(field), right)]),
            _ => Test::Is { negated, set: set_ref(right, &fields), fields },
        },
        (_, Json::Number(number)) => {
            let number = number.as_u64().unwrap_or_default().min(u32::MAX.into()) as u32;
            own(vec![match operator {
                "<" if number > 0 => Value::Numbers(0, number - 1),
                "<=" => Value::Numbers(0, number),
                ">" if number < u32::MAX => Value::Numbers(number + 1, u32::MAX),
                ">=" => Value::Numbers(number, u32::MAX),
                _ => Value::Strange,
            }])
        }
        _ => Test::Strange(operator.into()),
    });
    tests
}

/// The fields of an expression.
pub(super) fn expression(value: &Json) -> Expression {
    let Some((kind, value)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Expression::strange("an expression");
    };
    let text = |name: &str| value.get(name).and_then(Json::as_str).unwrap_or_default();
    match &**kind {
        "payload" => payload(text("protocol"), text("field"), value),
        "meta" => meta(text("key")),
        "ct" => tracked(text("key"), text("dir")),
        "fib" => route(text("result"), value),
        "concat" => joined(value),
        "&" => masked(value),
        "numgen" | "jhash" | "symhash" | "osf" | "ipsec" | "socket" | "rt" | "map" => {
            Expression::of(Field::Varying)
        }
        // Whether there is a certain option of IPv4 or TCP.
        "ip option" | "tcp option" | "exthdr" => Expression::of(Field::Varying),
        _ => Expression::strange(kind),
    }
}

fn payload(header: &str, field: &str, value: &Json) -> Expression {
    let is = |number| Test::is(Field::Protocol, false, vec![Value::number(number)]);
    let found = match (header, field) {
        ("ip", "protocol") => Field::Protocol,
        ("ip", "saddr") => Field::Source,
        ("ip", "daddr") => Field::Destination,
        ("ip" | "ether" | "vlan", _) => Field::Varying,
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "sport") => Field::SourcePort,
        ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "th", "dport") => Field::DestinationPort,
        ("tcp", "flags") => Field::Flags(u8::MAX),
        ("", _) => match raw(value) {
            Some(field) => field,
            None => return Expression::strange("raw payload"),
        },
        _ => Field::Varying,
    };
    let implied = match header {
        "" | "th" | "ether" | "vlan" | "ip" => Vec::new(),
        "ip6" | "arp" => vec![Test::is(Field::Family, false, vec![Value::number(10)])],
        _ => vec![is(protocol(header))],
    };
    Expression { implied, ..Expression::of(found) }
}

/// Octets by their place in a header (`@th,16,16`).
fn raw(value: &Json) -> Option<Field> {
    let number = |name: &str| value.get(name).and_then(Json::as_u64);
    match (value.get("base")?.as_str()?, number("offset")?, number("len")?) {
        ("th", 0, 16) => Some(Field::SourcePort),
        ("th", 16, 16) => Some(Field::DestinationPort),
        ("nh", 72, 8) => Some(Field::Protocol),
        ("nh", 96, 32) => Some(Field::Source),
        ("nh", 128, 32) => Some(Field::Destination),
        _ => None,
    }
}

fn meta(key: &str) -> Expression {
    Expression::of(match key {
        "l4proto" => Field::Protocol,
        "nfproto" | "protocol" => Field::Family,
        "iif" | "iifname" => Field::In,
        "oif" | "oifname" => Field::Out,
        "pkttype" => Field::PacketType,
        _ => Field::Varying,
    })
}

fn tracked(key: &str, direction: &str) -> Expression {
    Expression::of(match (key, direction) {
        ("state", _) => Field::State,
        ("status", _) => Field::Status,
        ("direction", _) => Field::Direction,
        ("helper", _) => Field::Helper,
        ("protocol", _) => Field::Protocol,
        ("l3proto", _) => Field::Family,
        _ => Field::Varying,
    })
}

/// A look-up in the routing tables.
fn route(result: &str, value: &Json) -> Expression {
    let flags = value.get("flags");
    let about = |flag: &str| match flags {
        Some(Json::Array(flags)) => flags.iter().any(|one| one == flag),
        Some(one) => one == flag,
        None => false,
    };
    Expression::of(match result {
        "type" if about("daddr") => Field::DestinationType,
        "type" if about("saddr") => Field::SourceType,
        "oif" | "check" if about("saddr") => Field::RouteBack,
        _ => Field::Varying,
    })
}

/// Several fields at once.
fn joined(value: &Json) -> Expression {
    let mut all = Expression { fields: Vec::new(), implied: Vec::new(), strange: None };
    for part in value.as_array().into_iter().flatten() {
        let part = expression(part);
        all.fields.extend(part.fields);
        all.implied.extend(part.implied);
        all.strange = all.strange.or(part.strange);
    }
    if all.fields.is_empty() { Expression::strange("concat") } else { all }
}

/// A field under a mask.
fn masked(value: &Json) -> Expression {
    let [left, mask] = value.as_array().map_or(&[][..], |both| both) else {
        return Expression::strange("&");
    };
    let inner = expression(left);
    let of_fragment = left.pointer("/payload/field").is_some_and(|field| field == "frag-off");
    let field = match inner.fields[..] {
        [Field::Flags(_)] => match bits(mask) {
            Some(mask) => Field::Flags(mask),
            None => return Expression::strange("tcp flags"),
        },
        // Where it begins, and whether more follow.
        _ if of_fragment && mask.as_u64().is_some_and(|mask| mask & !0x3fff == 0) => {
            Field::Fragment
        }
        [Field::Strange] => return inner,
        _ => Field::Varying,
    };
    Expression { implied: inner.implied, ..Expression::of(field) }
}

/// Flags of TCP: a name, a number, several, or several joined by `|`.
fn bits(value: &Json) -> Option<u8> {
    let all = |all: &Vec<Json>| all.iter().try_fold(0, |set, one| bits(one).map(|one| set | one));
    match value {
        Json::String(name) => tcp_flag(name),
        Json::Number(number) => number.as_u64()?.try_into().ok(),
        Json::Array(several) => all(several),
        Json::Object(object) => all(object.get("|")?.as_array()?),
        _ => None,
    }
}

fn is_set(value: &Json) -> bool {
    value.get("set").is_some() || value.as_str().is_some_and(|name| name.starts_with('@'))
}

/// A set in a rule, or a named one.
pub(super) fn set_ref(value: &Json, fields: &[Field]) -> SetRef {
    if let Some(name) = value.as_str().and_then(|name| name.strip_prefix('@')) {
        return SetRef::Named(name.into());
    }
    let set = match value.get("set") {
        Some(Json::Array(all)) => elements(all, fields),
        Some(one) => elements(std::slice::from_ref(one), fields),
        None => elements(std::slice::from_ref(value), fields),
    };
    SetRef::Own(set)
}

/// A named set or map, whose type tells its fields.
pub(super) fn named_set(value: &Json) -> Set {
    let kind = value.get("type").unwrap_or(&Json::Null);
    let fields = match (kind, kind.get("typeof")) {
        (_, Some(of)) => expression(of).fields,
        (Json::Array(several), _) => several.iter().map(of_type).collect(),
        _ => vec![of_type(kind)],
    };
    let list = |name: &str| value.get(name).and_then(Json::as_array).map_or(&[][..], |all| all);
    let changes = list("flags").iter().any(|flag| flag == "dynamic" || flag == "timeout");
    Set { changes, ..elements(list("elem"), &fields) }
}

fn of_type(name: &Json) -> Field {
    match name.as_str().unwrap_or_default() {
        "inet_proto" => Field::Protocol,
        "inet_service" => Field::DestinationPort,
        "ipv4_addr" => Field::Source,
        "ifname" | "iface_index" => Field::In,
        "ct_state" => Field::State,
        "ct_status" => Field::Status,
        "fib_addrtype" => Field::SourceType,
        "pkt_type" => Field::PacketType,
        "nf_proto" | "ether_type" => Field::Family,
        _ => Field::Varying,
    }
}

fn elements(listed: &[Json], fields: &[Field]) -> Set {
    let mut set = Set::default();
    for element in listed {
        // Of a map: a key and what it leads to.
        let key = match element {
            Json::Array(pair) => {
                set.verdicts.push(pair.get(1).map_or(Verdict::Continue, verdict_of));
                pair.first().unwrap_or(&Json::Null)
            }
            key => key,
        };
        let key = key.pointer("/elem/val").unwrap_or(key);
        let parts = key.get("concat").and_then(Json::as_array);
        let parts = parts.map_or(std::slice::from_ref(key), |parts| parts);
        let values = parts.iter().enumerate();
        let values = values.map(|(at, part)| value_of(fields.get(at).copied(), part));
        set.elements.push(values.collect());
    }
    set
}

/// A value, of a field if it is known.
fn value_of(field: Option<Field>, value: &Json) -> Value {
    if let Some(range) = value.get("range").and_then(Json::as_array) {
        return match range.iter().map(|end| plain_of(field, end)).collect::<Vec<_>>()[..] {
            [Value::Numbers(from, _), Value::Numbers(_, to)] => Value::Numbers(from, to),
            _ => Value::Strange,
        };
    }
    if let Some(of) = value.get("prefix") {
        let address = of.get("addr").and_then(Json::as_str).and_then(|text| text.parse().ok());
        let length = of.get("len").and_then(Json::as_u64).and_then(|length| length.try_into().ok());
        return match (address, length) {
            (Some(address), Some(length)) => prefix(address, length),
            _ => Value::Strange,
        };
    }
    plain_of(field, value)
}

fn plain(field: Field, value: &Json) -> Value {
    plain_of(Some(field), value)
}

/// A value of one word.
fn plain_of(field: Option<Field>, value: &Json) -> Value {
    let name = match value {
        Json::Bool(is) => return Value::number((*is).into()),
        Json::Number(number) => {
            let number = number.as_u64().and_then(|number| number.try_into().ok());
            return number.map_or(Value::Strange, Value::number);
        }
        Json::String(name) => name.as_str(),
        _ => return Value::Strange,
    };
    let number = |number: Option<u32>| number.map_or(Value::Strange, Value::number);
    match field {
        _ if name == "*" => Value::Any,
        Some(Field::In | Field::Out | Field::Status | Field::Helper) => Value::Name(name.into()),
        Some(Field::Protocol) => Value::number(protocol(name)),
        Some(Field::State) => number(state::named(name)),
        Some(Field::Family) => Value::number(if matches!(name, "ipv4" | "ip") { 2 } else { 10 }),
        Some(Field::SourceType | Field::DestinationType) => number(address_type(name)),
        Some(Field::PacketType) => number(packet_type(name)),
        Some(Field::Flags(_)) => number(tcp_flag(name).map(u32::from)),
        Some(Field::Direction) => number(match name {
            "original" => Some(0),
            "reply" => Some(1),
            _ => None,
        }),
        Some(Field::RouteBack) => Value::number((name != "missing").into()),
        _ => number(name.parse::<std::net::Ipv4Addr>().ok().map(u32::from)),
    }
}
