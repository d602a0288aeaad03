//! What the program says about itself.

use crate::support::run;

const COMMANDS: [&[&str]; 11] = [
    &["run"],
    &["sandbox"],
    &["check"],
    &["normalize"],
    &["render"],
    &["topology"],
    &["conversations"],
    &["dead"],
    &["dead", "list"],
    &["dead", "show"],
    &["dead", "replay"],
];

#[test]
fn the_help_of_every_command_explains_it_and_has_an_example() {
    for command in COMMANDS {
        let ran = run(&[command, &["--help"]].concat()).ended(0);
        let example = format!("interline {} ", command.join(" "));
        let examples = ran.out.split("Example").nth(1).unwrap_or_default();
        assert!(examples.contains(example.trim_end()), "{command:?}: {}", ran.out);
        let explained = ran.out.split("Usage:").next().unwrap();
        assert!(explained.lines().count() > 2, "{command:?}: {}", ran.out);
    }
}

#[test]
fn the_programs_own_help_lists_every_command_and_where_to_begin() {
    let help = run(&["--help"]).ended(0).out;
    for command in COMMANDS.iter().filter(|command| command.len() == 1) {
        assert!(help.contains(&format!("\n  {} ", command[0])), "{command:?}: {help}");
    }
    assert!(help.contains("interline sandbox --script demo"), "{help}");
}

#[test]
fn a_command_that_is_written_wrongly_ends_with_2_and_shows_how_it_is_written() {
    let wrong: [&[&str]; 5] =
        [&[], &["frobnicate"], &["normalize"], &["dead", "replay"], &["sandbox", "--script", "x"]];
    for arguments in wrong {
        let ran = run(arguments).ended(2);
        assert!(ran.err.contains("Usage:") || ran.err.contains("possible values"), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[test]
fn the_version_is_told() {
    let ran = run(&["--version"]).ended(0);
    assert_eq!(ran.out.trim(), concat!("interline ", env!("CARGO_PKG_VERSION")));
}
