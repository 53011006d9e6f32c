//! CHAP packets and their failure texts (RFC 1994, RFC 2433, RFC 2759).
