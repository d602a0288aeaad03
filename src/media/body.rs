//! Bytes on their way: bounded, timed, looked at as they pass, never whole in memory.

use super::fetch::FetchError;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, Stream, StreamExt};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most bytes.
    pub(super) bytes_max: u64,
    /// The longest wait for the next of them.
    pub(super) idle_max: Duration,
}

/// The bytes of a medium as they arrive.
pub(super) struct Incoming {
    stream: BoxStream<'static, Result<Bytes, FetchError>>,
    /// What was read ahead.
    head: BytesMut,
    limits: Limits,
    /// How many bytes there will be, if the origin said so.
    length: Option<u64>,
    sha256: Option<String>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Incoming {
    /// `length`: what the transport holds the origin to, if anything. `sha256`: in lower-case hex, what the bytes must
    /// hash to.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] if there are more bytes than may be.
    pub(super) fn new(
        stream: BoxStream<'static, Result<Bytes, FetchError>>,
        length: Option<u64>,
        sha256: Option<String>,
        limits: Limits,
    ) -> Result<Self, FetchError> {
        if length.is_some_and(|length| length > limits.bytes_max) {
            return Err(FetchError::TooLarge { max: limits.bytes_max });
        }
        Ok(Self { stream, head: BytesMut::new(), limits, length, sha256 })
    }

    /// How many bytes there will be, if that is known.
    pub(super) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Reads ahead: the first `bytes` of the body, or all that it has.
    ///
    /// # Errors
    /// [`FetchError`] of the origin.
    pub(super) async fn peek(&mut self, bytes: usize) -> Result<&[u8], FetchError> {
        while self.head.len() < bytes {
            match next_of(&mut self.stream, self.limits.idle_max).await? {
                Some(chunk) => self.head.extend_from_slice(&chunk),
                None => {
                    self.stream = futures_util::stream::empty().boxed();
                    break;
                }
            }
        }
        Ok(self.head.get(..bytes).unwrap_or(&self.head))
    }

    /// The body, with its fate beside it: whoever sends it on learns only that it broke.
    ///
    /// The last chunk is held back until the hash is known to be right, so that nobody ever has the whole of a body
    /// that is not what its origin said.
    pub(super) fn into_stream(self) -> (impl Stream<Item = std::io::Result<Bytes>> + Send, Fate) {
        let fate = Fate::default();
        let state = Passing {
            stream: self.stream,
            held: (!self.head.is_empty()).then(|| self.head.freeze()),
            limits: self.limits,
            seen: 0,
            sha256: self.sha256.map(|wanted| (wanted, Sha256::new())),
            done: false,
        };
        let told = fate.clone();
        let stream = futures_util::stream::try_unfold(state, move |mut state| {
            let told = told.clone();
            async move {
                match state.next().await {
                    Ok(Some(chunk)) => Ok(Some((chunk, state))),
                    Ok(None) => Ok(None),
                    Err(error) => {
                        let words = error.to_string();
                        told.set(error);
                        Err(std::io::Error::other(words))
                    }
                }
            }
        });
        (stream, fate)
    }
}

/// Why a body broke, if it did.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate(Arc<Mutex<Option<FetchError>>>);

impl Fate {
    /// The error that the body ended with. It is told once.
    pub(super) fn take(&self) -> Option<FetchError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: FetchError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

struct Passing {
    stream: BoxStream<'static, Result<Bytes, FetchError>>,
    held: Option<Bytes>,
    limits: Limits,
    seen: u64,
    sha256: Option<(String, Sha256)>,
    done: bool,
}

impl Passing {
    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        while !self.done {
            match next_of(&mut self.stream, self.limits.idle_max).await? {
                Some(chunk) if chunk.is_empty() => {}
                Some(chunk) => {
                    if let Some(earlier) = self.held.replace(chunk) {
                        return self.pass(earlier).map(Some);
                    }
                }
                None => self.done = true,
            }
        }
        let last = self.held.take().map(|last| self.pass(last)).transpose()?;
        if let Some((wanted, hash)) = self.sha256.take()
            && hex::encode(hash.finalize()) != wanted
        {
            return Err(FetchError::Changed);
        }
        Ok(last)
    }

    fn pass(&mut self, chunk: Bytes) -> Result<Bytes, FetchError> {
        self.seen += chunk.len() as u64;
        if self.seen > self.limits.bytes_max {
            return Err(FetchError::TooLarge { max: self.limits.bytes_max });
        }
        if let Some((_, hash)) = &mut self.sha256 {
            hash.update(&chunk);
        }
        Ok(chunk)
    }
}

async fn next_of(
    stream: &mut BoxStream<'static, Result<Bytes, FetchError>>,
    idle_max: Duration,
) -> Result<Option<Bytes>, FetchError> {
    match tokio::time::timeout(idle_max, stream.next()).await {
        Ok(next) => next.transpose(),
        Err(_) => Err(FetchError::Stalled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{TryStreamExt, stream};

    const LIMITS: Limits = Limits { bytes_max: 1000, idle_max: Duration::from_secs(5) };

    fn incoming(chunks: &[&[u8]], sha256: Option<&str>) -> Incoming {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Incoming::new(stream::iter(chunks).boxed(), None, sha256.map(str::to_owned), LIMITS)
            .unwrap()
    }

    async fn all(incoming: Incoming) -> (Vec<u8>, Option<String>) {
        let (stream, fate) = incoming.into_stream();
        let mut stream = std::pin::pin!(stream);
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = stream.try_next().await {
            bytes.extend_from_slice(&chunk);
        }
        (bytes, fate.take().map(|error| error.to_string()))
    }

    #[tokio::test]
    async fn a_body_passes_as_it_is_also_after_a_look_at_its_head() {
        let mut body = incoming(&[b"one", b"", b"two", b"three"], None);
        assert_eq!(body.peek(4).await.unwrap(), b"onet");
        assert_eq!(all(body).await, (b"onetwothree".to_vec(), None));
        let mut short = incoming(&[b"one"], None);
        assert_eq!(short.peek(100).await.unwrap(), b"one");
        assert_eq!(all(short).await, (b"one".to_vec(), None));
        let mut empty = incoming(&[], None);
        assert_eq!(empty.peek(100).await.unwrap(), b"");
        assert_eq!(all(empty).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn a_body_with_another_hash_is_never_handed_on_whole() {
        let right = hex::encode(Sha256::digest(b"onetwo"));
        assert_eq!(
            all(incoming(&[b"one", b"two"], Some(&right))).await,
            (b"onetwo".to_vec(), None)
        );
        let (bytes, error) = all(incoming(&[b"one", b"twO"], Some(&right))).await;
        assert_eq!(bytes, b"one");
        assert_eq!(error, Some(FetchError::Changed.to_string()));
    }

    #[tokio::test]
    async fn g9_an_endless_body_is_cut_at_the_bound() {
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[7; 64]))).boxed();
        let body = Incoming::new(endless, None, None, LIMITS).unwrap();
        let (bytes, error) = all(body).await;
        assert!(bytes.len() <= 1000, "{}", bytes.len());
        assert_eq!(error, Some(FetchError::TooLarge { max: 1000 }.to_string()));
        let said = Incoming::new(stream::empty().boxed(), Some(1001), None, LIMITS);
        assert!(matches!(said, Err(FetchError::TooLarge { max: 1000 })));
    }

    #[tokio::test(start_paused = true)]
    async fn g9_a_body_that_stops_coming_is_given_up() {
        let stuck = stream::iter([Ok(Bytes::from_static(b"one"))]).chain(stream::pending());
        let body = Incoming::new(stuck.boxed(), Some(100), None, LIMITS).unwrap();
        let (bytes, error) = all(body).await;
        assert_eq!(bytes, b"");
        assert_eq!(error, Some(FetchError::Stalled.to_string()));
        let stuck = stream::pending().boxed();
        let mut body = Incoming::new(stuck, None, None, LIMITS).unwrap();
        assert!(matches!(body.peek(10).await, Err(FetchError::Stalled)));
    }
}
