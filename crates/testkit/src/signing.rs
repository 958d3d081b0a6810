//! Someone who signs what registers keys, as a customer's own system would.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The holder of an Ed25519 key pair.
#[derive(Debug)]
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The key pair with the seed `first`, `first + 1`, and so on: always the same one.
    pub fn new(first: u8) -> Self {
        let seed: [u8; 32] = std::array::from_fn(|at| first.wrapping_add(u8::try_from(at).unwrap()));
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap())
    }

    /// The raw public key in base64.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }

    /// The signature over exactly these bytes, in base64.
    pub fn sign(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(bytes))
    }
}
