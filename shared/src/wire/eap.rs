//! EAP packets: Identity, Nak, MD5, MS-CHAPv2 (RFC 3748).
