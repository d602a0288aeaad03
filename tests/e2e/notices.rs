//! What people are told when something that they sent did not arrive.

use crate::harness::{Broker, Seat, WHATSAPP, World, instagram, messenger, whatsapp};
use crate::ingest::{body, change, item, one_text};
use crate::queues::{PREFIX, Queues, reasons};
use interline_broker::topology;
use interline_sandbox::{Fault, Kind, Order};

const UNREACHABLE: &str =
    "Interline: Your message was not delivered: the other person cannot be reached at the moment.";

async fn world(seats: &[&Seat]) -> (Broker, World) {
    let broker = Broker::mock().await.unwrap();
    let seats = seats.iter().map(|seat| (*seat).clone()).collect();
    let world = World::new(&broker.uri(), vec![("c".to_owned(), seats)]).await;
    (broker, world)
}

/// The same, running, with its queues.
async fn running(seats: &[&Seat]) -> (Queues, Broker, World) {
    let (broker, mut world) = world(seats).await;
    world.start();
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_declared("whatsapp").await;
    (queues, broker, world)
}

/// The person's platform says of the next messages that it cannot reach them.
fn unreachable(world: &World, seat: &Seat, times: u64) {
    let order = Order::next(Fault::graph(400, 551, None)).person(&seat.person).times(times);
    world.platforms.of(seat.kind).order(order);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_sender_is_told_once_an_hour_that_messages_did_not_arrive() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (broker, mut world) = world(&[&alice, &bob]).await;
    unreachable(&world, &bob, 2);
    world.start();
    for text in ["one", "two", "three"] {
        world.phone(&alice).say(text).unwrap();
    }
    world.until_texts(&bob, &["three".to_owned()]).await;
    Queues::connect(&broker.uri()).await.until_dead(2).await;
    // The notice goes through Alice's lane, so that what Bob says now comes after it.
    world.phone(&bob).say("hello").unwrap();
    world.until_texts(&alice, &[UNREACHABLE.to_owned(), "hello".to_owned()]).await;
    let view = world.phone(&alice).view();
    let notice = view.iter().find(|seen| !seen.mine).unwrap();
    assert!(notice.quotes.is_some(), "it answers the message that it is about: {notice:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_notice_that_cannot_be_delivered_makes_no_other() {
    let (alice, bob) = (messenger(1, "Alice"), messenger(2, "Bob"));
    let (broker, mut world) = world(&[&alice, &bob]).await;
    unreachable(&world, &bob, 1);
    unreachable(&world, &alice, 1);
    world.start();
    world.phone(&alice).say("one").unwrap();
    Queues::connect(&broker.uri()).await.until_dead(2).await;
    world.phone(&bob).say("hello").unwrap();
    world.until_texts(&alice, &["hello".to_owned()]).await;
    world.phone(&alice).say("two").unwrap();
    world.until_texts(&bob, &["two".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_sender_is_told_that_an_account_has_to_be_mended_before_a_message_goes_on() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (_broker, mut world) = world(&[&alice, &bob]).await;
    let expired = Fault::known(Kind::Messenger, 190, None).unwrap();
    let order = world.platforms.messenger().order(Order::next(expired).until_released());
    world.start();
    world.phone(&alice).say("one").unwrap();
    let told = "Interline: Your message is waiting: there is a problem with the connection to the \
                other app.";
    world.until_texts(&alice, &[told.to_owned()]).await;
    order.release();
    world.signal("HUP");
    world.until_texts(&bob, &["one".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_sender_is_told_of_a_file_that_is_too_large_for_the_target() {
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let (_broker, mut world) = world(&[&alice, &carla]).await;
    world.start();
    let pages = b"%PDF-1.7 1234567".repeat(1 << 16);
    world.phone(&alice).large_document(pages, 30, "application/pdf", "book.pdf").unwrap();
    let too_large =
        "Interline: Your file was not delivered: it is too large for the app on the other side.";
    world.until_texts(&alice, &[too_large.to_owned()]).await;
    world.until(&carla, "what stands in its place", |view| view.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_sender_is_told_of_what_nobody_can_read_and_its_bytes_are_kept() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (queues, _broker, world) = running(&[&alice, &bob]).await;
    let mut odd = item(&alice, "wamid.odd", "said");
    odd["type"] = "reaction".into();
    let odd = body(vec![change(&alice, vec![odd])]);
    queues.publish_event("whatsapp", WHATSAPP, odd.clone()).await;
    let told =
        "Interline: This kind of message cannot be passed on. Please send it in another form.";
    world.until_texts(&alice, &[told.to_owned()]).await;
    let letters = queues.until_dead(1).await;
    assert_eq!((reasons(&letters), &*letters[0].body), (vec!["not-bridged"], &*odd));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_sender_is_told_of_a_message_that_is_too_large_for_a_queue_and_its_bytes_are_kept() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (queues, _broker, world) = running(&[&alice, &bob]).await;
    let large = one_text(&alice, "wamid.large", &"long ".repeat(120_000));
    queues.publish_event("whatsapp", WHATSAPP, large.clone()).await;
    queues.publish_event("whatsapp", WHATSAPP, one_text(&alice, "wamid.small", "short")).await;
    let told =
        "Interline: Your message was not delivered: the app on the other side did not accept it.";
    world.until_texts(&alice, &[told.to_owned()]).await;
    world.until_texts(&bob, &["short".to_owned()]).await;
    let letters = queues.until_dead(1).await;
    assert_eq!((reasons(&letters), &*letters[0].body), (vec!["too-large"], &*large));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_a_notice_that_its_queue_refuses_holds_up_nobody_and_makes_one_dead_letter() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (broker, mut world) = world(&[&alice, &bob]).await;
    unreachable(&world, &bob, 1);
    let (exchange, key) = (topology::dispatch_exchange(PREFIX), format!("whatsapp.{WHATSAPP}"));
    broker.as_mock().faults().nack_at_exchange(&exchange, &key);
    world.start();
    for text in ["one", "two"] {
        world.phone(&alice).say(text).unwrap();
    }
    world.until_texts(&bob, &["two".to_owned()]).await;
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["recipient"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_among_several_it_is_told_in_the_senders_language_who_did_not_get_it() {
    let (alice, bob, carla) = (whatsapp(1, "Alice"), messenger(1, "Bob"), instagram(1, "Carla"));
    let (_broker, mut world) = world(&[&alice, &bob, &carla]).await;
    unreachable(&world, &bob, 1);
    world.write_config();
    let config = std::fs::read_to_string(world.config_path()).unwrap();
    let with = |seat: &Seat, keys: &str| {
        let address = format!("{:?}", seat.address());
        (address.clone(), format!("{{ address = {address}, {keys} }}"))
    };
    let (alices, alice_now) = with(&alice, "language = \"de\"");
    let (bobs, bob_now) = with(&bob, "name = \"Bob\"");
    let config = config.replace(&alices, &alice_now).replace(&bobs, &bob_now);
    std::fs::write(world.config_path(), config).unwrap();
    world.start_with(&["run"]);
    world.phone(&alice).say("Hallo").unwrap();
    let told =
        "Interline: Bob hat deine Nachricht nicht bekommen und ist im Moment nicht erreichbar.";
    world.until_texts(&alice, &[told.to_owned()]).await;
    world.until_texts(&carla, &["Alice: Hallo".to_owned()]).await;
}
