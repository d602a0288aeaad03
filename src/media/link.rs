//! Addresses under which the media listener gives out what could not be sent as such.
//!
//! An address is a sealed ticket: which account's which medium, until when. Nobody can make or change one without the
//! root key, nobody can read one, and it holds no id of a person. Nothing is stored for it, so it survives a restart,
//! and ends by itself.

use crate::clock::now_ms;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use interline_envelope::{AccountRef, Media, MediaKind, Platform, Redacted, RootKey, Seal, Subkey};
use interline_relay::MediaLinks;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What a ticket is sealed for.
const PLACE: &[u8] = b"media-link/1";
/// The longest ticket that is looked at, in characters.
const TICKET_CHARS_MAX: usize = 2048;

/// What an address stands for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ticket {
    /// Whose the medium is.
    platform: Platform,
    account: String,
    /// The platform's id of it.
    pub(super) id: Redacted<String>,
    pub(super) kind: MediaKind,
    /// What its origin says that it is.
    pub(super) mime: Option<String>,
    pub(super) filename: Option<Redacted<String>>,
    /// UTC seconds.
    expires: i64,
}

impl Ticket {
    /// Whose the medium is.
    pub(super) fn account(&self) -> AccountRef {
        AccountRef::new(self.platform.clone(), &self.account)
    }
}

/// Why an address leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTicket {
    /// Made up, changed, or made with another root key.
    Unknown,
    Expired,
}

/// Makes and reads addresses.
#[derive(Clone, Debug)]
pub struct Links(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    public_url: String,
    seal: Seal,
    lifetime: Duration,
}

impl Links {
    /// `public_url`: what people reach the listener under, without a final slash. `lifetime`: of an address.
    pub fn new(public_url: String, lifetime: Duration, root: &RootKey) -> Self {
        let seal = Seal::new(root, Subkey::MediaLink);
        Self(Arc::new(Inner { public_url, seal, lifetime }))
    }

    /// Makes addresses for the media of one account.
    pub(crate) const fn of<'a>(&'a self, origin: &'a AccountRef) -> LinksOf<'a> {
        LinksOf { links: self, origin }
    }

    fn address(&self, ticket: &Ticket) -> Option<Redacted<String>> {
        let sealed = self.0.seal.seal(&serde_json::to_vec(ticket).ok()?, PLACE).ok()?;
        let ticket = URL_SAFE_NO_PAD.encode(sealed);
        Some(format!("{}/media/{ticket}", self.0.public_url).into())
    }

    /// What an address stands for. `now_s`: UTC seconds.
    pub(super) fn ticket(&self, text: &str, now_s: i64) -> Result<Ticket, NoTicket> {
        if text.len() > TICKET_CHARS_MAX {
            return Err(NoTicket::Unknown);
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoTicket::Unknown)?;
        let plain = self.0.seal.open(&sealed, PLACE).map_err(|_| NoTicket::Unknown)?;
        let ticket: Ticket = serde_json::from_slice(&plain).map_err(|_| NoTicket::Unknown)?;
        if ticket.expires < now_s { Err(NoTicket::Expired) } else { Ok(ticket) }
    }
}

/// Makes addresses for the media of one account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinksOf<'a> {
    links: &'a Links,
    origin: &'a AccountRef,
}

impl MediaLinks for LinksOf<'_> {
    /// Only for what its platform gives out by id: other addresses are signed and public already.
    fn link(&self, media: &Media) -> Option<Redacted<String>> {
        let lifetime = i64::try_from(self.links.0.lifetime.as_secs()).unwrap_or(i64::MAX);
        let mime = media.mime.as_deref().map(super::sniff::bare);
        let name = media.filename.as_ref().map(Redacted::as_exposed_str);
        let clean =
            |name| super::name::clean(Some(name), media.media, mime.as_deref().unwrap_or(""));
        self.links.address(&Ticket {
            platform: self.origin.platform.clone(),
            account: self.origin.account.to_string(),
            id: media.id.clone()?,
            kind: media.media,
            filename: name.map(|name| clean(name).into()),
            mime,
            expires: (now_ms() / 1000).saturating_add(lifetime),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    fn links(root: &RootKey) -> Links {
        Links::new("https://files.example.org".to_owned(), WEEK, root)
    }

    fn media() -> Media {
        Media {
            id: Some("1013859600285441".into()),
            mime: Some("application/pdf".to_owned()),
            filename: Some("../plan.pdf".into()),
            ..Media::new(MediaKind::Document)
        }
    }

    #[test]
    fn an_address_opens_with_the_key_until_it_expires_and_shows_nothing() {
        let links = links(&RootKey::published_test_key());
        let origin = AccountRef::new(Platform::new("whatsapp").unwrap(), "106540352242922");
        let address = links.of(&origin).link(&media()).unwrap();
        let ticket = address.as_exposed_str().strip_prefix("https://files.example.org/media/");
        let ticket = ticket.unwrap();
        assert!(ticket.len() < 400, "{}", ticket.len());
        let now_s = now_ms() / 1000;
        let opened = links.ticket(ticket, now_s).unwrap();
        assert_eq!(opened.account(), origin);
        assert_eq!(opened.id, "1013859600285441".into());
        assert_eq!(opened.filename, Some("plan.pdf".into()));
        let week_s = i64::try_from(WEEK.as_secs()).unwrap();
        assert!(links.ticket(ticket, now_s + week_s - 5).is_ok());
        assert_eq!(links.ticket(ticket, now_s + week_s + 5).unwrap_err(), NoTicket::Expired);
        let shown = URL_SAFE_NO_PAD.decode(ticket).unwrap();
        let shown = String::from_utf8_lossy(&shown).into_owned() + address.as_exposed_str();
        assert!(!shown.contains("10138596") && !shown.contains("plan"), "{shown}");
        assert_ne!(links.of(&origin).link(&media()), Some(address), "no two are alike");
        assert_eq!(links.of(&origin).link(&Media::new(MediaKind::Image)), None);
    }

    #[test]
    fn an_address_that_was_made_up_or_changed_opens_nothing() {
        let origin = AccountRef::new(Platform::new("whatsapp").unwrap(), "106");
        let links = links(&RootKey::published_test_key());
        let other = self::links(&RootKey::from_bytes(&[7; 32]).unwrap());
        let address = links.of(&origin).link(&media()).unwrap();
        let ticket = address.as_exposed_str().rsplit('/').next().unwrap();
        assert_eq!(other.ticket(ticket, 0).unwrap_err(), NoTicket::Unknown);
        for at in 0..ticket.len() {
            let mut changed = ticket.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character has bits that stand for nothing; then it is refused as no base64.
            assert_eq!(links.ticket(&changed, 0).unwrap_err(), NoTicket::Unknown, "{at}");
        }
        for made_up in ["", "AAAA", "../../etc/passwd", &"A".repeat(100_000)] {
            assert_eq!(links.ticket(made_up, 0).unwrap_err(), NoTicket::Unknown);
        }
    }
}
