//! What a person does with the phone, before it has a platform's shape.
//!
//! [`Words`] is what the three platforms have in common; [`crate::whatsapp::words`] and [`crate::messaging::words`]
//! give it their shapes, or say that the platform has no such thing.

use serde_json::Value;

use crate::media::File;
use crate::phone::PhoneError;
use crate::seen::{Choice, Content, Location, Media, MediaKind};

/// A file with the id under which the platform holds it.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) kind: MediaKind,
    pub(crate) file: File,
}

impl Held {
    pub(crate) fn seen(&self, caption: Option<String>) -> Media {
        Media {
            kind: self.kind,
            mime: self.file.mime.clone(),
            sha256: hex::encode(self.file.sha256),
            bytes: self.file.bytes.clone(),
            filename: self.file.filename.clone(),
            caption,
        }
    }
}

#[derive(Clone)]
pub(crate) enum Words {
    Text(String),
    Files { files: Vec<Held>, caption: Option<String>, animated: bool },
    Location(Location),
    Contacts(Vec<Value>),
    Heart,
    Tap(Choice),
    Unsupported(String),
}

impl Words {
    /// What the person's own screen shows.
    pub(crate) fn content(&self) -> Content {
        match self {
            Self::Text(text) => Content::Text(text.clone()),
            Self::Files { files, caption, .. } => {
                let mut media: Vec<Media> =
                    files.iter().map(|held| held.seen(caption.clone())).collect();
                match media.pop() {
                    Some(only) if media.is_empty() => Content::Media(only),
                    Some(last) => {
                        media.push(last);
                        Content::Album(media)
                    }
                    None => Content::Album(media),
                }
            }
            Self::Location(location) => Content::Location(location.clone()),
            Self::Contacts(contacts) => Content::Contacts(contacts.clone()),
            Self::Heart => Content::Heart,
            Self::Tap(choice) => Content::Text(choice.title.clone()),
            Self::Unsupported(native_type) => Content::Unsupported(native_type.clone()),
        }
    }
}

/// The message that is quoted, and who said it.
pub(crate) struct Quote {
    pub(crate) native_id: String,
    /// The person's own words.
    pub(crate) own: bool,
}

pub(crate) fn not_here(platform: crate::Kind, what: &'static str) -> PhoneError {
    PhoneError::NotOnThisPlatform { platform: platform.word(), what }
}
