//! Control protocol packets and options: LCP, CCP, IPCP, IPv6CP (RFC 1661).
