//! Files, versions, tables.
//!
//! Keyed hashes are random, and random keys are what a B-tree pays for: so tables by day (small indexes, and
//! retention is a `DROP TABLE`), integer keys, no second index, and large checkpoints.

use super::keyed::SCHEMA_VERSION;
use crate::{Info, StoreError};
use interline_envelope::{RootKey, Subkey};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Forward only; the version is the number of those that were applied.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = ["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE held (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, stage INTEGER NOT NULL, lane BLOB NOT NULL,
        dispatch BLOB NOT NULL, value BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX held_dispatch ON held (stage, lane, dispatch);
    CREATE INDEX held_order ON held (stage, lane, seq);
    CREATE TABLE parked (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, target INTEGER NOT NULL, until INTEGER NOT NULL,
        dispatch BLOB NOT NULL UNIQUE, value BLOB NOT NULL
    ) STRICT;
    CREATE INDEX parked_target ON parked (target);
    CREATE TABLE tombstone (key INTEGER PRIMARY KEY, whole BLOB NOT NULL, at INTEGER NOT NULL) STRICT;
    CREATE TABLE open_event (key BLOB PRIMARY KEY, run INTEGER NOT NULL, runs INTEGER NOT NULL) STRICT;
    CREATE TABLE binding (key INTEGER PRIMARY KEY, whole BLOB NOT NULL, value BLOB NOT NULL) STRICT;
    CREATE TABLE day (kind TEXT NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (kind, day)) STRICT;
", "
    CREATE TABLE window (
        key INTEGER PRIMARY KEY, whole BLOB NOT NULL,
        opened INTEGER NOT NULL, refused INTEGER NOT NULL, invited INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE sent (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, dispatch BLOB NOT NULL UNIQUE, at INTEGER NOT NULL,
        value BLOB NOT NULL
    ) STRICT;
", "
    CREATE TABLE open_send (key INTEGER PRIMARY KEY, whole BLOB NOT NULL, value BLOB NOT NULL) STRICT;
    CREATE TABLE unread (key INTEGER PRIMARY KEY, whole BLOB NOT NULL, value BLOB NOT NULL) STRICT;
"];

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    // SQLite would make the file with the process's umask; it must never be readable by others, not for a moment.
    std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    make_private(path)?;
    let connection = with_cache(Connection::open(path)?);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 20000;
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = OFF;",
    )?;
    Ok(connection)
}

pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    Ok(with_cache(Connection::open_in_memory()?))
}

fn with_cache(connection: Connection) -> Connection {
    connection.set_prepared_statement_cache_capacity(512);
    connection
}

/// A file that came from a backup may have another mode; SQLite gives its log and index the mode of the database.
fn make_private(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let file = Path::new(&name);
        if file.exists() {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
                .map_err(|source| StoreError::Open { path: file.to_owned(), source })?;
        }
    }
    Ok(())
}

pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

fn version(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

pub(super) fn migrate(
    path: &Path,
    connection: &Connection,
    root: &RootKey,
) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    if found > 0 {
        check_key(path, connection, root)?;
    }
    for (done, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        connection.execute_batch(&format!("BEGIN; {sql}"))?;
        if done == 0 {
            connection.execute(
                "INSERT INTO meta (name, value) VALUES ('key_check', ?1), ('run', ?2)",
                (root.subkey(Subkey::Check), 0_i64.to_be_bytes()),
            )?;
        }
        connection.execute_batch(&format!("PRAGMA user_version = {}; COMMIT", done + 1))?;
    }
    Ok(())
}

/// The check is a subkey of its own: it says nothing about any other.
pub(super) fn check_key(
    path: &Path,
    connection: &Connection,
    root: &RootKey,
) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    let stored: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM meta WHERE name = 'key_check'", [], |row| row.get(0))
        .optional()?;
    match stored {
        Some(check) if check == root.subkey(Subkey::Check) => Ok(()),
        Some(_) => Err(StoreError::WrongKey { path: path.to_owned() }),
        None => Err(StoreError::Damaged),
    }
}

/// Counts the starts of the process.
pub(super) fn next_run(connection: &Connection) -> Result<i64, StoreError> {
    let bytes: Vec<u8> =
        connection.query_row("SELECT value FROM meta WHERE name = 'run'", [], |row| row.get(0))?;
    let run = <[u8; 8]>::try_from(bytes.as_slice())
        .map(i64::from_be_bytes)
        .map_err(|_| StoreError::Damaged)?
        + 1;
    connection.execute("UPDATE meta SET value = ?1 WHERE name = 'run'", [run.to_be_bytes()])?;
    Ok(run)
}

pub(super) fn info(path: &Path, connection: &Connection) -> Result<Info, StoreError> {
    let count = |table: &str| -> Result<u64, StoreError> {
        Ok(connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
    };
    Ok(Info {
        path: path.to_owned(),
        schema_version: version(connection)?,
        held_rows: count("held")?,
        parked_rows: count("parked")?,
        bytes: std::fs::metadata(path).map_or(0, |file| file.len()),
    })
}
