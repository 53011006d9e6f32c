//! PAP packets (RFC 1334).
