//! What every webhook fixture of the platform means, one line an envelope, each checked by eye against the place in
//! PLATFORMS.md that stands beside its name and the case column of the fixtures' index.

use crate::support;
use expect_test::expect_file;
use interline_instagram::Instagram;

/// Where in PLATFORMS.md the meaning of a file stands; the first name that fits counts.
const SOURCES: &[(&str, &str)] = &[
    ("raw_compact_escaped", "2 Signature"),
    ("batch_", "2 Batching"),
    ("root_is_array", "2 Batching"),
    ("changes_comments", "2 Envelope, 9.7"),
    ("changes_messages", "2 Envelope, Timestamps"),
    ("dashboard_", "2 Timestamps"),
    ("entry_field_value", "2 Envelope, 9.7"),
    ("timestamps_", "2 Timestamps"),
    ("is_echo_", "2 Echo, 9.7, 9.8"),
    ("is_self", "6 odd, 9.7"),
    ("is_unsupported", "6 odd"),
    ("is_deleted", "6 unsend"),
    ("ephemeral", "6 odd"),
    ("message_edit_num_edit_0", "6 odd"),
    ("message_edit", "6 edit"),
    ("seen", "6 read, 9.4"),
    ("reaction_", "6 reaction"),
    ("standby_", "6 thread ownership, 9.7"),
    ("handover_", "6 thread ownership"),
    ("reply_to", "6 reply"),
    ("story_reply", "6 reply"),
    ("story_mention", "4 Media in, 6 Attachment types in"),
    ("quick_reply", "8 quick replies / buttons"),
    ("postback", "8 quick replies / buttons"),
    ("referral_", "4 Windows"),
    ("text_ctd", "4 Windows"),
    ("text_shop", "4 Windows"),
    ("text", "8 text"),
    ("event_with_no", "2 Answer"),
    ("", "6 Attachment types in"),
];

#[test]
fn every_webhook_fixture_means_what_the_fact_sheet_says() {
    let Some(files) = support::files("instagram/webhook") else { return };
    assert_eq!(files.len(), 46);
    let table = support::table(&Instagram::new(), SOURCES, &files);
    expect_file!["../fixtures/webhooks.txt"].assert_eq(&table);
}

/// None is there to be rejected, and each holds something.
#[test]
fn no_fixture_is_refused_or_empty() {
    let Some(files) = support::files("instagram/webhook") else { return };
    let bridge = Instagram::new();
    for (name, body) in files {
        let normalized = support::normalized(&bridge, &body);
        assert_eq!(normalized.unreadable, [], "{name}");
        assert!(!normalized.envelopes.is_empty(), "{name}");
    }
}
