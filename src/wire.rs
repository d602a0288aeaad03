//! What travels on the daemon's own queues: sealed dispatches, markers, CloudEvents attributes.
//!
//! Platform queues carry what the platform sent; everything that the daemon itself publishes is opaque: bodies are
//! sealed under a subkey of the root key, headers name no person (G8).

use interline_envelope::{Dispatch, DispatchError, DispatchId, RootKey, Seal, SealError, Subkey};
use sha2::{Digest, Sha256};

/// The AMQP `type` of a native event.
pub const TYPE_EVENT: &str = "interline.event";
/// The AMQP `type` of a sealed dispatch.
pub const TYPE_DISPATCH: &str = "interline.dispatch";
/// The AMQP `type` of a rendered request on an egress queue.
pub const TYPE_REQUEST: &str = "interline.request";
/// The AMQP `type` of a platform backend's answer to such a request.
pub const TYPE_ANSWER: &str = "interline.answer";
/// How many times an operator replayed this dead letter.
pub const HEADER_REPLAYED: &str = "interline-replayed";

/// How often the platform took this dispatch and reported it as failed later.
pub const HEADER_FAILURES: &str = "interline-failures";

/// Seals and opens dispatches.
#[derive(Clone, Debug)]
pub struct Wire {
    seal: Seal,
}

/// Why a body on a dispatch queue is not one of ours.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No or another `message_id`.
    #[error(
        "the message has no dispatch id as its message_id; only Interline publishes to this queue"
    )]
    MessageId,
    /// Sealed with another root key, or changed.
    #[error(
        "the dispatch was not sealed with this root key, or was changed on its way; is `root_key` another one than before?"
    )]
    Sealed(#[from] SealError),
    /// Opened, but unreadable.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
}

impl Wire {
    /// Derives the key of the internal queues.
    pub fn new(root: &RootKey) -> Self {
        Self { seal: Seal::new(root, Subkey::Queue) }
    }

    /// Seals a dispatch for its queue. Its id, which says nothing without K_id, goes along as `message_id`.
    ///
    /// # Errors
    /// [`WireError`] if the dispatch is too large or there is no randomness.
    pub fn seal(&self, dispatch: &Dispatch) -> Result<Vec<u8>, WireError> {
        self.seal.seal_written(Dispatch::JSON_BYTES_USUAL, &aad(dispatch.id), |out| {
            Ok(dispatch.write_json(out)?)
        })
    }

    /// Opens what [`Wire::seal`] made.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong; such a message is dead-lettered.
    pub fn open(&self, message_id: Option<&str>, body: &[u8]) -> Result<Dispatch, WireError> {
        let id =
            message_id.and_then(|id| DispatchId::parse(id).ok()).ok_or(WireError::MessageId)?;
        let dispatch = Dispatch::from_json(&self.seal.open(body, &aad(id))?)?;
        if dispatch.id != id {
            return Err(WireError::MessageId);
        }
        Ok(dispatch)
    }
}

fn aad(id: DispatchId) -> [u8; 27] {
    let mut aad = *b"dispatch/1/0123456789abcdef";
    aad[11..].copy_from_slice(id.as_bytes());
    aad
}

/// What a request carries so that statuses and echoes tell which one they are about: `il1.<dispatch>.<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    /// The dispatch.
    pub dispatch: DispatchId,
    /// Which of its requests, from 0.
    pub request: u16,
}

impl Marker {
    /// Reads a marker; anything else is somebody else's.
    pub fn parse(text: &str) -> Option<Self> {
        let (dispatch, request) = text.strip_prefix("il1.")?.split_once('.')?;
        Some(Self { dispatch: DispatchId::parse(dispatch).ok()?, request: request.parse().ok()? })
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "il1.{}.{}", self.dispatch, self.request)
    }
}

/// Names an event's bytes: the beginning of their SHA-256.
pub fn event_key(body: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(body).into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// The W3C `traceparent` of an event and what follows from it. Both are hashes, so it names nobody.
pub fn traceparent(trace: &[u8; 16], span: &[u8; 8]) -> String {
    format!("00-{:032x}-{:016x}-01", u128::from_be_bytes(*trace), u64::from_be_bytes(*span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use interline_envelope::{
        Address, Author, Envelope, IdInput, IdKey, Kind, NativeKey, Origin, Platform, Unknown,
    };

    fn dispatch() -> Dispatch {
        let ids = IdKey::published_test_key();
        let to = Address::parse("instagram/17841400000000001/1700000000000001").unwrap();
        let envelope_id = ids.envelope_id(&IdInput {
            kind: Kind::Message,
            platform: "whatsapp",
            account: "1",
            chat: "2",
            actor: "2",
            native: NativeKey::Id("wamid.1"),
            time_ms: 1,
            discriminator: &[],
        });
        Dispatch {
            v: 1,
            id: ids.dispatch_id(envelope_id, &to),
            lane: ids.lane_id("c", &to),
            prev: None,
            conversation: "c".into(),
            to,
            author: Author { alias: "Alice".into(), named: false, unknown: Unknown::new() },
            origin: Origin {
                account: Address::parse("whatsapp/1/2").unwrap(),
                chat: "2".into(),
                native_id: None,
                unknown: Unknown::new(),
            },
            hop: 1,
            expires: None,
            envelope: Envelope::new(
                envelope_id,
                Kind::Message,
                Platform::new("whatsapp").unwrap(),
                "1",
                "2",
                1,
            ),
            unknown: Unknown::new(),
        }
    }

    #[test]
    fn g8_a_dispatch_on_the_queue_shows_no_person_and_opens_only_as_itself() {
        let wire = Wire::new(&RootKey::published_test_key());
        let dispatch = dispatch();
        let sealed = wire.seal(&dispatch).unwrap();
        assert!(!sealed.windows(16).any(|window| window == b"1700000000000001"));
        let id = dispatch.id.to_string();
        assert_eq!(wire.open(Some(&id), &sealed).unwrap(), dispatch);
        let other = "00000000000000000000000000000000";
        assert!(matches!(wire.open(Some(other), &sealed), Err(WireError::Sealed(_))));
        assert!(matches!(wire.open(None, &sealed), Err(WireError::MessageId)));
    }

    #[test]
    fn a_traceparent_has_the_form_of_the_w3c() {
        let text =
            traceparent(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255], &[0x0a; 8]);
        assert_eq!(text, "00-000102030405060708090a0b0c0d0eff-0a0a0a0a0a0a0a0a-01");
    }

    #[test]
    fn a_marker_is_read_back_and_a_foreign_one_is_left_alone() {
        let marker = Marker { dispatch: dispatch().id, request: 3 };
        assert_eq!(Marker::parse(&marker.to_string()), Some(marker));
        for foreign in
            ["", "bridge:msg:0001", "il1.", "il1.zz.1", "il1.00000000000000000000000000000000.x"]
        {
            assert_eq!(Marker::parse(foreign), None, "{foreign}");
        }
    }
}
