//! The commonest body, read in one pass: one entry, one change, one contact, and the one text that this person wrote.
//! Meta sends most texts so, and `split` hands all on so.
//!
//! A shortcut, not a second reading: whatever has one key more, or differs in the least (a number for an id, an escaped
//! id, a plus sign), is left to [`crate::walk`], which reads all and means the same.

use crate::walk::{OBJECT, PLATFORM};
use interline_envelope::{
    Envelope, IdInput, IdKey, Kind, NativeKey, Part, Person, Platform, Redacted,
};
use interline_graph::{Text, check_body, millis_of_text};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    object: &'a str,
    #[serde(borrow)]
    entry: [Entry<'a>; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    #[serde(rename = "id")]
    _id: IgnoredAny,
    // The message has a clock of its own.
    #[serde(rename = "time")]
    _time: Option<IgnoredAny>,
    #[serde(borrow)]
    changes: [Change<'a>; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change<'a> {
    field: &'a str,
    #[serde(borrow)]
    value: Value<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Value<'a> {
    #[serde(rename = "messaging_product")]
    _product: Option<IgnoredAny>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    contacts: [Contact<'a>; 1],
    #[serde(borrow)]
    messages: [Message<'a>; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata<'a> {
    #[serde(rename = "display_phone_number")]
    _number: Option<IgnoredAny>,
    phone_number_id: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact<'a> {
    wa_id: &'a str,
    user_id: Option<&'a str>,
    #[serde(borrow)]
    profile: Profile<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    from: &'a str,
    from_user_id: Option<&'a str>,
    id: &'a str,
    timestamp: &'a str,
    r#type: &'a str,
    #[serde(borrow)]
    text: Words<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words<'a> {
    #[serde(borrow)]
    body: Text<'a>,
}

/// The envelope of the one text of `body`, or nothing if it is not exactly that.
pub(crate) fn single(ids: &IdKey, platform: &Platform, body: &[u8]) -> Option<Envelope> {
    check_body(body).ok()?;
    // Checked as a whole, so that its texts need no check each.
    let body: Body<'_> = serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
    let [Entry { changes: [Change { field, value }], .. }] = body.entry;
    let Value { metadata, contacts: [contact], messages: [message], .. } = value;
    let is_text = body.object == OBJECT && field == "messages" && message.r#type == "text";
    let digits = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let named = !metadata.phone_number_id.is_empty() && !message.id.is_empty();
    let scoped = |id: &str| !id.is_empty() && !id.starts_with('+');
    let scoped_ids = [message.from_user_id, contact.user_id];
    if !is_text
        || !named
        || !digits(message.from)
        || contact.wa_id != message.from
        || !scoped_ids.into_iter().flatten().all(scoped)
    {
        return None;
    }
    let time = millis_of_text(message.timestamp)?;
    let id = ids.envelope_id(&IdInput {
        kind: Kind::Message,
        platform: PLATFORM,
        account: metadata.phone_number_id,
        chat: message.from,
        actor: message.from,
        native: NativeKey::Id(message.id),
        time_ms: time,
        discriminator: &[],
    });
    let (account, chat) = (metadata.phone_number_id, message.from);
    let mut envelope = Envelope::new(id, Kind::Message, platform.clone(), account, chat, time);
    let named =
        |text: Option<Text<'_>>| text.as_ref().and_then(Text::non_empty).map(Redacted::from);
    let mut person = Person::new(message.from);
    person.scoped_id = message.from_user_id.or(contact.user_id).map(Redacted::from);
    person.name = named(contact.profile.name);
    person.username = named(contact.profile.username);
    envelope.from = Some(person);
    envelope.native_id = Some(message.id.into());
    envelope.parts = vec![Part::text(message.text.body.into_owned())];
    Some(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{
        "messaging_product":"whatsapp","metadata":{"display_phone_number":"1","phone_number_id":"2"},
        "contacts":[{"profile":{"name":"Ann"},"wa_id":"15550001111"}],
        "messages":[{"from":"15550001111","id":"wamid.1","timestamp":"1749416383","type":"text",
        "text":{"body":"h\u00e9"}}]},"field":"messages"}]}]}"#;

    fn is_single(body: &str) -> bool {
        let platform = Platform::new(PLATFORM).unwrap();
        single(&IdKey::published_test_key(), &platform, body.as_bytes()).is_some()
    }

    #[test]
    fn a_plain_text_is_read_in_one_pass_and_what_differs_is_left_to_the_walk() {
        assert!(is_single(TEXT));
        for (from, to) in [
            ("\"id\":\"wamid.1\"", "\"id\":\"wamid.1\",\"context\":{}"),
            ("\"id\":\"wamid.1\"", "\"id\":\"\""),
            ("\"id\":\"wamid.1\"", "\"id\":7"),
            ("\"type\":\"text\"", "\"type\":\"image\""),
            ("\"from\":\"1555", "\"from\":\"+1555"),
            ("\"wa_id\":\"1555", "\"wa_id\":\"1556"),
            ("\"1749416383\"", "\"soon\""),
            ("\"wa_id\"", "\"user_id\":\"\",\"wa_id\""),
            ("\"field\":\"messages\"", "\"field\":\"history\""),
            ("whatsapp_business_account", "page"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            assert!(!is_single(&TEXT.replace(from, to)), "{to}");
        }
    }
}
