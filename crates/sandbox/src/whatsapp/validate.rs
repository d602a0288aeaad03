//! The rules of WhatsApp's Send API: what a body must have, how long it may be, which files are taken.
//!
//! Source: platform facts, section 4 (limits, media out) and section 5 (errors).

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::graph_error::GraphError;
use crate::media::File;
use crate::seen::{Choice, ChoiceKind, MediaKind};

const TEXT_CHARS_MAX: usize = 4_096;
const CAPTION_CHARS_MAX: usize = 1_024;
const MARKER_CHARS_MAX: usize = 512;
const BUTTONS_MAX: usize = 3;
const BUTTON_TITLE_CHARS_MAX: usize = 20;
const BUTTON_ID_CHARS_MAX: usize = 256;
const INTERACTIVE_BODY_CHARS_MAX: usize = 1_024;
const LIST_BODY_CHARS_MAX: usize = 4_096;
const ROWS_MAX: usize = 10;
const ROW_TITLE_CHARS_MAX: usize = 24;
const ROW_DESCRIPTION_CHARS_MAX: usize = 72;
const ROW_ID_CHARS_MAX: usize = 200;

pub(crate) fn chars(text: &str) -> usize {
    text.chars().count()
}

fn at_most(name: &str, text: &str, chars_max: usize) -> Result<(), GraphError> {
    if chars(text) > chars_max {
        let message = format!("Param {name} must be at most {chars_max} characters long.");
        return Err(GraphError::parameter(message));
    }
    Ok(())
}

/// The object under `key`.
pub(crate) fn object<'a>(
    params: &'a Map<String, Value>,
    key: &str,
) -> Result<&'a Map<String, Value>, GraphError> {
    let missing = || GraphError::missing(format!("Parameter '{key}' is mandatory."));
    params
        .get(key)
        .ok_or_else(missing)?
        .as_object()
        .ok_or_else(|| GraphError::parameter(format!("Param {key} must be a JSON object.")))
}

/// The non-empty string under `key`.
pub(crate) fn string<'a>(
    fields: &'a Map<String, Value>,
    key: &str,
    name: &str,
) -> Result<&'a str, GraphError> {
    fields
        .get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| GraphError::missing(format!("Parameter '{name}' is mandatory.")))
}

pub(crate) fn text_body(fields: &Map<String, Value>) -> Result<String, GraphError> {
    let body = string(fields, "body", "text.body")?;
    at_most("text['body']", body, TEXT_CHARS_MAX)?;
    Ok(body.to_owned())
}

pub(crate) fn marker(params: &Map<String, Value>) -> Result<Option<String>, GraphError> {
    let Some(marker) = params.get("biz_opaque_callback_data").and_then(Value::as_str) else {
        return Ok(None);
    };
    at_most("biz_opaque_callback_data", marker, MARKER_CHARS_MAX)?;
    Ok(Some(marker.to_owned()))
}

/// The caption, which sound files and stickers do not have.
pub(crate) fn caption(
    kind: &str,
    fields: &Map<String, Value>,
) -> Result<Option<String>, GraphError> {
    let Some(caption) = fields.get("caption").and_then(Value::as_str) else { return Ok(None) };
    if matches!(kind, "audio" | "sticker") {
        return Err(GraphError::parameter(format!(
            "Unexpected key \"caption\" on param \"{kind}\"."
        )));
    }
    at_most(&format!("{kind}['caption']"), caption, CAPTION_CHARS_MAX)?;
    Ok(Some(caption.to_owned()))
}

/// One emoji, or nothing to take a reaction back.
pub(crate) fn emoji(fields: &Map<String, Value>) -> Result<Option<String>, GraphError> {
    let Some(emoji) = fields.get("emoji").and_then(Value::as_str).filter(|emoji| !emoji.is_empty())
    else {
        return Ok(None);
    };
    let is_plain =
        emoji.chars().count() == 1 && emoji.chars().all(|character| character.is_alphanumeric());
    if emoji.graphemes(true).count() != 1 || emoji.is_ascii() || is_plain {
        return Err(GraphError::value("reaction.emoji must be a single emoji."));
    }
    Ok(Some(emoji.to_owned()))
}

/// What is wrong with a file of that kind: the words of 131053, which come later as a failed status.
pub(crate) fn file_fault(kind: MediaKind, file: &File) -> Option<String> {
    let mime = file.mime.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let (name, types, bytes_max): (&str, &[&str], usize) = match kind {
        MediaKind::Image => ("Image", &["image/jpeg", "image/png"], 5 << 20),
        MediaKind::Video => ("Video", &["video/mp4", "video/3gpp"], 16 << 20),
        MediaKind::Audio => (
            "Audio",
            &["audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg", "audio/opus"],
            16 << 20,
        ),
        MediaKind::Voice => ("Voice", &["audio/ogg"], 16 << 20),
        MediaKind::Sticker => ("Sticker", &["image/webp"], 500 << 10),
        MediaKind::Document => ("Document", &[], 100 << 20),
    };
    if !types.is_empty() && !types.contains(&mime.as_str()) {
        let list = types.join(", ");
        return Some(format!("Unsupported {name} mime type {mime}. Please use one of {list}."));
    }
    (file.len() > bytes_max)
        .then(|| format!("{name} file size is too big: at most {bytes_max} bytes."))
}

/// Whether the upload endpoint takes that type at all.
pub(crate) fn is_uploadable(mime: &str) -> bool {
    let mime = mime.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let known = [
        "audio/aac",
        "audio/mp4",
        "audio/mpeg",
        "audio/amr",
        "audio/ogg",
        "audio/opus",
        "image/jpeg",
        "image/png",
        "image/webp",
        "video/mp4",
        "video/3gpp",
        "text/plain",
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
    ];
    known.contains(&mime.as_str())
        || mime.starts_with("application/vnd.openxmlformats-officedocument.")
}

/// The words and choices of an `interactive` body.
pub(crate) fn interactive(
    fields: &Map<String, Value>,
) -> Result<(String, Vec<Choice>), GraphError> {
    let kind = string(fields, "type", "interactive.type")?;
    let body =
        object(fields, "body").and_then(|body| string(body, "text", "interactive.body.text"));
    let action = object(fields, "action")?;
    let text = body?.to_owned();
    let choices = match kind {
        "button" => {
            at_most("interactive['body']", &text, INTERACTIVE_BODY_CHARS_MAX)?;
            buttons(action)?
        }
        "list" => {
            at_most("interactive['body']", &text, LIST_BODY_CHARS_MAX)?;
            rows(action)?
        }
        _ => Vec::new(),
    };
    Ok((text, choices))
}

fn items<'a>(fields: &'a Map<String, Value>, key: &str) -> Vec<&'a Map<String, Value>> {
    let list = fields.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object).collect()
}

fn buttons(action: &Map<String, Value>) -> Result<Vec<Choice>, GraphError> {
    let buttons = items(action, "buttons");
    if buttons.is_empty() || buttons.len() > BUTTONS_MAX {
        return Err(GraphError::value("interactive.action.buttons must have 1 to 3 buttons."));
    }
    let mut choices = Vec::new();
    for button in buttons {
        let reply = object(button, "reply")?;
        let id = string(reply, "id", "reply.id")?;
        let title = string(reply, "title", "reply.title")?;
        at_most("reply['id']", id, BUTTON_ID_CHARS_MAX)?;
        at_most("reply['title']", title, BUTTON_TITLE_CHARS_MAX)?;
        choices.push(choice(id, title, None, ChoiceKind::Button));
    }
    Ok(choices)
}

fn rows(action: &Map<String, Value>) -> Result<Vec<Choice>, GraphError> {
    at_most(
        "action['button']",
        string(action, "button", "action.button")?,
        BUTTON_TITLE_CHARS_MAX,
    )?;
    let mut choices = Vec::new();
    for row in items(action, "sections").iter().flat_map(|section| items(section, "rows")) {
        let id = string(row, "id", "row.id")?;
        let title = string(row, "title", "row.title")?;
        let description = row.get("description").and_then(Value::as_str);
        at_most("row['id']", id, ROW_ID_CHARS_MAX)?;
        at_most("row['title']", title, ROW_TITLE_CHARS_MAX)?;
        at_most("row['description']", description.unwrap_or(""), ROW_DESCRIPTION_CHARS_MAX)?;
        choices.push(choice(id, title, description, ChoiceKind::Row));
    }
    if choices.is_empty() || choices.len() > ROWS_MAX {
        return Err(GraphError::value(
            "interactive.action.sections must have 1 to 10 rows in all.",
        ));
    }
    Ok(choices)
}

fn choice(id: &str, title: &str, description: Option<&str>, of: ChoiceKind) -> Choice {
    let description = description.map(str::to_owned);
    Choice { id: id.to_owned(), title: title.to_owned(), description, of }
}
