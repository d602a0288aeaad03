//! What `fit` is given, and what it answers.
//!
//! A [`Plan`] is stored with the first intent, so that a dispatch that was interrupted goes on with the plan that it
//! began with. *Invariant:* nothing in a [`Loss`], a [`Form`] or a [`Refusal`] is content; they may stand in logs.

use crate::{Capabilities, Conversions, Formatting, MediaAccess, Outgoing, OwnStickers, Recipient};
use interline_envelope::{Author, Envelope, Media, MediaKind, Redacted};
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
    /// Which stickers of its own it has.
    pub own_stickers: OwnStickers,
    /// True if it tells voice notes from other sounds.
    pub voice_notes: bool,
}

impl From<&Capabilities> for OriginTraits {
    fn from(origin: &Capabilities) -> Self {
        Self {
            formatting: origin.formatting,
            media_access: origin.media_access,
            own_stickers: origin.own_stickers,
            voice_notes: origin.media_rule(MediaKind::Voice).is_some(),
        }
    }
}

/// Who makes links to media that cannot be sent as such.
pub trait MediaLinks: std::fmt::Debug + Sync {
    /// An address that anybody who has it can follow for a while; nothing if this medium cannot be linked.
    fn link(&self, media: &Media) -> Option<Redacted<String>>;
}

/// What the daemon has to get media across. The default is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Means<'a> {
    /// What it can convert.
    pub conversions: Conversions,
    /// Who makes links, if anybody does.
    pub links: Option<&'a dyn MediaLinks>,
}

impl Means<'_> {
    /// A link to a medium, if one can be made.
    pub fn link(&self, media: &Media) -> Option<Redacted<String>> {
        self.links.and_then(|links| links.link(media))
    }
}

/// How a person's reaction reached the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReactionForm {
    /// It is set on the target's copy.
    Native,
    /// It was told in words.
    Text,
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
    /// On a reaction: how the one of the same person on the same message that stands until now reached the target;
    /// nothing if there is none, or if it is not known. A removal undoes what was set and says what was said; a
    /// reaction that can only be told takes away one that was set before.
    pub earlier_reaction: Option<ReactionForm>,
    /// True to put `↪ forwarded` before what was forwarded.
    pub mark_forwarded: bool,
    /// What there is to get media across.
    pub means: Means<'a>,
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

    /// What it means, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Sealed => "It is sealed, and this target holds no key.",
            Self::NoRoom => "The target's text limit leaves no room for a single character of it.",
        }
    }
}

/// Makes the enum, its words and its sentences of one list, so that none of them lacks a loss.
macro_rules! losses {
    ($($name:ident $word:literal $sentence:literal)*) => {
        /// What `fit` gave up. Closed, and without content: for logs, dead letters and `explain`.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Loss {
            $(#[doc = $sentence] $name,)*
        }

        impl Loss {
            /// Every loss that there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in logs, dead letters and records.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// What it means, for people.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                }
            }
        }
    };
}

losses! {
    TextSplit "text-split"
        "A text went out in several messages."
    TextNotShown "text-not-shown"
        "The target's limit has no room for a single one of its characters."
    FormattingRemoved "formatting-removed"
        "Bold, italic, struck or code became plain."
    MarksNeutralised "marks-neutralised"
        "An invisible character keeps literal marks from becoming formatting."
    CaptionSeparated "caption-separated"
        "A caption went out as a message of its own."
    MediaSeparated "media-separated"
        "Several media of one message went out one by one."
    MediaAsLink "media-as-link"
        "A medium became a link that will not live for ever."
    MediaConverted "media-converted"
        "A medium was converted into another format."
    MediaNotShown "media-not-shown"
        "A medium could not be shown at all."
    VoiceAsAudio "voice-as-audio"
        "A voice note became a sound file."
    StickerAsImage "sticker-as-image"
        "A sticker became a picture."
    StickerAsText "sticker-as-text"
        "A sticker became the emoji that says the same."
    MediaAsDocument "media-as-document"
        "A medium became a file."
    LocationAsText "location-as-text"
        "A place became a line of text."
    ContactsAsText "contacts-as-text"
        "Contact cards became lines of text."
    ChoiceAsText "choice-as-text"
        "A tap became the words that were on it."
    FlowAsText "flow-as-text"
        "A form's answers became lines of text."
    ShareAsText "share-as-text"
        "Something shared became its title and address."
    StoryAsText "story-as-text"
        "A story became its address, since its media must not be copied."
    OrderAsText "order-as-text"
        "A cart became lines of text."
    Unreadable "unreadable"
        "Something that the platform did not hand over, or that this version cannot read."
    ReactionAsText "reaction-as-text"
        "A reaction became a line of text."
    EditAsMessage "edit-as-message"
        "A change became a new message."
    EditTextMissing "edit-text-missing"
        "The platform did not say what the text was changed to."
    DeleteAsMessage "delete-as-message"
        "A deletion became a line of text."
    DeleteOfUnknown "delete-of-unknown"
        "What was deleted never arrived here."
    ReplyAsText "reply-as-text"
        "A quote became a line of text."
    ReplyDropped "reply-dropped"
        "What was answered is not known here."
    ForwardedDropped "forwarded-dropped"
        "It is not told that this was forwarded."
    StatusNotShown "status-not-shown"
        "The target has no way to tell how far a message came."
    TypingNotShown "typing-not-shown"
        "The target has no way to show that somebody is typing."
    NumberChangeAsText "number-change-as-text"
        "That somebody has another number is told in words."
    NotForPeople "not-for-people"
        "An event about ids, threads or the account, which no person is shown."
    Empty "empty"
        "The envelope had nothing in it."
    Sealed "sealed"
        "The envelope is sealed."
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
