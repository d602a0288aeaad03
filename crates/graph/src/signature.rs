//! `X-Hub-Signature-256`: HMAC-SHA256 with the app secret over the raw body. PLATFORMS.md section 2, "Signature".
//!
//! Refuses to see anything but raw bytes: Meta signs the body as sent, with non-ASCII escaped, so a parsed and
//! re-serialised body has another signature.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header's name, in lower case.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// Why a body is not accepted as the platform's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no such header. (The old `X-Hub-Signature` with SHA-1 is not looked at.)
    #[error(
        "the request has no X-Hub-Signature-256 header, which the platform always sends; does somebody else post here, or a proxy drop it?"
    )]
    Missing,
    /// The header is not `sha256=` and 64 hex digits.
    #[error(
        "X-Hub-Signature-256 is not `sha256=` followed by 64 hex digits; does somebody else post here, or a proxy change it?"
    )]
    Malformed,
    /// The signature belongs to another body or another secret.
    #[error(
        "the signature does not match the body; check the app secret of this account \
         (Instagram Login has a secret of its own), and that no proxy rewrites bodies"
    )]
    Wrong,
}

/// Checks `header` (the value of [`SIGNATURE_HEADER`]) against the raw `body`, in constant time.
///
/// # Errors
/// [`SignatureError`] says whether it is missing, malformed or wrong.
pub fn verify_signature(
    app_secret: &[u8],
    body: &[u8],
    header: Option<&str>,
) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?.trim();
    let digits = header.strip_prefix("sha256=").ok_or(SignatureError::Malformed)?;
    let mut claimed = [0_u8; 32];
    hex::decode_to_slice(digits, &mut claimed).map_err(|_| SignatureError::Malformed)?;
    mac_of(app_secret, body).verify_slice(&claimed).map_err(|_| SignatureError::Wrong)
}

/// The header's value for `body`, as the platform would send it.
pub fn sign(app_secret: &[u8], body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac_of(app_secret, body).finalize().into_bytes()))
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn mac_of(app_secret: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(app_secret).expect("HMAC takes keys of every length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_own_body_and_secret_only() {
        let header = sign(b"secret", b"body");
        assert_eq!(verify_signature(b"secret", b"body", Some(&header)), Ok(()));
        let wrong = Err(SignatureError::Wrong);
        assert_eq!(verify_signature(b"secret", b"body ", Some(&header)), wrong);
        assert_eq!(verify_signature(b"other", b"body", Some(&header)), wrong);
    }

    #[test]
    fn a_missing_or_malformed_header_is_a_rejection() {
        assert_eq!(verify_signature(b"s", b"b", None), Err(SignatureError::Missing));
        for header in ["", "sha256=", "sha1=00", "sha256=zz", &format!("sha256={}", "0".repeat(63))]
        {
            let result = verify_signature(b"s", b"b", Some(header));
            assert_eq!(result, Err(SignatureError::Malformed), "{header}");
        }
    }

    #[test]
    fn mistake_2_the_signature_is_over_the_raw_bytes_and_not_over_reserialised_json() {
        let raw = br#"{"text":"\u00e4\/b"}"#;
        let value: serde_json::Value = serde_json::from_slice(raw).unwrap();
        let again = serde_json::to_vec(&value).unwrap();
        let header = sign(b"s", raw);
        assert_eq!(verify_signature(b"s", raw, Some(&header)), Ok(()));
        assert_eq!(verify_signature(b"s", &again, Some(&header)), Err(SignatureError::Wrong));
    }

    #[test]
    fn it_is_the_hmac_of_rfc_4231() {
        let header = sign(b"Jefe", b"what do ya want for nothing?");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(header, expected);
    }
}
