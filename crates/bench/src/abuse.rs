//! The abuse run: callers of every bad kind at once, and beside them an honest one.
//!
//! Everything is as a user would have it: the release binary with its default settings. What counts is what the honest
//! customer notices, and how much memory the gateway took at most. Begins at [`run`].

mod attacks;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::load::{Burst, Load};
use crate::machine::Machine;
use crate::options::Answers;
use crate::say::{note, say};
use crate::subject::Subject;
use crate::{clock, simulator, tollgate};

use self::tally::Tally;

const BEFORE: Duration = Duration::from_secs(5);
const DURING: Duration = Duration::from_secs(30);
/// Connections of the honest customer.
const HONEST: usize = 4;
/// Words of an answer where the call sets no bound: a stream of about 10 MiB, which fits into no buffer on the way.
const WORDS: u64 = 50_000;

pub(crate) fn run(binary: Option<String>) -> anyhow::Result<()> {
    let machine = Machine::look();
    let binary = match binary {
        Some(given) => PathBuf::from(given).canonicalize().context("there is no such binary")?,
        None => tollgate::build()?,
    };
    machine.place_load()?;
    let model = simulator::start(machine, WORDS)?;
    let gateway = tollgate::start(&binary, machine, model.addr)?;
    let honest = Load::on(&gateway, Answers::Whole)?;

    note("before the abuse");
    let before = honest.run(HONEST, BEFORE)?;
    let quiet_mib = gateway.process.peak_mib()?;
    note("under abuse");
    let (during, tally) = under_abuse(&gateway, &honest)?;
    let after = honest.run(HONEST, BEFORE)?;
    report(machine, [("before", &before), ("under abuse", &during), ("after", &after)]);
    say("");
    tally.lines().iter().for_each(|line| say(line));
    say("");
    say(&format!(
        "Peak memory of the gateway: {} MiB (before: {quiet_mib} MiB)",
        gateway.process.peak_mib()?
    ));
    Ok(())
}

fn under_abuse(gateway: &Subject, honest: &Load) -> anyhow::Result<(Burst, Tally)> {
    let key = gateway.key.clone().context("the gateway has a customer")?;
    let (addr, tally) = (gateway.addr, Arc::new(Tally::default()));
    let seen = Arc::clone(&tally);
    let abusers = std::thread::spawn(move || attacks::run(addr, &key, clock::now() + DURING, &seen));
    let during = honest.run(HONEST, DURING)?;
    abusers.join().ok().context("the abusers failed")??;
    Ok((during, Arc::into_inner(tally).context("all abusers have ended")?))
}

fn report(machine: Machine, phases: [(&str, &Burst); 3]) {
    say(&format!("Honest customer on {HONEST} connections ({}):", machine.describe()));
    say("");
    say("| | calls | failed | per second | p50 ms | p99 ms |");
    say("| --- | --- | --- | --- | --- | --- |");
    for (name, burst) in phases {
        let mut nanos = burst.nanos.clone();
        nanos.sort_unstable();
        let calls = nanos.len();
        let per_second = u128::try_from(calls).unwrap_or(0) * 1_000 / burst.elapsed.as_millis().max(1);
        let (p50, p99) = (percentile(&nanos, 50), percentile(&nanos, 99));
        say(&format!("| {name} | {calls} | {} | {per_second} | {p50} | {p99} |", burst.errors));
    }
}

/// In milliseconds with two decimals.
fn percentile(sorted: &[u64], percent: usize) -> String {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    let hundredths = sorted.get(at).copied().unwrap_or(0) / 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
