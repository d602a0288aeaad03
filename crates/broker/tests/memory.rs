//! The broker in memory: its links end as connections do, its faults come as ordered, and no real time passes.
//!
//! What it has in common with RabbitMQ is in the contract test. Time is paused here: a wait with a limit that would
//! never end fails at once.

#![expect(clippy::expect_used, reason = "this file is a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use interline_broker::memory::{Depth, MemoryBroker, PublishFault};
use interline_broker::topology::{Binding, Exchange, Queue};
use interline_broker::{
    Acker, Closed, Consumer, Delivery, LinkError, LostReason, OutMessage, Properties, PublishError,
    Publisher, QueueKind, Topology,
};
use tokio::time::timeout;

const QUEUE: &str = "q";
const SOON: Duration = Duration::from_secs(5);

/// One queue, bound to the exchange `x` by `patterns`.
fn topology(patterns: &[&str], change: impl FnOnce(&mut Queue)) -> Topology {
    let mut queue = Queue {
        name: QUEUE.into(),
        kind: QueueKind::Quorum,
        single_active_consumer: false,
        messages_max: 1000,
        dead_letter: None,
    };
    change(&mut queue);
    let binding = |pattern: &&str| Binding {
        exchange: "x".into(),
        queue: QUEUE.into(),
        routing_key: (*pattern).into(),
    };
    Topology {
        exchanges: vec![Exchange { name: "x".into() }],
        queues: vec![queue],
        bindings: patterns.iter().map(binding).collect(),
    }
}

async fn broker_with(change: impl FnOnce(&mut Queue)) -> MemoryBroker {
    let broker = MemoryBroker::new();
    broker.connect().declare(&topology(&["k.#"], change)).await.expect("declared");
    broker
}

async fn broker() -> MemoryBroker {
    broker_with(|_| {}).await
}

fn message(number: usize) -> OutMessage {
    OutMessage {
        exchange: "x".into(),
        routing_key: "k.1".into(),
        properties: Properties { message_id: Some(format!("{number}")), ..Properties::default() },
        body: Bytes::from(format!("body {number}")),
    }
}

/// A broker that holds messages 1 to `count`.
async fn broker_holding(count: usize) -> MemoryBroker {
    let broker = broker().await;
    assert!((1..=count).all(|number| broker.put(message(number))));
    broker
}

fn number(delivery: &Delivery) -> usize {
    delivery.message_id().expect("an id").parse().expect("a number")
}

/// Exactly `count` messages: their numbers, and whether they were delivered before.
async fn seen(consumer: &mut Consumer, count: usize) -> Vec<(usize, bool)> {
    take(consumer, count)
        .await
        .iter()
        .map(|delivery| (number(delivery), delivery.redelivered))
        .collect()
}

async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = timeout(SOON, consumer.next_batch(count - taken.len())).await;
        taken.extend(batch.expect("deliveries come").expect("the consumer lives"));
    }
    taken
}

async fn nothing_comes(consumer: &mut Consumer) {
    timeout(SOON, consumer.next_batch(1)).await.expect_err("nothing was to come");
}

fn depth(ready: usize, unacked: usize) -> BTreeMap<String, Depth> {
    BTreeMap::from([(QUEUE.to_owned(), Depth { ready, unacked })])
}

/// Takes five of six, acks the second, and shows that it was taken out.
async fn five_out_second_acked(consumer: &mut Consumer, acker: &Acker) {
    let deliveries = take(consumer, 5).await;
    acker.ack(deliveries[1].tag);
    acker.flush().await.expect("the ack is written");
    assert_eq!(number(&take(consumer, 1).await[0]), 6, "the ack made room");
}

const RETURNED: [(usize, bool); 7] =
    [(1, true), (3, true), (4, true), (5, true), (6, true), (7, false), (8, false)];

#[tokio::test(start_paused = true)]
async fn messages_come_in_the_order_in_which_they_were_sent_and_no_time_passes() {
    let broker = broker().await;
    let link = broker.connect();
    let started = tokio::time::Instant::now();
    let publisher = link.publisher(8).await.expect("a publisher");
    let (mut consumer, acker) = link.consumer(QUEUE, 20, "test").await.expect("a consumer");
    let sending = async {
        let mut confirms = Vec::new();
        for number in 1..=100 {
            confirms.push(publisher.send(message(number)).await.expect("sent"));
        }
        let rest = (101..=200).map(|number| message(number).into()).collect();
        confirms.extend(publisher.send_all(rest).await.expect("sent"));
        for confirm in confirms {
            confirm.await.expect("stored");
        }
    };
    let reading = async {
        for expected in 1..=200 {
            let delivery = take(&mut consumer, 1).await.remove(0);
            assert_eq!((number(&delivery), delivery.redelivered), (expected, false));
            acker.ack(delivery.tag);
        }
        acker.flush().await.expect("acks are written");
    };
    tokio::join!(sending, reading);
    assert_eq!(broker.depths(), depth(0, 0));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acked_is_at_its_old_place_when_the_links_are_lost() {
    let broker = broker_holding(8).await;
    let (link, other) = (broker.connect(), broker.connect());
    let (mut consumer, acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    let (_standby, _) = other.consumer(QUEUE, 5, "test").await.expect("a consumer");
    assert_eq!(broker.depths(), depth(0, 8), "five went to the first, the rest to the second");
    let deliveries = take(&mut consumer, 5).await;
    acker.ack(deliveries[1].tag);
    acker.flush().await.expect("the ack is written");
    broker.lose_links();
    assert_eq!(broker.depths(), depth(7, 0));
    assert!(link.is_lost() && other.is_lost());
    assert!(matches!(link.lost().await, LostReason::Connection { .. }));
    consumer.next_batch(1).await.expect_err("it has ended");
    let link = broker.connect();
    let (mut consumer, _acker) = link.consumer(QUEUE, 10, "test").await.expect("a consumer");
    let returned = seen(&mut consumer, 7).await;
    assert_eq!(returned, [1, 3, 4, 5, 6, 7, 8].map(|number| (number, true)));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acked_is_at_its_old_place_when_the_consumer_is_dropped() {
    let broker = broker_holding(8).await;
    let link = broker.connect();
    let (mut consumer, acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    five_out_second_acked(&mut consumer, &acker).await;
    drop(consumer);
    broker.wait_until(|depths| depths[QUEUE] == Depth { ready: 7, unacked: 0 }).await;
    let (mut consumer, _acker) = link.consumer(QUEUE, 10, "test").await.expect("a consumer");
    let again = take(&mut consumer, 7).await;
    let came: Vec<_> = again.iter().map(|one| (number(one), one.redelivered)).collect();
    assert_eq!(came, RETURNED);
    assert_eq!((again[0].delivery_count(), again[6].delivery_count()), (Some(1), None));
    assert!(!link.is_lost());
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acked_is_at_its_old_place_when_the_link_is_dropped() {
    let broker = broker_holding(8).await;
    let link = broker.connect();
    let (mut consumer, acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    five_out_second_acked(&mut consumer, &acker).await;
    drop(link);
    assert_eq!(broker.depths(), depth(7, 0), "at once");
    let link = broker.connect();
    let (mut consumer, _acker) = link.consumer(QUEUE, 10, "test").await.expect("a consumer");
    assert_eq!(seen(&mut consumer, 7).await, RETURNED);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_prefetch_is_out() {
    let broker = broker_holding(9).await;
    let link = broker.connect();
    let (mut consumer, acker) = link.consumer(QUEUE, 3, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 3).await;
    nothing_comes(&mut consumer).await;
    assert_eq!((broker.depths(), acker.open_count()), (depth(6, 3), 3));
    acker.ack(deliveries[2].tag);
    acker.ack(deliveries[0].tag);
    assert_eq!(acker.open_count(), 1);
    assert_eq!(seen(&mut consumer, 2).await, [(4, false), (5, false)]);
    nothing_comes(&mut consumer).await;
}

#[tokio::test(start_paused = true)]
async fn two_consumers_of_one_queue_share_its_messages() {
    let broker = broker().await;
    let link = broker.connect();
    let (mut first, _first_acker) = link.consumer(QUEUE, 10, "test").await.expect("a consumer");
    let (mut second, _second_acker) = link.consumer(QUEUE, 10, "test").await.expect("a consumer");
    assert!((1..=4).all(|number| broker.put(message(number))));
    assert_eq!(seen(&mut first, 2).await, [(1, false), (3, false)]);
    assert_eq!(seen(&mut second, 2).await, [(2, false), (4, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_single_active_consumer_is_followed_once_it_is_gone() {
    let broker = broker_with(|queue| queue.single_active_consumer = true).await;
    assert!((1..=6).all(|number| broker.put(message(number))));
    let (link, standby_link) = (broker.connect(), broker.connect());
    let (mut active, acker) = link.consumer(QUEUE, 3, "test").await.expect("a consumer");
    let (mut standby, _) = standby_link.consumer(QUEUE, 9, "test").await.expect("a consumer");
    let deliveries = take(&mut active, 3).await;
    nothing_comes(&mut standby).await;
    acker.ack(deliveries[0].tag);
    acker.ack(deliveries[1].tag);
    assert_eq!(seen(&mut active, 2).await, [(4, false), (5, false)]);
    active.close().await;
    let rest = seen(&mut standby, 4).await;
    assert_eq!(rest, [(3, true), (4, true), (5, true), (6, false)]);
}

async fn publisher(broker: &MemoryBroker) -> (interline_broker::Link, Publisher) {
    let link = broker.connect();
    let publisher = link.publisher(16).await.expect("a publisher");
    (link, publisher)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_no_queue_takes_is_unroutable() {
    let broker = broker().await;
    let (link, publisher) = publisher(&broker).await;
    let lost = OutMessage { routing_key: "other".into(), ..message(1) };
    let nameless = OutMessage { exchange: String::new(), routing_key: "nobody".into(), ..lost };
    for message in [OutMessage { exchange: "x".into(), ..nameless.clone() }, nameless] {
        assert!(!broker.put(message.clone()));
        let error = publisher.publish(message).await.expect_err("nobody takes it");
        assert!(matches!(error, PublishError::Unroutable { .. }), "{error:?}");
    }
    let by_name = OutMessage { exchange: String::new(), routing_key: QUEUE.into(), ..message(2) };
    publisher.publish(by_name).await.expect("the default exchange leads to the queue");
    assert_eq!(broker.depths(), depth(1, 0));
    assert!(!link.is_lost());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_exchange_loses_only_the_link_that_published_there() {
    let broker = broker().await;
    let ((link, publisher), other) = (publisher(&broker).await, broker.connect());
    let nowhere = OutMessage { exchange: "nowhere".into(), ..message(1) };
    let error = publisher.publish(nowhere).await.expect_err("there is none");
    assert!(matches!(error, PublishError::Lost(LostReason::Channel { .. })), "{error:?}");
    assert!(link.is_lost() && !other.is_lost());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_until_there_is_room() {
    let broker = broker_with(|queue| queue.messages_max = 2).await;
    let (_link, publisher) = publisher(&broker).await;
    for number in 1..=2 {
        publisher.publish(message(number)).await.expect("there is room");
    }
    let error = publisher.publish(message(3)).await.expect_err("it is full");
    assert!(matches!(error, PublishError::Refused { .. }), "{error:?}");
    let drained = broker.drain(QUEUE);
    assert!(drained == [message(1), message(2)], "they come out as they were put in");
    publisher.publish(message(4)).await.expect("there is room again");
    assert_eq!(broker.depths(), depth(1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_comes_at_the_publish_that_it_was_ordered_for() {
    let broker = broker().await;
    let ((_link, one), (_other, two)) = (publisher(&broker).await, publisher(&broker).await);
    broker.order(PublishFault::Refuse, 1);
    one.publish(message(1)).await.expect("not yet");
    let error = two.publish(message(2)).await.expect_err("counted over all links");
    assert!(matches!(error, PublishError::Refused { .. }), "{error:?}");
    one.publish(message(3)).await.expect("once only");
    assert!(broker.drain(QUEUE) == [message(1), message(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_may_be_stored_though_every_link_is_lost_before_its_confirm() {
    let broker = broker().await;
    let ((link, publisher), other) = (publisher(&broker).await, broker.connect());
    broker.order(PublishFault::StoreThenLose, 1);
    let messages = (1..=3).map(|number| message(number).into()).collect();
    let confirms = publisher.send_all(messages).await.expect("sent");
    for confirm in confirms {
        let error = confirm.await.expect_err("the confirm never comes");
        assert!(matches!(error, PublishError::Lost(_)) && error.may_be_stored(), "{error:?}");
    }
    assert!(link.is_lost() && other.is_lost());
    assert!(broker.drain(QUEUE) == [message(1), message(2)], "what came later was not taken");
    let error = publisher.publish(message(4)).await.expect_err("the link is lost");
    assert!(matches!(error, PublishError::Closed(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_not_stored_where_every_link_is_lost_first() {
    let broker = broker().await;
    let (link, publisher) = publisher(&broker).await;
    broker.order(PublishFault::LoseFirst, 0);
    let error = publisher.publish(message(1)).await.expect_err("the confirm never comes");
    assert!(matches!(error, PublishError::Lost(_)), "{error:?}");
    assert!(link.is_lost());
    assert_eq!(broker.depths(), depth(0, 0));
    let (_link, publisher) = self::publisher(&broker).await;
    publisher.publish(message(1)).await.expect("the next link is of use");
}

#[tokio::test(start_paused = true)]
async fn a_confirm_does_not_come_before_others_have_run() {
    let broker = broker().await;
    let (_link, publisher) = publisher(&broker).await;
    let mut confirm = publisher.send(message(1)).await.expect("sent");
    assert_eq!(broker.depths(), depth(0, 0), "the task has not run");
    let early = tokio::select! {
        biased;
        _ = &mut confirm => true,
        () = broker.wait_until(|depths| depths[QUEUE].ready == 1) => false,
    };
    assert!(!early, "it is stored, and its confirm is still out");
    broker.lose_links();
    let error = confirm.await.expect_err("the confirm never comes");
    assert!(matches!(error, PublishError::Lost(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_ack_after_the_loss_does_nothing() {
    let broker = broker_holding(2).await;
    let link = broker.connect();
    let (mut consumer, acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 2).await;
    acker.ack(deliveries[0].tag);
    // Noted, and not yet written.
    broker.lose_links();
    acker.ack(deliveries[1].tag);
    acker.flush().await.expect_err("they are never written");
    assert_eq!(broker.depths(), depth(2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_until_the_acks_were_acted_upon() {
    let broker = broker_holding(3).await;
    let link = broker.connect();
    let (mut consumer, acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    for delivery in take(&mut consumer, 2).await {
        acker.ack(delivery.tag);
    }
    assert_eq!(broker.depths(), depth(0, 3), "only noted");
    acker.flush().await.expect("they are written");
    assert_eq!(broker.depths(), depth(0, 1));
}

#[tokio::test(start_paused = true)]
async fn closing_settles_what_is_in_flight() {
    let broker = broker_holding(3).await;
    let (link, publisher) = publisher(&broker).await;
    let (mut consumer, acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 2).await;
    acker.ack(deliveries[0].tag);
    let confirm = publisher.send(message(4)).await.expect("sent");
    assert_eq!(link.close(SOON).await, Closed::Cleanly);
    confirm.await.expect("confirmed before the end");
    consumer.next_batch(1).await.expect_err("it has ended");
    assert_eq!(broker.depths(), depth(3, 0));
    let link = broker.connect();
    let (mut consumer, _acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    let order: Vec<_> = take(&mut consumer, 3).await.iter().map(number).collect();
    assert_eq!(order, [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn topics_lead_by_words_and_a_queue_bound_twice_takes_a_message_once() {
    let broker = MemoryBroker::new();
    let link = broker.connect();
    let patterns = ["a.*", "*.b", "deep.#"];
    link.declare(&topology(&patterns, |_| {})).await.expect("declared");
    for (key, count) in
        [("a.b", 1), ("a.x", 1), ("a.b.c", 0), ("a", 0), ("deep", 1), ("deep.1.2", 1), ("", 0)]
    {
        let taken = broker.put(OutMessage { routing_key: key.into(), ..message(1) });
        assert_eq!((taken, broker.drain(QUEUE).len()), (count == 1, count), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_declaration_keeps_the_messages() {
    let broker = broker_holding(2).await;
    let link = broker.connect();
    let report = link.declare(&topology(&["k.#"], |_| {})).await.expect("declared again");
    assert_eq!((report.queues[0].messages, report.queues[0].consumers), (2, 0));
    link.declare(&topology(&[], |queue| queue.messages_max = 1)).await.expect_err("it differs");
    assert_eq!(broker.depths(), depth(2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_queue_ends_its_consumer_and_a_missing_one_is_named() {
    let broker = broker().await;
    let link = broker.connect();
    let (mut consumer, _acker) = link.consumer(QUEUE, 5, "test").await.expect("a consumer");
    link.undeclare(&topology(&[], |_| {})).await.expect("deleted");
    let ended = consumer.next_batch(1).await.expect_err("it has ended");
    assert!(matches!(ended, LostReason::ConsumerCancelled { .. }), "{ended:?}");
    let missing = link.consumer(QUEUE, 5, "test").await.expect_err("it is gone");
    assert!(matches!(missing, LinkError::NoSuchQueue { .. }), "{missing:?}");
    link.browse(QUEUE).await.expect_err("nothing can be browsed");
    assert!(!link.is_lost());
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_of_no_use_and_the_next_one_is() {
    let broker = broker().await;
    let link = broker.connect();
    let token = link.lost_token();
    broker.lose_links();
    assert!(token.is_cancelled());
    assert!(matches!(link.publisher(1).await, Err(LinkError::Lost(_))));
    assert!(matches!(link.consumer(QUEUE, 1, "test").await, Err(LinkError::Lost(_))));
    broker.connect().publisher(1).await.expect("it is of use");
}
