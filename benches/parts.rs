//! How long the parts take by themselves: each codec's `normalize`, `fit` and `render` of a plain text, and the envelope
//! and its dispatch to JSON, sealed, and back.
//!
//! `cargo xtask bench parts`

#![expect(clippy::expect_used, reason = "a bench without its input is to stop")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use interline_bridge_api::{Bridge, ChatKind, RenderContext};
use interline_envelope::{
    Address, Author, Dispatch, Envelope, IdInput, IdKey, Kind, NativeKey, Origin, Part, Person,
    Platform, Redacted, RootKey, Seal, Subkey, Unknown,
};
use interline_instagram::Instagram;
use interline_messenger::Messenger;
use interline_relay::{FitInput, Means, OriginTraits, Recipient, Reference, fit};
use interline_whatsapp::WhatsApp;

/// A text as WhatsApp sends it.
const WHATSAPP: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"Sheena Nelson"},"wa_id":"15550001111"}],"messages":[{"from":"15550001111","id":"wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=","timestamp":"1749416383","type":"text","text":{"body":"Does it come in another colour? I would rather have the blue one, or a green one if there is no blue one left in the shop."}}]},"field":"messages"}]}]}"#;
/// The same as Instagram sends it.
const INSTAGRAM: &str = r#"{"object":"instagram","entry":[{"id":"17841400000000001","time":1749416383123,"messaging":[{"sender":{"id":"8000000000000001"},"recipient":{"id":"17841400000000001"},"timestamp":1749416383000,"message":{"mid":"aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMDk0OTEyODE3","text":"Does it come in another colour? I would rather have the blue one, or a green one if there is no blue one left in the shop."}}]}]}"#;
/// The same as Messenger sends it.
const MESSENGER: &str = r#"{"object":"page","entry":[{"id":"104500000000001","time":1749416383123,"messaging":[{"sender":{"id":"7000000000000001"},"recipient":{"id":"104500000000001"},"timestamp":1749416383000,"message":{"mid":"m_AG5Hz2Uq7tuwNEhXfYYKj8mJEM_QPpz5jdCK48PnKAjSdjfipqxqMvK8ma6AC8fplwlqLP_5cgXIbu7I3rBN0P","text":"Does it come in another colour? I would rather have the blue one, or a green one if there is no blue one left in the shop."}}]}]}"#;

fn codecs(criterion: &mut Criterion) {
    codec(criterion, &WhatsApp::new(), "106540352242922", WHATSAPP);
    codec(criterion, &Instagram::new(), "17841400000000001", INSTAGRAM);
    codec(criterion, &Messenger::new(), "104500000000001", MESSENGER);
}

fn codec(criterion: &mut Criterion, bridge: &dyn Bridge, account: &str, body: &str) {
    let ids = IdKey::published_test_key();
    let mut group = criterion.benchmark_group(bridge.manifest().id.as_str());
    group.bench_function("normalize a text", |bencher| {
        bencher.iter(|| bridge.normalize(&ids, black_box(body.as_bytes())));
    });
    let normalized = bridge.normalize(&ids, body.as_bytes()).expect("the body is a webhook");
    let author = Author { alias: "Sheena".into(), named: true, unknown: Unknown::new() };
    let capabilities = bridge.capabilities(ChatKind::Direct);
    let input = FitInput {
        envelope: normalized.envelopes.first().expect("the body has one text"),
        author: &author,
        to: &Recipient::User("15550001111".into()),
        capabilities,
        origin: OriginTraits::from(capabilities),
        reply: &Reference::None,
        target: &Reference::None,
        earlier_reaction: None,
        mark_forwarded: false,
        means: Means::default(),
    };
    group.bench_function("fit a text", |bencher| {
        bencher.iter(|| fit(black_box(&input)));
    });
    let plan = fit(&input);
    let outgoing = plan.outgoings.first().expect("a text is one message");
    let context = RenderContext { account, send_as: account };
    group.bench_function("render a text", |bencher| {
        bencher.iter(|| bridge.render(&context, black_box(outgoing)));
    });
    group.finish();
}

const TEXT: &str = "Does it come in another colour? I would rather have the blue one, or a green one if there is no blue one left in the shop.";
const MESSAGE: &str = "wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=";

fn envelope(ids: &IdKey) -> Envelope {
    let platform = Platform::new("whatsapp").expect("it is one");
    let id = ids.envelope_id(&id_input());
    let mut envelope =
        Envelope::new(id, Kind::Message, platform, "106540352242922", "15550001111", 1_749_416_383);
    let name = Some(Redacted::from("Sheena Nelson"));
    envelope.from = Some(Person { name, ..Person::new("15550001111") });
    envelope.native_id = Some(MESSAGE.into());
    envelope.parts = vec![Part::text(TEXT)];
    envelope
}

const fn id_input() -> IdInput<'static> {
    IdInput {
        kind: Kind::Message,
        platform: "whatsapp",
        account: "106540352242922",
        chat: "15550001111",
        actor: "15550001111",
        native: NativeKey::Id(MESSAGE),
        time_ms: 1_749_416_383_000,
        discriminator: &[],
    }
}

fn dispatch(ids: &IdKey) -> Dispatch {
    let envelope = envelope(ids);
    let to = Address::parse("messenger/104500000000001/7000000000000001").expect("it is one");
    Dispatch {
        v: 1,
        id: ids.dispatch_id(envelope.id, &to),
        lane: ids.lane_id("alice-and-bob", &to),
        prev: None,
        conversation: "alice-and-bob".to_owned(),
        to,
        author: Author { alias: "Sheena".into(), named: false, unknown: Unknown::new() },
        origin: Origin {
            account: Address::parse("whatsapp/106540352242922/15550001111").expect("it is one"),
            chat: envelope.chat.clone(),
            native_id: envelope.native_id.clone(),
            unknown: Unknown::new(),
        },
        hop: 1,
        expires: None,
        envelope,
        unknown: Unknown::new(),
    }
}

fn envelopes(criterion: &mut Criterion) {
    let ids = IdKey::published_test_key();
    criterion.bench_function("envelope: id", |bencher| {
        bencher.iter(|| ids.envelope_id(black_box(&id_input())));
    });
    let envelope = envelope(&ids);
    criterion.bench_function("envelope: encode a text", |bencher| {
        bencher.iter(|| black_box(&envelope).to_json());
    });
    let json = envelope.to_json().expect("it is small");
    criterion.bench_function("envelope: decode a text", |bencher| {
        bencher.iter(|| Envelope::from_json(black_box(&json)));
    });
    let dispatch = dispatch(&ids);
    criterion.bench_function("dispatch: encode a text", |bencher| {
        bencher.iter(|| black_box(&dispatch).to_json());
    });
    let json = dispatch.to_json().expect("it is small");
    criterion.bench_function("dispatch: decode a text", |bencher| {
        bencher.iter(|| Dispatch::from_json(black_box(&json)));
    });
    let seal = Seal::new(&RootKey::published_test_key(), Subkey::Queue);
    criterion.bench_function("dispatch: seal", |bencher| {
        bencher.iter(|| seal.seal(black_box(&json), b"dispatch/1/0123456789abcdef"));
    });
    let sealed = seal.seal(&json, b"aad").expect("there is randomness");
    criterion.bench_function("dispatch: open", |bencher| {
        bencher.iter(|| seal.open(black_box(&sealed), b"aad"));
    });
}

criterion_group!(parts, codecs, envelopes);
criterion_main!(parts);
