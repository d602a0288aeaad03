//! `[[account]]`: the operator's presence on each platform.

use super::location::is_loopback;
use super::nearest::nearest;
use super::reader::{Found, TableReader};
use super::secret::{Form, SecretRef};
use super::sections::UNCERTAIN;
use super::settings::{
    Account, Egress, OperatorMessages, Order, Pace, Stages, Uncertain, WindowTemplate,
};
use interline_envelope::{AccountRef, Platform};
use std::collections::HashMap;
use std::time::Duration;

/// The accounts with their places. One whose bridge or id cannot be read has no value, but its place still counts.
pub(super) fn read(
    root: &mut TableReader<'_, '_>,
    known_bridges: &[String],
    stages: Stages,
    uncertain: Uncertain,
) -> Vec<Found<Option<Account<SecretRef>>>> {
    let accounts = root.tables("account", |table| {
        let value = account(table, known_bridges, stages, uncertain);
        Found { value, key: table.key.clone(), at: table.at }
    });
    if accounts.is_empty() && !root.has("account") {
        let message = "there is no [[account]], so nothing is bridged; add one for each number, page and profile";
        root.report.warn("account", root.at, message);
    }
    let mut first = HashMap::new();
    for found in &accounts {
        let Some(account) = &found.value else { continue };
        if let Some(other) = first.insert(account.account.clone(), found.key.clone()) {
            let message = format!("{other} has the same bridge and id; remove one of the two");
            root.report.mistake(&found.key, found.at, message);
        }
    }
    accounts
}

fn account(
    table: &mut TableReader<'_, '_>,
    known_bridges: &[String],
    stages: Stages,
    uncertain: Uncertain,
) -> Option<Account<SecretRef>> {
    let bridge = bridge(table, known_bridges);
    let id = account_id(table, "id");
    if !table.has("id") {
        table.absent(
            "id",
            "it is missing; write the account's id as the platform shows it, in quotes",
        );
    }
    let name = table.text("name").map(|found| found.value.to_owned());
    let api_url = api_url(table);
    let access_token = table.secret("access_token", Form::Token);
    let app_secret = table.secret("app_secret", Form::Token);
    let verify_token = table.secret("verify_token", Form::Token);
    let egress =
        table.choice("egress", Egress::Http, &[("http", Egress::Http), ("queue", Egress::Queue)]);
    let send_as = account_id(table, "send_as");
    let uncertain = table.choice("uncertain", uncertain, &UNCERTAIN);
    let orders = [("accepted", Order::Accepted), ("delivered", Order::Delivered)];
    let order = table.choice("order", Order::Accepted, &orders);
    let pace = pace(table);
    let window_template = window_template(table, bridge.as_ref());
    let operators = [("relay", OperatorMessages::Relay), ("ignore", OperatorMessages::Ignore)];
    let operator_messages = table.choice("operator_messages", OperatorMessages::Relay, &operators);
    let needed = [
        (
            "access_token",
            stages.deliver && egress == Egress::Http,
            "requests to the platform bear it",
        ),
        ("app_secret", stages.ingest, "the platform signs webhooks with it"),
        ("verify_token", stages.ingest, "the platform shows it when the webhook is set up"),
    ];
    for (key, is_needed, why) in needed {
        if is_needed && !table.has(key) {
            let message = format!(
                "it is missing, and {why}; write {{ credential = \"NAME\" }}, {{ env = \"NAME\" }} or {{ file = \"PATH\" }}"
            );
            table.absent(key, message);
        }
    }
    let (bridge, id) = (bridge?, id?);
    Some(Account {
        account: AccountRef::new(bridge, &id),
        name,
        api_url,
        access_token,
        app_secret,
        verify_token,
        egress,
        send_as: send_as.unwrap_or(id),
        uncertain,
        order,
        pace,
        window_template,
        operator_messages,
    })
}

/// `window_template = { name, language }`, for a bridge whose platform has templates.
fn window_template(
    table: &mut TableReader<'_, '_>,
    bridge: Option<&Platform>,
) -> Option<WindowTemplate> {
    const SHAPE: &str = "a table such as { name = \"come_back\", language = \"en_US\" }";
    let found = table.find("window_template")?;
    let found = table.typed(found, SHAPE, |value| value.as_table())?;
    let (key, at) = (found.key.clone(), found.at);
    let read = table.inner(Some(found.value), found.key, found.at, |table| {
        let name = template_word(table, "name");
        let language = template_word(table, "language");
        Some(WindowTemplate { name: name?, language: language? })
    })?;
    let bridge = crate::bridges::find(bridge?.as_str())?;
    if bridge.invitation(&read.name, &read.language).is_none() {
        let platform = bridge.manifest().display_name;
        let message = format!("{platform} has no templates that invite a person; remove it");
        table.report.mistake(&key, at, message);
        return None;
    }
    Some(read)
}

/// A template's name or language: letters, digits and `_`, as the platform shows it.
fn template_word(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<String> {
    let Some(found) = table.text(key) else {
        if !table.has(key) {
            table.absent(key, "it is missing; copy it from the platform's list of templates");
        }
        return None;
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if found.value.is_empty() || found.value.len() > 512 || !found.value.bytes().all(allowed) {
        let message = "this is 1 to 512 ASCII letters, digits or `_`; copy it from the platform's list of templates";
        table.report.mistake(&found.key, found.at, message);
        return None;
    }
    Some(found.value.to_owned())
}

/// The keys that stand over the bridge's own budgets.
fn pace(table: &mut TableReader<'_, '_>) -> Pace {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let per_second = table.has("messages_per_second");
    let interval = table.has("pair_interval");
    let burst = table.has("pair_burst");
    let messages_per_second = table.number("messages_per_second", 0, 0..=10_000);
    let pair_interval = table.duration("pair_interval", Duration::ZERO, Duration::ZERO..=HOUR);
    let pair_burst = table.number("pair_burst", 1, 1..=10_000);
    Pace {
        messages_per_second: per_second.then_some(messages_per_second),
        pair_interval: interval.then_some(pair_interval),
        pair_burst: burst.then_some(pair_burst),
    }
}

fn bridge(table: &mut TableReader<'_, '_>, known: &[String]) -> Option<Platform> {
    let Some(found) = table.text("bridge") else {
        if !table.has("bridge") {
            table.absent("bridge", format!("it is missing; write one of {}", known.join(", ")));
        }
        return None;
    };
    if !known.iter().any(|bridge| bridge == found.value) {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let advice = nearest(found.value, &names)
            .map(|near| format!("did you mean \"{near}\"? "))
            .unwrap_or_default();
        let message =
            format!("there is no such bridge; {advice}The bridges are: {}", known.join(", "));
        table.report.mistake(&found.key, found.at, message);
        return None;
    }
    Platform::new(found.value).ok()
}

/// An id that may stand in routing keys and paths.
fn account_id(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<String> {
    let found = table.text(key)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if found.value.is_empty() || found.value.len() > 128 || !found.value.bytes().all(allowed) {
        let message = "an account's id is 1 to 128 ASCII letters, digits, `-` or `_`; copy it from the platform";
        table.report.mistake(&found.key, found.at, message);
        return None;
    }
    Some(found.value.to_owned())
}

fn api_url(table: &mut TableReader<'_, '_>) -> Option<String> {
    const EXAMPLE: &str = "write it as \"https://graph.facebook.com/v24.0\", or leave it out";
    let found = table.text("api_url")?;
    let mistake = match url::Url::parse(found.value) {
        Err(error) => Some(format!("this is no URL ({error}); {EXAMPLE}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Some(format!("the platform's API is reached over https://; {EXAMPLE}"))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Some(format!(
            "it must hold no user or password; they belong into access_token; {EXAMPLE}"
        )),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            Some(format!("routes are put behind it, so it ends before any `?` or `#`; {EXAMPLE}"))
        }
        Ok(url) => {
            if url.scheme() == "http" && !url.host_str().is_some_and(is_loopback) {
                let message = "over http:// the access token and every message go through the network in clear; \
                               use https://";
                table.report.warn(&found.key, found.at, message);
            }
            None
        }
    };
    if let Some(message) = mistake {
        table.report.mistake(&found.key, found.at, message);
        return None;
    }
    Some(found.value.trim_end_matches('/').to_owned())
}
