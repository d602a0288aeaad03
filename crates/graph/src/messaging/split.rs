//! Hands each event on as a native body of its own, so that one consumer reads one event.

use super::Dialect;
use super::event::open;
use super::walk::{Found, Piece, Place, body_of, walk, wrapped};
use interline_bridge_api::{BodyError, Item, Split};

impl Dialect {
    /// Takes a webhook body apart; see [`interline_bridge_api::Bridge::split`].
    ///
    /// # Errors
    /// [`BodyError`] if the whole body is unreadable.
    pub fn split(&self, body: &[u8]) -> Result<Split, BodyError> {
        let mut split = Split::default();
        walk(self, body, |piece| match piece {
            Piece::Event(found) => split.items.push(item(self, &found)),
            Piece::Broken { body, error } => {
                split.items.push(Item { account: String::new(), body });
                split.unreadable.push(error);
            }
        })?;
        Ok(split)
    }
}

fn item(dialect: &Dialect, found: &Found<'_>) -> Item {
    let (account, has_time) = match open(found) {
        Ok(opened) => (opened.parties.account.into_owned(), opened.time_ms.is_some()),
        Err(_) => (String::new(), false),
    };
    // The entry's clock belongs to the batch; it goes along only where the event has none.
    let time = if has_time { None } else { found.entry_time };
    let entry = match (found.place, found.field, found.value) {
        (Place::Entry, Some(field), Some(value)) => {
            let fields = [("field", field.get()), ("value", value.get())];
            wrapped(found.entry_id, time, &fields)
        }
        (place, _, _) => {
            let array = format!("[{}]", found.json.get());
            wrapped(found.entry_id, time, &[(place.key(), &array)])
        }
    };
    Item { account, body: body_of(dialect, &entry) }
}
