//! What a Messenger or Instagram user does, as messaging events; and the echoes of what an account does.
//!
//! Timestamps are milliseconds. Message, edit, reaction and unsend share one mid. Source: platform facts, sections 2,
//! 3 and 6, and the fixtures.

use serde_json::{Map, Value, json};

use crate::config::{AccountConfig, Kind};
use crate::media::{File, ending_of};
use crate::meta_json::hmac_hex;
use crate::outbox::Update;
use crate::phone::PhoneError;
use crate::seen::{ChoiceKind, Content, Media, MediaKind, Seen};
use crate::words::{Held, Quote, Words, not_here};

/// What an event needs to know besides its content.
pub(crate) struct Setting<'a> {
    pub(crate) kind: Kind,
    pub(crate) base_url: &'a str,
    pub(crate) account: &'a AccountConfig,
    pub(crate) person: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) sticker_twice: bool,
}

/// A signed URL that serves a file without a token.
pub(crate) fn cdn_url(kind: Kind, base_url: &str, account: &AccountConfig, held: &Held) -> String {
    let hash = cdn_hash(account, &held.id);
    if kind == Kind::Instagram {
        return format!("{base_url}/ig_messaging_cdn/?asset_id={}&signature={hash}", held.id);
    }
    let mut name = String::new();
    match &held.file.filename {
        // The name of a file stands only here, percent-encoded.
        Some(filename) => name.extend(url::form_urlencoded::byte_serialize(filename.as_bytes())),
        None => name = format!("{}_n.{}", held.id, ending_of(&held.file.mime)),
    }
    format!("{base_url}/v/t59.3654-21/{}/{}?_nc_cat=1&oh={hash}", held.id, name.replace('+', "%20"))
}

pub(crate) fn cdn_hash(account: &AccountConfig, id: &str) -> String {
    hmac_hex(account.app_secret.as_bytes(), id.as_bytes()).chars().take(32).collect()
}

/// How the id of a profile picture begins; behind it stands the person's.
pub(crate) const PICTURE: &str = "profile-";

/// Where a person's profile picture is.
pub(crate) fn picture_url(
    kind: Kind,
    base_url: &str,
    account: &AccountConfig,
    person: &str,
) -> String {
    let id = format!("{PICTURE}{person}");
    cdn_url(kind, base_url, account, &Held { id, kind: MediaKind::Image, file: File::picture() })
}

fn event(setting: &Setting<'_>, from_person: bool, key: &str, content: Value) -> Update {
    let (sender, recipient) = if from_person {
        (setting.person, setting.account.id.as_str())
    } else {
        (setting.account.id.as_str(), setting.person)
    };
    let mut fields = Map::new();
    fields.insert("sender".into(), json!({"id": sender}));
    fields.insert("recipient".into(), json!({"id": recipient}));
    fields.insert("timestamp".into(), json!(setting.now_ms));
    fields.insert(key.into(), content);
    Update::Event(Value::Object(fields))
}

/// A message or postback of a person.
pub(crate) fn message(
    setting: &Setting<'_>,
    mid: &str,
    quote: Option<&Quote>,
    words: &Words,
) -> Result<Update, PhoneError> {
    let mut fields = Map::new();
    fields.insert("mid".into(), json!(mid));
    match words {
        Words::Text(text) => {
            fields.insert("text".into(), json!(text));
        }
        Words::Files { files, caption, .. } => {
            if caption.is_some() {
                return Err(not_here(setting.kind, "captions"));
            }
            fields.insert("attachments".into(), json!(attachments(setting, files)?));
        }
        Words::Location(location) => {
            if setting.kind == Kind::Instagram {
                return Err(not_here(setting.kind, "locations"));
            }
            let coordinates = json!({"lat": location.latitude, "long": location.longitude});
            let payload = json!({"coordinates": coordinates});
            fields.insert("attachments".into(), json!([{"type": "location", "payload": payload}]));
        }
        Words::Contacts(_) => return Err(not_here(setting.kind, "contact cards")),
        Words::Heart => {
            if setting.kind == Kind::Messenger {
                return Err(not_here(setting.kind, "Instagram's heart"));
            }
            fields.insert("attachments".into(), json!([{"type": "like_heart"}]));
        }
        Words::Tap(choice) => match choice.of {
            ChoiceKind::QuickReply => {
                fields.insert("text".into(), json!(choice.title));
                fields.insert("quick_reply".into(), json!({"payload": choice.id}));
            }
            ChoiceKind::Postback => {
                let postback = json!({"mid": mid, "title": choice.title, "payload": choice.id});
                return Ok(event(setting, true, "postback", postback));
            }
            ChoiceKind::Button | ChoiceKind::Row => {
                return Err(not_here(setting.kind, "reply buttons and lists"));
            }
        },
        Words::Unsupported(native_type) => {
            if setting.kind == Kind::Instagram {
                fields.insert("is_unsupported".into(), json!(true));
            } else {
                let attachment = json!({"type": native_type, "payload": null});
                fields.insert("attachments".into(), json!([attachment]));
            }
        }
    }
    if let Some(quote) = quote {
        let mut reply_to = json!({"mid": quote.native_id});
        if let (Kind::Messenger, Some(reply)) = (setting.kind, reply_to.as_object_mut()) {
            reply.insert("is_self_reply".into(), json!(quote.own));
        }
        fields.insert("reply_to".into(), reply_to);
    }
    Ok(event(setting, true, "message", Value::Object(fields)))
}

fn attachments(setting: &Setting<'_>, files: &[Held]) -> Result<Vec<Value>, PhoneError> {
    let mut list = Vec::new();
    for held in files {
        let url = cdn_url(setting.kind, setting.base_url, setting.account, held);
        let kind = match held.kind {
            MediaKind::Image => "image",
            MediaKind::Video => "video",
            // Nothing marks a voice note as such.
            MediaKind::Audio | MediaKind::Voice => "audio",
            MediaKind::Document => "file",
            MediaKind::Sticker if setting.kind == Kind::Instagram => {
                return Err(not_here(setting.kind, "stickers (no webhook tells of them)"));
            }
            MediaKind::Sticker => "sticker",
        };
        if held.kind == MediaKind::Sticker {
            let payload = json!({"url": url, "sticker_id": held.id.parse::<u64>().unwrap_or(0)});
            list.push(json!({"type": kind, "payload": payload}));
            if setting.sticker_twice {
                list.push(json!({"type": "image", "payload": payload}));
            }
        } else {
            list.push(json!({"type": kind, "payload": {"url": url}}));
        }
    }
    Ok(list)
}

/// A link to the chat that was opened.
pub(crate) fn referral(setting: &Setting<'_>, reference: &str) -> Update {
    let source = if setting.kind == Kind::Instagram { "SHORTLINKS" } else { "SHORTLINK" };
    let content = json!({"ref": reference, "source": source, "type": "OPEN_THREAD"});
    event(setting, true, "referral", content)
}

/// A reaction, or with `add: false` its removal.
pub(crate) fn reaction(setting: &Setting<'_>, target: &str, emoji: &str, add: bool) -> Update {
    let mut fields = Map::new();
    fields.insert("mid".into(), json!(target));
    fields.insert("action".into(), json!(if add { "react" } else { "unreact" }));
    let word = reaction_word(emoji);
    match setting.kind {
        // On removal Instagram has neither key, and no word for other emoji.
        Kind::Instagram => {
            if add {
                fields.insert("emoji".into(), json!(emoji));
                if let Some(word) = word {
                    fields.insert("reaction".into(), json!(word));
                }
            }
        }
        Kind::Messenger | Kind::WhatsApp => {
            fields.insert("emoji".into(), json!(emoji));
            fields.insert("reaction".into(), json!(word.unwrap_or("other")));
        }
    }
    event(setting, true, "reaction", Value::Object(fields))
}

const REACTION_WORDS: [(&str, &str); 7] = [
    ("love", "❤️"),
    ("smile", "😆"),
    ("wow", "😮"),
    ("sad", "😢"),
    ("angry", "😠"),
    ("like", "👍"),
    ("dislike", "👎"),
];

fn reaction_word(emoji: &str) -> Option<&'static str> {
    let plain = emoji.trim_end_matches('\u{fe0f}');
    REACTION_WORDS
        .iter()
        .find(|(_, sign)| sign.trim_end_matches('\u{fe0f}') == plain)
        .map(|(word, _)| *word)
}

/// The emoji of a reaction word; an emoji stays what it is.
pub(crate) fn reaction_emoji(word: &str) -> &str {
    REACTION_WORDS.iter().find(|(name, _)| *name == word).map_or(word, |(_, sign)| sign)
}

pub(crate) fn edit(setting: &Setting<'_>, mid: &str, text: &str, num_edit: u32) -> Update {
    event(setting, true, "message_edit", json!({"mid": mid, "text": text, "num_edit": num_edit}))
}

/// Instagram: a message taken back.
pub(crate) fn unsend(setting: &Setting<'_>, mid: &str) -> Update {
    event(setting, true, "message", json!({"mid": mid, "is_deleted": true}))
}

/// Messenger: everything up to `watermark_ms`; Instagram: that message and those before it.
pub(crate) fn read(setting: &Setting<'_>, mid: &str, watermark_ms: u64) -> Update {
    let content = match setting.kind {
        Kind::Instagram => json!({"mid": mid}),
        Kind::Messenger | Kind::WhatsApp => json!({"watermark": watermark_ms}),
    };
    event(setting, true, "read", content)
}

pub(crate) fn delivery(setting: &Setting<'_>, mid: &str) -> Update {
    let content = json!({"mids": [mid], "watermark": setting.now_ms});
    event(setting, true, "delivery", content)
}

/// The echo of what the account sent. Instagram's has neither `app_id` nor the marker.
pub(crate) fn echo(setting: &Setting<'_>, seen: &Seen, urls: &[String]) -> Update {
    let mut fields = Map::new();
    fields.insert("mid".into(), json!(seen.native_id));
    fields.insert("is_echo".into(), json!(true));
    if setting.kind == Kind::Messenger {
        fields.insert("app_id".into(), json!(setting.account.app_id));
        if let Some(marker) = &seen.marker {
            fields.insert("metadata".into(), json!(marker));
        }
    }
    match &seen.content {
        Content::Text(text) | Content::Choices { text, .. } => {
            fields.insert("text".into(), json!(text));
        }
        Content::Media(media) => {
            fields.insert("attachments".into(), json!(echoed(std::slice::from_ref(media), urls)));
        }
        Content::Album(media) => {
            fields.insert("attachments".into(), json!(echoed(media, urls)));
        }
        Content::Heart => {
            fields.insert("attachments".into(), json!([{"type": "like_heart"}]));
        }
        Content::PlatformSticker(id) => {
            let payload = json!({"sticker_id": id.parse::<u64>().unwrap_or(0)});
            fields.insert("attachments".into(), json!([{"type": "sticker", "payload": payload}]));
        }
        Content::Template(payload) => {
            fields.insert("attachments".into(), json!([{"type": "template", "payload": payload}]));
        }
        Content::Location(_) | Content::Contacts(_) | Content::Unsupported(_) => {}
    }
    if let Some(quotes) = &seen.quotes {
        fields.insert("reply_to".into(), json!({"mid": quotes}));
    }
    event(setting, false, "message", Value::Object(fields))
}

fn echoed(media: &[Media], urls: &[String]) -> Vec<Value> {
    let kind_of = |kind: MediaKind| match kind {
        MediaKind::Image | MediaKind::Sticker => "image",
        MediaKind::Video => "video",
        MediaKind::Audio | MediaKind::Voice => "audio",
        MediaKind::Document => "file",
    };
    media
        .iter()
        .zip(urls)
        .map(|(media, url)| json!({"type": kind_of(media.kind), "payload": {"url": url}}))
        .collect()
}
