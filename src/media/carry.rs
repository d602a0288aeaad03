//! Carries one medium from its origin to its target, which answers with an id of its own for it.
//!
//! Bytes pass through: nothing is whole in memory, and only what has no known length or is converted touches the disk
//! for a moment. What a medium is, is what its bytes say; its ways are asked for again with what they turned out to be.

use super::body::Incoming;
use super::convert::{ConvertError, Converter};
use super::fetch::{Bounds, Fetch, FetchError, rendered};
use super::link::{Links, LinksOf};
use super::name;
use super::sniff::{HEAD_BYTES, sniffed};
use super::spool::{Spool, Spooled};
use crate::deliver::{Http, Upload};
use crate::live::{Account, Live};
use crate::metrics::{MediaFate, Metrics};
use interline_bridge_api::{Capabilities, Class, Failure, Outcome, Outgoing, RetryVerdict, Scope};
use interline_envelope::{AccountRef, Dispatch, Media, MediaKind, Redacted};
use interline_notice::Cause;
use interline_relay::{
    Action, Conversions, FitInput, Loss, MediaSource, MediaWay, OriginTraits, OutMedia, UploadSpec,
    caption_apart, instead_of_media, media_ways,
};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// How many media are under way at once, all accounts together.
const AT_ONCE: usize = 4;

/// A medium cannot be had or handed over now, and may be later.
#[derive(Debug, thiserror::Error)]
pub enum NotCarried {
    /// For a reason that may pass.
    #[error("media cannot be fetched or uploaded for now ({0}); it is tried again")]
    Later(String),
    /// The target's account can do nothing now.
    #[error(
        "the account cannot upload for now ({0}); it is tried again when the account's pause is over"
    )]
    Refused(Failure),
}

/// What became of the media of one message.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// What is to be sent, in order; at least one.
    pub(crate) actions: Vec<Action>,
    /// What was given up.
    pub(crate) losses: Vec<Loss>,
    /// Why a medium is not shown at all, if its sender can do something about it.
    pub(crate) not_shown: Option<Cause>,
}

/// Why one medium is not handed over.
enum Miss {
    /// The target has no way to show it: a link is left, or a line.
    NoWay,
    TooLarge,
    /// The origin does not hand it over.
    Gone,
    Later(String),
    /// The target takes no files of this account now.
    Refused(Failure),
}

impl Miss {
    /// What the sender is told; nothing where only its kind is not shown, of which the line in its place speaks.
    const fn cause(&self) -> Option<Cause> {
        match self {
            Self::NoWay => None,
            Self::TooLarge => Some(Cause::MediaTooLarge),
            Self::Gone | Self::Later(_) | Self::Refused(_) => Some(Cause::MediaUnavailable),
        }
    }
}

impl From<FetchError> for Miss {
    fn from(error: FetchError) -> Self {
        debug!(%error, "a medium cannot be fetched");
        if error.may_pass() {
            Self::Later(error.to_string())
        } else if matches!(error, FetchError::TooLarge { .. }) {
            Self::TooLarge
        } else {
            Self::Gone
        }
    }
}

/// Carries media, all accounts together.
#[derive(Clone, Debug)]
pub struct Carrier {
    http: Http,
    places: Arc<Semaphore>,
    spool: Spool,
    converter: Converter,
    links: Option<Links>,
    metrics: Metrics,
}

impl Carrier {
    /// `folder`: where media may lie for a moment, `spool_bytes_max` of them at once.
    pub fn new(
        http: Http,
        folder: PathBuf,
        spool_bytes_max: u64,
        converter: Converter,
        links: Option<Links>,
        metrics: Metrics,
    ) -> Self {
        let spool = Spool::new(folder, spool_bytes_max);
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self { http, places, spool, converter, links, metrics }
    }

    /// What can be converted.
    pub(crate) const fn conversions(&self) -> Conversions {
        self.converter.conversions()
    }

    /// Who makes links to media of an account, if anybody does.
    pub(crate) fn links_of<'a>(&'a self, origin: &'a AccountRef) -> Option<LinksOf<'a>> {
        self.links.as_ref().map(|links| links.of(origin))
    }

    /// Brings all media of one message from the origin to the target. What cannot be had becomes a link or a line.
    ///
    /// `wait_for_media`: false to give up what cannot be had now.
    ///
    /// # Errors
    /// [`NotCarried`] if it may work another time.
    pub(crate) async fn carry_all(
        &self,
        live: &Live,
        target: &Account,
        dispatch: &Dispatch,
        input: &FitInput<'_>,
        media: Vec<OutMedia>,
        wait_for_media: bool,
    ) -> Result<Carried, NotCarried> {
        let mut carried = Carried::default();
        for mut one in media {
            let MediaSource::Origin(mut origin) = one.source else {
                one.filename = one.filename.take().map(|name| cleaned(&name, one.media));
                carried.show(input.capabilities, one);
                continue;
            };
            let trip = Trip { on: self, live, target, dispatch, input };
            match trip.carry(&mut origin).await {
                Ok(handed) => {
                    let fate = if handed.way.conversion.is_some() {
                        MediaFate::Converted
                    } else {
                        MediaFate::Copied
                    };
                    self.metrics.media(&target.of, fate, handed.bytes);
                    one.media = handed.way.kind;
                    one.source = MediaSource::Id(handed.id);
                    one.filename = origin.filename;
                    carried.lose(handed.way.loss);
                    let has_caption = input
                        .capabilities
                        .media_rule(one.media)
                        .is_some_and(|rule| rule.caption.is_some());
                    let apart = one.caption.take_if(|_| !has_caption);
                    carried.show(input.capabilities, one);
                    if let Some(caption) = apart {
                        carried.lose(Some(Loss::CaptionSeparated));
                        carried.actions.extend(caption_apart(input, &caption));
                    }
                }
                Err(Miss::Later(why)) if wait_for_media => {
                    self.metrics.media(&target.of, MediaFate::Retried, 0);
                    return Err(NotCarried::Later(why));
                }
                Err(Miss::Refused(failure)) => {
                    self.metrics.media(&target.of, MediaFate::Retried, 0);
                    return Err(NotCarried::Refused(failure));
                }
                Err(miss) => {
                    let (actions, loss) = instead_of_media(input, &origin, one.caption.as_ref());
                    let fate = if loss == Loss::MediaAsLink {
                        MediaFate::Linked
                    } else {
                        carried.not_shown = carried.not_shown.or(miss.cause());
                        MediaFate::NotShown
                    };
                    self.metrics.media(&target.of, fate, 0);
                    carried.lose(Some(loss));
                    carried.actions.extend(actions);
                }
            }
        }
        Ok(carried)
    }
}

impl Carried {
    fn lose(&mut self, loss: Option<Loss>) {
        self.losses.extend(loss.filter(|loss| !self.losses.contains(loss)));
    }

    /// Puts a medium beside the last one, where they go into one message.
    fn show(&mut self, capabilities: &Capabilities, one: OutMedia) {
        let room = capabilities.media_rule(one.media).map_or(1, |rule| rule.per_message_max);
        if let Some(Action::Media(album)) = self.actions.last_mut()
            && album.len() < usize::from(room)
            && album.first().is_some_and(|first| first.media == one.media)
        {
            album.push(one);
        } else {
            self.actions.push(Action::Media(vec![one]));
        }
    }
}

fn cleaned(filename: &Redacted<String>, kind: MediaKind) -> Redacted<String> {
    name::clean(Some(filename.as_exposed_str()), kind, "").into()
}

/// A medium that the target has now.
struct Handed {
    id: Redacted<String>,
    way: MediaWay,
    bytes: u64,
}

/// Where the bytes of a medium are.
enum Bytes {
    Coming(Incoming),
    Kept(Spooled),
    /// They went to the target, which did not want them.
    Gone,
}

/// One medium's way.
struct Trip<'a> {
    on: &'a Carrier,
    live: &'a Live,
    target: &'a Account,
    dispatch: &'a Dispatch,
    input: &'a FitInput<'a>,
}

impl Trip<'_> {
    /// Hands one medium over in the first of its ways that works. `media` gets what is learnt of it.
    async fn carry(&self, media: &mut Media) -> Result<Handed, Miss> {
        let origin = &self.dispatch.origin.account.account;
        let Some(source) = self.live.account(origin) else { return Err(Miss::Gone) };
        let Ok(_place) = self.on.places.acquire().await else {
            return Err(Miss::Later("the daemon stops".to_owned()));
        };
        let deliver = &self.live.config.deliver;
        let bounds = Bounds {
            bytes_max: deliver.media_bytes_max,
            idle_max: deliver.request_timeout,
            total_max: deliver.media_timeout,
        };
        let fetch = Fetch { http: &self.on.http, source: &source, bounds };
        let located = fetch.locate(media).await?;
        media.bytes = located.bytes.or(media.bytes);
        if media.mime.is_none() {
            media.mime.clone_from(&located.mime);
        }
        // Without a byte of it: no way has room for so much, or it may not be fetched.
        let largest = self.input.capabilities.media.iter().map(|rule| rule.bytes_max).max();
        let most = largest.unwrap_or(0).min(bounds.bytes_max);
        if media.bytes.is_some_and(|bytes| bytes > most) {
            return Err(Miss::TooLarge);
        }
        let mut found = fetch.open(media, located.clone()).await?;
        let mime = sniffed(found.incoming.peek(HEAD_BYTES).await?, found.claimed.as_deref());
        media.mime = Some(mime.clone());
        let mut bytes = match found.incoming.length() {
            Some(_) => Bytes::Coming(found.incoming),
            None => Bytes::Kept(self.keep(found.incoming).await?),
        };
        media.bytes = Some(bytes_of(&bytes).unwrap_or(0));
        let name = media.filename.as_ref().map(Redacted::as_exposed_str);
        if let Some(name) = name {
            media.filename = Some(name::clean(Some(name), media.media, &mime).into());
        }
        let ways = self.ways(media);
        for way in ways {
            if matches!(bytes, Bytes::Gone) {
                bytes = Bytes::Coming(fetch.open(media, located.clone()).await?.incoming);
            }
            if let Some(handed) = self.go(way, media, &mime, &mut bytes).await? {
                return Ok(handed);
            }
        }
        let largest = self.input.capabilities.media_rule(media.media).map(|rule| rule.bytes_max);
        let is_larger = largest.is_some_and(|max| media.bytes.is_some_and(|bytes| bytes > max));
        Err(if is_larger { Miss::TooLarge } else { Miss::NoWay })
    }

    fn ways(&self, media: &Media) -> Vec<MediaWay> {
        let FitInput { capabilities, origin, .. } = self.input;
        let takes_upload =
            |way: &MediaWay| capabilities.media_rule(way.kind).is_some_and(|rule| rule.by_upload);
        let traits: OriginTraits = *origin;
        let mut ways = media_ways(capabilities, traits, self.on.conversions(), media);
        ways.retain(takes_upload);
        ways
    }

    /// Tries one way. Nothing if it leads nowhere.
    async fn go(
        &self,
        way: MediaWay,
        media: &Media,
        mime: &str,
        bytes: &mut Bytes,
    ) -> Result<Option<Handed>, Miss> {
        let Some(conversion) = way.conversion else {
            return self.hand_over(way, media, mime, bytes).await;
        };
        let kept = match std::mem::replace(bytes, Bytes::Gone) {
            Bytes::Coming(incoming) => self.keep(incoming).await?,
            Bytes::Kept(kept) => kept,
            Bytes::Gone => return Ok(None),
        };
        let rule = self.input.capabilities.media_rule(way.kind);
        let most = self.live.config.deliver.media_bytes_max;
        let most = rule.map_or(most, |rule| rule.bytes_max.min(most));
        let result = self.on.converter.convert(&self.on.spool, conversion, &kept, mime, most).await;
        *bytes = Bytes::Kept(kept);
        match result {
            Ok(converted) => {
                let mut converted = Bytes::Kept(converted);
                self.hand_over(way, media, conversion.mime(), &mut converted).await
            }
            Err(ConvertError::Later(error)) => Err(error.into()),
            Err(error @ ConvertError::Failed(_)) => {
                debug!(dispatch_id = %self.dispatch.id, %error, "a medium takes its next way");
                Ok(None)
            }
        }
    }

    async fn keep(&self, incoming: Incoming) -> Result<Spooled, FetchError> {
        let deliver = &self.live.config.deliver;
        let most = incoming.length().unwrap_or(deliver.media_bytes_max);
        let room = self.on.spool.room(most, deliver.media_timeout).await?;
        self.on.spool.keep(incoming, room).await
    }

    /// Uploads to the target. Nothing if it does not want it so.
    async fn hand_over(
        &self,
        way: MediaWay,
        media: &Media,
        mime: &str,
        bytes: &mut Bytes,
    ) -> Result<Option<Handed>, Miss> {
        let given = media.filename.as_ref().map(Redacted::as_exposed_str);
        let spec = UploadSpec {
            media: way.kind,
            mime: mime.to_owned(),
            filename: name::clean(given, way.kind, mime).into(),
            url: None,
        };
        let action = Action::Upload(spec);
        let upload =
            Outgoing { to: None, action, reply_to: None, marker: None, messaging_type: None };
        let Some(request) = rendered(self.target, &upload) else { return Ok(None) };
        let timeout = self.live.config.deliver.media_timeout;
        let (file, fate) = match std::mem::replace(bytes, Bytes::Gone) {
            Bytes::Coming(incoming) => {
                let Some(length) = incoming.length() else { return Ok(None) };
                let (stream, fate) = incoming.into_stream();
                let body = reqwest::Body::wrap_stream(stream);
                (Upload { body, bytes: length, timeout }, Some(fate))
            }
            Bytes::Kept(kept) => {
                let body = reqwest::Body::wrap_stream(kept.stream().map_err(FetchError::Disk)?);
                let file = Upload { body, bytes: kept.bytes(), timeout };
                *bytes = Bytes::Kept(kept);
                (file, None)
            }
            Bytes::Gone => return Ok(None),
        };
        let length = file.bytes;
        let response = match self.on.http.send(self.target, &request, Some(file)).await {
            Ok(response) => response,
            Err(error) => {
                // What broke at the origin shows at the target as a request that broke.
                return match fate.and_then(|fate| fate.take()) {
                    Some(error) => Err(error.into()),
                    None => Err(Miss::Later(error.to_string())),
                };
            }
        };
        match self.target.bridge.interpret(&request, &response) {
            Outcome::Sent { native_ids } => {
                Ok(native_ids.into_iter().next().map(|id| Handed { id, way, bytes: length }))
            }
            Outcome::Located(_) => Ok(None),
            Outcome::Failed(failure) => match failure.class.retry() {
                RetryVerdict::Never => {
                    warn!(account_ref = %self.target.of, error = %failure, "the target does not want a medium");
                    Ok(None)
                }
                RetryVerdict::WhenAccountRecovers => Err(Miss::Refused(failure)),
                RetryVerdict::AfterBackoff
                    if failure.scope == Scope::Account && failure.class == Class::Throttle =>
                {
                    Err(Miss::Refused(failure))
                }
                RetryVerdict::AfterBackoff
                | RetryVerdict::WhenWindowOpens
                | RetryVerdict::WhenThreadReturns => {
                    Err(Miss::Later(format!("the target refused the upload: {failure}")))
                }
            },
        }
    }
}

const fn bytes_of(bytes: &Bytes) -> Option<u64> {
    match bytes {
        Bytes::Coming(incoming) => incoming.length(),
        Bytes::Kept(kept) => Some(kept.bytes()),
        Bytes::Gone => None,
    }
}
