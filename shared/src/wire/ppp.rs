//! PPP frames as PPTP carries them (RFC 1661, section 2).
