//! What a front end reads: names in order, with values.
//!
//! AgentX and SNMP ask the same two questions, so whoever fills a view need not
//! know which of them is asking. A view does not change while it is being
//! read.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::oid::Oid;
use crate::value::Value;

/// Variables in lexicographic order.
pub trait View {
    /// The variable `name` (RFC 2741, section 7.2.3.1):
    /// [`Value::NoSuchObject`] when nothing here has its object type,
    /// [`Value::NoSuchInstance`] when only the instance is missing.
    fn get(&self, name: &Oid) -> Value<'_>;

    /// The first variable behind `start` (at `start` itself too, when
    /// `include`) and before `end` (RFC 2741, section 7.2.3.2).
    fn next(&self, start: &Oid, include: bool, end: Option<&Oid>) -> Option<(Oid, Value<'_>)>;

    /// The same and what follows it, in order, until there is nothing more or
    /// `take` returns false.
    fn walk<'v>(
        &'v self,
        start: &Oid,
        include: bool,
        end: Option<&Oid>,
        take: &mut dyn FnMut(&Oid, Value<'v>) -> bool,
    ) {
        let mut next = self.next(start, include, end);
        while let Some((name, value)) = next {
            if !take(&name, value) {
                return;
            }
            next = self.next(&name, false, end);
        }
    }
}

/// A view of variables that are put in one by one.
///
/// It knows no object types: a name counts as a missing instance when a
/// neighbour of it differs in the last sub-identifier only.
#[derive(Debug, Clone, Default)]
pub struct MapView {
    variables: BTreeMap<Oid, Value<'static>>,
}

impl MapView {
    /// Puts a variable in, or another value in its place.
    pub fn insert(&mut self, name: Oid, value: Value<'static>) {
        self.variables.insert(name, value);
    }
}

impl View for MapView {
    fn get(&self, name: &Oid) -> Value<'_> {
        if let Some(value) = self.variables.get(name) {
            return value.clone();
        }
        let [object @ .., _] = name.as_slice() else { return Value::NoSuchObject };
        let sibling = |other: &&Oid| matches!(other.as_slice(), [head @ .., _] if head == object);
        let before = self.variables.range(..name).next_back().map(|(other, _)| other);
        let after = self.variables.range(name..).next().map(|(other, _)| other);
        match before.filter(sibling).or(after.filter(sibling)) {
            Some(_) => Value::NoSuchInstance,
            None => Value::NoSuchObject,
        }
    }

    fn next(&self, start: &Oid, include: bool, end: Option<&Oid>) -> Option<(Oid, Value<'_>)> {
        let from = if include { Bound::Included(start) } else { Bound::Excluded(start) };
        let (name, value) = self.variables.range((from, Bound::Unbounded)).next()?;
        match end {
            Some(end) if name >= end => None,
            _ => Some((name.clone(), value.clone())),
        }
    }
}

/// Two views as one; where both have a variable, that of the first counts.
pub struct Union<'a, A: ?Sized, B: ?Sized>(pub &'a A, pub &'a B);

impl<A: View + ?Sized, B: View + ?Sized> View for Union<'_, A, B> {
    fn get(&self, name: &Oid) -> Value<'_> {
        match self.0.get(name) {
            Value::NoSuchObject => self.1.get(name),
            Value::NoSuchInstance => match self.1.get(name) {
                Value::NoSuchObject => Value::NoSuchInstance,
                value => value,
            },
            value => value,
        }
    }

    fn next(&self, start: &Oid, include: bool, end: Option<&Oid>) -> Option<(Oid, Value<'_>)> {
        match (self.0.next(start, include, end), self.1.next(start, include, end)) {
            (Some(first), Some(second)) => Some(if second.0 < first.0 { second } else { first }),
            (first, second) => first.or(second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> MapView {
        let mut view = MapView::default();
        for (name, value) in [([1, 3, 1, 1], 11), ([1, 3, 1, 2], 12), ([1, 3, 2, 1], 21)] {
            view.insert(name.into(), Value::Integer(value));
        }
        view
    }

    #[test]
    fn a_missing_instance_is_not_a_missing_object() {
        let view = view();
        assert_eq!(view.get(&[1, 3, 1, 2].into()), Value::Integer(12));
        assert_eq!(view.get(&[1, 3, 1, 0].into()), Value::NoSuchInstance);
        assert_eq!(view.get(&[1, 3, 2, 9].into()), Value::NoSuchInstance);
        assert_eq!(view.get(&[1, 3, 3, 1].into()), Value::NoSuchObject);
        assert_eq!(view.get(&[1, 3, 1].into()), Value::NoSuchObject);
        assert_eq!(view.get(&Oid::default()), Value::NoSuchObject);
    }

    #[test]
    fn the_start_counts_only_when_included_and_the_end_never() {
        let view = view();
        let first = Oid::from([1, 3, 1, 1]);
        let name = |found: Option<(Oid, Value<'_>)>| found.map(|(name, _)| name.to_string());
        assert_eq!(name(view.next(&first, true, None)).as_deref(), Some("1.3.1.1"));
        assert_eq!(name(view.next(&first, false, None)).as_deref(), Some("1.3.1.2"));
        assert_eq!(name(view.next(&first, false, Some(&[1, 3, 1, 2].into()))), None);
        assert_eq!(name(view.next(&first, true, Some(&first))), None);
        assert_eq!(name(view.next(&[1, 3, 2, 1].into(), false, None)), None);
        assert_eq!(name(view.next(&Oid::default(), false, None)).as_deref(), Some("1.3.1.1"));
    }

    #[test]
    fn a_union_is_both_in_order_and_the_first_counts() {
        let first = view();
        let mut second = MapView::default();
        for (name, value) in [([1, 3, 1, 2], -12), ([1, 3, 1, 3], -13), ([1, 2, 9, 1], -91)] {
            second.insert(name.into(), Value::Integer(value));
        }
        let union = Union(&first, &second);
        let mut walked = Vec::new();
        let mut at = Oid::default();
        while let Some((name, Value::Integer(value))) = union.next(&at, false, None) {
            walked.push((name.to_string(), value));
            at = name;
        }
        let expected =
            [("1.2.9.1", -91), ("1.3.1.1", 11), ("1.3.1.2", 12), ("1.3.1.3", -13), ("1.3.2.1", 21)];
        assert_eq!(walked, expected.map(|(name, value)| (name.to_owned(), value)));
        for (name, value) in [
            ([1, 3, 1, 2], Value::Integer(12)),
            ([1, 3, 1, 3], Value::Integer(-13)),
            ([1, 2, 9, 2], Value::NoSuchInstance),
            ([1, 3, 2, 2], Value::NoSuchInstance),
            ([1, 3, 3, 1], Value::NoSuchObject),
        ] {
            assert_eq!(union.get(&name.into()), value, "{name:?}");
        }
    }
}
