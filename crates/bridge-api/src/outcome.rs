//! What became of a request: whose fault a failure is, and whether to try again.

use interline_envelope::Redacted;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The nine classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The token or the account's link is dead.
    Reauth,
    /// The operator's set-up is wrong.
    Config,
    /// Too fast.
    Throttle,
    /// A passing fault of the platform.
    Retryable,
    /// This request can never succeed as it is.
    Permanent,
    /// This person cannot be reached.
    Recipient,
    /// The customer-service window is closed.
    Window,
    /// The business is restricted.
    Blocked,
    /// Another app owns the thread.
    Handover,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The operator's: somebody must act.
    Operator,
    /// The platform's.
    Platform,
    /// The message's.
    Message,
    /// The recipient's state.
    Recipient,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryVerdict {
    /// After a back-off, in the same lane.
    AfterBackoff,
    /// Once the account works again; its consumer pauses.
    WhenAccountRecovers,
    /// Once the person writes, or a template was sent.
    WhenWindowOpens,
    /// Once another app lets go.
    WhenThreadReturns,
    /// Not this request.
    Never,
}

impl Class {
    /// The word in logs, metrics and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reauth => "reauth",
            Self::Config => "config",
            Self::Throttle => "throttle",
            Self::Retryable => "retryable",
            Self::Permanent => "permanent",
            Self::Recipient => "recipient",
            Self::Window => "window",
            Self::Blocked => "blocked",
            Self::Handover => "handover",
        }
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Reauth | Self::Config | Self::Blocked => Fault::Operator,
            Self::Throttle | Self::Retryable | Self::Handover => Fault::Platform,
            Self::Permanent => Fault::Message,
            Self::Recipient | Self::Window => Fault::Recipient,
        }
    }

    /// Whether to try again.
    pub const fn retry(self) -> RetryVerdict {
        match self {
            Self::Throttle | Self::Retryable => RetryVerdict::AfterBackoff,
            Self::Reauth | Self::Blocked => RetryVerdict::WhenAccountRecovers,
            Self::Window => RetryVerdict::WhenWindowOpens,
            Self::Handover => RetryVerdict::WhenThreadReturns,
            Self::Config | Self::Permanent | Self::Recipient => RetryVerdict::Never,
        }
    }
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This request.
    Request,
    /// This account and this person.
    Pair,
    /// The whole account.
    Account,
}

/// Whether the person may have got it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The platform said no: nothing was sent.
    NotSent,
    /// It may have been sent.
    MaybeSent,
    /// It was sent, although an error came back.
    Sent,
}

/// A request that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub class: Class,
    /// How far it reaches.
    pub scope: Scope,
    /// How long the platform asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the person may have got it all the same.
    pub certainty: Certainty,
    /// The platform's code.
    pub code: Option<i64>,
    /// The platform's subcode.
    pub subcode: Option<i64>,
    /// The HTTP status; 0 where the platform reported it as an event.
    pub http_status: u16,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.class.as_str())?;
        if let Some(code) = self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(subcode) = self.subcode {
            write!(f, "/{subcode}")?;
        }
        write!(f, ", HTTP {}", self.http_status)
    }
}

/// Where the bytes of a medium are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The URL.
    pub url: Redacted<String>,
    /// Its MIME type.
    pub mime: Option<String>,
    /// Its length in bytes.
    pub bytes: Option<u64>,
    /// SHA-256 in lower-case hex.
    pub sha256: Option<String>,
    /// True if fetching it takes the account's token.
    pub needs_token: bool,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The platform took it. Message sends and uploads have ids; actions have none.
    Sent {
        /// The ids that the platform gave, in order.
        native_ids: Vec<Redacted<String>>,
    },
    /// The answer of [`interline_relay::Action::LocateMedia`].
    Located(Located),
    /// It did not take it, or did not say.
    Failed(Failure),
}
