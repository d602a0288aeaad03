//! Exchanges, queues and bindings.

use crate::client::*;
use lapin::ExchangeKind;
use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    passive: bool,
) -> lapin::Result<()> {
    let options =
        ExchangeDeclareOptions { durable: true, passive, ..ExchangeDeclareOptions::default() };
    timeout(LIMIT, channel.exchange_declare(name.into(), kind, options, FieldTable::default()))
        .await
        .unwrap()
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default())
        .await
}

async fn publish_to(channel: &Channel, exchange: &str, key: &str) -> Confirmation {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default();
    let sent = channel
        .basic_publish(exchange.into(), key.into(), options, b"x", properties)
        .await
        .unwrap();
    timeout(LIMIT, sent).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_kind_of_exchange_routes_by_its_rule() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    for (kind, bound, takes, leaves) in [
        (ExchangeKind::Direct, "a.b", "a.b", Some("a.c")),
        (ExchangeKind::Topic, "a.*", "a.b", Some("a.b.c")),
        (ExchangeKind::Fanout, "", "anything", None),
    ] {
        let name = format!("{kind:?}");
        exchange(&channel, &name, kind, false).await.unwrap();
        bind(&channel, "q", &name, bound).await.unwrap();
        assert!(matches!(publish_to(&channel, &name, takes).await, Confirmation::Ack(None)));
        if let Some(key) = leaves {
            assert!(matches!(publish_to(&channel, &name, key).await, Confirmation::Ack(Some(_))));
        }
    }
    assert_eq!(broker.depth("q").unwrap().ready, 3);
}

#[tokio::test]
async fn an_unbound_queue_and_a_deleted_exchange_take_nothing() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    exchange(&channel, "x", ExchangeKind::Direct, false).await.unwrap();
    exchange(&channel, "y", ExchangeKind::Direct, false).await.unwrap();
    bind(&channel, "q", "y", "k").await.unwrap();
    let options = ExchangeBindOptions::default();
    channel
        .exchange_bind("y".into(), "x".into(), "k".into(), options, FieldTable::default())
        .await
        .unwrap();
    assert!(matches!(publish_to(&channel, "x", "k").await, Confirmation::Ack(None)));
    channel.queue_unbind("q".into(), "y".into(), "k".into(), FieldTable::default()).await.unwrap();
    assert!(matches!(publish_to(&channel, "x", "k").await, Confirmation::Ack(Some(_))));
    channel.exchange_delete("x".into(), ExchangeDeleteOptions::default()).await.unwrap();
    assert_eq!(code(exchange(&channel, "x", ExchangeKind::Direct, true).await), 404);
}

#[tokio::test]
async fn a_queue_declared_again_with_other_arguments_is_406() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    let limit = |value| arguments(&[("x-max-length", value)]);
    declare(&channel, "limited", limit(AMQPValue::LongInt(5))).await.unwrap();
    declare(&channel, "limited", limit(AMQPValue::LongLongInt(5))).await.unwrap();
    assert_eq!(code(declare(&channel, "limited", limit(AMQPValue::LongInt(6))).await), 406);
    let channel = connection.create_channel().await.unwrap();
    let transient =
        channel.queue_declare("q".into(), QueueDeclareOptions::default(), FieldTable::default());
    assert_eq!(code(timeout(LIMIT, transient).await.unwrap()), 406);
}

#[tokio::test]
async fn a_passive_declaration_counts_or_says_404() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    publish(&channel, "q", "x").await.unwrap();
    let passive = || QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("q".into(), passive(), FieldTable::default()).await.unwrap();
    assert_eq!((queue.message_count(), queue.consumer_count()), (1, 0));
    let missing = channel.queue_declare("missing".into(), passive(), FieldTable::default());
    assert_eq!(code(timeout(LIMIT, missing).await.unwrap()), 404);
}

#[tokio::test]
async fn purging_and_deleting_say_how_many_messages_went() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    publish(&channel, "q", "x").await.unwrap();
    assert_eq!(channel.queue_purge("q".into(), QueuePurgeOptions::default()).await.unwrap(), 1);
    publish(&channel, "q", "y").await.unwrap();
    assert_eq!(channel.queue_delete("q".into(), QueueDeleteOptions::default()).await.unwrap(), 1);
    assert_eq!(broker.queues(), Vec::<String>::new());
}

#[tokio::test]
async fn an_exclusive_queue_is_locked_for_others_and_goes_with_its_connection() {
    let broker = broker().await;
    let (owner, channel) = open_channel(&broker).await;
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
    let name = queue.name().as_str().to_owned();
    assert!(name.starts_with("amq.gen-"));
    let (_other, other_channel) = open_channel(&broker).await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let declared =
        other_channel.queue_declare(name.as_str().into(), passive, FieldTable::default());
    assert_eq!(code(timeout(LIMIT, declared).await.unwrap()), 405);
    owner.close(200, "".into()).await.unwrap();
    broker.wait_until(|now| now.queues.is_empty(), LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_quorum_queue_must_be_durable() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    declare(&channel, "quorum", arguments(&[("x-queue-type", string("quorum"))])).await.unwrap();
    let quorum = arguments(&[("x-queue-type", string("quorum"))]);
    let declared =
        channel.queue_declare("transient".into(), QueueDeclareOptions::default(), quorum);
    assert_eq!(code(timeout(LIMIT, declared).await.unwrap()), 406);
}
