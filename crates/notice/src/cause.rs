//! Why somebody is told something.

/// Why something did not arrive as it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The target platform did not accept it.
    Refused,
    /// It waited for longer than it was worth sending.
    Expired,
    /// The target platform cannot reach the person.
    Unreachable,
    /// The target platform lets nothing through until the person writes again. It is held, not lost.
    WindowClosed,
    /// The account on the target platform cannot be used now. It is held, not lost.
    AccountPaused,
    /// A kind of event that is not passed on.
    NotBridged,
    /// What was edited is not known on the target.
    EditNotPossible,
    /// What was taken back stays on the target.
    UnsendNotPossible,
    /// The target platform accepted it and said later that it failed.
    FailedLater,
    /// A request of which nobody knows whether it arrived, and that is not sent again.
    Uncertain,
    /// A file over the target's limit, without a link in its place.
    MediaTooLarge,
    /// A file that could not be fetched from its origin.
    MediaUnavailable,
    /// It is sealed, and the target holds no key.
    Sealed,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Refused,
        Self::Expired,
        Self::Unreachable,
        Self::WindowClosed,
        Self::AccountPaused,
        Self::NotBridged,
        Self::EditNotPossible,
        Self::UnsendNotPossible,
        Self::FailedLater,
        Self::Uncertain,
        Self::MediaTooLarge,
        Self::MediaUnavailable,
        Self::Sealed,
    ];

    /// The word in the catalogues, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
            Self::WindowClosed => "window-closed",
            Self::AccountPaused => "account-paused",
            Self::NotBridged => "not-bridged",
            Self::EditNotPossible => "edit-not-possible",
            Self::UnsendNotPossible => "unsend-not-possible",
            Self::FailedLater => "failed-later",
            Self::Uncertain => "uncertain",
            Self::MediaTooLarge => "media-too-large",
            Self::MediaUnavailable => "media-unavailable",
            Self::Sealed => "sealed",
        }
    }

    /// The cause with that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_word_of_its_own_and_is_found_by_it() {
        for cause in Cause::ALL {
            assert_eq!(Cause::parse(cause.as_str()), Some(cause));
        }
        assert_eq!(Cause::parse("bad-weather"), None);
    }
}
