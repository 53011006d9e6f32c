//! User names as digests that tell one from another and nothing else.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Octets of a digest as it is written.
const LENGTH: usize = 21;

/// Replaces user names by the first 64 bits of an HMAC (RFC 2104) over them:
/// with the same key the same name gives the same digest, and without the key
/// nobody can try names until one fits.
#[derive(Debug, Clone)]
pub struct Redactor {
    keyed: Hmac<Sha1>,
}

impl Redactor {
    /// `key` comes from the kernel's random numbers, and is kept as long as
    /// digests shall stay comparable.
    pub fn new(key: &[u8; 16]) -> Self {
        // A block of SHA-1 has 64 octets; RFC 2104, section 2 fills with zeros.
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        Self { keyed: Hmac::new(&block.into()) }
    }

    /// What stands in the place of a name: `user-` and 16 hexadecimal digits.
    /// Of an empty name nothing.
    pub fn digest(&self, name: &[u8]) -> String {
        use std::fmt::Write as _;
        let mut digest = String::with_capacity(LENGTH);
        if !name.is_empty() {
            digest.push_str("user-");
            let octets = self.keyed.clone().chain_update(name).finalize().into_bytes();
            for octet in &octets[..8] {
                // Writing to a String cannot fail.
                let _ = write!(digest, "{octet:02x}");
            }
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_rfc_2202() {
        // Test case 2 has the key "Jefe", which zeros behind it do not change.
        let mut key = [0; 16];
        key[..4].copy_from_slice(b"Jefe");
        let digest = Redactor::new(&key).digest(b"what do ya want for nothing?");
        assert_eq!(digest, "user-effcdf6ae5eb2fa2");
    }

    #[test]
    fn names_differ_by_name_and_key_alone() {
        let [one, other] = [[1; 16], [2; 16]].map(|key| Redactor::new(&key));
        assert_eq!(one.digest(b"alice"), one.digest(b"alice"));
        assert_ne!(one.digest(b"alice"), one.digest(b"bob"));
        assert_ne!(one.digest(b"alice"), other.digest(b"alice"));
        assert_eq!(one.digest(b""), "");
    }
}
