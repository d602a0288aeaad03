//! What the daemon remembers: what became of each dispatch, where the copies of a message are, what is held.
//!
//! One trait, [`Store`], with methods named for what they mean; [`SqliteStore`] behind it. It knows no bridge and no
//! broker, and has no clock: times are UTC milliseconds that the caller passes in.
//!
//! *Invariant:* protected from the first row (G8). Keys of rows are keyed hashes, values are sealed for their table,
//! key and schema version; no id, name or text of a person is ever written in clear.
//! *Invariant:* a method that answered `Ok` is durable.

mod error;
mod key_file;
mod rows;
mod sqlite;

pub use error::StoreError;
pub use key_file::RootKeyFile;
pub use rows::{
    Awaited, Begun, Copy, DispatchRow, DispatchState, EchoOf, FailedLater, HeldBody, HeldLane,
    HeldRow, HeldStage, Info, Intent, Known, NativeMessage, NewCopy, NewDispatch, NewParked,
    NewReaction, NewSent, Parked, Reacted, ReactionShown, ReadByAll, ReadUpTo, Reading,
    ReceiptWanted, Recorded, Released, RequestOutcome, RequestPlan, RequestRow, RequestState,
    ServiceWindow, Settings, Settled,
};
pub use sqlite::{SqliteStore, Turn};

use async_trait::async_trait;
use interline_envelope::{AccountRef, Address, DispatchId, EnvelopeId, LaneId, Redacted};

/// The daemon's memory. All methods are durable when they answer; all may wait for a place in the writer's queue.
#[async_trait]
pub trait Store: Send + Sync {
    /// What is known of a dispatch. `time`: its envelope's, which tells where its row lies.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn dispatch(&self, id: DispatchId, time: i64) -> Result<Option<DispatchRow>, StoreError>;

    /// What became of a dispatch whose time is not known. Looks through every day's table: for dependents, not for
    /// every message.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn state_of(&self, id: DispatchId) -> Result<Option<DispatchState>, StoreError>;

    /// Writes the plan that a dispatch begins with and resumes with, and the intent of its first request. If the
    /// message was taken back before it came, the dispatch ends here, and what waited for that is let go.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written; nothing was.
    async fn begin(
        &self,
        dispatch: NewDispatch,
        intended_at: i64,
    ) -> Result<(Begun, Vec<Released>), StoreError>;

    /// Writes the intent of request `n`: from now on it may have been sent. What is known to be sent stays so.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the dispatch was never begun.
    async fn intend(
        &self,
        id: DispatchId,
        time: i64,
        n: u16,
        at: i64,
    ) -> Result<Intent, StoreError>;

    /// Writes what became of request `n`, the copies that follow, and the end of the dispatch, in one transaction, and
    /// moves what waited for the copies or for that end to the held rows of the lanes that it names. A request whose
    /// marker came back stays sent, whatever a later outcome says; a dispatch that is done stays done. One of which a
    /// request failed meanwhile is not done, see [`FailedLater::InItsLane`].
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the dispatch was never begun.
    async fn outcome(
        &self,
        id: DispatchId,
        time: i64,
        n: u16,
        outcome: RequestOutcome,
        copies: Vec<NewCopy>,
        finish: Option<DispatchState>,
    ) -> Result<Recorded, StoreError>;

    /// Ends a dispatch, also one that never began a request. One that is done stays done. What waited for the end moves
    /// to the held rows of the lanes that it names, in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn finish(
        &self,
        id: DispatchId,
        time: i64,
        state: DispatchState,
    ) -> Result<Vec<Released>, StoreError>;

    /// Opens a dead dispatch once more: an operator replays it. Its requests that were rejected
    /// or are of unknown fate count as planned again; what is known to be sent stays so.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn reopen(&self, id: DispatchId, time: i64) -> Result<(), StoreError>;

    /// The plan of a request as it was begun, for whoever knows no more than its marker. Nothing if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn plan_of(&self, id: DispatchId, n: u16) -> Result<Option<Vec<u8>>, StoreError>;

    /// A platform gave the marker of a request back: it was sent.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn settle(
        &self,
        id: DispatchId,
        n: u16,
        native_ids: Vec<Redacted<String>>,
    ) -> Result<Settled, StoreError>;

    /// Keeps what it takes to send a dispatch again that the platform may report as failed later. One that is kept
    /// already stays as it is; the oldest go when there are too many.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn keep_sent(&self, sent: NewSent) -> Result<(), StoreError>;

    /// The author of a message took it back: it is not sent again, whatever is reported of it.
    ///
    /// # Errors
    /// [`StoreError`] if the row cannot be removed.
    async fn forget_sent(&self, id: DispatchId) -> Result<(), StoreError>;

    /// Request `n` of a dispatch arrived: it will not be sent again.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn arrived_later(&self, id: DispatchId, n: u16) -> Result<(), StoreError>;

    /// The platform reports that request `n`, which it took as `native_id`, failed. A dispatch that was done is dead
    /// from then on, so that [`Store::reopen`] lets that request be sent again, and no other. In one that is still open
    /// the request is planned again or, when it failed more than `passes_max` times, rejected.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn failed_later(
        &self,
        id: DispatchId,
        n: u16,
        native_id: &Redacted<String>,
        passes_max: u32,
    ) -> Result<FailedLater, StoreError>;

    /// A dead letter tells of a dispatch that failed later: the same report once more is no news.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn failure_told(&self, id: DispatchId) -> Result<(), StoreError>;

    /// Writes where copies are; those that are known stay as they are. What waited for them moves to the held rows of
    /// the lanes that it names, in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be written.
    async fn record_copies(&self, copies: Vec<NewCopy>) -> Result<Vec<Released>, StoreError>;

    /// Which envelope a native message is a copy of.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn envelope_of(
        &self,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_id: &Redacted<String>,
    ) -> Result<Option<Known>, StoreError>;

    /// The copies of an envelope that a participant has, in the order of its pieces.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn copies_of(
        &self,
        envelope: EnvelopeId,
        participant: &Address,
    ) -> Result<Vec<Copy>, StoreError>;

    /// What stands for `on` of the reaction of `by` to a message; nothing where none ever stood.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn reacted(
        &self,
        message: EnvelopeId,
        by: &Address,
        on: &Address,
    ) -> Result<Option<Reacted>, StoreError>;

    /// Whose echo came, on a platform that gives no marker back. One that looks like a send of unknown fate, and is not
    /// older than that, settles it. `time`: the platform's, UTC milliseconds.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn recognise_echo(
        &self,
        message: NativeMessage,
        likeness: Option<Redacted<String>>,
        time: i64,
    ) -> Result<EchoOf, StoreError>;

    /// A person has read so far. Answers with the messages that now everybody has read; the same again until
    /// [`Store::read_noted`], so that a crash between the two loses no receipt.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn read(&self, chat: &Address, up_to: ReadUpTo, now: i64) -> Result<Reading, StoreError>;

    /// What a person has read, up to [`Reading::last`], is on its way to the authors. What came since is unread.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn read_noted(&self, chat: &Address, last: Redacted<String>) -> Result<(), StoreError>;

    /// Appends to a lane's held rows, in order; a dispatch that the lane already holds is kept once. Answers with the
    /// rows' numbers.
    ///
    /// # Errors
    /// [`StoreError::HeldFull`] at the bound; nothing was written.
    async fn hold(
        &self,
        stage: HeldStage,
        lane: LaneId,
        account: &AccountRef,
        bodies: Vec<HeldBody>,
    ) -> Result<Vec<u64>, StoreError>;

    /// The lanes that hold rows, of one account or of all.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn held_lanes(
        &self,
        stage: HeldStage,
        account: Option<&AccountRef>,
    ) -> Result<Vec<HeldLane>, StoreError>;

    /// The first rows of a lane, or those behind the row of number `after`. A row that cannot be opened is left out, and
    /// stays.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn held_peek(
        &self,
        stage: HeldStage,
        lane: LaneId,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<HeldRow>, StoreError>;

    /// The row that holds a dispatch, wherever in its lane it stands.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn held_find(
        &self,
        stage: HeldStage,
        lane: LaneId,
        dispatch: DispatchId,
    ) -> Result<Option<HeldRow>, StoreError>;

    /// Removes a held row.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn held_release(
        &self,
        stage: HeldStage,
        lane: LaneId,
        seq: u64,
    ) -> Result<(), StoreError>;

    /// Lets a dependent wait for what it is about, unless that is there by now: one transaction, so that nothing slips
    /// between.
    ///
    /// # Errors
    /// [`StoreError::HeldFull`] at the bound.
    async fn park_if_absent(&self, parked: NewParked) -> Result<Parked, StoreError>;

    /// True if a dispatch is parked.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn is_parked(&self, id: DispatchId) -> Result<bool, StoreError>;

    /// Moves what has waited until `now` to the held rows of the lanes that it names.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn parked_expired(&self, now: i64) -> Result<Vec<Released>, StoreError>;

    /// Remembers that a message was taken back before it came.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn bury(
        &self,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_id: &Redacted<String>,
        at: i64,
    ) -> Result<(), StoreError>;

    /// True if a message was taken back before it came.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn is_buried(
        &self,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_id: &Redacted<String>,
    ) -> Result<bool, StoreError>;

    /// Notes that events are being worked on, in their order, up to and including the first that was open in
    /// `suspect_runs` earlier runs or more: those behind it are not touched. Says of each that was noted in how many
    /// earlier runs it was open and never closed.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn events_opened(
        &self,
        keys: Vec<[u8; 16]>,
        suspect_runs: u32,
    ) -> Result<Vec<u32>, StoreError>;

    /// Forgets events that are done.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn events_closed(&self, keys: Vec<[u8; 16]>) -> Result<(), StoreError>;

    /// Remembers a second id of a participant that an event taught.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn bind(&self, address: &Address, id: &Redacted<String>) -> Result<(), StoreError>;

    /// All second ids.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn bindings(&self) -> Result<Vec<(Address, Redacted<String>)>, StoreError>;

    /// What is known of the window in which the account may write freely to a person; all 0 where nothing is.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn window_of(&self, person: &Address) -> Result<ServiceWindow, StoreError>;

    /// A person opened the window at `at`. Answers with what is known now.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn window_opened(&self, person: &Address, at: i64) -> Result<ServiceWindow, StoreError>;

    /// The platform refused at `at`, since the window is closed. Answers with what is known now.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn window_refused(&self, person: &Address, at: i64) -> Result<ServiceWindow, StoreError>;

    /// Notes that the person is invited at `at` to open the window. False if that was done since it last opened; then
    /// nothing is written.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn window_invited(&self, person: &Address, at: i64) -> Result<bool, StoreError>;

    /// Drops what is older than its retention.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    async fn retain(&self, now: i64) -> Result<(), StoreError>;

    /// Where it lies, its version, its counts.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    async fn info(&self) -> Result<Info, StoreError>;

    /// Ends the writer after everything that was handed to it; each caller hears of its own. Later calls answer
    /// [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError::Closed`] if the writer died.
    async fn close(&self) -> Result<(), StoreError>;
}
