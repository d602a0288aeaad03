//! What an account tells of itself and of its business: `GET /me`, `GET /{id}`, phone numbers, profiles.
//!
//! The parts that client libraries ask for when they start; enough of each to go on. `fields` chooses.

use serde_json::{Map, Value, json};

use crate::config::Kind;
use crate::graph_error::GraphError;
use crate::request::{Call, Method};
use crate::state::{AccountState, Hub};

/// The account, its business or its app, by the id that the path names.
pub(crate) fn own(hub: &Hub, account: &str, id: &str) -> Option<Value> {
    let state = hub.lock();
    let is_account = state.account(id).is_some_and(|named| named.config.id == account);
    let account = state.accounts.get(account)?;
    let config = &account.config;
    match hub.kind {
        Kind::WhatsApp if id == "me" => Some(json!({"name": "Sandbox", "id": config.id})),
        Kind::WhatsApp if is_account => Some(number(account)),
        Kind::WhatsApp if id == config.waba_id => Some(json!({
            "id": config.waba_id,
            "name": "Sandbox",
            "currency": "EUR",
            "timezone_id": "1",
            "message_template_namespace": "sandbox",
        })),
        Kind::Messenger if is_account || id == "me" => Some(json!({
            "name": "Sandbox",
            "id": config.id,
            "category": "Software",
            "username": "sandbox",
            "link": format!("https://www.facebook.com/{}", config.id),
        })),
        Kind::Instagram if is_account || id == "me" => Some(json!({
            "id": config.id,
            "user_id": config.id,
            "username": "sandbox",
            "name": "Sandbox",
            "account_type": "BUSINESS",
            "followers_count": 12,
            "follows_count": 0,
            "media_count": 0,
        })),
        Kind::WhatsApp | Kind::Messenger | Kind::Instagram => (config.app_id.to_string() == id)
            .then(
                || json!({"id": id, "name": "Sandbox", "link": "https://www.facebook.com/games/"}),
            ),
    }
}

fn number(account: &AccountState) -> Value {
    let config = &account.config;
    json!({
        "verified_name": "Sandbox",
        "code_verification_status": "VERIFIED",
        "display_phone_number": config.display_phone_number,
        "quality_rating": "GREEN",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "id": config.id,
    })
}

/// What `fields` asks for, and the id; everything if it is absent.
pub(crate) fn chosen(mut object: Value, call: &Call) -> Value {
    if let (Some(fields), Some(wanted)) = (object.as_object_mut(), call.text("fields")) {
        let wanted = names(&wanted);
        fields.retain(|key, _| key == "id" || wanted.contains(key));
    }
    object
}

/// The names in `a,b{c,d},e`, without what stands in braces.
fn names(fields: &str) -> Vec<String> {
    let (mut depth, mut names) = (0_u32, vec![String::new()]);
    for character in fields.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => names.push(String::new()),
            _ if depth > 0 || character.is_whitespace() => {}
            _ => {
                if let Some(name) = names.last_mut() {
                    name.push(character);
                }
            }
        }
    }
    names
}

/// `GET /{business}/phone_numbers`.
pub(crate) fn numbers(
    hub: &Hub,
    account: &str,
    business: &str,
    call: &Call,
) -> Result<Value, GraphError> {
    let state = hub.lock();
    let own = state.accounts.get(account);
    let is_own =
        own.is_some_and(|own| hub.kind == Kind::WhatsApp && own.config.waba_id == business);
    if !is_own {
        return Err(GraphError::no_object("GET", business));
    }
    let of_business = |account: &&AccountState| account.config.waba_id == business;
    let accounts = state.accounts.values().filter(of_business);
    let data: Vec<Value> = accounts.map(|account| chosen(number(account), call)).collect();
    Ok(json!({"data": data, "paging": {"cursors": {"before": "QVFI", "after": "QVFI"}}}))
}

/// `/{id}/messenger_profile`, `/{id}/whatsapp_business_profile`: what is put there is given back.
pub(crate) fn of_account(
    hub: &Hub,
    method: Method,
    account: &str,
    edge: &str,
    call: &Call,
) -> Result<Value, GraphError> {
    let is_whatsapp = hub.kind == Kind::WhatsApp;
    if is_whatsapp != (edge == "whatsapp_business_profile") {
        return Err(GraphError::no_object(method.word(), account));
    }
    let mut state = hub.lock();
    let known = state.accounts.get_mut(account);
    let profile = &mut known.ok_or_else(|| GraphError::no_object(method.word(), account))?.profile;
    let done = if is_whatsapp { json!({"success": true}) } else { json!({"result": "success"}) };
    match method {
        Method::Get => {
            let mut shown: Map<String, Value> = profile.clone();
            if is_whatsapp {
                // A business that chose no industry has this one.
                shown.entry("vertical").or_insert_with(|| json!("UNDEFINED"));
            }
            if let Some(wanted) = call.text("fields") {
                let wanted = names(&wanted);
                shown.retain(|key, _| wanted.contains(key));
            }
            if is_whatsapp {
                shown.insert("messaging_product".into(), json!("whatsapp"));
            }
            let data = if shown.is_empty() { json!([]) } else { json!([shown]) };
            Ok(json!({ "data": data }))
        }
        Method::Post => {
            profile.extend(call.params.clone());
            Ok(done)
        }
        Method::Delete => {
            let wanted = call.params.get("fields").and_then(Value::as_array);
            let wanted = wanted.ok_or_else(|| {
                GraphError::parameter("The parameter fields is required, and is an array.")
            })?;
            profile.retain(|key, _| !wanted.contains(&json!(key)));
            Ok(done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_read_without_their_subfields() {
        assert_eq!(names("id, name,picture{url,size{x}},link"), ["id", "name", "picture", "link"]);
    }
}
