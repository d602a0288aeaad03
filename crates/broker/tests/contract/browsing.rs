//! Looking into a queue, as `interline dead` does.

use std::sync::Arc;

use interline_broker::LinkError;

use crate::under_test::{UnderTest, depth_becomes, number, numbers, publish, take};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = &cases![
    peeking_leaves_the_queue_as_it_was,
    one_message_can_be_taken_out_of_the_middle,
    a_walk_removes_what_it_is_told_to,
    purging_empties_a_queue_and_counts,
    a_missing_queue_is_named,
];

async fn peeking_leaves_the_queue_as_it_was(under_test: Arc<UnderTest>) {
    let name = "peek";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 10).await;
    for max in [3, 1, 10, 100, 4] {
        let copies = link.peek(name, max).await.expect("copies");
        assert_eq!(numbers(&copies), (1..=max.min(10)).collect::<Vec<_>>());
        depth_becomes(&link, name, 10).await;
    }
    let (mut consumer, _acker) = link.consumer(name, 100, "test").await.expect("a consumer");
    assert_eq!(numbers(&take(&mut consumer, 10).await), (1..=10).collect::<Vec<_>>());
}

async fn one_message_can_be_taken_out_of_the_middle(under_test: Arc<UnderTest>) {
    let name = "take";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 6).await;
    let taken = link.take(name, "m4").await.expect("the queue exists").expect("it is there");
    assert_eq!(number(&taken.delivery), 4);
    assert_eq!(&taken.delivery.body[..], b"body 4");
    taken.put_back().await.expect("it is put back");
    depth_becomes(&link, name, 6).await;

    let taken = link.take(name, "m2").await.expect("the queue exists").expect("it is there");
    taken.remove().await.expect("it is removed");
    depth_becomes(&link, name, 5).await;

    drop(link.take(name, "m6").await.expect("the queue exists").expect("it is there"));
    depth_becomes(&link, name, 5).await;
    assert!(link.take(name, "m2").await.expect("the queue exists").is_none(), "it is gone");
    depth_becomes(&link, name, 5).await;
    assert_eq!(numbers(&link.peek(name, 10).await.expect("copies")), [1, 3, 4, 5, 6]);
}

async fn a_walk_removes_what_it_is_told_to(under_test: Arc<UnderTest>) {
    let name = "walk";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 9).await;
    let mut browser = link.browse(name).await.expect("the queue exists");
    let mut seen = Vec::new();
    while let Some(delivery) = browser.next().await.expect("the link lives") {
        seen.push(number(&delivery));
        if number(&delivery).is_multiple_of(2) {
            browser.remove(delivery.tag).await.expect("it is removed");
        }
    }
    assert_eq!(seen, (1..=9).collect::<Vec<_>>());
    browser.close().await.expect("the rest is given back");
    depth_becomes(&link, name, 5).await;
    assert_eq!(numbers(&link.peek(name, 10).await.expect("copies")), [1, 3, 5, 7, 9]);
}

async fn purging_empties_a_queue_and_counts(under_test: Arc<UnderTest>) {
    let name = "purge";
    let link = under_test.link_with_queue(name).await;
    publish(&link.publisher(64).await.expect("a publisher"), name, 12).await;
    depth_becomes(&link, name, 12).await;
    assert_eq!(link.purge(name).await.expect("purged"), 12);
    depth_becomes(&link, name, 0).await;
}

async fn a_missing_queue_is_named(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    let missing =
        |error: LinkError| matches!(&error, LinkError::NoSuchQueue { queue } if queue == "nowhere");
    assert!(missing(link.depth("nowhere").await.expect_err("missing")));
    assert!(missing(link.peek("nowhere", 1).await.expect_err("missing")));
    assert!(missing(link.take("nowhere", "m1").await.expect_err("missing")));
    assert!(missing(link.purge("nowhere").await.expect_err("missing")));
    assert!(!link.is_lost());
}
