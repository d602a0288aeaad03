//! The root key, the subkeys that come from it, and the sealing of bytes at rest.

use chacha20poly1305::aead::{Aead, AeadInPlace, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use std::sync::{Mutex, PoisonError};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The length of the root key and of every subkey, in bytes.
pub const ROOT_KEY_BYTES: usize = 32;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The one secret of an installation. Wiped from memory when dropped; `Debug` shows nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; ROOT_KEY_BYTES]);

/// What a subkey is for. Each purpose has its own key; none can be computed from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subkey {
    /// K_id: envelope, dispatch and lane ids. Never rotates.
    Id,
    /// K_idx: keyed hashes of what stands in store rows.
    Index,
    /// Values in the store.
    StoreValue,
    /// Bodies on the daemon's internal queues.
    Queue,
    /// K_alias: conversation-scoped aliases. Never rotates.
    Alias,
    /// Addresses that the media listener gives out.
    MediaLink,
    /// A value that tells whether a store belongs to this key.
    Check,
}

impl Subkey {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Id => b"interline/1/id",
            Self::Index => b"interline/1/index",
            Self::StoreValue => b"interline/1/store-value",
            Self::Queue => b"interline/1/queue",
            Self::Alias => b"interline/1/alias",
            Self::MediaLink => b"interline/1/media-link",
            Self::Check => b"interline/1/check",
        }
    }
}

/// Why a key cannot be used, or bytes cannot be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The root key has the wrong length.
    #[error("a root key is {ROOT_KEY_BYTES} bytes, or {hex} hex digits; this one has {0} bytes; for a new store make one with `openssl rand -hex 32` and keep a copy, for an old one restore its key from your backup", hex = 2 * ROOT_KEY_BYTES)]
    KeyLength(usize),
    /// The operating system gave no randomness.
    #[error(
        "the operating system gave no random bytes for a key or nonce; may Interline use the system call getrandom?"
    )]
    Random,
    /// Wrong key, wrong place, or changed bytes.
    #[error(
        "these bytes were not sealed for this place with this root key, or were changed since; is `root_key` another one than before?"
    )]
    Open,
}

impl RootKey {
    /// Takes 32 raw bytes, or 64 hex digits with white space around them (the form that a credential file has).
    ///
    /// # Errors
    /// [`SealError::KeyLength`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        if let Ok(raw) = <[u8; ROOT_KEY_BYTES]>::try_from(bytes) {
            return Ok(Self(raw));
        }
        let text = std::str::from_utf8(bytes).map(str::trim).unwrap_or_default();
        let mut raw = [0_u8; ROOT_KEY_BYTES];
        hex::decode_to_slice(text, &mut raw).map_err(|_| SealError::KeyLength(bytes.len()))?;
        Ok(Self(raw))
    }

    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn generate() -> Result<Self, SealError> {
        let mut raw = [0_u8; ROOT_KEY_BYTES];
        getrandom::fill(&mut raw).map_err(|_| SealError::Random)?;
        Ok(Self(raw))
    }

    /// The published key that `interline normalize` uses without a config. It protects nothing.
    pub const fn published_test_key() -> Self {
        Self(*b"interline published test key 001")
    }

    /// The form that is written to a key file: 64 hex digits.
    pub fn to_exposed_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Derives a subkey by HKDF-SHA256 (RFC 5869).
    pub fn subkey(&self, purpose: Subkey) -> [u8; ROOT_KEY_BYTES] {
        let mut subkey = [0_u8; ROOT_KEY_BYTES];
        // 32 bytes are within HKDF's limit of 255 blocks, so this cannot fail.
        let expanded = Hkdf::<Sha256>::new(None, &self.0).expand(purpose.info(), &mut subkey);
        debug_assert!(expanded.is_ok(), "32 bytes are a valid HKDF output length");
        subkey
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(<redacted>)")
    }
}

/// Seals and opens bytes with XChaCha20-Poly1305 under one subkey. The nonce is random and stands in front.
pub struct Seal {
    cipher: XChaCha20Poly1305,
    nonces: Mutex<Nonces>,
}

/// How many nonces are asked for at once.
const NONCES: usize = 64;

/// Random bytes for nonces: a call of the system for each is as dear as sealing a short text.
struct Nonces {
    bytes: [u8; NONCES * NONCE_BYTES],
    used: usize,
}

impl Nonces {
    /// None yet.
    const EMPTY: Self = Self { bytes: [0; NONCES * NONCE_BYTES], used: NONCES };

    /// The next one; none is ever given twice.
    fn take(&mut self) -> Result<[u8; NONCE_BYTES], SealError> {
        if self.used >= NONCES {
            getrandom::fill(&mut self.bytes).map_err(|_| SealError::Random)?;
            self.used = 0;
        }
        let (nonces, _) = self.bytes.as_chunks::<NONCE_BYTES>();
        let nonce = nonces.get(self.used).copied().ok_or(SealError::Random)?;
        self.used += 1;
        Ok(nonce)
    }
}

impl Clone for Seal {
    fn clone(&self) -> Self {
        // The copy asks for nonces of its own: two that share some would use them twice.
        Self { cipher: self.cipher.clone(), nonces: Mutex::new(Nonces::EMPTY) }
    }
}

impl Seal {
    /// A sealer for one purpose.
    pub fn new(root: &RootKey, purpose: Subkey) -> Self {
        let cipher = XChaCha20Poly1305::new(Key::from_slice(&root.subkey(purpose)));
        Self { cipher, nonces: Mutex::new(Nonces::EMPTY) }
    }

    /// Seals `plain` for the place that `aad` names: table, row and schema version, or a queue's message id.
    ///
    /// # Errors
    /// [`SealError::Random`] if there is no randomness for a nonce.
    pub fn seal(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_written(plain.len(), aad, |out| {
            out.extend_from_slice(plain);
            Ok(())
        })
    }

    /// The same for what `write` appends to the buffer that it gets, some `expected_bytes` of it: it is sealed where it
    /// stands.
    ///
    /// # Errors
    /// What `write` says, and [`SealError::Random`].
    pub fn seal_written<E: From<SealError>>(
        &self,
        expected_bytes: usize,
        aad: &[u8],
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let mut out = Vec::with_capacity(NONCE_BYTES + expected_bytes + TAG_BYTES);
        out.extend_from_slice(&nonce);
        write(&mut out)?;
        let plain = out.get_mut(NONCE_BYTES..).unwrap_or_default();
        let tag = self
            .cipher
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), aad, plain)
            .map_err(|_| SealError::Open)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what [`Seal::seal`] made for the same place.
    ///
    /// # Errors
    /// [`SealError::Open`] if the key or the place is another, or a bit was changed.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or(SealError::Open)?;
        self.cipher
            .decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad })
            .map_err(|_| SealError::Open)
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_only_with_the_same_key_at_the_same_place() {
        let seal = Seal::new(&RootKey::published_test_key(), Subkey::StoreValue);
        let sealed = seal.seal(b"hello", b"copy/7/1").unwrap();
        assert_eq!(seal.open(&sealed, b"copy/7/1").unwrap(), b"hello");
        assert_eq!(seal.open(&sealed, b"copy/8/1"), Err(SealError::Open));
        let other = Seal::new(&RootKey::published_test_key(), Subkey::Queue);
        assert_eq!(other.open(&sealed, b"copy/7/1"), Err(SealError::Open));
        let mut changed = sealed;
        changed[30] ^= 1;
        assert_eq!(seal.open(&changed, b"copy/7/1"), Err(SealError::Open));
        assert_eq!(seal.open(b"short", b""), Err(SealError::Open));
    }

    #[test]
    fn no_nonce_is_used_twice_by_a_sealer_or_its_copy() {
        let seal = Seal::new(&RootKey::published_test_key(), Subkey::StoreValue);
        let sealed = |seal: &Seal| seal.seal(b"", b"").unwrap()[..NONCE_BYTES].to_vec();
        let mut nonces: Vec<_> = (0..NONCES + 3).map(|_| sealed(&seal)).collect();
        let copy = seal.clone();
        nonces.extend((0..2 * NONCES).flat_map(|_| [sealed(&copy), sealed(&seal)]));
        let all = nonces.len();
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), all);
    }

    #[test]
    fn what_was_written_in_place_opens_as_what_was_sealed_whole() {
        let seal = Seal::new(&RootKey::published_test_key(), Subkey::Queue);
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"hello, longer than was said");
            Ok::<_, SealError>(())
        };
        let sealed = seal.seal_written(3, b"here", write).unwrap();
        assert_eq!(seal.open(&sealed, b"here").unwrap(), b"hello, longer than was said");
        let failed = seal.seal_written(3, b"here", |_| Err(SealError::KeyLength(1)));
        assert_eq!(failed, Err(SealError::KeyLength(1)));
    }

    #[test]
    fn a_root_key_is_read_as_raw_bytes_or_as_hex_digits() {
        let key = RootKey::published_test_key();
        let hex_file = format!("{}\n", key.to_exposed_hex());
        let read = RootKey::from_bytes(hex_file.as_bytes()).unwrap();
        assert_eq!(read.subkey(Subkey::Id), key.subkey(Subkey::Id));
        assert_ne!(key.subkey(Subkey::Id), key.subkey(Subkey::Index));
        assert_eq!(RootKey::from_bytes(b"short").unwrap_err(), SealError::KeyLength(5));
        assert_eq!(format!("{key:?}"), "RootKey(<redacted>)");
    }
}
