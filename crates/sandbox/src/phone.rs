//! A person's phone: what the person does, and what the screen shows.
//!
//! A phone is one chat: a person and an account. Whatever the person does becomes a webhook of the account, in the
//! order of doing; the calls return at once, since a person does not wait for a server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;

use crate::clock::millis;
use crate::config::Kind;
use crate::ids::Origin;
use crate::media::{FILE_BYTES_MAX, File};
use crate::outbox::Update;
use crate::seen::{Choice, ChoiceKind, Content, Location, Media, MediaKind, RawRequest, Seen};
use crate::speak::Speech;
use crate::state::Hub;
use crate::words::{Held, Words};

/// Why a person cannot do that.
#[derive(Debug, Error)]
pub enum PhoneError {
    /// The platform has no such thing, or tells nobody of it.
    #[error(
        "{platform} has no webhook for {what}, so the other side could not hear of it; try it on another platform"
    )]
    NotOnThisPlatform {
        /// The platform's word.
        platform: &'static str,
        /// What was tried.
        what: &'static str,
    },
    /// The screen shows no such message.
    #[error(
        "this phone shows no message {native_id}; use an id from `view` or one that a call returned"
    )]
    NoSuchMessage {
        /// The id that was asked for.
        native_id: String,
    },
    /// The message is not the phone's own.
    #[error(
        "message {native_id} is not this person's own, so it cannot be {what}; choose one that this phone sent"
    )]
    NotOwn {
        /// The message.
        native_id: String,
        /// What was tried.
        what: &'static str,
    },
    /// The message offers no such choice.
    #[error(
        "message {native_id} offers no choice {choice}; its choices stand in `Content::Choices`"
    )]
    NoSuchChoice {
        /// The message.
        native_id: String,
        /// The choice that was tapped.
        choice: String,
    },
    /// The file is larger than any platform takes.
    #[error("the file has {bytes} bytes; a platform takes at most {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest.
        bytes_max: usize,
    },
    /// Too many updates wait for the account's webhook.
    #[error(
        "{waiting} updates wait for this account's webhook; let it take some, or raise `outbox_max`"
    )]
    OutboxFull {
        /// How many wait.
        waiting: u64,
    },
    /// The account or the person is gone.
    #[error("there is no such account or person any more; add them again before they speak")]
    Gone,
}

/// What was waited for did not come in time.
#[derive(Debug, Error)]
#[error(
    "after {waited:?} the phone of {person} at {account} still shows {} messages, and not what was waited for: \
     {view:#?}",
    view.len()
)]
pub struct TimedOut {
    /// How long it was waited.
    pub waited: Duration,
    /// Whose phone.
    pub person: String,
    /// At which account.
    pub account: String,
    /// What it showed at the end.
    pub view: Vec<Seen>,
}

/// A person's phone, in the chat with one account. Cheap to clone.
#[derive(Clone)]
pub struct Phone {
    pub(crate) hub: Arc<Hub>,
    pub(crate) account: String,
    pub(crate) person: String,
}

/// What happens on the phone. Every call that returns a string returns the native id of what was said or done: a
/// new one, but for reactions, edits and unsends on Messenger and Instagram, which share the mid of their message.
///
/// # Errors
/// All: [`PhoneError::NotOnThisPlatform`] for what the platform does not have, [`PhoneError::OutboxFull`] if too much
/// waits for the webhook, and [`PhoneError::NoSuchMessage`] where a message is named that the screen does not show.
#[expect(clippy::missing_errors_doc, reason = "the errors are the same everywhere and stand above")]
impl Phone {
    /// Says a text.
    pub fn say(&self, text: impl Into<String>) -> Result<String, PhoneError> {
        self.speech()?.message(None, Words::Text(text.into()))
    }

    /// Says a text as a reply to a message on the screen.
    pub fn reply(&self, native_id: &str, text: impl Into<String>) -> Result<String, PhoneError> {
        self.speech()?.message(Some(native_id), Words::Text(text.into()))
    }

    /// Sends a photo; a caption only on WhatsApp.
    pub fn photo(
        &self,
        bytes: impl Into<Bytes>,
        mime: &str,
        caption: Option<&str>,
    ) -> Result<String, PhoneError> {
        self.file(MediaKind::Image, bytes.into(), mime, None, caption)
    }

    /// Sends several photos in one message (Messenger, Instagram).
    pub fn photos(&self, files: Vec<(Bytes, String)>) -> Result<String, PhoneError> {
        let files = files.into_iter().map(|(bytes, mime)| File::new(bytes, mime, None)).collect();
        self.files(MediaKind::Image, files, None, false)
    }

    /// Sends a film; a caption only on WhatsApp.
    pub fn video(
        &self,
        bytes: impl Into<Bytes>,
        mime: &str,
        caption: Option<&str>,
    ) -> Result<String, PhoneError> {
        self.file(MediaKind::Video, bytes.into(), mime, None, caption)
    }

    /// Sends a voice note: Ogg with Opus on WhatsApp; elsewhere an MP4 sound file that nothing marks as voice.
    pub fn voice(&self, bytes: impl Into<Bytes>) -> Result<String, PhoneError> {
        let mime = match self.hub.kind {
            Kind::WhatsApp => "audio/ogg; codecs=opus",
            Kind::Messenger | Kind::Instagram => "audio/mp4",
        };
        self.file(MediaKind::Voice, bytes.into(), mime, None, None)
    }

    /// Sends a sound file.
    pub fn audio(&self, bytes: impl Into<Bytes>, mime: &str) -> Result<String, PhoneError> {
        self.file(MediaKind::Audio, bytes.into(), mime, None, None)
    }

    /// Sends a file of any other type; a caption only on WhatsApp.
    pub fn document(
        &self,
        bytes: impl Into<Bytes>,
        mime: &str,
        filename: &str,
        caption: Option<&str>,
    ) -> Result<String, PhoneError> {
        self.file(MediaKind::Document, bytes.into(), mime, Some(filename.to_owned()), caption)
    }

    /// Sends a file in which the same bytes stand `times` times, one after the other. The platform does not hold it
    /// whole; its sender's own screen shows the bytes once.
    pub fn large_document(
        &self,
        bytes: impl Into<Bytes>,
        times: usize,
        mime: &str,
        filename: &str,
    ) -> Result<String, PhoneError> {
        let file = File::repeated(bytes.into(), times, mime, Some(filename.to_owned()));
        self.files(MediaKind::Document, vec![file], None, false)
    }

    /// Sends a sticker: WebP on WhatsApp, PNG on Messenger. Instagram tells nobody of stickers.
    pub fn sticker(&self, bytes: impl Into<Bytes>, animated: bool) -> Result<String, PhoneError> {
        let mime = match self.hub.kind {
            Kind::WhatsApp => "image/webp",
            Kind::Messenger | Kind::Instagram => "image/png",
        };
        self.files(MediaKind::Sticker, vec![File::new(bytes.into(), mime, None)], None, animated)
    }

    /// Sends Instagram's heart.
    pub fn heart(&self) -> Result<String, PhoneError> {
        self.speech()?.message(None, Words::Heart)
    }

    /// Sends a place (WhatsApp; Messenger's old form without name and address).
    pub fn location(
        &self,
        latitude: f64,
        longitude: f64,
        name: Option<&str>,
        address: Option<&str>,
    ) -> Result<String, PhoneError> {
        let location = Location {
            latitude,
            longitude,
            name: name.map(str::to_owned),
            address: address.map(str::to_owned),
        };
        self.speech()?.message(None, Words::Location(location))
    }

    /// Sends contact cards in WhatsApp's shape: `{"name": {"formatted_name": …}, "phones": [{"phone": …}]}`.
    pub fn contacts(&self, contacts: Vec<Value>) -> Result<String, PhoneError> {
        self.speech()?.message(None, Words::Contacts(contacts))
    }

    /// Sends something that the API does not carry; `native_type` is its name (`poll`, `event`).
    pub fn unsupported(&self, native_type: &str) -> Result<String, PhoneError> {
        self.speech()?.message(None, Words::Unsupported(native_type.to_owned()))
    }

    /// Opens a link to the chat (`m.me/…?ref=…`, `ig.me/…?ref=…`): the account is told, and the window opens. The screen
    /// shows nothing new.
    pub fn open_link(&self, reference: &str) -> Result<(), PhoneError> {
        self.speech()?.open_link(reference)
    }

    /// True while the account may write freely: see [`crate::Settings::window`].
    #[must_use]
    pub fn window_is_open(&self) -> bool {
        let mut state = self.hub.lock();
        let (now_ms, window) = (state.now_ms(), state.settings.window);
        let phone = state.phone(&self.account, &self.person);
        phone.is_some_and(|phone| phone.heard_within(now_ms, window))
    }

    /// Closes the window as if the person had last written just too long ago. The clock stays as it is. It opens with
    /// what the person says next.
    pub fn close_window(&self) {
        let mut state = self.hub.lock();
        let (now_ms, window) = (state.now_ms(), state.settings.window);
        let ago_ms = window.map_or(0, |window| millis(window).saturating_add(1));
        if let Some(phone) = state.phone(&self.account, &self.person) {
            phone.heard_ms = Some(now_ms.saturating_sub(ago_ms));
            phone.touch();
        }
    }

    /// Sets one's reaction on a message; an older one of one's own is replaced.
    pub fn react(&self, native_id: &str, emoji: &str) -> Result<String, PhoneError> {
        self.speech()?.react(native_id, Some(emoji))
    }

    /// Takes one's reaction back.
    pub fn unreact(&self, native_id: &str) -> Result<String, PhoneError> {
        self.speech()?.react(native_id, None)
    }

    /// Edits one's own text. WhatsApp: only coexistence numbers hear of it.
    pub fn edit(&self, native_id: &str, text: impl Into<String>) -> Result<String, PhoneError> {
        self.speech()?.edit(native_id, &text.into())
    }

    /// Takes one's own message back. WhatsApp: only coexistence numbers hear of it; Messenger tells nobody.
    pub fn unsend(&self, native_id: &str) -> Result<String, PhoneError> {
        self.speech()?.unsend(native_id)
    }

    /// Reads everything that is on the screen and sends the read receipts; returns how many messages were unread.
    pub fn read(&self) -> Result<usize, PhoneError> {
        self.speech()?.read()
    }

    /// Taps a choice of a message on the screen: button, list row, quick reply or postback.
    pub fn tap(&self, native_id: &str, choice_id: &str) -> Result<String, PhoneError> {
        let mut speech = self.speech()?;
        let seen = speech.shown(native_id)?;
        let choices = match &seen.content {
            Content::Choices { choices, .. } => choices.as_slice(),
            Content::Text(_)
            | Content::Media(_)
            | Content::Album(_)
            | Content::Location(_)
            | Content::Contacts(_)
            | Content::Heart
            | Content::PlatformSticker(_)
            | Content::Template(_)
            | Content::Unsupported(_) => &[],
        };
        let Some(choice) = choices.iter().find(|choice| choice.id == choice_id).cloned() else {
            return Err(PhoneError::NoSuchChoice {
                native_id: native_id.to_owned(),
                choice: choice_id.to_owned(),
            });
        };
        let quote = (self.hub.kind == Kind::WhatsApp).then_some(native_id);
        speech.message(quote, Words::Tap(choice))
    }

    /// Taps a quick reply (or, on WhatsApp, a reply button) that is not on the screen: an old message's.
    pub fn tap_quick_reply(&self, payload: &str, title: &str) -> Result<String, PhoneError> {
        let of = match self.hub.kind {
            Kind::WhatsApp => ChoiceKind::Button,
            Kind::Messenger | Kind::Instagram => ChoiceKind::QuickReply,
        };
        let choice =
            Choice { id: payload.to_owned(), title: title.to_owned(), description: None, of };
        self.speech()?.message(None, Words::Tap(choice))
    }

    /// What the screen shows, oldest first.
    #[must_use]
    pub fn view(&self) -> Vec<Seen> {
        let mut state = self.hub.lock();
        let phone = state.phone(&self.account, &self.person);
        phone.map(|phone| phone.timeline.iter().cloned().collect()).unwrap_or_default()
    }

    /// What the account sent, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Seen> {
        let mut view = self.view();
        view.retain(|seen| !seen.mine);
        view
    }

    /// The texts (and captions) that the account sent, oldest first.
    #[must_use]
    pub fn received_texts(&self) -> Vec<String> {
        self.received().iter().filter_map(Seen::text).map(str::to_owned).collect()
    }

    /// Waits until the screen shows what is wanted, and returns what it then shows.
    ///
    /// `wanted` is called with the screen at once and after each change, under the platform's lock: it must not call
    /// the sandbox. Cancel-safe.
    ///
    /// # Errors
    /// [`TimedOut`] with the last screen if `limit` has passed.
    pub async fn wait_for(
        &self,
        wanted: impl Fn(&[Seen]) -> bool,
        limit: Duration,
    ) -> Result<Vec<Seen>, TimedOut> {
        let changed = {
            let mut state = self.hub.lock();
            let phone = state.phone(&self.account, &self.person);
            phone.map(|phone| phone.changed.subscribe())
        };
        let watched = async {
            let Some(mut changed) = changed else {
                return std::future::pending().await;
            };
            loop {
                changed.mark_unchanged();
                if self.shows(&wanted) {
                    return self.view();
                }
                if changed.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::time::timeout(limit, watched).await.map_err(|_| TimedOut {
            waited: limit,
            person: self.person.clone(),
            account: self.account.clone(),
            view: self.view(),
        })
    }

    /// Waits until the account has sent `count` messages (or more) to this phone.
    ///
    /// # Errors
    /// [`TimedOut`] with the last screen if `limit` has passed.
    pub async fn wait_for_received(
        &self,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Seen>, TimedOut> {
        let enough = |view: &[Seen]| view.iter().filter(|seen| !seen.mine).count() >= count;
        self.wait_for(enough, limit).await?;
        Ok(self.received())
    }

    /// True while the account shows "typing…": at most 25 s on WhatsApp, 20 s elsewhere, until it says something.
    #[must_use]
    pub fn sees_typing(&self) -> bool {
        let mut state = self.hub.lock();
        let now_ms = state.now_ms();
        let phone = state.phone(&self.account, &self.person);
        phone.is_some_and(|phone| now_ms < phone.typing_until_ms)
    }

    /// How often the account began to type.
    #[must_use]
    pub fn typings_seen(&self) -> u64 {
        let mut state = self.hub.lock();
        state.phone(&self.account, &self.person).map_or(0, |phone| phone.typings)
    }

    /// The requests that were for this person, oldest first.
    #[must_use]
    pub fn raw_requests(&self) -> Vec<RawRequest> {
        let state = self.hub.lock();
        let of_this = |raw: &&RawRequest| {
            raw.account.as_deref() == Some(&self.account)
                && raw.person.as_deref() == Some(&self.person)
        };
        state.raw.iter().filter(of_this).cloned().collect()
    }

    /// The person's id: digits, PSID or IGSID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.person
    }

    /// The account at the other end.
    #[must_use]
    pub fn account_id(&self) -> &str {
        &self.account
    }

    /// The platform.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.hub.kind
    }

    fn shows(&self, wanted: &impl Fn(&[Seen]) -> bool) -> bool {
        let mut state = self.hub.lock();
        let phone = state.phone(&self.account, &self.person);
        phone.is_some_and(|phone| wanted(phone.timeline.make_contiguous()))
    }

    fn speech(&self) -> Result<Speech<'_>, PhoneError> {
        Speech::begin(self)
    }

    fn file(
        &self,
        kind: MediaKind,
        bytes: Bytes,
        mime: &str,
        filename: Option<String>,
        caption: Option<&str>,
    ) -> Result<String, PhoneError> {
        self.files(kind, vec![File::new(bytes, mime, filename)], caption, false)
    }

    fn files(
        &self,
        kind: MediaKind,
        files: Vec<File>,
        caption: Option<&str>,
        animated: bool,
    ) -> Result<String, PhoneError> {
        let mut speech = self.speech()?;
        let mut held = Vec::new();
        for file in files {
            let bytes = file.len();
            if bytes > FILE_BYTES_MAX {
                return Err(PhoneError::TooLarge { bytes, bytes_max: FILE_BYTES_MAX });
            }
            held.push(Held { id: speech.shelve(file.clone()), kind, file });
        }
        let caption = caption.map(str::to_owned);
        speech.message(None, Words::Files { files: held, caption, animated })
    }
}

impl Media {
    /// True if the file has these bytes.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.bytes == bytes
    }
}

/// The one who said it, for ids.
pub(crate) const PERSON: Origin = Origin::Person;

/// One update, as a list.
pub(crate) fn one(update: Update) -> Vec<Update> {
    vec![update]
}
