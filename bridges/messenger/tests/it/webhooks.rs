//! What every webhook fixture of the platform means, one line an envelope, each checked by eye against
//! PLATFORMS.md (sections 2, 3, 6 and 8) and the case column of the fixtures' index.

use crate::support;
use expect_test::expect;
use interline_messenger::Messenger;

#[test]
fn every_webhook_fixture_means_what_the_fact_sheet_says() {
    let Some(files) = support::files("messenger/webhook") else { return };
    assert_eq!(files.len(), 76);
    let bridge = Messenger::new();
    let mut table = String::new();
    for (name, body) in files {
        let normalized = support::normalized(&bridge, &body);
        table += &format!("{name}\n    {}\n", support::summary(&normalized));
    }
    expect![[r#"
        account_linking_linked.json
            account 104500000000001<6100000000000001 @1772998024000 extra={"account_linking":{"authorization_code":"PASS_THROUGH_AUTHORIZATION_CODE","status":"linked"}}
        account_linking_unlinked.json
            account 104500000000001<6100000000000001 @1772998024000 extra={"account_linking":{"status":"unlinked"}}
        appointment_booking.json
            message 104500000000001<6100000000000001 @1772998024000 YM9Q8SIXFRca4OJSECR_So0A choice(Flow "BOOK-1" "Appointment requested" {"booking_id":"BOOK-1","end_time":1739616000,"start_time":1739612400,"status":"requested","timezone":"America/Los_Angeles"})
        audio_voice_clip.json
            message 104500000000001<6100000000000001 @1772998024000 KVwLKld5OGae9iQISr0euZSA audio(p-1772998024000-2120.mp4)
        batch_several_pages.json
            message 104500000000001<6100000000000001 @1772998024000 dgMyecr3GUaslNz1RnRu1MRw text("one")
            message 104500000000001<6100000000000001 @1772998024001 BKZRT3zBtOQO0p0U0rpL4fjg text("two")
            message 104500000000002<6100000000000002 @1772998024002 8rsjmypiqrsUapZzR27Mqh6g text("other page")
            reaction 104500000000002<6100000000000002 @1772998024003 target=dgMyecr3GUaslNz1RnRu1MRw Add(\u{1f44d})
            status 104500000000001<6100000000000001 @1772998024004 up_to=1772998024000 read
        delivery_mids_no_timestamp.json
            status 104500000000001<6100000000000001 @1458668856712 target=Hq78j5HOeWHlBTgR5mKSHjkA+BaIpACaTZwpvoUNXKBGX4ETA delivered extra={"watermark":1458668856253}
        delivery_watermark_only.json
            status 104500000000001<6100000000000001 @1772998024000 up_to=1772998034000 delivered
        delivery_with_seq.json
            status 104500000000001<6100000000000001 @1459991487970 target=56218:ed81099e15d3f4f233 delivered extra={"watermark":1458668856253}
        duplicate_across_entries.json
            message 104500000000001<6100000000000001 @1459991487970 q1payVD39GXheV_L8tpKoi3A text("Hello World")
        echo_image.json
            message 104500000000001>6100000000000001 @1772998024000 BqfcGd5uDhS8A4tcS1RKYoKA image(00000001_100000001_n.jpg) extra={"app_id":"1500000000000001"}
        echo_page_inbox.json
            message 104500000000001>6100000000000001 @1772998024000 oSG_iggWne1-KD-FMcxetFtg text("typed by a human in the Page inbox") extra={"app_id":"263902037430900"}
        echo_template_button.json
            message 104500000000001>6100000000000001 @1772998024000 PIbokW_E29-O2W_vDswWcpXw share(Template +{"payload":{"buttons":[{"title":"Visit Messenger","type":"web_url","url":"https://www.messenger.com/"}],"template_type":"button"}}) extra={"app_id":"1500000000000001"}
        echo_text_own_app.json
            message 104500000000001>6100000000000001 @1772998024000 Sdy8fXNNmuooftGgunGc-TqA text("hello, world!") extra={"app_id":"1500000000000001","metadata":"bridge:0001"}
        echo_without_app_id.json
            message 104500000000001>6100000000000001 @1772998024000 y7FelWMDc8Hkdr7MDkG4kxUg text("Bot response")
        entry_empty.json
            nothing
        entry_without_messaging.json
            nothing
        event_with_no_known_key.json
            unsupported 104500000000001<6100000000000001 @1459991487970 unsupported(event: it has neither content nor a known kind)
        fallback_link_share.json
            message 104500000000001<6100000000000001 @1772998024000 wZABRnXeuLZMqdVlVvn7v8CA text("This is where I want to go: https://youtu.be/fixture0001") share(Link title="A video title" url=s://l.facebook.com/l.php)
        fallback_no_payload.json
            message 104500000000001<6100000000000001 @1772998024000 T9fdoh0Ty5iXhJnT2cQCwqyw unsupported(fallback: it came without a payload)
        fallback_null_payload.json
            message 104500000000001<6100000000000001 @1772998024000 AfNsMkO-xZn9_11dFg11O_gA share(Link title="Legacy Attachment" url=tps://www.messenger.com/)
        fallback_relative_url.json
            message 104500000000001<6100000000000001 @1772998024000 K1QQY8jUiT1rehb79qNUfFSw share(Link title="Foo" url=My Documents/foo.doc)
        file.json
            message 104500000000001<6100000000000001 @1772998024000 0K6GsuMujejLRtK4VOQWvNcw document("invoice №1.pdf" invoice%20%E2%84%961.pdf)
        handover_app_roles_no_sender.json
            handover 104500000000001 @1772998024000 extra={"app_roles":{"1500000000000001":["primary_receiver"]}}
        handover_pass.json
            handover 104500000000001<6100000000000001 @1772998024000 extra={"pass_thread_control":{"metadata":"Additional content that the caller wants to set","new_owner_app_id":"1500000000000001","previous_owner_app_id":null}}
        handover_request.json
            handover 104500000000001<6100000000000001 @1772998024000 extra={"request_thread_control":{"metadata":"please","requested_owner_app_id":"123456789"}}
        handover_take.json
            handover 104500000000001<6100000000000001 @1772998024000 extra={"take_thread_control":{"metadata":"taken by inbox","new_owner_app_id":"263902037430900","previous_owner_app_id":"1500000000000001"}}
        ig_post_share.json
            message 104500000000001<6100000000000001 @1772998024000 pxnpETsnqc6G6B0lDvE6QHsQ share(Post id="17900000000000001" title="An IG post" url=agram.com/p/FIXTURE0001/)
        ig_reel_relative_url.json
            message 104500000000001<6100000000000001 @1772998024000 SzESrm9yknJ0b4mN8WGaxAzQ share(Reel id="123451234512345" url=/reel/123451234512345/)
        image.json
            message 104500000000001<6100000000000001 @1772998024000 wNi_i4MVbL5zsnNNdbtB6zow image(00000001_100000001_n.jpg)
        image_several.json
            message 104500000000001<6100000000000001 @1772998024000 4hXx4HUZmk1zNa7WEJYGtJ-Q image(00000001_100000001_n.jpg) image(00000001_100000001_n.png) image(animated 00000001_100000001_n.gif)
        location_legacy.json
            message 104500000000001<6100000000000001 @1772998024000 VMr8ULbrT0t_KXfgH8NDVYTw {"type":"location","latitude":1.2,"longitude":-1.3}
        message_edit_num_int.json
            edit 104500000000001<6100000000000001 @1772998024000 text("edited twice") target=Z2BdoPFJCsXZNyND-K9xLbXA extra={"num_edit":"2"}
        message_edit_num_string.json
            edit 104500000000001<6100000000000001 @1772998024000 text("edited text") target=B-YFowd4jZ4hvcj_BQjku-6Q extra={"num_edit":"1"}
        optin_notification_messages.json
            account 104500000000001<6100000000000001 @1772998024000 extra={"optin":{"notification_messages_frequency":"DAILY","notification_messages_timezone":"UTC","notification_messages_token":"12345678901234567890","payload":"3456","title":"Bird Facts","token_expiry_timestamp":2145916800000,"type":"notification_messages","user_token_status":"NOT_REFRESHED"}}
        optin_user_ref.json
            account 104500000000001<6100000000000001 @1772998024000 extra={"optin":{"ref":"optin_ref","user_ref":"optin_user_ref"}}
        page_feed_comment_changes.json
            account 104500000000001 @1750320343000 extra={"field":"feed","value":{"comment_id":"3_5","from":{"id":"6100000000000001","name":"Robin Fixture"},"item":"comment","message":"comment message","post":{"permalink_url":"https://www.facebook.com/1_3"},"post_id":"1_3","verb":"add"}}
        policy_enforcement_block.json
            account 104500000000001 @1458692752478 extra={"policy_enforcement":{"action":"block","reason":"The bot violated our Platform Policies (https://developers.facebook.com/devpolicy/#messengerplatform). Common violations include sending out excessive spammy messages or being non-functional."}}
        post_share.json
            message 104500000000001<6100000000000001 @1772998024000 t7XAsRFdCturVNbx-dRchvqQ share(Post id="200000000000001" title="A post" url=01/posts/200000000000001)
        postback.json
            message 104500000000001<6100000000000001 @1772998024000 n6bxyB8z8fYUu1OmqrXaj76g choice(Postback "CARE_HELP" "Talk to an agent")
        postback_field_value_shape.json
            message 104500000000001<USER-REF-0001 @1527459824000 xpZMfuBCTQdlDcrUddFoJ7FQ choice(Postback "P" "Start") referral={"source":"SHORT-URL","ref":"r","type":"OPEN_THREAD"} extra={"user_ref":"USER-REF-0001"}
        postback_get_started_referral.json
            message 104500000000001<6100000000000001 @1772998024000 choice(Postback "get_started" "Get Started") referral={"source":"SHORTLINK","ref":"promo-1","type":"OPEN_THREAD"}
        quick_reply.json
            message 104500000000001<6100000000000001 @1772998024000 1M8tsh2pDy9sVPfyz3PZSpoA choice(QuickReply "DEVELOPER_DEFINED_PAYLOAD_FOR_PICKING_GREEN" "Green")
        raw_compact_escaped.json
            message 104500000000001<6100000000000001 @1772998024000 RnU119Wjoo_wRltRH9jk3mpA text("äöå 👍 https://example.com/a/b")
        reaction_heart_without_vs16.json
            reaction 104500000000001<6100000000000001 @1772998024000 target=p5ngNctjLDWSbOeFZrjN-zBw Add(\u{2764})
        reaction_react.json
            reaction 104500000000001<6100000000000001 @1772998024000 target=z7giqSl0L3336mhNgrRpVCbQ Add(\u{2764}\u{fe0f})
        reaction_react_other.json
            reaction 104500000000001<6100000000000001 @1772998024000 target=YEWeXffDlLf_SH8kxj9IXEow Add(\u{1f984})
        reaction_unreact.json
            reaction 104500000000001<6100000000000001 @1772998024000 target=5ku-Vxk29ZWKYQdfhkaSNuVQ Remove(\u{2764})
        reaction_unreact_bare.json
            reaction 104500000000001<6100000000000001 @1772998024000 target=zYZ-0k4zyT55SBqWW-C-dPeQ Remove()
        read_watermark.json
            status 104500000000001<6100000000000001 @1772998024000 up_to=1772998044000 read
        reel.json
            message 104500000000001<6100000000000001 @1772998024000 cGPmc67zy0i0pADcYUKS_KAw share(Reel id="123451234512345" title="A reel" url=om/reel/123451234512345/)
        referral_ad.json
            referral 104500000000001<6100000000000001 @1772998024000 referral={"source":"ADS","ref":"r1","headline":"Example ad","ad_id":"6300000000001","ads_context_data":{"ad_title":"Example ad","photo_url":"https://scontent.xx.fbcdn.net/ad.jpg"},"type":"OPEN_THREAD"}
        referral_lead_complete_seconds.json
            referral 104500000000001<6100000000000001 @1665424533000 referral={"source":"ADS","headline":"Find Wholesalers Ad","ad_id":"6300000000001","ads_context_data":{"ad_title":"Find Wholesalers Ad","photo_url":"https://scontent.xx.fbcdn.net/ad.jpg","post_id":"559000000000001"},"type":"LEAD_COMPLETE"} extra={"lead":{"data":[{"answer":"Yes","question":"Are you interested in becoming a reseller?"},{"answer":"Exampleville","question":"What city is your store located?"}]}}
        referral_mme.json
            referral 104500000000001<6100000000000001 @1772998024000 referral={"source":"SHORTLINK","ref":"summer_coupon","type":"OPEN_THREAD"}
        referral_timestamp_in_seconds.json
            referral 104500000000001<6100000000000001 @1701599111000 referral={"source":"ADS","ref":"referral id","ad_id":"ad id","type":"OPEN_THREAD"}
        reply_to.json
            message 104500000000001<6100000000000001 @1772998024000 2nU8h4kTN4ZpQkK-3Rkj8I6g text("replying to that") reply_to=gGcNKRVVwIk94yl2kNK4u2xg
        reply_to_self.json
            message 104500000000001<6100000000000001 @1772998024000 zasTw-MHfAoiQLKg6G1LpPEA text("replying to myself") reply_to=7q5rJRRGApeuWAPE_GsBjm6A extra={"is_self_reply":true}
        response_feedback.json
            account 104500000000001<6100000000000001 @1772998024000 extra={"response_feedback":{"feedback":"Good response","mid":"m_JhNM_ElDPAip-waj5ObkoTLyX3GCekQtxGcMIxstEue1BujyFHD_DxcBexkS97nmCCd1h_QLA2oPYoB8gQWKJQ"}}
        send_cart_order.json
            message 104500000000001<6100000000000001 @1772998024000 {"type":"order","text":"foobar","items":[{"product_id":"retailer_id_1","name":"name1","quantity":"1","price":"11","currency":"THB","id":"123"},{"product_id":"retailer_id_2","name":"name2","quantity":"2","price":"22","currency":"THB","id":"456"}]}
        standby_echo_template_numeric_ids.json
            message 104500000000001>6100000000000001 @1772998024000 standby oV1yBMfSs0pkqLA07pnq5JBA share(Template id="2457000000000001" url=ook.com/commerce/update/ +{"payload":{"elements":[{"attachment_id":"2457000000000001","media_type":"image"}],"template_type":"media"}}) extra={"app_id":"263902037430900"}
        standby_user_text.json
            message 104500000000001<6100000000000001 @1772998024000 standby q2Vlv6RyNS1dKGfdf51GAWfQ text("while another app owns the thread")
        sticker_new_type.json
            message 104500000000001<6100000000000001 @1772998024000 beWSU9B28RIEcXFH14flKyEQ sticker("369239263222822" "👍" 00000001_100000001_n.png)
        sticker_old_image_type.json
            message 104500000000001<6100000000000001 @1772998024000 B78GRyHUHJijZq4xjbP_Lniw sticker("369239263222822" "👍" 00000001_100000001_n.png)
        sticker_transition_both.json
            message 104500000000001<6100000000000001 @1772998024000 gGBCR5g4LRMX9LbFcp7UNqhA sticker("369239263222822" "👍" 00000001_100000001_n.png)
        template_product.json
            message 104500000000001<6100000000000001 @1772998024000 sqxgdRRWbwwWiq_VR3TTAdTA share(Template id="3000000000000001" title="Some product title" text="$40" +{"payload":{"product":{"elements":[{"id":"3000000000000001","image_url":"https://scontent.xx.fbcdn.net/p1.jpg","retailer_id":"SKU-1","subtitle":"$40","title":"Some product title"}]}}})
        text.json
            message 104500000000001<6100000000000001 @1772998024000 wAgGQHKjnw693cTkW0ab94uA text("hello, world!")
        text_ads_referral.json
            message 104500000000001<6100000000000001 @1772998024000 WL8sQD_iPqSZDHmYhUs27qoA text("hello, world!") referral={"source":"ADS","ref":"promo-1","headline":"Example ad","ad_id":"6300000000001","ads_context_data":{"ad_title":"Example ad","flow_id":"700000000000001","photo_url":"https://scontent.xx.fbcdn.net/ad.jpg","post_id":"559000000000001"},"type":"OPEN_THREAD"}
        text_bare_mid.json
            message 104500000000001<6100000000000001 @1772998024000 v-DFzmTihfWJV012P5pK0AhQ text("mid without any prefix")
        text_commands.json
            message 104500000000001<6100000000000001 @1772998024000 slx9JI3qH2wmdshvBX070wSQ text("find flights from SFO to LAX next Thursday") extra={"commands":[{"name":"flights"}]}
        text_hop_context_seconds.json
            message 104500000000001<6100000000000001 @1661209328000 ry3EeiPk2Jg0_93al3xDsbjA text("Lead summary:\nAre you interested in becoming a reseller?: Yes\nWhat city is your store located?: Exampleville") extra={"hop_context":{"app_id":"498721317747541","metadata":"messenger_lead_gen_complete"}}
        text_legacy_mid.json
            message 104500000000001<6100000000000001 @1772998024000 97618:41d102a3e1ae206a38 text("hello, world!")
        text_legacy_mid_dollar.json
            message 104500000000001<6100000000000001 @1772998024000 krCd2ORnva8ErFhjGm0X_Q_c text("dollar mid")
        text_unicode_rtl_emoji.json
            message 104500000000001<6100000000000001 @1772998024000 A5Vn5U9cwpGCpRfoIFYyKRGw text("שלום مرحبا こんにちは 👩\u{200d}👩\u{200d}👧\u{200d}👦🏳\u{fe0f}\u{200d}🌈 e\u{301}\n\"quotes\" \\ /slash")
        text_with_image.json
            message 104500000000001<6100000000000001 @1772998024000 tv8u7aXq8g-95CXSNbwDoksA text("look at this") image(00000001_100000001_n.jpg)
        unknown_attachment_type.json
            message 104500000000001<6100000000000001 @1772998024000 G7y3_aF_Rs2yzFa6K8ZXiy9Q text("future") unsupported(hologram: this version does not know such an attachment ttps://cdn.example.com/h)
        video.json
            message 104500000000001<6100000000000001 @1772998024000 p_GZRfPSA4Q8GjZldl48OAXA video(00000002_100000002_n.mp4)
        watermarks_as_strings.json
            status 104500000000001<6100000000000001 @1648581633812 up_to=1648581633369 delivered
            status 104500000000001<6100000000000001 @1648581633812 up_to=1648581633369 read
    "#]].assert_eq(&table);
}
