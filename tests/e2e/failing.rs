//! What WhatsApp takes with 200 and reports as failed later is acted on as if the send had been refused.

use crate::harness::{Broker, LIMIT, Seat, WHATSAPP, World, messenger, whatsapp};
use crate::queues::{Dead, PREFIX, Queues, reasons};
use bytes::Bytes;
use interline_broker::topology;
use interline_sandbox::{Fault, Order, Seen};

async fn world() -> (Broker, World, Seat, Seat) {
    let (from, to) = (messenger(1, "Alice"), whatsapp(1, "Bob"));
    let broker = Broker::mock().await.unwrap();
    let room = vec![("c".to_owned(), vec![from.clone(), to.clone()])];
    let world = World::new(&broker.uri(), room).await;
    (broker, world, from, to)
}

/// The next send to this person is taken and reported as failed with that code.
fn fail_later(world: &World, to: &Seat, code: u64) {
    let Fault::Graph(fault) = Fault::graph(400, code, None) else { panic!("a Graph error") };
    let order = Order::next(Fault::FailLater(fault)).person(&to.person);
    world.platforms.whatsapp().order(order);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_failed_for_good_later_is_a_dead_letter_its_sender_is_told_and_a_replay_sends_it_once()
 {
    let (broker, mut world, from, to) = world().await;
    world.start();
    fail_later(&world, &to, 131_026);
    world.phone(&from).say("lost").unwrap();
    let queues = Queues::connect(&broker.uri()).await;
    let letters: Vec<Dead> = queues.until_dead(1).await;
    assert_eq!(reasons(&letters), ["recipient"]);
    assert_eq!(letters[0].stage, "deliver");
    assert!(letters[0].error.contains("131026"), "{}", letters[0].error);
    world.phone(&from).say("found").unwrap();
    world.until_texts(&to, &["found".to_owned()]).await;
    world.replay_all();
    world.until_texts(&to, &["found".to_owned(), "lost".to_owned()]).await;
    let told =
        "Interline: Your message was sent, but the app on the other side could not deliver it.";
    world.until_texts(&from, &[told.to_owned()]).await;
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
}

/// Each photo is a message of its own there, and its failure is known before the next is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_photos_that_fail_for_good_one_after_the_other_are_sent_once_and_their_sender_is_told() {
    let (broker, mut world, from, to) = world().await;
    world.account_lines = "order = \"delivered\"\n".to_owned();
    let Fault::Graph(fault) = Fault::graph(400, 131_026, None) else { panic!("a Graph error") };
    let failing = Order::next(Fault::FailLater(fault)).person(&to.person).until_released();
    let failing = world.platforms.whatsapp().order(failing);
    world.start();
    let picture = |n: u8| Bytes::from([b"\x89PNG\r\n\x1a\n".as_slice(), &[n]].concat());
    let photos = [5, 6, 7].map(|n| (picture(n), "image/png".to_owned()));
    world.phone(&from).photos(photos.to_vec()).unwrap();
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["failed-later"]);
    failing.release();
    world.phone(&from).say("found").unwrap();
    world.until_texts(&to, &["found".to_owned()]).await;
    let told =
        "Interline: Your message was sent, but the app on the other side could not deliver it.";
    world.until_texts(&from, &[told.to_owned()]).await;
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(queues.dead().await.len(), 1);
    let requests = world.phone(&to).raw_requests().len();
    assert!(requests <= 4, "each photo once at most, and a text: {requests}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_what_failed_for_now_after_it_was_taken_is_sent_again_once_however_often_that_is_told() {
    let (broker, mut world, from, to) = world().await;
    world.platforms.whatsapp().change_settings(|settings| settings.delivery.copies = 3);
    world.start();
    fail_later(&world, &to, 131_000);
    world.phone(&from).say("one").unwrap();
    world.until_texts(&to, &["one".to_owned()]).await;
    world.phone(&from).say("two").unwrap();
    world.until_texts(&to, &["one".to_owned(), "two".to_owned()]).await;
    let idle = tokio::time::timeout(LIMIT, world.platforms.idle());
    assert!(idle.await.is_ok(), "every webhook is taken");
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&to, &["one".to_owned(), "two".to_owned()]).await;
    assert_eq!(reasons(&Queues::connect(&broker.uri()).await.dead().await), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_that_failed_later_does_not_come_back_once_it_was_taken_away() {
    let (broker, mut world, alice, bob) = world().await;
    world.start();
    world.phone(&bob).say("hello").unwrap();
    world.until_texts(&alice, &["hello".to_owned()]).await;
    let hello = world.phone(&alice).received().remove(0).native_id;
    // What WhatsApp has to tell of the reaction waits until it was taken away.
    let account = world.platforms.whatsapp().account(WHATSAPP).unwrap();
    let webhook_url = account.config().unwrap().webhook_url;
    world.platforms.idle().await;
    account.set_webhook_url(None);
    fail_later(&world, &bob, 131_000);
    world.phone(&alice).react(&hello, "👍").unwrap();
    world.phone(&alice).unreact(&hello).unwrap();
    world.phone(&alice).say("done").unwrap();
    world.until_texts(&bob, &["done".to_owned()]).await;
    account.set_webhook_url(webhook_url.as_deref());
    world.platforms.idle().await;
    // It goes back to its lane before the news is acknowledged.
    broker.until_empty().await;
    let hello = world.phone(&bob).view().remove(0);
    assert_eq!((hello.text(), &hello.reaction), (Some("hello"), &None));
}

/// The answer never comes, and what tells of the send comes when nobody waits for the answer any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_marker_has_all_its_time_from_when_the_fate_of_a_send_is_unknown() {
    let (_broker, mut world, alice, bob) = world().await;
    world.deliver = "request_timeout = \"6s\"\nsettle_timeout = \"6s\"".to_owned();
    let account = world.platforms.whatsapp().account(WHATSAPP).unwrap();
    let webhook_url = account.config().unwrap().webhook_url;
    account.set_webhook_url(None);
    world.platforms.whatsapp().order(Order::next(Fault::TakeThenHang).person(&bob.person));
    world.start();
    world.phone(&alice).say("one").unwrap();
    world.until_log("a request got no answer", 1).await;
    account.set_webhook_url(webhook_url.as_deref());
    world.phone(&alice).say("two").unwrap();
    world.until_texts(&bob, &["one".to_owned(), "two".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_failed_later_and_finds_its_queue_full_is_a_dead_letter_and_the_others_flow() {
    let (broker, mut world, alice, bob) = world().await;
    world.start();
    // What WhatsApp has to tell waits until the queue is full.
    let account = world.platforms.whatsapp().account(WHATSAPP).unwrap();
    let webhook_url = account.config().unwrap().webhook_url;
    account.set_webhook_url(None);
    fail_later(&world, &bob, 131_000);
    world.phone(&alice).say("one").unwrap();
    world.phone(&alice).say("two").unwrap();
    world.until_texts(&bob, &["two".to_owned()]).await;
    let (exchange, key) = (topology::dispatch_exchange(PREFIX), format!("whatsapp.{WHATSAPP}"));
    broker.as_mock().faults().nack_at_exchange(&exchange, &key);
    account.set_webhook_url(webhook_url.as_deref());
    world.phone(&bob).say("hello").unwrap();
    let came = |view: &[Seen]| view.iter().any(|seen| seen.text() == Some("hello"));
    world.until(&alice, "the answer", came).await;
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(queues.until_dead(1).await[0].stage, "deliver");
    broker.as_mock().faults().clear_rules();
    world.replay_all();
    world.until_texts(&bob, &["two".to_owned(), "one".to_owned()]).await;
}
