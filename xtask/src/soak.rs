//! `cargo xtask soak`: the libraries' properties on cases that nobody has seen, then random conversations against the
//! model (`tests/e2e/model`) from seeds that nobody has seen.

use crate::{needs, say};
use anyhow::Context;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seeds of a soak that says no number: some half an hour.
pub(crate) const SEEDS: &str = "100000";
/// The test that plays in memory.
pub(crate) const TEST: &str =
    "model::g5_random_conversations_in_memory_show_in_the_end_what_the_model_says";

/// True if every property held and every seed was as the model says. The first that is not ends it, and says how to
/// play it again.
pub(crate) fn run(root: &Path, seeds: &str) -> anyhow::Result<bool> {
    let seeds: u64 = seeds.parse().with_context(|| {
        format!("`{seeds}` is no number of seeds; say `cargo xtask soak 1000`, for example")
    })?;
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    // Two soaks one after the other share no seed.
    let first = now.as_secs().saturating_mul(1_000_000);
    say(&format!("xtask: each property of the libraries on {seeds} cases"))?;
    let mut properties = Command::new(env!("CARGO"));
    properties.args(["test", "--workspace", "--lib"]).env("PROPTEST_CASES", seeds.to_string());
    if !succeeds(&mut properties, root)? {
        return Ok(false);
    }
    say(&format!("xtask: {seeds} seeds from {first} on"))?;
    let mut conversations = Command::new(env!("CARGO"));
    conversations
        .args(arguments(needs::find("cargo-nextest").is_some()))
        .env("INTERLINE_MODEL_SEED", first.to_string())
        .env("INTERLINE_MODEL_SEEDS", seeds.to_string());
    succeeds(&mut conversations, root)
}

fn succeeds(command: &mut Command, root: &Path) -> anyhow::Result<bool> {
    let status = command.current_dir(root).status();
    Ok(status.context("cargo cannot be started; install Rust from https://rustup.rs")?.success())
}

/// The one test, with what it prints.
fn arguments(nextest: bool) -> Vec<String> {
    let filter = format!("test(={TEST})");
    let words: &[&str] = if nextest {
        &["nextest", "run", "--workspace", "--no-capture", "-E", &filter]
    } else {
        &["test", "--workspace", "--test", "e2e", "--", "--exact", TEST, "--nocapture"]
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_runs_the_one_test_that_there_is_and_shows_what_it_prints() {
        let (module, name) = TEST.split_once("::").unwrap();
        let test = crate::root().join(format!("tests/e2e/{module}/mod.rs"));
        let text = std::fs::read_to_string(test).unwrap();
        assert!(text.contains(&format!("fn {name}()")), "{TEST} is gone");
        for (nextest, shows) in [(true, "--no-capture"), (false, "--nocapture")] {
            let arguments = arguments(nextest);
            assert!(arguments.iter().any(|word| word.contains(TEST)));
            assert!(arguments.iter().any(|word| word == shows));
        }
    }

    #[test]
    fn a_number_of_seeds_that_is_none_is_said() {
        let error = run(crate::root(), "many").unwrap_err();
        assert!(error.to_string().contains("`many` is no number of seeds"), "{error}");
    }
}
