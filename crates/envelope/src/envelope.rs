//! Envelope v1: a normalised event.

use crate::redacted::opaque_debug;
use crate::{ENVELOPE_BYTES_MAX, EnvelopeId, PARTS_MAX, Part, Platform, Redacted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields that this version does not know. They survive a round trip.
pub type Unknown = Map<String, Value>;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody said something, or tapped something.
    Message,
    /// A message was changed.
    Edit,
    /// A message was taken back.
    Delete,
    /// A reaction was set or removed.
    Reaction,
    /// What became of a message that was sent.
    Status,
    /// Somebody is writing.
    Typing,
    /// An ad, a link or a code opened the chat.
    Referral,
    /// A person's ids changed.
    System,
    /// Thread control moved between apps.
    Handover,
    /// About the account itself.
    Account,
    /// An item that could not be read.
    Unsupported,
}

impl Kind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Reaction => "reaction",
            Self::Status => "status",
            Self::Typing => "typing",
            Self::Referral => "referral",
            Self::System => "system",
            Self::Handover => "handover",
            Self::Account => "account",
            Self::Unsupported => "unsupported",
        }
    }

    /// True for what tells of messages and is none: nobody misses it, and it asks for no budget and no open window.
    pub const fn is_fleeting(self) -> bool {
        matches!(self, Self::Status | Self::Typing)
    }
}

/// Who spoke, in the platform's ids. All of it belongs to a person.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// The platform's plainest id for the person: phone digits, PSID, IGSID; else the BSUID.
    pub user: Redacted<String>,
    /// The business-scoped user id (BSUID), where the platform gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoped_id: Option<Redacted<String>>,
    /// The name on the person's profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Redacted<String>>,
    /// The person's public handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Redacted<String>>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Person {
    /// A person of whom only the plainest id is known.
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: Redacted::new(user.into()), ..Self::default() }
    }
}

/// What a message answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReplyTo {
    /// A message, by its native id in the chat that the reply was written in.
    Message {
        /// The platform's message id.
        native_id: Redacted<String>,
    },
    /// A story of the account.
    Story {
        /// The story.
        story: StoryRef,
    },
}

/// A story. Its media must not be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoryRef {
    /// The story's id.
    pub id: Redacted<String>,
    /// Where the platform shows it for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Redacted<String>>,
}

/// What an edit, delete, reaction or status is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Target {
    /// These messages.
    Messages {
        /// The platform's message ids.
        native_ids: Vec<Redacted<String>>,
    },
    /// Every message up to this moment.
    Watermark {
        /// Milliseconds since the Unix epoch.
        watermark: i64,
    },
}

impl Target {
    /// A target of one message.
    pub fn message(native_id: impl Into<String>) -> Self {
        Self::Messages { native_ids: vec![Redacted::new(native_id.into())] }
    }

    /// The first message id, if messages are meant.
    pub fn first(&self) -> Option<&str> {
        match self {
            Self::Messages { native_ids } => native_ids.first().map(Redacted::as_exposed_str),
            Self::Watermark { .. } => None,
        }
    }
}

/// Set or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReactionAction {
    /// Set, replacing the person's earlier one.
    Add,
    /// Removed.
    Remove,
}

/// A reaction to [`Target`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reaction {
    /// The emoji; absent on a removal that does not say which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<Redacted<String>>,
    /// Set or removed.
    pub action: ReactionAction,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// How far a sent message came. A platform's own word that this version does not know stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// The platform took it.
    Sent,
    /// It reached the person's device.
    Delivered,
    /// The person saw it.
    Read,
    /// The person listened to it.
    Played,
    /// It will not arrive.
    Failed,
    /// The platform's own word.
    #[serde(untagged)]
    Other(String),
}

impl StatusState {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }
}

/// What became of a message that we sent.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// How far it came.
    pub state: StatusState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StatusError>,
    /// What we put into the send (`biz_opaque_callback_data`, `metadata`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A platform's error that came as an event.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusError {
    /// The platform's code.
    pub code: i64,
    /// Its title.
    pub title: String,
    /// More words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Which id changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemChange {
    /// The telephone number.
    Number,
    /// The business-scoped user id.
    ScopedId,
}

/// A person's ids changed.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemEvent {
    /// Which.
    pub change: SystemChange,
    /// The id until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Redacted<String>>,
    /// The id from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Redacted<String>>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What led a person to the chat.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Referral {
    /// The platform's word: `ad`, `SHORTLINK`, `post`, …
    pub source: String,
    /// The operator's own reference in the link or ad.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Where the ad or post is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The ad's headline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Whether a person spoke to the account, or the account to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the person.
    Inbound,
    /// An echo of what the account sent.
    Outbound,
}

/// A normalised event. One JSON object; unknown fields are kept, never an error.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// 1.
    pub v: u8,
    /// Deterministic; see [`crate::IdKey::envelope_id`].
    pub id: EnvelopeId,
    /// What the event is.
    pub kind: Kind,
    /// Where it happened.
    pub platform: Platform,
    /// The operator's account there.
    pub account: String,
    /// The native conversation: the group's id, else the person's.
    pub chat: Redacted<String>,
    /// Who spoke. Absent where an event is about the account itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Person>,
    /// On an echo: the person that the account wrote to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Person>,
    /// True if the account itself sent it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub echo: bool,
    /// True if another app owns the thread.
    #[serde(default, skip_serializing_if = "is_false")]
    pub standby: bool,
    /// True if it is an old message that was synchronised now.
    #[serde(default, skip_serializing_if = "is_false")]
    pub history: bool,
    /// True if it was forwarded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forwarded: bool,
    /// The platform's id for this message, where it has one. It may contain a telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_id: Option<Redacted<String>>,
    /// Milliseconds since the Unix epoch by the platform's clock.
    pub time: i64,
    /// Content, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What a message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// What an edit, delete, reaction or status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// On kind `reaction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<Reaction>,
    /// On kind `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// On kind `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemEvent>,
    /// What opened the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral: Option<Referral>,
    /// Native fields worth keeping, at most [`crate::EXTRA_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

// serde's `skip_serializing_if` hands the field over by reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`ENVELOPE_BYTES_MAX`].
    #[error(
        "an envelope may have {ENVELOPE_BYTES_MAX} bytes, this one has {bytes}; shorten its parts or `extra`"
    )]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// More parts than [`PARTS_MAX`].
    #[error(
        "an envelope may have {PARTS_MAX} parts, this one has {parts}; send the rest as further messages"
    )]
    TooManyParts {
        /// How many it has.
        parts: usize,
    },
    /// Another version of the format.
    #[error("envelope version {0} is not known here; this daemon reads version 1; upgrade it")]
    Version(u8),
    /// Not JSON, or a required field is missing.
    #[error("not an envelope: {0}; docs/envelope.schema.json has the fields")]
    Json(#[from] serde_json::Error),
}

opaque_debug!(Person, Reaction, Status, StatusError, SystemEvent, Referral);

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelope")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("platform", &self.platform)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Envelope {
    /// A bare envelope of version 1; the caller fills in what it knows.
    pub fn new(
        id: EnvelopeId,
        kind: Kind,
        platform: Platform,
        account: impl Into<String>,
        chat: impl Into<String>,
        time: i64,
    ) -> Self {
        Self {
            v: 1,
            id,
            kind,
            platform,
            account: account.into(),
            chat: Redacted::new(chat.into()),
            from: None,
            to: None,
            echo: false,
            standby: false,
            history: false,
            forwarded: false,
            native_id: None,
            time,
            parts: Vec::new(),
            reply_to: None,
            target: None,
            reaction: None,
            status: None,
            system: None,
            referral: None,
            extra: Map::new(),
            unknown: Unknown::new(),
        }
    }

    /// Who spoke to whom.
    pub const fn direction(&self) -> Direction {
        if self.echo { Direction::Outbound } else { Direction::Inbound }
    }

    /// Checks the bounds that the types cannot express.
    ///
    /// # Errors
    /// [`EnvelopeError::Version`] or [`EnvelopeError::TooManyParts`].
    pub const fn check(&self) -> Result<(), EnvelopeError> {
        if self.v != 1 {
            return Err(EnvelopeError::Version(self.v));
        }
        if self.parts.len() > PARTS_MAX {
            return Err(EnvelopeError::TooManyParts { parts: self.parts.len() });
        }
        Ok(())
    }

    /// Encodes as JSON, one line.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLarge`] and what [`Envelope::check`] finds.
    pub fn to_json(&self) -> Result<Vec<u8>, EnvelopeError> {
        self.check()?;
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, self)?;
        if json.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes: json.len() });
        }
        Ok(json)
    }

    /// Decodes JSON.
    ///
    /// # Errors
    /// [`EnvelopeError`] says what is wrong and where.
    pub fn from_json(json: &[u8]) -> Result<Self, EnvelopeError> {
        if json.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes: json.len() });
        }
        let envelope: Self = serde_json::from_slice(json)?;
        envelope.check()?;
        Ok(envelope)
    }
}
