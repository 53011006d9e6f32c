//! Pure arithmetic of MS-CHAP (RFC 2433, RFC 2759), MPPE (RFC 3078, RFC 3079)
//! and RADIUS (RFC 2865, RFC 2548).

pub mod mppe;
pub mod mschap;
pub mod radius;

/// Compares in a time that does not depend on where the two differ, only on
/// how long they are.
pub fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b))) == 0
}
