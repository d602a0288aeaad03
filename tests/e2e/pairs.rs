//! Everybody hears everybody: each ordered pair of platforms, and what is more than text.

use crate::harness::{Broker, World, against_both_brokers, instagram, messenger, texts, whatsapp};

against_both_brokers! {
    what_was_in_flight_at_a_kill_arrives_after_the_next_start => killed_once;
    a_text_reaches_every_other_platform_in_each_direction => every_ordered_pair;
}

async fn every_ordered_pair(broker: Broker) {
    let makers = [whatsapp, messenger, instagram];
    let mut conversations = Vec::new();
    let mut pairs = Vec::new();
    for (n, from) in makers.iter().enumerate() {
        for (m, to) in makers.iter().enumerate().filter(|(m, _)| *m != n) {
            let at = n * 10 + m;
            let (a, b) = (from(at, "Alice"), to(100 + at, "Bob"));
            conversations.push((format!("pair-{at}"), vec![a.clone(), b.clone()]));
            pairs.push((a, b));
        }
    }
    let mut world = World::new(&broker.uri(), conversations).await;
    world.start();
    for (a, b) in &pairs {
        for text in texts("there", 3) {
            world.phone(a).say(text).unwrap();
        }
        for text in texts("back", 3) {
            world.phone(b).say(text).unwrap();
        }
    }
    for (a, b) in &pairs {
        world.until_texts(b, &texts("there", 3)).await;
        world.until_texts(a, &texts("back", 3)).await;
    }
    assert_eq!(world.stop().await, Some(0));
}

async fn killed_once(broker: Broker) {
    let (a, b) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let mut world =
        World::new(&broker.uri(), vec![("ab".to_owned(), vec![a.clone(), b.clone()])]).await;
    world.start();
    world.phone(&a).say("before 0").unwrap();
    let heard = |view: &[interline_sandbox::Seen]| view.iter().any(|seen| !seen.mine);
    world.until(&b, "the first message", heard).await;
    for text in texts("after", 20) {
        world.phone(&a).say(text).unwrap();
    }
    world.kill();
    world.start();
    let wanted: Vec<String> = texts("before", 1).into_iter().chain(texts("after", 20)).collect();
    world.until_texts(&b, &wanted).await;
}
