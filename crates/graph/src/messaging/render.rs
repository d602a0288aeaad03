//! Renders what is to be sent as Send API requests. PLATFORMS.md sections 1, 4 and 6.
//!
//! Refuses what the platform does not take ([`RenderError`]): `fit` has replaced it before. Invariants: `reply_to`
//! stands beside `message` (mistake 11), a `sender_action` never shares a request with a message (10), and nothing
//! that is relayed carries a tag unless its author asked for one (20).

use super::dialect::{Dialect, Emoji};
use interline_bridge_api::{
    Method, MultipartFile, RenderContext, RenderError, Request, RequestBody,
};
use interline_envelope::{MediaKind, Redacted};
use interline_relay::{
    Action, Charge, MediaSource, MessagingType, OutMedia, Outgoing, QuickReply, Recipient,
    TextUnit, ThreadControl, UploadSpec,
};
use serde_json::{Map, Value, json};

/// PLATFORMS.md section 4.
const QUICK_REPLIES_MAX: usize = 13;
const QUICK_REPLY_TITLE_MAX: usize = 20;
const QUICK_REPLY_PAYLOAD_MAX: usize = 1000;

type Fields = Map<String, Value>;

impl Dialect {
    /// Translates one thing to be sent; see [`interline_bridge_api::Bridge::render`].
    ///
    /// # Errors
    /// [`RenderError`] if the platform cannot express it.
    pub fn render(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
    ) -> Result<Request, RenderError> {
        match &outgoing.action {
            Action::Upload(spec) => self.upload(context, outgoing, spec),
            Action::Reaction { message, emoji } => {
                self.reaction(context, outgoing, message, emoji.as_ref())
            }
            Action::MarkRead { .. } => self.sender_action(context, outgoing, "mark_seen", None),
            Action::Typing { on, .. } => {
                let action = if *on { "typing_on" } else { "typing_off" };
                self.sender_action(context, outgoing, action, None)
            }
            Action::ThreadControl(ThreadControl::Pass { target_app_id, metadata }) => {
                self.pass_thread(context, outgoing, target_app_id, metadata.as_deref())
            }
            action @ (Action::Text { .. }
            | Action::Media(_)
            | Action::PlatformSticker(_)
            | Action::Heart
            | Action::SharePost(_)
            | Action::Interactive(_)
            | Action::Template(_)
            | Action::ThreadControl(ThreadControl::Release { .. })) => {
                let message = self.message(action)?;
                self.send(context, outgoing, message)
            }
            Action::Location(_) => Err(self.unsupported("locations to send")),
            Action::Contacts(_) => Err(self.unsupported("contact cards to send")),
            Action::LocateMedia(_) => Err(self.unsupported("media to look up")),
        }
    }

    fn send(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
        mut message: Fields,
    ) -> Result<Request, RenderError> {
        let mut body = Fields::new();
        body.insert("recipient".to_owned(), self.recipient(outgoing)?);
        self.messaging_type(outgoing, &mut body)?;
        if let Action::ThreadControl(ThreadControl::Release { .. }) = outgoing.action {
            body.insert("thread_control".to_owned(), json!({"control_type": "release"}));
        }
        let marker = self.marker(outgoing)?;
        if let Some(marker) = &marker {
            message.insert("metadata".to_owned(), Value::from(marker.as_str()));
        }
        body.insert("message".to_owned(), Value::Object(message));
        if let Some(reply_to) = &outgoing.reply_to {
            body.insert("reply_to".to_owned(), json!({"mid": reply_to.as_exposed_str()}));
        }
        Ok(post(context, "messages", RequestBody::Json(Value::Object(body)), marker, false))
    }

    /// The `message` object of everything that is shown.
    fn message(&self, action: &Action) -> Result<Fields, RenderError> {
        let rules = &self.send;
        match action {
            Action::Text { text, quick_replies, .. } => self.text(text, quick_replies),
            Action::Media(media) => self.media(media),
            Action::PlatformSticker(id) if rules.stickers => {
                // Sends take the number, webhooks give it: exact digits both ways.
                let id: u64 =
                    id.parse().map_err(|_| self.unsupported("sticker with such an id"))?;
                Ok(fields([("sticker_id", Value::from(id))]))
            }
            Action::PlatformSticker(_) => Err(self.unsupported("stickers of its own to send")),
            Action::Heart if rules.heart => Ok(attachment(json!({"type": "like_heart"}))),
            Action::Heart => Err(self.unsupported("heart to send")),
            Action::SharePost(id) if rules.post => {
                Ok(attachment(json!({"type": "MEDIA_SHARE", "payload": {"id": id}})))
            }
            Action::SharePost(_) => Err(self.unsupported("way to share a post")),
            Action::Interactive(payload) => {
                Ok(attachment(json!({"type": "template", "payload": payload})))
            }
            Action::Template(template) if rules.utility => {
                Ok(fields([("template", template.clone())]))
            }
            Action::Template(_) => Err(self.unsupported("utility templates")),
            Action::ThreadControl(ThreadControl::Release { text }) if rules.release => {
                self.text(text, &[])
            }
            Action::ThreadControl(_) => Err(self.unsupported("way to release a thread")),
            Action::Location(_)
            | Action::Contacts(_)
            | Action::LocateMedia(_)
            | Action::Reaction { .. }
            | Action::MarkRead { .. }
            | Action::Typing { .. }
            | Action::Upload(_) => Err(self.unsupported("message of this kind")),
        }
    }

    fn text(
        &self,
        text: &Redacted<String>,
        quick_replies: &[QuickReply],
    ) -> Result<Fields, RenderError> {
        let (text, limit) = (text.as_exposed_str(), self.send.text);
        if text.is_empty() {
            return Err(RenderError::Missing { platform: self.name, what: "the text" });
        }
        if !limit.allows(text) {
            let unit = match limit.unit {
                TextUnit::Characters => "characters",
                TextUnit::Utf8Bytes => "bytes",
            };
            return Err(self.over("a text", limit.max, unit));
        }
        let mut message = fields([("text", Value::from(text))]);
        if !quick_replies.is_empty() {
            message.insert("quick_replies".to_owned(), self.quick_replies(quick_replies)?);
        }
        Ok(message)
    }

    fn quick_replies(&self, quick_replies: &[QuickReply]) -> Result<Value, RenderError> {
        if quick_replies.len() > QUICK_REPLIES_MAX {
            return Err(self.over("the number of quick replies", QUICK_REPLIES_MAX, "replies"));
        }
        let mut rendered = Vec::with_capacity(quick_replies.len());
        for reply in quick_replies {
            if reply.title.chars().count() > QUICK_REPLY_TITLE_MAX {
                return Err(self.over(
                    "a quick reply's title",
                    QUICK_REPLY_TITLE_MAX,
                    "characters",
                ));
            }
            if reply.payload.chars().count() > QUICK_REPLY_PAYLOAD_MAX {
                let what = "a quick reply's payload";
                return Err(self.over(what, QUICK_REPLY_PAYLOAD_MAX, "characters"));
            }
            let mut fields = fields([
                ("content_type", Value::from("text")),
                ("title", Value::from(reply.title.as_str())),
                ("payload", Value::from(reply.payload.as_str())),
            ]);
            if let Some(url) = &reply.image_url {
                fields.insert("image_url".to_owned(), Value::from(url.as_str()));
            }
            rendered.push(Value::Object(fields));
        }
        Ok(Value::Array(rendered))
    }

    fn media(&self, media: &[OutMedia]) -> Result<Fields, RenderError> {
        match media {
            [] => Err(RenderError::Missing { platform: self.name, what: "the media" }),
            [one] => Ok(attachment(self.one_medium(one)?)),
            several => {
                if several.iter().any(|medium| medium.media != MediaKind::Image) {
                    return Err(self.unsupported("messages with several media but images"));
                }
                if several.len() > self.send.images_max {
                    return Err(self.over("the number of images", self.send.images_max, "images"));
                }
                let attachments: Result<Vec<Value>, RenderError> =
                    several.iter().map(|medium| self.one_medium(medium)).collect();
                Ok(fields([("attachments", Value::Array(attachments?))]))
            }
        }
    }

    fn one_medium(&self, medium: &OutMedia) -> Result<Value, RenderError> {
        if medium.caption.is_some() {
            return Err(self.unsupported("captions"));
        }
        let mut payload = match &medium.source {
            MediaSource::Id(id) => fields([("attachment_id", Value::from(id.as_exposed_str()))]),
            MediaSource::Url(url) => fields([("url", Value::from(url.as_exposed_str()))]),
            MediaSource::Origin(_) => {
                let what = "the id or the URL of a medium";
                return Err(RenderError::Missing { platform: self.name, what });
            }
        };
        if medium.reusable && matches!(medium.source, MediaSource::Url(_)) {
            payload.insert("is_reusable".to_owned(), self.reusable());
        }
        Ok(json!({"type": self.attachment_type(medium.media)?, "payload": payload}))
    }

    fn attachment_type(&self, media: MediaKind) -> Result<&'static str, RenderError> {
        match media {
            MediaKind::Image => Ok("image"),
            MediaKind::Video => Ok("video"),
            MediaKind::Audio => Ok("audio"),
            MediaKind::Document => Ok("file"),
            MediaKind::Voice => Err(self.unsupported("voice notes to send")),
            MediaKind::Sticker => Err(self.unsupported("stickers but its own")),
        }
    }

    /// Without a recipient the file is kept for later sends; with one it is sent at once (`to` of an upload).
    fn upload(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
        spec: &UploadSpec,
    ) -> Result<Request, RenderError> {
        let mut payload = fields([("is_reusable", self.reusable())]);
        if let Some(url) = &spec.url {
            payload.insert("url".to_owned(), Value::from(url.as_exposed_str()));
        }
        let kind = self.attachment_type(spec.media)?;
        let mut message = attachment(json!({"type": kind, "payload": payload}));
        let mut body = Fields::new();
        let mut marker = None;
        if outgoing.to.is_some() {
            body.insert("recipient".to_owned(), self.recipient(outgoing)?);
            self.messaging_type(outgoing, &mut body)?;
            marker = self.marker(outgoing)?;
            if let Some(marker) = &marker {
                message.insert("metadata".to_owned(), Value::from(marker.as_str()));
            }
        } else if let Some(platform) = self.send.upload_platform {
            body.insert("platform".to_owned(), Value::from(platform));
        }
        body.insert("message".to_owned(), Value::Object(message));
        let (path, idempotent) =
            if outgoing.to.is_some() { ("messages", false) } else { ("message_attachments", true) };
        let body = if spec.url.is_some() {
            RequestBody::Json(Value::Object(body))
        } else {
            RequestBody::Multipart { fields: form_of(body), file: self.file(spec) }
        };
        Ok(post(context, path, body, marker, idempotent))
    }

    fn file(&self, spec: &UploadSpec) -> MultipartFile {
        let name = spec.filename.as_exposed_str();
        // PLATFORMS.md section 4: Instagram rejects non-ASCII names on upload.
        let filename = if self.send.ascii_filenames {
            name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect()
        } else {
            name.to_owned()
        };
        MultipartFile { field: "filedata".to_owned(), filename, mime: spec.mime.clone() }
    }

    fn reaction(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
        message: &Redacted<String>,
        emoji: Option<&Redacted<String>>,
    ) -> Result<Request, RenderError> {
        let mut payload = fields([("message_id", Value::from(message.as_exposed_str()))]);
        let Some(emoji) = emoji.map(Redacted::as_exposed_str).filter(|emoji| !emoji.is_empty())
        else {
            return self.sender_action(context, outgoing, "unreact", Some(payload));
        };
        let word = match self.send.reactions {
            Emoji::Any => emoji,
            Emoji::Love if emoji.trim_end_matches('\u{fe0f}') == "❤" => "love",
            Emoji::Love => return Err(self.unsupported("reaction but the heart")),
        };
        payload.insert("reaction".to_owned(), Value::from(word));
        self.sender_action(context, outgoing, "react", Some(payload))
    }

    fn sender_action(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
        action: &'static str,
        payload: Option<Fields>,
    ) -> Result<Request, RenderError> {
        let mut body = fields([
            ("recipient", self.recipient(outgoing)?),
            ("sender_action", Value::from(action)),
        ]);
        if let Some(payload) = payload {
            body.insert("payload".to_owned(), Value::Object(payload));
        }
        Ok(post(context, "messages", RequestBody::Json(Value::Object(body)), None, true))
    }

    fn pass_thread(
        &self,
        context: &RenderContext<'_>,
        outgoing: &Outgoing,
        target_app_id: &str,
        metadata: Option<&str>,
    ) -> Result<Request, RenderError> {
        let mut body = fields([
            ("recipient", self.recipient(outgoing)?),
            ("target_app_id", Value::from(target_app_id)),
        ]);
        if let Some(metadata) = metadata {
            body.insert("metadata".to_owned(), Value::from(metadata));
        }
        let body = RequestBody::Json(Value::Object(body));
        Ok(post(context, "pass_thread_control", body, None, false))
    }

    fn recipient(&self, outgoing: &Outgoing) -> Result<Value, RenderError> {
        match &outgoing.to {
            Some(Recipient::User(id)) => Ok(json!({"id": id.as_exposed_str()})),
            Some(Recipient::Comment(id)) => Ok(json!({"comment_id": id.as_exposed_str()})),
            Some(Recipient::UserRef(id)) if self.send.user_ref => {
                Ok(json!({"user_ref": id.as_exposed_str()}))
            }
            Some(Recipient::UserRef(_)) => Err(self.unsupported("recipients by user_ref")),
            Some(Recipient::ScopedId(_)) => Err(self.unsupported("business-scoped user ids")),
            Some(Recipient::Group(_)) => Err(self.unsupported("groups")),
            None => Err(RenderError::Missing { platform: self.name, what: "the recipient" }),
        }
    }

    /// The platform's default is for relayed content. Private replies have none, and buttons and templates say
    /// their own.
    fn messaging_type(&self, outgoing: &Outgoing, body: &mut Fields) -> Result<(), RenderError> {
        let own = matches!(outgoing.action, Action::Interactive(_) | Action::Template(_))
            || matches!(outgoing.to, Some(Recipient::Comment(_)));
        let word = match &outgoing.messaging_type {
            None if own => None,
            None => self.send.messaging_type,
            Some(MessagingType::Response) => Some("RESPONSE"),
            Some(MessagingType::Utility) if self.send.utility => Some("UTILITY"),
            Some(MessagingType::Utility) => return Err(self.unsupported("utility messages")),
            Some(MessagingType::Tag(tag)) if self.send.tags.contains(&tag.as_str()) => {
                body.insert("tag".to_owned(), Value::from(tag.as_str()));
                Some("MESSAGE_TAG")
            }
            Some(MessagingType::Tag(_)) => {
                return Err(self.unsupported("such message tag (any more)"));
            }
        };
        if let Some(word) = word {
            body.insert("messaging_type".to_owned(), Value::from(word));
        }
        Ok(())
    }

    /// The marker, where echoes bring it back; elsewhere it stays at home.
    fn marker(&self, outgoing: &Outgoing) -> Result<Option<String>, RenderError> {
        match (self.send.marker_bytes_max, &outgoing.marker) {
            (Some(max), Some(marker)) if marker.len() > max => {
                Err(self.over("the marker", max, "bytes"))
            }
            (Some(_), Some(marker)) => Ok(Some(marker.clone())),
            (None, _) | (_, None) => Ok(None),
        }
    }

    fn reusable(&self) -> Value {
        if self.send.reusable_as_text { Value::from("true") } else { Value::Bool(true) }
    }

    const fn unsupported(&self, what: &'static str) -> RenderError {
        RenderError::Unsupported { platform: self.name, what }
    }

    const fn over(&self, what: &'static str, max: usize, unit: &'static str) -> RenderError {
        RenderError::OverLimit { platform: self.name, what, max, unit }
    }
}

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn attachment(attachment: Value) -> Fields {
    fields([("attachment", attachment)])
}

/// In a form, objects are JSON strings. PLATFORMS.md section 1.
fn form_of(body: Fields) -> Vec<(String, String)> {
    body.into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => (key, text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => (key, value.to_string()),
        })
        .collect()
}

fn post(
    context: &RenderContext<'_>,
    path: &str,
    body: RequestBody,
    marker: Option<String>,
    idempotent: bool,
) -> Request {
    Request {
        method: Method::Post,
        route: format!("{}/{path}", context.send_as),
        query: Vec::new(),
        headers: Vec::new(),
        body,
        marker,
        idempotent,
        charge: Charge::default(),
    }
}
