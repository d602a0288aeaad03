//! `cargo xtask mutants-model`: does the model (`tests/e2e/model`) notice when a promise is broken?
//!
//! A copy of the checkout gets a switch at each place that keeps one: parking, ordering, letting go in order,
//! de-duplication, intent. It is built once; then random conversations are played with one of them off, and each must end
//! with a play that is not as the model says.

use crate::say;
use crate::soak::TEST;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How many plays a broken promise may stay unnoticed.
const SEEDS: &str = "1000";
/// How many are played first with everything on.
const SEEDS_WHOLE: &str = "50";
/// Names what is off.
const SWITCH: &str = "INTERLINE_MUTANT";

/// The line of the workspace's manifest that gives each crate its version.
const VERSION: &str = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"");

/// A promise, and the place that keeps it.
struct Mutant {
    name: &'static str,
    file: &'static str,
    /// Stands there once.
    from: &'static str,
    /// `OFF` becomes whether this one is off.
    to: &'static str,
    /// What a failure says that comes of it, whatever else it says.
    shows: &'static str,
}

const MUTANTS: [Mutant; 5] = [
    Mutant {
        name: "parking",
        file: "src/deliver/plan.rs",
        from: "references: !of.goes_without",
        to: "references: !OFF && !of.goes_without",
        shows: "",
    },
    Mutant {
        name: "ordering",
        file: "src/deliver/lane.rs",
        from: "match first_to_go(queue, |id| on.was_finished(id)) {",
        to: "match if OFF {
            Ok(queue.count() - 1)
        } else {
            first_to_go(queue, |id| on.was_finished(id))
        } {",
        shows: "too early",
    },
    Mutant {
        name: "letting go in order",
        file: "src/deliver/references.rs",
        from: "if !matches!(dispatch.envelope.kind, Kind::Edit",
        to: "if OFF || !matches!(dispatch.envelope.kind, Kind::Edit",
        shows: "",
    },
    Mutant {
        name: "de-duplication",
        file: "src/relay/translate.rs",
        from: "id: ids.dispatch_id(envelope.id, &to)",
        // Ids are the same in every play: each repetition of a text gets an id of its own.
        to: "id: if OFF && envelope.kind == Kind::Message {
                static TIMES: std::sync::Mutex<Vec<interline_envelope::EnvelopeId>> =
                    std::sync::Mutex::new(Vec::new());
                let mut times = TIMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                times.push(envelope.id);
                let time = times.iter().filter(|id| **id == envelope.id).count();
                let mut bytes = *ids.dispatch_id(envelope.id, &to).as_bytes();
                bytes[0] ^= u8::try_from(time - 1).unwrap_or(u8::MAX);
                interline_envelope::DispatchId::from_bytes(bytes)
            } else {
                ids.dispatch_id(envelope.id, &to)
            }",
        shows: "too much",
    },
    Mutant {
        name: "intent",
        file: "src/deliver/attempt.rs",
        from: "Some(RequestState::Intended { .. }) => {",
        to: "Some(RequestState::Intended { .. }) if OFF => {
                    self.intend_and_send(of, n, requests, false, last).await?
                }
                Some(RequestState::Intended { .. }) => {",
        shows: "too much",
    },
];

/// True if the model notices each.
///
/// # Errors
/// If the copy cannot be made or built, a place is no longer there, or the model fails with everything on.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let tree = root.join("target/mutants");
    copy(root, &tree)?;
    say("xtask: building the test with its switches")?;
    let built = cargo(&tree, "").args(["--no-run"]).status().context(NO_CARGO)?;
    ensure!(built.success(), "the copy in {} cannot be built", tree.display());
    let whole = play(&tree, "", SEEDS_WHOLE)?;
    ensure!(whole.status.success(), "with everything on the model fails:\n{}", told(&whole));
    let mut noticed = true;
    for mutant in &MUTANTS {
        let played = play(&tree, mutant.name, SEEDS)?;
        let told = told(&played);
        let seed = failed_seed(&told).filter(|_| told.contains(mutant.shows));
        say(&match seed {
            Some(seed) => format!("xtask: {} off: noticed at seed {seed}", mutant.name),
            None => format!("xtask: {} off: NOT noticed in {SEEDS} plays", mutant.name),
        })?;
        noticed &= !played.status.success() && seed.is_some();
    }
    Ok(noticed)
}

const NO_CARGO: &str = "cargo cannot be started; install Rust from https://rustup.rs";

/// Runs the one test of the copy. What is built of others' crates is shared with the checkout, what it ends in is not.
fn cargo(tree: &Path, off: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--workspace", "--test", "e2e"]).current_dir(tree).env(SWITCH, off);
    command.env("CARGO_TARGET_DIR", tree.join("target"));
    command.env("CARGO_BUILD_BUILD_DIR", tree.parent().unwrap_or(tree));
    command
}

fn play(tree: &Path, off: &str, seeds: &str) -> anyhow::Result<Output> {
    let mut command = cargo(tree, off);
    command.args(["--", "--exact", TEST, "--nocapture"]);
    command.env("INTERLINE_MODEL_SEED", "1").env("INTERLINE_MODEL_SEEDS", seeds);
    command.env("RUST_BACKTRACE", "0").output().context(NO_CARGO)
}

fn told(output: &Output) -> String {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{stderr}\n{stdout}")
}

/// The seed that a failed run names.
fn failed_seed(told: &str) -> Option<u64> {
    let (_, seed) = told.split_once("play it again with INTERLINE_MODEL_SEED=")?;
    let digits: String = seed.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Brings the copy up to the checkout, with the switches. What is there already stays, so that it is not built again.
fn copy(root: &Path, tree: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git cannot be started; the checkout's files are copied as it lists them")?;
    let said = String::from_utf8_lossy(&listed.stderr);
    ensure!(listed.status.success(), "git cannot list the checkout's files: {said}");
    let listed = String::from_utf8(listed.stdout)?;
    // One that was removed and not committed is listed all the same.
    let names: Vec<&str> =
        listed.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file()).collect();
    remove_others(tree, tree, &names)?;
    for name in names {
        let (from, to) = (root.join(name), tree.join(name));
        let bytes =
            std::fs::read(&from).with_context(|| format!("{} cannot be read", from.display()))?;
        let bytes = switched(name, bytes)?;
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        let folder = to.parent().map(PathBuf::from).unwrap_or_default();
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&to, bytes))
            .with_context(|| format!("{} cannot be written", to.display()))?;
    }
    Ok(())
}

/// Removes from the copy what has left the checkout.
fn remove_others(tree: &Path, folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.strip_prefix(tree)?.to_string_lossy().into_owned();
        if name == "target" {
            continue;
        }
        if path.is_dir() {
            remove_others(tree, &path, names)?;
            // Only one that is empty by now goes; a crate is a member as long as its folder stands.
            drop(std::fs::remove_dir(&path));
        } else if !names.contains(&name.as_str()) && name != "Cargo.lock" {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// A file with its switches, if it has any, or with the copy's version: only by that does cargo tell its crates from the
/// checkout's, which it builds into the same folder.
fn switched(name: &str, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if name == "Cargo.toml" {
        let text = String::from_utf8(bytes)?;
        ensure!(text.matches(VERSION).count() == 1, "Cargo.toml does not have `{VERSION}` once");
        let line = VERSION.trim_end_matches('"');
        return Ok(text.replace(VERSION, &format!("{line}-mutants\"")).into_bytes());
    }
    if !MUTANTS.iter().any(|mutant| mutant.file == name) {
        return Ok(bytes);
    }
    let mut text = String::from_utf8(bytes)?;
    for Mutant { name: off, file, from, to, .. } in MUTANTS.iter().filter(|one| one.file == name) {
        if text.matches(from).count() != 1 {
            bail!(
                "{file} does not have `{from}` once: say in xtask/src/mutants.rs what keeps {off} now"
            );
        }
        let is_off = format!("std::env::var({SWITCH:?}).is_ok_and(|off| off == {off:?})");
        text = text.replace(from, &to.replace("OFF", &is_off));
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_has_its_place_in_the_sources() {
        for file in MUTANTS.map(|mutant| mutant.file) {
            let bytes = std::fs::read(crate::root().join(file)).unwrap();
            let text = String::from_utf8(switched(file, bytes).unwrap()).unwrap();
            assert!(text.contains(SWITCH), "{file}");
        }
    }

    #[test]
    fn the_copys_crates_have_a_version_of_their_own() {
        let bytes = std::fs::read(crate::root().join("Cargo.toml")).unwrap();
        let text = String::from_utf8(switched("Cargo.toml", bytes).unwrap()).unwrap();
        assert!(text.contains(concat!(env!("CARGO_PKG_VERSION"), "-mutants\"")), "{text}");
    }

    #[test]
    fn a_place_that_is_gone_is_named() {
        let error = switched(MUTANTS[0].file, b"fn elsewhere() {}".to_vec()).unwrap_err();
        assert!(error.to_string().contains("say in xtask/src/mutants.rs what keeps"), "{error}");
    }

    #[test]
    fn the_seed_is_read_off_what_a_failure_says() {
        let told = "seed 17 fails; play it again with INTERLINE_MODEL_SEED=17\ntoo much";
        assert_eq!(failed_seed(told), Some(17));
        assert_eq!(failed_seed("test result: ok"), None);
    }
}
