//! What the store knows of the windows in which people may be written to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use interline_envelope::{Address, RootKey};
use interline_store::{ServiceWindow, Settings, SqliteStore, Store};
use std::path::Path;

fn open(folder: &Path) -> SqliteStore {
    let key = RootKey::published_test_key();
    SqliteStore::open(&folder.join("s.db"), &key, &Settings::default()).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

#[tokio::test]
async fn a_window_is_known_over_a_restart_and_its_person_invited_once_until_it_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, bob) = (address("whatsapp/1/15550001111"), address("whatsapp/1/15550002222"));
    let store = open(folder.path());
    assert_eq!(store.window_of(&alice).await.unwrap(), ServiceWindow::default());
    store.window_opened(&alice, 10).await.unwrap();
    store.window_opened(&alice, 5).await.unwrap();
    store.window_refused(&alice, 20).await.unwrap();
    assert!(store.window_invited(&alice, 30).await.unwrap());
    drop(store);
    let store = open(folder.path());
    let known = ServiceWindow { opened: 10, refused: 20, invited: 30 };
    assert_eq!(store.window_of(&alice).await.unwrap(), known);
    assert_eq!(store.window_of(&bob).await.unwrap(), ServiceWindow::default());
    assert!(!store.window_invited(&alice, 40).await.unwrap());
    assert!(store.window_invited(&bob, 40).await.unwrap(), "nobody knows when it opened");
    assert!(!store.window_invited(&bob, 41).await.unwrap());
    store.window_opened(&alice, 50).await.unwrap();
    assert!(!store.window_invited(&alice, 60).await.unwrap(), "not twice within an hour");
    assert!(store.window_invited(&alice, 3_600_030).await.unwrap());
    store.retain(60 + 32 * 86_400_000).await.unwrap();
    assert_eq!(store.window_of(&alice).await.unwrap(), ServiceWindow::default());
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_to_this_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("s.db");
    let older = "DROP TABLE window; DROP TABLE sent; DROP TABLE open_send; DROP TABLE unread; PRAGMA user_version = 1;";
    rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();
    let store = open(folder.path());
    assert_eq!(store.info().await.unwrap().schema_version, 3);
    store.window_opened(&address("whatsapp/1/15550001111"), 10).await.unwrap();
}
