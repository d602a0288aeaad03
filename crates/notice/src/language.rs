//! In which language a person is told something.

/// A language that there is a catalogue of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// Also for everybody whose language is not known, or not here.
    #[default]
    English,
    /// `de`
    German,
    /// `es`
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Spanish];

    /// Its ISO 639 code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
        }
    }

    /// The language of a tag (`de-AT`, BCP 47) or of a platform's locale (`de_AT`); nothing if there is no catalogue of
    /// it. Regions are not told apart.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_', '.', '@']).next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|language| language.as_str().eq_ignore_ascii_case(primary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_its_tag_or_by_a_platforms_locale() {
        for (tag, language) in [
            ("de", Some(Language::German)),
            ("de-AT", Some(Language::German)),
            ("DE_ch", Some(Language::German)),
            ("es_419", Some(Language::Spanish)),
            ("en-GB", Some(Language::English)),
            ("fr", None),
            ("", None),
            ("desperate", None),
        ] {
            assert_eq!(Language::of_tag(tag), language, "{tag}");
        }
    }
}
