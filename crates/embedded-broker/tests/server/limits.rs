//! Bounds, and the life of the broker itself.

use crate::client::*;
use lapin::options::BasicGetOptions;
use tokio::net::TcpStream;

async fn start(change: impl FnOnce(&mut Config)) -> EmbeddedBroker {
    let mut config = Config::default();
    change(&mut config);
    EmbeddedBroker::start(config).await.unwrap()
}

#[tokio::test]
async fn a_message_above_the_maximum_closes_the_channel_with_406() {
    let broker = start(|config| config.message_bytes_max = 10).await;
    let (connection, channel) = with_queue(&broker).await;
    assert!(publish(&channel, "q", "0123456789").await.is_ok());
    assert_eq!(code(publish(&channel, "q", "0123456789x").await), 406);
    assert!(connection.status().connected());
}

#[tokio::test]
async fn publishers_are_blocked_while_too_much_is_stored() {
    let broker = start(|config| config.stored_bytes_max = 100).await;
    let (_publisher, channel) = with_queue(&broker).await;
    publish(&channel, "q", &"x".repeat(200)).await.unwrap();
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let sent =
        channel.basic_publish("".into(), "q".into(), options, b"more", properties).await.unwrap();
    broker.wait_until(|now| now.blocked == 1, LIMIT).await.unwrap();
    let (_consumer, other) = open_channel(&broker).await;
    other.basic_get("q".into(), BasicGetOptions { no_ack: true }).await.unwrap().unwrap();
    assert!(matches!(timeout(LIMIT, sent).await.unwrap().unwrap(), Confirmation::Ack(None)));
}

#[tokio::test]
async fn channels_above_the_maximum_are_not_opened() {
    let broker = start(|config| config.channels_max = 2).await;
    let connection = try_connect(&broker).await.unwrap();
    let _one = connection.create_channel().await.unwrap();
    let _two = connection.create_channel().await.unwrap();
    assert!(timeout(LIMIT, connection.create_channel()).await.unwrap().is_err());
    assert_eq!(broker.snapshot().channels, 2);
}

#[tokio::test]
async fn bounds_that_clients_would_take_for_none_are_refused_at_start() {
    for config in [
        Config { frame_bytes_max: 0, ..Config::default() },
        Config { channels_max: 0, ..Config::default() },
    ] {
        let error = EmbeddedBroker::start(config).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn a_wrong_password_is_403() {
    let broker = start(|config| config.password = "s3cret/".to_owned()).await;
    try_connect(&broker).await.unwrap();
    let wrong = broker.uri().replace("s3cret%2F", "guess");
    let refused =
        timeout(LIMIT, Connection::connect(&wrong, ConnectionProperties::default())).await.unwrap();
    assert_eq!(code(refused), 403);
}

#[tokio::test]
async fn neither_the_password_nor_a_body_shows_when_a_broker_is_printed() {
    let config = Config { password: "s3cret".to_owned(), ..Config::default() };
    let broker = EmbeddedBroker::start(config.clone()).await.unwrap();
    let (_connection, channel) = with_queue(&broker).await;
    publish(&channel, "q", "private").await.unwrap();
    let shown = format!("{config:?} {broker:?} {:?} {:?}", broker.faults(), broker.snapshot());
    let bytes = format!("{:?}", b"private").replace(['[', ']'], "");
    assert!(!shown.contains("s3cret") && !shown.contains("private") && !shown.contains(&bytes));
}

#[tokio::test]
async fn a_stopped_broker_has_told_its_clients_and_listens_no_more() {
    let broker = broker().await;
    let (connection, channel) = with_queue(&broker).await;
    timeout(LIMIT, broker.stop()).await.unwrap();
    assert!(TcpStream::connect(broker.address()).await.is_err());
    assert!(publish(&channel, "q", "x").await.is_err());
    assert!(!connection.status().connected());
    timeout(LIMIT, broker.stop()).await.unwrap();
}

#[tokio::test]
async fn a_dropped_broker_stops() {
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let mut consumer = consume(&channel, "q", "c").await;
    drop(broker);
    while timeout(LIMIT, consumer.next()).await.unwrap().is_some_and(|delivery| delivery.is_ok()) {}
}

#[tokio::test]
async fn a_condition_that_never_holds_ends_with_what_was_seen() {
    let broker = broker().await;
    let (_connection, _channel) = with_queue(&broker).await;
    let error = broker
        .wait_until(|now| now.queues.is_empty(), Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(error.last.queues.len(), 1);
}

#[tokio::test]
async fn thousands_of_messages_pass_in_order() {
    const COUNT: u32 = 5_000;
    let broker = broker().await;
    let (_connection, channel) = with_queue(&broker).await;
    let mut consumer = consume(&channel, "q", "c").await;
    for number in 0..COUNT {
        let options = BasicPublishOptions::default();
        let body = number.to_be_bytes();
        channel
            .basic_publish("".into(), "q".into(), options, &body, BasicProperties::default())
            .await
            .unwrap();
    }
    for number in 0..COUNT {
        assert_eq!(next(&mut consumer).await.data, number.to_be_bytes());
    }
}
