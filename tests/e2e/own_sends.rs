//! What an account itself sends: echoes of ours are known, whatever was lost of the answer; what an operator writes by
//! hand is heard.

use crate::harness::{
    Broker, INSTAGRAM, MESSENGER, Seat, WHATSAPP, World, against_both_brokers, instagram,
    messenger, whatsapp,
};
use crate::queues::{Queues, reasons};
use interline_sandbox::{Fault, Order, Seen};
use serde_json::{Value, json};

against_both_brokers! {
    g5_a_kill_while_instagram_answers_is_settled_by_its_echo => killed_while_instagram_answers;
}

async fn killed_while_instagram_answers(broker: Broker) {
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![alice.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.deliver = "settle_timeout = \"10s\"\n".to_owned();
    world.start();
    let hang = Order::next(Fault::TakeThenHang).until_released();
    let hanging = world.platforms.instagram().order(hang);
    world.phone(&alice).say("once and no more").unwrap();
    world.until(&carla, "the message is taken", |view| view.len() == 1).await;
    world.kill();
    hanging.release();
    world.start();
    world.phone(&alice).say("the next").unwrap();
    world.until_texts(&carla, &["once and no more", "the next"].map(str::to_owned)).await;
    // A reaction finds the message, so its copy is known by its echo alone.
    let id = world.phone(&carla).view()[0].native_id.clone();
    world.phone(&carla).react(&id, "❤").unwrap();
    let loved = |view: &[Seen]| view[0].reaction.is_some();
    world.until(&alice, "the reaction", loved).await;
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(world.phone(&carla).received().len(), 2, "nothing came later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_echoes_of_our_own_sends_never_come_back() {
    let broker = Broker::mock().await.unwrap();
    let (bob, carla) = (messenger(1, "Bob"), instagram(1, "Carla"));
    let named = vec![("pair".to_owned(), vec![bob.clone(), carla.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    for n in 0..10 {
        world.phone(&bob).say(format!("same words {}", n % 2)).unwrap();
        world.phone(&bob).photo("bytes", "image/png", None).unwrap();
    }
    world.until(&carla, "all of it", |view| view.len() == 20).await;
    world.platforms.idle().await;
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(world.phone(&bob).received().len(), 0);
    assert_eq!(world.phone(&carla).received().len(), 20);
}

fn echo(object: &str, account: &str, seat: &Seat, time: i64) -> Value {
    let message =
        json!({"mid": "m_by_hand", "text": "typed by hand", "is_echo": true, "app_id": 7});
    let event = json!({
        "sender": {"id": account}, "recipient": {"id": seat.person}, "timestamp": time,
        "message": message,
    });
    json!({"object": object, "entry": [{"id": account, "time": time, "messaging": [event]}]})
}

fn echo_of_whatsapp(seat: &Seat) -> Value {
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550000000", "phone_number_id": WHATSAPP},
        "message_echoes": [{
            "from": "15550000000", "to": seat.person, "id": "wamid.BY_HAND",
            "timestamp": "1700000000", "type": "text", "text": {"body": "typed by hand"},
        }],
    });
    let changes = json!([{"field": "smb_message_echoes", "value": value}]);
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]})
}

/// A pair of people whose daemon runs.
struct Scene {
    world: World,
    other: Seat,
    queues: Queues,
    // It lives as long as the daemon.
    _broker: Broker,
}

/// Two people whose daemon runs, with further lines for each account.
async fn scene(one: &Seat, policy: &str) -> Scene {
    let broker = Broker::mock().await.unwrap();
    let other = if one.account == MESSENGER { whatsapp(1, "Zoe") } else { messenger(1, "Zoe") };
    let named = vec![("pair".to_owned(), vec![one.clone(), other.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.account_lines = format!("name = \"Support\"\n{policy}");
    world.start();
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_declared(one.kind.word()).await;
    Scene { world, other, queues, _broker: broker }
}

/// Somebody answers `one` in the platform's own inbox.
async fn by_hand(one: Seat, echo: Value, policy: &str) -> Scene {
    let scene = scene(&one, policy).await;
    scene.queues.publish_event(one.kind.word(), &one.account, echo.to_string()).await;
    scene.world.phone(&one).say("and I heard it").unwrap();
    scene
}

async fn is_heard(one: Seat, echo: Value) {
    let Scene { mut world, other, queues, _broker } = by_hand(one.clone(), echo, "").await;
    let wanted = ["Support: typed by hand", "and I heard it"];
    let all = |view: &[Seen]| view.len() == 2;
    let view = world.until(&other, "both", all).await;
    let mut texts: Vec<_> = view.iter().filter_map(Seen::text).collect();
    texts.sort_unstable();
    assert_eq!(texts, wanted);
    assert_eq!(world.stop().await, Some(0));
    assert_eq!(world.phone(&one).received().len(), 0, "the person has it already");
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_an_operator_writes_in_messengers_inbox_is_heard() {
    let bob = messenger(1, "Bob");
    is_heard(bob.clone(), echo("page", MESSENGER, &bob, 1_700_000_000_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_an_operator_writes_in_instagrams_inbox_is_heard() {
    let carla = instagram(1, "Carla");
    is_heard(carla.clone(), echo("instagram", INSTAGRAM, &carla, 1_700_000_000_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_an_operator_writes_in_the_whatsapp_business_app_is_heard() {
    let alice = whatsapp(1, "Alice");
    is_heard(alice.clone(), echo_of_whatsapp(&alice)).await;
}

/// Two daemons with the same accounts hear each other's echoes, and Instagram gives no marker back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_what_another_daemon_passed_on_goes_no_further() {
    let carla = instagram(1, "Carla");
    for author in ["Support", "Interline", "Someone on Messenger"] {
        let Scene { mut world, other, queues, _broker } = scene(&carla, "").await;
        let mut echo = echo("instagram", INSTAGRAM, &carla, 1_700_000_000_000);
        let said = &mut echo["entry"][0]["messaging"][0]["message"]["text"];
        *said = format!("{author}: typed by hand").into();
        queues.publish_event("instagram", INSTAGRAM, echo.to_string()).await;
        world.phone(&carla).say("and I heard it").unwrap();
        world.until_texts(&other, &["and I heard it".to_owned()]).await;
        assert_eq!(world.stop().await, Some(0));
        world.until_texts(&other, &["and I heard it".to_owned()]).await;
    }
}

/// For one of two it came to nothing, and of the other's it is not known yet whether it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_whoever_may_have_what_was_taken_back_is_told_so_once_it_is_known() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob, carla) = (whatsapp(1, "Alice"), messenger(1, "Bob"), instagram(1, "Carla"));
    let seats = vec![alice.clone(), bob.clone(), carla.clone()];
    let mut world = World::new(&broker.uri(), vec![("all".to_owned(), seats)]).await;
    world.deliver = "settle_timeout = \"60s\"\n".to_owned();
    let page = world.platforms.messenger().account(MESSENGER).unwrap();
    let webhook_url = page.config().unwrap().webhook_url;
    page.set_webhook_url(None);
    let unreachable = Order::next(Fault::graph(400, 131_026, None)).person(&alice.person);
    world.platforms.whatsapp().order(unreachable);
    let hang = Order::next(Fault::TakeThenHang).until_released();
    let hanging = world.platforms.messenger().order(hang);
    world.start();
    let taken_back = world.phone(&carla).say("taken back").unwrap();
    let queues = Queues::connect(&broker.uri()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["recipient"]);
    world.until(&bob, "the message is taken", |view| view.len() == 1).await;
    world.kill();
    hanging.release();
    world.phone(&carla).unsend(&taken_back).unwrap();
    world.start();
    world.phone(&carla).say("later").unwrap();
    let is_later = |seen: &Seen| seen.text().is_some_and(|text| text.ends_with("later"));
    world.until(&alice, "what came later", |view| view.iter().any(is_later)).await;
    page.set_webhook_url(webhook_url.as_deref());
    let view = world.until(&bob, "what came later", |view| view.iter().any(is_later)).await;
    let shown: Vec<&str> = view.iter().filter_map(Seen::text).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown[1].contains("deleted a message: \"taken back\""), "{shown:?}");
    assert_eq!(world.stop().await, Some(0));
}

/// It stands in their chat, and they did not write it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_that_what_an_operator_wrote_was_not_delivered() {
    let bob = messenger(1, "Bob");
    let Scene { mut world, other, queues, _broker } = scene(&bob, "").await;
    let unreachable = Fault::graph(400, 131_026, None);
    world.platforms.whatsapp().order(Order::next(unreachable).person(&other.person));
    let echo = echo("page", MESSENGER, &bob, 1_700_000_000_000);
    queues.publish_event("messenger", MESSENGER, echo.to_string()).await;
    assert_eq!(reasons(&queues.until_dead(1).await), ["recipient"]);
    world.phone(&other).say("hello").unwrap();
    world.until_texts(&bob, &["hello".to_owned()]).await;
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&bob, &["hello".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_writes_stays_between_the_two_where_the_policy_says_so() {
    let bob = messenger(1, "Bob");
    let echo = echo("page", MESSENGER, &bob, 1_700_000_000_000);
    let policy = "operator_messages = \"ignore\"";
    let Scene { mut world, other, queues: _, _broker } = by_hand(bob, echo, policy).await;
    world.until_texts(&other, &["and I heard it".to_owned()]).await;
    assert_eq!(world.stop().await, Some(0));
    world.until_texts(&other, &["and I heard it".to_owned()]).await;
}
