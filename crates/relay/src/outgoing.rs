//! What is to be sent, in the words that all platforms share. A bridge renders each [`Outgoing`] to one request.

use crate::Charge;
use interline_envelope::{ContactCard, Location, Media, MediaKind, Redacted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The platform's plainest id: phone digits, PSID, IGSID.
    User(Redacted<String>),
    /// A business-scoped user id (BSUID).
    ScopedId(Redacted<String>),
    /// A native group.
    Group(Redacted<String>),
    /// The author of a comment (private reply).
    Comment(Redacted<String>),
    /// A person known only from a plugin's checkbox.
    UserRef(Redacted<String>),
}

/// Why a message may be sent now (Messenger Platform, `messaging_type`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessagingType {
    /// Within the 24-hour window.
    Response,
    /// Under a tag. Relayed traffic never uses one.
    Tag(String),
    /// An approved utility template.
    Utility,
}

/// A suggestion under a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuickReply {
    /// What the person sees.
    pub title: String,
    /// What comes back.
    pub payload: String,
    /// A picture beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
}

/// Where the bytes of a medium come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// Uploaded to the target before: its media or attachment id.
    Id(Redacted<String>),
    /// The target fetches this URL.
    Url(Redacted<String>),
    /// Still on the origin: deliver fetches it, uploads it to the target and puts the id here before rendering.
    Origin(Box<Media>),
}

/// A medium to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutMedia {
    /// What it is shown as.
    pub media: MediaKind,
    /// Where its bytes are.
    pub source: MediaSource,
    /// Its file name, where the target shows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<Redacted<String>>,
    /// Words under it, where the target has captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Redacted<String>>,
    /// True to ask the target for an id under which it can be sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reusable: bool,
}

/// A file to hand to the target before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UploadSpec {
    /// What it will be shown as.
    pub media: MediaKind,
    /// Its MIME type.
    pub mime: String,
    /// Its file name.
    pub filename: Redacted<String>,
    /// Where the target should fetch it; nothing if the bytes follow in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Redacted<String>>,
}

/// Who handles a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThreadControl {
    /// Hands it to another app.
    Pass {
        /// That app's id, exact digits.
        target_app_id: String,
        /// Words for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<String>,
    },
    /// Says a last text and lets go.
    Release {
        /// The text.
        text: Redacted<String>,
    },
}

/// One thing to do on the target. Each becomes exactly one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Says a text.
    Text {
        /// Within the target's limit.
        text: Redacted<String>,
        /// True to show a preview of its first link.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        link_preview: bool,
        /// Suggestions under it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        quick_replies: Vec<QuickReply>,
    },
    /// Shows media: one, or as many as the target's rule allows.
    Media(Vec<OutMedia>),
    /// Shows a place.
    Location(Location),
    /// Hands over contact cards.
    Contacts(Vec<ContactCard>),
    /// Shows one of the platform's own stickers.
    PlatformSticker(String),
    /// Shows the platform's heart.
    Heart,
    /// Shows a post of the account's own.
    SharePost(String),
    /// Sets a reaction, or removes it.
    Reaction {
        /// The target's own id of the message.
        message: Redacted<String>,
        /// The emoji; nothing to remove it.
        emoji: Option<Redacted<String>>,
    },
    /// Tells that messages were read.
    MarkRead {
        /// The message up to which, where the target wants one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Redacted<String>>,
    },
    /// Shows that somebody is typing, or no longer.
    Typing {
        /// Typing, or no longer.
        on: bool,
        /// An inbound message, where the target wants one (and marks it as read).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Redacted<String>>,
    },
    /// Buttons, lists and cards, as the platform's own object (`interactive`, or a template's `payload`).
    Interactive(Value),
    /// An approved template, as the platform's own object.
    Template(Value),
    /// Uploads a file.
    Upload(UploadSpec),
    /// Asks where the bytes of a medium are.
    LocateMedia(Redacted<String>),
    /// Moves thread control.
    ThreadControl(ThreadControl),
}

/// What is to be sent to one person, as one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outgoing {
    /// Who is written to; nothing for [`Action::Upload`] and [`Action::LocateMedia`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Recipient>,
    /// What to do.
    pub action: Action,
    /// The target's own id of the message that is quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Redacted<String>>,
    /// What comes back in statuses or echoes, where the platform gives it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Why it may be sent now; bridges put their default where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_type: Option<MessagingType>,
}

impl Outgoing {
    /// An action for one person, without quote or marker.
    pub const fn new(to: Recipient, action: Action) -> Self {
        Self { to: Some(to), action, reply_to: None, marker: None, messaging_type: None }
    }

    /// Which budgets it is taken from.
    pub fn charge(&self) -> Charge {
        match &self.action {
            Action::Media(media)
                if media.iter().any(|one| {
                    matches!(one.media, MediaKind::Audio | MediaKind::Voice | MediaKind::Video)
                }) =>
            {
                Charge::AudioVideo
            }
            Action::MarkRead { .. }
            | Action::Typing { .. }
            | Action::Upload(_)
            | Action::LocateMedia(_)
            | Action::ThreadControl(_) => Charge::Free,
            Action::Text { .. }
            | Action::Media(_)
            | Action::Location(_)
            | Action::Contacts(_)
            | Action::PlatformSticker(_)
            | Action::Heart
            | Action::SharePost(_)
            | Action::Reaction { .. }
            | Action::Interactive(_)
            | Action::Template(_) => Charge::Message,
        }
    }

    /// True if doing it twice shows nothing twice: it is simply resent when its fate is unknown.
    pub const fn is_idempotent(&self) -> bool {
        match self.action {
            Action::Reaction { .. }
            | Action::MarkRead { .. }
            | Action::Typing { .. }
            | Action::Upload(_)
            | Action::LocateMedia(_) => true,
            Action::Text { .. }
            | Action::Media(_)
            | Action::Location(_)
            | Action::Contacts(_)
            | Action::PlatformSticker(_)
            | Action::Heart
            | Action::SharePost(_)
            | Action::Interactive(_)
            | Action::Template(_)
            | Action::ThreadControl(_) => false,
        }
    }
}
