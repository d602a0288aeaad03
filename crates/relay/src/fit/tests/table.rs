//! Words, quotes, and what is about other messages.

use super::desk::{
    case, envelope, known, message, middle, narrow, native, number_change, reaction, reply, rich,
    status, text,
};
use crate::{Capabilities, ReactionForm, ReactionRule, Reference, TextLimit, TextUnit};
use expect_test::expect;
use interline_envelope::{
    Choice, ChoiceOf, ContactCard, Envelope, Kind, Location, Order, OrderItem, Part,
    ReactionAction::{Add, Remove},
    Redacted, ReplyTo, Share, ShareOf, StatusState, StoryRef, Unknown,
};
use serde_json::json;

const LONG: &str = "See you at eight in front of the old theatre, and bring the tickets";

#[test]
fn a_text_stays_a_text() {
    case(text("Hello"), narrow()).check(expect![[r#"
        native
        text "Hello"
    "#]]);
    case(text("Look: https://example.org"), rich()).check(expect![[r#"
        native
        text "Look: https://example.org" preview
    "#]]);
}

#[test]
fn a_text_among_more_than_two_people_says_whose_it_is() {
    case(text("Hello"), narrow()).named().check(expect![[r#"
        native
        text "Alice: Hello"
    "#]]);
    let mut bold = case(text("*Hello*"), rich()).named();
    bold.alias = "*Al* ice";
    bold.check(expect![[r#"
        native
        text "*\u{200b}Al* ice: *Hello*"
    "#]]);
}

#[test]
fn marks_go_where_they_are_not_rendered_and_are_guarded_where_they_would_be() {
    case(text("*so* nice"), middle()).check(expect![[r#"
        native formatting-removed
        text "so nice"
    "#]]);
    case(text("*so* nice"), rich()).check(expect![[r#"
        native
        text "*so* nice"
    "#]]);
    case(text("*so* nice"), rich()).of_plain_origin().check(expect![[r#"
        native marks-neutralised
        text "*\u{200b}so* nice"
    "#]]);
    case(text("*so* nice"), middle()).of_plain_origin().check(expect![[r#"
        native
        text "*so* nice"
    "#]]);
}

#[test]
fn a_long_text_is_split_and_only_its_first_piece_carries_quote_and_name() {
    let short = TextLimit { max: 40, unit: TextUnit::Characters };
    let target = || Capabilities { text: short, ..middle() };
    case(reply(LONG), target()).named().about(native(None)).check(expect![[r#"
        native text-split
        text "Alice: See you at eight in front of the" quoting m1
        text "old theatre, and bring the tickets"
    "#]]);
}

#[test]
fn a_reply_quotes_the_targets_copy_or_its_first_words() {
    case(reply("Yes"), middle()).about(native(Some("Coming?"))).check(expect![[r#"
        native
        text "Yes" quoting m1
    "#]]);
    let quoted = known(Some(LONG), Some("Bob"));
    case(reply("Yes"), middle()).about(quoted.clone()).check(expect![[r#"
        native reply-as-text
        text "> Bob: See you at eight in front of the old theatre, and bring the tickets\n\nYes"
    "#]]);
    case(reply("Yes"), middle()).named().about(quoted).check(expect![[r#"
        native reply-as-text
        text "> Bob: See you at eight in front of the old theatre, and bring the tickets\n\nAlice: Yes"
    "#]]);
    case(reply("Yes"), middle()).about(known(Some("Coming?"), None)).check(expect![[r#"
        native reply-as-text
        text "> Coming?\n\nYes"
    "#]]);
    case(reply("Yes"), middle()).about(known(None, None)).check(expect![[r#"
        native reply-dropped
        text "Yes"
    "#]]);
    case(reply("Yes"), middle()).about(Reference::Unknown).check(expect![[r#"
        native reply-dropped
        text "Yes"
    "#]]);
    let quoteless = Capabilities { reply: false, ..middle() };
    case(reply("Yes"), quoteless).about(native(Some("Coming?"))).check(expect![[r#"
        native reply-as-text
        text "> Coming?\n\nYes"
    "#]]);
}

#[test]
fn a_reply_to_a_story_tells_its_address() {
    let story = StoryRef { id: "9".into(), url: Some("https://example.org/story".into()) };
    let reply_to = Some(ReplyTo::Story { story });
    let envelope = Envelope { reply_to: reply_to.clone(), ..text("Nice!") };
    case(envelope.clone(), middle()).check(expect![[r#"
        fallback story-as-text
        text "replied to your story https://example.org/story\n\nNice!" preview
    "#]]);
    case(envelope, rich()).named().check(expect![[r#"
        fallback story-as-text
        text "Alice replied to your story https://example.org/story\n\nNice!" preview
    "#]]);
    let wordless = Envelope { reply_to, ..message(Vec::new()) };
    case(wordless, rich()).named().check(expect![[r#"
        fallback story-as-text
        text "Alice replied to your story https://example.org/story" preview
    "#]]);
}

#[test]
fn a_forward_is_marked_only_if_that_is_wanted() {
    let forward = Envelope { forwarded: true, ..text("Hello") };
    case(forward.clone(), middle()).check(expect![[r#"
        native forwarded-dropped
        text "Hello"
    "#]]);
    let mut marked = case(forward, middle()).named();
    marked.mark_forwarded = true;
    marked.check(expect![[r#"
        native
        text "Alice: ↪ forwarded\nHello"
    "#]]);
}

#[test]
fn a_reaction_that_the_target_can_set_is_set() {
    case(reaction(Add, Some("👍")), middle()).about(native(None)).check(expect![[r#"
        native
        reaction 👍 on m1
    "#]]);
    // With and without U+FE0F.
    case(reaction(Add, Some("❤️")), narrow()).about(native(None)).check(expect![[r#"
        native
        reaction ❤️ on m1
    "#]]);
    case(reaction(Remove, Some("❤")), narrow()).about(native(None)).check(expect![[r#"
        native
        reaction nothing on m1
    "#]]);
    case(reaction(Remove, None), middle()).about(native(None)).check(expect![[r#"
        native
        reaction nothing on m1
    "#]]);
    case(reaction(Remove, Some("❤️")), rich()).about(native(None)).check(expect![[r#"
        native
        reaction nothing on m1
    "#]]);
}

#[test]
fn a_reaction_that_the_target_cannot_set_is_said() {
    case(reaction(Add, Some("👍")), narrow()).about(native(Some(LONG))).check(expect![[r#"
        fallback reaction-as-text
        text "reacted 👍 to \"See you at eight in front of the old the…\""
    "#]]);
    case(reaction(Add, Some("👍")), narrow()).about(native(None)).check(expect![[r#"
        fallback reaction-as-text
        text "reacted 👍 to a message" quoting m1
    "#]]);
    case(reaction(Remove, Some("👍")), narrow()).about(native(Some("Hi"))).check(expect![[r#"
        fallback reaction-as-text
        text "removed their reaction to \"Hi\""
    "#]]);
    case(reaction(Add, Some("❤️")), rich()).about(known(Some("Hi"), None)).check(expect![[r#"
        fallback reaction-as-text
        text "reacted ❤\u{fe0f} to \"Hi\""
    "#]]);
    case(reaction(Add, Some("❤️")), rich()).about(Reference::Unknown).check(expect![[r#"
        fallback reaction-as-text
        text "reacted ❤\u{fe0f} to a message"
    "#]]);
    case(reaction(Add, None), rich()).about(native(Some("Hi"))).check(expect![[r#"
        fallback reaction-as-text
        text "reacted to \"Hi\""
    "#]]);
    let none = Capabilities { reaction: ReactionRule::None, ..rich() };
    case(reaction(Remove, None), none).about(native(Some("Hi"))).check(expect![[r#"
        fallback reaction-as-text
        text "removed their reaction to \"Hi\""
    "#]]);
}

#[test]
fn a_removal_undoes_what_was_set_and_says_what_was_said() {
    let removal = || case(reaction(Remove, None), narrow()).about(native(Some("Hi")));
    removal().after(ReactionForm::Native).check(expect![[r#"
        native
        reaction nothing on m1
    "#]]);
    removal().after(ReactionForm::Text).check(expect![[r#"
        fallback reaction-as-text
        text "removed their reaction to \"Hi\""
    "#]]);
    // Nobody knows what is removed, and this target could not have set everything.
    removal().check(expect![[r#"
        fallback reaction-as-text
        text "removed their reaction to \"Hi\""
    "#]]);
    let told = case(reaction(Remove, None), rich()).about(native(Some("Hi")));
    told.after(ReactionForm::Text).check(expect![[r#"
        fallback reaction-as-text
        text "removed their reaction to \"Hi\""
    "#]]);
}

#[test]
fn a_reaction_that_can_only_be_told_takes_away_the_one_that_was_set() {
    let thumb = || case(reaction(Add, Some("👍")), narrow()).about(native(Some("Hi")));
    thumb().after(ReactionForm::Native).check(expect![[r#"
        fallback reaction-as-text
        reaction nothing on m1
        text "reacted 👍 to \"Hi\""
    "#]]);
    thumb().after(ReactionForm::Text).check(expect![[r#"
        fallback reaction-as-text
        text "reacted 👍 to \"Hi\""
    "#]]);
}

#[test]
fn a_new_number_is_told_without_saying_which() {
    for named in [false, true] {
        let case = case(number_change(), middle());
        let case = if named { case.named() } else { case };
        case.check(expect![[r#"
            fallback number-change-as-text
            text "ℹ\u{fe0f} Alice has a new number"
        "#]]);
    }
}

#[test]
fn a_reaction_among_more_than_two_people_says_whose_it_is() {
    case(reaction(Add, Some("❤️")), rich()).named().about(native(Some("Hi"))).check(expect![[r#"
        fallback reaction-as-text
        text "Alice reacted ❤\u{fe0f} to \"Hi\""
    "#]]);
    case(reaction(Remove, None), rich()).named().about(native(Some("Hi"))).check(expect![[r#"
        fallback reaction-as-text
        text "Alice removed their reaction to \"Hi\""
    "#]]);
}

#[test]
fn an_edit_is_said_anew_quoting_the_old_copy() {
    let edit = || envelope(Kind::Edit, vec![Part::text("*the*")]);
    case(edit(), middle()).about(native(Some("teh"))).check(expect![[r#"
        fallback edit-as-message formatting-removed
        text "✏\u{fe0f} edited: the" quoting m1
    "#]]);
    case(edit(), rich()).named().about(known(Some("teh"), Some("Alice"))).check(expect![[r#"
        fallback reply-as-text edit-as-message
        text "> Alice: teh\n\n✏\u{fe0f} Alice edited: *the*"
    "#]]);
    case(edit(), middle()).about(Reference::Unknown).check(expect![[r#"
        fallback reply-dropped edit-as-message formatting-removed
        text "✏\u{fe0f} edited: the"
    "#]]);
}

#[test]
fn an_edit_without_its_text_is_told_all_the_same() {
    let edit = || envelope(Kind::Edit, Vec::new());
    case(edit(), middle()).about(native(None)).check(expect![[r#"
        fallback edit-text-missing
        text "✏\u{fe0f} edited a message (new text not available)" quoting m1
    "#]]);
    case(edit(), middle()).named().check(expect![[r#"
        fallback edit-text-missing
        text "✏\u{fe0f} Alice edited a message (new text not available)"
    "#]]);
    let unsupported = message(vec![Part::unsupported("edit", "not handed over")]);
    case(unsupported, middle()).check(expect![[r#"
        fallback edit-text-missing
        text "✏\u{fe0f} edited a message (new text not available)"
    "#]]);
}

#[test]
fn a_deletion_is_told_unless_the_message_never_arrived() {
    let delete = || envelope(Kind::Delete, Vec::new());
    case(delete(), middle()).about(native(Some(LONG))).check(expect![[r#"
        fallback delete-as-message
        text "🗑 deleted a message: \"See you at eight in front of the old the…\""
    "#]]);
    case(delete(), middle()).named().about(native(None)).check(expect![[r#"
        fallback delete-as-message
        text "🗑 Alice deleted a message" quoting m1
    "#]]);
    case(delete(), middle()).about(Reference::Unknown).check(expect![[r#"
        nothing delete-of-unknown
    "#]]);
}

#[test]
fn a_read_receipt_is_told_as_the_target_can() {
    case(status(StatusState::Read), rich()).about(native(None)).check(expect![[r#"
        native
        read m2
    "#]]);
    case(status(StatusState::Played), middle()).about(native(None)).check(expect![[r#"
        native
        read the thread
    "#]]);
    case(status(StatusState::Read), rich()).about(Reference::Unknown).check(expect![[r#"
        nothing status-not-shown
    "#]]);
    case(status(StatusState::Delivered), middle()).about(native(None)).check(expect![[r#"
        nothing status-not-shown
    "#]]);
}

#[test]
fn typing_is_shown_only_where_it_marks_nothing_as_read() {
    case(envelope(Kind::Typing, Vec::new()), middle()).check(expect![[r#"
        native
        typing true
    "#]]);
    case(envelope(Kind::Typing, Vec::new()), rich()).check(expect![[r#"
        nothing typing-not-shown
    "#]]);
}

#[test]
fn events_about_ids_threads_and_the_account_show_people_nothing() {
    for kind in [Kind::Referral, Kind::System, Kind::Handover, Kind::Account] {
        case(envelope(kind, Vec::new()), middle()).check(expect![[r#"
            nothing not-for-people
        "#]]);
    }
}

fn place() -> Location {
    Location {
        latitude: 52.52,
        longitude: 13.405,
        name: Some("Café".into()),
        address: Some("Alexanderplatz 1\nBerlin".into()),
        url: None,
        unknown: Unknown::new(),
    }
}

#[test]
fn a_place_is_shown_or_becomes_a_map_link() {
    case(message(vec![Part::Location(place())]), rich()).check(expect![[r#"
        native
        location
    "#]]);
    case(message(vec![Part::Location(place())]), rich()).named().check(expect![[r#"
        native
        text "Alice sent a location"
        location
    "#]]);
    case(message(vec![Part::Location(place())]), middle()).named().check(expect![[r#"
        fallback location-as-text
        text "Alice: 📍 Café, Alexanderplatz 1 Berlin https://maps.google.com/?q=52.52,13.405" preview
    "#]]);
    let bare = Location { name: None, address: None, ..place() };
    case(message(vec![Part::Location(bare)]), middle()).check(expect![[r#"
        fallback location-as-text
        text "📍 https://maps.google.com/?q=52.52,13.405" preview
    "#]]);
}

#[test]
fn contact_cards_are_shown_or_become_lines() {
    let card = |name: &str, phones: &[&str], emails: &[&str]| ContactCard {
        name: name.into(),
        phones: phones.iter().map(|phone| Redacted::from(*phone)).collect(),
        emails: emails.iter().map(|email| Redacted::from(*email)).collect(),
        unknown: Unknown::new(),
    };
    let bob = card("Bob", &["+1 555 000 2222", "+1 555 000 3333"], &["bob@example.org"]);
    let contacts = vec![bob, card("Carol", &[], &[])];
    let both = message(vec![Part::Contacts { contacts, unknown: Unknown::new() }]);
    case(both.clone(), rich()).named().check(expect![[r#"
        native
        text "Alice sent contacts"
        2 contacts
    "#]]);
    let nameless = vec![card("", &["+1 555 000 2222"], &[])];
    let nameless = message(vec![Part::Contacts { contacts: nameless, unknown: Unknown::new() }]);
    case(nameless, rich()).check(expect![[r#"
        fallback contacts-as-text
        text "👤 (no name): +1 555 000 2222"
    "#]]);
    case(both, middle()).check(expect![[r#"
        fallback contacts-as-text
        text "👤 Bob: +1 555 000 2222, +1 555 000 3333, bob@example.org\n👤 Carol"
    "#]]);
    let none = message(vec![Part::Contacts { contacts: Vec::new(), unknown: Unknown::new() }]);
    case(none, rich()).check(expect![[r#"
        placeholder unreadable
        text "[Alice sent a contact that cannot be bridged]"
    "#]]);
}

#[test]
fn a_tap_is_its_title() {
    let tap = |title: &str, of| {
        let (id, title) = ("payload_1".into(), title.into());
        let unknown = Unknown::new();
        message(vec![Part::Choice(Choice {
            id,
            title,
            description: None,
            of,
            data: None,
            unknown,
        })])
    };
    case(tap("Yes, please", ChoiceOf::Button), middle()).check(expect![[r#"
        fallback choice-as-text
        text "Yes, please"
    "#]]);
    case(tap("Yes, please", ChoiceOf::List), rich()).named().check(expect![[r#"
        fallback choice-as-text
        text "Alice: Yes, please"
    "#]]);
    // A developer's payload is nobody's words.
    case(tap("", ChoiceOf::Postback), middle()).check(expect![[r#"
        placeholder unreadable
        text "[Alice sent a choice that cannot be bridged]"
    "#]]);
}

#[test]
fn a_forms_answers_are_one_line_each() {
    let answers =
        json!({"flow_token": "t", "first_name": "Al", "days": ["Mon", "Tue"], "ok": true});
    let form = |data| {
        let of = ChoiceOf::Flow;
        let (id, title, unknown) = ("".into(), "Sent".into(), Unknown::new());
        let data = Some(Redacted::new(data));
        message(vec![Part::Choice(Choice { id, title, description: None, of, data, unknown })])
    };
    case(form(answers.clone()), middle()).check(expect![[r#"
        fallback flow-as-text
        text "Sent\ndays: Mon, Tue\nfirst name: Al\nok: yes"
    "#]]);
    case(form(json!(answers.to_string())), middle()).named().check(expect![[r#"
        fallback flow-as-text
        text "Alice: Sent\ndays: Mon, Tue\nfirst name: Al\nok: yes"
    "#]]);
}

#[test]
fn something_shared_is_its_title_and_address() {
    let share = |of, title: Option<&str>, url: Option<&str>| {
        let (title, url) = (title.map(Redacted::from), url.map(Redacted::from));
        message(vec![Part::Share(Share {
            of,
            id: None,
            url,
            title,
            text: None,
            unknown: Unknown::new(),
        })])
    };
    let url = Some("https://example.org/p/1");
    case(share(ShareOf::Reel, Some("Cats"), url), rich()).check(expect![[r#"
        fallback share-as-text
        text "Cats\nhttps://example.org/p/1" preview
    "#]]);
    case(share(ShareOf::StoryMention, None, url), rich()).named().check(expect![[r#"
        fallback story-as-text
        text "Alice mentioned you in a story https://example.org/p/1" preview
    "#]]);
    case(share(ShareOf::Post, None, None), rich()).check(expect![[r#"
        placeholder unreadable
        text "[Alice sent a post that cannot be bridged]"
    "#]]);
    let endless = format!("https://example.org/{}", "x".repeat(1000));
    case(share(ShareOf::Link, None, Some(&endless)), narrow()).check(expect![[r#"
        placeholder unreadable
        text "[Alice sent a link that cannot be bridged]"
    "#]]);
}

#[test]
fn a_cart_is_a_line_for_each_article() {
    let item = OrderItem {
        product_id: "sku-1".into(),
        quantity: Some("2".into()),
        price: Some("9.90".into()),
        currency: Some("EUR".into()),
        ..OrderItem::default()
    };
    let order = Order { text: Some("By Friday".into()), items: vec![item], ..Order::default() };
    case(message(vec![Part::Order(order)]), middle()).named().check(expect![[r#"
        fallback order-as-text
        text "Alice: 🛒 Order\nBy Friday\n2 × sku-1, 9.90 EUR each"
    "#]]);
}

#[test]
fn what_is_sealed_is_refused() {
    let sealed = Part::Sealed { scheme: "x".into(), bytes: "AA".into(), unknown: Unknown::new() };
    case(message(vec![Part::text("Hi"), sealed]), middle()).check(expect![[r#"
        refusal sealed
    "#]]);
}

#[test]
fn what_nobody_can_read_leaves_a_line() {
    for native_type in ["poll", "event", "ephemeral", "unsupported", "Weird <b>"] {
        let part = Part::unsupported(native_type, "not handed over");
        let expected = match native_type {
            "poll" => expect![[r#"
                placeholder unreadable
                text "[Alice sent a poll that cannot be bridged]"
            "#]],
            "event" => expect![[r#"
                placeholder unreadable
                text "[Alice sent an event that cannot be bridged]"
            "#]],
            "ephemeral" => expect![[r#"
                placeholder unreadable
                text "[Alice sent an ephemeral message that cannot be bridged]"
            "#]],
            _ => expect![[r#"
                placeholder unreadable
                text "[Alice sent a message that cannot be bridged]"
            "#]],
        };
        case(message(vec![part]), middle()).named().check(expected);
    }
    let later = serde_json::from_value(json!({"type": "hologram", "x": 1})).unwrap();
    case(message(vec![later]), middle()).check(expect![[r#"
        placeholder unreadable
        text "[Alice sent a hologram that cannot be bridged]"
    "#]]);
    case(envelope(Kind::Unsupported, Vec::new()), middle()).check(expect![[r#"
        placeholder unreadable
        text "[Alice sent a message that cannot be bridged]"
    "#]]);
}

#[test]
fn an_empty_message_leaves_a_line() {
    case(message(Vec::new()), middle()).check(expect![[r#"
        placeholder empty
        text "[Alice sent an empty message]"
    "#]]);
    case(text("\u{200B}\u{FEFF}\u{202E}"), middle()).check(expect![[r#"
        placeholder empty
        text "[Alice sent an empty message]"
    "#]]);
    case(text(" \n"), middle()).check(expect![[r#"
        placeholder empty
        text "[Alice sent an empty message]"
    "#]]);
    case(message(vec![Part::text(" "), Part::text("Hi")]), middle()).check(expect![[r#"
        native empty
        text "Hi"
    "#]]);
}

#[test]
fn a_target_without_room_for_a_character_is_a_refusal() {
    let text_limit = TextLimit { max: 3, unit: TextUnit::Utf8Bytes };
    case(text("👍"), Capabilities { text: text_limit, ..middle() }).check(expect![[r#"
        refusal text-not-shown
    "#]]);
}
