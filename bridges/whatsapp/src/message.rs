//! Messages, echoes and the history: what people say, change, take back and react with.
//!
//! PLATFORMS.md section 6. History, echoes and forwards are marked, never mixed with live messages (section 9,
//! mistake 7).

use crate::content::{extra_value, parts_of, unsupported};
use crate::native::{Message, MessageContext};
use crate::people::{Ids, id_of};
use crate::walk::{Found, PLATFORM, Place};
use interline_envelope::{
    Envelope, IdInput, IdKey, Kind, NativeKey, Part, Person, Platform, Reaction, ReactionAction,
    Redacted, Referral, ReplyTo, SystemChange, SystemEvent, Target, Unknown, bounded_extra,
};
use interline_graph::{IdText, Text, canonical_or_raw, reason_of};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What one native message says, before it has an id.
#[derive(Default)]
struct Said {
    kind: Option<Kind>,
    parts: Vec<Part>,
    target: Option<Target>,
    reaction: Option<Reaction>,
    reply_to: Option<ReplyTo>,
    system: Option<SystemEvent>,
    referral: Option<Referral>,
    forwarded: bool,
    extra: Map<String, Value>,
}

impl Said {
    fn of(kind: Kind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    fn saying(parts: Vec<Part>) -> Self {
        Self { kind: Some(Kind::Message), parts, ..Self::default() }
    }
}

/// Who spoke, to whom, and where.
struct Scene {
    from: Person,
    /// On an echo.
    to: Option<Person>,
    chat: String,
}

/// The envelope of one message. An item that cannot be read, or names nobody, becomes one of kind `unsupported`.
pub(crate) fn message(ids: &IdKey, platform: &Platform, found: &Found<'_, '_>) -> Envelope {
    let message = match serde_json::from_str::<Message<'_>>(found.raw.get()) {
        Ok(message) => message,
        Err(error) => return unreadable(ids, platform, found, None, &reason_of(&error)),
    };
    let Some(scene) = scene(found, &message) else {
        let reason = "the message names no sender: neither from nor from_user_id";
        return unreadable(ids, platform, found, Some(&message), reason);
    };
    let said = match said(&message, found.raw) {
        Ok(said) => said,
        Err(reason) => {
            let mut said = Said::of(Kind::Unsupported);
            let native_type = message.kind.as_ref().map(Text::as_str).unwrap_or("message");
            said.parts = vec![Part::unsupported(native_type, reason)];
            said
        }
    };
    envelope(ids, platform, found, &message, scene, said)
}

fn envelope(
    ids: &IdKey,
    platform: &Platform,
    found: &Found<'_, '_>,
    message: &Message<'_>,
    scene: Scene,
    mut said: Said,
) -> Envelope {
    let kind = said.kind.unwrap_or(Kind::Unsupported);
    let is_history = found.place.thread().is_some() || found.scope.field == "history";
    let canonical;
    let native = match message.id.as_ref().and_then(IdText::non_empty) {
        Some(id) => NativeKey::Id(id),
        None => {
            canonical = canonical_or_raw(found.raw);
            NativeKey::CanonicalItem(&canonical)
        }
    };
    let discriminator: [&str; 2] = match &said.reaction {
        Some(Reaction { action: ReactionAction::Add, emoji, .. }) => {
            ["add", emoji.as_ref().map(Redacted::as_exposed_str).unwrap_or_default()]
        }
        Some(_) => ["remove", ""],
        None => ["", ""],
    };
    let id = ids.envelope_id(&IdInput {
        kind,
        platform: PLATFORM,
        account: found.scope.account,
        chat: &scene.chat,
        actor: scene.from.user.as_exposed_str(),
        native,
        // The entry's time changes with the batch; a broken clock counts as none.
        time_ms: message.timestamp.0.unwrap_or_default(),
        discriminator: if said.reaction.is_some() { &discriminator } else { &[] },
    });
    let time = message.timestamp.0.or_else(|| found.scope.entry_millis()).unwrap_or_default();
    let mut envelope =
        Envelope::new(id, kind, platform.clone(), found.scope.account, scene.chat, time);
    if message.timestamp.0.is_none() {
        said.extra.insert("clock".to_owned(), "unreadable".into());
    }
    if is_history {
        history_extra(found, message, &mut said.extra);
    }
    envelope.native_id = message.id.as_ref().and_then(IdText::non_empty).map(Redacted::from);
    envelope.from = Some(scene.from);
    envelope.echo = scene.to.is_some();
    envelope.to = scene.to;
    envelope.history = is_history;
    envelope.forwarded = said.forwarded;
    envelope.parts = said.parts;
    envelope.reply_to = said.reply_to;
    envelope.target = said.target;
    envelope.reaction = said.reaction;
    envelope.system = said.system;
    envelope.referral = said.referral;
    if !said.extra.is_empty() {
        envelope.extra = bounded_extra(said.extra);
    }
    envelope
}

fn history_extra(found: &Found<'_, '_>, message: &Message<'_>, extra: &mut Map<String, Value>) {
    let values = [("history_context", message.history_context), ("history_chunk", found.chunk)];
    for (key, raw) in values {
        if let Some(value) = raw.and_then(extra_value) {
            extra.insert(key.to_owned(), value);
        }
    }
}

/// An item without a sender or of another shape: it still has an id, so that it is dead-lettered once.
pub(crate) fn unreadable(
    ids: &IdKey,
    platform: &Platform,
    found: &Found<'_, '_>,
    message: Option<&Message<'_>>,
    reason: &str,
) -> Envelope {
    let canonical = canonical_or_raw(found.raw);
    let id = ids.envelope_id(&IdInput {
        kind: Kind::Unsupported,
        platform: PLATFORM,
        account: found.scope.account,
        chat: "",
        actor: "",
        native: NativeKey::CanonicalItem(&canonical),
        time_ms: 0,
        discriminator: &[],
    });
    let time = message
        .and_then(|message| message.timestamp.0)
        .or_else(|| found.scope.entry_millis())
        .unwrap_or_default();
    let kind = Kind::Unsupported;
    let mut envelope =
        Envelope::new(id, kind, platform.clone(), found.scope.account, String::new(), time);
    envelope.native_id = message
        .and_then(|message| message.id.as_ref())
        .and_then(IdText::non_empty)
        .map(Redacted::from);
    let native_type = message.and_then(|message| message.kind.as_ref()).map(Text::as_str);
    envelope.parts =
        vec![Part::unsupported(native_type.unwrap_or_else(|| found.place.key()), reason)];
    envelope.extra.insert("field".to_owned(), found.scope.field.into());
    envelope
}

/// Finds out who spoke to whom. Nothing if a person is missing.
fn scene(found: &Found<'_, '_>, message: &Message<'_>) -> Option<Scene> {
    let scope = found.scope;
    let group = message.group_id.as_ref().and_then(IdText::non_empty);
    let thread = found.place.thread().map(|id| id.strip_prefix('+').unwrap_or(id));
    if let Some(scene) = echo(found, message, thread) {
        return scene;
    }
    let mut sender = Ids::new(message.from.as_ref(), message.from_user_id.as_ref());
    sender.parent = id_of(message.from_parent_user_id.as_ref());
    let from = match scope.contacts.person(&sender) {
        Some(from) => from,
        // A changed BSUID is announced without a sender: the new id is all that is known.
        None => Person::from_system(message)?,
    };
    let chat = group.unwrap_or_else(|| from.user.as_exposed_str()).to_owned();
    Some(Scene { from, to: None, chat })
}

/// The scene of what the account itself sent; nothing at all where a person did.
fn echo(
    found: &Found<'_, '_>,
    message: &Message<'_>,
    thread: Option<&str>,
) -> Option<Option<Scene>> {
    let scope = found.scope;
    // Live messages come from people; only echoes and the history hold the account's own.
    if found.place == Place::Messages && scope.field != "history" {
        return None;
    }
    let speaker = id_of(message.from.as_ref());
    let own_number = scope.own_number();
    let is_own = speaker.is_some_and(|id| id == own_number);
    let is_other = thread.is_some() && speaker.is_some() && speaker != thread;
    if found.place != Place::Echoes && !is_own && !is_other {
        return None;
    }
    let mut to = Ids::new(message.to.as_ref(), message.to_user_id.as_ref());
    if to.phone.is_none() && to.scoped.is_none() {
        to.phone = thread;
    }
    let group = message.group_id.as_ref().and_then(IdText::non_empty);
    Some(scope.contacts.person(&to).map(|to| {
        let chat = group.unwrap_or_else(|| to.user.as_exposed_str()).to_owned();
        let own = speaker.or_else(|| Some(&*own_number).filter(|own| !own.is_empty()));
        Scene { from: Person::new(own.unwrap_or(scope.account)), to: Some(to), chat }
    }))
}

trait FromSystem: Sized {
    fn from_system(message: &Message<'_>) -> Option<Self>;
}

impl FromSystem for Person {
    fn from_system(message: &Message<'_>) -> Option<Self> {
        let system: NativeSystem<'_> = serde_json::from_str(message.system?.get()).ok()?;
        let id = id_of(system.user_id.as_ref())?;
        Some(Self { scoped_id: Some(id.into()), ..Self::new(id) })
    }
}

/// Reads what was said. An error names what cannot be read, without content.
fn said(message: &Message<'_>, raw: &RawValue) -> Result<Said, String> {
    let kind = match message.kind.as_ref() {
        Some(kind) => kind.as_str(),
        None if message.text.is_some() => "text",
        None => "message",
    };
    let mut said = match parts_of(kind, message) {
        Some(parts) => content(parts, message),
        None => match kind {
            "reaction" => reaction(message)?,
            "edit" => edit(message)?,
            "revoke" => revoke(message)?,
            "system" => system(message)?,
            "unsupported" => unsupported_message(message),
            "request_welcome" => welcome(),
            _ => unknown(kind, message, raw),
        },
    };
    if let Some(context) = message.context.and_then(context_of) {
        said.forwarded = context.forwarded || context.frequently_forwarded;
        if context.frequently_forwarded {
            said.extra.insert("frequently_forwarded".to_owned(), true.into());
        }
        if let Some(product) = context.referred_product.and_then(extra_value) {
            said.extra.insert("referred_product".to_owned(), product);
        }
        if said.reply_to.is_none() {
            said.reply_to = reply_to(&context);
        }
    }
    if let Some(raw) = message.referral {
        said.referral = referral(raw);
    }
    Ok(said)
}

/// Content of a known type; what is unknown within it stays in `extra`.
fn content(parts: Vec<Part>, message: &Message<'_>) -> Said {
    let is_unknown = matches!(parts.first(), Some(Part::Unsupported { .. }));
    let mut said = Said::saying(parts);
    if is_unknown && let Some(value) = message.interactive.and_then(extra_value) {
        said.extra.insert("content".to_owned(), value);
    }
    said
}

/// A context that cannot be read costs the quote, not the message.
fn context_of(raw: &RawValue) -> Option<MessageContext<'_>> {
    serde_json::from_str(raw.get()).ok()
}

fn reply_to(context: &MessageContext<'_>) -> Option<ReplyTo> {
    let id = context.id.as_ref()?.non_empty()?;
    Some(ReplyTo::Message { native_id: id.into() })
}

fn parse<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, String> {
    let raw = raw.ok_or_else(|| "the message came without its content".to_owned())?;
    serde_json::from_str(raw.get()).map_err(|error| reason_of(&error))
}

#[derive(Deserialize)]
struct NativeReaction<'a> {
    #[serde(borrow)]
    message_id: IdText<'a>,
    #[serde(borrow, default)]
    emoji: Option<Text<'a>>,
}

/// Removal is an empty emoji, or none at all.
fn reaction(message: &Message<'_>) -> Result<Said, String> {
    let native: NativeReaction<'_> = parse(message.reaction)?;
    let emoji = native.emoji.as_ref().and_then(Text::non_empty);
    Ok(Said {
        target: Some(Target::message(native.message_id.as_str())),
        reaction: Some(Reaction {
            emoji: emoji.map(Redacted::from),
            action: if emoji.is_some() { ReactionAction::Add } else { ReactionAction::Remove },
            unknown: Unknown::new(),
        }),
        ..Said::of(Kind::Reaction)
    })
}

#[derive(Deserialize)]
struct NativeEdit<'a> {
    #[serde(borrow)]
    original_message_id: IdText<'a>,
    #[serde(borrow)]
    message: Message<'a>,
}

fn edit(message: &Message<'_>) -> Result<Said, String> {
    let native: NativeEdit<'_> = parse(message.edit)?;
    let kind = native.message.kind.as_ref().map(Text::as_str).unwrap_or("text");
    let parts = parts_of(kind, &native.message)
        .unwrap_or_else(|| vec![Part::unsupported(kind, "this kind of content is not known")]);
    Ok(Said {
        parts,
        target: Some(Target::message(native.original_message_id.as_str())),
        reply_to: native.message.context.and_then(context_of).as_ref().and_then(reply_to),
        ..Said::of(Kind::Edit)
    })
}

#[derive(Deserialize)]
struct NativeRevoke<'a> {
    #[serde(borrow)]
    original_message_id: IdText<'a>,
}

fn revoke(message: &Message<'_>) -> Result<Said, String> {
    let native: NativeRevoke<'_> = parse(message.revoke)?;
    let target = Some(Target::message(native.original_message_id.as_str()));
    Ok(Said { target, ..Said::of(Kind::Delete) })
}

#[derive(Deserialize)]
struct NativeSystem<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    wa_id: Option<IdText<'a>>,
    #[serde(borrow, default)]
    new_wa_id: Option<IdText<'a>>,
    #[serde(borrow, default)]
    user_id: Option<IdText<'a>>,
}

/// PLATFORMS.md section 3: `user_changed_number` has the old `from` and the new `system.wa_id` and `user_id`;
/// `user_changed_user_id` has no `from`. (Its `body` names the old id, next to a name that the person chooses:
/// nothing is read from there.)
fn system(message: &Message<'_>) -> Result<Said, String> {
    let native: NativeSystem<'_> = parse(message.system)?;
    let mut said = Said::of(Kind::System);
    let scoped = id_of(native.user_id.as_ref());
    let change = match native.kind.as_ref().map(Text::as_str).unwrap_or_default() {
        "user_changed_number" | "customer_changed_number" => SystemEvent {
            change: SystemChange::Number,
            previous: id_of(message.from.as_ref()).map(Redacted::from),
            current: id_of(native.wa_id.as_ref().or(native.new_wa_id.as_ref())).map(Redacted::from),
            // A new number brings a new BSUID.
            unknown: scoped
                .map(|id| ("current_scoped_id".to_owned(), id.into()))
                .into_iter()
                .collect(),
        },
        "user_changed_user_id" => SystemEvent {
            change: SystemChange::ScopedId,
            previous: id_of(message.from_user_id.as_ref()).map(Redacted::from),
            current: scoped.map(Redacted::from),
            unknown: Unknown::new(),
        },
        // Another change of the person's, such as a new security code: no id changed.
        _ => {
            for (key, raw) in [("system", message.system), ("identity", message.identity)] {
                if let Some(value) = raw.and_then(extra_value) {
                    said.extra.insert(key.to_owned(), value);
                }
            }
            return Ok(said);
        }
    };
    said.system = Some(change);
    Ok(said)
}

#[derive(Deserialize)]
struct NativeUnsupported<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

/// A person's message that the platform does not hand over. Since June 2026 edits come in this form, without
/// saying which message was edited.
fn unsupported_message(message: &Message<'_>) -> Said {
    let native: Option<NativeUnsupported<'_>> =
        message.unsupported.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let kind = native.as_ref().map_or("unsupported", |native| native.kind.as_str());
    let mut said = Said::saying(vec![unsupported(kind, &message.errors)]);
    if kind == "edit" {
        said.kind = Some(Kind::Edit);
    }
    if let Some(text) = message.text.and_then(extra_value) {
        said.extra.insert("text".to_owned(), text);
    }
    said
}

/// A person opened the chat for the first time, and said nothing yet.
fn welcome() -> Said {
    let referral = Referral {
        source: "request_welcome".to_owned(),
        reference: None,
        url: None,
        headline: None,
        unknown: Unknown::new(),
    };
    Said { referral: Some(referral), ..Said::of(Kind::Referral) }
}

/// A type from the future: the person said something, and the others shall know.
fn unknown(kind: &str, message: &Message<'_>, raw: &RawValue) -> Said {
    let mut said = Said::saying(vec![if message.errors.items().is_empty() {
        Part::unsupported(kind, "this type of message is not known")
    } else {
        unsupported(kind, &message.errors)
    }]);
    let fields: HashMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    if let Some(content) = fields.get(kind).copied().and_then(extra_value) {
        said.extra.insert("content".to_owned(), content);
    }
    said
}

#[derive(Deserialize)]
struct NativeReferral<'a> {
    #[serde(borrow, default)]
    source_type: Option<Text<'a>>,
    #[serde(borrow, default)]
    source_url: Option<Text<'a>>,
    #[serde(borrow, default)]
    headline: Option<Text<'a>>,
}

fn referral(raw: &RawValue) -> Option<Referral> {
    let native: NativeReferral<'_> = serde_json::from_str(raw.get()).ok()?;
    let rest = match extra_value(raw) {
        Some(Value::Object(mut fields)) => {
            for key in ["source_type", "source_url", "headline", "source", "ref", "url"] {
                fields.remove(key);
            }
            bounded_extra(fields)
        }
        _ => Map::new(),
    };
    Some(Referral {
        source: native.source_type.map(Text::into_owned).unwrap_or_default(),
        reference: None,
        url: native.source_url.map(Text::into_owned),
        headline: native.headline.map(Text::into_owned),
        unknown: rest,
    })
}
