//! What the Graph API's answer means. PLATFORMS.md sections 1 (upload, media), 4 ("Media in") and 5.

use crate::content::hex_sha256;
use interline_bridge_api::{Located, Method, Outcome, Request, RequestBody, Response};
use interline_envelope::Redacted;
use interline_graph::{IdText, Network, Text, failure_of};
use serde::Deserialize;

/// Any successful answer: the fields that it has say which.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer<'a> {
    #[serde(borrow)]
    messages: Vec<Sent<'a>>,
    #[serde(borrow)]
    id: Option<IdText<'a>>,
    success: bool,
    #[serde(borrow)]
    url: Option<Text<'a>>,
    #[serde(borrow)]
    mime_type: Option<Text<'a>>,
    #[serde(borrow)]
    sha256: Option<Text<'a>>,
    /// A number, or a string in the docs.
    #[serde(borrow)]
    file_size: Option<IdText<'a>>,
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    id: IdText<'a>,
}

/// Reads the platform's answer. HTTP 200 means taken, not delivered: failures may follow as statuses.
pub(crate) fn interpret(request: &Request, response: &Response) -> Outcome {
    if !(200..=299).contains(&response.status) {
        return Outcome::Failed(failure_of(Network::WhatsApp, response));
    }
    let answer: Option<Answer<'_>> = serde_json::from_slice(&response.body).ok();
    answer
        .and_then(|answer| understood(request, answer))
        .unwrap_or_else(|| Outcome::Failed(failure_of(Network::WhatsApp, response)))
}

fn understood(request: &Request, answer: Answer<'_>) -> Option<Outcome> {
    if request.method == Method::Get {
        return Some(Outcome::Located(Located {
            url: Redacted::new(answer.url?.into_owned()),
            mime: answer.mime_type.map(Text::into_owned),
            bytes: answer.file_size.and_then(|size| size.as_str().parse().ok()),
            sha256: answer.sha256.and_then(|hash| hex_sha256(hash.as_str())),
            needs_token: true,
        }));
    }
    let native_ids: Vec<Redacted<String>> = match request.body {
        RequestBody::Multipart { .. } => vec![answer.id?.into_owned().into()],
        RequestBody::Json(_) | RequestBody::Empty if answer.success => Vec::new(),
        RequestBody::Json(_) | RequestBody::Empty => {
            let ids: Vec<_> =
                answer.messages.into_iter().map(|sent| sent.id.into_owned().into()).collect();
            if ids.is_empty() {
                return None;
            }
            ids
        }
    };
    Some(Outcome::Sent { native_ids })
}
