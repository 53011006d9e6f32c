//! Arguments that every check shares.
