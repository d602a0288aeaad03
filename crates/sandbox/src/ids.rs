//! Native ids in the platforms' own forms, unique over all runs.
//!
//! A random seed for each start and a counter: a daemon that remembers ids of an earlier sandbox meets no double.
//! Forms: wamid (base64 of a small binary record that holds the phone number in clear), `m_…`, `aWdfZAG…`, decimal
//! media ids. Source: platform facts, section 3, and the fixtures.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256, Sha512};

/// Who said a message: it changes the form of a wamid.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    Person,
    Account,
}

pub(crate) struct Ids {
    seed: u64,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self::seeded(RandomState::new().hash_one(std::process::id()))
    }

    /// The same ids at every start.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(1) }
    }

    fn fresh(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (seed, number) = bytes.split_at_mut(8);
        seed.copy_from_slice(&self.seed.to_be_bytes());
        number.copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }

    pub(crate) fn wamid(&self, digits: &str, origin: Origin) -> String {
        let hash = hex::encode_upper(Sha256::digest(self.fresh()));
        let (mark, text) = match origin {
            Origin::Person => (0x12, format!("3A{}", hash.chars().take(18).collect::<String>())),
            Origin::Account => (0x11, hash.chars().take(18).collect::<String>()),
        };
        let mut record = vec![0x1c, 0x18, u8::try_from(digits.len()).unwrap_or(u8::MAX)];
        record.extend_from_slice(digits.as_bytes());
        record.extend_from_slice(&[0x15, 0x02, 0x00, mark, 0x18]);
        record.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        record.extend_from_slice(text.as_bytes());
        record.push(0x00);
        format!("wamid.{}", STANDARD.encode(record))
    }

    pub(crate) fn messenger_mid(&self) -> String {
        format!("m_{}", URL_SAFE_NO_PAD.encode(Sha512::digest(self.fresh())))
    }

    pub(crate) fn instagram_mid(&self, account: &str) -> String {
        let hash = hex::encode(Sha256::digest(self.fresh()));
        let inner = URL_SAFE_NO_PAD.encode(format!("IGMessageID:{account}:{hash}"));
        format!("aWdfZAAG1BdGVtOjE6{}ZD", inner.replace('Z', "ZA"))
    }

    /// A decimal id of 16 digits, as media and attachments have.
    pub(crate) fn decimal(&self) -> String {
        let hash = Sha256::digest(self.fresh());
        let number = hash.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        (1_000_000_000_000_000 + number % 8_000_000_000_000_000).to_string()
    }

    pub(crate) fn trace(&self) -> String {
        let text = URL_SAFE_NO_PAD.encode(Sha256::digest(self.fresh()));
        format!("A{}", text.chars().take(22).collect::<String>())
    }
}

/// The phone number that stands in a wamid.
pub(crate) fn phone_in_wamid(wamid: &str) -> Option<String> {
    let record = STANDARD.decode(wamid.strip_prefix("wamid.")?).ok()?;
    let length = usize::from(*record.get(2)?);
    String::from_utf8(record.get(3..3 + length)?.to_vec()).ok()
}

/// A BSUID that follows from a person's id: `US.` and 20 digits.
pub(crate) fn bsuid_of(person: &str) -> String {
    let hash = Sha256::digest(person.as_bytes());
    let digits: String = hash.iter().take(20).map(|byte| char::from(b'0' + byte % 10)).collect();
    format!("US.{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wamid_has_the_form_of_the_real_ones_and_holds_the_number() {
        let ids = Ids::new();
        let inbound = ids.wamid("15550001111", Origin::Person);
        // The fixed parts of a real inbound id of this number.
        assert!(inbound.starts_with("wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQ"), "{inbound}");
        assert!(inbound.ends_with("A="), "{inbound}");
        let outbound = ids.wamid("15550001111", Origin::Account);
        assert!(outbound.starts_with("wamid.HBgLMTU1NTAwMDExMTEVAgARGB"), "{outbound}");
        assert_eq!(phone_in_wamid(&outbound).as_deref(), Some("15550001111"));
        assert_eq!(phone_in_wamid("wamid.!!"), None);
    }

    #[test]
    fn ids_never_repeat_and_two_sandboxes_share_none() {
        let (one, two) = (Ids::new(), Ids::new());
        let mut all = std::collections::HashSet::new();
        for ids in [&one, &two] {
            for _ in 0..500 {
                assert!(all.insert(ids.messenger_mid()));
                assert!(all.insert(ids.instagram_mid("17841400000000001")));
                assert!(all.insert(ids.wamid("1", Origin::Person)));
                assert!(all.insert(ids.decimal()));
            }
        }
    }
}
