//! Attachments of Messenger and Instagram: by URL, by saved id, or uploaded; and the rules for each kind.
//!
//! Source: platform facts, section 4 (media out) and section 5 (2018008, 2018047, 2018074, 2018109).

use serde_json::{Map, Value, json};

use crate::config::Kind;
use crate::fetch::fetch;
use crate::graph_error::GraphError;
use crate::media::File;
use crate::request::{Call, digits_or_text};
use crate::seen::MediaKind;
use crate::state::Hub;
use crate::words::Held;

/// A file that the account wants to send, and whether it wants its id back.
pub(crate) struct Attached {
    pub(crate) held: Held,
    pub(crate) reusable: bool,
}

/// Finds or fetches the file of an `attachment`, and checks it.
pub(crate) async fn attach(
    hub: &Hub,
    account: &str,
    attachment: &Map<String, Value>,
    upload: Option<&File>,
) -> Result<Attached, GraphError> {
    let kind = kind_of(hub.kind, attachment)?;
    let payload = attachment.get("payload").and_then(Value::as_object);
    let of_payload = |key: &str| payload.and_then(|payload| payload.get(key));
    let reusable = match of_payload("is_reusable") {
        Some(Value::Bool(reusable)) => *reusable,
        Some(Value::String(text)) => text == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    };
    if let Some(id) = of_payload("attachment_id").and_then(digits_or_text) {
        let state = hub.lock();
        let shelved = state.shelf.get(&id).filter(|shelved| shelved.account == account);
        let Some(shelved) = shelved else {
            let words = "Possible invalid ID or you do not own the attachment.";
            return Err(GraphError::parameter_sub(2_018_074, words));
        };
        return Ok(Attached { held: Held { id, kind, file: shelved.file.clone() }, reusable });
    }
    let file = match (of_payload("url").and_then(Value::as_str), upload) {
        (Some(url), _) => fetch(hub, url).await.map_err(|_| {
            GraphError::parameter_sub(2_018_008, "Failed to fetch the file from the url")
        })?,
        (None, Some(file)) => file.clone(),
        (None, None) => {
            return Err(GraphError::parameter(
                "Param message[attachment][payload] needs a url or an attachment_id",
            ));
        }
    };
    check(hub.kind, kind, &file)?;
    let id = hub.shelve(&mut hub.lock(), account, file.clone());
    Ok(Attached { held: Held { id, kind, file }, reusable })
}

fn kind_of(platform: Kind, attachment: &Map<String, Value>) -> Result<MediaKind, GraphError> {
    match attachment.get("type").and_then(Value::as_str) {
        Some("image") => Ok(MediaKind::Image),
        Some("video") => Ok(MediaKind::Video),
        Some("audio") => Ok(MediaKind::Audio),
        Some("file") => Ok(MediaKind::Document),
        Some(_) if platform == Kind::Instagram => {
            Err(GraphError::parameter_sub(2_534_015, "Invalid message data"))
        }
        Some(_) => Err(GraphError::parameter(
            "Param message[attachment][type] must be one of {IMAGE, VIDEO, AUDIO, FILE, TEMPLATE}",
        )),
        None => Err(GraphError::parameter("Param message[attachment][type] is missing")),
    }
}

fn check(platform: Kind, kind: MediaKind, file: &File) -> Result<(), GraphError> {
    let mime = file.mime.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let (types, bytes_max): (&[&str], usize) = match (platform, kind) {
        (Kind::Instagram, MediaKind::Image) => (&["image/png", "image/jpeg", "image/gif"], 8 << 20),
        (Kind::Instagram, MediaKind::Video) => (
            &[
                "video/mp4",
                "video/ogg",
                "video/x-msvideo",
                "video/avi",
                "video/quicktime",
                "video/webm",
            ],
            25 << 20,
        ),
        (Kind::Instagram, MediaKind::Audio | MediaKind::Voice) => (
            &[
                "audio/aac",
                "audio/mp4",
                "audio/m4a",
                "audio/x-m4a",
                "audio/wav",
                "audio/x-wav",
                "video/mp4",
            ],
            25 << 20,
        ),
        (Kind::Instagram, MediaKind::Document) => (&["application/pdf"], 25 << 20),
        (_, MediaKind::Image | MediaKind::Sticker) => {
            (&["image/png", "image/jpeg", "image/gif"], 25 << 20)
        }
        (_, MediaKind::Video) => (&["video/"], 25 << 20),
        (_, MediaKind::Audio | MediaKind::Voice) => (&["audio/"], 25 << 20),
        (_, MediaKind::Document) => (&[], 25 << 20),
    };
    let fits = |wanted: &&str| {
        if wanted.ends_with('/') { mime.starts_with(wanted) } else { mime == **wanted }
    };
    if !types.is_empty() && !types.iter().any(fits) {
        return Err(match platform {
            Kind::Instagram => GraphError::parameter_sub(2_534_015, "Invalid message data"),
            Kind::Messenger | Kind::WhatsApp => {
                GraphError::parameter_sub(2_018_047, "Upload attachment failure.")
            }
        });
    }
    let plain_name = file.filename.as_deref().is_none_or(str::is_ascii);
    if platform == Kind::Instagram && !plain_name {
        return Err(GraphError::parameter_sub(2_018_047, "Upload attachment failure."));
    }
    if file.len() > bytes_max {
        return Err(GraphError::parameter_sub(
            2_018_109,
            "Attachment size exceeds allowable limit",
        ));
    }
    Ok(())
}

/// `POST /{page-id}/message_attachments`.
pub(crate) async fn upload(hub: &Hub, account: &str, call: &Call) -> Result<Value, GraphError> {
    let attachment = call.params.get("message").and_then(|message| message.get("attachment"));
    let Some(attachment) = attachment.and_then(Value::as_object) else {
        return Err(GraphError::parameter("The parameter message[attachment] is required"));
    };
    let attached = attach(hub, account, attachment, call.upload.as_ref()).await?;
    Ok(json!({"attachment_id": attached.held.id}))
}
