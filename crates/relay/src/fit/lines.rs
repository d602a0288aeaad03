//! Words for what has no words of its own: places, cards, shares, carts, forms, kinds that nobody can read.

use super::excerpt::shortened;
use super::split::is_within;
use crate::{Loss, TextLimit};
use interline_envelope::{
    Choice, ChoiceOf, ContactCard, Location, Order, OrderItem, Redacted, Share, ShareOf,
};
use serde_json::Value;

/// How much of a name, title or value stands on a line, in grapheme clusters.
const FIELD_GRAPHEMES: usize = 200;
/// How many fields of a form, or lines of a cart, are written out.
const FIELDS_MAX: usize = 50;

/// `📍 Name, address https://maps.google.com/?q=lat,long`
pub(super) fn location(place: &Location) -> String {
    let names: Vec<String> =
        [&place.name, &place.address].into_iter().flatten().filter_map(field).collect();
    let (latitude, longitude) = (place.latitude, place.longitude);
    let link = format!("https://maps.google.com/?q={latitude},{longitude}");
    if names.is_empty() {
        format!("📍 {link}")
    } else {
        format!("📍 {} {link}", names.join(", "))
    }
}

/// `👤 Name: +number, mail`, one line a card.
pub(super) fn contacts(cards: &[ContactCard]) -> String {
    let line = |card: &ContactCard| {
        let name = field(&card.name).unwrap_or_else(|| "(no name)".to_owned());
        let ways: Vec<String> =
            card.phones.iter().chain(&card.emails).filter_map(field).take(FIELDS_MAX).collect();
        if ways.is_empty() {
            format!("👤 {name}")
        } else {
            format!("👤 {name}: {}", ways.join(", "))
        }
    };
    cards.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What was tapped, or a form's answers, one line a field. Nothing if it has no words.
pub(super) fn choice(choice: &Choice) -> Option<(String, Loss)> {
    let title = field(&choice.title).or_else(|| field(choice.description.as_ref()?));
    match choice.of {
        ChoiceOf::Button | ChoiceOf::List | ChoiceOf::QuickReply | ChoiceOf::Postback => {
            Some((title?, Loss::ChoiceAsText))
        }
        ChoiceOf::Flow => {
            let answers = choice.data.as_ref().map(|data| answers(data.expose()));
            let lines: Vec<String> =
                title.into_iter().chain(answers.into_iter().flatten()).collect();
            (!lines.is_empty()).then(|| (lines.join("\n"), Loss::FlowAsText))
        }
    }
}

/// `name: value` for each answer of a form.
fn answers(data: &Value) -> Vec<String> {
    match data {
        Value::Object(fields) => fields
            .iter()
            // The platform's own bookkeeping, no answer of the person's.
            .filter(|(name, _)| name.as_str() != "flow_token")
            .take(FIELDS_MAX)
            .map(|(name, answer)| format!("{}: {}", name.replace('_', " "), shown(answer)))
            .collect(),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(fields)) => answers(&Value::Object(fields)),
            Ok(_) | Err(_) => vec![shortened(text, FIELD_GRAPHEMES, usize::MAX)],
        },
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => vec![shown(data)],
    }
}

fn shown(answer: &Value) -> String {
    let text = match answer {
        Value::Null => String::new(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().take(FIELDS_MAX).map(shown).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) | Value::Object(_) => answer.to_string(),
    };
    shortened(&text, FIELD_GRAPHEMES, usize::MAX)
}

/// Title and address of what was shared. Nothing if it has neither.
///
/// `limit`: that of a text; an address that would have to be cut leads nowhere.
pub(super) fn share(share: &Share, limit: TextLimit) -> Option<(String, Loss)> {
    let title = share.title.as_ref().and_then(field);
    let text = share.text.as_ref().and_then(field).filter(|text| Some(text) != title.as_ref());
    let url = share.url.as_ref().map(Redacted::as_exposed_str).filter(|url| !url.is_empty());
    let url = url.filter(|url| is_within(limit, url));
    if share.of == ShareOf::StoryMention {
        let link = url.map_or_else(String::new, |url| format!(" {url}"));
        return Some((format!("mentioned you in a story{link}"), Loss::StoryAsText));
    }
    let lines: Vec<&str> = [title.as_deref(), text.as_deref(), url].into_iter().flatten().collect();
    (!lines.is_empty()).then(|| (lines.join("\n"), Loss::ShareAsText))
}

/// A cart, one line an article.
pub(super) fn order(order: &Order) -> String {
    let mut lines = vec!["🛒 Order".to_owned()];
    lines.extend(order.text.as_ref().and_then(field));
    lines.extend(order.items.iter().take(FIELDS_MAX).map(article));
    if order.items.len() > FIELDS_MAX {
        lines.push(format!("and {} more", order.items.len() - FIELDS_MAX));
    }
    lines.join("\n")
}

fn article(item: &OrderItem) -> String {
    let name = item.name.as_ref().and_then(field).or_else(|| field(&item.product_id));
    let name = name.unwrap_or_else(|| "article".to_owned());
    let quantity = item.quantity.as_deref().unwrap_or("1");
    let price = match (item.price.as_deref(), item.currency.as_deref()) {
        (Some(price), Some(currency)) => format!(", {price} {currency} each"),
        (Some(price), None) => format!(", {price} each"),
        (None, _) => String::new(),
    };
    format!("{quantity} × {name}{price}")
}

/// `a poll`, `an event`: a platform's own word where it reads as one, else `a message`.
pub(super) fn native_noun(native_type: &str) -> String {
    let word = native_type.rsplit(['/', '.', ':']).next().unwrap_or_default();
    let is_word = word.len() <= 30
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-' | ' '));
    let says_nothing = matches!(
        word,
        "unsupported" | "unknown" | "message" | "message_edit" | "error" | "fallback" | "none"
    );
    if !is_word || says_nothing {
        return "a message".to_owned();
    }
    let words = word.replace(['_', '-'], " ");
    let words = match words.as_str() {
        // How it is, rather than what.
        "ephemeral" | "disappearing" | "view once" | "interactive" | "system" => {
            format!("{words} message")
        }
        _ => words,
    };
    // `attachments`, `contacts`
    if words.ends_with('s') && !words.ends_with("ss") {
        return words;
    }
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {words}")
}

/// One line of text, or nothing if it is blank.
pub(super) fn field(text: &Redacted<String>) -> Option<String> {
    let line = shortened(text.as_exposed_str(), FIELD_GRAPHEMES, usize::MAX);
    (!line.is_empty()).then_some(line)
}
