//! What the tests of the two bridges share: where the platform fixtures lie, and an envelope in one line.

use interline_bridge_api::{Bridge, Normalized};
use interline_envelope::{Envelope, IdKey, Media, Part, ReplyTo, Share, Target};
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;

/// The folder of platform fixtures beside the checkout, or nothing, said aloud.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures"));
    if root.is_dir() {
        return Some(root);
    }
    assert!(
        std::env::var_os("INTERLINE_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "../shared is not beside the checkout, and INTERLINE_REQUIRE_ALL=1 asks for it"
    );
    println!("skipped: ../shared is not beside the checkout");
    None
}

/// The files of one folder of fixtures, by name.
pub(crate) fn files(folder: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let folder = fixtures()?.join(folder);
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    Some(files)
}

pub(crate) fn normalized(bridge: &dyn Bridge, body: &[u8]) -> Normalized {
    bridge.normalize(&IdKey::published_test_key(), body).unwrap()
}

/// The only envelope of a body.
pub(crate) fn envelope(bridge: &dyn Bridge, body: &str) -> Envelope {
    let mut all = normalized(bridge, body.as_bytes());
    assert_eq!(all.unreadable, [], "{body}");
    assert_eq!(all.envelopes.len(), 1, "{body}");
    all.envelopes.remove(0)
}

/// What every file means: its name, where its meaning stands, and its envelopes.
pub(crate) fn table(
    bridge: &dyn Bridge,
    sources: &[(&str, &str)],
    files: &[(String, Vec<u8>)],
) -> String {
    let mut table = String::new();
    for (name, body) in files {
        let (_, source) = sources.iter().find(|(start, _)| name.starts_with(start)).unwrap();
        let meaning = summary(&normalized(bridge, body));
        writeln!(table, "{name} ({source})\n    {meaning}").unwrap();
    }
    table
}

/// Every envelope of a body in one line each.
pub(crate) fn summary(normalized: &Normalized) -> String {
    let mut lines: Vec<String> = normalized.envelopes.iter().map(line).collect();
    lines.extend(normalized.unreadable.iter().map(|error| format!("UNREADABLE {error}")));
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n    ") }
}

/// `kind account<user @time …`: `<` spoken to the account, `>` an echo.
pub(crate) fn line(envelope: &Envelope) -> String {
    let mut out = format!("{} ", envelope.kind.as_str());
    let from = envelope.from.as_ref().map(|person| person.user.as_exposed_str());
    let to = envelope.to.as_ref().map(|person| person.user.as_exposed_str());
    match (from, to) {
        (Some(from), Some(to)) => {
            assert!(envelope.echo && from == envelope.account);
            write!(out, "{from}>{to}").unwrap();
        }
        (Some(from), None) => write!(out, "{}<{from}", envelope.account).unwrap(),
        (None, _) => out.push_str(&envelope.account),
    }
    let person = if envelope.echo { to } else { from };
    assert_eq!(envelope.chat.as_exposed_str(), person.unwrap_or(&envelope.account));
    write!(out, " @{}", envelope.time).unwrap();
    if envelope.standby {
        out.push_str(" standby");
    }
    if let Some(id) = &envelope.native_id {
        write!(out, " {}", tail(id.as_exposed_str())).unwrap();
    }
    for part in &envelope.parts {
        write!(out, " {}", part_line(part)).unwrap();
    }
    match &envelope.reply_to {
        Some(ReplyTo::Message { native_id }) => {
            write!(out, " reply_to={}", tail(native_id.as_exposed_str())).unwrap();
        }
        Some(ReplyTo::Story { story }) => {
            let url = story.url.as_ref().map_or("-", |url| page(url.as_exposed_str()));
            write!(out, " reply_to_story={}:{url}", story.id.as_exposed_str()).unwrap();
        }
        None => {}
    }
    match &envelope.target {
        Some(Target::Messages { native_ids }) => {
            let ids: Vec<&str> = native_ids.iter().map(|id| tail(id.as_exposed_str())).collect();
            write!(out, " target={}", ids.join("+")).unwrap();
        }
        Some(Target::Watermark { watermark }) => write!(out, " up_to={watermark}").unwrap(),
        None => {}
    }
    if let Some(reaction) = &envelope.reaction {
        let emoji = reaction.emoji.as_ref().map_or("", |emoji| emoji.as_exposed_str());
        write!(out, " {:?}({})", reaction.action, emoji.escape_unicode()).unwrap();
    }
    if let Some(status) = &envelope.status {
        write!(out, " {}", status.state.as_str()).unwrap();
    }
    if let Some(referral) = &envelope.referral {
        write!(out, " referral={}", serde_json::to_string(referral).unwrap()).unwrap();
    }
    if !envelope.extra.is_empty() {
        write!(out, " extra={}", Value::Object(envelope.extra.clone())).unwrap();
    }
    out
}

fn part_line(part: &Part) -> String {
    match part {
        Part::Text { text, .. } => format!("text({:?})", text.as_exposed_str()),
        Part::Media(media) => media_line(media),
        Part::Share(share) => share_line(share),
        Part::Choice(choice) => {
            let data =
                choice.data.as_ref().map_or(String::new(), |data| format!(" {}", data.expose()));
            let (id, title) = (choice.id.as_exposed_str(), choice.title.as_exposed_str());
            format!("choice({:?} {id:?} {title:?}{data})", choice.of)
        }
        Part::Unsupported { native_type, reason, unknown } => {
            let url = unknown.get("url").and_then(Value::as_str).map_or("", page);
            format!(
                "unsupported({native_type}: {reason}{}{url})",
                if url.is_empty() { "" } else { " " }
            )
        }
        Part::Location(_)
        | Part::Contacts { .. }
        | Part::Order(_)
        | Part::Sealed { .. }
        | Part::Other(_) => serde_json::to_string(part).unwrap(),
    }
}

fn media_line(media: &Media) -> String {
    let mut out = format!("{:?}(", media.media).to_lowercase();
    for text in [&media.id, &media.filename, &media.caption].into_iter().flatten() {
        write!(out, "{:?} ", text.as_exposed_str()).unwrap();
    }
    if media.animated == Some(true) {
        out.push_str("animated ");
    }
    if let Some(emoji) = media.unknown.get("emoji") {
        write!(out, "{emoji} ").unwrap();
    }
    out.push_str(media.url.as_ref().map_or("no url", |url| page(url.as_exposed_str())));
    out + ")"
}

fn share_line(share: &Share) -> String {
    let mut out = format!("share({:?}", share.of);
    for (name, text) in [("id", &share.id), ("title", &share.title), ("text", &share.text)] {
        if let Some(text) = text {
            write!(out, " {name}={:?}", text.as_exposed_str()).unwrap();
        }
    }
    if let Some(url) = &share.url {
        write!(out, " url={}", page(url.as_exposed_str())).unwrap();
    }
    if !share.unknown.is_empty() {
        write!(out, " +{}", Value::Object(share.unknown.clone())).unwrap();
    }
    out + ")"
}

/// The last characters of an id or a URL: they tell the fixtures apart.
fn tail(text: &str) -> &str {
    let from = text.char_indices().rev().nth(23).map_or(0, |(at, _)| at);
    text.get(from..).unwrap()
}

/// The part of a URL that tells the fixtures apart.
fn page(url: &str) -> &str {
    let asset = url.split(['?', '&']).find(|piece| piece.starts_with("asset_id="));
    asset.unwrap_or_else(|| tail(url.split('?').next().unwrap()))
}
