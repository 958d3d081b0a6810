//! Ed25519 (RFC 8032): whether bytes were signed by the holder of a public key.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// Whether `signature` is the pure Ed25519 signature of exactly these bytes. A public key that is none verifies nothing.
#[must_use]
pub fn is_signed_by(public_key: &[u8; 32], bytes: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(bytes, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    #[test]
    fn the_third_vector_of_rfc_8032_verifies_and_nothing_near_it_does() {
        let key = bytes("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
        let signature: [u8; 64] = bytes(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        );
        assert!(is_signed_by(&key, &[0xaf, 0x82], &signature));
        assert!(!is_signed_by(&key, &[0xaf, 0x83], &signature));
        assert!(!is_signed_by(&[0; 32], &[0xaf, 0x82], &signature));
        assert!(!is_signed_by(&key, &[0xaf, 0x82], &signature[..63]));
    }
}
