//! What holds for every envelope and every target.

use super::desk::{
    BYTES_1000, CHARACTERS_2000, CHARACTERS_4096, Case, case, envelope, known, medium, message,
    middle, narrow, native, reaction, rich, status, text, texts,
};
use crate::fit::split::split;
use crate::{Action, Capabilities, Form, Plan, Reference, TextLimit, TextUnit};
use interline_envelope::{
    Choice, ChoiceOf, ContactCard, Envelope, Kind, Location, Media, MediaKind, Order, Part,
    ReactionAction, Redacted, ReplyTo, Share, ShareOf, StatusState, Unknown,
};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "([a-zäé]{1,12}[ .!?\n]{1,3}){0,200}",
        "(👨‍👩‍👧‍👦|🇩🇪|❤️|e\u{301}|。|漢|[a-z]{1,9}| |\n\n){0,300}",
        "[a-z]{900,1200}",
    ]
}

fn kind_of_media() -> impl Strategy<Value = MediaKind> {
    prop_oneof![
        Just(MediaKind::Image),
        Just(MediaKind::Video),
        Just(MediaKind::Audio),
        Just(MediaKind::Voice),
        Just(MediaKind::Document),
        Just(MediaKind::Sticker),
    ]
}

fn media() -> impl Strategy<Value = Media> {
    let mimes =
        ["image/jpeg", "image/webp", "video/mp4", "audio/ogg", "audio/mp4", "application/zip"];
    let mime = proptest::option::of(proptest::sample::select(mimes.to_vec()));
    let caption = proptest::option::of(words());
    (kind_of_media(), mime, caption, any::<bool>(), 0_u64..200_000_000).prop_map(
        |(kind, mime, caption, has_url, bytes)| {
            let mut media = medium(kind, "");
            media.mime = mime.map(str::to_owned);
            media.caption = caption.map(Redacted::new);
            media.bytes = Some(bytes);
            media.url = media.url.filter(|_| has_url);
            media
        },
    )
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => words().prop_map(Part::text),
        4 => media().prop_map(Part::Media),
        1 => (words(), -90.0..90.0_f64).prop_map(|(name, latitude)| {
            let (name, unknown) = (Some(name.into()), Unknown::new());
            Part::Location(Location { latitude, longitude: 1.0, name, address: None, url: None, unknown })
        }),
        1 => proptest::collection::vec(words(), 0..4).prop_map(|names| {
            let card = |name: String| ContactCard { name: name.into(), ..ContactCard::default() };
            Part::Contacts { contacts: names.into_iter().map(card).collect(), unknown: Unknown::new() }
        }),
        1 => words().prop_map(|title| Part::Choice(Choice {
            id: "1".into(),
            title: title.into(),
            description: None,
            of: ChoiceOf::List,
            data: None,
            unknown: Unknown::new(),
        })),
        1 => (words(), any::<bool>()).prop_map(|(title, is_story)| Part::Share(Share {
            of: if is_story { ShareOf::StoryMention } else { ShareOf::Post },
            id: None,
            url: None,
            title: Some(title.into()),
            text: None,
            unknown: Unknown::new(),
        })),
        1 => words().prop_map(|text| Part::Order(Order { text: Some(text.into()), ..Order::default() })),
        1 => words().prop_map(|word| Part::unsupported(word, "unreadable")),
    ]
}

fn event() -> impl Strategy<Value = Envelope> {
    let parts = || proptest::collection::vec(part(), 0..5);
    let reply_to = || {
        any::<bool>()
            .prop_map(|is_reply| is_reply.then(|| ReplyTo::Message { native_id: "old".into() }))
    };
    let emoji = proptest::sample::select(&["❤️", "👍", "🏳️‍🌈"][..]);
    prop_oneof![
        4 => (parts(), reply_to()).prop_map(|(parts, reply_to)| Envelope { reply_to, ..message(parts) }),
        1 => parts().prop_map(|parts| envelope(Kind::Edit, parts)),
        1 => parts().prop_map(|parts| envelope(Kind::Unsupported, parts)),
        1 => Just(envelope(Kind::Delete, Vec::new())),
        1 => emoji.prop_map(|emoji| reaction(ReactionAction::Add, Some(emoji))),
        1 => Just(reaction(ReactionAction::Remove, None)),
    ]
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        Just(Reference::None),
        Just(Reference::Unknown),
        words().prop_map(|words| native(Some(&words))),
        Just(native(None)),
        words().prop_map(|words| known(Some(&words), Some("Bob"))),
        Just(known(None, None)),
    ]
}

fn target() -> impl Strategy<Value = Capabilities> {
    prop_oneof![Just(rich()), Just(middle()), Just(narrow())]
}

fn any_case() -> impl Strategy<Value = Case> {
    (event(), target(), reference(), any::<bool>(), any::<bool>()).prop_map(
        |(envelope, target, about, named, is_plain)| {
            let case = Case { named, ..case(envelope, target).about(about) };
            if is_plain { case.of_plain_origin() } else { case }
        },
    )
}

fn without_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

proptest! {
    #[test]
    fn g4_no_kind_yields_nothing_but_a_deletion_of_what_never_arrived(case in any_case()) {
        let plan = case.plan();
        let is_missed = case.envelope.kind != Kind::Delete || case.about != Reference::Unknown;
        prop_assert_eq!(!plan.outgoings.is_empty(), is_missed);
        prop_assert_eq!(plan.form == Form::Nothing, !is_missed);
        if plan.form != Form::Native {
            prop_assert!(!plan.losses.is_empty());
        }
    }

    #[test]
    fn every_text_is_within_the_targets_limit_and_says_something(case in any_case()) {
        let plan = case.plan();
        for (text, limit) in texts(&plan, &case.target) {
            prop_assert!(limit.allows(text));
            prop_assert!(!text.trim().is_empty());
        }
    }

    #[test]
    fn only_the_first_request_quotes(case in any_case()) {
        let plan = case.plan();
        prop_assert!(plan.outgoings.iter().skip(1).all(|outgoing| outgoing.reply_to.is_none()));
    }

    #[test]
    fn among_more_than_two_people_the_author_is_always_told(case in any_case()) {
        let case = case.named();
        let plan = case.plan();
        let told = texts(&plan, &case.target).iter().any(|(text, _)| text.contains("Alice"));
        prop_assert!(told || plan.form == Form::Nothing);
    }

    #[test]
    fn splitting_loses_no_text_and_cuts_no_cluster(
        text in words(),
        max in 1_usize..60,
        in_bytes in any::<bool>(),
    ) {
        let unit = if in_bytes { TextUnit::Utf8Bytes } else { TextUnit::Characters };
        let limit = TextLimit { max: max.max(4), unit };
        let pieces = split(&text, limit).expect("four bytes take every character");
        prop_assert_eq!(without_space(&pieces.concat()), without_space(&text));
        let borders: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
        let is_oversized = text.graphemes(true).any(|grapheme| !limit.allows(grapheme));
        for piece in &pieces {
            prop_assert!(limit.allows(piece));
            let at = piece.as_ptr() as usize - text.as_ptr() as usize;
            prop_assert!(is_oversized || borders.contains(&at));
        }
    }

    #[test]
    fn the_real_limits_hold_for_any_text(text in words()) {
        for limit in [CHARACTERS_4096, CHARACTERS_2000, BYTES_1000] {
            let pieces = split(&text, limit).unwrap();
            prop_assert!(pieces.iter().all(|piece| limit.allows(piece)));
            prop_assert_eq!(without_space(&pieces.concat()), without_space(&text));
        }
    }

    #[test]
    fn a_fitted_text_fits_as_it_is(words in words(), target in target()) {
        prop_assume!(!words.trim().is_empty());
        for (piece, _) in texts(&case(text(&words), target.clone()).of_plain_origin().plan(), &target) {
            let again = case(text(piece), target.clone()).of_plain_origin().plan();
            prop_assert_eq!(again.outgoings.len(), 1);
            prop_assert_eq!(texts(&again, &target), vec![(piece, target.text)]);
        }
    }
}

#[test]
fn a_plan_survives_the_store() {
    let parts = vec![Part::text("Hi"), Part::Media(medium(MediaKind::Video, "video/mp4"))];
    let plan = case(message(parts), narrow()).named().plan();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn statuses_never_become_words() {
    for state in [StatusState::Sent, StatusState::Read, StatusState::Failed] {
        for target in [rich(), middle(), narrow()] {
            let plan = case(status(state.clone()), target).about(native(Some("Hi"))).plan();
            let is_word = |action: &Action| matches!(action, Action::Text { .. });
            assert!(!plan.outgoings.iter().any(|outgoing| is_word(&outgoing.action)));
        }
    }
}
