//! What `fit` is given, and what it answers.
//!
//! A [`Plan`] is stored with the first intent, so that a dispatch that was interrupted goes on with the plan that it
//! began with. *Invariant:* nothing in a [`Loss`], a [`Form`] or a [`Refusal`] is content; they may stand in logs.

use crate::{Capabilities, Formatting, MediaAccess, Outgoing, Recipient};
use interline_envelope::{Author, Envelope, Redacted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known on the target of a message that another one is about. Resolved by deliver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reference {
    /// The envelope is about no other message.
    #[default]
    None,
    /// The target has copies of it, or it was written there.
    Native {
        /// The target's own ids, in the order of the copy's pieces; never empty.
        ids: Vec<Redacted<String>>,
        /// The beginning of its words; see [`crate::excerpt`].
        excerpt: Option<Redacted<String>>,
    },
    /// It is known, but the target has no copy that can be referred to.
    Known {
        /// The beginning of its words.
        excerpt: Option<Redacted<String>>,
        /// The alias of who wrote it.
        author: Option<Redacted<String>>,
    },
    /// Nothing is known of it.
    Unknown,
}

impl Reference {
    /// The first of the target's own ids.
    pub fn native_id(&self) -> Option<&Redacted<String>> {
        match self {
            Self::Native { ids, .. } => ids.first(),
            Self::None | Self::Known { .. } | Self::Unknown => None,
        }
    }

    /// The beginning of its words.
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Native { excerpt, .. } | Self::Known { excerpt, .. } => {
                excerpt.as_ref().map(Redacted::as_exposed_str)
            }
            Self::None | Self::Unknown => None,
        }
    }
}

/// What matters of the platform that an envelope came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginTraits {
    /// What marks its texts carry.
    pub formatting: Formatting,
    /// What it takes to fetch its media.
    pub media_access: MediaAccess,
}

impl From<&Capabilities> for OriginTraits {
    fn from(origin: &Capabilities) -> Self {
        Self { formatting: origin.formatting, media_access: origin.media_access }
    }
}

/// Everything that [`crate::fit`] looks at.
#[derive(Clone, Debug)]
pub struct FitInput<'a> {
    /// What happened.
    pub envelope: &'a Envelope,
    /// Who is shown as its author.
    pub author: &'a Author,
    /// Who is written to.
    pub to: &'a Recipient,
    /// What the target can show.
    pub capabilities: &'a Capabilities,
    /// What matters of the platform that the envelope came from.
    pub origin: OriginTraits,
    /// What `envelope.reply_to` is on the target.
    pub reply: &'a Reference,
    /// What `envelope.target` is on the target.
    pub target: &'a Reference,
    /// True to put `↪ forwarded` before what was forwarded.
    pub mark_forwarded: bool,
}

/// In what form something arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As what it is.
    Native,
    /// As something else that carries its meaning.
    Fallback,
    /// As a line that says that something could not be shown.
    Placeholder,
    /// Not at all; its sender has to be told.
    Refusal(Refusal),
    /// Not at all, and nobody misses it: a receipt where there are none, a deletion of what never arrived.
    Nothing,
}

impl Form {
    /// The word in logs and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Fallback => "fallback",
            Self::Placeholder => "placeholder",
            Self::Refusal(_) => "refusal",
            Self::Nothing => "nothing",
        }
    }
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It is sealed, and this target holds no key.
    Sealed,
    /// The target's text limit leaves no room for a single character.
    NoRoom,
}

impl Refusal {
    /// The word in logs, dead letters and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed-without-key",
            Self::NoRoom => "no-room-for-text",
        }
    }
}

/// What `fit` gave up. Closed, and without content: for logs, dead letters and `explain`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// A text went out in several messages.
    TextSplit,
    /// The target's limit has no room for a single one of its characters.
    TextNotShown,
    /// Bold, italic, struck or code became plain.
    FormattingRemoved,
    /// An invisible character keeps literal marks from becoming formatting.
    MarksNeutralised,
    /// A caption went out as a message of its own.
    CaptionSeparated,
    /// Several media of one message went out one by one.
    MediaSeparated,
    /// A medium became a link that will not live for ever.
    MediaAsLink,
    /// A medium could not be shown at all.
    MediaNotShown,
    /// A voice note became a sound file.
    VoiceAsAudio,
    /// A sticker became a picture.
    StickerAsImage,
    /// A sticker became the emoji that says the same.
    StickerAsText,
    /// A medium became a file.
    MediaAsDocument,
    /// A place became a line of text.
    LocationAsText,
    /// Contact cards became lines of text.
    ContactsAsText,
    /// A tap became the words that were on it.
    ChoiceAsText,
    /// A form's answers became lines of text.
    FlowAsText,
    /// Something shared became its title and address.
    ShareAsText,
    /// A story became its address, since its media must not be copied.
    StoryAsText,
    /// A cart became lines of text.
    OrderAsText,
    /// Something that the platform did not hand over, or that this version cannot read.
    Unreadable,
    /// A reaction became a line of text.
    ReactionAsText,
    /// A change became a new message.
    EditAsMessage,
    /// The platform did not say what the text was changed to.
    EditTextMissing,
    /// A deletion became a line of text.
    DeleteAsMessage,
    /// What was deleted never arrived here.
    DeleteOfUnknown,
    /// A quote became a line of text.
    ReplyAsText,
    /// What was answered is not known here.
    ReplyDropped,
    /// It is not told that this was forwarded.
    ForwardedDropped,
    /// The target has no way to tell how far a message came.
    StatusNotShown,
    /// The target has no way to show that somebody is typing.
    TypingNotShown,
    /// An event about ids, threads or the account, which no person is shown.
    NotForPeople,
    /// The envelope had nothing in it.
    Empty,
    /// The envelope is sealed.
    Sealed,
}

impl Loss {
    /// The word in logs, dead letters and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TextSplit => "text-split",
            Self::TextNotShown => "text-not-shown",
            Self::FormattingRemoved => "formatting-removed",
            Self::MarksNeutralised => "marks-neutralised",
            Self::CaptionSeparated => "caption-separated",
            Self::MediaSeparated => "media-separated",
            Self::MediaAsLink => "media-as-link",
            Self::MediaNotShown => "media-not-shown",
            Self::VoiceAsAudio => "voice-as-audio",
            Self::StickerAsImage => "sticker-as-image",
            Self::StickerAsText => "sticker-as-text",
            Self::MediaAsDocument => "media-as-document",
            Self::LocationAsText => "location-as-text",
            Self::ContactsAsText => "contacts-as-text",
            Self::ChoiceAsText => "choice-as-text",
            Self::FlowAsText => "flow-as-text",
            Self::ShareAsText => "share-as-text",
            Self::StoryAsText => "story-as-text",
            Self::OrderAsText => "order-as-text",
            Self::Unreadable => "unreadable",
            Self::ReactionAsText => "reaction-as-text",
            Self::EditAsMessage => "edit-as-message",
            Self::EditTextMissing => "edit-text-missing",
            Self::DeleteAsMessage => "delete-as-message",
            Self::DeleteOfUnknown => "delete-of-unknown",
            Self::ReplyAsText => "reply-as-text",
            Self::ReplyDropped => "reply-dropped",
            Self::ForwardedDropped => "forwarded-dropped",
            Self::StatusNotShown => "status-not-shown",
            Self::TypingNotShown => "typing-not-shown",
            Self::NotForPeople => "not-for-people",
            Self::Empty => "empty",
            Self::Sealed => "sealed",
        }
    }
}

/// What is to be sent, and what got lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// One request each, in order. The caller puts its marker into each.
    pub outgoings: Vec<Outgoing>,
    /// What was given up; each once, in the order in which it came up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// In what form it arrives: that of its worst part.
    pub form: Form,
}
