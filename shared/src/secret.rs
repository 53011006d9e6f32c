//! Passwords and shared secrets.

use zeroize::Zeroizing;

/// Octets that are wiped when dropped and cannot be printed: no `Debug`, no
/// `Display`, no serialisation.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets, for the function that answers a challenge.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}
