//! A link for tests in which the broker falls silent.

use std::time::Duration;

use interline_broker::{ConnectConfig, Link, connect};

/// A link that stands now: a machine that pauses for longer than its heartbeats allow loses it while it is set up.
/// `limit`: how long that may take in all.
pub(crate) async fn standing_link(config: &ConnectConfig, limit: Duration) -> Link {
    let standing = async {
        loop {
            match connect(config).await {
                Ok(link) if !link.is_lost() => return link,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(limit, standing).await.expect("the broker is up")
}
