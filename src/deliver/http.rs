//! Carries rendered requests to a platform's HTTP API and brings the answer back.
//!
//! The only place where credentials meet a request. It knows no platform: routes and bodies come from the codec, the
//! address and the token from the account's config. It never retries: whether to is the lane's decision.

use crate::live::Account;
use crate::media::PublicResolver;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use interline_bridge_api::{Certainty, Method, RequestBody};
use interline_broker::PublishError;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes of an answer that are read. Graph answers have a few hundred.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long an idle connection is kept. Short, so that few requests meet a connection that the platform just closed,
/// which would leave their fate unknown.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(10);

/// What lies behind an error.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection: not a byte of the request left.
    #[error(
        "no connection to the platform's API; check `api_url` of the account, DNS and the firewall"
    )]
    Unreachable(#[source] Cause),
    /// The request was being sent, or the answer awaited, when it broke or took too long.
    #[error(
        "the platform's API took the connection but gave no answer; it may be overloaded, or `request_timeout` too short"
    )]
    NoAnswer(#[source] Cause),
    /// The request cannot be built.
    #[error(
        "the request cannot be built from the account's `api_url` and the codec's route; check `api_url`"
    )]
    Unbuildable(#[source] Option<Cause>),
    /// The answer is larger than any API's.
    #[error("the platform's answer is larger than {max} bytes; is `api_url` its API?", max = ANSWER_BYTES_MAX)]
    AnswerTooLarge,
    /// The egress queue did not take it.
    #[error("the egress queue did not take the request: {0}")]
    Egress(#[source] PublishError),
    /// The platform's backend did not answer in time.
    #[error("the platform's backend gave no answer in time; is it consuming the egress queue?")]
    NoEgressAnswer,
    /// There is no connection to the broker now.
    #[error(
        "there is no connection to the broker for the egress queue; it is made again by itself, `interline status` says what keeps it"
    )]
    NoBroker,
    /// The account left the config.
    #[error("the account is no longer in the config; put it back and reload")]
    NoAccount,
    /// The codec panicked on the answer.
    #[error("the codec panicked on the platform's answer; this is a bug in the bridge: report it")]
    Uninterpretable,
}

impl TransportError {
    /// Whether the person may have got the message all the same.
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Egress(error) if error.may_be_stored() => Certainty::MaybeSent,
            Self::Unreachable(_)
            | Self::Unbuildable(_)
            | Self::Egress(_)
            | Self::NoBroker
            | Self::NoAccount => Certainty::NotSent,
            Self::NoAnswer(_)
            | Self::AnswerTooLarge
            | Self::NoEgressAnswer
            | Self::Uninterpretable => Certainty::MaybeSent,
        }
    }
}

/// The HTTP client of the whole daemon.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    /// For what strangers name: it connects to public addresses only.
    guarded: reqwest::Client,
    /// Instead of the network.
    peers: Option<(Peers, Duration)>,
}

/// Answers requests where there is no network: what the platforms' APIs and origins would. An answer's body is there as
/// a whole, so its length is known.
pub type Peers = Arc<
    dyn Fn(
            Request<Body>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send>>
        + Send
        + Sync,
>;

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

/// The file of a request, on its way from somewhere else.
#[derive(Debug)]
pub(crate) struct Upload {
    /// The bytes as they come.
    pub(crate) body: reqwest::Body,
    /// How many there will be.
    pub(crate) bytes: u64,
    /// From the request's first byte to the last of its answer.
    pub(crate) timeout: Duration,
}

impl Http {
    /// Builds the client. Redirects are not followed: an API that redirects a POST is misconfigured, and a redirect
    /// must not carry a token elsewhere.
    ///
    /// # Errors
    /// What reqwest says, for example when the system's certificate store cannot be read.
    pub fn new(
        connect_timeout: Duration,
        request_timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        // The TLS client is built without a provider of its own; whoever installed one before us is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(connect_timeout)
                .timeout(request_timeout)
                .pool_idle_timeout(IDLE_CONNECTION_MAX)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("interline/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
        };
        let guarded = builder().https_only(true).dns_resolver(PublicResolver).build()?;
        Ok(Self { client: builder().build()?, guarded, peers: None })
    }

    /// The same without a network: `peers` answers everything, within `request_timeout` where a request sets no other.
    #[must_use]
    pub fn without_network(&self, request_timeout: Duration, peers: Peers) -> Self {
        Self { peers: Some((peers, request_timeout)), ..self.clone() }
    }

    async fn execute(
        &self,
        builder: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, TransportError> {
        let Some((peers, request_timeout)) = &self.peers else {
            return builder.send().await.map_err(sort_error);
        };
        let request = builder.build().map_err(sort_error)?;
        let timeout = request.timeout().copied().unwrap_or(*request_timeout);
        let request = Request::<reqwest::Body>::try_from(request).map_err(sort_error)?;
        let answer = tokio::time::timeout(timeout, peers(request.map(Body::new))).await;
        let answer = answer.map_err(|late| TransportError::NoAnswer(late.into()))??;
        Ok(answer.map(reqwest::Body::from).into())
    }

    /// Sends one request with the account's token, and `file` as the file of a multipart body.
    ///
    /// Not cancel-safe: a dropped call leaves the request's fate unknown.
    ///
    /// # Errors
    /// [`TransportError`]; its [`TransportError::certainty`] says whether anything may have been sent.
    pub(crate) async fn send(
        &self,
        account: &Account,
        request: &interline_bridge_api::Request,
        file: Option<Upload>,
    ) -> Result<interline_bridge_api::Response, TransportError> {
        let url = format!("{}/{}", account.api_url.trim_end_matches('/'), request.route);
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = authorised(self.client.request(method, url), account);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        builder = match &request.body {
            RequestBody::Empty => builder,
            RequestBody::Json(value) => builder.json(value),
            RequestBody::Multipart { fields, file: spec } => {
                let file = file.ok_or(TransportError::Unbuildable(None))?;
                builder = builder.timeout(file.timeout);
                let part = reqwest::multipart::Part::stream_with_length(file.body, file.bytes)
                    .file_name(spec.filename.clone())
                    .mime_str(&spec.mime)
                    .map_err(|error| TransportError::Unbuildable(Some(error.into())))?;
                let mut form = reqwest::multipart::Form::new();
                for (name, value) in fields {
                    form = form.text(name.clone(), value.clone());
                }
                builder.multipart(form.part(spec.field.clone(), part))
            }
        };
        let answer = self.execute(builder).await?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let body = bounded_body(answer, ANSWER_BYTES_MAX as u64).await?;
        Ok(interline_bridge_api::Response { status, headers, body: body.into() })
    }

    /// Asks for a medium and hands over the answer as it begins, whatever its status.
    ///
    /// `public_only`: connect to nothing but public addresses. `token`: the account whose token goes along. `range`: a
    /// `Range` header. `timeout`: to the last byte of the body.
    ///
    /// # Errors
    /// [`TransportError`] if no answer begins.
    pub(crate) async fn open(
        &self,
        url: &url::Url,
        public_only: bool,
        token: Option<&Account>,
        range: Option<&str>,
        timeout: Duration,
    ) -> Result<reqwest::Response, TransportError> {
        let client = if public_only { &self.guarded } else { &self.client };
        let mut builder = client.get(url.clone()).timeout(timeout);
        if let Some(account) = token {
            builder = authorised(builder, account);
        }
        if let Some(range) = range {
            builder = builder.header(reqwest::header::RANGE, range);
        }
        self.execute(builder).await
    }
}

fn authorised(builder: reqwest::RequestBuilder, account: &Account) -> reqwest::RequestBuilder {
    match &account.access_token {
        Some(token) => builder.bearer_auth(token.expose()),
        None => builder,
    }
}

/// Errors hold the URL, and a URL may hold a person's id: it is taken out before anyone can log it.
fn sort_error(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    if error.is_connect() {
        TransportError::Unreachable(error.into())
    } else if error.is_builder() {
        TransportError::Unbuildable(Some(error.into()))
    } else {
        TransportError::NoAnswer(error.into())
    }
}

async fn bounded_body(
    mut answer: reqwest::Response,
    bytes_max: u64,
) -> Result<Bytes, TransportError> {
    if answer.content_length().is_some_and(|length| length > bytes_max) {
        return Err(TransportError::AnswerTooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(sort_error)? {
        if (body.len() + chunk.len()) as u64 > bytes_max {
            return Err(TransportError::AnswerTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}
