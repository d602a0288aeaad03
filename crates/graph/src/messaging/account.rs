//! Events that are no conversation: thread control, opt-ins, policy, comments, referrals, carts.
//!
//! PLATFORMS.md section 9, mistake 7: comments and their like are never live messages; they are of kind `account`.

use super::builder::{Builder, keep};
use super::kept::{kept, personal, plain, short};
use super::wire;
use crate::{IdText, reason_of};
use interline_envelope::{Envelope, Kind, Order, OrderItem, Part, Redacted, Referral, Unknown};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Thread control moved. `extra` has the native field under its own name, app ids as strings.
pub(super) fn handover(builder: &Builder<'_, '_>, key: &str, raw: &RawValue) -> Envelope {
    let mut envelope = builder.envelope(Kind::Handover, None, &[key]);
    keep(&mut envelope, key, Some(raw));
    envelope
}

/// Something about the account, or about a person's relation to it. `extra` has the native field under its name.
pub(super) fn account_event(builder: &Builder<'_, '_>, key: &str, raw: &RawValue) -> Envelope {
    let mut envelope = builder.envelope(Kind::Account, None, &[key]);
    keep(&mut envelope, key, Some(raw));
    envelope
}

/// A change of another field: a comment, a post in the feed.
pub(super) fn change(builder: &Builder<'_, '_>, field: &str, value: Option<&RawValue>) -> Envelope {
    let mut envelope = builder.envelope(Kind::Account, None, &[field]);
    envelope.extra.insert("field".to_owned(), Value::from(short(field)));
    keep(&mut envelope, "value", value);
    envelope
}

/// A link, an ad or a code opened the chat.
pub(super) fn referral_event(
    builder: &Builder<'_, '_>,
    raw: &RawValue,
) -> Result<Envelope, String> {
    let referral = referral_of(raw).ok_or("it is not an object")?;
    let mut envelope = builder.envelope(Kind::Referral, None, &[]);
    envelope.referral = Some(referral);
    Ok(envelope)
}

/// `referral`, wherever it stands; what envelope v1 has no field for stays under its native name.
pub(super) fn referral_of(raw: &RawValue) -> Option<Referral> {
    let Value::Object(mut unknown) = kept(raw) else { return None };
    let headline = unknown
        .get("ads_context_data")
        .and_then(|ad| ad.get("ad_title"))
        .and_then(Value::as_str)
        .map(str::to_owned);
    let source = take(&mut unknown, "source").unwrap_or_else(|| {
        // Shop referrals have a product and nothing else.
        let source = if unknown.contains_key("product") { "product" } else { "unknown" };
        source.to_owned()
    });
    let reference = take(&mut unknown, "ref");
    let url = take(&mut unknown, "referer_uri").or_else(|| take(&mut unknown, "url"));
    for key in ["source", "ref", "url", "headline"] {
        unknown.remove(key);
    }
    Some(Referral { source, reference, url, headline, unknown })
}

fn take(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    match map.remove(key)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `send_cart`: a cart is content, so it is a message.
pub(super) fn order(builder: &Builder<'_, '_>, raw: &RawValue) -> Result<Envelope, String> {
    let cart: wire::Cart<'_> =
        serde_json::from_str(raw.get()).map_err(|error| reason_of(&error))?;
    let products = cart.products.unwrap_or_default();
    let items = products.into_iter().take(ORDER_LINES_MAX).map(line).collect();
    let mut envelope = builder.envelope(Kind::Message, None, &["order"]);
    envelope.parts.push(Part::Order(Order {
        catalog_id: cart.catalog_id.map(IdText::into_owned),
        text: cart.note.filter(|note| note.non_empty().is_some()).map(owned),
        items,
        unknown: Unknown::new(),
    }));
    Ok(envelope)
}

const ORDER_LINES_MAX: usize = 256;

#[derive(Default, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    retailer_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    quantity: Option<&'a RawValue>,
    #[serde(borrow)]
    unit_price: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<&'a RawValue>,
}

fn line(raw: &RawValue) -> OrderItem {
    let line: Line<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let mut unknown = Unknown::new();
    if let Some(id) = plain(line.id) {
        unknown.insert("id".to_owned(), Value::from(id));
    }
    OrderItem {
        product_id: personal(line.retailer_id.or(line.id)).unwrap_or_default(),
        name: personal(line.name),
        quantity: amount(line.quantity),
        price: amount(line.unit_price),
        currency: plain(line.currency),
        unknown,
    }
}

/// A number as the platform wrote it, with or without quotes.
fn amount(raw: Option<&RawValue>) -> Option<String> {
    let json = raw?.get();
    let is_number = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if is_number { Some(json.to_owned()) } else { plain(raw) }
}

fn owned(text: IdText<'_>) -> Redacted<String> {
    Redacted::new(text.into_owned())
}
