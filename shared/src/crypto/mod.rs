//! Pure arithmetic of MS-CHAP (RFC 2433, RFC 2759), MPPE (RFC 3078, RFC 3079)
//! and RADIUS (RFC 2865, RFC 2548).

pub mod mppe;
pub mod mschap;
pub mod radius;

/// Compares in a time that does not depend on where the two differ.
fn is_equal<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    a.iter().zip(b).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b))) == 0
}
