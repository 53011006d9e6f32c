//! Judging and printing: states, thresholds, metrics and reports.

/// The four states of the Monitoring Plugins convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Works as it should.
    Ok,
    /// Works, but not well.
    Warning,
    /// Does not work.
    Critical,
    /// Could not be tested.
    Unknown,
}
