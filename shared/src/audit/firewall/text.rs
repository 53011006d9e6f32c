//! A rule of nft in the words of nft(8), from its JSON. Counters are left out,
//! or a rule would have another text every second.

use std::fmt::Write;

use serde_json::Value as Json;

use super::{LONGEST_TEXT, shortened};

/// Elements of a set that are written.
const MOST_ELEMENTS: usize = 8;

/// All statements of a rule.
pub(super) fn rule(statements: &[Json]) -> String {
    let mut text = String::new();
    for statement in statements.iter().filter_map(Json::as_object) {
        for (kind, value) in statement {
            if kind == "counter" {
                continue;
            }
            if text.len() >= LONGEST_TEXT {
                break;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            one(kind, value, &mut text);
        }
    }
    text.truncate(shortened(&text).len());
    text
}

fn one(kind: &str, value: &Json, text: &mut String) {
    let member = |name: &str| value.get(name).unwrap_or(&Json::Null);
    match kind {
        "match" => {
            expression(member("left"), text);
            match member("op").as_str() {
                None | Some("==" | "in") => text.push(' '),
                Some(operator) => {
                    let _ = write!(text, " {operator} ");
                }
            }
            expression(member("right"), text);
        }
        "jump" | "goto" => {
            let _ = write!(text, "{kind} {}", member("target").as_str().unwrap_or_default());
        }
        "vmap" => {
            expression(member("key"), text);
            text.push_str(" vmap ");
            expression(member("data"), text);
        }
        "mangle" => {
            expression(member("key"), text);
            text.push_str(" set ");
            expression(member("value"), text);
        }
        "ct helper" => {
            text.push_str("ct helper set ");
            expression(value, text);
        }
        "limit" => {
            let over = if member("inv") == true { "over " } else { "" };
            let per = member("per").as_str().unwrap_or("second");
            let _ = write!(text, "limit rate {over}{}/{per}", member("rate"));
        }
        "log" => {
            text.push_str("log");
            if let Some(prefix) = member("prefix").as_str() {
                let _ = write!(text, " prefix \"{prefix}\"");
            }
        }
        "dnat" | "snat" | "redirect" if value.is_object() => {
            let _ = write!(text, "{kind} to ");
            expression(member("addr"), text);
            if !member("port").is_null() {
                text.push(':');
                expression(member("port"), text);
            }
        }
        "flow" => {
            text.push_str("flow add ");
            expression(member("flowtable"), text);
        }
        "set" | "map" => {
            let _ = write!(text, "{} ", member("op").as_str().unwrap_or("add"));
            expression(member(kind), text);
            text.push_str(" { ");
            expression(member("elem"), text);
            text.push_str(" }");
        }
        "xt" => {
            let (kind, name) = (member("type"), member("name"));
            let words = [kind, name].map(|word| word.as_str().unwrap_or("?"));
            let _ = write!(text, "xt {} {}", words[0], words[1]);
        }
        _ => text.push_str(kind),
    }
}

fn expression(value: &Json, text: &mut String) {
    if text.len() >= LONGEST_TEXT {
        return;
    }
    let object = match value {
        Json::Null => return,
        Json::Bool(is) => return text.push_str(if *is { "exists" } else { "missing" }),
        Json::Number(number) => {
            let _ = write!(text, "{number}");
            return;
        }
        Json::String(name) => return text.push_str(name),
        Json::Array(several) => return list(several, ",", text),
        Json::Object(object) => object,
    };
    let Some((kind, value)) = object.iter().next() else { return };
    let word = |name: &str| value.get(name).and_then(Json::as_str).unwrap_or_default();
    match (&**kind, value) {
        ("payload", _) if value.get("base").is_some() => {
            let number = |name: &str| value.get(name).and_then(Json::as_u64).unwrap_or_default();
            let _ = write!(text, "@{},{},{}", word("base"), number("offset"), number("len"));
        }
        ("payload", _) => {
            let _ = write!(text, "{} {}", word("protocol"), word("field"));
        }
        ("meta", _) if matches!(word("key"), "iif" | "oif" | "iifname" | "oifname") => {
            text.push_str(word("key"));
        }
        ("ct", _) => {
            let (direction, key) = (word("dir"), word("key"));
            let blank = if direction.is_empty() { "" } else { " " };
            let _ = write!(text, "ct {direction}{blank}{key}");
        }
        ("fib", _) => {
            text.push_str("fib ");
            match value.get("flags") {
                Some(Json::Array(flags)) => list(flags, " . ", text),
                flags => expression(flags.unwrap_or(&Json::Null), text),
            }
            let _ = write!(text, " {}", word("result"));
        }
        ("tcp option", _) => {
            let _ = write!(text, "tcp option {} {}", word("name"), word("field"));
        }
        ("&" | "|" | "^" | "<<" | ">>", Json::Array(both)) => {
            list(both, &format!(" {kind} "), text);
        }
        ("set", Json::Array(all)) => {
            text.push_str("{ ");
            list(&all[..all.len().min(MOST_ELEMENTS)], ", ", text);
            text.push_str(if all.len() > MOST_ELEMENTS { ", ... }" } else { " }" });
        }
        ("range", Json::Array(ends)) => list(ends, "-", text),
        ("concat", Json::Array(parts)) => list(parts, " . ", text),
        ("prefix", _) => {
            let _ = write!(text, "{}/", word("addr"));
            expression(value.get("len").unwrap_or(&Json::Null), text);
        }
        ("elem", _) => expression(value.get("val").unwrap_or(&Json::Null), text),
        ("jump" | "goto", _) => {
            let _ = write!(text, "{kind} {}", word("target"));
        }
        ("accept" | "drop" | "return" | "continue", _) => text.push_str(kind),
        _ => {
            let _ = write!(text, "{kind} {}", word("key"));
        }
    }
}

/// Several expressions; a key and its verdict in a map.
fn list(all: &[Json], between: &str, text: &mut String) {
    for (at, one) in all.iter().enumerate() {
        if text.len() >= LONGEST_TEXT {
            return;
        }
        if at > 0 {
            text.push_str(between);
        }
        match one {
            Json::Array(pair) if pair.len() == 2 && pair[1].is_object() => {
                expression(&pair[0], text);
                text.push_str(" : ");
                expression(&pair[1], text);
            }
            one => expression(one, text),
        }
    }
}
