//! The news that messages reached a person's device, for accounts with `order = "delivered"`.
//!
//! The relay hears of it in the platform's statuses; deliver waits for it before it sends the lane's next message.
//! Bounded and in memory only: news that is forgotten costs a wait of `deliver.delivered_timeout`, no message.

use interline_envelope::{AccountRef, Redacted, Target};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many pieces of news are remembered for a request that has not come to wait for them yet.
const REMEMBERED_MAX: usize = 4096;

/// What a status says about the messages of one chat: they arrived, or never will.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) account: AccountRef,
    pub(crate) chat: Redacted<String>,
    pub(crate) of: Target,
}

type Chat = (AccountRef, String);

#[derive(Debug, Default)]
struct News {
    /// By native id: a person may be known to a platform by several ids, a message by one.
    arrived: HashSet<(AccountRef, String)>,
    oldest: VecDeque<(AccountRef, String)>,
    /// Every message of the chat up to this moment arrived, in milliseconds.
    watermarks: HashMap<Chat, i64>,
}

/// What is known of arrivals, shared by relay and deliver.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<(Mutex<News>, Notify)>);

impl Arrivals {
    /// Takes news and wakes whoever waits for it.
    pub(crate) fn note(&self, arrival: Arrival) {
        let Arrival { account, chat, of } = arrival;
        {
            let mut news = self.lock();
            match of {
                Target::Messages { native_ids } => {
                    for native_id in native_ids {
                        news.remember((account.clone(), native_id.into_exposed()));
                    }
                }
                Target::Watermark { watermark } => {
                    if news.watermarks.len() >= REMEMBERED_MAX {
                        news.watermarks.clear();
                    }
                    let chat = (account, chat.into_exposed());
                    let known = news.watermarks.entry(chat).or_insert(watermark);
                    *known = watermark.max(*known);
                }
            }
        }
        self.0.1.notify_waiters();
    }

    /// Waits until one of the messages arrived that were sent as `native_ids` at `sent_at` (UTC milliseconds), or
    /// `limit` has passed. True if it did arrive.
    pub(super) async fn wait(
        &self,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_ids: &[Redacted<String>],
        sent_at: i64,
        limit: Duration,
    ) -> bool {
        let chat = (account.clone(), chat.as_exposed_str().to_owned());
        let deadline = Instant::now() + limit;
        loop {
            let mut told = std::pin::pin!(self.0.1.notified());
            told.as_mut().enable();
            if self.lock().knows(&chat, native_ids, sent_at) {
                return true;
            }
            if tokio::time::timeout_at(deadline, told).await.is_err() {
                return false;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, News> {
        // Whatever a panic left half done here costs a wait at worst.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News {
    fn remember(&mut self, message: (AccountRef, String)) {
        if !self.arrived.insert(message.clone()) {
            return;
        }
        self.oldest.push_back(message);
        if self.oldest.len() > REMEMBERED_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.arrived.remove(&oldest);
        }
    }

    fn knows(&self, chat: &Chat, native_ids: &[Redacted<String>], sent_at: i64) -> bool {
        self.watermarks.get(chat).is_some_and(|watermark| *watermark >= sent_at)
            || native_ids
                .iter()
                .any(|id| self.arrived.contains(&(chat.0.clone(), id.as_exposed_str().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interline_envelope::Platform;

    fn account() -> AccountRef {
        AccountRef::new(Platform::new("whatsapp").unwrap(), "1065")
    }

    fn arrival(of: Target) -> Arrival {
        Arrival { account: account(), chat: Redacted::new("1555".to_owned()), of }
    }

    async fn wait(arrivals: &Arrivals, native_id: &str, sent_at: i64) -> bool {
        let (chat, ids) = (Redacted::new("1555".to_owned()), [Redacted::new(native_id.to_owned())]);
        arrivals.wait(&account(), &chat, &ids, sent_at, Duration::from_secs(10)).await
    }

    #[tokio::test(start_paused = true)]
    async fn news_ends_the_wait_whether_it_comes_before_or_during_it() {
        let arrivals = Arrivals::default();
        arrivals.note(arrival(Target::message("a")));
        assert!(wait(&arrivals, "a", 5).await);
        let news = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            arrivals.note(arrival(Target::message("b")));
        };
        let (arrived, ()) = tokio::join!(wait(&arrivals, "b", 5), news);
        assert!(arrived);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watermark_stands_for_every_message_sent_before_it() {
        let arrivals = Arrivals::default();
        arrivals.note(arrival(Target::Watermark { watermark: 100 }));
        arrivals.note(arrival(Target::Watermark { watermark: 50 }));
        assert!(wait(&arrivals, "a", 100).await);
        assert!(!wait(&arrivals, "a", 101).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_news_the_wait_ends_at_its_limit() {
        let before = Instant::now();
        assert!(!wait(&Arrivals::default(), "a", 5).await);
        assert_eq!(before.elapsed(), Duration::from_secs(10));
    }

    #[test]
    fn g9_only_the_last_few_thousand_arrivals_are_remembered() {
        let arrivals = Arrivals::default();
        for n in 0..5_000 {
            arrivals.note(arrival(Target::message(format!("m{n}"))));
        }
        let news = arrivals.lock();
        assert_eq!((news.arrived.len(), news.oldest.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }
}
