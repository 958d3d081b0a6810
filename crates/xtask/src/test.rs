//! `cargo xtask test`: everything that has to hold before a change lands.

use anyhow::Context as _;

use crate::steps::{has, root, run, say, skipped};

/// Runs every check and every test.
pub(crate) fn everything() -> anyhow::Result<()> {
    format_and_lints()?;
    licences()?;
    tests()?;
    clients()?;
    contract()?;
    say("== everything passed");
    Ok(())
}

fn format_and_lints() -> anyhow::Result<()> {
    if has("cargo", &["fmt", "--version"]) {
        run("cargo", &["fmt", "--all", "--check"])?;
    } else {
        skipped("format", "rustfmt (rustup component add rustfmt)")?;
    }
    if has("cargo", &["clippy", "--version"]) {
        run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
    } else {
        skipped("lints", "clippy (rustup component add clippy)")
    }
}

fn licences() -> anyhow::Result<()> {
    if has("cargo", &["deny", "--version"]) {
        // Advisories need the network of the advisory database; they are asked for apart: `cargo deny check advisories`.
        run("cargo", &["deny", "check", "licenses", "bans", "sources"])
    } else {
        skipped("licences and duplicates", "cargo-deny (cargo install --locked cargo-deny)")
    }
}

fn tests() -> anyhow::Result<()> {
    if has("cargo", &["nextest", "--version"]) {
        run("cargo", &["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        run("cargo", &["test", "--workspace", "--locked", "--no-fail-fast"])
    }
}

/// The official SDKs, against the real program.
fn clients() -> anyhow::Result<()> {
    if !has("python3", &["-c", "import venv, ensurepip"]) {
        return skipped("official SDKs", "python3 with venv, and PyPI");
    }
    let venv = root().join("target/venv");
    let python = venv.join("bin/python");
    let python = python.to_str().context("the checkout's path is not UTF-8")?;
    if !has(python, &["-c", "import openai"]) {
        run("python3", &["-m", "venv", venv.to_str().context("the checkout's path is not UTF-8")?])?;
        let wanted = "tests/clients/requirements.txt";
        if run(python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted])
            .is_err()
        {
            return skipped("official SDKs", "PyPI");
        }
    }
    run("cargo", &["build", "--locked", "--package", "gateway", "--package", "modelsim"])?;
    run(
        python,
        &["-m", "unittest", "discover", "--start-directory", "tests/clients", "--pattern", "test_*.py"],
    )
}

/// The server against its own `OpenAPI` document.
fn contract() -> anyhow::Result<()> {
    if !has("python3", &["-c", "import venv, ensurepip"]) {
        return skipped("contract", "python3 with venv, and PyPI");
    }
    let venv = root().join("target/venv-contract");
    let venv = venv.to_str().context("the checkout's path is not UTF-8")?;
    let python = format!("{venv}/bin/python");
    // Asking pip costs a second where all is installed, and notices a changed pin.
    let wanted = "tests/contract/requirements.txt";
    let quietly = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted];
    let installed = run("python3", &["-m", "venv", venv]).and_then(|()| run(&python, &quietly));
    if installed.is_err() {
        return skipped("contract", "PyPI");
    }
    run("cargo", &["build", "--locked", "--package", "gateway", "--package", "modelsim"])?;
    run(
        &python,
        &["-m", "unittest", "discover", "--start-directory", "tests/contract", "--pattern", "test_*.py"],
    )
}
