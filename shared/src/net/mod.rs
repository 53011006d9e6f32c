//! Sockets, resolver, clock and capture.
