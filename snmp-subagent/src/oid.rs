//! Object identifiers (RFC 2578, section 3.5): at most 128 sub-identifiers of
//! 32 bits, ordered as SNMP orders names.
//!
//! Names of scalars and of table rows with a numeric index are kept in place,
//! so that making and moving one allocates nothing; only longer ones (rows
//! named by a string) go to the heap. The identifier without sub-identifiers
//! exists here too: it is AgentX's null identifier (RFC 2741, section 5.1).

use std::fmt;
use std::str::FromStr;

/// Most sub-identifiers an object identifier can have.
pub const MAX_LENGTH: usize = 128;

/// Sub-identifiers kept in place.
const INLINE: usize = 19;

/// An object identifier.
#[derive(Clone)]
pub struct Oid(Repr);

#[derive(Clone)]
enum Repr {
    Inline { length: u8, ids: [u32; INLINE] },
    Heap(Box<[u32]>),
}

/// More than [`MAX_LENGTH`] sub-identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object identifier has at most {MAX_LENGTH} sub-identifiers")
    }
}

impl std::error::Error for TooLong {}

/// Why a text is no object identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// A part between two dots is no decimal number of 32 bits.
    SubIdentifier,
    /// There are too many parts.
    TooLong,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubIdentifier => {
                f.write_str("an object identifier is numbers from 0 to 4294967295 between dots")
            }
            Self::TooLong => TooLong.fmt(f),
        }
    }
}

impl std::error::Error for ParseError {}

impl Oid {
    /// The sub-identifiers, first arc first.
    pub fn as_slice(&self) -> &[u32] {
        match &self.0 {
            Repr::Inline { length, ids } => &ids[..usize::from(*length)],
            Repr::Heap(ids) => ids,
        }
    }

    /// How many sub-identifiers there are.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// True for the null identifier.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when `self` is `prefix` or lies below it.
    pub fn starts_with(&self, prefix: &Oid) -> bool {
        self.as_slice().starts_with(prefix.as_slice())
    }

    /// The identifier one arc below `self`.
    ///
    /// # Errors
    /// [`TooLong`] when `self` is as long as can be.
    pub fn child(&self, id: u32) -> Result<Self, TooLong> {
        let mut child = self.clone();
        child.append(&[id])?;
        Ok(child)
    }

    /// Appends `ids`.
    ///
    /// # Errors
    /// [`TooLong`], and nothing is appended.
    pub fn append(&mut self, ids: &[u32]) -> Result<(), TooLong> {
        let length = self.len();
        match &mut self.0 {
            Repr::Inline { length: octet, ids: own } if length + ids.len() <= INLINE => {
                own[length..length + ids.len()].copy_from_slice(ids);
                *octet += ids.len() as u8;
            }
            _ => {
                let mut longer = Self::zeros(length + ids.len())?;
                let (head, tail) = longer.as_mut_slice().split_at_mut(length);
                head.copy_from_slice(self.as_slice());
                tail.copy_from_slice(ids);
                *self = longer;
            }
        }
        Ok(())
    }

    /// `parts` one behind the other.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn joined(parts: [&[u32]; 2]) -> Result<Self, TooLong> {
        let [head, tail] = parts;
        let length = head.len() + tail.len();
        if length > INLINE {
            return Self::try_from(&parts.concat()[..]);
        }
        let mut ids = [0; INLINE];
        ids[..head.len()].copy_from_slice(head);
        ids[head.len()..length].copy_from_slice(tail);
        Ok(Self(Repr::Inline { length: length as u8, ids }))
    }

    /// `length` zeros, to be written over.
    pub(crate) fn zeros(length: usize) -> Result<Self, TooLong> {
        if length <= INLINE {
            Ok(Self(Repr::Inline { length: length as u8, ids: [0; INLINE] }))
        } else if length <= MAX_LENGTH {
            Ok(Self(Repr::Heap(vec![0; length].into())))
        } else {
            Err(TooLong)
        }
    }

    /// The sub-identifiers, to be written over.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u32] {
        match &mut self.0 {
            Repr::Inline { length, ids } => &mut ids[..usize::from(*length)],
            Repr::Heap(ids) => ids,
        }
    }
}

impl Default for Oid {
    /// The null identifier.
    fn default() -> Self {
        Self(Repr::Inline { length: 0, ids: [0; INLINE] })
    }
}

impl TryFrom<&[u32]> for Oid {
    type Error = TooLong;

    fn try_from(ids: &[u32]) -> Result<Self, TooLong> {
        let mut oid = Self::zeros(ids.len())?;
        oid.as_mut_slice().copy_from_slice(ids);
        Ok(oid)
    }
}

impl<const N: usize> From<[u32; N]> for Oid {
    fn from(array: [u32; N]) -> Self {
        const { assert!(N <= INLINE, "longer identifiers are made by try_from") };
        let mut ids = [0; INLINE];
        ids[..N].copy_from_slice(&array);
        Self(Repr::Inline { length: N as u8, ids })
    }
}

impl FromStr for Oid {
    type Err = ParseError;

    /// Reads `1.3.6.1` or `.1.3.6.1`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut oid = Self::default();
        for part in text.strip_prefix('.').unwrap_or(text).split('.') {
            if !part.bytes().all(|octet| octet.is_ascii_digit()) {
                return Err(ParseError::SubIdentifier);
            }
            let id = part.parse().map_err(|_| ParseError::SubIdentifier)?;
            oid.append(&[id]).map_err(|TooLong| ParseError::TooLong)?;
        }
        Ok(oid)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, id) in self.as_slice().iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            write!(f, "{dot}{id}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

impl PartialEq for Oid {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Oid {}

impl PartialOrd for Oid {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Oid {
    /// Lexicographic, a prefix before what lies below it.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl std::hash::Hash for Oid {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_leading_dot_changes_nothing() {
        let oid: Oid = ".1.3.6.1.4.1".parse().unwrap();
        assert_eq!(oid, Oid::from([1, 3, 6, 1, 4, 1]));
        assert_eq!("1.3.6.1.4.1".parse(), Ok(oid));
    }

    #[test]
    fn text_that_is_no_identifier_is_refused() {
        for text in ["", ".", "1..3", "1.3.", "..1", "1.-3", "1.+3", "1.3.x", "1.4294967296", "1 "]
        {
            assert_eq!(text.parse::<Oid>(), Err(ParseError::SubIdentifier), "{text:?}");
        }
        let longest = vec!["1"; MAX_LENGTH].join(".");
        assert_eq!(longest.parse::<Oid>().unwrap().len(), MAX_LENGTH);
        assert_eq!(format!("{longest}.1").parse::<Oid>(), Err(ParseError::TooLong));
    }

    #[test]
    fn a_prefix_sorts_before_what_lies_below_it() {
        let sorted = ["1.3", "1.3.0", "1.3.6", "1.3.6.1", "1.3.10", "1.4", "1.4294967295", "2"];
        assert!(sorted.map(|text| text.parse::<Oid>().unwrap()).is_sorted());
        assert!(Oid::default() < Oid::from([0]));
    }

    #[test]
    fn nothing_is_appended_where_there_is_no_room() {
        let mut oid = Oid::try_from(&[7; MAX_LENGTH - 1][..]).unwrap();
        assert_eq!(oid.append(&[1, 2]), Err(TooLong));
        assert_eq!(oid.as_slice(), [7; MAX_LENGTH - 1]);
        let full = oid.child(9).unwrap();
        assert_eq!(full.as_slice()[MAX_LENGTH - 1], 9);
        assert_eq!(full.child(9), Err(TooLong));
        assert!(full.starts_with(&oid) && !oid.starts_with(&full));
    }

    proptest! {
        #[test]
        fn text_comes_back(ids in prop::collection::vec(any::<u32>(), 1..=MAX_LENGTH)) {
            let oid = Oid::try_from(&ids[..]).unwrap();
            prop_assert_eq!(oid.as_slice(), &ids[..]);
            prop_assert_eq!(oid.to_string().parse::<Oid>().unwrap(), oid);
        }

        #[test]
        fn appending_is_concatenation(
            a in prop::collection::vec(any::<u32>(), 0..64),
            b in prop::collection::vec(any::<u32>(), 0..64),
        ) {
            let mut oid = Oid::try_from(&a[..]).unwrap();
            oid.append(&b).unwrap();
            prop_assert_eq!(Oid::joined([&a, &b]).unwrap(), oid.clone());
            prop_assert_eq!(oid.as_slice(), &[a, b].concat()[..]);
        }

        #[test]
        fn order_is_that_of_the_sub_identifiers(
            a in prop::collection::vec(0..3u32, 0..40),
            b in prop::collection::vec(0..3u32, 0..40),
        ) {
            let (x, y) = (Oid::try_from(&a[..]).unwrap(), Oid::try_from(&b[..]).unwrap());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x == y, a == b);
        }
    }
}
