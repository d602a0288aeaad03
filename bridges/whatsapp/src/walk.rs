//! Finds the items of a body, in order, for [`crate::split`] and [`crate::normalize`] alike: what the one hands on,
//! the other reads in the same way.
//!
//! PLATFORMS.md section 2, "Batching" and "Envelope".

use crate::native::{
    HistoryChunk, HistoryThread, List, LooseBody, LooseChange, LooseEntry, Metadata, TypedBody,
    Value,
};
use crate::people::Contacts;
use interline_bridge_api::{BodyError, ItemError};
use interline_envelope::ITEMS_MAX;
use interline_graph::{IdText, Millis, Text, check_body, foreign_or_json, reason_of};
use serde_json::value::RawValue;

pub(crate) const PLATFORM: &str = "whatsapp";
pub(crate) const OBJECT: &str = "whatsapp_business_account";

/// Where an item stands in its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Messages,
    Echoes,
    /// A message of a chat of a history chunk.
    HistoryThread {
        thread: &'a str,
    },
    HistoryErrors,
    Statuses,
    Errors,
    UserIdUpdates,
    UserPreferences,
    Calls,
    StateSync,
    /// The whole value: events about the account, and fields from the future.
    WholeValue,
}

impl Place<'_> {
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Echoes => "message_echoes",
            Self::HistoryThread { .. } | Self::HistoryErrors => "history",
            Self::Statuses => "statuses",
            Self::Errors => "errors",
            Self::UserIdUpdates => "user_id_update",
            Self::UserPreferences => "user_preferences",
            Self::Calls => "calls",
            Self::StateSync => "state_sync",
            Self::WholeValue => "",
        }
    }

    /// The chat of a message of the history.
    pub(crate) const fn thread(&self) -> Option<&str> {
        if let Self::HistoryThread { thread } = self { Some(thread) } else { None }
    }
}

/// What the items of one change share.
pub(crate) struct Scope<'a> {
    /// The phone-number id, else the WhatsApp business account's id.
    pub(crate) account: &'a str,
    pub(crate) waba: Option<&'a str>,
    pub(crate) entry_time: Option<&'a RawValue>,
    pub(crate) field: &'a str,
    pub(crate) metadata: Option<&'a RawValue>,
    /// The business's own number, with or without spaces and plus sign.
    display_number: &'a str,
    pub(crate) contacts: Contacts<'a>,
}

impl Scope<'_> {
    /// The digits of the business's own number.
    pub(crate) fn own_number(&self) -> String {
        self.display_number.chars().filter(char::is_ascii_digit).collect()
    }

    /// `entry[].time` in milliseconds.
    pub(crate) fn entry_millis(&self) -> Option<i64> {
        let raw = self.entry_time?;
        serde_json::from_str::<Millis>(raw.get()).ok()?.0
    }
}

/// One message, status or other event, with what it needs from its surroundings.
pub(crate) struct Found<'a, 's> {
    pub(crate) scope: &'s Scope<'s>,
    pub(crate) place: Place<'s>,
    /// The metadata of the history chunk.
    pub(crate) chunk: Option<&'a RawValue>,
    pub(crate) raw: &'a RawValue,
}

struct Walker<'v> {
    visit: &'v mut dyn FnMut(&Found<'_, '_>),
    unreadable: Vec<ItemError>,
    items: usize,
}

/// Calls `visit` for each item of `body`, in order. Gives what is not even an item.
pub(crate) fn walk(
    body: &[u8],
    visit: &mut dyn FnMut(&Found<'_, '_>),
) -> Result<Vec<ItemError>, BodyError> {
    check_body(body)?;
    let mut walker = Walker { visit, unreadable: Vec::new(), items: 0 };
    if let Ok(typed) = serde_json::from_slice::<TypedBody<'_>>(body)
        && typed
            .entry
            .iter()
            .flat_map(|entry| &entry.changes)
            .all(|change| has_items(&change.value))
    {
        walker.typed(&typed)?;
    } else {
        let loose: LooseBody<'_> =
            serde_json::from_slice(body).map_err(|error| foreign_or_json(PLATFORM, error))?;
        walker.loose(&loose)?;
    }
    Ok(walker.unreadable)
}

/// True if nothing of the value is wanted but its lists.
fn has_items(value: &Value<'_>) -> bool {
    lists(value).iter().any(|(_, list)| !list.items().is_empty())
        || !value.history.items().is_empty()
}

fn lists<'v, 'a>(value: &'v Value<'a>) -> [(Place<'static>, &'v List<'a>); 8] {
    [
        (Place::Messages, &value.messages),
        (Place::Echoes, &value.message_echoes),
        (Place::Statuses, &value.statuses),
        (Place::Errors, &value.errors),
        (Place::UserIdUpdates, &value.user_id_update),
        (Place::UserPreferences, &value.user_preferences),
        (Place::Calls, &value.calls),
        (Place::StateSync, &value.state_sync),
    ]
}

/// Fields whose value holds items in lists; all others are one event each.
const ITEM_FIELDS: [&str; 7] = [
    "messages",
    "smb_message_echoes",
    "history",
    "smb_app_state_sync",
    "user_preferences",
    "user_id_update",
    "calls",
];

fn check_object(object: Option<&Text<'_>>, found: &mut bool) -> Result<(), BodyError> {
    match object.map(Text::as_str) {
        Some(OBJECT) => *found = true,
        // The word is the platform's, or a sender's that is not the platform: it is not repeated.
        Some(_) => return Err(foreign(format!("its `object` is not `{OBJECT}`"))),
        None => {}
    }
    Ok(())
}

fn foreign(why: String) -> BodyError {
    BodyError::Foreign { expected: PLATFORM, why }
}

impl Walker<'_> {
    fn typed(&mut self, body: &TypedBody<'_>) -> Result<(), BodyError> {
        let mut known = false;
        check_object(body.object.as_ref(), &mut known)?;
        for entry in &body.entry {
            check_object(entry.object.as_ref(), &mut known)?;
        }
        require_object(known)?;
        for (entry_index, entry) in body.entry.iter().enumerate() {
            for (change_index, change) in entry.changes.iter().enumerate() {
                let field = change.field.as_ref().or(entry.field.as_ref());
                let at = At {
                    entry: entry_index,
                    change: change_index,
                    waba: entry.id.as_ref(),
                    time: entry.time,
                    field: field.map(Text::as_str).unwrap_or_default(),
                };
                self.value(&at, &change.value, None)?;
            }
        }
        Ok(())
    }

    fn loose(&mut self, body: &LooseBody<'_>) -> Result<(), BodyError> {
        let mut known = false;
        check_object(body.object.as_ref(), &mut known)?;
        if body.entry.is_malformed() {
            return Err(foreign("its `entry` is no list".to_owned()));
        }
        let mut entries = Vec::new();
        for (index, raw) in body.entry.items().iter().enumerate() {
            match serde_json::from_str::<LooseEntry<'_>>(raw.get()) {
                Ok(entry) => {
                    check_object(entry.object.as_ref(), &mut known)?;
                    entries.push((index, entry));
                }
                Err(error) => self.unreadable(format!("entry[{index}]"), reason_of(&error)),
            }
        }
        require_object(known)?;
        for (index, entry) in &entries {
            if entry.changes.is_malformed() {
                self.unreadable(format!("entry[{index}].changes"), "no list".to_owned());
            }
            for (change_index, raw) in entry.changes.items().iter().enumerate() {
                self.loose_change(*index, entry, change_index, raw)?;
            }
        }
        Ok(())
    }

    fn loose_change(
        &mut self,
        entry_index: usize,
        entry: &LooseEntry<'_>,
        change_index: usize,
        raw: &RawValue,
    ) -> Result<(), BodyError> {
        let path = || format!("entry[{entry_index}].changes[{change_index}]");
        let change = match serde_json::from_str::<LooseChange<'_>>(raw.get()) {
            Ok(change) => change,
            Err(error) => {
                self.unreadable(path(), reason_of(&error));
                return Ok(());
            }
        };
        let field = change.field.as_ref().or(entry.field.as_ref());
        let at = At {
            entry: entry_index,
            change: change_index,
            waba: entry.id.as_ref(),
            time: entry.time,
            field: field.map(Text::as_str).unwrap_or_default(),
        };
        match serde_json::from_str::<Value<'_>>(change.value.get()) {
            Ok(value) => self.value(&at, &value, Some(change.value)),
            // A value that is no object is still an event about the account.
            Err(_) if !ITEM_FIELDS.contains(&at.field) => {
                self.value(&at, &Value::default(), Some(change.value))
            }
            Err(error) => {
                self.unreadable(path() + ".value", reason_of(&error));
                Ok(())
            }
        }
    }

    /// Visits what one value holds. `whole`: the value itself, where it is at hand.
    fn value(
        &mut self,
        at: &At<'_, '_>,
        value: &Value<'_>,
        whole: Option<&RawValue>,
    ) -> Result<(), BodyError> {
        let metadata: Metadata<'_> =
            value.metadata.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let waba = at.waba.and_then(IdText::non_empty);
        let phone = metadata.phone_number_id.as_ref().and_then(IdText::non_empty);
        let Some(account) = phone.or(waba) else {
            let path = format!("entry[{}].changes[{}]", at.entry, at.change);
            self.unreadable(path, "neither a phone number id nor an account id".to_owned());
            return Ok(());
        };
        let display = metadata.display_phone_number.as_ref().map(IdText::as_str);
        let scope = Scope {
            account,
            waba,
            entry_time: at.time,
            field: at.field,
            metadata: value.metadata,
            display_number: display.unwrap_or_default(),
            contacts: Contacts::read(value.contacts.items()),
        };
        let mut is_empty = true;
        for (place, list) in lists(value) {
            if list.is_malformed() {
                self.unreadable(at.path(place), "no list".to_owned());
                is_empty = false;
            }
            for raw in list.items() {
                self.visit(&Found { scope: &scope, place, chunk: None, raw })?;
                is_empty = false;
            }
        }
        if !value.history.items().is_empty() || value.history.is_malformed() {
            self.history(at, &scope, &value.history)?;
            is_empty = false;
        }
        match whole {
            Some(raw) if is_empty && !ITEM_FIELDS.contains(&at.field) => {
                self.visit(&Found { scope: &scope, place: Place::WholeValue, chunk: None, raw })?;
            }
            _ if is_empty => {
                let path = format!("entry[{}].changes[{}].value", at.entry, at.change);
                self.unreadable(path, "it holds no item".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn history(
        &mut self,
        at: &At<'_, '_>,
        scope: &Scope<'_>,
        chunks: &List<'_>,
    ) -> Result<(), BodyError> {
        if chunks.is_malformed() {
            self.unreadable(at.path(Place::HistoryErrors), "no list".to_owned());
        }
        for (chunk_index, raw) in chunks.items().iter().enumerate() {
            let path = || format!("{}[{chunk_index}]", at.path(Place::HistoryErrors));
            let chunk = match serde_json::from_str::<HistoryChunk<'_>>(raw.get()) {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.unreadable(path(), reason_of(&error));
                    continue;
                }
            };
            for raw in chunk.errors.items() {
                let place = Place::HistoryErrors;
                self.visit(&Found { scope, place, chunk: chunk.metadata, raw })?;
            }
            for (thread_index, raw) in chunk.threads.items().iter().enumerate() {
                match serde_json::from_str::<HistoryThread<'_>>(raw.get()) {
                    Ok(thread) => self.thread(scope, chunk.metadata, &thread)?,
                    Err(error) => {
                        let path = format!("{}.threads[{thread_index}]", path());
                        self.unreadable(path, reason_of(&error));
                    }
                }
            }
        }
        Ok(())
    }

    fn thread(
        &mut self,
        scope: &Scope<'_>,
        chunk: Option<&RawValue>,
        thread: &HistoryThread<'_>,
    ) -> Result<(), BodyError> {
        for raw in thread.messages.items() {
            let place = Place::HistoryThread { thread: thread.id.as_str() };
            self.visit(&Found { scope, place, chunk, raw })?;
        }
        Ok(())
    }

    fn visit(&mut self, found: &Found<'_, '_>) -> Result<(), BodyError> {
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(BodyError::TooManyItems);
        }
        (self.visit)(found);
        Ok(())
    }

    fn unreadable(&mut self, path: String, reason: String) {
        // As many as there can be items: a body of garbage does not make a list without end.
        if self.unreadable.len() < ITEMS_MAX {
            self.unreadable.push(ItemError { path, reason });
        }
    }
}

fn require_object(known: bool) -> Result<(), BodyError> {
    if known { Ok(()) } else { Err(foreign("it has no `object`".to_owned())) }
}

/// Where a value stands.
struct At<'a, 's> {
    entry: usize,
    change: usize,
    waba: Option<&'s IdText<'a>>,
    time: Option<&'a RawValue>,
    field: &'s str,
}

impl At<'_, '_> {
    fn path(&self, place: Place<'_>) -> String {
        format!("entry[{}].changes[{}].value.{}", self.entry, self.change, place.key())
    }
}
