//! How the platforms reach other programs, and how those reach a platform without a network.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use bytes::Bytes;
use thiserror::Error;
use tower::ServiceExt as _;

use crate::listener::Cutter;
use crate::platform::StartError;

/// Who takes webhooks where there is no network.
pub type Webhooks =
    Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Option<Response>> + Send>> + Send + Sync>;

/// Why a platform in memory gives no answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unanswered {
    /// It takes no connections: not a byte of the request was read.
    #[error("the simulated platform takes no connections now")]
    Refused,
    /// It cut the connection; it may have taken the request.
    #[error("the simulated platform cut the connection")]
    Cut,
}

/// The platforms' way out.
#[derive(Clone)]
pub(crate) struct Web {
    client: reqwest::Client,
    webhooks: Option<Webhooks>,
}

impl Web {
    pub(crate) fn new(client: reqwest::Client, webhooks: Option<Webhooks>) -> Self {
        Self { client, webhooks }
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Posts a webhook. Answers with the status, or with a word on why there is none.
    pub(crate) async fn post(
        &self,
        url: &str,
        signature: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<u16, String> {
        let headers = [
            ("content-type", "application/json"),
            ("user-agent", "facebookexternalua"),
            ("x-hub-signature-256", signature),
        ];
        let Some(webhooks) = &self.webhooks else {
            let mut request = self.client.post(url).timeout(timeout).body(body);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
            return Ok(answer.status().as_u16());
        };
        let mut request = Request::post(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body)).map_err(|error| error.to_string())?;
        match tokio::time::timeout(timeout, webhooks(request)).await {
            Ok(Some(response)) => Ok(response.status().as_u16()),
            Ok(None) => Err("nobody is there".to_owned()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// The client of platforms in memory, which go to the network for next to nothing: one for all of them.
pub(crate) fn shared_client() -> Result<reqwest::Client, StartError> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    match CLIENT.get() {
        Some(client) => Ok(client.clone()),
        None => {
            let built = client()?;
            Ok(CLIENT.get_or_init(|| built).clone())
        }
    }
}

/// The client of all three platforms.
pub(crate) fn client() -> Result<reqwest::Client, StartError> {
    // It is built without a provider of its own; whoever installed one first is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(StartError::Client)
}

/// Has a router answer, as a connection would that is its own.
pub(crate) async fn answered(
    router: &Router,
    mut request: Request,
) -> Result<Response, Unanswered> {
    let cutter = Cutter::new();
    request.extensions_mut().insert(ConnectInfo(cutter.clone()));
    let Ok(response) = router.clone().oneshot(request).await;
    if cutter.is_cut() { Err(Unanswered::Cut) } else { Ok(response) }
}
