//! What the README shows is what the program does.

use crate::support::{Folder, program, run};

const README: &str = include_str!("../../README.md");

/// The first block of that language below a heading.
fn block(heading: &str, language: &str) -> &'static str {
    let below = README.split(heading).nth(1).unwrap();
    let start = below.split(&format!("```{language}\n")).nth(1).unwrap();
    start.split("\n```").next().unwrap()
}

#[test]
fn the_transcript_of_the_readme_is_what_the_demo_prints() {
    let ran = run(&["sandbox", "--script", "demo"]).ended(0);
    let mut printed = ran.out.lines();
    for line in block("## Try it", "text").lines().filter(|line| line.trim() != "…") {
        assert!(printed.any(|printed| printed == line), "{line}\nis not next in\n{}", ran.out);
    }
}

#[test]
fn the_first_config_of_the_readme_can_be_used_as_it_stands() {
    let folder = Folder::with(block("## A first config", "toml"));
    let mut check = program(&["check", "--config", "interline.toml"]);
    let secrets = ["WHATSAPP_TOKEN", "WHATSAPP_APP_SECRET", "VERIFY_TOKEN"];
    let secrets = secrets.iter().chain(&["INSTAGRAM_TOKEN", "INSTAGRAM_APP_SECRET"]);
    let output = check
        .envs(secrets.map(|name| (name, "a-secret")))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
