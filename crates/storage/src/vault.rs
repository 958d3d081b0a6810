//! What keeps credentials and secrets out of the files: two keys derived from the master key.
//!
//! One hashes credentials (HMAC-SHA-256), so that a stolen store does not let anyone call. The other seals secrets
//! (AES-256-GCM), each bound to its workspace and name, so that rows cannot be swapped.
//!
//! Guarantees: no key and no plaintext is ever printed. Whether a master key is the right one is known at once.
//! Knows nothing of: files; the caller brings the master key and keeps the sealed bytes.
//! Begins at [`Vault::new`].

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use domain::{KeyHash, WorkspaceId};
use zeroize::Zeroizing;

use crate::random::random_bytes;

/// The key from which all others are derived. Wiped from memory when dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; MasterKey::LEN]>);

impl MasterKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A new key of the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random_bytes()))
    }

    /// A key that somebody keeps.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that writes a new key to its file.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Hashes credentials and seals secrets.
pub struct Vault {
    hashing: hmac::Key,
    sealing: LessSafeKey,
    check: CheckValue,
}

/// A value that only this master key gives, and that gives nothing away about it.
pub(crate) type CheckValue = [u8; 32];

/// Names of the derived keys. Changing one makes every existing store unreadable.
const HASHING: &[u8] = b"tollgate/credentials/1";
const SEALING: &[u8] = b"tollgate/secrets/1";
const CHECK: &[u8] = b"tollgate/check/1";

impl Vault {
    /// Derives the keys (HKDF-SHA256, RFC 5869).
    #[must_use]
    pub(crate) fn new(master: &MasterKey) -> Self {
        const REASON: &str = "HKDF gives up to 8160 bytes and we ask for 32";
        // The master key is random already, so no salt is needed.
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(master.expose());
        let hashing = prk.expand(&[HASHING], hmac::HMAC_SHA256).expect(REASON);
        let sealing = prk.expand(&[SEALING], &AES_256_GCM).expect(REASON);
        let mut check = [0; 32];
        let okm = prk.expand(&[CHECK], hkdf::HKDF_SHA256).expect(REASON);
        okm.fill(&mut check).expect(REASON);
        Self {
            hashing: hmac::Key::from(hashing),
            sealing: LessSafeKey::new(UnboundKey::from(sealing)),
            check,
        }
    }

    /// The keyed hash of a whole credential.
    #[must_use]
    pub fn hash(&self, credential: &[u8]) -> KeyHash {
        let tag = hmac::sign(&self.hashing, credential);
        KeyHash(tag.as_ref().try_into().expect("HMAC-SHA-256 gives 32 bytes"))
    }

    /// What a store keeps to know its master key again.
    pub(crate) fn check_value(&self) -> CheckValue {
        self.check
    }

    /// The secret as it may lie on disk: a random nonce, the ciphertext, a tag.
    pub(crate) fn seal(&self, workspace: WorkspaceId, name: &str, plain: &str) -> Vec<u8> {
        let nonce = random_bytes::<NONCE_LEN>();
        let mut text = plain.as_bytes().to_vec();
        let aad = Aad::from(associated_data(workspace, name));
        self.sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .expect("AES-GCM seals anything under 64 GiB");
        [nonce.as_slice(), &text].concat()
    }

    /// The secret again; none if it was not sealed by this key for this workspace and name.
    pub(crate) fn open(
        &self,
        workspace: WorkspaceId,
        name: &str,
        sealed: &[u8],
    ) -> Option<Zeroizing<String>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(associated_data(workspace, name));
        let plain = self.sealing.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text).ok()?;
        Some(Zeroizing::new(std::str::from_utf8(plain).ok()?.to_owned()))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

/// The id comes first and has a fixed length, so no two pairs give the same bytes.
fn associated_data(workspace: WorkspaceId, name: &str) -> Vec<u8> {
    [workspace.0.to_be_bytes().as_slice(), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&MasterKey::from_bytes([byte; 32]))
    }

    #[test]
    fn a_sealed_secret_opens_only_under_its_key_workspace_and_name() {
        let sealed = vault(1).seal(WorkspaceId(7), "OPENAI", "sk-upstream");
        let open = |byte, workspace, name| vault(byte).open(WorkspaceId(workspace), name, &sealed);
        assert_eq!(open(1, 7, "OPENAI").as_deref().map(String::as_str), Some("sk-upstream"));
        assert!(open(2, 7, "OPENAI").is_none());
        assert!(open(1, 8, "OPENAI").is_none());
        assert!(open(1, 7, "OTHER").is_none());
    }

    #[test]
    fn a_damaged_or_short_seal_does_not_open() {
        let vault = vault(1);
        let mut sealed = vault.seal(WorkspaceId(7), "A", "value");
        *sealed.last_mut().unwrap() ^= 1;
        assert!(vault.open(WorkspaceId(7), "A", &sealed).is_none());
        assert!(vault.open(WorkspaceId(7), "A", &[0; 5]).is_none());
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let vault = vault(1);
        assert_ne!(vault.seal(WorkspaceId(7), "A", "value"), vault.seal(WorkspaceId(7), "A", "value"));
    }

    #[test]
    fn a_hash_depends_on_the_credential_and_on_the_master_key() {
        assert_eq!(vault(1).hash(b"key"), vault(1).hash(b"key"));
        assert_ne!(vault(1).hash(b"key"), vault(1).hash(b"other"));
        assert_ne!(vault(1).hash(b"key"), vault(2).hash(b"key"));
    }

    #[test]
    fn nothing_here_prints_a_key() {
        let master = MasterKey::from_bytes([0xAB; 32]);
        assert_eq!(format!("{master:?} {:?}", Vault::new(&master)), "MasterKey(..) Vault(..)");
    }
}
