//! What Interline expects of a broker, run against RabbitMQ, against the embedded broker and against the one in memory,
//! so that those that are ours cannot drift from the one that is real.
//!
//! Each broker has one test that runs every case, since starting RabbitMQ takes seconds. A case has its own prefix, is
//! told apart by its name in the output, and fails without stopping the others.

#[cfg(test)]
mod browsing;
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod consuming;
#[cfg(test)]
mod node_faults;
#[cfg(test)]
mod publishing;
#[cfg(test)]
#[path = "../standing/mod.rs"]
mod standing;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod topology;
#[cfg(test)]
mod under_test;

use std::sync::Arc;
use std::time::{Duration, Instant};

use interline_rabbit_node::RabbitNode;
use tokio::task::JoinSet;

use under_test::{Boxed, UnderTest};

/// What a case does.
type Run = fn(Arc<UnderTest>) -> Boxed;
/// A case: its name and what it does.
type Case = (&'static str, Run);

/// Longest time for one case: some start a node twice.
const CASE_LIMIT: Duration = Duration::from_mins(5);

/// Names the functions of a module as cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), (|under_test| Box::pin($name(under_test))) as crate::Run)),*]
    };
}
pub(crate) use cases;

fn every_case() -> Vec<Case> {
    [
        browsing::CASES,
        connecting::CASES,
        consuming::CASES,
        publishing::CASES,
        tls::CASES,
        topology::CASES,
    ]
    .concat()
}

/// Runs every case, prints each, and fails with the list of those that failed.
#[expect(
    clippy::print_stdout,
    reason = "the cases of one test are told apart by their names in its output"
)]
async fn run_contract(under_test: UnderTest, cases: Vec<Case>) {
    let under_test = Arc::new(under_test);
    let mut failed = Vec::new();
    for (name, case) in cases {
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        tasks.spawn(tokio::time::timeout(CASE_LIMIT, case(Arc::clone(&under_test))));
        let verdict = match tasks.join_next().await {
            Some(Ok(Ok(()))) => "ok",
            Some(Ok(Err(_))) => "TIMED OUT",
            Some(Err(_)) | None => "FAILED",
        };
        println!("{} · {name}: {verdict} ({} ms)", under_test.name, started.elapsed().as_millis());
        if verdict != "ok" {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{}: {} cases failed: {failed:?}", under_test.name, failed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_keeps_the_contract() {
    let Some(node) = RabbitNode::start().expect("RabbitMQ starts") else { return };
    let cases = [every_case().as_slice(), node_faults::CASES].concat();
    run_contract(UnderTest::rabbitmq(node), cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_keeps_the_contract() {
    run_contract(UnderTest::embedded().await, every_case()).await;
}

/// Cases in which an operator speaks AMQP to the broker, which the one in memory does not.
const WITH_AN_OPERATOR: [&str; 3] = [
    "a_deleted_queue_ends_its_consumer_but_not_the_link",
    "an_exchange_of_another_kind_is_named_with_a_mend",
    "a_rejected_message_is_dead_lettered_and_not_dropped",
];

#[tokio::test(start_paused = true)]
async fn the_broker_in_memory_keeps_the_contract() {
    let mut cases = [consuming::CASES, publishing::CASES, topology::CASES].concat();
    cases.retain(|(name, _)| !WITH_AN_OPERATOR.contains(name));
    run_contract(UnderTest::memory(), cases).await;
}
