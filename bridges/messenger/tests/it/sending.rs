//! How the tests of the two bridges render and read answers.

use interline_bridge_api::{
    Bridge, Failure, Outcome, RenderContext, RenderError, Request, RequestBody, Response,
};
use interline_envelope::{MediaKind, Redacted};
use interline_relay::{Action, MediaSource, OutMedia, Outgoing, QuickReply, Recipient, UploadSpec};
use serde_json::{Map, Value};

/// The id that stands in the send path.
pub(crate) const SEND_AS: &str = "104500000000001";

pub(crate) fn render(bridge: &dyn Bridge, outgoing: &Outgoing) -> Result<Request, RenderError> {
    bridge.render(&RenderContext { account: "104500000000001", send_as: SEND_AS }, outgoing)
}

/// The body as the fixtures have it: of a form, the fields, and the file as `curl` writes it.
pub(crate) fn body_of(request: &Request) -> Value {
    match &request.body {
        RequestBody::Empty => Value::Null,
        RequestBody::Json(body) => body.clone(),
        RequestBody::Multipart { fields, file } => {
            let mut form: Map<String, Value> =
                fields.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
            let shown = format!("@{};type={}", file.filename, file.mime);
            form.insert(file.field.clone(), Value::from(shown));
            Value::Object(form)
        }
    }
}

pub(crate) fn text(words: &str) -> Action {
    Action::Text { text: words.into(), link_preview: false, quick_replies: Vec::new() }
}

pub(crate) fn quick(words: &str, replies: &[(&str, &str, Option<&str>)]) -> Action {
    let quick_replies = replies
        .iter()
        .map(|(title, payload, image)| QuickReply {
            title: (*title).to_owned(),
            payload: (*payload).to_owned(),
            image_url: image.map(str::to_owned),
        })
        .collect();
    Action::Text { text: words.into(), link_preview: false, quick_replies }
}

pub(crate) fn by_url(media: MediaKind, url: &str) -> OutMedia {
    let source = MediaSource::Url(url.into());
    OutMedia { media, source, filename: None, caption: None, reusable: false }
}

pub(crate) fn by_id(media: MediaKind, id: &str) -> OutMedia {
    OutMedia { source: MediaSource::Id(id.into()), ..by_url(media, "") }
}

pub(crate) fn upload(url: Option<&str>) -> Action {
    Action::Upload(UploadSpec {
        media: MediaKind::Image,
        mime: "image/jpeg".to_owned(),
        filename: "pic.jpg".into(),
        url: url.map(Redacted::from),
    })
}

pub(crate) fn to(id: &str, action: Action) -> Outgoing {
    Outgoing::new(Recipient::User(id.into()), action)
}

pub(crate) fn to_nobody(action: Action) -> Outgoing {
    Outgoing { to: None, ..to("", action) }
}

pub(crate) fn answer(status: u16, body: &[u8]) -> Response {
    Response { status, headers: Vec::new(), body: body.to_vec() }
}

pub(crate) fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Sent { .. } | Outcome::Located(_) => panic!("it is no failure: {outcome:?}"),
    }
}

pub(crate) fn sent(outcome: Outcome) -> Vec<String> {
    match outcome {
        Outcome::Sent { native_ids } => {
            native_ids.into_iter().map(Redacted::into_exposed).collect()
        }
        Outcome::Failed(_) | Outcome::Located(_) => panic!("it was not sent: {outcome:?}"),
    }
}
