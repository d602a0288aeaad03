//! The broker under test, and the shortest words for what most cases do.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use interline_broker::memory::MemoryBroker;
use interline_broker::topology::{Binding, Exchange, Queue};
use interline_broker::{
    BrokerUrls, ConnectConfig, Consumer, Delivery, Link, OutMessage, Properties, Publisher,
    Topology, connect,
};
use interline_embedded_broker::{Config, EmbeddedBroker};
use interline_rabbit_node::RabbitNode;

/// What a case is.
pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Longest wait for something that must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// How long nothing must happen.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);

/// A broker, and what its operator can do to it.
pub(crate) struct UnderTest {
    pub(crate) name: &'static str,
    pub(crate) uri: String,
    /// Closes every connection from the broker's side.
    cut_all: Box<dyn Fn() + Send + Sync>,
    /// `None` where it speaks AMQP.
    memory: Option<MemoryBroker>,
    /// `None` where it is not RabbitMQ.
    node: Option<Arc<Mutex<RabbitNode>>>,
}

impl UnderTest {
    pub(crate) fn rabbitmq(node: RabbitNode) -> Self {
        let uri = node.uri();
        let node = Arc::new(Mutex::new(node));
        let cut_node = Arc::clone(&node);
        let cut_all = move || {
            let node = cut_node.lock().expect("no case panicked in rabbitmqctl");
            node.control(&["close_all_connections", "cut by the operator"])
                .expect("rabbitmqctl cuts");
        };
        Self { name: "RabbitMQ", uri, cut_all: Box::new(cut_all), memory: None, node: Some(node) }
    }

    pub(crate) async fn embedded() -> Self {
        let broker =
            EmbeddedBroker::start(Config::default()).await.expect("the embedded broker starts");
        let uri = broker.uri();
        Self {
            name: "embedded",
            uri,
            cut_all: Box::new(move || {
                broker.faults().close_connections(320, "cut by the operator")
            }),
            memory: None,
            node: None,
        }
    }

    /// The one that nobody outside of this process can reach.
    pub(crate) fn memory() -> Self {
        let broker = MemoryBroker::new();
        let cut_broker = broker.clone();
        Self {
            name: "memory",
            uri: String::new(),
            cut_all: Box::new(move || cut_broker.lose_links()),
            memory: Some(broker),
            node: None,
        }
    }

    /// Closes every connection from the broker's side; returns when that was asked for.
    pub(crate) async fn cut_all(self: &Arc<Self>) {
        if self.memory.is_some() {
            return (self.cut_all)();
        }
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || (this.cut_all)()).await.expect("the cut is made");
    }

    /// Does something to the RabbitMQ node, on a thread that may block.
    pub(crate) async fn with_node(&self, act: impl FnOnce(&mut RabbitNode) + Send + 'static) {
        let node = self.node.clone().expect("the broker under test is RabbitMQ");
        let acting = move || act(&mut node.lock().expect("no case panicked in rabbitmqctl"));
        tokio::task::spawn_blocking(acting).await.expect("it is done");
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        let url: url::Url = self.uri.parse().expect("a URL");
        format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"))
    }

    pub(crate) fn config(&self) -> ConnectConfig {
        config_of(&[&self.uri])
    }

    pub(crate) async fn link(&self) -> Link {
        match &self.memory {
            Some(broker) => broker.connect(),
            None => connect(&self.config()).await.expect("the broker is up"),
        }
    }

    /// A link with a bounded queue of this name, bound to an exchange of the same name by its own name.
    pub(crate) async fn link_with_queue(&self, name: &str) -> Link {
        self.link_with(name, |_| {}).await
    }

    /// The same, with the queue's settings changed.
    pub(crate) async fn link_with(&self, name: &str, change: impl FnOnce(&mut Queue)) -> Link {
        let link = self.link().await;
        link.declare(&one_queue(name, change)).await.expect("the topology is declared");
        link
    }

    /// What an operator would do with other tools.
    pub(crate) async fn operator(&self) -> lapin::Channel {
        let connection =
            lapin::Connection::connect(&self.uri, lapin::ConnectionProperties::default()).await;
        connection.expect("the operator connects").create_channel().await.expect("a channel")
    }
}

pub(crate) fn config_of(urls: &[&str]) -> ConnectConfig {
    let mut config = ConnectConfig::new(BrokerUrls::parse(urls).expect("good URLs"), "contract");
    config.connect_timeout = SOON;
    config
}

pub(crate) fn one_queue(name: &str, change: impl FnOnce(&mut Queue)) -> Topology {
    let mut queue = Queue {
        name: name.into(),
        kind: interline_broker::QueueKind::Quorum,
        single_active_consumer: false,
        messages_max: 10_000,
        dead_letter: None,
    };
    change(&mut queue);
    Topology {
        exchanges: vec![Exchange { name: name.into() }],
        queues: vec![queue],
        bindings: vec![Binding {
            exchange: name.into(),
            queue: name.into(),
            routing_key: name.into(),
        }],
    }
}

/// Message `number` for the queue `name`.
pub(crate) fn message(name: &str, number: usize) -> OutMessage {
    OutMessage {
        exchange: name.into(),
        routing_key: name.into(),
        properties: Properties { message_id: Some(format!("m{number}")), ..Properties::default() },
        body: Bytes::from(format!("body {number}")),
    }
}

/// Publishes messages 1 to `count`, in order, and waits for all confirms.
pub(crate) async fn publish(publisher: &Publisher, name: &str, count: usize) {
    let mut confirms = Vec::new();
    for number in 1..=count {
        confirms.push(publisher.send(message(name, number)).await.expect("sent"));
    }
    for confirm in confirms {
        confirm.await.expect("confirmed");
    }
}

/// The number of a message made by [`message`].
pub(crate) fn number(delivery: &Delivery) -> usize {
    let id = delivery.message_id().expect("a message id");
    id.strip_prefix('m').expect("one of ours").parse().expect("a number")
}

pub(crate) fn numbers(deliveries: &[Delivery]) -> Vec<usize> {
    deliveries.iter().map(number).collect()
}

/// Takes exactly `count` deliveries.
pub(crate) async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = tokio::time::timeout(SOON, consumer.next_batch(count - taken.len())).await;
        taken.extend(batch.expect("deliveries come").expect("the consumer lives"));
    }
    taken
}

/// Fails if anything is delivered for a while.
pub(crate) async fn nothing_comes(consumer: &mut Consumer) {
    let batch = tokio::time::timeout(A_WHILE, consumer.next_batch(1)).await;
    assert!(batch.is_err(), "nothing was to be delivered, but {batch:?} came");
}

/// Waits until `queue` has `messages` ready: brokers count with a delay.
pub(crate) async fn depth_becomes(link: &Link, queue: &str, messages: u32) {
    let counted = async {
        while link.depth(queue).await.expect("the queue exists").messages != messages {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let counted = tokio::time::timeout(SOON, counted).await;
    let depth = link.depth(queue).await.expect("the queue exists");
    assert!(counted.is_ok(), "{queue} was to have {messages} messages, and has {depth:?}");
}
