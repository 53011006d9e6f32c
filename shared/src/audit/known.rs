//! A fact, that there is none, or why it is not known.

/// What is known of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// It is this.
    Is(T),
    /// It is not there, for sure: a host without netfilter has no conntrack.
    Absent,
    /// It could not be read.
    Unread(Unread),
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What, as an operator calls it: `connections tracked by the kernel`.
    pub what: String,
    /// Why not: `permission denied`.
    pub why: String,
    /// How to let it be read; empty if nothing helps.
    pub mend: String,
}

impl<T> Known<T> {
    /// The fact itself.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Is(fact) => Some(fact),
            Self::Absent | Self::Unread(_) => None,
        }
    }

    /// Why it is not known.
    pub fn unread(&self) -> Option<&Unread> {
        match self {
            Self::Unread(unread) => Some(unread),
            Self::Is(_) | Self::Absent => None,
        }
    }
}
