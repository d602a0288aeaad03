//! A test's own connection to the broker: what lies in a queue, and what is put there by hand.

use crate::harness::LIMIT;
use bytes::Bytes;
use interline_broker::{
    BrokerUrls, ConnectConfig, Delivery, HeaderValue, Link, OutMessage, Properties, Publisher,
    connect, topology,
};
use std::time::Duration;

/// What every exchange and queue begins with, by default.
pub(crate) const PREFIX: &str = "interline";
/// More dead letters than any test makes.
const LETTERS_MAX: usize = 1_000;

/// A dead letter, as an operator sees it.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    pub(crate) reason: String,
    pub(crate) stage: String,
    pub(crate) error: String,
    pub(crate) body: Bytes,
}

/// A connection of the test's own.
pub(crate) struct Queues {
    link: Link,
    publisher: Publisher,
}

impl Queues {
    pub(crate) async fn connect(uri: &str) -> Self {
        let urls = BrokerUrls::parse(&[uri]).unwrap();
        let link = connect(&ConnectConfig::new(urls, "test")).await.unwrap();
        let publisher = link.publisher(100).await.unwrap();
        Self { link, publisher }
    }

    /// Puts bytes on a platform's events queue, as a backend of the platform does, and waits for the confirm.
    pub(crate) async fn publish_event(
        &self,
        platform: &str,
        account: &str,
        body: impl Into<Bytes>,
    ) {
        let message = OutMessage {
            exchange: topology::events_exchange(PREFIX),
            routing_key: topology::account_key(platform, account),
            properties: Properties::default(),
            body: body.into(),
        };
        self.publisher.publish(message).await.unwrap();
    }

    /// Waits until the daemon has declared a platform's events queue.
    pub(crate) async fn until_declared(&self, platform: &str) {
        let queue = topology::events_queue(PREFIX, platform);
        let wait = async {
            while self.link.depth(&queue).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap();
    }

    /// All dead letters, oldest first; none before the daemon has declared their queue.
    pub(crate) async fn dead(&self) -> Vec<Dead> {
        let letters = self.link.peek(&topology::dead_queue(PREFIX), LETTERS_MAX).await;
        letters.unwrap_or_default().iter().map(dead).collect()
    }

    /// Waits until there are so many dead letters, or more.
    pub(crate) async fn until_dead(&self, count: usize) -> Vec<Dead> {
        let wait = async {
            loop {
                let letters = self.dead().await;
                if letters.len() >= count {
                    return letters;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(letters) => letters,
            Err(_) => {
                panic!("{count} dead letters were awaited; there are {:#?}", self.dead().await)
            }
        }
    }
}

fn dead(letter: &Delivery) -> Dead {
    let header = |name: &str| {
        let value = letter.properties.headers.get(name).and_then(HeaderValue::as_text);
        value.unwrap_or_default().to_owned()
    };
    Dead {
        reason: header("interline-reason"),
        stage: header("interline-stage"),
        error: header("interline-error"),
        body: letter.body.clone(),
    }
}

/// The reasons alone, for comparisons.
pub(crate) fn reasons(letters: &[Dead]) -> Vec<&str> {
    letters.iter().map(|letter| letter.reason.as_str()).collect()
}
