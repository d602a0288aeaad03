//! The laws of the house that no compiler enforces, each a test.
//!
//! A law is a pure function from text to the places that break it, and has a second test that shows it would see one.

#![expect(
    clippy::unwrap_used,
    reason = "a law that cannot read the tree has failed, wherever in this file"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 600;
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Rooms without clock and I/O: the same input gives the same output.
const PURE: [&str; 8] = [
    "crates/envelope",
    "crates/relay",
    "crates/notice",
    "crates/bridge-api",
    "crates/graph",
    "bridges/whatsapp",
    "bridges/instagram",
    "bridges/messenger",
];
const IMPURE_WORDS: [&str; 12] = [
    "SystemTime::now",
    "Instant::now",
    "std::time::Instant",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::io::std",
    "tokio::",
    "reqwest::",
    "rusqlite::",
];
const IMPURE_CRATES: [&str; 8] =
    ["tokio", "tokio-util", "reqwest", "axum", "rusqlite", "lapin", "tracing-subscriber", "rustix"];

/// Who may import whom: a package, what of the house it may build on, and what besides its tests may use.
const IMPORTS: [(&str, &[&str], &[&str]); 14] = [
    ("interline-envelope", &[], &[]),
    ("interline-notice", &[], &[]),
    ("interline-relay", &["interline-envelope"], &[]),
    ("interline-bridge-api", &["interline-envelope", "interline-relay"], &[]),
    ("interline-graph", &["interline-envelope", "interline-relay", "interline-bridge-api"], &[]),
    ("interline-whatsapp", BRIDGE_IMPORTS, &[]),
    ("interline-instagram", BRIDGE_IMPORTS, &[]),
    ("interline-messenger", BRIDGE_IMPORTS, &[]),
    ("interline-store", &["interline-envelope"], &[]),
    ("interline-broker", &[], &["interline-embedded-broker", "interline-rabbit-node"]),
    ("interline-embedded-broker", &[], &["interline-broker", "interline-rabbit-node"]),
    ("interline-rabbit-node", &[], &[]),
    // The simulated platforms share no code with the bridges: else a mistake would agree with itself.
    ("interline-sandbox", &[], &[]),
    // The chores that write the contract and the fidelity ask the daemon for them.
    (
        "xtask",
        &[
            "interline",
            "interline-bridge-api",
            "interline-envelope",
            "interline-rabbit-node",
            "interline-relay",
        ],
        &[],
    ),
];
const BRIDGE_IMPORTS: &[&str] =
    &["interline-envelope", "interline-relay", "interline-bridge-api", "interline-graph"];

/// Crates that one room keeps to itself: who may build on them, and whose tests may.
const KEPT: [(&str, &[&str], &[&str]); 4] = [
    ("lapin", &["interline-broker"], &["interline-embedded-broker"]),
    ("amq-protocol", &["interline-embedded-broker"], &[]),
    ("rusqlite", &["interline-store"], &[]),
    ("axum", &["interline", "interline-sandbox"], &[]),
];

const BANNED: [&str; 5] = ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"];
const LICENCES: [&str; 9] = [
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Every file below the checkout, as paths relative to it; what git ignores is left out.
fn files(extensions: &[&str]) -> Vec<(String, String)> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", ".git"].contains(&name.as_str()) {
                walk(&path, out);
            } else if path.is_file() {
                out.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(Path::new(ROOT), &mut paths);
    let wanted =
        |path: &PathBuf| path.extension().is_some_and(|ext| extensions.iter().any(|e| ext == *e));
    let mut read: Vec<_> = paths
        .into_iter()
        .filter(wanted)
        // An editor's temporary file may be gone by now.
        .filter_map(|path| {
            Some((path.strip_prefix(ROOT).unwrap().display().to_string(), text(&path)?))
        })
        .collect();
    read.sort();
    assert!(!read.is_empty(), "there are files to look at");
    read
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn manifests() -> Vec<(String, toml::Table)> {
    let manifests = files(&["toml"]).into_iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    manifests.map(|(path, text)| (path, text.parse().unwrap())).collect()
}

fn check(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

// -- no clock and no I/O in a pure crate

/// The code before the tests, line by line without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let code = text.get(..end).unwrap_or(text);
    code.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or(line)))
}

fn impurities(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, line) in code(text) {
        for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
            broken.push(format!(
                "{path}:{number}: {word} in a pure crate; let the caller pass it in"
            ));
        }
    }
    broken
}

#[test]
fn a_pure_crate_reads_no_clock_and_does_no_io() {
    let mut broken = Vec::new();
    for (path, text) in files(&["rs"]) {
        if PURE.iter().any(|room| path.starts_with(&format!("{room}/src/"))) {
            broken.extend(impurities(&path, &text));
        }
    }
    for (path, manifest) in manifests() {
        if PURE.iter().any(|room| path.starts_with(&format!("{room}/"))) {
            let impure = dependencies(&manifest, "dependencies");
            let impure = impure.iter().filter(|name| IMPURE_CRATES.contains(&name.as_str()));
            broken.extend(
                impure.map(|name| format!("{path}: {name} does I/O, and this crate is pure")),
            );
        }
    }
    check(&broken);
}

#[test]
fn a_clock_read_in_a_pure_crate_would_be_seen() {
    assert_eq!(impurities("x.rs", "let now = std::time::SystemTime::now();").len(), 1);
    assert_eq!(impurities("x.rs", "fn f() {\n    let now = Instant::now();\n}").len(), 1);
    assert_eq!(impurities("x.rs", "use tokio::sync::mpsc;").len(), 1);
    assert_eq!(
        impurities("x.rs", "// Instant::now() is banned\n#[cfg(test)]\nmod tests { use std::fs; }")
            .len(),
        0
    );
}

// -- no long file

fn too_long(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let broken = (lines > LINES_MAX)
        .then(|| format!("{path}: {lines} lines; split it before it has {LINES_MAX}"));
    broken.into_iter().collect()
}

#[test]
fn no_file_has_more_than_600_lines() {
    check(&files(&["rs"]).iter().flat_map(|(path, text)| too_long(path, text)).collect::<Vec<_>>());
}

#[test]
fn a_file_of_601_lines_would_be_seen() {
    assert_eq!(too_long("x.rs", &"\n".repeat(601)).len(), 1);
    assert_eq!(too_long("x.rs", &"\n".repeat(600)).len(), 0);
}

// -- who may import whom

fn dependencies(manifest: &toml::Table, section: &str) -> Vec<String> {
    let table = manifest.get(section).and_then(|section| section.as_table());
    table.into_iter().flat_map(|table| table.keys().cloned()).collect()
}

fn package(manifest: &toml::Table) -> &str {
    manifest["package"]["name"].as_str().unwrap()
}

fn forbidden_imports(manifest: &toml::Table) -> Vec<String> {
    let name = package(manifest);
    let (normal, dev) =
        (dependencies(manifest, "dependencies"), dependencies(manifest, "dev-dependencies"));
    let mut broken = Vec::new();
    for (kept, users, testers) in KEPT {
        let may = |all: &[&[&str]]| all.iter().any(|names| names.contains(&name));
        let used = normal.iter().any(|dep| dep == kept) && !may(&[users]);
        let tested = dev.iter().any(|dep| dep == kept) && !may(&[users, testers]);
        if used || tested {
            broken
                .push(format!("{name} imports {kept}, which {} keeps to itself", users.join(", ")));
        }
    }
    if name == "interline" {
        return broken;
    }
    let Some((_, users, testers)) = IMPORTS.iter().find(|(package, ..)| *package == name) else {
        broken.push(format!("{name} has no line in IMPORTS; say what it may import"));
        return broken;
    };
    let of_the_house = |dep: &&String| dep.starts_with("interline");
    for dep in normal.iter().filter(of_the_house).filter(|dep| !users.contains(&dep.as_str())) {
        broken.push(format!("{name} may not import {dep}"));
    }
    for dep in dev.iter().filter(of_the_house) {
        if !users.contains(&dep.as_str()) && !testers.contains(&dep.as_str()) {
            broken.push(format!("the tests of {name} may not import {dep}"));
        }
    }
    broken
}

#[test]
fn every_crate_imports_only_what_the_house_allows() {
    let manifests = manifests();
    assert!(manifests.len() > IMPORTS.len() - 2, "{} manifests were found", manifests.len());
    check(
        &manifests.iter().flat_map(|(_, manifest)| forbidden_imports(manifest)).collect::<Vec<_>>(),
    );
}

#[test]
fn a_forbidden_import_would_be_seen() {
    let broken = |text: &str| forbidden_imports(&text.parse().unwrap()).len();
    let whatsapp = "[package]\nname = \"interline-whatsapp\"\n[dependencies]\n";
    assert_eq!(broken(&format!("{whatsapp}interline-graph.workspace = true")), 0);
    assert_eq!(broken(&format!("{whatsapp}interline-instagram.workspace = true")), 1);
    assert_eq!(broken(&format!("{whatsapp}interline-broker.workspace = true")), 1);
    assert_eq!(broken("[package]\nname = \"interline\"\n[dependencies]\nlapin = \"4\""), 1);
    assert_eq!(
        broken(
            "[package]\nname = \"interline-embedded-broker\"\n[dev-dependencies]\nlapin = \"4\""
        ),
        0
    );
    assert_eq!(broken("[package]\nname = \"interline-new\""), 1);
}

#[test]
fn a_member_takes_every_dependency_from_the_workspace() {
    let mut broken = Vec::new();
    for (path, manifest) in manifests() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(|section| section.as_table()) else {
                continue;
            };
            let own = table.iter().filter(|(_, dep)| dep.get("workspace").is_none());
            broken.extend(own.map(|(name, _)| format!("{path}: write `{name}.workspace = true`")));
        }
    }
    check(&broken);
}

// -- a reason for every dependency

/// Dependencies without a reason behind them or a commented heading above their group.
fn without_reason(manifest: &str) -> Vec<String> {
    let from = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let mut under_heading = false;
    let mut broken = Vec::new();
    for line in from.take_while(|line| !line.starts_with('[')) {
        if line.is_empty() {
            under_heading = false;
        } else if line.starts_with('#') {
            under_heading = true;
        } else if let Some((name, rest)) = line.split_once(" = ") {
            let has_reason =
                rest.contains("\" #") || rest.contains("} #") || rest.contains("path = ");
            if !has_reason && !under_heading {
                broken.push(format!("{name}: say behind it why it was chosen"));
            }
        }
    }
    broken
}

#[test]
fn every_dependency_of_the_workspace_has_its_reason() {
    check(&without_reason(&text(&Path::new(ROOT).join("Cargo.toml")).unwrap()));
}

#[test]
fn a_dependency_without_a_reason_would_be_seen() {
    let section = "[workspace.dependencies]\n";
    assert_eq!(without_reason(&format!("{section}left-pad = \"1\"\n[x]\ny = \"1\"")).len(), 1);
    assert_eq!(
        without_reason(&format!(
            "{section}a = \"1\" # why\nb = {{ path = \"b\" }}\n\n# Data\nc = \"1\""
        ))
        .len(),
        0
    );
    assert_eq!(without_reason(&format!("{section}# Data\nc = \"1\"\n\nd = \"1\"")).len(), 1);
}

// -- words that do not stand in finished code

/// Put together here, so that this file does not break its own law.
fn unfinished_words() -> [String; 8] {
    let bang = |word: &str| format!("{word}!(");
    let attribute = |word: &str| format!("[{word}");
    let note = |a: &str, b: &str| format!("{a}{b}");
    [
        attribute("allow("),
        attribute("ignore"),
        bang("todo"),
        bang("unimplemented"),
        note("TO", "DO"),
        note("FIX", "ME"),
        note("XX", "X:"),
        note("HA", "CK:"),
    ]
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    let words = unfinished_words();
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(index, line)| {
            let found = words.iter().filter(move |word| line.contains(word.as_str()));
            found.map(move |word| format!("{path}:{}: {word}", index + 1)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn nothing_is_silenced_skipped_or_left_for_later() {
    check(
        &files(&["rs"]).iter().flat_map(|(path, text)| unfinished(path, text)).collect::<Vec<_>>(),
    );
}

#[test]
fn a_silenced_lint_or_a_note_for_later_would_be_seen() {
    for word in unfinished_words() {
        assert_eq!(
            unfinished("x.rs", &format!("fn f() {{}}\n#{word}")),
            [format!("x.rs:2: {word}")]
        );
    }
    assert_eq!(unfinished("x.rs", "#[expect(dead_code, reason = \"shown\")]").len(), 0);
}

// -- no machine's own paths

fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let folders = ["work", "root"].map(|folder| format!("/{folder}/"));
    let lines = text.lines().enumerate();
    let found = lines.filter(|(_, line)| folders.iter().any(|folder| line.contains(folder)));
    found.map(|(index, _)| format!("{path}:{}: a path of one machine", index + 1)).collect()
}

#[test]
fn no_path_of_a_machine_stands_in_the_tree() {
    let files = files(&["rs", "toml", "md", "service", "json", "yaml", "yml", "sh"]);
    check(&files.iter().flat_map(|(path, text)| machine_paths(path, text)).collect::<Vec<_>>());
}

#[test]
fn a_path_of_a_machine_would_be_seen() {
    assert_eq!(machine_paths("x.md", &format!("see\n/{}/main", "work")).len(), 1);
    assert_eq!(machine_paths("x.md", "in the network/interline").len(), 0);
}

// -- what comes from outside

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        std::process::Command::new(cargo).args(arguments).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn metadata() -> serde_json::Value {
    // One platform, so that cargo needs no crate that was not built.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata =
        cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", &target]);
    serde_json::from_slice(&metadata).unwrap()
}

/// Crates with their versions and features, a line each.
fn tree(of: &[&str]) -> BTreeSet<String> {
    let shape = ["tree", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p} {f}"];
    let lines = String::from_utf8(cargo(&[&shape, of].concat())).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_built_for_the_chores_is_what_is_built_for_the_tests() {
    let chores = tree(&["--package", "xtask", "--edges", "normal,build"]);
    let tests = tree(&["--workspace", "--edges", "normal,build,dev"]);
    let twice: Vec<&String> = chores.difference(&tests).collect();
    assert!(twice.is_empty(), "name their features in xtask/Cargo.toml: {twice:#?}");
}

/// Packages that are in the build: metadata lists those of other platforms too.
fn built(metadata: &serde_json::Value) -> Vec<&serde_json::Value> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let ids: BTreeSet<&str> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().filter(|package| ids.contains(package["id"].as_str().unwrap())).collect()
}

/// True if an SPDX expression can be met with the licences that the house takes.
fn is_permitted(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut permitted = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        permitted |= all_of(words, at);
    }
    permitted
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut permitted = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        permitted &= one(words, at);
    }
    permitted
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let permitted = any_of(words, at);
        *at += 1;
        return permitted;
    }
    if words.get(*at) == Some(&"WITH") {
        // An exception only adds rights.
        *at += 2;
    }
    LICENCES.contains(&word)
}

#[test]
fn every_crate_comes_from_crates_io_under_a_permissive_licence_and_none_is_banned() {
    let metadata = metadata();
    let packages = built(&metadata);
    assert!(packages.len() > 100, "{} packages were found", packages.len());
    let mut broken = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_permitted(licence) {
            broken.push(format!("{name}: the licence {licence}"));
        }
        if package["source"].as_str().is_some_and(|source| source != CRATES_IO) {
            broken.push(format!("{name} does not come from crates.io"));
        }
        if BANNED.contains(&name) {
            broken.push(format!("{name} is banned; TLS is rustls with ring"));
        }
    }
    check(&broken);
}

#[test]
fn a_licence_that_binds_would_be_seen() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT/Apache-2.0",
        "(MIT OR GPL-3.0) AND ISC",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_permitted(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "none", "", "(MIT OR ISC) AND SSPL-1.0", "MIT ISC"] {
        assert!(!is_permitted(bad), "{bad}");
    }
}

/// The words of crates that could open what is sealed: MLS libraries.
fn opens_sealed_content(name: &str) -> bool {
    name.split(['-', '_']).any(|word| word == "mls" || word == "openmls")
}

#[test]
fn g7_nothing_in_the_build_could_open_a_sealed_conversation() {
    let metadata = metadata();
    let names = built(&metadata).into_iter().map(|package| package["name"].as_str().unwrap());
    let broken: Vec<String> =
        names.filter(|name| opens_sealed_content(name)).map(str::to_owned).collect();
    check(&broken);
}

#[test]
fn an_mls_library_in_the_build_would_be_seen() {
    assert!(
        opens_sealed_content("openmls")
            && opens_sealed_content("mls-rs")
            && opens_sealed_content("openmls_traits")
    );
    assert!(!opens_sealed_content("rustls") && !opens_sealed_content("emls"));
}
