//! Files of every kind across the platforms: converted where they must be, linked where they do not fit, never whole
//! in the daemon's memory.

use crate::harness::{Broker, Seat, World, free_address, instagram, messenger, whatsapp};
use image::{DynamicImage, ImageFormat, RgbaImage};
use interline_sandbox::{Media, MediaKind, Seen};
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::process::{Command, Stdio};

/// A pair of people and a daemon whose config has these lines under `[media]`.
async fn pair(a: &Seat, b: &Seat, lines: &str) -> (Broker, World) {
    let broker = Broker::mock().await.unwrap();
    let named = vec![("pair".to_owned(), vec![a.clone(), b.clone()])];
    let mut world = World::new(&broker.uri(), named).await;
    world.extra = format!("[media]\n{lines}\n");
    world.start();
    (broker, world)
}

/// Lines that let the daemon listen for downloads, and where.
fn listening() -> (String, String) {
    let listen = free_address();
    let url = format!("http://{listen}");
    (format!("listen = \"{listen}\"\npublic_url = \"{url}\""), url)
}

fn text_of(view: &[Seen]) -> String {
    view.iter().filter(|seen| !seen.mine).filter_map(Seen::text).collect::<Vec<_>>().join("\n")
}

/// What the phone received as media, once it has so many.
async fn media(world: &World, on: &Seat, count: usize) -> Vec<Media> {
    let of = |view: &[Seen]| {
        let received = view.iter().filter(|seen| !seen.mine);
        received.filter_map(|seen| seen.media().cloned()).collect::<Vec<_>>()
    };
    of(&world.until(on, "media", |view| of(view).len() >= count).await)
}

/// The most memory that the daemon ever had, in kB.
fn peak_kb(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What `ffmpeg` makes of such arguments; nothing where it is not installed, and the test says that it is skipped.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn made(arguments: &str) -> Option<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]).args(arguments.split(' '));
    match command.stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => panic!("{output:?}"),
        Err(_) => {
            eprintln!("skipped: ffmpeg is not installed");
            None
        }
    }
}

fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let dots = RgbaImage::from_fn(width, height, |x, y| {
        image::Rgba([(x % 7) as u8, 90, (y % 5) as u8, 255])
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgba8(dots).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g9_a_document_of_100_mb_passes_to_a_link_while_the_daemon_stays_under_64_mb() {
    const PIECE: usize = 100_000;
    const TIMES: usize = 1_000;
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (lines, public_url) = listening();
    let (_broker, mut world) = pair(&alice, &bob, &lines).await;
    let piece: Vec<u8> = (0..PIECE).map(|n| (n % 251) as u8).collect();
    let piece = [b"PK\x03\x04".as_slice(), &piece[4..]].concat();
    let phone = world.phone(&alice);
    phone.large_document(piece.clone(), TIMES, "application/zip", "all of it.zip").unwrap();
    let view = world.until(&bob, "a link", |view| text_of(view).contains("http")).await;
    let text = text_of(&view);
    let (what, link) = text.split_once(": ").unwrap();
    assert_eq!(what, "📎 all of it.zip, 100 MB");
    assert!(link.starts_with(&format!("{public_url}/media/")), "{link}");
    assert!(!link.contains(&alice.person) && !link.contains(&bob.person), "{link}");

    let client = reqwest::Client::new();
    let mut answer = client.get(link).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |answer: &reqwest::Response, name: &str| {
        answer.headers()[name].to_str().unwrap().to_owned()
    };
    assert_eq!(header(&answer, "content-type"), "application/zip");
    assert_eq!(header(&answer, "content-length"), "100000000");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    assert!(
        header(&answer, "content-disposition")
            .starts_with("attachment; filename=\"all of it.zip\"")
    );
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        hash.update(&chunk);
        bytes += chunk.len();
    }
    let mut wanted = Sha256::new();
    (0..TIMES).for_each(|_| wanted.update(&piece));
    assert_eq!((bytes, hash.finalize()), (PIECE * TIMES, wanted.finalize()));

    let part = client.get(link).header("range", "bytes=99999990-").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(header(&part, "content-range"), "bytes 99999990-99999999/100000000");
    assert_eq!(part.bytes().await.unwrap(), piece[PIECE - 10..]);
    let middle = client.get(link).header("range", "bytes=50000-150003").send().await.unwrap();
    assert_eq!(header(&middle, "content-length"), "100004");
    assert_eq!(middle.bytes().await.unwrap(), [&piece[50_000..], &piece[..50_004]].concat());
    let beyond = client.get(link).header("range", "bytes=100000000-").send().await.unwrap();
    assert_eq!(beyond.status(), 416);
    assert_eq!(header(&beyond, "content-range"), "bytes */100000000");
    let head = client.head(link).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), header(&head, "content-length")),
        (200, "100000000".into())
    );
    assert_eq!(client.post(link).send().await.unwrap().status(), 405);
    let made_up = format!("{public_url}/media/{}", "A".repeat(200));
    assert_eq!(client.get(made_up).send().await.unwrap().status(), 404);

    let peak_kb = peak_kb(&world);
    eprintln!("the daemon had {peak_kb} kB at most");
    assert!(peak_kb < 64 * 1000, "the daemon had {peak_kb} kB");
    assert!(!world.log().contains("all of it"), "no name is logged");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g9_a_document_of_100_mb_is_copied_while_the_daemon_stays_under_64_mb() {
    let (alice, anna) = (
        whatsapp(1, "Alice"),
        crate::harness::seat(
            interline_sandbox::Kind::WhatsApp,
            "106540352242923",
            "15557770001".to_owned(),
            "Anna",
        ),
    );
    let (_broker, mut world) = pair(&alice, &anna, "").await;
    let phone = world.phone(&alice);
    phone
        .large_document(&b"%PDF-1.7 1234567"[..], 6_250_000, "application/pdf", "book.pdf")
        .unwrap();
    let received = media(&world, &anna, 1).await;
    assert_eq!(received[0].bytes.len(), 100_000_000);
    assert_eq!(received[0].filename.as_deref(), Some("book.pdf"));
    let peak_kb = peak_kb(&world);
    eprintln!("the daemon had {peak_kb} kB at most");
    assert!(peak_kb < 64 * 1000, "the daemon had {peak_kb} kB");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voice_note_becomes_a_sound_that_messenger_plays_and_one_from_there_a_voice_note() {
    let tone = "-f lavfi -i sine=frequency=440:duration=1";
    let Some(opus) = made(&format!("{tone} -c:a libopus -f ogg -")) else { return };
    let m4a = made(&format!("{tone} -ac 2 -c:a aac -f adts -")).unwrap();
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (_broker, mut world) = pair(&alice, &bob, "").await;
    world.phone(&alice).voice(opus).unwrap();
    let heard = &media(&world, &bob, 1).await[0];
    assert_eq!((heard.kind, heard.mime.as_str()), (MediaKind::Audio, "audio/mp4"));
    assert_eq!(&heard.bytes[4..11], b"ftypM4A");

    world.phone(&bob).audio(m4a, "audio/aac").unwrap();
    let heard = &media(&world, &alice, 1).await[0];
    assert_eq!((heard.kind, heard.mime.as_str()), (MediaKind::Voice, "audio/ogg"));
    // One channel, or WhatsApp shows it as a file: the byte behind the version in Opus' head.
    assert_eq!(&heard.bytes[28..38], b"OpusHead\x01\x01");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sticker_becomes_a_picture_on_messenger_and_one_from_there_a_sticker() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (_broker, mut world) = pair(&alice, &bob, "ffmpeg = \"\"").await;
    world.phone(&alice).sticker(picture(512, 512, ImageFormat::WebP), false).unwrap();
    let seen = &media(&world, &bob, 1).await[0];
    assert_eq!((seen.kind, seen.mime.as_str()), (MediaKind::Image, "image/png"));
    let drawn = image::load_from_memory(&seen.bytes).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (512, 512));

    world.phone(&bob).sticker(picture(200, 100, ImageFormat::Png), false).unwrap();
    let seen = &media(&world, &alice, 1).await[0];
    assert_eq!((seen.kind, seen.mime.as_str()), (MediaKind::Sticker, "image/webp"));
    assert!(seen.bytes.len() <= 100 * 1024);
    let drawn = image::load_from_memory(&seen.bytes).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (512, 512));
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moving_picture_becomes_a_film_on_whatsapp() {
    let Some(gif) = made("-f lavfi -i testsrc=size=65x33:rate=5:duration=1 -f gif -") else {
        return;
    };
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (_broker, mut world) = pair(&alice, &bob, "").await;
    world.phone(&bob).photo(gif, "image/gif", None).unwrap();
    let seen = &media(&world, &alice, 1).await[0];
    assert_eq!((seen.kind, seen.mime.as_str()), (MediaKind::Video, "video/mp4"));
    assert_eq!(&seen.bytes[4..8], b"ftyp");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_without_ffmpeg_a_voice_note_to_instagram_is_a_link_and_without_a_listener_a_line() {
    let (alice, carla) = (whatsapp(1, "Alice"), instagram(1, "Carla"));
    let (lines, public_url) = listening();
    for (lines, wanted) in [
        (format!("ffmpeg = \"\"\n{lines}"), format!("📎 voice note: {public_url}/media/")),
        (
            "ffmpeg = \"\"".to_owned(),
            "[Alice sent a voice note that cannot be shown here]".to_owned(),
        ),
    ] {
        let (_broker, mut world) = pair(&alice, &carla, &lines).await;
        world.phone(&alice).voice(&b"OggS\0\x02\0\0\0\0"[..]).unwrap();
        let view = world.until(&carla, "a text", |view| !text_of(view).is_empty()).await;
        assert!(text_of(&view).starts_with(&wanted), "{}", text_of(&view));
        assert_eq!(world.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_lies_about_its_type_and_its_name_arrives_as_what_it_is() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (_broker, mut world) = pair(&alice, &bob, "").await;
    let png = picture(3, 3, ImageFormat::Png);
    world.phone(&alice).photo(png, "image/jpeg", None).unwrap();
    let page = &b"<html><script>alert(1)</script>"[..];
    let name = "../../etc/fdp.\u{202e}tpyrc.pdf";
    world.phone(&alice).document(page, "application/pdf", name, None).unwrap();
    let seen = media(&world, &bob, 2).await;
    assert_eq!((seen[0].kind, seen[0].mime.as_str()), (MediaKind::Image, "image/png"));
    assert_eq!((seen[1].kind, seen[1].mime.as_str()), (MediaKind::Document, "text/html"));
    let shown = seen[1].filename.as_deref().unwrap();
    assert!(shown.ends_with("fdp.tpyrc.pdf.html"), "{shown}");
    assert_eq!(world.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_would_be_huge_is_not_decoded() {
    let (alice, bob) = (whatsapp(1, "Alice"), messenger(1, "Bob"));
    let (_broker, mut world) = pair(&alice, &bob, "").await;
    // A few bytes that say they are 16,383 by 16,383: a gigabyte once decoded.
    let bomb = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xfe\xbf\xff\x0f\0\0\0\0\0\0\0\0\0";
    world.phone(&alice).sticker(&bomb[..], false).unwrap();
    let seen = &media(&world, &bob, 1).await[0];
    assert_eq!((seen.kind, seen.mime.as_str()), (MediaKind::Document, "image/webp"));
    assert!(peak_kb(&world) < 64 * 1000, "{}", peak_kb(&world));
    assert_eq!(world.stop().await, Some(0));
}
