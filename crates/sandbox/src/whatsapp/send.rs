//! WhatsApp's endpoints: `/messages`, `/media`, `/{media-id}`.
//!
//! Source: platform facts, sections 1, 4, 5, 6, and the send fixtures. Groups are not simulated: a group id is an
//! unknown recipient.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::accept::{Deed, take};
use crate::admit::Pass;
use crate::config::Kind;
use crate::fault::GraphFault;
use crate::fetch::fetch;
use crate::graph_error::GraphError;
use crate::media::File;
use crate::request::{Call, digits_or_text};
use crate::seen::{Content, Location, Media, MediaKind};
use crate::server::Done;
use crate::state::Hub;
use crate::whatsapp::validate;
use crate::words::Held;

/// To whom a send goes: the input as it was, and the person if we know one.
struct Recipient {
    input: String,
    wa_id: Option<String>,
    person: Option<String>,
    /// Only a BSUID was given.
    by_user_id: bool,
}

/// `POST /{phone-number-id}/messages`.
///
/// `later`: what a `failed` status is to say of it.
pub(crate) async fn messages(
    hub: &Arc<Hub>,
    account: &str,
    call: &Call,
    later: Option<&GraphFault>,
) -> Result<Done, GraphError> {
    let params = &call.params;
    match params.get("messaging_product").and_then(Value::as_str) {
        Some("whatsapp") => {}
        Some(_) => {
            return Err(GraphError::parameter(
                "Param messaging_product must be one of {WHATSAPP}.",
            ));
        }
        None => return Err(GraphError::missing("Parameter 'messaging_product' is mandatory.")),
    }
    if params.contains_key("status") {
        return mark_read(hub, account, params);
    }
    let recipient = recipient(hub, account, params)?;
    let marker = validate::marker(params)?;
    let kind = params.get("type").and_then(Value::as_str).unwrap_or("text");
    let mut deed = deed(hub, account, kind, params, &recipient, marker.clone()).await?;
    if let Some(fault) = later {
        deed = fails(&recipient, marker, fault);
    }
    let (native_id, receipts) = take(hub, account, deed)?;
    let mut contact = json!({"input": recipient.input});
    if let Some(fields) = contact.as_object_mut() {
        if recipient.by_user_id {
            fields.insert("user_id".into(), json!(recipient.input));
        } else {
            fields.insert("wa_id".into(), json!(recipient.wa_id));
        }
    }
    let mut message = json!({"id": native_id});
    if let (Some(fields), "template") = (message.as_object_mut(), kind) {
        fields.insert("message_status".into(), json!("accepted"));
    }
    let response =
        json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]});
    Ok(Done { response, receipts })
}

/// The person that a request is for, as far as its body says; for faults and the log.
pub(crate) fn person_of(hub: &Hub, account: &str, params: &Map<String, Value>) -> Option<String> {
    if let Some(message_id) = params.get("message_id").and_then(Value::as_str) {
        return hub.lock().holder(account, message_id);
    }
    recipient(hub, account, params).ok()?.person
}

fn recipient(
    hub: &Hub,
    account: &str,
    params: &Map<String, Value>,
) -> Result<Recipient, GraphError> {
    let state = hub.lock();
    let known = state.accounts.get(account);
    // If both are given, `to` wins.
    if let Some(input) = params.get("to").and_then(digits_or_text) {
        let digits: String = input
            .chars()
            .filter(|character| !matches!(character, '+' | ' ' | '-' | '(' | ')'))
            .collect();
        if digits.is_empty()
            || (digits.len() <= 20 && !digits.chars().all(|digit| digit.is_ascii_digit()))
        {
            return Err(GraphError::value("Parameter 'to' is not a valid phone number."));
        }
        if known.is_some_and(|account| account.config.display_phone_number == digits) {
            return Err(GraphError::to_self());
        }
        let person = known.and_then(|account| account.phones.get(&digits)).map(|_| digits.clone());
        return Ok(Recipient { input, wa_id: Some(digits), person, by_user_id: false });
    }
    let Some(input) = params.get("recipient").and_then(Value::as_str) else {
        return Err(GraphError::missing("Parameter 'to' is mandatory."));
    };
    let phones = known.into_iter().flat_map(|account| &account.phones);
    let person =
        phones.into_iter().find(|(_, phone)| phone.bsuid() == input).map(|(id, _)| id.clone());
    Ok(Recipient { input: input.to_owned(), wa_id: None, person, by_user_id: true })
}

fn mark_read(
    hub: &Arc<Hub>,
    account: &str,
    params: &Map<String, Value>,
) -> Result<Done, GraphError> {
    if params.get("status").and_then(Value::as_str) != Some("read") {
        return Err(GraphError::parameter("Param status must be one of {READ}."));
    }
    let up_to = validate::string(params, "message_id", "message_id")?;
    let typing = match params.get("typing_indicator") {
        None => false,
        Some(indicator) if indicator.get("type").and_then(Value::as_str) == Some("text") => true,
        Some(_) => {
            return Err(GraphError::parameter(
                "Param typing_indicator['type'] must be one of {TEXT}.",
            ));
        }
    };
    let holder = hub.lock().holder(account, up_to);
    let person = holder.ok_or_else(|| GraphError::value("Message ID does not exist."))?;
    let deed = Deed::Read { person, up_to: Some(up_to.to_owned()), typing };
    let (_, receipts) = take(hub, account, deed)?;
    Ok(Done { response: json!({"success": true}), receipts })
}

async fn deed(
    hub: &Hub,
    account: &str,
    kind: &str,
    params: &Map<String, Value>,
    recipient: &Recipient,
    marker: Option<String>,
) -> Result<Deed, GraphError> {
    let quotes = match params.get("context") {
        None => None,
        Some(_) if kind == "reaction" => {
            return Err(GraphError::value("A reaction message cannot have a context."));
        }
        Some(context) => {
            let id = context.get("message_id").and_then(Value::as_str);
            Some(
                id.ok_or_else(|| {
                    GraphError::missing("Parameter 'context.message_id' is mandatory.")
                })?
                .to_owned(),
            )
        }
    };
    let content = content(hub, account, kind, params).await?;
    let Some(person) = recipient.person.clone() else {
        let recipient = recipient.wa_id.clone().unwrap_or_else(|| recipient.input.clone());
        let details = "Message Undeliverable.".to_owned();
        return Ok(Deed::Fail {
            recipient,
            marker,
            code: 131_026,
            title: "Message undeliverable".to_owned(),
            details,
        });
    };
    Ok(match content {
        Wanted::Show(content, held) => {
            let is_template = matches!(content, Content::Template(_));
            let pass = if is_template { Pass::Template } else { Pass::None };
            Deed::Show { person, content, held, quotes, marker, pass }
        }
        Wanted::React { target, emoji } => {
            let shown = hub
                .lock()
                .phone(account, &person)
                .is_some_and(|phone| phone.find(&target).is_some());
            if !shown {
                return Err(GraphError::value("The message that is reacted to does not exist."));
            }
            Deed::React { person, target, emoji, marker }
        }
        Wanted::BadFile(details) => Deed::Fail {
            recipient: person,
            marker,
            code: 131_053,
            title: "Media upload error".to_owned(),
            details,
        },
    })
}

fn fails(recipient: &Recipient, marker: Option<String>, fault: &GraphFault) -> Deed {
    // Statuses have the words without the number.
    let prefix = format!("(#{}) ", fault.code);
    let title = fault.message.strip_prefix(&prefix).unwrap_or(&fault.message).to_owned();
    let details = fault.details.clone().unwrap_or_else(|| title.clone());
    let recipient = recipient.wa_id.clone().unwrap_or_else(|| recipient.input.clone());
    Deed::Fail { recipient, marker, code: fault.code, title, details }
}

enum Wanted {
    Show(Content, Vec<Held>),
    React { target: String, emoji: Option<String> },
    BadFile(String),
}

async fn content(
    hub: &Hub,
    account: &str,
    kind: &str,
    params: &Map<String, Value>,
) -> Result<Wanted, GraphError> {
    let show = |content| Ok(Wanted::Show(content, Vec::new()));
    match kind {
        "text" => show(Content::Text(validate::text_body(validate::object(params, "text")?)?)),
        "image" | "video" | "audio" | "document" | "sticker" => {
            media(hub, account, kind, validate::object(params, kind)?).await
        }
        "location" => show(Content::Location(location(validate::object(params, "location")?)?)),
        "contacts" => show(Content::Contacts(contacts(params)?)),
        "reaction" => {
            let fields = validate::object(params, "reaction")?;
            let target = validate::string(fields, "message_id", "reaction.message_id")?.to_owned();
            Ok(Wanted::React { target, emoji: validate::emoji(fields)? })
        }
        "interactive" => {
            let (text, choices) = validate::interactive(validate::object(params, "interactive")?)?;
            show(Content::Choices { text, choices })
        }
        "template" => {
            let template = validate::object(params, "template")?;
            validate::string(template, "name", "template.name")?;
            let language = validate::object(template, "language")?;
            validate::string(language, "code", "template.language.code")?;
            show(Content::Template(Value::Object(template.clone())))
        }
        _ => Err(GraphError::unsupported_type()),
    }
}

async fn media(
    hub: &Hub,
    account: &str,
    kind: &str,
    fields: &Map<String, Value>,
) -> Result<Wanted, GraphError> {
    let caption = validate::caption(kind, fields)?;
    let voice = fields.get("voice").and_then(Value::as_bool).unwrap_or(false);
    let media_kind = match kind {
        "image" => MediaKind::Image,
        "video" => MediaKind::Video,
        "sticker" => MediaKind::Sticker,
        "audio" if voice => MediaKind::Voice,
        "audio" => MediaKind::Audio,
        _ => MediaKind::Document,
    };
    let (id, file) = match (fields.get("id").and_then(digits_or_text), fields.get("link")) {
        (Some(id), None) => {
            let state = hub.lock();
            let shelved = state.shelf.get(&id).filter(|shelved| shelved.account == account);
            let Some(shelved) = shelved else {
                return Err(GraphError::value(format!("Media with ID {id} does not exist.")));
            };
            (id, shelved.file.clone())
        }
        (None, Some(link)) => {
            let link =
                link.as_str().ok_or_else(|| GraphError::parameter("Param link must be a URL."))?;
            match fetch(hub, link).await {
                Ok(file) => (String::new(), file),
                // The send has been answered with 200 by the time the platform finds out.
                Err(why) => {
                    return Ok(Wanted::BadFile(format!(
                        "Downloading media from weblink failed: {why}"
                    )));
                }
            }
        }
        (Some(_), Some(_)) => {
            return Err(GraphError::parameter(format!(
                "Param {kind} takes either id or link, not both."
            )));
        }
        (None, None) => {
            return Err(GraphError::missing(format!("Parameter '{kind}.id' is mandatory.")));
        }
    };
    if let Some(details) = validate::file_fault(media_kind, &file) {
        return Ok(Wanted::BadFile(details));
    }
    let filename = fields.get("filename").and_then(Value::as_str).map(str::to_owned);
    let seen = Media {
        kind: media_kind,
        mime: file.mime.clone(),
        sha256: hex::encode(file.sha256),
        bytes: file.bytes.clone(),
        filename: if media_kind == MediaKind::Document {
            filename.or_else(|| file.filename.clone())
        } else {
            None
        },
        caption,
    };
    Ok(Wanted::Show(Content::Media(seen), vec![Held { id, kind: media_kind, file }]))
}

/// Numbers, or strings as the documentation sends them.
fn degrees(fields: &Map<String, Value>, key: &str, max: f64) -> Result<f64, GraphError> {
    let value = fields
        .get(key)
        .ok_or_else(|| GraphError::missing(format!("Parameter 'location.{key}' is mandatory.")))?;
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number
        .filter(|number: &f64| number.abs() <= max)
        .ok_or_else(|| GraphError::value(format!("location.{key} is not a number of degrees.")))
}

fn location(fields: &Map<String, Value>) -> Result<Location, GraphError> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(Location {
        latitude: degrees(fields, "latitude", 90.0)?,
        longitude: degrees(fields, "longitude", 180.0)?,
        name: text("name"),
        address: text("address"),
    })
}

fn contacts(params: &Map<String, Value>) -> Result<Vec<Value>, GraphError> {
    let list = params.get("contacts").and_then(Value::as_array);
    let list = list.ok_or_else(|| GraphError::missing("Parameter 'contacts' is mandatory."))?;
    for contact in list {
        let name = contact.get("name").and_then(Value::as_object);
        let name =
            name.ok_or_else(|| GraphError::missing("Parameter 'contacts[].name' is mandatory."))?;
        validate::string(name, "formatted_name", "contacts[].name.formatted_name")?;
    }
    if list.is_empty() {
        return Err(GraphError::missing("Parameter 'contacts' must not be empty."));
    }
    Ok(list.clone())
}

/// `POST /{phone-number-id}/media`.
pub(crate) fn upload(hub: &Hub, account: &str, call: &Call) -> Result<Value, GraphError> {
    if call.text("messaging_product").as_deref() != Some("whatsapp") {
        return Err(GraphError::missing("Parameter 'messaging_product' is mandatory."));
    }
    let Some(file) = &call.upload else {
        return Err(GraphError::missing("Parameter 'file' is mandatory."));
    };
    let mime = match call.text("type") {
        // `type` may be a bare kind; then the part's own type counts.
        Some(kind) if kind.contains('/') => kind,
        Some(_) | None => file.mime.clone(),
    };
    if !validate::is_uploadable(&mime) {
        let message = format!(
            "Param file must be a file with one of the supported types; received file of type '{mime}'."
        );
        return Err(GraphError::parameter(message));
    }
    let file = File { mime, ..file.clone() };
    let id = hub.shelve(&mut hub.lock(), account, file);
    Ok(json!({"id": id}))
}

/// `GET /{media-id}`: a URL that lives for some minutes.
pub(crate) fn media_info(hub: &Hub, account: &str, id: &str) -> Option<Value> {
    let state = hub.lock();
    let expires_s = state.now_ms() / 1_000 + state.settings.media_url_lifetime.as_secs();
    let shelved = state.shelf.get(id).filter(|shelved| shelved.account == account)?;
    let config = &state.accounts.get(account)?.config;
    debug_assert!(hub.kind == Kind::WhatsApp, "only WhatsApp gives out media by id");
    Some(json!({
        "messaging_product": "whatsapp",
        "url": crate::whatsapp::words::media_url(&hub.base_url, config, id, expires_s),
        "mime_type": shelved.file.mime,
        // Hex here; webhooks carry base64.
        "sha256": hex::encode(shelved.file.sha256),
        "file_size": shelved.file.len(),
        "id": id,
    }))
}
