//! What every webhook fixture of the platform means, one line an envelope, each checked by eye against
//! PLATFORMS.md (sections 2, 3, 6 and 8) and the case column of the fixtures' index.

use crate::support;
use expect_test::expect;
use interline_instagram::Instagram;

#[test]
fn every_webhook_fixture_means_what_the_fact_sheet_says() {
    let Some(files) = support::files("instagram/webhook") else { return };
    assert_eq!(files.len(), 46);
    let bridge = Instagram::new();
    let mut table = String::new();
    for (name, body) in files {
        let normalized = support::normalized(&bridge, &body);
        table += &format!("{name}\n    {}\n", support::summary(&normalized));
    }
    expect![[r#"
        attachment_unknown_media_type.json
            message 17841400000000001<1700000000000001 @1772998024000 4ZAmJmYjkyZAjBmYjJjNjgZD unsupported(media: this version does not know such an attachment asset_id=18000000000000021) unsupported(ig_story: this version does not know such an attachment asset_id=18000000000000022)
        audio_voice.json
            message 17841400000000001<1700000000000001 @1772998024000 FlYjZAkYmUxMzYwNTRkNTIZD audio(asset_id=18000000000000003)
        batch_two_accounts.json
            message 17841400000000001<1700000000000001 @1772998024000 GM2YzkwNWE5NDFiODc3MzIZD text("one")
            status 17841400000000001<1700000000000001 @1772998024001 target=AmFiZAWVmMDMzZAmFhZATIZD read
            message 17841400000000002<1700000000000002 @1772998024003 YzZAmM2NjY1YjBiYmI2MDQZD image(asset_id=18000000000000020)
        changes_comments.json
            account 17841400000000001 @1772998024000 extra={"field":"comments","value":{"comment_id":"17850000000000001","from":{"id":"1700000000000001","username":"sam.sample"},"media":{"id":"17900000000000002","media_product_type":"FEED"},"text":"nice"}}
        changes_messages_field_value.json
            message 17841400000000001<1700000000000001 @1772998024000 1ZAWZAlNzE1NjNkY2QzNGMZD text("random_text")
        dashboard_test_ids_0.json
            message 23245<12334 @1527459824000 random_mid text("random_text")
        entry_field_value_no_changes_array.json
            account 17841400000000001 @1772998024000 extra={"field":"comments","value":{"from":{"id":"1700000000000001","username":"sam.sample"},"id":"17850000000000003","media":{"id":"17900000000000002","media_product_type":"FEED"},"text":"nice"}}
        ephemeral.json
            message 17841400000000001<1700000000000001 @1772998024000 4ZAmQ5ODJkZAGE5ODdkNTYZD unsupported(ephemeral: disappearing media are not handed over)
        event_with_no_known_key.json
            unsupported 17841400000000001<1700000000000001 @1459991487970 unsupported(event: it has neither content nor a known kind)
        file_pdf.json
            message 17841400000000001<1700000000000001 @1772998024000 Tc0OTk2MDRlYzc2NGRmN2QZD document(asset_id=18000000000000004)
        handover_pass.json
            handover 17841400000000001<1700000000000001 @1772998024000 extra={"pass_thread_control":{"metadata":"Information about the conversation","new_owner_app_id":"1500000000000001","previous_owner_app_id":"1217981644879628"}}
        ig_post_share.json
            message 17841400000000001<1700000000000001 @1772998024000 Tc0NjA5MWMyNzYyOTIxODEZD share(Post id="18000000000000008" title="A caption" url=asset_id=18000000000000008)
        ig_reel_share.json
            message 17841400000000001<1700000000000001 @1772998024000 2MGZAhODNjOTlmNDZAkMjQZD share(Reel id="18000000000000009" title="A reel caption" url=asset_id=18000000000000009)
        image.json
            message 17841400000000001<1700000000000001 @1772998024000 mZAjRjYTI3YzU4ZAjU2YTYZD image(asset_id=18000000000000001)
        images_several.json
            message 17841400000000001<1700000000000001 @1772998024000 jRjM2RhMmQ1MTAyOWNkOTkZD image(asset_id=18000000000000005) image(asset_id=18000000000000006)
        is_deleted_unsend.json
            delete 17841400000000001<1700000000000001 @1569262485349 target=xN2VhYjM4ZAGZAhYTAyMmYZD
        is_echo_story_mention.json
            message 17841400000000001>1700000000000001 @1772998024000 jZADg0MzcyOWVjNDZAkMjkZD share(StoryMention url=asset_id=18000000000000013)
        is_echo_text.json
            message 17841400000000001>1700000000000001 @1772998024000 2NjM1NzRkZADE3OTZAjOGYZD text("Your order is on the way.")
        is_echo_with_app_id.json
            message 17841400000000001>1700000000000001 @1772998024000 NmMTBkMjYwYWQ3ZADc5MWEZD text("bridged hello") extra={"app_id":"1500000000000001"}
        is_self_test.json
            message 17841400000000001>17841400000000001 @1772998024000 mRjOGM3Y2NjNmMzOGE4NjEZD text("testing my webhook") extra={"is_self":true}
        is_unsupported.json
            message 17841400000000001<1700000000000001 @1772998024000 3YzcwZAmVlN2Y3ZATQxNjEZD unsupported(is_unsupported: the platform did not hand it over)
        like_heart.json
            message 17841400000000001<1700000000000001 @1772998024000 TE2NDdlYTBkMjM2MDBkMjEZD sticker("❤️" no url)
        message_edit.json
            edit 17841400000000001<1700000000000001 @1772998024000 text("edited text") target=jgxNjRkNzNjYjkxOTkzYTgZD extra={"num_edit":"1"}
        message_edit_num_edit_0_new_message.json
            message 17841400000000001<1700000000000001 @1772998024000 RlOTI1MjBmZAjBlYzVmYjkZD unsupported(message_edit: a new message whose text did not come along; it is to be fetched by its id) extra={"fetch":"aWdfZAAG1BdGVtOjE6UlHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOmNkYWI0NWVjMzljMDJlZADYxNjMxZADhlMzRlOTI1MjBmZAjBlYzVmYjkZD"}
        postback_icebreaker.json
            message 17841400000000001<1700000000000001 @1772998024000 M4NDIyMTRjYTU3YzZAkMTYZD choice(Postback "chat:{\"a\":\"track\"}" "Track order")
        postback_without_mid.json
            message 17841400000000001<1700000000000001 @1459991487970 choice(Postback "get_started" "icebreaker question")
        quick_reply.json
            message 17841400000000001<1700000000000001 @1772998024000 zZATUwMzU1ZATliNDI3NjkZD choice(QuickReply "chat:{\"a\":\"confirm\",\"v\":\"yes\"}" "Yes")
        raw_compact_escaped.json
            message 17841400000000001<1700000000000001 @1772998024000 EzMGVmMjY1Mjk2ZATllYTQZD text("äöå 👍 https://example.com/a/b")
        reaction_react.json
            reaction 17841400000000001<1700000000000001 @1772998024000 target=zMWUyYzI3ZAjNmZAWI3MTUZD Add(\u{2764}\u{fe0f})
        reaction_react_other_no_reaction_word.json
            reaction 17841400000000001<1700000000000001 @1772998024000 target=zMWUyYzI3ZAjNmZAWI3MTUZD Add(\u{1f525})
        reaction_unreact.json
            reaction 17841400000000001<1700000000000001 @1772998024000 target=zMWUyYzI3ZAjNmZAWI3MTUZD Remove()
        reel_share.json
            message 17841400000000001<1700000000000001 @1772998024000 zNkNmE2ODdkNzI2YzFkYjEZD share(Reel url=asset_id=18000000000000010)
        referral_igme.json
            referral 17841400000000001<1700000000000001 @1772998024000 referral={"source":"SHORTLINKS","ref":"ref_data_in_ig_dot_me_param","type":"OPEN_THREAD"}
        reply_to_message.json
            message 17841400000000001<1700000000000001 @1772998024000 ZAjU3NzJjMTM3ZAjZAkOGQZD text("replying inline") reply_to=iN2YwZAGY1OTZAjNzM5OWMZD
        root_is_array.json
            message 17841400000000001<1700000000000001 @1772998024000 wNDNkZAWZAiOTk1ODQxMWMZD text("array root")
        seen.json
            status 17841400000000001<1700000000000001 @1569262485349 target=mZAGE3MWJlZAWI2NjcxODEZD read
        share_legacy_post.json
            message 17841400000000001<1700000000000001 @1772998024000 0ZAjlkZAjgwNDYyNmU2YWIZD share(Post url=asset_id=18000000000000007)
        standby_text.json
            message 17841400000000001<1700000000000001 @1772998024000 standby 1Mjc0OWQ2YTQ3NzZAiZAmEZD text("This is the first standby message from the customer, after 24 hours.")
        story_mention.json
            message 17841400000000001<1700000000000001 @1772998024000 GQ5YWI5YjIxNDQwNjBmNmIZD share(StoryMention url=asset_id=18000000000000011)
        story_reply.json
            message 17841400000000001<1700000000000001 @1772998024000 jdlY2U4Mjc2NmE4ODA2OGQZD text("Is this still available?") reply_to_story=17900000000000001:asset_id=18000000000000012
        text.json
            message 17841400000000001<1700000000000001 @1772998024000 WRjYjAwYzc4NTgxYzUzNzUZD text("Do you ship to Córdoba?")
        text_ctd_ad_referral.json
            message 17841400000000001<1700000000000001 @1772998024000 M5MWJhNTNhNWIwN2U4ZAmYZD text("interested") referral={"source":"ADS","ref":"REF","headline":"Example ad","ad_id":"6300000000001","ads_context_data":{"ad_title":"Example ad","photo_url":"https://scontent.xx.fbcdn.net/ad.jpg","video_url":"https://scontent.xx.fbcdn.net/adv.jpg"},"type":"OPEN_THREAD"}
        text_shop_product_referral.json
            message 17841400000000001<1700000000000001 @1772998024000 Dk0NmI4NjUwYWFmY2E0NGMZD text("is it in stock?") referral={"source":"product","product":{"id":"3000000000000001"}}
        text_unicode_rtl_emoji.json
            message 17841400000000001<1700000000000001 @1772998024000 YxYjcxNWVjZAWNjMjYxYjUZD text("שלום مرحبا 👩\u{200d}👩\u{200d}👧\u{200d}👦🏳\u{fe0f}\u{200d}🌈 e\u{301}\nline two")
        timestamps_iso8601.json
            message 17841400000000001<1700000000000001 @1631082844000 mZATczM2JkMjY0ZAmJmNDMZD text("This is the first message from the customer")
        video.json
            message 17841400000000001<1700000000000001 @1772998024000 YwMzhiNTE3MTkwMDZAlYzYZD video(asset_id=18000000000000002)
    "#]].assert_eq(&table);
}
