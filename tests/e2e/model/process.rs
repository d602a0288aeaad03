//! A play with the program itself: a process that is killed, a broker over TCP, and the machine's clock.

use super::ground::{BrokerFails, Ground};
use crate::harness::{Broker, LIMIT, Seat, World, tail};
use crate::queues::Queues;
use interline_sandbox::{Kind, Platforms};
use serde_json::Value;
use std::time::Duration;

/// How often the store is asked for what it holds.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Process {
    world: World,
    broker: Broker,
}

impl Process {
    pub(super) async fn new(seats: Vec<Seat>) -> Self {
        let broker = Broker::mock().await.unwrap();
        let kinds: Vec<Kind> = seats.iter().map(|seat| seat.kind).collect();
        let mut world = World::new(&broker.uri(), vec![("play".to_owned(), seats)]).await;
        world.deliver = super::DELIVER_LINES.to_owned();
        world.extra = super::RELAY_SECTION.to_owned();
        world.start();
        let queues = Queues::connect(&broker.uri()).await;
        for kind in kinds {
            queues.until_declared(kind.word()).await;
        }
        Self { world, broker }
    }
}

impl Process {
    /// Held and parked rows, as `interline status` says; nothing while the daemon does not answer.
    async fn rows_in_store(&self) -> Option<u64> {
        let said = tokio::process::Command::new(env!("CARGO_BIN_EXE_interline"))
            .args(["status", "--json", "--config"])
            .arg(self.world.config_path())
            .output()
            .await
            .unwrap();
        let status: Value = serde_json::from_slice(&said.stdout).ok()?;
        Some(status["store"]["held"].as_u64()? + status["store"]["parked"].as_u64()?)
    }

    /// A connection of its own each time: a play may cut those that stand.
    async fn queues(&self) -> Queues {
        Queues::connect(&self.broker.uri()).await
    }
}

impl Ground for Process {
    const LIMIT: Duration = LIMIT;

    fn platforms(&self) -> &Platforms {
        &self.world.platforms
    }

    fn broker_fails(&self, how: BrokerFails) {
        let faults = self.broker.as_mock().faults();
        match how {
            // What it has not read yet is not stored.
            BrokerFails::Cuts
            | BrokerFails::IsAway { .. }
            | BrokerFails::CutsBeforeStoring { .. } => self.broker.cut(),
            BrokerFails::Refuses { .. } => faults.nack_next(1),
            BrokerFails::StoresAndCuts { after } => faults.cut_after_stored(after + 1),
        }
    }

    async fn kill(&mut self) {
        self.world.kill();
        self.world.start();
    }

    async fn put_event(&self, kind: Kind, account: &str, body: String) {
        self.queues().await.publish_event(kind.word(), account, body).await;
    }

    async fn until_quiet(&self) {
        let broker = self.broker.as_mock();
        let empty = |now: &interline_embedded_broker::Snapshot| {
            let mut queues = now.queues.iter().filter(|(name, _)| !name.ends_with(".dead"));
            queues.all(|(_, depth)| depth.ready + depth.unacked == 0)
        };
        let quiet = async {
            loop {
                broker.wait_until(empty, LIMIT).await.unwrap();
                // What waits in the store is under way too.
                if self.rows_in_store().await == Some(0) {
                    return;
                }
                tokio::time::sleep(LOOKS_EVERY).await;
            }
        };
        assert!(tokio::time::timeout(LIMIT, quiet).await.is_ok(), "the store becomes empty");
    }

    async fn dead(&self) -> Vec<String> {
        self.queues().await.dead().await.into_iter().map(|letter| letter.reason).collect()
    }

    async fn stop(&mut self) {
        assert_eq!(self.world.stop().await, Some(0), "the daemon drains");
    }

    fn log(&self) -> String {
        tail(&self.world.log())
    }
}
