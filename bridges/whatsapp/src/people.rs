//! Who is meant: joins a message's or status's ids with the contacts of its value. PLATFORMS.md section 3.
//!
//! Contacts are found by `wa_id` or `user_id`, never by their position (section 9, mistake 15). `from` and `wa_id`
//! may be absent (mistake 1) or hold a BSUID.

use crate::native::Contact;
use interline_envelope::{Person, Redacted};
use interline_graph::{IdText, Text};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The contacts of one value.
pub(crate) struct Contacts<'a> {
    list: Vec<(Contact<'a>, &'a RawValue)>,
    /// Built where a scan for each of a thousand messages would be slow.
    by_id: Option<HashMap<String, usize>>,
}

/// Up to so many contacts are scanned.
const SCAN_MAX: usize = 8;

impl<'a> Contacts<'a> {
    /// Reads the contacts one by one; one that cannot be read is left out.
    pub(crate) fn read(raws: &[&'a RawValue]) -> Self {
        let list: Vec<_> = raws
            .iter()
            .filter_map(|raw| Some((serde_json::from_str::<Contact<'a>>(raw.get()).ok()?, *raw)))
            .collect();
        let by_id = (list.len() > SCAN_MAX).then(|| {
            let ids = list.iter().enumerate().flat_map(|(index, (contact, _))| {
                let ids = [id_of(contact.wa_id.as_ref()), id_of(contact.user_id.as_ref())];
                ids.into_iter().flatten().map(move |id| (id.to_owned(), index))
            });
            // The first contact with an id counts, as in a scan.
            let mut map = HashMap::new();
            for (id, index) in ids {
                map.entry(id).or_insert(index);
            }
            map
        });
        Self { list, by_id }
    }

    fn find(
        &self,
        phone: Option<&str>,
        scoped: Option<&str>,
    ) -> Option<&(Contact<'a>, &'a RawValue)> {
        if let Some(by_id) = &self.by_id {
            let index = [phone, scoped].into_iter().flatten().find_map(|id| by_id.get(id))?;
            return self.list.get(*index);
        }
        let is = |id: &Option<IdText<'_>>, wanted: Option<&str>| {
            wanted.is_some() && id_of(id.as_ref()) == wanted
        };
        let by = |wanted: Option<&str>| {
            self.list
                .iter()
                .find(|(contact, _)| is(&contact.wa_id, wanted) || is(&contact.user_id, wanted))
        };
        by(phone).or_else(|| by(scoped))
    }

    /// The raw contact of a person, for a minimal body.
    pub(crate) fn raw_of(&self, ids: &Ids<'_>) -> Option<&'a RawValue> {
        self.find(ids.phone, ids.scoped).map(|(_, raw)| *raw)
    }

    /// The person with these ids, with names where a contact has them; nothing if there is no id at all.
    pub(crate) fn person(&self, ids: &Ids<'_>) -> Option<Person> {
        if ids.phone.is_none() && ids.scoped.is_none() {
            return None;
        }
        let contact = self.find(ids.phone, ids.scoped).map(|(contact, _)| contact);
        let contact_scoped = contact.and_then(|contact| id_of(contact.user_id.as_ref()));
        let contact_phone = contact.and_then(|contact| id_of(contact.wa_id.as_ref()));
        let phone = ids.phone.or(contact_phone);
        let scoped = ids.scoped.or(contact_scoped).or(phone.filter(|id| is_scoped(id)));
        let mut person = Person::new(phone.or(scoped)?);
        person.scoped_id = scoped.map(Redacted::from);
        let parent = ids
            .parent
            .or_else(|| contact.and_then(|contact| id_of(contact.parent_user_id.as_ref())));
        if let Some(parent) = parent {
            person.unknown.insert("parent_scoped_id".to_owned(), parent.into());
        }
        if let Some(profile) = contact.and_then(|contact| contact.profile.as_ref()) {
            person.name = profile.name.as_ref().and_then(Text::non_empty).map(Redacted::from);
            person.username =
                profile.username.as_ref().and_then(Text::non_empty).map(Redacted::from);
        }
        Some(person)
    }
}

/// The ids under which an item names a person. Older drafts send empty strings for absent ones.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ids<'a> {
    pub(crate) phone: Option<&'a str>,
    pub(crate) scoped: Option<&'a str>,
    pub(crate) parent: Option<&'a str>,
}

impl<'a> Ids<'a> {
    pub(crate) fn new(phone: Option<&'a IdText<'_>>, scoped: Option<&'a IdText<'_>>) -> Self {
        Self { phone: id_of(phone), scoped: id_of(scoped), parent: None }
    }
}

/// The id without an optional plus sign.
pub(crate) fn id_of<'a>(id: Option<&'a IdText<'_>>) -> Option<&'a str> {
    let id = id?.non_empty()?;
    Some(id.strip_prefix('+').unwrap_or(id))
}

/// True for a business-scoped user id: `US.1349…`, `US.ENT.…`.
pub(crate) fn is_scoped(id: &str) -> bool {
    id.split_once('.').is_some_and(|(country, rest)| {
        country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase()) && !rest.is_empty()
    })
}
