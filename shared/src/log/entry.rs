//! One entry of a log, without what it means.

use super::event::Program;

/// Microseconds since 1970-01-01 00:00 UTC.
pub type Stamp = i64;

/// Who wrote an entry: the tag of RFC 3164 (section 4.1.3), the identifier of the
/// journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tag {
    /// There is none, in a log of accel-ppp's own and where syslogd counts.
    #[default]
    None,
    /// That of a program that is understood.
    Of(Program),
    /// That of any other.
    Other,
}

/// One entry, as syslog or the journal kept it. Its parts are any octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry<'a> {
    /// When it was written; `None` where its stamp cannot be read.
    pub at: Option<Stamp>,
    /// Host that wrote it; empty where the log does not say.
    pub host: &'a [u8],
    /// Program that wrote it.
    pub tag: Tag,
    /// Process that wrote it.
    pub pid: Option<u32>,
    /// What it wrote, without a line end.
    pub message: &'a [u8],
}
