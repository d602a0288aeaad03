//! What every webhook fixture of the platform means, one line an envelope, each checked by eye against the place in
//! PLATFORMS.md that stands beside its name and the case column of the fixtures' index.

use crate::support;
use expect_test::expect_file;
use interline_messenger::Messenger;

/// Where in PLATFORMS.md the meaning of a file stands; the first name that fits counts.
const SOURCES: &[(&str, &str)] = &[
    ("raw_compact_escaped", "2 Signature"),
    ("batch_", "2 Batching"),
    ("duplicate_", "2 Dedup keys"),
    ("entry_", "2 Envelope"),
    ("page_feed", "2 Envelope, 9.7"),
    ("postback_field_value", "2 Envelope, Timestamps"),
    ("referral_timestamp", "2 Timestamps"),
    ("referral_lead", "2 Timestamps"),
    ("text_hop_context", "2 Timestamps"),
    ("standby_", "6 thread ownership, 9.7"),
    ("echo_", "2 Echo, 9.7, 9.8"),
    ("delivery_", "6 delivered"),
    ("watermarks_", "6 delivered, read; 9.4"),
    ("read_", "6 read"),
    ("reaction_", "6 reaction"),
    ("message_edit", "6 edit"),
    ("handover_", "6 thread ownership"),
    ("reply_to", "6 reply"),
    ("sticker_", "6 Messenger stickers"),
    ("quick_reply", "8 quick replies / buttons"),
    ("postback", "8 quick replies / buttons"),
    ("send_cart", "8 order / cart"),
    ("referral_", "4 Windows"),
    ("text_ads_referral", "4 Windows"),
    ("text_bare_mid", "3 mid"),
    ("text_legacy", "3 mid"),
    ("text", "8 text"),
    ("event_with_no", "2 Answer"),
    ("account_linking", "2 Answer, 9.7"),
    ("optin_", "2 Answer, 9.7"),
    ("policy_", "2 Answer, 9.7"),
    ("response_feedback", "2 Answer, 9.7"),
    ("", "6 Attachment types in"),
];

#[test]
fn every_webhook_fixture_means_what_the_fact_sheet_says() {
    let Some(files) = support::files("messenger/webhook") else { return };
    assert_eq!(files.len(), 76);
    let table = support::table(&Messenger::new(), SOURCES, &files);
    expect_file!["../fixtures/webhooks.txt"].assert_eq(&table);
}

/// None is there to be rejected: these two hold no event, and no error either.
#[test]
fn only_two_fixtures_hold_nothing_and_none_is_refused() {
    let Some(files) = support::files("messenger/webhook") else { return };
    let bridge = Messenger::new();
    let mut empty = Vec::new();
    for (name, body) in files {
        let normalized = support::normalized(&bridge, &body);
        assert_eq!(normalized.unreadable, [], "{name}");
        if normalized.envelopes.is_empty() {
            empty.push(name);
        }
    }
    assert_eq!(empty, ["entry_empty.json", "entry_without_messaging.json"]);
}
