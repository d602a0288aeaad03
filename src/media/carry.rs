//! Carries one medium from its origin to its target, which answers with an id of its own for it.

use crate::deliver::{Http, TransportError, render};
use crate::live::{Account, Live};
use interline_bridge_api::{Located, Outcome, Outgoing, Request, RetryVerdict};
use interline_envelope::{Dispatch, Media, MediaKind, Redacted};
use interline_relay::{Action, Loss, MediaSource, OutMedia, UploadSpec};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tracing::warn;

/// How many media are copied at once, each whole in memory.
const AT_ONCE: usize = 2;

/// A medium cannot be had or handed over now, and may be later.
#[derive(Debug, thiserror::Error)]
#[error("media cannot be fetched or uploaded for now: {0}")]
pub struct Later(String);

/// Carries media, all accounts together.
#[derive(Clone, Debug)]
pub struct Carrier {
    http: Http,
    places: Arc<Semaphore>,
}

impl Carrier {
    /// One that carries nothing yet.
    pub fn new(http: Http) -> Self {
        Self { http, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Brings all media of one message from the origin to the target. `Ok(Err(loss))` if one of them cannot be had.
    ///
    /// `wait_for_media`: false to give up what cannot be had now.
    ///
    /// # Errors
    /// [`Later`] if it may work another time.
    pub(crate) async fn carry_all(
        &self,
        live: &Live,
        target: &Account,
        dispatch: &Dispatch,
        media: &mut [OutMedia],
        wait_for_media: bool,
    ) -> Result<Result<(), Loss>, Later> {
        for one in media {
            let MediaSource::Origin(origin) = &one.source else { continue };
            match self.carry(live, target, dispatch, one.media, origin).await {
                Ok(Some(id)) => one.source = MediaSource::Id(id),
                Ok(None) => return Ok(Err(Loss::MediaNotShown)),
                Err(Later(_)) if !wait_for_media => return Ok(Err(Loss::MediaNotShown)),
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(()))
    }

    /// Fetches one medium with the origin account's token and uploads it to the target. Nothing if it cannot be had at
    /// all; an error if it may work later.
    async fn carry(
        &self,
        live: &Live,
        target: &Account,
        dispatch: &Dispatch,
        shown_as: MediaKind,
        media: &Media,
    ) -> Result<Option<Redacted<String>>, Later> {
        let Some(source) = live.account(&dispatch.origin.account.account) else { return Ok(None) };
        // One medium at a time, since each is in memory whole (G9).
        let Ok(_place) = self.places.acquire().await else {
            return Err(Later("stopping".to_owned()));
        };
        let Some(located) = self.locate(&source, media).await? else { return Ok(None) };
        let bytes_max = live.config.deliver.media_bytes_max;
        let token = located.needs_token.then_some(source.as_ref());
        let bytes = match self.http.fetch_media(&located.url, token, bytes_max).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(status)) if status >= 500 || status == 429 => {
                return Err(Later(format!("the origin answered with HTTP {status}")));
            }
            Ok(Err(_)) => return Ok(None),
            Err(TransportError::MediaTooLarge { .. }) => return Ok(None),
            Err(error) => return Err(Later(error.to_string())),
        };
        let mime = located
            .mime
            .or_else(|| media.mime.clone())
            .unwrap_or_else(|| "application/octet-stream".to_owned());
        let mime = mime.split(';').next().unwrap_or_default().trim().to_owned();
        let filename =
            media.filename.clone().unwrap_or_else(|| default_filename(shown_as, &mime).into());
        let upload = Outgoing {
            to: None,
            action: Action::Upload(UploadSpec { media: shown_as, mime, filename, url: None }),
            reply_to: None,
            marker: None,
            messaging_type: None,
        };
        let Some(request) = rendered(target, &upload) else { return Ok(None) };
        let response = self
            .http
            .send(target, &request, Some(bytes))
            .await
            .map_err(|error| Later(error.to_string()))?;
        match target.bridge.interpret(&request, &response) {
            Outcome::Sent { native_ids } => Ok(native_ids.into_iter().next()),
            Outcome::Located(_) => Ok(None),
            Outcome::Failed(failure) => match failure.class.retry() {
                RetryVerdict::Never => Ok(None),
                RetryVerdict::AfterBackoff
                | RetryVerdict::WhenAccountRecovers
                | RetryVerdict::WhenWindowOpens
                | RetryVerdict::WhenThreadReturns => {
                    Err(Later(format!("the target refused the upload: {failure}")))
                }
            },
        }
    }

    /// Where the bytes are: by the media id through the origin's API, else the URL of the event.
    async fn locate(&self, source: &Account, media: &Media) -> Result<Option<Located>, Later> {
        let Some(id) = &media.id else {
            return Ok(media.url.clone().map(|url| Located {
                url,
                mime: media.mime.clone(),
                bytes: media.bytes,
                sha256: media.sha256.clone(),
                needs_token: false,
            }));
        };
        let look_up = Outgoing {
            to: None,
            action: Action::LocateMedia(id.clone()),
            reply_to: None,
            marker: None,
            messaging_type: None,
        };
        let Some(request) = rendered(source, &look_up) else { return Ok(None) };
        let response = self
            .http
            .send(source, &request, None)
            .await
            .map_err(|error| Later(error.to_string()))?;
        match source.bridge.interpret(&request, &response) {
            Outcome::Located(located) => Ok(Some(located)),
            Outcome::Sent { .. } => Ok(None),
            Outcome::Failed(failure) => match failure.class.retry() {
                RetryVerdict::AfterBackoff | RetryVerdict::WhenAccountRecovers => {
                    Err(Later(format!("the origin did not say where the medium is: {failure}")))
                }
                RetryVerdict::Never
                | RetryVerdict::WhenWindowOpens
                | RetryVerdict::WhenThreadReturns => Ok(None),
            },
        }
    }
}

/// A request about a medium; nothing if the codec has none, which costs the medium and not its message.
fn rendered(account: &Account, outgoing: &Outgoing) -> Option<Request> {
    render(account, outgoing)
        .inspect_err(|error| warn!(account_ref = %account.of, %error, "a medium cannot be carried"))
        .ok()
}

fn default_filename(media: MediaKind, mime: &str) -> String {
    let extension = match mime {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "video/mp4" => "mp4",
        "video/3gpp" => "3gp",
        "audio/ogg" => "ogg",
        "audio/mpeg" => "mp3",
        "audio/aac" => "aac",
        "audio/amr" => "amr",
        "audio/mp4" => "m4a",
        "application/pdf" => "pdf",
        _ => "bin",
    };
    let stem = match media {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Voice => "voice",
        MediaKind::Document => "document",
        MediaKind::Sticker => "sticker",
    };
    format!("{stem}.{extension}")
}
