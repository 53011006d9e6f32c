//! IPv4 and ICMP headers (RFC 791, RFC 792).
