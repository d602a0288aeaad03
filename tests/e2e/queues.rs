//! A test's own connection to the broker: what lies in a queue, and what is put there by hand.

use crate::harness::LIMIT;
use bytes::Bytes;
use interline_broker::{
    Acker, BrokerUrls, ConnectConfig, Consumer, Delivery, Link, OutMessage, Properties,
    PublishError, Publisher, connect, topology,
};
use serde_json::Value;
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
    /// All headers, as text.
    pub(crate) headers: String,
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
        self.publish(topology::events_exchange(PREFIX), platform, account, body.into()).await;
    }

    /// The same for an account's dispatch queue, where only the daemon should publish.
    pub(crate) async fn publish_dispatch(
        &self,
        platform: &str,
        account: &str,
        body: impl Into<Bytes>,
    ) {
        self.publish(topology::dispatch_exchange(PREFIX), platform, account, body.into()).await;
    }

    async fn publish(&self, exchange: String, platform: &str, account: &str, body: Bytes) {
        let message = OutMessage {
            exchange,
            routing_key: topology::account_key(platform, account),
            properties: Properties::default(),
            body,
        };
        let publish = async {
            // The queue may stand a moment before it is bound. What is unroutable was not stored.
            while let Err(error) = self.publisher.publish(message.clone()).await {
                assert!(matches!(error, PublishError::Unroutable { .. }), "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, publish).await.unwrap();
    }

    /// Consumes the requests for a platform, as its own backend does.
    pub(crate) async fn egress(&self, platform: &str) -> (Consumer, Acker) {
        let queue = topology::egress_queue(PREFIX, platform);
        self.link.consumer(&queue, 100, "backend").await.unwrap()
    }

    /// Answers a request, as a platform's own backend does.
    pub(crate) async fn answer(&self, platform: &str, account: &str, marker: &str, answer: &Value) {
        let properties = Properties {
            kind: Some("interline.answer".into()),
            correlation_id: Some(marker.to_owned()),
            ..Properties::default()
        };
        let message = OutMessage {
            exchange: topology::events_exchange(PREFIX),
            routing_key: topology::account_key(platform, account),
            properties,
            body: answer.to_string().into(),
        };
        self.publisher.publish(message).await.unwrap();
    }

    /// Waits until so many dispatches wait for an account.
    pub(crate) async fn until_dispatched(&self, platform: &str, account: &str, count: u32) {
        let queue = topology::dispatch_queue(PREFIX, platform, account);
        let wait = async {
            while self.link.depth(&queue).await.is_ok_and(|depth| depth.messages < count) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap();
    }

    /// The dispatches that wait for an account, each with its headers. The daemon must not consume meanwhile.
    pub(crate) async fn dispatched(&self, platform: &str, account: &str) -> Vec<Vec<u8>> {
        let queue = topology::dispatch_queue(PREFIX, platform, account);
        let waiting = self.link.peek(&queue, LETTERS_MAX).await.unwrap();
        waiting.iter().map(|one| [shown(one).as_bytes(), &one.body].concat()).collect()
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
    let header = |name: &str| letter.text_header(name).unwrap_or_default().to_owned();
    Dead {
        reason: header("interline-reason"),
        stage: header("interline-stage"),
        error: header("interline-error"),
        body: letter.body.clone(),
        headers: shown(letter),
    }
}

/// Every header and id of a message, in clear: `Debug` shows none of them.
fn shown(letter: &Delivery) -> String {
    let properties = letter.properties();
    let texts = properties.headers.iter().map(|(name, value)| {
        let text = value.as_text().map(str::to_owned);
        let text = text.or_else(|| value.as_int().map(|number| number.to_string()));
        format!("{name}={}\n", text.expect("a header is text or a number"))
    });
    let ids = [&properties.message_id, &properties.correlation_id];
    texts.chain(ids.into_iter().flatten().cloned()).collect()
}

/// The reasons alone, for comparisons.
pub(crate) fn reasons(letters: &[Dead]) -> Vec<&str> {
    letters.iter().map(|letter| letter.reason.as_str()).collect()
}
