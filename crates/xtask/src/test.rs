//! `cargo xtask test`: everything that has to hold before a change lands.

use crate::clients;
use crate::instructions;
use crate::steps::{has, run, say, skipped};

/// Runs every check and every test.
pub(crate) fn everything() -> anyhow::Result<()> {
    format_and_lints()?;
    licences()?;
    tests()?;
    interleavings()?;
    traces()?;
    full_disk()?;
    instructions::gate()?;
    clients::everything()?;
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

/// What is built on demand alone: OpenTelemetry traces.
fn traces() -> anyhow::Result<()> {
    let with = ["-p", "proxy", "-p", "gateway", "--features", "gateway/otel", "--locked"];
    if has("cargo", &["clippy", "--version"]) {
        run("cargo", &[&["clippy"], &with[..], &["--all-targets", "--", "-D", "warnings"]].concat())?;
    }
    run("cargo", &[&["test"], &with[..], &["--lib", "--test", "traces"]].concat())
}

/// Every order of the engine's locks. Apart, because the model checker's locks take the place of the real ones.
fn interleavings() -> anyhow::Result<()> {
    let engine = ["test", "-p", "limits", "--locked", "--features", "interleave", "--test", "interleavings"];
    run("cargo", &engine)
}

/// The program on a disk that fills up. Apart, because the disk has to be mounted; it says itself where it is skipped.
fn full_disk() -> anyhow::Result<()> {
    run("cargo", &["run", "--locked", "--package", "proof", "--", "full-disk"])
}
