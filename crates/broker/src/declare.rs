//! Declares a topology at the broker.
//!
//! A refused declaration closes the channel, and some brokers close the connection over an unknown queue type. So this
//! has a connection of its own, and a fresh channel after each refusal.

use std::time::Duration;

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, ExchangeKind};
use serde::Serialize;

use crate::connect::{Dialer, Opened};
use crate::errors::{BrokerFault, Role, TopologyError};
use crate::link::RPC_TIMEOUT;
use crate::message::SHORT_STRING_BYTES_MAX;
use crate::topology::{Argument, Queue, QueueKind, Topology};

const CODE_OK: u16 = 200;
const CODE_ACCESS_REFUSED: u16 = 403;
const CODE_PRECONDITION_FAILED: u16 = 406;
const CODE_NOT_IMPLEMENTED: u16 = 540;
const CODE_INTERNAL_ERROR: u16 = 541;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A queue, as it now is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeclaredQueue {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: QueueKind,
    /// Ready messages at that moment.
    pub messages: u32,
    /// Consumers at that moment.
    pub consumers: u32,
}

/// What was declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeclareReport {
    /// In the order declared.
    pub queues: Vec<DeclaredQueue>,
}

impl DeclareReport {
    /// True where at least one queue had to be a classic one: the operator should know that it is not replicated.
    #[must_use]
    pub fn has_classic_queues(&self) -> bool {
        self.queues.iter().any(|queue| queue.kind == QueueKind::Classic)
    }
}

pub(crate) async fn declare(
    dialer: &Dialer,
    topology: &Topology,
) -> Result<DeclareReport, TopologyError> {
    let mut declarer = Declarer::open(dialer).await?;
    let result = declarer.declare_all(topology).await;
    declarer.close().await;
    result
}

pub(crate) async fn undeclare(dialer: &Dialer, topology: &Topology) -> Result<(), TopologyError> {
    let declarer = Declarer::open(dialer).await?;
    let result = declarer.delete_all(topology).await;
    declarer.close().await;
    result
}

struct Declarer<'a> {
    dialer: &'a Dialer,
    opened: Opened,
    channel: Channel,
}

impl<'a> Declarer<'a> {
    async fn open(dialer: &'a Dialer) -> Result<Self, TopologyError> {
        let opened = dialer.open(Role::Declare).await.map_err(TopologyError::Unconnected)?;
        let channel = answered("the topology", opened.connection.create_channel()).await?;
        let channel = channel.map_err(|fault| refused("the topology", fault))?;
        Ok(Self { dialer, opened, channel })
    }

    async fn close(self) {
        let closing = self.opened.connection.close(CODE_OK, "done".into());
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::debug!("the declaring connection did not say goodbye");
        }
        self.opened.sockets.shut();
    }

    async fn declare_all(&mut self, topology: &Topology) -> Result<DeclareReport, TopologyError> {
        for exchange in &topology.exchanges {
            self.exchange(short(&exchange.name)?, &exchange.name).await?;
        }
        let mut report = DeclareReport::default();
        for queue in &topology.queues {
            report.queues.push(self.queue(queue).await?);
        }
        for binding in &topology.bindings {
            let (queue, exchange) = (short(&binding.queue)?, short(&binding.exchange)?);
            let key = short(&binding.routing_key)?;
            let options = QueueBindOptions::default();
            let bind =
                self.channel.queue_bind(queue, exchange, key, options, FieldTable::default());
            answered(&binding.queue, bind)
                .await?
                .map_err(|fault| refused(&binding.queue, fault))?;
        }
        Ok(report)
    }

    async fn delete_all(&self, topology: &Topology) -> Result<(), TopologyError> {
        for queue in &topology.queues {
            let delete =
                self.channel.queue_delete(short(&queue.name)?, QueueDeleteOptions::default());
            answered(&queue.name, delete).await?.map_err(|fault| refused(&queue.name, fault))?;
        }
        for exchange in &topology.exchanges {
            let name = short(&exchange.name)?;
            let delete = self.channel.exchange_delete(name, ExchangeDeleteOptions::default());
            answered(&exchange.name, delete)
                .await?
                .map_err(|fault| refused(&exchange.name, fault))?;
        }
        Ok(())
    }

    async fn exchange(&self, short_name: ShortString, name: &str) -> Result<(), TopologyError> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declare = self.channel.exchange_declare(
            short_name,
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        );
        answered(name, declare).await?.map_err(|fault| {
            if fault.code() == Some(CODE_PRECONDITION_FAILED) {
                TopologyError::ExchangeDiffers { exchange: name.to_owned(), fault }
            } else {
                refused(name, fault)
            }
        })
    }

    async fn queue(&mut self, queue: &Queue) -> Result<DeclaredQueue, TopologyError> {
        let fault = match self.queue_as(queue, queue.kind).await? {
            Ok(declared) => return Ok(declared),
            Err(fault) => fault,
        };
        if queue.kind == QueueKind::Classic || !offers_no_quorum(&fault) {
            return Err(differs(queue, fault));
        }
        self.reopen().await?;
        self.queue_as(queue, QueueKind::Classic).await?.map_err(|fault| differs(queue, fault))
    }

    async fn queue_as(
        &self,
        queue: &Queue,
        kind: QueueKind,
    ) -> Result<Result<DeclaredQueue, BrokerFault>, TopologyError> {
        let mut arguments = FieldTable::default();
        for (name, value) in queue.arguments(kind == QueueKind::Quorum) {
            arguments.insert(name.into(), to_amqp(value));
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declare = self.channel.queue_declare(short(&queue.name)?, options, arguments);
        let declared = answered(&queue.name, declare).await?;
        Ok(declared.map(|declared| DeclaredQueue {
            name: queue.name.clone(),
            kind,
            messages: declared.message_count(),
            consumers: declared.consumer_count(),
        }))
    }

    /// A refusal has closed the channel, or the whole connection.
    async fn reopen(&mut self) -> Result<(), TopologyError> {
        if self.opened.connection.status().connected() {
            let channel = answered("the topology", self.opened.connection.create_channel()).await?;
            if let Ok(channel) = channel {
                self.channel = channel;
                return Ok(());
            }
        }
        self.opened.sockets.shut();
        *self = Self::open(self.dialer).await?;
        Ok(())
    }
}

fn to_amqp(argument: Argument) -> AMQPValue {
    match argument {
        Argument::Bool(value) => AMQPValue::Boolean(value),
        Argument::Int(value) => AMQPValue::LongLongInt(value),
        Argument::Text(value) => AMQPValue::LongString(LongString::from(value)),
    }
}

pub(crate) fn short(name: &str) -> Result<ShortString, TopologyError> {
    if name.len() > SHORT_STRING_BYTES_MAX {
        return Err(TopologyError::NameTooLong { name: name.to_owned() });
    }
    Ok(ShortString::from(name))
}

async fn answered<T>(
    name: &str,
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<Result<T, BrokerFault>, TopologyError> {
    match tokio::time::timeout(RPC_TIMEOUT, request).await {
        Ok(answer) => Ok(answer.map_err(BrokerFault::from)),
        Err(_) => Err(TopologyError::TimedOut { name: name.to_owned(), limit: RPC_TIMEOUT }),
    }
}

/// True where the broker does not know quorum queues at all, as against one that has this queue otherwise.
fn offers_no_quorum(fault: &BrokerFault) -> bool {
    let text = fault.text().unwrap_or_default();
    match fault.code() {
        Some(CODE_NOT_IMPLEMENTED) => true,
        Some(CODE_INTERNAL_ERROR) => text.contains("feature flag"),
        Some(CODE_PRECONDITION_FAILED) => {
            text.contains("x-queue-type") && !text.contains("inequivalent")
        }
        _ => false,
    }
}

fn differs(queue: &Queue, fault: BrokerFault) -> TopologyError {
    if fault.code() == Some(CODE_PRECONDITION_FAILED) {
        TopologyError::QueueDiffers { queue: queue.name.clone(), fault }
    } else {
        refused(&queue.name, fault)
    }
}

fn refused(name: &str, fault: BrokerFault) -> TopologyError {
    let name = name.to_owned();
    if fault.code() == Some(CODE_ACCESS_REFUSED) {
        TopologyError::Forbidden { name, fault }
    } else {
        TopologyError::Refused { name, fault }
    }
}
