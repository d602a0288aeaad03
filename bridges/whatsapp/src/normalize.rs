//! From a body to its envelopes.

use crate::single::single;
use crate::walk::{Found, Place, walk};
use crate::{account, message, status};
use interline_bridge_api::{BodyError, Normalized};
use interline_envelope::{Envelope, IdKey, Platform};
use std::collections::HashSet;

pub(crate) fn normalize(
    ids: &IdKey,
    platform: &Platform,
    body: &[u8],
) -> Result<Normalized, BodyError> {
    if let Some(envelope) = single(ids, platform, body) {
        return Ok(Normalized { envelopes: vec![envelope], unreadable: Vec::new() });
    }
    // Nearly every body holds one event, and an envelope is large.
    let mut envelopes: Vec<Envelope> = Vec::with_capacity(1);
    let unreadable = walk(body, &mut |found| envelopes.push(envelope(ids, platform, found)))?;
    if envelopes.len() > 1 {
        // One body may hold the same event twice.
        let mut seen = HashSet::with_capacity(envelopes.len());
        envelopes.retain(|envelope| seen.insert(envelope.id));
    }
    Ok(Normalized { envelopes, unreadable })
}

fn envelope(ids: &IdKey, platform: &Platform, found: &Found<'_, '_>) -> Envelope {
    match found.place {
        Place::Messages | Place::Echoes | Place::HistoryThread { .. } => {
            message::message(ids, platform, found)
        }
        Place::Statuses => status::status(ids, platform, found),
        Place::UserIdUpdates => account::id_update(ids, platform, found),
        Place::HistoryErrors
        | Place::Errors
        | Place::UserPreferences
        | Place::Calls
        | Place::StateSync
        | Place::WholeValue => account::account_event(ids, platform, found),
    }
}
