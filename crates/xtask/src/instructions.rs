//! `cargo xtask instructions`: what a call costs, in instructions and allocations, against what it cost before.
//!
//! A program (`crates/instructions`) does one thing again and again under callgrind, which counts one function of it.
//! A shared machine cannot disturb that as it disturbs the clock, so a change of a few per cent is seen, and one
//! allocation more, which may be less than that; both are failures until somebody says that they are meant.
//!
//! Knows nothing of: what is done, and how often (the program says both). What memory and locks cost in time is not
//! seen here; that is for `cargo xtask bench`.
//! Begins at [`run`].

mod callgrind;
mod figures;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use self::figures::{Cost, Figures, Judgement, Tools};
use crate::steps::{has, root, run as run_program, say, skipped};

/// Under the root of the checkout.
const STORED: &str = "crates/xtask/instructions.toml";
/// The function of the program that is counted, with whatever it calls. Compilers put more around its name.
const COUNTED: &str = "*counted_here*";
/// What Rust 1.95 calls before every allocation, growth aside: one instruction, which returns.
const ALLOCATING: &str = "__rust_no_alloc_shim_is_unstable_v2";
const VALGRIND: &str = "valgrind (apt-get install valgrind)";

/// Counts and compares; with `--renew`, stores what was counted.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    match arguments {
        [] => gate(),
        [renew] if renew == "--renew" => self::renew(),
        _ => bail!("`cargo xtask instructions` takes nothing but --renew"),
    }
}

/// Fails if anything costs notably more than is stored, or depends on what it must not depend on.
pub(crate) fn gate() -> anyhow::Result<()> {
    if !has("valgrind", &["--version"]) {
        return skipped("instructions", VALGRIND);
    }
    let stored = Figures::parse(&fs::read_to_string(root().join(STORED))?).context(STORED)?;
    let counted = count()?;
    let judgement = Judgement::of(&stored, &counted);
    judgement.lines.iter().for_each(|line| say(line));
    if !judgement.failures.is_empty() {
        bail!("instructions:\n{}", judgement.failures.join("\n"));
    }
    if stored.tools.host != counted.tools.host {
        return skipped(
            "comparison with stored instructions",
            &format!("a machine of {}", stored.tools.host),
        );
    }
    Ok(())
}

/// What is counted now is what later counts are compared with.
fn renew() -> anyhow::Result<()> {
    if !has("valgrind", &["--version"]) {
        bail!("counting instructions needs {VALGRIND}");
    }
    let stored = fs::read_to_string(root().join(STORED)).ok().and_then(|text| Figures::parse(&text).ok());
    let counted = count()?;
    Judgement::of(&stored.unwrap_or_default(), &counted).lines.iter().for_each(|line| say(line));
    fs::write(root().join(STORED), counted.text()).context(STORED)?;
    say(&format!("== {STORED} is renewed; say in the commit what made the difference"));
    Ok(())
}

fn count() -> anyhow::Result<Figures> {
    let profile = "instructions";
    run_program("cargo", &["build", "--locked", "--profile", profile, "--package", "instructions"])?;
    let program = built(profile)?;
    let mut figures = Figures { tools: tools()?, ..Figures::default() };
    for name in output(&mut Command::new(&program))?.lines() {
        figures.costs.insert(name.to_owned(), each(&program, name)?);
    }
    if figures.costs.values().all(|cost| cost.allocations == 0) {
        bail!("nothing allocates at all: does Rust call another function than {ALLOCATING} before it does?");
    }
    Ok(figures)
}

/// Beside this program, wherever cargo was told to build.
fn built(profile: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let target = here.ancestors().nth(2).context("xtask is not where cargo builds")?;
    Ok(target.join(profile).join("instructions"))
}

/// What it takes to do it once, in the nearest whole numbers.
fn each(program: &Path, name: &str) -> anyhow::Result<Cost> {
    let written = program.with_file_name(format!("callgrind.{}", std::process::id()));
    let mut valgrind = Command::new("valgrind");
    // Without its server, no debugger and no other user of the machine can stop it halfway.
    valgrind.args(["--quiet", "--tool=callgrind", "--vgdb=no"]);
    valgrind.arg(format!("--toggle-collect={COUNTED}"));
    valgrind.arg(format!("--callgrind-out-file={}", written.display()));
    let rounds: u64 = output(valgrind.arg(program).arg(name))?.trim().parse()?;
    let counts = fs::read_to_string(&written)?;
    fs::remove_file(&written)?;
    let total = callgrind::total(&counts).context("callgrind wrote no total")?;
    if total == 0 || rounds == 0 {
        bail!("nothing was counted of `{name}`: is {COUNTED} still a function of its own?");
    }
    let once = |all: u64| (all + rounds / 2) / rounds;
    let allocations = once(callgrind::own(&counts, ALLOCATING));
    Ok(Cost { instructions: once(total), allocations })
}

fn tools() -> anyhow::Result<Tools> {
    let rustc = output(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    // Copying memory is the C library's. One without a version of this form is a tool like any other.
    let libc = output(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default();
    Ok(Tools {
        rustc: rustc.lines().next().unwrap_or_default().to_owned(),
        host: host.to_owned(),
        valgrind: output(Command::new("valgrind").arg("--version"))?.trim().to_owned(),
        libc: libc.trim().to_owned(),
    })
}

/// What a program prints; an exit code other than 0 is an error, and what it says of that goes to who runs this.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let done = done.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !done.status.success() {
        bail!("{command:?} failed");
    }
    Ok(String::from_utf8(done.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_figures_are_what_a_renewal_would_write() {
        let text = fs::read_to_string(root().join(STORED)).unwrap();
        assert_eq!(Figures::parse(&text).unwrap().text(), text);
    }
}
