//! Translates events into envelopes. PLATFORMS.md sections 2, 3 and 6.
//!
//! Message, edit, reaction and unsend share one mid: the kind and the discriminator tell their ids apart, and only
//! a message has it as its own `native_id`; of the others it is the target.

use super::Dialect;
use super::account::{account_event, change, handover, order, referral_event, referral_of};
use super::builder::{Builder, bound_extra, keep, native_id};
use super::content::parts_of;
use super::event::{Content, open};
use super::kept::{plain, short};
use super::single::single;
use super::walk::{Piece, walk};
use super::wire::{self, Rare};
use crate::{IdText, reason_of};
use interline_bridge_api::{BodyError, Normalized};
use interline_envelope::{
    Choice, ChoiceOf, Envelope, EnvelopeId, IdKey, Kind, Part, Reaction, ReactionAction, Redacted,
    ReplyTo, Status, StatusState, StoryRef, Target, Unknown,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};

impl Dialect {
    /// Translates one native event or a whole body; see [`interline_bridge_api::Bridge::normalize`].
    ///
    /// # Errors
    /// [`BodyError`] if the whole body is unreadable.
    pub fn normalize(&self, ids: &IdKey, event: &[u8]) -> Result<Normalized, BodyError> {
        let mut normalized = Normalized::default();
        if let Some(opened) = single(self, event) {
            let builder = Builder { dialect: self, ids, opened: &opened };
            envelopes(&builder, &mut normalized.envelopes);
            return Ok(normalized);
        }
        walk(self, event, |piece| match piece {
            Piece::Event(found) => match open(&found) {
                Ok(opened) => {
                    let builder = Builder { dialect: self, ids, opened: &opened };
                    envelopes(&builder, &mut normalized.envelopes);
                }
                Err(error) => normalized.unreadable.push(error),
            },
            Piece::Broken { error, .. } => normalized.unreadable.push(error),
        })?;
        without_repetitions(&mut normalized.envelopes);
        Ok(normalized)
    }
}

/// One body may hold one event twice (`duplicate_across_entries`).
fn without_repetitions(envelopes: &mut Vec<Envelope>) {
    if envelopes.len() > 1 {
        let mut seen: HashSet<EnvelopeId> = HashSet::with_capacity(envelopes.len());
        envelopes.retain(|envelope| seen.insert(envelope.id));
    }
}

fn envelopes(builder: &Builder<'_, '_>, out: &mut Vec<Envelope>) {
    let first = out.len();
    match &builder.opened.content {
        Content::Message { message, hop_context } => {
            out.push(message_or_delete(builder, message, *hop_context));
        }
        Content::Other => other(builder, out),
        Content::Change { field, value } => out.push(change(builder, field, *value)),
        Content::Malformed(reason) => out.push(builder.unsupported("event", reason)),
    }
    out.iter_mut().skip(first).for_each(bound_extra);
}

fn message_or_delete(
    builder: &Builder<'_, '_>,
    message: &wire::Message<'_>,
    hop_context: Option<&RawValue>,
) -> Envelope {
    let mid = message.mid.as_ref().and_then(IdText::non_empty);
    if message.is_deleted == Some(true) {
        let Some(mid) = mid else {
            return builder.unsupported("is_deleted", "it does not say which message");
        };
        let mut envelope = builder.envelope(Kind::Delete, Some(mid), &[]);
        envelope.target = Some(Target::message(mid));
        return envelope;
    }
    let mut envelope = builder.envelope(Kind::Message, mid, &[]);
    envelope.native_id = mid.and_then(native_id);
    envelope.parts = parts_of(message);
    if let Some(reply_to) = message.reply_to {
        set_reply_to(&mut envelope, reply_to);
    }
    envelope.referral = message.referral.and_then(referral_of);
    keep(&mut envelope, "hop_context", hop_context);
    keep(&mut envelope, "commands", message.commands);
    // An echo brings back what was put into the send; the host finds its own marker there.
    for (key, raw) in [("app_id", message.app_id), ("metadata", message.metadata)] {
        if let Some(text) = plain(raw) {
            envelope.extra.insert(key.to_owned(), Value::from(text));
        }
    }
    if message.is_self == Some(true) {
        envelope.extra.insert("is_self".to_owned(), Value::Bool(true));
    }
    envelope
}

fn set_reply_to(envelope: &mut Envelope, raw: &RawValue) {
    let Ok(reply) = read::<wire::ReplyTo<'_>>(raw) else {
        keep(envelope, "reply_to", Some(raw));
        return;
    };
    if reply.is_self_reply == Some(true) {
        envelope.extra.insert("is_self_reply".to_owned(), Value::Bool(true));
    }
    envelope.reply_to = match (reply.story, reply.mid) {
        (Some(story), _) => {
            let id = Redacted::new(story.id.map(IdText::into_owned).unwrap_or_default());
            let url = story.url.map(|url| Redacted::new(url.into_owned()));
            Some(ReplyTo::Story { story: StoryRef { id, url } })
        }
        (None, Some(mid)) => {
            mid.non_empty().and_then(native_id).map(|native_id| ReplyTo::Message { native_id })
        }
        (None, None) => None,
    };
}

/// An event may hold more than one thing (a referral and a lead); each known one becomes an envelope.
fn other(builder: &Builder<'_, '_>, made: &mut Vec<Envelope>) {
    let rare = match read::<Rare<'_>>(builder.opened.json) {
        Ok(rare) => rare,
        Err(error) => return made.push(builder.unsupported("event", &reason_of(&error))),
    };
    let first = made.len();
    let mut add = |key: &str, raw: Option<&RawValue>, make: Maker| {
        if let Some(raw) = raw {
            let envelope = make(builder, raw).unwrap_or_else(|reason| {
                let mut envelope = builder.unsupported(key, &reason);
                keep(&mut envelope, key, Some(raw));
                envelope
            });
            made.push(envelope);
        }
    };
    add("message_edit", rare.message_edit, edit);
    add("reaction", rare.reaction, reaction);
    add("delivery", rare.delivery, |builder, raw| receipt(builder, raw, StatusState::Delivered));
    add("read", rare.read, |builder, raw| receipt(builder, raw, StatusState::Read));
    add("postback", rare.postback, postback);
    add("order", rare.order, order);
    add("referral", rare.referral, referral_event);
    for (key, raw) in [
        ("pass_thread_control", rare.pass_thread_control),
        ("take_thread_control", rare.take_thread_control),
        ("request_thread_control", rare.request_thread_control),
        ("app_roles", rare.app_roles),
    ] {
        made.extend(raw.map(|raw| handover(builder, key, raw)));
    }
    for (key, raw) in [
        ("optin", rare.optin),
        ("account_linking", rare.account_linking),
        ("policy_enforcement", rare.policy_enforcement),
        ("response_feedback", rare.response_feedback),
    ] {
        made.extend(raw.map(|raw| account_event(builder, key, raw)));
    }
    match made.get_mut(first) {
        Some(envelope) => keep(envelope, "lead", rare.lead),
        None => made.push(unknown(builder, rare.lead)),
    }
}

/// Makes an envelope of one native field, or says why not.
type Maker = fn(&Builder<'_, '_>, &RawValue) -> Result<Envelope, String>;

fn edit(builder: &Builder<'_, '_>, raw: &RawValue) -> Result<Envelope, String> {
    let edit: wire::MessageEdit<'_> = read(raw).map_err(|error| reason_of(&error))?;
    let mid =
        edit.mid.as_ref().and_then(IdText::non_empty).ok_or("it does not say which message")?;
    let number = edit.num_edit.as_ref().map_or("", IdText::as_str);
    let Some(text) = edit.text else {
        if number == "0" {
            return Ok(new_message_without_text(builder, mid));
        }
        let mut envelope = builder.envelope(Kind::Edit, Some(mid), &[number]);
        envelope.target = Some(Target::message(mid));
        envelope.parts.push(Part::unsupported("message_edit", "the new text did not come along"));
        return Ok(envelope);
    };
    let mut envelope = builder.envelope(Kind::Edit, Some(mid), &[number]);
    envelope.target = Some(Target::message(mid));
    envelope.parts.push(Part::text(text.into_owned()));
    if !number.is_empty() {
        envelope.extra.insert("num_edit".to_owned(), Value::from(short(number)));
    }
    Ok(envelope)
}

/// PLATFORMS.md section 6: `num_edit` 0 without a text is seen for new messages; they are to be fetched by mid.
fn new_message_without_text(builder: &Builder<'_, '_>, mid: &str) -> Envelope {
    // Should the message itself come too, it must not be taken for a repetition of this one: hence a discriminator.
    let mut envelope = builder.envelope(Kind::Message, Some(mid), &["num_edit", "0"]);
    envelope.native_id = native_id(mid);
    let reason = "a new message whose text did not come along; it is to be fetched by its id";
    envelope.parts.push(Part::unsupported("message", reason));
    envelope.extra.insert("fetch".to_owned(), Value::from(mid));
    envelope
}

fn reaction(builder: &Builder<'_, '_>, raw: &RawValue) -> Result<Envelope, String> {
    let event: wire::Reaction<'_> = read(raw).map_err(|error| reason_of(&error))?;
    let mid =
        event.mid.as_ref().and_then(IdText::non_empty).ok_or("it does not say which message")?;
    let action = match event.action.as_ref().map(crate::Text::as_str) {
        Some("react") => ReactionAction::Add,
        Some("unreact") => ReactionAction::Remove,
        _ => return Err("its action is neither react nor unreact".to_owned()),
    };
    let emoji = event.emoji.as_ref().and_then(crate::Text::non_empty);
    // Documented without an emoji is only the word of the heart.
    let is_love = event.reaction.as_ref().is_some_and(|word| word.as_str() == "love");
    let emoji = emoji.or_else(|| (action == ReactionAction::Add && is_love).then_some("❤️"));
    if action == ReactionAction::Add && emoji.is_none() {
        return Err("it has no emoji".to_owned());
    }
    let word = if action == ReactionAction::Add { "add" } else { "remove" };
    let discriminator = [word, emoji.unwrap_or_default()];
    let mut envelope = builder.envelope(Kind::Reaction, Some(mid), &discriminator);
    envelope.target = Some(Target::message(mid));
    let emoji = emoji.map(Redacted::from);
    envelope.reaction = Some(Reaction { emoji, action, unknown: Unknown::new() });
    Ok(envelope)
}

/// PLATFORMS.md section 6: Messenger's `delivery` has mids, a watermark, or both; its `read` a watermark; Instagram's
/// `read` a mid. Watermarks may be strings.
fn receipt(
    builder: &Builder<'_, '_>,
    raw: &RawValue,
    state: StatusState,
) -> Result<Envelope, String> {
    let receipt: wire::Receipt<'_> = read(raw).map_err(|error| reason_of(&error))?;
    let mids = receipt.mids.unwrap_or_default().into_iter().chain(receipt.mid);
    let native_ids: Vec<Redacted<String>> = mids
        .filter(|mid| mid.non_empty().is_some())
        .map(|mid| Redacted::new(mid.into_owned()))
        .collect();
    let target = match receipt.watermark.0 {
        _ if !native_ids.is_empty() => Target::Messages { native_ids },
        Some(watermark) => Target::Watermark { watermark },
        None => return Err("it has neither message ids nor a watermark".to_owned()),
    };
    let discriminator = [state.as_str(), builder.chat()];
    let mut envelope = builder.envelope(Kind::Status, None, &discriminator);
    if let (Target::Messages { .. }, Some(watermark)) = (&target, receipt.watermark.0) {
        envelope.extra.insert("watermark".to_owned(), Value::from(watermark));
    }
    envelope.target = Some(target);
    envelope.status = Some(Status { state, error: None, marker: None, unknown: Unknown::new() });
    Ok(envelope)
}

fn postback(builder: &Builder<'_, '_>, raw: &RawValue) -> Result<Envelope, String> {
    let postback: wire::Postback<'_> = read(raw).map_err(|error| reason_of(&error))?;
    let mid = postback.mid.as_ref().and_then(IdText::non_empty);
    let mut envelope = builder.envelope(Kind::Message, mid, &["postback"]);
    envelope.native_id = mid.and_then(native_id);
    envelope.parts.push(Part::Choice(Choice {
        id: plain(postback.payload).unwrap_or_default().into(),
        title: postback.title.map(IdText::into_owned).unwrap_or_default().into(),
        description: None,
        of: ChoiceOf::Postback,
        data: None,
        unknown: Unknown::new(),
    }));
    envelope.referral = postback.referral.and_then(referral_of);
    Ok(envelope)
}

/// An event with no key that is known here: its own keys are named and kept.
fn unknown(builder: &Builder<'_, '_>, lead: Option<&RawValue>) -> Envelope {
    let fields: BTreeMap<String, &RawValue> = read(builder.opened.json).unwrap_or_default();
    let heading = ["sender", "recipient", "timestamp", "hop_context", "lead"];
    let mut rest = fields.iter().filter(|(key, _)| !heading.contains(&key.as_str())).peekable();
    let mut envelope = match rest.peek() {
        Some((key, _)) => builder.unsupported(key, "this version does not know such an event"),
        None => builder.unsupported("event", "it has neither content nor a known kind"),
    };
    for (key, raw) in rest.take(KEYS_KEPT_MAX) {
        keep(&mut envelope, key, Some(raw));
    }
    keep(&mut envelope, "lead", lead);
    envelope
}

const KEYS_KEPT_MAX: usize = 16;

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(raw.get())
}
