//! The broker is cut, restarted, away, refuses or blocks: nothing is lost, nothing comes twice, the order stays.

use crate::harness::{
    Broker, LIMIT, MESSENGER, World, against_both_brokers, free_address, instagram, messenger,
    texts, whatsapp,
};
use crate::talk::Talk;
use interline_embedded_broker::{EmbeddedBroker, Release};
use interline_sandbox::{Counts, Fault, Kind, Order};
use std::io::{Read, Write};
use std::net::TcpStream;

against_both_brokers! {
    a_cut_connection_in_mid_stream_loses_and_doubles_nothing => cut_in_mid_stream;
    a_restarted_broker_in_mid_stream_loses_and_doubles_nothing => restarted_in_mid_stream;
    a_broker_that_is_away_at_the_start_is_waited_for => away_at_the_start;
    a_dead_first_url_does_not_matter => first_url_dead;
    a_broker_that_hangs_is_given_up_and_found_again => hangs;
    an_alarm_that_blocks_publishing_is_sat_out => blocked;
}

async fn cut_in_mid_stream(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.start();
    talk.say(&world, 15);
    talk.flows(&world, 3).await;
    broker.cut();
    talk.say(&world, 15);
    talk.flows(&world, 20).await;
    broker.cut();
    talk.say(&world, 5);
    talk.ends_well(&mut world).await;
}

async fn restarted_in_mid_stream(mut broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.start();
    talk.say(&world, 15);
    talk.flows(&world, 3).await;
    broker.restart();
    talk.say(&world, 15);
    talk.ends_well(&mut world).await;
}

async fn away_at_the_start(mut broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    broker.go_away();
    world.start();
    talk.say(&world, 3);
    // Before it listens, a refused connection counts as a retry, too.
    world.until_log("ingest started", 1).await;
    let before: Vec<Counts> = world.platforms.all().map(|platform| platform.counts()).to_vec();
    for (platform, before) in world.platforms.all().into_iter().zip(before) {
        let retries = before.retries + 3;
        counts(&world, platform.kind(), |counts| counts.retries >= retries).await;
        assert_eq!(platform.counts().posts_taken, 0, "no 200 while the broker is away");
    }
    assert_eq!(post_nothing(world.listen), "HTTP/1.1 503 Service Unavailable");
    broker.come_back();
    talk.ends_well(&mut world).await;
}

async fn first_url_dead(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    let dead = format!("amqp://guest:guest@{}/%2f", free_address());
    world.broker_urls.insert(0, dead);
    world.start();
    talk.say(&world, 5);
    talk.flows(&world, 5).await;
    broker.cut();
    talk.say(&world, 5);
    talk.ends_well(&mut world).await;
}

async fn blocked(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.ingest_lines = "confirm_timeout = \"300ms\"".to_owned();
    world.start();
    talk.say(&world, 5);
    talk.flows(&world, 5).await;
    broker.alarm(true);
    let before: Vec<Counts> = world.platforms.all().map(|platform| platform.counts()).to_vec();
    talk.say(&world, 5);
    for (platform, before) in world.platforms.all().into_iter().zip(before) {
        let retries = before.retries + 3;
        counts(&world, platform.kind(), |counts| counts.retries >= retries).await;
    }
    broker.alarm(false);
    talk.ends_well(&mut world).await;
}

async fn hangs(broker: Broker) {
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.broker_lines = "heartbeat = \"1s\"\nconnect_timeout = \"1s\"".to_owned();
    world.start();
    talk.say(&world, 5);
    talk.flows(&world, 2).await;
    broker.hang(true);
    talk.say(&world, 5);
    world.until_log("the broker is gone", 1).await;
    broker.hang(false);
    talk.ends_well(&mut world).await;
}

/// Waits until a platform's numbers are as wanted.
async fn counts(world: &World, kind: Kind, wanted: impl Fn(Counts) -> bool) -> Counts {
    let platform = world.platforms.of(kind);
    let waited = tokio::time::timeout(LIMIT, platform.wait_for_counts(wanted)).await;
    waited.unwrap_or_else(|_| panic!("{kind:?} has {:?}\n{}", platform.counts(), world.log()))
}

/// The status line that a signed body without events is answered with.
fn post_nothing(listen: std::net::SocketAddr) -> String {
    let body = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    let secret = format!("sandbox-secret-{}", crate::harness::WHATSAPP);
    let signature = interline_sandbox::signature(&secret, body);
    let head = format!(
        "POST /webhooks/whatsapp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         x-hub-signature-256: {signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    tokio::task::block_in_place(|| {
        let mut socket = TcpStream::connect(listen).unwrap();
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    })
}

async fn mock() -> EmbeddedBroker {
    EmbeddedBroker::start(interline_embedded_broker::Config::default()).await.unwrap()
}

/// Alice on WhatsApp and Bob on Messenger have said one text each, and nothing is on its way.
async fn quiet_pair(broker: &EmbeddedBroker) -> (Talk, World) {
    let mut talk = Talk::of(vec![(whatsapp(1, "Alice"), messenger(1, "Bob"))]);
    let mut world = talk.world(&broker.uri()).await;
    world.ingest_lines = "confirm_timeout = \"300ms\"".to_owned();
    world.start();
    talk.say(&world, 1);
    talk.heard(&world).await;
    world.platforms.idle().await;
    (talk, world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_webhook_gets_no_200_while_the_confirm_is_held() {
    let broker = mock().await;
    let (mut talk, mut world) = quiet_pair(&broker).await;
    let before = world.platforms.whatsapp().counts();
    broker.faults().hold_confirms();
    talk.say(&world, 1);
    let after = counts(&world, Kind::WhatsApp, |counts| counts.retries >= before.retries + 3).await;
    assert!(broker.snapshot().held_confirms > 0, "the event was stored, its confirm is held");
    assert_eq!(after.posts_taken, before.posts_taken, "no 200 before the confirm");
    broker.faults().release_confirms(Release::InOrder);
    counts(&world, Kind::WhatsApp, |counts| counts.posts_taken > before.posts_taken).await;
    talk.ends_well(&mut world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_publish_is_answered_503_and_comes_again() {
    let broker = mock().await;
    let (mut talk, mut world) = quiet_pair(&broker).await;
    let before = broker.snapshot().refused;
    let retries = world.platforms.whatsapp().counts().retries;
    broker.faults().nack_next(6);
    talk.say(&world, 4);
    talk.ends_well(&mut world).await;
    assert_eq!(broker.snapshot().refused, before + 6, "all six were refused");
    let retried = world.platforms.all().map(|platform| platform.counts().retries);
    assert!(retried[0] > retries || retried[1] > 0, "the platform delivered again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusing_target_is_held_and_drained_in_order_while_others_flow() {
    let broker = mock().await;
    let (a, b) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (c, d) = (whatsapp(2, "Carol"), instagram(2, "Dave"));
    let conversations = vec![
        ("ab".to_owned(), vec![a.clone(), b.clone()]),
        ("cd".to_owned(), vec![c.clone(), d.clone()]),
    ];
    let mut world = World::new(&broker.uri(), conversations).await;
    world.extra = "[relay]\ntarget_refusal_timeout = \"200ms\"".to_owned();
    world.start();
    world.phone(&a).say("first").unwrap();
    world.until_texts(&b, &["first".to_owned()]).await;
    broker.faults().nack_routing_key(&format!("messenger.{MESSENGER}"));
    for (n, text) in texts("held", 10).into_iter().enumerate() {
        world.phone(&a).say(text).unwrap();
        world.phone(&c).say(format!("flows {n}")).unwrap();
    }
    world.until_texts(&d, &texts("flows", 10)).await;
    world.until_log("a lane is held until its queue takes it", 1).await;
    world.phone(&a).say("held 10").unwrap();
    // All are acknowledged: the store has them, and a kill does not lose them.
    let events = "interline.events.whatsapp";
    let settled = |depth: interline_embedded_broker::QueueDepth| depth.ready + depth.unacked == 0;
    world.platforms.whatsapp().idle().await;
    broker.wait_until(|now| settled(now.depth(events)), LIMIT).await.unwrap();
    assert_eq!(world.phone(&b).received_texts(), ["first"]);
    world.kill();
    broker.faults().clear_rules();
    world.start();
    let wanted: Vec<String> =
        std::iter::once("first".to_owned()).chain(texts("held", 11)).collect();
    world.until_texts(&b, &wanted).await;
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&b, &wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_that_is_lost_with_its_connection_doubles_nothing() {
    let broker = mock().await;
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.start();
    for cut_after in [1, 2, 3, 5, 8] {
        let stored = broker.snapshot().stored + cut_after;
        broker.faults().cut_after_stored(cut_after);
        talk.say(&world, 4);
        // The cut comes with the last of them, so that a connection seen with it is one after the cut.
        broker.wait_until(|now| now.stored >= stored && now.connections > 0, LIMIT).await.unwrap();
    }
    talk.ends_well(&mut world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_come_again_unasked_have_no_second_effect() {
    let broker = mock().await;
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.start();
    for round in 0..5 {
        talk.say(&world, 6);
        talk.flows(&world, round * 6 + 2).await;
        broker.faults().redeliver_unacked();
    }
    talk.ends_well(&mut world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_the_broker_closes_in_mid_stream_lose_and_double_nothing() {
    let broker = mock().await;
    let mut talk = Talk::new();
    let mut world = talk.world(&broker.uri()).await;
    world.start();
    for (round, code) in [406, 404, 403].into_iter().enumerate() {
        talk.say(&world, 6);
        talk.flows(&world, round * 6 + 2).await;
        broker.faults().close_channels(code, "a test");
    }
    talk.ends_well(&mut world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_rabbitmq_that_is_full_is_drained_in_order_while_others_flow() {
    let Some(broker) = Broker::rabbit().await else { return };
    let Broker::Rabbit(node) = &broker else { panic!("RabbitMQ was asked for") };
    let stuck: Vec<_> = (0..8).map(|n| (whatsapp(n, "Alice"), messenger(n, "Bob"))).collect();
    let flows = (whatsapp(50, "Carol"), instagram(50, "Dave"));
    let named = stuck.iter().chain([&flows]).enumerate();
    let named = named.map(|(n, (a, b))| (format!("c{n}"), vec![a.clone(), b.clone()])).collect();
    let mut world = World::new(&broker.uri(), named).await;
    // Six are with the daemon, one in each of six lanes; the others stay in the queue.
    world.deliver =
        "prefetch = 6\nlane_deliveries_max = 5\nlane_blocked_timeout = \"2m\"".to_owned();
    world.extra = "[relay]\ntarget_refusal_timeout = \"200ms\"".to_owned();
    let policy =
        ["set_policy", "small", r"^interline\.dispatch\.messenger\.", r#"{"max-length":2}"#];
    tokio::task::block_in_place(|| node.control(&policy)).unwrap();
    let hang = world.platforms.messenger().order(Order::next(Fault::Hang).until_released());
    world.start();
    for n in 0..5 {
        for (a, _) in &stuck {
            world.phone(a).say(format!("stuck {n}")).unwrap();
        }
        world.phone(&flows.0).say(format!("flows {n}")).unwrap();
    }
    world.until_texts(&flows.1, &texts("flows", 5)).await;
    world.until_log("a lane is held until its queue takes it", 1).await;
    hang.release();
    for (_, b) in &stuck {
        world.until_texts(b, &texts("stuck", 5)).await;
    }
    assert_eq!(world.stop().await, Some(0));
    for (_, b) in &stuck {
        world.until_texts(b, &texts("stuck", 5)).await;
    }
}
