//! What a person does, put on the person's own screen and into the account's outbox, in one step.
//!
//! A [`Speech`] holds the platform's lock, so that two people who speak at once are in one order on screen and wire.

use std::sync::{Arc, MutexGuard};

use crate::config::Kind;
use crate::media::File;
use crate::messaging::words as messaging;
use crate::outbox::Update;
use crate::phone::{PERSON, Phone, PhoneError, one};
use crate::seen::{Content, Seen};
use crate::state::{AccountState, PhoneState, State};
use crate::whatsapp::words as whatsapp;
use crate::words::{Quote, Words, not_here};

pub(crate) struct Speech<'a> {
    phone: &'a Phone,
    state: MutexGuard<'a, State>,
    now_ms: u64,
}

impl<'a> Speech<'a> {
    pub(crate) fn begin(phone: &'a Phone) -> Result<Self, PhoneError> {
        let state = phone.hub.lock();
        let now_ms = state.now_ms();
        let outbox_max = state.settings.outbox_max;
        let account = state.accounts.get(&phone.account).ok_or(PhoneError::Gone)?;
        if !account.outbox.has_room(1, outbox_max) {
            return Err(PhoneError::OutboxFull { waiting: account.outbox.left() });
        }
        if !account.phones.contains_key(&phone.person) {
            return Err(PhoneError::Gone);
        }
        Ok(Self { phone, state, now_ms })
    }

    pub(crate) fn shelve(&mut self, file: File) -> String {
        self.phone.hub.shelve(&mut self.state, &self.phone.account, file)
    }

    /// The message with that id on this screen.
    pub(crate) fn shown(&mut self, native_id: &str) -> Result<Seen, PhoneError> {
        let phone = self.phone_state()?;
        phone
            .find(native_id)
            .cloned()
            .ok_or_else(|| PhoneError::NoSuchMessage { native_id: native_id.to_owned() })
    }

    pub(crate) fn message(
        mut self,
        quotes: Option<&str>,
        words: Words,
    ) -> Result<String, PhoneError> {
        let quote = match quotes {
            Some(native_id) => {
                Some(Quote { own: self.shown(native_id)?.mine, native_id: native_id.to_owned() })
            }
            None => None,
        };
        let native_id = self.phone.hub.native_id(&self.phone.account, &self.phone.person, PERSON);
        let update = match self.phone.hub.kind {
            Kind::WhatsApp => self.on_whatsapp(|setting| {
                whatsapp::message(setting, &native_id, quote.as_ref(), &words)
            })?,
            Kind::Messenger | Kind::Instagram => self.on_messaging(|setting| {
                messaging::message(setting, &native_id, quote.as_ref(), &words)
            })?,
        };
        let seen = Seen {
            order: self.phone.hub.next_order(),
            native_id: native_id.clone(),
            account: self.phone.account.clone(),
            mine: true,
            content: words.content(),
            quotes: quotes.map(str::to_owned),
            reaction: None,
            my_reaction: None,
            read: false,
            edited: false,
            unsent: false,
            marker: None,
            at_ms: self.now_ms,
        };
        let timeline_max = self.state.settings.timeline_max;
        self.phone_state()?.show(seen, timeline_max);
        self.open_window()?;
        self.post(one(update))?;
        Ok(native_id)
    }

    pub(crate) fn open_link(mut self, reference: &str) -> Result<(), PhoneError> {
        if self.phone.hub.kind == Kind::WhatsApp {
            return Err(not_here(Kind::WhatsApp, "links that open a chat"));
        }
        let update = self.on_messaging(|setting| Ok(messaging::referral(setting, reference)))?;
        self.open_window()?;
        self.phone_state()?.touch();
        self.post(one(update))
    }

    /// The account may write freely from now on. WhatsApp counts what people say against the number's throughput.
    fn open_window(&mut self) -> Result<(), PhoneError> {
        let now_ms = self.now_ms;
        self.phone_state()?.heard_ms = Some(now_ms);
        let (clock, limits) = (self.state.clock.clone(), self.state.settings.limits);
        if let (Kind::WhatsApp, Some(count), Some(account)) = (
            self.phone.hub.kind,
            limits.messages_per_second,
            self.state.accounts.get_mut(&self.phone.account),
        ) {
            // A person is never refused; the account has that much less.
            let _too_fast = account.meters.messages.per_second(&clock, count).is_err();
        }
        Ok(())
    }

    /// `emoji: None` takes the reaction back.
    pub(crate) fn react(mut self, target: &str, emoji: Option<&str>) -> Result<String, PhoneError> {
        let before = self.shown(target)?.my_reaction;
        let add = emoji.is_some();
        let sign = emoji.or(before.as_deref()).unwrap_or("❤");
        let (native_id, update) = match self.phone.hub.kind {
            Kind::WhatsApp => {
                let id = self.phone.hub.native_id(&self.phone.account, &self.phone.person, PERSON);
                let sign = if add { sign } else { "" };
                let update =
                    self.on_whatsapp(|setting| Ok(whatsapp::reaction(setting, &id, target, sign)))?;
                (id, update)
            }
            Kind::Messenger | Kind::Instagram => {
                let update = self
                    .on_messaging(|setting| Ok(messaging::reaction(setting, target, sign, add)))?;
                (target.to_owned(), update)
            }
        };
        self.change(target, |seen| seen.my_reaction = emoji.map(str::to_owned))?;
        self.post(one(update))?;
        Ok(native_id)
    }

    pub(crate) fn edit(mut self, target: &str, text: &str) -> Result<String, PhoneError> {
        let seen = self.shown(target)?;
        if !seen.mine {
            return Err(PhoneError::NotOwn { native_id: target.to_owned(), what: "edited" });
        }
        let edits = self.phone_state()?.edits.entry(target.to_owned()).or_insert(0);
        *edits += 1;
        let num_edit = *edits;
        let native = self.state.settings.native_edits;
        let (native_id, update) = match self.phone.hub.kind {
            Kind::WhatsApp => {
                self.coexistence("edits, unless the number is a coexistence number")?;
                let id = self.phone.hub.native_id(&self.phone.account, &self.phone.person, PERSON);
                let update = self.on_whatsapp(|setting| {
                    Ok(whatsapp::edit(setting, &id, target, text, native))
                })?;
                (id, update)
            }
            Kind::Messenger | Kind::Instagram => {
                let update = self
                    .on_messaging(|setting| Ok(messaging::edit(setting, target, text, num_edit)))?;
                (target.to_owned(), update)
            }
        };
        self.change(target, |seen| {
            seen.edited = true;
            match &mut seen.content {
                Content::Media(media) => media.caption = Some(text.to_owned()),
                Content::Text(_)
                | Content::Album(_)
                | Content::Location(_)
                | Content::Contacts(_)
                | Content::Choices { .. }
                | Content::Heart
                | Content::PlatformSticker(_)
                | Content::Template(_)
                | Content::Unsupported(_) => seen.content = Content::Text(text.to_owned()),
            }
        })?;
        self.post(one(update))?;
        Ok(native_id)
    }

    pub(crate) fn unsend(mut self, target: &str) -> Result<String, PhoneError> {
        if !self.shown(target)?.mine {
            return Err(PhoneError::NotOwn { native_id: target.to_owned(), what: "taken back" });
        }
        let (native_id, update) = match self.phone.hub.kind {
            Kind::WhatsApp => {
                self.coexistence("unsends, unless the number is a coexistence number")?;
                let id = self.phone.hub.native_id(&self.phone.account, &self.phone.person, PERSON);
                let update =
                    self.on_whatsapp(|setting| Ok(whatsapp::revoke(setting, &id, target)))?;
                (id, update)
            }
            Kind::Messenger => return Err(not_here(Kind::Messenger, "unsends")),
            Kind::Instagram => {
                let update = self.on_messaging(|setting| Ok(messaging::unsend(setting, target)))?;
                (target.to_owned(), update)
            }
        };
        self.change(target, |seen| seen.unsent = true)?;
        self.post(one(update))?;
        Ok(native_id)
    }

    pub(crate) fn read(mut self) -> Result<usize, PhoneError> {
        let now_ms = self.now_ms;
        let phone = self.phone_state()?;
        let mut unread = Vec::new();
        for seen in phone.timeline.iter_mut().filter(|seen| !seen.mine && !seen.read) {
            seen.read = true;
            unread.push((seen.native_id.clone(), seen.marker.clone()));
        }
        let Some((newest, _)) = unread.last() else { return Ok(0) };
        let updates = match self.phone.hub.kind {
            Kind::WhatsApp => {
                let phone = &*self.phone_state()?;
                let status = |(native_id, marker): &(String, Option<String>)| {
                    let marker = marker.as_deref();
                    whatsapp::Status { native_id, state: "read", marker, now_ms }.of(phone)
                };
                unread.iter().map(status).collect()
            }
            Kind::Messenger | Kind::Instagram => {
                one(self.on_messaging(|setting| Ok(messaging::read(setting, newest, now_ms)))?)
            }
        };
        self.phone_state()?.touch();
        self.post(updates)?;
        Ok(unread.len())
    }

    fn coexistence(&self, what: &'static str) -> Result<(), PhoneError> {
        let account = self.account_state()?;
        if account.config.coexistence { Ok(()) } else { Err(not_here(Kind::WhatsApp, what)) }
    }

    fn change(&mut self, native_id: &str, how: impl FnOnce(&mut Seen)) -> Result<(), PhoneError> {
        let phone = self.phone_state()?;
        if let Some(seen) = phone.find(native_id) {
            how(seen);
        }
        phone.touch();
        Ok(())
    }

    fn post(self, updates: Vec<Update>) -> Result<(), PhoneError> {
        let outbox_max = self.state.settings.outbox_max;
        let account = self.account_state()?;
        let tallies = [&self.phone.hub.tally, &*account.tally];
        Arc::clone(&account.outbox).put(updates, outbox_max, tallies);
        drop(self.state);
        self.phone.hub.touch();
        Ok(())
    }

    fn account_state(&self) -> Result<&AccountState, PhoneError> {
        self.state.accounts.get(&self.phone.account).ok_or(PhoneError::Gone)
    }

    fn phone_state(&mut self) -> Result<&mut PhoneState, PhoneError> {
        self.state.phone(&self.phone.account, &self.phone.person).ok_or(PhoneError::Gone)
    }

    fn on_whatsapp<T>(
        &self,
        build: impl FnOnce(&whatsapp::Setting<'_>) -> Result<T, PhoneError>,
    ) -> Result<T, PhoneError> {
        let account = self.account_state()?;
        let phone = account.phones.get(&self.phone.person).ok_or(PhoneError::Gone)?;
        build(&whatsapp::Setting {
            base_url: &self.phone.hub.base_url,
            account: &account.config,
            phone,
            now_ms: self.now_ms,
            url_lifetime_s: self.state.settings.media_url_lifetime.as_secs(),
        })
    }

    fn on_messaging<T>(
        &self,
        build: impl FnOnce(&messaging::Setting<'_>) -> Result<T, PhoneError>,
    ) -> Result<T, PhoneError> {
        build(&messaging::Setting {
            kind: self.phone.hub.kind,
            base_url: &self.phone.hub.base_url,
            account: &self.account_state()?.config,
            person: &self.phone.person,
            now_ms: self.now_ms,
            sticker_twice: self.state.settings.sticker_twice,
        })
    }
}
