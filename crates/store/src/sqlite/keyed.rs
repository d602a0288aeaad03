//! Keyed hashes for rows, and sealed values.

use crate::StoreError;
use hmac::{Hmac, Mac};
use interline_envelope::{AccountRef, Address, Redacted, RootKey, Seal, Subkey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

/// The version of the tables.
pub(super) const SCHEMA_VERSION: u32 = 3;
/// The version of what stands in the values; part of every seal. A migration that changes their form raises it, and
/// seals every value anew; one that only adds tables does not.
const VALUE_VERSION: u32 = 1;

/// A row's key: 64 bits for the B-tree, and the whole hash, compared on read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowKey {
    pub(super) number: i64,
    pub(super) whole: [u8; 32],
}

/// K_idx and the key of values.
pub(super) struct Keyed {
    index: Hmac<Sha256>,
    seal: Seal,
}

impl Keyed {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    pub(super) fn new(root: &RootKey) -> Self {
        let index = Hmac::new_from_slice(&root.subkey(Subkey::Index))
            .expect("HMAC takes keys of every length");
        Self { index, seal: Seal::new(root, Subkey::StoreValue) }
    }

    /// Hashes fields, each with its length, for one table.
    pub(super) fn key(&self, table: &str, fields: &[&[u8]]) -> RowKey {
        let mut mac = self.index.clone();
        for field in std::iter::once(table.as_bytes()).chain(fields.iter().copied()) {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut first = [0; 8];
        first.copy_from_slice(&whole[..8]);
        RowKey { number: i64::from_be_bytes(first), whole }
    }

    pub(super) fn native(
        &self,
        table: &str,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_id: &Redacted<String>,
    ) -> RowKey {
        let account_text = account.to_string();
        self.key(
            table,
            &[
                account_text.as_bytes(),
                chat.as_exposed_str().as_bytes(),
                native_id.as_exposed_str().as_bytes(),
            ],
        )
    }

    pub(super) fn address(&self, table: &str, prefix: &[u8], address: &Address) -> RowKey {
        self.key(table, &[prefix, address.to_exposed_string().as_bytes()])
    }

    pub(super) fn seal<T: Serialize>(
        &self,
        table: &str,
        row: i64,
        value: &T,
    ) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(value).map_err(|_| StoreError::Damaged)?;
        Ok(self.seal.seal(&plain, &aad(table, row))?)
    }

    pub(super) fn open<T: DeserializeOwned>(
        &self,
        table: &str,
        row: i64,
        sealed: &[u8],
    ) -> Result<T, StoreError> {
        let plain = self.seal.open(sealed, &aad(table, row))?;
        serde_json::from_slice(&plain).map_err(|_| StoreError::Damaged)
    }
}

/// Table, row, version of the values: a value moved to another place does not open.
fn aad(table: &str, row: i64) -> Vec<u8> {
    let mut aad = Vec::with_capacity(table.len() + 16);
    aad.extend_from_slice(table.as_bytes());
    aad.push(0);
    aad.extend_from_slice(&row.to_be_bytes());
    aad.extend_from_slice(&VALUE_VERSION.to_be_bytes());
    aad
}
