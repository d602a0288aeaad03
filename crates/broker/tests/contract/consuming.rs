//! Consuming: order, redelivery, acks, prefetch, the single active consumer, and how a consumer ends.

use std::sync::Arc;

use interline_broker::{LinkError, LostReason};
use lapin::options::QueueDeleteOptions;

use crate::under_test::{
    SOON, UnderTest, depth_becomes, nothing_comes, number, numbers, publish, take,
};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = &cases![
    what_was_not_acked_returns_in_order_after_a_drop,
    what_was_not_acked_returns_in_order_after_the_broker_cuts,
    acks_in_any_order_remove_exactly_their_messages,
    a_slow_delivery_does_not_hold_up_the_prefetch_of_the_others,
    the_prefetch_bounds_what_is_out,
    a_single_active_consumer_hands_over_in_order,
    a_deleted_queue_ends_its_consumer_but_not_the_link,
    a_missing_queue_is_named_and_the_link_stays_usable,
    acks_that_come_late_or_to_the_wrong_consumer_do_nothing,
    a_dropped_call_loses_no_delivery,
];

async fn what_was_not_acked_returns_in_order_after_a_drop(under_test: Arc<UnderTest>) {
    let name = "returns-drop";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 20).await;
    let (mut consumer, acker) = link.consumer(name, 10, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 10).await;
    acker.ack(deliveries[0].tag);
    acker.ack(deliveries[4].tag);
    acker.flush().await.expect("acks are written");
    consumer.close().await;
    rest_comes_in_order(&under_test, name).await;
}

async fn what_was_not_acked_returns_in_order_after_the_broker_cuts(under_test: Arc<UnderTest>) {
    let name = "returns-cut";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 20).await;
    let (mut consumer, acker) = link.consumer(name, 10, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 10).await;
    acker.ack(deliveries[0].tag);
    acker.ack(deliveries[4].tag);
    acker.flush().await.expect("acks are written");
    // Written is not yet taken: the broker has acted on the acks once it delivers what they made room for.
    assert_eq!(numbers(&take(&mut consumer, 2).await), [11, 12]);
    under_test.cut_all().await;
    let reason = tokio::time::timeout(SOON, link.lost()).await.expect("the link is lost");
    assert!(matches!(reason, LostReason::Connection { .. }), "{reason:?}");
    tokio::time::timeout(SOON, consumer.next_batch(1))
        .await
        .expect("it ends")
        .expect_err("with an error");
    acker.ack(deliveries[1].tag);
    acker.flush().await.expect_err("acks after a loss are never written");
    rest_comes_in_order(&under_test, name).await;
}

/// Of 20 messages, all but 1 and 5 must come, in order; those that were out before marked as redelivered.
async fn rest_comes_in_order(under_test: &UnderTest, name: &str) {
    let link = under_test.link().await;
    let (mut consumer, _acker) = link.consumer(name, 100, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 18).await;
    let expected: Vec<usize> = (2..=20).filter(|number| *number != 5).collect();
    assert_eq!(numbers(&deliveries), expected);
    for delivery in deliveries {
        match number(&delivery) {
            ..=10 => {
                assert!(delivery.redelivered, "{delivery:?} was out before");
                assert!(delivery.delivery_count().is_none_or(|count| count >= 1), "{delivery:?}");
            }
            // May have been on its way to the first consumer.
            11..=12 => {}
            13.. => assert!(!delivery.redelivered, "{delivery:?} was never out"),
        }
    }
    nothing_comes(&mut consumer).await;
}

async fn acks_in_any_order_remove_exactly_their_messages(under_test: Arc<UnderTest>) {
    let name = "ack-order";
    let link = under_test.link_with_queue(name).await;
    // More single acks than 32 before a close are not safe at RabbitMQ: see `Consumer::close`.
    publish(&link.publisher(200).await.expect("a publisher"), name, 40).await;
    let (mut consumer, acker) = link.consumer(name, 200, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 40).await;
    // 7 and 40 have no common divisor, so this visits every delivery once, in no order at all.
    for step in 0..40 {
        let delivery = &deliveries[step * 7 % 40];
        if !number(delivery).is_multiple_of(3) {
            acker.ack(delivery.tag);
            acker.ack(delivery.tag);
        }
        if step % 5 == 0 {
            acker.flush().await.expect("acks are written");
        }
    }
    assert_eq!(acker.open_count(), 13);
    consumer.close().await;
    assert!(!link.is_lost(), "no ack was one too many");
    let (mut consumer, _acker) = link.consumer(name, 200, "test").await.expect("a consumer");
    let expected: Vec<usize> = (1..=40).filter(|number: &usize| number.is_multiple_of(3)).collect();
    assert_eq!(numbers(&take(&mut consumer, 13).await), expected);
    nothing_comes(&mut consumer).await;
}

async fn a_slow_delivery_does_not_hold_up_the_prefetch_of_the_others(under_test: Arc<UnderTest>) {
    let name = "slow";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 50).await;
    let (mut consumer, acker) = link.consumer(name, 4, "test").await.expect("a consumer");
    let slow = take(&mut consumer, 1).await.remove(0);
    for expected in 2..=50 {
        let delivery = take(&mut consumer, 1).await.remove(0);
        assert_eq!(number(&delivery), expected);
        acker.ack(delivery.tag);
    }
    acker.ack(slow.tag);
    consumer.close().await;
    depth_becomes(&link, name, 0).await;
}

async fn the_prefetch_bounds_what_is_out(under_test: Arc<UnderTest>) {
    let name = "prefetch";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 20).await;
    let (mut consumer, acker) = link.consumer(name, 5, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 5).await;
    nothing_comes(&mut consumer).await;
    acker.ack(deliveries[2].tag);
    assert_eq!(numbers(&take(&mut consumer, 1).await), [6]);
    nothing_comes(&mut consumer).await;
    acker.ack(deliveries[0].tag);
    acker.ack(deliveries[1].tag);
    assert_eq!(numbers(&take(&mut consumer, 2).await), [7, 8]);
    nothing_comes(&mut consumer).await;
}

async fn a_single_active_consumer_hands_over_in_order(under_test: Arc<UnderTest>) {
    let name = "single";
    let link = under_test.link_with(name, |queue| queue.single_active_consumer = true).await;
    let standby_link = under_test.link().await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 20).await;
    let (mut active, acker) = link.consumer(name, 8, "active").await.expect("a consumer");
    let first = take(&mut active, 8).await;
    let (mut standby, _standby_acker) =
        standby_link.consumer(name, 100, "standby").await.expect("a consumer");
    for delivery in &first[..3] {
        acker.ack(delivery.tag);
    }
    let more = take(&mut active, 3).await;
    assert_eq!(numbers(&more), [9, 10, 11], "the active consumer stays active");
    nothing_comes(&mut standby).await;
    active.close().await;
    assert_eq!(numbers(&take(&mut standby, 17).await), (4..=20).collect::<Vec<_>>());
}

async fn a_deleted_queue_ends_its_consumer_but_not_the_link(under_test: Arc<UnderTest>) {
    let name = "deleted";
    let link = under_test.link_with_queue(name).await;
    let (mut consumer, _acker) = link.consumer(name, 5, "test").await.expect("a consumer");
    let operator = under_test.operator().await;
    operator
        .queue_delete(name.into(), QueueDeleteOptions::default())
        .await
        .expect("the queue is deleted");
    let ended =
        tokio::time::timeout(SOON, consumer.next_batch(1)).await.expect("the consumer ends");
    match ended {
        Err(LostReason::ConsumerCancelled { queue }) => assert_eq!(queue, name),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(consumer.next_batch(1).await, Err(LostReason::ConsumerCancelled { .. })),
        "it stays ended"
    );
    assert!(!link.is_lost());
    assert!(matches!(link.depth(name).await, Err(LinkError::NoSuchQueue { .. })));
    link.publisher(1).await.expect("the link is of use");
}

async fn a_missing_queue_is_named_and_the_link_stays_usable(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    match link.consumer("nowhere", 5, "test").await {
        Err(LinkError::NoSuchQueue { queue }) => assert_eq!(queue, "nowhere"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it does not exist"),
    }
    assert!(!link.is_lost());
    link.publisher(1).await.expect("the link is of use");
}

async fn acks_that_come_late_or_to_the_wrong_consumer_do_nothing(under_test: Arc<UnderTest>) {
    let name = "wrong-acks";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 3).await;
    let (mut first, first_acker) = link.consumer(name, 5, "test").await.expect("a consumer");
    let deliveries = take(&mut first, 3).await;
    first.close().await;
    let (mut second, second_acker) = link.consumer(name, 5, "test").await.expect("a consumer");
    let again = take(&mut second, 3).await;
    for delivery in &deliveries {
        first_acker.ack(delivery.tag);
        second_acker.ack(delivery.tag);
    }
    second_acker.flush().await.expect("nothing to write");
    assert_eq!(second_acker.open_count(), 3, "no tag of another consumer was taken");
    second_acker.ack(again[0].tag);
    second_acker.flush().await.expect("acks are written");
    second.close().await;
    depth_becomes(&link, name, 2).await;
    assert!(!link.is_lost());
}

async fn a_dropped_call_loses_no_delivery(under_test: Arc<UnderTest>) {
    let name = "cancel-safe";
    let link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(64).await.expect("a publisher");
    let (mut consumer, _acker) = link.consumer(name, 1000, "test").await.expect("a consumer");
    let publishing = publish(&publisher, name, 300);
    let mut publishing = std::pin::pin!(publishing);
    let mut seen = Vec::new();
    let mut published = false;
    while seen.len() < 300 {
        tokio::select! {
            // Whichever is first drops the other; only the publishing goes on.
            () = &mut publishing, if !published => published = true,
            batch = consumer.next_batch(3) => seen.extend(numbers(&batch.expect("the consumer lives"))),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(seen, (1..=300).collect::<Vec<_>>());
}
