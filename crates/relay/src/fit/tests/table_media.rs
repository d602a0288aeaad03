//! Media, row by row.

use super::desk::{case, known, medium, message, middle, narrow, native, reply, rich};
use crate::{Action, not_shown};
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
        media Image by url
    "#]]);
    let typeless = Media { mime: None, ..photo() };
    case(one(typeless), rich()).of_plain_origin().check(expect![[r#"
        native
        media Image by url
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
        media Audio by url
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
        media Image by url
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
        media Document by url
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

#[test]
fn media_that_turn_out_to_be_out_of_reach_leave_a_line_within_the_limit() {
    let voice = case(one(medium(MediaKind::Voice, "audio/ogg")), middle());
    let photo = case(one(captioned(photo(), &"word ".repeat(200))), rich()).named();
    for (case, begins) in [
        (voice, "[Alice sent a voice note that cannot be shown here]"),
        (photo, "[Alice sent a photo that cannot be shown here]\nAlice: word word"),
    ] {
        let plan = case.plan();
        let Action::Media(media) = &plan.outgoings[0].action else { panic!("{plan:?}") };
        let Action::Text { text, .. } = case.with_input(|input| not_shown(input, media)) else {
            panic!("no text");
        };
        assert!(text.expose().starts_with(begins), "{}", text.expose());
        assert!(case.target.text.allows(text.expose()));
    }
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
