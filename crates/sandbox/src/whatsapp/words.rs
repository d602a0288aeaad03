//! What a WhatsApp user does, as webhook items.
//!
//! Since April 2026 `contacts[].user_id` and `messages[].from_user_id` always come; `wa_id` and `from` are absent for
//! username users. Timestamps are seconds, as a string. Source: platform facts, sections 2, 3 and 6.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::config::{AccountConfig, Kind};
use crate::meta_json::hmac_hex;
use crate::outbox::Update;
use crate::phone::PhoneError;
use crate::seen::{Choice, ChoiceKind, MediaKind};
use crate::state::PhoneState;
use crate::words::{Held, Quote, Words, not_here};

/// What a webhook item needs to know besides its content.
pub(crate) struct Setting<'a> {
    pub(crate) base_url: &'a str,
    pub(crate) account: &'a AccountConfig,
    pub(crate) phone: &'a PhoneState,
    pub(crate) now_ms: u64,
    pub(crate) url_lifetime_s: u64,
}

/// The `contacts[]` entry of a person.
pub(crate) fn contact(phone: &PhoneState) -> Value {
    let mut profile = json!({"name": phone.person.name});
    if let (Some(fields), Some(username)) = (profile.as_object_mut(), &phone.person.username) {
        fields.insert("username".into(), json!(username));
    }
    let mut contact = json!({"profile": profile, "user_id": phone.bsuid()});
    if let (Some(fields), false) = (contact.as_object_mut(), phone.person.hides_phone) {
        fields.insert("wa_id".into(), json!(phone.person.id));
    }
    contact
}

/// A URL that the platform gives out for a file; it wants the bearer token and dies at `expires_s`.
pub(crate) fn media_url(
    base_url: &str,
    account: &AccountConfig,
    id: &str,
    expires_s: u64,
) -> String {
    let hash = media_hash(account, id, expires_s);
    format!("{base_url}/whatsapp_business/attachments/?mid={id}&ext={expires_s}&hash={hash}")
}

pub(crate) fn media_hash(account: &AccountConfig, id: &str, expires_s: u64) -> String {
    hmac_hex(account.app_secret.as_bytes(), format!("{id}:{expires_s}").as_bytes())
}

/// A message of a person.
pub(crate) fn message(
    setting: &Setting<'_>,
    native_id: &str,
    quote: Option<&Quote>,
    words: &Words,
) -> Result<Update, PhoneError> {
    let (kind, content) = typed(setting, words)?;
    let mut fields = header(setting, native_id, kind);
    if kind == "unsupported" {
        fields.insert("errors".into(), unsupported_errors());
    }
    fields.insert(kind.into(), content);
    if let Some(quote) = quote {
        let from = if quote.own {
            &setting.phone.person.id
        } else {
            &setting.account.display_phone_number
        };
        fields.insert("context".into(), json!({"from": from, "id": quote.native_id}));
    }
    Ok(Update::Message { contact: contact(setting.phone), message: Value::Object(fields) })
}

fn header(setting: &Setting<'_>, native_id: &str, kind: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    if !setting.phone.person.hides_phone {
        fields.insert("from".into(), json!(setting.phone.person.id));
    }
    fields.insert("from_user_id".into(), json!(setting.phone.bsuid()));
    fields.insert("id".into(), json!(native_id));
    fields.insert("timestamp".into(), json!((setting.now_ms / 1_000).to_string()));
    fields.insert("type".into(), json!(kind));
    fields
}

fn unsupported_errors() -> Value {
    json!([{
        "code": 131_051,
        "title": "Message type unknown",
        "message": "Message type unknown",
        "error_data": {"details": "Message type is currently not supported."},
    }])
}

fn typed(setting: &Setting<'_>, words: &Words) -> Result<(&'static str, Value), PhoneError> {
    Ok(match words {
        Words::Text(text) => ("text", json!({"body": text})),
        Words::Files { files, caption, animated } => match files.as_slice() {
            [held] => file(setting, held, caption.as_deref(), *animated),
            _ => return Err(not_here(Kind::WhatsApp, "several files in one message")),
        },
        Words::Location(location) => {
            let mut fields =
                json!({"latitude": location.latitude, "longitude": location.longitude});
            if let Some(fields) = fields.as_object_mut() {
                put(fields, "name", location.name.as_deref());
                put(fields, "address", location.address.as_deref());
            }
            ("location", fields)
        }
        Words::Contacts(contacts) => ("contacts", json!(contacts)),
        Words::Heart => return Err(not_here(Kind::WhatsApp, "Instagram's heart")),
        Words::Tap(choice) => ("interactive", tap(choice)?),
        Words::Unsupported(native_type) => ("unsupported", json!({"type": native_type})),
    })
}

fn put(fields: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        fields.insert(key.into(), json!(value));
    }
}

fn file(
    setting: &Setting<'_>,
    held: &Held,
    caption: Option<&str>,
    animated: bool,
) -> (&'static str, Value) {
    let kind = match held.kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio | MediaKind::Voice => "audio",
        MediaKind::Document => "document",
        MediaKind::Sticker => "sticker",
    };
    let expires_s = setting.now_ms / 1_000 + setting.url_lifetime_s;
    let mut fields = Map::new();
    fields.insert("id".into(), json!(held.id));
    fields.insert("mime_type".into(), json!(held.file.mime));
    // Base64 here; the media endpoint gives hex.
    fields.insert("sha256".into(), json!(STANDARD.encode(held.file.sha256)));
    let url = media_url(setting.base_url, setting.account, &held.id, expires_s);
    fields.insert("url".into(), json!(url));
    put(&mut fields, "caption", caption);
    match held.kind {
        MediaKind::Audio | MediaKind::Voice => {
            fields.insert("voice".into(), json!(held.kind == MediaKind::Voice));
        }
        MediaKind::Document => put(&mut fields, "filename", held.file.filename.as_deref()),
        MediaKind::Sticker => {
            fields.insert("animated".into(), json!(animated));
        }
        MediaKind::Image | MediaKind::Video => {}
    }
    (kind, Value::Object(fields))
}

fn tap(choice: &Choice) -> Result<Value, PhoneError> {
    match choice.of {
        ChoiceKind::Button => Ok(json!({
            "type": "button_reply",
            "button_reply": {"id": choice.id, "title": choice.title},
        })),
        ChoiceKind::Row => {
            let mut row = json!({"id": choice.id, "title": choice.title});
            if let Some(fields) = row.as_object_mut() {
                put(fields, "description", choice.description.as_deref());
            }
            Ok(json!({"type": "list_reply", "list_reply": row}))
        }
        ChoiceKind::QuickReply | ChoiceKind::Postback => {
            Err(not_here(Kind::WhatsApp, "quick replies and postbacks"))
        }
    }
}

/// A reaction; an empty emoji takes it back.
pub(crate) fn reaction(
    setting: &Setting<'_>,
    native_id: &str,
    target: &str,
    emoji: &str,
) -> Update {
    let mut fields = header(setting, native_id, "reaction");
    fields.insert("reaction".into(), json!({"message_id": target, "emoji": emoji}));
    Update::Message { contact: contact(setting.phone), message: Value::Object(fields) }
}

/// An edit: since June 2026 only the fact of it, before that with the new text.
pub(crate) fn edit(
    setting: &Setting<'_>,
    native_id: &str,
    target: &str,
    text: &str,
    native: bool,
) -> Update {
    let kind = if native { "edit" } else { "unsupported" };
    let mut fields = header(setting, native_id, kind);
    if native {
        let message = json!({"type": "text", "text": {"body": text}});
        fields.insert("edit".into(), json!({"original_message_id": target, "message": message}));
    } else {
        fields.insert("errors".into(), unsupported_errors());
        fields.insert("unsupported".into(), json!({"type": "edit"}));
    }
    Update::Message { contact: contact(setting.phone), message: Value::Object(fields) }
}

/// A message taken back (coexistence numbers).
pub(crate) fn revoke(setting: &Setting<'_>, native_id: &str, target: &str) -> Update {
    let mut fields = header(setting, native_id, "revoke");
    fields.insert("revoke".into(), json!({"original_message_id": target}));
    Update::Message { contact: contact(setting.phone), message: Value::Object(fields) }
}

/// What became of a send.
pub(crate) struct Status<'a> {
    pub(crate) native_id: &'a str,
    pub(crate) state: &'a str,
    pub(crate) marker: Option<&'a str>,
    pub(crate) now_ms: u64,
}

impl Status<'_> {
    /// For a person that is known here.
    pub(crate) fn of(&self, phone: &PhoneState) -> Update {
        let mut fields = self.fields();
        if !phone.person.hides_phone {
            fields.insert("recipient_id".into(), json!(phone.person.id));
        }
        fields.insert("recipient_user_id".into(), json!(phone.bsuid()));
        Update::Status { contact: Some(contact(phone)), status: Value::Object(fields) }
    }

    /// `failed`, with its error; such a status has no contact.
    pub(crate) fn failed(&self, recipient: &str, code: u64, title: &str, details: &str) -> Update {
        let mut fields = self.fields();
        fields.insert("recipient_id".into(), json!(recipient));
        let error = json!({
            "code": code,
            "title": title,
            "message": title,
            "error_data": {"details": details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        });
        fields.insert("errors".into(), json!([error]));
        Update::Status { contact: None, status: Value::Object(fields) }
    }

    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("id".into(), json!(self.native_id));
        fields.insert("status".into(), json!(self.state));
        fields.insert("timestamp".into(), json!((self.now_ms / 1_000).to_string()));
        put(&mut fields, "biz_opaque_callback_data", self.marker);
        fields
    }
}
