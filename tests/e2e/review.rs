//! What a careful reader tried: the moments between two steps in which a message could be lost, doubled or overtaken.

use crate::harness::{
    Broker, INSTAGRAM, LIMIT, MESSENGER, Seat, World, instagram, messenger, texts, whatsapp,
};
use crate::queues::{Queues, reasons};
use interline_embedded_broker::{Faults, Snapshot};
use interline_sandbox::{Fault, Order, Ordered, Seen};
use std::time::Duration;

/// Alice and Bob in one conversation, on a mock broker.
async fn pair(alice: &Seat, bob: &Seat) -> (Broker, World) {
    let broker = Broker::mock().await.unwrap();
    let conversations = vec![("ab".to_owned(), vec![alice.clone(), bob.clone()])];
    let world = World::new(&broker.uri(), conversations).await;
    (broker, world)
}

fn faults(broker: &Broker) -> Faults {
    let Broker::Mock(broker) = broker else { panic!("only the mock broker takes such orders") };
    broker.faults().clone()
}

fn strike(world: &World, to: &Seat, fault: Fault) -> Ordered {
    world.platforms.of(to.kind).order(Order::next(fault).person(&to.person))
}

async fn until_struck(world: &World, order: &Ordered) {
    let struck = async {
        while order.struck() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let struck = tokio::time::timeout(LIMIT, struck).await;
    assert!(struck.is_ok(), "the fault was never met:\n{}", world.log());
}

/// Bob's platform refuses a message for good, and the broker does not take its dead letter yet.
async fn refused_without_a_letter() -> (Broker, World, Seat, Seat) {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (broker, mut world) = pair(&alice, &bob).await;
    strike(&world, &bob, Fault::graph(400, 551, None));
    faults(&broker).nack_routing_key(&format!("deliver.messenger.{MESSENGER}"));
    world.start();
    world.phone(&alice).say("refused").unwrap();
    world.until_log("a dead letter cannot be put down", 1).await;
    (broker, world, alice, bob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_refused_message_whose_dead_letter_is_not_taken_at_once_is_not_lost() {
    let (broker, world, alice, bob) = refused_without_a_letter().await;
    faults(&broker).clear_rules();
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["recipient"]);
    world.phone(&alice).say("next").unwrap();
    world.until_texts(&bob, &["next".to_owned()]).await;
    assert_eq!(reasons(&queues.dead().await), ["recipient"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_kill_between_a_refusal_and_its_dead_letter_loses_nothing() {
    let (broker, mut world, alice, bob) = refused_without_a_letter().await;
    world.kill();
    faults(&broker).clear_rules();
    world.start();
    world.phone(&alice).say("next").unwrap();
    world.until_texts(&bob, &["next".to_owned()]).await;
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["permanent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_is_replayed_into_a_blocked_lane_is_delivered_in_the_end() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (broker, mut world) = pair(&alice, &bob).await;
    world.deliver.push_str("lane_blocked_timeout = \"100ms\"\n");
    world.log_level = "info,interline=debug".to_owned();
    strike(&world, &bob, Fault::graph(400, 551, None));
    world.start();
    world.phone(&alice).say("refused at first").unwrap();
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_dead(1).await;
    let order = Order::next(Fault::graph_500()).person(&bob.person).until_released();
    let blocked = world.platforms.of(bob.kind).order(order);
    world.phone(&alice).say("blocked").unwrap();
    world.until_log("a lane moved to the store", 1).await;
    world.replay_all();
    world.until_log("a lane moved to the store", 2).await;
    blocked.release();
    world.until_texts(&bob, &["blocked".to_owned(), "refused at first".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_unknown_fate_that_was_held_is_sent_when_its_operator_replays_it() {
    let (alice, bob) = (whatsapp(1, "Alice"), instagram(1, "Bob"));
    let (broker, mut world) = pair(&alice, &bob).await;
    world.deliver =
        "settle_timeout = \"200ms\"\nrequest_timeout = \"500ms\"\nuncertain = \"hold\"\n"
            .to_owned();
    let hangs = strike(&world, &bob, Fault::Hang);
    world.start();
    world.phone(&alice).say("who knows").unwrap();
    until_struck(&world, &hangs).await;
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["uncertain"]);
    assert_eq!(world.phone(&bob).received_texts(), Vec::<String>::new());
    // What is replayed has all the time that it needs.
    assert_eq!(world.stop().await, Some(0));
    world.deliver = "uncertain = \"hold\"\n".to_owned();
    world.start();
    world.replay_all();
    world.until_texts(&bob, &["who knows".to_owned()]).await;
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_whose_fate_stays_unknown_is_sent_again_ever_more_rarely() {
    let (alice, bob) = (whatsapp(1, "Alice"), instagram(1, "Bob"));
    let (_broker, mut world) = pair(&alice, &bob).await;
    world.platforms.instagram().change_settings(|settings| settings.receipts.sent = false);
    world.deliver =
        "settle_timeout = \"100ms\"\nretry_backoff_min = \"100ms\"\nretry_backoff_max = \"10s\"\n"
            .to_owned();
    let order = Order::next(Fault::TakeThenHtml500).person(&bob.person).until_released();
    let taken = world.platforms.of(bob.kind).order(order);
    world.start();
    world.phone(&alice).say("again and again").unwrap();
    let copies = |view: &[Seen]| view.iter().filter(|seen| !seen.mine).count();
    world.until(&bob, "it comes again", |view| copies(view) >= 5).await;
    taken.release();
    let at: Vec<u64> = world.phone(&bob).received().iter().map(|seen| seen.at_ms).collect();
    // The fourth wait is at least half of the minimum times eight; no machine sleeps for less.
    assert!(at[4] - at[3] >= 400, "{at:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_reply_to_what_a_marker_settled_before_a_kill_still_finds_its_message() {
    let (alice, bob) = (messenger(1, "Alice"), whatsapp(1, "Bob"));
    let (_broker, mut world) = pair(&alice, &bob).await;
    world.deliver = "settle_timeout = \"100s\"\nrequest_timeout = \"100s\"\n".to_owned();
    let hangs = strike(&world, &bob, Fault::TakeThenHang);
    world.start();
    let said = world.phone(&alice).say("taken, and never answered").unwrap();
    until_struck(&world, &hangs).await;
    // Its status comes before this on the same queue.
    world.phone(&bob).say("something else").unwrap();
    world.until_texts(&alice, &["something else".to_owned()]).await;
    world.kill();
    world.start();
    world.phone(&alice).say("after it").unwrap();
    world.until_texts(&bob, &["taken, and never answered".to_owned(), "after it".to_owned()]).await;
    let copy = world.phone(&bob).received()[0].native_id.clone();
    world.phone(&bob).reply(&copy, "the answer").unwrap();
    let answered = |view: &[Seen]| {
        view.iter().any(|seen| {
            seen.text() == Some("the answer") && seen.quotes.as_deref() == Some(said.as_str())
        })
    };
    world.until(&alice, "the answer quotes what was said", answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_two_targets_that_refuse_at_once_each_keep_their_order() {
    let (alice, bob, carol) = (whatsapp(1, "Alice"), messenger(1, "Bob"), instagram(1, "Carol"));
    let broker = Broker::mock().await.unwrap();
    let seats = vec![alice.clone(), bob.clone(), carol.clone()];
    let mut world = World::new(&broker.uri(), vec![("abc".to_owned(), seats)]).await;
    // A text that was under way when its queue took messages again waits for the one that was refused before it.
    world.deliver.push_str("prev_timeout = \"5s\"\n");
    let orders = faults(&broker);
    let keys = [format!("messenger.{MESSENGER}"), format!("instagram.{INSTAGRAM}")];
    keys.iter().for_each(|key| orders.nack_routing_key(key));
    world.start();
    let all = texts("said", 4);
    for text in &all[..3] {
        world.phone(&alice).say(text).unwrap();
    }
    world.until_log("a target's queue refuses", 2).await;
    // The first text alone meets both refusals; the other two are with the relay before they end.
    let open = |now: &Snapshot| now.depth("interline.events.whatsapp").unacked == 3;
    broker.as_mock().wait_until(open, LIMIT).await.unwrap();
    // Carol's queue takes messages again, Bob's does not.
    orders.clear_rules();
    orders.nack_routing_key(&keys[0]);
    world.phone(&alice).say(&all[3]).unwrap();
    let heard = |view: &[Seen]| view.iter().filter(|seen| !seen.mine).count() >= all.len();
    let in_order = |seat: &Seat| {
        let heard = world.phone(seat).received_texts();
        let right = heard.iter().zip(&all).all(|(heard, said)| heard.ends_with(said.as_str()));
        assert!(right && heard.len() == all.len(), "{} heard {heard:#?}", seat.name);
    };
    world.until(&carol, "one target's refusal holds up no other", heard).await;
    in_order(&carol);
    orders.clear_rules();
    world.until(&bob, "all come in the end", heard).await;
    in_order(&bob);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_an_event_with_the_longest_routing_key_becomes_a_dead_letter_and_stops_nothing() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (broker, mut world) = pair(&alice, &bob).await;
    world.start();
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_declared("whatsapp").await;
    queues.publish_event("whatsapp", &"9".repeat(255 - "whatsapp.".len()), "no event").await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["malformed"]);
    world.phone(&alice).say("next").unwrap();
    world.until_texts(&bob, &["next".to_owned()]).await;
}
