//! What is wrong with a config, and where it stands.
//!
//! Findings reach terminals and journals, so they repeat no value that could be a secret or a person (G8): they name
//! keys, lines and what is allowed.

use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// A place in the file. Both count from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// One mistake, or one thing that is allowed but unwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The config file, as it was named.
    pub file: Arc<str>,
    /// Where the key stands; for a key that is missing, where its table begins.
    #[serde(flatten)]
    pub at: Position,
    /// The key's path, such as `account[1].access_token`; empty for the file as a whole.
    pub key: String,
    /// What, why, and how to mend it.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, at: Position { line, column }, key, message } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(message)
    }
}

/// A config that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// There is no such file, or it may not be read.
    #[error("{} cannot be read; name the config with --config FILE or INTERLINE_CONFIG, a file of text that Interline's user may read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Mistakes, all of them, in the order of the file.
    #[error("{}", one_a_line(findings))]
    Wrong {
        /// At least one.
        findings: Vec<Finding>,
        /// What is allowed but unwise.
        warnings: Vec<Finding>,
    },
}

impl ConfigErrors {
    /// The mistakes; none if the file could not even be read.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Wrong { findings, .. } => findings,
        }
    }
}

fn one_a_line(findings: &[Finding]) -> String {
    let mut lines = String::new();
    for (index, finding) in findings.iter().enumerate() {
        let break_before = if index == 0 { "" } else { "\n" };
        // Writing to a String cannot fail.
        let written = write!(lines, "{break_before}{finding}");
        debug_assert!(written.is_ok(), "a String takes every write");
    }
    lines
}
