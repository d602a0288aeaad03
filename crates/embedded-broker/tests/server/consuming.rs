//! Consuming: acks, requeues, prefetch, takeovers, cancels.

use crate::client::*;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::options::{BasicRejectOptions, QueueDeleteOptions};

async fn fill(channel: &Channel, queue: &str, bodies: &[&str]) {
    for body in bodies {
        publish(channel, queue, body).await.unwrap();
    }
}

fn delivery_count(delivery: &Delivery) -> Option<i64> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get("x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => Some(*count),
        _ => None,
    }
}

#[tokio::test]
async fn an_ack_of_multiple_settles_all_before_it() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    fill(&channel, "q", &["a", "b", "c"]).await;
    let mut consumer = consume(&channel, "q", "c").await;
    let mut deliveries = vec![];
    for expected in ["a", "b", "c"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        deliveries.push(delivery);
    }
    deliveries[1].ack(BasicAckOptions { multiple: true }).await.unwrap();
    let now = broker.wait_until(|now| now.acked == 2, LIMIT).await.unwrap();
    assert_eq!((now.depth("q").ready, now.depth("q").unacked), (0, 1));
}

#[tokio::test]
async fn a_requeued_message_stands_where_it_stood_and_is_marked_as_redelivered() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    declare(&channel, "quorum", arguments(&[("x-queue-type", string("quorum"))])).await.unwrap();
    fill(&channel, "quorum", &["a", "b", "c"]).await;
    let get = || channel.basic_get("quorum".into(), BasicGetOptions::default());
    let first = get().await.unwrap().unwrap();
    let second = get().await.unwrap().unwrap();
    second.nack(BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
    first.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    let mut seen = vec![];
    for _ in 0..3 {
        let got = get().await.unwrap().unwrap();
        seen.push((body(&got).to_owned(), got.redelivered, delivery_count(&got)));
    }
    let expected = [("a", true, Some(1)), ("b", true, Some(1)), ("c", false, None)];
    assert_eq!(
        seen,
        expected.map(|(text, redelivered, count)| (text.to_owned(), redelivered, count))
    );
}

#[tokio::test]
async fn a_closed_channel_gives_its_unacked_messages_back_in_order() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    fill(&channel, "q", &["a", "b", "c"]).await;
    let lost = connection.create_channel().await.unwrap();
    let mut consumer = consume(&lost, "q", "lost").await;
    for _ in 0..3 {
        next(&mut consumer).await;
    }
    lost.close(200, "".into()).await.unwrap();
    let mut consumer = consume(&channel, "q", "after").await;
    for expected in ["a", "b", "c"] {
        let delivery = next(&mut consumer).await;
        assert_eq!((body(&delivery), delivery.redelivered), (expected, true));
    }
}

#[tokio::test]
async fn prefetch_bounds_what_a_consumer_holds() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
    let mut consumer = consume(&channel, "q", "c").await;
    fill(&channel, "q", &["a", "b", "c"]).await;
    let depth = broker.depth("q").unwrap();
    assert_eq!((depth.ready, depth.unacked), (1, 2));
    next(&mut consumer).await.ack(BasicAckOptions::default()).await.unwrap();
    broker.wait_until(|now| now.depth("q").ready == 0, LIMIT).await.unwrap();
}

#[tokio::test]
async fn an_unknown_delivery_tag_closes_the_channel_with_406() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    channel.basic_ack(77, BasicAckOptions::default()).await.unwrap();
    broker.wait_until(|now| now.channels == 0, LIMIT).await.unwrap();
    let after = channel.basic_get("q".into(), BasicGetOptions::default()).await;
    assert!(after.is_err());
}

#[tokio::test]
async fn the_next_consumer_takes_over_only_when_the_single_active_one_has_gone() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    declare(
        &channel,
        "single",
        arguments(&[("x-single-active-consumer", AMQPValue::Boolean(true))]),
    )
    .await
    .unwrap();
    let (one, two) =
        (connection.create_channel().await.unwrap(), connection.create_channel().await.unwrap());
    one.basic_qos(1, BasicQosOptions::default()).await.unwrap();
    let mut first = consume(&one, "single", "first").await;
    let mut second = consume(&two, "single", "second").await;
    fill(&channel, "single", &["a", "b"]).await;
    let held = next(&mut first).await;
    let depth = broker.depth("single").unwrap();
    assert_eq!(
        (body(&held), depth.ready, depth.consumers),
        ("a", 1, 2),
        "the second consumer gets nothing yet"
    );
    one.basic_cancel("first".into(), BasicCancelOptions::default()).await.unwrap();
    assert_eq!(body(&next(&mut second).await), "b");
    one.close(200, "".into()).await.unwrap();
    assert_eq!(body(&next(&mut second).await), "a");
}

#[tokio::test]
async fn consumers_take_turns() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let mut first = consume(&channel, "q", "first").await;
    let mut second = consume(&channel, "q", "second").await;
    fill(&channel, "q", &["a", "b"]).await;
    assert_eq!((body(&next(&mut first).await), body(&next(&mut second).await)), ("a", "b"));
}

#[tokio::test]
async fn an_exclusive_consumer_keeps_others_out_with_403() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
    // Kept: a dropped consumer is cancelled.
    let only = channel.basic_consume("q".into(), "only".into(), options, FieldTable::default());
    let _only = only.await.unwrap();
    let (_other, other) = open_channel(&broker).await;
    let consumed = other.basic_consume(
        "q".into(),
        "late".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    assert_eq!(code(timeout(LIMIT, consumed).await.unwrap()), 403);
}

#[tokio::test]
async fn deleting_a_queue_cancels_its_consumers() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    let mut consumer = consume(&channel, "q", "c").await;
    let other = connection.create_channel().await.unwrap();
    other.queue_delete("q".into(), QueueDeleteOptions::default()).await.unwrap();
    assert!(timeout(LIMIT, consumer.next()).await.unwrap().is_none());
    assert!(channel.status().connected(), "the channel outlives the queue");
}

#[tokio::test]
async fn a_rejected_message_and_one_over_the_delivery_limit_become_dead_letters() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let settings = [
        ("x-queue-type", string("quorum")),
        ("x-delivery-limit", AMQPValue::LongInt(1)),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("q")),
    ];
    declare(&channel, "strict", arguments(&settings)).await.unwrap();
    fill(&channel, "strict", &["rejected", "returned"]).await;
    let get = || async {
        channel.basic_get("strict".into(), BasicGetOptions::default()).await.unwrap().unwrap()
    };
    get().await.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    for _ in 0..2 {
        get().await.nack(BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
    }
    let now = broker.wait_until(|now| now.depth("q").ready == 2, LIMIT).await.unwrap();
    assert_eq!(now.depth("strict").ready, 0);
    for (text, reason) in [("rejected", "rejected"), ("returned", "delivery_limit")] {
        let dead =
            channel.basic_get("q".into(), BasicGetOptions::default()).await.unwrap().unwrap();
        let headers = dead.properties.headers().clone().unwrap();
        assert_eq!(body(&dead), text);
        assert_eq!(headers.inner().get("x-first-death-reason"), Some(&string(reason)));
        assert_eq!(headers.inner().get("x-first-death-queue"), Some(&string("strict")));
    }
}
