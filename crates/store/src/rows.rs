//! What goes into the store and what comes out.

use interline_envelope::{AccountRef, Address, DispatchId, EnvelopeId, LaneId, Redacted};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bounds and retention.
#[derive(Clone)]
pub struct Settings {
    /// The most held rows, all lanes together.
    pub held_rows_max: u64,
    /// The most parked rows, all lanes together.
    pub parked_rows_max: u64,
    /// How long it is known what became of a dispatch.
    pub dispatch_retention: Duration,
    /// How long copies are known.
    pub copy_retention: Duration,
    /// How many operations may wait for the writer.
    pub queue_max: usize,
    /// Told how long each group commit took, on the writer's thread.
    pub on_commit: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("held_rows_max", &self.held_rows_max)
            .field("parked_rows_max", &self.parked_rows_max)
            .field("dispatch_retention", &self.dispatch_retention)
            .field("copy_retention", &self.copy_retention)
            .field("queue_max", &self.queue_max)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            held_rows_max: 10_000,
            parked_rows_max: 10_000,
            dispatch_retention: Duration::from_hours(8 * 24),
            copy_retention: Duration::from_hours(31 * 24),
            queue_max: 4096,
            on_commit: Arc::new(|_| {}),
        }
    }
}

/// What became of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DispatchState {
    /// Under way.
    Open,
    /// The target has it, in some form.
    Done,
    /// There was nothing to send, or no longer a reason to.
    Refused,
    /// It is a dead letter.
    Dead,
}

/// What is known of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    /// Not tried, or certainly not sent.
    Planned,
    /// It may have been sent.
    Intended {
        /// When the intent was written: UTC milliseconds.
        at: i64,
    },
    /// The platform has it.
    Sent {
        /// The ids that the platform gave.
        native_ids: Vec<Redacted<String>>,
    },
    /// The platform will never take it.
    Rejected,
}

/// One request of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// The rendered request, as the caller encoded it.
    #[serde(with = "hex::serde")]
    pub plan: Vec<u8>,
    /// What became of it.
    pub state: RequestState,
}

/// What is known of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchRow {
    /// What became of it.
    pub state: DispatchState,
    /// Its requests, in order. Dropped once it is done.
    pub requests: Vec<RequestRow>,
}

/// A request that is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPlan {
    /// The rendered request, as the caller encoded it.
    pub body: Vec<u8>,
}

/// A dispatch that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDispatch {
    /// Which.
    pub id: DispatchId,
    /// Its envelope's time.
    pub time: i64,
    /// Its requests, in order.
    pub plans: Vec<RequestPlan>,
}

/// A dispatch whose failure a platform may report after it took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSent {
    /// Which.
    pub id: DispatchId,
    /// Its envelope's time.
    pub time: i64,
    /// The account that it is for.
    pub account: AccountRef,
    /// Its sealed body.
    pub body: Vec<u8>,
    /// Its requests, in order.
    pub plans: Vec<RequestPlan>,
    /// When it was begun: UTC milliseconds.
    pub since: i64,
}

/// What is known of a message that failed after the platform took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailedLater {
    /// It was done, and is dead now; with this it can be sent again.
    Sent {
        /// The account that it is for.
        account: AccountRef,
        /// Its sealed body.
        body: Vec<u8>,
        /// When it was begun: UTC milliseconds.
        since: i64,
        /// How often a send of it was reported as failed.
        failures: u32,
    },
    /// Its sending is not recorded to its end yet.
    UnderWay,
    /// It arrived, or the report was acted on before.
    NoNews,
    /// Nothing is known of it (any more).
    Unknown,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The platform took it.
    Sent {
        /// The ids that it gave.
        native_ids: Vec<Redacted<String>>,
    },
    /// It certainly was not sent and may be tried again.
    NotSent,
    /// The platform will never take it.
    Rejected,
}

/// Whether a request may be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Its intent is durable.
    Written,
    /// Its marker came back in the meantime: it was sent.
    AlreadySent {
        /// The ids that the platform gave.
        native_ids: Vec<Redacted<String>>,
    },
}

/// What a marker that came back was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// A request of unknown fate: now it is known.
    Recorded,
    /// A request that is known to be sent.
    AlreadyKnown,
    /// Nothing that the store knows (any more).
    Unknown,
}

/// Where a copy of an envelope is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCopy {
    /// The account that has the chat.
    pub account: AccountRef,
    /// The person of the chat, as the config names them.
    pub chat: Redacted<String>,
    /// The platform's id of the copy.
    pub native_id: Redacted<String>,
    /// What it is a copy of.
    pub envelope: EnvelopeId,
    /// Whose copy it is.
    pub participant: Address,
    /// Which piece, where one message became several.
    pub part: u16,
    /// The beginning of its words, for quotes.
    pub excerpt: Option<Redacted<String>>,
    /// Who is shown as its author.
    pub author: Option<Redacted<String>>,
    /// When it was recorded: UTC milliseconds.
    pub at: i64,
}

/// One copy that a participant has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The platform's id.
    pub native_id: Redacted<String>,
    /// Which piece.
    pub part: u16,
}

/// What a native message is a copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Which piece.
    pub part: u16,
    /// The beginning of its words.
    pub excerpt: Option<Redacted<String>>,
    /// Who is shown as its author.
    pub author: Option<Redacted<String>>,
}

/// Which stage holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldStage {
    /// The target's queue refuses.
    Relay,
    /// The lane is blocked.
    Deliver,
}

impl HeldStage {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Relay => 0,
            Self::Deliver => 1,
        }
    }
}

/// Something to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBody {
    /// The dispatch.
    pub dispatch: DispatchId,
    /// Its sealed body.
    pub body: Vec<u8>,
    /// When the daemon first saw it: UTC milliseconds.
    pub held_at: i64,
    /// Failed attempts so far.
    pub attempts: u32,
    /// True for what was sent before and comes back: it stands before all of its lane that was not sent yet.
    pub first: bool,
}

/// Something held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// Its number; ascending within a lane.
    pub seq: u64,
    /// The dispatch.
    pub dispatch: DispatchId,
    /// The account that it is for.
    pub account: AccountRef,
    /// Its sealed body.
    pub body: Vec<u8>,
    /// When the daemon first saw it: UTC milliseconds.
    pub held_at: i64,
    /// Failed attempts when it was held.
    pub attempts: u32,
}

/// A lane that holds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLane {
    /// Which.
    pub lane: LaneId,
    /// How many.
    pub rows: u64,
}

/// A dependent that waits for the message that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewParked {
    /// The account of the message.
    pub account: AccountRef,
    /// The person of the chat.
    pub chat: Redacted<String>,
    /// The message's native id there.
    pub native_id: Redacted<String>,
    /// The dependent.
    pub dispatch: DispatchId,
    /// Its lane.
    pub lane: LaneId,
    /// The account that it is for.
    pub target: AccountRef,
    /// Its sealed body.
    pub body: Vec<u8>,
    /// When the daemon first saw it: UTC milliseconds.
    pub since: i64,
    /// Until when it waits: UTC milliseconds.
    pub until: i64,
}

/// What became of a wish to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parked {
    /// It waits.
    Waits,
    /// The message is known: no need to.
    TargetKnown(Known),
}

/// What is known of the window in which an account may write freely to a person. UTC milliseconds; 0: never, as far as
/// is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceWindow {
    /// When the person last opened it.
    pub opened: i64,
    /// When the platform last refused a message for it.
    pub refused: i64,
    /// When the person was last invited to open it.
    pub invited: i64,
}

/// Where a store lies and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The file.
    pub path: PathBuf,
    /// The version of its tables.
    pub schema_version: u32,
    /// Held rows.
    pub held_rows: u64,
    /// Parked rows.
    pub parked_rows: u64,
    /// The file's length in bytes.
    pub bytes: u64,
}
