//! `proof`: random load on a whole gateway, and a verdict. See the library.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use proof::history::Mode;
use proof::run::{Plan, run};

const USAGE: &str = "\
usage: proof [--minutes 10 | --seconds N] [--seed N] [--callers 64] [--mode estimate,observed,hard,learned]
             [--binary TOLLGATE]
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
    let (plan, modes, binary) = read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
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
