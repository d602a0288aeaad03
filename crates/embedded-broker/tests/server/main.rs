//! The embedded broker, seen through an unmodified AMQP client and through bare sockets.

mod consuming;
mod expiry;
mod faults;
mod limits;
mod publishing;
mod topology;
mod wire;

use futures_util::StreamExt;
use interline_embedded_broker::{Config, EmbeddedBroker};
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};

use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use std::time::Duration;
use tokio::time::timeout;

/// No wait in these tests takes longer, unless something is broken.
const LIMIT: Duration = Duration::from_secs(10);

async fn broker() -> EmbeddedBroker {
    EmbeddedBroker::start(Config::default()).await.unwrap()
}

async fn try_connect(broker: &EmbeddedBroker) -> lapin::Result<Connection> {
    let options = ConnectionProperties::default();
    timeout(LIMIT, Connection::connect(&broker.uri(), options)).await.unwrap()
}

async fn channel(broker: &EmbeddedBroker) -> (Connection, Channel) {
    let connection = try_connect(broker).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn declare(
    channel: &Channel,
    queue: &str,
    arguments: FieldTable,
) -> lapin::Result<lapin::Queue> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    timeout(LIMIT, channel.queue_declare(queue.into(), options, arguments)).await.unwrap()
}

/// A channel with confirms and a durable queue `q`.
async fn with_queue(broker: &EmbeddedBroker) -> (Connection, Channel) {
    let (connection, channel) = channel(broker).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    declare(&channel, "q", FieldTable::default()).await.unwrap();
    (connection, channel)
}

fn arguments(of: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in of {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Publishes persistently and mandatory through the default exchange, and waits for the confirm.
async fn publish(channel: &Channel, queue: &str, body: &str) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let sent = channel
        .basic_publish("".into(), queue.into(), options, body.as_bytes(), properties)
        .await?;
    timeout(LIMIT, sent).await.unwrap()
}

async fn consume(channel: &Channel, queue: &str, tag: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default()).await.unwrap()
}

async fn next(consumer: &mut Consumer) -> Delivery {
    timeout(LIMIT, consumer.next()).await.unwrap().unwrap().unwrap()
}

fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.data).unwrap()
}

/// The reply code with which the broker answered.
fn code<T: std::fmt::Debug>(result: lapin::Result<T>) -> u16 {
    match result.unwrap_err().kind() {
        lapin::ErrorKind::ProtocolError(error) => error.get_id(),
        other => panic!("no reply code in {other:?}"),
    }
}
