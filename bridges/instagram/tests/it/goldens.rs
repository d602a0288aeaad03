//! Bodies of our own, small ones, and what they mean. Each names the place in PLATFORMS.md that it rests on.

use crate::support::{normalized, summary};
use expect_test::{Expect, expect};
use interline_instagram::Instagram;

/// One event between person 1 and account 2, at 1700000000000.
fn check(rest: &str, expected: Expect) {
    let body = format!(
        r#"{{"object":"instagram","entry":[{{"id":"2","messaging":[{{"sender":{{"id":"1"}},"recipient":{{"id":"2"}},"timestamp":1700000000000,{rest}}}]}}]}}"#
    );
    check_body(&body, expected);
}

fn check_body(body: &str, expected: Expect) {
    expected.assert_eq(&summary(&normalized(&Instagram::new(), body.as_bytes())));
}

/// Section 6: `like_heart`; section 8: it stands for its emoji.
#[test]
fn a_like_is_a_sticker_that_says_its_emoji() {
    check(
        r#""message":{"mid":"m","attachments":[{"type":"like_heart"}]}"#,
        expect![[r#"message 2<1 @1700000000000 m sticker("❤️" no url)"#]],
    );
}

/// Section 4: story media must not be stored, so a mention is no media.
#[test]
fn a_story_mention_is_a_share_and_a_story_reply_no_message_reply() {
    check(
        r#""message":{"mid":"m","attachments":[{"type":"story_mention","payload":{"url":"https://h/?asset_id=1&s=2"}}]}"#,
        expect!["message 2<1 @1700000000000 m share(StoryMention url=asset_id=1)"],
    );
    check(
        r#""message":{"mid":"m","text":"t","reply_to":{"story":{"id":17900000000000001,"url":"https://h/?asset_id=3"}}}"#,
        expect![[
            r#"message 2<1 @1700000000000 m text("t") reply_to_story=17900000000000001:asset_id=3"#
        ]],
    );
}

/// Section 6, "Attachment types in", and "odd": ephemeral, `is_unsupported`.
#[test]
fn what_instagram_does_not_hand_over_is_said_to_be_so() {
    check(
        r#""message":{"mid":"m","attachments":[{"type":"ephemeral"}]}"#,
        expect![
            "message 2<1 @1700000000000 m unsupported(ephemeral: disappearing media are not handed over)"
        ],
    );
    check(
        r#""message":{"mid":"m","is_unsupported":true}"#,
        expect![
            "message 2<1 @1700000000000 m unsupported(unsupported: the platform did not hand it over)"
        ],
    );
    check(
        r#""message":{"mid":"m"}"#,
        expect![
            "message 2<1 @1700000000000 m unsupported(message: it has no content that can be read)"
        ],
    );
    check(
        r#""message":{"mid":"m","attachments":[{"type":"ig_story","payload":{"url":"https://h/?asset_id=9"}}]}"#,
        expect![
            "message 2<1 @1700000000000 m unsupported(ig_story: this version does not know such an attachment asset_id=9)"
        ],
    );
}

/// Section 6: `num_edit` 0 and no text is a new message, to be fetched by mid.
#[test]
fn an_edit_number_0_without_text_is_a_message_to_be_fetched() {
    for number in ["0", "\"0\""] {
        check(
            &format!(r#""message_edit":{{"mid":"m","num_edit":{number}}}"#),
            expect![[
                r#"message 2<1 @1700000000000 m unsupported(message: a new message whose text did not come along; it is to be fetched by its id) extra={"fetch":"m"}"#
            ]],
        );
    }
    check(
        r#""message_edit":{"mid":"m","text":"t","num_edit":0}"#,
        expect![[r#"edit 2<1 @1700000000000 text("t") target=m extra={"num_edit":"0"}"#]],
    );
}

/// Section 2: an array at the root; one bad notification in it costs nothing.
#[test]
fn an_array_at_the_root_is_read_notification_by_notification() {
    let good = r#"{"object":"instagram","entry":[{"id":"2","messaging":[{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":1700000000,"message":{"mid":"m","text":"t"}}]}]}"#;
    check_body(
        &format!("[{good},{{\"object\":\"page\"}},5]"),
        expect![[r#"
            message 2<1 @1700000000000 m text("t")
                UNREADABLE [1]: the body is JSON, but no Instagram webhook: `object` is not `instagram`; name the platform that it came from
                UNREADABLE [2]: the body is JSON, but no Instagram webhook: a field is missing or of another type, line 1 column 1; name the platform that it came from"#]],
    );
}

/// Section 6: `reel_video_id` and `ig_post_media_id` as strings or numbers.
#[test]
fn shares_keep_their_ids() {
    check(
        r#""message":{"mid":"m","attachments":[{"type":"ig_reel","payload":{"reel_video_id":9007199254740993,"title":"T"}},{"type":"ig_post","payload":{"ig_post_media_id":"5"}},{"type":"share","payload":{"url":"https://h/?asset_id=7"}}]}"#,
        expect![[
            r#"message 2<1 @1700000000000 m share(Reel id="9007199254740993" title="T") share(Post id="5") share(Post url=asset_id=7)"#
        ]],
    );
}
