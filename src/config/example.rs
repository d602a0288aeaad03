//! `config.example.toml` is complete and true: it stands beside the code that reads it.

use super::reader::{Report, TableReader};
use super::*;
use std::collections::BTreeSet;

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn bridges() -> Vec<String> {
    ["whatsapp", "instagram", "messenger"].map(str::to_owned).into()
}

/// The example with the comment marks of its keys removed. Prose has a space behind the mark, keys have none; the
/// lines of an array keep their indentation.
fn uncommented() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '[' || c == ']') => {
            key
        }
        Some(element) if element.starts_with("  ") && !element.starts_with("   ") => element,
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A source that has every secret.
fn everything(key: &str) -> SecretSource {
    let key = key.to_owned();
    SecretSource { env: Box::new(move |_| Some(key.clone())), credentials_directory: None }
}

/// The example's secrets, all taken from the environment.
fn with_env_secrets(text: &str) -> String {
    text.replace("{ credential = ", "{ env = ").replace("{ file = ", "{ env = ")
}

fn parse(text: &str) -> (Config, Vec<Finding>) {
    let key = "ab".repeat(32);
    Config::parse(Path::new("config.example.toml"), text, &bridges(), &everything(&key)).unwrap()
}

/// Every key of a document, with `[]` for any index. Secrets and participants are values, not sections.
fn keys(text: &str) -> BTreeSet<String> {
    fn collect(value: &toml::Value, path: &str, out: &mut BTreeSet<String>) {
        if let Some(table) = value.as_table() {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, &path, out);
                out.insert(path);
            }
        }
        for element in value.as_array().into_iter().flatten() {
            collect(element, &format!("{path}[]"), out);
        }
    }
    let mut out = BTreeSet::new();
    collect(&toml::Value::Table(toml::from_str(text).unwrap()), "", &mut out);
    out
}

#[test]
fn the_example_as_it_stands_is_a_config_of_defaults() {
    let (config, warnings) = parse(EXAMPLE);
    let messages: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("there is no [[account]]"), "{messages:?}");
    let (empty, _) = parse("");
    assert_eq!(config, empty);
    assert_eq!(config.store, Store::default());
    assert_eq!(config.ingest, Ingest::default());
    assert_eq!(config.deliver, Deliver::default());
    assert_eq!(config.relay, Relay::default());
}

#[test]
fn the_example_without_comment_marks_is_a_config_without_a_warning() {
    let (config, warnings) = parse(&with_env_secrets(&uncommented()));
    assert_eq!(warnings, []);
    assert_eq!(config.accounts.len(), 2);
    assert_eq!(config.conversations.len(), 2);
    assert_eq!(config.root_key.as_ref().map(Secret::expose), Some("ab".repeat(32).as_str()));
}

#[test]
fn a_default_that_the_example_shows_is_the_default() {
    let (shown, _) = parse(&with_env_secrets(&uncommented()));
    let (default, _) = parse("");
    let mut broker = shown.broker.clone();
    assert_eq!(broker.ca_file.take(), Some("/etc/interline/ca.pem".into()));
    assert_eq!(broker, default.broker);
    assert_eq!(
        (
            &shown.store,
            &shown.ingest,
            shown.stages,
            shown.relay,
            shown.deliver,
            shown.shutdown,
            shown.log,
        ),
        (
            &default.store,
            &default.ingest,
            default.stages,
            default.relay,
            default.deliver,
            default.shutdown,
            default.log
        )
    );
    let [first, second] = shown.accounts.as_slice() else { panic!("two accounts") };
    let defaults = |account: &Account| (account.egress, account.uncertain, account.order);
    assert_eq!(
        defaults(first),
        defaults(second),
        "the second account leaves out what the first one shows"
    );
    assert_eq!(first.send_as, *first.account.account);
}

#[test]
fn every_key_that_the_reader_knows_stands_in_the_example_and_the_reverse() {
    let text = uncommented();
    let mut report = Report::new(Path::new("config.example.toml"), &text);
    let document = DeTable::parse(&text).unwrap();
    let mut reader = TableReader::new(document.get_ref(), &mut report);
    sections::read(&mut reader, &bridges());
    reader.finish();
    let is_place_of_a_secret = |key: &String| {
        ["credential", "env", "file"].iter().any(|place| key.ends_with(&format!(".{place}")))
    };
    let known: BTreeSet<String> =
        report.known.into_iter().filter(|key| !is_place_of_a_secret(key)).collect();
    let shown: BTreeSet<String> =
        keys(&text).into_iter().filter(|key| !is_place_of_a_secret(key)).collect();
    assert_eq!(
        known.difference(&shown).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "the example lacks these"
    );
    assert_eq!(
        shown.difference(&known).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "the reader lacks these"
    );
    assert!(known.len() > 50, "the walk found {} keys", known.len());
}

#[test]
fn the_first_config_of_the_readme_is_one_without_a_warning() {
    let readme = include_str!("../../README.md");
    let (_, from) = readme.split_once("```toml\n").unwrap();
    let (config, _) = from.split_once("```").unwrap();
    let (config, warnings) = parse(&with_env_secrets(config));
    assert_eq!(warnings, []);
    assert_eq!((config.accounts.len(), config.conversations.len()), (2, 1));
}
