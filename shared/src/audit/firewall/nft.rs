//! What `nft -j list ruleset` prints (libnftables-json(5)), object by object:
//! no more than one of them is held as JSON.
//!
//! Tables of the families `ip`, `inet` and `netdev` count. Expressions of
//! iptables-nft that nft has no words for are `xt`: a name, or nothing.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::Backend;
use super::expression::{Expression, expression, named_set, set_ref, test};
use super::rules::{Base, Effect, Hook, Rule, Ruleset, Test, Verdict};
use super::text;

/// Statements that decide nothing.
const HARMLESS: &[&str] =
    &["counter", "log", "ct timeout", "ct expectation", "secmark", "last", "reset", "dup"];
/// Targets of xtables that end a rule's way, by what they do.
const XT_HARMLESS: &[&str] = &["LOG", "NFLOG", "MARK", "CONNMARK", "CHECKSUM", "TRACE", "AUDIT"];
const XT_ACCEPTS: &[&str] = &["MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP"];

/// Adds all tables to a ruleset.
///
/// # Errors
/// The text is not JSON, ends early, or is not what nft prints.
pub(super) fn parse(text: &[u8], into: &mut Ruleset) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    let mut json = serde_json::Deserializer::from_str(&text);
    let mut list =
        Builder { into, helpers: Vec::new(), counters: Vec::new(), referring: Vec::new() };
    Top(&mut list).deserialize(&mut json).and_then(|()| json.end()).map_err(|e| e.to_string())?;
    list.finish();
    Ok(())
}

/// What is known of the ruleset so far.
struct Builder<'a> {
    into: &'a mut Ruleset,
    /// Objects `ct helper`: table, name, type.
    helpers: Vec<(usize, Box<str>, Box<str>)>,
    /// Named counters: table, name, packets.
    counters: Vec<(usize, Box<str>, u64)>,
    /// Rules that name a counter: chain, rule, name.
    referring: Vec<(usize, usize, Box<str>)>,
}

impl Builder<'_> {
    /// One object of the list, which has one member: its kind.
    fn take(&mut self, object: Json) {
        let Json::Object(object) = object else { return };
        for (kind, value) in object {
            let set = matches!(&*kind, "set" | "map").then(|| named_set(&value));
            let Json::Object(value) = value else { continue };
            let family = text_of(&value, "family");
            if !matches!(family, "ip" | "inet" | "netdev") {
                continue;
            }
            let named = if kind == "table" { "name" } else { "table" };
            let table = format!("{family} {}", text_of(&value, named));
            let table = self.into.table(Backend::Nft, &table);
            let name = text_of(&value, "name");
            match &*kind {
                "chain" => self.chain(table, name, &value),
                "set" | "map" => self.into.add_set(table, name, set.unwrap_or_default()),
                "ct helper" => {
                    self.helpers.push((table, name.into(), text_of(&value, "type").into()));
                }
                "counter" => {
                    self.counters.push((table, name.into(), number_of(&value, "packets")));
                }
                "rule" => self.rule(table, &value),
                // Elements of a set that stand apart, flowtables, limits and
                // quotas do not change what is told of a packet.
                _ => {}
            }
        }
    }

    fn chain(&mut self, table: usize, name: &str, value: &Map<String, Json>) {
        let chain = self.into.chain(table, name);
        let Some(hook) = Hook::named(text_of(value, "hook")) else { return };
        let mut devices = Vec::new();
        match value.get("dev") {
            Some(Json::String(device)) => devices.push(device.as_str().into()),
            Some(Json::Array(all)) => {
                devices.extend(all.iter().filter_map(Json::as_str).map(Box::from));
            }
            _ => {}
        }
        chain.base.get_or_insert(Base {
            hook,
            priority: value.get("prio").and_then(Json::as_i64).unwrap_or_default(),
            is_nat: text_of(value, "type") == "nat",
            accepts: text_of(value, "policy") != "drop",
            packets: None,
            devices,
        });
    }

    fn rule(&mut self, table: usize, value: &Map<String, Json>) {
        let statements = value.get("expr").and_then(Json::as_array).map_or(&[][..], |all| all);
        let mut rule = Rule {
            tests: Vec::new(),
            effects: Vec::new(),
            verdict: Verdict::Continue,
            packets: None,
            text: text::rule(statements).into(),
        };
        let mut counter = None;
        for statement in statements.iter().filter_map(Json::as_object) {
            for (kind, value) in statement {
                match (&**kind, value) {
                    ("counter", Json::String(name)) => counter = Some(name.as_str().into()),
                    ("counter", Json::Object(value)) => {
                        rule.packets = Some(number_of(value, "packets"));
                    }
                    _ => take_statement(kind, value, &mut rule),
                }
            }
        }
        let chain = text_of(value, "chain");
        self.into.chain(table, chain).rules.push(rule);
        if let Some(name) = counter {
            let index = self.into.tables[table].chains[chain];
            self.referring.push((index, self.into.chains[index].rules.len() - 1, name));
        }
    }

    /// Puts in what rules name.
    fn finish(self) {
        let mut counters = HashMap::new();
        for (table, name, packets) in self.counters {
            counters.insert((table, name), packets);
        }
        for (chain, rule, name) in self.referring {
            let chain = &mut self.into.chains[chain];
            chain.rules[rule].packets = counters.get(&(chain.table, name)).copied();
        }
        let mut helpers = HashMap::new();
        for (table, name, kind) in self.helpers {
            helpers.insert((table, name), kind);
        }
        for chain in &mut self.into.chains {
            for effect in chain.rules.iter_mut().flat_map(|rule| &mut rule.effects) {
                if let Effect::Helper { name, before_tracking: false } = effect
                    && let Some(kind) = helpers.get(&(chain.table, name.clone()))
                {
                    *name = kind.clone();
                }
            }
        }
    }
}

/// One statement of a rule.
fn take_statement(kind: &str, value: &Json, rule: &mut Rule) {
    let strange = |what: &str| Test::Strange(what.into());
    match kind {
        "match" => rule.tests.extend(test(value)),
        "accept" => rule.verdict = Verdict::Accept,
        "drop" | "reject" => rule.verdict = Verdict::Drop,
        "return" => rule.verdict = Verdict::Return,
        "continue" => rule.verdict = Verdict::Continue,
        "jump" | "goto" | "vmap" => rule.verdict = verdict(kind, value, &mut rule.tests),
        "snat" | "masquerade" => rule.verdict = Verdict::Accept,
        "dnat" | "redirect" => {
            rule.effects.push(Effect::Elsewhere);
            rule.verdict = Verdict::Accept;
        }
        // What follows a redirection to a local socket decides.
        "tproxy" => rule.effects.push(Effect::Elsewhere),
        "queue" | "synproxy" | "fwd" => rule.verdict = Verdict::Strange(kind.into()),
        "notrack" => rule.effects.push(Effect::Notrack),
        "flow" => rule.effects.push(Effect::Flow),
        "ct helper" => {
            let name = value.as_str().unwrap_or_default().into();
            rule.effects.push(Effect::Helper { name, before_tracking: false });
        }
        "mangle" => rule.effects.extend(mangle(value)),
        "limit" | "quota" | "ct count" | "meter" => rule.tests.push(Test::Varies),
        // Adds to a set; what it does besides may be a limit.
        "set" | "map" => {
            if value.get("stmt").is_some() {
                rule.tests.push(Test::Varies);
            }
        }
        "xt" => {
            let name = value.get("name").and_then(Json::as_str).unwrap_or_default();
            match (value.get("type").and_then(Json::as_str), name) {
                (Some("match"), "comment") => {}
                (Some("match"), "limit" | "hashlimit" | "recent" | "mark" | "set") => {
                    rule.tests.push(Test::Varies);
                }
                (Some("target"), "REJECT") => rule.verdict = Verdict::Drop,
                (Some("target"), _) if XT_HARMLESS.contains(&name) => {}
                (Some("target"), _) if XT_ACCEPTS.contains(&name) => {
                    rule.verdict = Verdict::Accept;
                }
                // They decide nothing, but what they do stands nowhere.
                (Some("target"), "CT" | "NOTRACK" | "TCPMSS") => {
                    rule.tests.push(strange(&format!("xt {name}")));
                }
                (Some("target"), _) => rule.verdict = Verdict::Strange(format!("xt {name}").into()),
                _ => rule.tests.push(strange(format!("xt {name}").trim_end())),
            }
        }
        _ if HARMLESS.contains(&kind) => {}
        _ => rule.tests.push(strange(kind)),
    }
}

/// A verdict by its name, as a statement or in a map.
fn verdict(kind: &str, value: &Json, tests: &mut Vec<Test>) -> Verdict {
    let target = || value.get("target").and_then(Json::as_str).unwrap_or_default().into();
    match kind {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Continue,
        "jump" => Verdict::Jump(target()),
        "goto" => Verdict::Goto(target()),
        "vmap" => {
            let key = value.get("key").unwrap_or(&Json::Null);
            let Expression { fields, implied, .. } = expression(key);
            tests.extend(implied);
            let set = set_ref(value.get("data").unwrap_or(&Json::Null), &fields);
            Verdict::Map(fields, set)
        }
        _ => Verdict::Strange(kind.into()),
    }
}

/// A verdict of a map's element.
pub(super) fn verdict_of(value: &Json) -> Verdict {
    let first = value.as_object().and_then(|object| object.iter().next());
    first.map_or(Verdict::Continue, |(kind, value)| verdict(kind, value, &mut Vec::new()))
}

/// `tcp option maxseg size set`; what else is set has no part in it.
fn mangle(value: &Json) -> Option<Effect> {
    let option = value.get("key")?.get("tcp option")?;
    if text_of(option.as_object()?, "name") != "maxseg" {
        return None;
    }
    Some(Effect::Mss(value.get("value")?.as_u64().and_then(|size| size.try_into().ok())))
}

fn text_of<'a>(object: &'a Map<String, Json>, name: &str) -> &'a str {
    object.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn number_of(object: &Map<String, Json>, name: &str) -> u64 {
    object.get(name).and_then(Json::as_u64).unwrap_or_default()
}

/// `{"nftables": [...]}`.
struct Top<'a, 'b>(&'a mut Builder<'b>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what nft -j list ruleset prints")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_there = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "nftables" {
                is_there = true;
                map.next_value_seed(List(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if is_there { Ok(()) } else { Err(A::Error::missing_field("nftables")) }
    }
}

/// The objects.
struct List<'a, 'b>(&'a mut Builder<'b>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of tables, chains and rules")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(object) = list.next_element::<Json>()? {
            self.0.take(object);
        }
        Ok(())
    }
}
