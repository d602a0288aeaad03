//! Dispatch v1: an envelope bound for one participant.

use crate::redacted::opaque_debug;
use crate::{Address, DispatchId, ENVELOPE_BYTES_MAX, Envelope, LaneId, Redacted, Unknown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is shown as the author on the other side.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Author {
    /// The name that the target may see. Never a number or a platform id.
    pub alias: Redacted<String>,
    /// True if the text must carry the alias, since more than two people hear each other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Where the original stands, so that its own copy can be recorded and later replies to it resolve.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The author's address: the account that heard it and the person who said it, as the config names them.
    pub account: Address,
    /// The native conversation.
    pub chat: Redacted<String>,
    /// The native id, where the platform gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_id: Option<Redacted<String>>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// An envelope bound for one participant. Native ids of the target are resolved by deliver alone.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dispatch {
    /// 1.
    pub v: u8,
    /// Deterministic in the envelope's id and the participant.
    pub id: DispatchId,
    /// The lane: one per conversation and target. Order holds within it.
    pub lane: LaneId,
    /// The lane's dispatch before this one, if the broker had not confirmed it when this one was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<DispatchId>,
    /// The conversation's name in the config.
    pub conversation: String,
    /// The participant that it is for.
    pub to: Address,
    /// Who is shown as the author.
    pub author: Author,
    /// Where the original stands.
    pub origin: Origin,
    /// How many bridges it has passed.
    pub hop: u8,
    /// After this moment it is not worth sending: milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// What happened.
    pub envelope: Envelope,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Why bytes are not a dispatch.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// Another version of the format.
    #[error("dispatch version {0} is not known here; this daemon reads version 1; upgrade it")]
    Version(u8),
    /// Larger than an envelope and its frame may be.
    #[error("a dispatch may have {max} bytes, this one has {bytes}; the sender has to send less", max = 2 * ENVELOPE_BYTES_MAX)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, or a required field is missing.
    #[error("not a dispatch: {0}; docs/dispatch.schema.json has the fields")]
    Json(#[from] serde_json::Error),
}

opaque_debug!(Author, Origin);

impl std::fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatch")
            .field("id", &self.id)
            .field("lane", &self.lane)
            .field("envelope", &self.envelope)
            .finish_non_exhaustive()
    }
}

impl Dispatch {
    /// Encodes as JSON, one line.
    ///
    /// # Errors
    /// [`DispatchError::TooLarge`].
    pub fn to_json(&self) -> Result<Vec<u8>, DispatchError> {
        let mut json = Vec::with_capacity(Self::JSON_BYTES_USUAL);
        self.write_json(&mut json)?;
        Ok(json)
    }

    /// The room that a text's dispatch takes.
    pub const JSON_BYTES_USUAL: usize = 1024;

    /// Appends the JSON to `out`.
    ///
    /// # Errors
    /// [`DispatchError::TooLarge`].
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), DispatchError> {
        let before = out.len();
        serde_json::to_writer(&mut *out, self)?;
        let bytes = out.len() - before;
        if bytes > 2 * ENVELOPE_BYTES_MAX {
            return Err(DispatchError::TooLarge { bytes });
        }
        Ok(())
    }

    /// Decodes JSON.
    ///
    /// # Errors
    /// [`DispatchError`] says what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, DispatchError> {
        if json.len() > 2 * ENVELOPE_BYTES_MAX {
            return Err(DispatchError::TooLarge { bytes: json.len() });
        }
        let dispatch: Self = serde_json::from_slice(json)?;
        if dispatch.v != 1 {
            return Err(DispatchError::Version(dispatch.v));
        }
        Ok(dispatch)
    }
}
