//! The root key beside the store, for installations whose config names none.

use crate::StoreError;
use interline_envelope::RootKey;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The longest key file that is read, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// The file that holds a root key: 64 hex digits, mode 0600.
#[derive(Debug)]
pub struct RootKeyFile;

impl RootKeyFile {
    /// Reads the key, or makes one for a store that is made with it.
    ///
    /// # Errors
    /// [`StoreError::KeyMissing`] if the store exists without its key, [`StoreError::KeyExposed`] if others can read
    /// it, [`StoreError::Open`] if it cannot be read or made, [`StoreError::Seal`] if it is no key.
    pub fn load_or_create(path: &Path, store_exists: bool) -> Result<RootKey, StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => {
                let mode = file.metadata().map_err(open)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(StoreError::KeyExposed { path: path.to_owned() });
                }
                let mut bytes = Vec::new();
                file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(open)?;
                Ok(RootKey::from_bytes(&bytes)?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if store_exists {
                    return Err(StoreError::KeyMissing { path: path.to_owned() });
                }
                Self::create(path)
            }
            Err(error) => Err(open(error)),
        }
    }
}

impl RootKeyFile {
    /// Written aside and then given its name, so that a crash leaves a whole key or none; linked and not renamed, so
    /// that of two that start at once both read the same.
    fn create(path: &Path) -> Result<RootKey, StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        let key = RootKey::generate()?;
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)
            .map_err(open)?;
        writeln!(file, "{}", key.to_exposed_hex()).map_err(open)?;
        file.sync_all().map_err(open)?;
        let linked = std::fs::hard_link(&aside, path);
        std::fs::remove_file(&aside).map_err(open)?;
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Self::load_or_create(path, true);
            }
            Err(error) => return Err(open(error)),
        }
        // The name must survive a crash too: a store without its key is lost.
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(open)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interline_envelope::Subkey;

    #[test]
    fn a_key_is_made_once_for_a_new_store_and_read_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let made = RootKeyFile::load_or_create(&path, false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = RootKeyFile::load_or_create(&path, true).unwrap();
        assert_eq!(made.subkey(Subkey::Id), read.subkey(Subkey::Id));
    }

    #[test]
    fn a_store_without_its_key_is_an_error_and_no_new_key_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let error = RootKeyFile::load_or_create(&path, true).unwrap_err();
        assert!(matches!(error, StoreError::KeyMissing { .. }) && error.is_config());
        assert!(!path.exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        RootKeyFile::load_or_create(&path, false).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = RootKeyFile::load_or_create(&path, true).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
