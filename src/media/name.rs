//! What a file is called at its target. A name comes from a stranger and goes into a header, a screen and a disk.

use interline_envelope::MediaKind;
use unicode_segmentation::UnicodeSegmentation;

/// The longest name, in bytes of UTF-8: every file system takes it.
const NAME_BYTES_MAX: usize = 120;

/// The usual ending of each type, and others that are as right.
const ENDINGS: [(&str, &[&str]); 24] = [
    ("image/jpeg", &["jpg", "jpeg", "jpe", "jfif"]),
    ("image/png", &["png"]),
    ("image/webp", &["webp"]),
    ("image/gif", &["gif"]),
    ("image/heic", &["heic", "heif"]),
    ("video/mp4", &["mp4", "m4v"]),
    ("video/3gpp", &["3gp", "3gpp"]),
    ("video/quicktime", &["mov", "qt"]),
    ("video/webm", &["webm"]),
    ("video/x-msvideo", &["avi"]),
    ("audio/ogg", &["ogg", "oga", "opus"]),
    ("audio/mpeg", &["mp3"]),
    ("audio/aac", &["aac"]),
    ("audio/amr", &["amr"]),
    ("audio/mp4", &["m4a", "mp4", "m4b"]),
    ("audio/x-wav", &["wav"]),
    ("application/pdf", &["pdf"]),
    ("application/zip", &["zip"]),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &["docx"]),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &["xlsx"]),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", &["pptx"]),
    ("text/html", &["html", "htm", "xhtml"]),
    ("application/vnd.microsoft.portable-executable", &["exe", "dll", "scr"]),
    ("application/x-executable", &["elf", "bin", "so"]),
];

/// A name that is safe to show and to store: the last part of a path, without characters that nobody sees or that turn
/// the order of reading around, of bounded length, and with an ending that tells what the bytes are.
///
/// `name`: what the sender's platform said, if anything. `mime`: what the bytes are.
pub(super) fn clean(name: Option<&str>, kind: MediaKind, mime: &str) -> String {
    let endings = ENDINGS.iter().find(|(known, _)| *known == mime).map(|(_, endings)| *endings);
    let name = name.map(readable).filter(|name| name.chars().any(char::is_alphanumeric));
    let Some(name) = name else {
        let ending = endings.and_then(|endings| endings.first()).unwrap_or(&"bin");
        return format!("{}.{ending}", stem(kind));
    };
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if is_ending(ending) && !stem.is_empty() => (stem, Some(ending)),
        Some(_) | None => (name.as_str(), None),
    };
    let fits = |ending: &str| {
        endings.is_none_or(|endings| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
    };
    match (ending, endings.and_then(|endings| endings.first())) {
        (Some(ending), _) if fits(ending) => format!("{}.{ending}", shortened(stem, ending.len())),
        // `photo.png` that is a program gets told so; so does what lies the other way round.
        (_, Some(right)) => format!("{}.{right}", shortened(&name, right.len())),
        (Some(ending), None) => format!("{}.{ending}", shortened(stem, ending.len())),
        (None, None) => shortened(&name, 0).to_owned(),
    }
}

const fn stem(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Voice => "voice",
        MediaKind::Document => "document",
        MediaKind::Sticker => "sticker",
    }
}

fn is_ending(ending: &str) -> bool {
    (1..=8).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn readable(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut out = String::with_capacity(last.len());
    for character in last.chars() {
        match character {
            // Separators and quotes of file systems and headers.
            ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%' | ';' => out.push('_'),
            character if is_unseen(character) => {}
            character if character.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            character => out.push(character),
        }
    }
    // No hidden file, and nothing that Windows would cut.
    out.trim_matches(['.', ' ', '~']).to_owned()
}

/// Control characters, marks of direction, and what has no width; a joiner between emoji is one of them.
const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The beginning that leaves room for a dot and an ending, cut between graphemes.
fn shortened(name: &str, ending_bytes: usize) -> &str {
    let bytes_max = NAME_BYTES_MAX - ending_bytes - 1;
    if name.len() <= bytes_max {
        return name;
    }
    let end = name
        .grapheme_indices(true)
        .map(|(at, grapheme)| at + grapheme.len())
        .take_while(|end| *end <= bytes_max)
        .last()
        .unwrap_or(0);
    name.get(..end).unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, mime: &str, wanted: &str) {
        assert_eq!(clean(Some(name), MediaKind::Document, mime), wanted, "{name:?}");
    }

    #[test]
    fn an_honest_name_stays_as_it_is() {
        check("plan.pdf", "application/pdf", "plan.pdf");
        check("Überweisung März.PDF", "application/pdf", "Überweisung März.PDF");
        check(
            "график 2026.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "график 2026.xlsx",
        );
        check("notes.v2.txt", "text/plain", "notes.v2.txt");
        check("README", "text/plain", "README");
        check("clip.jpeg", "image/jpeg", "clip.jpeg");
    }

    #[test]
    fn a_path_becomes_its_last_part() {
        check("../../etc/passwd", "text/plain", "passwd");
        check("C:\\Windows\\system32\\plan.pdf", "application/pdf", "plan.pdf");
        check("/", "application/pdf", "document.pdf");
        check("..", "application/pdf", "document.pdf");
        check("...hidden.pdf", "application/pdf", "hidden.pdf");
    }

    #[test]
    fn what_nobody_sees_is_taken_out() {
        check("a\r\nContent-Type: x\u{0}.pdf", "application/pdf", "aContent-Type_ x.pdf");
        check("a\"b;c.pdf", "application/pdf", "a_b_c.pdf");
        check("zero\u{200b}width\u{feff}.pdf", "application/pdf", "zerowidth.pdf");
        check("a\u{a0}\u{2003} b.pdf", "application/pdf", "a b.pdf");
    }

    #[test]
    fn a_name_that_reads_backwards_shows_its_true_ending() {
        // It shows as `photo_gepj.exe`, or hides what it is.
        check(
            "photo_\u{202e}gpj.exe",
            "application/vnd.microsoft.portable-executable",
            "photo_gpj.exe",
        );
        check("photo.jpg", "application/vnd.microsoft.portable-executable", "photo.jpg.exe");
        check("photo.exe", "image/jpeg", "photo.exe.jpg");
        check("page.pdf", "text/html", "page.pdf.html");
    }

    #[test]
    fn a_long_name_is_cut_between_graphemes_and_keeps_its_ending() {
        let family = "👨\u{200d}👩\u{200d}👧";
        let name = clean(
            Some(&format!("{}.pdf", "é".repeat(500))),
            MediaKind::Document,
            "application/pdf",
        );
        assert!(name.len() <= NAME_BYTES_MAX && name.ends_with("é.pdf"), "{name}");
        let name = clean(
            Some(&format!("{}.pdf", family.repeat(90))),
            MediaKind::Document,
            "application/pdf",
        );
        assert!(name.len() <= NAME_BYTES_MAX && name.ends_with(".pdf"), "{name}");
        let endless = "x".repeat(100_000);
        assert!(clean(Some(&endless), MediaKind::Image, "image/png").len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn a_file_without_a_name_is_called_what_it_is() {
        assert_eq!(clean(None, MediaKind::Voice, "audio/ogg"), "voice.ogg");
        assert_eq!(clean(None, MediaKind::Audio, "audio/mp4"), "audio.m4a");
        assert_eq!(clean(Some("  "), MediaKind::Image, "image/png"), "image.png");
        assert_eq!(clean(Some("🎉"), MediaKind::Document, "application/x-unknown"), "document.bin");
    }
}
