//! Who plays: three people, one on each platform, in one conversation; for scripts up to three such conversations.

use super::Setup;
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
pub const ALICE: Member = on_whatsapp("Alice", "15550001111");
/// On Messenger.
pub const BOB: Member = on_messenger("Bob", "6100000000000001");
/// On Instagram.
pub const CARLA: Member = on_instagram("Carla", "1700000000000001");
/// All who are always there.
pub const CAST: [Member; 3] = [ALICE, BOB, CARLA];
/// Every conversation that a sandbox can have, the first of which is always there: its name in the config, its people.
pub const ROOMS: [(&str, [Member; 3]); 3] = [
    ("sandbox", CAST),
    (
        "sandbox-2",
        [
            on_whatsapp("Dave", "15550002222"),
            on_messenger("Erin", "6100000000000002"),
            on_instagram("Frank", "1700000000000002"),
        ],
    ),
    (
        "sandbox-3",
        [
            on_whatsapp("Gina", "15550003333"),
            on_messenger("Hugo", "6100000000000003"),
            on_instagram("Iris", "1700000000000003"),
        ],
    ),
];

const fn on_whatsapp(name: &'static str, id: &'static str) -> Member {
    Member { name, kind: Kind::WhatsApp, account: "106540352242922", id }
}

const fn on_messenger(name: &'static str, id: &'static str) -> Member {
    Member { name, kind: Kind::Messenger, account: "104500000000001", id }
}

const fn on_instagram(name: &'static str, id: &'static str) -> Member {
    Member { name, kind: Kind::Instagram, account: "17841400000000001", id }
}

/// Everybody in the first so many conversations.
pub fn people(rooms: usize) -> impl Iterator<Item = Member> {
    ROOMS.into_iter().take(rooms).flat_map(|(_, people)| people)
}

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

/// The simulated platforms with the people of so many conversations on them.
pub(super) fn platforms(rooms: usize) -> Config {
    let mut config = Config::default();
    for member in CAST {
        let platform = match member.kind {
            Kind::WhatsApp => &mut config.whatsapp,
            Kind::Messenger => &mut config.messenger,
            Kind::Instagram => &mut config.instagram,
        };
        let mut account = AccountConfig::new(member.account);
        for person in people(rooms).filter(|person| person.kind == member.kind) {
            account = account.with(Person::new(person.id, person.name));
        }
        platform.accounts.push(account);
    }
    config
}

/// The daemon's config, in the operator's own language. The webhook server takes a free port.
pub(super) fn daemon_config(
    broker: &str,
    store: &Path,
    platforms: &Platforms,
    setup: &Setup,
) -> String {
    let mut toml = String::from("# Written by `interline sandbox`; all secrets are invented.\n\n");
    // Writing to a String cannot fail; what is missing would be found by the check of the config.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let written = writeln!(toml, "{text}");
        debug_assert!(written.is_ok(), "a String takes every write");
    };
    line(format_args!("[broker]\nurls = [{}]\n", quoted(broker)));
    // What a play shows must not depend on what is installed.
    line(format_args!("[media]\nffmpeg = \"\"\n"));
    line(format_args!("[store]\nurl = {}\n", quoted(&format!("sqlite:{}", store.display()))));
    if let Some(wait) = setup.settle_timeout {
        line(format_args!("[deliver]\nsettle_timeout = \"{}ms\"\n", wait.as_millis()));
    }
    line(format_args!("[ingest]\nlisten = \"127.0.0.1:0\"\n"));
    for member in CAST {
        let id = member.account;
        line(format_args!("[[account]]\nbridge = \"{}\"\nid = \"{id}\"", member.kind.word()));
        line(format_args!("api_url = {}", quoted(&platforms.of(member.kind).api_url())));
        // The simulated platforms refuse nobody for being fast, and a play shall not wait.
        line(format_args!("messages_per_second = 0\npair_interval = \"0s\""));
        line(format_args!("access_token = \"{}\"", access_token(id)));
        line(format_args!("app_secret = \"{}\"", app_secret(id)));
        line(format_args!("verify_token = \"{}\"\n", verify_token(id)));
    }
    for (name, people) in ROOMS.into_iter().take(setup.rooms) {
        line(format_args!("[[conversation]]\nname = \"{name}\"\nparticipants = ["));
        for member in people {
            let (address, name) = (member.address(), member.name);
            line(format_args!("  {{ address = \"{address}\", name = \"{name}\" }},"));
        }
        line(format_args!("]\n"));
    }
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
