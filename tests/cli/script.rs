//! `sandbox --script`: what is shipped, and what a person writes.

use crate::support::{Folder, Ran, program, run};
use interline::sandbox::script::{SHIPPED, Script, ScriptError};
use serde_json::Value;
use std::path::Path;
use unicode_segmentation::UnicodeSegmentation;

const DOCUMENT: &str = include_str!("../../docs/sandbox-scripts.md");

/// Plays a script from a file and returns what was printed, with its exit code.
fn play(text: &str) -> (Option<i32>, String, String) {
    let folder = Folder::with(text);
    let path = folder.path().join("interline.toml");
    let output = program(&["sandbox", "--script", path.to_str().unwrap()]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Plays a shipped script, on which all must hold.
fn holds(name: &str) -> Ran {
    let ran = run(&["sandbox", "--script", name]).ended(0);
    assert!(ran.out.contains("checks hold.") && !ran.out.contains('✗'), "{ran:#?}");
    ran
}

/// The mistakes of a script, one a line.
fn mistakes(text: &str) -> String {
    match Script::parse(Path::new("own.toml"), text) {
        Err(error @ ScriptError::Wrong(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn in_the_storm_every_phone_shows_every_message_once_and_in_order() {
    let ran = holds("storm");
    assert!(
        ran.out.contains("✓ Iris on Instagram sees nothing else and nothing twice"),
        "{ran:#?}"
    );
    assert!(ran.err.is_empty(), "nothing goes wrong: {ran:#?}");
}

#[test]
fn in_the_outage_every_fault_strikes_and_all_arrives_once_and_in_order() {
    let ran = holds("outage");
    assert_eq!(ran.out.matches("✓ The fault of line").count(), 8, "{ran:#?}");
    assert!(ran.err.contains("the link to the broker is lost"), "{ran:#?}");
    assert!(ran.err.contains("the broker blocks publishing"), "{ran:#?}");
}

#[test]
fn odd_things_arrive_in_the_best_form_that_each_platform_has() {
    let ran = holds("odd");
    assert!(ran.out.contains("✓ Alice on WhatsApp sees nothing else"), "{ran:#?}");
    assert!(ran.out.contains("✓ Bob on Messenger sees nothing else"), "{ran:#?}");
    assert!(ran.out.contains("✓ Carla on Instagram sees nothing else"), "{ran:#?}");
    assert!(ran.err.is_empty(), "nothing goes wrong: {ran:#?}");
}

#[test]
fn what_is_easily_lost_arrives_whole_and_refers_to_each_phones_own_copy() {
    let ran = run(&["sandbox", "--script", "fidelity", "--json"]).ended(0);
    assert!(ran.err.is_empty(), "nothing goes wrong: {ran:#?}");
    let played: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(played["holds"], true, "{ran:#?}");
    // Looked at once more, without the script's own judgement. The rainbow stands in every part.
    let texts = |phone: usize| -> Vec<String> {
        let screen = played["phones"][phone]["screen"].as_array().unwrap();
        let texts = screen.iter().filter_map(|shown| shown["text"].as_str());
        texts.filter(|text| text.contains('🌈')).map(str::to_owned).collect()
    };
    let said = texts(0).concat();
    assert_eq!(said.chars().count(), 10_000);
    let whole = format!("Alice: {said}");
    let borders: Vec<usize> = whole.grapheme_indices(true).map(|(at, _)| at).collect();
    for (phone, platform, parts) in [(1, "messenger", 6), (2, "instagram", 33)] {
        assert_eq!(played["phones"][phone]["platform"], platform);
        let shown = texts(phone);
        assert_eq!((shown.len(), shown.concat() == whole), (parts, true), "{platform}");
        let mut at = 0;
        for part in shown {
            assert!(borders.contains(&at), "{part}");
            assert!(platform != "instagram" || part.len() <= 1000, "{part}");
            assert!(part.chars().count() <= 2000, "{part}");
            at += part.len();
        }
    }
}

#[test]
fn a_script_of_ones_own_is_played_from_a_file() {
    let (code, out, err) = play(
        r#"
[[step]]
who = "alice"
say = "Hello"

[[step]]
who = "bob"
reply = "Hi"
to = "Hello"

[[expect]]
phone = "bob"
from = "alice"
shows = "Alice: Hello"

[[expect]]
phone = "alice"
from = "bob"
shows = "Bob: Hi"
answers = "Hello"
"#,
    );
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("✓ Alice on WhatsApp gets “Bob: Hi”"), "{out}");
}

#[test]
fn a_phone_that_does_not_show_what_the_script_wants_ends_it_with_1_and_is_told() {
    let (code, out, _) = play(
        r#"
[[step]]
who = "alice"
say = "Hello"

[[expect]]
phone = "bob"
from = "alice"
shows = "Alice: Good morning"
"#,
    );
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("✗ Bob on Messenger gets “Alice: Good morning”"), "{out}");
    assert!(out.contains("1 of 1 missing") && out.contains("there is “Alice: Hello”"), "{out}");
}

#[test]
fn a_fault_that_never_strikes_does_not_hold() {
    let fault = "limit = \"1s\"\n[[step]]\nfault = \"500\"\non = \"messenger\"\ntimes = 1\n";
    let (code, out, _) = play(&format!("{fault}[[step]]\nwho = \"bob\"\nsay = \"Hello\"\n"));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("✗ The fault of line 2 struck"), "{out}");
}

#[test]
fn what_a_platform_does_not_have_is_told_with_the_line_of_the_step() {
    let (code, _, err) = play("\n[[step]]\nwho = \"bob\"\nheart = true\n");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("the step at line 2") && err.contains("Instagram's heart"), "{err}");
}

#[test]
fn mistakes_in_a_script_are_told_all_at_once_with_line_and_key_and_how_to_mend_them() {
    let told = mistakes(
        r#"
[[step]]
who = "zoe"
say = "Hello"

[[step]]
who = "alice"
sya = "Hello"

[[step]]
who = "alice"
say = "Hello"
heart = true

[[step]]
fault = "404"
on = "messenger"

[[step]]
wait = "soon"

[[expect]]
phone = "alice"
from = "alice"
"#,
    );
    for part in [
        "own.toml:3:7: step[0].who: nobody here has that name; write one of alice, bob, carla",
        "own.toml:8:1: step[1].sya: there is no such key in step[1]; did you mean `say`?",
        "own.toml:13:9: step[2].heart: a step is one thing, and this is both `say` and `heart`",
        "own.toml:16:9: step[3].fault: there is no such fault here; write \"500\", \"503\"",
        "own.toml:20:8: step[4].wait: this is no duration; write",
        "own.toml:22:1: expect[0].shows: what must the phone show?",
        "own.toml:24:8: expect[0].from: these two are not in one conversation",
    ] {
        assert!(told.contains(part), "{part}\nis not in\n{told}");
    }
}

#[test]
fn mistakes_in_long_texts_are_told_with_line_and_key_and_how_to_mend_them() {
    let told = mistakes(
        r#"
[[step]]
who = "alice"
say = "Look: {repeat}"

[[step]]
who = "alice"
say = "Look"
often = 3

[[step]]
who = "alice"
say = "Look"
repeat = "Ha"
often = 3

[[step]]
who = "alice"
say = "{repeat}"
repeat = "Ha"

[[step]]
who = "alice"
say = "{repeat}"
repeat = "Nobody hears that much"
often = 10_000

[[expect]]
phone = "bob"
from = "alice"
shows = "[audio, audio/ogg, 47 bytes]"
parts = 2
unchanged = true

[[expect]]
phone = "bob"
from = "alice"
shows = "Look"
part = 2
"#,
    );
    for part in [
        "own.toml:4:7: step[0].say: {repeat} stands for what `repeat` says; write that",
        "own.toml:9:9: step[1].often: nothing is repeated; write it",
        "own.toml:14:10: step[2].repeat: `say` names its place once; write say = \"Ho {repeat}\"",
        "own.toml:20:10: step[3].repeat: how often? write often = 100",
        "own.toml:26:9: step[4].often: the text has more than 131072 bytes; write a lower number",
        "own.toml:33:13: expect[0].unchanged: this is said of a file, which comes in one message",
        "own.toml:39:1: expect[1].part: there is no such key in expect[1]; did you mean `parts`?",
    ] {
        assert!(told.contains(part), "{part}\nis not in\n{told}");
    }
}

#[test]
fn a_script_that_is_no_toml_or_has_no_step_is_told_as_such() {
    assert!(mistakes("[[step]\nwho = ").contains("own.toml:1:"), "the line is named");
    assert!(mistakes("about = \"nothing\"").contains("write a step"), "how to begin is said");
}

#[test]
fn an_unusable_script_on_the_command_line_ends_with_2_before_anything_starts() {
    let unknown = run(&["sandbox", "--script", "strom"]).ended(2);
    assert!(unknown.err.contains("demo, storm"), "{unknown:?}");
    let absent = run(&["sandbox", "--script", "./absent.toml"]).ended(2);
    assert!(absent.err.contains("./absent.toml cannot be read"), "{absent:?}");
    let (code, out, err) = play("[[step]]\nwho = \"alice\"\n");
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("interline.toml:1:1: step[0]: this step does nothing"), "{err}");
}

#[test]
fn every_script_that_is_shipped_says_what_it_shows_and_stands_in_the_help() {
    let help = run(&["sandbox", "--help"]).ended(0).out;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, _) in SHIPPED {
        let script = Script::find(name).unwrap();
        assert!(!script.about.is_empty(), "{name}");
        assert!(help.contains(&format!("{name}: {}", script.about)), "{name}\n{help}");
    }
}

#[test]
fn every_example_of_the_document_is_played_and_holds() {
    let blocks: Vec<&str> = DOCUMENT.split("```toml\n").skip(1).collect();
    assert!(blocks.len() > 4, "there are examples");
    for block in blocks {
        let example = block.split("```").next().unwrap();
        let (code, out, err) = play(example);
        assert_eq!(code, Some(0), "{example}\n{out}\n{err}");
    }
}

#[test]
fn the_document_names_everything_that_a_step_can_be() {
    let told = mistakes("[[step]]\nwho = \"alice\"\n");
    let keys: Vec<&str> = told.split("write one of ").nth(1).unwrap().split(", ").collect();
    assert!(keys.len() > 10, "{told}");
    for key in keys {
        let named = [format!("`{key}"), format!("\n{key} = ")];
        assert!(named.iter().any(|named| DOCUMENT.contains(named)), "{key} is not in the document");
    }
}
