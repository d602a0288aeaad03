//! The shortest words for what most tests do with a client.

pub(crate) use futures_util::StreamExt;
pub(crate) use interline_embedded_broker::{Config, EmbeddedBroker};
pub(crate) use lapin::message::Delivery;
pub(crate) use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};

pub(crate) use lapin::types::{AMQPValue, FieldTable};
pub(crate) use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
};
pub(crate) use std::time::Duration;
pub(crate) use tokio::time::timeout;

/// No wait in these tests takes longer, unless something is broken.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn broker() -> EmbeddedBroker {
    EmbeddedBroker::start(Config::default()).await.unwrap()
}

pub(crate) async fn try_connect(broker: &EmbeddedBroker) -> lapin::Result<Connection> {
    let options = ConnectionProperties::default();
    timeout(LIMIT, Connection::connect(&broker.uri(), options)).await.unwrap()
}

pub(crate) async fn open_channel(broker: &EmbeddedBroker) -> (Connection, Channel) {
    let connection = try_connect(broker).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

pub(crate) async fn declare(
    channel: &Channel,
    queue: &str,
    arguments: FieldTable,
) -> lapin::Result<lapin::Queue> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    timeout(LIMIT, channel.queue_declare(queue.into(), options, arguments)).await.unwrap()
}

/// A channel with confirms and a durable queue `q`.
pub(crate) async fn with_queue(broker: &EmbeddedBroker) -> (Connection, Channel) {
    let (connection, channel) = open_channel(broker).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    declare(&channel, "q", FieldTable::default()).await.unwrap();
    (connection, channel)
}

pub(crate) fn arguments(of: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in of {
        table.insert((*name).into(), value.clone());
    }
    table
}

pub(crate) fn string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Publishes persistently and mandatory through the default exchange, and waits for the confirm.
pub(crate) async fn publish(
    channel: &Channel,
    queue: &str,
    body: &str,
) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let sent = channel
        .basic_publish("".into(), queue.into(), options, body.as_bytes(), properties)
        .await?;
    timeout(LIMIT, sent).await.unwrap()
}

pub(crate) async fn consume(channel: &Channel, queue: &str, tag: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default()).await.unwrap()
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    timeout(LIMIT, consumer.next()).await.unwrap().unwrap().unwrap()
}

pub(crate) fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.data).unwrap()
}

/// The reply code with which the broker answered.
pub(crate) fn code<T: std::fmt::Debug>(result: lapin::Result<T>) -> u16 {
    let error = result.unwrap_err();
    let lapin::ErrorKind::ProtocolError(error) = error.kind() else {
        panic!("no reply code in {error:?}")
    };
    error.get_id()
}
