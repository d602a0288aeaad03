//! Publishing: confirms, returns, properties, sizes.

use crate::client::*;
use lapin::options::{BasicAckOptions, BasicGetOptions};

#[tokio::test]
async fn a_published_message_comes_back_with_every_property_as_it_was() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let headers = arguments(&[("cloudEvents:id", string("e1")), ("n", AMQPValue::LongLongInt(-7))]);
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("identity".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("c".into())
        .with_reply_to("r".into())
        .with_message_id("m".into())
        .with_timestamp(1_700_000_000)
        .with_type("t".into())
        .with_app_id("a".into());
    let options = BasicPublishOptions::default();
    let sent = channel
        .basic_publish("".into(), "q".into(), options, b"x", properties.clone())
        .await
        .unwrap();
    assert!(matches!(sent.await.unwrap(), Confirmation::Ack(None)));
    let got = channel.basic_get("q".into(), BasicGetOptions::default()).await.unwrap().unwrap();
    assert_eq!(got.properties, properties);
    assert_eq!((got.routing_key.as_str(), got.redelivered, got.message_count), ("q", false, 0));
    got.ack(BasicAckOptions::default()).await.unwrap();
    broker.wait_until(|now| now.depth("q").unacked == 0, LIMIT).await.unwrap();
    assert!(channel.basic_get("q".into(), BasicGetOptions::default()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_mandatory_message_without_a_queue_is_returned_with_312() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let Confirmation::Ack(Some(returned)) = publish(&channel, "nowhere", "lost").await.unwrap()
    else {
        panic!("the message was not returned");
    };
    assert_eq!((returned.reply_code, returned.delivery.data.as_slice()), (312, b"lost".as_slice()));
    assert!(matches!(publish(&channel, "q", "kept").await.unwrap(), Confirmation::Ack(None)));
}

#[tokio::test]
async fn bodies_larger_than_a_frame_and_empty_ones_come_through() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let large = "äx".repeat(300_000);
    for text in ["", large.as_str()] {
        publish(&channel, "q", text).await.unwrap();
        let got =
            channel.basic_get("q".into(), BasicGetOptions { no_ack: true }).await.unwrap().unwrap();
        assert!(body(&got) == text);
    }
}

#[tokio::test]
async fn a_full_queue_that_rejects_publishes_nacks() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let bounds =
        [("x-max-length", AMQPValue::LongInt(2)), ("x-max-length-bytes", AMQPValue::LongInt(8))];
    for (index, bound) in bounds.into_iter().enumerate() {
        let queue = format!("bounded{index}");
        declare(&channel, &queue, arguments(&[bound, ("x-overflow", string("reject-publish"))]))
            .await
            .unwrap();
        let mut nacked = vec![];
        for text in ["a", "b", "c"] {
            nacked.push(matches!(
                publish(&channel, &queue, text).await.unwrap(),
                Confirmation::Nack(_)
            ));
        }
        assert_eq!(nacked, [false, false, true]);
    }
}

#[tokio::test]
async fn a_full_queue_without_overflow_drops_its_oldest_to_the_dead_letters() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let settings = [
        ("x-max-length", AMQPValue::LongInt(1)),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("q")),
    ];
    declare(&channel, "short", arguments(&settings)).await.unwrap();
    publish(&channel, "short", "old").await.unwrap();
    publish(&channel, "short", "new").await.unwrap();
    let dead = channel.basic_get("q".into(), BasicGetOptions::default()).await.unwrap().unwrap();
    assert_eq!(body(&dead), "old");
    let headers = dead.properties.headers().clone().unwrap();
    assert_eq!(headers.inner().get("x-first-death-reason"), Some(&string("maxlen")));
    assert_eq!(broker.depth("short").unwrap().ready, 1);
}

#[tokio::test]
async fn publishing_to_an_unknown_exchange_closes_the_channel_with_404() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let sent = channel
        .basic_publish("nosuch".into(), "k".into(), options, b"x", properties)
        .await
        .unwrap();
    assert_eq!(code(timeout(LIMIT, sent).await.unwrap()), 404);
    assert!(connection.create_channel().await.is_ok(), "the connection outlives its channel");
}
