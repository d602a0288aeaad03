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
    pub(crate) mime: String,
    pub(crate) filename: Option<String>,
    pub(crate) sha256: [u8; 32],
}

impl File {
    pub(crate) fn new(bytes: Bytes, mime: impl Into<String>, filename: Option<String>) -> Self {
        let sha256 = Sha256::digest(&bytes).into();
        Self { bytes, mime: mime.into(), filename, sha256 }
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
