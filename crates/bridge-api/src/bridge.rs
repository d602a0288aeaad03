//! The trait, and what goes in and out of it.

use crate::{Failure, Outcome, Request, Response};
use interline_envelope::{Envelope, IdKey, Kind, Platform, StatusError};
use interline_relay::{Action, Budgets, Capabilities, ChatKind, Outgoing, Quota};
use schemars::JsonSchema;
use serde::Serialize;

/// What an adapter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Translates; the daemon talks.
    Codec,
    /// Talks itself (a socket, a sync loop).
    Transport,
}

/// How the platform proves that a webhook is its own; the host checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookScheme {
    /// `X-Hub-Signature-256: sha256=<hex HMAC-SHA256 of the raw body>`, `hub.challenge` on GET.
    Hub256,
}

/// What an adapter says of itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Manifest {
    /// Its id, as it stands in addresses, routing keys and paths.
    pub id: Platform,
    /// Its own version.
    pub version: &'static str,
    /// The contract's version.
    pub contract: &'static str,
    /// What it does.
    pub roles: &'static [Role],
    /// The kinds of event it can make of native ones.
    pub kinds: &'static [Kind],
    /// How webhooks prove themselves.
    pub webhook: WebhookScheme,
    /// Where the platform's API stands, with its version, without a final slash.
    pub api_url: &'static str,
    /// The name that people know.
    pub display_name: &'static str,
    /// How fast an account may send, unless its operator knows better.
    pub budgets: Budgets,
    /// True if the platform may report a message as failed after it took it.
    pub fails_later: bool,
    /// For how many hours after a person wrote an account may write freely to them; nothing where that has no end.
    pub window_hours: Option<u32>,
}

/// A body that is no event of this platform at all. One malformed *item* is an [`ItemError`] instead.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Larger than [`interline_envelope::BODY_BYTES_MAX`].
    #[error(
        "the body has {bytes} bytes, and {max} are read at most; the platform sends up to 3 MB; is it one body?",
        max = interline_envelope::BODY_BYTES_MAX
    )]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, cut off, or nested too deeply.
    #[error("the body is not JSON that can be read: {0}; give it as it came")]
    Json(#[from] serde_json::Error),
    /// JSON of another kind.
    #[error(
        "the body is JSON, but no {expected} webhook: {why}; name the platform that it came from"
    )]
    Foreign {
        /// The platform's name.
        expected: &'static str,
        /// What is missing or different.
        why: String,
    },
    /// More items than [`interline_envelope::ITEMS_MAX`].
    #[error("the body holds more than {max} items; split it", max = interline_envelope::ITEMS_MAX)]
    TooManyItems,
}

/// One item of a body that cannot be read. It never fails its neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct ItemError {
    /// Where it stands: `entry[0].changes[1].value.messages[3]`.
    pub path: String,
    /// Why it cannot be read. Holds no content.
    pub reason: String,
}

/// One item as a minimal native body: `normalize` reads it exactly as it reads the whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// The account it is for, as far as the body says; else empty.
    pub account: String,
    /// The native bytes.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item")
            .field("account", &self.account)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// A webhook body, taken apart.
#[derive(Debug, Default)]
pub struct Split {
    /// One for each message, status, or other event, in the order of the body.
    pub items: Vec<Item>,
    /// What is not even an item. Such a piece is also in `items` if its bytes can be handed on.
    pub unreadable: Vec<ItemError>,
}

/// A native event, normalised.
#[derive(Debug, Default)]
pub struct Normalized {
    /// In the order of the body, without the repetitions that one body may hold.
    pub envelopes: Vec<Envelope>,
    /// Items that cannot become an envelope at all.
    pub unreadable: Vec<ItemError>,
}

/// Whose request is rendered.
#[derive(Clone, Copy, Debug)]
pub struct RenderContext<'a> {
    /// The account's id.
    pub account: &'a str,
    /// The id that stands in the send path, where it is another (the linked Page of an Instagram account).
    pub send_as: &'a str,
}

/// Why something cannot be rendered: a bug of `fit`, or a dispatch from elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The platform has no such thing.
    #[error("{platform} has no {what}; `fit` replaces it before it is rendered")]
    Unsupported {
        /// The platform's name.
        platform: &'static str,
        /// What was asked for.
        what: &'static str,
    },
    /// Over a limit of the platform.
    #[error(
        "{what} is over {platform}'s limit of {max} {unit}; `fit` splits it before it is rendered"
    )]
    OverLimit {
        /// The platform's name.
        platform: &'static str,
        /// What is too long.
        what: &'static str,
        /// The limit.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Something that must be known is not.
    #[error("{what} is missing, and {platform} needs it; add it")]
    Missing {
        /// The platform's name.
        platform: &'static str,
        /// What is missing.
        what: &'static str,
    },
}

/// A codec for one platform. Pure: the same input gives the same output, without clock, network or state.
///
/// The host runs every call under `catch_unwind`; a panic costs the one event (G10).
pub trait Bridge: Send + Sync + 'static {
    /// What the adapter is.
    fn manifest(&self) -> &Manifest;

    /// What its platform can show.
    fn capabilities(&self, chat: ChatKind) -> &Capabilities;

    /// Takes a webhook body apart into one minimal native body per item, in order. The envelopes of all items are
    /// those of the whole body, with the same ids.
    ///
    /// # Errors
    /// [`BodyError`] if the whole body is unreadable.
    fn split(&self, body: &[u8]) -> Result<Split, BodyError>;

    /// Translates one native event, or a whole webhook body, into envelopes.
    ///
    /// # Errors
    /// [`BodyError`] if the whole body is unreadable.
    fn normalize(&self, ids: &IdKey, event: &[u8]) -> Result<Normalized, BodyError>;

    /// Translates one thing to be sent into one request, without credentials.
    ///
    /// # Errors
    /// [`RenderError`] if the platform cannot express it.
    fn render(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
    ) -> Result<Request, RenderError>;

    /// Reads the platform's answer.
    fn interpret(&self, request: &Request, response: &Response) -> Outcome;

    /// What the error of a `failed` status means; nothing where the platform has no such statuses.
    fn judge(&self, _error: &StatusError) -> Option<Failure> {
        None
    }

    /// What invites a person to write again whose window is closed: an approved template of the operator's. Nothing
    /// where the platform has no such thing.
    fn invitation(&self, _template: &str, _language: &str) -> Option<Action> {
        None
    }

    /// How much of its quota the account has used, as far as an answer tells: a success or a failure.
    fn quota(&self, _response: &Response) -> Quota {
        Quota::default()
    }
}
