//! What a broker may do to us that no operator can order from RabbitMQ: the embedded broker does it.

use std::time::Duration;

use interline_broker::{AttemptError, ConnectError, LostReason, PublishError, connect};
use interline_embedded_broker::{Config, EmbeddedBroker, Release};

use given::{SOON, config, linked, message, start};
use standing::standing_link;

#[cfg(test)]
mod standing;

/// What the tests have in common.
#[cfg(test)]
mod given {
    use interline_broker::topology::{Binding, Exchange, Queue};
    use interline_broker::{
        BrokerUrls, ConnectConfig, Link, OutMessage, Properties, Topology, connect,
    };

    use super::{Config, Duration, EmbeddedBroker};

    pub(super) const SOON: Duration = Duration::from_secs(20);

    pub(super) async fn start() -> EmbeddedBroker {
        EmbeddedBroker::start(Config::default()).await.expect("the embedded broker starts")
    }

    pub(super) fn config(broker: &EmbeddedBroker) -> ConnectConfig {
        ConnectConfig::new(BrokerUrls::parse(&[broker.uri()]).expect("a URL"), "faults")
    }

    /// A link, and the queue `q` bound to the exchange `x` by `k`.
    pub(super) async fn linked(config: &ConnectConfig) -> Link {
        let link = connect(config).await.expect("the broker is up");
        let queue = Queue {
            name: "q".into(),
            kind: interline_broker::QueueKind::Quorum,
            single_active_consumer: false,
            messages_max: 1000,
            dead_letter: None,
        };
        let topology = Topology {
            exchanges: vec![Exchange { name: "x".into() }],
            queues: vec![queue],
            bindings: vec![Binding {
                exchange: "x".into(),
                queue: "q".into(),
                routing_key: "k".into(),
            }],
        };
        link.declare(&topology).await.expect("declared");
        link
    }

    pub(super) fn message(number: usize) -> OutMessage {
        OutMessage {
            exchange: "x".into(),
            routing_key: "k".into(),
            properties: Properties {
                message_id: Some(format!("m{number}")),
                ..Properties::default()
            },
            body: "body".into(),
        }
    }
}

#[tokio::test]
async fn nacked_publishes_are_reported_as_refused_and_no_other() {
    let broker = start().await;
    let link = linked(&config(&broker)).await;
    let publisher = link.publisher(100).await.expect("a publisher");
    broker.faults().nack_next(7);
    let mut confirms = Vec::new();
    for number in 0..50 {
        confirms.push(publisher.send(message(number)).await.expect("sent"));
    }
    for (number, confirm) in confirms.into_iter().enumerate() {
        let confirmed = confirm.await;
        assert_eq!(
            number < 7,
            matches!(confirmed, Err(PublishError::Refused { .. })),
            "{number}: {confirmed:?}"
        );
        assert_eq!(number >= 7, confirmed.is_ok(), "{number}: {confirmed:?}");
    }
    assert!(!link.is_lost());
    assert_eq!(broker.snapshot().depth("q").ready, 43);
}

#[tokio::test]
async fn confirms_in_any_form_settle_each_publish_once() {
    for release in [Release::InOrder, Release::Reversed, Release::Multiple] {
        let broker = start().await;
        let link = linked(&config(&broker)).await;
        let publisher = link.publisher(100).await.expect("a publisher");
        broker.faults().hold_confirms();
        let mut confirms = Vec::new();
        for number in 0..60 {
            let mut message = message(number);
            if number % 20 == 13 {
                message.routing_key = "nobody".into();
            }
            confirms.push(publisher.send(message).await.expect("sent"));
        }
        broker
            .wait_until(|seen| seen.stored == 57 && seen.returned == 3, SOON)
            .await
            .expect("all came");
        broker.faults().release_confirms(release);
        for (number, confirm) in confirms.into_iter().enumerate() {
            let confirmed = tokio::time::timeout(SOON, confirm).await.expect("it is settled");
            let unroutable = matches!(confirmed, Err(PublishError::Unroutable { .. }));
            assert_eq!(number % 20 == 13, unroutable, "{release:?}, {number}: {confirmed:?}");
            assert!(unroutable || confirmed.is_ok(), "{release:?}, {number}: {confirmed:?}");
        }
    }
}

#[tokio::test]
async fn coalesced_confirms_never_blame_the_innocent_for_a_return() {
    let broker = start().await;
    let link = linked(&config(&broker)).await;
    let publisher = link.publisher(64).await.expect("a publisher");
    broker.faults().coalesce_confirms(true);
    for round in 0..40 {
        let mut confirms = Vec::new();
        for number in 0..50 {
            let mut message = message(number);
            if number % 16 == round % 16 {
                message.routing_key = "nobody".into();
            }
            confirms.push(publisher.send(message).await.expect("sent"));
        }
        for (number, confirm) in confirms.into_iter().enumerate() {
            let confirmed = tokio::time::timeout(SOON, confirm).await.expect("it is settled");
            let lost = number % 16 == round % 16;
            assert_eq!(
                lost,
                matches!(confirmed, Err(PublishError::Unroutable { .. })),
                "{round}: {number}"
            );
            assert_eq!(!lost, confirmed.is_ok(), "{round}: {number}: {confirmed:?}");
        }
        broker.faults().clear_rules();
        link.purge("q").await.expect("purged");
    }
}

#[tokio::test]
async fn a_cut_after_the_nth_stored_publish_leaves_at_most_the_rest_in_doubt() {
    let broker = start().await;
    let link = linked(&config(&broker)).await;
    let publisher = link.publisher(100).await.expect("a publisher");
    broker.faults().cut_after_stored(20);
    let (mut confirmed, mut in_doubt, mut unsent) = (0, 0, 0);
    let mut confirms = Vec::new();
    for number in 0..50 {
        match publisher.send(message(number)).await {
            Ok(confirm) => confirms.push(confirm),
            Err(PublishError::Closed(_)) => unsent += 1,
            Err(other) => panic!("{number}: {other}"),
        }
    }
    for confirm in confirms {
        match tokio::time::timeout(SOON, confirm).await.expect("it is settled") {
            Ok(()) => confirmed += 1,
            Err(error) if error.may_be_stored() => in_doubt += 1,
            Err(PublishError::Closed(_)) => unsent += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(confirmed + in_doubt + unsent, 50);
    assert!(
        confirmed < 20,
        "the confirm of the 20th was never sent, yet {confirmed} were confirmed"
    );
    assert_eq!(broker.snapshot().depth("q").ready, 20);
    let reason = tokio::time::timeout(SOON, link.lost()).await.expect("the link is lost");
    assert!(matches!(reason, LostReason::Connection { .. }), "{reason:?}");
}

#[tokio::test]
async fn a_frozen_peer_is_noticed_by_its_missing_heartbeats() {
    let broker = start().await;
    let mut config = config(&broker);
    config.heartbeat = Duration::from_secs(1);
    let link = standing_link(&config, SOON).await;
    broker.faults().freeze();
    let reason = tokio::time::timeout(SOON, link.lost()).await.expect("the link is lost");
    assert!(matches!(reason, LostReason::HeartbeatMissed { .. }), "{reason:?}");
}

#[tokio::test]
async fn a_blocked_publish_waits_and_is_confirmed_when_the_alarm_ends() {
    let broker = start().await;
    let link = linked(&config(&broker)).await;
    let publisher = link.publisher(10).await.expect("a publisher");
    broker.faults().block();
    let confirm = publisher.send(message(1)).await.expect("sent");
    let blocked = async {
        while !link.is_blocked() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, blocked).await.expect("the block is seen");
    broker.faults().unblock();
    tokio::time::timeout(SOON, confirm).await.expect("it is settled").expect("and confirmed");
}

#[tokio::test]
async fn a_refused_login_and_a_closed_door_are_told_apart() {
    let broker = start().await;
    broker.faults().refuse_login(true);
    let failure = |error: ConnectError| match error {
        ConnectError::NoneUsable { mut failures } => failures.remove(0).error,
        error @ ConnectError::CaFile { .. } => panic!("{error}"),
    };
    let error = connect(&config(&broker)).await.expect_err("refused");
    assert!(matches!(failure(error), AttemptError::LoginRefused(_)));
    broker.faults().refuse_login(false);
    broker.faults().listener_down().await;
    let error = connect(&config(&broker)).await.expect_err("nobody listens");
    assert!(matches!(failure(error), AttemptError::Unreachable(_)));
    broker.faults().listener_up().await;
    linked(&config(&broker)).await;
}

#[tokio::test]
async fn deliveries_buffered_at_a_cut_are_not_handed_out() {
    let broker = start().await;
    let link = linked(&config(&broker)).await;
    let publisher = link.publisher(100).await.expect("a publisher");
    for number in 0..50 {
        publisher.publish(message(number)).await.expect("confirmed");
    }
    let (mut consumer, _acker) = link.consumer("q", 50, "test").await.expect("a consumer");
    assert_eq!(consumer.next_batch(1).await.expect("a delivery").len(), 1);
    broker.faults().cut_all();
    tokio::time::timeout(SOON, link.lost()).await.expect("the link is lost");
    consumer.next_batch(50).await.expect_err("what was buffered comes again elsewhere");
}
