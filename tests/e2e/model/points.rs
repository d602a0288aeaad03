//! The points of a play in memory: each step of the daemon into the store, to the broker or to a platform.
//!
//! A point takes a moment that the dice choose, so that what is under way at the same time goes on in any order. A daemon
//! that is dead comes no further than its next one: what it had done before stays done, as with a process that was killed.

use super::draw::Dice;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use interline::deliver::{Peers, TransportError};
use interline_sandbox::{Platform, Unanswered};
use interline_store::Turn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// More than any play has: a daemon that gets here goes round in a circle.
const POINTS_MAX: u64 = 100_000;
/// A request to a platform takes less than this many milliseconds, twice.
const REQUEST_MS_MAX: usize = 4;
/// And an operation on the store.
const STORE_MS_MAX: usize = 2;
/// And a step to the broker.
const BROKER_MS_MAX: usize = 2;

/// Counts the points of all starts of a daemon, and says at which one it dies.
#[derive(Debug, Default)]
pub(super) struct Count {
    passed: AtomicU64,
    dies_at: Option<u64>,
}

impl Count {
    /// The daemon that comes to that point, counted from 1, goes no further and is started again.
    pub(super) fn dying_at(point: u64) -> Self {
        Self { passed: AtomicU64::new(0), dies_at: Some(point) }
    }

    pub(super) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

/// The steps of one daemon into what it does not own.
#[derive(Clone)]
pub(super) struct Points {
    pub(super) dead: CancellationToken,
    pub(super) dice: Arc<Mutex<Dice>>,
    pub(super) count: Arc<Count>,
}

impl Points {
    /// Takes a moment, shorter than `ms_max` milliseconds, and mostly none. A dead daemon comes no further.
    async fn pass(&self, ms_max: usize) {
        let ms = {
            let mut dice = self.dice.lock().unwrap();
            if dice.below(4) == 0 { dice.below(ms_max) } else { 0 }
        };
        if ms == 0 {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap())).await;
        }
        if !self.dead.is_cancelled() {
            let point = self.count.passed.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(point <= POINTS_MAX, "the daemon does not come to rest");
            if self.count.dies_at == Some(point) {
                self.dead.cancel();
            }
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// Before and after each operation on the store.
    pub(super) fn at_store(&self) -> Turn {
        self.taking(STORE_MS_MAX)
    }

    /// Before the broker takes messages, between that and their confirms, and before it acts upon acks.
    pub(super) fn at_broker(&self) -> Turn {
        self.taking(BROKER_MS_MAX)
    }

    fn taking(&self, ms_max: usize) -> Turn {
        let points = self.clone();
        Arc::new(move || {
            let points = points.clone();
            Box::pin(async move { points.pass(ms_max).await })
        })
    }

    /// The platforms, as the daemon reaches them.
    pub(super) fn peers(&self, platforms: Vec<Platform>) -> Peers {
        let points = self.clone();
        Arc::new(move |request| {
            let (platforms, points) = (platforms.clone(), points.clone());
            Box::pin(async move {
                points.pass(REQUEST_MS_MAX).await;
                let host = format!("http://{}", request.uri().host().unwrap_or_default());
                let platform = platforms.iter().find(|platform| platform.base_url() == host);
                let platform = platform.expect("the daemon asks the platforms alone");
                let answer = tokio::select! {
                    biased;
                    answer = whole(platform, request) => answer,
                    () = points.dead.cancelled() => std::future::pending().await,
                };
                points.pass(REQUEST_MS_MAX).await;
                answer.map_err(|unanswered| match unanswered {
                    Unanswered::Refused => TransportError::Unreachable(unanswered.into()),
                    Unanswered::Cut => TransportError::NoAnswer(unanswered.into()),
                })
            })
        })
    }
}

/// The answer with all of its body: what a platform does behind it does not wait for the daemon.
async fn whole(platform: &Platform, request: Request<Body>) -> Result<Response<Bytes>, Unanswered> {
    let (head, body) = platform.answer(request).await?.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("it is in memory");
    Ok(Response::from_parts(head, body))
}
