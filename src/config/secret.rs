//! Secrets: where they come from, and a type that does not show them.

use super::finding::Position;
use super::location::is_loopback;
use interline_broker::{BrokerUrl, UrlError};
use interline_envelope::RootKey;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use url::Url;
use zeroize::Zeroizing;

/// The largest file that is read as a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A token, password or key. It has no `Display`, `Debug` shows nothing, and memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the code that sends it or computes with it. Never for a log line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// Reads an environment variable.
pub type ReadEnv = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where secrets are fetched. Passed in, so that a test has its own environment.
pub struct SecretSource {
    /// The environment.
    pub env: ReadEnv,
    /// Where systemd puts the unit's credentials.
    pub credentials_directory: Option<PathBuf>,
}

impl SecretSource {
    /// This process's own environment.
    pub fn process() -> Self {
        Self {
            env: Box::new(|name| std::env::var(name).ok()),
            credentials_directory: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSource")
            .field("credentials_directory", &self.credentials_directory)
            .finish_non_exhaustive()
    }
}

/// What a secret must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One line of text.
    Token,
    /// An `amqp://` or `amqps://` URL.
    BrokerUrl,
    /// 32 bytes, or 64 hex digits.
    RootKey,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Inline(Secret),
    Env(String),
    File(PathBuf),
    Credential(String),
}

/// A secret that the config names and that was not fetched yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) place: Place,
    pub(super) form: Form,
}

/// A secret, and what is unwise about it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) secret: Secret,
    pub(super) warnings: Vec<String>,
}

impl SecretRef {
    /// True if the secret stands in the config itself.
    pub(super) const fn is_inline(&self) -> bool {
        matches!(self.place, Place::Inline(_))
    }

    /// Fetches the secret and checks its form. `Err` is the message of a finding.
    pub(super) fn fetch(&self, source: &SecretSource) -> Result<Fetched, String> {
        let mut warnings = Vec::new();
        let bytes = match &self.place {
            Place::Inline(secret) => Zeroizing::new(secret.expose().as_bytes().to_vec()),
            Place::Env(name) => {
                let value = (source.env)(name).ok_or_else(|| {
                    format!("the environment variable {name} is not set; set it, or name a file or credential")
                })?;
                Zeroizing::new(value.into_bytes())
            }
            Place::File(path) => {
                if is_readable_by_all(path) {
                    warnings.push(format!(
                        "{} may be read by every user of this machine; `chmod 600` it",
                        path.display()
                    ));
                }
                read_bounded(path)?
            }
            Place::Credential(name) => {
                let directory = source.credentials_directory.as_ref().ok_or_else(|| {
                    format!(
                        "the systemd credential `{name}` is not there, since CREDENTIALS_DIRECTORY is not set; \
                         start Interline from its unit with LoadCredential={name}:FILE, or by hand as root with the variable naming the folder of such files"
                    )
                })?;
                read_bounded(&directory.join(name)).map_err(|why| {
                    format!("the systemd credential `{name}` cannot be used: {why}; add LoadCredential={name}:FILE to the unit")
                })?
            }
        };
        let secret = self.check(&bytes, &mut warnings)?;
        Ok(Fetched { secret, warnings })
    }

    fn check(&self, bytes: &[u8], warnings: &mut Vec<String>) -> Result<Secret, String> {
        let inline = self.is_inline();
        // A broker's URL is a secret only if it has a password; see there.
        if inline && self.form != Form::BrokerUrl {
            warnings.push(
                "the secret stands in the config itself, where backups and colleagues see it; \
                 move it to { credential = … }, { env = … } or { file = … }"
                    .to_owned(),
            );
        }
        if self.form == Form::RootKey {
            let key = RootKey::from_bytes(bytes).map_err(|error| error.to_string())?;
            return Ok(Secret::new(key.to_exposed_hex()));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| "the secret is no text; write it as one line of UTF-8".to_owned())?
            .trim();
        if text.is_empty() {
            return Err("the secret is empty; write it where the config says it is".to_owned());
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(
                "the secret has a space or a line break inside; write it as one line".to_owned()
            );
        }
        if self.form == Form::BrokerUrl {
            warnings.extend(check_broker_url(text, inline)?);
        }
        Ok(Secret::new(text))
    }
}

fn check_broker_url(text: &str, inline: bool) -> Result<Vec<String>, String> {
    // Its errors never repeat the URL.
    let broker: BrokerUrl = text.parse().map_err(|error: UrlError| error.to_string())?;
    let url = Url::parse(text).map_err(|error| {
        format!("this is no URL ({error}); it looks like \"amqp://user:password@host:5672/%2f\"")
    })?;
    let mut warnings = Vec::new();
    let published = url.username() == "guest" && url.password() == Some("guest");
    if inline && url.password().is_some() && !published {
        warnings.push(
            "the broker's password stands in the config itself; write the whole URL into \
             { credential = … }, { env = … } or { file = … }"
                .to_owned(),
        );
    }
    if !broker.is_tls() && !is_loopback(broker.host()) {
        warnings.push(
            "amqp:// sends the password and every message in clear over the network; use amqps://"
                .to_owned(),
        );
    }
    Ok(warnings)
}

fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    use std::io::Read;
    let cannot = |error: std::io::Error| {
        format!(
            "{} cannot be read ({error}); make it, or give Interline's user the right to read it",
            path.display()
        )
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!(
            "{} has more than {SECRET_BYTES_MAX} bytes, so it is no secret; check the name",
            path.display()
        ));
    }
    Ok(bytes)
}

fn is_readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(credentials: Option<&Path>) -> SecretSource {
        SecretSource {
            env: Box::new(|name| (name == "TOKEN").then(|| "from-env".to_owned())),
            credentials_directory: credentials.map(Path::to_owned),
        }
    }

    fn secret(place: Place, form: Form) -> SecretRef {
        SecretRef { key: "account[0].access_token".into(), at: Position::default(), place, form }
    }

    #[test]
    fn a_secret_comes_from_environment_file_or_credential_without_its_line_break() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "from-file\n").unwrap();
        let source = source(Some(dir.path()));
        let fetch =
            |place| secret(place, Form::Token).fetch(&source).unwrap().secret.expose().to_owned();
        assert_eq!(fetch(Place::Env("TOKEN".into())), "from-env");
        assert_eq!(fetch(Place::File(path)), "from-file");
        assert_eq!(fetch(Place::Credential("token".into())), "from-file");
    }

    #[test]
    fn a_missing_secret_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let fail =
            |place, source: &SecretSource| secret(place, Form::Token).fetch(source).unwrap_err();
        assert!(fail(Place::Env("ABSENT".into()), &source(None)).contains("ABSENT is not set"));
        assert!(
            fail(Place::Credential("t".into()), &source(None)).contains("LoadCredential=t:FILE")
        );
        assert!(
            fail(Place::Credential("t".into()), &source(Some(dir.path())))
                .contains("LoadCredential=t:FILE")
        );
        assert!(
            fail(Place::File(dir.path().join("absent")), &source(None)).contains("cannot be read")
        );
        let large = dir.path().join("large");
        std::fs::write(&large, vec![b'a'; 70_000]).unwrap();
        assert!(fail(Place::File(large), &source(None)).contains("more than 65536 bytes"));
    }

    #[test]
    fn a_secret_that_all_users_may_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "x").unwrap();
        for (mode, warnings) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let fetched =
                secret(Place::File(path.clone()), Form::Token).fetch(&source(None)).unwrap();
            assert_eq!(fetched.warnings.len(), warnings, "{mode:o}");
        }
    }

    #[test]
    fn a_root_key_is_taken_raw_or_in_hex_and_refused_in_any_other_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = RootKey::published_test_key().to_exposed_hex();
        for form in [hex::decode(&key).unwrap(), format!("{key}\n").into_bytes()] {
            std::fs::write(&path, form).unwrap();
            let fetched =
                secret(Place::File(path.clone()), Form::RootKey).fetch(&source(None)).unwrap();
            assert_eq!(fetched.secret.expose(), key);
        }
        std::fs::write(&path, "short").unwrap();
        let message = secret(Place::File(path), Form::RootKey).fetch(&source(None)).unwrap_err();
        assert!(message.contains("openssl rand -hex 32"), "{message}");
    }

    #[test]
    fn a_broker_url_in_clear_or_with_an_inline_password_is_warned_of_and_another_scheme_refused() {
        let warnings = |text: &str| check_broker_url(text, true).map(|warnings| warnings.len());
        assert_eq!(warnings("amqp://guest:guest@127.0.0.1:5672/%2f"), Ok(0));
        assert_eq!(warnings("amqp://guest:guest@[::1]:5672/%2f"), Ok(0));
        assert_eq!(warnings("amqps://user@rabbit.example/x"), Ok(0));
        assert_eq!(warnings("amqps://user:hunter2@rabbit.example/x"), Ok(1));
        assert_eq!(warnings("amqp://user:hunter2@rabbit.example/x"), Ok(2));
        for bad in ["http://x", "rabbit.example:5672", "amqp://", "", "amqp:///x"] {
            let message = check_broker_url(bad, true).unwrap_err();
            assert!(message.contains("amqp://"), "{bad}: {message}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let shown = format!("{:?}", secret(Place::Inline(Secret::new("hunter2")), Form::Token));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
