//! The daemon as systemd sees it: what it tells the notify socket, and when.

use crate::harness::{Broker, World, messenger, whatsapp};
use interline_sandbox::Seen;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// Reads the socket until `wanted` has come, and gives back everything that came.
fn heard(socket: &UnixDatagram, wanted: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let started = Instant::now();
    let mut buffer = [0; 4096];
    while started.elapsed() < crate::harness::LIMIT {
        if let Ok(length) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            all.extend(text.lines().map(str::to_owned));
            if all.contains(wanted) {
                return all;
            }
        }
    }
    panic!("{wanted} never came, only {all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_hears_that_it_is_ready_alive_reloading_and_stopping() {
    let broker = Broker::mock().await.unwrap();
    let seats = vec![whatsapp(1, "Alice"), messenger(1, "Bob")];
    let mut world = World::new(&broker.uri(), vec![("ab".to_owned(), seats)]).await;
    let path = world.folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    world.env = vec![
        ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "600000".to_owned()),
    ];
    world.start();
    heard(&socket, "READY=1");
    heard(&socket, "WATCHDOG=1");
    world.signal("HUP");
    let reload = heard(&socket, "RELOADING=1");
    assert!(reload.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reload:?}");
    heard(&socket, "READY=1");
    world.signal("TERM");
    heard(&socket, "STOPPING=1");
    assert_eq!(world.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_waits_for_the_next_daemon_where_systemd_holds_the_listener() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let seats = vec![alice.clone(), bob.clone()];
    let mut world = World::new(&broker.uri(), vec![("ab".to_owned(), seats)]).await;
    // Bound already: a daemon that bound the address itself could not start.
    let listener = TcpListener::bind(world.listen).unwrap();
    world.start_on(&listener);
    world.phone(&alice).say("one").unwrap();
    world.until_texts(&bob, &["one".to_owned()]).await;
    assert_eq!(world.stop().await, Some(0));

    let address = world.listen;
    let mut waiting = TcpStream::connect(address).unwrap();
    let head = "GET /webhooks/whatsapp HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    waiting.write_all(head.as_bytes()).unwrap();
    world.start_on(&listener);
    waiting.set_read_timeout(Some(crate::harness::LIMIT)).unwrap();
    let mut answer = String::new();
    tokio::task::block_in_place(|| waiting.read_to_string(&mut answer)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    world.phone(&alice).say("two").unwrap();
    world.until_texts(&bob, &["one".to_owned(), "two".to_owned()]).await;
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_watchdog_in_the_unit_none_is_fed() {
    let broker = Broker::mock().await.unwrap();
    let seats = vec![whatsapp(1, "Alice"), messenger(1, "Bob")];
    let mut world = World::new(&broker.uri(), vec![("ab".to_owned(), seats)]).await;
    let path = world.folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    world.env = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    world.start();
    heard(&socket, "READY=1");
    world.signal("TERM");
    let all = heard(&socket, "STOPPING=1");
    assert!(!all.contains("WATCHDOG=1"), "{all:?}");
    assert_eq!(world.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_an_account_with_order_delivered_sends_the_next_message_when_the_last_one_reached_the_phone()
 {
    let broker = Broker::mock().await.unwrap();
    for (from, to) in
        [(messenger(1, "Bob"), whatsapp(1, "Alice")), (whatsapp(1, "Alice"), messenger(1, "Bob"))]
    {
        let seats = vec![from.clone(), to.clone()];
        let mut world = World::new(&broker.uri(), vec![("ab".to_owned(), seats)]).await;
        world.account_lines = "order = \"delivered\"\n".to_owned();
        world.deliver.push_str("delivered_timeout = \"60s\"\n");
        world.platforms.of(to.kind).change_settings(|settings| settings.receipts.delivered = false);
        world.start();
        for text in ["one", "two", "three"] {
            world.phone(&from).say(text).unwrap();
        }
        let heard = |count: usize| {
            move |view: &[Seen]| view.iter().filter(|seen| !seen.mine).count() >= count
        };
        for count in 1..=3 {
            world.until(&to, "the next message", heard(count)).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(world.phone(&to).received_texts().len(), count, "it waits for its status");
            world.phone(&to).read().unwrap();
        }
        assert_eq!(world.phone(&to).received_texts(), ["one", "two", "three"]);
        assert_eq!(world.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_with_nothing_under_way_does_not_wait_for_the_drain_deadline() {
    let broker = Broker::mock().await.unwrap();
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let seats = vec![alice.clone(), bob.clone()];
    let mut world = World::new(&broker.uri(), vec![("ab".to_owned(), seats)]).await;
    world.extra.push_str("[shutdown]\ndeadline = \"10m\"\n");
    world.start();
    world.phone(&alice).say("hello").unwrap();
    world.until(&bob, "the greeting", |view| view.iter().any(|seen| !seen.mine)).await;
    // Within the limit of the test, which is far below that deadline.
    assert_eq!(world.stop().await, Some(0));
}
