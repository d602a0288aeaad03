//! The daemon dies, or is told to stop, or to read its config again: what the phones show in the end.

use crate::harness::{
    Broker, LIMIT, Seat, World, against_both_brokers, instagram, messenger, seat, texts, whatsapp,
};
use crate::queues::{Queues, reasons};
use crate::recorder::{Count, Recorder, SENT_AGAIN};
use crate::talk::Talk;
use interline_sandbox::{AccountConfig, Fault, Kind, Order, Ordered, Person};
use std::time::Duration;

against_both_brokers! {
    g2_an_event_that_comes_five_times_has_one_effect => five_copies;
    g5_three_kills_in_mid_stream_lose_nothing_and_keep_the_order => three_kills;
    g5_ten_kills_at_any_moment_lose_nothing_and_keep_the_order => kills_at_any_moment;
    g5_what_a_blocked_lane_holds_in_the_store_outlives_a_kill_in_order => held_over_a_kill;
    g5_a_kill_while_a_request_hangs_is_settled_by_its_marker => killed_while_hanging;
    a_reaction_finds_the_message_that_a_marker_settled_before_it_came_again => settled_before_redelivery;
    a_stop_in_mid_stream_drains_and_the_next_start_goes_on => stopped_in_mid_stream;
}

async fn five_copies(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    for (n, platform) in world.platforms.all().into_iter().enumerate() {
        platform.change_settings(|settings| {
            settings.delivery.copies = 5;
            settings.delivery.rebatch = n == 1;
        });
    }
    world.start();
    talk.say(&world, 4);
    talk.heard(&world).await;
    talk.say(&world, 4);
    talk.ends_well(&mut world).await;
    let taken: Vec<_> = world.platforms.all().map(|platform| platform.counts()).to_vec();
    let five = taken.iter().all(|counts| counts.posts_taken >= 5 * counts.updates_taken);
    assert!(five, "each came five times: {taken:?}");
}

async fn three_kills(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    let mut recorder = Recorder::default();
    world.start();
    for _ in 0..3 {
        talk.say(&world, 10);
        talk.flows(&world, recorder.kills() * 10 + 3).await;
        recorder.kill(&mut world).await;
        world.start();
    }
    talk.say(&world, 2);
    let count = talk.counted(&world, &recorder).await;
    let wanted = Count { messages: count.messages, doubled: count.doubled, ..Count::default() };
    assert_eq!(count, wanted);
    assert!(count.doubled <= world.log().matches(SENT_AGAIN).count(), "{count:?}");
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(talk.counted(&world, &recorder).await, count);
}

async fn kills_at_any_moment(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    let mut recorder = Recorder::default();
    for round in 0..10_u64 {
        world.start();
        talk.say(&world, 3);
        // Not until anything: the moment is to be any.
        tokio::time::sleep(Duration::from_millis(round * 23)).await;
        recorder.kill(&mut world).await;
    }
    world.start();
    talk.say(&world, 1);
    let count = talk.counted(&world, &recorder).await;
    let wanted = Count { messages: count.messages, doubled: count.doubled, ..Count::default() };
    assert_eq!(count, wanted);
    assert!(count.doubled <= world.log().matches(SENT_AGAIN).count(), "{count:?}");
}

async fn held_over_a_kill(broker: Broker) {
    let mut talk = Talk::of(vec![(whatsapp(1, "Alice"), messenger(1, "Bob"))]);
    let mut world = talk.world(&broker.uri()).await;
    world.deliver = "lane_blocked_timeout = \"200ms\"\nlane_deliveries_max = 4\n\
                     settle_timeout = \"100s\"\nrequest_timeout = \"100s\""
        .to_owned();
    let (a, b) = talk.pairs[0].clone();
    let hangs = [strike(&world, &a, Fault::TakeThenHang, 2), strike(&world, &b, Fault::Hang, 2)];
    world.log_level = "debug".to_owned();
    world.start();
    talk.say(&world, 12);
    until_struck(&world, &[&hangs[0], &hangs[1]]).await;
    world.until_log("a lane moved to the store", 2).await;
    // The marker of Alice's is on its queue, so that the wait below ends for nothing but Bob's.
    let idle = tokio::time::timeout(LIMIT, world.platforms.idle());
    assert!(idle.await.is_ok(), "every webhook is taken");
    world.kill();
    // Bob's send was never taken, and nobody can tell: it is settled by the end of the wait.
    world.deliver = "lane_deliveries_max = 4\nsettle_timeout = \"10s\"".to_owned();
    world.start();
    talk.say(&world, 12);
    talk.ends_well(&mut world).await;
}

/// Orders the fault for the next send to this person, after some that pass.
fn strike(world: &World, to: &Seat, fault: Fault, after: u64) -> Ordered {
    world.platforms.of(to.kind).order(Order::next(fault).person(&to.person).after(after))
}

async fn until_struck(world: &World, orders: &[&Ordered]) {
    let struck = async {
        while orders.iter().any(|order| order.struck() == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let struck = tokio::time::timeout(LIMIT, struck).await;
    assert!(struck.is_ok(), "the fault was never met:\n{}", world.log());
}

async fn killed_while_hanging(broker: Broker) {
    let (a, b) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let conversations = vec![("ab".to_owned(), vec![a.clone(), b.clone()])];
    let mut world = World::new(&broker.uri(), conversations).await;
    // Long, so that the marker is what settles it, and never the end of a wait.
    world.deliver = "settle_timeout = \"100s\"\nrequest_timeout = \"100s\"".to_owned();
    for (n, (from, to)) in [(&a, &b), (&b, &a)].into_iter().enumerate() {
        let account = world.platforms.of(to.kind).account(&to.account).unwrap();
        let url = account.config().unwrap().webhook_url.unwrap();
        // The marker does not come before the daemon is dead and its next life waits for it.
        account.set_webhook_url(None);
        let order = strike(&world, to, Fault::TakeThenHang, 1);
        world.log_level = "interline=debug".to_owned();
        world.start();
        for text in texts("said", 4) {
            world.phone(from).say(text).unwrap();
        }
        until_struck(&world, &[&order]).await;
        world.kill();
        world.start();
        world.until_log("deliver started", 4 * (n + 1)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.phone(to).received_texts(), texts("said", 2), "the lane waits");
        account.set_webhook_url(Some(&url));
        world.until_texts(to, &texts("said", 4)).await;
        assert_eq!(world.stop().await, Some(0));
        world.until_texts(to, &texts("said", 4)).await;
        let settled = world.log().matches("settled by its marker").count();
        assert_eq!(settled, n + 1, "{}", world.log());
    }
}

async fn settled_before_redelivery(broker: Broker) {
    let (a, b) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let conversations = vec![("ab".to_owned(), vec![a.clone(), b.clone()])];
    let mut world = World::new(&broker.uri(), conversations).await;
    world.deliver = "settle_timeout = \"100s\"\nrequest_timeout = \"100s\"".to_owned();
    let order = strike(&world, &b, Fault::TakeThenHang, 0);
    world.start();
    let own = world.phone(&a).say("said 0").unwrap();
    until_struck(&world, &[&order]).await;
    world.kill();
    // A daemon that delivers nothing hears the echo; the dispatch comes again only to the next one.
    world.extra = "[stages]\ndeliver = false".to_owned();
    world.start();
    world.until_log("relay started", 4).await;
    world.platforms.idle().await;
    assert_eq!(world.stop().await, Some(0));
    world.extra.clear();
    world.start();
    world.phone(&a).say("said 1").unwrap();
    world.until_texts(&b, &texts("said", 2)).await;
    let heard = world.phone(&b).received().swap_remove(0);
    world.phone(&b).react(&heard.native_id, "❤").unwrap();
    let stands = |view: &[interline_sandbox::Seen]| {
        view.iter().any(|seen| seen.native_id == own && seen.reaction.as_deref() == Some("❤"))
    };
    world.until(&a, "the reaction stands on what was settled", stands).await;
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&b, &texts("said", 2)).await;
}

async fn stopped_in_mid_stream(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    // Somebody's answer is always on its way when the daemon is told to stop.
    for (_, to) in &talk.pairs {
        let slow = Order::next(Fault::SlowAnswer(Duration::from_millis(100)));
        world.platforms.of(to.kind).order(slow.person(&to.person).until_released());
    }
    world.start();
    for round in 0..3 {
        talk.say(&world, 8);
        talk.flows(&world, round * 8 + 3).await;
        assert_eq!(world.stop().await, Some(0));
        world.start();
    }
    talk.ends_well(&mut world).await;
    assert!(!world.log().contains("of unknown fate"), "a drain leaves no intent open");
}

/// Alice on WhatsApp talks to Bob on Instagram, whose echoes do not come; the second send is taken, hangs, and the
/// daemon is killed and started again.
async fn killed_at_the_second_to_instagram(broker: &Broker, uncertain: &str) -> (World, Seat) {
    let (a, b) = (whatsapp(1, "Alice"), instagram(1, "Bob"));
    let conversations = vec![("ab".to_owned(), vec![a.clone(), b.clone()])];
    let mut world = World::new(&broker.uri(), conversations).await;
    world.deliver = format!("settle_timeout = \"300ms\"\nuncertain = \"{uncertain}\"");
    world.platforms.instagram().change_settings(|settings| settings.receipts.sent = false);
    let order = strike(&world, &b, Fault::TakeThenHang, 1);
    world.start();
    for text in texts("said", 4) {
        world.phone(&a).say(text).unwrap();
    }
    until_struck(&world, &[&order]).await;
    world.kill();
    world.start();
    (world, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_kill_while_an_unmarked_request_hangs_doubles_only_that_one_under_resend() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, b) = killed_at_the_second_to_instagram(&broker, "resend").await;
    let wanted = ["said 0", "said 1", "said 1", "said 2", "said 3"].map(str::to_owned);
    world.until_texts(&b, &wanted).await;
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&b, &wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_kill_while_an_unmarked_request_hangs_doubles_nothing_under_hold() {
    let broker = Broker::mock().await.unwrap();
    let (mut world, b) = killed_at_the_second_to_instagram(&broker, "hold").await;
    world.until_texts(&b, &texts("said", 4)).await;
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["uncertain"]);
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&b, &texts("said", 4)).await;
    assert_eq!(reasons(&queues.dead().await), ["uncertain"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_text_in_several_requests_goes_on_after_a_kill_where_it_stopped() {
    let broker = Broker::mock().await.unwrap();
    let (a, b) = (whatsapp(1, "Alice"), instagram(1, "Bob"));
    let conversations = vec![("ab".to_owned(), vec![a.clone(), b.clone()])];
    let mut world = World::new(&broker.uri(), conversations).await;
    world.deliver = "settle_timeout = \"300ms\"".to_owned();
    // Instagram takes 1000 bytes a message: an emoji with a skin tone has eight, and a family 25.
    let words: Vec<String> = (0..150).map(|n| format!("👍🏽👨‍👩‍👧‍👦{n}")).collect();
    let text = words.join(" ");
    // The request is not taken, and the daemon cannot know that: what it sends again comes once.
    let early = strike(&world, &b, Fault::Hang, 1);
    world.phone(&a).say(text.clone()).unwrap();
    world.phone(&a).say("after it").unwrap();
    world.start();
    until_struck(&world, &[&early]).await;
    world.kill();
    let late = strike(&world, &b, Fault::Hang, 3);
    world.start();
    until_struck(&world, &[&late]).await;
    assert_eq!(world.phone(&b).received().len(), 4, "one before the first kill, three after it");
    world.kill();
    world.start();
    let last =
        |view: &[interline_sandbox::Seen]| view.iter().any(|seen| seen.text() == Some("after it"));
    world.until(&b, "the text after the long one", last).await;
    assert_eq!(world.stop().await, Some(0));
    let mut pieces = world.phone(&b).received_texts();
    assert_eq!(pieces.pop().as_deref(), Some("after it"));
    assert!(pieces.len() > 5, "{} pieces", pieces.len());
    let heard: Vec<&str> = pieces.iter().flat_map(|piece| piece.split_whitespace()).collect();
    assert_eq!(heard, words, "no word is lost, doubled or out of order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_a_request_hangs_ends_at_its_deadline_and_the_marker_settles_it_later() {
    let broker = Broker::mock().await.unwrap();
    let mut talk = Talk::of(vec![(whatsapp(1, "Alice"), messenger(1, "Bob"))]);
    let mut world = talk.world(&broker.uri()).await;
    world.deliver = "settle_timeout = \"100s\"\nrequest_timeout = \"100s\"".to_owned();
    world.extra = "[shutdown]\ndeadline = \"1s\"".to_owned();
    let (a, b) = talk.pairs[0].clone();
    let (to_a, to_b) =
        (strike(&world, &a, Fault::TakeThenHang, 1), strike(&world, &b, Fault::TakeThenHang, 2));
    world.start();
    talk.say(&world, 5);
    until_struck(&world, &[&to_a, &to_b]).await;
    assert_eq!(world.stop().await, Some(0));
    assert!(world.log().contains("the drain took longer than its deadline"), "{}", world.log());
    world.start();
    talk.say(&world, 2);
    talk.heard(&world).await;
    assert_eq!(world.stop().await, Some(0));
    talk.heard(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_adds_an_account_and_a_conversation_and_drops_no_message() {
    const OTHER: &str = "104500000000002";
    let broker = Broker::mock().await.unwrap();
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.start();
    talk.say(&world, 15);
    talk.flows(&world, 3).await;
    let new = (
        seat(Kind::Messenger, OTHER, "6200000000000001".to_owned(), "Grace"),
        instagram(9, "Heidi"),
    );
    let url = format!("http://{}/webhooks/messenger", world.listen);
    let account = AccountConfig::new(OTHER).posting_to(url);
    let person = Person::new(&new.0.person, &new.0.name);
    world.platforms.messenger().add_account(account.with(person)).unwrap();
    let person = Person::new(&new.1.person, &new.1.name);
    world.platforms.instagram().add_phone(&new.1.account, person).unwrap();
    world.conversations.push(("new".to_owned(), vec![new.0.clone(), new.1.clone()]));
    world.write_config();
    world.signal("HUP");
    talk.say(&world, 15);
    world.until_log("the config was reloaded", 1).await;
    for text in texts("new", 5) {
        world.phone(&new.0).say(text.clone()).unwrap();
        world.phone(&new.1).say(text).unwrap();
    }
    world.until_texts(&new.1, &texts("new", 5)).await;
    world.until_texts(&new.0, &texts("new", 5)).await;
    talk.ends_well(&mut world).await;
    assert!(!world.log().contains("of unknown fate"), "a reload leaves no intent open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_that_cannot_be_used_is_refused_with_its_reason_and_the_old_one_stays() {
    let broker = Broker::mock().await.unwrap();
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.start();
    talk.say(&world, 5);
    talk.flows(&world, 1).await;
    world.extra = "[relay]\npoison_runs_max = 0".to_owned();
    world.conversations.clear();
    world.write_config();
    world.signal("HUP");
    world.until_log("the new config is wrong; the old one stays in force", 1).await;
    assert!(world.log().contains("poison_runs_max"), "the reason is told:\n{}", world.log());
    talk.say(&world, 5);
    talk.ends_well(&mut world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_what_is_queued_for_a_removed_participant_is_dead_lettered() {
    let broker = Broker::mock().await.unwrap();
    let mut stays = Talk::of(vec![(whatsapp(2, "Carol"), messenger(2, "Dave"))]);
    let (a, b) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let mut conversations = stays.conversations();
    conversations.push(("ab".to_owned(), vec![a.clone(), b.clone()]));
    let mut world = World::new(&broker.uri(), conversations).await;
    let order = strike(&world, &b, Fault::Hang, 0);
    world.start();
    for text in texts("said", 5) {
        world.phone(&a).say(text).unwrap();
    }
    until_struck(&world, &[&order]).await;
    // The webhooks are taken: what follows from them is on its way to Bob, behind the one that hangs.
    world.platforms.idle().await;
    let mock = broker.as_mock();
    let relayed = |now: &interline_embedded_broker::Snapshot| {
        let depth = now.depth("interline.events.whatsapp");
        depth.ready + depth.unacked == 0
    };
    mock.wait_until(relayed, LIMIT).await.unwrap();
    world.conversations.retain(|(name, _)| name != "ab");
    world.write_config();
    world.signal("HUP");
    world.until_log("the config was reloaded", 1).await;
    order.release();
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(4).await), ["not-a-member"; 4]);
    stays.say(&world, 3);
    stays.ends_well(&mut world).await;
    assert_eq!(world.phone(&b).received_texts(), ["said 0"], "only what was under way before");
    assert_eq!(queues.dead().await.len(), 4);
}
