//! What can befall a real node: it hangs, runs out of memory, or is killed. After the other cases, since these disturb
//! whatever else runs.

use std::sync::Arc;
use std::time::Duration;

use interline_broker::{Closed, Link, LostReason, PublishError, connect};

use crate::standing::standing_link;
use crate::under_test::{SOON, UnderTest, depth_becomes, message, numbers, publish, take};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = &cases![
    a_node_short_of_memory_blocks_publishes_but_not_acks,
    a_node_that_blocks_for_too_long_loses_the_link,
    a_frozen_node_is_noticed_by_its_missing_heartbeats,
    a_publish_without_a_confirm_times_out_in_doubt,
    what_was_confirmed_survives_a_kill_of_the_node,
];

async fn set_memory_limit(under_test: &UnderTest, limit: &'static str) {
    under_test
        .with_node(move |node| {
            node.control(&["set_vm_memory_high_watermark", "absolute", limit])
                .expect("the limit is set");
        })
        .await;
}

async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("it comes to hold");
}

async fn a_node_short_of_memory_blocks_publishes_but_not_acks(under_test: Arc<UnderTest>) {
    let name = "blocked";
    let link: Link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(64).await.expect("a publisher");
    publish(&publisher, name, 3).await;
    let (mut consumer, acker) = link.consumer(name, 10, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 3).await;
    set_memory_limit(&under_test, "1MB").await;
    // A connection is blocked when it first publishes.
    let confirm = publisher.send(message(name, 4)).await.expect("sent");
    until(|| link.is_blocked()).await;
    for delivery in &deliveries {
        acker.ack(delivery.tag);
    }
    acker.flush().await.expect("acks have a connection of their own");
    consumer.close().await;
    assert!(!link.is_lost());
    set_memory_limit(&under_test, "512MB").await;
    until(|| !link.is_blocked()).await;
    confirm.await.expect("confirmed once there is memory");
    depth_becomes(&link, name, 1).await;
}

async fn a_node_that_blocks_for_too_long_loses_the_link(under_test: Arc<UnderTest>) {
    let mut config = under_test.config();
    config.blocked_max = Duration::from_millis(200);
    drop(under_test.link_with_queue("blocked-long").await);
    let link = connect(&config).await.expect("the broker is up");
    let publisher = link.publisher(1).await.expect("a publisher");
    set_memory_limit(&under_test, "1MB").await;
    let confirm = publisher.send(message("blocked-long", 1)).await.expect("sent");
    let lost = tokio::time::timeout(SOON, link.lost()).await;
    let confirmed = confirm.await;
    set_memory_limit(&under_test, "512MB").await;
    assert!(matches!(lost, Ok(LostReason::Blocked(_))), "{lost:?}");
    assert!(matches!(confirmed, Err(PublishError::Lost(_))), "{confirmed:?}");
}

async fn a_frozen_node_is_noticed_by_its_missing_heartbeats(under_test: Arc<UnderTest>) {
    let mut config = under_test.config();
    config.heartbeat = Duration::from_secs(1);
    let link = standing_link(&config, SOON).await;
    under_test.with_node(|node| node.freeze()).await;
    let lost = tokio::time::timeout(SOON, link.lost()).await;
    let closed = tokio::time::timeout(SOON, link.close(Duration::from_secs(1))).await;
    under_test.with_node(|node| node.thaw()).await;
    assert!(matches!(lost, Ok(LostReason::HeartbeatMissed { .. })), "{lost:?}");
    assert_eq!(closed, Ok(Closed::ByForce));
}

async fn a_publish_without_a_confirm_times_out_in_doubt(under_test: Arc<UnderTest>) {
    let name = "timing-out";
    let patient = under_test.link_with_queue(name).await;
    publish(&patient.publisher(1).await.expect("a publisher"), name, 1).await;
    drop(patient);
    let mut config = under_test.config();
    config.publish_timeout = Duration::from_millis(300);
    let link = connect(&config).await.expect("the broker is up");
    let publisher = link.publisher(4).await.expect("a publisher");
    under_test.with_node(|node| node.freeze()).await;
    let timed_out = tokio::time::timeout(SOON, publisher.publish(message(name, 2))).await;
    let lost = tokio::time::timeout(SOON, link.lost()).await;
    under_test.with_node(|node| node.thaw()).await;
    assert!(
        matches!(&timed_out, Ok(Err(error @ PublishError::TimedOut(_))) if error.may_be_stored()),
        "{timed_out:?}"
    );
    assert!(matches!(lost, Ok(LostReason::ConfirmTimedOut(_))), "{lost:?}");
}

async fn what_was_confirmed_survives_a_kill_of_the_node(under_test: Arc<UnderTest>) {
    let name = "survives";
    drop(under_test.link_with_queue(name).await);
    // RabbitMQ writes down a new quorum queue's identity late: killed within a second, it would not find it again.
    under_test.with_node(|node| node.stop()).await;
    under_test.with_node(|node| node.start_again().expect("it starts again")).await;
    let link = under_test.link().await;
    let publisher = link.publisher(16).await.expect("a publisher");
    publish(&publisher, name, 200).await;
    under_test.with_node(|node| node.kill()).await;
    tokio::time::timeout(SOON, link.lost()).await.expect("the loss is noticed");
    drop(link);
    under_test.with_node(|node| node.start_again().expect("it starts again")).await;
    // Counted by consuming: a quorum queue tells a wrong depth for a while after a restart.
    let link = under_test.link().await;
    let (mut consumer, _acker) = link.consumer(name, 300, "test").await.expect("a consumer");
    assert_eq!(numbers(&take(&mut consumer, 200).await), (1..=200).collect::<Vec<_>>());
}
