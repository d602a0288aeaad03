//! What client libraries ask of the Graph API besides sending: subscriptions, accounts, profiles, batches, errors.

use std::time::Duration;

use interline_sandbox::{Fault, InstagramForm, Kind, Order, Platform, known_errors};
use serde_json::{Value, json};

use crate::hook::{Hook, IG, NUMBER, PAGE, PSID, SAM, code, phone, send, start, text, try_send};
use crate::webhooks::updates;

/// A request with the account's token in the query, as many libraries send it.
async fn ask(
    platform: &Platform,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let token = platform.accounts().remove(0).config().unwrap().access_token;
    let url = format!("{}/{path}", platform.api_url());
    let mut request = reqwest::Client::new().request(method, url);
    request = request.query(&[("access_token", token)]);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A request with a URL-encoded body.
fn with_form(request: reqwest::RequestBuilder, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

async fn get(platform: &Platform, path: &str) -> (u16, Value) {
    ask(platform, reqwest::Method::GET, path, None).await
}

async fn post(platform: &Platform, path: &str, body: Value) -> (u16, Value) {
    ask(platform, reqwest::Method::POST, path, Some(body)).await
}

#[tokio::test]
async fn an_app_is_subscribed_and_unsubscribed_over_the_api() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for (platform, object) in [
        (platforms.whatsapp(), "102290129340398"),
        (platforms.messenger(), PAGE),
        (platforms.instagram(), "me"),
    ] {
        let path = format!("{object}/subscribed_apps");
        let account = platform.accounts().remove(0);
        assert_eq!(get(platform, &path).await.1["data"].as_array().unwrap().len(), 1, "{object}");
        let (status, _) = ask(platform, reqwest::Method::DELETE, &path, None).await;
        assert_eq!((status, account.is_subscribed()), (200, false));
        assert_eq!(get(platform, &path).await.1, json!({"data": []}));
        phone(platform).say("nobody hears this").unwrap();
        let fields = json!({"subscribed_fields": ["messages", "messaging_postbacks"]});
        let (status, answer) = post(platform, &path, fields).await;
        assert_eq!((status, answer), (200, json!({"success": true})));
        assert!(account.is_subscribed());
        phone(platform).say("this is heard").unwrap();
    }
    assert_eq!(updates(&hook.wait_for_taken(3).await).len(), 3);
    let bare = post(platforms.messenger(), &format!("{PAGE}/subscribed_apps"), json!({})).await;
    assert_eq!(code(&bare.1), (100, None), "a page names its fields");
}

#[tokio::test]
async fn a_callback_url_is_taken_only_after_it_answered_the_challenge() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let account = whatsapp.account(NUMBER).unwrap();
    account.set_webhook_url(None);
    let config = account.config().unwrap();
    let app = config.app_id;
    let client = reqwest::Client::new();
    let token: Value = client
        .get(format!("{}/oauth/access_token", whatsapp.api_url()))
        .query(&[("grant_type", "client_credentials"), ("client_secret", &config.app_secret)])
        .query(&[("client_id", app)])
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let token = token["access_token"].as_str().unwrap();
    let subscribe = |url: String, verify_token: &'static str| {
        let form = [
            ("object", "whatsapp_business_account"),
            ("callback_url", url.as_str()),
            ("verify_token", verify_token),
            ("fields", "messages"),
            ("access_token", token),
        ];
        let url = format!("{}/{app}/subscriptions", whatsapp.api_url());
        with_form(client.post(url), &form).send()
    };
    let refused = subscribe(hook.url.clone(), "not the hook's").await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(code(&refused.json().await.unwrap()), (2_200, None));
    assert_eq!(account.config().unwrap().webhook_url, None);
    let taken = subscribe(hook.url.clone(), "sandbox-verify-mine").await.unwrap();
    assert_eq!(taken.json::<Value>().await.unwrap(), json!({"success": true}));
    phone(whatsapp).say("heard").unwrap();
    hook.wait_for_taken(1).await;
    let other = json!({"webhook_configuration": {
        "override_callback_uri": hook.url, "verify_token": "sandbox-verify-number",
    }});
    assert_eq!(post(whatsapp, NUMBER, other).await.1, json!({"success": true}));
    assert_eq!(account.config().unwrap().verify_token, "sandbox-verify-number");
}

#[tokio::test]
async fn accounts_tell_of_themselves_what_fields_ask_for() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let (whatsapp, messenger, instagram) =
        (platforms.whatsapp(), platforms.messenger(), platforms.instagram());
    let number = get(whatsapp, NUMBER).await.1;
    assert_eq!((&number["id"], &number["quality_rating"]), (&json!(NUMBER), &json!("GREEN")));
    let few =
        get(whatsapp, &format!("{NUMBER}?fields=display_phone_number,throughput{{level}}")).await;
    let keys: Vec<&String> = few.1.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["display_phone_number", "id", "throughput"]);
    let numbers = get(whatsapp, "102290129340398/phone_numbers").await.1;
    assert_eq!(numbers["data"][0]["id"], NUMBER);
    assert_eq!(get(whatsapp, "102290129340398").await.1["name"], "Sandbox");
    let me = get(messenger, "me?fields=id,name").await.1;
    assert_eq!(me, json!({"id": PAGE, "name": "Sandbox"}));
    let me = get(instagram, "me?fields=user_id,username").await.1;
    assert_eq!(me, json!({"id": IG, "user_id": IG, "username": "sandbox"}));
    let profile = get(messenger, &format!("{PSID}?fields=first_name,profile_pic")).await.1;
    let picture = reqwest::get(profile["profile_pic"].as_str().unwrap()).await.unwrap();
    assert_eq!((picture.status().as_u16(), &profile["first_name"]), (200, &json!("Mia")));
    let forged = profile["profile_pic"].as_str().unwrap().replace("oh=", "oh=0");
    assert_eq!(reqwest::get(forged).await.unwrap().status(), 403);
}

#[tokio::test]
async fn what_an_account_puts_into_its_profile_it_gets_back() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    let started = json!({"get_started": {"payload": "START"}, "greeting": [{"locale": "default"}]});
    let done = post(messenger, "me/messenger_profile", started).await.1;
    assert_eq!(done, json!({"result": "success"}));
    let got = get(messenger, "me/messenger_profile?fields=get_started").await.1;
    assert_eq!(got, json!({"data": [{"get_started": {"payload": "START"}}]}));
    let fields = Some(json!({"fields": ["get_started"]}));
    ask(messenger, reqwest::Method::DELETE, "me/messenger_profile", fields).await;
    let got = get(messenger, "me/messenger_profile?fields=get_started").await.1;
    assert_eq!(got, json!({"data": []}));
    let whatsapp = platforms.whatsapp();
    let path = format!("{NUMBER}/whatsapp_business_profile");
    let about = json!({"messaging_product": "whatsapp", "about": "A bridge"});
    assert_eq!(post(whatsapp, &path, about).await.1, json!({"success": true}));
    assert_eq!(
        get(whatsapp, &format!("{path}?fields=about")).await.1["data"][0]["about"],
        "A bridge"
    );
    let chosen = get(whatsapp, &format!("{path}?fields=vertical")).await.1;
    assert_eq!(
        chosen["data"][0]["vertical"], "UNDEFINED",
        "clients want an industry in each profile"
    );
    let registered = json!({"messaging_product": "whatsapp", "pin": "123456"});
    assert_eq!(post(whatsapp, &format!("{NUMBER}/register"), registered).await.0, 200);
}

#[tokio::test]
async fn several_requests_in_one_are_answered_one_by_one() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    let hello =
        |text: &str| format!("recipient={{\"id\":\"{PSID}\"}}&message={{\"text\":\"{text}\"}}");
    let batch = json!({"batch": [
        {"method": "POST", "relative_url": "me/messages", "body": hello("one")},
        {"method": "GET", "relative_url": "1234567"},
        {"method": "POST", "relative_url": "v24.0/me/messages", "body": hello("two")},
    ]});
    let (status, answer) = post(messenger, "", batch).await;
    let codes: Vec<u64> =
        answer.as_array().unwrap().iter().map(|one| one["code"].as_u64().unwrap()).collect();
    assert_eq!((status, codes), (200, vec![200, 400, 200]));
    let first: Value = serde_json::from_str(answer[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(phone(messenger).received()[0].native_id, first["message_id"]);
    assert_eq!(phone(messenger).received_texts(), ["one", "two"]);
    let echoes = hook.wait_for(|posts| posts.len() >= 4).await;
    assert!(echoes.iter().any(|post| post.json().to_string().contains("is_echo")));
}

#[tokio::test]
async fn forms_and_tokens_come_in_every_way_that_the_api_takes() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    let token = messenger.accounts()[0].config().unwrap().access_token;
    let form = [
        ("recipient", &*format!("{{\"id\":\"{PSID}\"}}")),
        ("message", "{\"text\":\"a form\"}"),
        ("access_token", &*token),
    ];
    let client = reqwest::Client::new();
    let url = format!("{}/me/messages", messenger.base_url());
    assert_eq!(with_form(client.post(&url), &form).send().await.unwrap().status(), 200);
    let mut body = text(messenger, "a body with the token");
    body["access_token"] = json!(token);
    assert_eq!(client.post(&url).json(&body).send().await.unwrap().status(), 200);
    let whatsapp = platforms.whatsapp();
    let token = whatsapp.accounts()[0].config().unwrap().access_token;
    let form = [
        ("messaging_product", "whatsapp"),
        ("to", SAM),
        ("type", "text"),
        ("text", "{\"body\":\"a form\"}"),
    ];
    let url = format!("{}/{NUMBER}/messages?access_token={token}", whatsapp.base_url());
    assert_eq!(with_form(client.post(&url), &form).send().await.unwrap().status(), 200);
    assert_eq!(phone(messenger).received_texts(), ["a form", "a body with the token"]);
    assert_eq!(phone(whatsapp).received_texts(), ["a form"]);
}

#[tokio::test]
async fn paths_that_are_not_there_get_errors_of_the_api() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in platforms.all() {
        let account = platform.accounts().remove(0);
        for (path, wanted) in [
            ("1234567".to_owned(), (100, Some(33))),
            ("1234567/whatever".to_owned(), (100, Some(33))),
            (format!("{}/whatever", account.id()), (100, None)),
            ("a/b/c".to_owned(), (2_500, None)),
        ] {
            let (status, answer) = get(platform, &path).await;
            assert_eq!((status, code(&answer)), (400, wanted), "{path}");
        }
        let (status, answer) =
            post(platform, &format!("{}/whatever", account.id()), json!({})).await;
        assert_eq!((status, code(&answer)), (400, (100, Some(33))));
    }
}

#[tokio::test]
async fn every_documented_error_can_be_ordered_with_its_code_subcode_and_status() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let mut count = 0;
    for platform in platforms.all() {
        for error in known_errors(platform.kind()) {
            let fault = Fault::known(platform.kind(), error.code, error.subcode).unwrap();
            platform.order(Order::next(fault));
            let (status, answer) = send(platform, &text(platform, "x")).await;
            assert_eq!((status, code(&answer)), (error.status, (error.code, error.subcode)));
            assert_eq!(answer["error"]["message"], error.message);
            count += 1;
        }
        assert!(phone(platform).received().is_empty());
    }
    assert!(count > 100, "{count}");
    assert_eq!(Fault::known(Kind::Messenger, 131_047, None), None);
}

#[tokio::test]
async fn whatsapp_can_take_a_send_and_report_any_error_later() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let Some(Fault::Graph(error)) = Fault::known(Kind::WhatsApp, 131_049, None) else { panic!() };
    whatsapp.order(Order::next(Fault::FailLater(error)));
    assert_eq!(send(whatsapp, &text(whatsapp, "x")).await.0, 200);
    let status = updates(&hook.wait_for_taken(1).await).remove(0);
    let error = &status["errors"][0];
    assert_eq!((&status["status"], &error["code"]), (&json!("failed"), &json!(131_049)));
    assert_eq!(error["title"], "Meta chose not to deliver.");
    assert_eq!(status["biz_opaque_callback_data"], "marker-1");
    assert!(phone(whatsapp).received().is_empty());
    let messenger = platforms.messenger();
    let Some(Fault::Graph(error)) = Fault::known(Kind::Messenger, 551, None) else { panic!() };
    messenger.order(Order::next(Fault::FailLater(error)));
    let answer = try_send(messenger, &text(messenger, "x")).await.unwrap();
    assert_eq!(answer.status(), 400, "Messenger says it at once");
}

#[tokio::test]
async fn posts_go_out_in_the_opposite_order_if_that_is_wanted_and_instagram_in_an_array() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let instagram = platforms.instagram();
    instagram.change_settings(|settings| {
        settings.instagram_form = InstagramForm::RootArray;
        settings.delivery.reversed = 3;
        settings.delivery.batch_linger = Duration::from_secs(3_600);
    });
    for number in 1..=3 {
        phone(instagram).say(number.to_string()).unwrap();
    }
    let bodies = hook.wait_for_taken(3).await;
    assert!(bodies.iter().all(Value::is_array));
    let texts: Vec<&Value> =
        bodies.iter().map(|body| &body[0]["entry"][0]["messaging"][0]["message"]["text"]).collect();
    assert_eq!(texts, ["3", "2", "1"]);
}
