//! Carries rendered requests to a platform's HTTP API and brings the answer back.
//!
//! The only place where credentials meet a request. It knows no platform: routes and bodies come from the codec, the
//! address and the token from the account's config. It never retries: whether to is the lane's decision.

use crate::live::Account;
use bytes::Bytes;
use interline_bridge_api::{Certainty, Method, Request, RequestBody, Response};
use interline_broker::PublishError;
use interline_envelope::Redacted;
use std::time::Duration;

/// The most bytes of an answer that are read. Graph answers have a few hundred.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long an idle connection is kept. Short, so that few requests meet a connection that the platform just closed,
/// which would leave their fate unknown.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection: not a byte of the request left.
    #[error(
        "no connection to the platform's API; check `api_url` of the account, DNS and the firewall"
    )]
    Unreachable(#[source] reqwest::Error),
    /// The request was being sent, or the answer awaited, when it broke or took too long.
    #[error(
        "the platform's API took the connection but gave no answer; it may be overloaded, or `request_timeout` too short"
    )]
    NoAnswer(#[source] reqwest::Error),
    /// The request cannot be built.
    #[error(
        "the request cannot be built from the account's `api_url` and the codec's route; check `api_url`"
    )]
    Unbuildable(#[source] Option<reqwest::Error>),
    /// The answer is larger than any API's.
    #[error("the platform's answer is larger than {max} bytes; is `api_url` its API?", max = ANSWER_BYTES_MAX)]
    AnswerTooLarge,
    /// The egress queue did not take it.
    #[error("the egress queue did not take the request")]
    Egress(#[source] PublishError),
    /// The platform's backend did not answer in time.
    #[error("the platform's backend gave no answer in time; is it consuming the egress queue?")]
    NoEgressAnswer,
    /// There is no connection to the broker now.
    #[error("there is no connection to the broker for the egress queue")]
    NoBroker,
    /// The account left the config.
    #[error("the account is no longer in the config")]
    NoAccount,
    /// The codec panicked on the answer.
    #[error("the codec panicked on the platform's answer; this is a bug in the bridge")]
    Uninterpretable,
    /// Media that could not be fetched.
    #[error("the medium has more than {max} bytes, the bound that `deliver.media_bytes_max` sets")]
    MediaTooLarge {
        /// The bound.
        max: u64,
    },
}

impl TransportError {
    /// Whether the person may have got the message all the same.
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Egress(error) if error.may_be_stored() => Certainty::MaybeSent,
            Self::Unreachable(_)
            | Self::Unbuildable(_)
            | Self::MediaTooLarge { .. }
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
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
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
        let client = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .timeout(request_timeout)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("interline/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()?;
        Ok(Self { client })
    }

    /// Sends one request with the account's token, and `file` as the file of a multipart body.
    ///
    /// Not cancel-safe: a dropped call leaves the request's fate unknown.
    ///
    /// # Errors
    /// [`TransportError`]; its [`TransportError::certainty`] says whether anything may have been sent.
    pub async fn send(
        &self,
        account: &Account,
        request: &Request,
        file: Option<Bytes>,
    ) -> Result<Response, TransportError> {
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
                let bytes = file.ok_or(TransportError::Unbuildable(None))?;
                let length = bytes.len() as u64;
                let part = reqwest::multipart::Part::stream_with_length(bytes, length)
                    .file_name(spec.filename.clone())
                    .mime_str(&spec.mime)
                    .map_err(|error| TransportError::Unbuildable(Some(error)))?;
                let mut form = reqwest::multipart::Form::new();
                for (name, value) in fields {
                    form = form.text(name.clone(), value.clone());
                }
                builder.multipart(form.part(spec.field.clone(), part))
            }
        };
        let answer = builder.send().await.map_err(sort_error)?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let body = bounded_body(answer, ANSWER_BYTES_MAX as u64, || TransportError::AnswerTooLarge)
            .await?;
        Ok(Response { status, headers, body: body.into() })
    }

    /// Fetches the bytes of a medium, with the account's token if the platform wants it.
    ///
    /// # Errors
    /// [`TransportError`], or `Ok(Err(status))` if the platform answered with another status than 200.
    pub async fn fetch_media(
        &self,
        url: &Redacted<String>,
        token: Option<&Account>,
        bytes_max: u64,
    ) -> Result<Result<Bytes, u16>, TransportError> {
        let mut builder = self.client.get(url.as_exposed_str());
        if let Some(account) = token {
            builder = authorised(builder, account);
        }
        let answer = builder.send().await.map_err(sort_error)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Ok(Err(answer.status().as_u16()));
        }
        bounded_body(answer, bytes_max, || TransportError::MediaTooLarge { max: bytes_max })
            .await
            .map(Ok)
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
        TransportError::Unreachable(error)
    } else if error.is_builder() {
        TransportError::Unbuildable(Some(error))
    } else {
        TransportError::NoAnswer(error)
    }
}

async fn bounded_body(
    mut answer: reqwest::Response,
    bytes_max: u64,
    too_large: impl Fn() -> TransportError,
) -> Result<Bytes, TransportError> {
    if answer.content_length().is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(sort_error)? {
        if (body.len() + chunk.len()) as u64 > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}
