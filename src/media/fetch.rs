//! Opens a medium at its origin: asks the platform where it is, goes there by roads that `guard` allows, hands over
//! the body as it comes.
//!
//! WhatsApp's URLs live for five minutes, so the platform is asked by id right before, and once more where the URL is
//! stale all the same. Messenger's and Instagram's signed URLs stand in the event and are followed as they are.

use super::body::{Incoming, Limits};
use super::guard::{Forbidden, Road, refusal_behind, road};
use crate::deliver::{Http, TransportError, render};
use crate::live::Account;
use futures_util::{StreamExt, TryStreamExt};
use interline_bridge_api::{ChatKind, Located, Outcome, Outgoing, Request, RetryVerdict};
use interline_envelope::{Media, Redacted};
use interline_relay::{Action, MediaAccess};
use reqwest::header::LOCATION;
use std::time::Duration;
use tracing::warn;
use url::Url;

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 3;

/// Why a medium cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("the origin answered with HTTP {0}")]
    Status(u16),
    #[error("the origin redirects more than {REDIRECTS_MAX} times, or nowhere")]
    Redirects,
    #[error("the medium has more than {max} bytes, the bound that `deliver.media_bytes_max` sets")]
    TooLarge { max: u64 },
    #[error(
        "the medium stopped coming; is the origin slow, or `deliver.request_timeout` too short?"
    )]
    Stalled,
    #[error("the bytes that came are not those that the platform told of")]
    Changed,
    #[error("the medium cannot be read from the origin")]
    Transport(#[source] TransportError),
    #[error("the origin did not say where the medium is: {0}")]
    NotLocated(String),
    #[error("the origin does not have the medium (any more)")]
    Gone,
    #[error("there is no room for the medium on the disk now; see `media.spool_bytes_max`")]
    NoRoom,
    #[error("the medium cannot be kept on the disk for a moment; is it full?")]
    Disk(#[source] std::io::Error),
}

impl FetchError {
    /// True if another try may bring it.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Status(status) => *status >= 500 || *status == 429,
            Self::Stalled
            | Self::Changed
            | Self::Transport(_)
            | Self::NotLocated(_)
            | Self::NoRoom
            | Self::Disk(_) => true,
            Self::Forbidden(_) | Self::Redirects | Self::TooLarge { .. } | Self::Gone => false,
        }
    }
}

impl From<TransportError> for FetchError {
    fn from(error: TransportError) -> Self {
        refusal_behind(&error).map_or(Self::Transport(error), Self::Forbidden)
    }
}

/// Times and bounds of one fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes_max: u64,
    /// Between two chunks.
    pub(super) idle_max: Duration,
    /// From the first byte to the last.
    pub(super) total_max: Duration,
}

/// A medium at its origin, its body about to come.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) incoming: Incoming,
    /// What the origin says that it is.
    pub(super) claimed: Option<String>,
}

/// Fetches for one account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch<'a> {
    pub(super) http: &'a Http,
    pub(super) source: &'a Account,
    pub(super) bounds: Bounds,
}

impl Fetch<'_> {
    /// Opens a medium whose place was asked for. Where that is stale by now it is asked for once more.
    pub(super) async fn open(&self, media: &Media, located: Located) -> Result<Found, FetchError> {
        match self.open_at(&located).await {
            Err(FetchError::Status(404 | 410)) if media.id.is_some() => {
                let anew = self.locate(media).await?;
                self.open_at(&anew).await
            }
            other => other,
        }
    }

    async fn open_at(&self, located: &Located) -> Result<Found, FetchError> {
        let answer = self.answer(located, None).await?;
        let limits = Limits { bytes_max: self.bounds.bytes_max, idle_max: self.bounds.idle_max };
        let length = answer.content_length();
        let claimed = answer.headers().get(reqwest::header::CONTENT_TYPE);
        let claimed = claimed.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let claimed = located.mime.clone().or(claimed);
        let incoming = Incoming::new(chunks(answer), length, located.sha256.clone(), limits)?;
        Ok(Found { incoming, claimed })
    }

    /// Follows a URL to an answer with status 200, or 206 where a range was asked for.
    pub(super) async fn answer(
        &self,
        located: &Located,
        range: Option<&str>,
    ) -> Result<reqwest::Response, FetchError> {
        let api = Url::parse(&self.source.api_url).ok();
        let first = Url::parse(located.url.as_exposed_str()).map_err(|_| Forbidden::Unreadable)?;
        let mut url = first.clone();
        for _ in 0..=REDIRECTS_MAX {
            let road = road(&url, api.as_ref())?;
            // The URL that the API named gets the token, and nobody whom that one redirects to elsewhere.
            let bears_token = located.needs_token && url.origin() == first.origin();
            let token = bears_token.then_some(self.source);
            let total_max = self.bounds.total_max;
            let answer = self.http.open(&url, road == Road::Public, token, range, total_max);
            let answer = tokio::time::timeout(self.bounds.idle_max, answer).await;
            let answer = answer.map_err(|_| FetchError::Stalled)??;
            match answer.status().as_u16() {
                200 => return Ok(answer),
                206 if range.is_some() => return Ok(answer),
                301 | 302 | 303 | 307 | 308 => {
                    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                    url = to.and_then(|to| url.join(to).ok()).ok_or(FetchError::Redirects)?;
                }
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::Redirects)
    }

    /// Where the bytes are: by the media id through the origin's API, else the URL of the event.
    pub(super) async fn locate(&self, media: &Media) -> Result<Located, FetchError> {
        // Messenger gives stickers an id too, under which it gives nothing out.
        let access = self.source.bridge.capabilities(ChatKind::Direct).media_access;
        let id = media.id.as_ref().filter(|_| access == MediaAccess::AccountToken);
        let Some(id) = id else {
            return media.url.clone().map(|url| in_event(media, url)).ok_or(FetchError::Gone);
        };
        let action = Action::LocateMedia(id.clone());
        let look_up =
            Outgoing { to: None, action, reply_to: None, marker: None, messaging_type: None };
        let request = rendered(self.source, &look_up).ok_or(FetchError::Gone)?;
        let response = self.http.send(self.source, &request, None).await?;
        match self.source.bridge.interpret(&request, &response) {
            Outcome::Located(located) => Ok(located),
            Outcome::Sent { .. } => Err(FetchError::Gone),
            Outcome::Failed(failure) => match failure.class.retry() {
                RetryVerdict::AfterBackoff | RetryVerdict::WhenAccountRecovers => {
                    Err(FetchError::NotLocated(failure.to_string()))
                }
                RetryVerdict::Never
                | RetryVerdict::WhenWindowOpens
                | RetryVerdict::WhenThreadReturns => Err(FetchError::Gone),
            },
        }
    }
}

fn in_event(media: &Media, url: Redacted<String>) -> Located {
    Located {
        url,
        mime: media.mime.clone(),
        bytes: media.bytes,
        sha256: media.sha256.clone(),
        needs_token: false,
    }
}

/// The body of an answer, chunk by chunk. Its errors name no URL.
pub(super) fn chunks(
    answer: reqwest::Response,
) -> futures_util::stream::BoxStream<'static, Result<bytes::Bytes, FetchError>> {
    answer
        .bytes_stream()
        .map_err(|error| {
            FetchError::Transport(TransportError::NoAnswer(error.without_url().into()))
        })
        .boxed()
}

/// A request about a medium; nothing if the codec has none, which costs the medium and not its message.
pub(super) fn rendered(account: &Account, outgoing: &Outgoing) -> Option<Request> {
    render(account, outgoing)
        .inspect_err(|error| warn!(account_ref = %account.of, %error, "a medium cannot be carried"))
        .ok()
}
