//! Turns a dispatch into the requests that its target will get: references, fit, media, rendering.
//!
//! Everything here happens before the first intent, and nothing of it is seen by anybody: what fails can be tried
//! again from the start.

use super::account::Delivering;
use crate::dead::Reason;
use crate::live::{Account, Live};
use interline_bridge_api::{
    ChatKind, Located, Outcome, Outgoing, RenderContext, RenderError, Request,
};
use interline_envelope::{Address, Dispatch, Media, MediaKind, Redacted, ReplyTo, Target};
use interline_relay::{
    Action, FitInput, Form, Loss, MediaSource, OriginTraits, OutMedia, Recipient, Reference,
    Refusal, UploadSpec, not_shown,
};
use interline_store::StoreError;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// How long a reference that nobody knows yet is waited for: the copy may be recorded in this moment.
const REFERENCE_WAIT: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the codec cannot render what fit made of it: {0}")]
    Render(#[from] RenderError),
    #[error("the codec panicked; this is a bug in the bridge")]
    Panicked,
    #[error("media cannot be fetched or uploaded for now: {0}")]
    Media(String),
    #[error("the account is no longer in the config")]
    NoAccount,
    #[error("refused: {}", .0.as_str())]
    Refused(Refusal),
}

impl PlanError {
    /// The reason of the dead letter; nothing for what may pass.
    pub(super) const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Store(_) | Self::Media(_) => None,
            Self::Render(_) => Some(Reason::Unrenderable),
            Self::Panicked => Some(Reason::CodecPanicked),
            Self::NoAccount => Some(Reason::NotAMember),
            Self::Refused(_) => Some(Reason::Refused),
        }
    }
}

/// Plans a dispatch for its target.
///
/// `wait_for_media`: false to put a line of text where media cannot be had now, instead of trying again.
pub(super) async fn plan(
    on: &Delivering,
    live: &Live,
    dispatch: &Dispatch,
    wait_for_media: bool,
) -> Result<Vec<Request>, PlanError> {
    let Some(account) = on.account_now(live) else { return Err(PlanError::NoAccount) };
    let reply = match &dispatch.envelope.reply_to {
        Some(ReplyTo::Message { native_id }) => reference(on, dispatch, native_id).await?,
        Some(ReplyTo::Story { .. }) | None => Reference::None,
    };
    let target = match &dispatch.envelope.target {
        Some(Target::Messages { native_ids }) => match native_ids.first() {
            Some(native_id) => reference(on, dispatch, native_id).await?,
            None => Reference::None,
        },
        Some(Target::Watermark { .. }) | None => Reference::None,
    };
    let to = recipient(&dispatch.to);
    let origin_bridge = live.bridge(&dispatch.origin.account.account.platform);
    let capabilities = account.bridge.capabilities(ChatKind::Direct);
    let origin = origin_bridge.as_ref().map_or_else(
        || OriginTraits::from(capabilities),
        |bridge| OriginTraits::from(bridge.capabilities(ChatKind::Direct)),
    );
    let input = FitInput {
        envelope: &dispatch.envelope,
        author: &dispatch.author,
        to: &to,
        capabilities,
        origin,
        reply: &reply,
        target: &target,
        mark_forwarded: false,
    };
    let fitted = interline_relay::fit(&input);
    if let Form::Refusal(refusal) = fitted.form {
        return Err(PlanError::Refused(refusal));
    }
    let mut losses = fitted.losses;
    let mut requests = Vec::with_capacity(fitted.outgoings.len());
    for (index, mut outgoing) in fitted.outgoings.into_iter().enumerate() {
        if let Action::Media(media) = &mut outgoing.action
            && let Err(loss) =
                fetch_all(on, live, &account, dispatch, media, wait_for_media).await?
        {
            losses.push(loss);
            outgoing.action = not_shown(&input, media);
        }
        let marker = crate::wire::Marker {
            dispatch: dispatch.id,
            request: u16::try_from(index).unwrap_or(u16::MAX),
        };
        outgoing.marker = capabilities.marker_bytes_max.map(|_| marker.to_string());
        let mut request = render(&account, &outgoing)?;
        request.marker = Some(marker.to_string());
        requests.push(request);
    }
    if !losses.is_empty() {
        let losses: Vec<&str> = losses.iter().map(|loss| loss.as_str()).collect();
        debug!(dispatch_id = %dispatch.id, ?losses, form = fitted.form.as_str(), "fitted with losses");
    }
    Ok(requests)
}

/// Renders one request; a panic of the codec costs this dispatch, not the daemon (G10).
pub(super) fn render(account: &Account, outgoing: &Outgoing) -> Result<Request, PlanError> {
    let context = RenderContext { account: &account.of.account, send_as: &account.send_as };
    std::panic::catch_unwind(AssertUnwindSafe(|| account.bridge.render(&context, outgoing)))
        .map_err(|_| PlanError::Panicked)?
        .map_err(PlanError::from)
}

/// The participant as the platform wants to be told: by the plainest id, or by the scoped one if that is all we have.
fn recipient(to: &Address) -> Recipient {
    let user = to.user.as_exposed_str();
    // A BSUID is `CC.` and letters or digits; phone digits, PSIDs and IGSIDs have no dot.
    if user.contains('.') {
        Recipient::ScopedId(to.user.clone())
    } else {
        Recipient::User(to.user.clone())
    }
}

/// What a native id of the origin's chat is on the target.
async fn reference(
    on: &Delivering,
    dispatch: &Dispatch,
    native_id: &Redacted<String>,
) -> Result<Reference, PlanError> {
    for wait in REFERENCE_WAIT {
        let reference = look_up(on, dispatch, native_id).await?;
        if reference != Reference::Unknown {
            return Ok(reference);
        }
        on.sleep(wait).await;
    }
    look_up(on, dispatch, native_id).await
}

async fn look_up(
    on: &Delivering,
    dispatch: &Dispatch,
    native_id: &Redacted<String>,
) -> Result<Reference, PlanError> {
    let origin = &dispatch.origin.account;
    let Some(known) = on.store().envelope_of(&origin.account, &origin.user, native_id).await?
    else {
        return Ok(Reference::Unknown);
    };
    let copies = on.store().copies_of(known.envelope, &dispatch.to).await?;
    if copies.is_empty() {
        return Ok(Reference::Known { excerpt: known.excerpt, author: known.author });
    }
    Ok(Reference::Native {
        ids: copies.into_iter().map(|copy| copy.native_id).collect(),
        excerpt: known.excerpt,
    })
}

/// Brings all media of one message from the origin to the target. `Ok(Err(loss))` if one of them cannot be had.
async fn fetch_all(
    on: &Delivering,
    live: &Live,
    target: &Arc<Account>,
    dispatch: &Dispatch,
    media: &mut [OutMedia],
    wait_for_media: bool,
) -> Result<Result<(), Loss>, PlanError> {
    for one in media {
        let MediaSource::Origin(origin) = &one.source else { continue };
        match carry(on, live, target, dispatch, one.media, origin).await {
            Ok(Some(id)) => one.source = MediaSource::Id(id),
            Ok(None) => return Ok(Err(Loss::MediaNotShown)),
            Err(PlanError::Media(_)) if !wait_for_media => return Ok(Err(Loss::MediaNotShown)),
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(()))
}

/// Fetches one medium with the origin account's token and uploads it to the target. Nothing if it cannot be had at
/// all; an error if it may work later.
async fn carry(
    on: &Delivering,
    live: &Live,
    target: &Arc<Account>,
    dispatch: &Dispatch,
    shown_as: MediaKind,
    media: &Media,
) -> Result<Option<Redacted<String>>, PlanError> {
    let Some(source) = live.account(&dispatch.origin.account.account) else { return Ok(None) };
    // One medium at a time, since each is in memory whole (G9).
    let Some(_permit) = on.media_permit().await else {
        return Err(PlanError::Media("stopping".to_owned()));
    };
    let Some(located) = locate(on, &source, media).await? else { return Ok(None) };
    let bytes_max = on.settings().media_bytes_max;
    let token = located.needs_token.then_some(source.as_ref());
    let bytes = match on.http().fetch_media(&located.url, token, bytes_max).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(status)) if status >= 500 || status == 429 => {
            return Err(PlanError::Media(format!("the origin answered with HTTP {status}")));
        }
        Ok(Err(_)) => return Ok(None),
        Err(crate::deliver::http::TransportError::MediaTooLarge { .. }) => return Ok(None),
        Err(error) => return Err(PlanError::Media(error.to_string())),
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
    let request = render(target, &upload)?;
    let response = on
        .http()
        .send(target, &request, Some(bytes))
        .await
        .map_err(|error| PlanError::Media(error.to_string()))?;
    match target.bridge.interpret(&request, &response) {
        Outcome::Sent { native_ids } => Ok(native_ids.into_iter().next()),
        Outcome::Located(_) => Ok(None),
        Outcome::Failed(failure) => match failure.class.retry() {
            interline_bridge_api::RetryVerdict::Never => Ok(None),
            interline_bridge_api::RetryVerdict::AfterBackoff
            | interline_bridge_api::RetryVerdict::WhenAccountRecovers
            | interline_bridge_api::RetryVerdict::WhenWindowOpens
            | interline_bridge_api::RetryVerdict::WhenThreadReturns => {
                Err(PlanError::Media(format!("the target refused the upload: {failure}")))
            }
        },
    }
}

/// Where the bytes are: by the media id through the origin's API, else the URL of the event.
async fn locate(
    on: &Delivering,
    source: &Arc<Account>,
    media: &Media,
) -> Result<Option<Located>, PlanError> {
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
    let request = render(source, &look_up)?;
    let response = on
        .http()
        .send(source, &request, None)
        .await
        .map_err(|error| PlanError::Media(error.to_string()))?;
    match source.bridge.interpret(&request, &response) {
        Outcome::Located(located) => Ok(Some(located)),
        Outcome::Sent { .. } => Ok(None),
        Outcome::Failed(failure) => match failure.class.retry() {
            interline_bridge_api::RetryVerdict::AfterBackoff
            | interline_bridge_api::RetryVerdict::WhenAccountRecovers => Err(PlanError::Media(
                format!("the origin did not say where the medium is: {failure}"),
            )),
            interline_bridge_api::RetryVerdict::Never
            | interline_bridge_api::RetryVerdict::WhenWindowOpens
            | interline_bridge_api::RetryVerdict::WhenThreadReturns => Ok(None),
        },
    }
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
