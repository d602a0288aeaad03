//! Errors in the platforms' own shape.
//!
//! `{"error": {"message", "type", "code", "error_subcode"?, "error_data"?, "is_transient"?, "fbtrace_id"}}` with the
//! HTTP status that the platform uses. WhatsApp builds on `code` and `error_data.details`, the others on code and subcode.
//! Source: platform facts, section 5.

use serde_json::{Map, Value, json};

use crate::config::Kind;
use crate::fault::GraphFault;

/// An answer that refuses a request.
#[derive(Clone, Debug)]
pub(crate) struct GraphError {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) code: u64,
    pub(crate) subcode: Option<u64>,
    pub(crate) message: String,
    pub(crate) details: Option<String>,
    pub(crate) transient: Option<bool>,
    pub(crate) regain_minutes: Option<u32>,
}

impl GraphError {
    fn new(status: u16, code: u64, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: "OAuthException",
            code,
            subcode: None,
            message: message.into(),
            details: None,
            transient: None,
            regain_minutes: None,
        }
    }

    fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    fn subcode(mut self, subcode: u64) -> Self {
        self.subcode = Some(subcode);
        self
    }

    /// A bad parameter: 100, in words.
    pub(crate) fn parameter(message: impl std::fmt::Display) -> Self {
        Self::new(400, 100, format!("(#100) {message}"))
    }

    /// Messenger and Instagram: 100 with a subcode.
    pub(crate) fn parameter_sub(subcode: u64, message: &str) -> Self {
        Self::parameter(message).subcode(subcode)
    }

    /// WhatsApp 131008: a parameter is missing.
    pub(crate) fn missing(details: impl Into<String>) -> Self {
        Self::new(400, 131_008, "(#131008) Required parameter is missing").details(details)
    }

    /// WhatsApp 131009: a parameter's value is not valid.
    pub(crate) fn value(details: impl Into<String>) -> Self {
        Self::new(400, 131_009, "(#131009) Parameter value is not valid").details(details)
    }

    /// WhatsApp 131051: the message type is not supported.
    pub(crate) fn unsupported_type() -> Self {
        Self::new(400, 131_051, "(#131051) Unsupported message type")
            .details("Unsupported message type.")
    }

    /// WhatsApp 131021: to oneself.
    pub(crate) fn to_self() -> Self {
        Self::new(400, 131_021, "(#131021) Recipient cannot be the sender")
            .details("Sender and recipient phone number is the same.")
    }

    /// 190: the token is missing, unknown, or was revoked (then with a subcode).
    pub(crate) fn token(kind: Kind, subcode: Option<u64>) -> Self {
        let status = match kind {
            Kind::WhatsApp => 401,
            Kind::Messenger | Kind::Instagram => 400,
        };
        let message = match subcode {
            None => "Invalid OAuth access token - Cannot parse access token",
            Some(_) => "Error validating access token: The session has been invalidated.",
        };
        Self { subcode, ..Self::new(status, 190, message) }
    }

    /// 10/2018278, 10/2534022: the person was not heard for too long.
    pub(crate) fn window(kind: Kind) -> Self {
        match kind {
            Kind::Instagram => {
                let message = "(#10) This message is sent outside of allowed window.";
                Self::new(403, 10, message).subcode(2_534_022)
            }
            Kind::Messenger | Kind::WhatsApp => {
                let message = "(#10) This message is sent outside of allowed window. Learn more about the new policy \
                               here: https://developers.facebook.com/docs/messenger-platform/policy-overview";
                Self::new(400, 10, message).subcode(2_018_278)
            }
        }
    }

    /// 130429, 613, 613/2534040: an account sends too fast.
    pub(crate) fn throttle(kind: Kind) -> Self {
        let calls = "(#613) Calls to this api have exceeded the rate limit.";
        match kind {
            Kind::WhatsApp => Self::new(400, 130_429, "(#130429) Rate limit hit")
                .details("Cloud API message throughput has been reached."),
            Kind::Messenger => Self::new(400, 613, calls),
            Kind::Instagram => Self::new(400, 613, calls).subcode(2_534_040),
        }
    }

    /// WhatsApp 131056: to this person only.
    pub(crate) fn throttle_pair() -> Self {
        let message = "(#131056) (Business Account, Consumer Account) pair rate limit hit";
        Self::new(400, 131_056, message).details(
            "Message failed to send because there were too many messages sent from this phone number to the same phone \
             number in a short period of time.",
        )
    }

    /// 4: the app calls too often.
    pub(crate) fn app_throttle() -> Self {
        let error = Self::new(403, 4, "(#4) Application request limit reached");
        Self { transient: Some(true), ..error }
    }

    /// 100/33: the object does not exist, or this token cannot see it.
    pub(crate) fn no_object(method: &str, id: &str) -> Self {
        let verb = method.to_ascii_lowercase();
        let message = format!(
            "Unsupported {verb} request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
             permissions, or does not support this operation. Please read the Graph API documentation at \
             https://developers.facebook.com/docs/graph-api"
        );
        Self { kind: "GraphMethodException", ..Self::new(400, 100, message) }.subcode(33)
    }

    /// 100: the object is there and has no such field or edge.
    pub(crate) fn no_field(name: &str) -> Self {
        Self::parameter(format!("Tried accessing nonexisting field ({name})"))
    }

    /// 2200: the callback URL did not answer the challenge.
    pub(crate) fn callback(why: &str) -> Self {
        let message =
            format!("(#2200) Callback verification failed with the following errors: {why}");
        Self::new(400, 2_200, message)
    }

    /// 1: the app's secret is wrong.
    pub(crate) fn client_secret() -> Self {
        Self::new(400, 1, "Error validating client secret.")
    }

    /// 2500: the path is no path of the API.
    pub(crate) fn unknown_path() -> Self {
        Self::new(400, 2_500, "Unknown path components")
    }

    /// The request's body cannot be read.
    pub(crate) fn body(why: impl std::fmt::Display) -> Self {
        Self::parameter(format!("The request's body could not be read: {why}"))
    }

    /// The HTTP body.
    pub(crate) fn body_json(&self, kind: Kind, trace: String) -> Value {
        let mut error = Map::new();
        error.insert("message".into(), json!(self.message));
        error.insert("type".into(), json!(self.kind));
        error.insert("code".into(), json!(self.code));
        if let Some(subcode) = self.subcode {
            error.insert("error_subcode".into(), json!(subcode));
        }
        if let (Kind::WhatsApp, Some(details)) = (kind, &self.details) {
            let data = json!({"messaging_product": "whatsapp", "details": details});
            error.insert("error_data".into(), data);
        }
        if let Some(transient) = self.transient {
            error.insert("is_transient".into(), json!(transient));
        }
        error.insert("fbtrace_id".into(), json!(trace));
        json!({ "error": error })
    }
}

impl From<GraphError> for GraphFault {
    fn from(error: GraphError) -> Self {
        Self {
            status: error.status,
            code: error.code,
            subcode: error.subcode,
            message: error.message,
            transient: error.transient,
            details: error.details,
            regain_minutes: error.regain_minutes,
        }
    }
}

impl From<&GraphFault> for GraphError {
    fn from(fault: &GraphFault) -> Self {
        Self {
            status: fault.status,
            kind: if fault.subcode == Some(33) { "GraphMethodException" } else { "OAuthException" },
            code: fault.code,
            subcode: fault.subcode,
            message: fault.message.clone(),
            details: fault.details.clone(),
            transient: fault.transient,
            regain_minutes: fault.regain_minutes,
        }
    }
}
