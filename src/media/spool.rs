//! A place on the disk for media whose length nobody says, or that are converted.
//!
//! Files have no name (they are unlinked while they are open, so that nothing is left behind by a crash) and are
//! readable by the daemon's user alone. All of them together have a bound.

use super::body::Incoming;
use super::fetch::FetchError;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use std::io::Seek;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::ReaderStream;

/// What the room is counted in, so that a semaphore can count it.
const UNIT_BYTES: u64 = 4096;
/// How many bytes are read from a file at once.
const READ_BYTES: usize = 64 * 1024;

/// The room on the disk, all media together.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    room: Arc<Semaphore>,
    units_max: u32,
}

/// A medium on the disk. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Spooled {
    file: std::fs::File,
    bytes: u64,
    _room: Room,
}

/// A reservation.
#[derive(Debug)]
pub(super) struct Room {
    _units: OwnedSemaphorePermit,
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

impl Spool {
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> Self {
        let units_max = units(bytes_max);
        let room = Arc::new(Semaphore::new(usize::try_from(units_max).unwrap_or(usize::MAX)));
        Self { folder, room, units_max }
    }

    /// Room for so many bytes, once there is.
    ///
    /// # Errors
    /// [`FetchError::NoRoom`] if there never is so much, or none in time.
    pub(super) async fn room(&self, bytes: u64, wait_max: Duration) -> Result<Room, FetchError> {
        let units = units(bytes).max(1);
        if units > self.units_max {
            return Err(FetchError::NoRoom);
        }
        let permit = self.room.clone().acquire_many_owned(units);
        let permit = tokio::time::timeout(wait_max, permit).await;
        let units = permit.ok().and_then(Result::ok);
        units.map(|_units| Room { _units }).ok_or(FetchError::NoRoom)
    }

    /// An empty file that has no name and no other readers.
    pub(super) fn file(&self) -> std::io::Result<std::fs::File> {
        let file = tempfile::tempfile_in(&self.folder)?;
        // The unit's umask says so too; this holds without it.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }

    /// Writes a body down, in a file that has no name.
    pub(super) async fn keep(&self, incoming: Incoming, room: Room) -> Result<Spooled, FetchError> {
        let file = self.file().map_err(FetchError::Disk)?;
        let (stream, fate) = incoming.into_stream();
        let mut stream = std::pin::pin!(stream);
        let mut file = tokio::fs::File::from_std(file);
        let mut bytes = 0;
        loop {
            match stream.try_next().await {
                Ok(Some(chunk)) => {
                    bytes += chunk.len() as u64;
                    file.write_all(&chunk).await.map_err(FetchError::Disk)?;
                }
                Ok(None) => break,
                Err(error) => return Err(fate.take().unwrap_or(FetchError::Disk(error))),
            }
        }
        file.flush().await.map_err(FetchError::Disk)?;
        Ok(Spooled { file: file.into_std().await, bytes, _room: room })
    }
}

impl Spooled {
    /// A file that was written, by a program or here.
    pub(super) fn adopt(file: std::fs::File, room: Room) -> std::io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, _room: room })
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A handle of its own at the beginning of the file. Handles share their place in it: one at a time is read.
    pub(super) fn reopened(&self) -> std::io::Result<std::fs::File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    /// The bytes from the beginning.
    pub(super) fn stream(
        &self,
    ) -> std::io::Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>> {
        let file = tokio::fs::File::from_std(self.reopened()?);
        Ok(ReaderStream::with_capacity(file, READ_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::Limits;
    use super::*;
    use futures_util::{StreamExt, stream};
    use std::os::unix::fs::MetadataExt;

    const WAIT: Duration = Duration::from_secs(5);

    fn incoming(bytes: &'static [u8]) -> Incoming {
        let limits = Limits { bytes_max: 1 << 20, idle_max: WAIT };
        let chunks = bytes.chunks(3).map(|chunk| Ok(Bytes::from_static(chunk)));
        Incoming::new(stream::iter(chunks.collect::<Vec<_>>()).boxed(), None, None, limits).unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_can_be_read_again_and_has_neither_a_name_nor_other_readers() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned(), 1 << 20);
        let room = spool.room(10, WAIT).await.unwrap();
        let kept = spool.keep(incoming(b"0123456789"), room).await.unwrap();
        assert_eq!(kept.bytes(), 10);
        for _ in 0..2 {
            let read: Vec<Bytes> = kept.stream().unwrap().try_collect().await.unwrap();
            assert_eq!(read.concat(), b"0123456789");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file has a name");
        let about = kept.file.metadata().unwrap();
        assert_eq!((about.nlink(), about.mode() & 0o777), (0, 0o600));
    }

    #[tokio::test(start_paused = true)]
    async fn g9_the_disk_holds_no_more_than_its_bound() {
        let spool = Spool::new(std::env::temp_dir(), 10 * UNIT_BYTES);
        assert!(matches!(spool.room(11 * UNIT_BYTES, WAIT).await, Err(FetchError::NoRoom)));
        let first = spool.room(8 * UNIT_BYTES, WAIT).await.unwrap();
        assert!(matches!(spool.room(3 * UNIT_BYTES, WAIT).await, Err(FetchError::NoRoom)));
        drop(first);
        assert!(spool.room(3 * UNIT_BYTES, WAIT).await.is_ok());
    }
}
