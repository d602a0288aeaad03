//! Makes bare envelopes of one event: id, chat, speaker, clock.

use super::Dialect;
use super::event::Opened;
use super::kept::{kept, short};
use crate::canonical_or_raw;
use interline_envelope::{
    Envelope, IdInput, IdKey, Kind, NativeKey, Part, Person, Redacted, bounded_extra,
};
use serde_json::Value;
use serde_json::value::RawValue;

/// One event on its way to become envelopes.
pub(super) struct Builder<'e, 'a> {
    pub(super) dialect: &'e Dialect,
    pub(super) ids: &'e IdKey,
    pub(super) opened: &'e Opened<'a>,
}

impl Builder<'_, '_> {
    /// The chat: the person; the account where no person is concerned.
    pub(super) fn chat(&self) -> &str {
        let parties = &self.opened.parties;
        parties.person.as_ref().unwrap_or(&parties.account).as_str()
    }

    /// Who did it, as the id has it; empty where no person is concerned.
    fn actor(&self) -> &str {
        let parties = &self.opened.parties;
        match &parties.person {
            _ if parties.by_account => parties.account.as_str(),
            Some(person) => person.as_str(),
            None => "",
        }
    }

    /// An envelope of `kind` without content. Without a `native` id the event's own JSON names it.
    pub(super) fn envelope(
        &self,
        kind: Kind,
        native: Option<&str>,
        discriminator: &[&str],
    ) -> Envelope {
        let canonical;
        let native = match native {
            Some(id) => NativeKey::Id(id),
            None => {
                canonical = canonical_or_raw(self.opened.json);
                NativeKey::CanonicalItem(&canonical)
            }
        };
        let Opened { parties, time_ms, entry_time_ms, standby, .. } = self.opened;
        let id = self.ids.envelope_id(&IdInput {
            kind,
            platform: self.dialect.platform.as_str(),
            account: parties.account.as_str(),
            chat: self.chat(),
            actor: self.actor(),
            native,
            // Only the event's own clock: the entry's changes when the event comes in another batch (G2).
            time_ms: time_ms.unwrap_or_default(),
            discriminator,
        });
        let time = time_ms.or(*entry_time_ms).unwrap_or_default();
        let account = parties.account.as_str();
        let platform = self.dialect.platform.clone();
        let mut envelope = Envelope::new(id, kind, platform, account, self.chat(), time);
        envelope.standby = *standby;
        if let Some(person) = &parties.person {
            let person = Person::new(person.as_str());
            if parties.by_account {
                envelope.echo = true;
                envelope.from = Some(Person::new(account));
                envelope.to = Some(person);
            } else {
                envelope.from = Some(person);
            }
        }
        if parties.by_user_ref {
            envelope.extra.insert("user_ref".to_owned(), Value::from(self.chat()));
        }
        envelope
    }

    /// An envelope for what cannot be read, with what is known of it.
    pub(super) fn unsupported(&self, native_type: &str, reason: &str) -> Envelope {
        let mut envelope = self.envelope(Kind::Unsupported, None, &[native_type]);
        envelope.parts.push(Part::unsupported(short(native_type), reason));
        envelope
    }
}

/// A native message id as envelopes carry it.
pub(super) fn native_id(id: &str) -> Option<Redacted<String>> {
    (!id.is_empty()).then(|| Redacted::from(id))
}

/// Keeps a native field under its own name.
pub(super) fn keep(envelope: &mut Envelope, key: &str, raw: Option<&RawValue>) {
    if let Some(raw) = raw {
        envelope.extra.insert(short(key), kept(raw));
    }
}

/// The last step of every envelope: `extra` within its bound.
pub(super) fn bound_extra(envelope: &mut Envelope) {
    if !envelope.extra.is_empty() {
        envelope.extra = bounded_extra(std::mem::take(&mut envelope.extra));
    }
}
