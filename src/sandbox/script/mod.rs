//! Scripts: what people do, what goes wrong, and what every phone must show, in a file that a person can write.
//!
//! `docs/sandbox-scripts.md` has the grammar.

mod judge;
mod long;
mod play;
mod read;

use super::Setup;
use super::cast::Member;
use crate::config::Finding;
use interline_embedded_broker::Faults;
use interline_sandbox::{Fault, Kind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use play::play;

/// The scripts in this program besides the demo: their name and their text.
pub const SHIPPED: [(&str, &str); 4] = [
    ("storm", include_str!("../scripts/storm.toml")),
    ("outage", include_str!("../scripts/outage.toml")),
    ("odd", include_str!("../scripts/odd.toml")),
    ("fidelity", include_str!("../scripts/fidelity.toml")),
];
/// The most that a script may have, in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// A script that can be played.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it shows, in a few words.
    pub about: String,
    /// The sandbox that it wants.
    pub setup: Setup,
    limit: Duration,
    webhooks: Webhooks,
    steps: Vec<Step>,
    expectations: Vec<Expectation>,
}

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is none of ours, and looks like no file.
    #[error(
        "there is no script of that name; possible values: demo, {}, or a file, named with a slash or .toml",
        names().join(", ")
    )]
    Unknown,
    /// There is no such file, or it may not be read.
    #[error("{} cannot be read ({source}); check its name and its rights", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Mistakes, all of them, in the order of the file.
    #[error(
        "the script has mistakes (docs/sandbox-scripts.md has the grammar)\n{}",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    )]
    Wrong(Vec<Finding>),
}

/// The names of [`SHIPPED`].
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

impl Script {
    /// One of [`SHIPPED`] by its name, or a file.
    ///
    /// # Errors
    /// [`ScriptError`] says what is wrong and how to mend it.
    pub fn find(name: &str) -> Result<Self, ScriptError> {
        if let Some((name, text)) = SHIPPED.iter().find(|(known, _)| *known == name) {
            return Self::parse(Path::new(name), text);
        }
        let path = Path::new(name);
        if !name.contains('/') && path.extension().is_none_or(|ending| ending != "toml") {
            return Err(ScriptError::Unknown);
        }
        let unreadable = |source| ScriptError::Unreadable { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bounded = std::io::Read::take(file, BYTES_MAX + 1);
        std::io::Read::read_to_string(&mut bounded, &mut text).map_err(unreadable)?;
        if text.len() as u64 > BYTES_MAX {
            return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
        }
        Self::parse(path, &text)
    }

    /// Reads a script; `path` is how mistakes name it.
    ///
    /// # Errors
    /// [`ScriptError::Wrong`] with every mistake.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ScriptError> {
        crate::config::read_toml(path, text, read::script).map_err(ScriptError::Wrong)
    }
}

/// How the platforms post their webhooks.
#[derive(Clone, Copy, Debug)]
struct Webhooks {
    copies: u32,
    rebatch: bool,
    batch: usize,
}

/// One thing that happens.
#[derive(Clone, Debug)]
struct Step {
    line: u32,
    what: Happens,
}

#[derive(Clone, Debug)]
enum Happens {
    /// A person does something so often, numbered if it is more than once.
    Does { who: Member, deed: Deed, times: u64 },
    /// Something begins to go wrong.
    Breaks { fault: Trouble, times: Option<u64> },
    /// Whatever went wrong there goes right again.
    Heals(Target),
    /// So long nothing happens.
    Waits(Duration),
    /// The platforms' clock runs ahead.
    Clock(Duration),
    /// Goes on once nothing is under way.
    Settles,
}

/// What a person does. A message is named by words of it; without words it is the newest that fits.
#[derive(Clone, Debug)]
enum Deed {
    Say(String),
    Reply {
        text: String,
        to: Option<String>,
    },
    React {
        sign: String,
        to: Option<String>,
    },
    Unreact {
        to: Option<String>,
    },
    Edit {
        text: String,
        to: Option<String>,
    },
    Unsend {
        to: Option<String>,
    },
    Photo(Option<String>),
    Voice,
    Sticker,
    Heart,
    Place {
        latitude: f64,
        longitude: f64,
        name: Option<String>,
        address: Option<String>,
    },
    Contact {
        name: String,
        phone: String,
    },
    Unsupported(String),
    Read,
    /// The person has not written for so long that nobody may write first.
    CloseWindow,
}

/// Where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Platform(Kind),
    Broker,
}

/// What goes wrong.
#[derive(Clone, Debug)]
enum Trouble {
    /// A platform answers sends like this, or not at all.
    Answers(Kind, Fault),
    /// No connection to a platform can be had.
    PlatformGone(Kind),
    /// No connection to the broker can be had, and those that stand are cut.
    BrokerGone,
    /// Every connection to the broker is cut, once.
    BrokerCut,
    /// The broker reads nothing that is published.
    BrokerBlocked,
}

/// What one phone must show of one person.
#[derive(Clone, Debug)]
struct Expectation {
    phone: Member,
    from: Member,
    shows: String,
    answers: Option<String>,
    times: u64,
    /// In how many messages it comes.
    parts: u64,
    /// Whether it is a file, byte for byte as it was sent.
    unchanged: bool,
}

/// The text with its number, if it is one of several.
fn numbered(text: &str, number: u64) -> String {
    text.replace("{n}", &number.to_string())
}

/// Loads a script for the command line.
///
/// # Errors
/// Those of [`Script::find`].
pub fn load(name: &str) -> Result<Arc<Script>, ScriptError> {
    Script::find(name).map(Arc::new)
}

/// Ends what [`Trouble`] began at the broker.
async fn heal_broker(faults: &Faults) {
    faults.unblock();
    faults.listener_up().await;
}
