//! `cargo xtask test`: all that must be green before a change goes in.

use crate::{clients, needs, say};
use anyhow::Context;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What this run can count on.
#[derive(Clone, Copy, Debug)]
struct Surroundings {
    /// On a build server nothing may be skipped.
    ci: bool,
    /// The platforms' fixtures stand beside the checkout.
    fixtures: bool,
    nextest: bool,
    deny: bool,
    /// It is a checkout, and git lists its files.
    git: bool,
}

/// One step: a cargo command, or why there is none.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    env: Vec<(&'static str, &'static str)>,
    /// Set where the step is left out.
    left_out: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    LeftOut,
}

/// Runs every step, the later ones also if one fails. True if all passed.
///
/// # Errors
/// If what the tests need is missing and cannot be installed, or cargo cannot be started.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let surroundings = Surroundings {
        ci: std::env::var("CI").is_ok_and(|value| value == "true" || value == "1"),
        fixtures: root.join("../shared/fixtures").is_dir(),
        nextest: needs::find("cargo-nextest").is_some(),
        deny: needs::find("cargo-deny").is_some(),
        git: needs::find("git").is_some() && root.join(".git").exists(),
    };
    needs::ensure_rabbitmq()?;
    needs::ensure_ffmpeg()?;
    clients::ensure(root)?;
    let started = Instant::now();
    let mut verdicts = Vec::new();
    for step in plan(surroundings) {
        verdicts.push((step.name, run_step(root, &step)?));
    }
    if !surroundings.fixtures {
        say(
            "xtask: note: ../shared is not beside the checkout, so tests on its fixtures were skipped",
        )?;
    }
    say(&summary(&verdicts, started.elapsed()))?;
    Ok(verdicts.iter().all(|(_, verdict)| *verdict != Verdict::Failed))
}

fn plan(surroundings: Surroundings) -> Vec<Step> {
    let step = |name, arguments| Step { name, arguments, env: Vec::new(), left_out: None };
    let tests: &[&str] = if surroundings.nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--all-targets", "--no-fail-fast"]
    };
    // RabbitMQ is there, or the run would have ended. Where the fixtures are too, nothing has an excuse.
    let strict = surroundings.ci && surroundings.fixtures;
    let strict = strict.then_some(("INTERLINE_REQUIRE_ALL", "1"));
    // A build server judges a change by the same draws as the change before it; a soak draws new ones.
    let drawn = [("PROPTEST_RNG_SEED", "1"), ("PROPTEST_CASES", "2000")];
    let drawn = drawn.into_iter().filter(|_| surroundings.ci);
    let no_deny = "cargo-deny is not installed; tests/house_rules.rs has checked the same rules";
    vec![
        step("format", &["fmt", "--all", "--check"]),
        step("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        Step {
            env: vec![("RUSTDOCFLAGS", "-D warnings")],
            ..step("docs", &["doc", "--workspace", "--no-deps"])
        },
        step("schemas", &["xtask", "schema", "--check"]),
        step("fidelity", &["xtask", "fidelity", "--check"]),
        Step { env: strict.into_iter().chain(drawn).collect(), ..step("tests", tests) },
        Step {
            left_out: (!surroundings.git).then_some("git does not list the checkout's files"),
            ..step("mutants", &["xtask", "mutants-model"])
        },
        step("doctests", &["test", "--doc", "--workspace"]),
        Step {
            left_out: (!surroundings.deny).then_some(no_deny),
            ..step(
                "dependencies",
                &["deny", "--all-features", "check", "bans", "licenses", "sources"],
            )
        },
    ]
}

fn run_step(root: &Path, step: &Step) -> anyhow::Result<Verdict> {
    if let Some(reason) = step.left_out {
        say(&format!("xtask: {}: left out: {reason}", step.name))?;
        return Ok(Verdict::LeftOut);
    }
    say(&format!("xtask: {}: cargo {}", step.name, step.arguments.join(" ")))?;
    let started = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(step.arguments)
        .envs(step.env.iter().copied())
        .current_dir(root)
        .status()
        .context("cargo cannot be started; install Rust from https://rustup.rs")?;
    let verdict = if status.success() { Verdict::Passed } else { Verdict::Failed };
    say(&format!("xtask: {}: {} in {}", step.name, verdict.as_str(), seconds(started.elapsed())))?;
    Ok(verdict)
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::LeftOut => "left out",
        }
    }
}

fn summary(verdicts: &[(&'static str, Verdict)], took: Duration) -> String {
    let named = |wanted| {
        let names =
            verdicts.iter().filter(move |(_, verdict)| *verdict == wanted).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    let (failed, left_out) = (named(Verdict::Failed), named(Verdict::LeftOut));
    let left_out = if left_out.is_empty() { left_out } else { format!("; left out: {left_out}") };
    let took = seconds(took);
    if failed.is_empty() {
        format!("xtask: all green in {took}: {}{left_out}", named(Verdict::Passed))
    } else {
        format!("xtask: FAILED in {took}: {failed}{left_out}")
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Surroundings =
        Surroundings { ci: true, fixtures: true, nextest: true, deny: true, git: true };

    fn tests_step(surroundings: Surroundings) -> Step {
        plan(surroundings).into_iter().find(|step| step.name == "tests").unwrap()
    }

    #[test]
    fn the_steps_run_from_the_quickest_to_the_slowest_and_warnings_are_errors() {
        let names: Vec<_> = plan(FULL).iter().map(|step| step.name).collect();
        assert_eq!(
            names,
            [
                "format",
                "lints",
                "docs",
                "schemas",
                "fidelity",
                "tests",
                "mutants",
                "doctests",
                "dependencies"
            ]
        );
        let lints = &plan(FULL)[1];
        assert!(lints.arguments.ends_with(&["-D", "warnings"]));
        assert_eq!(plan(FULL)[2].env, [("RUSTDOCFLAGS", "-D warnings")]);
    }

    #[test]
    fn on_a_build_server_nothing_may_be_skipped_where_the_fixtures_are() {
        let required = ("INTERLINE_REQUIRE_ALL", "1");
        assert!(tests_step(FULL).env.contains(&required));
        assert!(!tests_step(Surroundings { fixtures: false, ..FULL }).env.contains(&required));
        assert_eq!(tests_step(Surroundings { ci: false, ..FULL }).env, []);
    }

    #[test]
    fn on_a_build_server_properties_are_tried_on_many_cases_that_are_always_the_same() {
        let env = tests_step(FULL).env;
        assert!(env.contains(&("PROPTEST_RNG_SEED", "1")), "{env:?}");
        assert!(env.contains(&("PROPTEST_CASES", "2000")), "{env:?}");
    }

    #[test]
    fn without_nextest_the_tests_still_run() {
        assert_eq!(tests_step(FULL).arguments[0], "nextest");
        assert_eq!(tests_step(Surroundings { nextest: false, ..FULL }).arguments[0], "test");
    }

    #[test]
    fn without_cargo_deny_the_step_says_that_it_was_left_out() {
        let left_out = |deny| plan(Surroundings { deny, ..FULL }).pop().unwrap().left_out;
        assert_eq!(left_out(true), None);
        assert!(left_out(false).unwrap().contains("cargo-deny is not installed"));
    }

    #[test]
    fn the_summary_names_what_failed_and_what_was_left_out() {
        let took = Duration::from_millis(1500);
        let green = [("lints", Verdict::Passed), ("dependencies", Verdict::LeftOut)];
        assert_eq!(
            summary(&green, took),
            "xtask: all green in 1.5 s: lints; left out: dependencies"
        );
        let red =
            [("lints", Verdict::Failed), ("tests", Verdict::Passed), ("docs", Verdict::Failed)];
        assert_eq!(summary(&red, took), "xtask: FAILED in 1.5 s: lints, docs");
    }

    #[test]
    fn a_step_that_fails_is_a_verdict_and_no_error() {
        let step = |arguments| Step { name: "x", arguments, env: Vec::new(), left_out: None };
        let root = crate::root();
        assert_eq!(run_step(root, &step(&["--version"])).unwrap(), Verdict::Passed);
        assert_eq!(run_step(root, &step(&["no-such-command"])).unwrap(), Verdict::Failed);
    }
}
