//! What the gateway itself says: logs of its daemons, and the audit of its
//! settings.

use std::path::PathBuf;
use std::time::Duration;

use pptp_probe::audit::rules;
use strsim::jaro;

use super::text::{Fields, Visitor, any, between, text};
use super::{DAY, LONGEST_TEXT, MINUTE, Source};

/// Stands in the place of an identifier for what an audit could not read.
pub(crate) const UNREAD: &str = "unread";

/// `[[log]]`: a log that the gateway's daemons write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Path of a file, or a pattern with `*` for several.
    pub file: Option<PathBuf>,
    /// Whether it is the systemd journal.
    pub journal: bool,
    /// The server that it tells of; nothing for whichever the program of an
    /// entry belongs to.
    pub server: Option<Source>,
    /// The host whose entries count, as the log names it; empty for all.
    pub host: String,
}

impl Log {
    /// Whether it may tell of such a server.
    pub fn tells_of(&self, source: Source) -> bool {
        self.server.is_none_or(|server| server == source)
    }
}

impl Fields for Log {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value_such_as("file", &mut self.file, "\"/var/log/syslog\"", any);
        visitor.value("journal", &mut self.journal, any);
        visitor.value_such_as("server", &mut self.server, "\"poptop\"", any);
        visitor.value("host", &mut self.host, text(LONGEST_TEXT));
    }

    fn check(&self) -> Result<(), String> {
        match (&self.file, self.journal) {
            (None, false) => Err("needs a file, or journal = true".into()),
            (Some(_), true) => Err("has a file and the journal: make two sections of it".into()),
            _ => Ok(()),
        }
    }
}

/// `[audit]`: settings of the gateway's host that make sessions drop or weaken
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Whether there is one.
    pub enabled: bool,
    /// How often; 1 min to 1 day.
    pub interval: Duration,
    /// The directory that stands for `/`; nothing for that of `[collect]`.
    pub root: Option<PathBuf>,
    /// Identifiers of findings that nobody wants to hear of.
    pub ignore: Vec<String>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { enabled: true, interval: 60 * MINUTE, root: None, ignore: Vec::new() }
    }
}

impl Fields for Audit {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.value("enabled", &mut self.enabled, any);
        visitor.value("interval", &mut self.interval, between(MINUTE, DAY));
        visitor.value_such_as("root", &mut self.root, "\"/srv/collected\"", any);
        visitor.value("ignore", &mut self.ignore, |ignore| {
            let known = || rules::rules().map(|rule| rule.id).chain([UNREAD]);
            let unknown = ignore.iter().find(|id| !known().any(|known| known == **id));
            let Some(id) = unknown else { return Ok(()) };
            let nearest = known().max_by(|a, b| jaro(a, id).total_cmp(&jaro(b, id)));
            let nearest = nearest.unwrap_or_default();
            Err(format!("names {id:?}, which is no finding; did you mean {nearest}?"))
        });
    }
}
