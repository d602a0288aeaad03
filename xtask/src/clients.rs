//! The client libraries that `tests/clients` drives against the simulated platforms: installed under `target/clients`,
//! in the versions that are pinned there, once for each change of the pins.

use crate::{needs, say};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the libraries of one language are installed.
struct Libraries {
    /// The folder under `target/clients`.
    folder: &'static str,
    /// What must be on the PATH.
    programs: &'static [&'static str],
    /// The packages of Debian that have it.
    packages: &'static [&'static str],
    /// The files of `tests/clients` that pin versions; the last one has them all, with digests.
    pins: &'static [&'static str],
    /// The installer and its arguments, run in the folder, which then has the pins.
    install: &'static [&'static str],
}

const PYTHON: Libraries = Libraries {
    folder: "python",
    programs: &["python3"],
    packages: &["python3", "python3-pip"],
    pins: &["requirements.txt"],
    install: &[
        "python3",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--require-hashes",
        "--only-binary=:all:",
        "--target=.",
        "--requirement=requirements.txt",
    ],
};

const NODE: Libraries = Libraries {
    folder: "node",
    programs: &["node", "npm"],
    packages: &["nodejs", "npm"],
    pins: &["package.json", "package-lock.json"],
    // No script of a package is run.
    install: &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
};

/// Sees to it that the libraries are there. What cannot be had is said, and is for the tests to judge.
///
/// # Errors
/// If nothing can be printed.
pub(crate) fn ensure(root: &Path) -> anyhow::Result<()> {
    for libraries in [PYTHON, NODE] {
        if let Err(error) = libraries.ensure(root) {
            let folder = libraries.folder;
            say(&format!("xtask: no client libraries for {folder}: {error:#}"))?;
        }
    }
    Ok(())
}

impl Libraries {
    fn ensure(&self, root: &Path) -> anyhow::Result<()> {
        let from = root.join("tests/clients");
        let folder = target(root).join("clients").join(self.folder);
        let lock = self.pins.last().context("no pins")?;
        let lock = std::fs::read(from.join(lock)).context("the pins cannot be read")?;
        let installed = folder.join("installed");
        if std::fs::read(&installed).is_ok_and(|installed| installed == lock) {
            return Ok(());
        }
        for program in self.programs {
            needs::ensure(program, self.packages, "use the packages of another system")?;
        }
        say(&format!("xtask: installing the client libraries for {}", self.folder))?;
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("old libraries cannot be removed")?;
        }
        std::fs::create_dir_all(&folder).context("the folder cannot be made")?;
        for pins in self.pins {
            std::fs::copy(from.join(pins), folder.join(pins)).context("a pin cannot be copied")?;
        }
        let (program, arguments) = self.install.split_first().context("no installer")?;
        let status = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .status()
            .with_context(|| format!("`{program}` cannot be started"))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.install.join(" "));
        }
        std::fs::write(&installed, &lock).context("the mark of success cannot be written")
    }
}

/// Where cargo builds.
fn target(root: &Path) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root.join(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Libraries = Libraries {
        folder: "plain",
        programs: &["sh"],
        packages: &[],
        pins: &["pins"],
        install: &["sh", "-c", "cp pins library && ! grep -q broken pins"],
    };

    /// A checkout with those pins. `CARGO_TARGET_DIR` may lead out of it, so the folder is asked for by its path.
    fn checkout(name: &str) -> PathBuf {
        let root = target(crate::root()).join("xtask-tests").join(name);
        drop(std::fs::remove_dir_all(&root));
        std::fs::create_dir_all(root.join("tests/clients")).unwrap();
        root
    }

    fn pin(root: &Path, pins: &str) -> anyhow::Result<()> {
        std::fs::write(root.join("tests/clients/pins"), pins).unwrap();
        PLAIN.ensure(root)
    }

    #[test]
    fn libraries_are_installed_once_for_each_change_of_their_pins() {
        let root = checkout("once");
        let library = target(&root).join("clients/plain/library");
        pin(&root, "one").unwrap();
        assert_eq!(std::fs::read(&library).unwrap(), b"one");
        std::fs::write(&library, "kept").unwrap();
        pin(&root, "one").unwrap();
        assert_eq!(std::fs::read(&library).unwrap(), b"kept");
        pin(&root, "two").unwrap();
        assert_eq!(std::fs::read(&library).unwrap(), b"two");
    }

    #[test]
    fn libraries_whose_installer_failed_do_not_count_as_installed() {
        let root = checkout("failed");
        assert!(pin(&root, "broken").unwrap_err().to_string().contains("failed"));
        assert!(!target(&root).join("clients/plain/installed").exists());
    }
}
