//! What the store promises of things that wait for each other: dependents and their targets, echoes and their sends,
//! receipts and their readers. Run over the trait, so that every implementation passes the same tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use interline_envelope::{AccountRef, Address, DispatchId, EnvelopeId, LaneId, Redacted, RootKey};
use interline_store::{
    Awaited, Begun, DispatchState, EchoOf, HeldBody, HeldStage, NativeMessage, NewCopy,
    NewDispatch, NewParked, Parked, ReadByAll, ReadUpTo, Reading, ReceiptWanted, Released,
    RequestOutcome, RequestPlan, RequestState, Settings, SqliteStore, Store, StoreError,
};
use std::path::Path;

const ALICE: &str = "whatsapp/1065/1555";
const BOB: &str = "instagram/17/1700";
const CAROL: &str = "messenger/10/6100";

fn open(folder: &Path) -> SqliteStore {
    let path = folder.join("interline.db");
    SqliteStore::open(&path, &RootKey::published_test_key(), &Settings::default()).unwrap()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn id(n: u8) -> DispatchId {
    DispatchId::from_bytes([n; 16])
}

fn lane() -> LaneId {
    LaneId::from_bytes([7; 8])
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn account() -> AccountRef {
    address(BOB).account
}

fn message(of: &str, native_id: &str) -> NativeMessage {
    let Address { account, user: chat } = address(of);
    NativeMessage { account, chat, native_id: native_id.into() }
}

fn envelope(n: u8) -> EnvelopeId {
    EnvelopeId::from_bytes([n; 16])
}

/// A copy of envelope `n` that `to` has, written by Alice.
fn copy(n: u8, to: &str, native_id: &str, readers: u16, at: i64) -> NewCopy {
    let participant = address(to);
    NewCopy {
        account: participant.account.clone(),
        chat: participant.user.clone(),
        native_id: native_id.into(),
        envelope: envelope(n),
        participant,
        part: 0,
        excerpt: None,
        author: None,
        is_original: false,
        writer: address(ALICE),
        receipt: Some(ReceiptWanted { author: address(ALICE), readers }),
        at,
    }
}

fn parked(n: u8, awaits: Awaited) -> NewParked {
    NewParked {
        awaits,
        dispatch: id(n),
        lane: lane(),
        target: account(),
        body: vec![n],
        held: None,
        since: 5,
        until: 100,
    }
}

fn new_dispatch(n: u8, likeness: Option<&str>) -> NewDispatch {
    let likeness = likeness.map(Redacted::from);
    let plans = vec![RequestPlan { body: b"plan".to_vec(), likeness }];
    NewDispatch { id: id(n), time: now(), to: address(BOB), plans, carries: None, reaction: None }
}

async fn held(store: &SqliteStore) -> Vec<u8> {
    let rows = store.held_peek(HeldStage::Deliver, lane(), None, 9).await.unwrap();
    rows.into_iter().flat_map(|row| row.body).collect()
}

fn released() -> [Released; 1] {
    [Released { account: account(), lane: lane() }]
}

#[tokio::test]
async fn g3_dependents_wait_for_their_message_and_are_let_go_in_order_with_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let awaits = || Awaited::Message(message(ALICE, "m"));
    for n in [1, 2] {
        assert_eq!(store.park_if_absent(parked(n, awaits())).await.unwrap(), Parked::Waits);
        assert!(store.is_parked(id(n)).await.unwrap());
    }
    let original = NewCopy { is_original: true, receipt: None, ..copy(1, ALICE, "m", 0, 0) };
    assert_eq!(store.record_copies(vec![original]).await.unwrap(), released());
    assert_eq!(held(&store).await, [1, 2]);
    assert!(!store.is_parked(id(1)).await.unwrap(), "it is held now");
    assert_eq!(store.park_if_absent(parked(3, awaits())).await.unwrap(), Parked::Here);
    drop(store);
    assert_eq!(held(&open(folder.path())).await, [1, 2], "a crash after the release loses nothing");
}

/// One that its queue refused at first comes behind the other, and is parked before it: it was its turn.
#[tokio::test]
async fn g3_dependents_are_let_go_in_the_order_of_their_turns_whenever_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (n, since) in [(1, 20), (2, 10)] {
        let one = NewParked { since, ..parked(n, Awaited::Message(message(ALICE, "m"))) };
        assert_eq!(store.park_if_absent(one).await.unwrap(), Parked::Waits);
    }
    store.record_copies(vec![copy(1, ALICE, "m", 0, 0)]).await.unwrap();
    assert_eq!(held(&store).await, [1, 2]);
}

#[tokio::test]
async fn g3_a_dependent_waits_for_the_end_of_the_dispatch_that_brings_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let carrier = new_dispatch(9, None);
    let awaits = || Awaited::End(id(9));
    assert_eq!(store.park_if_absent(parked(1, awaits())).await.unwrap(), Parked::Waits);
    store.begin(carrier.clone(), 1).await.unwrap();
    let sent = RequestOutcome::Sent { native_ids: vec!["n".into()] };
    let half = store.outcome(carrier.id, carrier.time, 0, sent.clone(), vec![], None);
    assert_eq!(half.await.unwrap().released, [], "a part of it is not the end");
    let done = Some(DispatchState::Done);
    let whole = store.outcome(carrier.id, carrier.time, 0, sent, vec![], done);
    assert_eq!(whole.await.unwrap().released, released());
    assert_eq!(held(&store).await, [1]);
    assert_eq!(store.park_if_absent(parked(2, awaits())).await.unwrap(), Parked::Here);
    store.park_if_absent(parked(3, Awaited::End(id(8)))).await.unwrap();
    let dead = store.finish(id(8), now(), DispatchState::Dead);
    assert_eq!(dead.await.unwrap(), released(), "an end is an end, well or not");
}

#[tokio::test]
async fn a_dependent_that_waited_long_enough_is_let_go_without_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let awaits = Awaited::Message(message(ALICE, "never"));
    store.park_if_absent(parked(1, awaits)).await.unwrap();
    assert_eq!(store.parked_expired(99).await.unwrap(), []);
    assert_eq!(store.parked_expired(100).await.unwrap(), released());
    assert_eq!(held(&store).await, [1]);
}

#[tokio::test]
async fn a_held_row_that_cannot_be_opened_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let body =
        |n| HeldBody { dispatch: id(n), body: vec![n], held_at: 5, attempts: 0, first: false };
    let (stage, bodies) = (HeldStage::Deliver, [1, 2, 3].map(body).to_vec());
    let seqs = store.hold(stage, lane(), &account(), bodies).await.unwrap();
    drop(store);
    let damage = "UPDATE held SET value = x'00' WHERE seq = (SELECT min(seq) FROM held)";
    let path = folder.path().join("interline.db");
    rusqlite::Connection::open(path).unwrap().execute_batch(damage).unwrap();
    let store = open(folder.path());
    assert_eq!(held(&store).await, [2, 3]);
    let behind = store.held_peek(stage, lane(), Some(seqs[1]), 9).await.unwrap();
    assert_eq!(behind.iter().map(|row| row.dispatch).collect::<Vec<_>>(), [id(3)]);
    assert_eq!(store.held_lanes(stage, Some(&account())).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_parked_row_that_cannot_be_opened_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let waits = |n| parked(n, Awaited::Message(message(ALICE, "m")));
    store.park_if_absent(waits(1)).await.unwrap();
    store.park_if_absent(waits(2)).await.unwrap();
    drop(store);
    let damage = "UPDATE parked SET value = x'00' WHERE seq = (SELECT min(seq) FROM parked)";
    let path = folder.path().join("interline.db");
    rusqlite::Connection::open(path).unwrap().execute_batch(damage).unwrap();
    let store = open(folder.path());
    assert_eq!(store.parked_expired(i64::MAX).await.unwrap(), released());
    assert_eq!(held(&store).await, [2]);
}

#[tokio::test]
async fn g5_a_held_row_that_is_parked_is_in_one_place_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let body = HeldBody { dispatch: id(1), body: vec![1], held_at: 5, attempts: 0, first: false };
    let seqs = store.hold(HeldStage::Deliver, lane(), &account(), vec![body]).await.unwrap();
    let awaits = Awaited::Message(message(ALICE, "m"));
    let from_held = NewParked { held: Some(seqs[0]), ..parked(1, awaits) };
    assert_eq!(store.park_if_absent(from_held).await.unwrap(), Parked::Waits);
    assert_eq!(held(&store).await, [0; 0]);
    store.parked_expired(100).await.unwrap();
    assert_eq!(held(&store).await, [1]);
    assert_eq!(store.info().await.unwrap().parked_rows, 0);
}

/// Its time was up while nothing could be sent for its account: another was parked meanwhile.
#[tokio::test]
async fn g3_what_is_parked_once_more_stands_before_what_was_parked_since() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let awaits = || Awaited::Message(message(ALICE, "m"));
    store.park_if_absent(parked(1, awaits())).await.unwrap();
    store.parked_expired(100).await.unwrap();
    store.park_if_absent(parked(2, awaits())).await.unwrap();
    let rows = store.held_peek(HeldStage::Deliver, lane(), None, 9).await.unwrap();
    let again = NewParked { held: Some(rows[0].seq), ..parked(1, awaits()) };
    assert_eq!(store.park_if_absent(again).await.unwrap(), Parked::Waits);
    let original = NewCopy { is_original: true, receipt: None, ..copy(1, ALICE, "m", 0, 0) };
    store.record_copies(vec![original]).await.unwrap();
    assert_eq!(held(&store).await, [1, 2]);
}

#[tokio::test]
async fn g9_parked_rows_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { parked_rows_max: 1, ..Settings::default() };
    let path = folder.path().join("s.db");
    let store = SqliteStore::open(&path, &RootKey::published_test_key(), &settings).unwrap();
    let awaits = || Awaited::Message(message(ALICE, "m"));
    store.park_if_absent(parked(1, awaits())).await.unwrap();
    let full = store.park_if_absent(parked(2, awaits())).await;
    assert!(matches!(full, Err(StoreError::ParkedFull { max: 1 })));
}

#[tokio::test]
async fn a_message_that_was_taken_back_before_it_came_never_begins_and_lets_its_dependents_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let gone = message(ALICE, "m");
    store.bury(&gone.account, &gone.chat, &gone.native_id, now()).await.unwrap();
    store.park_if_absent(parked(1, Awaited::End(id(9)))).await.unwrap();
    let new = NewDispatch { carries: Some(gone), ..new_dispatch(9, None) };
    assert_eq!(store.begin(new, 1).await.unwrap(), (Begun::TakenBack, released().to_vec()));
    assert_eq!(store.state_of(id(9)).await.unwrap(), Some(DispatchState::Refused));
}

async fn recognised(store: &SqliteStore, native_id: &str, likeness: &str) -> EchoOf {
    recognised_at(store, native_id, likeness, 1_000).await
}

async fn recognised_at(store: &SqliteStore, native_id: &str, likeness: &str, time: i64) -> EchoOf {
    let message = message(BOB, native_id);
    store.recognise_echo(message, Some(likeness.into()), time).await.unwrap()
}

#[tokio::test]
async fn g5_an_echo_that_looks_like_an_open_send_settles_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, Some("text:hello"));
    store.begin(new.clone(), 10).await.unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(recognised(&store, "x", "text:bye").await, EchoOf::Undecided);
    for _ in 0..2 {
        let same = recognised(&store, "n", "text:hello").await;
        assert_eq!(same, EchoOf::Ours, "also when it comes twice before its copy is recorded");
    }
    let row = store.dispatch(new.id, new.time).await.unwrap().unwrap();
    assert_eq!(
        row.requests[0].state,
        RequestState::Sent { native_ids: vec!["n".into()], at: Some(10) }
    );
    assert_eq!(recognised(&store, "x", "text:bye").await, EchoOf::SomebodyElse);
}

#[tokio::test]
async fn an_echo_of_what_is_known_is_ours_and_after_its_outcome_a_send_is_open_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, Some("text:hello"));
    store.begin(new.clone(), 10).await.unwrap();
    let sent = RequestOutcome::Sent { native_ids: vec!["n".into()] };
    let copies = vec![copy(1, BOB, "n", 1, now())];
    store.outcome(new.id, new.time, 0, sent, copies, None).await.unwrap();
    assert_eq!(recognised(&store, "n", "text:hello").await, EchoOf::Ours);
    assert_eq!(recognised(&store, "other", "text:hello").await, EchoOf::SomebodyElse);
}

#[tokio::test]
async fn g5_a_send_that_is_tried_again_still_knows_its_first_echo() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, Some("text:hello"));
    store.begin(new.clone(), 10).await.unwrap();
    let again = RequestOutcome::Uncertain;
    store.outcome(new.id, new.time, 0, again, vec![], None).await.unwrap();
    assert_eq!(recognised(&store, "n", "text:hello").await, EchoOf::Ours);
    let intent = store.intend(new.id, new.time, 0, 20).await.unwrap();
    let native_ids = vec!["n".into()];
    assert_eq!(intent, interline_store::Intent::AlreadySent { native_ids });
}

#[tokio::test]
async fn g5_an_echo_that_is_older_than_a_send_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.begin(new_dispatch(1, Some("text:ok")), 50_000).await.unwrap();
    assert_eq!(recognised_at(&store, "old", "text:ok", 48_999).await, EchoOf::Undecided);
    assert_eq!(recognised_at(&store, "own", "text:ok", 49_000).await, EchoOf::Ours);
}

#[tokio::test]
async fn g5_the_late_echo_of_a_send_that_was_made_twice_settles_no_other_send() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let twice = new_dispatch(1, Some("text:ok"));
    store.begin(twice.clone(), 10).await.unwrap();
    let again = RequestOutcome::Uncertain;
    store.outcome(twice.id, twice.time, 0, again, vec![], None).await.unwrap();
    store.intend(twice.id, twice.time, 0, 20).await.unwrap();
    let sent = RequestOutcome::Sent { native_ids: vec!["second".into()] };
    let done = Some(DispatchState::Done);
    store.outcome(twice.id, twice.time, 0, sent, vec![], done).await.unwrap();
    let next = new_dispatch(2, Some("text:ok"));
    store.begin(next.clone(), 30).await.unwrap();
    assert_eq!(recognised(&store, "first", "text:ok").await, EchoOf::Ours);
    let row = store.dispatch(next.id, next.time).await.unwrap().unwrap();
    assert_eq!(row.requests[0].state, RequestState::Intended { at: 30 });
    assert_eq!(recognised(&store, "next", "text:ok").await, EchoOf::Ours);
    let row = store.dispatch(next.id, next.time).await.unwrap().unwrap();
    assert_eq!(
        row.requests[0].state,
        RequestState::Sent { native_ids: vec!["next".into()], at: Some(30) }
    );
}

/// Of the first two, ten minutes apart, nobody knows; the third was refused; then the echo of the second comes.
#[tokio::test]
async fn g5_an_echo_settles_its_message_also_where_an_older_send_of_it_is_of_unknown_fate() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, Some("text:ok"));
    store.begin(new.clone(), 10).await.unwrap();
    let outcome = |outcome| store.outcome(new.id, new.time, 0, outcome, vec![], None);
    for (what, at) in [(RequestOutcome::Uncertain, 600_000), (RequestOutcome::Uncertain, 700_000)] {
        outcome(what).await.unwrap();
        store.intend(new.id, new.time, 0, at).await.unwrap();
    }
    outcome(RequestOutcome::NotSent).await.unwrap();
    assert_eq!(recognised_at(&store, "n", "text:ok", 601_000).await, EchoOf::Ours);
    let row = store.dispatch(new.id, new.time).await.unwrap().unwrap();
    assert!(matches!(row.requests[0].state, RequestState::Sent { .. }));
}

/// Of the first nobody knows; the second was refused; then an echo comes, of the first or of the third.
#[tokio::test]
async fn g5_an_echo_settles_its_message_whichever_of_its_sends_it_is_of() {
    for tried_again in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let new = new_dispatch(1, Some("text:ok"));
        store.begin(new.clone(), 10).await.unwrap();
        for (outcome, at) in [(RequestOutcome::Uncertain, 20), (RequestOutcome::NotSent, 30)] {
            store.outcome(new.id, new.time, 0, outcome, vec![], None).await.unwrap();
            if tried_again || at == 20 {
                store.intend(new.id, new.time, 0, at).await.unwrap();
            }
        }
        assert_eq!(recognised(&store, "n", "text:ok").await, EchoOf::Ours);
        let row = store.dispatch(new.id, new.time).await.unwrap().unwrap();
        assert!(matches!(row.requests[0].state, RequestState::Sent { .. }), "{tried_again}");
    }
}

/// Nobody knows of the first, the second was refused, and the account pauses: somebody writes the same by hand.
#[tokio::test]
async fn g5_what_is_written_by_hand_much_later_settles_no_send_that_was_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, Some("media:image,"));
    store.begin(new.clone(), 10).await.unwrap();
    let outcome = |outcome| store.outcome(new.id, new.time, 0, outcome, vec![], None);
    outcome(RequestOutcome::Uncertain).await.unwrap();
    store.intend(new.id, new.time, 0, 20).await.unwrap();
    outcome(RequestOutcome::NotSent).await.unwrap();
    assert_eq!(recognised_at(&store, "n", "media:image,", 90_000).await, EchoOf::Ours);
    let row = store.dispatch(new.id, new.time).await.unwrap().unwrap();
    assert_eq!(row.requests[0].state, RequestState::Planned);
}

fn read_by_all(copy: &str) -> ReadByAll {
    ReadByAll { author: address(ALICE), copy: copy.into() }
}

#[tokio::test]
async fn a_receipt_says_the_same_until_it_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let sent = [("a", 10), ("b", 20), ("c", 30)];
    for (n, (native_id, at)) in (1..).zip(sent) {
        store.record_copies(vec![copy(n, BOB, native_id, 1, at)]).await.unwrap();
    }
    let (bob, until) = (address(BOB), ReadUpTo::Time(20));
    for _ in 0..2 {
        let read = store.read(&bob, until.clone(), now()).await.unwrap();
        assert_eq!(read.by_all, [read_by_all("a"), read_by_all("b")]);
        assert_eq!(read.last, Some("b".into()));
    }
    // It was under way when the person read, and is recorded before that is noted.
    store.record_copies(vec![copy(4, BOB, "d", 1, 20)]).await.unwrap();
    store.read_noted(&bob, "b".into()).await.unwrap();
    assert_eq!(store.read(&bob, until, now()).await.unwrap(), Reading::default());
    let fourth = ReadUpTo::Message("d".into());
    let read = store.read(&bob, fourth, now()).await.unwrap();
    assert_eq!(read.by_all, [read_by_all("c"), read_by_all("d")]);
    let foreign = ReadUpTo::Message("unknown".into());
    assert_eq!(store.read(&bob, foreign, now()).await.unwrap(), Reading::default());
}

#[tokio::test]
async fn a_copy_has_the_time_of_its_intent_also_where_its_marker_came_before_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, None);
    store.begin(new.clone(), 10).await.unwrap();
    store.settle(new.id, 0, vec!["b".into()]).await.unwrap();
    let sent = RequestOutcome::Sent { native_ids: vec!["b".into()] };
    // The answer was lost, and what the marker said was looked up much later.
    let copies = vec![copy(1, BOB, "b", 1, 99)];
    store.outcome(new.id, new.time, 0, sent, copies, None).await.unwrap();
    let read = store.read(&address(BOB), ReadUpTo::Time(20), now()).await.unwrap();
    assert_eq!(read.by_all, [read_by_all("b")]);
}

#[tokio::test]
async fn what_only_has_its_place_among_what_was_read_is_nobodys_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let copies = vec![copy(1, BOB, "a", 1, 10), copy(2, BOB, "b", 0, 20)];
    store.record_copies(copies).await.unwrap();
    let read = store.read(&address(BOB), ReadUpTo::Message("b".into()), now()).await.unwrap();
    assert_eq!(read, Reading { by_all: vec![read_by_all("a")], last: Some("b".into()) });
}

#[tokio::test]
async fn where_several_listen_a_message_is_read_when_all_have_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let copies = vec![copy(1, BOB, "b", 2, 10), copy(1, CAROL, "c", 2, 10)];
    store.record_copies(copies).await.unwrap();
    let (bob, carol) = (address(BOB), address(CAROL));
    let bobs = ReadUpTo::Message("b".into());
    assert_eq!(store.read(&bob, bobs.clone(), now()).await.unwrap().by_all, []);
    store.read_noted(&bob, "b".into()).await.unwrap();
    assert_eq!(store.read(&bob, bobs, now()).await.unwrap().by_all, [], "one person counts once");
    let carols = store.read(&carol, ReadUpTo::Time(10), now()).await.unwrap().by_all;
    assert_eq!(carols, [read_by_all("c")]);
}

#[tokio::test]
async fn g9_the_unread_copies_of_a_chat_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..100_u8 {
        store.record_copies(vec![copy(n, BOB, &format!("m{n}"), 1, n.into())]).await.unwrap();
    }
    let read = store.read(&address(BOB), ReadUpTo::Time(1_000), now()).await.unwrap();
    assert_eq!(read.by_all.len(), 64);
    assert_eq!(read.by_all[63], read_by_all("m99"));
}
