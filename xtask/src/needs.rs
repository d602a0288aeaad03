//! What the tests need beside Rust: a RabbitMQ server for the contract and end-to-end tests, ffmpeg for those of media,
//! and what `clients` needs.

use crate::say;
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

/// Debian puts servers where a plain user's PATH does not look.
const SERVER_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/lib/rabbitmq/bin", "/usr/local/sbin"];

/// Sees to it that RabbitMQ is installed: as root on a Debian system it installs it, without asking.
///
/// # Errors
/// If it is missing and cannot be installed; the message says how to get it.
pub(crate) fn ensure_rabbitmq() -> anyhow::Result<()> {
    let elsewhere = "on another system see https://www.rabbitmq.com/docs/download";
    ensure("rabbitmq-server", &["rabbitmq-server"], elsewhere)
}

/// The same for ffmpeg, with which the tests of voice notes and moving pictures convert.
///
/// # Errors
/// If it is missing and cannot be installed; the message says how to get it.
pub(crate) fn ensure_ffmpeg() -> anyhow::Result<()> {
    ensure("ffmpeg", &["ffmpeg"], "on another system see https://ffmpeg.org/download.html")
}

/// The same for any program, which those packages of Debian have.
///
/// # Errors
/// If it is missing and cannot be installed; the message says how to get it, and `elsewhere`.
pub(crate) fn ensure(program: &str, packages: &[&str], elsewhere: &str) -> anyhow::Result<()> {
    if find(program).is_some() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !is_root() || find("apt-get").is_none() {
        bail!(
            "{program} is missing, and this user cannot install it; run `sudo apt-get install {names}`, or {elsewhere}"
        );
    }
    say(&format!("xtask: {program} is missing; installing it with apt-get"))?;
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
    if find(program).is_none() {
        bail!(
            "apt-get installed {names}, but {program} is in none of the usual folders; put it on the PATH"
        );
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let line = format!("apt-get {}", arguments.join(" "));
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // The tests start nodes of their own; the package's service would only hold the port.
        .env("RUNLEVEL", "1")
        .status()
        .with_context(|| format!("`{line}` cannot be started"))?;
    if !status.success() {
        bail!("`{line}` failed ({status}); its own message stands above");
    }
    Ok(())
}

/// The first executable of that name on the PATH or where servers are put.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(program, &path, &SERVER_FOLDERS)
}

fn find_in(program: &str, path: &OsStr, more: &[&str]) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).chain(more.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| {
        std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_or_where_servers_are_put() {
        assert!(find_in("sh", OsStr::new("/usr/bin:/bin"), &[]).is_some());
        assert!(find_in("sh", OsStr::new(""), &["/usr/bin", "/bin"]).is_some());
        assert_eq!(find_in("sh", OsStr::new("/nonexistent"), &[]), None);
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_no_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        assert_eq!(find_in("main.rs", OsStr::new(folder), &[]), None);
    }
}
