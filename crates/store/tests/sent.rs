//! What the store knows of messages that a platform took and may report as failed later.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use interline_envelope::{Address, DispatchId, EnvelopeId, LaneId, Redacted, RootKey};
use interline_store::{
    DispatchRow, DispatchState, FailedLater, HeldBody, HeldStage, NewCopy, NewDispatch, NewSent,
    ReadUpTo, ReceiptWanted, RequestOutcome, RequestPlan, RequestState, Settings, SqliteStore,
    Store,
};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn id(n: u8) -> DispatchId {
    DispatchId::from_bytes([n; 16])
}

fn native(text: &str) -> Redacted<String> {
    Redacted::new(text.to_owned())
}

/// A store with a dispatch of so many requests that is begun and kept; nothing of it was sent yet.
async fn begun(folder: &tempfile::TempDir, requests: usize) -> (SqliteStore, i64) {
    let key = RootKey::published_test_key();
    let store = SqliteStore::open(&folder.path().join("s.db"), &key, &Settings::default()).unwrap();
    let time = now();
    let plans: Vec<_> =
        (0..requests).map(|_| RequestPlan { body: b"plan".to_vec(), likeness: None }).collect();
    let to = Address::parse("whatsapp/1/15550001111").unwrap();
    let new = NewDispatch {
        id: id(1),
        time,
        to: to.clone(),
        plans: plans.clone(),
        carries: None,
        reaction: None,
    };
    store.begin(new, time).await.unwrap();
    let (envelope, body) = (EnvelopeId::from_bytes([1; 16]), b"sealed".to_vec());
    let sent = NewSent { id: id(1), envelope, time, to, body, plans, since: 5 };
    store.keep_sent(sent).await.unwrap();
    (store, time)
}

async fn send(store: &SqliteStore, time: i64, n: u16, last: bool) {
    sent_as(store, time, n, "first", last).await;
}

/// Records that a request was sent; true if one is to be sent again.
async fn sent_as(store: &SqliteStore, time: i64, n: u16, native_id: &str, last: bool) -> bool {
    let outcome = RequestOutcome::Sent { native_ids: vec![native(native_id)] };
    let finish = last.then_some(DispatchState::Done);
    store.outcome(id(1), time, n, outcome, Vec::new(), finish).await.unwrap().goes_again
}

async fn row(store: &SqliteStore, time: i64) -> DispatchRow {
    store.dispatch(id(1), time).await.unwrap().unwrap()
}

/// Both parts of a message go to a person who has to write first, and both are reported as failed: the second report
/// comes when the first part waits in its lane already.
#[tokio::test]
async fn g5_a_part_that_fails_while_its_message_waits_in_its_lane_is_sent_again_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 2).await;
    sent_as(&store, time, 0, "x", false).await;
    assert!(!sent_as(&store, time, 1, "y", true).await);
    let failed = async |n, id_: &str| store.failed_later(id(1), n, &native(id_), 5).await.unwrap();
    assert!(matches!(failed(0, "x").await, FailedLater::Sent { .. }));
    store.reopen(id(1), time).await.unwrap();
    assert_eq!(failed(1, "y").await, FailedLater::InItsLane { since: 5, failures: 1 });
    let states = row(&store, time).await.requests.into_iter().map(|request| request.state);
    assert!(states.eq([RequestState::Planned, RequestState::Planned]));
    assert_eq!(failed(1, "y").await, FailedLater::NoNews);
    // An attempt that began before the second report believes that the second part is there.
    store.intend(id(1), time, 0, time).await.unwrap();
    sent_as(&store, time, 0, "x2", false).await;
    let believed = RequestOutcome::Sent { native_ids: Vec::new() };
    let done = Some(DispatchState::Done);
    let recorded = store.outcome(id(1), time, 1, believed, Vec::new(), done).await.unwrap();
    assert!(recorded.goes_again);
    assert_eq!(row(&store, time).await.state, DispatchState::Open);
    store.intend(id(1), time, 1, time).await.unwrap();
    assert!(!sent_as(&store, time, 1, "y2", true).await);
    assert_eq!(row(&store, time).await.state, DispatchState::Done);
}

#[tokio::test]
async fn g4_a_part_that_fails_for_good_while_others_are_under_way_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 2).await;
    sent_as(&store, time, 0, "x", false).await;
    let failed = store.failed_later(id(1), 0, &native("x"), 0).await.unwrap();
    assert_eq!(failed, FailedLater::InItsLane { since: 5, failures: 1 });
    store.intend(id(1), time, 1, time).await.unwrap();
    assert!(sent_as(&store, time, 1, "y", true).await, "it is not done");
    // What an attempt that began before that believes of the first part changes nothing.
    assert!(sent_as(&store, time, 0, "x", true).await);
    // Nor does the outcome of a send of it that was under way.
    store.outcome(id(1), time, 0, RequestOutcome::NotSent, Vec::new(), None).await.unwrap();
    let row = row(&store, time).await;
    assert_eq!((row.state, &row.requests[0].state), (DispatchState::Open, &RequestState::Rejected));
    // Its lane puts the dead letter down, so the same report makes no second one.
    store.finish(id(1), time, DispatchState::Dead).await.unwrap();
    let again = store.failed_later(id(1), 0, &native("x"), 0).await.unwrap();
    assert_eq!(again, FailedLater::NoNews);
}

#[tokio::test]
async fn g9_one_request_of_many_that_fails_each_time_is_sent_again_no_more_often_than_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 9).await;
    for times in 1..8 {
        for n in 0..9 {
            sent_as(&store, time, n, &format!("{n}.{times}"), false).await;
        }
        let failed = store.failed_later(id(1), 3, &native(&format!("3.{times}")), 5).await.unwrap();
        assert_eq!(failed, FailedLater::InItsLane { since: 5, failures: times });
        let is_rejected = row(&store, time).await.requests[3].state == RequestState::Rejected;
        assert_eq!(is_rejected, times > 5, "{times}");
        if is_rejected {
            break;
        }
        store.intend(id(1), time, 3, time).await.unwrap();
    }
}

#[tokio::test]
async fn g2_the_failure_of_a_part_that_was_sent_once_more_since_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 2).await;
    store.outcome(id(1), time, 0, RequestOutcome::Uncertain, Vec::new(), None).await.unwrap();
    store.intend(id(1), time, 0, time).await.unwrap();
    sent_as(&store, time, 0, "second", false).await;
    let failed = async || store.failed_later(id(1), 0, &native("first"), 5).await.unwrap();
    assert_eq!(failed().await, FailedLater::NoNews);
    assert!(matches!(row(&store, time).await.requests[0].state, RequestState::Sent { .. }));
    store.intend(id(1), time, 1, time).await.unwrap();
    assert!(!sent_as(&store, time, 1, "other", true).await);
    assert_eq!(failed().await, FailedLater::NoNews);
}

/// The answer was lost, the next try was refused, and then the first is said to have failed.
#[tokio::test]
async fn g5_what_is_to_be_sent_again_anyway_is_not_settled_by_the_failure_of_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 1).await;
    let outcome = RequestOutcome::Uncertain;
    store.outcome(id(1), time, 0, outcome, Vec::new(), None).await.unwrap();
    let failed = async || store.failed_later(id(1), 0, &native("x"), 5).await.unwrap();
    assert_eq!(failed().await, FailedLater::InItsLane { since: 5, failures: 1 });
    assert_eq!(failed().await, FailedLater::NoNews);
    assert_eq!(row(&store, time).await.requests[0].state, RequestState::Planned);
}

#[tokio::test]
async fn g2_a_failure_that_a_dead_letter_tells_of_is_no_news_before_the_message_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 1).await;
    sent_as(&store, time, 0, "x", true).await;
    let failed = async |id_: &str| store.failed_later(id(1), 0, &native(id_), 5).await.unwrap();
    assert!(matches!(failed("x").await, FailedLater::Sent { .. }));
    assert!(matches!(failed("x").await, FailedLater::Sent { .. }), "there may be no letter yet");
    store.failure_told(id(1)).await.unwrap();
    assert_eq!(failed("x").await, FailedLater::NoNews);
    store.reopen(id(1), time).await.unwrap();
    store.intend(id(1), time, 0, time).await.unwrap();
    sent_as(&store, time, 0, "y", true).await;
    assert!(matches!(failed("y").await, FailedLater::Sent { .. }));
    assert!(matches!(failed("y").await, FailedLater::Sent { .. }), "this one was not told yet");
}

#[tokio::test]
async fn the_one_request_that_failed_later_is_sent_again_and_its_neighbours_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 2).await;
    let early = store.failed_later(id(1), 0, &native("first"), 5).await.unwrap();
    assert_eq!(early, FailedLater::UnderWay, "its answer may be on its way");
    send(&store, time, 0, false).await;
    send(&store, time, 1, true).await;
    let failed = store.failed_later(id(1), 0, &native("first"), 5).await.unwrap();
    let FailedLater::Sent { body, since, failures, .. } = failed else { panic!("{failed:?}") };
    assert_eq!((body.as_slice(), since, failures), (b"sealed".as_slice(), 5, 1));
    store.reopen(id(1), time).await.unwrap();
    let row = store.dispatch(id(1), time).await.unwrap().unwrap();
    assert_eq!(row.state, DispatchState::Open);
    assert_eq!(row.requests[0].state, RequestState::Planned);
    assert!(matches!(row.requests[1].state, RequestState::Sent { .. }));
}

fn bob() -> Address {
    Address::parse("whatsapp/1/15550001111").unwrap()
}

/// Bob's copy of what Alice wrote.
fn copy(native_id: &str, at: i64) -> NewCopy {
    let (bob, alice) = (bob(), Address::parse("messenger/2/7").unwrap());
    NewCopy {
        account: bob.account.clone(),
        chat: bob.user.clone(),
        native_id: native(native_id),
        envelope: EnvelopeId::from_bytes([1; 16]),
        participant: bob,
        part: 0,
        excerpt: None,
        author: None,
        is_original: false,
        writer: alice.clone(),
        receipt: Some(ReceiptWanted { author: alice, readers: 1 }),
        at,
    }
}

/// The one request of a dispatch was sent, and Bob has it by that id.
async fn arrives(store: &SqliteStore, time: i64, native_id: &str, at: i64) {
    let outcome = RequestOutcome::Sent { native_ids: vec![native(native_id)] };
    let (copies, finish) = (vec![copy(native_id, at)], Some(DispatchState::Done));
    store.outcome(id(1), time, 0, outcome, copies, finish).await.unwrap();
}

/// The answer to the first was lost, and nothing told of it before the second was sent.
#[tokio::test]
async fn g2_the_failure_of_a_send_that_another_took_the_place_of_is_no_news() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 1).await;
    let outcome = RequestOutcome::Uncertain;
    store.outcome(id(1), time, 0, outcome, Vec::new(), None).await.unwrap();
    store.intend(id(1), time, 0, time + 1).await.unwrap();
    arrives(&store, time, "second", time + 2).await;
    let failed = async |id_: &str| store.failed_later(id(1), 0, &native(id_), 5).await.unwrap();
    assert_eq!(failed("first").await, FailedLater::NoNews);
    assert_eq!(row(&store, time).await.state, DispatchState::Done);
    assert!(matches!(failed("second").await, FailedLater::Sent { .. }));
}

#[tokio::test]
async fn what_failed_later_is_no_copy_any_more_and_is_read_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 1).await;
    let (bob, message) = (bob(), EnvelopeId::from_bytes([1; 16]));
    let sends = async |native_id: &str, at| arrives(&store, time, native_id, at).await;
    let copies = async || store.copies_of(message, &bob).await.unwrap();
    sends("first", time).await;
    assert_eq!(copies().await.len(), 1);
    store.failed_later(id(1), 0, &native("first"), 5).await.unwrap();
    assert_eq!(copies().await, []);
    let read = store.read(&bob, ReadUpTo::Time(time + 1), time + 1).await.unwrap();
    assert_eq!(read.by_all, []);
    store.reopen(id(1), time).await.unwrap();
    sends("second", time + 2).await;
    let second: Vec<_> = copies().await.into_iter().map(|copy| copy.native_id).collect();
    assert_eq!(second, [native("second")]);
    let read = store.read(&bob, ReadUpTo::Time(time + 2), time + 3).await.unwrap();
    assert_eq!(read.by_all.len(), 1);
}

#[tokio::test]
async fn g2_a_failure_that_is_told_again_is_no_news_once_the_message_was_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 1).await;
    send(&store, time, 0, true).await;
    let told =
        async |native_id: &str| store.failed_later(id(1), 0, &native(native_id), 5).await.unwrap();
    assert!(matches!(told("first").await, FailedLater::Sent { failures: 1, .. }));
    // Whoever heard it first may have died before the message went back to its lane.
    assert!(matches!(told("first").await, FailedLater::Sent { failures: 1, .. }));
    store.reopen(id(1), time).await.unwrap();
    assert_eq!(told("first").await, FailedLater::NoNews);
    store.settle(id(1), 0, vec![native("first")]).await.unwrap();
    let row = store.dispatch(id(1), time).await.unwrap().unwrap();
    assert_eq!(row.state, DispatchState::Open);
    assert_eq!(
        row.requests[0].state,
        RequestState::Planned,
        "old news says nothing of the next send"
    );
    sent_as(&store, time, 0, "second", true).await;
    assert_eq!(told("first").await, FailedLater::NoNews);
    assert!(matches!(told("second").await, FailedLater::Sent { failures: 2, .. }));
    assert_eq!(store.failed_later(id(9), 0, &native("x"), 5).await.unwrap(), FailedLater::Unknown);
}

#[tokio::test]
async fn what_its_author_took_back_is_not_sent_again_whatever_is_told_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 1).await;
    send(&store, time, 0, true).await;
    store.forget_sent(id(1)).await.unwrap();
    assert_eq!(
        store.failed_later(id(1), 0, &native("first"), 5).await.unwrap(),
        FailedLater::Unknown
    );
}

#[tokio::test]
async fn a_message_that_arrived_does_not_fail_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (store, time) = begun(&folder, 2).await;
    send(&store, time, 0, false).await;
    send(&store, time, 1, true).await;
    store.arrived_later(id(1), 0).await.unwrap();
    let failed = |n| {
        let store = &store;
        async move { store.failed_later(id(1), n, &native("first"), 5).await.unwrap() }
    };
    assert_eq!(failed(0).await, FailedLater::NoNews);
    store.arrived_later(id(1), 1).await.unwrap();
    assert_eq!(failed(1).await, FailedLater::Unknown, "its row is gone");
}

#[tokio::test]
async fn g3_what_comes_back_is_held_before_what_was_not_sent_yet_and_in_its_own_order() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = begun(&folder, 1).await;
    let account = Address::parse("whatsapp/1/15550001111").unwrap().account;
    let lane = LaneId::from_bytes([1; 8]);
    let held =
        |n: u8, first| HeldBody { dispatch: id(n), body: vec![n], held_at: 5, attempts: 0, first };
    let stage = HeldStage::Deliver;
    store.hold(stage, lane, &account, vec![held(3, false), held(1, true)]).await.unwrap();
    store.hold(stage, lane, &account, vec![held(4, false), held(2, true)]).await.unwrap();
    let rows = store.held_peek(stage, lane, None, 10).await.unwrap();
    let order: Vec<_> = rows.iter().map(|row| row.dispatch).collect();
    assert_eq!(order, [id(1), id(2), id(3), id(4)]);
    store.held_release(stage, lane, rows[0].seq).await.unwrap();
    assert_eq!(store.held_peek(stage, lane, None, 1).await.unwrap()[0].dispatch, id(2));
}

#[tokio::test]
async fn g1_what_comes_back_stays_when_the_row_of_the_send_that_failed_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = begun(&folder, 1).await;
    let account = Address::parse("whatsapp/1/15550001111").unwrap().account;
    let (stage, lane) = (HeldStage::Deliver, LaneId::from_bytes([1; 8]));
    let held = |first| HeldBody { dispatch: id(1), body: vec![1], held_at: 5, attempts: 0, first };
    let sent = store.hold(stage, lane, &account, vec![held(false)]).await.unwrap();
    let back = store.hold(stage, lane, &account, vec![held(true)]).await.unwrap();
    store.held_release(stage, lane, sent[0]).await.unwrap();
    let numbers = async || {
        let rows = store.held_peek(stage, lane, None, 10).await.unwrap();
        rows.iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    assert_eq!(numbers().await, back);
    // It failed once more, before the row of the second send was taken away.
    let again = store.hold(stage, lane, &account, vec![held(true)]).await.unwrap();
    store.held_release(stage, lane, back[0]).await.unwrap();
    assert_eq!(numbers().await, again);
}
