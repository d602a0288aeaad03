//! Budgets: who is early or stuck holds up nobody else, and order is kept.

use crate::harness::{Broker, Seat, World, messenger, texts, whatsapp};
use crate::queues::{Queues, reasons};
use interline_sandbox::{Fault, Order, PairLimit};
use std::time::Duration;

fn conversations(pairs: &[(Seat, Seat)]) -> Vec<(String, Vec<Seat>)> {
    let room = |(n, (a, b)): (usize, &(Seat, Seat))| (format!("c{n}"), vec![a.clone(), b.clone()]);
    pairs.iter().enumerate().map(room).collect()
}

/// Each of these people says so many texts, one after another; how long each took to the other's phone, by the
/// platforms' own clock, in milliseconds, sorted.
async fn latencies(world: &World, pairs: &[(Seat, Seat)], word: &str, count: usize) -> Vec<u64> {
    for text in texts(word, count) {
        for (from, _) in pairs {
            world.phone(from).say(text.clone()).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = texts(word, count).pop();
    let mut took = Vec::new();
    for (from, to) in pairs {
        let came = |view: &[interline_sandbox::Seen]| {
            view.iter().any(|seen| !seen.mine && seen.text() == last.as_deref())
        };
        let received = world.until(to, "the last text", came).await;
        let said = world.phone(from).view();
        for text in texts(word, count) {
            let at = |view: &[interline_sandbox::Seen], mine| {
                let one = view.iter().find(|seen| seen.mine == mine && seen.text() == Some(&text));
                one.map(|seen| seen.at_ms).expect("it was said and it came")
            };
            took.push(at(&received, false).saturating_sub(at(&said, true)));
        }
    }
    took.sort_unstable();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_pair_that_waits_for_its_budget_holds_up_none_of_fifty_others() {
    let pairs: Vec<_> = (0..51).map(|n| (messenger(n, "Alice"), whatsapp(n, "Bob"))).collect();
    let (chatty, others) = pairs.split_first().unwrap();
    let broker = Broker::mock().await.unwrap();
    let mut world = World::new(&broker.uri(), conversations(&pairs)).await;
    world.paced = true;
    // The documented burst; each message more waits for longer than the test goes on.
    world.account_lines = "messages_per_second = 1000\npair_interval = \"1h\"\n".to_owned();
    world.deliver = "prefetch = 100\n".to_owned();
    world.start();
    // The first texts also open connections and tables.
    latencies(&world, others, "warm", 3).await;
    let before = latencies(&world, others, "alone", 10).await;
    for text in texts("chat", 60) {
        world.phone(&chatty.0).say(text).unwrap();
    }
    let burst =
        |view: &[interline_sandbox::Seen]| view.iter().filter(|seen| !seen.mine).count() >= 45;
    world.until(&chatty.1, "the burst", burst).await;
    let beside = latencies(&world, others, "beside", 10).await;
    assert_eq!(world.phone(&chatty.1).received_texts(), texts("chat", 45), "the pair waits still");
    let p99 = |sorted: &[u64]| sorted[sorted.len() * 99 / 100 - 1];
    let (alone, along) = (p99(&before), p99(&beside));
    // For people to read: a machine that is shared keeps no bound. A lane in the way of others costs them an hour.
    println!("p99 of the others: {alone} ms alone, {along} ms beside the pair");
    // After a restart every budget is whole.
    assert_eq!(world.stop().await, Some(0));
    world.start();
    world.until_texts(&chatty.1, &texts("chat", 60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g9_a_stuck_lane_takes_no_prefetch_from_the_others_when_the_store_has_no_room() {
    let pairs: Vec<_> = (0..11).map(|n| (whatsapp(n, "Alice"), messenger(n, "Bob"))).collect();
    let (stuck, others) = pairs.split_first().unwrap();
    let broker = Broker::mock().await.unwrap();
    let mut world = World::new(&broker.uri(), conversations(&pairs)).await;
    world.store_lines = "held_rows_max = 1\n".to_owned();
    let deliver = "prefetch = 20\nlane_deliveries_max = 8\nrequest_timeout = \"2m\"\n";
    world.deliver = format!("{deliver}lane_blocked_timeout = \"1s\"\n");
    let order = Order::next(Fault::Hang).person(&stuck.1.person).until_released();
    let order = world.platforms.messenger().order(order);
    for text in texts("stuck", 100) {
        world.phone(&stuck.0).say(text).unwrap();
    }
    world.start();
    let queues = Queues::connect(&broker.uri()).await;
    let letters = queues.until_dead(99).await;
    assert!(reasons(&letters).iter().all(|reason| *reason == "overflow"), "{letters:#?}");
    // Where a second of the machine's own is enough to be blocked, the others would lose theirs, too.
    world.deliver = format!("{deliver}lane_blocked_timeout = \"2m\"\n");
    world.write_config();
    world.signal("HUP");
    world.until_log("the config was reloaded", 1).await;
    for (from, to) in others {
        for text in texts("said", 3) {
            world.phone(from).say(text).unwrap();
        }
        world.until_texts(to, &texts("said", 3)).await;
    }
    order.release();
    let first = |view: &[interline_sandbox::Seen]| {
        view.iter().any(|seen| !seen.mine && seen.text() == Some("stuck 0"))
    };
    world.until(&stuck.1, "what was under way", first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_lane_that_goes_on_loses_nothing_where_the_store_has_no_room_for_its_backlog() {
    let pair = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let broker = Broker::mock().await.unwrap();
    let mut world = World::new(&broker.uri(), conversations(std::slice::from_ref(&pair))).await;
    world.store_lines = "held_rows_max = 1\n".to_owned();
    world.deliver = "prefetch = 20\nlane_deliveries_max = 8\n".to_owned();
    let slow = Order::next(Fault::SlowAnswer(Duration::from_millis(20))).until_released();
    let _slow = world.platforms.messenger().order(slow);
    for text in texts("said", 60) {
        world.phone(&pair.0).say(text).unwrap();
    }
    world.start();
    world.until_texts(&pair.1, &texts("said", 60)).await;
    let letters = Queues::connect(&broker.uri()).await.dead().await;
    assert_eq!(reasons(&letters), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_thousand_messages_to_a_pair_keep_its_limit_and_their_order() {
    let pair = (messenger(1, "Alice"), whatsapp(1, "Bob"));
    let broker = Broker::mock().await.unwrap();
    let mut world = World::new(&broker.uri(), conversations(std::slice::from_ref(&pair))).await;
    // 1 in 6 seconds with bursts of 45, three hundred times as fast on both sides.
    let every = Duration::from_millis(20);
    world.platforms.whatsapp().change_settings(|settings| {
        settings.limits.pair = Some(PairLimit { every, burst: 45 });
    });
    world.paced = true;
    world.account_lines = "messages_per_second = 1000\npair_interval = \"20ms\"\n".to_owned();
    let started = std::time::Instant::now();
    world.start();
    for text in texts("chat", 1_000) {
        world.phone(&pair.0).say(text).unwrap();
    }
    for hundreds in 1..10 {
        let count = |view: &[interline_sandbox::Seen]| {
            view.iter().filter(|seen| !seen.mine).count() >= hundreds * 100
        };
        world.until(&pair.1, "a hundred more", count).await;
    }
    world.until_texts(&pair.1, &texts("chat", 1_000)).await;
    assert!(started.elapsed() > every * (1_000 - 45), "the limit was kept");
    assert_eq!(world.platforms.whatsapp().counts().refused, 0, "the platform never had to say no");
}
