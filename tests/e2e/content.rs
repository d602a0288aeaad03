//! What each kind of thing that a person does becomes on the other person's phone, for each pair of platforms: itself
//! where the target has it, else what the table of degradations says. Nothing vanishes.

use crate::harness::{Broker, MESSENGER, Seat, World, instagram, messenger, whatsapp};
use crate::queues::{Queues, reasons};
use expect_test::{Expect, expect};
use interline_sandbox::{Content, Kind, Media, Phone, PhoneError, Seen};
use serde_json::json;
use std::fmt::Write as _;

const END: &str = "the end";

// How files of each type begin; what follows is no picture and no sound, so nothing here can be converted.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0";
const WEBP: &[u8] = b"RIFF\x20\0\0\0WEBPVP8 ";
const MP4: &[u8] = b"\0\0\0\x18ftypmp42";
const M4A: &[u8] = b"\0\0\0\x18ftypM4A ";
const OGG: &[u8] = b"OggS\0\x02";
const PDF: &[u8] = b"%PDF-1.7\n";

fn begun(head: &[u8], words: &str) -> Vec<u8> {
    [head, words.as_bytes()].concat()
}

/// Everything that a person can do, in order; what the platform does not have is left out.
fn do_everything(phone: &Phone, heard: &[String; 3]) {
    let done = |done: Result<String, PhoneError>| match done {
        Ok(_) | Err(PhoneError::NotOnThisPlatform { .. }) => {}
        Err(error) => panic!("{error}"),
    };
    let [first, second, third] = heard;
    let own = phone.say("plain words").unwrap();
    done(phone.reply(first, "a reply to you"));
    done(phone.reply(&own, "a reply to myself"));
    done(phone.react(first, "❤"));
    done(phone.react(second, "😂"));
    done(phone.react(third, "👍"));
    done(phone.unreact(third));
    done(phone.photo(begun(PNG, "bytes of a photo"), "image/png", None));
    let captioned = begun(JPEG, "bytes of a captioned photo");
    done(phone.photo(captioned, "image/jpeg", Some("its caption")));
    let album = ["one", "two"]
        .map(|n| (begun(PNG, &format!("bytes of photo {n}")).into(), "image/png".to_owned()));
    done(phone.photos(album.to_vec()));
    done(phone.video(begun(MP4, "bytes of a video"), "video/mp4", None));
    let is_whatsapp = phone.kind() == Kind::WhatsApp;
    let (voice, sticker) = if is_whatsapp { (OGG, WEBP) } else { (MP4, PNG) };
    done(phone.voice(begun(voice, "bytes of a voice note")));
    done(phone.audio(begun(M4A, "bytes of a song"), "audio/mp4"));
    let pdf = begun(PDF, "bytes of a pdf");
    done(phone.document(pdf, "application/pdf", "plan.pdf", None));
    done(phone.document("bytes of a text", "text/plain", "notes.txt", Some("read this")));
    done(phone.sticker(begun(sticker, "bytes of a sticker"), false));
    done(phone.heart());
    done(phone.location(47.5, 8.25, Some("Old Mill"), Some("1 River Road")));
    done(phone.location(47.5, 8.25, None, None));
    done(phone.contacts(vec![json!({
        "name": {"formatted_name": "Kim Case"}, "phones": [{"phone": "+15550003333"}],
    })]));
    done(phone.tap_quick_reply("YES", "Yes, please"));
    done(phone.unsupported("poll"));
    let changed = phone.say("before the edit").unwrap();
    done(phone.edit(&changed, "after the edit"));
    let regretted = phone.say("to be unsent").unwrap();
    done(phone.unsend(&regretted));
    phone.say(END).unwrap();
}

fn file(media: &Media) -> String {
    let digits = |c: char| c.is_ascii_digit();
    // A CDN names files by numbers of its own.
    let name = media.filename.as_deref().map(|name| name.trim_start_matches(digits));
    let name = name.map_or_else(String::new, |name| format!(" named {name}"));
    let bytes = String::from_utf8_lossy(&media.bytes);
    let bytes = bytes.split_once("bytes of").map_or("no words", |(_, words)| words);
    let bytes = format!("bytes of{bytes}");
    format!("{:?} {}{name}: {bytes}", media.kind, media.mime)
}

/// One line for a message on a screen.
fn line(seen: &Seen, view: &[Seen]) -> String {
    let mut line = match &seen.content {
        Content::Text(text) => text.replace('\n', " ⏎ "),
        Content::Media(media) => format!("<{}>", file(media)),
        Content::Album(media) => {
            let files: Vec<String> = media.iter().map(file).collect();
            format!("<album: {}>", files.join("; "))
        }
        Content::Location(place) => format!(
            "<location {} {} {:?} {:?}>",
            place.latitude, place.longitude, place.name, place.address
        ),
        Content::Contacts(cards) => {
            format!("<contacts {}>", serde_json::Value::from(cards.clone()))
        }
        other @ (Content::Choices { .. }
        | Content::Heart
        | Content::PlatformSticker(_)
        | Content::Template(_)
        | Content::Unsupported(_)) => format!("<{other:?}>"),
    };
    if let Some(caption) = seen.media().and_then(|media| media.caption.as_ref()) {
        write!(line, " {caption}").unwrap();
    }
    if let Some(quoted) = &seen.quotes {
        let of = view.iter().find(|other| other.native_id == *quoted).unwrap();
        write!(line, " [quotes: {}]", of.text().unwrap_or("no text")).unwrap();
    }
    if let Some(reaction) = &seen.reaction {
        write!(line, " [reaction: {reaction}]").unwrap();
    }
    line
}

/// What one phone shows in the end after everything was done on another.
async fn shows(from: Seat, to: Seat, wanted: Expect) {
    let broker = Broker::mock().await.unwrap();
    let named = vec![("pair".to_owned(), vec![from.clone(), to.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    for text in ["first", "second", "third"] {
        world.phone(&to).say(text).unwrap();
    }
    world.until(&from, "three texts", |view| view.len() == 3).await;
    let heard = world.phone(&from).received();
    let heard = [0, 1, 2].map(|n: usize| heard[n].native_id.clone());
    do_everything(&world.phone(&from), &heard);
    let ended = |view: &[Seen]| view.last().and_then(Seen::text) == Some(END);
    let view = world.until(&to, "everything", ended).await;
    let lines: Vec<String> = view.iter().map(|seen| line(seen, &view)).collect();
    wanted.assert_eq(&format!("{}\n", lines.join("\n")));
    let letters = Queues::connect(&broker.uri()).await.dead().await;
    assert_eq!(reasons(&letters), Vec::<&str>::new(), "{letters:#?}");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_whatsapp_says_on_messenger() {
    shows(
        whatsapp(1, "Alice"),
        messenger(1, "Bob"),
        expect![[r#"
        first [reaction: ❤]
        second [reaction: 😂]
        third
        plain words
        a reply to you [quotes: first]
        a reply to myself [quotes: plain words]
        <Image image/png named image.png: bytes of a photo>
        <Image image/jpeg named image.jpg: bytes of a captioned photo>
        its caption
        <Video video/mp4 named video.mp4: bytes of a video>
        <Audio audio/ogg named audio.ogg: bytes of a voice note>
        <Audio audio/mp4 named audio.m4a: bytes of a song>
        <Document application/pdf named plan.pdf: bytes of a pdf>
        <Document text/plain named notes.txt: bytes of a text>
        read this
        <Document image/webp named document.webp: bytes of a sticker>
        📍 Old Mill, 1 River Road https://maps.google.com/?q=47.5,8.25
        📍 https://maps.google.com/?q=47.5,8.25
        👤 Kim Case: +15550003333
        Yes, please
        [Alice sent a poll that cannot be bridged]
        before the edit
        ✏️ edited a message (new text not available)
        to be unsent
        🗑 deleted a message: "to be unsent"
        the end
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_whatsapp_says_on_instagram() {
    shows(
        whatsapp(1, "Alice"),
        instagram(1, "Bob"),
        expect![[r#"
        first [reaction: ❤️]
        second
        third
        plain words
        a reply to you [quotes: first]
        a reply to myself [quotes: plain words]
        reacted 😂 to "second"
        reacted 👍 to "third"
        removed their reaction to "third"
        <Image image/png named image.png: bytes of a photo>
        <Image image/jpeg named image.jpg: bytes of a captioned photo>
        its caption
        <Video video/mp4 named video.mp4: bytes of a video>
        [Alice sent a voice note that cannot be shown here]
        <Audio audio/mp4 named audio.m4a: bytes of a song>
        <Document application/pdf named plan.pdf: bytes of a pdf>
        [Alice sent a file that cannot be shown here] ⏎ read this
        [Alice sent a sticker that cannot be shown here]
        📍 Old Mill, 1 River Road https://maps.google.com/?q=47.5,8.25
        📍 https://maps.google.com/?q=47.5,8.25
        👤 Kim Case: +15550003333
        Yes, please
        [Alice sent a poll that cannot be bridged]
        before the edit
        ✏️ edited a message (new text not available)
        to be unsent
        🗑 deleted a message: "to be unsent"
        the end
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_messenger_says_on_whatsapp() {
    shows(
        messenger(1, "Alice"),
        whatsapp(1, "Bob"),
        expect![[r#"
        first [reaction: ❤]
        second [reaction: 😂]
        third
        plain words
        a reply to you [quotes: first]
        a reply to myself [quotes: plain words]
        <Image image/png: bytes of a photo>
        <Image image/png: bytes of photo one>
        <Image image/png: bytes of photo two>
        <Video video/mp4: bytes of a video>
        <Audio audio/mp4: bytes of a voice note>
        <Audio audio/mp4: bytes of a song>
        <Document application/pdf named plan.pdf: bytes of a pdf>
        <Image image/png: bytes of a sticker>
        <location 47.5 8.25 None None>
        <location 47.5 8.25 None None>
        Yes, please
        [Someone on Messenger sent a poll that cannot be bridged]
        before the edit
        ✏️ edited: after the edit [quotes: before the edit]
        to be unsent
        the end
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_messenger_says_on_instagram() {
    shows(messenger(1, "Alice"), instagram(1, "Bob"), expect![[r#"
        first [reaction: ❤️]
        second
        third
        plain words
        a reply to you [quotes: first]
        a reply to myself [quotes: plain words]
        reacted 😂 to "second"
        reacted 👍 to "third"
        removed their reaction to "third"
        <Image image/png named image.png: bytes of a photo>
        <album: Image image/png named image.png: bytes of photo one; Image image/png named image.png: bytes of photo two>
        <Video video/mp4 named video.mp4: bytes of a video>
        <Audio audio/mp4 named audio.m4a: bytes of a voice note>
        <Audio audio/mp4 named audio.m4a: bytes of a song>
        <Document application/pdf named plan.pdf: bytes of a pdf>
        <Image image/png named image.png: bytes of a sticker>
        📍 https://maps.google.com/?q=47.5,8.25
        📍 https://maps.google.com/?q=47.5,8.25
        Yes, please
        [Someone on Messenger sent a poll that cannot be bridged]
        before the edit
        ✏️ edited: after the edit [quotes: before the edit]
        to be unsent
        the end
    "#]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_instagram_says_on_whatsapp() {
    shows(
        instagram(1, "Alice"),
        whatsapp(1, "Bob"),
        expect![[r#"
        first [reaction: ❤]
        second [reaction: 😂]
        third
        plain words
        a reply to you [quotes: first]
        a reply to myself [quotes: plain words]
        <Image image/png: bytes of a photo>
        <Image image/png: bytes of photo one>
        <Image image/png: bytes of photo two>
        <Video video/mp4: bytes of a video>
        <Audio audio/mp4: bytes of a voice note>
        <Audio audio/mp4: bytes of a song>
        <Document application/pdf named document.pdf: bytes of a pdf>
        ❤️
        Yes, please
        [Someone on Instagram sent a message that cannot be bridged]
        before the edit
        ✏️ edited: after the edit [quotes: before the edit]
        to be unsent
        🗑 deleted a message: "to be unsent"
        the end
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_what_instagram_says_on_messenger() {
    shows(
        instagram(1, "Alice"),
        messenger(1, "Bob"),
        expect![[r#"
        first [reaction: ❤]
        second [reaction: 😂]
        third
        plain words
        a reply to you [quotes: first]
        a reply to myself [quotes: plain words]
        <Image image/png named image.png: bytes of a photo>
        <Image image/png named image.png: bytes of photo one>
        <Image image/png named image.png: bytes of photo two>
        <Video video/mp4 named video.mp4: bytes of a video>
        <Audio audio/mp4 named audio.m4a: bytes of a voice note>
        <Audio audio/mp4 named audio.m4a: bytes of a song>
        <Document application/pdf named document.pdf: bytes of a pdf>
        ❤️
        Yes, please
        [Someone on Instagram sent a message that cannot be bridged]
        before the edit
        ✏️ edited: after the edit [quotes: before the edit]
        to be unsent
        🗑 deleted a message: "to be unsent"
        the end
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_to_another_app_that_owns_the_thread_is_no_business_of_ours() {
    let broker = Broker::mock().await.unwrap();
    let (a, b) = (messenger(1, "Alice"), whatsapp(1, "Bob"));
    let named = vec![("pair".to_owned(), vec![a.clone(), b.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    let queues = Queues::connect(&broker.uri()).await;
    queues.until_declared("messenger").await;
    let (person, page) = (json!({"id": a.person}), json!({"id": MESSENGER}));
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let now = u64::try_from(now).unwrap();
    let publish = async |channel: &str, event: serde_json::Value| {
        let entry = json!({"id": MESSENGER, "time": now, channel: [event]});
        let body = json!({"object": "page", "entry": [entry]}).to_string();
        queues.publish_event("messenger", MESSENGER, body).await;
    };
    let standby = json!({"mid": "m_standby", "text": "to another app"});
    publish(
        "standby",
        json!({"sender": person, "recipient": page, "timestamp": now, "message": standby}),
    )
    .await;
    world.phone(&a).say("said 0").unwrap();
    world.until_texts(&b, &["said 0".to_owned()]).await;
    assert_eq!(reasons(&queues.dead().await), Vec::<&str>::new());
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_reaction_that_was_set_is_taken_away_and_one_that_was_told_is_told_again() {
    let (alice, bob) = (whatsapp(1, "Alice"), instagram(1, "Bob"));
    let broker = Broker::mock().await.unwrap();
    let named = vec![("pair".to_owned(), vec![alice.clone(), bob.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.start();
    for text in ["taken back", "changed", "told"] {
        world.phone(&bob).say(text).unwrap();
    }
    world.until(&alice, "three texts", |view| view.len() == 3).await;
    let heard = world.phone(&alice).received();
    let [taken_back, changed, told] = [0, 1, 2].map(|n: usize| heard[n].native_id.clone());
    let phone = world.phone(&alice);
    phone.react(&taken_back, "❤").unwrap();
    phone.react(&changed, "❤").unwrap();
    phone.react(&told, "👍").unwrap();
    phone.say("so far").unwrap();
    let last_is = |text| move |view: &[Seen]| view.last().and_then(Seen::text) == Some(text);
    let view = world.until(&bob, "three reactions", last_is("so far")).await;
    let shown =
        |view: &[Seen]| -> Vec<String> { view.iter().map(|seen| line(seen, view)).collect() };
    assert_eq!(
        shown(&view),
        [
            "taken back [reaction: ❤️]",
            "changed [reaction: ❤️]",
            "told",
            "reacted 👍 to \"told\"",
            "so far"
        ]
    );
    phone.unreact(&taken_back).unwrap();
    phone.react(&changed, "😂").unwrap();
    phone.unreact(&told).unwrap();
    phone.unreact(&changed).unwrap();
    phone.say(END).unwrap();
    let view = world.until(&bob, "no reaction", last_is(END)).await;
    assert_eq!(
        shown(&view),
        [
            "taken back",
            "changed",
            "told",
            "reacted 👍 to \"told\"",
            "so far",
            "reacted 😂 to \"changed\"",
            "removed their reaction to \"told\"",
            "removed their reaction to \"changed\"",
            END
        ]
    );
    assert_eq!(world.stop().await, Some(0));
}
