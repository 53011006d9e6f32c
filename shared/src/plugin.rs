//! The frame in which every check runs.
