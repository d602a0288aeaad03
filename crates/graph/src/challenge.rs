//! The subscription check: `GET …?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…`. PLATFORMS.md section 2,
//! "Verification". The same on all three platforms.

use std::borrow::Cow;
use subtle::ConstantTimeEq;

/// The longest challenge that is echoed, in bytes; Meta sends about ten digits.
const CHALLENGE_BYTES_MAX: usize = 1024;

/// Why a subscription check is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// Not a subscription check at all: answer 400.
    #[error(
        "this is no subscription check, which has hub.mode, hub.verify_token and hub.challenge; let the platform ask, or write all three"
    )]
    Incomplete,
    /// Another mode or another token: answer 403.
    #[error(
        "hub.mode is not `subscribe`, or hub.verify_token is not the account's verify_token; enter the same word on both sides"
    )]
    Refused,
}

impl ChallengeError {
    /// The HTTP status to answer with.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Incomplete => 400,
            Self::Refused => 403,
        }
    }
}

/// The challenge to echo as `text/plain`, if the query asks properly and knows one of `tokens`.
///
/// `pairs`: the query's pairs, percent-decoded, in any order. `tokens`: the verify tokens of the bridge's accounts;
/// each is compared in constant time, and an empty one never matches.
///
/// # Errors
/// [`ChallengeError::Refused`] for another mode or token, also if the token is absent;
/// [`ChallengeError::Incomplete`] if there is nothing to echo.
pub fn answer_challenge<'q>(
    pairs: impl IntoIterator<Item = (Cow<'q, str>, Cow<'q, str>)>,
    tokens: &[&[u8]],
) -> Result<Cow<'q, str>, ChallengeError> {
    let (mut mode, mut token, mut challenge) = (None, None, None);
    for (key, value) in pairs {
        match &*key {
            "hub.mode" => mode = Some(value),
            "hub.verify_token" => token = Some(value),
            "hub.challenge" => challenge = Some(value),
            _ => {}
        }
    }
    let mode = mode.ok_or(ChallengeError::Incomplete)?;
    let token = token.ok_or(ChallengeError::Refused)?;
    // No early exit: how long it takes says nothing about which account's token was nearly right.
    let known = tokens.iter().fold(false, |known, own| {
        known | (!own.is_empty() & bool::from(own.ct_eq(token.as_bytes())))
    });
    if mode != "subscribe" || !known {
        return Err(ChallengeError::Refused);
    }
    match challenge {
        Some(text) if !text.is_empty() && text.len() <= CHALLENGE_BYTES_MAX => Ok(text),
        _ => Err(ChallengeError::Incomplete),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &'static str)], expected: Result<&str, ChallengeError>) {
        let pairs = pairs.iter().map(|(key, value)| (Cow::from(*key), Cow::from(*value)));
        let answer = answer_challenge(pairs, &[b"".as_slice(), b"token"]);
        assert_eq!(answer.as_deref(), expected.as_ref().copied());
    }

    #[test]
    fn the_right_token_gets_its_challenge_back_in_any_order() {
        let challenge = ("hub.challenge", "<b>1158201444</b>");
        let (mode, token) = (("hub.mode", "subscribe"), ("hub.verify_token", "token"));
        check(&[mode, token, challenge], Ok("<b>1158201444</b>"));
        check(&[challenge, ("x", "y"), token, mode], Ok("<b>1158201444</b>"));
    }

    #[test]
    fn a_wrong_or_missing_token_or_mode_is_refused() {
        let challenge = ("hub.challenge", "1");
        let mode = ("hub.mode", "subscribe");
        check(&[mode, ("hub.verify_token", "wrong"), challenge], Err(ChallengeError::Refused));
        check(&[mode, ("hub.verify_token", ""), challenge], Err(ChallengeError::Refused));
        check(&[mode, challenge], Err(ChallengeError::Refused));
        let other = ("hub.mode", "unsubscribe");
        check(&[other, ("hub.verify_token", "token"), challenge], Err(ChallengeError::Refused));
        check(&[], Err(ChallengeError::Incomplete));
        check(&[mode, ("hub.verify_token", "token")], Err(ChallengeError::Incomplete));
        assert_eq!(ChallengeError::Refused.http_status(), 403);
        assert_eq!(ChallengeError::Incomplete.http_status(), 400);
    }
}
