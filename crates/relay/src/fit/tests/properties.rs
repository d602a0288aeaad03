//! What holds for every envelope and every target.

use super::desk::{
    BYTES_1000, CHARACTERS_2000, CHARACTERS_4096, Case, case, envelope, known, medium, message,
    middle, narrow, native, number_change, reaction, rich, shown, status, text, texts,
};
use crate::fit::split::split;
use crate::fit::visible::is_visible;
use crate::{
    Action, Capabilities, Form, MediaAccess, MediaSource, OriginTraits, OutMedia, Outgoing, Plan,
    ReactionForm, Reference, TextLimit, TextUnit,
};
use interline_envelope::{
    Choice, ChoiceOf, ContactCard, Envelope, Kind, Location, Media, MediaKind, Order, Part,
    ReactionAction, Redacted, ReplyTo, Share, ShareOf, StatusState, StoryRef, Unknown,
};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "([a-zäé]{1,12}[ .!?\n]{1,3}){0,200}",
        "(👨‍👩‍👧‍👦|🇩🇪|❤️|e\u{301}|。|漢|[a-z]{1,9}| |\n\n){0,300}",
        "[a-z]{900,1200}",
        // Families, flags, skin tones, key caps, a flag of tags; long enough to be cut anywhere.
        "(👨‍👩‍👧‍👦|🏴󠁧󠁢󠁳󠁣󠁴󠁿|👍🏽|1️⃣|🇦🇹|🏳️‍🌈| ){0,400}",
        // What shows nothing, turns the direction, combines, or ends a line in several ways.
        "([ \t]|\r\n|\r|\n|\u{2028}|\u{200B}|\u{200D}|\u{FE0F}|\u{202E}|\u{2066}|\u{301}|\u{AD}|a|שלום|مرحبا){0,60}",
        "([*_~`>-]|```| |\n|[a-c]|https://a\\.b/_c_){0,60}",
        "[a-z]{990,1010}([*_~`]|[a-c]){0,20}[a-z]{0,2000}",
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

/// Everything that asks for something to be shown.
fn event() -> impl Strategy<Value = Envelope> {
    let parts = || proptest::collection::vec(part(), 0..5);
    let reply_to = prop_oneof![
        Just(None),
        Just(Some(ReplyTo::Message { native_id: "old".into() })),
        words().prop_map(|url| {
            let story = StoryRef { id: "9".into(), url: Some(url.into()) };
            Some(ReplyTo::Story { story })
        }),
    ];
    let emoji = || proptest::sample::select(&["❤️", "❤", "👍", "🏳️‍🌈"][..]);
    prop_oneof![
        4 => (parts(), reply_to, any::<bool>()).prop_map(|(parts, reply_to, forwarded)| {
            Envelope { reply_to, forwarded, ..message(parts) }
        }),
        1 => parts().prop_map(|parts| envelope(Kind::Edit, parts)),
        1 => parts().prop_map(|parts| envelope(Kind::Unsupported, parts)),
        1 => Just(envelope(Kind::Delete, Vec::new())),
        1 => emoji().prop_map(|emoji| reaction(ReactionAction::Add, Some(emoji))),
        1 => proptest::option::of(emoji()).prop_map(|emoji| reaction(ReactionAction::Remove, emoji)),
        1 => Just(number_change()),
    ]
}

/// What no person is shown as a message.
fn quiet_event() -> impl Strategy<Value = Envelope> {
    prop_oneof![
        proptest::sample::select(
            &[Kind::Referral, Kind::System, Kind::Handover, Kind::Account, Kind::Typing][..]
        )
        .prop_map(|kind| envelope(kind, Vec::new())),
        proptest::sample::select(
            &[StatusState::Sent, StatusState::Delivered, StatusState::Read, StatusState::Failed][..]
        )
        .prop_map(status),
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

fn case_of(event: impl Strategy<Value = Envelope>) -> impl Strategy<Value = Case> {
    let earlier = proptest::option::of(proptest::sample::select(
        &[ReactionForm::Native, ReactionForm::Text][..],
    ));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (event, target(), reference(), earlier, flags).prop_map(
        |(envelope, target, about, earlier_reaction, (named, is_plain, mark_forwarded))| {
            let case = case(envelope, target).about(about);
            let case = Case { named, earlier_reaction, mark_forwarded, ..case };
            if is_plain { case.of_plain_origin() } else { case }
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    case_of(event())
}

/// What a person on the target would have to send for it to look the same: the message of one request.
fn sent_again(action: &Action) -> Option<Envelope> {
    Some(match action {
        Action::Text { text, .. } => self::text(text.expose()),
        Action::Media(media) => message(media.iter().map(again).collect()),
        Action::Location(place) => message(vec![Part::Location(place.clone())]),
        Action::Contacts(contacts) => {
            let (contacts, unknown) = (contacts.clone(), Unknown::new());
            message(vec![Part::Contacts { contacts, unknown }])
        }
        Action::Heart
        | Action::PlatformSticker(_)
        | Action::Reaction { .. }
        | Action::MarkRead { .. }
        | Action::Typing { .. }
        | Action::SharePost(_)
        | Action::Interactive(_)
        | Action::Template(_)
        | Action::Upload(_)
        | Action::LocateMedia(_)
        | Action::ThreadControl(_) => return None,
    })
}

fn again(out: &OutMedia) -> Part {
    let MediaSource::Origin(origin) = &out.source else { panic!("behind a token") };
    Part::Media(Media { media: out.media, caption: out.caption.clone(), ..*origin.clone() })
}

/// What can be seen of a text, without the marks that `fit` takes away or guards.
fn bare(text: &str) -> String {
    let seen = |c: &char| is_visible(c.encode_utf8(&mut [0; 4])) && !"*_~`".contains(*c);
    text.chars().filter(seen).collect()
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
    fn g4_what_is_shown_to_nobody_says_which_loss_that_is(case in case_of(quiet_event())) {
        let plan = case.plan();
        prop_assert_eq!(plan.outgoings.is_empty(), plan.form == Form::Nothing);
        prop_assert_eq!(plan.losses.is_empty(), plan.form == Form::Native);
    }

    #[test]
    fn every_medium_is_of_a_kind_a_type_and_a_size_that_the_target_takes(case in any_case()) {
        for outgoing in &case.plan().outgoings {
            let Action::Media(media) = &outgoing.action else { continue };
            for one in media {
                let rule = case.target.media_rule(one.media).expect("the kind is taken");
                prop_assert!(media.len() <= usize::from(rule.per_message_max));
                if let MediaSource::Origin(origin) = &one.source {
                    prop_assert!(origin.bytes.is_none_or(|bytes| bytes <= rule.bytes_max));
                    prop_assert!(origin.mime.as_ref().is_none_or(|mime| rule.takes(mime)));
                }
            }
        }
    }

    #[test]
    fn every_text_is_within_the_targets_limit_and_says_something(case in any_case()) {
        let plan = case.plan();
        for (text, limit) in texts(&plan, &case.target) {
            prop_assert!(limit.allows(text));
            prop_assert!(is_visible(text));
        }
    }

    #[test]
    fn only_the_first_message_quotes(case in any_case()) {
        let plan = case.plan();
        let is_message = |action: &Action| !matches!(action, Action::Reaction { .. });
        let messages = plan.outgoings.iter().filter(|outgoing| is_message(&outgoing.action));
        prop_assert!(messages.skip(1).all(|outgoing| outgoing.reply_to.is_none()));
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
    fn fitting_what_came_out_changes_nothing(case in any_case()) {
        let plan = case.plan();
        let media_access = MediaAccess::AccountToken;
        let origin = OriginTraits { media_access, ..OriginTraits::from(&case.target) };
        for outgoing in plan.outgoings.iter().filter(|_| case.origin.media_access == media_access) {
            let Some(envelope) = sent_again(&outgoing.action) else { continue };
            let again = Case { origin, ..self::case(envelope, case.target.clone()) }.plan();
            let mut expected = Plan { losses: Vec::new(), form: Form::Native, ..plan.clone() };
            expected.outgoings = vec![Outgoing { reply_to: None, ..outgoing.clone() }];
            prop_assert_eq!(shown(&again), shown(&expected));
        }
    }

    #[test]
    fn every_word_of_a_message_arrives(words in words(), target in target(), named in any::<bool>()) {
        prop_assume!(is_visible(&words));
        for is_plain in [true, false] {
            let case = Case { named, ..case(text(&words), target.clone()) };
            let case = if is_plain { case.of_plain_origin() } else { case };
            let plan = case.plan();
            let told: String = texts(&plan, &case.target).iter().map(|(text, _)| *text).collect();
            let told = bare(&told);
            let told = if named { told.strip_prefix("Alice:").map(str::to_owned) } else { Some(told) };
            prop_assert_eq!(told, Some(bare(&words)));
        }
    }

    #[test]
    fn a_fitted_text_fits_as_it_is(words in words(), target in target()) {
        prop_assume!(is_visible(&words));
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
