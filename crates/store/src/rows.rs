//! What goes into the store and what comes out.

use interline_envelope::{AccountRef, Address, DispatchId, EnvelopeId, LaneId, Redacted};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    /// What time it is, UTC milliseconds: to tell a platform's clock that is wrong.
    pub now_ms: fn() -> i64,
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
            now_ms: machine_ms,
            on_commit: Arc::new(|_| {}),
        }
    }
}

/// This machine's clock: the one place where the store looks at it.
fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
        /// When its intent was written, UTC milliseconds, where that is known.
        #[serde(default)]
        at: Option<i64>,
    },
    /// The platform will never take it.
    Rejected,
}

impl RequestState {
    /// When the intent was written, of what was not planned anew since: UTC milliseconds.
    pub(crate) const fn intended_at(&self) -> Option<i64> {
        match self {
            Self::Intended { at } => Some(*at),
            Self::Sent { at, .. } => *at,
            Self::Planned | Self::Rejected => None,
        }
    }
}

/// One request of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// The rendered request, as the caller encoded it.
    #[serde(with = "hex::serde")]
    pub plan: Vec<u8>,
    /// What became of it.
    pub state: RequestState,
    /// What an echo of it looks like, where the platform gives no marker back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeness: Option<Redacted<String>>,
}

/// What is known of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchRow {
    /// What became of it.
    pub state: DispatchState,
    /// Its requests, in order. Dropped once it is done.
    pub requests: Vec<RequestRow>,
    /// Who it is for. Absent in rows of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
}

/// A request that is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPlan {
    /// The rendered request, as the caller encoded it.
    pub body: Vec<u8>,
    /// What an echo of it looks like, where the platform gives no marker back.
    pub likeness: Option<Redacted<String>>,
}

/// A dispatch that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDispatch {
    /// Which.
    pub id: DispatchId,
    /// Its envelope's time.
    pub time: i64,
    /// Who it is for.
    pub to: Address,
    /// Its requests, in order.
    pub plans: Vec<RequestPlan>,
    /// The message that it carries on: it does not begin if that was taken back before it came.
    pub carries: Option<NativeMessage>,
    /// What stands of a reaction from now on.
    pub reaction: Option<NewReaction>,
}

/// How a person's reaction to a message is shown to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionShown {
    /// It is set on the copy.
    Set,
    /// It was told in words.
    Told,
}

/// What stands of somebody's reaction to a message once a dispatch has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReaction {
    /// The message.
    pub message: EnvelopeId,
    /// Who reacted.
    pub by: Address,
    /// What stands.
    pub stands: Reacted,
}

/// What stands of somebody's reaction to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reacted {
    /// How it is shown; nothing once it was taken away.
    pub shown: Option<ReactionShown>,
    /// What brought it there.
    pub dispatch: DispatchId,
}

/// A message as its own chat knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeMessage {
    /// The account that has the chat.
    pub account: AccountRef,
    /// The person of the chat, as the config names them.
    pub chat: Redacted<String>,
    /// The platform's id of the message.
    pub native_id: Redacted<String>,
}

/// Whether a dispatch may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Its plan and its first intent are durable.
    Now,
    /// It began before; nothing was written.
    Before,
    /// The message that it carries was taken back before it came; the dispatch is refused.
    TakenBack,
}

/// A dispatch whose failure a platform may report after it took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSent {
    /// Which.
    pub id: DispatchId,
    /// What it carries.
    pub envelope: EnvelopeId,
    /// Its envelope's time.
    pub time: i64,
    /// Whom it is for.
    pub to: Address,
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
        /// How often it failed: that of its requests that failed most.
        failures: u32,
    },
    /// It is not at its end yet: when its lane gets to it, the request is sent again, or the dispatch is given up.
    InItsLane {
        /// When it was begun: UTC milliseconds.
        since: i64,
        /// How often it failed: that of its requests that failed most.
        failures: u32,
    },
    /// The answer to the request is not recorded yet.
    UnderWay,
    /// It arrived, or the report was acted on before.
    NoNews,
    /// Nothing is known of it (any more).
    Unknown,
}

/// What followed from writing an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The lanes to which something was moved that waited.
    pub released: Vec<Released>,
    /// True if a request is to be sent again before the dispatch can be done: it was reported as failed meanwhile.
    pub goes_again: bool,
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
    /// Nobody knows whether it was sent, and it is tried again. An echo that comes yet is its own.
    Uncertain,
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

/// Whose echo came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoOf {
    /// A send of ours.
    Ours,
    /// Nobody can tell yet: a send of ours to this person is under way.
    Undecided,
    /// Something that somebody else sent for the account.
    SomebodyElse,
}

/// How far a person has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadUpTo {
    /// Everything that was sent to them until then: UTC milliseconds.
    Time(i64),
    /// This message, and what came before it.
    Message(Redacted<String>),
}

/// What a person has read by now, and nobody was told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What by that all have read, in the order in which it was sent.
    pub by_all: Vec<ReadByAll>,
    /// The id of the last copy that the person has read; nothing if there is none.
    pub last: Option<Redacted<String>>,
}

/// A message that all who hear its author have read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadByAll {
    /// Who wrote it.
    pub author: Address,
    /// The id of its copy in the chat of who read it last.
    pub copy: Redacted<String>,
}

/// Who wants to know when a copy is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptWanted {
    /// The author.
    pub author: Address,
    /// How many have to read it before the author sees that; 0: it only has its place among what they read.
    pub readers: u16,
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
    /// True if it is the original, written in this chat; false for a copy that Interline sent there.
    pub is_original: bool,
    /// Who wrote the message.
    pub writer: Address,
    /// Who wants to know when it is read.
    pub receipt: Option<ReceiptWanted>,
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
    /// True if it is the original, written in this chat. Absent in rows of an earlier version.
    #[serde(default)]
    pub is_original: Option<bool>,
    /// Who wrote the message. Absent in rows of an earlier version.
    #[serde(default)]
    pub writer: Option<Address>,
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

/// What a dependent waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Until a message is known: the original, or a copy.
    Message(NativeMessage),
    /// Until a dispatch has ended, well or not.
    End(DispatchId),
}

/// A dependent that waits for the message that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewParked {
    /// What for.
    pub awaits: Awaited,
    /// The dependent.
    pub dispatch: DispatchId,
    /// Its lane.
    pub lane: LaneId,
    /// The account that it is for.
    pub target: AccountRef,
    /// Its sealed body.
    pub body: Vec<u8>,
    /// The held row that it comes from, which goes away in the same transaction.
    pub held: Option<u64>,
    /// When the daemon first saw it: UTC milliseconds.
    pub since: i64,
    /// Until when it waits: UTC milliseconds.
    pub until: i64,
}

/// What became of a wish to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// It waits.
    Waits,
    /// What it would wait for is there: no need to.
    Here,
}

/// Something that was parked is among the held rows of its lane now: whoever runs the lane has to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The account that it is for.
    pub account: AccountRef,
    /// Its lane.
    pub lane: LaneId,
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
