//! `[[conversation]]`: who hears whom.
//!
//! Messages name participants by their place in the file, never by id or name: they may reach a journal (G8).

use super::nearest::nearest;
use super::reader::{Found, TableReader};
use super::secret::SecretRef;
use super::settings::Account;
use interline_envelope::{AccountRef, Address, Redacted};
use interline_notice::Language;
use interline_relay::{Attribution, Conversation, Participant};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use toml::de::DeValue;

/// The longest name of a conversation or participant, in characters.
const NAME_CHARS_MAX: usize = 128;
/// The longest scoped id, in bytes, as for the user part of an address.
const SCOPED_ID_BYTES_MAX: usize = 256;
const SHAPE: &str =
    "\"bridge/account/user\", or { address = \"bridge/account/user\", name = \"…\" }";

type Accounts = [Found<Option<Account<SecretRef>>>];

/// What spans all conversations.
struct Known<'a> {
    accounts: HashSet<&'a AccountRef>,
    /// Accounts that stand there but could not be read; then nobody's account counts as missing.
    some_are_unreadable: bool,
    bridges: &'a [String],
    /// The place of each name.
    names: HashMap<String, String>,
    /// The place of each person's ids.
    people: HashMap<(AccountRef, Redacted<String>), String>,
}

pub(super) fn read(
    root: &mut TableReader<'_, '_>,
    accounts: &Accounts,
    bridges: &[String],
) -> Vec<Conversation> {
    let mut known = Known {
        accounts: accounts
            .iter()
            .filter_map(|found| found.value.as_ref())
            .map(|account| &account.account)
            .collect(),
        some_are_unreadable: accounts.iter().any(|found| found.value.is_none()),
        bridges,
        names: HashMap::new(),
        people: HashMap::new(),
    };
    root.tables("conversation", |table| conversation(table, &mut known))
        .into_iter()
        .flatten()
        .collect()
}

fn conversation(table: &mut TableReader<'_, '_>, known: &mut Known<'_>) -> Option<Conversation> {
    let name = name(table, known);
    let list_shape = format!("a list of participants, each {SHAPE}");
    let listed = table.list("participants", &list_shape);
    if !table.has("participants") {
        table.absent("participants", format!("it is missing; write {list_shape}"));
    } else if listed.len() < 2 {
        table.contradiction(
            "participants",
            "a conversation has at least two participants; add the others",
        );
    }
    let mut participants = Vec::new();
    for found in listed {
        let (key, at) = (found.key.clone(), found.at);
        let Some(participant) = participant(table, found) else { continue };
        let complaint = check_account(&participant.address.account, known)
            .or_else(|| check_person(&participant, &key, known));
        if let Some(message) = complaint {
            table.report.follow_up(&key, at, message);
        }
        participants.push(participant);
    }
    let words = [
        ("auto", Attribution::Auto),
        ("always", Attribution::Always),
        ("never", Attribution::Never),
    ];
    let attribution = table.choice("attribution", Attribution::Auto, &words);
    let receipts = table.flag("receipts", true);
    Some(Conversation { name: name?.into(), participants, attribution, receipts })
}

fn name(table: &mut TableReader<'_, '_>, known: &mut Known<'_>) -> Option<String> {
    let Some(found) = table.text("name") else {
        if !table.has("name") {
            table.absent("name", "it is missing; write a name that no other conversation has");
        }
        return None;
    };
    if let Some(message) = check_name(found.value) {
        table.report.mistake(&found.key, found.at, message);
        return None;
    }
    if let Some(other) = known.names.insert(found.value.to_owned(), table.key.clone()) {
        let message = format!("{other} has the same name; give one of them another");
        table.report.mistake(&found.key, found.at, message);
    }
    Some(found.value.to_owned())
}

fn check_name(name: &str) -> Option<String> {
    let chars = name.chars().count();
    let is_wrong =
        name.trim().is_empty() || chars > NAME_CHARS_MAX || name.chars().any(char::is_control);
    is_wrong.then(|| {
        format!("a name is 1 to {NAME_CHARS_MAX} characters on one line; shorten or fill it")
    })
}

fn participant<'d>(
    table: &mut TableReader<'d, '_>,
    found: Found<&'d DeValue<'d>>,
) -> Option<Participant> {
    if let Some(text) = found.value.as_str() {
        let address = address(table, &Found { value: text, key: found.key, at: found.at })?;
        return Some(Participant { address, name: None, scoped_id: None, language: None });
    }
    let inner = table.typed(found, SHAPE, |value| value.as_table())?;
    table.inner(Some(inner.value), inner.key, inner.at, |table| {
        let address = match table.text("address") {
            Some(found) => address(table, &found),
            None => {
                if !table.has("address") {
                    table.absent("address", "it is missing; write \"bridge/account/user\"");
                }
                None
            }
        };
        let name = table.text("name").map(|found| {
            if let Some(message) = check_name(found.value) {
                table.report.mistake(&found.key, found.at, message);
            }
            Redacted::from(found.value)
        });
        let scoped_id = table.text("scoped_id").map(|found| {
            let is_wrong = found.value.is_empty()
                || found.value.len() > SCOPED_ID_BYTES_MAX
                || found.value.chars().any(|c| c.is_whitespace() || c.is_control());
            if is_wrong {
                let message = format!(
                    "a scoped id is 1 to {SCOPED_ID_BYTES_MAX} bytes without spaces; copy it whole"
                );
                table.report.mistake(&found.key, found.at, message);
            }
            Redacted::from(found.value)
        });
        let language = language(table);
        Some(Participant { address: address?, name, scoped_id, language })
    })
}

/// The language of what the person is told.
fn language(table: &mut TableReader<'_, '_>) -> Option<Arc<str>> {
    let found = table.text("language")?;
    if Language::of_tag(found.value).is_none() {
        let known = Language::ALL.map(Language::as_str);
        let message = format!(
            "there are no notices in this language; write one of {}, or nothing for en",
            known.join(", ")
        );
        table.report.mistake(&found.key, found.at, message);
    }
    Some(found.value.into())
}

fn address(table: &mut TableReader<'_, '_>, found: &Found<&str>) -> Option<Address> {
    match Address::parse(found.value) {
        Ok(address) => Some(address),
        // None of these errors repeats the user part.
        Err(error) => {
            table.report.mistake(&found.key, found.at, error.to_string());
            None
        }
    }
}

fn check_account(account: &AccountRef, known: &Known<'_>) -> Option<String> {
    let bridge = account.platform.as_str();
    if !known.bridges.iter().any(|id| id == bridge) {
        let names: Vec<&str> = known.bridges.iter().map(String::as_str).collect();
        let advice = nearest(bridge, &names)
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        return Some(format!(
            "there is no such bridge; {advice}The bridges are: {}",
            names.join(", ")
        ));
    }
    if known.accounts.contains(account) || known.some_are_unreadable {
        return None;
    }
    let mut of_bridge: Vec<&str> = known
        .accounts
        .iter()
        .filter(|own| own.platform == account.platform)
        .map(|own| &*own.account)
        .collect();
    of_bridge.sort_unstable();
    let advice = if of_bridge.is_empty() {
        format!("no [[account]] has bridge = \"{bridge}\"; add one")
    } else {
        format!(
            "the accounts of {bridge} are: {}; name one of them, or add the [[account]]",
            of_bridge.join(", ")
        )
    };
    Some(format!("its account {account} is not configured; {advice}"))
}

fn check_person(participant: &Participant, key: &str, known: &mut Known<'_>) -> Option<String> {
    let account = &participant.address.account;
    let user = &participant.address.user;
    let scoped = participant.scoped_id.as_ref().filter(|id| *id != user);
    let mut complaint = None;
    for id in std::iter::once(user).chain(scoped) {
        if let Some(other) = known.people.insert((account.clone(), id.clone()), key.to_owned()) {
            complaint.get_or_insert_with(|| {
                format!(
                    "the same person stands in {other}; an address (or its scoped id) may stand in one conversation, \
                     so remove one of the two"
                )
            });
        }
    }
    complaint
}
