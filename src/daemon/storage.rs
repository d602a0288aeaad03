//! The store and its root key, as the config names them.

use crate::config::{Config, StoreUrl};
use crate::metrics::Metrics;
use interline_envelope::RootKey;
use interline_store::{RootKeyFile, SqliteStore, StoreError};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the store's root key is kept when the config names none.
pub fn root_key_path(config: &Config) -> PathBuf {
    let StoreUrl::Sqlite(path) = &config.store.url;
    path.with_file_name("root.key")
}

/// Where the running daemon's status can be asked for.
pub fn status_socket_path<S>(config: &Config<S>) -> PathBuf {
    let StoreUrl::Sqlite(path) = &config.store.url;
    config.admin.socket.clone().unwrap_or_else(|| path.with_file_name("interline.sock"))
}

/// The root key: from the config, or from beside the store, where it is made once with a new store.
///
/// # Errors
/// [`StoreError`] if the key file is unreadable or missing beside an existing store, or the store is none.
pub fn root_key(config: &Config) -> Result<RootKey, StoreError> {
    if let Some(key) = config.root_key() {
        return Ok(key);
    }
    let StoreUrl::Sqlite(path) = &config.store.url;
    RootKeyFile::load_or_create(&root_key_path(config), SqliteStore::exists(path)?)
}

pub(super) fn open(
    config: &Config,
    metrics: &Metrics,
) -> Result<(SqliteStore, RootKey), StoreError> {
    let root = root_key(config)?;
    let StoreUrl::Sqlite(path) = &config.store.url;
    let store = SqliteStore::open(path, &root, &settings(config, metrics))?;
    Ok((store, root))
}

fn settings(config: &Config, metrics: &Metrics) -> interline_store::Settings {
    interline_store::Settings {
        held_rows_max: config.store.held_rows_max,
        dispatch_retention: config.store.dispatch_retention,
        copy_retention: config.store.copy_retention,
        on_commit: Arc::new(metrics.commit_observer()),
        ..interline_store::Settings::default()
    }
}
