//! `proof`: random load on a whole gateway, and a verdict; `proof crash`: the same while it is killed again and again.
//! See the library.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use proof::crash;
use proof::history::Mode;
use proof::run::{Plan, run};

const USAGE: &str = "\
usage: proof [--minutes 10 | --seconds N] [--seed N] [--callers 64] [--mode estimate,observed,hard,learned]
             [--binary TOLLGATE]
       proof crash, proof full-disk: see there
One run for each mode, each as long. Exits with 1 if anything is not as promised.
Without --binary the gateway runs in this process, on a clock that is stepped.";
/// Threads for callers and model server; the gateway has its own.
const THREADS: usize = 2;
/// What this gateway can do.
const MODES: [Mode; 4] = [Mode::Estimate, Mode::Learned, Mode::Hard, Mode::Observed];

fn main() -> ExitCode {
    match prove() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("proof: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn prove() -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let mut args = std::env::args().skip(1).peekable();
    match args.peek().map(String::as_str) {
        Some("crash") => {
            let verdict = runtime.block_on(Box::pin(crash::run(&crash::Plan::read(args.skip(1))?)))?;
            say(&verdict.to_string());
            Ok(verdict.holds())
        }
        Some("full-disk") => fill(&runtime, &crash::Plan::read(args.skip(1))?),
        _ => load(&runtime, args),
    }
}

/// Where it may not be done here, it is done where it may be, or skipped, which is a failure in continuous integration.
fn fill(runtime: &tokio::runtime::Runtime, plan: &crash::Plan) -> anyhow::Result<bool> {
    if let Some(verdict) = runtime.block_on(Box::pin(crash::full::run(plan)))? {
        say(&verdict.to_string());
        return Ok(verdict.holds());
    }
    let elsewhere = if plan.in_namespace { None } else { crash::full::in_namespace()? };
    if let Some(holds) = elsewhere {
        return Ok(holds);
    }
    say("full disk: skipped: needs root, or a system that lets users mount in namespaces of their own");
    Ok(!in_ci())
}

#[expect(clippy::disallowed_methods, reason = "a check is told by its environment where it runs")]
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn load(runtime: &tokio::runtime::Runtime, args: impl Iterator<Item = String>) -> anyhow::Result<bool> {
    let (plan, modes, binary) = read(args)?;
    let mut holds = true;
    for mode in modes {
        let report = runtime.block_on(Box::pin(run(Plan { mode, ..plan }, binary.as_deref())))?;
        say(&report.to_string());
        holds &= report.holds();
    }
    Ok(holds)
}

fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<(Plan, Vec<Mode>, Option<PathBuf>)> {
    let mut plan = Plan { seed: 1, load: Duration::from_secs(600), mode: Mode::Estimate, callers: 64 };
    let (mut modes, mut binary) = (MODES.to_vec(), None);
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--minutes" => plan.load = Duration::from_secs(value.parse::<u64>()?.saturating_mul(60)),
            "--seconds" => plan.load = Duration::from_secs(value.parse()?),
            "--seed" => plan.seed = value.parse()?,
            "--callers" => plan.callers = value.parse()?,
            "--mode" if value == "all" => modes = MODES.to_vec(),
            "--mode" => modes = named(&value)?,
            // The program starts in a folder of its own.
            "--binary" => binary = Some(std::path::absolute(value)?),
            _ => bail!("{name} is no option\n{USAGE}"),
        }
    }
    Ok((plan, modes, binary))
}

fn named(list: &str) -> anyhow::Result<Vec<Mode>> {
    list.split(',').map(|name| Mode::named(name).with_context(|| format!("{name} is no mode"))).collect()
}

fn say(line: &str) {
    // Without anybody to read it, the exit code says what there is to say.
    let _ = writeln!(std::io::stdout(), "{line}");
}
