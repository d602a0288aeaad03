//! Who is meant: a platform, an account on it, a person known to that account.

use crate::Redacted;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::sync::Arc;

/// The id of a bridge: `whatsapp`, `instagram`, `messenger`, or a plugin's own. Lower-case ASCII letters, digits
/// and `-`, at most 32 bytes, since it stands in AMQP routing keys and URL paths.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform(Arc<str>);

/// A text that cannot be a platform id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a platform id: write 1 to 32 lower-case letters, digits or dashes, such as `whatsapp`"
)]
pub struct PlatformError(String);

impl Platform {
    /// Checks and wraps an id.
    ///
    /// # Errors
    /// [`PlatformError`] if it is empty, too long, or has another character than `a-z`, `0-9`, `-`.
    pub fn new(id: &str) -> Result<Self, PlatformError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if id.is_empty() || id.len() > 32 || !id.bytes().all(allowed) {
            return Err(PlatformError(id.chars().take(40).collect()));
        }
        Ok(Self(id.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Platform {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Platform".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[a-z0-9-]{1,32}$"})
    }
}

/// An account of the operator's: a phone-number id, a page id, an Instagram account id. Not a person; it may stand
/// in logs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AccountRef {
    /// The bridge.
    pub platform: Platform,
    /// The account's id on it, as the platform writes it.
    pub account: Arc<str>,
}

impl AccountRef {
    /// Joins the two.
    pub fn new(platform: Platform, account: &str) -> Self {
        Self { platform, account: account.into() }
    }
}

impl std::fmt::Display for AccountRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.platform, self.account)
    }
}

/// `platform/account/user`: one person as one account knows them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    /// The account that can reach the person.
    pub account: AccountRef,
    /// The person's id there: phone digits, PSID, IGSID, or a BSUID.
    pub user: Redacted<String>,
}

/// A text that is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// Not three parts.
    #[error(
        "an address has three parts, `bridge/account/user`, such as `whatsapp/106540352242922/15550001111`; this one has {0}"
    )]
    Parts(usize),
    /// The first part is not a bridge id.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The account part cannot stand in a routing key.
    #[error(
        "the account id of an address is 1 to 128 ASCII letters, digits, `-` or `_`, as the platform shows it"
    )]
    Account,
    /// The user part is empty or too long.
    #[error("the user id of an address is 1 to 256 bytes without spaces")]
    User,
}

impl Address {
    /// Reads `platform/account/user`. A leading `+` of a phone number is dropped: webhooks give digits.
    ///
    /// # Errors
    /// [`AddressError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut parts = text.splitn(3, '/');
        let (Some(platform), Some(account), Some(user)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(AddressError::Parts(text.split('/').count()));
        };
        let platform = Platform::new(platform)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if account.is_empty() || account.len() > 128 || !account.bytes().all(allowed) {
            return Err(AddressError::Account);
        }
        let user = user.strip_prefix('+').unwrap_or(user);
        if user.is_empty() || user.len() > 256 || user.chars().any(char::is_whitespace) {
            return Err(AddressError::User);
        }
        Ok(Self { account: AccountRef::new(platform, account), user: user.into() })
    }

    /// The written form. It names a person: for config, dispatches and the store, never for a log.
    pub fn to_exposed_string(&self) -> String {
        Exposed(self).to_string()
    }
}

/// The written form, for what writes it without a copy.
struct Exposed<'a>(&'a Address);

impl std::fmt::Display for Exposed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let AccountRef { platform, account } = &self.0.account;
        for piece in [platform.as_str(), "/", account, "/"] {
            f.write_str(piece)?;
        }
        f.write_str(self.0.user.as_exposed_str())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Exposed(self))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "bridge/account/user", "pattern": "^[a-z0-9-]{1,32}/[A-Za-z0-9_-]{1,128}/\\S{1,256}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_three_parts_and_loses_the_plus_of_a_phone_number() {
        let address = Address::parse("whatsapp/106540352242922/+15550001111").unwrap();
        assert_eq!(address.account.to_string(), "whatsapp/106540352242922");
        assert_eq!(address.user.as_exposed_str(), "15550001111");
        assert_eq!(Address::parse("whatsapp/1"), Err(AddressError::Parts(2)));
        assert!(Address::parse("WhatsApp/1/2").is_err());
        assert_eq!(Address::parse("whatsapp/a.b/2"), Err(AddressError::Account));
        assert_eq!(Address::parse("whatsapp/1/"), Err(AddressError::User));
    }

    #[test]
    fn the_debug_form_of_an_address_hides_the_person() {
        let shown = format!("{:?}", Address::parse("whatsapp/1/15550001111").unwrap());
        assert!(!shown.contains("15550001111"), "{shown}");
    }
}
