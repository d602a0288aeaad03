//! G8: nothing that belongs to a person lies on the disk in clear, in any encoding.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use interline_envelope::{Address, DispatchId, EnvelopeId, LaneId, RootKey};
use interline_store::{
    Awaited, DispatchState, HeldBody, HeldStage, NativeMessage, NewCopy, NewDispatch, NewParked,
    ReceiptWanted, RequestOutcome, RequestPlan, Settings, SqliteStore, Store,
};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const NUMBER: &str = "15550001111";
const NAME: &str = "Alice Canary";
const WORDS: &str = "meet me at the lighthouse";
const NATIVE: &str = "wamid.HBgLMTU1NTAwMDExMTE";

/// Every form in which a text could lie in a file.
fn encodings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let utf16_le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut forms = vec![
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-16LE", utf16_le),
        ("UTF-16BE", utf16_be),
        ("hex", hex::encode(text).into_bytes()),
        ("HEX", hex::encode_upper(text).into_bytes()),
    ];
    for (name, offset) in [("base64", 0), ("base64 + 1", 1), ("base64 + 2", 2)] {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(text.as_bytes());
        let encoded = STANDARD_NO_PAD.encode(&padded);
        // The first and last characters depend on the neighbours.
        let inner = &encoded.as_bytes()[offset + 2..encoded.len() - 2];
        forms.push((name, inner.to_vec()));
    }
    forms
}

fn found(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for (name, needle) in encodings(text) {
            if memchr::memmem::find(&bytes, &needle).is_some() {
                found.push(format!("{name} in {}", path.display()));
            }
        }
    }
    found
}

async fn fill(store: &SqliteStore) {
    let now =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let person = Address::parse(&format!("whatsapp/1065/{NUMBER}")).unwrap();
    for n in 0..1000_u16 {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let (id, native_id) = (DispatchId::from_bytes(id), format!("{NATIVE}{n}"));
        let plan = format!(r#"{{"to":"{NUMBER}","name":"{NAME}","text":"{WORDS}"}}"#).into_bytes();
        let likeness = Some(format!("text:{WORDS}").as_str().into());
        let plans = vec![RequestPlan { body: plan.clone(), likeness }];
        let message = NativeMessage {
            account: person.account.clone(),
            chat: person.user.clone(),
            native_id: format!("{native_id}-later").as_str().into(),
        };
        let carries = Some(message.clone());
        let new = NewDispatch { id, time: now, to: person.clone(), plans, carries, reaction: None };
        store.begin(new, now).await.unwrap();
        let copy = NewCopy {
            account: person.account.clone(),
            chat: person.user.clone(),
            native_id: native_id.as_str().into(),
            envelope: EnvelopeId::from_bytes(*id.as_bytes()),
            participant: person.clone(),
            part: 0,
            excerpt: Some(WORDS.into()),
            author: Some(NAME.into()),
            is_original: false,
            writer: person.clone(),
            receipt: Some(ReceiptWanted { author: person.clone(), readers: 2 }),
            at: now,
        };
        let sent = RequestOutcome::Sent { native_ids: vec![native_id.as_str().into()] };
        let finish = (n % 2 == 0).then_some(DispatchState::Done);
        store.outcome(id, now, 0, sent, vec![copy], finish).await.unwrap();
        if n % 10 == 0 {
            let held = HeldBody {
                dispatch: id,
                body: plan.clone(),
                held_at: now,
                attempts: 0,
                first: false,
            };
            store
                .hold(HeldStage::Deliver, LaneId::from_bytes([1; 8]), &person.account, vec![held])
                .await
                .unwrap();
            let parked = NewParked {
                awaits: Awaited::Message(message),
                dispatch: id,
                lane: LaneId::from_bytes([1; 8]),
                target: person.account.clone(),
                body: plan,
                held: None,
                since: now,
                until: now,
            };
            store.park_if_absent(parked).await.unwrap();
            store
                .bury(&person.account, &person.user, &native_id.as_str().into(), now)
                .await
                .unwrap();
        }
    }
    store.bind(&person, &format!("US.{NUMBER}").as_str().into()).await.unwrap();
}

#[tokio::test]
async fn g8_after_a_thousand_messages_nothing_of_a_person_lies_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interline.db");
    let key = RootKey::generate().unwrap();
    let store = SqliteStore::open(&path, &key, &Settings::default()).unwrap();
    fill(&store).await;
    for text in [NUMBER, NAME, WORDS, NATIVE, "whatsapp"] {
        assert_eq!(found(folder.path(), text), Vec::<String>::new(), "{text} while open");
    }
    // The positive control: with the key all of it is there.
    let person = Address::parse(&format!("whatsapp/1065/{NUMBER}")).unwrap();
    for n in 0..1000_u16 {
        let native_id = format!("{NATIVE}{n}");
        let known = store
            .envelope_of(&person.account, &person.user, &native_id.as_str().into())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((known.excerpt, known.author), (Some(WORDS.into()), Some(NAME.into())));
        assert_eq!(
            store.copies_of(known.envelope, &person).await.unwrap()[0].native_id,
            native_id.as_str().into()
        );
    }
    let held =
        store.held_peek(HeldStage::Deliver, LaneId::from_bytes([1; 8]), None, 1).await.unwrap();
    assert!(String::from_utf8_lossy(&held[0].body).contains(WORDS));
    assert_eq!(store.bindings().await.unwrap().len(), 1);
    drop(store);
    for text in [NUMBER, NAME, WORDS, NATIVE, "whatsapp"] {
        assert_eq!(found(folder.path(), text), Vec::<String>::new(), "{text} after closing");
    }
}

#[test]
fn the_search_itself_finds_every_encoding() {
    for (name, bytes) in encodings(WORDS) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = b"some bytes before ".to_vec();
        file.extend(bytes);
        std::fs::write(folder.path().join("file"), file).unwrap();
        assert!(!found(folder.path(), WORDS).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn g8_the_files_can_be_read_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("interline.db");
    let store =
        SqliteStore::open(&path, &RootKey::published_test_key(), &Settings::default()).unwrap();
    store.bind(&Address::parse("whatsapp/1/2").unwrap(), &"x".into()).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}
