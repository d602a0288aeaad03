//! Who plays: three people, one on each platform, in one conversation.

use interline_sandbox::{AccountConfig, Config, Kind, Person, Phone, Platforms};
use std::fmt::Write as _;
use std::path::Path;

/// A person with a phone, and the account that the person talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// How the others know the person.
    pub name: &'static str,
    /// The platform.
    pub kind: Kind,
    /// The operator's account there.
    pub account: &'static str,
    /// The person's id there.
    pub id: &'static str,
}

/// On WhatsApp.
pub const ALICE: Member =
    Member { name: "Alice", kind: Kind::WhatsApp, account: "106540352242922", id: "15550001111" };
/// On Messenger.
pub const BOB: Member = Member {
    name: "Bob",
    kind: Kind::Messenger,
    account: "104500000000001",
    id: "6100000000000001",
};
/// On Instagram.
pub const CARLA: Member = Member {
    name: "Carla",
    kind: Kind::Instagram,
    account: "17841400000000001",
    id: "1700000000000001",
};
/// All of them.
pub const CAST: [Member; 3] = [ALICE, BOB, CARLA];

/// The conversation's name in the config.
const CONVERSATION: &str = "sandbox";

impl Member {
    /// The platform's name as people write it.
    pub const fn platform(&self) -> &'static str {
        platform_name(self.kind)
    }

    /// `bridge/account/user`, as in the config.
    pub fn address(&self) -> String {
        format!("{}/{}/{}", self.kind.word(), self.account, self.id)
    }

    /// The person's phone.
    pub fn phone(&self, platforms: &Platforms) -> Option<Phone> {
        platforms.of(self.kind).account(self.account)?.phone(self.id)
    }

    /// Everybody else.
    pub fn others(&self) -> impl Iterator<Item = Self> {
        let own = *self;
        CAST.into_iter().filter(move |member| *member != own)
    }

    /// The person of that name, in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        CAST.into_iter().find(|member| member.name.eq_ignore_ascii_case(name))
    }
}

/// A platform's name as people write it.
pub const fn platform_name(kind: Kind) -> &'static str {
    match kind {
        Kind::WhatsApp => "WhatsApp",
        Kind::Messenger => "Messenger",
        Kind::Instagram => "Instagram",
    }
}

/// The simulated platforms with the cast on them.
pub(super) fn platforms() -> Config {
    let mut config = Config::default();
    for member in CAST {
        let platform = match member.kind {
            Kind::WhatsApp => &mut config.whatsapp,
            Kind::Messenger => &mut config.messenger,
            Kind::Instagram => &mut config.instagram,
        };
        let person = Person::new(member.id, member.name);
        platform.accounts.push(AccountConfig::new(member.account).with(person));
    }
    config
}

/// The daemon's config, in the operator's own language. The webhook server takes a free port.
pub(super) fn daemon_config(broker: &str, store: &Path, platforms: &Platforms) -> String {
    let mut toml = String::from("# Written by `interline sandbox`; all secrets are invented.\n\n");
    // Writing to a String cannot fail; what is missing would be found by the check of the config.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let written = writeln!(toml, "{text}");
        debug_assert!(written.is_ok(), "a String takes every write");
    };
    line(format_args!("[broker]\nurls = [{}]\n", quoted(broker)));
    line(format_args!("[store]\nurl = {}\n", quoted(&format!("sqlite:{}", store.display()))));
    line(format_args!("[ingest]\nlisten = \"127.0.0.1:0\"\n"));
    for member in CAST {
        let id = member.account;
        line(format_args!("[[account]]\nbridge = \"{}\"\nid = \"{id}\"", member.kind.word()));
        line(format_args!("api_url = {}", quoted(&platforms.of(member.kind).api_url())));
        line(format_args!("access_token = \"{}\"", access_token(id)));
        line(format_args!("app_secret = \"{}\"", app_secret(id)));
        line(format_args!("verify_token = \"{}\"\n", verify_token(id)));
    }
    line(format_args!("[[conversation]]\nname = \"{CONVERSATION}\"\nparticipants = ["));
    for member in CAST {
        let (address, name) = (member.address(), member.name);
        line(format_args!("  {{ address = \"{address}\", name = \"{name}\" }},"));
    }
    line(format_args!("]"));
    toml
}

/// A TOML string: JSON's escapes are TOML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The token that an account's API wants.
pub fn access_token(account: &str) -> String {
    format!("sandbox-token-{account}")
}

/// The key of an account's webhook signatures.
pub fn app_secret(account: &str) -> String {
    format!("sandbox-secret-{account}")
}

/// What an account's webhook subscription is verified by.
pub fn verify_token(account: &str) -> String {
    format!("sandbox-verify-{account}")
}
