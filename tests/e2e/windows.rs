//! Windows: what comes too late waits for its person, in order, and nobody else waits for it.

use crate::harness::{Broker, Seat, World, instagram, messenger, texts, whatsapp};
use crate::queues::{Queues, reasons};
use interline_sandbox::{Content, Seen};

/// A world in which each of these people hears the other.
async fn world(pairs: &[(Seat, Seat)]) -> (Broker, World) {
    let broker = Broker::mock().await.unwrap();
    let room = |(n, (a, b)): (usize, &(Seat, Seat))| (format!("c{n}"), vec![a.clone(), b.clone()]);
    let rooms = pairs.iter().enumerate().map(room).collect();
    let world = World::new(&broker.uri(), rooms).await;
    (broker, world)
}

/// What the sender of a message that waits is told.
const WAITS: &str =
    "Interline: Your message is waiting. It will be delivered when the other person writes again.";

/// Waits until this person was told so.
async fn told(world: &World, seat: &Seat) {
    let shown = |view: &[Seen]| view.iter().any(|seen| !seen.mine && seen.text() == Some(WAITS));
    world.until(seat, "the notice", shown).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_what_comes_while_a_window_is_closed_waits_and_follows_in_order_when_the_person_writes()
{
    let pairs = [
        (whatsapp(1, "Alice"), messenger(1, "Bob")),
        (whatsapp(2, "Carol"), instagram(2, "Dave")),
        (whatsapp(3, "Erin"), messenger(3, "Frank")),
    ];
    let (broker, mut world) = world(&pairs).await;
    let [first, second, open] = &pairs;
    world.start();
    for (from, to) in &pairs {
        world.phone(from).say("before").unwrap();
        world.until_texts(to, &["before".to_owned()]).await;
    }
    for (_, to) in [first, second] {
        world.phone(to).close_window();
    }
    for (from, _) in &pairs {
        for text in texts("late", 40) {
            world.phone(from).say(text).unwrap();
        }
    }
    let all = |word: &str| {
        std::iter::once("before".to_owned()).chain(texts(word, 40)).collect::<Vec<_>>()
    };
    world.until_texts(&open.1, &all("late")).await;
    for (from, to) in [first, second] {
        told(&world, from).await;
        assert_eq!(world.phone(to).received_texts(), ["before"]);
        world.phone(to).say("here I am").unwrap();
    }
    for (from, to) in [first, second] {
        world.until_texts(to, &all("late")).await;
        // Each of the two senders was told once, however much they said.
        world.until_texts(from, &[WAITS.to_owned(), "here I am".to_owned()]).await;
    }
    let letters = Queues::connect(&broker.uri()).await.dead().await;
    assert_eq!(reasons(&letters), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_is_closed_is_remembered_over_a_restart_and_the_platform_is_not_asked_again()
{
    let pairs = [(whatsapp(1, "Alice"), messenger(1, "Bob"))];
    let (_broker, mut world) = world(&pairs).await;
    let (from, to) = &pairs[0];
    world.start();
    world.phone(to).say("first of all").unwrap();
    world.until_texts(from, &["first of all".to_owned()]).await;
    world.phone(to).close_window();
    world.phone(from).say("late 0").unwrap();
    told(&world, from).await;
    let refused = || world.platforms.messenger().counts().refused;
    assert_eq!(refused(), 1);
    assert_eq!(world.stop().await, Some(0));
    world.start();
    world.phone(from).say("late 1").unwrap();
    world.phone(to).say("back").unwrap();
    world.until_texts(to, &texts("late", 2)).await;
    assert_eq!(world.platforms.messenger().counts().refused, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_never_comes_back_for_expires_as_a_dead_letter() {
    let pairs = [(whatsapp(1, "Alice"), messenger(1, "Bob"))];
    let (broker, mut world) = world(&pairs).await;
    world.store_lines = "held_max_age = \"1m\"\n".to_owned();
    world.start();
    world.phone(&pairs[0].1).close_window();
    world.phone(&pairs[0].0).say("in vain").unwrap();
    let letters = Queues::connect(&broker.uri()).await.until_dead(1).await;
    assert_eq!(reasons(&letters), ["expired"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_whatsapp_took_and_reported_as_too_late_waits_in_order_and_invites_its_person_once() {
    let pairs = [(messenger(1, "Alice"), whatsapp(1, "Bob"))];
    let (broker, mut world) = world(&pairs).await;
    let (from, to) = &pairs[0];
    world.whatsapp_lines =
        "window_template = { name = \"come_back\", language = \"en_US\" }\n".to_owned();
    world.start();
    world.phone(from).say("before").unwrap();
    world.until_texts(to, &["before".to_owned()]).await;
    world.phone(to).close_window();
    for text in texts("late", 40) {
        world.phone(from).say(text).unwrap();
    }
    let is_template = |seen: &&Seen| matches!(seen.content, Content::Template(_));
    let invited = |view: &[Seen]| view.iter().any(|seen| is_template(&seen));
    world.until(to, "the invitation", invited).await;
    // What is on its way when the person writes may still overtake what comes back.
    let idle = tokio::time::timeout(crate::harness::LIMIT, world.platforms.idle());
    assert!(idle.await.is_ok(), "every failure was told");
    broker.until_empty().await;
    world.phone(to).say("here I am").unwrap();
    let all: Vec<_> = std::iter::once("before".to_owned()).chain(texts("late", 40)).collect();
    let came = |view: &[Seen]| {
        view.iter().filter(|seen| !seen.mine && seen.text().is_some()).count() >= all.len()
    };
    let view = world.until(to, "all that was late", came).await;
    let shown = view.iter().filter(|seen| !seen.mine).filter_map(|seen| seen.text());
    assert_eq!(shown.map(str::to_owned).collect::<Vec<_>>(), all);
    assert_eq!(view.iter().filter(is_template).count(), 1);
    let letters = Queues::connect(&broker.uri()).await.dead().await;
    assert_eq!(reasons(&letters), Vec::<&str>::new());
}
