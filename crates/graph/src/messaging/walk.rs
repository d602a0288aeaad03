//! Takes a body apart into its events. PLATFORMS.md section 2, "Batching" and "Envelope": `entry[]`, then
//! `messaging[]`, `standby[]` and `changes[]`; `field` and `value` directly on the entry; an array at the root.
//!
//! Two passes at most: a body of the documented shape is read at once, each event as raw bytes. Only a body that is
//! malformed somewhere is read again, piece by piece, so that no piece fails another.

use super::Dialect;
use super::wire::{Body, Change, Entry, LooseBody, LooseEntry};
use crate::{Text, check_body, foreign_or_json, reason_of};
use interline_bridge_api::{BodyError, ItemError};
use interline_envelope::ITEMS_MAX;
use serde_json::value::RawValue;

/// Where in an entry an event stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Messaging,
    Standby,
    Changes,
    /// `field` and `value` on the entry itself.
    Entry,
}

impl Place {
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Messaging => "messaging",
            Self::Standby => "standby",
            Self::Changes => "changes",
            Self::Entry => "value",
        }
    }
}

/// The path to a piece, kept as numbers until somebody asks.
#[derive(Clone, Copy)]
pub(super) struct Path {
    root: Option<usize>,
    entry: Option<usize>,
    place: Option<(Place, Option<usize>)>,
}

impl Path {
    pub(super) fn error(self, reason: impl Into<String>) -> ItemError {
        let mut path = String::new();
        if let Some(root) = self.root {
            path.push_str(&format!("[{root}]"));
        }
        if let Some(entry) = self.entry {
            let dot = if path.is_empty() { "" } else { "." };
            path.push_str(&format!("{dot}entry[{entry}]"));
        }
        if let Some((place, index)) = self.place {
            path.push('.');
            path.push_str(place.key());
            if let Some(index) = index {
                path.push_str(&format!("[{index}]"));
            }
        }
        ItemError { path, reason: reason.into() }
    }
}

/// One event as it stands in the body.
pub(super) struct Found<'a> {
    pub(super) path: Path,
    pub(super) entry_id: Option<&'a RawValue>,
    pub(super) entry_time: Option<&'a RawValue>,
    pub(super) place: Place,
    /// The element of the array; on [`Place::Entry`] the value.
    pub(super) json: &'a RawValue,
    /// On `changes[]` and [`Place::Entry`].
    pub(super) field: Option<&'a RawValue>,
    /// On `changes[]` and [`Place::Entry`].
    pub(super) value: Option<&'a RawValue>,
}

/// A piece of a body.
pub(super) enum Piece<'a> {
    Event(Found<'a>),
    /// Not even an event: `body` is the least native body that still holds it.
    Broken {
        body: Vec<u8>,
        error: ItemError,
    },
}

/// Calls `visit` with every piece of `body`, in order.
pub(super) fn walk<'a>(
    dialect: &Dialect,
    body: &'a [u8],
    mut visit: impl FnMut(Piece<'a>),
) -> Result<(), BodyError> {
    check_body(body)?;
    let text = std::str::from_utf8(body)
        .map_err(|_| BodyError::Json(serde::de::Error::custom("it is not UTF-8")))?;
    let mut walker = Walker { dialect, root: None, items: 0, visit: &mut visit };
    if text.trim_start().starts_with('[') { walker.array(text) } else { walker.body(text) }
}

struct Walker<'d, 'v, 'a> {
    dialect: &'d Dialect,
    root: Option<usize>,
    items: usize,
    visit: &'v mut dyn FnMut(Piece<'a>),
}

impl<'a> Walker<'_, '_, 'a> {
    fn array(&mut self, text: &'a str) -> Result<(), BodyError> {
        let name = self.dialect.name;
        let notifications: Vec<&'a RawValue> =
            serde_json::from_str(text).map_err(|error| foreign_or_json(name, error))?;
        let mut first_error = None;
        let mut readable = false;
        for (index, notification) in notifications.into_iter().enumerate() {
            self.root = Some(index);
            match self.body(notification.get()) {
                Ok(()) => readable = true,
                Err(BodyError::TooManyItems) => return Err(BodyError::TooManyItems),
                Err(error) => {
                    let path = Path { root: self.root, entry: None, place: None };
                    let body = notification.get().as_bytes().to_vec();
                    self.visit(Piece::Broken { body, error: path.error(error.to_string()) })?;
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if !readable => Err(error),
            None if !readable => Err(self.foreign("its array is empty")),
            _ => Ok(()),
        }
    }

    fn body(&mut self, text: &'a str) -> Result<(), BodyError> {
        if let Ok(body) = serde_json::from_str::<Body<'a>>(text) {
            self.check_object(body.object.as_ref())?;
            let entries = body.entry.ok_or_else(|| self.foreign("`entry` is missing"))?;
            for (index, entry) in entries.into_iter().enumerate() {
                self.entry(index, entry)?;
            }
            return Ok(());
        }
        self.loose_body(text)
    }

    fn loose_body(&mut self, text: &'a str) -> Result<(), BodyError> {
        let name = self.dialect.name;
        let body: LooseBody<'a> =
            serde_json::from_str(text).map_err(|error| foreign_or_json(name, error))?;
        self.check_object(body.object.as_ref())?;
        let entries = body.entry.ok_or_else(|| self.foreign("`entry` is missing"))?;
        let entries: Vec<&'a RawValue> = serde_json::from_str(entries.get())
            .map_err(|_| self.foreign("`entry` is not an array"))?;
        for (index, raw) in entries.into_iter().enumerate() {
            match serde_json::from_str::<Entry<'a>>(raw.get()) {
                Ok(entry) => self.entry(index, entry)?,
                Err(_) => self.loose_entry(index, raw)?,
            }
        }
        Ok(())
    }

    fn loose_entry(&mut self, index: usize, raw: &'a RawValue) -> Result<(), BodyError> {
        let path = Path { root: self.root, entry: Some(index), place: None };
        let entry = match serde_json::from_str::<LooseEntry<'a>>(raw.get()) {
            Ok(entry) if raw.get().starts_with('{') => entry,
            Ok(_) => return self.broken(raw.get(), path.error("not an object")),
            Err(error) => return self.broken(raw.get(), path.error(reason_of(&error))),
        };
        let mut readable = Entry {
            id: entry.id,
            time: entry.time,
            messaging: None,
            standby: None,
            changes: None,
            field: entry.field,
            value: entry.value,
        };
        let arrays = [
            (Place::Messaging, entry.messaging, &mut readable.messaging),
            (Place::Standby, entry.standby, &mut readable.standby),
            (Place::Changes, entry.changes, &mut readable.changes),
        ];
        for (place, raw, slot) in arrays {
            let Some(raw) = raw else { continue };
            match serde_json::from_str(raw.get()) {
                Ok(items) => *slot = Some(items),
                Err(_) => {
                    let path = Path { place: Some((place, None)), ..path };
                    let json = wrapped(entry.id, entry.time, &[(place.key(), raw.get())]);
                    self.broken(&json, path.error("not an array"))?;
                }
            }
        }
        self.entry(index, readable)
    }

    fn entry(&mut self, index: usize, entry: Entry<'a>) -> Result<(), BodyError> {
        let path = Path { root: self.root, entry: Some(index), place: None };
        let (id, time) = (entry.id, entry.time);
        let arrays = [
            (Place::Messaging, entry.messaging),
            (Place::Standby, entry.standby),
            (Place::Changes, entry.changes),
        ];
        for (place, items) in arrays {
            for (item, json) in items.into_iter().flatten().enumerate() {
                let path = Path { place: Some((place, Some(item))), ..path };
                if !json.get().starts_with('{') {
                    let array = format!("[{}]", json.get());
                    let json = wrapped(id, time, &[(place.key(), &array)]);
                    self.broken(&json, path.error("not an object"))?;
                    continue;
                }
                let (field, value) = change_of(place, json);
                let found =
                    Found { path, entry_id: id, entry_time: time, place, json, field, value };
                self.visit(Piece::Event(found))?;
            }
        }
        if let (Some(field), Some(value)) = (entry.field, entry.value) {
            let path = Path { place: Some((Place::Entry, None)), ..path };
            self.visit(Piece::Event(Found {
                path,
                entry_id: id,
                entry_time: time,
                place: Place::Entry,
                json: value,
                field: Some(field),
                value: Some(value),
            }))?;
        }
        Ok(())
    }

    fn broken(&mut self, entry: &str, error: ItemError) -> Result<(), BodyError> {
        let body = body_of(self.dialect, entry);
        self.visit(Piece::Broken { body, error })
    }

    fn visit(&mut self, piece: Piece<'a>) -> Result<(), BodyError> {
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(BodyError::TooManyItems);
        }
        (self.visit)(piece);
        Ok(())
    }

    fn check_object(&self, object: Option<&Text<'a>>) -> Result<(), BodyError> {
        let expected = self.dialect.object;
        match object {
            Some(object) if object.as_str() == expected => Ok(()),
            Some(_) => Err(self.foreign(&format!("`object` is not `{expected}`"))),
            None => Err(self.foreign(&format!("`object` is missing; `{expected}` is expected"))),
        }
    }

    fn foreign(&self, why: &str) -> BodyError {
        BodyError::Foreign { expected: self.dialect.name, why: why.to_owned() }
    }
}

fn change_of<'a>(place: Place, json: &'a RawValue) -> (Option<&'a RawValue>, Option<&'a RawValue>) {
    if place != Place::Changes {
        return (None, None);
    }
    serde_json::from_str::<Change<'a>>(json.get())
        .map_or((None, None), |change| (change.field, change.value))
}

/// An entry with the given fields, as JSON.
pub(super) fn wrapped(
    id: Option<&RawValue>,
    time: Option<&RawValue>,
    fields: &[(&str, &str)],
) -> String {
    let mut json = String::with_capacity(fields.iter().map(|(_, raw)| raw.len() + 16).sum());
    json.push('{');
    let head = [("id", id), ("time", time)];
    let head = head.iter().filter_map(|(key, raw)| raw.map(|raw| (*key, raw.get())));
    for (key, raw) in head.chain(fields.iter().copied()) {
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json.push_str(key);
        json.push_str("\":");
        json.push_str(raw);
    }
    json.push('}');
    json
}

/// A body with that one entry.
pub(super) fn body_of(dialect: &Dialect, entry: &str) -> Vec<u8> {
    format!("{{\"object\":\"{}\",\"entry\":[{entry}]}}", dialect.object).into_bytes()
}
