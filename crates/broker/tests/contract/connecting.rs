//! Connecting to a broker that is up: several URLs, wrong credentials, TLS.

use std::sync::Arc;
use std::time::Instant;

use interline_broker::{
    AttemptError, BrokerUrls, Closed, ConnectConfig, ConnectError, LostReason, connect,
};

use crate::under_test::{SOON, UnderTest, config_of};
use crate::{Case, cases};

pub(crate) const CASES: &[Case] = &cases![
    a_dead_node_is_passed_over_for_a_living_one,
    a_refused_login_says_so_and_shows_no_password,
    an_unknown_virtual_host_says_so,
    closing_an_idle_link_is_clean_and_quick,
    a_cut_resolves_lost_with_the_brokers_reason,
];

/// A port on which nothing listens.
fn dead_url() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    format!("amqp://127.0.0.1:{}", listener.local_addr().expect("an address").port())
}

async fn a_dead_node_is_passed_over_for_a_living_one(under_test: Arc<UnderTest>) {
    let link =
        connect(&config_of(&[&dead_url(), &under_test.uri])).await.expect("the second answers");
    assert!(!link.is_lost());
    match connect(&config_of(&[&dead_url(), &dead_url()])).await {
        Err(ConnectError::NoneUsable { failures }) => {
            assert_eq!(failures.len(), 2);
            assert!(
                failures
                    .iter()
                    .all(|failure| matches!(failure.error, AttemptError::Unreachable(_)))
            );
        }
        other => panic!("{other:?}"),
    }
}

fn with_userinfo(under_test: &UnderTest, userinfo: &str, path: &str) -> ConnectConfig {
    let url = format!("amqp://{userinfo}@{}{path}", under_test.address());
    let mut config = under_test.config();
    config.urls = BrokerUrls::parse(&[url]).expect("a URL");
    config
}

async fn a_refused_login_says_so_and_shows_no_password(under_test: Arc<UnderTest>) {
    let error = connect(&with_userinfo(&under_test, "guest:s3cret", ""))
        .await
        .expect_err("a wrong password");
    let ConnectError::NoneUsable { failures } = &error else { panic!("{error}") };
    assert!(matches!(failures[0].error, AttemptError::LoginRefused(_)), "{error:?}");
    assert!(error.is_refusal());
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
}

async fn an_unknown_virtual_host_says_so(under_test: Arc<UnderTest>) {
    let error = connect(&with_userinfo(&under_test, "guest:guest", "/nowhere"))
        .await
        .expect_err("no such host");
    let ConnectError::NoneUsable { failures } = &error else { panic!("{error}") };
    assert!(matches!(failures[0].error, AttemptError::VhostRefused(_)), "{error:?}");
}

async fn closing_an_idle_link_is_clean_and_quick(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    let _publisher = link.publisher(1).await.expect("a publisher");
    let started = Instant::now();
    assert_eq!(link.close(SOON).await, Closed::Cleanly);
    assert!(started.elapsed() < SOON / 4, "{:?}", started.elapsed());
}

async fn a_cut_resolves_lost_with_the_brokers_reason(under_test: Arc<UnderTest>) {
    let link = under_test.link().await;
    under_test.cut_all().await;
    let reason = tokio::time::timeout(SOON, link.lost()).await.expect("the loss is noticed");
    assert!(matches!(reason, LostReason::Connection { .. }), "{reason:?}");
    assert_eq!(link.close(SOON).await, Closed::ByForce);
}
