//! What the program says about itself.

use crate::support::run;

/// Every command that the help lists, and those below it.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(command) = open.pop() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("-h");
        let help = run(&arguments).ended(0).out;
        let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            // What goes on from the line above stands farther in.
            let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
            let name = name.and_then(|line| line.split_whitespace().next());
            if let Some(name) = name.filter(|name| *name != "help") {
                let mut below = command.clone();
                below.push(name.to_owned());
                open.push(below.clone());
                found.push(below);
            }
        }
    }
    assert!(found.len() >= 12, "{found:?}");
    found
}

#[test]
fn the_help_of_every_command_explains_it_and_has_an_example() {
    for command in commands() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let ran = run(&arguments).ended(0);
        let example = format!("interline {} ", command.join(" "));
        let examples = ran.out.split("Example").nth(1).unwrap_or_default();
        assert!(examples.contains(example.trim_end()), "{command:?}: {}", ran.out);
        let explained = ran.out.split("Usage:").next().unwrap();
        assert!(explained.lines().count() > 2, "{command:?}: {}", ran.out);
    }
}

#[test]
fn the_programs_own_help_says_where_to_begin() {
    let help = run(&["--help"]).ended(0).out;
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
