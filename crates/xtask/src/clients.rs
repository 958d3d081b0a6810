//! The official clients, against the real program.
//!
//! What they need is installed below `target/` and kept there until its pins change; the checkout stays clean.
//! Where an interpreter or its package registry is missing, its clients are skipped with a line that says so.
//! Begins at [`everything`].

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::steps::{has, root, run, say, skipped};

const NODE_PINS: [&str; 2] = ["tests/clients/node/package.json", "tests/clients/node/package-lock.json"];
/// In an installation: the pins it was made from. Written last, and cleared with the rest: half an installation has none.
const STAMP: &str = "tollgate-pins";

/// Runs the tests of every client whose interpreter is here.
pub(crate) fn everything() -> anyhow::Result<()> {
    run("cargo", &["build", "--locked", "--package", "gateway", "--package", "modelsim"])?;
    // What fails in one language does not hide what fails in the other.
    let outcomes = [python(), node(), contract()];
    outcomes.into_iter().collect()
}

fn python() -> anyhow::Result<()> {
    unittests("Python clients", "tests/clients", "target/venv")
}

/// The server against its own `OpenAPI` document, by a client that sends whatever the document allows and more.
fn contract() -> anyhow::Result<()> {
    unittests("contract", "tests/contract", "target/venv-contract")
}

/// Runs the Python tests of a folder in a virtual environment with what its `requirements.txt` pins.
fn unittests(what: &str, folder: &str, home: &str) -> anyhow::Result<()> {
    if !has("python3", &["-c", "import venv, ensurepip"]) {
        return skipped(what, "python3 with venv, and PyPI");
    }
    let (venv, pins) = (root().join(home), format!("{folder}/requirements.txt"));
    let python = text(&venv.join("bin/python"))?.to_owned();
    let install = || {
        run("python3", &["-m", "venv", "--clear", text(&venv)?])?;
        run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &pins])
    };
    if !installed(&venv, &[&pins], &python, install)? {
        return skipped(what, "PyPI, and Python 3.11 or newer");
    }
    let tests = ["--start-directory", folder, "--pattern", "test_*.py"];
    run(&python, &[["-m", "unittest", "discover"].as_slice(), &tests].concat())
}

fn node() -> anyhow::Result<()> {
    let new_enough = "process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)";
    if !has("node", &["-e", new_enough]) || !has("npm", &["--version"]) {
        return skipped("Node clients", "Node 20 or newer with npm, and the npm registry");
    }
    let home = root().join("target/clients-node");
    let install = || {
        fs::create_dir_all(&home)?;
        for pins in NODE_PINS.map(|pins| root().join(pins)) {
            fs::copy(&pins, home.join(pins.file_name().context("a file has a name")?))?;
        }
        let quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        run("npm", &[["ci", "--prefix", text(&home)?].as_slice(), &quietly].concat())
    };
    let modules = home.join("node_modules");
    if !installed(&modules, &NODE_PINS, "node", install)? {
        return skipped("Node clients", "the npm registry");
    }
    // CommonJS, unlike modules, also looks where NODE_PATH says: so the tests stay where they are.
    let path = format!("NODE_PATH={}", text(&modules)?);
    let tests = node_tests()?;
    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
    run("env", &[[&path, "node", "--test", "--test-reporter=spec"].as_slice(), &tests].concat())
}

/// Whether what the pins name is there, installing it if it is not. An installation made from other pins, or whose
/// interpreter is gone, is made anew.
fn installed(
    home: &Path,
    pins: &[&str],
    interpreter: &str,
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let pinned: Vec<String> =
        pins.iter().map(|pins| fs::read_to_string(root().join(pins))).collect::<Result<_, _>>()?;
    let (pinned, stamp) = (pinned.concat(), home.join(STAMP));
    let same = fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == pinned);
    if same && has(interpreter, &["--version"]) {
        return Ok(true);
    }
    if let Err(error) = install() {
        say(&format!("{error:#}"));
        return Ok(false);
    }
    fs::write(&stamp, pinned)?;
    Ok(true)
}

fn node_tests() -> anyhow::Result<Vec<String>> {
    let folder = root().join("tests/clients/node");
    let mut tests = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let path = text(&path)?;
        if path.ends_with(".test.js") {
            tests.push(path.to_owned());
        }
    }
    tests.sort();
    Ok(tests)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the checkout's path is not UTF-8")
}
