//! What somebody has read is shown to who wrote it, by their own platform's means.

use crate::harness::{Broker, Seat, WHATSAPP, World, instagram, messenger, whatsapp};
use crate::queues::Queues;
use interline_sandbox::Seen;
use serde_json::json;

async fn world(broker: &Broker, seats: &[Seat]) -> World {
    World::new(&broker.uri(), vec![("all".to_owned(), seats.to_vec())]).await
}

fn is_marked(view: &[Seen], count: usize) -> bool {
    view.iter().filter(|seen| seen.mine && seen.read).count() == count
}

/// Everybody has both messages; one after the other reads, and only then the author sees it.
async fn shows_the_author(author: Seat, readers: &[Seat]) {
    let broker = Broker::mock().await.unwrap();
    let seats: Vec<Seat> = std::iter::once(&author).chain(readers).cloned().collect();
    let mut world = world(&broker, &seats).await;
    world.start();
    world.phone(&author).say("one").unwrap();
    world.phone(&author).say("two").unwrap();
    for reader in readers {
        world.until(reader, "both", |view| view.len() == 2).await;
    }
    for (n, reader) in readers.iter().enumerate() {
        assert!(is_marked(&world.phone(&author).view(), 0), "{n} of {}", readers.len());
        world.phone(reader).read().unwrap();
        // Something that comes behind it: once that is there, the receipt was looked at.
        world.phone(reader).say("read").unwrap();
        world.until(&author, "what is behind", |view| view.len() == 3 + n).await;
    }
    world.until(&author, "both are marked", |view| is_marked(view, 2)).await;
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_whatsapp_the_author_sees_that_messenger_has_read() {
    shows_the_author(whatsapp(1, "Alice"), &[messenger(1, "Bob")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_messenger_the_author_sees_that_instagram_has_read() {
    shows_the_author(messenger(1, "Bob"), &[instagram(1, "Carla")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_instagram_the_author_sees_that_whatsapp_has_read() {
    shows_the_author(instagram(1, "Carla"), &[whatsapp(1, "Alice")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_three_take_part_the_author_sees_it_when_both_others_have_read() {
    shows_the_author(whatsapp(1, "Alice"), &[messenger(1, "Bob"), instagram(1, "Carla")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_author_sees_that_a_message_was_read_though_what_was_read_last_told_of_its_edit() {
    let broker = Broker::mock().await.unwrap();
    let (bob, carla) = (messenger(1, "Bob"), instagram(1, "Carla"));
    let mut world = world(&broker, &[bob.clone(), carla.clone()]).await;
    world.start();
    let said = world.phone(&bob).say("at nien").unwrap();
    world.phone(&bob).edit(&said, "at nine").unwrap();
    world.until(&carla, "both", |view| view.len() == 2).await;
    world.phone(&carla).read().unwrap();
    world.until(&bob, "it is marked", |view| is_marked(view, 1)).await;
    assert_eq!(world.stop().await, Some(0));
}

/// What a backend put into a send comes back with its status, and nobody bounds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_receipt_of_a_status_of_any_size_is_passed_on_and_stops_nobody() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let mut world = world(&broker, &[alice.clone(), bob.clone()]).await;
    world.start();
    world.phone(&bob).say("one").unwrap();
    world.until(&alice, "the message", |view| view.len() == 1).await;
    let wamid = world.phone(&alice).view()[0].native_id.clone();
    let now = world.phone(&alice).view()[0].at_ms / 1000;
    let status = json!({
        "id": wamid, "status": "read", "timestamp": now.to_string(),
        "recipient_id": alice.person, "biz_opaque_callback_data": "x".repeat(700_000),
    });
    let metadata = json!({"display_phone_number": "15550001111", "phone_number_id": WHATSAPP});
    let value =
        json!({"messaging_product": "whatsapp", "metadata": metadata, "statuses": [status]});
    let changes = json!([{"field": "messages", "value": value}]);
    let body =
        json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]});
    let queues = Queues::connect(&broker.uri()).await;
    queues.publish_event("whatsapp", WHATSAPP, body.to_string()).await;
    world.until(&bob, "it is marked", |view| is_marked(view, 1)).await;
    world.phone(&alice).say("two").unwrap();
    world.until(&bob, "what came later", |view| view.len() == 2).await;
    assert_eq!(world.stop().await, Some(0));
}
