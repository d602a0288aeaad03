//! What platforms do wrong: nothing is lost, order is kept, and nothing doubles but a send whose fate nobody tells.
//!
//! A lane sends one message after another, so a phone that shows the last text shows every double of the ones before.

use crate::harness::{
    Broker, Seat, World, against_both_brokers, instagram, messenger, seat, texts, whatsapp,
};
use crate::queues::{Queues, reasons};
use interline_sandbox::{Fault, Kind, Order, Ordered, Seen};
use std::time::Duration;

against_both_brokers! {
    g3_one_stuck_conversation_holds_up_none_of_fifty_others => one_stuck_among_many;
    g5_a_send_that_was_taken_and_cut_off_is_settled_by_its_marker => settled_by_marker;
}

/// One who speaks and one who hears, for each platform as the target.
fn ring() -> Vec<(Seat, Seat)> {
    vec![
        (whatsapp(1, "Alice"), messenger(1, "Bob")),
        (messenger(2, "Carol"), instagram(2, "Dave")),
        (instagram(3, "Erin"), whatsapp(3, "Frank")),
    ]
}

fn conversations(pairs: &[(Seat, Seat)]) -> Vec<(String, Vec<Seat>)> {
    let number =
        |(n, (a, b)): (usize, &(Seat, Seat))| (format!("pair-{n}"), vec![a.clone(), b.clone()]);
    pairs.iter().enumerate().map(number).collect()
}

async fn mock_world(pairs: &[(Seat, Seat)]) -> (Broker, World) {
    let broker = Broker::mock().await.unwrap();
    let world = World::new(&broker.uri(), conversations(pairs)).await;
    (broker, world)
}

/// Orders the fault for everybody who hears.
fn strike(
    world: &World,
    pairs: &[(Seat, Seat)],
    fault: impl Fn(Kind) -> Fault,
    times: u64,
) -> Vec<Ordered> {
    let order = |(_, to): &(Seat, Seat)| {
        let order = Order::next(fault(to.kind)).person(&to.person).times(times);
        world.platforms.of(to.kind).order(order)
    };
    pairs.iter().map(order).collect()
}

/// Says five texts in each conversation and waits until each arrived, once and in order.
async fn five_arrive_once(world: &World, pairs: &[(Seat, Seat)]) {
    for (from, _) in pairs {
        for text in texts("said", 5) {
            world.phone(from).say(text).unwrap();
        }
    }
    for (_, to) in pairs {
        world.until_texts(to, &texts("said", 5)).await;
    }
}

async fn recovers_from(fault: impl Fn(Kind) -> Fault, times: u64, deliver: &str) {
    let pairs = ring();
    let (_broker, mut world) = mock_world(&pairs).await;
    world.deliver =
        format!("retry_backoff_min = \"50ms\"\nretry_backoff_max = \"500ms\"\n{deliver}");
    let orders = strike(&world, &pairs, fault, times);
    world.start();
    five_arrive_once(&world, &pairs).await;
    let struck: Vec<u64> = orders.iter().map(Ordered::struck).collect();
    assert_eq!(struck, [times; 3], "the fault was met on each platform");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_platform_that_answers_html_for_a_while_loses_and_doubles_nothing() {
    recovers_from(|_| Fault::Html500, 3, "settle_timeout = \"200ms\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_platform_that_answers_code_2_for_a_while_loses_and_doubles_nothing() {
    recovers_from(|_| Fault::graph_500(), 4, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_platform_that_answers_an_empty_503_for_a_while_loses_and_doubles_nothing() {
    recovers_from(|_| Fault::Empty503, 3, "settle_timeout = \"200ms\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_platform_that_hangs_and_recovers_loses_and_doubles_nothing() {
    recovers_from(|_| Fault::Hang, 1, "request_timeout = \"4s\"\nsettle_timeout = \"10s\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_platform_that_cuts_connections_unread_loses_and_doubles_nothing() {
    recovers_from(|_| Fault::CutBeforeReading, 3, "settle_timeout = \"200ms\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_an_account_that_is_throttled_for_a_while_loses_and_doubles_nothing() {
    recovers_from(Fault::throttle, 2, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_an_account_over_its_hourly_limit_loses_and_doubles_nothing() {
    let code = |kind| if kind == Kind::WhatsApp { 80_007 } else { 4 };
    recovers_from(|kind| Fault::graph(400, code(kind), None), 2, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_platform_that_refuses_connections_gets_everything_once_it_is_back() {
    let pairs = ring();
    let (_broker, mut world) = mock_world(&pairs).await;
    world.start();
    five_arrive_once(&world, &pairs).await;
    for platform in world.platforms.all() {
        platform.refuse_connections().await;
    }
    for (from, _) in &pairs {
        for text in texts("meanwhile", 5) {
            world.phone(from).say(text).unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for platform in world.platforms.all() {
        platform.answer_again().await.unwrap();
    }
    let wanted: Vec<String> = texts("said", 5).into_iter().chain(texts("meanwhile", 5)).collect();
    for (_, to) in &pairs {
        world.until_texts(to, &wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_pair_that_is_throttled_holds_up_nobody_else_of_its_account() {
    let slow = (messenger(1, "Alice"), whatsapp(1, "Bob"));
    let swift = (messenger(2, "Carol"), whatsapp(2, "Dave"));
    let pairs = [slow.clone(), swift.clone()];
    let (_broker, mut world) = mock_world(&pairs).await;
    let order = Order::next(Fault::throttle_pair()).person(&slow.1.person).until_released();
    let order = world.platforms.whatsapp().order(order);
    world.start();
    for (from, _) in &pairs {
        for text in texts("said", 5) {
            world.phone(from).say(text).unwrap();
        }
    }
    world.until_texts(&swift.1, &texts("said", 5)).await;
    // The throttled pair is tried at least once before it is let go.
    let struck = tokio::time::timeout(
        crate::harness::LIMIT,
        world.platforms.whatsapp().wait_for_counts(|counts| counts.struck > 0),
    );
    assert!(struck.await.is_ok() && order.struck() > 0);
    assert_eq!(world.phone(&slow.1).received_texts(), Vec::<String>::new());
    order.release();
    world.until_texts(&slow.1, &texts("said", 5)).await;
}

async fn settled_by_marker(broker: Broker) {
    let pairs: Vec<_> = ring().into_iter().filter(|(_, to)| to.kind != Kind::Instagram).collect();
    let mut world = World::new(&broker.uri(), conversations(&pairs)).await;
    // Long, so that the marker is what settles it, and never the end of the wait.
    world.deliver = "settle_timeout = \"100s\"\n".to_owned();
    let orders = strike(&world, &pairs, |_| Fault::TakeThenCut, 2);
    world.start();
    five_arrive_once(&world, &pairs).await;
    assert!(orders.iter().all(|order| order.struck() == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_an_html_500_after_the_message_was_taken_is_settled_by_its_marker() {
    let pairs: Vec<_> = ring().into_iter().filter(|(_, to)| to.kind != Kind::Instagram).collect();
    let (_broker, mut world) = mock_world(&pairs).await;
    world.deliver = "settle_timeout = \"100s\"\n".to_owned();
    let orders = strike(&world, &pairs, |_| Fault::TakeThenHtml500, 2);
    world.start();
    five_arrive_once(&world, &pairs).await;
    assert!(orders.iter().all(|order| order.struck() == 2));
}

fn to_instagram() -> Vec<(Seat, Seat)> {
    vec![(whatsapp(1, "Alice"), instagram(1, "Bob"))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_without_marker_and_echo_resend_doubles_the_uncertain_send_and_nothing_else() {
    let pairs = to_instagram();
    let (_broker, mut world) = mock_world(&pairs).await;
    world.platforms.instagram().change_settings(|settings| settings.receipts.sent = false);
    world.deliver = "settle_timeout = \"200ms\"\nuncertain = \"resend\"\n".to_owned();
    let person = &pairs[0].1.person;
    let order = Order::next(Fault::TakeThenCut).person(person).after(2);
    let order = world.platforms.instagram().order(order);
    world.start();
    for text in texts("said", 5) {
        world.phone(&pairs[0].0).say(text).unwrap();
    }
    let wanted = ["said 0", "said 1", "said 2", "said 2", "said 3", "said 4"];
    world.until_texts(&pairs[0].1, &wanted.map(str::to_owned)).await;
    assert_eq!(order.struck(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_without_marker_and_echo_hold_doubles_nothing_and_dead_letters_the_uncertain_sends() {
    let pairs = to_instagram();
    let (broker, mut world) = mock_world(&pairs).await;
    world.platforms.instagram().change_settings(|settings| settings.receipts.sent = false);
    world.deliver = "settle_timeout = \"200ms\"\nuncertain = \"hold\"\n".to_owned();
    let platform = world.platforms.instagram();
    let person = &pairs[0].1.person;
    let taken = platform.order(Order::next(Fault::TakeThenCut).person(person).after(1));
    // What the first order strikes does not count for the second.
    let lost = platform.order(Order::next(Fault::CutBeforeReading).person(person).after(1));
    world.start();
    for text in texts("said", 5) {
        world.phone(&pairs[0].0).say(text).unwrap();
    }
    // The first was taken before it was cut off, the second was not; nobody knows, so both are the operator's.
    let letters = Queues::connect(&broker.uri()).await.until_dead(2).await;
    assert_eq!(reasons(&letters), ["uncertain", "uncertain"], "{letters:#?}");
    assert!(letters.iter().all(|letter| letter.stage == "deliver" && !letter.error.is_empty()));
    assert!(letters.iter().all(|letter| !letter.body.windows(4).any(|word| word == b"said")));
    let wanted = ["said 0", "said 1", "said 3", "said 4"].map(str::to_owned);
    world.until_texts(&pairs[0].1, &wanted).await;
    assert_eq!((taken.struck(), lost.struck()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_an_account_with_a_dead_token_holds_up_no_other_account_of_its_platform() {
    const OTHER: &str = "106540352242999";
    let dead = (messenger(1, "Alice"), whatsapp(1, "Bob"));
    let other = seat(Kind::WhatsApp, OTHER, "15550009001".to_owned(), "Dave");
    let alive = (messenger(2, "Carol"), other);
    let pairs = [dead.clone(), alive.clone()];
    let (broker, mut world) = mock_world(&pairs).await;
    let account = world.platforms.whatsapp().account(&dead.1.account).unwrap();
    account.revoke_token(463);
    world.start();
    for (from, to) in &pairs {
        for text in texts("said", 5) {
            world.phone(from).say(text).unwrap();
        }
        world.phone(to).say("and back").unwrap();
    }
    world.until_texts(&alive.1, &texts("said", 5)).await;
    // What its people say still goes out to others.
    let has_back = |view: &[Seen]| view.iter().any(|seen| seen.text() == Some("and back"));
    for (from, _) in &pairs {
        world.until(from, "what is said to them", has_back).await;
    }
    let wait = world.platforms.whatsapp().wait_for_counts(|counts| counts.refused > 0);
    tokio::time::timeout(crate::harness::LIMIT, wait).await.unwrap();
    assert_eq!(world.phone(&dead.1).received_texts(), Vec::<String>::new());
    account.restore_token();
    world.until_texts(&dead.1, &texts("said", 5)).await;
    let letters = Queues::connect(&broker.uri()).await.dead().await;
    assert_eq!(reasons(&letters), Vec::<&str>::new(), "a dead token is no reason to give up");
}

async fn one_stuck_among_many(broker: Broker) {
    let pairs: Vec<_> = (0..51).map(|n| (whatsapp(n, "Alice"), messenger(n, "Bob"))).collect();
    let (stuck, others) = pairs.split_first().unwrap();
    let mut world = World::new(&broker.uri(), conversations(&pairs)).await;
    world.deliver = "prefetch = 100\nrequest_timeout = \"2m\"\n".to_owned();
    let order = Order::next(Fault::Hang).person(&stuck.1.person).until_released();
    let order = world.platforms.messenger().order(order);
    for text in texts("stuck", 150) {
        world.phone(&stuck.0).say(text).unwrap();
    }
    world.start();
    for (from, _) in others {
        for text in texts("said", 3) {
            world.phone(from).say(text).unwrap();
        }
    }
    for (_, to) in others {
        world.until_texts(to, &texts("said", 3)).await;
    }
    assert!(order.struck() > 0);
    assert_eq!(world.phone(&stuck.1).received_texts(), Vec::<String>::new());
    order.release();
    world.until_texts(&stuck.1, &texts("stuck", 150)).await;
}
