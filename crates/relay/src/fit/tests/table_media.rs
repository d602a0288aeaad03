//! Media, row by row.

use super::desk::{Case, case, known, medium, message, middle, narrow, native, reply, rich};
use crate::{Action, Capabilities, Loss, MediaRule, instead_of_media};
use expect_test::expect;
use interline_envelope::{Envelope, Media, MediaKind, Part};

fn one(media: Media) -> Envelope {
    message(vec![Part::Media(media)])
}

fn photo() -> Media {
    medium(MediaKind::Image, "image/jpeg")
}

fn captioned(media: Media, caption: &str) -> Media {
    Media { caption: Some(caption.into()), ..media }
}

#[test]
fn a_photo_stays_a_photo() {
    case(one(photo()), middle()).check(expect![[r#"
        native
        media Image by origin
    "#]]);
    case(one(photo()), rich()).of_plain_origin().check(expect![[r#"
        native
        media Image by origin
    "#]]);
    let typeless = Media { mime: None, ..photo() };
    case(one(typeless), rich()).of_plain_origin().check(expect![[r#"
        native
        media Image by origin
    "#]]);
}

#[test]
fn a_caption_stays_inside_or_follows_its_medium() {
    let photo = || one(captioned(photo(), "*The* sea"));
    case(photo(), rich()).check(expect![[r#"
        native
        media Image by origin under it "*The* sea"
    "#]]);
    case(photo(), rich()).named().check(expect![[r#"
        native
        media Image by origin under it "Alice: *The* sea"
    "#]]);
    case(photo(), middle()).check(expect![[r#"
        native formatting-removed caption-separated
        media Image by origin
        text "The sea"
    "#]]);
    case(photo(), middle()).named().check(expect![[r#"
        native formatting-removed caption-separated
        media Image by origin
        text "Alice: The sea"
    "#]]);
    let long = "word ".repeat(300);
    let plan = case(one(captioned(self::photo(), &long)), rich()).plan();
    assert_eq!(plan.outgoings.len(), 2);
}

#[test]
fn a_caption_of_which_nothing_is_seen_is_none() {
    for nothing in ["\u{200B}", " \u{FEFF}", "\u{2800}"] {
        case(one(captioned(photo(), nothing)), rich()).check(expect![[r#"
            native
            media Image by origin
        "#]]);
        case(one(captioned(photo(), nothing)), middle()).named().check(expect![[r#"
            native
            text "Alice sent a photo"
            media Image by origin
        "#]]);
    }
}

#[test]
fn a_photo_among_more_than_two_people_says_whose_it_is() {
    case(one(photo()), rich()).named().check(expect![[r#"
        native
        media Image by origin under it "Alice"
    "#]]);
    case(one(photo()), middle()).named().check(expect![[r#"
        native
        text "Alice sent a photo"
        media Image by origin
    "#]]);
}

#[test]
fn a_photo_that_answers_something_quotes_it() {
    let photo = || Envelope { parts: vec![Part::Media(photo())], ..reply("") };
    case(photo(), middle()).about(native(None)).check(expect![[r#"
        native
        media Image by origin quoting m1
    "#]]);
    case(photo(), middle()).about(known(Some("Where?"), Some("Bob"))).check(expect![[r#"
        native reply-as-text
        text "> Bob: Where?"
        media Image by origin
    "#]]);
    case(photo(), rich()).named().about(known(Some("Where?"), Some("Bob"))).check(expect![[r#"
        native reply-as-text
        media Image by origin under it "> Bob: Where?\n\nAlice"
    "#]]);
}

#[test]
fn several_photos_go_together_where_the_target_has_albums() {
    let photos = |count| message((0..count).map(|_| Part::Media(photo())).collect());
    case(photos(3), narrow()).check(expect![[r#"
        native
        media Image by origin Image by origin Image by origin
    "#]]);
    case(photos(3), narrow()).named().check(expect![[r#"
        native
        text "Alice sent 3 photos"
        media Image by origin Image by origin Image by origin
    "#]]);
    case(photos(3), middle()).named().check(expect![[r#"
        native media-separated
        text "Alice sent 3 photos"
        media Image by origin
        media Image by origin
        media Image by origin
    "#]]);
    assert_eq!(case(photos(12), narrow()).plan().outgoings.len(), 2);
}

#[test]
fn mixed_media_and_words_keep_their_order() {
    let film = medium(MediaKind::Video, "video/mp4");
    let parts = vec![
        Part::text("Look"),
        Part::Media(photo()),
        Part::Media(photo()),
        Part::Media(captioned(film, "Waves")),
        Part::text("Nice?"),
    ];
    case(message(parts), narrow()).named().check(expect![[r#"
        native caption-separated media-separated
        text "Alice: Look"
        media Image by origin Image by origin
        media Video by origin
        text "Waves"
        text "Nice?"
    "#]]);
}

#[test]
fn a_voice_note_stays_one_or_becomes_a_sound_file() {
    let voice = || one(medium(MediaKind::Voice, "audio/ogg; codecs=opus"));
    case(voice(), rich()).check(expect![[r#"
        native
        media Voice by origin
    "#]]);
    case(voice(), middle()).check(expect![[r#"
        fallback voice-as-audio
        media Audio by origin
    "#]]);
    // Behind a token, so that there is no link either.
    case(voice(), narrow()).check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a voice note that cannot be shown here]"
    "#]]);
    case(voice(), narrow()).named().check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a voice note that cannot be shown here]"
    "#]]);
    case(voice(), narrow()).of_plain_origin().check(expect![[r#"
        fallback media-as-link
        text "📎 voice note, 1.4 MB: https://cdn.example.org/x" preview
    "#]]);
}

#[test]
fn a_clip_that_is_named_like_a_film_is_still_a_sound() {
    let url = Some("https://cdn.example.org/audioclip-1.mp4?x=1".into());
    let clip = Media { url, mime: None, ..medium(MediaKind::Audio, "") };
    case(one(clip), rich()).of_plain_origin().check(expect![[r#"
        native
        media Audio by origin
    "#]]);
}

#[test]
fn a_sticker_stays_one_or_becomes_a_picture() {
    let small = |mime| Media { bytes: Some(9_000), ..medium(MediaKind::Sticker, mime) };
    case(one(small("image/webp")), rich()).check(expect![[r#"
        native
        media Sticker by origin
    "#]]);
    case(one(small("image/png")), rich()).of_plain_origin().check(expect![[r#"
        fallback sticker-as-image
        media Image by origin
    "#]]);
    // WebP is neither a sticker nor a picture there.
    case(one(small("image/webp")), middle()).check(expect![[r#"
        fallback media-as-document
        media Document by origin
    "#]]);
    case(one(small("image/webp")), narrow()).check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a sticker that cannot be shown here]"
    "#]]);
}

#[test]
fn a_moving_picture_becomes_a_file_where_pictures_stand_still() {
    let gif = || one(medium(MediaKind::Image, "image/gif"));
    case(gif(), middle()).check(expect![[r#"
        native
        media Image by origin
    "#]]);
    case(gif(), rich()).of_plain_origin().check(expect![[r#"
        fallback media-as-document
        media Document by origin
    "#]]);
}

#[test]
fn a_file_of_another_type_or_too_big_becomes_a_link_or_a_line() {
    let file =
        |mime| Media { filename: Some("plan.zip".into()), ..medium(MediaKind::Document, mime) };
    case(one(file("application/pdf")), narrow()).check(expect![[r#"
        native
        media Document by origin
    "#]]);
    case(one(file("application/zip")), narrow()).of_plain_origin().check(expect![[r#"
        fallback media-as-link
        text "📎 plan.zip, 1.4 MB: https://cdn.example.org/x" preview
    "#]]);
    case(one(captioned(file("application/zip"), "Mine")), narrow())
        .named()
        .of_plain_origin()
        .check(expect![[r#"
            fallback media-as-link
            text "Alice: 📎 plan.zip, 1.4 MB: https://cdn.example.org/x\nMine" preview
        "#]]);
    case(one(captioned(file("application/zip"), "Mine")), narrow()).check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a file that cannot be shown here]\nMine"
    "#]]);
    let huge = Media { bytes: Some(90_000_000), ..medium(MediaKind::Video, "video/mp4") };
    case(one(huge.clone()), middle()).of_plain_origin().check(expect![[r#"
        fallback media-as-link
        text "📎 video, 90 MB: https://cdn.example.org/x" preview
    "#]]);
    case(one(huge), middle()).check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a video that cannot be shown here]"
    "#]]);
}

#[test]
fn a_link_that_would_have_to_be_cut_is_not_sent() {
    let url = Some(format!("https://cdn.example.org/{}", "x".repeat(1000)).into());
    let file = Media { url, ..medium(MediaKind::Document, "application/zip") };
    case(one(file), narrow()).of_plain_origin().check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a file that cannot be shown here]"
    "#]]);
}

#[test]
fn a_medium_without_id_and_address_leaves_a_line() {
    case(one(Media::new(MediaKind::Image)), rich()).of_plain_origin().check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a photo that cannot be shown here]"
    "#]]);
}

#[test]
fn a_sticker_that_says_the_same_as_an_emoji_becomes_it() {
    let mut heart = Media::new(MediaKind::Sticker);
    heart.unknown.insert("emoji".to_owned(), "❤️".into());
    case(one(heart.clone()), rich()).of_plain_origin().check(expect![[r#"
        fallback sticker-as-text
        text "❤\u{fe0f}"
    "#]]);
    case(one(heart.clone()), middle()).of_plain_origin().named().check(expect![[r#"
        fallback sticker-as-text
        text "Alice: ❤\u{fe0f}"
    "#]]);
    // Where it can be a sticker, it stays one.
    let webp = Media { unknown: heart.unknown, ..medium(MediaKind::Sticker, "image/webp") };
    let webp = Media { bytes: Some(9_000), ..webp };
    case(one(webp), rich()).check(expect![[r#"
        native
        media Sticker by origin
    "#]]);
}

/// What stands in place of the first medium that a case plans.
fn instead(case: &Case) -> (Vec<String>, Loss) {
    let Part::Media(media) = &case.envelope.parts[0] else { panic!("no medium") };
    let (actions, loss) =
        case.with_input(|input| instead_of_media(input, media, media.caption.as_ref()));
    let text = |action| {
        let Action::Text { text, .. } = action else { panic!("{action:?}") };
        text.expose().clone()
    };
    (actions.into_iter().map(text).collect(), loss)
}

#[test]
fn media_that_turn_out_to_be_out_of_reach_leave_lines_within_the_limit() {
    let voice = case(one(medium(MediaKind::Voice, "audio/ogg")), middle());
    assert_eq!(
        instead(&voice),
        (vec!["[Alice sent a voice note that cannot be shown here]".into()], Loss::MediaNotShown)
    );
    let photo = case(one(captioned(photo(), &"word ".repeat(300))), narrow());
    let (texts, loss) = instead(&photo);
    assert_eq!(loss, Loss::MediaNotShown);
    assert!(texts[0].starts_with("[Alice sent a photo that cannot be shown here]\nword word"));
    assert!(texts.len() > 1 && texts.iter().all(|text| photo.target.text.allows(text)));
    assert_eq!(texts.concat().matches("word").count(), 300);
    let id = Some("7".into());
    let film = Media { id, url: None, bytes: Some(90_000_000), ..medium(MediaKind::Video, "") };
    let film = case(one(captioned(film, "Waves")), middle()).linking();
    assert_eq!(
        instead(&film),
        (vec!["📎 video, 90 MB: https://files.example.org/t\nWaves".into()], Loss::MediaAsLink)
    );
}

#[test]
fn what_is_too_big_or_of_another_type_becomes_a_link_where_links_can_be_made() {
    let file = |name: &str| Media {
        id: Some("7".into()),
        filename: Some(name.into()),
        bytes: Some(100_000_000),
        ..medium(MediaKind::Document, "application/zip")
    };
    case(one(file("all of it.zip")), middle()).linking().check(expect![[r#"
        fallback media-as-link
        text "📎 all of it.zip, 100 MB: https://files.example.org/t" preview
    "#]]);
    case(one(captioned(file("all.zip"), "Here")), narrow()).linking().named().check(expect![[r#"
        fallback media-as-link
        text "Alice: 📎 all.zip, 100 MB: https://files.example.org/t\nHere" preview
    "#]]);
    let name = "👨\u{200d}👩\u{200d}👧".repeat(60);
    let (texts, _) = instead(&case(one(file(&name)), narrow()).linking());
    assert!(texts[0].ends_with("https://files.example.org/t"), "{texts:?}");
}

#[test]
fn a_target_that_takes_no_upload_fetches_from_an_address() {
    let fetching = || {
        let media = rich().media.into_iter();
        let media = media.map(|rule| MediaRule { by_upload: false, ..rule }).collect();
        Capabilities { media, ..rich() }
    };
    case(one(photo()), fetching()).of_plain_origin().check(expect![[r#"
        native
        media Image by url
    "#]]);
    let behind_a_token = Media { id: Some("7".into()), ..photo() };
    case(one(behind_a_token.clone()), fetching()).linking().check(expect![[r#"
        native
        media Image by url
    "#]]);
    case(one(behind_a_token), fetching()).check(expect![[r#"
        placeholder media-not-shown
        text "[Alice sent a photo that cannot be shown here]"
    "#]]);
}

/// What a medium of a few kilobytes becomes where everything can be converted.
fn check_converted(kind: MediaKind, mime: &str, target: Capabilities, wanted: expect_test::Expect) {
    let media = Media { bytes: Some(9_000), ..medium(kind, mime) };
    case(one(media), target).converting().check(wanted);
}

#[test]
fn what_can_be_converted_arrives_as_the_best_that_the_target_has() {
    let voice = "audio/ogg; codecs=opus";
    check_converted(
        MediaKind::Voice,
        voice,
        rich(),
        expect![[r#"
        native
        media Voice by origin
    "#]],
    );
    check_converted(
        MediaKind::Voice,
        voice,
        narrow(),
        expect![[r#"
        fallback voice-as-audio
        media Audio by origin
    "#]],
    );
    check_converted(
        MediaKind::Voice,
        "audio/mp4",
        rich(),
        expect![[r#"
        fallback media-converted
        media Voice by origin
    "#]],
    );
}

#[test]
fn pictures_are_converted_where_the_target_takes_them_only_so() {
    check_converted(
        MediaKind::Sticker,
        "image/webp",
        middle(),
        expect![[r#"
        fallback sticker-as-image
        media Image by origin
    "#]],
    );
    check_converted(
        MediaKind::Sticker,
        "image/png",
        rich(),
        expect![[r#"
        fallback media-converted
        media Sticker by origin
    "#]],
    );
    check_converted(
        MediaKind::Image,
        "image/gif",
        rich(),
        expect![[r#"
        fallback media-converted
        media Video by origin
    "#]],
    );
    check_converted(
        MediaKind::Image,
        "image/webp",
        rich(),
        expect![[r#"
        fallback media-converted
        media Image by origin
    "#]],
    );
    check_converted(
        MediaKind::Audio,
        "audio/ogg",
        narrow(),
        expect![[r#"
        fallback media-converted
        media Audio by origin
    "#]],
    );
}

#[test]
fn a_sound_from_a_platform_without_voice_notes_becomes_one_unless_it_is_music() {
    let clip = Media { filename: None, ..medium(MediaKind::Audio, "audio/mp4") };
    case(one(clip.clone()), rich()).of_plain_origin().converting().check(expect![[r#"
        fallback media-converted
        media Voice by origin
    "#]]);
    case(one(clip.clone()), rich()).converting().check(expect![[r#"
        native
        media Audio by origin
    "#]]);
    let song = Media { filename: Some("song.m4a".into()), ..clip };
    case(one(song), rich()).of_plain_origin().converting().check(expect![[r#"
        native
        media Audio by origin
    "#]]);
    case(one(medium(MediaKind::Audio, "audio/mpeg")), rich()).of_plain_origin().converting().check(
        expect![[r#"
            native
            media Audio by origin
        "#]],
    );
}

#[test]
fn a_sticker_that_the_target_has_itself_is_sent_as_one() {
    let sticker = |id: Option<&str>, emoji: &str| {
        let mut sticker = Media { id: id.map(Into::into), ..Media::new(MediaKind::Sticker) };
        sticker.unknown.insert("emoji".to_owned(), emoji.into());
        one(sticker)
    };
    case(sticker(Some("369239263222822"), "👍"), middle()).of_plain_origin().named().check(
        expect![[r#"
        native
        text "Alice sent a sticker"
        sticker 369239263222822
    "#]],
    );
    case(sticker(None, "❤️"), narrow()).check(expect![[r#"
        native
        heart
    "#]]);
    // Another platform's id means nothing there.
    case(sticker(Some("369239263222822"), "👍"), middle()).check(expect![[r#"
        fallback sticker-as-text
        text "👍"
    "#]]);
}
