//! The operator's config: read, checked and fetched before anything starts.
//!
//! `interline.toml` becomes a [`Config`], or a list of all that is wrong with it, each mistake with key, line and
//! remedy. Reading is pure; secrets are fetched in a second step from a [`SecretSource`] that is passed in. No
//! message repeats a value: it could be a secret or a person.

mod accounts;
mod conversations;
#[cfg(test)]
mod example;
mod finding;
mod location;
mod nearest;
mod reader;
mod reload;
mod secret;
mod sections;
mod settings;
#[cfg(test)]
mod tests;
mod units;

pub use finding::{ConfigErrors, Finding, Position};
pub use reload::{Changes, Section};
pub use secret::{ReadEnv, Secret, SecretRef, SecretSource};
pub use settings::{
    Account, Admin, Broker, Config, Deliver, Egress, Ingest, Log, LogFormat, Media, MediaLinks,
    OperatorMessages, Order, Pace, Relay, Servers, Shutdown, Stages, Store, StoreUrl, Uncertain,
    WindowTemplate,
};

use interline_envelope::RootKey;
use reader::Report;
pub(crate) use reader::TableReader;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use toml::de::DeTable;
pub(crate) use units::{parse_duration, show_duration};

/// The largest config that is read: some 50,000 conversations.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Config {
    /// Reads a config, checks it, and fetches its secrets. `known_bridges`: the ids that `bridge = …` may have.
    ///
    /// Also answers with what is allowed but unwise.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every mistake at once.
    pub fn load(
        path: &Path,
        known_bridges: &[String],
        source: &SecretSource,
    ) -> Result<(Self, Vec<Finding>), ConfigErrors> {
        Self::parse(path, &read(path)?, known_bridges, source)
    }

    /// The same for a text; `path` is its name in messages and where relative paths begin.
    ///
    /// # Errors
    /// [`ConfigErrors::Wrong`] with every mistake at once.
    pub fn parse(
        path: &Path,
        text: &str,
        known_bridges: &[String],
        source: &SecretSource,
    ) -> Result<(Self, Vec<Finding>), ConfigErrors> {
        let (config, mut report) = walk(path, text, known_bridges);
        let fetched = fetch_all(&config, &mut report, source);
        finish(fetched, report)
    }

    /// Reads a config and checks it, but fetches no secrets but the broker's: the others are empty. For commands that
    /// talk to the broker alone, and that people run outside the unit.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every mistake at once.
    pub fn load_for_broker(
        path: &Path,
        known_bridges: &[String],
        source: &SecretSource,
    ) -> Result<Self, ConfigErrors> {
        let (config, mut report) = walk(path, &read(path)?, known_bridges);
        let of_broker = |secret: &SecretRef| secret.key.starts_with("broker.");
        report.secrets.retain(|secret| secret.is_inline() || of_broker(secret));
        check_secrets(&mut report, source);
        let fetched = config.map_secrets(&mut |secret| match of_broker(secret) {
            true => secret.fetch(source).map(|fetched| fetched.secret),
            false => Ok(Secret::new("")),
        });
        // What could not be fetched is among the findings.
        finish(fetched.ok(), report).map(|(config, _warnings)| config)
    }

    /// The root key, if the config names one. Its form was checked when it was fetched.
    pub fn root_key(&self) -> Option<RootKey> {
        self.root_key.as_ref().and_then(|key| RootKey::from_bytes(key.expose().as_bytes()).ok())
    }
}

impl Config<SecretRef> {
    /// Reads a config and checks it, but fetches no secret: for commands that need none and that people run outside
    /// the unit, where its credentials do not exist.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every mistake at once.
    pub fn load_unfetched(
        path: &Path,
        known_bridges: &[String],
    ) -> Result<(Self, Vec<Finding>), ConfigErrors> {
        let (config, mut report) = walk(path, &read(path)?, known_bridges);
        let nowhere = SecretSource { env: Box::new(|_| None), credentials_directory: None };
        // What stands in the config itself needs no fetching, so its form is checked.
        report.secrets.retain(SecretRef::is_inline);
        check_secrets(&mut report, &nowhere);
        finish(Some(config), report)
    }
}

fn read(path: &Path) -> Result<String, ConfigErrors> {
    let unreadable = |source| ConfigErrors::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        let message = format!("it has more than {CONFIG_BYTES_MAX} bytes");
        return Err(unreadable(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message)));
    }
    Ok(text)
}

/// Reads everything that can be read; the report says whether it may be used.
fn walk(path: &Path, text: &str, known_bridges: &[String]) -> (Config<SecretRef>, Report) {
    walk_with(path, text, |reader| sections::read(reader, known_bridges))
}

/// Reads another file of ours that people write in TOML, with the same care: every mistake at once, with key and line.
///
/// # Errors
/// All mistakes, in the order of the file.
pub(crate) fn read_toml<T>(
    path: &Path,
    text: &str,
    read: impl FnOnce(&mut TableReader<'_, '_>) -> T,
) -> Result<T, Vec<Finding>> {
    let (out, mut report) = walk_with(path, text, read);
    report.findings.sort_by_key(|finding| finding.at);
    if report.findings.is_empty() { Ok(out) } else { Err(report.findings) }
}

fn walk_with<T>(
    path: &Path,
    text: &str,
    read: impl FnOnce(&mut TableReader<'_, '_>) -> T,
) -> (T, Report) {
    let mut report = Report::new(path, text);
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let mut reader = TableReader::new(document.get_ref(), &mut report);
    let out = read(&mut reader);
    reader.finish();
    if syntax_errors.is_empty() {
        let follow_ups = std::mem::take(&mut report.follow_ups);
        report.findings.extend(follow_ups);
    } else {
        tell_syntax_errors(&syntax_errors, &mut report);
    }
    (out, report)
}

/// One for each line that cannot be parsed, and then nothing else of that line: it was read in part at best.
fn tell_syntax_errors(errors: &[toml::de::Error], report: &mut Report) {
    let mut lines = BTreeSet::new();
    let mut told = Vec::new();
    for error in errors {
        let at = report.position(error.span().map_or(0, |span| span.start));
        if lines.insert(at.line) {
            told.push((at, error.message().to_owned()));
        }
    }
    report.findings.retain(|finding| !lines.contains(&finding.at.line));
    for (at, message) in told {
        // The message alone: the error's Display repeats the line, which may hold a secret.
        report.mistake("", at, format!("this is no TOML: {message}; see https://toml.io"));
    }
}

/// Fetches every secret that was named, those of a config that cannot be used included, so that all that is missing
/// is said at once.
fn check_secrets(report: &mut Report, source: &SecretSource) {
    for secret in std::mem::take(&mut report.secrets) {
        match secret.fetch(source) {
            Ok(fetched) => {
                for warning in fetched.warnings {
                    report.warn(&secret.key, secret.at, warning);
                }
            }
            Err(message) => report.mistake(&secret.key, secret.at, message),
        }
    }
}

fn fetch_all(
    config: &Config<SecretRef>,
    report: &mut Report,
    source: &SecretSource,
) -> Option<Config> {
    check_secrets(report, source);
    if !report.findings.is_empty() {
        return None;
    }
    let fetched =
        config.map_secrets(&mut |secret| secret.fetch(source).map(|fetched| fetched.secret));
    match fetched {
        Ok(config) => Some(config),
        Err(message) => {
            // It was there a moment ago: somebody is changing it right now.
            report.mistake("", Position { line: 1, column: 1 }, message);
            None
        }
    }
}

fn finish<S>(
    config: Option<Config<S>>,
    report: Report,
) -> Result<(Config<S>, Vec<Finding>), ConfigErrors> {
    let Report { mut findings, mut warnings, .. } = report;
    // Several questions to one value may have one answer.
    let mut seen = BTreeSet::new();
    findings
        .retain(|finding| seen.insert((finding.at, finding.key.clone(), finding.message.clone())));
    findings.sort_by_key(|finding| finding.at);
    warnings.sort_by_key(|warning| warning.at);
    match config {
        Some(config) if findings.is_empty() => Ok((config, warnings)),
        Some(_) | None => Err(ConfigErrors::Wrong { findings, warnings }),
    }
}
