//! The least that a relay on this daemon's AMQP client does, over the same load: what it takes is what the client
//! library and the kernel take, and what the relay stage takes beyond it is the stage's own.

use super::meter::Meter;
use super::passage::Passage;
use super::{BenchError, CLOSE_TIMEOUT, Figures, Load, connect, figures, watch};
use crate::config::Config;
use tokio_util::sync::CancellationToken;

/// Fills a queue, moves it to another of the same kind, removes both.
///
/// # Errors
/// [`BenchError`].
pub async fn round(
    broker: &str,
    prefix: &str,
    load: Load,
    broker_process: Option<u32>,
) -> Result<Figures, BenchError> {
    let passage = Passage::fill(broker, prefix, load).await?;
    let moved = drained(&passage, load, broker_process).await;
    passage.remove().await?;
    moved
}

async fn drained(
    passage: &Passage,
    load: Load,
    broker_process: Option<u32>,
) -> Result<Figures, BenchError> {
    let stop = CancellationToken::new();
    let (config, from, to, until) =
        (passage.config.clone(), passage.from.clone(), passage.to.clone(), stop.clone());
    let meter = Meter::start(broker_process);
    let mover = std::thread::spawn(move || relay(&config, &from, &to, load.prefetch, &until));
    let watched =
        watch(&passage.link, std::slice::from_ref(&passage.to), load.messages as u64).await;
    let cost = meter.read();
    stop.cancel();
    let died = || BenchError::Wrong("the bare relay panicked".to_owned());
    mover.join().map_err(|_| died())??;
    Ok(figures(load, watched?, Some(cost)))
}

/// On a runtime of one thread, which has been seen to be its fastest form.
fn relay(
    config: &Config,
    from: &str,
    to: &str,
    prefetch: u16,
    stop: &CancellationToken,
) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::Runtime)?;
    runtime.block_on(async {
        let link = connect(config).await?;
        let moved = tokio::select! {
            moved = link.bare_relay(from, to, prefetch) => moved,
            () = stop.cancelled() => Ok(()),
        };
        link.close(CLOSE_TIMEOUT).await;
        Ok(moved?)
    })
}
