//! What a person's screen shows.
//!
//! A [`Seen`] is one bubble in a chat. Its order is the order of acceptance by the platform; a send that was accepted
//! twice shows twice. Nothing here is hidden: tests count these.

use bytes::Bytes;
use serde_json::Value;

/// One message on a phone's screen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Rises with every message that any of the three platforms accepted: order across phones and platforms.
    pub order: u64,
    /// The platform's id for it (wamid or mid).
    pub native_id: String,
    /// The account at the other end of this chat.
    pub account: String,
    /// True: the phone's owner said it. False: the account sent it.
    pub mine: bool,
    /// What it shows now (after edits).
    pub content: Content,
    /// The native id that it quotes.
    pub quotes: Option<String>,
    /// The reaction that the account set on it, if any stands.
    pub reaction: Option<String>,
    /// The reaction that the phone's owner set on it, if any stands.
    pub my_reaction: Option<String>,
    /// For `mine`: the account marked it read. Else: the owner has read it.
    pub read: bool,
    /// The phone's owner edited it.
    pub edited: bool,
    /// The phone's owner took it back.
    pub unsent: bool,
    /// What the send carried: `biz_opaque_callback_data` or `metadata`.
    pub marker: Option<String>,
    /// Milliseconds since the Unix epoch, the platform's clock.
    pub at_ms: u64,
}

impl Seen {
    /// The words of it: a text, a caption, or the text above choices.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Media(media) => media.caption.as_deref(),
            Content::Choices { text, .. } => Some(text),
            Content::Album(_)
            | Content::Location(_)
            | Content::Contacts(_)
            | Content::Heart
            | Content::PlatformSticker(_)
            | Content::Template(_)
            | Content::Unsupported(_) => None,
        }
    }

    /// The file of it, if it is a single one.
    #[must_use]
    pub fn media(&self) -> Option<&Media> {
        match &self.content {
            Content::Media(media) => Some(media),
            Content::Text(_)
            | Content::Choices { .. }
            | Content::Album(_)
            | Content::Location(_)
            | Content::Contacts(_)
            | Content::Heart
            | Content::PlatformSticker(_)
            | Content::Template(_)
            | Content::Unsupported(_) => None,
        }
    }
}

/// What a message consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// One file, with its caption where the platform has captions.
    Media(Media),
    /// Several images in one message (Instagram out, Messenger and Instagram in).
    Album(Vec<Media>),
    /// A place.
    Location(Location),
    /// Contact cards, in WhatsApp's own shape.
    Contacts(Vec<Value>),
    /// Text or a template with buttons, rows or quick replies, which [`crate::Phone::tap`] can tap.
    Choices {
        /// The words above the choices.
        text: String,
        /// What can be tapped.
        choices: Vec<Choice>,
    },
    /// Instagram's heart.
    Heart,
    /// Messenger's first-party sticker, by its id.
    PlatformSticker(String),
    /// A template without choices, as it was sent.
    Template(Value),
    /// Something the API does not carry, by the name of its native type.
    Unsupported(String),
}

/// What sort of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A still image (Messenger: also a GIF).
    Image,
    /// A film.
    Video,
    /// A sound file.
    Audio,
    /// A voice note, where the platform tells it from a sound file.
    Voice,
    /// Any other file.
    Document,
    /// A sticker.
    Sticker,
}

/// A file on a phone's screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// What sort.
    pub kind: MediaKind,
    /// Its media type.
    pub mime: String,
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
    /// The bytes; shared, not copied.
    pub bytes: Bytes,
    /// The file's name, where there is one.
    pub filename: Option<String>,
    /// The words under it (WhatsApp only).
    pub caption: Option<String>,
}

/// A place on a phone's screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    /// What the place is called.
    pub name: Option<String>,
    /// Where it is.
    pub address: Option<String>,
}

/// Something that can be tapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Button id, row id, or payload.
    pub id: String,
    /// What stands on it.
    pub title: String,
    /// A list row's second line.
    pub description: Option<String>,
    /// What it is.
    pub of: ChoiceKind,
}

/// What sort of thing can be tapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceKind {
    /// A WhatsApp reply button.
    Button,
    /// A WhatsApp list row.
    Row,
    /// A Messenger or Instagram quick reply.
    QuickReply,
    /// A Messenger or Instagram postback button.
    Postback,
}

/// One request as the server received it.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// Rises with every request of this platform.
    pub number: u64,
    /// `GET`, `POST`, `DELETE`.
    pub method: String,
    /// The path with its version prefix, without the query.
    pub path: String,
    /// The account that it was addressed to, if that is known.
    pub account: Option<String>,
    /// The person that it was for, if that is known.
    pub person: Option<String>,
    /// The parameters, from body and query together, without the token; an uploaded file is not in it.
    pub params: Value,
    /// The status that was answered; absent while it is open, and for a connection that was cut.
    pub status: Option<u16>,
}
