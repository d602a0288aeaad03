//! Every fault that can be ordered, as a client meets it.

use crate::client::*;
use futures_util::future::join_all;
use interline_embedded_broker::Release;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use std::io::ErrorKind;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Publishes without waiting for the confirm.
async fn send(channel: &Channel, body: &str) -> lapin::PublisherConfirm {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel
        .basic_publish("".into(), "q".into(), options, body.as_bytes(), properties)
        .await
        .unwrap()
}

async fn gone(broker: &EmbeddedBroker) {
    broker.wait_until(|now| now.connections == 0, LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_is_down_refuses_and_comes_back_on_its_port() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    broker.faults().listener_down().await;
    let refused = TcpStream::connect(broker.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(publish(&channel, "q", "x").await.is_ok(), "connections that stand are left alone");
    broker.faults().listener_up().await;
    try_connect(&broker).await.unwrap();
}

#[tokio::test]
async fn a_listener_can_accept_and_close_or_accept_and_say_nothing() {
    let broker = broker().await;
    broker.faults().accept_and_close().await;
    let mut stream = TcpStream::connect(broker.address()).await.unwrap();
    assert_eq!(timeout(LIMIT, stream.read(&mut [0; 8])).await.unwrap().unwrap_or(0), 0);
    broker.faults().accept_silently().await;
    let mut stream = TcpStream::connect(broker.address()).await.unwrap();
    broker.wait_until(|now| now.accepted == 2, LIMIT).await.unwrap();
    broker.faults().listener_up().await;
    assert_eq!(
        timeout(LIMIT, stream.read(&mut [0; 8])).await.unwrap().unwrap_or(0),
        0,
        "let go unanswered"
    );
}

#[tokio::test]
async fn a_cut_gives_unacked_messages_back() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    publish(&channel, "q", "x").await.unwrap();
    let mut consumer = consume(&channel, "q", "c").await;
    next(&mut consumer).await;
    broker.faults().cut_all();
    let depth = broker.depth("q").unwrap();
    assert_eq!((depth.ready, depth.unacked, depth.consumers), (1, 0, 0));
    let ended = timeout(LIMIT, consumer.next()).await.unwrap();
    assert!(!matches!(ended, Some(Ok(_))));
}

#[tokio::test]
async fn a_cut_after_the_third_stored_publish_keeps_three_and_confirms_not_the_last() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    broker.faults().cut_after_stored(3);
    let mut sent = vec![];
    for index in 0..3 {
        sent.push(send(&channel, &index.to_string()).await);
    }
    let answers = timeout(LIMIT, join_all(sent)).await.unwrap();
    assert!(answers[2].is_err());
    assert_eq!(broker.depth("q").unwrap().ready, 3);
}

#[tokio::test]
async fn a_frozen_broker_says_nothing_until_it_thaws() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    broker.faults().freeze();
    let mut sent = Box::pin(send(&channel, "x").await);
    assert!(timeout(Duration::from_millis(100), &mut sent).await.is_err());
    assert_eq!(broker.snapshot().stored, 0);
    broker.faults().thaw();
    assert!(matches!(timeout(LIMIT, sent).await.unwrap().unwrap(), Confirmation::Ack(None)));
}

#[tokio::test]
async fn an_alarm_blocks_publishers_until_it_ends() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    broker.faults().block();
    let sent = send(&channel, "x").await;
    broker.wait_until(|now| now.blocked == 1, LIMIT).await.unwrap();
    assert_eq!(broker.snapshot().stored, 0, "what is published under the alarm is not read");
    broker.faults().unblock();
    assert!(matches!(timeout(LIMIT, sent).await.unwrap().unwrap(), Confirmation::Ack(None)));
    assert!(connection.status().connected());
}

#[tokio::test]
async fn held_confirms_are_released_in_order_reversed_or_as_one() {
    for release in [Release::InOrder, Release::Reversed, Release::Multiple] {
        let broker = broker().await;
        let (_connection, channel) = with_queue(&broker).await;
        broker.faults().hold_confirms();
        let sent =
            [send(&channel, "a").await, send(&channel, "b").await, send(&channel, "c").await];
        let now = broker.wait_until(|now| now.held_confirms == 3, LIMIT).await.unwrap();
        assert_eq!((now.stored, now.confirmed), (3, 0));
        broker.faults().release_confirms(release);
        for answer in timeout(LIMIT, join_all(sent)).await.unwrap() {
            assert!(matches!(answer.unwrap(), Confirmation::Ack(None)));
        }
        assert!(matches!(publish(&channel, "q", "d").await.unwrap(), Confirmation::Ack(None)));
    }
}

#[tokio::test]
async fn coalesced_confirms_confirm_every_publish() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    broker.faults().coalesce_confirms(true);
    let mut sent = vec![];
    for _ in 0..50 {
        sent.push(send(&channel, "x").await);
    }
    let answers = timeout(LIMIT, join_all(sent)).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Confirmation::Ack(None)))));
}

#[tokio::test]
async fn publishes_are_nacked_or_returned_by_count_and_by_key() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let faults = broker.faults();
    faults.nack_next(1);
    assert!(matches!(publish(&channel, "q", "x").await.unwrap(), Confirmation::Nack(None)));
    faults.return_next(1);
    assert!(matches!(publish(&channel, "q", "x").await.unwrap(), Confirmation::Ack(Some(_))));
    faults.nack_routing_key("other");
    assert!(matches!(publish(&channel, "q", "x").await.unwrap(), Confirmation::Ack(None)));
    faults.nack_routing_key("q");
    assert!(matches!(publish(&channel, "q", "x").await.unwrap(), Confirmation::Nack(None)));
    faults.clear_rules();
    faults.return_routing_key("q");
    assert!(matches!(publish(&channel, "q", "x").await.unwrap(), Confirmation::Ack(Some(_))));
    assert_eq!(broker.depth("q").unwrap().ready, 1);
}

#[tokio::test]
async fn deliveries_are_held_or_delayed() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let mut consumer = consume(&channel, "q", "c").await;
    broker.faults().hold_deliveries();
    publish(&channel, "q", "held").await.unwrap();
    assert_eq!(broker.depth("q").unwrap().ready, 1);
    broker.faults().release_deliveries();
    assert_eq!(body(&next(&mut consumer).await), "held");
    let delay = Duration::from_millis(60);
    broker.faults().delay_deliveries(Some(delay));
    let started = Instant::now();
    publish(&channel, "q", "late").await.unwrap();
    assert_eq!(body(&next(&mut consumer).await), "late");
    assert!(started.elapsed() >= delay);
    broker.faults().delay_deliveries(Some(Duration::from_secs(3600)));
    publish(&channel, "q", "freed").await.unwrap();
    broker.faults().delay_deliveries(None);
    assert_eq!(body(&next(&mut consumer).await), "freed");
}

#[tokio::test]
async fn channels_and_connections_are_closed_with_the_ordered_code() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    let mut consumer = consume(&channel, "q", "c").await;
    broker.faults().close_channels(406, "PRECONDITION_FAILED - consumer timeout");
    broker
        .wait_until(|now| now.channels == 0 && now.depth("q").consumers == 0, LIMIT)
        .await
        .unwrap();
    while timeout(LIMIT, consumer.next()).await.unwrap().is_some_and(|delivery| delivery.is_ok()) {}
    assert!(connection.create_channel().await.is_ok());
    broker.faults().close_connections(320, "CONNECTION_FORCED - by the operator");
    gone(&broker).await;
    assert!(connection.create_channel().await.is_err());
}

#[tokio::test]
async fn a_queue_deleted_by_order_ends_its_consumers() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let mut consumer = consume(&channel, "q", "c").await;
    broker.faults().delete_queue("q");
    assert!(timeout(LIMIT, consumer.next()).await.unwrap().is_none());
    assert_eq!(broker.depth("q"), None);
}

#[tokio::test]
async fn a_refused_login_is_403() {
    let broker = broker().await;
    broker.faults().refuse_login(true);
    assert_eq!(code(try_connect(&broker).await), 403);
    broker.faults().refuse_login(false);
    try_connect(&broker).await.unwrap();
}

#[tokio::test]
async fn messages_taken_back_are_delivered_again_and_late_acks_change_nothing() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    publish(&channel, "q", "x").await.unwrap();
    let mut consumer = consume(&channel, "q", "c").await;
    let stale = next(&mut consumer).await;
    broker.faults().redeliver_unacked();
    let again = next(&mut consumer).await;
    assert!(again.redelivered);
    stale.ack(BasicAckOptions::default()).await.unwrap();
    assert_eq!(broker.depth("q").unwrap().unacked, 1);
    again.ack(BasicAckOptions::default()).await.unwrap();
    let now = broker.wait_until(|now| now.depth("q").unacked == 0, LIMIT).await.unwrap();
    assert_eq!((now.acked, now.channels), (1, 1));
}

#[tokio::test]
async fn a_restart_keeps_what_is_durable_and_a_wipe_keeps_nothing() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    channel
        .queue_declare("fleeting".into(), QueueDeclareOptions::default(), FieldTable::default())
        .await
        .unwrap();
    publish(&channel, "q", "durable").await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(1);
    let options = BasicPublishOptions::default();
    channel
        .basic_publish("".into(), "q".into(), options, b"transient", properties)
        .await
        .unwrap()
        .await
        .unwrap();
    broker.faults().restart(false);
    assert_eq!((broker.queues(), broker.snapshot().connections), (vec!["q".to_owned()], 0));
    let (_connection, channel) = open_channel(&broker).await;
    let kept = channel.basic_get("q".into(), BasicGetOptions::default()).await.unwrap().unwrap();
    assert_eq!((body(&kept), kept.message_count), ("durable", 0));
    broker.faults().restart(true);
    assert!(broker.queues().is_empty());
}
