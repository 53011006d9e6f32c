//! A fact, that there is none, or why it is not known.

use std::io;

use crate::secret::in_words;

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

impl Unread {
    /// Of an error; what only lacks permission is mended by root.
    pub(super) fn of(what: &str, error: &io::Error) -> Self {
        let mend = match error.kind() {
            io::ErrorKind::PermissionDenied => "run as root",
            _ => "",
        };
        Self { what: what.to_owned(), why: in_words(error), mend: mend.to_owned() }
    }

    /// The same where CAP_NET_ADMIN would do, too.
    pub(super) fn or_net_admin(mut self, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::PermissionDenied
            && let Ok(program) = std::env::current_exe()
        {
            let program = program.display();
            self.mend = format!("run as root, or: setcap cap_net_admin+ep {program}");
        }
        self
    }
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

    /// What reading brought: what is not found is absent.
    pub(super) fn of(result: io::Result<T>, what: &str) -> Self {
        match result {
            Ok(fact) => Self::Is(fact),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) => Self::Unread(Unread::of(what, &error)),
        }
    }
}
