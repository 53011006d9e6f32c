//! Enhanced GRE headers (RFC 2637, section 4.1).
