//! Probes: each runs a machine and returns what was seen.
