//! Three targets with the limits of the real ones, envelopes, and a readable form of a plan.

use crate::{
    Action, Capabilities, Conversions, FitInput, Formatting, Means, MediaAccess, MediaLinks,
    MediaRule, MediaSource, OriginTraits, Outgoing, OwnStickers, Plan, ReactionForm, ReactionRule,
    ReadRule, Recipient, Reference, TextLimit, TextUnit, TypingRule, fit,
};
use expect_test::Expect;
use interline_envelope::{
    Author, Envelope, EnvelopeId, Kind, Media, MediaKind, Part, Platform, Reaction, ReactionAction,
    Redacted, ReplyTo, Status, StatusState, SystemChange, SystemEvent, Unknown,
};
use std::fmt::Write as _;

pub(super) const CHARACTERS_4096: TextLimit = TextLimit { max: 4096, unit: TextUnit::Characters };
pub(super) const CHARACTERS_2000: TextLimit = TextLimit { max: 2000, unit: TextUnit::Characters };
pub(super) const BYTES_1000: TextLimit = TextLimit { max: 1000, unit: TextUnit::Utf8Bytes };

fn rule(media: MediaKind, mimes: &[&str], megabytes_max: u64) -> MediaRule {
    MediaRule {
        media,
        mimes: mimes.iter().map(|mime| (*mime).to_owned()).collect(),
        bytes_max: megabytes_max * 1_000_000,
        caption: None,
        per_message_max: 1,
        by_url: true,
        by_upload: true,
    }
}

/// Formatting, captions, every kind of media, but only the types that are listed.
pub(super) fn rich() -> Capabilities {
    let caption = Some(TextLimit { max: 1024, unit: TextUnit::Characters });
    let captioned = |rule: MediaRule| MediaRule { caption, ..rule };
    Capabilities {
        text: CHARACTERS_4096,
        formatting: Formatting::WhatsApp,
        media: vec![
            captioned(rule(MediaKind::Image, &["image/jpeg", "image/png"], 5)),
            captioned(rule(MediaKind::Video, &["video/mp4", "video/3gpp"], 16)),
            rule(
                MediaKind::Audio,
                &["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"],
                16,
            ),
            rule(MediaKind::Voice, &["audio/ogg"], 16),
            captioned(rule(MediaKind::Document, &[], 100)),
            rule(MediaKind::Sticker, &["image/webp"], 1),
        ],
        own_stickers: OwnStickers::None,
        reply: true,
        reaction: ReactionRule::Any,
        location: true,
        contacts: true,
        read: ReadRule::Message,
        typing: TypingRule::MarksRead,
        edit: false,
        delete: false,
        marker_bytes_max: Some(512),
        media_access: MediaAccess::AccountToken,
    }
}

/// Plain text, no captions, every file.
pub(super) fn middle() -> Capabilities {
    Capabilities {
        text: CHARACTERS_2000,
        formatting: Formatting::Plain,
        media: vec![
            rule(MediaKind::Image, &["image/jpeg", "image/png", "image/gif"], 8),
            rule(MediaKind::Video, &["video/*"], 25),
            rule(MediaKind::Audio, &["audio/*"], 25),
            rule(MediaKind::Document, &[], 25),
        ],
        location: false,
        contacts: false,
        own_stickers: OwnStickers::ById,
        read: ReadRule::Thread,
        typing: TypingRule::Free,
        media_access: MediaAccess::PublicUrl,
        ..rich()
    }
}

/// Few bytes, albums of pictures, only PDF files, one reaction.
pub(super) fn narrow() -> Capabilities {
    let images = rule(MediaKind::Image, &["image/jpeg", "image/png"], 8);
    Capabilities {
        text: BYTES_1000,
        media: vec![
            MediaRule { per_message_max: 10, ..images },
            rule(MediaKind::Video, &["video/mp4"], 25),
            rule(MediaKind::Audio, &["audio/aac", "audio/mp4", "audio/wav"], 25),
            rule(MediaKind::Document, &["application/pdf"], 25),
        ],
        own_stickers: OwnStickers::Heart,
        reaction: ReactionRule::Only(vec!["❤".to_owned()]),
        ..middle()
    }
}

/// A message of these parts from a platform with marks and media behind a token.
pub(super) fn envelope(kind: Kind, parts: Vec<Part>) -> Envelope {
    let platform = Platform::new("whatsapp").unwrap();
    let id = EnvelopeId::from_bytes([7; 16]);
    let mut envelope = Envelope::new(id, kind, platform, "106", "15550001111", 1_700_000_000_000);
    envelope.parts = parts;
    envelope
}

pub(super) fn message(parts: Vec<Part>) -> Envelope {
    envelope(Kind::Message, parts)
}

pub(super) fn text(text: &str) -> Envelope {
    message(vec![Part::text(text)])
}

pub(super) fn reply(words: &str) -> Envelope {
    let reply_to = ReplyTo::Message { native_id: "wamid.old".into() };
    Envelope { reply_to: Some(reply_to), ..text(words) }
}

pub(super) fn reaction(action: ReactionAction, emoji: Option<&str>) -> Envelope {
    let emoji = emoji.map(Redacted::from);
    let reaction = Reaction { emoji, action, unknown: Unknown::new() };
    Envelope { reaction: Some(reaction), ..envelope(Kind::Reaction, Vec::new()) }
}

/// Alice has another number.
pub(super) fn number_change() -> Envelope {
    let (previous, current) = (Some("15550001111".into()), Some("15550003333".into()));
    let change = SystemChange::Number;
    let system = SystemEvent { change, previous, current, unknown: Unknown::new() };
    Envelope { system: Some(system), ..envelope(Kind::System, Vec::new()) }
}

pub(super) fn status(state: StatusState) -> Envelope {
    let status = Status { state, error: None, marker: None, unknown: Unknown::new() };
    Envelope { status: Some(status), ..envelope(Kind::Status, Vec::new()) }
}

/// A medium with an id, a URL and this type.
pub(super) fn medium(media: MediaKind, mime: &str) -> Media {
    Media {
        id: Some("1234".into()),
        url: Some("https://cdn.example.org/x".into()),
        mime: Some(mime.to_owned()),
        bytes: Some(1_449_000),
        ..Media::new(media)
    }
}

pub(super) fn native(excerpt: Option<&str>) -> Reference {
    Reference::Native { ids: vec!["m1".into(), "m2".into()], excerpt: excerpt.map(Redacted::from) }
}

pub(super) fn known(excerpt: Option<&str>, author: Option<&str>) -> Reference {
    Reference::Known { excerpt: excerpt.map(Redacted::from), author: author.map(Redacted::from) }
}

/// What is asked, with the usual answers filled in: Alice, not named, from a platform with marks.
pub(super) struct Case {
    pub(super) envelope: Envelope,
    pub(super) target: Capabilities,
    pub(super) alias: &'static str,
    pub(super) named: bool,
    pub(super) about: Reference,
    pub(super) origin: OriginTraits,
    pub(super) earlier_reaction: Option<ReactionForm>,
    pub(super) mark_forwarded: bool,
    pub(super) conversions: Conversions,
    pub(super) links: Option<Links>,
}

/// Links everything that has an id.
#[derive(Debug)]
pub(super) struct Links;

impl MediaLinks for Links {
    fn link(&self, media: &Media) -> Option<Redacted<String>> {
        media.id.as_ref().map(|_| "https://files.example.org/t".into())
    }
}

pub(super) fn case(envelope: Envelope, target: Capabilities) -> Case {
    Case {
        envelope,
        target,
        alias: "Alice",
        named: false,
        about: Reference::None,
        origin: OriginTraits::from(&rich()),
        earlier_reaction: None,
        mark_forwarded: false,
        conversions: Conversions::default(),
        links: None,
    }
}

/// In full: what a failing property has to show.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let envelope = serde_json::to_string(&self.envelope).unwrap_or_default();
        let about = match &self.about {
            Reference::None => "nothing",
            Reference::Native { .. } => "a native copy",
            Reference::Known { .. } => "something known",
            Reference::Unknown => "something unknown",
        };
        let (limit, excerpt) = (self.target.text, self.about.excerpt());
        write!(f, "{envelope} for {limit:?}, named {}, about {about} {excerpt:?}", self.named)
    }
}

impl Case {
    pub(super) fn named(self) -> Self {
        Self { named: true, ..self }
    }

    /// What it answers or is about.
    pub(super) fn about(self, about: Reference) -> Self {
        Self { about, ..self }
    }

    /// How the person's reaction until now had arrived.
    pub(super) fn after(self, earlier: ReactionForm) -> Self {
        Self { earlier_reaction: Some(earlier), ..self }
    }

    /// With everything that can convert.
    pub(super) fn converting(self) -> Self {
        let conversions = Conversions { pictures: true, sounds_and_films: true };
        Self { conversions, ..self }
    }

    /// With somebody who makes links.
    pub(super) fn linking(self) -> Self {
        Self { links: Some(Links), ..self }
    }

    /// From a platform that shows marks as they stand and has public media.
    pub(super) fn of_plain_origin(self) -> Self {
        Self { origin: OriginTraits::from(&middle()), ..self }
    }

    pub(super) fn plan(&self) -> Plan {
        self.with_input(fit)
    }

    pub(super) fn with_input<T>(&self, ask: impl FnOnce(&FitInput<'_>) -> T) -> T {
        let unknown = Unknown::new();
        let author = Author { alias: self.alias.into(), named: self.named, unknown };
        ask(&FitInput {
            envelope: &self.envelope,
            author: &author,
            to: &Recipient::User("2".into()),
            capabilities: &self.target,
            origin: self.origin,
            reply: &self.about,
            target: &self.about,
            earlier_reaction: self.earlier_reaction,
            mark_forwarded: self.mark_forwarded,
            means: Means {
                conversions: self.conversions,
                links: self.links.as_ref().map(|links| links as &dyn MediaLinks),
            },
        })
    }

    /// Compares the plan's readable form.
    pub(super) fn check(self, expect: Expect) {
        expect.assert_eq(&shown(&self.plan()));
    }
}

/// Every text that a plan shows with its limit.
pub(super) fn texts<'a>(plan: &'a Plan, target: &Capabilities) -> Vec<(&'a str, TextLimit)> {
    let mut texts = Vec::new();
    for outgoing in &plan.outgoings {
        match &outgoing.action {
            Action::Text { text, .. } => texts.push((text.as_exposed_str(), target.text)),
            Action::Media(media) => {
                for medium in media {
                    let limit = target.media_rule(medium.media).and_then(|rule| rule.caption);
                    if let Some(caption) = &medium.caption {
                        texts.push((caption.as_exposed_str(), limit.expect("captions are taken")));
                    }
                }
            }
            Action::Location(_) | Action::Contacts(_) | Action::Reaction { .. } => {}
            Action::MarkRead { .. } | Action::Typing { .. } => {}
            Action::PlatformSticker(_) | Action::Heart => {}
            Action::SharePost(_)
            | Action::Interactive(_)
            | Action::Template(_)
            | Action::Upload(_)
            | Action::LocateMedia(_)
            | Action::ThreadControl(_) => panic!("fit plans no such thing"),
        }
    }
    texts
}

pub(super) fn shown(plan: &Plan) -> String {
    let mut out = plan.form.as_str().to_owned();
    for loss in &plan.losses {
        write!(out, " {}", loss.as_str()).unwrap();
    }
    out.push('\n');
    for outgoing in &plan.outgoings {
        out.push_str(&shown_outgoing(outgoing));
        if let Some(quoted) = &outgoing.reply_to {
            write!(out, " quoting {}", quoted.expose()).unwrap();
        }
        out.push('\n');
    }
    out
}

fn shown_outgoing(outgoing: &Outgoing) -> String {
    assert_eq!(outgoing.marker, None, "the marker is the caller's");
    match &outgoing.action {
        Action::Text { text, link_preview, .. } => {
            format!("text {:?}{}", text.expose(), if *link_preview { " preview" } else { "" })
        }
        Action::Media(media) => {
            let mut out = "media".to_owned();
            for medium in media {
                let source = match &medium.source {
                    MediaSource::Url(_) => "url",
                    MediaSource::Origin(_) => "origin",
                    MediaSource::Id(_) => "id",
                };
                write!(out, " {:?} by {source}", medium.media).unwrap();
                if let Some(caption) = &medium.caption {
                    write!(out, " under it {:?}", caption.expose()).unwrap();
                }
            }
            out
        }
        Action::Reaction { message, emoji } => {
            let emoji = emoji.as_ref().map_or("nothing", Redacted::as_exposed_str);
            format!("reaction {emoji} on {}", message.expose())
        }
        Action::MarkRead { message } => {
            format!("read {}", message.as_ref().map_or("the thread", Redacted::as_exposed_str))
        }
        Action::Location(_) => "location".to_owned(),
        Action::Contacts(cards) => format!("{} contacts", cards.len()),
        Action::Typing { on, .. } => format!("typing {on}"),
        Action::PlatformSticker(id) => format!("sticker {id}"),
        Action::Heart => "heart".to_owned(),
        Action::SharePost(_)
        | Action::Interactive(_)
        | Action::Template(_)
        | Action::Upload(_)
        | Action::LocateMedia(_)
        | Action::ThreadControl(_) => panic!("fit plans no such thing"),
    }
}
