//! What goes to a platform's API and what comes back, without credentials.

use interline_relay::Charge;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The HTTP methods that the platforms use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Sends.
    Post,
    /// Removes.
    Delete,
}

/// The file of a multipart body. Its bytes are streamed by the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MultipartFile {
    /// The form field that it stands in.
    pub field: String,
    /// Its name.
    pub filename: String,
    /// Its MIME type.
    pub mime: String,
}

/// A request's body.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestBody {
    /// None.
    Empty,
    /// JSON.
    Json(Value),
    /// A form with a file.
    Multipart {
        /// The other fields, in order.
        fields: Vec<(String, String)>,
        /// The file.
        file: MultipartFile,
    },
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Json(_) => "Json(<redacted>)",
            Self::Multipart { .. } => "Multipart(<redacted>)",
        })
    }
}

/// One request. The host puts the API's address in front of `route` and the credentials into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path below the API's address, without a leading slash: `106540352242922/messages`.
    pub route: String,
    /// Query parameters, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// Headers besides `content-type` and the credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: RequestBody,
    /// What comes back in statuses or echoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// True if sending it twice shows nothing twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// Which of the account's budgets it is taken from. The host knows; a bridge leaves the default.
    #[serde(default, skip_serializing_if = "is_message")]
    pub charge: Charge,
}

const fn is_message(charge: &Charge) -> bool {
    matches!(charge, Charge::Message)
}

/// A platform's answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, bounded by the host.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish()
    }
}

impl Response {
    /// The first header of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}
