//! What an account does to a person, once the API has found nothing wrong with it.
//!
//! [`take`] is the moment of acceptance: the screen shows it, it has its place in the order, and the receipts that
//! follow are made. The only rules that are left here are those of [`crate::admit`], which need the lock.

use std::sync::Arc;
use std::time::Duration;

use crate::admit::{Pass, admit};
use crate::clock::millis;
use crate::config::Kind;
use crate::counts::add;
use crate::graph_error::GraphError;
use crate::ids::Origin;
use crate::messaging::words as messaging;
use crate::outbox::Update;
use crate::receipts::Receipts;
use crate::seen::{Content, Seen};
use crate::state::{Hub, State};
use crate::whatsapp::words as whatsapp;
use crate::words::Held;

/// WhatsApp shows "typing…" for at most 25 s, the others for about 20 s.
fn typing_time(kind: Kind) -> Duration {
    match kind {
        Kind::WhatsApp => Duration::from_secs(25),
        Kind::Messenger | Kind::Instagram => Duration::from_secs(20),
    }
}

/// A request that passed all rules.
pub(crate) enum Deed {
    /// A message.
    Show {
        person: String,
        content: Content,
        held: Vec<Held>,
        quotes: Option<String>,
        marker: Option<String>,
        pass: Pass,
    },
    /// A reaction; `None` takes it back.
    React { person: String, target: String, emoji: Option<String>, marker: Option<String> },
    /// The account read: up to a message, or everything.
    Read { person: String, up_to: Option<String>, typing: bool },
    /// The account types, or stops.
    Typing { person: String, on: bool },
    /// WhatsApp: taken with 200, and reported as failed later.
    Fail { recipient: String, marker: Option<String>, code: u64, title: String, details: String },
}

/// What follows from a deed.
struct Taken {
    native_id: Option<String>,
    updates: Vec<Update>,
}

/// Does a deed, and returns the id of what came of it, if it has one, and its receipts.
pub(crate) fn take(
    hub: &Arc<Hub>,
    account: &str,
    deed: Deed,
) -> Result<(Option<String>, Receipts), GraphError> {
    let mut guard = hub.lock();
    let state = &mut *guard;
    let deed = admit(hub.kind, state, account, deed)?;
    let taken = match deed {
        Deed::Show { person, content, held, quotes, marker, pass: _ } => {
            let seen = new_message(hub, state, account, &person, content, quotes, marker);
            show(hub, state, account, &person, seen, &held)
        }
        Deed::React { person, target, emoji, marker } => {
            react(hub, state, account, &person, &target, emoji, marker.as_deref())
        }
        Deed::Read { person, up_to, typing } => {
            read(hub, state, account, &person, up_to.as_deref(), typing)
        }
        Deed::Typing { person, on } => type_on(hub, state, account, &person, on),
        Deed::Fail { recipient, marker, code, title, details } => {
            let native_id = hub.native_id(account, &recipient, Origin::Account);
            let marker = marker.as_deref();
            let now_ms = state.now_ms();
            let status =
                whatsapp::Status { native_id: &native_id, state: "failed", marker, now_ms };
            let update = status.failed(&recipient, code, &title, &details);
            Some(Taken { native_id: Some(native_id), updates: vec![update] })
        }
    };
    let unknown = || GraphError::no_object("POST", account);
    let Taken { native_id, updates } = taken.ok_or_else(unknown)?;
    let account = state.accounts.get(account).ok_or_else(unknown)?;
    add(&account.tally.accepted, 1);
    // Owed before anybody can see what was done.
    let receipts = Receipts::owed(hub, account, updates);
    drop(guard);
    add(&hub.tally.accepted, 1);
    hub.touch();
    Ok((native_id, receipts))
}

fn new_message(
    hub: &Hub,
    state: &mut State,
    account: &str,
    person: &str,
    content: Content,
    quotes: Option<String>,
    marker: Option<String>,
) -> Seen {
    Seen {
        order: hub.next_order(),
        native_id: hub.native_id(account, person, Origin::Account),
        account: account.to_owned(),
        mine: false,
        content,
        quotes,
        reaction: None,
        my_reaction: None,
        read: false,
        edited: false,
        unsent: false,
        marker,
        at_ms: state.now_ms(),
    }
}

fn show(
    hub: &Hub,
    state: &mut State,
    account_id: &str,
    person: &str,
    seen: Seen,
    held: &[Held],
) -> Option<Taken> {
    let settings = state.settings;
    let account = state.accounts.get_mut(account_id)?;
    let phone = account.phones.get_mut(person)?;
    phone.typing_until_ms = 0;
    let native_id = seen.native_id.clone();
    let now_ms = seen.at_ms;
    phone.show(seen.clone(), settings.timeline_max);
    add(&hub.tally.messages_accepted, 1);
    add(&account.tally.messages_accepted, 1);
    let phone = account.phones.get(person)?;
    let mut updates = Vec::new();
    match hub.kind {
        Kind::WhatsApp => {
            let marker = seen.marker.as_deref();
            for (wanted, name) in
                [(settings.receipts.sent, "sent"), (settings.receipts.delivered, "delivered")]
            {
                if wanted {
                    let status =
                        whatsapp::Status { native_id: &native_id, state: name, marker, now_ms };
                    updates.push(status.of(phone));
                }
            }
        }
        Kind::Messenger | Kind::Instagram => {
            let setting = messaging::Setting {
                kind: hub.kind,
                base_url: &hub.base_url,
                account: &account.config,
                person,
                now_ms,
                sticker_twice: settings.sticker_twice,
            };
            if settings.receipts.sent {
                let urls: Vec<String> = held
                    .iter()
                    .map(|held| messaging::cdn_url(hub.kind, &hub.base_url, &account.config, held))
                    .collect();
                updates.push(messaging::echo(&setting, &seen, &urls));
            }
            if settings.receipts.delivered && hub.kind == Kind::Messenger {
                updates.push(messaging::delivery(&setting, &native_id));
            }
        }
    }
    Some(Taken { native_id: Some(native_id), updates })
}

fn react(
    hub: &Hub,
    state: &mut State,
    account: &str,
    person: &str,
    target: &str,
    emoji: Option<String>,
    marker: Option<&str>,
) -> Option<Taken> {
    let now_ms = state.now_ms();
    let wants_status = state.settings.receipts.sent && hub.kind == Kind::WhatsApp;
    let phone = state.phone(account, person)?;
    phone.find(target)?.reaction = emoji;
    phone.touch();
    if hub.kind != Kind::WhatsApp {
        return Some(Taken { native_id: None, updates: Vec::new() });
    }
    // A reaction is a message of its own with its own id; only `sent` follows.
    let native_id = hub.native_id(account, person, Origin::Account);
    let status = whatsapp::Status { native_id: &native_id, state: "sent", marker, now_ms };
    let updates = if wants_status { vec![status.of(phone)] } else { Vec::new() };
    Some(Taken { native_id: Some(native_id), updates })
}

fn read(
    hub: &Hub,
    state: &mut State,
    account: &str,
    person: &str,
    up_to: Option<&str>,
    typing: bool,
) -> Option<Taken> {
    let phone = state.phone(account, person)?;
    for seen in &mut phone.timeline {
        if seen.mine {
            seen.read = true;
        }
        if up_to == Some(seen.native_id.as_str()) {
            break;
        }
    }
    phone.touch();
    if typing {
        return type_on(hub, state, account, person, true);
    }
    Some(Taken { native_id: None, updates: Vec::new() })
}

fn type_on(hub: &Hub, state: &mut State, account: &str, person: &str, on: bool) -> Option<Taken> {
    let until_ms = state.now_ms() + millis(typing_time(hub.kind));
    let phone = state.phone(account, person)?;
    phone.typing_until_ms = if on { until_ms } else { 0 };
    phone.typings += u64::from(on);
    phone.touch();
    Some(Taken { native_id: None, updates: Vec::new() })
}
