//! The files that a platform holds: what people sent, what accounts uploaded, what was fetched from links.
//!
//! Bounded in bytes: the oldest file goes first, and is then as gone as an expired one.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The largest file that any of the platforms takes (a WhatsApp document).
pub(crate) const FILE_BYTES_MAX: usize = 100 << 20;

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    /// How often they stand one after the other: a large file need not be held whole.
    pub(crate) times: usize,
    pub(crate) mime: String,
    pub(crate) filename: Option<String>,
    pub(crate) sha256: [u8; 32],
}

impl File {
    pub(crate) fn new(bytes: Bytes, mime: impl Into<String>, filename: Option<String>) -> Self {
        let sha256 = Sha256::digest(&bytes).into();
        Self { bytes, times: 1, mime: mime.into(), filename, sha256 }
    }

    /// A file of the same bytes again and again.
    pub(crate) fn repeated(
        bytes: Bytes,
        times: usize,
        mime: impl Into<String>,
        filename: Option<String>,
    ) -> Self {
        let mut hash = Sha256::new();
        (0..times).for_each(|_| hash.update(&bytes));
        Self { bytes, times, mime: mime.into(), filename, sha256: hash.finalize().into() }
    }

    /// Its length in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len().saturating_mul(self.times)
    }

    /// What stands in it, piece by piece.
    pub(crate) fn pieces(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        std::iter::repeat_n(self.bytes, self.times)
    }
}

/// A PNG of one pixel.
const PICTURE: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x04\0\0\0\xb5\x1c\x0c\x02\
\0\0\0\x0bIDATx\xdacd`\0\0\0\x06\0\x020\x81\xd0/\0\0\0\0IEND\xaeB`\x82";

impl File {
    /// Everybody's profile picture.
    pub(crate) fn picture() -> Self {
        Self::new(Bytes::from_static(PICTURE), "image/png", None)
    }
}

/// A file under its id, with the account that may use it.
#[derive(Clone, Debug)]
pub(crate) struct Shelved {
    pub(crate) account: String,
    pub(crate) file: File,
}

#[derive(Default)]
pub(crate) struct Shelf {
    files: HashMap<String, Shelved>,
    ages: VecDeque<String>,
    bytes: usize,
}

impl Shelf {
    pub(crate) fn put(&mut self, id: String, account: &str, file: File, bytes_max: usize) {
        self.bytes += file.bytes.len();
        self.ages.push_back(id.clone());
        self.files.insert(id, Shelved { account: account.to_owned(), file });
        while self.bytes > bytes_max {
            let Some(oldest) = self.ages.pop_front() else { break };
            self.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Shelved> {
        self.files.get(id)
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(gone) = self.files.remove(id) else { return false };
        self.bytes -= gone.file.bytes.len();
        true
    }
}

/// A file name's ending for a media type, where the platforms put one into their URLs.
pub(crate) fn ending_of(mime: &str) -> &'static str {
    match mime.split(';').next().unwrap_or(mime).trim() {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "video/mp4" | "audio/mp4" => "mp4",
        "audio/mpeg" => "mp3",
        "audio/ogg" => "ogg",
        "application/pdf" => "pdf",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_file_has_the_length_and_the_hash_of_the_whole() {
        let repeated = File::repeated(Bytes::from_static(b"ab"), 3, "text/plain", None);
        let whole = File::new(Bytes::from_static(b"ababab"), "text/plain", None);
        assert_eq!((repeated.len(), repeated.sha256), (6, whole.sha256));
        assert_eq!(repeated.pieces().collect::<Vec<_>>().concat(), whole.bytes);
    }

    #[test]
    fn the_oldest_files_go_when_the_shelf_is_full() {
        let mut shelf = Shelf::default();
        for number in 0..10 {
            let file = File::new(Bytes::from(vec![0; 100]), "image/png", None);
            shelf.put(number.to_string(), "1", file, 350);
        }
        assert!(shelf.get("6").is_none() && shelf.get("7").is_some() && shelf.get("9").is_some());
        assert_eq!(shelf.bytes, 300);
    }
}
