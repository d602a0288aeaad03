//! The sentences, in each language.

use crate::{Cause, Language};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use std::sync::LazyLock;
use unic_langid::LanguageIdentifier;

/// One bundle a language, in the order of [`Language::ALL`].
static BUNDLES: LazyLock<[FluentBundle<FluentResource>; 3]> =
    LazyLock::new(|| Language::ALL.map(bundle));

const fn source(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("../catalogues/en.ftl"),
        Language::German => include_str!("../catalogues/de.ftl"),
        Language::Spanish => include_str!("../catalogues/es.ftl"),
    }
}

fn bundle(language: Language) -> FluentBundle<FluentResource> {
    let id: LanguageIdentifier = language.as_str().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![id]);
    // Marks of direction around a name would be shown by some clients.
    bundle.set_use_isolating(false);
    // A line with a mistake is left out; a test reads every catalogue without one.
    let resource =
        FluentResource::try_new(source(language).to_owned()).unwrap_or_else(|(read, _)| read);
    bundle.add_resource_overriding(resource);
    bundle
}

/// The sentence for a cause.
///
/// `recipient`: the name that the person knows the other one by, where there is more than one other; never an id.
pub fn notice(cause: Cause, language: Language, recipient: Option<&str>) -> String {
    // The catalogues are complete, which a test holds true; English stands in for the case that one is not.
    sentence(cause, language, recipient)
        .or_else(|| sentence(cause, Language::English, recipient))
        .unwrap_or_default()
}

fn sentence(cause: Cause, language: Language, recipient: Option<&str>) -> Option<String> {
    let index = Language::ALL.iter().position(|one| *one == language)?;
    let bundle = BUNDLES.get(index)?;
    let message = bundle.get_message(cause.as_str())?;
    let (pattern, arguments) = match recipient {
        Some(name) => {
            let mut arguments = FluentArgs::new();
            arguments.set("recipient", name.to_owned());
            (message.get_attribute("for")?.value(), Some(arguments))
        }
        None => (message.value()?, None),
    };
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, arguments.as_ref(), &mut errors).into_owned();
    errors.is_empty().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_sentences_in_every_language() {
        for language in Language::ALL {
            let read = FluentResource::try_new(source(language).to_owned());
            assert!(read.is_ok(), "{language:?}: {:?}", read.err().map(|(_, errors)| errors));
            let is_message = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
            let messages = source(language).lines().filter(is_message).count();
            assert_eq!(messages, Cause::ALL.len(), "{language:?} says what there is no cause for");
            for cause in Cause::ALL {
                for recipient in [None, Some("Bob")] {
                    let text = sentence(cause, language, recipient);
                    let text = text.unwrap_or_else(|| panic!("{language:?} lacks {cause:?}"));
                    assert!(!text.contains(['{', '}', '$']), "{text}");
                    assert_eq!(text.contains("Bob"), recipient.is_some(), "{text}");
                    assert!(text.ends_with('.') && text.len() < 250, "{text}");
                }
            }
        }
    }

    #[test]
    fn no_two_causes_and_no_two_languages_say_the_same() {
        let mut all: Vec<String> = Vec::new();
        for language in Language::ALL {
            all.extend(Cause::ALL.map(|cause| notice(cause, language, None)));
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_notice_is_a_sentence_in_the_persons_language() {
        let of = |language| notice(Cause::WindowClosed, language, Some("Bob"));
        assert_eq!(
            of(Language::English),
            "Your message to Bob is waiting. It will be delivered when Bob writes again."
        );
        assert_eq!(
            of(Language::German),
            "Deine Nachricht an Bob wartet. Sie wird zugestellt, sobald Bob wieder schreibt."
        );
        assert_eq!(
            of(Language::Spanish),
            "Tu mensaje para Bob está en espera. Se entregará cuando Bob vuelva a escribir."
        );
        assert_eq!(
            notice(Cause::Refused, Language::English, None),
            "Your message was not delivered: the app on the other side did not accept it."
        );
    }

    #[test]
    fn a_name_is_put_in_as_it_is() {
        let text = notice(Cause::Unreachable, Language::English, Some("{ $x } *B*"));
        assert!(text.starts_with("{ $x } *B* did not get"), "{text}");
    }
}
