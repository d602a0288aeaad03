//! Dead letters that find no place.

use crate::client::*;
use lapin::options::{BasicGetOptions, BasicRejectOptions, QueuePurgeOptions};

/// A quorum queue that dead-letters to `graves`, at least once if `safe`.
async fn source(channel: &Channel, name: &str, safe: bool) {
    let strategy = if safe { "at-least-once" } else { "at-most-once" };
    let settings = [
        ("x-queue-type", string("quorum")),
        ("x-overflow", string("reject-publish")),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("graves")),
        ("x-dead-letter-strategy", string(strategy)),
    ];
    declare(channel, name, arguments(&settings)).await.unwrap();
}

async fn reject_all(channel: &Channel, broker: &EmbeddedBroker, queue: &str) {
    let get = || channel.basic_get(queue.into(), BasicGetOptions::default());
    while let Some(got) = get().await.unwrap() {
        got.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    }
    broker.wait_until(|now| now.depth(queue) == Default::default(), LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_without_a_place_waits_if_it_must_arrive_at_least_once() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    source(&channel, "safe", true).await;
    for text in ["a", "b", "c"] {
        publish(&channel, "safe", text).await.unwrap();
    }
    reject_all(&channel, &broker, "safe").await;
    // Nobody was there to take them; now there is room for one after the other.
    let one = [("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", string("reject-publish"))];
    declare(&channel, "graves", arguments(&one)).await.unwrap();
    for text in ["a", "b", "c"] {
        broker.wait_until(|now| now.depth("graves").ready == 1, LIMIT).await.unwrap();
        let get = channel.basic_get("graves".into(), BasicGetOptions { no_ack: true });
        assert_eq!(body(&get.await.unwrap().unwrap()), text);
    }
}

#[tokio::test]
async fn a_dead_letter_without_a_place_is_lost_at_most_once() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    source(&channel, "unsafe", false).await;
    publish(&channel, "unsafe", "a").await.unwrap();
    reject_all(&channel, &broker, "unsafe").await;
    declare(&channel, "graves", FieldTable::default()).await.unwrap();
    publish(&channel, "graves", "other").await.unwrap();
    let options = QueuePurgeOptions::default();
    assert_eq!(channel.queue_purge("graves".into(), options).await.unwrap(), 1);
}
