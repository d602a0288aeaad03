//! What would arrive of an event on another platform, in what form, and what it loses on the way.
//!
//! Asked by `interline explain` and by the chore that writes `docs/fidelity.md`. It decides nothing itself: the codec,
//! the route and `fit` answer, as they do in the relay and deliver stages. It reads no store, so that the caller says
//! what is known of the message that an event is about; and it fetches nothing: media that turn out to be something
//! else than their origin says may still arrive in another form.

use interline_bridge_api::{BodyError, Bridge, ChatKind, ItemError};
use interline_envelope::{
    AccountRef, Address, Envelope, IdKey, Kind, Media, MediaKind, Redacted, ReplyTo, Target,
};
use interline_relay::{
    Absorbed, Action, Attribution, Conversation, Conversions, Directory, FitInput, Form, Means,
    MediaLinks, MediaSource, OriginTraits, OutMedia, Outgoing, Participant, ReactionForm,
    Recipient, Reference, Route, alias, fit, route,
};
use serde::Serialize;

/// What is known on the target of the message that an event answers or is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Original {
    /// The target has its own copy of it, which can be quoted.
    #[default]
    Copied,
    /// Its words are known, but the target has no copy.
    Known,
    /// Nothing.
    Unknown,
}

/// Under which circumstances something would arrive.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// The name that the others know the author by; nothing for that of the profile.
    pub name: Option<String>,
    /// True if more than two people hear each other, so that the author is named.
    pub named: bool,
    /// What is known of the message that the event is about.
    pub original: Original,
    /// On a reaction: how the one until now had reached the target.
    pub earlier_reaction: Option<ReactionForm>,
    /// True with `ffmpeg` installed, which converts sounds and films.
    pub ffmpeg: bool,
    /// True with `[media] listen` set, so that what cannot be sent as a file is linked.
    pub links: bool,
}

/// Makes links as the daemon does, to nowhere.
#[derive(Debug)]
struct LinksToNowhere;

impl MediaLinks for LinksToNowhere {
    /// Only for what its platform gives out by id, as the daemon's own.
    fn link(&self, media: &Media) -> Option<Redacted<String>> {
        media.id.as_ref().map(|_| "https://media.example.org/…".into())
    }
}

/// A rule, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its word, as in logs and dead letters.
    pub rule: &'static str,
    /// A sentence for people.
    pub says: &'static str,
}

/// One request, as a person on the target sees it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The words; what has none stands in square brackets.
    pub seen: String,
    /// True if it quotes the target's copy of another message.
    pub quotes: bool,
}

/// What would become of one envelope.
#[derive(Clone, Serialize)]
pub struct Explanation {
    /// The kind of event.
    pub kind: Kind,
    /// `native`, `fallback`, `placeholder`, `refusal` or `nothing`.
    pub form: &'static str,
    /// Why it arrives for nobody; nothing where it arrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Rule>,
    /// What the person sees, request by request.
    pub shown: Vec<Shown>,
    /// What is lost, each by the rule that takes it.
    pub losses: Vec<Rule>,
}

// What people say is in them.
impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("quotes", &self.quotes).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explanation").field("kind", &self.kind).field("form", &self.form).finish()
    }
}

/// What would become of one native event, or of a whole webhook body.
#[derive(Debug)]
pub struct Explained {
    /// One for each envelope, in order.
    pub envelopes: Vec<Explanation>,
    /// Items that cannot become an envelope at all; they are dead-lettered.
    pub unreadable: Vec<ItemError>,
}

/// What the message that an event is about is said to have said.
const ORIGINAL_WORDS: &str = "See you at eight";
/// Who is said to have said it.
const ORIGINAL_AUTHOR: &str = "Bob";

/// Explains a native event or a webhook body of `source` to a person on `target`.
///
/// # Errors
/// [`BodyError`] if the whole body is unreadable.
pub fn explain(
    source: &dyn Bridge,
    body: &[u8],
    target: &dyn Bridge,
    circumstances: &Circumstances,
) -> Result<Explained, BodyError> {
    let normalized = source.normalize(&IdKey::published_test_key(), body)?;
    let one = |envelope| explain_one(source, envelope, target, circumstances);
    Ok(Explained {
        envelopes: normalized.envelopes.iter().map(one).collect(),
        unreadable: normalized.unreadable,
    })
}

fn explain_one(
    source: &dyn Bridge,
    envelope: &Envelope,
    target: &dyn Bridge,
    circumstances: &Circumstances,
) -> Explanation {
    let mut explanation = Explanation {
        kind: envelope.kind,
        form: Form::Nothing.as_str(),
        because: None,
        shown: Vec::new(),
        losses: Vec::new(),
    };
    let directory = directory(envelope, target, circumstances);
    let seat = directory.as_ref().and_then(|directory| {
        let account = AccountRef::new(envelope.platform.clone(), &envelope.account);
        directory.find(&account, envelope.from.as_ref()?)
    });
    let Some(seat) = seat else {
        explanation.because = Some(absorbed(Absorbed::Unsupported));
        return explanation;
    };
    if let Route::Absorbed(why) = route(envelope, seat) {
        explanation.because = Some(absorbed(why));
        return explanation;
    }
    let references = references(envelope, circumstances.original);
    let plan = fit(&FitInput {
        envelope,
        author: &alias(seat, envelope, source.manifest().display_name),
        to: &Recipient::User(Redacted::from(PERSON)),
        capabilities: target.capabilities(ChatKind::Direct),
        origin: OriginTraits::from(source.capabilities(ChatKind::Direct)),
        reply: &references.0,
        target: &references.1,
        earlier_reaction: circumstances.earlier_reaction,
        mark_forwarded: false,
        means: Means {
            conversions: Conversions {
                sounds_and_films: circumstances.ffmpeg,
                ..Conversions::BUILT_IN
            },
            links: circumstances.links.then_some(&LinksToNowhere as &dyn MediaLinks),
        },
    });
    explanation.form = plan.form.as_str();
    explanation.shown = plan.outgoings.iter().map(shown).collect();
    let loss = |loss: &interline_relay::Loss| Rule { rule: loss.as_str(), says: loss.sentence() };
    explanation.losses = plan.losses.iter().map(loss).collect();
    explanation.because = match plan.form {
        Form::Refusal(refusal) => Some(Rule { rule: refusal.as_str(), says: refusal.sentence() }),
        Form::Nothing => explanation.losses.first().copied(),
        Form::Native | Form::Fallback | Form::Placeholder => None,
    };
    explanation
}

const fn absorbed(why: Absorbed) -> Rule {
    Rule { rule: why.as_str(), says: why.sentence() }
}

/// The person on the target; nobody's id.
const PERSON: &str = "0";

/// A conversation of the author and one person on the target; nothing if the event names no author.
fn directory(
    envelope: &Envelope,
    target: &dyn Bridge,
    circumstances: &Circumstances,
) -> Option<Directory> {
    let author = Participant {
        address: Address {
            account: AccountRef::new(envelope.platform.clone(), &envelope.account),
            user: envelope.from.as_ref()?.user.clone(),
        },
        name: circumstances.name.as_deref().map(Redacted::from),
        scoped_id: None,
        language: None,
    };
    let account = AccountRef::new(target.manifest().id.clone(), "explained");
    let address = Address { account, user: PERSON.into() };
    let other = Participant { address, name: None, scoped_id: None, language: None };
    let attribution = if circumstances.named { Attribution::Always } else { Attribution::Never };
    let participants = vec![author, other];
    Directory::new(vec![Conversation {
        name: "explained".into(),
        participants,
        attribution,
        receipts: true,
    }])
    .ok()
}

/// What the event answers, and what it is about, as the target knows it.
fn references(envelope: &Envelope, original: Original) -> (Reference, Reference) {
    let reference = || match original {
        Original::Copied => {
            Reference::Native { ids: vec!["copy".into()], excerpt: Some(ORIGINAL_WORDS.into()) }
        }
        Original::Known => Reference::Known {
            excerpt: Some(ORIGINAL_WORDS.into()),
            author: Some(ORIGINAL_AUTHOR.into()),
        },
        Original::Unknown => Reference::Unknown,
    };
    let reply = match envelope.reply_to {
        Some(ReplyTo::Message { .. }) => reference(),
        Some(ReplyTo::Story { .. }) | None => Reference::None,
    };
    let about = match envelope.target {
        Some(Target::Messages { .. } | Target::Watermark { .. }) => reference(),
        None => Reference::None,
    };
    (reply, about)
}

fn shown(outgoing: &Outgoing) -> Shown {
    let quotes = outgoing.reply_to.is_some();
    let seen = match &outgoing.action {
        Action::Text { text, .. } => text.as_exposed_str().to_owned(),
        Action::Media(media) => media.iter().map(medium).collect::<Vec<_>>().join(" "),
        Action::Location(place) => {
            let (latitude, longitude) = (place.latitude, place.longitude);
            let names = [&place.name, &place.address].into_iter().flatten();
            let names: Vec<&str> = names.map(Redacted::as_exposed_str).collect();
            format!("[place {latitude}, {longitude}] {}", names.join(", "))
        }
        Action::Contacts(cards) => {
            let names: Vec<&str> = cards.iter().map(|card| card.name.as_exposed_str()).collect();
            format!("[contact {}]", names.join("] [contact "))
        }
        Action::PlatformSticker(_) => "[sticker]".to_owned(),
        Action::Heart => "[heart sticker]".to_owned(),
        Action::Reaction { emoji: Some(emoji), .. } => {
            format!("[reaction {}]", emoji.as_exposed_str())
        }
        Action::Reaction { emoji: None, .. } => "[reaction taken away]".to_owned(),
        Action::MarkRead { .. } => "[marked as read]".to_owned(),
        Action::Typing { .. } => "[typing]".to_owned(),
        Action::SharePost(_)
        | Action::Interactive(_)
        | Action::Template(_)
        | Action::Upload(_)
        | Action::LocateMedia(_)
        | Action::ThreadControl(_) => "[platform's own]".to_owned(),
    };
    Shown { seen: seen.trim_end().to_owned(), quotes }
}

/// `[photo] the caption`
fn medium(media: &OutMedia) -> String {
    let filename = match &media.source {
        MediaSource::Origin(origin) => origin.filename.as_ref().or(media.filename.as_ref()),
        MediaSource::Id(_) | MediaSource::Url(_) => media.filename.as_ref(),
    };
    let noun = match media.media {
        MediaKind::Image => "photo",
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Voice => "voice note",
        MediaKind::Document => "file",
        MediaKind::Sticker => "sticker",
    };
    let filename = filename.filter(|_| media.media == MediaKind::Document);
    let filename = filename.map_or_else(String::new, |name| format!(" {}", name.as_exposed_str()));
    let caption = media.caption.as_ref().map(Redacted::as_exposed_str).unwrap_or_default();
    format!("[{noun}{filename}] {caption}").trim_end().to_owned()
}
