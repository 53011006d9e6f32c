//! Pure arithmetic of MS-CHAP (RFC 2433, RFC 2759) and MPPE (RFC 3078, RFC 3079).

pub mod mppe;
pub mod mschap;
