//! Reads the Send API's answers. PLATFORMS.md section 5; errors through the one table of this crate.

use super::Dialect;
use crate::{IdText, failure_of};
use interline_bridge_api::{Outcome, Request, RequestBody, Response};
use interline_envelope::Redacted;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    message_id: Option<IdText<'a>>,
    #[serde(borrow)]
    attachment_id: Option<IdText<'a>>,
    success: Option<bool>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// What a success must hold, so that it is one.
enum Expected {
    MessageId,
    AttachmentId,
    /// `{"success": true}`.
    Success,
    /// Sender actions answer without a message id.
    Nothing,
}

impl Dialect {
    /// Reads an answer; see [`interline_bridge_api::Bridge::interpret`].
    ///
    /// A success without the id that it must have counts as uncertain: something else than the API has answered.
    pub fn interpret(&self, request: &Request, response: &Response) -> Outcome {
        let failed = || Outcome::Failed(failure_of(self.network, response));
        if !(200..300).contains(&response.status) {
            return failed();
        }
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(&response.body) else {
            return failed();
        };
        if answer.error.is_some() {
            return failed();
        }
        let id = match expected(request) {
            Expected::Nothing => return Outcome::Sent { native_ids: Vec::new() },
            Expected::Success if answer.success == Some(true) => {
                return Outcome::Sent { native_ids: Vec::new() };
            }
            Expected::Success => None,
            Expected::MessageId => answer.message_id,
            Expected::AttachmentId => answer.attachment_id,
        };
        match id.filter(|id| id.non_empty().is_some()) {
            Some(id) => Outcome::Sent { native_ids: vec![Redacted::new(id.into_owned())] },
            None => failed(),
        }
    }
}

fn expected(request: &Request) -> Expected {
    let path = request.route.rsplit('/').next().unwrap_or_default();
    match (path, &request.body) {
        ("message_attachments", _) => Expected::AttachmentId,
        ("messages", RequestBody::Json(body)) if body.get("sender_action").is_some() => {
            Expected::Nothing
        }
        ("messages", _) => Expected::MessageId,
        _ => Expected::Success,
    }
}
