//! Reads one TOML table key by key, and goes on after a mistake.
//!
//! `serde` stops at the first mistake; this reader notes it, takes the default, and lets the caller read on, so that
//! an operator sees everything at once. What nobody asked for is an unknown key.

use super::finding::{Finding, Position};
use super::nearest::nearest;
use super::secret::{Form, Place, Secret, SecretRef};
use super::units::{parse_bytes, parse_duration, show_bytes, show_duration};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What reading a file brought to light.
#[derive(Debug)]
pub(crate) struct Report {
    file: Arc<str>,
    /// Where relative paths begin.
    folder: PathBuf,
    /// The byte at which each line starts.
    line_starts: Vec<usize>,
    text: String,
    pub(super) findings: Vec<Finding>,
    /// Mistakes that may only follow from another: something is missing, or does not fit to something else.
    pub(super) follow_ups: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    pub(super) secrets: Vec<SecretRef>,
    /// Every key that was asked for, with `[]` for any index.
    pub(super) known: BTreeSet<String>,
}

/// A value with its key and place.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) key: String,
    pub(crate) at: Position,
}

impl Report {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let after_breaks =
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self {
            file: path.display().to_string().into(),
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            line_starts: std::iter::once(0).chain(after_breaks).collect(),
            text: text.to_owned(),
            findings: Vec::new(),
            follow_ups: Vec::new(),
            warnings: Vec::new(),
            secrets: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    pub(super) fn position(&self, byte: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= byte).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..byte).unwrap_or_default();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position { line: number(line), column: number(before.chars().count() + 1) }
    }

    pub(crate) fn mistake(&mut self, key: &str, at: Position, message: impl Into<String>) {
        let finding = self.finding(key, at, message.into());
        self.findings.push(finding);
    }

    /// A mistake that is not worth telling while the file cannot even be parsed.
    pub(super) fn follow_up(&mut self, key: &str, at: Position, message: impl Into<String>) {
        let finding = self.finding(key, at, message.into());
        self.follow_ups.push(finding);
    }

    pub(super) fn warn(&mut self, key: &str, at: Position, message: impl Into<String>) {
        let finding = self.finding(key, at, message.into());
        self.warnings.push(finding);
    }

    fn finding(&self, key: &str, at: Position, message: String) -> Finding {
        Finding { file: Arc::clone(&self.file), at, key: key.to_owned(), message }
    }

    /// The path as the daemon opens it: a relative one begins at the config's folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// One table, or the place where an absent one would stand: then every key takes its default.
#[derive(Debug)]
pub(crate) struct TableReader<'d, 'r> {
    table: Option<&'d DeTable<'d>>,
    pub(crate) key: String,
    pub(crate) at: Position,
    asked: Vec<&'static str>,
    pub(crate) report: &'r mut Report,
}

impl<'d, 'r> TableReader<'d, 'r> {
    pub(super) fn new(table: &'d DeTable<'d>, report: &'r mut Report) -> Self {
        let at = Position { line: 1, column: 1 };
        Self { table: Some(table), key: String::new(), at, asked: Vec::new(), report }
    }

    /// The path of a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    /// Notes that a key is missing; it is told where its table begins.
    pub(crate) fn absent(&mut self, key: &str, message: impl Into<String>) {
        self.report.follow_up(&self.path(key), self.at, message);
    }

    /// Notes that a key (or, if `key` is empty, the table) does not fit to another.
    pub(crate) fn contradiction(&mut self, key: &str, message: impl Into<String>) {
        let value = self.table.and_then(|table| table.get(key));
        let at = value.map_or(self.at, |value| self.report.position(value.span().start));
        let path = if key.is_empty() { self.key.clone() } else { self.path(key) };
        self.report.follow_up(&path, at, message);
    }

    /// True if the key stands in the file, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    pub(crate) fn find(&mut self, key: &'static str) -> Option<Found<&'d DeValue<'d>>> {
        let path = self.path(key);
        self.asked.push(key);
        self.report.known.insert(without_indices(&path));
        let value = self.table?.get(key)?;
        Some(Found {
            at: self.report.position(value.span().start),
            value: value.get_ref(),
            key: path,
        })
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Found<&'d str>> {
        let found = self.find(key)?;
        self.typed(found, "a string in quotes", |value| value.as_str())
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let found = self
            .find(key)
            .and_then(|found| self.typed(found, "true or false", |value| value.as_bool()));
        found.map_or(default, |found| found.value)
    }

    /// A whole number within `range`.
    pub(crate) fn number<N>(&mut self, key: &'static str, default: N, range: RangeInclusive<N>) -> N
    where
        N: Copy + PartialOrd + TryFrom<u64> + std::fmt::Display,
    {
        let Some(found) = self.find(key) else { return default };
        let Some(found) = self.typed(found, "a whole number", integer) else { return default };
        let number = found
            .value
            .and_then(|number| N::try_from(number).ok())
            .filter(|number| range.contains(number));
        number.unwrap_or_else(|| {
            let (min, max) = (range.start(), range.end());
            self.report.mistake(
                &found.key,
                found.at,
                format!("the number is out of range; write {min} to {max}"),
            );
            default
        })
    }

    /// A duration such as `"30s"` within `range`.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        const SHAPE: &str =
            "a duration in quotes, such as \"250ms\", \"30s\", \"5m\", \"12h\" or \"7d\"";
        let Some(found) = self.find(key) else { return default };
        let Some(found) = self.typed(found, SHAPE, |value| value.as_str()) else { return default };
        match parse_duration(found.value) {
            Some(duration) if range.contains(&duration) => duration,
            Some(_) => {
                let (min, max) = (show_duration(*range.start()), show_duration(*range.end()));
                let message = format!("the duration is out of range; write \"{min}\" to \"{max}\"");
                self.report.mistake(&found.key, found.at, message);
                default
            }
            None => {
                self.report.mistake(
                    &found.key,
                    found.at,
                    format!("this is no duration; write {SHAPE}"),
                );
                default
            }
        }
    }

    /// A size such as `"4MiB"`, or a number of bytes, within `range`.
    pub(super) fn bytes(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        const SHAPE: &str = "a size such as \"4MiB\" or \"512KiB\", or a number of bytes";
        let Some(found) = self.find(key) else { return default };
        let read = |value: &'d DeValue<'d>| match value.as_str() {
            Some(text) => Some(parse_bytes(text)),
            None => integer(value),
        };
        let Some(found) = self.typed(found, SHAPE, read) else { return default };
        match found.value {
            Some(bytes) if range.contains(&bytes) => bytes,
            Some(_) => {
                let (min, max) = (show_bytes(*range.start()), show_bytes(*range.end()));
                let message = format!("the size is out of range; write \"{min}\" to \"{max}\"");
                self.report.mistake(&found.key, found.at, message);
                default
            }
            None => {
                self.report.mistake(
                    &found.key,
                    found.at,
                    format!("this is no size; write {SHAPE}"),
                );
                default
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        let Some(found) = self.text(key) else { return default };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) {
            return *value;
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let message =
            format!("this is none of the words that can stand here; write {}", all.join(" or "));
        self.report.mistake(&found.key, found.at, message);
        default
    }

    /// A secret, inline or by reference. It is noted in the report to be fetched later.
    pub(super) fn secret(&mut self, key: &'static str, form: Form) -> Option<SecretRef> {
        let found = self.find(key)?;
        self.secret_value(found, form)
    }

    pub(super) fn secret_value(
        &mut self,
        found: Found<&'d DeValue<'d>>,
        form: Form,
    ) -> Option<SecretRef> {
        const SHAPE: &str = "{ credential = \"NAME\" }, { env = \"NAME\" } or { file = \"PATH\" }, or the secret itself in quotes";
        let place = if let Some(text) = found.value.as_str() {
            Some(Place::Inline(Secret::new(text)))
        } else {
            let table = self.typed(found.clone(), SHAPE, |value| value.as_table())?;
            self.inner(Some(table.value), table.key, table.at, Self::secret_place)
        };
        let secret = SecretRef { key: found.key, at: found.at, place: place?, form };
        self.report.secrets.push(secret.clone());
        Some(secret)
    }

    fn secret_place(table: &mut TableReader<'d, '_>) -> Option<Place> {
        let before = table.report.findings.len();
        let credential = table.text("credential").and_then(|found| {
            let is_name = !found.value.is_empty()
                && !found.value.contains(['/', '\0'])
                && found.value != "..";
            if !is_name {
                let message =
                    "a credential has a plain name, without a slash; for a path write { file = … }";
                table.report.mistake(&found.key, found.at, message);
            }
            is_name.then(|| Place::Credential(found.value.to_owned()))
        });
        let env = table.text("env").map(|found| Place::Env(found.value.to_owned()));
        let file = table.text("file").map(|found| Place::File(table.report.resolve(found.value)));
        let mut places = [credential, env, file].into_iter().flatten();
        match (places.next(), places.next()) {
            (Some(place), None) => Some(place),
            (None, _) if table.report.findings.len() > before => None,
            _ => {
                table.contradiction(
                    "",
                    "a secret has one place; write exactly one of `credential`, `env` and `file`",
                );
                None
            }
        }
    }

    /// A `[section]`; absent, it is read as an empty one.
    pub(crate) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut TableReader<'d, '_>) -> T,
    ) -> T {
        let path = self.path(key);
        let shape = format!("a table, begun by the line [{path}]");
        let found =
            self.find(key).and_then(|found| self.typed(found, &shape, |value| value.as_table()));
        let at = found.as_ref().map_or(self.at, |found| found.at);
        self.inner(found.map(|found| found.value), path, at, read)
    }

    /// Every table of a `[[section]]`.
    pub(crate) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut TableReader<'d, '_>) -> T,
    ) -> Vec<T> {
        let shape = format!("a list of tables, each begun by the line [[{}]]", self.path(key));
        let mut out = Vec::new();
        for found in self.list(key, &shape) {
            if let Some(found) = self.typed(found, &shape, |value| value.as_table()) {
                out.push(self.inner(Some(found.value), found.key, found.at, &mut read));
            }
        }
        out
    }

    /// The elements of an array, each with its own path.
    pub(super) fn list(&mut self, key: &'static str, shape: &str) -> Vec<Found<&'d DeValue<'d>>> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let Some(found) = self.typed(found, shape, |value| value.as_array()) else {
            return Vec::new();
        };
        let elements = found.value.iter().enumerate();
        elements
            .map(|(index, element): (usize, &'d Spanned<DeValue<'d>>)| Found {
                value: element.get_ref(),
                key: format!("{}[{index}]", found.key),
                at: self.report.position(element.span().start),
            })
            .collect()
    }

    /// Reads an inner table to its end: what was not asked for is unknown.
    pub(super) fn inner<T>(
        &mut self,
        table: Option<&'d DeTable<'d>>,
        key: String,
        at: Position,
        read: impl FnOnce(&mut TableReader<'d, '_>) -> T,
    ) -> T {
        let mut inner =
            TableReader { table, key, at, asked: Vec::new(), report: &mut *self.report };
        let out = read(&mut inner);
        inner.finish();
        out
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(&mut self) {
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let place = if self.key.is_empty() {
                "at the top level".to_owned()
            } else {
                format!("in {}", self.key)
            };
            let advice = match nearest(name, &self.asked) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys are: {}", self.asked.join(", ")),
            };
            let (path, at) = (self.path(name), self.report.position(key.span().start));
            self.report.mistake(&path, at, format!("there is no such key {place}; {advice}"));
        }
    }

    /// Takes a value of one type, or notes what should have stood there.
    pub(super) fn typed<T>(
        &mut self,
        found: Found<&'d DeValue<'d>>,
        shape: &str,
        take: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<Found<T>> {
        let Found { value, key, at } = found;
        let taken = take(value);
        if taken.is_none() {
            let article =
                if matches!(value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
            let kind = value.type_str();
            self.report.mistake(&key, at, format!("this is {article} {kind}; write {shape}"));
        }
        Some(Found { value: taken?, key, at })
    }
}

/// The number, or `Some(None)` for an integer that no setting can have.
fn integer(value: &DeValue<'_>) -> Option<Option<u64>> {
    value.as_integer().map(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
}

/// `account[3].id` becomes `account[].id`.
fn without_indices(path: &str) -> String {
    path.split('[')
        .map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join("[")
}
