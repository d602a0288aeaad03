//! Declaring: again and again, otherwise, and what the broker makes of Interline's own topology.

use std::sync::Arc;

use interline_broker::topology::{
    DeadLetter, account_key, dead_queue, dispatch_exchange, dispatch_queue,
};
use interline_broker::{OutMessage, QueueKind, Topology, TopologyError};
use lapin::ExchangeKind;
use lapin::options::{BasicGetOptions, BasicRejectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;

use crate::under_test::{UnderTest, depth_becomes, message, one_queue};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = &cases![
    interlines_own_topology_is_declared_twice_without_harm,
    dispatches_reach_only_their_account,
    a_queue_with_other_arguments_is_named_with_a_mend,
    an_exchange_of_another_kind_is_named_with_a_mend,
    a_rejected_message_is_dead_lettered_and_not_dropped,
    a_name_that_is_too_long_is_refused_before_it_is_sent,
];

async fn interlines_own_topology_is_declared_twice_without_harm(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    let topology = Topology::interline(
        "own",
        &["whatsapp", "instagram"],
        &[("whatsapp", "1065")],
        &["messenger"],
    );
    for _ in 0..2 {
        let report = link.declare(&topology).await.expect("declared");
        assert_eq!(report.queues.len(), topology.queues.len());
        assert!(!report.has_classic_queues(), "{report:?}");
        assert!(
            report
                .queues
                .iter()
                .all(|queue| queue.kind == QueueKind::Quorum && queue.messages == 0)
        );
    }
    assert!(!link.is_lost());
}

async fn dispatches_reach_only_their_account(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    let topology = Topology::interline("routes", &[], &[("whatsapp", "1"), ("whatsapp", "2")], &[]);
    link.declare(&topology).await.expect("declared");
    let publisher = link.publisher(10).await.expect("a publisher");
    let exchange = dispatch_exchange("routes");
    let to = |account| OutMessage {
        exchange: exchange.clone(),
        routing_key: account_key("whatsapp", account),
        ..message("", 1)
    };
    publisher.publish(to("2")).await.expect("confirmed");
    publisher.publish(to("3")).await.expect_err("no such account");
    depth_becomes(&link, &dispatch_queue("routes", "whatsapp", "2"), 1).await;
    depth_becomes(&link, &dispatch_queue("routes", "whatsapp", "1"), 0).await;
}

async fn a_queue_with_other_arguments_is_named_with_a_mend(under_test: Arc<UnderTest>) {
    let name = "differs";
    let link = under_test.link_with_queue(name).await;
    let error = link
        .declare(&one_queue(name, |queue| queue.messages_max = 7))
        .await
        .expect_err("it differs");
    assert!(
        matches!(&error, TopologyError::QueueDiffers { queue, .. } if queue == name),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("x-max-length") && text.contains("delete_queue differs"), "{text}");
    assert!(!link.is_lost(), "a refused declaration harms nothing");
    link.declare(&one_queue(name, |_| {})).await.expect("as it was, it is welcome");
}

async fn an_exchange_of_another_kind_is_named_with_a_mend(under_test: Arc<UnderTest>) {
    let name = "fanned";
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let operator = under_test.operator().await;
    let declare = operator.exchange_declare(
        name.into(),
        ExchangeKind::Fanout,
        options,
        FieldTable::default(),
    );
    declare.await.expect("a fanout exchange");
    let error =
        under_test.link().await.declare(&one_queue(name, |_| {})).await.expect_err("it differs");
    assert!(
        matches!(&error, TopologyError::ExchangeDiffers { exchange, .. } if exchange == name),
        "{error:?}"
    );
}

async fn a_rejected_message_is_dead_lettered_and_not_dropped(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    link.declare(&Topology::interline("letters", &[], &[], &[])).await.expect("declared");
    let name = "letters-source";
    let dead_letter = DeadLetter { exchange: "letters.dead".into(), routing_key: name.into() };
    link.declare(&one_queue(name, |queue| queue.dead_letter = Some(dead_letter)))
        .await
        .expect("declared");
    link.publisher(1)
        .await
        .expect("a publisher")
        .publish(message(name, 1))
        .await
        .expect("confirmed");
    // We never reject; the broker itself does, at the delivery limit. An operator stands in for it.
    let operator = under_test.operator().await;
    let got = operator.basic_get(name.into(), BasicGetOptions::default()).await.expect("answered");
    let got = got.expect("a message");
    got.reject(BasicRejectOptions { requeue: false }).await.expect("rejected");
    depth_becomes(&link, &dead_queue("letters"), 1).await;
    let dead = link.peek(&dead_queue("letters"), 1).await.expect("a copy").remove(0);
    assert_eq!((&dead.body[..], dead.routing_key.as_str()), (&b"body 1"[..], name));
    assert!(dead.properties().headers.contains_key("x-death"), "{dead:?}");
}

async fn a_name_that_is_too_long_is_refused_before_it_is_sent(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    let error = link.declare(&one_queue(&"n".repeat(256), |_| {})).await.expect_err("too long");
    assert!(matches!(error, TopologyError::NameTooLong { .. }), "{error:?}");
}
