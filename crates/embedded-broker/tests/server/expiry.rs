//! Times to live, of messages and of queues.

use crate::client::*;
use lapin::options::BasicGetOptions;

fn dead_lettering(more: &[(&str, AMQPValue)]) -> FieldTable {
    let to_q = [("x-dead-letter-exchange", string("")), ("x-dead-letter-routing-key", string("q"))];
    arguments(&[&to_q, more].concat())
}

async fn publish_for(channel: &Channel, queue: &str, expiration: &str) {
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_expiration(expiration.into())
        .with_message_id("m".into());
    let options = BasicPublishOptions::default();
    let sent =
        channel.basic_publish("".into(), queue.into(), options, b"x", properties).await.unwrap();
    assert_eq!(timeout(LIMIT, sent).await.unwrap().unwrap(), Confirmation::Ack(None));
}

#[tokio::test]
async fn an_expired_message_becomes_a_dead_letter_that_expires_no_more() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    declare(&channel, "short", dead_lettering(&[])).await.unwrap();
    publish_for(&channel, "short", "1").await;
    broker.wait_until(|now| now.depth("q").ready == 1, LIMIT).await.unwrap();
    let dead = channel.basic_get("q".into(), BasicGetOptions::default()).await.unwrap().unwrap();
    assert_eq!(dead.properties.expiration(), &None);
    assert_eq!(dead.properties.content_type(), &Some("text/plain".into()));
    assert_eq!(dead.properties.message_id(), &Some("m".into()));
    let headers = dead.properties.headers().clone().unwrap();
    assert_eq!(headers.inner().get("x-first-death-reason"), Some(&string("expired")));
    assert_eq!(broker.depth("short").unwrap().ready, 0);
}

#[tokio::test]
async fn the_shorter_of_both_times_to_live_holds() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let ttl = [("x-message-ttl", AMQPValue::LongInt(1))];
    declare(&channel, "short", dead_lettering(&ttl)).await.unwrap();
    publish_for(&channel, "short", "3600000").await;
    broker.wait_until(|now| now.depth("q").ready == 1, LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_taken_in_time_keeps_its_expiration() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    publish_for(&channel, "q", "3600000").await;
    let got = channel.basic_get("q".into(), BasicGetOptions::default()).await.unwrap().unwrap();
    assert_eq!(got.properties.expiration(), &Some("3600000".into()));
}

#[tokio::test]
async fn an_expiration_that_is_no_number_is_406() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let properties = BasicProperties::default().with_expiration("soon".into());
    let options = BasicPublishOptions::default();
    let sent =
        channel.basic_publish("".into(), "q".into(), options, b"x", properties).await.unwrap();
    assert_eq!(code(timeout(LIMIT, sent).await.unwrap()), 406);
}
