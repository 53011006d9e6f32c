//! Findings of audits, from one to the next. A finding is the same while its
//! identifier and what was found are; its row goes with the first audit that
//! does not have it.

use std::sync::Arc;
use std::time::SystemTime;

use crate::facts::{AuditRow, Severity};

/// Findings that are kept at most.
const MOST: usize = 1024;

/// One finding of an audit, or what it could not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Stable identifier.
    pub id: Arc<str>,
    /// How much it matters.
    pub severity: Severity,
    /// What is set, and where.
    pub found: Arc<str>,
    /// What is advised.
    pub advised: Arc<str>,
    /// Why, with the numbers.
    pub arithmetic: Arc<str>,
    /// The command that mends it; empty if no single one does.
    pub mend: Arc<str>,
}

/// The findings of the last audit.
#[derive(Debug, Default)]
pub(super) struct Audits {
    /// By index; nothing before the first audit.
    rows: Option<Arc<[AuditRow]>>,
    last_index: u32,
}

impl Audits {
    /// Takes an audit; whether a row came or went.
    pub(super) fn take(&mut self, audit: Vec<Found>, wall: SystemTime) -> bool {
        let old = self.rows();
        let mut rows: Vec<AuditRow> = Vec::with_capacity(audit.len().min(MOST));
        let mut changed = false;
        for Found { id, severity, found, advised, arithmetic, mend } in audit {
            let is_same = |row: &&AuditRow| row.id == id && row.found == found;
            if rows.len() >= MOST || rows.iter().any(|row| is_same(&row)) {
                continue;
            }
            let before = old.iter().find(is_same).map(|row| (row.index, row.first));
            changed |= before.is_none();
            let (index, first) = before.unwrap_or_else(|| (self.next_index(&old, &rows), wall));
            let last = wall;
            rows.push(AuditRow {
                index,
                id,
                severity,
                found,
                advised,
                arithmetic,
                mend,
                first,
                last,
            });
        }
        changed |= rows.len() != old.len();
        rows.sort_unstable_by_key(|row| row.index);
        self.rows = Some(rows.into());
        changed
    }

    /// The rows, in the order of their index.
    pub(super) fn rows(&self) -> Arc<[AuditRow]> {
        self.rows.clone().unwrap_or_default()
    }

    /// Whether there was an audit.
    pub(super) fn are_there(&self) -> bool {
        self.rows.is_some()
    }

    /// None that a row has, of this audit or of the one before.
    fn next_index(&mut self, old: &[AuditRow], rows: &[AuditRow]) -> u32 {
        loop {
            self.last_index = self.last_index.checked_add(1).unwrap_or(1);
            let mut used = old.iter().chain(rows);
            if !used.any(|row| row.index == self.last_index) {
                return self.last_index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn found(id: &str, found: &str) -> Found {
        Found {
            id: id.into(),
            severity: Severity::Warning,
            found: found.into(),
            advised: "".into(),
            arithmetic: "".into(),
            mend: "".into(),
        }
    }

    fn indices(audits: &Audits) -> Vec<u32> {
        audits.rows().iter().map(|row| row.index).collect()
    }

    #[test]
    fn finding_keeps_its_row_while_it_stays() {
        let mut audits = Audits::default();
        let first = SystemTime::UNIX_EPOCH;
        let later = first + Duration::from_secs(3600);
        assert!(audits.take(vec![found("a", "1"), found("b", "1"), found("b", "1")], first));
        assert_eq!(indices(&audits), [1, 2]);
        assert!(!audits.take(vec![found("b", "1"), found("a", "1")], later), "all is as before");
        let rows = audits.rows();
        assert_eq!((&*rows[0].id, rows[0].first, rows[0].last), ("a", first, later));
        assert!(audits.take(vec![found("b", "2"), found("a", "1")], later));
        assert_eq!(indices(&audits), [1, 3], "what is set changed: another finding");
        assert!(audits.take(Vec::new(), later));
        assert!(!audits.take(Vec::new(), later));
    }

    #[test]
    fn severity_may_change_within_a_row() {
        let mut audits = Audits::default();
        audits.take(vec![found("a", "1")], SystemTime::UNIX_EPOCH);
        let severe = Found { severity: Severity::Critical, ..found("a", "1") };
        assert!(!audits.take(vec![severe], SystemTime::UNIX_EPOCH));
        assert_eq!(audits.rows()[0].severity, Severity::Critical);
    }

    #[test]
    fn findings_are_bounded_and_indices_wrap_around_the_living() {
        let mut audits = Audits::default();
        audits.take(vec![found("a", "1")], SystemTime::UNIX_EPOCH);
        audits.last_index = u32::MAX;
        let many = (0..5000).map(|number| found("a", &number.to_string())).collect();
        audits.take(many, SystemTime::UNIX_EPOCH);
        let indices = indices(&audits);
        assert_eq!(indices.len(), MOST);
        assert!(indices.is_sorted_by(|a, b| a < b));
    }
}
