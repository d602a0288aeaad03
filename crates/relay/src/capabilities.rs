//! What a target can show, with limits and their units. Each bridge declares its own, per kind of chat.

use interline_envelope::MediaKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Two people, or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// The account and one person.
    Direct,
    /// A native group.
    Group,
}

/// What a platform counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextUnit {
    /// Unicode scalar values.
    Characters,
    /// Bytes of UTF-8.
    Utf8Bytes,
}

/// A bound on a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TextLimit {
    /// The most that is taken.
    pub max: usize,
    /// Of what.
    pub unit: TextUnit,
}

impl TextLimit {
    /// How long `text` is, as the target counts.
    pub fn measure(&self, text: &str) -> usize {
        match self.unit {
            TextUnit::Characters => text.chars().count(),
            TextUnit::Utf8Bytes => text.len(),
        }
    }

    /// True if the target takes `text` whole.
    pub fn allows(&self, text: &str) -> bool {
        self.measure(text) <= self.max
    }
}

/// How one kind of media can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MediaRule {
    /// What kind this rule is about.
    pub media: MediaKind,
    /// The MIME types that are taken; `audio/*` stands for a whole family; empty means any.
    pub mimes: Vec<String>,
    /// The largest file by upload, in bytes.
    pub bytes_max: u64,
    /// The bound of a caption, or nothing where there are no captions.
    pub caption: Option<TextLimit>,
    /// How many of this kind fit into one message.
    pub per_message_max: u8,
    /// True if the platform fetches a public URL itself.
    pub by_url: bool,
    /// True if files can be uploaded first and sent by id.
    pub by_upload: bool,
}

impl MediaRule {
    /// True if the rule takes this MIME type (parameters such as `; codecs=opus` are ignored).
    pub fn takes(&self, mime: &str) -> bool {
        let bare = mime.split(';').next().unwrap_or_default().trim();
        self.mimes.is_empty()
            || self.mimes.iter().any(|rule| match rule.strip_suffix("/*") {
                Some(family) => {
                    bare.split('/').next().is_some_and(|own| own.eq_ignore_ascii_case(family))
                }
                None => rule.eq_ignore_ascii_case(bare),
            })
    }
}

/// Which reactions can be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReactionRule {
    /// None.
    None,
    /// Only these emoji (compared without U+FE0F).
    Only(Vec<String>),
    /// Every emoji.
    Any,
}

/// How a person can be told that their message was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadRule {
    /// Not at all.
    None,
    /// By message: that one and all earlier.
    Message,
    /// By thread: all so far.
    Thread,
}

/// How typing can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypingRule {
    /// Not at all.
    None,
    /// On and off, free of side effects.
    Free,
    /// Only by marking a message as read.
    MarksRead,
}

/// What marks a text may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Formatting {
    /// `*bold*`, `_italic_`, `~strike~` and code are rendered as such.
    WhatsApp,
    /// Every mark is shown as it stands.
    Plain,
}

/// Which stickers of the platform's own can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnStickers {
    /// None.
    None,
    /// Each by its id, which means nothing on another platform.
    ById,
    /// The heart alone.
    Heart,
}

/// What it takes to fetch media that came from this platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaAccess {
    /// The URL in the event can be fetched by anyone, for a while.
    PublicUrl,
    /// Only the account, with its token, by id.
    AccountToken,
}

/// What a target can show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capabilities {
    /// The bound of one text message.
    pub text: TextLimit,
    /// What marks a text may carry.
    pub formatting: Formatting,
    /// One rule for each kind of media that can be sent.
    pub media: Vec<MediaRule>,
    /// Which stickers of the platform's own can be sent, besides those that are files.
    pub own_stickers: OwnStickers,
    /// True if a message can quote another.
    pub reply: bool,
    /// Which reactions can be set.
    pub reaction: ReactionRule,
    /// True if a location can be sent as such.
    pub location: bool,
    /// True if contact cards can be sent as such.
    pub contacts: bool,
    /// How reading is told.
    pub read: ReadRule,
    /// How typing is shown.
    pub typing: TypingRule,
    /// True if a sent message can be changed.
    pub edit: bool,
    /// True if a sent message can be taken back.
    pub delete: bool,
    /// The longest marker that comes back with statuses or echoes, in bytes; nothing where none comes back.
    pub marker_bytes_max: Option<usize>,
    /// What it takes to fetch media that came from this platform.
    pub media_access: MediaAccess,
}

impl Capabilities {
    /// The rule for one kind of media.
    pub fn media_rule(&self, media: MediaKind) -> Option<&MediaRule> {
        self.media.iter().find(|rule| rule.media == media)
    }
}
