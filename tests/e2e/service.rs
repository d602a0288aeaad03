//! The daemon as systemd sees it: what it tells the notify socket, and when.

use crate::harness::{Broker, World, messenger, whatsapp};
use std::collections::BTreeSet;
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
