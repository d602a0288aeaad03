//! The ingest stage under load: signed webhooks over HTTP, each answered after the broker's confirm.
//!
//! With a rate, requests are due at fixed times and their latency counts from then on, also while they wait for a free
//! connection: a stall is charged to everybody whom it keeps waiting. Sender and daemon share this process.

use super::{BenchError, CLOSE_TIMEOUT, LOOK_EVERY, Load, WHATSAPP, body, connect, topology};
use crate::config::{Config, SecretSource};
use crate::daemon::Daemon;
use bytes::Bytes;
use interline_broker::{Link, QueueKind, topology as names};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

const APP_SECRET: &str = "bench";
/// How long the daemon may take to connect to the broker, and the queue to show what was confirmed.
const SETTLES_WITHIN: Duration = Duration::from_secs(30);
/// Senders who write, in turn.
const CONVERSATIONS: usize = 1000;

/// What is posted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Posts {
    /// Webhooks, one message each.
    pub messages: usize,
    /// How many are due a second; absent for as many as go.
    pub rate: Option<u32>,
    /// How many are under way at once, at most.
    pub connections: u16,
    /// What kind of queue they go into.
    #[serde(serialize_with = "super::as_text")]
    pub queues: QueueKind,
}

/// How it went.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Answers {
    /// Webhooks answered with 200, a second.
    pub per_second: f64,
    /// From when a request was due to its answer: half took at most so many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took at most so many.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// Posts the webhooks to an ingest stage of its own, checks that the queue holds each of them, removes the queues.
///
/// # Errors
/// [`BenchError`]; among them a webhook that is not answered with 200, or is not in the queue.
pub async fn round(broker: &str, prefix: &str, posts: Posts) -> Result<Answers, BenchError> {
    let folder = tempfile::Builder::new()
        .prefix("interline-bench-")
        .tempdir()
        .map_err(BenchError::Folder)?;
    let config = config(folder.path(), broker, prefix, posts)?;
    let topology = topology(&config)?;
    let link = connect(&config).await?;
    link.declare(&topology).await?;
    let result = posted(&link, &config, posts).await;
    link.undeclare(&topology).await?;
    link.close(CLOSE_TIMEOUT).await;
    result
}

fn config(folder: &Path, broker: &str, prefix: &str, posts: Posts) -> Result<Config, BenchError> {
    let toml = format!(
        "[broker]\nurls = [{}]\nprefix = {prefix:?}\nqueue_type = \"{}\"\n\
         [stages]\nrelay = false\ndeliver = false\n\
         [store]\nurl = {:?}\n\
         [ingest]\nlisten = \"127.0.0.1:0\"\nrequests_in_flight_max = {}\n\
         [[account]]\nbridge = \"whatsapp\"\nid = {WHATSAPP:?}\n\
         app_secret = {APP_SECRET:?}\nverify_token = {APP_SECRET:?}\n",
        serde_json::json!(broker),
        posts.queues,
        format!("sqlite:{}", folder.join("bench.db").display()),
        posts.connections,
    );
    let nowhere = SecretSource { env: Box::new(|_| None), credentials_directory: None };
    Ok(Config::parse(&folder.join("bench.toml"), &toml, &crate::bridges::ids(), &nowhere)?.0)
}

async fn posted(link: &Link, config: &Config, posts: Posts) -> Result<Answers, BenchError> {
    let (daemon, handle) = Daemon::open(config.clone()).await?;
    let listen = daemon
        .listen()
        .ok_or_else(|| BenchError::Wrong("the daemon listens nowhere".to_owned()))?;
    let target = Target {
        client: reqwest::Client::builder().no_proxy().build().map_err(BenchError::Post)?,
        url: format!("http://{listen}/webhooks/whatsapp").into(),
    };
    let mut running = JoinSet::new();
    running.spawn(daemon.run());
    let answers = async {
        target.until_ready().await?;
        let answers = target.all(posts).await?;
        let queue = names::events_queue(&config.broker.prefix, "whatsapp");
        // One more told that the daemon was ready.
        check(link, &queue, posts.messages as u64 + 1).await?;
        Ok(answers)
    };
    let answers = answers.await;
    handle.stop();
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| BenchError::Wrong(error.to_string()))??;
    }
    answers
}

/// Every webhook that was answered with 200 is in the queue, and nothing else.
async fn check(link: &Link, queue: &str, wanted: u64) -> Result<(), BenchError> {
    let until = Instant::now() + SETTLES_WITHIN;
    loop {
        // A quorum queue's count follows its confirms a moment later.
        match u64::from(link.depth(queue).await?.messages) {
            found if found == wanted => return Ok(()),
            found if Instant::now() > until => {
                let wrong = format!("{wanted} webhooks were taken, and the queue holds {found}");
                return Err(BenchError::Wrong(wrong));
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// A webhook as the platform sends it.
struct Signed {
    body: Bytes,
    signature: String,
}

/// The signature of a body, as every webhook of this bench bears it.
pub fn signature(body: &[u8]) -> String {
    interline_graph::sign(APP_SECRET.as_bytes(), body)
}

fn signed(n: usize) -> Signed {
    let load = Load {
        messages: 0,
        conversations: CONVERSATIONS,
        people: 2,
        queues: QueueKind::Quorum,
        prefetch: 1,
    };
    let body = body(load, n);
    let signature = signature(&body);
    Signed { body, signature }
}

#[derive(Clone)]
struct Target {
    client: reqwest::Client,
    url: Arc<str>,
}

impl Target {
    async fn post(&self, webhook: Signed) -> Result<u16, BenchError> {
        let request = self
            .client
            .post(&*self.url)
            .header(interline_graph::SIGNATURE_HEADER, webhook.signature)
            .body(webhook.body);
        let response = request.send().await.map_err(BenchError::Post)?;
        let status = response.status().as_u16();
        // A body that is read to its end gives the connection back.
        response.bytes().await.map_err(BenchError::Post)?;
        Ok(status)
    }

    async fn until_ready(&self) -> Result<(), BenchError> {
        let until = Instant::now() + SETTLES_WITHIN;
        loop {
            match self.post(signed(usize::MAX >> 1)).await? {
                200 => return Ok(()),
                status if Instant::now() > until => return Err(BenchError::Answered { status }),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn all(&self, posts: Posts) -> Result<Answers, BenchError> {
        // Signed beforehand: that is the platform's work.
        let webhooks: Vec<Signed> = (0..posts.messages).map(signed).collect();
        let places = Arc::new(Semaphore::new(usize::from(posts.connections)));
        let mut under_way: JoinSet<Result<Duration, BenchError>> = JoinSet::new();
        let mut latencies = Vec::with_capacity(webhooks.len());
        let started = Instant::now();
        for (n, webhook) in webhooks.into_iter().enumerate() {
            let due = posts.rate.map(|rate| started + due_after(n, rate));
            if let Some(due) = due {
                tokio::time::sleep_until(due).await;
            }
            let place = places.clone().acquire_owned().await;
            let (target, since) = (self.clone(), due.unwrap_or_else(Instant::now));
            under_way.spawn(async move {
                let status = target.post(webhook).await?;
                drop(place);
                if status == 200 {
                    Ok(since.elapsed())
                } else {
                    Err(BenchError::Answered { status })
                }
            });
            while let Some(done) = under_way.try_join_next() {
                latencies.push(finished(done)?);
            }
        }
        while let Some(done) = under_way.join_next().await {
            latencies.push(finished(done)?);
        }
        Ok(summed_up(latencies, started.elapsed()))
    }
}

fn due_after(n: usize, rate: u32) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Duration::from_secs_f64(n as f64 / f64::from(rate))
}

fn finished(
    done: Result<Result<Duration, BenchError>, tokio::task::JoinError>,
) -> Result<Duration, BenchError> {
    done.map_err(|error| BenchError::Wrong(error.to_string()))?
}

fn summed_up(mut latencies: Vec<Duration>, took: Duration) -> Answers {
    latencies.sort_unstable();
    let at_most = |percent: usize| {
        let index = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let per_second = latencies.len() as f64 / took.as_secs_f64().max(f64::EPSILON);
    Answers { per_second, p50_ms: at_most(50), p99_ms: at_most(99), max_ms: at_most(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_latency_that_so_many_did_not_exceed() {
        let latencies = (1..=200).rev().map(Duration::from_millis).collect();
        let answers = summed_up(latencies, Duration::from_secs(2));
        let told = [answers.per_second, answers.p50_ms, answers.p99_ms, answers.max_ms];
        for (told, wanted) in told.into_iter().zip([100.0, 100.0, 198.0, 200.0]) {
            assert!((told - wanted).abs() < 1e-6, "{told} and not {wanted}");
        }
    }

    #[test]
    fn each_webhook_is_signed_and_due_at_its_own_time() {
        let webhook = signed(7);
        let signature = Some(webhook.signature.as_str());
        interline_graph::verify_signature(APP_SECRET.as_bytes(), &webhook.body, signature).unwrap();
        assert_ne!(webhook.body, signed(8).body);
        assert_eq!(due_after(1500, 1000), Duration::from_millis(1500));
    }
}
