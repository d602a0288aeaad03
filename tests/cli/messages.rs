//! Every error that the program can print says what is wrong, why, and how to mend it: `messages.toml` lists them all,
//! taken apart. The
//! sources are read, so an error without its line there fails, and a line without its error.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
/// The levels of the log that are told without `-v`; one macro each.
const LEVELS: [&str; 3] = ["info", "warn", "error"];
/// Macros and methods whose first sentence becomes an error of a command.
const SPEAKERS: [&str; 4] = ["anyhow", "bail", "context", "with_context"];

/// `messages.toml`.
#[derive(Deserialize)]
struct Listed {
    /// By enum, or by itself for a struct, each variant.
    errors: BTreeMap<String, BTreeMap<String, Row>>,
    /// What commands say in words of their own.
    commands: Vec<Parts>,
    /// What is said of a config.
    findings: Vec<Parts>,
    /// Words that stand inside of a finding.
    shapes: Vec<String>,
}

/// A message taken apart. Each piece stands in the message, in this order.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    what: String,
    /// Left out where the first piece is its own reason, or the cause is told behind it.
    why: Option<String>,
    mend: String,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Row {
    Parts(Parts),
    Elsewhere(Elsewhere),
}

/// Where what is missing in the message itself is told.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Elsewhere {
    /// Its cause, whose type is listed here, is told with it.
    Cause(String),
    /// The function whose words the message ends with.
    End(String),
    /// It is the error of a dead letter with this reason, and docs/operations.md says what to do about that.
    DeadLetter(String),
    /// No operator ever reads it, and why.
    Unseen(String),
}

/// An error in the sources.
#[derive(Debug)]
struct Found {
    /// Nothing for a transparent one.
    message: Option<String>,
    /// The words of its fields, and with them the types of its causes.
    fields: Vec<String>,
    place: String,
}

// -- the sources, token by token

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// A string, as it is at run time.
    Text(String),
    Sign(char),
}

impl Token {
    fn is_word(&self, wanted: &str) -> bool {
        matches!(self, Self::Word(word) if word == wanted)
    }

    fn is_sign(&self, wanted: char) -> bool {
        *self == Self::Sign(wanted)
    }
}

/// The tokens of Rust code, without comments and whatever else says nothing here: numbers, characters, lifetimes.
fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut here = 0;
    while here < chars.len() {
        let rest = &chars[here..];
        match at(here) {
            '/' if at(here + 1) == '/' => {
                here += rest.iter().position(|&c| c == '\n').unwrap_or(rest.len());
            }
            '"' => {
                let (text, length) = string(&rest[1..]);
                tokens.push(Token::Text(text));
                here += 1 + length;
            }
            // A character, not a lifetime.
            '\'' if at(here + 1) == '\\' => {
                here += 3 + rest[3..].iter().position(|&c| c == '\'').unwrap_or(0);
            }
            '\'' if at(here + 2) == '\'' => here += 3,
            'r' if at(here + 1) == '"' || (at(here + 1) == '#' && "#\"".contains(at(here + 2))) => {
                let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
                let end: String = std::iter::once('"').chain("#".repeat(hashes).chars()).collect();
                let body: String = rest[hashes + 2..].iter().collect();
                let text = body.split(&end).next().unwrap_or_default().to_owned();
                here += hashes + 2 + text.chars().count() + end.len();
                tokens.push(Token::Text(text));
            }
            c if c.is_alphabetic() || c == '_' => {
                let word: String =
                    rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                here += word.chars().count();
                tokens.push(Token::Word(word));
            }
            c => {
                if !c.is_whitespace() && !c.is_numeric() {
                    tokens.push(Token::Sign(c));
                }
                here += 1;
            }
        }
    }
    tokens
}

/// A string behind its opening quote, and how many characters it takes with the closing one.
fn string(chars: &[char]) -> (String, usize) {
    let mut text = String::new();
    let mut at = 0;
    while at < chars.len() && chars[at] != '"' {
        if chars[at] != '\\' {
            text.push(chars[at]);
            at += 1;
            continue;
        }
        match chars.get(at + 1) {
            Some('n') => text.push('\n'),
            // The line goes on below.
            Some('\n') => {
                at += chars[at + 2..].iter().take_while(|c| c.is_whitespace()).count();
            }
            Some(&c) => text.push(c),
            None => {}
        }
        at += 2;
    }
    (text, at + 1)
}

/// How many tokens the group takes that opens at the first one; zero where none opens.
fn group(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Word(_) | Token::Text(_) | Token::Sign(_) => {}
        }
        if depth == 0 {
            return if index == 0 { 0 } else { index + 1 };
        }
    }
    tokens.len()
}

/// The first string in there.
fn literal(tokens: &[Token]) -> Option<String> {
    tokens.iter().find_map(|token| match token {
        Token::Text(text) => Some(text.clone()),
        Token::Word(_) | Token::Sign(_) => None,
    })
}

/// The code without its tests.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let cfg = rest[0].is_sign('#') && rest.len() > 4 && rest[2].is_word("cfg");
        if cfg && rest[4].is_word("test") {
            let item = 1 + group(&rest[1..]);
            let ends = |token: &Token| token.is_sign('{') || token.is_sign(';');
            let body = rest[item..].iter().position(ends).map_or(rest.len(), |end| item + end);
            at += body + group(&tokens[(at + body).min(tokens.len())..]).max(1);
        } else {
            kept.push(rest[0].clone());
            at += 1;
        }
    }
    kept
}

/// Every source file, without its tests.
fn sources() -> Vec<(PathBuf, Vec<Token>)> {
    let mut open = vec![PathBuf::from(ROOT).join("src"), PathBuf::from(ROOT).join("xtask/src")];
    for folder in ["crates", "bridges"] {
        let members = std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
        open.extend(members.map(|member| member.unwrap().path().join("src")));
    }
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(ROOT).unwrap().to_owned();
            files.push((path, without_tests(&tokens(&text))));
        }
    }
    assert!(files.len() > 100, "{} files", files.len());
    files
}

/// Every variant and struct with an `#[error(…)]`.
fn errors_of(path: &Path, tokens: &[Token], found: &mut BTreeMap<(String, String), Found>) {
    let mut of = String::new();
    let mut at = 0;
    while at + 3 < tokens.len() {
        let rest = &tokens[at..];
        if let (true, Token::Word(name)) = (rest[0].is_word("enum"), &rest[1]) {
            of.clone_from(name);
        }
        at += 1;
        if !(rest[0].is_sign('#') && rest[2].is_word("error") && rest[3].is_sign('(')) {
            continue;
        }
        let attribute = 1 + group(&rest[1..]);
        let message = literal(&rest[..attribute]);
        let mut name = attribute;
        // What stands between the attribute and the name: other attributes, `pub(crate) struct`.
        while !matches!(&rest[name], Token::Word(word) if word.starts_with(char::is_uppercase)) {
            name += group(&rest[name..]).max(1);
        }
        let Token::Word(variant) = &rest[name] else { continue };
        let is_struct = rest[attribute..name].iter().any(|token| token.is_word("struct"));
        let of = if is_struct { variant.clone() } else { of.clone() };
        let fields = &rest[name + 1..][..group(&rest[name + 1..])];
        let words = fields.iter().filter_map(|token| match token {
            Token::Word(word) => Some(word.clone()),
            Token::Text(_) | Token::Sign(_) => None,
        });
        let error = Found { message, fields: words.collect(), place: path.display().to_string() };
        let twice = found.insert((of.clone(), variant.clone()), error);
        assert!(twice.is_none(), "{of}.{variant} stands twice in the tree; name one anew");
    }
}

/// What the calls of commands say that make an error of a sentence.
fn said(tokens: &[Token]) -> Vec<String> {
    let begins = tokens.iter().enumerate().filter_map(|(at, token)| {
        let speaks = SPEAKERS.iter().any(|name| token.is_word(name));
        let is_macro = tokens.get(at + 1)?.is_sign('!');
        let call = tokens.get(at + 1 + usize::from(is_macro)..)?;
        (speaks && call.first()?.is_sign('(')).then(|| literal(&call[..group(call)]))?
    });
    begins.collect()
}

fn is_sentence(text: &str) -> bool {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count() >= 3
}

/// Every sentence that commands make errors of.
fn sentences_of_commands() -> BTreeSet<String> {
    let ours = sources().into_iter().filter(|(path, _)| path.starts_with("src"));
    ours.flat_map(|(_, tokens)| said(&tokens)).collect()
}

/// Every sentence in what reads configs.
fn sentences_of_findings() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, tokens) in sources() {
        let is_test = path.ends_with("tests.rs") || path.ends_with("example.rs");
        if !path.starts_with("src/config") || is_test {
            continue;
        }
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                // An attribute; an error's own words are listed with the errors.
                Token::Sign('#') => at += group(&tokens[at + 1..]),
                Token::Text(text) if is_sentence(text) => drop(found.insert(text.clone())),
                Token::Text(_) | Token::Word(_) | Token::Sign(_) => {}
            }
            at += 1;
        }
    }
    found
}

// -- what must hold

fn listed() -> Listed {
    toml::from_str(include_str!("messages.toml")).unwrap()
}

/// What is wrong with how a message was taken apart.
fn complaint(parts: &Parts, message: &str) -> Option<String> {
    let mut rest = message;
    for piece in [Some(&parts.what), parts.why.as_ref(), Some(&parts.mend)].into_iter().flatten() {
        if piece.trim().len() < 2 {
            return Some(format!("{piece:?} is nothing"));
        }
        let Some((_, behind)) = rest.split_once(piece.as_str()) else {
            return Some(format!("{piece:?} does not stand in {message:?}, or not in this order"));
        };
        rest = behind;
    }
    None
}

fn wrong_with(found: &Found, row: &Row, listed: &Listed) -> Option<String> {
    match (row, &found.message) {
        (Row::Parts(parts), Some(message)) => complaint(parts, message),
        (Row::Parts(_), None) => Some("it is transparent; name its cause".to_owned()),
        (Row::Elsewhere(Elsewhere::Cause(cause)), _) => {
            let told = found.fields.contains(cause) && listed.errors.contains_key(cause);
            (!told).then(|| format!("{cause} is no listed error in it: {:?}", found.fields))
        }
        (Row::Elsewhere(Elsewhere::End(function)), message) => {
            let ends = message.as_ref().is_some_and(|message| message.ends_with("{}"));
            let file = std::fs::read_to_string(Path::new(ROOT).join(&found.place));
            let is_there = file.is_ok_and(|text| text.contains(function.as_str()));
            (!ends || !is_there).then(|| format!("it does not end with {function}"))
        }
        (Row::Elsewhere(Elsewhere::DeadLetter(reason)), _) => {
            let row = format!("| `{reason}` |");
            (!OPERATIONS.contains(&row)).then(|| format!("docs/operations.md has no {row}"))
        }
        (Row::Elsewhere(Elsewhere::Unseen(why)), _) => {
            (!is_sentence(why)).then(|| format!("{why:?} is no reason"))
        }
    }
}

#[test]
fn every_error_says_what_why_and_how_to_mend_and_none_is_left_out() {
    let listed = listed();
    let mut found = BTreeMap::new();
    for (path, tokens) in sources() {
        errors_of(&path, &tokens, &mut found);
    }
    let mut wrong = Vec::new();
    for ((name, variant), error) in &found {
        let complaint = match listed.errors.get(name).and_then(|rows| rows.get(variant)) {
            Some(row) => wrong_with(error, row, &listed),
            None => Some(format!("it is not in tests/cli/messages.toml: {:?}", error.message)),
        };
        wrong.extend(complaint.map(|why| format!("{} {name}.{variant}: {why}", error.place)));
    }
    for (name, rows) in &listed.errors {
        for variant in rows.keys() {
            if !found.contains_key(&(name.clone(), variant.clone())) {
                wrong.push(format!("{name}.{variant} is listed, and there is no such error"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Each sentence of `found` has one line of `listed`, and each line its sentence.
#[track_caller]
fn check_sentences(found: &BTreeSet<String>, listed: &[Parts], also: &[String]) {
    let mut wrong = Vec::new();
    for sentence in found {
        let fits = listed.iter().any(|parts| complaint(parts, sentence).is_none());
        if !fits && !also.contains(sentence) {
            wrong.push(format!("not in tests/cli/messages.toml: {sentence:?}"));
        }
    }
    for parts in listed {
        if !found.iter().any(|sentence| complaint(parts, sentence).is_none()) {
            wrong.push(format!("listed, and nothing says it: {:?}", parts.what));
        }
    }
    let gone = also.iter().filter(|shape| !found.contains(*shape));
    wrong.extend(gone.map(|shape| format!("listed, and it stands nowhere: {shape:?}")));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_failure_in_a_commands_own_words_says_what_and_how_to_mend() {
    let found = sentences_of_commands();
    assert!(found.len() > 8, "{found:?}");
    check_sentences(&found, &listed().commands, &[]);
}

#[test]
fn every_finding_in_a_config_says_what_and_how_to_mend() {
    let found = sentences_of_findings();
    assert!(found.len() > 40, "{found:?}");
    let listed = listed();
    check_sentences(&found, &listed.findings, &listed.shapes);
}

/// Each line of the daemon's log: its level and its message.
fn lines_of_the_log() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let of_the_daemon = |path: &Path| {
        let ours = ["src", "crates/broker", "crates/store"];
        let not_its_own = ["src/sandbox", "src/bench"];
        ours.iter().any(|folder| path.starts_with(folder))
            && !not_its_own.iter().any(|folder| path.starts_with(folder))
    };
    for (path, tokens) in sources().into_iter().filter(|(path, _)| of_the_daemon(path)) {
        for (at, token) in tokens.iter().enumerate() {
            let level = LEVELS.iter().find(|level| token.is_word(level));
            let is_macro = tokens.get(at + 1).is_some_and(|token| token.is_sign('!'));
            let (Some(level), true) = (level, is_macro) else { continue };
            let call = &tokens[at + 2..][..group(&tokens[at + 2..])];
            // The message stands behind its fields.
            let message = call.iter().rev().find_map(|token| match token {
                Token::Text(text) => Some(text.replace("{{", "{").replace("}}", "}")),
                Token::Word(_) | Token::Sign(_) => None,
            });
            let message = message.unwrap_or_else(|| panic!("a line without a message: {path:?}"));
            found.insert(((*level).to_owned(), message));
        }
    }
    found
}

#[test]
fn every_line_of_the_log_stands_on_the_operators_page_with_what_to_do() {
    let table = OPERATIONS.split("\n## The log").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut listed = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [message, level, advice] = cells[..] else { panic!("{row}") };
        assert!(!advice.is_empty(), "{row}");
        assert!(listed.insert((level.to_owned(), message.to_owned())), "twice: {row}");
    }
    let found = lines_of_the_log();
    let missing: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not there: {missing:#?}\nno line: {gone:#?}");
}

#[test]
fn an_error_that_says_no_way_out_would_be_seen() {
    let code = "enum TestError { #[error(\"it broke\")] Broke, #[error(transparent)] Io(IoError) }";
    let mut found = BTreeMap::new();
    errors_of(Path::new("x.rs"), &tokens(code), &mut found);
    assert_eq!(found.len(), 2);
    let broke = &found[&("TestError".to_owned(), "Broke".to_owned())];
    let parts = |mend: &str| {
        Row::Parts(Parts { what: "it broke".to_owned(), why: None, mend: mend.to_owned() })
    };
    let listed = listed();
    assert!(wrong_with(broke, &parts("mend it"), &listed).is_some());
    assert!(wrong_with(broke, &parts(""), &listed).is_some());
    let io = &found[&("TestError".to_owned(), "Io".to_owned())];
    let cause = |name: &str| Row::Elsewhere(Elsewhere::Cause(name.to_owned()));
    assert!(wrong_with(io, &cause("IoError"), &listed).is_some(), "it is not listed");
    let letter = Row::Elsewhere(Elsewhere::DeadLetter("no-such-reason".to_owned()));
    assert!(wrong_with(broke, &letter, &listed).is_some());
}

#[test]
fn a_sentence_is_found_wherever_a_command_says_it_and_comments_and_tests_say_nothing() {
    let code = r##"
        // bail!("not this one");
        fn f<'a>() { select! { _ = g('"') => bail!("inside {x}"), _ = h.with_context(|| format!("be\
            hind")) => {} } }
        #[cfg(test)]
        mod tests { fn f() { bail!("in a test") } }
        fn g() { Err(anyhow::anyhow!("at the \"end\"")) }
    "##;
    assert_eq!(said(&without_tests(&tokens(code))), ["inside {x}", "behind", "at the \"end\""]);
}
