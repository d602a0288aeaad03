//! Random conversations through duplicates, reordering, failing platforms and kills; what every phone shows in the end is
//! compared with a small model of what it has to show.
//!
//! A play is performed on one of two grounds. In memory the daemon's stages run on a paused clock, with a broker and
//! platforms that are called and not connected to: thousands of plays a minute, and a seed says nearly all of when things
//! happen. With the program itself only what happens follows from the seed; when is the machine's.
//!
//! `INTERLINE_MODEL_SEED=N` plays that one seed, and with `INTERLINE_MODEL_SEEDS=M` that one and those behind it.
//! `cargo xtask soak` plays many.

mod draw;
mod ground;
mod log;
mod memory;
mod points;
mod process;
mod reference;
mod stage;

use crate::harness::{Seat, instagram, messenger, whatsapp};
use draw::{Act, Failing, HEART, Play, Then};
use ground::BrokerFails;
use interline_sandbox::Kind;
use memory::Memory;
use points::Count;
use process::Process;
use stage::Stage;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

const NAME_ON_WHATSAPP: &str = "Alice";
/// Seeds of an ordinary run with the program.
const SEEDS_OF_PROCESS: u64 = 8;
/// And in memory.
const SEEDS_IN_MEMORY: u64 = 10_000;
/// Plays at a time with the program: most of each is waiting.
const AT_ONCE: usize = 6;
/// A success is told of so often.
const TOLD_EVERY: u64 = 1_000;

/// Markers and echoes have long to come back, also on a machine that is busy: nothing may be doubled.
const DELIVER_LINES: &str = "settle_timeout = \"10s\"\nrequest_timeout = \"2s\"\nparked_max_age = \"1h\"\n\
     retry_backoff_min = \"50ms\"\nretry_backoff_max = \"500ms\"\n";
/// An event that is open at every kill is no poison here.
const RELAY_SECTION: &str = "[relay]\npoison_runs_max = 100\n";

#[test]
fn g5_random_conversations_in_memory_show_in_the_end_what_the_model_says() {
    let (first, count) = seeds(SEEDS_IN_MEMORY);
    let started = Instant::now();
    let next = AtomicU64::new(first);
    let logs = count == 1;
    let threads =
        if logs { 1 } else { std::thread::available_parallelism().map_or(2, usize::from) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed - first >= count {
                        return;
                    }
                    let play = Play::of(seed);
                    // Where one fails the others need not go on.
                    let failed = || {
                        next.store(first + count, Ordering::SeqCst);
                        replay_of(seed)
                    };
                    let perform = || Memory::perform(&play, seed, &Arc::default(), logs);
                    or_fail(&play, perform, failed);
                    if count < 100 || (seed + 1 - first).is_multiple_of(TOLD_EVERY) {
                        report(&play, started);
                    }
                }
            });
        }
    });
}

/// A conversation with one of everything that is about a message, among all three platforms.
fn one_of_everything() -> Play {
    let acts = vec![
        Act::Say { who: 0 },
        Act::Say { who: 2 },
        Act::React { who: 1, to: 0, emoji: HEART },
        Act::Unreact { who: 1, to: 0 },
        Act::Reply { who: 1, to: 1 },
        Act::Edit { who: 2, of: 1 },
        Act::Reply { who: 0, to: 2 },
        Act::React { who: 2, to: 3, emoji: "😂" },
        Act::Unsend { who: 0, of: 0 },
        Act::Photo { who: 0 },
        Act::Photo { who: 1 },
        Act::Say { who: 1 },
    ];
    let cast = vec![Kind::WhatsApp, Kind::Messenger, Kind::Instagram];
    Play { seed: 0, cast, native_edits: true, acts }
}

#[test]
fn g5_a_daemon_that_dies_at_any_step_into_store_broker_or_platform_loses_and_doubles_nothing() {
    let quick = one_of_everything();
    let mut failing = quick.clone();
    let cut = |on| Act::Fails { on, how: Failing::TakesAndCuts, files: false, times: 1, after: 1 };
    failing.acts.splice(0..0, [cut(0), cut(1), cut(2)]);
    for (play, moments) in [(quick, 1), (failing, 2)] {
        let whole = Arc::default();
        Memory::perform(&play, moments, &whole, false);
        let points = whole.passed();
        assert!(points > 200, "{points} points are too few for ten acts among three");
        for point in 1..=points {
            let count = Arc::new(Count::dying_at(point));
            let perform = || {
                Memory::perform(&play, moments, &count, false);
                assert!(count.passed() >= point, "it did not die");
            };
            or_fail(&play, perform, || format!("it dies at point {point}"));
        }
    }
}

/// Performs a play whose acts are given, at a hundred orders of what is under way at the same time.
fn at_a_hundred_moments(cast: &[Kind], acts: &[Act]) {
    let play = Play { seed: 0, cast: cast.to_vec(), native_edits: true, acts: acts.to_vec() };
    for moments in 0..100 {
        let perform = || Memory::perform(&play, moments, &Arc::default(), false);
        or_fail(&play, perform, || format!("at the moments of seed {moments}"));
    }
}

#[test]
fn g3_a_removal_does_not_overtake_the_reaction_that_waited_for_its_message() {
    // The message takes long to be known where it went, and all three wait for it.
    let acts = [
        Act::Fails { on: 0, how: Failing::IsSlow, files: false, times: 1, after: 0 },
        Act::Say { who: 1 },
        Act::React { who: 0, to: 0, emoji: HEART },
        Act::Unreact { who: 0, to: 0 },
        Act::React { who: 0, to: 0, emoji: "👍" },
    ];
    for cast in [
        &[Kind::WhatsApp, Kind::Messenger][..],
        &[Kind::Messenger, Kind::WhatsApp],
        &[Kind::WhatsApp, Kind::Messenger, Kind::Instagram],
    ] {
        at_a_hundred_moments(cast, &acts);
        at_a_hundred_moments(cast, &acts[..4]);
    }
}

#[test]
fn g3_what_the_broker_refused_for_a_moment_keeps_its_place_in_a_lane_that_moved_to_the_store() {
    // All of it comes at once, when the daemon has its first connection. The broker refuses one message of it, and takes
    // those that name it; their lane stands in the store, since its head is of unknown fate.
    for after in (5..20).step_by(3) {
        let acts = [
            Act::Fails { on: 1, how: Failing::TakesAndCuts, files: false, times: 1, after: 0 },
            Act::Broker(BrokerFails::Refuses { after }),
            Act::Say { who: 0 },
            Act::Say { who: 0 },
            Act::React { who: 0, to: 0, emoji: "👍" },
            Act::Say { who: 0 },
            Act::React { who: 0, to: 1, emoji: "😂" },
            Act::Say { who: 0 },
            Act::Unreact { who: 0, to: 0 },
            Act::Say { who: 0 },
        ];
        at_a_hundred_moments(&[Kind::WhatsApp, Kind::Messenger], &acts);
    }
}

#[test]
fn g5_what_is_of_unknown_fate_is_not_sent_again_before_news_of_it_can_come() {
    // The platform takes the message and the answer is lost, as is the connection to the broker, over which its marker
    // would come.
    for moments_before in 0..6 {
        let nothing = Act::Copies { on: 0, copies: 1, rebatch: false };
        let mut acts = vec![
            Act::Fails { on: 1, how: Failing::TakesAndCuts, files: false, times: 1, after: 0 },
            Act::Say { who: 0 },
        ];
        acts.extend(vec![nothing; moments_before]);
        acts.extend([Act::Broker(BrokerFails::IsAway { ms: 40_000 }), Act::Say { who: 0 }]);
        for cast in [[Kind::WhatsApp, Kind::Messenger], [Kind::Messenger, Kind::Instagram]] {
            at_a_hundred_moments(&cast, &acts);
        }
    }
}

#[test]
fn g4_a_photo_waits_for_an_account_that_an_operator_has_to_mend() {
    let dead = |on| Act::Fails { on, how: Failing::WantsToken, files: true, times: 12, after: 0 };
    let acts = [dead(0), Act::Photo { who: 1 }, Act::Say { who: 1 }];
    at_a_hundred_moments(&[Kind::WhatsApp, Kind::Instagram], &acts);
}

#[test]
fn g5_what_failed_later_while_its_answer_was_lost_is_sent_once_more() {
    // Bob is told that his message waits, and Alice gets it once she has written.
    for how in [Failing::TakesAndIsSilent, Failing::TakesAndCuts, Failing::TakesAndAnswersHtml500] {
        let acts = [
            Act::Fails { on: 0, how, files: false, times: 1, after: 0 },
            Act::Misses { who: 0, says: 2 },
        ];
        at_a_hundred_moments(&[Kind::WhatsApp, Kind::Messenger], &acts);
    }
}

#[test]
fn g3_an_answer_that_lets_its_message_pass_keeps_its_place_in_a_lane_that_moves_to_the_store() {
    // The message, which comes behind its answer, is of unknown fate for long, and the broker forgets who had what.
    let acts = [
        Act::Fails { on: 1, how: Failing::TakesAndCuts, files: false, times: 2, after: 0 },
        Act::Reversed { who: 0, then: Then::Reply },
        Act::Say { who: 0 },
        Act::Say { who: 0 },
        Act::Say { who: 0 },
        Act::Broker(BrokerFails::Cuts),
        Act::Say { who: 0 },
    ];
    at_a_hundred_moments(&[Kind::Messenger, Kind::Instagram], &acts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_random_conversations_show_in_the_end_what_the_model_says() {
    let (first, count) = seeds(SEEDS_OF_PROCESS);
    let started = Instant::now();
    let mut left = first..first.saturating_add(count);
    let mut open: HashMap<tokio::task::Id, Play> = HashMap::new();
    let mut plays = JoinSet::new();
    loop {
        while plays.len() < AT_ONCE
            && let Some(seed) = left.next()
        {
            let play = Play::of(seed);
            open.insert(plays.spawn(perform_with_the_program(play.clone())).id(), play);
        }
        let Some(ended) = plays.join_next_with_id().await else { break };
        match ended {
            Ok((id, ())) => report(&open.remove(&id).unwrap(), started),
            Err(error) => {
                let play = open.remove(&error.id()).unwrap();
                fail(&play, &replay_of(play.seed), error.into_panic().as_ref())
            }
        }
    }
}

async fn perform_with_the_program(play: Play) {
    let ground = Process::new(seats(&play.cast)).await;
    Stage::new(&play, ground).perform(&play).await;
}

/// The first seed and how many.
fn seeds(count: u64) -> (u64, u64) {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
    };
    match (number("INTERLINE_MODEL_SEED"), number("INTERLINE_MODEL_SEEDS")) {
        (Some(first), some) => (first, some.unwrap_or(1)),
        (None, some) => (1, some.unwrap_or(count)),
    }
}

/// Where the people of a play are.
fn seats(cast: &[Kind]) -> Vec<Seat> {
    let seat = |kind: &Kind| match kind {
        Kind::WhatsApp => whatsapp(1, NAME_ON_WHATSAPP),
        Kind::Messenger => messenger(1, "Bob"),
        Kind::Instagram => instagram(1, "Carla"),
    };
    cast.iter().map(seat).collect()
}

#[expect(clippy::print_stderr, reason = "whoever soaks for an hour wants to see how far it is")]
fn report(play: &Play, started: Instant) {
    eprintln!(
        "seed {}: {} acts among {} as the model says; {:.1} s since the start",
        play.seed,
        play.acts.len(),
        play.cast.len(),
        started.elapsed().as_secs_f64()
    );
}

fn replay_of(seed: u64) -> String {
    format!("seed {seed} fails; play it again with INTERLINE_MODEL_SEED={seed}")
}

/// Performs a play; where it panics, says which it was and what happens in it.
fn or_fail(play: &Play, perform: impl FnOnce(), which: impl FnOnce() -> String) {
    if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(perform)) {
        fail(play, &which(), panic.as_ref());
    }
}

fn fail(play: &Play, which: &str, panic: &(dyn std::any::Any + Send)) -> ! {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    panic!("{which}\n{words}\n--- what happened ---\n{}", play.told());
}
