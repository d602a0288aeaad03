//! What one platform knows: accounts, phones, files, open faults, the log of requests.
//!
//! One mutex over all of it, never held across an await. Whoever changes something under the lock says so by
//! [`Hub::changed`] and the phone's own signal, so that waiters wake without polling.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, millis};
use crate::config::{AccountConfig, Kind, Person, Settings};
use crate::counts::Tally;
use crate::fault::Book;
use crate::ids::{Ids, Origin, bsuid_of, phone_in_wamid};
use crate::limits::{Hour, Meter};
use crate::media::{File, Shelf};
use crate::outbox::Outbox;
use crate::seen::{RawRequest, Seen};
use crate::web::Web;

/// One running platform; shared by its server, its outboxes and all handles.
pub(crate) struct Hub {
    pub(crate) kind: Kind,
    /// `http://127.0.0.1:PORT`, without a version.
    pub(crate) base_url: String,
    pub(crate) ids: Ids,
    /// Counts accepted messages over all platforms.
    pub(crate) order: Arc<AtomicU64>,
    pub(crate) tally: Tally,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) web: Web,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) accounts: BTreeMap<String, AccountState>,
    pub(crate) book: Book,
    pub(crate) shelf: Shelf,
    pub(crate) raw: VecDeque<RawRequest>,
    pub(crate) raw_next: u64,
    pub(crate) clock: Clock,
    /// All calls of the app.
    pub(crate) hour: Hour,
}

pub(crate) struct AccountState {
    pub(crate) config: AccountConfig,
    /// The token was revoked: the subcode of the error that says so.
    pub(crate) revoked: Option<u64>,
    pub(crate) phones: BTreeMap<String, PhoneState>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) meters: Meters,
    /// What the account says of itself: Messenger's profile, WhatsApp's business profile.
    pub(crate) profile: Map<String, Value>,
}

/// What an account has used of its limits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meters {
    pub(crate) messages: Meter,
    pub(crate) media: Meter,
}

pub(crate) struct PhoneState {
    pub(crate) person: Person,
    pub(crate) timeline: VecDeque<Seen>,
    pub(crate) typing_until_ms: u64,
    pub(crate) typings: u64,
    /// How often each own message was edited.
    pub(crate) edits: BTreeMap<String, u32>,
    /// When the person last did what opens the messaging window; absent: never wrote to this account.
    pub(crate) heard_ms: Option<u64>,
    pub(crate) pair: Meter,
    pub(crate) changed: watch::Sender<u64>,
}

impl PhoneState {
    pub(crate) fn new(person: Person, now_ms: u64) -> Self {
        Self {
            heard_ms: person.has_written.then_some(now_ms),
            pair: Meter::default(),
            person,
            timeline: VecDeque::new(),
            typing_until_ms: 0,
            typings: 0,
            edits: BTreeMap::new(),
            changed: watch::Sender::new(0),
        }
    }

    pub(crate) fn bsuid(&self) -> String {
        self.person.bsuid.clone().unwrap_or_else(|| bsuid_of(&self.person.id))
    }

    /// The message with that id; the newest first, since that is what people answer to.
    pub(crate) fn find(&mut self, native_id: &str) -> Option<&mut Seen> {
        self.timeline.iter_mut().rev().find(|seen| seen.native_id == native_id)
    }

    pub(crate) fn show(&mut self, seen: Seen, timeline_max: usize) {
        while self.timeline.len() >= timeline_max.max(1) {
            let Some(oldest) = self.timeline.pop_front() else { break };
            self.edits.remove(&oldest.native_id);
        }
        self.timeline.push_back(seen);
        self.touch();
    }

    /// True if the person was heard not longer ago than `window`; without a window, if the person was ever heard.
    pub(crate) fn heard_within(&self, now_ms: u64, window: Option<Duration>) -> bool {
        let age_ms = self.heard_ms.map(|heard_ms| now_ms.saturating_sub(heard_ms));
        age_ms.is_some_and(|age_ms| window.is_none_or(|window| age_ms <= millis(window)))
    }

    /// Wakes who waits for this phone.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

impl State {
    /// The platform's clock: milliseconds since the Unix epoch, never going back.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The account with that id or alias.
    pub(crate) fn account(&self, id: &str) -> Option<&AccountState> {
        self.accounts.get(id).or_else(|| {
            self.accounts
                .values()
                .find(|account| account.config.aliases.iter().any(|alias| alias == id))
        })
    }

    pub(crate) fn phone(&mut self, account: &str, person: &str) -> Option<&mut PhoneState> {
        self.accounts.get_mut(account)?.phones.get_mut(person)
    }

    /// Whose screen shows `native_id` at that account. On WhatsApp the id itself says the number.
    pub(crate) fn holder(&self, account: &str, native_id: &str) -> Option<String> {
        let phones = &self.accounts.get(account)?.phones;
        let holds =
            |phone: &PhoneState| phone.timeline.iter().any(|seen| seen.native_id == native_id);
        if let Some(digits) = phone_in_wamid(native_id) {
            return phones.get(&digits).filter(|phone| holds(phone)).map(|_| digits);
        }
        phones.iter().find(|(_, phone)| holds(phone)).map(|(id, _)| id.clone())
    }
}

impl Hub {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a caller's `wait_for` closure must not take the platform down with it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> Clock {
        self.lock().clock.clone()
    }

    pub(crate) fn settings(&self) -> Settings {
        self.lock().settings
    }

    /// Wakes who waits for the platform as a whole.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    pub(crate) fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::AcqRel)
    }

    /// A new message id of this platform.
    pub(crate) fn native_id(&self, account: &str, person: &str, origin: Origin) -> String {
        match self.kind {
            Kind::WhatsApp => self.ids.wamid(person, origin),
            Kind::Messenger => self.ids.messenger_mid(),
            Kind::Instagram => self.ids.instagram_mid(account),
        }
    }

    /// Puts a file on the shelf and returns its id.
    pub(crate) fn shelve(&self, state: &mut State, account: &str, file: File) -> String {
        let id = self.ids.decimal();
        let bytes_max = state.settings.media_bytes_max;
        state.shelf.put(id.clone(), account, file, bytes_max);
        id
    }
}
