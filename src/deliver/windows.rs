//! The windows in which accounts may write freely to people, as relay hears them open and deliver finds them closed.
//!
//! Shared by both stages. The store remembers; here is a bounded part of it, so that a person who goes on writing, and
//! an account that goes on answering, cost no look into the store. Whoever waits for a window is woken by its opening.

use interline_envelope::{AccountRef, Address};
use interline_relay::{Passage, Window};
use interline_store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// How many windows are known without a look into the store.
const KNOWN_MAX: usize = 16_384;
/// What people said counts against an account's budget up to this number.
const SAID_MAX: u32 = 1_000;

#[derive(Clone, Copy, Debug)]
struct Known {
    /// As it is written down.
    window: Window,
    /// When the person last opened it, also where that is not written down since it was open.
    heard: i64,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Address, Known>,
    /// By person; a lane that waits holds its [`Listener`]. Bounded by the lanes.
    waiting: HashMap<Address, Arc<Notify>>,
    /// Openings that are being written down, by person. Bounded by the events that are open.
    announced: HashMap<Address, i64>,
    /// What people said to an account since it was asked last.
    said: HashMap<AccountRef, u32>,
}

/// What is known of windows; cheap to clone.
#[derive(Clone)]
pub struct Windows {
    store: Arc<dyn Store>,
    inner: Arc<Mutex<Inner>>,
}

/// A lane that waits for a window. Dropped, it no longer does.
pub(super) struct Listener {
    windows: Windows,
    address: Address,
    opened: Arc<Notify>,
}

/// A person opened a window, which is to be written down. Dropped, it is news again.
pub(crate) struct Announcement {
    windows: Windows,
    address: Address,
    at: i64,
}

impl Windows {
    /// Nothing is known yet but what the store knows.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, inner: Arc::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Whatever a panic left half done here costs a look into the store at worst.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A person said something to an account.
    pub(crate) fn said(&self, account: &AccountRef) {
        let mut inner = self.lock();
        match inner.said.get_mut(account) {
            Some(count) => *count = (*count + 1).min(SAID_MAX),
            None => {
                inner.said.insert(account.clone(), 1);
            }
        }
    }

    /// How often people said something to an account since this was asked last.
    pub(super) fn take_said(&self, account: &AccountRef) -> u32 {
        self.lock().said.get_mut(account).map_or(0, std::mem::take)
    }

    /// What has to be written down where this person opened the window at `at`; nothing if it is known to be open, or an
    /// event that is not yet acknowledged says so.
    pub(crate) fn announce(&self, address: &Address, at: i64) -> Option<Announcement> {
        let mut inner = self.lock();
        let Inner { known, announced, .. } = &mut *inner;
        // Of a person who is not known the store may know a refusal, which only the later opening is behind.
        if let Some(Known { window, heard }) = known.get_mut(address) {
            *heard = at.max(*heard);
            let announced = announced.get(address).copied().unwrap_or(i64::MIN);
            let soon = Window { opened: window.opened.max(announced), ..*window };
            if !soon.is_news(at) {
                return None;
            }
        }
        announced.insert(address.clone(), at);
        drop(inner);
        Some(Announcement { windows: self.clone(), address: address.clone(), at })
    }

    /// Writes down that the platform refused at `at` what was for this person.
    pub(crate) async fn refused(&self, address: &Address, at: i64) -> Result<(), StoreError> {
        let mut row = self.store.window_refused(address, at).await?;
        loop {
            let heard = {
                let mut inner = self.lock();
                let window = Window { opened: row.opened, refused: row.refused };
                let known = entry(&mut inner, address, window);
                if known.heard < at || known.heard <= row.opened {
                    known.window = window;
                    return Ok(());
                }
                known.heard
            };
            // The person wrote while the platform was asked.
            row = self.store.window_opened(address, heard).await?;
        }
    }

    /// Whether a message may go to this person. `lasts_hours`: how long the platform leaves a window open.
    pub(super) async fn passage(
        &self,
        address: &Address,
        lasts_hours: u32,
        now: i64,
    ) -> Result<Passage, StoreError> {
        let known = self.lock().known.get(address).map(|known| known.window);
        let window = match known {
            Some(window) => window,
            None => {
                let row = self.store.window_of(address).await?;
                let window = Window { opened: row.opened, refused: row.refused };
                // Relay may have heard the person while the store was asked.
                entry(&mut self.lock(), address, window).window
            }
        };
        Ok(window.passage(lasts_hours, now))
    }

    /// True if the person may be invited now; from then on they may not be until they have written. Durable before
    /// the invitation is sent, so that nobody is invited twice.
    pub(super) async fn may_invite(&self, address: &Address, now: i64) -> Result<bool, StoreError> {
        self.store.window_invited(address, now).await
    }

    /// From now on an opening of this window is not missed.
    pub(super) fn listen(&self, address: &Address) -> Listener {
        let opened = self.lock().waiting.entry(address.clone()).or_default().clone();
        Listener { windows: self.clone(), address: address.clone(), opened }
    }

    fn remember(&self, address: &Address, window: Window) {
        let mut inner = self.lock();
        entry(&mut inner, address, window).window = window;
    }
}

/// The entry of a window; where there is none, `window` is one.
fn entry<'a>(inner: &'a mut Inner, address: &Address, window: Window) -> &'a mut Known {
    if inner.known.len() >= KNOWN_MAX && !inner.known.contains_key(address) {
        // Half of them go; those who go on talking are known again soon.
        let mut keep = false;
        inner.known.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
    let known = Known { window, heard: window.opened };
    inner.known.entry(address.clone()).or_insert(known)
}

impl Announcement {
    /// Writes it down, and wakes whoever waits for it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written; nobody is woken.
    pub(crate) async fn record(&self) -> Result<(), StoreError> {
        let Self { windows, address, at } = self;
        let row = windows.store.window_opened(address, *at).await?;
        windows.remember(address, Window { opened: row.opened, refused: row.refused });
        if let Some(waiting) = windows.lock().waiting.get(address) {
            waiting.notify_one();
        }
        Ok(())
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let mut inner = self.windows.lock();
        if inner.announced.get(&self.address) == Some(&self.at) {
            inner.announced.remove(&self.address);
        }
    }
}

impl Listener {
    /// Resolves when the person has written. Cancel-safe.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut inner = self.windows.lock();
        // Two lanes wait for one person only while an operator moves the person between conversations.
        if Arc::strong_count(&self.opened) <= 2 {
            inner.waiting.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interline_envelope::RootKey;
    use interline_store::{Settings, SqliteStore};
    use std::time::Duration;

    const NOW: i64 = 1_700_000_000_000;
    const DAY_MS: i64 = 86_400_000;

    fn windows(folder: &tempfile::TempDir) -> Windows {
        let path = folder.path().join("s.db");
        let key = RootKey::published_test_key();
        Windows::new(Arc::new(SqliteStore::open(&path, &key, &Settings::default()).unwrap()))
    }

    fn person(n: usize) -> Address {
        Address::parse(&format!("whatsapp/1/1555{n:07}")).unwrap()
    }

    #[tokio::test]
    async fn a_window_is_known_to_be_closed_a_day_after_its_person_wrote_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let before = windows(&folder);
        before.announce(&person(1), NOW).unwrap().record().await.unwrap();
        let passage =
            async |windows: &Windows, now| windows.passage(&person(1), 24, now).await.unwrap();
        assert_eq!(passage(&before, NOW + DAY_MS).await, Passage::Open);
        assert_eq!(passage(&before, NOW + 2 * DAY_MS).await, Passage::Closed);
        drop(before);
        let after = windows(&folder);
        assert_eq!(passage(&after, NOW + 2 * DAY_MS).await, Passage::Closed);
        assert_eq!(after.passage(&person(2), 24, NOW).await.unwrap(), Passage::Open);
        assert!(after.may_invite(&person(1), NOW + 2 * DAY_MS).await.unwrap());
        assert!(!after.may_invite(&person(1), NOW + 3 * DAY_MS).await.unwrap());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_an_opening_also_by_one_that_came_just_before_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let windows = windows(&folder);
        windows.refused(&person(1), NOW).await.unwrap();
        let listener = windows.listen(&person(1));
        windows.announce(&person(1), NOW + 1).unwrap().record().await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), listener.opened()).await.unwrap();
        assert_eq!(windows.passage(&person(1), 24, NOW + 2).await.unwrap(), Passage::Open);
        drop(listener);
        assert!(windows.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn an_opening_that_is_being_written_down_is_no_news_until_it_failed_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let windows = windows(&folder);
        windows.remember(&person(1), Window::default());
        let first = windows.announce(&person(1), NOW).unwrap();
        assert!(windows.announce(&person(1), NOW + 1).is_none());
        assert!(windows.announce(&person(2), NOW).is_some());
        let much_later = windows.announce(&person(1), NOW + DAY_MS).unwrap();
        drop(first);
        assert!(windows.announce(&person(1), NOW + DAY_MS).is_none(), "the later one is under way");
        drop(much_later);
        let again = windows.announce(&person(1), NOW).unwrap();
        again.record().await.unwrap();
        drop(again);
        assert!(windows.announce(&person(1), NOW + 1).is_none());
        assert!(windows.lock().announced.is_empty());
    }

    #[tokio::test]
    async fn an_opening_after_a_refusal_is_news_though_an_earlier_one_is_being_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let windows = windows(&folder);
        windows.refused(&person(1), NOW - 10).await.unwrap();
        let before = windows.announce(&person(1), NOW).unwrap();
        assert!(windows.announce(&person(1), NOW + 1).is_none());
        windows.refused(&person(1), NOW + 2).await.unwrap();
        let after = windows.announce(&person(1), NOW + 3).unwrap();
        after.record().await.unwrap();
        before.record().await.unwrap();
        let passage = windows.passage(&person(1), 24, NOW + 4).await.unwrap();
        assert_eq!(passage, Passage::Open);
    }

    #[tokio::test]
    async fn a_refusal_of_what_was_asked_before_the_person_wrote_again_closes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let windows = windows(&folder);
        windows.announce(&person(1), NOW).unwrap().record().await.unwrap();
        assert!(windows.announce(&person(1), NOW + 2).is_none(), "it is known to be open");
        windows.refused(&person(1), NOW + 1).await.unwrap();
        assert_eq!(windows.passage(&person(1), 24, NOW + 3).await.unwrap(), Passage::Open);
        windows.refused(&person(1), NOW + 3).await.unwrap();
        assert_eq!(windows.passage(&person(1), 24, NOW + 4).await.unwrap(), Passage::Closed);
    }

    #[tokio::test]
    async fn of_a_person_who_is_not_known_each_opening_is_news() {
        let folder = tempfile::tempdir().unwrap();
        windows(&folder).refused(&person(1), NOW + 1).await.unwrap();
        let windows = windows(&folder);
        let before = windows.announce(&person(1), NOW).unwrap();
        let after = windows.announce(&person(1), NOW + 2).unwrap();
        before.record().await.unwrap();
        after.record().await.unwrap();
        let passage = windows.passage(&person(1), 24, NOW + 3).await.unwrap();
        assert_eq!(passage, Passage::Open);
    }

    #[tokio::test]
    async fn g9_a_bounded_part_of_the_windows_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let windows = windows(&folder);
        for n in 0..2 * KNOWN_MAX {
            windows.remember(&person(n), Window::default());
        }
        assert!(windows.lock().known.len() <= KNOWN_MAX);
    }
}
