//! What a gateway's daemons wrote: octets of a file or of the journal to
//! [`entry::Entry`], entries to [`event::Event`] and to sessions.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`entry`] | one entry: who wrote what, and when |
//! | [`mod@line`] | lines of a file to entries |
//! | [`daemon`] | what the daemons and the kernel say, each sentence as a value |
//! | [`follow`] | log files, read from a kept position on, through rotations |
//! | [`journal`] | the journal of systemd, likewise |
//! | [`source`] | one face over both |
//! | [`event`] | what an entry means, in the field's terms |
//! | [`join`] | entries to events, joined into sessions |
//! | [`window`] | what the last minutes come to |
//! | [`redact`], [`ecs`] | events as JSON lines, also without names |
//!
//! Entries are written by strangers: a caller chooses its user name, and so
//! part of a line. Who said something is told by the tag, what was said by the
//! whole message from its first octet; nothing is searched for.

pub mod daemon;
pub mod ecs;
pub mod entry;
pub mod event;
pub mod follow;
pub mod join;
pub mod journal;
pub mod line;
mod octets;
pub mod redact;
pub mod source;
pub mod window;
