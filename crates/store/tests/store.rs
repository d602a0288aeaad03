//! What the store promises, run over the trait, so that every implementation passes the same tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use interline_envelope::{AccountRef, Address, DispatchId, EnvelopeId, LaneId, Redacted, RootKey};
use interline_store::{
    Begun, DispatchState, HeldBody, HeldStage, Intent, NewCopy, NewDispatch, RequestOutcome,
    RequestPlan, RequestState, Settings, Settled, SqliteStore, Store, StoreError, Turn,
};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 86_400_000;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(
        &folder.join("interline.db"),
        &RootKey::published_test_key(),
        &Settings::default(),
    )
    .unwrap()
}

fn dispatch_id(n: u8) -> DispatchId {
    DispatchId::from_bytes([n; 16])
}

fn lane() -> LaneId {
    LaneId::from_bytes([7; 8])
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

const BOB: &str = "instagram/17/1700";

fn account() -> AccountRef {
    address("whatsapp/1065/1").account
}

fn new_dispatch(n: u8, requests: usize) -> NewDispatch {
    let plans = (0..requests)
        .map(|n| RequestPlan { body: format!("plan {n}").into_bytes(), likeness: None })
        .collect();
    NewDispatch {
        id: dispatch_id(n),
        time: now(),
        to: address(BOB),
        plans,
        carries: None,
        reaction: None,
    }
}

fn copy(native_id: &str, to: &str, part: u16) -> NewCopy {
    let participant = address(to);
    NewCopy {
        account: participant.account.clone(),
        chat: participant.user.clone(),
        native_id: native_id.into(),
        envelope: EnvelopeId::from_bytes([3; 16]),
        participant,
        part,
        excerpt: Some("hello".into()),
        author: Some("Alice".into()),
        is_original: false,
        writer: address(BOB),
        receipt: None,
        at: now(),
    }
}

fn sent(native_id: &str) -> RequestOutcome {
    RequestOutcome::Sent { native_ids: vec![native_id.into()] }
}

#[tokio::test]
async fn g5_a_dispatch_resumes_after_a_restart_with_the_plan_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let new = new_dispatch(1, 3);
    let store = open(folder.path());
    store.begin(new.clone(), 10).await.unwrap();
    store.outcome(new.id, new.time, 0, sent("n0"), vec![], None).await.unwrap();
    store.intend(new.id, new.time, 1, 20).await.unwrap();
    drop(store);
    let row = open(folder.path()).dispatch(new.id, new.time).await.unwrap().unwrap();
    assert_eq!(row.state, DispatchState::Open);
    let states: Vec<_> = row.requests.iter().map(|request| request.state.clone()).collect();
    assert_eq!(
        states,
        [
            RequestState::Sent { native_ids: vec!["n0".into()], at: Some(10) },
            RequestState::Intended { at: 20 },
            RequestState::Planned
        ]
    );
    assert_eq!(row.requests[2].plan, b"plan 2");
}

#[tokio::test]
async fn g2_what_is_done_stays_known_as_done_and_forgets_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, 1);
    assert_eq!(store.dispatch(new.id, new.time).await.unwrap(), None);
    store.begin(new.clone(), 10).await.unwrap();
    store.outcome(new.id, new.time, 0, sent("n"), vec![], Some(DispatchState::Done)).await.unwrap();
    let row = store.dispatch(new.id, new.time).await.unwrap().unwrap();
    assert_eq!((row.state, row.requests.len()), (DispatchState::Done, 0));
}

#[tokio::test]
async fn g5_a_marker_that_came_back_wins_over_a_later_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, 1);
    store.begin(new.clone(), 10).await.unwrap();
    assert_eq!(store.settle(new.id, 0, vec!["n".into()]).await.unwrap(), Settled::Recorded);
    assert_eq!(store.settle(new.id, 0, vec!["n".into()]).await.unwrap(), Settled::AlreadyKnown);
    store.outcome(new.id, new.time, 0, RequestOutcome::NotSent, vec![], None).await.unwrap();
    let row = store.dispatch(new.id, new.time).await.unwrap().unwrap();
    assert_eq!(
        row.requests[0].state,
        RequestState::Sent { native_ids: vec!["n".into()], at: Some(10) }
    );
    assert_eq!(store.settle(dispatch_id(9), 0, vec![]).await.unwrap(), Settled::Unknown);
    let plan = store.plan_of(new.id, 0).await.unwrap();
    assert_eq!(plan.as_ref(), new.plans.first().map(|plan| &plan.body));
    assert_eq!(store.plan_of(new.id, 99).await.unwrap(), None);
    assert_eq!(store.plan_of(dispatch_id(9), 0).await.unwrap(), None);
}

#[tokio::test]
async fn a_dead_dispatch_opens_again_for_a_replay_and_what_was_sent_stays_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, 2);
    store.begin(new.clone(), 10).await.unwrap();
    store.outcome(new.id, new.time, 0, sent("n0"), vec![], None).await.unwrap();
    store.outcome(new.id, new.time, 1, RequestOutcome::Rejected, vec![], None).await.unwrap();
    store.finish(new.id, new.time, DispatchState::Dead).await.unwrap();
    store.reopen(new.id, new.time).await.unwrap();
    let row = store.dispatch(new.id, new.time).await.unwrap().unwrap();
    assert_eq!(row.state, DispatchState::Open);
    assert!(matches!(row.requests[0].state, RequestState::Sent { .. }));
    assert_eq!(row.requests[1].state, RequestState::Planned);
    // One of unknown fate was held for the operator, who now sends it.
    let held = new_dispatch(3, 1);
    store.begin(held.clone(), 10).await.unwrap();
    store.finish(held.id, held.time, DispatchState::Dead).await.unwrap();
    store.reopen(held.id, held.time).await.unwrap();
    let row = store.dispatch(held.id, held.time).await.unwrap().unwrap();
    assert_eq!(row.requests[0].state, RequestState::Planned);
    // One that died before it had a plan is planned anew.
    store.finish(dispatch_id(2), new.time, DispatchState::Dead).await.unwrap();
    store.reopen(dispatch_id(2), new.time).await.unwrap();
    assert_eq!(store.dispatch(dispatch_id(2), new.time).await.unwrap(), None);
}

#[tokio::test]
async fn a_dispatch_with_a_wrong_clock_is_found_again_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (n, time) in [(1, 0), (2, now() + 400 * DAY_MS), (3, now() - 30 * DAY_MS), (4, -5)] {
        let new = NewDispatch { time, ..new_dispatch(n, 0) };
        store.begin(new, 1).await.unwrap();
        assert!(store.dispatch(dispatch_id(n), time).await.unwrap().is_some(), "{time}");
    }
    store.retain(now()).await.unwrap();
    assert!(store.dispatch(dispatch_id(1), 0).await.unwrap().is_some());
}

#[tokio::test]
async fn copies_are_found_from_both_ends_in_the_order_of_their_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let bob = "instagram/17/1700";
    store
        .record_copies(vec![
            copy("b1", bob, 1),
            copy("b0", bob, 0),
            copy("a", "whatsapp/1065/1555", 0),
        ])
        .await
        .unwrap();
    // Recording again changes nothing.
    store.record_copies(vec![copy("b1", bob, 1)]).await.unwrap();
    let known = store
        .envelope_of(&address(bob).account, &"1700".into(), &"b1".into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((known.envelope, known.part), (EnvelopeId::from_bytes([3; 16]), 1));
    assert_eq!(known.excerpt, Some("hello".into()));
    let natives: Vec<_> = store
        .copies_of(known.envelope, &address(bob))
        .await
        .unwrap()
        .into_iter()
        .map(|copy| copy.native_id.into_exposed())
        .collect();
    assert_eq!(natives, ["b0", "b1"]);
    assert_eq!(store.envelope_of(&account(), &"1700".into(), &"b1".into()).await.unwrap(), None);
}

#[tokio::test]
async fn old_days_are_dropped_and_younger_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (old, young) = (now() - 40 * DAY_MS, now() - 20 * DAY_MS);
    store
        .record_copies(vec![NewCopy { at: old, ..copy("old", "instagram/17/1", 0) }])
        .await
        .unwrap();
    store
        .record_copies(vec![NewCopy { at: young, ..copy("young", "instagram/17/2", 0) }])
        .await
        .unwrap();
    store.retain(now()).await.unwrap();
    let account = address("instagram/17/1").account;
    assert_eq!(store.envelope_of(&account, &"1".into(), &"old".into()).await.unwrap(), None);
    assert!(store.envelope_of(&account, &"2".into(), &"young".into()).await.unwrap().is_some());
}

fn body(n: u8) -> HeldBody {
    HeldBody { dispatch: dispatch_id(n), body: vec![n; 20], held_at: 5, attempts: 2, first: false }
}

#[tokio::test]
async fn a_held_row_is_found_by_its_dispatch_in_its_own_lane_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let bodies = (1..=40).map(body).collect();
    let seqs = store.hold(HeldStage::Deliver, lane(), &account(), bodies).await.unwrap();
    let find = async |stage, lane, n| store.held_find(stage, lane, dispatch_id(n)).await.unwrap();
    let row = find(HeldStage::Deliver, lane(), 40).await.unwrap();
    assert_eq!((row.seq, row.body, row.attempts), (seqs[39], vec![40; 20], 2));
    assert!(find(HeldStage::Deliver, lane(), 41).await.is_none());
    assert!(find(HeldStage::Relay, lane(), 40).await.is_none());
    assert!(find(HeldStage::Deliver, LaneId::from_bytes([8; 8]), 40).await.is_none());
}

#[tokio::test]
async fn g3_held_rows_keep_their_order_over_a_restart_and_each_dispatch_is_held_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.hold(HeldStage::Deliver, lane(), &account(), vec![body(1), body(2)]).await.unwrap();
    let seqs =
        store.hold(HeldStage::Deliver, lane(), &account(), vec![body(2), body(3)]).await.unwrap();
    store.hold(HeldStage::Relay, lane(), &account(), vec![body(9)]).await.unwrap();
    drop(store);
    let store = open(folder.path());
    let rows = store.held_peek(HeldStage::Deliver, lane(), None, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.dispatch).collect::<Vec<_>>(), [1, 2, 3].map(dispatch_id));
    assert_eq!(rows[1].seq, seqs[0]);
    assert_eq!((rows[0].held_at, rows[0].attempts, rows[0].account.clone()), (5, 2, account()));
    let lanes = store.held_lanes(HeldStage::Deliver, Some(&account())).await.unwrap();
    assert_eq!((lanes.len(), lanes[0].rows), (1, 3));
    assert!(
        store
            .held_lanes(HeldStage::Deliver, Some(&address("instagram/1/1").account))
            .await
            .unwrap()
            .is_empty()
    );
    store.held_release(HeldStage::Deliver, lane(), rows[0].seq).await.unwrap();
    assert_eq!(
        store.held_peek(HeldStage::Deliver, lane(), None, 1).await.unwrap()[0].dispatch,
        dispatch_id(2)
    );
}

#[tokio::test]
async fn g9_held_rows_are_bounded_and_a_refused_batch_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { held_rows_max: 3, ..Settings::default() };
    let path = folder.path().join("s.db");
    let store = SqliteStore::open(&path, &RootKey::published_test_key(), &settings).unwrap();
    store.hold(HeldStage::Deliver, lane(), &account(), vec![body(1), body(2)]).await.unwrap();
    let full = store.hold(HeldStage::Deliver, lane(), &account(), vec![body(3), body(4)]).await;
    assert!(matches!(full, Err(StoreError::HeldFull { max: 3 })));
    assert_eq!(store.info().await.unwrap().held_rows, 2);
}

#[tokio::test]
async fn g9_one_blocked_lane_leaves_room_for_the_others_once_half_of_all_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { held_rows_max: 1_000, ..Settings::default() };
    let path = folder.path().join("s.db");
    let store = SqliteStore::open(&path, &RootKey::published_test_key(), &settings).unwrap();
    let bodies = |from: u8, to: u8| (from..to).map(body).collect::<Vec<_>>();
    let lanes = |n: u8| LaneId::from_bytes([n; 8]);
    let hold = |lane: LaneId, bodies| {
        let store = &store;
        async move { store.hold(HeldStage::Deliver, lane, &account(), bodies).await }
    };
    hold(lanes(1), bodies(0, 250)).await.unwrap();
    hold(lanes(2), bodies(0, 250)).await.unwrap();
    hold(lanes(3), bodies(0, 250)).await.unwrap();
    hold(lanes(1), bodies(250, 255)).await.unwrap();
    let other = |n: u8| {
        let mut id = [255; 16];
        id[0] = n;
        HeldBody { dispatch: DispatchId::from_bytes(id), ..body(n) }
    };
    let full = hold(lanes(1), (0..8).map(other).collect()).await;
    assert!(matches!(full, Err(StoreError::HeldFull { max: 1_000 })), "{full:?}");
    hold(lanes(4), bodies(0, 100)).await.unwrap();
    assert_eq!(store.info().await.unwrap().held_rows, 855);
}

#[tokio::test]
async fn a_message_that_was_taken_back_before_it_came_stays_buried() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (chat, native): (Redacted<String>, Redacted<String>) = ("1".into(), "n".into());
    assert!(!store.is_buried(&account(), &chat, &native).await.unwrap());
    store.bury(&account(), &chat, &native, now()).await.unwrap();
    assert!(store.is_buried(&account(), &chat, &native).await.unwrap());
}

#[tokio::test]
async fn g10_an_event_that_stays_open_is_counted_once_a_run() {
    let folder = tempfile::tempdir().unwrap();
    for run in 0..4 {
        let store = open(folder.path());
        let keys = vec![[1; 16], [1; 16], [2; 16]];
        let opened = store.events_opened(keys, 9).await.unwrap();
        assert_eq!(opened, [run, run, 0], "twice in one run counts once");
        store.events_closed(vec![[2; 16]]).await.unwrap();
    }
    assert_eq!(open(folder.path()).events_opened(vec![[2; 16]], 9).await.unwrap(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_store_in_memory_takes_turns_and_keeps_its_rows_for_the_next_run() {
    let turns = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let taken = || turns.load(std::sync::atomic::Ordering::SeqCst);
    let turn = || -> Turn {
        let turns = turns.clone();
        std::sync::Arc::new(move || {
            turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Box::pin(tokio::task::yield_now())
        })
    };
    let root = RootKey::published_test_key();
    let first = SqliteStore::in_memory(&root, &Settings::default(), turn()).unwrap();
    first.begin(new_dispatch(1, 1), 1).await.unwrap();
    assert_eq!(first.events_opened(vec![[1; 16]], 9).await.unwrap(), [0]);
    assert_eq!(taken(), 4, "one before and one behind each operation");
    let second = first.next_run(turn()).unwrap().unwrap();
    drop(first);
    assert_eq!(second.events_opened(vec![[1; 16]], 9).await.unwrap(), [1]);
    assert!(second.dispatch(dispatch_id(1), now()).await.unwrap().is_some());
}

#[tokio::test]
async fn g10_what_stands_behind_a_suspect_event_does_not_count_as_open() {
    let folder = tempfile::tempdir().unwrap();
    let keys = || vec![[1; 16], [2; 16], [3; 16]];
    for run in 0..2 {
        assert_eq!(open(folder.path()).events_opened(keys(), 2).await.unwrap(), [run; 3]);
    }
    for run in 2..5 {
        assert_eq!(open(folder.path()).events_opened(keys(), 2).await.unwrap(), [run]);
    }
    let behind = open(folder.path()).events_opened(vec![[2; 16]], 2).await.unwrap();
    assert_eq!(behind, [2], "its count stands still while another one is tried");
}

#[tokio::test]
async fn second_ids_of_people_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let alice = address("whatsapp/1065/15550001111");
    open(folder.path()).bind(&alice, &"US.1349".into()).await.unwrap();
    assert_eq!(open(folder.path()).bindings().await.unwrap(), [(alice, "US.1349".into())]);
}

#[tokio::test]
async fn a_store_is_locked_to_one_process_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let path = folder.path().join("interline.db");
    let error =
        SqliteStore::open(&path, &RootKey::published_test_key(), &Settings::default()).unwrap_err();
    assert!(error.to_string().contains("in use by another interline"), "{error}");
}

#[tokio::test]
async fn another_root_key_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("interline.db");
    let other = RootKey::from_bytes(&[9; 32]).unwrap();
    let error = SqliteStore::open(&path, &other, &Settings::default()).unwrap_err();
    assert!(matches!(error, StoreError::WrongKey { .. }) && error.is_config());
    assert!(matches!(SqliteStore::inspect(&path, &other), Err(StoreError::WrongKey { .. })));
    assert_eq!(
        SqliteStore::inspect(&path, &RootKey::published_test_key()).unwrap().schema_version,
        3
    );
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("interline.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error =
        SqliteStore::open(&path, &RootKey::published_test_key(), &Settings::default()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 3, .. }), "{error}");
}

#[tokio::test]
async fn an_operation_that_fails_does_not_fail_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let time = now();
    let (good, bad) = tokio::join!(
        store.finish(dispatch_id(1), time, DispatchState::Done),
        store.intend(dispatch_id(2), time, 0, 1)
    );
    good.unwrap();
    assert!(matches!(bad, Err(StoreError::Unknown)));
    assert!(store.dispatch(dispatch_id(1), time).await.unwrap().is_some());
}

#[tokio::test]
async fn a_closed_store_answers_that_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.close().await.unwrap();
    assert!(matches!(store.bindings().await, Err(StoreError::Closed)));
    store.close().await.unwrap();
}

/// Runs in a child process: writes until it is killed, printing what was acknowledged.
#[tokio::test]
async fn g5_what_the_store_acknowledged_survives_sigkill() {
    use std::io::{BufRead, BufReader, Write};
    if let Ok(folder) = std::env::var("INTERLINE_STORE_CRASH_CHILD") {
        let store = open(Path::new(&folder));
        for n in 0..=u8::MAX {
            for round in 0..200_u8 {
                let mut id = [n; 16];
                id[15] = round;
                let new = NewDispatch { id: DispatchId::from_bytes(id), ..new_dispatch(0, 0) };
                store.begin(new.clone(), 1).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "acked {} {}", new.id, new.time).unwrap();
                out.flush().unwrap();
            }
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "g5_what_the_store_acknowledged_survives_sigkill", "--nocapture"])
        .env("INTERLINE_STORE_CRASH_CHILD", folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut acked = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The first line of the harness may share a line with the first of ours.
        if let Some((_, rest)) = line.split_once("acked ") {
            let (id, time) = rest.split_once(' ').unwrap();
            acked.push((DispatchId::parse(id).unwrap(), time.parse::<i64>().unwrap()));
        }
        if acked.len() == 300 {
            child.kill().unwrap();
            break;
        }
    }
    child.wait().unwrap();
    assert_eq!(acked.len(), 300);
    let store = open(folder.path());
    for (id, time) in acked {
        assert!(
            store.dispatch(id, time).await.unwrap().is_some(),
            "{id} was acknowledged and is gone"
        );
    }
}

#[tokio::test]
async fn many_callers_share_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(folder.path()));
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..=u8::MAX {
        let store = store.clone();
        callers.spawn(async move { store.begin(new_dispatch(n, 1), 1).await });
    }
    let done = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(result) = callers.join_next().await {
            result.unwrap().unwrap();
        }
    });
    done.await.unwrap();
    assert!(store.dispatch(dispatch_id(200), now()).await.unwrap().is_some());
}

#[tokio::test]
async fn g2_a_dispatch_is_known_for_the_whole_of_its_retention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interline.db");
    let key = RootKey::published_test_key();
    let long =
        Settings { dispatch_retention: Duration::from_hours(20 * 24), ..Settings::default() };
    let time = now() - 7 * DAY_MS - DAY_MS * 9 / 10;
    let store = SqliteStore::open(&path, &key, &long).unwrap();
    store.finish(dispatch_id(1), time, DispatchState::Done).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path, &key, &Settings::default()).unwrap();
    store.retain(now()).await.unwrap();
    assert!(store.dispatch(dispatch_id(1), time).await.unwrap().is_some());
}

#[tokio::test]
async fn g5_an_intent_does_not_overwrite_what_a_late_marker_settled() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, 1);
    assert_eq!(store.begin(new.clone(), 1).await.unwrap().0, Begun::Now);
    store.outcome(new.id, new.time, 0, RequestOutcome::NotSent, vec![], None).await.unwrap();
    store.settle(new.id, 0, vec!["n".into()]).await.unwrap();
    let intent = store.intend(new.id, new.time, 0, 2).await.unwrap();
    assert_eq!(intent, Intent::AlreadySent { native_ids: vec!["n".into()] });
}

#[tokio::test]
async fn g2_what_is_done_can_neither_die_nor_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let new = new_dispatch(1, 1);
    store.begin(new.clone(), 1).await.unwrap();
    store.outcome(new.id, new.time, 0, sent("n"), vec![], Some(DispatchState::Done)).await.unwrap();
    store.finish(new.id, new.time, DispatchState::Dead).await.unwrap();
    store.reopen(new.id, new.time).await.unwrap();
    assert_eq!(store.begin(new.clone(), 2).await.unwrap().0, Begun::Before);
    assert_eq!(store.dispatch(new.id, new.time).await.unwrap().unwrap().state, DispatchState::Done);
    // A caller that heard nothing and says it again loses no copy.
    let late = copy("n", "instagram/17/1700", 0);
    let done = Some(DispatchState::Done);
    store.outcome(new.id, new.time, 0, sent("n"), vec![late.clone()], done).await.unwrap();
    let known = store.envelope_of(&late.account, &late.chat, &late.native_id).await.unwrap();
    assert!(known.is_some());
}

#[tokio::test]
async fn copies_are_all_found_when_the_clock_steps_back_over_midnight() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (late, early) = (now(), now() - DAY_MS);
    let bob = "instagram/17/1700";
    store.record_copies(vec![NewCopy { at: late, ..copy("b0", bob, 0) }]).await.unwrap();
    store.record_copies(vec![NewCopy { at: early, ..copy("b1", bob, 1) }]).await.unwrap();
    let found = store.copies_of(EnvelopeId::from_bytes([3; 16]), &address(bob)).await.unwrap();
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn holding_again_what_is_held_works_at_the_bound_too() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { held_rows_max: 2, ..Settings::default() };
    let path = folder.path().join("s.db");
    let store = SqliteStore::open(&path, &RootKey::published_test_key(), &settings).unwrap();
    let bodies = || vec![body(1), body(2)];
    let first = store.hold(HeldStage::Deliver, lane(), &account(), bodies()).await.unwrap();
    let again = store.hold(HeldStage::Deliver, lane(), &account(), bodies()).await.unwrap();
    assert_eq!(again, first);
}

#[tokio::test]
async fn g8_a_store_that_came_from_a_backup_with_open_modes_is_closed_again() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("interline.db");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _store = open(folder.path());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
