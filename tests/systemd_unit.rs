//! The unit is valid and closed: systemd's own tools say so.

#![expect(
    clippy::unwrap_used,
    reason = "a check that cannot be run has failed, wherever in this file"
)]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// On systemd's scale from 0 (closed) to 10 (open).
const EXPOSURE_MAX: f64 = 1.5;

/// The unit with a program that exists here: the real one is not installed where the tests run.
fn unit(folder: &Path) -> PathBuf {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/interline.service"))
            .unwrap();
    let path = folder.join("interline.service");
    std::fs::write(&path, text.replace("/usr/bin/interline", "/bin/true")).unwrap();
    path
}

/// Nothing where systemd's tools are not installed.
fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    let started = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    if started.is_err() {
        println!("skipped: systemd-analyze is not installed");
    }
    started.ok()
}

fn exposure(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.contains("Overall exposure level"))?;
    line.rsplit_once(": ")?.1.split_whitespace().next()?.parse().ok()
}

#[test]
fn systemd_finds_nothing_to_complain_about_in_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = analyze(&["verify"], &unit(folder.path())) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let about_the_unit: Vec<&str> =
        said.lines().filter(|line| line.contains("interline")).collect();
    assert!(output.status.success() && about_the_unit.is_empty(), "{said}");
}

#[test]
fn systemd_calls_the_unit_closed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = analyze(&["security", "--offline=yes", "--no-pager"], &unit(folder.path()))
    else {
        return;
    };
    let report = String::from_utf8_lossy(&output.stdout);
    let level = exposure(&report).unwrap();
    assert!(level <= EXPOSURE_MAX, "exposure {level}:\n{report}");
}

#[test]
fn an_open_unit_would_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open.service");
    std::fs::write(&path, "[Service]\nExecStart=/bin/true\n").unwrap();
    let Some(output) = analyze(&["security", "--offline=yes", "--no-pager"], &path) else { return };
    assert!(exposure(&String::from_utf8_lossy(&output.stdout)).unwrap() > EXPOSURE_MAX);
}

#[test]
fn the_unit_waits_longer_for_the_drain_than_the_config_does() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/interline.service"))
            .unwrap();
    let stop = text
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s')?.parse().ok());
    let deadline = interline::config::Shutdown::default().deadline;
    assert!(std::time::Duration::from_secs(stop.unwrap()) > deadline);
}
