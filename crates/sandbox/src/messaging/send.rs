//! `/messages` and profiles of Messenger and Instagram.
//!
//! Source: platform facts, sections 1, 4, 5, 6, and the send fixtures. A message and a sender action never share a
//! request (2018014), `reply_to` stands beside `message`, and a sender action's response has no message id.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::accept::{Deed, take};
use crate::admit::Pass;
use crate::config::Kind;
use crate::graph_error::GraphError;
use crate::messaging::attach::attach;
use crate::messaging::words::{picture_url, reaction_emoji};
use crate::request::{Call, digits_or_text};
use crate::seen::{Choice, ChoiceKind, Content, Media};
use crate::server::Done;
use crate::state::Hub;
use crate::words::Held;

const MESSENGER_TEXT_CHARS_MAX: usize = 2_000;
const INSTAGRAM_TEXT_BYTES_MAX: usize = 1_000;
const METADATA_CHARS_MAX: usize = 1_000;
const QUICK_REPLIES_MAX: usize = 13;
const QUICK_REPLY_TITLE_CHARS_MAX: usize = 20;
const QUICK_REPLY_PAYLOAD_CHARS_MAX: usize = 1_000;
const TEMPLATE_TEXT_CHARS_MAX: usize = 640;
const TEMPLATE_BUTTONS_MAX: usize = 3;
const IMAGES_MAX: usize = 10;

/// `POST /{id}/messages`.
pub(crate) async fn messages(
    hub: &Arc<Hub>,
    account: &str,
    call: &Call,
) -> Result<Done, GraphError> {
    let params = &call.params;
    let message = params.get("message").filter(|message| !message.is_null());
    let action = params.get("sender_action").and_then(Value::as_str);
    if message.is_some() && action.is_some() {
        let words = "Cannot send both message and state at the same time.";
        return Err(GraphError::parameter_sub(2_018_014, words));
    }
    let person = person_of(hub, account, params).ok_or_else(|| no_such_person(hub.kind, params))?;
    let pass = messaging_type(hub.kind, params)?;
    if let Some(action) = action {
        return sender_action(hub, account, person, action, params);
    }
    let Some(message) = message.and_then(Value::as_object) else {
        return Err(GraphError::parameter("The parameter message is required"));
    };
    if message.contains_key("reply_to") {
        return Err(GraphError::parameter(
            "Invalid keys \"reply_to\" were found in param \"message\".",
        ));
    }
    let quotes = params.get("reply_to").and_then(|reply| reply.get("mid"));
    let quotes = quotes.and_then(Value::as_str).map(str::to_owned);
    let marker = metadata(hub.kind, message)?;
    let wanted = content(hub, account, call, message).await?;
    let response_id = wanted.response_id;
    let deed = Deed::Show {
        person: person.clone(),
        content: wanted.content,
        held: wanted.held,
        quotes,
        marker,
        pass,
    };
    let (native_id, receipts) = take(hub, account, deed)?;
    let mut response = json!({"recipient_id": person, "message_id": native_id});
    if let (Some(fields), Some(id)) = (response.as_object_mut(), response_id) {
        fields.insert("attachment_id".into(), json!(id));
    }
    Ok(Done { response, receipts })
}

/// The person that a request is for, if the account knows one of that id.
pub(crate) fn person_of(hub: &Hub, account: &str, params: &Map<String, Value>) -> Option<String> {
    let id = params.get("recipient")?.get("id").and_then(digits_or_text)?;
    // Nobody has an id here before the first message.
    hub.lock().phone(account, &id).filter(|phone| phone.heard_ms.is_some()).map(|_| id)
}

fn no_such_person(kind: Kind, params: &Map<String, Value>) -> GraphError {
    if params.get("recipient").is_none() {
        return GraphError::parameter("The parameter recipient is required");
    }
    match kind {
        Kind::Instagram => GraphError::parameter_sub(2_534_014, "No matching Instagram user"),
        Kind::Messenger | Kind::WhatsApp => {
            GraphError::parameter_sub(2_018_001, "No matching user found")
        }
    }
}

/// What the request's type lets through while the window is closed.
fn messaging_type(kind: Kind, params: &Map<String, Value>) -> Result<Pass, GraphError> {
    let tag = params.get("tag").and_then(Value::as_str);
    let is_template =
        params.get("message").is_some_and(|message| message.get("template").is_some());
    match params.get("messaging_type").and_then(Value::as_str) {
        None if tag == Some("HUMAN_AGENT") => Ok(Pass::HumanAgent),
        None if tag.is_none() => Ok(Pass::None),
        Some("RESPONSE" | "UPDATE") => Ok(Pass::None),
        Some("UTILITY") if kind == Kind::Messenger && is_template => Ok(Pass::Template),
        // The other tags were retired on 27 April 2026.
        Some("MESSAGE_TAG") if tag == Some("HUMAN_AGENT") => Ok(Pass::HumanAgent),
        Some(_) | None => Err(GraphError::parameter("Invalid parameter")),
    }
}

fn sender_action(
    hub: &Arc<Hub>,
    account: &str,
    person: String,
    action: &str,
    params: &Map<String, Value>,
) -> Result<Done, GraphError> {
    let response = json!({"recipient_id": person});
    let deed = match action {
        "typing_on" | "typing_off" => Deed::Typing { person, on: action == "typing_on" },
        "mark_seen" => Deed::Read { person, up_to: None, typing: false },
        "react" | "unreact" => {
            let payload = params.get("payload").and_then(Value::as_object);
            let of_payload =
                |key: &str| payload.and_then(|payload| payload.get(key)).and_then(Value::as_str);
            let target = of_payload("message_id")
                .ok_or_else(|| {
                    GraphError::parameter("The parameter payload[message_id] is required")
                })?
                .to_owned();
            let emoji = if action == "react" {
                Some(reaction(hub.kind, of_payload("reaction"))?)
            } else {
                None
            };
            let shown = hub
                .lock()
                .phone(account, &person)
                .is_some_and(|phone| phone.find(&target).is_some());
            if !shown {
                return Err(GraphError::parameter("Invalid parameter: payload[message_id]"));
            }
            Deed::React { person, target, emoji, marker: None }
        }
        _ => {
            let words = "Param sender_action must be one of {MARK_SEEN, TYPING_ON, TYPING_OFF, REACT, UNREACT}";
            return Err(GraphError::parameter(words));
        }
    };
    let (_, receipts) = take(hub, account, deed)?;
    Ok(Done { response, receipts })
}

fn reaction(kind: Kind, word: Option<&str>) -> Result<String, GraphError> {
    match (kind, word) {
        // Only `love` is documented.
        (Kind::Instagram, Some("love")) => Ok(reaction_emoji("love").to_owned()),
        (Kind::Instagram, _) => Err(GraphError::parameter_sub(2_534_015, "Invalid message data")),
        (Kind::Messenger | Kind::WhatsApp, Some(word)) if !word.is_empty() => {
            Ok(reaction_emoji(word).to_owned())
        }
        (Kind::Messenger | Kind::WhatsApp, _) => {
            Err(GraphError::parameter("The parameter payload[reaction] is required"))
        }
    }
}

/// Messenger gives it back in the echo; Instagram knows no such field.
fn metadata(kind: Kind, message: &Map<String, Value>) -> Result<Option<String>, GraphError> {
    let Some(metadata) = message.get("metadata").and_then(Value::as_str) else { return Ok(None) };
    if metadata.chars().count() > METADATA_CHARS_MAX {
        return Err(too_long("message[metadata]", METADATA_CHARS_MAX));
    }
    Ok((kind == Kind::Messenger).then(|| metadata.to_owned()))
}

fn too_long(param: &str, max: usize) -> GraphError {
    GraphError::parameter(format!("Length of param {param} must be less than or equal to {max}"))
}

struct Wanted {
    content: Content,
    held: Vec<Held>,
    /// The attachment id that the response carries.
    response_id: Option<String>,
}

impl Wanted {
    fn plain(content: Content) -> Self {
        Self { content, held: Vec::new(), response_id: None }
    }
}

async fn content(
    hub: &Hub,
    account: &str,
    call: &Call,
    message: &Map<String, Value>,
) -> Result<Wanted, GraphError> {
    let given = ["text", "attachment", "attachments", "sticker_id", "template"];
    let mut given =
        given.into_iter().filter(|key| message.get(*key).is_some_and(|value| !value.is_null()));
    let only = given.next();
    if given.next().is_some() {
        return Err(GraphError::parameter(
            "Only one of text, attachment, attachments may be set in message",
        ));
    }
    match (only, hub.kind) {
        (Some("text"), _) => text(hub.kind, message).map(Wanted::plain),
        (Some("attachment"), _) => attachment(hub, account, call, message).await,
        (Some("attachments"), Kind::Instagram) => images(hub, account, message).await,
        (Some("sticker_id"), Kind::Messenger) => {
            let id = message.get("sticker_id").and_then(digits_or_text).unwrap_or_default();
            Ok(Wanted::plain(Content::PlatformSticker(id)))
        }
        (Some("template"), Kind::Messenger) => Ok(Wanted::plain(Content::Template(
            message.get("template").cloned().unwrap_or_default(),
        ))),
        (Some(_), Kind::Instagram) => {
            Err(GraphError::parameter_sub(2_534_015, "Invalid message data"))
        }
        (Some(_) | None, _) => {
            Err(GraphError::parameter("Must send either text or an attachment in message"))
        }
    }
}

fn text(kind: Kind, message: &Map<String, Value>) -> Result<Content, GraphError> {
    let text = message.get("text").and_then(Value::as_str).unwrap_or("");
    if text.is_empty() {
        return Err(GraphError::parameter("Param message[text] must not be empty"));
    }
    // Instagram counts bytes, Messenger characters.
    let (length, max) = match kind {
        Kind::Instagram => (text.len(), INSTAGRAM_TEXT_BYTES_MAX),
        Kind::Messenger | Kind::WhatsApp => (text.chars().count(), MESSENGER_TEXT_CHARS_MAX),
    };
    if length > max {
        return Err(too_long("message[text]", max));
    }
    let choices = quick_replies(message)?;
    let text = text.to_owned();
    Ok(if choices.is_empty() { Content::Text(text) } else { Content::Choices { text, choices } })
}

fn items<'a>(fields: &'a Map<String, Value>, key: &str) -> Vec<&'a Map<String, Value>> {
    let list = fields.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object).collect()
}

fn quick_replies(message: &Map<String, Value>) -> Result<Vec<Choice>, GraphError> {
    let replies = items(message, "quick_replies");
    if replies.len() > QUICK_REPLIES_MAX {
        return Err(GraphError::parameter(
            "Param message[quick_replies] has too many elements (at most 13)",
        ));
    }
    let mut choices = Vec::new();
    for reply in replies {
        let text = |key: &str| reply.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let (title, payload) = (text("title"), text("payload"));
        if title.chars().count() > QUICK_REPLY_TITLE_CHARS_MAX {
            return Err(too_long("message[quick_replies][title]", QUICK_REPLY_TITLE_CHARS_MAX));
        }
        if payload.chars().count() > QUICK_REPLY_PAYLOAD_CHARS_MAX {
            return Err(too_long("message[quick_replies][payload]", QUICK_REPLY_PAYLOAD_CHARS_MAX));
        }
        choices.push(Choice { id: payload, title, description: None, of: ChoiceKind::QuickReply });
    }
    Ok(choices)
}

async fn attachment(
    hub: &Hub,
    account: &str,
    call: &Call,
    message: &Map<String, Value>,
) -> Result<Wanted, GraphError> {
    let Some(fields) = message.get("attachment").and_then(Value::as_object) else {
        return Err(GraphError::parameter("Param message[attachment] must be an object"));
    };
    match (fields.get("type").and_then(Value::as_str), hub.kind) {
        (Some("template"), _) => template(fields).map(Wanted::plain),
        (Some("like_heart"), Kind::Instagram) => Ok(Wanted::plain(Content::Heart)),
        (Some("MEDIA_SHARE"), Kind::Instagram) => {
            Ok(Wanted::plain(Content::Template(Value::Object(fields.clone()))))
        }
        (Some(_) | None, _) => {
            let attached = attach(hub, account, fields, call.upload.as_ref()).await?;
            let response_id = attached.reusable.then(|| attached.held.id.clone());
            let content = Content::Media(attached.held.seen(None));
            Ok(Wanted { content, held: vec![attached.held], response_id })
        }
    }
}

async fn images(
    hub: &Hub,
    account: &str,
    message: &Map<String, Value>,
) -> Result<Wanted, GraphError> {
    let list = items(message, "attachments");
    let only_images =
        list.iter().all(|item| item.get("type").and_then(Value::as_str) == Some("image"));
    if list.is_empty() || list.len() > IMAGES_MAX || !only_images {
        return Err(GraphError::parameter_sub(2_534_015, "Invalid message data"));
    }
    let mut held = Vec::new();
    for item in list {
        held.push(attach(hub, account, item, None).await?.held);
    }
    let media: Vec<Media> = held.iter().map(|held| held.seen(None)).collect();
    Ok(Wanted { content: Content::Album(media), held, response_id: None })
}

fn template(attachment: &Map<String, Value>) -> Result<Content, GraphError> {
    let Some(payload) = attachment.get("payload").and_then(Value::as_object) else {
        return Err(GraphError::parameter("Param message[attachment][payload] must be an object"));
    };
    let mut buttons = items(payload, "buttons");
    if buttons.len() > TEMPLATE_BUTTONS_MAX {
        return Err(GraphError::parameter(
            "Param message[attachment][payload][buttons] has too many elements",
        ));
    }
    let elements = items(payload, "elements");
    if elements.len() > 10 {
        return Err(GraphError::parameter(
            "Param message[attachment][payload][elements] has too many elements",
        ));
    }
    buttons.extend(elements.iter().flat_map(|element| items(element, "buttons")));
    let of = |fields: &Map<String, Value>, key: &str| {
        fields.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let choices: Vec<Choice> = buttons
        .into_iter()
        .filter(|button| of(button, "type") == "postback")
        .map(|button| Choice {
            id: of(button, "payload"),
            title: of(button, "title"),
            description: None,
            of: ChoiceKind::Postback,
        })
        .collect();
    let text = match elements.first() {
        Some(element) => of(element, "title"),
        None => of(payload, "text"),
    };
    if text.chars().count() > TEMPLATE_TEXT_CHARS_MAX {
        return Err(too_long("message[attachment][payload][text]", TEMPLATE_TEXT_CHARS_MAX));
    }
    Ok(if choices.is_empty() {
        Content::Template(Value::Object(payload.clone()))
    } else {
        Content::Choices { text, choices }
    })
}

/// `GET /{psid}` or `GET /{igsid}`.
pub(crate) fn profile(hub: &Hub, account: &str, person: &str, call: &Call) -> Option<Value> {
    let mut profile = whole_profile(hub, account, person)?;
    // `fields` chooses; the id always comes. Messenger's whole name comes only to who asks for it.
    let wanted = call.text("fields").or_else(|| {
        (hub.kind == Kind::Messenger).then(|| "first_name,last_name,profile_pic".to_owned())
    });
    if let (Some(fields), Some(wanted)) = (profile.as_object_mut(), wanted) {
        let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
        fields.retain(|key, _| key == "id" || wanted.contains(&key.as_str()));
    }
    Some(profile)
}

fn whole_profile(hub: &Hub, account: &str, person: &str) -> Option<Value> {
    let mut state = hub.lock();
    let phone = state.phone(account, person).filter(|phone| phone.heard_ms.is_some())?;
    let (name, username) = (phone.person.name.clone(), phone.person.username.clone());
    let account = &state.accounts.get(account)?.config;
    let picture = picture_url(hub.kind, &hub.base_url, account, person);
    Some(match hub.kind {
        Kind::Instagram => json!({
            "name": name,
            "username": username,
            "profile_pic": picture,
            "follower_count": 12,
            "is_verified_user": false,
            "is_user_follow_business": false,
            "is_business_follow_user": true,
            "id": person,
        }),
        Kind::Messenger | Kind::WhatsApp => {
            let (first, last) = name.split_once(' ').unwrap_or((name.as_str(), ""));
            json!({
                "name": name,
                "first_name": first,
                "last_name": last,
                "profile_pic": picture,
                "id": person,
            })
        }
    })
}
