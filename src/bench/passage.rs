//! Two queues, the first of them full: what the relay stage is measured beside moves messages from one to the other.

use super::{BenchError, CLOSE_TIMEOUT, Load, WHATSAPP, body, config, connect, fill};
use crate::config::Config;
use crate::ingest::event;
use interline_broker::topology::{Exchange, Queue};
use interline_broker::{Link, OutMessage, Topology};
use tempfile::TempDir;

/// The queues, and the connection that made them.
pub(super) struct Passage {
    pub(super) link: Link,
    pub(super) config: Config,
    pub(super) from: String,
    pub(super) to: String,
    topology: Topology,
    _folder: TempDir,
}

impl Passage {
    /// Makes the queues and fills the first.
    pub(super) async fn fill(broker: &str, prefix: &str, load: Load) -> Result<Self, BenchError> {
        let folder = super::folder()?;
        let config = config(folder.path(), broker, prefix, Load { conversations: 1, ..load })?;
        let (from, to) = (format!("{prefix}.from"), format!("{prefix}.to"));
        let queue = |name: &str| Queue {
            name: name.to_owned(),
            kind: load.queues,
            single_active_consumer: false,
            messages_max: interline_broker::topology::EVENTS_MESSAGES_MAX,
            dead_letter: None,
        };
        let topology = Topology {
            exchanges: Vec::<Exchange>::new(),
            queues: vec![queue(&from), queue(&to)],
            bindings: Vec::new(),
        };
        let link = connect(&config).await?;
        link.declare(&topology).await?;
        let messages = (0..load.messages).map(|n| OutMessage {
            exchange: String::new(),
            routing_key: from.clone(),
            ..event(prefix, "whatsapp", WHATSAPP, body(load, n))
        });
        fill(&link, messages).await?;
        Ok(Self { link, config, from, to, topology, _folder: folder })
    }

    /// Removes the queues.
    pub(super) async fn remove(self) -> Result<(), BenchError> {
        self.link.undeclare(&self.topology).await?;
        self.link.close(CLOSE_TIMEOUT).await;
        Ok(())
    }
}
