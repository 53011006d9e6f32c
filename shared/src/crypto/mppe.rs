//! MPPE keys (RFC 3079).
