//! Publishing: confirms, returns, refusals, sizes.

use std::sync::Arc;

use bytes::Bytes;
use interline_broker::{
    Closed, HeaderValue, Headers, LostReason, OutMessage, Properties, PublishError, Role,
};

use crate::under_test::{SOON, UnderTest, depth_becomes, message, numbers, publish, take};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = &cases![
    a_thousand_publishes_are_confirmed_and_keep_their_order,
    exactly_the_unroutable_messages_are_returned,
    a_full_queue_refuses_and_keeps_what_it_confirmed,
    an_unknown_exchange_loses_the_link_with_404,
    large_and_empty_bodies_arrive_byte_for_byte,
    properties_and_headers_arrive_as_they_were,
    closing_settles_what_is_in_flight,
    confirms_of_a_cut_link_resolve_as_in_doubt,
    in_flight_messages_are_bounded,
];

async fn a_thousand_publishes_are_confirmed_and_keep_their_order(under_test: Arc<UnderTest>) {
    let name = "thousand";
    let link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(256).await.expect("a publisher");
    publish(&publisher, name, 1000).await;
    let (mut consumer, acker) = link.consumer(name, 1000, "test").await.expect("a consumer");
    let deliveries = take(&mut consumer, 1000).await;
    assert_eq!(numbers(&deliveries), (1..=1000).collect::<Vec<_>>());
    for delivery in &deliveries {
        acker.ack(delivery.tag);
    }
    acker.flush().await.expect("acks are written");
    consumer.close().await;
    depth_becomes(&link, name, 0).await;
}

async fn exactly_the_unroutable_messages_are_returned(under_test: Arc<UnderTest>) {
    let name = "unroutable";
    let link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(256).await.expect("a publisher");
    for round in 0..20 {
        let lost = [7 + round, 8 + round, 29];
        let mut confirms = Vec::new();
        for number in 1..=50 {
            let mut message = message(name, number);
            if lost.contains(&number) {
                message.routing_key = "nobody".into();
            }
            confirms.push(publisher.send(message).await.expect("sent"));
        }
        for (index, confirm) in confirms.into_iter().enumerate() {
            let number = index + 1;
            match confirm.await {
                Ok(()) => assert!(
                    !lost.contains(&number),
                    "round {round}: message {number} was lost silently"
                ),
                Err(PublishError::Unroutable { exchange, routing_key }) => {
                    assert!(lost.contains(&number), "round {round}: message {number} is innocent");
                    assert_eq!((exchange.as_str(), routing_key.as_str()), (name, "nobody"));
                }
                Err(other) => panic!("round {round}: message {number}: {other}"),
            }
        }
    }
}

async fn a_full_queue_refuses_and_keeps_what_it_confirmed(under_test: Arc<UnderTest>) {
    let name = "full";
    let link = under_test.link_with(name, |queue| queue.messages_max = 5).await;
    let publisher = link.publisher(1).await.expect("a publisher");
    let mut confirmed = 0;
    // A quorum queue notices late that it is full, and may take a few more.
    for number in 1..=200 {
        match publisher.publish(message(name, number)).await {
            Ok(()) => confirmed += 1,
            Err(PublishError::Refused { routing_key, .. }) => {
                assert_eq!(routing_key, name);
                assert!(confirmed >= 5, "it was not full yet");
                depth_becomes(&link, name, confirmed).await;
                assert!(!link.is_lost());
                return;
            }
            Err(other) => panic!("message {number}: {other}"),
        }
    }
    panic!("200 messages were confirmed for a queue of 5");
}

async fn an_unknown_exchange_loses_the_link_with_404(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    let publisher = link.publisher(10).await.expect("a publisher");
    let error =
        publisher.publish(message("no-such-exchange", 1)).await.expect_err("nobody takes it");
    assert!(
        matches!(error, PublishError::Lost(LostReason::Channel { role: Role::Publish, .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("404"), "{error}");
    let reason = tokio::time::timeout(SOON, link.lost()).await.expect("the link is lost");
    assert!(reason.to_string().contains("404"), "{reason}");
    let error = publisher.publish(message("any", 2)).await.expect_err("the link is lost");
    assert!(matches!(error, PublishError::Closed(_)) && !error.may_be_stored(), "{error:?}");
}

async fn large_and_empty_bodies_arrive_byte_for_byte(under_test: Arc<UnderTest>) {
    let name = "bodies";
    let link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(10).await.expect("a publisher");
    let frame = 131_072;
    // Around the size of a frame, where chunks are cut.
    let sizes = [0, 1, frame - 9, frame - 8, frame - 7, 2 * (frame - 8), 1024 * 1024, 3_000_000];
    let body =
        |size: usize| Bytes::from((0..size).map(|at| (at * 31 % 251) as u8).collect::<Vec<_>>());
    for (number, size) in sizes.into_iter().enumerate() {
        let message = OutMessage { body: body(size), ..message(name, number) };
        publisher.publish(message).await.expect("confirmed");
    }
    let (mut consumer, _acker) = link.consumer(name, 100, "test").await.expect("a consumer");
    for (delivery, size) in take(&mut consumer, sizes.len()).await.iter().zip(sizes) {
        assert!(
            delivery.body == body(size),
            "a body of {size} bytes came as {}",
            delivery.body.len()
        );
    }
}

async fn properties_and_headers_arrive_as_they_were(under_test: Arc<UnderTest>) {
    let name = "headers";
    let link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(10).await.expect("a publisher");
    let table = Headers::from([("inner".into(), HeaderValue::Bool(false))]);
    let headers = Headers::from([
        ("cloudEvents:id".into(), "id-1".into()),
        ("cloudEvents:type".into(), "interline.message".into()),
        ("traceparent".into(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        ("text".into(), "grüße 👨‍👩‍👧\u{0}\n".into()),
        ("long".into(), "x".repeat(10_000).into()),
        ("int".into(), i64::MIN.into()),
        ("big".into(), i64::MAX.into()),
        ("yes".into(), true.into()),
        ("bytes".into(), HeaderValue::Bytes((0..=255).collect())),
        ("time".into(), HeaderValue::Timestamp(1_700_000_000)),
        ("list".into(), HeaderValue::List(vec![1.into(), "two".into(), HeaderValue::Null])),
        ("table".into(), HeaderValue::Table(table)),
    ]);
    let properties = Properties {
        message_id: Some("m1".into()),
        correlation_id: Some("marker-7".into()),
        kind: Some("interline.answer".into()),
        content_type: Some("application/json".into()),
        expiration: Some("60000".into()),
        headers,
    };
    let sent = OutMessage { properties: properties.clone(), ..message(name, 1) };
    publisher.publish(sent.clone()).await.expect("confirmed");
    let (mut consumer, _acker) = link.consumer(name, 100, "test").await.expect("a consumer");
    let delivery = take(&mut consumer, 1).await.remove(0);
    assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), (name, name));
    assert!(!delivery.redelivered);
    for (header, value) in &properties.headers {
        assert!(delivery.properties().headers.get(header) == Some(value), "{header} was changed");
    }
    assert!(
        delivery.properties() == properties,
        "no header was added: {:?}",
        delivery.properties()
    );
}

async fn closing_settles_what_is_in_flight(under_test: Arc<UnderTest>) {
    let name = "closing";
    let link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(200).await.expect("a publisher");
    let mut confirms = Vec::new();
    for number in 1..=200 {
        confirms.push(publisher.send(message(name, number)).await.expect("sent"));
    }
    assert_eq!(link.close(SOON).await, Closed::Cleanly);
    for confirm in confirms {
        confirm.await.expect("confirmed before the end");
    }
    let error = publisher.publish(message(name, 201)).await.expect_err("the link is closed");
    assert!(matches!(error, PublishError::Closed(LostReason::Closed)), "{error:?}");
    depth_becomes(&under_test.link().await, name, 200).await;
}

async fn confirms_of_a_cut_link_resolve_as_in_doubt(under_test: Arc<UnderTest>) {
    let name = "cut-publishing";
    // It is published until `rabbitmqctl` has started, however long that takes.
    let link = under_test.link_with(name, |queue| queue.messages_max = 10_000_000).await;
    let publisher = link.publisher(64).await.expect("a publisher");
    publish(&publisher, name, 1).await;
    let (mut stored, mut in_doubt) = (1, 0);
    let publishing = async {
        for number in 2.. {
            match publisher.publish(message(name, number)).await {
                Ok(()) => stored += 1,
                Err(PublishError::Lost(_)) => in_doubt += 1,
                Err(PublishError::Closed(_)) => break,
                Err(other) => panic!("message {number}: {other}"),
            }
        }
    };
    let ((), ()) = tokio::join!(publishing, under_test.cut_all());
    assert!(link.is_lost());
    assert!(in_doubt <= 1, "one message was in flight at a time");
    let depth = under_test.link().await.depth(name).await.expect("the queue exists").messages;
    assert!(
        (stored..=stored + in_doubt).contains(&depth),
        "{stored} stored, {in_doubt} in doubt, {depth} found"
    );
}

async fn in_flight_messages_are_bounded(under_test: Arc<UnderTest>) {
    let name = "in-flight";
    let link = under_test.link_with_queue(name).await;
    let publisher = link.publisher(1).await.expect("a publisher");
    // The slot of the first is given back by its confirm, though nobody waits for that.
    let confirms = [
        publisher.send(message(name, 1)).await.expect("sent"),
        publisher.send(message(name, 2)).await.expect("sent"),
        publisher.send(message(name, 3)).await.expect("sent"),
    ];
    for confirm in confirms {
        confirm.await.expect("confirmed");
    }
}
