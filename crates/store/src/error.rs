//! What can go wrong with a store, and how to mend it.

use interline_envelope::SealError;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "the store {} is in use by another interline; one process owns a SQLite store, so stop the other or give this \
         one its own [store] url", path.display()
    )]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// The file cannot be opened or made.
    #[error("{} cannot be opened; check that its folder exists and that Interline's user may write there", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The root key is another than the one that the store was made with.
    #[error(
        "the root key does not belong to the store {}; give the key that it was made with, or start with an empty store",
        path.display()
    )]
    WrongKey {
        /// The store.
        path: PathBuf,
    },
    /// There is a store, but no key for it.
    #[error(
        "the store exists, but its key {} does not; restore the key from your backup: a new one could read nothing",
        path.display()
    )]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// Others can read the key.
    #[error("the key file {} can be read by others; `chmod 600` it", path.display())]
    KeyExposed {
        /// The key file.
        path: PathBuf,
    },
    /// Something else is where the store should be.
    #[error(
        "{} is no store: it is a folder, or a file of something else; name a file in [store] url that Interline makes \
         itself", path.display()
    )]
    NotAStore {
        /// What is there.
        path: PathBuf,
    },
    /// A later version made the store.
    #[error(
        "the store {} has version {found}, and this interline knows versions up to {known}; \
         run the interline that wrote it, or a later one", path.display()
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version known here.
        known: u32,
    },
    /// The bound of held rows is reached.
    #[error(
        "the store has no room for more held rows of this lane: it may hold {max} in all, as `store.held_rows_max` says; is a platform down?"
    )]
    HeldFull {
        /// The bound: [`crate::Settings::held_rows_max`].
        max: u64,
    },
    /// The bound of parked rows is reached.
    #[error(
        "the store has no room for one more dependent that waits for its message: it may hold {max}; are messages themselves stuck? `interline status` says what is held and paused"
    )]
    ParkedFull {
        /// The bound: [`crate::Settings::parked_rows_max`].
        max: u64,
    },
    /// The dispatch was never begun here.
    #[error("the store knows nothing of this dispatch, which it must; report it")]
    Unknown,
    /// A row cannot be opened or read.
    #[error(
        "a row of the store is damaged; restore the store from a backup, or start with an empty one"
    )]
    Damaged,
    /// Sealing or opening failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// SQLite says no.
    #[error("SQLite failed ({0}); is the disk full or failing?")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction that this was part of failed.
    #[error("the transaction failed: {0}; is the disk full or failing?")]
    Commit(String),
    /// The store was closed.
    #[error("the store is closed; the daemon is stopping, or an earlier line of the log says why")]
    Closed,
}

impl StoreError {
    /// True if an operator must mend the config or a key first.
    pub fn is_config(&self) -> bool {
        match self {
            Self::WrongKey { .. }
            | Self::KeyMissing { .. }
            | Self::KeyExposed { .. }
            | Self::NotAStore { .. }
            | Self::Newer { .. }
            | Self::Seal(SealError::KeyLength(_)) => true,
            // A folder that is not there, or is another user's.
            Self::Open { source, .. } => {
                matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
            }
            Self::Locked { .. }
            | Self::HeldFull { .. }
            | Self::ParkedFull { .. }
            | Self::Unknown
            | Self::Damaged
            | Self::Seal(SealError::Random | SealError::Open)
            | Self::Sqlite(_)
            | Self::Commit(_)
            | Self::Closed => false,
        }
    }
}
