//! What a file is, by its first bytes. What a platform or a person says that it is decides nothing that its bytes tell.

/// How many of the first bytes are looked at.
pub(super) const HEAD_BYTES: usize = 8 * 1024;

/// Bytes of which nobody knows what they are.
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// The MIME type of a file, without parameters.
///
/// `head`: its first bytes, [`HEAD_BYTES`] of them if it has as many. `claimed`: what its origin says. The claim
/// counts only where it agrees with the bytes and says more than they do (an MP4 without pictures is a sound), or where
/// bytes tell nothing (plain text, and formats without a signature). A picture, a sound or a film that does not begin
/// like one is [`UNKNOWN`].
pub(super) fn sniffed(head: &[u8], claimed: Option<&str>) -> String {
    let claimed = claimed.map(bare).filter(|claimed| !claimed.is_empty());
    let Some(found) = signature(head) else {
        let claimed = claimed.filter(|claimed| !has_signature(claimed));
        return match claimed {
            Some(claimed) if claimed.contains('/') => claimed,
            Some(_) | None if is_text(head) => "text/plain".to_owned(),
            Some(_) | None => UNKNOWN.to_owned(),
        };
    };
    match claimed {
        Some(claimed) if says_more(found, &claimed) => claimed,
        Some(_) | None => found.to_owned(),
    }
}

/// A MIME type in lower case, without parameters.
pub(super) fn bare(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn signature(head: &[u8]) -> Option<&'static str> {
    // The brands of ISO files, of which MP4 is one, tell more than a library of signatures knows.
    if head.get(4..8) == Some(b"ftyp") {
        let brand = head.get(8..12).unwrap_or_default();
        return Some(match brand {
            b"M4A " | b"M4B " | b"F4A " => "audio/mp4",
            b"qt  " => "video/quicktime",
            b"avif" | b"avis" => "image/avif",
            b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => "image/heic",
            brand if brand.starts_with(b"3g") => "video/3gpp",
            _ => "video/mp4",
        });
    }
    if head.starts_with(b"OggS") {
        return Some("audio/ogg");
    }
    infer::get(head).map(|found| match found.mime_type() {
        "audio/m4a" => "audio/mp4",
        "audio/opus" => "audio/ogg",
        other => other,
    })
}

/// True if what is claimed is one of the things that such bytes may be.
fn says_more(found: &str, claimed: &str) -> bool {
    // Names of one thing, and containers whose first bytes do not tell what is in them.
    const ALIKE: [(&str, &[&str]); 9] = [
        ("video/mp4", &["audio/mp4", "audio/m4a", "audio/x-m4a", "audio/aac", "video/x-m4v"]),
        ("audio/mp4", &["audio/m4a", "audio/x-m4a"]),
        ("video/3gpp", &["audio/3gpp", "audio/amr"]),
        ("audio/ogg", &["audio/opus", "video/ogg", "application/ogg"]),
        ("audio/x-wav", &["audio/wav", "audio/wave", "audio/vnd.wave"]),
        ("video/webm", &["audio/webm"]),
        ("video/x-msvideo", &["video/avi"]),
        ("text/xml", &["application/xml", "image/svg+xml"]),
        ("application/x-executable", &[]),
    ];
    // Office files and packages of apps are ZIP archives, old office files are OLE ones.
    let is_archive = found == "application/zip";
    let is_office = claimed.starts_with("application/vnd.") || claimed == "application/epub+zip";
    (is_archive && is_office)
        || ALIKE.iter().any(|(own, others)| *own == found && others.contains(&claimed))
}

/// True if files of this type begin with bytes that tell it.
fn has_signature(mime: &str) -> bool {
    let family = mime.split('/').next().unwrap_or_default();
    matches!(family, "image" | "audio" | "video" | "font")
        || matches!(mime, "application/pdf" | "application/zip" | "application/gzip" | "text/html")
}

/// UTF-8 without control characters. The last character may be cut.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let (valid, _) = head.split_at(error.valid_up_to());
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && !valid.contains(|c: char| c.is_control() && !"\t\r\n\u{c}".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF";
    const MP4: &[u8] = b"\0\0\0\x18ftypmp42";
    const M4A: &[u8] = b"\0\0\0\x18ftypM4A ";
    const OGG: &[u8] = b"OggS\0\x02";
    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0>\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

    fn check(head: &[u8], claimed: &str, wanted: &str) {
        assert_eq!(sniffed(head, Some(claimed)), wanted, "{claimed}");
    }

    #[test]
    fn a_type_that_lies_gets_that_of_the_bytes() {
        check(PNG, "image/jpeg", "image/png");
        check(JPEG, "application/pdf", "image/jpeg");
        check(b"%PDF-1.7\n", "image/png", "application/pdf");
        check(b"<html><body>", "image/png", "text/html");
        check(ELF, "image/png", "application/x-executable");
        check(OGG, "audio/mpeg", "audio/ogg");
        check(MP4, "image/gif", "video/mp4");
        check(b"RIFF\x10\0\0\0WEBPVP8 ", "image/png", "image/webp");
        check(b"GIF89a\x01\0\x01\0", "video/mp4", "image/gif");
    }

    #[test]
    fn a_claim_that_says_more_than_the_bytes_is_kept() {
        check(MP4, "audio/mp4", "audio/mp4");
        check(M4A, "audio/x-m4a", "audio/x-m4a");
        check(M4A, "video/mp4", "audio/mp4");
        check(OGG, "audio/ogg; codecs=opus", "audio/ogg");
        check(PNG, "IMAGE/PNG", "image/png");
        let office = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        check(b"PK\x03\x04\x14\0\0\0", office, office);
        check(b"name;age\nKim;7\n", "text/csv", "text/csv");
        check(b"\0\x01\x02\x03", "application/x-of-its-own", "application/x-of-its-own");
    }

    #[test]
    fn a_picture_a_sound_or_a_film_that_does_not_begin_like_one_is_unknown() {
        check(b"\0\x01\x02\x03", "image/png", UNKNOWN);
        check(b"\0\x01\x02\x03", "audio/ogg", UNKNOWN);
        check(b"\0\x01\x02\x03", "application/pdf", UNKNOWN);
        check(b"hello", "video/mp4", "text/plain");
        check(b"", "image/png", UNKNOWN);
        assert_eq!(sniffed(b"\0\x01", None), UNKNOWN);
        assert_eq!(sniffed("grüße\n".as_bytes(), None), "text/plain");
        assert_eq!(sniffed(PNG, None), "image/png");
    }
}
