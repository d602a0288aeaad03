//! The least that a relay on the client library does: it takes what is ready, publishes it as it came, waits for the
//! confirms, acks. Benches measure it beside the relay stage, whose own work is what lies between the two.
//!
//! Only for benches: it looks at no body, tells no return from a confirm, and survives nothing.

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::{FieldTable, ShortString};

use crate::errors::{BrokerFault, LinkError, LostReason, Role};
use crate::link::Link;

/// How many messages are taken, published and acked together.
const CHUNK_MAX: usize = 64;

impl Link {
    /// Moves messages from one queue to another until it is dropped, over one connection.
    ///
    /// # Errors
    /// [`LinkError`] if a queue cannot be used, or the broker confirms nothing more.
    pub async fn bare_relay(
        &self,
        from: &str,
        to: &str,
        prefetch_count: u16,
    ) -> Result<(), LinkError> {
        let role = Role::Consume;
        let (source, target) = (self.channel(role).await?, self.channel(role).await?);
        let confirms = target.confirm_select(ConfirmSelectOptions::default());
        self.shared.ask(role, || "confirm publishes".to_owned(), confirms).await?;
        let qos = source.basic_qos(prefetch_count.max(1), BasicQosOptions::default());
        self.shared.ask(role, || "set the prefetch".to_owned(), qos).await?;
        let consume = source.basic_consume(
            ShortString::from(from),
            ShortString::from("bare"),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let stream = self.shared.ask(role, || format!("consume {from}"), consume).await?;
        let to = ShortString::from(to);
        let mut chunks = stream.ready_chunks(CHUNK_MAX);
        while let Some(chunk) = chunks.next().await {
            move_chunk(&source, &target, &to, chunk).await.map_err(|error| {
                LinkError::Lost(LostReason::Channel { role, fault: BrokerFault::from(error) })
            })?;
        }
        Err(LinkError::Lost(self.shared.reason()))
    }
}

async fn move_chunk(
    source: &Channel,
    target: &Channel,
    to: &ShortString,
    chunk: Vec<lapin::Result<Delivery>>,
) -> lapin::Result<()> {
    let deliveries = chunk.into_iter().collect::<lapin::Result<Vec<_>>>()?;
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let publishes = deliveries.iter().map(async |delivery| {
        let properties = delivery.properties.clone();
        let default_exchange = ShortString::default();
        target
            .basic_publish(default_exchange, to.clone(), options, &delivery.data, properties)
            .await?
            .await
    });
    try_join_all(publishes).await?;
    match deliveries.last() {
        Some(last) => {
            let all_of_them = BasicAckOptions { multiple: true };
            source.basic_ack(last.delivery_tag, all_of_them).await
        }
        None => Ok(()),
    }
}
